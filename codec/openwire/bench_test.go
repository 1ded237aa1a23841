package openwire

import (
	"bytes"
	"strings"
	"testing"

	"github.com/godwitmq/godwit/codec/mutf8"
)

func benchMessage() *Message {
	content := append([]byte{0, 0, 4, 0}, bytes.Repeat([]byte("x"), 1024)...)
	producer := ProducerID{ConnectionID: "ID:service-host-7-41234-1700000000000-1:1", Value: 1, SessionID: 1}
	return &Message{
		BaseCommand: BaseCommand{CommandID: 7, ResponseRequired: true},
		Type:        CodeTextMessage,
		ProducerID:  producer,
		Destination: Destination{Type: CodeQueue, Name: "ORDERS.INCOMING"},
		MessageID:   MessageID{ProducerID: producer, ProducerSequenceID: 42},
		Persistent:  true, Priority: 4, Timestamp: 1700000000000, Content: content,
	}
}

func benchAck() *MessageAck {
	id := benchMessage().MessageID
	return &MessageAck{
		BaseCommand: BaseCommand{CommandID: 8}, Destination: Destination{Type: CodeQueue, Name: "ORDERS.INCOMING"},
		ConsumerID: ConsumerID{ConnectionID: "ID:service-host-8-41234-1700000000000-1:1", SessionID: 1, Value: 1},
		AckType:    AckStandard, FirstMessageID: id, LastMessageID: id, MessageCount: 1,
	}
}

func benchDispatch() *MessageDispatch {
	m := benchMessage()
	return &MessageDispatch{Destination: m.Destination, Message: m, ConsumerID: benchAck().ConsumerID}
}

func BenchmarkDecode(b *testing.B) {
	for _, bm := range []struct {
		name  string
		value Command
		reuse bool
	}{
		{"message", benchMessage(), false},
		{"message reused", benchMessage(), true},
		{"ack", benchAck(), false},
		{"ack reused", benchAck(), true},
		{"dispatch", benchDispatch(), false},
	} {
		b.Run(bm.name, func(b *testing.B) {
			whole, err := (&Encoder{Version: 12}).Append(nil, bm.value)
			if err != nil {
				b.Fatal(err)
			}
			d := Decoder{Version: 12, Reuse: bm.reuse}
			b.SetBytes(int64(len(whole)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := d.Decode(whole[4:]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkEncode(b *testing.B) {
	for _, bm := range []struct {
		name  string
		value Command
	}{
		{"message", benchMessage()},
		{"ack", benchAck()},
		{"dispatch", benchDispatch()},
		{"response", &Response{CorrelationID: 7}},
	} {
		b.Run(bm.name, func(b *testing.B) {
			e := Encoder{Version: 12}
			var buf []byte
			b.ReportAllocs()
			for b.Loop() {
				var err error
				if buf, err = e.Append(buf[:0], bm.value); err != nil {
					b.Fatal(err)
				}
			}
			b.SetBytes(int64(len(buf)))
		})
	}
	b.Run("dispatch of encoded message", func(b *testing.B) {
		e := Encoder{Version: 12}
		d := benchDispatch()
		message, err := e.AppendMessage(nil, d.Message)
		if err != nil {
			b.Fatal(err)
		}
		var buf []byte
		b.ReportAllocs()
		for b.Loop() {
			if buf, err = e.AppendDispatch(buf[:0], d, message); err != nil {
				b.Fatal(err)
			}
		}
		b.SetBytes(int64(len(buf)))
	})
}

func BenchmarkFramer(b *testing.B) {
	whole, err := (&Encoder{Version: 12}).Append(nil, benchMessage())
	if err != nil {
		b.Fatal(err)
	}
	const burst = 1000
	stream := bytes.Repeat(whole, burst)
	b.SetBytes(int64(len(whole)))
	b.ReportAllocs()
	f := NewFramer(nil, 0)
	r := bytes.NewReader(nil)
	f.src = r
	for i := 0; b.Loop(); i++ {
		if i%burst == 0 {
			r.Reset(stream)
		}
		if _, err := f.Next(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkText(b *testing.B) {
	plain := []byte(strings.Repeat("ID:service-host-7-", 2))
	b.Run("plain", func(b *testing.B) {
		for b.Loop() {
			if !isPlain(plain) {
				b.Fatal("not plain")
			}
		}
	})
	mixed := []byte(strings.Repeat("café € ", 5))
	b.Run("not ASCII", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := mutf8.DecodeValid(mixed); err != nil {
				b.Fatal(err)
			}
		}
	})
}
