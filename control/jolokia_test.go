package control

import (
	"encoding/json"
	"encoding/xml"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/message"
)

func topic(name string) message.Destination {
	return message.Destination{Kind: message.Topic, Name: name}
}

// poll makes a request as a monitor does, and gives the answer.
func (r *rig) poll(t *testing.T, method, path, body string, header ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(method, r.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("root", "right")
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "user" {
			req.SetBasicAuth(header[i+1], "right")
		} else {
			req.Header.Set(header[i], header[i+1])
		}
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

// fill makes queues and a topic with something in them.
func (r *rig) fill(t *testing.T) {
	t.Helper()
	for name, n := range map[string]int{"orders": 3, "a/b": 1, "k:v=w": 2} {
		for range n {
			if _, err := r.Send(t.Context(), queue(name), text("x")); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := r.Create(t.Context(), topic("news")); err != nil {
		t.Fatal(err)
	}
}

// TestKEDA asks as KEDA's scaler activemq does: its template of the URL, with the header Origin and without.
func TestKEDA(t *testing.T) {
	r := newRig(t, true)
	r.fill(t)
	endpoint := strings.TrimPrefix(r.url, "http://")
	template := "http://{{.ManagementEndpoint}}/api/jolokia/read/org.apache.activemq:type=Broker,brokerName={{.BrokerName}},destinationType=Queue,destinationName={{.DestinationName}}/QueueSize"
	url := strings.NewReplacer("{{.ManagementEndpoint}}", endpoint, "{{.BrokerName}}", "b1", "{{.DestinationName}}", "orders").Replace(template)
	path := strings.TrimPrefix(url, r.url)
	for name, tt := range map[string]struct {
		need   bool
		header []string
		want   int
	}{
		"with Origin":                 {false, []string{"Origin", "http://" + endpoint}, 200},
		"without":                     {false, nil, 200},
		"as ActiveMQ, with Origin":    {true, []string{"Origin", "http://" + endpoint}, 200},
		"as ActiveMQ, with Referer":   {true, []string{"Referer", "http://" + endpoint}, 200},
		"as ActiveMQ, without either": {true, nil, 403},
	} {
		t.Run(name, func(t *testing.T) {
			r.server.ConfigureJolokia(JolokiaOptions{NeedOrigin: tt.need})
			status, body := r.poll(t, "GET", path, "", tt.header...)
			var answer struct {
				Value     int   `json:"value"`
				Status    int   `json:"status"`
				Timestamp int64 `json:"timestamp"`
			}
			if err := json.Unmarshal([]byte(body), &answer); err != nil {
				t.Fatalf("%s: %v", body, err)
			}
			if status != 200 || answer.Status != tt.want || tt.want == 200 && (answer.Value != 3 || answer.Timestamp == 0) {
				t.Errorf("HTTP %d, %s; want status %d, and the value 3 if it is 200", status, body, tt.want)
			}
		})
	}
	if status, body := r.poll(t, "GET", path, "", "Origin", "http://evil.example"); status != 403 {
		t.Errorf("a page of elsewhere is answered %d, %s", status, body)
	}
}

func TestJolokia(t *testing.T) {
	r := newRig(t, true)
	r.fill(t)
	const root = "org.apache.activemq:type=Broker,brokerName=b1"
	of := func(q string) string { return root + ",destinationType=Queue,destinationName=" + q }
	for name, tt := range map[string]struct {
		method, path, body string
		http               int
		want               []string
		not                []string
	}{
		"version":            {"GET", "/api/jolokia/version", "", 200, []string{`"protocol":"7.2"`, `"product":"godwit"`, `"status":200`}, nil},
		"bare":               {"GET", "/api/jolokia", "", 200, []string{`"protocol":"7.2"`}, nil},
		"several attributes": {"GET", "/api/jolokia/read/" + of("orders") + "/QueueSize,ConsumerCount", "", 200, []string{`"value":{"ConsumerCount":0,"QueueSize":3}`}, nil},
		"all attributes":     {"GET", "/api/jolokia/read/" + of("orders"), "", 200, []string{`"EnqueueCount":3`, `"Paused":false`, `"MemoryPercentUsage":0`}, nil},
		"a slash":            {"GET", "/api/jolokia/read/" + of("a!/b") + "/QueueSize", "", 200, []string{`"value":1`}, nil},
		"cleaned name":       {"GET", "/api/jolokia/read/" + of("k_v_w") + "/Name", "", 200, []string{`"value":"k:v=w"`}, nil},
		"pattern":            {"GET", "/api/jolokia/read/org.apache.activemq:type=Broker,brokerName=*,destinationType=Queue,destinationName=*/QueueSize", "", 200, []string{`"org.apache.activemq:brokerName=b1,destinationName=orders,destinationType=Queue,type=Broker":{"QueueSize":3}`, `a/b`}, []string{"news"}},
		"path":               {"GET", "/api/jolokia/read/" + root + "/TransportConnectors/openwire", "", 200, []string{`"value":"tcp://127.0.0.1:61616"`}, nil},
		"broker":             {"GET", "/api/jolokia/read/" + root + "/StorePercentUsage,TotalMessageCount,Slave", "", 200, []string{`"StorePercentUsage":25`, `"TotalMessageCount":6`, `"Slave":false`}, nil},
		"health":             {"GET", "/api/jolokia/read/" + root + ",service=Health/CurrentStatus", "", 200, []string{`"value":"Good"`}, nil},
		"no such queue":      {"GET", "/api/jolokia/read/" + of("none") + "/QueueSize", "", 200, []string{`"status":404`, `"error_type":"javax.management.InstanceNotFoundException"`}, nil},
		"no such attribute":  {"GET", "/api/jolokia/read/" + of("orders") + "/Bogus", "", 200, []string{`"status":404`, `Bogus`}, nil},
		"another domain":     {"GET", "/api/jolokia/read/java.lang:type=Memory/HeapMemoryUsage", "", 200, []string{`"status":404`}, nil},
		"search":             {"GET", "/api/jolokia/search/org.apache.activemq:*", "", 200, []string{`destinationName=orders`, `destinationName=news,destinationType=Topic`, `service=Health`}, nil},
		"search one":         {"GET", "/api/jolokia/search/*:destinationType=Queue,*", "", 200, []string{`orders`}, []string{"news", "Health"}},
		"list":               {"GET", "/api/jolokia/list", "", 200, []string{`"org.apache.activemq":{`, `"QueueSize":{"desc":"QueueSize","rw":false,"type":"long"}`, `"purge":{"args":[]`}, nil},
		"list, shallow":      {"GET", "/api/jolokia/list?maxDepth=1", "", 200, []string{`"value":{"org.apache.activemq":1}`}, nil},
		"list, names":        {"GET", "/api/jolokia/list?maxDepth=2", "", 200, []string{`service=Health,type=Broker":1`}, []string{"QueueSize"}},
		"list one":           {"GET", "/api/jolokia/list/org.apache.activemq/brokerName=b1,destinationName=orders,destinationType=Queue,type=Broker", "", 200, []string{`"attr":{`}, []string{"news"}},
		"list an operation":  {"GET", "/api/jolokia/list/org.apache.activemq/brokerName=b1,type=Broker/op/addQueue", "", 200, []string{`"value":{"args":[{`}, nil},
		"post":               {"POST", "/api/jolokia/", `{"type":"read","mbean":"` + of("orders") + `","attribute":["QueueSize"]}`, 200, []string{`"value":{"QueueSize":3}`}, nil},
		"bulk":               {"POST", "/api/jolokia", `[{"type":"read","mbean":"` + of("orders") + `","attribute":"QueueSize"},{"type":"read","mbean":"x"},{"type":"version"}]`, 200, []string{`[{`, `"value":3`, `"status":400`, `"protocol"`}, nil},
		"empty bulk":         {"POST", "/api/jolokia", `[]`, 200, []string{`[]`}, nil},
		"bad JSON":           {"POST", "/api/jolokia", `{"type":`, 400, []string{`"status":400`}, nil},
		"bad type":           {"GET", "/api/jolokia/bogus/x", "", 400, []string{`"status":400`}, nil},
		"write":              {"POST", "/api/jolokia", `{"type":"write","mbean":"` + of("orders") + `","attribute":"MemoryLimit","value":1}`, 200, []string{`"status":403`}, nil},
		"exec by GET":        {"GET", "/api/jolokia/exec/" + of("orders") + "/purge", "", 200, []string{`"status":403`}, nil},
		"exec":               {"POST", "/api/jolokia", `{"type":"exec","mbean":"` + of("orders") + `","operation":"purge()"}`, 200, []string{`"status":403`, `http.jolokia.allow`}, nil},
		"exec of a class":    {"POST", "/api/jolokia", `{"type":"exec","mbean":"` + root + `","operation":"addConnector(java.lang.String)","arguments":["vm://x"]}`, 200, []string{`"status":403`}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			status, body := r.poll(t, tt.method, tt.path, tt.body)
			if status != tt.http {
				t.Errorf("HTTP %d, want %d", status, tt.http)
			}
			for _, want := range tt.want {
				if !strings.Contains(body, want) {
					t.Errorf("no %s in %s", want, body)
				}
			}
			for _, not := range tt.not {
				if strings.Contains(body, not) {
					t.Errorf("%s in %s", not, body)
				}
			}
		})
	}
}

// TestJolokiaOperations allows some, and asks as an administrator and as a reader.
func TestJolokiaOperations(t *testing.T) {
	r := newRig(t, true)
	r.server.Configure(false, nil)
	l, err := dial(t.Context(), r.server.options.Connect, broker.Connect{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	ref := l.ref()
	if _, err := l.ask(ref, &broker.CreateDestination{Conn: l.id(), Ref: ref, Destination: queue("orders")}); err != nil {
		t.Fatal(err)
	}
	r.server.ConfigureJolokia(JolokiaOptions{Allow: []string{"pause", "resume", "purge", "addTopic", "removeTopic"}})
	const root = `"mbean":"org.apache.activemq:type=Broker,brokerName=b1`
	const orders = root + `,destinationType=Queue,destinationName=orders"`
	for _, step := range []struct{ user, ask, want string }{
		{"eye", orders + `,"operation":"pause"`, `"status":403`},
		{"root", orders + `,"operation":"pause"`, `"status":200`},
		{"eye", orders + `,"attribute":"Paused"`, `"value":true`},
		{"root", orders + `,"operation":"resume()"`, `"status":200`},
		{"eye", orders + `,"attribute":"Paused"`, `"value":false`},
		{"root", orders + `,"operation":"purge"`, `"status":200`},
		{"root", orders + `,"operation":"purge","arguments":["x"]`, `"status":400`},
		{"root", orders + `,"operation":"addTopic","arguments":["x"]`, `"status":404`},
		{"root", root + `","operation":"addTopic"`, `"status":400`},
		{"root", root + `","operation":"addTopic","arguments":["sport"]`, `"status":200`},
		{"root", root + `","operation":"addTopic(java.lang.String)","arguments":["sport"]`, `"status":200`},
		{"eye", root + `,destinationType=Topic,destinationName=sport","attribute":"Name"`, `"value":"sport"`},
		{"root", root + `","operation":"removeTopic","arguments":["sport"]`, `"status":200`},
		{"eye", root + `,destinationType=Topic,destinationName=sport","attribute":"Name"`, `"status":404`},
		{"root", root + `","operation":"addQueue","arguments":["q"]`, `"status":403`},
		{"root", root + `,*","operation":"purge"`, `"status":400`},
	} {
		kind := "read"
		if strings.Contains(step.ask, "operation") {
			kind = "exec"
		}
		if status, body := r.poll(t, "POST", "/api/jolokia", `{"type":"`+kind+`",`+step.ask+`}`, "user", step.user); status != 200 || !strings.Contains(body, step.want) {
			t.Errorf("%s asks %s: HTTP %d, %s; want %s", step.user, step.ask, status, body, step.want)
		}
	}
	if status, body := r.poll(t, "GET", "/api/jolokia/version", "", "user", "alice"); status != 403 {
		t.Errorf("one who is no reader is answered %d, %s", status, body)
	}
}

// TestFeeds reads the feeds as a monitor's XML parser does.
func TestFeeds(t *testing.T) {
	r := newRig(t, true)
	r.fill(t)
	r.server.Configure(false, nil)
	l, err := dial(t.Context(), r.server.options.Connect, broker.Connect{ClientID: "c1"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	ref := l.ref()
	if _, err := l.ask(ref, &broker.Subscribe{Conn: l.id(), Ref: ref, Consumer: 1, Destination: topic("news"), Selector: "n > 5 AND s = '<&>'", Name: "sub", Prefetch: 10}); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string][]string{
		"queues.jsp":      {"/queues/queue[name=a/b,]/stats[size=1,consumerCount=0,enqueueCount=1,dequeueCount=0,]", "/queues/queue[name=k:v=w,]", "/queues/queue[name=orders,]/stats[size=3,consumerCount=0,enqueueCount=3,dequeueCount=0,]"},
		"topics.jsp":      {"/topics/topic[name=news,]/stats[size=0,consumerCount=1,enqueueCount=0,dequeueCount=0,]"},
		"subscribers.jsp": {"/subscribers/subscriber[clientId=c1,subscriptionName=sub,connectionId=" /* its number */, "destinationName=news,selector=n > 5 AND s = '<&>',active=true,]/stats[pendingQueueSize=0,dispatchedQueueSize=0,dispatchedCounter=0,enqueueCounter=0,dequeueCounter=0,]"},
	} {
		status, body := r.poll(t, "GET", "/admin/xml/"+path, "", "user", "eye")
		if status != 200 {
			t.Fatalf("%s: %d %s", path, status, body)
		}
		flat := flatten(t, body)
		for _, w := range want {
			if !strings.Contains(flat, w) {
				t.Errorf("no %s in %s:\n%s", w, path, flat)
			}
		}
		if status, _ := r.poll(t, "GET", "/admin/xml/"+path, "", "user", "alice"); status != 403 {
			t.Errorf("one who is no reader is answered %d", status)
		}
	}
}

// flatten writes each element of XML in a line, with the path to it.
func flatten(t *testing.T, text string) string {
	t.Helper()
	var b strings.Builder
	var path []string
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		token, err := d.Token()
		if err == io.EOF {
			return b.String()
		}
		if err != nil {
			t.Fatal(err)
		}
		switch x := token.(type) {
		case xml.StartElement:
			name := "/" + x.Name.Local
			if len(x.Attr) > 0 {
				name += "["
				for _, a := range x.Attr {
					name += a.Name.Local + "=" + a.Value + ","
				}
				name += "]"
			}
			path = append(path, name)
			b.WriteString(strings.Join(path, "") + "\n")
		case xml.EndElement:
			path = path[:len(path)-1]
		}
	}
}
