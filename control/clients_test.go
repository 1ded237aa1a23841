package control

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/engine"
	"github.com/godwitmq/godwit/readiness"
)

// come connects a client to the rig's engine, as a session would.
func (r *rig) come(t *testing.T, roster *readiness.Roster, f readiness.Facts) *engine.Conn {
	t.Helper()
	c := r.engine.Connect()
	c.Submit(&broker.Connect{Conn: c.ID(), Ref: 1, Name: f.ClientID, ClientID: f.ClientID, User: f.User, Protocol: f.Protocol},
		&broker.Subscribe{Conn: c.ID(), Ref: 2, Consumer: 1, Destination: queue("work"), Prefetch: 7, MayCreate: true})
	for answers := 0; answers < 2; {
		effects, err := c.Wait(nil)
		if err != nil {
			t.Fatal(err)
		}
		answers += len(effects)
	}
	f.ID = uint64(c.ID())
	visit := roster.Arrive(f)
	go func() { // until the broker ends it
		for {
			effects, err := c.Wait(nil)
			if err != nil || slices.ContainsFunc(effects, func(e broker.Effect) bool { return e.Kind == broker.Closed }) {
				visit.Leave(false)
				c.Close()
				return
			}
		}
	}()
	t.Cleanup(c.Close)
	return c
}

// twin is the cluster as an instance sees it that is not the active one: the other's API is the active's.
type twin struct {
	active string // URL; "" is this one
	others []readiness.Seen
	again  []string // who was asked to restart
}

func (c *twin) Instance() api.Instance                                { return api.Instance{Name: "a", Role: "active"} }
func (c *twin) Instances(context.Context, http.Header) []api.Instance { return nil }
func (c *twin) Active(context.Context, http.Header) (string, string, error) {
	return "b", c.active, nil
}
func (c *twin) Seen(context.Context, http.Header) []readiness.Seen { return c.others }
func (c *twin) Restart(_ context.Context, name string, _ http.Header) error {
	c.again = append(c.again, name)
	return nil
}
func (c *twin) SwitchOver(context.Context, string, http.Header) (*api.SwitchedOver, error) {
	return &api.SwitchedOver{From: "a", To: "b"}, nil
}

func (r *rig) withClients(roster *readiness.Roster, s readiness.Situation, rules ...readiness.Rule) {
	r.server.options.Clients = Clients{Roster: roster, Rules: func() []readiness.Rule { return rules }, Situation: func() readiness.Situation { return s }}
}

func TestClients(t *testing.T) {
	r := newRig(t, true)
	roster := readiness.NewRoster()
	here := netip.MustParseAddrPort("127.0.0.1:1")
	r.withClients(roster, readiness.Situation{Pair: true, Relay: true, Addresses: map[string][]string{"tcp": {"a:1"}}}, readiness.Rule{Name: "shop/web", ClientIDs: []string{"shop-*"}})
	others := []readiness.Seen{{Addresses: map[string][]string{"tcp": {"b:1"}}, Past: map[string]readiness.Past{"stomp cart": {{At: time.Now().Add(-time.Minute), What: readiness.Cut}}}}, {}}
	r.server.options.Cluster = in(&twin{others: others})
	plain := r.come(t, roster, readiness.Facts{ClientID: "shop-1", Protocol: "openwire", Failover: readiness.No, Remote: here, Local: "a:1", KeepAlive: 30_000, Node: "a"})
	r.come(t, roster, readiness.Facts{ClientID: "cart", Protocol: "stomp", Failover: readiness.Unknown, Remote: here, KeepAlive: 30_000, Node: "b"})
	if _, err := r.Send(t.Context(), queue("work"), text("x")); err != nil {
		t.Fatal(err)
	}

	all, err := r.Clients(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	if all.Active != "a" || all.Enqueued != 1 || len(all.Services) != 2 || all.Services[0].Name != "cart" || all.Services[1].Name != "shop/web" || all.Services[0].Clients != nil {
		t.Fatalf("Clients = %+v", all)
	}
	if cart := all.Services[0]; cart.Verdict != readiness.Ready || cart.Nodes["b"] != 1 { // as the other instance saw its connection end
		t.Errorf("cart = %+v; want ready, at b", cart)
	}
	shop, err := r.Service(t.Context(), "shop/web")
	if err != nil {
		t.Fatal(err)
	}
	if shop.Verdict != readiness.WillNotFollow || !strings.Contains(shop.Findings[0].Text, "failover:(tcp://a:1,tcp://b:1)") || len(shop.Clients) != 1 || shop.Clients[0].ID != uint64(plain.ID()) ||
		len(shop.Clients[0].Consumers) != 1 || shop.Clients[0].Consumers[0].Prefetch != 7 {
		t.Errorf("shop/web = %+v; want that its only connection, with a prefetch of 7, does not follow", shop)
	}
	if all, err = r.Clients(t.Context(), true); err != nil || len(all.Services[1].Clients) != 1 {
		t.Errorf("Clients with connections = %+v, %v", all, err)
	}
	_, err = r.Service(t.Context(), "nobody")
	wantCode(t, err, "not found")
}

// wantCode says whether an error has that code of the API; "" is no error.
func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	var refused *api.Error
	errors.As(err, &refused)
	if code == "" && err != nil || code != "" && (refused == nil || refused.Code != code) {
		t.Errorf("error %v; want code %q", err, code)
	}
}

func TestProbe(t *testing.T) {
	r := newRig(t, true)
	roster := readiness.NewRoster()
	r.withClients(roster, readiness.Situation{})
	f := readiness.Facts{ClientID: "one", Protocol: "stomp", Remote: netip.MustParseAddrPort("127.0.0.1:1")}
	first := r.come(t, roster, f)
	go func() { // a client that comes back as soon as it is let in
		for !first.Ended() {
			time.Sleep(time.Millisecond)
		}
		for roster.Admits(&f) != nil {
			time.Sleep(time.Millisecond)
		}
		f.ID = 4711
		roster.Arrive(f)
	}()
	done, err := r.Probe(t.Context(), "one", api.Probe{Refuse: "50ms", Wait: "20s"})
	if err != nil || !done.Back || done.Connection != uint64(first.ID()) || done.Tries == 0 || done.After < 50 {
		t.Errorf("Probe = %+v, %v; want the client refused, and back after 50 ms or more", done, err)
	}
	_, err = r.Probe(t.Context(), "one", api.Probe{Connection: uint64(first.ID())})
	wantCode(t, err, "not found")
	_, err = r.Probe(t.Context(), "one", api.Probe{}) // the roster knows it, the core does not
	wantCode(t, err, "illegal state")
	for _, bad := range []api.Probe{{Refuse: "61s"}, {Refuse: "-1s"}, {Wait: "5m"}, {Wait: "soon"}, {Refuse: "10s", Wait: "9s"}} {
		_, err = r.Probe(t.Context(), "one", bad)
		wantCode(t, err, "malformed")
	}
}

// in has a server run by a cluster.
func in(c Cluster) func() Cluster { return func() Cluster { return c } }

// What only the active instance knows, another asks it for, in the caller's name, and never in a circle.
func TestForward(t *testing.T) {
	active, standby := newRig(t, true), newRig(t, true)
	roster := readiness.NewRoster()
	active.withClients(roster, readiness.Situation{})
	active.server.options.Cluster = in(&twin{})
	roster.Arrive(readiness.Facts{ID: 1, ClientID: "one", Protocol: "stomp"})
	other := &twin{active: active.url}
	standby.withClients(readiness.NewRoster(), readiness.Situation{})
	standby.server.options.Cluster = in(other)

	found, err := standby.Clients(t.Context(), false)
	if err != nil || len(found.Services) != 1 || found.Services[0].Name != "one" {
		t.Errorf("Clients of the standby = %+v, %v", found, err)
	}
	_, err = standby.Service(t.Context(), "two")
	wantCode(t, err, "not found")
	if done, err := standby.SwitchOver(t.Context(), "b"); err != nil || done.To != "b" {
		t.Errorf("SwitchOver by the standby = %+v, %v", done, err)
	}
	active.server.Configure(false, nil) // the active wants credentials
	_, err = standby.Clients(t.Context(), false)
	wantCode(t, err, api.Unauthorized)
	active.server.Configure(true, nil)

	active.server.options.Cluster = in(&twin{active: standby.url}) // each takes the other for the active
	_, err = standby.Clients(t.Context(), false)
	wantCode(t, err, api.Unavailable)
	other.active = "http://127.0.0.1:1" // nobody is there
	_, err = standby.Clients(t.Context(), false)
	wantCode(t, err, api.Unavailable)
}

func TestRestart(t *testing.T) {
	r := newRig(t, true)
	asked := 0
	r.server.options.Restart = func() error { asked++; return ErrActive }
	wantCode(t, r.Restart(t.Context()), "in use")
	r.server.options.Restart = func() error { asked++; return nil }
	wantCode(t, r.Restart(t.Context()), "")
	if asked != 2 {
		t.Errorf("%d calls came, want 2", asked)
	}
	wantCode(t, r.RestartInstance(t.Context(), "b"), "not found")
	c := &twin{}
	r.server.options.Cluster = in(c)
	wantCode(t, r.RestartInstance(t.Context(), "b"), "")
	if !slices.Equal(c.again, []string{"b"}) {
		t.Errorf("asked to restart were %q", c.again)
	}
	r.server.Configure(false, nil) // only admins may
	wantCode(t, r.Restart(t.Context()), api.Unauthorized)
}
