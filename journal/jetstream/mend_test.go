package jetstream

import (
	"bytes"
	"encoding/binary"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestDamagedNumber damages the number of a record, bit by bit, in the block that a node reads at its start. It starts, and all is read through it.
func TestDamagedNumber(t *testing.T) {
	c := newCluster(t, nil)
	opt := options()
	warned := &counter{}
	opt.Logger = slog.New(warned)
	o := open(t, c.nodes[0], opt)
	for range 5 {
		o.must(20)
	}
	if err := o.log.Close(); err != nil {
		t.Fatal(err)
	}
	for i := range c.nodes {
		c.stop(i)
	}
	damaged := 0
	err := filepath.WalkDir(c.opts[1].Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != blockSuffix || strings.Contains(path, "$SYS") {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for at, n := 0, 0; at+recordHeader <= len(content); n++ {
			length := int(binary.LittleEndian.Uint32(content[at:]) &^ hasHeaders)
			if length < recordHeader {
				break
			}
			if bit := 25 + n; n > 0 && bit < 60 { // the first of a block is checked by the server
				content[at+4+bit/8] ^= 1 << (bit % 8)
				damaged++
			}
			at += length
		}
		return os.WriteFile(path, content, 0o600)
	})
	if err != nil || damaged < 3 {
		t.Fatalf("%d records were damaged: %v", damaged, err)
	}
	begun := time.Now()
	for i := range c.nodes {
		c.start(i)
	}
	t.Logf("%d damaged numbers, started after %v", damaged, time.Since(begun))
	through := open(t, c.nodes[1], opt)
	var seen []kept
	if err := through.log.Read(0, collect(&seen)); err != nil {
		t.Fatal(err)
	}
	same(t, "read through a damaged node", seen, o.appended)
	through.must(10)
}

// FuzzMend looks through anything. It ends, changes nothing but numbers, finds nothing more at a second look, and leaves no number that would keep the server busy.
func FuzzMend(f *testing.F) {
	record := func(number uint64, content int) []byte {
		b := make([]byte, recordHeader+content+8)
		binary.LittleEndian.PutUint32(b, uint32(len(b)))
		binary.LittleEndian.PutUint64(b[4:], number)
		return b
	}
	f.Add([]byte{})
	f.Add(append(append(record(1, 10), record(1<<40, 100)...), record(3, 0)...))
	f.Add(append(append(record(7, 0), record(8|isErased, 0)...), record(1<<50|isTombstone, 0)...))
	f.Add(append(record(1, 0), 0xff, 0xff, 0xff, 0xff))
	log := slog.New(slog.DiscardHandler)
	f.Fuzz(func(t *testing.T, content []byte) {
		path := filepath.Join(t.TempDir(), "1"+blockSuffix)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		look := func() []byte {
			if err := mendBlock(path, int64(len(content)), log); err != nil {
				t.Fatal(err)
			}
			after, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			return after
		}
		mended := look()
		if again := look(); !bytes.Equal(mended, again) || len(mended) != len(content) {
			t.Fatalf("a second look makes % x of % x", again, mended)
		}
		last := uint64(0)
		for at := 0; at+recordHeader <= len(mended); {
			length := int(binary.LittleEndian.Uint32(mended[at:]) &^ hasHeaders)
			if length < recordHeader || length > recordMost {
				break
			}
			if number := binary.LittleEndian.Uint64(mended[at+4:]); number&isTombstone == 0 {
				number &^= isErased
				if last > 0 && number > last && number-last > mostMissing {
					t.Fatalf("the record at %d has number %d, after %d", at, number, last)
				}
				last = max(last, number)
			}
			at += length
		}
	})
}
