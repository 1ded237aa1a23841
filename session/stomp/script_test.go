package stomp

import (
	"testing"

	"github.com/godwitmq/godwit/security"
)

// TestDialect goes through what was seen of ActiveMQ. A message that must not come is shown by a receipt that comes instead.
func TestDialect(t *testing.T) {
	tests := map[string][]string{
		// Connect.
		"no version":            {"a> CONNECT", "a< CONNECTED|version:1.0|server:ActiveMQ/6.3.1...|heart-beat:0,0|session:ID:host-61613-1795382540159-..."},
		"version 1.1":           {"a> CONNECT|accept-version:1.0,1.1", "a< CONNECTED|version:1.1"},
		"version 1.2":           {"a> CONNECT|accept-version:1.2,1.3", "a< CONNECTED|version:1.2"},
		"version unknown":       {"a> CONNECT|accept-version:1.3|receipt:7", "a< ERROR|message:Invalid Protocol version[1.3], supported versions are: [1.2, 1.1, 1.0]|receipt-id:7", "a<EOF"},
		"STOMP":                 {"a> STOMP|accept-version:1.0", "a< CONNECTED|version:1.0"},
		"not first":             {"a> SEND|destination:/queue/a", "a< ERROR|message:Not connected...", "a<EOF"},
		"twice":                 {"a> CONNECT", "a< CONNECTED", "a> CONNECT", "a< ERROR", "a<EOF"},
		"server frame":          {"a> CONNECT", "a< CONNECTED", "a> MESSAGE|destination:/queue/a", "a< ERROR|message:Unknown STOMP action: MESSAGE", "a<EOF"},
		"CONNECTED first":       {"a> STOMP", "a< CONNECTED", "b> RECEIPT", "b< ERROR", "b<EOF"},
		"unknown command":       {"a> CONNECT", "a< CONNECTED", "a> FOO", "a< ERROR|message:Unknown STOMP action: FOO", "a<EOF"},
		"request-id":            {"a> CONNECT|request-id:9", "a< CONNECTED|response-id:9|receipt-id:9"},
		"receipt":               {"a> CONNECT|receipt:9", "a< CONNECTED|response-id:9|receipt-id:9"},
		"no receipt":            {"a> CONNECT", "a< CONNECTED|!receipt-id|!response-id"},
		"heart-beat exchanged":  {"a> CONNECT|heart-beat:50000,70000", "a< CONNECTED|heart-beat:70000,50000"},
		"heart-beat too often":  {"a> CONNECT|heart-beat:0,1", "a< CONNECTED|heart-beat:100,0"},
		"heart-beat unreadable": {"a> CONNECT|heart-beat:x", "a< ERROR|message:Invalid heart-beat header:x", "a<EOF"},
		"client id": {"a> CONNECT|client-id:cid1", "a< CONNECTED|session:cid1", "b> CONNECT|client-id:cid1",
			"b< ERROR|message:Broker: godwit - Client: cid1 already connected from tcp://192.0.2.1:4711", "b<EOF", "a> SEND|destination:/queue/a|receipt:1", "a< RECEIPT|receipt-id:1"},
		"credentials ignored": {"a> CONNECT|login:admin|passcode:wrong", "a< CONNECTED"},
		"codec error":         {"a> CONNECT", "a< CONNECTED", "a> SEND|destination:/queue/a|content-length:-1||x", "a< ERROR|message:Specified content-length may not be negative", "a<EOF"},

		// Destinations.
		"bare name":       {"a> CONNECT", "a< CONNECTED", "a> SEND|destination:foo|receipt:1||x", "a< RECEIPT", "a> SUBSCRIBE|destination:/queue/foo", "a< MESSAGE|destination:/queue/foo||x"},
		"scheme is name":  {"a> CONNECT", "a< CONNECTED", "a> SEND|destination:queue://qq|receipt:1||x", "a< RECEIPT", "a> SUBSCRIBE|destination:queue://qq", "a< MESSAGE|destination:/queue/queue://qq||x"},
		"unknown prefix":  {"a> CONNECT", "a< CONNECTED", "a> SEND|destination:/foo/t1|receipt:1||x", "a< RECEIPT", "a> SUBSCRIBE|destination:/foo/t1", "a< MESSAGE|destination:/queue//foo/t1||x"},
		"spaces trimmed":  {"a> CONNECT", "a< CONNECTED", "a> SEND|destination: /queue/ name |receipt:1||x", "a< RECEIPT", "a> SUBSCRIBE|destination:/queue/name", "a< MESSAGE|destination:/queue/name||x"},
		"empty name":      {"a> CONNECT", "a< CONNECTED", "a> SEND|destination:/queue/|receipt:1||x", "a< ERROR|receipt-id:1", "a> SEND|destination:/queue/a|receipt:2", "a< RECEIPT|receipt-id:2"},
		"no name":         {"a> CONNECT", "a< CONNECTED", "a> SEND|destination:,|receipt:1||x", "a< ERROR|receipt-id:1", "a> SEND|receipt:2||x", "a< ERROR|receipt-id:2"},
		"queue pattern":   {"a> CONNECT", "a< CONNECTED", "a> SUBSCRIBE|destination:/queue/w.>", "a> SEND|destination:/queue/w.x.y||x", "a< MESSAGE|destination:/queue/w.x.y||x"},
		"topic pattern":   {"a> CONNECT", "a< CONNECTED", "a> SUBSCRIBE|destination:/topic/w.*", "a> SEND|destination:/topic/w.x||x", "a< MESSAGE|destination:/topic/w.x||x"},
		"send to pattern": {"a> CONNECT", "a< CONNECTED", "a> SEND|destination:/queue/w.>|receipt:1||x", "a< ERROR|receipt-id:1"},
		"composite": {"a> CONNECT", "a< CONNECTED", "b> CONNECT", "b< CONNECTED", "a> SUBSCRIBE|id:1|destination:/queue/c1,/queue/c2", "b> SUBSCRIBE|id:2|destination:/topic/c.*|receipt:s", "b< RECEIPT",
			"a> SEND|destination:/queue/c1,/topic/c.3||x", "a< MESSAGE|subscription:1|destination:/queue/c1|original-destination:/queue/c1,/topic/c.3||x",
			"b< MESSAGE|subscription:2|destination:/topic/c.3|original-destination:/queue/c1,/topic/c.3||x"},
		"options": {"a> CONNECT", "a< CONNECTED", "a> SUBSCRIBE|id:1|destination:/queue/o?consumer.prefetchSize=0|receipt:s", "a< RECEIPT",
			"a> SEND|destination:/queue/o?x=y||m", "a> SUBSCRIBE|id:2|destination:/queue/o", "a< MESSAGE|destination:/queue/o|subscription:2||m"},
		"temporary": {"a> CONNECT", "a< CONNECTED", "b> CONNECT", "b< CONNECTED",
			"a> SUBSCRIBE|id:1|destination:/temp-queue/foo", "b> SUBSCRIBE|id:2|destination:/queue/rpc|receipt:s", "b< RECEIPT",
			"a> SEND|destination:/queue/rpc|reply-to:/temp-queue/foo||ask", "b< MESSAGE|reply-to:$to|reply-to:/remote-temp-queue/ID:host-...||ask",
			"b> SEND|destination:$to||answer", "a< MESSAGE|destination:/temp-queue/foo|subscription:1||answer",
			"b> SUBSCRIBE|id:3|destination:$to|receipt:no", "b< ERROR|message:Subscribing to a temporary queue created by another connection is not permitted|receipt-id:no",
			"a> DISCONNECT|receipt:bye", "a< RECEIPT|receipt-id:bye", "a<EOF"},
		"temporary topic": {"a> CONNECT", "a< CONNECTED", "a> SUBSCRIBE|destination:/temp-topic/t", "a> SEND|destination:/temp-topic/t||x", "a< MESSAGE|destination:/temp-topic/t||x"},
		"own reply-to": {"a> CONNECT", "a< CONNECTED", "a> SEND|destination:/queue/own|reply-to:/temp-queue/r||x", "a> SUBSCRIBE|destination:/queue/own",
			"a< MESSAGE|reply-to:/temp-queue/r"},
		"temporary is gone": {"a> CONNECT", "a< CONNECTED", "a> SEND|destination:/remote-temp-queue/ID:gone:1|receipt:1||x", "a< ERROR|receipt-id:1", "a> SEND|destination:/queue/a|receipt:2",
			"a< RECEIPT|receipt-id:2"},
		"reply-to text": {"a> CONNECT", "a< CONNECTED", "a> SEND|destination:/queue/rt|reply-to:somewhere", "a> SUBSCRIBE|destination:/queue/rt", "a< MESSAGE|reply-to:somewhere"},

		// SEND.
		"headers": {"a> CONNECT|accept-version:1.2", "a< CONNECTED", "a> SEND|destination:/queue/h|persistent:true|priority:12|correlation-id:c|type:t|timestamp:5|x:a\\cb|x:second|receipt:1||body",
			"a< RECEIPT", "a> SUBSCRIBE|id:s|destination:/queue/h",
			"a< MESSAGE|persistent:true|priority:9|correlation-id:c|type:t|timestamp:5|expires:0|x:a:b|subscription:s|!receipt|!ack|!content-length|!redelivered|message-id:ID:host-...||body"},
		"defaults":                  {"a> CONNECT", "a< CONNECTED", "a> SUBSCRIBE|destination:/queue/d", "a> SEND|destination:/queue/d||x", "a< MESSAGE|priority:4|!persistent|!subscription"},
		"bytes":                     {"a> CONNECT", "a< CONNECTED", "a> SUBSCRIBE|destination:/queue/d", "a> SEND|destination:/queue/d|content-length:3||a\x00b", "a< MESSAGE|content-length:3||a\x00b"},
		"message type":              {"a> CONNECT", "a< CONNECTED", "a> SUBSCRIBE|destination:/queue/d", "a> SEND|destination:/queue/d|amq-msg-type:bytes||ab", "a< MESSAGE|content-length:2||ab"},
		"message type text":         {"a> CONNECT", "a< CONNECTED", "a> SUBSCRIBE|destination:/queue/d", "a> SEND|destination:/queue/d|amq-msg-type:text|content-length:2||ab", "a< MESSAGE|content-length:2||ab"},
		"message type map":          {"a> CONNECT", "a< CONNECTED", "a> SEND|destination:/queue/d|amq-msg-type:map||ab", "a< ERROR|message:Unsupported message type 'map'", "a> SEND|destination:/queue/d|receipt:1", "a< RECEIPT"},
		"priority unreadable":       {"a> CONNECT", "a< CONNECTED", "a> SEND|destination:/queue/d|priority:high|receipt:1", "a< ERROR|receipt-id:1|message:The priority header must be a whole number, got \"high\""},
		"expires unreadable":        {"a> CONNECT", "a< CONNECTED", "a> SEND|destination:/queue/d|expires:never", "a< ERROR|message:The expires header must be a whole number, got \"never\""},
		"expired":                   {"a> CONNECT", "a< CONNECTED", "a> SUBSCRIBE|destination:/queue/d", "a> SEND|destination:/queue/d|expires:5||late", "a> SEND|destination:/queue/d||x", "a< MESSAGE||x"},
		"dropped headers":           {"a> CONNECT", "a< CONNECTED", "a> SUBSCRIBE|destination:/queue/d", "a> SEND|destination:/queue/d|redelivered:true|JMSXUserID:fake|subscription:9", "a< MESSAGE|!redelivered|!JMSXUserID|!subscription"},
		"groups are not given back": {"a> CONNECT", "a< CONNECTED", "a> SUBSCRIBE|destination:/queue/d", "a> SEND|destination:/queue/d|JMSXGroupID:g|JMSXGroupSeq:2", "a< MESSAGE|!JMSXGroupID|!JMSXGroupSeq"},
		"prefix of a command":       {"a> CONNECT", "a< CONNECTED", "a> SUB|id:1|destination:/queue/d", "a> SENDX|destination:/queue/d||x", "a< MESSAGE||x", "a> UNSUB|id:1|receipt:1", "a< RECEIPT"},
		"empty body":                {"a> CONNECT", "a< CONNECTED", "a> SUBSCRIBE|destination:/queue/d", "a> SEND|destination:/queue/d", "a< MESSAGE|!content-length||"},

		// SUBSCRIBE.
		"no id":              {"a> CONNECT|accept-version:1.1", "a< CONNECTED", "a> SUBSCRIBE|destination:/queue/d|receipt:1", "a< ERROR|message:SUBSCRIBE received without a subscription id!|receipt-id:1"},
		"receipt first":      {"a> CONNECT", "a< CONNECTED", "a> SEND|destination:/queue/d||x", "a> SUBSCRIBE|destination:/queue/d|receipt:1", "a< RECEIPT|receipt-id:1", "a< MESSAGE"},
		"selector":           {"a> CONNECT", "a< CONNECTED", "a> SUBSCRIBE|destination:/queue/d|selector:n=5", "a> SEND|destination:/queue/d|n:6||no", "a> SEND|destination:/queue/d|n:5||yes", "a< MESSAGE||yes"},
		"selector, text":     {"a> CONNECT", "a< CONNECTED", "a> SUBSCRIBE|destination:/queue/d|selector:n='5'", "a> SEND|destination:/queue/d|n:6||no", "a> SEND|destination:/queue/d|n:5||yes", "a< MESSAGE||yes"},
		"selector, bad":      {"a> CONNECT", "a< CONNECTED", "a> SUBSCRIBE|destination:/queue/d|selector:n ==== |receipt:1", "a< ERROR|receipt-id:1|message:invalid selector:...", "a> UNSUBSCRIBE|destination:/queue/d", "a< ERROR|message:No subscription matched."},
		"prefetch 0":         {"a> CONNECT", "a< CONNECTED", "a> SUBSCRIBE|destination:/queue/d|activemq.prefetchSize:0", "a> SEND|destination:/queue/d|receipt:1||x", "a< RECEIPT"},
		"prefetch no number": {"a> CONNECT", "a< CONNECTED", "a> SUBSCRIBE|destination:/queue/d|activemq.prefetchSize:x", "a> SEND|destination:/queue/d||x", "a< MESSAGE"},
		"prefetch 1": {"a> CONNECT|accept-version:1.2", "a< CONNECTED", "a> SUBSCRIBE|id:1|ack:client|destination:/queue/d|activemq.prefetchSize:1", "a> SEND|destination:/queue/d||1", "a> SEND|destination:/queue/d||2",
			"a< MESSAGE|ack:$one||1", "a> SEND|destination:/queue/z|receipt:r", "a< RECEIPT", "a> ACK|id:$one", "a< MESSAGE||2"},
		"durable queue": {"a> CONNECT|client-id:c", "a< CONNECTED", "a> SUBSCRIBE|destination:/queue/d|activemq.subscriptionName:n", "a< ERROR|message:Invalid Subscription: cannot durably subscribe to a Queue destination!"},
		"durable": {"a> CONNECT|client-id:c|accept-version:1.1", "a< CONNECTED", "a> SUBSCRIBE|id:1|destination:/topic/d|activemq.subscriptionName:n|receipt:1", "a< RECEIPT",
			"a> UNSUBSCRIBE|id:1|activemq.subscriptionName:n|receipt:2", "a< ERROR|message:Durable consumer is in use|receipt-id:2", "a> UNSUBSCRIBE|id:1|receipt:3", "a< RECEIPT|receipt-id:3",
			"a> SEND|destination:/topic/d|persistent:true|receipt:4||missed", "a< RECEIPT", "a> SUBSCRIBE|id:2|destination:/topic/d|activemq.subscriptionName:n", "a< MESSAGE|subscription:2||missed",
			"a> UNSUBSCRIBE|id:2", "a> UNSUBSCRIBE|id:2|activemq.subscriptionName:n|receipt:5", "a< RECEIPT|receipt-id:5", "a> UNSUBSCRIBE|id:2|activemq.subscriptionName:n|receipt:6", "a< ERROR|receipt-id:6"},
		"shared": {"a> CONNECT|accept-version:1.1", "a< CONNECTED", "b> CONNECT|accept-version:1.1", "b< CONNECTED",
			"a> SUBSCRIBE|id:1|destination:/topic/d|subscription-type:shared|durable-subscription-name:n|receipt:1", "a< RECEIPT",
			"b> SUBSCRIBE|id:1|destination:/topic/d|subscription-type:shared|durable-subscription-name:n|receipt:1", "b< RECEIPT",
			"b> SUBSCRIBE|id:2|destination:/topic/d|subscription-type:shared|durable-subscription-name:n|selector:a = 1|receipt:2", "b< ERROR|message:Shared subscription is in use...|receipt-id:2",
			"a> SEND|destination:/topic/d||x", "a> SEND|destination:/topic/d||y", "a< MESSAGE||x", "b< MESSAGE||y"},
		"shared durable": {"a> CONNECT|accept-version:1.1", "a< CONNECTED",
			"a> SUBSCRIBE|id:1|destination:/topic/d|subscription-type:shared-durable|activemq.subscriptionName:n|receipt:1", "a< RECEIPT",
			"a> UNSUBSCRIBE|id:1|receipt:2", "a< RECEIPT", "a> SEND|destination:/topic/d||x",
			"a> SUBSCRIBE|id:2|destination:/topic/d|subscription-type:shared-durable|durable-subscription-name:n", "a< MESSAGE||x",
			"a> UNSUBSCRIBE|id:2|receipt:3", "a< RECEIPT", "a> UNSUBSCRIBE|subscription-type:shared-durable|durable-subscription-name:n|receipt:4", "a< RECEIPT|receipt-id:4",
			"a> UNSUBSCRIBE|subscription-type:shared-durable|durable-subscription-name:n|receipt:5", "a< ERROR|receipt-id:5"},
		"shared without a name": {"a> CONNECT", "a< CONNECTED", "a> SUBSCRIBE|id:1|destination:/topic/d|subscription-type:shared", "a< ERROR|message:SUBSCRIBE with subscription-type:shared needs..."},
		"type of other brokers": {"a> CONNECT", "a< CONNECTED", "a> SUBSCRIBE|id:1|destination:/topic/d|subscription-type:MULTICAST|durable-subscription-name:n", "a> SEND|destination:/topic/d||x", "a< MESSAGE||x"},
		"durable, nameless client": {"a> CONNECT", "a< CONNECTED", "a> SUBSCRIBE|id:1|destination:/topic/d|activemq.subscriptionName:n", "a> SEND|destination:/topic/d||x", "a< MESSAGE||x",
			"a> UNSUBSCRIBE|id:1|activemq.subscriptionName:n|receipt:1", "a< RECEIPT"},
		"no local": {"a> CONNECT", "a< CONNECTED", "a> SUBSCRIBE|destination:/topic/d|activemq.noLocal:true", "a> SEND|destination:/topic/d|receipt:1", "a< RECEIPT"},
		"browser": {"a> CONNECT|accept-version:1.1", "a< CONNECTED", "a> SEND|destination:/queue/d||1", "a> SEND|destination:/queue/d||2", "a> SUBSCRIBE|id:b|destination:/queue/d|browser:true",
			"a< MESSAGE|subscription:b||1", "a< MESSAGE||2", "a< MESSAGE|browser:end|message-id:0|subscription:b|destination:/queue/d||", "a> SUBSCRIBE|id:c|destination:/queue/d", "a< MESSAGE|subscription:c|!redelivered||1"},
		"browser in 1.0":   {"a> CONNECT", "a< CONNECTED", "a> SUBSCRIBE|id:b|destination:/queue/d|browser:true", "a< ERROR"},
		"one id twice":     {"a> CONNECT", "a< CONNECTED", "a> SUBSCRIBE|id:1|destination:/queue/old", "a> SUBSCRIBE|id:1|destination:/queue/new", "a> UNSUBSCRIBE|id:1", "a> SEND|destination:/queue/new", "a> SEND|destination:/queue/old||x", "a< MESSAGE|destination:/queue/old"},
		"unknown id":       {"a> CONNECT", "a< CONNECTED", "a> UNSUBSCRIBE|id:9|receipt:1", "a< ERROR|message:No subscription matched.|receipt-id:1", "a> UNSUBSCRIBE", "a< ERROR"},
		"unknown ack mode": {"a> CONNECT|accept-version:1.2", "a< CONNECTED", "a> SUBSCRIBE|id:1|ack:sometimes|destination:/queue/d", "a> SEND|destination:/queue/d", "a< MESSAGE|!ack"},

		// ACK and NACK.
		"ack 1.0": {"a> CONNECT", "a< CONNECTED", "a> SUBSCRIBE|id:1|ack:client|destination:/queue/d", "a> SEND|destination:/queue/d||x", "a< MESSAGE|message-id:$m|!ack", "a> ACK|message-id:$m|receipt:1", "a< RECEIPT",
			"a> ACK|message-id:$m|receipt:2", "a< ERROR|message:Unexpected ACK received for message-id [$m]|receipt-id:2", "a> NACK|message-id:$m", "a< ERROR|message:NACK received but connection is in v1.0 mode."},
		"ack 1.1": {"a> CONNECT|accept-version:1.1", "a< CONNECTED", "a> SUBSCRIBE|id:1|ack:client|destination:/queue/d", "a> SEND|destination:/queue/d||x", "a< MESSAGE|message-id:$m|!ack",
			"a> ACK|message-id:$m", "a< ERROR", "a> ACK|subscription:1", "a< ERROR", "a> ACK|subscription:2|message-id:$m", "a< ERROR", "a> ACK|subscription:1|message-id:$m|receipt:1", "a< RECEIPT"},
		"ack 1.2": {"a> CONNECT|accept-version:1.2", "a< CONNECTED", "a> SUBSCRIBE|id:1|ack:client-individual|destination:/queue/d", "a> SEND|destination:/queue/d||x", "a< MESSAGE|message-id:$m|ack:$a",
			"a> ACK|id:$m", "a< ERROR|message:Unexpected ACK...", "a> ACK|message-id:$m", "a< ERROR", "a> ACK|id:$a|receipt:1", "a< RECEIPT", "a> ACK|id:$a|receipt:2", "a< ERROR|receipt-id:2|message:Unexpected ACK received for message-id [$a]"},
		"cumulative": {"a> CONNECT|accept-version:1.2", "a< CONNECTED", "a> SUBSCRIBE|id:1|ack:client|destination:/queue/d", "a> SEND|destination:/queue/d||1", "a> SEND|destination:/queue/d||2", "a> SEND|destination:/queue/d||3",
			"a< MESSAGE|ack:$one", "a< MESSAGE|ack:$two", "a< MESSAGE|ack:$three", "a> ACK|id:$two", "a> ACK|id:$one", "a< ERROR", "a> UNSUBSCRIBE|id:1", "a> SUBSCRIBE|id:2|destination:/queue/d", "a< MESSAGE|redelivered:true||3"},
		"individual": {"a> CONNECT|accept-version:1.2", "a< CONNECTED", "a> SUBSCRIBE|id:1|ack:client-individual|destination:/queue/d", "a> SEND|destination:/queue/d||1", "a> SEND|destination:/queue/d||2",
			"a< MESSAGE|ack:$one", "a< MESSAGE|ack:$two", "a> ACK|id:$two|receipt:1", "a< RECEIPT", "a> UNSUBSCRIBE|id:1", "a> SUBSCRIBE|id:2|destination:/queue/d", "a< MESSAGE|redelivered:true||1"},
		"ack after unsubscribe": {"a> CONNECT|accept-version:1.2", "a< CONNECTED", "a> SUBSCRIBE|id:1|ack:client|destination:/queue/d", "a> SEND|destination:/queue/d||1", "a< MESSAGE|ack:$one", "a> UNSUBSCRIBE|id:1",
			"a> ACK|id:$one|receipt:1", "a< RECEIPT"},
		"nack": {"a> CONNECT|accept-version:1.2", "a< CONNECTED", "a> SUBSCRIBE|id:1|ack:client|destination:/queue/d", "a> SEND|destination:/queue/d|persistent:true||1", "a> SEND|destination:/queue/d||2",
			"a< MESSAGE|ack:$one", "a< MESSAGE|ack:$two", "a> NACK|id:$one|receipt:1", "a< RECEIPT", "a> NACK|id:$two", "a> SUBSCRIBE|id:2|destination:/queue/ActiveMQ.DLQ",
			"a< MESSAGE|original-destination:/queue/d||1", "a> SEND|destination:/queue/ActiveMQ.DLQ||end", "a< MESSAGE||end"},
		"lost connection": {"a> CONNECT|accept-version:1.2", "a< CONNECTED", "a> SUBSCRIBE|id:1|ack:client|destination:/queue/d", "a> SEND|destination:/queue/d|persistent:true||1", "a< MESSAGE|!redelivered",
			"a> DISCONNECT", "a<EOF", "b> CONNECT", "b< CONNECTED", "b> SUBSCRIBE|destination:/queue/d", "b< MESSAGE|redelivered:true||1"},

		// Transactions.
		"commit": {"a> CONNECT", "a< CONNECTED", "a> SUBSCRIBE|destination:/queue/d", "a> BEGIN|transaction:t", "a> BEGIN|transaction:u", "a> SEND|destination:/queue/d|transaction:t|receipt:1||in t", "a< RECEIPT",
			"a> SEND|destination:/queue/d|transaction:u||in u", "a> COMMIT|transaction:u|receipt:2", "a< RECEIPT|receipt-id:2", "a< MESSAGE||in u", "a> COMMIT|transaction:t", "a< MESSAGE||in t"},
		"abort": {"a> CONNECT|accept-version:1.2", "a< CONNECTED", "a> SUBSCRIBE|id:1|ack:client|destination:/queue/d", "a> SEND|destination:/queue/d||x", "a< MESSAGE|ack:$x", "a> BEGIN|transaction:t|receipt:0", "a< RECEIPT",
			"a> ACK|id:$x|transaction:t", "a> ACK|id:$x|transaction:t", "a< ERROR|message:Unexpected ACK...", "a> SEND|destination:/queue/d|transaction:t||never", "a> ABORT|transaction:t|receipt:1", "a< RECEIPT|receipt-id:1",
			"a> ACK|id:$x|receipt:2", "a< RECEIPT|receipt-id:2"},
		"commit of an ack": {"a> CONNECT|accept-version:1.2", "a< CONNECTED", "a> SUBSCRIBE|id:1|ack:client|destination:/queue/d", "a> SEND|destination:/queue/d||x", "a< MESSAGE|ack:$x", "a> BEGIN|transaction:t",
			"a> ACK|id:$x|transaction:t", "a> COMMIT|transaction:t|receipt:1", "a< RECEIPT", "a> ACK|id:$x", "a< ERROR|message:Unexpected ACK..."},
		"failed commit": {"a> CONNECT|accept-version:1.2", "a< CONNECTED", "a> SUBSCRIBE|id:1|ack:client|destination:/queue/d", "a> SEND|destination:/queue/d||x", "a< MESSAGE|ack:$x", "a> BEGIN|transaction:t",
			"a> ACK|id:$x|transaction:t", "a> SEND|transaction:t|destination:/remote-temp-queue/gone", "a< ERROR", "a> COMMIT|transaction:t|receipt:1", "a< ERROR|receipt-id:1", "a> ACK|id:$x|receipt:2", "a< RECEIPT|receipt-id:2"},
		"transaction errors": {"a> CONNECT", "a< CONNECTED", "a> BEGIN", "a< ERROR|message:Must specify the transaction you are beginning", "a> COMMIT|transaction:x", "a< ERROR|message:Invalid transaction id: x",
			"a> BEGIN|transaction:x", "a> BEGIN|transaction:x", "a< ERROR|message:The transaction was already started: x", "a> SEND|destination:/queue/d|transaction:y|receipt:3", "a< ERROR|receipt-id:3|content-type:text/plain||Invalid transaction id: y",
			"a> ABORT", "a< ERROR", "a> ABORT|transaction:x|receipt:1", "a< RECEIPT"},

		// The end.
		"disconnect":             {"a> CONNECT", "a< CONNECTED", "a> SEND|destination:/queue/d|persistent:true|receipt:1", "a> DISCONNECT|receipt:2", "a< RECEIPT|receipt-id:1", "a< RECEIPT|receipt-id:2", "a<EOF"},
		"disconnect, no receipt": {"a> CONNECT", "a< CONNECTED", "a> DISCONNECT", "a<EOF"},
	}
	for name, steps := range tests {
		t.Run(name, func(t *testing.T) {
			script(t, openDeps(t, security.Policy{}), Options{}, steps...)
		})
	}
}
