package cluster

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/godwitmq/godwit/journal/checkpoint"
)

// TestMillion measures what checkpoints cost and save a pair with many waiting messages: GODWIT_MESSAGES=1000000 go test ./cluster -run Million -v -timeout 30m.
func TestMillion(t *testing.T) {
	n, _ := strconv.Atoi(os.Getenv("GODWIT_MESSAGES"))
	if n == 0 {
		t.Skip("GODWIT_MESSAGES says how many")
	}
	p := newPair(t)
	p.every, p.pack = 0, 0 // as they are by default
	a := p.run(0)
	c := dial(t, a.current())
	b := p.run(1)
	b.is(Standby)
	begun := time.Now()
	c.send(0, n)
	t.Logf("%d messages of 1 KB were sent in %v", n, time.Since(begun).Round(time.Millisecond))
	b.wait("it is not behind", func() bool { return b.Status().Lag <= nearlyAll })
	b.stop()
	info, err := os.Stat(filepath.Join(p.dirs[1], checkpoint.Name))
	if err != nil {
		t.Fatal(err)
	}
	for name, keep := range map[string]bool{"from its checkpoint": true, "from the whole log": false} {
		if !keep {
			os.Rename(filepath.Join(p.dirs[1], checkpoint.Name), filepath.Join(p.dirs[1], "kept"))
		}
		begun := time.Now()
		b := p.run(1)
		b.is(Standby)
		t.Logf("a standby starts %s of %d bytes in %v; it reads %d records", name, info.Size(), time.Since(begun).Round(time.Millisecond), b.records())
		b.stop()
		if !keep {
			os.Rename(filepath.Join(p.dirs[1], "kept"), filepath.Join(p.dirs[1], checkpoint.Name))
		}
	}
	// How long the core stands still.
	m := New(p.options(1, a.log))
	core, f, _, _, err := m.begin(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	begun = time.Now()
	if core.Checkpoint(nil) == nil {
		t.Fatal("no checkpoint was made")
	}
	t.Logf("a checkpoint of the core takes %v", time.Since(begun))
}
