package openwire

import (
	"testing"

	"github.com/godwitmq/godwit/broker"
	wire "github.com/godwitmq/godwit/codec/openwire"
	"github.com/godwitmq/godwit/message"
	"github.com/godwitmq/godwit/security"
	"github.com/godwitmq/godwit/session"
)

func benchMessage(c *client) *wire.Message {
	m := c.text(queue("bench"), 1, "")
	m.Content = make([]byte, 1024)
	m.MarshalledProperties = []byte{0, 0, 0, 1, 0, 1, 'k', 9, 0, 1, 'v'}
	return m
}

// BenchmarkSend is a send on its way from the frame to the event.
func BenchmarkSend(b *testing.B) {
	s := newServer(b, security.Policy{})
	c := &client{name: "ID:host-1-1:1", encoder: wire.Encoder{Version: 12}}
	frame, err := c.encoder.Append(nil, benchMessage(c))
	if err != nil {
		b.Fatal(err)
	}
	x := loggedIn(b, s, c)
	b.SetBytes(int64(len(frame)))
	b.ReportAllocs()
	for b.Loop() {
		x.reader.burst++
		if err := x.take(frame[4:]); err != nil || len(x.reader.events) != 1 {
			b.Fatal(err, len(x.reader.events))
		}
		x.reader.events = x.reader.events[:0]
	}
}

// BenchmarkAck is an acknowledgement on the same way.
func BenchmarkAck(b *testing.B) {
	s := newServer(b, security.Policy{})
	c := &client{name: "ID:host-1-1:1", encoder: wire.Encoder{Version: 12}}
	x := loggedIn(b, s, c)
	x.consumers.add(c.consumer(1), 10).begun.Store(true)
	id := wire.MessageID{ProducerID: c.producer(1), ProducerSequenceID: 7, BrokerSequenceID: 7}
	frame, err := c.encoder.Append(nil, &wire.MessageAck{ConsumerID: c.consumer(1), Destination: queue("bench"), AckType: wire.AckStandard, FirstMessageID: id, LastMessageID: id, MessageCount: 1})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := x.take(frame[4:]); err != nil || len(x.reader.events) != 1 {
			b.Fatal(err, len(x.reader.events))
		}
		x.reader.events = x.reader.events[:0]
	}
}

// BenchmarkDispatch is a delivery on its way from the effect to the frame.
func BenchmarkDispatch(b *testing.B) {
	s := newServer(b, security.Policy{})
	c := &client{name: "ID:host-1-1:1"}
	x := loggedIn(b, s, c)
	m := &message.Message{ID: message.ID{Producer: "ID:host-1-1:1:1:1", Sequence: 5}, Destination: message.Destination{Kind: message.Queue, Name: "bench"}, Priority: 4,
		Persistent: true, Type: message.Text, Encoding: message.OpenWire, Content: make([]byte, 1024), Properties: message.Properties{0, 0, 0, 1, 0, 1, 'k', 9, 0, 1, 'v'}}
	m.Encode()
	to := x.consumers.add(c.consumer(1), 10)
	x.consumers.sequences.Store(returned)
	effect := &broker.Effect{Kind: broker.Delivery, Consumer: to.id, Message: m, Sequence: 5}
	b.ReportAllocs()
	for b.Loop() {
		x.writer.buf = x.writer.buf[:0]
		x.deliver(effect)
	}
	b.SetBytes(int64(len(x.writer.buf)))
}

// loggedIn is a connection as it is after the login of c, with its producer, without goroutines.
func loggedIn(b *testing.B, s *server, c *client) *connection {
	who, err := s.deps.Authority.Login(b.Context(), session.Peer{}.Credentials("openwire", "", ""))
	if err != nil {
		b.Fatal(err)
	}
	x := &connection{deps: s.deps, opt: Options{}.filled(), core: s.deps.Engine.Connect(), log: s.deps.Log()}
	b.Cleanup(x.core.Close)
	x.reader.decoder = wire.Decoder{Version: 12, Reuse: true}
	x.writer.encoder = wire.Encoder{Version: 12}
	x.reader.who, x.reader.name = who, c.name
	x.reader.sessions = map[int64]struct{}{1: {}}
	id := c.producer(1)
	x.reader.producers = map[objectKey]*producer{producerKey(&id): {id: id, number: 1, text: producerText(&id)}}
	return x
}

// BenchmarkThrough sends a message without waiting and receives it, over a pipe.
func BenchmarkThrough(b *testing.B) {
	s := newServer(b, security.Policy{})
	c := s.connect("ID:host-1-1:1")
	c.subscribe(1, queue("bench"), 1000)
	m := benchMessage(c)
	m.Persistent = false
	frame, err := c.encoder.Append(nil, m)
	if err != nil {
		b.Fatal(err)
	}
	const window = 100
	b.ReportAllocs()
	b.SetBytes(int64(len(frame)))
	waiting := 0
	for b.Loop() {
		c.out <- frame
		if waiting++; waiting < window {
			continue
		}
		var last wire.MessageID
		for ; waiting > 0; waiting-- {
			raw, err := c.frames.Next()
			if err != nil {
				b.Fatal(err)
			}
			if waiting == 1 {
				command, err := c.decoder.Decode(raw)
				if err != nil {
					b.Fatal(err)
				}
				last = command.(*wire.MessageDispatch).Message.MessageID
			}
		}
		c.write(&wire.MessageAck{ConsumerID: c.consumer(1), AckType: wire.AckStandard, LastMessageID: last, MessageCount: window})
	}
}
