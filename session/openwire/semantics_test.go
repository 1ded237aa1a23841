package openwire

import (
	"bytes"
	"io"
	"reflect"
	"testing"
	"time"

	wire "github.com/godwitmq/godwit/codec/openwire"
	"github.com/godwitmq/godwit/message"
	"github.com/godwitmq/godwit/security"
)

// TestMessages sends messages and compares what comes out.
func TestMessages(t *testing.T) {
	properties := []byte{0, 0, 0, 1, 0, 1, 'k', 9, 0, 1, 'v'}
	tests := map[string]wire.Message{
		"plain":         {Type: wire.CodeMessage},
		"bytes":         {Type: wire.CodeBytesMessage, Content: []byte{1, 2, 3}},
		"empty bytes":   {Type: wire.CodeBytesMessage, Content: []byte{}},
		"map":           {Type: wire.CodeMapMessage, Content: properties},
		"object":        {Type: wire.CodeObjectMessage, Content: []byte("\xac\xed\x00\x05t\x00\x01x")},
		"stream":        {Type: wire.CodeStreamMessage, Content: []byte{1, 1}},
		"text":          {Type: wire.CodeTextMessage, Content: []byte{0, 0, 0, 2, 'h', 'i'}},
		"null text":     {Type: wire.CodeTextMessage},
		"blob":          {Type: wire.CodeBlobMessage, RemoteBlobURL: "http://x/y", MimeType: "text/plain", DeletedByBroker: true},
		"compressed":    {Type: wire.CodeTextMessage, Content: []byte{0x78, 0x9c, 1, 2, 3}, Compressed: true},
		"all headers":   {Type: wire.CodeTextMessage, Persistent: true, CorrelationID: "c", JMSType: "t", GroupID: "g", GroupSequence: 3, Timestamp: 17, Priority: 9, ReplyTo: topic("R"), MarshalledProperties: properties},
		"expires later": {Type: wire.CodeTextMessage, Expiration: 1 << 60},
	}
	s := newServer(t, security.Policy{})
	c := s.connect("ID:messages")
	c.subscribe(1, queue("q"), 100)
	n := int64(0)
	for name, sent := range tests {
		t.Run(name, func(t *testing.T) {
			c.t = t
			n++
			sent.Destination, sent.ProducerID = queue("q"), c.producer(1)
			sent.MessageID = wire.MessageID{ProducerID: c.producer(1), ProducerSequenceID: n}
			before := time.Now().UnixMilli()
			c.write(&sent)
			got := read[*wire.MessageDispatch](c)
			if got.ConsumerID != c.consumer(1) || got.Destination != queue("q") || got.RedeliveryCounter != 0 {
				t.Errorf("dispatch %+v", got)
			}
			m := *got.Message
			if m.BrokerInTime < before || m.BrokerOutTime < m.BrokerInTime || m.MessageID.BrokerSequenceID <= 0 {
				t.Errorf("broker in %d, out %d, sequence %d", m.BrokerInTime, m.BrokerOutTime, m.MessageID.BrokerSequenceID)
			}
			if grouped := m.GroupID != ""; m.JMSXGroupFirstForConsumer != grouped {
				t.Errorf("first of its group: %v, want %v", m.JMSXGroupFirstForConsumer, grouped)
			}
			m.BrokerInTime, m.BrokerOutTime, m.MessageID.BrokerSequenceID, m.JMSXGroupFirstForConsumer = 0, 0, 0, false
			// An encoded zero value and null are told apart by an unexported field.
			for _, x := range []*wire.Message{&m, &sent} {
				b, err := c.encoder.AppendMessage(nil, x)
				if err != nil {
					t.Fatal(err)
				}
				if x == &m {
					continue
				}
				if other, _ := c.encoder.AppendMessage(nil, &m); !bytes.Equal(b, other) {
					t.Errorf("got  %+v\nwant %+v", m, sent)
				}
			}
			c.write(ackOf(wire.AckStandard, got))
		})
	}
}

func TestSendAsync(t *testing.T) {
	s := newServer(t, secured(t))
	c := s.connect("ID:async")
	c.write(c.text(queue("CLOSED"), 1, "x"))
	if got := read[*wire.ConnectionError](c); got.Exception.Class != "java.lang.SecurityException" {
		t.Errorf("got %+v", got.Exception)
	}
	// A refused send spoils its transaction.
	m := c.text(queue("CLOSED"), 2, "x")
	m.TransactionID = c.tx(1)
	c.write(c.transaction(1, wire.TransactionBegin), m)
	read[*wire.ConnectionError](c)
	m = c.text(queue("OPEN.A"), 3, "undone")
	m.TransactionID = c.tx(1)
	c.write(m)
	if got := c.refused(c.transaction(1, wire.TransactionCommitOnePhase)); got.Class != "jakarta.jms.TransactionRolledBackException" {
		t.Errorf("the commit failed by %+v", got)
	}
	c.ask(c.text(queue("OPEN.A"), 4, "done"))
	c.subscribe(1, queue("OPEN.A"), 10)
	c.receive("done")
}

func TestProducerWindow(t *testing.T) {
	s := newServer(t, secured(t))
	c := s.connect("ID:window")
	c.ask(&wire.ProducerInfo{ProducerID: c.producer(2), WindowSize: 100_000})
	m := c.text(queue("OPEN.A"), 1, "hello")
	m.ProducerID = c.producer(2)
	c.write(m)
	if got := read[*wire.ProducerAck](c); got.ProducerID != c.producer(2) || got.Size != 1024+9 {
		t.Errorf("got %+v, want room for %d bytes", got, 1024+9)
	}
	c.ask(m) // who waits for a Response gets no ProducerAck
	m.Destination, m.BaseCommand = queue("CLOSED"), wire.BaseCommand{}
	c.write(m)
	read[*wire.ConnectionError](c)
	read[*wire.ProducerAck](c)
	c.subscribe(1, queue("OPEN.A"), 10)
	c.receive("hello")
}

func TestTransactions(t *testing.T) {
	s := newServer(t, security.Policy{})
	c := s.connect("ID:tx")
	c.subscribe(1, queue("q"), 10)
	send := func(n, sequence int64, body string) {
		m := c.text(queue("q"), sequence, body)
		m.TransactionID = c.tx(n)
		c.write(c.transaction(n, wire.TransactionBegin), m)
	}
	send(1, 1, "rolled back")
	c.ask(c.transaction(1, wire.TransactionRollback))
	send(2, 2, "committed")
	want := c.number(c.transaction(2, wire.TransactionCommitOnePhase))
	c.write(&wire.TransactionInfo{BaseCommand: wire.BaseCommand{CommandID: want, ResponseRequired: true}, TransactionID: c.tx(2), Type: wire.TransactionCommitOnePhase})
	var d *wire.MessageDispatch
	for range 2 { // in either order
		got, err := c.any()
		if err != nil {
			t.Fatal(err)
		}
		if x, ok := got.(*wire.MessageDispatch); ok {
			d = x
		}
	}
	if d == nil || string(d.Message.Content[4:]) != "committed" {
		t.Fatalf("got %+v", d)
	}
	// An acknowledgement that is rolled back may be done again.
	for n, end := range map[int64]int8{3: wire.TransactionRollback, 4: wire.TransactionCommitOnePhase} {
		a := ackOf(wire.AckStandard, d)
		a.TransactionID = c.tx(n)
		c.write(c.transaction(n, wire.TransactionBegin))
		c.ask(a)
		c.ask(c.transaction(n, end))
		if end == wire.TransactionCommitOnePhase {
			break
		}
	}
	recover := c.transaction(0, wire.TransactionRecover)
	recover.TransactionID = wire.TransactionID{}
	c.number(recover)
	c.write(recover)
	if got := read[*wire.DataArrayResponse](c); len(got.Data) != 0 {
		t.Errorf("recover gave %v", got.Data)
	}
}

// TestRedelivery looks at what a removed consumer's messages say of themselves afterwards.
func TestRedelivery(t *testing.T) {
	tests := map[string]struct {
		version int
		last    func(d []*wire.MessageDispatch) int64
		want    []int32
	}{
		"none was seen": {12, func([]*wire.MessageDispatch) int64 { return 0 }, []int32{0, 0, 0}},
		"not said":      {12, func([]*wire.MessageDispatch) int64 { return -1 }, []int32{0, 0, 0}},
		"nobody knows":  {12, func([]*wire.MessageDispatch) int64 { return -2 }, []int32{1, 1, 1}},
		"the second":    {12, func(d []*wire.MessageDispatch) int64 { return d[1].Message.MessageID.BrokerSequenceID }, []int32{1, 1, 0}},
		"first to say":  {5, func([]*wire.MessageDispatch) int64 { return 0 }, []int32{0, 0, 0}},
		"cannot say":    {4, func([]*wire.MessageDispatch) int64 { return 0 }, []int32{1, 1, 1}},
	}
	s := newServer(t, security.Policy{})
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := *s
			s.t = t
			c := s.connectAs("ID:"+name, java(tt.version))
			bodies := []string{"a", "b", "c"}
			for i, body := range bodies {
				c.ask(c.text(queue(name), int64(i+1), body))
			}
			c.subscribe(1, queue(name), 10)
			var first []*wire.MessageDispatch
			for _, body := range bodies {
				first = append(first, c.receive(body))
			}
			c.ask(&wire.RemoveInfo{ObjectID: c.consumer(1), LastDeliveredSequenceID: tt.last(first)})
			c.subscribe(2, queue(name), 10)
			var got []int32
			for _, body := range bodies {
				d := c.receive(body)
				if d.RedeliveryCounter != d.Message.RedeliveryCounter {
					t.Errorf("the dispatch says %d, the message %d", d.RedeliveryCounter, d.Message.RedeliveryCounter)
				}
				got = append(got, d.RedeliveryCounter)
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("counters %v, want %v", got, tt.want)
			}
		})
	}
}

// TestAcknowledgements takes messages off a queue in each way and looks at what a second consumer still gets.
func TestAcknowledgements(t *testing.T) {
	all := []string{"a", "b", "c", "d"}
	ack := func(kind int8, first, last int, count int32) func(d []*wire.MessageDispatch) *wire.MessageAck {
		return func(d []*wire.MessageDispatch) *wire.MessageAck {
			a := &wire.MessageAck{AckType: kind, ConsumerID: d[0].ConsumerID, LastMessageID: d[last].Message.MessageID, MessageCount: count}
			if first >= 0 {
				a.FirstMessageID = d[first].Message.MessageID
			}
			return a
		}
	}
	tests := map[string]struct {
		ack  func(d []*wire.MessageDispatch) *wire.MessageAck
		left []string
		dead []string
	}{
		"one":                 {ack(wire.AckStandard, 0, 0, 1), []string{"b", "c", "d"}, nil},
		"a range":             {ack(wire.AckStandard, 1, 2, 2), []string{"a", "d"}, nil},
		"from the oldest":     {ack(wire.AckStandard, -1, 2, 3), []string{"d"}, nil},
		"an individual":       {ack(wire.AckIndividual, -1, 2, 1), []string{"a", "b", "d"}, nil},
		"seen":                {ack(wire.AckDelivered, 0, 3, 4), all, nil},
		"redelivered locally": {ack(wire.AckRedelivered, 0, 3, 4), all, nil},
		"poison":              {ack(wire.AckPoison, 1, 1, 1), []string{"a", "c", "d"}, []string{"b"}},
		"expired":             {ack(wire.AckExpired, 0, 0, 1), []string{"b", "c", "d"}, []string{"a"}},
	}
	for name, returns := range map[string]bool{"": true, " without sequences": false} {
		for test, tt := range tests {
			t.Run(test+name, func(t *testing.T) {
				s := newServer(t, security.Policy{})
				c := s.connect("ID:c")
				for i, body := range all {
					c.ask(c.text(queue("q"), int64(i+1), body))
				}
				c.subscribe(1, queue("q"), 10)
				var d []*wire.MessageDispatch
				for _, body := range all {
					d = append(d, c.receive(body))
				}
				a := tt.ack(d)
				if !returns {
					a.FirstMessageID.BrokerSequenceID, a.LastMessageID.BrokerSequenceID = 0, 0
				}
				c.ask(a)
				c.ask(&wire.RemoveInfo{ObjectID: c.consumer(1)})
				c.subscribe(2, queue("q"), 10)
				for _, body := range tt.left {
					c.receive(body)
				}
				if len(tt.dead) > 0 {
					c.subscribe(3, queue("ActiveMQ.DLQ"), 10)
					for _, body := range tt.dead {
						c.receive(body)
					}
				}
				c.subscribe(4, queue("q"), 10)
				c.ask(&wire.RemoveInfo{ObjectID: c.consumer(4)}) // nothing more came before that answer
			})
		}
	}
}

func TestPoisonCause(t *testing.T) {
	tests := map[string]struct {
		cause *wire.Throwable
		want  string // of the dead letter's property; "" for none
	}{
		"none":          {},
		"Java's":        {&wire.Throwable{Class: "java.lang.Throwable", Message: "Delivery[7] exceeds"}, "java.lang.Throwable: Delivery[7] exceeds"},
		"another class": {&wire.Throwable{Class: "a.B", Message: "c"}, "java.lang.Throwable: a.B: c"},
		"no class name": {&wire.Throwable{Class: "a b;", Message: "c"}, "java.lang.Throwable: c"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, security.Policy{})
			c := s.connect("ID:poison")
			c.ask(c.text(queue("q"), 1, "bad"))
			c.subscribe(1, queue("q"), 10)
			a := ackOf(wire.AckPoison, c.receive("bad"))
			a.PoisonCause = tt.cause
			c.ask(a)
			c.subscribe(2, queue("ActiveMQ.DLQ"), 10)
			d := c.receive("bad").Message
			got, _ := message.Properties(d.MarshalledProperties).Get("dlqDeliveryFailureCause")
			if text, _ := got.(string); text != tt.want || d.OriginalDestination != queue("q") {
				t.Errorf("the dead letter of %v says %q; want queue://q, %q", d.OriginalDestination, text, tt.want)
			}
		})
	}
}

func TestPull(t *testing.T) {
	s := newServer(t, security.Policy{})
	c := s.connect("ID:pull")
	c.subscribe(1, queue("q"), 0)
	empty := func(timeout int64) {
		t.Helper()
		c.write(&wire.MessagePull{ConsumerID: c.consumer(1), Destination: queue("q"), Timeout: timeout})
		if d := read[*wire.MessageDispatch](c); d.Message != nil || d.ConsumerID != c.consumer(1) || d.Destination.Type != 0 {
			t.Errorf("a pull of nothing gave %+v", d)
		}
	}
	empty(-1)
	empty(20)
	c.ask(c.text(queue("q"), 1, "a"))
	c.ask(c.text(queue("q"), 2, "b"))
	c.write(&wire.MessagePull{ConsumerID: c.consumer(1), Timeout: -1})
	c.receive("a")
	c.write(&wire.MessagePull{ConsumerID: c.consumer(1), Timeout: 0})
	c.receive("b")
	empty(-1)
}

func TestBrowse(t *testing.T) {
	s := newServer(t, security.Policy{})
	c := s.connect("ID:browse")
	c.ask(c.text(queue("q"), 1, "a"))
	c.ask(c.text(queue("q"), 2, "b"))
	c.ask(&wire.ConsumerInfo{ConsumerID: c.consumer(1), Destination: queue("q"), PrefetchSize: 500, Browser: true})
	c.receive("a")
	c.receive("b")
	if d := read[*wire.MessageDispatch](c); d.Message != nil {
		t.Errorf("got %+v, want the end of the browse", d.Message)
	}
}

// TestPrefetch gives a consumer a window after it was made without one, as a failover client does.
func TestPrefetch(t *testing.T) {
	s := newServer(t, security.Policy{})
	c := s.connect("ID:prefetch")
	c.ask(c.text(queue("q"), 1, "a"))
	c.ask(c.text(queue("q"), 2, "b"))
	c.subscribe(1, queue("q"), 0)
	c.ask(&wire.MessageAck{ConsumerID: c.consumer(1), AckType: wire.AckStandard, LastMessageID: wire.MessageID{ProducerID: c.producer(9), BrokerSequenceID: 999}}) // of its life before
	c.ask(&wire.ConsumerControl{ConsumerID: c.consumer(1), Prefetch: 1})
	c.write(ackOf(wire.AckStandard, c.receive("a")))
	c.receive("b")
}

func TestTemporaryQueue(t *testing.T) {
	s := newServer(t, security.Policy{})
	c := s.connect("ID:temp")
	name := wire.Destination{Type: wire.CodeTempQueue, Name: "ID:temp:1"}
	c.ask(&wire.ConsumerInfo{ConsumerID: wire.ConsumerID{ConnectionID: c.name, SessionID: -1, Value: 1}, Destination: topic("ActiveMQ.Advisory.TempQueue,ActiveMQ.Advisory.TempTopic"), PrefetchSize: 1000, NoLocal: true})
	advisory := func(operation int8) {
		t.Helper()
		d := read[*wire.MessageDispatch](c)
		m := d.Message
		info, ok := m.DataStructure.(*wire.DestinationInfo)
		if !ok || info.Destination != name || info.OperationType != operation || info.ConnectionID.Value != c.name {
			t.Errorf("advisory with %+v, want the %v, operation %d", m.DataStructure, name, operation)
		}
		if m.Type != wire.CodeMessage || m.JMSType != "Advisory" || m.Destination != topic("ActiveMQ.Advisory.TempQueue") || m.Content != nil ||
			!bytes.Contains(m.MarshalledProperties, []byte("originBrokerId\x09\x00\x0dID:broker-1:1")) {
			t.Errorf("advisory %+v", m)
		}
	}
	c.write(&wire.DestinationInfo{ConnectionID: wire.ConnectionID{Value: c.name}, Destination: name})
	advisory(wire.OperationAdd)
	other := s.connect("ID:other")
	if got := other.refused(&wire.ConsumerInfo{ConsumerID: other.consumer(1), Destination: name}); got.Class != "jakarta.jms.InvalidDestinationException" {
		t.Errorf("a foreign consumer got %+v", got)
	}
	c.subscribe(1, name, 10)
	other.ask(other.text(name, 1, "reply"))
	c.receive("reply")
	if got := c.refused(&wire.DestinationInfo{Destination: name, OperationType: wire.OperationRemove}); got.Class != "jakarta.jms.JMSException" {
		t.Errorf("the removal of a queue in use got %+v", got)
	}
	c.ask(&wire.RemoveInfo{ObjectID: c.consumer(1)})
	c.write(&wire.DestinationInfo{Destination: name, OperationType: wire.OperationRemove})
	advisory(wire.OperationRemove)
}

func TestComposite(t *testing.T) {
	s := newServer(t, security.Policy{})
	c := s.connect("ID:composite")
	c.ask(c.text(queue("A,topic://T,B"), 1, "x"))
	c.subscribe(1, queue("B"), 10)
	if d := c.receive("x"); d.Destination != queue("B") || d.Message.Destination != queue("B") || d.Message.OriginalDestination != queue("A,topic://T,B") {
		t.Errorf("came to %v, message to %v, from %v", d.Destination, d.Message.Destination, d.Message.OriginalDestination)
	}
	c.subscribe(2, queue(">"), 10)
	if d := c.receive("x"); d.Destination != queue("A") {
		t.Errorf("came to %v", d.Destination)
	}
}

func TestDurable(t *testing.T) {
	s := newServer(t, security.Policy{})
	c := s.connect("ID:durable")
	subscribe := &wire.ConsumerInfo{ConsumerID: c.consumer(1), Destination: topic("t"), SubscriptionName: "s", PrefetchSize: 10}
	c.ask(subscribe)
	again := *subscribe
	again.ConsumerID = c.consumer(2)
	if got := c.refused(&again); got.Class != "jakarta.jms.JMSException" {
		t.Errorf("a second consumer of the subscription got %+v", got)
	}
	if got := c.refused(&wire.RemoveSubscriptionInfo{ClientID: "client of " + c.name, SubscriptionName: "s"}); got.Class != "jakarta.jms.JMSException" {
		t.Errorf("the removal of a subscription in use got %+v", got)
	}
	c.ask(&wire.RemoveInfo{ObjectID: c.consumer(1)})
	c.ask(c.text(topic("t"), 1, "kept"))
	c.ask(&again)
	d := c.receive("kept")
	if d.RedeliveryCounter != 0 {
		t.Errorf("redelivery %d, want 0", d.RedeliveryCounter)
	}
	c.ask(&wire.RemoveInfo{ObjectID: c.consumer(2)}) // 0 of a durable one: seen
	c.ask(&again)
	if d := c.receive("kept"); d.RedeliveryCounter != 1 {
		t.Errorf("redelivery %d, want 1", d.RedeliveryCounter)
	}
	c.ask(&wire.RemoveInfo{ObjectID: c.consumer(2)})
	c.ask(&wire.RemoveSubscriptionInfo{ClientID: "client of " + c.name, SubscriptionName: "s"})
}

func TestSameConnectionAgain(t *testing.T) {
	s := newServer(t, security.Policy{})
	first := s.connect("ID:same")
	first.ask(first.text(queue("q"), 1, "once"))
	second := s.dial("ID:same")
	second.hello(java(12))
	second.write(&wire.ConnectionControl{FaultTolerant: true})
	second.ask(&wire.ConnectionInfo{ConnectionID: wire.ConnectionID{Value: "ID:same"}, ClientID: "client of ID:same", FailoverReconnect: true})
	if got, err := first.any(); err != io.EOF {
		t.Errorf("the stale connection got %v, %v; want its end", got, err)
	}
	second.ask(&wire.SessionInfo{SessionID: wire.SessionID{ConnectionID: "ID:same", Value: 1}})
	second.ask(&wire.ProducerInfo{ProducerID: second.producer(1)})
	second.ask(second.text(queue("q"), 1, "once")) // sent again because its answer was lost
	second.ask(second.text(queue("q"), 2, "twice"))
	second.subscribe(1, queue("q"), 10)
	second.receive("once")
	second.receive("twice")
	third := s.dial("ID:third")
	third.hello(java(12))
	if got := third.refused(&wire.ConnectionInfo{ConnectionID: wire.ConnectionID{Value: "ID:third"}, ClientID: "client of ID:same"}); got.Class != "jakarta.jms.InvalidClientIDException" {
		t.Errorf("a client id in use got %+v", got)
	}
	third.conn.Close()
}

func TestSmallCommands(t *testing.T) {
	s := newServer(t, security.Policy{})
	s.opt = Options{URIs: func() []string { return []string{"tcp://a:1", "tcp://b:2"} }, Sessions: 2, Consumers: 1, Producers: 2, Transactions: 1, UserID: true}
	c := s.dial("ID:small")
	c.hello(java(12))
	c.ask(&wire.ConnectionInfo{ConnectionID: wire.ConnectionID{Value: c.name}, ClientID: "x", UserName: "somebody", Manageable: true})
	if got := read[*wire.ConnectionControl](c); got.ConnectedBrokers != "tcp://a:1,tcp://b:2" || got.RebalanceConnection {
		t.Errorf("got %+v", got)
	}
	c.number(&wire.KeepAliveInfo{})
	c.write(&wire.KeepAliveInfo{}, &wire.KeepAliveInfo{BaseCommand: wire.BaseCommand{CommandID: 7, ResponseRequired: true}})
	if got := read[*wire.KeepAliveInfo](c); got.ResponseRequired {
		t.Errorf("the echo wants an echo")
	}
	c.ask(&wire.ControlCommand{Command: "shutdown"})
	for n := range int64(2) {
		c.ask(&wire.SessionInfo{SessionID: wire.SessionID{ConnectionID: c.name, Value: n + 1}})
		c.ask(&wire.ProducerInfo{ProducerID: c.producer(n + 1)})
	}
	c.subscribe(1, queue("q"), 10)
	c.subscribe(1, queue("q"), 10) // said again
	c.write(c.transaction(1, wire.TransactionBegin))
	for name, command := range map[string]wire.Command{
		"sessions": &wire.SessionInfo{SessionID: wire.SessionID{ConnectionID: c.name, Value: 3}}, "producers": &wire.ProducerInfo{ProducerID: c.producer(3)},
		"consumers": &wire.ConsumerInfo{ConsumerID: c.consumer(2), Destination: queue("q")}, "open transactions": c.transaction(2, wire.TransactionBegin),
	} {
		if got := c.refused(command); got.Class != "jakarta.jms.ResourceAllocationException" {
			t.Errorf("%s above the limit got %+v", name, got)
		}
	}
	c.write(c.text(queue("q"), 1, "a"))
	if d := c.receive("a"); d.Message.UserID != "somebody" {
		t.Errorf("JMSXUserID is %q", d.Message.UserID)
	}
	c.ask(&wire.RemoveInfo{ObjectID: wire.SessionID{ConnectionID: c.name, Value: 1}})
	c.ask(&wire.SessionInfo{SessionID: wire.SessionID{ConnectionID: c.name, Value: 1}}) // there is room again, for all of it
	c.ask(&wire.ProducerInfo{ProducerID: c.producer(3)})
	c.subscribe(2, queue("q"), 10)
	c.receive("a")
}

func TestStop(t *testing.T) {
	s := newServer(t, security.Policy{})
	c := s.connect("ID:stop")
	s.stop()
	if got, err := c.any(); err != io.EOF {
		t.Errorf("got %v, %v; want the end of the connection and no word", got, err)
	}
}
