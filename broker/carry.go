package broker

import "github.com/godwitmq/godwit/message"

// What waits in memory only, non-persistent messages and all that temporary queues hold, ends with the process; but a stop in good order, or a
// switchover, is no failure, and so has it go along: Stop writes it to the log, up to Options.CarryBytes, and the next start takes it back
// into memory. From then on it is again what it was: the start's own record (recordStart) ends what was carried, so a crash later does not bring it back.
// Left behind are messages that wait for a redelivery or in a queue that does not keep all its messages.

const (
	// maxCarriedLooks bounds the entries that a Stop looks at, as CarryBytes bounds what it writes: it must not take long because much waits.
	maxCarriedLooks = 200_000
	// carriedBytes is about what the record of a carried message takes beside it.
	carriedBytes = 64
)

// carriedEntry is one message's place in one backlog, as recordCarried tells it.
type carriedEntry struct {
	backlog      uint64              // 0: of a temporary queue
	temporary    message.Destination // whose name it is
	sequence     uint64
	expiration   int64
	size         uint32
	priority     uint8
	persistent   bool
	redeliveries uint16
	group        string
	home         uint64 // position of the record that has the body; 0: that of recordCarried itself, which is not placed yet
}

// carryOver writes what is to survive the stop. Nothing is at a consumer any more.
func (b *Broker) carryOver() {
	looks, room := maxCarriedLooks, b.opt.CarryBytes
	carry := func(q *backlog) {
		if q.keeping != nil || q.removed || q.recent != nil || q == b.schedule.backlog {
			return
		}
		for p := len(q.lists) - 1; p >= 0; p-- {
			for e := q.lists[p].head; e != nil && looks > 0 && room > 0; e = e.next {
				looks--
				if e.state == inPack {
					if e.stored.flags&logged != 0 {
						continue
					}
					e = q.unpack(e)
				}
				if e.stored.flags&logged == 0 || q.id == 0 {
					room -= b.carryEntry(e, room)
				}
			}
		}
	}
	for _, temporary := range [...]bool{true, false} { // somebody waits for these answers
		for _, d := range b.sortedDestinations() {
			if d.queue != nil && d.name.Kind.IsTemporary() == temporary {
				carry(d.queue)
			}
		}
	}
	for _, id := range sortedKeys(b.backlogs) {
		if q := b.backlogs[id]; q.durable() != nil {
			carry(q)
		}
	}
}

// carryEntry writes one entry, if there is room for its body or the log has it, and says how many bytes it took.
func (b *Broker) carryEntry(e *entry, room int64) (bytes int64) {
	s, q := e.stored, e.backlog
	c := &carriedEntry{backlog: q.id, sequence: s.sequence, expiration: s.expiration, size: s.size, priority: s.priority, persistent: s.flags&persistent != 0, redeliveries: e.redeliveries}
	if q.id == 0 {
		c.temporary = q.destination.name
	}
	if e.group != 0 {
		c.group = q.groups.group(e).name
	}
	bytes = carriedBytes
	var r Record
	if s.inLog() && s.position != 0 {
		c.home = s.position
	} else if m := s.message; m != nil {
		c.group = m.GroupID
		r.Body = m.Encode()
		c.size = uint32(len(r.Body))
		bytes += int64(len(r.Body))
	} else {
		return 0
	}
	if bytes > room || !b.log.roomFor(bytes) {
		return 0
	}
	b.log.room -= bytes
	start := b.writeCarried(c)
	if c.home == 0 {
		r.home = &c.home
	}
	r.Lazy = true
	b.emit(start, r)
	b.carried = append(b.carried, c)
	if m := s.message; m != nil && c.persistent && m.ID.Sequence >= 0 && q.id == 0 {
		// Its sender may not have heard of it, and sends it again: what is logged is known by its record.
		b.producers.set(m.ID, b.opt.MaxProducers, b.log.tail)
		b.emitProducer(b.producers.byID[m.ID.Producer])
	}
	return bytes
}

func (b *Broker) writeCarried(c *carriedEntry) int {
	start := b.begin(recordCarried)
	b.number(c.backlog)
	b.number(uint64(c.temporary.Kind))
	b.text(c.temporary.Name)
	b.number(c.sequence)
	b.number(uint64(c.expiration))
	b.number(uint64(c.size))
	b.number(uint64(c.priority))
	b.number(flag(c.persistent, 1))
	b.number(uint64(c.redeliveries))
	b.text(c.group)
	b.number(c.home)
	return start
}

// carried reads recordCarried up to the body.
func (f *fields) carried() *carriedEntry {
	c := &carriedEntry{backlog: f.number(), temporary: message.Destination{Kind: message.Kind(f.number()), Name: f.text()}}
	c.sequence, c.expiration, c.size = f.number(), int64(f.number()), uint32(f.number())
	c.priority, c.persistent, c.redeliveries = uint8(min(f.number(), 9)), f.number() == 1, uint16(f.number())
	c.group, c.home = f.text(), f.number()
	return c
}

// replayCarried keeps what a stop has carried over, until a start has taken it.
func (b *Broker) replayCarried(position uint64, f *fields) {
	c := f.carried()
	if f.failed {
		return
	}
	if c.home == 0 {
		c.home = position
	}
	b.sequence = max(b.sequence, c.sequence)
	b.replay.carried = append(b.replay.carried, c)
}

// recoverCarried takes what the last stop has carried over to where it waits, and says whether there was anything.
func (b *Broker) recoverCarried() bool {
	for _, c := range b.replay.carried {
		q := b.carriedTo(c)
		if q == nil || c.home < b.log.head {
			continue
		}
		both := &single{}
		s, e := &both.stored, &both.entry
		*s = stored{position: c.home, first: e, sequence: c.sequence, expiration: c.expiration, size: c.size, priority: c.priority, flags: spilled}
		if c.persistent {
			s.flags |= persistent
		}
		*e = entry{stored: s, backlog: q.backlog, redeliveries: c.redeliveries}
		b.log.link(s)
		b.replay.group = c.group
		b.replayAdd(q, e)
	}
	return len(b.replay.carried) > 0
}

// carriedTo gives the backlog of a carried entry; nil: it is not there any more, or nobody expects its owner.
func (b *Broker) carriedTo(c *carriedEntry) *replayBacklog {
	if c.backlog != 0 {
		if q := b.replay.backlogs[c.backlog]; q != nil && q.backlog.destination != nil {
			return q
		}
		return nil
	}
	if !c.temporary.Kind.IsTemporary() || b.opt.TemporaryGrace <= 0 {
		return nil
	}
	q := b.replay.temporaries[c.temporary]
	if q == nil {
		d := b.destinations[c.temporary]
		if d == nil {
			d = b.createAwaited(c.temporary)
		}
		if d.queue == nil {
			return nil
		}
		q = &replayBacklog{backlog: d.queue}
		if b.replay.temporaries == nil {
			b.replay.temporaries = map[message.Destination]*replayBacklog{}
		}
		b.replay.temporaries[c.temporary] = q
	}
	return q
}
