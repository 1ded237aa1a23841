package broker

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/godwitmq/godwit/message"
)

func TestPriorityThenOrder(t *testing.T) {
	r := newRig(t, Options{})
	c := r.connect("a", "")
	for i, p := range []uint8{4, 0, 9, 4, 9, 1} {
		r.send(c, r.msg(tq("Q"), fmt.Sprint(i), prio(p)))
	}
	r.want(r.consume(c, 1, tq("Q"), 10), "2 4 0 3 5 1")
}

func TestRoundRobinPriorityExclusive(t *testing.T) {
	tests := map[string]struct {
		second func(*Subscribe)
		want   [2]string // what each of two consumers gets
	}{
		"by turns":        {func(*Subscribe) {}, [2]string{"0 2 4", "1 3 5"}},
		"higher priority": {func(s *Subscribe) { s.Priority = 5 }, [2]string{"4 5", "0 1 2 3"}},
		"exclusive":       {func(s *Subscribe) { s.Exclusive = true }, [2]string{"", "0 1 2 3"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Options{})
			c := r.connect("a", "")
			r.consume(c, 1, tq("Q"), 4)
			r.consume(c, 2, tq("Q"), 4, tt.second)
			var got []Effect
			for i := range 6 {
				got = append(got, r.send(c, r.msg(tq("Q"), fmt.Sprint(i)))...)
			}
			for i, want := range tt.want {
				if s := texts(deliveries(got, c, ConsumerID(i+1))); s != want {
					t.Errorf("consumer %d got %q, want %q", i+1, s, want)
				}
			}
		})
	}
}

func TestCredit(t *testing.T) {
	r := newRig(t, Options{})
	c := r.connect("a", "")
	for i := range 6 {
		r.send(c, r.msg(tq("Q"), fmt.Sprint(i)))
	}
	d := r.want(r.consume(c, 1, tq("Q"), 2), "0 1")
	d = append(d, r.want(r.ack(c, 1, Consumed, d[0]), "2")...)
	r.want(r.do(&Ack{Conn: c, Consumer: 1, Kind: Delivered, Count: 1}), "3") // 1 was seen: its place is free
	r.want(r.ack(c, 1, Consumed, d[1]), "")                                  // and is not freed again
	r.want(r.ack(c, 1, Consumed, d[2]), "4")
	r.want(r.do(&SetPrefetch{Conn: c, Consumer: 1, Prefetch: 3}), "5")
}

// Committed acknowledgements leave the window as others do: they must not make it wider each time.
func TestCreditAfterCommits(t *testing.T) {
	r := newRig(t, Options{})
	c := r.connect("a", "")
	for i := range 10 {
		r.send(c, r.msg(tq("Q"), fmt.Sprint(i)))
	}
	at := r.want(r.consume(c, 1, tq("Q"), 2), "0 1")
	for i := range 6 {
		tx := TxID(i + 1)
		at = append(at[1:], r.want(r.ack(c, 1, Consumed, at[0], inTx(tx)), fmt.Sprint(i+2))...)
		r.want(r.commit(c, tx), "")
	}
	if v := r.look(tq("Q")); v.InFlight != 2 || v.Size != 4 {
		t.Errorf("got %d in flight of %d, want 2 of 4", v.InFlight, v.Size)
	}
}

func TestPull(t *testing.T) {
	r := newRig(t, Options{})
	c := r.connect("a", "")
	r.want(r.consume(c, 1, tq("Q"), 0), "")
	empty := func(got []Effect) bool {
		return len(got) == 1 && got[0].Kind == PullEmpty && got[0].Consumer == 1
	}
	if got := r.do(&Pull{Conn: c, Consumer: 1, Wait: -1}); !empty(got) {
		t.Errorf("a pull that does not wait got %+v, want PullEmpty", got)
	}
	if got := r.do(&Pull{Conn: c, Consumer: 1, Wait: time.Second}); len(got) != 0 {
		t.Errorf("a pull that waits got %+v at once", got)
	}
	r.now += 999
	if got := r.do(Tick{}); len(got) != 0 {
		t.Errorf("before its time a pull got %+v", got)
	}
	r.now++
	if got := r.do(Tick{}); !empty(got) {
		t.Errorf("after its time a pull got %+v, want PullEmpty", got)
	}
	r.do(&Pull{Conn: c, Consumer: 1})
	r.want(r.send(c, r.msg(tq("Q"), "x")), "x")
	r.want(r.send(c, r.msg(tq("Q"), "y")), "") // one pull, one message
	r.want(r.do(&Pull{Conn: c, Consumer: 1, Wait: -1}), "y")
}

func TestAcknowledge(t *testing.T) {
	at := func(d []Effect, from, to int, kind AckKind) *Ack {
		a := &Ack{Kind: kind, Last: d[to].Sequence}
		if from >= 0 {
			a.First = d[from].Sequence
		}
		return a
	}
	tests := map[string]struct {
		ack  func(d []Effect) *Ack
		want string // what comes to another consumer after the first is gone
	}{
		"all so far":   {func(d []Effect) *Ack { return at(d, -1, 2, Consumed) }, "3+1 4+1"},
		"range":        {func(d []Effect) *Ack { return at(d, 1, 3, Consumed) }, "0+1 4+1"},
		"one":          {func(d []Effect) *Ack { a := at(d, -1, 2, Consumed); a.Single = true; return a }, "0+1 1+1 3+1 4+1"},
		"one as range": {func(d []Effect) *Ack { a := at(d, 2, 2, Consumed); a.Count = 1; return a }, "0+1 1+1 3+1 4+1"},
		"delivered":    {func(d []Effect) *Ack { return at(d, -1, 2, Delivered) }, "0+1 1+1 2+1 3+1 4+1"},
		"poison":       {func(d []Effect) *Ack { return at(d, 0, 1, Poison) }, "2+1 3+1 4+1"},
		"expired":      {func(d []Effect) *Ack { return at(d, 0, 1, Expired) }, "2+1 3+1 4+1"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Options{})
			c := r.connect("a", "")
			for i := range 5 {
				r.send(c, r.msg(tq("Q"), fmt.Sprint(i)))
			}
			d := r.want(r.consume(c, 1, tq("Q"), 10), "0 1 2 3 4")
			a := tt.ack(d)
			a.Conn, a.Consumer, a.Ref = c, 1, 77
			r.want(r.ok(a, 77), "")
			other := r.connect("b", "")
			r.consume(other, 1, tq("Q"), 10)
			r.want(r.do(&Disconnect{Conn: c}), tt.want)
		})
	}
	t.Run("released", func(t *testing.T) {
		r := newRig(t, Options{})
		c := r.connect("a", "")
		r.send(c, r.msg(tq("Q"), "0"))
		r.send(c, r.msg(tq("Q"), "1"))
		d := r.want(r.consume(c, 1, tq("Q"), 10), "0 1")
		r.want(r.ack(c, 1, Released, d[0]), "0+1")
	})
	t.Run("unknown", func(t *testing.T) {
		r := newRig(t, Options{})
		c := r.connect("a", "")
		r.consume(c, 1, tq("Q"), 10)
		err := r.refused(NotFound, &Ack{Conn: c, Consumer: 1, Ref: 5, Kind: Consumed, Last: 99}, 5)
		if !strings.Contains(err.Error(), "Unmatched acknowledge") {
			t.Errorf("got %q, want what Java clients know", err)
		}
		r.ok(&Ack{Conn: c, Consumer: 2, Ref: 6, Kind: Consumed, Last: 99}, 6) // its consumer is gone
	})
}

func TestTransaction(t *testing.T) {
	for _, end := range []string{"commit", "rollback", "disconnect", "crash"} {
		t.Run(end, func(t *testing.T) {
			r := newRig(t, Options{})
			c, other := r.connect("a", ""), r.connect("b", "")
			r.send(c, r.msg(tq("Q"), "in"))
			d := r.want(r.consume(c, 1, tq("Q"), 1), "in")
			r.want(r.sendTx(c, 1, r.msg(tq("A"), "a")), "")
			r.want(r.sendTx(c, 1, r.msg(tq("B"), "b")), "")
			r.want(r.sendTx(c, 1, r.msg(tq("B"), "transient", transient)), "")
			r.want(r.ack(c, 1, Consumed, d[0], inTx(1)), "")
			r.want(r.consume(other, 1, tq("A"), 9), "")
			r.want(r.consume(other, 2, tq("B"), 9), "")
			switch end {
			case "commit":
				r.want(r.commit(c, 1), "b transient a")
				r.want(r.do(&Disconnect{Conn: c}), "")
				r.crash()
				c = r.connect("c", "")
				r.want(r.consume(c, 1, tq("A"), 9), "a+1")
				r.want(r.consume(c, 2, tq("B"), 9), "b+1")
				r.want(r.consume(c, 3, tq("Q"), 9), "")
			case "rollback":
				r.want(r.rollback(c, 1), "") // the delivery stays at its consumer
				r.want(r.ack(c, 1, Consumed, d[0]), "")
			case "disconnect":
				r.do(&Disconnect{Conn: c})
				c = r.connect("c", "")
				r.want(r.consume(c, 1, tq("Q"), 9), "in+1")
			case "crash":
				r.crash()
				c = r.connect("c", "")
				r.want(r.consume(c, 1, tq("Q"), 9), "in+1")
				r.want(r.consume(c, 2, tq("A"), 9), "")
				r.want(r.consume(c, 3, tq("B"), 9), "")
			}
		})
	}
}

func TestTransactionConsumerClosedInside(t *testing.T) {
	for _, commit := range []bool{true, false} {
		r := newRig(t, Options{})
		c := r.connect("a", "")
		r.send(c, r.msg(tq("Q"), "0"))
		r.send(c, r.msg(tq("Q"), "1"))
		d := r.want(r.consume(c, 1, tq("Q"), 9), "0 1")
		r.ack(c, 1, Consumed, d[0], inTx(1))
		r.do(&Unsubscribe{Conn: c, Consumer: 1, LastDelivered: d[0].Sequence})
		r.want(r.consume(c, 2, tq("Q"), 9), "1") // 0 is still the transaction's; 1 was never seen
		if commit {
			r.want(r.commit(c, 1), "")
		} else {
			r.want(r.rollback(c, 1), "0+1")
		}
	}
}

func TestTransactionFails(t *testing.T) {
	r := newRig(t, Options{MaxTransaction: 2})
	c := r.connect("a", "")
	r.sendTx(c, 1, r.msg(tq("Q"), "0"))
	r.refused(InvalidDestination, &Send{Conn: c, Ref: 3, Tx: 1, Message: r.msg(message.Destination{Kind: message.TempQueue, Name: "gone"}, "1"), MayCreate: true}, 3)
	r.refused(TransactionRolledBack, &Commit{Conn: c, Ref: 4, Tx: 1}, 4)
	r.refused(NotFound, &Commit{Conn: c, Ref: 5, Tx: 1}, 5)
	r.sendTx(c, 2, r.msg(tq("Q"), "0"))
	r.sendTx(c, 2, r.msg(tq("Q"), "1"))
	r.refused(Full, &Send{Conn: c, Ref: 6, Tx: 2, Message: r.msg(tq("Q"), "2"), MayCreate: true}, 6)
	r.want(r.consume(c, 1, tq("Q"), 9), "")
}

// What a transaction sent to a subscription or queue that is gone at the commit is nobody's, and takes no space.
func TestTransactionTargetGone(t *testing.T) {
	r := newRig(t, Options{})
	c, d := r.connect("a", ""), r.connect("b", "dur")
	r.consume(d, 1, tt("T"), 9, func(s *Subscribe) { s.Name = "s" })
	r.consume(c, 1, tt("T"), 9)
	r.sendTx(c, 1, r.msg(tt("T"), "x"))
	r.do(&Unsubscribe{Conn: c, Consumer: 1})
	got := r.want(r.commit(c, 1), "x")
	r.ack(d, 1, Consumed, got[0])
	if r.b.cached != 0 || r.b.log.live != 0 {
		t.Errorf("got %d bytes cached and %d live, want none of either", r.b.cached, r.b.log.live)
	}
	r.sendTx(c, 2, r.msg(tq("Q"), "y"))
	r.ok(&RemoveDestination{Conn: c, Ref: 7, Destination: tq("Q")}, 7)
	r.commit(c, 2)
	r.crash()
	if r.b.log.live != 0 {
		t.Errorf("after a restart %d bytes are live, want none", r.b.log.live)
	}
}

func TestLastDelivered(t *testing.T) {
	tests := map[string]struct {
		last func(d []Effect) uint64
		want string
	}{
		"none":    {func([]Effect) uint64 { return 0 }, "0 1 2"},
		"second":  {func(d []Effect) uint64 { return d[1].Sequence }, "0+1 1+1 2"},
		"unknown": {func([]Effect) uint64 { return Unknown }, "0+1 1+1 2+1"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Options{})
			c := r.connect("a", "")
			for i := range 3 {
				r.send(c, r.msg(tq("Q"), fmt.Sprint(i)))
			}
			d := r.want(r.consume(c, 1, tq("Q"), 9), "0 1 2")
			r.do(&Unsubscribe{Conn: c, Consumer: 1, LastDelivered: tt.last(d)})
			r.want(r.consume(c, 2, tq("Q"), 9), tt.want)
		})
	}
}

func TestRedeliveryPolicy(t *testing.T) {
	r := newRig(t, Options{Policies: Policies{Default: Policy{Redelivery: RedeliveryPolicy{Maximum: 2, Delay: time.Second, Multiplier: 3, MaximumDelay: 2 * time.Second}}}})
	c := r.connect("a", "")
	r.consume(c, 1, tq("Q"), 9)
	d := r.want(r.send(c, r.msg(tq("Q"), "x")), "x")
	for i, wait := range []int64{1000, 2000} {
		r.want(r.ack(c, 1, Poison, d[0]), "")
		r.now += wait - 1
		r.want(r.do(Tick{}), "")
		r.now++
		d = r.want(r.do(Tick{}), fmt.Sprintf("x+%d", i+1))
	}
	r.want(r.ack(c, 1, Poison, d[0], because("no")), "")
	got := r.want(r.consume(c, 2, tq("ActiveMQ.DLQ"), 9), "x")
	m := got[0].Message
	if cause, _ := m.Properties.Get("dlqDeliveryFailureCause"); m.Original != tq("Q") || fmt.Sprint(cause) != "java.lang.Throwable: no" {
		t.Errorf("dead letter comes from %v because of %v, want queue://Q and the client's cause", m.Original, cause)
	}
	// There it stays, whatever its consumer says of it, and says that it has been seen.
	r.want(r.ack(c, 2, Poison, got[0]), "")
	r.now += 1000
	got = r.want(r.do(Tick{}), "x+1")
	r.now += 2000
	r.ack(c, 2, Poison, got[0])
	r.now += 2000
	got = r.want(r.do(Tick{}), "x+2")
	r.want(r.ack(c, 2, Poison, got[0]), "x+3")
	if v := r.look(tq("ActiveMQ.DLQ")); v.Size != 1 {
		t.Errorf("the dead-letter queue has %d messages, want 1", v.Size)
	}
}

// A client that rolled back redelivers by itself, from the first message on. If its consumer goes in the midst of that, all that the application has had
// count as redelivered, although the last that it got again was the first.
func TestRolledBackIsFlagged(t *testing.T) {
	tests := map[string]func(r *rig, c ConnID, got []Effect){
		"transaction": func(r *rig, c ConnID, got []Effect) {
			for _, d := range got {
				r.ack(c, 1, Consumed, d, inTx(1))
			}
			r.rollback(c, 1)
		},
		"recover": func(r *rig, c ConnID, got []Effect) {
			for _, d := range got {
				r.ack(c, 1, Redelivered, d)
			}
		},
	}
	for name, again := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Options{})
			c := r.connect("a", "")
			r.send(c, r.msg(tq("Q"), "x"))
			r.send(c, r.msg(tq("Q"), "y"))
			r.send(c, r.msg(tq("Q"), "z"))
			got := deliveries(r.consume(c, 1, tq("Q"), 9), c, 1)
			again(r, c, got[:2])
			r.do(&Unsubscribe{Conn: c, Consumer: 1, LastDelivered: got[0].Sequence})
			r.want(r.consume(c, 2, tq("Q"), 9), "x+1 y+1 z")
		})
	}
}

// A repaired log may have lost the record that names a queue. Its messages are not lost with it.
func TestQueueWithoutAName(t *testing.T) {
	r := newRig(t, Options{})
	c := r.connect("a", "")
	r.send(c, r.msg(tq("Q"), "x"))
	r.send(c, r.msg(tq("Q"), "y"))
	r.log = slices.DeleteFunc(r.log, func(l line) bool { return recordKind(l.data[0]) == recordDestination })
	r.crash()
	want := tq("Godwit.Recovered.1")
	if !slices.Equal(r.orphans, []message.Destination{want}) {
		t.Fatalf("recovery reports %v, want %v", r.orphans, want)
	}
	for range 2 { // and it stays so
		if v := r.look(want); v.Size != 2 {
			t.Errorf("%v has %d messages, want 2", want, v.Size)
		}
		r.crash()
	}
	if len(r.orphans) > 0 {
		t.Errorf("the next recovery reports %v again", r.orphans)
	}
}

// A dead letter is a copy: without room for it the message stays where it is, unseen, until there is room.
func TestBurialWaitsForRoom(t *testing.T) {
	r := newRig(t, Options{})
	c := r.connect("a", "")
	r.send(c, r.msg(tq("Q"), "x", expires(r.now+10)))
	r.room = 0
	r.now += 10
	r.do(Tick{})
	if v := r.look(tq("Q")); v.Size != 1 || v.Expired != 0 {
		t.Errorf("without room the queue has %d messages and counts %d as expired, want 1 and 0", v.Size, v.Expired)
	}
	if got := deliveries(r.consume(c, 1, tq("Q"), 9), c, 1); len(got) != 0 {
		t.Errorf("an expired message was delivered: %v", texts(got))
	}
	r.room = 1 << 40
	r.now += burialDelay
	r.do(Tick{})
	if v, dead := r.look(tq("Q")), r.look(tq("ActiveMQ.DLQ")); v.Size != 0 || v.Expired != 1 || dead.Size != 1 {
		t.Errorf("with room the queue has %d messages and counts %d as expired, the dead-letter queue has %d; want 0, 1, 1", v.Size, v.Expired, dead.Size)
	}
}

func TestExpiry(t *testing.T) {
	tests := map[string]struct {
		policy DeadLetterPolicy
		kind   func(*message.Message)
		to     string
		dlq    int64
	}{
		"to the dead-letter queue": {DeadLetterPolicy{}, func(*message.Message) {}, "Q", 1},
		"dropped":                  {DeadLetterPolicy{DropExpired: true}, func(*message.Message) {}, "Q", 0},
		"non-persistent":           {DeadLetterPolicy{}, transient, "Q", 0},
		"non-persistent kept":      {DeadLetterPolicy{KeepNonPersistent: true}, transient, "Q", 1},
		"in the dead-letter queue": {DeadLetterPolicy{}, func(*message.Message) {}, "ActiveMQ.DLQ", 0},
		"of another name":          {DeadLetterPolicy{Queue: "dead"}, func(*message.Message) {}, "Q", 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			for _, cache := range []int64{0, 1} { // in memory, only in the log
				r := newRig(t, Options{Policies: Policies{Default: Policy{DeadLetter: tt.policy}}, CacheBytes: cache})
				c := r.connect("a", "")
				r.send(c, r.msg(tq(tt.to), "x", expires(r.now+10), tt.kind))
				r.now += 9
				r.do(Tick{})
				if v := r.look(tq(tt.to)); v.Size != 1 {
					t.Fatalf("before its time the queue has %d messages, want 1", v.Size)
				}
				r.now++
				r.do(Tick{})
				if v := r.look(tq(tt.to)); v.Size != 0 || v.Expired != 1 {
					t.Errorf("after its time the queue has %d messages and counts %d as expired, want 0 and 1", v.Size, v.Expired)
				}
				dead := tt.policy.Queue
				if dead == "" {
					dead = "ActiveMQ.DLQ"
				}
				r.consume(c, 1, tq(dead), 9)
				if v := r.look(tq(dead)); v.Size != tt.dlq {
					t.Errorf("the dead-letter queue has %d messages, want %d", v.Size, tt.dlq)
				}
			}
		})
	}
	t.Run("not shown to a browser", func(t *testing.T) {
		r := newRig(t, Options{})
		c := r.connect("a", "")
		r.send(c, r.msg(tq("Q"), "x", expires(r.now+10)))
		r.consume(c, 1, tq("Q"), 9) // at a consumer it stays
		r.now += 10
		r.want(r.consume(c, 2, tq("Q"), 9, func(s *Subscribe) { s.Browser = true }), "")
	})
	t.Run("original expiration", func(t *testing.T) {
		r := newRig(t, Options{})
		c := r.connect("a", "")
		at := r.now + 10
		r.send(c, r.msg(tq("Q"), "x", expires(at)))
		r.now += 10
		r.do(Tick{})
		m := r.want(r.consume(c, 1, tq("ActiveMQ.DLQ"), 9), "x")[0].Message
		if v, _ := m.Properties.Get("originalExpiration"); v != at || m.Expiration != 0 {
			t.Errorf("got originalExpiration %v and expiration %d, want %d and 0", v, m.Expiration, at)
		}
	})
}

func TestSelectors(t *testing.T) {
	const many = 10_000
	for _, cache := range []int64{0, 1} { // in memory, only in the log
		r := newRig(t, Options{CacheBytes: cache})
		c := r.connect("a", "")
		r.refused(InvalidSelector, &Subscribe{Conn: c, Ref: 5, Consumer: 9, Destination: tq("Q"), Selector: "color = = 'red'", Prefetch: 9, MayCreate: true}, 5)
		for range many / 1000 {
			var burst []Event
			for range 1000 {
				burst = append(burst, &Send{Conn: c, Message: r.msg(tq("Q"), "no", prop("n", int32(1))), MayCreate: true})
			}
			for _, ev := range burst[:len(burst)-1] { // auditing each would take too long
				r.b.Step(r.now, ev, &r.out)
				r.write()
				r.out.Reset()
			}
			r.do(burst[len(burst)-1])
		}
		r.send(c, r.msg(tq("Q"), "two", prop("n", int32(2))))
		r.send(c, r.msg(tq("Q"), "three", prop("n", int32(3))))
		d := r.want(r.consume(c, 1, tq("Q"), 1, func(s *Subscribe) { s.Selector = "n > 1" }), "two")
		r.want(r.consume(c, 2, tq("Q"), 2, func(s *Subscribe) { s.Selector = "n > 2" }), "three")
		r.want(r.ack(c, 1, Released, d[0]), "two+1")
		r.want(r.send(c, r.msg(tq("Q"), "four", prop("n", int32(4)))), "four")
		if cache == 1 && r.b.cached > 2<<20 {
			t.Errorf("%d bytes are cached, want little", r.b.cached)
		}
	}
}

func durable(name string) func(*Subscribe) { return func(s *Subscribe) { s.Name = name } }

func TestDurableSubscription(t *testing.T) {
	r := newRig(t, Options{})
	c, p := r.connect("a", "me"), r.connect("p", "")
	r.refused(InvalidClientID, &Subscribe{Conn: p, Ref: 3, Consumer: 1, Destination: tt("T"), Name: "s", MayCreate: true}, 3)
	r.refused(InvalidDestination, &Subscribe{Conn: c, Ref: 3, Consumer: 1, Destination: tq("Q"), Name: "s", MayCreate: true}, 3)
	passing := message.Destination{Kind: message.TempTopic, Name: "ID:1"}
	r.ok(&CreateDestination{Conn: c, Ref: 3, Destination: passing}, 3)
	r.refused(InvalidDestination, &Subscribe{Conn: c, Ref: 3, Consumer: 1, Destination: passing, Name: "s", MayCreate: true}, 3)
	r.send(p, r.msg(tt("T"), "before"))
	r.want(r.consume(c, 1, tt("T"), 9, durable("s")), "")
	r.refused(InUse, &Subscribe{Conn: c, Ref: 3, Consumer: 2, Destination: tt("T"), Name: "s", MayCreate: true}, 3)
	r.refused(InUse, &RemoveSubscription{Conn: c, Ref: 4, ClientID: "me", Name: "s"}, 4)
	r.do(&Unsubscribe{Conn: c, Consumer: 1})
	r.send(p, r.msg(tt("T"), "one"))
	r.crash()
	p = r.connect("p", "")
	r.send(p, r.msg(tt("T"), "two"))
	c = r.connect("a", "me")
	d := r.want(r.consume(c, 1, tt("T"), 9, durable("s")), "one two")
	r.ack(c, 1, Consumed, d[0])
	r.do(&Unsubscribe{Conn: c, Consumer: 1, LastDelivered: d[0].Sequence})
	r.want(r.consume(c, 1, tt("T"), 9, durable("s")), "two")
	r.do(&Unsubscribe{Conn: c, Consumer: 1})
	// Another selector is another subscription.
	r.want(r.consume(c, 1, tt("T"), 9, durable("s"), func(s *Subscribe) { s.Selector = "n = 1" }), "")
	r.want(r.send(p, r.msg(tt("T"), "three")), "")
	r.want(r.send(p, r.msg(tt("T"), "four", prop("n", int32(1)))), "four")
	r.do(&Unsubscribe{Conn: c, Consumer: 1})
	r.ok(&RemoveSubscription{Conn: c, Ref: 4, ClientID: "me", Name: "s"}, 4)
	r.refused(InvalidDestination, &RemoveSubscription{Conn: c, Ref: 4, ClientID: "me", Name: "s"}, 4)
	r.crash()
	if len(r.b.durables) != 0 || r.b.log.live != 0 {
		t.Errorf("after a restart there are %d durable subscriptions and %d live bytes, want none", len(r.b.durables), r.b.log.live)
	}
}

func TestNoLocal(t *testing.T) {
	r := newRig(t, Options{})
	c, p := r.connect("a", "me"), r.connect("p", "")
	quiet := func(s *Subscribe) { s.NoLocal = true }
	r.consume(c, 1, tt("T"), 9, quiet)
	r.consume(c, 2, tt("T"), 9, quiet, durable("s"))
	r.want(r.send(c, r.msg(tt("T"), "mine")), "")
	r.want(r.send(p, r.msg(tt("T"), "other")), "other other")
}

func TestPatternsAndComposites(t *testing.T) {
	r := newRig(t, Options{})
	c := r.connect("a", "")
	r.send(c, r.msg(tq("a.b"), "old"))
	r.want(r.consume(c, 1, tq("a.>"), 9), "old")
	r.want(r.consume(c, 2, tt("x.*"), 9), "")
	r.want(r.consume(c, 3, tq("m,n"), 9), "")
	r.want(r.send(c, r.msg(tq("a.new"), "1")), "1")
	r.want(r.send(c, r.msg(tt("x.y"), "2")), "2")
	r.want(r.send(c, r.msg(tt("x.y.z"), "3")), "")
	r.want(r.send(c, r.msg(tq("n"), "4")), "4")
	got := r.want(r.send(c, r.msg(tq("m,topic://x.q,a.c"), "5")), "5 5 5")
	for _, d := range got {
		if d.Message.Original.Name != "m,topic://x.q,a.c" || strings.Contains(d.Message.Destination.Name, ",") {
			t.Errorf("a part of a composite says it was sent to %v, at first to %v", d.Message.Destination, d.Message.Original)
		}
	}
	r.refused(InvalidDestination, &Send{Conn: c, Ref: 5, Message: r.msg(tq("a.>"), "x"), MayCreate: true}, 5)
	r.refused(InvalidDestination, &CreateDestination{Conn: c, Ref: 5, Destination: tq("a.>")}, 5)
	r.refused(InvalidDestination, &Subscribe{Conn: c, Ref: 5, Consumer: 7, Destination: tq("q,topic://t"), MayCreate: true}, 5)
	r.refused(Denied, &Send{Conn: c, Ref: 5, Message: r.msg(tq("unknown"), "x")}, 5)
}

// A new part of a composite destination is told to those who listen for advisories. That must not change who gets the message.
func TestCompositeWithAdvisories(t *testing.T) {
	r := newRig(t, Options{})
	c := r.connect("a", "")
	r.consume(c, 1, tt("ActiveMQ.Advisory.Queue"), 9)
	r.send(c, r.msg(tq("one,two,three"), "x"))
	for _, name := range []string{"one", "two", "three"} {
		if v := r.look(tq(name)); v.Size != 1 {
			t.Errorf("%s has %d messages, want 1", name, v.Size)
		}
	}
}

func TestTemporaryDestinations(t *testing.T) {
	r := newRig(t, Options{})
	c, other := r.connect("a", ""), r.connect("b", "")
	temp := message.Destination{Kind: message.TempQueue, Name: "ID:1"}
	r.ok(&CreateDestination{Conn: c, Ref: 2, Destination: temp}, 2)
	r.send(other, r.msg(temp, "reply"))
	r.refused(InvalidDestination, &Subscribe{Conn: other, Ref: 3, Consumer: 1, Destination: temp, Prefetch: 1}, 3)
	r.want(r.consume(other, 2, message.Destination{Kind: message.TempQueue, Name: ">"}, 9), "")
	r.want(r.consume(c, 1, temp, 9), "reply")
	r.refused(Denied, &RemoveDestination{Conn: other, Ref: 4, Destination: temp}, 4)
	r.do(&Disconnect{Conn: c})
	r.refused(InvalidDestination, &Send{Conn: other, Ref: 5, Message: r.msg(temp, "late"), MayCreate: true}, 5)
	if r.b.cached != 0 {
		t.Errorf("%d bytes are cached, want none", r.b.cached)
	}
}

func TestClientIDs(t *testing.T) {
	r := newRig(t, Options{})
	c := r.connect("a", "me")
	r.conns++
	r.refused(InvalidClientID, &Connect{Conn: r.conns, Ref: 3, Name: "b", ClientID: "me"}, 3)
	closed := func(got []Effect, conn ConnID) bool {
		return len(got) == 1 && got[0].Kind == Closed && got[0].Conn == conn && got[0].Err != nil
	}
	r.conns++
	if got := r.ok(&Connect{Conn: r.conns, Ref: 3, Name: "b", ClientID: "me", Steal: true}, 3); !closed(got, c) {
		t.Errorf("stealing the client id: got %+v, want the first connection closed", got)
	}
	b := r.conns
	r.conns++
	if got := r.ok(&Connect{Conn: r.conns, Ref: 3, Name: "b", ClientID: "me"}, 3); !closed(got, b) {
		t.Errorf("coming back under the same name: got %+v, want the older connection closed", got)
	}
}

func TestBrowser(t *testing.T) {
	browser := func(s *Subscribe) { s.Browser = true }
	for _, cache := range []int64{0, 1} {
		r := newRig(t, Options{CacheBytes: cache})
		c := r.connect("a", "")
		for i := range 4 {
			r.send(c, r.msg(tq("Q"), fmt.Sprint(i), prio(uint8(i%2))))
		}
		d := r.want(r.consume(c, 1, tq("Q"), 1), "1")
		got := r.consume(c, 2, tq("Q"), 3, browser)
		seen := r.want(got, "1 3 0")
		r.send(c, r.msg(tq("Q"), "late"))
		got = r.do(&Ack{Conn: c, Consumer: 2, Kind: Consumed, Last: seen[2].Sequence})
		r.want(got, "2")
		if len(got) != 2 || got[1].Kind != EndOfBrowse {
			t.Errorf("got %+v, want one delivery and the end", got)
		}
		r.want(r.do(&Unsubscribe{Conn: c, Consumer: 2}), "")
		r.want(r.ack(c, 1, Consumed, d[0]), "late")
		if v := r.look(tq("Q")); v.Size != 4 {
			t.Errorf("cache of %d: the queue has %d messages after browsing, want 4", cache, v.Size)
		}
		if got := r.consume(c, 3, tq("nothing.*"), 1, browser); len(got) != 1 || got[0].Kind != EndOfBrowse {
			t.Errorf("browsing what is not there got %+v, want the end", got)
		}
	}
}

func TestResend(t *testing.T) {
	for _, how := range []string{"at once", "after a restart", "in a transaction", "after trimming"} {
		t.Run(how, func(t *testing.T) {
			r := newRig(t, Options{SegmentBytes: 4 << 10})
			c := r.connect("a", "")
			m := r.msg(tq("Q"), "x")
			if how == "in a transaction" {
				r.ok(&Send{Conn: c, Ref: 2, Message: m, Tracked: true, MayCreate: true, Tx: 1}, 2)
				r.commit(c, 1)
			} else {
				r.ok(&Send{Conn: c, Ref: 2, Message: m, Tracked: true, MayCreate: true}, 2)
			}
			switch how {
			case "after trimming":
				d := r.want(r.consume(c, 1, tq("Q"), 1), "x")
				r.ack(c, 1, Consumed, d[0])
				r.do(&Unsubscribe{Conn: c, Consumer: 1})
				for r.head < 10<<10 {
					r.churn(c)
				}
				r.crash()
			case "after a restart":
				r.crash()
			}
			c = r.connect("b", "")
			before := r.look(tq("Q")).Size
			r.ok(&Send{Conn: c, Ref: 2, Message: m, Tracked: true, Resent: true, MayCreate: true}, 2)
			if v := r.look(tq("Q")); v.Size != before {
				t.Errorf("the second copy was stored: %d messages, want %d", v.Size, before)
			}
		})
	}
}

// A transaction of second copies may be all that a client hears of the first ones, so its commit must not be answered before those are durable: nothing of its own
// is in the log.
func TestCommitOfRepeatedSendsWaits(t *testing.T) {
	r := newRig(t, Options{})
	m := r.msg(tq("Q"), "x")
	m.ID = message.ID{Producer: "p", Sequence: 7}
	r.held = true
	c := r.connect("a", "")
	for _, again := range []bool{false, true} {
		if again {
			r.do(&Disconnect{Conn: c}) // before the commit is answered
			c = r.connect("a", "")
		}
		r.do(&Begin{Conn: c, Tx: 1}, &Send{Conn: c, Tx: 1, Message: m, Tracked: true, Resent: again, MayCreate: true})
		for _, e := range r.do(&Commit{Conn: c, Ref: 9, Tx: 1, Tracked: true}) {
			if e.Kind == Answer && e.Ref == 9 && (e.Err != nil || !e.Held()) {
				t.Errorf("commit, sends repeated %v: answered %v without waiting for the log", again, e.Err)
			}
		}
	}
	if v := r.look(tq("Q")); v.Size != 1 {
		t.Errorf("%d messages, want 1", v.Size)
	}
}

// churn sends and settles one message, which costs the log space.
func (r *rig) churn(c ConnID) {
	r.t.Helper()
	r.consume(c, 99, tq("churn"), 9)
	m := r.msg(tq("churn"), strings.Repeat("c", 500))
	m.ID.Producer = "churn"
	d := deliveries(r.send(c, m.Copy()), c, 99)
	r.ack(c, 99, Consumed, d[0])
	r.do(&Unsubscribe{Conn: c, Consumer: 99})
	r.do(Tick{})
}

func TestPurge(t *testing.T) {
	r := newRig(t, Options{Policies: Policies{Default: Policy{Redelivery: RedeliveryPolicy{Maximum: 5, Delay: time.Minute}}}})
	c := r.connect("a", "")
	for i := range 5 {
		r.send(c, r.msg(tq("Q"), fmt.Sprint(i)))
	}
	d := r.want(r.consume(c, 1, tq("Q"), 2), "0 1")
	r.do(&SetPrefetch{Conn: c, Consumer: 1, Prefetch: 1})
	r.want(r.ack(c, 1, Poison, d[1]), "") // waits for its redelivery
	var n any
	for _, x := range r.do(&Purge{Conn: c, Ref: 8, Destination: tq("Q")}) {
		if x.Ref == 8 {
			n = x.Value
		}
	}
	if v := r.look(tq("Q")); n != 4 || v.Size != 1 || v.InFlight != 1 {
		t.Errorf("purged %v, left %d with %d in flight; want 4, 1, 1", n, v.Size, v.InFlight)
	}
	r.crash()
	c = r.connect("a", "")
	r.want(r.consume(c, 1, tq("Q"), 9), "0+1")
	r.refused(NotFound, &Purge{Conn: c, Ref: 8, Destination: tq("none")}, 8)
}

func TestLimits(t *testing.T) {
	r := newRig(t, Options{MaxDestinations: 2, MaxProducers: 2, Policies: Policies{Default: Policy{Limit: LimitPolicy{Wait: -1}}}})
	c := r.connect("a", "")
	r.send(c, r.msg(tq("1"), "x"))
	r.send(c, r.msg(tq("2"), "x"))
	r.refused(Full, &Send{Conn: c, Ref: 5, Message: r.msg(tq("3"), "x"), MayCreate: true}, 5)
	r.refused(Full, &CreateDestination{Conn: c, Ref: 5, Destination: message.Destination{Kind: message.TempQueue, Name: "t"}}, 5)
	for _, p := range []string{"p1", "p2", "p3"} {
		m := r.msg(tq("1"), "x", func(m *message.Message) { m.ID.Producer = p })
		r.ok(&Send{Conn: c, Ref: 5, Message: m, Tracked: true}, 5)
	}
	if n := len(r.b.producers.byID); n != 2 {
		t.Errorf("%d producers are remembered, want 2", n)
	}
	r.b.Progress(r.durable, 10)
	r.b.Step(r.now, &Send{Conn: c, Ref: 6, Message: r.msg(tq("1"), "x")}, &r.out)
	if x := r.out.List[0]; x.Err == nil || x.Err.Code != Full {
		t.Errorf("a send into a full log got %+v, want Full", x)
	}
}

// What was refused and waits for its body to become a dead letter has been seen: a stop must not forget that.
func TestStopWhileDying(t *testing.T) {
	r := newRig(t, Options{})
	c := r.connect("a", "")
	r.send(c, r.msg(tq("Q"), "x"))
	d := r.want(r.consume(c, 1, tq("Q"), 1), "x")
	r.lazy = true
	r.ack(c, 1, Poison, d[0])
	r.do(&Disconnect{Conn: c})
	r.do(Stop{})
	r.lazy = false
	r.crash()
	c = r.connect("a", "")
	r.want(r.consume(c, 1, tq("Q"), 1), "x+1")
}

// A consumer of a plain queue hears at once that it is there, whatever the log has yet; one whose coming has effects that stay, once they do.
func TestSubscribeWaitsOnlyForWhatLasts(t *testing.T) {
	for name, want := range map[string]bool{
		"Q":                         false,
		"Q.a,Q.b":                   false,
		"Consumer.A.VirtualTopic.T": true, // from now on copies of what is sent to the topic must be there
		"Q.a,Consumer.B.Other":      false,
		"Consumer.C.VirtualTopic.>": true,
		"Q.*":                       true,
	} {
		r := newRig(t, Options{Policies: Policies{VirtualTopics: []VirtualTopic{{Topic: "VirtualTopic.>", Prefix: "Consumer.*."}}}})
		r.held = true
		c := r.connect("a", "")
		answered := false
		for _, e := range r.do(&Subscribe{Conn: c, Ref: 5, Consumer: 1, Destination: tq(name), Prefetch: 1, MayCreate: true}) {
			if e.Kind == Answer && e.Ref == 5 {
				answered = true
				if e.Err != nil || e.Held() != want {
					t.Errorf("%s: answered %v, held %v; want it held: %v", name, e.Err, e.Held(), want)
				}
			}
		}
		if !answered {
			t.Errorf("%s: no answer", name)
		}
	}
}
