package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/godwitmq/godwit/audit"
	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/cluster"
	"github.com/godwitmq/godwit/cluster/relay"
	"github.com/godwitmq/godwit/config"
	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/engine"
	"github.com/godwitmq/godwit/journal/checkpoint"
	"github.com/godwitmq/godwit/journal/jetstream"
	"github.com/godwitmq/godwit/listen"
	"github.com/godwitmq/godwit/metrics"
	"github.com/godwitmq/godwit/readiness"
	"github.com/godwitmq/godwit/vfs"
)

// instance is this node's part in a cluster.
type instance struct {
	node   *node
	log    atomic.Pointer[jetstream.Node] // nil: not started yet
	member atomic.Pointer[cluster.Member] // nil: a witness, or not started yet
	took   atomic.Pointer[api.TakeOver]   // nil: it has not been active since the start
	// directory knows the active instance, carrier brings clients there; nil: standbys refuse them.
	directory *directory
	carrier   *relay.Carrier
	secure    *tls.Config // between nodes; nil: plain, on loopback
	relayed   string      // name of the endpoint for the clients of standbys

	changing sync.Mutex                    // held while a change of role has its effects
	gone     bool                          // this process is not an instance any more; guarded by changing
	leaving  atomic.Uint64                 // number of the copy that this process leaves the log for
	ended    chan struct{}                 // closed when run is over and the log's node is closed
	told     atomic.Pointer[config.Config] // what the core was made with, or the last that it was told before it became active
	compare  chan struct{}                 // wakes compareConfigs
	name     *follower
}

func newInstance(n *node) *instance {
	in := &instance{node: n, directory: newDirectory(), compare: make(chan struct{}, 1)}
	in.name = newFollower(in)
	return in
}

// witnessMemory is what a witness's runtime is to stay below, unless limits.process says otherwise: else garbage of a flood of appends stays for long.
const witnessMemory config.Size = 64 << 20

// join makes this process a node of its cluster. It does not wait for the others.
func (n *node) join() error {
	cfg := n.config()
	in := n.instance.Load()
	if cfg.Cluster.Witness() { // no engine sees to it
		debug.SetMemoryLimit(int64(cmp.Or(cfg.Limits.Process, witnessMemory)))
	}
	if err := in.open(cfg); err != nil {
		return err
	}
	if cfg.Cluster.Witness() {
		n.core.set(nil, nil, "witness", "this node keeps a copy of the log and serves no clients")
		n.running.Go(func() {
			<-n.background.Done()
			in.log.Load().Close()
		})
		return nil
	}
	if err := in.listen(cfg); err != nil {
		in.log.Load().Close()
		return err
	}
	n.core.set(nil, nil, "standby", "the log is being read")
	in.run(cfg, n.adopt, nil)
	return nil
}

// open starts this node's copy of the log.
func (in *instance) open(cfg *config.Config) error {
	c := &cfg.Cluster
	secure, err := nodesTLS(c)
	if err != nil {
		return err
	}
	peers := make([]string, len(c.Nodes))
	for i, other := range c.Nodes {
		peers[i] = other.Log
	}
	in.secure = secure
	log, err := jetstream.StartNode(jetstream.NodeOptions{
		Name: c.Name, Dir: filepath.Join(cfg.Data, "log"), Cluster: cfg.Broker.Name, Listen: c.Listen, Peers: peers, TLS: secure, Logger: in.node.log,
	})
	if err != nil {
		return fmt.Errorf("start this node's copy of the log: %w", err)
	}
	in.log.Store(log)
	if c.Relay && !c.Witness() {
		in.carrier = relay.New(relay.Options{Name: c.Name, Directory: in.directory, TLS: secure, Hold: c.Hold})
	}
	return nil
}

// logOptions are those of the nodes' log.
func (in *instance) logOptions(cfg *config.Config) jetstream.Options {
	c := &cfg.Cluster
	log := jetstream.Options{Name: cfg.Broker.Name, Instance: c.Name, MaxBytes: int64(cfg.Journal.MaxSize), Heartbeat: c.Heartbeat, Silence: c.Silence, GiveUp: c.GiveUp, Logger: in.node.log}
	for _, other := range c.Nodes {
		if other.Name != c.Name {
			log.LeaderOn = append(log.LeaderOn, other.Name)
		}
	}
	return log
}

// listen takes clients from standbys, if others know where.
func (in *instance) listen(cfg *config.Config) error {
	n := in.node
	if own := cfg.Cluster.Node(cfg.Cluster.Name); own.Relay != "" {
		e, err := relay.Listen(n.listeners.Load(), relay.ReceiverOptions{
			Address: own.Relay, TLS: in.secure, Active: func() bool { e, _ := n.core.now(); return e != nil && n.instance.Load() == in },
			Limits: listen.Limits{
				MaxConnections: cfg.Limits.Connections, MaxPerAddress: cfg.Limits.ConnectionsPerAddress,
				LoginTimeout: cfg.Limits.LoginTimeout, LoginBytes: int(cfg.Limits.LoginBytes),
			},
		})
		if err != nil {
			return fmt.Errorf("take the clients of standbys: %w", err)
		}
		in.relayed = e.Name
	}
	return nil
}

// run follows the log, and leads it when it can. joined is what this process has of the copy that it is to adopt; nil: it is read.
func (in *instance) run(cfg *config.Config, adopt *cluster.Copied, joined *cluster.Joined) {
	n := in.node
	member := cluster.New(cluster.Options{
		Node: in.log.Load(), Log: in.logOptions(cfg), Logger: n.log,
		Broker: func() broker.Options {
			in.told.Store(n.config())
			return n.brokerOptions()
		},
		Engine:  engine.Options{MemoryLimit: int64(cfg.Limits.Process), OnShort: n.frames.Shut, Logger: n.log},
		Changed: in.roleChanged, Deaf: in.deaf, Leaving: in.handsOver, Left: in.left,
		Await: cfg.Cluster.Await, Adopt: adopt, Joined: joined,
		// Not in the folder of the log, which the log's own servers keep.
		Checkpoints: &checkpoint.Store{FS: n.fs, Dir: cfg.Data},
	})
	in.member.Store(member)
	in.ended = make(chan struct{})
	ctx, cancel := context.WithCancel(n.background)
	n.running.Go(func() { in.compareConfigs(ctx) })
	n.running.Go(func() { in.name.run(ctx) })
	n.running.Go(func() {
		defer close(in.ended)
		defer cancel()
		err := member.Run(n.background)
		in.log.Load().Close()
		if err != nil && !errors.Is(err, cluster.ErrLeft) {
			n.failed <- err
		}
	})
}

// roleChanged lets clients in, or sends them to the active instance.
func (in *instance) roleChanged(s cluster.Status, e *engine.Engine) {
	in.changing.Lock()
	defer in.changing.Unlock()
	if in.gone {
		return
	}
	in.compareSoon()
	in.name.roleChanged()
	n := in.node
	n.trail.Note(audit.Entry{Via: "process", Operation: "become " + string(s.Role), On: s.Instance, Outcome: audit.Done, Detail: s.Reason})
	if s.Role == cluster.Active {
		in.took.Store(&api.TakeOver{At: s.Since, From: s.TakenOver.From, Reason: string(s.TakenOver.Why), Millis: s.TakenOver.Took.Milliseconds()})
		n.core.set(e, n.deps(e), "ok", "this instance is active")
		if cfg := n.config(); cfg != in.told.Load() { // reloaded just now, when there was no engine to tell
			e.Configure(brokerPolicies(cfg))
		}
		e.Limit(engineLimits(n.config())) // the member was made with those of the start
		in.directory.set(true, "", nil)
		return
	}
	n.core.set(nil, nil, string(s.Role), s.Reason)
	in.direct(s)
}

// direct says where the clients of an instance go that is not active. The caller holds changing.
func (in *instance) direct(s cluster.Status) {
	d := in.directory
	switch other := in.node.config().Cluster.Node(s.Active); {
	case s.Role == cluster.Waiting || s.Deaf:
		d.set(false, "", nil)
	case s.Active == s.Instance: // the log was handed over to this one, which is about to be active
		d.set(false, "", relay.ErrHandedOver)
	case other != nil && other.Relay != "":
		d.set(true, other.Relay, nil)
	default:
		d.set(false, "", nil)
	}
}

// moved takes over other addresses of the nodes.
func (in *instance) moved() {
	in.changing.Lock()
	defer in.changing.Unlock()
	if member := in.member.Load(); member != nil && !in.gone {
		if s := member.Status(); s.Role == cluster.Standby {
			in.direct(s)
		}
	}
}

// deaf cuts the clients that are brought to the active instance: whether it still is that, and hears them, is not known, and they have other addresses to try.
func (in *instance) deaf() {
	in.changing.Lock()
	defer in.changing.Unlock()
	if s := in.member.Load().Status(); s.Role == cluster.Standby && s.Deaf && !in.gone {
		in.directory.set(false, "", nil)
	}
}

// handsOver lets nobody in any more, because another instance is about to be active: who comes waits for it.
func (in *instance) handsOver() {
	in.changing.Lock()
	defer in.changing.Unlock()
	if in.gone {
		return
	}
	in.node.core.set(nil, nil, "switching", "another instance is about to be active")
	in.directory.set(false, "", nil)
}

// nodesTLS reads what nodes show each other; nil where they only talk on loopback.
func nodesTLS(c *config.Cluster) (*tls.Config, error) {
	if c.Certificate == "" {
		return nil, nil
	}
	own, err := tls.LoadX509KeyPair(c.Certificate, c.Key)
	if err != nil {
		return nil, fmt.Errorf("cluster.certificate: %w", err)
	}
	pem, err := os.ReadFile(c.CA)
	if err != nil {
		return nil, fmt.Errorf("cluster.ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("cluster.ca: %s has no certificate", c.CA)
	}
	return &tls.Config{Certificates: []tls.Certificate{own}, RootCAs: pool, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS13}, nil
}

// Instance implements control.Cluster.
func (in *instance) Instance() api.Instance {
	n := in.node
	a := api.Instance{Name: n.config().Cluster.Name, Role: n.config().Cluster.Role, Since: n.begun, Started: n.begun, Version: build().Version, TakenOver: in.took.Load()}
	if free, err := (vfs.OS{}).DiskFree(n.config().Data); err == nil {
		a.Free = free
	}
	if member := in.member.Load(); member != nil {
		s := member.Status()
		a.Config, a.DNS = n.config().Digest(), in.name.now()
		a.Role, a.Since, a.Epoch, a.Active, a.Lag, a.Reason = string(s.Role), s.Since, s.Epoch, s.Active, s.Lag, s.Reason
		if s.Deaf {
			a.Reason = "it hears nothing of the log: it is cut off, or most of the nodes are"
		}
		if s.Role == cluster.Active {
			ctx, cancel := context.WithTimeout(n.background, lookTime)
			defer cancel()
			a.Behind, _ = member.Behind(ctx) // without an answer nothing is known, as of an instance that has just lost its role
		}
	}
	if l := n.listeners.Load(); l != nil {
		for _, b := range l.Bound() {
			a.Endpoints = append(a.Endpoints, b.String())
			a.Connections += b.Open
		}
	}
	a.Listeners = n.listening()
	return a
}

// lookTime is how long the log is asked how its copies are.
const lookTime = time.Second

// health says what this instance is, and whether clients that come to it are served.
func (in *instance) health(h *api.Health) {
	member := in.member.Load()
	switch {
	case in.node.config().Cluster.Witness():
		h.Role, h.Ready = "witness", h.Status == "witness"
	case member != nil:
		h.Role = string(member.Status().Role)
		if h.Status == string(cluster.Standby) && in.carrier != nil && in.directory.knows() {
			h.Ready, h.Detail = true, "clients are brought to "+member.Status().Active
		}
	}
}

// seeTime is how long another node is waited for that only knows a little more of clients.
const seeTime = 500 * time.Millisecond

// Seen implements control.Cluster.
func (in *instance) Seen(ctx context.Context, as http.Header) []readiness.Seen {
	ctx, cancel := context.WithTimeout(ctx, seeTime)
	defer cancel()
	c := &in.node.config().Cluster
	all := make([]readiness.Seen, len(c.Nodes))
	var asking sync.WaitGroup
	for i, other := range c.Nodes {
		if other.Name != c.Name {
			asking.Go(func() {
				if err := in.ask(ctx, other, http.MethodGet, "instance/clients", as, nil, &all[i]); err != nil {
					in.node.log.Debug("another node has not told of clients", "node", other.Name, "error", err)
				}
			})
		}
	}
	asking.Wait()
	return all
}

// Restart implements control.Cluster.
func (in *instance) Restart(ctx context.Context, name string, as http.Header) error {
	c := &in.node.config().Cluster
	other := c.Node(name)
	switch {
	case other == nil:
		return &api.Error{Status: http.StatusNotFound, Code: broker.NotFound.String(), Op: "restart", Detail: fmt.Sprintf("there is no node %q", name)}
	case name == c.Name:
		return in.node.restart()
	}
	return in.askFor(ctx, trialTime+askTime, *other, http.MethodPost, "restart", as, struct{}{}, &struct{}{})
}

// damaged says whether a part of the log that this instance has not read is damaged in all its replicas.
func (in *instance) damaged() bool {
	if in == nil || in.member.Load() == nil {
		return false
	}
	return in.member.Load().Status().Damaged
}

// writeMetrics tells of this node's part in the cluster.
func (in *instance) writeMetrics(e *metrics.Exposition) {
	yes := func(name, help string, is bool) {
		value := 0.0
		if is {
			value = 1
		}
		e.One(name, metrics.Gauge, help, value)
	}
	leads, current := false, false
	if log := in.log.Load(); log != nil {
		leads, current = log.Replica(in.node.config().Broker.Name, 0)
	}
	yes("godwit_log_leader", "1 while this node's copy of the log leads the others: all appends go through it.", leads)
	yes("godwit_log_current", "1 while this node's copy of the log has all that the others have. With a node at 0, the loss of another may stop the broker.", current)
	member := in.member.Load()
	if member == nil {
		return // a witness
	}
	s := member.Status()
	for _, role := range []cluster.Role{cluster.Starting, cluster.Waiting, cluster.Standby, cluster.Active} {
		yes("godwit_instance_"+string(role), "1 while this instance is "+string(role)+".", s.Role == role)
	}
	e.One("godwit_instance_epoch", metrics.Gauge, "Epoch of the log, as far as this instance has read it. It grows with each change of the active instance.", float64(s.Epoch))
	e.One("godwit_instance_lag", metrics.Gauge, "Entries of the log that this standby had not read when it last looked.", float64(s.Lag))
	if took := in.took.Load(); took != nil {
		e.Family("godwit_instance_takeover_seconds", metrics.Gauge, "How long it took this instance to become active the last time, from the last sign of the one before, by the reason.")
		e.Sample(float64(took.Millis)/1000, "reason", took.Reason)
		e.One("godwit_instance_takeover_time_seconds", metrics.Gauge, "When that was, in seconds since 1970.", float64(took.At.UnixMilli())/1000)
	}
	if engine, _ := in.node.core.now(); engine == nil { // else it tells
		damaged := 0.0
		if s.Damaged {
			damaged = 1
		}
		e.One("godwit_journal_damaged", metrics.Gauge, "1 when a part of the log that the start did not read turned out to be damaged in all its replicas.", damaged)
	}
	in.name.writeMetrics(e)
	if in.carrier != nil {
		c := in.carrier.Stats()
		e.One("godwit_relay_open", metrics.Gauge, "Clients that are carried to the active instance.", float64(c.Current.Load()))
		e.One("godwit_relay_holding", metrics.Gauge, "Clients that wait for an instance to become active.", float64(c.Holding.Load()))
		e.One("godwit_relay_carried_total", metrics.Counter, "Clients that were carried to the active instance.", float64(c.Carried.Load()))
		e.One("godwit_relay_refused_total", metrics.Counter, "Clients for which no instance was active in time, or that the active one refused.", float64(c.Refused.Load()))
	}
}

// maxTold is what another node may tell, in bytes: of the past of some thousand clients.
const maxTold = 16 << 20

// askTime is for how long another node is waited for.
const askTime = 2 * time.Second

// Instances implements control.Cluster.
func (in *instance) Instances(ctx context.Context, as http.Header) []api.Instance {
	c := &in.node.config().Cluster
	all := make([]api.Instance, len(c.Nodes))
	done := make(chan struct{})
	for i, other := range c.Nodes {
		go func() {
			defer func() { done <- struct{}{} }()
			if other.Name == c.Name {
				all[i] = in.Instance()
				return
			}
			if err := in.ask(ctx, other, http.MethodGet, "instance", as, nil, &all[i]); err != nil {
				all[i] = api.Instance{Name: other.Name, Role: "unreachable", Reason: err.Error()}
			}
		}()
	}
	for range c.Nodes {
		<-done
	}
	for i := range all {
		if active := all[i]; active.Role == string(cluster.Active) {
			for j := range all {
				if all[j].Config != "" && all[j].Config != active.Config {
					all[j].Reason = join(all[j].Reason, "its configuration is not that of "+active.Name)
				}
			}
		}
	}
	return all
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}

// Active implements control.Cluster. A standby knows from the log, others ask.
func (in *instance) Active(ctx context.Context, as http.Header) (name, at string, err error) {
	const op = "find the active instance"
	c := &in.node.config().Cluster
	if member := in.member.Load(); member != nil {
		s := member.Status()
		if s.Role == cluster.Active {
			return c.Name, "", nil
		}
		name = s.Active
	}
	if name == "" || name == c.Name {
		unavailable := func(detail string) error {
			return &api.Error{Status: http.StatusServiceUnavailable, Code: api.Unavailable, Op: op, Detail: detail}
		}
		var others []string
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		answers := make(chan api.Instance, len(c.Nodes))
		for _, other := range c.Nodes {
			if other.Name == c.Name {
				answers <- api.Instance{Name: c.Name, Role: "not active"}
				continue
			}
			go func() {
				i := api.Instance{Name: other.Name}
				if err := in.ask(ctx, other, http.MethodGet, "instance", as, nil, &i); err != nil {
					i = api.Instance{Name: other.Name, Role: "not to be asked: " + err.Error()}
				}
				answers <- i
			}()
		}
		for range c.Nodes {
			i := <-answers
			if i.Role == string(cluster.Active) {
				name = i.Name
				break
			}
			others = append(others, i.Name+" is "+i.Role)
		}
		if len(others) == len(c.Nodes) {
			return "", "", unavailable("no instance is active now: " + strings.Join(others, "; "))
		}
	}
	other := c.Node(name)
	if other == nil || other.API == "" {
		return "", "", &api.Error{Status: http.StatusServiceUnavailable, Code: api.Unavailable, Op: op, Detail: name + " is active, and cluster.nodes of " + c.Name + " says no api for it"}
	}
	return name, other.API, nil
}

// compareEvery is how often a standby looks whether its configuration is the active's.
const compareEvery = time.Minute

// compareConfigs tells the log when this standby's configuration differs from the active's in what must be equal, and when it does not any more.
func (in *instance) compareConfigs(ctx context.Context) {
	differs := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-in.compare:
		case <-time.After(compareEvery):
		}
		c := &in.node.config().Cluster
		s := in.member.Load().Status()
		other := c.Node(s.Active)
		if s.Role != cluster.Standby || other == nil || s.Active == c.Name {
			continue
		}
		own, health := in.node.config().Digest(), api.Health{}
		if err := in.request(ctx, askTime, *other, http.MethodGet, "/healthz", nil, nil, &health); err != nil || health.Config == "" {
			continue // that it cannot be reached shows elsewhere
		}
		switch now := own + " " + health.Config; {
		case own == health.Config && differs != "":
			in.node.log.Info("this standby's configuration is the active's again", "active", s.Active, "config", own)
			differs = ""
		case own != health.Config && differs != now:
			in.node.log.Warn("this standby's configuration differs from the active's in policies, limits or credentials: it would serve differently once it is active",
				"active", s.Active, "config", own, "active's", health.Config, "help", "make the files equal and run godwit reload, or restart")
			differs = now
		}
	}
}

// compareSoon lets compareConfigs look.
func (in *instance) compareSoon() {
	select {
	case in.compare <- struct{}{}:
	default:
	}
}

// SwitchOver implements control.Cluster, where this instance is the active one.
func (in *instance) SwitchOver(ctx context.Context, to string, as http.Header) (*api.SwitchedOver, error) {
	const op = "switch over"
	c := &in.node.config().Cluster
	conflict := func(format string, args ...any) error {
		return &api.Error{Status: http.StatusConflict, Code: broker.InUse.String(), Op: op, Detail: fmt.Sprintf(format, args...)}
	}
	member := in.member.Load()
	if member == nil || member.Status().Role != cluster.Active {
		return nil, conflict("this instance is not the active one any more; ask again")
	}
	var standby []string
	for _, i := range in.Instances(ctx, as) {
		if i.Role == string(cluster.Standby) {
			standby = append(standby, i.Name)
		}
	}
	switch known := c.Node(to); {
	case to == "" && len(standby) == 0:
		return nil, conflict("no standby is ready to take over; `godwit instances` shows how they are")
	case to == c.Name:
		return nil, conflict("%s is the active instance already", to)
	case to != "" && known == nil:
		return nil, conflict("there is no node %q", to)
	case to == "":
		to = standby[0]
	}
	ready := false
	for _, name := range standby {
		ready = ready || name == to
	}
	if !ready {
		return nil, conflict("%s is no standby that is ready to take over; `godwit instances` shows how it is", to)
	}
	begun := time.Now()
	if err := member.SwitchOver(ctx, to); err != nil {
		if errors.Is(err, cluster.ErrNotActive) {
			return nil, conflict("this instance has just lost its role; ask again")
		}
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	return &api.SwitchedOver{From: c.Name, To: to, Millis: time.Since(begun).Milliseconds()}, nil
}

// ask calls another node's API in the caller's name, and does not wait for it for long.
func (in *instance) ask(ctx context.Context, other config.ClusterNode, method, path string, as http.Header, body, answer any) error {
	return in.askFor(ctx, askTime, other, method, path, as, body, answer)
}

func (in *instance) askFor(ctx context.Context, within time.Duration, other config.ClusterNode, method, path string, as http.Header, body, answer any) error {
	return in.request(ctx, within, other, method, "/api/v1/"+path, as, body, answer)
}

// request makes one call, and waits for it so long; as may be nil.
func (in *instance) request(ctx context.Context, within time.Duration, other config.ClusterNode, method, path string, as http.Header, body, answer any) error {
	if other.API == "" {
		return errors.New("cluster.nodes says no api for it")
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	var content io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return err
		}
		content = bytes.NewReader(data)
	}
	r, err := http.NewRequestWithContext(ctx, method, other.API+path, content)
	if err != nil {
		return err
	}
	if who := as.Get("Authorization"); who != "" {
		r.Header.Set("Authorization", who)
	}
	r.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(io.LimitReader(response.Body, maxTold))
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		problem := &api.Error{Status: response.StatusCode}
		if json.Unmarshal(data, problem) != nil {
			problem.Detail = cmp.Or(string(data), response.Status)
		}
		return problem
	}
	return json.Unmarshal(data, answer)
}
