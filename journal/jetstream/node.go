package jetstream

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/godwitmq/godwit/vfs"
)

// NodeOptions of an embedded server.
type NodeOptions struct {
	// Name of this node, unique in its cluster; the same at every start.
	Name string
	// Dir holds what the node stores.
	Dir string
	// Cluster is the name that all nodes of a cluster have. "" means "godwit".
	Cluster string
	// Listen is the address for the other nodes, host:port. "" makes a node without others, for logs with one replica.
	Listen string
	// Peers are the addresses of all nodes of the cluster, host:port; this node's own may be among them.
	Peers []string
	// TLS secures what nodes say to each other: it must have a certificate, RootCAs, ClientCAs, and ClientAuth RequireAndVerifyClientCert. Whoever has a
	// certificate of these CAs is a node, so they must sign nothing else. nil is accepted on loopback addresses only.
	TLS *tls.Config
	// Logger gets what an operator should know. nil means slog.Default.
	Logger *slog.Logger
}

const (
	startTimeout = 60 * time.Second
	// maxPayload is what a server takes as one message; a log's own messages stay well below the default of external servers, 1 MiB.
	maxPayload = 1 << 20
)

// Node is a way to a replicated log's servers: one embedded in this process, which is one of them, or a connection to others.
type Node struct {
	name string      // of the embedded server; "" if there is none
	opt  NodeOptions // of it
	log  *slog.Logger

	mu      sync.Mutex
	servers Servers        // others than before when an embedded server was started again: then a new stream is to be made
	server  *server.Server // nil: none is embedded
	stop    chan struct{}  // closed by Close
	loss    chan struct{}  // see losses
	done    sync.WaitGroup

	writers atomic.Int32 // logs that are open for writing
}

// StartNode starts an embedded server and connects to it. It does not wait for the other nodes. It refuses to run if the server does not sync before it
// acknowledges. A server that gives up its store later, as it does when the disk is full, is started again.
func StartNode(opt NodeOptions) (*Node, error) {
	if opt.Logger == nil {
		opt.Logger = slog.Default()
	}
	n := &Node{name: opt.Name, opt: opt, log: opt.Logger, stop: make(chan struct{}), loss: make(chan struct{})}
	if err := n.start(); err != nil {
		return nil, fmt.Errorf("start log node %s: %w", opt.Name, err)
	}
	n.done.Go(n.watch)
	if len(opt.Peers) > 1 {
		n.done.Go(n.hasten)
	}
	return n, nil
}

// start starts the server and connects to it.
func (n *Node) start() error {
	so, err := serverOptions(n.opt)
	if err != nil {
		return err
	}
	if err := mend(n.opt.Dir, n.log); err != nil {
		return err
	}
	shortenTimers()
	srv, err := server.NewServer(so)
	if err != nil {
		return err
	}
	srv.SetLoggerV2(serverLog{n.log.With("node", n.name)}, false, false, false)
	srv.Start()
	conn, err := usable(srv)
	if err != nil {
		srv.Shutdown()
		srv.WaitForShutdown()
		return err
	}
	n.mu.Lock()
	n.server, n.servers = srv, &natsServers{conn: conn, server: srv}
	n.mu.Unlock()
	return nil
}

// usable connects to a server that has been started, if it does what a log needs.
func usable(srv *server.Server) (*nats.Conn, error) {
	if !srv.ReadyForConnections(startTimeout) {
		return nil, fmt.Errorf("the server was not ready in %v", startTimeout)
	}
	if cfg := srv.JetStreamConfig(); cfg == nil || !cfg.SyncAlways {
		return nil, fmt.Errorf("the server has no store, or one that does not sync before it acknowledges (JetStream's configuration: %+v)", cfg)
	}
	return connect("", nats.InProcessServer(srv), nats.IgnoreDiscoveredServers(), nats.Name(srv.Name()))
}

// now is the embedded server, nil if there is none, and the way to all of them.
func (n *Node) now() (*server.Server, Servers) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.server, n.servers
}

const (
	// watchEvery is how often it is looked whether the server still has its store, askEvery how often it is asked how it is, after so many looks.
	watchEvery = time.Second
	askEvery   = 10
	// restartEvery is how often it is started again when it does not.
	restartEvery = 2 * time.Second
	// restartFree is how much the disk must have for that, in bytes.
	restartFree = 16 << 20
)

// watch is the goroutine that starts the server again when it has given up its store. It does so when a write has failed, for want of space or for another reason, and would
// stay so until the end of the process. What it has on the disk is then read as after a crash, and the rest comes from the other nodes.
func (n *Node) watch() {
	for looks := 1; ; looks++ {
		select {
		case <-n.stop:
			return
		case <-time.After(watchEvery):
		}
		srv, servers := n.now()
		why := givenUp(srv, looks%askEvery == 0)
		if why == "" {
			continue
		}
		n.log.Error("this node's copy of the log is out of use; it is opened again when the disk has room", "node", n.name, "reason", why)
		servers.Close()
		for {
			free, err := vfs.OS{}.DiskFree(n.opt.Dir)
			if err == nil && free < restartFree {
				err = fmt.Errorf("the disk has %d bytes left, %d are needed", free, restartFree)
			} else if err = n.start(); err == nil {
				break
			}
			n.log.Warn("this node's copy of the log cannot be opened; trying again", "node", n.name, "error", err, "in", restartEvery)
			select {
			case <-n.stop:
				return
			case <-time.After(restartEvery):
			}
		}
		n.log.Info("this node's copy of the log is in use again", "node", n.name)
	}
}

// givenUp is why a server does not store any more and will not by itself; "" if it does. Only if asked, it says so of a write that failed for another reason than a full disk.
func givenUp(srv *server.Server, ask bool) string {
	if !srv.JetStreamEnabled() {
		return "the server has switched its store off, as it does when the disk is full"
	}
	if ask {
		if h := srv.Healthz(&server.HealthzOptions{}); strings.Contains(h.Error, "write error") {
			return h.Error
		}
	}
	return ""
}

func serverOptions(opt NodeOptions) (*server.Options, error) {
	if opt.Name == "" || opt.Dir == "" {
		return nil, errors.New("a node needs a name and a directory")
	}
	so := &server.Options{
		ServerName:         opt.Name,
		NoSigs:             true,
		JetStream:          true,
		StoreDir:           opt.Dir,
		SyncAlways:         true,
		MaxPayload:         maxPayload,
		JetStreamMaxMemory: 16 << 20,
		// The disk is the limit, and logs have limits of their own; the default would be three quarters of what is free at the start.
		JetStreamMaxStore:      1 << 50,
		DisableJetStreamBanner: true,
		NoSublistCache:         true,
		DontListen:             true,
	}
	if opt.Listen == "" {
		return so, nil
	}
	host, port, err := splitAddress(opt.Listen)
	if err != nil {
		return nil, err
	}
	if opt.Cluster == "" {
		opt.Cluster = "godwit"
	}
	if err := checkTLS(opt.TLS, host); err != nil {
		return nil, err
	}
	so.DontListen = false // or it would not listen for nodes either
	so.Host, so.Port = "127.0.0.1", server.RANDOM_PORT
	so.TLSConfig, so.TLSHandshakeFirst, so.TLSTimeout = nobody(), true, 1
	so.Cluster = server.ClusterOpts{
		Name:        opt.Cluster,
		Host:        host,
		Port:        port,
		NoAdvertise: true, // the peers are static
		PoolSize:    1,
		// A connection whose other end is not heard is made anew: TCP alone would try again less and less often, so that a cut of 20 s could last 40.
		PingInterval: time.Second,
		MaxPingsOut:  3,
	}
	if opt.TLS != nil {
		so.Cluster.TLSConfig = opt.TLS.Clone()
		so.Cluster.TLSTimeout = 5
	}
	for _, peer := range opt.Peers {
		if peer == opt.Listen {
			continue
		}
		if _, _, err := splitAddress(peer); err != nil {
			return nil, err
		}
		so.Routes = append(so.Routes, &url.URL{Scheme: "nats-route", Host: peer})
	}
	return so, nil
}

// nobody is the TLS of the port for clients that a server with other nodes insists on opening: no handshake succeeds, and before it nothing is said. Connections
// within the process are exempt.
func nobody() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return nil, errors.New("clients are not served here")
		},
	}
}

func splitAddress(address string) (host string, port int, err error) {
	host, p, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, fmt.Errorf("address of a node: %w", err)
	}
	port, err = strconv.Atoi(p)
	if err != nil || port < 1 || port > 65535 {
		return "", 0, fmt.Errorf("address of a node: %q has no port", address)
	}
	return host, port, nil
}

// checkTLS makes sure that nobody without a certificate becomes a node.
func checkTLS(c *tls.Config, host string) error {
	if c == nil {
		if ip := net.ParseIP(host); ip != nil && ip.IsLoopback() {
			return nil
		}
		return fmt.Errorf("nodes that listen on %q, not a loopback address, need TLS", host)
	}
	switch {
	case len(c.Certificates) == 0 && c.GetCertificate == nil:
		return errors.New("TLS between nodes: no certificate")
	case c.ClientAuth != tls.RequireAndVerifyClientCert || c.ClientCAs == nil:
		return errors.New("TLS between nodes: who connects must be verified (ClientAuth, ClientCAs)")
	case c.RootCAs == nil || c.InsecureSkipVerify:
		return errors.New("TLS between nodes: who is connected to must be verified (RootCAs)")
	}
	return nil
}

// External is a NATS cluster that others run.
type External struct {
	// URL of its servers, comma-separated.
	URL string
	// Options for the connection: credentials, TLS.
	Options []nats.Option
	// System connects to the system account, in which servers tell whether they sync before they acknowledge.
	System []nats.Option
	// TrustSync takes it on trust that they do, if System is nil.
	TrustSync bool
	// Logger gets what an operator should know. nil means slog.Default.
	Logger *slog.Logger
}

// Dial connects to an external cluster. It refuses one that does not sync always, and one of which that cannot be known unless it is trusted.
func Dial(ctx context.Context, e External) (*Node, error) {
	if e.Logger == nil {
		e.Logger = slog.Default()
	}
	switch {
	case e.System != nil:
		if err := checkSync(ctx, e); err != nil {
			return nil, fmt.Errorf("connect to %s: %w", e.URL, err)
		}
	case !e.TrustSync:
		return nil, fmt.Errorf("connect to %s: without access to its system account it cannot be known whether it has sync_interval: always", e.URL)
	}
	conn, err := connect(e.URL, e.Options...)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", e.URL, err)
	}
	return &Node{servers: &natsServers{conn: conn}, log: e.Logger, stop: make(chan struct{})}, nil
}

// checkSync asks all servers how they store. Those that do not answer in a second are not known.
func checkSync(ctx context.Context, e External) error {
	conn, err := connect(e.URL, e.System...)
	if err != nil {
		return fmt.Errorf("system account: %w", err)
	}
	defer conn.Close()
	inbox := nats.NewInbox()
	sub, err := conn.SubscribeSync(inbox)
	if err != nil {
		return err
	}
	if err := conn.PublishRequest("$SYS.REQ.SERVER.PING.JSZ", inbox, []byte(`{"config":true}`)); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	seen := 0
	for {
		m, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			break
		}
		var answer struct {
			Server struct {
				Name string `json:"name"`
			} `json:"server"`
			Data struct {
				Disabled bool                    `json:"disabled"`
				Config   *server.JetStreamConfig `json:"config"`
			} `json:"data"`
		}
		if json.Unmarshal(m.Data, &answer) != nil || answer.Data.Disabled || answer.Data.Config == nil {
			continue
		}
		if seen++; !answer.Data.Config.SyncAlways {
			return fmt.Errorf("server %s acknowledges before it syncs: it needs sync_interval: always", answer.Server.Name)
		}
	}
	if seen == 0 {
		return errors.New("no server of it has told how it stores")
	}
	return nil
}

func connect(address string, opts ...nats.Option) (*nats.Conn, error) {
	return nats.Connect(address, append([]nats.Option{
		nats.MaxReconnects(-1),
		nats.Timeout(startTimeout), // a server that has much to recover takes a while to answer
		nats.ReconnectWait(50 * time.Millisecond),
		nats.ReconnectBufSize(-1), // an append that cannot be sent must fail at once, not be sent later
		nats.RetryOnFailedConnect(false),
	}, opts...)...)
}

// Name is the node's name; "" for an external cluster.
func (n *Node) Name() string { return n.name }

// Connected says with how many other nodes this one is in contact.
func (n *Node) Connected() int {
	srv, _ := n.now()
	if srv == nil {
		return 0
	}
	return srv.NumRoutes()
}

// Replica says of this node's copy of a log whether it leads the others, and whether it has all that they have, as far as this node knows. Both are false if it has none.
func (n *Node) Replica(log string, shard int) (leads, current bool) {
	srv, _ := n.now()
	if srv == nil {
		return false, false
	}
	name := streamName(log, shard)
	return srv.JetStreamIsStreamLeader(server.DEFAULT_GLOBAL_ACCOUNT, name), srv.JetStreamIsStreamCurrent(server.DEFAULT_GLOBAL_ACCOUNT, name)
}

// Close ends the connection and the embedded server. Logs on it break. It may be called again.
func (n *Node) Close() {
	n.mu.Lock()
	select {
	case <-n.stop:
	default:
		close(n.stop)
	}
	n.mu.Unlock()
	n.done.Wait()
	_, servers := n.now()
	servers.Close()
}

// serverLog passes on what the server says. Its notices are of no interest to who runs a broker.
type serverLog struct{ log *slog.Logger }

func (l serverLog) Noticef(format string, v ...any) { l.log.Debug(fmt.Sprintf(format, v...)) }
func (l serverLog) Errorf(format string, v ...any)  { l.log.Warn(fmt.Sprintf(format, v...)) } // such as each attempt to reach a node that is down
func (l serverLog) Fatalf(format string, v ...any)  { l.log.Error(fmt.Sprintf(format, v...)) }
func (l serverLog) Debugf(string, ...any)           {}
func (l serverLog) Tracef(string, ...any)           {}
func (l serverLog) Warnf(format string, v ...any) {
	level := slog.LevelWarn
	for _, ordinary := range []string{
		"health check", "is not current", // it says so when it is asked, and copies lag for moments
		"TLS Handshake First", // all its clients are ours, and in this process
		"Waiting for routing", // at each start
	} {
		if strings.Contains(format, ordinary) {
			level = slog.LevelDebug
		}
	}
	l.log.Log(context.Background(), level, fmt.Sprintf(format, v...))
}
