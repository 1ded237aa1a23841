package broker

import (
	"cmp"
	"slices"
	"strings"

	"github.com/godwitmq/godwit/message"
)

// AdvisoryPolicy says which advisories about its messages a destination's subscribers may get. ActiveMQ's have the same defaults: none of these; those about connections,
// consumers, producers, destinations, expired messages and dead letters are there for whoever subscribes (Policies.NoAdvisories turns off all).
type AdvisoryPolicy struct {
	Delivered    bool // a message has come in
	Dispatched   bool // a message was given to a consumer
	Consumed     bool // a message of a queue was acknowledged
	Discarded    bool // a topic's subscriber has lost a message because too many waited
	NoConsumer   bool // a non-persistent message has come in while nobody consumes: the message itself is sent to the advisory topic
	SlowConsumer bool // messages wait, and the consumer's window is full
	FastProducer bool // a producer was held up by a limit
	Full         bool // the destination has reached a limit
	// Bodies has the messages in advisories keep their bodies.
	Bodies bool
}

// any says whether any of them is on.
func (p *AdvisoryPolicy) any() bool {
	x := *p
	x.Bodies = false
	return x != AdvisoryPolicy{}
}

const advisoryPrefix = "ActiveMQ.Advisory."

// The advisory topics, behind the prefix. Those with a dot at their end are completed by Queue. or Topic. and the destination's name.
const (
	onConnection   = "Connection"
	onConsumer     = "Consumer."
	onProducer     = "Producer."
	onExpired      = "Expired."
	onDeadLetter   = "MessageDLQd."
	onDelivered    = "MessageDelivered."
	onDispatched   = "MessageDispatched."
	onConsumed     = "MessageConsumed."
	onDiscarded    = "MessageDiscarded."
	onNoConsumer   = "NoConsumer."
	onSlowConsumer = "SlowConsumer."
	onFastProducer = "FastProducer."
	onFull         = "FULL."
	onMaster       = "MasterBroker"
)

// What of the past of an advisory topic may wait for one subscriber: beyond it the oldest goes.
const (
	maxAdvisories    = 10_000
	maxAdvisoryBytes = 4 << 20
)

// properties of advisories; their spelling is ActiveMQ's.
const (
	propOriginalID          = "orignalMessageId"
	propOriginalDestination = "orignalDestination"
	propConsumerID          = "consumerId"
	propProducerID          = "producerId"
	propConsumers           = "consumerCount"
	propProducers           = "producerCount"
	propDiscarded           = "discardedCount"
	propUsageName           = "usageName"
	propUsage               = "usageCount"
)

// property is one of an advisory's.
type property struct {
	name  string
	value any
}

// isAdvisory says whether a destination is an advisory topic, about which there are no advisories.
func isAdvisory(name message.Destination) bool {
	return name.Kind == message.Topic && strings.HasPrefix(name.Name, advisoryPrefix)
}

// advisoryName completes a topic's name. A composite name is written as ActiveMQ does, whose own commas would make the topic a composite one.
func advisoryName(on string, d message.Destination) string {
	kind := "Queue."
	if d.Kind.IsTopic() {
		kind = "Topic."
	}
	return on + kind + strings.ReplaceAll(d.Name, ",", "&sbquo;")
}

// advisers gives the subscriptions of an advisory topic, nil if there are none.
func (b *Broker) advisers(on string) []*subscription {
	if b.advisories == 0 || b.policies.NoAdvisories {
		return nil
	}
	name := message.Destination{Kind: message.Topic, Name: advisoryPrefix + on}
	if d := b.destinations[name]; d != nil {
		return d.subscriptions
	}
	var found []*subscription
	for _, s := range b.wild {
		if s.wants(name) {
			found = append(found, s)
		}
	}
	return found
}

// advise publishes an advisory on a topic whose subscriptions advisers has given.
func (b *Broker) advise(to []*subscription, on string, about *message.Advisory, properties ...property) {
	m := &message.Message{ID: b.newID(), Destination: message.Destination{Kind: message.Topic, Name: advisoryPrefix + on}, JMSType: "Advisory", Received: b.now, Advisory: about}
	for _, p := range properties {
		m.Properties = m.Properties.With(p.name, p.value)
	}
	b.adviseWith(to, m)
}

// adviseWith gives subscriptions an advisory, and takes the oldest from those that do not keep up.
func (b *Broker) adviseWith(to []*subscription, m *message.Message) {
	targets := make([]*backlog, 0, len(to))
	for _, s := range to {
		if !s.takes(m, nil) {
			continue
		}
		if q := s.backlog; q.ready >= maxAdvisories || q.bytes >= maxAdvisoryBytes {
			if e := q.front(); e != nil && e.stored.message != nil && isAdvisory(e.stored.message.Destination) {
				b.settle(e)
			} else {
				continue
			}
		}
		targets = append(targets, s.backlog)
	}
	b.put(m, targets, false)
}

// adviseDestination tells of a destination that came or went. Java clients do not send to a temporary one of which they have not heard, or have heard that it is gone.
func (b *Broker) adviseDestination(d *destination, removed bool) {
	if b.advisories == 0 || isAdvisory(d.name) {
		return
	}
	on := advisoryTopic(d.name.Kind)
	if to := b.advisers(on); to != nil {
		b.advise(to, on, aboutDestination(d, removed))
	}
}

func aboutDestination(d *destination, removed bool) *message.Advisory {
	a := &message.Advisory{Destination: d.name, Removed: removed, Connection: d.creator}
	if d.owner != nil {
		a.Connection = d.owner.about.Name
	}
	return a
}

// advisoryTopic is that for destinations of a kind.
func advisoryTopic(k message.Kind) string {
	return [...]string{message.Queue: "Queue", message.Topic: "Topic", message.TempQueue: "TempQueue", message.TempTopic: "TempTopic"}[k]
}

// internal says whether a connection is not a client's but of the broker's own API.
func (c *connection) internal() bool { return c.about.Protocol == "http" }

// adviseConnection tells of a client that came or went.
func (b *Broker) adviseConnection(c *connection, removed bool) {
	if b.advisories == 0 || c.internal() {
		return
	}
	if to := b.advisers(onConnection); len(to) > 0 {
		b.advise(to, onConnection, aboutConnection(c, removed))
	}
}

func aboutConnection(c *connection, removed bool) *message.Advisory {
	return &message.Advisory{Kind: message.AboutConnection, Removed: removed, Connection: c.about.Name, ClientID: c.about.ClientID, User: c.about.User, Remote: c.about.Remote}
}

// adviseConsumer tells of a consumer that came or went.
func (b *Broker) adviseConsumer(c *consumer, removed bool) {
	if b.advisories == 0 || isAdvisory(c.parts[0]) || c.conn.internal() {
		return
	}
	on := advisoryName(onConsumer, c.about.Destination)
	if to := b.advisers(on); len(to) > 0 {
		n := b.consumersOf(c.about.Destination)
		if c.about.Browser && !removed { // it counts as long as it is there
			n++
		}
		b.advise(to, on, aboutConsumer(c, removed), property{propConsumers, int32(n)})
	}
}

// consumersOf counts as ActiveMQ does: a durable subscription counts while nobody is there too, and what is no single destination has none.
func (b *Broker) consumersOf(name message.Destination) int {
	d := b.destinations[name]
	switch {
	case d == nil || d.wild:
		return 0
	case d.queue == nil:
		return len(d.subscriptions)
	}
	return d.consumers
}

func aboutConsumer(c *consumer, removed bool) *message.Advisory {
	ev := &c.about
	a := &message.Advisory{Kind: message.AboutConsumer, Removed: removed, Connection: c.conn.about.Name, ClientID: c.conn.about.ClientID, ID: ev.Label, Destination: ev.Destination,
		Selector: strings.TrimPrefix(ev.Selector, "convert_string_expressions:"), Subscription: ev.Name, Prefetch: c.prefetch, MaxPending: ev.MaxPending, Priority: ev.Priority,
		Browser: ev.Browser, NoLocal: ev.NoLocal, Exclusive: c.exclusive, Retroactive: ev.Retroactive}
	if a.ID == "" {
		a.ID = c.conn.about.Name + ":-1:" + formatUint(uint64(c.id))
	}
	return a
}

// adviseProducer tells of a producer that came or went. One without a destination is not told of.
func (b *Broker) adviseProducer(c *connection, p *sender, removed bool) {
	if b.advisories == 0 || c.internal() {
		return
	}
	for _, part := range p.parts {
		if isAdvisory(part) {
			continue
		}
		on := advisoryName(onProducer, part)
		if to := b.advisers(on); len(to) > 0 {
			n := b.producersOf(part)
			if n == 0 && !removed {
				n = 1 // its first message will make the destination
			}
			b.advise(to, on, aboutProducer(c, p, part, removed), property{propProducers, int32(n)})
		}
	}
}

func (b *Broker) producersOf(name message.Destination) int {
	return b.producing[name]
}

func aboutProducer(c *connection, p *sender, part message.Destination, removed bool) *message.Advisory {
	a := &message.Advisory{Kind: message.AboutProducer, Removed: removed, Connection: c.about.Name, ID: p.about.Label, Destination: part}
	if a.ID == "" {
		a.ID = c.about.Name + ":-1:" + formatUint(p.about.Producer)
	}
	return a
}

// adviseUnsubscribed tells that a durable subscription was removed.
func (b *Broker) adviseUnsubscribed(s *subscription, by ConnID) {
	on := advisoryName(onConsumer, s.topic)
	to := b.advisers(on)
	if len(to) == 0 {
		return
	}
	a := &message.Advisory{Kind: message.AboutSubscription, Removed: true, ClientID: s.clientID, Subscription: s.name, Destination: s.topic}
	if c := b.connections[by]; c != nil {
		a.Connection = c.about.Name
	}
	b.advise(to, on, a, property{propConsumers, int32(b.consumersOf(s.topic))})
}

// adviseNewcomer tells a new subscriber of advisory topics what is already there.
func (b *Broker) adviseNewcomer(s *subscription) {
	if b.policies.NoAdvisories {
		return
	}
	to := []*subscription{s}
	asks := func(on string) bool {
		return s.wants(message.Destination{Kind: message.Topic, Name: advisoryPrefix + on})
	}
	begins := func(on string) bool {
		return slices.ContainsFunc(s.parts, func(p message.Destination) bool { return strings.HasPrefix(p.Name, advisoryPrefix+on) })
	}
	if asks(onMaster) {
		b.advise(to, onMaster, &message.Advisory{Kind: message.AboutBroker})
	}
	var kinds [message.TempTopic + 1]bool
	for k := message.Queue; k <= message.TempTopic; k++ {
		kinds[k] = begins(advisoryTopic(k)) && asks(advisoryTopic(k))
	}
	b.retellDestinations(to, kinds)
	connections, consumers, producers := begins(onConnection) && asks(onConnection), begins(onConsumer), begins(onProducer)
	if !connections && !consumers && !producers {
		return
	}
	for _, id := range sortedKeys(b.connections) {
		c := b.connections[id]
		if c.internal() {
			continue
		}
		if connections {
			b.advise(to, onConnection, aboutConnection(c, false))
		}
		if consumers {
			b.retellConsumers(to, c, asks)
		}
		if producers {
			b.retellProducers(to, c, asks)
		}
	}
}

func (b *Broker) retellDestinations(to []*subscription, kinds [message.TempTopic + 1]bool) {
	plain := kinds[message.Queue] || kinds[message.Topic]
	if !plain && (b.temporaries == 0 || !kinds[message.TempQueue] && !kinds[message.TempTopic]) {
		return
	}
	var found []*destination
	for name, d := range b.destinations {
		if kinds[name.Kind] && !isAdvisory(name) && !d.wild {
			found = append(found, d)
		}
	}
	slices.SortFunc(found, func(x, y *destination) int {
		return cmp.Or(cmp.Compare(x.name.Kind, y.name.Kind), strings.Compare(x.name.Name, y.name.Name))
	})
	for _, d := range found {
		b.advise(to, advisoryTopic(d.name.Kind), aboutDestination(d, false))
	}
}

func (b *Broker) retellConsumers(to []*subscription, c *connection, asks func(string) bool) {
	for _, id := range sortedKeys(c.consumers) {
		x := c.consumers[id]
		if on := advisoryName(onConsumer, x.about.Destination); !isAdvisory(x.parts[0]) && asks(on) {
			b.advise(to, on, aboutConsumer(x, false), property{propConsumers, int32(b.consumersOf(x.about.Destination))})
		}
	}
}

func (b *Broker) retellProducers(to []*subscription, c *connection, asks func(string) bool) {
	for _, id := range sortedKeys(c.producers) {
		p := c.producers[id]
		for _, part := range p.parts {
			if on := advisoryName(onProducer, part); !isAdvisory(part) && asks(on) {
				b.advise(to, on, aboutProducer(c, p, part, false), property{propProducers, int32(b.producersOf(part))})
			}
		}
	}
}
