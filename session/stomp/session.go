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
	"github.com/godwitmq/godwit/security"
)

const (
	maxBurst  = 256      // events handed over at once
	flushSize = 64 << 10 // bytes that are written at once, a large body apart
	keepSize  = 4 << 10  // bytes of a write buffer that an idle connection keeps
	keepList  = 32       // effects that an idle connection keeps room for
)

// session is one client's connection.
type session struct {
	deps     Deps
	opt      *Options
	conn     net.Conn
	frames   *stomp.Reader
	core     *engine.Conn // nil before the login
	id       string       // of the connection
	clientID string       // "" if the client gave none
	identity *security.Identity
	version  stomp.Version
	silence  time.Duration // after which a client that promised heart-beats is taken for dead; 0: never
	beats    *time.Timer
	period   time.Duration // between our heart-beats
	down     atomic.Bool   // the broker is shutting down

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

func newSession(conn net.Conn, deps Deps) *session {
	s := &session{deps: deps, opt: &deps.Options, conn: conn}
	s.room.L = &s.mu
	s.frames = stomp.NewReader((*source)(s), stomp.Options{MaxFrameSize: deps.Options.MaxFrameSize})
	return s
}

// source is what the frames are read from: the connection, with a limit of silence.
type source session

func (s *source) Read(p []byte) (int, error) {
	if s.silence > 0 {
		if err := s.conn.SetReadDeadline(time.Now().Add(s.silence)); err != nil {
			return 0, err
		}
		if s.down.Load() { // whose own deadline has just been overwritten, perhaps
			return 0, os.ErrDeadlineExceeded
		}
	}
	return s.conn.Read(p)
}

// errLeft says that the client has disconnected.
var errLeft = errors.New("disconnected by the client")

// run serves a client that is logged in, until the end.
func (s *session) run() error {
	written := make(chan struct{})
	go func() {
		defer close(written)
		s.write()
	}()
	err := s.read()
	if err == errLeft || errors.As(err, new(*refusal)) || s.down.Load() {
		// The last frame is on its way. What the client still sends is read, because unread bytes would make the close
		// a reset, which can overtake that frame.
		s.conn.SetDeadline(time.Now().Add(s.opt.Linger))
		io.Copy(io.Discard, io.LimitReader(s.conn, 1<<20))
		<-written
	}
	s.conn.Close()
	s.core.Close()
	<-written
	return err
}

// read reads frames until the client leaves or must be sent away.
func (s *session) read() error {
	for {
		frame, err := s.frames.Next()
		if err != nil {
			s.submit()
			var broken stomp.Error
			if errors.As(err, &broken) {
				err = &refusal{text: string(broken), fatal: true}
				s.refuse(err, "")
				s.submit()
			}
			return err
		}
		if err := s.handle(&frame); err != nil {
			if err == errLeft {
				s.submit()
				return err
			}
			s.refuse(err, frame.Headers.Value("receipt"))
			if r, ok := err.(*refusal); ok && r.fatal {
				s.submit()
				return err
			}
		}
		if len(s.burst) >= maxBurst || !s.frames.HasFrame() {
			s.submit()
		}
	}
}

// submit hands the burst over.
func (s *session) submit() {
	if len(s.burst) == 0 {
		return
	}
	s.core.Submit(s.burst...)
	clear(s.burst)
	if s.burst = s.burst[:0]; cap(s.burst) > keepList && !s.frames.HasFrame() {
		s.burst = nil
	}
	s.mu.Lock()
	for len(s.answers)-len(s.free) > s.opt.MaxReceipts && !s.ended {
		s.room.Wait()
	}
	s.mu.Unlock()
}

// event adds an event to the burst.
func (s *session) event(e broker.Event) { s.burst = append(s.burst, e) }

// expect gives the Ref under which the answer will be known.
func (s *session) expect(a answer) broker.Ref {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.expectLocked(a)
}

func (s *session) expectLocked(a answer) broker.Ref {
	if n := len(s.free); n > 0 {
		ref := s.free[n-1]
		s.free = s.free[:n-1]
		s.answers[ref-1] = a
		return ref
	}
	s.answers = append(s.answers, a)
	return broker.Ref(len(s.answers))
}

// confirmation is expect for a frame that may have asked for a receipt: 0 if it did not.
func (s *session) confirmation(receipt string) broker.Ref {
	if receipt == "" {
		return 0
	}
	return s.expect(answer{kind: confirm, receipt: receipt})
}

// taken gives what becomes of an answer, and its Ref back. The caller holds mu.
func (s *session) taken(ref broker.Ref) answer {
	if ref == 0 || int(ref) > len(s.answers) {
		return answer{}
	}
	a := s.answers[ref-1]
	s.answers[ref-1] = answer{}
	s.free = append(s.free, ref)
	if len(s.answers) > keepList && len(s.free) == len(s.answers) {
		s.answers, s.free = nil, nil
	}
	s.room.Signal()
	return a
}

// nothing is no consumer and no transaction of any client.
const nothing = 0

// refuse sends an ERROR frame after the answers of the frames before.
func (s *session) refuse(err error, receipt string) {
	a := answer{kind: refuse, text: err.Error(), receipt: receipt}
	if r, ok := err.(*refusal); ok && r.fatal {
		a.kind = fatal
		s.event(s.barrier(a))
		return
	}
	s.event(&broker.Rollback{Conn: s.core.ID(), Ref: s.expect(a), Tx: nothing})
}

// barrier is an event that does nothing, and is answered when all before it is durable.
func (s *session) barrier(a answer) broker.Event {
	return &broker.Unsubscribe{Conn: s.core.ID(), Ref: s.expect(a), Consumer: nothing}
}

// shutDown says goodbye because the broker ends.
func (s *session) shutDown() {
	s.down.Store(true)
	s.mu.Lock()
	core := s.core
	s.mu.Unlock()
	if core != nil {
		core.Submit(s.barrier(answer{kind: fatal, text: "The broker is shutting down"}))
	}
	s.conn.SetReadDeadline(time.Now())
}
