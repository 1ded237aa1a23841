package cluster

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/journal"
	"github.com/godwitmq/godwit/journal/checkpoint"
	"github.com/godwitmq/godwit/journal/jetstream"
)

// A standby summarises its core now and then, so that its next start, or the next after it was active, reads only what the log has behind that. While the core is being
// summarised it stands still, but the log is followed: what comes is kept until then. A log that falls silent ends the work, so that a takeover does not wait for it.

const (
	// keepBytes is how much of the log is kept at most while a checkpoint is being made; then following waits for it.
	keepBytes = 4 << 20
	// scrubRate is how fast what a start has not read is verified behind it, in bytes a second.
	scrubRate = 32 << 20
)

// begin gives a core that knows the log up to where the follower begins: of the checkpoint if there is one of this log, else an empty one (known is 0); or what this process
// has of a copy that it has just made, with the number of its records.
func (m *Member) begin(ctx context.Context) (core *broker.Broker, f *jetstream.Follower, known journal.Position, records uint64, err error) {
	if j := m.opt.Joined; j != nil {
		m.opt.Joined = nil
		return j.core, j.follow, 0, j.Records, nil
	}
	begun := time.Now()
	core = broker.New(m.opt.Broker())
	f, err = jetstream.Resume(ctx, m.opt.Node, m.opt.Log, func(past *jetstream.Past) journal.Position {
		if !m.summary.usable() {
			return 0
		}
		mark, err := m.summary.store.Load(past, core.Restore)
		if err == nil && !core.Restored(uint64(past.Head())) {
			err = errNotWhole
		}
		if err != nil {
			m.log.Info("all of the log is read, which takes longer", "why", err, "bytes", uint64(past.Tail()-past.Head()))
			core = broker.New(m.opt.Broker())
			return 0
		}
		m.log.Info("the log is read from the checkpoint on", "position", uint64(mark.Tail), "bytes", uint64(past.Tail()-mark.Tail), "took", time.Since(begun))
		known = mark.Tail
		return mark.Tail
	})
	if err != nil {
		return nil, nil, 0, 0, err
	}
	m.summary.mu.Lock()
	m.summary.at = max(known, f.Head())
	m.summary.mu.Unlock()
	return core, f, known, 0, nil
}

var errNotWhole = errors.New("no checkpoint: it is not whole")

// summary is the last checkpoint, and when the next one is due.
type summary struct {
	store *checkpoint.Store // nil: none are written
	every int64
	log   *slog.Logger
	saves sync.WaitGroup

	mu     sync.Mutex
	at     journal.Position // up to which the last one tells
	size   int64            // of the last one, in bytes
	saving bool
	void   bool // the last one is of a log that has been filled anew since
}

// usable says whether there may be a checkpoint of the log as it is.
func (s *summary) usable() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.store != nil && !s.void
}

// refilled makes the last checkpoint one of what does not count any more.
func (s *summary) refilled() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.void = true
}

// making is a checkpoint that is being made. The zero value is none.
type making struct {
	replay func(journal.Record) error
	mark   jetstream.Mark
	stop   *atomic.Bool
	made   chan *broker.Checkpoint // nil: none is being made
	kept   []journal.Record        // of the log, meanwhile
	bytes  int
}

// take gives a record to the core, or keeps it while that is being summarised.
func (k *making) take(r journal.Record) error {
	if k.made == nil {
		return k.replay(r)
	}
	r.Data = slices.Clone(r.Data)
	k.kept = append(k.kept, r)
	k.bytes += len(r.Data)
	return nil
}

// abandon ends it. What was kept is lost with the core.
func (k *making) abandon() {
	if k.made != nil {
		k.stop.Store(true)
		<-k.made
		k.made = nil
	}
}

// begin begins to make a checkpoint of a core that has been given all that the follower has read, if it is time.
func (s *summary) begin(k *making, core *broker.Broker, f *jetstream.Follower) {
	mark := f.Last()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.store == nil || k.made != nil || s.saving || mark.Tail <= s.at || int64(mark.Tail-s.at) < max(s.every, checkpoint.Factor*s.size) {
		return
	}
	k.mark, k.stop, k.made, k.bytes = mark, new(atomic.Bool), make(chan *broker.Checkpoint, 1), 0
	go func() { k.made <- core.Checkpoint(k.stop.Load) }()
}

// progress looks whether a checkpoint has been made, and then writes it and gives the core what was kept. A log that does not go on cannot wait for it.
func (s *summary) progress(k *making, goesOn bool) error {
	if k.made == nil {
		return nil
	}
	var made *broker.Checkpoint
	if !goesOn || k.bytes > keepBytes {
		if !goesOn {
			k.stop.Store(true)
		}
		made = <-k.made
	} else {
		select {
		case made = <-k.made:
		default:
			return nil
		}
	}
	k.made = nil
	if made != nil {
		s.save(made, k.mark)
	}
	for _, r := range k.kept {
		if err := k.replay(r); err != nil {
			return err
		}
	}
	k.kept = nil
	return nil
}

// save writes a checkpoint beside all else.
func (s *summary) save(made *broker.Checkpoint, mark jetstream.Mark) {
	s.mu.Lock()
	s.saving = true
	s.mu.Unlock()
	s.saves.Go(func() {
		begun := time.Now()
		header := func(journal.Position) ([journal.HeaderSize]byte, error) { return mark.Header, nil }
		size, err := s.store.Save(header, checkpoint.Mark{Batch: mark.Batch, Tail: mark.Tail}, made.Write)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.at, s.saving = max(s.at, mark.Tail), false // after a failure too: the next try is due in its time
		if err != nil {
			s.log.Warn("no checkpoint could be written; the next start reads more of the log", "error", err)
			return
		}
		s.size, s.void = size, false
		s.log.Debug("checkpoint written", "tail", uint64(mark.Tail), "bytes", size, "took", time.Since(begun))
	})
}

// verify reads, slowly, what a start has passed over, so that damage in there is found before a message is wanted. What is damaged on this node only is read from another.
func (m *Member) verify(ctx context.Context, f *jetstream.Follower, upTo journal.Position) {
	from := f.Head()
	if upTo <= from {
		return
	}
	m.verified.Go(func() {
		begun := time.Now()
		err := f.Scrub(ctx, func(r journal.Record) error {
			ahead := time.Duration((float64(r.Position)-float64(from))/scrubRate*float64(time.Second)) - time.Since(begun)
			if ahead < 100*time.Millisecond {
				return nil
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(ahead):
				return nil
			}
		})
		switch {
		case ctx.Err() != nil:
		case errors.Is(err, journal.ErrCorrupt):
			m.log.Error("the log is damaged in all its replicas, in a part that was not read at the start: what is in it is missed when its turn comes", "error", err)
			m.mu.Lock()
			m.status.Damaged = true
			m.mu.Unlock()
		case err != nil:
			m.log.Warn("the log could not be verified behind the start", "error", err)
		default:
			m.log.Info("the part of the log that was not read at the start is whole", "bytes", uint64(upTo-from), "took", time.Since(begun))
		}
	})
}
