package broker

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
	"unsafe"

	"github.com/godwitmq/godwit/message"
)

func inGroup(name string) func(*message.Message) {
	return func(m *message.Message) { m.GroupID = name }
}

func groupSeq(n int32) func(*message.Message) {
	return func(m *message.Message) { m.GroupSequence = n }
}

// at says at whom the deliveries are: "a1 b2" is a at consumer 1, b at 2; ! marks the first of a group.
func at(effects []Effect) string {
	s := ""
	for _, x := range deliveries(effects, 0, 0) {
		if s != "" {
			s += " "
		}
		s += fmt.Sprintf("%s%d", x.Message.Content, x.Consumer)
		if x.FirstOfGroup {
			s += "!"
		}
	}
	return s
}

func (r *rig) wantAt(effects []Effect, want string) []Effect {
	r.t.Helper()
	if got := at(effects); got != want {
		r.t.Fatalf("got deliveries %q, want %q", got, want)
	}
	return deliveries(effects, 0, 0)
}

func (r *rig) sendGroup(conn ConnID, group, text string, change ...func(*message.Message)) []Effect {
	r.t.Helper()
	return r.send(conn, r.msg(tq("Q"), text, append([]func(*message.Message){inGroup(group)}, change...)...))
}

func TestGroupStaysWithItsConsumer(t *testing.T) {
	r := newRig(t, Options{})
	c := r.connect("c", "")
	r.consume(c, 1, tq("Q"), 9)
	r.consume(c, 2, tq("Q"), 9)
	r.wantAt(r.sendGroup(c, "A", "a"), "a1!")
	r.wantAt(r.sendGroup(c, "B", "b"), "b2!") // to whom has fewer groups
	r.wantAt(r.sendGroup(c, "B", "b"), "b2")
	r.wantAt(r.sendGroup(c, "A", "a"), "a1")
	r.wantAt(r.send(c, r.msg(tq("Q"), "x")), "x1")
	r.wantAt(r.send(c, r.msg(tq("Q"), "x")), "x2")
	r.wantAt(r.sendGroup(c, "A", "a"), "a1")
}

// The messages of a full owner wait, those behind them go on.
func TestGroupOwnerFull(t *testing.T) {
	r := newRig(t, Options{})
	c := r.connect("c", "")
	r.consume(c, 1, tq("Q"), 1)
	r.consume(c, 2, tq("Q"), 2)
	d := r.wantAt(r.sendGroup(c, "A", "a"), "a1!")
	r.wantAt(r.sendGroup(c, "A", "b"), "")
	r.wantAt(r.sendGroup(c, "B", "c"), "c2!")
	r.wantAt(r.send(c, r.msg(tq("Q"), "d")), "d2")
	d = r.wantAt(r.ack(c, 1, Consumed, d[0]), "b1")
	r.wantAt(r.ack(c, 1, Consumed, d[0]), "")
}

func TestGroupOwnerLeaves(t *testing.T) {
	r := newRig(t, Options{})
	c, x := r.connect("c", ""), r.connect("x", "")
	r.consume(c, 1, tq("Q"), 2)
	r.consume(x, 2, tq("Q"), 9)
	r.wantAt(r.sendGroup(x, "A", "a"), "a1!")
	r.wantAt(r.sendGroup(x, "A", "b"), "b1")
	r.wantAt(r.sendGroup(x, "A", "c"), "")
	r.wantAt(r.do(&Disconnect{Conn: c}), "a2! b2 c2")
	r.wantAt(r.sendGroup(x, "A", "d"), "d2")
}

// While a transaction holds a message of the group whose consumer is gone, nobody else may have the group.
func TestGroupInTransaction(t *testing.T) {
	r := newRig(t, Options{})
	c, x := r.connect("c", ""), r.connect("x", "")
	r.consume(c, 1, tq("Q"), 9)
	d := r.wantAt(r.sendGroup(x, "A", "a"), "a1!")
	r.consume(x, 2, tq("Q"), 9)
	r.ack(c, 1, Consumed, d[0], inTx(7))
	r.wantAt(r.do(&Unsubscribe{Conn: c, Consumer: 1}), "")
	r.wantAt(r.sendGroup(x, "A", "b"), "")
	r.wantAt(r.sendGroup(x, "B", "c"), "c2!")
	r.wantAt(r.rollback(c, 7), "a2! b2")
}

func TestGroupCloses(t *testing.T) {
	r := newRig(t, Options{})
	c := r.connect("c", "")
	r.consume(c, 1, tq("Q"), 9)
	r.consume(c, 2, tq("Q"), 9)
	r.wantAt(r.sendGroup(c, "A", "a"), "a1!")
	r.wantAt(r.sendGroup(c, "B", "b"), "b2!")
	r.wantAt(r.sendGroup(c, "C", "c"), "c1!")
	last := r.wantAt(r.sendGroup(c, "A", "a", groupSeq(-1)), "a1")
	// A new group by the same name, which begins when the old one has been acknowledged.
	r.wantAt(r.sendGroup(c, "A", "n"), "")
	r.wantAt(r.sendGroup(c, "C", "c"), "c1")
	r.wantAt(r.ack(c, 1, Consumed, last[0]), "")
	if gs := r.b.destinations[tq("Q")].queue.groups; gs.byName["A"].owner == nil {
		t.Error("the first message of the group is out and its owner is gone")
	}
	got := r.do(&Ack{Conn: c, Ref: 8, Consumer: 1, Kind: Consumed, Last: last[0].Sequence - 3, Single: true})
	r.wantAt(got, "n1!")
}

func TestGroupSequenceOneBeginsAnew(t *testing.T) {
	r := newRig(t, Options{})
	c := r.connect("c", "")
	r.consume(c, 1, tq("Q"), 9)
	r.consume(c, 2, tq("Q"), 9)
	d := r.wantAt(r.sendGroup(c, "A", "a", groupSeq(1)), "a1!")
	r.wantAt(r.sendGroup(c, "B", "b"), "b2!")
	r.wantAt(r.sendGroup(c, "C", "c"), "c1!")
	r.wantAt(r.sendGroup(c, "A", "a", groupSeq(1)), "a1") // the first is not acknowledged
	r.do(&Ack{Conn: c, Consumer: 1, Kind: Consumed, Last: d[0].Sequence, Single: true})
	r.do(&Ack{Conn: c, Consumer: 1, Kind: Consumed, Last: d[0].Sequence + 3, Single: true})
	r.wantAt(r.sendGroup(c, "A", "a", groupSeq(1)), "a1!") // 1 has C, 2 has B
	r.wantAt(r.sendGroup(c, "A", "a", groupSeq(2)), "a1")
}

func TestGroupsAreShared(t *testing.T) {
	for _, sticky := range []bool{false, true} {
		var opt Options
		opt.Policies.Default.Consumers.StickyGroups = sticky
		r := newRig(t, opt)
		c := r.connect("c", "")
		r.consume(c, 1, tq("Q"), 9)
		var got []Effect
		for _, g := range []string{"A", "B", "C", "D"} {
			got = append(got, r.sendGroup(c, g, g)...)
		}
		for _, d := range got[:3] {
			r.ack(c, 1, Consumed, d)
		}
		r.consume(c, 2, tq("Q"), 9)
		var all []Effect
		for _, g := range []string{"A", "B", "C", "D"} {
			all = append(all, r.sendGroup(c, g, g)...)
		}
		want := map[bool]string{false: "A2! B2! C1 D1", true: "A1 B1 C1 D1"}[sticky]
		r.wantAt(all, want)
	}
}

// A consumer that pulls holds a group only while it asks for a message or has one.
func TestGroupOfPullingConsumers(t *testing.T) {
	r := newRig(t, Options{})
	c := r.connect("c", "")
	r.consume(c, 1, tq("Q"), 0)
	r.consume(c, 2, tq("Q"), 0)
	r.do(&Pull{Conn: c, Consumer: 1})
	d := r.wantAt(r.sendGroup(c, "A", "a"), "a1!")
	r.wantAt(r.do(&Pull{Conn: c, Consumer: 2}), "")
	r.wantAt(r.sendGroup(c, "A", "b"), "")
	r.wantAt(r.ack(c, 1, Consumed, d[0]), "b2!")
}

func TestGroupLease(t *testing.T) {
	var opt Options
	opt.Policies.Default.Consumers.GroupLease = 10 * time.Second
	r := newRig(t, opt)
	c := r.connect("c", "")
	r.consume(c, 1, tq("Q"), 1)
	r.consume(c, 2, tq("Q"), 9)
	d := r.wantAt(r.sendGroup(c, "A", "a"), "a1!")
	r.ack(c, 1, Consumed, d[0])
	r.wantAt(r.sendGroup(c, "B", "b"), "b2!")
	r.wantAt(r.sendGroup(c, "C", "c"), "c1!") // by turns; now it is full
	r.wantAt(r.sendGroup(c, "A", "a"), "")
	for range 9 {
		r.now += 1000
		r.wantAt(r.do(Tick{}), "")
	}
	r.now += 3000
	r.wantAt(r.do(Tick{}), "a2!")
	r.wantAt(r.sendGroup(c, "C", "c"), "") // of it something is out
}

func TestGroupsAfterRestart(t *testing.T) {
	r := newRig(t, Options{CacheBytes: 1})
	c := r.connect("c", "")
	for i := range 4 {
		r.sendGroup(c, "A", fmt.Sprint("a", i))
		r.sendTx(c, 1, r.msg(tq("Q"), fmt.Sprint("b", i), inGroup("B")))
	}
	r.commit(c, 1)
	r.crash()
	c = r.connect("c", "")
	r.consume(c, 1, tq("Q"), 3)
	r.wantAt(r.consume(c, 2, tq("Q"), 3), "b02! b12 b22")
}

// A message of a prepared transaction is in its group when it is committed after a restart, or after its connection has gone.
func TestGroupOfPrepared(t *testing.T) {
	for name, end := range map[string]func(*rig, ConnID){
		"restart":    func(r *rig, _ ConnID) { r.crash() },
		"disconnect": func(r *rig, c ConnID) { r.do(&Disconnect{Conn: c}) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Options{})
			c := r.connect("c", "")
			r.xa(&XABegin{Conn: c, Tx: dtx, XID: xid(1)})
			for _, text := range []string{"a", "b"} {
				r.sendTx(c, dtx, r.msg(tq("Q"), text, inGroup("A")))
			}
			r.xa(&XAPrepare{Conn: c, XID: xid(1)})
			end(r, c)
			c = r.connect("c", "")
			r.consume(c, 1, tq("Q"), 9)
			r.consume(c, 2, tq("Q"), 9)
			ref := r.ref()
			r.wantAt(r.do(&XACommit{Conn: c, Ref: ref, XID: xid(1)}), "a1! b1")
		})
	}
}

func TestGroupsWithSelectors(t *testing.T) {
	r := newRig(t, Options{CacheBytes: 1})
	c := r.connect("c", "")
	r.consume(c, 1, tq("Q"), 2, selectedBy("n = 1"))
	r.consume(c, 2, tq("Q"), 9, selectedBy("n = 2"))
	one, two := prop("n", int32(1)), prop("n", int32(2))
	d := r.wantAt(r.sendGroup(c, "A", "a", one), "a1!")
	r.wantAt(r.sendGroup(c, "A", "b", two), "") // the owner does not want it, another one may not have it
	r.wantAt(r.sendGroup(c, "A", "c", one), "c1")
	r.wantAt(r.sendGroup(c, "B", "d", two), "d2!")
	r.wantAt(r.send(c, r.msg(tq("Q"), "e", two)), "e2")
	r.wantAt(r.sendGroup(c, "A", "f", one), "")
	r.wantAt(r.ack(c, 1, Consumed, d[0]), "f1")
	r.do(&Ack{Conn: c, Consumer: 1, Kind: Consumed, Last: d[0].Sequence + 2, Single: true})
	r.wantAt(r.do(&Ack{Conn: c, Consumer: 1, Kind: Consumed, Last: d[0].Sequence + 5, Single: true}), "b2!")
	r.wantAt(r.sendGroup(c, "A", "g", one), "")
}

// What comes while a queue has no groups is seen by consumers with selectors when it has some again.
func TestGroupsComeAgainWithSelectors(t *testing.T) {
	r := newRig(t, Options{})
	c := r.connect("c", "")
	n := func(i int32) func(*message.Message) { return prop("n", i) }
	r.consume(c, 1, tq("Q"), 2, selectedBy("n = 1"))
	d := r.wantAt(r.sendGroup(c, "A", "a", n(1), groupSeq(-1)), "a1!")
	r.wantAt(r.send(c, r.msg(tq("Q"), "other", n(2))), "") // looked at and passed over
	r.ack(c, 1, Consumed, d[0])
	if r.b.destinations[tq("Q")].queue.groups != nil {
		t.Fatal("the queue has groups although the last one is closed")
	}
	r.do(&SetPrefetch{Conn: c, Consumer: 1})
	r.send(c, r.msg(tq("Q"), "high", n(1), prio(9)))
	r.sendGroup(c, "B", "b", n(1))
	r.wantAt(r.do(&SetPrefetch{Conn: c, Consumer: 1, Prefetch: 9}), "high1 b1!")
}

func TestExclusiveTakesTheGroups(t *testing.T) {
	r := newRig(t, Options{})
	c := r.connect("c", "")
	r.consume(c, 1, tq("Q"), 9)
	d := r.wantAt(r.sendGroup(c, "A", "a"), "a1!")
	r.wantAt(r.sendGroup(c, "B", "b"), "b1!")
	r.ack(c, 1, Consumed, d[0])
	r.consume(c, 2, tq("Q"), 9, func(s *Subscribe) { s.Exclusive = true })
	r.wantAt(r.sendGroup(c, "A", "a"), "a2!")
	r.wantAt(r.sendGroup(c, "B", "b"), "") // something of it is out at 1
}

// With more names than there may be groups, names share groups; nothing is ever worked on in two places. The audit after each step
// looks that a group is at one consumer; here its order is looked at as well.
func TestGroupsWithoutNumber(t *testing.T) {
	for seed := range uint64(8) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		r := newRig(t, Options{CacheBytes: int64(rnd.IntN(2))*1000 + 1})
		c, p := r.connect("c", ""), r.connect("p", "")
		r.send(p, r.msg(tq("Q"), "0", inGroup("first")))
		r.b.destinations[tq("Q")].queue.groups.limit = 5
		at := map[string]map[ConsumerID]int{} // group -> consumer -> how many
		last := map[string]uint64{}
		names := map[uint64]string{}
		var has []Effect
		met := func(effects []Effect) {
			for _, d := range deliveries(effects, 0, 0) {
				g := d.Message.GroupID
				if at[g] == nil {
					at[g] = map[ConsumerID]int{}
				}
				at[g][d.Consumer]++
				if len(at[g]) > 1 {
					t.Fatalf("seed %d: group %s is at %v", seed, g, at[g])
				}
				if d.Redeliveries == 0 && d.Sequence < last[g] && seed < 4 { // with selectors the order holds among what a consumer selects
					t.Fatalf("seed %d: message %d of group %s comes after %d", seed, d.Sequence, g, last[g])
				}
				last[g] = max(last[g], d.Sequence)
				names[d.Sequence] = g
				has = append(has, d)
			}
		}
		gone := func(i int) Effect {
			d := has[i]
			has = append(has[:i], has[i+1:]...)
			g := names[d.Sequence]
			if at[g][d.Consumer]--; at[g][d.Consumer] == 0 {
				delete(at[g], d.Consumer)
			}
			return d
		}
		var there []ConsumerID
		for step := range 1500 {
			switch x := rnd.IntN(20); {
			case x < 8:
				change := groupSeq([]int32{0, 0, 0, 1, -1}[rnd.IntN(5)])
				met(r.send(p, r.msg(tq("Q"), fmt.Sprint(step), inGroup(fmt.Sprint(rnd.IntN(40))), change, prop("n", int32(rnd.IntN(2))))))
			case x < 16 && len(has) > 0:
				d := gone(rnd.IntN(len(has)))
				met(r.ack(c, d.Consumer, []AckKind{Consumed, Consumed, Consumed, Released}[rnd.IntN(4)], d))
			case x == 16 && len(there) < 5:
				there = append(there, ConsumerID(step+1))
				change := func(s *Subscribe) {}
				if seed >= 4 && rnd.IntN(3) == 0 {
					change = selectedBy("n = 1")
				}
				met(r.consume(c, there[len(there)-1], tq("Q"), 1+rnd.IntN(6), change))
			case x == 17 && len(there) > 0:
				i := rnd.IntN(len(there))
				for j := len(has) - 1; j >= 0; j-- {
					if has[j].Consumer == there[i] {
						gone(j)
					}
				}
				met(r.do(&Unsubscribe{Conn: c, Consumer: there[i], LastDelivered: Unknown}))
				there = append(there[:i], there[i+1:]...)
			}
		}
	}
}

// BenchmarkGroups gives 100,000 waiting messages of 1,000 groups to 10 consumers.
func BenchmarkGroups(b *testing.B) {
	const waiting, names, consumers = 100_000, 1000, 10
	for b.Loop() {
		x := newBench(Options{CacheBytes: 1 << 30})
		x.do(&CreateDestination{Conn: 1, Destination: tq("Q")})
		for i := range waiting {
			m := x.message(tq("Q")).Copy()
			m.GroupID = fmt.Sprint("group ", i%names)
			m.Encode()
			x.do(&Send{Conn: 1, Message: m})
		}
		var at []Effect
		for i := range consumers {
			at = append(at, x.do(&Subscribe{Conn: 1, Consumer: ConsumerID(i + 1), Destination: tq("Q"), Prefetch: 100})...)
		}
		start := time.Now()
		n := 0
		for i := 0; i < len(at); i++ {
			if at[i].Kind == Delivery {
				n++
				at = append(at, x.do(&Ack{Conn: 1, Consumer: at[i].Consumer, Kind: Consumed, Last: at[i].Sequence, Single: true})...)
			}
		}
		if n != waiting {
			b.Fatalf("%d of %d messages were delivered", n, waiting)
		}
		b.ReportMetric(float64(time.Since(start).Nanoseconds())/waiting, "ns/message")
	}
}

// A waiting message costs an entry and a stored in one piece: beyond 128 bytes the next size that memory comes in is 144.
func TestSizeOfAnEntry(t *testing.T) {
	if n := unsafe.Sizeof(single{}); n > 128 {
		t.Errorf("an entry with its stored takes %d bytes, want at most 128", n)
	}
}
