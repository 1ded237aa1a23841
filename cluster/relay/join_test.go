package relay

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godwitmq/godwit/listen"
)

// carried is one client on its way through a standby to an active.
type carried struct {
	*standby
	client net.Conn
	tcp    *net.TCPConn // below client
	there  served
	end    context.CancelCauseFunc // ends the active's term
}

func carry(t *testing.T, secure bool) *carried {
	cluster, people := newAuthority(t, "cluster"), newAuthority(t, "people")
	term, end := context.WithCancelCause(t.Context())
	t.Cleanup(func() { end(nil) })
	a := newActive(t, ReceiverOptions{TLS: cluster.node("a")})
	c := &carried{end: end}
	c.standby = newStandby(t, clientCertificates(t, people), Options{TLS: cluster.node("b"), Directory: &fixed{address: a.at.Address, term: term}})
	e := listen.Endpoint{}
	if secure {
		e.TLS = listen.TLSRequired
	}
	c.tcp = dial(t, c.listen(e))
	c.client = c.tcp
	if secure {
		c.client = tls.Client(c.tcp, &tls.Config{RootCAs: people.pool, ServerName: "localhost"})
	}
	write(t, c.client, "hello")
	c.there = a.next()
	wantRead(t, c.there.conn, "hello")
	return c
}

// TestEnds: the end of either side is seen by the other at once, not when some time is over, and nothing stays.
func TestEnds(t *testing.T) {
	tests := map[string]struct {
		end  func(c *carried)
		want error // of Serve; errAny: of the network, if any
	}{
		"client closes":                 {func(c *carried) { c.client.Close(); wantEnd(c.tb, c.there.conn); close(c.there.end) }, nil},
		"client is gone without a word": {func(c *carried) { c.tcp.Close(); wantEnd(c.tb, c.there.conn); close(c.there.end) }, nil},
		"client resets": {func(c *carried) {
			c.tcp.SetLinger(0)
			c.tcp.Close()
			wantEnd(c.tb, c.there.conn)
			close(c.there.end)
		}, errAny},
		"client ends half": {func(c *carried) {
			write(c.tb, c.client, "last words")
			closeWrite(c.client)
			wantRead(c.tb, c.there.conn, "last words")
			wantEnd(c.tb, c.there.conn)
			write(c.tb, c.there.conn, "answer")
			close(c.there.end)
			wantRead(c.tb, c.client, "answer")
			wantEnd(c.tb, c.client)
		}, nil},
		"active ends": {func(c *carried) {
			write(c.tb, c.there.conn, "error")
			close(c.there.end)
			wantRead(c.tb, c.client, "error")
			wantEnd(c.tb, c.client)
			c.client.Close()
		}, nil},
		"active ends, client goes on sending": {func(c *carried) {
			close(c.there.end)
			for {
				if _, err := c.client.Write(make([]byte, 1000)); err != nil {
					return
				}
			}
		}, errAny},
		"term ends": {func(c *carried) {
			c.end(nil)
			wantEnd(c.tb, c.client)
			wantEnd(c.tb, c.there.conn)
		}, ErrNotActive},
		"standby shuts down": {func(c *carried) {
			c.Server.Close()
			wantEnd(c.tb, c.client)
			wantEnd(c.tb, c.there.conn)
		}, context.Canceled},
		"term ends while neither side reads": {func(c *carried) {
			var writers sync.WaitGroup
			for _, conn := range []net.Conn{c.client, c.there.conn} {
				conn.SetWriteDeadline(time.Now().Add(300 * time.Millisecond)) // until all buffers are full, a while over
				writers.Go(func() { io.Copy(conn, zeros{}) })
			}
			writers.Wait()
			c.end(nil)
		}, ErrNotActive},
	}
	for name, tt := range tests {
		for _, secure := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, TLS %v", name, secure), func(t *testing.T) {
				c := carry(t, secure)
				begin := time.Now()
				tt.end(c)
				err := c.ended()
				if tt.want == errAny && errors.Is(err, ErrNotActive) || tt.want != errAny && !errors.Is(err, tt.want) {
					t.Errorf("Serve = %v, want %v", err, tt.want)
				}
				if took := time.Since(begin); took >= linger {
					t.Errorf("it took %v: somebody waited for a time to be over", took)
				}
				if n := c.Carrier.Stats().Current.Load(); n != 0 {
					t.Errorf("current = %d, want 0", n)
				}
			})
		}
	}
}

var errAny = errors.New("an error of the network, if any")

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// TestHandedOver: an active that has given its role away ends its clients itself, and what it says until then arrives; one that does not is cut.
func TestHandedOver(t *testing.T) {
	c := carry(t, false)
	c.end(ErrHandedOver)
	write(t, c.there.conn, "goodbye")
	wantRead(t, c.client, "goodbye")
	c.client.Close()
	wantEnd(t, c.there.conn)
	close(c.there.end)
	if err := c.ended(); err != nil {
		t.Errorf("Serve = %v, want nil", err)
	}
	c = carry(t, false)
	begin := time.Now()
	c.end(ErrHandedOver)
	wantEnd(t, c.client)
	if err := c.ended(); !errors.Is(err, ErrNotActive) || time.Since(begin) < finish {
		t.Errorf("Serve = %v after %v, want %v after %v", err, time.Since(begin), ErrNotActive, finish)
	}
}

// TestLinger: one who never ends is cut some time after the other side has ended.
func TestLinger(t *testing.T) {
	c := carry(t, false)
	begin := time.Now()
	close(c.there.end)
	wantEnd(t, c.client)
	if err := c.ended(); err != nil || time.Since(begin) < linger {
		t.Errorf("Serve = %v after %v, want nil after %v", err, time.Since(begin), linger)
	}
}

// TestBytesPass: sizes around those of buffers, both ways at once, byte for byte.
func TestBytesPass(t *testing.T) {
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("TLS %v", secure), func(t *testing.T) {
			c := carry(t, secure)
			c.there.info.LoggedIn()
			sizes := []int{1, smallBuffer - 1, smallBuffer, smallBuffer + 1, largeBuffer - 1, largeBuffer, largeBuffer + 1, 1, 1 << 20, 100}
			var all [2]bytes.Buffer
			for i, size := range sizes {
				all[0].WriteString(strings.Repeat(string(rune('a'+i)), size))
				all[1].WriteString(strings.Repeat(string(rune('A'+i)), size))
			}
			var running sync.WaitGroup
			for i, ends := range [][2]net.Conn{{c.client, c.there.conn}, {c.there.conn, c.client}} {
				running.Go(func() {
					rest := all[i].Bytes()
					for _, size := range sizes {
						if _, err := ends[0].Write(rest[:size]); err != nil {
							t.Error(err)
						}
						rest = rest[size:]
					}
				})
				running.Go(func() {
					got := make([]byte, all[i].Len())
					if n, err := io.ReadFull(ends[1], got); err != nil || !bytes.Equal(got, all[i].Bytes()) {
						t.Errorf("direction %d: %d of %d bytes, %v, equal %v", i, n, len(got), err, bytes.Equal(got, all[i].Bytes()))
					}
				})
			}
			running.Wait()
		})
	}
}

// TestNothingStays: a thousand clients come and go, each way of going, and leave no goroutine.
func TestNothingStays(t *testing.T) {
	cluster := newAuthority(t, "cluster")
	a := newActive(t, ReceiverOptions{TLS: cluster.node("a")})
	s := newStandby(t, nil, Options{TLS: cluster.node("b"), Directory: &fixed{address: a.at.Address, term: t.Context()}})
	address := s.listen(listen.Endpoint{})
	before := runtime.NumGoroutine()
	for range 10 {
		var clients []*net.TCPConn
		for range 100 {
			c, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			clients = append(clients, c.(*net.TCPConn))
		}
		for i := range clients {
			got := a.next()
			if i%2 == 0 {
				close(got.end)
			} else {
				go func() { io.Copy(io.Discard, got.conn); close(got.end) }()
			}
		}
		for i, c := range clients {
			if i%3 == 0 {
				c.SetLinger(0)
			}
			c.Close()
		}
		for range clients {
			s.ended()
		}
	}
	a.idle()
	for end := time.Now().Add(patience); runtime.NumGoroutine() > before; <-time.After(time.Millisecond) {
		if time.Now().After(end) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
		}
	}
	if stats := s.Carrier.Stats(); stats.Carried.Load() != 1000 || stats.Current.Load() != 0 || a.Stats().Relayed.Load() != 1000 {
		t.Errorf("carried %d, current %d, relayed %d; want 1000, 0, 1000", stats.Carried.Load(), stats.Current.Load(), a.Stats().Relayed.Load())
	}
}
