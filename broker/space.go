package broker

import "github.com/godwitmq/godwit/message"

// extentSize is the granularity, in bytes of the log, in which the core knows what is live where.
const extentSize = 4 << 20

// extent is a stretch of the log with its live messages.
type extent struct {
	first *stored
}

// space is what the core knows of its log: where it begins and ends, what is durable, and what in it is still needed.
// The log can only be trimmed from its head; so when too little of it is live, what is live in the head extent is written again at
// the tail, and the head moves on.
type space struct {
	extents    map[uint64]*extent
	head, tail uint64
	durable    uint64 // all records before it are
	live       int64  // bytes of live messages
	room       int64  // bytes that new messages may still take
	lastCommit uint64 // position of the newest commit record, 0 while it has none yet

	target  uint64 // end of the extent being cleaned; 0: none is
	pending int    // records written for that which have no position yet
	barrier uint64 // position of the last of those that have
	loading bool   // bodies to be moved are on their way
}

func (l *space) used() uint64 { return l.tail - l.head }

// Progress tells the core how far the log is: all records before durable are durable, room is how many bytes new messages may take.
func (b *Broker) Progress(durable uint64, room int64) {
	b.log.durable = max(b.log.durable, durable)
	b.log.room = room
}

// Place tells the core the position that a record of the last Step got.
func (b *Broker) Place(r *Record, position uint64) {
	l := &b.log
	l.tail = max(l.tail, position+uint64(r.Size))
	if r.home != nil {
		*r.home = position
	}
	if r.moved {
		l.pending--
		l.barrier = max(l.barrier, position)
	}
	if s := r.stored; s != nil && s.flags&dead == 0 {
		s.flags &^= moving
		s.position = position
		l.link(s)
	}
}

func (l *space) link(s *stored) {
	n := s.position / extentSize
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
	l.live += int64(s.size)
}

func (l *space) unlink(s *stored) {
	n := s.position / extentSize
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
	l.live -= int64(s.size)
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

// Cleaning says whether the core is moving live records and wants a Tick when the log makes progress.
func (b *Broker) Cleaning() bool { return b.log.target != 0 && !b.log.loading }

// cleanBytes bounds what one Step moves.
const cleanBytes = 256 << 10

// clean does a piece of the work that keeps the log small.
func (b *Broker) clean() {
	l := &b.log
	if l.loading {
		return
	}
	if l.target == 0 {
		if int64(l.used()) <= l.live+l.live/4+b.opt.SegmentBytes {
			return
		}
		l.target = (l.head/extentSize + 1) * extentSize
		l.barrier = 0
		b.carry(l.target)
	}
	moved := 0
	ask := &load{moving: true}
	if x := l.extents[l.target/extentSize-1]; x != nil {
		for s := x.first; s != nil && moved < cleanBytes; {
			next := s.next
			moved += int(s.size)
			if m := b.bodyInMemory(s); m != nil {
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
		return
	}
	if moved == 0 && l.pending == 0 && l.barrier < l.durable {
		l.head = l.target
		l.target = 0
		b.out.Trim = l.head
	}
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
	for _, c := range b.connections {
		for _, tx := range c.transactions {
			for i := range tx.sends {
				if tx.sends[i].stored == s {
					return &tx.sends[i], tx, i
				}
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
	n := len(b.out.Records)
	if s.first != nil {
		b.emitMoved(s, m)
	} else if send, tx, i := b.pendingSend(s); tx != nil {
		b.emitTxMessage(tx, i, s, m, send.tracked && send.id.Sequence >= 0, send.targets)
	} else {
		return
	}
	l.unlink(s)
	s.flags |= moving
	b.awaited(n)
}

// awaited makes the head wait for the records of this Step from n on.
func (b *Broker) awaited(n int) {
	for i := n; i < len(b.out.Records); i++ {
		b.out.Records[i].moved = true
		b.log.pending++
	}
}

// carry writes again what is not a message and has its record before the position.
func (b *Broker) carry(before uint64) {
	n := len(b.out.Records)
	for _, id := range sortedKeys(b.backlogs) {
		q := b.backlogs[id]
		if q.home < before {
			if q.durable != nil {
				b.emitSubscription(q.durable)
			} else {
				b.emitDestination(q)
			}
		}
		if q.mark != 0 && q.markHome < before {
			b.emitMark(q, q.mark, true)
		}
	}
	for at := b.producers.recent.Back(); at != nil; at = at.Prev() {
		if p := at.Value.(*producer); p.home < before {
			b.emitProducer(p)
		}
	}
	for _, conn := range sortedKeys(b.connections) {
		c := b.connections[conn]
		for _, id := range sortedKeys(c.transactions) {
			if tx := c.transactions[id]; tx.logged {
				for _, e := range tx.acks {
					if e.state == settling && e.backlog.id != 0 && e.stored.flags&logged != 0 {
						b.emitSequences(recordTxAck, tx, e.backlog, []*entry{e})
					}
				}
			}
		}
	}
	b.awaited(n)
}
