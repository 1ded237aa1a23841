package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/config"
	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/control/client"
	"github.com/godwitmq/godwit/engine"
	"github.com/godwitmq/godwit/message"
)

// alone starts a broker in this process that runs alone, and gives a client of its API.
func alone(t *testing.T, data string) (*node, *client.Client) {
	t.Helper()
	l, err := listenAnywhere()
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	file := filepath.Join(t.TempDir(), "godwit.yaml")
	text := fmt.Sprintf("data: %q\nhttp: {address: %q}\nlisteners:\n  - {protocol: stomp, url: 'tcp://127.0.0.1:0'}\n", data, address)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	load := func() (*config.Config, error) { return config.Load(file, nil) }
	cfg, err := load()
	if err != nil {
		t.Fatal(err)
	}
	n, err := start(cfg, load, slog.New(slog.DiscardHandler), &slog.LevelVar{}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.stop() }) // most tests have stopped it
	remote, err := client.New(address, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return n, remote
}

// commands is the command line, of the broker at an address.
func commands(remote *client.Client) (*cli, *bytes.Buffer) {
	var said bytes.Buffer
	return &cli{out: &said, err: &said, api: remote.URL()}, &said
}

func mustBackup(t *testing.T, remote *client.Client, ask api.Backup) string {
	t.Helper()
	c, said := commands(remote)
	to := filepath.Join(t.TempDir(), "b.backup")
	if err := c.takeBackup(t.Context(), ask, to); err != nil {
		t.Fatalf("backup: %v\n%s", err, said)
	}
	return to
}

func mustRestore(t *testing.T, from, to string) *contents {
	t.Helper()
	c := &cli{out: io.Discard, err: io.Discard}
	looked, err := c.readBackup(t.Context(), from)
	if err != nil {
		t.Fatalf("verify: %v", err)
	}
	found, err := c.restoreTo(t.Context(), from, to)
	if err != nil {
		t.Fatalf("restore: %v", err)
	}
	if looked.Records != found.Records || looked.Bytes != found.Bytes || !slices.Equal(looked.Destinations, found.Destinations) {
		t.Errorf("the backup has %d records and %v; restored were %d and %v", looked.Records, looked.Destinations, found.Records, found.Destinations)
	}
	return found
}

// books are what clients know of their messages.
type books struct {
	round     string // begins the names of messages
	mu        sync.Mutex
	tried     map[string]time.Time // when it was about to be sent
	sent      map[string]time.Time // when that was acknowledged
	received  map[string]time.Time // when it was about to be taken, at the latest
	confirmed map[string]time.Time // when its acknowledgement was acknowledged
}

func newBooks(round string) *books {
	return &books{round: round, tried: map[string]time.Time{}, sent: map[string]time.Time{}, received: map[string]time.Time{}, confirmed: map[string]time.Time{}}
}

func (b *books) note(in map[string]time.Time, names ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, name := range names {
		in[name] = time.Now()
	}
}

// nameOf is the first word of a text message.
func nameOf(m api.Message) string {
	name, _, _ := strings.Cut(textOf(m), " ")
	return name
}

func textOf(m api.Message) string {
	var body struct{ Text string }
	if err := json.Unmarshal(m.Body, &body); err != nil {
		return "not JSON: " + err.Error()
	}
	return body.Text
}

// run has clients send to and receive from three queues until stop is called. Errors end what they are about, not the client: an instance may be on its way.
func (b *books) run(remote *client.Client) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var working sync.WaitGroup
	for q := range 3 {
		d := message.Destination{Kind: message.Queue, Name: fmt.Sprint("load.", q)}
		working.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				var all []api.Send
				var names []string
				for j := range 4 {
					name := fmt.Sprintf("%s-%d-%d-%d", b.round, q, i, j)
					text := name + " " + strings.Repeat("x", 37*(i%40))
					names = append(names, name)
					all = append(all, api.Send{Text: &text})
				}
				b.note(b.tried, names...)
				if _, err := remote.Send(ctx, d, all...); err == nil {
					b.note(b.sent, names...)
				}
				time.Sleep(4 * time.Millisecond) // else more wait than can be looked at
			}
		})
		working.Go(func() {
			for ctx.Err() == nil {
				got, err := remote.Receive(ctx, d, api.ReceiveRequest{Max: 3, Wait: "1s", Confirm: "1m"})
				if err != nil || len(got.Messages) == 0 {
					continue
				}
				var names []string
				for _, m := range got.Messages {
					names = append(names, nameOf(m))
				}
				b.note(b.received, names...)
				if remote.Confirm(ctx, got.Receipt) == nil {
					b.note(b.confirmed, names...)
				}
				time.Sleep(25 * time.Millisecond)
			}
		})
	}
	return func() { cancel(); working.Wait() }
}

// compare sees that a broker has what a backup that was asked for at one time, and was there at another, must have.
func (b *books) compare(t *testing.T, remote *client.Client, asked, made time.Time) {
	t.Helper()
	times := map[string]int{}
	for q := range 3 {
		found, err := remote.Browse(t.Context(), message.Destination{Kind: message.Queue, Name: fmt.Sprint("load.", q)}, "", 10_000, true)
		if err != nil || found.More {
			t.Fatalf("browse: %v, more is %t", err, found != nil && found.More)
		}
		for _, m := range found.Messages {
			times[nameOf(m)]++
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	before := func(when map[string]time.Time, name string, than time.Time) bool {
		at, ok := when[name]
		return ok && at.Before(than)
	}
	must, mustNot := 0, 0
	for name := range b.tried {
		switch n := times[name]; {
		case n > 1:
			t.Errorf("%s is there %d times", name, n)
		case before(b.sent, name, asked) && b.received[name].IsZero():
			if must++; n == 0 {
				t.Errorf("%s was acknowledged before the backup, was not consumed, and is missing", name)
			}
		case before(b.sent, name, asked) && !before(b.received, name, made):
			if must++; n == 0 {
				t.Errorf("%s was acknowledged before the backup, was consumed behind it, and is missing", name)
			}
		case before(b.confirmed, name, asked):
			if mustNot++; n > 0 {
				t.Errorf("%s was consumed before the backup, and is there", name)
			}
		case !before(b.tried, name, made):
			if mustNot++; n > 0 {
				t.Errorf("%s was sent after the backup, and is there", name)
			}
		}
	}
	if must < 20 || mustNot < 20 {
		t.Errorf("only %d messages had to be there and %d not: too few to tell", must, mustNot)
	}
}

// backUnderLoad makes a backup while clients are at work, the API asked at two places, and gives a broker restored from it.
func backUnderLoad(t *testing.T, round string, load, at *client.Client, ask api.Backup) {
	t.Helper()
	b := newBooks(round)
	stop := b.run(load)
	time.Sleep(time.Second) // so that there is something
	asked := time.Now()
	file := mustBackup(t, at, ask)
	made := time.Now()
	time.Sleep(500 * time.Millisecond)
	stop()
	data := filepath.Join(t.TempDir(), "restored")
	mustRestore(t, file, data)
	n, remote := alone(t, data)
	b.compare(t, remote, asked, made)
	if err := n.stop(); err != nil {
		t.Error(err)
	}
}

// TestBackup makes backups of a broker alone and of a pair, asked at its standby, while clients send and consume, and looks at what the restored ones have. The last becomes a pair.
func TestBackup(t *testing.T) {
	if testing.Short() {
		t.Skip("starts many processes")
	}
	t.Parallel()
	r := newConvertRig(t)
	if why := r.begin(r.single, ""); why != "" {
		t.Fatal(why)
	}
	backUnderLoad(t, "alone", r.remote["a"], r.remote["a"], api.Backup{Rate: 1 << 20})
	r.mustConvert(toPair, r.pair)
	r.await("a", "active")
	r.await("b", "standby")
	backUnderLoad(t, "pair", r.remote["a"], r.remote["b"], api.Backup{Rate: -1})
	r.switchTo("b")
	r.await("a", "standby")
	r.load(func() { time.Sleep(300 * time.Millisecond) })
	file := mustBackup(t, r.remote["a"], api.Backup{})

	// The books go on in another pair, which begins with the backup.
	again := newConvertRig(t)
	mustRestore(t, file, filepath.Join(again.dir, "a-data"))
	again.answered, again.sent = r.answered, r.sent
	if why := again.begin(again.pair, ""); !strings.Contains(why, "has the journal of a broker alone") {
		t.Errorf("a restored data folder and the configuration of an instance: %q", why)
	}
	if why := again.begin(again.single, ""); why != "" {
		t.Fatal(why)
	}
	again.load(func() { again.mustConvert(toPair, again.pair) })
	again.await("a", "active")
	again.await("b", "standby")
	again.verify("a")
	again.switchTo("b")
	again.verify("b")
}

// TestBackupHasAll restores one of each thing that a broker keeps, and compares the broker with the one before.
func TestBackupHasAll(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	n, remote := alone(t, data)
	if err := os.WriteFile(filepath.Join(data, "users"), []byte("# ann is not here yet\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	e, _ := n.core.now()
	c := connected(t, e)
	queue := func(name string) message.Destination { return message.Destination{Kind: message.Queue, Name: name} }
	topic := message.Destination{Kind: message.Topic, Name: "news"}
	seq := int64(0)
	made := func(d message.Destination, content []byte) *message.Message {
		seq++
		m := &message.Message{ID: message.ID{Producer: "p", Sequence: seq}, Destination: d, Priority: 4, Persistent: true, Type: message.Text, Content: content}
		m.Encode()
		return m
	}
	large := bytes.Repeat([]byte("large "), 4<<20)
	c.ask(&broker.Send{Conn: c.ID(), Ref: 1, Message: made(queue("large"), large), MayCreate: true})
	c.ask(&broker.Subscribe{Conn: c.ID(), Ref: 1, Consumer: 1, Destination: topic, Name: "durable", Prefetch: 10, MayCreate: true})
	c.ask(&broker.Unsubscribe{Conn: c.ID(), Ref: 1, Consumer: 1})
	for i := range 5 {
		c.ask(&broker.Send{Conn: c.ID(), Ref: 1, Message: made(topic, fmt.Append(nil, "news ", i)), MayCreate: true})
	}
	later := "in an hour"
	if _, err := remote.Send(t.Context(), queue("later"), api.Send{Text: &later, Properties: map[string]any{"AMQ_SCHEDULED_DELAY": 3_600_000}}); err != nil {
		t.Fatal(err)
	}
	tx := broker.DistributedTx(7)
	x := broker.XID{Format: 7, Global: "global", Branch: "branch"}
	c.ask(&broker.XABegin{Conn: c.ID(), Ref: 1, Tx: tx, XID: x})
	c.ask(&broker.Send{Conn: c.ID(), Ref: 1, Tx: tx, Message: made(queue("prepared"), []byte("in doubt")), MayCreate: true})
	c.ask(&broker.XAPrepare{Conn: c.ID(), Ref: 1, XID: x})
	c.ask(&broker.Begin{Conn: c.ID(), Ref: 1, Tx: 3})
	c.ask(&broker.Send{Conn: c.ID(), Ref: 1, Tx: 3, Message: made(queue("open"), []byte("not committed")), MayCreate: true})
	c.ask(&broker.Send{Conn: c.ID(), Ref: 1, Message: made(queue("paused"), []byte("waits")), MayCreate: true})
	if err := remote.Pause(t.Context(), queue("paused"), true); err != nil {
		t.Fatal(err)
	}
	file := mustBackup(t, remote, api.Backup{})
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "restored")
	found := mustRestore(t, file, to)
	if found.Scheduled != 1 || found.Prepared != 1 {
		t.Errorf("the backup has %d scheduled messages and %d prepared transactions; want 1 and 1", found.Scheduled, found.Prepared)
	}
	want := map[string]int64{"large": 1, "open": 0, "paused": 1, "prepared": 0, "durable": 5}
	got := map[string]int64{}
	for _, d := range slices.Concat(found.Destinations, found.Subscriptions) {
		name, _, _ := strings.Cut(d.Name, " ")
		got[strings.TrimPrefix(name, "client/")] = d.Messages
	}
	for name, n := range want {
		if got[name] != n {
			t.Errorf("the backup has %d messages of %s; want %d (%v)", got[name], name, n, got)
		}
	}
	if users, err := os.ReadFile(filepath.Join(to, "users")); err != nil || !strings.Contains(string(users), "ann") {
		t.Errorf("the users' file is %q, %v", users, err)
	}

	n, remote = alone(t, to)
	ctx := t.Context()
	if got, err := remote.Receive(ctx, queue("large"), api.ReceiveRequest{Max: 1, Wait: "5s"}); err != nil || len(got.Messages) != 1 || textOf(got.Messages[0]) != string(large) {
		t.Errorf("the large message: %v", err)
	}
	if v, err := remote.Destination(ctx, queue("paused")); err != nil || !v.Paused || v.Size != 1 {
		t.Errorf("the paused queue is %+v, %v", v, err)
	}
	if s, err := remote.Subscriptions(ctx); err != nil || len(s) != 1 || s[0].Name != "durable" || s[0].Size != 5 {
		t.Errorf("the durable subscription is %+v, %v", s, err)
	}
	list, err := remote.Transactions(ctx, 0)
	if err != nil || len(list.Transactions) != 1 || list.Transactions[0].XID == "" {
		t.Fatalf("the transactions are %+v, %v; want the prepared one", list, err)
	}
	if err := remote.SettleTransaction(ctx, list.Transactions[0].XID, true); err != nil {
		t.Fatal(err)
	}
	if v, err := remote.Destination(ctx, queue("prepared")); err != nil || v.Size != 1 {
		t.Errorf("the queue of the transaction that was committed is %+v, %v", v, err)
	}
	if err := n.stop(); err != nil {
		t.Error(err)
	}
}

// coreClient is a connection to a core that waits for one answer at a time.
type coreClient struct {
	*engine.Conn
	t *testing.T
}

func connected(t *testing.T, e *engine.Engine) *coreClient {
	c := &coreClient{Conn: e.Connect(), t: t}
	c.ask(&broker.Connect{Conn: c.ID(), Ref: 1, ClientID: "client"})
	return c
}

// ask submits an event with reference 1 and waits for its answer.
func (c *coreClient) ask(ev broker.Event) {
	c.t.Helper()
	c.Submit(ev)
	for {
		got, err := c.Wait(nil)
		if err != nil {
			c.t.Fatal(err)
		}
		for _, x := range got {
			if x.Kind == broker.Answer && x.Ref == 1 {
				if x.Err != nil {
					c.t.Fatalf("%T: %v", ev, x.Err)
				}
				return
			}
		}
	}
}

// TestBackupProcess is not a test but the command that TestBackupKilled kills.
func TestBackupProcess(t *testing.T) {
	to := os.Getenv("GODWIT_TEST_BACKUP")
	if to == "" {
		t.Skip("run by TestBackupKilled")
	}
	c := &cli{out: os.Stdout, err: os.Stderr, api: os.Getenv("GODWIT_API")}
	if err := c.takeBackup(t.Context(), api.Backup{Rate: 256 << 10}, to); err != nil {
		t.Fatal(err)
	}
}

// TestBackupKilled kills the command in the middle: there is no file of the name, and the next backup works. The same with the broker, which stops while somebody still reads.
func TestBackupKilled(t *testing.T) {
	n, remote := alone(t, filepath.Join(t.TempDir(), "data"))
	text := strings.Repeat("x", 100_000)
	for range 50 {
		if _, err := remote.Send(t.Context(), message.Destination{Kind: message.Queue, Name: "q"}, api.Send{Text: &text}); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	to := filepath.Join(dir, "b.backup")
	begin := func() *exec.Cmd {
		cmd := exec.Command(os.Args[0], "-test.run=^TestBackupProcess$", "-test.timeout=5m")
		cmd.Env = append(os.Environ(), "GODWIT_TEST_BACKUP="+to, "GODWIT_API="+remote.URL())
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for begun := time.Now(); ; time.Sleep(10 * time.Millisecond) {
			if there, _ := filepath.Glob(filepath.Join(dir, "b.backup.*"+unfinished)); len(there) > 0 {
				if is, err := os.Stat(there[0]); err == nil && is.Size() > 300_000 {
					return cmd
				}
			}
			if time.Since(begun) > convertPatience {
				t.Fatal("no backup has begun")
			}
		}
	}
	cmd := begin()
	c, _ := commands(remote)
	if err := c.takeBackup(t.Context(), api.Backup{}, filepath.Join(dir, "second.backup")); err == nil || !strings.Contains(err.Error(), "another backup is being made") {
		t.Errorf("a second backup at the same time: %v", err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	names := func() (all []string) {
		there, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range there {
			all = append(all, d.Name())
		}
		return all
	}
	if all := names(); len(all) != 1 || !strings.HasSuffix(all[0], unfinished) {
		t.Errorf("after the kill there are %v; want the unfinished file alone", all)
	} else if _, err := c.readBackup(t.Context(), filepath.Join(dir, all[0])); err == nil || !strings.Contains(err.Error(), "cut off") {
		t.Errorf("the unfinished file is read as %v", err)
	} else if err := os.Remove(filepath.Join(dir, all[0])); err != nil {
		t.Fatal(err)
	}
	var err error
	for begun := time.Now(); time.Since(begun) < convertPatience; time.Sleep(20 * time.Millisecond) {
		if err = c.takeBackup(t.Context(), api.Backup{}, to); err == nil {
			break
		}
	}
	if err != nil {
		t.Fatalf("the backup after the one that was killed: %v", err)
	}
	if err := c.takeBackup(t.Context(), api.Backup{}, to); err == nil || !strings.Contains(err.Error(), "is there already") {
		t.Errorf("a backup over another: %v", err)
	}
	if err := os.Remove(to); err != nil {
		t.Fatal(err)
	}

	ended := make(chan error, 1)
	cmd = begin()
	go func() { ended <- cmd.Wait() }()
	if err := n.stop(); err != nil {
		t.Error(err)
	}
	if err := <-ended; err == nil {
		t.Error("a backup of a broker that stopped in its middle is said to be well")
	}
	if all := names(); len(all) != 0 {
		t.Errorf("after a backup that failed there are %v", all)
	}
}
