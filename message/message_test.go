package message

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestID(t *testing.T) {
	tests := map[string]struct {
		text string
		want ID
	}{
		"ActiveMQ":       {"ID:h-1-2-3:1:1:1:5", ID{"ID:h-1-2-3:1:1:1", 5}},
		"zero":           {"p:0", ID{"p", 0}},
		"foreign":        {"uuid-1", ID{"uuid-1", -1}},
		"leading zero":   {"p:007", ID{"p:007", -1}},
		"sign":           {"p:+7", ID{"p:+7", -1}},
		"negative":       {"p:-7", ID{"p:-7", -1}},
		"negative zero":  {"p:-0", ID{"p:-0", -1}},
		"too large":      {"p:9223372036854775808", ID{"p:9223372036854775808", -1}},
		"ends in colon":  {"p:", ID{"p:", -1}},
		"only a number":  {":1", ID{":1", -1}},
		"nothing at all": {"", ID{"", -1}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := ParseID(tt.text)
			if got != tt.want || got.String() != tt.text {
				t.Errorf("ParseID(%q) = %+v (text %q), want %+v", tt.text, got, got, tt.want)
			}
		})
	}
	if got := (ID{}).String(); got != "" {
		t.Errorf("text of the zero ID = %q, want none", got)
	}
}

func destinations(least Kind) *rapid.Generator[Destination] {
	return rapid.Custom(func(t *rapid.T) Destination {
		d := Destination{Kind: Kind(rapid.IntRange(int(least), int(TempTopic)).Draw(t, "kind"))}
		if d.Kind != NoDestination {
			d.Name = rapid.StringN(1, 20, -1).Draw(t, "name")
		}
		return d
	})
}

func messages() *rapid.Generator[*Message] {
	return rapid.Custom(func(t *rapid.T) *Message {
		return &Message{
			ID:            ID{rapid.String().Draw(t, "producer"), rapid.Int64().Draw(t, "sequence")},
			Destination:   destinations(Queue).Draw(t, "destination"),
			Original:      destinations(NoDestination).Draw(t, "original"),
			ReplyTo:       destinations(NoDestination).Draw(t, "replyTo"),
			CorrelationID: rapid.String().Draw(t, "correlation"),
			JMSType:       rapid.String().Draw(t, "type"),
			GroupID:       rapid.String().Draw(t, "group"),
			GroupSequence: rapid.Int32().Draw(t, "groupSequence"),
			UserID:        rapid.String().Draw(t, "user"),
			Timestamp:     rapid.Int64().Draw(t, "timestamp"),
			Expiration:    rapid.Int64().Draw(t, "expiration"),
			Received:      rapid.Int64().Draw(t, "received"),
			Priority:      rapid.Uint8Range(0, 9).Draw(t, "priority"),
			Persistent:    rapid.Bool().Draw(t, "persistent"),
			Type:          Type(rapid.IntRange(0, int(Blob)).Draw(t, "body type")),
			Encoding:      Encoding(rapid.IntRange(0, int(OpenWireCompressed)).Draw(t, "encoding")),
			Properties:    rapid.Just[Properties](nil).Draw(t, "none"),
		}
	})
}

func TestEncodeDecode(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := messages().Draw(t, "message")
		if rapid.Bool().Draw(t, "has properties") {
			m.Properties = rapid.SliceOf(rapid.Byte()).Draw(t, "properties")
		}
		if rapid.Bool().Draw(t, "has content") {
			m.Content = rapid.SliceOf(rapid.Byte()).Draw(t, "content")
		}
		want := *m
		size := m.Size()
		data := m.Encode()
		if len(data) > size {
			t.Fatalf("stored form has %d bytes, more than Size %d", len(data), size)
		}
		got, err := Decode(bytes.Clone(data))
		if err != nil {
			t.Fatal(err)
		}
		if got.Size() != size || m.Size() != size {
			t.Fatalf("Size is %d, after Encode %d, after Decode %d", size, m.Size(), got.Size())
		}
		if again := got.Encode(); !bytes.Equal(again, data) {
			t.Fatalf("decoded message encodes to\n%x, want\n%x", again, data)
		}
		if again := got.Copy().Encode(); !bytes.Equal(again, data) {
			t.Fatalf("copy of the decoded message encodes to\n%x, want\n%x", again, data)
		}
		got.encoded = nil
		if !reflect.DeepEqual(got, &want) {
			t.Fatalf("decoded\n%+v, want\n%+v", got, &want)
		}
	})
}

func TestEncodeOwnsItsBytes(t *testing.T) {
	properties, content := Properties(nil).With("k", "v"), []byte("body")
	m := &Message{Destination: Destination{Queue, "q"}, Properties: properties, Content: content}
	m.Encode()
	clear(properties)
	clear(content)
	if v, _ := m.Properties.Get("k"); v != "v" || string(m.Content) != "body" {
		t.Errorf("after the caller's buffers were reused: property %v, content %q; want v, body", v, m.Content)
	}
}

func TestCopyIsEncodedAnew(t *testing.T) {
	m := NewText(Destination{Queue, "a"}, "x")
	m.Encode()
	c := m.Copy()
	c.Destination.Name, c.Priority = "b", 200
	got, err := Decode(c.Encode())
	if err != nil {
		t.Fatal(err)
	}
	if got.Destination.Name != "b" || got.Priority != 9 {
		t.Errorf("copy is stored for %q with priority %d, want b with 9", got.Destination.Name, got.Priority)
	}
}

func TestDecodeErrors(t *testing.T) {
	full := (&Message{
		ID: ID{"p", 1}, Destination: Destination{Queue, "q"}, Original: Destination{Topic, "t"}, ReplyTo: Destination{TempQueue, "r"},
		CorrelationID: "c", JMSType: "t", GroupID: "g", GroupSequence: 7, UserID: "u", Properties: Properties(nil).With("k", int32(1)),
	}).Encode()
	for n := range full {
		if m, err := Decode(full[:n]); err == nil {
			t.Errorf("Decode of the first %d of %d bytes = %+v, want an error", n, len(full), m)
		}
	}
	changed := func(at int, value byte) []byte {
		b := bytes.Clone(full)
		b[at] = value
		return b
	}
	tests := map[string]struct {
		data []byte
		want string
	}{
		"version":         {changed(0, 9), "format version is 9, expected 1"},
		"type":            {changed(2, 7), "unknown body type 7"},
		"encoding":        {changed(3, 3), "unknown body encoding 3"},
		"priority":        {changed(4, 10), "priority is 10"},
		"kind":            {changed(8, 5), "kind is not valid"},
		"name of no kind": {changed(8, 0), "kind is not valid"},
		"bytes after":     {append(bytes.Clone(full), 1, 2), "2 bytes too many"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := Decode(tt.data); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Decode error = %v, want it to say %q", err, tt.want)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(NewText(Destination{Queue, "q"}, "hello").Encode())
	f.Add((&Message{
		ID: ID{"p", 1}, Destination: Destination{Topic, "q"}, Original: Destination{Topic, "t"}, ReplyTo: Destination{TempQueue, "r"},
		CorrelationID: "c", JMSType: "t", GroupID: "g", GroupSequence: -7, UserID: "u", Properties: Properties(nil).With("k", "v"),
		Type: Map, Encoding: OpenWire, Content: Properties(nil).With("k", []any{nil, 1.5}),
	}).Encode())
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Decode(data)
		if err != nil {
			return
		}
		again, err := Decode(m.Copy().Encode())
		if err != nil {
			t.Fatalf("a decoded message does not decode after it was encoded again: %v", err)
		}
		m.encoded, again.encoded = nil, nil
		if !reflect.DeepEqual(m, again) {
			t.Fatalf("decoded %+v, encoded again it is %+v", m, again)
		}
		if len(m.Content) > 1<<16 {
			return
		}
		// None of these may panic, whatever the bytes.
		_ = m.Properties.Valid()
		m.Value("k")
		m.Value("JMSReplyTo")
		_, _ = m.RawBody()
		_, _, _ = m.OpenWireContent()
		_, _ = m.BodyJSON(1 << 20)
	})
}

func benchMessage() *Message {
	return &Message{
		ID: ID{"ID:host-35023-1795382540159-1:1:1:1", 12345}, Destination: Destination{Queue, "orders.incoming"},
		CorrelationID: "c-4711", Timestamp: 1795382540159, Received: 1795382540160, Priority: 4, Persistent: true,
		Type: Text, Encoding: OpenWire, Properties: benchProperties(), Content: make([]byte, 1024),
	}
}

func BenchmarkEncode(b *testing.B) {
	m := benchMessage()
	b.ReportAllocs()
	for b.Loop() {
		m.encoded = nil
		m.Encode()
	}
}

func BenchmarkDecode(b *testing.B) {
	data := benchMessage().Encode()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(data); err != nil {
			b.Fatal(err)
		}
	}
}
