package stomp

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"unicode/utf16"

	"github.com/godwitmq/godwit/codec/mutf8"
	"github.com/godwitmq/godwit/message"
)

// The transformation headers that are understood, beside jms-byte, which is none.
const (
	anyJSON = "jms-json"     // of SUBSCRIBE: whatever has a JSON form
	mapJSON = "jms-map-json" // a map, in XStream's JSON: {"map":{"entry":[{"string":"size","int":5}]}}
)

// transformIn applies the transformation header of a SEND. What fails stays a text or bytes message and says why, in ActiveMQ's way.
func (c *connection) transformIn(m *message.Message, transformation string) error {
	problem := ""
	switch transformation {
	case "jms-byte":
		return nil
	case mapJSON:
		content, err := parseMap(m.Content)
		if err == nil {
			m.Type, m.Encoding, m.Content = message.Map, message.OpenWire, content
			return nil
		}
		problem = err.Error()
	default:
		problem = fmt.Sprintf("the transformation %s is not supported", transformation)
	}
	if err := c.property("transformation", transformation); err != nil {
		return err
	}
	return c.property("transformation-error", problem)
}

// parseMap reads a map of XStream's JSON form as the body of a map message. An entry's members are the key and the value, named by their types;
// two of the same type are an array.
func parseMap(text []byte) ([]byte, error) {
	var form struct {
		Map *struct {
			Entry json.RawMessage `json:"entry"`
		} `json:"map"`
	}
	if err := json.Unmarshal(text, &form); err != nil {
		return nil, err
	}
	if form.Map == nil {
		return nil, errors.New(`expected {"map":{"entry":[...]}}`)
	}
	entries := []json.RawMessage{form.Map.Entry}
	switch raw := bytes.TrimSpace(form.Map.Entry); {
	case len(raw) == 0 || string(raw) == "null":
		entries = nil
	case raw[0] == '[':
		if err := json.Unmarshal(raw, &entries); err != nil {
			return nil, err
		}
	}
	if len(entries) > message.MaxValues {
		return nil, fmt.Errorf("more than %d entries", message.MaxValues)
	}
	values := make(map[string]any, len(entries))
	for _, entry := range entries {
		key, value, err := parseEntry(entry)
		if err != nil {
			return nil, err
		}
		values[key] = value
	}
	// Sorted, so that the same text makes the same bytes; a builder would look for each name among those before.
	var content []byte
	content = binary.BigEndian.AppendUint32(content, uint32(len(values)))
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if len(key) > maxKey {
			return nil, fmt.Errorf("a key is longer than %d bytes", maxKey)
		}
		name := mutf8.Append(nil, key)
		if len(name) > math.MaxUint16 {
			return nil, fmt.Errorf("a key is longer than %d bytes", maxKey)
		}
		content = binary.BigEndian.AppendUint16(content, uint16(len(name)))
		content = append(content, name...)
		var err error
		if content, err = message.AppendValue(content, values[key]); err != nil {
			return nil, err
		}
	}
	return content, nil
}

// maxKey bounds the keys of a map, in bytes; in modified UTF-8 one may take twice as much.
const maxKey = math.MaxUint16

// parseEntry reads {"string":"key","int":5} or {"string":["key","value"]}.
func parseEntry(raw []byte) (key string, value any, err error) {
	var parts []any
	d := json.NewDecoder(bytes.NewReader(raw))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return "", nil, errors.New("an entry is no object")
	}
	for d.More() {
		kind, err := d.Token()
		if err != nil {
			return "", nil, err
		}
		var member json.RawMessage
		if err := d.Decode(&member); err != nil {
			return "", nil, err
		}
		several := []json.RawMessage{member}
		if member[0] == '[' {
			if err := json.Unmarshal(member, &several); err != nil {
				return "", nil, err
			}
		}
		for _, one := range several {
			part, err := parseScalar(kind.(string), one)
			if err != nil {
				return "", nil, err
			}
			parts = append(parts, part)
		}
	}
	if len(parts) != 2 {
		return "", nil, fmt.Errorf("an entry has %d parts, expected a key and a value", len(parts))
	}
	key, ok := parts[0].(string)
	if !ok {
		return "", nil, errors.New("a key is no string")
	}
	return key, parts[1], nil
}

// parseScalar reads a value of the type that XStream names so. Numbers may be quoted.
func parseScalar(kind string, raw json.RawMessage) (any, error) {
	text := string(raw)
	if len(raw) > 0 && raw[0] == '"' {
		if err := json.Unmarshal(raw, &text); err != nil {
			return nil, err
		}
	}
	whole := func(bits int) (int64, error) { return strconv.ParseInt(text, 10, bits) }
	switch kind {
	case "string":
		return text, nil
	case "null":
		return nil, nil
	case "boolean":
		return strconv.ParseBool(text)
	case "byte":
		n, err := whole(8)
		return int8(n), err
	case "short":
		n, err := whole(16)
		return int16(n), err
	case "int":
		n, err := whole(32)
		return int32(n), err
	case "long":
		return whole(64)
	case "float":
		f, err := strconv.ParseFloat(text, 32)
		return float32(f), err
	case "double":
		return strconv.ParseFloat(text, 64)
	case "byte-array":
		return base64.StdEncoding.DecodeString(text)
	case "char":
		units := utf16.Encode([]rune(text))
		if len(units) != 1 {
			return nil, fmt.Errorf("a char has %d UTF-16 units", len(units))
		}
		return message.Char(units[0]), nil
	}
	return nil, fmt.Errorf("values of type %s are not supported", kind)
}

// transformOut gives the body of a MESSAGE, and its transformation header. Without a form that was asked for, a body is empty.
func transformOut(m *message.Message, wanted string) (body []byte, transformation string) {
	if m.Type == message.Map && (wanted == anyJSON || wanted == mapJSON) {
		if body, err := formatMap(m); err == nil {
			return body, mapJSON
		}
	}
	if m.Type == message.Text {
		transformation = wanted
	}
	body, err := m.RawBody()
	if err != nil {
		return nil, ""
	}
	return body, transformation
}

// formatMap is parseMap's inverse. Maps and lists inside have no form here.
func formatMap(m *message.Message) ([]byte, error) {
	properties, err := m.MapBody()
	if err != nil {
		return nil, err
	}
	b := []byte(`{"map":{"entry":[`)
	empty := len(b)
	var unknown error
	err = properties.Range(func(name string, value any) bool {
		if len(b) > empty {
			b = append(b, ',')
		}
		b = append(b, `{"string":`...)
		if text, ok := value.(string); ok {
			b = append(b, '[')
			b = appendJSON(b, name)
			b = append(b, ',')
			b = appendJSON(b, text)
			b = append(b, "]}"...)
			return true
		}
		b = appendJSON(b, name)
		kind := ""
		switch v := value.(type) {
		case nil:
			kind, value = "null", ""
		case bool:
			kind = "boolean"
		case int8:
			kind = "byte"
		case int16:
			kind = "short"
		case int32:
			kind = "int"
		case int64:
			kind = "long"
		case float32:
			if kind = "float"; math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
				value = string(appendValue(nil, v))
			}
		case float64:
			if kind = "double"; math.IsNaN(v) || math.IsInf(v, 0) {
				value = string(appendValue(nil, v))
			}
		case []byte:
			kind = "byte-array" // encoding/json writes base64
		case message.Char:
			kind, value = "char", string(rune(v))
		default:
			unknown = fmt.Errorf("a %T in a map", value)
			return false
		}
		b = append(b, `,"`...)
		b = append(b, kind...)
		b = append(b, `":`...)
		b = appendJSON(b, value)
		b = append(b, '}')
		return true
	})
	return append(b, "]}}"...), errors.Join(err, unknown)
}

// appendJSON writes a value that encoding/json cannot refuse.
func appendJSON(b []byte, value any) []byte {
	text, err := json.Marshal(value)
	if err != nil {
		return append(b, "null"...)
	}
	return append(b, text...)
}

// appendValue writes a property as Java does.
func appendValue(b []byte, value any) []byte {
	switch v := value.(type) {
	case string:
		return append(b, v...)
	case bool:
		return strconv.AppendBool(b, v)
	case int8:
		return strconv.AppendInt(b, int64(v), 10)
	case int16:
		return strconv.AppendInt(b, int64(v), 10)
	case int32:
		return strconv.AppendInt(b, int64(v), 10)
	case int64:
		return strconv.AppendInt(b, v, 10)
	case message.Char:
		return append(b, string(rune(v))...)
	case float32:
		return appendFloat(b, float64(v), 32)
	case float64:
		return appendFloat(b, v, 64)
	}
	return b
}

// appendFloat writes a float as Java's Double.toString: 1.0, 1.0E10, NaN, Infinity.
func appendFloat(b []byte, v float64, bits int) []byte {
	size := math.Abs(v)
	switch {
	case math.IsNaN(v):
		return append(b, "NaN"...)
	case math.IsInf(v, 0):
		if v < 0 {
			b = append(b, '-')
		}
		return append(b, "Infinity"...)
	case size == 0 || size >= 1e-3 && size < 1e7:
		return withPoint(strconv.AppendFloat(b, v, 'f', -1, bits), len(b))
	}
	text := strconv.AppendFloat(nil, v, 'e', -1, bits)
	mantissa, exponent := text, 0
	for i, c := range text {
		if c == 'e' {
			mantissa = text[:i]
			exponent, _ = strconv.Atoi(string(text[i+1:]))
			break
		}
	}
	start := len(b)
	b = withPoint(append(b, mantissa...), start)
	b = append(b, 'E')
	return strconv.AppendInt(b, int64(exponent), 10)
}

// withPoint adds ".0" to the whole number that b ends with.
func withPoint(b []byte, start int) []byte {
	for _, c := range b[start:] {
		if c == '.' {
			return b
		}
	}
	return append(b, ".0"...)
}
