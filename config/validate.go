package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/godwitmq/godwit/security"
)

var brokerName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,50}$`)

// Validate says all that is wrong with the configuration, as Problems, or nil.
func (c *Config) Validate() error {
	var problems Problems
	c.validate(&problems)
	return problems.err()
}

func (c *Config) validate(problems *Problems) {
	k := checker{config: c, problems: problems}
	k.allowed(reflect.ValueOf(*c), "")
	k.check(c.Data != "", "data", "is empty; expected a folder")
	k.check(brokerName.MatchString(c.Broker.Name), "broker.name", "%q is not allowed; expected 1 to 50 letters, digits, '.', '_' or '-'", c.Broker.Name)
	k.listeners()
	k.tls(c.TLS, "tls")
	k.http()
	k.metrics()
	k.access()
	k.credentials()
	k.limits()
	k.shutdown()
	k.policies()
	k.routes()
	k.journal()
	k.cluster()
	k.services()
	k.service()
}

// checker collects problems with the place that each key's value came from.
type checker struct {
	config   *Config
	problems *Problems
}

func (k checker) check(ok bool, key, format string, args ...any) {
	// What could not even be read has been told already.
	if !ok && !slices.ContainsFunc(*k.problems, func(p Problem) bool { return p.Key == key }) {
		k.problems.add(k.origin(key), key, format, args...)
	}
}

// origin is where the key's value came from, or that of the section or list around it.
func (k checker) origin(key string) string {
	for {
		if where, ok := k.config.origins[key]; ok {
			return where
		}
		i := strings.LastIndexAny(key, ".[")
		if i < 0 {
			return ""
		}
		key = key[:i]
	}
}

// allowed checks every value that has a list of allowed ones; values from a list's entry may be empty, which means the usual.
func (k checker) allowed(v reflect.Value, prefix string) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if !f.IsExported() {
			continue
		}
		key := join(prefix, f.Tag.Get("yaml"))
		switch list := f.Tag.Get("allowed"); {
		case list != "":
			words := strings.Split(list, "|")
			value := v.Field(i).String()
			k.check(value == "" && strings.Contains(key, "[") || slices.Contains(words, value), key, "%q is not allowed; expected %s", value, oneOf(words))
		case f.Type.Kind() == reflect.Struct:
			k.allowed(v.Field(i), key)
		case f.Type.Kind() == reflect.Slice && f.Type != textsType:
			for j := range v.Field(i).Len() {
				k.allowed(v.Field(i).Index(j), fmt.Sprintf("%s[%d]", key, j))
			}
		}
	}
}

func (k checker) listeners() {
	c := k.config
	k.check(len(c.Listeners) > 0 || c.Cluster.Witness(), "listeners", "is empty; expected at least one")
	taken := map[string]string{}
	names := map[string]string{}
	if !c.HTTP.Off() {
		taken[c.HTTP.Address] = "http.address"
	}
	for i, l := range c.Listeners {
		key := fmt.Sprintf("listeners[%d]", i)
		k.check(l.Protocol != "", key+".protocol", "is missing; expected openwire, stomp or auto")
		k.check(l.MaxConnections >= 0, key+".maxConnections", "%d is negative; expected 0 for no limit, or more", l.MaxConnections)
		if l.Name != "" {
			k.check(names[l.Name] == "", key+".name", "%q is also the name of %s", l.Name, names[l.Name])
			names[l.Name] = key
		}
		for j, network := range l.ProxyFrom {
			_, err := netip.ParsePrefix(network)
			k.check(err == nil, fmt.Sprintf("%s.proxyFrom[%d]", key, j), "%q is not a network; expected for example 10.0.0.0/8 or 192.0.2.7/32", network)
		}
		k.clientAuth(l.ClientAuth, key+".clientAuth")
		if err := checkURL(l.URL); err != nil {
			k.check(false, key+".url", "%s", err)
			continue
		}
		_, address := l.Transport()
		if !strings.HasSuffix(address, ":0") {
			k.check(taken[address] == "", key+".url", "%s is also the address of %s", address, taken[address])
			taken[address] = key
		}
	}
}

var schemes = []string{"tcp", "tls", "tcp+tls"}

func checkURL(text string) error {
	if text == "" {
		return fmt.Errorf("is missing; expected for example tcp://127.0.0.1:61616")
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return fmt.Errorf("%q is not a URL; expected for example tcp://127.0.0.1:61616", text)
	case u.Scheme == "ssl":
		return fmt.Errorf("%q: ssl is not a transport here; expected tls://%s", text, u.Host)
	case !slices.Contains(schemes, u.Scheme):
		return fmt.Errorf("%q: transport %q is not known; expected %s://HOST:PORT", text, u.Scheme, oneOf(schemes))
	case u.User != nil || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("%q has more than a host and a port; expected %s://HOST:PORT", text, u.Scheme)
	}
	if err := checkAddress(u.Host); err != nil {
		return fmt.Errorf("%q: %w", text, err)
	}
	return nil
}

func checkAddress(address string) error {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%q has no port; expected HOST:PORT", address)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return fmt.Errorf("port %q is not a number from 0 to 65535", port)
	}
	return nil
}

func (k checker) tls(t TLS, key string) {
	k.check((t.Certificate == "") == (t.Key == ""), key, "certificate and key go together; one of them is missing")
	k.clientAuth(t.ClientAuth, key+".clientAuth")
}

func (k checker) clientAuth(word, key string) {
	needs := word == "required" || word == "optional"
	k.check(!needs || k.config.TLS.ClientCA != "", key, "%s needs tls.clientCA, the authorities that client certificates come from", word)
}

func (k checker) http() {
	h := k.config.HTTP
	if h.Off() {
		return
	}
	if err := checkAddress(h.Address); err != nil {
		k.check(false, "http.address", "%s, or off", err)
	}
	for i, word := range h.Jolokia.Allow {
		k.check(slices.Contains(JolokiaOperations, word), fmt.Sprintf("http.jolokia.allow[%d]", i), "%q is no operation; expected one of %s", word, strings.Join(JolokiaOperations, ", "))
	}
	k.check((h.Certificate == "") == (h.Key == ""), "http", "certificate and key go together; one of them is missing")
}

func (k checker) access() {
	for i, r := range k.config.Access.Rules {
		key := fmt.Sprintf("access.rules[%d]", i)
		network, err := netip.ParsePrefix(r.Network)
		k.check(err == nil && network == network.Masked(), key+".network", "%q is not a network; expected for example 10.0.0.0/8 or 192.0.2.7/32", r.Network)
		k.check(r.From >= 0 && r.From <= 65535, key+".from", "%d is not a port; expected 0 to 65535", r.From)
		k.check(r.To == 0 || r.To >= r.From && r.To <= 65535, key+".to", "%d is not a last port; expected %d to 65535, or 0 for the first alone", r.To, r.From)
	}
}

func (k checker) credentials() {
	c := k.config.Credentials
	if c.Mode != "mandatory" && !c.AllowInsecure {
		for i, l := range k.config.Listeners {
			if checkURL(l.URL) == nil && !l.Loopback() {
				k.check(false, "credentials.mode",
					"%s lets anybody connect who reaches %s (listeners[%d]); expected mandatory, or credentials.allowInsecure: true if that is meant", c.Mode, l.URL, i)
				break
			}
		}
	}
	k.certificateUsers()
	k.ldap()
	k.oidc()
	seen := map[string]bool{}
	for i, u := range c.Users {
		key := fmt.Sprintf("credentials.users[%d]", i)
		k.check(u.Name != "", key+".name", "is missing")
		k.check(!strings.ContainsAny(u.Name, ":\r\n"), key+".name", "%q holds a colon or a line end, which user names cannot", u.Name)
		k.check(!seen[u.Name], key+".name", "%q is there twice", u.Name)
		seen[u.Name] = true
		k.check(u.Password != "" || len(u.Certificates) > 0, key, "has neither a password nor a certificate")
		if u.Password != "" {
			err := security.CheckHash(u.Password)
			k.check(err == nil, key+".password", "%v (godwit users hash makes one)", err)
		}
	}
	for i, r := range c.Rights {
		key := fmt.Sprintf("credentials.rights[%d]", i)
		_, err := security.New(security.Policy{Rights: []security.Entry{{Destination: r.Destination, Read: r.Read, Write: r.Write, Admin: r.Admin}}}, security.Options{})
		k.check(err == nil, key+".destination", "%v", err)
		k.check(len(r.Read)+len(r.Write)+len(r.Admin) > 0, key, "gives no right; expected groups in read, write or admin")
	}
}

func (k checker) limits() {
	l := k.config.Limits
	k.check(l.FrameSize >= 64<<10 && l.FrameSize <= 1<<30, "limits.frameSize", "%s is out of range; expected 64 KiB to 1 GiB", l.FrameSize)
	k.check(l.Frames == 0 || l.Frames >= l.FrameSize, "limits.frames", "%s is less than limits.frameSize, %s; expected 0 for the usual, or at least that", l.Frames, l.FrameSize)
	k.check(l.Connections > 0, "limits.connections", "%d is out of range; expected 1 or more", l.Connections)
	k.check(l.ConnectionsPerListener >= 0, "limits.connectionsPerListener", "%d is negative; expected 0 for limits.connections, or more", l.ConnectionsPerListener)
	k.check(l.ConnectionsPerAddress >= 0, "limits.connectionsPerAddress", "%d is negative; expected 0 for no limit, or more", l.ConnectionsPerAddress)
	k.check(l.LoginTimeout >= time.Second && l.LoginTimeout <= time.Hour, "limits.loginTimeout", "%s is out of range; expected 1s to 1h", l.LoginTimeout)
	k.check(l.LoginBytes >= 4<<10, "limits.loginBytes", "%s is too little for a login; expected 4 KiB or more", l.LoginBytes)
	k.check(l.Cache >= 1<<20, "limits.cache", "%s is too little; expected 1 MiB or more", l.Cache)
	k.check(l.Process == 0 || l.Process >= 64<<20, "limits.process", "%s is too little; expected 0 for no limit, or 64 MiB or more", l.Process)
	k.check(l.Memory >= 1<<20, "limits.memory", "%s is too little; expected 1 MiB or more", l.Memory)
	k.check(l.Destinations > 0, "limits.destinations", "%d is out of range; expected 1 or more", l.Destinations)
	k.check(l.Transaction > 0, "limits.transaction", "%d is out of range; expected 1 or more", l.Transaction)
	k.check(l.DuplicateProducers >= 0, "limits.duplicateProducers", "%d is negative; expected 0 or more", l.DuplicateProducers)
}

func (k checker) shutdown() {
	k.check(k.config.Log.Rotate >= 1<<20, "log.rotate", "%s is too little; expected 1 MiB or more", k.config.Log.Rotate)
	k.check(k.config.Log.Kept >= 1 && k.config.Log.Kept <= 1000, "log.kept", "%d is out of range; expected 1 to 1000", k.config.Log.Kept)
	k.check(k.config.Shutdown.Carry >= 0, "shutdown.carry", "%s is negative; expected 0 or more", k.config.Shutdown.Carry)
	k.check(k.config.Broker.TemporaryGrace >= 0, "broker.temporaryGrace", "%s is negative; expected 0 for none, or more", k.config.Broker.TemporaryGrace)
}

func (k checker) journal() {
	j := k.config.Journal
	k.check(j.SegmentSize >= 1<<20 && j.SegmentSize <= 1<<30, "journal.segmentSize", "%s is out of range; expected 1 MiB to 1 GiB", j.SegmentSize)
	k.check(j.MaxSize == 0 || j.MaxSize >= 4*j.SegmentSize, "journal.maxSize", "%s is less than four segments of %s", j.MaxSize, j.SegmentSize)
	k.check(j.MaxSize == 0 || j.Reserve <= j.MaxSize/2, "journal.reserve", "%s is more than half of journal.maxSize", j.Reserve)
}

var instanceName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,50}$`)

func (k checker) cluster() {
	c := &k.config.Cluster
	if !c.On() {
		return
	}
	k.check(instanceName.MatchString(c.Name), "cluster.name", "%q is not allowed; expected 1 to 50 letters, digits, '_' or '-'", c.Name)
	k.check(len(c.Nodes) == 3, "cluster.nodes", "has %d entries; expected three: two or three brokers, and a witness if there are two", len(c.Nodes))
	k.check(c.Node(c.Name) != nil, "cluster.nodes", "has no entry named %q, which is this node", c.Name)
	seen := map[string]bool{}
	secure := c.Certificate != ""
	for i, n := range c.Nodes {
		key := fmt.Sprintf("cluster.nodes[%d]", i)
		k.check(instanceName.MatchString(n.Name) && !seen[n.Name], key+".name", "%q is taken or not allowed; expected 1 to 50 letters, digits, '_' or '-', each name once", n.Name)
		seen[n.Name] = true
		k.nodeAddress(key+".log", n.Log, secure)
		if n.Relay != "" {
			k.nodeAddress(key+".relay", n.Relay, secure)
		}
		for j, text := range n.Clients {
			err := checkClientURL(text)
			k.check(err == nil, fmt.Sprintf("%s.clients[%d]", key, j), "%q %s", text, err)
		}
	}
	k.nodeAddress("cluster.listen", c.Listen, secure)
	k.check(secure == (c.Key != "") && secure == (c.CA != ""), "cluster.certificate", "is to be given together with cluster.key and cluster.ca, or none of them")
	k.check(c.GiveUp >= 2*time.Second, "cluster.giveUp", "%s is too short: the nodes need up to two seconds to agree on which of them leads the log", c.GiveUp)
	k.check(c.Heartbeat > 0 && c.Silence >= 3*c.Heartbeat, "cluster.silence", "%s is less than three times cluster.heartbeat, %s: a standby would take over for nothing", c.Silence, c.Heartbeat)
	k.dns()
	k.check(c.Hold >= 0, "cluster.hold", "%s is less than nothing", c.Hold)
}

// checkClientURL says what is wrong with a URL that clients are told.
func checkClientURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "tcp" && u.Scheme != "ssl" || u.Hostname() == "" || u.Port() == "" || u.User != nil || strings.ContainsAny(text, ", "):
		return errors.New("is no tcp://HOST:PORT or ssl://HOST:PORT")
	case net.ParseIP(u.Hostname()).IsUnspecified():
		return errors.New("is every address of a machine, and none that a client could reach")
	}
	return nil
}

// nodeAddress checks an address between nodes.
func (k checker) nodeAddress(key, address string, secure bool) {
	host, port, err := net.SplitHostPort(address)
	k.check(err == nil && port != "", key, "%q is no HOST:PORT", address)
	if err != nil || secure {
		return
	}
	ip, perr := netip.ParseAddr(host)
	k.check(host == "localhost" || perr == nil && ip.IsLoopback(), key, "%q is not loopback; nodes on a network need cluster.certificate", address)
}

// nameListeners gives a name to the listeners without one: protocol and port, and a number if that is taken.
func (c *Config) nameListeners() {
	taken := map[string]bool{}
	for _, l := range c.Listeners {
		taken[l.Name] = true
	}
	for i := range c.Listeners {
		l := &c.Listeners[i]
		if l.Name != "" {
			continue
		}
		_, address := l.Transport()
		_, port, _ := net.SplitHostPort(address)
		name := l.Protocol + "-" + port
		for n := 2; taken[name]; n++ {
			name = fmt.Sprintf("%s-%s-%d", l.Protocol, port, n)
		}
		taken[name] = true
		l.Name = name
	}
}
