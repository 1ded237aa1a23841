package stomp

import (
	"strings"

	"github.com/godwitmq/godwit/codec/stomp"
)

// handle does what one frame of a client that is logged in asks for. ActiveMQ knows commands by how they begin.
func (s *session) handle(f *stomp.Frame) error {
	receipt := f.Headers.Value("receipt")
	if isServer(f.Command) {
		return unknownCommand(f.Command)
	}
	is := func(command string) bool { return strings.HasPrefix(f.Command, command) }
	switch {
	case is(stomp.Send):
		return s.send(f.Headers, f.Body, receipt)
	case is(stomp.Ack):
		return s.ack(stomp.Ack, f.Headers, receipt)
	case is(stomp.Nack):
		return s.ack(stomp.Nack, f.Headers, receipt)
	case is("SUB"):
		return s.subscribe(f.Headers, receipt)
	case is("UNSUB"):
		return s.unsubscribe(f.Headers, receipt)
	case is(stomp.Begin):
		return s.begin(f.Headers, receipt)
	case is(stomp.Commit):
		return s.end(stomp.Commit, f.Headers, receipt)
	case is(stomp.Abort):
		return s.end(stomp.Abort, f.Headers, receipt)
	case is(stomp.Disconnect):
		s.event(s.barrier(answer{kind: goodbye, receipt: receipt}))
		return errLeft
	case is(stomp.Connect), is(stomp.Stomp):
		return &refusal{text: "The client is already connected", fatal: true}
	}
	return unknownCommand(f.Command)
}
