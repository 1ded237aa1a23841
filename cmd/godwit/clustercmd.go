package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/godwitmq/godwit/cluster"
	"github.com/godwitmq/godwit/config"
)

func (c *cli) cluster() *cobra.Command {
	cmd := &cobra.Command{Use: "cluster", Short: "Set up several instances of one broker"}
	cmd.AddCommand(c.clusterInit(), c.clusterInvite(), c.clusterJoin())
	return cmd
}

func (c *cli) clusterInit() *cobra.Command {
	dir, from, nodes, witness, invite := "", "", []string{"a=127.0.0.1", "b=127.0.0.1"}, "witness=127.0.0.1", false
	cmd := &cobra.Command{
		Use: "init", Short: "Write configurations and certificates for two brokers and a witness", Args: exactly(0, "no arguments"),
		Long: "Write, into one folder, an authority that signs the nodes' certificates and nothing else, a certificate and a configuration for each node. Nodes on different hosts\n" +
			"use the same ports, nodes on one host ports of their own. Each node needs its own NAME.yaml, NAME.pem, NAME-key.pem and ca.pem; ca-key.pem belongs on none of them.\n" +
			"With --invite only the first node's key and certificate are made: the others make their keys on their own hosts (`godwit cluster invite`), and none is copied.\n" +
			"What is there already is left alone, but for the nodes' certificates.\n" +
			"With --from the first node is the broker alone that has that configuration, and keeps it, its data folder and its addresses; the second gets the same, for its host. They wait for\n" +
			"`godwit convert`, which brings what the broker has.",
		Example: "  godwit cluster init --dir pair\n  godwit serve --config pair/a.yaml      # and b.yaml, and witness.yaml\n" +
			"  godwit cluster init --dir pair --node a=10.0.1.5 --node b=10.0.2.5 --witness w=10.0.3.5 --invite\n" +
			"  godwit cluster init --dir pair --from single.yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			all, err := parseNodes(append(nodes, witness))
			if err != nil {
				return &usageError{err}
			}
			var single *config.Config
			if from != "" {
				if single, err = config.Load(absolute(from), os.Environ()); err != nil {
					return err
				}
				if single.Cluster.On() {
					return fmt.Errorf("%s is that of an instance of a cluster already", from)
				}
			}
			keys := all
			if invite {
				keys = all[:1]
			}
			if err := writeCluster(dir, all, keys, single); err != nil {
				return err
			}
			starts := keys
			if single != nil {
				starts = starts[1:] // the first is running
			}
			if len(starts) > 0 {
				fmt.Fprintf(c.out, "%s has what %s. Start each:\n\n", dir, map[bool]string{false: "the nodes need", true: all[0].name + " needs"}[invite])
			}
			for _, n := range starts {
				fmt.Fprintf(c.out, "    godwit serve --config %s\n", filepath.Join(dir, n.name+".yaml"))
			}
			if single == nil && !all[0].loopback() {
				fmt.Fprintf(c.out, "\nOff loopback everybody needs credentials. Make users before, and give each node the same file:\n\n    godwit users add --file %s --group admins NAME\n", filepath.Join(dir, "users"))
			}
			if invite {
				fmt.Fprintf(c.out, "\nInvite the others, which sends them all that they need:\n\n    godwit cluster invite --dir %s\n", dir)
			}
			if single != nil {
				first := filepath.Join(dir, all[0].name+".yaml")
				fmt.Fprintf(c.out, "\nThen: godwit convert --to %s --config %s --plan\n", toPair, first)
				return nil
			}
			fmt.Fprintf(c.out, "\nThen: godwit instances --api %s\n", all[0].api())
			return nil
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "cluster", "folder to write to")
	cmd.Flags().StringVar(&from, "from", "", "configuration of a broker alone that is to become the first node")
	cmd.Flags().StringArrayVar(&nodes, "node", nodes, "NAME=HOST of a broker, where the other nodes and clients reach it; two or three times")
	cmd.Flags().StringVar(&witness, "witness", witness, "NAME=HOST of the witness")
	cmd.Flags().BoolVar(&invite, "invite", false, "make no keys but the first node's: the others will be invited")
	return cmd
}

// nodeSpec is a node that is to be set up.
type nodeSpec struct {
	name, host string
	witness    bool
	number     int // among those on its host
}

func parseNodes(specs []string) ([]nodeSpec, error) {
	if len(specs) != 3 {
		return nil, fmt.Errorf("a cluster has two brokers and a witness; %d nodes were given", len(specs))
	}
	onHost, names := map[string]int{}, map[string]bool{}
	var all []nodeSpec
	for i, s := range specs {
		name, host, ok := strings.Cut(s, "=")
		if !ok || host == "" || names[name] {
			return nil, fmt.Errorf("%q: expected NAME=HOST, each name once", s)
		}
		if err := cluster.CheckName(name); err != nil {
			return nil, err
		}
		names[name] = true
		all = append(all, nodeSpec{name: name, host: host, witness: i == len(specs)-1, number: onHost[host]})
		onHost[host]++
	}
	return all, nil
}

func (n nodeSpec) at(port int) string { return net.JoinHostPort(n.host, fmt.Sprint(port+n.number)) }

// client is the address of the broker's i-th listener for clients.
func (n nodeSpec) client(i int) string {
	return net.JoinHostPort(n.host, fmt.Sprint(clientPort+i+10*n.number))
}

func (n nodeSpec) api() string { return "http://" + n.at(apiPort) }

func (n nodeSpec) role() string {
	if n.witness {
		return "witness"
	}
	return "broker"
}

// relay is where it takes the clients of standbys.
func (n nodeSpec) relay() string {
	if n.witness {
		return ""
	}
	return n.at(relayPort)
}

// apiFrom is the URL of its API if the first node has that configuration.
func (n nodeSpec) apiFrom(single *config.Config) string {
	scheme := "http://"
	if single.HTTP.Certificate != "" {
		scheme = "https://"
	}
	_, port, err := net.SplitHostPort(n.moved(single.HTTP.Address))
	if err != nil {
		return "" // refused before
	}
	return scheme + net.JoinHostPort(n.host, port)
}

// loopback says whether only its own machine reaches the node.
func (n nodeSpec) loopback() bool {
	ip := net.ParseIP(n.host)
	return n.host == "localhost" || ip != nil && ip.IsLoopback()
}

// The first ports of what nodes listen on.
const (
	logPort   = 7410
	relayPort = 7420
	apiPort   = 8161
	// invitePort is that of `cluster invite`, while it waits.
	invitePort = 7430
	// clientPort is the first of four.
	clientPort = 61614
)

// writeCluster writes what nodes need, and the keys of some. single, if not nil, is what the first node has now.
func writeCluster(dir string, all, keys []nodeSpec, single *config.Config) error {
	ca, err := cluster.OpenAuthority(dir)
	if err != nil {
		return fmt.Errorf("set up the nodes' authority: %w", err)
	}
	for _, n := range keys {
		if err := ca.Issue(n.name, []string{n.host}); err != nil {
			return fmt.Errorf("issue a certificate for %s: %w", n.name, err)
		}
	}
	for _, n := range all {
		name := filepath.Join(dir, n.name+".yaml")
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return err
		}
		text, err := n.config(all), error(nil)
		if single != nil {
			text, err = n.configFrom(all, single)
		}
		if err == nil {
			_, err = f.WriteString(text)
		}
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// configFrom is the node's godwit.yaml if the first node is a broker alone now.
func (n nodeSpec) configFrom(all []nodeSpec, single *config.Config) (string, error) {
	own := *single
	own.Data = absolute(single.Data)
	if n.name != all[0].name {
		if n.host == all[0].host { // the data folder of another host may have the same name
			own.Data = filepath.Join(filepath.Dir(own.Data), n.name+"-data")
		}
		own.HTTP.Address = n.moved(single.HTTP.Address)
		own.Listeners = nil
		for _, l := range single.Listeners {
			transport, address := l.Transport()
			l.URL = transport + "://" + n.moved(address)
			l.Name = ""
			own.Listeners = append(own.Listeners, l)
		}
	}
	if n.witness {
		own = *config.Default()
		own.Broker.Name = single.Broker.Name
		own.Data, own.HTTP.Address, own.HTTP.Admins, own.HTTP.Operators, own.HTTP.Readers, own.HTTP.Console = n.name+"-data", n.moved(single.HTTP.Address), single.HTTP.Admins, single.HTTP.Operators, single.HTTP.Readers, single.HTTP.Console
		own.Credentials = single.Credentials
	}
	if n.name != all[0].name && single.Credentials.UsersFile == "" && single.Credentials.Mode != "ignore" {
		own.Credentials.UsersFile = single.UsersPath() // of the first node; on another host a copy of it belongs there
	}
	if n.name == all[0].name && own.HTTP.Off() {
		return "", errors.New("http.address of the broker alone is off; the nodes ask each other by it")
	}
	c := single.Cluster // with its times
	c.Name, c.Role, c.Listen, c.Await, c.Nodes = n.name, n.role(), n.at(logPort), true, nil
	c.Certificate, c.Key, c.CA = n.name+".pem", n.name+"-key.pem", cluster.AuthorityFile
	for _, other := range all {
		c.Nodes = append(c.Nodes, config.ClusterNode{Name: other.name, Log: other.at(logPort), Relay: other.relay(), API: other.apiFrom(single)})
	}
	own.Cluster = c
	return string(own.Brief()), nil
}

// moved is an address of the first node as this one has it: another host, or other ports.
func (n nodeSpec) moved(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	if ip := net.ParseIP(host); host != "" && (ip == nil || !ip.IsUnspecified()) {
		host = n.host
	}
	if p, err := strconv.Atoi(port); err == nil && p != 0 {
		port = strconv.Itoa(p + 10*n.number)
	}
	return net.JoinHostPort(host, port)
}

// config is the node's godwit.yaml.
func (n nodeSpec) config(all []nodeSpec) string {
	var b strings.Builder
	fmt.Fprintf(&b, "data: %s-data\nhttp:\n  address: %s\n", n.name, n.at(apiPort))
	if !n.loopback() {
		b.WriteString("credentials:\n  mode: mandatory\n  usersFile: users\n")
	}
	if !n.witness {
		b.WriteString("listeners:\n")
		for i, l := range []struct{ protocol, scheme string }{{"stomp", "tcp"}, {"stomp", "tls"}, {"openwire", "tcp"}, {"openwire", "tls"}} {
			fmt.Fprintf(&b, "  - {protocol: %s, url: %q}\n", l.protocol, l.scheme+"://"+n.client(i))
		}
	}
	fmt.Fprintf(&b, "cluster:\n  name: %s\n  role: %s\n  listen: %s\n  certificate: %s.pem\n  key: %s-key.pem\n  ca: %s\n  nodes:\n", n.name, n.role(), n.at(logPort), n.name, n.name, cluster.AuthorityFile)
	for _, other := range all {
		fmt.Fprintf(&b, "    - {name: %s, log: %q, api: %q", other.name, other.at(logPort), other.api())
		if !other.witness {
			fmt.Fprintf(&b, ", relay: %q, clients: [%q, %q]", other.relay(), "tcp://"+other.client(2), "ssl://"+other.client(3))
		}
		b.WriteString("}\n")
	}
	return b.String()
}
