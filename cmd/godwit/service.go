package main

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/godwitmq/godwit/audit"
	"github.com/godwitmq/godwit/control/agent"
	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/control/client"
	"github.com/godwitmq/godwit/control/mqapi"
	"github.com/godwitmq/godwit/control/plane"
	"github.com/godwitmq/godwit/control/plane/durable"
	"github.com/godwitmq/godwit/control/service"
	"github.com/godwitmq/godwit/metrics"
	"github.com/godwitmq/godwit/vfs"
)

// managed is the service for several brokers that a node is as well: the control plane, and Amazon MQ's API in front of it.
type managed struct {
	n       *node
	plane   atomic.Pointer[durable.Plane] // nil: it cannot be asked now
	local   atomic.Pointer[agent.Local]   // the same for the agent
	broken  chan error                    // the plane's log has failed
	service *service.Service
	amazon  *mqapi.Handler
	token   func(node string, addresses []string) (*service.Token, error) // nil: no machine can join
}

// openService opens the control plane, and makes what answers for it.
func (n *node) openService() (*managed, error) {
	cfg := n.config()
	m := &managed{n: n, broken: make(chan error, 1)}
	p, err := m.open() // which takes the folder's lock
	var locked *vfs.LockedError
	if errors.As(err, &locked) {
		return nil, fmt.Errorf("the data folder %s is in use: %w\nStop that broker first, or choose another folder with --data", cfg.Data, err)
	}
	if err != nil {
		return nil, err
	}
	n.running.Go(func() { m.supervise(p) })
	secret, err := secretIn(filepath.Join(cfg.ControlPath(), "secret"))
	if err != nil {
		return nil, fmt.Errorf("the service's secret: %w", err)
	}
	if err := m.openMachines(); err != nil {
		return nil, err
	}
	m.service = service.New(service.Options{Plane: m.plane.Load, Secret: secret, Account: cfg.Service.Account, Region: cfg.Service.Region, ConsoleURL: httpURL(cfg) + "/console/", Stranded: m.stranded, Own: n.ownBroker, Reach: m.reach,
		Token: m.token, Node: cfg.Service.Node, NodeTimeout: cfg.Service.Nodes.Timeout})
	m.amazon, err = mqapi.New(mqapi.Options{Service: m.service, Keys: m.service, Account: cfg.Service.Account, Region: cfg.Service.Region, Rules: mqapi.Rules{Catalog: m.service.Catalog, ConfigurationBytes: configurationBytes, LDAP: cfg.Service.LDAP.Enabled},
		Noted: m.noted, PageKey: derived(secret, "pages"), Burst: cfg.Service.Burst, Rate: float64(cfg.Service.Rate), Log: n.log})
	return m, err
}

// configurationBytes is what a revision may have: the control plane's own limit.
const configurationBytes = 256 << 10

// open opens the control plane and says what this node is like.
func (m *managed) open() (*durable.Plane, error) {
	cfg := m.n.config()
	p, err := durable.OpenDir(filepath.Join(cfg.ControlPath(), controlJournal), durable.Options{
		OnBroken: func(err error) { m.broken <- err },
		Logger:   m.n.log,
	})
	if err != nil {
		return nil, err
	}
	s := cfg.Service
	ctx, cancel := within(registerWithin)
	defer cancel()
	_, err = p.Do(ctx, plane.Origin{Who: s.Node}, plane.RegisterNode{Name: s.Node, Zone: s.ZoneName(), Subnets: s.Subnets, Range: s.Range(), MemoryBytes: int64(s.Memory), Instances: s.Instances})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("register this node with the control plane: %w", err), p.Close())
	}
	m.plane.Store(p)
	return p, nil
}

// registerWithin is how long a node may take to register itself, which is one sync of the disk.
const registerWithin = time.Minute

// supervise owns the control plane and the agent: it ends both when the node stops. When the control plane's log has failed, nobody knows what the disk holds: it is opened anew, which reads
// what is there. The instances go on all the while.
func (m *managed) supervise(p *durable.Plane) {
	for {
		m.serve(p)
		for pause := firstPause; ; pause = min(2*pause, longPause) {
			select {
			case <-m.n.background.Done():
				return
			case <-time.After(pause):
			}
			var err error
			if p, err = m.open(); err == nil {
				m.n.log.Info("the control plane was read again")
				break
			}
			m.n.log.Error("the control plane cannot be opened; trying again", "error", err, "in", min(2*pause, longPause))
		}
	}
}

// serve has this node's agent work for a control plane, until the node stops or something fails, and closes it.
func (m *managed) serve(p *durable.Plane) {
	cfg := m.n.config()
	ctx, cancel := context.WithCancel(m.n.background)
	defer cancel()
	local := &agent.Local{Plane: p, Dir: cfg.ControlPath()}
	m.local.Store(local)
	var working sync.WaitGroup
	working.Go(func() {
		for ctx.Err() == nil {
			err := agent.New(local, agent.Options{Node: cfg.Service.Node, Data: cfg.Data, LDAPTransport: cfg.Service.LDAP.Transport, LDAPCA: cfg.Service.LDAP.CA, Logger: m.n.log}).Run(ctx)
			if err == nil || ctx.Err() != nil {
				continue
			}
			m.n.log.Error("the service's agent cannot work: no instance is started or changed until it can; trying again", "error", err, "in", longPause)
			select {
			case <-ctx.Done():
			case <-time.After(longPause):
			}
		}
	})
	select {
	case <-ctx.Done():
	case err := <-m.broken:
		m.n.log.Error("the control plane's log failed: nothing can be changed until it can be read again", "error", err)
	}
	m.plane.Store(nil)
	m.local.Store(nil)
	cancel()
	working.Wait() // instances go on
	if err := p.Close(); err != nil {
		m.n.log.Warn("the control plane's log did not close in good order", "error", err)
	}
}

// trust is the file of the authority that signs the certificates of all instances. It is there when the first instance is.
func (m *managed) trust() string { return filepath.Join(m.n.config().ControlPath(), "ca.pem") }

// stranded asks the active instance of a pair which clients would not follow a switchover.
func (m *managed) stranded(ctx context.Context, active plane.Spec) ([]mqapi.SwitchoverClient, error) {
	local := m.local.Load()
	if local == nil {
		return nil, errors.New("the control plane is being read")
	}
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	remote, err := local.API(ctx, active)
	if err != nil {
		return nil, err
	}
	answer, err := remote.Clients(ctx, true)
	if err != nil {
		return nil, err
	}
	list := []mqapi.SwitchoverClient{}
	for _, s := range answer.Services {
		for _, c := range s.Clients {
			var reasons []string
			for _, f := range c.Findings {
				if f.Failover {
					reasons = append(reasons, f.Text)
				}
			}
			if len(reasons) > 0 {
				list = append(list, mqapi.SwitchoverClient{Service: &s.Name, ClientID: &c.ClientID, RemoteAddress: new(c.Remote.String()), Endpoint: &c.Endpoint, Reasons: reasons})
			}
		}
	}
	return list, nil
}

// reach is a client of an instance's own API.
func (m *managed) reach(ctx context.Context, spec plane.Spec) (*client.Client, error) {
	local := m.local.Load()
	if local == nil {
		return nil, errors.New("the control plane is being read")
	}
	return local.API(ctx, spec)
}

// askWithin is how long an instance may take to answer.
const askWithin = 5 * time.Second

// secretIn reads 32 random bytes from a file, which is made if it is not there.
func secretIn(path string) ([]byte, error) {
	secret, err := os.ReadFile(path)
	switch {
	case err == nil && len(secret) != sha256.Size:
		return nil, fmt.Errorf("%s has %d bytes; expected %d: put it back from a backup", path, len(secret), sha256.Size)
	case err == nil || !errors.Is(err, fs.ErrNotExist):
		return secret, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	secret = make([]byte, sha256.Size)
	rand.Read(secret)
	return secret, writeFile(path, secret)
}

// derived makes a key for one purpose of a secret.
func derived(secret []byte, purpose string) []byte {
	h := hmac.New(sha256.New, secret)
	h.Write([]byte(purpose))
	return h.Sum(nil)
}

// writeMetrics writes what there is to watch of the service's brokers. Each broker's own figures come from its instances.
func (m *managed) writeMetrics(e *metrics.Exposition) {
	brokers, err := m.service.Brokers()
	up := 1.0
	if err != nil {
		up = 0
	}
	e.One("godwit_service_up", metrics.Gauge, "1 while the control plane of the service for several brokers can be asked.", up)
	if err != nil {
		return
	}
	states := map[string]int{}
	brokers = slices.DeleteFunc(brokers, func(b api.Broker) bool { return b.Own }) // its figures are all the others
	for _, b := range brokers {
		states[b.State]++
	}
	e.Family("godwit_service_brokers", metrics.Gauge, "Brokers of the service, by state.")
	for _, state := range slices.Sorted(maps.Keys(states)) {
		e.Sample(float64(states[state]), "state", state)
	}
	e.Family("godwit_broker_active", metrics.Gauge, "1 for the instance of a broker of the service that is active, 0 for one that is not.")
	for _, b := range brokers {
		for _, i := range b.Instances {
			if i.Witness {
				continue
			}
			active := 0.0
			if i.Active {
				active = 1
			}
			e.Sample(active, "broker", b.Name, "instance", i.Name, "node", i.Node)
		}
	}
}

// noted puts a change by Amazon MQ's API into the trail.
func (m *managed) noted(c mqapi.Caller, operation, path string, body []byte, err error) {
	e := audit.Entry{Who: cmp.Or(c.Operator, c.AccessKeyID), Proof: "key", From: c.Source.String(), Via: "amazon", Operation: operation, On: path, Asked: audit.Mask(body), Outcome: audit.Done}
	if c.Operator != "" {
		e.Proof = "" // the HTTP API has seen to that
	}
	var refused *mqapi.Error
	switch {
	case errors.As(err, &refused) && refused.Kind.Status() < http.StatusInternalServerError:
		e.Outcome, e.Detail = audit.Refused, refused.Error()
	case err != nil:
		e.Outcome, e.Detail = audit.Failed, err.Error()
	}
	m.n.trail.Note(e)
}

// ownBroker is the broker that this process runs itself, as the service lists it.
func (n *node) ownBroker() *api.Broker {
	cfg, health := n.config(), n.health()
	i := api.BrokerInstance{Name: service.OwnID + "-1", Node: cfg.Service.Node, Zone: cfg.Service.ZoneName(), State: "starting", Detail: health.Detail, Program: build().Version}
	b := &api.Broker{Name: cfg.Broker.Name, Account: cfg.Service.Account, Region: cfg.Service.Region, State: string(mqapi.BrokerStateCriticalActionRequired), Problem: health.Detail, Mode: string(mqapi.DeploymentModeSingleInstance),
		Created: n.begun, Users: []string{}}
	for _, l := range n.listening() {
		i.Endpoints = append(i.Endpoints, l.URLs...)
	}
	if health.Ready {
		b.State, b.Problem, b.Active, b.ActiveSince, i.Active, i.State, i.Detail = string(mqapi.BrokerStateRunning), "", i.Name, n.begun, true, "up", ""
	}
	b.Instances = []api.BrokerInstance{i}
	return b
}
