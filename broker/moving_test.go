package broker

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/godwitmq/godwit/message"
)

func tempQueue(owner string) message.Destination {
	return message.Destination{Kind: message.TempQueue, Name: owner + ":1"}
}

// stop ends the broker in good order, as a switchover does, and starts it again, as the other instance does from the same log.
func (r *rig) stop() {
	r.t.Helper()
	r.do(Leave{})
	for _, id := range sortedKeys(r.b.connections) {
		r.do(&Disconnect{Conn: id, Returns: true})
	}
	r.do(Stop{})
	r.boot()
}

func moves() Options { return Options{TemporaryGrace: 30 * time.Second, CarryBytes: 1 << 20} }

// TestCountsAcrossStops holds messages at a consumer through many stops and crashes: they come again flagged, and no delivery is counted that did not end.
func TestCountsAcrossStops(t *testing.T) {
	for name, end := range map[string]func(*rig){"switchover": (*rig).stop, "crash": (*rig).crash} {
		t.Run(name, func(t *testing.T) {
			opt := moves()
			opt.Policies.Default.Redelivery.Maximum = 3
			r := newRig(t, opt)
			r.connect("c", "")
			for i := range 4 {
				r.send(1, r.msg(tq("Q"), fmt.Sprint(i)))
			}
			want := "0 1 2 3"
			for range 6 {
				c := r.connect("c", "")
				r.want(r.consume(c, 1, tq("Q"), 9), want)
				end(r)
				want = "0+1 1+1 2+1 3+1"
			}
			// What did come to nothing counts as ever.
			c := r.connect("c", "")
			r.consume(c, 1, tq("Q"), 9)
			r.want(r.do(&Unsubscribe{Conn: c, Consumer: 1, LastDelivered: Unknown}), "")
			r.want(r.consume(c, 1, tq("Q"), 9), "0+2 1+2 2+2 3+2")
			if got := len(r.b.destinations); got != 1 {
				t.Errorf("there are %d destinations, want the queue alone and no dead letters", got)
			}
		})
	}
}

// TestTransactionAcrossStop: an open transaction is rolled back by a stop, which is no delivery that came to nothing; one that was rolled back before is.
func TestTransactionAcrossStop(t *testing.T) {
	r := newRig(t, moves())
	c := r.connect("c", "")
	for i := range 3 {
		r.send(c, r.msg(tq("Q"), fmt.Sprint(i)))
	}
	d := r.want(r.consume(c, 1, tq("Q"), 9), "0 1 2")
	r.do(&Begin{Conn: c, Tx: 1})
	r.ack(c, 1, Consumed, d[0], inTx(1))
	r.rollback(c, 1)
	r.do(&Begin{Conn: c, Tx: 2})
	r.ack(c, 1, Consumed, d[0], inTx(2))
	r.ack(c, 1, Consumed, d[1], inTx(2))
	r.sendTx(c, 2, r.msg(tq("OUT"), "never"))
	r.stop()
	c = r.connect("c", "")
	r.refused(TransactionRolledBack, &Commit{Conn: c, Ref: 7, Tx: 2, Resent: true}, 7)
	r.want(r.consume(c, 1, tq("Q"), 9), "0+1 1+1 2+1")
	if v := r.look(tq("OUT")); v.Size != 0 {
		t.Errorf("%d messages of a transaction that was not committed", v.Size)
	}
}

// TestTakenOverConnection: a client that comes back on another socket before the old one was found dead has what it had, with no higher count.
func TestTakenOverConnection(t *testing.T) {
	r := newRig(t, moves())
	c := r.connect("c", "")
	temp := tempQueue("c")
	r.ok(&CreateDestination{Conn: c, Ref: 5, Destination: temp}, 5)
	r.send(c, r.msg(tq("Q"), "x"))
	r.consume(c, 1, tq("Q"), 9)
	other := r.connect("other", "")
	r.send(other, r.msg(temp, "reply"))
	for range 3 {
		c = r.connect("c", "")
		r.want(r.consume(c, 1, tq("Q"), 9), "x+1")
		r.ok(&CreateDestination{Conn: c, Ref: 5, Destination: temp}, 5)
	}
	r.want(r.consume(c, 2, temp, 9), "reply")
}

// TestNothingIsDeliveredWhileLeaving: what one client gives back does not go to the next, which is about to leave too.
func TestNothingIsDeliveredWhileLeaving(t *testing.T) {
	r := newRig(t, moves())
	a, b := r.connect("a", ""), r.connect("b", "")
	r.send(a, r.msg(tq("Q"), "x"))
	r.consume(a, 1, tq("Q"), 9)
	r.consume(b, 1, tq("Q"), 9)
	r.do(Leave{})
	r.want(r.do(&Disconnect{Conn: a, Returns: true}), "")
	r.want(r.send(b, r.msg(tq("Q"), "y")), "")
	r.stop()
	r.want(r.consume(r.connect("b", ""), 1, tq("Q"), 9), "x+1 y")
}

// TestTemporaryQueueAcrossStop follows a temporary queue and the replies in it.
func TestTemporaryQueueAcrossStop(t *testing.T) {
	temp := tempQueue("asks")
	replies := func(r *rig, conn ConnID, texts ...string) {
		for i, text := range texts {
			if i%2 == 0 {
				r.send(conn, r.msg(temp, text))
			} else {
				r.send(conn, r.msg(temp, text, transient))
			}
		}
	}
	tests := map[string]struct {
		opt   Options
		end   func(*rig)
		pass  time.Duration // after the start, before the owner is back
		early []string      // sent before the end
		late  bool          // and one between start and the owner's return
		want  string
		code  Code // of the late reply
	}{
		"switchover":               {opt: moves(), end: (*rig).stop, early: []string{"a", "b", "c"}, late: true, want: "a b c late"},
		"crash":                    {opt: moves(), end: (*rig).crash, early: []string{"a", "b"}, late: true, want: "late"},
		"nothing waits":            {opt: moves(), end: (*rig).stop, late: true, want: "late"},
		"two switchovers":          {opt: moves(), end: func(r *rig) { r.stop(); r.stop() }, early: []string{"a", "b"}, late: true, want: "a b late"},
		"a crash after one":        {opt: moves(), end: func(r *rig) { r.stop(); r.crash() }, early: []string{"a", "b"}, late: true, want: "late"},
		"the owner is late":        {opt: moves(), end: (*rig).stop, pass: 31 * time.Second, early: []string{"a"}},
		"and so is the reply":      {opt: moves(), end: (*rig).stop, pass: 31 * time.Second, late: true, code: InvalidDestination},
		"no grace":                 {opt: Options{CarryBytes: 1 << 20}, end: (*rig).stop, early: []string{"a"}, late: true, code: InvalidDestination},
		"nothing is to be carried": {opt: Options{TemporaryGrace: time.Second}, end: (*rig).stop, early: []string{"a"}, late: true, want: "late"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, tt.opt)
			asks, answers := r.connect("asks", ""), r.connect("answers", "")
			r.ok(&CreateDestination{Conn: asks, Ref: 5, Destination: temp}, 5)
			replies(r, answers, tt.early...)
			tt.end(r)
			r.pass(tt.pass)
			r.want(r.do(Tick{}), "")
			answers = r.connect("answers", "")
			if tt.late {
				m := r.msg(temp, "late")
				if tt.code != 0 {
					r.refused(tt.code, &Send{Conn: answers, Ref: 3, Message: m}, 3)
				} else {
					r.send(answers, m)
				}
			}
			asks = r.connect("asks", "")
			r.ok(&CreateDestination{Conn: asks, Ref: 5, Destination: temp}, 5)
			r.want(r.consume(asks, 1, temp, 9), tt.want)
			// It is an ordinary one again: it ends with its connection.
			r.do(&Disconnect{Conn: asks})
			r.refused(InvalidDestination, &Send{Conn: answers, Ref: 3, Message: r.msg(temp, "x")}, 3)
		})
	}
}

// TestAwaitedQueueIsItsOwners: nobody else takes it, consumes from it or removes it.
func TestAwaitedQueueIsItsOwners(t *testing.T) {
	r := newRig(t, moves())
	temp := tempQueue("asks")
	r.ok(&CreateDestination{Conn: r.connect("asks", ""), Ref: 5, Destination: temp}, 5)
	r.stop()
	thief := r.connect("as", "")
	r.send(thief, r.msg(temp, "reply"))
	r.refused(Denied, &CreateDestination{Conn: thief, Ref: 1, Destination: temp}, 1)
	r.refused(InvalidDestination, &Subscribe{Conn: thief, Ref: 2, Consumer: 1, Destination: temp, Prefetch: 9}, 2)
	r.refused(Denied, &RemoveDestination{Conn: thief, Ref: 3, Destination: temp}, 3)
	asks := r.connect("asks", "")
	r.ok(&CreateDestination{Conn: asks, Ref: 5, Destination: temp}, 5)
	r.want(r.consume(asks, 1, temp, 9), "reply")
	r.pass(time.Minute) // it is not awaited any more
	r.do(Tick{})
	r.want(r.send(thief, r.msg(temp, "more")), "more")
}

// TestAdvisoriesOfAwaitedQueue: clients must not hear that a temporary queue is gone which is only waiting, or they would not send to it.
func TestAdvisoriesOfAwaitedQueue(t *testing.T) {
	r := newRig(t, moves())
	asks, answers := r.connect("asks", ""), r.connect("answers", "")
	r.consume(answers, 1, tt("ActiveMQ.Advisory.TempQueue"), 99)
	r.ok(&CreateDestination{Conn: asks, Ref: 5, Destination: tempQueue("asks")}, 5)
	told := func(effects []Effect) (s string) {
		for _, d := range deliveries(effects, 0, 0) {
			s += map[bool]string{true: "-", false: "+"}[d.Message.Advisory.Removed] + d.Message.Advisory.Connection
		}
		return s
	}
	if got := told(r.do(&Disconnect{Conn: asks, Returns: true})); got != "" {
		t.Errorf("when its owner left: %q", got)
	}
	r.stop()
	answers = r.connect("answers", "")
	r.consume(answers, 1, tt("ActiveMQ.Advisory.TempQueue"), 99)
	if got := told(r.do(&Send{Conn: answers, Message: r.msg(tempQueue("asks"), "x")})); got != "+asks" {
		t.Errorf("when somebody sent to it: %q", got)
	}
	if got := told(r.pass(31 * time.Second)); got != "-asks" {
		t.Errorf("when its time was over: %q", got)
	}
}

// TestCarriedOver has non-persistent messages of all sorts go through stops: those in memory and those that memory had no room for, of queues and of a durable
// subscription, in a group, with priorities and expiry. They are never in two places, and a crash ends them as it ends others.
func TestCarriedOver(t *testing.T) {
	for name, memory := range map[string]int64{"in memory": 0, "in the log": 1} {
		t.Run(name, func(t *testing.T) {
			opt := moves()
			opt.MemoryBytes = memory
			r := newRig(t, opt)
			c := r.connect("c", "me")
			r.consume(c, 1, tt("T"), 9, durable("s"))
			r.do(&Disconnect{Conn: c})
			c = r.connect("c", "")
			r.send(c, r.msg(tq("Q"), "a", transient))
			r.send(c, r.msg(tq("Q"), "P"))
			r.send(c, r.msg(tq("Q"), "b", transient, prio(9)))
			r.send(c, r.msg(tq("Q"), "c", transient, func(m *message.Message) { m.GroupID = "g" }))
			r.send(c, r.msg(tq("Q"), "late", transient, expires(r.now+1000)))
			r.send(c, r.msg(tt("T"), "t", transient))
			d := r.want(r.consume(c, 7, tq("Q"), 1), "b")
			for range 2 {
				r.stop()
				c = r.connect("c", "")
				d = r.want(r.consume(c, 7, tq("Q"), 1), "b+1")
			}
			r.want(r.ack(c, 7, Consumed, d[0]), "a")
			r.stop()
			r.pass(2 * time.Second)
			r.do(Tick{})
			c = r.connect("c", "me")
			got := r.consume(c, 7, tq("Q"), 9)
			r.want(got, "a+1 P c")
			for _, x := range deliveries(got, 0, 0) {
				if s := string(x.Message.Content); (s == "c") != (x.Message.GroupID == "g") || (s == "P") != x.Message.Persistent {
					t.Errorf("%s: group %q, persistent %v", s, x.Message.GroupID, x.Message.Persistent)
				}
			}
			r.want(r.consume(c, 1, tt("T"), 9, durable("s")), "t")
			r.crash()
			c = r.connect("c", "me")
			r.want(r.consume(c, 7, tq("Q"), 9), "P+1")
			r.want(r.consume(c, 1, tt("T"), 9, durable("s")), "")
		})
	}
}

// TestCarriedIsBounded: replies go first, and what there is no room for stays behind.
func TestCarriedIsBounded(t *testing.T) {
	opt := moves()
	opt.CarryBytes = 4000
	r := newRig(t, opt)
	asks := r.connect("asks", "")
	temp := tempQueue("asks")
	r.ok(&CreateDestination{Conn: asks, Ref: 5, Destination: temp}, 5)
	for i := range 20 {
		r.send(asks, r.msg(tq("A"), fmt.Sprint(i)+strings.Repeat(".", 400), transient))
	}
	r.send(asks, r.msg(temp, "reply"+strings.Repeat(".", 1000)))
	before := len(r.log)
	r.stop()
	written := 0
	for _, x := range r.log[before:] {
		written += len(x.data)
	}
	if written < 2000 || written > 4000+500 {
		t.Errorf("%d bytes were written, want about 4000", written)
	}
	asks = r.connect("asks", "")
	r.ok(&CreateDestination{Conn: asks, Ref: 5, Destination: temp}, 5)
	if got := texts(r.consume(asks, 1, temp, 9)); !strings.HasPrefix(got, "reply") {
		t.Errorf("in the temporary queue: %q", got)
	}
	if n := len(deliveries(r.consume(asks, 2, tq("A"), 99), asks, 2)); n < 3 || n > 8 {
		t.Errorf("%d of 20 messages were carried over, want some", n)
	}
}

// TestCarriedAmongPacks: a long backlog is not unpacked to be looked at, and what is carried finds its place in it.
func TestCarriedAmongPacks(t *testing.T) {
	opt := moves()
	opt.PackFrom = 8
	r := newRig(t, opt)
	c := r.connect("c", "")
	var want []string
	for i := range 60 {
		if i%20 == 7 {
			r.send(c, r.msg(tq("Q"), fmt.Sprint(i), transient))
		} else {
			r.send(c, r.msg(tq("Q"), fmt.Sprint(i)))
		}
		want = append(want, fmt.Sprint(i))
	}
	r.stop()
	r.stop()
	r.want(r.consume(r.connect("c", ""), 1, tq("Q"), 99), strings.Join(want, " "))
}

// TestStaleAcks: what settles nothing may be said of what is not there any more, and nobody hears of it.
func TestStaleAcks(t *testing.T) {
	r := newRig(t, moves())
	c := r.connect("c", "")
	r.send(c, r.msg(tq("Q"), "x"))
	d := r.consume(c, 1, tq("Q"), 9)[0]
	r.ack(c, 1, Consumed, d)
	for _, kind := range []AckKind{Delivered, Redelivered, Duplicate} {
		if got := r.do(&Ack{Conn: c, Consumer: 1, Kind: kind, Last: d.Sequence, Single: true}); len(got) != 0 {
			t.Errorf("kind %v of what is settled: %+v", kind, got)
		}
	}
	if got := r.do(&Ack{Conn: c, Consumer: 1, Kind: Consumed, Last: d.Sequence, Single: true, Again: true}); len(got) != 0 {
		t.Errorf("of a client that came back: %+v", got)
	}
	if got := r.do(&Ack{Conn: c, Consumer: 1, Kind: Consumed, Last: d.Sequence, Single: true}); len(got) != 1 || got[0].Err == nil {
		t.Errorf("of any other: %+v, want an error", got)
	}
}

// TestDuplicate: what a client refuses as a duplicate because a switchover has brought it a second time stays with it until it acknowledges it or ends; a
// message that is really there twice is a dead letter.
func TestDuplicate(t *testing.T) {
	for name, end := range map[string]func(*rig, ConnID, Effect) []Effect{
		"acknowledged": func(r *rig, c ConnID, d Effect) []Effect { return r.ack(c, 1, Consumed, d) },
		"given up":     func(r *rig, c ConnID, d Effect) []Effect { return r.ack(c, 1, Poison, d) },
		"ends":         func(r *rig, c ConnID, d Effect) []Effect { return r.do(&Disconnect{Conn: c}) },
		"moves again": func(r *rig, c ConnID, d Effect) []Effect {
			r.stop()
			return r.consume(r.connect("c", ""), 1, tq("Q"), 9)
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, moves())
			r.send(r.connect("c", ""), r.msg(tq("Q"), "x"))
			r.want(r.consume(1, 1, tq("Q"), 1), "x")
			r.stop()
			c := r.connect("c", "")
			r.send(c, r.msg(tq("Q"), "y"))
			d := r.want(r.consume(c, 1, tq("Q"), 1), "x+1")[0]
			r.want(r.ack(c, 1, Duplicate, d), "y") // its window is open
			other := r.connect("other", "")
			r.want(r.consume(other, 1, tq("Q"), 9), "")
			got := end(r, c, d)
			want := map[string]string{"ends": "x+2 y+1", "moves again": "x+1 y+1"}[name]
			r.want(got, want)
			dead := r.b.destinations[tq("ActiveMQ.DLQ")] != nil
			if dead != (name == "given up") {
				t.Errorf("there is a queue of dead letters: %v", dead)
			}
		})
	}
	r := newRig(t, moves())
	c := r.connect("c", "")
	r.send(c, r.msg(tq("Q"), "x"))
	r.ack(c, 1, Duplicate, r.consume(c, 1, tq("Q"), 9)[0], because("twice"))
	r.want(r.consume(c, 2, tq("ActiveMQ.DLQ"), 9), "x")
}

// TestRepeatedAckInTransaction: a client that lost its connection between an acknowledgement and the commit repeats the transaction before it is given the messages
// again, and then commits: they must be settled with it, though they may still wait to be read from the log.
func TestRepeatedAckInTransaction(t *testing.T) {
	for name, lazy := range map[string]bool{"dispatched": false, "still being loaded": true} {
		for _, single := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, single %v", name, single), func(t *testing.T) {
				r := newRig(t, moves())
				c := r.connect("c", "")
				for i := range 5 {
					r.send(c, r.msg(tq("IN"), fmt.Sprint(i)))
				}
				d := r.want(r.consume(c, 1, tq("IN"), 9), "0 1 2 3 4")
				r.stop()
				r.lazy = lazy
				c = r.connect("c", "")
				r.consume(c, 1, tq("IN"), 9)
				r.do(&Begin{Conn: c, Tx: 4})
				r.sendTx(c, 4, r.msg(tq("OUT"), "out"))
				if single {
					for _, x := range d[:3] {
						r.ack(c, 1, Consumed, x, inTx(4), func(a *Ack) { a.Again, a.Count = true, 1 })
					}
				} else {
					r.ack(c, 1, Consumed, d[2], inTx(4), func(a *Ack) { a.Again, a.Single, a.First, a.Count = true, false, d[0].Sequence, 3 })
				}
				r.commit(c, 4)
				r.lazy = false
				for _, l := range r.loads {
					r.do(r.bring(l))
				}
				r.stop()
				c = r.connect("c", "")
				r.want(r.consume(c, 1, tq("IN"), 9), "3+1 4+1")
				r.want(r.consume(c, 2, tq("OUT"), 9), "out")
			})
		}
	}
	// What another consumer has been given cannot be acknowledged: the transaction fails, and nothing of it happens.
	r := newRig(t, moves())
	r.send(r.connect("c", ""), r.msg(tq("IN"), "x"))
	d := r.consume(1, 1, tq("IN"), 9)[0]
	r.stop()
	other := r.connect("other", "")
	r.want(r.consume(other, 1, tq("IN"), 9), "x+1")
	c := r.connect("c", "")
	r.consume(c, 1, tq("IN"), 9)
	r.do(&Begin{Conn: c, Tx: 4})
	r.sendTx(c, 4, r.msg(tq("OUT"), "out"))
	r.do(&Ack{Conn: c, Consumer: 1, Kind: Consumed, Last: d.Sequence, Single: true, Count: 1, Tx: 4, Again: true})
	r.refused(TransactionRolledBack, &Commit{Conn: c, Ref: 7, Tx: 4}, 7)
}

// TestLateAck: an acknowledgement of what a client had before a switchover counts, whether or not it has been given the message again, but not if another has it.
func TestLateAck(t *testing.T) {
	r := newRig(t, moves())
	r.connect("c", "")
	for i := range 3 {
		r.send(1, r.msg(tq("Q"), fmt.Sprint(i)))
	}
	d := r.want(r.consume(1, 1, tq("Q"), 9), "0 1 2")
	late := func(a *Ack) { a.Again = true }
	r.stop()
	r.lazy = true
	c := r.connect("c", "")
	r.want(r.consume(c, 1, tq("Q"), 9), "")
	r.ack(c, 1, Consumed, d[0], late)
	r.lazy = false
	for _, l := range r.loads {
		r.want(r.do(r.bring(l)), "1+1 2+1")
	}
	r.ack(c, 1, Consumed, d[1], late)
	r.stop()
	r.want(r.consume(r.connect("other", ""), 1, tq("Q"), 9), "2+1")
	c = r.connect("c", "")
	r.consume(c, 1, tq("Q"), 9)
	r.ack(c, 1, Consumed, d[2], late)
	if v := r.look(tq("Q")); v.Size != 1 || v.InFlight != 1 {
		t.Errorf("%d messages, %d at consumers, want the one at the other", v.Size, v.InFlight)
	}
}

// TestCarriedIsNotSentTwice: a persistent reply that was carried over, but not confirmed to its sender, is known when it is sent again.
func TestCarriedIsNotSentTwice(t *testing.T) {
	r := newRig(t, moves())
	temp := tempQueue("asks")
	r.ok(&CreateDestination{Conn: r.connect("asks", ""), Ref: 5, Destination: temp}, 5)
	answers := r.connect("answers", "")
	reply := r.msg(temp, "reply")
	r.do(&Send{Conn: answers, Ref: 1, Message: reply, Tracked: true})
	r.stop()
	answers = r.connect("answers", "")
	r.ok(&Send{Conn: answers, Ref: 1, Message: reply, Tracked: true, Resent: true}, 1)
	asks := r.connect("asks", "")
	r.ok(&CreateDestination{Conn: asks, Ref: 5, Destination: temp}, 5)
	r.want(r.consume(asks, 1, temp, 9), "reply")
}
