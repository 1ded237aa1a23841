package broker

import "github.com/godwitmq/godwit/message"

// extentBytes says how fine the core knows what is live where in the log: a sixteenth of a segment, but not less than what cleaning itself writes.
func extentBytes(segment int64) uint64 { return uint64(max(segment/16, 2<<10)) }

// recordBytes is about what the record of a message takes in the log beside the message: its frame and its head.
const recordBytes = 32

// extent is a stretch of the log with its live messages.
type extent struct {
	first *stored
}

// space is what the core knows of its log: where it begins and ends, what is durable, and what in it is still needed.
// The log can only be trimmed from its head; so when too little of it is live, what is live in the head extent is written again at
// the tail, and the head moves on.
type space struct {
	extentBytes uint64
	segment     int64
	extents     map[uint64]*extent
	head, tail  uint64
	durable     uint64        // all records before it are
	live        int64         // bytes of live messages
	carried     int64         // bytes of other live records, as counted when the head last moved
	room        int64         // bytes that new messages may still take
	commits     []*commitMark // those whose record may not be durable yet, oldest first
	committed   uint64        // sequence of the newest message whose commit's record is durable

	unplaced        int64  // bytes of records that have no position yet
	emitted, placed uint64 // how many records were made, and how many of them have a position

	target  uint64 // end of the extents being cleaned; 0: none are
	fence   uint64 // the head waits for the records up to this one, counted as emitted; 0: there is still something to move
	newest  uint64 // position of the newest record
	barrier uint64 // position of the last of those before the fence that have one
	loading bool   // bodies to be moved are on their way
	moves   uint64 // how many messages were moved that a transaction had acknowledged
}

// commitMark is a commit on its way to the log.
type commitMark struct {
	sequence uint64 // of its last message
	position uint64 // of its record; 0 while it has none yet
}

// roomFor says whether new messages of so many bytes may be taken in. What cleaning needs to free a segment, which is at most the segment and an extent
// moved, is kept back: without it a full log could never become smaller.
func (l *space) roomFor(size int64) bool {
	return l.room-l.segment-2*int64(l.extentBytes) >= size
}

func (l *space) used() uint64 { return l.tail - l.head }

// Progress tells the core how far the log is: all records before durable are durable, room is how many bytes new messages may take.
func (b *Broker) Progress(durable uint64, room int64) {
	l := &b.log
	l.durable = max(l.durable, durable)
	l.tail = max(l.tail, durable)
	for len(l.commits) > 0 && l.commits[0].position != 0 && l.commits[0].position < l.durable {
		l.committed = l.commits[0].sequence
		l.commits = l.commits[1:]
	}
	l.room = room - l.unplaced // which the log has not seen yet
}

// Place tells the core the position that a record of the last Step got.
func (b *Broker) Place(r *Record, position uint64) {
	l := &b.log
	l.tail = max(l.tail, position+uint64(r.Size))
	if r.home != nil {
		*r.home = position
	}
	l.newest = position
	l.unplaced -= int64(r.Size)
	if l.placed++; l.placed <= l.fence {
		l.barrier = position
	}
	if s := r.stored; s != nil && s.flags&dead == 0 {
		s.flags &^= moving
		s.position = position
		l.link(s)
	}
}

// logBytes is about what the message takes in the log.
func (s *stored) logBytes() int64 { return int64(s.size) + recordBytes }

func (l *space) link(s *stored) {
	n := s.position / l.extentBytes
	x := l.extents[n]
	if x == nil {
		x = &extent{}
		l.extents[n] = x
	}
	s.prev, s.next = nil, x.first
	if x.first != nil {
		x.first.prev = s
	}
	x.first = s
	l.live += s.logBytes()
}

func (l *space) unlink(s *stored) {
	n := s.position / l.extentBytes
	x := l.extents[n]
	if s.prev != nil {
		s.prev.next = s.next
	} else {
		x.first = s.next
		if x.first == nil {
			delete(l.extents, n)
		}
	}
	if s.next != nil {
		s.next.prev = s.prev
	}
	s.next, s.prev = nil, nil
	l.live -= s.logBytes()
}

// forget says that a message's record is not needed any more.
func (l *space) forget(s *stored) {
	if s.flags&dead != 0 {
		return
	}
	s.flags |= dead
	if s.position != 0 && s.flags&moving == 0 {
		l.unlink(s)
	}
}

// Cleaning says whether the core has work to do on the log's head, or more to remove, and wants a Tick soon.
func (b *Broker) Cleaning() bool {
	return len(b.drains) > 0 || !b.log.loading && (b.log.target != 0 || b.wasteful())
}

// wasteful says whether too much of the log is not live.
func (b *Broker) wasteful() bool {
	l := &b.log
	live := l.live + l.carried
	return int64(l.used()) > live+live/4+2*int64(l.extentBytes)
}

// cleanBytes bounds what one Step moves.
const cleanBytes = 256 << 10

// clean does a piece of the work that keeps the log small. The head moves only when all that was written until its extents had nothing live any
// more is durable: not just what was moved, also what settled the rest, for a commit that is lost in a crash needs what it settled.
func (b *Broker) clean() {
	l := &b.log
	if l.loading {
		return
	}
	if l.target == 0 {
		if !b.wasteful() {
			return
		}
		n := l.head/l.extentBytes + 1
		for last := l.durable / l.extentBytes; n < last && l.extents[n] == nil; {
			n++
		}
		l.target = n * l.extentBytes
		l.fence = 0
		b.carry(l.target)
	}
	if l.fence == 0 {
		if b.moveOut() {
			return
		}
		l.fence, l.barrier = l.emitted, l.newest
	}
	if l.placed >= l.fence && l.barrier < l.durable {
		l.head = l.target
		l.target = 0
		b.out.Trim = l.head
	}
}

// moveOut moves what is live in the extents being cleaned, or asks for it, and says whether there was anything.
func (b *Broker) moveOut() bool {
	l := &b.log
	b.unpackBefore(l.target)
	moved := b.carryPrepared(l.target, cleanBytes)
	ask := &load{moving: true}
	for n := l.head / l.extentBytes; n < l.target/l.extentBytes && moved < cleanBytes; n++ {
		x := l.extents[n]
		if x == nil {
			continue
		}
		for s := x.first; s != nil && moved < cleanBytes; {
			next := s.next
			moved += int(s.size)
			if s.first != nil && !s.wanted() {
				l.forget(s)
			} else if m := b.bodyInMemory(s); m != nil {
				b.move(s, m)
			} else {
				ask.stored = append(ask.stored, s)
			}
			s = next
		}
	}
	if len(ask.stored) > 0 {
		l.loading = true
		b.ask(ask)
	}
	return moved > 0
}

// bodyInMemory gives a message's body without loading it, if possible.
func (b *Broker) bodyInMemory(s *stored) *message.Message {
	if s.message != nil || s.first != nil {
		return s.message
	}
	if send, _, _ := b.pendingSend(s); send != nil {
		return send.message
	}
	return nil
}

// pendingSend finds the open transaction that a stored belongs to.
func (b *Broker) pendingSend(s *stored) (*txSend, *transaction, int) {
	if tx := b.branches.bySerial[s.sequence]; tx != nil {
		if i, ok := tx.find(s); ok {
			return &tx.sends[i], tx, i
		}
	}
	for _, c := range b.connections {
		for _, tx := range c.transactions {
			if i, ok := tx.find(s); ok {
				return &tx.sends[i], tx, i
			}
		}
	}
	return nil, nil, 0
}

// move writes a live message again at the tail.
func (b *Broker) move(s *stored, m *message.Message) {
	l := &b.log
	if s.flags&(dead|moving) != 0 {
		return
	}
	if s.first != nil && !s.wanted() {
		l.forget(s)
		return
	}
	if s.first != nil {
		b.emitMoved(s, m)
		if s.first.backlog == b.schedule.backlog {
			b.emitJob(b.schedule.jobs[s.sequence])
		}
		for e := s.first; e != nil; e = e.sibling {
			if e.state == settling {
				l.moves++
			}
		}
	} else if send, tx, _ := b.pendingSend(s); tx == nil {
		return
	} else if s.flags&spilled != 0 {
		b.emitSpill(s, m)
	} else {
		b.emitTxMessage(tx, send, m)
	}
	l.unlink(s)
	s.flags |= moving
}

// carry writes again what is not a message and has its record before the position.
func (b *Broker) carry(before uint64) {
	l := &b.log
	l.carried = 0
	for _, id := range sortedKeys(b.backlogs) {
		q := b.backlogs[id]
		if q.home < before {
			if q == b.schedule.backlog {
				b.emitJobs(q)
			} else if q.durable() != nil {
				b.emitSubscription(q.durable())
			} else if q.recent != nil {
				b.emitRetained(q)
			} else {
				b.emitDestination(q)
			}
		}
		if d := q.destination; d.queue == q && d.remembered != nil && d.remembered.home < before {
			b.emitSelectors(d)
		}
		if q.keeping != nil {
			l.carried += b.carryLastValues(q, before)
		}
		if q.mark != 0 && q.markHome < before {
			b.emitMark(q, q.mark, true)
		}
		if q.paused && q.pausedHome < before {
			b.emitPaused(q)
		}
		l.carried += q.definitionBytes()
	}
	for at := b.producers.recent.Back(); at != nil; at = at.Prev() {
		p := at.Value.(*producer)
		if p.home < before {
			b.emitProducer(p)
		}
		l.carried += int64(len(p.id)) + recordBytes
	}
	for _, conn := range sortedKeys(b.connections) {
		c := b.connections[conn]
		for _, id := range sortedKeys(c.transactions) {
			if tx := c.transactions[id]; len(tx.acks) > 0 && tx.conn == c && !tx.prepared() {
				if tx.acksFrom < before {
					b.emitTxAcks(tx)
				}
				l.carried += int64(len(tx.acks)) * recordBytes
			}
		}
	}
	b.carryOutcomes(before)
	l.carried += b.branches.bytes
	b.carryRetries(before)
}

// definitionBytes is about what the records take that say what the backlog is and how far it was dispatched.
func (q *backlog) definitionBytes() int64 {
	n := len(q.destination.name.Name) + 2*recordBytes
	if s := q.durable(); s != nil {
		n += len(s.clientID) + len(s.name) + len(s.selectorText)
	}
	return int64(n)
}
