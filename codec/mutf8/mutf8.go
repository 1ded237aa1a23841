// Package mutf8 converts between Go strings and Java's modified UTF-8 (java.io.DataInput, "Modified UTF-8"): U+0000 is
// C0 80, and a character above U+FFFF is a surrogate pair of three bytes each.
//
// A surrogate without its other half, which Java strings may hold, has no form in UTF-8. It keeps its three bytes (ED A0..BF
// xx) in the Go string, so that it survives the way through the broker; such a string is not valid UTF-8.
package mutf8

import (
	"errors"
	"unicode/utf8"
)

// Same says whether the modified form of s is s itself: valid UTF-8 without U+0000 and without characters above U+FFFF.
func Same(s string) bool {
	i := plain(s)
	if i == len(s) {
		return true
	}
	for j := i; j < len(s); j++ {
		if s[j] == 0 || s[j] >= 0xF0 {
			return false
		}
	}
	return utf8.ValidString(s[i:])
}

// Len is the number of bytes that Append adds for s.
func Len(s string) int {
	i := plain(s)
	n := i
	for i < len(s) {
		c := s[i]
		if c != 0 && c < utf8.RuneSelf {
			n++
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case c == 0:
			n += 2
		case r == utf8.RuneError && size == 1:
			if isSurrogate(s[i:]) {
				size = 3
			}
			n += 3
		case r > 0xFFFF:
			n += 6
		default:
			n += size
		}
		i += size
	}
	return n
}

// Append adds the modified form of s to dst. A byte that is no UTF-8 becomes U+FFFD.
func Append(dst []byte, s string) []byte {
	if Same(s) {
		return append(dst, s...)
	}
	for i := 0; i < len(s); {
		c := s[i]
		if c != 0 && c < utf8.RuneSelf {
			dst = append(dst, c)
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case c == 0:
			dst = append(dst, 0xC0, 0x80)
		case r == utf8.RuneError && size == 1:
			if isSurrogate(s[i:]) {
				size = 3
				dst = append(dst, s[i:i+3]...)
			} else {
				dst = append(dst, "\uFFFD"...)
			}
		case r > 0xFFFF:
			r -= 0x10000
			dst = appendUnit(dst, 0xD800|r>>10)
			dst = appendUnit(dst, 0xDC00|r&0x3FF)
		default:
			dst = append(dst, s[i:i+size]...)
		}
		i += size
	}
	return dst
}

// Decode reads modified UTF-8 as leniently as its writers need: true UTF-8 with its four-byte forms and a plain zero byte are taken too, and
// over-long forms mean what Java takes them for. What is neither becomes U+FFFD, byte by byte.
func Decode(b []byte) string {
	s, _ := decode(b)
	return s
}

// ErrInvalid is what DecodeValid refuses.
var ErrInvalid = errors.New("not modified UTF-8")

// DecodeValid is Decode for whom bytes that are neither form are an error, ErrInvalid.
func DecodeValid(b []byte) (string, error) {
	s, ok := decode(b)
	if !ok {
		return "", ErrInvalid
	}
	return s, nil
}

func decode(b []byte) (text string, ok bool) {
	if utf8.Valid(b) { // the modified form of most texts is their UTF-8
		return string(b), true
	}
	ok = true
	s := make([]byte, 0, len(b))
	for i := 0; i < len(b); {
		c := b[i]
		switch {
		case c < utf8.RuneSelf:
			s = append(s, c)
			i++
		case c&0xE0 == 0xC0 && i+1 < len(b) && b[i+1]&0xC0 == 0x80:
			s = utf8.AppendRune(s, rune(c&0x1F)<<6|rune(b[i+1]&0x3F))
			i += 2
		case isThree(b[i:]):
			r := unit(b[i:])
			i += 3
			switch {
			case r&0xF800 != 0xD800:
				s = utf8.AppendRune(s, r)
			case r < 0xDC00 && isThree(b[i:]) && unit(b[i:])&0xFC00 == 0xDC00:
				s = utf8.AppendRune(s, 0x10000+(r&0x3FF)<<10|unit(b[i:])&0x3FF)
				i += 3
			default:
				s = appendUnit(s, r)
			}
		default:
			r, size := utf8.DecodeRune(b[i:])
			ok = ok && !(r == utf8.RuneError && size == 1)
			s = utf8.AppendRune(s, r)
			i += size
		}
	}
	return string(s), ok
}

// plain is the length of the front part of s whose bytes are all 01..7F, in steps of eight as long as they last.
func plain(s string) int {
	const low, high = 0x0101010101010101, 0x8080808080808080
	i := 0
	for ; i+8 <= len(s); i += 8 {
		w := uint64(s[i]) | uint64(s[i+1])<<8 | uint64(s[i+2])<<16 | uint64(s[i+3])<<24 |
			uint64(s[i+4])<<32 | uint64(s[i+5])<<40 | uint64(s[i+6])<<48 | uint64(s[i+7])<<56
		if (w|(w-low))&high != 0 { // a byte over 7F, or a zero byte borrowing
			break
		}
	}
	for i < len(s) && s[i] != 0 && s[i] < utf8.RuneSelf {
		i++
	}
	return i
}

// isSurrogate says whether s begins with the three bytes of a surrogate half.
func isSurrogate(s string) bool {
	return len(s) >= 3 && s[0] == 0xED && s[1] >= 0xA0 && s[1] <= 0xBF && s[2]&0xC0 == 0x80
}

func isThree(b []byte) bool {
	return len(b) >= 3 && b[0]&0xF0 == 0xE0 && b[1]&0xC0 == 0x80 && b[2]&0xC0 == 0x80
}

// unit is the UTF-16 unit in the three bytes at the front of b.
func unit(b []byte) rune { return rune(b[0]&0xF)<<12 | rune(b[1]&0x3F)<<6 | rune(b[2]&0x3F) }

func appendUnit(b []byte, u rune) []byte {
	return append(b, 0xE0|byte(u>>12), 0x80|byte(u>>6)&0x3F, 0x80|byte(u)&0x3F)
}
