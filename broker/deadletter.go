package broker

import (
	"fmt"
	"math"

	"github.com/godwitmq/godwit/message"
)

// expire ends an entry whose time is over: into the dead-letter queue or away, by policy.
func (b *Broker) expire(e *entry) {
	q := e.backlog
	away := b.policy(q).DeadLetter.DropExpired || b.unburied(e) || b.isDeadLetterQueue(q)
	if !away && !b.log.roomFor(int64(e.stored.size)) {
		b.postpone(e)
		return
	}
	q.expired++
	if q.destination != nil && q.destination.queue == nil {
		q.destination.expired++
	}
	if away {
		b.settle(e)
		return
	}
	b.bury(e, fmt.Sprintf("Message Expired. Expiration:%d", e.stored.expiration))
}

// burialDelay is when a burial for which the log has no room is tried again, ms.
const burialDelay = 1000

// postpone keeps an entry out of the consumers' sight until there may be room for it in the dead-letter queue: a dead letter is a copy, and
// what is kept in reserve is for records that free space.
func (b *Broker) postpone(e *entry) {
	if e.state == ready {
		e.backlog.remove(e)
	} else { // it was at a consumer, and may come to one again
		e.raise()
		if e.backlog.id != 0 && e.stored.flags&logged != 0 {
			b.emitRedelivered(e.backlog, []*entry{e})
		}
	}
	e.state = delayed
	b.delay(e, b.now+burialDelay)
}

func (b *Broker) isDeadLetterQueue(q *backlog) bool {
	return q.destination != nil && q.destination.name.Kind == message.Queue && b.deadLetterQueues[q.destination.name.Name]
}

// unburied says whether the entry is of those that are dropped rather than kept as dead letters.
func (b *Broker) unburied(e *entry) bool {
	return e.stored.flags&persistent == 0 && !b.policy(e.backlog).DeadLetter.KeepNonPersistent
}

// poison handles an entry that its consumer could not process: another try by policy, or a dead letter.
func (b *Broker) poison(e *entry, cause string) {
	p := b.policy(e.backlog).Redelivery
	if int(e.redeliveries) >= p.Maximum {
		b.bury(e, cause)
		return
	}
	wait := float64(p.Delay.Milliseconds())
	if p.Multiplier > 1 {
		wait *= math.Pow(p.Multiplier, float64(e.redeliveries))
	}
	if p.MaximumDelay > 0 {
		wait = min(wait, float64(p.MaximumDelay.Milliseconds()))
	}
	e.raise()
	if wait < 1 {
		b.giveBack([]*entry{e})
		return
	}
	if e.backlog.id != 0 && e.stored.flags&logged != 0 {
		b.emitRedelivered(e.backlog, []*entry{e})
	}
	e.state = delayed
	b.delay(e, b.now+int64(wait))
}

// bury moves an entry to the dead-letter queue, in one batch with its settlement. What is in that queue already
// stays there: a dead letter is never lost for being refused again.
func (b *Broker) bury(e *entry, cause string) {
	if b.unburied(e) {
		b.settle(e)
		return
	}
	name := message.Destination{Kind: message.Queue, Name: b.policy(e.backlog).DeadLetter.Queue}
	if b.isDeadLetterQueue(e.backlog) {
		e.raise()
		b.returnEntry(e, nil)
		if e.backlog.id != 0 && e.stored.flags&logged != 0 {
			b.emitRedelivered(e.backlog, []*entry{e})
		}
		return
	}
	if !b.log.roomFor(int64(e.stored.size)) {
		b.postpone(e)
		return
	}
	m := e.stored.message
	if m == nil {
		if e.state == ready {
			e.backlog.remove(e)
		}
		b.clearEntryTimer(e)
		e.state = dying
		b.ask(&load{stored: []*stored{e.stored}, dying: []*entry{e}, causes: []string{cause}})
		return
	}
	d := b.destinations[name]
	if d == nil {
		d = b.create(name, nil)
	}
	e.backlog.deadLetters++
	if e.backlog.destination != nil && e.backlog.destination.queue == nil {
		e.backlog.destination.deadLetters++
	}
	b.sendOn(e.backlog.seen(m).DeadLetter(name, cause), d)
	b.settle(e)
}
