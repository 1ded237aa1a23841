package security

import (
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Refusal is what the mode Observe saw and let pass.
type Refusal struct {
	User    string // as given; empty if none was
	Address netip.Addr
	Reason  string // a Reason, or "not authorized to write to: queue://X"
	// Count is how often; a right that is asked for again and again counts once a connection and policy.
	Count       int64
	First, Last time.Time
}

// observations are the refusals by user, address and reason. The table is bounded: the one not seen for longest goes.
type observations struct {
	mu  sync.Mutex
	max int
	of  map[observation]*Refusal
}

type observation struct {
	user, reason string
	address      netip.Addr
}

func newObservations(max int) *observations {
	return &observations{max: max, of: make(map[observation]*Refusal)}
}

func (o *observations) record(user string, address netip.AddrPort, reason string) {
	now := time.Now()
	what := observation{user: user, reason: reason, address: address.Addr().Unmap()}
	o.mu.Lock()
	defer o.mu.Unlock()
	r := o.of[what]
	if r == nil {
		if len(o.of) >= o.max {
			o.evict()
		}
		r = &Refusal{User: user, Address: what.address, Reason: reason, First: now}
		o.of[what] = r
	}
	r.Count++
	r.Last = now
}

func (o *observations) evict() {
	var oldest observation
	var last time.Time
	for what, r := range o.of {
		if last.IsZero() || r.Last.Before(last) {
			oldest, last = what, r.Last
		}
	}
	delete(o.of, oldest)
}

func (o *observations) list() []Refusal {
	o.mu.Lock()
	defer o.mu.Unlock()
	list := make([]Refusal, 0, len(o.of))
	for _, r := range o.of {
		list = append(list, *r)
	}
	slices.SortFunc(list, func(a, b Refusal) int { return b.Last.Compare(a.Last) })
	return list
}

func (o *observations) forget() {
	o.mu.Lock()
	defer o.mu.Unlock()
	clear(o.of)
}
