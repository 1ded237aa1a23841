package message

import (
	"math"
	"testing"
)

func TestValue(t *testing.T) {
	m := &Message{
		ID: ID{"ID:h-1:1:1:1", 5}, Destination: Destination{Queue, "q"}, ReplyTo: Destination{TempQueue, "ID:h-1:2"},
		CorrelationID: "c", JMSType: "order", GroupID: "g", GroupSequence: 7, UserID: "u", Timestamp: 1, Expiration: 2, Received: 3, Priority: 4, Persistent: true,
		Properties: Properties(nil).With("bool", true).With("byte", int8(-7)).With("short", int16(-300)).With("char", Char('Z')).
			With("int", int32(-5)).With("long", int64(math.MinInt64)).With("float", float32(1.5)).With("double", 2.5).With("text", "é😀\x00").
			With("null", nil).With("bytes", []byte{1}).With("map", map[string]any{}).With("list", []any{}).With("JMS_AMQP_NATIVE", true).
			With("JMSPriority", int32(9)).With("é😀\x00", "name"),
	}
	tests := map[string]struct {
		message      *Message
		redeliveries int
		name         string
		want         any
	}{
		"destination":         {m, 0, "JMSDestination", "queue://q"},
		"reply to":            {m, 0, "JMSReplyTo", "temp-queue://ID:h-1:2"},
		"message id":          {m, 0, "JMSMessageID", "ID:h-1:1:1:1:5"},
		"correlation":         {m, 0, "JMSCorrelationID", "c"},
		"type":                {m, 0, "JMSType", "order"},
		"timestamp":           {m, 0, "JMSTimestamp", int64(1)},
		"expiration":          {m, 0, "JMSExpiration", int64(2)},
		"broker in time":      {m, 0, "JMSActiveMQBrokerInTime", int64(3)},
		"header, no property": {m, 0, "JMSPriority", int64(4)},
		"persistent":          {m, 0, "JMSDeliveryMode", "PERSISTENT"},
		"non-persistent":      {&Message{}, 0, "JMSDeliveryMode", "NON_PERSISTENT"},
		"group":               {m, 0, "JMSXGroupID", "g"},
		"group sequence":      {m, 0, "JMSXGroupSeq", int64(7)},
		"user":                {m, 0, "JMSXUserID", "u"},
		"first delivery":      {m, 0, "JMSRedelivered", false},
		"first count":         {m, 0, "JMSXDeliveryCount", int64(1)},
		"redelivered":         {m, 2, "JMSRedelivered", true},
		"third count":         {m, 2, "JMSXDeliveryCount", int64(3)},
		"no type":             {&Message{}, 0, "JMSType", nil},
		"no reply to":         {&Message{}, 0, "JMSReplyTo", nil},
		"no id":               {&Message{}, 0, "JMSMessageID", nil},
		"no group":            {&Message{}, 0, "JMSXGroupID", nil},
		"unknown JMS name":    {m, 0, "JMS_AMQP_NATIVE", true},
		"absent JMS name":     {m, 0, "JMSXProducerTXID", nil},
		"bool":                {m, 0, "bool", true},
		"byte":                {m, 0, "byte", int64(-7)},
		"short":               {m, 0, "short", int64(-300)},
		"char":                {m, 0, "char", "Z"},
		"int":                 {m, 0, "int", int64(-5)},
		"long":                {m, 0, "long", int64(math.MinInt64)},
		"float":               {m, 0, "float", 1.5},
		"double":              {m, 0, "double", 2.5},
		"text":                {m, 0, "text", "é😀\x00"},
		"name beyond ASCII":   {m, 0, "é😀\x00", "name"},
		"null":                {m, 0, "null", nil},
		"bytes":               {m, 0, "bytes", nil},
		"map":                 {m, 0, "map", nil},
		"list":                {m, 0, "list", nil},
		"absent":              {m, 0, "absent", nil},
		"no properties":       {&Message{}, 0, "absent", nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := (Delivered{tt.message, tt.redeliveries}).Value(tt.name); got != tt.want {
				t.Errorf("Value(%q) of a delivery = %#v, want %#v", tt.name, got, tt.want)
			}
			if got := tt.message.Value(tt.name); tt.redeliveries == 0 && got != tt.want {
				t.Errorf("Value(%q) of the message = %#v, want %#v", tt.name, got, tt.want)
			}
		})
	}
}
