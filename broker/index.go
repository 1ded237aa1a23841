package broker

import (
	"math/bits"
	"slices"

	"github.com/godwitmq/godwit/message"
	"github.com/godwitmq/godwit/selector"
)

// selectorIndex finds who of many consumers a message is for by the value of one property. It goes through the ready entries once for all of them
// (scanned) and puts each into the queues of those whose selector it matches (alike.found); who has no credit then finds it there later.
type selectorIndex struct {
	backlog  *backlog
	name     string // of the property
	converts bool   // the selectors convert strings
	members  int
	byKey    map[selector.Key][]*alike
	bySource map[string]*alike
	// scanned is, per priority, the last ready entry that was looked at; all before it were, but for those in again.
	scanned [10]*entry
	again   []*entry // came back to a place before scanned
	// hungry are members that may have credit, and all that have; each once (attachment.hungry).
	hungry []*attachment
	// served are, per priority, those with something found that may have a member with credit, and all that have; each once.
	served [10][]*alike
	kept   int // entries in all found
}

// alike are the consumers with the same selector.
type alike struct {
	index   *selectorIndex
	source  string
	test    *selector.Selector // nil: who has the key matches
	keys    []selector.Key
	members []*attachment
	turn    int
	found   [10]found
	serving uint16 // bit p: in index.served[p]
}

// found are entries in the order of their sequence. Some may have gone meanwhile, or be there no more for this selector.
type found struct {
	list []*entry
	head int
}

func newSelectorIndex(q *backlog, name string, converts bool) *selectorIndex {
	return &selectorIndex{backlog: q, name: name, converts: converts, byKey: map[selector.Key][]*alike{}, bySource: map[string]*alike{}}
}

// equality chooses by which of the selector's equalities it is indexed: the one that tells it best from those that are there.
func (cs *choosers) equality(c *consumer) *selector.Equality {
	var best *selector.Equality
	least := 0
	for _, e := range c.selector.Equalities() {
		n := 0
		for _, x := range cs.all {
			if ix := x.index; ix != nil && ix.name == e.Name && ix.converts == c.selector.Converts() {
				for _, key := range e.Keys {
					n += len(ix.byKey[key])
				}
			}
		}
		if best == nil || n < least {
			best, least = &e, n
		}
	}
	return best
}

func (ix *selectorIndex) join(a *attachment, e *selector.Equality) {
	c := a.consumer
	source := c.selector.String()
	g := ix.bySource[source]
	if g == nil {
		g = &alike{index: ix, source: source, test: c.selector, keys: slices.Clone(e.Keys)}
		if e.Whole {
			g.test = nil
		}
		ix.bySource[source] = g
		for i, key := range g.keys {
			if !slices.Contains(g.keys[:i], key) {
				ix.byKey[key] = append(ix.byKey[key], g)
			}
		}
		// What was looked at was not looked at for these. For the others it is found again and known to be.
		ix.scanned, ix.again = [10]*entry{}, nil
	}
	g.members = append(g.members, a)
	ix.members++
	a.alike = g
	c.indexed = append(c.indexed, a)
	a.wake()
}

func (ix *selectorIndex) leave(a *attachment) {
	g := a.alike
	a.alike = nil
	a.consumer.indexed = slices.DeleteFunc(a.consumer.indexed, func(x *attachment) bool { return x == a })
	if a.hungry {
		a.hungry = false
		ix.hungry = slices.DeleteFunc(ix.hungry, func(x *attachment) bool { return x == a })
	}
	g.members = slices.DeleteFunc(g.members, func(x *attachment) bool { return x == a })
	g.turn = 0
	ix.members--
	if len(g.members) > 0 {
		return
	}
	delete(ix.bySource, g.source)
	for _, key := range g.keys {
		rest := slices.DeleteFunc(ix.byKey[key], func(x *alike) bool { return x == g })
		if ix.byKey[key] = rest; len(rest) == 0 {
			delete(ix.byKey, key)
		}
	}
	for p := range g.found {
		ix.kept -= g.found[p].len()
		if g.serving>>p&1 == 1 {
			ix.served[p] = slices.DeleteFunc(ix.served[p], func(x *alike) bool { return x == g })
		}
	}
}

// wakeIndexed is called whenever the consumer's credit may have grown: who is indexed is not asked for it with every message.
func (c *consumer) wakeIndexed() {
	for _, a := range c.indexed {
		a.wake()
	}
}

func (a *attachment) wake() {
	g := a.alike
	if !a.hungry {
		a.hungry = true
		g.index.hungry = append(g.index.hungry, a)
	}
	for p := range g.found {
		if g.found[p].len() > 0 {
			g.serve(p)
		}
	}
}

func (g *alike) serve(p int) {
	if g.serving>>p&1 == 0 {
		g.serving |= 1 << p
		g.index.served[p] = append(g.index.served[p], g)
	}
}

// starving says whether a member has credit.
func (ix *selectorIndex) starving() bool {
	for n := len(ix.hungry); n > 0; n = len(ix.hungry) {
		a := ix.hungry[n-1]
		if a.consumer.credit() > 0 {
			return true
		}
		a.hungry = false
		ix.hungry = ix.hungry[:n-1]
	}
	return false
}

// feedIndexed gives one message to one member, if there is any for any with credit.
func (b *Broker) feedIndexed(ix *selectorIndex) (fed, wait bool) {
	q := ix.backlog
	if !ix.starving() {
		return false, false
	}
	for n := len(ix.again); n > 0; n = len(ix.again) {
		e := ix.again[n-1]
		if e.state == ready {
			if b.sort(ix, e) {
				return false, true
			}
			b.uncacheIfCrowded(e.stored)
		}
		ix.again = ix.again[:n-1]
	}
	if ix.kept > 2*q.ready+1024 {
		ix.sweep()
	}
	for mask := q.mask; mask != 0; {
		p := bits.Len16(mask) - 1
		mask &^= 1 << p
		fed, wait = b.feedFound(ix, p)
		for !fed && !wait {
			e := q.lists[p].head
			if s := ix.scanned[p]; s != nil {
				e = s.next
			}
			if e == nil {
				break
			}
			if b.sort(ix, e) {
				return false, true
			}
			ix.scanned[p] = e
			if fed, wait = b.feedFound(ix, p); e.state == ready {
				b.uncacheIfCrowded(e.stored)
			}
		}
		if fed || wait {
			return fed, wait
		}
	}
	return false, false
}

// sort puts an entry into the queues of those that it is for. wait means that its body must be loaded first; it has been asked for.
func (b *Broker) sort(ix *selectorIndex, e *entry) (wait bool) {
	m := e.stored.message
	if m == nil {
		b.load(ix.backlog, e)
		return true
	}
	d := message.Delivered{Message: m, Redeliveries: int(e.redeliveries)}
	key, ok := selector.KeyOf(d.Value(ix.name), ix.converts)
	if !ok {
		return false
	}
	p := int(e.stored.priority)
	for _, g := range ix.byKey[key] {
		if (g.test == nil || g.test.Matches(d)) && g.found[p].insert(e) {
			ix.kept++
			g.serve(p)
		}
	}
	return false
}

// feedFound gives the first message of a priority that was found for a member with credit.
func (b *Broker) feedFound(ix *selectorIndex, p int) (fed, wait bool) {
	for len(ix.served[p]) > 0 {
		g := ix.served[p][0]
		e := g.first(p)
		var a *attachment
		if e != nil {
			a = g.next()
		}
		if a == nil { // nothing is left, or nobody has credit: wake brings it back
			g.serving &^= 1 << p
			ix.served[p] = slices.Delete(ix.served[p], 0, 1)
			continue
		}
		m := e.stored.message
		if m == nil {
			b.loadFound(ix, p)
			return false, true
		}
		if e.redeliveries > 0 && !a.consumer.selector.Matches(message.Delivered{Message: m, Redeliveries: int(e.redeliveries)}) {
			g.drop(p)
			continue
		}
		g.drop(p)
		if n := len(ix.served[p]); n > 1 { // by turns
			copy(ix.served[p], ix.served[p][1:])
			ix.served[p][n-1] = g
		}
		b.give(a.consumer, e)
		return true, false
	}
	return false, false
}

// first gives the first of what was found that is still there.
func (g *alike) first(p int) *entry {
	f := &g.found[p]
	for f.len() > 0 {
		if e := f.list[f.head]; e.state == ready {
			return e
		}
		g.drop(p)
	}
	return nil
}

func (g *alike) drop(p int) {
	f := &g.found[p]
	f.list[f.head] = nil
	f.head++
	if f.head == len(f.list) {
		f.list, f.head = f.list[:0], 0
	}
	g.index.kept--
}

// next is the member whose turn it is, of those with credit.
func (g *alike) next() *attachment {
	for i := range g.members {
		at := (g.turn + i) % len(g.members)
		if a := g.members[at]; a.consumer.credit() > 0 {
			g.turn = (at + 1) % len(g.members)
			return a
		}
	}
	return nil
}

func (f *found) len() int { return len(f.list) - f.head }

// insert puts e where its sequence says, and says whether it was not there yet.
func (f *found) insert(e *entry) bool {
	n := len(f.list)
	if n == f.head || f.list[n-1].stored.sequence < e.stored.sequence {
		if f.head > 64 && f.head*2 > n {
			n = copy(f.list, f.list[f.head:])
			clear(f.list[n:])
			f.list, f.head = f.list[:n], 0
		}
		f.list = append(f.list, e)
		return true
	}
	i, there := slices.BinarySearchFunc(f.list[f.head:], e.stored.sequence, func(x *entry, sequence uint64) int {
		return int(int64(x.stored.sequence) - int64(sequence))
	})
	if there {
		return false
	}
	f.list = slices.Insert(f.list, f.head+i, e)
	return true
}

// sweep forgets what was found and has gone another way.
func (ix *selectorIndex) sweep() {
	ix.kept = 0
	for _, g := range ix.bySource {
		for p := range g.found {
			f := &g.found[p]
			f.list = slices.DeleteFunc(slices.Delete(f.list, 0, f.head), func(e *entry) bool { return e.state != ready })
			f.head = 0
			ix.kept += len(f.list)
		}
	}
}

// loadFound asks for the bodies that are next for those with credit.
func (b *Broker) loadFound(ix *selectorIndex, p int) {
	if ix.backlog.loading {
		return
	}
	l := &load{backlog: ix.backlog}
	size := 0
	for _, g := range ix.served[p] {
		want := 0
		for _, a := range g.members {
			want += max(0, a.consumer.credit())
		}
		f := &g.found[p]
		for _, e := range f.list[f.head:] {
			if want <= 0 || len(l.stored) >= loadMessages || size >= loadBytes {
				break
			}
			if e.state != ready {
				continue
			}
			want--
			if e.stored.message == nil {
				l.stored = append(l.stored, e.stored)
				size += int(e.stored.size)
			}
		}
	}
	ix.backlog.loading = true
	b.ask(l)
}
