package control

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/message"
)

// look asks the core how it looks. The request's own connection is left out.
func (s *Server) look(r *http.Request) (*broker.View, error) {
	return Look(r.Context(), s.options.Connect, broker.Connect{User: callerOf(r).User, Remote: r.RemoteAddr})
}

// Look asks the core how it looks, by a connection of its own, which is left out.
func Look(ctx context.Context, connect func() (Conn, error), as broker.Connect) (*broker.View, error) {
	l, err := dial(ctx, connect, as)
	if err != nil {
		return nil, err
	}
	defer l.close()
	ref := l.ref()
	e, err := l.ask(ref, &broker.List{Conn: l.id(), Ref: ref})
	if err != nil {
		return nil, err
	}
	v, ok := e.Value.(*broker.View)
	if !ok {
		return nil, fmt.Errorf("list the broker: answer is a %T", e.Value)
	}
	v.Connections = slices.DeleteFunc(v.Connections, func(c broker.ConnectionView) bool { return c.Conn == l.id() })
	return v, nil
}

// glance is look for the API's own sake.
func (s *Server) glance(ctx context.Context) (*broker.View, error) {
	return Look(ctx, s.options.Connect, broker.Connect{})
}

// view answers with a part of the core's view.
func (s *Server) view(part func(*broker.View, *http.Request) any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v, err := s.look(r)
		if err != nil {
			s.failed(w, r, err)
			return
		}
		respond(w, part(v, r))
	}
}

// list is xs, but never nil, which JSON would write as null.
func list[T any](xs []T) []T {
	if xs == nil {
		return []T{}
	}
	return xs
}

// listOf gives the destinations of a kind; queues and topics take the temporary ones along if the query says all=true.
func listOf(kind message.Kind) func(*broker.View, *http.Request) any {
	return func(v *broker.View, r *http.Request) any {
		all := r.URL.Query().Get("all") == "true"
		found := api.Destinations{Destinations: []broker.DestinationView{}}
		for _, d := range v.Destinations {
			k := d.Destination.Kind
			if k == kind || all && k.IsTopic() == kind.IsTopic() && k.IsTemporary() {
				found.Destinations = append(found.Destinations, d)
			}
		}
		return found
	}
}

func (s *Server) destination(kind message.Kind) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		want, err := named(r, kind)
		if err != nil {
			s.failed(w, r, err)
			return
		}
		v, err := s.look(r)
		if err != nil {
			s.failed(w, r, err)
			return
		}
		for _, d := range v.Destinations {
			if d.Destination == want {
				respond(w, d)
				return
			}
		}
		fail(w, &api.Error{Status: http.StatusNotFound, Code: broker.NotFound.String(), Detail: "there is no " + want.String()})
	}
}

// metrics answers a scrape. The broker's own state is left out while it cannot be asked, so that the process can be watched then too.
func (s *Server) metrics(w http.ResponseWriter, r *http.Request) {
	v, err := s.look(r)
	if err != nil {
		s.log.Debug("metrics without the broker", "error", err)
		v = nil
	}
	var b bytes.Buffer
	if err := s.options.Metrics(&b, v); err != nil {
		s.failed(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	w.Write(b.Bytes())
}
