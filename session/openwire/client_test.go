package openwire

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	wire "github.com/godwitmq/godwit/codec/openwire"
	"github.com/godwitmq/godwit/engine"
	"github.com/godwitmq/godwit/journal"
	"github.com/godwitmq/godwit/journal/segment"
	"github.com/godwitmq/godwit/security"
	"github.com/godwitmq/godwit/session"
)

// server is a broker to connect to.
type server struct {
	t    testing.TB
	deps *session.Deps
	opt  Options
	ctx  context.Context
	stop context.CancelFunc
}

func newServer(t testing.TB, policy security.Policy) *server {
	t.Helper()
	dir := t.TempDir()
	e, err := engine.Open(func(n journal.Notify) (journal.Log, error) { return segment.Open(dir, segment.Options{}, n) }, engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	a, err := security.New(policy, security.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, deps: &session.Deps{Engine: e, Authority: a, Broker: session.Broker{ID: "ID:broker-1:1", Name: "test"}}}
	s.ctx, s.stop = context.WithCancel(context.Background())
	t.Cleanup(s.stop)
	return s
}

// client is the other side of a session, made of the codec.
type client struct {
	t       testing.TB
	conn    net.Conn
	frames  *wire.Framer
	decoder wire.Decoder
	encoder wire.Encoder
	name    string
	next    int32
	ended   chan error  // what Serve returned
	out     chan []byte // to be written: over a pipe a write lasts until it is read, and the broker may have to write first
}

// dial connects over a pipe; nothing is said yet.
func (s *server) dial(name string) *client {
	ours, theirs := net.Pipe()
	c := &client{t: s.t, conn: ours, frames: wire.NewFramer(ours, 0), name: name, ended: make(chan error, 1), out: make(chan []byte, 1000)}
	go func() {
		for b := range c.out {
			ours.Write(b)
		}
	}()
	go func() {
		c.ended <- Serve(s.ctx, theirs, session.Peer{Listener: "test", Remote: netip.MustParseAddrPort("192.0.2.1:1234")}, s.deps, s.opt)
	}()
	s.t.Cleanup(func() { close(c.out); ours.Close(); <-c.ended })
	return c
}

// hello exchanges the WireFormatInfos and reads the BrokerInfo.
func (c *client) hello(w wire.WireFormat) {
	c.t.Helper()
	first := read[*wire.WireFormatInfo](c)
	theirs, err := first.WireFormat()
	if err != nil {
		c.t.Fatal(err)
	}
	c.write(w.Info())
	agreed, err := theirs.Combine(w, 1)
	if err != nil {
		c.t.Fatal(err)
	}
	if agreed.TightEncoding || agreed.Cache || agreed.SizePrefixDisabled {
		c.t.Fatalf("the broker agreed to %+v; the codec knows only loose frames with sizes and without cache", agreed)
	}
	c.decoder = wire.Decoder{Version: agreed.Version, StackTraces: agreed.StackTrace}
	c.encoder = wire.Encoder{Version: agreed.Version, StackTraces: agreed.StackTrace}
	read[*wire.BrokerInfo](c)
}

// java is what activemq-client 6.3 says.
func java(version int) wire.WireFormat {
	return wire.WireFormat{Version: version, TightEncoding: true, Cache: true, CacheSize: 1024, StackTrace: true, TCPNoDelay: true, MaxInactivity: 30 * time.Second,
		MaxInactivityInitialDelay: 10 * time.Second, MaxFrameSize: 1<<63 - 1, MaxFrameSizeEnabled: true, ProviderName: "ActiveMQ", ProviderVersion: "6.3.1"}
}

// connect logs in as a Java client does, with session 1 and a producer 1 for any destination.
func (s *server) connect(name string) *client {
	s.t.Helper()
	return s.connectAs(name, java(12))
}

func (s *server) connectAs(name string, w wire.WireFormat) *client {
	s.t.Helper()
	c := s.dial(name)
	c.hello(w)
	c.login()
	c.write(&wire.SessionInfo{SessionID: wire.SessionID{ConnectionID: name, Value: 1}})
	c.ask(&wire.ProducerInfo{ProducerID: c.producer(1)})
	return c
}

func (c *client) login() {
	c.t.Helper()
	c.ask(&wire.ConnectionInfo{ConnectionID: wire.ConnectionID{Value: c.name}, ClientID: "client of " + c.name, UserName: "user", Password: "secret", ClientMaster: true})
}

func (c *client) producer(n int64) wire.ProducerID {
	return wire.ProducerID{ConnectionID: c.name, SessionID: 1, Value: n}
}

func (c *client) consumer(n int64) wire.ConsumerID {
	return wire.ConsumerID{ConnectionID: c.name, SessionID: 1, Value: n}
}

// write sends commands as they are, in one piece.
func (c *client) write(commands ...wire.Command) {
	c.t.Helper()
	var b []byte
	for _, command := range commands {
		var err error
		if b, err = c.encoder.Append(b, command); err != nil {
			c.t.Fatal(err)
		}
	}
	c.out <- b
}

// number gives a command its number; it wants a Response.
func (c *client) number(command wire.Command) int32 {
	c.next++
	base := wire.BaseCommand{CommandID: c.next, ResponseRequired: true}
	switch v := command.(type) {
	case *wire.ConnectionInfo:
		v.BaseCommand = base
	case *wire.SessionInfo:
		v.BaseCommand = base
	case *wire.ProducerInfo:
		v.BaseCommand = base
	case *wire.ConsumerInfo:
		v.BaseCommand = base
	case *wire.Message:
		v.BaseCommand = base
	case *wire.MessageAck:
		v.BaseCommand = base
	case *wire.MessagePull:
		v.BaseCommand = base
	case *wire.TransactionInfo:
		v.BaseCommand = base
	case *wire.DestinationInfo:
		v.BaseCommand = base
	case *wire.RemoveInfo:
		v.BaseCommand = base
	case *wire.RemoveSubscriptionInfo:
		v.BaseCommand = base
	case *wire.ConsumerControl:
		v.BaseCommand = base
	case *wire.ControlCommand:
		v.BaseCommand = base
	case *wire.BrokerInfo:
		v.BaseCommand = base
	case *wire.MessageDispatch:
		v.BaseCommand = base
	case *wire.KeepAliveInfo:
		v.BaseCommand = base
	default:
		c.t.Fatalf("number a %T", command)
	}
	return c.next
}

// ask sends a command and reads its Response.
func (c *client) ask(command wire.Command) {
	c.t.Helper()
	want := c.number(command)
	c.write(command)
	if got := read[*wire.Response](c); got.CorrelationID != want {
		c.t.Fatalf("a Response to %d, want one to %d", got.CorrelationID, want)
	}
}

// refused sends a command and reads the ExceptionResponse.
func (c *client) refused(command wire.Command) *wire.Throwable {
	c.t.Helper()
	want := c.number(command)
	c.write(command)
	got := read[*wire.ExceptionResponse](c)
	if got.CorrelationID != want {
		c.t.Fatalf("an ExceptionResponse to %d, want one to %d", got.CorrelationID, want)
	}
	return got.Exception
}

// any reads the next command.
func (c *client) any() (wire.Command, error) {
	c.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	frame, err := c.frames.Next()
	if err != nil {
		return nil, err
	}
	return c.decoder.Decode(append([]byte(nil), frame...))
}

// read reads the next command, which must be a T.
func read[T wire.Command](c *client) T {
	c.t.Helper()
	got, err := c.any()
	if err != nil {
		c.t.Fatal(err)
	}
	want, ok := got.(T)
	if !ok {
		text := fmt.Sprintf("%+v", got)
		switch v := got.(type) {
		case *wire.ExceptionResponse:
			text = fmt.Sprintf("%+v", *v.Exception)
		case *wire.ConnectionError:
			text = fmt.Sprintf("%+v", *v.Exception)
		}
		c.t.Fatalf("got a %T %s, want a %T", got, text, want)
	}
	return want
}

func queue(name string) wire.Destination { return wire.Destination{Type: wire.CodeQueue, Name: name} }
func topic(name string) wire.Destination { return wire.Destination{Type: wire.CodeTopic, Name: name} }

// text makes a text message of producer 1.
func (c *client) text(to wire.Destination, sequence int64, body string) *wire.Message {
	return &wire.Message{Type: wire.CodeTextMessage, ProducerID: c.producer(1), MessageID: wire.MessageID{ProducerID: c.producer(1), ProducerSequenceID: sequence},
		Destination: to, Priority: 4, Persistent: true, Content: append([]byte{0, 0, 0, byte(len(body))}, body...)}
}

// subscribe opens consumer n.
func (c *client) subscribe(n int64, d wire.Destination, prefetch int32) {
	c.t.Helper()
	c.ask(&wire.ConsumerInfo{ConsumerID: c.consumer(n), Destination: d, PrefetchSize: prefetch})
}

// receive reads the dispatch of a text.
func (c *client) receive(body string) *wire.MessageDispatch {
	c.t.Helper()
	d := read[*wire.MessageDispatch](c)
	if d.Message == nil || len(d.Message.Content) < 4 || string(d.Message.Content[4:]) != body {
		c.t.Fatalf("got the dispatch %+v of %+v, want %q", d, d.Message, body)
	}
	return d
}

func ackOf(kind int8, d *wire.MessageDispatch) *wire.MessageAck {
	return &wire.MessageAck{AckType: kind, ConsumerID: d.ConsumerID, Destination: d.Destination, FirstMessageID: d.Message.MessageID, LastMessageID: d.Message.MessageID, MessageCount: 1}
}

func (c *client) tx(n int64) wire.TransactionID {
	return wire.TransactionID{Type: wire.CodeLocalTransactionID, ConnectionID: c.name, Value: n}
}

func (c *client) transaction(n int64, what int8) *wire.TransactionInfo {
	return &wire.TransactionInfo{ConnectionID: wire.ConnectionID{Value: c.name}, TransactionID: c.tx(n), Type: what}
}
