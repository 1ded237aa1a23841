package control

import (
	"net/http"
	"strings"
	"time"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/control/jolokia"
	"github.com/godwitmq/godwit/message"
)

// JolokiaOptions are what may change about /api/jolokia while the server runs.
type JolokiaOptions struct {
	// NeedOrigin refuses calls without the header Origin, as ActiveMQ does.
	NeedOrigin bool
	// Allow are the operations that may be asked for, of jolokia.Operations.
	Allow []string
}

// ConfigureJolokia sets them.
func (s *Server) ConfigureJolokia(o JolokiaOptions) { s.jolokiaOptions.Store(&o) }

const jolokiaPath = "/api/jolokia"

// jolokia answers as the Jolokia agent of ActiveMQ does.
func (s *Server) jolokia(w http.ResponseWriter, r *http.Request) {
	settings := s.jolokiaOptions.Load()
	agent := &jolokia.Agent{
		View: func() (*broker.View, error) { return s.look(r) }, Facts: s.options.Facts, Allow: settings.Allow, Now: time.Now(),
		Do: func(operation string, on message.Destination) (any, error) { return s.operate(r, operation, on) },
	}
	var questions []jolokia.Request
	var bulk bool
	var err error
	switch {
	case settings.NeedOrigin && r.Header.Get("Origin") == "" && r.Header.Get("Referer") == "":
		write(w, http.StatusOK, jolokia.Answer{Status: http.StatusForbidden, Error: "Origin null is not allowed to call this agent", Timestamp: agent.Now.Unix()})
		return
	case r.Method == http.MethodPost:
		questions, bulk, err = jolokia.FromBody(r.Body)
	default:
		questions = make([]jolokia.Request, 1)
		questions[0], err = jolokia.FromPath(strings.TrimPrefix(r.URL.Path, jolokiaPath), r.URL.Query())
		if err == nil && (questions[0].Type == "exec" || questions[0].Type == "write") { // a GET changes nothing: a web page can make a browser send it
			write(w, http.StatusOK, jolokia.Answer{Request: questions[0], Status: http.StatusForbidden, Error: questions[0].Type + " is asked for by POST", Timestamp: agent.Now.Unix()})
			return
		}
	}
	if err != nil {
		write(w, http.StatusBadRequest, jolokia.Answer{Status: http.StatusBadRequest, Error: err.Error(), Timestamp: agent.Now.Unix()})
		return
	}
	data, err := agent.Answers(questions, bulk)
	if err != nil {
		s.failed(w, r, err)
		return
	}
	write(w, http.StatusOK, rawJSON(data))
}

// rawJSON is JSON already.
type rawJSON []byte

func (r rawJSON) MarshalJSON() ([]byte, error) { return r, nil }

// operate carries out an operation that jolokia.Operations lists, for an administrator.
func (s *Server) operate(r *http.Request, operation string, on message.Destination) (any, error) {
	if !callerOf(r).Admin {
		return nil, &broker.Error{Code: broker.Denied, Op: operation, Detail: "operations are for administrators (http.admins)"}
	}
	s.log.Info("Jolokia operation", "operation", operation, "destination", on.String(), "remote", r.RemoteAddr, "user", callerOf(r).User)
	ask := func(event func(broker.ConnID, broker.Ref) broker.Event) (any, error) {
		_, err := s.asked(r, event)
		return nil, err
	}
	switch operation {
	case "purge":
		l, err := s.dial(r)
		if err != nil {
			return nil, err
		}
		defer l.close()
		_, err = purged(l, &broker.Sweep{Kind: broker.SweepRemove, From: on})
		return nil, err
	case "pause", "resume":
		return ask(func(c broker.ConnID, ref broker.Ref) broker.Event {
			return &broker.Pause{Conn: c, Ref: ref, Destination: on, On: operation == "pause"}
		})
	case "addQueue", "addTopic":
		return ask(func(c broker.ConnID, ref broker.Ref) broker.Event {
			return &broker.CreateDestination{Conn: c, Ref: ref, Destination: on}
		})
	case "removeQueue", "removeTopic":
		return ask(func(c broker.ConnID, ref broker.Ref) broker.Event {
			return &broker.RemoveDestination{Conn: c, Ref: ref, Destination: on}
		})
	}
	return nil, &api.Error{Status: http.StatusForbidden, Code: broker.Denied.String(), Detail: operation + " is not done here"}
}
