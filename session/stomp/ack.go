package stomp

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/codec/stomp"
	"github.com/godwitmq/godwit/message"
)

// delivery is a message that was written and that its client has to acknowledge.
type delivery struct {
	sequence uint64
	tx       broker.TxID // the open transaction in which it was acknowledged
	id       message.ID  // in 1.0 and 1.1, where ACK names the message
}

// deliveries are those of one subscription, oldest first.
type deliveries struct {
	list      []delivery
	head      int
	unordered bool // their sequences do not just grow
}

func (d *deliveries) all() []delivery { return d.list[d.head:] }

func (d *deliveries) push(x delivery) {
	if d.head > 32 && d.head*2 > len(d.list) {
		n := copy(d.list, d.list[d.head:])
		clear(d.list[n:])
		d.list, d.head = d.list[:n], 0
	}
	if n := len(d.list); n > d.head && d.list[n-1].sequence >= x.sequence {
		d.unordered = true
	}
	d.list = append(d.list, x)
}

// drop takes out those from i up to j that no other transaction than tx holds.
func (d *deliveries) drop(i, j int, tx broker.TxID) {
	live := d.all()
	kept := i
	for k := i; k < j; k++ {
		if live[k].tx != tx {
			live[kept] = live[k]
			kept++
		}
	}
	switch {
	case i == 0 && kept == 0:
		clear(live[:j])
		d.head += j
	default:
		n := kept + copy(live[kept:], live[j:])
		clear(live[n:])
		d.list = d.list[:d.head+n]
	}
	if len(d.list) == d.head {
		if d.list, d.head = d.list[:0], 0; cap(d.list) > 4*keepList {
			d.list = nil
		}
	}
}

// find gives the place of a delivery that can be acknowledged, or -1.
func (d *deliveries) find(sequence uint64, id message.ID) int {
	all := d.all()
	if sequence != 0 && !d.unordered {
		i, found := slices.BinarySearchFunc(all, sequence, func(x delivery, sequence uint64) int { return cmp.Compare(x.sequence, sequence) })
		if found && all[i].tx == 0 {
			return i
		}
		return -1
	}
	is := func(x *delivery) bool {
		return x.tx == 0 && (sequence != 0 && x.sequence == sequence || sequence == 0 && x.id == id)
	}
	for i, j := 0, len(all)-1; i <= j; i, j = i+1, j-1 { // most are acknowledged from one end
		if is(&all[i]) {
			return i
		}
		if is(&all[j]) {
			return j
		}
	}
	return -1
}

// wireID is a message's id as ParseID gives it back.
func wireID(id message.ID) message.ID {
	if id.Sequence < 0 {
		return message.ParseID(id.Producer)
	}
	return id
}

// ack handles ACK and NACK. A NACK is about one message only, and is done at once, in a transaction too.
func (c *connection) ack(command string, h stomp.Headers, receipt string) error {
	nack := command == stomp.Nack
	if nack && c.version == stomp.V10 {
		return &refusal{text: "NACK received but connection is in v1.0 mode."}
	}
	var tx broker.TxID
	if text, ok := h.Lookup("transaction"); ok {
		var err error
		if tx, err = c.transaction(text); err != nil {
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	sub, at, named, err := c.acknowledged(command, h)
	if err != nil {
		return err
	}
	if sub == nil && at >= 0 { // its subscription has ended; the message went back
		if ref := c.confirmationLocked(receipt); ref != 0 {
			c.event(&broker.Rollback{Conn: c.core.ID(), Ref: ref, Tx: nothing})
		}
		return nil
	}
	if at < 0 {
		return &refusal{text: fmt.Sprintf("Unexpected %s received for message-id [%s]", command, named)}
	}
	ev := &broker.Ack{Conn: c.core.ID(), Consumer: sub.id, Kind: broker.Consumed, Last: sub.waiting.all()[at].sequence, Tx: tx,
		Single: nack || sub.mode != ackClient}
	from := at
	if !ev.Single {
		from = 0
	}
	if nack {
		ev.Kind, ev.Tx, ev.Cause = broker.Poison, 0, "The STOMP client sent a NACK for the message"
	}
	if ev.Tx != 0 {
		live := sub.waiting.all()
		for i := from; i <= at; i++ {
			if live[i].tx == 0 {
				live[i].tx = ev.Tx
			}
		}
	} else {
		sub.waiting.drop(from, at+1, 0)
	}
	ev.Ref = c.confirmationLocked(receipt)
	c.event(ev)
	return nil
}

func (c *connection) confirmationLocked(receipt string) broker.Ref {
	if receipt == "" {
		return 0
	}
	return c.expectLocked(answer{kind: confirm, receipt: receipt})
}

// acknowledged finds what an ACK or NACK is about: at is the place among the subscription's deliveries, -1 if there is
// none such. A nil subscription with a place is one that has ended. The caller holds mu.
func (c *connection) acknowledged(command string, h stomp.Headers) (sub *subscription, at int, named string, err error) {
	if c.version == stomp.V12 {
		id, ok := h.Lookup("id")
		if !ok {
			return nil, -1, "", &refusal{text: command + " received without an id"}
		}
		consumer, sequence, ok := c.parseAck(id)
		if !ok || consumer > c.lastConsumer {
			return nil, -1, id, nil
		}
		if sub = c.subscriptions[consumer]; sub == nil {
			return nil, 0, id, nil
		}
		return sub, sub.waiting.find(sequence, message.ID{}), id, nil
	}
	text, ok := h.Lookup("message-id")
	if !ok {
		return nil, -1, "", &refusal{text: command + " received without a message-id"}
	}
	id := message.ParseID(text)
	name, ok := h.Lookup("subscription")
	if ok {
		for sub = c.byName[name]; sub != nil; sub = sub.older {
			if at = sub.waiting.find(0, id); at >= 0 {
				return sub, at, text, nil
			}
		}
		return nil, -1, text, nil
	}
	if c.version == stomp.V11 {
		return nil, -1, "", &refusal{text: command + " received without a subscription id"}
	}
	for _, sub = range c.subscriptions {
		if at = sub.waiting.find(0, id); at >= 0 {
			return sub, at, text, nil
		}
	}
	return nil, -1, text, nil
}

// appendAck writes the ack header's value: the connection, the consumer and the delivery.
func (c *connection) appendAck(b []byte, consumer broker.ConsumerID, sequence uint64) []byte {
	b = append(b, c.id...)
	b = append(b, ':')
	b = strconv.AppendUint(b, uint64(consumer), 10)
	b = append(b, ':')
	return strconv.AppendUint(b, sequence, 10)
}

func (c *connection) parseAck(text string) (broker.ConsumerID, uint64, bool) {
	rest, ok := strings.CutPrefix(text, c.id)
	if !ok {
		return 0, 0, false
	}
	if rest, ok = strings.CutPrefix(rest, ":"); !ok {
		return 0, 0, false
	}
	first, second, ok := strings.Cut(rest, ":")
	if !ok {
		return 0, 0, false
	}
	consumer, err1 := strconv.ParseUint(first, 10, 64)
	sequence, err2 := strconv.ParseUint(second, 10, 64)
	return broker.ConsumerID(consumer), sequence, err1 == nil && err2 == nil && consumer > 0 && sequence > 0
}
