package segment

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/godwitmq/godwit/journal"
	"github.com/godwitmq/godwit/journal/layout"
)

const (
	groupSize  = 512 << 10 // bytes gathered into one write
	groupLimit = 8 << 20   // bytes written before a sync
	directSize = 128 << 10 // a batch as large as this is written from where it lies
)

// Append implements journal.Log. The position is final at once; only a sync makes it durable.
func (l *Log) Append(b *journal.Batch, urgent bool) error {
	size := int64(b.Size())
	if b.Len() == 0 || size > maxBatch {
		return fmt.Errorf("append a batch of %d records, %d bytes: must be 1 record and at most %d bytes", b.Len(), size, maxBatch)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.err == nil && !l.closing && l.waiting > l.opt.MaxPending && !l.opt.Inline {
		l.room.Wait()
	}
	if err := l.reserveRoom(size, urgent); err != nil {
		return err
	}
	b.Place(l.next)
	l.push(item{buf: b.Bytes(), seg: l.cur, at: l.next, count: uint32(b.Len())})
	return nil
}

func (l *Log) usable() error {
	if l.err != nil {
		return l.err
	}
	if l.closing {
		return journal.ErrClosed
	}
	return nil
}

// reserveRoom makes the current segment one that has room for size bytes at next, or says ErrFull. Nothing is accepted that has no place on the
// disk already. The lock is held, and released while it waits for a segment.
func (l *Log) reserveRoom(size int64, urgent bool) error {
	if err := l.usable(); err != nil {
		return err
	}
	full := func() error {
		l.wake()
		return fmt.Errorf("append %d bytes to journal %s: %w", size, l.dir, journal.ErrFull)
	}
	for try := 0; ; try++ {
		fits := l.cur.offset(l.next)+size <= l.cur.size-controlRoom
		after := l.readyRoom() - size
		if fits {
			after = l.physical() - size
		}
		if urgent || l.leavesReserve(after) {
			if fits {
				if l.told != l.cur && l.runsLow() {
					l.told = l.cur
					l.wake()
				}
				return nil
			}
			for i, s := range l.ready {
				if s.size >= size+controlSize+controlRoom {
					l.enter(i)
					l.wake()
					return nil
				}
			}
		}
		if try == 2 {
			return full()
		}
		if !urgent && !l.mayGrow() {
			if l.remeasure(); !l.mayGrow() {
				return full()
			}
		}
		if err := l.obtain(size+controlSize+controlRoom, func() bool {
			if fits {
				return urgent || l.leavesReserve(l.physical()-size)
			}
			return urgent || l.leavesReserve(l.readyRoom()-size)
		}); err != nil {
			if isFull(err) {
				return full()
			}
			return err
		}
	}
}

// enter makes a ready file the current segment. Its first batch tells what it is.
func (l *Log) enter(i int) {
	s := l.ready[i]
	l.ready = append(l.ready[:i:i], l.ready[i+1:]...)
	s.base = l.next
	l.cur = s
	l.publish(func(segs []*segment) []*segment { return append(segs, s) })
	l.pushControl(control{kind: controlSegment, head: l.Head(), file: s.id})
}

func (l *Log) pushControl(c control) {
	l.push(item{buf: c.encode(), seg: l.cur, at: l.next, own: true, head: c.head})
}

func (l *Log) push(it item) {
	l.next += journal.Position(len(it.buf))
	l.waiting += int64(len(it.buf))
	l.pending = append(l.pending, it)
	if len(l.pending) == 1 && !l.opt.Inline {
		l.work.Signal()
	}
}

// write is the goroutine that writes.
func (l *Log) write() {
	defer l.done.Done()
	l.mu.Lock()
	for {
		for len(l.pending) == 0 && !l.closing && l.err == nil {
			l.work.Wait()
		}
		// Who is ready to run goes first: what they have to write comes along with this sync, and that is what a sync's processor time is divided by. To let other
		// processes go first, too (sched_yield), saves twice as much on a quiet machine, and costs milliseconds beside a busy neighbour.
		l.mu.Unlock()
		runtime.Gosched()
		l.mu.Lock()
		if len(l.pending) == 0 || l.err != nil {
			l.mu.Unlock()
			return
		}
		items := l.pending
		l.pending = l.spare[:0]
		l.mu.Unlock()
		if err := l.commitAll(items); err != nil {
			l.fail(err)
			return
		}
		clear(items)
		l.spare = items
		l.mu.Lock()
	}
}

// Flush writes and syncs what is pending and calls Notify. Only for an inline log; others do it by themselves.
func (l *Log) Flush() error {
	if !l.opt.Inline {
		return errors.New("flush of a journal that is not inline")
	}
	l.mu.Lock()
	err := l.usable()
	l.mu.Unlock()
	if err != nil {
		return err
	}
	if err := l.flush(); err != nil {
		return err
	}
	l.round()
	return nil
}

func (l *Log) flush() error {
	for {
		l.mu.Lock()
		items, err := l.pending, l.err
		l.pending = l.spare[:0]
		l.mu.Unlock()
		if err != nil || len(items) == 0 {
			return err
		}
		if err := l.commitAll(items); err != nil {
			l.fail(err)
			return l.err
		}
		clear(items)
		l.spare = items
	}
}

// commitAll makes items durable, group by group, and reports each group.
func (l *Log) commitAll(items []item) error {
	for len(items) > 0 {
		n := l.span(items)
		if err := l.commit(items[:n]); err != nil {
			return err
		}
		var bytes int64
		var settled journal.Position
		report := false
		for i := range items[:n] {
			bytes += int64(len(items[i].buf))
			report = report || !items[i].own
			settled = max(settled, items[i].head)
		}
		end := items[n-1].at + journal.Position(len(items[n-1].buf))
		l.durable.Store(uint64(end))
		l.mu.Lock()
		blocked := l.waiting > l.opt.MaxPending
		l.waiting -= bytes
		if blocked {
			l.room.Broadcast()
		}
		if settled > l.settled {
			l.settled = settled
			l.wake()
		}
		l.mu.Unlock()
		if report && l.notify.Durable != nil {
			l.notify.Durable(end)
		}
		items = items[n:]
	}
	return nil
}

// span is how many of the items go into one sync: those of the first one's segment, up to a limit. A group never spans segments, so that
// a batch in a later segment proves that all before it was durable.
func (l *Log) span(items []item) int {
	total := 0
	for i := range items {
		total += len(items[i].buf)
		if items[i].seg != items[0].seg || i > 0 && total > groupLimit {
			return i
		}
	}
	return len(items)
}

// commit writes the items, which follow one another in one segment, and syncs once.
func (l *Log) commit(items []item) error {
	var (
		seg   = items[0].seg
		start = items[0].at
		at    = start // of what is in group
		group = l.group[:0]
	)
	put := func(b []byte) error {
		_, err := seg.file.WriteAt(b, seg.offset(at))
		if err != nil {
			return fmt.Errorf("write %s at offset %d: %w", seg.name, seg.offset(at), err)
		}
		at += journal.Position(len(b))
		return nil
	}
	for i := range items {
		it := &items[i]
		l.seal(it, start)
		direct := len(it.buf) >= directSize
		if len(group) > 0 && (direct || len(group)+len(it.buf) > groupSize) {
			if err := put(group); err != nil {
				return err
			}
			group = group[:0]
		}
		if direct {
			if err := put(it.buf); err != nil {
				return err
			}
			continue
		}
		group = append(group, it.buf...)
	}
	// Zeros up to the end of the block spare the system reading the block first, where a reused file is not in its cache.
	end := seg.offset(at) + int64(len(group))
	pad := min(-end&(block-1), seg.size-end)
	group = append(group, zeros[:pad]...)
	if len(group) > 0 {
		if err := put(group); err != nil {
			return err
		}
	}
	l.group = group
	if err := seg.file.Datasync(); err != nil {
		return fmt.Errorf("sync %s: %w", seg.name, err)
	}
	return nil
}

// zeros is never written to.
var zeros [block]byte

// seal completes a batch: only the writer knows what comes before it.
func (l *Log) seal(it *item, durable journal.Position) {
	h := &l.header
	*h = layout.Header{
		Epoch:    l.epoch,
		Number:   l.number,
		Base:     it.at,
		Length:   uint32(len(it.buf)),
		Unsynced: uint32(it.at - durable),
		Prev:     l.hash,
	}
	if it.own {
		h.Flags = layout.FlagControl
	} else {
		h.Count = it.count
	}
	l.hash = h.Seal(it.buf)
	l.number++
}
