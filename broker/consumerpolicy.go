package broker

import (
	"cmp"
	"slices"
	"time"
)

// ConsumerPolicy is what holds for the consumers of queues.
type ConsumerPolicy struct {
	// Exclusive gives all messages to one consumer, the first of the highest priority, as long as it is there.
	Exclusive bool
	// StartConsumers is how many consumers a queue that had none waits for before it dispatches, StartAfter how long it waits at most. With
	// StartAfter alone it waits that long; with StartConsumers alone until so many are there.
	StartConsumers int
	StartAfter     time.Duration
	// StrictOrder fills the window of one consumer before the next one gets anything, instead of going by turns.
	StrictOrder bool
	// IgnorePriority takes all consumers' priorities for equal.
	IgnorePriority bool
	// MaxBrowse is how many messages a browser is shown at most: the first ones. 0 means all.
	MaxBrowse int
	// ShrinkIdleWindow, if not 0, gives consumers a window that follows their pace: it begins small, doubles as they acknowledge, and halves when they
	// have not acknowledged anything for so long while messages wait and others may take them.
	ShrinkIdleWindow time.Duration
	// GroupLease, if not 0, is how long the owner of a message group may go without room in its window before another may have the group,
	// which happens only when no message of the group is at a consumer.
	GroupLease time.Duration
	// StickyGroups leaves a message group with its owner when consumers come.
	StickyGroups bool
}

// Eviction says which message goes when a topic's subscriber has too many waiting.
type Eviction uint8

// The evictions.
const (
	// EvictOldest discards the message that came first.
	EvictOldest Eviction = iota
	// EvictLowestPriority discards the oldest of the lowest priority.
	EvictLowestPriority
	// EvictByProperty discards a message for which a newer one waits that has the same value of a property; the oldest if there is none.
	EvictByProperty
)

// Recovery says which messages of the past a topic's retroactive consumer gets.
type Recovery uint8

// The recoveries.
const (
	RecoverNone       Recovery = iota
	RecoverLast                // the newest
	RecoverCount               // the newest RecoveryCount
	RecoverSize                // the newest of together at most RecoverySize
	RecoverTime                // those not older than RecoveryTime
	RecoverRetained            // the newest that was sent with the property ActiveMQ.Retain; it survives a restart if it is persistent
	recoveries                 // how many there are
	defaultCount      = 100
	defaultSize       = 64 << 10
	defaultRecentTime = time.Minute
)

// SubscriberPolicy is what holds for the subscriptions of topics.
type SubscriberPolicy struct {
	// Limited bounds how many messages wait for a subscription that is not durable, beside those at its consumer: PendingLimit, or, if
	// PendingRate is not 0, so many times its prefetch. A consumer's own limit holds if it is lower.
	Limited      bool
	PendingLimit int
	PendingRate  float64
	Eviction     Eviction
	// EvictionProperty is that of EvictByProperty.
	EvictionProperty string

	Recovery      Recovery
	RecoveryCount int           // 0 means 100
	RecoverySize  int64         // bytes; 0 means 64 KiB
	RecoveryTime  time.Duration // 0 means one minute
	// AlwaysRetroactive takes every consumer for a retroactive one.
	AlwaysRetroactive bool

	// OfflineTimeout, if not 0, removes a durable subscription that has had no consumer for so long. The time counts anew from each start of the broker.
	OfflineTimeout time.Duration
}

// SlowPolicy says when a consumer that does not keep up loses its place. A consumer is slow while messages wait for it and its window is full.
type SlowPolicy struct {
	MaxTime  time.Duration // being slow for so long; 0 is no bound
	MaxCount int           // having become slow so many times; 0 is no bound
	// MaxSinceAck is how long a consumer may go without an acknowledgement; 0 is no bound. One that has nothing to acknowledge is not meant unless
	// CountIdle is set.
	MaxSinceAck time.Duration
	CountIdle   bool
	// AbortConnection ends the consumer's connection instead of the consumer alone.
	AbortConnection bool
	// CheckPeriod is how often consumers are looked at. 0 means 30 s.
	CheckPeriod time.Duration
}

func (p *SlowPolicy) on() bool { return p.MaxTime > 0 || p.MaxCount > 0 || p.MaxSinceAck > 0 }

func (p SubscriberPolicy) filled() SubscriberPolicy {
	if p.RecoveryCount == 0 {
		p.RecoveryCount = defaultCount
	}
	if p.RecoverySize == 0 {
		p.RecoverySize = defaultSize
	}
	if p.RecoveryTime == 0 {
		p.RecoveryTime = defaultRecentTime
	}
	return p
}

func (p SlowPolicy) filled() SlowPolicy {
	if p.CheckPeriod == 0 {
		p.CheckPeriod = 30 * time.Second
	}
	return p
}

// applyPolicies has consumers, subscriptions and destinations follow other policies.
func (b *Broker) applyPolicies() {
	changed := map[*backlog]bool{}
	for _, c := range b.connections {
		for _, x := range c.consumers {
			if x != nil && x.follow(b.policyOf(x.parts[0])) {
				for _, q := range x.backlogs {
					changed[q] = true
				}
			}
		}
	}
	for _, s := range b.allSubscriptions() {
		s.policy = b.policyOf(s.parts[0])
		if d := s.backlog.destination; b.destinations[d.name] != d { // it stands for topics that are to come
			d.policy = s.policy
		}
		b.limitPending(s)
	}
	for _, d := range b.sortedDestinations() {
		if d.queue != nil {
			d.queue.strict = d.policy.Consumers.StrictOrder
			b.setGate(d.queue)
			if changed[d.queue] {
				d.queue.rearrange()
				b.touch(d.queue)
			}
		}
	}
	if b.policies.watched() {
		b.patrolBy(b.now + patrolPeriod)
	}
}

// follow has a consumer obey a policy, and says whether its place among the others of its queues is another now.
func (c *consumer) follow(p *Policy) (changed bool) {
	c.policy = p
	exclusive, priority := c.about.Exclusive, c.about.Priority
	if !c.parts[0].Kind.IsTopic() {
		exclusive = exclusive || p.Consumers.Exclusive
		if p.Consumers.IgnorePriority {
			priority = 0
		}
	}
	changed = exclusive != c.exclusive || priority != c.priority
	c.exclusive, c.priority = exclusive, priority
	return changed
}

// rearrange gives the consumers their places anew after one of them has become exclusive, or of another priority, or has ceased to be so. Those that are
// equals now stay in the order in which they stood, so that of several exclusive ones the one that had the messages keeps them. What is at a consumer stays there.
func (q *backlog) rearrange() {
	for _, a := range q.attached {
		if q.choosers != nil {
			q.choosers.drop(a)
		}
		a.scanned = [10]*entry{}
	}
	q.choosers, q.turn, q.exclusive = nil, 0, 0
	slices.SortStableFunc(q.attached, func(x, y *attachment) int { return cmp.Compare(y.consumer.priority, x.consumer.priority) })
	for _, a := range q.attached {
		if a.consumer.exclusive {
			q.exclusive++
		}
	}
	if q.selective > 0 {
		q.choose(q.attached[0]) // and all others with it
	}
	if q.groups != nil {
		q.groups.joined(q.sticky())
	}
}

// allSubscriptions lists the durable ones, and those of consumers, shared ones once, in an order of their own.
func (b *Broker) allSubscriptions() []*subscription {
	var all []*subscription
	for _, id := range sortedKeys(b.backlogs) {
		if s := b.backlogs[id].durable(); s != nil {
			all = append(all, s)
		}
	}
	for _, id := range sortedKeys(b.connections) {
		c := b.connections[id]
		for _, id := range sortedKeys(c.consumers) {
			if s := c.consumers[id].subscription; s != nil && !s.durable() && s.consumers()[0].consumer == c.consumers[id] {
				all = append(all, s)
			}
		}
	}
	return all
}
