package broker

import (
	"container/list"
	"slices"
)

// outcomes remembers how transactions ended whose clients may not have learnt it: local ones by the client's connection and number, distributed ones by
// their id. A commit that is asked for once more is answered by it.
type outcomes struct {
	limit      int // of connections, and of distributed transactions
	byName     map[string]*completed
	names      list.List // of *completed, the most recent in front
	byXID      map[XID]*outcome
	recent     list.List // of *outcome: commits, the newest in front
	decided    list.List // of *outcome: what operators settled, the newest in front; kept until the transaction manager has heard it
	maxDecided int
}

// completed are the newest commits of one connection.
type completed struct {
	name    string
	commits []commitOf
	at      *list.Element
}

type commitOf struct {
	tx   TxID
	home uint64 // not after the record that tells of it; notLogged: there is none
}

// maxCompleted is how many commits of one connection are remembered. A connection has as many under way at a time as it has sessions.
const maxCompleted = 64

// notLogged is the home of what no record tells of.
const notLogged = ^uint64(0)

// outcome is how a distributed transaction ended.
type outcome struct {
	xid       XID
	committed bool
	heuristic bool   // an operator did it
	home      uint64 // as in commitOf; of one that was prepared, that of the prepare's record, without which its commit's tells nothing
	at        *list.Element
}

func newOutcomes(limit, maxDecided int) outcomes {
	return outcomes{limit: limit, maxDecided: maxDecided, byName: map[string]*completed{}, byXID: map[XID]*outcome{}}
}

// complete remembers a commit of a connection.
func (o *outcomes) complete(name string, tx TxID, home uint64) {
	c := o.byName[name]
	if c == nil {
		for o.names.Len() >= o.limit {
			oldest := o.names.Remove(o.names.Back()).(*completed)
			delete(o.byName, oldest.name)
		}
		c = &completed{name: name}
		c.at = o.names.PushFront(c)
		o.byName[name] = c
	} else if c.at != o.names.Front() {
		o.names.MoveToFront(c.at)
	}
	for i := range c.commits {
		if c.commits[i].tx == tx { // its record was written again, behind those of newer ones, which follow in that record
			c.commits = slices.Delete(c.commits, i, i+1)
			break
		}
	}
	if len(c.commits) >= maxCompleted {
		c.commits = c.commits[:copy(c.commits, c.commits[1:])]
	}
	c.commits = append(c.commits, commitOf{tx, home})
}

// completed says whether a connection's transaction is known to be committed.
func (o *outcomes) completed(name string, tx TxID) bool {
	if c := o.byName[name]; c != nil {
		for _, x := range c.commits {
			if x.tx == tx {
				return true
			}
		}
	}
	return false
}

// of says how a distributed transaction ended, and whether an operator did it.
func (o *outcomes) of(x XID) (committed, heuristic, known bool) {
	if e := o.byXID[x]; e != nil {
		return e.committed, e.heuristic, true
	}
	return false, false, false
}

func (o *outcomes) heuristic(x XID) bool {
	_, heuristic, _ := o.of(x)
	return heuristic
}

func (o *outcomes) isCommitted(x XID) bool {
	committed, _, _ := o.of(x)
	return committed
}

// heuristics lists what operators settled, the oldest first.
func (o *outcomes) heuristics() []XID {
	ids := []XID{}
	for at := o.decided.Back(); at != nil; at = at.Prev() {
		ids = append(ids, at.Value.(*outcome).xid)
	}
	return ids
}

func (o *outcomes) list(heuristic bool) (l *list.List, limit int) {
	if heuristic {
		return &o.decided, o.maxDecided
	}
	return &o.recent, o.limit
}

// settle remembers how a distributed transaction ended.
func (o *outcomes) settle(x XID, committed, heuristic bool, home uint64) {
	o.forget(x)
	l, limit := o.list(heuristic)
	for l.Len() >= limit {
		oldest := l.Remove(l.Back()).(*outcome)
		delete(o.byXID, oldest.xid)
	}
	e := &outcome{xid: x, committed: committed, heuristic: heuristic, home: home}
	e.at = l.PushFront(e)
	o.byXID[x] = e
}

func (o *outcomes) forget(x XID) {
	if e := o.byXID[x]; e != nil {
		l, _ := o.list(e.heuristic)
		l.Remove(e.at)
		delete(o.byXID, x)
	}
}

// completeTx remembers the commit of a local transaction, in the log if that has something of it.
func (b *Broker) completeTx(tx *transaction) {
	home := notLogged
	if tx.logged {
		home = b.log.tail
		b.emitCompleted(tx.conn.about.Name, commitOf{tx: tx.id})
	}
	b.outcomes.complete(tx.conn.about.Name, tx.id, home)
}

func (b *Broker) writeCompleted(name string, commits ...commitOf) int {
	start := b.begin(recordCompleted)
	b.text(name)
	for _, c := range commits {
		if c.home != notLogged {
			b.number(uint64(c.tx))
		}
	}
	return start
}

func (b *Broker) emitCompleted(name string, commits ...commitOf) {
	b.emit(b.writeCompleted(name, commits...), Record{Lazy: true}) // it comes with its commit, or again
}

// What recordOutcome says.
const (
	outcomeCommitted = 1 << iota
	outcomeHeuristic
	outcomeForgotten
)

func (b *Broker) writeOutcome(x XID, what uint64) int {
	start := b.begin(recordOutcome)
	b.number(what)
	b.number(uint64(uint32(x.Format)))
	b.text(x.Global)
	b.text(x.Branch)
	return start
}

func (b *Broker) emitOutcome(x XID, what uint64) { b.emit(b.writeOutcome(x, what), Record{}) }

// says is what recordOutcome tells of it.
func (e *outcome) says() uint64 {
	return flag(e.committed, outcomeCommitted) | flag(e.heuristic, outcomeHeuristic)
}

// settleOutcome remembers what an operator decided, or a commit of which no other record tells the id.
func (b *Broker) settleOutcome(x XID, committed, heuristic bool) {
	b.outcomes.settle(x, committed, heuristic, b.log.tail)
	b.emitOutcome(x, flag(committed, outcomeCommitted)|flag(heuristic, outcomeHeuristic))
}

// forgetOutcome ends the memory of an operator's decision.
func (b *Broker) forgetOutcome(x XID) {
	b.outcomes.forget(x)
	b.emitOutcome(x, outcomeForgotten)
}

func flag(set bool, bit uint64) uint64 {
	if set {
		return bit
	}
	return 0
}

// carryOutcomes writes again what is remembered and has its record before a position.
func (b *Broker) carryOutcomes(before uint64) {
	o := &b.outcomes
	for at := o.names.Back(); at != nil; at = at.Prev() {
		c := at.Value.(*completed)
		old := false
		for _, x := range c.commits {
			old = old || x.home < before
		}
		if old {
			home := b.log.tail
			b.emitCompleted(c.name, c.commits...)
			for i := range c.commits {
				if c.commits[i].home != notLogged {
					c.commits[i].home = home
				}
			}
		}
		b.log.carried += int64(len(c.name)+4*len(c.commits)) + recordBytes
	}
	for _, l := range []*list.List{&o.recent, &o.decided} {
		for at := l.Back(); at != nil; at = at.Prev() {
			e := at.Value.(*outcome)
			if e.home < before {
				e.home = b.log.tail
				b.emitOutcome(e.xid, e.says())
			}
			b.log.carried += int64(len(e.xid.Global)+len(e.xid.Branch)) + recordBytes
		}
	}
}

// replayOutcome reads recordOutcome.
func (b *Broker) replayOutcome(position uint64, f *fields) {
	what := f.number()
	x := XID{Format: int32(uint32(f.number())), Global: f.text(), Branch: f.text()}
	switch {
	case f.failed:
	case what&outcomeForgotten != 0:
		b.outcomes.forget(x)
	default:
		b.outcomes.settle(x, what&outcomeCommitted != 0, what&outcomeHeuristic != 0, position)
	}
}

// replayCompleted reads recordCompleted.
func (b *Broker) replayCompleted(position uint64, f *fields) {
	name := f.text()
	for len(f.rest) > 0 {
		b.outcomes.complete(name, TxID(f.number()), position)
	}
}
