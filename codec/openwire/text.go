package openwire

import "encoding/binary"

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
