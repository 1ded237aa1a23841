// Package jetstream is the journal's engine for several nodes: a NATS JetStream stream with three replicas, in servers embedded in the nodes or in a
// cluster that others run.
//
// One message of the stream is one batch, or several that waited together, or a part of a very long one. Each is appended on the condition that the stream ends
// where the writer believes, so that the stream itself refuses a writer that has been overtaken. A writer begins with a batch that raises the epoch; whoever
// gets that one in has the log, and no clock has a say in it. What comes back is believed only as far as the batches prove it: number, epoch, checksum and
// the hash of the batch before. docs/journal.md has the bytes and the reasons.
package jetstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/godwitmq/godwit/journal"
	"github.com/godwitmq/godwit/journal/layout"
	"github.com/godwitmq/godwit/vfs"
)

// Log is a replicated journal, open for writing. It implements journal.Log.
type Log struct {
	s      *stream
	opt    Options
	notify journal.Notify
	log    *slog.Logger
	epoch  uint64
	state  State  // said in every control
	copy   uint64 // while the log is being filled: with which copy
	index  *index
	recent recent
	ctx    context.Context // ends with the log
	cancel context.CancelFunc
	pub    Publisher

	head    atomic.Uint64
	durable atomic.Uint64

	mu         sync.Mutex
	room       sync.Cond // Append, Close and HandOver wait for what is pending to become less
	next       journal.Position
	waiting    []item
	parts      []message // of a long batch, not yet sent
	inflight   []*message
	pending    int64 // bytes not durable yet
	sinceOwn   int   // batches since the last control
	sinceBytes int64
	busy       bool // the writer has appended something since the last heartbeat was due
	pumping    bool
	holding    bool // nothing is sent: the stream changes its leader
	recovering bool
	refusal    error            // the last reason why an append was not taken
	overhead   int64            // messages of the stream
	purged     uint64           // the last sequence that the stream has forgotten
	purgeTo    journal.Position // what is before may be purged: the trim is durable
	err        error
	ending     error // appends are not taken any more; what is pending still is

	// Only the goroutine that has pumping uses these.
	link   layout.Link
	seq    uint64           // of the next message
	sentTo journal.Position // where that begins

	notifying sync.Mutex // held around Durable and Broken
	free      freeSpace
	trouble   chan struct{} // wakes keep: something was not acknowledged
	answer    chan struct{} // wakes recover: an answer has come
	done      sync.WaitGroup
	ended     sync.Once
}

// item is a batch that waits to be sent.
type item struct {
	buf   []byte
	count uint32
	own   bool // of the log, not of its owner
	head  journal.Position
}

// message is one message of the stream on its way.
type message struct {
	seq     uint64
	data    []byte
	base    journal.Position
	covers  uint64
	size    int64            // of its batches
	report  bool             // the owner is to be told
	head    journal.Position // a trim that is durable with it
	sent    time.Time
	sending bool // its data is being read
	stored  bool
}

const (
	// window is how many messages may be unanswered; what is appended meanwhile waits and is put together. It must be 1. The condition of an append is a sequence, which
	// says how many messages there are but not whose: of two on their way, the first may find its place taken by the record of a new epoch, and the second, which expects
	// just one message there, would then be stored behind that record. Followers would take it for what it looks like, a fork, and stop.
	window = 1
	// answerWithin is how long an answer may take before it is asked what has become of a message.
	answerWithin = 300 * time.Millisecond
	// retryAfter is how long it may take when it is sent again, and twice as long each time, up to retryMost, so that a slow cluster does not get the more to do, but a
	// stream that has a leader again hears of its writer before a follower takes it for silent. A stream without a leader refuses at once, and is tried again at once.
	retryAfter = 200 * time.Millisecond
	retryMost  = 400 * time.Millisecond
	// controlEvery is after how many batches, or bytes, of its owner the log writes a control, which names the head.
	controlEvery      = 64
	controlEveryBytes = 8 << 20
	// purgeStep is from how many bytes on it is worth telling the stream of a new head.
	purgeStep = 1 << 20
	// messageOverhead is what a message takes beside its batches, about: the server's own frame, subject and headers.
	messageOverhead = 128
	maxBatch        = 1 << 30
)

// Open opens a log for writing, whoever writes it now: that one is deposed. It waits until most of the nodes are there.
func Open(ctx context.Context, node *Node, opt Options, notify journal.Notify) (*Log, error) {
	for {
		f, err := followEnd(ctx, node, opt)
		if err != nil && f == nil {
			return nil, fmt.Errorf("open log %s: %w", opt.Name, err)
		}
		var l *Log
		if err == nil {
			l, err = f.Lead(ctx, notify)
		}
		if err == nil {
			return l, nil
		}
		f.Close()
		if !errors.Is(err, journal.ErrDeposed) { // else somebody wrote meanwhile
			return nil, fmt.Errorf("open log %s: %w", opt.Name, err)
		}
	}
}

// followEnd begins at the end of what the log has now, and reads that. Beside an error there may be a follower, to be closed.
func followEnd(ctx context.Context, node *Node, opt Options) (*Follower, error) {
	f, err := follow(ctx, node, opt, func(f *Follower) (uint64, error) { return f.s.firstPart(ctx, f.known) })
	if err != nil {
		return nil, err
	}
	for f.chain.seq <= f.known {
		if _, err := f.Next(ctx, nil); err != nil {
			return f, err
		}
	}
	return f, nil
}

// newLog begins with what a follower has read and appended.
func newLog(f *Follower, notify journal.Notify) (*Log, error) {
	l := &Log{
		s: f.s, opt: f.opt, notify: notify, log: f.opt.Logger, epoch: f.chain.link.Epoch, state: f.state, index: f.index,
		next: f.chain.at, sentTo: f.chain.at, link: f.chain.link, seq: f.chain.seq, overhead: int64(f.chain.seq - f.first), purged: f.first - 1,
		trouble: make(chan struct{}, 1), answer: make(chan struct{}, 1),
	}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.room.L = &l.mu
	if f.state == Filling {
		l.copy, l.purgeTo = f.copy, f.head
	}
	l.head.Store(uint64(f.head))
	l.durable.Store(uint64(f.chain.at))
	var err error
	if l.pub, err = l.s.Publisher(l.answered); err != nil {
		return nil, err
	}
	l.s.node.writers.Add(1)
	l.done.Add(2)
	go l.keep()
	go l.tend()
	return l, nil
}

// Epoch implements journal.Log.
func (l *Log) Epoch() uint64 { return l.epoch }

// Head implements journal.Log.
func (l *Log) Head() journal.Position { return journal.Position(l.head.Load()) }

// Tail implements journal.Log.
func (l *Log) Tail() journal.Position { return journal.Position(l.durable.Load()) }

func (l *Log) usable() error {
	if l.err != nil {
		return l.err
	}
	return l.ending
}

// readable is why nothing can be read. A log that is broken can still be.
func (l *Log) readable() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if errors.Is(l.err, journal.ErrClosed) {
		return l.err
	}
	return nil
}

// freeSpace is what the disk has, asked for once a second at most.
type freeSpace struct {
	mu    sync.Mutex
	bytes int64
	asked time.Time
}

// diskFree is how much this node's disk has left. Other nodes' disks are not known; if one of them is full, the log goes on with the others.
func (l *Log) diskFree() int64 {
	if l.s.node.opt.Dir == "" {
		return math.MaxInt64 / 4
	}
	f := &l.free
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := time.Now(); now.Sub(f.asked) > time.Second {
		free, err := vfs.OS{}.DiskFree(l.s.node.opt.Dir)
		if err != nil {
			l.log.Warn("free disk space is unknown, taken as none", "error", err)
			free = 0
		}
		f.bytes, f.asked = free, now
	}
	return f.bytes
}

// Limit changes Options.MaxBytes.
func (l *Log) Limit(maxBytes int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.opt.MaxBytes = maxBytes
}

// space is called with the lock held.
func (l *Log) space(disk int64) journal.Space {
	sp := journal.Space{Used: int64(l.next-l.Head()) + l.overhead*messageOverhead}
	room := disk
	if l.opt.MaxBytes > 0 {
		room = min(room, l.opt.MaxBytes-sp.Used)
	}
	sp.Reserve = max(0, min(l.opt.Reserve, room))
	sp.Free = max(0, room-l.opt.Reserve)
	return sp
}

// Space implements journal.Log. The reserve is not allocated on the disks, only kept back.
func (l *Log) Space() journal.Space {
	disk := l.diskFree()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.space(disk)
}

// Stalled is for how long the oldest append that is not durable has been on its way; 0 if there is none.
func (l *Log) Stalled() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.inflight) == 0 {
		return 0
	}
	return time.Since(l.inflight[0].sent)
}

// Trim implements journal.Log. The stream is told of it when enough can go.
func (l *Log) Trim(before journal.Position) error {
	l.mu.Lock()
	if err := l.usable(); err != nil {
		l.mu.Unlock()
		return err
	}
	if before > l.Tail() {
		l.mu.Unlock()
		return fmt.Errorf("trim stream %s before %d: the durable tail is %d", l.s.name, before, l.Tail())
	}
	if before <= l.Head() {
		l.mu.Unlock()
		return nil
	}
	l.head.Store(uint64(before))
	l.pushControl(control{kind: controlTrim, head: before})
	l.mu.Unlock()
	l.pump()
	return nil
}

// purge tells the stream of the head, if that is worth it.
func (l *Log) purge(head journal.Position) {
	// What covers the byte before the batch with the head, and all before, may go.
	seq, base, _, _ := l.index.find(head)
	if seq == 0 || base == 0 {
		return
	}
	last, _, _, _ := l.index.find(base - 1)
	if last == 0 {
		return // not known what is there; a later trim will know
	}
	l.mu.Lock()
	was := l.purged
	l.mu.Unlock()
	if last < was+1 {
		return
	}
	if err := l.s.Purge(l.ctx, last+1); err != nil {
		l.log.Debug("the log's stream could not be trimmed just now", "stream", l.s.name, "error", err)
		return
	}
	l.index.forget(last + 1)
	l.mu.Lock()
	l.overhead -= int64(last - was)
	l.purged = last
	l.mu.Unlock()
}

// Close implements journal.Log.
func (l *Log) Close() error {
	l.mu.Lock()
	if l.ending != nil && errors.Is(l.ending, journal.ErrClosed) {
		l.mu.Unlock()
		return fmt.Errorf("close stream %s: %w", l.s.name, journal.ErrClosed)
	}
	over := l.ending != nil
	l.ending = fmt.Errorf("stream %s: %w", l.s.name, journal.ErrClosed)
	if !over && l.err == nil {
		l.pushControl(control{kind: controlClose, head: l.Head()})
	}
	l.mu.Unlock()
	l.pump()
	l.mu.Lock()
	for l.pending > 0 && l.err == nil {
		l.room.Wait()
	}
	err := l.err
	l.err = l.ending
	l.room.Broadcast()
	l.mu.Unlock()
	l.release()
	if over && errors.Is(err, journal.ErrDeposed) {
		return nil // handed over
	}
	return err
}

func (l *Log) release() {
	l.ended.Do(func() {
		l.cancel()
		l.done.Wait()
		l.pub.Close()
		l.s.node.writers.Add(-1)
	})
}

// HandOver ends this writer's epoch for the benefit of another instance, which need not wait for silence. All that was appended before is durable when it
// returns; no append is taken after it was called. An error means that it is unknown whether the other was told. Then, too, the log is only to be closed.
func (l *Log) HandOver(ctx context.Context, to string) error {
	if to == "" || len(to) > maxName {
		return fmt.Errorf("hand stream %s over to %q: not the name of an instance", l.s.name, to)
	}
	return l.finish(ctx, "handed over to "+to, control{kind: controlHandOver, head: l.Head(), name: to})
}

// finish ends this writer's epoch with a control, and waits until it is durable.
func (l *Log) finish(ctx context.Context, how string, c control) error {
	l.mu.Lock()
	if err := l.usable(); err != nil {
		l.mu.Unlock()
		return err
	}
	l.ending = fmt.Errorf("stream %s was %s: %w", l.s.name, how, journal.ErrDeposed)
	l.pushControl(c)
	l.mu.Unlock()
	l.pump()
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.awaitDurable(ctx, l.next); err != nil {
		return fmt.Errorf("stream %s, to be %s: %w", l.s.name, how, err)
	}
	l.err = l.ending
	return nil
}

// Flush waits until all that was appended before is durable, or ctx ends.
func (l *Log) Flush(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.awaitDurable(ctx, l.next); err != nil {
		return fmt.Errorf("flush stream %s: %w", l.s.name, err)
	}
	return nil
}

// awaitDurable waits until all before a position is durable. It is called with the lock held.
func (l *Log) awaitDurable(ctx context.Context, before journal.Position) error {
	stop := context.AfterFunc(ctx, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.room.Broadcast()
	})
	defer stop()
	for l.Tail() < before && l.err == nil && ctx.Err() == nil {
		l.room.Wait()
	}
	switch {
	case l.err != nil:
		return l.err
	case l.Tail() < before:
		return ctx.Err()
	}
	return nil
}

// fail ends the log. Nothing is reported durable afterwards.
func (l *Log) fail(err error) {
	l.notifying.Lock()
	defer l.notifying.Unlock()
	l.mu.Lock()
	if l.err != nil {
		l.mu.Unlock()
		return
	}
	l.err = err
	l.room.Broadcast()
	l.mu.Unlock()
	l.log.Error("the log takes no more appends", "stream", l.s.name, "epoch", l.epoch, "error", err)
	if l.notify.Broken != nil {
		l.notify.Broken(err)
	}
}
