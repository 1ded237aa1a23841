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
	// Hold says that nothing more is to be read from the connection: it has no consumers, and very many of its messages wait for room. Resume
	// ends that. They are for the engine; sessions do not see them.
	Hold
	Resume
	// Move asks a session to have its client leave, at a moment when nothing that it asked for is unanswered. It is the engine's (Engine.Leave), for
	// sessions that have said that their client comes back by itself (Conn.Movable); the core never tells it.
	Move
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
	FirstOfGroup bool   // the first that the consumer gets of its message group (JMSXGroupFirstForConsumer)
	Redeliveries int    // how often it may have been seen before; > 0 means JMSRedelivered

	hold bool // until all records so far are durable
}

// Record is one fact for the log: Head, then Body if it carries a message. The parts are valid until the next Step.
type Record struct {
	Head []byte
	Body []byte
	Size int  // of Head and Body together, bytes
	Lazy bool // nobody waits for it: it may stay unwritten for a moment

	stored *stored // of the message it carries, to learn its position
	home   *uint64 // where else the position is kept
}

// Load asks the engine to read messages back from the log and to bring them as a Loaded with the same Token. Broker.Locate fills in the
// Positions.
type Load struct {
	Token     uint64
	Positions []uint64
}

// Effects is what one or more Steps want done. The caller hands the same one to every Step and calls Reset when it has done it all.
type Effects struct {
	List    []Effect
	Records []Record // to be appended as one batch, in order
	Loads   []Load
	Trim    uint64 // if not 0: the log may forget all before this position

	arena []byte // holds the Heads
}

// Reset empties it and keeps its memory.
func (out *Effects) Reset() {
	clear(out.List)
	clear(out.Records)
	clear(out.Loads)
	out.List, out.Records, out.Loads, out.arena, out.Trim = out.List[:0], out.Records[:0], out.Loads[:0], out.arena[:0], 0
}

// Held says whether the effect must wait until every record appended so far, those of the same Step included, is durable.
func (e *Effect) Held() bool { return e.hold }
