package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/godwitmq/godwit/cluster"
	"github.com/godwitmq/godwit/config"
	"github.com/godwitmq/godwit/control/agent"
	"github.com/godwitmq/godwit/control/service"
)

// A machine that has joined a service runs an agent, and neither a broker of its own nor a control plane. What it has joined with is in a folder of its data folder.

const machineDir = "machine"

// The files there. The note is the last: it says that all is there.
const (
	machineNote = "machine.json"
	machineKey  = "key.pem"
	machineNew  = "joining-key.pem" // until the machine has joined with it
	machineCert = "certificate.pem"
)

// machine is the note.
type machine struct {
	Node      string   `json:"node"`
	Addresses []string `json:"addresses"` // of the controller
	Token     string   `json:"token"`     // SHA-256 of the token that it has joined with, in hex
}

// readMachine reads what the machine of a data folder is; nil: it has not joined.
func readMachine(data string) (*machine, error) {
	return readNote[machine](filepath.Join(data, machineDir), machineNote)
}

// join makes a node of this machine. With the token that it has joined with already it is one.
func (m *machine) join(ctx context.Context, data, text string) error {
	token, err := cluster.ParseToken(text)
	if err != nil {
		return &usageError{fmt.Errorf("--join: %w", err)}
	}
	for _, name := range []string{"control", "journal", "log"} {
		if exists(filepath.Join(data, name)) {
			return fmt.Errorf("%s has a broker or a control plane (%s): a machine that joins a service has neither; choose another folder with --data", data, filepath.Join(data, name))
		}
	}
	dir := filepath.Join(data, machineDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	key, err := joinKey(filepath.Join(dir, machineNew))
	if err != nil {
		return err
	}
	given, err := token.Join(ctx, key)
	if err != nil {
		return fmt.Errorf("join as node %s: %w", token.Node, err)
	}
	hash := sha256.Sum256([]byte(text))
	*m = machine{Node: token.Node, Addresses: token.Addresses, Token: hex.EncodeToString(hash[:])}
	note, err := json.Marshal(m)
	if err == nil {
		err = os.Remove(filepath.Join(dir, machineNote)) // what was before does not go together with the files that follow
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	}
	if err != nil {
		return err
	}
	secret, err := cluster.EncodeKey(key)
	if err != nil {
		return err
	}
	files := []file{{Name: cluster.AuthorityFile, Data: given.Authority}, {Name: machineCert, Data: given.Certificate}, {Name: machineKey, Data: secret}, {Name: machineNote, Data: note}}
	if err := writeFiles(dir, files, ""); err != nil {
		return err
	}
	return os.Remove(filepath.Join(dir, machineNew))
}

// asMachine runs this process as a node of a service, if it is one or a token makes it one; false: it is not.
func (c *cli) asMachine(cfg *config.Config, token string, signals <-chan os.Signal, log *slog.Logger) (bool, error) {
	m, err := readMachine(cfg.Data)
	if err != nil {
		return true, err
	}
	if m == nil && token == "" {
		if dir := filepath.Join(cfg.Data, machineDir); exists(dir) { // not a broker by mistake
			return true, fmt.Errorf("this machine has begun to join a service, and did not end (%s): start it with --join and its token again, or remove that folder", dir)
		}
		return false, nil
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- c.runMachine(ctx, cfg, m, token, log) }()
	for {
		select {
		case s := <-signals:
			if s == syscall.SIGHUP {
				log.Info("a node has no configuration to read again: what its instances are like comes from the controller")
				continue
			}
			log.Info("stopping: the instances go on")
			_ = notify(notifyStopping) // the service manager is told; it does not matter if it does not listen
			stop()
			return true, <-ended
		case err := <-ended:
			return true, err
		}
	}
}

func (c *cli) runMachine(ctx context.Context, cfg *config.Config, m *machine, token string, log *slog.Logger) error {
	hash := sha256.Sum256([]byte(token))
	if token != "" && (m == nil || m.Token != hex.EncodeToString(hash[:])) {
		m = &machine{}
		if err := m.join(ctx, cfg.Data, token); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		log.Info("joined", "node", m.Node, "controller", m.Addresses)
	}
	dir := filepath.Join(cfg.Data, machineDir)
	certificate, err := tls.LoadX509KeyPair(filepath.Join(dir, machineCert), filepath.Join(dir, machineKey))
	if err != nil {
		return fmt.Errorf("the certificate of this node: %w; invite it again", err)
	}
	authority, err := os.ReadFile(filepath.Join(dir, cluster.AuthorityFile))
	if err != nil {
		return err
	}
	remote, err := agent.NewRemote(m.Addresses, certificate, authority)
	if err != nil {
		return err
	}
	defer remote.Close()
	fmt.Fprintf(c.out, "Node %s of the service at %v; its instances are in %s\n", m.Node, m.Addresses, filepath.Join(cfg.Data, "instances"))
	if err := notify(notifyReady); err != nil {
		log.Warn("the service manager does not know how this process is", "error", err)
	}
	if every := watchdogEvery(); every > 0 {
		t := time.NewTicker(every)
		defer t.Stop()
		go func() {
			for {
				select {
				case <-t.C:
					_ = notify(notifyAlive) // it was told at the start whether it listens
				case <-ctx.Done():
					return
				}
			}
		}()
	}
	l := cfg.Service.LDAP
	return agent.New(remote, agent.Options{Node: m.Node, Data: cfg.Data, LDAPTransport: l.Transport, LDAPCA: l.CA, Logger: log}).Run(ctx)
}

// openMachines listens for other machines, if the configuration says where.
func (m *managed) openMachines() error {
	cfg := m.n.config()
	if cfg.Service.Nodes.Listen == "" {
		return nil
	}
	authority, err := agent.OpenMachines(cfg.ControlPath())
	if err != nil {
		return fmt.Errorf("the authority of machines: %w", err)
	}
	l, err := net.Listen("tcp", cfg.Service.Nodes.Listen)
	if err != nil {
		return fmt.Errorf("service.nodes.listen: %w", err)
	}
	host, _, _ := net.SplitHostPort(cfg.Service.Nodes.Listen)
	_, port, _ := net.SplitHostPort(l.Addr().String())
	m.token = func(node string, addresses []string) (*service.Token, error) {
		if ip, err := netip.ParseAddr(host); len(addresses) == 0 && (host == "" || err == nil && ip.IsUnspecified()) {
			return nil, errors.New("service.nodes.listen is every address of the controller: say by --address at which of them the machine reaches it")
		}
		if len(addresses) == 0 {
			addresses = []string{net.JoinHostPort(host, port)}
		}
		token, secret, err := authority.Token(addresses, node)
		return &service.Token{Text: token.String(), Secret: secret, Addresses: addresses, Fingerprint: authority.Fingerprint()}, err
	}
	machines := agent.NewMachines(authority, m.local.Load, m.n.log)
	m.n.running.Go(func() {
		if err := machines.Serve(m.n.background, l); err != nil {
			m.n.log.Error("other machines are not answered any more", "error", err)
		}
	})
	return nil
}
