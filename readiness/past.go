package readiness

import (
	"slices"
	"time"
)

// Event is a coming or going of a client.
type Event struct {
	At   time.Time `json:"at"`
	What What      `json:"what"`
}

// What happened.
type What string

// The events.
const (
	Came What = "came"
	Left What = "left" // the client has said goodbye
	Cut  What = "cut"  // the connection ended without
)

// Past is what one client did lately, the oldest first.
type Past []Event

// join makes one past of those that several instances have seen. Their clocks may differ a little.
func join(pasts ...Past) Past {
	all := slices.Concat(pasts...)
	slices.SortStableFunc(all, func(a, b Event) int { return a.At.Compare(b.At) })
	return all
}

// Return is a coming back after a connection was cut.
type Return struct {
	At    time.Time `json:"at"`
	After int64     `json:"after"` // ms since the cut
}

// returns gives the last return after a cut, nil if none was seen, and how often the client has come back since, after whatever end.
func (p Past) returns(since time.Time) (last *Return, lately int) {
	var cut, left int // ends after which nobody has come yet
	var cutAt time.Time
	for _, e := range p {
		switch e.What {
		case Cut:
			cut, cutAt = cut+1, e.At
		case Left:
			left++
		case Came:
			switch {
			case cut > 0:
				cut--
				last = &Return{At: e.At, After: e.At.Sub(cutAt).Milliseconds()}
			case left > 0:
				left--
			default:
				continue
			}
			if e.At.After(since) {
				lately++
			}
		}
	}
	return last, lately
}
