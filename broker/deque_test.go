package broker

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// What is taken out from anywhere leaves the rest in its order, and all of it is found.
func TestDeque(t *testing.T) {
	for _, ordered := range []bool{true, false} {
		rnd := rand.New(rand.NewPCG(1, 2))
		var d deque
		var want []*entry
		next := uint64(0)
		for step := range 20_000 {
			if rnd.IntN(5) < 3 {
				next++
				sequence := next
				if !ordered && rnd.IntN(10) == 0 {
					sequence = 1_000_000 - next
				}
				e := &entry{stored: &stored{sequence: sequence}}
				d.push(e)
				want = append(want, e)
			} else if n := len(want); n > 0 {
				i := []int{0, n - 1, rnd.IntN(n)}[rnd.IntN(3)]
				j := min(n, i+1+rnd.IntN(3))
				if at := d.index(want[i].stored.sequence); at != i {
					t.Fatalf("ordered %v, step %d: index gives %d, want %d", ordered, step, at, i)
				}
				d.cut(i, j)
				want = slices.Delete(want, i, j)
			}
			if !slices.Equal(d.all(), want) {
				t.Fatalf("ordered %v, step %d: the deque has %d entries, want %d, or another order", ordered, step, d.len(), len(want))
			}
		}
		if d.index(5_000_000) != -1 {
			t.Error("it finds what is not there")
		}
	}
}

// Acknowledging the newest of very many first costs no more than the oldest.
func BenchmarkAcknowledgeNewest(b *testing.B) {
	x := newBench(Options{})
	x.do(&Subscribe{Conn: 1, Ref: 1, Consumer: 1, Destination: tq("Q"), Prefetch: 40_000, MayCreate: true})
	send := &Send{Conn: 1, Message: x.message(tq("Q"))}
	for range 32_767 {
		x.do(send)
	}
	ack := &Ack{Conn: 1, Consumer: 1, Kind: Consumed, Single: true}
	for b.Loop() {
		for _, e := range x.do(send) {
			ack.Last = e.Sequence
		}
		x.do(ack)
	}
}
