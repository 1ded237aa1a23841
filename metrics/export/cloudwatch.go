package export

import (
	"strings"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/metrics"
)

// Facts are what Amazon MQ's metrics tell that no view of the core has.
type Facts struct {
	Established             int64 // connections, since the start
	StoreUsed, StoreLimit   int64 // bytes; no limit is 0
	MemoryUsed, MemoryLimit int64
}

// Unit is what CloudWatch calls a metric's unit.
func Unit(name string) string {
	switch {
	case strings.HasSuffix(name, "PercentUsage"), strings.HasSuffix(name, "Usage"):
		return "Percent"
	case strings.HasSuffix(name, "Count"), name == "QueueSize":
		return "Count"
	}
	return "None"
}

// Amazon makes metrics with Amazon MQ's names. Counts of destinations are of the time since the call before; it keeps what they were.
type Amazon struct {
	term any
	last map[[2]string]broker.DestinationView
}

func percent(used, limit int64) float64 {
	if limit <= 0 {
		return 0
	}
	return float64(used) / float64(limit) * 100
}

// Families are the metrics, budget series at most; dropped is how many there was no room for. v and look are nil on a node without a core.
func (a *Amazon) Families(v *broker.View, look *metrics.Look, f Facts, term any, budget int) (families []metrics.Family, dropped int) {
	e := &metrics.Exposition{Limit: budget}
	one := func(name string, value float64) { e.One(name, metrics.Gauge, "", value) }
	one("HeapUsage", percent(f.MemoryUsed, f.MemoryLimit))
	if v == nil {
		a.last = nil
		return e.Families(), 0
	}
	one("StorePercentUsage", percent(f.StoreUsed, f.StoreLimit))
	one("TempPercentUsage", percent(f.StoreUsed, f.StoreLimit)) // one journal has all
	one("JobSchedulerStorePercentUsage", percent(f.StoreUsed, f.StoreLimit))
	one("CurrentConnectionsCount", float64(len(v.Connections)))
	one("EstablishedConnectionsCount", float64(f.Established))
	one("TotalConsumerCount", float64(len(v.Consumers)))
	producers, transactions, inactive, messages := 0, 0, 0, int64(0)
	for i := range v.Connections {
		producers, transactions = producers+v.Connections[i].Producers, transactions+v.Connections[i].Transactions
	}
	for i := range v.Subscriptions {
		if s := &v.Subscriptions[i]; s.Durable && !s.Active {
			inactive++
		}
	}
	for i := range v.Destinations {
		messages += v.Destinations[i].Size
	}
	one("TotalProducerCount", float64(producers))
	one("OpenTransactionCount", float64(transactions))
	one("InactiveDurableTopicSubscribersCount", float64(inactive))
	one("TotalMessageCount", float64(messages))
	enqueued, dequeued := look.Totals()
	one("TotalEnqueueCount", float64(enqueued))
	one("TotalDequeueCount", float64(dequeued))

	if term != a.term {
		a.term, a.last = term, nil
	}
	now := make(map[[2]string]broker.DestinationView, len(v.Destinations)+1)
	for i := range v.Destinations {
		d := &v.Destinations[i]
		now[[2]string{d.Kind, d.Name}] = *d
	}
	now[[2]string{"other", "other"}] = look.Other
	shown := append([]*broker.DestinationView{&look.Other}, look.Shown...)
	if room := max(0, (budget-e.Series())/len(each)); len(shown) > room {
		dropped = (len(shown) - room) * len(each)
		shown = shown[:room]
	}
	for _, m := range each {
		e.Family(m.name, metrics.Gauge, "")
		for _, d := range shown {
			last, known := a.last[[2]string{d.Kind, d.Name}]
			if m.counted && a.last == nil {
				continue // since when is not known
			}
			if !known || m.value(&last) > m.value(d) {
				last = broker.DestinationView{} // it was made since
			}
			value := m.value(d)
			if m.counted {
				value -= m.value(&last)
			}
			dimension := "Queue"
			if d.Kind == "topic" {
				dimension = "Topic"
			}
			e.Sample(value, dimension, d.Name)
		}
	}
	a.last = now
	return e.Families(), dropped
}

// each are Amazon MQ's metrics of a queue or topic.
var each = []struct {
	name    string
	counted bool // since the call before
	value   func(*broker.DestinationView) float64
}{
	{"QueueSize", false, func(d *broker.DestinationView) float64 { return float64(d.Size) }},
	{"InFlightCount", false, func(d *broker.DestinationView) float64 { return float64(d.InFlight) }},
	{"ConsumerCount", false, func(d *broker.DestinationView) float64 { return float64(d.Consumers) }},
	{"ProducerCount", false, func(d *broker.DestinationView) float64 { return float64(d.Producers) }},
	{"MemoryUsage", false, func(d *broker.DestinationView) float64 { return percent(d.Bytes, d.Limit) }},
	{"EnqueueCount", true, func(d *broker.DestinationView) float64 { return float64(d.Enqueued) }},
	{"DequeueCount", true, func(d *broker.DestinationView) float64 { return float64(d.Dequeued) }},
	{"DispatchCount", true, func(d *broker.DestinationView) float64 { return float64(d.Dispatched) }},
	{"ExpiredCount", true, func(d *broker.DestinationView) float64 { return float64(d.Expired) }},
}
