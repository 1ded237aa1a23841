package control

import (
	"io"
	"net/http"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/control/api"
)

// forwarded marks a request that another node has sent on: it is not sent on again.
const forwarded = "Godwit-Forwarded"

// byActive answers where this instance is the active one, or the only one, and else has the active one answer, in the caller's name.
func (s *Server) byActive(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if s.cluster() == nil {
			h(w, r)
			return
		}
		url, here := s.cluster().ActiveAPI(r.Context(), r.Header)
		switch {
		case here:
			h(w, r)
		case url == "" || r.Header.Get(forwarded) != "":
			s.failed(w, r, &api.Error{Status: http.StatusServiceUnavailable, Code: api.Unavailable, Detail: "no instance is active, as far as this one knows; `godwit instances` shows how they are"})
		default:
			s.forward(w, r, url)
		}
	}
}

func (s *Server) forward(w http.ResponseWriter, r *http.Request, url string) {
	on, err := http.NewRequestWithContext(r.Context(), r.Method, url+r.URL.RequestURI(), r.Body)
	if err != nil {
		s.failed(w, r, err)
		return
	}
	on.Header.Set(forwarded, "1")
	for _, name := range []string{"Authorization", "Content-Type"} {
		if v := r.Header.Get(name); v != "" {
			on.Header.Set(name, v)
		}
	}
	answer, err := http.DefaultClient.Do(on)
	if err != nil {
		s.failed(w, r, &api.Error{Status: http.StatusServiceUnavailable, Code: api.Unavailable, Op: "ask the active instance", Detail: err.Error()})
		return
	}
	defer answer.Body.Close()
	for _, name := range []string{"Content-Type", "Cache-Control", "X-Content-Type-Options"} {
		if v := answer.Header.Get(name); v != "" {
			w.Header().Set(name, v)
		}
	}
	w.WriteHeader(answer.StatusCode)
	if _, err := io.Copy(w, answer.Body); err != nil {
		s.log.Debug("an answer of the active instance was not passed on to its end", "error", err)
	}
}

func (s *Server) restart(w http.ResponseWriter, r *http.Request) {
	err := s.options.Restart()
	if err != nil {
		s.failed(w, r, err)
		return
	}
	s.log.Info("restarting", "user", callerOf(r).User, "remote", r.RemoteAddr)
	respond(w, struct{}{})
}

func (s *Server) restartInstance(w http.ResponseWriter, r *http.Request) {
	err := error(errAlone)
	if s.cluster() != nil {
		err = s.cluster().Restart(r.Context(), r.PathValue("name"), r.Header)
	}
	if err != nil {
		s.failed(w, r, err)
		return
	}
	s.log.Info("an instance restarts", "instance", r.PathValue("name"), "user", callerOf(r).User, "remote", r.RemoteAddr)
	respond(w, struct{}{})
}

// ErrActive is why the active one of several instances does not restart.
var ErrActive = &api.Error{Status: http.StatusConflict, Code: broker.InUse.String(), Op: "restart", Detail: "this instance is the active one; `godwit reboot` switches over first"}
