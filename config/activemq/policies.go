package activemq

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/godwitmq/godwit/config"
	"github.com/godwitmq/godwit/message"
)

// policyDraft is a policyEntry.
type policyDraft struct {
	config.Policy
	destinations []string // patterns; nil for the default entry
	byDefault    bool
	item         *Item
	outer        *policyDraft
	inMemory     bool // its cursor keeps all in memory
	unheld       bool // it has no producerFlowControl
	memory       config.Size
	memoryItem   *Item
	set          map[string]*Item // key within the policy -> who gave it its value
}

// redeliveryDraft is a redeliveryPolicy.
type redeliveryDraft struct {
	config.Redelivery
	destinations []string
	byDefault    bool
	exponential  bool
	backOff      float64
	collision    bool
	part         float64
	item         *Item
	outer        *redeliveryDraft
}

func enterPolicy(im *importer, n *node, item *Item) {
	im.policy = &policyDraft{outer: im.policy, Policy: im.config.NewPolicy(""), item: item, set: map[string]*Item{}, byDefault: n.parent != nil && n.parent.name == "defaultEntry"}
}

func leavePolicy(im *importer, _ *node, item *Item) {
	p := im.policy
	im.leaveMemory()
	im.policy = p.outer
	if len(p.destinations) == 0 && !p.byDefault {
		item.fail("names no destinations; expected queue, topic, tempQueue or tempTopic")
		return
	}
	im.policies = append(im.policies, p)
}

// policyFor is for the attributes of a policyEntry that name destinations.
func policyFor(scheme string) func(*importer, string, *Item) {
	return func(im *importer, value string, item *Item) {
		names, err := destinations(scheme, value)
		if err != nil {
			item.fail("%v", err)
		}
		im.policy.destinations = append(im.policy.destinations, names...)
	}
}

// destinations are the patterns of an attribute: several, divided by commas, or for temporary ones just true. The error is about one that names
// nothing; the others are given all the same.
func destinations(scheme, value string) (list []string, err error) {
	if strings.HasPrefix(scheme, "temp") && strings.EqualFold(value, "true") {
		value = ">"
	}
	for name := range strings.SplitSeq(value, ",") {
		pattern := scheme + strings.TrimSpace(name)
		if _, wrong := message.ParseDestination(pattern, message.NoDestination); wrong != nil || strings.Contains(name, "?") {
			err = fmt.Errorf("%q names no destinations", name)
			continue
		}
		list = append(list, pattern)
	}
	return list, err
}

// fixed sets a key of the policy being read to a value that an element stands for by its name.
func fixed(key, value string) func(*importer, *node, *Item) {
	return func(im *importer, _ *node, item *Item) {
		im.put("policies[]."+key, value, item)
	}
}

func enterRedelivery(im *importer, n *node, item *Item) {
	if n.parent == nil || n.parent.name != "redeliveryPolicyEntries" && n.parent.name != "defaultEntry" {
		item.fail("stands outside of a redeliveryPlugin: it is a client's; set it in the client")
	}
	im.redelivery = &redeliveryDraft{item: item, outer: im.redelivery, byDefault: n.parent != nil && n.parent.name == "defaultEntry", backOff: 5, part: 0.15,
		Redelivery: config.Redelivery{Maximum: 6, InitialDelay: time.Second, Delay: time.Second, Multiplier: 1, Then: "dead-letter"}}
}

func leaveRedelivery(im *importer, _ *node, item *Item) {
	r := im.redelivery
	im.redelivery = r.outer
	if r.exponential {
		r.Multiplier = r.backOff
	}
	if r.collision {
		r.CollisionAvoidance = r.part
	}
	switch {
	case item.Verdict != Mapped:
	case r.byDefault:
		im.deliveries = append(im.deliveries, r)
		item.Key = "redelivery"
	case len(r.destinations) == 0:
		item.fail("names no destinations; expected queue or topic")
	default:
		im.deliveries = append(im.deliveries, r)
	}
}

// leaveRedeliveryPlugin takes over what holds for all of its policies.
func leaveRedeliveryPlugin(im *importer, n *node, _ *Item) {
	drop := strings.EqualFold(im.properties.try(n.value("sendToDlqIfMaxRetriesExceeded")), "false")
	for _, r := range im.deliveries {
		if drop {
			r.Then = "drop"
		}
		if r.byDefault {
			im.config.Redelivery = r.Redelivery
		}
	}
}

// redeliveryOf makes a function for an attribute that changes the policy being read.
func redeliveryOf(change func(r *redeliveryDraft, value string) error) func(*importer, string, *Item) {
	return func(im *importer, value string, item *Item) {
		if err := change(im.redelivery, value); err != nil {
			item.fail("%v", err)
		}
	}
}

// finishPolicies makes policies of the entries. ActiveMQ has one map of policies and one of redeliveries; Godwit has one entry for both.
func (im *importer) finishPolicies() {
	byName := map[string]*policyDraft{}
	var names []string
	add := func(name string, p *policyDraft) bool {
		if byName[name] != nil {
			return false
		}
		byName[name] = p
		names = append(names, name)
		return true
	}
	for _, p := range im.policies {
		for _, name := range p.destinations {
			if !add(name, p) {
				p.item.fail("there is another entry for %s; only the first was taken over", name)
			}
		}
	}
	for _, p := range im.policies {
		for _, name := range []string{"queue://>", "topic://>", "temp-queue://>", "temp-topic://>"} {
			if p.byDefault {
				add(name, p)
			}
		}
	}
	for _, r := range im.deliveries {
		for _, name := range r.destinations {
			if byName[name] == nil {
				from := mostSpecific(names, name)
				p := &policyDraft{Policy: im.config.NewPolicy(""), item: r.item, set: map[string]*Item{}}
				if from != "" {
					p.Policy = byName[from].Policy
				}
				add(name, p)
			}
			im.overlaps(names, name, r.item)
		}
	}
	for i, name := range names {
		p := byName[name].Policy
		p.Destination = name
		if r := im.redeliveryFor(name); r != nil {
			p.Redelivery = r.Redelivery
		}
		if im.config.DeadLetter.Strategy == "discard" {
			p.DeadLetter.Strategy = "discard"
		}
		if item := byName[name].set["inactive.remove"]; p.Inactive.Remove && !im.sweeps {
			p.Inactive.Remove = false
			item.Verdict, item.Key, item.Words = NotNeeded, "", "ActiveMQ removes nothing without schedulePeriodForDestinationPurge on the broker"
		}
		im.config.Policies = append(im.config.Policies, p)
		im.set[fmt.Sprintf("policies[%d].destination", i)] = byName[name].item
		for key, item := range byName[name].set {
			im.set[fmt.Sprintf("policies[%d].%s", i, key)] = item
		}
	}
}

// redeliveryFor is the most specific redelivery policy that fits all that a pattern fits.
func (im *importer) redeliveryFor(name string) *redeliveryDraft {
	var best string
	var found *redeliveryDraft
	for _, r := range im.deliveries {
		for _, d := range r.destinations {
			if covers(d, name) && (found == nil || covers(best, d)) {
				best, found = d, r
			}
		}
	}
	return found
}

// mostSpecific is the narrowest of the patterns that fit all that name fits, or "".
func mostSpecific(names []string, name string) string {
	best := ""
	for _, n := range names {
		if n != name && covers(n, name) && (best == "" || covers(best, n)) {
			best = n
		}
	}
	return best
}

// overlaps tells of entries that fit some destinations in common, without one of them fitting all of the other's: only one of them holds there.
func (im *importer) overlaps(names []string, name string, item *Item) {
	for _, n := range names {
		if n != name && !covers(n, name) && !covers(name, n) && meet(n, name) && item.Verdict == Mapped {
			item.fail("%s and %s fit some destinations in common, and only one entry holds for each: add an entry for those", name, n)
		}
	}
}

func segments(pattern string) (scheme string, parts []string) {
	scheme, name, _ := strings.Cut(pattern, "://")
	return scheme, strings.Split(name, ".")
}

// covers says whether wide fits whatever narrow fits.
func covers(wide, narrow string) bool {
	ws, w := segments(wide)
	ns, n := segments(narrow)
	if ws != ns {
		return false
	}
	for i, part := range w {
		switch {
		case part == ">":
			return true
		case i >= len(n), part != n[i] && (part != "*" || n[i] == ">"):
			return false
		}
	}
	return len(w) == len(n)
}

// meet says whether two patterns fit some name in common.
func meet(a, b string) bool {
	as, x := segments(a)
	bs, y := segments(b)
	if as != bs {
		return false
	}
	for i := range max(len(x), len(y)) {
		switch {
		case i < len(x) && x[i] == ">" || i < len(y) && y[i] == ">":
			return true
		case i >= len(x) || i >= len(y):
			return false
		case x[i] != y[i] && x[i] != "*" && y[i] != "*":
			return false
		}
	}
	return true
}

// deadLetterQueue takes the queue of a shared strategy over, written as an attribute or as an element.
func deadLetterQueue(im *importer, value string, item *Item) {
	im.put("policies[].deadLetter.queue", strings.TrimPrefix(value, "queue://"), item)
}

// discarding plugin: which dead letters are dropped, of all policies.
func leaveDiscarding(im *importer, n *node, item *Item) {
	get := func(name string, usual bool) bool {
		yes, err := parseBool(im.properties.try(n.value(name)))
		return err == nil && yes || err != nil && usual
	}
	if get("dropAll", true) {
		im.config.DeadLetter.Strategy = "discard"
		item.Words = "all dead letters are dropped"
		return
	}
	im.config.DeadLetter.Drop = strings.Fields(im.properties.try(n.value("dropOnly")))
	for name, scheme := range map[string]string{"dropTemporaryQueues": "temp-queue://>", "dropTemporaryTopics": "temp-topic://>"} {
		if get(name, true) {
			p := &policyDraft{Policy: im.config.NewPolicy(""), destinations: []string{scheme}, item: item, set: map[string]*Item{}}
			p.DeadLetter.Strategy = "discard"
			im.policies = append(im.policies, p)
		}
	}
	slices.SortFunc(im.policies, func(a, b *policyDraft) int {
		return strings.Compare(strings.Join(a.destinations, ","), strings.Join(b.destinations, ","))
	})
}
