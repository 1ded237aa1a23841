package main

import (
	"crypto/tls"
	"net/netip"
	"reflect"
	"testing"

	"github.com/godwitmq/godwit/config"
	"github.com/godwitmq/godwit/listen"
	"github.com/godwitmq/godwit/readiness"
)

// What a listener knows of a client, at a broker alone, at one of several, and by way of another.
func TestAbout(t *testing.T) {
	local := netip.MustParseAddrPort("10.0.0.1:61617")
	secure := &listen.TLSInfo{Version: tls.VersionTLS13, ServerName: "broker.example"}
	tests := map[string]struct {
		name string // of this instance
		info listen.Info
		want readiness.Facts
	}{
		"alone":   {"", listen.Info{Local: local}, readiness.Facts{Local: "10.0.0.1:61617"}},
		"one":     {"a", listen.Info{Local: local, TLS: secure}, readiness.Facts{Node: "a", Local: "10.0.0.1:61617", TLS: "TLS 1.3", ServerName: "broker.example"}},
		"relayed": {"a", listen.Info{Local: local, TLS: secure, Relayed: true, Via: "b"}, readiness.Facts{Node: "b", Relayed: true, Local: "10.0.0.1:61617", TLS: "TLS 1.3", ServerName: "broker.example"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			n := &node{}
			n.current.Store(&config.Config{Cluster: config.Cluster{Name: tt.name}})
			if got := n.about(tt.info); got != tt.want {
				t.Errorf("about = %+v; want %+v", got, tt.want)
			}
		})
	}
}

// Clients are told addresses that they can reach: an endpoint on all interfaces is known by the host by which the other nodes know this one.
func TestAddresses(t *testing.T) {
	s := listen.New(listen.Options{Handlers: map[listen.Protocol]listen.Handler{listen.OpenWire: nil, listen.STOMP: nil}})
	defer s.Close()
	n := &node{}
	n.listeners.Store(s)
	n.current.Store(&config.Config{Cluster: config.Cluster{Name: "a", Nodes: []config.ClusterNode{{Name: "a", Log: "10.0.1.5:7410"}}}})
	for in, want := range map[string]string{"0.0.0.0:61616": "10.0.1.5:61616", "[::]:61616": "10.0.1.5:61616", ":61616": "10.0.1.5:61616", "10.0.9.9:61616": "10.0.9.9:61616", "broker.example:1": "broker.example:1"} {
		if got := n.reachable(in); got != want {
			t.Errorf("reachable(%q) = %q, want %q", in, got, want)
		}
	}
	if got := n.addresses(); len(got) != 0 {
		t.Errorf("addresses of no endpoints = %v", got)
	}
	if got := (&node{}).addresses(); len(got) != 0 {
		t.Errorf("addresses of a witness = %v", got)
	}
}

func TestRules(t *testing.T) {
	got := rules([]config.Service{{Name: "web", ClientIDs: []string{"w*"}, Users: []string{"u"}, Addresses: []string{"10.0.3.7", "10.0.4.1/24"}}})
	want := []readiness.Rule{{Name: "web", ClientIDs: []string{"w*"}, Users: []string{"u"}, Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.3.7/32"), netip.MustParsePrefix("10.0.4.0/24")}}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("rules = %+v; want %+v", got, want)
	}
}
