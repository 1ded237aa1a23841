package selector

import (
	"errors"
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

var (
	anyName   = rapid.SampledFrom([]string{"a", "b", "c", "JMSPriority", "$x"})
	anyText   = rapid.SampledFrom([]string{"'x'", "'it''s'", "''", "'5'", "'true'", "'%_!'", "'ä'"})
	anyNum    = rapid.SampledFrom([]string{"0", "1", "5", "-5", "9223372036854775807", "-9223372036854775808", "0.5", "7.", "1E300", "017", "0x1F", "2D"})
	anyPrefix = rapid.SampledFrom([]string{"", conversionPrefix})
	values    = rapid.SampledFrom([]any{nil, true, false, int64(0), int64(5), int64(math.MaxInt64), int64(math.MinInt64), 0.5, 5.0, math.NaN(),
		math.Inf(1), "x", "it's", "", "5", "true", "%_!", "-0.5"})
)

func anyMessage(t *rapid.T) message {
	m := message{}
	for _, name := range []string{"a", "b", "c", "JMSPriority", "$x"} {
		m[name] = values.Draw(t, name)
	}
	return m
}

// anySum draws something that can be a number.
func anySum(t *rapid.T, depth int) string {
	if depth <= 0 {
		return rapid.OneOf(anyName, anyNum).Draw(t, "number")
	}
	switch rapid.IntRange(0, 3).Draw(t, "sum") {
	case 0:
		return rapid.SampledFrom([]string{"-", "+", "- "}).Draw(t, "sign") + "(" + anySum(t, depth-1) + ")"
	case 1:
		return "(" + anySum(t, depth-1) + ")"
	case 2:
		return rapid.SampledFrom([]string{"- ", "+"}).Draw(t, "sign") + rapid.OneOf(anyName, anyNum).Draw(t, "number")
	}
	op := rapid.SampledFrom([]string{" + ", " - ", " * ", "/", " % "}).Draw(t, "op")
	return anySum(t, depth-1) + op + anySum(t, depth-1)
}

// anyCondition draws a condition. Its parts are joined without parentheses, so the tree is not the one the generator went down.
func anyCondition(t *rapid.T, depth int) string {
	not := rapid.SampledFrom([]string{"", "NOT "}).Draw(t, "not")
	kinds := 9
	if depth <= 0 {
		kinds = 5
	}
	switch rapid.IntRange(0, kinds).Draw(t, "condition") {
	case 0:
		return rapid.OneOf(anyName, rapid.SampledFrom([]string{"TRUE", "false"})).Draw(t, "truth")
	case 1:
		return anyName.Draw(t, "name") + " " + not + "IN (" + anyText.Draw(t, "text") + "," + anyText.Draw(t, "text") + ")"
	case 2:
		return anyName.Draw(t, "name") + " " + not + "like " + anyText.Draw(t, "text") + rapid.SampledFrom([]string{"", " ESCAPE '!'"}).Draw(t, "escape")
	case 3:
		return anySum(t, depth-1) + " " + not + "BETWEEN " + anySum(t, depth-1) + " AND " + anySum(t, depth-1)
	case 4:
		return anySum(t, depth-1) + " IS " + not + "NULL"
	case 5:
		op := rapid.SampledFrom([]string{"=", "<>", "<", "<=", ">", ">=", "!="}).Draw(t, "op")
		if op == "=" || op == "<>" {
			return anyName.Draw(t, "name") + op + rapid.OneOf(anyText, anyNum, anyName, rapid.SampledFrom([]string{"TRUE", "FALSE"})).Draw(t, "value")
		}
		return anySum(t, depth-1) + op + anySum(t, depth-1)
	case 6:
		return "NOT " + anyCondition(t, depth-1)
	case 7:
		return "(" + anyCondition(t, depth-1) + ")"
	case 8:
		return "(" + anyCondition(t, depth-1) + ") = (" + anyCondition(t, depth-1) + ")"
	}
	return anyCondition(t, depth-1) + rapid.SampledFrom([]string{" AND ", " OR ", " or /**/ "}).Draw(t, "and") + anyCondition(t, depth-1)
}

func parseDrawn(t *rapid.T, text string) *Selector {
	s, err := Parse(text)
	if err != nil {
		t.Fatalf("Parse(%q) = %v", text, err)
	}
	return s
}

func TestLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x, y, v := anyCondition(t, 3), anyCondition(t, 2), anyMessage(t)
		prefix := anyPrefix.Draw(t, "prefix")
		of := func(text string) truth { return parseDrawn(t, prefix+text).root.test(v) }
		same := func(law, left, right string) {
			if l, r := of(left), of(right); l != r {
				t.Fatalf("%s: %q is %d, %q is %d, for %v", law, left, l, right, r, v)
			}
		}
		same("double negation", "NOT NOT ("+x+")", x)
		same("De Morgan", "NOT (("+x+") AND ("+y+"))", "NOT ("+x+") OR NOT ("+y+")")
		same("exchange", "("+x+") OR ("+y+")", "("+y+") OR ("+x+")")
		if got, want := of("NOT ("+x+")"), of(x).not(); got != want {
			t.Fatalf("NOT (%s) is %d, want %d, for %v", x, got, want, v)
		}
		a, low, high := anySum(t, 2), anySum(t, 1), anySum(t, 1)
		same("between", a+" BETWEEN "+low+" AND "+high, a+" >= "+low+" AND "+a+" <= "+high)
		same("not between", a+" NOT BETWEEN "+low+" AND "+high, a+" < "+low+" OR "+a+" > "+high)
		same("mirror", a+" < "+low, low+" > "+a)
		same("fast comparison, integer", "c >= 5", "5 <= c")
		same("fast comparison, text", "c = '5'", "'5' = c")
	})
}

func TestStringParsesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := parseDrawn(t, anyPrefix.Draw(t, "prefix")+anyCondition(t, 4))
		again := parseDrawn(t, s.String())
		if again.String() != s.String() {
			t.Fatalf("the normal form of %q is %q, and that of it %q", s.source, s, again)
		}
		for range 5 {
			v := anyMessage(t)
			if got, want := again.root.test(v), s.root.test(v); got != want {
				t.Fatalf("%q is %d, its normal form %q is %d, for %v", s.source, want, again, got, v)
			}
		}
	})
}

// likeByDefinition is LIKE as SQL-92 defines it, by trying everything.
func likeByDefinition(s, pattern string) bool {
	if pattern == "" {
		return s == ""
	}
	_, n := utf8.DecodeRuneInString(pattern)
	_, m := utf8.DecodeRuneInString(s)
	switch {
	case pattern[0] == '%':
		return likeByDefinition(s, pattern[1:]) || s != "" && likeByDefinition(s[m:], pattern)
	case s == "":
		return false
	case pattern[0] == '_':
		return likeByDefinition(s[m:], pattern[1:])
	}
	return pattern[:n] == s[:m] && likeByDefinition(s[m:], pattern[n:])
}

func TestLikeAgainstDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.StringOfN(rapid.SampledFrom([]rune("aab%_ä")), 0, 8, -1).Draw(t, "pattern")
		s := rapid.StringOfN(rapid.SampledFrom([]rune("aabä")), 0, 10, -1).Draw(t, "s")
		m := compileLike(pattern, "")
		if got, want := m.match(s), likeByDefinition(s, pattern); got != want {
			t.Fatalf("%q LIKE %q = %v, want %v", s, pattern, got, want)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"", "color = 'red' AND n > 5", "a NOT IN ('x','it''s') or not b like '%!__' escape '!'", "(a between -1 and 0x1F) = true", "a IS NOT NULL",
		"-a+1.5E3*2/b%3 <= 017 --x\nand b", "a /* c */ <> -9223372036854775808", "convert_string_expressions:n=5--3", "größe = 1.D", "(((", "a = - - - 1",
	} {
		f.Add(text, "x", int64(5), 0.5)
	}
	f.Fuzz(func(t *testing.T, text, str string, i int64, fl float64) {
		s, err := Parse(text)
		if err != nil {
			e, ok := errors.AsType[*SyntaxError](err)
			if !ok || e.Offset < 0 || e.Offset > len(text) || !utf8.ValidString(e.Detail) && utf8.ValidString(text) || strings.Contains(e.Detail, "%!") && !strings.Contains(text, "%!") {
				t.Fatalf("Parse(%q) = %#v", text, err)
			}
			return
		}
		again, err := Parse(s.String())
		if err != nil {
			t.Fatalf("Parse(%q).String() = %q: %v", text, s.String(), err)
		}
		given := []any{nil, str, i, fl, true}
		for turn := range given {
			v := message{}
			for n, name := range s.Identifiers() {
				v[name] = given[(n+turn)%len(given)]
			}
			if s.Matches(v) != again.Matches(v) {
				t.Fatalf("%q and its normal form %q differ for %v", text, s, v)
			}
		}
	})
}
