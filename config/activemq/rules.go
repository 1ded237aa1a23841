package activemq

import (
	"slices"
	"strings"

	"github.com/godwitmq/godwit/config"
)

// rule says what becomes of one element or attribute.
type rule struct {
	// on is what the rule is for: an element "policyEntry", one inside a certain other one "destinations/queue", or an attribute "policyEntry@queue".
	on      string
	verdict Verdict
	key     string // in godwit.yaml
	words   string // why, or what to do
	// as makes the key's value of the attribute's. The key is set by itself then; it begins with "policies[]." for a key of the policy being read.
	as conversion
	// usual is the value that is the same by default, for what has no key: "true".
	usual string
	// harmless is for what is not supported and does not matter.
	harmless bool
	// whole is for an element whose verdict holds for all in it.
	whole bool
	// enter is called for an element before what is in it, leave after that; attribute is for an attribute. Each may change the item.
	enter, leave func(*importer, *node, *Item)
	attribute    func(*importer, string, *Item)
}

// rules are all tables, by what they are for.
func rules() map[string]*rule {
	all := map[string]*rule{}
	for _, table := range tables() {
		for i := range table.rules {
			r := &table.rules[i]
			all[r.on] = r
		}
	}
	return all
}

// table is one part of docs/import.md.
type table struct {
	title string
	rules []rule
}

func tables() []table {
	return []table{
		{"The file", fileRules()},
		{"broker", brokerRules()},
		{"Transports", transportRules()},
		{"Destination policies", policyRules()},
		{"Dead letters", deadLetterRules()},
		{"Destinations and their routes", routeRules()},
		{"Who may connect and do what", accessRules()},
		{"Other plugins", pluginRules()},
		{"Memory and disk", storeRules()},
		{"Networks of brokers, management and the rest", otherRules()},
	}
}

// books keep the tables that an importer looks rules up in.
type books struct {
	byName  map[string]*rule
	names   []string            // of elements
	attrs   map[string][]string // of attributes, by element
	options []string            // of transports' URIs
}

func newBooks() books {
	b := books{byName: rules(), attrs: map[string][]string{}}
	for on := range b.byName {
		if _, name, ok := strings.Cut(on, "?"); ok {
			b.options = append(b.options, name)
			continue
		}
		element, attribute, ok := strings.Cut(on, "@")
		if ok {
			b.attrs[element] = append(b.attrs[element], attribute)
			continue
		}
		b.names = append(b.names, element[strings.LastIndexByte(element, '/')+1:])
	}
	slices.Sort(b.names)
	slices.Sort(b.options)
	for _, list := range b.attrs {
		slices.Sort(list)
	}
	return b
}

func (b *books) element(n *node) *rule {
	if n.parent != nil {
		if r := b.byName[n.parent.name+"/"+n.name]; r != nil {
			return r
		}
	}
	if r := b.byName[n.name]; r != nil {
		return r
	}
	return b.written(n)
}

// written is the rule of an attribute for one that is written as an element, as all of them may be.
func (b *books) written(n *node) *rule {
	if n.parent == nil {
		return nil
	}
	r := b.attribute(n.parent, n.name)
	if r == nil {
		return nil
	}
	element := rule{on: r.on, verdict: r.verdict, words: r.words, harmless: r.harmless, whole: true}
	if r.verdict == Mapped || r.verdict == Same {
		element.verdict, element.words = NotSupported, "write it as an attribute"
	}
	return &element
}

func (b *books) attribute(n *node, name string) *rule {
	if n.parent != nil {
		if r := b.byName[n.parent.name+"/"+n.name+"@"+name]; r != nil {
			return r
		}
	}
	if r := b.byName[n.name+"@"+name]; r != nil {
		return r
	}
	return b.byName["@"+name]
}

// element tells of an element and of all in it.
func (im *importer) element(n *node, path string) {
	path = strings.TrimPrefix(path+"/"+n.name, "/")
	item := im.add(Item{Kind: Element, File: n.file, Line: n.line, Path: path, Value: hide(n, "", im.properties.try(n.text))})
	r := im.books.element(n)
	if im.within != "" {
		im.share(item)
	} else if r == nil {
		im.unknownElement(n, item)
	} else {
		item.apply(r)
		if r.enter != nil {
			r.enter(im, n, item)
		}
		item.frame = r.enter == nil && r.leave == nil && item.Verdict == Mapped && item.Words == "" && item.Value == ""
	}
	outer := im.within
	if im.within == "" && (r == nil || r.whole) {
		im.within = path
		im.shared = item
	}
	im.failsAtOnce = false
	for _, a := range n.attrs {
		im.attribute(n, a, path)
	}
	for _, c := range inOrder(n) {
		im.element(c, path)
	}
	im.within = outer
	if r != nil && r.leave != nil && im.within == "" {
		r.leave(im, n, item)
	}
}

// inOrder gives a broker's plugins and limits first: what they say holds for all destinations, and policies build on it.
func inOrder(n *node) []*node {
	if n.name != "broker" {
		return n.children
	}
	list := slices.Clone(n.children)
	rank := func(n *node) int { return slices.Index([]string{"", "systemUsage", "plugins"}, n.name) }
	slices.SortStableFunc(list, func(a, b *node) int { return rank(b) - rank(a) })
	return list
}

func (item *Item) apply(r *rule) {
	item.Verdict, item.Key, item.Words = r.verdict, r.key, r.words
	item.Matters = r.verdict == NotSupported && !r.harmless
}

// share gives an item the verdict of the element that it is in.
func (im *importer) share(item *Item) {
	item.Verdict, item.Words, item.Matters = im.shared.Verdict, "as "+im.shared.Path+" around it", false
}

func (im *importer) unknownElement(n *node, item *Item) {
	item.fail("unknown element")
	if guess := config.Nearest(n.name, im.books.names); guess != "" {
		item.Words += "; did you mean " + guess + "?"
	}
}

func (im *importer) attribute(n *node, a attr, path string) {
	value, err := im.properties.expand(a.value)
	item := im.add(Item{Kind: Attribute, File: n.file, Line: a.line, Path: path + "@" + a.name, Value: hide(n, a.name, value)})
	r := im.books.attribute(n, a.name)
	switch {
	case a.name == "xmlns" || strings.HasPrefix(a.name, "xmlns:") || strings.HasPrefix(a.name, "xsi:"):
		item.Verdict, item.Words, item.frame = NotNeeded, "XML's own", true
	case im.within != "":
		im.share(item)
	case r == nil:
		item.fail("unknown attribute")
		if guess := config.Nearest(a.name, im.books.attrs[n.name]); guess != "" {
			item.Words += "; did you mean " + guess + "?"
		}
	case err != nil && r.verdict == Mapped:
		item.fail("%v", err)
	case r.usual != "" && strings.EqualFold(strings.TrimSpace(value), r.usual):
		item.Verdict, item.Words = Same, "ActiveMQ's default"
	case r.verdict == Mapped && strings.HasPrefix(value, "#"):
		item.fail("refers to a bean; write it where it is used, or set it by hand")
	default:
		item.apply(r)
		switch {
		case r.as != nil:
			im.assign(r, value, item)
		case r.attribute != nil:
			r.attribute(im, value, item)
		}
	}
}

// assign sets the key of a rule.
func (im *importer) assign(r *rule, value string, item *Item) {
	text, err := r.as(value)
	if err == nil {
		im.put(r.key, text, item)
		return
	}
	item.fail("%v", err)
}

// put gives a key its value and says whether that changed anything. A key that begins with "policies[]." is of the policy being read.
func (im *importer) put(key, text string, item *Item) {
	var err error
	var before, after string
	if rest, ok := strings.CutPrefix(key, "policies[]."); ok {
		if im.policy == nil {
			item.fail("stands outside of a policyEntry")
			return
		}
		before, _ = im.policy.Text(rest)
		err = im.policy.Set(rest, text)
		after, _ = im.policy.Text(rest)
		im.policy.set[rest] = item
	} else {
		before, _ = im.config.Text(key)
		err = im.config.Set(key, text)
		after, _ = im.config.Text(key)
		im.set[key] = item
	}
	switch {
	case err != nil:
		item.fail("%v", err)
	case before == after:
		item.Verdict, item.Key = Same, key
		if item.Words == "" {
			item.Words = "as it is without a word"
		}
	default:
		item.Key = key
	}
}

// secretNames are parts of names whose values are not shown.
var secretNames = []string{"password", "passwd", "secret"}

func secretName(name string) bool {
	name = strings.ToLower(name)
	return slices.ContainsFunc(secretNames, func(s string) bool { return strings.Contains(name, s) })
}

// hide gives a value for people: not that of a password, be it an attribute's or a bean property's.
func hide(n *node, name, value string) string {
	secret := secretName(name)
	for at := n; at != nil && !secret; at = at.parent {
		property := at.name == "property" || at.name == "Set" || at.name == "entry" || at.name == "Property"
		secret = property && (name == "value" || name == "default" || name == "") && (secretName(at.value("name")) || secretName(at.value("key")))
	}
	if secret && value != "" {
		return "(hidden)"
	}
	return strings.Join(strings.Fields(hideURI(value)), " ")
}
