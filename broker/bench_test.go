package broker

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/godwitmq/godwit/message"
)

// bench drives a core whose log is always durable at once, and keeps nothing of it.
type bench struct {
	b       *Broker
	out     Effects
	end     uint64
	number  int64
	effects []Effect
}

func newBench(opt Options) *bench {
	x := &bench{b: New(opt), end: 64}
	x.b.Recovered(1, &x.out)
	x.settle()
	x.do(&Connect{Conn: 1})
	return x
}

func (x *bench) settle() {
	for i := range x.out.Records {
		r := &x.out.Records[i]
		x.b.Place(r, x.end)
		x.end += uint64(r.Size) + 8
	}
	x.out.Reset()
	x.b.Progress(x.end, 1<<40)
}

// do gives the effects of a step; they are valid until the next.
func (x *bench) do(ev Event) []Effect {
	x.b.Step(1000, ev, &x.out)
	x.effects = append(x.effects[:0], x.out.List...)
	x.settle()
	return x.effects
}

var benchBody = []byte(strings.Repeat("x", 1024))

func (x *bench) message(to message.Destination) *message.Message {
	x.number++
	m := &message.Message{ID: message.ID{Producer: "ID:bench-1:1:1:1", Sequence: x.number}, Destination: to, Priority: 4, Persistent: true, Type: message.Bytes, Content: benchBody}
	m.Encode()
	return m
}

func BenchmarkQueue(b *testing.B) {
	x := newBench(Options{})
	x.do(&Subscribe{Conn: 1, Ref: 1, Consumer: 1, Destination: tq("Q"), Prefetch: 1000, MayCreate: true})
	m := x.message(tq("Q"))
	send, ack := &Send{Conn: 1, Ref: 2, Message: m}, &Ack{Conn: 1, Consumer: 1, Kind: Consumed, Single: true}
	b.ReportAllocs()
	for b.Loop() {
		for _, e := range x.do(send) {
			if e.Kind == Delivery {
				ack.Last = e.Sequence
			}
		}
		x.do(ack)
	}
}

func BenchmarkTopic(b *testing.B) {
	x := newBench(Options{})
	for i := range 10 {
		x.do(&Subscribe{Conn: 1, Ref: 1, Consumer: ConsumerID(i + 1), Destination: tt("T"), Prefetch: 1000, MayCreate: true})
	}
	m := x.message(tt("T"))
	m.Persistent = false
	send, ack := &Send{Conn: 1, Message: m}, &Ack{Conn: 1, Kind: Consumed, Single: true}
	var got []Effect
	b.ReportAllocs()
	for b.Loop() {
		got = append(got[:0], x.do(send)...)
		if len(got) != 10 {
			b.Fatalf("got %d effects, want 10 deliveries", len(got))
		}
		for i := range got {
			ack.Consumer, ack.Last = got[i].Consumer, got[i].Sequence
			x.do(ack)
		}
	}
}

func BenchmarkSelectors(b *testing.B) {
	x := newBench(Options{})
	for i := range 10 {
		x.do(&Subscribe{Conn: 1, Ref: 1, Consumer: ConsumerID(i + 1), Destination: tq("Q"), Selector: fmt.Sprintf("n = %d", i), Prefetch: 1000, MayCreate: true})
	}
	var sends [10]*Send
	for i := range sends {
		m := x.message(tq("Q")).Copy()
		m.Properties = m.Properties.With("n", int32(i))
		m.Encode()
		sends[i] = &Send{Conn: 1, Message: m}
	}
	ack := &Ack{Conn: 1, Kind: Consumed, Single: true}
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		n++
		for _, e := range x.do(sends[n%10]) {
			ack.Consumer, ack.Last = e.Consumer, e.Sequence
		}
		x.do(ack)
	}
}

// BenchmarkTransaction sends and acknowledges 100 messages in a transaction; the figures are per transaction.
func BenchmarkTransaction(b *testing.B) {
	x := newBench(Options{})
	x.do(&Subscribe{Conn: 1, Ref: 1, Consumer: 1, Destination: tq("Q"), Prefetch: 1000, MayCreate: true})
	m := x.message(tq("Q"))
	send, ack := &Send{Conn: 1, Tx: 1, Message: m}, &Ack{Conn: 1, Consumer: 1, Kind: Consumed, Single: true, Tx: 1}
	commit := &Commit{Conn: 1, Ref: 3, Tx: 1}
	var at []uint64
	b.ReportAllocs()
	for b.Loop() {
		for range 100 {
			x.do(send)
		}
		for _, s := range at {
			ack.Last = s
			x.do(ack)
		}
		at = at[:0]
		for _, e := range x.do(commit) {
			if e.Kind == Delivery {
				at = append(at, e.Sequence)
			}
		}
		if len(at) != 100 {
			b.Fatalf("got %d deliveries, want 100", len(at))
		}
	}
}

// A waiting message whose body left memory takes at most 150 bytes, whatever its size, and in a long backlog at most 40.
func TestMemoryOfWaitingMessages(t *testing.T) {
	for n, most := range map[int]float64{10_000: 150, 200_000: 40} {
		t.Run(fmt.Sprint(n), func(t *testing.T) { testMemoryOfWaiting(t, n, most) })
	}
}

func testMemoryOfWaiting(t *testing.T, n int, most float64) {
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return s.HeapAlloc
	}
	x := newBench(Options{CacheBytes: 1})
	x.do(&CreateDestination{Conn: 1, Destination: tq("Q")})
	before := heap()
	for range n {
		x.do(&Send{Conn: 1, Message: x.message(tq("Q"))})
	}
	if each := float64(heap()-before) / float64(n); each > most {
		t.Errorf("a waiting message takes %.0f bytes, want at most %.0f", each, most)
	} else {
		t.Logf("a waiting message takes %.0f bytes", each)
	}
	if q := x.b.destinations[tq("Q")].queue; q.size != n || x.b.cached != 0 {
		t.Errorf("%d messages wait, %d bytes of them in memory; want %d, 0", q.size, x.b.cached, n)
	}
	runtime.KeepAlive(x)
}

// BenchmarkCheckpoint is how long the core stands still for a checkpoint, for each message that is in no pack.
func BenchmarkCheckpoint(b *testing.B) {
	const n = 100_000
	x := newBench(Options{CacheBytes: 1, PackFrom: 1 << 30})
	x.do(&CreateDestination{Conn: 1, Destination: tq("Q")})
	for range n {
		x.do(&Send{Conn: 1, Message: x.message(tq("Q"))})
	}
	b.ResetTimer()
	for range b.N {
		if x.b.Checkpoint(nil) == nil {
			b.Fatal("no checkpoint was made")
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/message")
}
