package broker

import (
	"cmp"
	"math"
	"slices"
	"sort"
)

// A long backlog is kept in packs: what is far from its front stands there as twelve bytes a message instead of an entry and a stored. A pack has
// one place in the list of ready entries, between those that come before and after its messages, and is unpacked when something gets to it: the
// front of the backlog, a walk along it, the cleaning of the log. It is never left as the first or the last of its list.

// packed is one message of a pack: what differs between them, relative to the pack.
type packed struct {
	sequence uint32
	position uint32
	size     uint32
}

// pack is a run of messages of one backlog and priority.
type pack struct {
	place    entry  // in the list of ready entries
	stored   stored // sequence, priority and flags; it is linked nowhere
	position uint64 // the lowest of any message's
	items    []packed
}

func (x *pack) sequence(i int) uint64 { return x.stored.sequence + uint64(x.items[i].sequence) }
func (x *pack) last() uint64          { return x.sequence(len(x.items) - 1) }

// packing is what a backlog has in packs.
type packing struct {
	broker *Broker
	packs  [10][]*pack // by priority, in order
	count  int         // messages in them
	next   int         // how many messages outside of them there must be before packing is tried again
}

// packAhead is how many packs' worth of entries at the front of a backlog stay as they are.
const packAhead = 4

// packSize is how many messages a pack has.
func (b *Broker) packSize() int { return max(2, b.opt.PackFrom/16) }

// isLong says whether it is time to look what of a backlog can be packed.
func (b *Broker) isLong(q *backlog) bool {
	return q.ready >= b.opt.PackFrom && (q.packing == nil || q.ready-q.packing.count >= q.packing.next)
}

// packLong packs the backlogs that have become long in the Step.
func (b *Broker) packLong() {
	for _, q := range b.long {
		if !q.removed && b.isLong(q) {
			b.pack(q)
		}
	}
	clear(b.long)
	b.long = b.long[:0]
}

// walked sees to it that a backlog is packed again along which something has walked, which has unpacked it.
func (b *Broker) walked(q *backlog) {
	if !q.removed && b.isLong(q) {
		b.long = append(b.long, q)
	}
}

// pack packs what can be.
func (b *Broker) pack(q *backlog) {
	if q.packing == nil {
		q.packing = &packing{broker: b}
		b.packs = append(b.packs, q)
	}
	if !q.pinned() {
		ahead := packAhead * b.packSize()
		for p := len(q.lists) - 1; p >= 0; p-- {
			ahead = q.packList(p, ahead)
		}
	}
	q.packing.next = q.ready - q.packing.count + b.opt.PackFrom/2
}

// pinned says whether something points to any entries that wait in the backlog: cursors of consumers with selectors, undos, the newest of a key, browsers to what
// has been at consumers and come back.
func (q *backlog) pinned() bool {
	return q.choosers != nil || q.pins > 0 || q.keeping != nil || slices.ContainsFunc(q.browsed, func(w *browsing) bool { return len(w.aside) > 0 })
}

// swept says whether a sweep or a browser stands on an entry.
func (q *backlog) swept(e *entry) bool {
	return slices.ContainsFunc(q.sweeps, func(w *sweep) bool { return w.next == e }) || slices.ContainsFunc(q.browsed, func(w *browsing) bool { return w.next == e })
}

// packList packs one list but for so many entries at its front, and returns how many of these a list of lower priority may still keep.
func (q *backlog) packList(p, ahead int) int {
	ps, size := q.packing, q.packing.broker.packSize()
	run := ps.broker.scratch.run[:0]
	end := func() { // a short run between others is worth it if it is not very short
		if len(run) >= max(2, size/8) {
			ps.make(q, run)
		}
		run = run[:0]
	}
	e := q.lists[p].head
	if e != nil {
		e = e.next // the first stays
	}
	for ; e != nil; ahead-- {
		next := e.next
		switch {
		case ahead > 0:
		case e.state == inPack:
			end()
		case !ps.broker.packable(e) || q.swept(e):
			end()
		case len(run) > 0 && !fitsPack(run, e):
			end()
			run = append(run, e)
		default:
			run = append(run, e)
		}
		if len(run) == size && next != nil {
			end()
		}
		e = next
	}
	clear(run[:cap(run)])
	ps.broker.scratch.run = run[:0]
	return max(0, ahead)
}

// packable says whether an entry is nothing but its place in the log, and nobody holds on to it.
func (b *Broker) packable(e *entry) bool {
	s := e.stored
	if e.state != ready || e.timer != 0 || e.redeliveries != 0 || e.is(shown) || e.group != 0 || e.sibling != nil || s.first != e || s.expiration != 0 ||
		s.position == 0 || s.position < b.log.target || !s.inLog() || s.flags&^(persistent|logged|spilled|cached|transacted) != 0 {
		return false
	}
	return b.replay != nil || b.durable(s)
}

// packFlags are those that the messages of a pack have in common. What came with a transaction is durable by now.
const packFlags = persistent | logged | spilled

func fitsPack(run []*entry, e *entry) bool {
	return e.stored.flags&packFlags == run[0].stored.flags&packFlags && e.stored.sequence-run[0].stored.sequence <= math.MaxUint32
}

// make puts a run of entries, which follow one another in their list, into a pack.
func (ps *packing) make(q *backlog, run []*entry) {
	low, high := uint64(math.MaxUint64), uint64(0)
	for _, e := range run {
		low, high = min(low, e.stored.position), max(high, e.stored.position)
	}
	if high-low > math.MaxUint32 {
		return
	}
	if q.groups != nil {
		q.groups.plain, q.groups.noPlain = nil, false
	}
	b, first, last := ps.broker, run[0], run[len(run)-1]
	p := first.stored.priority
	x := &pack{position: low, items: make([]packed, len(run))}
	x.stored = stored{sequence: first.stored.sequence, priority: p, flags: first.stored.flags & packFlags}
	x.place = entry{stored: &x.stored, backlog: q, state: inPack, prev: first.prev, next: last.next}
	x.place.prev.next = &x.place
	x.place.next.prev = &x.place
	for i, e := range run {
		s := e.stored
		x.items[i] = packed{sequence: uint32(s.sequence - x.stored.sequence), position: uint32(s.position - low), size: s.size}
		if s.message != nil {
			b.uncache(s)
		}
		b.log.unlink(s)
		b.log.live += s.logBytes()
		s.first = nil // a load of its body that is on its way finds nobody
		e.next, e.prev = nil, nil
		e.state = gone
	}
	at := ps.find(p, x.stored.sequence) + 1
	ps.packs[p] = slices.Insert(ps.packs[p], at, x)
	ps.count += len(run)
}

// find gives the index of the last pack of a priority that begins at a sequence or before; -1 if there is none.
func (ps *packing) find(p uint8, sequence uint64) int {
	return sort.Search(len(ps.packs[p]), func(i int) bool { return ps.packs[p][i].stored.sequence > sequence }) - 1
}

// ends is the sequence of the last message of a pack, given its place.
func (ps *packing) ends(place *entry) uint64 {
	p := place.stored.priority
	return ps.packs[p][ps.find(p, place.stored.sequence)].last()
}

// unpack makes entries of a pack again, given its place, and returns the first.
func (q *backlog) unpack(place *entry) *entry {
	ps := q.packing
	p := place.stored.priority
	i := ps.find(p, place.stored.sequence)
	x := ps.packs[p][i]
	ps.packs[p] = slices.Delete(ps.packs[p], i, i+1)
	ps.count -= len(x.items)
	prev, next := place.prev, place.next
	l := &q.lists[p]
	link := func(from, to *entry) {
		if from != nil {
			from.next = to
		} else {
			l.head = to
		}
		if to != nil {
			to.prev = from
		} else {
			l.tail = from
		}
	}
	for i := range x.items {
		both := &single{}
		e, s := &both.entry, &both.stored
		s.sequence, s.position, s.size, s.priority, s.flags = x.sequence(i), x.position+uint64(x.items[i].position), x.items[i].size, p, x.stored.flags
		s.first = e
		e.stored, e.backlog, e.state = s, q, ready
		link(prev, e)
		prev = e
		ps.broker.log.live -= s.logBytes()
		ps.broker.log.link(s)
		if r := ps.broker.replay; r != nil {
			r.backlogs[q.id].move(e)
		}
	}
	link(prev, next)
	if place.prev != nil {
		return place.prev.next
	}
	return l.head
}

// unpackSequence unpacks the pack that has the message of a sequence, if there is one.
func (q *backlog) unpackSequence(sequence uint64) bool {
	if q.packing == nil {
		return false
	}
	for p := range q.packing.packs {
		i := q.packing.find(uint8(p), sequence)
		if i < 0 {
			continue
		}
		x := q.packing.packs[p][i]
		if _, ok := slices.BinarySearchFunc(x.items, sequence-x.stored.sequence, func(m packed, at uint64) int { return cmp.Compare(uint64(m.sequence), at) }); !ok {
			continue
		}
		q.unpack(&x.place)
		return true
	}
	return false
}

// unpackAll leaves no pack.
func (q *backlog) unpackAll() {
	if q.packing == nil {
		return
	}
	for p := range q.packing.packs {
		for len(q.packing.packs[p]) > 0 {
			q.unpack(&q.packing.packs[p][0].place)
		}
	}
}

// unpackBefore unpacks all that lies in the log before a position.
func (b *Broker) unpackBefore(position uint64) {
	for _, q := range b.packs {
		for p := range q.packing.packs {
			packs := q.packing.packs[p]
			for i := len(packs) - 1; i >= 0; i-- {
				if packs[i].position < position {
					q.unpack(&packs[i].place)
				}
			}
		}
	}
}

// dropPacks settles all that is in packs, at once, and says how many messages that were. If the backlog goes as a whole that needs no record.
func (b *Broker) dropPacks(q *backlog) (dropped int) {
	if q.packing == nil {
		return 0
	}
	for p := range q.packing.packs {
		for _, x := range q.packing.packs[p] {
			if !q.removed && q.id != 0 && x.stored.flags&logged != 0 {
				start := b.begin(recordAck)
				b.number(q.id)
				for i := range x.items {
					b.number(x.sequence(i))
				}
				b.emit(start, Record{Lazy: true})
			}
			for i := range x.items {
				s := stored{size: x.items[i].size}
				b.log.live -= s.logBytes()
				q.bytes -= int64(s.size)
			}
			x.place.prev.next, x.place.next.prev = x.place.next, x.place.prev
			dropped += len(x.items)
		}
		q.packing.packs[p] = nil
	}
	q.packing.count = 0
	q.ready -= dropped
	q.size -= dropped
	q.dequeued += uint64(dropped)
	if d := q.destination; d != nil && d.queue == nil {
		d.dequeued += uint64(dropped)
	}
	return dropped
}

// forgetPacking takes a backlog that is removed out of those that have packs.
func (b *Broker) forgetPacking(q *backlog) {
	if q.packing != nil {
		b.packs = slices.DeleteFunc(b.packs, func(x *backlog) bool { return x == q })
		q.packing = nil
	}
}
