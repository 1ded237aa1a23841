package control

import (
	"context"
	"net/http"

	"github.com/godwitmq/godwit/control/api"
)

// ConsolePath is where the web console's pages are.
const ConsolePath = "/console/"

// Console has pages shown below ConsolePath, and / lead to them. They are a client of Handler like any other; to be called before Serve.
func (s *Server) Console(pages http.Handler) { s.console = pages }

// Handler answers the API's calls, for clients in this process, whose sessions log in by themselves.
func (s *Server) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.http.Handler.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), againKey{}, true)))
	})
}

// page shows a page to a browser that came under a name of ours, and not from a page of somebody else. What is behind the page is asked of the API, which knows who may
// do what. When the server stops, pages that would go on for ever end.
func (s *Server) page(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/" {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "Method Not Allowed", http.StatusMethodNotAllowed)
			return
		}
		http.Redirect(w, r, ConsolePath, http.StatusSeeOther)
		return
	}
	if err := s.fromOwnPage(r); err != nil {
		fail(w, err)
		return
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	defer context.AfterFunc(s.stopping, func() { cancel(context.Cause(s.stopping)) })()
	s.console.ServeHTTP(w, r.WithContext(ctx))
}

// whoami says who calls, and what that one may do.
func (s *Server) whoami(w http.ResponseWriter, r *http.Request) {
	caller := callerOf(r)
	answer := api.Caller{User: caller.User, Role: api.User, Open: s.open()}
	switch {
	case caller.Admin:
		answer.Role = api.Admin
	case caller.Operator:
		answer.Role = api.Operator
	case caller.Reader:
		answer.Role = api.Reader
	}
	respond(w, answer)
}
