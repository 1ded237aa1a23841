// Package activemq turns the configuration of an ActiveMQ Classic broker (activemq.xml and the files it names) into Godwit's. It tells of each
// element and each attribute what became of it; what no rule knows is told as well.
//
// A rule is a line in one of the tables (rules_*.go). docs/import.md is made from them.
package activemq

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/godwitmq/godwit/config"
)

// Verdict is what became of an element or attribute.
type Verdict string

// The verdicts.
const (
	Mapped       Verdict = "mapped"          // a key of godwit.yaml says it now
	Same         Verdict = "same by default" // Godwit does so without being told
	NotNeeded    Verdict = "not needed"      // there is nothing to say to Godwit
	NotSupported Verdict = "not supported"   // Godwit cannot do it, or not yet
)

// Verdicts are all, the most important first.
var Verdicts = []Verdict{NotSupported, Mapped, Same, NotNeeded}

// Kind says what an Item is about.
type Kind string

// The kinds of items. Of each element and each attribute there is exactly one item.
const (
	Element   Kind = "element"
	Attribute Kind = "attribute"
	Option    Kind = "option" // a part of an attribute: an option of a transport's URI
	Entry     Kind = "entry"  // a line of another file: a user of users.properties
	Note      Kind = "note"   // what follows from several of them, or from what is not there
)

// Item is one thing that was met.
type Item struct {
	Kind    Kind    `json:"kind"`
	File    string  `json:"file"`
	Line    int     `json:"line"`
	Path    string  `json:"path"`            // broker/destinationPolicy/.../policyEntry@queue
	Value   string  `json:"value,omitempty"` // passwords are hidden
	Verdict Verdict `json:"verdict"`
	// Matters marks what is not supported and says who may do what, where messages end up, or whether they survive.
	Matters bool   `json:"matters,omitempty"`
	Key     string `json:"key,omitempty"`    // in godwit.yaml
	Words   string `json:"words,omitempty"`  // why, or what to do
	Within  string `json:"within,omitempty"` // path of the element whose verdict this one only shares

	around *Item // that element
	frame  bool  // an element that only holds others, or XML's own
}

// Names are those of the element and, if Path ends with one, of the attribute.
func (item *Item) Names() (element, attribute string) {
	element, attribute, _ = strings.Cut(item.Path, "@")
	attribute, _, _ = strings.Cut(attribute, "?") // an option of it
	return element[strings.LastIndexByte(element, '/')+1:], attribute
}

// File is one to be written beside godwit.yaml.
type File struct {
	Name string
	Data []byte // may hold a private key
}

// Options are what the import may be told. The zero value works.
type Options struct {
	// Properties are values for ${NAME}. They count over those of property files, which count over the environment.
	Properties map[string]string
	// Environ is the environment as os.Environ gives it.
	Environ []string
	// Name is what files beside godwit.yaml begin with: NAME-cert.pem. "" is "godwit".
	Name string
}

// Result is what came of an import.
type Result struct {
	Config *config.Config
	Items  []*Item // in the order of the files
	Files  []File  // certificates and keys that Config names
}

// Matters are the items that matter and are not supported.
func (r *Result) Matters() []*Item {
	var list []*Item
	for _, item := range r.Items {
		if item.Matters {
			list = append(list, item)
		}
	}
	return list
}

// Import reads activemq.xml and the files it names. An error is of a file that cannot be read at all; whatever else is wrong is an item.
func Import(path string, o Options) (*Result, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	return importDocument(path, data, newImporter(filepath.Dir(path), o))
}

// ImportAlone is Import of a document that may come from anybody, for a broker whose users are made otherwise: no other file is read, and no user taken over (their passwords would have to be
// hashed, however many). What the document says of one or the other is an item like any other that is not there. name stands for it in messages.
func ImportAlone(name string, data []byte, o Options) (*Result, error) {
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s is larger than %d MiB", name, maxFile>>20)
	}
	im := newImporter("", o)
	im.alone = true
	return importDocument(name, data, im)
}

func importDocument(name string, data []byte, im *importer) (*Result, error) {
	root, err := parseXML(filepath.Base(name), data)
	if err != nil {
		return nil, err
	}
	im.document(root)
	if im.broker == nil {
		return nil, fmt.Errorf("%s: there is no <broker> in it; expected ActiveMQ's activemq.xml", name)
	}
	if err := im.finish(); err != nil {
		return nil, err
	}
	return &Result{Config: im.config, Items: im.items, Files: im.files}, nil
}

var errAlone = errors.New("no other file is read for this document")

// read reads a file that the document names.
func (im *importer) read(path string) ([]byte, error) {
	if im.alone {
		return nil, errAlone
	}
	return readFile(path)
}

func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a file", path)
	case info.Size() > maxFile:
		return nil, fmt.Errorf("%s is larger than %d MiB", path, maxFile>>20)
	}
	return os.ReadFile(path)
}

// importer is one import under way.
type importer struct {
	folder     string // of activemq.xml
	options    Options
	alone      bool // no other file is read, and no user taken over
	properties properties
	config     *config.Config
	items      []*Item
	files      []File
	set        map[string]*Item // key of godwit.yaml -> who gave it its value
	broker     *Item            // the element
	books      books
	shared     *Item  // the element whose verdict all that follows shares
	within     string // path of the element whose verdict all that follows shares, or ""

	policies    []*policyDraft
	policy      *policyDraft // the policyEntry being read
	redelivery  *redeliveryDraft
	deliveries  []*redeliveryDraft
	access      access
	transports  transports
	routes      routes
	sweeps      bool     // inactive destinations are looked for
	failsAtOnce bool     // the element being read has sendFailIfNoSpace
	reading     []string // files being read, so that none imports itself
}

func newImporter(folder string, o Options) *importer {
	if o.Name == "" {
		o.Name = "godwit"
	}
	im := &importer{folder: folder, options: o, config: config.Default(), set: map[string]*Item{}}
	im.properties = newProperties(im)
	im.config.Listeners = nil
	im.books = newBooks()
	return im
}

// document reads a tree: first the beans that give ${...} their values, since they may stand anywhere.
func (im *importer) document(root *node) {
	im.reading = append(im.reading, root.file)
	root.all(im.placeholderFiles)
	im.element(root, "")
	im.reading = im.reading[:len(im.reading)-1]
}

// add appends an item. Its words and value never hold what is secret.
func (im *importer) add(item Item) *Item {
	if im.within != "" {
		item.Within, item.around = im.within, im.shared
	}
	im.items = append(im.items, &item)
	return &item
}

// note adds what follows from several things, or from what is not there.
func (im *importer) note(at *Item, verdict Verdict, matters bool, key, format string, args ...any) {
	n := Item{Kind: Note, Verdict: verdict, Matters: matters, Key: key, Words: fmt.Sprintf(format, args...)}
	if at == nil {
		at = im.broker
	}
	n.File, n.Line, n.Path = at.File, at.Line, at.Path
	im.items = append(im.items, &n)
}

// fail says that something is not supported after all.
func (item *Item) fail(format string, args ...any) {
	item.Verdict, item.Matters, item.Key, item.Words = NotSupported, true, "", fmt.Sprintf(format, args...)
}

// lack says that something is not supported and does no harm.
func (item *Item) lack(format string, args ...any) {
	item.fail(format, args...)
	item.Matters = false
}

// finish puts together what several elements say, checks it all, and sorts the items.
func (im *importer) finish() error {
	im.finishTransports()
	im.finishRoutes()
	im.finishPolicies()
	im.finishAccess()
	rights := im.config.Credentials.LDAP.Rights
	if im.alone { // where the servers are is said elsewhere, and without them the check would find rights without servers
		im.config.Credentials.LDAP.Rights = config.Default().Credentials.LDAP.Rights
	}
	if err := im.check(); err != nil {
		return err
	}
	im.config.Credentials.LDAP.Rights = rights
	order := map[string]int{}
	for i, item := range im.items {
		if _, ok := order[item.File]; !ok {
			order[item.File] = i
		}
	}
	slices.SortStableFunc(im.items, func(a, b *Item) int {
		return cmp.Or(cmp.Compare(order[a.File], order[b.File]), cmp.Compare(a.Line, b.Line))
	})
	return nil
}

// check lets the configuration be checked as any other. What is wrong goes back to its default, and whoever said it is told.
func (im *importer) check() error {
	for range 100 {
		err := im.config.Validate()
		var problems config.Problems
		if err == nil || !errors.As(err, &problems) {
			return err
		}
		for _, p := range problems {
			key := im.culprit(p.Key)
			if key == "" && im.dropRoutes(p) {
				continue
			}
			if key == "" || !im.reset(key) {
				return fmt.Errorf("the imported configuration is wrong: %s", p)
			}
			im.set[key].fail("%s", p.Text)
			delete(im.set, key)
		}
	}
	return errors.New("the imported configuration does not become right")
}

// culprit is the key that was set and is to blame for a problem: the key itself, or, if that was left open, the one of the same section that is most
// like it. It is "" if there is none.
func (im *importer) culprit(key string) string {
	best, alike := "", strings.LastIndexByte(key, '.')+1
	for other := range im.set {
		n := 0
		for n < min(len(key), len(other)) && key[n] == other[n] {
			n++
		}
		if n > alike || n == alike && n > 0 && (best == "" || other < best) {
			best, alike = other, n
		}
	}
	return best
}

// reset gives a key its default again: one at the top, or one of a policy.
func (im *importer) reset(key string) bool {
	top := config.Default()
	var n int
	if _, err := fmt.Sscanf(key, "policies[%d].", &n); err == nil && n < len(im.config.Policies) {
		_, rest, _ := strings.Cut(key, "].")
		usual := im.config.NewPolicy("")
		text, ok := usual.Text(rest)
		return ok && im.config.Policies[n].Set(rest, text) == nil
	}
	text, ok := top.Text(key)
	return ok && im.config.Set(key, text) == nil
}
