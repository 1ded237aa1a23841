package openwire

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	wire "github.com/godwitmq/godwit/codec/openwire"
	"github.com/godwitmq/godwit/engine"
	"github.com/godwitmq/godwit/journal"
	"github.com/godwitmq/godwit/journal/segment"
	"github.com/godwitmq/godwit/listen"
	"github.com/godwitmq/godwit/security"
	"github.com/godwitmq/godwit/session"
	"github.com/godwitmq/godwit/session/openwire"
)

// listening serves connections until the test ends, and gives the address.
func listening(t *testing.T, config *tls.Config, serve func(ctx context.Context, conn net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if config != nil {
		l = tls.NewListener(l, config)
	}
	ctx, stop := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer conn.Close()
				serve(ctx, conn)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		stop()
		serving.Wait()
	})
	return address
}

// godwit is a real broker; end stops serving all clients.
func godwit(t *testing.T, policy security.Policy, opt openwire.Options) (serve func(context.Context, net.Conn), end func()) {
	t.Helper()
	dir := t.TempDir()
	e, err := engine.Open(func(n journal.Notify) (journal.Log, error) {
		return segment.Open(dir, segment.Options{SegmentSize: 1 << 20}, n)
	}, engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	end = sync.OnceFunc(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(end)
	a, err := security.New(policy, security.Options{})
	if err != nil {
		t.Fatal(err)
	}
	deps := &session.Deps{Engine: e, Authority: a, Broker: session.Broker{ID: "ID:broker-1:1", Name: "test"}}
	return func(ctx context.Context, conn net.Conn) {
		openwire.Serve(ctx, conn, session.Peer{Listener: "test", Remote: netip.MustParseAddrPort("192.0.2.1:1234")}, deps, opt)
	}, end
}

func text(c *Conn, producer wire.ProducerID, sequence int64, body string) *wire.Message {
	return &wire.Message{Type: wire.CodeTextMessage, ProducerID: producer, MessageID: wire.MessageID{ProducerID: producer, ProducerSequenceID: sequence},
		Destination: wire.Destination{Type: wire.CodeQueue, Name: "q"}, Priority: 4, Content: append([]byte{0, 0, 0, byte(len(body))}, body...)}
}

// TestExchange sends and receives, calling and posting from several goroutines at once, over a plain and an encrypted connection.
func TestExchange(t *testing.T) {
	files, err := listen.EnsureDevCertificate(t.TempDir(), []string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := tls.LoadX509KeyPair(files.Certificate, files.Key)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		scheme string
		config *tls.Config
	}{
		"plain":     {"tcp://", nil},
		"encrypted": {"ssl://", &tls.Config{Certificates: []tls.Certificate{certificate}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			serve, _ := godwit(t, security.Policy{}, openwire.Options{})
			url := tt.scheme + listening(t, tt.config, serve)
			const each, senders = 50, 4
			got := make(chan string, 2*each*senders)
			var c *Conn
			ready := make(chan struct{})
			c, err := Dial(t.Context(), url, Options{TLS: &tls.Config{InsecureSkipVerify: true}, Dispatch: func(d *wire.MessageDispatch, more bool) {
				<-ready
				got <- string(d.Message.Content[4:])
				ack := &wire.MessageAck{AckType: wire.AckStandard, ConsumerID: d.ConsumerID, Destination: d.Destination, LastMessageID: d.Message.MessageID, FirstMessageID: d.Message.MessageID, MessageCount: 1}
				if err := c.Post(ack); err != nil {
					t.Error(err)
				}
			}})
			if err != nil {
				t.Fatal(err)
			}
			close(ready)
			if _, err := c.Call(&wire.ConsumerInfo{ConsumerID: c.ConsumerID(c.NextID()), Destination: wire.Destination{Type: wire.CodeQueue, Name: "q"}, PrefetchSize: 7}); err != nil {
				t.Fatal(err)
			}
			var sending sync.WaitGroup
			for range senders {
				sending.Go(func() {
					id := c.ProducerID(c.NextID())
					if err := c.Post(&wire.ProducerInfo{ProducerID: id}); err != nil {
						t.Error(err)
					}
					for i := range int64(each) {
						if _, err := c.Call(text(c, id, 2*i+1, "called")); err != nil {
							t.Error(err)
						}
						if err := c.Post(text(c, id, 2*i+2, "posted")); err != nil {
							t.Error(err)
						}
					}
				})
			}
			sending.Wait()
			counts := map[string]int{}
			for range 2 * each * senders {
				counts[<-got]++
			}
			if counts["called"] != each*senders || counts["posted"] != each*senders {
				t.Errorf("received %v", counts)
			}
			if err := c.Sync(); err != nil {
				t.Error(err)
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			if err := c.Err(); err != nil {
				t.Errorf("after Close: %v", err)
			}
			if _, err := c.Call(text(c, c.ProducerID(1), 1, "late")); err == nil {
				t.Error("a Call after Close succeeded")
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	hash, err := security.HashPassword("p")
	if err != nil {
		t.Fatal(err)
	}
	serve, _ := godwit(t, security.Policy{Mode: security.Mandatory, Users: []security.User{{Name: "u", PasswordHash: hash, Groups: []string{"g"}}},
		Rights: []security.Entry{{Destination: "queue://other", Write: []string{"g"}}}}, openwire.Options{})
	url := "tcp://" + listening(t, nil, serve)
	_, err = Dial(t.Context(), url, Options{User: "u", Password: "wrong"})
	var refused *RemoteError
	if !errors.As(err, &refused) || refused.Class != "java.lang.SecurityException" || !strings.Contains(err.Error(), "User name [u] or password is invalid.") {
		t.Errorf("a login with a wrong password = %v", err)
	}
	c, err := Dial(t.Context(), url, Options{User: "u", Password: "p"})
	if err != nil {
		t.Fatal(err)
	}
	id := c.ProducerID(c.NextID())
	if _, err := c.Call(&wire.ProducerInfo{ProducerID: id}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Call(text(c, id, 1, "x")); !errors.As(err, &refused) || refused.Class != "java.lang.SecurityException" {
		t.Errorf("a send without the right = %v", err)
	}
	if err := c.Post(text(c, id, 2, "x")); err != nil {
		t.Fatal(err)
	}
	<-c.Done()
	if err := c.Err(); !errors.As(err, &refused) {
		t.Errorf("after a posted send without the right: %v, want what the broker said", err)
	}
}

// TestEnds: whoever waits learns that the connection has ended.
func TestEnds(t *testing.T) {
	hello := func(conn net.Conn) {
		var e wire.Encoder
		out, err := e.Append(nil, wire.WireFormat{Version: 12, MaxInactivity: 50 * time.Millisecond}.Info())
		if err == nil {
			_, err = conn.Write(out)
		}
		if err != nil {
			t.Error(err)
		}
	}
	frames := func(conn net.Conn, n int) {
		f := wire.NewFramer(conn, 0)
		for range n {
			if _, err := f.Next(); err != nil {
				return
			}
		}
	}
	drain := func(conn net.Conn) { frames(conn, 1<<30) }
	tests := map[string]struct {
		serve func(ctx context.Context, conn net.Conn)
		want  string
	}{
		"at once":         {func(_ context.Context, conn net.Conn) { frames(conn, 1) }, "EOF"},
		"garbage":         {func(_ context.Context, conn net.Conn) { conn.Write([]byte("HTTP/1.1 400\r\n\r\n")); drain(conn) }, "bad frame size"},
		"no hello":        {func(_ context.Context, conn net.Conn) { conn.Write([]byte{0, 0, 0, 1, 0}); drain(conn) }, "expected WireFormatInfo"},
		"while it waits":  {func(_ context.Context, conn net.Conn) { hello(conn); frames(conn, 2) }, "the broker has ended the connection"},
		"silence":         {func(_ context.Context, conn net.Conn) { hello(conn); drain(conn) }, "i/o timeout"},
		"garbage instead": {func(_ context.Context, conn net.Conn) { hello(conn); conn.Write([]byte{0, 0, 0, 1, 200}); drain(conn) }, "openwire: decode"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := Dial(t.Context(), "tcp://"+listening(t, nil, tt.serve), Options{})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
	t.Run("canceled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		_, err := Dial(ctx, "tcp://"+listening(t, nil, func(_ context.Context, conn net.Conn) { hello(conn); frames(conn, 2); cancel(); drain(conn) }), Options{MaxInactivity: time.Hour})
		if err == nil {
			t.Error("a canceled Dial succeeded")
		}
	})
	t.Run("no address", func(t *testing.T) {
		for _, url := range []string{"", "127.0.0.1:61616", "http://x:1", "tcp://host", "tcp://[::1"} {
			if _, err := Dial(t.Context(), url, Options{}); err == nil || !strings.Contains(err.Error(), "expected tcp://HOST:PORT") {
				t.Errorf("Dial(%q) = %v", url, err)
			}
		}
	})
}

// TestKeepAlive: a connection without traffic lives.
func TestKeepAlive(t *testing.T) {
	serve, end := godwit(t, security.Policy{}, openwire.Options{})
	c, err := Dial(t.Context(), "tcp://"+listening(t, nil, serve), Options{MaxInactivity: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-c.Done():
		t.Fatalf("the connection has ended: %v", c.Err())
	case <-time.After(time.Second): // of silence, which is what is tested
	}
	if err := c.Sync(); err != nil {
		t.Error(err)
	}
	end()
	<-c.Done()
	if c.Err() == nil {
		t.Error("the end that the broker made has no reason")
	}
	if err := c.Close(); err == nil {
		t.Error("Close of a connection that had ended says that all was taken")
	}
}
