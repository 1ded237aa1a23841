package metrics

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/message"
)

// DefaultBudget is how many series there are at most: what monitors of JMX take of one broker without being asked.
const DefaultBudget = 350

// ownSeries are those that tell of the budget itself. They are among the fixed ones.
const ownSeries = 3

// Budget says how many series there may be, and what they are spent on.
type Budget struct {
	// Series is how many there are at most, in all. 0 means DefaultBudget.
	Series int
	// Each are the metrics that a destination has, as EachOf lists them. None: there are no series of destinations.
	Each []string
	// Always are the destinations that have series of their own before all others; names may be patterns.
	Always []message.Destination
}

// slots is how many destinations have series of their own; the series of other are paid for.
func (b Budget) slots() int {
	if len(b.Each) == 0 {
		return 0
	}
	return max(0, (cmp.Or(b.Series, DefaultBudget)-FixedSeries)/len(b.Each)-1)
}

// Fixed begins an answer: what does not depend on the destinations goes into it first.
func (b Budget) Fixed() *Exposition {
	return &Exposition{Limit: FixedSeries - ownSeries}
}

// Close ends an answer with the series of the destinations, and those that tell of the budget. l is nil while the broker cannot be asked.
func (b Budget) Close(e *Exposition, l *Look) {
	total := cmp.Or(b.Series, DefaultBudget)
	fixed := e.Dropped()
	without := 0
	if l != nil {
		without = l.Rest
	}
	e.Limit = total
	e.One("godwit_metrics_budget", Gauge, "Series that there are at most (metrics.budget).", float64(total))
	e.One("godwit_metrics_dropped_series", Gauge, "Series that this answer has no room for: those of destinations that are summed up as other, and what is beyond the fixed 120.", float64(fixed+without*len(b.Each)))
	e.One("godwit_destinations_without_series", Gauge, "Destinations, temporary ones apart, that have no series of their own since others are fuller and busier; they are summed up as other.", float64(without))
	if l == nil {
		return
	}
	for _, m := range each {
		if !slices.Contains(b.Each, m.word) {
			continue
		}
		e.Family("godwit_destination_"+m.name, m.kind, m.help)
		for _, d := range l.Shown {
			e.Sample(m.value(d), "kind", d.Kind, "name", d.Name)
		}
		if total >= FixedSeries+len(b.Each) {
			e.Sample(m.value(&l.Other), "kind", "other", "name", "other")
		}
	}
}

// each are the metrics that a destination may have. word is the name for people, name what stands behind godwit_destination_.
var each = []struct {
	word, name string
	kind       Kind
	help       string
	value      func(*broker.DestinationView) float64
}{
	{"messages", "messages", Gauge, "Messages that wait at the destination or are at its consumers.", func(d *broker.DestinationView) float64 { return float64(d.Size) }},
	{"inFlight", "in_flight", Gauge, "Messages at consumers, not acknowledged.", func(d *broker.DestinationView) float64 { return float64(d.InFlight) }},
	{"bytes", "bytes", Gauge, "Bytes of the destination's messages.", func(d *broker.DestinationView) float64 { return float64(d.Bytes) }},
	{"consumers", "consumers", Gauge, "Consumers.", func(d *broker.DestinationView) float64 { return float64(d.Consumers) }},
	{"producers", "producers", Gauge, "Producers.", func(d *broker.DestinationView) float64 { return float64(d.Producers) }},
	{"sendsWaiting", "sends_waiting", Gauge, "Messages that wait for room at the destination.", func(d *broker.DestinationView) float64 { return float64(d.SendsWaiting) }},
	{"enqueued", "enqueued_total", Counter, "Messages taken in.", func(d *broker.DestinationView) float64 { return float64(d.Enqueued) }},
	{"dequeued", "dequeued_total", Counter, "Messages settled.", func(d *broker.DestinationView) float64 { return float64(d.Dequeued) }},
	{"dispatched", "dispatched_total", Counter, "Deliveries to consumers.", func(d *broker.DestinationView) float64 { return float64(d.Dispatched) }},
	{"expired", "expired_total", Counter, "Messages expired.", func(d *broker.DestinationView) float64 { return float64(d.Expired) }},
	{"dead", "dead_total", Counter, "Messages that became dead letters.", func(d *broker.DestinationView) float64 { return float64(d.DeadLetters) }},
}

// EachOf are the metrics that a destination may have.
func EachOf() []string {
	words := make([]string, len(each))
	for i, m := range each {
		words[i] = m.word
	}
	return words
}

// ParseAlways reads the names or patterns of destinations: queue://ORDERS.>
func ParseAlways(texts []string) ([]message.Destination, error) {
	var all []message.Destination
	for _, text := range texts {
		d, err := message.ParseDestination(text, message.NoDestination)
		if err != nil {
			return nil, fmt.Errorf("%q names no destinations; expected for example queue://ORDERS.>: %w", text, err)
		}
		all = append(all, d)
	}
	return all, nil
}

// halfLife is the time after which what came to a destination makes it half as busy.
const halfLife = 10 * time.Minute

// chooser chooses the destinations that have series of their own. Who is shown goes on being shown until somebody else is twice as full and busy, so that
// destinations which are alike do not take turns, each leaving a gap in its graph.
type chooser struct {
	shown  map[key]bool
	busy   map[key]float64
	others counts
}

func (c *chooser) choose(l *Look, budget Budget, came map[key]counts, passed time.Duration) {
	type candidate struct {
		*broker.DestinationView
		always bool
		score  float64
	}
	fade := math.Exp2(-passed.Hours() / halfLife.Hours())
	busy := make(map[key]float64, len(came))
	candidates := make([]candidate, 0, len(came))
	for i := range l.view.Destinations {
		d := &l.view.Destinations[i]
		k := keyOf(d)
		busy[k] = c.busy[k]*fade + float64(came[k].enqueued+came[k].dequeued)
		if strings.HasPrefix(d.Kind, "temp-") {
			continue
		}
		score := float64(d.Size) + busy[k]
		if c.shown[k] {
			score *= 2
		}
		candidates = append(candidates, candidate{d, budget.pinned(d), score})
	}
	rank := func(is bool) int {
		if is {
			return 0
		}
		return 1
	}
	slices.SortFunc(candidates, func(x, y candidate) int {
		return cmp.Or(cmp.Compare(rank(x.always), rank(y.always)), cmp.Compare(y.score, x.score), cmp.Compare(rank(c.shown[keyOf(x.DestinationView)]), rank(c.shown[keyOf(y.DestinationView)])),
			cmp.Compare(x.Kind, y.Kind), cmp.Compare(x.Name, y.Name))
	})
	shown := make(map[key]bool, budget.slots())
	for _, x := range candidates[:min(len(candidates), budget.slots())] {
		shown[keyOf(x.DestinationView)] = true
	}
	l.Rest = len(candidates) - len(shown)
	l.Other.Kind, l.Other.Name = "other", "other"
	for i := range l.view.Destinations { // in the order of names
		d := &l.view.Destinations[i]
		k := keyOf(d)
		if shown[k] {
			l.Shown = append(l.Shown, d)
		} else {
			sum(&l.Other, d)
		}
		// What came to a destination that is shown from now on is not in the growth of its own series, of one that was shown until now neither.
		if !shown[k] || !c.shown[k] && c.busy != nil {
			c.others.add(came[k])
		}
	}
	l.Other.Enqueued, l.Other.Dequeued, l.Other.Dispatched = c.others.enqueued, c.others.dequeued, c.others.dispatched
	l.Other.Expired, l.Other.DeadLetters = c.others.expired, c.others.deadLetters
	c.shown, c.busy = shown, busy
}

// sum adds what is now.
func sum(to *broker.DestinationView, d *broker.DestinationView) {
	to.Size += d.Size
	to.InFlight += d.InFlight
	to.Bytes += d.Bytes
	to.Consumers += d.Consumers
	to.Producers += d.Producers
	to.SendsWaiting += d.SendsWaiting
}

// pinned says whether a destination has series of its own before others.
func (b Budget) pinned(d *broker.DestinationView) bool {
	return slices.ContainsFunc(b.Always, func(a message.Destination) bool {
		return a.Kind.String() == d.Kind && message.MatchName(a.Name, d.Name)
	})
}
