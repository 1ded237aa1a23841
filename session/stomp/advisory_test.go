package stomp

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/godwitmq/godwit/message"
)

// The wanted texts were sent by ActiveMQ 6.3.1, but for its command ids.
func TestFormatAdvisory(t *testing.T) {
	queue := message.Destination{Kind: message.Queue, Name: "Q"}
	m := &message.Message{ID: message.ID{Producer: "ID:vm-1:1:1", Sequence: 1}, Destination: queue, Expiration: 63, Timestamp: 62, Received: 66, Persistent: true, Priority: 4, Type: message.Text}
	m.Properties = m.Properties.With("i", int32(3)).With("k", "v")
	tests := map[string]struct {
		advisory message.Advisory
		want     string
	}{
		"broker": {message.Advisory{Kind: message.AboutBroker}, `{"null":""}`},
		"connection": {message.Advisory{Kind: message.AboutConnection, Connection: "ID:vm-1", ClientID: "app", User: "u", Remote: "tcp://127.0.0.1:43614"},
			`{"ConnectionInfo":{"commandId":0,"responseRequired":false,"connectionId":{"value":"ID:vm-1"},"clientId":"app","clientIp":"tcp://127.0.0.1:43614","userName":"u","password":"","brokerMasterConnector":false,"manageable":true,"clientMaster":true,"faultTolerant":false,"failoverReconnect":false}}`},
		"connection gone": {message.Advisory{Kind: message.AboutConnection, Connection: "ID:vm-1", Removed: true},
			`{"RemoveInfo":{"commandId":0,"responseRequired":false,"objectId":{"@class":"ConnectionId","value":"ID:vm-1"},"lastDeliveredSequenceId":-2}}`},
		"queue": {message.Advisory{Destination: queue},
			`{"DestinationInfo":{"commandId":0,"responseRequired":false,"destination":{"@class":"ActiveMQQueue","string":"Q","null":""},"operationType":0,"timeout":0}}`},
		"temporary queue gone": {message.Advisory{Destination: message.Destination{Kind: message.TempQueue, Name: "ID:vm-1:1"}, Connection: "ID:vm-1", Removed: true},
			`{"DestinationInfo":{"commandId":0,"responseRequired":false,"connectionId":{"value":"ID:vm-1"},"destination":{"@class":"ActiveMQTempQueue","string":"ID:vm-1:1","null":""},"operationType":1,"timeout":0}}`},
		"producer": {message.Advisory{Kind: message.AboutProducer, ID: "ID:vm-1:1:1", Destination: queue},
			`{"ProducerInfo":{"commandId":0,"responseRequired":false,"producerId":{"connectionId":"ID:vm-1","sessionId":1,"value":1},"destination":{"@class":"ActiveMQQueue","string":"Q","null":""},"dispatchAsync":false,"windowSize":0}}`},
		"consumer": {message.Advisory{Kind: message.AboutConsumer, ID: "ID:vm-1:1:1", Destination: queue, Prefetch: 1000, Selector: "i = 3", ClientID: "app"},
			`{"ConsumerInfo":{"commandId":0,"responseRequired":false,"consumerId":{"connectionId":"ID:vm-1","sessionId":1,"value":1},"destination":{"@class":"ActiveMQQueue","string":"Q","null":""},"prefetchSize":1000,"maximumPendingMessageLimit":0,"browser":false,"dispatchAsync":true,"selector":"i = 3","clientId":"app","noLocal":false,"exclusive":false,"retroactive":false,"priority":0,"optimizedAcknowledge":false,"noRangeAcks":false}}`},
		"consumer gone": {message.Advisory{Kind: message.AboutConsumer, ID: "ID:vm-1:-1:2", Removed: true},
			`{"RemoveInfo":{"commandId":0,"responseRequired":false,"objectId":{"@class":"ConsumerId","connectionId":"ID:vm-1","sessionId":-1,"value":2},"lastDeliveredSequenceId":-2}}`},
		"message": {message.Advisory{Kind: message.AboutMessage, Message: m},
			`{"ActiveMQTextMessage":{"commandId":0,"responseRequired":false,"messageId":{"producerId":{"connectionId":"ID:vm-1","sessionId":1,"value":1},"producerSequenceId":1,"brokerSequenceId":0},"producerId":{"connectionId":"ID:vm-1","sessionId":1,"value":1},"destination":{"@class":"ActiveMQQueue","string":"Q","null":""},"expiration":63,"timestamp":62,"brokerInTime":66,"persistent":true,"priority":4,"groupSequence":0,"compressed":false,"redeliveryCounter":0,"properties":[{"entry":[{"string":"i","int":3},{"string":["k","v"]}]}]}}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var got, want any
			text := formatAdvisory(&tt.advisory)
			if err := json.Unmarshal(text, &got); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal([]byte(tt.want), &want); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %s\nwant %s", text, tt.want)
			}
		})
	}
}
