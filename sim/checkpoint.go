package sim

import (
	"errors"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/journal"
	"github.com/godwitmq/godwit/journal/checkpoint"
)

// summary is a checkpoint on its way to the disk.
type summary struct {
	made *broker.Checkpoint
	mark checkpoint.Mark
}

func (w *world) store() *checkpoint.Store { return &checkpoint.Store{FS: disk{w.mem}, Dir: dir} }

// summarise makes a checkpoint now and then, right after an append.
func (w *world) summarise(batch journal.Position, last uint64) {
	if w.summary != nil || w.cfg.Bug == DropPlace || !w.chance(8) {
		return
	}
	made := w.core.Checkpoint(nil)
	if made == nil {
		w.fail("the core makes no checkpoint although all of its records have their places")
	}
	if w.cfg.Bug == StaleCheckpoint {
		if made, w.stale = w.stale, made; made == nil {
			return
		}
	}
	w.summed[journal.Position(w.end)] = last
	w.summary = &summary{made: made, mark: checkpoint.Mark{Batch: batch, Tail: journal.Position(w.end)}}
}

// saveCheckpoint writes it when its batch is durable.
func (w *world) saveCheckpoint() {
	s := w.summary
	if s == nil || uint64(s.mark.Tail) > w.durable || w.broken {
		return
	}
	w.summary = nil
	if _, err := w.store().Save(w.log.Header, s.mark, s.made.Write); err != nil {
		w.note("checkpoint not written: %v", err)
		return
	}
	w.note("checkpoint up to %d", s.mark.Tail)
}

// restore makes the core of a checkpoint if there is one, and mostly so; else an empty one. It returns the position of the last record that it knows of.
func (w *world) restore() (last uint64) {
	w.core, w.restored = broker.New(w.coreOptions()), 0
	if w.chance(4) {
		return 0
	}
	mark, err := w.store().Load(w.log, w.core.Restore)
	if err == nil && w.core.Restored(uint64(w.log.Head())) {
		w.note("restored up to %d", mark.Tail)
		w.result.Restored++
		w.restored = mark.Tail
		return w.summed[mark.Tail]
	}
	if err != nil && !errors.Is(err, checkpoint.ErrNone) {
		w.fail("the checkpoint up to %d is not understood: %v", mark.Tail, err)
	}
	w.core = broker.New(w.coreOptions())
	return 0
}
