package broker

import (
	"math"
	"time"

	"github.com/godwitmq/godwit/message"
)

// RedeliveryPolicy says how often the broker itself tries again. ActiveMQ's clients redeliver by themselves and tell the broker at the end
// (Poison); the zero value leaves it to them.
type RedeliveryPolicy struct {
	// Maximum is how many redeliveries a message gets before it is a dead letter. 0 means that a poisoned message is
	// one at once and that returned messages come back without limit. Below 0, there is no end to it.
	Maximum int
	// InitialDelay is the time before the first redelivery of a poisoned message; 0 means Delay.
	InitialDelay time.Duration
	// Delay is the time before each further redelivery. With a Multiplier above 1 each waits that many times as long as the one before, the
	// second counted from the first. MaximumDelay bounds it; 0 means that nothing does.
	Delay        time.Duration
	Multiplier   float64
	MaximumDelay time.Duration
	// CollisionAvoidance makes a wait longer or shorter by up to this part of it, 0 to 1, so that what failed together does not come back together.
	CollisionAvoidance float64
	// Drop has messages dropped that have used up their redeliveries, and none be dead letters for that.
	Drop bool
}

// wait is the time before the next redelivery of a message that was redelivered so often, in ms. sequence is the message's: chance comes from it, so
// that the same events give the same state.
func (p *RedeliveryPolicy) wait(redeliveries int, sequence uint64) int64 {
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	wait := ms(p.Delay)
	first := wait
	if p.InitialDelay > 0 {
		first = ms(p.InitialDelay)
	}
	switch {
	case redeliveries == 0:
		wait = first
	case p.Multiplier > 1:
		wait = first * math.Pow(p.Multiplier, float64(redeliveries))
	}
	if p.MaximumDelay > 0 {
		wait = min(wait, ms(p.MaximumDelay))
	}
	if p.CollisionAvoidance > 0 {
		wait += wait * p.CollisionAvoidance * spread(sequence+uint64(redeliveries)<<48)
	}
	return int64(min(wait, float64(maxDelay)))
}

// maxDelay bounds every wait, in ms: 100 years, which is for ever and cannot overflow.
const maxDelay = int64(100 * 365 * 24 * time.Hour / time.Millisecond)

// spread gives a number from -1 to 1 that looks like chance (splitmix64).
func spread(x uint64) float64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	x ^= x >> 31
	return float64(x>>11)/(1<<52) - 1
}

// poison handles an entry that its consumer could not process: another try by policy, or a dead letter.
func (b *Broker) poison(e *entry, cause string) {
	d := b.ruling(e)
	if d == nil {
		b.judgeLater(e, func() { b.poison(e, cause) })
		return
	}
	p := &d.policy.Redelivery
	if p.Maximum >= 0 && int(e.redeliveries) >= p.Maximum {
		b.exhausted(e, d, cause)
		return
	}
	wait := p.wait(int(e.redeliveries), e.stored.sequence)
	e.raise()
	if wait < 1 {
		b.giveBack([]*entry{e})
		return
	}
	if e.backlog.id != 0 && e.stored.flags&logged != 0 {
		b.emitRedelivered(e.backlog, []*entry{e})
	}
	e.state = delayed
	b.delay(e, b.now+wait)
}

// redelivered gives a message as its consumer gets it again. Where the broker's policy brings it back, it carries the property redeliveryDelay (ms) as with
// ActiveMQ: without it a client that has given the message up before refuses it unseen, because its own redeliveries are used up.
func (b *Broker) redelivered(e *entry, m *message.Message) *message.Message {
	p := &b.ruler(e.backlog, m).policy.Redelivery
	if p.Maximum == 0 {
		return m
	}
	c := m.Copy()
	c.Properties = m.Properties.Change(nil, message.Property{Name: "redeliveryDelay", Value: p.wait(int(e.redeliveries)-1, e.stored.sequence)})
	return c
}

// redeliveryLimit gives how often an entry may be given back before it is a dead letter (0: any number), and whose rule that is. That is nil where only the body can
// tell; then the limit is the lowest that may hold.
func (b *Broker) redeliveryLimit(e *entry) (limit int, rules *destination) {
	if e.redeliveries < 2 {
		return 0, nil // it is within any limit
	}
	if rules = b.ruling(e); rules != nil {
		return rules.redeliveryLimit(), rules
	}
	for _, d := range e.backlog.sub.topics {
		if n := d.redeliveryLimit(); n > 0 && (limit == 0 || n < limit) {
			limit = n
		}
	}
	return limit, nil
}

func (d *destination) redeliveryLimit() int {
	if d.dlq {
		return 0
	}
	return max(0, d.policy.Redelivery.Maximum)
}

// exhausted ends an entry that has had all its redeliveries by the rules of d.
func (b *Broker) exhausted(e *entry, d *destination, cause string) {
	if d.policy.Redelivery.Drop && !d.dlq {
		b.settle(e)
		return
	}
	b.bury(e, cause)
}
