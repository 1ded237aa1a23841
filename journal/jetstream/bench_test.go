package jetstream

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/godwitmq/godwit/journal"
	"github.com/godwitmq/godwit/journal/segment"
)

// writers is how the goroutines of a benchmark append: each waits until its own record is durable.
type writers struct {
	log     journal.Log
	size    int
	mu      sync.Mutex
	cond    sync.Cond
	durable journal.Position
	batches sync.Pool
	append  sync.Mutex
	trimmed journal.Position
}

func newWriters(tb testing.TB, size int, open func(journal.Notify) (journal.Log, error)) *writers {
	w := &writers{size: size}
	w.cond.L = &w.mu
	w.batches.New = func() any { return new(journal.Batch) }
	log, err := open(journal.Notify{
		Durable: func(before journal.Position) {
			w.mu.Lock()
			w.durable = before
			w.mu.Unlock()
			w.cond.Broadcast()
		},
		Broken: func(err error) { panic(err) },
	})
	if err != nil {
		tb.Fatal(err)
	}
	w.log = log
	tb.Cleanup(func() { log.Close() })
	return w
}

// one appends a record and waits for it.
func (w *writers) one(tb testing.TB) {
	b := w.batches.Get().(*journal.Batch)
	b.Reset()
	b.Add(make([]byte, w.size))
	w.append.Lock()
	if err := w.log.Append(b, false); err != nil {
		tb.Error(err)
	}
	at := b.Position(0)
	if at > w.trimmed+512<<20 {
		w.trimmed = at - 256<<20
		if err := w.log.Trim(w.trimmed); err != nil {
			tb.Error(err)
		}
	}
	w.append.Unlock()
	w.mu.Lock()
	for w.durable <= at {
		w.cond.Wait()
	}
	w.mu.Unlock()
	w.batches.Put(b)
}

// slice is what some appends took.
type slice struct {
	wall, cpu time.Duration
	each      []time.Duration
}

func (w *writers) run(tb testing.TB, goroutines, ops int, s *slice) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	begun, used := time.Now(), processorTime()
	for i := range goroutines {
		n := ops / goroutines
		if i < ops%goroutines {
			n++
		}
		wg.Add(1)
		go func() {
			defer wg.Done()
			each := make([]time.Duration, 0, n)
			for range n {
				at := time.Now()
				w.one(tb)
				each = append(each, time.Since(at))
			}
			mu.Lock()
			s.each = append(s.each, each...)
			mu.Unlock()
		}()
	}
	wg.Wait()
	s.wall += time.Since(begun)
	s.cpu += processorTime() - used
}

func processorTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func (s *slice) quantile(q float64) time.Duration {
	slices.Sort(s.each)
	return s.each[int(float64(len(s.each)-1)*q)]
}

// BenchmarkAppend measures writers that each wait until their record is durable, on three nodes in this process and on files. The two take turns, so that the disk's
// moods fall on both. "ratio" is the rate of this log divided by that of the file engine; "cpu" is that of all three nodes.
func BenchmarkAppend(b *testing.B) {
	c := newCluster(b, nil)
	for _, tt := range []struct{ goroutines, size int }{{1, 1 << 10}, {16, 1 << 10}, {256, 1 << 10}, {1, 512 << 10}, {4, 512 << 10}} {
		b.Run(fmt.Sprintf("writers=%d/bytes=%d", tt.goroutines, tt.size), func(b *testing.B) {
			opt := options()
			ours := newWriters(b, tt.size, func(n journal.Notify) (journal.Log, error) {
				return Open(context.Background(), c.nodes[0], opt, n)
			})
			eventually(b, "the stream is led by another node", func() bool { return c.leader(opt) > 0 })
			files := newWriters(b, tt.size, func(n journal.Notify) (journal.Log, error) {
				return segment.Open(b.TempDir(), segment.Options{Logger: quiet()}, n)
			})
			var warm, log, file slice
			ours.run(b, tt.goroutines, 20*tt.goroutines, &warm)
			files.run(b, tt.goroutines, 20*tt.goroutines, &warm)
			b.ResetTimer()
			for left := b.N; left > 0; {
				n := min(left, max(tt.goroutines, 16)*20)
				ours.run(b, tt.goroutines, n, &log)
				b.StopTimer()
				files.run(b, tt.goroutines, n, &file)
				b.StartTimer()
				left -= n
			}
			b.ReportMetric(float64(b.N)/log.wall.Seconds(), "appends/s")
			b.ReportMetric(file.wall.Seconds()/log.wall.Seconds(), "ratio")
			b.ReportMetric(float64(log.quantile(.5).Microseconds()), "p50-µs")
			b.ReportMetric(float64(log.quantile(.99).Microseconds()), "p99-µs")
			b.ReportMetric(float64(file.quantile(.5).Microseconds()), "file-p50-µs")
			b.ReportMetric(log.cpu.Seconds()/float64(b.N)*1e5, "cpu-s/100k")
		})
	}
}
