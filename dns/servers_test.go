package dns

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/godwitmq/godwit/dns/dnstest"
)

// Tests with real servers; they are left out where those are not installed.

const (
	name = "broker.example.test."
	mark = "_godwit.broker.example.test."
)

func onEach(t *testing.T, records []string, run func(t *testing.T, s *dnstest.Server, n *Name)) {
	for _, kind := range dnstest.Kinds {
		t.Run(kind, func(t *testing.T) {
			s := dnstest.Start(t, kind, records...)
			run(t, s, nameAt(t, s))
		})
	}
}

func nameAt(t *testing.T, s *dnstest.Server) *Name {
	t.Helper()
	key, err := ReadKey(s.Key)
	if err != nil {
		t.Fatal(err)
	}
	return &Name{Name: "Broker.example.test", Servers: []string{s.Address}, TTL: 5 * time.Second, Key: key, Within: 20 * time.Second}
}

func claim(instance string, epoch uint64, addresses ...string) Claim {
	c := Claim{Owner: Owner{Broker: "orders", Instance: instance, Epoch: epoch}}
	for _, a := range addresses {
		c.Addresses = append(c.Addresses, netip.MustParseAddr(a))
	}
	return c
}

// holds is what the zone must have, as anybody sees it.
func holds(t *testing.T, s *dnstest.Server, instance string, epoch uint64, a, aaaa string) {
	t.Helper()
	got := fmt.Sprint(s.Records(t, mark, dns.TypeTXT), s.Records(t, name, dns.TypeA), s.Records(t, name, dns.TypeAAAA))
	want := fmt.Sprintf(`["broker=orders instance=%s epoch=%d"] [%s] [%s]`, instance, epoch, a, aaaa)
	if got != want {
		t.Errorf("the zone has %s, want %s", got, want)
	}
}

func update(t *testing.T, n *Name, c Claim, want bool) {
	t.Helper()
	if written, err := n.Update(t.Context(), c); err != nil || written != want {
		t.Fatalf("update to %v %v: written %t, %v; want written %t", c.Owner, c.Addresses, written, err, want)
	}
}

func TestNameFollowsEpochs(t *testing.T) {
	onEach(t, nil, func(t *testing.T, s *dnstest.Server, n *Name) {
		if is, err := n.Look(t.Context()); err != nil || is.Owner != nil || is.Addresses != nil {
			t.Fatalf("a name that is not there: %+v, %v", is, err)
		}
		a := claim("a", 1, "192.0.2.1", "2001:db8::1")
		update(t, n, a, true)
		holds(t, s, "a", 1, "192.0.2.1", "2001:db8::1")
		update(t, n, a, false)

		b := claim("b", 2, "192.0.2.2", "192.0.2.3")
		update(t, n, b, true)
		holds(t, s, "b", 2, "192.0.2.2 192.0.2.3", "")
		for _, old := range []Claim{a, claim("c", 2, "192.0.2.4")} {
			if written, err := n.Update(t.Context(), old); written || !errors.Is(err, ErrNewer) || !strings.Contains(err.Error(), "instance=b epoch=2") {
				t.Errorf("update to %v: written %t, %v", old.Owner, written, err)
			}
		}
		holds(t, s, "b", 2, "192.0.2.2 192.0.2.3", "")

		is, err := n.Look(t.Context())
		is.text = nil
		want := State{Owner: &b.Owner, Addresses: is.Addresses, TTL: 5 * time.Second}
		if err != nil || !reflect.DeepEqual(is, want) || !reflect.DeepEqual(sorted(is.Addresses), b.Addresses) {
			t.Errorf("look: %+v, %v; want %+v", is, err, want)
		}
		// What a restart of the server leaves is the same.
		s.Down(t)
		s.Up(t)
		update(t, n, b, false)
	})
}

// An update that was decided upon before another instance wrote comes too late, and the server refuses it.
func TestLateUpdateIsRefused(t *testing.T) {
	onEach(t, nil, func(t *testing.T, s *dnstest.Server, n *Name) {
		late := &session{Name: n, ctx: t.Context(), server: s.Address, name: name, mark: mark}
		try := func(seen State, c Claim) {
			t.Helper()
			if written, err := late.write(seen, c); written || err != nil {
				t.Errorf("a late update to %v: written %t, %v; want that a condition did not hold", c.Owner, written, err)
			}
		}
		nothing, err := late.look()
		if err != nil {
			t.Fatal(err)
		}
		update(t, n, claim("b", 7, "192.0.2.7"), true)
		try(nothing, claim("a", 6, "192.0.2.6"))
		seen, err := late.look()
		if err != nil {
			t.Fatal(err)
		}
		update(t, n, claim("a", 9, "192.0.2.9"), true)
		try(seen, claim("b", 8, "192.0.2.8"))
		holds(t, s, "a", 9, "192.0.2.9", "")
	})
}

func TestMended(t *testing.T) {
	onEach(t, nil, func(t *testing.T, s *dnstest.Server, n *Name) {
		c := claim("a", 1, "192.0.2.1")
		update(t, n, c, true)
		for what, by := range map[string]struct {
			del []string
			add string
		}{
			"one more":      {add: name + " 5 IN A 192.0.2.66"},
			"another kind":  {add: name + " 5 IN AAAA 2001:db8::66"},
			"another":       {[]string{name}, name + " 5 IN A 192.0.2.66"},
			"an alias":      {[]string{name}, name + " 5 IN CNAME elsewhere.example.test."},
			"another limit": {[]string{name}, name + " 60 IN A 192.0.2.1"},
			"none":          {del: []string{name}},
		} {
			if by.add == "" {
				s.Change(t, by.del)
			} else {
				s.Change(t, by.del, by.add)
			}
			if written, err := n.Update(t.Context(), c); !written || err != nil {
				t.Errorf("%s: written %t, %v", what, written, err)
			}
			holds(t, s, "a", 1, "192.0.2.1", "")
			update(t, n, c, false)
		}
		n.TTL = time.Minute
		update(t, n, c, true)
		update(t, n, c, false)
	})
}

func TestForeign(t *testing.T) {
	tests := map[string]struct {
		records []string
		found   string // in the error
		cname   bool
	}{
		"addresses":      {[]string{name + " 60 IN A 192.0.2.50"}, "192.0.2.50", false},
		"an alias":       {[]string{name + " 60 IN CNAME old.example.test."}, "an alias of old.example.test.", true},
		"mail":           {[]string{name + " 60 IN MX 10 ns.example.test."}, "records that are no addresses", false},
		"another text":   {[]string{mark + ` 60 IN TXT "something else"`}, `the text "something else"`, false},
		"another broker": {[]string{name + " 60 IN A 192.0.2.50", mark + ` 60 IN TXT "broker=invoices instance=a epoch=1"`}, "broker=invoices", false},
		"two texts":      {[]string{mark + ` 60 IN TXT "broker=orders instance=a epoch=1"`, mark + ` 60 IN TXT "broker=orders instance=b epoch=9"`}, "epoch=9", false},
	}
	for _, kind := range dnstest.Kinds {
		t.Run(kind, func(t *testing.T) {
			s := dnstest.Start(t, kind)
			n := nameAt(t, s)
			c := claim("a", 5, "192.0.2.1")
			for what, tt := range tests {
				t.Run(what, func(t *testing.T) {
					s.Change(t, []string{name, mark}, tt.records...)
					defer s.Change(t, []string{name, mark})
					written, err := n.Update(t.Context(), c)
					if written || !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), tt.found) || !strings.Contains(err.Error(), "takeOver") {
						t.Fatalf("written %t, %v; want that it is foreign, with %q", written, err, tt.found)
					}
					if got := s.Records(t, name, dns.TypeA); tt.found == "192.0.2.50" && !reflect.DeepEqual(got, []string{"192.0.2.50"}) {
						t.Errorf("what it must not touch is %v", got)
					}
					take := *n
					take.TakeOver = true
					update(t, &take, c, true)
					holds(t, s, "a", 5, "192.0.2.1", "")
					update(t, n, c, false) // from now on it is its own
				})
			}
		})
	}
}

// What a wildcard answers for a name is not there, and in nobody's way.
func TestWildcard(t *testing.T) {
	onEach(t, []string{"* 60 IN A 192.0.2.99", `* 60 IN TXT "v=spf1 -all"`}, func(t *testing.T, s *dnstest.Server, n *Name) {
		update(t, n, claim("a", 1, "192.0.2.1"), true)
		holds(t, s, "a", 1, "192.0.2.1", "")
	})
}

// A server that is away costs its time, one that refuses an answer; the next is tried.
func TestNextServer(t *testing.T) {
	bind, knot := dnstest.Start(t, "bind"), dnstest.Start(t, "knot")
	n := nameAt(t, bind)
	n.Servers = []string{knot.Address, bind.Address} // which has another secret
	update(t, n, claim("a", 1, "192.0.2.1"), true)
	holds(t, bind, "a", 1, "192.0.2.1", "")
	if got := knot.Records(t, name, dns.TypeA); got != nil {
		t.Errorf("the server with another key has %v", got)
	}
	knot.Down(t)
	update(t, n, claim("b", 2, "192.0.2.2"), true)
	bind.Down(t)
	if _, err := n.Update(t.Context(), claim("a", 3, "192.0.2.1")); err == nil || !strings.Contains(err.Error(), knot.Address+": nothing listens there") || !strings.Contains(err.Error(), bind.Address+": nothing listens there") {
		t.Errorf("both are away: %v", err)
	}
}

func TestRefusedByRealServers(t *testing.T) {
	onEach(t, nil, func(t *testing.T, s *dnstest.Server, n *Name) {
		other, err := ReadKey(s.Other)
		if err != nil {
			t.Fatal(err)
		}
		unknown := n.Key
		unknown.Name = "somebody."
		elsewhere := *n
		elsewhere.Name = "broker.elsewhere.test"
		for what, tt := range map[string]struct {
			n    Name
			want string
		}{
			"another secret": {Name{Name: n.Name, Servers: n.Servers, Key: other}, "BADSIG"},
			"unknown key":    {Name{Name: n.Name, Servers: n.Servers, Key: unknown}, "BADKEY"},
			"another zone":   {elsewhere, "REFUSED"},
			"a wrong zone":   {Name{Name: n.Name, Servers: n.Servers, Key: n.Key, Zone: "test"}, "not authoritative"},
		} {
			if _, err := tt.n.Update(t.Context(), claim("a", 1, "192.0.2.1")); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: %v; want %q", what, err, tt.want)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := n.Update(ctx, claim("a", 1, "192.0.2.1")); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
	})
}

// Keys are read as the servers' own tools write them.
func TestKeysOfTools(t *testing.T) {
	for tool, args := range map[string][]string{"tsig-keygen": {"-a", "hmac-sha512", "godwit"}, "keymgr": {"-t", "godwit", "hmac-sha512"}} {
		t.Run(tool, func(t *testing.T) {
			path, err := exec.LookPath(tool)
			if err != nil {
				t.Skip(err)
			}
			out, err := exec.Command(path, args...).Output()
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "key")
			if err := writeFile(file, string(out)); err != nil {
				t.Fatal(err)
			}
			k, err := ReadKey(file)
			if err != nil || k.Name != "godwit." || k.Algorithm != dns.HmacSHA512 || len(k.secret) < 32 {
				t.Errorf("%s wrote %q, read as %s %s with %d bytes, %v", tool, out, k.Name, k.Algorithm, len(k.secret), err)
			}
		})
	}
}
