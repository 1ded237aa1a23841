package openwire

import (
	"errors"

	"github.com/godwitmq/godwit/broker"
	wire "github.com/godwitmq/godwit/codec/openwire"
)

// Packages of JMS's exceptions: clients know only the one of their own world.
const (
	javax   = "javax.jms."
	jakarta = "jakarta.jms."
)

// classes maps the core's codes to Java's exceptions. A name that begins with a dot is of the JMS package.
var classes = [...]string{
	broker.Internal:              ".JMSException",
	broker.Malformed:             ".MessageFormatException",
	broker.Denied:                "java.lang.SecurityException",
	broker.NotFound:              ".JMSException",
	broker.InUse:                 ".JMSException",
	broker.Full:                  ".ResourceAllocationException",
	broker.InvalidSelector:       ".InvalidSelectorException",
	broker.InvalidDestination:    ".InvalidDestinationException",
	broker.InvalidClientID:       ".InvalidClientIDException",
	broker.TransactionRolledBack: ".TransactionRolledBackException",
	broker.IllegalState:          "java.lang.IllegalStateException",
	broker.Stopping:              "java.io.IOException",
}

// maxExceptionText bounds the text of an exception, in bytes; Java's own marshallers cut at 1024 characters.
const maxExceptionText = 1024

// throwable is the exception that tells a Java client of err.
func (c *connection) throwable(err *broker.Error) *wire.Throwable {
	class := ".JMSException"
	if int(err.Code) < len(classes) {
		class = classes[err.Code]
	}
	if class[0] == '.' {
		class = c.jms + class[1:]
	}
	text := err.Error()
	var xa broker.XACode
	if errors.As(err.Err, &xa) { // Java's clients read the code from the end of the text
		class = "javax.transaction.xa.XAException"
		text = text[:min(len(text), maxExceptionText/2)] + " " + xa.Error()
	}
	if len(text) > maxExceptionText {
		text = text[:maxExceptionText-3] + "..."
	}
	return &wire.Throwable{Class: class, Message: text}
}

// respond queues the Response to a command that wants one.
func (c *connection) respond(command wire.Command) {
	if command.NeedsResponse() {
		c.tell(&wire.Response{CorrelationID: command.ID()})
	}
}

// fail tells the client that a command failed: in the response, or where none is wanted, by a ConnectionError.
func (c *connection) fail(command wire.Command, err *broker.Error) {
	if command.NeedsResponse() {
		c.tell(&wire.ExceptionResponse{CorrelationID: command.ID(), Exception: c.throwable(err)})
		return
	}
	c.tell(&wire.ConnectionError{Exception: c.throwable(err), ConnectionID: wire.ConnectionID{Value: c.reader.name}})
}

func illegal(detail string) *broker.Error {
	return &broker.Error{Code: broker.IllegalState, Detail: detail}
}
