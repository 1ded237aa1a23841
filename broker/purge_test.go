package broker

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/godwitmq/godwit/message"
)

// purged gives what a purge is answered with; nil while it is not.
func purged(effects []Effect, ref Ref) any {
	for _, x := range effects {
		if x.Ref == ref && x.Kind == Answer {
			return x.Value
		}
	}
	return nil
}

// drainRig has 95 messages of three kinds in a queue and in a durable subscription, whose purge takes ten Steps.
func drainRig(t *testing.T) (r *rig, c ConnID) {
	r = newRig(t, Options{DrainAtOnce: 10, PackFrom: 64, CacheBytes: 1000, SegmentBytes: minSegmentBytes})
	c = r.connect("a", "a")
	r.consume(c, 1, tt("T"), 1, func(s *Subscribe) { s.Name = "s" })
	r.do(&Unsubscribe{Conn: c, Consumer: 1})
	for i := range 95 {
		to := message.Destination{Kind: message.Queue, Name: "Q,topic://T"}
		change := []func(*message.Message){prio(uint8(3 + i%2))}
		switch i % 10 {
		case 7:
			change = append(change, transient)
		case 8:
			change = append(change, expires(r.now+1000))
		}
		r.send(c, r.msg(to, fmt.Sprint(i), change...))
	}
	return r, c
}

// A long purge is done in pieces. It removes what waited when it was asked for, and is answered when all of it is gone; what comes meanwhile stays, consumers
// take what they get, and a crash leaves what was not removed yet.
func TestPurgeInPieces(t *testing.T) {
	for _, of := range []string{"queue", "subscription"} {
		for _, meanwhile := range []string{"nothing", "expiry", "consumer", "crash", "removal", "another purge", "gone"} {
			t.Run(of+"/"+meanwhile, func(t *testing.T) {
				r, c := drainRig(t)
				other := r.connect("b", "b")
				size := func() int {
					if of == "queue" {
						if d := r.b.destinations[tq("Q")]; d != nil {
							return d.queue.size
						}
					} else if s := r.b.durables[durableKey{"a", "s"}]; s != nil {
						return s.backlog.size
					}
					return 0
				}
				begin := func() Event {
					if of == "queue" {
						return &Purge{Conn: c, Ref: 8, Destination: tq("Q")}
					}
					return &PurgeSubscription{Conn: c, Ref: 8, ClientID: "a", Name: "s"}
				}
				answer := purged(r.do(begin()), 8)
				if answer != nil || size() != 85 {
					t.Fatalf("the first Step answered %v and left %d messages; want no answer and 85", answer, size())
				}
				if at := r.b.Deadline(); at > r.now {
					t.Errorf("the next Tick is due in %d ms, want now", at-r.now)
				}
				r.send(other, r.msg(message.Destination{Kind: message.Queue, Name: "Q,topic://T"}, "new"))
				want, left := 95, 1
				switch meanwhile {
				case "expiry":
					r.now += 1000
				case "consumer":
					d, name := tq("Q"), ""
					if of != "queue" {
						d, name = tt("T"), "s"
					}
					r.do(&Disconnect{Conn: c})
					other = r.connect("a2", "a")
					got := deliveries(r.consume(other, 5, d, 3, func(s *Subscribe) { s.Name = name }), other, 5)
					if len(got) != 3 {
						t.Fatalf("a consumer got %d messages, want 3", len(got))
					}
					left = 4
				case "crash":
					r.crash()
					if size() != 86-10+0*left && size() < 76 { // the transient ones are gone
						t.Errorf("after a crash there are %d messages", size())
					}
					if len(r.b.drains) != 0 {
						t.Error("a purge outlives a crash")
					}
					return
				case "removal":
					if of == "queue" {
						r.ok(&RemoveDestination{Conn: other, Ref: 9, Destination: tq("Q")}, 9)
					} else {
						r.ok(&RemoveSubscription{Conn: other, Ref: 9, ClientID: "a", Name: "s"}, 9)
					}
					want, left = 10, 0
				case "another purge":
					if got := purged(r.do(begin()), 8); got != nil {
						t.Fatalf("the second purge answered %v at once", got)
					}
					left = 0
				case "gone":
					r.do(&Disconnect{Conn: c})
				}
				var all []Effect
				for n := 0; len(r.b.drains) > 0; n++ {
					if all = append(all, r.do(Tick{})...); n > 100 {
						t.Fatal("it does not end")
					}
				}
				switch got := purged(all, 8); {
				case meanwhile == "nothing" && got != want, meanwhile == "removal" && got != want, got == nil:
					t.Errorf("the purge was answered with %v, want %d", got, want)
				}
				if size() != left {
					t.Errorf("%d messages are left, want %d", size(), left)
				}
			})
		}
	}
}

// What is removed as a whole is gone at once for everybody, though memory knows of it for longer: it does not expire, is not written again when the log is
// cleaned, not shown to browsers, and not there after a restart; a queue of the same name is another.
func TestRemovalInPieces(t *testing.T) {
	for _, of := range []string{"queue", "subscription", "consumer"} {
		for _, meanwhile := range []string{"nothing", "expiry", "cleaning", "crash", "again"} {
			t.Run(of+"/"+meanwhile, func(t *testing.T) {
				r, c := drainRig(t)
				r.heard = func(x Effect) {
					if x.Kind == Delivery && x.Consumer == 7 {
						t.Errorf("a browser was shown %q of a queue that is gone", x.Message.Content)
					}
				}
				if of == "consumer" {
					r.consume(c, 2, tt("T"), 1)
					for i := range 50 {
						r.send(c, r.msg(tt("T"), fmt.Sprint(i), expires(r.now+1000)))
					}
				}
				r.do(&Throttle{Conn: c, On: true})
				r.consume(c, 7, tq("Q"), 100, func(s *Subscribe) { s.Browser = true }) // has its snapshot, and nothing yet
				switch of {
				case "queue":
					r.ok(&RemoveDestination{Conn: c, Ref: 9, Destination: tq("Q")}, 9)
				case "subscription":
					r.do(&Unsubscribe{Conn: c, Consumer: 7})
					r.ok(&RemoveSubscription{Conn: c, Ref: 9, ClientID: "a", Name: "s"}, 9)
				case "consumer":
					r.do(&Unsubscribe{Conn: c, Consumer: 7})
					r.do(&Unsubscribe{Conn: c, Consumer: 2})
				}
				if len(r.b.drains) != 1 {
					t.Fatalf("%d removals go on, want 1", len(r.b.drains))
				}
				r.do(&Throttle{Conn: c})
				switch meanwhile {
				case "expiry":
					r.now += 1000
					r.b.Progress(r.durable, r.room)
					r.do(&List{Conn: c}) // a Step, but no Tick
				case "cleaning":
					for trimmed := r.head; r.head < trimmed+20_000; {
						r.send(c, r.msg(tq("other"), strings.Repeat("x", 500)))
						r.do(&Purge{Conn: c, Destination: tq("other")})
					}
				case "crash":
					r.crash()
				case "again":
					r.send(c, r.msg(tq("Q"), "new"))
				}
				for n := 0; len(r.b.drains) > 0; n++ {
					if r.do(Tick{}); n > 100 {
						t.Fatal("it does not end")
					}
				}
				for range 2 {
					if d := r.b.destinations[tq("Q")]; of == "queue" && d != nil && (meanwhile != "again" || d.queue.size != 1) {
						t.Errorf("the queue is there, with %d messages", d.queue.size)
					}
					if s := r.b.durables[durableKey{"a", "s"}]; (s == nil) != (of == "subscription") {
						t.Errorf("the subscription is %v", s)
					}
					if len(r.orphans) > 0 {
						t.Errorf("after a restart there are %v", r.orphans)
					}
					if dead := r.b.destinations[tq("ActiveMQ.DLQ")]; of == "queue" && meanwhile == "expiry" && dead != nil && dead.queue.size != 9 {
						t.Errorf("%d messages are dead letters, want the 9 of the subscription", dead.queue.size)
					}
					r.crash()
				}
			})
		}
	}
}

// TestLongSteps prints how long the longest Step is that removes a million messages; the packed ones are those of an ordinary queue, the others those of one
// that had a consumer with a selector.
func TestLongSteps(t *testing.T) {
	if !testing.Verbose() || testing.Short() {
		t.Skip("it only prints: go test -v -run LongSteps ./broker")
	}
	const n = 1_000_000
	for _, what := range []string{"purge", "remove", "purge subscription", "remove subscription", "consumer leaves"} {
		for _, packed := range []bool{true, false} {
			b, out := New(Options{}), Effects{}
			end, now := uint64(64), int64(1_000_000)
			step := func(ev Event) time.Duration {
				b.Progress(end, 1<<50)
				began := time.Now()
				b.Step(now, ev, &out)
				took := time.Since(began)
				for i := range out.Records {
					b.Place(&out.Records[i], end)
					end += 8 + uint64(out.Records[i].Size)
				}
				out.Reset()
				return took
			}
			b.Recovered(now, &out)
			out.Reset()
			step(&Connect{Conn: 1, Name: "a", ClientID: "a"})
			to, ev := tq("Q"), Event(&Purge{Conn: 1, Ref: 4, Destination: tq("Q")})
			switch what {
			case "remove":
				ev = &RemoveDestination{Conn: 1, Ref: 4, Destination: to}
			case "purge subscription":
				to, ev = tt("T"), &PurgeSubscription{Conn: 1, Ref: 4, ClientID: "a", Name: "s"}
			case "remove subscription":
				to, ev = tt("T"), &RemoveSubscription{Conn: 1, Ref: 4, ClientID: "a", Name: "s"}
			case "consumer leaves":
				to, ev = tt("T"), &Unsubscribe{Conn: 1, Consumer: 1}
			}
			if to.Kind.IsTopic() {
				about := &Subscribe{Conn: 1, Consumer: 1, Destination: to, Prefetch: 1, MayCreate: true}
				if what != "consumer leaves" {
					about.Name = "s"
				}
				if step(about); about.Name != "" {
					step(&Unsubscribe{Conn: 1, Consumer: 1})
				}
			}
			r := &rig{}
			for range n {
				step(&Send{Conn: 1, Message: r.msg(to, "x"), MayCreate: true})
			}
			if !packed {
				for _, q := range b.backlogs {
					q.unpackAll()
				}
			}
			first := step(ev)
			ticks := []time.Duration{0}
			for b.Deadline() == now && len(ticks) < n {
				ticks = append(ticks, step(Tick{}))
			}
			slices.Sort(ticks)
			// The longest of hundreds tells of the machine: the collector, or who else runs.
			fmt.Printf("%s of %d messages, packed %v: %v, then %d Ticks, half of them below %v, 99 of 100 below %v, the longest %v\n",
				what, n, packed, first, len(ticks)-1, ticks[len(ticks)/2], ticks[len(ticks)*99/100], ticks[len(ticks)-1])
		}
	}
}
