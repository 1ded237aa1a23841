package listen

import (
	"net"
	"net/netip"
	"testing"
	"time"
)

// from dials from an address of this machine.
func (f *fixture) from(local, address string) *net.TCPConn {
	f.t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(local)}}
	c, err := d.Dial("tcp", address)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c.(*net.TCPConn)
}

// TestAdmit changes who may be there: who may no longer is closed, others feel nothing.
func TestAdmit(t *testing.T) {
	f := newFixture(t, nil, 0, STOMP)
	first, second := f.listen(Endpoint{Protocol: STOMP, Name: "first"}), f.listen(Endpoint{Protocol: STOMP, Name: "second"})
	port := int(netip.MustParseAddrPort(first).Port())
	only := func(who string) func(netip.Addr, int) bool {
		return func(client netip.Addr, to int) bool { return client.String() == who && to == port }
	}
	a, b := f.from("127.0.0.1", first), f.from("127.0.0.2", first)
	served := f.next()
	if served.info.Remote.Addr().String() != "127.0.0.1" { // they may come in any order
		served = f.next()
	} else {
		f.next()
	}
	f.Admit(only("127.0.0.1"))
	f.wantClosed(b)
	f.wantClosed(f.from("127.0.0.2", first))
	f.wantClosed(f.from("127.0.0.1", second))
	f.write(a, "hello")
	f.wantRead(served.conn, "hello")
	if n := f.Stats().RefusedAccess.Load(); n != 3 {
		t.Errorf("%d are counted as refused, want 3", n)
	}
	f.Admit(nil)
	f.from("127.0.0.2", second)
	f.next()
}

// TestAdmitBehindAProxy asks for the address that the proxy tells, before and after the connection is made.
func TestAdmitBehindAProxy(t *testing.T) {
	f := newFixture(t, nil, 0, STOMP)
	address := f.listen(Endpoint{Protocol: STOMP, ProxyFrom: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	to := netip.MustParseAddrPort("198.51.100.1:61616")
	f.Admit(func(client netip.Addr, _ int) bool { return client.String() == "192.0.2.7" })
	good := f.dial(address)
	f.write(good, proxyHeader(netip.MustParseAddrPort("192.0.2.7:1000"), to, ""))
	f.next()
	bad := f.dial(address)
	f.write(bad, proxyHeader(netip.MustParseAddrPort("192.0.2.8:1000"), to, ""))
	f.wantClosed(bad)
	f.Admit(func(netip.Addr, int) bool { return false })
	f.wantClosed(good)
}

// TestLimitChanges lets more come, and then fewer than are there, who stay.
func TestLimitChanges(t *testing.T) {
	f := newFixture(t, nil, 1, STOMP)
	address := f.listen(Endpoint{Protocol: STOMP, Name: "it", Limits: Limits{MaxConnections: 1}})
	first := f.dial(address)
	served := f.next()
	f.wantClosed(f.dial(address))
	f.Limit(5, nil)
	f.wantClosed(f.dial(address))
	f.Limit(5, map[string]int{"it": 2})
	f.dial(address)
	f.next()
	f.Limit(1, map[string]int{"it": 1})
	f.wantClosed(f.dial(address))
	f.write(first, "hello")
	f.wantRead(served.conn, "hello")
}
