package control

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/control/client"
	"github.com/godwitmq/godwit/readiness"
)

// believes is what a standby's node takes for the active instance.
type believes struct{ own, name, at string }

func (b *believes) Instance() api.Instance {
	return api.Instance{Name: b.own, Role: "standby", Config: "c0"}
}
func (b *believes) Instances(context.Context, http.Header) []api.Instance {
	return []api.Instance{b.Instance()}
}
func (b *believes) Active(context.Context, http.Header) (name, at string, err error) {
	return b.name, b.at, nil
}
func (b *believes) SwitchOver(context.Context, string, http.Header) (*api.SwitchedOver, error) {
	return nil, errors.New("not here")
}
func (b *believes) Seen(context.Context, http.Header) []readiness.Seen       { return nil }
func (b *believes) Restart(_ context.Context, _ string, _ http.Header) error { return nil }

// standby is the API of an instance without a core, which logs in whom the active one does.
func standby(t *testing.T, active *rig, open bool, b *believes) (url string) {
	t.Helper()
	s := New(Options{
		Connect: func() (Conn, error) {
			return nil, &api.Error{Status: http.StatusServiceUnavailable, Code: api.Unavailable, Detail: "the broker is standby"}
		},
		Login: active.server.options.Login, Metrics: active.server.options.Metrics, Cluster: in(b), MaxBody: 1 << 20,
		Health:  func() api.Health { return api.Health{Status: "standby"} },
		Version: api.Version{Version: "v-standby"},
	}, true)
	s.Configure(open, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		s.Close(ctx)
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return "http://" + l.Addr().String()
}

func clientOf(t *testing.T, url string, o client.Options) *client.Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	o.Transport = transport
	c, err := client.New(url, o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// What is asked of a standby is done by the active instance; what is the process's own is answered by itself.
func TestBrought(t *testing.T) {
	active := newRig(t, true)
	b := &believes{own: "b", name: "a", at: active.url}
	url := standby(t, active, true, b)
	c := clientOf(t, url, client.Options{})
	ctx := t.Context()
	if sent, err := c.Send(ctx, queue("a/b"), text("one"), text("two")); err != nil || len(sent.IDs) != 2 {
		t.Fatalf("send: %+v, %v", sent, err)
	}
	if here, err := active.Browse(ctx, queue("a/b"), "", 0, false); err != nil || len(here.Messages) != 2 {
		t.Errorf("the active instance has %+v, %v; want two messages", here, err)
	}
	if there, err := c.Browse(ctx, queue("a/b"), "", 0, false); err != nil || len(there.Messages) != 2 {
		t.Errorf("browse: %+v, %v; want two messages", there, err)
	}
	got, err := c.Receive(ctx, queue("a/b"), api.ReceiveRequest{Max: 1, Confirm: "1m"})
	if err != nil || len(got.Messages) != 1 || got.Receipt == "" {
		t.Fatalf("receive: %+v, %v", got, err)
	}
	if err := c.Confirm(ctx, got.Receipt); err != nil {
		t.Errorf("confirm: %v", err)
	}
	var problem *api.Error
	if _, err := c.Destination(ctx, queue("none")); !errors.As(err, &problem) || problem.Code != broker.NotFound.String() {
		t.Errorf("a queue that is not there: %v, want the active's not found", err)
	}
	for path, want := range map[string]string{"/healthz": `"config":"c0"`, "/readyz": "standby", "/api/v1/version": "v-standby", "/api/v1/instance": `"name":"b"`, "/metrics": ""} {
		if status, body := get(t, url+path); status >= 500 && path != "/readyz" || !strings.Contains(body, want) {
			t.Errorf("GET %s: %d %s, want %q in it", path, status, body, want)
		}
	}
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(data)
}

// The caller's name goes along, and its rights are those that it has there.
func TestBroughtInTheCallersName(t *testing.T) {
	active := newRig(t, true)
	active.server.Configure(false, nil)
	url := standby(t, active, false, &believes{own: "b", name: "a", at: active.url})
	if _, err := clientOf(t, url, client.Options{}).Send(t.Context(), queue("joe.q"), text("x")); err == nil || !strings.Contains(err.Error(), "user name and password") {
		t.Errorf("send without a name: %v", err)
	}
	joe := clientOf(t, url, client.Options{User: "joe", Password: "right"})
	if _, err := joe.Send(t.Context(), queue("joe.q"), text("x")); err != nil {
		t.Errorf("send to one's own queue: %v", err)
	}
	if _, err := joe.Send(t.Context(), queue("eve.q"), text("x")); err == nil || !strings.Contains(err.Error(), "not authorized") {
		t.Errorf("send to another's queue: %v", err)
	}
}

// Two that take each other for the active one do not pass a call to and fro, and who cannot be reached is named.
func TestBroughtNowhere(t *testing.T) {
	active := newRig(t, true)
	one, two := &believes{own: "one", name: "two"}, &believes{own: "two", name: "one"}
	one.at = standby(t, active, true, two)
	two.at = standby(t, active, true, one)
	if status, body := get(t, two.at+"/api/v1/queues"); status != http.StatusServiceUnavailable || !strings.Contains(body, "one has brought this call to two") {
		t.Errorf("got %d %s, want 503 and who brought it where", status, body)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	url := standby(t, active, true, &believes{own: "b", name: "a", at: "http://" + l.Addr().String()})
	if status, body := get(t, url+"/api/v1/queues"); status != http.StatusServiceUnavailable || !strings.Contains(body, "a, which is the active instance as far as b knows, does not answer at http://"+l.Addr().String()) {
		t.Errorf("got %d %s, want 503 and who does not answer", status, body)
	}
}
