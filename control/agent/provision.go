package agent

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/godwitmq/godwit/cluster"
	"github.com/godwitmq/godwit/config"
	"github.com/godwitmq/godwit/config/activemq"
	"github.com/godwitmq/godwit/control/plane"
	"github.com/godwitmq/godwit/security"
)

const (
	singleFile = "single.yaml"
	pairFile   = "pair.yaml"
	usersFile  = "users"
	loginFile  = "agent.json"
	dataDir    = "data"
	// belongsFile and leavingFile are what an instance notes in its data folder: docs/adr/0008.
	belongsFile = "data/belongs.json"
	leavingFile = "data/leaving.json"
	// nodesLogDir is an instance's copy of the nodes' log, and journalAside what names begin with of journals that became stale when the log did.
	nodesLogDir  = "data/log"
	journalAside = "data/journal.moved-"

	// agentUser is who an agent is for an instance. No user of a broker can have the name, nor be in the group.
	agentUser  = "(agent)"
	agentGroup = "(agents)"

	// renewBefore is how long before its end a certificate is made anew. Instances read it again by themselves.
	renewBefore = 60 * 24 * time.Hour
)

// instanceName is the cluster.name of an instance.
func instanceName(number int) string {
	if number == plane.Witness {
		return "w"
	}
	return strconv.Itoa(number)
}

// hostName is the name of an instance beside its address: the first label is the one that Amazon MQ's endpoints have.
func hostName(spec *plane.Spec, domain string) string {
	return fmt.Sprintf("%s-%d.%s", spec.Broker, spec.Number, domain)
}

// provision makes the files of a spec. Those that are right are not touched.
func (i *instance) provision(ctx context.Context, spec *plane.Spec) (err error) {
	keep := func(name string, content []byte) {
		if err == nil {
			err = keepFile(filepath.Join(i.folder, name), content)
		}
	}
	if err := os.MkdirAll(filepath.Join(i.folder, dataDir), 0o700); err != nil {
		return err
	}
	if err := i.certificates(ctx, spec); err != nil {
		return err
	}
	users, err := i.users(ctx, spec)
	if err != nil {
		return err
	}
	base, err := i.base(ctx, spec)
	if err != nil {
		return err
	}
	keep(usersFile, users)
	if !spec.Witness {
		keep(singleFile, i.encode(singleFile, base, &err))
	}
	switch left := exists(filepath.Join(i.folder, belongsFile)) || exists(filepath.Join(i.folder, leavingFile)); {
	case len(spec.Peers) == plane.Witness:
		own := *base
		own.Cluster = i.cluster(spec)
		keep(pairFile, i.encode(pairFile, &own, &err))
	case err == nil && len(spec.Peers) == 1 && !left: // with two, a pair is being taken apart: what is there stays until it is
		if rerr := os.Remove(filepath.Join(i.folder, pairFile)); rerr != nil && !errors.Is(rerr, os.ErrNotExist) {
			err = rerr
		}
	}
	return err
}

// encode writes a configuration, and reads it back to see that an instance will.
func (i *instance) encode(name string, c *config.Config, err *error) []byte {
	if *err != nil {
		return nil
	}
	text := append([]byte("# Made by the node's agent, which replaces it when something changes.\n"), c.Brief()...)
	if _, perr := config.Parse(filepath.Join(i.folder, name), text); perr != nil {
		*err = fmt.Errorf("the configuration that was made is not right: %w", perr)
	}
	return text
}

// base is the configuration of an instance that is alone.
func (i *instance) base(ctx context.Context, spec *plane.Spec) (*config.Config, error) {
	c := config.Default()
	if !spec.Witness && spec.Configuration.ID != "" {
		imported, err := i.imported(ctx, spec.Configuration)
		if err != nil {
			return nil, err
		}
		c = imported
	}
	at := func(port int) string { return net.JoinHostPort(spec.Address.String(), strconv.Itoa(port)) }
	path := func(name string) string { return filepath.Join(i.folder, name) }
	c.Data, c.Broker.Name = path(dataDir), spec.Name
	c.Listeners = nil
	if !spec.Witness {
		// Amazon MQ's others are amqp+ssl, mqtt+ssl and wss, which Godwit does not speak yet.
		c.Listeners = []config.Listener{
			{Name: "openwire+ssl", Protocol: "openwire", URL: "tls://" + at(spec.Ports.OpenWireTLS)},
			{Name: "stomp+ssl", Protocol: "stomp", URL: "tls://" + at(spec.Ports.STOMPTLS)},
		}
		c.TLS = config.TLS{Certificate: path("server.pem"), Key: path("server-key.pem"), ClientAuth: "off"}
		c.Limits.ConnectionsPerListener = spec.Connections
		c.Limits.Connections = max(1, len(c.Listeners)*spec.Connections)
		// What may be in memory of messages is less than what the process may take, and grows with it, unless the configuration says something.
		c.Limits.Process = config.Size(spec.MemoryBytes)
		usual := config.Default().Limits
		share := func(is, usual, most config.Size) config.Size {
			if is == usual {
				is = max(is, most/2)
			}
			return max(1<<20, min(is, most))
		}
		c.Limits.Memory = share(c.Limits.Memory, usual.Memory, c.Limits.Process/4)
		c.Limits.Cache = share(c.Limits.Cache, usual.Cache, c.Limits.Process/8)
		c.Limits.Frames = 0
		c.Journal.MaxSize = config.Size(spec.StorageBytes)
	}
	c.Access = config.Access{Restricted: spec.Restricted}
	for _, r := range spec.Rules {
		c.Access.Rules = append(c.Access.Rules, config.AccessRule{Network: r.Network.String(), From: int(r.From), To: int(r.To)})
	}
	c.HTTP = config.HTTP{Address: at(spec.Ports.API), Admins: []string{agentGroup}, Readers: []string{agentGroup}}
	credentials := config.Default().Credentials
	credentials.Mode, credentials.UsersFile, credentials.Rights = "mandatory", path(usersFile), c.Credentials.Rights
	if mapped := c.Credentials.LDAP.Rights; mapped.Bases().On() {
		if spec.LDAP != nil {
			credentials.LDAP.Rights = mapped
		} else { // without any right everybody would have all
			credentials.Rights = append(credentials.Rights, config.Right{Destination: ">", Admin: []string{"nobody"}})
			i.log.Warn("the configuration takes rights from LDAP, and the broker has none: its authenticationStrategy is simple", "configuration", spec.Configuration.ID)
		}
	}
	if spec.LDAP != nil && !spec.Witness {
		directory(&credentials.LDAP, spec.LDAP)
		credentials.LDAP.Transport, credentials.LDAP.CA = cmp.Or(i.agent.opt.LDAPTransport, credentials.LDAP.Transport), i.agent.opt.LDAPCA
	}
	c.Credentials = credentials
	c.Cluster = config.Default().Cluster
	c.Log = config.Default().Log
	c.Log.Format = "json"
	if spec.Logs.Audit {
		c.Log.Audit = path(auditFile)
	}
	return c, nil
}

// directory takes over where a broker's users are.
func directory(to *config.LDAP, from *plane.LDAP) {
	to.Hosts, to.ServiceAccountUsername, to.ServiceAccountPassword = from.Hosts, from.AccountName, from.AccountPassword
	to.UserBase, to.UserSearchMatching, to.UserSearchSubtree, to.UserRoleName = from.UserBase, from.UserSearchMatching, from.UserSearchSubtree, from.UserRoleName
	to.RoleBase, to.RoleSearchMatching, to.RoleSearchSubtree = from.RoleBase, from.RoleSearchMatching, from.RoleSearchSubtree
	to.RoleName = cmp.Or(from.RoleName, to.RoleName)
}

// cluster is the section of an instance of several.
func (i *instance) cluster(spec *plane.Spec) config.Cluster {
	c := config.Default().Cluster
	if i.agent.opt.Silence > 0 {
		c.Silence = i.agent.opt.Silence
	}
	path := func(name string) string { return filepath.Join(i.folder, name) }
	c.Name, c.Certificate, c.Key, c.CA = instanceName(spec.Number), path("node.pem"), path("node-key.pem"), path("nodes-ca.pem")
	c.Listen = net.JoinHostPort(spec.Address.String(), strconv.Itoa(spec.Ports.Log))
	// Once the log is there, it makes no difference. So what was said at first stays, and a running instance has nothing to take over.
	c.Await = spec.Log == plane.FileLog
	if was, err := os.ReadFile(path(pairFile)); err == nil {
		if before, err := config.Parse(path(pairFile), was); err == nil {
			c.Await = before.Cluster.Await
		}
	}
	if spec.Witness {
		c.Role = "witness"
	}
	for _, p := range spec.Peers {
		at := func(port int) string { return net.JoinHostPort(p.Address.String(), strconv.Itoa(port)) }
		n := config.ClusterNode{Name: instanceName(p.Number), Log: at(p.Ports.Log), API: "http://" + at(p.Ports.API)}
		if p.Number != plane.Witness {
			n.Relay, n.Clients = at(p.Ports.Relay), []string{"ssl://" + at(p.Ports.OpenWireTLS)}
		}
		c.Nodes = append(c.Nodes, n)
	}
	return c
}

// imported is what a revision says of destinations, policies and rights; base replaces what the service decides.
func (i *instance) imported(ctx context.Context, ref plane.ConfigurationRef) (*config.Config, error) {
	name := fmt.Sprintf("revision %d of configuration %s", ref.Revision, ref.ID)
	data, err := i.agent.plane.Configuration(ctx, ref)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return config.Default(), nil
	}
	result, err := activemq.ImportAlone(name, data, activemq.Options{})
	if err != nil {
		return nil, fmt.Errorf("%s cannot be used: %w", name, err)
	}
	for _, item := range result.Matters() {
		i.log.Warn("the configuration says something that is not supported", "configuration", ref.ID, "revision", ref.Revision, "line", item.Line, "path", item.Path, "why", item.Words)
	}
	return result.Config, nil
}

// login is how the agent logs in. The hash is kept, because it is salted: one made anew would be another file of users each time.
type login struct {
	Password string `json:"password"`
	Hash     string `json:"hash"`
}

// users is the file of users.
func (i *instance) users(ctx context.Context, spec *plane.Spec) ([]byte, error) {
	password, err := i.agent.plane.Password(ctx, spec.Broker)
	if err != nil {
		return nil, err
	}
	var l login
	path := filepath.Join(i.folder, loginFile)
	if err := readJSON(path, &l); err != nil || l.Password != password || security.CheckHash(l.Hash) != nil {
		l.Password = password
		if l.Hash, err = security.HashPassword(password); err != nil {
			return nil, err
		}
		if err := writeJSON(path, l); err != nil {
			return nil, err
		}
	}
	i.password = password
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s:%s:%s\n", agentUser, l.Hash, agentGroup)
	for _, name := range slices.Sorted(maps.Keys(spec.Users)) {
		u := spec.Users[name]
		fmt.Fprintf(&b, "%s:%s:%s\n", name, u.Hash, strings.Join(u.Groups, ","))
	}
	return b.Bytes(), nil
}

// certificates sees that the keys are there, with certificates that are good for a while.
func (i *instance) certificates(ctx context.Context, spec *plane.Spec) error {
	hosts := []string{spec.Address.String(), hostName(spec, i.agent.opt.Domain)}
	if !spec.Witness {
		issue := func(key *ecdsa.PublicKey) ([]byte, []byte, error) {
			certificate, err := i.agent.plane.ServerCertificate(ctx, fmt.Sprintf("%s-%d", spec.Broker, spec.Number), hosts, key)
			return certificate, nil, err
		}
		if err := i.certificate("server", hosts, "", issue); err != nil {
			return fmt.Errorf("the certificate for clients: %w", err)
		}
	}
	if len(spec.Peers) > 1 {
		hosts = hosts[:1]
		issue := func(key *ecdsa.PublicKey) (certificate, authority []byte, err error) {
			return i.agent.plane.NodeCertificate(ctx, spec.Broker, instanceName(spec.Number), hosts, key)
		}
		if err := i.certificate("node", hosts, "nodes-ca.pem", issue); err != nil {
			return fmt.Errorf("the certificate for other instances: %w", err)
		}
	}
	return nil
}

// certificate sees that NAME.pem and NAME-key.pem are there, and the authority's file if it has a name.
func (i *instance) certificate(name string, hosts []string, authorityName string, issue func(*ecdsa.PublicKey) (certificate, authority []byte, err error)) error {
	path, keyPath := filepath.Join(i.folder, name+".pem"), filepath.Join(i.folder, name+"-key.pem")
	var key *ecdsa.PrivateKey
	if data, err := os.ReadFile(keyPath); err == nil {
		key, _ = cluster.ParseKey(data) // one that is damaged is replaced
	}
	authorityThere := authorityName == "" || exists(filepath.Join(i.folder, authorityName))
	if data, err := os.ReadFile(path); err == nil && key != nil && authorityThere && good(data, hosts, &key.PublicKey) {
		return nil
	}
	if key == nil {
		var err error
		if key, err = cluster.NewKey(); err != nil {
			return err
		}
		data, err := cluster.EncodeKey(key)
		if err == nil {
			err = writeFile(keyPath, data)
		}
		if err != nil {
			return err
		}
	}
	certificate, authority, err := issue(&key.PublicKey)
	if err == nil && authorityName != "" {
		err = keepFile(filepath.Join(i.folder, authorityName), authority)
	}
	if err != nil {
		return err
	}
	return writeFile(path, certificate)
}

// good says whether a certificate is for a key and exactly these hosts, and for long enough.
func good(data []byte, hosts []string, key *ecdsa.PublicKey) bool {
	block, _ := pem.Decode(data)
	if block == nil {
		return false
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil || time.Until(c.NotAfter) < renewBefore || !key.Equal(c.PublicKey) {
		return false
	}
	is := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		is = append(is, ip.String())
	}
	want := slices.Clone(hosts)
	slices.SortFunc(is, cmp.Compare)
	slices.SortFunc(want, cmp.Compare)
	return slices.Equal(is, want)
}
