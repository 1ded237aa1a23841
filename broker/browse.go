package broker

import (
	"cmp"
	"slices"

	"github.com/godwitmq/godwit/message"
)

// browsing is what a browser is still to be shown of one backlog: what was there when it began, as far as it is still there. Of what waits, it knows
// the next and the newest, so that it costs the same however long the backlog is. Pointers it has only to what is not in its place among those: what was at consumers
// at the beginning, and what went to them since. backlog.remove keeps it right.
type browsing struct {
	queue     *backlog
	until     uint64   // sequence of the newest message at the beginning
	priority  int      // of the list that it is in; -1: it is through with all
	next      *entry   // in that list; nil: it is through with it
	aside     []*entry // in the order in which they are shown
	compactAt int      // how long aside may be before it is looked what of it is gone
	limit     int      // how many more it may be shown; negative: all
}

// browse gives a browser as much as its window takes. What it is to be shown is settled at the first call.
func (b *Broker) browse(c *consumer) {
	if !c.begun {
		c.begun = true
		for _, q := range c.backlogs {
			c.browse = append(c.browse, b.newBrowsing(q))
		}
	}
	for len(c.browse) > 0 {
		w := c.browse[0]
		more := b.browseOne(c, w)
		b.walked(w.queue)
		if more {
			return
		}
		b.endBrowsing(w)
		c.browse = c.browse[1:]
	}
	if !c.browsed {
		b.endBrowse(c)
		b.tell(Effect{Conn: c.conn.id, Kind: EndOfBrowse, Consumer: c.id, hold: true})
	}
}

// browseOne shows what there is of one backlog, as much as the browser's window takes, and says whether there is more.
func (b *Broker) browseOne(c *consumer, w *browsing) (more bool) {
	for e := w.first(b.now); e != nil; e = w.first(b.now) {
		if c.credit() <= 0 && (c.prefetch != 0 || c.conn.throttled) {
			return true
		}
		m := e.stored.message
		if m == nil {
			b.loadFor(w, c)
			return true
		}
		w.pass(e)
		w.count()
		b.show(c, e, e.backlog.seen(m))
	}
	return false
}

func (b *Broker) newBrowsing(q *backlog) *browsing {
	w := &browsing{queue: q, until: b.sequence, priority: len(q.lists) - 1, compactAt: 64, limit: -1}
	if limit := b.policy(q).Consumers.MaxBrowse; limit > 0 {
		w.limit = limit
	}
	w.next = q.lists[w.priority].head
	if q.size > q.ready {
		w.aside = b.entriesElsewhere(nil, q)
		slices.SortStableFunc(w.aside, inOrder)
	}
	q.browsed = append(q.browsed, w)
	return w
}

// inOrder compares two entries of a backlog by priority and sequence.
func inOrder(x, y *entry) int {
	return cmp.Or(cmp.Compare(y.stored.priority, x.stored.priority), cmp.Compare(x.stored.sequence, y.stored.sequence))
}

// endBrowse lets go of what a browser was to be shown.
func (b *Broker) endBrowse(c *consumer) {
	for _, w := range c.browse {
		b.endBrowsing(w)
	}
	c.backlogs, c.browse, c.browsed = nil, nil, true
}

func (b *Broker) endBrowsing(w *browsing) {
	q := w.queue
	if q.browsed = slices.DeleteFunc(q.browsed, func(x *browsing) bool { return x == w }); len(q.browsed) == 0 {
		q.browsed = nil
	}
	w.next, w.aside = nil, nil
}

// first gives what is to be shown next, and lets go of what is not there any more; nil if there is nothing.
func (w *browsing) first(now int64) *entry {
	if w.queue.removed || w.limit == 0 {
		return nil
	}
	for {
		e := w.peek()
		if e == nil {
			return nil
		}
		if x := e.stored.expiration; e.state == gone || e.state == dying || e.state == settling && e.consumer == nil || x != 0 && x <= now {
			w.pass(e)
			continue
		}
		return e
	}
}

// peek gives the next of the list or the next of those aside, whichever comes first.
func (w *browsing) peek() *entry {
	for w.priority >= 0 && (w.next == nil || w.next.stored.sequence > w.until) {
		if w.priority--; w.priority >= 0 {
			w.next = w.queue.lists[w.priority].head
		} else {
			w.next = nil
		}
	}
	switch {
	case len(w.aside) == 0:
		return w.next
	case w.next == nil || inOrder(w.aside[0], w.next) <= 0:
		return w.aside[0]
	}
	return w.next
}

// pass goes on behind what peek has given. What came back to its place in the list is in both.
func (w *browsing) pass(e *entry) {
	if len(w.aside) > 0 && w.aside[0] == e {
		w.aside = w.aside[1:]
	}
	if w.next == e {
		w.next = w.queue.after(e)
	}
}

// count counts one that was shown, or that the browser's selector has passed over.
func (w *browsing) count() {
	if w.limit > 0 {
		w.limit--
	}
}

// leaves is told of an entry that leaves the list of ready ones: it is still to be shown if it goes to a consumer, and nobody has seen it yet.
func (w *browsing) leaves(e *entry) {
	p := int(e.stored.priority)
	ahead := e.stored.sequence <= w.until && (p < w.priority || p == w.priority && w.next != nil && e.stored.sequence >= w.next.stored.sequence)
	if w.next == e {
		w.next = w.queue.after(e)
	}
	if !ahead || w.queue.removed {
		return
	}
	if len(w.aside) >= w.compactAt {
		w.aside = slices.DeleteFunc(w.aside, func(x *entry) bool { return x.state == gone })
		w.compactAt = 2*len(w.aside) + 64
	}
	i, there := slices.BinarySearchFunc(w.aside, e, inOrder)
	if !there {
		w.aside = slices.Insert(w.aside, i, e)
	}
}

// loadFor asks for the body that a browser needs next, and for those after it.
func (b *Broker) loadFor(w *browsing, c *consumer) {
	for _, l := range b.loads {
		if l.browser == c {
			return
		}
	}
	l := &load{browser: c}
	size := 0
	ahead := *w
	for e := ahead.first(b.now); e != nil && len(l.stored) < loadMessages && size < loadBytes; e = ahead.first(b.now) {
		if e.stored.message == nil {
			l.stored = append(l.stored, e.stored)
			size += int(e.stored.size)
		}
		ahead.pass(e)
		ahead.count()
	}
	b.ask(l)
}

// show gives a browser one message.
func (b *Broker) show(c *consumer, e *entry, m *message.Message) {
	if c.selector != nil && !c.selector.Matches(message.Delivered{Message: m, Redeliveries: int(e.redeliveries)}) {
		return
	}
	if c.prefetch > 0 {
		// A browser's window is moved by acknowledgements as any other's, but they settle nothing.
		c.dispatched.push(&entry{stored: e.stored, backlog: e.backlog, state: gone})
	}
	c.total++
	b.tell(Effect{Conn: c.conn.id, Kind: Delivery, Consumer: c.id, Message: m, Sequence: e.stored.sequence, Redeliveries: int(e.redeliveries),
		hold: e.stored.flags&logged != 0 && !b.durable(e.stored)})
}
