package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/godwitmq/godwit/cluster"
)

func (c *cli) cluster() *cobra.Command {
	cmd := &cobra.Command{Use: "cluster", Short: "Set up several instances of one broker"}
	cmd.AddCommand(c.clusterInit())
	return cmd
}

func (c *cli) clusterInit() *cobra.Command {
	dir, nodes, witness := "", []string{"a=127.0.0.1", "b=127.0.0.1"}, "witness=127.0.0.1"
	cmd := &cobra.Command{
		Use: "init", Short: "Write configurations and certificates for two brokers and a witness", Args: exactly(0, "no arguments"),
		Long: "Write, into one folder, an authority that signs the nodes' certificates and nothing else, a certificate and a configuration for each node. Nodes on different hosts\n" +
			"use the same ports, nodes on one host ports of their own. Each node needs its own NAME.yaml, NAME.pem, NAME-key.pem and ca.pem; ca-key.pem belongs on none of them.\n" +
			"What is there already is left alone, but for the nodes' certificates.",
		Example: "  godwit cluster init --dir pair\n  godwit serve --config pair/a.yaml      # and b.yaml, and witness.yaml\n" +
			"  godwit cluster init --dir pair --node a=10.0.1.5 --node b=10.0.2.5 --witness w=10.0.3.5",
		RunE: func(cmd *cobra.Command, args []string) error {
			all, err := parseNodes(append(nodes, witness))
			if err != nil {
				return &usageError{err}
			}
			if err := writeCluster(dir, all); err != nil {
				return err
			}
			fmt.Fprintf(c.out, "%s has what the nodes need. Start each:\n\n", dir)
			for _, n := range all {
				fmt.Fprintf(c.out, "    godwit serve --config %s\n", filepath.Join(dir, n.name+".yaml"))
			}
			if !all[0].loopback() {
				fmt.Fprintf(c.out, "\nOff loopback everybody needs credentials. Make users before, and give each node the same file:\n\n    godwit users add --file %s --group admins NAME\n", filepath.Join(dir, "users"))
			}
			fmt.Fprintf(c.out, "\nThen: godwit instances --api %s\n", all[0].api())
			return nil
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "cluster", "folder to write to")
	cmd.Flags().StringArrayVar(&nodes, "node", nodes, "NAME=HOST of a broker, where the other nodes and clients reach it; two or three times")
	cmd.Flags().StringVar(&witness, "witness", witness, "NAME=HOST of the witness")
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
		if !ok || name == "" || host == "" || names[name] || name != filepath.Base(name) {
			return nil, fmt.Errorf("%q: expected NAME=HOST, each name once", s)
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
	// clientPort is the first of four.
	clientPort = 61614
)

func writeCluster(dir string, all []nodeSpec) error {
	ca, err := cluster.OpenAuthority(dir)
	if err != nil {
		return fmt.Errorf("set up the nodes' authority: %w", err)
	}
	for _, n := range all {
		if err := ca.Issue(n.name, []string{n.host}); err != nil {
			return fmt.Errorf("issue a certificate for %s: %w", n.name, err)
		}
		name := filepath.Join(dir, n.name+".yaml")
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return err
		}
		_, err = f.WriteString(n.config(all))
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return err
		}
	}
	return nil
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
	role := "broker"
	if n.witness {
		role = "witness"
	}
	fmt.Fprintf(&b, "cluster:\n  name: %s\n  role: %s\n  listen: %s\n  certificate: %s.pem\n  key: %s-key.pem\n  ca: %s\n  nodes:\n", n.name, role, n.at(logPort), n.name, n.name, cluster.AuthorityFile)
	for _, other := range all {
		fmt.Fprintf(&b, "    - {name: %s, log: %q, api: %q", other.name, other.at(logPort), other.api())
		if !other.witness {
			fmt.Fprintf(&b, ", relay: %q, clients: [%q, %q]", other.at(relayPort), "tcp://"+other.client(2), "ssl://"+other.client(3))
		}
		b.WriteString("}\n")
	}
	return b.String()
}
