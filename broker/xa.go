package broker

import (
	"container/list"
	"fmt"
	"slices"
)

// distributedTx is set in the TxID by which a connection names its share of a distributed transaction.
const distributedTx TxID = 1 << 63

// DistributedTx makes the TxID for a session's nth distributed transaction.
func DistributedTx(n uint64) TxID { return distributedTx | TxID(n) }

// IsDistributed says whether the id is from DistributedTx.
func (id TxID) IsDistributed() bool { return id&distributedTx != 0 }

// Vote is what a branch answers to XAPrepare.
type Vote uint8

// The votes.
const (
	VoteOK       Vote = iota // prepared
	VoteReadOnly             // it had nothing to do and is forgotten
)

// XABegin makes what follows in Tx part of a branch, which it begins, or joins if another connection has begun it. Tx is from DistributedTx; a connection
// that begins the same branch again gives it a new one. Errors, as all of XA's with an XACode: XADuplicate (prepared or settled by an operator), XAInvalid.
// Without Ref they are told by XAEnd.
type XABegin struct {
	Conn   ConnID
	Ref    Ref
	Tx     TxID
	XID    XID
	Resent bool // by a client that is back after a failover: what it repeats in a branch that is prepared is there already
}

// XAPrepare makes a branch survive everything until it is settled; the answer comes when it is durable. Its Value is a Vote. Any connection may do it.
// Errors: XANotKnown, XARolledBack (and it is).
type XAPrepare struct {
	Conn ConnID
	Ref  Ref
	XID  XID
}

// XACommit commits a branch, that of another connection too. Errors: XANotKnown, XAProtocol (not prepared and not OnePhase), XARolledBack,
// XAHeuristicRollback.
type XACommit struct {
	Conn     ConnID
	Ref      Ref
	XID      XID
	OnePhase bool
	Tracked  bool // the client may ask again after a failover: remember that it was committed
}

// XARollback undoes a branch. Errors: XANotKnown, XAHeuristicCommit.
type XARollback struct {
	Conn ConnID
	Ref  Ref
	XID  XID
}

// XARecover asks for the branches that are prepared or were settled by an operator. The answer's Value is a []XID.
type XARecover struct {
	Conn ConnID
	Ref  Ref
}

// XAForget forgets how an operator has settled a branch. Errors: XANotKnown, XAProtocol (it is not settled).
type XAForget struct {
	Conn ConnID
	Ref  Ref
	XID  XID
}

// XAEnd asks whether the connection has a share in a branch, which its work there ends or suspends. Error: XANotKnown.
type XAEnd struct {
	Conn ConnID
	Ref  Ref
	XID  XID
}

// Spoil makes a transaction fail when it is prepared or committed.
type Spoil struct {
	Conn ConnID
	Tx   TxID
	Err  *Error // why
}

func (*Spoil) isEvent()      {}
func (*XABegin) isEvent()    {}
func (*XAPrepare) isEvent()  {}
func (*XACommit) isEvent()   {}
func (*XARollback) isEvent() {}
func (*XARecover) isEvent()  {}
func (*XAForget) isEvent()   {}
func (*XAEnd) isEvent()      {}

// distributed applies the events of this file and those that administer transactions.
func (b *Broker) distributed(event Event) {
	switch ev := event.(type) {
	case *Spoil:
		if c := b.connections[ev.Conn]; c != nil && c.transactions[ev.Tx] != nil {
			c.transactions[ev.Tx].fail(ev.Err)
		}
	case *XABegin:
		b.xaBegin(ev)
	case *XAEnd:
		b.xaEnd(ev)
	case *XAPrepare:
		b.xaPrepare(ev)
	case *XACommit:
		b.xaCommit(ev)
	case *XARollback:
		b.xaRollback(ev)
	case *XARecover:
		b.xaRecover(ev)
	case *XAForget:
		b.xaForget(ev)
	case *ListTransactions:
		b.listTransactions(ev)
	case *SettleTransaction:
		b.settleTransaction(ev)
	}
}

// branch is what a distributed transaction has beside a local one.
type branch struct {
	xid      XID
	parties  []party // the connections that have a share in it
	prepared int64   // ms since 1970; 0: not prepared
	user     string  // who began it
	clientID string
	home     uint64        // position of the record that says it is prepared
	at       *list.Element // in branches.prepared
}

type party struct {
	conn  *connection
	id    TxID
	again bool // it has come back from a failover, and repeats what it did
}

// branches are the distributed transactions of a broker.
type branches struct {
	byXID    map[XID]*transaction
	prepared list.List               // of *transaction, in the order of their preparation
	bySerial map[uint64]*transaction // the prepared ones; their sends have the serial as sequence meanwhile
	bytes    int64                   // of the records of prepared ones, messages apart
}

func newBranches() branches {
	return branches{byXID: map[XID]*transaction{}, bySerial: map[uint64]*transaction{}}
}

// prepared says whether a transaction waits for its settlement only.
func (tx *transaction) prepared() bool { return tx.branch != nil && tx.branch.prepared != 0 }

// recordBytes is about what the records of a prepared transaction take, messages apart.
func (tx *transaction) recordBytes() int64 {
	x := tx.branch
	return int64(len(x.xid.Global)+len(x.xid.Branch)+len(x.user)+len(x.clientID)) + int64(len(tx.acks)+2)*recordBytes
}

func notKnown(x XID) *Error {
	return xaFailed(XANotKnown, "Transaction "+x.told()+" has not been started.")
}

func (b *Broker) xaBegin(ev *XABegin) {
	conn := b.connections[ev.Conn]
	if conn == nil {
		return
	}
	tx := b.branches.byXID[ev.XID]
	if err := b.mayBegin(ev.XID, ev.Resent); err != nil {
		if ev.Ref != 0 {
			b.answer(ev.Conn, ev.Ref, err)
		}
		return
	}
	if tx == nil {
		if !ev.Resent {
			b.outcomes.forget(ev.XID)
		}
		tx = b.newTx(conn, ev.Tx)
		tx.branch = &branch{xid: ev.XID, user: conn.about.User, clientID: conn.about.ClientID}
		b.branches.byXID[ev.XID] = tx
	}
	tx.join(party{conn, ev.Tx, ev.Resent})
	b.answer(ev.Conn, ev.Ref, nil)
}

// mayBegin says why a branch cannot be begun or joined.
func (b *Broker) mayBegin(x XID, resent bool) *Error {
	tx := b.branches.byXID[x]
	switch {
	case tx != nil && tx.prepared() && !resent:
		return xaFailed(XADuplicate, "Transaction "+x.told()+" is prepared already; it can only be committed or rolled back.")
	case tx == nil && b.outcomes.heuristic(x):
		return xaFailed(XADuplicate, "Transaction "+x.told()+" was settled by an operator and has not been forgotten yet.")
	}
	return x.check()
}

// join gives a connection a share.
func (tx *transaction) join(p party) {
	parties := tx.branch.parties
	i := slices.IndexFunc(parties, func(x party) bool { return x.conn == p.conn })
	if i >= 0 {
		delete(p.conn.transactions, parties[i].id)
		parties[i] = p
	} else {
		tx.branch.parties = append(parties, p)
	}
	p.conn.transactions[p.id] = tx
}

// part takes a transaction from all connections that have a share in it.
func (tx *transaction) part() {
	if tx.branch == nil {
		delete(tx.conn.transactions, tx.id)
		return
	}
	for _, p := range tx.branch.parties {
		delete(p.conn.transactions, p.id)
	}
	tx.branch.parties = nil
}

// work gives the transaction in which a connection does something, beginning a local one if need be. done means that what is to be done there has been
// done before: the client repeats after a failover what is prepared.
func (b *Broker) work(conn *connection, id TxID) (tx *transaction, done bool, err *Error) {
	tx = conn.transactions[id]
	switch {
	case tx == nil && id.IsDistributed():
		return nil, false, xaFailed(XANotKnown, "The distributed transaction has been settled, or not been started.")
	case tx == nil:
		tx = b.openTx(conn, id)
	case tx.prepared():
		for _, p := range tx.branch.parties {
			if p.conn == conn && p.again {
				return nil, true, nil
			}
		}
		return nil, false, xaFailed(XAProtocol, "Transaction "+tx.branch.xid.told()+" is prepared; nothing can be added to it.")
	}
	return tx, false, nil
}

func (b *Broker) xaEnd(ev *XAEnd) {
	conn := b.connections[ev.Conn]
	if conn == nil {
		return
	}
	tx := b.branches.byXID[ev.XID]
	if tx == nil || !slices.ContainsFunc(tx.branch.parties, func(p party) bool { return p.conn == conn && (p.again || !tx.prepared()) }) {
		err := b.mayBegin(ev.XID, false)
		if err == nil {
			err = notKnown(ev.XID)
		}
		b.answer(ev.Conn, ev.Ref, err)
		return
	}
	b.answer(ev.Conn, ev.Ref, nil)
}

func (b *Broker) xaPrepare(ev *XAPrepare) {
	conn := b.connections[ev.Conn]
	if conn == nil {
		return
	}
	tx := b.branches.byXID[ev.XID]
	switch {
	case tx == nil:
		b.answer(ev.Conn, ev.Ref, notKnown(ev.XID))
		return
	case b.defers(tx, ev):
		return
	case tx.failed != nil:
		err := tx.failed
		b.undoFor(tx, conn)
		b.answer(ev.Conn, ev.Ref, rolledBack(ev.XID, err))
		return
	case tx.prepared(): // asked once more
		b.tell(Effect{Conn: ev.Conn, Ref: ev.Ref, Value: VoteOK, hold: true})
		return
	case b.outcomes.isCommitted(ev.XID): // and this is a copy of it, which a client repeats after a failover
		b.undoFor(tx, conn)
		b.tell(Effect{Conn: ev.Conn, Ref: ev.Ref, Value: VoteOK, hold: true})
		return
	case tx.length() == 0:
		b.endBranch(tx)
		b.tell(Effect{Conn: ev.Conn, Ref: ev.Ref, Value: VoteReadOnly})
		return
	case b.branches.prepared.Len() >= b.opt.MaxPrepared:
		b.undoFor(tx, conn)
		b.answer(ev.Conn, ev.Ref, rolledBack(ev.XID, &Error{Code: Full, Op: "prepare", Detail: fmt.Sprintf("the broker has %d prepared transactions, its limit; `godwit transactions` lists and settles them", b.opt.MaxPrepared)}))
		return
	}
	tx.branch.prepared = b.now
	b.keepPrepared(tx)
	b.emitPrepare(tx)
	b.tell(Effect{Conn: ev.Conn, Ref: ev.Ref, Value: VoteOK, hold: true})
}

func rolledBack(x XID, why *Error) *Error {
	return xaFailed(XARolledBack, "Transaction "+x.told()+" was rolled back: "+why.Error())
}

// keepPrepared enters a prepared transaction in the books.
func (b *Broker) keepPrepared(tx *transaction) {
	for i := range tx.sends {
		tx.sends[i].stored.sequence = tx.serial
	}
	tx.branch.at = b.branches.prepared.PushBack(tx)
	b.branches.bySerial[tx.serial] = tx
	b.branches.bytes += tx.recordBytes()
}

// endBranch takes a branch out of the books and from its connections.
func (b *Broker) endBranch(tx *transaction) {
	x := tx.branch
	tx.part()
	delete(b.branches.byXID, x.xid)
	if x.at != nil {
		b.branches.prepared.Remove(x.at)
		delete(b.branches.bySerial, tx.serial)
		b.branches.bytes -= tx.recordBytes()
		x.at = nil
	}
}

func (b *Broker) xaCommit(ev *XACommit) {
	conn := b.connections[ev.Conn]
	if conn == nil {
		return
	}
	tx := b.branches.byXID[ev.XID]
	committed, heuristic, known := b.outcomes.of(ev.XID)
	switch {
	case known && committed:
		// Asked once more, or after an operator did it. What the client has repeated before is a copy.
		if tx != nil {
			b.undoFor(tx, conn)
		}
		if heuristic {
			b.forgetOutcome(ev.XID)
		}
		b.tell(Effect{Conn: ev.Conn, Ref: ev.Ref, hold: true})
	case known:
		b.answer(ev.Conn, ev.Ref, xaFailed(XAHeuristicRollback, "Transaction "+ev.XID.told()+" was rolled back by an operator."))
	case tx == nil:
		b.answer(ev.Conn, ev.Ref, notKnown(ev.XID))
	case ev.OnePhase && b.defers(tx, ev):
	case tx.failed != nil:
		err := tx.failed
		b.undoFor(tx, conn)
		b.answer(ev.Conn, ev.Ref, rolledBack(ev.XID, err))
	case !tx.prepared() && !ev.OnePhase:
		b.answer(ev.Conn, ev.Ref, xaFailed(XAProtocol, "Cannot do 2 phase commit if the transaction has not been prepared."))
	default:
		b.commitBranch(tx, ev.Tracked)
		b.tell(Effect{Conn: ev.Conn, Ref: ev.Ref, hold: true})
	}
}

// commitBranch commits. That a prepared one was is remembered in any case: its commit record tells it, as long as the log has the record of the prepare, which has the id.
func (b *Broker) commitBranch(tx *transaction, tracked bool) {
	x, home := tx.branch.xid, tx.branch.home
	prepared := tx.prepared()
	b.endBranch(tx)
	b.apply(tx, prepared)
	switch {
	case prepared && home < b.log.target: // which is being cleaned: the outcomes have been written again
		b.settleOutcome(x, true, false)
	case prepared:
		b.outcomes.settle(x, true, false, home)
	case tracked && tx.logged:
		b.settleOutcome(x, true, false)
	case tracked:
		b.outcomes.settle(x, true, false, notLogged)
	}
}

func (b *Broker) xaRollback(ev *XARollback) {
	conn := b.connections[ev.Conn]
	if conn == nil {
		return
	}
	tx := b.branches.byXID[ev.XID]
	committed, heuristic, _ := b.outcomes.of(ev.XID)
	switch {
	case heuristic && committed:
		b.answer(ev.Conn, ev.Ref, xaFailed(XAHeuristicCommit, "Transaction "+ev.XID.told()+" was committed by an operator."))
	case heuristic:
		b.forgetOutcome(ev.XID)
		b.answer(ev.Conn, ev.Ref, nil)
	case tx == nil:
		b.answer(ev.Conn, ev.Ref, notKnown(ev.XID))
	default:
		b.undoFor(tx, conn)
		b.tell(Effect{Conn: ev.Conn, Ref: ev.Ref, hold: true})
	}
}

func (b *Broker) xaRecover(ev *XARecover) {
	if b.connections[ev.Conn] == nil {
		return
	}
	ids := b.outcomes.heuristics()
	for at := b.branches.prepared.Front(); at != nil; at = at.Next() {
		ids = append(ids, at.Value.(*transaction).branch.xid)
	}
	b.tell(Effect{Conn: ev.Conn, Ref: ev.Ref, Value: ids, hold: true})
}

func (b *Broker) xaForget(ev *XAForget) {
	if b.connections[ev.Conn] == nil {
		return
	}
	_, heuristic, _ := b.outcomes.of(ev.XID)
	switch {
	case heuristic:
		b.forgetOutcome(ev.XID)
		b.answer(ev.Conn, ev.Ref, nil)
	case b.branches.byXID[ev.XID] != nil:
		b.answer(ev.Conn, ev.Ref, xaFailed(XAProtocol, "Transaction "+ev.XID.told()+" has not been settled."))
	default:
		b.answer(ev.Conn, ev.Ref, notKnown(ev.XID))
	}
}

// withdraw ends what a connection that goes has to do with a transaction. One that is not prepared is rolled back, whoever else has a share in it.
func (b *Broker) withdraw(conn *connection, id TxID) {
	tx := conn.transactions[id]
	if tx.branch == nil {
		b.undo(tx)
		return
	}
	x := tx.branch
	x.parties = slices.DeleteFunc(x.parties, func(p party) bool { return p.conn == conn })
	delete(conn.transactions, id)
	switch {
	case tx.prepared():
		if len(x.parties) == 0 {
			b.relievePrepared(tx)
		}
		return
	case len(x.parties) == 0:
		b.undo(tx)
		return
	}
	// The others are told when they prepare or commit.
	rest := x.parties
	x.parties = nil
	b.undo(tx)
	next := b.newTx(rest[0].conn, rest[0].id)
	next.branch = &branch{xid: x.xid, user: x.user, clientID: x.clientID, parties: rest}
	next.fail(&Error{Code: TransactionRolledBack, Detail: "connection " + conn.about.Name + ", which had a share in it, was lost"})
	b.branches.byXID[x.xid] = next
	for _, p := range rest {
		p.conn.transactions[p.id] = next
	}
}

// relievePrepared takes the bodies of a prepared transaction out of memory if they are in the log: its client is gone, and who knows when it comes back.
func (b *Broker) relievePrepared(tx *transaction) {
	for i := range tx.sends {
		send := &tx.sends[i]
		if send.message != nil && send.stored.inLog() && send.stored.position != 0 {
			b.countPending(send, -1)
			send.letGo()
		}
	}
}

func (b *Broker) emitPrepare(tx *transaction) {
	tx.branch.home = b.log.tail // or behind it
	b.emit(b.writePrepare(tx.serial, tx.begun, tx.branch), Record{})
}

func (b *Broker) writePrepare(serial uint64, begun int64, x *branch) int {
	start := b.begin(recordPrepare)
	b.number(serial)
	b.number(uint64(uint32(x.xid.Format)))
	b.text(x.xid.Global)
	b.text(x.xid.Branch)
	b.number(uint64(begun))
	b.number(uint64(x.prepared))
	b.text(x.user)
	b.text(x.clientID)
	return start
}

// carryPrepared writes again what prepared transactions have in the log before a position, about so many bytes of it, and says how many it was. Their messages
// are moved as others are.
func (b *Broker) carryPrepared(before uint64, bytes int) (carried int) {
	for at := b.branches.prepared.Front(); at != nil && carried < bytes; at = at.Next() {
		tx := at.Value.(*transaction)
		old := tx.branch.home < before
		if old {
			b.emitPrepare(tx)
		}
		if len(tx.acks) > 0 && tx.acksFrom < before {
			b.emitTxAcks(tx)
			old = true
		}
		if old {
			carried += int(tx.recordBytes())
		}
	}
	return carried
}

// replayPrepare reads recordPrepare.
func (b *Broker) replayPrepare(position uint64, f *fields) {
	tx := b.replayTx(f.number())
	x := &branch{home: position}
	x.xid = XID{Format: int32(uint32(f.number())), Global: f.text(), Branch: f.text()}
	tx.begun, x.prepared = int64(f.number()), int64(f.number())
	x.user, x.clientID = f.text(), f.text()
	if !f.failed {
		tx.branch = x
		b.outcomes.forget(x.xid) // of an earlier one with the same id
	}
}

// recoverTransactions keeps the prepared ones and rolls the others back. It gives the backlogs in which prepared ones will put messages.
func (b *Broker) recoverTransactions() map[*backlog]bool {
	wanted := map[*backlog]bool{}
	for _, q := range b.backlogs {
		if q.destination != nil { // else it is made a shared queue
			q.tidyGroups()
		}
	}
	for _, serial := range sortedKeys(b.replay.transactions) {
		if r := b.replay.transactions[serial]; r.branch != nil {
			b.recoverPrepared(serial, r, wanted)
		} else {
			b.replayRollback(serial)
		}
	}
	return wanted
}

// recoverPrepared makes a prepared transaction of what the log says of it. No body is read.
func (b *Broker) recoverPrepared(serial uint64, r *replayTx, wanted map[*backlog]bool) {
	tx := &transaction{serial: serial, begun: r.begun, branch: r.branch, logged: true, acksFrom: r.acksFrom, moves: ^uint64(0)}
	tx.sends = make([]txSend, 0, len(r.sends))
	for _, index := range sortedKeys(r.sends) {
		send := r.sends[index]
		x := txSend{stored: send.stored, index: index, tracked: send.producer != "", group: send.group}
		x.id.Producer, x.id.Sequence = send.producer, send.last
		for _, id := range send.targets {
			if q := b.replay.backlogs[id]; q != nil {
				x.targets = append(x.targets, q.backlog)
				if key, ok := send.keys[id]; ok {
					x.keys = append(x.keys, txKey{q.backlog, key})
				}
				if q.backlog.destination == nil {
					wanted[q.backlog] = true
				}
			}
		}
		x.reserve(1)
		tx.sends = append(tx.sends, x)
		tx.count = index + 1
	}
	tx.acks = make([]*entry, 0, len(r.acks))
	for _, a := range sortedAcks(r.acks) {
		q := b.replay.backlogs[a.backlog]
		e := q.find(a.sequence)
		if e == nil || e.state != ready {
			continue
		}
		b.clearEntryTimer(e)
		if e.group != 0 { // which waits until this is settled
			q.backlog.groups.sent(e)
		}
		q.backlog.remove(e)
		e.state = settling
		tx.acks = append(tx.acks, e)
	}
	b.branches.byXID[tx.branch.xid] = tx
	b.keepPrepared(tx)
}

func sortedAcks(acks map[replayAck]bool) []replayAck {
	list := make([]replayAck, 0, len(acks))
	for a := range acks {
		list = append(list, a)
	}
	slices.SortFunc(list, func(x, y replayAck) int {
		if x.backlog != y.backlog {
			return int(int64(x.backlog - y.backlog))
		}
		return int(int64(x.sequence - y.sequence))
	})
	return list
}
