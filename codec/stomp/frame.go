// Package stomp turns bytes into STOMP 1.0, 1.1 and 1.2 frames and frames into bytes, in the dialect of ActiveMQ.
//
// It knows frames, not their meaning: which command may follow which, and what a header asks for, is the session's.
package stomp

import "slices"

// The commands of STOMP 1.2. A Reader hands on any other text as it came: refusing it is the session's.
const (
	Connect     = "CONNECT"
	Stomp       = "STOMP" // the same as Connect, from version 1.1 on
	Connected   = "CONNECTED"
	Send        = "SEND"
	Subscribe   = "SUBSCRIBE"
	Unsubscribe = "UNSUBSCRIBE"
	Ack         = "ACK"
	Nack        = "NACK"
	Begin       = "BEGIN"
	Commit      = "COMMIT"
	Abort       = "ABORT"
	Disconnect  = "DISCONNECT"
	Message     = "MESSAGE"
	Receipt     = "RECEIPT"
	ErrorFrame  = "ERROR"
)

// Frame is one STOMP frame.
type Frame struct {
	Command string
	Headers Headers
	Body    []byte // nil if empty
}

// Clone returns a frame whose Headers outlive the Reader's next frame. Strings and body are shared.
func (f Frame) Clone() Frame {
	f.Headers = slices.Clone(f.Headers)
	return f
}

// Header is one header line, decoded.
type Header struct {
	Name, Value string
}

// Headers are a frame's headers in the order of the wire, repeated ones included.
type Headers []Header

// Lookup returns the value of the first header of that name (STOMP 1.2, Repeated Header Entries).
func (h Headers) Lookup(name string) (value string, ok bool) {
	for i := range h {
		if h[i].Name == name {
			return h[i].Value, true
		}
	}
	return "", false
}

// Value returns the value of the first header of that name, or "" if there is none.
func (h Headers) Value(name string) string {
	value, _ := h.Lookup(name)
	return value
}

// hasLength says whether a frame of this command may end elsewhere than at its first NUL: the commands that may
// have a body (STOMP 1.2, Body). All others end at the first NUL, whatever their content-length says.
func hasLength(command string) bool {
	return command == Send || command == Message || command == ErrorFrame
}

// isConnect says whether the frame belongs to the handshake, whose header values are never escaped.
func isConnect(command string) bool {
	return command == Connect || command == Connected || command == Stomp
}

// commandText returns text as a string, without an allocation for the known commands.
func commandText(text []byte) string {
	switch string(text) {
	case Send:
		return Send
	case Message:
		return Message
	case Ack:
		return Ack
	case Nack:
		return Nack
	case Connect:
		return Connect
	case Stomp:
		return Stomp
	case Connected:
		return Connected
	case Subscribe:
		return Subscribe
	case Unsubscribe:
		return Unsubscribe
	case Begin:
		return Begin
	case Commit:
		return Commit
	case Abort:
		return Abort
	case Disconnect:
		return Disconnect
	case Receipt:
		return Receipt
	case ErrorFrame:
		return ErrorFrame
	}
	return string(text)
}

// knownName returns the header name as a constant, or "" if it is not one of the usual ones.
func knownName(name []byte) string {
	switch string(name) {
	case "accept-version":
		return "accept-version"
	case "ack":
		return "ack"
	case "activemq.prefetchSize":
		return "activemq.prefetchSize"
	case "activemq.subscriptionName":
		return "activemq.subscriptionName"
	case "amq-msg-type":
		return "amq-msg-type"
	case "client-id":
		return "client-id"
	case contentLength:
		return contentLength
	case "content-type":
		return "content-type"
	case "correlation-id":
		return "correlation-id"
	case "destination":
		return "destination"
	case "expires":
		return "expires"
	case "heart-beat":
		return "heart-beat"
	case "host":
		return "host"
	case "id":
		return "id"
	case "login":
		return "login"
	case "message":
		return "message"
	case "message-id":
		return "message-id"
	case "passcode":
		return "passcode"
	case "persistent":
		return "persistent"
	case "priority":
		return "priority"
	case "receipt":
		return "receipt"
	case "receipt-id":
		return "receipt-id"
	case "redelivered":
		return "redelivered"
	case "reply-to":
		return "reply-to"
	case "selector":
		return "selector"
	case "server":
		return "server"
	case "session":
		return "session"
	case "subscription":
		return "subscription"
	case "timestamp":
		return "timestamp"
	case "transaction":
		return "transaction"
	case "transformation":
		return "transformation"
	case "type":
		return "type"
	case "version":
		return "version"
	}
	return ""
}

const contentLength = "content-length"
