package control

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/control/client"
)

// lender is a service with one broker, whose API is that of a rig.
type lender struct {
	Service
	to *client.Client
}

func (l *lender) Reach(_ context.Context, name string) (*client.Client, error) {
	if name != "lent" {
		return nil, &api.Error{Status: http.StatusNotFound, Code: "not found", Detail: "there is no broker of that name"}
	}
	return l.to, nil
}

// Calls below a broker's path are that broker's, in the name of the service, and what a caller may do is decided before.
func TestBrokersOwnCalls(t *testing.T) {
	lent := newRig(t, true)
	lent.server.Configure(false, nil) // it wants credentials, which the service has
	inner, err := client.New(lent.url, client.Options{User: "root", Password: "right"})
	if err != nil {
		t.Fatal(err)
	}
	lent.Client = inner
	lent.mustSend(t, queue("a/b"), "one", "two")
	front := newRig(t, true)
	front.server.options.Service = &lender{to: inner}
	front.server.Configure(false, nil)

	as := func(user, broker string) *client.Client {
		c, err := client.New(front.url+"/api/v1/brokers/"+broker, client.Options{User: user, Password: "right"})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	if d, err := as("eye", "lent").Destination(t.Context(), queue("a/b")); err != nil || d.Size != 2 {
		t.Errorf("the queue is %+v, %v", d, err)
	}
	if _, err := front.Destination(t.Context(), queue("a/b")); err == nil {
		t.Error("the service's own broker has the queue")
	}
	if n, err := as("hand", "lent").Purge(t.Context(), queue("a/b")); err != nil || n != 2 {
		t.Errorf("purged %d, %v", n, err)
	}
	tests := map[string]struct {
		user, broker, method, path string
		want                       int
	}{
		"a reader's list":          {"eye", "lent", "GET", "queues", 200},
		"nobody's list":            {"nobody", "lent", "GET", "queues", 403},
		"a reader's messages":      {"eye", "lent", "GET", "queues/a%2Fb/messages", 403},
		"an operator's messages":   {"hand", "lent", "GET", "queues/a%2Fb/messages", 200},
		"a reader's send":          {"eye", "lent", "POST", "queues/a%2Fb/send", 403},
		"a user's own rights":      {"a", "lent", "GET", "queues/a%2Fb/messages", 403}, // they are for this broker, not for that
		"an operator's config":     {"hand", "lent", "GET", "config", 403},
		"an admin's config":        {"root", "lent", "GET", "config", 200},
		"switchover":               {"root", "lent", "POST", "switchover", 409},
		"restart":                  {"root", "lent", "POST", "restart", 409},
		"keys":                     {"root", "lent", "GET", "keys", 404},
		"brokers of a broker":      {"root", "lent", "GET", "brokers", 404},
		"a path that is not there": {"root", "lent", "GET", "nonsense", 404},
		"another method":           {"root", "lent", "PATCH", "queues", 404},
		"out of the API":           {"root", "lent", "GET", "../../metrics", 404},
		"no such broker":           {"root", "other", "GET", "queues", 404},
		"version":                  {"nobody", "lent", "GET", "version", 200},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			request, err := http.NewRequestWithContext(t.Context(), tt.method, front.url+"/api/v1/brokers/"+tt.broker+"/api/v1/"+tt.path, strings.NewReader(""))
			if err != nil {
				t.Fatal(err)
			}
			request.SetBasicAuth(tt.user, "right")
			request.Header.Set("Content-Type", "application/json")
			response, err := (&http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}).Do(request)
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			if tt.path == "../../metrics" && response.StatusCode/100 == 3 { // the mux tidies the path first
				return
			}
			if response.StatusCode != tt.want {
				t.Errorf("%s %s as %s: %d; want %d", tt.method, tt.path, tt.user, response.StatusCode, tt.want)
			}
		})
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

// The history has what was sent between two looks, and forgets what is older than its bound.
func TestHistory(t *testing.T) {
	r := newRig(t, true)
	r.mustSend(t, queue("h"), "one", "two", "three")
	look := func() *broker.View {
		v, err := r.server.glance(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	at := r.server.options.Version.Started
	r.server.history.add(at, look())
	r.mustSend(t, queue("h"), "four", "five")
	r.server.history.add(at.Add(historyEvery), look())
	for _, name := range []string{"", "queue://h"} {
		h, err := r.History(t.Context(), name)
		if err != nil || len(h.At) != 2 || *h.Size[0] != 3 || *h.Size[1] != 5 || h.In[0] != nil || *h.In[1] != 0.2 || *h.Out[1] != 0 {
			t.Errorf("history of %q: %+v, %v", name, h, err)
		}
	}
	for i := range historyPoints {
		r.server.history.add(at.Add(historyEvery+historyGap+time.Duration(i)*historyEvery), look())
	}
	h, err := r.History(t.Context(), "queue://h")
	if err != nil || len(h.At) != historyPoints || h.In[0] != nil {
		t.Errorf("%d points, the first rate %v after a gap, %v; want %d, and none", len(h.At), h.In[0], err, historyPoints)
	}
	if h, err := r.History(t.Context(), "queue://unknown"); err != nil || h.Size[0] != nil {
		t.Errorf("history of an unknown queue: %v, %v", h.Size[0], err)
	}
}
