package broker

import (
	"fmt"
	"slices"
	"strings"

	"github.com/godwitmq/godwit/message"
	"github.com/godwitmq/godwit/selector"
)

// durableKey names a durable subscription.
type durableKey struct{ clientID, name string }

// subscription is what one topic consumer sees of its topics: a backlog of its own. A durable one outlives its consumer.
type subscription struct {
	backlog      *backlog
	parts        []message.Destination
	topic        message.Destination // as asked for
	topics       []*destination
	selector     *selector.Selector
	selectorText string
	noLocal      bool
	clientID     string // of a durable one
	name         string // of a durable one
	consumer     *consumer
}

func (s *subscription) durable() bool                       { return s.name != "" }
func (s *subscription) wants(name message.Destination) bool { return fits(s.parts, name) }

// join makes s a subscription of the topic.
func (s *subscription) join(d *destination) {
	if !slices.Contains(d.subscriptions, s) {
		d.subscriptions = append(d.subscriptions, s)
		s.topics = append(s.topics, d)
		if s.consumer != nil {
			d.consumers++
		}
	}
}

// leave undoes join.
func (s *subscription) leave(d *destination) {
	d.subscriptions = slices.DeleteFunc(d.subscriptions, func(x *subscription) bool { return x == s })
	s.topics = slices.DeleteFunc(s.topics, func(x *destination) bool { return x == d })
	if s.consumer != nil {
		d.consumers--
	}
}

// takes says whether a message is for the subscription.
func (s *subscription) takes(m *message.Message, from *connection) bool {
	if s.noLocal && from != nil && m.Advisory == nil && (s.consumer != nil && s.consumer.conn == from || s.durable() && from.about.ClientID == s.clientID) {
		return false
	}
	return s.selector == nil || s.selector.Matches(m)
}

// subscribeTopics gives c a subscription of the topics found.
func (b *Broker) subscribeTopics(c *consumer, found []*destination, sel *selector.Selector) *Error {
	ev := &c.about
	s := &subscription{backlog: &backlog{}, parts: c.parts, topic: ev.Destination, selector: sel, selectorText: ev.Selector, noLocal: ev.NoLocal}
	if ev.Name != "" {
		clientID := c.conn.about.ClientID
		if clientID == "" {
			return &Error{Code: InvalidClientID, Op: "subscribe", Detail: "a durable subscription needs a client id"}
		}
		s.clientID, s.name = clientID, ev.Name
		key := durableKey{clientID, ev.Name}
		if old := b.durables[key]; old != nil {
			if old.consumer != nil {
				return &Error{Code: InUse, Detail: fmt.Sprintf("Durable consumer is in use for client: %s and subscriptionName: %s", clientID, ev.Name)}
			}
			if old.topic == s.topic && strings.TrimSpace(old.selectorText) == strings.TrimSpace(s.selectorText) && old.noLocal == s.noLocal {
				s = old
			} else { // JMS: another topic or selector is a new subscription
				b.removeSubscriptionState(old)
			}
		}
		if s.backlog.id == 0 {
			b.addDurable(s)
			b.emitSubscription(s)
		}
	}
	if s.backlog.destination == nil {
		s.backlog.destination = &destination{name: ev.Destination}
	}
	if len(found) > 0 && s.backlog.destination.name != found[0].name {
		s.backlog.destination = found[0]
	}
	for _, d := range s.topics {
		d.consumers++
	}
	s.consumer = c
	c.subscription = s
	s.backlog.attach(c)
	for _, d := range found {
		s.join(d)
	}
	if slices.ContainsFunc(s.parts, message.Destination.IsPattern) && !slices.Contains(b.wild, s) {
		b.wild = append(b.wild, s)
	}
	if fitsAdvisory(s.parts) {
		b.advisories++
	}
	return nil
}

func fitsAdvisory(parts []message.Destination) bool {
	return slices.ContainsFunc(parts, func(d message.Destination) bool { return strings.HasPrefix(d.Name, advisoryPrefix) || d.IsPattern() })
}

// addDurable registers a new durable subscription.
func (b *Broker) addDurable(s *subscription) {
	b.nextID++
	s.backlog.id = b.nextID
	s.backlog.durable = s
	b.backlogs[s.backlog.id] = s.backlog
	b.durables[durableKey{s.clientID, s.name}] = s
}

// removeSubscriptionState forgets a subscription and its backlog.
func (b *Broker) removeSubscriptionState(s *subscription) {
	for _, d := range slices.Clone(s.topics) {
		if s.consumer == nil && !s.durable() {
			d.consumers--
		}
		s.leave(d)
	}
	b.wild = slices.DeleteFunc(b.wild, func(x *subscription) bool { return x == s })
	if fitsAdvisory(s.parts) && !s.durable() {
		b.advisories--
	}
	if s.durable() {
		delete(b.durables, durableKey{s.clientID, s.name})
	}
	b.abandon(s.backlog)
}

func (b *Broker) removeSubscription(ev *RemoveSubscription) {
	s := b.durables[durableKey{ev.ClientID, ev.Name}]
	switch {
	case s == nil:
		b.answer(ev.Conn, ev.Ref, &Error{Code: InvalidDestination, Detail: "No durable subscription exists for clientID: " + ev.ClientID + " and subscriptionName: " + ev.Name})
	case s.consumer != nil:
		b.answer(ev.Conn, ev.Ref, &Error{Code: InUse, Detail: "Durable consumer is in use"})
	default:
		b.removeSubscriptionState(s)
		b.answer(ev.Conn, ev.Ref, nil)
	}
}
