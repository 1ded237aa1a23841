package engine_test

import (
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/engine"
	"github.com/godwitmq/godwit/journal"
	"github.com/godwitmq/godwit/journal/segment"
	"github.com/godwitmq/godwit/message"
)

func open(t testing.TB, dir string) *engine.Engine {
	t.Helper()
	e, err := engine.Open(func(n journal.Notify) (journal.Log, error) { return segment.Open(dir, segment.Options{}, n) }, engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func queue(name string) message.Destination {
	return message.Destination{Kind: message.Queue, Name: name}
}

func persistent(d message.Destination, n int64, text string) *message.Message {
	m := &message.Message{ID: message.ID{Producer: "p", Sequence: n}, Destination: d, Priority: 4, Persistent: true, Type: message.Text, Content: []byte(text)}
	m.Encode()
	return m
}

// client is a connection that waits for one effect at a time.
type client struct {
	*engine.Conn
	t    testing.TB
	rest []broker.Effect
}

func connect(t testing.TB, e *engine.Engine) *client {
	c := &client{Conn: e.Connect(), t: t}
	c.Submit(&broker.Connect{Conn: c.ID(), Ref: 1})
	c.answer(1)
	return c
}

func (c *client) next() broker.Effect {
	c.t.Helper()
	if len(c.rest) == 0 {
		got, err := c.Wait(nil)
		if err != nil {
			c.t.Fatal(err)
		}
		c.rest = got
	}
	x := c.rest[0]
	c.rest = c.rest[1:]
	return x
}

func (c *client) answer(ref broker.Ref) {
	c.t.Helper()
	if x := c.next(); x.Kind != broker.Answer || x.Ref != ref || x.Err != nil {
		c.t.Fatalf("got %+v (error %v), want the answer to %d", x, x.Err, ref)
	}
}

func (c *client) delivery(text string) broker.Effect {
	c.t.Helper()
	x := c.next()
	if x.Kind != broker.Delivery || string(x.Message.Content) != text {
		c.t.Fatalf("got %+v, want the delivery of %q", x, text)
	}
	return x
}

func TestSurvivesRestart(t *testing.T) {
	dir := t.TempDir()
	e := open(t, dir)
	c := connect(t, e)
	for i, text := range []string{"one", "two", "three"} {
		c.Submit(&broker.Send{Conn: c.ID(), Ref: broker.Ref(10 + i), Message: persistent(queue("q"), int64(i), text), MayCreate: true})
		c.answer(broker.Ref(10 + i))
	}
	c.Submit(&broker.Subscribe{Conn: c.ID(), Ref: 20, Consumer: 1, Destination: queue("q"), Prefetch: 10})
	c.answer(20)
	first := c.delivery("one")
	c.delivery("two")
	c.delivery("three")
	c.Submit(&broker.Ack{Conn: c.ID(), Ref: 21, Consumer: 1, Kind: broker.Consumed, Last: first.Sequence, Single: true})
	c.answer(21)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	e = open(t, dir)
	defer e.Close()
	c = connect(t, e)
	c.Submit(&broker.Subscribe{Conn: c.ID(), Ref: 20, Consumer: 1, Destination: queue("q"), Prefetch: 10})
	c.answer(20)
	for _, text := range []string{"two", "three"} {
		if x := c.delivery(text); x.Redeliveries == 0 {
			t.Errorf("%q was delivered before the restart, got %d redeliveries, want more than 0", text, x.Redeliveries)
		}
	}
}

func BenchmarkSend(b *testing.B) {
	e := open(b, b.TempDir())
	defer e.Close()
	c := connect(b, e)
	body := make([]byte, 1024)
	for b.Loop() {
		m := persistent(queue("q"), int64(b.N), string(body))
		c.Submit(&broker.Send{Conn: c.ID(), Ref: 1, Message: m, MayCreate: true})
		c.answer(1)
	}
}

// cpuSeconds is the processor time that this process has used, user and system.
func cpuSeconds() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

// BenchmarkPipeline sends persistent messages of 1 KiB through queues with a consumer each, as many producers as queues; every send waits for its
// answer. It reports the processor time of one send with its dispatch and acknowledgement.
func BenchmarkPipeline(b *testing.B) {
	for _, n := range []int{1, 16} {
		b.Run(fmt.Sprintf("%d producers", n), func(b *testing.B) {
			e := open(b, b.TempDir())
			defer e.Close()
			body := make([]byte, 1024)
			var consumers sync.WaitGroup
			for i := range n {
				c := connect(b, e)
				c.Submit(&broker.Subscribe{Conn: c.ID(), Consumer: 1, Destination: queue(fmt.Sprint("q", i)), Prefetch: 1000, MayCreate: true})
				consumers.Go(func() {
					defer c.Close()
					var got []broker.Effect
					for seen := 0; seen < b.N/n; {
						var err error
						if got, err = c.Wait(got); err != nil {
							return
						}
						var acks []broker.Event
						for i := range got {
							if got[i].Kind == broker.Delivery {
								seen++
								acks = append(acks, &broker.Ack{Conn: c.ID(), Consumer: 1, Kind: broker.Consumed, Last: got[i].Sequence, Single: true})
							}
						}
						c.Submit(acks...)
					}
				})
			}
			b.ResetTimer()
			cpu := cpuSeconds()
			var producers sync.WaitGroup
			for i := range n {
				c := connect(b, e)
				producers.Go(func() {
					defer c.Close()
					var got []broker.Effect
					for k := range b.N / n {
						m := &message.Message{ID: message.ID{Producer: fmt.Sprint("p", i), Sequence: int64(k)}, Destination: queue(fmt.Sprint("q", i)), Priority: 4, Persistent: true, Type: message.Bytes, Content: body}
						m.Encode()
						c.Submit(&broker.Send{Conn: c.ID(), Ref: 1, Message: m, Tracked: true, MayCreate: true})
						got, _ = c.Wait(got)
					}
				})
			}
			producers.Wait()
			consumers.Wait()
			b.ReportMetric((cpuSeconds()-cpu)*1e6/float64(b.N), "cpu-us/op")
		})
	}
}
