package message

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func simpleValues() *rapid.Generator[any] {
	return rapid.OneOf(
		rapid.Just[any](nil),
		rapid.Bool().AsAny(), rapid.Int8().AsAny(), rapid.Int16().AsAny(), rapid.Int32().AsAny(), rapid.Int64().AsAny(),
		rapid.Map(rapid.Uint16(), func(c uint16) any { return Char(c) }),
		rapid.Float32().AsAny(), rapid.Float64().AsAny(), rapid.String().AsAny(),
		rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) any { return b }),
	)
}

func values() *rapid.Generator[any] {
	inner := simpleValues()
	for range 3 {
		next := inner
		inner = rapid.OneOf(simpleValues(),
			rapid.Map(rapid.MapOfN(rapid.String(), next, 0, 4), func(m map[string]any) any { return m }),
			rapid.Map(rapid.SliceOfN(next, 0, 4), func(l []any) any { return l }))
	}
	return inner
}

func TestPropertiesRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.MapOfN(rapid.String(), values(), 0, 40).Draw(t, "map")
		var b PropertiesBuilder
		for name, value := range want {
			if rapid.Bool().Draw(t, "twice") {
				set(t, &b, name, "to be replaced")
			}
			set(t, &b, name, value)
		}
		p := b.Properties()
		if err := p.Valid(); err != nil {
			t.Fatal(err)
		}
		if p.Len() != len(want) {
			t.Fatalf("Len = %d, want %d", p.Len(), len(want))
		}
		if got, err := p.Map(); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("Map = %#v, %v; want %#v", got, err, want)
		}
		for name, value := range want {
			if got, ok := p.Get(name); !ok || !reflect.DeepEqual(got, value) {
				t.Fatalf("Get(%q) = %#v, %t; want %#v", name, got, ok, value)
			}
		}
		added, value := rapid.String().Draw(t, "name"), values().Draw(t, "value")
		before := bytes.Clone(p)
		changed := p.With(added, value)
		want[added] = value
		if got, err := changed.Map(); err != nil || !reflect.DeepEqual(got, want) || changed.Len() != len(want) {
			t.Fatalf("With(%q, %#v) is %#v, %v; want %#v", added, value, got, err, want)
		}
		if !bytes.Equal(before, p) {
			t.Fatal("With changed the original")
		}
	})
}

func set(t interface{ Fatal(...any) }, b *PropertiesBuilder, name string, value any) {
	var err error
	if s, ok := value.(string); ok {
		err = b.SetString(name, s)
	} else {
		err = b.Set(name, value)
	}
	if err != nil {
		t.Fatal(err)
	}
	if !b.Has(name) {
		t.Fatal("Has says no to what was set: " + name)
	}
}

func TestPropertiesBuilder(t *testing.T) {
	var b PropertiesBuilder
	if p := b.Properties(); p != nil {
		t.Errorf("nothing set gives %x, want nil", p)
	}
	for name, value := range map[string]any{"a type without a form": struct{}{}, strings.Repeat("n", 65536): true, "unsigned": uint(1)} {
		if err := b.Set(name, value); err == nil {
			t.Errorf("Set(%.30q, %T) succeeds, want an error", name, value)
		}
	}
	if p := b.Properties(); p != nil {
		t.Errorf("only failures give %x, want nil", p)
	}
	set(t, &b, "k", "v")
	if err := b.Set("k", struct{}{}); err == nil {
		t.Error("replacing by a type without a form succeeds, want an error")
	}
	if v, _ := b.Properties().Get("k"); v != "v" {
		t.Errorf("after a failed replacement k = %v, want v", v)
	}
	if err := b.Set("int", 7); err != nil {
		t.Fatal(err)
	}
	if v, _ := b.Properties().Get("int"); v != int64(7) {
		t.Errorf("an int is read back as %#v, want int64(7)", v)
	}
	b.Reset()
	if p := b.Properties(); p != nil || b.Has("k") {
		t.Errorf("after Reset: %x, has k: %t; want nothing", p, b.Has("k"))
	}
}

func TestStringForm(t *testing.T) {
	tests := map[string]struct {
		text string
		tag  byte
	}{
		"short":                       {"abc", tagString},
		"8190 units":                  {strings.Repeat("a", 8190), tagString},
		"8191 units":                  {strings.Repeat("a", 8191), tagBigString},
		"8190 units of three bytes":   {strings.Repeat("€", 8190), tagString},
		"8190 units of surrogates":    {strings.Repeat("😀", 4095), tagString},
		"8192 units of surrogates":    {strings.Repeat("😀", 4096), tagBigString},
		"more than sixteen bits long": {strings.Repeat("a", 70000), tagBigString},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			encoded, err := AppendValue(nil, tt.text)
			if err != nil || encoded[0] != tt.tag {
				t.Errorf("type byte is %d, %v; want %d", encoded[0], err, tt.tag)
			}
			if got, ok := Properties(nil).With("k", tt.text).Get("k"); !ok || got != tt.text {
				t.Errorf("read back as %.40q, %t; want %.40q", got, ok, tt.text)
			}
		})
	}
}

// nested is a list in a list and so on, n lists in all.
func nested(n int) any {
	var v any
	for range n {
		v = []any{v}
	}
	return v
}

func TestDepth(t *testing.T) {
	deepest := Properties(nil).With("k", nested(MaxDepth))
	if err := deepest.Valid(); err != nil {
		t.Errorf("%d lists deep: %v, want no error", MaxDepth, err)
	}
	if v, ok := deepest.Get("k"); !ok || !reflect.DeepEqual(v, nested(MaxDepth)) {
		t.Errorf("%d lists deep are read as %v, %t", MaxDepth, v, ok)
	}
	var b PropertiesBuilder
	if err := b.Set("k", nested(MaxDepth+1)); err == nil {
		t.Errorf("%d lists deep can be set, want an error", MaxDepth+1)
	}
	// By hand: one list, and one map, more than allowed.
	list := append([]byte{0, 0, 0, 1, 0, 1, 'k'}, bytes.Repeat([]byte{tagList, 0, 0, 0, 1}, MaxDepth+1)...)
	maps := append([]byte{0, 0, 0, 1, 0, 0}, bytes.Repeat([]byte{tagMap, 0, 0, 0, 1, 0, 0}, MaxDepth+1)...)
	for _, p := range []Properties{append(list, tagNull), append(maps, tagNull)} {
		if err := p.Valid(); err == nil || !strings.Contains(err.Error(), "deep") {
			t.Errorf("Valid of %d deep = %v, want an error that says so", MaxDepth+1, err)
		}
	}
	if err := b.Set("k", Properties(nil).With("x", nested(MaxDepth))); err == nil {
		t.Error("a map with the deepest value can be put into a map, want an error")
	}
}

func TestValidErrors(t *testing.T) {
	tests := map[string]struct {
		p    string
		want string // "" is valid
	}{
		"none":                  {"", ""},
		"null map":              {"\xff\xff\xff\xff", ""},
		"empty map":             {"\x00\x00\x00\x00", ""},
		"bytes after":           {"\x00\x00\x00\x00junk", ""},
		"null map as a value":   {"\x00\x00\x00\x01\x00\x01k\x0b\xff\xff\xff\xff", ""},
		"short count":           {"\x00\x00\x00", "no count"},
		"negative count":        {"\xff\xff\xff\xfe", "negative"},
		"huge count":            {"\x7f\xff\xff\xff\x00\x01k\x00", "2147483647 entries does not fit"},
		"name ends early":       {"\x00\x00\x00\x01\x00\x09k\x00", "too early"},
		"no type byte":          {"\x00\x00\x00\x01\x00\x01k", "too early"},
		"unknown type":          {"\x00\x00\x00\x01\x00\x01k\x0e", "unknown type"},
		"short int":             {"\x00\x00\x00\x01\x00\x01k\x05\x00\x00\x00", "too early"},
		"short string":          {"\x00\x00\x00\x01\x00\x01k\x09\x00\x02a", "too early"},
		"negative big string":   {"\x00\x00\x00\x01\x00\x01k\x0d\xff\xff\xff\xff", "negative"},
		"huge bytes":            {"\x00\x00\x00\x01\x00\x01k\x0a\x7f\xff\xff\xff", "too early"},
		"negative list":         {"\x00\x00\x00\x01\x00\x01k\x0c\xff\xff\xff\xff", "negative"},
		"huge list":             {"\x00\x00\x00\x01\x00\x01k\x0c\x7f\xff\xff\xff\x00", "does not fit"},
		"broken value in a map": {"\x00\x00\x00\x01\x00\x01k\x0b\x00\x00\x00\x01\x00\x01k\x05", "too early"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := Properties(tt.p).Valid()
			if (tt.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Valid(%x) = %v, want %q", tt.p, err, tt.want)
			}
			_, mapErr := Properties(tt.p).Map()
			if (mapErr == nil) != (err == nil) {
				t.Errorf("Map error is %v, that of Valid %v", mapErr, err)
			}
		})
	}
}

func TestFirstOfTwiceCounts(t *testing.T) {
	p := Properties("\x00\x00\x00\x02\x00\x01k\x01\x01\x00\x01k\x01\x00")
	m, err := p.Map()
	if v, _ := p.Get("k"); v != true || m["k"] != true || err != nil {
		t.Errorf("Get = %v, Map = %v, %v; want true", v, m, err)
	}
	if p := p.With("k", nil); p.Len() != 1 {
		t.Errorf("With leaves %d entries, want 1", p.Len())
	}
}

func TestWithMendsBrokenBytes(t *testing.T) {
	p := Properties("\x00\x00\x00\x02\x00\x01a\x01\x01\x00\x01b\x05\x00").With("c", "d")
	got, err := p.Map()
	if want := map[string]any{"a": true, "c": "d"}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("after the first entry broken, With gives %v, %v; want %v", got, err, want)
	}
}

func TestMaxValues(t *testing.T) {
	list := binary.BigEndian.AppendUint32([]byte{0, 0, 0, 1, 0, 1, 'k', tagList}, MaxValues)
	p := Properties(append(list, make([]byte, MaxValues)...)) // the list itself is one value more
	if err := p.Valid(); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Map(); err == nil || !strings.Contains(err.Error(), "more than 1048576 values") {
		t.Errorf("Map of too many values: %v, want an error that says so", err)
	}
	if _, ok := p.Get("k"); ok {
		t.Error("Get decodes too many values")
	}
}

func TestGetAllocations(t *testing.T) {
	p := benchProperties()
	tests := map[string]float64{"flag": 0, "small": 0, "number": 1, "tenant": 2, "absent": 0}
	for name, want := range tests {
		if got := testing.AllocsPerRun(100, func() { p.Get(name) }); got > want {
			t.Errorf("Get(%q) allocates %v times, want at most %v", name, got, want)
		}
		m := &Message{Properties: p}
		if got := testing.AllocsPerRun(100, func() { m.Value(name) }); got > want {
			t.Errorf("Value(%q) allocates %v times, want at most %v", name, got, want)
		}
	}
}

func FuzzProperties(f *testing.F) {
	f.Add([]byte(benchProperties()))
	f.Add([]byte(Properties(nil).With("€😀\x00", nested(3)).With("m", map[string]any{"a": Char(1), "b": []byte{1}, "f": math.NaN()})))
	f.Fuzz(func(t *testing.T, data []byte) {
		p := Properties(data)
		valid := p.Valid()
		var b PropertiesBuilder
		seen := map[string]bool{}
		err := p.Range(func(name string, value any) bool {
			if _, ok := p.Get(name); !ok && strings.ToValidUTF8(name, "") == name && !strings.Contains(name, "\uFFFD") && isCanonical(p, name) {
				t.Fatalf("Get does not find %q", name)
			}
			if !seen[name] {
				seen[name] = true
				_ = b.Set(name, value)
			}
			return true
		})
		if (err == nil) != (valid == nil) {
			t.Fatalf("Valid says %v, Range says %v", valid, err)
		}
		changed := p.With("added", int32(1))
		if v, ok := changed.Get("added"); !ok || v != int32(1) || changed.Valid() != nil {
			t.Fatalf("With adds %v, %t; valid: %v", v, ok, changed.Valid())
		}
		if err := b.Properties().Valid(); err != nil {
			t.Fatalf("rebuilt map is not valid: %v", err)
		}
		if got := b.Properties().Len(); got != len(seen) {
			t.Fatalf("rebuilt map has %d entries, want %d", got, len(seen))
		}
	})
}

// isCanonical says whether name stands in p as a writer of modified UTF-8 would write it.
func isCanonical(p Properties, name string) bool { return bytes.Contains(p, []byte(wireForm(name))) }

func benchProperties() Properties {
	var b PropertiesBuilder
	for _, e := range []struct {
		name  string
		value any
	}{
		{"source", "billing"}, {"flag", true}, {"small", int32(42)}, {"number", int64(1795382540159)}, {"price", 12.5},
		{"region", "eu-central"}, {"attempt", int32(1)}, {"tenant", "customer-4711"},
	} {
		if err := b.Set(e.name, e.value); err != nil {
			panic(err)
		}
	}
	return b.Properties()
}

func BenchmarkGet(b *testing.B) {
	p := benchProperties()
	for _, name := range []string{"source", "small", "number", "tenant", "absent"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p.Get(name)
			}
		})
	}
}

func BenchmarkValid(b *testing.B) {
	p := benchProperties()
	b.ReportAllocs()
	for b.Loop() {
		if err := p.Valid(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBuild(b *testing.B) {
	for _, n := range []int{8, 100} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			names := make([]string, n)
			for i := range names {
				names[i] = fmt.Sprint("header-", i)
			}
			var builder PropertiesBuilder
			b.ReportAllocs()
			for b.Loop() {
				builder.Reset()
				for _, name := range names {
					if err := builder.SetString(name, "value"); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
