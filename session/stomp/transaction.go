package stomp

import (
	"fmt"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/codec/stomp"
)

// transaction gives the open transaction of that name.
func (s *session) transaction(name string) (broker.TxID, error) {
	tx, ok := s.transactions[name]
	if !ok {
		return 0, &refusal{text: "Invalid transaction id: " + name}
	}
	return tx, nil
}

// begin handles BEGIN.
func (s *session) begin(h stomp.Headers, receipt string) error {
	name := h.Value("transaction")
	switch _, known := s.transactions[name]; {
	case name == "":
		return &refusal{text: "Must specify the transaction you are beginning"}
	case known:
		return &refusal{text: "The transaction was already started: " + name}
	case len(s.transactions) >= s.opt.MaxTransactions:
		return &refusal{text: fmt.Sprintf("The connection has %d open transactions, its limit", len(s.transactions))}
	}
	s.lastTx++
	s.transactions[name] = s.lastTx
	s.event(&broker.Begin{Conn: s.core.ID(), Ref: s.confirmation(receipt), Tx: s.lastTx})
	return nil
}

// end handles COMMIT and ABORT.
func (s *session) end(command string, h stomp.Headers, receipt string) error {
	name := h.Value("transaction")
	if name == "" {
		return &refusal{text: "Must specify the transaction you are ending with " + command}
	}
	tx, err := s.transaction(name)
	if err != nil {
		return err
	}
	delete(s.transactions, name)
	if command == stomp.Commit {
		s.event(&broker.Commit{Conn: s.core.ID(), Ref: s.expect(answer{kind: commit, receipt: receipt, tx: tx}), Tx: tx})
		return nil
	}
	s.mu.Lock()
	s.settle(tx, false)
	s.mu.Unlock()
	s.event(&broker.Rollback{Conn: s.core.ID(), Ref: s.confirmation(receipt), Tx: tx})
	return nil
}

// settle ends a transaction's hold on deliveries: they are acknowledged, or can be again. The caller holds mu.
func (s *session) settle(tx broker.TxID, done bool) {
	for _, sub := range s.subscriptions {
		live := sub.waiting.all()
		held := false
		for i := range live {
			if live[i].tx == tx {
				held = true
				if !done {
					live[i].tx = 0
				}
			}
		}
		if held && done {
			sub.waiting.drop(0, len(live), tx)
		}
	}
}
