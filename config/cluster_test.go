package config

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestClientURL(t *testing.T) {
	for text, want := range map[string]bool{
		"tcp://broker-a.example.com:61616": true, "ssl://10.0.1.5:61617": true, "ssl://[fd00::1]:61617": true,
		"tls://a:1": false, "tcp://a": false, "tcp://:61616": false, "tcp://0.0.0.0:61616": false, "tcp://[::]:61616": false, "a:61616": false,
		"tcp://a:1,tcp://b:1": false, "tcp://user@a:1": false,
	} {
		if err := checkClientURL(text); (err == nil) != want {
			t.Errorf("checkClientURL(%q) = %v, want it allowed: %v", text, err, want)
		}
	}
}

// TestClientURLs: clients hear of addresses of their own kind, that of the active instance first.
func TestClientURLs(t *testing.T) {
	c := Cluster{Nodes: []ClusterNode{
		{Name: "a", Clients: []string{"tcp://a:1", "ssl://a:2"}}, {Name: "b", Clients: []string{"ssl://b:2", "tcp://b:1"}}, {Name: "w"},
	}}
	for _, tt := range []struct {
		first  string
		secure bool
		want   []string
	}{
		{"a", false, []string{"tcp://a:1", "tcp://b:1"}},
		{"b", false, []string{"tcp://b:1", "tcp://a:1"}},
		{"b", true, []string{"ssl://b:2", "ssl://a:2"}},
	} {
		if got := c.ClientURLs(tt.first, tt.secure); !slices.Equal(got, tt.want) {
			t.Errorf("ClientURLs(%s, %v) = %q, want %q", tt.first, tt.secure, got, tt.want)
		}
	}
	if got := (&Cluster{Nodes: []ClusterNode{{Name: "a"}, {Name: "b"}}}).ClientURLs("a", false); len(got) != 0 {
		t.Errorf("with no addresses for clients: %q", got)
	}
}

// TestPublishedAddresses: what the name of the active instance gets.
func TestPublishedAddresses(t *testing.T) {
	for _, tt := range []struct {
		node ClusterNode
		want string
	}{
		{ClusterNode{}, "[]"},
		{ClusterNode{Clients: []string{"tcp://a.example.com:61616"}}, "[]"},
		{ClusterNode{Clients: []string{"tcp://10.0.1.5:61616", "ssl://10.0.1.5:61617", "ssl://[2001:db8::5]:61617", "tcp://a:1"}}, "[10.0.1.5 2001:db8::5]"},
		{ClusterNode{Addresses: []string{"10.0.1.6", "::ffff:10.0.1.6"}, Clients: []string{"tcp://10.0.1.5:61616"}}, "[10.0.1.6]"},
	} {
		if got := fmt.Sprint(tt.node.PublishedAddresses()); got != tt.want {
			t.Errorf("of addresses %q and clients %q: %s, want %s", tt.node.Addresses, tt.node.Clients, got, tt.want)
		}
	}
}

func TestDomainName(t *testing.T) {
	long := strings.Repeat("a.", longestName/2)
	for name, want := range map[string]bool{
		"broker.example.com": true, "broker.example.com.": true, "_b.x-1.Example": true, "broker": true, long + "a": true,
		"": false, ".": false, "..": false, "a..b": false, "-a.b": false, "a-.b": false, "a b": false, "bröker.example": false, strings.Repeat("a", 64) + ".b": false, long + "aa": false,
	} {
		if got := domainName(name); got != want {
			t.Errorf("domainName(%q) = %t, want %t", name, got, want)
		}
	}
}

// TestDNSIsLive: a running pair gets its name without a restart.
func TestDNSIsLive(t *testing.T) {
	nodes := pairYAML("[{name: a, log: '127.0.0.1:1', clients: ['tcp://10.0.1.5:1']}, {name: b, log: '127.0.0.1:2'}, {name: w, log: '127.0.0.1:3'}]")
	old, err := Parse("g.yaml", []byte(nodes))
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := Parse("g.yaml", []byte(nodes+"  dns: {name: broker.example.com, servers: ['10.0.0.53:53'], key: dns.key, ttl: 30s}\n"))
	if err != nil {
		t.Fatal(err)
	}
	live, restart := Diff(old, fresh)
	merged := old.Live(fresh)
	if len(live) != 4 || len(restart) != 0 || merged.Validate() != nil || merged.Cluster.DNS.Name != "broker.example.com" || old.Cluster.DNS.On() {
		t.Errorf("live %v, restart %v; merged %+v, old %+v", live, restart, merged.Cluster.DNS, old.Cluster.DNS)
	}
}
