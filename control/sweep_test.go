package control

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/control/client"
	"github.com/godwitmq/godwit/message"
)

func (r *rig) browsed(t *testing.T, name string) []string {
	t.Helper()
	found, err := r.Browse(t.Context(), queue(name), "", 100, true)
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, body := range bodies(found.Messages) {
		texts = append(texts, strings.TrimSuffix(strings.TrimPrefix(body, `{"text":"`), `"}`))
	}
	return texts
}

func TestSweeps(t *testing.T) {
	tests := map[string]struct {
		do       client.Sweep
		request  api.SweepRequest
		affected int
		left, to []string
		first    int
	}{
		"move":      {client.Move, api.SweepRequest{To: "to", Limit: 2}, 2, []string{"c"}, []string{"a", "b"}, 0},
		"copy":      {client.Copy, api.SweepRequest{To: "queue://to", Progress: true}, 3, []string{"a", "b", "c"}, []string{"a", "b", "c"}, 0},
		"remove":    {client.Remove, api.SweepRequest{Selector: "JMSPriority = 4"}, 3, nil, nil, 0},
		"dry run":   {client.Move, api.SweepRequest{To: "to", DryRun: true, First: 2}, 3, []string{"a", "b", "c"}, nil, 2},
		"no such":   {client.Remove, api.SweepRequest{IDs: []string{"ID:1"}}, 0, []string{"a", "b", "c"}, nil, 0},
		"dry limit": {client.Remove, api.SweepRequest{DryRun: true, Limit: 1}, 1, []string{"a", "b", "c"}, nil, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, true)
			r.mustSend(t, queue("from"), "a", "b", "c")
			if err := r.Create(t.Context(), queue("to")); err != nil {
				t.Fatal(err)
			}
			lines := 0
			got, err := r.Sweep(t.Context(), tt.do, queue("from"), tt.request, func(api.Swept) { lines++ })
			if err != nil || got.Affected != tt.affected || len(got.First) != tt.first || !got.Done || lines == 0 {
				t.Errorf("Sweep = %+v, %v after %d lines; want %d affected, %d shown", got, err, lines, tt.affected, tt.first)
			}
			if left, to := r.browsed(t, "from"), r.browsed(t, "to"); !slices.Equal(left, tt.left) || !slices.Equal(to, tt.to) {
				t.Errorf("left %q and %q; want %q and %q", left, to, tt.left, tt.to)
			}
		})
	}
}

// A durable subscription's backlog is swept as a queue's is.
func TestSweepSubscription(t *testing.T) {
	r := newRig(t, true)
	for _, clientID := range []string{"billing/EU", ""} {
		c := r.engine.Connect()
		topic := message.Destination{Kind: message.Topic, Name: "orders"}
		c.Submit(&broker.Connect{Conn: c.ID(), ClientID: clientID},
			&broker.Subscribe{Conn: c.ID(), Consumer: 1, Destination: topic, Name: "audit", Shared: clientID == "", MayCreate: true}, &broker.Disconnect{Conn: c.ID()})
		r.mustSend(t, topic, "a", "b", "c")
		shown, err := r.SweepSubscription(t.Context(), client.Move, clientID, "audit", api.SweepRequest{To: "to", DryRun: true, First: 2}, nil)
		if err != nil || shown.Affected != 3 || len(shown.First) != 2 {
			t.Errorf("client %q: a dry run shows %+v, %v; want 3 affected, 2 shown", clientID, shown, err)
		}
		moved, err := r.SweepSubscription(t.Context(), client.Move, clientID, "audit", api.SweepRequest{To: "to", Limit: 1}, nil)
		if err != nil || moved.Affected != 1 {
			t.Errorf("client %q: a move gave %+v, %v; want 1 affected", clientID, moved, err)
		}
		if to := r.browsed(t, "to"); !slices.Equal(to, []string{"a"}) {
			t.Errorf("client %q: the queue has %q, want a", clientID, to)
		}
		removed, err := r.SweepSubscription(t.Context(), client.Remove, clientID, "audit", api.SweepRequest{Selector: "JMSPriority = 4"}, nil)
		if err != nil || removed.Affected != 2 {
			t.Errorf("client %q: a removal gave %+v, %v; want 2 affected", clientID, removed, err)
		}
		if _, err := r.Purge(t.Context(), queue("to")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.SweepSubscription(t.Context(), client.Remove, "billing", "none", api.SweepRequest{}, nil); !isCode(err, "not found") {
		t.Errorf("a sweep of a subscription that is not there gave %v; want not found", err)
	}
	if _, err := r.SweepSubscription(t.Context(), client.Remove, "billing", "", api.SweepRequest{}, nil); !isCode(err, "malformed") {
		t.Errorf("a sweep of no subscription gave %v; want malformed", err)
	}
}

func TestSweepErrors(t *testing.T) {
	r := newRig(t, true)
	r.mustSend(t, queue("from"), "a")
	tests := map[string]struct {
		do      client.Sweep
		from    message.Destination
		request api.SweepRequest
		code    string
	}{
		"no queue":   {client.Remove, queue("none"), api.SweepRequest{}, "not found"},
		"no target":  {client.Move, queue("from"), api.SweepRequest{}, "malformed"},
		"to itself":  {client.Move, queue("from"), api.SweepRequest{To: "from"}, "invalid destination"},
		"to a topic": {client.Move, queue("from"), api.SweepRequest{To: "topic://t"}, "invalid destination"},
		"selector":   {client.Copy, queue("from"), api.SweepRequest{To: "to", Selector: "n >"}, "invalid selector"},
		"limit":      {client.Copy, queue("from"), api.SweepRequest{To: "to", Limit: -1}, "malformed"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got, err := r.Sweep(t.Context(), tt.do, tt.from, tt.request, nil); !isCode(err, tt.code) {
				t.Errorf("Sweep = %+v, %v; want %s", got, err, tt.code)
			}
		})
	}
}

// Users who are no administrators need rights on both sides.
func TestSweepRights(t *testing.T) {
	r := newRig(t, false)
	tests := map[string]struct {
		path, body string
		status     int
	}{
		"own":            {"queues/ann.q/move", `{"to": "ann.r"}`, 404}, // allowed, and not there
		"other's source": {"queues/bob.q/move", `{"to": "ann.r"}`, 403},
		"other's target": {"queues/ann.q/copy", `{"to": "bob.r"}`, 403},
		"other's copy":   {"queues/bob.q/copy", `{"to": "ann.r"}`, 403},
		"other's purge":  {"queues/bob.q/remove", `{"selector": "n = 1"}`, 403},
		"other's pause":  {"queues/bob.q/pause", ``, 403},
		"other's resume": {"queues/bob.q/resume", ``, 403},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			request, err := http.NewRequestWithContext(t.Context(), "POST", r.url+"/api/v1/"+tt.path, strings.NewReader(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			request.SetBasicAuth("ann", "right")
			request.Header.Set("Content-Type", "application/json")
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			if response.StatusCode != tt.status {
				t.Errorf("POST %s is answered %d, want %d", tt.path, response.StatusCode, tt.status)
			}
		})
	}
}

func TestPauseAndCreate(t *testing.T) {
	r := newRig(t, true)
	ctx := t.Context()
	if err := r.Create(ctx, queue("q")); err != nil {
		t.Fatal(err)
	}
	for _, on := range []bool{true, false} {
		if err := r.Pause(ctx, queue("q"), on); err != nil {
			t.Fatal(err)
		}
		if d, err := r.Destination(ctx, queue("q")); err != nil || d.Paused != on {
			t.Errorf("Destination = %+v, %v; want paused %v", d, err, on)
		}
	}
	if err := r.Pause(ctx, queue("none"), true); !isCode(err, broker.NotFound.String()) {
		t.Errorf("Pause of none = %v; want not found", err)
	}
	if err := r.Create(ctx, message.Destination{Kind: message.TempQueue, Name: "x"}); err == nil {
		t.Error("a temporary queue was made, whose connection is gone at once")
	}
}
