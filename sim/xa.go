package sim

import (
	"errors"
	"maps"
	"slices"

	"github.com/godwitmq/godwit/broker"
)

// prepared is a distributed transaction that waits for its settlement, which any client may bring about.
type prepared struct {
	sends []txSend
	acks  []*delivery
}

// doubt is a local transaction whose commit was not answered.
type doubt struct {
	conn string // the connection's name
	tx   broker.TxID
}

// completion is what the broker must know of a local commit that took place.
type completion struct {
	kept  keptCommit
	batch int // the one that tells of it, inLog
}

type keptCommit int

const (
	inLog    keptCommit = iota // survives a crash
	inMemory                   // may not survive one
	unsure                     // has perhaps not survived one
)

// settlements are what the model knows of distributed transactions, and of commits that a client may ask for again.
type settlements struct {
	prepared  map[broker.XID]*prepared
	decided   map[broker.XID]bool // by an operator, and the transaction manager has not heard it: committed
	completed map[doubt]completion
	lastXID   int32
}

func newSettlements() settlements {
	return settlements{prepared: map[broker.XID]*prepared{}, decided: map[broker.XID]bool{}, completed: map[doubt]completion{}}
}

// durable gives them as the log would tell them.
func (m *model) durableSettlements() settlements {
	s := newSettlements()
	for x, p := range m.prepared {
		kept := &prepared{}
		for _, a := range p.acks {
			if at := m.places[a.place]; at != nil && at.Logged {
				kept.acks = append(kept.acks, a)
			}
		}
		for _, send := range p.sends {
			if !m.messages[send.id].persistent {
				continue
			}
			to := slices.DeleteFunc(slices.Clone(send.to), func(t target) bool { return !t.isLogged() || !m.stillThere(t) })
			kept.sends = append(kept.sends, txSend{id: send.id, to: to})
		}
		s.prepared[x] = kept
	}
	s.decided = maps.Clone(m.decided)
	for d, c := range m.completed {
		if c.kept != inLog {
			c = completion{kept: unsure}
		}
		s.completed[d] = c
	}
	return s
}

// recoverSettlements takes them from a state that the log tells.
func (w *world) recoverSettlements(from settlements) {
	last := w.lastXID
	w.settlements = newSettlements()
	w.lastXID = last
	w.decided, w.completed = maps.Clone(from.decided), maps.Clone(from.completed)
	for x, p := range from.prepared {
		kept := &prepared{acks: slices.Clone(p.acks)}
		for _, send := range p.sends {
			w.messages[send.id].rolledBack = false // if so, it was lost
			to := slices.Clone(send.to)
			for i := range to {
				to[i].generation = w.generations[to[i].backlog]
				if to[i].sub != nil {
					to[i].sub = w.sub(to[i].backlog)
				}
			}
			kept.sends = append(kept.sends, txSend{id: send.id, to: to})
		}
		w.prepared[x] = kept
	}
}

// checkPrepared looks that the broker has the transactions that it must have.
func (w *world) checkPrepared() {
	var got, want []string
	for _, e := range w.step(&broker.ListTransactions{Ref: 1}) {
		if v, ok := e.Value.(*broker.TransactionsView); ok {
			for _, x := range v.Transactions {
				if x.State != "open" {
					got = append(got, x.XID+" "+x.State)
				}
			}
		}
	}
	for x := range w.prepared {
		want = append(want, x.String()+" prepared")
	}
	for x, committed := range w.decided {
		want = append(want, x.String()+map[bool]string{true: " committed", false: " rolled back"}[committed])
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		w.fail("the broker has the transactions %v, want %v", got, want)
	}
}

// isPrepared says whether a message is acknowledged in a prepared transaction.
func (w *world) isPrepared(k key) bool {
	for _, p := range w.prepared {
		if slices.ContainsFunc(p.acks, func(x *delivery) bool { return x.place == k }) {
			return true
		}
	}
	return false
}

// beginDistributed begins one, in which the client then works as in a local one.
func (c *client) beginDistributed() {
	w := c.w
	c.lastTx++
	w.lastXID++
	c.tx = &tx{id: broker.DistributedTx(uint64(c.lastTx)), xid: broker.XID{Format: w.lastXID, Global: "g"}}
	w.note("client %d begins %s", c.index, c.tx.xid)
	w.step(&broker.XABegin{Conn: c.conn, Ref: c.ref(), Tx: c.tx.id, XID: c.tx.xid})
}

// inLineOf says whether something of a connection waits for room.
func (w *world) inLineOf(conn broker.ConnID) bool {
	return slices.ContainsFunc(w.inLine, func(x *waitingEvent) bool { return x.conn == conn })
}

// endDistributed prepares it, or ends it at once.
func (c *client) endDistributed(commit bool) {
	w := c.w
	xid := c.tx.xid
	switch {
	case !commit:
		w.note("client %d rolls back %s", c.index, xid)
		w.step(&broker.XARollback{Conn: c.conn, Ref: c.ref(), XID: xid})
	case w.chance(3):
		w.note("client %d commits %s in one phase", c.index, xid)
		w.step(&broker.XACommit{Conn: c.conn, Ref: c.ref(), XID: xid, OnePhase: true})
	default:
		w.note("client %d prepares %s", c.index, xid)
		w.step(&broker.XAPrepare{Conn: c.conn, Ref: c.ref(), XID: xid})
	}
}

// settle does something with a transaction that is prepared, or that an operator has settled, or with one that nobody knows.
func (c *client) settle() {
	w := c.w
	ids := slices.Concat(slices.Collect(maps.Keys(w.prepared)), slices.Collect(maps.Keys(w.decided)))
	slices.SortFunc(ids, func(x, y broker.XID) int { return int(x.Format - y.Format) })
	xid := broker.XID{Format: -1, Global: "nobody's"}
	if len(ids) > 0 && !w.chance(20) {
		xid = ids[w.rnd.IntN(len(ids))]
	}
	ref := c.ref()
	var ev broker.Event
	switch w.rnd.IntN(9) {
	case 0, 1, 2:
		ev = &broker.XACommit{Conn: c.conn, Ref: ref, XID: xid}
	case 3, 4:
		ev = &broker.XARollback{Conn: c.conn, Ref: ref, XID: xid}
	case 5:
		ev = &broker.XAForget{Conn: c.conn, Ref: ref, XID: xid}
	default:
		ev = &broker.SettleTransaction{Conn: c.conn, Ref: ref, XID: xid, Commit: w.chance(2)}
	}
	w.note("client %d: %T of %s", c.index, ev, xid)
	w.step(ev)
}

// askAgain asks for the outcome of a commit that was not answered, and says whether it took place.
func (c *client) askAgain() bool {
	w := c.w
	ref := c.ref()
	w.note("client %d asks again for the commit of %d", c.index, c.inDoubtTx)
	return answered(w.step(&broker.Commit{Conn: c.conn, Ref: ref, Tx: c.inDoubtTx, Tracked: true, Resent: true}), ref)
}

// expectAgain judges the answer to that.
func (w *world) expectAgain(c *client, ev *broker.Commit, effects []broker.Effect) {
	of := doubt{c.name(), ev.Tx}
	c0, known := w.completed[of]
	ok := answered(effects, ev.Ref)
	w.result.Repeated++
	if ok != known && c0.kept != unsure {
		w.fail("commit %d of client %d took place: %v, and its client is told %v", ev.Tx, c.index, known, ok)
	}
	if ok {
		w.need = c0.batch
	}
}

// code gives an answer's XA code; 0: success.
func (w *world) code(effects []broker.Effect, ref broker.Ref) broker.XACode {
	for _, e := range effects {
		if e.Kind != broker.Answer || e.Ref != ref {
			continue
		}
		var code broker.XACode
		switch {
		case e.Err == nil:
			return 0
		case errors.As(e.Err, &code):
			return code
		}
		return broker.XAResourceFailed // what an operator is told has no code
	}
	w.fail("a transaction's event was not answered")
	return 0
}

// expectDistributed says what the events of distributed transactions must bring about.
func (w *world) expectDistributed(ev broker.Event, effects []broker.Effect, d *due) {
	switch ev := ev.(type) {
	case *broker.XAPrepare:
		w.expectPrepare(ev, effects)
	case *broker.XACommit:
		code := w.code(effects, ev.Ref)
		if c := w.working(ev.XID); c != nil {
			w.expectOnePhase(c, code, d)
			return
		}
		w.expectSettled(ev.Conn, ev.XID, true, false, code, d)
	case *broker.XARollback:
		code := w.code(effects, ev.Ref)
		if c := w.working(ev.XID); c != nil {
			w.expectRollback(c)
			return
		}
		w.expectSettled(ev.Conn, ev.XID, false, false, code, d)
	case *broker.SettleTransaction:
		w.expectSettled(0, ev.XID, ev.Commit, true, w.code(effects, ev.Ref), d)
	case *broker.XAForget:
		_, decided := w.decided[ev.XID]
		if code := w.code(effects, ev.Ref); (code == 0) != decided {
			w.fail("forget of %s, settled by an operator %v: code %d", ev.XID, decided, code)
		}
		if decided {
			delete(w.decided, ev.XID)
			w.need = w.batches
		}
	}
}

// working is the client at work in a transaction.
func (w *world) working(xid broker.XID) *client {
	for _, c := range w.clients {
		if c.conn != 0 && c.tx != nil && c.tx.xid == xid {
			return c
		}
	}
	return nil
}

func (w *world) expectPrepare(ev *broker.XAPrepare, effects []broker.Effect) {
	c := w.connected(ev.Conn)
	tx := c.tx
	code := w.code(effects, ev.Ref)
	if tx.failed != (code == broker.XARolledBack) || code != 0 && code != broker.XARolledBack {
		w.fail("prepare of %s, failed %v: code %d", ev.XID, tx.failed, code)
	}
	if code != 0 {
		w.expectRollback(c)
		return
	}
	i := slices.IndexFunc(effects, func(e broker.Effect) bool { return e.Kind == broker.Answer && e.Ref == ev.Ref })
	if effects[i].Value == broker.VoteReadOnly {
		if len(tx.sends) > 0 || len(tx.acks) > 0 {
			w.fail("%s has sent and acknowledged and counts as read only", ev.XID)
		}
		c.tx = nil
		return
	}
	w.result.Prepared++
	w.prepared[ev.XID] = &prepared{sends: tx.sends, acks: tx.acks}
	w.need = w.batches
	c.tx = nil
}

func (w *world) expectOnePhase(c *client, code broker.XACode, d *due) {
	tx := c.tx
	if tx.failed != (code == broker.XARolledBack) || code != 0 && code != broker.XARolledBack {
		w.fail("commit of %s in one phase, failed %v: code %d", tx.xid, tx.failed, code)
	}
	if code != 0 {
		w.expectRollback(c)
		return
	}
	c.tx = nil
	w.expectApplied(&prepared{sends: tx.sends, acks: tx.acks}, d)
}

// expectSettled judges a commit or rollback of what may be prepared, or settled by an operator.
func (w *world) expectSettled(by broker.ConnID, xid broker.XID, commit, operator bool, code broker.XACode, d *due) {
	p := w.prepared[xid]
	committed, decided := w.decided[xid]
	want := broker.XACode(0)
	switch {
	case p == nil && operator:
		want = broker.XAResourceFailed
	case p == nil && !decided:
		want = broker.XANotKnown
	case p == nil && committed && !commit:
		want = broker.XAHeuristicCommit
	case p == nil && !committed && commit:
		want = broker.XAHeuristicRollback
	}
	if code != want {
		w.fail("commit %v of %s, prepared %v, settled by an operator %v (committed %v): code %d, want %d", commit, xid, p != nil, decided, committed, code, want)
	}
	if code != 0 {
		return
	}
	w.need = w.batches
	if p == nil {
		delete(w.decided, xid)
		return
	}
	delete(w.prepared, xid)
	if operator {
		w.decided[xid] = commit
	}
	if commit {
		w.expectApplied(p, d)
	} else {
		w.expectUndone(by, p)
	}
}

// expectApplied makes what a transaction did happen.
func (w *world) expectApplied(p *prepared, d *due) {
	w.result.Commits++
	for _, x := range p.acks {
		at := w.places[x.place]
		if at == nil { // its backlog was removed
			continue
		}
		d.gone[x.place] = true
		if at.Logged {
			w.need = w.batches
		}
	}
	w.taken(p, 0)
	for _, s := range p.sends {
		for _, t := range s.to {
			if w.stillThere(t) {
				d.arrivals = append(d.arrivals, arrival{backlog: t.backlog, msg: w.messages[s.id]})
			}
		}
	}
}

// taken ends what consumers have to do with the acknowledged messages, but for those of a connection.
func (w *world) taken(p *prepared, but broker.ConnID) {
	for _, c := range w.clients {
		for _, k := range c.consumers {
			k.has = slices.DeleteFunc(k.has, func(x *delivery) bool { return slices.Contains(p.acks, x) && (c.conn != but || but == 0) })
		}
	}
}

// expectUndone: what its own consumers have stays there, the rest goes back.
func (w *world) expectUndone(by broker.ConnID, p *prepared) {
	for _, s := range p.sends {
		w.messages[s.id].rolledBack = true
	}
	w.taken(p, by)
	for _, x := range p.acks {
		x.inTx, x.seen = false, false
	}
}
