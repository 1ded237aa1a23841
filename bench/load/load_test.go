package load

import (
	"context"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	client "github.com/godwitmq/godwit/client/openwire"
	wire "github.com/godwitmq/godwit/codec/openwire"
	"github.com/godwitmq/godwit/engine"
	"github.com/godwitmq/godwit/journal"
	"github.com/godwitmq/godwit/journal/segment"
	"github.com/godwitmq/godwit/security"
	"github.com/godwitmq/godwit/session"
	"github.com/godwitmq/godwit/session/openwire"
)

// listen serves connections until the test ends, and gives the URL.
func listen(t *testing.T, serve func(ctx context.Context, conn net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { serve(ctx, conn) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		stop()
		serving.Wait()
	})
	return "tcp://" + l.Addr().String()
}

// godwit is a real broker.
func godwit(t *testing.T) (string, *engine.Engine) {
	t.Helper()
	dir := t.TempDir()
	e, err := engine.Open(func(n journal.Notify) (journal.Log, error) {
		return segment.Open(dir, segment.Options{SegmentSize: 1 << 20}, n)
	}, engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	a, err := security.New(security.Policy{}, security.Options{})
	if err != nil {
		t.Fatal(err)
	}
	deps := &session.Deps{Engine: e, Authority: a, Broker: session.Broker{ID: "ID:broker-1:1", Name: "test"}}
	return listen(t, func(ctx context.Context, conn net.Conn) {
		openwire.Serve(ctx, conn, session.Peer{Listener: "test", Remote: netip.MustParseAddrPort("192.0.2.1:1234")}, deps, openwire.Options{})
	}), e
}

func TestLoad(t *testing.T) {
	tests := map[string]struct {
		options        Options
		sent, received int64
		sends          int64 // latencies
	}{
		"one":                    {Options{Producers: 1, Consumers: 1, Count: 50, Persistent: true}, 50, 50, 50},
		"several":                {Options{Producers: 3, Consumers: 2, Count: 100, Persistent: true, Prefetch: 3}, 100, 100, 100},
		"transacted":             {Options{Producers: 2, Consumers: 2, Count: 105, Persistent: true, Transacted: 10}, 105, 105, 11},
		"transacted, prefetch 3": {Options{Producers: 1, Consumers: 2, Count: 40, Transacted: 10, Prefetch: 3}, 40, 40, 4},
		"async":                  {Options{Producers: 2, Consumers: 1, Count: 300, Async: true, Size: MinSize}, 300, 300, 0},
		"topic":                  {Options{Producers: 2, Consumers: 3, Count: 60, Topic: true}, 60, 180, 60},
		"many consumers":         {Options{Producers: 1, Consumers: 3 * connecting, Count: 100, Prefetch: 1}, 100, 100, 100},
		"no consumers":           {Options{Producers: 1, Count: 20, Persistent: true}, 20, 0, 20},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tt.options.URL, _ = godwit(t)
			tt.options.Patience = 5 * time.Second
			run, err := New(t.Context(), tt.options)
			if err != nil {
				t.Fatal(err)
			}
			got, err := run.Go(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := got.Fault(); err != nil {
				t.Error(err)
			}
			if got.Sent != tt.sent || got.Received != tt.received || got.EndToEnd.Count != tt.received || got.Sends.Count < tt.sends || tt.sends == 0 && got.Sends.Count > 0 {
				t.Errorf("got %+v; want %d sent, %d received, %d latencies of sends", got, tt.sent, tt.received, tt.sends)
			}
			if err := run.Close(); err != nil {
				t.Error(err)
			}
			// What was acknowledged has gone, and the run's own destination with it.
			again, err := New(t.Context(), Options{URL: tt.options.URL, Destination: strings.TrimPrefix(got.Destination, "queue://"), Producers: 1, Consumers: 1, Count: 1})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := again.Go(t.Context()); err != nil {
				t.Error(err)
			}
			if err := again.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A connection that fails ends the whole, whichever it is, and none of the others stays.
func TestConnectFails(t *testing.T) {
	url, _ := godwit(t)
	for _, good := range []int{0, connecting / 2, 2*connecting + 3} {
		var accepted atomic.Int64
		var open sync.WaitGroup
		open.Add(good)
		limited := listen(t, func(ctx context.Context, conn net.Conn) {
			defer conn.Close()
			if accepted.Add(1) > int64(good) {
				return
			}
			defer open.Done()
			broker, err := net.Dial("tcp", strings.TrimPrefix(url, "tcp://"))
			if err != nil {
				t.Error(err)
				return
			}
			defer broker.Close()
			go io.Copy(conn, broker)
			io.Copy(broker, conn) // until the client closes
		})
		run, err := New(t.Context(), Options{URL: limited, Destination: "q", Producers: 1, Consumers: 3 * connecting, Count: 1})
		if err == nil {
			run.Close()
			t.Errorf("%d consumers of a broker that takes %d connections: no error", 3*connecting, good)
		}
		open.Wait()
	}
}

// Messages of others are neither counted nor taken.
func TestForeignMessages(t *testing.T) {
	url, _ := godwit(t)
	first, err := New(t.Context(), Options{URL: url, Destination: "q", Producers: 1, Count: 1, Persistent: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := first.Go(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second, err := New(t.Context(), Options{URL: url, Destination: "q", Producers: 1, Consumers: 1, Count: 5})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := second.Go(t.Context()); err == nil || !strings.Contains(err.Error(), "queue://q holds messages that are not of this run") {
		t.Errorf("got %v, want an error that tells of foreign messages", err)
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
	got := make(chan int, 10)
	c, err := client.Dial(t.Context(), url, client.Options{Dispatch: func(d *wire.MessageDispatch, more bool) { got <- len(d.Message.Content) }})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Call(&wire.ConsumerInfo{ConsumerID: c.ConsumerID(1), Destination: wire.Destination{Type: wire.CodeQueue, Name: "q"}, PrefetchSize: 1}); err != nil {
		t.Fatal(err)
	}
	if n := <-got; n != 1024 {
		t.Errorf("got a message of %d bytes, want that of the first run", n)
	}
}

// broken is a broker that answers everything, and treats one queue's messages as tamper says.
type broken struct {
	mu       sync.Mutex
	consumer func(*wire.Message)
	tamper   func(n int, m *wire.Message, deliver func(*wire.Message))
	n        int
}

func (b *broken) serve(_ context.Context, conn net.Conn) {
	defer conn.Close()
	var e wire.Encoder
	var mu sync.Mutex
	write := func(c wire.Command) {
		mu.Lock()
		defer mu.Unlock()
		if out, err := e.Append(nil, c); err == nil {
			conn.Write(out)
		}
	}
	write(wire.WireFormat{Version: 12}.Info())
	e.Version = 12
	frames, decoder := wire.NewFramer(conn, 0), wire.Decoder{Version: 12}
	for {
		frame, err := frames.Next()
		if err != nil {
			return
		}
		command, err := decoder.Decode(append([]byte(nil), frame...))
		if err != nil {
			return
		}
		switch v := command.(type) {
		case *wire.ConsumerInfo:
			id := v.ConsumerID
			b.consumer = func(m *wire.Message) {
				write(&wire.MessageDispatch{ConsumerID: id, Destination: m.Destination, Message: m})
			}
		case *wire.Message:
			b.mu.Lock()
			b.n++
			b.tamper(b.n, v, b.consumer)
			b.mu.Unlock()
		}
		if command.NeedsResponse() {
			write(&wire.Response{CorrelationID: command.ID()})
		}
	}
}

func TestFaultsAreFound(t *testing.T) {
	var kept *wire.Message
	tests := map[string]struct {
		tamper func(n int, m *wire.Message, deliver func(*wire.Message))
		want   string
	}{
		"none": {func(n int, m *wire.Message, deliver func(*wire.Message)) { deliver(m) }, ""},
		"lost": {func(n int, m *wire.Message, deliver func(*wire.Message)) {
			if n != 3 {
				deliver(m)
			}
		}, "the broker lost 1 messages, delivered 0 twice and 0 out of order"},
		"twice": {func(n int, m *wire.Message, deliver func(*wire.Message)) {
			deliver(m)
			if n == 3 {
				deliver(m)
			}
		}, "the broker lost 0 messages, delivered 1 twice and 0 out of order"},
		"swapped": {func(n int, m *wire.Message, deliver func(*wire.Message)) {
			switch n {
			case 3:
				kept = m
			case 4:
				deliver(m)
				deliver(kept)
			default:
				deliver(m)
			}
		}, "the broker lost 0 messages, delivered 0 twice and 1 out of order"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			run, err := New(t.Context(), Options{URL: listen(t, (&broken{tamper: tt.tamper}).serve), Producers: 1, Consumers: 1, Count: 6, Patience: 200 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			got, err := run.Go(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			text := ""
			if err := got.Fault(); err != nil {
				text = err.Error()
			}
			if text != tt.want {
				t.Errorf("got %q, want %q; %+v", text, tt.want, got)
			}
			if err := run.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A broker that falls silent holds nobody up for long.
func TestSilentBroker(t *testing.T) {
	tests := map[string]Options{
		"at a send":   {Producers: 1, Consumers: 1, Duration: 10 * time.Millisecond},
		"at a commit": {Producers: 1, Consumers: 1, Duration: 10 * time.Millisecond, Transacted: 5},
	}
	for name, o := range tests {
		t.Run(name, func(t *testing.T) {
			release := make(chan struct{})
			o.URL = listen(t, (&broken{tamper: func(int, *wire.Message, func(*wire.Message)) { <-release }}).serve)
			o.Patience = 50 * time.Millisecond
			run, err := New(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := run.Go(t.Context()); err == nil || !strings.Contains(err.Error(), "the broker has not answered for 50ms") {
				t.Errorf("got %v, want an error that tells of silence", err)
			}
			close(release)
			run.Close()
		})
	}
}

func TestOptions(t *testing.T) {
	tests := map[string]struct {
		options Options
		want    string
	}{
		"no producer":  {Options{}, "1 to 10000 producers"},
		"small":        {Options{Producers: 1, Size: 5}, "28 bytes to 64 MiB"},
		"negative":     {Options{Producers: 1, Prefetch: -1}, "makes no sense"},
		"no broker":    {Options{Producers: 1, URL: "tcp://127.0.0.1:1"}, "connect to tcp://127.0.0.1:1: "},
		"no consumers": {Options{Producers: 1, Consumers: -1}, "0 to 10000 consumers"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := New(t.Context(), tt.options); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
}

func TestHistogram(t *testing.T) {
	var h, other histogram
	for v := range int64(1000) {
		h.add(v * 1000)
		other.add(v * 1000)
	}
	h.merge(&other)
	got := h.summary()
	if got.Count != 2000 || got.Max != 999_000 {
		t.Errorf("got %+v", got)
	}
	for q, want := range map[float64]int64{0.5: 499_000, 0.99: 989_000} {
		if v := int64(h.quantile(q)); v < want || v > want+want/64+1 {
			t.Errorf("quantile(%v) = %d, want %d or up to a 64th more", q, v, want)
		}
	}
	for v := int64(0); v < 1<<40; v = v*5/4 + 1 {
		if i := slot(v); bound(i) < v || i > 0 && bound(i-1) >= v {
			t.Fatalf("%d is in slot %d, which ends at %d", v, i, bound(i))
		}
	}
}
