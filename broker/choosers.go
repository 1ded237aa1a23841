package broker

import (
	"slices"

	"github.com/godwitmq/godwit/message"
)

// choosers are the consumers of a backlog of whom at least one has a selector, in the order in which they choose: by consumer priority, equals by
// turns.
type choosers struct {
	all  []*chooser
	turn int
}

// chooser is one who takes a turn: all consumers without a selector, one with a selector that must be tried on each message, or all whose
// selectors demand that one property be equal to something. Those share an index: a message is looked up, not tried on each.
type chooser struct {
	priority int
	members  []*attachment // of the first two kinds
	turn     int           // who of the members is next
	index    *selectorIndex
}

// choose gives an attachment its place among the choosers.
func (q *backlog) choose(a *attachment) {
	if q.choosers == nil {
		q.choosers = &choosers{}
		for _, x := range q.attached {
			q.choosers.add(x)
		}
		return
	}
	q.choosers.add(a)
}

func (cs *choosers) add(a *attachment) {
	c := a.consumer
	i := 0
	if c.selector == nil {
		i = cs.place(c.priority, func(x *chooser) bool { return x.index == nil && x.members[0].consumer.selector == nil })
		a.chooser = cs.all[i]
		a.chooser.members = append(a.chooser.members, a)
		return
	}
	if e := cs.equality(c); e != nil && !c.exclusive {
		converts := c.selector.Converts()
		i = cs.place(c.priority, func(x *chooser) bool { return x.index != nil && x.index.name == e.Name && x.index.converts == converts })
		a.chooser = cs.all[i]
		if a.chooser.index == nil {
			a.chooser.index = newSelectorIndex(a.backlog, e.Name, converts)
		}
		a.chooser.index.join(a, e)
		return
	}
	i = cs.place(c.priority, func(*chooser) bool { return false })
	a.chooser = cs.all[i]
	a.chooser.members = append(a.chooser.members, a)
}

// place finds the chooser of a priority that fits, or makes one behind its equals.
func (cs *choosers) place(priority int, fits func(*chooser) bool) int {
	i := 0
	for ; i < len(cs.all) && cs.all[i].priority >= priority; i++ {
		if cs.all[i].priority == priority && fits(cs.all[i]) {
			return i
		}
	}
	cs.all = slices.Insert(cs.all, i, &chooser{priority: priority})
	return i
}

// drop takes an attachment out.
func (cs *choosers) drop(a *attachment) {
	x := a.chooser
	a.chooser = nil
	empty := false
	if x.index != nil {
		x.index.leave(a)
		empty = x.index.members == 0
	} else {
		x.members = slices.DeleteFunc(x.members, func(y *attachment) bool { return y == a })
		x.turn = 0
		empty = len(x.members) == 0
	}
	if empty {
		cs.all = slices.DeleteFunc(cs.all, func(y *chooser) bool { return y == x })
	}
}

// dispatchSelective does what dispatch does where consumers have selectors: each looks for its next match from where it
// stopped, so that nobody's non-matching messages stand in another's way.
func (b *Broker) dispatchSelective(q *backlog) {
	if as := q.eligible(); len(as) == 1 && as[0].consumer.exclusive {
		for q.mask != 0 && as[0].consumer.credit() > 0 {
			e, wait := b.match(as[0])
			if e == nil || wait {
				return
			}
			b.give(as[0].consumer, e)
		}
		return
	}
	cs := q.choosers
	for fed := true; fed && q.mask != 0; cs.turn++ {
		fed = false
		for from := 0; from < len(cs.all) && !fed; { // a lower priority only when the higher want no more
			to := from + 1
			for to < len(cs.all) && cs.all[to].priority == cs.all[from].priority {
				to++
			}
			for i := range to - from {
				got, wait := b.feed(q, cs.all[from+(cs.turn+i)%(to-from)])
				if wait {
					return
				}
				fed = fed || got
			}
			from = to
		}
	}
}

// feed gives a chooser one message, if it takes any. wait means that a body must be loaded first; it has been asked for.
func (b *Broker) feed(q *backlog, x *chooser) (fed, wait bool) {
	if x.index != nil {
		return b.feedIndexed(x.index)
	}
	for i := range x.members {
		a := x.members[(x.turn+i)%len(x.members)]
		if a.consumer.credit() <= 0 {
			continue
		}
		e, wait := b.match(a)
		if wait || e == nil {
			return false, wait
		}
		x.turn = (x.turn + i + 1) % len(x.members)
		b.give(a.consumer, e)
		return true, false
	}
	return false, false
}

// match finds the next ready entry for a consumer. wait means that a body must be loaded first; it has been asked for.
func (b *Broker) match(a *attachment) (found *entry, wait bool) {
	q := a.backlog
	if a.consumer.selector == nil {
		e := q.front()
		if e != nil && e.stored.message == nil {
			b.load(q, e)
			return nil, true
		}
		return e, false
	}
	for p := 9; p >= 0; p-- {
		if q.mask&(1<<p) == 0 {
			continue
		}
		e := q.lists[p].head
		if s := a.scanned[p]; s != nil {
			e = s.next
		}
		for ; e != nil; e = e.next {
			m := e.stored.message
			if m == nil {
				b.load(q, e)
				return nil, true
			}
			if a.consumer.selector.Matches(message.Delivered{Message: m, Redeliveries: int(e.redeliveries)}) {
				return e, false
			}
			a.scanned[p] = e
			b.uncacheIfCrowded(e.stored)
		}
	}
	return nil, false
}

// uncacheIfCrowded drops a body that was only looked at, if memory is short.
func (b *Broker) uncacheIfCrowded(s *stored) {
	if s.inLog() && s.position != 0 && b.crowded(s) {
		b.uncache(s)
	}
}

// returned keeps cursors right when e has come back among the ready entries, removed when it goes.
func (cs *choosers) returned(e *entry) {
	p := e.stored.priority
	for _, x := range cs.all {
		for _, a := range x.members {
			if s := a.scanned[p]; s != nil && s.stored.sequence > e.stored.sequence {
				a.scanned[p] = e.prev
			}
		}
		if ix := x.index; ix != nil {
			if s := ix.scanned[p]; s != nil && s.stored.sequence > e.stored.sequence {
				ix.again = append(ix.again, e)
			}
		}
	}
}

func (cs *choosers) removed(e *entry) {
	p := e.stored.priority
	for _, x := range cs.all {
		if len(x.members) > 0 && x.members[0].consumer.selector != nil {
			for _, a := range x.members {
				if a.scanned[p] == e {
					a.scanned[p] = e.prev
				}
			}
		}
		if x.index != nil && x.index.scanned[p] == e {
			x.index.scanned[p] = e.prev
		}
	}
}
