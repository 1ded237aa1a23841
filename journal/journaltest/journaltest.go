// Package journaltest is the suite that every engine of the journal must pass: the contract of journal.Log, and, for engines on a
// vfs.FS, what must hold when the disk fails, fills up, loses power or rots.
package journaltest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/godwitmq/godwit/journal"
	"github.com/godwitmq/godwit/journal/layout"
	"github.com/godwitmq/godwit/vfs"
)

// Engine is what the suite needs to know of an engine.
type Engine struct {
	// New makes an empty store and returns how to open its log. Opening again, after Close, continues the store.
	New func(t *testing.T) (open func(journal.Notify) (journal.Log, error))
	// OnDisk opens the log on a file system: without goroutines (the log has a method Flush), with segments of about 32 KiB,
	// and a reserve of 8 KiB, all files in the directory Dir. nil leaves out the tests with faults.
	OnDisk func(fs vfs.FS, notify journal.Notify) (journal.Log, error)
	// Large is the size of the largest record that is tried, in bytes. 0 means 40 MiB.
	Large int
}

// Run runs the suite.
func Run(t *testing.T, e Engine) {
	tests := []struct {
		name string
		run  func(*testing.T, Engine)
	}{
		{"Order", testOrder},
		{"ReadFrom", testReadFrom},
		{"ReadStops", testReadStops},
		{"ReadBatches", testReadBatches},
		{"ReadAt", testReadAt},
		{"Header", testHeader},
		{"ReadAtWhileAppending", testReadAtWhileAppending},
		{"Reopen", testReopen},
		{"Trim", testTrim},
		{"LargeBatch", testLargeBatch},
		{"AllSizesInFlight", testAllSizesInFlight},
		{"EmptyBatch", testEmptyBatch},
		{"Closed", testClosed},
		{"Space", testSpace},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { tt.run(t, e) })
	}
	if e.OnDisk == nil {
		return
	}
	faults := []struct {
		name string
		run  func(*testing.T, Engine)
	}{
		{"PowerCut", testPowerCut},
		{"FailedOperation", testFailedOperation},
		{"BitFlip", testBitFlip},
		{"LostSector", testLostSector},
		{"Full", testFull},
	}
	for _, tt := range faults {
		t.Run(tt.name, func(t *testing.T) { tt.run(t, e) })
	}
}

// owner is the part of the broker: it remembers what it appended and what it was told.
type owner struct {
	t   *testing.T
	log journal.Log

	mu      sync.Mutex
	cond    *sync.Cond
	durable journal.Position
	broken  []error

	batches []appended
}

type appended struct {
	positions []journal.Position
	data      [][]byte
	epoch     uint64
}

func newOwner(t *testing.T) *owner {
	o := &owner{t: t}
	o.cond = sync.NewCond(&o.mu)
	return o
}

func (o *owner) notify() journal.Notify {
	return journal.Notify{
		Durable: func(before journal.Position) {
			o.mu.Lock()
			defer o.mu.Unlock()
			if before <= o.durable {
				o.t.Errorf("Durable(%d) after Durable(%d): must grow", before, o.durable)
			}
			if len(o.broken) > 0 {
				o.t.Errorf("Durable(%d) after Broken", before)
			}
			o.durable = before
			o.cond.Broadcast()
		},
		Broken: func(err error) {
			o.mu.Lock()
			defer o.mu.Unlock()
			o.broken = append(o.broken, err)
			o.cond.Broadcast()
		},
	}
}

// open opens the log and goes on with what was appended before.
func (o *owner) open(open func(journal.Notify) (journal.Log, error)) {
	o.t.Helper()
	o.mu.Lock()
	o.durable = 0
	o.broken = nil
	o.mu.Unlock()
	log, err := open(o.notify())
	if err != nil {
		o.t.Fatalf("open: %v", err)
	}
	o.log = log
	o.t.Cleanup(func() { log.Close() })
}

// append appends a batch of records with the given sizes. It does not wait.
func (o *owner) append(urgent bool, sizes ...int) error {
	b := new(journal.Batch)
	a := appended{epoch: o.log.Epoch()}
	for i, size := range sizes {
		data := payload(len(o.batches), i, size)
		b.Add(data[:size/2], data[size/2:])
		a.data = append(a.data, data)
	}
	if err := o.log.Append(b, urgent); err != nil {
		return err
	}
	for i := range sizes {
		a.positions = append(a.positions, b.Position(i))
	}
	o.batches = append(o.batches, a)
	return nil
}

func (o *owner) mustAppend(sizes ...int) {
	o.t.Helper()
	if err := o.append(false, sizes...); err != nil {
		o.t.Fatalf("append %d: %v", len(o.batches), err)
	}
}

// flush lets an inline log write, and waits until all appended is durable.
func (o *owner) flush() {
	o.t.Helper()
	if f, ok := o.log.(interface{ Flush() error }); ok {
		f.Flush() // an error means that it does so by itself, or it shows below
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.batches) == 0 {
		return
	}
	last := o.batches[len(o.batches)-1].last()
	for o.durable <= last && len(o.broken) == 0 {
		o.cond.Wait()
	}
	if len(o.broken) > 0 {
		o.t.Fatalf("broken: %v", o.broken[0])
	}
}

func (a appended) last() journal.Position { return a.positions[len(a.positions)-1] }

// payload is the data of a record that tells where it belongs.
func payload(batch, record, size int) []byte {
	rnd := rand.New(rand.NewPCG(uint64(batch), uint64(record)))
	data := make([]byte, size+8)
	for i := 0; i < size; i += 8 {
		binary.LittleEndian.PutUint64(data[i:], rnd.Uint64())
	}
	return data[:size]
}

// read returns all that Read delivers.
func read(log journal.Log, from journal.Position) (records []journal.Record, err error) {
	err = log.Read(from, func(r journal.Record) error {
		r.Data = bytes.Clone(r.Data)
		records = append(records, r)
		return nil
	})
	return records, err
}

// compare checks that records are those of the batches, from the first at or after `from`, whole batches only, and returns how many batches they are.
func compare(records []journal.Record, batches []appended, from journal.Position) (n int, wrong string) {
	for _, b := range batches {
		var positions []journal.Position
		for i, p := range b.positions {
			if p < from {
				continue
			}
			positions = append(positions, p)
			if len(records) == 0 {
				if len(positions) > 1 {
					return n, fmt.Sprintf("batch %d is there up to its record %d of %d", n, i, len(b.positions))
				}
				return n, ""
			}
			r := records[0]
			records = records[1:]
			if r.Position != p {
				return n, fmt.Sprintf("batch %d, record %d is at position %d, was appended at %d", n, i, r.Position, p)
			}
			if !bytes.Equal(r.Data, b.data[i]) {
				return n, fmt.Sprintf("batch %d, record %d at %d: other data (%d bytes, appended %d)", n, i, p, len(r.Data), len(b.data[i]))
			}
			if r.Epoch != b.epoch {
				return n, fmt.Sprintf("batch %d, record %d at %d is of epoch %d, was appended in %d", n, i, p, r.Epoch, b.epoch)
			}
		}
		n++
	}
	if len(records) > 0 {
		return n, fmt.Sprintf("%d records more than were appended, the first at %d", len(records), records[0].Position)
	}
	return n, ""
}

// expectAll checks that the log has all batches from `from` on.
func (o *owner) expectAll(from journal.Position) {
	o.t.Helper()
	records, err := read(o.log, from)
	if err != nil {
		o.t.Fatalf("read from %d: %v", from, err)
	}
	n, wrong := compare(records, o.batches, from)
	if wrong != "" || n != len(o.batches) {
		o.t.Fatalf("read from %d: %d of %d batches; %s", from, n, len(o.batches), wrong)
	}
}

func started(t *testing.T, e Engine) *owner {
	t.Helper()
	o := newOwner(t)
	o.open(e.New(t))
	return o
}

func testOrder(t *testing.T, e Engine) {
	o := started(t, e)
	rnd := rand.New(rand.NewPCG(1, 2))
	last := journal.Position(0)
	for range 500 {
		sizes := make([]int, 1+rnd.IntN(5))
		for i := range sizes {
			sizes[i] = rnd.IntN(2000)
		}
		o.mustAppend(sizes...)
		for _, p := range o.batches[len(o.batches)-1].positions {
			if p <= last {
				t.Fatalf("position %d after %d: must grow", p, last)
			}
			last = p
		}
	}
	o.flush()
	o.expectAll(0)
	if tail := o.log.Tail(); tail <= last {
		t.Errorf("tail is %d, last record at %d", tail, last)
	}
	if head := o.log.Head(); head > o.batches[0].positions[0] {
		t.Errorf("head is %d, first record at %d", head, o.batches[0].positions[0])
	}
}

func testReadFrom(t *testing.T, e Engine) {
	o := started(t, e)
	for range 100 {
		o.mustAppend(700, 10, 300)
	}
	o.flush()
	for _, i := range []int{0, 1, 50, 99} {
		for _, p := range o.batches[i].positions {
			o.expectAll(p)
			o.expectAll(p - 1)
			o.expectAll(p + 1)
		}
	}
	if records, err := read(o.log, o.log.Tail()); err != nil || len(records) != 0 {
		t.Errorf("read from the tail: %d records, %v; want none", len(records), err)
	}
}

func testReadStops(t *testing.T, e Engine) {
	o := started(t, e)
	for range 3000 {
		o.mustAppend(1000)
	}
	o.flush()
	enough := errors.New("enough")
	for _, stop := range []int{1, 10, 2999} {
		n := 0
		err := o.log.Read(0, func(journal.Record) error {
			if n++; n == stop {
				return enough
			}
			return nil
		})
		if err != enough || n != stop {
			t.Errorf("read stopped at %d: %d records, %v; want the callback's own error", stop, n, err)
		}
	}
}

// testReadBatches wants the batches to be what Read gives, chained to each other, and each in its place.
func testReadBatches(t *testing.T, e Engine) {
	open := e.New(t)
	o := newOwner(t)
	o.open(open)
	for i := range 200 {
		o.mustAppend(700, 10, i*100)
	}
	o.mustAppend(3 << 20) // in parts, where an engine does that
	o.flush()
	if err := o.log.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	o.open(open) // another epoch
	o.mustAppend(1, 2, 3)
	o.flush()
	for _, from := range []journal.Position{0, o.batches[7].positions[1], o.batches[200].positions[0], o.batches[201].positions[2]} {
		var want, got []string
		take := func(into *[]string) func(journal.Record) error {
			return func(r journal.Record) error {
				*into = append(*into, fmt.Sprintf("%d in %d: %x", r.Position, r.Epoch, journal.Checksum(r.Data)))
				return nil
			}
		}
		if err := o.log.Read(from, take(&want)); err != nil {
			t.Fatalf("read from %d: %v", from, err)
		}
		var link layout.Link
		var at journal.Position
		before := o.log.Tail() // an engine's own heartbeats may move it while it is read
		err := o.log.ReadBatches(from, func(batch []byte) error {
			var h layout.Header
			if wrong := h.Parse(batch); wrong != "" {
				return errors.New(wrong)
			}
			hash, wrong := h.Verify(batch)
			if wrong == "" {
				wrong = link.Check(&h)
			}
			if wrong != "" {
				return errors.New(wrong)
			}
			if at != 0 && h.Base != at || at == 0 && from != 0 && (h.Base > from || h.End() <= from) {
				return fmt.Errorf("a batch of positions %d to %d came when %d was wanted", h.Base, h.End(), max(at, from))
			}
			link.Advance(&h, hash)
			at = h.End()
			return layout.Records(&h, batch, from, take(&got))
		})
		if err != nil {
			t.Fatalf("batches from %d: %v", from, err)
		}
		if after := o.log.Tail(); at < before || at > after || !slices.Equal(got, want) {
			t.Errorf("batches from %d: %d records up to %d; read gives %d, and the tail was at %d to %d", from, len(got), at, len(want), before, after)
		}
	}
	enough := errors.New("enough")
	if err := o.log.ReadBatches(0, func([]byte) error { return enough }); err != enough {
		t.Errorf("batches stopped: %v; want the callback's own error", err)
	}
	if err := o.log.Trim(o.batches[100].positions[0]); err != nil {
		t.Fatalf("trim: %v", err)
	}
	o.flush()
	if err := o.log.ReadBatches(o.batches[1].positions[0], func([]byte) error { return nil }); !errors.Is(err, journal.ErrTrimmed) {
		t.Errorf("batches before the head: %v; want ErrTrimmed", err)
	}
}

func testReadAt(t *testing.T, e Engine) {
	o := started(t, e)
	for range 20 {
		o.mustAppend(0, 1, 500, 3000, 9000)
	}
	o.flush()
	var dst []byte
	for _, b := range o.batches {
		for i, p := range b.positions {
			var err error
			dst, err = o.log.ReadAt(p, dst)
			if err != nil || !bytes.Equal(dst, b.data[i]) {
				t.Fatalf("ReadAt(%d) = %d bytes, %v; want the %d appended", p, len(dst), err, len(b.data[i]))
			}
			small, err := o.log.ReadAt(p, nil)
			if err != nil || !bytes.Equal(small, b.data[i]) {
				t.Fatalf("ReadAt(%d, nil) = %d bytes, %v; want the %d appended", p, len(small), err, len(b.data[i]))
			}
		}
	}
	if data, err := o.log.ReadAt(o.log.Tail(), nil); err == nil {
		t.Errorf("ReadAt(tail) = %d bytes; want an error", len(data))
	}
	if data, err := o.log.ReadAt(o.log.Tail()+1<<30, nil); err == nil {
		t.Errorf("ReadAt(far beyond) = %d bytes; want an error", len(data))
	}
	if data, err := o.log.ReadAt(o.batches[3].positions[2]+1, nil); !errors.Is(err, journal.ErrCorrupt) {
		t.Errorf("ReadAt(within a record) = %d bytes, %v; want ErrCorrupt", len(data), err)
	}
}

// The headers of batches differ, are where they say, stay what they are across a start, and none is given where no batch begins.
func testHeader(t *testing.T, e Engine) {
	open := e.New(t)
	o := newOwner(t)
	o.open(open)
	for range 10 {
		o.mustAppend(1, 500)
	}
	o.flush()
	seen := map[[journal.HeaderSize]byte]bool{}
	at := func(i int) journal.Position { return o.batches[i].positions[0] - journal.HeaderSize }
	var heads [10][journal.HeaderSize]byte
	for i := range heads {
		var err error
		if heads[i], err = o.log.Header(at(i)); err != nil || seen[heads[i]] {
			t.Fatalf("Header(%d) = %x, %v; want one of its own", at(i), heads[i], err)
		}
		seen[heads[i]] = true
	}
	if head, err := o.log.Header(at(3) + 1); !errors.Is(err, journal.ErrCorrupt) {
		t.Errorf("Header(where none begins) = %x, %v; want ErrCorrupt", head, err)
	}
	if head, err := o.log.Header(o.log.Tail()); err == nil {
		t.Errorf("Header(tail) = %x; want an error", head)
	}
	if err := o.log.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	o.open(open)
	for i, want := range heads {
		if got, err := o.log.Header(at(i)); err != nil || got != want {
			t.Errorf("Header(%d) after a start = %x, %v; want %x", at(i), got, err, want)
		}
	}
}

func testReadAtWhileAppending(t *testing.T, e Engine) {
	o := started(t, e)
	o.mustAppend(1000)
	o.flush()
	first := o.batches[0]
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for {
				select {
				case <-stop:
					return
				default:
				}
				if data, err := o.log.ReadAt(first.positions[0], nil); err != nil || !bytes.Equal(data, first.data[0]) {
					t.Errorf("ReadAt(%d) = %d bytes, %v", first.positions[0], len(data), err)
					return
				}
			}
		}()
	}
	for range 2000 {
		o.mustAppend(1000)
	}
	o.flush()
	close(stop)
	wg.Wait()
}

func testReopen(t *testing.T, e Engine) {
	open := e.New(t)
	o := newOwner(t)
	epoch := uint64(0)
	for round := range 5 {
		o.open(open)
		if o.log.Epoch() <= epoch {
			t.Fatalf("epoch %d after %d: must grow", o.log.Epoch(), epoch)
		}
		epoch = o.log.Epoch()
		o.expectAll(0)
		for range 30 * round {
			o.mustAppend(100, 2000)
		}
		if round%2 == 1 {
			o.flush()
			o.expectAll(0)
		}
		if err := o.log.Close(); err != nil { // makes the rest durable
			t.Fatalf("close: %v", err)
		}
	}
	o.open(open)
	o.expectAll(0)
}

func testTrim(t *testing.T, e Engine) {
	open := e.New(t)
	o := newOwner(t)
	o.open(open)
	for round := range 4 {
		for range 300 {
			o.mustAppend(1500, 500)
		}
		o.flush()
		cut := len(o.batches) / 2
		before := o.batches[cut].positions[0]
		if err := o.log.Trim(before); err != nil {
			t.Fatalf("trim before %d: %v", before, err)
		}
		if head := o.log.Head(); head != before {
			t.Errorf("head is %d after Trim(%d)", head, before)
		}
		if err := o.log.Trim(before - 1); err != nil || o.log.Head() != before {
			t.Errorf("trim to an earlier position: %v, head %d; want nothing to happen", err, o.log.Head())
		}
		for _, p := range []journal.Position{o.batches[0].positions[0], o.batches[cut-1].last()} {
			if _, err := o.log.ReadAt(p, nil); !errors.Is(err, journal.ErrTrimmed) {
				t.Errorf("ReadAt(%d) before the head %d: %v; want ErrTrimmed", p, before, err)
			}
			if _, err := read(o.log, p); !errors.Is(err, journal.ErrTrimmed) {
				t.Errorf("Read(%d) before the head %d: %v; want ErrTrimmed", p, before, err)
			}
		}
		o.batches = o.batches[cut:]
		o.expectAllShifted(0)
		if round%2 == 1 {
			if err := o.log.Close(); err != nil {
				t.Fatalf("close: %v", err)
			}
			o.open(open)
			if head := o.log.Head(); head != before {
				t.Errorf("head is %d after reopening, was %d", head, before)
			}
			o.expectAllShifted(0)
		}
	}
	if err := o.log.Trim(o.log.Tail() + 1); err == nil {
		t.Error("trim beyond the tail: want an error")
	}
	if err := o.log.Trim(o.log.Tail()); err != nil {
		t.Errorf("trim all: %v", err)
	}
	if records, err := read(o.log, 0); err != nil || len(records) != 0 {
		t.Errorf("read after all was trimmed: %d records, %v", len(records), err)
	}
}

// expectAllShifted is expectAll where batches before the head were taken from o.batches.
func (o *owner) expectAllShifted(from journal.Position) {
	o.t.Helper()
	o.expectAll(max(from, o.log.Head()))
}

func testLargeBatch(t *testing.T, e Engine) {
	open := e.New(t)
	o := newOwner(t)
	o.open(open)
	o.mustAppend(100)
	large := e.Large
	if large == 0 {
		large = 40 << 20
	}
	o.mustAppend(large, 10)
	o.mustAppend(200)
	o.mustAppend(1<<20, 1<<20, 1<<20)
	o.flush()
	o.expectAll(0)
	if err := o.log.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	o.open(open)
	o.expectAll(0)
	o.mustAppend(300)
	o.flush()
	o.expectAll(0)
	if data, err := o.log.ReadAt(o.batches[1].positions[0], nil); err != nil || !bytes.Equal(data, o.batches[1].data[0]) {
		t.Errorf("ReadAt of a large record: %d bytes, %v", len(data), err)
	}
}

// testAllSizesInFlight appends batches from tiny to larger than any buffer of an engine without waiting, so that they are written together in every
// combination, and reads all of it back, live and after a reopen.
func testAllSizesInFlight(t *testing.T, e Engine) {
	open := e.New(t)
	o := newOwner(t)
	o.open(open)
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		size := 1 << random.IntN(19)
		o.mustAppend(size, 1+random.IntN(size))
	}
	o.flush()
	o.expectAll(0)
	if err := o.log.Close(); err != nil {
		t.Fatal(err)
	}
	o.open(open)
	o.expectAll(0)
}

func testEmptyBatch(t *testing.T, e Engine) {
	o := started(t, e)
	if err := o.log.Append(new(journal.Batch), false); err == nil {
		t.Error("append of an empty batch: want an error")
	}
}

func testClosed(t *testing.T, e Engine) {
	o := started(t, e)
	o.mustAppend(10)
	if err := o.log.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	if err := o.append(true, 10); !errors.Is(err, journal.ErrClosed) {
		t.Errorf("append after close: %v; want ErrClosed", err)
	}
	if err := o.log.Close(); !errors.Is(err, journal.ErrClosed) {
		t.Errorf("second close: %v; want ErrClosed", err)
	}
	if _, err := o.log.ReadAt(o.batches[0].positions[0], nil); !errors.Is(err, journal.ErrClosed) {
		t.Errorf("ReadAt after close: %v; want ErrClosed", err)
	}
}

func testSpace(t *testing.T, e Engine) {
	o := started(t, e)
	for range 50 {
		o.mustAppend(1000)
	}
	o.flush()
	sp := o.log.Space()
	if sp.Used <= 50_000 || sp.Free <= 0 || sp.Reserve <= 0 {
		t.Errorf("space is %+v; want all positive, more than 50000 used", sp)
	}
}
