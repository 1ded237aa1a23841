package stomp

import (
	"fmt"
	"math"
	"strconv"

	"github.com/godwitmq/godwit/message"
)

// transformIn applies the transformation header of a SEND.
func (c *connection) transformIn(m *message.Message, transformation string) error {
	if transformation == "jms-byte" {
		return nil
	}
	if err := c.property("transformation", transformation); err != nil {
		return err
	}
	return c.property("transformation-error", fmt.Sprintf("the transformation %s is not supported", transformation))
}

// transformOut gives the body of a MESSAGE, and its transformation header.
func transformOut(m *message.Message, wanted string) (body []byte, transformation string) {
	body, err := m.RawBody()
	if err != nil {
		return nil, ""
	}
	return body, ""
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
