package relay

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/godwitmq/godwit/listen"
)

// patience is for what must happen soon; a test that passes never waits for it.
const patience = 20 * time.Second

// authority is a CA made for a test.
type authority struct {
	tb   testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(tb testing.TB, name string) *authority {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	a := &authority{tb: tb, key: key, pool: x509.NewCertPool()}
	a.cert = a.sign(&x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil, key)
	a.pool.AddCert(a.cert)
	return a
}

func (a *authority) sign(template, parent *x509.Certificate, key *ecdsa.PrivateKey) *x509.Certificate {
	a.tb.Helper()
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	if template.NotBefore.IsZero() {
		template.NotBefore = time.Now().Add(-time.Hour)
	}
	template.NotAfter = template.NotBefore.Add(24 * time.Hour)
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, a.key)
	if err != nil {
		a.tb.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		a.tb.Fatal(err)
	}
	return c
}

// issue makes a certificate for both sides of a connection on this machine.
func (a *authority) issue(subject pkix.Name) tls.Certificate { return a.issueAt(time.Time{}, subject) }

// issueAt makes one for the day that begins then.
func (a *authority) issueAt(begin time.Time, subject pkix.Name) tls.Certificate {
	a.tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.tb.Fatal(err)
	}
	leaf := a.sign(&x509.Certificate{Subject: subject, NotBefore: begin, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}}, a.cert, key)
	return tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
}

// node is the configuration of an instance, for both of its sides.
func (a *authority) node(name string) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{a.issue(pkix.Name{CommonName: name})}, RootCAs: a.pool, ClientCAs: a.pool}
}

// served is a connection that reached a handler of the active.
type served struct {
	conn net.Conn
	info listen.Info
	end  chan struct{} // close it and the handler returns
}

// fixed is a directory in which everything is known. Replace what it says through set.
type fixed struct {
	address string
	term    context.Context
	err     error
}

func (f *fixed) Active(ctx context.Context) (string, context.Context, error) {
	if f.err != nil {
		return "", nil, f.err
	}
	return f.address, f.term, nil
}

// active is an instance that serves.
type active struct {
	*listen.Server
	tb     testing.TB
	at     listen.Endpoint
	served chan served
}

func newActive(tb testing.TB, options ReceiverOptions) *active {
	tb.Helper()
	a := &active{tb: tb, served: make(chan served, 1024)}
	handle := func(ctx context.Context, conn net.Conn, info listen.Info) {
		s := served{conn, info, make(chan struct{})}
		a.served <- s
		select {
		case <-s.end:
		case <-ctx.Done():
		}
	}
	a.Server = listen.New(listen.Options{Handlers: map[listen.Protocol]listen.Handler{listen.STOMP: handle, listen.OpenWire: handle}})
	tb.Cleanup(a.Close)
	a.Start()
	if options.Address == "" {
		options.Address = "127.0.0.1:0"
	}
	var err error
	if a.at, err = Listen(a.Server, options); err != nil {
		tb.Fatal(err)
	}
	return a
}

func (a *active) next() served {
	a.tb.Helper()
	select {
	case s := <-a.served:
		s.conn.SetReadDeadline(time.Now().Add(patience))
		return s
	case <-time.After(patience):
		a.tb.Fatal("no handler was called")
		return served{}
	}
}

// idle waits until no connection is left, so that all is counted.
func (a *active) idle() {
	a.tb.Helper()
	for end := time.Now().Add(patience); a.Stats().Current.Load() != 0; <-time.After(time.Millisecond) {
		if time.Now().After(end) {
			a.tb.Fatal("connections stay open")
		}
	}
}

// standby is an instance that carries.
type standby struct {
	*listen.Server
	*Carrier
	tb   testing.TB
	ends chan error // what Serve returned
}

func newStandby(tb testing.TB, certificates *listen.Certificates, options Options) *standby {
	tb.Helper()
	if options.Hold == 0 {
		options.Hold = patience // machines that run tests are busy
	}
	s := &standby{tb: tb, Carrier: New(options), ends: make(chan error, 2048)}
	handle := func(ctx context.Context, conn net.Conn, info listen.Info) { s.ends <- s.Serve(ctx, conn, info) }
	s.Server = listen.New(listen.Options{Certificates: certificates,
		Handlers: map[listen.Protocol]listen.Handler{listen.STOMP: handle, listen.OpenWire: handle, listen.AMQP: handle}})
	tb.Cleanup(s.Server.Close)
	s.Start()
	return s
}

func (s *standby) listen(e listen.Endpoint) string {
	s.tb.Helper()
	if e.Address == "" {
		e.Address = "127.0.0.1:0"
	}
	if e.Protocol == "" {
		e.Protocol = listen.STOMP
	}
	bound, err := s.Server.Listen(e)
	if err != nil {
		s.tb.Fatal(err)
	}
	return bound.Address
}

// ended is what Serve returned for a connection.
func (s *standby) ended() error {
	s.tb.Helper()
	select {
	case err := <-s.ends:
		return err
	case <-time.After(patience):
		s.tb.Fatal("the carrier goes on")
		return nil
	}
}

func dial(tb testing.TB, address string) *net.TCPConn {
	tb.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c.(*net.TCPConn)
}

func write(tb testing.TB, c net.Conn, text string) {
	tb.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		tb.Fatal(err)
	}
}

func wantRead(tb testing.TB, c net.Conn, want string) {
	tb.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(c, got); err != nil || string(got) != want {
		tb.Fatalf("read %q, %v; want %q", got[:n], err, want)
	}
}

// wantEnd waits for the end of a connection, by FIN or RST, and that nothing comes before it.
func wantEnd(tb testing.TB, c net.Conn) {
	tb.Helper()
	n, err := io.Copy(io.Discard, c)
	if n != 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		tb.Fatalf("read %d bytes, %v; want the end", n, err)
	}
}

// clientCertificates are those of an instance's endpoints, as listen loads them, with the same CA for clients.
func clientCertificates(tb testing.TB, a *authority) *listen.Certificates {
	tb.Helper()
	c := a.issue(pkix.Name{CommonName: "broker"})
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		tb.Fatal(err)
	}
	dir := tb.TempDir()
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: c.Leaf.Raw}, "key.pem": {Type: "PRIVATE KEY", Bytes: key},
		"ca.pem": {Type: "CERTIFICATE", Bytes: a.cert.Raw}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	loaded, err := listen.LoadCertificates(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), filepath.Join(dir, "ca.pem"), nil)
	if err != nil {
		tb.Fatal(err)
	}
	return loaded
}

func addressOf(a net.Addr) netip.AddrPort { return a.(*net.TCPAddr).AddrPort() }

// TestIdentityArrives: the active knows of a client what it would know if the client had come to it.
func TestIdentityArrives(t *testing.T) {
	cluster, people := newAuthority(t, "cluster"), newAuthority(t, "people")
	certificates := clientCertificates(t, people)
	client := people.issue(pkix.Name{CommonName: "Ünal", Organization: []string{"Orders, Ltd"}})
	nameless := people.issue(pkix.Name{Organization: []string{"No CN"}})
	tests := map[string]struct {
		endpoint listen.Endpoint
		hello    string
		protocol listen.Protocol
		tls      *tls.Config // of the client; nil: plain
		peer     *x509.Certificate
	}{
		"plain":    {endpoint: listen.Endpoint{Name: "in"}, hello: "CONNECT\n", protocol: listen.STOMP},
		"detected": {endpoint: listen.Endpoint{Protocol: listen.Auto, Name: "any"}, hello: "\x00\x00\x00\x0e\x01ActiveMQ", protocol: listen.OpenWire},
		"TLS":      {endpoint: listen.Endpoint{TLS: listen.TLSRequired, Name: "secure"}, hello: "CONNECT\n", protocol: listen.STOMP, tls: &tls.Config{}},
		"TLS 1.2": {endpoint: listen.Endpoint{TLS: listen.TLSRequired, Name: "secure"}, hello: "CONNECT\n", protocol: listen.STOMP,
			tls: &tls.Config{MaxVersion: tls.VersionTLS12}},
		"TLS, detected": {endpoint: listen.Endpoint{Protocol: listen.Auto, TLS: listen.TLSOptional, Name: "any"}, hello: "STOMP\n", protocol: listen.STOMP,
			tls: &tls.Config{}},
		"certificate": {endpoint: listen.Endpoint{TLS: listen.TLSRequired, ClientAuth: listen.OptionalClientAuth, Name: "mutual"}, hello: "CONNECT\n",
			protocol: listen.STOMP, tls: &tls.Config{Certificates: []tls.Certificate{client}}, peer: client.Leaf},
		"certificate without CN": {endpoint: listen.Endpoint{TLS: listen.TLSRequired, ClientAuth: listen.RequiredClientAuth, Name: "mutual"}, hello: "CONNECT\n",
			protocol: listen.STOMP, tls: &tls.Config{Certificates: []tls.Certificate{nameless}}, peer: nameless.Leaf},
		"certificate not asked for": {endpoint: listen.Endpoint{TLS: listen.TLSRequired, Name: "secure"}, hello: "CONNECT\n",
			protocol: listen.STOMP, tls: &tls.Config{Certificates: []tls.Certificate{client}}},
	}
	for name, tt := range tests {
		for _, relay := range []string{"TLS", "plain"} {
			t.Run(name+", relay "+relay, func(t *testing.T) {
				var there, here *tls.Config
				if relay == "TLS" {
					there, here = cluster.node("a"), cluster.node("b")
				}
				a := newActive(t, ReceiverOptions{TLS: there})
				s := newStandby(t, certificates, Options{Name: "b", TLS: here, Directory: &fixed{address: a.at.Address, term: t.Context()}})
				tcp := dial(t, s.listen(tt.endpoint))
				var conn net.Conn = tcp
				if tt.tls != nil {
					config := tt.tls.Clone()
					config.RootCAs, config.ServerName = people.pool, "localhost"
					conn = tls.Client(tcp, config)
				}
				write(t, conn, tt.hello)
				got := a.next()
				wantRead(t, got.conn, tt.hello)
				i := got.info
				if i.Protocol != tt.protocol || i.Listener != tt.endpoint.Name || i.Remote != addressOf(tcp.LocalAddr()) || i.Local != addressOf(tcp.RemoteAddr()) ||
					i.Proxy.Addr() != netip.MustParseAddr("127.0.0.1") || i.Proxy == i.Remote || !i.Relayed || i.Via != "b" || (i.TLS != nil) != (tt.tls != nil) {
					t.Errorf("info = %+v; want %s of %s from %v to %v", i, tt.protocol, tt.endpoint.Name, tcp.LocalAddr(), tcp.RemoteAddr())
				}
				if tt.tls != nil {
					state := conn.(*tls.Conn).ConnectionState()
					if i.TLS.Version != state.Version || i.TLS.CipherSuite != state.CipherSuite || i.TLS.ServerName != "localhost" {
						t.Errorf("TLS = %+v, want version %x, suite %x, localhost", i.TLS, state.Version, state.CipherSuite)
					}
					if tt.peer == nil && len(i.TLS.Peer) > 0 || tt.peer != nil && (len(i.TLS.Peer) != 1 || !i.TLS.Peer[0].Equal(tt.peer)) {
						t.Errorf("certificate = %v, want %v", i.TLS.Peer, tt.peer)
					}
				}
				write(t, got.conn, "answer")
				wantRead(t, conn, "answer")
				if !i.LoggedIn() {
					t.Error("LoggedIn = false")
				}
				close(got.end)
				wantEnd(t, conn)
			})
		}
	}
}
