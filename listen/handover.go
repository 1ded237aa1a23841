package listen

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"
)

// Relay is the protocol of an endpoint of [Server.ListenHandover], as names and logs show it. Clients do not speak it.
const Relay Protocol = "relay"

const (
	maxHandovers      = 1024      // of one peer that have not said whose connection it is
	maxHandoverBytes  = 128 << 10 // read from the socket until then: TLS handshake with both chains, and what Read bounds
	handoverTLSLowest = tls.VersionTLS13
)

// Handover is an endpoint at which peers that are trusted, the other instances of the broker, hand over the connections
// of clients that came to them.
type Handover struct {
	Address string // host:port
	// TLS must have a certificate, and ClientCAs by which the peers' are verified, by itself or by its GetConfigForClient.
	// Peers are then required to have one, and TLS 1.3, whatever it says. Whoever has a certificate of that CA is believed
	// who a client is, so it must not be one that signs for clients, unless VerifyConnection tells them apart. Nil: plain,
	// for which Address must be a loopback one.
	TLS *tls.Config
	// Read reads exactly what comes before the client's own bytes, which it must bound, and returns what the peer says of
	// the client: Protocol, Listener, Remote, Local and TLS. An error closes the connection.
	Read func(io.Reader) (Info, error)
	// Answer tells the peer whether its client is served, after Read and after the limits were asked: refusal is why not,
	// or nil. An error closes the connection.
	Answer func(w io.Writer, refusal error) error
	// Limits apply to the clients' addresses. MaxConnections is counted here; of the login, time counts from accept, and
	// bytes from the first of the client.
	Limits Limits
}

// ListenHandover binds such an endpoint. Its connections reach the same Handlers and count by the client's address
// together with those of all endpoints. They have Info.Relayed; their Info.TLS is that of the client's own connection,
// whatever the net.Conn is. It is not among Bound; Unlisten ends it by the name in what is returned.
func (s *Server) ListenHandover(h Handover) (Endpoint, error) {
	e := Endpoint{Protocol: Relay, Address: h.Address, Limits: h.Limits.withDefaults()}
	l := &listener{Endpoint: e, handover: &h, done: make(chan struct{})}
	l.most.Store(int64(e.Limits.MaxConnections))
	if _, _, err := net.SplitHostPort(h.Address); err != nil {
		return e, fmt.Errorf("listen for relayed connections on %q: %w", h.Address, err)
	}
	if h.TLS == nil && !e.Loopback() {
		return e, fmt.Errorf("listen for relayed connections on %s: only a loopback address may be without TLS", h.Address)
	}
	if h.TLS != nil {
		config, err := mutual(h.TLS)
		if err != nil {
			return e, fmt.Errorf("listen for relayed connections on %s: %w", h.Address, err)
		}
		l.TLS, l.tls = TLSRequired, config
	}
	return s.bind(l)
}

// mutual makes a configuration one that requires and verifies the peer's certificate.
func mutual(config *tls.Config) (*tls.Config, error) {
	if config.ClientCAs == nil && config.GetConfigForClient == nil {
		return nil, errors.New("tls has no CA for the peers' certificates") // the system's roots would do then
	}
	strict := config.Clone()
	strict.ClientAuth = tls.RequireAndVerifyClientCert
	strict.MinVersion = max(strict.MinVersion, handoverTLSLowest)
	strict.DynamicRecordSizingDisabled = true // nobody waits for the begin of a page here
	if follow := config.GetConfigForClient; follow != nil {
		strict.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			c, err := follow(hello)
			if c == nil || err != nil {
				c = config
			}
			if err == nil && c.ClientCAs == nil {
				err = errors.New("tls has no CA for the peers' certificates")
			}
			if err != nil {
				return nil, err
			}
			c = c.Clone()
			c.GetConfigForClient = nil
			return mutual(c)
		}
	}
	return strict, nil
}

// receive is shake for a connection that a peer hands over.
func (g *guard) receive() (net.Conn, Info, *atomic.Int64, error) {
	s, l := g.server, g.listener
	var conn net.Conn = g.conn
	if err := g.conn.SetDeadline(time.Now().Add(l.Limits.HandshakeTimeout)); err != nil {
		return nil, Info{}, &s.stats.RefusedProtocol, err
	}
	if l.tls != nil {
		secure := tls.Server(g.conn, l.tls)
		if err := secure.HandshakeContext(s.ctx); err != nil {
			return nil, Info{}, &s.stats.RefusedTLS, explainTLS(err)
		}
		s.stats.TLS.Add(1)
		if len(secure.ConnectionState().VerifiedChains) == 0 {
			return nil, Info{}, &s.stats.RefusedTLS, errors.New("the peer's certificate was not verified")
		}
		conn = secure
	}
	info, err := l.handover.Read(conn)
	if err != nil {
		return nil, info, &s.stats.RefusedProxy, err
	}
	info.Proxy, info.Relayed, info.guard = g.peer, true, g
	counter, refusal := g.admitRelayed(info)
	if err := l.handover.Answer(conn, refusal); err != nil && refusal == nil {
		return nil, info, &s.stats.RefusedRelay, err
	}
	if refusal != nil {
		return nil, info, counter, refusal
	}
	g.conn.budget = l.Limits.LoginBytes
	if err := g.conn.SetDeadline(time.Time{}); err != nil {
		return nil, info, &s.stats.RefusedProtocol, err
	}
	s.stats.Relayed.Add(1)
	return conn, info, nil, nil
}

// admitRelayed asks whether the client behind the peer may come in.
func (g *guard) admitRelayed(info Info) (*atomic.Int64, error) {
	stats := &g.server.stats
	if !info.Remote.IsValid() {
		return &stats.RefusedProxy, errors.New("no client's address")
	}
	if g.server.options.Handlers[info.Protocol] == nil {
		return &stats.RefusedProtocol, fmt.Errorf("protocol %q is not served", string(info.Protocol))
	}
	g.server.peers.release(g.peer.Addr())
	g.entered = nil
	g.introduce(info.Remote)
	counter := g.server.gate.enter(info.Remote.Addr(), &g.listener.Limits, stats)
	if counter != nil {
		return counter, errTooManyFrom
	}
	g.entered = &g.server.gate
	return nil, nil
}
