package relay

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"
	"github.com/pires/go-proxyproto/tlvparse"

	"github.com/godwitmq/godwit/listen"
)

// TestStrangers: whoever has no certificate of the cluster learns nothing and reaches nobody, whatever is sent.
func TestStrangers(t *testing.T) {
	cluster, other := newAuthority(t, "cluster"), newAuthority(t, "other")
	server := cluster.node("a")
	follows := &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return server, nil }}
	expired := cluster.node("old")
	expired.Certificates[0] = cluster.issueAt(time.Now().Add(-48*time.Hour), pkix.Name{CommonName: "old"})
	header, err := formatHeader(listen.Info{Protocol: listen.STOMP, Listener: "in", Remote: netip.MustParseAddrPort("192.0.2.1:1"),
		Local: netip.MustParseAddrPort("192.0.2.2:2")})
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]*tls.Config{
		"no TLS":         nil,
		"no certificate": {},
		"other CA":       {Certificates: other.node("x").Certificates},
		"signs itself":   {Certificates: []tls.Certificate{{Certificate: [][]byte{other.cert.Raw}, PrivateKey: other.key}}},
		"expired":        {Certificates: expired.Certificates},
		"TLS 1.2":        {Certificates: cluster.node("b").Certificates, MaxVersion: tls.VersionTLS12},
	}
	for name, config := range tests {
		for how, there := range map[string]*tls.Config{"fixed": server, "follows files": follows} {
			t.Run(name+", "+how, func(t *testing.T) {
				a := newActive(t, ReceiverOptions{TLS: there})
				var conn net.Conn = dial(t, a.at.Address)
				if config != nil {
					config = config.Clone()
					config.InsecureSkipVerify = true
					if own := config.Certificates; own != nil { // show it even to a server that asks for those of another CA
						config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &own[0], nil }
					}
					conn = tls.Client(conn, config)
				}
				conn.Write(header) // may fail
				if n, err := conn.Read(make([]byte, 1)); n != 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("read %d bytes, %v; want the end", n, err)
				}
				a.idle()
				if s := a.Stats(); s.RefusedTLS.Load() != 1 || s.Handled.Load() != 0 {
					t.Errorf("refused %d, handled %d; want 1, 0", s.RefusedTLS.Load(), s.Handled.Load())
				}
			})
		}
	}
	// The same with a right one, so that the refusals are for the certificates.
	a := newActive(t, ReceiverOptions{TLS: follows})
	right := cluster.node("b")
	right.ServerName = "localhost"
	conn := tls.Client(dial(t, a.at.Address), right)
	write(t, conn, string(header)+"hello")
	wantRead(t, conn, string(taken))
	wantRead(t, a.next().conn, "hello")
}

// TestListenMistakes: an address that would let in anybody is not opened.
func TestListenMistakes(t *testing.T) {
	cluster := newAuthority(t, "cluster")
	noCA := &tls.Config{Certificates: cluster.node("a").Certificates}
	server := listen.New(listen.Options{})
	defer server.Close()
	for name, tt := range map[string]struct {
		options ReceiverOptions
		want    string
	}{
		"no CA":       {ReceiverOptions{Address: "127.0.0.1:0", TLS: noCA}, "no CA"},
		"no port":     {ReceiverOptions{Address: "127.0.0.1", TLS: cluster.node("a")}, "missing port"},
		"far, no TLS": {ReceiverOptions{Address: "192.0.2.1:0"}, "loopback"},
	} {
		if _, err := Listen(server, tt.options); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: Listen = %v, want %q", name, err, tt.want)
		}
	}
}

// tlv is one type and value on the wire.
func tlv(kind proxyproto.PP2Type, value string) string {
	return string(binary.BigEndian.AppendUint16([]byte{byte(kind)}, uint16(len(value)))) + value
}

// headerOf is a header about 192.0.2.1 with TLVs as they are given.
func headerOf(tlvs string) string {
	h := append([]byte("\r\n\r\n\x00\r\nQUIT\n"), 0x21, 0x11)
	h = binary.BigEndian.AppendUint16(h, uint16(12+len(tlvs)))
	return string(h) + "\xc0\x00\x02\x01\xc0\x00\x02\x02\x00\x01\x00\x02" + tlvs
}

// TestHeaderRefusals: a peer that is what it should be, and says what it should not.
func TestHeaderRefusals(t *testing.T) {
	cluster := newAuthority(t, "cluster")
	leaf := string(cluster.cert.Raw)
	ssl := func(client byte, verify uint32, tlvs string) string {
		return tlv(proxyproto.PP2_TYPE_SSL, string(binary.BigEndian.AppendUint32([]byte{client}, verify))+tlvs)
	}
	stomp, version := tlv(typeProtocol, "stomp"), tlv(proxyproto.PP2_SUBTYPE_SSL_VERSION, "TLSv1.3")
	certificate := tlv(proxyproto.PP2_SUBTYPE_SSL_CLIENT_CERT, leaf)
	const all = tlvparse.PP2_BITFIELD_CLIENT_SSL | tlvparse.PP2_BITFIELD_CLIENT_CERT_CONN | tlvparse.PP2_BITFIELD_CLIENT_CERT_SESS
	tests := map[string]struct {
		send   string
		answer string
		err    string // empty: accepted
	}{
		"right":               {send: headerOf(stomp), answer: string(taken)},
		"unknown type":        {send: headerOf(stomp + tlv(0xef, "later")), answer: string(taken)},
		"certificate":         {send: headerOf(stomp + ssl(all, 0, version+certificate)), answer: string(taken)},
		"garbage":             {send: strings.Repeat("garbage ", 100), err: "does not begin"},
		"client's own bytes":  {send: "CONNECT\naccept-version:1.2\n\n\x00", err: "does not begin"},
		"oversized":           {send: headerOf(strings.Repeat("x", maxHeader)), err: "at most 32768"},
		"largest":             {send: "\r\n\r\n\x00\r\nQUIT\n\x21\x11\xff\xff", err: "at most 32768"},
		"cut TLV":             {send: headerOf(stomp + "\x02\x00\x05abc"), err: "truncated"},
		"no protocol":         {send: headerOf(""), err: "names no protocol"},
		"protocol not served": {send: headerOf(tlv(typeProtocol, "mqtt")), answer: string(refused), err: "not served"},
		"protocol twice":      {send: headerOf(stomp + stomp), err: "twice"},
		"long protocol":       {send: headerOf(tlv(typeProtocol, strings.Repeat("x", 17))), err: "at most 16"},
		"long listener":       {send: headerOf(stomp + tlv(typeListener, strings.Repeat("x", 256))), err: "at most 255"},
		"binary listener":     {send: headerOf(stomp + tlv(typeListener, "\xff")), err: "UTF-8"},
		"about nobody":        {send: "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00", err: "no client"},
		"UDP":                 {send: strings.Replace(headerOf(stomp), "\x21\x11", "\x21\x12", 1), err: "not about a TCP"},
		"not verified":        {send: headerOf(stomp + ssl(all, 1, version+certificate)), err: "not verified"},
		"not this connection": {send: headerOf(stomp + ssl(1, 0, version+certificate)), err: "not verified"},
		"no certificate":      {send: headerOf(stomp + ssl(all, 0, version+tlv(proxyproto.PP2_SUBTYPE_SSL_CLIENT_CERT, "x"))), err: "certificate of the client"},
		"TLS of old":          {send: headerOf(stomp + ssl(1, 0, tlv(proxyproto.PP2_SUBTYPE_SSL_VERSION, "SSLv3"))), err: "unknown"},
		"TLS of no version":   {send: headerOf(stomp + ssl(1, 0, "")), err: "TLS of the client"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := readHeader(strings.NewReader(tt.send))
			if tt.answer == "" && (err == nil || !strings.Contains(err.Error(), tt.err)) || tt.answer != "" && err != nil {
				t.Errorf("readHeader = %v, want %q", err, tt.err)
			}
			a := newActive(t, ReceiverOptions{TLS: cluster.node("a")})
			config := cluster.node("b")
			config.ServerName = "localhost"
			conn := tls.Client(dial(t, a.at.Address), config)
			io.WriteString(conn, tt.send) // it may be refused before all is sent
			if tt.answer != "" {
				wantRead(t, conn, tt.answer)
			}
			if tt.err == "" {
				a.next()
				return
			}
			wantEnd(t, conn)
			a.idle()
			if s := a.Stats(); s.Handled.Load() != 0 || s.RefusedProxy.Load()+s.RefusedProtocol.Load() != 1 {
				t.Errorf("handled %d, refused %d; want 0, 1", s.Handled.Load(), s.RefusedProxy.Load()+s.RefusedProtocol.Load())
			}
		})
	}
}

// TestSlowHeader: a peer has a time for its handshake and its header together.
func TestSlowHeader(t *testing.T) {
	cluster := newAuthority(t, "cluster")
	header := headerOf(tlv(typeProtocol, "stomp"))
	for name, send := range map[string]string{"nothing": "", "a part": header[:len(header)-1]} {
		t.Run(name, func(t *testing.T) {
			a := newActive(t, ReceiverOptions{TLS: cluster.node("a"), Limits: listen.Limits{HandshakeTimeout: 200 * time.Millisecond}})
			config := cluster.node("b")
			config.ServerName = "localhost"
			conn := tls.Client(dial(t, a.at.Address), config)
			if err := conn.Handshake(); err != nil {
				t.Fatal(err)
			}
			if send != "" {
				write(t, conn, send)
			}
			wantEnd(t, conn)
			a.idle()
			if n := a.Stats().RefusedProxy.Load(); n != 1 {
				t.Errorf("refused %d, want 1", n)
			}
		})
	}
	t.Run("no handshake", func(t *testing.T) {
		a := newActive(t, ReceiverOptions{TLS: cluster.node("a"), Limits: listen.Limits{HandshakeTimeout: 200 * time.Millisecond}})
		wantEnd(t, dial(t, a.at.Address))
		a.idle()
		if n := a.Stats().RefusedTLS.Load(); n != 1 {
			t.Errorf("refused %d, want 1", n)
		}
	})
}

// TestLimitsOfTheActive: clients are bounded there by their own addresses, from their own first byte on.
func TestLimitsOfTheActive(t *testing.T) {
	cluster := newAuthority(t, "cluster")
	fixture := func(t *testing.T, limits listen.Limits) (*active, *standby, string) {
		a := newActive(t, ReceiverOptions{TLS: cluster.node("a"), Limits: limits})
		s := newStandby(t, nil, Options{TLS: cluster.node("b"), Directory: &fixed{address: a.at.Address, term: t.Context()}})
		return a, s, s.listen(listen.Endpoint{ProxyFrom: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
			Limits: listen.Limits{LoginTimeout: patience / 2, LoginBytes: 256}})
	}
	from := func(t *testing.T, address, client string) *net.TCPConn {
		c := dial(t, address)
		h := proxyproto.HeaderProxyFromAddrs(2, net.TCPAddrFromAddrPort(netip.MustParseAddrPort(client)), net.TCPAddrFromAddrPort(netip.MustParseAddrPort("192.0.2.9:9")))
		if _, err := h.WriteTo(c); err != nil {
			t.Fatal(err)
		}
		return c
	}
	t.Run("per address", func(t *testing.T) {
		a, s, address := fixture(t, listen.Limits{MaxPerAddress: 1})
		from(t, address, "192.0.2.1:1")
		from(t, address, "192.0.2.2:1")
		from(t, address, "[2001:db8::1]:1")
		for range 3 {
			a.next()
		}
		begin := time.Now()
		wantEnd(t, from(t, address, "192.0.2.2:2"))
		if err := s.ended(); !errors.Is(err, ErrRefused) || time.Since(begin) > patience/2 {
			t.Errorf("Serve = %v after %v, want %v at once", err, time.Since(begin), ErrRefused)
		}
		for end := time.Now().Add(patience); a.Stats().Current.Load() != 3 && time.Now().Before(end); <-time.After(time.Millisecond) {
			// It counts after it has answered.
		}
		if n := a.Stats().RefusedAddress.Load(); n != 1 {
			t.Errorf("refused by address: %d, want 1", n)
		}
	})
	t.Run("with those that came directly", func(t *testing.T) {
		a, s, address := fixture(t, listen.Limits{MaxPerAddress: 1})
		direct, err := a.Listen(listen.Endpoint{Protocol: listen.STOMP, Address: "127.0.0.1:0"})
		if err != nil {
			t.Fatal(err)
		}
		dial(t, direct.Address)
		a.next()
		wantEnd(t, from(t, address, "127.0.0.1:1"))
		if err := s.ended(); !errors.Is(err, ErrRefused) {
			t.Errorf("Serve = %v, want %v", err, ErrRefused)
		}
	})
	t.Run("bytes", func(t *testing.T) {
		a, _, address := fixture(t, listen.Limits{LoginBytes: 4000})
		client := from(t, address, "192.0.2.1:1")
		write(t, client, strings.Repeat("x", 3000)) // more than the standby's limit, which is over
		got := a.next()
		wantRead(t, got.conn, strings.Repeat("x", 3000))
		write(t, client, strings.Repeat("x", 3000))
		if n, err := io.Copy(io.Discard, got.conn); !errors.Is(err, listen.ErrLoginBytes) {
			t.Errorf("read %d more bytes, %v; want %v", n, err, listen.ErrLoginBytes)
		}
		wantEnd(t, client)
	})
	t.Run("time", func(t *testing.T) {
		a, _, address := fixture(t, listen.Limits{LoginTimeout: 300 * time.Millisecond})
		quick := from(t, address, "192.0.2.1:1")
		one := a.next()
		if !one.info.LoggedIn() {
			t.Error("LoggedIn = false")
		}
		wantEnd(t, from(t, address, "192.0.2.2:1"))
		if n := a.Stats().RefusedLoginTimeout.Load(); n != 1 {
			t.Errorf("refused %d, want 1", n)
		}
		write(t, quick, "still there")
		wantRead(t, one.conn, "still there")
	})
}

// TestHeaderRoundTrip: mixed families, which a proxy before the standby may bring about, and what cannot be told.
func TestHeaderRoundTrip(t *testing.T) {
	v4, v6 := netip.MustParseAddrPort("192.0.2.1:65535"), netip.MustParseAddrPort("[2001:db8::1]:1")
	large := newAuthority(t, strings.Repeat("x", maxHeader/2-1000))
	tests := map[string]struct {
		info listen.Info
		err  string
	}{
		"IPv4":         {info: listen.Info{Remote: v4, Local: v4, Protocol: listen.STOMP, Listener: "in"}},
		"IPv6":         {info: listen.Info{Remote: v6, Local: v6, Protocol: listen.OpenWire}},
		"4 to 6":       {info: listen.Info{Remote: v4, Local: v6, Protocol: listen.OpenWire}},
		"6 to 4":       {info: listen.Info{Remote: v6, Local: v4, Protocol: listen.OpenWire}},
		"no address":   {info: listen.Info{Protocol: listen.STOMP}, err: "addresses are unknown"},
		"certificate":  {info: listen.Info{Remote: v4, Local: v4, Protocol: listen.STOMP, TLS: &listen.TLSInfo{Version: tls.VersionTLS13, Peer: []*x509.Certificate{large.cert}}}, err: "at most 32768"},
		"server name":  {info: listen.Info{Remote: v4, Local: v4, Protocol: listen.STOMP, TLS: &listen.TLSInfo{Version: tls.VersionTLS13, ServerName: strings.Repeat("x", 256)}}, err: "at most 255"},
		"suite unsaid": {info: listen.Info{Remote: v4, Local: v4, Protocol: listen.STOMP, TLS: &listen.TLSInfo{Version: tls.VersionTLS12}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			h, err := formatHeader(tt.info)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("formatHeader = %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got, err := readHeader(strings.NewReader(string(h)))
			if err != nil || got.Remote != tt.info.Remote || got.Local != tt.info.Local || got.Protocol != tt.info.Protocol || got.Listener != tt.info.Listener ||
				(got.TLS == nil) != (tt.info.TLS == nil) {
				t.Errorf("%+v -> %+v, %v", tt.info, got, err)
			}
		})
	}
}

// FuzzTLVs: whatever a header says is refused, or is the same after another way through.
func FuzzTLVs(f *testing.F) {
	stomp := tlv(typeProtocol, "stomp")
	a := newAuthority(f, "x")
	for _, t := range []*listen.TLSInfo{nil, {Version: tls.VersionTLS13, CipherSuite: tls.TLS_AES_128_GCM_SHA256, ServerName: "localhost"},
		{Version: tls.VersionTLS12, Peer: []*x509.Certificate{a.cert}}} {
		h, err := formatHeader(listen.Info{Remote: netip.MustParseAddrPort("192.0.2.1:1"), Local: netip.MustParseAddrPort("192.0.2.2:2"), Protocol: listen.STOMP, Listener: "in", TLS: t})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(h[28:])
	}
	f.Add([]byte(stomp + stomp))
	f.Add([]byte(stomp + tlv(proxyproto.PP2_TYPE_SSL, "\x07\x00\x00\x00\x00"+tlv(proxyproto.PP2_SUBTYPE_SSL_VERSION, "TLSv1.3")+tlv(proxyproto.PP2_SUBTYPE_SSL_CLIENT_CERT, "x"))))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 65535-12 {
			return
		}
		info, err := readHeader(strings.NewReader(headerOf(string(b))))
		if err != nil {
			return
		}
		if len(b)+12 > maxHeader || info.Protocol == "" || len(info.Protocol) > maxProtocol || len(info.Listener) > maxName {
			t.Fatalf("%q: %+v", b, info)
		}
		h, err := formatHeader(info)
		if err != nil {
			if len(b) < maxHeader/2 {
				t.Fatalf("%q: %+v: %v", b, info, err)
			}
			return // it had no names of suite and subject, for which there is no room
		}
		again, err := readHeader(strings.NewReader(string(h)))
		if err != nil || again.Protocol != info.Protocol || again.Listener != info.Listener || (again.TLS == nil) != (info.TLS == nil) {
			t.Fatalf("%q: %+v, then %+v, %v", b, info, again, err)
		}
		if info.TLS != nil && (again.TLS.Version != info.TLS.Version || again.TLS.CipherSuite != info.TLS.CipherSuite || again.TLS.ServerName != info.TLS.ServerName ||
			len(again.TLS.Peer) != len(info.TLS.Peer)) {
			t.Fatalf("%q: %+v, then %+v", b, info.TLS, again.TLS)
		}
	})
}
