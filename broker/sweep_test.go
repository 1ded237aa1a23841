package broker

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/godwitmq/godwit/message"
)

// sweepAll does all pieces of a sweep, and gives the last answer and the number of pieces.
func (r *rig) sweepAll(ev *Sweep) (*Swept, int) {
	r.t.Helper()
	ev.Ref = 77
	var next Event = ev
	for n := 1; ; n++ {
		var state *Swept
		for _, x := range r.do(next) {
			if x.Kind == Answer && x.Ref == 77 {
				if x.Err != nil {
					r.t.Fatalf("%T: %v", next, x.Err)
				}
				state = x.Value.(*Swept)
			}
		}
		if state == nil {
			r.t.Fatalf("%T was not answered", next)
		}
		if state.Done {
			return state, n
		}
		next = &SweepOn{Conn: ev.Conn, Ref: 77}
	}
}

// waiting shows what waits in a queue, with "<" and where it was sent at first.
func (r *rig) waiting(d message.Destination) string {
	r.t.Helper()
	var all []string
	for _, x := range r.do(&Subscribe{Conn: r.connect("", ""), Ref: 5, Consumer: 1, Destination: d, Browser: true, Prefetch: 1000}) {
		if x.Kind == Delivery {
			text := string(x.Message.Content)
			if !x.Message.Original.IsZero() {
				text += "<" + x.Message.Original.Name
			}
			all = append(all, text)
		}
	}
	return strings.Join(all, " ")
}

// waitingIn is waiting for a durable subscription.
func (r *rig) waitingIn(clientID, name string) string {
	r.t.Helper()
	got, _ := r.sweepAll(&Sweep{Conn: r.connect("", ""), ClientID: clientID, Subscription: name, First: 1000})
	var all []string
	for _, f := range got.First {
		all = append(all, string(f.Message.Content))
	}
	return strings.Join(all, " ")
}

func TestSweep(t *testing.T) {
	ids := func(numbers ...int) (ids []string) {
		for _, n := range numbers {
			ids = append(ids, fmt.Sprintf("p:%d", n))
		}
		return ids
	}
	tests := map[string]struct {
		sweep    Sweep
		affected int
		q, to    string
		first    string
	}{
		"move":               {Sweep{Kind: SweepMove, To: tq("TO")}, 5, "", "5<Q 1<Q 2<Q 3<Q 4<Q", ""},
		"move some":          {Sweep{Kind: SweepMove, To: tq("TO"), Limit: 2}, 2, "2 3 4", "5<Q 1<Q", ""},
		"move by selector":   {Sweep{Kind: SweepMove, To: tq("TO"), Selector: "n > 2 AND n < 5"}, 2, "5 1 2", "3<Q 4<Q", ""},
		"move by id":         {Sweep{Kind: SweepMove, To: tq("TO"), IDs: ids(4, 2, 17)}, 2, "5 1 3", "2<Q 4<Q", ""},
		"copy":               {Sweep{Kind: SweepCopy, To: tq("TO"), Selector: "n <> 1"}, 4, "5 1 2 3 4", "5<Q 2<Q 3<Q 4<Q", ""},
		"remove":             {Sweep{Kind: SweepRemove}, 5, "", "", ""},
		"remove by selector": {Sweep{Kind: SweepRemove, Selector: "n = 3"}, 1, "5 1 2 4", "", ""},
		"remove by id":       {Sweep{Kind: SweepRemove, IDs: ids(1)}, 1, "5 2 3 4", "", ""},
		"show":               {Sweep{Kind: SweepShow, First: 2}, 5, "5 1 2 3 4", "", "5 1"},
		"show by selector":   {Sweep{Kind: SweepShow, Selector: "n < 4", First: 2}, 3, "5 1 2 3 4", "", "1 2"},
	}
	for name, tt := range tests {
		for i, cache := range []int64{1, 1 << 20, 1, 1 << 20} { // bodies in the log alone, and in memory
			durably := i >= 2 // in a durable subscription instead of a queue
			t.Run(fmt.Sprint(name, " ", cache, " ", durably), func(t *testing.T) {
				r := newRig(t, Options{CacheBytes: cache})
				c := r.connect("a", "me")
				r.do(&CreateDestination{Destination: tq("TO")})
				from, left := tq("Q"), func() string { return r.waiting(tq("Q")) }
				if durably {
					from, left = aTopic("Q"), func() string { return r.waitingIn("me", "s") }
					r.consume(c, 1, from, 1, durable("s"))
					r.do(&Unsubscribe{Conn: c, Consumer: 1})
				}
				for n := 1; n <= 5; n++ {
					p := uint8(4)
					if n == 5 {
						p = 9
					}
					r.send(c, r.msg(from, fmt.Sprint(n), prio(p), prop("n", int32(n))))
				}
				ev := tt.sweep
				if ev.Conn, ev.From = c, from; durably {
					ev.ClientID, ev.Subscription = "me", "s"
				}
				got, _ := r.sweepAll(&ev)
				if got.Affected != tt.affected || got.Err != nil || got.Total != 5 {
					t.Errorf("affected %d of %d, %v; want %d of 5", got.Affected, got.Total, got.Err, tt.affected)
				}
				first := ""
				for _, f := range got.First {
					first = strings.TrimSpace(first + " " + string(f.Message.Content))
				}
				if first != tt.first {
					t.Errorf("shown %q, want %q", first, tt.first)
				}
				for range 2 { // the second time after a crash
					if q, to := left(), r.waiting(tq("TO")); q != tt.q || to != tt.to {
						t.Errorf("left %q and %q, want %q and %q", q, to, tt.q, tt.to)
					}
					r.crash()
				}
			})
		}
	}
}

func TestSweepRefusals(t *testing.T) {
	r := newRig(t, Options{})
	c := r.connect("a", "")
	r.send(c, r.msg(tq("Q"), "x"))
	tests := map[string]struct {
		ev   Event
		code Code
	}{
		"no queue":      {&Sweep{From: tq("none")}, NotFound},
		"a topic":       {&Sweep{From: tt("T")}, NotFound},
		"no such name":  {&Sweep{From: tq("Q"), ClientID: "me", Subscription: "none"}, NotFound},
		"itself":        {&Sweep{Kind: SweepMove, From: tq("Q"), To: tq("Q")}, InvalidDestination},
		"to a topic":    {&Sweep{Kind: SweepMove, From: tq("Q"), To: tt("T"), MayCreate: true}, InvalidDestination},
		"to two":        {&Sweep{Kind: SweepCopy, From: tq("Q"), To: tq("A,B"), MayCreate: true}, InvalidDestination},
		"to a pattern":  {&Sweep{Kind: SweepCopy, From: tq("Q"), To: tq("A.>"), MayCreate: true}, InvalidDestination},
		"may not":       {&Sweep{Kind: SweepCopy, From: tq("Q"), To: tq("A")}, Denied},
		"bad selector":  {&Sweep{From: tq("Q"), Selector: "n >"}, InvalidSelector},
		"nothing begun": {&SweepOn{}, NotFound},
		"pause nothing": {&Pause{Destination: tq("none"), On: true}, NotFound},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			switch ev := tt.ev.(type) {
			case *Sweep:
				ev.Conn, ev.Ref = c, 8
			case *SweepOn:
				ev.Conn, ev.Ref = c, 8
			case *Pause:
				ev.Conn, ev.Ref = c, 8
			}
			r.refused(tt.code, tt.ev, 8)
		})
	}
}

// A durable subscription is swept while its consumer has some of its messages, and goes while it is swept.
func TestSweepOfSubscriptionInUse(t *testing.T) {
	r := newRig(t, Options{})
	c := r.connect("a", "me")
	d := r.consume(c, 1, tt("T"), 2, durable("s"))
	for n := range sweepMessages + 10 {
		d = append(d, deliveries(r.send(c, r.msg(tt("T"), fmt.Sprint(n))), c, 1)...)
	}
	operator := r.connect("operator", "")
	ev := &Sweep{Conn: operator, Ref: 7, Kind: SweepMove, ClientID: "me", Subscription: "s", To: tq("TO"), MayCreate: true}
	first := r.do(ev)
	if state := first[len(first)-1].Value.(*Swept); state.Affected != sweepMessages || state.Done {
		t.Fatalf("the first piece moved %d, done %v; want %d, not done", state.Affected, state.Done, sweepMessages)
	}
	if v := r.look(tq("TO")); v.Size != sweepMessages {
		t.Errorf("%d messages are in the queue, want %d", v.Size, sweepMessages)
	}
	r.ack(c, 1, Consumed, d[0])
	r.do(&Disconnect{Conn: c}, &RemoveSubscription{ClientID: "me", Name: "s"})
	rest := r.do(&SweepOn{Conn: operator, Ref: 7})
	if state := rest[0].Value.(*Swept); !state.Done || state.Err == nil || !strings.Contains(state.Err.Detail, "the durable subscription was removed meanwhile") {
		t.Errorf("after the subscription is gone: %+v", state)
	}
}

// A large queue is swept in pieces, between which consumers take from it and senders send to it; the sweep touches what was there at its
// beginning and waits when its turn comes, each message once.
func TestSweepInPieces(t *testing.T) {
	const n = 1200
	r := newRig(t, Options{CacheBytes: 2000})
	c := r.connect("a", "")
	for i := range n {
		r.send(c, r.msg(tq("Q"), fmt.Sprint(i), prop("n", int32(i))))
	}
	ev := &Sweep{Conn: c, Ref: 1, Kind: SweepMove, From: tq("Q"), To: tq("TO"), MayCreate: true, Selector: "n >= 100"}
	r.do(ev)
	other := r.connect("b", "")
	if got := texts(r.consume(other, 1, tq("Q"), 2)); got != "0 1" {
		t.Fatalf("the consumer has %q, want what the sweep leaves", got)
	}
	r.send(c, r.msg(tq("Q"), "late", prop("n", int32(5000))))
	pieces := 1
	for done := false; !done; pieces++ {
		for _, x := range r.do(&SweepOn{Conn: c, Ref: 1}) {
			if s, ok := x.Value.(*Swept); ok {
				done = s.Done
				if done && (s.Affected != n-100 || s.Err != nil) {
					t.Errorf("moved %d, %v; want %d", s.Affected, s.Err, n-100)
				}
			}
		}
		if v := r.b.view(); v.CachedBytes > 1<<20 {
			t.Fatalf("%d bytes of messages are in memory", v.CachedBytes)
		}
	}
	if pieces < 3 {
		t.Errorf("%d pieces; one Step must not do it all", pieces)
	}
	if q, to := r.look(tq("Q")).Size, r.look(tq("TO")).Size; q != 101 || to != n-100 {
		t.Errorf("left %d and %d, want 101 and %d", q, to, n-100)
	}
}

// A sweep ends with its connection, and with its queue; what was done stays done, what it asked for comes to nothing.
func TestSweepInterrupted(t *testing.T) {
	for _, how := range []string{"disconnect", "queue removed", "target removed", "another", "full"} {
		t.Run(how, func(t *testing.T) {
			r := newRig(t, Options{CacheBytes: 1})
			c, other := r.connect("a", ""), r.connect("b", "")
			for i := range 600 {
				r.send(c, r.msg(tq("Q"), fmt.Sprint(i)))
			}
			begin := &Sweep{Conn: c, Ref: 1, Kind: SweepMove, From: tq("Q"), To: tq("TO"), MayCreate: true}
			r.do(begin)
			moved := r.look(tq("TO")).Size
			if moved == 0 || moved == 600 {
				t.Fatalf("the first piece moved %d", moved)
			}
			r.lazy = true
			if n := len(r.do(&SweepOn{Conn: c, Ref: 1})); n != 0 {
				t.Fatalf("%d effects before the bodies are there", n)
			}
			var want *Error
			switch how {
			case "disconnect":
				r.do(&Disconnect{Conn: c})
			case "queue removed":
				r.do(&RemoveDestination{Conn: other, Ref: 2, Destination: tq("Q")})
				want = &Error{Code: NotFound}
			case "target removed":
				r.do(&RemoveDestination{Conn: other, Ref: 2, Destination: tq("TO")})
				want = &Error{Code: NotFound}
			case "another":
				r.do(&Sweep{Conn: c, Ref: 3, From: tq("Q")})
			case "full":
				r.room = 0
				want = &Error{Code: Full}
			}
			r.lazy = false
			var last *Swept
			for _, l := range r.loads {
				for _, x := range r.do(r.bring(l)) {
					if s, ok := x.Value.(*Swept); ok {
						last = s
					}
				}
			}
			switch {
			case want == nil && last != nil:
				t.Errorf("told %+v, want nothing", last)
			case want != nil && (last == nil || !last.Done || last.Err == nil || last.Err.Code != want.Code || int64(last.Affected) != moved):
				t.Errorf("told %+v, want the end with code %v after %d", last, want.Code, moved)
			}
			r.crash()
		})
	}
}

func TestSweepTakesDelayed(t *testing.T) {
	r := newRig(t, Options{Policies: Policies{Default: Policy{Redelivery: RedeliveryPolicy{Maximum: 5, Delay: time.Minute}}}})
	c := r.connect("a", "")
	for i := range 3 {
		r.send(c, r.msg(tq("Q"), fmt.Sprint(i)))
	}
	d := r.want(r.consume(c, 1, tq("Q"), 1), "0")
	r.do(&SetPrefetch{Conn: c, Consumer: 1, Prefetch: 0})
	r.ack(c, 1, Poison, d[0])
	if got, _ := r.sweepAll(&Sweep{Conn: c, Kind: SweepMove, From: tq("Q"), To: tq("TO"), MayCreate: true}); got.Affected != 3 || got.Examined != 3 {
		t.Errorf("moved %d of %d examined, want 3 of 3", got.Affected, got.Examined)
	}
	if got := r.waiting(tq("TO")); got != "1<Q 2<Q 0<Q" {
		t.Errorf("moved %q", got)
	}
	r.now += 120_000
	r.do(Tick{})
}

func TestPause(t *testing.T) {
	r := newRig(t, Options{SegmentBytes: 4 << 10})
	c := r.connect("a", "")
	pause := func(on bool) []Effect {
		r.t.Helper()
		return r.ok(&Pause{Conn: c, Ref: 9, Destination: tq("Q"), On: on}, 9)
	}
	r.consume(c, 1, tq("Q"), 10)
	pause(true)
	if got := texts(r.send(c, r.msg(tq("Q"), "a"))); got != "" {
		t.Errorf("a paused queue gave %q", got)
	}
	if got := r.waiting(tq("Q")); got != "a" {
		t.Errorf("a browser sees %q, want a", got)
	}
	for range 3 {
		r.crash()
		c = r.connect("a", "")
		if !r.look(tq("Q")).Paused {
			t.Fatal("not paused any more after a crash")
		}
		r.want(r.consume(c, 1, tq("Q"), 10), "")
		for head := r.head; r.head == head; { // the record that says so must not be trimmed away
			r.churn(c)
		}
	}
	r.want(pause(false), "a")
	r.crash()
	if r.look(tq("Q")).Paused {
		t.Error("paused again after a crash")
	}
}

// A sweep that walks along a long queue does not leave it unpacked behind itself.
func TestSweepPacks(t *testing.T) {
	const n = 1200
	r := newRig(t, Options{CacheBytes: 1, PackFrom: 128})
	c := r.connect("a", "")
	for i := range n {
		r.b.Progress(r.durable, r.room)
		r.b.Step(r.now, &Send{Conn: c, Message: r.msg(tq("Q"), fmt.Sprint(i), prop("n", int32(i))), MayCreate: true}, &r.out)
		r.write()
		r.out.Reset()
	}
	q := r.b.destinations[tq("Q")].queue
	before := q.packing.count
	got, _ := r.sweepAll(&Sweep{Conn: c, Kind: SweepMove, From: tq("Q"), To: tq("TO"), MayCreate: true, Selector: "n = 600 OR n = 1199"})
	if got.Affected != 2 || got.Examined != n {
		t.Errorf("moved %d of %d, want 2 of %d", got.Affected, got.Examined, n)
	}
	if before < n/2 || q.packing.count < n/2 {
		t.Errorf("%d of %d messages were in packs, %d are afterwards", before, n, q.packing.count)
	}
	r.crash()
	if left := r.look(tq("Q")).Size; left != n-2 {
		t.Errorf("left %d, want %d", left, n-2)
	}
}

// That a queue is paused is not forgotten for its having been empty for long.
func TestPausedIsNotInactive(t *testing.T) {
	for _, on := range []bool{true, false} {
		r := newRig(t, Options{Policies: Policies{Default: Policy{Inactive: InactivePolicy{Remove: true, After: time.Second}}, Sweep: SweepPolicy{Every: time.Second}}})
		c := r.connect("a", "")
		r.do(&CreateDestination{Conn: c, Destination: tq("Q")})
		r.do(&Pause{Conn: c, Destination: tq("Q"), On: on})
		for range 10 {
			r.now += 1000
			r.do(Tick{})
		}
		if there := r.b.destinations[tq("Q")] != nil; there != on {
			t.Errorf("paused %v: the queue is there: %v", on, there)
		}
	}
}
