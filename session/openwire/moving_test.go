package openwire

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/godwitmq/godwit/broker"
	wire "github.com/godwitmq/godwit/codec/openwire"
	"github.com/godwitmq/godwit/engine"
	"github.com/godwitmq/godwit/journal"
	"github.com/godwitmq/godwit/journal/segment"
	"github.com/godwitmq/godwit/security"
	"github.com/godwitmq/godwit/session"
)

// failover connects over TCP, which one side may end alone, as a client with a failover transport does.
func (s *server) failover(name string, again bool) *client {
	s.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	defer l.Close()
	c := &client{t: s.t, name: name, ended: make(chan error, 1), out: make(chan []byte, 1000)}
	accepted := make(chan net.Conn, 1)
	go func() {
		theirs, err := l.Accept()
		if err != nil {
			close(accepted)
			return
		}
		accepted <- theirs
	}()
	if c.conn, err = net.Dial("tcp", l.Addr().String()); err != nil {
		s.t.Fatal(err)
	}
	theirs, ok := <-accepted
	if !ok {
		s.t.Fatal("nothing was accepted")
	}
	c.frames = wire.NewFramer(c.conn, 0)
	go func() {
		for b := range c.out {
			c.conn.Write(b)
		}
	}()
	go func() {
		c.ended <- Serve(s.ctx, theirs, session.Peer{Listener: "test", Remote: netip.MustParseAddrPort("192.0.2.1:1234")}, s.deps, s.opt)
	}()
	s.t.Cleanup(func() { close(c.out); c.conn.Close(); <-c.ended })
	c.hello(java(12))
	c.ask(&wire.ConnectionInfo{ConnectionID: wire.ConnectionID{Value: name}, ClientID: "client of " + name, FaultTolerant: true, FailoverReconnect: again})
	c.write(&wire.SessionInfo{SessionID: wire.SessionID{ConnectionID: name, Value: 1}})
	c.ask(&wire.ProducerInfo{ProducerID: c.producer(1)})
	return c
}

// wantEnd reads up to the end of what the broker says, which must come next.
func (c *client) wantEnd() {
	c.t.Helper()
	c.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	if frame, err := c.frames.Next(); !errors.Is(err, io.EOF) {
		c.t.Fatalf("got %d bytes, %v; want the end", len(frame), err)
	}
}

// size is how many messages a queue has.
func (s *server) size(name string) (n int64) {
	s.t.Helper()
	c := s.deps.Engine.Connect()
	defer c.Close()
	c.Submit(&broker.Connect{Conn: c.ID(), Ref: 1, Protocol: "http"}, &broker.List{Conn: c.ID(), Ref: 2})
	for {
		effects, err := c.Wait(nil)
		if err != nil {
			s.t.Fatal(err)
		}
		for _, e := range effects {
			if e.Ref != 2 {
				continue
			}
			for _, d := range e.Value.(*broker.View).Destinations {
				if d.Destination.Name == name {
					n = d.Size
				}
			}
			return n
		}
	}
}

// patience is more than any test needs.
const patience = time.Minute

// TestLeave: a failover client is let go, and what it says until it has noticed counts; a plain one stays.
func TestLeave(t *testing.T) {
	s := newServer(t, security.Policy{})
	plain, c := s.connect("ID:plain"), s.failover("ID:failover", false)
	left := make(chan time.Duration)
	go func() {
		begun := time.Now()
		s.deps.Engine.Leave(patience)
		left <- time.Since(begun)
	}()
	c.wantEnd()
	select {
	case <-left:
		t.Error("the client was not waited for")
	default:
	}
	last, err := c.encoder.Append(nil, c.text(queue("q"), 7, "the last word"))
	if err == nil {
		_, err = c.conn.Write(last)
	}
	if err != nil {
		t.Fatal(err)
	}
	c.conn.Close()
	if took := <-left; took > patience/2 {
		t.Errorf("it took %v: the end of the client's was not seen", took)
	}
	plain.ask(plain.text(queue("other"), 1, "x"))
	if n := s.size("q"); n != 1 {
		t.Errorf("%d messages, want the client's last word", n)
	}
}

// TestLeaveAfterAnswer: nobody is let go while something that it has asked for is unanswered: Java's clients would take its outcome for unknown.
func TestLeaveAfterAnswer(t *testing.T) {
	durable := make(chan struct{})
	dir := t.TempDir()
	e, err := engine.Open(func(n journal.Notify) (journal.Log, error) {
		slow := n
		opened := false
		slow.Durable = func(p journal.Position) {
			if opened {
				<-durable
			}
			n.Durable(p)
		}
		l, err := segment.Open(dir, segment.Options{}, slow)
		opened = true
		return l, err
	}, engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(t, security.Policy{})
	s.deps.Engine = e
	closed := false
	t.Cleanup(func() {
		if !closed {
			close(durable)
		}
		e.Close()
	})
	c := s.failover("ID:busy", false)
	sent := c.text(queue("q"), 1, "x")
	want := c.number(sent)
	c.write(sent)
	for begun := time.Now(); s.size("q") == 0; time.Sleep(time.Millisecond) {
		if time.Since(begun) > patience {
			t.Fatal("the message does not come")
		}
	}
	left := make(chan struct{})
	go func() { defer close(left); e.Leave(patience) }()
	time.Sleep(50 * time.Millisecond) // time to do it wrong
	close(durable)
	closed = true
	if got := read[*wire.Response](c); got.CorrelationID != want {
		t.Errorf("a Response to %d, want %d", got.CorrelationID, want)
	}
	c.wantEnd()
	c.conn.Close()
	<-left
}

// TestLeaveAfterTransaction: nobody is let go in the middle of a transaction, between its acknowledgements and its commit above all: Java's clients do not repeat
// acknowledgements on their next connection, and their commit would do without. Who takes too long is let go all the same.
func TestLeaveAfterTransaction(t *testing.T) {
	local := func(c *client) (wire.TransactionID, func(int8)) {
		return c.tx(1), func(what int8) { c.ask(c.transaction(1, what)) }
	}
	distributed := func(c *client) (wire.TransactionID, func(int8)) {
		id := xid("g", "b")
		return id, func(what int8) {
			if got := c.xa(id, what); got != "ok" {
				c.t.Errorf("step %d of the transaction: %s", what, got)
			}
		}
	}
	tests := map[string]struct {
		of      func(*client) (wire.TransactionID, func(int8))
		steps   []int8 // while it is to leave; the last ends the transaction, or makes it last
		silent  bool   // the last wants no answer
		hurried bool
		in, out int64 // messages left in one queue and brought to the other
	}{
		"commit":                       {of: local, steps: []int8{wire.TransactionCommitOnePhase}, out: 1},
		"rollback":                     {of: local, steps: []int8{wire.TransactionRollback}, in: 1},
		"commit without an answer":     {of: local, steps: []int8{wire.TransactionCommitOnePhase}, silent: true, out: 1},
		"distributed":                  {of: distributed, steps: []int8{wire.TransactionEnd, wire.TransactionCommitOnePhase}, out: 1},
		"distributed and prepared":     {of: distributed, steps: []int8{wire.TransactionEnd, wire.TransactionPrepare}, in: 1},
		"takes too long":               {of: local, hurried: true, in: 1},
		"distributed, takes too long":  {of: distributed, hurried: true, in: 1},
		"too long between end and all": {of: distributed, steps: []int8{wire.TransactionEnd}, hurried: true, in: 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, security.Policy{})
			s.opt.transactionPatience = 2 * patience
			if tt.hurried {
				s.opt.transactionPatience = 200 * time.Millisecond
			}
			c := s.failover("ID:busy", false)
			c.ask(c.text(queue("in"), 1, "x"))
			c.subscribe(1, queue("in"), 10)
			m, a := c.text(queue("out"), 2, "y"), ackOf(wire.AckStandard, c.receive("x"))
			id, step := tt.of(c)
			step(wire.TransactionBegin)
			m.TransactionID, a.TransactionID = id, id
			c.write(m, a)
			left := make(chan struct{})
			go func() { defer close(left); s.deps.Engine.Leave(patience) }()
			for i, what := range tt.steps {
				if !tt.hurried {
					time.Sleep(50 * time.Millisecond) // time to do it wrong
				}
				if tt.silent && i == len(tt.steps)-1 {
					c.write(c.transaction(1, what))
					continue
				}
				step(what)
			}
			c.wantEnd()
			c.conn.Close()
			<-left
			if in, out := s.size("in"), s.size("out"); in != tt.in || out != tt.out {
				t.Errorf("%d messages are left and %d were moved, want %d and %d", in, out, tt.in, tt.out)
			}
		})
	}
}

// TestDuplicateCause: what a Java client suppresses after a failover is no dead letter; what is there twice is.
func TestDuplicateCause(t *testing.T) {
	s := newServer(t, security.Policy{})
	c := s.failover("ID:dup", false)
	refuse := func(d *wire.MessageDispatch) {
		a := ackOf(wire.AckPoison, d)
		a.PoisonCause = &wire.Throwable{Class: "java.lang.Throwable", Message: "Suppressing duplicate delivery on connection, consumer ID:dup:1:2"}
		c.ask(a)
	}
	c.ask(c.text(queue("q"), 1, "x"))
	c.subscribe(1, queue("q"), 10)
	c.receive("x")
	c.ask(&wire.RemoveInfo{ObjectID: c.consumer(1), LastDeliveredSequenceID: lastUnknown})
	c.subscribe(2, queue("q"), 10)
	d := c.receive("x")
	refuse(d)
	if n := s.size("ActiveMQ.DLQ"); n != 0 {
		t.Errorf("%d dead letters", n)
	}
	c.ask(ackOf(wire.AckStandard, d)) // it was at work on it
	c.ask(c.text(queue("q"), 2, "fresh"))
	refuse(c.receive("fresh"))
	if n := s.size("ActiveMQ.DLQ"); n != 1 {
		t.Errorf("%d dead letters, want the one that was there twice", n)
	}
}

// TestAckOfBefore: a client that came back hears nothing of acknowledgements of what it had before and has not got again.
func TestAckOfBefore(t *testing.T) {
	for _, again := range []bool{true, false} {
		s := newServer(t, security.Policy{})
		c := s.failover("ID:late", again)
		c.ask(c.text(queue("q"), 1, "x"))
		c.subscribe(1, queue("q"), 10)
		a := ackOf(wire.AckStandard, c.receive("x"))
		a.FirstMessageID.BrokerSequenceID, a.LastMessageID.BrokerSequenceID = 4711, 4711
		c.write(a)
		if !again {
			read[*wire.ConnectionError](c)
		}
		c.ask(c.text(queue("q"), 2, "y")) // the next that is read is its answer
	}
}
