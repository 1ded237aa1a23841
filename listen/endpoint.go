package listen

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Protocol names what is spoken on a connection.
type Protocol string

// The protocols that can be told apart by their first bytes, and Auto, which does that.
const (
	OpenWire Protocol = "openwire"
	STOMP    Protocol = "stomp"
	AMQP     Protocol = "amqp"
	MQTT     Protocol = "mqtt"
	HTTP     Protocol = "http"
	Auto     Protocol = "auto"
)

var protocols = []Protocol{OpenWire, STOMP, AMQP, MQTT, HTTP, Auto}

// TLSMode says whether connections are encrypted.
type TLSMode uint8

// With TLSOptional the first byte of a connection decides.
const (
	TLSOff TLSMode = iota
	TLSRequired
	TLSOptional
)

var tlsModes = [...]string{"off", "required", "optional"}

// String is the mode's name in the configuration.
func (m TLSMode) String() string { return nameOf(tlsModes[:], int(m)) }

// UnmarshalText reads off, required or optional.
func (m *TLSMode) UnmarshalText(text []byte) error {
	i := slices.Index(tlsModes[:], string(text))
	if i < 0 {
		return fmt.Errorf("tls %q is unknown; expected off, required or optional", text)
	}
	*m = TLSMode(i)
	return nil
}

// MarshalText is String.
func (m TLSMode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// ClientAuth says whether TLS clients show certificates. One that is shown is verified in any case but NoClientAuth,
// which does not ask.
type ClientAuth uint8

// What is asked of clients.
const (
	NoClientAuth ClientAuth = iota
	OptionalClientAuth
	RequiredClientAuth
)

var clientAuths = [...]string{"none", "optional", "required"}

// String is the name in the configuration.
func (a ClientAuth) String() string { return nameOf(clientAuths[:], int(a)) }

// UnmarshalText reads none, optional or required.
func (a *ClientAuth) UnmarshalText(text []byte) error {
	i := slices.Index(clientAuths[:], string(text))
	if i < 0 {
		return fmt.Errorf("client-auth %q is unknown; expected none, optional or required", text)
	}
	*a = ClientAuth(i)
	return nil
}

// MarshalText is String.
func (a ClientAuth) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

func nameOf(names []string, i int) string {
	if i < len(names) {
		return names[i]
	}
	return strconv.Itoa(i)
}

// Limits of an endpoint. A zero field means its default.
type Limits struct {
	// MaxConnections are open on this endpoint at once; one more is closed as soon as it is accepted. Default 10,000.
	MaxConnections int
	// MaxPerAddress are open from one client address on all endpoints at once, an IPv6 /64 being one. 0: no limit.
	MaxPerAddress int
	// MaxPendingPerAddress are open from one address and not logged in yet. Default 1,024.
	MaxPendingPerAddress int
	// HandshakeTimeout is the time for PROXY header, TLS handshake and first bytes together. Default 10 s.
	HandshakeTimeout time.Duration
	// LoginTimeout is the time from accept until [Info.LoggedIn] is called; then the connection is closed. Default 30 s.
	LoginTimeout time.Duration
	// LoginBytes may be read from the socket before [Info.LoggedIn] is called, TLS handshake included; then reads
	// fail. Default 64 KiB.
	LoginBytes int
}

func (l Limits) withDefaults() Limits {
	if l.MaxConnections <= 0 {
		l.MaxConnections = 10_000
	}
	if l.MaxPendingPerAddress <= 0 {
		l.MaxPendingPerAddress = 1024
	}
	if l.HandshakeTimeout <= 0 {
		l.HandshakeTimeout = 10 * time.Second
	}
	if l.LoginTimeout <= 0 {
		l.LoginTimeout = 30 * time.Second
	}
	if l.LoginBytes <= 0 {
		l.LoginBytes = 64 << 10
	}
	return l
}

// Endpoint is where and how to listen.
type Endpoint struct {
	// Name identifies the endpoint in logs and lists. Empty: Protocol, "+" and TLS unless off, made unique by "-2" ....
	Name     string
	Protocol Protocol
	Address  string // host:port; an empty host is all interfaces, port 0 any free one
	TLS      TLSMode
	// ClientAuth needs a CA for clients in the server's Certificates, unless none.
	ClientAuth ClientAuth
	// ProxyFrom are the networks whose connections must begin with a PROXY protocol v2 header, and are believed. From
	// elsewhere a header is an error like any other garbage.
	ProxyFrom []netip.Prefix
	Limits    Limits
}

// endpointForm is what errors of ParseEndpoint show.
const endpointForm = "expected PROTOCOL=tcp://HOST:PORT, PROTOCOL=tls://HOST:PORT or PROTOCOL=tcp+tls://HOST:PORT (TLS optional), " +
	"for example openwire=tcp://127.0.0.1:61616"

// ParseEndpoint reads the form of the --listen flag: openwire=tcp://127.0.0.1:61616, stomp=tls://:61615,
// auto=tcp+tls://[::1]:5000, with the options ?client-auth=none|optional|required, proxy-from=10.0.0.0/8,192.0.2.7 and
// name=NAME after it, joined by &. "ssl" is accepted for "tls".
func ParseEndpoint(text string) (Endpoint, error) {
	e, err := parseEndpoint(text)
	if err != nil {
		return Endpoint{}, fmt.Errorf("listen %q: %w", text, err)
	}
	return e, nil
}

func parseEndpoint(text string) (Endpoint, error) {
	var e Endpoint
	protocol, url, ok := strings.Cut(text, "=")
	if !ok || strings.Contains(protocol, "://") {
		return e, errors.New("no protocol given; " + endpointForm)
	}
	e.Protocol = Protocol(protocol)
	scheme, address, ok := strings.Cut(url, "://")
	if !ok {
		return e, errors.New("no transport given; " + endpointForm)
	}
	switch scheme {
	case "tcp":
		e.TLS = TLSOff
	case "tls", "ssl":
		e.TLS = TLSRequired
	case "tcp+tls", "tcp+ssl", "tls+tcp":
		e.TLS = TLSOptional
	default:
		return e, fmt.Errorf("transport %q is unknown; %s", scheme, endpointForm)
	}
	address, options, _ := strings.Cut(address, "?")
	e.Address = strings.TrimSuffix(address, "/")
	if options != "" {
		for option := range strings.SplitSeq(options, "&") {
			if err := e.setOption(option); err != nil {
				return e, err
			}
		}
	}
	return e, e.check()
}

func (e *Endpoint) setOption(option string) error {
	name, value, _ := strings.Cut(option, "=")
	switch name {
	case "client-auth":
		return e.ClientAuth.UnmarshalText([]byte(value))
	case "name":
		e.Name = value
		return nil
	case "proxy-from":
		for text := range strings.SplitSeq(value, ",") {
			p, err := ParseNetwork(text)
			if err != nil {
				return fmt.Errorf("proxy-from: %w", err)
			}
			e.ProxyFrom = append(e.ProxyFrom, p)
		}
		return nil
	}
	return fmt.Errorf("option %q is unknown; expected client-auth, proxy-from or name", name)
}

// ParseNetwork reads a network (10.0.0.0/8) or a single address.
func ParseNetwork(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		a = a.Unmap().WithZone("")
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return p, fmt.Errorf("%q is no network; expected for example 10.0.0.0/8 or 192.0.2.7", text)
	}
	return p.Masked(), nil
}

// check says what is wrong with an endpoint by itself.
func (e *Endpoint) check() error {
	if !slices.Contains(protocols, e.Protocol) {
		return fmt.Errorf("protocol %q is unknown; expected openwire, stomp, amqp, mqtt, http or auto", string(e.Protocol))
	}
	host, port, err := net.SplitHostPort(e.Address)
	if err != nil {
		return fmt.Errorf("address %q is not HOST:PORT; write an IPv6 address in brackets, and for all interfaces :PORT", e.Address)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("port %q is not a number from 0 to 65535", port)
	} else if n == 0 && port != "0" {
		return fmt.Errorf("port %q is written oddly; expected 0", port)
	}
	if strings.ContainsAny(host, "/ ") {
		return fmt.Errorf("host %q is no host name or address", host)
	}
	if int(e.TLS) >= len(tlsModes) || int(e.ClientAuth) >= len(clientAuths) {
		return errors.New("tls or client-auth is none of the known values")
	}
	if e.ClientAuth != NoClientAuth && e.TLS == TLSOff {
		return fmt.Errorf("client-auth %s needs tls", e.ClientAuth)
	}
	if e.ClientAuth == RequiredClientAuth && e.TLS == TLSOptional {
		return errors.New("client-auth required means nothing where tls is optional: a client would just leave it out")
	}
	return nil
}

// String is the form that ParseEndpoint reads, without options.
func (e Endpoint) String() string {
	scheme := [...]string{TLSOff: "tcp", TLSRequired: "tls", TLSOptional: "tcp+tls"}[e.TLS]
	return string(e.Protocol) + "=" + scheme + "://" + e.Address
}

// Loopback says whether only this machine can reach the address: an empty host, and a name other than localhost, are not
// loopback.
func (e Endpoint) Loopback() bool {
	host, _, err := net.SplitHostPort(e.Address)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

// proxied says whether connections from the address bring a PROXY header.
func (e *Endpoint) proxied(from netip.Addr) bool {
	for _, p := range e.ProxyFrom {
		if p.Contains(from) {
			return true
		}
	}
	return false
}
