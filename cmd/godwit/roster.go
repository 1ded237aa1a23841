package main

import (
	"crypto/tls"
	"net"

	"github.com/godwitmq/godwit/config"
	"github.com/godwitmq/godwit/control"
	"github.com/godwitmq/godwit/listen"
	"github.com/godwitmq/godwit/readiness"
)

// clientsAPI is what the API is to know of clients.
func (n *node) clientsAPI() control.Clients {
	return control.Clients{
		Roster: n.roster,
		Rules:  func() []readiness.Rule { return rules(n.config().Services) },
		Situation: func() readiness.Situation {
			c := &n.config().Cluster
			return readiness.Situation{Pair: c.On(), Relay: c.Relay, Addresses: n.addresses()}
		},
	}
}

func rules(services []config.Service) []readiness.Rule {
	all := make([]readiness.Rule, len(services))
	for i, s := range services {
		all[i] = readiness.Rule{Name: s.Name, ClientIDs: s.ClientIDs, Users: s.Users, Addresses: s.Networks()}
	}
	return all
}

// about is what the listener knows of a client.
func (n *node) about(info listen.Info) readiness.Facts {
	f := readiness.Facts{Node: n.config().Cluster.Name, Local: info.Local.String(), Relayed: info.Relayed}
	if info.Relayed {
		f.Node = info.Via
	}
	if info.TLS != nil {
		f.TLS, f.ServerName = tls.VersionName(info.TLS.Version), info.TLS.ServerName
	}
	return f
}

// addresses are where clients reach this node, by the schemes of their URLs.
func (n *node) addresses() map[string][]string {
	all := map[string][]string{}
	listeners := n.listeners.Load()
	if listeners == nil {
		return all
	}
	add := func(wanted bool, scheme, address string) {
		if wanted {
			all[scheme] = append(all[scheme], address)
		}
	}
	for _, b := range listeners.Bound() {
		address := n.reachable(b.Address)
		plain, encrypted := b.TLS != listen.TLSRequired, b.TLS != listen.TLSOff
		openwire, stomp := b.Protocol != listen.STOMP, b.Protocol != listen.OpenWire
		add(openwire && plain, "tcp", address)
		add(openwire && encrypted, "ssl", address)
		add(stomp && plain, "stomp", address)
		add(stomp && encrypted, "stomp+ssl", address)
	}
	return all
}

// reachable replaces an address of all interfaces by the host under which the other nodes know this one, if there are others.
func (n *node) reachable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	own := n.config().Cluster.Node(n.config().Cluster.Name)
	if ip := net.ParseIP(host); own != nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		if known, _, err := net.SplitHostPort(own.Log); err == nil {
			return net.JoinHostPort(known, port)
		}
	}
	return reachable(address)
}
