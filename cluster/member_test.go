package cluster

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/engine"
	"github.com/godwitmq/godwit/journal"
	"github.com/godwitmq/godwit/journal/checkpoint"
	"github.com/godwitmq/godwit/journal/jetstream"
	"github.com/godwitmq/godwit/listen/listentest"
	"github.com/godwitmq/godwit/message"
	"github.com/godwitmq/godwit/vfs"
)

// pair is the log's three nodes, in this process, and two instances on them.
type pair struct {
	t     testing.TB
	log   string
	nodes []*jetstream.Node
	dirs  []string
	every int64 // bytes between checkpoints
	pack  int   // PackFrom
}

func newPair(t testing.TB) *pair {
	t.Helper()
	p := &pair{t: t, log: "pair", every: 64 << 10, pack: 256}
	peers := freeAddresses(t, 3)
	for i, address := range peers {
		name := string(rune('a' + i))
		dir := filepath.Join(t.TempDir(), name)
		n, err := jetstream.StartNode(jetstream.NodeOptions{Name: name, Dir: filepath.Join(dir, "log"), Listen: address, Peers: peers, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { n.Close() })
		p.nodes, p.dirs = append(p.nodes, n), append(p.dirs, dir)
	}
	return p
}

func freeAddresses(t testing.TB, n int) (addresses []string) {
	t.Helper()
	for range n {
		l, err := listentest.Listen()
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		addresses = append(addresses, l.Addr().String())
	}
	return addresses
}

// said is what an instance logs.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// running is an instance that runs.
type running struct {
	*Member
	t     testing.TB
	said  said
	stop  func()
	ended bool
}

func (p *pair) options(i int, log *slog.Logger) Options {
	return Options{
		Node:        p.nodes[i],
		Log:         jetstream.Options{Name: p.log, Instance: string(rune('a' + i)), Logger: slog.New(slog.DiscardHandler), Silence: 2 * time.Second},
		Broker:      func() broker.Options { return broker.Options{PackFrom: p.pack} },
		Checkpoints: &checkpoint.Store{FS: vfs.OS{}, Dir: p.dirs[i]}, CheckpointEvery: p.every,
		Changed: func(Status, *engine.Engine) {},
		Logger:  log,
	}
}

func (p *pair) run(i int) *running {
	p.t.Helper()
	return p.runWith(p.options(i, nil))
}

func (p *pair) runWith(opt Options) *running {
	r := &running{t: p.t}
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.NewTextHandler(&r.said, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	r.Member = New(opt)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	r.stop = func() {
		cancel()
		if r.ended {
			return
		}
		r.ended = true
		if err := <-done; err != nil {
			p.t.Errorf("instance %s: %v", opt.Log.Instance, err)
		}
	}
	p.t.Cleanup(r.stop)
	return r
}

func (r *running) wait(what string, ok func() bool) {
	r.t.Helper()
	for begun := time.Now(); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Since(begun) > time.Minute {
			r.t.Fatalf("waited in vain until %s; the log says\n%s", what, r.said.String())
		}
	}
}

func (r *running) is(role Role) {
	r.t.Helper()
	r.wait("it is "+string(role), func() bool { return r.Status().Role == role })
}

// current is the engine of an active instance.
func (r *running) current() *engine.Engine {
	r.is(Active)
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.engine
}

var readLine = regexp.MustCompile(`the log is read" instance=\w+ records=(\d+)`)

// records is how many records the last start has read.
func (r *running) records() int {
	r.t.Helper()
	var found [][]string
	r.wait("the log is read", func() bool { found = readLine.FindAllStringSubmatch(r.said.String(), -1); return len(found) > 0 })
	n, _ := strconv.Atoi(found[len(found)-1][1])
	return n
}

func (p *pair) hasCheckpoint(i int) bool {
	_, err := os.Stat(filepath.Join(p.dirs[i], checkpoint.Name))
	return err == nil
}

// conn is a connection to the active instance's core.
type conn struct {
	*engine.Conn
	t    testing.TB
	rest []broker.Effect
}

func dial(t testing.TB, e *engine.Engine) *conn {
	c := &conn{Conn: e.Connect(), t: t}
	c.Submit(&broker.Connect{Conn: c.ID(), Ref: 1})
	c.answer(1)
	return c
}

func (c *conn) next() broker.Effect {
	c.t.Helper()
	if len(c.rest) == 0 {
		got, err := c.Wait(nil)
		if err != nil {
			c.t.Fatal(err)
		}
		c.rest = got
	}
	x := c.rest[0]
	c.rest = c.rest[1:]
	return x
}

func (c *conn) answer(ref broker.Ref) {
	c.t.Helper()
	if x := c.next(); x.Kind != broker.Answer || x.Ref != ref || x.Err != nil {
		c.t.Fatalf("got %+v (error %v), want the answer to %d", x, x.Err, ref)
	}
}

var queueQ = message.Destination{Kind: message.Queue, Name: "Q"}

// send sends messages of 1 KB, numbered from..to-1, and waits until they are safe.
func (c *conn) send(from, to int) {
	c.t.Helper()
	const window = 1000
	for at := from; at < to; at += window {
		n := min(window, to-at)
		events := make([]broker.Event, n)
		for i := range events {
			m := &message.Message{ID: message.ID{Producer: "p", Sequence: int64(at + i)}, Destination: queueQ, Priority: 4, Persistent: true, Type: message.Text,
				Content: fmt.Appendf(nil, "%d %s", at+i, strings.Repeat("x", 1000))}
			m.Encode()
			events[i] = &broker.Send{Conn: c.ID(), Ref: broker.Ref(10 + i), Message: m, MayCreate: true}
		}
		c.Submit(events...)
		for i := range n {
			c.answer(broker.Ref(10 + i))
		}
	}
}

// consume takes messages and checks that they are those numbered from..to-1.
func (c *conn) consume(from, to int) {
	c.t.Helper()
	c.Submit(&broker.Subscribe{Conn: c.ID(), Ref: 3, Consumer: 1, Destination: queueQ, Prefetch: 1000})
	c.answer(3)
	for i := from; i < to; i++ {
		x := c.next()
		for x.Kind == broker.Answer {
			x = c.next()
		}
		if want := fmt.Sprint(i, " "); x.Kind != broker.Delivery || !strings.HasPrefix(string(x.Message.Content), want) {
			c.t.Fatalf("got %+v, want the delivery of %q", x, want)
		}
		c.Submit(&broker.Ack{Conn: c.ID(), Ref: 4, Consumer: 1, Kind: broker.Consumed, Last: x.Sequence, Single: true})
	}
}

// A standby that starts again reads what is new behind its checkpoint, one that hands over and comes back does as well, and nobody misses anything.
func TestCheckpointOfStandby(t *testing.T) {
	p := newPair(t)
	a := p.run(0)
	c := dial(t, a.current())
	b := p.run(1)
	b.is(Standby)
	c.send(0, 2000)
	b.wait("it has written a checkpoint", func() bool { return p.hasCheckpoint(1) })
	b.wait("it writes none", func() bool { b.summary.mu.Lock(); defer b.summary.mu.Unlock(); return !b.summary.saving })
	b.stop()
	c.send(2000, 2100)

	b = p.run(1)
	b.is(Standby)
	if n := b.records(); n < 100 || n >= 2100 {
		t.Errorf("a standby that had written a checkpoint read %d records at its next start, want those behind it: at least 100 and not all 2100", n)
	}
	b.wait("what was passed over is verified", func() bool { return strings.Contains(b.said.String(), "is whole") })
	a.wait("it has written a checkpoint", func() bool { return p.hasCheckpoint(0) })
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := a.SwitchOver(ctx, "b"); err != nil {
		t.Fatal(err)
	}
	e := b.current()
	a.is(Standby)
	a.wait("it follows again", func() bool {
		return strings.Count(a.said.String(), "the log is read") == 2+strings.Count(a.said.String(), "the log is read from")
	})
	if n := a.records(); n >= 2100 {
		t.Errorf("the instance that has handed over read %d records, want those behind its checkpoint", n)
	}
	c = dial(t, e)
	c.send(2100, 2200)
	c.consume(0, 1000)
	a.wait("it is not behind", func() bool { return a.Status().Lag <= nearlyAll })
	b.stop()
	dial(t, a.current()).consume(1000, 2200)
}

// A checkpoint that is damaged, of another log or of a part of this one that was lost is refused, and all is read. So is one whose writing was cut off.
func TestCheckpointRefused(t *testing.T) {
	p := newPair(t)
	a := p.run(0)
	c := dial(t, a.current())
	b := p.run(1)
	b.is(Standby)
	c.send(0, 1000)
	name := filepath.Join(p.dirs[1], checkpoint.Name)
	b.wait("it has written a checkpoint", func() bool { return p.hasCheckpoint(1) })
	b.stop()
	good, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}

	// One of another log, which is longer.
	p.log = "other"
	other := p.run(2)
	oc := dial(t, other.current())
	other.wait("it has written a checkpoint of much", func() bool {
		oc.send(0, 500)
		data, err := os.ReadFile(filepath.Join(p.dirs[2], checkpoint.Name))
		return err == nil && len(data) > 2*len(good) && !bytes.Equal(data[12:20], good[12:20])
	})
	other.stop()
	p.log = "pair"
	foreign, err := os.ReadFile(filepath.Join(p.dirs[2], checkpoint.Name))
	if err != nil {
		t.Fatal(err)
	}
	damaged := slices.Clone(good)
	damaged[len(damaged)/2] ^= 1

	tests := []struct {
		name       string
		data       []byte
		unfinished []byte
		says       string // "": it is used
	}{
		{"good", good, nil, ""},
		{"good, and the next was cut off", good, good[:len(good)/2], ""},
		{"damaged", damaged, nil, "it is damaged"},
		{"cut off", good[:len(good)/2], nil, "it ends within an item"},
		{"at an item's end", good[:len(good)-2-8], nil, "no checkpoint"},
		{"of another log", foreign, nil, "the log has not the batch"},
		{"none", nil, good, "none was written"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			os.Remove(name)
			for file, data := range map[string][]byte{name: tt.data, name + checkpoint.Unfinished: tt.unfinished} {
				if data != nil {
					if err := os.WriteFile(file, data, 0o600); err != nil {
						t.Fatal(err)
					}
				}
			}
			b := p.run(1)
			b.is(Standby)
			n := b.records()
			b.stop()
			text := b.said.String()
			if refused := strings.Contains(text, "all of the log is read"); refused != (tt.says != "") || !strings.Contains(text, tt.says) {
				t.Errorf("the start says\n%s\nwant %q in it", text, tt.says)
			}
			if all := n >= 1000; all != (tt.says != "") {
				t.Errorf("%d records were read of 1000", n)
			}
		})
	}
	c.send(1000, 1010)
	b = p.run(1)
	b.is(Standby)
	a.stop()
	dial(t, b.current()).consume(0, 1010)
}

// A core made of a checkpoint and what follows holds the same as one of the whole log, wherever in the log's growth the checkpoint was made.
func TestCheckpointHoldsTheSame(t *testing.T) {
	p := newPair(t)
	p.pack = 64
	a := p.run(0)
	c := dial(t, a.current())
	b := p.run(1)
	b.is(Standby)
	held := func(from func(m *Member) (*broker.Broker, *jetstream.Follower)) (all []string) {
		t.Helper()
		m := New(p.options(1, slog.New(slog.DiscardHandler)))
		core, f := from(m)
		defer f.Close()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		end := journal.Position(0)
		for end == 0 || f.Tail() < end {
			if _, err := f.Next(ctx, func(r journal.Record) error { return core.Replay(uint64(r.Position), r.Data) }); err != nil {
				t.Fatal(err)
			}
			if end == 0 {
				end = a.current().Log().Tail()
			}
		}
		core.Restored(uint64(f.Head()))
		core.Recovered(1_000_000, &broker.Effects{})
		if err := core.Audit(func(h broker.Held) { all = append(all, fmt.Sprintf("%+v", h)) }); err != nil {
			t.Error(err)
		}
		slices.Sort(all)
		return all
	}
	sent, taken := 0, 0
	for range 5 {
		c.send(sent, sent+300)
		sent += 300
		o := dial(t, a.current())
		o.consume(taken, taken+130)
		taken += 130
		o.Close()
		c.send(sent, sent+1) // the acknowledgements are in the log before it is answered
		sent++
		b.wait("it is not behind", func() bool { return b.Status().Lag <= nearlyAll })
		b.wait("it has written a checkpoint", func() bool { return p.hasCheckpoint(1) })
		whole := held(func(m *Member) (*broker.Broker, *jetstream.Follower) {
			f, err := jetstream.Follow(context.Background(), m.opt.Node, m.opt.Log, 0)
			if err != nil {
				t.Fatal(err)
			}
			return broker.New(m.opt.Broker()), f
		})
		short := held(func(m *Member) (*broker.Broker, *jetstream.Follower) {
			core, f, known, _, err := m.begin(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			if known == 0 {
				t.Error("the checkpoint is not used")
			}
			return core, f
		})
		if len(whole) < sent-taken || !slices.Equal(whole, short) {
			t.Fatalf("a core of the checkpoint holds %d messages, one of the whole log %d; %d were sent and %d acknowledged", len(short), len(whole), sent, taken)
		}
	}
}

// The policies that hold when a standby becomes active are those of its configuration then, not those of when it began to follow.
func TestPoliciesOfStandby(t *testing.T) {
	p := newPair(t)
	a := p.run(0)
	c := dial(t, a.current())
	var ring atomic.Int64
	opt := p.options(1, slog.New(slog.DiscardHandler))
	opt.Broker = func() broker.Options {
		return broker.Options{Policies: broker.Policies{Default: broker.Policy{Keep: broker.KeepPolicy{Ring: int(ring.Load())}}}}
	}
	b := p.runWith(opt)
	b.is(Standby)
	c.send(0, 50)
	b.wait("it is not behind", func() bool { return b.Status().Lag <= nearlyAll })
	ring.Store(10)
	a.stop()
	c = dial(t, b.current())
	c.Submit(&broker.List{Conn: c.ID(), Ref: 7})
	v, ok := c.next().Value.(*broker.View)
	if !ok || len(v.Destinations) == 0 {
		t.Fatalf("the list is %+v", v)
	}
	for _, d := range v.Destinations {
		if d.Destination == queueQ && d.Size != 10 {
			t.Errorf("the queue has %d messages, want the 10 that the new policy keeps", d.Size)
		}
	}
	c.consume(40, 50)
}
