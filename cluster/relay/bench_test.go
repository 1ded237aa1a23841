package relay

import (
	"crypto/tls"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/godwitmq/godwit/listen"
)

// The ways of a message from a client to the active and back, or only there. Client, standby and active are one process,
// so that CPU is of all of them; what the relay takes is the difference to "direct".
var ways = []struct {
	name          string
	relay, secure bool // secure: TLS between the instances
}{{"direct", false, false}, {"relay plain", true, false}, {"relay TLS", true, true}}

// connectBench returns both ends of a client's connection.
func connectBench(b *testing.B, relay, secure bool) (client, there net.Conn) {
	b.Helper()
	cluster := newAuthority(b, "cluster")
	var at, bt *tls.Config
	if secure {
		at, bt = cluster.node("a"), cluster.node("b")
	}
	a := newActive(b, ReceiverOptions{TLS: at})
	var address string
	if relay {
		s := newStandby(b, nil, Options{TLS: bt, Directory: &fixed{address: a.at.Address, term: b.Context()}})
		address = s.listen(listen.Endpoint{})
	} else {
		e, err := a.Listen(listen.Endpoint{Protocol: listen.STOMP, Address: "127.0.0.1:0"})
		if err != nil {
			b.Fatal(err)
		}
		address = e.Address
	}
	c := dial(b, address)
	c.SetDeadline(time.Time{})
	got := a.next()
	got.info.LoggedIn()
	got.conn.SetDeadline(time.Time{})
	return c, got.conn
}

// cpu is what the process has used.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkRoundTrip sends a message of 1 KiB and waits for a receipt of 64 bytes.
func BenchmarkRoundTrip(b *testing.B) {
	for _, way := range ways {
		b.Run(way.name, func(b *testing.B) {
			client, there := connectBench(b, way.relay, way.secure)
			go func() {
				message, receipt := make([]byte, 1024), make([]byte, 64)
				for {
					if _, err := io.ReadFull(there, message); err != nil {
						return
					}
					there.Write(receipt)
				}
			}()
			message, receipt := make([]byte, 1024), make([]byte, 64)
			begin := cpu(b)
			for b.Loop() {
				client.Write(message)
				if _, err := io.ReadFull(client, receipt); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64((cpu(b)-begin).Nanoseconds())/float64(b.N), "cpu-ns/op")
			client.Close()
		})
	}
}

// BenchmarkStream sends messages of 1 KiB one after the other, each by a write of its own.
func BenchmarkStream(b *testing.B) {
	for _, way := range ways {
		b.Run(way.name, func(b *testing.B) {
			client, there := connectBench(b, way.relay, way.secure)
			message := make([]byte, 1024)
			b.SetBytes(int64(len(message)))
			begin := cpu(b)
			go func() {
				for range b.N {
					client.Write(message)
				}
			}()
			b.ResetTimer()
			buffer := make([]byte, 64<<10) // as sessions read
			for rest := b.N * len(message); rest > 0; {
				n, err := there.Read(buffer)
				if err != nil {
					b.Fatal(err)
				}
				rest -= n
			}
			b.ReportMetric(float64((cpu(b)-begin).Nanoseconds())/float64(b.N), "cpu-ns/op")
			client.Close()
		})
	}
}

// BenchmarkConnect is a client that comes, is relayed and goes.
func BenchmarkConnect(b *testing.B) {
	cluster := newAuthority(b, "cluster")
	a := newActive(b, ReceiverOptions{TLS: cluster.node("a")})
	s := newStandby(b, nil, Options{TLS: cluster.node("b"), Directory: &fixed{address: a.at.Address, term: b.Context()}})
	address := s.listen(listen.Endpoint{})
	begin := cpu(b)
	for b.Loop() {
		client, err := net.Dial("tcp", address)
		if err != nil {
			b.Fatal(err)
		}
		close(a.next().end)
		client.Close()
		s.ended()
	}
	b.ReportMetric(float64((cpu(b)-begin).Nanoseconds())/float64(b.N), "cpu-ns/op")
}
