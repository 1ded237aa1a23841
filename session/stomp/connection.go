package stomp

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/codec/stomp"
	"github.com/godwitmq/godwit/engine"
	"github.com/godwitmq/godwit/message"
	"github.com/godwitmq/godwit/readiness"
	"github.com/godwitmq/godwit/security"
	"github.com/godwitmq/godwit/session"
)

const (
	maxBurst  = 256      // events handed over at once
	flushSize = 64 << 10 // bytes that are written at once, a large body apart
	keepSize  = 4 << 10  // bytes of a write buffer that an idle connection keeps
	keepList  = 32       // effects that an idle connection keeps room for
)

// connection is one client's connection.
type connection struct {
	deps     *session.Deps
	peer     session.Peer
	opt      Options
	conn     net.Conn
	frames   *stomp.Reader
	core     *engine.Conn // nil before the login
	id       string       // of the connection
	clientID string       // "" if the client gave none
	identity *security.Identity
	version  stomp.Version
	about    readiness.Facts  // set at the login
	visit    *readiness.Visit // of the writer; nil before CONNECTED
	left     atomic.Bool      // the client has said DISCONNECT
	silence  time.Duration    // after which a client that promised heart-beats is taken for dead; 0: never
	beats    *time.Timer
	period   time.Duration // between our heart-beats
	down     atomic.Bool   // the broker is shutting down
	gone     chan struct{} // closed when nothing is written any more

	// Only the reader uses what follows.
	burst        []broker.Event
	names        map[string]name // destinations by header value
	lastName     string          // the newest in names
	last         name
	transactions map[string]broker.TxID
	lastTx       broker.TxID
	lastConsumer broker.ConsumerID
	producer     string // of message ids
	sequence     int64
	properties   message.PropertiesBuilder
	bursts       uint64 // so far
	permit       session.Permit

	mu            sync.Mutex // guards what follows, which reader and writer share
	room          sync.Cond  // fewer answers are waited for, or the writer has ended
	answers       []answer   // by Ref - 1
	free          []broker.Ref
	ended         bool // the writer has
	subscriptions map[broker.ConsumerID]*subscription
	byName        map[string]*subscription // the newest of each id
	temporaries   map[string]message.Destination
	temporaryText map[message.Destination]string

	// Only the writer uses what follows.
	out     []byte
	scratch []byte
	unacked []*subscription // with deliveries written that the session acknowledges
	closing bool            // the last frame is in out
	refused session.Refusals
}

// answer is what becomes of the answer to an event.
type answer struct {
	kind     answerKind
	receipt  string // asked for; "" for none
	text     string // of a refusal
	consumer broker.ConsumerID
	tx       broker.TxID
}

type answerKind uint8

const (
	noAnswer  answerKind = iota
	confirm              // RECEIPT, or ERROR
	welcome              // CONNECTED, or ERROR and close
	subscribe            // as confirm; an ERROR ends the subscription
	commit               // as confirm; decides on the transaction's acknowledgements
	refuse               // ERROR
	fatal                // ERROR and close
	goodbye              // RECEIPT and close
)

// refusal is an error for the client.
type refusal struct {
	text  string
	fatal bool
}

func (r *refusal) Error() string { return r.text }

func newConnection(conn net.Conn, peer session.Peer, deps *session.Deps, opt Options) *connection {
	c := &connection{deps: deps, peer: peer, opt: opt.filled(), conn: conn, gone: make(chan struct{})}
	c.room.L = &c.mu
	options := stomp.Options{MaxFrameSize: c.opt.MaxFrameSize}
	if share := deps.Frames.Share(c.gone); share != nil {
		options.Memory = share
	}
	c.frames = stomp.NewReader((*source)(c), options)
	return c
}

// source is what the frames are read from: the connection, with a limit of silence.
type source connection

func (c *source) Read(p []byte) (int, error) {
	if c.silence > 0 {
		if err := c.conn.SetReadDeadline(time.Now().Add(c.silence)); err != nil {
			return 0, err
		}
		if c.down.Load() { // whose own deadline has just been overwritten, perhaps
			return 0, os.ErrDeadlineExceeded
		}
		if c.core != nil && c.core.Ended() { // whose deadline too; a client that sends nothing but heart-beats would not come to the end of a frame
			return 0, errEnded
		}
	}
	return c.conn.Read(p)
}

var (
	// errLeft says that the client has disconnected.
	errLeft = errors.New("disconnected by the client")
	// errEnded says that the broker has ended the connection. The writer may not know yet, if the client does not read.
	errEnded = errors.New("ended by the broker")
)

// run serves a client that is logged in, until the end. The error is why it ended, unless the client or the broker wanted it.
func (c *connection) run() error {
	go func() {
		defer close(c.gone)
		c.write()
		c.visit.Leave(c.left.Load())
	}()
	err := c.read()
	refused := errors.As(err, new(*refusal))
	if err == errLeft || err == errEnded || refused || c.down.Load() {
		// The last frame is on its way. What the client still sends is read, because unread bytes would make the close
		// a reset, which can overtake that frame.
		c.conn.SetDeadline(time.Now().Add(c.opt.Linger))
		io.Copy(io.Discard, io.LimitReader(c.conn, 1<<20))
		<-c.gone
	}
	c.conn.Close()
	c.core.Close()
	<-c.gone
	if c.closing && !refused {
		return nil
	}
	return err
}

// read reads frames until the client leaves or must be sent away.
func (c *connection) read() error {
	for {
		frame, err := c.frames.Next()
		if err != nil {
			c.submit()
			var broken stomp.Error
			var full *broker.Error
			if errors.As(err, &broken) || errors.As(err, &full) {
				err = &refusal{text: err.Error(), fatal: true}
				c.refuse(err, "")
				c.submit()
			}
			return err
		}
		if err := c.handle(&frame); err != nil {
			if err == errLeft {
				c.left.Store(true)
				c.submit()
				return err
			}
			c.refuse(err, frame.Headers.Value("receipt"))
			if r, ok := err.(*refusal); ok && r.fatal {
				c.submit()
				return err
			}
		}
		if len(c.burst) >= maxBurst || !c.frames.HasFrame() {
			c.submit()
			if c.core.Ended() {
				return errEnded
			}
		}
	}
}

// submit hands the burst over.
func (c *connection) submit() {
	if len(c.burst) == 0 {
		return
	}
	c.core.Submit(c.burst...)
	c.core.Hold()
	c.bursts++
	clear(c.burst)
	if c.burst = c.burst[:0]; cap(c.burst) > keepList && !c.frames.HasFrame() {
		c.burst = nil
	}
	c.mu.Lock()
	for len(c.answers)-len(c.free) > c.opt.MaxReceipts && !c.ended {
		c.room.Wait()
	}
	c.mu.Unlock()
}

// event adds an event to the burst.
func (c *connection) event(e broker.Event) { c.burst = append(c.burst, e) }

// expect gives the Ref under which the answer will be known.
func (c *connection) expect(a answer) broker.Ref {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.expectLocked(a)
}

func (c *connection) expectLocked(a answer) broker.Ref {
	if n := len(c.free); n > 0 {
		ref := c.free[n-1]
		c.free = c.free[:n-1]
		c.answers[ref-1] = a
		return ref
	}
	c.answers = append(c.answers, a)
	return broker.Ref(len(c.answers))
}

// confirmation is expect for a frame that may have asked for a receipt: 0 if it did not.
func (c *connection) confirmation(receipt string) broker.Ref {
	if receipt == "" {
		return 0
	}
	return c.expect(answer{kind: confirm, receipt: receipt})
}

// taken gives what becomes of an answer, and its Ref back. The caller holds mu.
func (c *connection) taken(ref broker.Ref) answer {
	if ref == 0 || int(ref) > len(c.answers) {
		return answer{}
	}
	a := c.answers[ref-1]
	c.answers[ref-1] = answer{}
	c.free = append(c.free, ref)
	if len(c.answers) > keepList && len(c.free) == len(c.answers) {
		c.answers, c.free = nil, nil
	}
	c.room.Signal()
	return a
}

// nothing is no consumer and no transaction of any client.
const nothing = 0

// refuse sends an ERROR frame after the answers of the frames before.
func (c *connection) refuse(err error, receipt string) {
	a := answer{kind: refuse, text: err.Error(), receipt: receipt}
	if r, ok := err.(*refusal); ok && r.fatal {
		a.kind = fatal
		c.event(c.barrier(a))
		return
	}
	c.event(&broker.Rollback{Conn: c.core.ID(), Ref: c.expect(a), Tx: nothing})
}

// barrier is an event that does nothing, and is answered when all before it is durable.
func (c *connection) barrier(a answer) broker.Event {
	return &broker.Unsubscribe{Conn: c.core.ID(), Ref: c.expect(a), Consumer: nothing}
}

// shutDown says goodbye because the broker ends.
func (c *connection) shutDown() {
	c.down.Store(true)
	c.mu.Lock()
	core := c.core
	c.mu.Unlock()
	if core != nil {
		core.Dismiss("The broker is shutting down")
	}
	c.conn.SetWriteDeadline(time.Now().Add(c.opt.Linger)) // or a client that does not read would hold us up
	c.conn.SetReadDeadline(time.Now())
}
