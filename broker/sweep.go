package broker

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/godwitmq/godwit/message"
	"github.com/godwitmq/godwit/selector"
)

// SweepKind says what a Sweep does with what it finds.
type SweepKind uint8

// The kinds.
const (
	// SweepShow counts, and gives the first ones.
	SweepShow SweepKind = iota
	// SweepMove sends each to another queue and settles it, both in one batch of the log.
	SweepMove
	// SweepCopy sends a copy of each to another destination.
	SweepCopy
	// SweepRemove settles each.
	SweepRemove
	// SweepRetry takes each dead letter back to where it died (retry.go). Those stay that have no such place any more.
	SweepRetry
)

// String is what the kind does, as a word for operations.
func (k SweepKind) String() string { return [...]string{"show", "move", "copy", "remove", "retry"}[k] }

// Sweep works through the messages that wait in a queue or a durable subscription, and touches neither those at consumers nor those that come in later. One Step does a
// bounded piece of it, which the answer tells when it is durable; SweepOn does the next. A connection has one sweep at a time; it ends with the last piece, another Sweep or
// the connection, and what was done until then stays done. What comes back from a consumer meanwhile may be left out.
//
// The answer's Value is a *Swept. Errors: NotFound, InvalidDestination, InvalidSelector, Denied, Malformed.
type Sweep struct {
	Conn     ConnID
	Ref      Ref
	Kind     SweepKind
	From     message.Destination // a queue
	ClientID string              // with Subscription
	// Subscription, if it is not "", is the name of a durable subscription that is meant instead of From.
	Subscription string
	To           message.Destination // of SweepMove a queue, of SweepCopy a topic as well; not composite
	Selector     string              // "": all
	IDs          []string            // only the messages of these ids; none: all
	Limit        int                 // how many are touched at most; 0: all
	First        int                 // how many Swept.First shows
	MayCreate    bool                // whether To may be made

	// Of SweepRetry, and of SweepShow to see what it would find:
	DeadLetters bool                // only dead letters; implied by SweepRetry
	Origin      message.Destination // only those that died there; it may be a pattern. Zero: wherever
	Cause       string              // only those whose cause contains this text
	Rate        int                 // messages a second at most, of SweepRetry; 0: as fast as it goes
}

// SweepOn does the next piece of the connection's sweep. Errors: NotFound if there is none.
type SweepOn struct {
	Conn ConnID
	Ref  Ref
}

func (*Sweep) isEvent()   {}
func (*SweepOn) isEvent() {}

// Swept is how far a sweep is. The numbers are from its beginning.
type Swept struct {
	Total    int    // how many messages waited at the beginning
	Examined int    // of those, how many it has looked at
	Batch    uint64 // of SweepRetry: names it for UndoRetry; 0 while nothing was taken back
	Affected int    // of those, how many fit, and were moved, copied or removed
	Done     bool   // there is nothing more to do
	Err      *Error
	First    []Found // the first of those that fit; in the last piece's answer
}

// Found is a message in a queue.
type Found struct {
	Message      *message.Message
	Sequence     uint64
	Redeliveries int
}

// How much one Step sweeps at most.
const (
	sweepLook     = 8192 // messages looked at
	sweepMessages = 1024 // messages moved or copied
	sweepBytes    = 512 << 10
	maxFound      = 1000 // of Swept.First
)

// sweep is one at work.
type sweep struct {
	conn     *connection
	about    Sweep
	ref      Ref // of the piece at work
	queue    *backlog
	to       *destination
	selector *selector.Selector
	ids      map[string]bool // still to be found; nil: all messages are meant
	until    uint64          // sequence of the newest message at the beginning
	priority int             // of the list that it is in
	next     *entry          // to be looked at; nil: the end of the list. backlog.remove keeps it right
	delayed  []*entry        // that are looked at after the lists
	settled  []*entry        // by the piece at work
	state    Swept
	loading  bool
	ended    bool
	batch    *retryBatch
	tokens   float64 // of SweepRetry with a Rate: how many may go now
	filled   int64   // when that was reckoned, ms since 1970
	timer    int32   // index in Broker.timers plus 1, while it waits for that
}

// sweep begins one.
func (b *Broker) sweep(ev *Sweep) {
	conn := b.connections[ev.Conn]
	if conn == nil {
		return
	}
	b.endSweep(conn)
	w, err := b.newSweep(conn, ev)
	if err != nil {
		b.answer(ev.Conn, ev.Ref, err)
		return
	}
	conn.sweep = w
	w.queue.sweeps = append(w.queue.sweeps, w)
	b.sweepPiece(conn, ev.Ref)
}

func (b *Broker) newSweep(conn *connection, ev *Sweep) (*sweep, *Error) {
	op := ev.op()
	q := b.swept(ev)
	if q == nil {
		return nil, &Error{Code: NotFound, Op: op, Detail: "there is no such " + ev.place()}
	}
	sel, err := parseSelector(ev.Selector)
	if err != nil {
		return nil, err
	}
	w := &sweep{conn: conn, about: *ev, queue: q, selector: sel, until: b.sequence, priority: len(q.lists) - 1}
	w.about.First = min(w.about.First, maxFound)
	w.about.DeadLetters = ev.DeadLetters || ev.Kind == SweepRetry
	w.state.Total = q.ready
	w.next = q.lists[w.priority].head
	if len(ev.IDs) > 0 {
		w.ids = make(map[string]bool, len(ev.IDs))
		for _, id := range ev.IDs {
			w.ids[id] = true
		}
	}
	if ev.Kind == SweepMove || ev.Kind == SweepCopy {
		w.to, err = b.sweepTarget(conn, ev, op+" to "+ev.To.String())
	}
	return w, err
}

// op is what a sweep does, for errors.
func (ev *Sweep) op() string {
	if ev.Subscription != "" {
		return fmt.Sprintf("%s messages of subscription %s of client %s", ev.Kind, ev.Subscription, ev.ClientID)
	}
	return fmt.Sprintf("%s messages of %s", ev.Kind, ev.From)
}

// place is what is swept, in a word.
func (ev *Sweep) place() string {
	if ev.Subscription != "" {
		return "durable subscription"
	}
	return "queue"
}

// swept finds what is meant, nil if it is not there.
func (b *Broker) swept(ev *Sweep) *backlog {
	if ev.Subscription != "" {
		if s := b.durables[durableKey{ev.ClientID, ev.Subscription}]; s != nil {
			return s.backlog
		}
		return nil
	}
	if d := b.destinations[ev.From]; d != nil {
		return d.queue
	}
	return nil
}

func (b *Broker) sweepTarget(conn *connection, ev *Sweep, op string) (*destination, *Error) {
	parts, err := ev.To.Parts()
	switch {
	case err != nil:
		return nil, &Error{Code: InvalidDestination, Op: op, Detail: err.Error()}
	case len(parts) > 1 || ev.To.IsPattern():
		return nil, &Error{Code: InvalidDestination, Op: op, Detail: "a composite name or a pattern cannot take messages of a " + ev.place()}
	case ev.To == ev.From:
		return nil, &Error{Code: InvalidDestination, Op: op, Detail: "it is the same queue"}
	case ev.Kind == SweepMove && ev.To.Kind.IsTopic():
		return nil, &Error{Code: InvalidDestination, Op: op, Detail: "a topic keeps nothing for later; copy the messages there and remove them"}
	}
	return b.lookup(ev.To, op, ev.MayCreate, conn.about.User)
}

func (b *Broker) sweepOn(ev *SweepOn) {
	conn := b.connections[ev.Conn]
	if conn == nil {
		return
	}
	if conn.sweep == nil {
		b.answer(ev.Conn, ev.Ref, &Error{Code: NotFound, Op: "go on with a sweep", Detail: "the connection has none"})
		return
	}
	b.sweepPiece(conn, ev.Ref)
}

// endSweep forgets a connection's sweep, if it has one.
func (b *Broker) endSweep(conn *connection) {
	w := conn.sweep
	if w == nil {
		return
	}
	conn.sweep = nil
	w.ended = true
	b.clearSweepTimer(w)
	b.retries.bound()
	b.leaveSweep(w)
}

// leaveSweep takes a sweep from its queue.
func (b *Broker) leaveSweep(w *sweep) {
	w.next, w.delayed = nil, nil
	if w.queue.sweeps = slices.DeleteFunc(w.queue.sweeps, func(x *sweep) bool { return x == w }); len(w.queue.sweeps) == 0 {
		w.queue.sweeps = nil
	}
}

// sweepPiece does the next piece, or asks for the bodies that it needs and comes again with them.
func (b *Broker) sweepPiece(conn *connection, ref Ref) {
	w := conn.sweep
	w.ref = ref
	if w.loading || !b.mayGoOn(w) {
		return // it is answered when they are there, or it is time
	}
	begun := 0
	if w.batch != nil {
		begun = len(w.batch.items)
	}
	if w.countsOnly() {
		w.state.Examined, w.state.Affected, w.state.Done = w.state.Total, w.state.Total, true
		if n := w.about.Limit; n > 0 {
			w.state.Affected = min(w.state.Total, n)
		}
		b.tellSwept(conn, w)
		return
	}
	size := 0
	for looked, sent := 0, 0; looked < sweepLook && sent < sweepMessages && size < sweepBytes && w.hasTokens(); looked++ {
		e := b.sweepNext(w)
		if e == nil || w.state.Err != nil {
			w.state.Done = true
			break
		}
		if e.stored.message == nil && w.needsBody() {
			if looked == 0 {
				b.loadForSweep(conn, w, e)
				return
			}
			break // what is done so far is told first
		}
		if b.sweepOne(w, e) {
			sent++
			size += int(e.stored.size)
		}
	}
	b.settleAll(w.settled)
	w.settled = nil
	if w.batch != nil && len(w.batch.items) > begun {
		b.emitRetry(w.batch, begun, false)
	}
	b.walked(w.queue)
	b.tellSwept(conn, w)
}

// sweepOne does with a message what the sweep is for, and says whether it was sent somewhere.
func (b *Broker) sweepOne(w *sweep, e *entry) (sent bool) {
	w.pass(e)
	if x := e.stored.expiration; x != 0 && x <= b.now || !w.wants(e) {
		b.sweepBack(e)
		return false
	}
	switch w.about.Kind {
	case SweepShow:
		w.show(e)
		b.sweepBack(e)
	case SweepRetry:
		if sent, w.state.Err = b.retry(w, e); !sent {
			b.sweepBack(e)
			return false
		}
		w.tokens--
	case SweepRemove:
		w.settled = append(w.settled, e)
	default:
		if w.state.Err = b.sweepSend(w, e); w.state.Err != nil {
			return false
		}
		if w.about.Kind == SweepMove {
			b.settle(e)
		}
		sent = true
	}
	w.state.Affected++
	return sent
}

// countsOnly says whether the number of messages that wait is all that is still asked for.
func (w *sweep) countsOnly() bool {
	return w.about.Kind == SweepShow && !w.about.DeadLetters && w.selector == nil && w.ids == nil && len(w.state.First) >= w.about.First
}

// tellSwept answers a piece.
func (b *Broker) tellSwept(conn *connection, w *sweep) {
	state := w.state
	if w.enough() || state.Err != nil {
		state.Done = true
	}
	if !state.Done {
		state.First = nil
	}
	b.tell(Effect{Conn: conn.id, Ref: w.ref, Value: &state, hold: true})
	if state.Done {
		b.endSweep(conn)
	}
}

// needsBody says whether a message must be in memory to be judged or sent.
func (w *sweep) needsBody() bool {
	switch w.about.Kind {
	case SweepMove, SweepCopy, SweepRetry:
		return true
	case SweepShow:
		return w.about.DeadLetters || w.selector != nil || w.ids != nil || len(w.state.First) < w.about.First
	}
	return w.selector != nil || w.ids != nil
}

// enough says whether everything was found that was to be found.
func (w *sweep) enough() bool {
	return w.about.Limit > 0 && w.state.Affected >= w.about.Limit || w.ids != nil && len(w.ids) == 0
}

// sweepNext gives the message to be looked at, nil if there is none.
func (b *Broker) sweepNext(w *sweep) *entry {
	q := w.queue
	if q.removed {
		w.state.Err = &Error{Code: NotFound, Op: w.about.op(), Detail: "the " + w.about.place() + " was removed meanwhile"}
		return nil
	}
	if w.enough() {
		return nil
	}
	for w.priority >= 0 {
		if w.next != nil && w.next.stored.sequence <= w.until {
			return w.next
		}
		if w.priority--; w.priority >= 0 {
			w.next = q.lists[w.priority].head
			continue
		}
		w.next = nil
		if q.size > q.ready+q.inFlight {
			for e := range b.delayed {
				if e.backlog == q && e.stored.sequence <= w.until {
					w.delayed = append(w.delayed, e)
				}
			}
			slices.SortFunc(w.delayed, func(x, y *entry) int { return cmp.Compare(x.stored.sequence, y.stored.sequence) })
			w.state.Total += len(w.delayed)
		}
	}
	for len(w.delayed) > 0 && w.delayed[0].state != delayed {
		w.delayed = w.delayed[1:]
	}
	if len(w.delayed) == 0 {
		return nil
	}
	return w.delayed[0]
}

// pass goes on behind the message that sweepNext has given.
func (w *sweep) pass(e *entry) {
	w.state.Examined++
	if w.priority < 0 {
		w.delayed = w.delayed[1:]
		return
	}
	w.next = w.queue.after(e)
}

// wants says whether a message is one of those that are meant.
func (w *sweep) wants(e *entry) bool {
	m := e.stored.message
	if w.about.DeadLetters && !w.wantsDead(m) {
		return false
	}
	if w.ids != nil {
		id := m.ID.String()
		if !w.ids[id] {
			return false
		}
		if w.selector == nil {
			delete(w.ids, id)
			return true
		}
	}
	return w.selector == nil || w.selector.Matches(message.Delivered{Message: m, Redeliveries: int(e.redeliveries)})
}

func (w *sweep) show(e *entry) {
	if len(w.state.First) < w.about.First {
		w.state.First = append(w.state.First, Found{Message: e.backlog.seen(e.stored.message), Sequence: e.stored.sequence, Redeliveries: int(e.redeliveries)})
	}
}

// sweepSend sends a message that waits to where the sweep brings it.
func (b *Broker) sweepSend(w *sweep, e *entry) *Error {
	if b.destinations[w.to.name] != w.to {
		return &Error{Code: NotFound, Op: w.about.Kind.String() + " messages to " + w.to.name.String(), Detail: "it was removed meanwhile"}
	}
	if !b.log.roomFor(int64(e.stored.size)) {
		return b.noRoom(w.about.Kind.String() + " messages to " + w.to.name.String())
	}
	m := w.queue.seen(e.stored.message).Copy()
	if m.Original.IsZero() {
		m.Original = m.Destination
	}
	if m.Destination = w.to.name; m.Original == m.Destination { // it is back where it was sent at first
		m.Original = message.Destination{}
	}
	b.sendOn(m, w.to)
	return nil
}

// sweepBack lets the body of a message that stays leave memory again if there is no room for it.
func (b *Broker) sweepBack(e *entry) {
	if s := e.stored; s.message != nil && s.flags&cached != 0 && s.inLog() && s.position != 0 && b.crowded(s) {
		b.uncache(s)
	}
}

// loadForSweep asks for the body of e and of those after it.
func (b *Broker) loadForSweep(conn *connection, w *sweep, e *entry) {
	l := &load{sweep: w, sweeper: conn}
	size := 0
	add := func(e *entry) {
		if e.stored.message == nil {
			l.stored = append(l.stored, e.stored)
			size += int(e.stored.size)
		}
	}
	if w.priority < 0 {
		add(e)
	} else {
		for ; e != nil && e.stored.sequence <= w.until && len(l.stored) < loadMessages && size < loadBytes; e = w.queue.after(e) {
			add(e)
		}
	}
	w.loading = true
	b.ask(l)
}

// sweepLoaded goes on with what was loaded.
func (b *Broker) sweepLoaded(l *load) {
	w := l.sweep
	w.loading = false
	if !w.ended {
		b.sweepPiece(l.sweeper, w.ref)
	}
	for _, s := range l.stored {
		if s.message != nil && s.flags&cached != 0 && s.first != nil && s.inLog() && s.position != 0 && b.crowded(s) {
			b.uncache(s)
		}
	}
}

// skipSwept keeps sweeps off an entry that leaves the list of ready ones.
func (q *backlog) skipSwept(e *entry) {
	for _, w := range q.sweeps {
		if w.next == e {
			w.next = q.after(e)
		}
	}
}
