package broker

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/godwitmq/godwit/message"
)

func keepRig(t *testing.T, k KeepPolicy) *rig {
	return newRig(t, Options{Policies: Policies{Destinations: []Policy{{Destination: aQueue("K"), Keep: k}}}})
}

func aQueue(name string) message.Destination {
	return message.Destination{Kind: message.Queue, Name: name}
}

// rest consumes all that waits in K.
func (r *rig) rest() string {
	r.t.Helper()
	c := r.connect("", "")
	got := texts(r.consume(c, 1, aQueue("K"), 1000))
	r.do(&Unsubscribe{Conn: c, Consumer: 1})
	return got
}

func key(v any) func(*message.Message) { return prop("key", v) }

func TestLastValue(t *testing.T) {
	tests := map[string]struct {
		do   func(r *rig, c ConnID)
		want string
	}{
		"newer replaces": {func(r *rig, c ConnID) {
			for i, k := range []string{"a", "b", "a", "c", "b"} {
				r.send(c, r.msg(aQueue("K"), fmt.Sprint(i), key(k)))
			}
		}, "2 3 4"},
		"without key": {func(r *rig, c ConnID) {
			r.send(c, r.msg(aQueue("K"), "0"))
			r.send(c, r.msg(aQueue("K"), "1"))
		}, "0 1"},
		"a number and its text are the same": {func(r *rig, c ConnID) {
			r.send(c, r.msg(aQueue("K"), "0", key(int32(7))))
			r.send(c, r.msg(aQueue("K"), "1", key("7")))
		}, "1"},
		"long keys": {func(r *rig, c ConnID) {
			for i := range 4 {
				r.send(c, r.msg(aQueue("K"), fmt.Sprint(i), key(strings.Repeat("x", 1000)+fmt.Sprint(i%2))))
			}
		}, "2 3"},
		"whatever the priority": {func(r *rig, c ConnID) {
			r.send(c, r.msg(aQueue("K"), "0", key("a"), prio(9)))
			r.send(c, r.msg(aQueue("K"), "1", key("a"), prio(0)))
		}, "1"},
		"non-persistent": {func(r *rig, c ConnID) {
			r.send(c, r.msg(aQueue("K"), "0", key("a")))
			r.send(c, r.msg(aQueue("K"), "1", key("a"), transient))
		}, "1"},
		"with a transaction": {func(r *rig, c ConnID) {
			r.send(c, r.msg(aQueue("K"), "0", key("a")))
			r.sendTx(c, 1, r.msg(aQueue("K"), "1", key("a")))
			r.sendTx(c, 1, r.msg(aQueue("K"), "2", key("a")))
			r.sendTx(c, 2, r.msg(aQueue("K"), "3", key("a")))
			r.commit(c, 1)
			r.rollback(c, 2)
		}, "2"},
		"a key that was consumed is free": {func(r *rig, c ConnID) {
			r.send(c, r.msg(aQueue("K"), "0", key("a")))
			d := r.consume(c, 1, aQueue("K"), 1)
			r.ack(c, 1, Consumed, d[0])
			r.do(&Unsubscribe{Conn: c, Consumer: 1})
			r.send(c, r.msg(aQueue("K"), "1", key("a")))
		}, "1"},
		"at a consumer, and back": {func(r *rig, c ConnID) {
			r.send(c, r.msg(aQueue("K"), "0", key("a")))
			r.consume(c, 1, aQueue("K"), 1)
			r.send(c, r.msg(aQueue("K"), "1", key("a")))
			r.do(&Unsubscribe{Conn: c, Consumer: 1, LastDelivered: Unknown})
		}, "1"},
		"at a consumer, and back before": {func(r *rig, c ConnID) {
			r.send(c, r.msg(aQueue("K"), "0", key("a")))
			r.consume(c, 1, aQueue("K"), 1)
			r.do(&Unsubscribe{Conn: c, Consumer: 1})
			r.send(c, r.msg(aQueue("K"), "1", key("a")))
		}, "1"},
		"acknowledged in a transaction that is rolled back": {func(r *rig, c ConnID) {
			r.send(c, r.msg(aQueue("K"), "0", key("a")))
			d := r.consume(c, 1, aQueue("K"), 1)
			r.ack(c, 1, Consumed, d[0], inTx(1))
			r.send(c, r.msg(aQueue("K"), "1", key("a")))
			r.do(&Disconnect{Conn: c})
		}, "1+1"}, // it was in the window of the consumer, whose acknowledgement had made room
	}
	for name, tt := range tests {
		for _, crash := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, crash %v", name, crash), func(t *testing.T) {
				r := keepRig(t, KeepPolicy{LastValueKey: "key"})
				tt.do(r, r.connect("", ""))
				want := tt.want
				if crash {
					r.crash()
					if name == "non-persistent" {
						want = ""
					}
				}
				if got := r.rest(); strings.ReplaceAll(got, "+1", "") != strings.ReplaceAll(want, "+1", "") {
					t.Errorf("got %q, want %q", got, want)
				}
			})
		}
	}
}

// After a crash the keys are known: what comes then replaces what was there before, also when its record was moved in the log.
func TestLastValueAfterCrash(t *testing.T) {
	r := newRig(t, Options{SegmentBytes: minSegmentBytes, CacheBytes: 1, Policies: Policies{Destinations: []Policy{{Destination: aQueue("K"), Keep: KeepPolicy{LastValueKey: "key"}}}}})
	trims := 0
	r.onTrim = func() { trims++ }
	c := r.connect("", "")
	for i := range 20 {
		r.send(c, r.msg(aQueue("K"), fmt.Sprint(i), key(fmt.Sprint(i))))
	}
	for i := range 200 { // which moves the first ones on and on
		r.send(c, r.msg(aQueue("K"), strings.Repeat("x", 200), key(fmt.Sprint("x", i%3))))
		for r.b.Cleaning() {
			r.do(Tick{})
		}
	}
	if trims < 3 {
		t.Fatalf("the log was trimmed %d times, want 3 or more", trims)
	}
	for range 3 {
		r.crash()
		if n := len(r.b.destinations[aQueue("K")].queue.keeping.newest); n != 23 {
			t.Fatalf("%d keys are known after a crash, want 23", n)
		}
	}
	c = r.connect("", "")
	for i := range 20 {
		r.send(c, r.msg(aQueue("K"), fmt.Sprint(i, "new"), key(fmt.Sprint(i))))
	}
	if v := r.look(aQueue("K")); v.Size != 23 {
		t.Errorf("the queue has %d messages, want 23", v.Size)
	}
}

// The bodies of a large transaction leave memory before they have a place in their queue.
func TestLastValueOfLargeTransaction(t *testing.T) {
	r := keepRig(t, KeepPolicy{LastValueKey: "key"})
	r.opt.CacheBytes = 1
	r.boot()
	c := r.connect("", "")
	for i := range 10 {
		r.sendTx(c, 1, r.msg(aQueue("K"), fmt.Sprint(i), key(i%3)))
	}
	r.commit(c, 1)
	if got := r.rest(); got != "7 8 9" {
		t.Errorf("got %q, want the newest of each key: 7 8 9", got)
	}
}

// What a branch sent knows its keys and groups when it is committed, though its messages are only in the log: its client has gone, the broker was started again, the log
// was cleaned.
func TestLastValueOfPrepared(t *testing.T) {
	for _, before := range []string{"gone", "crash", "cleaned", "cleaned and crash"} {
		t.Run(before, func(t *testing.T) {
			r := newRig(t, Options{SegmentBytes: minSegmentBytes, CacheBytes: 1, Policies: Policies{Destinations: []Policy{{Destination: aQueue("K"), Keep: KeepPolicy{LastValueKey: "key"}}}}})
			c := r.connect("", "")
			long := strings.Repeat("k", 100)
			r.send(c, r.msg(aQueue("K"), "old", key("a")))
			r.send(c, r.msg(aQueue("K"), "old long", key(long)))
			r.xa(&XABegin{Conn: c, Tx: dtx, XID: xid(1)})
			for i, k := range []any{"a", "b", long, "b"} {
				r.sendTx(c, dtx, r.msg(aQueue("K"), fmt.Sprint("new ", i), key(k)))
			}
			r.sendTx(c, dtx, r.msg(aQueue("K"), "none"))
			r.sendTx(c, dtx, r.msg(tq("G"), "grouped", func(m *message.Message) { m.GroupID = "g" }))
			if got := r.xa(&XAPrepare{Conn: c, XID: xid(1)}); got != "ok" {
				t.Fatalf("prepare: %s", got)
			}
			r.do(&Disconnect{Conn: c})
			c = r.connect("", "")
			trimmed := r.head
			for i := range 200 * strings.Count(before, "cleaned") {
				r.send(c, r.msg(aQueue("other"), strings.Repeat("x", 200), key(fmt.Sprint(i))))
				r.do(&Purge{Conn: c, Destination: aQueue("other")})
				for r.b.Cleaning() {
					r.do(Tick{})
				}
			}
			if cleaned := strings.HasPrefix(before, "cleaned"); cleaned && r.head < trimmed+2*minSegmentBytes {
				t.Fatalf("the log was trimmed from %d to %d only", trimmed, r.head)
			}
			if strings.HasSuffix(before, "crash") {
				r.crash()
				c = r.connect("", "")
			}
			if got := r.xa(&XACommit{Conn: c, XID: xid(1)}); got != "ok" {
				t.Fatalf("commit: %s", got)
			}
			if n := len(r.b.destinations[aQueue("K")].queue.keeping.newest); n != 3 {
				t.Errorf("%d keys are known, want 3", n)
			}
			if r.b.destinations[tq("G")].queue.groups == nil {
				t.Error("the group of a message is not known")
			}
			r.want(r.consume(c, 1, aQueue("K"), 100), "new 0 new 2 new 3 none")
		})
	}
}

func TestLastValueKeysAreBounded(t *testing.T) {
	r := keepRig(t, KeepPolicy{LastValueKey: "key", MaxKeys: 2})
	c := r.connect("", "")
	for i := range 2 {
		r.send(c, r.msg(aQueue("K"), fmt.Sprint(i), key(i)))
	}
	err := r.refused(Full, &Send{Conn: c, Ref: 3, Message: r.msg(aQueue("K"), "no", key("other"))}, 3)
	if want := "send to queue://K: queue://K has last values of 2 keys (key), its limit"; err.Error() != want {
		t.Errorf("got error %q, want %q", err, want)
	}
	r.send(c, r.msg(aQueue("K"), "plain"))
	r.send(c, r.msg(aQueue("K"), "new", key(1)))
	for i := range 3 { // a transaction may bring more than there is room for: they are kept as messages without a key
		r.sendTx(c, 1, r.msg(aQueue("K"), fmt.Sprint("tx", i), key(1)))
	}
	r.commit(c, 1)
	if got := r.rest(); got != "0 plain tx2" {
		t.Errorf("got %q", got)
	}
}

func TestRing(t *testing.T) {
	r := keepRig(t, KeepPolicy{Ring: 3})
	c := r.connect("", "")
	for i, p := range []uint8{4, 9, 4, 0, 9, 4} {
		r.send(c, r.msg(aQueue("K"), fmt.Sprint(i), prio(p)))
	}
	r.want(r.consume(c, 1, aQueue("K"), 2), "4 5") // 3 waits
	for i := 6; i < 10; i++ {
		r.send(c, r.msg(aQueue("K"), fmt.Sprint(i)))
	}
	if v := r.look(aQueue("K")); v.Size != 5 || v.InFlight != 2 || v.Replaced != 5 {
		t.Errorf("got %d messages, %d at the consumer, %d replaced; want 5, 2, 5", v.Size, v.InFlight, v.Replaced)
	}
	r.do(&Unsubscribe{Conn: c, Consumer: 1, LastDelivered: Unknown}) // what comes back is older than what waits
	for i := 10; i < 12; i++ {
		r.sendTx(c, 1, r.msg(aQueue("K"), fmt.Sprint(i)))
	}
	r.commit(c, 1)
	r.crash()
	if got := r.rest(); got != "9+1 10+1 11+1" { // they may have been shown before the crash, as far as the log says
		t.Errorf("got %q, want 9+1 10+1 11+1", got)
	}
}

// A policy that changes holds for what is there: a ring at once, last values for what comes from then on.
func TestKeepIsChangedLive(t *testing.T) {
	r := newRig(t, Options{})
	c := r.connect("", "")
	configure := func(k KeepPolicy) {
		r.do(&Configure{Policies: Policies{Destinations: []Policy{{Destination: aQueue(">"), Keep: k}}}})
	}
	for i := range 6 {
		r.send(c, r.msg(aQueue("K"), fmt.Sprint(i), key("a")))
	}
	size := func(want int64) {
		t.Helper()
		if v := r.look(aQueue("K")); v.Size != want {
			t.Errorf("got %d messages, want %d", v.Size, want)
		}
	}
	configure(KeepPolicy{Ring: 4})
	size(4)
	configure(KeepPolicy{LastValueKey: "key"})
	r.send(c, r.msg(aQueue("K"), "6", key("a")))
	r.send(c, r.msg(aQueue("K"), "7", key("a")))
	size(5)
	configure(KeepPolicy{})
	r.send(c, r.msg(aQueue("K"), "8", key("a")))
	size(6)
	configure(KeepPolicy{LastValueKey: "other"})
	size(6)
}

// A backlog in packs becomes a ring, by a new policy or by one that a restart finds.
func TestLongBacklogBecomesRing(t *testing.T) {
	for _, live := range []bool{true, false} {
		r := newRig(t, Options{PackFrom: 32})
		c := r.connect("", "")
		for i := range 200 {
			r.send(c, r.msg(aQueue("K"), fmt.Sprint(i), prio(uint8(i%3))))
		}
		p := Policies{Default: Policy{Keep: KeepPolicy{Ring: 5}}}
		if r.b.destinations[aQueue("K")].queue.packing == nil {
			t.Fatal("the backlog has no packs")
		}
		if live {
			r.do(&Configure{Policies: p})
		} else {
			r.opt.Policies = p
			r.crash()
		}
		if got := r.rest(); got != "197 196 199 195 198" {
			t.Errorf("live %v: got %q", live, got)
		}
	}
}

func TestInactiveDestinationsAreRemoved(t *testing.T) {
	policies := Policies{
		Destinations: []Policy{
			{Destination: aQueue("gc.>"), Inactive: InactivePolicy{Remove: true, After: time.Minute}},
			{Destination: message.Destination{Kind: message.Topic, Name: "gc.>"}, Inactive: InactivePolicy{Remove: true, After: time.Minute}},
		},
		Create: []message.Destination{aQueue("gc.listed")},
		Sweep:  SweepPolicy{Every: 10 * time.Second, Maximum: 2},
	}
	r := newRig(t, Options{Policies: policies})
	c := r.connect("", "id")
	for _, name := range []string{"gc.empty", "gc.empty2", "gc.empty3", "gc.consumed", "gc.produced", "stays"} {
		r.do(&CreateDestination{Destination: aQueue(name)})
	}
	r.do(&AddProducer{Conn: c, Producer: 1, Destination: aQueue("gc.early")}) // before there is such a queue
	for _, name := range []string{"gc.full", "gc.early", "gc.passed"} {
		r.send(c, r.msg(aQueue(name), "x"))
	}
	r.consume(c, 1, aQueue("gc.consumed"), 1)
	r.consume(c, 9, aQueue("gc.early"), 1)
	r.ack(c, 9, Consumed, r.want(r.consume(c, 8, aQueue("gc.passed"), 1), "x")[0], func(a *Ack) { a.Consumer = 8 })
	r.do(&Unsubscribe{Conn: c, Consumer: 8}, &Unsubscribe{Conn: c, Consumer: 9})
	r.do(&AddProducer{Conn: c, Producer: 2, Destination: aQueue("gc.produced")})
	r.send(c, r.msg(message.Destination{Kind: message.Topic, Name: "gc.topic"}, "x"))
	r.consume(c, 3, message.Destination{Kind: message.Topic, Name: "gc.durable"}, 1, func(s *Subscribe) { s.Name = "s" })
	r.do(&Unsubscribe{Conn: c, Consumer: 3})
	names := func() (all string) {
		for _, d := range r.b.sortedDestinations() {
			all += d.name.Name + " "
		}
		return strings.TrimSpace(all)
	}
	tick := func(d time.Duration) {
		r.now += d.Milliseconds()
		if at := r.b.Deadline(); at == 0 || at > r.now {
			t.Errorf("the next deadline is %d, now is %d", at, r.now)
		}
		r.do(Tick{})
	}
	all := "gc.consumed gc.early gc.empty gc.empty2 gc.empty3 gc.full gc.listed gc.passed gc.produced stays gc.durable gc.topic"
	tick(10 * time.Second) // they are found inactive
	tick(59 * time.Second)
	if got := names(); got != all {
		t.Fatalf("before the time: %q, want %q", got, all)
	}
	r.send(c, r.msg(aQueue("gc.empty"), "x")) // and is consumed before anybody looks again
	r.ack(c, 4, Consumed, r.want(r.consume(c, 4, aQueue("gc.empty"), 1), "x")[0])
	r.do(&Unsubscribe{Conn: c, Consumer: 4})
	for i, want := range []string{
		"gc.consumed gc.early gc.empty gc.full gc.listed gc.passed gc.produced stays gc.durable gc.topic", // two at a time
		"gc.consumed gc.early gc.empty gc.full gc.listed gc.produced stays gc.durable",
		"gc.consumed gc.early gc.empty gc.full gc.listed gc.produced stays gc.durable",
	} {
		tick(10 * time.Second)
		if got := names(); got != want {
			t.Errorf("sweep %d: %q, want %q", i, got, want)
		}
	}
	tick(60 * time.Second)
	r.crash()
	if got, want := names(), "gc.consumed gc.early gc.full gc.listed gc.produced stays gc.durable"; got != want {
		t.Errorf("after a crash: %q, want %q", got, want)
	}
}

func TestMaximumOfDestinations(t *testing.T) {
	r := newRig(t, Options{MaxDestinations: 5, Policies: Policies{
		Destinations: []Policy{{Destination: aQueue("max.>"), MaxDestinations: 2}},
		Create:       []message.Destination{aQueue("listed")},
	}})
	c := r.connect("", "")
	for _, name := range []string{"max.1", "max.2"} {
		r.send(c, r.msg(aQueue(name), "x"))
	}
	err := r.refused(Full, &Send{Conn: c, Ref: 1, Message: r.msg(aQueue("max.3"), "x"), MayCreate: true}, 1)
	if want := "send to queue://max.3: there are 2 destinations of the policy queue://max.>, its limit"; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
	r.refused(Full, &CreateDestination{Conn: c, Ref: 1, Destination: aQueue("max.3")}, 1)
	r.do(&RemoveDestination{Destination: aQueue("max.1")})
	r.crash()
	c = r.connect("", "")
	r.send(c, r.msg(aQueue("max.3"), "x"))
	r.refused(Full, &Subscribe{Conn: c, Ref: 1, Consumer: 1, Destination: aQueue("max.4"), MayCreate: true}, 1)
	r.do(&Configure{Policies: Policies{}})
	r.send(c, r.msg(aQueue("max.4"), "x"))
	r.send(c, r.msg(aQueue("max.5"), "x"))
	err = r.refused(Full, &Send{Conn: c, Ref: 1, Message: r.msg(aQueue("any"), "x"), MayCreate: true}, 1)
	if want := "send to queue://any: the broker has 5 destinations, its limit"; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
}
