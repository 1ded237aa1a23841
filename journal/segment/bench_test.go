package segment

import (
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/godwitmq/godwit/journal"
	"github.com/godwitmq/godwit/vfs"
)

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// waiters is how the writers of a benchmark wait for durability: each for its own number.
type waiters struct {
	mu      sync.Mutex
	cond    *sync.Cond
	durable journal.Position
}

func newWaiters() *waiters {
	w := &waiters{}
	w.cond = sync.NewCond(&w.mu)
	return w
}

func (w *waiters) advance(to journal.Position) {
	w.mu.Lock()
	w.durable = to
	w.mu.Unlock()
	w.cond.Broadcast()
}

func (w *waiters) wait(at journal.Position) {
	w.mu.Lock()
	for w.durable <= at {
		w.cond.Wait()
	}
	w.mu.Unlock()
}

// rawFile is the baseline: one pre-written file, one goroutine that gathers what waits, one write and one sync for all of it. No
// framing, no checksum, no recovery.
type rawFile struct {
	file    vfs.File
	size    int64
	mu      sync.Mutex
	work    *sync.Cond
	pending []byte
	writing []byte
	next    journal.Position
	closed  bool
	done    chan struct{}
	durable func(journal.Position)
}

func newRawFile(tb testing.TB, size int64, durable func(journal.Position)) *rawFile {
	f, err := vfs.OS{}.Create(tb.TempDir() + "/raw")
	if err != nil {
		tb.Fatal(err)
	}
	zeros := make([]byte, 1<<20)
	for at := int64(0); at < size; at += int64(len(zeros)) {
		if _, err := f.WriteAt(zeros, at); err != nil {
			tb.Fatal(err)
		}
	}
	if err := f.Datasync(); err != nil {
		tb.Fatal(err)
	}
	r := &rawFile{file: f, size: size, done: make(chan struct{}), durable: durable}
	r.work = sync.NewCond(&r.mu)
	go r.run(tb)
	return r
}

func (r *rawFile) append(p []byte) journal.Position {
	r.mu.Lock()
	r.pending = append(r.pending, p...)
	at := r.next
	r.next += journal.Position(len(p))
	r.mu.Unlock()
	r.work.Signal()
	return at
}

func (r *rawFile) run(tb testing.TB) {
	defer close(r.done)
	off := int64(0)
	for {
		r.mu.Lock()
		for len(r.pending) == 0 && !r.closed {
			r.work.Wait()
		}
		if len(r.pending) == 0 {
			r.mu.Unlock()
			return
		}
		r.pending, r.writing = r.writing[:0], r.pending
		end := r.next
		r.mu.Unlock()
		if off+int64(len(r.writing)) > r.size {
			off = 0
		}
		if _, err := r.file.WriteAt(r.writing, off); err != nil {
			tb.Error(err)
			return
		}
		if err := r.file.Datasync(); err != nil {
			tb.Error(err)
			return
		}
		off += int64(len(r.writing))
		r.durable(end)
	}
}

func (r *rawFile) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.work.Signal()
	<-r.done
	r.file.Close()
}

func cpu() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// perWriter runs ops operations on a number of goroutines and returns the time and CPU they took.
func perWriter(writers, ops int, op func()) (wall, used time.Duration) {
	var wg sync.WaitGroup
	begin, beginCPU := time.Now(), cpu()
	for i := range writers {
		n := ops / writers
		if i < ops%writers {
			n++
		}
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range n {
				op()
			}
		}()
	}
	wg.Wait()
	return time.Since(begin), cpu() - beginCPU
}

// BenchmarkAppend measures writers that each wait until their record of 1 KiB is durable, beside the raw file. The two take turns in slices, so that the
// disk's moods fall on both. "ratio" is the rate of the journal divided by that of the raw file.
func BenchmarkAppend(b *testing.B) {
	for _, writers := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			data := make([]byte, 1<<10)
			w := newWaiters()
			log, err := Open(b.TempDir(), Options{Logger: quiet()}, journal.Notify{Durable: w.advance})
			if err != nil {
				b.Fatal(err)
			}
			defer log.Close()
			var mu sync.Mutex
			batches := sync.Pool{New: func() any { return new(journal.Batch) }}
			ours := func() {
				batch := batches.Get().(*journal.Batch)
				batch.Reset()
				batch.Add(data)
				mu.Lock()
				if err := log.Append(batch, false); err != nil {
					b.Error(err)
				}
				at := batch.Position(0)
				if log.cur.offset(at) < 2048 && int64(log.cur.base) > 4*log.opt.SegmentSize {
					log.Trim(log.cur.base - journal.Position(2*log.opt.SegmentSize))
				}
				mu.Unlock()
				w.wait(at)
				batches.Put(batch)
			}
			rw := newWaiters()
			raw := newRawFile(b, 64<<20, rw.advance)
			defer raw.close()
			frame := make([]byte, 1<<10)
			theirs := func() { rw.wait(raw.append(frame)) }

			perWriter(writers, 20*writers, ours)
			perWriter(writers, 20*writers, theirs)
			runtime.GC()
			b.ReportAllocs()
			b.ResetTimer()
			var wall, used, rawWall, rawUsed time.Duration
			for left := b.N; left > 0; {
				n := min(left, max(writers, 100)*10)
				t, c := perWriter(writers, n, ours)
				wall, used = wall+t, used+c
				b.StopTimer()
				t, c = perWriter(writers, n, theirs)
				rawWall, rawUsed = rawWall+t, rawUsed+c
				b.StartTimer()
				left -= n
			}
			b.ReportMetric(float64(b.N)/wall.Seconds(), "appends/s")
			b.ReportMetric(rawWall.Seconds()/wall.Seconds(), "ratio")
			b.ReportMetric(used.Seconds()/float64(b.N)*1e5, "cpu-s/100k")
			b.ReportMetric(rawUsed.Seconds()/float64(b.N)*1e5, "raw-cpu-s/100k")
		})
	}
}

// BenchmarkRead measures start-up: all records of 1 KiB, verified, from the page cache.
func BenchmarkRead(b *testing.B) {
	const records = 200_000
	dir := b.TempDir()
	log, err := Open(dir, Options{Logger: quiet()}, journal.Notify{})
	if err != nil {
		b.Fatal(err)
	}
	data := make([]byte, 1<<10)
	for range records / 100 {
		batch := new(journal.Batch)
		for range 100 {
			batch.Add(data)
		}
		if err := log.Append(batch, false); err != nil {
			b.Fatal(err)
		}
	}
	if err := log.Close(); err != nil {
		b.Fatal(err)
	}
	begin := time.Now()
	log, err = Open(dir, Options{Logger: quiet()}, journal.Notify{})
	if err != nil {
		b.Fatal(err)
	}
	open := time.Since(begin)
	defer log.Close()
	b.SetBytes(records << 10)
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		if err := log.Read(0, func(r journal.Record) error { n++; return nil }); err != nil || n != records {
			b.Fatalf("read %d records, %v; want %d", n, err, records)
		}
	}
	b.ReportMetric(float64(open.Microseconds())/1000, "open-ms")
}

func BenchmarkReadAt(b *testing.B) {
	log, err := Open(b.TempDir(), Options{Logger: quiet()}, journal.Notify{})
	if err != nil {
		b.Fatal(err)
	}
	batch := new(journal.Batch)
	for range 1000 {
		batch.Add(make([]byte, 1<<10))
	}
	if err := log.Append(batch, false); err != nil {
		b.Fatal(err)
	}
	for log.Tail() <= batch.Position(999) {
		runtime.Gosched()
	}
	defer log.Close()
	dst := make([]byte, 0, 2<<10)
	b.SetBytes(1 << 10)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if dst, err = log.ReadAt(batch.Position(i%1000), dst); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

// BenchmarkOpenEmpty measures the start of a new broker.
func BenchmarkOpenEmpty(b *testing.B) {
	for b.Loop() {
		dir := b.TempDir()
		log, err := Open(dir, Options{Logger: quiet()}, journal.Notify{})
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		log.Close()
		b.StartTimer()
	}
}
