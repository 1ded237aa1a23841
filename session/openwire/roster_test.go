package openwire

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/godwitmq/godwit/broker"
	wire "github.com/godwitmq/godwit/codec/openwire"
	"github.com/godwitmq/godwit/readiness"
	"github.com/godwitmq/godwit/security"
)

// What a client tells of itself reaches the roster, and so does how it ends.
func TestRoster(t *testing.T) {
	tests := map[string]struct {
		version   int
		about     wire.ConnectionInfo
		observe   bool
		failover  readiness.Tristate
		refusable bool
		end       func(*server, *client)
		what      readiness.What
	}{
		"plain, goes":       {version: 12, failover: readiness.No, end: func(s *server, c *client) { c.write(&wire.ShutdownInfo{}) }, what: readiness.Left},
		"failover, is gone": {version: 12, about: wire.ConnectionInfo{FaultTolerant: true}, failover: readiness.Yes, end: func(s *server, c *client) { c.conn.Close() }, what: readiness.Cut},
		"back, is cut":      {version: 10, about: wire.ConnectionInfo{FailoverReconnect: true}, failover: readiness.Yes, end: (*server).cut, what: readiness.Cut},
		"closes": {version: 12, failover: readiness.No, end: func(s *server, c *client) {
			c.ask(&wire.RemoveInfo{ObjectID: wire.ConnectionID{Value: c.name}})
			c.conn.Close()
		}, what: readiness.Left},
		"too old to tell":        {version: 5, failover: readiness.Unknown, end: (*server).cut, what: readiness.Cut},
		"with wrong credentials": {version: 12, observe: true, failover: readiness.No, refusable: true, end: (*server).cut, what: readiness.Cut},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			policy := security.Policy{}
			if tt.observe {
				policy.Mode = security.Observe
			}
			s := newServer(t, policy)
			roster := readiness.NewRoster()
			s.deps.Roster = roster
			c := s.dial("ID:host-40000-1795418127049-3:1")
			hello := java(tt.version)
			hello.Host, hello.PlatformDetails = "broker.example", "Java"
			c.hello(hello)
			about := tt.about
			about.ConnectionID.Value, about.ClientID, about.UserName, about.Password = c.name, "client", "user", "secret"
			c.ask(&about)
			seen := roster.Seen()
			if len(seen.Here) != 1 {
				t.Fatalf("here are %+v", seen.Here)
			}
			f := seen.Here[0]
			if f.Library != "ActiveMQ 6.3.1" || f.Platform != "Java" || f.Host != "broker.example" || f.ClientID != "client" || f.User != "user" || f.KeepAlive != 30_000 || f.Endpoint != "test" ||
				f.Protocol != "openwire" || f.Failover != tt.failover || f.Refusable != tt.refusable || f.Remote.String() != "192.0.2.1:1234" {
				t.Errorf("facts = %+v; want failover %s, refusable: %v", f, tt.failover, tt.refusable)
			}
			tt.end(s, c)
			<-c.ended
			c.ended <- nil // for the cleanup
			past := roster.Seen().Past[f.Key()]
			if len(past) != 2 || past[1].What != tt.what || len(roster.Seen().Here) != 0 {
				t.Errorf("past = %+v; want that it has %s", past, tt.what)
			}
		})
	}
}

// cut ends a client's connection from the broker's side, and reads what it is told.
func (s *server) cut(c *client) {
	for _, f := range s.deps.Roster.Seen().Here {
		s.deps.Engine.Cut(broker.ConnID(f.ID), &broker.Error{Code: broker.Stopping, Detail: "cut"})
	}
	for {
		if _, err := c.frames.Next(); err != nil {
			return
		}
	}
}

// Whom a probe keeps away is told nothing: to it the broker is gone.
func TestProbeRefuses(t *testing.T) {
	s := newServer(t, security.Policy{})
	roster := readiness.NewRoster()
	s.deps.Roster = roster
	first := s.connect("ID:host-40000-1795418127049-3:1")
	id := roster.Seen().Here[0].ID
	probed := make(chan *readiness.Probed)
	go func() {
		done, err := roster.Probe(t.Context(), id, time.Minute, 2*time.Minute, func() bool { return s.deps.Engine.Cut(broker.ConnID(id), nil) })
		if err != nil {
			t.Error(err)
		}
		probed <- done
	}()
	for {
		if _, err := first.frames.Next(); err != nil {
			break
		}
	}
	again := s.dial(first.name)
	again.hello(java(12))
	again.write(&wire.ConnectionInfo{BaseCommand: wire.BaseCommand{CommandID: 1, ResponseRequired: true}, ConnectionID: wire.ConnectionID{Value: again.name}, ClientID: "client of " + again.name})
	if frame, err := again.frames.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("a client that a probe keeps away got a frame of %d bytes, %v; want the end", len(frame), err)
	}
	other := s.connect("ID:other-40000-1795418127049-3:1") // is not touched
	other.ask(&wire.SessionInfo{SessionID: wire.SessionID{ConnectionID: other.name, Value: 2}})
	// It may come to another instance.
	f := roster.Seen().Here[0]
	f.ClientID, f.Node, f.ID = "client of "+first.name, "b", 99
	roster.Arrive(f)
	if done := <-probed; !done.Back || done.To != "b" || done.Tries != 1 || !strings.Contains(done.Text, "at b") {
		t.Errorf("the probe found %+v; want one refusal, and the client at b", done)
	}
}
