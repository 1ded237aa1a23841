package jetstream

import (
	"context"
	"errors"
	"fmt"

	"github.com/godwitmq/godwit/journal"
)

// State says whose a log is. Every control says it.
type State byte

// The states.
const (
	// Live: the log is a broker's; one of its instances may lead it.
	Live State = iota
	// Filling: the log is being filled with a copy of another one. It counts for nothing, and nobody leads it, before it is adopted.
	Filling
	// Left: the broker has gone on with a copy of the log, elsewhere. Nobody leads it ever again; it can be filled anew.
	Left
)

func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return "of an unknown state"
}

var stateNames = [...]string{"live", "being filled", "left"}

var (
	// ErrVoid means that the log is no broker's: it is being filled with a copy, or the broker has left it.
	ErrVoid = errors.New("the log is no broker's")
	// ErrRefilled means that what was read does not count any more, because the log is being filled anew: it is to be followed from its new head.
	ErrRefilled = errors.New("the log is being filled anew")
	// ErrInUse means that the log is a broker's already.
	ErrInUse = errors.New("the log is a broker's already")
)

// State is the log's state as far as it was read, and the number of the copy that it is being filled with or was left for.
func (f *Follower) State() (state State, id uint64) { return f.state, f.copy }

// Empty says whether nothing was ever written to the log.
func (f *Follower) Empty() bool { return !f.chain.link.Known && f.known == 0 }

// Fill opens a log for a copy of another one: what is appended counts when the log is adopted. It must be empty, left, or filled with a copy that was given up, which is
// forgotten. The number names this copy. Errors: ErrInUse, and those of Open.
func Fill(ctx context.Context, node *Node, opt Options, notify journal.Notify) (l *Log, id uint64, err error) {
	for {
		f, err := followEnd(ctx, node, opt)
		if err == nil && f.state == Live && !f.Empty() {
			err = ErrInUse
		}
		if err == nil {
			l, err = f.begin(ctx, notify, Filling)
		}
		if err == nil {
			return l, l.copy, nil
		}
		if f != nil {
			f.Close()
		}
		if !errors.Is(err, journal.ErrDeposed) { // else somebody wrote meanwhile
			return nil, 0, fmt.Errorf("fill log %s: %w", opt.Name, err)
		}
	}
}

// Adopt is Lead for a log that has been filled: from then on it is the broker's. The caller has made sure that the copy is whole and that it has been read to its end.
func (f *Follower) Adopt(ctx context.Context, notify journal.Notify) (*Log, error) {
	if f.state != Filling {
		return nil, fmt.Errorf("adopt log %s: it is %v, not being filled", f.opt.Name, f.state)
	}
	return f.begin(ctx, notify, Live)
}

// Leave ends the log for good, for the benefit of a copy with the number given: no instance leads it any more. As with HandOver, all that was appended is durable when it
// returns, and after an error it is unknown whether the log was left: who follows it learns that.
func (l *Log) Leave(ctx context.Context, id uint64) error {
	return l.finish(ctx, "left", control{kind: controlClose, state: Left, nonce: id, head: l.Head()})
}
