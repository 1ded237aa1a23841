package broker

import (
	"fmt"
	"math"
	"slices"
)

// ack settles deliveries as the kind says.
func (b *Broker) ack(ev *Ack) {
	c := b.consumer(ev.Conn, ev.Consumer)
	if c == nil {
		b.answer(ev.Conn, ev.Ref, nil)
		return
	}
	if ev.Tx != 0 && ev.Kind == Consumed && !c.about.Browser {
		b.ackInTx(c, ev)
		return
	}
	from, to, err := c.span(ev)
	if err != nil && ev.Again && ev.Kind == Consumed {
		if found := b.early(c, ev); found != nil { // it is as true as one that came in time
			for _, e := range found {
				c.forget(e)
			}
			c.acked += uint64(len(found))
			b.settleAll(found)
			b.wake(c)
		}
	}
	if err != nil && (ev.Again || ev.Kind == Redelivered || ev.Kind == Delivered || ev.Kind == Duplicate) {
		b.answer(ev.Conn, ev.Ref, nil)
		return
	}
	if err != nil {
		b.answer(ev.Conn, ev.Ref, err)
		return
	}
	entries := append(b.scratch.acked[:0], c.dispatched.all()[from:to]...)
	b.heard(c, len(entries))
	switch {
	case ev.Kind == Delivered:
		for _, e := range entries {
			c.see(e)
		}
	case ev.Kind == Redelivered:
		for _, e := range entries {
			e.marks |= shown
		}
	case ev.Kind == Duplicate && !slices.ContainsFunc(entries, func(e *entry) bool { return e.redeliveries == 0 }):
		for _, e := range entries {
			c.see(e)
		}
	case c.about.Browser:
		c.dispatched.cut(from, to)
		for _, e := range entries {
			c.unsee(e)
		}
	default:
		b.ackNow(c, ev, from, to, entries)
	}
	b.scratch.acked = forget(entries)
	b.answer(ev.Conn, ev.Ref, nil)
	b.wake(c)
}

// forget empties a list for its next use.
func forget(entries []*entry) []*entry {
	clear(entries)
	return entries[:0]
}

// span finds which deliveries an acknowledgement is about, as indexes in c.dispatched.
func (c *consumer) span(ev *Ack) (from, to int, err *Error) {
	if ev.Kind == Delivered && ev.Last == 0 {
		return 0, min(max(ev.Count, 0), c.dispatched.len()), nil
	}
	from, last := c.ends(ev)
	if last < 0 || from < 0 || from > last {
		return 0, 0, c.unmatched(ev)
	}
	return from, last + 1, nil
}

// ends gives the indexes of the first and the last delivery that an acknowledgement names; -1 for one that is not there.
func (c *consumer) ends(ev *Ack) (first, last int) {
	last = c.dispatched.index(ev.Last)
	switch {
	case ev.Single || ev.First == ev.Last && ev.Count == 1:
		return last, last
	case ev.First != 0 && ev.First != ev.Last:
		return c.dispatched.index(ev.First), last
	}
	return 0, last
}

func (c *consumer) unmatched(ev *Ack) *Error {
	return &Error{Code: NotFound, Op: "acknowledge", Detail: fmt.Sprintf("Unmatched acknowledge: Could not find Message-ID range %d-%d in dispatched-list (%d messages)", ev.First, ev.Last, c.dispatched.len())}
}

// delivered appends what a transaction's acknowledgement of Count deliveries is about. As a rule that is all from the first to the last in the
// order of dispatch. A client that came back after a failover in the middle of a transaction has an order of its own: what it had delivered
// before stays delivered when it comes again, among others that it has not taken yet, and what is rolled back there comes before what was dispatched
// earlier. So when the range holds fewer than Count, or runs backwards, it is filled up with what the client has said it had
// delivered, and with what was dispatched before the range.
func (c *consumer) delivered(to []*entry, ev *Ack) ([]*entry, *Error) {
	first, last := c.ends(ev)
	if first < 0 || last < 0 {
		return to, c.unmatched(ev)
	}
	all := c.dispatched.all()
	if first > last {
		to = appendDispatched(to, all[:last+1], math.MaxInt, nil)
	} else if to = appendDispatched(to, all[first:last+1], math.MaxInt, nil); ev.Single || len(to) >= ev.Count {
		return to, nil
	}
	to = appendDispatched(to, all[last+1:], ev.Count, func(e *entry) bool { return e.seen || e.is(shown) || e == all[first] })
	switch {
	case first <= last:
		return appendDispatched(to, all[:first], ev.Count, nil), nil
	case len(to) != ev.Count:
		return to, c.unmatched(ev)
	}
	return to, nil
}

// maxEarlyLooks bounds the entries that early looks at in each backlog: what comes again waits at its front.
const maxEarlyLooks = 20_000

// early finds what a transaction's acknowledgement is about that a client repeats after a failover, before its consumer has been given the messages again: those
// of the named sequences, in the consumer's hands or waiting in its backlogs, if they may have been delivered before and are as many as it says. The client will not
// acknowledge them once more, so what still waits is taken to the consumer without being shown to it. nil: they are not all there.
func (b *Broker) early(c *consumer, ev *Ack) (found []*entry) {
	first, count := ev.First, ev.Count
	if ev.Single || first == 0 {
		first, count = ev.Last, 1
	}
	named := func(e *entry) bool {
		return e.stored.sequence >= first && e.stored.sequence <= ev.Last && e.redeliveries > 0
	}
	for _, e := range c.dispatched.all() {
		if e.state == dispatched && named(e) {
			found = append(found, e)
		}
	}
	for _, q := range c.backlogs {
		looks := maxEarlyLooks
		for p := range q.lists {
			for e := q.lists[p].head; e != nil && looks > 0; e = e.next {
				if looks--; e.state == ready && e.group == 0 && named(e) { // what is in a pack was never given to anybody
					found = append(found, e)
				}
			}
		}
	}
	if len(found) != count {
		return nil
	}
	for _, e := range found {
		if e.state == ready {
			b.hand(c, e)
		}
	}
	return found
}

// appendDispatched appends entries that no transaction has acknowledged and that which wants (nil wants all), until there are so many.
func appendDispatched(to, from []*entry, limit int, which func(*entry) bool) []*entry {
	for _, e := range from {
		if len(to) < limit && e.state == dispatched && (which == nil || which(e)) {
			to = append(to, e)
		}
	}
	return to
}

// ackNow does an acknowledgement outside a transaction. Entries that an open transaction has acknowledged stay.
func (b *Broker) ackNow(c *consumer, ev *Ack, from, to int, entries []*entry) {
	n := 0
	kept := 0
	for _, e := range entries {
		if e.state == settling {
			kept++
			continue
		}
		c.gone(e)
		entries[n] = e
		n++
	}
	if kept == 0 {
		c.dispatched.cut(from, to)
	} else {
		for i := to - 1; i >= from; i-- {
			if c.dispatched.all()[i].state != settling {
				c.dispatched.cut(i, i+1)
			}
		}
	}
	entries = entries[:n]
	switch ev.Kind {
	case Consumed:
		c.acked += uint64(n)
		if b.messageAdvisories {
			for _, e := range entries {
				b.adviseSettled(e)
			}
		}
		b.settleAll(entries)
	case Poison, Duplicate:
		for _, e := range entries {
			b.poison(e, ev.Cause)
		}
	case Expired:
		for _, e := range entries {
			b.expire(e)
		}
	case Released:
		for _, e := range entries {
			e.raise()
		}
		b.giveBack(append([]*entry(nil), entries...))
	}
}

// settleAll settles entries with one record for each run of the same backlog.
func (b *Broker) settleAll(entries []*entry) {
	for len(entries) > 0 {
		q := entries[0].backlog
		n := 0
		allLogged := true
		for n < len(entries) && n < maxSequences && entries[n].backlog == q {
			allLogged = allLogged && entries[n].stored.flags&logged != 0
			n++
		}
		switch {
		case q.id == 0:
		case allLogged:
			b.emitSequences(recordAck, nil, q, entries[:n])
		default:
			for _, e := range entries[:n] {
				if e.stored.flags&logged != 0 {
					b.emitSequences(recordAck, nil, q, []*entry{e})
				}
			}
		}
		for _, e := range entries[:n] {
			b.discard(e)
		}
		entries = entries[n:]
	}
}
