package broker

import (
	"cmp"
	"slices"

	"github.com/godwitmq/godwit/message"
)

// recent is what a topic keeps for retroactive consumers, as its policy says: a backlog that nobody consumes from, whose messages are shared with the
// subscriptions that have them, and leave memory as theirs do. Of RecoverRetained it has a record, so that a persistent message survives a restart.
type recent struct {
	broker  *Broker
	topic   *destination
	backlog *backlog
	kind    Recovery
	periods []stretch // of RecoverTime
}

// stretch is when messages came, up to one of them, in a part of the time that is short against the policy's.
type stretch struct {
	last uint64 // sequence
	ends int64  // ms since 1970
}

const (
	// periodsPerTime is how exactly RecoverTime is kept: to so many parts of it.
	periodsPerTime = 32
	// maxRecent bounds the messages of RecoverTime and RecoverSize.
	maxRecent = 1_000_000
)

// The properties of retained messages.
const retainProperty = "ActiveMQ.Retain"

// keepRecent has a topic keep what its policy says from now on.
func (b *Broker) keepRecent(d *destination) {
	kind := d.policy.Subscribers.Recovery
	if !d.name.Kind.IsTopic() || isAdvisory(d.name) {
		kind = RecoverNone
	}
	switch r := d.recent; {
	case r != nil && r.kind == kind:
		b.touch(r.backlog)
		return
	case r != nil:
		d.recent = nil
		b.abandon(r.backlog)
	}
	if kind != RecoverNone {
		d.recent = b.newRecent(d, kind, &backlog{})
	}
}

func (b *Broker) newRecent(d *destination, kind Recovery, q *backlog) *recent {
	r := &recent{broker: b, topic: d, kind: kind, backlog: q}
	q.destination, q.recent, q.bounded = d, r, true
	return r
}

// wants says whether a message that is being sent is kept.
func (r *recent) wants(m *message.Message) bool {
	if r.kind != RecoverRetained {
		return true
	}
	if on, _ := m.Properties.Get(retainProperty); on != true && on != "true" {
		return false
	}
	if r.backlog.id == 0 {
		r.broker.nameRetained(r.backlog)
	}
	return true
}

// nameRetained gives a retained message's backlog its place in the log.
func (b *Broker) nameRetained(q *backlog) {
	b.nextID++
	q.id = b.nextID
	b.backlogs[q.id] = q
	b.emitRetained(q)
}

func (b *Broker) writeRetained(q *backlog) int {
	start := b.begin(recordRetained)
	b.number(q.id)
	b.number(uint64(q.destination.name.Kind))
	b.text(q.destination.name.Name)
	return start
}

func (b *Broker) emitRetained(q *backlog) {
	b.emit(b.writeRetained(q), Record{Lazy: true, home: &q.home})
}

func (b *Broker) replayRetained(position uint64, f *fields) {
	id, name := f.number(), message.Destination{Kind: message.Kind(f.number()), Name: f.text()}
	if f.failed {
		return
	}
	q := b.replayTarget(id).backlog
	q.home = position
	if q.recent != nil {
		return
	}
	d := b.destinations[name]
	if d == nil {
		d = &destination{name: name}
		b.destinations[name] = d
		b.applyPolicy(d)
	}
	d.recent = b.newRecent(d, RecoverRetained, q)
}

// recentRecovered forgets, after a restart, what topics kept by a policy that is not theirs any more.
func (b *Broker) recentRecovered() {
	for _, d := range b.sortedDestinations() {
		if d.name.Kind.IsTopic() {
			b.keepRecent(d)
		}
	}
}

// bound discards what is too much after messages have come to a backlog that may hold only so many.
func (b *Broker) bound(q *backlog) {
	if q.pending != nil {
		b.evict(q)
		return
	}
	r := q.recent
	p := &r.topic.policy.Subscribers
	switch r.kind {
	case RecoverLast:
		b.shorten(q, 1)
	case RecoverCount:
		b.shorten(q, p.RecoveryCount)
	case RecoverSize:
		for q.bytes > p.RecoverySize && q.ready > 1 {
			b.settle(q.earliest())
		}
		b.shorten(q, maxRecent)
	case RecoverTime:
		b.age(r)
		b.shorten(q, maxRecent)
	case RecoverRetained:
		b.shorten(q, 1)
		if e := q.front(); e != nil && e.stored.message != nil && len(e.stored.message.Content) == 0 {
			b.settle(e)
		}
	}
}

func (b *Broker) shorten(q *backlog, limit int) {
	for q.ready > limit {
		b.settle(q.earliest())
	}
}

// earliest is the ready entry that came first, whatever its priority.
func (q *backlog) earliest() *entry {
	var first *entry
	for p := range q.lists {
		if e := q.lists[p].head; e != nil && (first == nil || e.stored.sequence < first.stored.sequence) {
			first = e
		}
	}
	return first
}

// age discards what is too old, and notes when the newest came.
func (b *Broker) age(r *recent) {
	keep := r.topic.policy.Subscribers.RecoveryTime.Milliseconds()
	part := max(1, keep/periodsPerTime)
	if n := len(r.periods); n > 0 && r.periods[n-1].ends > b.now {
		r.periods[n-1].last = b.sequence
	} else {
		r.periods = append(r.periods, stretch{b.sequence, b.now + part})
	}
	for len(r.periods) > 0 && r.periods[0].ends <= b.now-keep {
		for e := r.backlog.earliest(); e != nil && e.stored.sequence <= r.periods[0].last; e = r.backlog.earliest() {
			b.settle(e)
		}
		r.periods = r.periods[1:]
	}
}

// ageRecent lets time pass for topics that keep messages for a time.
func (b *Broker) ageRecent() {
	for _, d := range b.sortedDestinations() {
		if d.recent != nil && d.recent.kind == RecoverTime && d.recent.backlog.ready > 0 {
			b.age(d.recent)
		}
	}
}

// recall gives a new subscription what its topics keep.
func (b *Broker) recall(s *subscription) {
	var kept []*entry
	for _, d := range s.topics {
		if r := d.recent; r != nil {
			if r.kind == RecoverTime {
				b.age(r)
			}
			for e := r.backlog.following(nil); e != nil; e = r.backlog.following(e) {
				kept = append(kept, e)
			}
		}
	}
	slices.SortFunc(kept, func(x, y *entry) int { return cmp.Compare(x.stored.sequence, y.stored.sequence) })
	l := &load{recalling: s}
	for _, e := range kept {
		switch m := e.stored.message; {
		case m == nil && s.selector != nil:
			l.stored = append(l.stored, e.stored)
		case m == nil || s.takes(m, nil):
			b.recallEntry(s, e.stored)
		}
	}
	if len(l.stored) > 0 {
		b.ask(l)
	}
}

// recallEntry puts a message that a topic kept in a subscription.
func (b *Broker) recallEntry(s *subscription, m *stored) {
	if m.expiration != 0 && m.expiration <= b.now {
		return
	}
	q := s.backlog
	e := &entry{stored: m, backlog: q, sibling: m.first}
	m.first = e
	q.insert(e, nil)
	q.size++
	q.bytes += int64(m.size)
	q.enqueued++
	b.watchExpiry(e)
	b.touch(q)
}

// recalled goes on when the bodies have come that a selector must see.
func (b *Broker) recalled(l *load) {
	s := l.recalling
	for _, m := range l.stored {
		if m.message == nil || m.first == nil {
			continue
		}
		if !s.backlog.removed && s.takes(m.message, nil) {
			b.recallEntry(s, m)
		}
		if m.inLog() && b.crowded(m) {
			b.uncache(m)
		}
	}
}
