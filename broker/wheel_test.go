package broker

import (
	"math/rand/v2"
	"runtime"
	"testing"
	"time"
)

// TestWheel compares the wheel with a list that is searched: whatever is put in and taken out, an entry comes when its time has come and not before,
// and next never lets it be missed.
func TestWheel(t *testing.T) {
	spans := []int64{1, 70, 5000, 300_000, 20_000_000, 1 << 40, wheelSpan * 3}
	for seed := range uint64(20) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		w := &wheel{}
		now := int64(1_800_000_000_000)
		if seed%2 == 0 {
			w.now = now
		}
		at := map[*entry]int64{}
		time := func(e *entry) int64 { return at[e] }
		var all []*entry
		drop := func(e *entry) {
			delete(at, e)
			for i, x := range all {
				if x == e {
					all = append(all[:i], all[i+1:]...)
					return
				}
			}
		}
		for step := range 3000 {
			switch rnd.IntN(10) {
			case 0, 1, 2, 3:
				for range 1 + rnd.IntN(4) {
					e := &entry{}
					at[e] = now + rnd.Int64N(spans[rnd.IntN(len(spans))])
					all = append(all, e)
					w.put(e, at[e])
				}
			case 4, 5:
				if len(all) > 0 {
					e := all[rnd.IntN(len(all))]
					w.remove(e)
					drop(e)
				}
			case 6:
				if step == 1500 {
					w.start(now, time)
				}
			default:
				earliest := int64(0)
				for _, e := range all {
					if earliest == 0 || at[e] < earliest {
						earliest = at[e]
					}
				}
				if next := w.next(); (next == 0) != (earliest == 0) || next > max(earliest, w.now) {
					t.Fatalf("seed %d: next is %d, the earliest entry is due at %d, now is %d", seed, next, earliest, now)
				}
				now += rnd.Int64N(spans[rnd.IntN(5)])
				budget := 1 << 30
				for e := w.due(now, &budget, time); e != nil; e = w.due(now, &budget, time) {
					if at[e] > now {
						t.Fatalf("seed %d: an entry for %d came at %d", seed, at[e], now)
					}
					drop(e)
				}
				for _, e := range all {
					if at[e] <= now {
						t.Fatalf("seed %d: at %d an entry for %d has not come", seed, now, at[e])
					}
				}
			}
			if w.size != len(all) {
				t.Fatalf("seed %d: size is %d, want %d", seed, w.size, len(all))
			}
		}
	}
}

// TestWheelBounds sees that a flood that is due at once is served in pieces, and that its memory goes.
func TestWheelBounds(t *testing.T) {
	w := &wheel{now: 1000}
	const n = 10_000
	for range n {
		w.put(&entry{}, 1_000_000)
	}
	at := func(*entry) int64 { return 1_000_000 }
	served, rounds := 0, 0
	for w.size > 0 {
		budget := 100 * fireCost
		for w.due(2_000_000, &budget, at) != nil {
			served++
		}
		rounds++
	}
	if served != n || rounds < n/100 || w.chunks != nil {
		t.Errorf("%d served in %d rounds, %d chunks left; want %d in at least %d, none left", served, rounds, len(w.chunks), n, n/100)
	}
}

// BenchmarkTimers puts timers for many messages in and takes them out again before they are due, as acknowledgements do, and lets them fall due.
// It tells the time of each and the bytes that a waiting one takes beside its entry.
func BenchmarkTimers(b *testing.B) {
	const n = 1_000_000
	const ttl = int64(time.Hour / time.Millisecond)
	entries := make([]entry, n)
	times := make([]int64, n)
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range entries {
		times[i] = 1_800_000_000_000 + ttl + rnd.Int64N(ttl)
		entries[i].stored = &stored{expiration: times[i]}
	}
	order := rnd.Perm(n)
	at := func(e *entry) int64 { return e.stored.expiration }
	b.Run("put-remove", func(b *testing.B) {
		for b.Loop() {
			w := &wheel{now: 1_800_000_000_000}
			before := heapBytes()
			for i := range entries {
				w.put(&entries[i], times[i])
			}
			b.ReportMetric(float64(heapBytes()-before)/n, "B/timer")
			for _, i := range order {
				w.remove(&entries[i])
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/timer")
	})
	b.Run("put-due", func(b *testing.B) {
		for b.Loop() {
			w := &wheel{now: 1_800_000_000_000}
			for i := range entries {
				w.put(&entries[i], times[i])
			}
			for w.size > 0 {
				budget := maxPerTick * fireCost
				for now := w.next(); w.due(now, &budget, at) != nil; {
				}
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/timer")
	})
}

func heapBytes() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
