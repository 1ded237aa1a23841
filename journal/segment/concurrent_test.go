package segment

import (
	"errors"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/godwitmq/godwit/journal"
	"github.com/godwitmq/godwit/vfs"
)

func record(size int) *journal.Batch {
	b := new(journal.Batch)
	b.Add(make([]byte, size))
	return b
}

// gated holds every sync until the gate is opened.
type gated struct {
	vfs.FS
	gate chan struct{}
}

type gatedFile struct {
	vfs.File
	gate chan struct{}
}

func (g gated) Create(name string) (vfs.File, error) {
	f, err := g.FS.Create(name)
	return gatedFile{f, g.gate}, err
}

func (f gatedFile) Datasync() error {
	<-f.gate
	return f.File.Datasync()
}

// settle waits until the janitor has nothing left to do.
func settle(log *Log) {
	log.mu.Lock()
	defer log.mu.Unlock()
	log.asked++
	for asked := log.asked; log.answered < asked; {
		log.wake()
		log.room.Wait()
	}
}

// TestMaxPending appends more than may wait while the disk stands still: Append blocks, and goes on when the disk does.
func TestMaxPending(t *testing.T) {
	gate := make(chan struct{}, 1000)
	for range 1000 { // opening and the preparation of files sync as well
		gate <- struct{}{}
	}
	log, err := Open("j", Options{FS: gated{vfs.NewMem(), gate}, SegmentSize: 1 << 20, MaxPending: 100_000, Logger: quiet()}, journal.Notify{})
	if err != nil {
		t.Fatal(err)
	}
	settle(log)
	for len(gate) > 0 {
		<-gate
	}
	appended := make(chan int, 1000)
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		for i := range 200 {
			if err := log.Append(record(1000), false); err != nil {
				t.Errorf("append %d: %v", i, err)
			}
			appended <- i
		}
	}()
	last := 0
	for last < 90 {
		last = <-appended
	}
	log.mu.Lock()
	waiting := log.waiting
	log.mu.Unlock()
	if waiting > 100_000+1100 {
		t.Errorf("%d bytes are waiting; want at most the limit and one batch", waiting)
	}
	close(gate)
	wg.Wait()
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestBrokenOnce lets a sync fail under concurrent use.
func TestBrokenOnce(t *testing.T) {
	disk := vfs.NewMem()
	broken := make(chan error, 10)
	log, err := Open("j", Options{FS: disk, SegmentSize: 1 << 20, Logger: quiet()}, journal.Notify{Broken: func(err error) { broken <- err }})
	if err != nil {
		t.Fatal(err)
	}
	segs := *log.segs.Load()
	disk.SetFault(func(op vfs.Op, name string, _ int) error {
		if op == vfs.OpSync && strings.HasPrefix(name, segs[0].name) { // a file keeps the name under which it was made
			return syscall.EIO
		}
		return nil
	})
	for err = nil; err == nil; {
		err = log.Append(record(100), false)
	}
	if !errors.Is(err, journal.ErrBroken) || !errors.Is(err, syscall.EIO) {
		t.Errorf("append: %v; want ErrBroken with its cause", err)
	}
	if err := <-broken; !errors.Is(err, journal.ErrBroken) {
		t.Errorf("Broken(%v)", err)
	}
	if err := log.Close(); !errors.Is(err, journal.ErrBroken) {
		t.Errorf("close: %v; want ErrBroken", err)
	}
	if len(broken) != 0 {
		t.Error("Broken was called twice")
	}
}

// TestFullAndBack fills a log that may not grow, from its goroutines' side: refusal, urgent records, and room again after Trim.
func TestFullAndBack(t *testing.T) {
	log, err := Open(t.TempDir(), Options{SegmentSize: minSegment, MaxBytes: 8 * minSegment, Reserve: 16 << 10, Logger: quiet()}, journal.Notify{})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	n := 0
	for err = nil; err == nil; n++ {
		err = log.Append(record(1000), false)
	}
	if !errors.Is(err, journal.ErrFull) || n < 5*minSegment/1100 {
		t.Fatalf("append %d: %v; want ErrFull after at least 5 segments", n, err)
	}
	settle(log)
	if sp := log.Space(); sp.Free > 1100 || sp.Reserve < 15<<10 || sp.Used > 8*minSegment {
		t.Errorf("space of a full log: %+v", sp)
	}
	urgent := record(1000)
	if err := log.Append(urgent, true); err != nil {
		t.Fatalf("urgent append: %v", err)
	}
	for log.Tail() <= urgent.Position(0) {
		runtime.Gosched()
	}
	if err := log.Trim(log.Tail()); err != nil {
		t.Fatal(err)
	}
	for err = journal.ErrFull; errors.Is(err, journal.ErrFull); {
		err = log.Append(record(1000), false)
	}
	if err != nil {
		t.Errorf("append after trim: %v", err)
	}
}

// TestReadWhileTrimming reads, as a whole and record by record, while files are taken away: right data or ErrTrimmed.
func TestReadWhileTrimming(t *testing.T) {
	durable := make(chan journal.Position, 1000)
	log, err := Open(t.TempDir(), Options{SegmentSize: minSegment, Logger: quiet()}, journal.Notify{Durable: func(p journal.Position) { durable <- p }})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		for {
			select {
			case <-stop:
				return
			default:
			}
			err := log.Read(0, func(r journal.Record) error {
				if _, err := log.ReadAt(r.Position, nil); err != nil {
					return err
				}
				return nil
			})
			if err != nil && !errors.Is(err, journal.ErrTrimmed) {
				t.Errorf("read: %v", err)
				return
			}
		}
	}()
	for i := range 1000 {
		b := record(2000)
		if err := log.Append(b, false); err != nil {
			t.Fatal(err)
		}
		var p journal.Position
		for p <= b.Position(0) {
			p = <-durable
		}
		if i%20 == 0 {
			if err := log.Trim(b.Position(0)); err != nil {
				t.Fatal(err)
			}
		}
	}
	close(stop)
	wg.Wait()
}

// TestLimitChanges gives a full log more, and then less than it has.
func TestLimitChanges(t *testing.T) {
	log, err := Open(t.TempDir(), Options{SegmentSize: minSegment, MaxBytes: 4 * minSegment, Logger: quiet()}, journal.Notify{})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	fill := func() (n int) {
		t.Helper()
		for {
			switch err := log.Append(record(1000), false); {
			case errors.Is(err, journal.ErrFull):
				settle(log)
				return n
			case err != nil:
				t.Fatal(err)
			}
			n++
		}
	}
	first := fill()
	log.Limit(8 * minSegment)
	settle(log)
	if n := fill(); n < first/2 {
		t.Errorf("%d records fit into 4 segments, and %d into 4 more", first, n)
	}
	log.Limit(4 * minSegment)
	settle(log)
	if n := fill(); n > 1 || log.Space().Free > 1100 {
		t.Errorf("%d records fit where there are more than may be: %+v", n, log.Space())
	}
}
