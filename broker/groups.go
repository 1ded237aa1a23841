package broker

import (
	"container/heap"
	"slices"
	"strings"
)

// Message groups: of the messages with the same JMSXGroupID only one consumer gets any, the group's owner, as long as it is there.
//
// The rule that nothing breaks: a group changes hands only while none of its messages is out, that is at a consumer, acknowledged in an open
// transaction, or on its way to the dead-letter queue. So the messages of a group are never worked on in two places, whoever comes and goes.
//
// Each ready entry of a group is in the group's ready list too, and each group with ready entries is in a heap: its owner's, or that of
// the groups nobody owns. Finding the next message is then a matter of a few heads, however many messages wait.

const (
	// maxGroups bounds the groups that are known by name while they have messages. Beyond it further names share a fixed number of groups by their
	// hash: coarser, but their order holds as well.
	maxGroups   = 100_000
	hashedNames = 1024
	// maxIdleGroups bounds the groups without messages whose owner is remembered.
	maxIdleGroups = 10_000
)

// outBit marks an entry's group number while the entry is out.
const outBit = 1 << 31

// groups are those of a backlog. A backlog has none until the first message of a group comes.
type groups struct {
	backlog *backlog
	limit   int
	table   []*group // by number less 1; nil where it is not used
	unused  []uint32
	byName  map[string]*group
	hashed  map[uint64]*group
	idle    groupRing // those without messages that have an owner, the one idle for longest first
	nobodys groupHeap
	plain   *entry        // where to look for the first ready entry without a group; nil: at the front
	noPlain bool          // there is none
	active  []*attachment // that own groups with ready entries
}

// group is one of them.
type group struct {
	number     uint32 // in the table, from 1
	name       string // "" of one that stands for several names
	hash       uint64
	waiting    readyList
	ready      int
	size       int // entries, wherever they are
	out        int
	owner      *attachment
	told       bool // the owner has been given something
	closing    bool // its last message was given: it ends when nothing is out
	heap       *groupHeap
	at         int // in heap
	next, prev *group
	tried      map[*attachment]place // up to where a consumer's selector was tried on waiting
}

// owned is what an attachment has of groups.
type owned struct {
	count   int
	surplus int // that it should give up when nothing of them is out
	heads   groupHeap
	active  bool
	tried   place // of groups.plain
	full    int64 // since when it has no credit, ms since 1970, as seen by the patrol; 0 is not known
	lapsed  bool  // it was full for longer than the policy's lease
}

// groupHeap is a heap of groups with ready entries by their first one.
type groupHeap []*group

func (h groupHeap) Len() int           { return len(h) }
func (h groupHeap) Less(i, j int) bool { return placeOf(h[i].first()).before(placeOf(h[j].first())) }
func (h groupHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = i, j
}

// Push and Pop are heap.Interface's.
func (h *groupHeap) Push(x any) {
	g := x.(*group)
	g.at = len(*h)
	*h = append(*h, g)
}

// Pop is heap.Interface's.
func (h *groupHeap) Pop() any {
	last := len(*h) - 1
	g := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return g
}

// groupRing is a list of groups in the order in which they were added.
type groupRing struct {
	first, last *group
	len         int
}

func (r *groupRing) add(g *group) {
	g.prev, g.next = r.last, nil
	if r.last != nil {
		r.last.next = g
	} else {
		r.first = g
	}
	r.last = g
	r.len++
}

func (r *groupRing) remove(g *group) {
	if g.prev != nil {
		g.prev.next = g.next
	} else if r.first == g {
		r.first = g.next
	} else {
		return // not in it
	}
	if g.next != nil {
		g.next.prev = g.prev
	} else {
		r.last = g.prev
	}
	g.next, g.prev = nil, nil
	r.len--
}

func (g *group) first() *entry { return g.waiting.first() }

// newGroups begins to keep groups for a backlog that may hold messages already.
func newGroups(q *backlog) *groups {
	return &groups{backlog: q, limit: maxGroups, byName: map[string]*group{}, hashed: map[uint64]*group{}}
}

// joinGroup puts an entry that comes to its backlog in a group.
func (q *backlog) joinGroup(e *entry, name string) {
	if q.groups == nil {
		q.groups = newGroups(q)
	}
	g := q.groups.of(name)
	g.size++
	e.group = g.number
}

// joinShared puts an entry in the group of all names with a hash.
func (q *backlog) joinShared(e *entry, hash uint64) {
	if q.groups == nil {
		q.groups = newGroups(q)
	}
	g := q.groups.shared(hash % hashedNames)
	g.size++
	e.group = g.number
}

// hash is the same in each run: which names share a group must not depend on chance.
func hash(name string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(name) {
		h = (h ^ uint64(name[i])) * 1099511628211
	}
	return h % hashedNames
}

// of finds the group of a name, or makes it.
func (gs *groups) of(name string) *group {
	if g := gs.byName[name]; g != nil {
		return g
	}
	h := hash(name)
	if g := gs.hashed[h]; g != nil && g.size > 0 { // it may have messages of this name
		return g
	}
	if len(gs.byName) >= gs.limit {
		if gs.idle.first != nil {
			gs.forget(gs.idle.first)
		} else {
			return gs.shared(h)
		}
	}
	g := gs.add(&group{name: strings.Clone(name)}) // the name is a part of a message, which would stay in memory with it
	gs.byName[g.name] = g
	return g
}

// shared is the group of all names with a hash.
func (gs *groups) shared(h uint64) *group {
	g := gs.hashed[h]
	if g == nil {
		g = gs.add(&group{hash: h})
		gs.hashed[h] = g
	}
	return g
}

func (gs *groups) add(g *group) *group {
	if n := len(gs.unused); n > 0 {
		g.number = gs.unused[n-1]
		gs.unused = gs.unused[:n-1]
		gs.table[g.number-1] = g
		return g
	}
	gs.table = append(gs.table, g)
	g.number = uint32(len(gs.table))
	return g
}

// forget ends a group without messages.
func (gs *groups) forget(g *group) {
	gs.idle.remove(g)
	gs.disown(g)
	if g.name != "" {
		delete(gs.byName, g.name)
	} else {
		delete(gs.hashed, g.hash)
	}
	gs.table[g.number-1] = nil
	gs.unused = append(gs.unused, g.number)
}

func (gs *groups) empty() bool { return len(gs.byName) == 0 && len(gs.hashed) == 0 }

func (gs *groups) group(e *entry) *group { return gs.table[e.group&^outBit-1] }

// firstPlain is the first ready entry without a group, or nil. All before gs.plain are in groups: each is passed over once.
func (gs *groups) firstPlain() *entry {
	q := gs.backlog
	if gs.plain == nil && !gs.noPlain {
		gs.plain = q.following(nil)
	}
	for gs.plain != nil && gs.plain.group != 0 {
		gs.plain = q.following(gs.plain)
	}
	gs.noPlain = gs.plain == nil
	return gs.plain
}

// returned says that an entry has become ready; removed, that one is about to leave the list of those that are.
func (gs *groups) returned(e *entry) {
	if e.group == 0 {
		p := placeOf(e)
		if gs.noPlain || gs.plain != nil && p.before(placeOf(gs.plain)) {
			gs.plain, gs.noPlain = e, false
		}
		for _, a := range gs.backlog.attached {
			if a.owned != nil && p.before(a.owned.tried) {
				a.owned.tried = p
			}
		}
		return
	}
	g := gs.group(e)
	g.ready++
	g.waiting.add(e)
	p := placeOf(e)
	for a, tried := range g.tried {
		if p.before(tried) {
			g.tried[a] = p
		}
	}
	gs.leaveOut(e, g)
	gs.settle(g)
}

func (gs *groups) removed(e *entry) {
	if e == gs.plain {
		gs.plain = gs.backlog.following(e)
		gs.noPlain = gs.plain == nil
	}
	if e.group == 0 {
		return
	}
	g := gs.group(e)
	g.ready--
	g.waiting.take(e)
	gs.settle(g)
}

// take removes an entry that was ready.
func (l *readyList) take(e *entry) {
	if l.first() == e {
		l.buf[l.head] = nil
		l.head++
		return
	}
	l.removed()
}

// leaveOut says that an entry is not out any more, if it was.
func (gs *groups) leaveOut(e *entry, g *group) {
	if e.group&outBit != 0 {
		e.group &^= outBit
		g.out--
	}
}

// parked says that an entry waits for its time: it is not out, but not ready either.
func (gs *groups) parked(e *entry) {
	if e.group != 0 {
		g := gs.group(e)
		gs.leaveOut(e, g)
		gs.settle(g)
	}
}

// ended says that an entry is gone.
func (gs *groups) ended(e *entry) {
	if e.group == 0 {
		return
	}
	g := gs.group(e)
	gs.leaveOut(e, g)
	g.size--
	e.group = 0
	gs.settle(g)
}

// settle brings a group to where it belongs after something about it has changed.
func (gs *groups) settle(g *group) {
	if g.out == 0 && g.owner != nil && (g.closing || g.owner.owned.surplus > 0) {
		if !g.closing {
			g.owner.owned.surplus--
		}
		gs.disown(g)
	}
	var to *groupHeap
	switch {
	case g.ready == 0:
	case g.owner != nil && !g.closing:
		to = &g.owner.owned.heads
	case g.owner == nil && g.out == 0:
		to = &gs.nobodys
	}
	switch {
	case g.heap == to && to != nil:
		heap.Fix(to, g.at)
	case g.heap != to:
		if g.heap != nil {
			heap.Remove(g.heap, g.at)
		}
		if g.heap = to; to != nil {
			heap.Push(to, g)
		}
	}
	if g.owner != nil && g.ready > 0 && !g.owner.owned.active {
		g.owner.owned.active = true
		gs.active = append(gs.active, g.owner)
	}
	gs.rest(g)
}

// rest sees to a group that has lost its last message, or got its first.
func (gs *groups) rest(g *group) {
	gs.idle.remove(g)
	if g.size > 0 {
		return
	}
	if g.owner == nil {
		gs.forget(g)
		return
	}
	gs.idle.add(g)
	if gs.idle.len > maxIdleGroups {
		gs.forget(gs.idle.first)
	}
}

// own makes a consumer a group's owner. It is about to be given one of its entries, after which the group is settled.
func (gs *groups) own(g *group, a *attachment) {
	gs.disown(g)
	g.owner = a
	a.own().count++
}

func (gs *groups) disown(g *group) {
	if g.owner == nil {
		return
	}
	if g.heap == &g.owner.owned.heads {
		heap.Remove(g.heap, g.at)
		g.heap = nil
	}
	g.owner.owned.count--
	g.owner, g.told, g.closing = nil, false, false
}

func (a *attachment) own() *owned {
	if a.owned == nil {
		a.owned = &owned{tried: place{priority: 10}}
	}
	return a.owned
}

// joined gives a new consumer its share: of the groups of those that have more, as soon as nothing of them is out.
func (gs *groups) joined(sticky bool) {
	as := gs.backlog.eligible()
	total := 0
	for _, a := range gs.backlog.attached {
		if a.owned != nil {
			a.owned.surplus = 0
			total += a.owned.count
		}
	}
	fair := (total + len(as) - 1) / len(as)
	for _, a := range gs.backlog.attached {
		switch {
		case a.owned == nil:
		case !slices.Contains(as, a):
			a.owned.surplus = a.owned.count // another one is exclusive
		case !sticky && a.owned.count > fair:
			a.owned.surplus = a.owned.count - fair
		}
	}
	gs.giveUp(func(a *attachment) bool { return a.owned.surplus > 0 })
}

// left takes the groups of a consumer that is gone.
func (gs *groups) left(a *attachment) {
	for _, x := range gs.backlog.attached {
		if x.owned != nil {
			x.owned.surplus = 0
		}
	}
	if a.owned == nil {
		return
	}
	for _, g := range gs.table {
		if g != nil {
			delete(g.tried, a)
			if g.owner == a {
				gs.disown(g)
				gs.settle(g)
			}
		}
	}
	gs.active = slices.DeleteFunc(gs.active, func(x *attachment) bool { return x == a })
}

// giveUp has groups of which nothing is out change hands, where their owner is one of those meant.
func (gs *groups) giveUp(from func(*attachment) bool) {
	for _, g := range gs.table {
		if g != nil && g.owner != nil && g.out == 0 && from(g.owner) {
			if g.owner.owned.surplus > 0 {
				g.owner.owned.surplus--
			}
			gs.disown(g)
			gs.settle(g)
		}
	}
}

// tidyGroups ends, after the replay, what only one consumer at a time can have: the kind of a backlog may be known late.
func (q *backlog) tidyGroups() {
	switch {
	case q.groups == nil:
	case !q.shares:
		for e := q.following(nil); e != nil; e = q.following(e) {
			e.group = 0
		}
		q.groups = nil
	case q.groups.empty():
		q.groups = nil
	}
}
