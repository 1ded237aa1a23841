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

// recalling is a subscription that is being given what its topics keep.
type recalling struct {
	subscription *subscription
	rest         []*stored  // whose bodies must be read
	pinned       []*backlog // in which these are
	near         *entry     // the last that was put among others
}

// recall gives a new subscription what its topics keep: at once, or when the bodies have been read that are wanted for it.
func (b *Broker) recall(s *subscription) {
	r := &recalling{subscription: s}
	var kept []*entry
	for _, d := range s.topics {
		if x := d.recent; x != nil {
			if x.kind == RecoverTime {
				b.age(x)
			}
			for e := x.backlog.following(nil); e != nil; e = x.backlog.following(e) {
				kept = append(kept, e)
			}
			x.backlog.pins++
			r.pinned = append(r.pinned, x.backlog)
		}
	}
	slices.SortFunc(kept, func(x, y *entry) int { return cmp.Compare(x.stored.sequence, y.stored.sequence) })
	for _, e := range kept {
		switch m := e.stored; {
		case m.message == nil && s.mustRead(m):
			r.rest = append(r.rest, m)
		case m.message == nil || s.takes(m.message, nil):
			b.recallEntry(r, m)
		}
	}
	b.recallMore(r)
}

// mustRead says whether the body of a message of the past is wanted: for the selector, for the message's group, or for a record of its own.
func (s *subscription) mustRead(m *stored) bool {
	return s.selector != nil || s.shared || s.durable() && m.flags&persistent != 0
}

// recallMore asks for the next bodies, or ends it.
func (b *Broker) recallMore(r *recalling) {
	l := &load{recalling: r}
	size, n := 0, 0
	for ; n < len(r.rest) && len(l.stored) < loadMessages && size < loadBytes; n++ {
		if m := r.rest[n]; m.first != nil {
			l.stored = append(l.stored, m)
			size += int(m.size)
		}
	}
	if r.rest = r.rest[n:]; len(l.stored) > 0 {
		b.ask(l)
		return
	}
	for _, q := range r.pinned {
		q.pins--
		b.walked(q)
	}
	b.walked(r.subscription.backlog)
}

// recallEntry puts a message that a topic kept in a subscription. What the log says of that message does not name the subscription; so a durable one gets
// a copy with a record of its own, if the message is one that survives a crash. If the log has no room for it, it gets none.
func (b *Broker) recallEntry(r *recalling, m *stored) {
	if m.expiration != 0 && m.expiration <= b.now {
		return
	}
	q := r.subscription.backlog
	var e *entry
	if q.id != 0 && m.flags&persistent != 0 {
		if !b.log.roomFor(int64(m.size)) {
			return
		}
		body := m.message
		m = b.store(body, []*backlog{q}, m.sequence)
		m.flags |= logged
		b.log.room -= int64(len(b.emitMessage(m, body, false, []*backlog{q}).Body))
		b.hold(m)
		b.fresh = append(b.fresh, m)
		e = m.first
	} else {
		e = &entry{stored: m, backlog: q, sibling: m.first}
		m.first = e
	}
	if q.shares && m.message.GroupID != "" {
		q.joinGroup(e, m.message.GroupID)
	}
	if r.near != nil && r.near.state != ready {
		r.near = nil
	}
	q.insert(e, r.near)
	r.near = e
	q.size++
	q.bytes += int64(m.size)
	q.enqueued++
	b.watchExpiry(e)
	b.touch(q)
}

// recalled goes on when bodies have come.
func (b *Broker) recalled(l *load) {
	r := l.recalling
	s := r.subscription
	for _, m := range l.stored {
		if m.message == nil || m.first == nil {
			continue
		}
		if !s.backlog.removed && s.takes(m.message, nil) {
			b.recallEntry(r, m)
		}
		if m.inLog() && b.crowded(m) {
			b.uncache(m)
		}
	}
	if s.backlog.removed {
		r.rest = nil
	}
	b.recallMore(r)
}
