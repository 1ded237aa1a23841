package security

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Kind is what a destination is. The values are those of message.Kind, so one converts into the other.
type Kind uint8

// The kinds of destinations.
const (
	Queue Kind = iota + 1
	Topic
	TempQueue
	TempTopic
)

var kindSchemes = [...]string{Queue: "queue://", Topic: "topic://", TempQueue: "temp-queue://", TempTopic: "temp-topic://"}

func (k Kind) valid() bool { return k >= Queue && k <= TempTopic }

// Entry gives groups rights on destinations. A group "*" is everybody who is logged in; the group "anonymous" is those
// whom the mode Optional admits without credentials.
type Entry struct {
	// Destination is a pattern: queue://ORDERS.>, topic://a.*.c, or > for all queues and topics. "*" stands for one
	// element, ">" at the end for any number of them, none included. temp-queue://> and temp-topic://>, or temp://> for
	// both, are the temporary ones.
	Destination string
	Read        []string // may subscribe and browse
	Write       []string // may send
	Admin       []string // may create (also by first use) and remove
}

// Action is what an identity wants to do.
type Action uint8

// The actions that rights are about.
const (
	Read Action = iota
	Write
	Create
	Remove
)

var actionTexts = [...]string{Read: "read from", Write: "write to", Create: "create", Remove: "remove"}

// everyone is the group of all who are logged in; anonymous that of those who need not be.
const (
	everyone  = "*"
	anonymous = "anonymous"
)

// Denied is the answer to a check that failed. Its text is ActiveMQ's.
type Denied struct {
	User        string
	Action      Action
	Destination string // with its scheme; a composite name is as it was given
}

// Error is for the client.
func (d *Denied) Error() string {
	return "User " + d.User + " is not authorized to " + actionTexts[d.Action] + ": " + d.Destination
}

// rights are the compiled entries.
type rights struct {
	entries []entry
	// temps says of which temporary kinds there are entries: without one anybody may use them.
	temps [TempTopic + 1]bool
}

type entry struct {
	kinds  [TempTopic + 1]bool
	path   []string
	groups [Remove + 1][]string
}

func compileRights(from []Entry) (*rights, error) {
	r := &rights{entries: make([]entry, 0, len(from))}
	var mistakes []error
	for _, f := range from {
		e, err := compileEntry(f)
		if err != nil {
			mistakes = append(mistakes, fmt.Errorf("rights of %q: %w", f.Destination, err))
			continue
		}
		for k := TempQueue; k <= TempTopic; k++ {
			r.temps[k] = r.temps[k] || e.kinds[k]
		}
		r.entries = append(r.entries, e)
	}
	return r, errors.Join(mistakes...)
}

func compileEntry(f Entry) (entry, error) {
	var e entry
	name := f.Destination
	if rest, ok := strings.CutPrefix(name, "temp://"); ok {
		name, e.kinds[TempQueue], e.kinds[TempTopic] = rest, true, true
	} else if scheme, rest, ok := strings.Cut(name, "://"); ok {
		kind := Kind(slices.Index(kindSchemes[:], scheme+"://"))
		if !kind.valid() {
			return e, fmt.Errorf("scheme %q is unknown; expected queue, topic, temp-queue, temp-topic or temp", scheme)
		}
		name, e.kinds[kind] = rest, true
	} else {
		e.kinds[Queue], e.kinds[Topic] = true, true
	}
	if (e.kinds[TempQueue] || e.kinds[TempTopic]) && name != ">" {
		return e, errors.New("temporary destinations have rights together only: the pattern must be >")
	}
	if strings.TrimSpace(name) != name || name == "" || strings.ContainsAny(name, ",?") {
		return e, errors.New("expected one pattern, without blanks around it, commas or options, for example queue://ORDERS.>")
	}
	e.path = strings.Split(name, ".")
	if i := slices.Index(e.path, ">"); i >= 0 && i != len(e.path)-1 {
		return e, errors.New("> stands at the end only")
	}
	for _, list := range [][]string{f.Read, f.Write, f.Admin} {
		if slices.Contains(list, "") {
			return e, errors.New("a group needs a name")
		}
	}
	e.groups = [...][]string{Read: slices.Clone(f.Read), Write: slices.Clone(f.Write), Create: slices.Clone(f.Admin), Remove: slices.Clone(f.Admin)}
	return e, nil
}

// allow says whether one with these groups may do it to one destination. All entries that cover the destination count
// together: a narrow one takes nothing away from what a wide one gives.
func (r *rights) allow(action Action, kind Kind, name string, groups []string) bool {
	if action != Write && action != Remove && kind == Topic && (name == advisoryTempQueue || name == advisoryTempTopic) {
		return true
	}
	if (kind == TempQueue || kind == TempTopic) && !r.temps[kind] {
		return true
	}
	for i := range r.entries {
		e := &r.entries[i]
		if e.kinds[kind] && len(e.groups[action]) > 0 && covers(e.path, name) {
			for _, g := range e.groups[action] {
				if slices.Contains(groups, g) {
					return true
				}
			}
		}
	}
	return false
}

// Java clients subscribe to these at connect and fail if they may not.
const (
	advisoryTempQueue = "ActiveMQ.Advisory.TempQueue"
	advisoryTempTopic = "ActiveMQ.Advisory.TempTopic"
)

// covers says whether the pattern matches whatever name matches. name may itself be the wildcard of a subscription:
// then a pattern must be at least as wide, so that a*.b does not open a.>, nor USERS.* open USERS.>.
func covers(pattern []string, name string) bool {
	rest, more := name, true
	for _, want := range pattern {
		if want == ">" {
			return true
		}
		if !more {
			return false
		}
		var element string
		element, rest, more = strings.Cut(rest, ".")
		if want != element && (want != "*" || element == ">") {
			return false
		}
	}
	return !more
}
