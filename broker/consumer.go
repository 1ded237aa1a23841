package broker

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/godwitmq/godwit/message"
	"github.com/godwitmq/godwit/selector"
)

// consumer is one client's consumer: of queues it shares their backlogs with others, of topics it has a subscription of its own.
type consumer struct {
	conn         *connection
	id           ConsumerID
	about        Subscribe
	parts        []message.Destination // of a composite destination; one otherwise
	selector     *selector.Selector    // nil: all; of a queue consumer. A topic's is the subscription's
	prefetch     int
	seen         int // how many of the dispatched are marked seen: delivered, or acknowledged in a transaction
	dispatched   deque
	backlogs     []*backlog
	indexed      []*attachment // those that a selectorIndex serves
	subscription *subscription
	priority     int
	exclusive    bool
	policy       *Policy // of its first destination
	slow         slowness
	pace         pace
	discarded    int         // messages that it was too slow for
	pulls        int         // messages asked for by Pull
	timer        int32       // of a pull; index in timers plus 1
	browse       []*browsing // by backlog, what a browser is still to be shown
	browsing     bool        // it is a browser
	begun        bool        // browse is there
	browsed      bool        // all of it was shown
	total, acked uint64
	told         bool // of an advisory, that it is slow
}

// deque holds the entries at a consumer in the order of their dispatch.
type deque struct {
	buf       []*entry
	head      int
	unordered bool // their sequences do not just grow, as they do but for priorities, redeliveries and several destinations
}

func (d *deque) all() []*entry { return d.buf[d.head:] }
func (d *deque) len() int      { return len(d.buf) - d.head }

func (d *deque) push(e *entry) {
	if d.head > 64 && d.head*2 > len(d.buf) {
		n := copy(d.buf, d.buf[d.head:])
		clear(d.buf[n:])
		d.buf, d.head = d.buf[:n], 0
	}
	if n := len(d.buf); n > d.head && d.buf[n-1].stored.sequence >= e.stored.sequence {
		d.unordered = true
	}
	d.buf = append(d.buf, e)
}

// cut takes out the entries from i up to j, counted from the oldest.
func (d *deque) cut(i, j int) {
	live := d.buf[d.head:]
	if i < len(live)-j || j == len(live) && i == 0 { // there are fewer before than behind
		copy(live[j-i:j], live[:i])
		clear(live[:j-i])
		d.head += j - i
		if d.head == len(d.buf) {
			d.buf, d.head, d.unordered = d.buf[:0], 0, false
		}
		return
	}
	n := copy(live[i:], live[j:])
	clear(live[i+n:])
	d.buf = d.buf[:d.head+i+n]
}

// index finds the delivery with a sequence; -1 if it is not there.
func (d *deque) index(sequence uint64) int {
	all := d.all()
	if !d.unordered {
		i, found := slices.BinarySearchFunc(all, sequence, func(e *entry, sequence uint64) int { return cmp.Compare(e.stored.sequence, sequence) })
		if found {
			return i
		}
		return -1
	}
	for i, j := 0, len(all)-1; i <= j; i, j = i+1, j-1 { // most are acknowledged from one end
		if all[i].stored.sequence == sequence {
			return i
		}
		if all[j].stored.sequence == sequence {
			return j
		}
	}
	return -1
}

// credit is how many messages the consumer may be given now.
func (c *consumer) credit() int {
	if c.conn.throttled {
		return 0
	}
	if c.prefetch == 0 {
		return c.pulls
	}
	if c.pace.window != 0 {
		return min(c.prefetch, c.pace.window) - (c.dispatched.len() - c.seen)
	}
	return c.prefetch - (c.dispatched.len() - c.seen)
}

// forget takes an entry from the consumer.
func (c *consumer) forget(e *entry) {
	all := c.dispatched.all()
	i := c.dispatched.index(e.stored.sequence)
	if i >= 0 && all[i] != e { // one message in two of its queues
		i = slices.Index(all, e)
	}
	if i >= 0 {
		c.dispatched.cut(i, i+1)
	}
	c.gone(e)
}

// gone ends what the consumer and an entry just taken from dispatched have to do with each other.
func (c *consumer) gone(e *entry) {
	c.unsee(e)
	c.wakeIndexed()
	e.marks &^= shown
	e.consumer = nil
	e.backlog.inFlight--
}

// see takes an entry out of the consumer's window, which lets in another; unsee puts it back.
func (c *consumer) see(e *entry) {
	if !e.seen {
		e.seen = true
		c.seen++
		c.wakeIndexed()
	}
}

func (c *consumer) unsee(e *entry) {
	if e.seen {
		e.seen = false
		c.seen--
	}
}

// mayTake says whether the consumer may have messages of the destination: a temporary one is for its owner.
func (c *consumer) mayTake(d *destination) bool {
	return !d.name.Kind.IsTemporary() || d.owner == c.conn
}

func (c *consumer) wants(name message.Destination) bool { return fits(c.parts, name) }

// lasts says whether the consumer's coming makes a difference that outlives its connection: a durable subscription, or a queue that gets copies from then on. Of any
// other it can be told before the log has it: what a crash undoes is made again when the client is back.
func (c *consumer) lasts() bool {
	return c.subscription != nil || slices.ContainsFunc(c.parts, message.Destination.IsPattern) ||
		slices.ContainsFunc(c.backlogs, func(q *backlog) bool { return q.destination != nil && q.destination.copied })
}

func (b *Broker) subscribe(ev *Subscribe) {
	conn := b.connections[ev.Conn]
	if conn == nil {
		return
	}
	if conn.consumers[ev.Consumer] != nil {
		b.answer(ev.Conn, ev.Ref, nil)
		return
	}
	b.actor = ev.Conn
	c, err := b.newConsumer(conn, ev)
	if err != nil {
		b.answer(ev.Conn, ev.Ref, err)
		return
	}
	conn.consumers[ev.Consumer] = c
	if ev.Ref != 0 {
		b.tell(Effect{Conn: ev.Conn, Ref: ev.Ref, hold: c.lasts()})
	}
	b.adviseConsumer(c, false)
	switch {
	case c.subscription != nil:
		b.touch(c.subscription.backlog)
		if slices.ContainsFunc(c.parts, isAdvisory) {
			b.adviseNewcomer(c.subscription)
		}
	case c.browsing:
		b.browse(c)
	default:
		for _, q := range c.backlogs {
			b.touch(q)
		}
	}
}

func (b *Broker) newConsumer(conn *connection, ev *Subscribe) (*consumer, *Error) {
	op := "subscribe to " + ev.Destination.String()
	parts, perr := ev.Destination.Parts()
	if perr != nil {
		return nil, &Error{Code: InvalidDestination, Op: op, Detail: perr.Error()}
	}
	sel, serr := parseSelector(ev.Selector)
	if serr != nil {
		return nil, serr
	}
	c := &consumer{conn: conn, id: ev.Consumer, about: *ev, parts: parts, prefetch: max(0, ev.Prefetch)}
	topics := parts[0].Kind.IsTopic()
	c.follow(b.policyOf(parts[0]))
	c.slow.ackedAt = b.now
	if p := &c.policy.Consumers; !topics && p.ShrinkIdleWindow > 0 && !ev.Browser {
		c.pace.window = min(firstWindow, c.prefetch)
	}
	if b.policies.watched() {
		b.patrolBy(b.now + patrolPeriod)
	}
	for _, p := range parts {
		if p.Kind.IsTopic() != topics {
			return nil, &Error{Code: InvalidDestination, Op: op, Detail: "a consumer takes either queues or topics, not both"}
		}
	}
	if ev.Name != "" && !topics {
		return nil, &Error{Code: InvalidDestination, Detail: "Invalid Subscription: cannot durably subscribe to a Queue destination!"}
	}
	if ev.Name != "" && slices.ContainsFunc(parts, func(p message.Destination) bool { return p.Kind.IsTemporary() }) {
		return nil, &Error{Code: InvalidDestination, Op: op, Detail: "a durable subscription outlives its connection, and a temporary topic does not"}
	}
	var found []*destination
	for _, p := range parts {
		if p.IsPattern() {
			if !ev.Browser {
				if err := b.makeWildQueue(p, op, ev.MayCreate, conn.about.User); err != nil {
					return nil, err
				}
			}
			for _, d := range b.sortedDestinations() {
				if fits([]message.Destination{p}, d.name) && c.mayTake(d) {
					found = append(found, d)
				}
			}
			continue
		}
		d, err := b.lookup(p, op, ev.MayCreate, conn.about.User)
		if err != nil {
			return nil, err
		}
		if !c.mayTake(d) {
			return nil, &Error{Code: InvalidDestination, Op: op, Detail: fmt.Sprintf("Subscribing to a temporary %s created by another connection is not permitted", strings.TrimPrefix(kindName(p.Kind), "temp-"))}
		}
		found = append(found, d)
	}
	if topics {
		return c, b.subscribeTopics(c, found, sel)
	}
	c.selector = sel
	if ev.Browser {
		c.browsing = true
		for _, d := range found {
			c.backlogs = append(c.backlogs, d.queue)
		}
		return c, nil
	}
	for _, d := range found {
		if slices.Contains(c.backlogs, d.queue) {
			continue
		}
		d.queue.attach(c)
		d.consumers++
		if d.remembers {
			b.rememberSelector(d, c)
		}
		b.gate(d.queue)
	}
	if slices.ContainsFunc(parts, message.Destination.IsPattern) {
		b.wildConsumers = append(b.wildConsumers, c)
	}
	return c, nil
}

func kindName(k message.Kind) string {
	return strings.TrimSuffix(message.Destination{Kind: k}.String(), "://")
}

// parseSelector gives nil for a text that selects everything.
func parseSelector(text string) (*selector.Selector, *Error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	s, err := selector.Parse(text)
	if err != nil {
		return nil, &Error{Code: InvalidSelector, Op: "selector", Detail: err.Error(), Err: err}
	}
	return s, nil
}

func (b *Broker) setPrefetch(ev *SetPrefetch) {
	if c := b.consumer(ev.Conn, ev.Consumer); c != nil {
		c.prefetch = max(0, ev.Prefetch)
		if c.subscription != nil {
			b.limitPending(c.subscription)
		}
		b.wake(c)
	}
}

func (b *Broker) throttle(ev *Throttle) {
	conn := b.connections[ev.Conn]
	if conn == nil || conn.throttled == ev.On {
		return
	}
	conn.throttled = ev.On
	if ev.On {
		return
	}
	for _, id := range sortedKeys(conn.consumers) {
		if c := conn.consumers[id]; c != nil {
			b.wake(c)
		}
	}
}

func (b *Broker) consumer(conn ConnID, id ConsumerID) *consumer {
	if c := b.connections[conn]; c != nil {
		return c.consumers[id]
	}
	return nil
}

// wake dispatches to a consumer whose window may have opened.
func (b *Broker) wake(c *consumer) {
	if c.browsing {
		b.browse(c)
		return
	}
	c.wakeIndexed()
	for _, q := range c.backlogs {
		if q.mask != 0 {
			b.touch(q)
		}
	}
}

func (b *Broker) pull(ev *Pull) {
	c := b.consumer(ev.Conn, ev.Consumer)
	if c == nil {
		return
	}
	c.pulls++
	c.wakeIndexed()
	for _, q := range c.backlogs {
		q.dirty = true // dispatched here and now, so that an empty answer is known to be true
	}
	for _, q := range c.backlogs {
		q.dirty = false
		b.dispatch(q)
	}
	if c.pulls == 0 {
		return
	}
	if ev.Wait < 0 && (c.conn.throttled || slices.ContainsFunc(c.backlogs, func(q *backlog) bool { return q.loading })) {
		b.setPullTimer(c, b.now+loadPatience) // a message is on its way from the log, or to be given when the client has read what it has
		return
	}
	switch {
	case ev.Wait < 0:
		c.pulls = 0
		b.tell(Effect{Conn: ev.Conn, Kind: PullEmpty, Consumer: c.id})
	case ev.Wait > 0:
		b.setPullTimer(c, b.now+max(1, ev.Wait.Milliseconds()))
	}
}

// loadPatience is how long a Pull that would not wait waits for a message that is being read from the log, ms.
const loadPatience = 5000

func (b *Broker) unsubscribe(ev *Unsubscribe) {
	if c := b.consumer(ev.Conn, ev.Consumer); c != nil {
		b.removeConsumer(c, ev.LastDelivered)
		b.answer(ev.Conn, ev.Ref, nil)
		return
	}
	b.barrier(ev.Conn, ev.Ref)
}

// removeConsumer ends a consumer; what it has goes back.
func (b *Broker) removeConsumer(c *consumer, lastDelivered uint64) {
	delete(c.conn.consumers, c.id)
	defer b.adviseConsumer(c, true)
	b.clearPullTimer(c)
	b.wildConsumers = slices.DeleteFunc(b.wildConsumers, func(x *consumer) bool { return x == c })
	if c.browsing {
		b.endBrowse(c)
		return
	}
	for _, q := range c.backlogs {
		q.detach(c)
		if c.subscription == nil {
			q.destination.consumers--
		}
		b.touch(q)
	}
	back := slices.Clone(c.dispatched.all())
	last := c.dispatched.index(lastDelivered)
	switch {
	case lastDelivered == Unknown:
		last = len(back)
	case last < 0: // it is not here: all before any that is older count as seen, since what went back before may have come out of order
		for i, e := range back {
			if e.stored.sequence <= lastDelivered {
				last = i
			}
		}
	}
	c.dispatched = deque{}
	held := make([]*entry, 0, len(back))
	for i, e := range back {
		had := e.is(shown)
		c.gone(e)
		if e.state == settling { // its transaction decides
			continue
		}
		switch {
		case c.conn.returns && !had:
			e.uncertain()
		case had || i <= last:
			e.raise()
		}
		held = append(held, e)
	}
	if c.subscription != nil && b.leaveSubscription(c, held) {
		return
	}
	b.giveBack(held)
}

// giveBack puts entries that were at a consumer back to their places.
func (b *Broker) giveBack(entries []*entry) {
	var raised []*entry
	var near *entry
	for i := len(entries) - 1; i >= 0; i-- {
		e := entries[i]
		q := e.backlog
		limit, rules := b.redeliveryLimit(e)
		exceeds := limit > 0 && int(e.redeliveries) > limit
		if exceeds && rules == nil {
			b.judgeLater(e, func() { b.giveBack([]*entry{e}) })
			continue
		}
		if e.redeliveries > 0 && q.id != 0 && e.stored.flags&logged != 0 {
			raised = append(raised, e)
		}
		if exceeds {
			b.exhausted(e, rules, fmt.Sprintf("Delivery[%d] exceeds redelivery policy limit: %d", e.redeliveries, limit))
			continue
		}
		if near != nil && near.backlog != q {
			near = nil
		}
		b.returnEntry(e, near)
		near = e
	}
	slices.SortStableFunc(raised, func(x, y *entry) int { return int(int64(x.backlog.id) - int64(y.backlog.id)) })
	for len(raised) > 0 {
		n := 1
		for n < len(raised) && n < maxSequences && raised[n].backlog == raised[0].backlog {
			n++
		}
		b.emitRedelivered(raised[0].backlog, raised[:n])
		raised = raised[n:]
	}
}

// returnEntry makes an entry that was away ready again. near is a ready entry close to its place, or nil.
func (b *Broker) returnEntry(e, near *entry) {
	e.state = ready
	if e.is(replaced) && e.backlog.keeping != nil {
		e.backlog.keeping.replaced = append(e.backlog.keeping.replaced, e)
	}
	if e.stored.flags&away != 0 {
		b.unhold(e.stored)
		b.hold(e.stored)
	}
	e.backlog.insert(e, near)
	b.watchExpiry(e)
	b.touch(e.backlog)
}

// maxSequences bounds one record that lists entries.
const maxSequences = 4096
