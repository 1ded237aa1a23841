package readiness

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// jms is a client without fault, stomp one of which nothing is known.
func jms() Client {
	return Client{Service: "orders", Facts: Facts{ID: 1, ClientID: "ID:web-1-40000-1795418127049-0:1", Protocol: "openwire", Version: "12", Remote: netip.MustParseAddrPort("10.0.0.5:4000"),
		Local: "10.0.1.1:61617", TLS: "TLS 1.3", Failover: Yes, KeepAlive: 30000}}
}

func stompClient() Client {
	return Client{Service: "web", Facts: Facts{ID: 2, User: "web", Protocol: "stomp", Version: "1.2", Remote: netip.MustParseAddrPort("127.0.0.1:4000"), Failover: Unknown, KeepAlive: 2000}}
}

func TestJudge(t *testing.T) {
	addresses := map[string][]string{"tcp": {"a:61616", "b:61616"}, "ssl": {"a:61617", "b:61617"}, "stomp": {"a:61614"}}
	relay := Situation{Pair: true, Relay: true, Addresses: addresses}
	refusing := Situation{Pair: true, Addresses: addresses}
	at := time.Unix(1795418127, 0)
	back := &Return{At: at, After: 1200}
	tests := map[string]struct {
		client    func() Client
		change    func(*Client)
		situation Situation
		level     Level
		failover  bool
		text      []string // in the first finding; none: there is no finding
	}{
		"failover, encrypted":    {client: jms, situation: relay, level: Ready},
		"failover, broker alone": {client: jms, level: Ready},
		"no failover": {client: jms, change: func(c *Client) { c.Failover = No }, situation: relay, level: WillNotFollow, failover: true,
			text: []string{"URL is ssl://10.0.1.1:61617", "use failover:(ssl://a:61617,ssl://b:61617)"}},
		"no failover, plain": {client: jms, change: func(c *Client) { c.Failover, c.TLS, c.Local = No, "", "10.0.1.1:61616" }, situation: relay, level: WillNotFollow, failover: true,
			text: []string{"URL is tcp://10.0.1.1:61616", "use failover:(tcp://a:61616,tcp://b:61616)"}},
		"no failover, addresses unknown": {client: jms, change: func(c *Client) { c.Failover = No }, level: WillNotFollow, failover: true, text: []string{"use failover:(ssl://HOST:PORT)"}},
		"no failover, but it came back": {client: jms, change: func(c *Client) { c.Failover, c.Returned = No, back }, situation: relay, level: Warning, failover: true,
			text: []string{"back 1.2s after its connection was cut", "gets an exception"}},
		"an old library": {client: jms, change: func(c *Client) { c.Failover, c.Version = Unknown, "5" }, situation: relay, level: Warning, failover: true,
			text: []string{"too old to tell", "godwit clients probe orders"}},
		"a standby refuses":                         {client: jms, situation: refusing, level: Warning, failover: true, text: []string{"must know all addresses", "godwit clients probe orders"}},
		"a standby refuses, and it found the other": {client: jms, change: func(c *Client) { c.Probed = &Probed{At: at, Back: true, From: "a", To: "b", After: 80} }, situation: refusing, level: Ready},
		"a standby refuses, and it came to the same": {client: jms, change: func(c *Client) { c.Probed = &Probed{At: at, Back: true, From: "a", To: "a", After: 5080} }, situation: refusing,
			level: Warning, failover: true, text: []string{"must know all addresses"}},
		"a probe failed": {client: jms, change: func(c *Client) { c.Probed = &Probed{At: at, Text: "did not try to come back within 30s"} }, situation: relay, level: WillNotFollow, failover: true,
			text: []string{"a probe closed its connection, and it did not try to come back within 30s"}},
		"a probe failed, and it came back later": {client: jms, change: func(c *Client) { c.Probed, c.Returned = &Probed{At: at.Add(-time.Hour)}, back }, situation: relay, level: Ready},
		"STOMP, nothing known":                   {client: stompClient, situation: relay, level: Warning, failover: true, text: []string{"STOMP does not tell", "godwit clients probe web"}},
		"STOMP, came back":                       {client: stompClient, change: func(c *Client) { c.Returned = back }, situation: relay, level: Ready},
		"STOMP, probed":                          {client: stompClient, change: func(c *Client) { c.Probed = &Probed{At: at, Back: true, From: "a", To: "a", After: 5080} }, situation: relay, level: Ready},
		"credentials": {client: jms, change: func(c *Client) { c.Refusable, c.Credentials = true, "wrong password" }, situation: relay, level: Warning,
			text: []string{"would be refused (wrong password)"}},
		"plain":         {client: jms, change: func(c *Client) { c.TLS = "" }, situation: relay, level: Warning, text: []string{"not encrypted", "use ssl://a:61617 or ssl://b:61617"}},
		"no keep-alive": {client: jms, change: func(c *Client) { c.KeepAlive = 0 }, situation: relay, level: Warning, text: []string{"keep-alive is off", "maxInactivityDuration"}},
		"no keep-alive, STOMP": {client: stompClient, change: func(c *Client) { c.KeepAlive, c.Returned = 0, back }, situation: relay, level: Warning,
			text: []string{"heart-beat:30000,30000"}},
		"many reconnects":       {client: jms, change: func(c *Client) { c.Reconnects = 10 }, situation: relay, level: Warning, text: []string{"reconnected 10 times in 10m0s"}},
		"not so many":           {client: jms, change: func(c *Client) { c.Reconnects = 9 }, situation: relay, level: Ready},
		"a prefetch that hurts": {client: jms, change: func(c *Client) { c.Consumers = []Consumer{{"queue://q", 1000, 7, 61_000}} }, situation: relay, level: Warning, text: []string{"queue://q holds 7 messages", "1m1s", "prefetch is 1000"}},
		"a prefetch that does not": {client: jms, change: func(c *Client) {
			c.Consumers = []Consumer{{"queue://q", 1000, 7, 59_000}, {"queue://q", 10, 7, 61_000}, {"queue://q", 1000, 1, 61_000}, {"topic://t", 1000, 7, 61_000}}
		}, situation: relay, level: Ready},
		"the worst is first": {client: jms, change: func(c *Client) { c.Failover, c.KeepAlive, c.Reconnects = No, 0, 100 }, situation: relay, level: WillNotFollow, failover: true, text: []string{"no failover transport"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := tt.client()
			if tt.change != nil {
				tt.change(&c)
			}
			found := Judge(&c, tt.situation)
			if got := worst(found); got != tt.level || (len(found) == 0) != (tt.text == nil) {
				t.Fatalf("verdict %q, findings %+v; want %q", got, found, tt.level)
			}
			for _, text := range tt.text {
				if !strings.Contains(found[0].Text, text) || found[0].Failover != tt.failover {
					t.Errorf("finding %+v; want %q, about failover: %v", found[0], text, tt.failover)
				}
			}
		})
	}
}

func TestService(t *testing.T) {
	rules := []Rule{
		{Name: "orders", ClientIDs: []string{"orders-*", "*-of-orders"}},
		{Name: "orders", Users: []string{"ord"}},
		{Name: "web", Users: []string{"web"}, Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}},
		{Name: "rest of ten", Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}},
	}
	tests := map[string]struct {
		client, user, address string
		name, by              string
	}{
		"client id":                  {"orders-7", "web", "10.0.0.1", "orders", ByRule},
		"client id, second pattern":  {"job-of-orders", "", "192.0.2.1", "orders", ByRule},
		"a second rule of that name": {"x", "ord", "192.0.2.1", "orders", ByRule},
		"user and address":           {"x", "web", "10.0.0.1", "web", ByRule},
		"address, mapped":            {"x", "", "::ffff:10.0.0.1", "rest of ten", ByRule},
		"user without the address":   {"x", "web", "192.0.2.1", "web", ByUser},
		"none, a generated id":       {"ID:web-1.example-40000-1795418127049-3:17", "", "192.0.2.1", "web-1.example", ByClientID},
		"none, numbered":             {"billing-12", "", "192.0.2.1", "billing", ByClientID},
		"none, a UUID":               {"billing-6ba7b810-9dad-11d1-80b4-00c04fd430c8", "", "192.0.2.1", "billing", ByClientID},
		"none, a number":             {"4711", "", "192.0.2.1", "4711", ByClientID},
		"nothing":                    {"", "", "::ffff:192.0.2.1", "192.0.2.1", ByAddress},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := Facts{ClientID: tt.client, User: tt.user, Remote: netip.AddrPortFrom(netip.MustParseAddr(tt.address), 1)}
			if got, by := service(rules, &f); got != tt.name || by != tt.by {
				t.Errorf("service of %+v = %q by %q; want %q by %q", f, got, by, tt.name, tt.by)
			}
		})
	}
}

func TestWild(t *testing.T) {
	for _, tt := range []struct {
		pattern, text string
		want          bool
	}{
		{"", "", true}, {"", "a", false}, {"a", "a", true}, {"a", "ab", false}, {"*", "", true}, {"*", "a*b", true}, {"a*", "ab", true}, {"a*", "ba", false}, {"*a", "ba", true},
		{"a*a", "a", false}, {"a*a", "aa", true}, {"a*b*c", "a-b-b-c", true}, {"a*b*c", "a-c-b", false}, {"*b*", "abc", true}, {"a**c", "abc", true},
	} {
		if got := wild(tt.pattern, tt.text); got != tt.want {
			t.Errorf("wild(%q, %q) = %v", tt.pattern, tt.text, got)
		}
	}
}

func TestKey(t *testing.T) {
	of := func(id, user, remote string) string {
		return (&Facts{Protocol: "p", ClientID: id, User: user, Remote: netip.MustParseAddrPort(remote)}).Key()
	}
	same := [][2]string{
		{of("ID:h-40000-1795418127049-0:1", "", "10.0.0.1:1"), of("ID:h-40000-1795418127049-0:2", "", "10.0.0.1:2")},
		{of("", "u", "10.0.0.1:1"), of("", "u", "10.0.0.1:2")},
		{of("orders", "u", "10.0.0.1:1"), of("orders", "v", "10.0.0.2:2")},
	}
	for _, pair := range same {
		if pair[0] != pair[1] {
			t.Errorf("keys %q and %q differ", pair[0], pair[1])
		}
	}
	if a, b := of("orders:1", "", "10.0.0.1:1"), of("orders:2", "", "10.0.0.1:1"); a == b {
		t.Errorf("client ids that an application chose have the same key %q", a)
	}
}

func TestReturns(t *testing.T) {
	begin := time.Unix(1795418127, 0)
	tests := map[string]struct {
		past   string // c came, l left, x cut; one a second
		since  int    // second
		last   int    // second of the last return; -1: none
		after  int64
		lately int
	}{
		"nothing":               {"", 0, -1, 0, 0},
		"came":                  {"c", 0, -1, 0, 0},
		"came and was cut":      {"cx", 0, -1, 0, 0},
		"came back":             {"cxc", 0, 2, 1000, 1},
		"after a goodbye":       {"clc", 0, -1, 0, 1},
		"again and again":       {"cxcxclc", 0, 4, 1000, 3},
		"only lately":           {"cxcxclc", 5, 4, 1000, 1},
		"a second connection":   {"cc", 0, -1, 0, 0},
		"two cut, one came":     {"ccxxc", 0, 4, 1000, 1},
		"cut elsewhere, unseen": {"xc", 0, 1, 1000, 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var p Past
			for i, what := range tt.past {
				p = append(p, Event{begin.Add(time.Duration(i) * time.Second), map[rune]What{'c': Came, 'l': Left, 'x': Cut}[what]})
			}
			var odd, even Past // as two instances have seen it
			for i, e := range p {
				if i%2 == 0 {
					even = append(even, e)
				} else {
					odd = append(odd, e)
				}
			}
			joined := join(odd, even)
			if len(p) > 0 && !reflect.DeepEqual(joined, p) {
				t.Fatalf("join = %v, want %v", joined, p)
			}
			last, lately := joined.returns(begin.Add(time.Duration(tt.since) * time.Second))
			got, after := -1, int64(0)
			if last != nil {
				got, after = int(last.At.Sub(begin)/time.Second), last.After
			}
			if got != tt.last || after != tt.after || lately != tt.lately {
				t.Errorf("returns = %d after %d ms, %d lately; want %d after %d ms, %d", got, after, lately, tt.last, tt.after, tt.lately)
			}
		})
	}
}

// TestSurvey joins what two instances have seen: the connection was cut at the one, and came back to the other.
func TestSurvey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := NewRoster(), NewRoster()
		web := stompClient().Facts
		old := a.Arrive(web)
		time.Sleep(time.Second)
		old.Leave(false)
		time.Sleep(2 * time.Second)
		web.Node = "a"
		b.Arrive(web)
		for i := range 5 {
			plain := jms().Facts
			plain.ID, plain.ClientID, plain.Failover, plain.Node = uint64(10+i), fmt.Sprintf("batch-%d", i), No, "b"
			plain.Local = fmt.Sprintf("10.0.1.%d:61617", i)
			b.Arrive(plain)
		}
		list := Survey([]Seen{b.Seen(), a.Seen()}, map[uint64][]Consumer{10: {{Destination: "queue://q", Prefetch: 5}}}, nil, Situation{Pair: true, Relay: true}, time.Now())
		if len(list) != 2 || list[0].Name != "batch" || list[1].Name != "web" {
			t.Fatalf("services = %+v", list)
		}
		batch, seen := list[0], list[1]
		if batch.Connections != 5 || batch.Nodes["b"] != 5 || batch.Verdict != WillNotFollow || len(batch.Findings) != maxAlike || batch.Findings[0].Connections != 3 || len(batch.Stays()) != maxAlike {
			t.Errorf("batch = %+v; want 5 connections at b that will not follow, in %d findings", batch, maxAlike)
		}
		if c := batch.Clients[0]; c.ID != 10 || len(c.Consumers) != 1 {
			t.Errorf("the first connection = %+v; want 10 with its consumer", c)
		}
		if c := seen.Clients[0]; seen.Verdict != Ready || c.Returned == nil || c.Returned.After != 2000 || c.Reconnects != 1 || seen.Nodes["a"] != 1 {
			t.Errorf("web = %+v; want that it is ready, was back after 2 s, at a", seen)
		}
	})
}

func TestProbe(t *testing.T) {
	const refuse, wait = 5 * time.Second, 30 * time.Second
	tests := map[string]struct {
		node string // dialled before
		then func(r *Roster, f Facts)
		want Probed
		text string
	}{
		"at the other instance": {"a", func(r *Roster, f Facts) {
			time.Sleep(time.Second)
			if err := r.Admits(&f); !errors.Is(err, ErrProbe) {
				t.Errorf("Admits at a = %v", err)
			}
			f.Node = "b"
			time.Sleep(time.Second)
			if err := r.Admits(&f); err != nil {
				t.Errorf("Admits at b = %v", err)
			}
			r.Arrive(f)
		}, Probed{Tries: 1, First: 1000, Back: true, From: "a", To: "b", After: 2000}, "was back after 2s, at b instead of a"},
		"at the same": {"a", func(r *Roster, f Facts) {
			for r.Admits(&f) != nil {
				time.Sleep(2 * time.Second)
			}
			r.Arrive(f)
		}, Probed{Tries: 3, First: 0, Back: true, From: "a", To: "a", After: 6000}, "at a again (refused there 3 times)"},
		"a broker alone": {"", func(r *Roster, f Facts) {
			time.Sleep(refuse)
			if err := r.Admits(&f); err != nil {
				t.Errorf("Admits after %v = %v", refuse, err)
			}
			r.Arrive(f)
		}, Probed{First: 5000, Back: true, After: 5000}, "was back after 5s (refused 0 times)"},
		"never": {"a", func(*Roster, Facts) {}, Probed{First: -1, From: "a", After: 30000}, "did not try to come back within 30s"},
		"gave up": {"a", func(r *Roster, f Facts) {
			if err := r.Admits(&f); !errors.Is(err, ErrProbe) {
				t.Errorf("Admits = %v", err)
			}
		}, Probed{Tries: 1, First: 0, From: "a", After: 30000}, "was refused 1 times and then not back within 30s"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := NewRoster()
				f := jms().Facts
				f.Node = tt.node
				v := r.Arrive(f)
				other := stompClient().Facts // is not refused
				other.Node = tt.node
				done, err := r.Probe(t.Context(), f.ID, refuse, wait, func() bool {
					if _, err := r.Probe(t.Context(), f.ID, refuse, wait, nil); !errors.Is(err, ErrBusy) {
						t.Errorf("a second probe: %v", err)
					}
					if err := r.Admits(&other); err != nil {
						t.Errorf("another client is refused: %v", err)
					}
					v.Leave(false)
					go tt.then(r, f)
					return true
				})
				if err != nil {
					t.Fatal(err)
				}
				tt.want.At, tt.want.Connection, tt.want.ClientID, tt.want.Refused, tt.want.Text = done.At, f.ID, f.ClientID, refuse.Milliseconds(), done.Text
				if *done != tt.want || !strings.Contains(done.Text, tt.text) {
					t.Errorf("Probe = %+v; want %+v, %q", *done, tt.want, tt.text)
				}
				if got := r.Seen().Probed[f.Key()]; got != done {
					t.Errorf("what is remembered is %+v", got)
				}
				if err := r.Admits(&f); err != nil {
					t.Errorf("after the probe: %v", err)
				}
			})
		})
	}
	r := NewRoster()
	r.Arrive(jms().Facts)
	if _, err := r.Probe(t.Context(), 4711, refuse, wait, nil); !errors.Is(err, ErrGone) {
		t.Errorf("probe of an unknown connection: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := r.Probe(ctx, 1, refuse, wait, func() bool { cancel(); return true }); !errors.Is(err, context.Canceled) {
		t.Errorf("probe that was given up: %v", err)
	}
}

// The past is bounded: the client that was not seen for longest is forgotten, and never one that is here.
func TestRosterBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRoster()
		stays := jms().Facts
		r.Arrive(stays)
		for i := range maxClients + 10 {
			f := Facts{ID: uint64(100 + i), Protocol: "stomp", ClientID: fmt.Sprint("c", i)}
			r.Arrive(f).Leave(true)
			time.Sleep(time.Millisecond)
		}
		for range maxEvents {
			r.Arrive(Facts{ID: 99, Protocol: "stomp", ClientID: "busy"}).Leave(false)
		}
		s := r.Seen()
		if n := len(s.Past); n > maxClients+1 || n < maxClients*7/8 {
			t.Errorf("%d clients are remembered, want at most %d", n, maxClients+1)
		}
		if s.Past[stays.Key()] == nil || s.Past["stomp c0"] != nil || s.Past["stomp c4105"] == nil {
			t.Error("the wrong ones were forgotten")
		}
		if n := len(s.Past["stomp busy"]); n != maxEvents {
			t.Errorf("%d events of one client are remembered, want %d", n, maxEvents)
		}
		ends := s.Ends()
		if len(ends.Here) > 0 || ends.Past[stays.Key()] != nil || ends.Past["stomp busy"] == nil {
			t.Error("others are told of one who is here, or not of one who has gone")
		}
		var none *Roster
		none.Arrive(stays).Leave(true)
		if err := none.Admits(&stays); err != nil {
			t.Error(err)
		}
	})
}
