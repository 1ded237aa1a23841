package engine_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/engine"
	"github.com/godwitmq/godwit/journal"
	"github.com/godwitmq/godwit/journal/checkpoint"
	"github.com/godwitmq/godwit/journal/segment"
	"github.com/godwitmq/godwit/vfs"
)

// openWithCheckpoints opens an engine that writes one for each 256 KiB of its log, and gives what it logs.
func openWithCheckpoints(t *testing.T, dir string) (*engine.Engine, *bytes.Buffer) {
	t.Helper()
	var said bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelInfo}))
	e, err := engine.Open(func(n journal.Notify) (journal.Log, error) {
		return segment.Open(dir, segment.Options{SegmentSize: 1 << 20, Logger: slog.New(slog.DiscardHandler)}, n)
	}, engine.Options{
		Broker: broker.Options{PackFrom: 64}, Checkpoints: &checkpoint.Store{FS: vfs.OS{}, Dir: dir}, CheckpointEvery: 256 << 10, Logger: logger,
	})
	if err != nil {
		t.Fatal(err)
	}
	return e, &said
}

// copied makes a copy of a journal as a killed process leaves it.
func copied(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		data, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if os.IsNotExist(err) {
			continue // a segment that was recycled, a checkpoint that has its name now
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(to, f.Name()), data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// A start reads what the checkpoint does not tell, after a stop and after a crash, and has all messages then.
func TestCheckpoint(t *testing.T) {
	const n = 2000
	body := strings.Repeat("x", 1000)
	dir := t.TempDir()
	e, _ := openWithCheckpoints(t, dir)
	c := connect(t, e)
	for i := range n {
		c.Submit(&broker.Send{Conn: c.ID(), Ref: 2, Message: persistent(queue("Q"), int64(i+1), fmt.Sprint(i, " ", body)), MayCreate: true})
		c.answer(2)
	}
	crashed := copied(t, dir)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	damaged := copied(t, dir)
	name := filepath.Join(damaged, checkpoint.Name)
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		dir, says string
	}{
		"stop":                 {dir, "records=0 "},
		"crash":                {crashed, "records="},
		"a damaged checkpoint": {damaged, "all of the journal is read"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			e, said := openWithCheckpoints(t, tt.dir)
			if text := said.String(); !strings.Contains(text, tt.says) || strings.Contains(text, "checkpoint=0 ") != (name == "a damaged checkpoint") {
				t.Errorf("the start says %q, want %q in it", text, tt.says)
			}
			c := connect(t, e)
			c.Submit(&broker.Subscribe{Conn: c.ID(), Ref: 3, Consumer: 1, Destination: queue("Q"), Prefetch: n})
			c.answer(3)
			for i := range n {
				c.delivery(fmt.Sprint(i, " ", body))
			}
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// What the start has not read is verified behind it.
func TestScrub(t *testing.T) {
	const n = 3000
	dir := t.TempDir()
	e, _ := openWithCheckpoints(t, dir)
	c := connect(t, e)
	for i := range n {
		c.Submit(&broker.Send{Conn: c.ID(), Ref: 2, Message: persistent(queue("Q"), int64(i+1), strings.Repeat("x", 1000)), MayCreate: true})
		c.answer(2)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	segments, err := filepath.Glob(filepath.Join(dir, "*.seg"))
	if err != nil || len(segments) < 2 {
		t.Fatalf("there are %d segments, %v; want several", len(segments), err)
	}
	data, err := os.ReadFile(segments[0])
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(segments[0], data, 0o600); err != nil {
		t.Fatal(err)
	}
	e, _ = openWithCheckpoints(t, dir)
	for deadline := time.Now().Add(30 * time.Second); !e.Damaged(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("the damage is not found")
		}
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
}
