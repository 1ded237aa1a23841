package listen

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// tlsHandshake is the first byte of a TLS connection; no other protocol here begins with it.
const tlsHandshake = 0x16

// guard watches one connection until it is logged in, and counts it until it ends.
type guard struct {
	server       *Server
	listener     *listener
	conn         *Conn
	peer, remote netip.AddrPort
	proxied      bool  // begins with a PROXY header
	introduced   bool  // remote is what a PROXY header said
	entered      *gate // that counts it; nil: none
	handled      atomic.Bool
	state        atomic.Int32
	timer        atomic.Pointer[time.Timer]
}

// The states of a guard.
const (
	pending int32 = iota
	inside
	expired
)

func (g *guard) loggedIn() bool {
	if g.server.gate.admit(g) {
		g.timer.Load().Stop()
		g.conn.loggedIn.Store(true)
		g.server.stats.LoggedIn.Add(1)
	}
	return g.state.Load() == inside
}

// expire closes a connection whose client did not log in in time.
func (g *guard) expire() {
	if !g.state.CompareAndSwap(pending, expired) {
		return
	}
	g.server.stats.RefusedLoginTimeout.Add(1)
	g.note(fmt.Sprintf("no login within %v", g.listener.Limits.LoginTimeout))
	g.conn.Close()
}

// exceeded is called when a client has sent too much without logging in. The session gets an error from its read and
// closes; that must not hang on its doing so.
func (g *guard) exceeded() {
	if g.state.CompareAndSwap(pending, expired) {
		g.server.stats.RefusedLoginBytes.Add(1)
		if g.listener.handover != nil && !g.introduced {
			g.note(fmt.Sprintf("no client named within %d bytes", maxHandoverBytes))
		} else {
			g.note(fmt.Sprintf("no login within %d bytes", g.listener.Limits.LoginBytes))
		}
		g.conn.Close()
	}
}

// enter asks the gate.
func (g *guard) enter() bool {
	gate, limits := &g.server.gate, &g.listener.Limits
	if g.listener.handover != nil && !g.introduced {
		// A peer has many, of many clients. It is only kept from having too many at once of which it says nothing.
		gate, limits = &g.server.peers, &Limits{MaxPendingPerAddress: maxHandovers}
	}
	counter := gate.enter(g.remote.Addr(), limits, &g.server.stats)
	if counter == nil {
		g.entered = gate
		return true
	}
	g.refuse(counter, errTooManyFrom)
	return false
}

// admitted says whether the client may be here. Of one whose address is not known yet, nothing is said.
func (g *guard) admitted() bool {
	admits := g.server.admits.Load()
	if admits == nil || g.listener.handover != nil {
		return true
	}
	g.server.gate.mu.Lock()
	remote, known := g.remote.Addr(), !g.proxied || g.introduced
	g.server.gate.mu.Unlock()
	return !known || (*admits)(remote, g.listener.tcp.Addr().(*net.TCPAddr).Port)
}

var errNoAccess = errors.New("no rule of access lets this address in")

var errTooManyFrom = errors.New("too many connections from this address")

// introduce says who the client is. The timer may be about to say so, too.
func (g *guard) introduce(remote netip.AddrPort) {
	g.server.gate.mu.Lock()
	defer g.server.gate.mu.Unlock()
	g.remote, g.introduced = remote, true
}

func (g *guard) address() netip.AddrPort {
	g.server.gate.mu.Lock()
	defer g.server.gate.mu.Unlock()
	return g.remote
}

// release ends a connection, once.
func (g *guard) release() {
	if timer := g.timer.Load(); timer != nil {
		timer.Stop()
	}
	g.conn.Close()
	s := g.server
	if g.entered != nil {
		g.entered.leave(g)
	}
	g.listener.open.Add(-1)
	s.stats.Current.Add(-1)
	s.mu.Lock()
	delete(s.guards, g)
	s.mu.Unlock()
}

// refuse counts and logs why a connection is not served. A nil counter: counted already.
func (g *guard) refuse(counter *atomic.Int64, err error) {
	if counter == nil || g.state.Load() == expired || g.server.ctx.Err() != nil {
		return
	}
	counter.Add(1)
	if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return // somebody looked whether the port is open
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = fmt.Errorf("nothing to go by within %v", g.listener.Limits.HandshakeTimeout)
	}
	g.note(err.Error())
}

// note logs about the connection.
func (g *guard) note(what string) {
	skipped, ok := g.server.pace.allow(time.Now())
	if !ok {
		return
	}
	remote := g.address()
	attributes := []any{slog.String("reason", what), slog.String("listener", g.listener.Name), slog.Any("address", remote)}
	if g.peer != remote {
		attributes = append(attributes, slog.Any("proxy", g.peer))
	}
	if skipped > 0 {
		attributes = append(attributes, slog.Int("skipped", skipped))
	}
	g.server.log.Warn("connection", attributes...)
}

// shake reads what comes before the protocol: PROXY header, TLS handshake, first bytes. On an error counter is what
// counts it.
func (g *guard) shake() (conn net.Conn, info Info, counter *atomic.Int64, err error) {
	s, l := g.server, g.listener
	if l.handover != nil {
		return g.receive()
	}
	info = Info{Protocol: l.Protocol, Listener: l.Name, Remote: g.peer, guard: g}
	info.Local = unmap(g.conn.LocalAddr().(*net.TCPAddr).AddrPort())
	conn = g.conn
	if !g.proxied && l.TLS == TLSOff && l.Protocol != Auto {
		return conn, info, nil, nil
	}
	if err := g.conn.SetDeadline(time.Now().Add(l.Limits.HandshakeTimeout)); err != nil {
		return nil, info, &s.stats.RefusedProtocol, err
	}
	if g.proxied {
		header, err := ReadProxyHeader(g.conn, maxProxyAddition)
		if err != nil {
			return nil, info, &s.stats.RefusedProxy, err
		}
		if header.Source.IsValid() {
			g.introduce(header.Source)
			info.Remote, info.Local, info.Proxy = header.Source, header.Destination, g.peer
		}
		if !g.admitted() {
			return nil, info, &s.stats.RefusedAccess, errNoAccess
		}
		if !g.enter() {
			return nil, info, nil, errors.New("refused")
		}
		g.conn.fresh = l.TLS == TLSOff
	}
	encrypted := l.TLS == TLSRequired
	if l.TLS == TLSOptional {
		first := make([]byte, 1)
		if _, err := g.conn.Read(first); err != nil {
			return nil, info, &s.stats.RefusedProtocol, err
		}
		g.conn.unread(first)
		encrypted = first[0] == tlsHandshake
	}
	if encrypted {
		secure := tls.Server(g.conn, l.tls)
		if err := secure.HandshakeContext(s.ctx); err != nil {
			return nil, info, &s.stats.RefusedTLS, explainTLS(err)
		}
		s.stats.TLS.Add(1)
		state := secure.ConnectionState()
		info.TLS = &TLSInfo{Version: state.Version, CipherSuite: state.CipherSuite, ServerName: state.ServerName, Peer: state.PeerCertificates}
		conn = secure
	}
	if l.Protocol == Auto {
		if conn, info.Protocol, err = s.detect(conn); err != nil {
			return nil, info, &s.stats.RefusedProtocol, err
		}
	}
	if err := g.conn.SetDeadline(time.Time{}); err != nil {
		return nil, info, &s.stats.RefusedProtocol, err
	}
	return conn, info, nil, nil
}

// explainTLS says what a failed handshake mostly means.
func explainTLS(err error) error {
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &record):
		return errors.New("a client without TLS on an endpoint that requires it")
	case errors.Is(err, context.Canceled):
		return err
	}
	return fmt.Errorf("TLS handshake: %w", err)
}

// detect reads the first bytes and returns a connection that gives them back.
func (s *Server) detect(conn net.Conn) (net.Conn, Protocol, error) {
	buffer := make([]byte, maxDetect)
	n := 0
	for {
		m, err := conn.Read(buffer[n:])
		n += m
		protocol, decided := Detect(buffer[:n])
		switch {
		case decided && protocol == "":
			return nil, "", fmt.Errorf("unknown protocol: the connection begins with %q", buffer[:min(n, 16)])
		case decided && s.options.Handlers[protocol] == nil:
			return nil, "", fmt.Errorf("protocol %s is not served", protocol)
		case decided:
			if plain, ok := conn.(*Conn); ok {
				plain.unread(buffer[:n:n])
				return plain, protocol, nil
			}
			return &tlsConn{Conn: conn.(*tls.Conn), ahead: buffer[:n:n]}, protocol, nil
		case err != nil && n > 0:
			return nil, "", fmt.Errorf("unknown protocol: the connection begins with %q, and then: %v", buffer[:min(n, 16)], err)
		case err != nil:
			return nil, "", err
		}
	}
}

// pace bounds log lines that anybody can cause: 50 at once, 5 a second.
type pace struct {
	mu      sync.Mutex
	tokens  float64
	at      time.Time
	skipped int
}

func (p *pace) allow(now time.Time) (skipped int, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.at.IsZero() {
		p.tokens = 50
	} else {
		p.tokens = min(50, p.tokens+now.Sub(p.at).Seconds()*5)
	}
	p.at = now
	if p.tokens < 1 {
		p.skipped++
		return 0, false
	}
	p.tokens--
	skipped, p.skipped = p.skipped, 0
	return skipped, true
}
