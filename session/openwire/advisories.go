package openwire

import (
	wire "github.com/godwitmq/godwit/codec/openwire"
	"github.com/godwitmq/godwit/message"
)

// consumerText is how Java writes a ConsumerID; producerID reads it back, because the two are alike.
func consumerText(id *wire.ConsumerID) string {
	return producerText(&wire.ProducerID{ConnectionID: id.ConnectionID, SessionID: id.SessionID, Value: id.Value})
}

func consumerID(text string) wire.ConsumerID {
	id, ok := producerID(text)
	if !ok {
		return wire.ConsumerID{ConnectionID: text}
	}
	return wire.ConsumerID{ConnectionID: id.ConnectionID, SessionID: id.SessionID, Value: id.Value}
}

// advise gives an advisory message the form that ActiveMQ's clients look for: the event as data structure, and the broker's name in properties.
func (c *connection) advise(m *message.Message, to *wire.Message) {
	to.Type, to.Content = wire.CodeMessage, nil
	to.DataStructure = c.dataStructure(m.Advisory)
	var p message.PropertiesBuilder
	set := func(name string, value any) {
		if err := p.Set(name, value); err != nil {
			c.log.Error("an advisory's property", "name", name, "error", err)
		}
	}
	set("originBrokerId", c.deps.Broker.ID)
	set("originBrokerName", c.deps.Broker.Name)
	url := c.opt.URL
	if url == "" {
		url = "tcp://" + c.conn.LocalAddr().String()
	}
	set("originBrokerURL", url)
	_ = m.Properties.Range(func(name string, value any) bool { // the broker's own are whole
		set(name, value)
		return true
	})
	to.MarshalledProperties = p.Properties()
}

// dataStructure is what an advisory is about, nil if there is nothing to say.
func (c *connection) dataStructure(a *message.Advisory) wire.DataStructure {
	// Clients look at lastDeliveredSequenceId, which says here that nobody knows.
	gone := &wire.RemoveInfo{LastDeliveredSequenceID: lastUnknown}
	switch a.Kind {
	case message.AboutConnection:
		if a.Removed {
			gone.ObjectID = wire.ConnectionID{Value: a.Connection}
			return gone
		}
		return &wire.ConnectionInfo{ConnectionID: wire.ConnectionID{Value: a.Connection}, ClientID: a.ClientID, UserName: a.User, Manageable: true, ClientMaster: true, ClientIP: clientIP(a.Remote)}
	case message.AboutConsumer:
		if a.Removed {
			gone.ObjectID = consumerID(a.ID)
			return gone
		}
		return consumerInfo(a)
	case message.AboutProducer:
		id, ok := producerID(a.ID)
		if !ok {
			id.ConnectionID = a.ID
		}
		if a.Removed {
			gone.ObjectID = id
			return gone
		}
		return &wire.ProducerInfo{ProducerID: id, Destination: wireDestination(a.Destination)}
	case message.AboutSubscription:
		return &wire.RemoveSubscriptionInfo{ConnectionID: wire.ConnectionID{Value: a.Connection}, ClientID: a.ClientID, SubscriptionName: a.Subscription}
	case message.AboutMessage:
		inner := &wire.Message{}
		if err := fill(inner, a.Message, 0); err != nil {
			c.log.Warn("an advisory goes without its message", "message", a.Message.ID, "error", err)
			return nil
		}
		return inner
	case message.AboutBroker:
		return nil
	}
	info := &wire.DestinationInfo{ConnectionID: wire.ConnectionID{Value: a.Connection}, Destination: wireDestination(a.Destination)}
	if a.Removed {
		info.OperationType = wire.OperationRemove
	}
	return info
}

func consumerInfo(a *message.Advisory) *wire.ConsumerInfo {
	return &wire.ConsumerInfo{ConsumerID: consumerID(a.ID), Destination: wireDestination(a.Destination), PrefetchSize: int32(min(a.Prefetch, 1<<31-1)),
		MaximumPendingMessageLimit: int32(min(a.MaxPending, 1<<31-1)), DispatchAsync: true, Selector: a.Selector, ClientID: a.ClientID, SubscriptionName: a.Subscription,
		Browser: a.Browser, NoLocal: a.NoLocal, Exclusive: a.Exclusive, Retroactive: a.Retroactive, Priority: int8(min(max(a.Priority, -128), 127))}
}

// clientIP is an address as ActiveMQ writes it.
func clientIP(remote string) string {
	for i := range len(remote) - 2 {
		if remote[i:i+3] == "://" {
			return remote
		}
	}
	return "tcp://" + remote
}
