package sim

import (
	"slices"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/message"
)

// The queues with rules of their own: one keeps the newest message of each n, one the newest four, two get copies of a virtual topic.
const (
	lastValues   = "queue://k.last"
	ring         = "queue://k.ring"
	ringSize     = 4
	virtualTopic = "topic://VirtualTopic.v"
)

var copies = []string{"queue://Consumer.a.VirtualTopic.v", "queue://Consumer.b.VirtualTopic.v"}

func named(text string) message.Destination {
	d, err := message.ParseDestination(text, message.NoDestination)
	if err != nil {
		panic(err)
	}
	return d
}

// rules are the policies of those queues.
func rules(all broker.Policy) []broker.Policy {
	last, few := all, all
	last.Destination, last.Keep = named(lastValues), broker.KeepPolicy{LastValueKey: "n"}
	few.Destination, few.Keep = named(ring), broker.KeepPolicy{Ring: ringSize}
	last.Limit, few.Limit = broker.LimitPolicy{Wait: all.Limit.Wait}, broker.LimitPolicy{Wait: all.Limit.Wait} // they are never full
	return []broker.Policy{last, few}
}

// special is one of the queues that a client may consume, purge and remove.
func (w *world) special() message.Destination {
	return named(append([]string{lastValues, lastValues, ring}, copies...)[w.rnd.IntN(5)])
}

// learnQueues notes which queues of the virtual topic are there: they come by a subscription.
func (w *world) learnQueues(ev broker.Event, effects []broker.Effect) {
	switch ev := ev.(type) {
	case *broker.Subscribe:
		if name := ev.Destination.String(); slices.Contains(copies, name) && answered(effects, ev.Ref) {
			w.queues[name] = true
		}
	case *broker.RemoveDestination:
		if answered(effects, ev.Ref) {
			delete(w.queues, ev.Destination.String())
		}
	}
}

// copiesOf finds the queues that get a copy of a message to a topic.
func (w *world) copiesOf(part message.Destination) (to []target) {
	if part.String() != virtualTopic {
		return nil
	}
	for _, name := range copies {
		if w.queues[name] {
			to = append(to, target{backlog: name, generation: w.generations[name]})
		}
	}
	return to
}

// keepNewest leaves of a step's arrivals those that a last-value queue keeps.
func (w *world) keepNewest(d *due) {
	clear(w.fresh)
	for _, a := range d.arrivals {
		if a.backlog == lastValues {
			w.fresh[a.msg.n] = a.msg
			for k, p := range w.places { // all of which it replaces, though it may be too late to be seen itself
				if k.backlog == lastValues && p.msg.n == a.msg.n {
					w.newest[a.msg.n] = max(w.newest[a.msg.n], k.sequence+1)
				}
			}
		}
	}
	d.arrivals = slices.DeleteFunc(d.arrivals, func(a arrival) bool {
		replaced := a.backlog == lastValues && w.fresh[a.msg.n] != a.msg
		if replaced {
			d.replaced = append(d.replaced, a.msg)
		}
		return replaced
	})
}

// letGo says whether a queue that does not keep all was right to settle a message.
func (w *world) letGo(p *place, now map[key]*place) bool {
	switch p.Backlog {
	case lastValues:
		return w.fresh[p.msg.n] != nil || p.Sequence < w.newest[p.msg.n]
	case ring:
		waiting := 0
		for _, x := range now {
			if x.Backlog != ring || !x.Ready {
				continue
			}
			if waiting++; x.Sequence < p.Sequence {
				return false
			}
		}
		return waiting == ringSize
	}
	return false
}

// checkKept looks that a queue has no more than it keeps.
func (w *world) checkKept(now map[key]*place) {
	waiting := 0
	last := map[int]key{}
	for _, k := range sorted(now) {
		p := now[k]
		if !p.Ready {
			continue
		}
		switch p.Backlog {
		case ring:
			if waiting++; waiting > ringSize {
				w.fail("more than %d messages wait in %s", ringSize, ring)
			}
		case lastValues:
			if other, known := last[p.msg.n]; known {
				w.fail("messages %d and %d of %s have the same key and wait", other.sequence, k.sequence, lastValues)
			}
			last[p.msg.n] = k
		}
	}
}

// noteNewest notes which message is the newest of each key.
func (w *world) noteNewest(now map[key]*place) {
	for k, p := range now {
		if k.backlog == lastValues {
			w.newest[p.msg.n] = max(w.newest[p.msg.n], k.sequence)
		}
	}
}

// judgeAddress checks whom a copy of a virtual topic's message is addressed to.
func (w *world) judgeAddress(p *place, m *message.Message) {
	if !slices.Contains(copies, p.Backlog) {
		return
	}
	if m.Destination.String() != p.Backlog || m.Original.String() != virtualTopic {
		w.fail("a copy of %s in %s is addressed to %s, sent to %s", p.msg.id, p.Backlog, m.Destination, m.Original)
	}
	w.result.Copied++
}
