package broker

import (
	"fmt"
	"slices"
	"time"
)

// patrolPeriod is how often the broker looks at consumers and durable subscriptions if a policy asks for it, ms.
const patrolPeriod = 1000

// watched says whether a policy needs the patrol.
func (p *Policy) watched() bool {
	return p.Consumers.GroupLease > 0 || p.Consumers.ShrinkIdleWindow > 0 || p.Subscribers.OfflineTimeout > 0 || p.Slow.on() || p.Subscribers.Recovery == RecoverTime
}

func (p *Policies) watched() bool {
	return p.Default.watched() || slices.ContainsFunc(p.Destinations, func(x Policy) bool { return x.watched() })
}

// patrolBy has the patrol go at a time or earlier.
func (b *Broker) patrolBy(at int64) {
	if b.patrolAt == 0 || at < b.patrolAt {
		b.patrolAt = at
	}
}

// patrol looks at all that time alone changes, other than what single messages wait for.
func (b *Broker) patrol() {
	b.patrolAt = 0
	b.openGates()
	if !b.policies.watched() {
		return
	}
	b.patrolBy(b.now + patrolPeriod)
	for _, id := range sortedKeys(b.connections) {
		conn := b.connections[id]
		if conn == nil {
			continue // ended by the patrol
		}
		for _, id := range sortedKeys(conn.consumers) {
			if c := conn.consumers[id]; c != nil && !c.browsing { // it may have gone with another's connection
				b.watchGroups(c)
				b.watchWindow(c)
				b.watchSlow(c)
			}
		}
	}
	for _, id := range sortedKeys(b.backlogs) {
		if s := b.backlogs[id].durable(); s != nil {
			b.watchOffline(s)
		}
	}
	b.ageRecent()
}

// watchOffline removes a durable subscription that nobody has used for too long.
func (b *Broker) watchOffline(s *subscription) {
	if limit := s.policy.Subscribers.OfflineTimeout.Milliseconds(); limit > 0 && !s.active() && b.now-s.idleSince >= limit {
		b.removeSubscriptionState(s)
	}
}

// watchGroups notes for how long an owner of groups has had no room.
func (b *Broker) watchGroups(c *consumer) {
	for _, q := range c.backlogs {
		if q.groups == nil {
			continue
		}
		lease := b.policy(q).Consumers.GroupLease.Milliseconds()
		i := slices.IndexFunc(q.attached, func(a *attachment) bool { return a.consumer == c })
		if i < 0 || q.attached[i].owned == nil {
			continue
		}
		switch own := q.attached[i].owned; {
		case lease == 0 || c.credit() > 0:
			own.full, own.lapsed = 0, false
		case own.full == 0:
			own.full = b.now
		case b.now-own.full >= lease:
			own.lapsed = true
			b.touch(q)
		}
	}
}

// slowness is what is known of how a consumer keeps up.
type slowness struct {
	since   int64 // ms since 1970: since when messages wait for it and its window is full; 0: it keeps up
	count   int   // how often that began
	checkAt int64
	ackedAt int64 // of its last acknowledgement, or its beginning
}

// watchSlow ends a consumer that does not keep up, by policy.
func (b *Broker) watchSlow(c *consumer) {
	p := &c.policy.Slow
	if !p.on() || b.now < c.slow.checkAt {
		return
	}
	c.slow.checkAt = b.now + p.CheckPeriod.Milliseconds()
	full := c.prefetch > 0 && c.credit() <= 0 && slices.ContainsFunc(c.backlogs, func(q *backlog) bool { return q.ready > 0 })
	switch {
	case !full:
		c.slow.since = 0
	case c.slow.since == 0:
		c.slow.since = b.now
		c.slow.count++
	}
	held := c.dispatched.len() - c.seen
	switch {
	case p.MaxTime > 0 && c.slow.since != 0 && b.now-c.slow.since >= p.MaxTime.Milliseconds():
		b.abort(c, fmt.Sprintf("messages have waited for it for %v while it held %d, its limit is %v (slowConsumers.maxTime)", time.Duration(b.now-c.slow.since)*time.Millisecond, held, p.MaxTime))
	case p.MaxCount > 0 && c.slow.count > p.MaxCount:
		b.abort(c, fmt.Sprintf("messages had to wait for it %d times, its limit is %d (slowConsumers.maxCount)", c.slow.count, p.MaxCount))
	case p.MaxSinceAck > 0 && (held > 0 || p.CountIdle) && b.sinceAck(c, p.CountIdle) >= p.MaxSinceAck.Milliseconds():
		b.abort(c, fmt.Sprintf("it has acknowledged nothing for %v and holds %d messages, its limit is %v (slowConsumers.maxSinceAck)", time.Duration(b.sinceAck(c, p.CountIdle))*time.Millisecond, held, p.MaxSinceAck))
	}
}

// sinceAck is for how long a consumer has owed an acknowledgement, ms; if idle, for how long it has sent none.
func (b *Broker) sinceAck(c *consumer, idle bool) int64 {
	since := b.now - c.slow.ackedAt
	if !idle {
		since = min(since, c.oldest(b.now))
	}
	return since
}

// oldest is for how long the consumer has held the oldest message that it has not acknowledged, ms; 0 if it has none.
func (c *consumer) oldest(now int64) int64 {
	for _, e := range c.dispatched.all() {
		if e.state == dispatched && !e.seen {
			return e.age(now)
		}
	}
	return 0
}

// abort ends a consumer, or its connection.
func (b *Broker) abort(c *consumer, why string) {
	err := &Error{Code: IllegalState, Op: "consume from " + c.about.Destination.String(), Detail: "the consumer is too slow: " + why}
	if c.policy.Slow.AbortConnection {
		b.close(c.conn, false, err)
		return
	}
	b.tell(Effect{Conn: c.conn.id, Kind: ConsumerClosed, Consumer: c.id, Err: err})
	b.removeConsumer(c, Unknown)
}

// firstWindow is that of a consumer whose pace is not known yet, if windows follow it.
const firstWindow = 8

// pace is a window that follows what a consumer acknowledges.
type pace struct {
	window      int // 0: there is none but the prefetch
	acked, last int // messages in this period and in the one before
	checkAt     int64
}

// heard says that a consumer has acknowledged messages.
func (b *Broker) heard(c *consumer, n int) {
	c.slow.ackedAt = b.now
	p := &c.pace
	if p.window == 0 {
		return
	}
	if p.acked += n; p.acked >= p.window && p.window < c.prefetch {
		p.window = min(c.prefetch, 2*p.window)
		p.acked = 0
		p.last = max(p.last, 1)
	}
}

// watchWindow fits a consumer's window to its pace.
func (b *Broker) watchWindow(c *consumer) {
	p := &c.pace
	period := c.policy.Consumers.ShrinkIdleWindow.Milliseconds()
	if c.subscription != nil || c.prefetch == 0 || period == 0 {
		if p.window != 0 {
			*p = pace{}
			b.wake(c)
		}
		return
	}
	if p.window == 0 {
		p.window = min(firstWindow, c.prefetch)
	}
	if b.now < p.checkAt {
		return
	}
	p.checkAt = b.now + period
	p.last, p.acked = p.acked, 0
	before := p.window
	switch waits, others := b.rivals(c); {
	case !waits || c.dispatched.len() == c.seen:
	case p.last == 0 && !others: // it may be waiting for more before it acknowledges
		p.window = min(c.prefetch, 2*p.window)
	case p.last*4 < p.window:
		p.window = max(1, p.window/2)
	}
	if p.window > before {
		b.wake(c)
	}
}

// rivals says whether messages wait where c consumes, and whether other consumers would take them.
func (b *Broker) rivals(c *consumer) (waits, others bool) {
	for _, q := range c.backlogs {
		waits = waits || q.ready > 0
		for _, a := range q.attached {
			if x := a.consumer; x != c && (x.credit() > 0 || x.pace.acked+x.pace.last > 0) {
				others = true
			}
		}
	}
	return waits, others
}

// gate keeps a queue that gets its first consumer from dispatching until others have had the time to come, by policy.
func (b *Broker) gate(q *backlog) {
	p := &b.policy(q).Consumers
	q.strict = p.StrictOrder
	if len(q.attached) == 1 && (p.StartConsumers > 1 || p.StartAfter > 0) {
		if !q.gated {
			q.gated = true
			b.gated = append(b.gated, q)
		}
		q.gatedAt = b.now
	}
	b.setGate(q)
}

// setGate says when a queue begins to dispatch that does not yet: as its policy says now. One that does goes on.
func (b *Broker) setGate(q *backlog) {
	if !q.gated {
		return
	}
	p := &b.policy(q).Consumers
	switch {
	case p.StartConsumers > 0 && len(q.attached) >= p.StartConsumers, p.StartConsumers <= 1 && p.StartAfter <= 0:
		q.opensAt = b.now
	case p.StartAfter > 0:
		q.opensAt = q.gatedAt + p.StartAfter.Milliseconds()
	default:
		q.opensAt = 0
	}
	if q.opensAt != 0 {
		b.patrolBy(q.opensAt)
	}
}

// openGates lets queues dispatch whose time has come.
func (b *Broker) openGates() {
	b.gated = slices.DeleteFunc(b.gated, func(q *backlog) bool {
		switch {
		case len(q.attached) == 0 || q.removed:
			q.gated = false
		case q.opensAt != 0 && q.opensAt <= b.now:
			q.gated = false
			b.touch(q)
		case q.opensAt != 0:
			b.patrolBy(q.opensAt)
		}
		return !q.gated
	})
}
