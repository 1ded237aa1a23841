package control

import (
	"bytes"
	"encoding/xml"
	"net/http"
	"strconv"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/message"
)

// The feeds of ActiveMQ's web console, by which monitors without JMX read it. Attributes stand in the order in which ActiveMQ writes them.
type (
	queueFeed struct {
		XMLName xml.Name    `xml:"queues"`
		Queues  []feedEntry `xml:"queue"`
	}
	topicFeed struct {
		XMLName xml.Name    `xml:"topics"`
		Topics  []feedEntry `xml:"topic"`
	}
	feedEntry struct {
		Name  string    `xml:"name,attr"`
		Stats feedStats `xml:"stats"`
	}
	feedStats struct {
		Size          int64  `xml:"size,attr"`
		ConsumerCount int    `xml:"consumerCount,attr"`
		EnqueueCount  uint64 `xml:"enqueueCount,attr"`
		DequeueCount  uint64 `xml:"dequeueCount,attr"`
	}
	subscriberFeed struct {
		XMLName     xml.Name         `xml:"subscribers"`
		Subscribers []feedSubscriber `xml:"subscriber"`
	}
	feedSubscriber struct {
		ClientID         string              `xml:"clientId,attr"`
		SubscriptionName string              `xml:"subscriptionName,attr"`
		ConnectionID     string              `xml:"connectionId,attr"`
		DestinationName  string              `xml:"destinationName,attr"`
		Selector         string              `xml:"selector,attr"`
		Active           string              `xml:"active,attr"`
		Stats            feedSubscriberStats `xml:"stats"`
	}
	feedSubscriberStats struct {
		PendingQueueSize    int64  `xml:"pendingQueueSize,attr"`
		DispatchedQueueSize int64  `xml:"dispatchedQueueSize,attr"`
		DispatchedCounter   uint64 `xml:"dispatchedCounter,attr"`
		EnqueueCounter      uint64 `xml:"enqueueCounter,attr"`
		DequeueCounter      uint64 `xml:"dequeueCounter,attr"`
	}
)

func statsOf(d *broker.DestinationView) feedStats {
	return feedStats{d.Size, d.Consumers, d.Enqueued, d.Dequeued}
}

func queuesXML(v *broker.View) any {
	var f queueFeed
	for i := range v.Destinations {
		if d := &v.Destinations[i]; d.Destination.Kind == message.Queue {
			f.Queues = append(f.Queues, feedEntry{Name: d.Name, Stats: statsOf(d)})
		}
	}
	return f
}

func topicsXML(v *broker.View) any {
	var f topicFeed
	for i := range v.Destinations {
		if d := &v.Destinations[i]; d.Destination.Kind == message.Topic {
			f.Topics = append(f.Topics, feedEntry{Name: d.Name, Stats: statsOf(d)})
		}
	}
	return f
}

// subscribersXML has the durable subscriptions, and the other subscribers of topics. The counters of a subscription are those of its consumers that are there.
func subscribersXML(v *broker.View) any {
	var f subscriberFeed
	type name struct{ client, subscription string }
	durable := map[name]int{}
	for i := range v.Subscriptions {
		if s := &v.Subscriptions[i]; s.Durable {
			durable[name{s.ClientID, s.Name}] = len(f.Subscribers)
			f.Subscribers = append(f.Subscribers, feedSubscriber{ClientID: s.ClientID, SubscriptionName: s.Name, ConnectionID: "NOTSET", DestinationName: s.Topic, Selector: s.Selector, Active: strconv.FormatBool(s.Active),
				Stats: feedSubscriberStats{PendingQueueSize: s.Size - s.InFlight, DispatchedQueueSize: s.InFlight}})
		}
	}
	for i := range v.Consumers {
		c := &v.Consumers[i]
		d, err := message.ParseDestination(c.Destination, message.Queue)
		if err != nil || !d.Kind.IsTopic() {
			continue
		}
		at, is := durable[name{c.ClientID, c.Name}]
		if !is || c.Name == "" {
			at = len(f.Subscribers)
			f.Subscribers = append(f.Subscribers, feedSubscriber{ClientID: c.ClientID, SubscriptionName: c.Name, DestinationName: d.Name, Selector: c.Selector, Active: "true", Stats: feedSubscriberStats{DispatchedQueueSize: int64(c.InFlight)}})
		}
		s := &f.Subscribers[at]
		s.ConnectionID = strconv.FormatUint(uint64(c.Conn), 10)
		s.Stats.DispatchedCounter += c.Dispatched
		s.Stats.EnqueueCounter += c.Dispatched
		s.Stats.DequeueCounter += c.Acked
	}
	return f
}

// feed answers with a feed.
func (s *Server) feed(of func(*broker.View) any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v, err := s.look(r)
		var b bytes.Buffer
		if err == nil {
			e := xml.NewEncoder(&b)
			e.Indent("", "  ")
			err = e.Encode(of(v))
		}
		if err != nil {
			s.failed(w, r, err)
			return
		}
		b.WriteByte('\n')
		h := w.Header()
		h.Set("Content-Type", "text/xml;charset=utf-8")
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		w.Write(b.Bytes())
	}
}
