package broker

import (
	"fmt"
	"slices"
	"strings"

	"github.com/godwitmq/godwit/message"
	"github.com/godwitmq/godwit/selector"
)

// durableKey names a subscription: by the client id, if there is one, and the name.
type durableKey struct{ clientID, name string }

// subscription is what one topic consumer, or several that share it, see of its topics: a backlog of its own. A durable one outlives
// its consumers.
type subscription struct {
	backlog      *backlog
	parts        []message.Destination
	topic        message.Destination // as asked for
	topics       []*destination
	selector     *selector.Selector
	selectorText string
	noLocal      bool
	lasting      bool   // durable
	shared       bool   // by any number of consumers, each message going to one of them
	clientID     string // of a named one; may be "" if it is shared
	name         string // of a durable or shared one
	policy       *Policy
	idleSince    int64 // ms since 1970: when a durable one lost its last consumer, or the broker started
	agree        bool  // whether the topics have the same rules for dead letters and redeliveries, if that is known:
	agreedBy     *Policies
}

func (s *subscription) durable() bool                       { return s.lasting }
func (s *subscription) key() durableKey                     { return durableKey{s.clientID, s.name} }
func (s *subscription) wants(name message.Destination) bool { return fits(s.parts, name) }

// durable gives the durable subscription whose backlog it is, or nil.
func (q *backlog) durable() *subscription {
	if s := q.sub; s != nil && s.lasting {
		return s
	}
	return nil
}

// consumers are those that share the subscription, or its only one.
func (s *subscription) consumers() []*attachment { return s.backlog.attached }
func (s *subscription) active() bool             { return len(s.backlog.attached) > 0 }

// join makes s a subscription of the topic.
func (s *subscription) join(d *destination) {
	if !slices.Contains(d.subscriptions, s) {
		s.agreedBy = nil
		d.subscriptions = append(d.subscriptions, s)
		s.topics = append(s.topics, d)
		d.consumers += len(s.consumers())
	}
}

// leave undoes join.
func (s *subscription) leave(d *destination) {
	s.agreedBy = nil
	d.subscriptions = slices.DeleteFunc(d.subscriptions, func(x *subscription) bool { return x == s })
	s.topics = slices.DeleteFunc(s.topics, func(x *destination) bool { return x == d })
	d.consumers -= len(s.consumers())
}

// takes says whether a message is for the subscription.
func (s *subscription) takes(m *message.Message, from *connection) bool {
	if s.noLocal && from != nil && m.Advisory == nil && s.local(from) {
		return false
	}
	return s.selector == nil || s.selector.Matches(m)
}

// local says whether the connection is the subscription's own.
func (s *subscription) local(from *connection) bool {
	if s.durable() && from.about.ClientID == s.clientID {
		return true
	}
	return s.active() && s.backlog.attached[0].consumer.conn == from
}

// same says whether both ask for the same messages: JMS makes a new subscription of anything else.
func (s *subscription) same(x *subscription) bool {
	return s.topic == x.topic && strings.TrimSpace(s.selectorText) == strings.TrimSpace(x.selectorText) && s.noLocal == x.noLocal
}

// subscribeTopics gives c a subscription of the topics found, its own or one that it shares.
func (b *Broker) subscribeTopics(c *consumer, found []*destination, sel *selector.Selector) *Error {
	ev := &c.about
	s := &subscription{backlog: &backlog{shares: ev.Shared}, parts: c.parts, topic: ev.Destination, selector: sel, selectorText: ev.Selector, noLocal: ev.NoLocal,
		lasting: ev.Name != "" && !ev.NonDurable, shared: ev.Shared, name: ev.Name}
	s.backlog.sub = s
	if s.name != "" {
		s.clientID = c.conn.about.ClientID
		known, err := b.known(s)
		if err != nil {
			return err
		}
		switch {
		case known != nil && known.same(s):
			s = known
		case known != nil: // JMS: another topic or selector is a new subscription
			b.removeSubscriptionState(known)
			b.addSubscription(s)
		default:
			b.addSubscription(s)
		}
	}
	fresh := s.backlog.destination == nil
	if fresh {
		s.policy = b.policyOf(s.parts[0])
		s.backlog.destination = &destination{name: ev.Destination, policy: s.policy} // as long as no topic fits a pattern
	}
	if len(found) > 0 {
		s.backlog.destination = found[0]
	}
	for _, d := range s.topics {
		d.consumers++
	}
	c.subscription = s
	s.backlog.attach(c)
	for _, d := range found {
		s.join(d)
	}
	if slices.ContainsFunc(s.parts, message.Destination.IsPattern) && !slices.Contains(b.wild, s) {
		b.wild = append(b.wild, s)
	}
	b.limitPending(s)
	if fresh && (ev.Retroactive || s.policy.Subscribers.AlwaysRetroactive) {
		b.recall(s)
	}
	if fitsAdvisory(s.parts) && len(s.consumers()) == 1 {
		b.advisories++
	}
	return nil
}

// known finds the subscription that a named one asks for, if it is there. Errors, as JMS 2.0 (Session, 8.3) has them: InvalidClientID, InUse.
func (b *Broker) known(s *subscription) (*subscription, *Error) {
	who := fmt.Sprintf("client: %s and subscriptionName: %s", s.clientID, s.name)
	switch {
	case s.shared && s.noLocal:
		return nil, &Error{Code: IllegalState, Op: "subscribe", Detail: "a shared subscription cannot be noLocal: its consumers are not of one connection"}
	case !s.shared && !s.durable():
		return nil, &Error{Code: IllegalState, Op: "subscribe", Detail: "a subscription with a name is durable or shared"}
	case !s.shared && s.clientID == "":
		return nil, &Error{Code: InvalidClientID, Op: "subscribe", Detail: "a durable subscription needs a client id"}
	case !s.durable():
		old := b.shared[s.key()]
		if old != nil && !old.same(s) {
			return nil, &Error{Code: InUse, Detail: fmt.Sprintf("Shared subscription is in use with topic %s and selector %q for %s", old.topic.Name, old.selectorText, who)}
		}
		return old, nil
	}
	old := b.durables[s.key()]
	switch {
	case old == nil:
	case old.shared != s.shared:
		return nil, &Error{Code: InUse, Detail: fmt.Sprintf("A durable subscription is either shared or not; this one is %s for %s", map[bool]string{true: "shared", false: "not shared"}[old.shared], who)}
	case old.active() && !old.shared:
		return nil, &Error{Code: InUse, Detail: "Durable consumer is in use for " + who}
	case old.active() && !old.same(s):
		return nil, &Error{Code: InUse, Detail: fmt.Sprintf("Shared durable subscription is in use with topic %s and selector %q for %s", old.topic.Name, old.selectorText, who)}
	}
	return old, nil
}

func fitsAdvisory(parts []message.Destination) bool {
	return slices.ContainsFunc(parts, func(d message.Destination) bool { return strings.HasPrefix(d.Name, advisoryPrefix) || d.IsPattern() })
}

// addSubscription registers a new named subscription, in the log too if it is durable.
func (b *Broker) addSubscription(s *subscription) {
	if !s.durable() {
		b.shared[s.key()] = s
		return
	}
	b.nextID++
	s.backlog.id = b.nextID
	b.backlogs[s.backlog.id] = s.backlog
	b.durables[s.key()] = s
	b.emitSubscription(s)
}

// leaveSubscription ends what a consumer, detached already, has with its subscription, and says whether the subscription ended with it.
func (b *Broker) leaveSubscription(c *consumer, held []*entry) (ended bool) {
	s := c.subscription
	c.subscription = nil
	for _, d := range s.topics {
		d.consumers--
	}
	if s.active() {
		return false
	}
	if fitsAdvisory(s.parts) {
		b.advisories--
	}
	if s.durable() {
		s.idleSince = b.now
		return false
	}
	for _, e := range held {
		b.discard(e)
	}
	b.removeSubscriptionState(s)
	return true
}

// removeSubscriptionState forgets a subscription without consumers, and its backlog.
func (b *Broker) removeSubscriptionState(s *subscription) {
	for _, d := range slices.Clone(s.topics) {
		s.leave(d)
	}
	b.wild = slices.DeleteFunc(b.wild, func(x *subscription) bool { return x == s })
	switch {
	case s.durable():
		delete(b.durables, s.key())
	case s.shared:
		delete(b.shared, s.key())
	}
	b.abandon(s.backlog)
}

func (b *Broker) removeSubscription(ev *RemoveSubscription) {
	s := b.durables[durableKey{ev.ClientID, ev.Name}]
	switch {
	case s == nil:
		b.answer(ev.Conn, ev.Ref, noSubscription(ev.ClientID, ev.Name))
	case s.active():
		b.answer(ev.Conn, ev.Ref, &Error{Code: InUse, Detail: "Durable consumer is in use"})
	default:
		b.removeSubscriptionState(s)
		b.adviseUnsubscribed(s, ev.Conn)
		b.answer(ev.Conn, ev.Ref, nil)
	}
}

func noSubscription(clientID, name string) *Error {
	return &Error{Code: InvalidDestination, Detail: "No durable subscription exists for clientID: " + clientID + " and subscriptionName: " + name}
}

// PurgeSubscription removes all messages that wait in a durable subscription and are not at a consumer, as Purge does. The answer's Value is their
// number (int). Error: InvalidDestination if there is no such subscription.
type PurgeSubscription struct {
	Conn     ConnID
	Ref      Ref
	ClientID string
	Name     string
}

func (*PurgeSubscription) isEvent() {}

func (b *Broker) purgeSubscription(ev *PurgeSubscription) {
	s := b.durables[durableKey{ev.ClientID, ev.Name}]
	if s == nil {
		b.answer(ev.Conn, ev.Ref, noSubscription(ev.ClientID, ev.Name))
		return
	}
	b.purgeBacklog(s.backlog, ev.Conn, ev.Ref)
}
