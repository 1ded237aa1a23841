package broker

import "slices"

// drain removes many messages, for a purge or because their queue or subscription was removed: some in the Step that asks for it, and as many again in each Tick,
// so that nobody waits for all of it. A purge removes what waited when it was asked for, is answered when all of that is gone, and after a crash has
// removed as much as it had. What is removed as a whole is gone at once for everybody, in the log by one record; only the memory comes back bit by bit.
type drain struct {
	backlog *backlog
	purge   *sweep // how far a purge is; nil: the backlog was removed
	conn    ConnID
	ref     Ref
	removed int
}

// drainAtOnce is how many messages one Step removes at most where Options do not say.
const drainAtOnce = 2048

// purgeBacklog removes what waits in a backlog and answers with how much it was when it is done.
func (b *Broker) purgeBacklog(q *backlog, conn ConnID, ref Ref) {
	w := &sweep{queue: q, until: b.sequence, priority: len(q.lists) - 1}
	w.next = q.lists[w.priority].head
	q.sweeps = append(q.sweeps, w)
	b.drain(&drain{backlog: q, purge: w, conn: conn, ref: ref})
}

// drain begins one. There is more to do after this Step only if there is much to remove.
func (b *Broker) drain(d *drain) {
	if !b.drainSome(d) {
		b.drains = append(b.drains, d)
	}
}

// drainOn goes on with the one that has waited longest.
func (b *Broker) drainOn() {
	if len(b.drains) == 0 {
		return
	}
	d := b.drains[0]
	if b.drains = slices.Delete(b.drains, 0, 1); !b.drainSome(d) {
		b.drains = append(b.drains, d)
	}
}

// drainSome removes a bounded number of messages and says whether all are gone.
func (b *Broker) drainSome(d *drain) (done bool) {
	if d.purge == nil {
		return b.drainRemoved(d.backlog)
	}
	w := d.purge
	for done = false; len(w.settled) < b.opt.DrainAtOnce; {
		e := b.sweepNext(w) // nil as well if the queue was removed meanwhile
		if e == nil {
			done = true
			break
		}
		w.pass(e)
		w.settled = append(w.settled, e)
	}
	d.removed += len(w.settled)
	b.settleAll(w.settled)
	clear(w.settled)
	w.settled = w.settled[:0]
	if done {
		b.leaveSweep(w)
		b.tell(Effect{Conn: d.conn, Ref: d.ref, Value: d.removed, hold: true})
	}
	return done
}

// drainRemoved forgets a number of messages of a backlog that was removed, and says whether that were all.
func (b *Broker) drainRemoved(q *backlog) bool {
	for n := 0; n < b.opt.DrainAtOnce; n++ {
		e := q.front()
		if e == nil {
			return true
		}
		b.discard(e)
	}
	return q.front() == nil
}

// wanted says whether a message is still for anybody: not if all that it waits in has been removed and is only not forgotten yet.
func (s *stored) wanted() bool {
	for e := s.first; e != nil; e = e.sibling {
		if !e.backlog.removed {
			return true
		}
	}
	return false
}
