package selector

import "math"

// Key stands for a value where only equality counts: values that = finds equal have the same key.
type Key struct {
	kind kind
	bits uint64
	text string
}

// Equality is a condition that a selector demands: the selector cannot be TRUE of a message unless the key of the identifier's value is among Keys.
type Equality struct {
	Name string
	Keys []Key
	// Whole says that the selector demands nothing else: it is TRUE if, and only if, the key is there.
	Whole bool
}

// Equalities gives the conditions of that kind: x = 1 and x IN ('a', 'b'), alone or joined by AND with others.
func (s *Selector) Equalities() []Equality {
	var all []Equality
	operands := []condition{s.root}
	if j, ok := s.root.(*junction); ok && j.and {
		operands = j.operands
	}
	for _, c := range operands {
		if e, ok := equalityOf(c, s.converts); ok {
			// Where strings are converted, several unlike values share a key.
			e.Whole = len(operands) == 1 && !s.converts
			all = append(all, e)
		}
	}
	return all
}

// Converts says whether the selector compares strings with numbers and booleans.
func (s *Selector) Converts() bool { return s.converts }

func equalityOf(c condition, converts bool) (Equality, bool) {
	var left, right node
	switch c := c.(type) {
	case *textComparison:
		return Equality{Name: c.name, Keys: []Key{keyOf(textValue(c.constant), converts)}}, c.op == equal
	case *integerComparison:
		return Equality{Name: c.name, Keys: []Key{keyOf(integerValue(c.constant), converts)}}, c.op == equal
	case *identifier:
		return Equality{Name: c.name, Keys: []Key{keyOf(boolValue(true), converts)}}, true
	case *membership:
		e := Equality{Name: c.name.name}
		for _, s := range c.list {
			e.Keys = append(e.Keys, keyOf(textValue(s), converts))
		}
		return e, !c.not && len(c.list) > 0 && len(c.list) <= maxKeys
	case *comparison:
		if c.op != equal {
			return Equality{}, false
		}
		left, right = c.left, c.right
	default:
		return Equality{}, false
	}
	if _, ok := left.(*identifier); !ok {
		left, right = right, left
	}
	name, ok := left.(*identifier)
	if !ok {
		return Equality{}, false
	}
	switch x := right.(type) {
	case *literal:
		if x.value.kind == float && math.IsNaN(x.value.float()) {
			return Equality{}, false
		}
		return Equality{Name: name.name, Keys: []Key{keyOf(x.value, converts)}}, true
	case *boolLiteral:
		return Equality{Name: name.name, Keys: []Key{keyOf(boolValue(x.value), converts)}}, true
	}
	return Equality{}, false
}

// maxKeys is up to how long a list of IN counts as an equality.
const maxKeys = 64

// KeyOf gives the key of what Values gave. ok is false for what equals nothing: null, and what is not a number. With converts it is the key
// for selectors that convert strings.
func KeyOf(x any, converts bool) (key Key, ok bool) {
	v := valueOf(x)
	if v.kind == null || v.kind == float && math.IsNaN(v.float()) {
		return Key{}, false
	}
	return keyOf(v, converts), true
}

func keyOf(v value, converts bool) Key {
	if v.kind == text && converts {
		if b := convert(v.str, boolean); b.kind == boolean {
			v = b
		} else if n := convert(v.str, integer); n.kind != null {
			v = n
		}
	}
	// A float that is a whole number equals an integer.
	if v.kind == float {
		if f := v.float(); f >= -1<<63 && f < 1<<63 && f == math.Trunc(f) {
			v = integerValue(int64(f))
		}
	}
	return Key{v.kind, v.bits, v.str}
}
