package relay

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/godwitmq/godwit/listen"
)

// election is a directory that is told who is active.
type election struct {
	asked chan struct{} // somebody waits
	terms chan fixed
}

func newElection() *election { return &election{make(chan struct{}, 16), make(chan fixed, 16)} }

func (e *election) Active(ctx context.Context) (string, context.Context, error) {
	select {
	case e.asked <- struct{}{}:
	default:
	}
	select {
	case f := <-e.terms:
		return f.address, f.term, f.err
	case <-ctx.Done():
		return "", nil, ctx.Err()
	}
}

// TestHold: a client that comes during a takeover is served by who takes over, and what it has sent meanwhile arrives.
func TestHold(t *testing.T) {
	cluster := newAuthority(t, "cluster")
	over, end := context.WithCancel(t.Context())
	end()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // its kernel accepts, nobody else
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	passiveOne := newActive(t, ReceiverOptions{TLS: cluster.node("c"), Active: func() bool { return false }})
	closing := newActive(t, ReceiverOptions{TLS: newAuthority(t, "other").node("d")}) // refuses the certificate
	tests := map[string][]fixed{
		"nobody at first":      nil,
		"dead":                 {{address: gone.Addr().String(), term: t.Context()}},
		"silent, found dead":   {{address: silent.Addr().String(), term: over}},
		"not active":           {{address: passiveOne.at.Address, term: t.Context()}},
		"stranger":             {{address: closing.at.Address, term: t.Context()}},
		"directory is at odds": {{err: errors.New("no quorum")}, {address: gone.Addr().String(), term: t.Context()}},
	}
	for name, before := range tests {
		t.Run(name, func(t *testing.T) {
			a := newActive(t, ReceiverOptions{TLS: cluster.node("a")})
			e := newElection()
			s := newStandby(t, nil, Options{TLS: cluster.node("b"), Directory: e, Hold: patience})
			client := dial(t, s.listen(listen.Endpoint{}))
			write(t, client, "CONNECT\n")
			for _, f := range before {
				<-e.asked
				e.terms <- f
			}
			<-e.asked
			if n := s.Carrier.Stats().Holding.Load(); n != 1 {
				t.Errorf("holding %d, want 1", n)
			}
			e.terms <- fixed{address: a.at.Address, term: t.Context()}
			got := a.next()
			wantRead(t, got.conn, "CONNECT\n")
			stats := s.Carrier.Stats()
			if h, c, n := stats.Holding.Load(), stats.Current.Load(), stats.Carried.Load(); h != 0 || c != 1 || n != 1 {
				t.Errorf("holding %d, current %d, carried %d; want 0, 1, 1", h, c, n)
			}
			close(got.end)
			wantEnd(t, client)
			client.Close()
			if err := s.ended(); err != nil {
				t.Errorf("Serve = %v", err)
			}
		})
	}
	if n := len(passiveOne.served) + len(closing.served); n != 0 {
		t.Errorf("%d connections reached a handler of one that is not active, or a stranger's", n)
	}
}

// TestHoldEnds: nobody is there in time, and the client is reset, not left to read an end.
func TestHoldEnds(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	cluster := newAuthority(t, "cluster")
	tests := map[string]Directory{
		"nobody":     newElection(),
		"no quorum":  &fixed{err: errors.New("no quorum")},
		"silent":     &fixed{address: silent.Addr().String(), term: t.Context()},
		"no address": &fixed{address: "127.0.0.1", term: t.Context()},
	}
	for name, directory := range tests {
		t.Run(name, func(t *testing.T) {
			s := newStandby(t, nil, Options{TLS: cluster.node("b"), Directory: directory, Hold: 200 * time.Millisecond})
			begin := time.Now()
			client := dial(t, s.listen(listen.Endpoint{}))
			write(t, client, "CONNECT\n")
			_, err := client.Read(make([]byte, 1))
			if took := time.Since(begin); !errors.Is(err, syscall.ECONNRESET) || took < 150*time.Millisecond || took > patience/2 {
				t.Errorf("read = %v after %v, want a reset after 200ms", err, took)
			}
			if err := s.ended(); !errors.Is(err, ErrNobody) || s.Carrier.Stats().Refused.Load() != 1 {
				t.Errorf("Serve = %v, refused %d; want %v, 1", err, s.Carrier.Stats().Refused.Load(), ErrNobody)
			}
		})
	}
}

// TestHere: an instance that becomes the active while it holds a client serves it itself.
func TestHere(t *testing.T) {
	e := newElection()
	c := New(Options{Directory: e, Hold: patience})
	got := make(chan string, 1)
	server := listen.New(listen.Options{Handlers: map[listen.Protocol]listen.Handler{listen.STOMP: func(ctx context.Context, conn net.Conn, info listen.Info) {
		if err := c.Serve(ctx, conn, info); !errors.Is(err, ErrHere) {
			t.Errorf("Serve = %v, want %v", err, ErrHere)
		}
		b, _ := io.ReadAll(conn)
		got <- string(b)
	}}})
	defer server.Close()
	server.Start()
	at, err := server.Listen(listen.Endpoint{Protocol: listen.STOMP, Address: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	client := dial(t, at.Address)
	write(t, client, "CONNECT\n")
	client.CloseWrite()
	<-e.asked
	e.terms <- fixed{term: t.Context()}
	if text := <-got; text != "CONNECT\n" {
		t.Errorf("the handler read %q, want all", text)
	}
}

// TestNotTwice: two instances that each take the other for the active do not pass a client to and fro.
func TestNotTwice(t *testing.T) {
	s := newStandby(t, nil, Options{Directory: newElection()})
	at, err := Listen(s.Server, ReceiverOptions{Address: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	other := newStandby(t, nil, Options{Directory: &fixed{address: at.Address, term: t.Context()}})
	client := dial(t, other.listen(listen.Endpoint{}))
	wantEnd(t, client)
	if err := s.ended(); !errors.Is(err, errAgain) {
		t.Errorf("Serve = %v, want %v", err, errAgain)
	}
}

// TestPlainStaysHome: without TLS nothing but this machine is dialled or listened on.
func TestPlainStaysHome(t *testing.T) {
	s := newStandby(t, nil, Options{Directory: &fixed{address: "192.0.2.1:1", term: t.Context()}, Hold: 50 * time.Millisecond})
	wantEnd(t, dial(t, s.listen(listen.Endpoint{})))
	if err := s.ended(); !errors.Is(err, ErrNobody) {
		t.Errorf("Serve = %v", err)
	}
	for _, address := range []string{":0", "0.0.0.0:0", "192.0.2.1:0"} {
		if at, err := Listen(s.Server, ReceiverOptions{Address: address}); err == nil {
			t.Errorf("it listens on %s without TLS", at.Address)
		}
	}
}
