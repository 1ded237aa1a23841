package openwire

import (
	"encoding/binary"
	"testing"
	"time"

	wire "github.com/godwitmq/godwit/codec/openwire"
	"github.com/godwitmq/godwit/security"
)

// FuzzSession feeds a session that is logged in with frames and says goodbye: it must neither panic nor hang. The frames are given without
// sizes, each after two bytes of length, so that most inputs get past the framer.
func FuzzSession(f *testing.F) {
	c := &client{name: "ID:fuzz", encoder: wire.Encoder{Version: 12}}
	seeds := []wire.Command{
		c.text(queue("q,topic://t"), 1, "x"), &wire.MessagePull{ConsumerID: c.consumer(1), Timeout: 1}, c.transaction(1, wire.TransactionBegin),
		c.transaction(1, wire.TransactionCommitOnePhase), &wire.ConsumerInfo{ConsumerID: c.consumer(2), Destination: topic("t.>"), SubscriptionName: "s", Selector: "a = 1"},
		&wire.RemoveInfo{ObjectID: wire.SessionID{ConnectionID: c.name, Value: 1}}, &wire.DestinationInfo{Destination: queue("q"), OperationType: 1},
		&wire.MessageAck{ConsumerID: c.consumer(1), AckType: wire.AckStandard, LastMessageID: wire.MessageID{ProducerID: c.producer(1), BrokerSequenceID: 1}, MessageCount: 1},
		&wire.ConsumerControl{ConsumerID: c.consumer(1), Prefetch: 3}, &wire.RemoveSubscriptionInfo{SubscriptionName: "s"}, &wire.ShutdownInfo{},
	}
	var all []byte
	for _, command := range seeds {
		b, err := c.encoder.Append(nil, command)
		if err != nil {
			f.Fatal(err)
		}
		one := append([]byte{b[2], b[3]}, b[4:]...)
		f.Add(one)
		all = append(all, one...)
	}
	f.Add(all)
	s := newServer(f, security.Policy{})
	s.opt.goodbye = time.Millisecond
	f.Fuzz(func(t *testing.T, data []byte) {
		s := *s
		s.t = t
		c := s.connect("ID:fuzz")
		c.subscribe(1, queue("q"), 2)
		var out []byte
		for len(data) > 2 {
			n := min(int(binary.BigEndian.Uint16(data)), len(data)-2)
			out = binary.BigEndian.AppendUint32(out, uint32(n))
			out = append(out, data[2:2+n]...)
			data = data[2+n:]
		}
		c.out <- out
		c.write(&wire.ShutdownInfo{})
		done := time.AfterFunc(10*time.Second, func() { panic("the session hangs") })
		defer done.Stop()
		for {
			if _, err := c.any(); err != nil {
				return
			}
		}
	})
}
