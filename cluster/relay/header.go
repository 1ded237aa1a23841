package relay

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"unicode/utf8"

	"github.com/pires/go-proxyproto"
	"github.com/pires/go-proxyproto/tlvparse"

	"github.com/godwitmq/godwit/listen"
)

// maxHeader bounds a header beyond its 16 fixed bytes. Nearly all of it is for the client's certificate.
const maxHeader = 32 << 10

// Types that PROXY protocol v2 leaves to applications. A later version may add others, which are passed over.
const (
	typeProtocol = proxyproto.PP2_TYPE_MIN_CUSTOM + iota
	typeListener
	typeInstance
)

const (
	maxProtocol = 16
	maxName     = 255 // bytes of a listener's name, and of a host's
)

// formatHeader makes the header of a client's connection. It fails if the client cannot be told of in maxHeader bytes,
// which takes an uncommonly large certificate.
func formatHeader(info listen.Info) ([]byte, error) {
	source, destination := info.Remote, info.Local
	if !source.IsValid() || !destination.IsValid() {
		return nil, errors.New("the client's addresses are unknown")
	}
	if source.Addr().Is4() != destination.Addr().Is4() {
		source, destination = wide(source), wide(destination)
	}
	transport := proxyproto.TCPv6
	if source.Addr().Is4() {
		transport = proxyproto.TCPv4
	}
	h := proxyproto.Header{Version: 2, Command: proxyproto.PROXY, TransportProtocol: transport,
		SourceAddr: net.TCPAddrFromAddrPort(source), DestinationAddr: net.TCPAddrFromAddrPort(destination)}
	tlvs := []proxyproto.TLV{{Type: typeProtocol, Value: []byte(info.Protocol)}, {Type: typeListener, Value: []byte(info.Listener)}}
	if info.Via != "" {
		tlvs = append(tlvs, proxyproto.TLV{Type: typeInstance, Value: []byte(info.Via)})
	}
	if info.TLS != nil {
		t, err := formatTLS(info.TLS)
		if err != nil {
			return nil, err
		}
		tlvs = append(tlvs, t)
		if name := info.TLS.ServerName; name != "" {
			if _, err := text("server name", []byte(name), maxName); err != nil {
				return nil, err
			}
			tlvs = append(tlvs, proxyproto.TLV{Type: proxyproto.PP2_TYPE_AUTHORITY, Value: []byte(name)})
		}
	}
	if err := h.SetTLVs(tlvs); err != nil {
		return nil, err
	}
	b, err := h.Format()
	if err == nil && len(b) > maxHeader {
		err = fmt.Errorf("what there is to say of the client takes %d bytes; at most %d are relayed", len(b), maxHeader)
	}
	return b, err
}

// wide is an address in the form of IPv6, for a header that has one form for both.
func wide(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom16(a.Addr().As16()), a.Port())
}

// formatTLS tells of the client's certificate only if it was verified; listen knows no other. Of its chain the first is
// enough: sessions look at the subject.
func formatTLS(t *listen.TLSInfo) (proxyproto.TLV, error) {
	ssl := tlvparse.PP2SSL{Client: tlvparse.PP2_BITFIELD_CLIENT_SSL, Verify: 1, TLV: []proxyproto.TLV{
		{Type: proxyproto.PP2_SUBTYPE_SSL_VERSION, Value: []byte(strings.ReplaceAll(tls.VersionName(t.Version), "TLS ", "TLSv"))},
		{Type: proxyproto.PP2_SUBTYPE_SSL_CIPHER, Value: []byte(tls.CipherSuiteName(t.CipherSuite))},
	}}
	if len(t.Peer) > 0 {
		leaf := t.Peer[0]
		ssl.Client |= tlvparse.PP2_BITFIELD_CLIENT_CERT_CONN | tlvparse.PP2_BITFIELD_CLIENT_CERT_SESS
		ssl.Verify = 0
		if cn := leaf.Subject.CommonName; cn != "" && utf8.ValidString(cn) {
			ssl.TLV = append(ssl.TLV, proxyproto.TLV{Type: proxyproto.PP2_SUBTYPE_SSL_CN, Value: []byte(cn)})
		}
		ssl.TLV = append(ssl.TLV, proxyproto.TLV{Type: proxyproto.PP2_SUBTYPE_SSL_CLIENT_CERT, Value: leaf.Raw})
	}
	return ssl.Marshal()
}

// readHeader reads exactly what formatHeader made. It believes no length beyond maxHeader and takes no more memory than
// some ten times that.
func readHeader(r io.Reader) (listen.Info, error) {
	h, err := listen.ReadProxyHeader(r, maxHeader)
	if err != nil {
		return listen.Info{}, err
	}
	if !h.Source.IsValid() {
		return listen.Info{}, errors.New("the header is about no client")
	}
	info := listen.Info{Remote: h.Source, Local: h.Destination}
	if err := readTLVs(&info, h.TLVs); err != nil {
		return listen.Info{}, fmt.Errorf("relayed connection of %v: %w", h.Source, err)
	}
	return info, nil
}

func readTLVs(info *listen.Info, raw []byte) error {
	tlvs, err := proxyproto.SplitTLVs(raw)
	if err != nil {
		return err
	}
	var name string
	seen := make(map[proxyproto.PP2Type]bool)
	for _, t := range tlvs {
		switch t.Type {
		case typeProtocol, typeListener, typeInstance, proxyproto.PP2_TYPE_SSL, proxyproto.PP2_TYPE_AUTHORITY:
		default:
			continue
		}
		if seen[t.Type] {
			return fmt.Errorf("the header has type %#x twice", byte(t.Type))
		}
		seen[t.Type] = true
		switch t.Type {
		case typeProtocol:
			var p string
			p, err = text("protocol", t.Value, maxProtocol)
			info.Protocol = listen.Protocol(p)
		case typeListener:
			info.Listener, err = text("listener", t.Value, maxName)
		case typeInstance:
			info.Via, err = text("instance", t.Value, maxName)
		case proxyproto.PP2_TYPE_AUTHORITY:
			name, err = text("authority", t.Value, maxName)
		case proxyproto.PP2_TYPE_SSL:
			info.TLS, err = readTLS(t)
		}
		if err != nil {
			return err
		}
	}
	if info.Protocol == "" {
		return errors.New("the header names no protocol")
	}
	if info.TLS != nil {
		info.TLS.ServerName = name
	}
	return nil
}

func text(what string, b []byte, limit int) (string, error) {
	if len(b) > limit || !utf8.Valid(b) {
		return "", fmt.Errorf("%s of %d bytes; expected at most %d of UTF-8", what, len(b), limit)
	}
	return string(b), nil
}

// readTLS returns nil for a client that came without TLS.
func readTLS(t proxyproto.TLV) (*listen.TLSInfo, error) {
	ssl, err := tlvparse.SSL(t)
	if err != nil {
		return nil, fmt.Errorf("TLS of the client: %w", err)
	}
	if !ssl.ClientSSL() {
		return nil, nil
	}
	info := &listen.TLSInfo{}
	if name, _ := ssl.SSLVersion(); name == "TLSv1.3" {
		info.Version = tls.VersionTLS13
	} else if name == "TLSv1.2" {
		info.Version = tls.VersionTLS12
	} else {
		return nil, fmt.Errorf("TLS of the client: version %q is unknown", name)
	}
	if name, ok := ssl.SSLCipher(); ok {
		for _, suite := range tls.CipherSuites() {
			if suite.Name == name {
				info.CipherSuite = suite.ID
			}
		}
	}
	der, shown := ssl.ClientCert()
	if !shown {
		return info, nil
	}
	if !ssl.Verified() || !ssl.ClientCertConn() {
		return nil, errors.New("TLS of the client: a certificate that was not verified")
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("certificate of the client: %w", err)
	}
	info.Peer = []*x509.Certificate{leaf}
	return info, nil
}
