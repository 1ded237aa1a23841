package sim

import (
	"errors"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"math/rand/v2"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/journal"
	"github.com/godwitmq/godwit/journal/segment"
	"github.com/godwitmq/godwit/message"
	"github.com/godwitmq/godwit/vfs"
)

const (
	coreSegment = 8 << 10 // what the core takes for that, so that it trims often
	batchBytes  = 4 << 10 // at which a batch is handed to the log although more could follow
	dir         = "journal"
)

// disk is the memory file system without its lock, which a killed process does not hold any more.
type disk struct{ *vfs.Mem }

type noLock struct{}

func (noLock) Close() error { return nil }

// Lock implements vfs.FS.
func (disk) Lock(string) (io.Closer, error) { return noLock{}, nil }

// world is all there is in a run.
type world struct {
	cfg          Config
	rnd          *rand.Rand
	trace        hash.Hash64
	recent       []string
	steps        int
	calm         int   // how much rarer than usual crashes are
	limit        int64 // of the journal, bytes; 0: none
	segmentBytes int64 // of the journal, many times as large as what one step brings
	now          int64
	result       Result

	// What stands for the engine.
	mem      *vfs.Mem
	log      *segment.Log
	core     *broker.Broker
	opt      broker.Options
	out      broker.Effects
	batch    *journal.Batch
	records  []broker.Record
	end      uint64 // of the last append
	notified uint64 // durable, as the log has said
	durable  uint64 // durable, as has been noticed
	groups   []*group
	loads    []broker.Load // to be answered
	broken   bool
	faulty   bool // the disk was told to fail
	lastBody *message.Message
	summary  *summary // a checkpoint that waits for its batch to be durable
	stale    *broker.Checkpoint
	summed   map[journal.Position]uint64 // by the tail of checkpoints: position of the last record that they sum up
	restored journal.Position            // up to where the last start was told by one

	model
	purges   []*purging
	clients  []*client
	lastConn broker.ConnID
}

// group is what may be released when all records before need are durable.
type group struct {
	need     uint64 // 0: the batch is still being filled
	effects  []told
	loads    []broker.Load
	released bool
}

// told is an effect on its way to a client, with the batch that it must not precede.
type told struct {
	broker.Effect
	batch int
}

func (w *world) start() {
	w.mem = vfs.NewMem()
	w.summed = map[journal.Position]uint64{}
	w.opt = broker.Options{
		CacheBytes:   int64(w.rnd.IntN(3) * 2000),
		MemoryBytes:  int64(1 + w.rnd.IntN(3)*2000),
		SegmentBytes: coreSegment,
		PackFrom:     []int{0, 4, 32}[w.rnd.IntN(3)],
		DrainAtOnce:  []int{0, 1, 3}[w.rnd.IntN(3)],
	}
	if w.opt.CacheBytes == 0 {
		w.opt.CacheBytes = 1 // all that waits leaves memory
	}
	if w.chance(3) {
		w.opt.Policies.Default.Redelivery = broker.RedeliveryPolicy{Maximum: 1 + w.rnd.IntN(2), Delay: 100e6, Multiplier: 2}
	}
	w.opt.Policies.Default.DeadLetter.DropExpired = w.chance(4)
	w.opt.Policies.Default.DeadLetter.KeepNonPersistent = w.chance(3)
	w.segmentBytes = 64 << 10
	if w.cfg.Bug == NoCopies {
		w.opt.Policies.VirtualTopics = []broker.VirtualTopic{}
	}
	w.calm = []int{1, 4, 20}[w.rnd.IntN(3)]
	if w.chance(4) {
		w.segmentBytes = 128 << 10
		w.limit = int64(4+w.rnd.IntN(2)) * w.segmentBytes
		w.opt.SegmentBytes = w.segmentBytes
	}
	w.limitMessages()
	w.limitSubscribers()
	w.opt.Policies.Destinations = rules(w.opt.Policies.Default)
	if w.cfg.Bug == WideRing {
		w.opt.Policies.Destinations[1].Keep.Ring++
	}
	w.model.init()
	for i := range 4 {
		w.clients = append(w.clients, &client{w: w, index: i})
	}
	w.boot()
}

// boot opens the log and brings the core up from it.
func (w *world) boot() {
	w.notified = 0
	log, err := segment.Open(dir, segment.Options{FS: disk{w.mem}, SegmentSize: w.segmentBytes, MaxBytes: w.limit, Inline: true, Logger: slog.New(slog.DiscardHandler)},
		journal.Notify{Durable: func(p journal.Position) { w.notified = uint64(p) }, Broken: func(error) { w.broken = true }})
	if err != nil {
		w.fail("the journal does not open: %v", err)
	}
	w.log, w.broken = log, false
	last := w.restore()
	err = log.Read(w.restored, func(r journal.Record) error {
		last = uint64(r.Position)
		return w.core.Replay(last, r.Data)
	})
	if err != nil {
		w.fail("the journal cannot be read back: %v", err)
	}
	w.durable = uint64(log.Tail())
	w.notified, w.end = w.durable, w.durable
	w.recovered(last)
	w.core.Progress(w.durable, w.log.Space().Free)
	if orphans := w.core.Recovered(w.now, &w.out); len(orphans) > 0 {
		w.fail("the journal has messages of backlogs that it does not define: %v", orphans)
	}
	w.collect()
	w.checkFlags()
	w.checkPrepared()
}

// step gives one event to the core, and hands on what comes of it.
func (w *world) step(ev broker.Event) []broker.Effect {
	w.core.Step(w.now, w.distort(ev), &w.out)
	if w.cfg.Bug == SkipRedelivered {
		for i := range w.out.List {
			w.out.List[i].Redeliveries = 0
		}
	}
	effects := append([]broker.Effect(nil), w.out.List...)
	w.judge(ev, effects)
	w.collect()
	if w.batch != nil && w.batch.Size() >= batchBytes {
		w.append()
	}
	return effects
}

// distort gives the event that the core sees under a planted bug.
func (w *world) distort(ev broker.Event) broker.Event {
	switch ev := ev.(type) {
	case *broker.Send:
		if w.cfg.Bug == LoseGroup {
			return w.loseGroup(ev)
		}
		if w.cfg.Bug == IgnoreResent {
			first := *ev
			first.Resent = false
			return &first
		}
	case *broker.Subscribe:
		if w.cfg.Bug == BeyondCredit && ev.Prefetch > 0 {
			more := *ev
			more.Prefetch++
			return &more
		}
	}
	return ev
}

// drops says whether the planted bug loses a record.
func (w *world) drops(kind byte) bool {
	switch w.cfg.Bug {
	case ForgetAck:
		return kind == 7
	case ForgetTxAck:
		return kind == 9
	case ForgetTxMessage:
		return kind == 8 && w.chance(3)
	case ForgetRemoval:
		return kind == 3
	case NoMark:
		return kind == 14
	case ForgetMoved:
		return kind == 7 && w.sweepAtWork()
	case ForgetPause:
		return kind == 31
	case ForgetPrepare:
		return kind == 17
	case ForgetOutcome:
		return kind == 18 || kind == 19
	}
	return false
}

// collect does what the engine does after each step: records into the batch, effects to where they wait or go.
func (w *world) collect() {
	for i := range w.out.Records {
		r := &w.out.Records[i]
		if w.drops(r.Head[0]) || w.cfg.Bug == ForgetPast && w.ofPast(r) {
			continue
		}
		if w.cfg.Bug == WrongKey && r.Head[0] == 20 {
			r.Head[len(r.Head)-1] ^= 0x40
		}
		if w.batch == nil {
			w.batch = &journal.Batch{}
		}
		w.batch.Add(r.Head, r.Body)
		kept := *r
		kept.Head, kept.Body = nil, nil
		w.records = append(w.records, kept)
		if w.cfg.Bug == SplitStep && i == 0 && len(w.out.Records) > 1 {
			w.split()
		}
	}
	if w.out.Trim != 0 {
		w.result.Trims++
		trim := journal.Position(w.out.Trim)
		if w.cfg.Bug == EarlyTrim {
			trim = min(w.log.Tail(), trim+coreSegment)
		}
		w.note("trim %d", trim)
		if err := w.log.Trim(trim); err != nil && !w.broken {
			w.fail("trim: %v", err)
		}
	}
	pending := w.batch != nil && w.batch.Len() > 0
	for i := range w.out.List {
		e := told{w.out.List[i], w.needs(&w.out.List[i])}
		c := w.connected(e.Conn)
		if c == nil {
			continue
		}
		held := e.Held() && w.cfg.Bug != ConfirmEarly
		switch {
		case held && pending:
			c.group = w.filling()
			c.group.effects = append(c.group.effects, e)
		case held && w.end > w.durable:
			c.group = w.waiting()
			c.group.effects = append(c.group.effects, e)
		case c.group != nil && !c.group.released && w.cfg.Bug != ConfirmEarly:
			c.group.effects = append(c.group.effects, e)
		default:
			w.tell(e)
		}
	}
	for _, l := range w.out.Loads {
		w.result.Loads++
		switch {
		case pending:
			g := w.filling()
			g.loads = append(g.loads, l)
		case w.end > w.durable:
			w.core.Locate(&l)
			g := w.waiting()
			g.loads = append(g.loads, l)
		default:
			w.core.Locate(&l)
			w.loads = append(w.loads, l)
		}
	}
	w.out.Reset()
}

func (w *world) filling() *group {
	if n := len(w.groups); n > 0 && w.groups[n-1].need == 0 {
		return w.groups[n-1]
	}
	g := &group{}
	w.groups = append(w.groups, g)
	return g
}

func (w *world) waiting() *group {
	if n := len(w.groups); n > 0 && w.groups[n-1].need == w.end {
		return w.groups[n-1]
	}
	g := &group{need: w.end}
	w.groups = append(w.groups, g)
	return g
}

// append hands the batch to the log.
func (w *world) append() {
	if w.batch == nil || w.batch.Len() == 0 || w.broken {
		return
	}
	w.put()
	w.keepState(w.end)
	if n := len(w.groups); n > 0 && w.groups[n-1].need == 0 {
		g := w.groups[n-1]
		g.need = w.end
		for i := range g.loads {
			w.core.Locate(&g.loads[i])
		}
	}
}

func (w *world) put() {
	b := w.batch
	w.batch = nil
	if err := w.log.Append(b, true); err != nil {
		if w.faulty && errors.Is(err, journal.ErrFull) {
			w.broken = true // it could not make a new file; the engine gives up then
		}
		if !w.broken {
			w.fail("append: %v", err)
		}
		return
	}
	for i := range w.records {
		if w.cfg.Bug == DropPlace && w.records[i].Size > 200 && w.chance(4) {
			continue
		}
		w.core.Place(&w.records[i], uint64(b.Position(i)))
	}
	w.records = w.records[:0]
	w.end = uint64(b.Position(0)) - journal.HeaderSize + uint64(b.Size())
	w.summarise(b.Position(0)-journal.HeaderSize, uint64(b.Position(b.Len()-1)))
	w.note("append of %d records up to %d", b.Len(), w.end)
}

// split writes what there is of a step as a batch of its own.
func (w *world) split() {
	if w.broken {
		return
	}
	state := w.before
	w.put()
	w.states = append(w.states, state.at(w.end, w.batches))
	w.batches++
	if w.chance(20) {
		w.flush()
		w.crash(powerCut)
		panic(restarted{})
	}
}

// flush makes the log write and sync.
func (w *world) flush() {
	if w.broken {
		w.recoverFromFailure()
		return
	}
	if err := w.log.Flush(); err != nil {
		w.note("flush failed: %v", err)
		if !errors.Is(err, journal.ErrBroken) {
			w.fail("flush: %v", err)
		}
		w.recoverFromFailure()
	}
}

func (w *world) recoverFromFailure() {
	w.crash([]crashKind{powerCut, kill}[w.rnd.IntN(2)])
}

// notice does what the engine does when it hears how far the log is.
func (w *world) notice() {
	if w.notified > w.durable {
		w.durable = w.notified
	}
	w.core.Progress(w.durable, w.log.Space().Free)
	for len(w.groups) > 0 && w.groups[0].need != 0 && w.groups[0].need <= w.durable {
		g := w.groups[0]
		w.groups = w.groups[1:]
		g.released = true
		for _, e := range g.effects {
			w.tell(e)
		}
		w.loads = append(w.loads, g.loads...)
	}
	w.saveCheckpoint()
}

// tell brings an effect to its client.
func (w *world) tell(e told) {
	if c := w.connected(e.Conn); c != nil {
		w.told = max(w.told, e.batch)
		c.hear(e.Effect)
	}
}

func (w *world) answerLoad() {
	if len(w.loads) == 0 || w.broken {
		return
	}
	i := w.rnd.IntN(len(w.loads))
	l := w.loads[i]
	w.loads = append(w.loads[:i], w.loads[i+1:]...)
	ev := &broker.Loaded{Token: l.Token, Messages: make([]*message.Message, len(l.Positions))}
	for i, at := range l.Positions {
		m, err := w.read(at)
		if errors.Is(err, journal.ErrTrimmed) {
			continue
		}
		if err != nil {
			w.fail("read a message at %d: %v", at, err)
		}
		ev.Messages[i] = m
		if w.cfg.Bug == ReuseLoadedBody && w.lastBody != nil {
			ev.Messages[i] = w.lastBody
		}
		w.lastBody = m
	}
	w.note("loaded %d", len(ev.Messages))
	w.step(ev)
}

func (w *world) read(at uint64) (*message.Message, error) {
	data, err := w.log.ReadAt(journal.Position(at), nil)
	if err != nil {
		return nil, err
	}
	body, err := broker.Body(data)
	if err != nil {
		return nil, err
	}
	return message.Decode(body)
}

func (w *world) tick() { w.step(broker.Tick{}) }

// rest lets everything come to an end but the clients, and looks whether the log is as small as it should be.
func (w *world) rest() {
	for n := 0; ; n++ {
		if n > 5000 {
			w.fail("it does not come to rest: cleaning %v, %d loads, %d groups", w.core.Cleaning(), len(w.loads), len(w.groups))
		}
		crashes := w.result.Crashes
		w.append()
		w.flush()
		if w.result.Crashes != crashes {
			return
		}
		w.notice()
		w.answerLoad()
		w.tick()
		if !w.core.Cleaning() && len(w.purges) == 0 && len(w.loads) == 0 && len(w.groups) == 0 && (w.batch == nil || w.batch.Len() == 0) {
			break
		}
	}
	crashes := w.result.Crashes
	w.flush() // the last trim
	if w.result.Crashes == crashes {
		w.notice()
		w.checkPast()
		w.checkSpace()
	}
}

// cleanStop ends the broker in good order.
func (w *world) cleanStop() {
	if w.broken {
		return
	}
	w.note("stop")
	for _, c := range w.clients {
		if c.conn != 0 {
			c.leave()
		}
	}
	w.step(broker.Stop{})
	w.append()
	if w.broken {
		w.recoverFromFailure()
		return
	}
	if err := w.log.Close(); err != nil {
		w.note("close failed: %v", err)
		w.recoverFromFailure()
		return
	}
	if w.powerless() { // after the last byte was written
		w.recoverFromFailure()
		return
	}
	w.again()
}

// breakSoon lets the disk fail at one of its next operations.
func (w *world) breakSoon() {
	w.faulty = true
	at := w.mem.Ops() + 1 + w.rnd.IntN(8)
	switch w.rnd.IntN(3) {
	case 0:
		w.note("the power will fail")
		w.mem.CutPower(at)
	default:
		op := []vfs.Op{vfs.OpSync, vfs.OpWrite}[w.rnd.IntN(2)]
		n := w.mem.Count(op) + 1 + w.rnd.IntN(3)
		w.note("a %s will fail", op)
		w.mem.SetFault(func(o vfs.Op, name string, count int) error {
			if o == op && count >= n {
				return fmt.Errorf("planned failure of %s %d", o, count)
			}
			return nil
		})
	}
}

type crashKind int

const (
	powerCut crashKind = iota // of what was not synced, some is lost
	kill                      // what was written stays
)

// restarted takes a step that a planted crash has cut short back to the run.
type restarted struct{}

// crash ends the broker at once and starts it again.
func (w *world) crash(kind crashKind) {
	w.result.Crashes++
	if kind == powerCut || w.powerless() {
		w.note("power cut")
		w.mem = w.mem.Crash(w.rnd.Uint64())
	} else {
		w.note("kill")
	}
	w.again()
}

func (w *world) powerless() bool {
	_, err := w.mem.Open("x")
	return errors.Is(err, vfs.ErrPowerCut)
}

func (w *world) again() {
	w.mem.SetFault(nil)
	w.mem.CutPower(0)
	w.faulty = false
	w.out.Reset()
	w.batch, w.records, w.groups, w.loads, w.lastBody = nil, w.records[:0], nil, nil, nil
	w.summary = nil
	w.inLine = nil
	for _, c := range w.clients {
		c.cutOff()
	}
	w.boot()
}

func (w *world) connected(id broker.ConnID) *client {
	for _, c := range w.clients {
		if c.conn == id && id != 0 {
			return c
		}
	}
	return nil
}
