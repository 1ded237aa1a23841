package engine

import "github.com/godwitmq/godwit/broker"

// A client that does not read must not fill our memory. Of deliveries only so many bytes wait for one connection; beyond it the core is told to
// give its consumers nothing until they are written (broker.Throttle). The core hears of it a moment later, so the bound is a soft one: what
// comes on top is what the core had in memory then. Answers the client asks for itself: see Conn.Hold.
const (
	mostWaiting = 8 << 20  // bytes of deliveries at one connection
	someWaiting = 1 << 20  // the same, while all connections together have allWaiting
	allWaiting  = 64 << 20 // bytes
	mostAnswers = 10_000   // effects other than deliveries at one connection, before its reader is held up
)

// pressure is what waits for a client to read it. Conn.mu guards it.
type pressure struct {
	bytes     int64 // of deliveries in the outbox
	writing   int64 // of those that were taken from it last
	answers   int   // other effects in the outbox
	said      int   // those that were taken last
	throttled bool
	stopped   bool // the core wants nothing to be read
	held      bool // Hold waits
}

// queued counts an effect put into the outbox. The caller holds mu.
func (c *Conn) queued(effect *broker.Effect) {
	p := &c.pressure
	if effect.Kind != broker.Delivery || effect.Message == nil {
		p.answers++
		return
	}
	size := int64(effect.Message.Size())
	p.bytes += size
	all := c.engine.waitingBytes.Add(size)
	if own := p.bytes + p.writing; !p.throttled && (own > mostWaiting || own > someWaiting && all > allWaiting) {
		p.throttled = true
		c.engine.post(&broker.Throttle{Conn: c.id, On: true})
	}
}

// taken says that all of the outbox is being written, written that all that was taken has been. The caller holds mu.
func (c *Conn) taken() {
	p := &c.pressure
	p.writing, p.bytes = p.writing+p.bytes, 0
	p.said, p.answers = p.said+p.answers, 0
}

func (c *Conn) written() {
	p := &c.pressure
	c.engine.waitingBytes.Add(-p.writing)
	p.writing, p.said = 0, 0
	if p.throttled && p.bytes <= someWaiting/2 {
		p.throttled = false
		c.engine.post(&broker.Throttle{Conn: c.id})
	}
	if p.held && p.answers <= mostAnswers/2 {
		c.release()
	}
}

// dropped says that the outbox has been emptied unread. The caller holds mu.
func (c *Conn) dropped() {
	p := &c.pressure
	c.engine.waitingBytes.Add(-p.bytes)
	p.bytes, p.answers = 0, 0
	c.release()
}

func (c *Conn) release() {
	if c.pressure.held {
		c.pressure.held = false
		c.room.Broadcast()
	}
}

// stop is the core's Hold and Resume. The caller holds mu.
func (c *Conn) stop(on bool) {
	c.pressure.stopped = on
	if !on {
		c.release()
	}
}

// Hold waits while the client has very many answers to read, or very many messages that wait for room, and returns when the connection has ended: who asks and does not listen is not listened
// to either. It is for the goroutine that reads, which must not be the one that writes.
func (c *Conn) Hold() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.closed && (c.pressure.stopped || c.pressure.answers+c.pressure.said > mostAnswers) {
		c.pressure.held = true
		c.room.Wait()
	}
}

// Configure puts other policies in force. It does not wait for that.
func (e *Engine) Configure(p broker.Policies) { e.post(&broker.Configure{Policies: p}) }

// post puts an event of the engine's own into the inbox. Unlike submit it may be called with any lock but that of the inbox.
func (e *Engine) post(event broker.Event) {
	e.mu.Lock()
	e.inbox = append(e.inbox, event)
	e.mu.Unlock()
	e.poke()
}
