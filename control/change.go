package control

import (
	"net/http"
	"strconv"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/message"
)

// asked sends one event to the core and gives its answer's value.
func (s *Server) asked(r *http.Request, event func(broker.ConnID, broker.Ref) broker.Event) (any, error) {
	l, err := s.dial(r)
	if err != nil {
		return nil, err
	}
	defer l.close()
	ref := l.ref()
	e, err := l.ask(ref, event(l.id(), ref))
	return e.Value, err
}

// change answers a request that needs a right to a destination.
func (s *Server) change(kind message.Kind, right Action, event func(broker.ConnID, broker.Ref, message.Destination) broker.Event, answer func(value any) any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		d, err := named(r, kind)
		if err == nil {
			err = allowed(r, right, d)
		}
		var value any
		if err == nil {
			value, err = s.asked(r, func(c broker.ConnID, ref broker.Ref) broker.Event { return event(c, ref, d) })
		}
		if err != nil {
			s.failed(w, r, err)
			return
		}
		respond(w, answer(value))
	}
}

func (s *Server) remove(kind message.Kind) http.HandlerFunc {
	return s.change(kind, Remove,
		func(c broker.ConnID, ref broker.Ref, d message.Destination) broker.Event {
			return &broker.RemoveDestination{Conn: c, Ref: ref, Destination: d}
		},
		func(any) any { return struct{}{} })
}

func (s *Server) closeConnection(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseUint(r.PathValue("id"), 10, 64)
	if err != nil {
		s.failed(w, r, malformed(r, "%q is not the number of a connection, as GET /api/v1/connections shows them", r.PathValue("id")))
		return
	}
	if !s.options.Cut(broker.ConnID(id), &broker.Error{Code: broker.Stopping, Detail: "the connection was closed by an operator"}) {
		fail(w, &api.Error{Status: http.StatusNotFound, Code: broker.NotFound.String(), Op: r.Method + " " + r.URL.Path, Detail: "there is no connection " + r.PathValue("id")})
		return
	}
	respond(w, struct{}{})
}
