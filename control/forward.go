package control

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/godwitmq/godwit/control/api"
)

// ServeHTTP is never called: a need is a handler so that http.ServeMux finds the one of a path.
func (n need) ServeHTTP(http.ResponseWriter, *http.Request) {}

// elsewhere are calls of a service's broker that are not passed on: the service does these itself, or the broker would do them behind its back.
var elsewhere = map[string]string{
	"switchover": "POST brokers/NAME/switchover, or `godwit brokers switchover NAME`, does it through the service",
	"convert":    "the service itself makes a pair of a single instance",
	"restart":    "the service itself restarts its instances",
	"instances":  "the service itself restarts its instances",
}

// forward passes a call on to a broker of the service, below whose path the broker's own API is.
func (s *Server) forward(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	_, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.EscapedPath(), "/api/v1/brokers/"), "/") // it may hold escaped slashes
	inner := r.Clone(r.Context())
	var err error
	if inner.URL, err = inner.URL.Parse("/" + rest); err != nil {
		s.failed(w, r, malformed(r, "%v", err))
		return
	}
	h, pattern := s.needs.Handler(inner)
	n, known := h.(need)
	if !known || pattern == "/" || strings.HasPrefix(inner.URL.Path, "/api/v1/brokers") || strings.HasPrefix(inner.URL.Path, "/api/v1/keys") || strings.HasPrefix(inner.URL.Path, "/api/v1/nodes") {
		s.failed(w, r, &api.Error{Status: http.StatusNotFound, Code: "not found", Op: r.Method + " " + r.URL.Path, Detail: "a broker of the service has no such path; docs/http.md lists them"})
		return
	}
	if n == anybody && !strings.HasSuffix(pattern, "/version") {
		n = operator // what rights are in that broker is for its own users
	}
	caller := callerOf(r)
	if !caller.may(n) {
		err := denied(r, &caller)
		s.failed(w, r, err)
		return
	}
	word, _, _ := strings.Cut(strings.TrimPrefix(inner.URL.Path, "/api/v1/"), "/")
	if how := elsewhere[word]; how != "" && r.Method != http.MethodGet {
		s.failed(w, r, &api.Error{Status: http.StatusConflict, Code: "illegal state", Op: r.Method + " " + r.URL.Path, Detail: how})
		return
	}
	remote, err := s.options.Service.Reach(r.Context(), name)
	var target *url.URL
	if err == nil {
		target, err = url.Parse(remote.URL())
	}
	if err != nil {
		s.failed(w, r, err)
		return
	}
	s.pass(w, inner, target, remote.Credentialed(), nil, "broker "+name+" does not answer at "+remote.URL())
}
