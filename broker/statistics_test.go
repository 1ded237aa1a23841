package broker

import (
	"fmt"
	"testing"

	"github.com/godwitmq/godwit/message"
)

// question asks for statistics and gives the answers as maps.
func (r *rig) question(c ConnID, to message.Destination, properties ...string) []map[string]any {
	r.t.Helper()
	m := r.msg(to, "", transient, func(m *message.Message) {
		m.ReplyTo, m.CorrelationID = message.Destination{Kind: message.TempQueue, Name: "reply"}, "c"
		for _, p := range properties {
			m.Properties = m.Properties.With(p, true)
		}
	})
	var answers []map[string]any
	for _, d := range deliveries(r.send(c, m), c, 99) {
		if d.Message.Type != message.Map || d.Message.CorrelationID != "c" || d.Message.JMSType != "Advisory" {
			r.t.Fatalf("answer is %+v", d.Message)
		}
		body, err := d.Message.MapBody()
		if err != nil {
			r.t.Fatal(err)
		}
		values, err := body.Map()
		if err != nil {
			r.t.Fatal(err)
		}
		answers = append(answers, values)
		r.ack(c, 99, Consumed, d)
	}
	return answers
}

func statisticsRig(t *testing.T) (*rig, ConnID) {
	r := newRig(t, Options{ID: "ID:1", Name: "b", Directory: "data", Connectors: map[string]string{"openwire": "tcp://x:1"}})
	c := r.connect("ID:c", "app")
	reply := message.Destination{Kind: message.TempQueue, Name: "reply"}
	r.do(&CreateDestination{Conn: c, Destination: reply})
	r.consume(c, 99, reply, 100)
	for i := range 3 {
		r.send(c, r.msg(tq("A.1"), fmt.Sprint(i), func(m *message.Message) { m.Received, m.Timestamp = r.now, 17 }))
	}
	r.send(c, r.msg(tq("A.2"), "x", func(m *message.Message) { m.Received = r.now }))
	r.now += 40
	d := r.consume(c, 1, tq("A.1"), 2, func(s *Subscribe) { s.Label, s.Selector = "ID:c:7:1", "TRUE" })
	r.ack(c, 1, Consumed, d[0])
	return r, c
}

func TestStatistics(t *testing.T) {
	r, c := statisticsRig(t)
	type values map[string]any
	tests := map[string]struct {
		to         message.Destination
		properties []string
		want       []values // of each answer, some
	}{
		"broker": {tq("ActiveMQ.Statistics.Broker"), nil, []values{{"brokerId": "ID:1", "brokerName": "b", "size": int64(3), "openwire": "tcp://x:1", "ssl": "", "vm": "vm://b", "dataDirectory": "data", "consumerCount": int64(2)}}},
		"a queue": {tq("ActiveMQ.Statistics.Destination.A.1"), nil, []values{{"destinationName": "queue://A.1", "size": int64(2), "enqueueCount": int64(3), "dequeueCount": int64(1), "dispatchCount": int64(3),
			"inflightCount": int64(2), "expiredCount": int64(0), "consumerCount": int64(1), "producerCount": int64(0), "averageEnqueueTime": 40.0, "maxEnqueueTime": 40.0, "minEnqueueTime": 40.0, "memoryPercentUsage": int32(0)}}},
		"without a dot":       {tq("ActiveMQ.Statistics.DestinationA.2"), nil, []values{{"destinationName": "queue://A.2", "size": int64(1)}}},
		"a pattern":           {tq("ActiveMQ.Statistics.Destination.A.>"), nil, []values{{"destinationName": "queue://A.1"}, {"destinationName": "queue://A.2"}}},
		"an end":              {tq("ActiveMQ.Statistics.Destination.*.1"), []string{statisticsEnd}, []values{{"destinationName": "queue://A.1"}, {}}},
		"the oldest":          {tq("ActiveMQ.Statistics.Destination.A.2"), []string{statisticsOldest}, []values{{"firstMessageTimestamp": int64(0)}}},
		"a queue of no topic": {tt("ActiveMQ.Statistics.Destination.A.1"), nil, nil},
		"nothing":             {tq("ActiveMQ.Statistics.Destination."), nil, nil},
		"subscriptions": {tq("ActiveMQ.Statistics.Subscription"), nil, []values{{"destinationName": "A.1", "clientId": "app", "connectionId": "ID:c", "sessionId": int64(7), "selector": "TRUE", "prefetchSize": int32(2),
			"dispatchedQueueSize": int64(2), "dequeueCounter": int64(1), "slowConsumer": false, "exclusive": false}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := r.question(c, tt.to, tt.properties...)
			if len(got) != len(tt.want) {
				t.Fatalf("%d answers %v, want %d", len(got), got, len(tt.want))
			}
			for i, want := range tt.want {
				for key, value := range want {
					if got[i][key] != value {
						t.Errorf("answer %d: %s is %v (%T), want %v (%T)", i, key, got[i][key], got[i][key], value, value)
					}
				}
			}
		})
	}
}

func TestStatisticsReset(t *testing.T) {
	r, c := statisticsRig(t)
	if got := r.question(c, tq(statisticsBroker), statisticsReset)[0]; got["enqueueCount"] != int64(0) || got["size"] != int64(3) {
		t.Errorf("after a reset enqueueCount is %v and size %v, want 0 and 3", got["enqueueCount"], got["size"])
	}
}

// What is no question, or must not be answered, is a message like any other; what cannot be answered is not kept.
func TestNoStatistics(t *testing.T) {
	r, c := statisticsRig(t)
	r.send(c, r.msg(tq(statisticsBroker), "no answer wanted"))
	if n := r.look(tq(statisticsBroker)).Size; n != 1 {
		t.Errorf("%d messages wait where nobody asked for an answer, want 1", n)
	}
	r.send(c, r.msg(tq(statisticsBroker), "nobody there", func(m *message.Message) { m.ReplyTo = tq("none") }))
	if n := r.look(tq(statisticsBroker)).Size; n != 1 {
		t.Errorf("%d messages wait, want 1", n)
	}
	r.do(&Configure{Policies: Policies{NoStatistics: true}})
	if got := r.question(c, tq(statisticsBroker)); len(got) != 0 {
		t.Errorf("%d answers although it is off", len(got))
	}
	if n := r.look(tq(statisticsBroker)).Size; n != 2 {
		t.Errorf("%d messages wait, want 2", n)
	}
}
