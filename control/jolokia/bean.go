package jolokia

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/message"
)

// Facts are what beans tell that no view of the core has.
type Facts struct {
	Name, ID, Version string
	Started           time.Time
	StoreUsed         int64 // bytes of the journal's files
	StoreLimit        int64 // bytes that they may be; 0 is no limit
	MemoryUsed        int64 // bytes of the process
	MemoryLimit       int64 // bytes that it may have; 0 is no limit
	Connections       int64 // ever accepted
	Connectors        map[string]string
}

// bean is one object. Its attributes are made when they are asked for.
type bean struct {
	name       Name
	attributes func() map[string]any
	operations []string
	of         message.Destination // of a queue or topic
}

// beans are all that a view has, in its order.
func beans(v *broker.View, f Facts, now time.Time) []bean {
	root := []string{"type", "Broker", "brokerName", f.Name}
	below := func(pairs ...string) Name { return named(append(root[:len(root):len(root)], pairs...)...) }
	all := []bean{{name: named(root...), attributes: func() map[string]any { return brokerAttributes(v, f, now, below) }, operations: brokerOperations}}
	all = append(all, bean{name: below("service", "Health"), attributes: func() map[string]any { return map[string]any{"CurrentStatus": health(v, f)} }})
	subscriptions := sync.OnceValue(func() map[string][]map[string]string { // by destination
		found := map[string][]map[string]string{}
		for i := range v.Consumers {
			c := &v.Consumers[i]
			found[c.Destination] = append(found[c.Destination], reference(consumerName(c, below)))
		}
		return found
	})
	for i := range v.Destinations {
		d := &v.Destinations[i]
		b := bean{name: below("destinationType", typeWords[d.Kind], "destinationName", d.Name), of: d.Destination, attributes: func() map[string]any { return destinationAttributes(d, subscriptions()[d.Destination.String()]) }}
		if d.Kind == "queue" {
			b.operations = queueOperations
		}
		all = append(all, b)
	}
	for i := range v.Consumers {
		c := &v.Consumers[i]
		all = append(all, bean{name: consumerName(c, below), attributes: func() map[string]any { return consumerAttributes(v, c) }})
	}
	for i := range v.Subscriptions {
		if s := &v.Subscriptions[i]; s.Durable {
			all = append(all, bean{name: durableName(s, below), attributes: func() map[string]any { return durableAttributes(s) }})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(f.Connectors)) {
		uri := f.Connectors[name]
		all = append(all, bean{name: below("connector", "clientConnectors", "connectorName", name), attributes: func() map[string]any {
			n := 0
			for i := range v.Connections {
				if v.Connections[i].Listener == name {
					n++
				}
			}
			return map[string]any{"Name": name, "URI": uri, "ConnectionCount": n, "Started": true, "StatisticsEnabled": true, "BrokerName": f.Name}
		}})
	}
	for i := range v.Connections {
		c := &v.Connections[i]
		id := c.ClientID
		if id == "" {
			id = c.Name
		}
		all = append(all, bean{name: below("connector", "clientConnectors", "connectorName", c.Listener, "connectionViewType", "clientId", "connectionName", id), attributes: func() map[string]any {
			return map[string]any{"ClientId": c.ClientID, "ConnectionId": fmt.Sprint(c.Conn), "RemoteAddress": c.Remote, "UserName": c.User, "Active": true, "Connected": true, "Blocked": c.SendsWaiting > 0, "Slow": false,
				"ConnectedTimestamp": c.Since, "ActiveTransactionCount": c.Transactions}
		}})
	}
	return all
}

var typeWords = map[string]string{"queue": "Queue", "topic": "Topic", "temp-queue": "TempQueue", "temp-topic": "TempTopic"}

// Operations that may be allowed; those of an object are listed whether they are or not.
var (
	brokerOperations = []string{"addQueue", "addTopic", "removeQueue", "removeTopic"}
	queueOperations  = []string{"purge", "pause", "resume"}
)

// Operations are all that the configuration may allow.
func Operations() []string {
	return append(append([]string{}, queueOperations...), brokerOperations...)
}

// percent is a part of a limit, 0 if there is none.
func percent(used, limit int64) int64 {
	if limit <= 0 {
		return 0
	}
	return int64(float64(used) / float64(limit) * 100)
}

// health is Good, or what is wrong.
func health(v *broker.View, f Facts) string {
	var wrong []string
	if v.MemoryShort {
		wrong = append(wrong, "nothing is taken in because the process has used its memory")
	}
	if p := percent(f.StoreUsed, f.StoreLimit); p >= 90 {
		wrong = append(wrong, fmt.Sprintf("%d%% of the journal's space is used", p))
	}
	if v.SendsWaiting > 0 {
		wrong = append(wrong, fmt.Sprintf("%d messages wait for room", v.SendsWaiting))
	}
	if len(wrong) == 0 {
		return "Good"
	}
	return "Getting Worried {" + strings.Join(wrong, "; ") + "}"
}

// reference is an attribute that names another object.
func reference(n Name) map[string]string { return map[string]string{"objectName": n.String()} }

func brokerAttributes(v *broker.View, f Facts, now time.Time, below func(...string) Name) map[string]any {
	up := now.Sub(f.Started)
	a := map[string]any{
		"BrokerName": f.Name, "BrokerId": f.ID, "BrokerVersion": f.Version, "Slave": false, "Persistent": true, "StatisticsEnabled": true,
		"UptimeMillis": up.Milliseconds(), "Uptime": up.Truncate(time.Second).String(), "TransportConnectors": f.Connectors,
		"CurrentConnectionsCount": len(v.Connections), "TotalConnectionsCount": f.Connections, "TotalConsumerCount": len(v.Consumers),
		"MemoryLimit": f.MemoryLimit, "MemoryPercentUsage": percent(f.MemoryUsed, f.MemoryLimit), "StoreLimit": f.StoreLimit, "StorePercentUsage": percent(f.StoreUsed, f.StoreLimit),
		"TempLimit": f.StoreLimit, "TempPercentUsage": percent(f.StoreUsed, f.StoreLimit), "JobSchedulerStoreLimit": f.StoreLimit, "JobSchedulerStorePercentUsage": percent(f.StoreUsed, f.StoreLimit), // one journal has all
	}
	lists := map[string][]map[string]string{"Queues": {}, "Topics": {}, "TemporaryQueues": {}, "TemporaryTopics": {}, "QueueSubscribers": {}, "TopicSubscribers": {}, "DurableTopicSubscribers": {}, "InactiveDurableTopicSubscribers": {}}
	add := func(list string, n Name) { lists[list] = append(lists[list], reference(n)) }
	var messages int64
	var enqueued, dequeued uint64
	producers := 0
	listOf := map[string]string{"queue": "Queues", "topic": "Topics", "temp-queue": "TemporaryQueues", "temp-topic": "TemporaryTopics"}
	for i := range v.Destinations {
		d := &v.Destinations[i]
		messages, enqueued, dequeued = messages+d.Size, enqueued+d.Enqueued, dequeued+d.Dequeued
		add(listOf[d.Kind], below("destinationType", typeWords[d.Kind], "destinationName", d.Name))
	}
	for i := range v.Consumers {
		c := &v.Consumers[i]
		switch d, _ := message.ParseDestination(c.Destination, message.Queue); {
		case d.Kind.IsTopic() && c.Name == "":
			add("TopicSubscribers", consumerName(c, below))
		case !d.Kind.IsTopic():
			add("QueueSubscribers", consumerName(c, below))
		}
	}
	for i := range v.Subscriptions {
		if s := &v.Subscriptions[i]; s.Durable && s.Active {
			add("DurableTopicSubscribers", durableName(s, below))
		} else if s.Durable {
			add("InactiveDurableTopicSubscribers", durableName(s, below))
		}
	}
	for i := range v.Connections {
		producers += v.Connections[i].Producers
	}
	for name, list := range lists {
		a[name] = list
	}
	a["TotalMessageCount"], a["TotalEnqueueCount"], a["TotalDequeueCount"], a["TotalProducerCount"] = messages, enqueued, dequeued, producers
	for list, counter := range map[string]string{"Queues": "TotalQueuesCount", "Topics": "TotalTopicsCount", "TemporaryQueues": "TotalTemporaryQueuesCount", "TemporaryTopics": "TotalTemporaryTopicsCount"} {
		a[counter] = len(lists[list])
	}
	return a
}

func destinationAttributes(d *broker.DestinationView, subscriptions []map[string]string) map[string]any {
	if subscriptions == nil {
		subscriptions = []map[string]string{}
	}
	a := map[string]any{
		"Name": d.Name, "QueueSize": d.Size, "EnqueueCount": d.Enqueued, "DequeueCount": d.Dequeued, "DispatchCount": d.Dispatched, "ExpiredCount": d.Expired, "InFlightCount": d.InFlight,
		"ConsumerCount": d.Consumers, "ProducerCount": d.Producers, "MemoryUsageByteCount": d.Bytes, "StoreMessageSize": d.Bytes, "MemoryLimit": d.Limit, "MemoryPercentUsage": percent(d.Bytes, d.Limit),
		"BlockedSends": d.SendsWaiting, "DLQ": d.DeadLetterQueue, "Subscriptions": subscriptions,
	}
	if d.Kind == "queue" {
		a["Paused"] = d.Paused
	}
	return a
}

func consumerName(c *broker.ConsumerView, below func(...string) Name) Name {
	d, _ := message.ParseDestination(c.Destination, message.Queue)
	return below("destinationType", typeWords[d.Kind.String()], "destinationName", d.Name, "endpoint", "Consumer", "clientId", c.ClientID, "consumerId", consumerID(c))
}

func consumerID(c *broker.ConsumerView) string { return fmt.Sprintf("%d:%v", c.Conn, c.Consumer) }

func consumerAttributes(v *broker.View, c *broker.ConsumerView) map[string]any {
	d, _ := message.ParseDestination(c.Destination, message.Queue)
	a := map[string]any{
		"ClientId": c.ClientID, "ConnectionId": fmt.Sprint(c.Conn), "SubscriptionId": consumerID(c), "DestinationName": d.Name, "DestinationQueue": !d.Kind.IsTopic(), "DestinationTopic": d.Kind.IsTopic(), "DestinationTemporary": d.Kind.IsTemporary(),
		"Selector": c.Selector, "SubscriptionName": c.Name, "Durable": false, "Active": true, "Exclusive": c.Exclusive, "Priority": c.Priority, "PrefetchSize": c.Prefetch,
		"DispatchedQueueSize": c.InFlight, "MessageCountAwaitingAcknowledge": c.InFlight, "DispatchedCounter": c.Dispatched, "DequeueCounter": c.Acked, "ConsumedCount": c.Acked, "DiscardedCount": c.Discarded,
	}
	for i := range v.Connections {
		if v.Connections[i].Conn == c.Conn {
			a["UserName"] = v.Connections[i].User
		}
	}
	return a
}

func durableName(s *broker.SubscriptionView, below func(...string) Name) Name {
	return below("destinationType", "Topic", "destinationName", s.Topic, "endpoint", "Consumer", "clientId", s.ClientID, "consumerId", "Durable("+s.ClientID+"_"+s.Name+")")
}

func durableAttributes(s *broker.SubscriptionView) map[string]any {
	return map[string]any{
		"ClientId": s.ClientID, "SubscriptionName": s.Name, "DestinationName": s.Topic, "DestinationQueue": false, "DestinationTopic": true, "DestinationTemporary": false, "Selector": s.Selector, "NoLocal": s.NoLocal,
		"Durable": true, "Active": s.Active, "PendingQueueSize": s.Size - s.InFlight, "DispatchedQueueSize": s.InFlight, "MessageCountAwaitingAcknowledge": s.InFlight,
	}
}
