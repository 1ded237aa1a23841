package selector

import (
	"strings"
	"unicode/utf8"
)

// likeMatcher is a LIKE pattern cut at its percent signs. The pieces between are found one after the other, each at its first place:
// no later place could help, so nothing is ever tried twice beyond one piece. The cost is at most pattern times value; for pieces
// without an underscore it is that of strings.Index.
type likeMatcher struct {
	first, last likePiece   // bound to the start and to the end
	middle      []likePiece // in between, each behind a percent sign
	exact       bool        // no percent sign: first is all, and has to reach the end
}

// likePiece is literal text with single-character gaps.
type likePiece struct {
	gap  int    // characters (code points) to pass first
	text string // then this
	rest []likePiece
	// runes is the length in characters, for the piece that is bound to the end.
	runes int
}

// compileLike reads a pattern. The escape character, "" for none, takes the meaning from a % or _ or escape character behind it; elsewhere
// it stands for itself, as in ActiveMQ.
func compileLike(pattern, escape string) likeMatcher {
	var m likeMatcher
	var pieces []likePiece
	var runs []likePiece // of the current piece
	var literal []byte
	gap := 0
	endRun := func() {
		if gap > 0 || len(literal) > 0 {
			runs = append(runs, likePiece{gap: gap, text: string(literal)})
		}
		gap, literal = 0, literal[:0]
	}
	endPiece := func() {
		endRun()
		var piece likePiece
		for _, r := range runs {
			piece.runes += r.gap + utf8.RuneCountInString(r.text)
		}
		if len(runs) > 0 {
			piece.gap, piece.text, piece.rest = runs[0].gap, runs[0].text, runs[1:]
		}
		pieces = append(pieces, piece)
		runs = nil
	}
	for i := 0; i < len(pattern); {
		_, size := utf8.DecodeRuneInString(pattern[i:])
		char := pattern[i : i+size]
		i += size
		if char == escape && i < len(pattern) {
			_, size := utf8.DecodeRuneInString(pattern[i:])
			if next := pattern[i : i+size]; next == "%" || next == "_" || next == escape {
				literal = append(literal, next...)
				i += size
				continue
			}
		}
		switch char {
		case "%":
			endPiece()
		case "_":
			if len(literal) > 0 {
				endRun()
			}
			gap++
		default:
			literal = append(literal, char...)
		}
	}
	endPiece()
	m.first = pieces[0]
	if m.exact = len(pieces) == 1; m.exact {
		return m
	}
	m.last = pieces[len(pieces)-1]
	for _, p := range pieces[1 : len(pieces)-1] {
		if p.runes > 0 {
			m.middle = append(m.middle, p)
		}
	}
	return m
}

// match reports whether the whole of s fits the pattern.
func (m *likeMatcher) match(s string) bool {
	n, ok := m.first.prefix(s)
	if !ok || m.exact {
		return ok && n == len(s)
	}
	s = s[n:]
	for i := range m.middle {
		if n, ok = m.middle[i].find(s); !ok {
			return false
		}
		s = s[n:]
	}
	return m.last.suffix(s)
}

// prefix matches the piece at the start of s and gives the length of the match in bytes.
func (p *likePiece) prefix(s string) (n int, ok bool) {
	if n, ok = skipRunes(s, p.gap); !ok || !strings.HasPrefix(s[n:], p.text) {
		return 0, false
	}
	n += len(p.text)
	for i := range p.rest {
		more, ok := p.rest[i].prefix(s[n:])
		if !ok {
			return 0, false
		}
		n += more
	}
	return n, true
}

// find matches the piece at its first place in s and gives where the match ends. Gaps at the front are passed first: what "_a" finds anywhere
// ends at the first "a" that has a character before it.
func (p *likePiece) find(s string) (end int, ok bool) {
	at, ok := skipRunes(s, p.gap)
	if !ok {
		return 0, false
	}
	for {
		i := strings.Index(s[at:], p.text)
		if i < 0 {
			return 0, false
		}
		at += i
		end, ok = at+len(p.text), true
		for r := 0; r < len(p.rest) && ok; r++ {
			var n int
			n, ok = p.rest[r].prefix(s[end:])
			end += n
		}
		if ok {
			return end, true
		}
		_, size := utf8.DecodeRuneInString(s[at:])
		at += size
	}
}

// suffix reports whether s ends in the piece.
func (p *likePiece) suffix(s string) bool {
	if p.gap == 0 && len(p.rest) == 0 {
		return strings.HasSuffix(s, p.text)
	}
	at := len(s)
	for range p.runes {
		if at == 0 {
			return false
		}
		_, size := utf8.DecodeLastRuneInString(s[:at])
		at -= size
	}
	n, ok := p.prefix(s[at:])
	return ok && at+n == len(s)
}

// skipRunes gives the length in bytes of the first n characters of s.
func skipRunes(s string, n int) (length int, ok bool) {
	for range n {
		if length == len(s) {
			return 0, false
		}
		_, size := utf8.DecodeRuneInString(s[length:])
		length += size
	}
	return length, true
}
