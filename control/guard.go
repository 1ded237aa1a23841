package control

import (
	"context"
	"errors"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/godwitmq/godwit/audit"
	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/config"
	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/message"
)

// Action is what a caller wants to do with a destination.
type Action uint8

// The actions.
const (
	Read Action = iota
	Write
	Create
	Remove
)

// Caller is who calls.
type Caller struct {
	User  string
	Admin bool // may do everything
	// Operator may do everything with messages, destinations, clients and who is active, and nothing with users, configuration and the process.
	Operator bool
	Reader   bool // may read lists and metrics
	Local    bool // is let in without credentials, because it is on this machine
	// May says whether the caller may do that with a destination; the error says why not. Not asked of admins and operators. Create is asked before it is
	// known whether there is anything to make.
	May func(Action, message.Destination) error
}

// Login says who has these credentials; without a user the password is a token. Errors are for the caller's eyes.
type Login func(ctx context.Context, user, password string, from netip.AddrPort) (Caller, error)

type callerKey struct{}

func callerOf(r *http.Request) Caller { return r.Context().Value(callerKey{}).(Caller) }

// need is what a caller must be for a path.
type need uint8

const (
	nobody need = iota // health checks
	anybody
	reader
	operator
	admin
)

// may says whether a caller is what is needed.
func (c *Caller) may(n need) bool {
	switch n {
	case admin:
		return c.Admin
	case operator:
		return c.Admin || c.Operator
	case reader:
		return c.Admin || c.Operator || c.Reader
	}
	return true
}

// guard lets a request through if it comes under a name of ours, is not made by a foreign web page, and its caller is
// known and allowed.
func (s *Server) guard(n need, next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := s.sameSite(r); err != nil {
			fail(w, err)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, s.options.MaxBody)
		if n == nobody {
			next(w, r)
			return
		}
		caller, err := s.caller(r)
		if err == nil && !caller.may(n) {
			err = denied(r, &caller)
		}
		if err != nil {
			e := entry(r, &caller)
			e.Outcome, e.Detail = audit.Refused, problem(err).Detail
			s.options.Trail.Note(e)
			s.log.Warn("refused API call", "method", r.Method, "path", r.URL.Path, "remote", r.RemoteAddr, "user", caller.User, "error", err)
			fail(w, err)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			level := slog.LevelInfo
			if isTraffic(r.URL.Path) {
				level = slog.LevelDebug
			}
			s.log.Log(r.Context(), level, "API call", "method", r.Method, "path", r.URL.Path, "remote", r.RemoteAddr, "user", caller.User)
		}
		r = r.WithContext(context.WithValue(r.Context(), callerKey{}, caller))
		if s.options.Trail == nil || !noted(r) {
			next(w, r)
			return
		}
		a := &answer{ResponseWriter: w}
		whole := false
		defer func() { s.note(r, &caller, a, whole) }()
		next(a, r)
		whole = true
	})
}

func denied(r *http.Request, caller *Caller) error {
	return &api.Error{Status: http.StatusForbidden, Code: broker.Denied.String(), Op: r.Method + " " + r.URL.Path,
		Detail: "user " + caller.User + " is in none of the groups that may do this (http.admins, http.operators, http.readers in " + config.FileName + ")"}
}

// isTraffic says whether a call moves messages, of which there may be many; others change the broker, and leave a line in its log.
func isTraffic(path string) bool {
	return strings.HasSuffix(path, "/send") || strings.HasSuffix(path, "/receive") || strings.HasPrefix(path, "/api/v1/receipts/")
}

// sameSite refuses what a web page from elsewhere can make a browser send. A page under a name that its owner points at 127.0.0.1
// sends that name as Host; a page from another origin says so in Origin, and cannot send JSON without asking first, which nobody
// here answers.
func (s *Server) sameSite(r *http.Request) error {
	if err := s.fromOwnPage(r); err != nil {
		return err
	}
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return nil
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return &api.Error{Status: http.StatusUnsupportedMediaType, Code: broker.Malformed.String(), Op: r.Method + " " + r.URL.Path,
			Detail: "changes need the header Content-Type: application/json, so that no web page can make a browser send them"}
	}
	return nil
}

// fromOwnPage refuses requests under names that are not ours, and those of pages from other origins.
func (s *Server) fromOwnPage(r *http.Request) error {
	if s.loopback && !s.known(r.Host) {
		return &api.Error{Status: http.StatusMisdirectedRequest, Code: broker.Denied.String(), Op: "request for host " + r.Host,
			Detail: "this API answers to localhost and loopback addresses only; list other names in http.hosts"}
	}
	if origin := r.Header.Get("Origin"); origin != "" {
		if u, err := url.Parse(origin); err != nil || u.Host != r.Host {
			return &api.Error{Status: http.StatusForbidden, Code: broker.Denied.String(), Op: "request from a page of " + origin, Detail: "pages from other origins may not call this API"}
		}
	}
	return nil
}

// known says whether a Host header names this machine or a host that the configuration lists.
func (s *Server) known(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	if config.IsLoopback(name) {
		return true
	}
	for _, h := range s.settings.Load().hosts {
		if strings.EqualFold(h, name) || strings.EqualFold(h, host) {
			return true
		}
	}
	return false
}

type againKey struct{}

// Again says whether a login is that of a session that has logged in before: the web console's, each of whose calls brings the credentials along.
func Again(ctx context.Context) bool {
	again, _ := ctx.Value(againKey{}).(bool)
	return again
}

// open says whether everybody may do everything.
func (s *Server) open() bool { return s.loopback && s.settings.Load().open }

// caller finds out who calls. On loopback, while the broker ignores credentials, everybody may do everything.
func (s *Server) caller(r *http.Request) (Caller, error) {
	if s.open() {
		return Caller{User: "local", Admin: true, Reader: true, Local: true}, nil
	}
	user, password, ok := r.BasicAuth()
	if scheme, token, is := strings.Cut(r.Header.Get("Authorization"), " "); is && strings.EqualFold(scheme, "Bearer") {
		user, password, ok = "", strings.TrimSpace(token), true // a token says itself whose it is
	}
	if !ok {
		return Caller{}, &api.Error{Status: http.StatusUnauthorized, Code: api.Unauthorized, Op: r.Method + " " + r.URL.Path, Detail: "user name and password are needed (HTTP Basic authentication), or a token (Bearer)"}
	}
	from, _ := netip.ParseAddrPort(r.RemoteAddr) // of a TCP connection it always parses; the zero value counts as one address
	caller, err := s.options.Login(r.Context(), user, password, from)
	if err != nil {
		return Caller{User: user}, &api.Error{Status: http.StatusUnauthorized, Code: api.Unauthorized, Op: "login", Detail: err.Error()}
	}
	return caller, nil
}

// allowed says whether a request's caller may do that with a destination, and with every part of a composite one.
func allowed(r *http.Request, a Action, d message.Destination) error {
	caller := callerOf(r)
	if caller.may(operator) {
		return nil
	}
	parts, err := d.Parts()
	if err != nil {
		return malformed(r, "%v", err)
	}
	for _, part := range parts {
		if err := caller.May(a, part); err != nil {
			return &api.Error{Status: http.StatusForbidden, Code: broker.Denied.String(), Detail: err.Error()}
		}
	}
	return nil
}

// statusOf is the HTTP status that fits a core's error.
func statusOf(code broker.Code) int {
	switch code {
	case broker.Malformed, broker.InvalidSelector, broker.InvalidDestination, broker.InvalidClientID:
		return http.StatusBadRequest
	case broker.Denied:
		return http.StatusForbidden
	case broker.NotFound:
		return http.StatusNotFound
	case broker.InUse, broker.TransactionRolledBack, broker.IllegalState:
		return http.StatusConflict
	case broker.Full:
		return http.StatusInsufficientStorage
	case broker.Stopping:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// problem makes an answer of any error. What is not meant for the caller is not shown.
func problem(err error) *api.Error {
	var own *api.Error
	var core *broker.Error
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &own):
		return own
	case errors.As(err, &core):
		code := core.Code.String()
		if core.Code == broker.Stopping {
			code = api.Unavailable
		}
		return &api.Error{Status: statusOf(core.Code), Code: code, Op: core.Op, Detail: core.Detail}
	case errors.As(err, &large):
		return &api.Error{Status: http.StatusRequestEntityTooLarge, Code: broker.Malformed.String(), Detail: large.Error()}
	}
	return &api.Error{Status: http.StatusInternalServerError, Code: broker.Internal.String(), Detail: "internal error; the broker's log says more"}
}
