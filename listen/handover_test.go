package listen

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
)

// handOver opens a plain handover endpoint at f, of peers that say one byte: 's' for a client that speaks STOMP from 192.0.2.1.
func handOver(f *fixture, limits Limits) Endpoint {
	f.t.Helper()
	e, err := f.ListenHandover(Handover{Address: "127.0.0.1:0", Limits: limits,
		Read: func(r io.Reader) (Info, error) {
			b := make([]byte, 1)
			if _, err := io.ReadFull(r, b); err != nil {
				return Info{}, err
			}
			if b[0] != 's' {
				return Info{}, errors.New("unknown")
			}
			return Info{Protocol: STOMP, Listener: "far", Remote: netip.MustParseAddrPort("192.0.2.1:1"), Local: netip.MustParseAddrPort("192.0.2.2:2")}, nil
		},
		Answer: func(w io.Writer, refusal error) error {
			answer := "+"
			if refusal != nil {
				answer = "-"
			}
			_, err := io.WriteString(w, answer)
			return err
		}})
	if err != nil {
		f.t.Fatal(err)
	}
	return e
}

func (g *gate) counts() (open, pending int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, t := range g.of {
		open, pending = open+t.open, pending+t.pending
	}
	return open, pending
}

// TestHandoverCounts: a peer's connection counts for the peer until it said whose it is, then for the client.
func TestHandoverCounts(t *testing.T) {
	f := newFixture(t, nil, 0, STOMP)
	e := handOver(f, Limits{MaxPendingPerAddress: 2})
	want := func(when string, peers, open, pending int) {
		t.Helper()
		p, pp := f.peers.counts()
		o, op := f.gate.counts()
		if p != peers || pp != peers || o != open || op != pending {
			t.Errorf("%s: of peers %d (%d pending), of clients %d (%d pending); want %d, %d (%d)", when, p, pp, o, op, peers, open, pending)
		}
	}
	var all []served
	var conns []net.Conn
	for range 2 {
		c := f.dial(e.Address)
		f.write(c, "s")
		f.wantRead(c, "+")
		conns, all = append(conns, c), append(all, f.next())
	}
	want("two clients", 0, 2, 2)
	refused := f.dial(e.Address)
	f.write(refused, "s")
	f.wantRead(refused, "-")
	f.wantClosed(refused)
	f.awaitCurrent(2)
	want("a third refused", 0, 2, 2)
	for _, s := range all {
		if !s.info.LoggedIn() || !s.info.Relayed || s.info.Listener != "far" || s.info.Proxy != netip.MustParseAddrPort(conns[0].LocalAddr().String()) {
			t.Errorf("info = %+v", s.info)
		}
		conns = conns[1:]
	}
	want("logged in", 0, 2, 0)
	if len(f.Bound()) != 0 || e.Protocol != Relay || !f.Unlisten(e.Name) {
		t.Errorf("bound %v; want none, and %+v to be closed", f.Bound(), e)
	}
	for _, s := range all {
		close(s.end)
	}
	f.awaitCurrent(0)
	want("all gone", 0, 0, 0)
	if s := f.Stats(); s.Relayed.Load() != 2 || s.RefusedPending.Load() != 1 {
		t.Errorf("relayed %d, refused %d; want 2, 1", s.Relayed.Load(), s.RefusedPending.Load())
	}
}

// TestSilentPeers: strangers who fill the handover endpoint with silence do not keep away clients of the same address.
func TestSilentPeers(t *testing.T) {
	f := newFixture(t, nil, 0, STOMP)
	e := handOver(f, Limits{})
	direct := f.listen(Endpoint{Protocol: STOMP, Limits: Limits{MaxPerAddress: 1}})
	for range maxHandovers {
		f.dial(e.Address)
	}
	f.wantClosed(f.dial(e.Address))
	if n := f.Stats().RefusedPending.Load(); n != 1 {
		t.Errorf("refused %d, want 1", n)
	}
	f.dial(direct)
	f.next()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f.Shutdown(ctx)
	if open, _ := f.peers.counts(); open != 0 {
		t.Errorf("%d still count after Shutdown", open)
	}
}
