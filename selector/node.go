package selector

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
)

// node is a part of a selector that has a value.
type node interface {
	eval(v Values) value
	// appendTo writes the normal form.
	appendTo(b []byte) []byte
	// level is how tightly the node binds, which says where parentheses are needed.
	level() level
}

// condition is a node whose value is a truth.
type condition interface {
	node
	test(v Values) truth
}

type level uint8

const (
	levelOr level = iota
	levelAnd
	levelNot
	levelPredicate
	levelSum
	levelProduct
	levelSign
	levelPrimary
)

// describe names a node for an error.
func describe(n node) string {
	switch n := n.(type) {
	case *literal:
		if n.value.kind == text {
			return "a string"
		}
		return "a number"
	case *boolLiteral:
		return string(n.appendTo(nil))
	case *chain, *sign:
		return "an arithmetic expression"
	}
	return "a condition"
}

// appendOperand writes n, in parentheses if it binds less than least.
func appendOperand(b []byte, n node, least level) []byte {
	if n.level() >= least {
		return n.appendTo(b)
	}
	b = append(b, '(')
	b = n.appendTo(b)
	return append(b, ')')
}

func appendString(b []byte, s string) []byte {
	b = append(b, '\'')
	b = append(b, strings.ReplaceAll(s, "'", "''")...)
	return append(b, '\'')
}

// appendNot writes the word where a predicate is negated.
func appendNot(b []byte, not bool) []byte {
	if not {
		return append(b, " NOT"...)
	}
	return b
}

// junction is AND or OR over all its operands.
type junction struct {
	and      bool
	operands []condition
}

func (n *junction) test(v Values) truth {
	if n.and {
		t := isTrue
		for _, c := range n.operands {
			if t = min(t, c.test(v)); t == isFalse {
				break
			}
		}
		return t
	}
	t := isFalse
	for _, c := range n.operands {
		if t = max(t, c.test(v)); t == isTrue {
			break
		}
	}
	return t
}

func (n *junction) eval(v Values) value { return truthValue(n.test(v)) }

func (n *junction) level() level {
	if n.and {
		return levelAnd
	}
	return levelOr
}

func (n *junction) appendTo(b []byte) []byte {
	word := " OR "
	if n.and {
		word = " AND "
	}
	for i, c := range n.operands {
		if i > 0 {
			b = append(b, word...)
		}
		b = appendOperand(b, c, n.level()+1)
	}
	return b
}

// negation is NOT.
type negation struct{ operand condition }

func (n *negation) test(v Values) truth { return n.operand.test(v).not() }
func (n *negation) eval(v Values) value { return truthValue(n.test(v)) }
func (n *negation) level() level        { return levelNot }
func (n *negation) appendTo(b []byte) []byte {
	return appendOperand(append(b, "NOT "...), n.operand, levelNot)
}

// comparison is left op right.
type comparison struct {
	op          operator
	converts    bool // strings beside numbers and booleans, as compare says
	left, right node
}

// newComparison picks the shortest way: an identifier beside a literal is what nearly every selector consists of.
func newComparison(op operator, converts bool, left, right node) condition {
	general := comparison{op, converts, left, right}
	name, isName := left.(*identifier)
	constant, isConstant := right.(*literal)
	switch {
	case isName && isConstant && constant.value.kind == text:
		return &textComparison{general, name.name, constant.value.str}
	case isName && isConstant && constant.value.kind == integer:
		return &integerComparison{general, name.name, constant.value.int()}
	}
	return &general
}

func (n *comparison) test(v Values) truth {
	return compare(n.op, n.converts, n.left.eval(v), n.right.eval(v))
}
func (n *comparison) eval(v Values) value { return truthValue(n.test(v)) }
func (n *comparison) level() level        { return levelPredicate }
func (n *comparison) appendTo(b []byte) []byte {
	b = appendOperand(b, n.left, levelSum)
	b = append(b, ' ')
	b = append(b, operatorText[n.op]...)
	b = append(b, ' ')
	return appendOperand(b, n.right, levelSum)
}

// textComparison is identifier op 'string'; op is = or <>, the parser allows no other.
type textComparison struct {
	comparison
	name, constant string
}

func (n *textComparison) eval(v Values) value { return truthValue(n.test(v)) }
func (n *textComparison) test(v Values) truth {
	x := v.Value(n.name)
	if s, ok := x.(string); ok {
		return truthOf((s == n.constant) == (n.op == equal))
	}
	return compare(n.op, n.converts, valueOf(x), textValue(n.constant))
}

// integerComparison is identifier op integer.
type integerComparison struct {
	comparison
	name     string
	constant int64
}

func (n *integerComparison) eval(v Values) value { return truthValue(n.test(v)) }
func (n *integerComparison) test(v Values) truth {
	x := v.Value(n.name)
	if i, ok := x.(int64); ok {
		return n.op.holds(cmp.Compare(i, n.constant))
	}
	return compare(n.op, n.converts, valueOf(x), integerValue(n.constant))
}

// nullTest is IS [NOT] NULL.
type nullTest struct {
	operand node
	not     bool
}

func (n *nullTest) test(v Values) truth { return truthOf((n.operand.eval(v).kind == null) != n.not) }
func (n *nullTest) eval(v Values) value { return truthValue(n.test(v)) }
func (n *nullTest) level() level        { return levelPredicate }
func (n *nullTest) appendTo(b []byte) []byte {
	b = append(appendOperand(b, n.operand, levelSum), " IS"...)
	return append(appendNot(b, n.not), " NULL"...)
}

// between is [NOT] BETWEEN, by the specification the same as two comparisons joined by AND, or by OR where it is negated.
type between struct {
	operand, low, high node
	not, converts      bool
}

func (n *between) test(v Values) truth {
	x := n.operand.eval(v)
	if n.not {
		t := compare(less, n.converts, x, n.low.eval(v))
		if t == isTrue {
			return t
		}
		return max(t, compare(greater, n.converts, x, n.high.eval(v)))
	}
	t := compare(greaterOrEqual, n.converts, x, n.low.eval(v))
	if t == isFalse {
		return t
	}
	return min(t, compare(lessOrEqual, n.converts, x, n.high.eval(v)))
}

func (n *between) eval(v Values) value { return truthValue(n.test(v)) }
func (n *between) level() level        { return levelPredicate }
func (n *between) appendTo(b []byte) []byte {
	b = appendNot(appendOperand(b, n.operand, levelSum), n.not)
	b = appendOperand(append(b, " BETWEEN "...), n.low, levelSum)
	return appendOperand(append(b, " AND "...), n.high, levelSum)
}

// like is [NOT] LIKE.
type like struct {
	operand         node
	pattern, escape string // as in the selector; escape is "" if there is none
	matcher         likeMatcher
	not             bool
}

func (n *like) test(v Values) truth {
	x := n.operand.eval(v)
	if x.kind == null {
		return isUnknown
	}
	return truthOf((x.kind == text && n.matcher.match(x.str)) != n.not)
}

func (n *like) eval(v Values) value { return truthValue(n.test(v)) }
func (n *like) level() level        { return levelPredicate }
func (n *like) appendTo(b []byte) []byte {
	b = appendNot(appendOperand(b, n.operand, levelSum), n.not)
	b = appendString(append(b, " LIKE "...), n.pattern)
	if n.escape != "" {
		b = appendString(append(b, " ESCAPE "...), n.escape)
	}
	return b
}

// membership is [NOT] IN.
type membership struct {
	name *identifier
	list []string
	set  map[string]struct{} // nil while the list is short
	not  bool
}

// index prepares the search once the list is complete.
func (n *membership) index() {
	const short = 8 // up to here, comparing is faster than hashing
	if len(n.list) <= short {
		return
	}
	n.set = make(map[string]struct{}, len(n.list))
	for _, s := range n.list {
		n.set[s] = struct{}{}
	}
}

func (n *membership) test(v Values) truth {
	x := n.name.eval(v)
	if x.kind != text {
		return isUnknown
	}
	var found bool
	if n.set != nil {
		_, found = n.set[x.str]
	} else {
		found = slices.Contains(n.list, x.str)
	}
	return truthOf(found != n.not)
}

func (n *membership) eval(v Values) value { return truthValue(n.test(v)) }
func (n *membership) level() level        { return levelPredicate }
func (n *membership) appendTo(b []byte) []byte {
	b = append(appendNot(n.name.appendTo(b), n.not), " IN ("...)
	for i, s := range n.list {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = appendString(b, s)
	}
	return append(b, ')')
}

// chain is a row of operators of the same level, computed from the left.
type chain struct {
	product bool
	first   node
	rest    []link
}

type link struct {
	op      byte
	operand node
}

func (n *chain) eval(v Values) value {
	x := n.first.eval(v)
	for _, l := range n.rest {
		if !x.isNumber() {
			return value{}
		}
		x = arithmetic(l.op, x, l.operand.eval(v))
	}
	return x
}

func (n *chain) level() level {
	if n.product {
		return levelProduct
	}
	return levelSum
}

func (n *chain) appendTo(b []byte) []byte {
	b = appendOperand(b, n.first, n.level()+1)
	for _, l := range n.rest {
		b = append(b, ' ', l.op, ' ')
		b = appendOperand(b, l.operand, n.level()+1)
	}
	return b
}

// sign is a unary + or -.
type sign struct {
	op      byte
	operand node
}

func (n *sign) eval(v Values) value {
	x := n.operand.eval(v)
	switch {
	case !x.isNumber():
		return value{}
	case n.op == '+':
		return x
	case x.kind == float:
		return floatValue(-x.float())
	}
	return integerArithmetic('-', 0, x.int())
}

func (n *sign) level() level { return levelSign }
func (n *sign) appendTo(b []byte) []byte {
	b = append(b, n.op)
	at := len(b)
	b = appendOperand(b, n.operand, levelSign)
	if n.op == '-' && b[at] == '-' {
		b = slices.Insert(b, at, ' ') // two together could begin a comment
	}
	return b
}

// literal is a string or a number.
type literal struct{ value value }

func (n *literal) eval(Values) value { return n.value }

func (n *literal) level() level {
	if n.value.kind == integer && n.value.int() < 0 || n.value.kind == float && math.Signbit(n.value.float()) {
		return levelSign
	}
	return levelPrimary
}

func (n *literal) appendTo(b []byte) []byte {
	switch n.value.kind {
	case text:
		return appendString(b, n.value.str)
	case integer:
		return strconv.AppendInt(b, n.value.int(), 10)
	}
	at := len(b)
	b = strconv.AppendFloat(b, n.value.float(), 'G', -1, 64)
	if !strings.ContainsAny(string(b[at:]), ".E") {
		b = append(b, ".0"...)
	}
	return b
}

// boolLiteral is TRUE or FALSE.
type boolLiteral struct{ value bool }

func (n *boolLiteral) test(Values) truth { return truthOf(n.value) }
func (n *boolLiteral) eval(Values) value { return boolValue(n.value) }
func (n *boolLiteral) level() level      { return levelPrimary }
func (n *boolLiteral) appendTo(b []byte) []byte {
	if n.value {
		return append(b, "TRUE"...)
	}
	return append(b, "FALSE"...)
}

// identifier is a header or a property; alone it is a condition.
type identifier struct{ name string }

func (n *identifier) eval(v Values) value      { return valueOf(v.Value(n.name)) }
func (n *identifier) test(v Values) truth      { return valueOf(v.Value(n.name)).truth() }
func (n *identifier) level() level             { return levelPrimary }
func (n *identifier) appendTo(b []byte) []byte { return append(b, n.name...) }
