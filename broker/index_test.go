package broker

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/godwitmq/godwit/message"
)

// Who shares an index gets what its selector matches, in order, whatever the kind of value.
func TestIndexedSelectors(t *testing.T) {
	tests := map[string]struct {
		selector string
		want     string
	}{
		"a number":             {"n = 1", "int long double converted"},
		"a float":              {"1.0 = n", "int long double converted"},
		"a string":             {"n = '1'", "string"},
		"in":                   {"n IN ('1', '2')", "string two"},
		"and more":             {"n = 1 AND JMSPriority > 4", "converted"},
		"a boolean":            {"n = TRUE", "true"},
		"converted":            {"convert_string_expressions:n = 1", "int string long double converted"},
		"converted to a truth": {"convert_string_expressions:n = true", "true"},
		"null":                 {"n IS NULL", "null"},
		"not":                  {"n <> '1'", "two"},
		"nothing":              {"n = 7", ""},
	}
	values := []struct {
		name  string
		value any
	}{{"int", int32(1)}, {"string", "1"}, {"two", "2"}, {"long", int64(1)}, {"double", 1.0}, {"true", true}, {"null", nil}, {"converted", int8(1)}}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Options{})
			c := r.connect("a", "")
			for i, other := range []string{"n = 'else'", "n = 'other'", "m = 1"} {
				r.consume(c, ConsumerID(10+i), tq("Q"), 10, selecting(other))
			}
			r.consume(c, 1, tq("Q"), 100, selecting(tt.selector))
			var got []string
			for _, v := range values {
				m := r.msg(tq("Q"), v.name, prio(4))
				if v.name == "converted" {
					m = r.msg(tq("Q"), v.name, prio(5))
				}
				if v.value != nil {
					m.Properties = m.Properties.With("n", v.value)
				}
				m = m.Copy()
				m.Encode()
				for _, d := range r.send(c, m) {
					if d.Kind == Delivery && d.Consumer == 1 {
						got = append(got, string(d.Message.Content))
					}
				}
			}
			want := strings.Fields(tt.want)
			for _, w := range want {
				found := false
				for _, g := range got {
					found = found || g == w
				}
				if !found {
					t.Errorf("%s: got %v, want %v", tt.selector, got, want)
				}
			}
			if len(got) != len(want) {
				t.Errorf("%s: got %v, want %v", tt.selector, got, want)
			}
		})
	}
}

func selecting(s string) func(*Subscribe) { return func(ev *Subscribe) { ev.Selector = s } }

// Whatever happens, nobody with credit waits while a message that it would take waits too, and everybody gets messages in order.
func TestIndexStarvesNobody(t *testing.T) {
	selectors := []string{"", "n = 1", "n = 2", "n = 1 AND m = 1", "n = 3 AND m > 1", "m = 2", "m = 1", "n > 1", "n IN ('a')", "n = 1 AND JMSXDeliveryCount > 1", "n = 2 AND JMSRedelivered = FALSE"}
	for seed := range uint64(60) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		opt := Options{}
		if seed%2 == 1 {
			opt.CacheBytes = 2000 // bodies come and go
		}
		r := newRig(t, opt)
		c := r.connect("a", "")
		next := ConsumerID(0)
		has := map[ConsumerID][]Effect{}
		took := func(effects []Effect) {
			for _, d := range deliveries(effects, 0, 0) {
				has[d.Consumer] = append(has[d.Consumer], d)
			}
		}
		for step := range 400 {
			conn := r.b.connections[c]
			ids := sortedKeys(conn.consumers)
			switch x := rnd.IntN(20); {
			case x < 8:
				m := r.msg(tq("Q"), "x", prio(uint8(3+rnd.IntN(3))), prop("n", int32(rnd.IntN(4))), prop("m", int32(rnd.IntN(3))))
				took(r.send(c, m))
			case x < 10 && len(ids) < 12:
				next++
				took(r.consume(c, next, tq("Q"), rnd.IntN(4), selecting(selectors[rnd.IntN(len(selectors))]), func(ev *Subscribe) { ev.Priority = rnd.IntN(2) }))
			case x == 10 && len(ids) > 0:
				id := ids[rnd.IntN(len(ids))]
				delete(has, id)
				took(r.do(&Unsubscribe{Conn: c, Consumer: id, LastDelivered: Unknown}))
			case x == 11 && len(ids) > 0:
				took(r.do(&Pull{Conn: c, Consumer: ids[rnd.IntN(len(ids))]}))
			case x == 12 && len(ids) > 0:
				took(r.do(&SetPrefetch{Conn: c, Consumer: ids[rnd.IntN(len(ids))], Prefetch: rnd.IntN(5)}))
			case x == 13:
				took(r.do(&Throttle{Conn: c, On: rnd.IntN(2) == 0}))
			default:
				for _, id := range ids {
					if n := len(has[id]); n > 0 && rnd.IntN(3) == 0 {
						i := rnd.IntN(n)
						d := has[id][i]
						has[id] = append(has[id][:i:i], has[id][i+1:]...)
						took(r.do(&Ack{Conn: c, Consumer: id, Kind: []AckKind{Consumed, Consumed, Consumed, Released}[rnd.IntN(4)], Last: d.Sequence, Single: true}))
						break
					}
				}
			}
			q := r.b.destinations[tq("Q")]
			if q == nil {
				continue
			}
			for _, id := range sortedKeys(conn.consumers) {
				x := conn.consumers[id]
				if x.credit() <= 0 {
					continue
				}
				for e := q.queue.following(nil); e != nil; e = q.queue.following(e) {
					m := e.stored.message
					if m == nil {
						m = r.body(e.stored.position)
					}
					if x.selector == nil || x.selector.Matches(message.Delivered{Message: m, Redeliveries: int(e.redeliveries)}) {
						t.Fatalf("seed %d, step %d: consumer %d (%q) has credit %d, and message %d waits for it", seed, step, id, x.about.Selector, x.credit(), e.stored.sequence)
					}
				}
			}
		}
	}
}

// body reads a message from the log.
func (r *rig) body(at uint64) *message.Message {
	r.t.Helper()
	return r.bring(Load{Positions: []uint64{at}}).Messages[0]
}

// With a thousand selectors a message costs about what it costs with one.
func BenchmarkManySelectors(b *testing.B) {
	for _, n := range []int{1, 10, 1000} {
		for name, text := range map[string]string{"plain": "n = %d", "and": "n = %d AND JMSPriority >= 1"} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				x := newBench(Options{})
				for i := range n {
					x.do(&Subscribe{Conn: 1, Ref: 1, Consumer: ConsumerID(i + 1), Destination: tq("Q"), Selector: fmt.Sprintf(text, i), Prefetch: 1000, MayCreate: true})
				}
				sends := make([]*Send, n)
				for i := range sends {
					m := x.message(tq("Q")).Copy()
					m.Properties = m.Properties.With("n", int32(i))
					m.Encode()
					sends[i] = &Send{Conn: 1, Message: m}
				}
				ack := &Ack{Conn: 1, Kind: Consumed, Single: true}
				i := 0
				b.ReportAllocs()
				for b.Loop() {
					i++
					got := false
					for _, e := range x.do(sends[i%n]) {
						ack.Consumer, ack.Last, got = e.Consumer, e.Sequence, true
					}
					if !got {
						b.Fatal("nobody got the message")
					}
					x.do(ack)
				}
			})
		}
	}
}
