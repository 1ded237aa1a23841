package readiness

import (
	"net/netip"
	"strings"
)

// Rule says which clients are a service's. Of each kind that is given one must fit; two rules of one name make one service.
type Rule struct {
	Name      string
	ClientIDs []string // * stands for any text
	Users     []string // as above
	Addresses []netip.Prefix
}

func (r *Rule) matches(f *Facts) bool {
	address := f.Remote.Addr().Unmap()
	return fits(r.ClientIDs, f.ClientID, wild) && fits(r.Users, f.User, wild) &&
		fits(r.Addresses, address, func(p netip.Prefix, a netip.Addr) bool { return p.Contains(a) })
}

// fits says whether one of the patterns does, or there are none.
func fits[P, V any](patterns []P, value V, one func(P, V) bool) bool {
	for _, p := range patterns {
		if one(p, value) {
			return true
		}
	}
	return len(patterns) == 0
}

// wild says whether a text fits a pattern in which * stands for any text.
func wild(pattern, text string) bool {
	first, rest, starred := strings.Cut(pattern, "*")
	text, ok := strings.CutPrefix(text, first)
	if !ok || !starred {
		return ok && text == ""
	}
	for {
		var part string
		part, rest, starred = strings.Cut(rest, "*")
		if !starred {
			return strings.HasSuffix(text, part)
		}
		i := strings.Index(text, part)
		if i < 0 {
			return false
		}
		text = text[i+len(part):]
	}
}

// By what clients were grouped.
const (
	ByRule     = "configuration"
	ByUser     = "user"
	ByClientID = "client id"
	ByAddress  = "address"
)

// service names the service of a client: the first rule that fits, else its user, else what its client ids begin with, else its address.
func service(rules []Rule, f *Facts) (name, by string) {
	for i := range rules {
		if rules[i].matches(f) {
			return rules[i].Name, ByRule
		}
	}
	switch {
	case f.User != "":
		return f.User, ByUser
	case f.ClientID != "":
		return stem(f.ClientID), ByClientID
	}
	return f.Remote.Addr().Unmap().String(), ByAddress
}
