package control

import (
	"context"
	"net/http"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/control/api"
)

// Cluster is what the API knows of the other nodes that run this broker. Errors are to be shown.
type Cluster interface {
	// Instance is how this node is.
	Instance() api.Instance
	// Instances asks the others, too, in the caller's name.
	Instances(ctx context.Context, as http.Header) []api.Instance
	// Active is the active instance and the URL of its API; "" if this one is it. It may ask the others in the caller's name.
	Active(ctx context.Context, as http.Header) (name, at string, err error)
	// SwitchOver makes another instance the active one; where this one is not active, it asks the one that is.
	SwitchOver(ctx context.Context, to string, as http.Header) (*api.SwitchedOver, error)
}

var errAlone = &api.Error{Status: http.StatusConflict, Code: broker.NotFound.String(), Detail: "this broker runs alone; cluster.name in its configuration makes it one of several instances"}

func (s *Server) instance(w http.ResponseWriter, r *http.Request) {
	if s.options.Cluster == nil {
		s.failed(w, r, errAlone)
		return
	}
	respond(w, s.options.Cluster.Instance())
}

func (s *Server) instances(w http.ResponseWriter, r *http.Request) {
	if s.options.Cluster == nil {
		s.failed(w, r, errAlone)
		return
	}
	respond(w, api.Instances{Instances: s.options.Cluster.Instances(r.Context(), r.Header)})
}

func (s *Server) switchOver(w http.ResponseWriter, r *http.Request) {
	var ask api.SwitchOver
	err := decode(r, &ask)
	if err == nil && s.options.Cluster == nil {
		err = errAlone
	}
	var done *api.SwitchedOver
	if err == nil {
		done, err = s.options.Cluster.SwitchOver(r.Context(), ask.To, r.Header)
	}
	if err != nil {
		s.failed(w, r, err)
		return
	}
	s.log.Info("switched over", "from", done.From, "to", done.To, "user", callerOf(r).User, "remote", r.RemoteAddr)
	respond(w, done)
}
