package broker

import (
	"fmt"
	"slices"

	"github.com/godwitmq/godwit/message"
	"github.com/godwitmq/godwit/selector"
)

// Composite forwards what is sent to one destination to others: ActiveMQ's composite queues and topics.
type Composite struct {
	Destination message.Destination // a name or a pattern
	ForwardTo   []Forward
	// AlsoHere keeps the message where it was sent as well.
	AlsoHere bool
	// WhenNotMatched keeps it there if no selector of ForwardTo fits, and only then, whatever AlsoHere says.
	WhenNotMatched bool
}

// Forward is one place that a Composite forwards to.
type Forward struct {
	Destination message.Destination
	Selector    string // "" is all. One that cannot be parsed fits nothing
}

// Mirror copies what is sent to queues to a topic beside each, whose name is Prefix, the queue's name, Postfix.
type Mirror struct {
	Queues          message.Destination // a name or a pattern
	Prefix, Postfix string
}

// How far one message may be forwarded: over so many destinations one after the other, and to so many in all.
const (
	maxHops  = 16
	maxParts = 1000
)

// routes is where else a message to a destination goes, by configuration.
type routes struct {
	composites []*composite
	mirrors    []message.Destination // topics
	fan        *fan                  // of a topic
}

// composite is a Composite with its selectors parsed.
type composite struct {
	Composite
	to []forward
}

type forward struct {
	destination message.Destination
	selector    *selector.Selector // nil: all
}

// part is one destination of a message, as it is sent there.
type part struct {
	to      *destination
	message *message.Message
	copies  []*backlog // of queues that get the same message through a virtual topic
}

// parts gives the destinations that a message to some of them reaches. It is valid until the next call.
func (b *Broker) parts(m *message.Message, to []*destination, op string) ([]part, *Error) {
	list, copies := b.scratch.parts[:0], b.scratch.copies[:0]
	var err *Error
	for _, d := range to {
		p := m
		if d.name != m.Destination {
			// Each part of a composite destination gets a message of its own, as if it had been sent there.
			p = m.Copy()
			p.Destination = d.name
			if len(to) > 1 {
				p.Original = m.Destination
			}
		}
		if d.routes == nil {
			list = append(list, part{to: d, message: p})
			continue
		}
		r := router{broker: b, op: op, list: list, copies: copies}
		if err = r.route(p, d, 0); err != nil {
			break
		}
		list, copies = r.list, r.copies
	}
	b.scratch.parts, b.scratch.copies = list, copies
	return list, err
}

// admit asks the queues of a message's parts whether they take it.
func (b *Broker) admit(parts []part, op string) *Error {
	for i := range parts {
		p := &parts[i]
		if q := p.to.queue; q != nil && q.keeping != nil {
			if err := b.admitKey(p.to, p.message, op); err != nil {
				return err
			}
		}
		if len(p.copies) == 0 {
			continue
		}
		p.copies = slices.DeleteFunc(p.copies, func(q *backlog) bool { return q.destination.dropsCopies && b.hasNoRoom(q.destination, p.message, op) })
		for _, q := range p.copies {
			if q.keeping != nil {
				if err := b.admitKey(q.destination, p.message, op); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// hasNoRoom says whether a queue would refuse a message.
func (b *Broker) hasNoRoom(d *destination, m *message.Message, op string) bool {
	return d.room != nil || d.full() || d.queue.keeping != nil && b.admitKey(d, m, op) != nil
}

// forgetParts lets go of what parts gave.
func (b *Broker) forgetParts() {
	clear(b.scratch.parts)
	clear(b.scratch.copies)
}

// router follows the routes of one message.
type router struct {
	broker *Broker
	op     string
	list   []part
	copies []*backlog
}

func (r *router) route(m *message.Message, d *destination, hops int) *Error {
	rs := d.routes
	if rs == nil {
		return r.add(part{to: d, message: m})
	}
	if hops >= maxHops {
		return &Error{Code: IllegalState, Op: r.op, Detail: fmt.Sprintf("the message is forwarded from destination to destination for more than %d times: the composite destinations or mirrored queues of the configuration form a circle at %s", maxHops, d.name)}
	}
	for _, topic := range rs.mirrors {
		if err := r.forward(m, topic, m.Original, hops); err != nil {
			return err
		}
	}
	here := len(rs.composites) == 0
	for _, c := range rs.composites {
		matched := false
		for _, f := range c.to {
			if f.selector != nil && !f.selector.Matches(m) {
				continue
			}
			matched = true
			if err := r.forward(m, f.destination, m.Destination, hops); err != nil {
				return err
			}
		}
		here = here || c.WhenNotMatched && !matched || !c.WhenNotMatched && c.AlsoHere
	}
	if !here {
		return nil
	}
	first := len(r.copies)
	if rs.fan != nil {
		r.copies = rs.fan.appendTo(r.copies, m)
	}
	return r.add(part{to: d, message: m, copies: r.copies[first:len(r.copies):len(r.copies)]})
}

// forward sends a copy on.
func (r *router) forward(m *message.Message, name, original message.Destination, hops int) *Error {
	d, err := r.broker.lookup(name, r.op, true, "")
	if err != nil {
		return err
	}
	c := m.Copy()
	c.Destination, c.Original = name, original
	return r.route(c, d, hops+1)
}

func (r *router) add(p part) *Error {
	if len(r.list) >= maxParts {
		return &Error{Code: IllegalState, Op: r.op, Detail: fmt.Sprintf("the message is forwarded to more than %d destinations", maxParts)}
	}
	r.list = append(r.list, p)
	return nil
}

// setRoutes takes the configuration's routes over and gives all destinations theirs.
func (b *Broker) setRoutes(p *Policies) {
	b.routing = routing{fans: map[string]*fan{}, mirrors: p.Mirrors, virtual: p.VirtualTopics}
	if p.VirtualTopics == nil {
		b.routing.virtual = builtInVirtualTopics
	}
	for _, x := range p.Composites {
		c := &composite{Composite: x}
		for _, f := range x.ForwardTo {
			if s, err := parseSelector(f.Selector); err == nil {
				c.to = append(c.to, forward{f.Destination, s})
			}
		}
		b.routing.composites = append(b.routing.composites, c)
	}
	for _, d := range b.sortedDestinations() {
		d.routes = nil
		b.addRoutes(d)
	}
}

// routing is what messages' ways are found by.
type routing struct {
	virtual    []VirtualTopic
	composites []*composite
	mirrors    []Mirror
	fans       map[string]*fan // by topic
	wild       []copyTo        // queues that are named by a pattern: they get copies of all topics that it fits
}

// addRoutes gives a destination that has come its routes, and those that lead to it.
func (b *Broker) addRoutes(d *destination) {
	var r routes
	for _, c := range b.routing.composites {
		if holdsFor(c.Destination, d.name) {
			r.composites = append(r.composites, c)
		}
	}
	switch d.name.Kind {
	case message.Queue, message.TempQueue:
		for _, m := range b.routing.mirrors {
			if holdsFor(m.Queues, d.name) {
				r.mirrors = append(r.mirrors, message.Destination{Kind: message.Topic, Name: m.Prefix + d.name.Name + m.Postfix})
			}
		}
		b.joinFans(d)
	case message.Topic:
		for i := range b.routing.virtual {
			if message.MatchName(b.routing.virtual[i].Topic, d.name.Name) {
				r.fan = b.fanOf(d.name.Name)
				break
			}
		}
	}
	if r.fan != nil || len(r.composites)+len(r.mirrors) > 0 {
		d.routes = &r
	}
}

// removeRoutes forgets a destination that goes.
func (b *Broker) removeRoutes(d *destination) {
	if d.queue != nil {
		b.leaveFans(d)
	} else if f := b.routing.fans[d.name.Name]; f != nil && d.name.Kind == message.Topic {
		b.dropFan(d.name.Name, f)
	}
}

// holdsFor says whether a rule for a name or a pattern is for a destination.
func holdsFor(rule, name message.Destination) bool {
	return rule.Kind == name.Kind && (rule.Name == name.Name || message.MatchName(rule.Name, name.Name))
}

// seen gives a message as the consumers of q get it: what a virtual topic has copied into a queue is addressed to that queue.
func (q *backlog) seen(m *message.Message) *message.Message {
	d := q.destination
	if !m.Destination.Kind.IsTopic() || d == nil || d.queue != q {
		return m
	}
	c := m.Copy()
	c.Destination = d.name
	if !d.hidesTopic {
		c.Original = m.Destination
	}
	return c
}

// sendOn routes a message that comes from within the broker, as dead letters do, and stores it. What cannot be routed stays where it was to go.
func (b *Broker) sendOn(m *message.Message, d *destination) {
	if d.routes == nil {
		b.put(m, d.targets(nil, m, nil), false)
		return
	}
	parts, err := b.parts(m, []*destination{d}, "forward")
	if err != nil {
		b.put(m, d.targets(nil, m, nil), false)
		return
	}
	for _, p := range slices.Clone(parts) {
		b.put(p.message, append(p.to.targets(nil, p.message, nil), p.copies...), false)
	}
	b.forgetParts()
}

// recoverDestinations gives the destinations that were read back what the configuration says of them.
func (b *Broker) recoverDestinations() {
	for _, q := range b.replay.backlogs {
		if d := q.backlog.destination; d != nil && d.queue == q.backlog {
			d.remembered = q.remembered
			d.wild = d.name.IsPattern()
		}
	}
	for _, d := range b.sortedDestinations() {
		b.takePolicy(d)
	}
	for _, id := range sortedKeys(b.replay.backlogs) {
		if q := b.replay.backlogs[id]; q.backlog.destination != nil && q.backlog.destination.queue == q.backlog {
			b.recoverKeep(q)
		}
	}
	b.setRoutes(&b.opt.Policies)
	b.setSweep()
	b.createListed()
}

// maxRoutes bounds the routes of one destination that a view shows.
const maxRoutes = 100

// names tells the routes for people.
func (r *routes) names() (all []string) {
	if r == nil {
		return nil
	}
	for _, c := range r.composites {
		for _, f := range c.to {
			all = append(all, f.destination.String())
		}
	}
	for _, m := range r.mirrors {
		all = append(all, m.String())
	}
	if r.fan != nil {
		for _, c := range r.fan.copies[:min(len(r.fan.copies), maxRoutes)] {
			all = append(all, c.queue.name.String())
		}
	}
	return all[:min(len(all), maxRoutes)]
}
