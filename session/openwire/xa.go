package openwire

import (
	"math"
	"slices"

	"github.com/godwitmq/godwit/broker"
	wire "github.com/godwitmq/godwit/codec/openwire"
)

// branches are the distributed transactions in which a connection is at work: from a start to the end that belongs to it. What is ended is known to the
// core alone, so that nothing stays here of what other connections settle.
type branches struct {
	open  map[broker.XID]*work
	made  uint64
	ended []broker.XID // newest last: at most maxEnded that were not prepared or settled here; only mayLeave depends on them
}

// maxEnded bounds branches.ended. A connection has as many under way at a time as it has sessions.
const maxEnded = 64

// underway is how many are open, or ended and to be prepared or settled next.
func (b *branches) underway() int { return len(b.open) + len(b.ended) }

// end remembers that the work in one is done.
func (b *branches) end(xid broker.XID) {
	delete(b.open, xid)
	if len(b.ended) == maxEnded {
		b.ended = slices.Delete(b.ended, 0, 1)
	}
	b.ended = append(b.ended, xid)
}

// work is what is done in one of them.
type work struct {
	tx     broker.TxID
	starts int // that have not ended: of the connection's sessions, several may be at work in it
}

func branchID(id *wire.TransactionID) broker.XID {
	return broker.XID{Format: id.FormatID, Global: id.GlobalID, Branch: id.BranchQualifier}
}

// branch does what a TransactionInfo asks of a distributed transaction. The answers are the core's; a begin that was refused and wanted no answer is
// told at its end.
func (c *connection) branch(v *wire.TransactionInfo) {
	r := &c.reader
	conn, xid := c.core.ID(), branchID(&v.TransactionID)
	switch v.Type {
	case wire.TransactionBegin:
		c.beginBranch(v, xid)
	case wire.TransactionEnd:
		if w := r.branches.open[xid]; w != nil {
			if w.starts--; w.starts <= 0 {
				r.branches.end(xid)
			}
		}
		c.add(&broker.XAEnd{Conn: conn, Ref: ref(v), XID: xid})
	case wire.TransactionPrepare:
		c.closeBranch(xid)
		c.add(&broker.XAPrepare{Conn: conn, Ref: ref(v), XID: xid})
	case wire.TransactionCommitOnePhase, wire.TransactionCommitTwoPhase:
		c.closeBranch(xid)
		c.add(&broker.XACommit{Conn: conn, Ref: ref(v), XID: xid, OnePhase: v.Type == wire.TransactionCommitOnePhase, Tracked: r.tolerant})
	case wire.TransactionRollback:
		c.closeBranch(xid)
		c.add(&broker.XARollback{Conn: conn, Ref: ref(v), XID: xid})
	case wire.TransactionForget:
		c.closeBranch(xid)
		c.add(&broker.XAForget{Conn: conn, Ref: ref(v), XID: xid})
	default:
		c.fail(v, xaFailure("This cannot be asked of an XA transaction.", broker.XAProtocol))
	}
}

func (c *connection) beginBranch(v *wire.TransactionInfo, xid broker.XID) {
	r := &c.reader
	w := r.branches.open[xid]
	if w == nil {
		if len(r.branches.open) >= c.opt.Transactions {
			c.fail(v, full("open transactions", c.opt.Transactions))
			return
		}
		if r.branches.open == nil {
			r.branches.open = map[broker.XID]*work{}
		}
		r.branches.made++
		w = &work{tx: broker.DistributedTx(r.branches.made)}
		r.branches.open[xid] = w
	}
	if w.starts == 0 { // it may be back in one that had ended
		r.branches.ended = slices.DeleteFunc(r.branches.ended, func(x broker.XID) bool { return x == xid })
	}
	w.starts++
	c.add(&broker.XABegin{Conn: c.core.ID(), Ref: ref(v), Tx: w.tx, XID: xid, Resent: r.again})
}

func (c *connection) closeBranch(xid broker.XID) {
	b := &c.reader.branches
	delete(b.open, xid)
	b.ended = slices.DeleteFunc(b.ended, func(x broker.XID) bool { return x == xid })
}

// openBranch gives the core's name of a distributed transaction in which the connection is at work.
func (c *connection) openBranch(id *wire.TransactionID) (broker.TxID, *broker.Error) {
	w := c.reader.branches.open[branchID(id)]
	if w == nil {
		return 0, xaFailure("Transaction '"+transactionText(id)+"' has not been started.", broker.XANotKnown)
	}
	return w.tx, nil
}

func xaFailure(detail string, code broker.XACode) *broker.Error {
	return &broker.Error{Code: broker.Internal, Detail: detail, Err: code}
}

// What a branch answers to a prepare (javax.transaction.xa.XAResource).
const (
	xaOK       = 0
	xaReadOnly = 3
)

// answerValue tells what an answer says beside that something was done, and whether it said anything.
func (c *connection) answerValue(e *broker.Effect, number int32) bool {
	switch v := e.Value.(type) {
	case broker.Vote:
		result := int32(xaOK)
		if v == broker.VoteReadOnly {
			result = xaReadOnly
		}
		c.put(&wire.IntegerResponse{CorrelationID: number, Result: result})
	case []broker.XID:
		list := make([]wire.DataStructure, len(v))
		for i, x := range v {
			list[i] = wire.TransactionID{Type: wire.CodeXATransactionID, FormatID: x.Format, GlobalID: x.Global, BranchQualifier: x.Branch}
		}
		c.put(&wire.DataArrayResponse{CorrelationID: number, Data: list})
	default:
		return false
	}
	return true
}

// maxLocalTransaction is the highest number that the core has a name for.
const maxLocalTransaction = math.MaxInt64 - 1
