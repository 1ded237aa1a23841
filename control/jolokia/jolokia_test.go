package jolokia

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/message"
)

func TestNames(t *testing.T) {
	bean := named("type", "Broker", "brokerName", "b", "destinationType", "Queue", "destinationName", "ID:x,y=*?\"")
	if want := "org.apache.activemq:brokerName=b,destinationName=ID_x_y____,destinationType=Queue,type=Broker"; bean.String() != want {
		t.Errorf("name %s, want %s", bean, want)
	}
	for pattern, fits := range map[string]bool{
		"org.apache.activemq:*": true,
		"*:*":                   true,
		"org.apache.activemq:type=Broker,brokerName=b,destinationType=Queue,destinationName=ID_x_y____": true,
		"org.apache.activemq:type=Broker,brokerName=b,destinationType=Queue,destinationName=*":          true,
		"org.apache.activemq:type=Broker,destinationType=Q?eue,*":                                       true,
		"org.apache.activemq:destinationName=I*y*,*":                                                    true,
		"org.apache.activemq:type=Broker,brokerName=b":                                                  false,
		"org.apache.activemq:type=Broker,brokerName=*,destinationType=Queue":                            false,
		"org.apache.activemq:type=Broker,brokerName=c,*":                                                false,
		"org.apache.activemq:service=Health,*":                                                          false,
		"java.lang:*":                                                                                   false,
	} {
		n, err := ParseName(pattern)
		if err != nil || n.Fits(bean) != fits {
			t.Errorf("ParseName(%q).Fits(%s) = %v, %v; want %v", pattern, bean, n.Fits(bean), err, fits)
		}
	}
	for _, bad := range []string{"", "x", "x:", "x:y", "x:=y", "x:a=1,a=2", "x:a=1,,b=2", strings.Repeat("x", maxName) + ":a=1"} {
		if n, err := ParseName(bad); err == nil {
			t.Errorf("%.40q is taken for %v", bad, n)
		}
	}
}

func TestPaths(t *testing.T) {
	for path, parts := range map[string][]string{"a/b": {"a", "b"}, "a!/b/c!!": {"a/b", "c!"}, "": {""}, "a/": {"a", ""}, "!": {"!"}} {
		if got := Split(path); !reflect.DeepEqual(got, parts) {
			t.Errorf("Split(%q) = %q, want %q", path, got, parts)
		}
		if got := Split(Join(parts)); !reflect.DeepEqual(got, parts) {
			t.Errorf("Split(Join(%q)) = %q", parts, got)
		}
	}
}

func agent(n int) *Agent {
	v := &broker.View{}
	for i := range n {
		name := fmt.Sprint("q", i)
		v.Destinations = append(v.Destinations, broker.DestinationView{Destination: message.Destination{Kind: message.Queue, Name: name}, Kind: "queue", Name: name, Size: int64(i)})
	}
	v.Consumers = []broker.ConsumerView{{Conn: 1, Consumer: 2, ClientID: "c", Destination: "queue://q1"}, {Conn: 1, Consumer: 3, ClientID: "c", Destination: "topic://t"}}
	v.Subscriptions = []broker.SubscriptionView{{ClientID: "c", Name: "s", Topic: "t", Durable: true}}
	v.Connections = []broker.ConnectionView{{Conn: 1, ClientID: "c", Listener: "openwire"}}
	return &Agent{View: func() (*broker.View, error) { return v, nil }, Facts: func() Facts { return Facts{Name: "b", Connectors: map[string]string{"openwire": "tcp://h:1"}} }, Now: time.Unix(1, 0)}
}

// TestAnswersAreBounded asks for more than there may be in one answer.
func TestAnswersAreBounded(t *testing.T) {
	questions := make([]Request, MaxRequests)
	for i := range questions {
		questions[i] = Request{Type: "list"}
	}
	data, err := agent(100).Answers(questions, true)
	if err != nil || len(data) > maxAnswer+1<<20 {
		t.Errorf("%d bytes, %v; at most %d may be", len(data), err, maxAnswer)
	}
	var answers []Answer
	if err := json.Unmarshal(data, &answers); err != nil || len(answers) != MaxRequests || answers[MaxRequests-1].Status != 500 {
		t.Errorf("%d answers, the last with status %d, %v; want %d, 500", len(answers), answers[len(answers)-1].Status, err, MaxRequests)
	}
	if _, _, err := FromBody(strings.NewReader("[" + strings.Repeat("{},", MaxRequests) + "{}]")); err == nil {
		t.Error("more requests than may be are taken")
	}
	if _, _, err := FromBody(strings.NewReader(`{"type":"` + strings.Repeat("x", MaxBody) + `"}`)); err == nil {
		t.Error("a body that is longer than may be is taken")
	}
}

// FuzzQuestions asks anything, by path and by body: there is always one answer to each, and it is JSON.
func FuzzQuestions(f *testing.F) {
	for _, seed := range []string{"read/org.apache.activemq:type=Broker,brokerName=b,destinationType=Queue,destinationName=q1/QueueSize", "list/org.apache.activemq", "search/*:*", "exec/a:b=c/purge()/x", "version", "read/*:*/A,B/c!/d",
		`{"type":"read","mbean":"*:*","attribute":["Name"],"path":"a"}`, `[{"type":"list","path":"org.apache.activemq/type=Broker,*","config":{"maxDepth":3}}]`, `{"type":"exec","mbean":"*:*","operation":"purge","arguments":[{}]}`, `{"type":"write"}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		check := func(questions []Request, bulk bool) {
			data, err := agent(3).Answers(questions, bulk)
			if err != nil {
				t.Fatalf("%q: %v", text, err)
			}
			var answers []Answer
			if !bulk {
				data = append(append([]byte("["), data...), ']')
			}
			if err := json.Unmarshal(data, &answers); err != nil || len(answers) != len(questions) {
				t.Fatalf("%q: %d answers to %d questions, %v: %s", text, len(answers), len(questions), err, data)
			}
			for _, a := range answers {
				if a.Status < 200 || a.Status > 599 || (a.Status == 200) != (a.Error == "") || a.ErrorType != "" && a.ErrorType != noBean && a.ErrorType != noAttribute {
					t.Fatalf("%q: answer %+v", text, a)
				}
			}
		}
		if q, err := FromPath(text, url.Values{}); err == nil {
			check([]Request{q}, false)
		}
		if q, bulk, err := FromBody(bytes.NewReader([]byte(text))); err == nil {
			check(q, bulk)
		}
	})
}

// BenchmarkKEDA is one scaler's question to a broker of 5,000 queues, without the core's part.
func BenchmarkKEDA(b *testing.B) {
	a := agent(5000)
	for range b.N {
		a.seen = nil
		if r := a.Answer(Request{Type: "read", MBean: "org.apache.activemq:type=Broker,brokerName=b,destinationType=Queue,destinationName=q4999", Attribute: json.RawMessage(`"QueueSize"`)}); r.Value != int64(4999) {
			b.Fatal(r)
		}
	}
}
