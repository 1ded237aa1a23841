package vfs

import (
	"bytes"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// systems are the two implementations: what both promise is tested on both.
func systems(t *testing.T) map[string]struct {
	FS
	dir string
} {
	return map[string]struct {
		FS
		dir string
	}{
		"os":  {OS{}, filepath.ToSlash(t.TempDir())},
		"mem": {NewMem(), "."},
	}
}

func TestBothSystems(t *testing.T) {
	for name, s := range systems(t) {
		t.Run(name, func(t *testing.T) {
			dir := s.dir + "/a/b"
			check := func(what string, err error) {
				t.Helper()
				if err != nil {
					t.Fatalf("%s: %v", what, err)
				}
			}
			check("mkdir", s.MkdirAll(dir))
			check("mkdir again", s.MkdirAll(dir))
			if _, err := s.Open(dir + "/x"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("open of a missing file: %v", err)
			}
			f, err := s.Create(dir + "/x")
			check("create", err)
			_, err = f.WriteAt([]byte("hello"), 3)
			check("write", err)
			check("sync", f.Datasync())
			check("allocate", f.Allocate(100))
			if size, err := f.Size(); size != 100 || err != nil {
				t.Errorf("size after allocate is %d, %v", size, err)
			}
			check("truncate", f.Truncate(6))
			check("rename", s.Rename(dir+"/x", dir+"/y"))
			check("sync directory", s.SyncDir(dir))
			buf := make([]byte, 10)
			if n, err := f.ReadAt(buf, 0); n != 6 || err == nil || string(buf[:n]) != "\x00\x00\x00hel" {
				t.Errorf("read %q, %v", buf[:n], err)
			}
			check("close", f.Close())
			if names, err := s.ReadDir(dir); err != nil || strings.Join(names, " ") != "y" {
				t.Errorf("names are %v, %v; want y", names, err)
			}
			lock, err := s.Lock(dir + "/lock")
			check("lock", err)
			var locked *LockedError
			if _, err := s.Lock(dir + "/lock"); !errors.As(err, &locked) || locked.PID == 0 {
				t.Errorf("second lock: %v; want a LockedError with a process", err)
			}
			check("unlock", lock.Close())
			lock, err = s.Lock(dir + "/lock")
			check("lock again", err)
			check("unlock", lock.Close())
			if free, err := s.DiskFree(dir); free <= 0 || err != nil {
				t.Errorf("free is %d, %v", free, err)
			}
			check("remove", s.Remove(dir+"/y"))
			if err := s.Remove(dir + "/y"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("second remove: %v", err)
			}
		})
	}
}

// TestCrash shows what a power cut may take and what not, over many seeds: every mixture of sectors must come, and nothing else.
func TestCrash(t *testing.T) {
	m := NewMem()
	f, err := m.Create("x")
	if err != nil {
		t.Fatal(err)
	}
	write := func(b byte) {
		if _, err := f.WriteAt(bytes.Repeat([]byte{b}, 2*SectorSize), 0); err != nil {
			t.Fatal(err)
		}
	}
	write('o')
	if err := f.Datasync(); err != nil {
		t.Fatal(err)
	}
	if err := m.SyncDir("."); err != nil {
		t.Fatal(err)
	}
	write('n')
	if err := m.Rename("x", "y"); err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for seed := range uint64(200) {
		after := m.Crash(seed)
		names, err := after.ReadDir(".")
		if err != nil || len(names) != 1 {
			t.Fatalf("seed %d: names %v, %v", seed, names, err)
		}
		g, err := after.Open(names[0])
		if err != nil {
			t.Fatal(err)
		}
		content := make([]byte, 2*SectorSize)
		if _, err := g.ReadAt(content, 0); err != nil {
			t.Fatal(err)
		}
		for _, half := range [][]byte{content[:SectorSize], content[SectorSize:]} {
			if bytes.Count(half, half[:1]) != SectorSize {
				t.Fatalf("seed %d: a sector is torn", seed)
			}
		}
		seen[names[0]+string(content[0])+string(content[SectorSize])]++
	}
	for _, want := range []string{"xoo", "xon", "xno", "xnn", "yoo", "yon", "yno", "ynn"} {
		if seen[want] == 0 {
			t.Errorf("no crash left %s in 200; there were %v", want, seen)
		}
	}
	if len(seen) != 8 {
		t.Errorf("crashes left %v", seen)
	}
}

func TestFailedSync(t *testing.T) {
	m := NewMem()
	f, err := m.Create("x")
	if err != nil {
		t.Fatal(err)
	}
	if err := m.SyncDir("."); err != nil {
		t.Fatal(err)
	}
	m.SetFault(func(op Op, _ string, n int) error {
		if op == OpSync && n == 1 {
			return syscall.EIO
		}
		return nil
	})
	if _, err := f.WriteAt([]byte("lost"), 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Datasync(); !errors.Is(err, syscall.EIO) {
		t.Fatalf("sync: %v; want EIO", err)
	}
	if err := f.Datasync(); err != nil { // it claims success, as Linux does
		t.Fatalf("second sync: %v", err)
	}
	buf := make([]byte, 4)
	if _, err := f.ReadAt(buf, 0); err != nil || string(buf) != "lost" {
		t.Errorf("before the crash: %q, %v", buf, err)
	}
	g, err := m.Crash(1).Open("x")
	if err != nil {
		t.Fatal(err)
	}
	clear(buf)
	g.ReadAt(buf, 0)
	if string(buf) == "lost" {
		t.Error("data survived although only a sync that failed covered it")
	}
}

func TestCapacityAndCut(t *testing.T) {
	m := NewMem()
	m.SetCapacity(1000)
	f, err := m.Create("x")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(make([]byte, 1001), 0); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("write beyond the capacity: %v; want ENOSPC", err)
	}
	if err := f.Allocate(1000); err != nil {
		t.Errorf("allocate: %v", err)
	}
	if _, err := f.WriteAt(make([]byte, 1000), 0); err != nil {
		t.Errorf("write into what was allocated: %v", err)
	}
	m.CutPower(m.Ops() + 1)
	for range 2 {
		if err := f.Datasync(); !errors.Is(err, ErrPowerCut) {
			t.Errorf("sync: %v; want ErrPowerCut", err)
		}
	}
	if _, err := m.Open("x"); !errors.Is(err, ErrPowerCut) {
		t.Errorf("open: %v; want ErrPowerCut", err)
	}
}
