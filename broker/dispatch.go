package broker

import (
	"fmt"
	"slices"

	"github.com/godwitmq/godwit/message"
)

// send takes a message in: into a transaction, or at once.
func (b *Broker) send(ev *Send) {
	if conn := b.connections[ev.Conn]; conn != nil {
		b.take(conn, ev, nil)
	}
}

// take is send for a message that may have waited for room: then it has a place, and its connection may be gone.
func (b *Broker) take(conn *connection, ev *Send, waited *waitingSend) {
	b.actor = ev.Conn
	m := ev.Message
	if m.ReplyTo.Kind != message.NoDestination && b.asksStatistics(m) {
		b.answerStatistics(m)
		if ev.Ref != 0 {
			b.tell(Effect{Conn: ev.Conn, Ref: ev.Ref})
		}
		return
	}
	var tx *transaction
	switch {
	case waited != nil:
		tx = waited.tx
	case ev.Tx != 0:
		var done bool
		var err *Error
		if tx, done, err = b.work(conn, ev.Tx); done || err != nil {
			b.answer(ev.Conn, ev.Ref, err)
			return
		}
	}
	if m.Destination.Name == schedulerManagement && !b.policies.Scheduler.Off {
		b.manageSchedules(ev)
		return
	}
	op := "send to " + m.Destination.String()
	var room [4]*destination
	to, err := b.resolve(room[:0], m.Destination, op, ev.MayCreate, conn)
	var parts []part
	later := ev.Schedule != nil && !b.policies.Scheduler.Off
	switch {
	case err != nil:
	case later:
		var d *destination
		d, err = b.scheduleSend(ev, op)
		parts = append(b.scratch.parts[:0], part{to: d, message: m})
	default:
		if parts, err = b.parts(m, to, op); err == nil {
			err = b.admit(parts, op)
		}
	}
	if err == nil && tx != nil && tx.length()+len(parts) > b.opt.MaxTransaction {
		err = &Error{Code: Full, Op: op, Detail: fmt.Sprintf("the transaction has %d operations, its limit", tx.length())}
	}
	if err == nil && tx != nil && tx.end != nil && waited == nil {
		err = &Error{Code: IllegalState, Op: op, Detail: "the transaction is being ended"}
	}
	known := err == nil && ev.Resent && b.producers.seen(m.ID)
	if err == nil && !known {
		if err = b.waitForRoom(conn, tx, ev, to, parts, waited); err == errWaits {
			b.forgetParts()
			return
		}
	}
	if err != nil {
		if tx != nil {
			tx.fail(err)
		}
		if waited != nil {
			b.finish(waited, err)
		} else {
			b.answer(ev.Conn, ev.Ref, err)
		}
		return
	}
	if known {
		if tx != nil {
			tx.repeated = true
		}
		b.answer(ev.Conn, ev.Ref, nil)
		b.finish(waited, nil)
		return
	}
	hold := false
	for i := range parts {
		p := &parts[i]
		if x := p.to.policy.Expiry; x != nil && !p.to.dlq {
			p.message = x.apply(p.message, b.now)
		}
		targets := append(p.to.targets(b.scratch.targets[:0], p.message, conn), p.copies...)
		b.scratch.targets = targets
		if tx != nil {
			b.sendInTx(tx, p.message, targets, ev.Tracked)
		} else if s := b.put(p.message, targets, ev.Tracked); s != nil {
			hold = hold || s.flags&logged != 0
		}
		if b.messageAdvisories && tx == nil {
			b.adviseSent(p.to, p.message)
		}
	}
	b.forgetParts()
	if ev.Ref != 0 {
		b.tell(Effect{Conn: ev.Conn, Ref: ev.Ref, hold: hold})
	}
	if waited != nil {
		b.finish(waited, nil)
	}
}

// resolve appends the destinations that a name stands for, making them if that is allowed.
func (b *Broker) resolve(to []*destination, name message.Destination, op string, mayCreate bool, conn *connection) ([]*destination, *Error) {
	if d := b.destinations[name]; d != nil && !d.wild {
		return append(to, d), nil
	}
	parts, err := name.Parts()
	if err != nil {
		return nil, &Error{Code: InvalidDestination, Op: op, Detail: err.Error()}
	}
	for _, p := range parts {
		if p.IsPattern() {
			return nil, &Error{Code: InvalidDestination, Op: op, Detail: "a message cannot be sent to a pattern; name one destination, or several with commas between them"}
		}
		if d := b.await(p, op); d != nil {
			to = append(to, d)
			continue
		}
		d, err := b.lookup(p, op, mayCreate, conn.about.User)
		if err != nil {
			return nil, err
		}
		to = append(to, d)
	}
	return to, nil
}

// targets appends the backlogs of d that take m.
func (d *destination) targets(to []*backlog, m *message.Message, from *connection) []*backlog {
	if d.queue != nil {
		return append(to, d.queue)
	}
	d.enqueued++
	if d.recent != nil && d.recent.wants(m) {
		to = append(to, d.recent.backlog)
	}
	for _, s := range d.subscriptions {
		if s.takes(m, from) {
			to = append(to, s.backlog)
		}
	}
	return to
}

// put stores a message in the targets. It returns nil if there are none.
func (b *Broker) put(m *message.Message, targets []*backlog, tracked bool) *stored {
	b.sequence++
	s := b.store(m, targets, b.sequence)
	if s == nil {
		return nil
	}
	if (m.Persistent || targets[0] == b.schedule.backlog) && slices.ContainsFunc(targets, func(q *backlog) bool { return q.id != 0 }) {
		s.flags |= logged
		r := b.emitMessage(s, m, tracked && m.ID.Sequence >= 0, targets)
		b.log.room -= int64(len(r.Body))
		if tracked {
			b.producers.set(m.ID, b.opt.MaxProducers, b.log.tail)
		}
	}
	b.enter(s, m.GroupID)
	return s
}

// store makes the stored form of a message with an entry for each target.
func (b *Broker) store(m *message.Message, targets []*backlog, sequence uint64) *stored {
	var s *stored
	switch len(targets) {
	case 0:
		return nil
	case 1:
		both := &single{}
		s = &both.stored
		both.entry.backlog = targets[0]
		both.entry.stored = s
		s.first = &both.entry
	default:
		s = &stored{}
		entries := make([]entry, len(targets))
		for i, q := range targets {
			e := &entries[i]
			e.stored, e.backlog = s, q
			if i > 0 {
				entries[i-1].sibling = e
			}
		}
		s.first = &entries[0]
	}
	s.message = m
	s.sequence = sequence
	s.expiration = m.Expiration
	s.size = storedSize(m)
	s.priority = min(m.Priority, 9)
	if m.Persistent {
		s.flags |= persistent
	}
	return s
}

// storedSize is what a message counts for, in bytes: that of its stored form where it is made anyway, so that a message counts the same after a
// restart; else about that.
func storedSize(m *message.Message) uint32 {
	if m.Persistent {
		return uint32(len(m.Encode()))
	}
	return uint32(m.Size())
}

// enter puts the entries of a new stored in their backlogs. group is the message's, if it is in one.
func (b *Broker) enter(s *stored, group string) {
	if s.message != nil {
		b.hold(s)
		b.fresh = append(b.fresh, s)
	}
	for e := s.first; e != nil; e = e.sibling {
		q := e.backlog
		if q == b.schedule.backlog {
			b.enterJob(e)
			continue
		}
		if q.shares && group != "" {
			q.joinGroup(e, group)
		}
		q.pushBack(e)
		q.size++
		q.bytes += int64(s.size)
		q.enqueued++
		b.watchExpiry(e)
		if q.keeping != nil {
			b.keep(q, e)
		}
		b.touch(q)
		if b.isLong(q) && (len(b.long) == 0 || b.long[len(b.long)-1] != q) {
			b.long = append(b.long, q)
		}
	}
}

// dispatch gives the ready entries of a backlog to consumers with credit.
func (b *Broker) dispatch(q *backlog) {
	if len(q.attached) == 0 || q.paused || q.gated || b.leaving {
		return
	}
	if q.groups != nil {
		b.dispatchGroups(q)
		return
	}
	if q.selective > 0 {
		b.dispatchSelective(q)
		return
	}
	for q.mask != 0 {
		a := q.next()
		if a == nil {
			return
		}
		e := q.front()
		if e.stored.message == nil {
			b.load(q, e)
			return
		}
		b.give(a.consumer, e)
	}
}

// eligible gives the attachments that may get messages: all, or the first exclusive one alone.
func (q *backlog) eligible() []*attachment {
	if q.exclusive == 0 {
		return q.attached
	}
	for i, a := range q.attached {
		if a.consumer.exclusive {
			return q.attached[i : i+1]
		}
	}
	return q.attached
}

// next chooses who gets the next message: among the consumers of the highest priority that have credit, by turns.
func (q *backlog) next() *attachment {
	as := q.eligible()
	for from := 0; from < len(as); {
		to := from + 1
		if as[len(as)-1].consumer.priority == as[from].consumer.priority {
			to = len(as) // as nearly always; they are sorted
		}
		for to < len(as) && as[to].consumer.priority == as[from].consumer.priority {
			to++
		}
		n := to - from
		for i := range n {
			a := as[from+(q.turn+i)%n]
			if a.consumer.credit() > 0 {
				if q.turn = (q.turn + i) % n; !q.strict {
					q.turn = (q.turn + 1) % n
				}
				return a
			}
		}
		from = to
	}
	return nil
}

// give dispatches a ready entry whose body is in memory.
func (b *Broker) give(c *consumer, e *entry) {
	q, s := e.backlog, e.stored
	if s.expiration != 0 && s.expiration <= b.now {
		b.expire(e)
		return
	}
	m := q.seen(s.message)
	if e.redeliveries > 0 {
		m = b.redelivered(e, m)
	}
	if b.messageAdvisories {
		b.adviseGiven(c, e, m)
	}
	b.hand(c, e)
	c.total++
	q.dispatchedTotal++
	wait := b.now - m.Received
	q.waits.add(wait)
	if q.destination.queue == nil {
		q.destination.dispatchedTotal++
		q.destination.waits.add(wait)
	}
	if c.pulls > 0 {
		if c.pulls--; c.pulls == 0 {
			b.clearPullTimer(c)
		}
	}
	hold := false
	if s.flags&logged != 0 {
		hold = !b.durable(s)
		if q.id != 0 && s.sequence > q.mark {
			// Said ahead, so that one record serves many dispatches: after a crash all up to the mark count as seen.
			b.emitMark(q, s.sequence+markAhead, false)
		}
		hold = hold || q.id != 0 && (q.markHome == 0 || q.markHome >= b.log.durable)
	}
	b.tell(Effect{Conn: c.conn.id, Kind: Delivery, Consumer: c.id, Message: m, Sequence: s.sequence, Redeliveries: int(e.redeliveries), hold: hold})
}

// hand makes a ready entry one of the consumer's.
func (b *Broker) hand(c *consumer, e *entry) {
	q, s := e.backlog, e.stored
	if e.group != 0 {
		q.groups.sent(e)
	}
	q.remove(e)
	b.clearEntryTimer(e)
	e.dispatchedAt(b.now)
	e.state = dispatched
	e.consumer = c
	c.dispatched.push(e)
	q.inFlight++
	if s.first.sibling == nil {
		if s.inLog() {
			b.uncache(s) // it comes back from the log if it is not acknowledged
		} else {
			b.holdAway(s)
		}
	}
}

// markAhead is by how many messages of the broker a mark runs ahead of the message that is dispatched.
const markAhead = 4096

// durable says whether a logged message would survive a crash: its record is durable, and so is the commit that made it visible.
func (b *Broker) durable(s *stored) bool {
	l := &b.log
	return s.position != 0 && s.position < l.durable && (s.flags&transacted == 0 || s.sequence <= l.committed)
}

// hold counts a body that waits in memory, holdAway one that is at a consumer and nowhere else; unhold ends either.
func (b *Broker) hold(s *stored) {
	if s.flags&cached == 0 {
		s.flags |= cached
		b.cached += int64(s.size)
		if s.flags&logged == 0 {
			b.transient += int64(s.size)
		}
	}
}

func (b *Broker) unhold(s *stored) {
	if s.flags&cached != 0 {
		s.flags &^= cached
		b.cached -= int64(s.size)
		if s.flags&logged == 0 {
			b.transient -= int64(s.size)
		}
	}
	if s.flags&away != 0 {
		s.flags &^= away
		b.away -= int64(s.size)
	}
}

func (b *Broker) holdAway(s *stored) {
	b.unhold(s)
	s.flags |= away
	b.away += int64(s.size)
}

// crowded says whether bodies of the kind of s take more memory than they may.
func (b *Broker) crowded(s *stored) bool {
	if s.flags&logged == 0 {
		return b.transient+b.away > b.opt.MemoryBytes
	}
	return b.cached-b.transient > b.opt.CacheBytes
}

// uncache drops a body from memory. It must be in the log.
func (b *Broker) uncache(s *stored) {
	s.message = nil
	b.unhold(s)
}

// settle ends an entry for good, in the log too.
func (b *Broker) settle(e *entry) {
	if e.backlog.id != 0 && e.stored.flags&logged != 0 {
		b.scratch.entries = append(b.scratch.entries[:0], e)
		b.emitSequences(recordAck, nil, e.backlog, b.scratch.entries)
	}
	b.discard(e)
}

// discard ends an entry in memory.
func (b *Broker) discard(e *entry) {
	q, s := e.backlog, e.stored
	if e.state == ready {
		q.remove(e)
	}
	if q.keeping != nil {
		q.keeping.forget(e)
	}
	b.clearEntryTimer(e)
	e.state = gone
	e.consumer = nil
	if e.group != 0 {
		q.groups.ended(e)
	}
	q.size--
	q.bytes -= int64(s.size)
	q.dequeued++
	if q.destination != nil && q.destination.queue == nil && q.recent == nil {
		q.destination.dequeued++
	}
	if s.first == e {
		s.first = e.sibling
	} else {
		for x := s.first; x != nil; x = x.sibling {
			if x.sibling == e {
				x.sibling = e.sibling
				break
			}
		}
	}
	e.sibling = nil
	if s.first == nil {
		b.release(s)
	}
}

// release forgets a stored that nothing needs any more.
func (b *Broker) release(s *stored) {
	b.uncache(s)
	b.log.forget(s)
}

// relieve keeps the memory of messages within its bounds: what came in this Step and still waits, or is at a consumer that does not
// acknowledge, leaves it again, into the log if it is not there yet.
func (b *Broker) relieve() {
	for _, s := range b.fresh {
		if s.message == nil || s.flags&(cached|away) == 0 || s.first == nil || s.message.Advisory != nil || !b.crowded(s) {
			continue
		}
		if !s.inLog() {
			if !b.log.roomFor(int64(s.size)) {
				continue
			}
			s.flags |= spilled
			b.emitSpill(s, s.message)
			b.log.room -= int64(s.size)
		}
		b.uncache(s)
	}
	clear(b.fresh)
	b.fresh = b.fresh[:0]
}
