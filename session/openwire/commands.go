package openwire

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/godwitmq/godwit/broker"
	wire "github.com/godwitmq/godwit/codec/openwire"
	"github.com/godwitmq/godwit/message"
	"github.com/godwitmq/godwit/security"
	"github.com/godwitmq/godwit/session"
)

// translate turns one command into events of the burst, or answers it. An error ends the connection: a *broker.Error is told to
// the client before.
func (c *connection) translate(command wire.Command) error {
	switch v := command.(type) {
	case *wire.KeepAliveInfo:
		if v.ResponseRequired { // echoed, never answered by a Response
			c.tell(&wire.KeepAliveInfo{BaseCommand: wire.BaseCommand{CommandID: v.CommandID}})
		}
		return nil
	case *wire.ShutdownInfo:
		c.farewell.Store(true)
		return errGone
	case *wire.NullCommand:
		return nil
	}
	if c.reader.who == nil {
		return c.beforeLogin(command)
	}
	if c.reader.removed {
		return c.refuse(command, illegal("the connection has been removed"))
	}
	switch v := command.(type) {
	case *wire.Message:
		return c.send(v)
	case *wire.MessageAck:
		c.acknowledge(v)
	case *wire.MessagePull:
		c.pull(v)
	case *wire.TransactionInfo:
		c.transaction(v)
	case *wire.SessionInfo:
		c.addSession(v)
	case *wire.ProducerInfo:
		c.addProducer(v)
	case *wire.ConsumerInfo:
		c.addConsumer(v)
	case *wire.RemoveInfo:
		c.remove(v)
	case *wire.DestinationInfo:
		c.destination(v)
	case *wire.RemoveSubscriptionInfo:
		c.removeSubscription(v)
	case *wire.ConsumerControl:
		c.controlConsumer(v)
	case *wire.ConnectionControl, *wire.ControlCommand, *wire.FlushCommand, *wire.ConnectionError,
		*wire.BrokerSubscriptionInfo, *wire.Response, *wire.ExceptionResponse:
		// Nothing follows from them here; a ControlCommand must never be obeyed.
		c.respond(command)
	case *wire.ConnectionInfo:
		return c.refuse(command, illegal("this connection is "+c.reader.name+" already"))
	case *wire.BrokerInfo:
		return c.refuse(command, illegal("this broker takes no network connectors"))
	default:
		return c.refuse(command, illegal("a client does not send "+wire.TypeName(command.Code())))
	}
	return nil
}

// add appends an event to the burst.
func (c *connection) add(event broker.Event) { c.reader.events = append(c.reader.events, event) }

// ref is the Ref of an event that only wants a Response.
func ref(command wire.Command) broker.Ref {
	if !command.NeedsResponse() {
		return 0
	}
	return makeRef(refResponse, 0, uint32(command.ID()))
}

// own says whether an id is of this connection; an absent one is taken for it.
func (c *connection) own(connection string) bool {
	return connection == c.reader.name || connection == ""
}

// implicitSession exists with every connection: Java's clients put their advisory consumer there.
const implicitSession = -1

// hasSession says whether a command may name the session, and answers it if not.
func (c *connection) hasSession(command wire.Command, connection string, id int64) bool {
	if !c.own(connection) {
		c.fail(command, illegal("connection "+connection+" is not this one"))
		return false
	}
	if _, ok := c.reader.sessions[id]; !ok && id != implicitSession {
		c.fail(command, illegal(fmt.Sprintf("session %s:%d is not registered", c.reader.name, id)))
		return false
	}
	return true
}

func (c *connection) addSession(v *wire.SessionInfo) {
	r := &c.reader
	switch _, known := r.sessions[v.SessionID.Value]; {
	case !c.own(v.SessionID.ConnectionID):
		c.fail(v, illegal("connection "+v.SessionID.ConnectionID+" is not this one"))
		return
	case !known && len(r.sessions) >= c.opt.Sessions:
		c.fail(v, full("sessions", c.opt.Sessions))
		return
	}
	r.sessions[v.SessionID.Value] = struct{}{}
	c.respond(v)
}

func full(what string, limit int) *broker.Error {
	return &broker.Error{Code: broker.Full, Detail: fmt.Sprintf("the connection has %d %s, its limit", limit, what)}
}

func (c *connection) addProducer(v *wire.ProducerInfo) {
	r := &c.reader
	id := &v.ProducerID
	if !c.hasSession(v, id.ConnectionID, id.SessionID) {
		return
	}
	d, err := destination(&v.Destination)
	if err != nil && v.Destination.Type != 0 {
		c.fail(v, err)
		return
	}
	if d.Kind != message.NoDestination {
		if err := session.Denied(r.who.MayWrite(security.Kind(d.Kind), d.Name)); err != nil {
			c.fail(v, err)
			return
		}
	}
	if r.producers[producerKey(id)] != nil { // a failover client says it again
		c.respond(v)
		return
	}
	if len(r.producers) >= c.opt.Producers || r.made >= maxIndex {
		c.fail(v, full("producers", c.opt.Producers))
		return
	}
	r.made++
	p := &producer{id: *id, number: r.made, text: producerText(id), window: v.WindowSize > 0}
	p.id.ConnectionID = r.name
	r.producers[producerKey(id)] = p
	c.addWindow(p)
	// The destination is there from now on, as people expect who look at the broker before the first message comes.
	if !d.Kind.IsTemporary() && d.Kind != message.NoDestination && !isSpecial(d) && session.MayCreate(r.who, d) {
		c.add(&broker.CreateDestination{Conn: c.core.ID(), Ref: ref(v), Destination: d})
	} else {
		c.respond(v)
	}
	c.add(&broker.AddProducer{Conn: c.core.ID(), Producer: p.number, Destination: d, Label: p.text})
}

func (c *connection) removeProducer(key objectKey, p *producer) {
	r := &c.reader
	delete(r.producers, key)
	if r.last == p {
		r.last = nil
	}
	c.removeWindow(p)
	c.add(&broker.RemoveProducer{Conn: c.core.ID(), Producer: p.number})
}

func (c *connection) addConsumer(v *wire.ConsumerInfo) {
	id := v.ConsumerID
	if !c.hasSession(v, id.ConnectionID, id.SessionID) {
		return
	}
	d, err := destination(&v.Destination)
	if err == nil {
		err = session.Denied(c.reader.who.MayRead(security.Kind(d.Kind), d.Name))
	}
	if err != nil {
		c.fail(v, err)
		return
	}
	id.ConnectionID = c.reader.name
	x := c.consumers.add(id, c.opt.Consumers)
	if x == nil {
		c.fail(v, full("consumers", c.opt.Consumers))
		return
	}
	if !x.known { // else a failover client says it again: the core knows it and answers
		x.known, x.durable = true, v.SubscriptionName != ""
	}
	kind := refSubscribeSilently
	if v.ResponseRequired {
		kind = refSubscribe
	}
	c.add(&broker.Subscribe{
		Conn: c.core.ID(), Ref: makeRef(kind, uint64(x.id), uint32(v.CommandID)), Consumer: x.id, Destination: d, Selector: v.Selector,
		Label: consumerText(&id), Prefetch: max(0, int(v.PrefetchSize)), Name: v.SubscriptionName, NoLocal: v.NoLocal, Browser: v.Browser, Exclusive: v.Exclusive,
		Priority: int(v.Priority), Retroactive: v.Retroactive, MaxPending: max(0, int(v.MaximumPendingMessageLimit)), MayCreate: session.MayCreate(c.reader.who, d),
	})
}

// Special values of RemoveInfo.LastDeliveredSequenceID.
const lastUnknown = -2

// lastSince is the version that brought RemoveInfo.LastDeliveredSequenceID: who speaks an older one cannot say what its application has seen.
const lastSince = 5

func (c *connection) removeConsumer(x *consumer, last int64, ref broker.Ref) {
	lastDelivered := uint64(max(0, last))
	if last == lastUnknown || last == 0 && x.durable || c.format.Version < lastSince {
		lastDelivered = broker.Unknown
	}
	c.consumers.remove(x.id)
	c.add(&broker.Unsubscribe{Conn: c.core.ID(), Ref: ref, Consumer: x.id, LastDelivered: lastDelivered})
}

func (c *connection) remove(v *wire.RemoveInfo) {
	r := &c.reader
	switch id := v.ObjectID.(type) {
	case wire.ConsumerID:
		if !c.hasSession(v, id.ConnectionID, id.SessionID) {
			return
		}
		if x := c.consumers.of(consumerKey(&id)); x != nil {
			c.removeConsumer(x, v.LastDeliveredSequenceID, ref(v))
			return
		}
		c.respond(v) // removed already
	case wire.ProducerID:
		if p := r.producers[producerKey(&id)]; p != nil && c.own(id.ConnectionID) {
			c.removeProducer(producerKey(&id), p)
		}
		c.respond(v)
	case wire.SessionID:
		if !c.hasSession(v, id.ConnectionID, id.Value) {
			return
		}
		for _, x := range c.consumers.ofSession(id.Value) {
			c.removeConsumer(x, v.LastDeliveredSequenceID, 0)
		}
		var keys []objectKey
		for key := range r.producers {
			if key.session == id.Value {
				keys = append(keys, key)
			}
		}
		slices.SortFunc(keys, func(x, y objectKey) int { return int(x.value - y.value) })
		for _, key := range keys {
			c.removeProducer(key, r.producers[key])
		}
		delete(r.sessions, id.Value)
		c.respond(v)
	case wire.ConnectionID:
		if !c.own(id.Value) {
			c.fail(v, illegal("connection "+id.Value+" is not this one"))
			return
		}
		r.removed = true
		c.farewell.Store(true)
		// Java's connection.close tells only here what its consumers have seen.
		for _, x := range c.consumers.all() {
			c.removeConsumer(x, v.LastDeliveredSequenceID, 0)
		}
		// The answer to the first comes when all that the client has sent is durable. No consumer has that number.
		c.add(&broker.Unsubscribe{Conn: c.core.ID(), Ref: ref(v), Consumer: maxIndex + 1})
		c.add(&broker.Disconnect{Conn: c.core.ID()})
	default:
		c.fail(v, illegal("RemoveInfo names nothing that can be removed"))
	}
}

func (c *connection) destination(v *wire.DestinationInfo) {
	d, err := destination(&v.Destination)
	if err != nil {
		c.fail(v, err)
		return
	}
	who := c.reader.who
	switch v.OperationType {
	case wire.OperationAdd:
		if err = session.Denied(who.MayCreate(security.Kind(d.Kind), d.Name)); err == nil {
			c.add(&broker.CreateDestination{Conn: c.core.ID(), Ref: ref(v), Destination: d})
		}
	case wire.OperationRemove:
		if err = session.Denied(who.MayRemove(security.Kind(d.Kind), d.Name)); err == nil {
			c.add(&broker.RemoveDestination{Conn: c.core.ID(), Ref: ref(v), Destination: d})
		}
	default:
		err = illegal(fmt.Sprintf("unknown operation %d on a destination", v.OperationType))
	}
	if err != nil {
		c.fail(v, err)
	}
}

func (c *connection) removeSubscription(v *wire.RemoveSubscriptionInfo) {
	if v.ClientID != c.reader.clientID && v.ClientID != "" {
		c.fail(v, &broker.Error{Code: broker.InvalidClientID, Detail: "the subscriptions of client " + v.ClientID + " are not this client's to remove"})
		return
	}
	c.add(&broker.RemoveSubscription{Conn: c.core.ID(), Ref: ref(v), ClientID: c.reader.clientID, Name: v.SubscriptionName})
}

func (c *connection) controlConsumer(v *wire.ConsumerControl) {
	x := c.consumers.of(consumerKey(&v.ConsumerID))
	switch {
	case x == nil || !c.own(v.ConsumerID.ConnectionID): // gone meanwhile
	case v.Close:
		c.removeConsumer(x, 0, ref(v))
		return
	case v.Flush || v.Start || v.Stop: // hints that the core has no need of
	default:
		c.add(&broker.SetPrefetch{Conn: c.core.ID(), Consumer: x.id, Prefetch: max(0, int(v.Prefetch))})
	}
	c.respond(v)
}

func (c *connection) pull(v *wire.MessagePull) {
	x := c.consumers.of(consumerKey(&v.ConsumerID))
	if x == nil || !c.own(v.ConsumerID.ConnectionID) {
		c.fail(v, illegal("the consumer of a MessagePull is not registered"))
		return
	}
	wait := time.Duration(-1)
	if v.Timeout >= 0 {
		const most = int64(1<<63-1) / int64(time.Millisecond)
		wait = time.Duration(min(v.Timeout, most)) * time.Millisecond
	}
	c.add(&broker.Pull{Conn: c.core.ID(), Consumer: x.id, Wait: wait})
	c.respond(v)
}

func (c *connection) acknowledge(v *wire.MessageAck) {
	x := c.consumers.of(consumerKey(&v.ConsumerID))
	// An acknowledgement of a consumer that is gone says nothing, nor does one of a consumer that has been given nothing, but for a client that came back: that
	// speaks of what it had before, which the core may know.
	if x == nil || !c.own(v.ConsumerID.ConnectionID) || !x.begun.Load() && !c.reader.again || v.AckType == wire.AckUnmatched {
		c.respond(v)
		return
	}
	event := &broker.Ack{Conn: c.core.ID(), Ref: ref(v), Consumer: x.id, Count: int(v.MessageCount), Again: c.reader.again}
	switch v.AckType {
	case wire.AckDelivered:
		event.Kind = broker.Delivered
	case wire.AckRedelivered:
		event.Kind = broker.Redelivered
	case wire.AckPoison:
		event.Kind = broker.Poison
		if event.Cause = poisonCause(v.PoisonCause); strings.HasPrefix(event.Cause, duplicateCause) {
			event.Kind = broker.Duplicate
		}
	case wire.AckStandard:
		event.Kind = broker.Consumed
	case wire.AckIndividual:
		event.Kind, event.Single = broker.Consumed, true
	case wire.AckExpired:
		event.Kind = broker.Expired
	default:
		c.fail(v, illegal(fmt.Sprintf("unknown kind of acknowledgement %d", v.AckType)))
		return
	}
	event.First, event.Last = c.consumers.sequence(x, &v.FirstMessageID), c.consumers.sequence(x, &v.LastMessageID)
	if event.Kind == broker.Consumed && v.TransactionID.Type != 0 {
		tx, err := c.openTransaction(&v.TransactionID)
		if err != nil {
			c.fail(v, err)
			return
		}
		event.Tx = tx
	} else if event.Kind != broker.Delivered && event.Kind != broker.Redelivered && event.Kind != broker.Duplicate {
		first := event.First
		if event.Single {
			first = event.Last
		}
		c.consumers.settled(x, first, event.Last)
	}
	c.add(event)
}

// duplicateCause begins what Java's clients say of a message that they have had on the same connection before. They mean no harm: a message that was
// being worked on, or whose acknowledgement was lost, when its connection was.
const duplicateCause = "Suppressing duplicate delivery on connection"

// poisonCause is what a dead letter says of its death. Its property begins with the class that clients name, so only another is told.
func poisonCause(t *wire.Throwable) string {
	switch {
	case t == nil:
		return ""
	case t.SafeClass() == "java.lang.Throwable":
		return t.Message
	}
	return t.SafeClass() + ": " + t.Message
}

// transactionNumber gives the core's name of a local transaction.
func (c *connection) transactionNumber(id *wire.TransactionID) (broker.TxID, *broker.Error) {
	switch {
	case id.Type == 0:
		return 0, illegal("no transaction id")
	case !c.own(id.ConnectionID):
		return 0, illegal("transaction " + transactionText(id) + " is not this connection's")
	case id.Value < 0 || id.Value > maxLocalTransaction:
		return 0, illegal("transaction " + transactionText(id) + " has no number that is possible")
	}
	return broker.TxID(id.Value) + 1, nil // the core's 0 is none
}

// openTransaction does the same for one that must have begun.
func (c *connection) openTransaction(id *wire.TransactionID) (broker.TxID, *broker.Error) {
	if id.Type == wire.CodeXATransactionID {
		return c.openBranch(id)
	}
	tx, err := c.transactionNumber(id)
	if err != nil {
		return 0, err
	}
	if _, open := c.reader.open[tx]; !open {
		return 0, &broker.Error{Code: broker.NotFound, Detail: "Transaction '" + transactionText(id) + "' has not been started."}
	}
	return tx, nil
}

func transactionText(id *wire.TransactionID) string {
	if id.Type == wire.CodeXATransactionID {
		return fmt.Sprintf("XID:[%d,globalId=%x,branchId=%x]", id.FormatID, id.GlobalID, id.BranchQualifier)
	}
	return fmt.Sprintf("TX:%s:%d", id.ConnectionID, id.Value)
}

// spoil makes a transaction fail at its end because of what the core has not seen.
func (c *connection) spoil(tx broker.TxID, err *broker.Error) {
	if tx.IsDistributed() { // which may end on another connection
		c.add(&broker.Spoil{Conn: c.core.ID(), Tx: tx, Err: err})
		return
	}
	if was, open := c.reader.open[tx]; open && was == nil {
		c.reader.open[tx] = err
	}
}

func (c *connection) transaction(v *wire.TransactionInfo) {
	r := &c.reader
	id := &v.TransactionID
	if v.Type == wire.TransactionRecover && id.Type == 0 {
		c.add(&broker.XARecover{Conn: c.core.ID(), Ref: ref(v)})
		return
	}
	if id.Type == wire.CodeXATransactionID {
		c.branch(v)
		return
	}
	tx, err := c.transactionNumber(id)
	if err != nil {
		c.fail(v, err)
		return
	}
	failed, open := r.open[tx]
	switch v.Type {
	case wire.TransactionBegin:
		if !open && len(r.open) >= c.opt.Transactions {
			c.fail(v, full("open transactions", c.opt.Transactions))
			return
		}
		if !open {
			r.open[tx] = nil
		}
		c.add(&broker.Begin{Conn: c.core.ID(), Ref: ref(v), Tx: tx})
	case wire.TransactionCommitOnePhase, wire.TransactionCommitTwoPhase:
		delete(r.open, tx)
		if failed != nil {
			c.add(&broker.Rollback{Conn: c.core.ID(), Tx: tx})
			c.fail(v, &broker.Error{Code: broker.TransactionRolledBack, Detail: failed.Error(), Err: failed})
			return
		}
		c.add(&broker.Commit{Conn: c.core.ID(), Ref: ref(v), Tx: tx, Tracked: r.tolerant, Resent: r.again})
	case wire.TransactionRollback:
		delete(r.open, tx)
		c.add(&broker.Rollback{Conn: c.core.ID(), Ref: ref(v), Tx: tx})
	case wire.TransactionEnd:
		c.respond(v)
	case wire.TransactionPrepare:
		c.fail(v, xaFailure("Prepare is not implemented for local transactions.", broker.XAProtocol))
	default:
		c.fail(v, illegal(fmt.Sprintf("transaction operation %d does not fit a local transaction", v.Type)))
	}
}
