package jetstream

import (
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
