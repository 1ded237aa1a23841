package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/godwitmq/godwit/config"
	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/control/client"
	"github.com/godwitmq/godwit/message"
	"github.com/godwitmq/godwit/vfs"
)

// failing is the real file system, whose syncs of files that are in use fail while broken is set. Those of files that are still being prepared do not: that is a lack of room, for which
// senders wait, and no failure.
type failing struct {
	vfs.OS
	broken atomic.Bool
	made   sync.Map // *failingFile by the name under which it was made
}

var errDisk = errors.New("the test's disk has failed")

func (f *failing) Open(name string) (vfs.File, error) {
	file, err := f.OS.Open(name)
	if err != nil {
		return nil, err
	}
	used := &failingFile{File: file, fs: f}
	used.inUse.Store(true)
	return used, nil
}

func (f *failing) Create(name string) (vfs.File, error) {
	file, err := f.OS.Create(name)
	if err != nil {
		return nil, err
	}
	made := &failingFile{File: file, fs: f}
	f.made.Store(name, made)
	return made, nil
}

func (f *failing) Rename(from, to string) error {
	err := f.OS.Rename(from, to)
	if made, ok := f.made.Load(from); ok && err == nil {
		made.(*failingFile).inUse.Store(true)
	}
	return err
}

type failingFile struct {
	vfs.File
	fs    *failing
	inUse atomic.Bool
}

func (f *failingFile) Datasync() error {
	if f.fs.broken.Load() && f.inUse.Load() {
		return errDisk
	}
	return f.File.Datasync()
}

// TestJournalFails breaks the disk under a broker that serves: its clients are sent away, it says that it recovers, and once the disk
// is well again it serves what was acknowledged before.
func TestJournalFails(t *testing.T) {
	l, err := listenAnywhere()
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	cfg := config.Default()
	cfg.Data, cfg.HTTP.Address, cfg.Journal.SegmentSize = t.TempDir(), address, 1<<20
	cfg.Listeners = []config.Listener{{Name: "stomp", Protocol: "stomp", URL: "tcp://127.0.0.1:0"}}
	disk := &failing{}
	n, err := startOn(disk, cfg, func() (*config.Config, error) { return cfg, nil }, slog.New(slog.DiscardHandler), &slog.LevelVar{}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.stop(); err != nil {
			t.Error(err)
		}
	})
	remote, err := client.New(address, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	q := message.Destination{Kind: message.Queue, Name: "q"}
	before, after := "before", "after"
	if _, err := remote.Send(t.Context(), q, api.Send{Text: &before}); err != nil {
		t.Fatal(err)
	}
	idle, err := net.Dial("tcp", n.listeners.Load().Bound()[0].Address)
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	if _, err := idle.Write([]byte("CONNECT\naccept-version:1.2\nhost:x\n\n\x00")); err != nil {
		t.Fatal(err)
	}
	frame := make([]byte, 512)
	if k, err := idle.Read(frame); err != nil || !strings.HasPrefix(string(frame[:k]), "CONNECTED") {
		t.Fatalf("STOMP login = %q, %v", frame[:k], err)
	}

	disk.broken.Store(true)
	if _, err := remote.Send(t.Context(), q, api.Send{Text: &after}); err == nil {
		t.Error("a send was acknowledged although the disk has failed")
	}
	if err := idle.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	for err = nil; err == nil; { // an ERROR frame may come first
		_, err = idle.Read(frame)
	}
	if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
		t.Error("the STOMP client was not sent away")
	}
	disk.broken.Store(false)
	if err := awaitReady("http://" + address); err != nil {
		t.Fatal(err)
	}
	got, err := remote.Receive(context.Background(), q, api.ReceiveRequest{Max: 1})
	if err != nil || len(got.Messages) != 1 || string(got.Messages[0].Body) != `{"text":"before"}` {
		t.Errorf("after the recovery: %+v, %v; want the message from before", got, err)
	}
}
