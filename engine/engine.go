// Package engine runs one broker core: it is the only place where the data path meets goroutines, the clock and the log.
//
// One goroutine at a time is at work on the core (work): it takes all events that wait, applies them, hands the records to the log as one
// batch, and goes on with the next events while that batch is being made durable. It is the goroutine of a session that had something to submit
// and found nobody at work, so that a lone request costs no change of goroutine. Effects that depend on a record wait in held groups; the log's own
// goroutine releases them (onDurable). What is for few connections is written at once, without waiting, by who brought it about (Conn.Serve).
package engine

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/journal"
	"github.com/godwitmq/godwit/journal/checkpoint"
	"github.com/godwitmq/godwit/message"
)

// Options of an engine. The zero value works.
type Options struct {
	Broker broker.Options
	// MaxInbox bounds the events that wait for the core; a session that submits more is held up, and so is its socket.
	// 0 means 16,384.
	MaxInbox int
	// MaxInboxBytes bounds the bytes of the messages among them. 0 means 16 MiB.
	MaxInboxBytes int64
	// MemoryLimit is how many bytes the process may take; when most of it is used, messages wait or are refused. 0 means no limit.
	MemoryLimit int64
	// OnShort is told when most of that is used, and when it is not any more; nil: nobody is.
	OnShort func(short bool)
	// MaxOutbox bounds the answers that wait for one connection; a client that lets more pile up by not reading is
	// cut off. Deliveries do not count: no more are made while many wait. 0 means 200,000.
	MaxOutbox int
	// LazyDelay is how long records that nobody waits for may stay unwritten. 0 means 50 ms.
	LazyDelay time.Duration
	// Checkpoints is where summaries of the log are kept, so that a start need not read all of it. nil means that none are.
	Checkpoints *checkpoint.Store
	// CheckpointEvery is by how many bytes the log grows at least between two of them. 0 means 64 MiB.
	CheckpointEvery int64
	Logger          *slog.Logger
	Now             func() time.Time // nil means time.Now
}

// batchBytes is the size at which a batch is handed to the log although more events wait. In a log of small segments it is less, because the end of a
// segment stays empty where a batch has no room.
const batchBytes = 512 << 10

// lazyBytes is the size at which records that nobody waits for are handed over.
const lazyBytes = 128 << 10

// Engine owns the one broker core of this process. Its methods may be called by any goroutine.
type Engine struct {
	opt  Options
	log  journal.Log
	core *broker.Broker // guarded by busy

	mu         sync.Mutex // guards the inbox; nothing else is locked under it
	notFull    sync.Cond
	inbox      []broker.Event
	inboxBytes int64
	stopping   bool
	give       func(journal.Log) error // what is done with the log before it is closed, if anything
	wake       chan struct{}

	lastConn atomic.Uint64
	durable  atomic.Uint64 // journal.Position
	// waitingBytes are those of all deliveries that wait for their clients.
	waitingBytes atomic.Int64
	broken       atomic.Pointer[error]
	failed       chan struct{} // closed when broken is set
	done         chan struct{} // closed when run has ended

	held heldGroups

	// busy is held by the goroutine that works on the core; it guards what follows. Locks are taken in the order busy, held.mu, Conn.mu.
	busy       sync.Mutex
	out        broker.Effects
	spare      []broker.Event
	batchBytes int
	touched    []*Conn   // with new effects, to be handed out after busy is given back
	armed      time.Time // when run looks by itself
	ended      bool
	batch      *journal.Batch // being filled
	records    []broker.Record
	lazyAt     time.Time        // when the oldest lazy record in batch must be written
	urgent     bool             // an effect waits for the batch
	end        journal.Position // of the last append
	batches    batchPool
	loaders    chan struct{}
	hold       *Hold            // nil: nobody keeps the log from being trimmed
	untrimmed  journal.Position // up to where it would have been; 0: nowhere

	checkpoints checkpoints
	memoryLimit atomic.Int64     // bytes; 0: none
	watching    sync.Once        // of memory
	damaged     atomic.Bool      // scrub has found something
	restored    journal.Position // up to where a checkpoint has told the start

	released chan []*Conn // from onDurable to write
}

// heldGroups are the effects that wait for the log, in the order of the positions that they wait for.
type heldGroups struct {
	mu     sync.Mutex
	groups []*group
	conns  map[broker.ConnID]*Conn
	closed bool // no connection is served any more
}

// group is what may be released when all records before need are durable.
type group struct {
	need     journal.Position // 0: the batch is still being filled
	effects  []broker.Effect
	loads    []broker.Load
	then     []func()
	released bool
}

// batchPool gives batches that the log is done with back for reuse.
type batchPool struct {
	busy []*journal.Batch // handed over, oldest first
	ends []journal.Position
	free []*journal.Batch
}

// Open opens the log by the function given, reads it back into a new core, and starts. The log belongs to the engine from then on.
func Open(open func(journal.Notify) (journal.Log, error), opt Options) (*Engine, error) {
	return start(open, opt, (*Engine).recover)
}

// Continue starts with a core that was given all of the log's records already, as a standby's is. The function becomes the log's writer; when it fails, its error is
// returned and the core is as before.
func Continue(core *broker.Broker, lead func(journal.Notify) (journal.Log, error), opt Options) (*Engine, error) {
	return start(lead, opt, func(e *Engine) error {
		e.core = core
		e.checkpoints.store, e.checkpoints.every, e.checkpoints.at = e.opt.Checkpoints, e.opt.CheckpointEvery, e.log.Tail()
		return nil
	})
}

func start(open func(journal.Notify) (journal.Log, error), opt Options, raise func(*Engine) error) (*Engine, error) {
	opt.fill()
	e := &Engine{opt: opt, wake: make(chan struct{}, 1), done: make(chan struct{}), failed: make(chan struct{}), loaders: make(chan struct{}, 2), released: make(chan []*Conn, 16)}
	e.batchBytes = batchBytes
	if size := opt.Broker.SegmentBytes; size != 0 {
		e.batchBytes = min(batchBytes, max(4<<10, int(size/16)))
	}
	e.notFull.L = &e.mu
	e.held.conns = map[broker.ConnID]*Conn{}
	e.limitRuntime(opt.MemoryLimit) // also while the log is read back
	log, err := open(journal.Notify{Durable: e.onDurable, Broken: e.fail})
	if err != nil {
		return nil, err
	}
	e.log = log
	if err := raise(e); err != nil {
		log.Close()
		return nil, err
	}
	e.durable.Store(uint64(log.Tail()))
	e.progress()
	for _, d := range e.core.Recovered(e.nowMillis(), &e.out) {
		opt.Logger.Error("the journal has messages of a queue or subscription whose name it has lost; they wait in a queue of their own", "queue", d)
	}
	e.watch()
	told := e.restored
	go e.run()
	go e.write()
	if told > log.Head() {
		go e.scrub(told)
	}
	return e, nil
}

func (opt *Options) fill() {
	if opt.MaxInbox == 0 {
		opt.MaxInbox = 16384
	}
	if opt.MaxInboxBytes == 0 {
		opt.MaxInboxBytes = 16 << 20
	}
	if opt.MaxOutbox == 0 {
		opt.MaxOutbox = 200_000
	}
	if opt.LazyDelay == 0 {
		opt.LazyDelay = 50 * time.Millisecond
	}
	if opt.CheckpointEvery == 0 {
		opt.CheckpointEvery = 64 << 20
	}
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
}

// Log is the engine's log, for its figures.
func (e *Engine) Log() journal.Log { return e.log }

// Done is closed when the engine has ended; Err then says why.
func (e *Engine) Done() <-chan struct{} { return e.done }

// Err is why the engine has ended: nil after Close.
func (e *Engine) Err() error {
	if p := e.broken.Load(); p != nil {
		return *p
	}
	return nil
}

// Close ends all connections, writes what is left, marks a clean end and closes the log.
func (e *Engine) Close() error { return e.endWith(nil) }

// HandOver does as Close does, and gives the log to another writer just before it closes it: all that the core had to say is durable then. give is called once, by
// the engine's goroutine; an error of it is only logged, because the log is closed in any case and another writer may take it.
func (e *Engine) HandOver(give func(journal.Log) error) error { return e.endWith(give) }

// Leave prepares an end in good order: nothing more is delivered, and clients that come back by themselves (Conn.Movable) leave, each when nothing that it
// asked for is unanswered; what they say until then counts. It returns when they have gone, or after the time given. Nobody new should be let in meanwhile.
func (e *Engine) Leave(within time.Duration) {
	e.submit(false, 0, broker.Leave{})
	var leaving []*Conn
	e.held.mu.Lock()
	for _, c := range e.held.conns {
		leaving = append(leaving, c)
	}
	e.held.mu.Unlock()
	leaving = slices.DeleteFunc(leaving, func(c *Conn) bool { return !c.move() })
	for deadline := time.Now().Add(within); time.Now().Before(deadline) && e.Err() == nil; time.Sleep(leavePoll) {
		leaving = slices.DeleteFunc(leaving, (*Conn).gone)
		if len(leaving) == 0 {
			return
		}
	}
}

// leavePoll is how often Leave looks who is still there.
const leavePoll = time.Millisecond

// move tells a client to leave that comes back by itself. false: this one does not.
func (c *Conn) move() bool {
	c.mu.Lock()
	if !c.moves || c.closed {
		c.mu.Unlock()
		return false
	}
	c.ours = true
	c.mu.Unlock()
	c.Tell(broker.Effect{Conn: c.id, Kind: broker.Move})
	return true
}

// gone says whether Close has been called and the core has been told.
func (c *Conn) gone() bool {
	h := &c.engine.held
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.conns[c.id] != c
}

// endWith stops the engine.
func (e *Engine) endWith(give func(journal.Log) error) error {
	e.mu.Lock()
	e.stopping = true
	e.give = give
	e.notFull.Broadcast()
	e.mu.Unlock()
	e.poke()
	<-e.done
	return e.Err()
}

func (e *Engine) nowMillis() int64 { return e.opt.Now().UnixMilli() }

func (e *Engine) poke() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// submit puts events into the inbox and works on them, unless another goroutine is at work: that one will see them. bounded ones wait for room.
func (e *Engine) submit(bounded bool, bytes int64, events ...broker.Event) {
	e.mu.Lock()
	for bounded && !e.stopping && (len(e.inbox) >= e.opt.MaxInbox || e.inboxBytes >= e.opt.MaxInboxBytes) {
		e.notFull.Wait()
	}
	e.inbox = append(e.inbox, events...)
	e.inboxBytes += bytes
	e.mu.Unlock()
	e.work(turnsForOthers)
}

// turnsForOthers is how many rounds a session's goroutine works on what others submit meanwhile before it leaves that to run.
const turnsForOthers = 8

// work applies events to the core as long as there are any, for at most so many rounds. One goroutine does so at a time (busy); who finds it
// taken may go, because whoever has it looks once more after giving it back.
func (e *Engine) work(rounds int) {
	for ; e.waiting(); rounds-- {
		if rounds == 0 {
			e.poke()
			return
		}
		if !e.busy.TryLock() {
			return
		}
		if e.ended {
			e.busy.Unlock()
			return
		}
		e.turn()
		touched := e.takeTouched()
		e.busy.Unlock()
		hand(touched, false)
	}
}

// waiting says whether events wait.
func (e *Engine) waiting() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.inbox) > 0
}

// turn applies all events that wait. The caller has busy.
func (e *Engine) turn() {
	e.mu.Lock()
	events := e.inbox
	e.inbox = e.spare[:0]
	e.inboxBytes = 0
	e.notFull.Broadcast()
	e.mu.Unlock()
	if e.Err() != nil {
		e.spare = events[:0]
		return // run closes all connections
	}
	e.progress()
	for _, event := range events {
		e.step(event)
	}
	e.settle()
	e.checkpoint()
	clear(events)
	e.spare = events[:0]
	if e.due().Before(e.armed) {
		e.poke()
	}
}

func (e *Engine) takeTouched() []*Conn {
	touched := e.touched
	e.touched = nil
	return touched
}

// run does what is due at a time, and what nobody else is there for: the end.
func (e *Engine) run() {
	defer close(e.done)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for fired := false; ; {
		e.work(math.MaxInt)
		e.busy.Lock()
		if e.Err() != nil {
			e.abandon()
		} else if e.stopsNow() {
			e.stop()
		}
		if e.ended {
			e.busy.Unlock()
			e.checkpoints.saves.Wait() // the next engine on this log writes to the same file
			return
		}
		now := e.opt.Now()
		if fired || !now.Before(e.due()) {
			e.progress()
			e.step(broker.Tick{})
			e.settle()
		}
		e.armed = e.due()
		wait := max(e.armed.Sub(now), 0)
		touched := e.takeTouched()
		e.busy.Unlock()
		hand(touched, false)
		if fired = false; e.waiting() {
			continue // they came while busy was held here, and whoever brought them has gone
		}
		timer.Reset(wait)
		select {
		case <-e.wake:
			fired = false
		case <-timer.C:
			fired = true
		}
	}
}

// stopsNow says whether the engine is to stop and all that was submitted has been applied.
func (e *Engine) stopsNow() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.stopping && len(e.inbox) == 0
}

// due is when something has to be done although no event comes.
func (e *Engine) due() time.Time {
	due := e.opt.Now().Add(time.Hour)
	if at := e.core.Deadline(); at != 0 {
		due = earlier(due, time.UnixMilli(at))
	}
	if e.batch != nil && e.batch.Len() > 0 {
		due = earlier(due, e.lazyAt)
	}
	if e.core.Cleaning() {
		due = earlier(due, e.opt.Now().Add(20*time.Millisecond))
	}
	return due
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// progress tells the core how far the log is.
func (e *Engine) progress() {
	// The log's tail may be further than what was reported: a replicated log grows by its writer's heartbeats, too, and must be cleaned of them.
	e.core.Progress(max(e.durable.Load(), uint64(e.log.Tail())), e.log.Space().Free)
}

// step applies one event and sorts what comes of it.
func (e *Engine) step(event broker.Event) {
	e.core.Step(e.nowMillis(), event, &e.out)
	e.collect()
	if e.batch != nil && e.batch.Size() >= e.batchBytes {
		e.append()
	}
}

// collect moves records into the batch and effects to where they wait or go.
func (e *Engine) collect() {
	for i := range e.out.Records {
		r := &e.out.Records[i]
		if e.batch == nil {
			e.batch = e.batches.take(journal.Position(e.durable.Load()))
		}
		if e.batch.Len() == 0 {
			e.lazyAt = e.opt.Now().Add(e.opt.LazyDelay)
		}
		e.batch.Add(r.Head, r.Body)
		e.urgent = e.urgent || !r.Lazy
		kept := *r
		kept.Head, kept.Body = nil, nil
		e.records = append(e.records, kept)
	}
	if e.out.Trim != 0 {
		e.trim(journal.Position(e.out.Trim))
	}
	if len(e.out.List) > 0 || len(e.out.Loads) > 0 {
		e.route()
	}
	e.out.Reset()
}

// route sends effects on their way: at once, or with the group that waits for the log.
func (e *Engine) route() {
	h := &e.held
	pending := e.batch != nil && e.batch.Len() > 0
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range e.out.List {
		effect := &e.out.List[i]
		c := h.conns[effect.Conn]
		if c == nil {
			continue
		}
		switch {
		case effect.Held() && pending:
			e.urgent = true
			c.group = h.filling()
			c.group.effects = append(c.group.effects, *effect)
		case effect.Held() && e.behind():
			c.group = h.waiting(e.end)
			c.group.effects = append(c.group.effects, *effect)
		case c.group != nil && !c.group.released: // what went before it for this connection still waits
			c.group.effects = append(c.group.effects, *effect)
		default:
			e.touched = h.deliver(c, effect, e.touched)
		}
	}
	for i := range e.out.Loads {
		// Their positions are known and durable at the latest when all so far is.
		switch {
		case pending:
			e.urgent = true
			g := h.filling()
			g.loads = append(g.loads, e.out.Loads[i])
		case e.behind():
			l := e.out.Loads[i]
			e.core.Locate(&l)
			g := h.waiting(e.end)
			g.loads = append(g.loads, l)
		default:
			l := e.out.Loads[i]
			e.core.Locate(&l)
			go e.load(l)
		}
	}
}

// filling is the group that waits for the batch being filled.
func (h *heldGroups) filling() *group {
	if n := len(h.groups); n > 0 && h.groups[n-1].need == 0 {
		return h.groups[n-1]
	}
	g := &group{}
	h.groups = append(h.groups, g)
	return g
}

// waiting is the group that waits for a position, which is the end of the last append.
func (h *heldGroups) waiting(need journal.Position) *group {
	if n := len(h.groups); n > 0 && h.groups[n-1].need == need {
		return h.groups[n-1]
	}
	g := &group{need: need}
	h.groups = append(h.groups, g)
	return g
}

// behind says whether the log has not yet made durable all that was appended.
func (e *Engine) behind() bool { return e.end > journal.Position(e.durable.Load()) }

// deliver puts an effect into a connection's outbox, and the connection to those touched if that is to be looked at.
func (h *heldGroups) deliver(c *Conn, effect *broker.Effect, touched []*Conn) []*Conn {
	if c.put(effect) {
		touched = append(touched, c)
	}
	if effect.Kind == broker.Closed {
		delete(h.conns, c.id)
	}
	return touched
}

// fewConns is up to how many connections a goroutine that has something for them serves itself; more are woken.
const fewConns = 2

// hand sees to it that connections write what is in their outboxes: at once if they are few or all if so wished, else by their own goroutines.
func hand(touched []*Conn, all bool) {
	for _, c := range touched {
		if all || len(touched) <= fewConns {
			c.hand(false)
		} else {
			c.signal()
		}
	}
}

// settle hands the batch over if somebody waits for it, or if it has waited long enough.
func (e *Engine) settle() {
	if e.batch == nil || e.batch.Len() == 0 {
		return
	}
	if e.urgent || e.batch.Size() >= lazyBytes || !e.opt.Now().Before(e.lazyAt) {
		e.append()
	}
}

// append hands the batch to the log.
func (e *Engine) append() {
	b := e.batch
	if b == nil || b.Len() == 0 {
		return
	}
	e.batch, e.urgent = nil, false
	// The core has refused what there is no room for; what it lets through must be written.
	if err := e.log.Append(b, true); err != nil {
		e.fail(fmt.Errorf("append to the journal: %w", err))
		return
	}
	for i := range e.records {
		e.core.Place(&e.records[i], uint64(b.Position(i)))
	}
	clear(e.records)
	e.records = e.records[:0]
	end := b.Position(0) - journal.HeaderSize + journal.Position(b.Size())
	e.batches.give(b, end)
	e.end = end
	e.checkpoints.batch = b.Position(0) - journal.HeaderSize
	h := &e.held
	h.mu.Lock()
	if n := len(h.groups); n > 0 && h.groups[n-1].need == 0 {
		g := h.groups[n-1]
		g.need = end
		for i := range g.loads {
			e.core.Locate(&g.loads[i])
		}
	}
	h.mu.Unlock()
	e.touched = e.release(journal.Position(e.durable.Load()), e.touched) // it may have been durable before the group knew what it needs
}

// onDurable is the log's goroutine saying that all before the position is durable. What waited for it is written here if it is for few, because that
// needs no other goroutine; else by one that does only that, so that the log can go on.
func (e *Engine) onDurable(durable journal.Position) {
	touched := e.release(durable, nil)
	if len(touched) <= fewConns {
		hand(touched, true)
		return
	}
	select {
	case e.released <- touched:
	default:
		hand(touched, false)
	}
}

// write writes what onDurable leaves to it.
func (e *Engine) write() {
	for {
		select {
		case touched := <-e.released:
			hand(touched, true)
		case <-e.done:
			return
		}
	}
}

// release puts what waited for the position into the outboxes.
func (e *Engine) release(durable journal.Position, touched []*Conn) []*Conn {
	for {
		now := e.durable.Load()
		if uint64(durable) <= now || e.durable.CompareAndSwap(now, uint64(durable)) {
			break
		}
	}
	durable = journal.Position(e.durable.Load())
	h := &e.held
	h.mu.Lock()
	n := 0
	for n < len(h.groups) && h.groups[n].need != 0 && h.groups[n].need <= durable {
		g := h.groups[n]
		g.released = true
		for i := range g.effects {
			if c := h.conns[g.effects[i].Conn]; c != nil {
				touched = h.deliver(c, &g.effects[i], touched)
			}
		}
		for _, l := range g.loads {
			go e.load(l)
		}
		for _, then := range g.then {
			then()
		}
		n++
	}
	if n > 0 {
		m := copy(h.groups, h.groups[n:])
		clear(h.groups[m:])
		h.groups = h.groups[:m]
	}
	h.mu.Unlock()
	return touched
}

func (p *batchPool) take(durable journal.Position) *journal.Batch {
	n := 0
	for n < len(p.busy) && p.ends[n] <= durable {
		if p.busy[n].Size() <= 2*batchBytes {
			p.busy[n].Reset()
			p.free = append(p.free, p.busy[n])
		}
		n++
	}
	p.busy = append(p.busy[:0], p.busy[n:]...)
	p.ends = append(p.ends[:0], p.ends[n:]...)
	if len(p.free) == 0 {
		return &journal.Batch{}
	}
	b := p.free[len(p.free)-1]
	p.free = p.free[:len(p.free)-1]
	if len(p.free) > 4 {
		p.free = p.free[:4]
	}
	return b
}

func (p *batchPool) give(b *journal.Batch, end journal.Position) {
	p.busy, p.ends = append(p.busy, b), append(p.ends, end)
}

// load reads messages back for the core.
func (e *Engine) load(l broker.Load) {
	e.loaders <- struct{}{}
	defer func() { <-e.loaders }()
	loaded := &broker.Loaded{Token: l.Token, Messages: make([]*message.Message, len(l.Positions))}
	for i, at := range l.Positions {
		m, err := e.read(journal.Position(at))
		if err != nil {
			if errors.Is(err, journal.ErrTrimmed) {
				continue // settled meanwhile
			}
			if !errors.Is(err, journal.ErrClosed) {
				e.fail(fmt.Errorf("read a message at position %d back: %w", at, err))
			}
			return
		}
		loaded.Messages[i] = m
	}
	e.submit(false, 0, loaded)
}

func (e *Engine) read(at journal.Position) (*message.Message, error) {
	data, err := e.log.ReadAt(at, nil)
	if err != nil {
		return nil, err
	}
	body, err := broker.Body(data)
	if err != nil {
		return nil, err
	}
	return message.Decode(body)
}

// fail ends the engine: what the log holds is unknown, so nothing more may be said to anybody.
func (e *Engine) fail(err error) {
	if e.broken.CompareAndSwap(nil, &err) {
		close(e.failed)
		e.opt.Logger.Error("the broker stops serving this journal", "error", err)
	}
	e.poke()
}

// abandon tells all connections that the engine has failed.
func (e *Engine) abandon() {
	e.closeAll(&broker.Error{Code: broker.Stopping, Detail: "the broker has stopped: its journal failed"})
	if err := e.log.Close(); err != nil && !errors.Is(err, journal.ErrBroken) {
		e.opt.Logger.Error("close the journal", "error", err)
	}
}

// closeAll ends all connections, and the engine with them.
func (e *Engine) closeAll(why *broker.Error) {
	e.mu.Lock()
	e.stopping = true
	e.notFull.Broadcast()
	e.mu.Unlock()
	h := &e.held
	h.mu.Lock()
	defer h.mu.Unlock()
	h.groups, h.closed = nil, true
	for id, c := range h.conns {
		e.touched = h.deliver(c, &broker.Effect{Conn: id, Kind: broker.Closed, Err: why}, e.touched)
	}
	for _, c := range e.touched {
		c.signal()
	}
	e.touched, e.ended = nil, true
}

// stop ends in good order.
func (e *Engine) stop() {
	h := &e.held
	h.mu.Lock()
	ids := make([]broker.ConnID, 0, len(h.conns))
	for id := range h.conns {
		ids = append(ids, id)
	}
	h.mu.Unlock()
	for _, id := range ids {
		e.step(&broker.Disconnect{Conn: id, Returns: true})
	}
	e.step(broker.Stop{})
	e.append()
	e.lastCheckpoint()
	if e.give != nil && e.Err() == nil {
		if err := e.give(e.log); err != nil {
			e.opt.Logger.Warn("the journal could not be handed over; another takes it when this one has been silent", "error", err)
		}
	}
	if err := e.log.Close(); err != nil {
		e.fail(fmt.Errorf("close the journal: %w", err))
	}
	e.closeAll(&broker.Error{Code: broker.Stopping, Detail: "the broker is stopping"})
}

// errClosed is what Wait returns when nothing will come any more.
var errClosed = io.EOF
