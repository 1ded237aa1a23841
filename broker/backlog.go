package broker

import (
	"math"
	"math/bits"

	"github.com/godwitmq/godwit/message"
)

// entryState says where an entry is.
type entryState uint8

const (
	ready      entryState = iota // waits in its backlog
	dispatched                   // at a consumer
	settling                     // acknowledged in an open transaction
	delayed                      // waits for its redelivery time
	dying                        // on its way to the dead-letter queue, its body being loaded
	scheduled                    // waits to be sent where it is to go (schedule.go)
	gone                         // settled
	inPack                       // the place of a pack among the ready entries
)

// entry is one message's place in one backlog. A waiting message costs an entry and a stored, 128 bytes together when
// it is in a single backlog; mind that when adding a field.
type entry struct {
	stored       *stored
	backlog      *backlog
	next, prev   *entry    // in the list of ready entries of its priority
	consumer     *consumer // who has it
	sibling      *entry    // the next entry of the same stored
	timer        int32     // its place in the wheel; 0 is none
	redeliveries uint16
	state        entryState
	seen         bool // at a consumer whose window does not count it any more
	marks        entryMark
	sinceHigh    uint8
	sinceLow     uint16 // with sinceHigh when it was dispatched, see dispatchedAt
	group        uint32 // number of its message group in its backlog; 0: none. With outBit while it is out
}

// entryMark is what is known of an entry now and then.
type entryMark uint8

const (
	replaced entryMark = 1 << iota // in a last-value queue: a newer message has come
	shown                          // its consumer's application has had it, and will get it once more from the client
)

func (e *entry) is(m entryMark) bool { return e.marks&m != 0 }

// stored is a message as the broker keeps it, shared by all entries that stand for it.
type stored struct {
	message    *message.Message // nil: only in the log
	position   uint64           // of its record; 0: not placed yet, or not in the log
	next, prev *stored          // in the list of its extent
	first      *entry
	sequence   uint64 // its number among all messages: order, and name of the delivery
	expiration int64  // ms since 1970; 0 is never
	size       uint32 // of its encoded form, bytes
	priority   uint8
	flags      storedFlag
}

type storedFlag uint8

const (
	persistent storedFlag = 1 << iota // was sent as such
	logged                            // has a record from which it is recovered
	spilled                           // has a record that only saves memory and is nothing after a restart
	moving                            // is being moved to the log's tail
	cached                            // its bytes are counted in Broker.cached
	transacted                        // came with a transaction: visible only with the commit record
	dead                              // needed by nobody
	away                              // not in the log and at a consumer: its bytes are counted in Broker.away
)

// raise counts one more delivery that came to nothing.
func (e *entry) raise() {
	if e.redeliveries < math.MaxUint16 {
		e.redeliveries++
	}
}

// uncertain says that the entry may have been seen, by a delivery that has not come to an end.
func (e *entry) uncertain() { e.redeliveries = max(e.redeliveries, 1) }

// single is an entry with its stored in one piece of memory.
type single struct {
	entry  entry
	stored stored
}

// inLog says whether its body can be loaded from the log.
func (s *stored) inLog() bool { return s.flags&(logged|spilled) != 0 }

// entryList is a doubly linked list of ready entries in the order of their sequence.
type entryList struct{ head, tail *entry }

// backlog is what waits for one queue or one subscription, by priority and then order.
type backlog struct {
	id          uint64 // in the log; 0: nothing of it is logged
	home        uint64 // position of the record that made it
	destination *destination
	sub         *subscription // whose backlog it is; nil: a queue's, or what a topic keeps
	lists       [10]entryList
	mask        uint16 // bit p is set if lists[p] is not empty
	ready       int    // entries in lists
	size        int    // all entries
	inFlight    int    // entries at consumers
	bytes       int64
	attached    []*attachment // by consumer priority, highest first
	turn        int           // who is next among equals
	exclusive   int           // attachments that are
	selective   int           // attachments with a selector
	pins        int           // of those that point to entries that wait: undos of retries
	choosers    *choosers     // nil if there are none of these
	packing     *packing      // nil: never was long
	groups      *groups       // nil if there are no message groups
	shares      bool          // several consumers may have it: of a queue or a shared subscription
	loading     bool          // bodies are on their way
	dirty       bool          // in Broker.dirty
	gated       bool          // waits for consumers before it dispatches
	strict      bool          // fills one consumer's window before the next one's
	gatedAt     int64         // of a gated one, ms since 1970: since when
	opensAt     int64         // of a gated one, ms since 1970; 0: when enough consumers are there
	bounded     bool          // holds only so many: it has recent or pending
	recent      *recent       // of what a topic keeps for retroactive consumers
	pending     *pending      // limit of a subscription; nil: none
	removed     bool          // with its destination or subscription
	mark        uint64        // entries up to this sequence may have been dispatched: said in the log
	markHome    uint64
	paused      bool // its consumers get nothing
	pausedHome  uint64
	sweeps      []*sweep
	browsed     []*browsing // by those that have not been shown all yet
	keeping     *keeping    // nil: all messages are kept
	reserved    int         // messages that open transactions will put here; they count against the destination's limit
	toCome      int64       // bytes of those
	counters
}

// counters of a destination since the broker's start.
type counters struct {
	enqueued, dequeued, dispatchedTotal, expired, deadLetters, replaced, discarded uint64
	waits                                                                          waits
}

// attachment binds a consumer to a backlog.
type attachment struct {
	consumer *consumer
	backlog  *backlog
	// scanned is, per priority, the last ready entry that the consumer's selector was tried on; all before it do not match.
	scanned [10]*entry
	chooser *chooser // nil where nobody has a selector
	alike   *alike   // in the chooser's index
	hungry  bool     // in selectorIndex.hungry
	owned   *owned   // of message groups
}

// pushBack makes e the last ready entry of its priority.
func (q *backlog) pushBack(e *entry) {
	p := e.stored.priority
	l := &q.lists[p]
	e.prev, e.next = l.tail, nil
	if l.tail != nil {
		l.tail.next = e
	} else {
		l.head = e
		q.mask |= 1 << p
	}
	l.tail = e
	q.ready++
	if q.groups != nil {
		q.groups.returned(e)
	}
}

// insert puts e among the ready entries where its sequence says. near is a ready entry close to its place, or nil.
func (q *backlog) insert(e, near *entry) {
	l := &q.lists[e.stored.priority]
	if l.tail == nil || l.tail.stored.sequence < e.stored.sequence {
		q.pushBack(e)
		return
	}
	after := l.head
	if near != nil && near.stored.priority == e.stored.priority {
		for after = near; after.prev != nil && after.prev.stored.sequence > e.stored.sequence; {
			after = after.prev
		}
	}
	for after.stored.sequence < e.stored.sequence {
		after = after.next
	}
	if x := after.prev; x != nil && x.state == inPack && q.packing.ends(x) > e.stored.sequence {
		for after = q.unpack(x); after.stored.sequence < e.stored.sequence; {
			after = after.next
		}
	}
	e.next, e.prev = after, after.prev
	if after.prev != nil {
		after.prev.next = e
	} else {
		l.head = e
	}
	after.prev = e
	q.ready++
	if q.choosers != nil {
		q.choosers.returned(e)
	}
	if q.groups != nil {
		q.groups.returned(e)
	}
}

// remove takes e out of the ready entries.
func (q *backlog) remove(e *entry) {
	if q.groups != nil {
		q.groups.removed(e)
	}
	p := e.stored.priority
	if q.choosers != nil {
		q.choosers.removed(e)
	}
	if q.sweeps != nil {
		q.skipSwept(e)
	}
	for _, w := range q.browsed {
		w.leaves(e)
	}
	l := &q.lists[p]
	if e.prev != nil {
		e.prev.next = e.next
	} else {
		l.head = e.next
	}
	if e.next != nil {
		e.next.prev = e.prev
	} else {
		l.tail = e.prev
	}
	if l.head == nil {
		q.mask &^= 1 << p
	}
	e.next, e.prev = nil, nil
	q.ready--
	if x := l.head; x != nil && x.state == inPack {
		q.unpack(x)
	}
	if x := l.tail; x != nil && x.state == inPack {
		q.unpack(x)
	}
}

// front is the next entry by priority and order, or nil.
func (q *backlog) front() *entry {
	if q.mask == 0 {
		return nil
	}
	return q.lists[bits.Len16(q.mask)-1].head
}

// following gives the ready entry after e by priority and order; the first for nil.
func (q *backlog) following(e *entry) *entry {
	if e == nil {
		return q.front()
	}
	if e.next != nil {
		return q.after(e)
	}
	if lower := q.mask & (1<<e.stored.priority - 1); lower != 0 {
		return q.lists[bits.Len16(lower)-1].head
	}
	return nil
}

// after is the next entry in the list of e, or nil.
func (q *backlog) after(e *entry) *entry {
	if x := e.next; x != nil && x.state == inPack {
		return q.unpack(x)
	}
	return e.next
}

// attach adds a consumer behind those of its own or higher priority.
func (q *backlog) attach(c *consumer) {
	a := &attachment{consumer: c, backlog: q}
	i := len(q.attached)
	for i > 0 && q.attached[i-1].consumer.priority < c.priority {
		i--
	}
	q.attached = append(q.attached, nil)
	copy(q.attached[i+1:], q.attached[i:])
	q.attached[i] = a
	q.turn = 0
	if c.exclusive {
		q.exclusive++
	}
	if c.selector != nil {
		q.selective++
	}
	if q.selective > 0 {
		q.unpackAll()
		q.choose(a)
	}
	c.backlogs = append(c.backlogs, q)
	if q.groups != nil {
		q.groups.joined(q.sticky())
	}
}

// detach removes a consumer.
func (q *backlog) detach(c *consumer) {
	for i, a := range q.attached {
		if a.consumer == c {
			q.attached = append(q.attached[:i], q.attached[i+1:]...)
			q.turn = 0
			if q.choosers != nil {
				q.choosers.drop(a)
			}
			if c.exclusive {
				q.exclusive--
			}
			if c.selector != nil {
				q.selective--
			}
			if q.selective == 0 {
				q.choosers = nil
			}
			if q.groups != nil {
				q.groups.left(a)
			}
			return
		}
	}
}

// ageUnit is the precision of an entry's time at its consumer, as a power of 2 of milliseconds: 1,024 ms. Its 24 bits tell 198 days; more
// would make every waiting message larger.
const ageUnit = 10

// dispatchedAt remembers when an entry was given to its consumer.
func (e *entry) dispatchedAt(now int64) {
	e.sinceLow, e.sinceHigh = uint16(now>>ageUnit), uint8(now>>(ageUnit+16))
}

// age is for how long an entry has been at its consumer, in ms, to about a second.
func (e *entry) age(now int64) int64 {
	since := int64(e.sinceHigh)<<16 | int64(e.sinceLow)
	return ((now >> ageUnit) - since) & (1<<24 - 1) << ageUnit
}

// sticky says whether message groups stay with their owners when consumers come.
func (q *backlog) sticky() bool {
	return q.destination != nil && q.destination.policy != nil && q.destination.policy.Consumers.StickyGroups
}
