package broker

import "github.com/godwitmq/godwit/message"

// View is what the broker looks like at one moment, for people and metrics.
type View struct {
	Destinations  []DestinationView  `json:"destinations"`
	Connections   []ConnectionView   `json:"connections"`
	Consumers     []ConsumerView     `json:"consumers"`
	Subscriptions []SubscriptionView `json:"subscriptions"` // durable ones
	CachedBytes   int64              `json:"cachedBytes"`   // of messages held in memory
	LiveBytes     int64              `json:"liveBytes"`     // of the log that are still needed
	LogBytes      int64              `json:"logBytes"`      // between the log's head and tail
}

// DestinationView is a queue or topic with its counters since the broker's start, but for Size and InFlight, which are now.
type DestinationView struct {
	Destination message.Destination `json:"-"`
	Kind        string              `json:"kind"` // queue, topic, temp-queue, temp-topic
	Name        string              `json:"name"`
	Size        int64               `json:"size"`     // messages that wait or are at consumers
	InFlight    int64               `json:"inFlight"` // of those, at consumers
	Bytes       int64               `json:"bytes"`
	Enqueued    uint64              `json:"enqueued"`
	Dequeued    uint64              `json:"dequeued"`
	Dispatched  uint64              `json:"dispatched"`
	Expired     uint64              `json:"expired"`
	DeadLetters uint64              `json:"deadLetters"`
	Consumers   int                 `json:"consumers"`
	Producers   int                 `json:"producers"`
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
	Since        int64  `json:"since"` // ms since 1970
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
}

// SubscriptionView is one durable subscription.
type SubscriptionView struct {
	ClientID string `json:"clientId"`
	Name     string `json:"name"`
	Topic    string `json:"topic"`
	Selector string `json:"selector,omitempty"`
	Active   bool   `json:"active"`
	Size     int64  `json:"size"`
}
