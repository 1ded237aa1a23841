package message

import "strings"

// Between takes a prefix and a postfix off a name and gives what is left, if it is not empty. Whole segments of both may be *, which stands for any
// one segment: Between("Consumer.A.T.U", "Consumer.*.", "") is T.U.
func Between(name, prefix, postfix string) (rest string, ok bool) {
	if rest, ok = cutPrefix(name, prefix); ok {
		rest, ok = cutPostfix(rest, postfix)
	}
	return rest, ok && rest != ""
}

func cutPrefix(name, prefix string) (string, bool) {
	for {
		segment, rest, more := strings.Cut(prefix, ".")
		if !more {
			return strings.CutPrefix(name, segment)
		}
		first, after, dot := strings.Cut(name, ".")
		if !dot || segment != "*" && segment != first {
			return "", false
		}
		prefix, name = rest, after
	}
}

func cutPostfix(name, postfix string) (string, bool) {
	for {
		i := strings.LastIndexByte(postfix, '.')
		if i < 0 {
			return strings.CutSuffix(name, postfix)
		}
		j := strings.LastIndexByte(name, '.')
		if j < 0 || postfix[i+1:] != "*" && postfix[i+1:] != name[j+1:] {
			return "", false
		}
		postfix, name = postfix[:i], name[:j]
	}
}

// Overlap says whether some name fits both patterns. A pattern may be a plain name.
func Overlap(x, y string) bool {
	a, restA, moreA := strings.Cut(x, ".")
	b, restB, moreB := strings.Cut(y, ".")
	switch {
	case a == ">" && !moreA || b == ">" && !moreB:
		return true
	case a != b && a != "*" && b != "*":
		return false
	case !moreA:
		return !moreB || restB == ">"
	case !moreB:
		return restA == ">"
	}
	return Overlap(restA, restB)
}
