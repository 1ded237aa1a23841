package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/engine"
	"github.com/godwitmq/godwit/journal"
	"github.com/godwitmq/godwit/journal/jetstream"
	"github.com/godwitmq/godwit/journal/segment"
	"github.com/godwitmq/godwit/listen/listentest"
	"github.com/godwitmq/godwit/message"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// threeNodes are a, b and c in this process.
func threeNodes(t *testing.T) (nodes []*jetstream.Node) {
	t.Helper()
	dir := t.TempDir()
	var peers []string
	var held []net.Listener // until all have a port of their own
	for range 3 {
		l, err := listentest.Listen()
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, l)
		peers = append(peers, l.Addr().String())
	}
	for _, l := range held {
		l.Close()
	}
	for i, name := range []string{"a", "b", "c"} {
		n, err := jetstream.StartNode(jetstream.NodeOptions{Name: name, Dir: filepath.Join(dir, name), Listen: peers[i], Peers: peers, Logger: quiet()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(n.Close)
		nodes = append(nodes, n)
	}
	return nodes
}

func logOptions(instance string) jetstream.Options {
	return jetstream.Options{Name: "convert", Instance: instance, Silence: time.Second, Logger: quiet()}
}

func openFiles(t *testing.T, dir string, notify journal.Notify) *segment.Log {
	t.Helper()
	l, err := segment.Open(dir, segment.Options{Logger: quiet()}, notify)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) // most are closed before
	return l
}

func openAlone(t *testing.T, dir string) *engine.Engine {
	t.Helper()
	e, err := engine.Open(func(n journal.Notify) (journal.Log, error) {
		return segment.Open(dir, segment.Options{Logger: quiet()}, n)
	}, engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

var work = message.Destination{Kind: message.Queue, Name: "work"}

// client is a connection that keeps a book of what it was told is safe.
type client struct {
	*engine.Conn
	rest []broker.Effect
}

func connect(e *engine.Engine) *client {
	c := &client{Conn: e.Connect()}
	c.Submit(&broker.Connect{Conn: c.ID(), Ref: 1})
	return c
}

// answered waits for the answer to a request, and says whether it came and was good.
func (c *client) answered(ref broker.Ref) bool {
	for {
		if len(c.rest) == 0 {
			var err error
			if c.rest, err = c.Wait(nil); err != nil {
				return false
			}
		}
		x := c.rest[0]
		c.rest = c.rest[1:]
		switch {
		case x.Kind == broker.Closed:
			return false
		case x.Kind == broker.Answer && x.Ref == ref:
			return x.Err == nil
		}
	}
}

// books are what clients know.
type books struct {
	mu   sync.Mutex
	safe map[string]bool // sent or committed for certain
	gone map[string]bool // acknowledged for certain
	open map[string]bool // it is not known whether it was sent, or acknowledged
	seen int             // by busy
}

func (b *books) note(in map[string]bool, text string, is bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if in[text] = is; !is {
		delete(in, text)
	}
}

// load is clients that send, one by one and in transactions, and consume, until the engine ends.
func load(e *engine.Engine, b *books, name string, done *sync.WaitGroup) {
	for p := range 2 {
		done.Go(func() {
			c := connect(e)
			for i := 0; ; i++ {
				var events []broker.Event
				var texts []string
				tx, ref := broker.TxID(0), broker.Ref(10+3*i)
				n := 1
				if p == 1 {
					tx, n = broker.TxID(i+1), 3
					events = append(events, &broker.Begin{Conn: c.ID(), Tx: tx})
				}
				for k := range n {
					text := fmt.Sprintf("%s %d %d.%d", name, p, i, k)
					m := &message.Message{ID: message.ID{Producer: fmt.Sprint(name, p), Sequence: int64(n*i + k)}, Destination: work, Priority: 4, Persistent: true, Type: message.Text, Content: []byte(text)}
					m.Encode()
					texts = append(texts, text)
					b.note(b.open, text, true)
					send := &broker.Send{Conn: c.ID(), Tx: tx, Message: m, Tracked: true, MayCreate: true}
					if p == 0 {
						send.Ref = ref
					}
					events = append(events, send)
				}
				if p == 1 && i%5 == 4 {
					events = append(events, &broker.Rollback{Conn: c.ID(), Ref: ref, Tx: tx})
				} else if p == 1 {
					events = append(events, &broker.Commit{Conn: c.ID(), Ref: ref, Tx: tx})
				}
				c.Submit(events...)
				if !c.answered(ref) {
					return
				}
				for _, text := range texts {
					b.note(b.open, text, false)
					if p == 0 || i%5 != 4 {
						b.note(b.safe, text, true)
					}
				}
			}
		})
	}
	done.Go(func() {
		c := connect(e)
		c.Submit(&broker.Subscribe{Conn: c.ID(), Ref: 2, Consumer: 1, Destination: work, Prefetch: 10, MayCreate: true})
		for ref := broker.Ref(100); ; ref++ {
			var got broker.Effect
			for got.Kind != broker.Delivery {
				if len(c.rest) == 0 {
					var err error
					if c.rest, err = c.Wait(nil); err != nil {
						return
					}
				}
				if got, c.rest = c.rest[0], c.rest[1:]; got.Kind == broker.Closed {
					return
				}
			}
			text := string(got.Message.Content)
			if strings.HasSuffix(text, "7.0") { // some stay for ever
				continue
			}
			b.note(b.open, text, true)
			rest := c.rest
			c.rest = nil
			c.Submit(&broker.Ack{Conn: c.ID(), Ref: ref, Consumer: 1, Kind: broker.Consumed, Last: got.Sequence, Single: true})
			ok := false
			for !ok { // deliveries that come before the answer are kept
				more, err := c.Wait(nil)
				if err != nil {
					return
				}
				for _, x := range more {
					switch {
					case x.Kind == broker.Closed:
						return
					case x.Kind == broker.Answer && x.Ref == ref:
						ok = true
					default:
						rest = append(rest, x)
					}
				}
			}
			c.rest = rest
			b.note(b.gone, text, true)
			b.note(b.open, text, false)
		}
	})
}

// busy says whether clients have been at work since it was asked last.
func (b *books) busy() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.safe) < b.seen+100 {
		return false
	}
	b.seen = len(b.safe)
	return true
}

// drain takes what waits, and compares it with the books.
func (b *books) drain(t *testing.T, e *engine.Engine) {
	t.Helper()
	c := connect(e)
	defer c.Close()
	want := 0
	for text := range b.safe {
		if !b.gone[text] && !b.open[text] {
			want++
		}
	}
	if want == 0 {
		t.Error("nothing is left to be compared")
	}
	c.Submit(&broker.Subscribe{Conn: c.ID(), Ref: 2, Consumer: 1, Destination: work, Prefetch: 1_000_000, MayCreate: true})
	seen := map[string]int{}
	for found := 0; found < want; {
		got, err := c.Wait(nil)
		if err != nil {
			t.Fatalf("%d of %d messages came: %v", found, want, err)
		}
		for _, x := range got {
			if x.Kind != broker.Delivery {
				continue
			}
			text := string(x.Message.Content)
			if seen[text]++; seen[text] > 1 {
				t.Errorf("%q is there %d times", text, seen[text])
			}
			switch {
			case b.gone[text] && !b.open[text]:
				t.Errorf("%q was acknowledged and is there", text)
			case b.safe[text] && !b.open[text]:
				found++
			case !b.open[text]:
				t.Errorf("%q was rolled back and is there", text)
			}
		}
	}
}

func newBooks() *books {
	return &books{safe: map[string]bool{}, gone: map[string]bool{}, open: map[string]bool{}}
}

// newMember runs an instance. active gets the engines that serve.
func newMember(t *testing.T, node *jetstream.Node, change func(*Options)) (m *Member, active chan *engine.Engine, ended chan error) {
	active, ended = make(chan *engine.Engine, 8), make(chan error, 1)
	opt := Options{Node: node, Log: logOptions(node.Name()), Broker: func() broker.Options { return broker.Options{} }, Logger: quiet(), Await: true,
		Changed: func(s Status, e *engine.Engine) {
			if s.Role == Active {
				active <- e
			}
		}}
	if change != nil {
		change(&opt)
	}
	m = New(opt)
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan struct{})
	go func() {
		defer close(over)
		ended <- m.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-over
	})
	return m, active, ended
}

func within(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for begun := time.Now(); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Since(begun) > 60*time.Second {
			t.Fatalf("waited a minute in vain: %s", what)
		}
	}
}

// TestConvert brings a broker alone under load into the nodes' log and out again. Another instance follows all the time: it serves only when the log is the broker's and it is its turn.
func TestConvert(t *testing.T) {
	nodes, dir := threeNodes(t), t.TempDir()
	other, otherActive, _ := newMember(t, nodes[1], nil)
	within(t, "b waits", func() bool { return other.Status().Role == Waiting })

	e := openAlone(t, dir)
	b := newBooks()
	var clients sync.WaitGroup
	load(e, b, "alone", &clients)
	within(t, "clients are at work", b.busy)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var told atomic.Uint64
	opt := CopyOptions{Rate: -1, Progress: func(CopyProgress) { told.Add(1) }}
	given, err := Join(ctx, nodes[0], logOptions("a"), e.Log(), broker.Options{}, opt) // one that is given up
	if err != nil {
		t.Fatal(err)
	}
	if err := given.CatchUp(ctx); err != nil {
		t.Fatal(err)
	}
	given.Close()
	time.Sleep(1500 * time.Millisecond) // longer than the silence that a standby waits for
	if role := other.Status().Role; role != Waiting {
		t.Errorf("b is %s while the log is not filled", role)
	}
	j, err := Join(ctx, nodes[0], logOptions("a"), e.Log(), broker.Options{}, opt)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	if err := j.CatchUp(ctx); err != nil {
		t.Fatal(err)
	}
	if told.Load() == 0 {
		t.Error("no progress was told")
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	clients.Wait()
	rest := openFiles(t, dir, journal.Notify{})
	joined, err := j.Finish(ctx, rest)
	if err != nil {
		t.Fatal(err)
	}
	if err := rest.Close(); err != nil {
		t.Fatal(err)
	}
	if joined.Records == 0 || joined.Hash == "" {
		t.Errorf("the copy is %+v", joined.Copied)
	}
	if _, err := Join(ctx, nodes[2], logOptions("c"), openFiles(t, t.TempDir(), journal.Notify{}), broker.Options{}, opt); err != nil {
		t.Fatal(err) // not adopted yet, so it may be given up: what follows must not take it for its own
	}
	_, _, ended := newMember(t, nodes[0], func(o *Options) { o.Adopt, o.Joined = &joined.Copied, joined })
	select {
	case err := <-ended:
		t.Fatalf("the instance has ended: %v", err)
	case e := <-otherActive:
		t.Fatalf("b serves a copy that is not whole: %v", e)
	case <-time.After(2 * time.Second):
	}
}

// TestConvertBack makes a pair of a broker alone and a broker alone of the pair, under load, and compares the books.
func TestConvertBack(t *testing.T) {
	nodes, dir := threeNodes(t), t.TempDir()
	b := newBooks()
	var clients sync.WaitGroup
	e := openAlone(t, dir)
	load(e, b, "alone", &clients)
	within(t, "clients are at work", b.busy)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	opt := CopyOptions{Rate: -1}
	j, err := Join(ctx, nodes[0], logOptions("a"), e.Log(), broker.Options{}, opt)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	if err := j.CatchUp(ctx); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	clients.Wait()
	rest := openFiles(t, dir, journal.Notify{})
	joined, err := j.Finish(ctx, rest)
	if err != nil {
		t.Fatal(err)
	}
	if err := rest.Close(); err != nil {
		t.Fatal(err)
	}
	var left atomic.Uint64
	m, active, ended := newMember(t, nodes[0], func(o *Options) {
		o.Adopt, o.Joined = &joined.Copied, joined
		o.Left = func(id uint64, by string) bool { left.Store(id); return by == "a" }
	})
	e = <-active
	other, otherActive, _ := newMember(t, nodes[1], nil)
	load(e, b, "pair", &clients)
	within(t, "clients are at work", b.busy)
	within(t, "b stands by", func() bool { return other.Status().Role == Standby })

	files := filepath.Join(t.TempDir(), "files")
	target := openFiles(t, files, journal.Notify{})
	out, err := m.Leave(ctx, 99, target, opt)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if err := out.CatchUp(ctx); err != nil {
		t.Fatal(err)
	}
	core, err := out.Finish(ctx, 30*time.Second, func(c Copied) error {
		if c.ID != 99 || c.Records == 0 {
			t.Errorf("the copy is %+v", c)
		}
		return target.Close()
	})
	if err != nil {
		t.Fatal(err)
	}
	clients.Wait()
	if err := <-ended; !errors.Is(err, ErrLeft) || left.Load() != 99 {
		t.Errorf("the instance has ended with %v and was told of copy %d; want ErrLeft and 99", err, left.Load())
	}
	within(t, "b knows that the log was left", func() bool { return other.Status().Role == Waiting })
	e, err = engine.Continue(core, func(n journal.Notify) (journal.Log, error) {
		return segment.Open(files, segment.Options{Logger: quiet()}, n)
	}, engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	b.drain(t, e)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	// What was written to the files is what a restart reads.
	e = openAlone(t, files)
	defer e.Close()
	b.drain(t, e)
	if state, id, err := Whose(ctx, nodes[2], logOptions("c")); state != jetstream.Left || id != 99 || err != nil {
		t.Errorf("the nodes' log is %v for copy %d, %v; want left for 99", state, id, err)
	}
	select {
	case <-otherActive:
		t.Error("b became active on a log that was left")
	default:
	}
}

// TestLeaveGivenUp fails the last step before a log is left: it goes on, and an instance serves.
func TestLeaveGivenUp(t *testing.T) {
	nodes := threeNodes(t)
	m, active, _ := newMember(t, nodes[0], func(o *Options) { o.Await = false })
	e := <-active
	b := newBooks()
	var clients sync.WaitGroup
	load(e, b, "pair", &clients)
	within(t, "clients are at work", b.busy)
	target := openFiles(t, filepath.Join(t.TempDir(), "files"), journal.Notify{})
	out, err := m.Leave(t.Context(), 5, target, CopyOptions{Rate: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if err := out.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	refusal := errors.New("the test's disk is full")
	if _, err := out.Finish(t.Context(), time.Minute, func(Copied) error { return refusal }); !errors.Is(err, refusal) {
		t.Errorf("leaving gives %v, want the refusal", err)
	}
	clients.Wait()
	b.drain(t, <-active)
}

// TestLeaveTooLate lets another instance take the log just before it is left: it goes on there.
func TestLeaveTooLate(t *testing.T) {
	nodes := threeNodes(t)
	m, active, _ := newMember(t, nodes[0], func(o *Options) { o.Await = false })
	<-active
	target := openFiles(t, filepath.Join(t.TempDir(), "files"), journal.Notify{})
	out, err := m.Leave(t.Context(), 5, target, CopyOptions{Rate: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if err := out.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	var other *jetstream.Log
	_, err = out.Finish(t.Context(), time.Minute, func(Copied) (err error) {
		other, err = jetstream.Open(t.Context(), nodes[1], logOptions("b"), journal.Notify{})
		return err
	})
	if !errors.Is(err, ErrKept) {
		t.Errorf("leaving gives %v, want ErrKept", err)
	}
	if other == nil {
		t.Fatal("the other instance has not taken the log")
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	<-active // it is vacant again
	if state, _, err := Whose(t.Context(), nodes[2], logOptions("c")); state != jetstream.Live || err != nil {
		t.Errorf("the nodes' log is %v, %v; want live", state, err)
	}
}

// spoiled changes what is written to a log.
type spoiled struct {
	journal.Log
	spoil func(b *journal.Batch) *journal.Batch
}

func (s *spoiled) Append(b *journal.Batch, urgent bool) error {
	return s.Log.Append(s.spoil(b), urgent)
}

// A copy that is not the same as its source is found, whatever the difference.
func TestCopyDiffers(t *testing.T) {
	dir := t.TempDir()
	e := openAlone(t, dir)
	c := connect(e)
	for i := range 5 {
		m := &message.Message{ID: message.ID{Producer: "p", Sequence: int64(i)}, Destination: work, Priority: 4, Persistent: true, Type: message.Text, Content: []byte("12345678")}
		m.Encode()
		c.Submit(&broker.Send{Conn: c.ID(), Ref: broker.Ref(10 + i), Message: m, MayCreate: true})
		if !c.answered(broker.Ref(10 + i)) {
			t.Fatal("a send was refused")
		}
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	source := openFiles(t, dir, journal.Notify{})
	defer source.Close()
	records := func() (all [][]byte) {
		if err := source.Read(0, func(r journal.Record) error { all = append(all, append([]byte(nil), r.Data...)); return nil }); err != nil {
			t.Fatal(err)
		}
		return all
	}()
	batch := func(data [][]byte) *journal.Batch {
		b := &journal.Batch{}
		for _, d := range data {
			b.Add(d)
		}
		return b
	}
	tests := map[string]struct {
		data func() [][]byte
		want string
	}{
		"the same":   {func() [][]byte { return records }, ""},
		"one less":   {func() [][]byte { return records[:len(records)-1] }, "were there"},
		"one more":   {func() [][]byte { return append(append([][]byte(nil), records...), records[len(records)-1]) }, "differs from its source"},
		"two change": {func() [][]byte { x := append([][]byte(nil), records...); x[3], x[4] = x[4], x[3]; return x }, "differs from its source"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			target := openFiles(t, t.TempDir(), journal.Notify{})
			defer target.Close()
			from := &logReader{log: source}
			cp := Copy{source: from, rest: from.rest, back: &logReader{log: target}, core: broker.New(broker.Options{}), opt: CopyOptions{Rate: -1},
				target: &spoiled{target, func(*journal.Batch) *journal.Batch { return batch(tt.data()) }}}
			cp.replay = cp.core.Replay
			cp.begin()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			err := cp.finish(ctx, from, func() bool { return true })
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("the copy is judged with %v, want %q", err, tt.want)
			}
		})
	}
}

// A copy whose source's head has overtaken it is to be begun anew.
func TestCopyOvertaken(t *testing.T) {
	source := openFiles(t, t.TempDir(), journal.Notify{})
	defer source.Close()
	target := openFiles(t, t.TempDir(), journal.Notify{})
	defer target.Close()
	add := func() journal.Position {
		var b journal.Batch
		b.Add([]byte{16}) // the core knows it: the broker has stopped
		if err := source.Append(&b, false); err != nil {
			t.Fatal(err)
		}
		within(t, "an append is durable", func() bool { return source.Tail() > b.Position(0) })
		return b.Position(0)
	}
	add()
	from := &logReader{log: source}
	cp := Copy{source: from, rest: from.rest, back: &logReader{log: target}, core: broker.New(broker.Options{}), target: target, opt: CopyOptions{Rate: -1}}
	cp.replay = cp.core.Replay
	cp.begin()
	if err := cp.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	add()
	if err := source.Trim(add()); err != nil {
		t.Fatal(err)
	}
	if err := cp.CatchUp(t.Context()); !errors.Is(err, journal.ErrTrimmed) {
		t.Errorf("a copy that was overtaken goes on with %v, want ErrTrimmed", err)
	}
}
