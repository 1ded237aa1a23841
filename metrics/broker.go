package metrics

import (
	"slices"
	"sync"
	"time"

	"github.com/godwitmq/godwit/broker"
)

// Broker makes metrics of the core's views. It remembers what it saw, so that the broker's totals go on growing when a destination,
// which takes its counters along, is removed, or when the core is another: after a failover back, or a recovery. What came and went between two looks is not in the totals.
type Broker struct {
	mu     sync.Mutex
	choice chooser
	term   any
	at     time.Time
	last   map[key]counts
	totals counts
}

// key names a destination.
type key struct{ kind, name string }

func keyOf(d *broker.DestinationView) key { return key{d.Kind, d.Name} }

// counts are a destination's counters.
type counts struct{ enqueued, dequeued, dispatched, expired, deadLetters uint64 }

func countsOf(d *broker.DestinationView) counts {
	return counts{d.Enqueued, d.Dequeued, d.Dispatched, d.Expired, d.DeadLetters}
}

// since is what has come since an earlier view. A counter that is smaller than then was begun anew.
func (c counts) since(last counts) counts {
	grown := func(now, last uint64) uint64 {
		if now < last {
			return now
		}
		return now - last
	}
	return counts{grown(c.enqueued, last.enqueued), grown(c.dequeued, last.dequeued), grown(c.dispatched, last.dispatched), grown(c.expired, last.expired), grown(c.deadLetters, last.deadLetters)}
}

func (c *counts) add(more counts) {
	c.enqueued += more.enqueued
	c.dequeued += more.dequeued
	c.dispatched += more.dispatched
	c.expired += more.expired
	c.deadLetters += more.deadLetters
}

// Look is what a view says within a budget.
type Look struct {
	view   *broker.View
	totals counts
	// Shown are the destinations that have series of their own: what is pinned, then the fullest and busiest. Temporary ones are never among them: their names never come again.
	Shown []*broker.DestinationView
	// Other is the sum of all the rest, temporary destinations included. Its counters grow by what comes to those that are not shown.
	Other broker.DestinationView
	// Rest is how many destinations, temporary ones apart, have no series of their own.
	Rest int
}

// Look takes a view in. term stands for the core that it is of: with another one, all counters begin anew. It is comparable.
func (b *Broker) Look(v *broker.View, budget Budget, term any, now time.Time) *Look {
	b.mu.Lock()
	defer b.mu.Unlock()
	if term != b.term {
		b.term, b.last = term, nil
	}
	came := make(map[key]counts, len(v.Destinations))
	seen := make(map[key]counts, len(v.Destinations))
	for i := range v.Destinations {
		d := &v.Destinations[i]
		now := countsOf(d)
		more := now.since(b.last[keyOf(d)])
		b.totals.add(more)
		seen[keyOf(d)], came[keyOf(d)] = now, more
	}
	b.last = seen
	l := &Look{view: v, totals: b.totals}
	b.choice.choose(l, budget, came, now.Sub(b.at))
	b.at = now
	return l
}

// Write adds the metrics of the broker as a whole.
func (l *Look) Write(e *Exposition) {
	writeNow(e, l.view)
	for _, t := range []struct {
		name, help string
		value      uint64
	}{
		{"godwit_messages_enqueued_total", "Messages taken in, one for each destination.", l.totals.enqueued},
		{"godwit_messages_dequeued_total", "Messages acknowledged or otherwise settled.", l.totals.dequeued},
		{"godwit_messages_dispatched_total", "Deliveries to consumers.", l.totals.dispatched},
		{"godwit_messages_expired_total", "Messages whose time was over before they were consumed.", l.totals.expired},
		{"godwit_messages_dead_total", "Messages moved to the dead-letter queue or dropped in its stead.", l.totals.deadLetters},
	} {
		e.One(t.name, Counter, t.help, float64(t.value))
	}
	e.One("godwit_sends_refused_total", Counter, "Messages refused for want of room at their destination, in the journal or in memory.", float64(l.view.SendsRefused))
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// writeNow adds what is now.
func writeNow(e *Exposition, v *broker.View) {
	kinds := map[string]int{"queue": 0, "topic": 0, "temp-queue": 0, "temp-topic": 0}
	protocols := map[string]int{"openwire": 0, "stomp": 0, "http": 0}
	var messages, inFlight, bytes int64
	producers := 0
	for i := range v.Destinations {
		d := &v.Destinations[i]
		kinds[d.Kind]++
		messages, inFlight, bytes = messages+d.Size, inFlight+d.InFlight, bytes+d.Bytes
	}
	transactions := 0
	for i := range v.Connections {
		c := &v.Connections[i]
		protocols[c.Protocol]++
		producers += c.Producers
		transactions += c.Transactions
	}
	inactive := 0
	for _, s := range v.Subscriptions {
		if !s.Active {
			inactive++
		}
	}
	byLabel(e, "godwit_destinations", "Destinations by kind.", "kind", kinds)
	byLabel(e, "godwit_connections", "Connections by protocol.", "protocol", protocols)
	for _, g := range []struct {
		name, help string
		value      float64
	}{
		{"godwit_consumers", "Consumers.", float64(len(v.Consumers))},
		{"godwit_producers", "Producers.", float64(producers)},
		{"godwit_transactions", "Open transactions.", float64(transactions)},
		{"godwit_transactions_prepared", "Prepared transactions, which wait for their transaction managers.", float64(v.Prepared)},
		{"godwit_transactions_prepared_since", "When the first of them was prepared, seconds since 1970; 0 if there is none.", float64(v.PreparedSince) / 1000},
		{"godwit_durable_subscriptions", "Durable subscriptions.", float64(len(v.Subscriptions))},
		{"godwit_durable_subscriptions_inactive", "Durable subscriptions without a consumer.", float64(inactive)},
		{"godwit_messages", "Messages that wait or are at consumers.", float64(messages)},
		{"godwit_messages_in_flight", "Messages at consumers, not acknowledged.", float64(inFlight)},
		{"godwit_message_bytes", "Bytes of the messages that wait or are at consumers.", float64(bytes)},
		{"godwit_cached_bytes", "Bytes of waiting messages that are held in memory.", float64(v.CachedBytes)},
		{"godwit_sends_waiting", "Messages that wait for room at their destination, in the journal or in memory.", float64(v.SendsWaiting)},
		{"godwit_memory_short", "1 while nothing is taken in because the process has used its memory.", truth(v.MemoryShort)},
		{"godwit_journal_bytes", "Bytes between the journal's head and tail.", float64(v.LogBytes)},
		{"godwit_journal_live_bytes", "Bytes of the journal that are still needed.", float64(v.LiveBytes)},
	} {
		e.One(g.name, Gauge, g.help, g.value)
	}
}

func byLabel(e *Exposition, name, help, label string, values map[string]int) {
	e.Family(name, Gauge, help)
	keys := make([]string, 0, len(values))
	for k := range values {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		e.Sample(float64(values[k]), label, k)
	}
}

// Totals are the messages taken in and settled since the start.
func (l *Look) Totals() (enqueued, dequeued uint64) { return l.totals.enqueued, l.totals.dequeued }
