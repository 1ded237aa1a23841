package message

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/godwitmq/godwit/codec/mutf8"
)

// Properties is a map of named values in encoded form, that of OpenWire's primitive map: an int32 count, then per entry a
// name (uint16 length, modified UTF-8) and a value (a type byte, then its bytes), all big-endian. nil is no map. Bytes after the
// last entry are ignored. A name that occurs twice means its first entry.
//
// Values are, in Go: nil, bool, int8, int16, Char, int32, int64, float32, float64, string, []byte, map[string]any, []any.
//
// No method panics on broken bytes, but only Valid tells of all that is wrong with them.
type Properties []byte

// Char is one UTF-16 unit, Java's char.
type Char uint16

// The type bytes of values (OpenWire, "primitive maps").
const (
	tagNull byte = iota
	tagBool
	tagInt8
	tagChar
	tagInt16
	tagInt32
	tagInt64
	tagFloat64
	tagFloat32
	tagString
	tagBytes
	tagMap
	tagList
	tagBigString
)

// fixedSizes are the sizes of the values that follow the type bytes, -1 where a length comes first.
var fixedSizes = [...]int{tagNull: 0, tagBool: 1, tagInt8: 1, tagChar: 2, tagInt16: 2, tagInt32: 4, tagInt64: 8, tagFloat64: 8, tagFloat32: 4,
	tagString: -1, tagBytes: -1, tagMap: -1, tagList: -1, tagBigString: -1}

const (
	// MaxDepth bounds how deep maps and lists may lie in each other inside a property map or a body.
	MaxDepth = 64
	// MaxValues bounds how many values one call decodes to Go values, which take up to sixteen times the
	// memory of their encoded form.
	MaxValues = 1 << 20

	maxNameBytes = math.MaxUint16
	// bigStringUnits is the length in UTF-16 units from which Java writes a string as a big one.
	bigStringUnits = 8191
	// minEntry is the least that an entry takes: an empty name and null.
	minEntry = 3
)

var (
	errValueShort  = errors.New("a value ends too early")
	errTooDeep     = fmt.Errorf("maps and lists lie in each other more than %d deep", MaxDepth)
	errTooMany     = fmt.Errorf("more than %d values", MaxValues)
	errNoCount     = errors.New("a map or list has no count")
	errNegative    = errors.New("a length is negative")
	errUnknownType = errors.New("a value has an unknown type byte")
)

// Valid checks all of p: counts and lengths against the bytes that are there, type bytes, depth. It takes no memory. What comes
// from outside must pass it before anything else is done with it.
func (p Properties) Valid() error {
	if len(p) == 0 {
		return nil
	}
	if _, err := mapSize(p, 0); err != nil {
		return fmt.Errorf("property map of %d bytes: %w", len(p), err)
	}
	return nil
}

// Len is the number of entries that p says it has.
func (p Properties) Len() int {
	if len(p) < 4 {
		return 0
	}
	return max(0, int(int32(binary.BigEndian.Uint32(p))))
}

// Get gives the value of that name. It decodes no other, and allocates only for what it returns. Text and bytes are copies.
// A value that cannot be decoded counts as absent.
func (p Properties) Get(name string) (value any, ok bool) {
	found, ok := p.find(name)
	if !ok {
		return nil, false
	}
	d := decoder{rest: found, left: MaxValues}
	value, err := d.value(0)
	return value, err == nil
}

// Range calls fn for each entry in the order of the bytes, until fn returns false. The error tells where the bytes
// are broken; entries before that place have been passed to fn.
func (p Properties) Range(fn func(name string, value any) bool) error {
	budget := MaxValues
	entries, err := p.entries()
	if err != nil {
		return err
	}
	for entries.left > 0 {
		name, encoded, err := entries.next()
		if err != nil {
			return err
		}
		d := decoder{rest: encoded, left: budget}
		value, err := d.value(0)
		if err != nil {
			return fmt.Errorf("property %q: %w", name, err)
		}
		budget = d.left
		if !fn(mutf8.Decode(name), value) {
			return nil
		}
	}
	return nil
}

// Map decodes all of p. A nil or empty p gives an empty map.
func (p Properties) Map() (map[string]any, error) {
	m := make(map[string]any, min(p.Len(), len(p)/minEntry))
	err := p.Range(func(name string, value any) bool {
		if _, twice := m[name]; !twice {
			m[name] = value
		}
		return true
	})
	return m, err
}

// With returns a copy of p in which name has the value given, whether it had one before or not. It panics if the name is longer
// than 65535 bytes or the value is of no type that Properties knows, which are faults of the caller.
func (p Properties) With(name string, value any) Properties {
	changed := make([]byte, 4, 4+len(p)+2+len(name)+16+stringLen(value))
	count := uint32(0)
	if entries, err := p.entries(); err == nil {
		wireName := wireForm(name)
		for entries.left > 0 {
			before := entries.rest
			key, _, err := entries.next()
			if err != nil {
				break
			}
			if string(key) == wireName {
				continue
			}
			changed = append(changed, before[:len(before)-len(entries.rest)]...)
			count++
		}
	}
	changed, err := appendEntry(changed, name, value)
	if err != nil {
		panic("message: " + err.Error())
	}
	binary.BigEndian.PutUint32(changed, count+1)
	return changed
}

func stringLen(value any) int {
	if s, ok := value.(string); ok {
		return len(s)
	}
	return 0
}

// wireForm is the name as it stands in the bytes, for comparison.
func wireForm(name string) string {
	if mutf8.Same(name) {
		return name
	}
	return string(mutf8.Append(nil, name))
}

// find gives the encoded value of that name, from its type byte on.
func (p Properties) find(name string) ([]byte, bool) {
	if value, ok := p.findWire(name); ok || mutf8.Same(name) {
		return value, ok
	}
	return p.findWire(wireForm(name))
}

func (p Properties) findWire(name string) ([]byte, bool) {
	entries, err := p.entries()
	if err != nil {
		return nil, false
	}
	for entries.left > 0 {
		key, value, err := entries.next()
		if err != nil {
			return nil, false
		}
		if string(key) == name {
			return value, true
		}
	}
	return nil, false
}

// entries walks over a map's entries without decoding their values.
type entries struct {
	rest []byte
	left int
}

func (p Properties) entries() (entries, error) {
	if len(p) == 0 {
		return entries{}, nil
	}
	n, err := mapCount(p)
	if err != nil {
		return entries{}, err
	}
	return entries{rest: p[4:], left: n}, nil
}

// mapCount reads a map's count and holds it against the bytes that follow.
func mapCount(b []byte) (int, error) {
	if len(b) < 4 {
		return 0, errNoCount
	}
	n := int(int32(binary.BigEndian.Uint32(b)))
	switch {
	case n == -1: // a null map
		return 0, nil
	case n < 0:
		return 0, errNegative
	case n > (len(b)-4)/minEntry:
		return 0, fmt.Errorf("a map of %d entries does not fit into %d bytes", n, len(b)-4)
	}
	return n, nil
}

// next takes the next entry; the value begins with its type byte.
func (e *entries) next() (name, value []byte, err error) {
	return e.nextAt(0)
}

func (e *entries) nextAt(depth int) (name, value []byte, err error) {
	if len(e.rest) < 2 {
		return nil, nil, errValueShort
	}
	n := 2 + int(binary.BigEndian.Uint16(e.rest))
	if n >= len(e.rest) { // at least the type byte must follow
		return nil, nil, errValueShort
	}
	name, value = e.rest[2:n], e.rest[n:]
	size := 0
	if tag := value[0]; int(tag) < len(fixedSizes) && fixedSizes[tag] >= 0 {
		size = 1 + fixedSizes[tag]
		if size > len(value) {
			return nil, nil, errValueShort
		}
	} else if size, err = valueSize(value, depth); err != nil {
		return nil, nil, err
	}
	e.rest = value[size:]
	e.left--
	return name, value[:size:size], nil
}

// valueSize is the length of the value at the front of b, its type byte included.
func valueSize(b []byte, depth int) (int, error) {
	if len(b) == 0 {
		return 0, errValueShort
	}
	body := b[1:]
	size := 0
	switch b[0] {
	case tagString:
		if len(body) < 2 {
			return 0, errValueShort
		}
		size = 2 + int(binary.BigEndian.Uint16(body))
	case tagBytes, tagBigString:
		if len(body) < 4 {
			return 0, errValueShort
		}
		n := int(int32(binary.BigEndian.Uint32(body)))
		if n < 0 {
			return 0, errNegative
		}
		size = 4 + n
	case tagMap:
		n, err := mapSize(body, depth+1)
		return 1 + n, err
	case tagList:
		n, err := listSize(body, depth+1)
		return 1 + n, err
	default:
		if int(b[0]) >= len(fixedSizes) {
			return 0, errUnknownType
		}
		size = fixedSizes[b[0]]
	}
	if size > len(body) {
		return 0, errValueShort
	}
	return 1 + size, nil
}

// mapSize is the length of the map at the front of b, which lies depth maps and lists deep.
func mapSize(b []byte, depth int) (int, error) {
	if depth > MaxDepth {
		return 0, errTooDeep
	}
	n, err := mapCount(b)
	if err != nil {
		return 0, err
	}
	e := entries{rest: b[4:], left: n}
	for e.left > 0 {
		if _, _, err := e.nextAt(depth); err != nil {
			return 0, err
		}
	}
	return len(b) - len(e.rest), nil
}

func listSize(b []byte, depth int) (int, error) {
	if depth > MaxDepth {
		return 0, errTooDeep
	}
	n, err := listCount(b)
	if err != nil {
		return 0, err
	}
	size := 4
	for range n {
		one, err := valueSize(b[size:], depth)
		if err != nil {
			return 0, err
		}
		size += one
	}
	return size, nil
}

func listCount(b []byte) (int, error) {
	if len(b) < 4 {
		return 0, errNoCount
	}
	n := int(int32(binary.BigEndian.Uint32(b)))
	switch {
	case n < 0:
		return 0, errNegative
	case n > len(b)-4:
		return 0, fmt.Errorf("a list of %d values does not fit into %d bytes", n, len(b)-4)
	}
	return n, nil
}

// decoder takes values off the front of rest, at most left of them.
type decoder struct {
	rest []byte
	left int
}

func (d *decoder) value(depth int) (any, error) {
	if d.left--; d.left < 0 {
		return nil, errTooMany
	}
	if len(d.rest) == 0 {
		return nil, errValueShort
	}
	switch d.rest[0] {
	case tagMap:
		return d.mapValue(depth + 1)
	case tagList:
		return d.list(depth + 1)
	}
	size, err := valueSize(d.rest, depth)
	if err != nil {
		return nil, err
	}
	value := d.rest[:size]
	d.rest = d.rest[size:]
	return decodeSimple(value), nil
}

// decodeSimple decodes a whole value that is no map and no list.
func decodeSimple(value []byte) any {
	b := value[1:]
	switch value[0] {
	case tagBool:
		return b[0] != 0
	case tagInt8:
		return int8(b[0])
	case tagChar:
		return Char(binary.BigEndian.Uint16(b))
	case tagInt16:
		return int16(binary.BigEndian.Uint16(b))
	case tagInt32:
		return int32(binary.BigEndian.Uint32(b))
	case tagInt64:
		return int64(binary.BigEndian.Uint64(b))
	case tagFloat64:
		return math.Float64frombits(binary.BigEndian.Uint64(b))
	case tagFloat32:
		return math.Float32frombits(binary.BigEndian.Uint32(b))
	case tagString:
		return mutf8.Decode(b[2:])
	case tagBigString:
		return mutf8.Decode(b[4:])
	case tagBytes:
		return append([]byte{}, b[4:]...)
	}
	return nil
}

func (d *decoder) mapValue(depth int) (any, error) {
	if depth > MaxDepth {
		return nil, errTooDeep
	}
	body := d.rest[1:]
	n, err := mapCount(body)
	if err != nil {
		return nil, err
	}
	d.rest = body[4:]
	if int32(binary.BigEndian.Uint32(body)) < 0 {
		return nil, nil
	}
	m := make(map[string]any, min(n, d.left, 1024))
	for range n {
		if len(d.rest) < 2 {
			return nil, errValueShort
		}
		end := 2 + int(binary.BigEndian.Uint16(d.rest))
		if end > len(d.rest) {
			return nil, errValueShort
		}
		name := mutf8.Decode(d.rest[2:end])
		d.rest = d.rest[end:]
		value, err := d.value(depth)
		if err != nil {
			return nil, err
		}
		if _, twice := m[name]; !twice {
			m[name] = value
		}
	}
	return m, nil
}

func (d *decoder) list(depth int) (any, error) {
	if depth > MaxDepth {
		return nil, errTooDeep
	}
	body := d.rest[1:]
	n, err := listCount(body)
	if err != nil {
		return nil, err
	}
	d.rest = body[4:]
	list := make([]any, 0, min(n, d.left, 1024))
	for range n {
		value, err := d.value(depth)
		if err != nil {
			return nil, err
		}
		list = append(list, value)
	}
	return list, nil
}

// PropertiesBuilder makes Properties entry by entry. The zero value is an empty builder.
type PropertiesBuilder struct {
	encoded []byte // with the count in front, or empty
	names   map[string]struct{}
}

// scanNames is the number of entries up to which a builder looks for a name by going through them.
const scanNames = 16

// Set adds an entry, or replaces that of the same name. An error (a name over 65535 bytes, a type that Properties
// does not know, too deep a value) leaves the builder as it was. An int is taken as an int64.
func (b *PropertiesBuilder) Set(name string, value any) error {
	if b.Has(name) {
		changed, err := appendEntry(nil, name, value)
		if err != nil {
			return err
		}
		b.remove(name)
		b.added(name, append(b.encoded, changed...))
		return nil
	}
	changed, err := appendEntry(b.start(), name, value)
	if err != nil {
		return err
	}
	b.added(name, changed)
	return nil
}

// SetString is Set without the cost of an interface.
func (b *PropertiesBuilder) SetString(name, value string) error {
	if b.Has(name) {
		return b.Set(name, value)
	}
	changed, err := appendName(b.start(), name)
	if err != nil {
		return err
	}
	b.added(name, appendStringValue(changed, value))
	return nil
}

// Has says whether an entry of that name was set.
func (b *PropertiesBuilder) Has(name string) bool {
	if b.names != nil {
		_, ok := b.names[name]
		return ok
	}
	_, ok := Properties(b.encoded).find(name)
	return ok
}

// Properties gives what was set, nil if that is nothing. It is the builder's own memory, good until the next call of
// Set, SetString or Reset; Message.Encode makes a copy.
func (b *PropertiesBuilder) Properties() Properties {
	if Properties(b.encoded).Len() == 0 {
		return nil
	}
	return Properties(b.encoded[:len(b.encoded):len(b.encoded)])
}

// Reset empties the builder and keeps its memory.
func (b *PropertiesBuilder) Reset() { b.encoded, b.names = b.encoded[:0], nil }

func (b *PropertiesBuilder) start() []byte {
	if len(b.encoded) == 0 {
		b.encoded = append(b.encoded, 0, 0, 0, 0)
	}
	return b.encoded
}

func (b *PropertiesBuilder) added(name string, encoded []byte) {
	n := uint32(Properties(encoded).Len() + 1)
	binary.BigEndian.PutUint32(encoded, n)
	b.encoded = encoded
	if n > scanNames {
		if b.names == nil {
			b.index()
		}
		b.names[name] = struct{}{}
	}
}

// index lists the names, so that many of them do not make each Set slower than the last.
func (b *PropertiesBuilder) index() {
	b.names = make(map[string]struct{}, 2*scanNames)
	all, err := Properties(b.encoded).entries()
	for err == nil && all.left > 0 {
		var name []byte
		if name, _, err = all.next(); err == nil {
			b.names[mutf8.Decode(name)] = struct{}{}
		}
	}
}

func (b *PropertiesBuilder) remove(name string) {
	wireName := wireForm(name)
	all, err := Properties(b.encoded).entries()
	for err == nil && all.left > 0 {
		start := len(b.encoded) - len(all.rest)
		var key []byte
		if key, _, err = all.next(); err == nil && string(key) == wireName {
			count := Properties(b.encoded).Len() - 1
			b.encoded = slices.Delete(b.encoded, start, len(b.encoded)-len(all.rest))
			binary.BigEndian.PutUint32(b.encoded, uint32(count))
			return
		}
	}
}

func appendName(b []byte, name string) ([]byte, error) {
	start := len(b)
	b = mutf8.Append(append(b, 0, 0), name)
	n := len(b) - start - 2
	if n > maxNameBytes {
		return nil, fmt.Errorf("property name of %d bytes is longer than %d", n, maxNameBytes)
	}
	binary.BigEndian.PutUint16(b[start:], uint16(n))
	return b, nil
}

func appendEntry(b []byte, name string, value any) ([]byte, error) {
	b, err := appendName(b, name)
	if err != nil {
		return nil, err
	}
	if b, err = appendValue(b, value, 0); err != nil {
		return nil, fmt.Errorf("property %q: %w", name, err)
	}
	return b, nil
}

// AppendValue adds one encoded value to b, as it stands in a stream body. It knows the types that Properties knows, int (as int64)
// and Properties (as a map).
func AppendValue(b []byte, value any) ([]byte, error) { return appendValue(b, value, 0) }

func appendValue(b []byte, value any, depth int) ([]byte, error) {
	switch v := value.(type) {
	case nil:
		return append(b, tagNull), nil
	case bool:
		if v {
			return append(b, tagBool, 1), nil
		}
		return append(b, tagBool, 0), nil
	case int8:
		return append(b, tagInt8, byte(v)), nil
	case int16:
		return binary.BigEndian.AppendUint16(append(b, tagInt16), uint16(v)), nil
	case Char:
		return binary.BigEndian.AppendUint16(append(b, tagChar), uint16(v)), nil
	case int32:
		return binary.BigEndian.AppendUint32(append(b, tagInt32), uint32(v)), nil
	case int64:
		return binary.BigEndian.AppendUint64(append(b, tagInt64), uint64(v)), nil
	case int:
		return binary.BigEndian.AppendUint64(append(b, tagInt64), uint64(v)), nil
	case float32:
		return binary.BigEndian.AppendUint32(append(b, tagFloat32), math.Float32bits(v)), nil
	case float64:
		return binary.BigEndian.AppendUint64(append(b, tagFloat64), math.Float64bits(v)), nil
	case string:
		return appendStringValue(b, v), nil
	case []byte:
		b = binary.BigEndian.AppendUint32(append(b, tagBytes), uint32(len(v)))
		return append(b, v...), nil
	}
	if depth++; depth > MaxDepth {
		return nil, errTooDeep
	}
	switch v := value.(type) {
	case map[string]any:
		return appendMap(b, v, depth)
	case []any:
		return appendList(b, v, depth)
	case Properties:
		if len(v) == 0 {
			return append(b, tagMap, 0, 0, 0, 0), nil
		}
		n, err := mapSize(v, depth)
		if err != nil {
			return nil, err
		}
		return append(append(b, tagMap), v[:n]...), nil
	}
	return nil, fmt.Errorf("a value of Go type %T has no encoded form", value)
}

// appendMap writes the entries in the order of their names, so that the same map always gives the same bytes.
func appendMap(b []byte, m map[string]any, depth int) ([]byte, error) {
	b = binary.BigEndian.AppendUint32(append(b, tagMap), uint32(len(m)))
	for _, name := range slices.Sorted(maps.Keys(m)) {
		var err error
		if b, err = appendName(b, name); err != nil {
			return nil, err
		}
		if b, err = appendValue(b, m[name], depth); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func appendList(b []byte, list []any, depth int) ([]byte, error) {
	b = binary.BigEndian.AppendUint32(append(b, tagList), uint32(len(list)))
	for _, v := range list {
		var err error
		if b, err = appendValue(b, v, depth); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// appendStringValue chooses between the two string types as Java does.
func appendStringValue(b []byte, s string) []byte {
	start := len(b)
	if len(s) >= bigStringUnits && units(s) >= bigStringUnits {
		b = mutf8.Append(append(b, tagBigString, 0, 0, 0, 0), s)
		binary.BigEndian.PutUint32(b[start+1:], uint32(len(b)-start-5))
		return b
	}
	b = mutf8.Append(append(b, tagString, 0, 0), s)
	binary.BigEndian.PutUint16(b[start+1:], uint16(len(b)-start-3))
	return b
}

// units is the length of s in UTF-16 units.
func units(s string) int {
	n := 0
	for _, r := range s {
		if r >= 0x10000 {
			n++
		}
		n++
	}
	return n
}

// selectorValue decodes a whole value to what selectors compute with: nil, bool, int64, float64, string.
func selectorValue(value []byte) any {
	b := value[1:]
	switch value[0] {
	case tagInt8:
		return int64(int8(b[0]))
	case tagChar:
		return string(rune(binary.BigEndian.Uint16(b)))
	case tagInt16:
		return int64(int16(binary.BigEndian.Uint16(b)))
	case tagInt32:
		return int64(int32(binary.BigEndian.Uint32(b)))
	case tagFloat32:
		return float64(math.Float32frombits(binary.BigEndian.Uint32(b)))
	case tagBytes, tagMap, tagList:
		return nil
	}
	return decodeSimple(value)
}
