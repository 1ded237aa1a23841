package metrics

import (
	"cmp"
	"slices"
	"strings"
	"sync"

	"github.com/godwitmq/godwit/broker"
)

// DefaultTop is how many destinations have series of their own.
const DefaultTop = 50

// Broker makes metrics of the core's views. It remembers what it saw, so that the broker's totals go on growing when a destination,
// which takes its counters along, is removed. What came and went between two scrapes is not in the totals.
type Broker struct {
	// Top is how many destinations have series of their own: the fullest, then the busiest. 0 means DefaultTop.
	Top int

	mu     sync.Mutex
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

// grow adds what has come to a counter since the last view; one that is smaller was begun anew.
func grow(total *uint64, last, now uint64) {
	if now < last {
		last = 0
	}
	*total += now - last
}

func (b *Broker) count(v *broker.View) counts {
	seen := make(map[key]counts, len(v.Destinations))
	for i := range v.Destinations {
		d := &v.Destinations[i]
		now, last := countsOf(d), b.last[keyOf(d)]
		grow(&b.totals.enqueued, last.enqueued, now.enqueued)
		grow(&b.totals.dequeued, last.dequeued, now.dequeued)
		grow(&b.totals.dispatched, last.dispatched, now.dispatched)
		grow(&b.totals.expired, last.expired, now.expired)
		grow(&b.totals.deadLetters, last.deadLetters, now.deadLetters)
		seen[keyOf(d)] = now
	}
	b.last = seen
	return b.totals
}

// Write adds the metrics of a view.
func (b *Broker) Write(e *Exposition, v *broker.View) {
	b.mu.Lock()
	totals := b.count(v)
	b.mu.Unlock()
	writeNow(e, v)
	for _, t := range []struct {
		name, help string
		value      uint64
	}{
		{"godwit_messages_enqueued_total", "Messages taken in, one for each destination.", totals.enqueued},
		{"godwit_messages_dequeued_total", "Messages acknowledged or otherwise settled.", totals.dequeued},
		{"godwit_messages_dispatched_total", "Deliveries to consumers.", totals.dispatched},
		{"godwit_messages_expired_total", "Messages whose time was over before they were consumed.", totals.expired},
		{"godwit_messages_dead_total", "Messages moved to the dead-letter queue or dropped in its stead.", totals.deadLetters},
	} {
		e.One(t.name, Counter, t.help, float64(t.value))
	}
	e.One("godwit_sends_refused_total", Counter, "Messages refused for want of room at their destination, in the journal or in memory.", float64(v.SendsRefused))
	b.writeTop(e, v)
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

// writeTop adds the series of the fullest and busiest destinations. Temporary ones have none: their names never come again.
func (b *Broker) writeTop(e *Exposition, v *broker.View) {
	top := make([]*broker.DestinationView, 0, len(v.Destinations))
	for i := range v.Destinations {
		if d := &v.Destinations[i]; !strings.HasPrefix(d.Kind, "temp-") {
			top = append(top, d)
		}
	}
	slices.SortFunc(top, func(x, y *broker.DestinationView) int {
		return cmp.Or(cmp.Compare(y.Size, x.Size), cmp.Compare(y.Enqueued, x.Enqueued), cmp.Compare(x.Kind, y.Kind), cmp.Compare(x.Name, y.Name))
	})
	most := cmp.Or(b.Top, DefaultTop)
	e.One("godwit_destinations_without_series", Gauge, "Destinations, temporary ones apart, that have no series of their own since others are fuller and busier.", float64(max(0, len(top)-most)))
	top = top[:min(len(top), most)]
	for _, m := range []struct {
		name  string
		kind  Kind
		help  string
		value func(*broker.DestinationView) float64
	}{
		{"godwit_destination_messages", Gauge, "Messages that wait at the destination or are at its consumers.", func(d *broker.DestinationView) float64 { return float64(d.Size) }},
		{"godwit_destination_in_flight", Gauge, "Messages at consumers, not acknowledged.", func(d *broker.DestinationView) float64 { return float64(d.InFlight) }},
		{"godwit_destination_bytes", Gauge, "Bytes of the destination's messages.", func(d *broker.DestinationView) float64 { return float64(d.Bytes) }},
		{"godwit_destination_consumers", Gauge, "Consumers.", func(d *broker.DestinationView) float64 { return float64(d.Consumers) }},
		{"godwit_destination_sends_waiting", Gauge, "Messages that wait for room at the destination.", func(d *broker.DestinationView) float64 { return float64(d.SendsWaiting) }},
		{"godwit_destination_producers", Gauge, "Producers.", func(d *broker.DestinationView) float64 { return float64(d.Producers) }},
		{"godwit_destination_enqueued_total", Counter, "Messages taken in.", func(d *broker.DestinationView) float64 { return float64(d.Enqueued) }},
		{"godwit_destination_dequeued_total", Counter, "Messages settled.", func(d *broker.DestinationView) float64 { return float64(d.Dequeued) }},
		{"godwit_destination_dispatched_total", Counter, "Deliveries to consumers.", func(d *broker.DestinationView) float64 { return float64(d.Dispatched) }},
		{"godwit_destination_expired_total", Counter, "Messages expired.", func(d *broker.DestinationView) float64 { return float64(d.Expired) }},
		{"godwit_destination_dead_total", Counter, "Messages that became dead letters.", func(d *broker.DestinationView) float64 { return float64(d.DeadLetters) }},
	} {
		if len(top) == 0 {
			break
		}
		e.Family(m.name, m.kind, m.help)
		for _, d := range top {
			e.Sample(m.value(d), "kind", d.Kind, "name", d.Name)
		}
	}
}
