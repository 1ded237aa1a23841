package openwire

import (
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/godwitmq/godwit/broker"
	wire "github.com/godwitmq/godwit/codec/openwire"
	"github.com/godwitmq/godwit/message"
	"github.com/godwitmq/godwit/session"
)

// writer is what only the writing goroutine uses, but for windows.
type writer struct {
	encoder  wire.Encoder
	raw      syscall.RawConn // nil if the socket cannot be written without waiting
	mayWait  bool
	pooled   *[]byte // whose memory buf has; nil while there is nothing to write
	buf      []byte
	ended    bool  // the socket is to be closed when buf is written
	left     bool  // it has been told so: nothing more is written
	failed   error // of a write
	now      int64 // ms since 1970, of the burst
	spoke    bool  // buf holds more than keep-alives
	dispatch wire.MessageDispatch
	message  wire.Message
	response wire.Response
	last     *consumer // of the dispatch before
	refused  session.Refusals

	windows struct { // of producers that count, by number
		sync.Mutex
		of map[uint64]wire.ProducerID
	}
}

const (
	firstBuffer = 16 << 10  // bytes of a pooled buffer at first
	keptBuffer  = 512 << 10 // larger ones are not kept
	flushBytes  = 256 << 10 // written at once at the latest
)

// buffers are those of all writers at work; who waits has none.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, firstBuffer); return &b }}

// write encodes effects and writes them: all that are there with one call if they are not too many. It is engine.Conn's Writer.
func (c *connection) write(effects []broker.Effect, mayWait bool) (rest bool) {
	w := &c.writer
	w.mayWait = mayWait
	if w.pooled == nil {
		w.pooled = buffers.Get().(*[]byte)
		w.buf = (*w.pooled)[:0]
	}
	w.now = time.Now().UnixMilli()
	ended := false
	for i := range effects {
		if ended = c.encode(&effects[i]); ended || w.failed != nil {
			break
		}
		if len(w.buf) >= flushBytes {
			c.flush()
		}
	}
	c.flush()
	if len(w.buf) > 0 && w.failed == nil {
		w.ended = w.ended || ended
		return true
	}
	if !ended && c.mayLeave() {
		c.sayGoodbye()
	}
	if cap(w.buf) <= keptBuffer {
		*w.pooled = w.buf[:0]
		buffers.Put(w.pooled)
	}
	w.pooled, w.buf = nil, nil
	if ended || w.ended || w.failed != nil {
		c.conn.Close() // which ends the reader too
	}
	return false
}

// flush writes what was encoded, or as much of it as the client takes at once.
func (c *connection) flush() {
	w := &c.writer
	if len(w.buf) == 0 || w.failed != nil {
		return
	}
	n := 0
	if w.mayWait {
		n, w.failed = c.conn.Write(w.buf)
	} else {
		n, w.failed = session.WriteNow(w.raw, w.buf)
	}
	w.buf = w.buf[:copy(w.buf, w.buf[n:])]
	if w.spoke {
		c.pulse.Sent()
	}
	w.spoke = false
}

// put encodes one command.
func (c *connection) put(command wire.DataStructure) {
	w := &c.writer
	switch command.(type) {
	case *wire.Response, *wire.ExceptionResponse, *wire.IntegerResponse, *wire.DataArrayResponse:
		c.unanswered.Add(-1)
	}
	var err error
	if w.buf, err = w.encoder.Append(w.buf, command); err != nil {
		c.log.Error("a command cannot be sent", "error", err)
	}
	w.spoke = true
}

// move lets the client go as soon as it may; in the middle of a transaction only when that has had its time.
func (c *connection) move() {
	if !c.moving.Swap(true) {
		time.AfterFunc(c.opt.transactionPatience, func() {
			c.hurried.Store(true)
			c.core.Tell(broker.Effect{Kind: broker.Move})
		})
	}
}

// mayLeave says whether this is a good moment for the client to be let go. Nothing that it has asked for is unanswered: it would take the outcome for unknown.
// And it is not in a transaction: Java's clients repeat what they have sent in it on their next connection, but not what they have acknowledged. If their
// connection ends just before a commit, they may commit there without the acknowledgements, and tell nobody.
func (c *connection) mayLeave() bool {
	return c.moving.Load() && !c.writer.left && c.unanswered.Load() <= 0 && (c.transactions.Load() == 0 || c.hurried.Load())
}

// sayGoodbye ends what we say, all of which the client has got. A client that uses failover takes that as a loss of the connection and goes to another
// address; what it has said until it noticed is still read. It is not told by ConnectionControl.reconnectTo: Java's clients, told so, move without giving up what
// they have prefetched, and take what they are then given again for duplicates, which they refuse as poison.
func (c *connection) sayGoodbye() {
	c.writer.left = true
	if half, ok := c.conn.(interface{ CloseWrite() error }); !ok || half.CloseWrite() != nil {
		c.conn.Close()
	}
}

// encode appends what an effect says; true means that the connection ends with it.
func (c *connection) encode(e *broker.Effect) (ended bool) {
	if c.writer.left {
		return e.Kind == broker.Closed
	}
	switch e.Kind {
	case broker.Move:
		c.move()
	case broker.Delivery:
		c.deliver(e)
	case broker.Answer:
		return c.answer(e)
	case broker.EndOfBrowse, broker.PullEmpty:
		if x := c.consumers.get(e.Consumer); x != nil {
			c.put(&wire.MessageDispatch{ConsumerID: x.wire})
		}
	case broker.ConsumerClosed:
		if x := c.consumers.get(e.Consumer); x != nil {
			c.put(&wire.ConsumerControl{ConsumerID: x.wire, Close: true})
			c.consumers.remove(x.id)
		}
	case broker.Closed:
		// A broker that stops, and a connection that has come back on another socket, say nothing: a failover client
		// takes the end of the socket as a reason to connect again, and an error as one for its user to hear of.
		if e.Err != nil && e.Err.Code == broker.Denied {
			c.put(&wire.ConnectionError{Exception: c.throwable(e.Err)})
		}
		return true
	}
	return false
}

func (c *connection) answer(e *broker.Effect) (ended bool) {
	w := &c.writer
	if command, ok := e.Value.(wire.Command); ok {
		_, keepAlive := command.(*wire.KeepAliveInfo) // does not count as a sign of life that makes the next one needless
		spoke := w.spoke || !keepAlive
		c.put(command)
		w.spoke = spoke
		return false
	}
	kind, index, number := splitRef(e.Ref)
	if e.Err != nil {
		return c.answerFailed(e.Err, kind, index, number)
	}
	switch kind {
	case refResponse, refSubscribe:
		if e.Value != nil && c.answerValue(e, int32(number)) {
			return false
		}
		w.response = wire.Response{CorrelationID: int32(number)}
		c.put(&w.response)
	case refWindow:
		if id, ok := c.window(index); ok {
			c.put(&wire.ProducerAck{ProducerID: id, Size: int32(number)})
		}
	case refLogin, refLoginSilently:
		if !c.peer.Admitted() {
			return true
		}
		c.visit = c.deps.Roster.Arrive(c.about)
		if kind == refLogin {
			c.put(&wire.Response{CorrelationID: int32(number)})
		}
		if index == 1 {
			control := &wire.ConnectionControl{}
			if c.opt.URIs != nil {
				control.ConnectedBrokers = strings.Join(c.opt.URIs(), ",")
			}
			c.put(control)
		}
	}
	return false
}

func (c *connection) answerFailed(err *broker.Error, kind int, index uint64, number uint32) (ended bool) {
	exception := c.throwable(err)
	c.writer.refused.Note(c.deps.Log(), c.reader.who.Name(), c.peer.Remote, err) // who it is does not change after the login, before which the core answers nothing
	switch kind {
	case refResponse, refLogin, refSubscribe:
		c.put(&wire.ExceptionResponse{CorrelationID: int32(number), Exception: exception})
	default:
		c.put(&wire.ConnectionError{Exception: exception})
	}
	switch kind {
	case refSubscribe, refSubscribeSilently:
		c.consumers.remove(broker.ConsumerID(index))
	case refWindow: // or the client would wait for the room for ever
		if id, ok := c.window(index); ok {
			c.put(&wire.ProducerAck{ProducerID: id, Size: int32(number)})
		}
	case refLogin, refLoginSilently:
		// The client closes when it has read that; the reader gives it a moment.
		c.flush()
		if c.conn.SetReadDeadline(time.Now().Add(c.opt.goodbye)) != nil {
			return true
		}
	}
	return false
}

func (c *connection) addWindow(p *producer) {
	if !p.window {
		return
	}
	w := &c.writer.windows
	w.Lock()
	defer w.Unlock()
	if w.of == nil {
		w.of = map[uint64]wire.ProducerID{}
	}
	w.of[p.number] = p.id
}

func (c *connection) removeWindow(p *producer) {
	if !p.window {
		return
	}
	w := &c.writer.windows
	w.Lock()
	defer w.Unlock()
	delete(w.of, p.number)
}

func (c *connection) window(number uint64) (wire.ProducerID, bool) {
	w := &c.writer.windows
	w.Lock()
	defer w.Unlock()
	id, ok := w.of[number]
	return id, ok
}

// deliver appends the dispatch of a message.
func (c *connection) deliver(e *broker.Effect) {
	w := &c.writer
	x := w.last
	if x == nil || x.id != e.Consumer {
		if x = c.consumers.get(e.Consumer); x == nil {
			return // closed while the delivery was on its way; the core has taken it back
		}
		w.last = x
	}
	if !x.begun.Load() {
		x.begun.Store(true)
	}
	c.consumers.remember(x, e.Message.ID, e.Sequence)
	err := c.outbound(e)
	if err == nil {
		d := &w.dispatch
		*d = wire.MessageDispatch{ConsumerID: x.wire, Destination: w.message.Destination, Message: &w.message, RedeliveryCounter: int32(min(e.Redeliveries, 1<<31-1))}
		w.buf, err = w.encoder.Append(w.buf, d)
		w.spoke = true
	}
	w.message = wire.Message{}
	if err != nil {
		// It would be at the consumer for ever.
		c.log.Warn("a message cannot be sent to an OpenWire client", "message", e.Message.ID, "destination", e.Message.Destination, "error", err)
		// Not here: this may be the log's own goroutine, and the core may be waiting for it.
		go c.core.Submit(&broker.Ack{Conn: c.core.ID(), Consumer: e.Consumer, Kind: broker.Poison, Last: e.Sequence, Single: true, Cause: "it cannot be sent to an OpenWire client: " + err.Error()})
	}
}

// outbound makes the writer's message of an effect's.
func (c *connection) outbound(e *broker.Effect) error {
	w := &c.writer
	m, to := e.Message, &w.message
	if err := fill(to, m, e.Sequence); err != nil {
		return err
	}
	to.RedeliveryCounter, to.BrokerOutTime, to.JMSXGroupFirstForConsumer = int32(min(e.Redeliveries, 1<<31-1)), w.now, e.FirstOfGroup
	if m.Advisory != nil {
		c.advise(m, to)
	}
	return nil
}

// fill gives to what m says; sequence is the broker's number of it.
func fill(to *wire.Message, m *message.Message, sequence uint64) error {
	content, compressed, err := m.OpenWireContent()
	if err != nil {
		return err
	}
	*to = wire.Message{
		Type: byte(m.Type) + wire.CodeMessage, Destination: wireDestination(m.Destination), OriginalDestination: wireDestination(m.Original),
		MessageID: wireMessageID(m.ID, sequence), GroupID: m.GroupID, GroupSequence: m.GroupSequence, CorrelationID: m.CorrelationID,
		Persistent: m.Persistent, Expiration: m.Expiration, Priority: int8(m.Priority), ReplyTo: wireDestination(m.ReplyTo),
		Timestamp: m.Timestamp, JMSType: m.JMSType, Content: content, MarshalledProperties: m.Properties, Compressed: compressed,
		UserID: m.UserID, BrokerInTime: m.Received,
	}
	to.ProducerID = to.MessageID.ProducerID
	if m.Type == message.Blob {
		blobFields(m, to)
	}
	return nil
}
