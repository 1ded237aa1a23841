package jolokia

import (
	"fmt"
	"slices"
	"strings"
)

// Domain is the domain of all beans.
const Domain = "org.apache.activemq"

// maxName bounds an object name, in bytes.
const maxName = 16 << 10

// Name is an object name, or a pattern of such: a domain and properties in the order in which they are written.
type Name struct {
	domain     string
	properties []property
	more       bool // ends with ",*": further properties may follow
}

type property struct{ key, value string }

// clean is a value as ActiveMQ writes it in object names.
var clean = strings.NewReplacer(":", "_", "*", "_", "?", "_", `"`, "_", ",", "_", "=", "_", "\n", "_")

// ParseName reads an object name or a pattern. * and ? stand for themselves nowhere: in the domain and in values they are wildcards.
func ParseName(text string) (Name, error) {
	if len(text) > maxName {
		return Name{}, fmt.Errorf("an object name of %d bytes is longer than %d", len(text), maxName)
	}
	domain, rest, ok := strings.Cut(text, ":")
	if !ok || rest == "" {
		return Name{}, fmt.Errorf("%q is no object name; expected for example %s:type=Broker,brokerName=*", text, Domain)
	}
	n := Name{domain: domain}
	for part := range strings.SplitSeq(rest, ",") {
		if part == "*" {
			n.more = true
			continue
		}
		key, value, ok := strings.Cut(part, "=")
		if !ok || key == "" || slices.ContainsFunc(n.properties, func(p property) bool { return p.key == key }) {
			return Name{}, fmt.Errorf("%q is no object name: %q is not KEY=VALUE, or is there twice", text, part)
		}
		n.properties = append(n.properties, property{key, value})
	}
	return n, nil
}

// named makes the name of a bean: keys and values in turn.
func named(pairs ...string) Name {
	n := Name{domain: Domain}
	for i := 0; i < len(pairs); i += 2 {
		n.properties = append(n.properties, property{pairs[i], clean.Replace(pairs[i+1])})
	}
	return n
}

// IsPattern says whether the name may fit several beans.
func (n Name) IsPattern() bool {
	return n.more || strings.ContainsAny(n.domain, "*?") || slices.ContainsFunc(n.properties, func(p property) bool { return strings.ContainsAny(p.value, "*?") })
}

// Fits says whether the pattern n fits a bean's name.
func (n Name) Fits(bean Name) bool {
	if !glob(n.domain, bean.domain) || len(n.properties) > len(bean.properties) || len(n.properties) < len(bean.properties) && !n.more {
		return false
	}
	for _, p := range n.properties {
		if !slices.ContainsFunc(bean.properties, func(b property) bool { return b.key == p.key && glob(p.value, b.value) }) {
			return false
		}
	}
	return true
}

// glob says whether text fits a pattern of *, any text, and ?, any one byte.
func glob(pattern, text string) bool {
	star, retry := -1, 0
	p, t := 0, 0
	for t < len(text) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, retry = p, t
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == text[t]):
			p++
			t++
		case star >= 0:
			retry++
			p, t = star+1, retry
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// keys are the properties as one text, in the order of their keys.
func (n Name) keys() string {
	sorted := slices.SortedFunc(slices.Values(n.properties), func(x, y property) int { return strings.Compare(x.key, y.key) })
	texts := make([]string, len(sorted))
	for i, p := range sorted {
		texts[i] = p.key + "=" + p.value
	}
	if n.more {
		texts = append(texts, "*")
	}
	return strings.Join(texts, ",")
}

// String is the canonical form.
func (n Name) String() string { return n.domain + ":" + n.keys() }
