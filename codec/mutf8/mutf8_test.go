package mutf8

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestForms(t *testing.T) {
	tests := map[string]struct{ text, encoded string }{
		"empty":              {"", ""},
		"ascii":              {"hello, world: more than eight bytes", "hello, world: more than eight bytes"},
		"zero":               {"a\x00b", "a\xc0\x80b"},
		"zero after eight":   {"12345678\x00", "12345678\xc0\x80"},
		"two bytes":          {"é", "é"},
		"three bytes":        {"€\uFFFF", "€\uFFFF"},
		"astral":             {"😀", "\xed\xa0\xbd\xed\xb8\x80"},
		"first and last":     {"\U00010000\U0010FFFF", "\xed\xa0\x80\xed\xb0\x80\xed\xaf\xbf\xed\xbf\xbf"},
		"lone high":          {"\xed\xa0\xbdx", "\xed\xa0\xbdx"},
		"lone low":           {"x\xed\xb8\x80", "x\xed\xb8\x80"},
		"high at the end":    {"x\x00\xed\xa0\xbd", "x\xc0\x80\xed\xa0\xbd"},
		"high, then no low":  {"\xed\xa0\xbd\xed\xa0\xbd", "\xed\xa0\xbd\xed\xa0\xbd"},
		"replacement itself": {"\uFFFD", "\uFFFD"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := Append([]byte("x"), tt.text); string(got) != "x"+tt.encoded {
				t.Errorf("Append(%q) = %x, want %x", tt.text, got[1:], tt.encoded)
			}
			if got := Len(tt.text); got != len(tt.encoded) {
				t.Errorf("Len(%q) = %d, want %d", tt.text, got, len(tt.encoded))
			}
			if got := Decode([]byte(tt.encoded)); got != tt.text {
				t.Errorf("Decode(%x) = %q, want %q", tt.encoded, got, tt.text)
			}
			if got, want := Same(tt.text), tt.text == tt.encoded && utf8.ValidString(tt.text); got != want {
				t.Errorf("Same(%q) = %t, want %t", tt.text, got, want)
			}
		})
	}
}

func TestDecodeLenient(t *testing.T) {
	tests := map[string]struct{ encoded, want string }{
		"four bytes":              {"😀", "😀"},
		"four bytes and a pair":   {"😀\xed\xa0\xbd\xed\xb8\x80", "😀😀"},
		"plain zero":              {"\x00\xc0\x80", "\x00\x00"},
		"over-long letter":        {"\xc1\x81", "A"},
		"over-long slash":         {"\xe0\x80\xaf", "/"},
		"stray continuation":      {"a\x80b", "a\uFFFDb"},
		"cut off in two":          {"a\xc3", "a\uFFFD"},
		"cut off in three":        {"a\xe2\x82", "a\uFFFD\uFFFD"},
		"cut off pair":            {"\xed\xa0\xbd\xed\xb8", "\xed\xa0\xbd\uFFFD\uFFFD"},
		"beyond the last":         {"\xf8\x88\x80\x80", "\uFFFD\uFFFD\uFFFD\uFFFD"},
		"three without the third": {"\xe2\x82a", "\uFFFD\uFFFDa"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := Decode([]byte(tt.encoded)); got != tt.want {
				t.Errorf("Decode(%x) = %q, want %q", tt.encoded, got, tt.want)
			}
		})
	}
}

func TestAppendBadUTF8(t *testing.T) {
	if got := Append(nil, "a\xff\xe2\x82"); string(got) != "a\uFFFD\uFFFD\uFFFD" {
		t.Errorf("bytes that are no UTF-8 become %x", got)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("a\xc0\x80\xed\xa0\xbd\xed\xb8\x80€"))
	f.Add([]byte("\xf0\x9f\x98\x80\xed\xa0\x80\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := Decode(b)
		encoded := Append(nil, s)
		if again := Decode(encoded); again != s {
			t.Fatalf("%x is %q, which comes back as %q", b, s, again)
		}
		if Len(s) != len(encoded) {
			t.Fatalf("Len(%q) = %d, want %d", s, Len(s), len(encoded))
		}
		if bytes.IndexByte(encoded, 0) >= 0 {
			t.Fatalf("%q has a zero byte in its modified form %x", s, encoded)
		}
		text := strings.ToValidUTF8(string(b), "?")
		if again := Decode(Append(nil, text)); again != text {
			t.Fatalf("valid text %q comes back as %q", text, again)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	for name, s := range map[string]string{"short": "orders.incoming", "ascii1k": strings.Repeat("a", 1024), "accents1k": strings.Repeat("é", 512), "astral1k": strings.Repeat("😀", 256)} {
		b.Run(name, func(b *testing.B) {
			dst := make([]byte, 0, 4096)
			b.ReportAllocs()
			for b.Loop() {
				dst = Append(dst[:0], s)
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for name, s := range map[string]string{"short": "orders.incoming", "ascii1k": strings.Repeat("a", 1024), "astral1k": strings.Repeat("😀", 256)} {
		b.Run(name, func(b *testing.B) {
			encoded := Append(nil, s)
			b.ReportAllocs()
			for b.Loop() {
				Decode(encoded)
			}
		})
	}
}
