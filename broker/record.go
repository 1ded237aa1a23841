package broker

import (
	"encoding/binary"
	"iter"

	"github.com/godwitmq/godwit/message"
)

// recordKind is the first byte of every record's data. The numbers are the log's format (docs/journal.md): never reuse one.
type recordKind byte

const (
	recordStart        recordKind = 1  // the broker has started
	recordDestination  recordKind = 2  // id, kind, name
	recordRemoved      recordKind = 3  // id of a destination's or subscription's backlog
	recordSubscription recordKind = 4  // id, client id, name, topic, selector, flags
	recordMessage      recordKind = 5  // tracked, sequence, expiration, priority, targets, body
	recordSpill        recordKind = 6  // body; means nothing after a restart
	recordAck          recordKind = 7  // backlog, sequences
	recordTxMessage    recordKind = 8  // transaction, index, then as recordMessage
	recordTxAck        recordKind = 9  // transaction, backlog, sequences
	recordCommit       recordKind = 10 // transaction, sequence of its message 0
	recordRollback     recordKind = 11 // transaction
	recordMoved        recordKind = 12 // sequence, expiration, priority, targets with redelivery counts, body
	recordRedelivered  recordKind = 13 // backlog, pairs of sequence and count
	recordMark         recordKind = 14 // backlog, sequence
	recordProducer     recordKind = 15 // producer id, last sequence
	recordStop         recordKind = 16 // the broker has stopped in good order
	recordPrepare      recordKind = 17 // transaction, XA id, when it was begun and prepared, user, client id
	recordOutcome      recordKind = 18 // what (committed, by an operator, forgotten), XA id
	recordCompleted    recordKind = 19 // connection's name, numbers of its local transactions that were committed
	recordJobs         recordKind = 25 // id of the backlog of scheduled messages
	recordJob          recordKind = 26 // sequence, time, period, repeats, CRON entry
	recordRetained     recordKind = 22 // id, kind and name of the topic
	recordLastValue    recordKind = 20 // backlog, sequence, key
	recordRetry        recordKind = 27 // batch, when, queue, place in the list plus 1 (0: it is over), pairs of backlog and sequence
	recordSelectors    recordKind = 21 // backlog, selectors of its earlier consumers
	recordTxKey        recordKind = 30 // transaction, index, backlog, key
	recordCarried      recordKind = 32 // backlog or temporary queue, what is to be known of a message, position of its body or 0, body; until the next recordStart
)

// The flags of recordSubscription.
const (
	subscriptionNoLocal = 1 << iota
	subscriptionShared
)

// begin starts a record's head in the arena.
func (b *Broker) begin(kind recordKind) int {
	start := len(b.out.arena)
	b.out.arena = append(b.out.arena, byte(kind))
	return start
}

func (b *Broker) number(v uint64) { b.out.arena = binary.AppendUvarint(b.out.arena, v) }
func (b *Broker) text(s string) {
	b.number(uint64(len(s)))
	b.out.arena = append(b.out.arena, s...)
}

// emit ends a record.
func (b *Broker) emit(start int, r Record) *Record {
	end := len(b.out.arena)
	r.Head = b.out.arena[start:end:end]
	r.Size = len(r.Head) + len(r.Body)
	b.out.Records = append(b.out.Records, r)
	b.log.emitted++
	b.log.unplaced += int64(r.Size)
	return &b.out.Records[len(b.out.Records)-1]
}

func (b *Broker) writeDestination(q *backlog) int {
	start := b.begin(recordDestination)
	b.number(q.id)
	b.number(uint64(q.destination.name.Kind))
	b.text(q.destination.name.Name)
	return start
}

func (b *Broker) emitDestination(q *backlog) {
	b.emit(b.writeDestination(q), Record{Lazy: true, home: &q.home})
}

func (b *Broker) writeSubscription(s *subscription) int {
	start := b.begin(recordSubscription)
	b.number(s.backlog.id)
	b.text(s.clientID)
	b.text(s.name)
	b.text(s.topic.Name)
	b.text(s.selectorText)
	var flags uint64
	if s.noLocal {
		flags |= subscriptionNoLocal
	}
	if s.shared {
		flags |= subscriptionShared
	}
	b.number(flags)
	return start
}

func (b *Broker) emitSubscription(s *subscription) {
	b.emit(b.writeSubscription(s), Record{home: &s.backlog.home})
}

func (b *Broker) writeID(kind recordKind, id uint64) int {
	start := b.begin(kind)
	b.number(id)
	return start
}

func (b *Broker) emitID(kind recordKind, id uint64, lazy bool) {
	b.emit(b.writeID(kind, id), Record{Lazy: lazy})
}

// messageHead writes what recordMessage and recordTxMessage share.
func (b *Broker) messageHead(s *stored, sequence uint64, tracked bool, targets []*backlog) {
	var flags uint64
	if tracked {
		flags = 1
	}
	b.number(flags)
	b.number(sequence)
	b.number(uint64(s.expiration))
	b.number(uint64(s.priority))
	n := 0
	for _, q := range targets {
		if q.id != 0 && !q.removed {
			n++
		}
	}
	b.number(uint64(n))
	for _, q := range targets {
		if q.id != 0 && !q.removed {
			b.number(q.id)
		}
	}
}

func (b *Broker) emitMessage(s *stored, m *message.Message, tracked bool, targets []*backlog) *Record {
	start := b.begin(recordMessage)
	b.messageHead(s, s.sequence, tracked, targets)
	return b.emit(start, Record{Body: m.Encode(), stored: s})
}

func (b *Broker) writeTxMessage(tx *transaction, send *txSend) int {
	start := b.begin(recordTxMessage)
	b.number(tx.serial)
	b.number(send.index)
	b.messageHead(send.stored, 0, send.tracked && send.id.Sequence >= 0, send.targets)
	return start
}

// writeTxKey writes the key of a message of a branch in a queue that keeps last values.
func (b *Broker) writeTxKey(serial, index, queue uint64, key string) int {
	start := b.begin(recordTxKey)
	b.number(serial)
	b.number(index)
	b.number(queue)
	b.text(key)
	return start
}

// emitTxMessage writes a message of a transaction, and behind it what a branch that may be prepared must know of it without its body: its keys in queues that keep
// last values.
func (b *Broker) emitTxMessage(tx *transaction, send *txSend, m *message.Message) {
	b.emit(b.writeTxMessage(tx, send), Record{Body: m.Encode(), stored: send.stored, Lazy: true})
	for _, k := range send.loggedKeys(tx) {
		b.emit(b.writeTxKey(tx.serial, send.index, k.backlog.id, k.key), Record{Lazy: true})
	}
}

// loggedKeys are those that the log has.
func (send *txSend) loggedKeys(tx *transaction) (keys []txKey) {
	if tx.branch == nil {
		return nil
	}
	for _, k := range send.keys {
		if k.backlog.id != 0 && !k.backlog.removed {
			keys = append(keys, k)
		}
	}
	return keys
}

// emitSpill writes a message that is to leave memory and not to be recovered.
func (b *Broker) emitSpill(s *stored, m *message.Message) {
	start := b.begin(recordSpill)
	b.emit(start, Record{Body: m.Encode(), stored: s, Lazy: true})
}

// emitMoved writes a live message again. Its targets are what its entries say now.
func (b *Broker) emitMoved(s *stored, m *message.Message) {
	if s.flags&spilled != 0 {
		b.emitSpill(s, m)
		return
	}
	start, _ := b.writeMoved(s)
	b.emit(start, Record{Body: m.Encode(), stored: s, Lazy: true})
}

// writeMoved says for how many backlogs in the log the message is, too.
func (b *Broker) writeMoved(s *stored) (start, n int) {
	start = b.begin(recordMoved)
	b.number(s.sequence)
	b.number(uint64(s.expiration))
	b.number(uint64(s.priority))
	for e := s.first; e != nil; e = e.sibling {
		if e.backlog.id != 0 && !e.backlog.removed {
			n++
		}
	}
	b.number(uint64(n))
	for e := s.first; e != nil; e = e.sibling {
		if e.backlog.id != 0 && !e.backlog.removed {
			b.number(e.backlog.id)
			b.number(uint64(e.redeliveries))
		}
	}
	return start, n
}

// writeSequences writes recordAck or recordTxAck for entries of one backlog.
func (b *Broker) writeSequences(kind recordKind, tx *transaction, q *backlog, entries []*entry) int {
	start := b.begin(kind)
	if tx != nil {
		b.number(tx.serial)
	}
	b.number(q.id)
	for _, e := range entries {
		b.number(e.stored.sequence)
	}
	return start
}

func (b *Broker) emitSequences(kind recordKind, tx *transaction, q *backlog, entries []*entry) *Record {
	return b.emit(b.writeSequences(kind, tx, q, entries), Record{Lazy: true})
}

// emitTxAcks writes all acknowledgements of an open transaction (again).
func (b *Broker) emitTxAcks(tx *transaction) {
	tx.acksFrom, tx.moves = b.log.tail, b.log.moves
	b.emitSettling(tx, tx.acks)
}

// emitSettling writes acknowledgements of a transaction, one record for each run of a backlog.
func (b *Broker) emitSettling(tx *transaction, entries []*entry) {
	for run := range settlingRuns(entries) {
		b.emitSequences(recordTxAck, tx, run[0].backlog, run)
		tx.logged = true
	}
}

// settlingRuns gives those that a transaction has acknowledged and the log has, in runs of one backlog that a record may hold.
func settlingRuns(entries []*entry) iter.Seq[[]*entry] {
	counts := func(e *entry) bool {
		return e.state == settling && e.backlog.id != 0 && e.stored.flags&logged != 0
	}
	return func(yield func([]*entry) bool) {
		for rest := entries; len(rest) > 0; {
			if !counts(rest[0]) {
				rest = rest[1:]
				continue
			}
			n := 1
			for n < len(rest) && n < maxSequences && rest[n].backlog == rest[0].backlog && counts(rest[n]) {
				n++
			}
			if !yield(rest[:n]) {
				return
			}
			rest = rest[n:]
		}
	}
}

func (b *Broker) emitRedelivered(q *backlog, entries []*entry) {
	start := b.begin(recordRedelivered)
	b.number(q.id)
	for _, e := range entries {
		b.number(e.stored.sequence)
		b.number(uint64(e.redeliveries))
	}
	b.emit(start, Record{Lazy: true})
}

func (b *Broker) writeMark(q *backlog) int {
	start := b.begin(recordMark)
	b.number(q.id)
	b.number(q.mark)
	return start
}

func (b *Broker) emitMark(q *backlog, sequence uint64, lazy bool) {
	q.mark, q.markHome = sequence, 0
	b.emit(b.writeMark(q), Record{Lazy: lazy, home: &q.markHome})
}

func (b *Broker) writeProducer(p *producer) int {
	start := b.begin(recordProducer)
	b.text(p.id)
	b.number(uint64(p.last))
	return start
}

func (b *Broker) emitProducer(p *producer) {
	p.home = b.log.tail // or behind it; what is set before this has its place may be told by an older record
	b.emit(b.writeProducer(p), Record{Lazy: true})
}
