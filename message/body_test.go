package message

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"math"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

// vector is a message as the Java client 6.3.1 marshalled it: the two encoded fields, and what was put into it.
type vector struct {
	Name, Type          string
	Content, Properties *string // hex
	Compressed          bool
	Decoded             map[string]any
}

func vectors(t testing.TB) []vector {
	f, err := os.Open("testdata/vectors.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(r)
	d.UseNumber()
	var all []vector
	if err := d.Decode(&all); err != nil {
		t.Fatal(err)
	}
	return all
}

func fromHex(t testing.TB, text string) []byte {
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// typed turns a vector's [type, value] into the Go value.
func typed(t testing.TB, v any) any {
	pair := v.([]any)
	number := func(bits int) int64 {
		n, err := strconv.ParseInt(string(pair[1].(json.Number)), 10, bits)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	switch pair[0] {
	case "null":
		return nil
	case "byte":
		return int8(number(8))
	case "short":
		return int16(number(16))
	case "int":
		return int32(number(32))
	case "long":
		return number(64)
	case "char":
		return Char(number(64))
	case "float":
		return math.Float32frombits(binary.BigEndian.Uint32(fromHex(t, pair[1].(string))))
	case "double":
		return math.Float64frombits(binary.BigEndian.Uint64(fromHex(t, pair[1].(string))))
	case "bytes":
		return fromHex(t, pair[1].(string))
	case "map":
		return typedMap(t, pair[1])
	case "list":
		return typedList(t, pair[1])
	case "boolean", "string":
		return pair[1]
	}
	t.Fatalf("vector has a value of the type %v", pair[0])
	return nil
}

func typedMap(t testing.TB, v any) map[string]any {
	m := map[string]any{}
	entries, _ := v.(map[string]any) // null is the empty map
	for name, value := range entries {
		m[name] = typed(t, value)
	}
	return m
}

func typedList(t testing.TB, v any) []any {
	list := []any{}
	values, _ := v.([]any) // null is the empty stream
	for _, value := range values {
		list = append(list, typed(t, value))
	}
	return list
}

func (v vector) message(t testing.TB) *Message {
	types := map[string]Type{"ActiveMQMessage": Plain, "ActiveMQBytesMessage": Bytes, "ActiveMQMapMessage": Map, "ActiveMQObjectMessage": Object,
		"ActiveMQStreamMessage": Stream, "ActiveMQTextMessage": Text, "ActiveMQBlobMessage": Blob}
	kind, ok := types[v.Type]
	if !ok {
		t.Fatalf("vector of type %s", v.Type)
	}
	m := &Message{Type: kind, Encoding: OpenWire}
	if v.Compressed {
		m.Encoding = OpenWireCompressed
	}
	if v.Content != nil {
		m.Content = fromHex(t, *v.Content)
	}
	if v.Properties != nil {
		m.Properties = fromHex(t, *v.Properties)
	}
	return m
}

func TestVectors(t *testing.T) {
	seen := map[string]int{}
	for _, v := range vectors(t) {
		t.Run(v.Name, func(t *testing.T) {
			m := v.message(t)
			if err := m.Properties.Valid(); err != nil {
				t.Fatal(err)
			}
			for part, want := range v.Decoded {
				seen[part]++
				switch part {
				case "properties":
					same(t, m.Properties, typedMap(t, want))
				case "map":
					body, err := m.MapBody()
					if err != nil {
						t.Fatal(err)
					}
					same(t, body, typedMap(t, want))
				case "stream":
					got, err := m.StreamBody()
					if want := typedList(t, want); err != nil || !reflect.DeepEqual(append([]any{}, got...), want) {
						t.Errorf("stream = %#v, %v; want %#v", got, err, want)
					}
					if !v.Compressed {
						sameStream(t, m.Content, got)
					}
				case "text":
					testText(t, m, want)
				case "bytes":
					text, _ := want.(string) // null is no bytes
					want := fromHex(t, text)
					got, err := m.Bytes()
					raw, rawErr := m.RawBody()
					if err != nil || rawErr != nil || !bytes.Equal(got, want) || !bytes.Equal(raw, want) {
						t.Errorf("bytes = %x, %v; raw body %x, %v; want %x", got, err, raw, rawErr, want)
					}
				case "javaSerialized":
					if got, err := m.Bytes(); err != nil || m.Content != nil && !bytes.HasPrefix(got, []byte{0xAC, 0xED}) {
						t.Errorf("object body = %x, %v; want Java serialization", got, err)
					}
				}
			}
			content, compressed, err := m.OpenWireContent()
			if err != nil || !bytes.Equal(content, m.Content) || compressed != v.Compressed {
				t.Errorf("OpenWireContent = %x, %t, %v; want %x, %t", content, compressed, err, m.Content, v.Compressed)
			}
			if body, err := m.BodyJSON(1 << 20); err != nil || !json.Valid(body) {
				t.Errorf("BodyJSON = %s, %v", body, err)
			}
		})
	}
	for _, part := range []string{"properties", "map", "stream", "text", "bytes", "javaSerialized"} {
		if seen[part] == 0 {
			t.Errorf("no vector has %s", part)
		}
	}
}

// same checks what is read from p, and that the same entries written again in p's order are p's bytes.
func same(t *testing.T, p Properties, want map[string]any) {
	t.Helper()
	if got, err := p.Map(); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("map = %.500v, %v; want %.500v", got, err, want)
	}
	var b PropertiesBuilder
	oneOrder := true // false if p holds a map whose own order is Java's
	err := p.Range(func(name string, value any) bool {
		if got, ok := p.Get(name); !ok || !reflect.DeepEqual(got, want[name]) {
			t.Errorf("Get(%q) = %#v, %t; want %#v", name, got, ok, want[name])
		}
		set(t, &b, name, value)
		oneOrder = oneOrder && !holdsMap(value)
		return true
	})
	if err != nil {
		t.Error(err)
	}
	if got := b.Properties(); oneOrder && len(want) > 0 && !bytes.Equal(got, p) {
		t.Errorf("written again it is\n%.200x, want\n%.200x", got, p)
	}
}

func holdsMap(value any) bool {
	switch v := value.(type) {
	case map[string]any:
		return len(v) > 1
	case []any:
		for _, one := range v {
			if holdsMap(one) {
				return true
			}
		}
	}
	return false
}

func sameStream(t *testing.T, want []byte, values []any) {
	t.Helper()
	var got []byte
	for _, v := range values {
		var err error
		if got, err = AppendValue(got, v); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(got, want) {
		t.Errorf("stream written again is %x, want %x", got, want)
	}
}

func testText(t *testing.T, m *Message, want any) {
	t.Helper()
	null, err := m.IsNull()
	if err != nil || null != (want == nil) {
		t.Errorf("IsNull = %t, %v; want %t", null, err, want == nil)
	}
	text, _ := want.(string)
	if got, err := m.Text(); err != nil || got != text {
		t.Errorf("Text = %.80q, %v; want %.80q", got, err, text)
	}
	raw, err := m.RawBody()
	if err != nil || string(raw) != text || (raw == nil) != (want == nil) {
		t.Errorf("RawBody = %.80q, %v; want %.80q", raw, err, text)
	}
	if want == nil || m.Encoding == OpenWireCompressed {
		return
	}
	content, compressed, err := NewText(Destination{}, text).OpenWireContent()
	if err != nil || compressed || !bytes.Equal(content, m.Content) {
		t.Errorf("as OpenWire %.80x, %t, %v; want %.80x", content, compressed, err, m.Content)
	}
}

func deflated(b []byte) []byte {
	var out bytes.Buffer
	w := zlib.NewWriter(&out)
	if _, err := w.Write(b); err != nil {
		panic(err)
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return out.Bytes()
}

func TestInflated(t *testing.T) {
	large := bytes.Repeat([]byte("0123456789"), 1000)
	withLength := func(n uint32, b []byte) []byte { return append(binary.BigEndian.AppendUint32(nil, n), b...) }
	tests := map[string]struct {
		message Message
		limit   int
		want    []byte
		fails   string
	}{
		"not compressed":          {Message{Type: Bytes, Content: large}, 10, large, ""},
		"at the limit":            {Message{Type: Map, Encoding: OpenWireCompressed, Content: deflated(large)}, len(large), large, ""},
		"over the limit":          {Message{Type: Map, Encoding: OpenWireCompressed, Content: deflated(large)}, len(large) - 1, nil, "more than 9999 bytes"},
		"bytes":                   {Message{Type: Bytes, Encoding: OpenWireCompressed, Content: withLength(10000, deflated(large))}, 1 << 20, large, ""},
		"bytes with a false size": {Message{Type: Bytes, Encoding: OpenWireCompressed, Content: withLength(math.MaxUint32, deflated(large))}, 1 << 20, large, ""},
		"bytes without a size":    {Message{Type: Bytes, Encoding: OpenWireCompressed, Content: []byte{1, 2}}, 10, nil, "no length"},
		"empty":                   {Message{Type: Bytes, Encoding: OpenWireCompressed, Content: []byte{}}, 10, []byte{}, ""},
		"null":                    {Message{Type: Bytes, Encoding: OpenWireCompressed}, 10, nil, ""},
		"no zlib":                 {Message{Type: Text, Encoding: OpenWireCompressed, Content: large}, 1 << 20, nil, "inflate text body"},
		"cut off":                 {Message{Type: Text, Encoding: OpenWireCompressed, Content: deflated(large)[:20]}, 1 << 20, nil, "unexpected EOF"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := tt.message.Inflated(tt.limit)
			if !bytes.Equal(got, tt.want) || (got == nil) != (tt.want == nil) {
				t.Errorf("Inflated = %.80q, want %.80q", got, tt.want)
			}
			if (err == nil) != (tt.fails == "") || err != nil && !strings.Contains(err.Error(), tt.fails) {
				t.Errorf("Inflated error = %v, want %q", err, tt.fails)
			}
		})
	}
}

func TestBodyErrors(t *testing.T) {
	text := func(content string) *Message {
		return &Message{Type: Text, Encoding: OpenWire, Content: []byte(content)}
	}
	tests := map[string]struct {
		message *Message
		read    func(*Message) error
		want    string
	}{
		"text of a map":       {&Message{Type: Map}, readText, "body is map, expected text"},
		"short text":          {text("\x00\x00"), readText, "no length"},
		"text too long":       {text("\x00\x00\x00\x05abc"), readText, "says 5 bytes and has 3"},
		"text of length -2":   {text("\xff\xff\xff\xfe"), readText, "says -2 bytes"},
		"raw map":             {&Message{Type: Map, Content: []byte{0}}, readMap, "no raw form"},
		"raw map to OpenWire": {&Message{Type: Map, Content: []byte{0}}, readOpenWire, "no raw form"},
		"broken map":          {&Message{Type: Map, Encoding: OpenWire, Content: []byte{0}}, readMap, "no count"},
		"broken stream":       {&Message{Type: Stream, Encoding: OpenWire, Content: []byte{tagNull, tagInt32, 0}}, readStream, "value 1: a value ends too early"},
		"bytes of a text":     {text(""), readBytes, "body is text, expected bytes"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if err := tt.read(tt.message); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want %q", err, tt.want)
			}
		})
	}
}

func readText(m *Message) error     { _, err := m.Text(); return err }
func readBytes(m *Message) error    { _, err := m.Bytes(); return err }
func readMap(m *Message) error      { _, err := m.MapBody(); return err }
func readStream(m *Message) error   { _, err := m.StreamBody(); return err }
func readOpenWire(m *Message) error { _, _, err := m.OpenWireContent(); return err }

func TestConversions(t *testing.T) {
	openWire := func(kind Type, content string) *Message {
		return &Message{Type: kind, Encoding: OpenWire, Content: []byte(content)}
	}
	tests := map[string]struct {
		message       *Message
		raw, openWire string
		json          string
	}{
		"raw text":           {NewText(Destination{}, "hé"), "hé", "\x00\x00\x00\x03hé", `{"text":"hé"}`},
		"raw astral text":    {NewText(Destination{}, "😀\x00"), "😀\x00", "\x00\x00\x00\x08\xed\xa0\xbd\xed\xb8\x80\xc0\x80", `{"text":"😀\u0000"}`},
		"raw text, no UTF-8": {NewText(Destination{}, "a\xff"), "a\xff", "\x00\x00\x00\x04a\uFFFD", `{"text":"a\ufffd"}`},
		"lone surrogate":     {openWire(Text, "\x00\x00\x00\x04a\xed\xa0\x80"), "a\uFFFD", "\x00\x00\x00\x04a\xed\xa0\x80", `{"text":"a\ufffd\ufffd\ufffd"}`},
		"null text":          {&Message{Type: Text}, "", "", "null"},
		"null in OpenWire":   {openWire(Text, "\xff\xff\xff\xff"), "", "\xff\xff\xff\xff", "null"},
		"empty text":         {NewText(Destination{}, ""), "", "\x00\x00\x00\x00", `{"text":""}`},
		"printable bytes":    {NewBytes(Destination{}, []byte("a\tb\n")), "a\tb\n", "a\tb\n", `{"text":"a\tb\n"}`},
		"other bytes":        {NewBytes(Destination{}, []byte{0, 1}), "\x00\x01", "\x00\x01", `{"base64":"AAE="}`},
		"empty bytes":        {NewBytes(Destination{}, nil), "", "", `{"text":""}`},
		"plain":              {&Message{}, "", "", "null"},
		"object":             {openWire(Object, "\xac\xed"), "", "\xac\xed", `{"base64":"rO0="}`},
		"empty stream":       {openWire(Stream, ""), "", "", `{"stream":[]}`},
		"stream": {openWire(Stream, "\x03\x00Z\x07\x7f\xf8\x00\x00\x00\x00\x00\x01\x08\xff\x80\x00\x00\x0a\x00\x00\x00\x01\x01\x00"), "",
			"\x03\x00Z\x07\x7f\xf8\x00\x00\x00\x00\x00\x01\x08\xff\x80\x00\x00\x0a\x00\x00\x00\x01\x01\x00", `{"stream":["Z","NaN","-Infinity","AQ==",null]}`},
		"map": {openWire(Map, "\x00\x00\x00\x01\x00\x01k\x0b\x00\x00\x00\x01\x00\x01f\x07\x7f\xf0\x00\x00\x00\x00\x00\x00"), "",
			"\x00\x00\x00\x01\x00\x01k\x0b\x00\x00\x00\x01\x00\x01f\x07\x7f\xf0\x00\x00\x00\x00\x00\x00", `{"map":{"k":{"f":"Infinity"}}}`},
		"null map": {openWire(Map, "\xff\xff\xff\xff"), "", "\xff\xff\xff\xff", `{"map":{}}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if raw, err := tt.message.RawBody(); err != nil || string(raw) != tt.raw {
				t.Errorf("RawBody = %q, %v; want %q", raw, err, tt.raw)
			}
			content, compressed, err := tt.message.OpenWireContent()
			if err != nil || string(content) != tt.openWire || compressed || (content == nil) != (tt.message.Content == nil) {
				t.Errorf("OpenWireContent = %q, %t, %v; want %q", content, compressed, err, tt.openWire)
			}
			if got, err := tt.message.BodyJSON(MaxInflated); err != nil || string(got) != tt.json {
				t.Errorf("BodyJSON = %s, %v; want %s", got, err, tt.json)
			}
		})
	}
}

func BenchmarkOpenWireContent(b *testing.B) {
	tests := map[string]string{"ascii": strings.Repeat("a", 1024), "accents": strings.Repeat("é", 512), "astral": strings.Repeat("😀", 256)}
	for name, text := range tests {
		b.Run(name, func(b *testing.B) {
			m := NewText(Destination{}, text)
			b.ReportAllocs()
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				if _, _, err := m.OpenWireContent(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkRawBody(b *testing.B) {
	content, _, err := NewText(Destination{}, strings.Repeat("a", 1024)).OpenWireContent()
	if err != nil {
		b.Fatal(err)
	}
	m := &Message{Type: Text, Encoding: OpenWire, Content: content}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.RawBody(); err != nil {
			b.Fatal(err)
		}
	}
}
