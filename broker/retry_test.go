package broker

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/godwitmq/godwit/message"
)

// sweeps runs a sweep to its end and gives its last answer.
func (r *rig) sweeps(ev *Sweep) *Swept {
	r.t.Helper()
	ev.Ref = r.ref()
	var next Event = ev
	ref := ev.Ref
	for {
		var got *Swept
		for got == nil {
			for _, e := range r.do(next) {
				if e.Ref == ref && e.Err != nil {
					r.t.Fatal(e.Err)
				}
				if s, ok := e.Value.(*Swept); ok && e.Ref == ref {
					got = s
				}
			}
			if got == nil { // its rate holds it up
				due := r.b.Deadline()
				if due <= r.now {
					r.t.Fatalf("the sweep does not go on: the next deadline is %d, now is %d", due, r.now)
				}
				r.now = due
				next = Tick{}
			}
		}
		if got.Done {
			if got.Err != nil {
				r.t.Fatal(got.Err)
			}
			return got
		}
		ref = r.ref()
		next = &SweepOn{Conn: ev.Conn, Ref: ref}
	}
}

func (r *rig) undo(conn ConnID, batch uint64) int {
	r.t.Helper()
	ref := r.ref()
	for _, e := range r.do(&UndoRetry{Conn: conn, Ref: ref, Batch: batch}) {
		if e.Ref == ref {
			if e.Err != nil {
				r.t.Fatal(e.Err)
			}
			return e.Value.(int)
		}
	}
	r.t.Fatal("undo was not answered")
	return 0
}

// graves fills the dead-letter queue with messages of two queues and a subscription, and gives its connection.
func (r *rig) graves() ConnID {
	r.t.Helper()
	c := r.connect("a", "id")
	r.consume(c, 1, tt("T"), 9, func(s *Subscribe) { s.Name = "s" })
	r.consume(c, 2, tq("A"), 9)
	r.consume(c, 3, tq("B"), 9)
	for i, to := range []message.Destination{tq("A"), tq("B"), tt("T"), tq("A")} {
		d := deliveries(r.send(c, r.msg(to, fmt.Sprint(i), prop("n", int32(i)), expires(r.now+1000), func(m *message.Message) { m.Timestamp = r.now })), 0, 0)
		r.ack(c, d[0].Consumer, Poison, d[0], because([]string{"bad luck", "bad input"}[i%2]))
	}
	for id := range ConsumerID(3) {
		r.do(&Unsubscribe{Conn: c, Consumer: id + 1})
	}
	return c
}

func TestRetry(t *testing.T) {
	tests := map[string]struct {
		how  Sweep
		want string // what is where: A, B, the subscription, left
	}{
		"all":        {Sweep{}, "0 3|1|2|"},
		"selector":   {Sweep{Selector: "n > 1"}, "3||2|0 1"},
		"origin":     {Sweep{Origin: tq("A")}, "0 3|||1 2"},
		"origins":    {Sweep{Origin: tq(">")}, "0 3|1||2"},
		"a topic":    {Sweep{Origin: tt("T")}, "||2|0 1 3"},
		"cause":      {Sweep{Cause: "luck"}, "0||2|1 3"},
		"limit":      {Sweep{Limit: 1}, "0|||1 2 3"},
		"slowly":     {Sweep{Rate: 8}, "0 3|1|2|"},
		"after time": {Sweep{Cause: "input"}, "3|1||0 2"},
	}
	for name, tt1 := range tests {
		for _, crash := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, crash %v", name, crash), func(t *testing.T) {
				r := newRig(t, Options{CacheBytes: 1})
				c := r.graves()
				if name == "after time" {
					r.now += 5000
				}
				begun := r.now
				show := tt1.how
				show.Conn, show.Kind, show.From, show.DeadLetters, show.First, show.Rate = c, SweepShow, tq("ActiveMQ.DLQ"), true, 9, 0
				preview := r.sweeps(&show)
				how := tt1.how
				how.Conn, how.Kind, how.From = c, SweepRetry, tq("ActiveMQ.DLQ")
				done := r.sweeps(&how)
				if preview.Affected != done.Affected || len(preview.First) != done.Affected {
					t.Errorf("the preview tells of %d messages and shows %d, the retry of %d", preview.Affected, len(preview.First), done.Affected)
				}
				if name == "slowly" && (r.now < begun+370 || r.now > begun+390) {
					t.Errorf("4 messages at 8 a second took %d ms, want about 375", r.now-begun)
				}
				if crash {
					r.crash()
				} else {
					r.do(&Disconnect{Conn: c})
				}
				places := func() string {
					c := r.connect("b", "id")
					defer r.do(&Disconnect{Conn: c})
					a := texts(r.consume(c, 1, tq("A"), 9, func(s *Subscribe) { s.Browser = true }))
					b := texts(r.consume(c, 2, tq("B"), 9, func(s *Subscribe) { s.Browser = true }))
					left := texts(r.consume(c, 3, tq("ActiveMQ.DLQ"), 9, func(s *Subscribe) { s.Browser = true }))
					sub := ""
					for _, e := range r.b.entriesOf(r.b.durables[durableKey{clientID: "id", name: "s"}].backlog) {
						sub += fmt.Sprint(e.stored.sequence)
					}
					if sub != "" {
						sub = "2"
					}
					return strings.ReplaceAll(a+"|"+b+"|"+sub+"|"+left, "+1", "") // a crash leaves it open what was delivered
				}
				if got := places(); got != tt1.want {
					t.Errorf("A|B|subscription|left are %q, want %q", got, tt1.want)
				}
				c = r.connect("c", "")
				if n := r.undo(c, done.Batch); n != done.Affected {
					t.Errorf("the undo made dead letters of %d messages, want %d", n, done.Affected)
				}
				r.refused(NotFound, &UndoRetry{Conn: c, Ref: 1, Batch: done.Batch}, 1)
				back := strings.Fields(strings.TrimPrefix(places(), "|||"))
				slices.Sort(back)
				if got := strings.Join(back, " "); got != "0 1 2 3" {
					t.Errorf("after the undo the dead letters are %q, want 0 1 2 3 and nothing elsewhere", got)
				}
			})
		}
	}
}

func TestRevived(t *testing.T) {
	r := newRig(t, Options{})
	c := r.graves()
	browse := func() []*message.Message {
		r.conns++
		c := r.connect(fmt.Sprint("b", r.conns), "")
		defer r.do(&Disconnect{Conn: c})
		var all []*message.Message
		for _, d := range deliveries(r.consume(c, 1, tq("ActiveMQ.DLQ"), 9, func(s *Subscribe) { s.Browser = true }), 0, 0) {
			all = append(all, d.Message)
		}
		return all
	}
	before := browse()[0]
	batch := r.sweeps(&Sweep{Conn: c, Kind: SweepRetry, From: tq("ActiveMQ.DLQ"), Origin: tq("A"), Limit: 1}).Batch
	m := r.want(r.consume(c, 5, tq("A"), 1), "0")[0]
	if m.Redeliveries != 0 || m.Message.Expiration != r.now+1000 || !m.Message.Original.IsZero() || m.Message.Destination != tq("A") || m.Message.ID != before.ID {
		t.Errorf("revived as %+v, redelivered %d times; want it as it was sent", m.Message, m.Redeliveries)
	}
	// Touched: it is not taken away from who may have seen it.
	r.do(&Unsubscribe{Conn: c, Consumer: 5, LastDelivered: Unknown})
	if n := r.undo(c, batch); n != 0 {
		t.Errorf("the undo took %d messages that had been delivered", n)
	}
	r.now += 2000 // it expires again
	r.do(Tick{})
	// What has died in between lives as long again as it did.
	batch = r.sweeps(&Sweep{Conn: c, Kind: SweepRetry, From: tq("ActiveMQ.DLQ"), Origin: tq("B")}).Batch
	e := r.want(r.consume(c, 6, tq("B"), 1, func(s *Subscribe) { s.Browser = true }), "1")[0]
	if e.Message.Expiration != r.now+1000 {
		t.Errorf("what would have been over expires in %d ms, want 1000", e.Message.Expiration-r.now)
	}
	if n := r.undo(c, batch); n != 1 {
		t.Fatalf("the undo took %d, want 1", n)
	}
	all := browse()
	again := all[len(all)-1]
	if again.Cause() != "bad input" || again.Expiration != 0 || again.Original != tq("B") {
		t.Errorf("after the undo the dead letter is %+v because of %q, want it as before", again, again.Cause())
	}
	if _, marked := again.Properties.Get(message.DeadLetterBatch); marked {
		t.Error("after the undo the dead letter still names the retry")
	}
}

// TestRetriesAreCarried sees that a retry can be undone long after, when the log has been trimmed, and that the memory for that is bounded.
func TestRetriesAreCarried(t *testing.T) {
	r := newRig(t, Options{SegmentBytes: 4 << 10, CacheBytes: 1})
	c := r.graves()
	batch := r.sweeps(&Sweep{Conn: c, Kind: SweepRetry, From: tq("ActiveMQ.DLQ")}).Batch
	r.consume(c, 1, tq("Q"), 9)
	first := r.head
	for range 300 {
		d := r.want(r.send(c, r.msg(tq("Q"), strings.Repeat("b", 200))), strings.Repeat("b", 200))
		r.ack(c, 1, Consumed, d[0])
	}
	if r.head < first+15_000 {
		t.Fatalf("the log was trimmed up to %d only", r.head)
	}
	r.crash()
	c = r.connect("b", "")
	if n := r.undo(c, batch); n != 4 {
		t.Errorf("the undo took %d messages, want 4", n)
	}
	r.crash()
	if n := len(r.b.retries.batches); n != 0 {
		t.Errorf("after an undo and a crash %d retries can be undone, want none", n)
	}
	c = r.connect("c", "")
	for range maxRetries + 5 {
		w := r.sweeps(&Sweep{Conn: c, Kind: SweepRetry, From: tq("ActiveMQ.DLQ"), Limit: 1, Origin: tq("A")})
		d := deliveries(r.consume(c, 1, tq("A"), 1), 0, 0)
		r.ack(c, 1, Poison, d[0])
		r.do(&Unsubscribe{Conn: c, Consumer: 1})
		if w.Affected != 1 {
			t.Fatalf("a retry took %d messages", w.Affected)
		}
	}
	if n := len(r.b.retries.batches); n != maxRetries || r.b.retries.items != n {
		t.Errorf("%d retries with %d messages are remembered, want %d each", n, r.b.retries.items, maxRetries)
	}
}
