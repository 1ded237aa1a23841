package broker

import (
	"strconv"

	"github.com/godwitmq/godwit/message"
)

func formatUint(n uint64) string { return strconv.FormatUint(n, 10) }

// adviseMessage tells of something that happened to a message of a destination. The message goes without its body unless the destination's policy says otherwise.
func (b *Broker) adviseMessage(on string, d message.Destination, m *message.Message, properties ...property) {
	on = advisoryName(on, d)
	if to := b.advisers(on); len(to) > 0 {
		b.advise(to, on, b.aboutMessage(d, m), properties...)
	}
}

func (b *Broker) aboutMessage(d message.Destination, m *message.Message) *message.Advisory {
	bare := m.Copy()
	if !b.policyOf(d).Advisories.Bodies {
		bare.Content = nil
		if bare.Encoding == message.OpenWireCompressed {
			bare.Encoding = message.OpenWire
		}
	}
	return &message.Advisory{Kind: message.AboutMessage, Message: bare, Destination: d}
}

func originalID(m *message.Message) property { return property{propOriginalID, m.ID.String()} }

func originalDestination(m *message.Message) property {
	return property{propOriginalDestination, m.Destination.String()}
}

// adviseSent tells of a message that has come in, if the destination's policy wants that.
func (b *Broker) adviseSent(d *destination, m *message.Message) {
	p := &d.policy.Advisories
	if !p.any() || b.advisories == 0 || isAdvisory(d.name) {
		return
	}
	if p.Delivered {
		b.adviseMessage(onDelivered, d.name, m, originalDestination(m), originalID(m))
	}
	if !p.NoConsumer || m.Persistent || d.queue != nil && d.consumers > 0 || d.queue == nil && len(d.subscriptions) > 0 {
		return
	}
	on := advisoryName(onNoConsumer, d.name)
	if to := b.advisers(on); len(to) > 0 {
		again := m.Copy()
		again.Destination = message.Destination{Kind: message.Topic, Name: advisoryPrefix + on}
		b.adviseWith(to, again)
	}
}

// adviseGiven tells of a message that was dispatched.
func (b *Broker) adviseGiven(c *consumer, e *entry, m *message.Message) {
	d := e.backlog.destination
	if b.advisories == 0 || !b.policy(e.backlog).Advisories.Dispatched || isAdvisory(d.name) {
		return
	}
	b.adviseMessage(onDispatched, m.Destination, m, property{propConsumerID, aboutConsumer(c, false).ID}, originalDestination(m), originalID(m))
}

// adviseSettled tells of a message of a queue that was consumed. Called while the broker still has it.
func (b *Broker) adviseSettled(e *entry) {
	q := e.backlog
	if b.advisories == 0 || q.destination.queue != q || !b.policy(q).Advisories.Consumed {
		return
	}
	b.adviseLater(onConsumed, e)
}

// adviseExpired tells of a message whose time is over. Called while the broker still has it.
func (b *Broker) adviseExpired(e *entry) {
	if b.advisories == 0 || isAdvisory(e.backlog.destination.name) {
		return
	}
	b.adviseLater(onExpired, e)
}

// adviseDeadLetter tells of a message that has become a dead letter.
func (b *Broker) adviseDeadLetter(q *backlog, m *message.Message) {
	if b.advisories == 0 || isAdvisory(q.destination.name) {
		return
	}
	b.adviseMessage(onDeadLetter, m.Destination, m)
}

// adviseDiscarded tells of a message that a topic's subscriber has lost because too many waited for it. count is how many it has lost so far.
func (b *Broker) adviseDiscarded(s *subscription, e *entry, count int) {
	q := e.backlog
	if b.advisories == 0 || !b.policy(q).Advisories.Discarded || isAdvisory(q.destination.name) {
		return
	}
	properties := []property{{propDiscarded, int32(count)}}
	if cs := s.consumers(); len(cs) > 0 {
		properties = append(properties, property{propConsumerID, aboutConsumer(cs[0].consumer, false).ID})
	}
	b.adviseLater(onDiscarded, e, properties...)
}

// adviseSlow looks for consumers that have become slow, after a dispatch that has left messages waiting, or none.
func (b *Broker) adviseSlow(q *backlog) {
	if b.advisories == 0 || !b.policy(q).Advisories.SlowConsumer || isAdvisory(q.destination.name) {
		return
	}
	for _, a := range q.attached {
		c := a.consumer
		slow := q.mask != 0 && c.prefetch > 0 && c.credit() <= 0
		if slow && !c.told {
			on := advisoryName(onSlowConsumer, q.destination.name)
			if to := b.advisers(on); len(to) > 0 {
				about := aboutConsumer(c, false)
				b.advise(to, on, about, property{propConsumerID, about.ID})
			}
		}
		c.told = slow
	}
}

// adviseFull tells that a destination has reached a limit. used is how much it holds, in bytes.
func (b *Broker) adviseFull(d *destination, what string, used int64) {
	if b.advisories == 0 || !d.policy.Advisories.Full || isAdvisory(d.name) {
		return
	}
	on := advisoryName(onFull, d.name)
	if to := b.advisers(on); len(to) > 0 {
		b.advise(to, on, &message.Advisory{Kind: message.AboutBroker}, property{propUsageName, what}, property{propUsage, used})
	}
}

// adviseFast tells that a connection's producer was held up by a limit of a destination.
func (b *Broker) adviseFast(c *connection, d *destination, m *message.Message) {
	if b.advisories == 0 || !d.policy.Advisories.FastProducer || isAdvisory(d.name) {
		return
	}
	on := advisoryName(onFastProducer, d.name)
	if to := b.advisers(on); len(to) > 0 {
		about := &message.Advisory{Kind: message.AboutProducer, Connection: c.about.Name, ID: m.ID.Producer, Destination: d.name}
		b.advise(to, on, about, property{propProducerID, about.ID})
	}
}

// lateAdvisory is one that waits for its message to be read from the log.
type lateAdvisory struct {
	on         string
	to         message.Destination // the queue or topic
	properties []property          // beside those that tell of the message
}

// maxLateLoads bounds the loads for advisories; what comes while so many are on their way is not told.
const maxLateLoads = 16

// adviseLater tells of a message of which only the log may have the body.
func (b *Broker) adviseLater(on string, e *entry, properties ...property) {
	s, d := e.stored, e.backlog.destination.name
	if m := s.message; m != nil {
		b.adviseLoaded(lateAdvisory{on, d, properties}, e.backlog.seen(m))
		return
	}
	if len(b.advisers(advisoryName(on, d))) == 0 || !s.inLog() || s.position == 0 || s.flags&moving != 0 {
		return
	}
	l := b.late
	if l == nil || len(l.stored) >= loadMessages {
		if b.lateLoads >= maxLateLoads {
			return
		}
		b.askLate()
		b.lateLoads++
		l = &load{}
		b.late = l
	}
	l.stored = append(l.stored, s)
	l.late = append(l.late, lateAdvisory{on, d, properties})
}

// askLate asks for the messages that advisories of this Step need.
func (b *Broker) askLate() {
	if b.late != nil {
		b.ask(b.late)
		b.late = nil
	}
}

// adviseLoaded publishes what has waited for its message.
func (b *Broker) adviseLoaded(a lateAdvisory, m *message.Message) {
	switch a.on {
	case onConsumed:
		b.adviseMessage(a.on, a.to, m, originalDestination(m), originalID(m))
	case onDiscarded:
		b.adviseMessage(a.on, m.Destination, m, append(a.properties, originalDestination(m), originalID(m))...)
	default:
		b.adviseMessage(a.on, a.to, m, originalID(m))
	}
}

// lateLoaded takes in the messages for advisories.
func (b *Broker) lateLoaded(l *load, messages []*message.Message) {
	b.lateLoads--
	for i, a := range l.late {
		if i < len(messages) && messages[i] != nil {
			b.adviseLoaded(a, messages[i])
		}
	}
}
