package broker

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/godwitmq/godwit/message"
)

// InactivePolicy says whether a destination that nobody uses is removed: one without messages, consumers, subscriptions and producers.
type InactivePolicy struct {
	Remove bool
	After  time.Duration // for how long it must have been so
}

// SweepPolicy says how inactive destinations are looked for.
type SweepPolicy struct {
	Every   time.Duration // 0 means 10 s
	Maximum int           // how many are removed at a time; 0 is no bound
}

// use is when a destination was last found to be in use.
type use struct {
	since int64  // ms since 1970: when it was first found inactive; 0: it was not
	count uint64 // what had come to it by then
}

// setSweep says when inactive destinations are looked for next, if any policy wants them to be removed.
func (b *Broker) setSweep() {
	removes := func(p Policy) bool { return p.Inactive.Remove }
	if !removes(b.policies.Default) && !slices.ContainsFunc(b.policies.Destinations, removes) {
		b.sweepAt = 0
		return
	}
	every := b.policies.Sweep.Every
	if every <= 0 {
		every = 10 * time.Second
	}
	b.sweepAt = b.now + max(1, every.Milliseconds())
}

// removeInactive removes the destinations that have been inactive for long enough.
func (b *Broker) removeInactive() {
	b.setSweep()
	used := map[*destination]bool{}
	for _, c := range b.connections {
		for _, x := range c.consumers {
			if x.browsing {
				for _, q := range x.backlogs {
					used[q.destination] = true
				}
			}
		}
	}
	var due []*destination
	for _, d := range b.destinations {
		if b.inactive(d, used[d]) {
			due = append(due, d)
		}
	}
	slices.SortFunc(due, func(x, y *destination) int { return strings.Compare(x.name.String(), y.name.String()) })
	if n := b.policies.Sweep.Maximum; n > 0 && len(due) > n {
		due = due[:n]
	}
	for _, d := range due {
		b.drop(d)
	}
}

// inactive says whether the destination has been inactive for as long as its policy says.
func (b *Broker) inactive(d *destination, used bool) bool {
	count := d.enqueued
	used = used || d.recent != nil && d.recent.kind == RecoverRetained && d.recent.backlog.size > 0
	used = used || d.consumers > 0 || d.producers > 0 || len(d.subscriptions) > 0
	if q := d.queue; q != nil {
		count = q.enqueued
		used = used || q.size > 0 || q.reserved > 0 || len(q.attached) > 0 || q.paused
	}
	p := d.policy.Inactive
	if used || !p.Remove || d.name.Kind.IsTemporary() || strings.HasPrefix(d.name.Name, advisoryPrefix) || slices.Contains(b.policies.Create, d.name) {
		d.use.since = 0
		return false
	}
	if d.use.since == 0 || d.use.count != count {
		d.use = use{since: b.now, count: count}
	}
	return b.now-d.use.since >= p.After.Milliseconds()
}

// admitDestination refuses one more destination than the broker, or the policy that would hold for it, allows.
func (b *Broker) admitDestination(name message.Destination, op string) *Error {
	if len(b.destinations) >= b.opt.MaxDestinations {
		return &Error{Code: Full, Op: op, Detail: fmt.Sprintf("the broker has %d destinations, its limit", len(b.destinations))}
	}
	p := b.policyOf(name)
	if p.MaxDestinations == 0 || strings.HasPrefix(name.Name, advisoryPrefix) {
		return nil
	}
	if n := b.policyCounts[p]; n >= p.MaxDestinations {
		rule := "without a policy of their own"
		if !p.Destination.IsZero() {
			rule = "of the policy " + p.Destination.String()
		}
		return &Error{Code: Full, Op: op, Detail: fmt.Sprintf("there are %d destinations %s, its limit", n, rule)}
	}
	return nil
}

// takePolicy gives a destination the policy that holds for it, with all that this brings about.
func (b *Broker) takePolicy(d *destination) {
	b.uncount(d)
	b.applyPolicy(d)
	if d.policy.MaxDestinations > 0 && !strings.HasPrefix(d.name.Name, advisoryPrefix) {
		d.counted = d.policy
		b.policyCounts[d.policy]++
	}
	b.applyKeep(d)
}

// uncount takes a destination out of those of its policy.
func (b *Broker) uncount(d *destination) {
	if d.counted != nil {
		if b.policyCounts[d.counted]--; b.policyCounts[d.counted] == 0 {
			delete(b.policyCounts, d.counted)
		}
		d.counted = nil
	}
}

// createListed makes the destinations that the configuration names.
func (b *Broker) createListed() (err *Error) {
	for _, name := range b.policies.Create {
		if _, e := b.lookup(name, "create "+name.String(), true, ""); e != nil && err == nil {
			err = e
		}
	}
	return err
}
