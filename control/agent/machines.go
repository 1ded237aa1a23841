package agent

import (
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"time"

	"github.com/godwitmq/godwit/cluster"
	"github.com/godwitmq/godwit/control/plane"
)

// How an agent on another machine speaks with the control plane: HTTP over TLS 1.3, in which both show certificates of the service's own authority of machines. A Remote asks, Machines answers. What goes over the wire
// is JSON of the types of Plane, one path for each of its methods.

const (
	pathOrders        = "/orders"
	pathReport        = "/report"
	pathConfiguration = "/configuration"
	pathPassword      = "/password"
	pathServer        = "/server-certificate"
	pathNode          = "/node-certificate"
)

// The bodies.
type (
	wireReport struct {
		Kind    string          `json:"kind"`
		Command json.RawMessage `json:"command"`
	}
	wireConfiguration struct {
		Ref plane.ConfigurationRef `json:"ref"`
	}
	wirePassword struct {
		Broker string `json:"broker"`
	}
	wireCertificate struct {
		Broker string   `json:"broker,omitempty"`
		Name   string   `json:"name"`
		Hosts  []string `json:"hosts"`
		Key    []byte   `json:"key"` // PKIX, DER
	}
	wireAnswer struct {
		Data      []byte `json:"data,omitempty"`
		Authority []byte `json:"authority,omitempty"`
		Password  string `json:"password,omitempty"`
	}
	wireError struct {
		Kind      plane.Kind        `json:"kind,omitempty"` // "": try again
		Attribute string            `json:"attribute,omitempty"`
		Detail    string            `json:"detail"`
		Removed   bool              `json:"removed,omitempty"`
		Elsewhere map[string]uint64 `json:"elsewhere,omitempty"`
	}
)

// reports are the commands that a node may give, by their names on the wire.
var reports = map[string]func(json.RawMessage) (plane.Command, error){
	"StepDone": report[plane.StepDone], "StepFailed": report[plane.StepFailed], "Observed": report[plane.Observed],
}

func report[T plane.Command](data json.RawMessage) (plane.Command, error) {
	var c T
	err := json.Unmarshal(data, &c)
	return c, err
}

const (
	// holdOrders is how long a question for orders waits for new ones. A node is heard of that often at least.
	holdOrders = 5 * time.Second
	// wireBody bounds what a node sends, in bytes.
	wireBody = 64 << 10
	// wireTime bounds how long an answer takes.
	wireTime = time.Minute
	// machineConnections are open at a time.
	machineConnections = 4096
	machinesDir        = "machines"
)

// OpenMachines opens the authority of the machines of a service, or makes it: who has one of its certificates is a node, if the control plane says so, too. It is none of clients' or of instances' authorities.
func OpenMachines(control string) (*cluster.Authority, error) {
	return cluster.OpenAuthorityNamed(filepath.Join(control, machinesDir), "Godwit machines")
}

// Machines answers the agents of other machines, and lets machines join.
type Machines struct {
	authority *cluster.Authority
	local     func() *Local // nil: the control plane is being read
	log       *slog.Logger
	handler   http.Handler
}

// NewMachines answers for what local gives.
func NewMachines(authority *cluster.Authority, local func() *Local, log *slog.Logger) *Machines {
	m := &Machines{authority: authority, local: local, log: log}
	mux := http.NewServeMux()
	mux.Handle(cluster.JoinPath, &cluster.Admission{Admit: m.admit})
	mux.HandleFunc("GET "+pathOrders, m.of(m.orders))
	mux.HandleFunc("POST "+pathReport, m.of(m.report))
	mux.HandleFunc("POST "+pathConfiguration, m.of(m.configuration))
	mux.HandleFunc("POST "+pathPassword, m.of(m.password))
	mux.HandleFunc("POST "+pathServer, m.of(m.serverCertificate))
	mux.HandleFunc("POST "+pathNode, m.of(m.nodeCertificate))
	m.handler = mux
	return m
}

// Serve answers until ctx ends. It closes the listener.
func (m *Machines) Serve(ctx context.Context, l net.Listener) error {
	config, err := m.authority.ServerTLS()
	if err != nil {
		l.Close()
		return err
	}
	server := &http.Server{Handler: m.handler, TLSConfig: config, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: wireTime, WriteTimeout: wireTime, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 8 << 10,
		Protocols: new(http.Protocols), DisableGeneralOptionsHandler: true, BaseContext: func(net.Listener) context.Context { return ctx },
		ErrorLog: log.New(io.Discard, "", 0)} // of handshakes that others begin and do not end
	server.Protocols.SetHTTP1(true)
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.ServeTLS(cluster.Bounded(l, machineConnections), "", ""); ctx.Err() == nil {
		return fmt.Errorf("answer nodes at %s: %w", l.Addr(), err)
	}
	return nil
}

// admit makes a node of a host that has shown a token.
func (m *Machines) admit(ctx context.Context, ask cluster.Asked) (*cluster.Given, error) {
	l := m.local()
	if l == nil {
		return nil, cluster.Refuse(http.StatusServiceUnavailable, "the control plane is being read: try again in a moment")
	}
	_, err := l.Plane.Do(ctx, plane.Origin{Who: ask.Node, From: ask.From.String()}, plane.JoinNode{Name: ask.Node, Secret: hex.EncodeToString(ask.Secret[:]), Key: hex.EncodeToString(ask.KeyHash[:])})
	var refused *plane.Error
	switch {
	case errors.As(err, &refused) && refused.Kind == plane.Denied:
		m.log.Warn("a machine that wants to join was refused", "node", ask.Node, "from", ask.From, "why", refused.Detail)
		return nil, cluster.Refuse(http.StatusForbidden, refused.Detail)
	case refused != nil:
		return nil, cluster.Refuse(http.StatusConflict, refused.Detail)
	case err != nil:
		return nil, err
	}
	m.log.Info("a machine has joined", "node", ask.Node, "from", ask.From)
	given := &cluster.Given{Authority: m.authority.PEM()}
	given.Certificate, err = m.authority.Certify(ask.Node, nil, ask.Key)
	return given, err
}

// asking is a node that asks, as the control plane knows it.
type asking struct {
	local *Local
	node  string
	state *plane.State
	r     *http.Request
}

// instance is the newest of the effects on the node of which fits is true; nil: the node has nothing to do with it.
func (a *asking) instance(fits func(*plane.Spec) bool) (found *plane.Spec) {
	for _, e := range a.state.Work() {
		if e.Spec.Node == a.node && fits(&e.Spec) {
			found = &e.Spec
		}
	}
	return found
}

func (a *asking) read(into any) error {
	if err := json.NewDecoder(io.LimitReader(a.r.Body, wireBody)).Decode(into); err != nil {
		return &plane.Error{Kind: plane.BadRequest, Detail: "the request cannot be read; are the versions of Godwit too different?"}
	}
	return nil
}

// denied is for what belongs to another node.
func (a *asking) denied(what string) error {
	return &plane.Error{Kind: plane.Denied, Detail: fmt.Sprintf("%s is not for node [%s]", what, a.node)}
}

// of answers who is a node. Its name is that of its certificate, and its key must be the one with which the node has joined: so who was removed, or was replaced, is nobody.
func (m *Machines) of(answer func(context.Context, *asking) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		name, key := cluster.NodeOf(r.TLS)
		l := m.local()
		switch {
		case name == "":
			respond(w, http.StatusUnauthorized, wireError{Kind: plane.Denied, Detail: "only nodes are answered, who show the certificates that they joined with"})
			return
		case l == nil:
			respond(w, http.StatusServiceUnavailable, wireError{Detail: "the control plane is being read"})
			return
		}
		a := &asking{local: l, node: name, state: l.Plane.State(), r: r}
		if n := a.state.Node(name); n == nil || n.Key != hex.EncodeToString(key[:]) {
			respond(w, http.StatusForbidden, wireError{Kind: plane.Denied, Removed: true, Elsewhere: elsewhere(a.state, name),
				Detail: fmt.Sprintf("this machine is not node [%s] any more: it was removed, or another has joined as it; invite it anew: `godwit nodes invite %s`", name, name)})
			return
		}
		l.Plane.NodeSeen(name)
		got, err := answer(r.Context(), a)
		var refused *plane.Error
		switch {
		case errors.As(err, &refused):
			status := http.StatusConflict
			if refused.Kind == plane.Denied {
				m.log.Warn("a node asked for what is not its own", "node", name, "from", r.RemoteAddr, "path", r.URL.Path, "why", refused.Detail)
				status = http.StatusForbidden
			}
			respond(w, status, wireError{Kind: refused.Kind, Attribute: refused.Attribute, Detail: refused.Detail})
		case err != nil && r.Context().Err() != nil: // it has gone
		case err != nil:
			m.log.Error("a node cannot be answered", "node", name, "path", r.URL.Path, "error", err)
			respond(w, http.StatusInternalServerError, wireError{Detail: "the control plane cannot answer; its log says more"})
		case got == nil:
			w.WriteHeader(http.StatusNoContent)
		default:
			respond(w, http.StatusOK, got)
		}
	}
}

// elsewhere lists the generations of instances that have come up on other nodes, by their keys.
func elsewhere(s *plane.State, node string) map[string]uint64 {
	list := map[string]uint64{}
	for _, b := range s.Brokers(plane.Scope{}) {
		for _, i := range b.Instances {
			if i.Node != node && i.Wanted && i.Up {
				list[fmt.Sprintf("%s-%d", b.ID, i.Number)] = i.Generation
			}
		}
	}
	return list
}

func respond(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // who asks finds out
}

func (m *Machines) orders(ctx context.Context, a *asking) (any, error) {
	after, err := strconv.ParseUint(a.r.URL.Query().Get("after"), 10, 64)
	if err != nil {
		return nil, &plane.Error{Kind: plane.BadRequest, Detail: "after is to be the serial of a state"}
	}
	held, cancel := context.WithTimeout(ctx, holdOrders)
	defer cancel()
	o, err := a.local.Orders(held, a.node, after)
	if err != nil && held.Err() != nil && ctx.Err() == nil {
		return nil, nil // nothing new
	}
	return o, err
}

func (m *Machines) report(ctx context.Context, a *asking) (any, error) {
	var ask wireReport
	if err := a.read(&ask); err != nil {
		return nil, err
	}
	decode := reports[ask.Kind]
	if decode == nil {
		return nil, a.denied("command " + strconv.Quote(ask.Kind))
	}
	c, err := decode(ask.Command)
	if err != nil {
		return nil, &plane.Error{Kind: plane.BadRequest, Detail: "the report cannot be read: " + err.Error()}
	}
	return nil, a.local.Report(ctx, a.node, c)
}

func (m *Machines) configuration(ctx context.Context, a *asking) (any, error) {
	var ask wireConfiguration
	if err := a.read(&ask); err != nil {
		return nil, err
	}
	if a.instance(func(s *plane.Spec) bool { return s.Configuration.ID == ask.Ref.ID }) == nil {
		return nil, a.denied("configuration " + ask.Ref.ID)
	}
	data, err := a.local.Configuration(ctx, ask.Ref)
	return wireAnswer{Data: data}, err
}

func (m *Machines) password(ctx context.Context, a *asking) (any, error) {
	var ask wirePassword
	if err := a.read(&ask); err != nil {
		return nil, err
	}
	if a.instance(func(s *plane.Spec) bool { return s.Broker == ask.Broker }) == nil {
		return nil, a.denied("the password of agents at broker " + ask.Broker)
	}
	password, err := a.local.Password(ctx, ask.Broker)
	return wireAnswer{Password: password}, err
}

// certify reads a request for a certificate of an instance, which is to be on the node and have no other hosts than its own.
func (a *asking) certify(names func(*plane.Spec) (broker, name string)) (ask wireCertificate, key *ecdsa.PublicKey, err error) {
	if err := a.read(&ask); err != nil {
		return ask, nil, err
	}
	public, err := x509.ParsePKIXPublicKey(ask.Key)
	key, ok := public.(*ecdsa.PublicKey)
	if err != nil || !ok {
		return ask, nil, &plane.Error{Kind: plane.BadRequest, Detail: "the key cannot be read"}
	}
	what := fmt.Sprintf("a certificate of %s %s", ask.Broker, ask.Name)
	spec := a.instance(func(s *plane.Spec) bool { broker, name := names(s); return broker == ask.Broker && name == ask.Name })
	if spec == nil {
		return ask, nil, a.denied(what)
	}
	for _, h := range ask.Hosts {
		if h != spec.Address.String() && h != hostName(spec, domain) {
			return ask, nil, a.denied(what + " for " + h)
		}
	}
	return ask, key, nil
}

func (m *Machines) serverCertificate(ctx context.Context, a *asking) (any, error) {
	ask, key, err := a.certify(func(s *plane.Spec) (string, string) { return "", keyOf(s) })
	if err != nil {
		return nil, err
	}
	certificate, err := a.local.ServerCertificate(ctx, ask.Name, ask.Hosts, key)
	return wireAnswer{Data: certificate}, err
}

func (m *Machines) nodeCertificate(ctx context.Context, a *asking) (any, error) {
	ask, key, err := a.certify(func(s *plane.Spec) (string, string) { return s.Broker, instanceName(s.Number) })
	if err != nil {
		return nil, err
	}
	certificate, authority, err := a.local.NodeCertificate(ctx, ask.Broker, ask.Name, ask.Hosts, key)
	return wireAnswer{Data: certificate, Authority: authority}, err
}
