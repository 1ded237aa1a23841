package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/godwitmq/godwit/audit"
	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/cluster"
	"github.com/godwitmq/godwit/config"
	"github.com/godwitmq/godwit/control"
	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/control/console"
	"github.com/godwitmq/godwit/control/jolokia"
	"github.com/godwitmq/godwit/engine"
	"github.com/godwitmq/godwit/journal"
	"github.com/godwitmq/godwit/journal/segment"
	"github.com/godwitmq/godwit/listen"
	"github.com/godwitmq/godwit/metrics"
	"github.com/godwitmq/godwit/readiness"
	"github.com/godwitmq/godwit/session"
	"github.com/godwitmq/godwit/vfs"
)

// node is one running broker: what main wires together.
type node struct {
	fs      vfs.FS // of the journal
	load    func() (*config.Config, error)
	current atomic.Pointer[config.Config]
	reading sync.Mutex // orders reloads
	reloads struct{ done, refused atomic.Int64 }
	log     *slog.Logger
	level   *slog.LevelVar
	begun   time.Time
	id      string // the broker's, differs with each start

	trail     *audit.Trail // what is done here, and by whom
	audited   *audit.File  // that the trail goes to
	guards    *guards
	core      core
	frames    *session.FrameMemory
	listeners atomic.Pointer[listen.Server] // nil: there are none yet, or never, as at a witness
	certs     *listen.Certificates          // nil: no TLS
	dev       *listen.Files                 // nil: a certificate was given
	api       *control.Server               // nil: switched off
	managed   *managed                      // nil: this is no service for several brokers
	metrics   metrics.Broker
	exports   exports
	instance  atomic.Pointer[instance] // nil: a broker alone
	failed    chan error               // the broker cannot go on
	restarts  chan struct{}            // it is to begin anew
	roster    *readiness.Roster

	background context.Context
	cancel     context.CancelFunc
	running    sync.WaitGroup
	closed     error // of the engine's Close; to be read when running has ended

	adopt      *cluster.Copied                          // what the nodes' log is to be filled with when it is this broker's
	converting sync.Mutex                               // held by a conversion
	handing    chan func(*engine.Engine) *engine.Engine // to supervise: gives the engine up for another, or for good
	since      time.Time                                // when it became an instance in this process
	steps      func(string)                             // told of each step of a conversion, by tests; nil: nobody is
}

func (n *node) config() *config.Config { return n.current.Load() }

// start brings a broker up. Addresses are taken before the journal is opened, so that one in use is told at once; clients are
// served when the journal has been read back.
func start(cfg *config.Config, load func() (*config.Config, error), log *slog.Logger, level *slog.LevelVar, begun time.Time) (*node, error) {
	return startOn(vfs.OS{}, cfg, load, log, level, begun)
}

// startOn is start with the journal on another file system.
func startOn(fs vfs.FS, cfg *config.Config, load func() (*config.Config, error), log *slog.Logger, level *slog.LevelVar, begun time.Time) (*node, error) {
	n := &node{fs: fs, load: load, log: log, level: level, begun: begun, id: brokerID(begun), failed: make(chan error, 1), restarts: make(chan struct{}, 1), roster: readiness.NewRoster(), handing: make(chan func(*engine.Engine) *engine.Engine)}
	n.current.Store(cfg)
	n.background, n.cancel = context.WithCancel(context.Background())
	n.core.set(nil, nil, "starting", "the journal is being read")
	if err := n.rise(); err != nil {
		_ = n.stop() // err says why there is nothing to serve
		return nil, err
	}
	return n, nil
}

// rise does the work of start.
func (n *node) rise() error {
	cfg := n.config()
	n.frames = session.NewFrameMemory(cfg.Limits.FrameMemory())
	if err := os.MkdirAll(cfg.Data, 0o700); err != nil {
		return fmt.Errorf("make the data folder: %w", err)
	}
	if err := n.claim(); err != nil {
		return err
	}
	var err error
	if n.audited, err = audit.OpenFile(cfg.Log.Audit, int64(cfg.Log.Rotate), cfg.Log.Kept); err != nil {
		return err
	}
	n.trail = audit.New(audit.Options{File: n.audited, Log: n.log})
	n.trail.Note(audit.Entry{Via: "process", Operation: "start", On: cfg.Broker.Name, Outcome: audit.Done, Detail: "version " + build().Version})
	if n.guards, err = newGuards(cfg, n.log); err != nil {
		return err
	}
	n.running.Go(n.exportMetrics)
	n.running.Go(func() { n.guards.watch(n.background) })
	if cfg.Cluster.On() {
		n.instance.Store(newInstance(n))
	}
	if cfg.Service.Enabled {
		if n.managed, err = n.openService(); err != nil {
			return err
		}
	}
	if err := n.openHTTP(); err != nil {
		return err
	}
	if cfg.Cluster.Witness() {
		return n.join()
	}
	if err := n.bind(); err != nil {
		return err
	}
	if cfg.Cluster.On() {
		if err := n.join(); err != nil {
			return err
		}
	} else {
		e, err := n.open()
		if err != nil {
			return n.explain(err)
		}
		n.core.set(e, n.deps(e), "ok", "")
		n.running.Go(func() { n.supervise(e) })
	}
	n.listeners.Load().Start()
	if n.certs != nil {
		n.running.Go(func() { n.certs.Watch(n.background, 0) })
	}
	return nil
}

// core is the engine that serves now, if any, and how it is.
type core struct {
	mu     sync.Mutex
	engine *engine.Engine
	deps   *session.Deps
	health api.Health
	change chan struct{} // closed at the next set
}

func (c *core) set(e *engine.Engine, deps *session.Deps, status, detail string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.engine, c.deps, c.health = e, deps, api.Health{Status: status, Detail: detail}
	if c.change != nil {
		close(c.change)
	}
	c.change = make(chan struct{})
}

// now gives the engine, or nil and how things are. One whose journal has just failed does not count any more.
func (c *core) now() (*engine.Engine, api.Health) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.engine != nil && c.engine.Err() != nil {
		return nil, api.Health{Status: "recovering", Detail: "the journal failed: " + c.engine.Err().Error()}
	}
	return c.engine, c.health
}

// wait gives what sessions need, waiting until there is an engine. nil: ctx has ended.
func (c *core) wait(ctx context.Context) *session.Deps {
	for {
		c.mu.Lock()
		deps, change := c.deps, c.change
		c.mu.Unlock()
		if deps != nil && deps.Engine.Err() == nil {
			return deps
		}
		select {
		case <-change:
		case <-ctx.Done():
			return nil
		}
	}
}

// open opens the journal and starts a core on it.
func (n *node) open() (*engine.Engine, error) {
	cfg := n.config()
	return engine.Open(func(notify journal.Notify) (journal.Log, error) {
		return segment.Open(cfg.JournalPath(), n.journalOptions(cfg), notify)
	}, n.engineOptions(cfg))
}

func (n *node) brokerOptions() broker.Options {
	cfg := n.config()
	options := brokerOptions(cfg)
	options.ID, options.Directory, options.Connectors = n.id, cfg.Data, connectors(cfg)
	return options
}

func brokerOptions(cfg *config.Config) broker.Options {
	location, _ := cfg.Scheduler.Location() // Validate has seen to it
	return broker.Options{
		Name: cfg.Broker.Name, CacheBytes: int64(cfg.Limits.Cache), MemoryBytes: int64(cfg.Limits.Memory), SegmentBytes: int64(cfg.Journal.SegmentSize), MaxDestinations: cfg.Limits.Destinations,
		MaxProducers: cfg.Limits.DuplicateProducers, MaxTransaction: cfg.Limits.Transaction,
		TemporaryGrace: cfg.Broker.TemporaryGrace, CarryBytes: int64(cfg.Shutdown.Carry),
		Policies: brokerPolicies(cfg), Location: location,
	}
}

// explain says what to do about a journal that cannot be opened.
func (n *node) explain(err error) error {
	var locked *vfs.LockedError
	data := n.config().Data
	switch {
	case errors.As(err, &locked):
		return fmt.Errorf("the data folder %s is in use: %w\nStop that broker first, or choose another folder with --data", data, err)
	case errors.Is(err, journal.ErrCorrupt):
		return fmt.Errorf("%w\n`godwit journal verify --data %s` says what is damaged, `godwit journal repair --data %s` what giving it up would cost", err, data, data)
	}
	return fmt.Errorf("open the journal: %w", err)
}

// The pauses between attempts to open a journal again.
const (
	firstPause = 100 * time.Millisecond
	longPause  = 10 * time.Second
)

// supervise owns the engine: it closes it when the broker stops. When its journal has failed, nobody knows what the disk holds: everybody is sent away, the
// journal is opened anew, which reads what is there, and clients are served again.
func (n *node) supervise(e *engine.Engine) {
	for {
		select {
		case <-n.background.Done():
			n.closed = e.Close()
			return
		case hand := <-n.handing:
			if e = hand(e); e == nil {
				return
			}
			continue
		case <-e.Done():
		}
		why := e.Err()
		n.core.set(nil, nil, "recovering", "the journal failed: "+why.Error())
		n.log.Error("the journal failed: clients are sent away until it can be read again", "error", why)
		if e = n.reopen(); e == nil {
			return
		}
		n.core.set(e, n.deps(e), "ok", "")
		n.log.Info("the journal was read again; clients are served")
	}
}

// reopen tries until it works. nil: it never will, or the broker is stopping.
func (n *node) reopen() *engine.Engine {
	for pause := firstPause; ; pause = min(2*pause, longPause) {
		select {
		case <-time.After(pause):
		case <-n.background.Done():
			return nil
		}
		e, err := n.open()
		if err == nil {
			return e
		}
		if errors.Is(err, journal.ErrCorrupt) {
			n.failed <- n.explain(err)
			return nil
		}
		n.core.set(nil, nil, "recovering", "the journal cannot be opened: "+err.Error())
		n.log.Error("the journal cannot be opened; trying again", "error", err, "in", min(2*pause, longPause))
	}
}

// bind takes the listeners' addresses.
func (n *node) bind() error {
	cfg := n.config()
	endpoints := make([]listen.Endpoint, len(cfg.Listeners))
	usesTLS := false
	for i, l := range cfg.Listeners {
		e, err := endpointOf(cfg, l)
		if err != nil {
			return fmt.Errorf("listener %s: %w", l.Name, err)
		}
		endpoints[i], usesTLS = e, usesTLS || e.TLS != listen.TLSOff
	}
	if usesTLS {
		if err := n.loadCertificates(endpoints); err != nil {
			return err
		}
	}
	listeners := listen.New(listen.Options{Handlers: n.handlers(), Certificates: n.certs, MaxConnections: cfg.Limits.Connections, Log: n.log})
	listeners.Admit(cfg.Access.Admits())
	n.listeners.Store(listeners)
	for _, e := range endpoints {
		if _, err := listeners.Listen(e); err != nil {
			var op *net.OpError
			if errors.As(err, &op) {
				return errPort("listener "+e.Name, e.Address, op.Err)
			}
			return err
		}
	}
	return nil
}

func endpointOf(cfg *config.Config, l config.Listener) (listen.Endpoint, error) {
	e, err := listen.ParseEndpoint(l.Protocol + "=" + l.URL)
	if err != nil {
		return e, err
	}
	e.Name = l.Name
	auth := l.ClientAuth
	if auth == "" && e.TLS != listen.TLSOff {
		auth = cfg.TLS.ClientAuth
	}
	switch auth {
	case "optional":
		e.ClientAuth = listen.OptionalClientAuth
	case "required":
		e.ClientAuth = listen.RequiredClientAuth
	}
	for _, text := range l.ProxyFrom {
		network, err := listen.ParseNetwork(text)
		if err != nil {
			return e, err
		}
		e.ProxyFrom = append(e.ProxyFrom, network)
	}
	e.Limits = listen.Limits{
		MaxConnections: l.MaxConnections, MaxPerAddress: cfg.Limits.ConnectionsPerAddress,
		LoginTimeout: cfg.Limits.LoginTimeout, LoginBytes: int(cfg.Limits.LoginBytes),
	}
	if e.Limits.MaxConnections == 0 {
		e.Limits.MaxConnections = cmp.Or(cfg.Limits.ConnectionsPerListener, cfg.Limits.Connections)
	}
	return e, nil
}

// loadCertificates reads the certificate, or makes one for development.
func (n *node) loadCertificates(endpoints []listen.Endpoint) error {
	t := n.config().TLS
	if t.Certificate == "" {
		var hosts []string
		for _, e := range endpoints {
			if host, _, err := net.SplitHostPort(e.Address); err == nil && host != "" {
				if ip := net.ParseIP(host); ip == nil || !ip.IsUnspecified() {
					hosts = append(hosts, host)
				}
			}
		}
		files, err := listen.EnsureDevCertificate(filepath.Join(n.config().Data, "tls"), hosts)
		if err != nil {
			return err
		}
		n.dev = &files
		t.Certificate, t.Key = files.Certificate, files.Key
	}
	var err error
	n.certs, err = listen.LoadCertificates(t.Certificate, t.Key, t.ClientCA, n.log)
	return err
}

// openHTTP starts the API first, so that it can be asked how far the start is.
func (n *node) openHTTP() error {
	cfg := n.config()
	if cfg.HTTP.Off() {
		return nil
	}
	l, err := net.Listen("tcp", cfg.HTTP.Address)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) {
			err = op.Err
		}
		return errPort("the HTTP API", cfg.HTTP.Address, err)
	}
	if cfg.HTTP.Certificate != "" {
		certs, err := listen.LoadCertificates(cfg.HTTP.Certificate, cfg.HTTP.Key, "", n.log)
		if err != nil {
			l.Close()
			return fmt.Errorf("the HTTP API: %w", err)
		}
		n.running.Go(func() { certs.Watch(n.background, 0) })
		l = tls.NewListener(l, certs.ServerConfig())
	} else if !cfg.HTTP.Loopback() {
		n.log.Warn("the HTTP API takes passwords without TLS; set http.certificate and http.key", "address", cfg.HTTP.Address)
	}
	options := control.Options{
		Cluster: func() control.Cluster {
			if in := n.instance.Load(); in != nil {
				return in
			}
			return nil // not a nil *instance in an interface
		},
		Clients: n.clientsAPI(), Restart: n.restart, Convert: n.convert, Backup: n.backup,
		Connect: n.connect, Cut: n.cut, Login: n.guards.login, Trail: n.trail, Health: n.health, Metrics: n.writeMetrics, Facts: n.facts,
		Reload: func(context.Context) (api.Reloaded, error) { return n.reload() }, Refusals: n.guards.refusals,
		Config: func() any { return n.config().Redacted() }, Version: n.version(), Log: n.log, Listeners: n.listening,
	}
	if n.managed != nil {
		options.Service, options.Amazon, options.AmazonAs = n.managed.service, n.managed.amazon, n.managed.amazon.As
	}
	n.api = control.New(options, cfg.HTTP.Loopback())
	n.configureAPI(cfg)
	if cfg.HTTP.Console {
		n.api.Console(console.New(console.Options{API: n.api.Handler(), Service: n.managed != nil, Log: n.log}))
	}
	n.running.Go(func() { n.api.Remember(n.background) })
	n.running.Go(func() {
		if err := n.api.Serve(l); err != nil {
			n.log.Error("the HTTP API has ended", "error", err)
		}
	})
	return nil
}

// configureAPI tells the API what may change, and people if it is of no use. It is open to this machine while clients need no credentials either.
func (n *node) configureAPI(cfg *config.Config) {
	if n.api == nil {
		return
	}
	open := cfg.Credentials.Mode == "ignore" || cfg.Credentials.Mode == "observe"
	n.api.Configure(open, cfg.HTTP.Hosts)
	n.api.ConfigureJolokia(control.JolokiaOptions{NeedOrigin: cfg.HTTP.Jolokia.NeedOrigin, Allow: cfg.HTTP.Jolokia.Allow})
	if why := n.guards.lockedOut(); why != "" && !(open && cfg.HTTP.Loopback()) {
		n.log.Warn(why, "usersFile", cfg.UsersPath(), "admins", cfg.HTTP.Admins, "help", "godwit users add, then SIGHUP")
	}
}

// health says how the broker is, and whether clients that come here are served.
func (n *node) health() api.Health {
	e, h := n.core.now()
	h.Ready = e != nil
	if in := n.instance.Load(); in != nil {
		in.health(&h)
	}
	return h
}

func (n *node) version() api.Version {
	v := build()
	v.Broker, v.Started = n.config().Broker.Name, n.begun
	return v
}

// connect gives the API a connection to the core.
func (n *node) connect() (control.Conn, error) {
	e, health := n.core.now()
	if e == nil {
		return nil, &api.Error{Status: http.StatusServiceUnavailable, Code: api.Unavailable, Detail: "the broker is " + health.Status + ": " + health.Detail}
	}
	return e.Connect(), nil
}

// cut ends a client's connection.
func (n *node) cut(id broker.ConnID, why *broker.Error) bool {
	e, _ := n.core.now()
	return e != nil && e.Cut(id, why)
}

func (n *node) writeMetrics(w io.Writer, v *broker.View) error {
	e, _ := n.measure(v)
	_, err := e.WriteTo(w)
	return err
}

// metricsBudget is the budget that is in force.
func (n *node) metricsBudget() metrics.Budget {
	m := n.config().Metrics
	always, _ := metrics.ParseAlways(m.Always) // Validate has seen to it that they are destinations
	return metrics.Budget{Series: m.Budget, Each: m.Destination, Always: always}
}

// measure makes an answer to a scrape. v is nil while the core cannot be asked; then the look is, too.
func (n *node) measure(v *broker.View) (*metrics.Exposition, *metrics.Look) {
	budget := n.metricsBudget()
	e := budget.Fixed()
	engine, _ := n.core.now()
	up := 0.0
	var look *metrics.Look
	if v != nil {
		up = 1
		look = n.metrics.Look(v, budget, engine, time.Now())
		look.Write(e)
	}
	role, name := "alone", ""
	if in := n.instance.Load(); in != nil {
		is := in.Instance()
		role, name = is.Role, is.Name
	}
	e.Family("godwit_broker_info", metrics.Gauge, "Constant 1, with the broker, this node's name and its role: alone, active, standby, waiting, starting or witness.")
	e.Sample(1, "broker", n.config().Broker.Name, "node", name, "role", role)
	e.One("godwit_serving", metrics.Gauge, "1 while clients are served, 0 while the broker starts, recovers or stops.", up)
	e.Family("godwit_reloads_total", metrics.Counter, "Times that configuration, users and certificates were read again, by whether anything was wrong, so that nothing changed.")
	e.Sample(float64(n.reloads.done.Load()), "result", "done")
	e.Sample(float64(n.reloads.refused.Load()), "result", "refused")
	e.One("godwit_frame_memory_bytes", metrics.Gauge, "Bytes taken by large frames that are not whole yet (limits.frames).", float64(n.frames.Used()))
	if engine != nil {
		space := engine.Log().Space()
		e.One("godwit_journal_disk_bytes", metrics.Gauge, "Bytes of the journal's files.", float64(space.Used))
		e.One("godwit_journal_free_bytes", metrics.Gauge, "Bytes that may still be written before sends are refused.", float64(space.Free))
		damaged := 0.0
		if engine.Damaged() || n.instance.Load().damaged() {
			damaged = 1
		}
		e.One("godwit_journal_damaged", metrics.Gauge, "1 when a part of the journal that the start did not read turned out to be damaged.", damaged)
	}
	if in := n.instance.Load(); in != nil {
		in.writeMetrics(e)
	}
	if n.managed != nil {
		n.managed.writeMetrics(e)
	}
	metrics.Process(e, build().Version, n.begun, time.Now())
	if l := n.listeners.Load(); l != nil {
		writeListenStats(e, l) // the last, since there may be many endpoints
	}
	if len(n.config().Metrics.Export) > 0 {
		e.Family("godwit_metrics_exports_total", metrics.Counter, "Batches of metrics for those in metrics.export, by what became of them.")
		e.Sample(float64(n.exports.sent.Load()), "result", "sent")
		e.Sample(float64(n.exports.dropped.Load()), "result", "dropped")
		e.One("godwit_metrics_export_dropped_series", metrics.Gauge, "Series with Amazon MQ's names that the last batch had no room for.", float64(n.exports.series.Load()))
	}
	budget.Close(e, look)
	return e, look
}

// facts are what ActiveMQ's beans tell beside the core's view.
func (n *node) facts() jolokia.Facts {
	cfg := n.config()
	f := jolokia.Facts{Name: cfg.Broker.Name, ID: n.id, Version: build().Version, Started: n.begun, MemoryUsed: engine.MemoryInUse(), MemoryLimit: int64(cfg.Limits.Process), Connectors: map[string]string{}}
	if e, _ := n.core.now(); e != nil {
		space := e.Log().Space()
		f.StoreUsed = space.Used
		f.StoreLimit = f.StoreUsed + max(0, space.Free)
	}
	if l := n.listeners.Load(); l != nil {
		f.Connections = l.Stats().LoggedIn.Load()
	}
	for _, l := range cfg.Listeners {
		f.Connectors[l.Name] = l.URL
	}
	return f
}

func writeListenStats(e *metrics.Exposition, listeners *listen.Server) {
	s := listeners.Stats()
	e.Family("godwit_endpoint_connections", metrics.Gauge, "Connections that are open, by the endpoint that they came to.")
	for _, b := range listeners.Bound() {
		e.Sample(float64(b.Open), "endpoint", b.Name)
	}
	e.One("godwit_listen_open", metrics.Gauge, "Connections that are open, logged in or not.", float64(s.Current.Load()))
	for _, m := range []struct {
		name, help string
		value      int64
	}{
		{"godwit_listen_accepted_total", "Connections accepted.", s.Accepted.Load()},
		{"godwit_listen_logged_in_total", "Clients that logged in.", s.LoggedIn.Load()},
		{"godwit_listen_tls_total", "TLS handshakes that succeeded.", s.TLS.Load()},
	} {
		e.One(m.name, metrics.Counter, m.help, float64(m.value))
	}
	e.Family("godwit_listen_refused_total", metrics.Counter, "Connections closed by the listener, by reason.")
	for _, m := range []struct {
		reason string
		value  int64
	}{
		{"full", s.RefusedFull.Load()}, {"address", s.RefusedAddress.Load()}, {"access", s.RefusedAccess.Load()}, {"pending", s.RefusedPending.Load()}, {"proxy", s.RefusedProxy.Load()},
		{"tls", s.RefusedTLS.Load()}, {"protocol", s.RefusedProtocol.Load()}, {"login-timeout", s.RefusedLoginTimeout.Load()}, {"login-bytes", s.RefusedLoginBytes.Load()},
		{"accept", s.AcceptFail.Load()},
	} {
		e.Sample(float64(m.value), "reason", m.reason)
	}
}

// leaveWithin is how long clients that come back by themselves have to leave at a moment when they wait for nothing.
const leaveWithin = 200 * time.Millisecond

// stop ends everything in good order: no new clients, time for those that are here, then the journal.
func (n *node) stop() error {
	ctx, cancel := within(n.config().Shutdown.Grace)
	defer cancel()
	if e, _ := n.core.now(); e != nil {
		n.core.set(nil, nil, "stopping", "")
		if in := n.instance.Load(); in != nil {
			in.directory.set(false, "", nil)
		}
		e.Leave(min(leaveWithin, n.config().Shutdown.Grace))
	}
	if l := n.listeners.Load(); l != nil {
		if err := l.Shutdown(ctx); err != nil {
			n.log.Warn("some clients did not end in time and were cut off", "error", err)
		}
	}
	n.core.set(nil, nil, "stopping", "")
	if n.api != nil {
		if err := n.api.Close(ctx); err != nil {
			n.log.Warn("some API calls were cut off", "error", err)
		}
	}
	n.cancel()
	n.running.Wait()
	n.trail.Note(audit.Entry{Via: "process", Operation: "stop", On: n.config().Broker.Name, Outcome: audit.Done})
	if err := n.trail.Close(); err != nil {
		n.log.Warn("the audit log did not close in good order", "error", err)
	}
	if n.closed != nil {
		return fmt.Errorf("close the journal: %w", n.closed)
	}
	return nil
}
