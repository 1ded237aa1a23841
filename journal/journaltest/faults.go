package journaltest

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"syscall"
	"testing"

	"github.com/godwitmq/godwit/journal"
	"github.com/godwitmq/godwit/vfs"
)

// Dir is where Engine.OnDisk keeps its files.
const Dir = "journal"

type flusher interface{ Flush() error }

// life is one owner's doings on a disk, always the same for the same seed: appends in groups, flushes, trims, reopenings.
type life struct {
	*owner
	e     Engine
	disk  *vfs.Mem
	rnd   *rand.Rand
	head  journal.Position // the last trim
	steps int
}

func newLife(t *testing.T, e Engine, disk *vfs.Mem, seed uint64) *life {
	return &life{owner: newOwner(t), e: e, disk: disk, rnd: rand.New(rand.NewPCG(seed, 7))}
}

func (l *life) reopen() error {
	l.mu.Lock()
	l.durable = 0 // of this opening
	l.broken = nil
	l.mu.Unlock()
	log, err := l.e.OnDisk(l.disk, l.notify())
	if err != nil {
		return err
	}
	l.log = log
	return nil
}

// known is up to where the owner was told that all is durable, over all openings.
type promise struct{ before journal.Position }

// live goes on for a number of steps or until an error, and returns what is certainly durable.
func (l *life) live(steps int, p *promise) error {
	for range steps {
		l.steps++
		for range 1 + l.rnd.IntN(4) {
			sizes := make([]int, 1+l.rnd.IntN(4))
			for i := range sizes {
				sizes[i] = l.rnd.IntN(1 << l.rnd.IntN(13))
			}
			if err := l.append(false, sizes...); err != nil {
				return err
			}
		}
		err := l.log.(flusher).Flush()
		l.mu.Lock()
		p.before = max(p.before, l.durable)
		l.mu.Unlock()
		if err != nil {
			return err
		}
		if l.steps%7 == 0 {
			at := l.batches[len(l.batches)*2/3].positions[0]
			if at > l.head {
				if err := l.log.Trim(at); err != nil {
					return err
				}
				l.head = at
			}
		}
		if l.steps%11 == 0 {
			if err := l.log.Close(); err != nil {
				return err
			}
			if err := l.reopen(); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkRecovered compares a log with what was appended and promised, and makes what it has the new history.
func (l *life) checkRecovered(p promise) (wrong string) {
	head := l.log.Head()
	for _, b := range l.batches {
		if head > l.head && b.last() >= l.head && b.positions[0] < head {
			return fmt.Sprintf("head is %d, was only trimmed before %d", head, l.head)
		}
	}
	records, err := read(l.log, 0)
	if err != nil {
		return fmt.Sprintf("read: %v", err)
	}
	n, wrong := compare(records, l.batches, head)
	if wrong != "" {
		return wrong
	}
	if n < len(l.batches) && l.batches[n].positions[0] < p.before {
		return fmt.Sprintf("%d of %d batches; all before %d were reported durable, and the next was at %d", n, len(l.batches), p.before, l.batches[n].positions[0])
	}
	l.batches = l.batches[:n]
	for _, b := range l.batches {
		for i, at := range b.positions {
			if at < head {
				continue
			}
			if data, err := l.log.ReadAt(at, nil); err != nil || !bytes.Equal(data, b.data[i]) {
				return fmt.Sprintf("ReadAt(%d) = %d bytes, %v; want %d", at, len(data), err, len(b.data[i]))
			}
		}
	}
	return ""
}

// testPowerCut cuts the power during every operation of a life, keeps a random part of what was not synced, recovers, lives on, and is
// cut again while it recovers.
func testPowerCut(t *testing.T, e Engine) {
	const steps = 66
	whole := newLife(t, e, vfs.NewMem(), 1)
	if err := whole.reopen(); err != nil {
		t.Fatal(err)
	}
	if err := whole.live(steps, &promise{}); err != nil {
		t.Fatal(err)
	}
	ops := whole.disk.Ops()
	if ops < 100 {
		t.Fatalf("%d operations in %d steps: the life is too short to prove anything", ops, steps)
	}
	for cut := 1; cut <= ops; cut++ {
		for seed := range uint64(3) {
			fail := func(format string, args ...any) {
				t.Fatalf("power cut at operation %d of %d, seed %d: %s", cut, ops, seed, fmt.Sprintf(format, args...))
			}
			l := newLife(t, e, vfs.NewMem(), 1)
			var p promise
			l.disk.CutPower(cut)
			err := l.reopen()
			if err == nil {
				err = l.live(steps, &p)
			}
			if err == nil {
				fail("nothing noticed it")
			}
			// The recovery is cut as well, at some operation, and then succeeds.
			l.disk = l.disk.Crash(seed)
			l.disk.CutPower(1 + int(seed)*3 + cut%5)
			if l.reopen() == nil {
				l.log.(flusher).Flush()
			}
			l.disk = l.disk.Crash(seed + 100)
			if err := l.reopen(); err != nil {
				fail("open: %v", err)
			}
			if wrong := l.checkRecovered(p); wrong != "" {
				fail("%s", wrong)
			}
			if err := l.live(3, &p); err != nil {
				fail("after recovery: %v", err)
			}
			l.disk = l.disk.Crash(seed + 200)
			if err := l.reopen(); err != nil {
				fail("open again: %v", err)
			}
			if wrong := l.checkRecovered(p); wrong != "" {
				fail("again: %s", wrong)
			}
		}
	}
}

// testFailedOperation lets the n-th write, sync and so on fail, for every n. The log either goes on or is broken for good; recovery has all that was
// durable, and what it shows stays, whatever the system's cache pretends after a failed sync.
func testFailedOperation(t *testing.T, e Engine) {
	const steps = 66
	whole := newLife(t, e, vfs.NewMem(), 2)
	if err := whole.reopen(); err != nil {
		t.Fatal(err)
	}
	if err := whole.live(steps, &promise{}); err != nil {
		t.Fatal(err)
	}
	for _, op := range []vfs.Op{vfs.OpWrite, vfs.OpSync, vfs.OpCreate, vfs.OpRename, vfs.OpRemove, vfs.OpSyncDir} {
		total := whole.disk.Count(op)
		if total == 0 && op != vfs.OpRemove {
			t.Errorf("no %s in a whole life", op)
		}
		for n := 1; n <= total; n++ {
			for _, cause := range []error{syscall.EIO, syscall.ENOSPC} {
				fail := func(format string, args ...any) {
					t.Fatalf("%v at %s %d of %d: %s", cause, op, n, total, fmt.Sprintf(format, args...))
				}
				l := newLife(t, e, vfs.NewMem(), 2)
				var p promise
				l.disk.SetFault(func(o vfs.Op, _ string, i int) error {
					if o == op && i == n {
						return cause
					}
					return nil
				})
				err := l.reopen()
				if err == nil {
					if err = l.live(steps, &p); err != nil {
						if !errors.Is(err, journal.ErrBroken) && !errors.Is(err, journal.ErrFull) && !errors.Is(err, cause) {
							fail("%v; want ErrBroken", err)
						}
						if errors.Is(err, journal.ErrBroken) {
							if len(l.broken) != 1 {
								fail("Broken was called %d times", len(l.broken))
							}
							if err := l.append(true, 1); !errors.Is(err, journal.ErrBroken) {
								fail("append to the broken log: %v", err)
							}
							if err := l.log.(flusher).Flush(); !errors.Is(err, journal.ErrBroken) {
								fail("flush of the broken log: %v", err)
							}
							if err := l.log.Trim(l.log.Tail()); !errors.Is(err, journal.ErrBroken) {
								fail("trim of the broken log: %v", err)
							}
						}
						l.log.Close()
					} else if err := l.log.Close(); err != nil {
						fail("close: %v", err)
					}
				}
				l.disk.SetFault(nil)
				if err := l.reopen(); err != nil {
					fail("open after it: %v", err)
				}
				if wrong := l.checkRecovered(p); wrong != "" {
					fail("%s", wrong)
				}
				// What was shown once is durable now.
				p.before = max(p.before, l.log.Tail())
				l.disk = l.disk.Crash(uint64(n))
				if err := l.reopen(); err != nil {
					fail("open after a power cut: %v", err)
				}
				if wrong := l.checkRecovered(p); wrong != "" {
					fail("after a power cut: %s", wrong)
				}
			}
		}
	}
}

// testBitFlip turns single bits over in files of a closed log. What is then read is either right or an error that names a file and an offset.
func testBitFlip(t *testing.T, e Engine) {
	l := newLife(t, e, vfs.NewMem(), 3)
	if err := l.reopen(); err != nil {
		t.Fatal(err)
	}
	for range 40 {
		if err := l.append(false, 300, 0, 1200); err != nil {
			t.Fatal(err)
		}
		if err := l.log.(flusher).Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.log.Close(); err != nil {
		t.Fatal(err)
	}
	names, err := l.disk.ReadDir(Dir)
	if err != nil {
		t.Fatal(err)
	}
	detected, harmless := 0, 0
	pristine := l.disk.Crash(0) // all is synced, so chance has no part in it
	for _, name := range names {
		name = path.Join(Dir, name)
		f, err := l.disk.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		size, err := f.Size()
		if err != nil {
			t.Fatal(err)
		}
		for off := int64(0); off < size; off += 1 + off%41 {
			bit := uint(off % 8)
			l.disk = pristine.Crash(0)
			if err := l.disk.Flip(name, off, bit); err != nil {
				t.Fatal(err)
			}
			found := func(err error) bool {
				if err == nil {
					return false
				}
				var damage *journal.CorruptError
				if !errors.As(err, &damage) || damage.File == "" || damage.Offset < 0 {
					t.Fatalf("bit %d of %s at %d flipped: %v; want a CorruptError with file and offset", bit, name, off, err)
				}
				return true
			}
			err := l.reopen()
			if !found(err) {
				records, err := read(l.log, 0)
				if n, wrong := compare(records, l.batches, 0); !found(err) && (wrong != "" || n != len(l.batches)) {
					t.Fatalf("bit %d of %s at %d flipped: %d of %d batches were read without an error; %s", bit, name, off, n, len(l.batches), wrong)
				} else if wrong != "" {
					t.Fatalf("bit %d of %s at %d flipped: before the error came: %s", bit, name, off, wrong)
				}
				if err == nil {
					harmless++
				} else {
					detected++
				}
				for _, b := range l.batches[:3] {
					data, err := l.log.ReadAt(b.positions[2], nil)
					if !found(err) && !bytes.Equal(data, b.data[2]) {
						t.Fatalf("bit %d of %s at %d flipped: ReadAt(%d) served other data", bit, name, off, b.positions[2])
					}
				}
				l.log.Close()
			} else {
				detected++
			}
		}
	}
	if detected < 1000 {
		t.Errorf("%d flips were detected, %d made no difference: the log must have been larger", detected, harmless)
	}
}

// testLostSector lets single sectors be zeros, as a write leaves them that the disk has acknowledged and forgotten.
func testLostSector(t *testing.T, e Engine) {
	l := newLife(t, e, vfs.NewMem(), 3)
	if err := l.reopen(); err != nil {
		t.Fatal(err)
	}
	for range 40 {
		if err := l.append(false, 300, 1200, 1); err != nil {
			t.Fatal(err)
		}
		if err := l.log.(flusher).Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.log.Close(); err != nil {
		t.Fatal(err)
	}
	names, err := l.disk.ReadDir(Dir)
	if err != nil {
		t.Fatal(err)
	}
	pristine := l.disk.Crash(0)
	detected := 0
	for _, name := range names {
		for off := int64(0); ; off += vfs.SectorSize {
			l.disk = pristine.Crash(0)
			f, err := l.disk.Open(path.Join(Dir, name))
			if err != nil {
				t.Fatal(err)
			}
			if size, err := f.Size(); err != nil || off >= size {
				break
			}
			if _, err := f.WriteAt(make([]byte, vfs.SectorSize), off); err != nil {
				t.Fatal(err)
			}
			err = l.reopen()
			if errors.Is(err, journal.ErrCorrupt) {
				detected++
				continue
			}
			if err != nil {
				t.Fatalf("sector at %d of %s lost: %v; want ErrCorrupt or nothing", off, name, err)
			}
			for _, b := range l.batches {
				for i, p := range b.positions {
					data, err := l.log.ReadAt(p, nil)
					if err == nil && !bytes.Equal(data, b.data[i]) {
						t.Fatalf("sector at %d of %s lost: ReadAt(%d) served %d wrong bytes", off, name, p, len(data))
					}
					if err != nil && !errors.Is(err, journal.ErrCorrupt) {
						t.Fatalf("sector at %d of %s lost: ReadAt(%d): %v", off, name, p, err)
					}
				}
			}
			records, err := read(l.log, 0)
			if n, wrong := compare(records, l.batches, 0); wrong != "" || err == nil && n != len(l.batches) {
				t.Fatalf("sector at %d of %s lost: %d of %d batches, %v; %s", off, name, n, len(l.batches), err, wrong)
			}
			if err != nil {
				detected++
			}
			l.log.Close()
		}
	}
	if detected < 100 {
		t.Errorf("%d lost sectors were detected; want at least 100", detected)
	}
}

// testFull fills the disk. Urgent appends go on into the reserve; when there is room again, so do the others.
func testFull(t *testing.T, e Engine) {
	tests := map[string]func(l *life){
		"trim": func(l *life) {
			if err := l.log.Trim(l.log.Tail()); err != nil {
				t.Fatalf("trim: %v", err)
			}
		},
		"more disk":  func(l *life) { l.disk.SetCapacity(1 << 20) },
		"error gone": func(l *life) { l.disk.SetFault(nil) },
	}
	for name, relieve := range tests {
		t.Run(name, func(t *testing.T) {
			l := newLife(t, e, vfs.NewMem(), 4)
			if name == "error gone" { // the file system has less than it says
				l.disk.SetFault(func(op vfs.Op, _ string, n int) error {
					if op == vfs.OpCreate && n > 4 {
						return syscall.ENOSPC
					}
					return nil
				})
			} else {
				l.disk.SetCapacity(300 << 10)
			}
			if err := l.reopen(); err != nil {
				t.Fatal(err)
			}
			flush := func() {
				t.Helper()
				if err := l.log.(flusher).Flush(); err != nil {
					t.Fatalf("flush: %v", err)
				}
			}
			var err error
			for err == nil && len(l.batches) < 10_000 {
				err = l.append(false, 900)
				if err == nil {
					flush()
				}
			}
			if !errors.Is(err, journal.ErrFull) {
				t.Fatalf("append %d to a full disk: %v; want ErrFull", len(l.batches), err)
			}
			if sp := l.log.Space(); name != "error gone" && (sp.Free >= 1000 || sp.Reserve < 8<<10) {
				t.Errorf("space of a full log is %+v; want less than 1000 free, 8 KiB in reserve", sp)
			}
			for i := range 50 {
				if err := l.append(true, 100); err != nil {
					t.Fatalf("urgent append %d: %v", i, err)
				}
				flush()
			}
			if err := l.append(false, 900); !errors.Is(err, journal.ErrFull) {
				t.Errorf("append after the urgent ones: %v; want ErrFull", err)
			}
			err = nil
			for err == nil && len(l.batches) < 10_000 {
				err = l.append(true, 900)
				if err == nil {
					flush()
				}
			}
			if !errors.Is(err, journal.ErrFull) {
				t.Fatalf("urgent append beyond the reserve: %v; want ErrFull", err)
			}
			relieve(l)
			flush()
			if err := l.append(false, 900); err != nil {
				t.Fatalf("append when there is room again: %v", err)
			}
			flush()
			last := l.batches[len(l.batches)-1]
			if data, err := l.log.ReadAt(last.positions[0], nil); err != nil || !bytes.Equal(data, last.data[0]) {
				t.Errorf("ReadAt(%d) = %d bytes, %v", last.positions[0], len(data), err)
			}
			if err := l.log.Close(); err != nil {
				t.Fatalf("close: %v", err)
			}
			if err := l.reopen(); err != nil {
				t.Fatalf("open: %v", err)
			}
		})
	}
}
