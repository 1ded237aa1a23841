package broker

import (
	"fmt"
	"strings"

	"github.com/godwitmq/godwit/message"
)

// transaction is an open local transaction. What it does is logged as it happens, tagged with its serial, and counts
// only once its commit record is there; so a transaction may be larger than a batch of the log.
type transaction struct {
	conn   *connection
	id     TxID
	serial uint64 // its name in the log
	logged bool   // something of it is in the log
	// repeated: some of its sends were there before it. Their records need not be durable yet.
	repeated bool
	sends    []txSend
	acks     []*entry
	failed   *Error
	// waiting are its sends that wait for room, end is what ends it when none does any more.
	waiting []*waitingSend
	end     Event
	// All records of acks are at or after acksFrom, and were written after so many moves (space.moves): when one of the messages has been moved
	// since, its acknowledgement must be written again behind it, or trimming could leave the message without.
	acksFrom uint64
	moves    uint64
	places   map[*stored]int // of sends, as far as find has needed them
	begun    int64           // ms since 1970
	count    uint64          // of sends; more than there are if some were lost with a crash
	branch   *branch         // of a distributed one
}

// find gives a message's place in sends. Cleaning asks it of one message after the other, of which a transaction may have a million.
func (tx *transaction) find(s *stored) (int, bool) {
	if tx.places == nil {
		tx.places = map[*stored]int{}
	}
	for i := len(tx.places); i < len(tx.sends); i++ {
		tx.places[tx.sends[i].stored] = i
	}
	i, ok := tx.places[s]
	return i, ok
}

type txSend struct {
	stored  *stored
	entry   *entry           // if it has one target: in one piece with stored
	message *message.Message // nil: stored has it, or only the log
	targets []*backlog       // durable ones and queues; a topic's other subscriptions are found at commit
	tracked bool
	group   string // of a message that is only in the log
	id      message.ID
	index   uint64  // its number in the transaction
	keys    []txKey // in targets that keep last values
}

// txKey is the key that a message of a transaction has in a queue that keeps last values.
type txKey struct {
	backlog *backlog
	key     string
}

// withoutConsumer appends what it has acknowledged of a backlog and whose consumer is gone.
func (tx *transaction) withoutConsumer(to []*entry, q *backlog) []*entry {
	for _, e := range tx.acks {
		if e.backlog == q && e.consumer == nil && e.state == settling {
			to = append(to, e)
		}
	}
	return to
}

func (tx *transaction) length() int { return len(tx.sends) + len(tx.acks) }

func (tx *transaction) fail(err *Error) {
	if tx.failed == nil {
		tx.failed = err
	}
}

func (b *Broker) openTx(conn *connection, id TxID) *transaction {
	tx := b.newTx(conn, id)
	conn.transactions[id] = tx
	return tx
}

func (b *Broker) newTx(conn *connection, id TxID) *transaction {
	b.nextTx++
	return &transaction{conn: conn, id: id, serial: b.nextTx, begun: b.now}
}

func (b *Broker) beginTx(ev *Begin) {
	conn := b.connections[ev.Conn]
	if conn == nil {
		return
	}
	if conn.transactions[ev.Tx] == nil {
		b.openTx(conn, ev.Tx)
	}
	if ev.Ref != 0 {
		b.tell(Effect{Conn: ev.Conn, Ref: ev.Ref})
	}
}

// sendInTx keeps a message for the commit.
func (b *Broker) sendInTx(tx *transaction, m *message.Message, targets []*backlog, tracked bool) {
	send := txSend{message: m, tracked: tracked, id: m.ID, targets: append([]*backlog(nil), targets...), index: tx.count}
	tx.count++
	send.keys = b.keysOf(m, targets)
	if len(targets) == 1 {
		both := &single{}
		send.stored, send.entry = &both.stored, &both.entry
	} else {
		send.stored = &stored{}
	}
	send.stored.size, send.stored.expiration, send.stored.priority = storedSize(m), m.Expiration, min(m.Priority, 9)
	if m.Persistent {
		send.stored.flags |= persistent
	}
	size := int64(send.stored.size)
	if m.Persistent || len(targets) > 0 && targets[0] == b.schedule.backlog {
		for _, q := range targets {
			if q.id != 0 {
				send.stored.flags |= logged
				tx.logged = true
				b.emitTxMessage(tx, &send, m)
				b.log.room -= size
				break
			}
		}
	}
	switch {
	case send.stored.inLog():
		if b.pending-b.unlogged+size > b.opt.CacheBytes {
			send.letGo()
		}
	case b.transient+b.away+b.unlogged+size <= b.opt.MemoryBytes:
	case len(targets) == 0: // nobody will get it
		send.letGo()
	case b.log.roomFor(size):
		send.stored.flags |= spilled
		b.emitSpill(send.stored, m)
		b.log.room -= size
		send.letGo()
	}
	send.reserve(1)
	b.countPending(&send, 1)
	tx.sends = append(tx.sends, send)
}

// letGo lets the body leave memory. It is read back from the log when its turn comes after the commit.
func (send *txSend) letGo() {
	m := send.message
	send.group = strings.Clone(m.GroupID)
	send.message = nil
}

// countPending counts a message's bytes n times if a transaction has it in memory.
func (b *Broker) countPending(send *txSend, n int64) {
	if send.message == nil {
		return
	}
	n *= int64(send.stored.size)
	b.pending += n
	if !send.stored.inLog() {
		b.unlogged += n
	}
}

// reserve takes n times the place that a message of an open transaction will need at its targets, so that a commit does not go beyond their limits.
func (send *txSend) reserve(n int) {
	for _, q := range send.targets {
		q.reserved += n
		q.toCome += int64(n) * int64(send.stored.size)
	}
}

// forgetPending says that the messages of a transaction that ends are not held for it any more, nor places for them.
func (b *Broker) forgetPending(tx *transaction) {
	for i := range tx.sends {
		b.countPending(&tx.sends[i], -1)
		tx.sends[i].reserve(-1)
	}
}

// ackInTx keeps acknowledgements for the commit. The deliveries stay at their consumer but leave its window.
func (b *Broker) ackInTx(c *consumer, ev *Ack) {
	tx, done, err := b.work(c.conn, ev.Tx)
	if done || err != nil {
		b.answer(ev.Conn, ev.Ref, err)
		return
	}
	entries, err := c.delivered(b.scratch.acked[:0], ev)
	defer func() { b.scratch.acked = forget(entries) }()
	if ev.Again && (err != nil || len(entries) < ev.Count) {
		if early := b.early(c, ev); early != nil {
			entries, err = early, nil
		}
	}
	if err != nil {
		tx.fail(err)
		b.answer(ev.Conn, ev.Ref, err)
		return
	}
	if len(tx.acks) == 0 {
		tx.acksFrom, tx.moves = b.log.tail, b.log.moves
	}
	n := len(tx.acks)
	b.heard(c, len(entries))
	for _, e := range entries {
		e.state = settling
		tx.acks = append(tx.acks, e)
		c.see(e)
	}
	b.emitSettling(tx, tx.acks[n:])
	b.answer(ev.Conn, ev.Ref, nil)
	b.wake(c)
}

func (b *Broker) commit(ev *Commit) {
	conn := b.connections[ev.Conn]
	if conn == nil {
		return
	}
	tx := conn.transactions[ev.Tx]
	if ev.Resent && b.outcomes.completed(conn.about.Name, ev.Tx) {
		if tx != nil { // what the client has repeated before is a copy
			b.undo(tx)
		}
		b.tell(Effect{Conn: ev.Conn, Ref: ev.Ref, hold: true})
		return
	}
	if tx == nil {
		err := &Error{Code: NotFound, Op: "commit", Detail: fmt.Sprintf("Transaction %d has not been started", ev.Tx)}
		if ev.Resent {
			err = &Error{Code: TransactionRolledBack, Op: "commit", Detail: fmt.Sprintf("Transaction %d was not committed before the connection was lost", ev.Tx)}
		}
		b.answer(ev.Conn, ev.Ref, err)
		return
	}
	if b.defers(tx, ev) {
		return
	}
	if tx.failed != nil {
		b.undo(tx)
		b.answer(ev.Conn, ev.Ref, &Error{Code: TransactionRolledBack, Op: "commit", Detail: tx.failed.Error(), Err: tx.failed})
		return
	}
	tx.part()
	b.apply(tx, false)
	if ev.Tracked {
		b.completeTx(tx)
	}
	b.tell(Effect{Conn: ev.Conn, Ref: ev.Ref, hold: tx.logged || tx.repeated})
}

// apply makes what a transaction did happen. The commit is logged if the transaction is, or in any case.
func (b *Broker) apply(tx *transaction, always bool) {
	b.forgetPending(tx)
	first := b.sequence + 1
	b.sequence += tx.count
	if tx.logged || always {
		if tx.moves != b.log.moves {
			b.emitTxAcks(tx)
		}
		start := b.begin(recordCommit)
		b.number(tx.serial)
		b.number(first)
		mark := &commitMark{sequence: b.sequence}
		b.log.commits = append(b.log.commits, mark)
		b.emit(start, Record{home: &mark.position})
	}
	for _, e := range tx.acks {
		if e.state != settling { // its backlog was removed
			continue
		}
		c := e.consumer
		if c != nil {
			c.forget(e)
			c.acked++
		}
		if b.messageAdvisories {
			b.adviseSettled(e)
		}
		b.discard(e)
		if c != nil {
			b.wake(c)
		}
	}
	for i := range tx.sends {
		if m := tx.sends[i].message; b.messageAdvisories && m != nil {
			if d := b.destinations[m.Destination]; d != nil {
				b.adviseSent(d, m)
			}
		}
		b.enterFromTx(tx, &tx.sends[i], first+tx.sends[i].index)
		if s := &tx.sends[i]; s.tracked && s.stored.flags&logged != 0 {
			home := s.stored.position // of the record that names the producer; the commit's does not
			if home == 0 {
				home = b.log.tail
			}
			b.producers.set(s.id, b.opt.MaxProducers, home)
			if p := b.producers.byID[s.id.Producer]; p != nil && home < b.log.target { // which is being cleaned: producers were written again, and the message will be without saying whose it is
				b.emitProducer(p)
			}
		}
	}
}

// enterFromTx makes one message of a committed transaction visible.
func (b *Broker) enterFromTx(tx *transaction, send *txSend, sequence uint64) {
	s := send.stored
	targets := b.scratch.targets[:0]
	for _, q := range send.targets {
		if !q.removed {
			targets = append(targets, q)
		}
	}
	b.scratch.targets = targets
	s.sequence = sequence
	if len(targets) == 0 {
		b.log.forget(s)
		return
	}
	if send.entry != nil {
		*send.entry = entry{stored: s, backlog: targets[0]}
		s.first = send.entry
	} else {
		entries := make([]entry, len(targets))
		for i, q := range targets {
			entries[i] = entry{stored: s, backlog: q}
			if i > 0 {
				entries[i-1].sibling = &entries[i]
			}
		}
		s.first = &entries[0]
	}
	s.message = send.message
	if s.flags&logged != 0 {
		s.flags |= transacted
	}
	group := send.group
	if send.message != nil {
		group = send.message.GroupID
	}
	b.keys = send.keys
	b.enter(s, group)
	b.keys = nil
}

func (b *Broker) rollback(ev *Rollback) {
	conn := b.connections[ev.Conn]
	if conn == nil {
		return
	}
	if tx := conn.transactions[ev.Tx]; tx != nil {
		b.undo(tx)
	}
	if ev.Ref != 0 {
		b.tell(Effect{Conn: ev.Conn, Ref: ev.Ref})
	}
}

// undo rolls a transaction back. What it acknowledged and is still at its consumer stays there.
func (b *Broker) undo(tx *transaction) { b.undoFor(tx, nil) }

// undoFor does the same for a connection: only its own consumers keep what they have, for they know of the rollback; what others have goes back.
func (b *Broker) undoFor(tx *transaction, by *connection) {
	prepared := tx.prepared()
	if tx.branch != nil {
		b.endBranch(tx)
	} else {
		tx.part()
	}
	b.forgetWaiting(tx)
	b.forgetPending(tx)
	if tx.logged || prepared {
		b.emitID(recordRollback, tx.serial, !prepared)
	}
	for i := range tx.sends {
		b.log.forget(tx.sends[i].stored)
	}
	var back []*entry
	returns := tx.conn != nil && tx.conn.returns // then nobody has rolled back: the client will do it all again
	for _, e := range tx.acks {
		if e.state != settling {
			continue
		}
		if c := e.consumer; c != nil && (by == nil || c.conn == by) {
			e.state = dispatched
			if !returns {
				e.marks |= shown
			}
			c.unsee(e)
			continue
		} else if c != nil {
			c.forget(e)
			b.wake(c)
		}
		if returns {
			e.uncertain()
		} else {
			e.raise()
		}
		back = append(back, e)
	}
	b.giveBack(back)
}
