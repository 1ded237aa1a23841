package engine

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/godwitmq/godwit/broker"
)

// Conn is one connection's side of the engine: events in, effects out. Effects are taken by Wait, or given to a function by Serve.
type Conn struct {
	engine *Engine
	id     broker.ConnID
	group  *group // the newest held group with an effect for it; guarded by heldGroups.mu

	mu     sync.Mutex
	outbox []broker.Effect
	closed bool // nothing will be put into the outbox any more
	left   bool // Close was called
	moves  bool // the client comes back by itself
	ours   bool // the connection ends for the broker's sake
	ready  chan struct{}

	writer  atomic.Pointer[Writer] // of Serve; nil before
	writing sync.Mutex             // held by who calls it; guards what follows
	rest    bool                   // it has something left over
	wrote   time.Time              // when it was called last
	spare   []broker.Effect

	pressure pressure
	room     sync.Cond // of pressure: there are fewer answers again, or the end
}

// Writer encodes effects and writes them to the client. It says whether something of that is left over, because mayWait was false and the
// client did not take all; it is then called again, maybe without new effects, by a goroutine that may wait. The effects are lent.
type Writer func(effects []broker.Effect, mayWait bool) (rest bool)

// Connect makes a connection with an outbox of its own. Its first event must be a broker.Connect.
func (e *Engine) Connect() *Conn {
	c := &Conn{engine: e, id: broker.ConnID(e.lastConn.Add(1)), ready: make(chan struct{}, 1)}
	c.room.L = &c.mu
	e.held.mu.Lock()
	e.held.conns[c.id] = c
	closed := e.held.closed
	e.held.mu.Unlock()
	if closed || e.Err() != nil {
		c.shut()
	}
	return c
}

// Movable says that the client comes back by itself, to this or another instance, and goes on where it was, when it is told to leave or its connection is lost.
func (c *Conn) Movable() {
	c.mu.Lock()
	c.moves = true
	c.mu.Unlock()
}

// Dismiss ends the connection because the broker stops: the client, who is told so, is expected back.
func (c *Conn) Dismiss(detail string) {
	c.mu.Lock()
	c.ours = true
	c.mu.Unlock()
	c.Tell(broker.Effect{Conn: c.id, Kind: broker.Closed, Err: &broker.Error{Code: broker.Stopping, Detail: detail}})
}

// Cut ends a connection from the broker's side: it gets a Closed with the reason. It says whether there was such a connection.
func (e *Engine) Cut(id broker.ConnID, why *broker.Error) bool {
	e.held.mu.Lock()
	c := e.held.conns[id]
	e.held.mu.Unlock()
	if c == nil || c.Ended() {
		return false
	}
	c.Tell(broker.Effect{Conn: id, Kind: broker.Closed, Err: why})
	return true
}

// ID is the connection's name in events and effects.
func (c *Conn) ID() broker.ConnID { return c.id }

// Submit hands a burst of events over, in order. It waits while the engine's inbox is full.
func (c *Conn) Submit(events ...broker.Event) {
	var bytes int64
	for _, ev := range events {
		if send, ok := ev.(*broker.Send); ok {
			bytes += int64(send.Message.Size())
		}
	}
	c.engine.submit(true, bytes, events...)
}

// Wait gives all effects that are there and takes dst, what it gave before, back for reuse; it waits for the first. The error is io.EOF when
// the connection has ended and all was given out.
func (c *Conn) Wait(dst []broker.Effect) ([]broker.Effect, error) {
	for {
		c.mu.Lock()
		c.written()
		if len(c.outbox) > 0 {
			got := c.outbox
			c.taken()
			clear(dst)
			c.outbox = dst[:0]
			c.mu.Unlock()
			return got, nil
		}
		if c.closed {
			c.mu.Unlock()
			return dst[:0], errClosed
		}
		c.mu.Unlock()
		<-c.ready
	}
}

// handful is up to how many effects are written by the goroutine that has brought them about; for more, the connection's own is woken.
const handful = 64

// keptEffects is the room for effects that an idle connection keeps.
const keptEffects = 32

// Serve gives effects to write, one call at a time, until the connection has ended. Small ones are written by the goroutine that has
// brought them about, if it need not wait for the client; the caller's writes all else.
func (c *Conn) Serve(write Writer) {
	c.writer.Store(&write)
	for !c.hand(true) {
		<-c.ready
	}
}

// hand gives the outbox to the writer and says whether the connection has ended. Without mayWait it leaves to the connection's goroutine what
// another is at, what is much, and what the client does not take at once.
func (c *Conn) hand(mayWait bool) (ended bool) {
	write := c.writer.Load()
	if mayWait {
		c.writing.Lock()
	} else if write == nil || !c.writing.TryLock() {
		c.signal()
		return false
	}
	defer c.writing.Unlock()
	for {
		c.mu.Lock()
		if !c.rest {
			c.written()
		}
		if !mayWait && (c.rest || len(c.outbox) > handful || !c.atOnce()) {
			c.mu.Unlock()
			c.signal()
			return false
		}
		effects := c.outbox
		c.taken()
		c.outbox = c.spare
		ended = c.closed
		c.mu.Unlock()
		c.spare = nil
		if len(effects) == 0 && !c.rest {
			c.spare = effects
			return ended
		}
		c.rest = (*write)(effects, mayWait)
		c.wrote = c.engine.opt.Now()
		clear(effects) // an idle connection must not hold the messages that it sent last
		if cap(effects) <= keptEffects || len(effects) > cap(effects)/4 {
			c.spare = effects[:0]
		}
	}
}

// calm is how long ago the last write must be for deliveries alone to be written at once: in a stream of them a moment's wait makes one write
// of many.
const calm = 200 * time.Microsecond

// atOnce says whether what is in the outbox is worth a write of its own: an answer, which a client waits for, or deliveries after a pause. The
// caller holds mu and writing.
func (c *Conn) atOnce() bool {
	for i := range c.outbox {
		if c.outbox[i].Kind == broker.Answer {
			return true
		}
	}
	return len(c.outbox) == 0 || c.engine.opt.Now().Sub(c.wrote) > calm
}

// Tell puts an effect of the session's own into the outbox, after those that are there: for what the session has to say without the
// core, in its place among what the core says. It never waits for the client.
func (c *Conn) Tell(effect broker.Effect) {
	if c.put(&effect) {
		c.hand(false)
	}
}

// Pending says whether effects wait.
func (c *Conn) Pending() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.outbox) > 0
}

// Ended says whether the connection has ended, from either side; effects may still wait.
func (c *Conn) Ended() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// Close ends the connection: the core gives up what is its, and Wait returns io.EOF. It may be called more than once.
func (c *Conn) Close() {
	c.mu.Lock()
	left := c.left
	c.left, c.closed = true, true
	c.outbox = nil
	c.written() // or never will be
	c.dropped()
	ours := c.ours
	c.mu.Unlock()
	if left {
		return
	}
	c.signal()
	// Also if it was closed already: a client that was cut off for not reading is still the core's. Twice does no harm.
	c.engine.submit(false, 0, &broker.Disconnect{Conn: c.id, Returns: ours})
	h := &c.engine.held
	h.mu.Lock()
	delete(h.conns, c.id)
	h.mu.Unlock()
}

// put adds an effect to the outbox and says whether the connection has to be woken.
func (c *Conn) put(effect *broker.Effect) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	if effect.Kind == broker.Hold || effect.Kind == broker.Resume {
		c.stop(effect.Kind == broker.Hold)
		return false
	}
	c.outbox = append(c.outbox, *effect)
	c.queued(effect)
	if waiting := c.pressure.answers; waiting > c.engine.opt.MaxOutbox {
		c.engine.opt.Logger.Warn("a client does not read what it asked for; its connection is cut", "connection", c.id, "waiting", waiting)
		clear(c.outbox)
		c.outbox = append(c.outbox[:0], broker.Effect{Conn: c.id, Kind: broker.Closed, Err: &broker.Error{Code: broker.Full, Detail: "the client does not read what is sent to it"}})
		c.dropped()
		c.closed = true
	}
	if effect.Kind == broker.Closed {
		c.closed = true
		c.release()
	}
	return len(c.outbox) == 1 || c.closed
}

func (c *Conn) shut() {
	c.mu.Lock()
	c.closed = true
	c.release()
	c.mu.Unlock()
	c.signal()
}

func (c *Conn) signal() {
	select {
	case c.ready <- struct{}{}:
	default:
	}
}
