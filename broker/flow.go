package broker

import (
	"cmp"
	"container/heap"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/godwitmq/godwit/message"
)

// LimitPolicy bounds what is at a destination, and says what becomes of a message for which there is no room: at the destination, in the journal, or
// in memory. It waits, while its client and everybody else may do all else; then it is refused.
type LimitPolicy struct {
	// Messages and Bytes are at how many messages, waiting or at consumers, a destination is full. A topic is as full as its fullest subscription.
	// 0 means no limit.
	Messages int
	Bytes    int64
	// Wait is how long a message waits for room before it is refused. 0 means 30 s; negative means not at all.
	Wait time.Duration
}

const defaultWait = 30 * time.Second

func (l *LimitPolicy) wait() int64 {
	if l.Wait == 0 {
		return defaultWait.Milliseconds()
	}
	return l.Wait.Milliseconds()
}

// How much may wait for room. A connection that only sends is not read when it has half of its part; with a consumer it is, for its
// acknowledgements make room, and what is too much is refused.
const (
	maxWaitingSends     = 1000
	maxWaitingBytes     = 4 << 20
	maxAllWaitingSends  = 50_000
	maxAllWaitingBytes  = 32 << 20
	storePollMillis     = 50 // how often it is looked whether the journal has room again
	whoFillsMillis      = 1000
	whoFillsDestination = 3
)

// flow is what waits for room.
type flow struct {
	rooms    []*room // where sends wait
	store    room    // for the journal
	memory   room
	ready    room  // for nothing but a Step: their producer's turn has come
	budget   int64 // bytes that may still be taken in in this Step
	due      waitHeap
	waiting  int
	bytes    int64
	serial   uint64
	refused  uint64
	short    bool   // of memory: see Pressure
	used     int64  // bytes, as Pressure said
	limit    int64  // bytes, as Pressure said
	fillsAt  int64  // when whoFills was made
	whoFills string // the destinations that fill the broker most
}

// room is one thing of which there may be too little, with the sends that wait for it, in order.
type room struct {
	destination *destination // nil: the journal or memory
	list        []*waitingSend
	head        int
	listed      bool // in flow.rooms
}

// waitingSend is a send for which there was no room.
type waitingSend struct {
	conn   *connection
	tx     *transaction
	event  *Send
	size   int64
	parts  int // of its destination, if it is composite; else 1
	serial uint64
	due    int64
	room   *room
	passed []*room // where it has waited already: there its turn has come
	// What a producer sends while a message of it waits waits behind it, in no room, for whatever destination it is: a copy sent again after a
	// failover is known by its producer's last sequence, so nothing may be taken in out of order.
	before, behind *waitingSend
	index          int  // in flow.due
	over           bool // it has been taken in, refused or forgotten
}

// waitHeap has what is due first in front.
type waitHeap []*waitingSend

func (h waitHeap) Len() int { return len(h) }
func (h waitHeap) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(h[i].due, h[j].due), cmp.Compare(h[i].serial, h[j].serial)) < 0
}
func (h waitHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push and Pop are heap.Interface's.
func (h *waitHeap) Push(x any) {
	x.(*waitingSend).index = len(*h)
	*h = append(*h, x.(*waitingSend))
}

// Pop is heap.Interface's.
func (h *waitHeap) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return x
}

// first gives who is next, or nil.
func (r *room) first() *waitingSend {
	for r.head < len(r.list) && r.list[r.head].over {
		r.pop()
	}
	if r.head == len(r.list) {
		return nil
	}
	return r.list[r.head]
}

// waiting counts those that wait, also behind them.
func (r *room) waiting() (n int) {
	for _, w := range r.list[r.head:] {
		for x := w; x != nil && !x.over; x = x.behind {
			n++
		}
	}
	return n
}

func (r *room) pop() {
	r.list[r.head] = nil
	r.head++
	if r.head == len(r.list) {
		r.list, r.head = r.list[:0], 0
	} else if r.head > 64 && r.head*2 > len(r.list) {
		n := copy(r.list, r.list[r.head:])
		clear(r.list[n:])
		r.list, r.head = r.list[:n], 0
	}
}

// full says whether a destination has as much as its policy lets it have.
func (d *destination) full() bool {
	l := &d.policy.Limit
	if d.queue != nil {
		return d.queue.beyond(l)
	}
	return slices.ContainsFunc(d.subscriptions, func(s *subscription) bool { return s.backlog.beyond(l) })
}

// beyond says whether a backlog has reached the limit, with what open transactions will put there; but queues that do not keep all make room by themselves.
func (q *backlog) beyond(l *LimitPolicy) bool {
	size, bytes := q.size, q.bytes
	if q.keeping == nil {
		size, bytes = size+q.reserved, bytes+q.toCome
	}
	return l.Messages > 0 && size >= l.Messages || l.Bytes > 0 && bytes >= l.Bytes
}

// errWaits says that a send waits for room.
var errWaits = &Error{Code: Full}

// waitForRoom lets a send wait if there is no room for it, or if another of its producer waits: then the error is errWaits. Any other says that it is
// refused.
func (b *Broker) waitForRoom(conn *connection, tx *transaction, ev *Send, to []*destination, parts []part, w *waitingSend) *Error {
	if w == nil && tx == nil && len(conn.line) > 0 {
		if before := conn.last(ev); before != nil {
			return b.follow(before, ev, to)
		}
	}
	if r := b.obstacle(ev, parts, w); r != nil {
		return b.park(conn, tx, ev, to, len(parts), r, w)
	}
	return nil
}

// obstacle gives the first thing of which there is not enough for a message, or nil. w is its place if it has waited already.
func (b *Broker) obstacle(ev *Send, parts []part, w *waitingSend) *room {
	later := ev.Schedule != nil && !b.policies.Scheduler.Off
	for i := range parts {
		p := &parts[i]
		if later {
			break // its time, and with it its place at the destination, is to come
		}
		if r := p.to.noRoom(w); r != nil {
			return r
		}
		for _, q := range p.copies {
			if r := q.destination.noRoom(w); r != nil {
				return r
			}
		}
	}
	f, m := &b.flow, ev.Message
	if m.Persistent || later {
		if r := &f.store; r.listed && r.first() != nil && !w.has(r) || !b.log.roomFor(int64(m.Size()*len(parts))) {
			return r
		}
	}
	if r := &f.memory; r.listed && r.first() != nil && !w.has(r) || b.memoryFull(m, len(parts)) {
		return r
	}
	return nil
}

// noRoom gives where to wait for room at a destination, or nil if it has some.
func (d *destination) noRoom(w *waitingSend) *room {
	if r := d.room; r != nil && r.first() != nil && !w.has(r) || (d.policy.Limit.Messages > 0 || d.policy.Limit.Bytes > 0) && d.full() {
		if d.room == nil {
			d.room = &room{destination: d}
		}
		return d.room
	}
	return nil
}

// has says whether a send has had its turn in a room.
func (w *waitingSend) has(r *room) bool {
	return w != nil && (w.room == r || slices.Contains(w.passed, r))
}

func (b *Broker) memoryFull(m *message.Message, targets int) bool {
	return b.flow.short || !m.Persistent && b.transient+b.unlogged > b.opt.MemoryBytes && !b.log.roomFor(int64(m.Size()*targets))
}

// A Step takes in at least one message that waited, and no more bytes than a part of a segment: its records must fit into one batch.
const (
	admitPart  = 64
	admitAgain = 1 // ms until the next Step that goes on with it
)

// cleared says whether there is room for the first that waits.
func (b *Broker) cleared(r *room, w *waitingSend) bool {
	switch {
	case r.destination != nil:
		return b.destinations[r.destination.name] != r.destination || !r.destination.full()
	case r == &b.flow.ready:
		return true
	case r == &b.flow.store:
		return b.log.roomFor(w.size * int64(w.parts))
	}
	return !b.memoryFull(w.event.Message, w.parts)
}

// park lets a send wait in a room.
func (b *Broker) park(conn *connection, tx *transaction, ev *Send, to []*destination, parts int, r *room, w *waitingSend) *Error {
	switch {
	case w == nil:
		policy := &to[0].policy.Limit
		if r.destination != nil {
			policy = &r.destination.policy.Limit
		}
		if d := r.destination; d != nil {
			b.adviseFull(d, "room", d.used())
			b.adviseFast(conn, d, ev.Message)
		}
		if w = b.line(conn, tx, ev, policy); w == nil {
			return b.tooFull(ev, r)
		}
	case w.room != nil:
		w.passed = append(w.passed, w.room)
	}
	w.parts = parts
	front := w.has(r) // it had its turn here, and others came between
	w.room = r
	if front {
		r.list = slices.Insert(r.list, r.head, w)
	} else {
		r.list = append(r.list, w)
	}
	b.enlist(r)
	return errWaits
}

func (b *Broker) enlist(r *room) {
	if !r.listed {
		r.listed = true
		b.flow.rooms = append(b.flow.rooms, r)
	}
}

// line gives a send its place among those that wait, or nil if it may not wait.
func (b *Broker) line(conn *connection, tx *transaction, ev *Send, policy *LimitPolicy) *waitingSend {
	f := &b.flow
	wait, size := policy.wait(), int64(ev.Message.Size())
	if wait <= 0 || len(conn.line) > 0 && (len(conn.line) >= maxWaitingSends || conn.waitingBytes+size > maxWaitingBytes) ||
		f.waiting > 0 && (f.waiting >= maxAllWaitingSends || f.bytes+size > maxAllWaitingBytes) {
		return nil
	}
	f.serial++
	w := &waitingSend{conn: conn, tx: tx, event: ev, size: size, serial: f.serial, due: b.now + wait}
	heap.Push(&f.due, w)
	conn.line = append(conn.line, w)
	conn.waitingBytes += size
	f.waiting++
	f.bytes += size
	if tx != nil {
		tx.waiting = append(tx.waiting, w)
	}
	b.holdReader(conn)
	return w
}

// last finds the newest message of a send's producer that waits, outside transactions: those are taken in as a whole.
func (c *connection) last(ev *Send) *waitingSend {
	m := ev.Message
	for i := len(c.line) - 1; i >= 0; i-- {
		w := c.line[i]
		if x := w.event.Message; w.tx == nil && x.Persistent == m.Persistent && x.ID.Producer == m.ID.Producer {
			return w
		}
	}
	return nil
}

// follow lets a send wait behind another of its producer.
func (b *Broker) follow(before *waitingSend, ev *Send, to []*destination) *Error {
	w := b.line(before.conn, nil, ev, &to[0].policy.Limit)
	if w == nil {
		return b.tooFull(ev, before.waitsFor())
	}
	w.parts = 1
	w.before, before.behind = before, w
	return errWaits
}

// waitsFor is the room that it waits for, or that for which who is before it does.
func (w *waitingSend) waitsFor() *room {
	for w.room == nil {
		w = w.before
	}
	return w.room
}

// holdReader stops and restarts the reading of a connection that has only sends to be read.
func (b *Broker) holdReader(c *connection) {
	much := len(c.line) >= maxWaitingSends/2 || c.waitingBytes >= maxWaitingBytes/2
	few := len(c.line) <= maxWaitingSends/4 && c.waitingBytes <= maxWaitingBytes/4
	switch {
	case !c.held && much && !c.listens():
		c.held = true
		b.tell(Effect{Conn: c.id, Kind: Hold})
	case c.held && few:
		c.held = false
		b.tell(Effect{Conn: c.id, Kind: Resume})
	}
}

// listens says whether the connection has consumers whose acknowledgements may make room.
func (c *connection) listens() bool {
	for _, x := range c.consumers {
		if x.subscription == nil || !fitsAdvisory(x.subscription.parts) {
			return true
		}
	}
	return false
}

// finish ends the waiting of a send: it has been taken in and answered, or is answered here.
func (b *Broker) finish(w *waitingSend, err *Error) {
	if w == nil || w.over {
		return
	}
	w.over = true
	f, c := &b.flow, w.conn
	heap.Remove(&f.due, w.index)
	f.waiting--
	f.bytes -= w.size
	c.line = slices.DeleteFunc(c.line, func(x *waitingSend) bool { return x == w })
	c.waitingBytes -= w.size
	if b.connections[c.id] == c {
		if err != nil {
			b.answer(c.id, w.event.Ref, err)
		}
		b.holdReader(c)
	}
	if len(c.line) == 0 {
		b.answerBarriers(c)
	}
	if tx := w.tx; tx != nil {
		tx.waiting = slices.DeleteFunc(tx.waiting, func(x *waitingSend) bool { return x == w })
		if err != nil {
			tx.fail(err)
		}
		if ev := tx.end; ev != nil && len(tx.waiting) == 0 {
			tx.end = nil
			b.do(ev)
		}
	}
	before, behind := w.before, w.behind
	w.before, w.behind = nil, nil
	if before != nil {
		before.behind = behind
	}
	if behind != nil {
		if behind.before = before; before == nil {
			behind.room = &b.flow.ready
			b.flow.ready.list = append(b.flow.ready.list, behind)
			b.enlist(&b.flow.ready)
		}
	}
}

// takeWaiting takes in what has room now, and says whether that was anything.
func (b *Broker) takeWaiting() bool {
	f := &b.flow
	any := false
	for i := 0; i < len(f.rooms); {
		r := f.rooms[i]
		for w := r.first(); w != nil && f.budget > 0 && b.cleared(r, w); w = r.first() {
			r.pop()
			f.budget -= w.size * int64(w.parts)
			any = true
			b.take(w.conn, w.event, w)
			if r.first() == w {
				break // there was not enough after all
			}
		}
		if r.first() != nil {
			i++
			continue
		}
		r.listed = false
		if r.destination != nil {
			r.destination.room = nil
		}
		f.rooms = slices.Delete(f.rooms, i, i+1)
	}
	return any
}

// refuseLate refuses what has waited for as long as it may.
func (b *Broker) refuseLate() {
	f := &b.flow
	for n := 0; n < maxPerTick && len(f.due) > 0 && f.due[0].due <= b.now; n++ {
		w := f.due[0]
		if w.room == &f.ready { // it has not been tried yet
			w.due = b.now + admitAgain
			heap.Fix(&f.due, 0)
			continue
		}
		b.finish(w, b.tooFull(w.event, w.waitsFor()))
	}
}

// deadline is when refuseLate has work, or admit may have; something waits.
func (f *flow) deadline(now int64) int64 {
	if f.budget <= 0 || f.ready.listed {
		return now + admitAgain
	}
	if f.store.listed || f.memory.listed {
		return min(f.due[0].due, now+storePollMillis)
	}
	return f.due[0].due
}

// defers says whether the end of a transaction must wait for sends of it that wait for room; it is then done after them.
func (b *Broker) defers(tx *transaction, ev Event) bool {
	if len(tx.waiting) == 0 {
		return false
	}
	tx.end = ev
	return true
}

// forgetWaiting ends the waiting of a transaction's sends because it is rolled back.
func (b *Broker) forgetWaiting(tx *transaction) {
	if ev, ok := tx.end.(*Commit); ok {
		b.answer(ev.Conn, ev.Ref, &Error{Code: TransactionRolledBack, Op: "commit", Detail: "the transaction was rolled back while it waited for room"})
	}
	tx.end = nil
	for len(tx.waiting) > 0 {
		b.finish(tx.waiting[0], &Error{Code: TransactionRolledBack, Op: "send to " + tx.waiting[0].event.Message.Destination.String(), Detail: "the transaction was rolled back while the message waited for room"})
	}
}

// barrier answers an event that asks for nothing but to be answered after all before it, sends that wait included.
func (b *Broker) barrier(conn ConnID, ref Ref) {
	if c := b.connections[conn]; c != nil && len(c.line) > 0 && ref != 0 {
		c.barriers = append(c.barriers, ref)
		return
	}
	b.answer(conn, ref, nil)
}

func (b *Broker) answerBarriers(c *connection) {
	for _, ref := range c.barriers {
		b.answer(c.id, ref, nil)
	}
	c.barriers = nil
}

// leaveWaiting is what becomes of a gone connection's sends that wait: of those that it wanted answered it cannot know, and does not rely on
// them; the others it takes for sent.
func (b *Broker) leaveWaiting(c *connection) {
	b.answerBarriers(c)
	line := slices.Clone(c.line)
	for i := len(line) - 1; i >= 0; i-- { // so that nobody's turn comes by it who is to go as well
		if w := line[i]; w.event.Ref != 0 {
			b.finish(w, &Error{Code: Stopping, Detail: "the connection has ended"})
		}
	}
}

// tooFull says what there is not enough room for, and who fills it.
func (b *Broker) tooFull(ev *Send, r *room) *Error {
	b.flow.refused++
	e := &Error{Code: Full, Op: "send to " + ev.Message.Destination.String()}
	switch {
	case r.destination != nil:
		r.destination.sendsRefused++
		e.Detail = r.destination.fullness()
	case r == &b.flow.store:
		e.Detail = b.noRoom("").Detail
	case b.flow.short:
		e.Detail = fmt.Sprintf("the broker has used %d of the %d bytes of memory that it may take; consume or purge messages, or give it more", b.flow.used, b.flow.limit)
	default:
		e.Detail = fmt.Sprintf("non-persistent messages take %d bytes of memory, their limit is %d, and the journal has no room to relieve it; consume or purge messages", b.transient+b.unlogged, b.opt.MemoryBytes)
	}
	if r.destination == nil {
		e.Detail += b.fills()
	}
	return e
}

// noRoom says that the journal is full.
func (b *Broker) noRoom(op string) *Error {
	return &Error{Code: Full, Op: op, Detail: fmt.Sprintf("the journal has no room for more messages (%d bytes are in use, %d of them live); consume or purge messages, or give it more space", b.log.used(), b.log.live)}
}

// fullest is the destination's backlog with the most bytes, or nil.
func (d *destination) fullest() *backlog {
	fullest := d.queue
	for _, s := range d.subscriptions {
		if fullest == nil || s.backlog.bytes > fullest.bytes {
			fullest = s.backlog
		}
	}
	return fullest
}

// used is how many bytes count against the destination's limit.
func (d *destination) used() int64 {
	if q := d.fullest(); q != nil {
		return q.bytes
	}
	return 0
}

// fullness says how full a destination is and who is to empty it.
func (d *destination) fullness() string {
	l := &d.policy.Limit
	fullest := d.fullest()
	if fullest == nil {
		return fmt.Sprintf("%s is full", d.name)
	}
	text := fmt.Sprintf("%s is full: %d messages of %d bytes (limit", d.name, fullest.size, fullest.bytes)
	if l.Messages > 0 {
		text += fmt.Sprintf(" %d messages", l.Messages)
	}
	if l.Bytes > 0 {
		text += fmt.Sprintf(" %d bytes", l.Bytes)
	}
	if text += ")"; fullest.reserved > 0 {
		text += fmt.Sprintf(", and %d of %d bytes to come from open transactions", fullest.reserved, fullest.toCome)
	}
	return text + "; " + fullest.emptiers()
}

// emptiers says who consumes a backlog, and who holds most of it.
func (q *backlog) emptiers() string {
	if len(q.attached) == 0 {
		return "nobody consumes it"
	}
	most := q.attached[0].consumer
	for _, a := range q.attached {
		if a.consumer.dispatched.len() > most.dispatched.len() {
			most = a.consumer
		}
	}
	who := most.conn.about.ClientID
	if who == "" {
		who = most.conn.about.Name
	}
	return fmt.Sprintf("%d consumers have %d of them unacknowledged, %d the one of client %s at %s", len(q.attached), q.inFlight, most.dispatched.len(), who, most.conn.about.Remote)
}

// fills names the destinations that fill the broker most. It is made once a second at most.
func (b *Broker) fills() string {
	f := &b.flow
	if f.fillsAt != 0 && b.now-f.fillsAt < whoFillsMillis {
		return f.whoFills
	}
	type share struct {
		d     *destination
		bytes int64
		size  int
		taken int
	}
	var top []share
	for _, d := range b.destinations {
		x := share{d: d}
		if d.queue != nil {
			x.bytes, x.size, x.taken = d.queue.bytes, d.queue.size, len(d.queue.attached)
		}
		for _, s := range d.subscriptions {
			x.bytes, x.size, x.taken = x.bytes+s.backlog.bytes, x.size+s.backlog.size, x.taken+len(s.backlog.attached)
		}
		if x.bytes > 0 {
			top = append(top, x)
		}
	}
	slices.SortFunc(top, func(x, y share) int {
		return cmp.Or(cmp.Compare(y.bytes, x.bytes), strings.Compare(x.d.name.String(), y.d.name.String()))
	})
	var text []string
	for _, x := range top[:min(len(top), whoFillsDestination)] {
		text = append(text, fmt.Sprintf("%s has %d bytes in %d messages and %d consumers", x.d.name, x.bytes, x.size, x.taken))
	}
	f.fillsAt, f.whoFills = b.now, ""
	if len(text) > 0 {
		f.whoFills = "; most is taken by: " + strings.Join(text, ", ")
	}
	return f.whoFills
}

// Pressure tells the core whether the process has used so much of the memory that it may take that nothing more may be taken in.
type Pressure struct {
	Short       bool
	Used, Limit int64 // bytes
}

func (*Pressure) isEvent() {}

func (b *Broker) pressure(ev *Pressure) {
	b.flow.short, b.flow.used, b.flow.limit = ev.Short, ev.Used, ev.Limit
}
