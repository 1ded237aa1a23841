package selector

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// parser is a recursive descent, one method a level of precedence: OR, AND, NOT, comparison, + -, * / %, sign, primary. Chains of one
// level become one node with many operands, so that only what MaxDepth counts makes the tree deep.
type parser struct {
	lex         lexer
	depth       int
	identifiers map[string]struct{}
}

// parse reads the whole text. It returns error rather than *SyntaxError so that a nil stays nil for Parse's caller.
func (p *parser) parse() (condition, error) {
	if err := p.lex.advance(); err != nil {
		return nil, err
	}
	start := p.lex.start
	n, err := p.or()
	if err != nil {
		return nil, err
	}
	if p.lex.kind != tokenEnd {
		return nil, p.expected("an operator or the end")
	}
	root, err := p.condition(n, start)
	if err != nil {
		return nil, err
	}
	return root, nil
}

func (p *parser) expected(what string) *SyntaxError {
	return p.lex.fail(p.lex.start, p.lex.found(), "expected %s", what)
}

func (p *parser) keyword(word string) bool { return p.lex.kind == tokenKeyword && p.lex.word == word }
func (p *parser) symbol(word string) bool  { return p.lex.kind == tokenSymbol && p.lex.word == word }

// symbolIn gives the current token if it is one of these single characters, otherwise 0.
func (p *parser) symbolIn(chars string) byte {
	if p.lex.kind == tokenSymbol && len(p.lex.word) == 1 && strings.Contains(chars, p.lex.word) {
		return p.lex.word[0]
	}
	return 0
}

// deeper counts one level of nesting; the caller gives it back with p.depth--.
func (p *parser) deeper() *SyntaxError {
	p.depth++
	if p.depth > MaxDepth {
		return p.lex.fail(p.lex.start, "", "nested deeper than %d levels", MaxDepth)
	}
	return nil
}

// condition checks that n, which began at start, can be TRUE or FALSE.
func (p *parser) condition(n node, start int) (condition, *SyntaxError) {
	if c, ok := n.(condition); ok {
		return c, nil
	}
	return nil, p.lex.fail(start, describe(n), "expected a condition")
}

// number checks that n, which began at start, can be a number.
func (p *parser) number(n node, start int) *SyntaxError {
	switch n := n.(type) {
	case *identifier, *chain, *sign:
		return nil
	case *literal:
		if n.value.isNumber() {
			return nil
		}
	}
	return p.lex.fail(start, describe(n), "expected a number")
}

// logic reads operands that a keyword joins.
func (p *parser) logic(word string, isAnd bool, operand func() (node, *SyntaxError)) (node, *SyntaxError) {
	start := p.lex.start
	first, err := operand()
	if err != nil || !p.keyword(word) {
		return first, err
	}
	c, err := p.condition(first, start)
	if err != nil {
		return nil, err
	}
	n := &junction{and: isAnd, operands: []condition{c}}
	for p.keyword(word) {
		if err := p.lex.advance(); err != nil {
			return nil, err
		}
		start := p.lex.start
		next, err := operand()
		if err != nil {
			return nil, err
		}
		c, err := p.condition(next, start)
		if err != nil {
			return nil, err
		}
		n.operands = append(n.operands, c)
	}
	return n, nil
}

func (p *parser) or() (node, *SyntaxError)  { return p.logic("OR", false, p.and) }
func (p *parser) and() (node, *SyntaxError) { return p.logic("AND", true, p.not) }

func (p *parser) not() (node, *SyntaxError) {
	if !p.keyword("NOT") {
		return p.predicate()
	}
	if err := p.deeper(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	if err := p.lex.advance(); err != nil {
		return nil, err
	}
	start := p.lex.start
	n, err := p.not()
	if err != nil {
		return nil, err
	}
	c, err := p.condition(n, start)
	if err != nil {
		return nil, err
	}
	return &negation{c}, nil
}

// predicate reads an operand and at most one comparison behind it.
func (p *parser) predicate() (node, *SyntaxError) {
	start := p.lex.start
	left, err := p.sum()
	if err != nil {
		return nil, err
	}
	if p.lex.kind == tokenSymbol {
		return p.comparison(left, start)
	}
	if p.lex.kind != tokenKeyword {
		return left, nil
	}
	if p.lex.word == "IS" {
		return p.isNull(left)
	}
	not := p.lex.word == "NOT"
	if not {
		if err := p.lex.advance(); err != nil {
			return nil, err
		}
	}
	switch {
	case p.keyword("BETWEEN"):
		return p.between(left, start, not)
	case p.keyword("LIKE"):
		return p.like(left, not)
	case p.keyword("IN"):
		return p.in(left, start, not)
	case not:
		return nil, p.expected("BETWEEN, LIKE or IN")
	}
	return left, nil
}

func (p *parser) comparison(left node, start int) (node, *SyntaxError) {
	var op operator
	switch p.lex.word {
	case "=":
		op = equal
	case "<>", "!=":
		op = notEqual
	case "<":
		op = less
	case "<=":
		op = lessOrEqual
	case ">":
		op = greater
	case ">=":
		op = greaterOrEqual
	default:
		return left, nil
	}
	if err := p.lex.advance(); err != nil {
		return nil, err
	}
	rightStart := p.lex.start
	right, err := p.sum()
	if err != nil {
		return nil, err
	}
	if op > notEqual {
		if err := p.number(left, start); err != nil {
			return nil, err
		}
		if err := p.number(right, rightStart); err != nil {
			return nil, err
		}
	}
	return newComparison(op, p.lex.converts, left, right), nil
}

func (p *parser) isNull(left node) (node, *SyntaxError) {
	if err := p.lex.advance(); err != nil {
		return nil, err
	}
	not := p.keyword("NOT")
	if not {
		if err := p.lex.advance(); err != nil {
			return nil, err
		}
	}
	if !p.keyword("NULL") {
		if not {
			return nil, p.expected("NULL")
		}
		return nil, p.expected("NULL or NOT NULL")
	}
	return &nullTest{left, not}, p.lex.advance()
}

func (p *parser) between(left node, start int, not bool) (node, *SyntaxError) {
	if err := p.number(left, start); err != nil {
		return nil, err
	}
	low, err := p.bound()
	if err != nil {
		return nil, err
	}
	if !p.keyword("AND") {
		return nil, p.expected("AND")
	}
	high, err := p.bound()
	if err != nil {
		return nil, err
	}
	return &between{left, low, high, not, p.lex.converts}, nil
}

// bound reads the number behind the current token.
func (p *parser) bound() (node, *SyntaxError) {
	if err := p.lex.advance(); err != nil {
		return nil, err
	}
	start := p.lex.start
	n, err := p.sum()
	if err != nil {
		return nil, err
	}
	return n, p.number(n, start)
}

// stringAhead reads the string literal that has to follow the current token and stays on it.
func (p *parser) stringAhead() (string, *SyntaxError) {
	if err := p.lex.advance(); err != nil {
		return "", err
	}
	if p.lex.kind != tokenString {
		return "", p.expected("a string")
	}
	return p.lex.word, nil
}

func (p *parser) like(left node, not bool) (node, *SyntaxError) {
	pattern, err := p.stringAhead()
	if err != nil {
		return nil, err
	}
	if err := p.lex.advance(); err != nil {
		return nil, err
	}
	escape := ""
	if p.keyword("ESCAPE") {
		if escape, err = p.stringAhead(); err != nil {
			return nil, err
		}
		if utf8.RuneCountInString(escape) != 1 {
			return nil, p.lex.fail(p.lex.start, "", "expected a string of one character after ESCAPE")
		}
		if err := p.lex.advance(); err != nil {
			return nil, err
		}
	}
	return &like{left, pattern, escape, compileLike(pattern, escape), not}, nil
}

func (p *parser) in(left node, start int, not bool) (node, *SyntaxError) {
	name, ok := left.(*identifier)
	if !ok {
		return nil, p.lex.fail(start, describe(left), "expected an identifier before IN")
	}
	if err := p.lex.advance(); err != nil {
		return nil, err
	}
	if !p.symbol("(") {
		return nil, p.expected("'('")
	}
	n := &membership{name: name, not: not}
	for {
		s, err := p.stringAhead()
		if err != nil {
			return nil, err
		}
		n.list = append(n.list, s)
		if err := p.lex.advance(); err != nil {
			return nil, err
		}
		if p.symbol(")") {
			n.index()
			return n, p.lex.advance()
		}
		if !p.symbol(",") {
			return nil, p.expected("',' or ')'")
		}
	}
}

// arithmetic reads operands that one of the operators joins.
func (p *parser) arithmetic(operators string, operand func() (node, *SyntaxError)) (node, *SyntaxError) {
	start := p.lex.start
	first, err := operand()
	if err != nil || p.symbolIn(operators) == 0 {
		return first, err
	}
	if err := p.number(first, start); err != nil {
		return nil, err
	}
	n := &chain{first: first, product: operators != "+-"}
	for op := p.symbolIn(operators); op != 0; op = p.symbolIn(operators) {
		if err := p.lex.advance(); err != nil {
			return nil, err
		}
		start := p.lex.start
		next, err := operand()
		if err != nil {
			return nil, err
		}
		if err := p.number(next, start); err != nil {
			return nil, err
		}
		n.rest = append(n.rest, link{op, next})
	}
	return n, nil
}

func (p *parser) sum() (node, *SyntaxError)     { return p.arithmetic("+-", p.product) }
func (p *parser) product() (node, *SyntaxError) { return p.arithmetic("*/%", p.signed) }

func (p *parser) signed() (node, *SyntaxError) {
	op := p.symbolIn("+-")
	if op == 0 {
		return p.primary()
	}
	if err := p.deeper(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	if err := p.lex.advance(); err != nil {
		return nil, err
	}
	if op == '-' && p.lex.kind == tokenNumber {
		return p.numeric(true) // with the sign, or the least long could not be written
	}
	start := p.lex.start
	n, err := p.signed()
	if err != nil {
		return nil, err
	}
	if err := p.number(n, start); err != nil {
		return nil, err
	}
	// -(5) is the literal -5, which keeps the normal form stable; the least long's opposite stays to be null.
	s := &sign{op, n}
	if _, ok := n.(*literal); ok {
		if v := s.eval(nil); v.kind != null {
			return &literal{v}, nil
		}
	}
	return s, nil
}

func (p *parser) primary() (node, *SyntaxError) {
	switch {
	case p.lex.kind == tokenNumber:
		return p.numeric(false)
	case p.lex.kind == tokenString:
		return &literal{textValue(p.lex.word)}, p.lex.advance()
	case p.keyword("TRUE"), p.keyword("FALSE"):
		return &boolLiteral{p.lex.word == "TRUE"}, p.lex.advance()
	case p.lex.kind == tokenIdentifier:
		return p.identifier()
	case p.symbol("("):
		return p.parenthesis()
	}
	return nil, p.expected("a value")
}

func (p *parser) parenthesis() (node, *SyntaxError) {
	if err := p.deeper(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	if err := p.lex.advance(); err != nil {
		return nil, err
	}
	n, err := p.or()
	if err != nil {
		return nil, err
	}
	if !p.symbol(")") {
		return nil, p.expected("')'")
	}
	return n, p.lex.advance()
}

func (p *parser) identifier() (node, *SyntaxError) {
	name, start := p.lex.word, p.lex.start
	if err := p.lex.advance(); err != nil {
		return nil, err
	}
	if p.lex.kind == tokenString && (strings.EqualFold(name, "XPATH") || strings.EqualFold(name, "XQUERY")) {
		return nil, p.lex.fail(start, "", "%s is not supported, used", strings.ToUpper(name))
	}
	p.identifiers[name] = struct{}{}
	return &identifier{name}, nil
}

func (p *parser) numeric(negative bool) (node, *SyntaxError) {
	v, problem := numberLiteral(p.lex.word, negative)
	if problem != "" {
		return nil, p.lex.fail(p.lex.start, p.lex.found(), "%s", problem)
	}
	return &literal{v}, p.lex.advance()
}

// numberLiteral reads a literal by Java's rules: decimal, octal (0...) or hexadecimal (0x...) integers within a long, with or without
// an L; floats with a point, an exponent, or a suffix F or D. The problem is "" if it is one.
func numberLiteral(s string, negative bool) (v value, problem string) {
	const malformed = "expected a number"
	lower := strings.ToLower(s)
	digits, base := lower, 10
	switch {
	case strings.HasPrefix(lower, "0x"):
		digits, base = strings.TrimSuffix(lower[2:], "l"), 16
	case strings.ContainsAny(lower, ".efd"):
		return floatLiteral(lower, negative)
	default:
		digits = strings.TrimSuffix(lower, "l")
		if len(digits) > 1 && digits[0] == '0' {
			base = 8
		}
	}
	n, err := strconv.ParseUint(digits, base, 64)
	switch {
	case err != nil && err.(*strconv.NumError).Err == strconv.ErrRange,
		err == nil && n > math.MaxInt64 && !(negative && n == 1<<63):
		return value{}, "expected a number within 64 bits"
	case err != nil:
		return value{}, malformed
	case negative:
		return integerValue(-int64(n)), ""
	}
	return integerValue(int64(n)), ""
}

func floatLiteral(lower string, negative bool) (v value, problem string) {
	number := strings.TrimRight(lower, "fd")
	if len(lower)-len(number) > 1 || strings.Trim(number, "0123456789.e+-") != "" {
		return value{}, "expected a number"
	}
	f, err := strconv.ParseFloat(number, 64)
	switch {
	case err != nil && err.(*strconv.NumError).Err == strconv.ErrRange:
		return value{}, "expected a number within 64 bits"
	case err != nil:
		return value{}, "expected a number"
	case negative:
		f = -f
	}
	return floatValue(f), ""
}
