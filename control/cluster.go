package control

import (
	"context"
	"net/http"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/readiness"
)

// Cluster is what the API knows of the other nodes that run this broker. Errors are to be shown.
type Cluster interface {
	// Instance is how this node is.
	Instance() api.Instance
	// Instances asks the others, too, in the caller's name.
	Instances(ctx context.Context, as http.Header) []api.Instance
	// Active is the active instance and the URL of its API; "" if this one is it. It may ask the others in the caller's name.
	Active(ctx context.Context, as http.Header) (name, at string, err error)
	// SwitchOver makes another instance the active one. Only the one that is active can.
	SwitchOver(ctx context.Context, to string, as http.Header) (*api.SwitchedOver, error)
	// Restart has another instance, or this one, restart, and does not wait for it. The active one does not.
	Restart(ctx context.Context, name string, as http.Header) error
	// Seen is what the other instances know of clients; those that do not answer know nothing.
	Seen(ctx context.Context, as http.Header) []readiness.Seen
}

var errAlone = &api.Error{Status: http.StatusConflict, Code: broker.NotFound.String(), Detail: "this broker runs alone; cluster.name in its configuration makes it one of several instances"}

// cluster is what runs this broker together with others, now; nil: it is alone.
func (s *Server) cluster() Cluster {
	if s.options.Cluster == nil {
		return nil
	}
	return s.options.Cluster()
}

func (s *Server) instance(w http.ResponseWriter, r *http.Request) {
	if s.cluster() == nil {
		s.failed(w, r, errAlone)
		return
	}
	respond(w, s.cluster().Instance())
}

func (s *Server) instances(w http.ResponseWriter, r *http.Request) {
	if s.cluster() == nil {
		s.failed(w, r, errAlone)
		return
	}
	respond(w, api.Instances{Instances: s.cluster().Instances(r.Context(), r.Header)})
}

func (s *Server) switchOver(w http.ResponseWriter, r *http.Request) {
	var ask api.SwitchOver
	err := decode(r, &ask)
	if err == nil && s.cluster() == nil {
		err = errAlone
	}
	var done *api.SwitchedOver
	if err == nil {
		done, err = s.cluster().SwitchOver(r.Context(), ask.To, r.Header)
	}
	if err != nil {
		s.failed(w, r, err)
		return
	}
	s.log.Info("switched over", "from", done.From, "to", done.To, "user", callerOf(r).User, "remote", r.RemoteAddr)
	respond(w, done)
}
