package backup_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/godwitmq/godwit/journal"
	"github.com/godwitmq/godwit/journal/backup"
	"github.com/godwitmq/godwit/journal/segment"
	"github.com/godwitmq/godwit/vfs"
)

// made is a backup of a small log of two epochs, whose head lies within a batch, and what is in it.
func made(t testing.TB) (file []byte, want []string) {
	t.Helper()
	fs := vfs.NewMem()
	open := func() *segment.Log {
		l, err := segment.Open("j", segment.Options{FS: fs, SegmentSize: 32 << 10, Inline: true, Logger: slog.New(slog.DiscardHandler)}, journal.Notify{})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	l := open()
	var head journal.Position
	write := func(n int) {
		for i := range n {
			b := &journal.Batch{}
			b.Add(fmt.Appendf(nil, "first of %d", i))
			b.Add(bytes.Repeat([]byte{byte(i)}, i*20))
			if err := l.Append(b, true); err != nil {
				t.Fatal(err)
			}
			if i == 3 && head == 0 {
				head = b.Position(1)
			}
		}
		if err := l.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	write(8)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = open()
	write(3)
	if err := l.Trim(head); err != nil {
		t.Fatal(err)
	}
	if err := l.Flush(); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w, err := backup.NewWriter(&out, backup.Manifest{Kind: backup.Broker, Name: "orders", Made: time.Unix(1e9, 0).UTC(), Version: "v1", Head: l.Head(), Position: l.Tail(), Epoch: l.Epoch()})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.File("users", []byte("ann")); err != nil {
		t.Fatal(err)
	}
	if err := l.ReadBatches(0, w.Batch); err != nil {
		t.Fatal(err)
	}
	if _, err := w.End(); err != nil {
		t.Fatal(err)
	}
	want = append(want, "users: ann")
	err = l.Read(0, func(r journal.Record) error {
		want = append(want, told(r))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), want
}

func told(r journal.Record) string { return fmt.Sprintf("%d in %d: %x", r.Position, r.Epoch, r.Data) }

// read gives what a backup says.
func read(from io.Reader) (m backup.Manifest, got []string, end backup.End, err error) {
	r, err := backup.NewReader(from)
	if err != nil {
		return m, nil, end, err
	}
	end, err = r.Read(func(name string, content []byte) error {
		got = append(got, name+": "+string(content))
		return nil
	}, func(x journal.Record) error {
		got = append(got, told(x))
		return nil
	})
	return r.Manifest, got, end, err
}

func TestBackup(t *testing.T) {
	file, want := made(t)
	m, got, end, err := read(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	if m.Name != "orders" || m.Format != backup.Format || m.Epoch != 2 {
		t.Errorf("the manifest is %+v", m)
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") || end.Records != uint64(len(want)-1) {
		t.Errorf("%d records and files are read, the end speaks of %d records; %d were written", len(got), end.Records, len(want))
	}
	// One byte at a time is the same.
	if _, again, _, err := read(iotest.OneByteReader(bytes.NewReader(file))); err != nil || len(again) != len(got) {
		t.Errorf("byte by byte: %d records and files, %v; want %d", len(again), err, len(got))
	}
}

// Wherever a backup is cut, that is seen.
func TestCut(t *testing.T) {
	file, _ := made(t)
	for n := range len(file) {
		_, _, _, err := read(bytes.NewReader(file[:n]))
		want := backup.ErrCut
		if n < 4 {
			want = backup.ErrForeign
		}
		if !errors.Is(err, want) {
			t.Fatalf("the first %d of %d bytes give %v; want %v", n, len(file), err, want)
		}
	}
}

// Whichever byte changes, that is seen.
func TestDamage(t *testing.T) {
	file, _ := made(t)
	for i := range file {
		for _, flip := range []byte{1, 0x80} {
			bad := bytes.Clone(file)
			bad[i] ^= flip
			_, _, _, err := read(bytes.NewReader(bad))
			if !errors.Is(err, backup.ErrDamaged) && !errors.Is(err, backup.ErrCut) && !errors.Is(err, backup.ErrForeign) {
				t.Fatalf("byte %d of %d changed by %#x gives %v; want an error of a damaged, cut or foreign file", i, len(file), flip, err)
			}
		}
	}
}

func TestRefusals(t *testing.T) {
	file, _ := made(t)
	begin := func(m backup.Manifest) (*bytes.Buffer, *backup.Writer) {
		var out bytes.Buffer
		w, err := backup.NewWriter(&out, m)
		if err != nil {
			t.Fatal(err)
		}
		return &out, w
	}
	given, w := begin(backup.Manifest{Kind: backup.Broker, Head: 1, Position: 2})
	if err := w.Fail("the disk is on fire"); err != nil {
		t.Fatal(err)
	}
	short, w := begin(backup.Manifest{Kind: backup.Broker, Head: 1, Position: 2})
	if _, err := w.End(); err != nil {
		t.Fatal(err)
	}
	other, _ := begin(backup.Manifest{Kind: "mailbox"})
	manifest := []byte(`{"format":7,"kind":"broker","version":"v9"}`)
	newer := binary.LittleEndian.AppendUint32([]byte("GWB1\x01\x00\x00\x00"), uint32(len(manifest)))
	castagnoli := crc32.MakeTable(crc32.Castagnoli)
	newer = binary.LittleEndian.AppendUint32(newer, crc32.Update(crc32.Checksum(newer, castagnoli), castagnoli, manifest))
	newer = append(newer, manifest...)
	tests := map[string]struct {
		file []byte
		want error
		says string
	}{
		"nothing":             {nil, backup.ErrForeign, "begin"},
		"another file":        {[]byte("PK\x03\x04 and more of an archive"), backup.ErrForeign, "begin"},
		"a segment":           {[]byte("GWJ1 and more of a segment"), backup.ErrForeign, "begin"},
		"given up":            {given.Bytes(), backup.ErrFailed, "the disk is on fire"},
		"batches missing":     {short.Bytes(), backup.ErrDamaged, "its log ends at position 1, and should at 2"},
		"another kind":        {other.Bytes(), backup.ErrDamaged, "mailbox"},
		"a newer one":         {newer, backup.ErrForeign, "made by version v9"},
		"something behind it": {append(bytes.Clone(file), 'x'), backup.ErrDamaged, "follows its end"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, _, _, err := read(bytes.NewReader(tt.file))
			if !errors.Is(err, tt.want) || !strings.Contains(fmt.Sprint(err), tt.says) {
				t.Errorf("got %v; want %v that says %q", err, tt.want, tt.says)
			}
		})
	}
}

// FuzzRead: no input makes the reader panic, take memory that the input does not have, or tell of a file whose end proves nothing.
func FuzzRead(f *testing.F) {
	file, _ := made(f)
	f.Add(file)
	f.Add(file[:len(file)/2])
	f.Add([]byte("GWB1"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, got, end, err := read(bytes.NewReader(data))
		if err != nil {
			return
		}
		if end.Bytes > uint64(len(data)) || uint64(len(got)) < end.Records || m.Head > m.Position {
			t.Fatalf("accepted: %+v, %+v, %d things of %d bytes", m, end, len(got), len(data))
		}
	})
}
