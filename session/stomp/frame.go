package stomp

import (
	"strings"

	"github.com/godwitmq/godwit/codec/stomp"
)

// handle does what one frame of a client that is logged in asks for. ActiveMQ knows commands by how they begin.
func (c *connection) handle(f *stomp.Frame) error {
	receipt := f.Headers.Value("receipt")
	if isServer(f.Command) {
		return unknownCommand(f.Command)
	}
	is := func(command string) bool { return strings.HasPrefix(f.Command, command) }
	switch {
	case is(stomp.Send):
		return c.send(f.Headers, f.Body, receipt)
	case is(stomp.Ack):
		return c.ack(stomp.Ack, f.Headers, receipt)
	case is(stomp.Nack):
		return c.ack(stomp.Nack, f.Headers, receipt)
	case is("SUB"):
		return c.subscribe(f.Headers, receipt)
	case is("UNSUB"):
		return c.unsubscribe(f.Headers, receipt)
	case is(stomp.Begin):
		return c.begin(f.Headers, receipt)
	case is(stomp.Commit):
		return c.end(stomp.Commit, f.Headers, receipt)
	case is(stomp.Abort):
		return c.end(stomp.Abort, f.Headers, receipt)
	case is(stomp.Disconnect):
		c.event(c.barrier(answer{kind: goodbye, receipt: receipt}))
		return errLeft
	case is(stomp.Connect), is(stomp.Stomp):
		return &refusal{text: "The client is already connected", fatal: true}
	}
	return unknownCommand(f.Command)
}
