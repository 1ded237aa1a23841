package mqapi

import (
	"sync"
	"time"
)

// throttle lets each account ask so many times at once, and so often from then on. There are as many accounts as the operator has made
// keys for, so the map needs no other bound.
type throttle struct {
	burst, perSecond float64

	mu       sync.Mutex
	accounts map[string]bucket
}

// bucket is how much an account had left at a time.
type bucket struct {
	left float64
	at   time.Time
}

// take says whether the account may ask now, and counts it if so.
func (t *throttle) take(account string, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	b, known := t.accounts[account]
	if !known {
		b = bucket{left: t.burst, at: now}
	}
	if passed := now.Sub(b.at); passed > 0 { // a clock that was set back gives nothing
		b.left = min(t.burst, b.left+passed.Seconds()*t.perSecond)
	}
	b.at = now
	may := b.left >= 1
	if may {
		b.left--
	}
	t.accounts[account] = b
	return may
}
