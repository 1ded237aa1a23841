package broker

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/godwitmq/godwit/message"
)

func limited(l LimitPolicy) Options {
	return Options{Policies: Policies{Default: Policy{Limit: l}}}
}

// try sends and says what became of it: "" while it waits, "ok", or the error.
func (r *rig) try(ev *Send) string {
	r.t.Helper()
	return said(r.do(ev), ev)
}

func said(effects []Effect, ev *Send) string {
	for _, x := range effects {
		switch {
		case x.Kind != Answer || x.Ref != ev.Ref || x.Conn != ev.Conn:
		case x.Err != nil:
			return fmt.Sprintf("%s: %s", x.Err.Code, x.Err.Detail)
		default:
			return "ok"
		}
	}
	return ""
}

// sending makes a send that wants an answer.
func (r *rig) sending(conn ConnID, m *message.Message, change ...func(*Send)) *Send {
	ev := &Send{Conn: conn, Ref: r.ref(), Message: m, MayCreate: true}
	for _, c := range change {
		c(ev)
	}
	return ev
}

func inSendTx(tx TxID) func(*Send) { return func(ev *Send) { ev.Tx = tx } }
func silently(ev *Send)            { ev.Ref = 0 }

// A full destination lets a message wait for the time that its policy says, and takes it in at once when there is room.
func TestFullDestination(t *testing.T) {
	tests := map[string]struct {
		limit LimitPolicy
		topic bool
		fits  int // messages of 1,000 bytes
		after time.Duration
		want  string // of the first that does not fit
	}{
		"messages":      {limit: LimitPolicy{Messages: 3}, fits: 3, after: 30 * time.Second, want: "3 messages"},
		"bytes":         {limit: LimitPolicy{Bytes: 1900}, fits: 2, after: 30 * time.Second, want: "limit 1900 bytes"},
		"a shorter way": {limit: LimitPolicy{Messages: 1, Wait: time.Second}, fits: 1, after: time.Second, want: "nobody consumes it"},
		"at once":       {limit: LimitPolicy{Messages: 1, Wait: -1}, fits: 1, want: "queue://Q is full"},
		"a topic":       {limit: LimitPolicy{Messages: 2}, topic: true, fits: 2, after: 30 * time.Second, want: "topic://T is full"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, limited(tt.limit))
			to, c, slow := tq("Q"), r.connect("a", ""), r.connect("slow", "")
			if tt.topic {
				to = tt2("T")
				r.consume(slow, 1, to, 1)
				r.consume(c, 1, to, 100)
			}
			text := strings.Repeat("x", 950)
			for i := range tt.fits {
				if got := r.try(r.sending(c, r.msg(to, text))); got != "ok" {
					t.Fatalf("message %d: got %q, want ok", i, got)
				}
			}
			over := r.sending(c, r.msg(to, text))
			got := r.try(over)
			if tt.after > 0 {
				r.now += tt.after.Milliseconds() - 1
				if early := got + said(r.do(Tick{}), over); early != "" {
					t.Fatalf("before its time: got %q, want no answer", early)
				}
				if at := r.b.Deadline(); at != r.now+1 {
					t.Errorf("the deadline is in %d ms, want 1", at-r.now)
				}
				r.now++
				got = said(r.do(Tick{}), over)
			}
			if !strings.HasPrefix(got, "full: ") || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want full: ...%s", got, tt.want)
			}
			if v := r.look(to); v.SendsWaiting != 0 || v.SendsRefused != 1 {
				t.Errorf("the view has %d sends that wait and %d refused, want 0 and 1", v.SendsWaiting, v.SendsRefused)
			}
		})
	}
}

func tt2(name string) message.Destination {
	return message.Destination{Kind: message.Topic, Name: name}
}

// What waits comes in the order in which it was sent, while the same connection acknowledges and consumes.
func TestWaitingSendsKeepOrder(t *testing.T) {
	r := newRig(t, limited(LimitPolicy{Messages: 2}))
	c := r.connect("a", "")
	got := deliveries(r.consume(c, 1, tq("Q"), 1), c, 1)
	var sends []*Send
	for i := range 8 {
		ev := r.sending(c, r.msg(tq("Q"), fmt.Sprint(i)))
		if i%2 == 1 {
			ev.Ref = 0
		}
		sends = append(sends, ev)
		got = append(got, deliveries(r.do(ev), c, 1)...)
	}
	if v := r.look(tq("Q")); v.Size != 2 || v.SendsWaiting != 6 {
		t.Fatalf("the queue has %d messages and %d that wait for room, want 2 and 6", v.Size, v.SendsWaiting)
	}
	var texts []string
	for len(got) > 0 {
		d := got[0]
		texts = append(texts, string(d.Message.Content))
		effects := r.ack(c, 1, Consumed, d)
		for _, ev := range sends {
			if x := said(effects, ev); ev.Ref != 0 && x != "" && x != "ok" {
				t.Errorf("a send was answered %q", x)
			}
		}
		got = append(got[1:], deliveries(effects, c, 1)...)
	}
	if want := "0 1 2 3 4 5 6 7"; strings.Join(texts, " ") != want {
		t.Errorf("consumed %v, want %s", texts, want)
	}
	if f := &r.b.flow; f.waiting != 0 || f.bytes != 0 || len(f.rooms) != 0 {
		t.Errorf("after all %d sends of %d bytes wait in %d rooms, want none", f.waiting, f.bytes, len(f.rooms))
	}
}

// A composite waits for room at all its parts, and does not let go of its turn at the first.
func TestCompositeWaits(t *testing.T) {
	r := newRig(t, limited(LimitPolicy{Messages: 1}))
	c := r.connect("a", "")
	r.send(c, r.msg(tq("A"), "a"))
	r.send(c, r.msg(tq("B"), "b"))
	both := r.sending(c, r.msg(tq("A,B"), "both"))
	other := func(m *message.Message) { m.ID.Producer = "other" }
	later := r.sending(c, r.msg(tq("A"), "later", other))
	if got := r.try(both) + r.try(later); got != "" {
		t.Fatalf("got %q, want no answer", got)
	}
	r.do(&Purge{Conn: c, Destination: tq("A")})
	if v := r.look(tq("A")); v.Size != 1 { // later: the composite waits for B now
		t.Fatalf("A has %d messages, want 1", v.Size)
	}
	r.do(&Purge{Conn: c, Destination: tq("B")})
	if v := r.look(tq("B")); v.Size != 0 {
		t.Fatalf("B has %d messages while A is full, want 0", v.Size)
	}
	last := r.sending(c, r.msg(tq("A"), "last", other))
	r.try(last)
	effects := r.do(&Purge{Conn: c, Destination: tq("A")})
	if got := said(effects, both); got != "ok" {
		t.Errorf("the composite got %q, want ok", got)
	}
	if got := said(effects, last); got != "" {
		t.Errorf("who came after it got %q, want no answer", got)
	}
}

// A transaction ends when its sends have room, or fails when they get none.
func TestWaitingInTransaction(t *testing.T) {
	for _, end := range []string{"room", "late", "rollback", "gone"} {
		t.Run(end, func(t *testing.T) {
			r := newRig(t, limited(LimitPolicy{Messages: 1}))
			c, other := r.connect("a", ""), r.connect("b", "")
			r.send(other, r.msg(tq("Q"), "first"))
			ev := r.sending(c, r.msg(tq("Q"), "tx"), inSendTx(1), silently)
			r.do(ev)
			commit := &Commit{Conn: c, Ref: r.ref(), Tx: 1}
			if got := r.do(commit); len(got) != 0 {
				t.Fatalf("a commit before its sends have room got %+v", got)
			}
			var effects []Effect
			switch end {
			case "room":
				effects = r.do(&Purge{Conn: other, Destination: tq("Q")})
			case "late":
				r.now += 30_000
				effects = r.do(Tick{})
			case "rollback":
				effects = r.do(&Rollback{Conn: c, Tx: 1})
			case "gone":
				r.do(&Disconnect{Conn: c})
			}
			var answer *Effect
			for i, x := range effects {
				if x.Ref == commit.Ref {
					answer = &effects[i]
				}
			}
			want := "first"
			switch {
			case end == "gone":
			case answer == nil:
				t.Fatalf("the commit was not answered")
			case end == "room":
				want = "tx"
				if answer.Err != nil {
					t.Errorf("the commit failed: %v", answer.Err)
				}
			case answer.Err == nil || answer.Err.Code != TransactionRolledBack:
				t.Errorf("the commit got %v, want transaction rolled back", answer.Err)
			}
			r.want(r.consume(other, 1, tq("Q"), 10), want)
			if r.b.flow.waiting != 0 {
				t.Errorf("%d sends wait, want none", r.b.flow.waiting)
			}
		})
	}
}

// A transaction takes its places at a destination with its sends, so that its commit does not go beyond the limit; a rollback gives them back. What is prepared
// has them across a restart.
func TestTransactionsReserve(t *testing.T) {
	for name, limit := range map[string]LimitPolicy{"messages": {Messages: 3, Wait: -1}, "bytes": {Bytes: 2500, Wait: -1}} {
		for _, end := range []string{"commit", "rollback", "gone", "prepare", "prepare and crash", "prepare, crash and rollback"} {
			t.Run(name+"/"+end, func(t *testing.T) {
				r := newRig(t, limited(limit))
				c, other := r.connect("a", ""), r.connect("b", "")
				text := strings.Repeat("x", 950)
				r.send(other, r.msg(tq("Q"), text))
				tx := TxID(1)
				if strings.HasPrefix(end, "prepare") {
					tx = dtx + 1
					r.xa(&XABegin{Conn: c, Tx: tx, XID: xid(1)})
				}
				for i := range 2 {
					if got := r.try(r.sending(c, r.msg(tq("Q"), text), inSendTx(tx))); got != "ok" {
						t.Fatalf("send %d in the transaction: %s", i, got)
					}
				}
				if got := r.try(r.sending(other, r.msg(tq("Q"), text))); !strings.HasPrefix(got, "full: ") || !strings.Contains(got, "and 2 of") || !strings.Contains(got, "to come from open transactions") {
					t.Errorf("a fourth message: %q; want full, and that 2 are to come from open transactions", got)
				}
				if got := r.look(tq("Q")).Size; got != 1 {
					t.Errorf("before the commit the queue shows %d messages, want 1", got)
				}
				full := true
				switch end {
				case "commit":
					r.commit(c, tx)
				case "rollback":
					r.rollback(c, tx)
					full = false
				case "gone":
					r.do(&Disconnect{Conn: c})
					full = false
				default:
					if got := r.xa(&XAPrepare{Conn: c, XID: xid(1)}); got != "ok" {
						t.Fatalf("prepare: %s", got)
					}
					if end != "prepare" {
						r.crash()
						other = r.connect("b", "")
					}
					if strings.HasSuffix(end, "rollback") {
						r.xa(&XARollback{Conn: other, XID: xid(1)})
						full = false
					}
				}
				want := "ok"
				if full {
					want = "full: "
				}
				if got := r.try(r.sending(other, r.msg(tq("Q"), text))); !strings.HasPrefix(got, want) {
					t.Errorf("a message then: %q; want %s", got, want)
				}
			})
		}
	}
}

// A transaction that would go beyond the limit by itself fails as a whole.
func TestTransactionBeyondLimit(t *testing.T) {
	r := newRig(t, limited(LimitPolicy{Messages: 2, Wait: time.Second}))
	c := r.connect("a", "")
	for range 3 {
		r.do(r.sending(c, r.msg(tq("Q"), "x"), inSendTx(1), silently))
	}
	commit := &Commit{Conn: c, Ref: r.ref(), Tx: 1}
	if got := r.do(commit); len(got) != 0 {
		t.Fatalf("the commit got %+v while a send waits, want nothing", got)
	}
	r.now += 1000
	var err *Error
	for _, x := range r.do(Tick{}) {
		if x.Ref == commit.Ref {
			err = x.Err
		}
	}
	if err == nil || err.Code != TransactionRolledBack || !strings.Contains(err.Error(), "limit 2 messages") {
		t.Errorf("the commit got %v; want transaction rolled back because of the limit of 2 messages", err)
	}
	if got := r.look(tq("Q")).Size; got != 0 {
		t.Errorf("%d messages came, want none", got)
	}
}

// What a client takes for sent outlives its connection; what it waits for does not. Who says goodbye is answered when all is in.
func TestWaitingAndGone(t *testing.T) {
	r := newRig(t, limited(LimitPolicy{Messages: 1}))
	c, other := r.connect("a", ""), r.connect("b", "")
	r.send(c, r.msg(tq("Q"), "0"))
	r.do(r.sending(c, r.msg(tq("Q"), "silent"), silently))
	asked := r.sending(c, r.msg(tq("Q"), "asked"))
	r.do(asked)
	if got := r.do(&Unsubscribe{Conn: c, Ref: 77, Consumer: 99}); len(got) != 0 {
		t.Errorf("goodbye was answered while sends wait: %+v", got)
	}
	r.do(&Disconnect{Conn: c})
	r.want(r.consume(other, 1, tq("Q"), 1), "0")
	d := deliveries(r.do(&Unsubscribe{Conn: other, Consumer: 1}), 0, 0)
	r.do(&Purge{Conn: other, Destination: tq("Q")})
	r.want(append(d, r.consume(other, 2, tq("Q"), 10)...), "silent")
}

// A full journal and full memory are waited for too, and the error says who fills them.
func TestFullBroker(t *testing.T) {
	tests := map[string]struct {
		on, off func(r *rig)
		change  []func(*message.Message)
		want    string
	}{
		"journal": {on: func(r *rig) { r.room = 0 }, off: func(r *rig) { r.room = 1 << 40 }, want: "the journal has no room"},
		"memory":  {on: func(r *rig) { r.do(&Pressure{Short: true, Used: 9, Limit: 10}) }, off: func(r *rig) { r.do(&Pressure{}) }, want: "9 of the 10 bytes of memory"},
		"memory, not persistent": {on: func(r *rig) { r.do(&Pressure{Short: true, Used: 9, Limit: 10}) }, off: func(r *rig) { r.do(&Pressure{}) },
			change: []func(*message.Message){transient}, want: "9 of the 10 bytes of memory"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Options{})
			c := r.connect("a", "")
			r.send(c, r.msg(tq("BIG"), strings.Repeat("x", 1000)))
			r.send(c, r.msg(tq("SMALL"), "x"))
			tt.on(r)
			late, early := r.sending(c, r.msg(tq("Q"), "late", tt.change...)), r.sending(c, r.msg(tq("Q"), "early", tt.change...))
			if got := r.try(late); got != "" {
				t.Fatalf("got %q, want no answer", got)
			}
			r.now += 30_000
			if got := said(r.do(Tick{}), late); !strings.Contains(got, tt.want) || !strings.Contains(got, "queue://BIG has") || strings.Index(got, "BIG") > strings.Index(got, "SMALL") {
				t.Errorf("got %q, want %q and who fills it", got, tt.want)
			}
			r.try(early)
			tt.off(r)
			if at := r.b.Deadline(); r.b.flow.waiting > 0 && at > r.now+storePollMillis {
				t.Errorf("it is looked for room in %d ms, want %d at most", at-r.now, storePollMillis)
			}
			r.do(Tick{})
			r.want(r.consume(c, 1, tq("Q"), 10), "early")
		})
	}
}

// What waits is bounded, in number and bytes. Who only sends is not read meanwhile.
func TestWaitingIsBounded(t *testing.T) {
	for _, listens := range []bool{false, true} {
		r := newRig(t, limited(LimitPolicy{Messages: 1}))
		c, other := r.connect("a", ""), r.connect("b", "")
		r.send(c, r.msg(tq("Q"), "0"))
		if listens {
			r.consume(c, 1, tq("ELSE"), 1)
		}
		held, refused := 0, 0
		for range maxWaitingSends + 10 {
			for _, x := range r.do(r.sending(c, r.msg(tq("Q"), "x"), silently)) {
				switch x.Kind {
				case Hold:
					held++
				case Answer:
					refused++
				}
			}
			if r.b.flow.waiting > maxWaitingSends {
				t.Fatalf("%d sends wait", r.b.flow.waiting)
			}
		}
		if refused != 10 {
			t.Errorf("listens %v: %d sends were refused, want 10", listens, refused)
		}
		if want := map[bool]int{false: 1, true: 0}[listens]; held != want {
			t.Errorf("listens %v: its reader was held %d times, want %d", listens, held, want)
		}
		resumed := 0
		for range maxWaitingSends + 1 {
			for _, x := range r.do(&Purge{Conn: other, Destination: tq("Q")}) {
				if x.Kind == Resume {
					resumed++
				}
			}
		}
		if resumed != held || r.b.flow.waiting != 0 {
			t.Errorf("listens %v: %d resumed, %d wait; want %d, 0", listens, resumed, r.b.flow.waiting, held)
		}
	}
}

// A copy sent again after a failover is known although its first waited when it came.
func TestResentWhileWaiting(t *testing.T) {
	r := newRig(t, limited(LimitPolicy{Messages: 1}))
	c, other := r.connect("a", ""), r.connect("b", "")
	r.send(c, r.msg(tq("Q"), "0"))
	m := r.msg(tq("Q"), "1")
	tracked := func(ev *Send) { ev.Tracked = true }
	r.do(r.sending(c, m, tracked, silently))
	r.do(&Disconnect{Conn: c})
	c = r.connect("a", "")
	again := r.sending(c, m, tracked, func(ev *Send) { ev.Resent = true })
	r.do(again)
	r.want(r.consume(other, 1, tq("Q"), 1), "0")
	var got []Effect
	for range 3 {
		got = append(got, r.do(&Unsubscribe{Conn: other, Consumer: 1})...)
		got = append(got, r.do(&Purge{Conn: other, Destination: tq("Q")})...)
	}
	if x := said(got, again); x != "ok" {
		t.Errorf("the copy got %q, want ok", x)
	}
	if v := r.look(tq("Q")); v.Enqueued != 2 {
		t.Errorf("%d messages came to the queue, want 2", v.Enqueued)
	}
}
