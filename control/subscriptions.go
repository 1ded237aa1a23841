package control

import (
	"errors"
	"net/http"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/control/api"
)

// subscriptionOf gives the client id and the name of a subscription: of the path, or, because the client id of a shared one may be empty,
// of the query.
func subscriptionOf(r *http.Request) (clientID, name string) {
	if name := r.PathValue("name"); name != "" {
		return r.PathValue("client"), name
	}
	q := r.URL.Query()
	return q.Get("client"), q.Get("name")
}

func (s *Server) removeSubscription(w http.ResponseWriter, r *http.Request) {
	clientID, name := subscriptionOf(r)
	s.changeSubscription(w, r, func(c broker.ConnID, ref broker.Ref) broker.Event {
		return &broker.RemoveSubscription{Conn: c, Ref: ref, ClientID: clientID, Name: name}
	}, func(any) any { return struct{}{} })
}

func (s *Server) purgeSubscription(w http.ResponseWriter, r *http.Request) {
	clientID, name := subscriptionOf(r)
	s.changeSubscription(w, r, func(c broker.ConnID, ref broker.Ref) broker.Event {
		return &broker.PurgeSubscription{Conn: c, Ref: ref, ClientID: clientID, Name: name}
	}, func(value any) any {
		removed, _ := value.(int)
		return api.Purged{Removed: removed}
	})
}

func (s *Server) changeSubscription(w http.ResponseWriter, r *http.Request, event func(broker.ConnID, broker.Ref) broker.Event, answer func(value any) any) {
	value, err := s.asked(r, event)
	var core *broker.Error
	if errors.As(err, &core) && core.Code == broker.InvalidDestination { // JMS' word for it
		err = &api.Error{Status: http.StatusNotFound, Code: broker.NotFound.String(), Op: core.Op, Detail: core.Detail}
	}
	if err != nil {
		s.failed(w, r, err)
		return
	}
	respond(w, answer(value))
}
