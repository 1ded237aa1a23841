package broker

import (
	"cmp"
	"fmt"
	"slices"
	"testing"

	"github.com/godwitmq/godwit/message"
)

// rig drives a core without engine and disk: its log is a slice, durable as soon as it is written unless held is set.
type rig struct {
	room    int64 // what the log says is left
	t       testing.TB
	b       *Broker
	opt     Options
	now     int64
	out     Effects
	log     []line
	end     uint64 // of the log
	head    uint64 // all before it is trimmed
	durable uint64
	held    bool   // records are written but not durable
	audits  int    // so far
	loads   []Load // asked for and not answered, if lazy
	lazy    bool
	onTrim  func()
	heard   func(Effect) // each effect
	nextRef Ref
	orphans []message.Destination
	conns   ConnID
	number  int64
	summary summary
	steps   int
}

type line struct {
	position uint64
	data     []byte
}

func newRig(t testing.TB, opt Options) *rig {
	r := &rig{room: 1 << 40, t: t, opt: opt, now: 1_000_000, end: 64, durable: 64}
	r.boot()
	return r
}

// boot makes a core from what the log has.
func (r *rig) boot() {
	r.t.Helper()
	r.loads = nil
	r.raise()
	want := r.stateOf(r.b, &r.out)
	r.bootFromStandby(want)
	r.raise() // as its packs are
	if r.summary.made != nil && r.summary.end >= r.head {
		r.bootFromCheckpoint(want)
	}
	r.write()
	r.out.Reset()
}

// raise makes a core of all of the log.
func (r *rig) raise() {
	r.t.Helper()
	r.b = r.read()
	r.out.Reset()
	r.b.Progress(r.durable, r.room)
	r.orphans = r.b.Recovered(r.now, &r.out)
}

// read replays the log.
func (r *rig) read() *Broker {
	r.t.Helper()
	b := New(r.opt)
	for _, x := range r.log {
		if x.position < r.head {
			continue
		}
		if err := b.Replay(x.position, x.data); err != nil {
			r.t.Fatalf("replay of the record at %d: %v", x.position, err)
		}
	}
	return b
}

// crash loses what is not durable, and starts again.
func (r *rig) crash() {
	r.t.Helper()
	var kept []line
	for _, x := range r.log {
		if x.position < r.durable {
			kept = append(kept, x)
		}
	}
	r.log = kept
	r.held = false
	r.boot()
}

// summary is a checkpoint, and how much of the log it sums up.
type summary struct {
	made *Checkpoint
	end  uint64
	next int // at which step the next one is made
}

// summarise makes a checkpoint now and then.
func (r *rig) summarise() {
	if r.steps++; r.steps < r.summary.next || r.durable != r.end {
		return
	}
	if r.summary.made = r.b.Checkpoint(nil); r.summary.made == nil {
		r.t.Fatalf("no checkpoint is made though all records have their places")
	}
	r.summary.end, r.summary.next = r.end, r.steps+3+r.steps/8
}

// bootFromCheckpoint makes a core of the last checkpoint and of what the log has after it, compares it with the one that was made of all of the log, and
// puts it in its place.
func (r *rig) bootFromCheckpoint(want state) {
	r.t.Helper()
	b, out := r.restore()
	want.compare(r.t, fmt.Sprintf("made of the checkpoint up to %d of %d", r.summary.end, r.end), r.stateOf(b, out))
	r.b, out = r.restore() // as its packs are
	r.out = *out
}

// bootFromStandby makes cores of a standby's checkpoints of all of the log and of a part of it, with what follows, and compares them, and the standby's own, with the
// one that was made of all of the log.
func (r *rig) bootFromStandby(want state) {
	r.t.Helper()
	standby, read := New(r.opt), 0 // it may have read what was trimmed since
	replay := func(b *Broker, from int) {
		for _, x := range r.log[from:] {
			if err := b.Replay(x.position, x.data); err != nil {
				r.t.Fatalf("replay of the record at %d: %v", x.position, err)
			}
		}
	}
	compare := func(what string, b *Broker) {
		out := &Effects{}
		b.Restored(r.head)
		b.Progress(r.durable, r.room)
		b.Recovered(r.now, out)
		want.compare(r.t, what, r.stateOf(b, out))
	}
	for _, upTo := range []int{len(r.log) * (r.steps % 8) / 8, len(r.log)} {
		for ; read < upTo; read++ {
			if err := standby.Replay(r.log[read].position, r.log[read].data); err != nil {
				r.t.Fatalf("replay of the record at %d: %v", r.log[read].position, err)
			}
		}
		b := New(r.opt)
		if err := standby.Checkpoint(nil).Write(b.Restore); err != nil || !b.Restored(r.head) {
			r.t.Fatalf("a standby's checkpoint is not taken in: %v", err)
		}
		replay(b, upTo)
		compare(fmt.Sprintf("made of a standby's checkpoint of %d of %d records", upTo, len(r.log)), b)
	}
	compare("of a standby that made checkpoints", standby)
}

// state is all that a start makes of the log.
type state struct{ written, held, remembered []string }

// stateOf gives that of a core that has just been started with these effects. It undoes its packs, and is not to be used any more.
func (r *rig) stateOf(b *Broker, out *Effects) (s state) {
	r.t.Helper()
	s.written, s.held = recordsOf(out), heldBy(r.t, b)
	for i := range out.Records {
		b.Place(&out.Records[i], r.end+uint64(i))
	}
	if err := b.Checkpoint(nil).Write(func(item []byte) error {
		for f := (fields{rest: item[1:]}); item[0] == itemRecords && len(f.rest) > 0; {
			f.number() // where it stands may differ
			s.remembered = append(s.remembered, f.text())
		}
		return nil
	}); err != nil {
		r.t.Fatal(err)
	}
	slices.Sort(s.remembered)
	return s
}

// compare fails the test if a core has another state than the one that was made of all of the log.
func (s *state) compare(t testing.TB, what string, got state) {
	t.Helper()
	for _, part := range []struct {
		name      string
		got, want []string
	}{{"writes", got.written, s.written}, {"holds", got.held, s.held}, {"remembers", got.remembered, s.remembered}} {
		for i := range max(len(part.got), len(part.want)) {
			if i >= len(part.got) || i >= len(part.want) || part.got[i] != part.want[i] {
				t.Fatalf("a core %s %s %d things, one made of all of the log %d; from the first difference on\n%q\nand\n%q",
					what, part.name, len(part.got), len(part.want), some(part.got, i), some(part.want, i))
			}
		}
	}
}

// restore makes a core of the last checkpoint and of what the log has after it.
func (r *rig) restore() (*Broker, *Effects) {
	r.t.Helper()
	b := New(r.opt)
	if err := r.summary.made.Write(b.Restore); err != nil || !b.Restored(r.head) {
		r.t.Fatalf("a checkpoint is not taken in again: %v", err)
	}
	for _, x := range r.log {
		if x.position < r.summary.end {
			continue
		}
		if err := b.Replay(x.position, x.data); err != nil {
			r.t.Fatalf("replay of the record at %d: %v", x.position, err)
		}
	}
	out := &Effects{}
	b.Progress(r.durable, r.room)
	b.Recovered(r.now, out)
	return b, out
}

func recordsOf(out *Effects) (all []string) {
	for i := range out.Records {
		all = append(all, string(out.Records[i].Head)+string(out.Records[i].Body))
	}
	return all
}

// some gives a few from one on.
func some(all []string, from int) []string { return all[min(from, len(all)):min(from+4, len(all))] }

// heldBy gives all that a core has, whose packs it undoes.
func heldBy(t testing.TB, b *Broker) (all []string) {
	t.Helper()
	for _, q := range b.packs {
		q.unpackAll()
	}
	if err := b.Audit(func(h Held) { all = append(all, fmt.Sprintf("%+v", h)) }); err != nil {
		t.Fatalf("after a start: %v", err)
	}
	return all
}

func (r *rig) write() {
	for i := range r.out.Records {
		x := &r.out.Records[i]
		data := append(append([]byte(nil), x.Head...), x.Body...)
		r.log = append(r.log, line{r.end, data})
		r.b.Place(x, r.end)
		r.end += 8 + uint64(len(data))
	}
	if !r.held {
		r.durable = r.end
	}
	if r.out.Trim != 0 {
		r.head = r.out.Trim
		if r.onTrim != nil {
			r.onTrim()
		}
	}
}

// do applies events and all the loads that they cause, audits, and gives the effects.
func (r *rig) do(events ...Event) []Effect {
	r.t.Helper()
	var all []Effect
	for len(events) > 0 {
		ev := events[0]
		events = events[1:]
		r.b.Progress(r.durable, r.room)
		r.b.Step(r.now, ev, &r.out)
		r.write()
		all = append(all, r.out.List...)
		if r.heard != nil {
			for _, x := range r.out.List {
				r.heard(x)
			}
		}
		for _, l := range r.out.Loads {
			r.b.Locate(&l)
			if r.lazy {
				r.loads = append(r.loads, l)
				continue
			}
			events = append(events, r.bring(l))
		}
		r.out.Reset()
		// It looks at everything, so that of a long log not each step can be proved.
		if r.audits++; len(r.log) < longLog || r.audits%auditEvery == 0 {
			if err := r.b.Audit(nil); err != nil {
				r.t.Fatalf("after %T: %v", ev, err)
			}
		}
		r.summarise()
	}
	return all
}

// A log with so many lines is long, and one in so many steps on it is audited.
const (
	longLog    = 500
	auditEvery = 17
)

// bring answers a load from the log.
func (r *rig) bring(l Load) *Loaded {
	r.t.Helper()
	got := &Loaded{Token: l.Token, Messages: make([]*message.Message, len(l.Positions))}
	for i, at := range l.Positions {
		n, found := slices.BinarySearchFunc(r.log, at, func(x line, at uint64) int { return cmp.Compare(x.position, at) })
		if !found || at < r.head {
			continue
		}
		body, err := Body(r.log[n].data)
		if err != nil {
			r.t.Fatal(err)
		}
		if got.Messages[i], err = message.Decode(body); err != nil {
			r.t.Fatal(err)
		}
	}
	return got
}

// ask is do for one event that must be answered; it gives the answer's error and the other effects.
func (r *rig) ask(ev Event, ref Ref) (*Error, []Effect) {
	r.t.Helper()
	var rest []Effect
	var answer *Effect
	for _, x := range r.do(ev) {
		if x.Kind == Answer && x.Ref == ref {
			if answer != nil {
				r.t.Fatalf("%T was answered twice", ev)
			}
			answer = &x
			continue
		}
		rest = append(rest, x)
	}
	if answer == nil {
		r.t.Fatalf("%T was not answered", ev)
	}
	return answer.Err, rest
}

func (r *rig) ref() Ref { r.nextRef++; return r.nextRef }

// ok is ask that must succeed.
func (r *rig) ok(ev Event, ref Ref) []Effect {
	r.t.Helper()
	err, rest := r.ask(ev, ref)
	if err != nil {
		r.t.Fatalf("%T: %v", ev, err)
	}
	return rest
}

// refused is ask that must fail with a code.
func (r *rig) refused(code Code, ev Event, ref Ref) *Error {
	r.t.Helper()
	err, _ := r.ask(ev, ref)
	if err == nil || err.Code != code {
		r.t.Fatalf("%T: got error %v, want code %v", ev, err, code)
	}
	return err
}

func (r *rig) connect(name, clientID string) ConnID {
	r.t.Helper()
	r.conns++
	r.ok(&Connect{Conn: r.conns, Ref: 1, Name: name, ClientID: clientID}, 1)
	return r.conns
}

func tq(name string) message.Destination {
	return message.Destination{Kind: message.Queue, Name: name}
}
func tt(name string) message.Destination {
	return message.Destination{Kind: message.Topic, Name: name}
}

// msg makes a persistent message with a text by which the tests know it.
func (r *rig) msg(to message.Destination, text string, change ...func(*message.Message)) *message.Message {
	r.number++
	m := &message.Message{ID: message.ID{Producer: "p", Sequence: r.number}, Destination: to, Priority: 4, Persistent: true, Type: message.Text, Content: []byte(text)}
	for _, c := range change {
		c(m)
	}
	if m.Persistent {
		m.Encode()
	}
	return m
}

func prio(p uint8) func(*message.Message) { return func(m *message.Message) { m.Priority = p } }
func transient(m *message.Message)        { m.Persistent = false }
func expires(at int64) func(*message.Message) {
	return func(m *message.Message) { m.Expiration = at }
}
func prop(name string, v any) func(*message.Message) {
	return func(m *message.Message) { m.Properties = m.Properties.With(name, v) }
}

// send sends and gives what else happened.
func (r *rig) send(conn ConnID, m *message.Message) []Effect {
	r.t.Helper()
	ref := r.ref()
	return r.ok(&Send{Conn: conn, Ref: ref, Message: m, MayCreate: true}, ref)
}

func (r *rig) sendTx(conn ConnID, tx TxID, m *message.Message) []Effect {
	r.t.Helper()
	ref := r.ref()
	return r.ok(&Send{Conn: conn, Ref: ref, Tx: tx, Message: m, MayCreate: true}, ref)
}

// consume subscribes and gives what came.
func (r *rig) consume(conn ConnID, id ConsumerID, from message.Destination, prefetch int, change ...func(*Subscribe)) []Effect {
	r.t.Helper()
	ref := r.ref()
	ev := &Subscribe{Conn: conn, Ref: ref, Consumer: id, Destination: from, Prefetch: prefetch, MayCreate: true}
	for _, c := range change {
		c(ev)
	}
	return r.ok(ev, ref)
}

func (r *rig) ack(conn ConnID, id ConsumerID, kind AckKind, d Effect, change ...func(*Ack)) []Effect {
	r.t.Helper()
	ref := r.ref()
	ev := &Ack{Conn: conn, Ref: ref, Consumer: id, Kind: kind, Last: d.Sequence, Single: true}
	for _, c := range change {
		c(ev)
	}
	return r.ok(ev, ref)
}

func inTx(tx TxID) func(*Ack)     { return func(a *Ack) { a.Tx = tx } }
func upTo(a *Ack)                 { a.Single = false }
func because(s string) func(*Ack) { return func(a *Ack) { a.Cause = s } }

func (r *rig) commit(conn ConnID, tx TxID) []Effect {
	r.t.Helper()
	ref := r.ref()
	return r.ok(&Commit{Conn: conn, Ref: ref, Tx: tx}, ref)
}

func (r *rig) rollback(conn ConnID, tx TxID) []Effect {
	r.t.Helper()
	ref := r.ref()
	return r.ok(&Rollback{Conn: conn, Ref: ref, Tx: tx}, ref)
}

// deliveries picks those of a consumer; 0 picks all.
func deliveries(effects []Effect, conn ConnID, id ConsumerID) []Effect {
	var got []Effect
	for _, x := range effects {
		if x.Kind == Delivery && (conn == 0 || x.Conn == conn) && (id == 0 || x.Consumer == id) {
			got = append(got, x)
		}
	}
	return got
}

// texts shows deliveries as "a b+1", +n being the redeliveries.
func texts(effects []Effect) string {
	s := ""
	for _, x := range deliveries(effects, 0, 0) {
		if s != "" {
			s += " "
		}
		s += string(x.Message.Content)
		if x.Redeliveries > 0 {
			s += fmt.Sprintf("+%d", x.Redeliveries)
		}
	}
	return s
}

func (r *rig) want(effects []Effect, want string) []Effect {
	r.t.Helper()
	if got := texts(effects); got != want {
		r.t.Fatalf("got deliveries %q, want %q", got, want)
	}
	return deliveries(effects, 0, 0)
}

// look gives the view of one destination.
func (r *rig) look(d message.Destination) DestinationView {
	r.t.Helper()
	for _, x := range r.do(&List{Ref: 9}) {
		for _, v := range x.Value.(*View).Destinations {
			if v.Destination == d {
				return v
			}
		}
	}
	r.t.Fatalf("%s does not exist", d)
	return DestinationView{}
}
