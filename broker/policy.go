package broker

import (
	"slices"
	"strings"

	"github.com/godwitmq/godwit/message"
)

// Policies are the rules of an operator that may change while the broker runs. The zero value works.
type Policies struct {
	// Default holds for destinations that no other policy fits.
	Default   Policy
	Scheduler SchedulerPolicy
	// Destinations are the policies by destination: of those that fit one, the most specific holds alone.
	Destinations []Policy
	// VirtualTopics copy topics' messages into queues. nil is ActiveMQ's rule, topics VirtualTopic.> and queues Consumer.*.VirtualTopic.>; a list
	// without any is none.
	VirtualTopics []VirtualTopic
	Composites    []Composite
	Mirrors       []Mirror
	// Create are destinations that are always there.
	Create []message.Destination
	Sweep  SweepPolicy
	// NoAdvisories turns all advisories off.
	NoAdvisories bool
	// NoStatistics leaves statistics queries unanswered.
	NoStatistics bool
}

// Policy is what holds for the destinations that fit a name or a pattern. The zero value is ActiveMQ's default.
type Policy struct {
	Destination message.Destination // a temporary kind is for temporary destinations; not used in Policies.Default
	DeadLetter  DeadLetterPolicy
	Redelivery  RedeliveryPolicy
	Consumers   ConsumerPolicy
	Subscribers SubscriberPolicy
	Slow        SlowPolicy
	Expiry      *ExpiryPolicy // nil: messages live as long as they say
	Keep        KeepPolicy    // of queues
	Inactive    InactivePolicy
	// MaxDestinations bounds the destinations for which the policy holds. 0 is no bound.
	MaxDestinations int
	Advisories      AdvisoryPolicy
	Limit           LimitPolicy
}

func (p Policy) filled() Policy {
	if p.DeadLetter.Queue == "" {
		p.DeadLetter.Queue = defaultDeadLetterQueue
	}
	p.Subscribers = p.Subscribers.filled()
	p.Slow = p.Slow.filled()
	return p
}

// Configure puts other policies in force, for the destinations that are there as well.
type Configure struct {
	Conn     ConnID
	Ref      Ref
	Policies Policies
}

func (*Configure) isEvent() {}

func (b *Broker) configure(ev *Configure) {
	b.setPolicies(ev.Policies)
	for _, d := range b.sortedDestinations() {
		b.takePolicy(d)
	}
	b.setRoutes(&ev.Policies)
	b.setSweep()
	b.applyPolicies()
	b.answer(ev.Conn, ev.Ref, b.createListed())
}

// Limit changes Options.CacheBytes and Options.MemoryBytes. What is in memory already beyond them stays there until it goes.
type Limit struct{ CacheBytes, MemoryBytes int64 }

func (*Limit) isEvent() {}

func (b *Broker) limit(ev *Limit) {
	b.opt.CacheBytes, b.opt.MemoryBytes = ev.CacheBytes, ev.MemoryBytes
	b.opt = b.opt.filled()
}

// SetPolicies puts other policies in force before the start (Recovered), for a standby's core, whose configuration may have changed since it was made.
func (b *Broker) SetPolicies(p Policies) {
	b.opt.Policies = p
	b.setPolicies(p)
	for _, d := range b.destinations { // the rest of what policies say is done at the start
		d.policy = b.policyOf(d.name)
	}
	for _, s := range b.durables {
		s.policy = b.policyOf(s.parts[0])
		if s.backlog.destination.name == s.topic {
			s.backlog.destination.policy = s.policy
		}
	}
}

// setPolicies orders the policies so that the first that fits is the most specific.
func (b *Broker) setPolicies(p Policies) {
	p.Default = p.Default.filled()
	p.Destinations = slices.Clone(p.Destinations)
	slices.SortStableFunc(p.Destinations, func(x, y Policy) int { return moreSpecific(x.Destination.Name, y.Destination.Name) })
	b.messageAdvisories = p.Default.Advisories.any()
	for i, x := range p.Destinations {
		p.Destinations[i] = x.filled()
		b.messageAdvisories = b.messageAdvisories || x.Advisories.any()
	}
	b.policies = &p
}

// moreSpecific compares patterns segment by segment: a name comes before *, * before >.
func moreSpecific(x, y string) int {
	rank := func(segment string) int {
		switch segment {
		case ">":
			return 2
		case "*":
			return 1
		}
		return 0
	}
	xs, ys := strings.Split(x, "."), strings.Split(y, ".")
	for i := range min(len(xs), len(ys)) {
		if d := rank(xs[i]) - rank(ys[i]); d != 0 {
			return d
		}
	}
	return len(xs) - len(ys) // a.b before a.b.>, which fits a.b too
}

// policyOf gives what holds for a destination.
func (b *Broker) policyOf(name message.Destination) *Policy {
	for i := range b.policies.Destinations {
		p := &b.policies.Destinations[i]
		if p.Destination.Kind == name.Kind && (p.Destination.Name == name.Name || message.MatchName(p.Destination.Name, name.Name)) {
			return p
		}
	}
	return &b.policies.Default
}

// applyPolicy tells a destination what holds for it.
func (b *Broker) applyPolicy(d *destination) {
	d.policy = b.policyOf(d.name)
	b.keepRecent(d)
	d.dlq = b.policies.isDeadLetters(d.name)
}

// policy is that of the destination whose backlog it is.
func (b *Broker) policy(q *backlog) *Policy {
	if q.destination == nil || q.destination.policy == nil {
		return &b.policies.Default
	}
	return q.destination.policy
}
