package broker

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/godwitmq/godwit/message"
)

// DeadLetterPolicy says what becomes of messages that cannot be delivered. The zero value is ActiveMQ's: all share one queue.
type DeadLetterPolicy struct {
	// Queue is where they go. "" means ActiveMQ.DLQ.
	Queue string
	// Individual gives each destination a dead-letter destination of its own instead; nil: they share Queue.
	Individual *IndividualDeadLetters
	// Discard drops all of them; Drop those whose destination's name one of the expressions matches.
	Discard bool
	Drop    []*regexp.Regexp
	// DropExpired drops expired messages instead.
	DropExpired bool
	// KeepNonPersistent sends non-persistent ones there too; otherwise they are dropped.
	KeepNonPersistent bool
	// Expiration is how long a dead letter is kept. 0 is for ever.
	Expiration time.Duration
}

// IndividualDeadLetters makes the name of a dead-letter destination: prefix, the name of the destination, suffix. Prefix and suffix must not both be empty.
type IndividualDeadLetters struct {
	QueuePrefix, QueueSuffix string // for messages of queues
	TopicPrefix, TopicSuffix string // for messages of topics
	// TopicForQueues and TopicForTopics send to a topic of that name instead of a queue.
	TopicForQueues, TopicForTopics bool
	// PerSubscription adds .CLIENT:NAME of the durable subscription before the suffix.
	PerSubscription bool
}

// defaultDeadLetterQueue is ActiveMQ's.
const defaultDeadLetterQueue = "ActiveMQ.DLQ"

// name is where a dead letter of a backlog goes.
func (p *DeadLetterPolicy) name(q *backlog, m *message.Message) message.Destination {
	in := p.Individual
	if in == nil {
		return message.Destination{Kind: message.Queue, Name: p.Queue}
	}
	kind, name := message.Queue, ""
	if m.Destination.Kind.IsTopic() {
		name = in.TopicPrefix + m.Destination.Name
		if in.PerSubscription && q.durable() != nil {
			name += "." + q.durable().clientID + ":" + q.durable().name
		}
		name += in.TopicSuffix
		if in.TopicForTopics {
			kind = message.Topic
		}
	} else {
		name = in.QueuePrefix + m.Destination.Name + in.QueueSuffix
		if in.TopicForQueues {
			kind = message.Topic
		}
	}
	return message.Destination{Kind: kind, Name: name}
}

// makes says whether the policy sends dead letters to a destination.
func (p *DeadLetterPolicy) makes(d message.Destination) bool {
	in := p.Individual
	if in == nil {
		return d.Kind == message.Queue && d.Name == p.Queue
	}
	fits := func(prefix, suffix string, topic bool) bool {
		return d.Kind.IsTopic() == topic && len(d.Name) > len(prefix)+len(suffix) && strings.HasPrefix(d.Name, prefix) && strings.HasSuffix(d.Name, suffix) && prefix+suffix != ""
	}
	return fits(in.QueuePrefix, in.QueueSuffix, in.TopicForQueues) || fits(in.TopicPrefix, in.TopicSuffix, in.TopicForTopics)
}

// isDeadLetters says whether some policy sends dead letters to a destination. What is there is not moved on.
func (p *Policies) isDeadLetters(d message.Destination) bool {
	return p.Default.DeadLetter.makes(d) || slices.ContainsFunc(p.Destinations, func(x Policy) bool { return x.DeadLetter.makes(d) })
}

// ruling gives the destination whose rules for dead letters and redeliveries an entry obeys: in a subscription to several topics that of its message. It is nil
// where that cannot be told without the body, which is not in memory.
func (b *Broker) ruling(e *entry) *destination {
	q := e.backlog
	s := q.sub
	if s == nil || len(s.parts) == 1 && !s.parts[0].IsPattern() {
		return q.destination
	}
	if m := e.stored.message; m != nil {
		return b.ruler(q, m)
	}
	switch {
	case !b.agreed(s):
		return nil
	case len(s.topics) > 0:
		return s.topics[0]
	}
	return q.destination
}

// agreed says whether all topics of a subscription have the same rules, whichever a message is of.
func (b *Broker) agreed(s *subscription) bool {
	if s.agreedBy != b.policies {
		s.agreedBy = b.policies
		s.agree = !slices.ContainsFunc(s.topics, func(d *destination) bool {
			return d.policy != s.topics[0].policy || d.dlq != s.topics[0].dlq || len(d.policy.DeadLetter.Drop) > 0
		})
	}
	return s.agree
}

// ruler is ruling for a message that is at hand.
func (b *Broker) ruler(q *backlog, m *message.Message) *destination {
	if q.sub == nil {
		return q.destination
	}
	if d := b.destinations[m.Destination]; d != nil {
		return d
	}
	return &destination{name: m.Destination, policy: b.policyOf(m.Destination), dlq: b.policies.isDeadLetters(m.Destination)} // it was removed meanwhile
}

// judgeLater keeps an entry out of the consumers' sight until its body, which says what becomes of it, has been read.
func (b *Broker) judgeLater(e *entry, judge func()) {
	if e.state == ready {
		e.backlog.remove(e)
	}
	b.clearEntryTimer(e)
	e.state = dying
	b.ask(&load{stored: []*stored{e.stored}, dying: e, judge: judge})
}

// unburied says whether the entry is of those that are dropped rather than kept as dead letters, by the rules of d.
func (e *entry) unburied(d *destination) bool {
	p := &d.policy.DeadLetter
	return p.Discard || e.stored.flags&persistent == 0 && !p.KeepNonPersistent || slices.ContainsFunc(p.Drop, func(x *regexp.Regexp) bool { return x.MatchString(d.name.Name) })
}

// expire ends an entry whose time is over: into the dead-letter queue or away, by policy.
func (b *Broker) expire(e *entry) {
	q := e.backlog
	if q.recent != nil {
		b.settle(e)
		return
	}
	d := b.ruling(e)
	if d == nil {
		b.judgeLater(e, func() { b.expire(e) })
		return
	}
	away := d.policy.DeadLetter.DropExpired || d.dlq || e.unburied(d)
	if !away && !b.log.roomFor(int64(e.stored.size)) {
		b.postpone(e)
		return
	}
	q.expired++
	if d.queue == nil {
		d.expired++
	}
	if away {
		b.adviseExpired(e)
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

// bury moves an entry to the dead-letter queue, in one batch with its settlement. What is in that queue already
// stays there: a dead letter is never lost for being refused again.
func (b *Broker) bury(e *entry, cause string) {
	rules := b.ruling(e)
	switch {
	case rules == nil:
		b.judgeLater(e, func() { b.bury(e, cause) })
		return
	case rules.dlq:
		e.raise()
		b.returnEntry(e, nil)
		if e.backlog.id != 0 && e.stored.flags&logged != 0 {
			b.emitRedelivered(e.backlog, []*entry{e})
		}
		return
	case e.unburied(rules):
		b.settle(e)
		return
	case !b.log.roomFor(int64(e.stored.size)):
		b.postpone(e)
		return
	case e.stored.message == nil:
		b.judgeLater(e, func() { b.bury(e, cause) })
		return
	}
	p := &rules.policy.DeadLetter
	m := e.backlog.seen(e.stored.message)
	name := p.name(e.backlog, m)
	d := b.destinations[name]
	if d == nil {
		d = b.create(name, nil)
	}
	e.backlog.deadLetters++
	if rules.queue == nil {
		rules.deadLetters++
	}
	death := message.Death{Cause: cause, Redeliveries: int(e.redeliveries), At: b.now}
	if s := e.backlog.durable(); s != nil {
		death.Subscription = s.clientID + "/" + s.name
	}
	dead := m.DeadLetter(name, death)
	if p.Expiration > 0 {
		dead.Expiration = b.now + p.Expiration.Milliseconds()
	}
	b.sendOn(dead, d)
	if b.messageAdvisories {
		b.adviseSent(d, dead)
	}
	b.adviseDeadLetter(e.backlog, m)
	if x := e.stored.expiration; x != 0 && x <= b.now {
		b.adviseExpired(e)
	}
	b.settle(e)
}
