package checkpoint_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"testing"

	"github.com/godwitmq/godwit/journal"
	"github.com/godwitmq/godwit/journal/checkpoint"
	"github.com/godwitmq/godwit/journal/segment"
	"github.com/godwitmq/godwit/vfs"
)

const dir = "j"

// log is one on a file system in memory, whose appends are durable at once.
type log struct {
	*segment.Log
	t *testing.T
}

func open(t *testing.T, fs vfs.FS) *log {
	t.Helper()
	l, err := segment.Open(dir, segment.Options{FS: fs, SegmentSize: 32 << 10, Inline: true, Logger: slog.New(slog.DiscardHandler)}, journal.Notify{})
	if err != nil {
		t.Fatal(err)
	}
	return &log{l, t}
}

// append makes a batch of one record durable and says where it is.
func (l *log) append(data string) checkpoint.Mark {
	l.t.Helper()
	b := &journal.Batch{}
	b.Add([]byte(data))
	if err := l.Append(b, true); err != nil {
		l.t.Fatal(err)
	}
	if err := l.Flush(); err != nil {
		l.t.Fatal(err)
	}
	at := b.Position(0) - journal.HeaderSize
	return checkpoint.Mark{Batch: at, Tail: at + journal.Position(b.Size())}
}

func items(all ...string) func(put func([]byte) error) error {
	return func(put func([]byte) error) error {
		for _, x := range all {
			if err := put([]byte(x)); err != nil {
				return err
			}
		}
		return nil
	}
}

func load(s *checkpoint.Store, l journal.Log) (all []string, mark checkpoint.Mark, err error) {
	mark, err = s.Load(l, func(item []byte) error {
		all = append(all, string(item))
		return nil
	})
	return all, mark, err
}

func TestSaveLoad(t *testing.T) {
	fs := vfs.NewMem()
	s := &checkpoint.Store{FS: fs, Dir: dir}
	l := open(t, fs)
	if _, _, err := load(s, l); !errors.Is(err, checkpoint.ErrNone) {
		t.Errorf("load before any was saved: %v, want ErrNone", err)
	}
	l.append("a")
	want := l.append("b")
	long := string(bytes.Repeat([]byte("x"), 3<<20))
	size, err := s.Save(l.Header, want, items("one", "", long, "two"))
	if err != nil || size < int64(len(long)) {
		t.Fatalf("save: %d bytes, %v", size, err)
	}
	l.append("c")
	got, mark, err := load(s, l)
	if err != nil || mark != want || fmt.Sprintf("%q", got) != fmt.Sprintf("%q", []string{"one", "", long, "two"}) {
		t.Errorf("load: %d items, mark %+v, %v; want 4, %+v", len(got), mark, err, want)
	}
	if err := s.Remove(); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(); err != nil {
		t.Errorf("remove once more: %v", err)
	}
	if _, _, err := load(s, l); !errors.Is(err, checkpoint.ErrNone) {
		t.Errorf("load after it was removed: %v, want ErrNone", err)
	}
}

// A checkpoint of a log that is not this one, or not any more, is none.
func TestOfAnotherLog(t *testing.T) {
	fs, other := vfs.NewMem(), vfs.NewMem()
	l := open(t, fs)
	l.append("a")
	mark := l.append("b")
	s := &checkpoint.Store{FS: fs, Dir: dir}
	if _, err := s.Save(l.Header, mark, items("x")); err != nil {
		t.Fatal(err)
	}
	tests := map[string]func(l *log){
		"shorter":              func(l *log) { l.append("a") },
		"the same length":      func(l *log) { l.append("a"); l.append("B") },
		"the same last record": func(l *log) { l.append("A"); l.append("b"); l.append("c") },
	}
	for name, fill := range tests {
		t.Run(name, func(t *testing.T) {
			other = vfs.NewMem()
			o := open(t, other)
			fill(o)
			if got, _, err := load(&checkpoint.Store{FS: fs, Dir: dir}, o); !errors.Is(err, checkpoint.ErrNone) || len(got) > 0 {
				t.Errorf("load gave %q, %v; want nothing and ErrNone", got, err)
			}
		})
	}
	t.Run("trimmed beyond it", func(t *testing.T) {
		at := l.append("c").Tail
		for range 40 {
			at = l.append(string(make([]byte, 2<<10))).Tail
		}
		if err := l.Trim(at - 100); err != nil {
			t.Fatal(err)
		}
		if got, _, err := load(s, l); !errors.Is(err, checkpoint.ErrNone) || len(got) > 0 {
			t.Errorf("load gave %q, %v; want nothing and ErrNone", got, err)
		}
	})
}

// Each wrong byte is found, and each cut; what was there before is not mistaken for it.
func TestDamage(t *testing.T) {
	fs := vfs.NewMem()
	l := open(t, fs)
	s := &checkpoint.Store{FS: fs, Dir: dir}
	if _, err := s.Save(l.Header, l.append("a"), items("one", "two")); err != nil {
		t.Fatal(err)
	}
	f, err := fs.Open(dir + "/" + checkpoint.Name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		t.Fatal(err)
	}
	whole := make([]byte, size)
	if _, err := f.ReadAt(whole, 0); err != nil {
		t.Fatal(err)
	}
	for i := range whole {
		flipped := bytes.Clone(whole)
		flipped[i] ^= 0x10
		if _, err := f.WriteAt(flipped, 0); err != nil {
			t.Fatal(err)
		}
		if _, _, err := load(s, l); !errors.Is(err, checkpoint.ErrNone) {
			t.Errorf("byte %d is wrong: load says %v, want ErrNone", i, err)
		}
	}
	if _, err := f.WriteAt(whole, 0); err != nil {
		t.Fatal(err)
	}
	for n := int64(0); n < size; n++ {
		if n == size-int64(len("two"))-8 || n == size-int64(len("two"))-8-int64(len("one"))-8 {
			continue // between items: whoever takes them sees that the last is missing
		}
		if err := f.Truncate(n); err != nil {
			t.Fatal(err)
		}
		if _, _, err := load(s, l); !errors.Is(err, checkpoint.ErrNone) {
			t.Errorf("cut to %d bytes: load says %v, want ErrNone", n, err)
		}
		if err := f.Truncate(size); err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt(whole, 0); err != nil {
			t.Fatal(err)
		}
	}
}

// Whatever fails while one is written, the one before is still there.
func TestFailedSave(t *testing.T) {
	for n := 1; ; n++ {
		fs := vfs.NewMem()
		l := open(t, fs)
		s := &checkpoint.Store{FS: fs, Dir: dir}
		first := l.append("a")
		if _, err := s.Save(l.Header, first, items("old")); err != nil {
			t.Fatal(err)
		}
		second := l.append("b")
		fs.CutPower(fs.Ops() + n)
		_, err := s.Save(l.Header, second, items("new", "new"))
		done := err == nil
		fs = fs.Crash(uint64(n))
		l = open(t, fs)
		s = &checkpoint.Store{FS: fs, Dir: dir}
		got, mark, lerr := load(s, l)
		text := fmt.Sprint(got)
		if lerr != nil || !(mark == first && text == "[old]" && !done || mark == second && text == "[new new]") {
			t.Errorf("the power is cut at operation %d of a save (%v): load gives %v up to %d, %v", n, err, got, mark.Tail, lerr)
		}
		if done {
			return
		}
	}
}
