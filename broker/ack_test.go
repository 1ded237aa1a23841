package broker

import (
	"fmt"
	"strings"
	"testing"
)

// A client that comes back after a failover in the middle of a transaction counts what it had delivered before as delivered when it comes again, and
// takes the rest in an order of its own. Its acknowledgement names the first and the last of that order, and how many they are.
func TestTransactedAckAfterFailover(t *testing.T) {
	tests := map[string]struct {
		delivered string // said to be delivered, each by itself, when it came again
		rolled    string // acknowledged in a transaction before that was rolled back
		order     string // of the client: first to last
		want      string // settled; "" refuses
	}{
		"as dispatched":                  {order: "0 1 2", want: "0 1 2"},
		"one later is known":             {delivered: "0 3", order: "0 3 1", want: "0 1 3"},
		"what came first is taken last":  {delivered: "1 2", order: "1 2 0", want: "0 1 2"},
		"the last of all is taken first": {delivered: "5", order: "5 0 1", want: "0 1 5"},
		"around another":                 {delivered: "1 2 5", order: "1 2 5 0 3 4", want: "0 1 2 3 4 5"},
		"rolled back once more":          {delivered: "2 3", rolled: "2 3", order: "2 3 0", want: "0 2 3"},
		"not all that is known":          {rolled: "0 1 2", order: "0", want: "0"},
		"something is not there":         {delivered: "3", order: "3 9 0", want: ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Options{})
			c := r.connect("a", "")
			for i := range 6 {
				r.send(c, r.msg(tq("Q"), fmt.Sprint(i)))
			}
			d := r.want(r.consume(c, 1, tq("Q"), 6), "0 1 2 3 4 5")
			sequences := map[string]uint64{"9": 99}
			for i, x := range d {
				sequences[fmt.Sprint(i)] = x.Sequence
			}
			for _, x := range strings.Fields(tt.delivered) {
				r.do(&Ack{Conn: c, Consumer: 1, Kind: Delivered, First: sequences[x], Last: sequences[x], Count: 1})
			}
			for _, x := range strings.Fields(tt.rolled) {
				r.do(&Ack{Conn: c, Consumer: 1, Kind: Consumed, Single: true, Last: sequences[x], Count: 1, Tx: 1})
			}
			r.rollback(c, 1)
			order := strings.Fields(tt.order)
			ack := &Ack{Conn: c, Ref: 7, Consumer: 1, Kind: Consumed, First: sequences[order[0]], Last: sequences[order[len(order)-1]], Count: len(order), Tx: 2}
			if tt.want == "" {
				r.refused(NotFound, ack, 7)
				return
			}
			r.ok(ack, 7)
			r.commit(c, 2)
			left := map[uint64]bool{}
			for _, e := range r.b.entriesOf(r.b.destinations[tq("Q")].queue) {
				left[e.stored.sequence] = true
			}
			settled := ""
			for i, x := range d {
				if !left[x.Sequence] {
					settled = strings.TrimSpace(fmt.Sprint(settled, " ", i))
				}
			}
			if settled != tt.want {
				t.Errorf("an acknowledgement of %s settled %q, want %q", tt.order, settled, tt.want)
			}
		})
	}
}
