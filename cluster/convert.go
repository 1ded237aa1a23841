package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"sync/atomic"
	"time"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/journal"
	"github.com/godwitmq/godwit/journal/jetstream"
)

// A broker moves from one log to another while it serves: from files to the nodes' log when a broker alone becomes a pair, and back. A Copy takes the records of the source, all
// of them and in order, to the target; what it has written is read back from there, proved by the target's chain, and makes the core that will go on. When nearly all is
// there the broker stops, the rest follows, and both sides must have the same number of records with the same hash: the same records make the same state. Which instant decides is
// the caller's affair (docs/adr/0008).

// CopyOptions of a copy. The zero value works.
type CopyOptions struct {
	// Rate is how many bytes a second are copied at most while the broker serves and what it had at the beginning is copied. 0 means 32 MiB, negative no limit. What was written
	// meanwhile is copied as fast as it can be.
	Rate int64
	// Progress is told how far the copy is, several times a second; nil: nobody is.
	Progress func(CopyProgress)
}

// CopyProgress says how far a copy is.
type CopyProgress struct {
	Records uint64 // read back from the target
	Bytes   uint64 // of these
	Rest    uint64 // bytes of the source's log that were not read yet
}

const (
	// copyBatch is the size of a batch of the copy, in bytes.
	copyBatch = 512 << 10
	// copyPending is how much of a copy may wait to become durable: it bounds the memory, and what the broker's own writes wait for.
	copyPending = 4 << 20
	// copyNearly is how much may be left, in bytes of either log, when the broker is stopped.
	copyNearly = 1 << 20
	// copyPatience is for how long a copy may be unable to come near the end.
	copyPatience = 2 * time.Minute
	// copyPoll is how often the source is looked at when there is nothing more.
	copyPoll    = 20 * time.Millisecond
	defaultRate = 32 << 20
)

// ErrTooBusy means that clients write faster than the target takes it.
var ErrTooBusy = errors.New("clients write faster than the copy can be written; try again when there is less to do")

// tally is what makes two sequences of records the same.
type tally struct {
	records, bytes uint64
	hash           hash.Hash
	length         [8]byte
}

func (t *tally) add(data []byte) {
	if t.hash == nil {
		t.hash = sha256.New()
	}
	t.records++
	t.bytes += uint64(len(data))
	binary.LittleEndian.PutUint64(t.length[:], uint64(len(data)))
	t.hash.Write(t.length[:])
	t.hash.Write(data)
}

func (t *tally) sum() string {
	if t.hash == nil {
		return ""
	}
	return fmt.Sprintf("%x", t.hash.Sum(nil))
}

// reader gives the records of a log, those that it has not given before.
type reader interface {
	// read gives what there is now, and may wait a moment for something to come.
	read(ctx context.Context, fn func(journal.Record) error) error
}

// logReader reads a log that is open in this process.
type logReader struct {
	log  journal.Log
	from journal.Position // 0 is the head
}

func (r *logReader) read(ctx context.Context, fn func(journal.Record) error) error {
	if r.from >= r.log.Tail() {
		return nil
	}
	return r.log.Read(r.from, func(rec journal.Record) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := fn(rec); err != nil {
			return err
		}
		r.from = rec.Position + 1
		return nil
	})
}

func (r *logReader) rest() uint64 {
	return uint64(r.log.Tail() - min(max(r.from, r.log.Head()), r.log.Tail()))
}

// followReader reads the nodes' log.
type followReader struct{ f *jetstream.Follower }

func (r followReader) read(ctx context.Context, fn func(journal.Record) error) error {
	_, err := r.f.Next(ctx, fn)
	return err
}

// Copy is one on its way.
type Copy struct {
	source  reader
	rest    func() uint64 // of the source, in bytes
	target  journal.Log
	back    reader
	core    *broker.Broker                           // what replay makes; nil: that is the caller's
	replay  func(position uint64, data []byte) error // of what is read back
	opt     CopyOptions
	batch   *journal.Batch
	sent    tally
	proved  tally // of what was read back
	records atomic.Uint64
	bytes   atomic.Uint64
	first   uint64 // what there was to copy at the beginning, in bytes
	begun   time.Time
}

func (c *Copy) begin() {
	if c.opt.Rate == 0 {
		c.opt.Rate = defaultRate
	}
	c.begun, c.first = time.Now(), c.rest()
}

// take appends one record of the source.
func (c *Copy) take(r journal.Record) error {
	c.sent.add(r.Data)
	if c.batch == nil {
		c.batch = &journal.Batch{}
	}
	c.batch.Add(r.Data)
	if c.batch.Size() < copyBatch {
		return nil
	}
	return c.flush()
}

func (c *Copy) flush() error {
	b := c.batch
	if b == nil || b.Len() == 0 {
		return nil
	}
	c.batch = nil
	if err := c.target.Append(b, false); err != nil {
		return fmt.Errorf("write the copy: %w", err)
	}
	return nil
}

// prove takes one record that was read back from the target.
func (c *Copy) prove(r journal.Record) error {
	c.proved.add(r.Data)
	c.records.Store(c.proved.records)
	c.bytes.Store(c.proved.bytes)
	if err := c.replay(uint64(r.Position), r.Data); err != nil {
		return fmt.Errorf("%w: of the copy at position %d: %w", errReplay, r.Position, err)
	}
	return nil
}

func (c *Copy) tell() {
	if c.opt.Progress != nil {
		c.opt.Progress(CopyProgress{Records: c.records.Load(), Bytes: c.bytes.Load(), Rest: c.rest()})
	}
}

// slow waits as long as the first pass is ahead of its rate.
func (c *Copy) slow(ctx context.Context) error {
	if c.opt.Rate < 0 || c.sent.bytes > c.first {
		return nil
	}
	ahead := time.Duration(float64(c.sent.bytes)/float64(c.opt.Rate)*float64(time.Second)) - time.Since(c.begun)
	if ahead < 10*time.Millisecond {
		return nil
	}
	select {
	case <-time.After(ahead):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// CatchUp copies until nearly all is there, while the source goes on being written. Errors: ErrTooBusy; journal.ErrTrimmed if the source's head has overtaken the copy, which is to
// be begun anew then; journal.ErrFull and others of the logs.
func (c *Copy) CatchUp(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var enough atomic.Bool
	reading := make(chan struct{})
	go func() {
		defer close(reading)
		for !enough.Load() {
			if err := c.back.read(ctx, c.prove); err != nil {
				cancel(fmt.Errorf("read the copy back: %w", err))
				return
			}
			select {
			case <-time.After(copyPoll):
			case <-ctx.Done():
				return
			}
		}
	}()
	err := c.catchUp(ctx)
	enough.Store(true)
	if err != nil {
		cancel(err)
	}
	<-reading
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

func (c *Copy) catchUp(ctx context.Context) error {
	var told time.Time
	show := func() {
		if time.Since(told) >= 250*time.Millisecond {
			told = time.Now()
			c.tell()
		}
	}
	take := func(r journal.Record) error {
		show()
		if err := c.take(r); err != nil {
			return err
		}
		return c.slow(ctx)
	}
	var passed time.Time // when all that there was at the beginning was copied
	for {
		if err := c.source.read(ctx, take); err != nil {
			return err
		}
		if err := c.flush(); err != nil {
			return err
		}
		show()
		if c.rest() <= copyNearly && c.sent.bytes-c.bytes.Load() <= copyNearly {
			c.tell()
			return nil
		}
		if passed.IsZero() && c.sent.bytes >= c.first {
			passed = time.Now()
		}
		if !passed.IsZero() && time.Since(passed) > copyPatience {
			return ErrTooBusy
		}
		select {
		case <-time.After(copyPoll):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// finish copies what a source has that is not written any more, and verifies that the target has the same. complete says whether all of the source has been read.
func (c *Copy) finish(ctx context.Context, source reader, complete func() bool) error {
	for {
		if err := source.read(ctx, c.take); err != nil {
			return fmt.Errorf("copy the rest: %w", err)
		}
		if complete() {
			break
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("copy the rest: %w", err)
		}
	}
	if err := c.flush(); err != nil {
		return err
	}
	for c.proved.records < c.sent.records {
		before := c.proved.records
		if err := c.back.read(ctx, c.prove); err != nil {
			return fmt.Errorf("read the copy back: %w", err)
		}
		if c.proved.records == before {
			select {
			case <-time.After(time.Millisecond):
			case <-ctx.Done():
				return fmt.Errorf("read the copy back, %d of %d records were there: %w", c.proved.records, c.sent.records, ctx.Err())
			}
		}
	}
	if c.proved.records != c.sent.records || c.proved.sum() != c.sent.sum() {
		return fmt.Errorf("the copy differs from its source: %d records with the hash %s were read, %d with %s are in the copy",
			c.sent.records, c.sent.sum(), c.proved.records, c.proved.sum())
	}
	return nil
}

// Copied names a copy of a broker's log that is whole.
type Copied struct {
	ID      uint64 `json:"id"`      // of the copy
	Records uint64 `json:"records"` // in it
	Bytes   uint64 `json:"bytes"`
	Hash    string `json:"hash"` // SHA-256 of its records, each with its length before it
}

func (c *Copy) summary(id uint64) Copied {
	return Copied{ID: id, Records: c.proved.records, Bytes: c.proved.bytes, Hash: c.proved.sum()}
}

// Joining is a broker alone on its way into the nodes' log.
type Joining struct {
	Copy
	id     uint64
	log    *jetstream.Log
	follow *jetstream.Follower
}

// Joined is a broker whose log the nodes have. It counts when a member has adopted it (Options.Adopt).
type Joined struct {
	Copied
	follow *jetstream.Follower
	core   *broker.Broker
}

// Join begins to copy the log of a broker alone into the nodes' log. Nothing that it writes counts before it is adopted. Errors: jetstream.ErrInUse if the nodes' log is a broker's.
func Join(ctx context.Context, node *jetstream.Node, log jetstream.Options, source journal.Log, core broker.Options, opt CopyOptions) (*Joining, error) {
	filling := log
	filling.MaxPending = copyPending
	l, id, err := jetstream.Fill(ctx, node, filling, journal.Notify{})
	if err != nil {
		return nil, err
	}
	f, err := jetstream.Follow(ctx, node, log, 0)
	if err != nil {
		l.Close()
		return nil, err
	}
	from := &logReader{log: source}
	j := &Joining{id: id, log: l, follow: f, Copy: Copy{source: from, rest: from.rest, target: l, back: followReader{f}, core: broker.New(core), opt: opt}}
	j.replay = j.core.Replay
	j.begin()
	return j, nil
}

// Finish copies the rest of the source, which was closed and opened again and is not written meanwhile, and verifies the copy.
func (j *Joining) Finish(ctx context.Context, source journal.Log) (*Joined, error) {
	rest := &logReader{log: source, from: j.source.(*logReader).from}
	if err := j.finish(ctx, rest, func() bool { return true }); err != nil {
		return nil, err
	}
	if err := j.log.Close(); err != nil {
		return nil, fmt.Errorf("close the copy: %w", err)
	}
	j.log = nil
	follow := j.follow
	j.follow = nil
	return &Joined{Copied: j.summary(j.id), follow: follow, core: j.core}, nil
}

// Copied names the copy, once Finish has returned.
func (j *Joining) Copied() Copied { return j.summary(j.id) }

// Close gives up a copy that was not finished. The nodes' log stays without a broker.
func (j *Joining) Close() {
	if j.log != nil {
		_ = j.log.Close() // what is in it does not count
	}
	if j.follow != nil {
		j.follow.Close()
	}
}

// ErrLeft is what Member.Run ends with when Options.Left says so.
var ErrLeft = errors.New("the broker has left the nodes' log")

// ErrKept means that the nodes' log goes on: another instance has taken it before the broker could leave it.
var ErrKept = errors.New("the broker stays a pair: another instance has taken over meanwhile")

// Leaving is a pair's broker on its way out of the nodes' log.
type Leaving struct {
	Copy
	m       *Member
	epoch   uint64
	id      uint64
	follow  *jetstream.Follower
	decided chan bool // one value: whether the log was left
}

// Leave begins to copy the nodes' log, which this instance leads, to another log, new and empty. Nothing changes before Finish. Errors: ErrNotActive.
func (m *Member) Leave(ctx context.Context, id uint64, target journal.Log, opt CopyOptions) (*Leaving, error) {
	m.mu.Lock()
	e := m.engine
	m.mu.Unlock()
	if e == nil {
		return nil, ErrNotActive
	}
	f, err := jetstream.Follow(ctx, m.opt.Node, m.opt.Log, 0)
	if err != nil {
		return nil, err
	}
	log := e.Log()
	rest := func() uint64 { return uint64(max(log.Tail(), f.Tail()) - max(f.Tail(), min(log.Head(), log.Tail()))) }
	l := &Leaving{
		m: m, epoch: log.Epoch(), id: id, follow: f, decided: make(chan bool, 1),
		Copy: Copy{source: followReader{f}, rest: rest, target: target, back: &logReader{log: target}, core: broker.New(m.opt.Broker()), opt: opt},
	}
	l.replay = l.core.Replay
	l.begin()
	return l, nil
}

// Finish stops the broker, copies the rest, verifies the copy, and leaves the log. ready is called before the log is left: when it returns nil, all that the copy needs to be used must be
// durable. When Finish returns a core, the log was left and the core is what the copy says. Errors: ErrKept; any other means that the log was not left, and that one of its
// instances serves on. The caller waits without a limit if it cannot be known, because most of the nodes cannot be reached, until ctx ends.
func (l *Leaving) Finish(ctx context.Context, within time.Duration, ready func(Copied) error) (*broker.Broker, error) {
	m := l.m
	m.mu.Lock()
	e := m.engine
	if e == nil || m.handing != "" || e.Log().Epoch() != l.epoch {
		m.mu.Unlock()
		return nil, ErrNotActive
	}
	m.handing = leavingTo
	m.mu.Unlock()
	asked := false
	given := ErrNotActive // if the engine has ended for another reason before
	err := e.HandOver(func(log journal.Log) error {
		ctx, cancel := context.WithTimeout(ctx, within)
		defer cancel()
		if given = l.rehearse(ctx, log.(*jetstream.Log), ready); given != nil {
			return given
		}
		m.mu.Lock()
		m.leaving = l
		m.mu.Unlock()
		asked = true
		given = log.(*jetstream.Log).Leave(ctx, l.id)
		return given
	})
	if !asked {
		m.mu.Lock()
		m.handing = ""
		m.mu.Unlock()
		if given == nil || given == ErrNotActive && err != nil {
			given = err
		}
		return nil, given
	}
	if given == nil {
		return l.core, nil
	}
	select { // whether it was left is in the log, and it cannot be left any more when another epoch has begun
	case left := <-l.decided:
		if left {
			return l.core, nil
		}
		return nil, ErrKept
	case <-ctx.Done():
		return nil, fmt.Errorf("whether the broker has left the nodes' log is not known: %w", ctx.Err())
	}
}

// leavingTo is to whom a member hands over that leaves.
const leavingTo = "a broker alone"

// rehearse does all that comes before the log is left.
func (l *Leaving) rehearse(ctx context.Context, log *jetstream.Log, ready func(Copied) error) error {
	if err := log.Flush(ctx); err != nil {
		return err
	}
	tail := log.Tail()
	if err := l.finish(ctx, l.source, func() bool { return l.follow.Tail() >= tail }); err != nil {
		return err
	}
	return ready(l.summary(l.id))
}

// Close ends the copy. It does not end what Finish has done.
func (l *Leaving) Close() { l.follow.Close() }

func (l *Leaving) decide(left bool) {
	select {
	case l.decided <- left:
	default:
	}
}

// left notes that the log was left.
func (m *Member) left(id uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if l := m.leaving; l != nil && l.id == id {
		l.decide(true)
		m.leaving = nil
	}
}

// Whose says in which state the nodes' log is, and which copy it is filled with or was left for. It waits until most of the nodes answer.
func Whose(ctx context.Context, node *jetstream.Node, log jetstream.Options) (jetstream.State, uint64, error) {
	f, err := jetstream.Follow(ctx, node, log, 0)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	state, id := f.State()
	return state, id, nil
}
