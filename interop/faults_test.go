package interop

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/godwitmq/godwit/codec/stomp"
)

// TestKilledUnderLoad kills the broker again and again while STOMP clients send with receipts and consume with acknowledgements: what had its
// receipt arrives, and nothing arrives a second time without being marked as redelivered.
func TestKilledUnderLoad(t *testing.T) {
	b := startOwn(t, "", brokerOptions{})
	const producers = 3
	var (
		all                sync.WaitGroup
		stopped, drained   atomic.Bool
		confirmed, arrived sync.Map // body -> true
		count, doubled     atomic.Int64
	)
	for p := range producers {
		all.Go(func() {
			for n := 0; !stopped.Load(); {
				c, err := connectStomp(b.stomp)
				if err != nil {
					continue
				}
				for !stopped.Load() {
					n++
					body := fmt.Sprint(p, "-", n)
					if c.ask(stomp.Send, body, "destination", "/queue/killed", "persistent", "true") != nil {
						break // without receipt: it may be there or not
					}
					confirmed.Store(body, true)
					count.Add(1)
				}
				c.conn.Close()
			}
		})
	}
	var consumer sync.WaitGroup
	consumer.Go(func() {
		for !drained.Load() {
			c, err := connectStomp(b.stomp)
			if err != nil {
				continue
			}
			if c.write(stomp.Subscribe, "", "id", "1", "destination", "/queue/killed", "ack", "client", "activemq.prefetchSize", "100") != nil {
				continue
			}
			for {
				f, err := c.next()
				if err != nil {
					break
				}
				if string(f.Body) == "the end" {
					drained.Store(true)
					break
				}
				if _, twice := arrived.LoadOrStore(string(f.Body), true); twice && f.Headers.Value("redelivered") != "true" {
					doubled.Add(1)
				}
				if c.write(stomp.Ack, "", "id", f.Headers.Value("ack")) != nil {
					break
				}
			}
			c.conn.Close()
		}
	})
	for range kills {
		reached := count.Load() + 200
		eventually(t, "no load", func() bool { return count.Load() >= reached })
		b.kill(t)
		b.start(t)
	}
	stopped.Store(true)
	all.Wait()
	c := loginStomp(t, b)
	c.must(t, stomp.Send, "the end", "destination", "/queue/killed", "persistent", "true", "priority", "0")
	consumer.Wait()
	lost := 0
	confirmed.Range(func(body, _ any) bool {
		if _, ok := arrived.Load(body); !ok {
			lost++
			if lost < 10 {
				t.Errorf("message %v had its receipt and has not arrived", body)
			}
		}
		return true
	})
	t.Logf("%d messages had their receipt; %d are lost, %d came twice without being marked", count.Load(), lost, doubled.Load())
	if doubled.Load() > 0 {
		t.Errorf("%d messages came twice without being marked as redelivered", doubled.Load())
	}
}

// TestJournalFull fills the space that the journal may take: sends are refused and say why, acknowledgements work, and sends do again once there is
// room, without anybody's help.
func TestJournalFull(t *testing.T) {
	b := startOwn(t, "journal:\n  segmentSize: 1 MiB\n  maxSize: 16 MiB\nflow:\n  wait: 0s\n", brokerOptions{})
	c := loginStomp(t, b)
	body := strings.Repeat("x", 10<<10)
	send := func() error {
		return c.ask(stomp.Send, body, "destination", "/queue/full", "persistent", "true")
	}
	sent := 0
	var err error
	for ; sent < 4000; sent++ {
		if err = send(); err != nil {
			break
		}
	}
	if err == nil || !strings.Contains(err.Error(), "no room") {
		t.Fatalf("after %d messages: %v; want a refusal that says why", sent, err)
	}
	b.stop(t)
	b.start(t) // a full disk is no reason not to start
	c = loginStomp(t, b)
	if err := send(); err == nil {
		t.Error("after a restart it takes messages although it is full")
	}
	reader := loginStomp(t, b)
	if err := reader.write(stomp.Subscribe, "", "id", "1", "destination", "/queue/full", "ack", "client-individual", "activemq.prefetchSize", "10"); err != nil {
		t.Fatal(err)
	}
	for n := range sent {
		f := reader.message(t)
		if string(f.Body) != body {
			t.Fatalf("message %d has %d bytes", n, len(f.Body))
		}
		if err := reader.write(stomp.Ack, "", "id", f.Headers.Value("ack")); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "it takes no messages although it is empty", func() bool { return send() == nil })
	t.Logf("%d messages of 10 KiB fit into 16 MiB", sent)
}

// TestDiskFull is the same on a file system that somebody else fills.
func TestDiskFull(t *testing.T) {
	b := startOwn(t, "journal: {segmentSize: 1 MiB}\nflow: {wait: 0s}\n", brokerOptions{disk: "24m"})
	c := loginStomp(t, b)
	body := strings.Repeat("x", 10<<10)
	send := func() error {
		return c.ask(stomp.Send, body, "destination", "/queue/full", "persistent", "true")
	}
	sent := 0
	fill := func() {
		t.Helper()
		var err error
		for ; sent < 4000; sent++ {
			if err = send(); err != nil {
				break
			}
		}
		if err == nil || !strings.Contains(err.Error(), "no room") {
			t.Fatalf("after %d messages: %v; want a refusal that says why", sent, err)
		}
	}
	reader := loginStomp(t, b)
	take := func(n int) {
		t.Helper()
		if err := reader.write(stomp.Subscribe, "", "id", "1", "destination", "/queue/full", "ack", "client-individual", "activemq.prefetchSize", "1"); err != nil {
			t.Fatal(err)
		}
		for range n {
			f := reader.message(t)
			if string(f.Body) != body {
				t.Fatalf("a message has %d bytes", len(f.Body))
			}
			if err := reader.ask(stomp.Ack, "", "id", f.Headers.Value("ack")); err != nil {
				t.Fatalf("an acknowledgement on a full disk: %v", err)
			}
		}
		if err := reader.ask(stomp.Unsubscribe, "", "id", "1"); err != nil {
			t.Fatal(err)
		}
		sent -= n
	}
	b.onDisk(t, "head -c 12m /dev/zero > other") // the disk is half full
	fill()
	t.Logf("%d messages of 10 KiB fit into 12 MiB", sent)
	b.onDisk(t, "rm other")
	eventually(t, "it takes no messages although the disk has room again", func() bool { return send() == nil })
	sent++
	fill()
	t.Logf("%d messages of 10 KiB fit into 24 MiB", sent)
	b.kill(t)
	b.start(t) // a full disk is no reason not to start
	c, reader = loginStomp(t, b), loginStomp(t, b)
	take(sent)
	eventually(t, "it takes no messages although it is empty", func() bool { return send() == nil })
}

// TestStoppedForAWhile is a machine that stands still: clients wait, and nothing is lost.
func TestStoppedForAWhile(t *testing.T) {
	b := startOwn(t, "", brokerOptions{})
	w := startWitness(t, b)
	pause := time.Second
	if os.Getenv("GODWIT_INTEROP") != "" {
		pause = 5 * time.Second
	}
	process := b.cmd.Process
	if err := process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	<-time.After(pause)
	if err := process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the witness does not go on", func() bool { return w.begun.Load() == 0 || time.Since(time.Unix(0, w.begun.Load())) < pause })
	loginStomp(t, b).must(t, stomp.Send, "x", "destination", "/queue/after", "persistent", "true")
	if waited := w.look(t); waited > pause+others {
		t.Errorf("the witness waited for %v, the broker stood still for %v", waited, pause)
	}
}

// TestSecondBroker starts another broker on the same data: it says why it cannot, and the first notices nothing.
func TestSecondBroker(t *testing.T) {
	b := startOwn(t, "", brokerOptions{})
	startWitness(t, b)
	binary, err := godwitBinary()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(binary, "serve", "--data", b.dataDir(), "--http", "off", "--listen", "stomp=tcp://127.0.0.1:0").CombinedOutput()
	if err == nil || !bytes.Contains(out, []byte("in use")) || !bytes.Contains(out, []byte(b.dataDir())) {
		t.Errorf("a second broker on the same data ended with %v and said %s", err, out)
	}
}

// TestDamagedJournal changes one byte in the middle: the broker does not start, and names file and offset.
func TestDamagedJournal(t *testing.T) {
	b := startOwn(t, "", brokerOptions{})
	c := loginStomp(t, b)
	const marked = "the message that is damaged"
	for _, body := range []string{"before", marked, "after", "and after"} {
		c.must(t, stomp.Send, body, "destination", "/queue/damaged", "persistent", "true")
	}
	b.kill(t)
	var file string
	at := -1
	err := filepath.WalkDir(filepath.Join(b.dataDir(), "journal"), func(name string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(name)
		if i := bytes.Index(content, []byte(marked)); i >= 0 {
			file, at = name, i
		}
		return err
	})
	if err != nil || at < 0 {
		t.Fatalf("the message is in no file of the journal; %v", err)
	}
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("T"), int64(at)); err != nil {
		t.Fatal(err)
	}
	f.Close()
	out, err := b.command().CombinedOutput()
	if err == nil || !bytes.Contains(out, []byte(filepath.Base(file))) || !bytes.Contains(out, []byte("journal repair")) {
		t.Errorf("on a damaged journal it ended with %v and said %s", err, out)
	}
	t.Logf("byte %d of %s was changed; it said: %s", at, filepath.Base(file), out)
}

// TestBacklog is a long queue that nobody reads: it takes little memory, survives a crash, and is there at once afterwards, in order.
func TestBacklog(t *testing.T) {
	count := 40_000
	if os.Getenv("GODWIT_INTEROP") != "" {
		count = 200_000
	}
	b := startOwn(t, "", brokerOptions{})
	c := loginStomp(t, b)
	fill := strings.Repeat("x", 1<<10)
	var frames []byte
	for n := range count {
		frames = appendStomp(frames, stomp.Send, strconv.Itoa(n)+" "+fill, "destination", "/queue/backlog", "persistent", "true")
		if len(frames) > 100<<10 || n == count-1 {
			if err := c.writeBytes(frames); err != nil {
				t.Fatal(err)
			}
			frames = frames[:0]
		}
	}
	c.must(t, stomp.Send, "the end", "destination", "/queue/backlog", "persistent", "true")
	full := b.memory(t, "VmRSS")
	b.kill(t)
	began := time.Now()
	b.start(t)
	ready := time.Since(began)
	c = loginStomp(t, b)
	if err := c.write(stomp.Subscribe, "", "id", "1", "destination", "/queue/backlog"); err != nil {
		t.Fatal(err)
	}
	for n := range count {
		f := c.message(t)
		if n == 0 {
			t.Logf("%d messages: memory %d MiB; after a crash ready in %v, the first message after %v", count, full>>20, ready.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
		}
		if number, _, _ := strings.Cut(string(f.Body), " "); number != strconv.Itoa(n) {
			t.Fatalf("message %d is %s", n, number)
		}
	}
	if f := c.message(t); string(f.Body) != "the end" {
		t.Errorf("after the last came %.20q", f.Body)
	}
	if full > 200*mib {
		t.Errorf("%d messages of 1 KiB take %d MiB of memory", count, full>>20)
	}
}
