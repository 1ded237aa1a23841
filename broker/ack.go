package broker

import "fmt"

// ack settles deliveries as the kind says.
func (b *Broker) ack(ev *Ack) {
	c := b.consumer(ev.Conn, ev.Consumer)
	if c == nil {
		b.answer(ev.Conn, ev.Ref, nil)
		return
	}
	from, to, err := c.span(ev)
	if ev.Kind == Redelivered && err != nil {
		b.answer(ev.Conn, ev.Ref, nil)
		return
	}
	if err != nil {
		if tx := c.conn.transactions[ev.Tx]; ev.Tx != 0 && tx != nil {
			tx.fail(err)
		}
		b.answer(ev.Conn, ev.Ref, err)
		return
	}
	entries := append(b.scratch.acked[:0], c.dispatched.all()[from:to]...)
	switch {
	case ev.Kind == Delivered:
		for _, e := range entries {
			c.see(e)
		}
	case ev.Kind == Redelivered:
		for _, e := range entries {
			e.shown = true
		}
	case c.about.Browser:
		c.dispatched.cut(from, to)
		for _, e := range entries {
			c.unsee(e)
		}
	case ev.Tx != 0 && ev.Kind == Consumed:
		b.ackInTx(c, ev, entries)
	default:
		b.ackNow(c, ev, from, to, entries)
	}
	clear(entries)
	b.scratch.acked = entries[:0]
	b.answer(ev.Conn, ev.Ref, nil)
	b.wake(c)
}

// span finds which deliveries an acknowledgement is about, as indexes in c.dispatched.
func (c *consumer) span(ev *Ack) (from, to int, err *Error) {
	if ev.Kind == Delivered && ev.Last == 0 {
		return 0, min(max(ev.Count, 0), c.dispatched.len()), nil
	}
	last := c.dispatched.index(ev.Last)
	from = last
	if !ev.Single {
		from = 0
		if ev.First != 0 && ev.First != ev.Last {
			from = c.dispatched.index(ev.First)
		} else if ev.First == ev.Last && ev.Count == 1 {
			from = last
		}
	}
	if last < 0 || from < 0 || from > last {
		return 0, 0, &Error{Code: NotFound, Op: "acknowledge", Detail: fmt.Sprintf("Unmatched acknowledge: Could not find Message-ID range %d-%d in dispatched-list (%d messages)", ev.First, ev.Last, c.dispatched.len())}
	}
	return from, last + 1, nil
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
		b.settleAll(entries)
	case Poison:
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
