package broker

import "github.com/godwitmq/godwit/message"

// pending bounds what waits for a subscription that is not durable.
type pending struct {
	limit int
	// Of EvictByProperty: the newest entry of each value, and those that have a newer one.
	indexed uint64 // sequence of the last entry that was looked at
	newest  map[any]*entry
	stale   []*entry
}

// limitPending applies the topic's policy to a subscription.
func (b *Broker) limitPending(s *subscription) {
	q := s.backlog
	p := &s.policy.Subscribers
	limit := -1
	if s.active() && !s.durable() {
		c := q.attached[0].consumer
		switch {
		case p.Limited && p.PendingRate > 0:
			limit = int(p.PendingRate * float64(c.prefetch))
		case p.Limited:
			limit = p.PendingLimit
		}
		if own := c.about.MaxPending; own > 0 && (limit < 0 || own < limit) {
			limit = own
		}
	}
	switch {
	case limit < 0:
		q.pending, q.bounded = nil, false
	case q.pending == nil:
		q.pending, q.bounded = &pending{limit: limit}, true
		b.touch(q)
	default:
		q.pending.limit = limit
		b.touch(q)
	}
}

// evict discards what is beyond the limit.
func (b *Broker) evict(q *backlog) {
	p := q.pending
	if len(q.attached) == 0 {
		return
	}
	policy := &q.attached[0].consumer.policy.Subscribers
	if policy.Eviction == EvictByProperty {
		p.index(q, policy.EvictionProperty)
	}
	for q.ready > p.limit {
		var e *entry
		switch policy.Eviction {
		case EvictLowestPriority:
			for i := range q.lists {
				if e = q.lists[i].head; e != nil {
					break
				}
			}
		case EvictByProperty:
			if e = p.outdated(); e == nil {
				e = q.earliest()
			}
		default:
			e = q.earliest()
		}
		b.discarded(e)
	}
}

// index takes in the entries that have come since it was called last.
func (p *pending) index(q *backlog, property string) {
	if p.newest == nil {
		p.newest = map[any]*entry{}
	}
	from := p.indexed
	for i := range q.lists {
		for e := q.lists[i].tail; e != nil && e.stored.sequence > from; e = e.prev {
			p.indexed = max(p.indexed, e.stored.sequence)
			if e.state != ready {
				break // a pack: what is in it was looked at
			}
			if e.stored.message == nil {
				continue
			}
			v := message.Delivered{Message: e.stored.message}.Value(property)
			if v == nil {
				continue
			}
			if old := p.newest[v]; old != nil && old.state == ready {
				if old.stored.sequence > e.stored.sequence {
					old, e = e, old
				}
				p.stale = append(p.stale, old)
				p.newest[v] = e
			} else {
				p.newest[v] = e
			}
		}
	}
	if len(p.newest) > 2*p.limit+64 {
		for v, e := range p.newest { // what is kept does not depend on the order
			if e.state != ready {
				delete(p.newest, v)
			}
		}
	}
	if len(p.stale) > 2*p.limit+64 {
		n := 0
		for _, e := range p.stale {
			if e.state == ready {
				p.stale[n] = e
				n++
			}
		}
		clear(p.stale[n:])
		p.stale = p.stale[:n]
	}
}

// outdated takes an entry for which there is a newer one; nil if there is none.
func (p *pending) outdated() *entry {
	for len(p.stale) > 0 {
		e := p.stale[0]
		p.stale = p.stale[1:]
		if e.state == ready {
			return e
		}
	}
	return nil
}

// discarded ends an entry that its subscriber was too slow for.
func (b *Broker) discarded(e *entry) {
	q := e.backlog
	c := q.attached[0].consumer
	c.discarded++
	q.destination.discarded++
	b.adviseDiscarded(c.subscription, e, c.discarded)
	b.discard(e)
}
