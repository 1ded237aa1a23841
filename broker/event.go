package broker

import (
	"time"

	"github.com/godwitmq/godwit/message"
)

// ConnID names a client's connection for as long as the broker runs. 0 is no connection (the broker itself).
type ConnID uint64

// ConsumerID names a consumer within its connection; the session chooses it.
type ConsumerID uint64

// TxID names a local transaction within its connection; the session chooses it. 0 is no transaction.
type TxID uint64

// Ref is what a session wants to find again in the answer to its event. 0 asks for no answer; an error is told all the same.
type Ref uint64

// Event is anything that happens to the broker: what a client asks, what the log answered, the clock. Events are plain
// data; the broker keeps what they point to.
type Event interface{ isEvent() }

// Connect registers a connection. It must be the first event of a connection.
type Connect struct {
	Conn     ConnID
	Ref      Ref
	Name     string // the protocol's own id of the connection; a second Connect with the same name ends the first
	ClientID string // exclusive in the broker; "" for none
	Steal    bool   // end the connection that has ClientID instead of failing with InvalidClientID
	User     string
	Protocol string // "openwire", "stomp"
	Remote   string // the client's address, for people
	Listener string // the listener's name, for people
}

// Disconnect ends a connection, however it came to its end: open transactions are rolled back, un-acknowledged messages
// go back, temporary destinations vanish. Nothing is sent to the connection any more. Unknown connections are ignored.
type Disconnect struct {
	Conn ConnID
	// Returns says that the connection ends for the broker's sake, a stop or a switchover, and that its client is expected back: what it has was not
	// delivered in vain, so it comes again flagged but with no higher count, and its temporary destinations wait for it.
	Returns bool
}

// CreateDestination makes a destination if it is not there yet. A temporary one belongs to the connection.
type CreateDestination struct {
	Conn        ConnID
	Ref         Ref
	Destination message.Destination
}

// RemoveDestination removes a destination with all that waits there. Errors: InUse while it has consumers; unknown is fine.
type RemoveDestination struct {
	Conn        ConnID
	Ref         Ref
	Destination message.Destination
}

// Subscribe adds a consumer. The destination may be composite or a pattern. Errors: InvalidSelector,
// InvalidDestination, InUse (a durable subscription with an active consumer, a shared one that is another topic's or selector's),
// InvalidClientID, IllegalState, Denied. A repeated
// Subscribe of a known consumer is answered and ignored.
type Subscribe struct {
	Conn        ConnID
	Ref         Ref
	Consumer    ConsumerID
	Destination message.Destination
	Selector    string
	Prefetch    int    // how many messages may be un-acknowledged at the consumer; 0 means Pull only
	Name        string // of a durable or shared subscription of the connection's client id; "" for none. Topics only
	Shared      bool   // other consumers may have the subscription Name at the same time; each message goes to one of them. The client id may be ""
	NonDurable  bool   // of a shared subscription: it ends with its last consumer
	NoLocal     bool
	Retroactive bool // gets messages of the past too, as the topic's policy says
	MaxPending  int  // how many messages may wait for a subscription that is not durable; 0 leaves it to the topic's policy
	Browser     bool // gets a copy of what waits now, then an EndOfBrowse
	Exclusive   bool
	Priority    int    // higher first
	MayCreate   bool   // whether the consumer may make the destination
	Label       string // its id in its protocol's own text, for advisories; "": the broker makes one up
}

// Unsubscribe removes a consumer. What it has not acknowledged goes back to its place in the queue.
type Unsubscribe struct {
	Conn     ConnID
	Ref      Ref
	Consumer ConsumerID
	// LastDelivered is the Sequence of the last delivery that the application saw: it and those before have their redelivery
	// counter raised. If the consumer does not hold it (it is settled, or another consumer's of the same connection), the last of a lower
	// Sequence stands for it. 0 means none was seen, Unknown that all count as seen.
	LastDelivered uint64
}

// Unknown as Unsubscribe.LastDelivered says that nobody knows what the application saw.
const Unknown = ^uint64(0)

// SetPrefetch changes a consumer's prefetch.
type SetPrefetch struct {
	Conn     ConnID
	Consumer ConsumerID
	Prefetch int
}

// Pull asks for one message for a consumer whose prefetch is 0. Without a message in time the consumer gets a
// PullEmpty. A Wait < 0 answers at once, 0 waits for ever (and sends no PullEmpty).
type Pull struct {
	Conn     ConnID
	Consumer ConsumerID
	Wait     time.Duration
}

// Throttle says that the client does not read what is sent to it (On), or that it does again: meanwhile its consumers are given nothing.
type Throttle struct {
	Conn ConnID
	On   bool
}

// AckKind says what an acknowledgement means.
type AckKind uint8

// The kinds.
const (
	// Delivered: seen but not settled: the consumer's window moves on by Count.
	Delivered AckKind = iota
	// Consumed: settled.
	Consumed
	// Poison: cannot be processed: redelivered by the broker's policy or moved to the dead-letter queue.
	Poison
	// Expired: the client found it expired.
	Expired
	// Released: goes back to its place, redelivery counter raised.
	Released
	// Redelivered: the application has had it and gets it once more from its client. It stays where it is, but when it comes back it counts as
	// redelivered, whatever Unsubscribe.LastDelivered says. What is not there is ignored.
	Redelivered
	// Duplicate: the client will not show it to the application, which has had it from this connection before. What may have been delivered before (it has
	// the redelivered flag) stays where it is: the application may still be at it, and its acknowledgement come; else it goes to another consumer when this one ends. What was
	// not is Poison. What is not there is ignored.
	Duplicate
)

// Ack settles deliveries of a consumer: those from First to Last in the order of dispatch, or Last alone. Errors:
// NotFound if nothing matches. Acknowledgements of a consumer that is gone are ignored.
type Ack struct {
	Conn     ConnID
	Ref      Ref
	Consumer ConsumerID
	Kind     AckKind
	First    uint64 // Sequence of the first delivery; 0: from the oldest
	Last     uint64 // Sequence of the last delivery
	Single   bool   // only Last
	Count    int    // of messages, for Delivered; else only checked if > 0
	Tx       TxID   // Consumed only
	Cause    string // of Poison and Duplicate, for people: shown with the dead letter
	Again    bool   // the client has come back and may speak of what it had before, and has not got again: then nothing matches and is no error, outside a transaction
}

// Send takes a message in. The answer comes when it is as safe as it asked to be: a persistent one is durable. Without Ref, an
// error is told as an effect of Ref 0 and makes the transaction, if any, fail at Commit.
// Errors: InvalidDestination (a temporary destination that is gone), Denied, Full, IllegalState.
type Send struct {
	Conn      ConnID
	Ref       Ref
	Tx        TxID
	Message   *message.Message // Destination may be composite. Encode has been called by the session if it is Persistent
	Tracked   bool             // the client may send it again after a failover: remember ID.Sequence as the last of ID.Producer
	Resent    bool             // may be such a second copy: answered but not stored if ID.Sequence is not above the last
	MayCreate bool             // whether the producer may make the destination
	Schedule  *Schedule        // as ScheduleOf reads it from the message; nil: for now
}

// Begin starts a transaction. A known one is left as it is.
type Begin struct {
	Conn ConnID
	Ref  Ref
	Tx   TxID
}

// Commit makes all of a transaction happen at once; the answer comes when it is durable. Errors: TransactionRolledBack
// (with the cause; all of it is undone), NotFound.
type Commit struct {
	Conn    ConnID
	Ref     Ref
	Tx      TxID
	Tracked bool // the client may ask again after a failover: remember it, by the connection's name and Tx
	Resent  bool // may be such a second request: answered by what is remembered, or with TransactionRolledBack
}

// Rollback undoes a transaction. Its acknowledged deliveries are un-acknowledged again, still at their consumer.
type Rollback struct {
	Conn ConnID
	Ref  Ref
	Tx   TxID
}

// RemoveSubscription deletes a durable subscription with its backlog. Errors: InUse while it has a consumer, InvalidDestination if there is none (JMS, Session.unsubscribe).
type RemoveSubscription struct {
	Conn     ConnID
	Ref      Ref
	ClientID string
	Name     string
}

// AddProducer tells of a producer, for people and statistics. RemoveProducer undoes it.
type AddProducer struct {
	Conn        ConnID
	Producer    uint64 // chosen by the session
	Destination message.Destination
	Label       string // its id in its protocol's own text, for advisories; "": the broker makes one up
}

// RemoveProducer ends what AddProducer began.
type RemoveProducer struct {
	Conn     ConnID
	Producer uint64
}

// Purge removes all messages that wait in a queue and are not at a consumer, in several Steps if they are many. The answer, when all are gone, has their
// number as Value (int).
type Purge struct {
	Conn        ConnID
	Ref         Ref
	Destination message.Destination
}

// List asks for a view of the broker. The answer's Value is a *View.
type List struct {
	Conn ConnID
	Ref  Ref
}

// Loaded brings messages that were asked for by a Load.
type Loaded struct {
	Token    uint64
	Messages []*message.Message // as many as Load.Positions, in their order
	Err      error              // the log could not give them; the broker cannot go on
}

// Leave says that a Stop is near: nothing more is delivered, while clients that have been told to leave do.
type Leave struct{}

// Stop says that the broker is about to be closed in good order, after all connections. It leaves a mark in the log so that the next
// start knows that nothing was in flight, and what the log has not yet and is to survive a stop (carry.go).
type Stop struct{}

// Tick is the clock's event: something may be due (see Broker.Deadline).
type Tick struct{}

func (*Connect) isEvent()            {}
func (*Disconnect) isEvent()         {}
func (*CreateDestination) isEvent()  {}
func (*RemoveDestination) isEvent()  {}
func (*Subscribe) isEvent()          {}
func (*Unsubscribe) isEvent()        {}
func (*SetPrefetch) isEvent()        {}
func (*Throttle) isEvent()           {}
func (*Pull) isEvent()               {}
func (*Ack) isEvent()                {}
func (*Send) isEvent()               {}
func (*Begin) isEvent()              {}
func (*Commit) isEvent()             {}
func (*Rollback) isEvent()           {}
func (*RemoveSubscription) isEvent() {}
func (*AddProducer) isEvent()        {}
func (*RemoveProducer) isEvent()     {}
func (*Purge) isEvent()              {}
func (*List) isEvent()               {}
func (*Loaded) isEvent()             {}
func (Leave) isEvent()               {}
func (Stop) isEvent()                {}
func (Tick) isEvent()                {}
