package broker

import (
	"fmt"
	"strings"
	"testing"
)

// A commit that is lost in a crash needs what it settled: the log must keep it until the commit is durable. The same holds for a message that became a
// dead letter.
func TestHeadWaitsForWhatSettled(t *testing.T) {
	for _, how := range []string{"commit", "dead letter"} {
		t.Run(how, func(t *testing.T) {
			r := newRig(t, Options{SegmentBytes: 4 << 10})
			c := r.connect("a", "")
			r.send(c, r.msg(tq("Q"), strings.Repeat("x", 100)))
			d := r.consume(c, 1, tq("Q"), 1)
			for range 6 {
				r.send(c, r.msg(tq("Q"), strings.Repeat("y", 2000)))
			}
			r.held = true // from here on nothing becomes durable
			if how == "commit" {
				r.ack(c, 1, Consumed, d[0], inTx(1), upTo)
				for range 3 {
					r.sendTx(c, 1, r.msg(tq("B"), "b"))
				}
				r.do(&Commit{Conn: c, Ref: 7, Tx: 1})
			} else {
				r.ack(c, 1, Poison, d[0])
			}
			r.do(&Purge{Conn: c, Ref: 8, Destination: tq("Q")})
			for range 20 {
				r.do(Tick{})
			}
			r.crash()
			if v := r.look(tq("Q")); v.Size != 7 {
				t.Errorf("the crash left %d messages, want all 7", v.Size)
			}
		})
	}
}

// The acknowledgement of a message that was moved while its transaction was open must not be trimmed away before the message.
func TestMovedWhileAcknowledgedInTransaction(t *testing.T) {
	r := newRig(t, Options{SegmentBytes: 4 << 10})
	c, other := r.connect("a", ""), r.connect("b", "")
	r.send(c, r.msg(tq("Q"), "x"))
	d := r.consume(c, 1, tq("Q"), 1)
	extent := func() uint64 { return r.end / r.b.log.extentBytes }
	from := extent()
	for extent() == from {
		r.churn(other)
	}
	keep := strings.Repeat("y", 2000)
	r.send(c, r.msg(tq("keep"), keep)) // so that the head stops between the message and its acknowledgement
	r.ack(c, 1, Consumed, d[0], inTx(1))
	for range 2 {
		r.send(c, r.msg(tq("keep"), keep)) // and between that and where the message is moved to
	}
	for n := 0; r.head == 0; n++ {
		if n > 1000 {
			t.Fatal("the log was never trimmed")
		}
		r.churn(other)
	}
	at := r.end
	r.commit(c, 1)
	r.onTrim = func() {
		if d := r.read().destinations[tq("Q")]; d != nil && d.queue.size != 0 {
			t.Fatalf("after trimming up to %d the committed acknowledgement is undone", r.head)
		}
	}
	for r.head < at {
		r.churn(other)
	}
}

// A backlog whose definition was written again behind its messages is found all the same.
func TestTrimmedDefinition(t *testing.T) {
	r := newRig(t, Options{SegmentBytes: 4 << 10})
	c := r.connect("a", "me")
	r.consume(c, 1, tt("T"), 1, durable("s"))
	r.do(&Unsubscribe{Conn: c, Consumer: 1})
	for i := range 30 {
		r.send(c, r.msg(tq("Q"), fmt.Sprint(i)))
		r.send(c, r.msg(tt("T"), fmt.Sprint(i)))
		r.churn(c)
	}
	for range 200 {
		r.churn(c)
		r.crash()
		c = r.connect("a", "me")
		if v, s := r.look(tq("Q")), r.look(tt("T")); v.Size != 30 || s.Size != 30 {
			t.Fatalf("with the head at %d the queue has %d messages and the subscription %d, want 30 each", r.head, v.Size, s.Size)
		}
	}
}

// The log is cleaned while nobody does anything, and comes to rest.
func TestCleanWhenIdle(t *testing.T) {
	tests := map[string]struct {
		fill func(r *rig, c ConnID)
		live int // messages that stay
	}{
		"purged": {func(r *rig, c ConnID) {
			for range 500 {
				r.send(c, r.msg(tq("Q"), strings.Repeat("x", 200)))
			}
			r.do(&Purge{Conn: c, Ref: 8, Destination: tq("Q")})
		}, 0},
		"many small messages": {func(r *rig, c ConnID) {
			for range 500 {
				r.send(c, r.msg(tq("Q"), ""))
			}
		}, 500},
		"many queues": {func(r *rig, c ConnID) {
			for i := range 500 {
				r.ok(&CreateDestination{Conn: c, Ref: 2, Destination: tq(strings.Repeat("n", 50) + fmt.Sprint(i))}, 2)
			}
		}, 0},
		"large transaction": {func(r *rig, c ConnID) {
			for range 500 {
				r.send(c, r.msg(tq("Q"), ""))
			}
			for _, d := range r.consume(c, 1, tq("Q"), 1000) {
				r.ack(c, 1, Consumed, d, inTx(1))
			}
		}, 500},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Options{SegmentBytes: 4 << 10})
			c := r.connect("a", "")
			tt.fill(r, c)
			n := 0
			for ; r.b.Cleaning(); n++ {
				if n > 1000 {
					t.Fatalf("it cleans for ever: %d bytes are used, %d live, %d carried", r.b.log.used(), r.b.log.live, r.b.log.carried)
				}
				r.do(Tick{})
			}
			l := &r.b.log
			if limit := (l.live+l.carried)*3/2 + 2*4<<10; int64(l.used()) > limit {
				t.Errorf("%d bytes are used, want at most %d", l.used(), limit)
			}
			r.crash()
			c = r.connect("a", "")
			r.consume(c, 1, tq("Q"), 1)
			if v := r.look(tq("Q")); int(v.Size) != tt.live {
				t.Errorf("after a restart there are %d messages, want %d", v.Size, tt.live)
			}
		})
	}
}

// Who is shown a message under a mark that is not durable yet could see it again, after a crash, without the flag.
func TestMarkHoldsEverybody(t *testing.T) {
	r := newRig(t, Options{})
	c, other := r.connect("a", ""), r.connect("b", "")
	r.send(c, r.msg(tq("Q"), "0"))
	r.send(c, r.msg(tq("Q"), "1"))
	r.held = true
	for _, conn := range []ConnID{c, other} {
		d := deliveries(r.consume(conn, 1, tq("Q"), 1), conn, 1)
		if len(d) != 1 || !d[0].Held() {
			t.Errorf("connection %d got %+v, want one delivery that waits for the mark", conn, d)
		}
	}
}

// A queue of which much was moved is read back in time that grows with its length, not with its square.
func TestReplayOfMoved(t *testing.T) {
	const n = 40_000
	b := New(Options{})
	out := &Effects{}
	b.out = out
	q := b.create(tq("Q"), nil).queue
	r := newRig(t, Options{})
	body := r.msg(tq("Q"), "x")
	r.out.Records = append(r.out.Records, out.Records...)
	r.write()
	for from := 0; from < n; from += 4000 { // as an extent is moved: from its newest to its oldest
		for i := from + 4000; i > from; i-- {
			out.Reset()
			s := b.store(body, []*backlog{q}, uint64(i))
			b.emitMoved(s, body)
			x := &out.Records[0]
			r.log = append(r.log, line{r.end, append(append([]byte(nil), x.Head...), x.Body...)})
			r.end += 100
		}
	}
	r.durable = r.end
	r.read() // an insertion that walks the queue would take minutes
	r.boot()
	if v := r.look(tq("Q")); v.Size != n {
		t.Errorf("got %d messages, want %d", v.Size, n)
	}
}

// A transaction may write its messages again after one of its queues was removed.
func TestMovedTransactionToRemovedQueue(t *testing.T) {
	r := newRig(t, Options{SegmentBytes: 4 << 10})
	c, other := r.connect("a", ""), r.connect("b", "")
	r.sendTx(c, 1, r.msg(tq("Q"), "x"))
	r.sendTx(c, 1, r.msg(tq("R"), "y"))
	r.ok(&RemoveDestination{Conn: c, Ref: 3, Destination: tq("Q")}, 3)
	for r.head < 8<<10 {
		r.churn(other)
	}
	r.commit(c, 1)
	r.crash()
	if v := r.look(tq("R")); v.Size != 1 {
		t.Errorf("got %d messages, want 1", v.Size)
	}
}
