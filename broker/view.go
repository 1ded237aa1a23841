package broker

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/godwitmq/godwit/message"
)

// View is what the broker looks like at one moment, for people and metrics.
type View struct {
	Destinations  []DestinationView  `json:"destinations"`
	Connections   []ConnectionView   `json:"connections"`
	Consumers     []ConsumerView     `json:"consumers"`
	Subscriptions []SubscriptionView `json:"subscriptions"` // durable and shared ones
	CachedBytes   int64              `json:"cachedBytes"`   // of messages held in memory
	LiveBytes     int64              `json:"liveBytes"`     // of the log that are still needed
	LogBytes      int64              `json:"logBytes"`      // between the log's head and tail
	Prepared      int                `json:"prepared"`      // transactions; ListTransactions lists them
	PreparedSince int64              `json:"preparedSince"` // ms since 1970, of the one that was prepared first; 0: none is
	Scheduled     int                `json:"scheduled"`     // messages that wait for their time; ListSchedules lists them
	SendsWaiting  int                `json:"sendsWaiting"`  // for room at a destination, in the journal or in memory
	SendsRefused  uint64             `json:"sendsRefused"`  // for want of it, since the start
	MemoryShort   bool               `json:"memoryShort"`   // nothing is taken in because the process has used its memory
}

// DestinationView is a queue or topic with its counters since the broker's start, but for Size and InFlight, which are now.
type DestinationView struct {
	Destination     message.Destination `json:"-"`
	Kind            string              `json:"kind"` // queue, topic, temp-queue, temp-topic
	Name            string              `json:"name"`
	DeadLetterQueue bool                `json:"deadLetterQueue,omitempty"` // some policy sends dead letters here
	Size            int64               `json:"size"`                      // messages that wait or are at consumers
	InFlight        int64               `json:"inFlight"`                  // of those, at consumers
	Bytes           int64               `json:"bytes"`
	Limit           int64               `json:"limit,omitempty"` // bytes that may be here; 0: no limit of its own
	Enqueued        uint64              `json:"enqueued"`
	Dequeued        uint64              `json:"dequeued"`
	Dispatched      uint64              `json:"dispatched"`
	Expired         uint64              `json:"expired"`
	DeadLetters     uint64              `json:"deadLetters"`
	Routes          []string            `json:"routes,omitempty"`   // where else its messages go by configuration, up to 100: virtual topics' queues, composites' destinations, mirrors
	Replaced        uint64              `json:"replaced,omitempty"` // by newer messages, in a last-value queue or a ring
	Consumers       int                 `json:"consumers"`
	Producers       int                 `json:"producers"`
	Paused          bool                `json:"paused,omitempty"` // its consumers get nothing
	// SendsWaiting is how many messages wait for room at the destination, SendsRefused how many found none in time. What waits for the journal or
	// memory is counted in View.
	SendsWaiting int    `json:"sendsWaiting,omitempty"`
	SendsRefused uint64 `json:"sendsRefused,omitempty"`
}

// ConnectionView is one client connection.
type ConnectionView struct {
	Conn         ConnID `json:"id"`
	Name         string `json:"name"`
	ClientID     string `json:"clientId"`
	User         string `json:"user"`
	Protocol     string `json:"protocol"`
	Listener     string `json:"listener"`
	Remote       string `json:"remote"`
	Consumers    int    `json:"consumers"`
	Producers    int    `json:"producers"`
	Transactions int    `json:"transactions"`
	SendsWaiting int    `json:"sendsWaiting,omitempty"` // for room
	Since        int64  `json:"since"`                  // ms since 1970
}

// ConsumerView is one consumer.
type ConsumerView struct {
	Conn        ConnID     `json:"connection"`
	Consumer    ConsumerID `json:"id"`
	ClientID    string     `json:"clientId"`
	Destination string     `json:"destination"`
	Selector    string     `json:"selector,omitempty"`
	Name        string     `json:"subscription,omitempty"`
	Browser     bool       `json:"browser,omitempty"`
	Prefetch    int        `json:"prefetch"`
	InFlight    int        `json:"inFlight"`
	Dispatched  uint64     `json:"dispatched"`
	Acked       uint64     `json:"acknowledged"`
	Priority    int        `json:"priority"`
	Shared      bool       `json:"shared,omitempty"`
	Exclusive   bool       `json:"exclusive,omitempty"`
	Window      int        `json:"window"`               // how many messages it may hold now: the prefetch, or less by policy
	OldestAge   int64      `json:"oldestAge"`            // for how long it has held the oldest message that it has not acknowledged, ms, to about a second
	SinceAck    int64      `json:"sinceAcknowledgement"` // time since its last acknowledgement, or its beginning, ms
	Groups      int        `json:"groups,omitempty"`     // message groups that it owns
	Discarded   int        `json:"discarded,omitempty"`  // messages that a topic's policy has discarded because it was too slow
}

// SubscriptionView is one durable or shared subscription.
type SubscriptionView struct {
	ClientID  string `json:"clientId"`
	Name      string `json:"name"`
	Topic     string `json:"topic"`
	Selector  string `json:"selector,omitempty"`
	NoLocal   bool   `json:"noLocal,omitempty"`
	Durable   bool   `json:"durable"`
	Shared    bool   `json:"shared"`
	Active    bool   `json:"active"` // has a consumer
	Consumers int    `json:"consumers"`
	Size      int64  `json:"size"`     // messages that wait or are at consumers
	InFlight  int64  `json:"inFlight"` // of those, at consumers
	Bytes     int64  `json:"bytes"`
	IdleSince int64  `json:"idleSince,omitempty"` // ms since 1970: since when it has no consumer
}

func (s *subscription) view() SubscriptionView {
	v := SubscriptionView{ClientID: s.clientID, Name: s.name, Topic: s.topic.Name, Selector: s.selectorText, NoLocal: s.noLocal, Durable: s.durable(), Shared: s.shared,
		Active: s.active(), Consumers: len(s.consumers()), Size: int64(s.backlog.size), InFlight: int64(s.backlog.inFlight), Bytes: s.backlog.bytes}
	if !s.active() {
		v.IdleSince = s.idleSince
	}
	return v
}

// view makes a View, sorted by name or id.
func (b *Broker) view() *View {
	v := &View{CachedBytes: b.cached, LiveBytes: b.log.live, LogBytes: int64(b.log.used()), Scheduled: len(b.schedule.jobs), SendsWaiting: b.flow.waiting, SendsRefused: b.flow.refused, MemoryShort: b.flow.short}
	v.Prepared, v.PreparedSince = b.preparedSince()
	for _, d := range b.sortedDestinations() {
		dv := DestinationView{Destination: d.name, Kind: kindName(d.name.Kind), Name: d.name.Name, DeadLetterQueue: d.dlq, Consumers: d.consumers, Producers: d.producers, SendsRefused: d.sendsRefused, Limit: d.policy.Limit.Bytes}
		if d.room != nil {
			dv.SendsWaiting = d.room.waiting()
		}
		c := d.counters
		if q := d.queue; q != nil {
			c = q.counters
			dv.Paused = q.paused
			dv.Size, dv.InFlight, dv.Bytes = int64(q.size), int64(q.inFlight), q.bytes
		}
		for _, s := range d.subscriptions {
			dv.Size += int64(s.backlog.size)
			dv.InFlight += int64(s.backlog.inFlight)
			dv.Bytes += s.backlog.bytes
		}
		dv.Enqueued, dv.Dequeued, dv.Dispatched, dv.Expired, dv.DeadLetters = c.enqueued, c.dequeued, c.dispatchedTotal, c.expired, c.deadLetters
		dv.Replaced = c.replaced
		dv.Routes = d.routes.names()
		v.Destinations = append(v.Destinations, dv)
	}
	for _, id := range sortedKeys(b.connections) {
		c := b.connections[id]
		v.Connections = append(v.Connections, ConnectionView{Conn: id, Name: c.about.Name, ClientID: c.about.ClientID, User: c.about.User, Protocol: c.about.Protocol,
			Listener: c.about.Listener, Remote: c.about.Remote, Consumers: len(c.consumers), Producers: len(c.producers), Transactions: len(c.transactions), SendsWaiting: len(c.line), Since: c.since})
		for _, id := range sortedKeys(c.consumers) {
			x := c.consumers[id]
			v.Consumers = append(v.Consumers, ConsumerView{Conn: c.id, Consumer: id, ClientID: c.about.ClientID, Destination: x.about.Destination.String(), Selector: strings.TrimPrefix(x.about.Selector, "convert_string_expressions:"),
				Name: x.about.Name, Browser: x.about.Browser, Prefetch: x.prefetch, InFlight: x.dispatched.len(), Dispatched: x.total, Acked: x.acked, Priority: x.priority,
				Shared: x.about.Shared, Exclusive: x.exclusive, Window: x.windowNow(), OldestAge: x.oldest(b.now), SinceAck: b.now - x.slow.ackedAt, Groups: x.groupsOwned(), Discarded: x.discarded})
		}
	}
	for _, s := range b.durables {
		v.Subscriptions = append(v.Subscriptions, s.view())
	}
	for _, s := range b.shared {
		v.Subscriptions = append(v.Subscriptions, s.view())
	}
	slices.SortFunc(v.Subscriptions, func(x, y SubscriptionView) int {
		return cmp.Or(strings.Compare(x.ClientID, y.ClientID), strings.Compare(x.Name, y.Name), strings.Compare(fmt.Sprint(x.Durable), fmt.Sprint(y.Durable)))
	})
	return v
}

// windowNow is how many messages the consumer may hold.
func (c *consumer) windowNow() int {
	if c.pace.window != 0 {
		return min(c.prefetch, c.pace.window)
	}
	return c.prefetch
}

func (c *consumer) groupsOwned() (n int) {
	for _, q := range c.backlogs {
		if q.groups == nil {
			continue
		}
		for _, a := range q.attached {
			if a.consumer == c && a.owned != nil {
				n += a.owned.count
			}
		}
	}
	return n
}
