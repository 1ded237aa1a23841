package engine_test

import (
	"io"
	"testing"

	"github.com/godwitmq/godwit/broker"
)

// A connection that its session, or a full outbox, ended first is given up by the core too.
func TestCloseAfterEnd(t *testing.T) {
	e := open(t, t.TempDir())
	defer e.Close()
	first, second := connect(t, e), connect(t, e)
	subscribe := func(c *client) {
		c.Submit(&broker.Subscribe{Conn: c.ID(), Ref: 2, Consumer: 1, Destination: queue("q"), Prefetch: 10, MayCreate: true})
		c.answer(2)
	}
	subscribe(first)
	second.Submit(&broker.Send{Conn: second.ID(), Ref: 3, Message: persistent(queue("q"), 1, "one")})
	second.answer(3)
	first.delivery("one")
	first.Tell(broker.Effect{Kind: broker.Closed})
	if got := first.next(); got.Kind != broker.Closed || !first.Ended() {
		t.Errorf("got %+v, ended %v; want the end", got, first.Ended())
	}
	first.Close()
	subscribe(second)
	second.delivery("one")
}

func TestConnectAfterClose(t *testing.T) {
	e := open(t, t.TempDir())
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Connect().Wait(nil); err != io.EOF {
		t.Errorf("got %v, want io.EOF", err)
	}
}
