package stomp

import (
	"bytes"
	"net"
	"runtime"
	"testing"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/codec/stomp"
	"github.com/godwitmq/godwit/message"
	"github.com/godwitmq/godwit/security"
)

// idle is a session that is logged in, without its goroutines.
func idle(b *testing.B) *connection {
	deps := openDeps(b, security.Policy{})
	near, far := net.Pipe()
	b.Cleanup(func() { near.Close() })
	c := newConnection(far, sessionPeer, deps, Options{})
	go near.Write(wire("CONNECT|accept-version:1.2"))
	if err := c.connect(b.Context()); err != nil {
		b.Fatal(err)
	}
	return c
}

// BenchmarkSend is the way of a SEND from the bytes to the event.
func BenchmarkSend(b *testing.B) {
	for name, head := range map[string]string{"persistent": "|persistent:true", "non-persistent": "", "properties": "|persistent:true|a:1|b:some text|c:x"} {
		b.Run(name, func(b *testing.B) {
			c := idle(b)
			frame := wire("SEND|destination:/queue/bench" + head + "||" + string(bytes.Repeat([]byte("x"), 1024)))
			frames := stomp.NewReader(&endless{frame: frame}, stomp.Options{})
			frames.SetVersion(stomp.V12)
			b.ReportAllocs()
			for b.Loop() {
				f, err := frames.Next()
				if err != nil {
					b.Fatal(err)
				}
				if err := c.handle(&f); err != nil {
					b.Fatal(err)
				}
				c.burst = c.burst[:0]
			}
		})
	}
}

// endless repeats a frame.
type endless struct {
	frame []byte
	at    int
}

func (e *endless) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		m := copy(p[n:], e.frame[e.at:])
		n += m
		e.at = (e.at + m) % len(e.frame)
	}
	return n, nil
}

// BenchmarkMessage is the way of a delivery from the effect to the bytes.
func BenchmarkMessage(b *testing.B) {
	var properties message.PropertiesBuilder
	properties.SetString("a", "1")
	properties.SetString("b", "some text")
	for name, p := range map[string]message.Properties{"plain": nil, "properties": properties.Properties()} {
		b.Run(name, func(b *testing.B) {
			c := idle(b)
			sub := &subscription{id: 1, prefix: []byte("MESSAGE\nsubscription:1\n"), mode: ackClient}
			c.subscriptions[1] = sub
			m := &message.Message{ID: message.ID{Producer: "ID:host-61613-1795382540159-1:1:-1:1"}, Destination: message.Destination{Kind: message.Queue, Name: "bench"}, Persistent: true,
				Timestamp: 1795382540159, Priority: 4, Type: message.Text, Content: bytes.Repeat([]byte("x"), 1024), Properties: p}
			b.ReportAllocs()
			for b.Loop() {
				m.ID.Sequence++
				c.effect(&broker.Effect{Kind: broker.Delivery, Consumer: 1, Message: m, Sequence: uint64(m.ID.Sequence)})
				c.out = c.out[:0]
				sub.waiting.drop(0, 1, 0)
			}
		})
	}
}

// BenchmarkRoundTrip is the whole: a window of messages through a socket, the core and the journal, and back. An
// operation is one message.
func BenchmarkRoundTrip(b *testing.B) {
	for name, head := range map[string]string{"persistent": "|persistent:true", "non-persistent": ""} {
		b.Run(name, func(b *testing.B) {
			c := tcp(b)
			c.send("CONNECT|accept-version:1.2")
			c.send("SUBSCRIBE|id:1|destination:/queue/bench")
			if _, err := c.reader.Next(); err != nil {
				b.Fatal(err)
			}
			const window = 64
			burst := bytes.Repeat(wire("SEND|destination:/queue/bench"+head+"||"+string(bytes.Repeat([]byte("x"), 1024))), window)
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				if n%window == 0 {
					if _, err := c.Write(burst); err != nil {
						b.Fatal(err)
					}
				}
				if _, err := c.reader.Next(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkIdle tells what an idle connection with one subscription costs, the client's end not counted but the pipe's.
func BenchmarkIdle(b *testing.B) {
	deps := openDeps(b, security.Policy{})
	memory := func() uint64 {
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return s.HeapAlloc + s.StackInuse
	}
	before := memory()
	const n = 1000
	for b.Loop() {
		clients := make([]net.Conn, n)
		for i := range clients {
			near, far := net.Pipe()
			go Serve(b.Context(), far, sessionPeer, deps, Options{})
			near.Write(wire("CONNECT|accept-version:1.2|heart-beat:60000,60000"))
			near.Read(make([]byte, 4096))
			near.Write(wire("SUBSCRIBE|id:1|destination:/queue/idle|receipt:1"))
			near.Read(make([]byte, 4096))
			clients[i] = near
		}
		b.ReportMetric(float64(memory()-before)/n/1024, "KiB/connection")
		for _, c := range clients {
			c.Close()
		}
	}
}
