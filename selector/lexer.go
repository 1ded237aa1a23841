package selector

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

type token uint8

const (
	tokenEnd token = iota
	tokenIdentifier
	tokenKeyword
	tokenString
	tokenNumber
	tokenSymbol
)

// reserved holds the words that are no identifiers, in the order of section 3.8.1.1.
var reserved = [...]string{"NULL", "TRUE", "FALSE", "NOT", "AND", "OR", "BETWEEN", "LIKE", "IN", "IS", "ESCAPE"}

// conversionPrefix before a selector asks for strings to be converted. ActiveMQ's STOMP side puts it there, and clients may.
const conversionPrefix = "convert_string_expressions:"

// lexer cuts a text into tokens; the fields describe the current one.
type lexer struct {
	text     string
	converts bool // the text begins with conversionPrefix
	next     int  // where the next token is looked for
	kind     token
	start    int    // of the token, in bytes
	word     string // identifier: as written; keyword: in capitals; string: its value; symbol, number: as written
}

func newLexer(text string) lexer {
	if strings.HasPrefix(text, conversionPrefix) {
		return lexer{text: text, converts: true, next: len(conversionPrefix)}
	}
	return lexer{text: text}
}

// blank reports whether nothing but white space follows. A comment is something: it is no empty selector.
func (l *lexer) blank() bool { return strings.Trim(l.text[l.next:], " \t\n\r\f") == "" }

// fail makes the error for a place in the text; format gets " at column n" appended, and then found unless that is empty.
func (l *lexer) fail(at int, found, format string, args ...any) *SyntaxError {
	from := 0
	if l.converts {
		from = len(conversionPrefix)
	}
	detail := fmt.Sprintf(format, args...) + fmt.Sprintf(" at column %d", utf8.RuneCountInString(l.text[from:at])+1)
	if found != "" {
		detail += ", found " + found
	}
	return &SyntaxError{Offset: at, Detail: detail}
}

// found describes the current token for an error.
func (l *lexer) found() string {
	switch l.kind {
	case tokenEnd:
		return "the end"
	case tokenString:
		return "a string"
	case tokenSymbol:
		return "'" + l.word + "'"
	}
	const most = 40
	if len(l.word) > most {
		return strings.ToValidUTF8(l.word[:most], "") + "..."
	}
	return l.word
}

// advance reads the next token.
func (l *lexer) advance() *SyntaxError {
	if err := l.skipSpace(); err != nil {
		return err
	}
	l.start = l.next
	if l.next == len(l.text) {
		l.kind, l.word = tokenEnd, ""
		return nil
	}
	rest := l.text[l.next:]
	switch c := rest[0]; {
	case c == '\'':
		return l.readString()
	case isDigit(c), c == '.' && len(rest) > 1 && isDigit(rest[1]):
		return l.readNumber()
	case strings.IndexByte("=<>!()+-*/%,", c) >= 0:
		n := 1
		if len(rest) > 1 {
			switch rest[:2] {
			case "<>", "<=", ">=", "!=":
				n = 2
			}
		}
		if c == '!' && n == 1 {
			return l.fail(l.start, "", "unexpected character '!'")
		}
		l.take(tokenSymbol, n)
		return nil
	}
	n := identifierLength(rest)
	if n == 0 {
		r, _ := utf8.DecodeRuneInString(rest)
		return l.fail(l.start, "", "unexpected character %q", r)
	}
	l.take(tokenIdentifier, n)
	for _, word := range reserved {
		if strings.EqualFold(word, l.word) {
			l.kind, l.word = tokenKeyword, word
		}
	}
	return nil
}

func (l *lexer) take(kind token, length int) {
	l.kind, l.word = kind, l.text[l.next:l.next+length]
	l.next += length
}

// skipSpace passes white space and comments. A line comment needs its end of line, as in ActiveMQ: without one, 5--3 is a subtraction.
func (l *lexer) skipSpace() *SyntaxError {
	for l.next < len(l.text) {
		rest := l.text[l.next:]
		switch {
		case strings.IndexByte(" \t\n\r\f", rest[0]) >= 0:
			l.next++
		case strings.HasPrefix(rest, "--"):
			end := strings.IndexAny(rest, "\r\n")
			if end < 0 {
				return nil
			}
			l.next += end
		case strings.HasPrefix(rest, "/*"):
			end := strings.Index(rest[2:], "*/")
			if end < 0 {
				return l.fail(l.next, "", "unterminated comment")
			}
			l.next += 2 + end + 2
		default:
			return nil
		}
	}
	return nil
}

// readString reads a string literal, in which a quote is written twice.
func (l *lexer) readString() *SyntaxError {
	doubled := false
	for i := l.start + 1; ; i++ {
		end := strings.IndexByte(l.text[i:], '\'')
		if end < 0 {
			return l.fail(l.start, "", "unterminated string")
		}
		i += end
		if strings.HasPrefix(l.text[i:], "''") {
			doubled = true
			i++
			continue
		}
		l.kind, l.word, l.next = tokenString, l.text[l.start+1:i], i+1
		if doubled {
			l.word = strings.ReplaceAll(l.word, "''", "'")
		}
		return nil
	}
}

// readNumber cuts out a number; numberValue judges it. A number reaches as far as letters and digits do, so that 5abc is one error
// and not two tokens.
func (l *lexer) readNumber() *SyntaxError {
	rest := l.text[l.start:]
	hex := len(rest) > 1 && (rest[1] == 'x' || rest[1] == 'X')
	n := 0
	for n < len(rest) {
		c := rest[n]
		sign := (c == '+' || c == '-') && !hex && n > 0 && (rest[n-1] == 'e' || rest[n-1] == 'E')
		if c == '.' || sign {
			n++
			continue
		}
		r, size := utf8.DecodeRuneInString(rest[n:])
		if !isIdentifierPart(r) {
			break
		}
		n += size
	}
	l.take(tokenNumber, n)
	return nil
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// identifierLength is the length in bytes of the Java identifier at the start of s, or 0.
func identifierLength(s string) int {
	n := 0
	for n < len(s) {
		r, size := utf8.DecodeRuneInString(s[n:])
		if r == utf8.RuneError && size == 1 || !isIdentifierPart(r) || n == 0 && !isIdentifierStart(r) {
			break
		}
		n += size
	}
	return n
}

// isIdentifierStart is Java's Character.isJavaIdentifierStart.
func isIdentifierStart(r rune) bool {
	if r < utf8.RuneSelf {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || r == '_' || r == '$'
	}
	return unicode.In(r, unicode.L, unicode.Nl, unicode.Sc, unicode.Pc)
}

// isIdentifierPart is Java's Character.isJavaIdentifierPart without the control characters that Java ignores in identifiers:
// in a selector they would make two names look alike.
func isIdentifierPart(r rune) bool {
	if r < utf8.RuneSelf {
		return isIdentifierStart(r) || '0' <= r && r <= '9'
	}
	return isIdentifierStart(r) || unicode.In(r, unicode.Nd, unicode.Mn, unicode.Mc)
}
