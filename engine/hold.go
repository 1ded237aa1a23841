package engine

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/godwitmq/godwit/journal"
)

// Hold is a stretch of the log that is kept while somebody reads it, though the core does not need it any more. It is a wish, not a right: when what is kept for it alone
// becomes more than the room that is left, the log is trimmed all the same, and the reader finds journal.ErrTrimmed.
type Hold struct {
	// From is the log's head and To a position up to which it is durable: the records between say all that the broker has ever acknowledged.
	From, To journal.Position

	e    *Engine
	lost atomic.Bool
}

// ErrHeld means that another stretch of the log is held.
var ErrHeld = errors.New("the log is being held for another reader")

// Hold keeps the log from its head on until Release. It waits until all that was appended before is durable. Errors: ErrHeld, journal.ErrClosed, the log's own, what ctx says.
func (e *Engine) Hold(ctx context.Context) (*Hold, error) {
	h := &Hold{e: e}
	durable := make(chan struct{})
	var err error
	e.exclusively(func() {
		if e.hold != nil {
			err = ErrHeld
			return
		}
		e.append()
		if err = e.Err(); err == nil {
			h.From = e.log.Head()
			e.hold = h
			e.afterDurable(func() { close(durable) })
		}
	})
	if err != nil {
		return nil, err
	}
	select {
	case <-durable:
		h.To = e.log.Tail()
		return h, nil
	case <-e.done:
		if err = e.Err(); err == nil {
			err = journal.ErrClosed
		}
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	h.Release()
	return nil, err
}

// Lost says that the log was trimmed although it was held, because room ran out.
func (h *Hold) Lost() bool { return h.lost.Load() }

// Release lets the log forget what it may. It may be called more than once.
func (h *Hold) Release() {
	e := h.e
	e.exclusively(func() {
		if e.hold != h {
			return
		}
		e.hold = nil
		if e.untrimmed != 0 {
			e.trim(e.untrimmed)
		}
	})
}

// exclusively calls a function while no goroutine is at work on the core, if the engine has not ended.
func (e *Engine) exclusively(do func()) {
	e.busy.Lock()
	if !e.ended {
		do()
	}
	touched := e.takeTouched()
	e.busy.Unlock()
	hand(touched, false)
	e.work(turnsForOthers) // who found it taken has left its events to us
}

// trim has the log forget what stands before a position, unless it is held. The caller has busy.
func (e *Engine) trim(before journal.Position) {
	if h := e.hold; h != nil {
		if kept, free := int64(before-h.From), e.log.Space().Free; kept <= free {
			e.untrimmed = before
			return
		}
		h.lost.Store(true)
		e.hold = nil
	}
	e.untrimmed = 0
	if err := e.log.Trim(before); err != nil {
		e.fail(fmt.Errorf("trim the journal: %w", err))
	}
}
