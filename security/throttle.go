package security

import (
	"context"
	"errors"
	"hash/maphash"
	"net/netip"
	"sync"
	"time"
)

var errThrottled = errors.New("too many failed logins")

// slowing says how failed logins are slowed: the first few are free, then each doubles the pause before the next try.
type slowing struct {
	free  float64
	pause time.Duration // after the first failure that is not free
	worst time.Duration
	// forget is the time in which one failure is forgotten. A right login forgets nothing: else one valid account
	// would buy guesses at all others.
	forget time.Duration
}

// An address is slowed less than a user at an address, since one service with an old password must not lock out the
// others behind the same router.
var (
	slowUser    = slowing{free: 5, pause: 250 * time.Millisecond, worst: 5 * time.Second, forget: 20 * time.Second}
	slowAddress = slowing{free: 50, pause: 100 * time.Millisecond, worst: time.Second, forget: 2 * time.Second}
)

const (
	maxPause   = 10 * time.Second // who would wait longer is refused at once
	maxCounted = 60               // failures beyond those that are free
	// Credentials that were right from the same address a while ago are not slowed, up to this many in a burst and
	// then a second: a storm of reconnections passes, a guesser gains nothing to speak of.
	provenBurst  = 2000
	provenPerSec = 20
)

// throttle slows repeated failures by address. IPv6 counts by /64, which is what one host can choose from.
type throttle struct {
	seed maphash.Seed
	mu   sync.Mutex
	max  int
	of   map[suspect]*record
}

// suspect is a user at an address; user 0 is the address as a whole.
type suspect struct {
	address netip.Addr
	user    uint64
}

type record struct {
	failures  float64
	at        time.Time // of failures
	next      time.Time // when the next try may begin
	tokens    float64   // for proven credentials
	tokensAt  time.Time
	mentioned time.Time
}

func newThrottle(max int) *throttle {
	return &throttle{seed: maphash.MakeSeed(), max: max, of: make(map[suspect]*record)}
}

func (t *throttle) suspects(address netip.Addr, user string) (byUser, byAddress suspect) {
	address = address.Unmap().WithZone("")
	if address.Is6() {
		if p, err := address.Prefix(64); err == nil {
			address = p.Addr()
		}
	}
	return suspect{address, maphash.String(t.seed, user) | 1}, suspect{address, 0}
}

// wait returns when a login may be tried, or fails with errThrottled or ctx's error.
func (t *throttle) wait(ctx context.Context, address netip.Addr, user string, proven bool) error {
	pause, err := t.reserve(address, user, proven, time.Now())
	if err != nil || pause <= 0 {
		return err
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// reserve takes the next place in the line of the user at the address, and of the address.
func (t *throttle) reserve(address netip.Addr, user string, proven bool, now time.Time) (time.Duration, error) {
	byUser, byAddress := t.suspects(address, user)
	t.mu.Lock()
	defer t.mu.Unlock()
	a, u := t.of[byAddress], t.of[byUser]
	if proven && (a == nil || a.take(now)) {
		return 0, nil
	}
	userPause, addressPause := u.pause(slowUser, now), a.pause(slowAddress, now)
	if userPause < 0 && addressPause < 0 {
		return 0, nil
	}
	wait := time.Duration(0)
	if userPause >= 0 {
		wait = max(wait, u.next.Sub(now))
	}
	if addressPause >= 0 {
		wait = max(wait, a.next.Sub(now))
	}
	if wait > maxPause {
		return 0, errThrottled
	}
	// The pause is before the try: so it holds for parallel connections, too.
	begin := now.Add(wait)
	if userPause >= 0 {
		u.next = begin.Add(userPause)
	}
	if addressPause >= 0 {
		a.next = begin.Add(addressPause)
	}
	return wait, nil
}

// pause is how long the next try delays the one after it; negative if it does not.
func (r *record) pause(s slowing, now time.Time) time.Duration {
	if r == nil {
		return -1
	}
	r.decay(s, now)
	if r.failures < s.free {
		return -1
	}
	pause := s.pause
	for range int(r.failures - s.free) {
		if pause *= 2; pause >= s.worst {
			return s.worst
		}
	}
	return pause
}

func (r *record) decay(s slowing, now time.Time) {
	if passed := now.Sub(r.at); passed > 0 {
		r.failures = max(0, r.failures-float64(passed)/float64(s.forget))
		r.at = now
	}
}

// take takes a token of those for proven credentials.
func (r *record) take(now time.Time) bool {
	if passed := now.Sub(r.tokensAt); passed > 0 {
		r.tokens = min(provenBurst, r.tokens+passed.Seconds()*provenPerSec)
		r.tokensAt = now
	}
	if r.tokens < 1 {
		return false
	}
	r.tokens--
	return true
}

// fail counts a failed login.
func (t *throttle) fail(address netip.Addr, user string) {
	now := time.Now()
	byUser, byAddress := t.suspects(address, user)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.count(byUser, slowUser, now)
	t.count(byAddress, slowAddress, now)
}

func (t *throttle) count(who suspect, s slowing, now time.Time) {
	r := t.of[who]
	if r == nil {
		if len(t.of) >= t.max {
			t.evict(now)
		}
		r = &record{at: now, tokens: provenBurst, tokensAt: now}
		t.of[who] = r
	}
	r.decay(s, now)
	// Many that fail in parallel are counted beyond the worst pause, but to be forgotten within the half hour.
	r.failures = min(r.failures+1, s.free+maxCounted)
	if pause := r.pause(s, now); pause > 0 {
		if next := now.Add(pause); next.After(r.next) {
			r.next = next
		}
	}
}

// evict makes room: of a few random records the one with the fewest failures goes.
func (t *throttle) evict(now time.Time) {
	var least suspect
	fewest, looked := 0.0, 0
	for who, r := range t.of {
		s := slowUser
		if who.user == 0 {
			s = slowAddress
		}
		r.decay(s, now)
		if looked == 0 || r.failures < fewest {
			least, fewest = who, r.failures
		}
		if looked++; looked == 8 {
			break
		}
	}
	delete(t.of, least)
}

// mention says whether the log should tell that the address is throttled: once in ten seconds.
func (t *throttle) mention(address netip.Addr) bool {
	_, byAddress := t.suspects(address, "")
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.of[byAddress]
	if r == nil || now.Sub(r.mentioned) < 10*time.Second {
		return false
	}
	r.mentioned = now
	return true
}
