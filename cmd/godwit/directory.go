package main

import (
	"context"
	"sync"
)

// directory says which instance is active, for clients that came to one that is not. It implements relay.Directory.
type directory struct {
	mu      sync.Mutex
	known   bool
	address string          // of the active's relay; "" is this instance
	term    context.Context // ends with what is said here
	end     context.CancelCauseFunc
	change  chan struct{} // closed at the next set
}

func newDirectory() *directory { return &directory{change: make(chan struct{})} }

// set says who is active now: nobody as far as is known, or the instance with that relay address, "" being this one. why is the cause of the end of the term before; nil
// is no special one.
func (d *directory) set(known bool, address string, why error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.known == known && d.address == address {
		return
	}
	if d.end != nil {
		d.end(why)
	}
	d.known, d.address = known, address
	d.term, d.end = context.WithCancelCause(context.Background())
	close(d.change)
	d.change = make(chan struct{})
}

// knows says whether somebody is active.
func (d *directory) knows() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.known
}

// Active implements relay.Directory.
func (d *directory) Active(ctx context.Context) (address string, term context.Context, err error) {
	for {
		d.mu.Lock()
		known, address, term, change := d.known, d.address, d.term, d.change
		d.mu.Unlock()
		if known {
			return address, term, nil
		}
		select {
		case <-change:
		case <-ctx.Done():
			return "", nil, ctx.Err()
		}
	}
}
