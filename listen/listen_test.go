package listen

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience is for what must happen soon; a test that passes never waits for it.
const patience = 20 * time.Second

// served is a connection that reached a handler.
type served struct {
	conn net.Conn
	info Info
	ctx  context.Context
	end  chan struct{} // close it and the handler returns
}

// fixture is a server whose handlers hand over what they get.
type fixture struct {
	*Server
	t      *testing.T
	served chan served
	log    *logBuffer
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newFixture(t *testing.T, certificates *Certificates, maxConnections int, protocols ...Protocol) *fixture {
	f := &fixture{t: t, served: make(chan served, 16), log: &logBuffer{}}
	handlers := make(map[Protocol]Handler)
	for _, p := range protocols {
		handlers[p] = func(ctx context.Context, conn net.Conn, info Info) {
			if info.Protocol != p {
				t.Errorf("handler of %s got %s", p, info.Protocol)
			}
			s := served{conn, info, ctx, make(chan struct{})}
			f.served <- s
			select {
			case <-s.end:
			case <-ctx.Done():
			}
		}
	}
	f.Server = New(Options{Handlers: handlers, Certificates: certificates, MaxConnections: maxConnections,
		Log: slog.New(slog.NewTextHandler(f.log, nil))})
	t.Cleanup(f.Close)
	f.Start()
	return f
}

func (f *fixture) listen(e Endpoint) string {
	f.t.Helper()
	if e.Address == "" {
		e.Address = "127.0.0.1:0"
	}
	bound, err := f.Listen(e)
	if err != nil {
		f.t.Fatal(err)
	}
	return bound.Address
}

func (f *fixture) dial(address string) *net.TCPConn {
	f.t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c.(*net.TCPConn)
}

func (f *fixture) next() served {
	f.t.Helper()
	select {
	case s := <-f.served:
		s.conn.SetReadDeadline(time.Now().Add(patience))
		return s
	case <-time.After(patience):
		f.t.Fatalf("no handler was called; log: %s", f.log)
		return served{}
	}
}

// write sends; text may be binary.
func (f *fixture) write(c net.Conn, text string) {
	f.t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		f.t.Fatal(err)
	}
}

// wantRead reads exactly want.
func (f *fixture) wantRead(c net.Conn, want string) {
	f.t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(c, got); err != nil || string(got) != want {
		f.t.Fatalf("read %q, %v; want %q", got[:n], err, want)
	}
}

// wantClosed waits for the end of a connection, be it by FIN or RST.
func (f *fixture) wantClosed(c net.Conn) {
	f.t.Helper()
	_, err := io.Copy(io.Discard, c)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		f.t.Fatalf("the connection was not closed; log: %s", f.log)
	}
}

// testCertificates makes a development certificate and loads it.
func testCertificates(t *testing.T) (Files, *Certificates) {
	t.Helper()
	files, err := EnsureDevCertificate(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := LoadCertificates(files.Certificate, files.Key, files.CA, nil)
	if err != nil {
		t.Fatal(err)
	}
	return files, c
}

// trusting is a client's configuration that trusts the CA.
func trusting(t *testing.T, files Files) *tls.Config {
	t.Helper()
	pem, err := os.ReadFile(files.CA)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		t.Fatal("no CA")
	}
	return &tls.Config{RootCAs: pool, ServerName: "localhost"}
}

const wireFormat = "\x00\x00\x00\x0e\x01ActiveMQ\x00\x00\x00\x0c\x00"

func TestProtocolsOverTransports(t *testing.T) {
	files, certificates := testCertificates(t)
	hello := map[Protocol]string{
		OpenWire: wireFormat, STOMP: "\n\nCONNECT\n\n\x00", AMQP: "AMQP\x03\x01\x00\x00",
		MQTT: "\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00", HTTP: "GET / HTTP/1.1\r\n\r\n",
	}
	for _, mode := range []TLSMode{TLSOff, TLSRequired, TLSOptional} {
		for _, auto := range []bool{false, true} {
			for protocol, bytes := range hello {
				for _, secure := range []bool{false, true} {
					if secure && mode == TLSOff || !secure && mode == TLSRequired {
						continue
					}
					t.Run(fmt.Sprintf("tls %s, auto %v, %s, secure %v", mode, auto, protocol, secure), func(t *testing.T) {
						f := newFixture(t, certificates, 0, OpenWire, STOMP, AMQP, MQTT, HTTP)
						e := Endpoint{Protocol: protocol, TLS: mode}
						if auto {
							e.Protocol = Auto
						}
						var client net.Conn = f.dial(f.listen(e))
						if secure {
							client = tls.Client(client, trusting(t, files))
						}
						f.write(client, bytes)
						s := f.next()
						f.wantRead(s.conn, bytes)
						if s.info.Protocol != protocol || (s.info.TLS != nil) != secure || s.info.Remote.String() != client.LocalAddr().String() ||
							s.info.Local.String() != client.RemoteAddr().String() || s.info.Proxy.IsValid() {
							t.Errorf("info = %+v, want %s, secure %v, from %v", s.info, protocol, secure, client.LocalAddr())
						}
						if secure && s.info.TLS.Version != tls.VersionTLS13 {
							t.Errorf("TLS version %x", s.info.TLS.Version)
						}
						if _, plain := s.conn.(*Conn); plain == secure {
							t.Errorf("conn is a %T", s.conn)
						}
						f.write(s.conn, "answer")
						f.wantRead(client, "answer")
						f.write(client, "more")
						f.wantRead(s.conn, "more")
						close(s.end)
						f.wantClosed(client)
					})
				}
			}
		}
	}
}

// TestNoWaitForFirstBytes: a listener of one protocol must not wait for the client to speak.
func TestNoWaitForFirstBytes(t *testing.T) {
	f := newFixture(t, nil, 0, OpenWire)
	client := f.dial(f.listen(Endpoint{Protocol: OpenWire}))
	s := f.next()
	f.write(s.conn, "first")
	f.wantRead(client, "first")
}

func TestDetectByteByByte(t *testing.T) {
	f := newFixture(t, nil, 0, STOMP, OpenWire)
	client := f.dial(f.listen(Endpoint{Protocol: Auto}))
	client.SetNoDelay(true)
	for _, b := range []byte("\r\nSTOMP\r\n") {
		f.write(client, string(b))
	}
	s := f.next()
	f.wantRead(s.conn, "\r\nSTOMP\r\n")
}

func TestRefusals(t *testing.T) {
	_, certificates := testCertificates(t)
	proxied := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	short := Limits{HandshakeTimeout: 50 * time.Millisecond}
	tests := map[string]struct {
		endpoint Endpoint
		send     string
		log      string
		counter  func(*Stats) int64
	}{
		"unknown protocol": {Endpoint{Protocol: Auto}, "SSH-2.0-x\r\n", "unknown protocol", func(s *Stats) int64 { return s.RefusedProtocol.Load() }},
		"not served":       {Endpoint{Protocol: Auto}, "AMQP\x00\x01\x00\x00", "protocol amqp is not served", func(s *Stats) int64 { return s.RefusedProtocol.Load() }},
		"slow first bytes": {Endpoint{Protocol: Auto, Limits: short}, "CONN", "i/o timeout", func(s *Stats) int64 { return s.RefusedProtocol.Load() }},
		"no first bytes":   {Endpoint{Protocol: Auto, Limits: short}, "", "nothing to go by within 50ms", func(s *Stats) int64 { return s.RefusedProtocol.Load() }},
		"slow first byte, optional TLS": {Endpoint{Protocol: STOMP, TLS: TLSOptional, Limits: short}, "", "nothing to go by",
			func(s *Stats) int64 { return s.RefusedProtocol.Load() }},
		"plain on TLS": {Endpoint{Protocol: STOMP, TLS: TLSRequired}, "CONNECT\n\n\x00", "a client without TLS",
			func(s *Stats) int64 { return s.RefusedTLS.Load() }},
		"slow TLS": {Endpoint{Protocol: STOMP, TLS: TLSRequired, Limits: short}, "\x16\x03\x01\x02\x00", "nothing to go by",
			func(s *Stats) int64 { return s.RefusedTLS.Load() }},
		"broken TLS": {Endpoint{Protocol: STOMP, TLS: TLSOptional}, "\x16\x03\x01\x00\x05hello", "TLS handshake",
			func(s *Stats) int64 { return s.RefusedTLS.Load() }},
		"TLS handshake beyond the bytes": {Endpoint{Protocol: STOMP, TLS: TLSRequired, Limits: Limits{LoginBytes: 100}},
			"\x16\x03\x01\x40\x00" + strings.Repeat("x", 200), "no login within 100 bytes", func(s *Stats) int64 { return s.RefusedLoginBytes.Load() }},
		"no PROXY header": {Endpoint{Protocol: STOMP, ProxyFrom: proxied}, "CONNECT\naccept-version:1.2\n\n\x00", "does not begin with a PROXY",
			func(s *Stats) int64 { return s.RefusedProxy.Load() }},
		"slow PROXY header": {Endpoint{Protocol: STOMP, ProxyFrom: proxied, Limits: short}, proxySignature, "nothing to go by",
			func(s *Stats) int64 { return s.RefusedProxy.Load() }},
		"huge PROXY header": {Endpoint{Protocol: STOMP, ProxyFrom: proxied}, proxySignature + "\x21\x11\xff\xff", "65535 bytes more",
			func(s *Stats) int64 { return s.RefusedProxy.Load() }},
		"PROXY header of UDP": {Endpoint{Protocol: STOMP, ProxyFrom: proxied}, proxySignature + "\x21\x12\x00\x0c" + strings.Repeat("x", 12), "not about a TCP connection",
			func(s *Stats) int64 { return s.RefusedProxy.Load() }},
		"PROXY header, cut addresses": {Endpoint{Protocol: STOMP, ProxyFrom: proxied}, proxySignature + "\x21\x11\x00\x03xxx", "PROXY header",
			func(s *Stats) int64 { return s.RefusedProxy.Load() }},
		"PROXY version 1": {Endpoint{Protocol: STOMP, ProxyFrom: proxied}, "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", "PROXY protocol v2",
			func(s *Stats) int64 { return s.RefusedProxy.Load() }},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, certificates, 0, STOMP)
			client := f.dial(f.listen(tt.endpoint))
			f.write(client, tt.send)
			f.wantClosed(client)
			f.awaitCurrent(0) // so that all is counted and logged
			if n := tt.counter(f.Stats()); n != 1 || f.Stats().Current.Load() != 0 || f.Stats().Handled.Load() != 0 {
				t.Errorf("counter = %d, current %d, handled %d; want 1, 0, 0", n, f.Stats().Current.Load(), f.Stats().Handled.Load())
			}
			if log := f.log.String(); !strings.Contains(log, tt.log) || !strings.Contains(log, "127.0.0.1:") || strings.Count(log, "\n") != 1 {
				t.Errorf("log = %q, want one line with %q and the address", log, tt.log)
			}
		})
	}
}

func TestProbeIsNotLogged(t *testing.T) {
	f := newFixture(t, nil, 0, STOMP)
	client := f.dial(f.listen(Endpoint{Protocol: Auto}))
	client.CloseWrite()
	f.wantClosed(client)
	f.Close()
	if log := f.log.String(); log != "" {
		t.Errorf("log = %q, want nothing", log)
	}
}

func TestTLSClientOnPlainEndpointIsNoted(t *testing.T) {
	f := newFixture(t, nil, 0, STOMP)
	client := f.dial(f.listen(Endpoint{Protocol: STOMP}))
	f.write(client, "\x16\x03\x01")
	s := f.next()
	f.wantRead(s.conn, "\x16\x03\x01")
	if log := f.log.String(); !strings.Contains(log, "TLS client on an endpoint without TLS") {
		t.Errorf("log = %q", log)
	}
}

// proxyHeader is a PROXY v2 header of TCP over IPv4 or IPv6.
func proxyHeader(from, to netip.AddrPort, tlvs string) string {
	family := byte(0x11)
	if from.Addr().Is6() {
		family = 0x21
	}
	body := append(from.Addr().AsSlice(), to.Addr().AsSlice()...)
	body = binary.BigEndian.AppendUint16(body, from.Port())
	body = binary.BigEndian.AppendUint16(body, to.Port())
	body = append(body, tlvs...)
	h := append([]byte(proxySignature), 0x21, family)
	h = binary.BigEndian.AppendUint16(h, uint16(len(body)))
	return string(append(h, body...))
}

func TestProxy(t *testing.T) {
	files, certificates := testCertificates(t)
	v4, v6 := netip.MustParseAddrPort("192.0.2.7:4711"), netip.MustParseAddrPort("[2001:db8::7]:4711")
	to4, to6 := netip.MustParseAddrPort("198.51.100.1:61616"), netip.MustParseAddrPort("[2001:db8::1]:61616")
	tests := map[string]struct {
		header        string
		remote, local netip.AddrPort // invalid: the socket's own
		trusted       bool
	}{
		"IPv4":        {proxyHeader(v4, to4, ""), v4, to4, true},
		"IPv6, TLV":   {proxyHeader(v6, to6, "\x04\x00\x03abc"), v6, to6, true},
		"mapped IPv4": {proxyHeader(netip.MustParseAddrPort("[::ffff:192.0.2.7]:4711"), to6, ""), v4, to6, true},
		"local":       {proxySignature + "\x20\x00\x00\x00", netip.AddrPort{}, netip.AddrPort{}, true},
		"elsewhere":   {"", netip.AddrPort{}, netip.AddrPort{}, false},
	}
	for name, tt := range tests {
		for _, e := range []Endpoint{{Protocol: STOMP}, {Protocol: Auto}, {Protocol: STOMP, TLS: TLSRequired}, {Protocol: Auto, TLS: TLSOptional}} {
			t.Run(name+" "+e.String(), func(t *testing.T) {
				f := newFixture(t, certificates, 0, STOMP)
				e.ProxyFrom = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
				if !tt.trusted {
					e.ProxyFrom = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
				}
				tcp := f.dial(f.listen(e))
				f.write(tcp, tt.header)
				var client net.Conn = tcp
				if e.TLS != TLSOff {
					client = tls.Client(tcp, trusting(t, files))
				}
				f.write(client, "CONNECT\n\n\x00")
				s := f.next()
				f.wantRead(s.conn, "CONNECT\n\n\x00")
				remote, local, proxy := tt.remote, tt.local, tt.remote.IsValid()
				if !proxy {
					remote, local = netip.MustParseAddrPort(tcp.LocalAddr().String()), netip.MustParseAddrPort(tcp.RemoteAddr().String())
				}
				if s.info.Remote != remote || s.info.Local != local || s.info.Proxy.IsValid() != proxy {
					t.Errorf("info = %+v, want from %v to %v, proxied %v", s.info, remote, local, proxy)
				}
			})
		}
	}
}

func TestProxyHeaderFromElsewhereIsGarbage(t *testing.T) {
	f := newFixture(t, nil, 0, STOMP)
	client := f.dial(f.listen(Endpoint{Protocol: Auto, ProxyFrom: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}))
	f.write(client, proxyHeader(netip.MustParseAddrPort("192.0.2.7:4711"), netip.MustParseAddrPort("192.0.2.8:1"), "")+"CONNECT\n\n\x00")
	f.wantClosed(client)
	f.Close()
	if n := f.Stats().RefusedProtocol.Load(); n != 1 {
		t.Errorf("refused = %d, want 1; log %s", n, f.log)
	}
}

func TestConnectionLimits(t *testing.T) {
	tests := map[string]struct {
		server int
		limits Limits
		login  bool // each logs in before the next comes
		admit  int
		count  func(*Stats) int64
	}{
		"endpoint":            {0, Limits{MaxConnections: 2}, true, 2, func(s *Stats) int64 { return s.RefusedFull.Load() }},
		"server":              {3, Limits{}, true, 3, func(s *Stats) int64 { return s.RefusedFull.Load() }},
		"address":             {0, Limits{MaxPerAddress: 2}, true, 2, func(s *Stats) int64 { return s.RefusedAddress.Load() }},
		"pending":             {0, Limits{MaxPendingPerAddress: 2}, false, 2, func(s *Stats) int64 { return s.RefusedPending.Load() }},
		"pending, all log in": {0, Limits{MaxPendingPerAddress: 1}, true, 5, func(s *Stats) int64 { return s.RefusedPending.Load() + 1 }},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, nil, tt.server, STOMP)
			address := f.listen(Endpoint{Protocol: STOMP, Limits: tt.limits})
			var clients []net.Conn
			var all []served
			for range tt.admit {
				clients = append(clients, f.dial(address))
				s := f.next()
				if tt.login && !s.info.LoggedIn() {
					t.Fatal("LoggedIn = false")
				}
				all = append(all, s)
			}
			if tt.admit < 5 {
				f.wantClosed(f.dial(address))
			}
			if n := tt.count(f.Stats()); n != 1 {
				t.Errorf("counter = %d, want 1", n)
			}
			// One goes, one comes.
			close(all[0].end)
			f.wantClosed(clients[0])
			f.awaitCurrent(tt.admit - 1)
			f.dial(address)
			f.next()
		})
	}
}

// awaitCurrent waits until so many connections are open.
func (f *fixture) awaitCurrent(n int) {
	f.t.Helper()
	for end := time.Now().Add(patience); f.stats.Current.Load() != int64(n) || f.gates() != n; {
		if time.Now().After(end) {
			f.t.Fatalf("open connections = %d, want %d", f.stats.Current.Load(), n)
		}
		<-time.After(time.Millisecond)
	}
}

func (f *fixture) gates() int {
	f.gate.mu.Lock()
	defer f.gate.mu.Unlock()
	n := 0
	for _, t := range f.gate.of {
		n += t.open
	}
	return n
}

func TestAddressesBehindAProxyCountApart(t *testing.T) {
	f := newFixture(t, nil, 0, STOMP)
	address := f.listen(Endpoint{Protocol: STOMP, ProxyFrom: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Limits: Limits{MaxPerAddress: 1}})
	to := netip.MustParseAddrPort("[2001:db8::1]:1")
	for _, tt := range []struct {
		from  string
		admit bool
	}{{"[2001:db8:0:1::1]:1", true}, {"[2001:db8:0:2::1]:1", true}, {"[2001:db8:0:1:ffff::2]:1", false}} {
		client := f.dial(address)
		f.write(client, proxyHeader(netip.MustParseAddrPort(tt.from), to, ""))
		if tt.admit {
			f.next()
		} else {
			f.wantClosed(client)
		}
	}
	if n := f.Stats().RefusedAddress.Load(); n != 1 {
		t.Errorf("refused by address = %d, want 1", n)
	}
}

func TestLoginTimeout(t *testing.T) {
	files, certificates := testCertificates(t)
	for _, mode := range []TLSMode{TLSOff, TLSRequired} {
		t.Run(mode.String(), func(t *testing.T) {
			f := newFixture(t, certificates, 0, STOMP)
			address := f.listen(Endpoint{Protocol: STOMP, TLS: mode, Limits: Limits{LoginTimeout: 300 * time.Millisecond}})
			connect := func() (net.Conn, served) {
				var client net.Conn = f.dial(address)
				if mode != TLSOff {
					secure := tls.Client(client, trusting(t, files))
					if err := secure.Handshake(); err != nil {
						t.Fatal(err)
					}
					client = secure
				}
				return client, f.next()
			}
			quick, inTime := connect()
			if once, again := inTime.info.LoggedIn(), inTime.info.LoggedIn(); !once || !again {
				t.Errorf("LoggedIn in time = %v and again %v", once, again)
			}
			dawdler, late := connect()
			f.wantClosed(dawdler)
			if late.info.LoggedIn() {
				t.Error("LoggedIn = true when it was too late")
			}
			if n := f.Stats().RefusedLoginTimeout.Load(); n != 1 {
				t.Errorf("login timeouts = %d, want 1", n)
			}
			f.write(quick, "still there")
			f.wantRead(inTime.conn, "still there")
		})
	}
}

func TestLoginBytes(t *testing.T) {
	tests := map[string]struct {
		before, after int // bytes sent before and after the login
		fail          bool
	}{
		"below":     {99, 5000, false},
		"at":        {100, 5000, false},
		"beyond":    {101, 0, true},
		"far":       {100_000, 0, true},
		"no before": {0, 5000, false},
	}
	for name, tt := range tests {
		for _, protocol := range []Protocol{STOMP, Auto} {
			t.Run(name+" "+string(protocol), func(t *testing.T) {
				if protocol == Auto && tt.before == 0 {
					t.Skip("there is nothing to detect by")
				}
				f := newFixture(t, nil, 0, STOMP)
				client := f.dial(f.listen(Endpoint{Protocol: protocol, Limits: Limits{LoginBytes: 100}}))
				hello := "CONNECT\n" + strings.Repeat("x", 100_000)
				f.write(client, hello[:tt.before])
				s := f.next()
				got, err := io.ReadAll(io.LimitReader(s.conn, int64(tt.before)))
				if tt.fail {
					if !errors.Is(err, ErrLoginBytes) || len(got) != 100 {
						t.Errorf("read %d bytes, %v; want 100 and %v", len(got), err, ErrLoginBytes)
					}
					f.wantClosed(client)
					if s.info.LoggedIn() || f.Stats().RefusedLoginBytes.Load() != 1 {
						t.Errorf("LoggedIn after too many bytes; counted %d", f.Stats().RefusedLoginBytes.Load())
					}
					return
				}
				if err != nil || string(got) != hello[:tt.before] {
					t.Fatalf("read %d bytes, %v; want %d", len(got), err, tt.before)
				}
				if !s.info.LoggedIn() {
					t.Error("LoggedIn = false")
				}
				f.write(client, strings.Repeat("y", tt.after))
				f.wantRead(s.conn, strings.Repeat("y", tt.after))
				if s.conn.(*Conn).guarded.Load() {
					t.Error("reads are still looked at after the login")
				}
			})
		}
	}
}

// TestSlowLoris: one who sends a byte now and then holds a connection for the login timeout and not longer.
func TestSlowLoris(t *testing.T) {
	f := newFixture(t, nil, 0, STOMP)
	address := f.listen(Endpoint{Protocol: Auto, Limits: Limits{HandshakeTimeout: 200 * time.Millisecond}})
	client := f.dial(address)
	begin := time.Now()
	for {
		if _, err := client.Write([]byte("\n")); err != nil {
			break
		}
		<-time.After(5 * time.Millisecond)
		if time.Since(begin) > patience {
			t.Fatal("newlines were accepted for ever")
		}
	}
	f.Close()
	if n := f.Stats().RefusedProtocol.Load(); n != 1 {
		t.Errorf("refused = %d, want 1", n)
	}
}

// TestHandshakeTimeoutEndsWithTheHandshake: what comes after the first bytes may take its time.
func TestHandshakeTimeoutEndsWithTheHandshake(t *testing.T) {
	const timeout = 300 * time.Millisecond
	got := make(chan error, 1)
	s := New(Options{Handlers: map[Protocol]Handler{STOMP: func(_ context.Context, conn net.Conn, _ Info) {
		_, err := io.ReadFull(conn, make([]byte, len("CONNECT\nlate")))
		got <- err
	}}})
	defer s.Close()
	e, err := s.Listen(Endpoint{Protocol: Auto, Address: "127.0.0.1:0", Limits: Limits{HandshakeTimeout: timeout}})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	client, err := net.Dial("tcp", e.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := io.WriteString(client, "CONNECT\n"); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-got:
		t.Fatalf("read ended early: %v", err)
	case <-time.After(timeout + 100*time.Millisecond):
	}
	if _, err := io.WriteString(client, "late"); err != nil {
		t.Fatal(err)
	}
	if err := <-got; err != nil {
		t.Errorf("read after the handshake's time = %v", err)
	}
}

// countingConn notices when net.Buffers are not written by one writev.
type countingConn struct {
	*Conn
	writes int
}

func (c *countingConn) Write(p []byte) (int, error) {
	c.writes++
	return c.Conn.Write(p)
}

func TestBuffersAreWrittenAtOnce(t *testing.T) {
	f := newFixture(t, nil, 0, STOMP)
	client := f.dial(f.listen(Endpoint{Protocol: STOMP}))
	s := f.next()
	c := &countingConn{Conn: s.conn.(*Conn)}
	buffers := net.Buffers{[]byte("one "), []byte("two "), []byte("three")}
	if _, err := buffers.WriteTo(c); err != nil {
		t.Fatal(err)
	}
	f.wantRead(client, "one two three")
	if c.writes != 0 {
		t.Errorf("%d single writes, want writev", c.writes)
	}
}

func TestCopyFromConnSeesTheFirstBytes(t *testing.T) {
	f := newFixture(t, nil, 0, STOMP)
	client := f.dial(f.listen(Endpoint{Protocol: Auto}))
	f.write(client, "CONNECT\nrest")
	client.CloseWrite()
	s := f.next()
	var got bytes.Buffer
	if _, err := io.Copy(&got, s.conn); err != nil || got.String() != "CONNECT\nrest" {
		t.Errorf("copied %q, %v", got.String(), err)
	}
}

func TestShutdown(t *testing.T) {
	f := newFixture(t, nil, 0, STOMP)
	address := f.listen(Endpoint{Protocol: STOMP})
	client := f.dial(address)
	s := f.next()
	undecided := f.dial(f.listen(Endpoint{Protocol: Auto}))
	f.awaitCurrent(2)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := f.Shutdown(ctx); err != nil {
		t.Errorf("Shutdown = %v", err)
	}
	if s.ctx.Err() == nil {
		t.Error("the handler was not told")
	}
	f.wantClosed(client)
	f.wantClosed(undecided)
	if c, err := net.Dial("tcp", address); err == nil {
		c.Close()
		t.Error("it still listens")
	}
	if _, err := f.Listen(Endpoint{Protocol: STOMP, Address: "127.0.0.1:0"}); !errors.Is(err, ErrClosed) {
		t.Errorf("Listen after Shutdown = %v", err)
	}
	if n := f.Stats().Current.Load(); n != 0 || f.gates() != 0 || len(f.guards) != 0 {
		t.Errorf("after Shutdown: current %d, by address %d, guards %d; want none", n, f.gates(), len(f.guards))
	}
}

// TestShutdownOfTheStubborn: a handler that only minds its connection ends when ctx does.
func TestShutdownOfTheStubborn(t *testing.T) {
	reading := make(chan struct{})
	s := New(Options{Handlers: map[Protocol]Handler{STOMP: func(_ context.Context, conn net.Conn, _ Info) {
		close(reading)
		io.Copy(io.Discard, conn)
	}}})
	e, err := s.Listen(Endpoint{Protocol: STOMP, Address: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	client, err := net.Dial("tcp", e.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	<-reading
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown = %v, want the context's error", err)
	}
}

func TestListenMistakes(t *testing.T) {
	files, _ := testCertificates(t)
	noCA, err := LoadCertificates(files.Certificate, files.Key, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		endpoint Endpoint
		want     string
	}{
		"not served": {Endpoint{Protocol: AMQP, Address: "127.0.0.1:0"}, "protocol amqp is not served"},
		"no CA":      {Endpoint{Protocol: STOMP, Address: "127.0.0.1:0", TLS: TLSRequired, ClientAuth: OptionalClientAuth}, "needs a CA"},
		"address":    {Endpoint{Protocol: STOMP, Address: "127.0.0.1"}, "HOST:PORT"},
		"taken name": {Endpoint{Protocol: STOMP, Address: "127.0.0.1:0", Name: "stomp"}, "is taken"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, noCA, 0, STOMP)
			f.listen(Endpoint{Protocol: STOMP})
			if _, err := f.Listen(tt.endpoint); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Listen = %v, want %q", err, tt.want)
			}
		})
	}
	f := newFixture(t, nil, 0, STOMP)
	if _, err := f.Listen(Endpoint{Protocol: STOMP, Address: "127.0.0.1:0", TLS: TLSRequired}); err == nil || !strings.Contains(err.Error(), "needs a certificate") {
		t.Errorf("Listen with TLS and no certificate = %v", err)
	}
	address := f.listen(Endpoint{Protocol: STOMP})
	if _, err := f.Listen(Endpoint{Protocol: STOMP, Address: address}); err == nil || !strings.Contains(err.Error(), address) {
		t.Errorf("Listen on a taken port = %v, want an error that names it", err)
	}
}

func TestUnlisten(t *testing.T) {
	f := newFixture(t, nil, 0, STOMP)
	address := f.listen(Endpoint{Protocol: STOMP})
	f.listen(Endpoint{Protocol: STOMP})
	client := f.dial(address)
	s := f.next()
	names := ""
	for _, b := range f.Bound() {
		names += fmt.Sprint(b.Name, " ", b.Open, " ")
	}
	if names != "stomp 1 stomp-2 0 " {
		t.Errorf("bound = %q", names)
	}
	if was, again := f.Unlisten("stomp"), f.Unlisten("stomp"); !was || again || len(f.Bound()) != 1 {
		t.Errorf("Unlisten = %v and again %v, %d endpoints left; want true, false, 1", was, again, len(f.Bound()))
	}
	f.write(client, "x")
	f.wantRead(s.conn, "x")
	if c, err := net.Dial("tcp", address); err == nil {
		c.Close()
		t.Error("it still listens")
	}
}

func TestLogIsPaced(t *testing.T) {
	var p pace
	now := time.Now()
	lines, skipped := 0, 0
	for n := range 1000 {
		s, ok := p.allow(now.Add(time.Duration(n) * 10 * time.Millisecond))
		if ok {
			lines++
			skipped += s
		}
	}
	if lines < 95 || lines > 105 || skipped < 800 {
		t.Errorf("of 1,000 lines in 10 s %d passed, which tell of %d skipped; want about 100 and the rest", lines, skipped)
	}
}

func TestInfoWithoutServer(t *testing.T) {
	if !(Info{}).LoggedIn() {
		t.Error("LoggedIn of the zero Info = false")
	}
}

// BenchmarkRead is a small read after the login, beside that of the bare connection.
func BenchmarkRead(b *testing.B) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer listener.Close()
	client, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	accepted, err := listener.Accept()
	if err != nil {
		b.Fatal(err)
	}
	defer accepted.Close()
	c := &Conn{TCPConn: accepted.(*net.TCPConn)}
	for name, r := range map[string]net.Conn{"bare": c.TCPConn, "Conn": c} {
		b.Run(name, func(b *testing.B) {
			one := make([]byte, 64)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := client.Write(one); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(r, one); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestDevCertificateFilesAreWhereTheySay(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	files, err := EnsureDevCertificate(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	for path, mode := range map[string]os.FileMode{files.CA: 0o644, files.CAKey: 0o600, files.Certificate: 0o644, files.Key: 0o600, files.TrustStore: 0o644} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != mode || filepath.Dir(path) != dir {
			t.Errorf("%s: %v, %v; want mode %v in %s", path, info, err, mode, dir)
		}
	}
}
