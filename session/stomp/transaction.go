package stomp

import (
	"fmt"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/codec/stomp"
)

// transaction gives the open transaction of that name.
func (c *connection) transaction(name string) (broker.TxID, error) {
	tx, ok := c.transactions[name]
	if !ok {
		return 0, &refusal{text: "Invalid transaction id: " + name}
	}
	return tx, nil
}

// begin handles BEGIN.
func (c *connection) begin(h stomp.Headers, receipt string) error {
	name := h.Value("transaction")
	switch _, known := c.transactions[name]; {
	case name == "":
		return &refusal{text: "Must specify the transaction you are beginning"}
	case known:
		return &refusal{text: "The transaction was already started: " + name}
	case len(c.transactions) >= c.opt.MaxTransactions:
		return &refusal{text: fmt.Sprintf("The connection has %d open transactions, its limit", len(c.transactions))}
	}
	c.lastTx++
	c.transactions[name] = c.lastTx
	c.event(&broker.Begin{Conn: c.core.ID(), Ref: c.confirmation(receipt), Tx: c.lastTx})
	return nil
}

// end handles COMMIT and ABORT.
func (c *connection) end(command string, h stomp.Headers, receipt string) error {
	name := h.Value("transaction")
	if name == "" {
		return &refusal{text: "Must specify the transaction you are ending with " + command}
	}
	tx, err := c.transaction(name)
	if err != nil {
		return err
	}
	delete(c.transactions, name)
	if command == stomp.Commit {
		c.event(&broker.Commit{Conn: c.core.ID(), Ref: c.expect(answer{kind: commit, receipt: receipt, tx: tx}), Tx: tx})
		return nil
	}
	c.mu.Lock()
	c.settle(tx, false)
	c.mu.Unlock()
	c.event(&broker.Rollback{Conn: c.core.ID(), Ref: c.confirmation(receipt), Tx: tx})
	return nil
}

// settle ends a transaction's hold on deliveries: they are acknowledged, or can be again. The caller holds mu.
func (c *connection) settle(tx broker.TxID, done bool) {
	for _, sub := range c.subscriptions {
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
