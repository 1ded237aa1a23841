package segment

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/godwitmq/godwit/journal"
	"github.com/godwitmq/godwit/journal/layout"
	"github.com/godwitmq/godwit/vfs"
)

type kept struct {
	at   journal.Position
	data []byte
}

func small(fs vfs.FS) Options {
	return Options{FS: fs, SegmentSize: minSegment, Inline: true, Logger: quiet()}
}

// filled makes a closed log of several segments, of which the first was trimmed and used again, and returns its records.
func filled(t testing.TB, fs vfs.FS) (records []kept) {
	t.Helper()
	for round := range 2 {
		log, err := Open("j", small(fs), journal.Notify{})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 60 {
			b := new(journal.Batch)
			var data [][]byte
			for k := range 3 {
				data = append(data, bytes.Repeat([]byte(fmt.Sprintf("%d-%d-%d ", round, i, k)), 60))
				b.Add(data[k])
			}
			if err := log.Append(b, false); err != nil {
				t.Fatal(err)
			}
			if i%3 == 0 {
				if err := log.Flush(); err != nil {
					t.Fatal(err)
				}
			}
			for k := range data {
				records = append(records, kept{b.Position(k), data[k]})
			}
		}
		if err := log.Flush(); err != nil {
			t.Fatal(err)
		}
		if round == 0 {
			if err := log.Trim(records[120].at); err != nil {
				t.Fatal(err)
			}
			records = records[120:]
		}
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return records
}

func TestVerifySound(t *testing.T) {
	disk := vfs.NewMem()
	records := filled(t, disk)
	rep, err := Verify("j", small(disk))
	if err != nil || len(rep.Damages) != 0 || !rep.Clean || rep.Epoch != 2 || rep.Head != records[0].at {
		t.Fatalf("verify: %+v, %v; want no damage, closed, epoch 2, head %d", rep, err, records[0].at)
	}
	if rep.Records < uint64(len(records)) {
		t.Errorf("verify found %d records; want at least %d", rep.Records, len(records))
	}
	var text strings.Builder
	if err := Inspect("j", small(disk), &text); err != nil {
		t.Fatal(err)
	}
	if got := text.String(); !strings.Contains(got, "epoch 2") || !strings.Contains(got, ".seg") {
		t.Errorf("inspect wrote %q", got)
	}
}

func TestVerifyNothing(t *testing.T) {
	if _, err := Verify(t.TempDir(), Options{}); err == nil {
		t.Error("verify of an empty directory: want an error")
	}
}

// TestRepair damages a log, repairs it, and opens it: all records are there but those that the report gives up.
func TestRepair(t *testing.T) {
	type damage func(disk *vfs.Mem, name string, size int64)
	flip := func(off int64) damage {
		return func(disk *vfs.Mem, name string, size int64) {
			if off < size {
				disk.Flip(name, off, 3)
			}
		}
	}
	zero := func(from, length int64) damage {
		return func(disk *vfs.Mem, name string, size int64) {
			f, err := disk.Open(name)
			if err != nil {
				t.Fatal(err)
			}
			f.WriteAt(make([]byte, min(length, size-from)), from)
			f.Datasync()
		}
	}
	damages := map[string]damage{
		"file removed": func(disk *vfs.Mem, name string, _ int64) { disk.Remove(name); disk.SyncDir("j") },
		"file zeroed":  zero(0, 1<<30),
		"start zeroed": zero(0, 5000),
		"end zeroed":   zero(20000, 1<<30),
	}
	for off := int64(0); off < minSegment; off += 397 {
		damages[fmt.Sprintf("bit at %d", off)] = flip(off)
	}
	pristine := vfs.NewMem()
	records := filled(t, pristine)
	names, err := pristine.ReadDir("j")
	if err != nil {
		t.Fatal(err)
	}
	repaired := 0
	for what, do := range damages {
		for _, name := range names {
			disk := pristine.Crash(0)
			do(disk, "j/"+name, minSegment)
			fail := func(format string, args ...any) {
				t.Helper()
				t.Errorf("%s in %s: %s", what, name, fmt.Sprintf(format, args...))
			}
			got, openErr := readAll(disk)
			if openErr == nil {
				if len(got) != len(records) {
					fail("%d of %d records were read without an error", len(got), len(records))
				}
				continue
			}
			disk = pristine.Crash(0)
			do(disk, "j/"+name, minSegment)
			dry, err := Repair("j", small(disk), false, nil)
			if err != nil {
				fail("repair without apply: %v", err)
				continue
			}
			lost := map[journal.Position][]byte{}
			rep, err := Repair("j", small(disk), true, func(l Lost) { lost[l.Position] = bytes.Clone(l.Data) })
			if err != nil {
				fail("repair: %v", err)
				continue
			}
			if len(rep.Damages) == 0 || len(dry.Damages) != len(rep.Damages) {
				fail("open said %v, but repair found %d damages, %d without apply", openErr, len(rep.Damages), len(dry.Damages))
				continue
			}
			repaired++
			got, err = readAll(disk)
			if err != nil {
				fail("open after repair: %v (%v)", err, rep.Damages)
				continue
			}
			at := 0
			for _, want := range records {
				given := false
				for _, d := range rep.Damages {
					given = given || want.at >= d.From && want.at < d.To
				}
				if at < len(got) && got[at].at == want.at {
					if given || !bytes.Equal(got[at].data, want.data) {
						fail("record at %d: given up: %v, data equal: %v", want.at, given, bytes.Equal(got[at].data, want.data))
					}
					at++
					continue
				}
				if !given {
					fail("record at %d is lost, but not reported: %v", want.at, rep.Damages)
					break
				}
				if data, ok := lost[want.at]; ok && data != nil && !bytes.Equal(data, want.data) {
					fail("record at %d was made out wrongly", want.at)
				}
			}
			if at != len(got) {
				fail("%d records that were never written", len(got)-at)
			}
			if again, err := Verify("j", small(disk)); err != nil || len(again.Damages) != 0 {
				fail("verify after repair: %v, %v", again.Damages, err)
			}
			if strings.HasPrefix(what, "bit at ") && len(rep.Damages) == 1 && rep.Damages[0].FirstBatch == rep.Damages[0].LastBatch {
				readable := 0
				for _, data := range lost {
					if data != nil {
						readable++
					}
				}
				if readable > 3 {
					fail("%d readable records in one damaged batch of 3", readable)
				}
			}
		}
	}
	if repaired < 100 {
		t.Errorf("%d repairs: the damage must have missed the log", repaired)
	}
}

func readAll(disk vfs.FS) (records []kept, err error) {
	log, err := Open("j", small(disk), journal.Notify{})
	if err != nil {
		return nil, err
	}
	defer log.Close()
	err = log.Read(0, func(r journal.Record) error {
		records = append(records, kept{r.Position, bytes.Clone(r.Data)})
		return nil
	})
	return records, err
}

// TestSalvage flips a bit in one record of a batch: the others of it are handed over.
func TestSalvage(t *testing.T) {
	disk := vfs.NewMem()
	records := filled(t, disk)
	rep, err := Verify("j", small(disk))
	if err != nil {
		t.Fatal(err)
	}
	damaged := records[61] // the second of its batch
	for _, s := range rep.Segments {
		if s.Live && s.Base <= damaged.at && damaged.at < s.End {
			if err := disk.Flip(s.File, int64(damaged.at-s.Base)+20, 1); err != nil {
				t.Fatal(err)
			}
		}
	}
	got := map[journal.Position]string{}
	rep, err = Repair("j", small(disk), false, func(l Lost) { got[l.Position] = string(l.Data) })
	if err != nil || len(rep.Damages) != 1 || rep.Damages[0].FirstBatch != rep.Damages[0].LastBatch {
		t.Fatalf("repair: %v, %v; want one damage of one batch", rep.Damages, err)
	}
	want := map[journal.Position]string{records[60].at: string(records[60].data), damaged.at: "", records[62].at: string(records[62].data)}
	if len(got) != len(want) {
		t.Fatalf("%d records were handed over; want %d", len(got), len(want))
	}
	for at, data := range want {
		if got[at] != data {
			t.Errorf("record at %d: %q; want %q", at, got[at], data)
		}
	}
}

func TestLocked(t *testing.T) {
	dir := t.TempDir()
	log, err := Open(dir, Options{Logger: quiet()}, journal.Notify{})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	for name, try := range map[string]func() error{
		"open":   func() error { _, err := Open(dir, Options{}, journal.Notify{}); return err },
		"verify": func() error { _, err := Verify(dir, Options{}); return err },
	} {
		err := try()
		if err == nil || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
			t.Errorf("%s of an open log: %v; want the directory and process %d", name, err, os.Getpid())
		}
	}
	if names, err := filepath.Glob(dir + "/*.seg"); err != nil || len(names) == 0 {
		t.Errorf("segments: %v, %v", names, err)
	}
}

// TestDiskIsBounded appends without end to a log that is trimmed: the files are used again.
func TestDiskIsBounded(t *testing.T) {
	disk := vfs.NewMem()
	log, err := Open("j", small(disk), journal.Notify{})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	created := 0
	for i := range 5000 {
		b := new(journal.Batch)
		b.Add(make([]byte, 1000))
		if err := log.Append(b, false); err != nil {
			t.Fatal(err)
		}
		if err := log.Flush(); err != nil {
			t.Fatal(err)
		}
		if i%10 == 0 {
			if err := log.Trim(b.Position(0)); err != nil {
				t.Fatal(err)
			}
		}
		if i == 100 {
			created = disk.Count(vfs.OpCreate)
		}
	}
	if n := disk.Count(vfs.OpCreate); n != created {
		t.Errorf("%d files were made after the first %d; want all used again", n-created, created)
	}
	if free, _ := disk.DiskFree("j"); 1<<40-free > 4*minSegment {
		t.Errorf("space used: %+v", log.Space())
	}
}

// FuzzRecover opens a directory with one segment of arbitrary bytes: it must be refused or read, never panic, and memory stays bounded by the file.
func FuzzRecover(f *testing.F) {
	disk := vfs.NewMem()
	filled(f, disk)
	names, _ := disk.ReadDir("j")
	for _, name := range names {
		file, err := disk.Open("j/" + name)
		if err != nil {
			f.Fatal(err)
		}
		content := make([]byte, minSegment)
		file.ReadAt(content, 0)
		f.Add(content, uint16(100), byte(1), true)
		f.Add(content[:9000], uint16(32), byte(0x80), false)
	}
	f.Fuzz(func(t *testing.T, content []byte, off uint16, flip byte, reseal bool) {
		if len(content) > 4*minSegment {
			return
		}
		disk := vfs.NewMem()
		disk.MkdirAll("j")
		file, err := disk.Create("j/" + fileName(7))
		if err != nil {
			t.Fatal(err)
		}
		content = bytes.Clone(content)
		if int(off) < len(content) {
			content[off] ^= flip
		}
		if reseal {
			resealFirst(content)
		}
		file.WriteAt(content, 0)
		Verify("j", small(disk))
		Repair("j", small(disk), true, func(Lost) {})
		log, err := Open("j", small(disk), journal.Notify{})
		if err != nil {
			return
		}
		defer log.Close()
		var positions []journal.Position
		readErr := log.Read(0, func(r journal.Record) error {
			positions = append(positions, r.Position)
			return nil
		})
		for _, p := range positions {
			if _, err := log.ReadAt(p, nil); err != nil && readErr == nil {
				t.Errorf("ReadAt(%d) of a record that was read: %v", p, err)
			}
		}
	})
}

// resealFirst makes the checksum of the first batch right, so that the fuzzer gets behind it.
func resealFirst(content []byte) {
	var h layout.Header
	if h.Parse(content) == "" && h.Length >= headerSize && int64(len(content)) >= h.Stored() {
		h.Seal(content[:h.Stored()])
	}
}
