package selector

import (
	"cmp"
	"math"
	"strconv"
	"strings"
)

// truth is a value of the three-valued logic, ordered so that AND is the minimum, OR the maximum and NOT the distance from isTrue.
type truth uint8

const (
	isFalse truth = iota
	isUnknown
	isTrue
)

func (t truth) not() truth { return isTrue - t }

func truthOf(b bool) truth {
	if b {
		return isTrue
	}
	return isFalse
}

type kind uint8

const (
	null kind = iota
	boolean
	integer
	float
	text
)

// value is an operand's value. It is passed in registers, where an `any` would put every number on the heap.
type value struct {
	kind kind
	bits uint64 // boolean: 0 or 1; integer: the int64; float: its IEEE 754 bits
	str  string
}

func integerValue(n int64) value { return value{kind: integer, bits: uint64(n)} }
func floatValue(f float64) value { return value{kind: float, bits: math.Float64bits(f)} }
func textValue(s string) value   { return value{kind: text, str: s} }

func boolValue(b bool) value {
	if b {
		return value{kind: boolean, bits: 1}
	}
	return value{kind: boolean}
}

func truthValue(t truth) value {
	if t == isUnknown {
		return value{}
	}
	return boolValue(t == isTrue)
}

// valueOf takes over what Values gave.
func valueOf(x any) value {
	switch x := x.(type) {
	case string:
		return textValue(x)
	case int64:
		return integerValue(x)
	case bool:
		return boolValue(x)
	case float64:
		return floatValue(x)
	}
	return value{}
}

func (v value) int() int64     { return int64(v.bits) }
func (v value) bool() bool     { return v.bits != 0 }
func (v value) isNumber() bool { return v.kind == integer || v.kind == float }
func (v value) truth() truth {
	switch {
	case v.kind == null:
		return isUnknown
	case v.kind == boolean:
		return truthOf(v.bool())
	}
	return isFalse
}

func (v value) float() float64 {
	if v.kind == integer {
		return float64(v.int())
	}
	return math.Float64frombits(v.bits)
}

// operator is a comparison.
type operator uint8

const (
	equal operator = iota
	notEqual
	less
	lessOrEqual
	greater
	greaterOrEqual
)

var operatorText = [...]string{equal: "=", notEqual: "<>", less: "<", lessOrEqual: "<=", greater: ">", greaterOrEqual: ">="}

// holds says whether the operator is true of an order as cmp.Compare gives it.
func (op operator) holds(order int) truth {
	switch op {
	case equal:
		return truthOf(order == 0)
	case notEqual:
		return truthOf(order != 0)
	case less:
		return truthOf(order < 0)
	case lessOrEqual:
		return truthOf(order <= 0)
	case greater:
		return truthOf(order > 0)
	default:
		return truthOf(order >= 0)
	}
}

// compare is a op b by section 3.8.1.1: unknown if one is null, FALSE if they are unlike. converts says whether a string beside
// a number or a boolean is read as one.
func compare(op operator, converts bool, a, b value) truth {
	if a.kind == null || b.kind == null {
		return isUnknown
	}
	if converts && (a.kind == text) != (b.kind == text) {
		if a.kind == text {
			a = convert(a.str, b.kind)
		} else {
			b = convert(b.str, a.kind)
		}
	}
	switch {
	case a.isNumber() && b.isNumber():
		return compareNumbers(op, a, b)
	case op > notEqual || a.kind != b.kind: // unlike, or a string that could not be converted
		return isFalse
	case a.kind == text:
		return truthOf((a.str == b.str) == (op == equal))
	}
	return truthOf((a.bits == b.bits) == (op == equal))
}

func compareNumbers(op operator, a, b value) truth {
	if a.kind == integer && b.kind == integer {
		return op.holds(cmp.Compare(a.int(), b.int()))
	}
	if math.IsNaN(a.float()) || math.IsNaN(b.float()) {
		return truthOf(op == notEqual)
	}
	switch {
	case a.kind == integer:
		return op.holds(compareMixed(a.int(), b.float()))
	case b.kind == integer:
		return op.holds(-compareMixed(b.int(), a.float()))
	}
	return op.holds(cmp.Compare(a.float(), b.float()))
}

// compareMixed orders an integer and a float that is a number. Converting the integer would round it above 2^53.
func compareMixed(n int64, f float64) int {
	switch {
	case f >= 1<<63:
		return -1
	case f < -1<<63:
		return 1
	}
	whole := math.Trunc(f)
	if order := cmp.Compare(n, int64(whole)); order != 0 {
		return order
	}
	return cmp.Compare(whole, f)
}

// convert reads a string as the kind it is compared with; what cannot be read is null.
func convert(s string, as kind) value {
	if as == boolean {
		switch {
		case strings.EqualFold(s, "true"):
			return boolValue(true)
		case strings.EqualFold(s, "false"):
			return boolValue(false)
		}
		return value{}
	}
	return parseNumber(s)
}

// maxNumber is the longest string taken for a number, in bytes. A float64 needs 17 digits; the rest is zeros of somebody's format.
const maxNumber = 64

// parseNumber reads a decimal integer or float: an optional sign, digits, an optional point, an optional exponent. It looks at
// the form first because strconv allocates an error for every string that is no number.
func parseNumber(s string) value {
	digits, point, exponent := 0, false, false
	if len(s) > maxNumber {
		return value{}
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case '0' <= c && c <= '9':
			digits++
		case c == '+' || c == '-':
			if i > 0 && s[i-1] != 'e' && s[i-1] != 'E' {
				return value{}
			}
		case c == '.':
			if point || exponent {
				return value{}
			}
			point = true
		case c == 'e' || c == 'E':
			if exponent || digits == 0 {
				return value{}
			}
			exponent, digits = true, 0
		default:
			return value{}
		}
	}
	if digits == 0 {
		return value{}
	}
	if !point && !exponent {
		if n, err := strconv.ParseInt(s, 10, 64); err == nil {
			return integerValue(n)
		}
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return value{}
	}
	return floatValue(f)
}

// arithmetic computes a op b for op in + - * / %. Null stands for everything that has no result.
func arithmetic(op byte, a, b value) value {
	if !a.isNumber() || !b.isNumber() {
		return value{}
	}
	if a.kind == integer && b.kind == integer {
		return integerArithmetic(op, a.int(), b.int())
	}
	x, y := a.float(), b.float()
	switch op {
	case '+':
		return floatValue(x + y)
	case '-':
		return floatValue(x - y)
	case '*':
		return floatValue(x * y)
	case '/':
		return floatValue(x / y)
	default:
		return floatValue(math.Mod(x, y))
	}
}

func integerArithmetic(op byte, a, b int64) value {
	switch op {
	case '+':
		if sum := a + b; (sum > a) == (b > 0) {
			return integerValue(sum)
		}
	case '-':
		if difference := a - b; (difference < a) == (b > 0) {
			return integerValue(difference)
		}
	case '*':
		if a == 0 || b == 0 {
			return integerValue(0)
		}
		// The product's sign is looked at apart, because -1 * the least integer overflows to itself and divides back.
		if product := a * b; product/b == a && (product < 0) == ((a < 0) != (b < 0)) {
			return integerValue(product)
		}
	case '/':
		if b != 0 && !(a == math.MinInt64 && b == -1) {
			return integerValue(a / b)
		}
	case '%':
		if b != 0 {
			return integerValue(a % b)
		}
	}
	return value{}
}
