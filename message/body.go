package message

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"unicode"
	"unicode/utf8"
	"unsafe"

	"github.com/godwitmq/godwit/codec/mutf8"
)

// MaxInflated is the most bytes, 100 MiB, to which the methods that decode a body inflate a compressed one; Java's clients have
// the same limit. Inflated takes another.
const MaxInflated = 100 << 20

// DefaultPriority is the priority of messages whose producer gives none (Jakarta Messaging 3.1, 3.4.10).
const DefaultPriority = 4

// NewText makes a persistent text message without an id, a time or properties.
func NewText(d Destination, text string) *Message {
	return &Message{Destination: d, Type: Text, Persistent: true, Priority: DefaultPriority, Content: []byte(text)}
}

// NewBytes makes a persistent bytes message without an id, a time or properties. It keeps body.
func NewBytes(d Destination, body []byte) *Message {
	if body == nil {
		body = []byte{}
	}
	return &Message{Destination: d, Type: Bytes, Persistent: true, Priority: DefaultPriority, Content: body}
}

// Text is the body of a text message. A null body is "". It may hold lone surrogates, as package mutf8 says.
func (m *Message) Text() (string, error) {
	if m.Type == Text && m.Encoding == Raw {
		return string(m.Content), nil
	}
	encoded, err := m.openWireText()
	return mutf8.Decode(encoded), err
}

// Bytes is the body of a bytes message, inflated, or the Java serialization in an object message, which nobody here reads. It
// may be the message's own memory. A null body is nil.
func (m *Message) Bytes() ([]byte, error) {
	if m.Type == Object {
		return m.content(Object)
	}
	return m.content(Bytes)
}

// MapBody is the body of a map message, checked to be valid. It may be the message's own memory. A null body is nil, the empty map.
func (m *Message) MapBody() (Properties, error) {
	content, err := m.content(Map)
	if err != nil {
		return nil, err
	}
	if err := Properties(content).Valid(); err != nil {
		return nil, fmt.Errorf("map body: %w", err)
	}
	return Properties(content), nil
}

// StreamBody is the body of a stream message, at most MaxValues values of the types that Properties knows. A null body is nil.
func (m *Message) StreamBody() ([]any, error) {
	content, err := m.content(Stream)
	if err != nil {
		return nil, err
	}
	var values []any
	d := decoder{rest: content, left: MaxValues}
	for len(d.rest) > 0 {
		value, err := d.value(0)
		if err != nil {
			return nil, fmt.Errorf("stream body: value %d: %w", len(values), err)
		}
		values = append(values, value)
	}
	return values, nil
}

// content is the body of a message of that type, inflated.
func (m *Message) content(want Type) ([]byte, error) {
	if m.Type != want {
		return nil, fmt.Errorf("body is %s, expected %s", m.Type, want)
	}
	if m.Encoding == Raw && m.Content != nil && m.Type != Text && m.Type != Bytes {
		return nil, fmt.Errorf("a %s body has no raw form", m.Type)
	}
	return m.Inflated(MaxInflated)
}

// Inflated is Content as it is before compression: Content itself if it is not compressed. A body of more than limit bytes is an error.
func (m *Message) Inflated(limit int) ([]byte, error) {
	if m.Encoding != OpenWireCompressed || len(m.Content) == 0 {
		return m.Content, nil
	}
	content := m.Content
	expected := 4 * len(content)
	if m.Type == Bytes { // its length comes first
		if len(content) < 4 {
			return nil, errors.New("compressed bytes body has no length")
		}
		expected = int(binary.BigEndian.Uint32(content))
		content = content[4:]
	}
	// Deflate makes at most 1032 bytes of one, so that no claimed length takes more memory than the content can fill.
	body, err := inflate(content, min(expected, limit, 1032*len(content))+bytes.MinRead, limit)
	if err != nil {
		return nil, fmt.Errorf("inflate %s body of %d bytes: %w", m.Type, len(m.Content), err)
	}
	return body, nil
}

func inflate(content []byte, capacity, limit int) ([]byte, error) {
	r, err := zlib.NewReader(bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	body := bytes.NewBuffer(make([]byte, 0, capacity))
	n, err := body.ReadFrom(io.LimitReader(r, int64(limit)+1))
	if err != nil {
		return nil, err
	}
	if n > int64(limit) {
		return nil, fmt.Errorf("more than %d bytes", limit)
	}
	return body.Bytes(), nil
}

// openWireText cuts the text, still modified UTF-8, out of an OpenWire content; nil is a null text.
func (m *Message) openWireText() ([]byte, error) {
	content, err := m.content(Text)
	if err != nil || len(content) == 0 {
		return nil, err
	}
	if len(content) < 4 {
		return nil, fmt.Errorf("text body of %d bytes has no length", len(content))
	}
	n := int(int32(binary.BigEndian.Uint32(content)))
	content = content[4:]
	switch {
	case n == -1:
		return nil, nil
	case n < 0 || n > len(content):
		return nil, fmt.Errorf("text body says %d bytes and has %d", n, len(content))
	}
	return content[:n:n], nil
}

// OpenWireContent is the body as it stands in an OpenWire frame, and whether that is compressed. It is the message's own memory unless
// a raw text had to be converted. A null body is nil.
func (m *Message) OpenWireContent() (content []byte, compressed bool, err error) {
	if m.Content == nil || m.Encoding != Raw || m.Type == Bytes {
		return m.Content, m.Encoding == OpenWireCompressed, nil
	}
	if m.Type != Text {
		return nil, false, fmt.Errorf("a %s body has no raw form", m.Type)
	}
	text := unsafe.String(unsafe.SliceData(m.Content), len(m.Content)) // saves a copy; Content is never written to
	content = mutf8.Append(make([]byte, 4, 4+len(m.Content)), text)
	if len(content)-4 > math.MaxInt32 {
		return nil, false, fmt.Errorf("text body of %d bytes is longer than OpenWire can say", len(content)-4)
	}
	binary.BigEndian.PutUint32(content, uint32(len(content)-4))
	return content, false, nil
}

// RawBody is the body as protocols without types carry it: text as UTF-8 (what has no UTF-8 form replaced by U+FFFD), bytes as they
// are, both inflated; nil for a null body and every other type. It may be the message's own memory.
func (m *Message) RawBody() ([]byte, error) {
	switch {
	case m.Content == nil:
		return nil, nil
	case m.Type == Bytes:
		return m.Bytes()
	case m.Type != Text:
		return nil, nil
	case m.Encoding == Raw:
		return m.Content, nil
	}
	text, err := m.openWireText()
	if err != nil || utf8.Valid(text) {
		return text, err
	}
	return []byte(strings.ToValidUTF8(mutf8.Decode(text), "\uFFFD")), nil
}

// BodyJSON renders the body for people and programs: null, or an object with one member: "text" (a text, or bytes that are printable
// UTF-8), "base64" (other bytes, Java serialization), "map" or "stream". In maps and streams bytes are base64, and numbers that JSON does
// not know are the strings NaN, Infinity, -Infinity. A compressed body that takes more than limit bytes is an error.
func (m *Message) BodyJSON(limit int) (json.RawMessage, error) {
	if m.Encoding == OpenWireCompressed {
		content, err := m.Inflated(limit)
		if err != nil {
			return nil, err
		}
		m = m.Copy()
		m.Content, m.Encoding = content, OpenWire
	}
	null, err := m.IsNull()
	if err != nil {
		return nil, err
	}
	if null {
		return json.RawMessage("null"), nil
	}
	member, value, err := m.bodyMember()
	if err != nil {
		return nil, err
	}
	return json.Marshal(map[string]any{member: value})
}

// IsNull says whether the body is null: none at all, or a text that OpenWire says is null.
func (m *Message) IsNull() (bool, error) {
	if m.Content == nil || m.Type != Text || m.Encoding == Raw {
		return m.Content == nil, nil
	}
	text, err := m.openWireText()
	return text == nil, err
}

func (m *Message) bodyMember() (member string, value any, err error) {
	switch m.Type {
	case Text:
		value, err = m.Text()
		return "text", value, err
	case Bytes:
		if printable(m.Content) {
			return "text", string(m.Content), nil
		}
	case Map:
		body, err := m.MapBody()
		if err != nil {
			return "", nil, err
		}
		value, err := body.Map()
		return "map", jsonValue(value), err
	case Stream:
		value, err := m.StreamBody()
		return "stream", jsonValue(value), err
	}
	return "base64", base64.StdEncoding.EncodeToString(m.Content), nil
}

func printable(b []byte) bool {
	if !utf8.Valid(b) {
		return false
	}
	return !bytes.ContainsFunc(b, func(r rune) bool { return !unicode.IsPrint(r) && r != '\n' && r != '\r' && r != '\t' })
}

// jsonValue changes, in place, what encoding/json refuses or would write as a number.
func jsonValue(value any) any {
	switch v := value.(type) {
	case Char:
		return string(rune(v))
	case float32:
		if text, odd := oddFloat(float64(v)); odd {
			return text
		}
	case float64:
		if text, odd := oddFloat(v); odd {
			return text
		}
	case map[string]any:
		for name := range v {
			v[name] = jsonValue(v[name])
		}
	case []any:
		for i := range v {
			v[i] = jsonValue(v[i])
		}
		if v == nil {
			return []any{}
		}
	}
	return value
}

func oddFloat(f float64) (text string, odd bool) {
	switch {
	case math.IsNaN(f):
		return "NaN", true
	case math.IsInf(f, 1):
		return "Infinity", true
	case math.IsInf(f, -1):
		return "-Infinity", true
	}
	return "", false
}
