package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// DNS is a name that follows the active instance.
type DNS struct {
	Name     string        `yaml:"name" doc:"A name that clients dial, as broker.example.com: the active instance writes its addresses there (cluster.nodes[].addresses), and who it is in a TXT record at _godwit.NAME. Empty: there is none."`
	Servers  []string      `yaml:"servers" doc:"HOST:PORT of servers that are authoritative for the name and take updates of it (RFC 2136), in the order in which they are tried."`
	Zone     string        `yaml:"zone" doc:"The zone that the name is in. Empty: the servers are asked."`
	TTL      time.Duration `yaml:"ttl" doc:"How long resolvers and clients may keep an answer, in whole seconds: after a failover they may go to the old address for so long, where a standby carries them to the active instance."`
	Key      string        `yaml:"key" path:"yes" doc:"File with the key that signs questions, updates and their answers (TSIG), as tsig-keygen or keymgr -t writes it: the key's name, algorithm (hmac-sha224 to hmac-sha512) and secret. It is read each time it is used."`
	TakeOver bool          `yaml:"takeOver" doc:"Whether addresses may be replaced that are at the name and were not written by this broker. false: it says what is there, and leaves it alone. What a newer active instance has written is never replaced."`
}

// On says whether there is such a name.
func (d *DNS) On() bool { return d.Name != "" }

var (
	label = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?$`)
	// longestName is what a name may have, in bytes, so that _godwit.NAME is one, too.
	longestName = 253 - len("_godwit.")
)

// most is how many servers, and addresses of a node, there may be.
const most = 8

func domainName(name string) bool {
	name = strings.TrimSuffix(name, ".")
	return len(name) <= longestName && !slices.ContainsFunc(strings.Split(name, "."), func(l string) bool { return len(l) > 63 || !label.MatchString(l) })
}

// PublishedAddresses are those that a name gets while the node is active: its own, or else those by which clients are told to reach it.
func (n *ClusterNode) PublishedAddresses() []netip.Addr {
	var all []netip.Addr
	add := func(text string) {
		if a, err := netip.ParseAddr(text); err == nil && !slices.Contains(all, a.Unmap()) { // the rest are names, or refused by Validate
			all = append(all, a.Unmap())
		}
	}
	for _, text := range n.Addresses {
		add(text)
	}
	if len(n.Addresses) == 0 {
		for _, text := range n.Clients {
			if u, err := url.Parse(text); err == nil {
				add(u.Hostname())
			}
		}
	}
	return all
}

// checkPublished says what is wrong with an address for a name.
func checkPublished(text string) error {
	switch a, err := netip.ParseAddr(text); {
	case err != nil:
		return fmt.Errorf("%q is no address; expected for example 10.0.1.5 or 2001:db8::5", text)
	case a.IsUnspecified() || a.IsMulticast() || a.IsLinkLocalUnicast() || a.Zone() != "":
		return fmt.Errorf("%q is no address of one machine that every client could reach", text)
	}
	return nil
}

func (k checker) dns() {
	c := &k.config.Cluster
	d := &c.DNS
	for i, n := range c.Nodes {
		k.check(len(n.Addresses) <= most, fmt.Sprintf("cluster.nodes[%d].addresses", i), "has %d entries; expected %d at most", len(n.Addresses), most)
		for j, text := range n.Addresses {
			if err := checkPublished(text); err != nil {
				k.check(false, fmt.Sprintf("cluster.nodes[%d].addresses[%d]", i, j), "%s", err)
			}
		}
	}
	if !d.On() {
		return
	}
	k.check(domainName(d.Name), "cluster.dns.name", "%q is no name; expected for example broker.example.com, of %d bytes at most", d.Name, longestName)
	if d.Zone != "" {
		name, zone := strings.ToLower(strings.TrimSuffix(d.Name, ".")), strings.ToLower(strings.TrimSuffix(d.Zone, "."))
		k.check(domainName(d.Zone) && (name == zone || strings.HasSuffix(name, "."+zone)), "cluster.dns.zone", "%q is no zone that %s could be in", d.Zone, d.Name)
	}
	k.check(len(d.Servers) > 0, "cluster.dns.servers", "is empty; expected HOST:PORT of a server that takes updates of %s", d.Name)
	k.check(len(d.Servers) <= most, "cluster.dns.servers", "has %d entries; expected %d at most", len(d.Servers), most)
	for i, s := range d.Servers {
		key := fmt.Sprintf("cluster.dns.servers[%d]", i)
		if err := checkAddress(s); err != nil {
			k.check(false, key, "%s", err)
			continue
		}
		host, port, _ := net.SplitHostPort(s)
		k.check(host != "" && port != "0", key, "%q is no HOST:PORT", s)
	}
	k.check(d.TTL >= time.Second && d.TTL <= 24*time.Hour && d.TTL%time.Second == 0, "cluster.dns.ttl", "%s is out of range; expected whole seconds, 1s to 24h", d.TTL)
	k.check(d.Key != "", "cluster.dns.key", "is missing; expected a file as tsig-keygen writes it")
	if own := c.Node(c.Name); own != nil && !c.Witness() {
		k.check(len(own.PublishedAddresses()) > 0, "cluster.nodes", "says no address of %s for %s; expected addresses: [10.0.1.5] there (a reload does not change them), or clients with an address each", c.Name, d.Name)
	}
}
