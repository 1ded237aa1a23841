package broker

import (
	"fmt"
	"strings"
	"testing"

	"github.com/godwitmq/godwit/message"
)

// A long backlog does all that a short one does.
func TestLongBacklog(t *testing.T) {
	const n = 500
	texts := func(from, to int, mark string) string {
		var s []string
		for i := from; i < to; i++ {
			s = append(s, fmt.Sprint(i, mark))
		}
		return strings.Join(s, " ")
	}
	tests := map[string]struct {
		do   func(r *rig, c ConnID)
		want string // what a consumer of all gets then
	}{
		"nothing": {want: texts(0, n, "")},
		"a crash": {do: func(r *rig, c ConnID) { r.crash() }, want: texts(0, n, "")},
		"a crash after some was consumed": {
			do: func(r *rig, c ConnID) {
				d := deliveries(r.consume(c, 1, tq("Q"), 300), c, 1)
				r.do(&Ack{Conn: c, Consumer: 1, Kind: Consumed, Last: d[199].Sequence})
				r.crash()
			},
			want: texts(200, n, "+1"),
		},
		"messages from the middle, settled out of order": {
			do: func(r *rig, c ConnID) {
				d := deliveries(r.consume(c, 1, tq("Q"), 450), c, 1)
				for i := len(d) - 1; i >= 100; i-- {
					r.do(&Ack{Conn: c, Consumer: 1, Kind: Consumed, Single: true, Last: d[i].Sequence})
				}
				r.do(&Unsubscribe{Conn: c, Consumer: 1})
				r.crash()
			},
			want: texts(0, 100, "+1") + " " + texts(450, n, "+1"),
		},
		"a message of higher priority": {
			do: func(r *rig, c ConnID) {
				r.send(c, r.msg(tq("Q"), "urgent", prio(9)))
				r.crash()
			},
			want: "urgent " + texts(0, n, ""),
		},
		"what was at a consumer comes back": {
			do: func(r *rig, c ConnID) {
				r.consume(c, 1, tq("Q"), 100)
				r.do(&Unsubscribe{Conn: c, Consumer: 1})
			},
			want: texts(0, n, ""),
		},
		"the log is cleaned": {
			do: func(r *rig, c ConnID) {
				for range 400 {
					r.churn(c)
				}
				if r.head < 100_000 {
					r.t.Errorf("the log's head is at %d, want it to be beyond all that was sent first", r.head)
				}
				r.crash()
			},
			want: texts(0, n, ""),
		},
		"a purge":       {do: func(r *rig, c ConnID) { r.do(&Purge{Conn: c, Ref: 1, Destination: tq("Q")}); r.crash() }, want: ""},
		"it is removed": {do: func(r *rig, c ConnID) { r.do(&RemoveDestination{Conn: c, Destination: tq("Q")}); r.crash() }, want: ""},
		"a consumer with a selector": {
			do: func(r *rig, c ConnID) {
				r.send(c, r.msg(tq("Q"), "x", func(m *message.Message) { m.Properties = m.Properties.With("n", int32(7)) }))
				d := r.want(r.consume(c, 1, tq("Q"), 5, func(s *Subscribe) { s.Selector = "n = 7" }), "x")
				r.ack(c, 1, Consumed, d[0])
				r.do(&Unsubscribe{Conn: c, Consumer: 1})
			},
			want: texts(0, n, ""),
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Options{PackFrom: 32, CacheBytes: 1, SegmentBytes: 64 << 10})
			c := r.connect("a", "")
			for i := range n {
				r.send(c, r.msg(tq("Q"), fmt.Sprint(i)))
			}
			if packed := r.b.destinations[tq("Q")].queue.packing.count; packed < n*3/4 {
				t.Errorf("%d of %d messages are in packs, want most of them", packed, n)
			}
			if tt.do != nil {
				tt.do(r, c)
			}
			if err := r.b.Audit(nil); err != nil {
				t.Error(err)
			}
			c = r.connect("b", "")
			r.want(r.consume(c, 1, tq("Q"), 2*n), tt.want)
		})
	}
}

// Clients that commit all the time, so that the newest commit is never durable, fill a long backlog no less than others do.
func TestLongBacklogOfTransactions(t *testing.T) {
	const n = 500
	r := newRig(t, Options{PackFrom: 32, CacheBytes: 1, SegmentBytes: 64 << 10})
	c := r.connect("a", "")
	r.held = true
	commit := func(text string) {
		durable := r.end // when the next transaction is at work
		r.sendTx(c, 1, r.msg(tq("Q"), text))
		r.commit(c, 1)
		r.durable = durable
	}
	commit("first")
	r.ack(c, 1, Consumed, deliveries(r.consume(c, 1, tq("Q"), 1), c, 1)[0]) // so that the mark is in the log, far ahead
	r.do(&Unsubscribe{Conn: c, Consumer: 1})
	for i := range n {
		commit(fmt.Sprint(i))
	}
	if packed := r.b.destinations[tq("Q")].queue.packing.count; packed < n*3/4 {
		t.Errorf("%d of %d messages are in packs, want most of them", packed, n)
	}
	got := deliveries(r.consume(c, 1, tq("Q"), 2*n), c, 1)
	if len(got) != n {
		t.Fatalf("got %d deliveries, want %d", len(got), n)
	}
	for i, d := range got {
		if last := i == n-1; d.Held() != last {
			t.Errorf("delivery %d of %d is held: %v; want %v, because only the last commit is not durable", i+1, n, d.Held(), last)
		}
	}
	r.crash()
	c = r.connect("b", "")
	if got := deliveries(r.consume(c, 1, tq("Q"), 2*n), c, 1); len(got) != n-1 {
		t.Errorf("got %d deliveries after a crash that lost the last commit; want %d", len(got), n-1)
	}
}
