package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/control/client"
	"github.com/godwitmq/godwit/control/jolokia"
	"github.com/godwitmq/godwit/engine"
	"github.com/godwitmq/godwit/journal"
	"github.com/godwitmq/godwit/journal/segment"
	"github.com/godwitmq/godwit/message"
	"github.com/godwitmq/godwit/metrics"
)

// rig is an API over a real engine with a journal in a temporary folder.
type rig struct {
	*client.Client
	server *Server
	engine *engine.Engine
	url    string
}

func newRig(t *testing.T, loopback bool) *rig {
	t.Helper()
	dir := t.TempDir()
	e, err := engine.Open(func(n journal.Notify) (journal.Log, error) {
		return segment.Open(dir, segment.Options{SegmentSize: 1 << 20, Logger: slog.New(slog.DiscardHandler)}, n)
	}, engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var m metrics.Broker
	s := New(Options{
		Connect: func() (Conn, error) { return e.Connect(), nil },
		Cut:     e.Cut,
		Login: func(ctx context.Context, user, password string, from netip.AddrPort) (Caller, error) {
			if password != "right" {
				return Caller{}, errors.New("User name [" + user + "] or password is invalid.")
			}
			may := func(a Action, d message.Destination) error {
				if strings.HasPrefix(d.Name, user+".") {
					return nil
				}
				return errors.New("User " + user + " is not authorized to do that with " + d.String())
			}
			return Caller{User: user, Admin: user == "root", Operator: user == "hand", Reader: user == "root" || user == "eye", May: may}, nil
		},
		Health: func() api.Health { return api.Health{Status: "ok", Ready: true} },
		Metrics: func(w io.Writer, v *broker.View) error {
			budget := metrics.Budget{Each: metrics.EachOf()}
			answer := budget.Fixed()
			var look *metrics.Look
			if v != nil {
				look = m.Look(v, budget, e, time.Now())
				look.Write(answer)
			}
			budget.Close(answer, look)
			_, err := answer.WriteTo(w)
			return err
		},
		Facts: func() jolokia.Facts {
			return jolokia.Facts{Name: "b1", Version: "v9", StoreUsed: 10, StoreLimit: 40, Connectors: map[string]string{"openwire": "tcp://127.0.0.1:61616"}}
		},
		Reload:   func(context.Context) (api.Reloaded, error) { return api.Reloaded{Notes: []string{"read again"}}, nil },
		Refusals: func() api.Refusals { return api.Refusals{Mode: "observe", Refusals: []api.Refusal{}} },
		Config:   func() any { return map[string]any{"data": dir} },
		Version:  api.Version{Version: "v9"},
		MaxBody:  1 << 20,
	}, loopback)
	s.Configure(true, []string{"broker.example"})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	r := &rig{server: s, engine: e, url: "http://" + l.Addr().String()}
	transport := &http.Transport{}
	if r.Client, err = client.New(r.url, client.Options{Transport: transport}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		s.Close(ctx)
		if err := <-served; err != nil {
			t.Error(err)
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func queue(name string) message.Destination {
	return message.Destination{Kind: message.Queue, Name: name}
}

func text(s string) api.Send { return api.Send{Text: &s} }

func bodies(messages []api.Message) []string {
	all := []string{}
	for _, m := range messages {
		all = append(all, string(m.Body))
	}
	return all
}

// mustSend sends texts one by one.
func (r *rig) mustSend(t *testing.T, d message.Destination, texts ...string) {
	t.Helper()
	for _, s := range texts {
		if _, err := r.Send(t.Context(), d, text(s)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSendBrowseReceive(t *testing.T) {
	r := newRig(t, true)
	ctx := t.Context()
	d := queue("orders/new east%2F..")
	body, priority := "hello", 7
	sent, err := r.Send(ctx, d, api.Send{Text: &body, Priority: &priority, TimeToLive: "1h", ReplyTo: "queue://answers", CorrelationID: "c1", JMSType: "greeting", Group: "g", GroupSequence: 3,
		Properties: map[string]any{"small": 5, "big": int64(1) << 40, "half": 0.5, "yes": true, "name": "x"}})
	if err != nil || len(sent.IDs) != 1 {
		t.Fatalf("Send = %v, %v", sent, err)
	}
	browsed, err := r.Browse(ctx, d, "small = 5 AND big > 1000", 0, true)
	if err != nil || len(browsed.Messages) != 1 || browsed.More {
		t.Fatalf("Browse = %+v, %v; want one message", browsed, err)
	}
	m := browsed.Messages[0]
	got := []any{m.ID, m.Destination, string(m.Body), m.Priority, m.ReplyTo, m.CorrelationID, m.JMSType, m.Group, m.GroupSequence, m.Persistent, m.Type, m.Redeliveries, m.Properties["name"], m.Properties["half"], m.Properties["big"]}
	want := []any{sent.IDs[0], d.String(), `{"text":"hello"}`, 7, "queue://answers", "c1", "greeting", "g", int32(3), true, "text", 0, "x", 0.5, float64(1 << 40)}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("browsed %v; want %v", got, want)
	}
	if left := time.Until(m.Expiration); left < 50*time.Minute || left > time.Hour {
		t.Errorf("expires in %v; want about 1h", left)
	}
	received, err := r.Receive(ctx, d, api.ReceiveRequest{Max: 5})
	if err != nil || len(received.Messages) != 1 || received.Receipt != "" {
		t.Fatalf("Receive = %+v, %v; want one message without a receipt", received, err)
	}
	if received, err = r.Receive(ctx, d, api.ReceiveRequest{Max: 5}); err != nil || len(received.Messages) != 0 {
		t.Errorf("second Receive = %+v, %v; want none: the first was acknowledged", received, err)
	}
}

func TestBrowseLimit(t *testing.T) {
	r := newRig(t, true)
	r.mustSend(t, queue("q"), "a", "b", "c")
	tests := map[string]struct {
		limit int
		want  []string
		more  bool
	}{
		"fewer": {2, []string{`{"text":"a"}`, `{"text":"b"}`}, true},
		"all":   {3, []string{`{"text":"a"}`, `{"text":"b"}`, `{"text":"c"}`}, false},
		"more":  {9, []string{`{"text":"a"}`, `{"text":"b"}`, `{"text":"c"}`}, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := r.Browse(t.Context(), queue("q"), "", tt.limit, true)
			if err != nil || !slices.Equal(bodies(got.Messages), tt.want) || got.More != tt.more {
				t.Errorf("Browse(%d) = %v, more %v, %v; want %v, more %v", tt.limit, bodies(got.Messages), got.More, err, tt.want, tt.more)
			}
		})
	}
	without, err := r.Browse(t.Context(), queue("q"), "", 0, false)
	if err != nil || without.Messages[0].Body != nil || without.Messages[0].Size != 1 {
		t.Errorf("without bodies: %+v, %v; want no body, and its size", without, err)
	}
}

func TestSendIsAllOrNone(t *testing.T) {
	r := newRig(t, true)
	ctx := t.Context()
	bad := 10
	if _, err := r.Send(ctx, queue("q"), text("a"), api.Send{Priority: &bad}); err == nil {
		t.Error("a bad message among good ones was accepted")
	}
	if sent, err := r.Send(ctx, queue("q"), text("b"), text("c")); err != nil || len(sent.IDs) != 2 {
		t.Fatalf("Send = %+v, %v", sent, err)
	}
	if got, err := r.Browse(ctx, queue("q"), "", 0, true); err != nil || !slices.Equal(bodies(got.Messages), []string{`{"text":"b"}`, `{"text":"c"}`}) {
		t.Errorf("in the queue: %v, %v; want b and c", bodies(got.Messages), err)
	}
}

func TestReceiveWithReceipt(t *testing.T) {
	tests := map[string]struct {
		end  func(ctx context.Context, r *rig, receipt string) error
		left int
	}{
		"confirmed": {func(ctx context.Context, r *rig, receipt string) error { return r.Confirm(ctx, receipt) }, 0},
		"released":  {func(ctx context.Context, r *rig, receipt string) error { return r.Release(ctx, receipt) }, 2},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, true)
			ctx := t.Context()
			r.mustSend(t, queue("q"), "a", "b")
			got, err := r.Receive(ctx, queue("q"), api.ReceiveRequest{Max: 9, Confirm: "1m"})
			if err != nil || len(got.Messages) != 2 || got.Receipt == "" {
				t.Fatalf("Receive = %+v, %v; want two messages and a receipt", got, err)
			}
			if d, err := r.Destination(ctx, queue("q")); err != nil || d.Size != 2 || d.InFlight != 2 {
				t.Errorf("before the end: %+v, %v; want 2 messages, both in flight", d, err)
			}
			if err := tt.end(ctx, r, got.Receipt); err != nil {
				t.Fatal(err)
			}
			if err := tt.end(ctx, r, got.Receipt); !isCode(err, "not found") {
				t.Errorf("the same receipt again = %v; want not found", err)
			}
			if again, err := r.Receive(ctx, queue("q"), api.ReceiveRequest{Max: 9, Wait: "10ms"}); err != nil || len(again.Messages) != tt.left {
				t.Errorf("left: %+v, %v; want %d messages", again, err, tt.left)
			}
		})
	}
}

// What stands after '?' in a name holds for the receiver, as it does for other clients.
func TestReceiveOptions(t *testing.T) {
	r := newRig(t, true)
	r.mustSend(t, queue("q"), "a", "b")
	tests := map[string]struct {
		name string
		want int
		code string
	}{
		"a selector":  {name: "q?consumer.selector=JMSPriority%20%3E%204"},
		"unknown":     {name: "q?consumer.bogus=1&x=2", want: 2},
		"a number":    {name: "q?consumer.prefetchSize=0&consumer.priority=9", want: 2},
		"no escape":   {name: "q?consumer.selector=%zz", code: "malformed"},
		"no selector": {name: "q?consumer.selector=n%3D", code: "invalid selector"},
	}
	for name, tt := range tests {
		wait := "10s" // what was released comes back in a moment
		if tt.want == 0 {
			wait = "1ms"
		}
		got, err := r.Receive(t.Context(), queue(tt.name), api.ReceiveRequest{Max: 9, Wait: wait, Confirm: "1m"})
		if tt.code != "" {
			if !isCode(err, tt.code) {
				t.Errorf("%s: got error %v, want %s", name, err, tt.code)
			}
			continue
		}
		if err != nil || len(got.Messages) != tt.want {
			t.Errorf("%s: got %+v, %v; want %d messages", name, got, err, tt.want)
		}
		if got.Receipt != "" {
			if err := r.Release(t.Context(), got.Receipt); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func isCode(err error, code string) bool {
	var e *api.Error
	return errors.As(err, &e) && e.Code == code
}

func TestReceiptRunsOut(t *testing.T) {
	r := newRig(t, true)
	r.mustSend(t, queue("q"), "a")
	got, err := r.Receive(t.Context(), queue("q"), api.ReceiveRequest{Confirm: "20ms"})
	if err != nil || len(got.Messages) != 1 {
		t.Fatalf("Receive = %+v, %v", got, err)
	}
	again, err := r.Receive(t.Context(), queue("q"), api.ReceiveRequest{Wait: "10s"})
	if err != nil || len(again.Messages) != 1 || again.Messages[0].ID != got.Messages[0].ID {
		t.Fatalf("after the time: %+v, %v; want the same message", again, err)
	}
	if err := r.Confirm(t.Context(), got.Receipt); !isCode(err, "not found") {
		t.Errorf("late Confirm = %v; want not found", err)
	}
}

// TestReceiveClientGoesAway cuts the client off while its answer is written: what it did not get must come again.
func TestReceiveClientGoesAway(t *testing.T) {
	r := newRig(t, true)
	big := strings.Repeat("x", 900<<10)
	for range 12 { // more than socket buffers take
		r.mustSend(t, queue("q"), big)
	}
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	request := `{"max":100}`
	fmt.Fprintf(conn, "POST /api/v1/queues/q/receive HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(request), request)
	if _, err := io.ReadFull(conn, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	for n := 0; n < 12; {
		got, err := r.Receive(t.Context(), queue("q"), api.ReceiveRequest{Max: 100, Wait: "10s"})
		if err != nil || len(got.Messages) == 0 {
			t.Fatalf("after %d messages: %v; want all 12 again", n, err)
		}
		n += len(got.Messages)
	}
}

func TestReceiveWaits(t *testing.T) {
	r := newRig(t, true)
	got := make(chan string)
	go func() {
		answer, err := r.Receive(context.Background(), queue("q"), api.ReceiveRequest{Wait: "30s"})
		got <- fmt.Sprint(bodies(answer.Messages), err)
	}()
	r.mustSend(t, queue("q"), "a")
	if s := <-got; s != `[{"text":"a"}] <nil>` {
		t.Errorf("received %s", s)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := r.Receive(ctx, queue("q"), api.ReceiveRequest{Wait: "30s"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Receive whose caller gives up = %v; want context.DeadlineExceeded", err)
	}
}

func TestListsAndChanges(t *testing.T) {
	r := newRig(t, true)
	ctx := t.Context()
	r.mustSend(t, queue("b"), "1", "2")
	r.mustSend(t, queue("a"), "1")
	r.mustSend(t, message.Destination{Kind: message.Topic, Name: "t"}, "1")
	queues, err := r.Queues(ctx, false)
	if err != nil || len(queues) != 2 || queues[0].Name != "a" || queues[1].Size != 2 {
		t.Fatalf("Queues = %+v, %v; want a with 1 and b with 2", queues, err)
	}
	if n, err := r.Purge(ctx, queue("b")); n != 2 || err != nil {
		t.Errorf("Purge = %d, %v; want 2", n, err)
	}
	if err := r.Remove(ctx, queue("a")); err != nil {
		t.Error(err)
	}
	if _, err := r.Destination(ctx, queue("a")); !isCode(err, "not found") {
		t.Errorf("Destination of a removed queue = %v; want not found", err)
	}
	if topics, err := r.Topics(ctx, false); err != nil || len(topics) != 1 {
		t.Errorf("Topics = %+v, %v; want t", topics, err)
	}
	if cs, err := r.Connections(ctx); err != nil || len(cs) != 0 {
		t.Errorf("Connections = %+v, %v; want none: the API's own is not a client", cs, err)
	}
	if cs, err := r.Consumers(ctx); err != nil || cs == nil {
		t.Errorf("Consumers = %v, %v; want an empty list", cs, err)
	}
	if _, err := r.PurgeSubscription(ctx, "", "s"); !isCode(err, "not found") {
		t.Errorf("PurgeSubscription of none = %v; want not found", err)
	}
	if err := r.RemoveSubscription(ctx, "c", "s"); !isCode(err, "not found") {
		t.Errorf("RemoveSubscription of none = %v; want not found", err)
	}
	if done, err := r.Reload(ctx); err != nil || len(done.Notes) != 1 {
		t.Errorf("Reload = %+v, %v", done, err)
	}
	if refused, err := r.Refusals(ctx); err != nil || refused.Mode != "observe" {
		t.Errorf("Refusals = %+v, %v", refused, err)
	}
	if v, err := r.Version(ctx); err != nil || v.Version != "v9" {
		t.Errorf("Version = %+v, %v", v, err)
	}
}

// call makes a raw request and gives status, code of the error and body.
func (r *rig) call(t *testing.T, method, path, body string, header map[string]string) (int, string, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, r.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range header {
		switch k {
		case "Host":
			request.Host = v
		case "User":
			request.SetBasicAuth(v, "right")
		case "Wrong":
			request.SetBasicAuth(v, "wrong")
		default:
			request.Header.Set(k, v)
		}
	}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	var e api.Error
	if json.Unmarshal(bytes.TrimSpace(data), &e) != nil {
		e.Code = ""
	}
	return response.StatusCode, e.Code, string(data)
}

var asJSON = "application/json"

func TestGuardOnLoopback(t *testing.T) {
	r := newRig(t, true)
	tests := map[string]struct {
		method, path, body string
		header             map[string]string
		status             int
		code               string
	}{
		"health":            {"GET", "/healthz", "", nil, 200, ""},
		"ready":             {"GET", "/readyz", "", nil, 200, ""},
		"metrics":           {"GET", "/metrics", "", nil, 200, ""},
		"list":              {"GET", "/api/v1/queues", "", nil, 200, ""},
		"config":            {"GET", "/api/v1/config", "", nil, 200, ""},
		"listed host":       {"GET", "/api/v1/queues", "", map[string]string{"Host": "broker.example:8161"}, 200, ""},
		"rebound host":      {"GET", "/api/v1/queues", "", map[string]string{"Host": "evil.example"}, 421, "denied"},
		"rebound health":    {"GET", "/healthz", "", map[string]string{"Host": "evil.example"}, 421, "denied"},
		"foreign origin":    {"GET", "/api/v1/queues", "", map[string]string{"Origin": "http://evil.example"}, 403, "denied"},
		"null origin":       {"GET", "/api/v1/queues", "", map[string]string{"Origin": "null"}, 403, "denied"},
		"form":              {"POST", "/api/v1/queues/q/purge", "", map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, 415, "malformed"},
		"text":              {"POST", "/api/v1/queues/q/send", `{"messages":[{}]}`, map[string]string{"Content-Type": "text/plain"}, 415, "malformed"},
		"delete without":    {"DELETE", "/api/v1/queues/q", "", nil, 415, "malformed"},
		"JSON with charset": {"POST", "/api/v1/queues/q/send", `{"messages":[{}]}`, map[string]string{"Content-Type": "application/json; charset=utf-8"}, 200, ""},
		"no such path":      {"GET", "/api/v1/nothing", "", nil, 404, "not found"},
		"unknown field":     {"POST", "/api/v1/queues/q/send", `{"messages":[{"boddy":"x"}]}`, map[string]string{"Content-Type": asJSON}, 400, "malformed"},
		"two values":        {"POST", "/api/v1/queues/q/receive", `{}{}`, map[string]string{"Content-Type": asJSON}, 400, "malformed"},
		"two bodies":        {"POST", "/api/v1/queues/q/send", `{"messages":[{"text":"x","base64":""}]}`, map[string]string{"Content-Type": asJSON}, 400, "malformed"},
		"nested property":   {"POST", "/api/v1/queues/q/send", `{"messages":[{"properties":{"a":[1]}}]}`, map[string]string{"Content-Type": asJSON}, 400, "malformed"},
		"none":              {"POST", "/api/v1/queues/q/send", `{}`, map[string]string{"Content-Type": asJSON}, 400, "malformed"},
		"too large":         {"POST", "/api/v1/queues/q/send", `{"messages":[{"text":"` + strings.Repeat("x", 2<<20) + `"}]}`, map[string]string{"Content-Type": asJSON}, 413, "malformed"},
		"bad selector":      {"GET", "/api/v1/queues/q/messages?selector=a+%3D", "", nil, 400, "invalid selector"},
		"bad limit":         {"GET", "/api/v1/queues/q/messages?limit=0", "", nil, 400, "malformed"},
		"bad wait":          {"POST", "/api/v1/queues/q/receive", `{"wait":"forever"}`, map[string]string{"Content-Type": asJSON}, 400, "malformed"},
		"bad max":           {"POST", "/api/v1/queues/q/receive", `{"max":-1}`, map[string]string{"Content-Type": asJSON}, 400, "malformed"},
		"name too long":     {"GET", "/api/v1/queues/" + strings.Repeat("x", 5000), "", nil, 400, "malformed"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			status, code, body := r.call(t, tt.method, tt.path, tt.body, tt.header)
			if status != tt.status || code != tt.code {
				t.Errorf("%s %s = %d, code %q: %.300s; want %d, %q", tt.method, tt.path, status, code, body, tt.status, tt.code)
			}
		})
	}
}

func TestGuardOffLoopback(t *testing.T) {
	r := newRig(t, false)
	send := `{"messages":[{"text":"x"}]}`
	tests := map[string]struct {
		method, path, body string
		user               string // "-" for none, "!x" for a wrong password
		status             int
	}{
		"health needs nothing":     {"GET", "/healthz", "", "-", 200},
		"list without":             {"GET", "/api/v1/queues", "", "-", 401},
		"list with wrong":          {"GET", "/api/v1/queues", "", "!root", 401},
		"metrics without":          {"GET", "/metrics", "", "-", 401},
		"unknown path without":     {"GET", "/x", "", "-", 401},
		"metrics by reader":        {"GET", "/metrics", "", "eye", 200},
		"config by reader":         {"GET", "/api/v1/config", "", "eye", 403},
		"config by admin":          {"GET", "/api/v1/config", "", "root", 200},
		"list by user":             {"GET", "/api/v1/queues", "", "joe", 403},
		"reload by reader":         {"POST", "/api/v1/reload", "", "eye", 403},
		"send where allowed":       {"POST", "/api/v1/queues/joe.in/send", send, "joe", 200},
		"send elsewhere":           {"POST", "/api/v1/queues/other/send", send, "joe", 403},
		"composite, one elsewhere": {"POST", "/api/v1/queues/joe.in,other/send", send, "joe", 403},
		"browse elsewhere":         {"GET", "/api/v1/queues/other/messages", "", "eye", 403},
		"receive elsewhere":        {"POST", "/api/v1/queues/other/receive", "", "joe", 403},
		"purge elsewhere":          {"POST", "/api/v1/queues/other/purge", "", "joe", 403},
		"remove elsewhere":         {"DELETE", "/api/v1/queues/other", "", "joe", 403},
		"admin anywhere":           {"POST", "/api/v1/queues/other/send", send, "root", 200},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			header := map[string]string{"Content-Type": asJSON}
			if wrong, ok := strings.CutPrefix(tt.user, "!"); ok {
				header["Wrong"] = wrong
			} else if tt.user != "-" {
				header["User"] = tt.user
			}
			if status, _, body := r.call(t, tt.method, tt.path, tt.body, header); status != tt.status {
				t.Errorf("%s %s by %s = %d: %s; want %d", tt.method, tt.path, tt.user, status, body, tt.status)
			}
		})
	}
}

// TestReceiptBelongsToItsUser has another user try to confirm.
func TestReceiptBelongsToItsUser(t *testing.T) {
	r := newRig(t, false)
	joe := map[string]string{"Content-Type": asJSON, "User": "joe"}
	r.call(t, "POST", "/api/v1/queues/joe.in/send", `{"messages":[{"text":"x"}]}`, joe)
	_, _, body := r.call(t, "POST", "/api/v1/queues/joe.in/receive", `{"confirm":"1m"}`, joe)
	var got api.Received
	if err := json.Unmarshal([]byte(body), &got); err != nil || got.Receipt == "" {
		t.Fatalf("receive = %s", body)
	}
	path := "/api/v1/receipts/" + got.Receipt + "/confirm"
	if status, _, _ := r.call(t, "POST", path, "", map[string]string{"Content-Type": asJSON, "User": "eve"}); status != 404 {
		t.Errorf("confirm by another user = %d; want 404", status)
	}
	if status, _, body := r.call(t, "POST", path, "", joe); status != 200 {
		t.Errorf("confirm by its user = %d: %s; want 200", status, body)
	}
}

// TestCloseEndsWaiting closes a server for which somebody waits: it must not have to wait, too.
func TestCloseEndsWaiting(t *testing.T) {
	r := newRig(t, true)
	failed := make(chan error)
	go func() {
		_, err := r.Receive(context.Background(), queue("q"), api.ReceiveRequest{Wait: "10m"})
		failed <- err
	}()
	for { // until it waits
		consumers, err := r.Consumers(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(consumers) == 1 {
			break
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := r.server.Close(ctx); err != nil {
		t.Error(err)
	}
	if err := <-failed; !isCode(err, api.Unavailable) {
		t.Errorf("Receive = %v; want unavailable", err)
	}
}

func TestCloseConnection(t *testing.T) {
	r := newRig(t, true)
	c := r.engine.Connect()
	defer c.Close()
	c.Submit(&broker.Connect{Conn: c.ID(), Ref: 1, Name: "a", Protocol: "stomp"})
	if e, err := c.Wait(nil); err != nil || len(e) != 1 || e[0].Err != nil {
		t.Fatalf("connect = %+v, %v", e, err)
	}
	if cs, err := r.Connections(t.Context()); err != nil || len(cs) != 1 || cs[0].Conn != c.ID() {
		t.Fatalf("Connections = %+v, %v", cs, err)
	}
	if err := r.CloseConnection(t.Context(), c.ID()); err != nil {
		t.Fatal(err)
	}
	if e, err := c.Wait(nil); err != nil || len(e) != 1 || e[0].Kind != broker.Closed || e[0].Err.Detail != "the connection was closed by an operator" {
		t.Errorf("the connection got %+v, %v", e, err)
	}
	for _, id := range []broker.ConnID{c.ID(), 4711} {
		if err := r.CloseConnection(t.Context(), id); !isCode(err, "not found") {
			t.Errorf("CloseConnection(%d) = %v; want not found", id, err)
		}
	}
	request, err := http.NewRequest(http.MethodDelete, r.url+"/api/v1/connections/x", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusBadRequest {
		t.Errorf("DELETE of connection x = %s", response.Status)
	}
}
