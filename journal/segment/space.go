package segment

import (
	"errors"
	"fmt"
	"path"
	"syscall"
	"time"

	"github.com/godwitmq/godwit/journal"
)

const (
	staleAfter = time.Second            // the age at which the free space is asked for again
	holdOff    = 250 * time.Millisecond // before an attempt that failed for want of space is made again
	zeroPiece  = 1 << 20                // written and synced at a time while a file is prepared, so that commits get their turn
	rampFactor = 8                      // the second file of a new log is this much smaller than the others, to be there soon
)

// physical is the room for the owner's batches in files that exist. Like all here, it is called with the lock held where nothing else is said.
func (l *Log) physical() int64 {
	return max(0, l.cur.size-controlRoom-l.cur.offset(l.next)) + l.readyRoom()
}

func (l *Log) readyRoom() (n int64) {
	for _, s := range l.ready {
		n += s.size - controlRoom - controlSize
	}
	return n
}

// keepers is how many empty files are worth keeping: one, and what a large reserve takes.
func (l *Log) keepers() int {
	return int(l.opt.Reserve/(l.opt.SegmentSize-controlRoom-controlSize)) + 1
}

// runsLow says whether it is time to have another file ready. While all of the log lies in two files, it is left until late: the older of them is
// free by then, as a rule, and goes on as the next, so that a log with little in it stays at two. A longer one is given time to make it.
func (l *Log) runsLow() bool {
	ahead := l.opt.SegmentSize / 16
	if len(*l.segs.Load()) > 2 {
		ahead = l.opt.SegmentSize / 4
	}
	return l.physical() < l.opt.Reserve+ahead || l.cur.size < l.opt.SegmentSize && !l.hasReady(l.opt.SegmentSize)
}

// growth is what may still be made in whole segments. After a failure it counts as nothing until one was made, whatever the file system says.
func (l *Log) growth() int64 {
	if !l.failed.IsZero() {
		return 0
	}
	return l.making + l.allowed - l.allowed%l.opt.SegmentSize
}

// Space implements journal.Log.
func (l *Log) Space() journal.Space {
	l.mu.Lock()
	defer l.mu.Unlock()
	var sp journal.Space
	if l.err == nil && !l.closing {
		if l.opt.Inline {
			l.measure()
		} else if time.Since(l.measured) > staleAfter {
			l.wake()
		}
	}
	for _, s := range *l.segs.Load() {
		sp.Used += s.size
	}
	physical := l.physical()
	sp.Reserve = min(l.opt.Reserve, physical)
	sp.Free = max(0, physical+l.growth()-l.opt.Reserve)
	return sp
}

// Limit changes Options.MaxBytes, which may be less than what the files take: then no more are made. Those that are there stay as large as they are.
func (l *Log) Limit(maxBytes int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.opt.MaxBytes == maxBytes {
		return
	}
	l.opt.MaxBytes = maxBytes
	if l.err == nil && !l.closing {
		l.measure()
	}
}

// measure asks how much more may be allocated.
func (l *Log) measure() {
	free, err := l.fs.DiskFree(l.dir)
	if err != nil {
		l.log.Warn("free disk space is unknown, taken as none", "dir", l.dir, "error", err)
		free = 0
	}
	if l.opt.MaxBytes > 0 {
		free = min(free, l.opt.MaxBytes-l.allocated)
	}
	l.allowed = max(0, free)
	l.measured = time.Now()
}

// remeasure is measure for one who would otherwise be refused.
func (l *Log) remeasure() {
	if l.opt.Inline || time.Since(l.measured) > holdOff {
		l.measure()
	}
}

// wake makes the janitor look what there is to do.
func (l *Log) wake() {
	if l.opt.Inline || l.closing {
		return
	}
	select {
	case l.kick <- struct{}{}:
	default:
	}
}

// tend is the goroutine that prepares and recycles files.
func (l *Log) tend() {
	defer l.done.Done()
	for range l.kick {
		l.round()
	}
}

// round does what is to be done about files. The lock is not held.
func (l *Log) round() {
	l.mu.Lock()
	defer l.mu.Unlock()
	asked := l.asked
	l.measure()
	l.recycle()
	l.replenish(asked > l.answered)
	l.answered = asked
	l.room.Broadcast()
}

// leavesReserve says whether an append that leaves so much room in files that exist keeps the reserve whole. Until a new log has its
// reserve for the first time, the promise of the file system is enough, so that it need not wait for the first files.
func (l *Log) leavesReserve(after int64) bool {
	if after >= l.opt.Reserve {
		l.armed = true
		return true
	}
	return !l.armed && after+l.growth() >= l.opt.Reserve
}

// mayGrow says whether waiting for the janitor can help.
func (l *Log) mayGrow() bool { return l.making > 0 || l.growth() > 0 }

// obtain waits until the janitor has done what can be done for a file of at least size bytes, and more. The lock is released meanwhile.
func (l *Log) obtain(size int64, enough func() bool) error {
	if size > l.opt.SegmentSize {
		if !l.hasReady(size) {
			if err := l.obtainLong(size); err != nil {
				return err
			}
		}
		if enough() {
			return nil
		}
	}
	if l.opt.Inline {
		l.measure()
		l.recycle()
		l.replenish(true)
		return l.another(enough)
	}
	l.asked++
	for asked := l.asked; l.answered < asked && !(l.hasReady(size) && enough()); {
		l.wake()
		l.room.Wait()
		if err := l.usable(); err != nil {
			return err
		}
	}
	return l.another(enough)
}

// another makes one file more than the janitor keeps, where a batch nearly as large as a segment would eat into the reserve.
func (l *Log) another(enough func() bool) error {
	if err := l.usable(); err != nil || enough() || l.growth() < l.opt.SegmentSize {
		return err
	}
	return l.obtainLong(l.opt.SegmentSize)
}

func (l *Log) hasReady(size int64) bool {
	for _, s := range l.ready {
		if s.size >= size {
			return true
		}
	}
	return false
}

// obtainLong makes a file for one batch that is larger than a segment. It is allocated and not pre-written: the batch fills it at once.
func (l *Log) obtainLong(size int64) error {
	size = (size + block - 1) &^ (block - 1)
	l.measure()
	if size > l.allowed {
		return journal.ErrFull
	}
	s, err := l.create(size, func(s *segment) error { return s.file.Allocate(size) })
	if err != nil {
		l.log.Warn("no long segment could be made", "dir", l.dir, "bytes", size, "error", err)
		return journal.ErrFull
	}
	l.ready = append(l.ready, s)
	return l.usable()
}

// replenish makes files until one whole segment, and the reserve, is ready, if it is time for that or an append waits.
func (l *Log) replenish(waits bool) {
	for !l.closing && l.err == nil {
		size := l.opt.SegmentSize
		if !waits && !l.runsLow() || l.hasReady(size) && l.readyRoom() >= l.opt.Reserve {
			return
		}
		if len(l.ready) == 0 && l.cur.base == 0 && l.cur.size == firstSize {
			size = max(size/rampFactor, min(size, firstSize))
		}
		if size > l.allowed || !l.opt.Inline && !l.failed.IsZero() && time.Since(l.failed) < holdOff {
			return
		}
		s, err := l.prepare(size)
		if err != nil {
			if l.failed.IsZero() {
				l.log.Warn("no segment could be prepared", "dir", l.dir, "bytes", size, "error", err)
			}
			l.failed = time.Now()
			l.allowed = 0
			return
		}
		l.failed = time.Time{}
		l.ready = append(l.ready, s)
		l.room.Broadcast()
	}
}

// prepare makes a file of zeros, all of it on the disk.
func (l *Log) prepare(size int64) (*segment, error) {
	return l.create(size, func(s *segment) error {
		zeros := make([]byte, min(size, zeroPiece))
		for at := int64(0); at < size; {
			n, err := s.file.WriteAt(zeros[:min(int64(len(zeros)), size-at)], at)
			if err != nil {
				return err
			}
			at += int64(n)
			if err := s.file.Datasync(); err != nil {
				return err
			}
		}
		return nil
	})
}

// create makes a file under a passing name, lets fill do its work, and gives it its own name, durably. The lock is released meanwhile.
func (l *Log) create(size int64, fill func(*segment) error) (s *segment, err error) {
	l.lastID++
	s = &segment{id: l.lastID, size: size, name: path.Join(l.dir, fileName(l.lastID))}
	passing := s.name + unfinished
	l.allocated += size
	l.allowed -= size
	l.making += size
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		l.making -= size
		if err != nil {
			l.allocated -= size
			if errors.Is(err, syscall.ENOSPC) {
				l.allowed = 0
			}
		}
	}()
	if s.file, err = l.fs.Create(passing); err != nil {
		return nil, fmt.Errorf("create segment: %w", err)
	}
	if err = fill(s); err == nil {
		if err = l.fs.Rename(passing, s.name); err == nil {
			passing = s.name
			err = l.fs.SyncDir(l.dir)
		}
	}
	if err != nil {
		s.file.Close()
		l.fs.Remove(passing)
		return nil, fmt.Errorf("create segment: %w", err)
	}
	return s, nil
}

// Trim implements journal.Log. The files go when the disk knows of the new head.
func (l *Log) Trim(before journal.Position) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.usable(); err != nil {
		return err
	}
	if before > l.Tail() {
		return fmt.Errorf("trim journal %s before %d: the durable tail is %d", l.dir, before, l.Tail())
	}
	if before <= l.Head() {
		return nil
	}
	l.head.Store(uint64(before))
	segs := *l.segs.Load()
	frees := len(segs) > 1 && segs[1].base <= before
	left := l.cur.size - l.cur.offset(l.next)
	switch {
	case left >= controlRoom/2 || left >= controlSize && frees:
		l.pushControl(control{kind: controlTrim, head: before, file: l.cur.id})
	case len(l.ready) > 0:
		l.enter(0) // its first batch names the head
		l.wake()
	}
	// Else the head goes to the disk with the next control: there is no room, and nothing that a trim could free.
	return nil
}

// recycle takes the files before the head out of the log, and keeps some of them for what comes.
func (l *Log) recycle() {
	segs := *l.segs.Load()
	n := 0
	for n+1 < len(segs) && segs[n+1].base <= l.settled {
		n++
	}
	if n == 0 {
		return
	}
	old := segs[:n]
	l.publish(func(segs []*segment) []*segment { return segs[n:] })
	places := l.keepers() - len(l.ready)
	ids := l.lastID
	l.lastID += uint64(n)
	l.mu.Unlock()
	var again []*segment
	var freed int64
	for _, s := range old {
		s.gate.Lock() // waits for readers
		s.gone = true
		s.gate.Unlock()
		if s.size == l.opt.SegmentSize && len(again) < places {
			ids++
			t := &segment{id: ids, name: path.Join(l.dir, fileName(ids)), file: s.file, size: s.size}
			if err := l.fs.Rename(s.name, t.name); err != nil {
				l.log.Warn("trimmed segment cannot be renamed", "file", s.name, "error", err)
				t.id, t.name = s.id, s.name // the name is of no consequence
			}
			again = append(again, t)
			continue
		}
		s.file.Close()
		if err := l.fs.Remove(s.name); err != nil {
			l.log.Warn("trimmed segment cannot be removed", "file", s.name, "error", err)
			continue
		}
		freed += s.size
	}
	if err := l.fs.SyncDir(l.dir); err != nil {
		l.log.Warn("journal directory cannot be synced", "dir", l.dir, "error", err)
	}
	l.mu.Lock()
	l.ready = append(l.ready, again...)
	l.allocated -= freed
	l.measure()
	l.failed = time.Time{}
	l.room.Broadcast()
}

// keep takes over files that hold nothing of the log: some to use, the others to remove. Only called by Open.
func (l *Log) keep(files []*segment) {
	for _, s := range files {
		if s.size == l.opt.SegmentSize && len(l.ready) < l.keepers() {
			l.ready = append(l.ready, s)
			continue
		}
		s.file.Close()
		if err := l.fs.Remove(s.name); err != nil {
			l.log.Warn("empty segment cannot be removed", "file", s.name, "error", err)
			continue
		}
		l.allocated -= s.size
	}
}
