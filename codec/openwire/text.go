package openwire

import (
	"encoding/binary"
	"errors"
	"unicode/utf8"
)

// ErrText is a string that is not modified UTF-8.
var ErrText = errors.New("not modified UTF-8")

// isPlain says that every byte is 0x01 to 0x7f: modified UTF-8 and a Go string are then the same bytes.
func isPlain(p []byte) bool {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	for len(p) >= 8 {
		x := binary.LittleEndian.Uint64(p)
		if (x|(x-ones))&highs != 0 { // a high bit, or the borrow of a zero
			return false
		}
		p = p[8:]
	}
	for _, c := range p {
		if c-1 >= 0x7f {
			return false
		}
	}
	return true
}

func isPlainString(s string) bool {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	for len(s) >= 8 {
		x := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
			uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
		if (x|(x-ones))&highs != 0 {
			return false
		}
		s = s[8:]
	}
	for i := range len(s) {
		if s[i]-1 >= 0x7f {
			return false
		}
	}
	return true
}

// decodeText converts modified UTF-8 to a Go string. It also takes real 4-byte UTF-8, which some clients send. A lone surrogate
// becomes its three bytes, which is not valid UTF-8, so that it survives the way back.
func decodeText(p []byte) (string, error) {
	if isPlain(p) {
		return string(p), nil
	}
	out := make([]byte, 0, 256) // on the stack while it is enough
	for i := 0; i < len(p); {
		c := p[i]
		switch {
		case c < 0x80:
			out = append(out, c)
			i++
		case c>>5 == 0b110 && continues(p, i, 1):
			out = utf8.AppendRune(out, rune(c&0x1f)<<6|rune(p[i+1]&0x3f))
			i += 2
		case c>>4 == 0b1110 && continues(p, i, 2):
			r := threeBytes(p[i:])
			if r >= 0xd800 && r < 0xdc00 && i+6 <= len(p) && p[i+3] == 0xed && continues(p, i+3, 2) {
				if low := threeBytes(p[i+3:]); low >= 0xdc00 && low < 0xe000 {
					out = utf8.AppendRune(out, 0x10000+(r-0xd800)<<10+(low-0xdc00))
					i += 6
					continue
				}
			}
			if r >= 0xd800 && r < 0xe000 {
				out = append(out, p[i:i+3]...)
			} else {
				out = utf8.AppendRune(out, r)
			}
			i += 3
		case c>>3 == 0b11110 && continues(p, i, 3):
			r := rune(c&0x07)<<18 | rune(p[i+1]&0x3f)<<12 | rune(p[i+2]&0x3f)<<6 | rune(p[i+3]&0x3f)
			if r < 0x10000 || r > utf8.MaxRune {
				return "", ErrText
			}
			out = utf8.AppendRune(out, r)
			i += 4
		default:
			return "", ErrText
		}
	}
	return string(out), nil
}

// continues says that n continuation bytes follow p[i].
func continues(p []byte, i, n int) bool {
	if i+n >= len(p) {
		return false
	}
	for _, c := range p[i+1 : i+1+n] {
		if c>>6 != 0b10 {
			return false
		}
	}
	return true
}

func threeBytes(p []byte) rune { return rune(p[0]&0x0f)<<12 | rune(p[1]&0x3f)<<6 | rune(p[2]&0x3f) }

// appendText appends s as modified UTF-8. Bytes that are no UTF-8 become U+FFFD, but lone surrogates are kept.
func appendText(b []byte, s string) []byte {
	if isPlainString(s) {
		return append(b, s...)
	}
	for i := 0; i < len(s); {
		c := s[i]
		if c != 0 && c < 0x80 {
			b = append(b, c)
			i++
			continue
		}
		if c == 0 {
			b = append(b, 0xc0, 0x80)
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1 && c == 0xed && i+3 <= len(s) && s[i+1]>>5 == 0b101 && s[i+2]>>6 == 0b10:
			n = 3 // a surrogate
			b = append(b, s[i:i+3]...)
		case r > 0xffff:
			r -= 0x10000
			b = appendThree(b, 0xd800+r>>10)
			b = appendThree(b, 0xdc00+r&0x3ff)
		default:
			b = utf8.AppendRune(b, r)
		}
		i += n
	}
	return b
}

func appendThree(b []byte, r rune) []byte {
	return append(b, 0xe0|byte(r>>12), 0x80|byte(r>>6)&0x3f, 0x80|byte(r)&0x3f)
}
