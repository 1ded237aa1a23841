package broker

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/godwitmq/godwit/message"
)

// A retry is a sweep (SweepRetry) that takes dead letters back to where they died: to the queue, or to the durable subscription alone. Each goes in one batch
// of the log with the end of its dead letter and with its name in the list of the sweep's batch, so it is in exactly one place at any time. It keeps the
// properties that say how it died, which is how an undo makes the dead letter again.

// retryBatch is what one retry has taken back to its origins.
type retryBatch struct {
	id    uint64
	at    int64 // when it was begun, ms since 1970
	queue message.Destination
	items []retried
	home  uint64 // position of the oldest record that is needed
	// read says that it was read back: then nobody knows of a message that counts as delivered once whether it was.
	read bool
}

// retried names a message that was taken back.
type retried struct{ backlog, sequence uint64 }

// How much is remembered for an undo: of so many retries, and so many messages of all of them, 16 bytes each. The oldest are forgotten.
const (
	maxRetries = 100
	maxRetried = 1_000_000
)

// retries are the batches in the order of their ids.
type retries struct {
	batches []*retryBatch
	next    uint64
	items   int
}

func (r *retries) of(id uint64) *retryBatch {
	i, found := slices.BinarySearchFunc(r.batches, id, func(x *retryBatch, id uint64) int { return cmp.Compare(x.id, id) })
	if !found {
		return nil
	}
	return r.batches[i]
}

func (r *retries) forget(t *retryBatch) {
	r.items -= len(t.items)
	r.batches = slices.DeleteFunc(r.batches, func(x *retryBatch) bool { return x == t })
}

// bound forgets the oldest of what is too much.
func (r *retries) bound() {
	for len(r.batches) > maxRetries || r.items > maxRetried && len(r.batches) > 1 {
		r.forget(r.batches[0])
	}
}

// Retries asks which retries can be undone. The answer's Value is a []RetryView, the newest first.
type Retries struct {
	Conn ConnID
	Ref  Ref
}

// UndoRetry makes dead letters again of the messages of a retry that still wait where they were taken and were never delivered there, as far as is
// known: after a crash one delivery is forgiven, for then all that may have been delivered counts as such. The answer's Value is
// their number (int). Errors: NotFound.
type UndoRetry struct {
	Conn  ConnID
	Ref   Ref
	Batch uint64
}

func (*Retries) isEvent()   {}
func (*UndoRetry) isEvent() {}

// RetryView is one retry.
type RetryView struct {
	Batch    uint64 `json:"batch"`
	Queue    string `json:"queue"`
	At       int64  `json:"at"` // ms since 1970
	Messages int    `json:"messages"`
}

func (b *Broker) listRetries(ev *Retries) {
	views := []RetryView{}
	for _, t := range slices.Backward(b.retries.batches) {
		views = append(views, RetryView{Batch: t.id, Queue: t.queue.String(), At: t.at, Messages: len(t.items)})
	}
	b.tell(Effect{Conn: ev.Conn, Ref: ev.Ref, Value: views, hold: true})
}

// wantsDead says whether a message is a dead letter that the sweep means.
func (w *sweep) wantsDead(m *message.Message) bool {
	origin, _ := m.Origin()
	return !origin.IsZero() && (w.about.Origin.IsZero() || origin == w.about.Origin || origin.Kind == w.about.Origin.Kind && message.MatchName(w.about.Origin.Name, origin.Name)) &&
		strings.Contains(m.Cause(), w.about.Cause)
}

// retryTarget gives the backlog where a dead letter died; nil if it is gone, or was one of a subscription that was not durable.
func (b *Broker) retryTarget(m *message.Message) *backlog {
	origin, subscription := m.Origin()
	if origin.Kind.IsTopic() {
		for _, s := range b.durables {
			if subscription != "" && s.clientID+"/"+s.name == subscription {
				return s.backlog
			}
		}
		return nil
	}
	d, err := b.lookup(origin, "retry", true, "")
	if err != nil {
		return nil
	}
	return d.queue
}

// retry takes one dead letter back, and says whether there is a place for it.
func (b *Broker) retry(w *sweep, e *entry) (bool, *Error) {
	m := e.stored.message
	q := b.retryTarget(m)
	if q == nil || q == e.backlog {
		return false, nil
	}
	if !b.log.roomFor(int64(e.stored.size)) {
		return false, b.noRoom("retry messages of " + w.about.From.String())
	}
	r := &b.retries
	if w.batch == nil {
		r.next++
		w.batch = &retryBatch{id: r.next, at: b.now, queue: w.about.From}
		r.batches = append(r.batches, w.batch)
		w.state.Batch = w.batch.id
	}
	b.put(revive(m, w.batch.id, b.now), []*backlog{q}, false)
	w.batch.items = append(w.batch.items, retried{q.id, b.sequence})
	r.items++
	b.settle(e)
	return true, nil
}

// revive makes of a dead letter the message that it was. Its expiry is the one that it had or, if that is over, as far away as it was when it was sent.
func revive(m *message.Message, batch uint64, now int64) *message.Message {
	c := m.Copy()
	c.Destination, _ = m.Origin()
	if c.Original == c.Destination {
		c.Original = message.Destination{}
	}
	c.Expiration = 0
	if at, _ := m.Properties.Get(message.OriginalExpiration); at != nil {
		if at, ok := at.(int64); ok && at > now {
			c.Expiration = at
		} else if life := at - m.Timestamp; ok && m.Timestamp != 0 && life > 0 {
			c.Expiration = now + life
		}
	}
	c.Properties = m.Properties.Change(nil, message.Property{Name: message.DeadLetterBatch, Value: int64(batch)})
	return c
}

// emitRetry writes the messages of a batch from one on. A batch of which nothing was taken any more, or that was undone, is written without: it is over.
func (b *Broker) emitRetry(t *retryBatch, from int, over bool) {
	if over {
		start := b.writeRetryHead(t)
		b.number(0)
		b.emit(start, Record{Lazy: true})
		return
	}
	for first := true; first || from < len(t.items); first = false {
		r := Record{Lazy: true}
		if from == 0 {
			r.home = &t.home
		}
		start, n := b.writeRetry(t, from)
		b.emit(start, r)
		from += n
	}
}

func (b *Broker) writeRetryHead(t *retryBatch) int {
	start := b.begin(recordRetry)
	b.number(t.id)
	b.number(uint64(t.at))
	b.number(uint64(t.queue.Kind))
	b.text(t.queue.Name)
	return start
}

// writeRetry writes as many messages of a batch from one on as a record takes, and says how many.
func (b *Broker) writeRetry(t *retryBatch, from int) (start, n int) {
	n = min(len(t.items)-from, maxSequences)
	start = b.writeRetryHead(t)
	b.number(uint64(from) + 1)
	for _, x := range t.items[from : from+n] {
		b.number(x.backlog)
		b.number(x.sequence)
	}
	return start, n
}

// carryRetries writes again what the log's head passes.
func (b *Broker) carryRetries(before uint64) {
	for _, t := range b.retries.batches {
		if len(t.items) > 0 && t.home < before {
			b.emitRetry(t, 0, false)
		}
		b.log.carried += int64(len(t.items))*8 + recordBytes
	}
}

func (b *Broker) replayRetry(position uint64, f *fields) {
	id, at, kind, name, from := f.number(), int64(f.number()), message.Kind(f.number()), f.text(), f.number()
	if f.failed {
		return
	}
	r := &b.retries
	r.next = max(r.next, id)
	t := r.of(id)
	if from == 0 {
		if t != nil {
			r.forget(t)
		}
		return
	}
	if t == nil {
		t = &retryBatch{id: id, at: at, queue: message.Destination{Kind: kind, Name: name}, home: position, read: true}
		i, _ := slices.BinarySearchFunc(r.batches, id, func(x *retryBatch, id uint64) int { return cmp.Compare(x.id, id) })
		r.batches = slices.Insert(r.batches, i, t)
	}
	if from == 1 {
		t.home = position
	}
	for i := int(from) - 1; len(f.rest) > 0 && !f.failed; i++ {
		x := retried{f.number(), f.number()}
		if i < len(t.items) { // written again
			t.items[i] = x
		} else if i == len(t.items) { // else what was before it is gone with the head: it was forgotten
			t.items = append(t.items, x)
			r.items++
		}
	}
	r.bound()
}

// undo is one at work.
type undo struct {
	conn  ConnID
	ref   Ref
	batch *retryBatch
	rest  []*entry
	done  int
	// pinned are the backlogs of rest, which are not packed meanwhile.
	pinned []*backlog
}

func (b *Broker) undoRetry(ev *UndoRetry) {
	t := b.retries.of(ev.Batch)
	if t == nil {
		b.answer(ev.Conn, ev.Ref, &Error{Code: NotFound, Op: "undo retry", Detail: fmt.Sprintf("there is no retry %d that could be undone", ev.Batch)})
		return
	}
	for _, c := range b.connections {
		if c.sweep != nil && c.sweep.batch == t {
			b.answer(ev.Conn, ev.Ref, &Error{Code: InUse, Op: "undo retry", Detail: fmt.Sprintf("retry %d is still at work; end it first", t.id)})
			return
		}
	}
	b.retries.forget(t)
	u := &undo{conn: ev.Conn, ref: ev.Ref, batch: t}
	b.untouched(u)
	b.undoMore(u)
}

// spares says whether an undo may take a message that waits: it was not delivered, as far as is known.
func (t *retryBatch) spares(e *entry) bool {
	return !e.backlog.removed && (e.redeliveries == 0 || t.read && e.redeliveries == 1)
}

// untouched finds the messages of a batch that still wait and were never delivered.
func (b *Broker) untouched(u *undo) {
	t := u.batch
	byBacklog := map[uint64]map[uint64]bool{}
	for _, x := range t.items {
		if byBacklog[x.backlog] == nil {
			byBacklog[x.backlog] = map[uint64]bool{}
		}
		byBacklog[x.backlog][x.sequence] = true
	}
	for _, id := range sortedKeys(byBacklog) {
		if q := b.backlogs[id]; q != nil {
			q.pins++
			u.pinned = append(u.pinned, q)
			for e := q.front(); e != nil; e = q.following(e) {
				if byBacklog[id][e.stored.sequence] && t.spares(e) {
					u.rest = append(u.rest, e)
				}
			}
		}
	}
	slices.SortFunc(u.rest, func(x, y *entry) int { return cmp.Compare(x.stored.sequence, y.stored.sequence) })
}

// undoMore asks for the next bodies, or ends it.
func (b *Broker) undoMore(u *undo) {
	l := &load{undo: u}
	size := 0
	n := 0
	for ; n < len(u.rest) && len(l.stored) < loadMessages && size < loadBytes; n++ {
		if e := u.rest[n]; e.state == ready && u.batch.spares(e) {
			l.stored, l.undone = append(l.stored, e.stored), append(l.undone, e)
			size += int(e.stored.size)
		}
	}
	if u.rest = u.rest[n:]; len(l.stored) > 0 {
		b.ask(l)
		return
	}
	for _, q := range u.pinned {
		q.pins--
		b.walked(q)
	}
	b.emitRetry(u.batch, 0, true)
	b.tell(Effect{Conn: u.conn, Ref: u.ref, Value: u.done, hold: true})
}

// undoLoaded makes dead letters again. What has been delivered or was moved in the log meanwhile is left, and so is all if there is no room.
func (b *Broker) undoLoaded(l *load) {
	u := l.undo
	for _, e := range l.undone {
		m := e.stored.message
		if m == nil || e.state != ready || !u.batch.spares(e) || !b.log.roomFor(int64(e.stored.size)) {
			continue
		}
		d, err := b.lookup(u.batch.queue, "undo retry", true, "")
		if err != nil {
			u.rest = nil
			break
		}
		b.put(b.rebury(m, d), d.targets(nil, m, nil), false)
		b.settle(e)
		u.done++
	}
	b.undoMore(u)
}

// rebury gives the dead letter that a retry has taken back.
func (b *Broker) rebury(m *message.Message, d *destination) *message.Message {
	c := m.Copy()
	if c.Original.IsZero() {
		c.Original = m.Destination
	}
	c.Destination, c.Expiration, c.Persistent = d.name, 0, true
	c.Properties = m.Properties.Change(func(name string) bool { return name == message.DeadLetterBatch })
	return c
}

// mayGoOn says whether a sweep's rate lets it take a message now; if not it goes on by itself when it does.
func (b *Broker) mayGoOn(w *sweep) bool {
	rate := float64(w.about.Rate)
	if w.about.Kind != SweepRetry || rate <= 0 {
		return true
	}
	if w.filled == 0 {
		w.tokens, w.filled = 1, b.now
	}
	w.tokens = min(w.tokens+float64(b.now-w.filled)*rate/1000, max(1, rate/4))
	w.filled = b.now
	if b.sweepNext(w) == nil {
		w.tokens = 1 // to see that it is over
	}
	if w.tokens >= 1 {
		return true
	}
	b.setSweepTimer(w, b.now+int64((1-w.tokens)*1000/rate)+1)
	return false
}

func (w *sweep) hasTokens() bool {
	return w.about.Kind != SweepRetry || w.about.Rate <= 0 || w.tokens >= 1
}
