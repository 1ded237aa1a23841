package listen

import (
	"net/netip"
	"sync"
	"sync/atomic"
)

// Stats are counters since the start; Current is a gauge. They may be read at any time.
type Stats struct {
	Accepted   atomic.Int64 // by the operating system
	Current    atomic.Int64 // open now, also before the login
	Handled    atomic.Int64 // given to a protocol's handler
	Relayed    atomic.Int64 // of these: handed over by another instance
	LoggedIn   atomic.Int64
	TLS        atomic.Int64 // handshakes that succeeded
	AcceptFail atomic.Int64

	// Connections that were closed by the listener, by reason.
	RefusedFull         atomic.Int64 // MaxConnections, of the endpoint or the server
	RefusedAddress      atomic.Int64 // MaxPerAddress
	RefusedAccess       atomic.Int64 // Admit; also those that it has closed later
	RefusedPending      atomic.Int64 // MaxPendingPerAddress
	RefusedProxy        atomic.Int64 // no PROXY header, or a bad one, from a network that must send one
	RefusedRelay        atomic.Int64 // handed over to an instance that is not active
	RefusedTLS          atomic.Int64 // handshake failed or not in time
	RefusedProtocol     atomic.Int64 // unknown, or not served, or no first bytes in time
	RefusedLoginTimeout atomic.Int64
	RefusedLoginBytes   atomic.Int64
}

// gate counts connections by address.
type gate struct {
	mu sync.Mutex
	of map[netip.Addr]*tally
}

type tally struct{ open, pending int }

// networkOf is what counts as one address: of IPv6 a /64, from which one host may choose freely.
func networkOf(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if a.Is6() && !a.IsLoopback() {
		if p, err := a.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return a
}

// enter counts a connection that has yet to log in, or says which of stats counts the refusal.
func (g *gate) enter(from netip.Addr, l *Limits, stats *Stats) *atomic.Int64 {
	key := networkOf(from)
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.of[key]
	if t == nil {
		t = &tally{}
		g.of[key] = t
	}
	switch {
	case l.MaxPerAddress > 0 && t.open >= l.MaxPerAddress:
		return &stats.RefusedAddress
	case t.pending >= l.MaxPendingPerAddress:
		return &stats.RefusedPending
	}
	t.open++
	t.pending++
	return nil
}

// admit makes a pending connection one that is logged in, unless its time is over.
func (g *gate) admit(c *guard) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !c.state.CompareAndSwap(pending, inside) {
		return false
	}
	g.of[networkOf(c.remote.Addr())].pending--
	return true
}

// leave ends what enter began. Afterwards admit refuses the connection.
func (g *gate) leave(c *guard) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.remove(c.remote.Addr(), c.state.Swap(expired) != inside)
}

// release ends what enter began for a connection that is now counted elsewhere.
func (g *gate) release(from netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.remove(from, true)
}

// remove takes one from a tally. The caller holds g.mu.
func (g *gate) remove(from netip.Addr, pending bool) {
	key := networkOf(from)
	t := g.of[key]
	t.open--
	if pending {
		t.pending--
	}
	if t.open == 0 {
		delete(g.of, key)
	}
}
