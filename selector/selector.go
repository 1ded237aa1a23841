// Package selector parses JMS message selectors once and evaluates them against many messages.
//
// The language is that of Jakarta Messaging 3.1, section 3.8.1.1: the conditional expressions of SQL-92 with three-valued
// logic. A selector that is not well-formed is an error, never one that matches everything.
//
// # Decisions the specification leaves open, and ActiveMQ's ways that clients may lean on
//
//   - Values of unlike kinds: a comparison is FALSE, <> and BETWEEN included. Integers and floats are alike and are compared
//     exactly, without rounding the integer.
//   - A selector that begins with "convert_string_expressions:", as in ActiveMQ, converts strings: one compared with a number
//     counts as a number if it reads as a decimal one, and one compared with a boolean counts as a boolean if it is "true" or
//     "false" in any case. n = 5 and n = '5' then both match a property "5" and a property 5. It is meant for STOMP
//     clients, who can set nothing but strings: their session puts the prefix before every selector.
//   - Strings and booleans know only = and <>. A literal of them beside another comparison is a syntax error; two strings
//     that meet there at evaluation give FALSE.
//   - LIKE on a value that is no string is FALSE, and NOT LIKE therefore TRUE; IN and NOT IN on such a value are unknown.
//   - An identifier alone is a condition: TRUE or FALSE if it is a boolean, unknown if it is null, otherwise FALSE.
//   - Arithmetic with null, or with anything but numbers, is null. So is an integer result beyond 64 bits and an integer divided by zero.
//     Integers divide as in Java, towards zero; floats follow IEEE 754.
//   - Also read, beyond the specification: != for <>, % for the remainder, hexadecimal and octal integers (0x1F, 017), Java's suffixes L, F and D,
//     a condition in parentheses as a value of = and <>, any operand before LIKE and IS NULL, comments (/* */, and -- up to the end
//     of its line; a -- on a last line that has no end is two minus signs).
//   - Not read, though ActiveMQ's parser lets it pass: text after the end of the expression, a = b = c, NULL outside IS NULL, XPATH and
//     XQUERY. NOT a = 5 means NOT (a = 5), as in SQL.
package selector

import (
	"fmt"
	"slices"
)

const (
	// MaxLength is the longest text that Parse reads, in bytes.
	MaxLength = 64 << 10
	// MaxDepth is how deep parentheses, NOT and signs may nest.
	MaxDepth = 200
)

// Values is what a selector sees of a message.
type Values interface {
	// Value gives the value of an identifier, which is case-sensitive: nil (null), bool, int64, float64 or string; any other
	// type counts as null. Headers come under their JMS names: JMSPriority, JMSTimestamp (milliseconds), JMSMessageID,
	// JMSCorrelationID, JMSType, and JMSDeliveryMode as the strings PERSISTENT and NON_PERSISTENT (section 3.8.1.3).
	Value(name string) any
}

// Selector is a parsed selector. It does not change and may be used by many goroutines at once.
type Selector struct {
	source      string
	converts    bool
	root        condition // nil matches all
	identifiers []string
}

// SyntaxError says where and why a text is no selector.
type SyntaxError struct {
	Offset int    // in bytes, from the start of the text
	Detail string // "expected ')' at column 12, found AND"; columns count characters from 1, behind the prefix
}

func (e *SyntaxError) Error() string { return "invalid selector: " + e.Detail }

// Parse reads a selector. An empty or blank text is no selector in JMS and matches all messages. The error is always a *SyntaxError.
func Parse(text string) (*Selector, error) {
	if len(text) > MaxLength {
		return nil, &SyntaxError{Offset: MaxLength, Detail: fmt.Sprintf("a selector of %d bytes is too long, %d are allowed", len(text), MaxLength)}
	}
	p := parser{lex: newLexer(text), identifiers: map[string]struct{}{}}
	if p.lex.blank() {
		return &Selector{}, nil
	}
	root, err := p.parse()
	if err != nil {
		return nil, err
	}
	s := &Selector{source: text, converts: p.lex.converts, root: root}
	for name := range p.identifiers {
		s.identifiers = append(s.identifiers, name)
	}
	slices.Sort(s.identifiers)
	return s, nil
}

// Matches reports whether the selector is TRUE for a message; FALSE and unknown do not match. It allocates nothing itself, and
// keeps nothing of v. It calls v.Value once for each identifier that it comes across, repeated ones included.
func (s *Selector) Matches(v Values) bool {
	return s.root == nil || s.root.test(v) == isTrue
}

// MatchesAll reports whether the selector is the empty one.
func (s *Selector) MatchesAll() bool { return s.root == nil }

// String gives the selector in its normal form: keywords in capitals, one space between words, no comments, no needless parentheses,
// behind the prefix that converts strings if it was there. Parse reads it back to an equal selector. Where the normal form would be longer than MaxLength, the text that was parsed
// is given instead. The empty selector gives "".
func (s *Selector) String() string {
	if s.root == nil {
		return ""
	}
	var text []byte
	if s.converts {
		text = append(text, conversionPrefix...)
	}
	if text = s.root.appendTo(text); len(text) <= MaxLength {
		return string(text)
	}
	return s.source
}

// Identifiers gives the identifiers in the selector, sorted, each once. The slice is the caller's.
func (s *Selector) Identifiers() []string { return slices.Clone(s.identifiers) }
