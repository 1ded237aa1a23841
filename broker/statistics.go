package broker

import (
	"slices"
	"strconv"
	"strings"

	"github.com/godwitmq/godwit/message"
)

// A message that is sent to one of these with a JMSReplyTo is a question, as ActiveMQ's statistics plugin takes them; map messages answer it.
const (
	statisticsPrefix       = "ActiveMQ.Statistics."
	statisticsBroker       = "ActiveMQ.Statistics.Broker"
	statisticsDestination  = "ActiveMQ.Statistics.Destination" // and a name or pattern, with or without a dot before it
	statisticsSubscription = "ActiveMQ.Statistics.Subscription"
)

// Properties of questions; only whether they are there counts.
const (
	statisticsReset   = "ActiveMQ.Statistics.Broker.Reset"                                // counting begins anew before the answer
	statisticsEnd     = "ActiveMQ.Statistics.Destination.List.End.With.Null"              // an empty map after the last
	statisticsOldest  = "ActiveMQ.Statistics.Destination.Include.First.Message.Timestamp" // firstMessageTimestamp
	maxStatistics     = 10_000                                                            // answers to one question
	statisticsJMSType = "Advisory"
)

// waits is how long messages have waited before they were dispatched, in ms.
type waits struct {
	count      int64
	total      int64
	least, max int64
}

func (w *waits) add(ms int64) {
	ms = max(ms, 0)
	if w.count == 0 || ms < w.least {
		w.least = ms
	}
	w.max = max(w.max, ms)
	w.count++
	w.total += ms
}

func (w *waits) plus(x *waits) {
	if x.count == 0 {
		return
	}
	if w.count == 0 || x.least < w.least {
		w.least = x.least
	}
	w.max = max(w.max, x.max)
	w.count += x.count
	w.total += x.total
}

// IsQuestion says whether messages to a destination may be questions that the broker answers, to where they want it.
func IsQuestion(d message.Destination) bool { return strings.HasPrefix(d.Name, statisticsPrefix) }

// asksStatistics says whether a message is a question that is answered and not kept.
func (b *Broker) asksStatistics(m *message.Message) bool {
	name := m.Destination.Name
	return strings.HasPrefix(name, statisticsPrefix) && !b.policies.NoStatistics &&
		(strings.HasPrefix(name, statisticsBroker) || strings.HasPrefix(name, statisticsDestination) || strings.HasPrefix(name, statisticsSubscription))
}

// answerStatistics answers a question. What asks for an answer at a place that is not there gets none.
func (b *Broker) answerStatistics(m *message.Message) {
	to := b.destinations[m.ReplyTo]
	if to == nil || to.wild {
		return
	}
	name := m.Destination.Name
	switch {
	case strings.HasPrefix(name, statisticsBroker):
		if _, ok := m.Properties.Get(statisticsReset); ok {
			b.resetCounters()
		}
		b.replyStatistics(m, to, b.brokerStatistics())
	case strings.HasPrefix(name, statisticsDestination):
		b.answerDestinations(m, to, strings.TrimPrefix(strings.TrimPrefix(name, statisticsDestination), "."))
	default:
		b.answerSubscriptions(m, to)
	}
}

func (b *Broker) answerDestinations(m *message.Message, to *destination, name string) {
	asked := message.Destination{Kind: m.Destination.Kind, Name: name}
	var found []*destination
	if d := b.destinations[asked]; d != nil {
		found = append(found, d)
	} else if asked.IsPattern() {
		for n, d := range b.destinations {
			if n.Kind == asked.Kind && message.MatchName(name, n.Name) && !d.wild && !isAdvisory(n) {
				found = append(found, d)
			}
		}
		slices.SortFunc(found, func(x, y *destination) int { return strings.Compare(x.name.Name, y.name.Name) })
	}
	_, oldest := m.Properties.Get(statisticsOldest)
	for _, d := range found[:min(len(found), maxStatistics)] {
		b.replyStatistics(m, to, b.destinationStatistics(d, oldest))
	}
	if _, ok := m.Properties.Get(statisticsEnd); ok {
		b.replyStatistics(m, to, nil)
	}
}

func (b *Broker) answerSubscriptions(m *message.Message, to *destination) {
	n := 0
	for _, id := range sortedKeys(b.connections) {
		c := b.connections[id]
		for _, id := range sortedKeys(c.consumers) {
			if x := c.consumers[id]; x.parts[0] != m.ReplyTo && n < maxStatistics {
				n++
				b.replyStatistics(m, to, b.consumerStatistics(x))
			}
		}
	}
}

// replyStatistics sends one answer.
func (b *Broker) replyStatistics(asked *message.Message, to *destination, values []property) {
	var body message.PropertiesBuilder
	for _, v := range values {
		_ = body.Set(v.name, v.value) // names are short, and the types are those of maps
	}
	m := &message.Message{ID: b.newID(), Destination: to.name, CorrelationID: asked.CorrelationID, JMSType: statisticsJMSType, Timestamp: b.now, Received: b.now,
		Priority: message.DefaultPriority, Type: message.Map, Encoding: message.OpenWire, Content: body.Properties()}
	b.put(m, to.targets(nil, m, nil), false)
}

// figures are what ActiveMQ tells of a destination, and of the sum of all.
type figures struct {
	size, inFlight, bytes, consumers, producers int64
	counters                                    counters
}

func (f *figures) add(d *destination) {
	c := &d.counters
	if q := d.queue; q != nil {
		c = &q.counters
		f.size += int64(q.size)
		f.inFlight += int64(q.inFlight)
		f.bytes += q.bytes
	}
	for _, s := range d.subscriptions {
		f.size += int64(s.backlog.size)
		f.inFlight += int64(s.backlog.inFlight)
		f.bytes += s.backlog.bytes
	}
	f.consumers += int64(d.consumers)
	f.producers += int64(d.producers)
	f.counters.enqueued += c.enqueued
	f.counters.dequeued += c.dequeued
	f.counters.dispatchedTotal += c.dispatchedTotal
	f.counters.expired += c.expired
	f.counters.waits.plus(&c.waits)
}

// properties are the keys that both kinds of answers have. limit is of the memory, bytes.
func (b *Broker) properties(f *figures, limit int64) []property {
	average := 0.0
	if f.counters.waits.count > 0 {
		average = float64(f.counters.waits.total) / float64(f.counters.waits.count)
	}
	size := int64(0)
	if f.size > 0 {
		size = f.bytes / f.size
	}
	return []property{
		{"brokerId", b.opt.ID}, {"brokerName", b.opt.Name}, {"size", f.size}, {"enqueueCount", int64(f.counters.enqueued)}, {"dequeueCount", int64(f.counters.dequeued)},
		{"dispatchCount", int64(f.counters.dispatchedTotal)}, {"expiredCount", int64(f.counters.expired)}, {"inflightCount", f.inFlight}, {"messagesCached", int64(0)},
		{"averageMessageSize", size}, {"memoryLimit", limit}, {"memoryUsage", min(f.bytes, limit)}, {"memoryPercentUsage", percent(min(f.bytes, limit), limit)},
		{"averageEnqueueTime", average}, {"maxEnqueueTime", float64(f.counters.waits.max)}, {"minEnqueueTime", float64(f.counters.waits.least)},
		{"consumerCount", f.consumers}, {"producerCount", f.producers},
	}
}

func percent(part, whole int64) int32 {
	if whole <= 0 {
		return 0
	}
	return int32(min(part*100/whole, 1<<31-1))
}

func (b *Broker) destinationStatistics(d *destination, oldest bool) []property {
	var f figures
	f.add(d)
	all := append(b.properties(&f, b.opt.MemoryBytes+b.opt.CacheBytes), property{"destinationName", d.name.String()})
	if oldest && d.queue != nil {
		if e := d.queue.front(); e != nil && e.stored.message != nil {
			all = append(all, property{"firstMessageTimestamp", e.stored.message.Timestamp})
		}
	}
	return all
}

func (b *Broker) brokerStatistics() []property {
	var f figures
	for _, d := range b.destinations {
		f.add(d)
	}
	limit := b.opt.MemoryBytes + b.opt.CacheBytes
	all := b.properties(&f, limit)
	for i := range all {
		switch all[i].name {
		case "memoryUsage":
			all[i].value = b.cached + b.away
		case "memoryPercentUsage":
			all[i].value = percent(b.cached+b.away, limit)
		}
	}
	used := int64(b.log.used())
	total := used + max(0, b.log.room)
	all = append(all, property{"storeUsage", used}, property{"storeLimit", total}, property{"storePercentUsage", percent(used, total)},
		property{"tempUsage", int64(0)}, property{"tempLimit", total}, property{"tempPercentUsage", int32(0)}, property{"dataDirectory", b.opt.Directory}, property{"vm", "vm://" + b.opt.Name})
	for _, name := range [...]string{"openwire", "ssl", "stomp", "stomp+ssl"} {
		all = append(all, property{name, b.opt.Connectors[name]})
	}
	return all
}

func (b *Broker) consumerStatistics(c *consumer) []property {
	label := aboutConsumer(c, false).ID
	session := int64(-1)
	if parts := strings.Split(label, ":"); len(parts) > 2 {
		if n, err := strconv.ParseInt(parts[len(parts)-2], 10, 64); err == nil {
			session = n
		}
	}
	var selector any
	if c.about.Selector != "" {
		selector = strings.TrimPrefix(c.about.Selector, "convert_string_expressions:")
	}
	waiting := 0
	for _, q := range c.backlogs {
		waiting += q.ready
	}
	return []property{
		{"brokerId", b.opt.ID}, {"brokerName", b.opt.Name}, {"clientId", c.conn.about.ClientID}, {"connectionId", c.conn.about.Name}, {"sessionId", session},
		{"destinationName", c.about.Destination.Name}, {"selector", selector}, {"prefetchSize", int32(min(c.prefetch, 1<<31-1))}, {"exclusive", c.exclusive},
		{"retroactive", c.about.Retroactive}, {"maximumPendingMessageLimit", int32(min(c.about.MaxPending, 1<<31-1))}, {"slowConsumer", waiting > 0 && c.prefetch > 0 && c.credit() <= 0},
		{"dispatchedQueueSize", int64(c.dispatched.len())}, {"dispatchedCounter", int64(c.total)}, {"enqueueCounter", int64(c.total)}, {"dequeueCounter", int64(c.acked)},
	}
}

// resetCounters begins to count anew.
func (b *Broker) resetCounters() {
	for _, d := range b.destinations {
		d.counters = counters{}
		if d.queue != nil {
			d.queue.counters = counters{}
		}
		for _, s := range d.subscriptions {
			s.backlog.counters = counters{}
		}
	}
}
