// Package segment is the journal's engine for one node: files of one directory, written one after the other and used again.
//
// One goroutine writes. While it waits for the disk, appends gather; then it takes all of them, writes them at once and syncs
// once: group commit without a timer. The files are as long as they will ever be before the first batch goes into them, so that a sync has only data to
// write. docs/journal.md has the bytes and the reasons.
package segment

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/godwitmq/godwit/journal"
	"github.com/godwitmq/godwit/journal/layout"
	"github.com/godwitmq/godwit/vfs"
)

// Options of a log. The zero value works.
type Options struct {
	// FS holds the files. nil means vfs.OS.
	FS vfs.FS
	// SegmentSize is the size of a file in bytes, at least 32 KiB. 0 means 16 MiB.
	SegmentSize int64
	// MaxBytes limits what all files together take. 0 means that the disk is the limit. At least 4 segments; with less the segments are made smaller.
	MaxBytes int64
	// Reserve is what only urgent appends may use, in bytes. 0 means a quarter of a segment.
	Reserve int64
	// MaxPending is how many bytes may wait for the disk before Append blocks. 0 means 64 MiB.
	MaxPending int64
	// Logger gets what an operator should know. nil means slog.Default.
	Logger *slog.Logger
	// Inline makes a log without goroutines: appends are written when the owner calls Flush, which also calls Notify, and Append never
	// blocks. For simulations that must be deterministic.
	Inline bool
}

const (
	minSegment = 32 << 10
	firstSize  = 256 << 10 // of the first segment ever, so that a new log is ready at once
	maxBatch   = 1 << 30
)

func (o *Options) complete() error {
	if o.FS == nil {
		o.FS = vfs.OS{}
	}
	if o.SegmentSize == 0 {
		o.SegmentSize = 16 << 20
	}
	if o.SegmentSize < minSegment {
		return fmt.Errorf("segment size is %d bytes, the least is %d", o.SegmentSize, minSegment)
	}
	if o.MaxBytes != 0 {
		if o.MaxBytes < 4*minSegment {
			return fmt.Errorf("size limit is %d bytes, the least is %d", o.MaxBytes, 4*minSegment)
		}
		o.SegmentSize = min(o.SegmentSize, o.MaxBytes/4)
	}
	if o.Reserve == 0 {
		o.Reserve = o.SegmentSize / 4
	}
	if o.MaxPending == 0 {
		o.MaxPending = 64 << 20
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return nil
}

// item is a batch on its way to the disk.
type item struct {
	buf   []byte
	seg   *segment
	at    journal.Position
	count uint32           // of records
	own   bool             // of the engine, not of the owner
	head  journal.Position // own: what the control says
}

// Log is a journal in files. It implements journal.Log.
type Log struct {
	fs     vfs.FS
	dir    string
	opt    Options
	notify journal.Notify
	log    *slog.Logger
	lock   io.Closer
	epoch  uint64

	head    atomic.Uint64
	durable atomic.Uint64
	segs    atomic.Pointer[[]*segment] // of the log, by base; replaced, never changed

	mu        sync.Mutex
	work      sync.Cond // the writer waits for pending
	room      sync.Cond // Append waits for pending to shrink or for a segment
	pending   []item
	waiting   int64 // bytes in pending and at the writer
	cur       *segment
	next      journal.Position // of the next batch
	ready     []*segment       // empty files
	allocated int64            // bytes of all files
	allowed   int64            // bytes that may be allocated more
	making    int64            // bytes of files that are being made
	told      *segment         // the current segment when the janitor was last told that room runs low
	armed     bool             // the reserve was whole once
	measured  time.Time        // when allowed was
	failed    time.Time        // when the last preparation failed; zero: it did not
	asked     uint64           // counts the requests to tend
	answered  uint64           // the last request that was seen to
	lastID    uint64
	settled   journal.Position // the head as the disk knows it
	err       error            // why no append is taken
	closing   bool

	// Only the writer uses these.
	number uint64
	hash   layout.Digest
	header layout.Header
	spare  []item
	group  []byte

	kick chan struct{} // wakes the janitor
	done sync.WaitGroup
}

// Open opens the log in a directory, or makes one. It takes the directory's lock, cuts a tail that a crash has torn, raises the epoch durably,
// and returns. Errors: journal.ErrCorrupt (a *journal.CorruptError) if durable batches are missing at the end (damage further up is found by Read), a
// *vfs.LockedError if another process has the log, and what the file system says.
func Open(dir string, opt Options, notify journal.Notify) (*Log, error) {
	if err := opt.complete(); err != nil {
		return nil, fmt.Errorf("open journal %s: %w", dir, err)
	}
	fs := opt.FS
	if err := fs.MkdirAll(dir); err != nil {
		return nil, fmt.Errorf("open journal %s: %w", dir, err)
	}
	lock, err := fs.Lock(path.Join(dir, lockName))
	if err != nil {
		return nil, fmt.Errorf("open journal %s: %w", dir, err)
	}
	l := &Log{fs: fs, dir: dir, opt: opt, notify: notify, log: opt.Logger, lock: lock, kick: make(chan struct{}, 1)}
	l.work.L, l.room.L = &l.mu, &l.mu
	files, err := list(fs, dir, false)
	if err == nil {
		l.mu.Lock()
		err = l.start(files)
		l.mu.Unlock()
	}
	if err != nil {
		for _, s := range files {
			s.file.Close()
		}
		closeAll(l.ready)
		if l.cur != nil {
			l.cur.file.Close()
		}
		lock.Close()
		return nil, fmt.Errorf("open journal %s: %w", dir, err)
	}
	if !opt.Inline {
		l.done.Add(2)
		go l.write()
		go l.tend()
		l.wake()
	}
	return l, nil
}

// start brings the log from what the files say to the first batch of a new epoch. The lock is held.
func (l *Log) start(files []*segment) error {
	st, err := examine(l.dir, files)
	if err != nil {
		return err
	}
	floor, err := readFloor(l.fs, l.dir)
	if err != nil {
		return err
	}
	if st.tail < floor {
		damage := &journal.CorruptError{File: l.dir, At: st.tail, Reason: fmt.Sprintf("the log was closed at position %d, and ends at %d", floor, st.tail)}
		if n := len(st.live); n > 0 {
			damage.File, damage.Offset = st.live[n-1].name, st.live[n-1].offset(st.tail)
		}
		return damage
	}
	for _, s := range files {
		l.lastID = max(l.lastID, s.id)
		l.allocated += s.size
	}
	if err := st.rewrite(); err != nil {
		return err
	}
	l.epoch = st.link.Epoch + 1
	l.number, l.hash = max(1, st.link.Number), st.link.Hash
	l.head.Store(uint64(st.head))
	l.durable.Store(uint64(st.tail))
	l.settled = st.head
	l.next = st.tail
	l.segs.Store(&st.live)
	l.keep(st.free)
	l.measure()
	fresh := len(st.live) == 0
	if !fresh {
		l.cur = st.live[len(st.live)-1]
		if !st.clean {
			l.log.Warn("journal was not closed; its tail is where the last whole batch ends", "dir", l.dir, "tail", uint64(st.tail), "epoch", st.link.Epoch)
		}
	}
	c := control{kind: controlOpen, head: st.head}
	if fresh || l.cur.offset(l.next)+controlSize > l.cur.size {
		if len(l.ready) == 0 {
			size := l.opt.SegmentSize
			if fresh {
				size = min(size, firstSize)
			}
			s, err := l.prepare(size)
			if err != nil {
				return err
			}
			l.ready = append(l.ready, s)
		}
		l.enter(0)
	}
	if fresh {
		c.head = l.next + controlSize
		l.head.Store(uint64(c.head))
		l.settled = c.head
	}
	c.file = l.cur.id
	l.pushControl(c)
	items := l.pending
	l.pending = nil
	l.waiting = 0
	for len(items) > 0 {
		n := l.span(items)
		if err := l.commit(items[:n]); err != nil {
			return err
		}
		items = items[n:]
	}
	l.durable.Store(uint64(l.next))
	return nil
}

// Epoch is this writer's epoch.
func (l *Log) Epoch() uint64 { return l.epoch }

// Head is the position that Trim was last given, or the first position of a log that was never trimmed.
func (l *Log) Head() journal.Position { return journal.Position(l.head.Load()) }

// Tail is the position after the newest durable batch.
func (l *Log) Tail() journal.Position { return journal.Position(l.durable.Load()) }

// Close writes what is pending, marks the log as closed and releases it. It returns ErrBroken if the log is broken, ErrClosed if it was closed before.
func (l *Log) Close() error {
	l.mu.Lock()
	if l.closing {
		l.mu.Unlock()
		return fmt.Errorf("close journal %s: %w", l.dir, journal.ErrClosed)
	}
	if l.err == nil && l.cur.offset(l.next)+controlSize <= l.cur.size {
		l.pushControl(control{kind: controlClose, head: l.Head(), file: l.cur.id})
	}
	l.closing = true
	l.work.Broadcast()
	l.room.Broadcast()
	l.mu.Unlock()
	if l.opt.Inline {
		l.flush()
	} else {
		close(l.kick)
		l.done.Wait()
	}
	l.mu.Lock()
	err := l.err
	if err == nil {
		l.err = journal.ErrClosed
	}
	segs := *l.segs.Load()
	ready := l.ready
	l.ready = nil
	l.mu.Unlock()
	if err == nil {
		// Without it the log is as good, only a little less well guarded.
		if ferr := writeFloor(l.fs, l.dir, l.Tail()); ferr != nil {
			l.log.Warn("the position at which the journal was closed cannot be noted", "dir", l.dir, "error", ferr)
		}
	}
	for _, s := range segs {
		s.gate.Lock()
		s.gone = true
		s.file.Close()
		s.gate.Unlock()
	}
	closeAll(ready)
	if cerr := l.lock.Close(); err == nil && cerr != nil {
		err = fmt.Errorf("close journal %s: %w", l.dir, cerr)
	}
	return err
}

// publish replaces the list that readers use.
func (l *Log) publish(change func(segs []*segment) []*segment) {
	segs := change(slices.Clone(*l.segs.Load()))
	l.segs.Store(&segs)
}

func (l *Log) fail(err error) {
	err = fmt.Errorf("journal %s: %w: %w", l.dir, journal.ErrBroken, err)
	l.mu.Lock()
	l.err = err
	l.waiting = 0
	l.pending = nil
	l.work.Broadcast()
	l.room.Broadcast()
	l.mu.Unlock()
	l.log.Error("journal has failed and takes no more appends", "dir", l.dir, "error", err)
	if l.notify.Broken != nil {
		l.notify.Broken(err)
	}
}

func isFull(err error) bool { return errors.Is(err, journal.ErrFull) }
