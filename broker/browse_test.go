package broker

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

func browser(s *Subscribe) { s.Browser = true }

// A browser costs no pointer for each message that waits, and leaves a long backlog in its packs.
func TestBrowserOfLongBacklog(t *testing.T) {
	const n = 2000
	r := newRig(t, Options{PackFrom: 64, CacheBytes: 1})
	c := r.connect("a", "")
	for i := range n {
		r.send(c, r.msg(tq("Q"), fmt.Sprint(i)))
	}
	q := r.b.destinations[tq("Q")].queue
	got := deliveries(r.consume(c, 1, tq("Q"), 10, browser), c, 1)
	for shown := 0; ; {
		for _, x := range got {
			if want := fmt.Sprint(shown); string(x.Message.Content) != want {
				t.Fatalf("message %d is %s", shown, x.Message.Content)
			}
			shown++
		}
		if shown == n {
			break
		}
		if w := q.browsed[0]; len(w.aside) != 0 || q.packing.count < n-200 {
			t.Fatalf("after %d messages the browser has %d pointers, and %d of %d messages are packed", shown, len(w.aside), q.packing.count, n)
		}
		got = deliveries(r.do(&Ack{Conn: c, Consumer: 1, Kind: Consumed, Last: got[len(got)-1].Sequence}), c, 1)
	}
	if q.browsed != nil {
		t.Error("the browser has not ended")
	}
}

// Whatever consumers take and give back meanwhile: what was there when a browser began, and is still there at its end, it is shown once; what came later it is
// not shown; and nothing twice.
func TestBrowserAmongConsumers(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			r := newRig(t, Options{PackFrom: []int{8, 16, 0}[rnd.IntN(3)], CacheBytes: int64(1 + rnd.IntN(2)*2000), Policies: Policies{Default: Policy{Redelivery: RedeliveryPolicy{Maximum: 9, Delay: time.Second}}}})
			c, eater := r.connect("a", ""), r.connect("b", "")
			sent := 0
			send := func() {
				r.send(c, r.msg(tq("Q"), fmt.Sprint(sent), prio(uint8(3+rnd.IntN(3)))))
				sent++
			}
			for range 20 + rnd.IntN(60) {
				send()
			}
			var has []Effect
			consumer := ConsumerID(0)
			act := func() {
				switch rnd.IntN(6) {
				case 0:
					send()
				case 1:
					if consumer == 0 {
						consumer = ConsumerID(100 + sent)
						has = deliveries(r.consume(eater, consumer, tq("Q"), 1+rnd.IntN(8)), eater, 0)
					} else {
						r.do(&Unsubscribe{Conn: eater, Consumer: consumer})
						consumer, has = 0, nil
					}
				case 2, 3:
					if len(has) > 0 {
						i := rnd.IntN(len(has))
						kind := []AckKind{Consumed, Consumed, Poison}[rnd.IntN(3)]
						got := r.ack(eater, consumer, kind, has[i])
						has = append(append(has[:i:i], has[i+1:]...), deliveries(got, eater, 0)...)
					}
				default:
					r.now += 300
					has = append(has, deliveries(r.do(Tick{}), eater, 0)...)
				}
			}
			for range rnd.IntN(10) {
				act()
			}
			there := map[uint64]bool{}
			_ = r.b.Audit(func(h Held) { there[h.Sequence] = h.Backlog == "queue://Q" })
			shown := map[uint64]bool{}
			var last uint64
			ended := false
			r.heard = func(x Effect) {
				switch {
				case x.Consumer != 1:
				case x.Kind == EndOfBrowse:
					ended = true
				case shown[x.Sequence] || !there[x.Sequence]:
					t.Errorf("message %d was shown before: %v; was there at the beginning: %v", x.Sequence, shown[x.Sequence], there[x.Sequence])
				default:
					shown[x.Sequence], last = true, x.Sequence
				}
			}
			r.consume(c, 1, tq("Q"), 1+rnd.IntN(3), browser)
			for n := 0; !ended; n++ {
				if n > 10_000 {
					t.Fatal("it does not end")
				}
				for range rnd.IntN(3) {
					act()
				}
				if last != 0 {
					ev := &Ack{Conn: c, Consumer: 1, Kind: Consumed, Last: last, Single: false}
					last = 0
					r.do(ev)
				}
			}
			_ = r.b.Audit(func(h Held) {
				if h.Backlog == "queue://Q" && there[h.Sequence] && !shown[h.Sequence] {
					t.Errorf("message %d is there still and was not shown", h.Sequence)
				}
			})
		})
	}
}
