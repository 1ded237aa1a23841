package config

import (
	"net/netip"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// Managed makes this process a service for several brokers: it has Amazon MQ's API, and runs the brokers that are made through it.
type Managed struct {
	Enabled   bool     `yaml:"enabled" doc:"Whether this is a service. Its data are in the folders control and instances of data."`
	Account   string   `yaml:"account" doc:"Account of access keys that are made without saying which: twelve digits."`
	Region    string   `yaml:"region" doc:"The region that users are told to sign for. Any other works too, and has brokers of its own."`
	Node      string   `yaml:"node" doc:"Name of this machine in the service, the same at every start."`
	Zone      string   `yaml:"zone" doc:"Zone that this machine is in. Empty: the region's first, REGION followed by a."`
	Subnets   []string `yaml:"subnets" doc:"Subnets that this machine is in: what subnetIds of a broker may name."`
	Addresses string   `yaml:"addresses" doc:"Range of the addresses that instances get, one each, with the standard ports; or one address, which all share, with ports of their own from 20000 on. The machine must have them: on Linux all of 127.0.0.0/8 are there by themselves. Nothing else may use the range."`
	Memory    Size     `yaml:"memory" doc:"Memory that all instances together may be given, by their types. 0 is no limit."`
	Burst     int      `yaml:"burst" doc:"Requests that an account may make at once. (Amazon MQ: 100.)"`
	Rate      int      `yaml:"rate" doc:"Requests a second that an account may make from then on. (Amazon MQ: 15.)"`
	Instances int      `yaml:"instances" doc:"How many instances may run here, witnesses included. 0 is no limit."`

	Nodes ManagedNodes `yaml:"nodes" doc:"Other machines that run instances as well (docs/nodes.md)."`

	LDAP ManagedLDAP `yaml:"ldap" doc:"Whether brokers may have their users in LDAP (authenticationStrategy ldap)."`
}

// ManagedNodes is how other machines join the service.
type ManagedNodes struct {
	Listen  string        `yaml:"listen" doc:"HOST:PORT where other machines join, and their agents ask what is to run, by mutual TLS. Empty: this machine is the only one, and no other can be invited."`
	Timeout time.Duration `yaml:"timeout" doc:"After how long without a word a node counts as lost. One that is well is heard of every 5 seconds."`
}

// ManagedLDAP is how brokers' instances speak to LDAP servers, whose hosts their owners name.
type ManagedLDAP struct {
	Enabled   bool   `yaml:"enabled" doc:"Whether they may: their instances then connect to the hosts that are named in ldapServerMetadata."`
	Transport string `yaml:"transport" allowed:"ldaps|starttls|plain" doc:"As credentials.ldap.transport."`
	CA        string `yaml:"ca" path:"yes" doc:"PEM file of the authorities that signed the servers' certificates. Empty: those of the system."`
}

// ZoneName is the zone, or what stands for it.
func (m Managed) ZoneName() string {
	if m.Zone != "" {
		return m.Zone
	}
	return m.Region + "a"
}

// Range is Addresses; Validate has seen to it that it is one.
func (m Managed) Range() netip.Prefix {
	p, _ := network(m.Addresses)
	return p
}

// ControlPath is the folder of the control plane. What its agent has of instances is beside it.
func (c *Config) ControlPath() string { return filepath.Join(c.Data, "control") }

var (
	accountForm = regexp.MustCompile(`^[0-9]{12}$`)
	regionForm  = regexp.MustCompile(`^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$`)
	placeForm   = regexp.MustCompile(`^[A-Za-z0-9._-]{1,100}$`)
)

func (k checker) service() {
	m := k.config.Service
	k.check(m.LDAP.Enabled || m.LDAP == Default().Service.LDAP, "service.ldap.enabled", "is false, and without it nothing else in service.ldap counts")
	if !m.Enabled {
		return
	}
	k.check(!k.config.HTTP.Off(), "service.enabled", "needs the HTTP API, which http.address switches off")
	k.check(!k.config.Cluster.On(), "service.enabled", "does not go together with cluster.name: the broker of this process must be one alone; the service's own brokers may be pairs")
	k.check(accountForm.MatchString(m.Account), "service.account", "%q is no account; expected twelve digits", m.Account)
	k.check(regionForm.MatchString(m.Region), "service.region", "%q is no region; expected for example eu-central-1", m.Region)
	k.check(placeForm.MatchString(m.Node), "service.node", "%q is not allowed; expected 1 to 100 letters, digits, '-', '_' or '.'", m.Node)
	k.check(placeForm.MatchString(m.ZoneName()), "service.zone", "%q is not allowed; expected 1 to 100 letters, digits, '-', '_' or '.'", m.Zone)
	for _, s := range m.Subnets {
		k.check(placeForm.MatchString(s), "service.subnets", "%q is not allowed; expected 1 to 100 letters, digits, '-', '_' or '.'", s)
	}
	k.check(len(m.Subnets) <= 16, "service.subnets", "has %d entries; expected 16 at most", len(m.Subnets))
	p, err := network(m.Addresses)
	k.check(err == nil && !p.Addr().IsUnspecified(), "service.addresses", "%q is no range of addresses; expected for example 127.0.64.0/18, or one address", m.Addresses)
	if err == nil && strings.Contains(m.Addresses, "/") {
		k.check(p.String() == m.Addresses, "service.addresses", "%q has bits behind its length; expected %s", m.Addresses, p)
	}
	k.check(m.Memory >= 0, "service.memory", "%s is negative; expected 0 for no limit, or more", m.Memory)
	k.check(m.Burst >= 1 && m.Burst <= 1_000_000, "service.burst", "%d is out of range; expected 1 to 1000000", m.Burst)
	k.check(m.Rate >= 1 && m.Rate <= 1_000_000, "service.rate", "%d is out of range; expected 1 to 1000000", m.Rate)
	if m.Nodes.Listen != "" {
		if err := checkAddress(m.Nodes.Listen); err != nil {
			k.check(false, "service.nodes.listen", "%s", err)
		}
	}
	k.check(m.Nodes.Timeout >= 10*time.Second && m.Nodes.Timeout <= 24*time.Hour, "service.nodes.timeout", "%s is out of range; expected 10s to 24h", m.Nodes.Timeout)
	k.check(m.Instances >= 0, "service.instances", "%d is negative; expected 0 for no limit, or more", m.Instances)
}
