package control

import (
	"net/http"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/control/api"
)

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
