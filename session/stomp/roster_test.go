package stomp

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/readiness"
	"github.com/godwitmq/godwit/security"
)

// What a client tells of itself reaches the roster, and so does how it ends.
func TestRoster(t *testing.T) {
	tests := map[string]struct {
		connect string
		mode    security.Mode
		want    readiness.Facts
		end     func(*client, uint64)
		what    readiness.What
	}{
		"goes": {connect: "CONNECT|accept-version:1.2|host:broker.example|client-id:web-1|heart-beat:1000,0", want: readiness.Facts{ClientID: "web-1", Version: "1.2", Host: "broker.example", KeepAlive: 2000},
			end: func(c *client, _ uint64) { c.send("DISCONNECT") }, what: readiness.Left},
		"is gone": {connect: "CONNECT|login:ann", want: readiness.Facts{User: "ann", Version: "1.0"}, end: func(c *client, _ uint64) { c.Close() }, what: readiness.Cut},
		"without credentials": {connect: "CONNECT", mode: security.Observe, want: readiness.Facts{Version: "1.0", Credentials: "no credentials given", Refusable: true},
			end: func(c *client, _ uint64) { c.Close() }, what: readiness.Cut},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			deps := openDeps(t, security.Policy{Mode: tt.mode})
			roster := readiness.NewRoster()
			deps.Roster = roster
			c := dial(t, deps, Options{Linger: 10 * time.Millisecond})
			c.send(tt.connect)
			if f, err := c.reader.Next(); err != nil || f.Command != "CONNECTED" {
				t.Fatalf("got %s, %v", f.Command, err)
			}
			here := roster.Seen().Here
			if len(here) != 1 {
				t.Fatalf("here are %+v", here)
			}
			f := here[0]
			want := tt.want
			want.ID, want.Protocol, want.Remote, want.Endpoint, want.Failover, want.Since = f.ID, "stomp", sessionPeer.Remote, "test", readiness.Unknown, f.Since
			if want.Credentials == "" {
				want.Credentials = "not checked"
			}
			if f != want {
				t.Errorf("facts = %+v; want %+v", f, want)
			}
			tt.end(c, f.ID)
			go io.Copy(io.Discard, c)
			<-c.served
			past := roster.Seen().Past[f.Key()]
			if len(past) != 2 || past[1].What != tt.what || len(roster.Seen().Here) != 0 {
				t.Errorf("past = %+v; want that it has %s", past, tt.what)
			}
		})
	}
}

// Whom a probe keeps away is told nothing.
func TestProbeRefuses(t *testing.T) {
	deps := openDeps(t, security.Policy{})
	roster := readiness.NewRoster()
	deps.Roster = roster
	c := dial(t, deps, Options{Linger: 10 * time.Millisecond})
	c.send("CONNECT|login:ann")
	if f, err := c.reader.Next(); err != nil || f.Command != "CONNECTED" {
		t.Fatalf("got %s, %v", f.Command, err)
	}
	f := roster.Seen().Here[0]
	probed := make(chan *readiness.Probed)
	go func() {
		done, err := roster.Probe(t.Context(), f.ID, time.Minute, 2*time.Minute, func() bool { return deps.Engine.Cut(broker.ConnID(f.ID), nil) })
		if err != nil {
			t.Error(err)
		}
		probed <- done
	}()
	io.Copy(io.Discard, c)
	<-c.served
	again := dial(t, deps, Options{})
	again.send("CONNECT|login:ann")
	if got, err := io.ReadAll(again); len(got) > 0 || err != nil {
		t.Errorf("a client that a probe keeps away got %q, %v; want the end", got, err)
	}
	if err := <-again.served; !errors.Is(err, readiness.ErrProbe) {
		t.Errorf("Serve = %v", err)
	}
	f.Node, f.ID = "b", 99
	roster.Arrive(f)
	if done := <-probed; !done.Back || done.To != "b" || done.Tries != 1 {
		t.Errorf("the probe found %+v; want one refusal, and the client at b", done)
	}
}
