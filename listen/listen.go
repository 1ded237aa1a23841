// Package listen accepts connections: plain, TLS or either on one port, behind a proxy or not, of one protocol or of
// whichever the first bytes show; and it keeps away what floods, dawdles or never logs in.
//
// A [Server] gives each connection to the [Handler] of its protocol. It imports nothing of ours.
package listen

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Handler serves one connection, in its own goroutine; when it returns, the connection is closed. conn is a *Conn where
// there is no TLS, and else has the method ConnectionState of tls.Conn, which with info.Relayed is not about the client. ctx ends when the server shuts down: then the
// handler should say goodbye and return. It must call info.LoggedIn when the client is logged in.
type Handler func(ctx context.Context, conn net.Conn, info Info)

// Info says what a listener knows of a connection.
type Info struct {
	Protocol Protocol
	Listener string         // the endpoint's name
	Remote   netip.AddrPort // the client, behind the proxy
	Local    netip.AddrPort // what the client dialled
	Proxy    netip.AddrPort // the proxy; invalid without
	TLS      *TLSInfo       // nil: plain
	Relayed  bool           // the proxy is another instance of the broker: it came by ListenHandover
	Via      string         // that instance's name, as it says itself; "" if it does not
	guard    *guard
}

// TLSInfo is what was agreed in a handshake.
type TLSInfo struct {
	Version     uint16 // tls.VersionTLS12 or 13
	CipherSuite uint16
	ServerName  string // asked for by the client; empty if it did not
	// Peer is the client's certificate chain, its own first, verified; empty if it showed none.
	Peer []*x509.Certificate
}

// LoggedIn ends the limits of bytes and time for clients that are not logged in. Further calls do nothing, nor does one on
// the zero Info. It returns false if the limit of time was first and the connection is being closed.
func (i Info) LoggedIn() bool {
	return i.guard == nil || i.guard.loggedIn()
}

// Options of a Server.
type Options struct {
	// Handlers by protocol. An endpoint of one protocol needs its handler; one with Auto takes what is here.
	Handlers map[Protocol]Handler
	// Certificates are needed by endpoints with TLS.
	Certificates *Certificates
	// MaxConnections are open at once on all endpoints together. 0 means no limit but those of the endpoints.
	MaxConnections int
	// Log receives refusals with the client's address. Nil: nothing is logged.
	Log *slog.Logger
}

// Server listens on endpoints. Its methods may be called concurrently.
type Server struct {
	options Options
	log     *slog.Logger
	gate    gate
	peers   gate         // connections that other instances hand over, until they said whose
	total   atomic.Int64 // connections: Options.MaxConnections, or what Limit has made of it
	stats   Stats
	pace    pace
	admits  atomic.Pointer[func(client netip.Addr, port int) bool] // nil: everybody is
	ctx     context.Context                                        // of the handlers
	cancel  context.CancelFunc

	mu        sync.Mutex
	listeners []*listener
	started   bool
	closed    bool
	guards    map[*guard]struct{}
	running   sync.WaitGroup // accept loops and handlers
}

type listener struct {
	Endpoint
	handover *Handover // not nil: other instances hand over connections of clients here
	tcp      *net.TCPListener
	tls      *tls.Config
	open     atomic.Int64
	most     atomic.Int64  // connections: Limits.MaxConnections, or what Limit has made of it
	done     chan struct{} // closed when the listener is
}

// ErrClosed is what Listen fails with after Shutdown or Close.
var ErrClosed = errors.New("the server is closed")

// New makes a server that listens nowhere yet.
func New(options Options) *Server {
	if options.Log == nil {
		options.Log = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Server{
		options: options, log: options.Log, ctx: ctx, cancel: cancel,
		gate: gate{of: make(map[netip.Addr]*tally)}, peers: gate{of: make(map[netip.Addr]*tally)}, guards: make(map[*guard]struct{}),
	}
	s.total.Store(int64(options.MaxConnections))
	return s
}

// Stats are the server's counters.
func (s *Server) Stats() *Stats { return &s.stats }

// Bound is an endpoint that the server listens on.
type Bound struct {
	Endpoint // with its name, and its port if that was 0
	Addr     *net.TCPAddr
	Open     int // connections
}

// Listen binds an endpoint and returns it with its name and port. Connections wait until Start was called.
func (s *Server) Listen(e Endpoint) (Endpoint, error) {
	e.Limits = e.Limits.withDefaults()
	l := &listener{Endpoint: e, done: make(chan struct{})}
	l.most.Store(int64(e.Limits.MaxConnections))
	if err := s.prepare(l); err != nil {
		return e, fmt.Errorf("listen on %s: %w", e, err)
	}
	return s.bind(l)
}

// bind is the end of Listen for a listener that was checked.
func (s *Server) bind(l *listener) (Endpoint, error) {
	e := l.Endpoint
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return e, fmt.Errorf("listen on %s: %w", e, ErrClosed)
	}
	if err := s.name(l); err != nil {
		return e, fmt.Errorf("listen on %s: %w", e, err)
	}
	bound, err := net.Listen("tcp", e.Address)
	if err != nil {
		return e, fmt.Errorf("listen on %s: %w", e, err)
	}
	l.tcp = bound.(*net.TCPListener)
	host, _, _ := net.SplitHostPort(e.Address)
	l.Address = net.JoinHostPort(host, strconv.Itoa(l.tcp.Addr().(*net.TCPAddr).Port))
	s.listeners = append(s.listeners, l)
	if s.started {
		s.running.Go(func() { s.accept(l) })
	}
	return l.Endpoint, nil
}

// prepare checks what an endpoint needs of the server.
func (s *Server) prepare(l *listener) error {
	if err := l.check(); err != nil {
		return err
	}
	if l.Protocol == Auto && len(s.options.Handlers) == 0 || l.Protocol != Auto && s.options.Handlers[l.Protocol] == nil {
		return fmt.Errorf("protocol %s is not served", l.Protocol)
	}
	if l.TLS == TLSOff {
		return nil
	}
	if s.options.Certificates == nil {
		return errors.New("tls needs a certificate")
	}
	if l.ClientAuth != NoClientAuth && !s.options.Certificates.VerifiesClients() {
		return fmt.Errorf("client-auth %s needs a CA for the clients' certificates", l.ClientAuth)
	}
	l.tls = s.options.Certificates.serverConfig(l.ClientAuth)
	return nil
}

// name gives a listener its name. The caller holds s.mu.
func (s *Server) name(l *listener) error {
	taken := func(name string) bool {
		for _, other := range s.listeners {
			if other.Name == name {
				return true
			}
		}
		return false
	}
	if l.Name != "" {
		if taken(l.Name) {
			return fmt.Errorf("the name %q is taken by another endpoint", l.Name)
		}
		return nil
	}
	base := string(l.Protocol) + [...]string{TLSOff: "", TLSRequired: "+tls", TLSOptional: "+tcp+tls"}[l.TLS]
	l.Name = base
	for n := 2; taken(l.Name); n++ {
		l.Name = base + "-" + strconv.Itoa(n)
	}
	return nil
}

// Limit changes how many connections may be open at once on all endpoints together, as Options.MaxConnections, and on some of them, by their names, as Limits.MaxConnections. Those that are
// open stay.
func (s *Server) Limit(all int, each map[string]int) {
	s.total.Store(int64(all))
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.listeners {
		if n := each[l.Name]; n > 0 {
			l.most.Store(int64(n))
		}
	}
}

// Admit says from now on which clients may connect to which port, and closes the connections of those that may not any more. nil: all may. Connections that other instances hand over
// are let in by those. admits must not wait.
func (s *Server) Admit(admits func(client netip.Addr, port int) bool) {
	if admits == nil {
		s.admits.Store(nil)
		return
	}
	s.admits.Store(&admits)
	s.mu.Lock()
	var out []*guard
	for g := range s.guards {
		if !g.admitted() {
			out = append(out, g)
		}
	}
	s.mu.Unlock()
	for _, g := range out {
		g.refuse(&s.stats.RefusedAccess, errNoAccess)
		g.state.CompareAndSwap(pending, expired) // nothing more is to be said of it
		g.conn.Close()
	}
}

// Start begins to accept, also on endpoints that are bound later.
func (s *Server) Start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.started || s.closed {
		return
	}
	s.started = true
	for _, l := range s.listeners {
		s.running.Go(func() { s.accept(l) })
	}
}

// Bound lists the endpoints for clients in the order in which they were bound.
func (s *Server) Bound() []Bound {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []Bound
	for _, l := range s.listeners {
		if l.handover != nil {
			continue
		}
		list = append(list, Bound{l.Endpoint, l.tcp.Addr().(*net.TCPAddr), int(l.open.Load())})
	}
	return list
}

// Unlisten closes the endpoint of that name; its connections stay. It says whether there was one.
func (s *Server) Unlisten(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, l := range s.listeners {
		if l.Name == name {
			close(l.done)
			l.tcp.Close()
			s.listeners = append(s.listeners[:i:i], s.listeners[i+1:]...)
			return true
		}
	}
	return false
}

// Shutdown stops listening, ends the handlers' context and waits until all have returned. When ctx ends first, it
// closes their connections, waits for them still, and returns ctx's error.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.running.Wait()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	for g := range s.guards {
		g.conn.Close()
	}
	s.mu.Unlock()
	<-done
	return ctx.Err()
}

// Close is a Shutdown that does not wait for goodbyes.
func (s *Server) Close() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	s.Shutdown(ctx)
}

func (s *Server) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	for _, l := range s.listeners {
		close(l.done)
		l.tcp.Close()
	}
	for g := range s.guards {
		if !g.handled.Load() {
			g.conn.Close() // it has nobody to say goodbye to
		}
	}
	s.cancel()
}

// accept is the loop of one listener.
func (s *Server) accept(l *listener) {
	pause := time.Duration(0)
	for {
		tcp, err := l.tcp.AcceptTCP()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			// Mostly no file descriptors are left: others must end first. Log the first, and not each.
			s.stats.AcceptFail.Add(1)
			if pause == 0 {
				s.log.Error("accept failed; trying again", slog.String("listener", l.Name), slog.Any("error", err))
			}
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			select {
			case <-time.After(pause):
				continue
			case <-l.done:
				return
			}
		}
		pause = 0
		s.stats.Accepted.Add(1)
		s.take(l, tcp)
	}
}

// take counts an accepted connection and serves it, or closes it. It must not wait: others are to be accepted.
func (s *Server) take(l *listener, tcp *net.TCPConn) {
	peer := unmap(tcp.RemoteAddr().(*net.TCPAddr).AddrPort())
	total, open := s.stats.Current.Add(1), l.open.Add(1)
	g := &guard{server: s, listener: l, peer: peer, remote: peer, proxied: l.proxied(peer.Addr())}
	g.conn = &Conn{TCPConn: tcp, guard: g, budget: l.Limits.LoginBytes, fresh: l.TLS == TLSOff}
	g.conn.guarded.Store(true)
	if most := s.total.Load(); most > 0 && total > most || open > l.most.Load() {
		g.refuse(&s.stats.RefusedFull, errors.New("too many connections"))
		g.release()
		return
	}
	// Behind a proxy the address is known only later.
	if l.handover != nil {
		g.conn.budget = maxHandoverBytes
	}
	if !g.proxied && !g.enter() {
		g.release()
		return
	}
	s.mu.Lock()
	if s.closed || !g.admitted() { // asked for under the lock, behind which Admit looks at all that are there
		closed := s.closed
		s.mu.Unlock()
		if !closed {
			g.refuse(&s.stats.RefusedAccess, errNoAccess)
		}
		g.release()
		return
	}
	s.guards[g] = struct{}{}
	// The accept loop is counted in running, so this does not begin while Shutdown waits for the last.
	s.running.Go(func() {
		defer g.release()
		s.serve(g)
	})
	s.mu.Unlock()
}

// serve finds out what a connection is and gives it to its handler.
func (s *Server) serve(g *guard) {
	g.timer.Store(time.AfterFunc(g.listener.Limits.LoginTimeout, g.expire))
	conn, info, counter, err := g.shake()
	if err != nil {
		g.refuse(counter, err)
		return
	}
	g.handled.Store(true)
	s.stats.Handled.Add(1)
	s.options.Handlers[info.Protocol](s.ctx, conn, info)
}
