package main

import (
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/godwitmq/godwit/cluster"
	"github.com/godwitmq/godwit/config"
)

const maxInvite = 7 * 24 * time.Hour

func (c *cli) clusterInvite() *cobra.Command {
	var dir, listen string
	var nodes, addresses []string
	lasts := time.Hour
	cmd := &cobra.Command{
		Use: "invite", Short: "Give the nodes of a new cluster, or a replaced node, what they need, by one-time tokens", Args: exactly(0, "no arguments"),
		Long: "Print, for each node, the command to type on its host, and wait until all have joined (exit code 0) or the time is over (1). --dir is the folder that `godwit cluster\n" +
			"init` has written, with ca-key.pem. The command has a token, which works once: who has it can become that node. The host makes its key itself and gets a\n" +
			"certificate, ca.pem, the node's configuration as it is in --dir, and the file of users that this names.\n" +
			"Invited are all nodes but the first, unless --node says which. A node that has joined before, or had its key from `cluster init`, gets a new certificate;\n" +
			"the one that it had stays valid. Tokens that were not used are void when the command ends.",
		Example: "  godwit cluster invite --dir pair\n  godwit cluster invite --dir pair --node b --for 10m           # b's disk was replaced\n" +
			"  godwit cluster invite --dir pair --listen :7430 --address 203.0.113.7:7430",
		RunE: func(cmd *cobra.Command, args []string) error {
			if lasts <= 0 || lasts > maxInvite {
				return &usageError{fmt.Errorf("--for %s: expected more than nothing and at most %s", lasts, maxInvite)}
			}
			authority, err := cluster.ReadAuthority(dir)
			if err != nil {
				return fmt.Errorf("%w\n--dir is to be the folder that `godwit cluster init` has written", err)
			}
			first, err := firstNode(dir)
			if err != nil {
				return err
			}
			if len(nodes) == 0 {
				for _, n := range first.Cluster.Nodes[1:] {
					nodes = append(nodes, n.Name)
				}
			}
			var invited []cluster.Invited
			for i, name := range nodes {
				if slices.Contains(nodes[:i], name) {
					return &usageError{fmt.Errorf("--node %s is given twice", name)}
				}
				n, err := readInvited(dir, name)
				if err != nil {
					return err
				}
				invited = append(invited, n)
			}
			if listen == "" {
				host, _, err := net.SplitHostPort(first.Cluster.Nodes[0].Log)
				if err != nil {
					return err
				}
				listen = net.JoinHostPort(host, fmt.Sprint(invitePort))
			}
			host, _, err := net.SplitHostPort(listen)
			if err != nil {
				return &usageError{fmt.Errorf("--listen: %w", err)}
			}
			if ip, err := netip.ParseAddr(host); len(addresses) == 0 && (host == "" || err == nil && ip.IsUnspecified()) {
				return &usageError{fmt.Errorf("--listen %s is every address of this machine: say by --address at which of them the hosts reach it", listen)}
			}
			l, err := net.Listen("tcp", listen)
			if err != nil {
				return fmt.Errorf("wait at %s: %w\n--listen is to be an address of this machine that the hosts reach", listen, err)
			}
			if len(addresses) == 0 { // with the port that a 0 has become
				_, port, _ := net.SplitHostPort(l.Addr().String())
				addresses = []string{net.JoinHostPort(host, port)}
			}
			until := time.Now().Add(lasts)
			inviter, tokens, err := authority.Invite(addresses, until, invited, c.showJoin)
			if err != nil {
				l.Close()
				return err
			}
			fmt.Fprintf(c.out, "Type on each host, until %s, in the folder that is to have the node's files:\n\n", until.Format(time.DateTime))
			for i, t := range tokens {
				fmt.Fprintf(c.out, "%s, at %s:\n\n    godwit cluster join %s\n\n", t.Node, strings.Join(invited[i].Hosts, ", "), t)
			}
			fmt.Fprintf(c.out, "Who has a token can become its node: show it to nobody else. Waiting at %s; Ctrl-C ends it\n", l.Addr())
			if err := inviter.Serve(cmd.Context(), l); err != nil {
				return err
			}
			if missing := inviter.Missing(); len(missing) > 0 {
				return fmt.Errorf("the time is over, and not joined: %s. Invite again: godwit cluster invite --dir %s --node %s", strings.Join(missing, ", "), dir, strings.Join(missing, " --node "))
			}
			fmt.Fprintln(c.out, "All have joined. Their hosts say how they are started")
			for _, n := range invited {
				if key := filepath.Join(dir, n.Node+"-key.pem"); exists(key) {
					fmt.Fprintf(c.out, "%s is not what %s has now: delete it\n", key, n.Node)
				}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "cluster", "folder that godwit cluster init has written")
	cmd.Flags().StringArrayVar(&nodes, "node", nil, "name of a node; may be repeated (default: all but the first)")
	cmd.Flags().StringVar(&listen, "listen", "", fmt.Sprintf("HOST:PORT of this machine to wait at (default: the first node's host, port %d)", invitePort))
	cmd.Flags().StringArrayVar(&addresses, "address", nil, "HOST:PORT at which the hosts reach this machine, if not as --listen says; up to four times")
	cmd.Flags().DurationVar(&lasts, "for", lasts, "how long the tokens are good; at most "+maxInvite.String())
	return cmd
}

// showJoin tells the operator of an invite what happens.
func (c *cli) showJoin(e cluster.JoinEvent) {
	now := time.Now().Format(time.TimeOnly)
	switch {
	case e.Refused != nil && e.Node == "":
		fmt.Fprintf(c.out, "%s  somebody at %s was refused: %v\n", now, e.From, e.Refused)
	case e.Refused != nil:
		fmt.Fprintf(c.out, "%s  %s: somebody at %s was refused: %v\n", now, e.Node, e.From, e.Refused)
	case e.Joined:
		fmt.Fprintf(c.out, "%s  %s has joined, from %s\n", now, e.Node, e.From)
	default:
		fmt.Fprintf(c.out, "%s  %s: its certificate was given to %s\n", now, e.Node, e.From)
	}
}

// firstNode is the configuration of a node in a folder: of the first in the order of names. All say which nodes there are.
func firstNode(dir string) (*config.Config, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		cfg, err := config.Parse(file, text)
		if err == nil && cfg.Cluster.On() && cfg.Cluster.Name+".yaml" == filepath.Base(file) {
			return cfg, nil
		}
	}
	return nil, fmt.Errorf("%s has no configuration of a node: `godwit cluster init` writes them", dir)
}

// readInvited finds out what a node gets that joins.
func readInvited(dir, name string) (cluster.Invited, error) {
	n := cluster.Invited{Node: name}
	if err := cluster.CheckName(name); err != nil {
		return n, &usageError{fmt.Errorf("--node: %w", err)}
	}
	var err error
	path := filepath.Join(dir, name+".yaml")
	if n.Config, err = os.ReadFile(path); err != nil {
		return n, fmt.Errorf("what node %s is to have: %w", name, err)
	}
	cfg, err := config.Parse(path, n.Config)
	if err != nil {
		return n, err
	}
	if err := joinable(cfg, dir, name); err != nil {
		return n, err
	}
	own := cfg.Cluster.Node(name)
	for _, address := range []string{own.Log, own.Relay} {
		if host, _, err := net.SplitHostPort(address); err == nil && !slices.Contains(n.Hosts, host) {
			n.Hosts = append(n.Hosts, host)
		}
	}
	if cfg.Credentials.UsersFile != "" {
		if n.Users, err = os.ReadFile(cfg.UsersPath()); errors.Is(err, fs.ErrNotExist) {
			return n, fmt.Errorf("%s names a file of users, which is to be sent and is not here: %w\nMake users first: godwit users add --file %s --group admins NAME", path, err, cfg.UsersPath())
		}
	}
	return n, err
}

// joinable says what keeps a configuration from being that of a node that has joined by what lies in a folder.
func joinable(cfg *config.Config, dir, name string) error {
	cl := cfg.Cluster
	if cl.Name != name {
		return fmt.Errorf("%s: cluster.name is %q, not %s", cfg.File(), cl.Name, name)
	}
	for _, f := range []struct{ key, is, want string }{{"certificate", cl.Certificate, name + ".pem"}, {"key", cl.Key, name + "-key.pem"}, {"ca", cl.CA, cluster.AuthorityFile}} {
		if f.is != filepath.Join(dir, f.want) {
			return fmt.Errorf("%s: cluster.%s is %q; a node that joins has it as %s beside its configuration: write `%s: %s`", cfg.File(), f.key, f.is, f.want, f.key, f.want)
		}
	}
	return nil
}

// usersName is the file of users that a node gets when it joins.
const usersName = "users"

func (c *cli) clusterJoin() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use: "join TOKEN", Short: "Make this host a node of a cluster, by a token of `godwit cluster invite`", Args: exactly(1, "a token, as `godwit cluster invite` prints it"),
		Long: "Make a key, get a certificate for it and what else the token's node needs from the inviter, which must be waiting, and write it into a folder: NAME.yaml, NAME.pem,\n" +
			"NAME-key.pem, ca.pem and, if there is one, the file of users. The key never leaves this host. Files that are there with other content are not overwritten.\n" +
			"If it fails on the way, type the same command again while the inviter is waiting: the token is good for the key that came first with it.",
		Example: "  godwit cluster join godwit1_...\n  godwit cluster join --dir /etc/godwit godwit1_...",
		RunE: func(cmd *cobra.Command, args []string) error {
			token, err := cluster.ParseToken(args[0])
			if err != nil {
				return &usageError{err}
			}
			name := token.Node
			if certificate := filepath.Join(dir, name+".pem"); exists(certificate) {
				return fmt.Errorf("%s is there already: this host has what node %s needs. To make it anew, move %s.pem and %s-key.pem away", certificate, name, name, name)
			}
			if err := os.MkdirAll(dir, 0o700); err != nil {
				return err
			}
			key, err := joinKey(filepath.Join(dir, name+"-key.pem"))
			if err != nil {
				return err
			}
			given, err := token.Join(cmd.Context(), key)
			if err != nil {
				return err
			}
			cfg, err := config.Parse(filepath.Join(dir, name+".yaml"), given.Config)
			if err == nil {
				err = joinable(cfg, dir, name)
			}
			if err != nil {
				return fmt.Errorf("the configuration that came for node %s is of no use here: %w", name, err)
			}
			files := []file{{Name: cluster.AuthorityFile, Data: given.Authority}, {Name: name + ".yaml", Data: given.Config}}
			if given.Users != nil {
				files = append(files, file{Name: usersName, Data: given.Users})
			}
			files = append(files, file{Name: name + ".pem", Data: given.Certificate}) // the last: it says that all is there
			if err := writeFiles(dir, files, "nothing was written. Move it away and type the command again, while the inviter waits"); err != nil {
				return err
			}
			if err := token.Confirm(cmd.Context(), key); err != nil {
				fmt.Fprintf(c.err, "The inviter could not be told that all is written here, and may go on waiting: %v\n", err)
			}
			c.showJoined(cfg, dir, given.Users != nil)
			return nil
		},
	}
	cmd.Flags().StringVar(&dir, "dir", ".", "folder to write to")
	return cmd
}

// joinKey is the key that a host has made for a node, or makes one: it is on the disk before it is shown to anybody, so that the command can be typed again with it.
func joinKey(path string) (*ecdsa.PrivateKey, error) {
	data, err := os.ReadFile(path)
	if err == nil {
		key, err := cluster.ParseKey(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w; move it away", path, err)
		}
		return key, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	key, err := cluster.NewKey()
	if err != nil {
		return nil, err
	}
	if data, err = cluster.EncodeKey(key); err != nil {
		return nil, err
	}
	return key, writeFile(path, data)
}

// showJoined says what is left to do on a host that has joined.
func (c *cli) showJoined(cfg *config.Config, dir string, users bool) {
	fmt.Fprintf(c.out, "%s has what node %s needs.\n", dir, cfg.Cluster.Name)
	if host, _, err := net.SplitHostPort(cfg.Cluster.Listen); err == nil && !ownAddress(host) {
		fmt.Fprintf(c.out, "The node's address is %s, and this machine does not have it: is this the right host?\n", host)
	}
	for _, path := range []string{cfg.Credentials.UsersFile, cfg.TLS.Certificate, cfg.TLS.Key, cfg.TLS.ClientCA, cfg.HTTP.Certificate, cfg.HTTP.Key} {
		if path == "" || exists(path) {
			continue
		}
		from := "put it there"
		if users && path == cfg.Credentials.UsersFile {
			from = "move " + filepath.Join(dir, usersName) + " there"
		}
		fmt.Fprintf(c.out, "Its configuration names %s, which is not here: %s before.\n", path, from)
	}
	fmt.Fprintf(c.out, "\nStart it:\n\n    godwit serve --config %s\n", cfg.File())
}

// ownAddress says whether a host is an address of this machine, or a name, of which nothing is said.
func ownAddress(host string) bool {
	ip, err := netip.ParseAddr(host)
	if err != nil || ip.IsUnspecified() || ip.IsLoopback() {
		return true
	}
	all, err := net.InterfaceAddrs()
	return err != nil || slices.ContainsFunc(all, func(a net.Addr) bool {
		own, err := netip.ParsePrefix(a.String())
		return err == nil && own.Addr() == ip
	})
}
