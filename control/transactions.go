package control

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/godwitmq/godwit/broker"
)

// transactionsShown is how many transactions a list has where the caller says nothing.
const transactionsShown = 1000

func (s *Server) transactions(w http.ResponseWriter, r *http.Request) {
	limit := transactionsShown
	if text := r.URL.Query().Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			s.failed(w, r, malformed(r, "limit %q is not a number from 1", text))
			return
		}
		limit = n
	}
	value, err := s.asked(r, func(c broker.ConnID, ref broker.Ref) broker.Event {
		return &broker.ListTransactions{Conn: c, Ref: ref, Limit: limit}
	})
	view, ok := value.(*broker.TransactionsView)
	if err == nil && !ok {
		err = fmt.Errorf("list the transactions: answer is a %T", value)
	}
	if err != nil {
		s.failed(w, r, err)
		return
	}
	respond(w, view)
}

// settleTransaction commits or rolls back a prepared transaction on the caller's word.
func (s *Server) settleTransaction(commit bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		xid, err := broker.ParseXID(r.PathValue("xid"))
		if err != nil {
			s.failed(w, r, malformed(r, "%v", err))
			return
		}
		if _, err = s.asked(r, func(c broker.ConnID, ref broker.Ref) broker.Event {
			return &broker.SettleTransaction{Conn: c, Ref: ref, XID: xid, Commit: commit}
		}); err != nil {
			s.failed(w, r, err)
			return
		}
		s.log.Warn("a prepared transaction was settled by an operator", "transaction", xid.String(), "committed", commit, "user", callerOf(r).User, "remote", r.RemoteAddr)
		respond(w, struct{}{})
	}
}
