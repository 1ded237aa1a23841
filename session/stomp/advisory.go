package stomp

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/godwitmq/godwit/codec/stomp"
	"github.com/godwitmq/godwit/message"
)

// advisoryJSON is the form of advisories: what OpenWire's clients get as a data structure, in XStream's JSON.
const advisoryJSON = "jms-advisory-json"

type object = map[string]any

// formatAdvisory is the body of an advisory's MESSAGE: {"DestinationInfo":{...}}.
func formatAdvisory(a *message.Advisory) []byte {
	name, data := advisoryData(a)
	if name == "" {
		return []byte(`{"null":""}`)
	}
	return appendJSON(nil, object{name: data})
}

func advisoryData(a *message.Advisory) (name string, data object) {
	switch a.Kind {
	case message.AboutConnection:
		if a.Removed {
			return removed("ConnectionId", object{"value": a.Connection})
		}
		data = command(object{"connectionId": object{"value": a.Connection}, "clientId": a.ClientID, "clientIp": a.Remote, "password": "", "brokerMasterConnector": false,
			"manageable": true, "clientMaster": true, "faultTolerant": false, "failoverReconnect": false})
		return "ConnectionInfo", with(data, "userName", a.User)
	case message.AboutConsumer:
		if a.Removed {
			return removed("ConsumerId", objectID(a.ID))
		}
		data = command(object{"consumerId": objectID(a.ID), "destination": destinationObject(a.Destination), "prefetchSize": a.Prefetch, "maximumPendingMessageLimit": a.MaxPending,
			"browser": a.Browser, "dispatchAsync": true, "noLocal": a.NoLocal, "exclusive": a.Exclusive, "retroactive": a.Retroactive, "priority": a.Priority,
			"optimizedAcknowledge": false, "noRangeAcks": false})
		return "ConsumerInfo", with(with(with(data, "selector", a.Selector), "clientId", a.ClientID), "subscriptionName", a.Subscription)
	case message.AboutProducer:
		if a.Removed {
			return removed("ProducerId", objectID(a.ID))
		}
		return "ProducerInfo", command(object{"producerId": objectID(a.ID), "destination": destinationObject(a.Destination), "dispatchAsync": false, "windowSize": 0})
	case message.AboutSubscription:
		return "RemoveSubscriptionInfo", command(object{"connectionId": object{"value": a.Connection}, "clientId": a.ClientID, "subscriptionName": a.Subscription})
	case message.AboutMessage:
		return messageObject(a.Message)
	case message.AboutBroker:
		return "", nil
	}
	operation := 0
	if a.Removed {
		operation = 1
	}
	data = command(object{"destination": destinationObject(a.Destination), "operationType": operation, "timeout": 0})
	if a.Connection != "" {
		data["connectionId"] = object{"value": a.Connection}
	}
	return "DestinationInfo", data
}

// command adds what all commands have.
func command(o object) object {
	o["commandId"], o["responseRequired"] = 0, false
	return o
}

// with adds a text unless it is empty, which XStream leaves out as null.
func with(o object, name, value string) object {
	if value != "" {
		o[name] = value
	}
	return o
}

func removed(class string, id object) (string, object) {
	id["@class"] = class
	return "RemoveInfo", command(object{"objectId": id, "lastDeliveredSequenceId": -2})
}

// objectID is a consumer's or producer's id, CONNECTION:SESSION:NUMBER in text.
func objectID(text string) object {
	id := object{"connectionId": text, "sessionId": 0, "value": 0}
	rest, value, ok := cutNumber(text)
	connection, session, ok2 := cutNumber(rest)
	if ok && ok2 {
		id["connectionId"], id["sessionId"], id["value"] = connection, session, value
	}
	return id
}

// cutNumber cuts ":n" off the end of a text.
func cutNumber(text string) (rest string, n int64, ok bool) {
	i := strings.LastIndexByte(text, ':')
	if i < 0 {
		return text, 0, false
	}
	n, err := strconv.ParseInt(text[i+1:], 10, 64)
	return text[:i], n, err == nil
}

func destinationObject(d message.Destination) object {
	class := [...]string{message.Queue: "ActiveMQQueue", message.Topic: "ActiveMQTopic", message.TempQueue: "ActiveMQTempQueue", message.TempTopic: "ActiveMQTempTopic"}[d.Kind]
	return object{"@class": class, "string": d.Name, "null": ""}
}

var messageClasses = [...]string{message.Plain: "ActiveMQMessage", message.Bytes: "ActiveMQBytesMessage", message.Map: "ActiveMQMapMessage", message.Object: "ActiveMQObjectMessage",
	message.Stream: "ActiveMQStreamMessage", message.Text: "ActiveMQTextMessage", message.Blob: "ActiveMQBlobMessage"}

func messageObject(m *message.Message) (string, object) {
	id := object{"producerId": objectID(m.ID.Producer), "producerSequenceId": max(0, m.ID.Sequence), "brokerSequenceId": 0}
	o := command(object{"messageId": id, "producerId": objectID(m.ID.Producer), "destination": destinationObject(m.Destination), "expiration": m.Expiration, "timestamp": m.Timestamp,
		"brokerInTime": m.Received, "persistent": m.Persistent, "priority": m.Priority, "groupSequence": m.GroupSequence, "compressed": false, "redeliveryCounter": 0})
	with(with(with(o, "correlationId", m.CorrelationID), "type", m.JMSType), "groupID", m.GroupID)
	if !m.Original.IsZero() {
		o["originalDestination"] = destinationObject(m.Original)
	}
	if !m.ReplyTo.IsZero() {
		o["replyTo"] = destinationObject(m.ReplyTo)
	}
	var entries []any
	_ = m.Properties.Range(func(name string, value any) bool {
		if entry := mapEntry(name, value); entry != nil {
			entries = append(entries, entry)
		}
		return true
	})
	if len(entries) > 0 {
		o["properties"] = []any{object{"entry": entries}}
	}
	if m.Type == message.Text && m.Content != nil {
		if body, err := m.RawBody(); err == nil {
			o["text"] = string(body)
		}
	}
	return messageClasses[m.Type], o
}

// mapEntry is {"string":"i","int":3} or {"string":["k","v"]}; nil for what has no form.
func mapEntry(name string, value any) object {
	switch v := value.(type) {
	case string:
		return object{"string": []string{name, v}}
	case bool:
		return object{"string": name, "boolean": v}
	case int8:
		return object{"string": name, "byte": v}
	case int16:
		return object{"string": name, "short": v}
	case int32:
		return object{"string": name, "int": v}
	case int64:
		return object{"string": name, "long": v}
	case float32, float64:
		if _, err := json.Marshal(v); err == nil {
			return object{"string": name, "double": v}
		}
	}
	return nil
}

// appendOrigin adds the headers that all advisories have.
func (c *connection) appendOrigin(b []byte) []byte {
	b = stomp.AppendHeader(b, c.version, "originBrokerId", c.deps.Broker.ID)
	b = stomp.AppendHeader(b, c.version, "originBrokerName", c.deps.Broker.Name)
	return stomp.AppendHeader(b, c.version, "originBrokerURL", "stomp://"+c.conn.LocalAddr().String())
}
