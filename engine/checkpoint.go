package engine

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/journal"
	"github.com/godwitmq/godwit/journal/checkpoint"
)

// A checkpoint of the core is written whenever the log has grown by Options.CheckpointEvery since the last one, and by checkpoint.Factor times what the last one
// took: so a start never reads much more than that.
const (
	// checkpointAtStop is the part of that growth for which a clean stop writes one.
	checkpointAtStop = 1. / 64
	// scrubRate is how fast what a start has not read is verified behind it, in bytes a second.
	scrubRate = 64 << 20
)

// checkpoints is when the next one is due.
type checkpoints struct {
	store *checkpoint.Store // nil: none are written
	every int64
	batch journal.Position // of the last append; guarded by Engine.busy
	// atStop says that a clean stop writes one. Where another instance waits for the log it does not, because that would have to wait for it.
	atStop bool

	mu     sync.Mutex
	at     journal.Position // up to which the last one tells
	size   int64            // of the last one
	saving chan struct{}    // closed when the one that is being written is done; nil: none is
	saves  sync.WaitGroup
}

// grown is by how much the log has grown since the last one, and whether that is time for the next.
func (c *checkpoints) grown(end journal.Position) (bytes int64, due bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.store == nil || end <= c.at {
		return 0, false
	}
	bytes = int64(end - c.at)
	return bytes, c.saving == nil && bytes >= max(c.every, checkpoint.Factor*c.size)
}

// recover brings a new core up from the log: from its checkpoint and what follows, or from all of it.
func (e *Engine) recover() error {
	begun := time.Now()
	from, err := e.restore()
	if err != nil {
		return err
	}
	records := 0
	err = e.log.Read(from, func(r journal.Record) error {
		records++
		return e.core.Replay(uint64(r.Position), r.Data)
	})
	if err != nil {
		return fmt.Errorf("read the journal back: %w", err)
	}
	if records > 0 || from > 0 {
		e.opt.Logger.Info("journal read back", "records", records, "bytes", uint64(e.log.Tail()-max(from, e.log.Head())), "checkpoint", uint64(from), "took", time.Since(begun))
	}
	return nil
}

// restore makes the core of the checkpoint and returns up to where that tells, or an empty one and 0.
func (e *Engine) restore() (journal.Position, error) {
	e.core = broker.New(e.opt.Broker)
	c := &e.checkpoints
	c.store, c.every, c.atStop = e.opt.Checkpoints, e.opt.CheckpointEvery, true
	c.at = e.log.Head()
	if c.store == nil {
		return 0, nil
	}
	mark, err := c.store.Load(e.log, e.core.Restore)
	if err == nil && !e.core.Restored(uint64(e.log.Head())) {
		err = fmt.Errorf("%w: it is not whole", checkpoint.ErrNone)
	}
	if err != nil {
		if e.log.Tail() > e.log.Head() {
			e.opt.Logger.Info("all of the journal is read, which takes longer", "why", err)
		}
		e.core = broker.New(e.opt.Broker)
		return 0, nil
	}
	c.at, e.restored = mark.Tail, mark.Tail
	return mark.Tail, nil
}

// checkpoint begins to write one if it is time. The caller has busy.
func (e *Engine) checkpoint() {
	if _, due := e.checkpoints.grown(e.end); due {
		e.append()
		e.begin()
	}
}

// begin begins to write one. The caller has busy, and all has been appended.
func (e *Engine) begin() (saving <-chan struct{}) {
	if e.Err() != nil {
		return nil
	}
	made := e.core.Checkpoint(nil)
	if made == nil {
		return nil
	}
	c := &e.checkpoints
	c.mu.Lock()
	c.saving = make(chan struct{})
	saving = c.saving
	c.mu.Unlock()
	mark := checkpoint.Mark{Batch: c.batch, Tail: e.end}
	e.afterDurable(func() { c.saves.Go(func() { e.save(made, mark) }) })
	return saving
}

// save writes a checkpoint whose batch is durable.
func (e *Engine) save(made *broker.Checkpoint, mark checkpoint.Mark) {
	begun := time.Now()
	size, err := e.checkpoints.store.Save(e.log.Header, mark, made.Write)
	switch {
	case err == nil:
		e.opt.Logger.Debug("checkpoint written", "tail", uint64(mark.Tail), "bytes", size, "took", time.Since(begun))
	case !errors.Is(err, journal.ErrClosed):
		e.opt.Logger.Warn("no checkpoint could be written; the next start reads more of the journal", "error", err)
	}
	c := &e.checkpoints
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = mark.Tail // after a failure too: the next try is due in its time
	if err == nil {
		c.size = size
	}
	close(c.saving)
	c.saving = nil
}

// lastCheckpoint writes one for a clean stop, if the log has grown since the last. The caller has busy, and everything has been appended.
func (e *Engine) lastCheckpoint() {
	c := &e.checkpoints
	if !c.atStop {
		return
	}
	c.mu.Lock()
	saving := c.saving
	c.mu.Unlock()
	e.await(saving)
	if grown, _ := c.grown(e.end); float64(grown) >= checkpointAtStop*float64(c.every) {
		e.await(e.begin())
	}
}

// await waits until a checkpoint has been written, or the log has failed.
func (e *Engine) await(saving <-chan struct{}) {
	if saving == nil {
		return
	}
	select {
	case <-saving:
	case <-e.failed:
	}
}

// afterDurable calls a function, which must not wait, when all that was appended is durable. It is never called if the log fails. The caller has busy, and the batch
// is empty.
func (e *Engine) afterDurable(then func()) {
	h := &e.held
	h.mu.Lock()
	if e.behind() {
		g := h.waiting(e.end)
		g.then = append(g.then, then)
		h.mu.Unlock()
		return
	}
	h.mu.Unlock()
	then()
}

// Damaged says whether a part of the log that the start did not read has turned out to be damaged. What is in it is missed when its turn comes.
func (e *Engine) Damaged() bool { return e.damaged.Load() }

// scrub reads, slowly, what the start has left out because a checkpoint told of it, so that damage in there is found before a message is wanted.
func (e *Engine) scrub(upTo journal.Position) {
	begun := time.Now()
	head := e.log.Head()
	err := e.log.Read(head, func(r journal.Record) error {
		if r.Position >= upTo {
			return errScrubbed
		}
		ahead := time.Duration(float64(r.Position-head)/scrubRate*float64(time.Second)) - time.Since(begun)
		if ahead < 100*time.Millisecond {
			return nil
		}
		select {
		case <-e.done:
			return errScrubbed
		case <-time.After(ahead):
			return nil
		}
	})
	switch {
	case err == nil || errors.Is(err, errScrubbed) || errors.Is(err, journal.ErrTrimmed) || errors.Is(err, journal.ErrClosed):
	case errors.Is(err, journal.ErrCorrupt):
		e.opt.Logger.Error("the journal is damaged in a part that was not read at the start: stop the broker and see what is lost before it is wanted", "error", err)
		e.damaged.Store(true)
	default:
		e.opt.Logger.Warn("the journal could not be verified behind the start", "error", err)
	}
}

var errScrubbed = errors.New("all that was to be verified is")
