// Package session holds what the sessions of all protocols share. The packages below it translate one protocol each into the
// core's events, and the core's effects back. They are thin: what JMS means is in the core, once.
//
// A session is two goroutines: one reads a burst of frames, translates it and submits it as one; the other waits for effects and writes all
// that are there at once. What the reader has to say to the client itself, it tells engine.Conn, so that only one goroutine writes.
package session

import (
	"crypto/x509"
	"log/slog"
	"net/netip"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/engine"
	"github.com/godwitmq/godwit/message"
	"github.com/godwitmq/godwit/readiness"
	"github.com/godwitmq/godwit/security"
)

// Deps is what sessions need of the broker around them; one for all.
type Deps struct {
	Engine    *engine.Engine
	Authority *security.Authority
	Broker    Broker
	Logger    *slog.Logger      // nil: nothing is logged
	Frames    *FrameMemory      // nil: frames that are on their way have no bound but each its own
	Roster    *readiness.Roster // nil: nobody asks who the clients are
}

// Log is Logger, or one that keeps silent.
func (d *Deps) Log() *slog.Logger {
	if d.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return d.Logger
}

// Broker is how the broker introduces itself.
type Broker struct {
	ID   string // "ID:host-1795382540159-0:1"; differs with each start
	Name string
}

// Peer is what the listener knows of a connection.
type Peer struct {
	Listener    string // its name
	Remote      netip.AddrPort
	Secure      bool              // the client came by TLS
	Certificate *x509.Certificate // of the client, verified; nil if it showed none
	// About is what the listener knows of the client for the Roster, beside what is above.
	About readiness.Facts
	// LoggedIn is told once that the client is admitted; false means that it took too long and the connection is being
	// closed. Nil: nobody wants to know.
	LoggedIn func() bool
}

// Admitted calls LoggedIn, if it is there.
func (p Peer) Admitted() bool { return p.LoggedIn == nil || p.LoggedIn() }

// Credentials are those of a client at p.
func (p Peer) Credentials(protocol, user, password string) security.Credentials {
	return security.Credentials{User: user, Password: password, Address: p.Remote, Certificate: p.Certificate, Protocol: protocol}
}

// Facts are what is known of a client at p that has logged in with that core connection; the session adds what its protocol tells.
func (p Peer) Facts(protocol string, id broker.ConnID, clientID string, who *security.Identity) readiness.Facts {
	f := p.About
	f.ID, f.Protocol, f.ClientID, f.User, f.Remote, f.Endpoint = uint64(id), protocol, clientID, who.Name(), p.Remote, p.Listener
	f.Failover, f.Credentials = readiness.Unknown, "not checked"
	switch doubt := who.Doubt(); {
	case doubt != "":
		f.Credentials, f.Refusable = string(doubt), true
	case who.Authenticated():
		f.Credentials = "right"
	}
	return f
}

// Permit remembers whether a producer may send to the destination that it used last. A policy may change at any time, so an answer counts
// for one burst of frames only; but in a burst there may be hundreds of messages. The zero value knows nothing.
type Permit struct {
	destination message.Destination
	burst       uint64
	asked       bool
	create      bool
	denied      *broker.Error
}

// Send says whether the client may send to d in the burst of that number, and if so, whether it may make d.
func (p *Permit) Send(who *security.Identity, burst uint64, d message.Destination) (mayCreate bool, err *broker.Error) {
	if !p.asked || p.burst != burst || p.destination != d {
		*p = Permit{destination: d, burst: burst, asked: true, denied: Denied(who.MayWrite(security.Kind(d.Kind), d.Name))}
		p.create = p.denied == nil && MayCreate(who, d)
	}
	return p.create, p.denied
}

// MayCreate says whether the client may make d, all of a composite. Whether there is anything to make only the core knows.
func MayCreate(who *security.Identity, d message.Destination) bool {
	return who.CanCreate(security.Kind(d.Kind), d.Name)
}

// Watch ends the connection as soon as the policy in force would not admit the client any more: a Closed with Denied comes to its outbox. stop must be
// called when the connection ends.
func Watch(who *security.Identity, core *engine.Conn) (stop func()) {
	return who.Watch(func(why error) { core.Tell(broker.Effect{Kind: broker.Closed, Err: Denied(why)}) })
}

// Refusals writes down what only the core can refuse, since only it knows whether there is a destination to make. Security logs its own refusals.
// Only the goroutine that has the answers uses it. The zero value works.
type Refusals struct{ last string }

// Note logs err if it is a refusal, and another than the last: a client may ask for the same a thousand times a second.
func (r *Refusals) Note(log *slog.Logger, user string, remote netip.AddrPort, err *broker.Error) {
	if err == nil || err.Code != broker.Denied || err.Detail == r.last {
		return
	}
	r.last = err.Detail
	log.Warn("refused", "user", user, "address", remote, "error", err)
}

// Denied makes a refusal of security the core's error; nil stays nil.
func Denied(err error) *broker.Error {
	if err == nil {
		return nil
	}
	return &broker.Error{Code: broker.Denied, Detail: err.Error(), Err: err}
}
