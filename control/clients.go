package control

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/readiness"
)

// Clients is what the API knows of who the clients are.
type Clients struct {
	// Roster is this node's.
	Roster *readiness.Roster
	// Rules group clients into services.
	Rules func() []readiness.Rule
	// Situation says what following depends on beside the clients.
	Situation func() readiness.Situation
}

// survey makes the services of all that are connected, from what all instances know.
func (s *Server) survey(r *http.Request) (*api.Clients, error) {
	v, err := s.look(r)
	if err != nil {
		return nil, err
	}
	consumers := map[uint64][]readiness.Consumer{}
	for _, c := range v.Consumers {
		if strings.HasPrefix(c.Destination, "topic://ActiveMQ.Advisory.") { // libraries have them for themselves
			continue
		}
		id := uint64(c.Conn)
		consumers[id] = append(consumers[id], readiness.Consumer{Destination: c.Destination, Prefetch: c.Prefetch, InFlight: c.InFlight, Oldest: c.OldestAge})
	}
	answer := &api.Clients{}
	for _, d := range v.Destinations {
		answer.Enqueued += d.Enqueued
		answer.Dequeued += d.Dequeued
	}
	seen := []readiness.Seen{s.knows()}
	if s.cluster() != nil {
		answer.Active = s.cluster().Instance().Name
		seen = append(seen, s.cluster().Seen(r.Context(), r.Header)...)
	}
	answer.Services = readiness.Survey(seen, consumers, s.options.Clients.Rules(), s.options.Clients.Situation(), time.Now())
	return answer, nil
}

func (s *Server) clients(w http.ResponseWriter, r *http.Request) {
	answer, err := s.survey(r)
	if err != nil {
		s.failed(w, r, err)
		return
	}
	if r.URL.Query().Get("connections") != "true" {
		for i := range answer.Services {
			answer.Services[i].Clients = nil
		}
	}
	respond(w, answer)
}

// serviceOf is the service that a request's path names.
func (s *Server) serviceOf(r *http.Request) (*readiness.Service, error) {
	answer, err := s.survey(r)
	if err != nil {
		return nil, err
	}
	for i := range answer.Services {
		if answer.Services[i].Name == r.PathValue("service") {
			return &answer.Services[i], nil
		}
	}
	return nil, &api.Error{Status: http.StatusNotFound, Code: broker.NotFound.String(), Detail: fmt.Sprintf("no connection of a service %q is here; `godwit clients` lists the services", r.PathValue("service"))}
}

func (s *Server) service(w http.ResponseWriter, r *http.Request) {
	found, err := s.serviceOf(r)
	if err != nil {
		s.failed(w, r, err)
		return
	}
	respond(w, found)
}

// seen is for the other nodes.
func (s *Server) seen(w http.ResponseWriter, r *http.Request) { respond(w, s.knows().Ends()) }

// knows is what this node knows of clients.
func (s *Server) knows() readiness.Seen {
	known := s.options.Clients.Roster.Seen()
	known.Addresses = s.options.Clients.Situation().Addresses
	return known
}

// The bounds of a probe.
const (
	probeRefuse    = 5 * time.Second
	probeWait      = 30 * time.Second
	maxProbeRefuse = time.Minute
	maxProbeWait   = 4 * time.Minute // less than the server gives a request
)

func (s *Server) probe(w http.ResponseWriter, r *http.Request) {
	done, err := s.probed(r)
	if err != nil {
		s.failed(w, r, err)
		return
	}
	s.log.Info("probed a client's failover", "service", r.PathValue("service"), "client", done.ClientID, "connection", done.Connection, "back", done.Back, "result", done.Text,
		"user", callerOf(r).User, "remote", r.RemoteAddr)
	respond(w, done)
}

func (s *Server) probed(r *http.Request) (*readiness.Probed, error) {
	var ask api.Probe
	if err := decode(r, &ask); err != nil {
		return nil, err
	}
	refuse, err := spanUpTo(r, "refuse", ask.Refuse, probeRefuse, maxProbeRefuse)
	if err != nil {
		return nil, err
	}
	wait, err := spanUpTo(r, "wait", ask.Wait, probeWait, maxProbeWait)
	if err != nil {
		return nil, err
	}
	if wait < refuse {
		return nil, malformed(r, "wait is %v, less than refuse, %v", wait, refuse)
	}
	found, err := s.serviceOf(r)
	if err != nil {
		return nil, err
	}
	c := found.Candidate(ask.Connection)
	if c == nil {
		return nil, &api.Error{Status: http.StatusNotFound, Code: broker.NotFound.String(), Detail: fmt.Sprintf("connection %d is none of service %s", ask.Connection, found.Name)}
	}
	cut := func() bool {
		return s.options.Cut(broker.ConnID(c.ID), &broker.Error{Code: broker.Stopping, Detail: "the connection was closed to see whether the client comes back"})
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	defer context.AfterFunc(s.stopping, func() { cancel(context.Cause(s.stopping)) })()
	done, err := s.options.Clients.Roster.Probe(ctx, c.ID, refuse, wait, cut)
	switch {
	case errors.Is(err, readiness.ErrGone), errors.Is(err, readiness.ErrBusy):
		return nil, &api.Error{Status: http.StatusConflict, Code: broker.IllegalState.String(), Op: "probe", Detail: err.Error()}
	case err != nil:
		return nil, context.Cause(ctx)
	}
	return done, nil
}

// spanUpTo reads a duration of a request.
func spanUpTo(r *http.Request, name, text string, usual, most time.Duration) (time.Duration, error) {
	if text == "" {
		return usual, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || d > most {
		return 0, malformed(r, "%s is %q; expected a duration up to %v, for example %v", name, text, most, usual)
	}
	return d, nil
}
