package stomp

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/codec/stomp"
	"github.com/godwitmq/godwit/message"
	"github.com/godwitmq/godwit/security"
	"github.com/godwitmq/godwit/session"
)

// How many messages may be at a consumer that does not say.
const (
	queuePrefetch   = 1000
	topicPrefetch   = 32767
	durablePrefetch = 100
	browserPrefetch = 500
)

// selectorPrefix asks for strings to be taken as numbers where a selector compares them with numbers: STOMP clients can
// set no other properties.
const selectorPrefix = "convert_string_expressions:"

// subscription is a consumer as its client knows it. What may change is guarded by connection.mu.
type subscription struct {
	id             broker.ConsumerID
	name           string // the id header; in 1.0 the destination if there is none
	destination    message.Destination
	mode           ackMode
	transformation string
	older          *subscription // with the same name

	prefix      []byte // of its MESSAGE frames: the lines that never change
	lastFrom    message.Destination
	lastLine    []byte // the destination line of lastFrom
	lastWritten uint64 // the newest delivery that was written
	waiting     deliveries
	due         bool   // lastWritten has to be acknowledged by the session
	sent        uint64 // of those, the last that was given to the socket: it may be the client's before its acknowledgement is on its way
}

type ackMode uint8

const (
	ackAuto ackMode = iota
	ackClient
	ackIndividual
)

// subscribe handles SUBSCRIBE.
func (c *connection) subscribe(h stomp.Headers, receipt string) error {
	text, ok := h.Lookup("destination")
	if !ok {
		return &refusal{text: "SUBSCRIBE received without a destination"}
	}
	id, hasID := h.Lookup("id")
	if !hasID && c.version > stomp.V10 {
		return &refusal{text: "SUBSCRIBE received without a subscription id!"}
	}
	n, err := c.resolve(text)
	if err != nil {
		return err
	}
	ev := &broker.Subscribe{Conn: c.core.ID(), Destination: n.destination, Selector: h.Value("selector"), Prefetch: -1}
	if err := ev.Options(n.options); err != nil {
		return &refusal{text: err.Detail}
	}
	if value, ok := h.Lookup("activemq.exclusive"); ok {
		ev.Exclusive = isTrue(value)
	}
	if value, ok := h.Lookup("activemq.noLocal"); ok {
		ev.NoLocal = isTrue(value)
	}
	setInt(&ev.Priority, h.Value("activemq.priority"))
	setInt(&ev.Prefetch, h.Value("activemq.prefetchSize"))
	ev.Browser = isTrue(h.Value("browser"))
	if ev.Browser && c.version == stomp.V10 {
		return &refusal{text: "A queue browser needs STOMP 1.1 or later"}
	}
	if strings.TrimSpace(ev.Selector) != "" {
		ev.Selector = selectorPrefix + strings.TrimPrefix(ev.Selector, selectorPrefix)
	}
	if value, ok := h.Lookup("activemq.retroactive"); ok {
		ev.Retroactive = isTrue(value)
	}
	setInt(&ev.MaxPending, h.Value("activemq.maximumPendingMessageLimit"))
	ev.MaxPending = max(0, ev.MaxPending)
	if err := nameSubscription(ev, h); err != nil {
		return err
	}
	if !ev.Shared && ev.Name != "" && n.destination.Kind.IsTopic() && c.clientID == "" {
		// ActiveMQ binds it to the generated id of the connection, so that nobody ever comes back to it. Here it is
		// what it is for its client, and leaves nothing behind.
		ev.Name = ""
	}
	if ev.Prefetch < 0 {
		ev.Prefetch = defaultPrefetch(ev)
	}
	if err := c.identity.MayRead(security.Kind(n.destination.Kind), n.destination.Name); err != nil {
		return &refusal{text: err.Error()}
	}
	ev.MayCreate = session.MayCreate(c.identity, n.destination)

	sub := &subscription{name: id, destination: n.destination, transformation: h.Value("transformation")}
	switch h.Value("ack") {
	case "client":
		sub.mode = ackClient
	case "client-individual":
		sub.mode = ackIndividual
	}
	sub.prefix = stomp.AppendCommand(nil, stomp.Message)
	if hasID {
		sub.prefix = stomp.AppendHeader(sub.prefix, c.version, "subscription", id)
	} else {
		sub.name = text
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.subscriptions) >= c.opt.MaxSubscriptions {
		return &refusal{text: fmt.Sprintf("The connection has %d subscriptions, its limit", len(c.subscriptions))}
	}
	c.lastConsumer++
	sub.id, ev.Consumer = c.lastConsumer, c.lastConsumer
	sub.older = c.byName[sub.name]
	c.byName[sub.name] = sub
	c.subscriptions[sub.id] = sub
	ev.Ref = c.expectLocked(answer{kind: subscribe, receipt: receipt, consumer: sub.id})
	c.event(ev)
	return nil
}

// The values of subscription-type that ask for something; others are passed over, as ActiveMQ does with the header.
const (
	typeShared        = "shared"
	typeSharedDurable = "shared-durable"
)

// nameSubscription reads the name of a durable subscription, or of one that several consumers share: of that ActiveMQ's clients
// know nothing, so the headers are ours, in the manner of other brokers.
func nameSubscription(ev *broker.Subscribe, h stomp.Headers) error {
	ev.Name = h.Value("activemq.subscriptionName")
	kind := h.Value("subscription-type")
	if kind != typeShared && kind != typeSharedDurable {
		return nil
	}
	if name, ok := h.Lookup("durable-subscription-name"); ok {
		ev.Name = name
	}
	if ev.Name == "" {
		return &refusal{text: "SUBSCRIBE with subscription-type:" + kind + " needs the name of the subscription in durable-subscription-name"}
	}
	ev.Shared, ev.NonDurable = true, kind == typeShared
	return nil
}

func defaultPrefetch(ev *broker.Subscribe) int {
	switch {
	case ev.Browser:
		return browserPrefetch
	case ev.Name != "" && !ev.NonDurable:
		return durablePrefetch
	case ev.Destination.Kind.IsTopic():
		return topicPrefetch
	}
	return queuePrefetch
}

func isTrue(value string) bool { return strings.EqualFold(value, "true") }

// setInt sets n to a number; what is none, or is not of 32 bits, is passed over as ActiveMQ does.
func setInt(n *int, value string) {
	if v, err := strconv.ParseInt(strings.TrimSpace(value), 10, 32); err == nil {
		*n = int(v)
	}
}

// unsubscribe handles UNSUBSCRIBE: the end of a subscription, or of what is left of a durable one.
func (c *connection) unsubscribe(h stomp.Headers, receipt string) error {
	durable, shared := h.Value("activemq.subscriptionName"), h.Value("subscription-type") == typeSharedDurable
	if shared && durable == "" {
		durable = h.Value("durable-subscription-name")
	}
	if durable != "" && (c.clientID != "" || shared) {
		c.event(&broker.RemoveSubscription{Conn: c.core.ID(), Ref: c.expect(answer{kind: confirm, receipt: receipt}), ClientID: c.clientID, Name: durable})
		return nil
	}
	id, ok := h.Lookup("id")
	if !ok {
		if id, ok = h.Lookup("destination"); !ok {
			return &refusal{text: "UNSUBSCRIBE received without a subscription id or a destination"}
		}
	}
	c.mu.Lock()
	sub := c.byName[id]
	if sub == nil {
		c.mu.Unlock()
		return &refusal{text: "No subscription matched."}
	}
	c.remove(sub)
	last, sent := sub.lastSeen(), sub.sent
	c.mu.Unlock()
	if sent != 0 { // the acknowledgement may not be there yet; twice does no harm
		c.event(&broker.Ack{Conn: c.core.ID(), Consumer: sub.id, Kind: broker.Consumed, Last: sent})
	}
	c.event(&broker.Unsubscribe{Conn: c.core.ID(), Ref: c.confirmation(receipt), Consumer: sub.id, LastDelivered: last})
	return nil
}

// lastSeen is the newest delivery that the client has got and not acknowledged; 0 if there is none.
func (sub *subscription) lastSeen() uint64 {
	if live := sub.waiting.all(); len(live) > 0 {
		return live[len(live)-1].sequence
	}
	if sub.due {
		return sub.lastWritten
	}
	return 0
}

// remove forgets a subscription. The caller holds mu.
func (c *connection) remove(sub *subscription) {
	delete(c.subscriptions, sub.id)
	for at := c.byName[sub.name]; at != nil; at = at.older {
		switch {
		case at == sub && at.older == nil:
			delete(c.byName, sub.name)
		case at == sub:
			c.byName[sub.name] = at.older
		case at.older == sub:
			at.older = sub.older
		default:
			continue
		}
		return
	}
}
