package broker

import (
	"cmp"
	"slices"
)

// ListTransactions asks for the transactions that are open or prepared. The answer's Value is a *TransactionsView.
type ListTransactions struct {
	Conn  ConnID
	Ref   Ref
	Limit int // of the list, those prepared the longest first; 0: no limit
}

// SettleTransaction commits or rolls back a prepared transaction on an operator's word. How it went is remembered until its transaction manager has
// heard it. Errors: NotFound, IllegalState (not prepared).
type SettleTransaction struct {
	Conn   ConnID
	Ref    Ref
	XID    XID
	Commit bool
}

func (*ListTransactions) isEvent()  {}
func (*SettleTransaction) isEvent() {}

// TransactionsView is the answer to ListTransactions.
type TransactionsView struct {
	Transactions []TransactionView `json:"transactions"`
	Open         int               `json:"open"`     // of all, those not prepared
	Prepared     int               `json:"prepared"` // of all
}

// TransactionView is one transaction.
type TransactionView struct {
	XID          string   `json:"xid,omitempty"`      // of a distributed one, as ParseXID reads it
	State        string   `json:"state"`              // open, prepared; committed, rolled back: by an operator, and the transaction manager has not heard it
	Begun        int64    `json:"begun,omitempty"`    // ms since 1970
	Prepared     int64    `json:"prepared,omitempty"` // ms since 1970
	User         string   `json:"user,omitempty"`
	ClientID     string   `json:"clientId,omitempty"`
	Connection   ConnID   `json:"connection,omitempty"` // which is still there; 0: none
	Sent         int      `json:"sent"`
	Acknowledged int      `json:"acknowledged"`
	Destinations []string `json:"destinations,omitempty"` // of what it sent and acknowledged, at most ten
}

// maxShownDestinations bounds TransactionView.Destinations.
const maxShownDestinations = 10

func (b *Broker) listTransactions(ev *ListTransactions) {
	v := &TransactionsView{Transactions: []TransactionView{}, Prepared: b.branches.prepared.Len()}
	full := func() bool { return ev.Limit > 0 && len(v.Transactions) >= ev.Limit }
	for at := b.branches.prepared.Front(); at != nil && !full(); at = at.Next() {
		v.Transactions = append(v.Transactions, at.Value.(*transaction).view())
	}
	for at := b.outcomes.decided.Back(); at != nil && !full(); at = at.Prev() {
		e := at.Value.(*outcome)
		state := "rolled back"
		if e.committed {
			state = "committed"
		}
		v.Transactions = append(v.Transactions, TransactionView{XID: e.xid.String(), State: state})
	}
	var open []*transaction
	for _, c := range b.connections {
		for _, tx := range c.transactions {
			if tx.conn == c && !tx.prepared() {
				open = append(open, tx)
			}
		}
	}
	v.Open = len(open)
	slices.SortFunc(open, func(x, y *transaction) int { return cmp.Compare(x.serial, y.serial) })
	for _, tx := range open {
		if full() {
			break
		}
		v.Transactions = append(v.Transactions, tx.view())
	}
	b.tell(Effect{Conn: ev.Conn, Ref: ev.Ref, Value: v})
}

// preparedSince says how many transactions are prepared, and since when the first of them.
func (b *Broker) preparedSince() (n int, since int64) {
	if first := b.branches.prepared.Front(); first != nil {
		since = first.Value.(*transaction).branch.prepared
	}
	return b.branches.prepared.Len(), since
}

func (tx *transaction) view() TransactionView {
	v := TransactionView{State: "open", Begun: tx.begun, Sent: len(tx.sends), Acknowledged: len(tx.acks)}
	if tx.conn != nil {
		v.User, v.ClientID = tx.conn.about.User, tx.conn.about.ClientID
		if tx.conn.transactions[tx.id] == tx {
			v.Connection = tx.conn.id
		}
	}
	if x := tx.branch; x != nil {
		v.XID, v.User, v.ClientID = x.xid.String(), x.user, x.clientID
		if x.prepared != 0 {
			v.State, v.Prepared = "prepared", x.prepared
		}
		if len(x.parties) > 0 {
			v.Connection = x.parties[0].conn.id
		}
	}
	show := func(q *backlog) bool {
		if name := q.name(); name != "" && !slices.Contains(v.Destinations, name) {
			v.Destinations = append(v.Destinations, name)
		}
		return len(v.Destinations) < maxShownDestinations
	}
	for i := range tx.sends {
		for _, q := range tx.sends[i].targets {
			if !show(q) {
				return v
			}
		}
	}
	for _, e := range tx.acks {
		if !show(e.backlog) {
			break
		}
	}
	return v
}

// name is that of the destination whose backlog it is.
func (q *backlog) name() string {
	if q.destination == nil {
		return ""
	}
	return q.destination.name.String()
}

func (b *Broker) settleTransaction(ev *SettleTransaction) {
	op := "roll back transaction " + ev.XID.String()
	if ev.Commit {
		op = "commit transaction " + ev.XID.String()
	}
	tx := b.branches.byXID[ev.XID]
	switch {
	case tx == nil && b.outcomes.heuristic(ev.XID):
		b.answer(ev.Conn, ev.Ref, &Error{Code: IllegalState, Op: op, Detail: "an operator has settled it already"})
		return
	case tx == nil:
		b.answer(ev.Conn, ev.Ref, &Error{Code: NotFound, Op: op, Detail: "there is no such transaction"})
		return
	case !tx.prepared():
		b.answer(ev.Conn, ev.Ref, &Error{Code: IllegalState, Op: op, Detail: "it is not prepared: it ends with its connection"})
		return
	}
	if ev.Commit {
		b.commitBranch(tx, false)
	} else {
		b.undoFor(tx, &connection{}) // whose consumers nobody has
	}
	b.settleOutcome(ev.XID, ev.Commit, true)
	b.tell(Effect{Conn: ev.Conn, Ref: ev.Ref, hold: true})
}
