package broker

import "github.com/godwitmq/godwit/message"

// EffectKind says what an effect tells a connection.
type EffectKind uint8

// The kinds.
const (
	// Answer answers the event with the same Ref, or tells the error of one that asked for no answer (Ref 0).
	Answer EffectKind = iota
	// Delivery brings a message to a consumer.
	Delivery
	// EndOfBrowse follows the last delivery of a browser.
	EndOfBrowse
	// PullEmpty says that a Pull's time is over.
	PullEmpty
	// ConsumerClosed says that the broker has removed the consumer; Err says why.
	ConsumerClosed
	// Closed says that the broker has ended the connection; Err says why. The session sends what the protocol has
	// for that and closes the socket. Nothing follows.
	Closed
)

// Effect is what the broker tells one connection. It may be shown to the client as soon as the engine hands it out: what
// depends on a record has been held until that record was durable.
type Effect struct {
	Conn     ConnID
	Kind     EffectKind
	Ref      Ref
	Err      *Error
	Value    any // of an Answer, where the event says so
	Consumer ConsumerID

	// Of a Delivery:
	Message      *message.Message
	Sequence     uint64 // the delivery's name in Ack; grows with the order in which messages came in
	Redeliveries int    // how often it may have been seen before; > 0 means JMSRedelivered

	hold bool // until all records so far are durable
}

// Record is one fact for the log: Head, then Body if it carries a message. The parts are valid until the next Step.
type Record struct {
	Head  []byte
	Body  []byte
	Lazy  bool // nobody waits for it: it may stay unwritten for a moment
	place func(position uint64)
}

// Load asks the engine to read messages back from the log and to bring them as a Loaded with the same Token.
type Load struct {
	Token     uint64
	Positions []uint64
}
