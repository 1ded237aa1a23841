// Package control is Godwit's HTTP API: health, metrics, and JSON for all that the command line shows and changes. It is one
// more client of the core: each request has a connection of its own there and speaks events and effects, so nothing that the API does is
// possible only for it. What it says is in the package api, and docs/http.md.
package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/godwitmq/godwit/audit"
	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/config"
	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/control/jolokia"
	"github.com/godwitmq/godwit/message"
)

// Options are what the API works with.
type Options struct {
	// Connect gives a new connection to the core, or an error to be shown (an *api.Error with code unavailable) while there is none.
	Connect func() (Conn, error)
	// Cut ends a client's connection, and says whether there was one of that id.
	Cut func(id broker.ConnID, why *broker.Error) bool
	// Login checks credentials.
	Login Login
	// Listeners are where clients reach this node.
	Listeners func() []api.Listener
	// Health says how the broker is.
	Health func() api.Health
	// Metrics writes the Prometheus exposition. view is nil while the broker cannot be asked.
	Metrics func(w io.Writer, view *broker.View) error
	// Facts are what ActiveMQ's beans tell that no view of the core has.
	Facts func() jolokia.Facts
	// Reload reads the configuration again.
	Reload func(ctx context.Context) (api.Reloaded, error)
	// Refusals lists whom mode observe admitted though it would not.
	Refusals func() api.Refusals
	// Clients is what is known of who the clients are.
	Clients Clients
	// Restart has the process stop in good order and begin again, soon after it has returned; an error, for the caller, says why it does not.
	Restart func() error
	// Cluster is what runs this broker together with others; nil, or what it returns: it is alone.
	Cluster func() Cluster
	// Convert makes an instance of several of a broker alone, or the other way round, and tells how far it is. An error before the first word is the answer.
	Convert func(ctx context.Context, ask api.Convert, as http.Header, tell func(api.Converting)) error
	// Backup writes a backup. An error before the first byte is the answer; later ones end it, and it says so itself.
	Backup func(ctx context.Context, ask api.Backup, to io.Writer) error
	// Service is what knows of the brokers of a service; nil: this is none.
	Service Service
	// Amazon answers what is below /v1/, Amazon MQ's API, whose requests are signed; nil: nothing is there.
	Amazon http.Handler
	// AmazonAs answers the same requests of the operator of that name, who has no signature; nil: nothing is there.
	AmazonAs func(operator string) http.Handler
	// Trail notes what callers do, and answers what was done; nil: neither.
	Trail *audit.Trail
	// Config is the configuration in force, without secrets, as it becomes JSON.
	Config func() any
	// Version says what is running.
	Version api.Version
	// MaxBody is the largest request, in bytes. 0 means 140 MiB: a message of 100 MiB in base64.
	MaxBody int64
	// Log receives changes and refusals. nil: nothing is logged.
	Log *slog.Logger
}

// Server answers HTTP.
type Server struct {
	options        Options
	log            *slog.Logger
	loopback       bool
	settings       atomic.Pointer[settings]
	jolokiaOptions atomic.Pointer[JolokiaOptions]
	receipts       receipts
	needs          *http.ServeMux // who may call what, by the same patterns as the calls themselves
	console        http.Handler   // nil: there is none
	history        history
	busy           chan struct{} // one entry a request at work
	http           http.Server
	bringer        *bringer
	stopping       context.Context // ends at Close: nobody waits for messages any more
	stop           context.CancelCauseFunc
}

// settings are what may change while the server runs.
type settings struct {
	open  bool // loopback needs no credentials
	hosts []string
}

// maxRequests bounds the requests that are worked on at a time, waiting receives included.
const maxRequests = 512

// New makes a server for a listener on loopback or not: that decides whether callers may do without credentials.
func New(options Options, loopback bool) *Server {
	if options.MaxBody == 0 {
		options.MaxBody = 140 << 20
	}
	if options.Log == nil {
		options.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{options: options, log: options.Log, loopback: loopback, busy: make(chan struct{}, maxRequests), bringer: newBringer(), needs: http.NewServeMux()}
	s.receipts.held = map[string]*held{}
	s.Configure(false, nil)
	s.ConfigureJolokia(JolokiaOptions{})
	s.stopping, s.stop = context.WithCancelCause(context.Background())
	s.http = http.Server{
		Handler:           s.routes(),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       5 * time.Minute,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(options.Log.Handler(), slog.LevelDebug),
	}
	return s
}

// Configure sets what may change while the server runs: whether a loopback server is open to callers without credentials, and under
// which further host names it answers.
func (s *Server) Configure(open bool, hosts []string) {
	s.settings.Store(&settings{open: open, hosts: hosts})
}

// Serve answers on a listener until Close. It returns nil after that.
func (s *Server) Serve(l net.Listener) error {
	if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve HTTP on %s: %w", l.Addr(), err)
	}
	return nil
}

// Close takes no more requests, gives those at work until ctx ends, and releases what waits for confirmation.
func (s *Server) Close(ctx context.Context) error {
	s.stop(&api.Error{Status: http.StatusServiceUnavailable, Code: api.Unavailable, Detail: "the broker is stopping"})
	s.receipts.releaseAll()
	defer s.bringer.transport.CloseIdleConnections()
	if err := s.http.Shutdown(ctx); err != nil {
		return s.http.Close()
	}
	return nil
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	here := func(n need, pattern string, h http.HandlerFunc) {
		mux.Handle(pattern, s.guard(n, h))
		s.needs.Handle(pattern, n)
	}
	on := func(n need, pattern string, h http.HandlerFunc) { here(n, pattern, s.brought(h)) }
	here(nobody, "GET /healthz", s.healthz)
	here(nobody, "GET /readyz", s.readyz)
	here(reader, "GET /metrics", s.metrics)
	on(reader, "GET /admin/xml/queues.jsp", s.feed(queuesXML))
	on(reader, "GET /admin/xml/topics.jsp", s.feed(topicsXML))
	on(reader, "GET /admin/xml/subscribers.jsp", s.feed(subscribersXML))
	for _, path := range []string{jolokiaPath, jolokiaPath + "/{question...}"} {
		on(reader, "GET "+path, s.jolokia)
		on(reader, "POST "+path, s.jolokia)
	}

	const v1 = "/api/v1/"
	here(anybody, "GET "+v1+"caller", s.whoami)
	here(anybody, "GET "+v1+"version", func(w http.ResponseWriter, r *http.Request) { respond(w, s.options.Version) })
	on(reader, "GET "+v1+"connections", s.view(func(v *broker.View, r *http.Request) any { return api.Connections{Connections: list(v.Connections)} }))
	on(operator, "DELETE "+v1+"connections/{id}", s.closeConnection)
	on(reader, "GET "+v1+"consumers", s.view(func(v *broker.View, r *http.Request) any { return api.Consumers{Consumers: list(v.Consumers)} }))
	on(reader, "GET "+v1+"subscriptions", s.view(func(v *broker.View, r *http.Request) any {
		return api.Subscriptions{Subscriptions: list(v.Subscriptions)}
	}))
	on(operator, "DELETE "+v1+"subscriptions/{client}/{name}", s.removeSubscription)
	on(operator, "POST "+v1+"subscriptions/{client}/{name}/purge", s.purgeSubscription)
	on(operator, "DELETE "+v1+"subscription", s.removeSubscription)
	on(operator, "POST "+v1+"subscription/purge", s.purgeSubscription)
	for _, do := range []broker.SweepKind{broker.SweepMove, broker.SweepCopy, broker.SweepRemove} {
		on(operator, "POST "+v1+"subscriptions/{client}/{name}/"+do.String(), s.sweep(ofSubscription, do))
		on(operator, "POST "+v1+"subscription/"+do.String(), s.sweep(ofSubscription, do))
	}
	on(reader, "GET "+v1+"transactions", s.transactions)
	on(operator, "POST "+v1+"transactions/{xid}/commit", s.settleTransaction(true))
	on(operator, "POST "+v1+"transactions/{xid}/rollback", s.settleTransaction(false))
	on(operator, "GET "+v1+"schedules", s.schedules)
	on(operator, "DELETE "+v1+"schedules", s.removeSchedules)
	on(operator, "POST "+v1+"schedules/{id}", s.editSchedule)
	on(operator, "DELETE "+v1+"schedules/{id}", s.removeSchedules)
	on(operator, "GET "+v1+"retries", s.retries)
	on(operator, "POST "+v1+"retries/{batch}/undo", s.undoRetry)
	on(operator, "POST "+v1+"queues/{name}/retry", s.sweep(ofDestination(message.Queue), broker.SweepRetry)) // it writes wherever messages died
	here(reader, "GET "+v1+"listeners", func(w http.ResponseWriter, r *http.Request) {
		respond(w, api.Listeners{Listeners: list(s.options.Listeners())})
	})
	on(reader, "GET "+v1+"history", s.historyOf)
	here(reader, "GET "+v1+"instance", s.instance)
	here(reader, "GET "+v1+"instances", s.instances)
	on(operator, "POST "+v1+"switchover", s.switchOver)
	here(admin, "POST "+v1+"restart", s.restart)
	here(admin, "POST "+v1+"instances/{name}/restart", s.restartInstance)
	on(reader, "GET "+v1+"clients", s.clients)
	on(reader, "GET "+v1+"clients/{service}", s.service)
	on(operator, "POST "+v1+"clients/{service}/probe", s.probe)
	here(reader, "GET "+v1+"instance/clients", s.seen)
	here(admin, "POST "+v1+"convert", s.convert)
	on(admin, "POST "+v1+"backup", s.backup)
	here(admin, "GET "+v1+"config", func(w http.ResponseWriter, r *http.Request) { respond(w, s.options.Config()) })
	on(admin, "GET "+v1+"refusals", func(w http.ResponseWriter, r *http.Request) { respond(w, s.options.Refusals()) })
	here(admin, "POST "+v1+"reload", s.reload)
	here(admin, "GET "+v1+"audit", s.audit)
	on(anybody, "POST "+v1+"receipts/{receipt}/confirm", s.confirm)
	on(anybody, "POST "+v1+"receipts/{receipt}/release", s.release)
	for word, kind := range kinds {
		on(reader, "GET "+v1+word, s.view(listOf(kind)))
		one := v1 + word + "/{name}"
		on(reader, "GET "+one, s.destination(kind))
		on(anybody, "DELETE "+one, s.remove(kind))
		on(anybody, "GET "+one+"/messages", s.browse(kind))
		on(anybody, "POST "+one+"/send", s.send(kind))
		on(anybody, "POST "+one+"/receive", s.receive(kind))
		on(anybody, "POST "+one+"/purge", s.purge(kind))
		on(anybody, "POST "+one+"/move", s.sweep(ofDestination(kind), broker.SweepMove))
		on(anybody, "POST "+one+"/copy", s.sweep(ofDestination(kind), broker.SweepCopy))
		on(anybody, "POST "+one+"/remove", s.sweep(ofDestination(kind), broker.SweepRemove))
		on(anybody, "POST "+one+"/pause", s.pause(kind, true))
		on(anybody, "POST "+one+"/resume", s.pause(kind, false))
		if !kind.IsTemporary() { // these belong to a client's connection
			on(anybody, "PUT "+one, s.create(kind))
		}
	}
	s.serviceRoutes(here)
	here(anybody, "/", func(w http.ResponseWriter, r *http.Request) {
		fail(w, &api.Error{Status: http.StatusNotFound, Code: broker.NotFound.String(), Op: r.Method + " " + r.URL.Path, Detail: "there is no such path; docs/http.md lists them"})
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.console != nil && (r.URL.Path == "/" || strings.HasPrefix(r.URL.Path, ConsolePath)) {
			s.page(w, r)
			return
		}
		select {
		case s.busy <- struct{}{}:
			defer func() { <-s.busy }()
			if s.options.Amazon != nil && strings.HasPrefix(r.URL.Path, "/v1/") {
				// Not by the mux, which would tidy the path that is signed; nor by the guard, whose rules are for callers without signatures.
				s.options.Amazon.ServeHTTP(w, r)
				return
			}
			mux.ServeHTTP(w, r)
		default:
			fail(w, &api.Error{Status: http.StatusServiceUnavailable, Code: api.Unavailable, Detail: fmt.Sprintf("%d requests are at work already; try again", maxRequests)})
		}
	})
}

// kinds are the words for kinds of destinations in paths.
var kinds = map[string]message.Kind{"queues": message.Queue, "topics": message.Topic, "temp-queues": message.TempQueue, "temp-topics": message.TempTopic}

// writeTime is how long a client may take to read an answer.
const writeTime = time.Minute

// respond writes an answer and says whether all of it left.
func respond(w http.ResponseWriter, body any) error { return write(w, http.StatusOK, body) }

func write(w http.ResponseWriter, status int, body any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("write answer: %w", err)
	}
	data = append(data, '\n')
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", fmt.Sprint(len(data)))
	control := http.NewResponseController(w)
	if err := control.SetWriteDeadline(time.Now().Add(writeTime)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("write answer: %w", err)
	}
	w.WriteHeader(status)
	if _, err := w.Write(data); err != nil {
		return fmt.Errorf("write answer: %w", err)
	}
	if err := control.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("write answer: %w", err)
	}
	return nil
}

func fail(w http.ResponseWriter, err error) {
	p := problem(err)
	if p.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Basic realm="godwit", charset="UTF-8"`)
	}
	if p.Status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	_ = write(w, p.Status, p) // who does not read the error learns of it by the closed connection
}

// failed answers with an error, and logs those whose cause the caller is not told.
func (s *Server) failed(w http.ResponseWriter, r *http.Request, err error) {
	var core *broker.Error
	switch denied := errors.As(err, &core) && core.Code == broker.Denied; {
	case denied: // what Login's answer refused, security has logged itself
		s.log.Warn("refused API call", "method", r.Method, "path", r.URL.Path, "remote", r.RemoteAddr, "user", callerOf(r).User, "error", err)
	case problem(err).Status == http.StatusInternalServerError:
		s.log.Error("API call failed", "method", r.Method, "path", r.URL.Path, "remote", r.RemoteAddr, "error", err)
	}
	fail(w, err)
}

// decode reads a request's JSON. An empty body is {}.
func decode(r *http.Request, into any) error {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	d.UseNumber()
	var large *http.MaxBytesError
	switch err := d.Decode(into); {
	case errors.Is(err, io.EOF):
		return nil
	case errors.As(err, &large):
		return err
	case err != nil:
		return malformed(r, "%v", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return malformed(r, "more than one JSON value")
	}
	return nil
}

func malformed(r *http.Request, format string, args ...any) error {
	return &api.Error{Status: http.StatusBadRequest, Code: broker.Malformed.String(), Op: r.Method + " " + r.URL.Path, Detail: fmt.Sprintf(format, args...)}
}

// dial makes the request's connection to the core.
func (s *Server) dial(r *http.Request) (*link, error) { return s.dialFor(r.Context(), r) }

// dialFor makes the request's connection to the core, which ends when ctx does.
func (s *Server) dialFor(ctx context.Context, r *http.Request) (*link, error) {
	return dial(ctx, s.options.Connect, broker.Connect{User: callerOf(r).User, Remote: r.RemoteAddr})
}

// named is the destination that a request's path names.
func named(r *http.Request, kind message.Kind) (message.Destination, error) {
	name := r.PathValue("name")
	if name == "" || len(name) > message.MaxNameBytes {
		return message.Destination{}, malformed(r, "a destination's name has 1 to %d bytes", message.MaxNameBytes)
	}
	return message.Destination{Kind: kind, Name: name}, nil
}

func (s *Server) healthz(w http.ResponseWriter, r *http.Request) {
	h := api.Health{Status: "ok"}
	if c := s.cluster(); c != nil {
		h.Config = c.Instance().Config
	}
	respond(w, h)
}

// readyz says whether clients that come here are served, be it by another instance; the status alone tells a load balancer.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	h := s.options.Health()
	status := http.StatusOK
	if !h.Ready {
		status = http.StatusServiceUnavailable
	}
	write(w, status, h)
}

func (s *Server) reload(w http.ResponseWriter, r *http.Request) {
	done, err := s.options.Reload(r.Context())
	var problems config.Problems
	if errors.As(err, &problems) {
		err = &api.Error{Status: http.StatusConflict, Code: broker.Malformed.String(), Op: "reload", Detail: "nothing was changed:\n" + problems.Error()}
	}
	if err != nil {
		s.failed(w, r, err)
		return
	}
	respond(w, done)
}
