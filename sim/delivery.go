package sim

import (
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/message"
)

// RunDelivery plays schedules, expiry, dead letters of either strategy, their retries and the undoing of these, on a log that loses its end in crashes. What
// it watches is simple: each message is in one place and one only from when its sender was told until a consumer has settled it, whatever moved it and whenever
// the power went; it is not there before its time, and not late either; and a retry that somebody was told of can be undone.
func RunDelivery(cfg Config) (result DeliveryResult, err error) {
	if cfg.Steps == 0 {
		cfg.Steps = 1000
	}
	w := &deliveries{cfg: cfg, rnd: rand.New(rand.NewPCG(cfg.Seed, 0xde1)), now: 1_800_000_000_000, end: 64, durable: 64, letters: map[string]*letter{}, retries: map[uint64]bool{}, ids: map[uint64]string{}}
	defer func() {
		r := recover()
		if result = w.result; r == nil {
			return
		}
		f, ok := r.(failure)
		if !ok {
			f = failure{fmt.Sprintf("panic: %v\n%s", r, debug.Stack())}
		}
		err = fmt.Errorf("seed %d, step %d: %s\nbefore that:\n  %s", cfg.Seed, w.steps, f.text, strings.Join(w.recent, "\n  "))
	}()
	w.opt = broker.Options{CacheBytes: 1 + int64(w.rnd.IntN(2))*100_000, SegmentBytes: 8 << 10}
	if w.rnd.IntN(2) == 0 {
		w.opt.Policies.Default.DeadLetter.Individual = &broker.IndividualDeadLetters{QueuePrefix: "DLQ."}
	}
	if w.rnd.IntN(2) == 0 {
		w.opt.Policies.Default.Redelivery = broker.RedeliveryPolicy{Maximum: 1, Delay: 50 * time.Millisecond, CollisionAvoidance: 0.5}
	}
	w.boot()
	for w.steps = 1; w.steps <= cfg.Steps; w.steps++ {
		w.turn()
	}
	w.rest()
	w.crash()
	w.rest()
	return w.result, nil
}

// The planted bugs of RunDelivery alone, beside ForgetAck.
const (
	ForgetJob   Bug = 100 + iota // when a message is due is not written
	ForgetRetry                  // what a retry has taken back is not written
)

// DeliveryResult is what a run did.
type DeliveryResult struct{ Sent, Settled, Died, Retried, Undone, Crashes, Trims int }

// deliveries is the world of RunDelivery. Its clients are one connection.
type deliveries struct {
	cfg     Config
	rnd     *rand.Rand
	opt     broker.Options
	core    *broker.Broker
	out     broker.Effects
	now     int64
	steps   int
	recent  []string
	result  DeliveryResult
	log     []logged
	head    uint64
	end     uint64
	durable uint64
	waiting []answer // for the log
	loads   []broker.Load
	conn    broker.ConnID
	ref     broker.Ref
	number  int64
	letters map[string]*letter
	has     []broker.Effect // deliveries
	swept   *broker.Swept
	ids     map[uint64]string // of messages, by the positions of their records
	sweeps  bool
	retries map[uint64]bool // of which somebody was told
}

// logged is one record, and the batch, a Step, that it is of.
type logged struct {
	position uint64
	batch    int
	data     []byte
}

type answer struct {
	broker.Effect
	need uint64
}

// letter is a message that was sent.
type letter struct {
	due                 int64 // not to be seen before
	confirmed           bool
	settling, settled   bool // its consumer has said so; and was told that it is
	sendRef, settledRef broker.Ref
}

func (w *deliveries) fail(format string, args ...any) { panic(failure{fmt.Sprintf(format, args...)}) }

func (w *deliveries) note(format string, args ...any) {
	if len(w.recent) >= 40 {
		w.recent = w.recent[1:]
	}
	w.recent = append(w.recent, fmt.Sprintf("%d: ", w.steps)+fmt.Sprintf(format, args...))
}

func (w *deliveries) turn() {
	switch x := w.rnd.IntN(100); {
	case x < 25:
		w.send()
	case x < 45:
		w.settle()
	case x < 60:
		w.now += int64(w.rnd.IntN(100))
		w.step(broker.Tick{})
	case x < 75:
		w.sync()
	case x < 85:
		w.load()
	case x < 92:
		w.retry()
	case x < 95:
		w.undo()
	case x < 97:
		w.reconnect()
	case x < 99:
		w.rest()
	default:
		w.crash()
	}
}

// boot brings the core up from the log.
func (w *deliveries) boot() {
	w.core = broker.New(w.opt)
	for _, r := range w.log {
		if r.position >= w.head {
			if err := w.core.Replay(r.position, r.data); err != nil {
				w.fail("replay: %v", err)
			}
		}
	}
	w.out.Reset()
	w.core.Progress(w.durable, 1<<40)
	w.core.Recovered(w.now, &w.out)
	w.collect()
	w.reconnect()
	w.check()
}

func (w *deliveries) reconnect() {
	if w.conn != 0 {
		w.step(&broker.Disconnect{Conn: w.conn})
	}
	w.conn++
	w.has, w.swept, w.sweeps = nil, nil, false
	w.step(&broker.Connect{Conn: w.conn})
	for i, name := range []string{"A", "B"} {
		w.step(&broker.Subscribe{Conn: w.conn, Consumer: broker.ConsumerID(i + 1), Destination: message.Destination{Kind: message.Queue, Name: name}, Prefetch: 3, MayCreate: true})
	}
}

func (w *deliveries) nextRef() broker.Ref { w.ref++; return w.ref }

func (w *deliveries) send() {
	w.number++
	m := &message.Message{ID: message.ID{Producer: "p", Sequence: w.number}, Destination: message.Destination{Kind: message.Queue, Name: []string{"A", "B"}[w.rnd.IntN(2)]},
		Persistent: true, Priority: 4, Timestamp: w.now, Received: w.now, Type: message.Text, Content: []byte(strings.Repeat("x", w.rnd.IntN(300)))}
	l := &letter{due: w.now, sendRef: w.nextRef()}
	if w.rnd.IntN(3) == 0 {
		m.Expiration = w.now + 1 + int64(w.rnd.IntN(300))
	}
	if w.rnd.IntN(2) == 0 {
		delay := int64(w.rnd.IntN(500))
		m.Properties = m.Properties.With("AMQ_SCHEDULED_DELAY", delay)
		l.due += delay
	}
	m.Encode()
	schedule, err := broker.ScheduleOf(m.Properties)
	if err != nil {
		w.fail("%v", err)
	}
	w.letters[m.ID.String()] = l
	w.result.Sent++
	w.note("send %s due %d expires %d", m.ID, l.due, m.Expiration)
	w.step(&broker.Send{Conn: w.conn, Ref: l.sendRef, Message: m, MayCreate: true, Schedule: schedule})
}

// settle acknowledges a delivery or refuses it.
func (w *deliveries) settle() {
	if len(w.has) == 0 {
		return
	}
	i := w.rnd.IntN(len(w.has))
	d := w.has[i]
	w.has = slices.Delete(w.has, i, i+1)
	ack := &broker.Ack{Conn: w.conn, Ref: w.nextRef(), Consumer: d.Consumer, Last: d.Sequence, Single: true, Kind: broker.Consumed}
	if w.rnd.IntN(2) == 0 {
		ack.Kind, ack.Cause = broker.Poison, "no"
		w.result.Died++
	} else {
		l := w.letters[d.Message.ID.String()]
		l.settling, l.settledRef = true, ack.Ref
		w.result.Settled++
	}
	w.note("ack %s kind %d", d.Message.ID, ack.Kind)
	w.step(ack)
}

// deadLetters is a queue of them.
func (w *deliveries) deadLetters() message.Destination {
	name := "ActiveMQ.DLQ"
	if w.opt.Policies.Default.DeadLetter.Individual != nil {
		name = []string{"DLQ.A", "DLQ.B"}[w.rnd.IntN(2)]
	}
	return message.Destination{Kind: message.Queue, Name: name}
}

// retry begins a retry, or goes on with it.
func (w *deliveries) retry() {
	switch {
	case !w.sweeps:
		w.sweeps = true
		ev := &broker.Sweep{Conn: w.conn, Ref: w.nextRef(), Kind: broker.SweepRetry, From: w.deadLetters(), Rate: w.rnd.IntN(2) * 50}
		w.note("retry %s", ev.From)
		w.step(ev)
	case w.swept != nil:
		w.swept = nil
		w.step(&broker.SweepOn{Conn: w.conn, Ref: w.nextRef()})
	}
}

func (w *deliveries) undo() {
	for batch := uint64(1); batch < 1000; batch++ {
		if w.retries[batch] && (w.rnd.IntN(3) == 0 || len(w.retries) == 1) && !w.sweeps {
			delete(w.retries, batch)
			w.note("undo %d", batch)
			w.result.Undone++
			w.step(&broker.UndoRetry{Conn: w.conn, Ref: w.nextRef(), Batch: batch})
			return
		}
	}
}

// step gives one event to the core.
func (w *deliveries) step(ev broker.Event) {
	w.core.Progress(w.durable, 1<<40)
	w.core.Step(w.now, ev, &w.out)
	w.collect()
	w.check()
}

// collect writes the records, and keeps or tells the effects.
func (w *deliveries) collect() {
	batch := 0
	if n := len(w.log); n > 0 {
		batch = w.log[n-1].batch + 1
	}
	for i := range w.out.Records {
		r := &w.out.Records[i]
		data := append(slices.Clone(r.Head), r.Body...)
		if !w.drops(data[0]) {
			w.log = append(w.log, logged{w.end, batch, data})
		}
		w.core.Place(r, w.end)
		w.end += 8 + uint64(len(data))
	}
	if w.out.Trim != 0 {
		w.result.Trims++
		w.head = w.out.Trim
		w.log = slices.DeleteFunc(w.log, func(r logged) bool { return r.position < w.head })
	}
	for _, e := range w.out.List {
		if len(w.waiting) > 0 || e.Held() && w.durable < w.end {
			w.waiting = append(w.waiting, answer{e, w.end})
		} else {
			w.hear(e)
		}
	}
	for _, l := range w.out.Loads {
		w.core.Locate(&l)
		w.loads = append(w.loads, l)
	}
	w.out.Reset()
}

// drops says whether the planted bug loses a record.
func (w *deliveries) drops(kind byte) bool {
	return w.cfg.Bug == ForgetAck && kind == 7 || w.cfg.Bug == ForgetJob && kind == 26 || w.cfg.Bug == ForgetRetry && kind == 27
}

func (w *deliveries) hear(e broker.Effect) {
	if e.Conn != w.conn {
		return
	}
	switch e.Kind {
	case broker.Delivery:
		if l := w.letters[e.Message.ID.String()]; l == nil || w.now < l.due {
			w.fail("message %s came before its time", e.Message.ID)
		}
		w.has = append(w.has, e)
	case broker.Answer:
		if state, ok := e.Value.(*broker.Swept); ok {
			if state.Batch != 0 && state.Done {
				w.retries[state.Batch] = true
			}
			w.result.Retried += state.Affected
			if w.swept = state; state.Done {
				w.swept, w.sweeps = nil, false
			}
		} else if e.Err != nil && e.Err.Op == "undo retry" {
			w.fail("%v", e.Err)
		} else if e.Err != nil {
			w.swept, w.sweeps = nil, false // there is no such queue yet
		}
		for _, l := range w.letters {
			l.confirmed = l.confirmed || l.sendRef == e.Ref && e.Err == nil && e.Ref != 0
			l.settled = l.settled || l.settledRef == e.Ref && e.Err == nil && e.Ref != 0
		}
	}
}

// sync makes the log durable.
func (w *deliveries) sync() {
	w.durable = w.end
	waiting := w.waiting
	w.waiting = nil
	for _, a := range waiting {
		w.hear(a.Effect)
	}
	w.step(broker.Tick{})
}

// load answers a load whose records are durable.
func (w *deliveries) load() {
	if len(w.loads) == 0 {
		return
	}
	if w.durable < w.end {
		w.sync()
	}
	if len(w.loads) == 0 {
		return
	}
	l := w.loads[0]
	w.loads = w.loads[1:]
	ev := &broker.Loaded{Token: l.Token, Messages: make([]*message.Message, len(l.Positions))}
	for i, at := range l.Positions {
		ev.Messages[i] = w.read(at)
	}
	w.step(ev)
}

func (w *deliveries) read(at uint64) *message.Message {
	i, found := slices.BinarySearchFunc(w.log, at, func(r logged, at uint64) int { return int(int64(r.position) - int64(at)) })
	if !found {
		return nil
	}
	body, err := broker.Body(w.log[i].data)
	if err != nil {
		w.fail("%v", err)
	}
	m, err := message.Decode(body)
	if err != nil {
		w.fail("%v", err)
	}
	return m
}

// crash loses what is not durable, or all but some whole batches of it.
func (w *deliveries) crash() {
	w.result.Crashes++
	w.note("crash")
	first := len(w.log)
	for first > 0 && w.log[first-1].position >= w.durable {
		first--
	}
	keep := first + w.rnd.IntN(len(w.log)-first+1)
	for keep > first && keep < len(w.log) && w.log[keep-1].batch == w.log[keep].batch {
		keep--
	}
	w.log, w.ids = w.log[:keep], map[uint64]string{}
	w.durable = w.end
	w.waiting, w.loads, w.conn = nil, nil, 0
	w.has = nil
	w.conn = broker.ConnID(w.steps * 10)
	w.boot()
	w.rest()
	known := map[uint64]bool{}
	w.core.Step(w.now, &broker.Retries{Conn: w.conn, Ref: 1}, &w.out)
	for _, e := range w.out.List {
		if views, ok := e.Value.([]broker.RetryView); ok {
			for _, v := range views {
				known[v.Batch] = true
			}
		}
	}
	w.out.Reset()
	for batch := range w.retries {
		if !known[batch] {
			w.fail("retry %d, of which somebody was told, cannot be undone after a crash", batch)
		}
	}
}

// rest lets all come to an end that needs no client.
func (w *deliveries) rest() {
	for n := 0; ; n++ {
		if n > 10_000 {
			w.fail("it does not come to rest: %d loads", len(w.loads))
		}
		w.sync()
		if len(w.loads) > 0 {
			w.load()
		} else if at := w.core.Deadline(); !w.core.Cleaning() && (at == 0 || at > w.now) {
			break
		}
	}
	for _, h := range w.held() {
		if l := w.letters[h.id]; h.Backlog == "schedule" && l != nil && l.due < w.now {
			w.fail("message %s was due at %d, and at %d it is still scheduled", h.id, l.due, w.now)
		}
	}
}

// place is a message in a backlog.
type heldLetter struct {
	broker.Held
	id string
}

func (w *deliveries) held() (all []heldLetter) {
	err := w.core.Audit(func(h broker.Held) {
		id := w.ids[h.Position]
		if id == "" {
			m := w.read(h.Position)
			if m == nil {
				w.fail("message %d of %s at %d is not in the log", h.Sequence, h.Backlog, h.Position)
			}
			id = m.ID.String()
			w.ids[h.Position] = id
		}
		all = append(all, heldLetter{h, id})
	})
	if err != nil {
		w.fail("%v", err)
	}
	return all
}

func (w *deliveries) places() map[string]int {
	places := map[string]int{}
	for _, h := range w.held() {
		places[h.id]++
	}
	return places
}

// check looks that each message is in one place.
func (w *deliveries) check() {
	places := w.places()
	for id, n := range places {
		if n > 1 {
			w.fail("message %s is in %d places", id, n)
		}
		if l := w.letters[id]; l != nil && l.settled {
			w.fail("message %s was settled and is there", id)
		}
	}
	for id, l := range w.letters {
		if l.confirmed && !l.settling && places[id] == 0 {
			w.fail("message %s is lost", id)
		}
	}
}
