package broker

import (
	"math"
	"slices"

	"github.com/godwitmq/godwit/message"
)

// dispatchGroups gives the ready entries of a backlog with message groups to consumers with credit: always the first one that
// somebody may have now.
func (b *Broker) dispatchGroups(q *backlog) {
	gs := q.groups
	for q.mask != 0 {
		e, a, wait := b.chooseGrouped(gs)
		if e == nil || wait {
			break
		}
		if e.stored.message == nil {
			b.loadGrouped(q, e)
			break
		}
		b.giveGrouped(gs, a, e)
	}
	if gs.empty() {
		q.groups = nil
		for _, a := range q.attached { // how far it has looked counts for these groups alone
			a.owned = nil
		}
	}
}

// giveGrouped gives an entry to a consumer that may have it, which makes it the owner of the entry's group.
func (b *Broker) giveGrouped(gs *groups, a *attachment, e *entry) {
	if x := e.stored.expiration; e.group == 0 || x != 0 && x <= b.now {
		b.give(a.consumer, e)
		return
	}
	g := gs.group(e)
	m := e.stored.message
	if m.GroupSequence == 1 && g.owner != nil && g.told && g.out == 0 && gs.backlog.selective == 0 { // a new group by the old name
		gs.disown(g)
		a = gs.leastOwning()
	}
	if g.owner != a {
		gs.own(g, a)
	}
	first := !g.told
	g.told = true
	b.give(a.consumer, e)
	if first {
		b.out.List[len(b.out.List)-1].FirstOfGroup = true
	}
	if m.GroupSequence < 0 {
		g.closing = true
		gs.settle(g)
	}
}

// sent says that an entry goes out.
func (gs *groups) sent(e *entry) {
	gs.group(e).out++
	e.group |= outBit
}

// chooseGrouped finds the next entry and who gets it. wait means that a body must be loaded first; it has been asked for.
func (b *Broker) chooseGrouped(gs *groups) (e *entry, a *attachment, wait bool) {
	q := gs.backlog
	if q.selective > 0 {
		return b.chooseSelective(gs)
	}
	gs.free()
	for i := 0; i < len(gs.active); i++ {
		x := gs.active[i]
		if len(x.owned.heads) == 0 {
			x.owned.active = false
			last := len(gs.active) - 1
			gs.active[i], gs.active[last] = gs.active[last], nil
			gs.active = gs.active[:last]
			i--
			continue
		}
		if q.exclusive > 0 && x != q.eligible()[0] {
			continue
		}
		if head := x.owned.heads[0].first(); x.consumer.credit() > 0 && (e == nil || placeOf(head).before(placeOf(e))) {
			e, a = head, x
		}
	}
	plain, nobodys := gs.firstPlain(), (*entry)(nil)
	if len(gs.nobodys) > 0 {
		nobodys = gs.nobodys[0].first()
	}
	switch {
	case plain != nil && (e == nil || placeOf(plain).before(placeOf(e))) && (nobodys == nil || placeOf(plain).before(placeOf(nobodys))):
		if x := q.next(); x != nil {
			return plain, x, false
		}
	case nobodys != nil && (e == nil || placeOf(nobodys).before(placeOf(e))):
		if x := gs.leastOwning(); x != nil {
			return nobodys, x, false
		}
	}
	return e, a, false
}

// free lets others have the groups of those that cannot take anything now and have lost their claim: a consumer that pulls holds a group only while it asks
// for a message or has one of the group; another one may be full for as long as the policy's lease says.
func (gs *groups) free() {
	someone := -1 // whether anybody has credit; -1: not looked for yet
	for i := len(gs.active) - 1; i >= 0; i-- {
		x := gs.active[i]
		if x.consumer.prefetch > 0 && !x.owned.lapsed || x.consumer.credit() > 0 {
			continue
		}
		if someone < 0 {
			someone = 0
			if gs.leastOwning() != nil {
				someone = 1
			}
		}
		if someone == 0 {
			return
		}
		for _, g := range slices.Clone(x.owned.heads) {
			if g.out == 0 {
				gs.disown(g)
				gs.settle(g)
			}
		}
	}
}

// leastOwning is, among the consumers of the highest priority that have credit, the one with the fewest groups; nil if nobody has credit.
func (gs *groups) leastOwning() *attachment {
	var best *attachment
	fewest := math.MaxInt
	for _, a := range gs.backlog.eligible() {
		if best != nil && a.consumer.priority < best.consumer.priority {
			break
		}
		n := 0
		if a.owned != nil {
			n = a.owned.count
		}
		if n < fewest && a.consumer.credit() > 0 {
			best, fewest = a, n
		}
	}
	return best
}

// chooseSelective does it where consumers have selectors. What the owner of a group does not select waits until another consumer can become its
// owner.
func (b *Broker) chooseSelective(gs *groups) (e *entry, a *attachment, wait bool) {
	as := gs.backlog.eligible()
	for i := range as {
		x := as[(gs.backlog.turn+i)%len(as)]
		if x.consumer.credit() <= 0 || a != nil && a.consumer.priority > x.consumer.priority {
			continue
		}
		own := x.own()
		best, wait := b.plainFor(gs, x, &own.tried)
		if wait {
			return nil, nil, true
		}
		for _, from := range [2]groupHeap{own.heads, gs.nobodys} {
			for _, g := range from {
				if best != nil && placeOf(best).before(placeOf(g.first())) {
					continue
				}
				found, wait := b.inGroup(gs, g, x)
				if wait {
					return nil, nil, true
				}
				if found != nil && (best == nil || placeOf(found).before(placeOf(best))) {
					best = found
				}
			}
		}
		if best == nil {
			best, wait = b.unselected(gs, x)
			if wait {
				return nil, nil, true
			}
		}
		if best != nil && (a == nil || x.consumer.priority > a.consumer.priority) {
			e, a = best, x
		}
	}
	if a != nil {
		gs.backlog.turn++
	}
	return e, a, false
}

// inGroup finds the first entry of a group that a consumer selects.
func (b *Broker) inGroup(gs *groups, g *group, a *attachment) (found *entry, wait bool) {
	if a.consumer.selector == nil {
		return g.first(), false
	}
	tried, known := g.tried[a]
	if !known {
		tried = place{priority: 10}
	}
	found, wait = b.suits(gs, &g.waiting, a, &tried)
	if g.tried == nil {
		g.tried = map[*attachment]place{}
	}
	g.tried[a] = tried
	return found, wait
}

// unselected finds an entry of another consumer's group that nothing is out of, and in which its owner, having credit, selects nothing.
func (b *Broker) unselected(gs *groups, a *attachment) (found *entry, wait bool) {
	for _, owner := range gs.active {
		if owner == a || owner.consumer.selector == nil || owner.consumer.credit() <= 0 {
			continue
		}
		for _, g := range owner.owned.heads {
			if g.out > 0 {
				continue
			}
			if theirs, wait := b.inGroup(gs, g, owner); theirs != nil || wait {
				if wait {
					return nil, true
				}
				continue
			}
			if found, wait = b.inGroup(gs, g, a); found != nil || wait {
				return found, wait
			}
		}
	}
	return nil, false
}

// plainFor finds the first ready entry without a group behind tried that a consumer selects, and moves tried on.
func (b *Broker) plainFor(gs *groups, a *attachment, tried *place) (found *entry, wait bool) {
	for e := gs.firstPlain(); e != nil; e = gs.backlog.following(e) {
		if e.group != 0 || placeOf(e).before(*tried) {
			continue
		}
		*tried = placeOf(e)
		if found, wait = b.suitsOne(gs, a, e); found != nil || wait {
			return found, wait
		}
		tried.sequence++ // not that one again: its body may leave memory
	}
	return nil, false
}

// suits finds the first ready entry of a list behind tried that a consumer selects, and moves tried on.
func (b *Broker) suits(gs *groups, l *readyList, a *attachment, tried *place) (found *entry, wait bool) {
	all := l.all()
	for i := l.from(*tried); i < len(all); i++ {
		e := all[i]
		if e.state != ready {
			continue
		}
		*tried = placeOf(e)
		if found, wait = b.suitsOne(gs, a, e); found != nil || wait {
			return found, wait
		}
		tried.sequence++ // not that one again: its body may leave memory
	}
	return nil, false
}

// suitsOne gives e back if a consumer selects it.
func (b *Broker) suitsOne(gs *groups, a *attachment, e *entry) (found *entry, wait bool) {
	m := e.stored.message
	switch {
	case a.consumer.selector == nil:
		return e, false
	case m == nil:
		b.loadGrouped(gs.backlog, e)
		return nil, true
	case a.consumer.selector.Matches(message.Delivered{Message: m, Redeliveries: int(e.redeliveries)}):
		return e, false
	case e.stored.inLog() && b.crowded(e.stored) && e.stored.position != 0:
		b.uncache(e.stored)
	}
	return nil, false
}

// How far loadGrouped looks for what will be wanted next.
const loadAhead = 4096

// loadGrouped asks for the body of e and of those after it whose turn comes soon: bodies of messages for consumers without credit would only take memory.
func (b *Broker) loadGrouped(q *backlog, e *entry) {
	if q.loading {
		return
	}
	q.loading = true
	l := &load{backlog: q}
	size := 0
	wanted := map[*attachment]int{}
	for n := 0; e != nil && n < loadAhead && len(l.stored) < loadMessages && size < loadBytes; n++ {
		next := q.following(e)
		if e.stored.message == nil && (len(l.stored) == 0 || q.groups.soon(e, wanted)) {
			l.stored = append(l.stored, e.stored)
			size += int(e.stored.size)
		}
		e = next
	}
	b.ask(l)
}

// soon says whether an entry's turn may come with the credit that its group's owner has now, of which wanted is spoken for.
func (gs *groups) soon(e *entry, wanted map[*attachment]int) bool {
	if e.group == 0 {
		return true
	}
	a := gs.group(e).owner
	if a == nil {
		return true
	}
	wanted[a]++
	return wanted[a] <= a.consumer.credit()
}
