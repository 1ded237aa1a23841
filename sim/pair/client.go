package pair

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/engine"
	"github.com/godwitmq/godwit/message"
)

// sent is one message as its producer knows it.
type sent struct {
	id      message.ID
	queue   string
	body    *message.Message
	acked   bool
	never   bool // it must never be seen: its transaction was not committed
	inTx    *transaction
	settled uint64 // epoch in which its consumer was told that it is; 0: it was not
	tried   bool   // an acknowledgement was sent
	seen    []sight
}

// sight is one delivery.
type sight struct {
	epoch   uint64
	flagged bool
}

// transaction is a producer's.
type transaction struct {
	sends []*sent
	doubt bool // the commit was sent and not answered, and nobody asks again
}

// session is a client's connection to one instance.
type session struct {
	w        *world
	name     string
	inst     *instance
	conn     *engine.Conn
	epoch    uint64
	lastRef  broker.Ref
	pending  map[broker.Ref]func(*broker.Effect) // called with world.mu held
	delivery func(*broker.Effect)                // so is this
	news     chan struct{}
	ended    chan struct{}
}

// dial connects to some instance that takes itself for the active one. nil: there is none, or it does not answer.
func (w *world) dial(name string, rnd *rand.Rand, delivery func(*session, *broker.Effect)) *session {
	w.mu.Lock()
	var able []*instance
	for _, in := range w.instances {
		if in != nil && in.engine != nil && !in.dead && !in.unreachable {
			able = append(able, in)
		}
	}
	if len(able) == 0 {
		w.mu.Unlock()
		return nil
	}
	in := able[rnd.IntN(len(able))]
	e := in.engine
	w.mu.Unlock()
	s := &session{w: w, name: name, inst: in, epoch: e.Log().Epoch(), pending: map[broker.Ref]func(*broker.Effect){}, news: make(chan struct{}, 1), ended: make(chan struct{})}
	s.delivery = func(e *broker.Effect) { delivery(s, e) }
	if !s.reach() {
		return nil
	}
	s.conn = e.Connect()
	go s.hear()
	connected := false
	s.submit(func(r broker.Ref) broker.Event { return &broker.Connect{Conn: s.conn.ID(), Ref: r, Name: name} }, func(e *broker.Effect) { connected = e.Err == nil })
	if !s.await(3*time.Second, func() bool { return connected }) {
		s.leave()
		return nil
	}
	return s
}

// reach waits until the instance runs, for as long as a client has patience.
func (s *session) reach() bool {
	for range 30 {
		s.w.mu.Lock()
		ok, over := s.w.servers.runs(s.inst.at) && !s.inst.unreachable, s.inst.dead
		s.w.mu.Unlock()
		if over {
			return false
		}
		if ok {
			return true
		}
		time.Sleep(100 * time.Millisecond)
	}
	return false
}

// submit gives an event to the instance, if it can be reached. answered is called with its answer.
func (s *session) submit(event func(broker.Ref) broker.Event, answered func(*broker.Effect)) bool {
	if !s.reach() {
		return false
	}
	s.w.mu.Lock()
	var ref broker.Ref
	if answered != nil {
		s.lastRef++
		ref = s.lastRef
		s.pending[ref] = answered
	}
	s.w.mu.Unlock()
	s.conn.Submit(event(ref))
	return true
}

// await waits until a condition, which is asked with world.mu held, is true.
func (s *session) await(patience time.Duration, what func() bool) bool {
	limit := time.After(patience)
	for {
		s.w.mu.Lock()
		ok := what()
		s.w.mu.Unlock()
		if ok {
			return true
		}
		select {
		case <-s.news:
		case <-s.ended:
			return false
		case <-limit:
			return false
		}
	}
}

// hear takes what the instance says, as long as it is alive.
func (s *session) hear() {
	defer close(s.ended)
	var effects []broker.Effect
	for {
		var err error
		if effects, err = s.conn.Wait(effects); err != nil {
			return
		}
		if !s.inst.handle.awake() {
			return
		}
		s.w.mu.Lock()
		if s.inst.dead || s.inst.unreachable {
			s.w.mu.Unlock()
			return
		}
		for i := range effects {
			switch e := &effects[i]; e.Kind {
			case broker.Answer:
				if answered := s.pending[e.Ref]; answered != nil {
					delete(s.pending, e.Ref)
					answered(e)
				}
			case broker.Delivery:
				s.delivery(e)
			}
		}
		s.w.mu.Unlock()
		select {
		case s.news <- struct{}{}:
		default:
		}
	}
}

// leave ends the connection. The instance hears of it when it runs.
func (s *session) leave() {
	s.w.clients.Go(func() {
		s.inst.handle.awake()
		s.conn.Close()
	})
}

func (s *session) over() bool {
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}

// producer sends persistent messages, and again what was not answered.
type producer struct {
	w       *world
	name    string
	rnd     *rand.Rand
	inTx    bool
	inXA    bool
	number  int64
	open    []*sent      // plain: sent and not answered
	tx      *transaction // to be tried again
	branch  *branch      // not settled yet
	txs     broker.TxID
	done    bool
	pace    time.Duration
	patient time.Duration
}

func (p *producer) run() {
	for {
		p.w.mu.Lock()
		over := p.w.over || p.w.flushing && len(p.open) == 0 && p.tx == nil && p.branch == nil
		p.done = over
		p.w.mu.Unlock()
		if over {
			return
		}
		if s := p.w.dial(p.name, p.rnd, func(*session, *broker.Effect) {}); s != nil {
			switch {
			case p.inTx:
				p.transactions(s)
			case p.inXA:
				p.branches(s)
			default:
				p.plain(s)
			}
			s.leave()
		}
		time.Sleep(time.Duration(10+p.rnd.IntN(90)) * time.Millisecond)
	}
}

// make makes a new message.
func (p *producer) make() *sent {
	p.number++
	x := &sent{id: message.ID{Producer: p.name, Sequence: p.number}, queue: fmt.Sprintf("q.%d", p.rnd.IntN(queues))}
	m := &message.Message{ID: x.id, Destination: message.Destination{Kind: message.Queue, Name: x.queue}, Priority: 4, Persistent: true,
		Timestamp: time.Now().UnixMilli(), Type: message.Text, Content: []byte(strings.Repeat("x", p.rnd.IntN(400)))}
	m.Encode()
	x.body = m
	p.w.mu.Lock()
	p.w.sent[x.id] = x
	p.w.mu.Unlock()
	return x
}

func (s *session) send(x *sent, tx broker.TxID, again bool, answered func(*broker.Effect)) bool {
	return s.submit(func(r broker.Ref) broker.Event {
		m := *x.body
		return &broker.Send{Conn: s.conn.ID(), Ref: r, Tx: tx, Message: &m, Tracked: true, Resent: again, MayCreate: true}
	}, answered)
}

// plain sends messages by themselves, several at a time.
func (p *producer) plain(s *session) {
	p.w.mu.Lock()
	again := append([]*sent(nil), p.open...)
	p.w.mu.Unlock()
	refused := false
	answered := func(x *sent) func(*broker.Effect) {
		return func(e *broker.Effect) {
			if e.Err != nil {
				refused = true
				return
			}
			p.w.acknowledge(s, x)
			for i := range p.open {
				if p.open[i] == x {
					p.open = append(p.open[:i:i], p.open[i+1:]...)
					break
				}
			}
		}
	}
	for _, x := range again {
		if !s.send(x, 0, true, answered(x)) {
			return
		}
	}
	for !s.over() {
		if !s.await(p.patient, func() bool { return len(p.open) < 4 || refused }) {
			return
		}
		p.w.mu.Lock()
		flushing, stop := p.w.flushing, refused || p.w.over
		p.w.mu.Unlock()
		if flushing {
			s.await(p.patient, func() bool { return len(p.open) == 0 || refused })
			return
		}
		if stop {
			return
		}
		x := p.make()
		p.w.mu.Lock()
		p.open = append(p.open, x)
		p.w.mu.Unlock()
		if !s.send(x, 0, false, answered(x)) {
			return
		}
		time.Sleep(time.Duration(p.rnd.Int64N(int64(p.pace))))
		if p.rnd.IntN(200) == 0 {
			return
		}
	}
}

// transactions sends several messages at once.
func (p *producer) transactions(s *session) {
	for !s.over() {
		p.w.mu.Lock()
		tx, flushing, over := p.tx, p.w.flushing, p.w.over
		p.w.mu.Unlock()
		if over || flushing && tx == nil {
			return
		}
		again := tx != nil
		if tx == nil {
			tx = &transaction{}
			for range 2 + p.rnd.IntN(3) {
				x := p.make()
				x.inTx = tx
				tx.sends = append(tx.sends, x)
			}
		}
		p.txs++
		id := p.txs
		rollback := !again && p.rnd.IntN(6) == 0
		ok := s.submit(func(r broker.Ref) broker.Event { return &broker.Begin{Conn: s.conn.ID(), Ref: r, Tx: id} }, nil)
		for _, x := range tx.sends {
			ok = ok && s.send(x, id, again, nil)
			if p.rnd.IntN(3) == 0 { // so that the log has a part of it
				time.Sleep(time.Duration(p.rnd.Int64N(int64(p.pace))))
			}
		}
		if rollback || !again && !ok {
			p.w.mu.Lock()
			for _, x := range tx.sends {
				x.never = true
			}
			p.w.mu.Unlock()
			if !ok || !s.submit(func(r broker.Ref) broker.Event { return &broker.Rollback{Conn: s.conn.ID(), Ref: r, Tx: id} }, nil) {
				return
			}
			continue
		}
		committed, answered := false, false
		ok = ok && s.submit(func(r broker.Ref) broker.Event {
			return &broker.Commit{Conn: s.conn.ID(), Ref: r, Tx: id, Tracked: true}
		}, func(e *broker.Effect) {
			answered, committed = true, e.Err == nil
			if committed {
				for _, x := range tx.sends {
					p.w.acknowledge(s, x)
				}
			}
		})
		if ok {
			s.await(p.patient, func() bool { return answered })
		}
		p.w.mu.Lock()
		p.tx = nil
		done := committed
		if !done {
			// Half of those whose fate is unknown are tried again, the others are left: each must be there as a whole, or not at all.
			if p.rnd.IntN(2) == 0 {
				tx.doubt = true
				p.w.doubts = append(p.w.doubts, tx)
			} else {
				p.tx = tx
			}
		}
		p.w.mu.Unlock()
		if !done {
			return
		}
		time.Sleep(time.Duration(p.rnd.Int64N(int64(2 * p.pace))))
	}
}

// branch is a distributed transaction of a producer, who is its own transaction manager.
type branch struct {
	xid      broker.XID
	sends    []*sent
	prepared bool // and has to be committed, whatever happens
}

// branches sends several messages at once, in two phases. What is not known to be prepared is rolled back.
func (p *producer) branches(s *session) {
	ask := func(event func(broker.Ref) broker.Event) (err *broker.Error, answered bool) {
		if !s.submit(event, func(e *broker.Effect) { err, answered = e.Err, true }) {
			return nil, false
		}
		s.await(p.patient, func() bool { return answered })
		p.w.mu.Lock()
		defer p.w.mu.Unlock()
		return err, answered
	}
	settled := func() {
		p.w.mu.Lock()
		defer p.w.mu.Unlock()
		p.branch = nil
	}
	for !s.over() {
		p.w.mu.Lock()
		b, flushing, over := p.branch, p.w.flushing, p.w.over
		p.w.mu.Unlock()
		if over || flushing && b == nil {
			return
		}
		if b == nil {
			p.txs++
			b = &branch{xid: broker.XID{Format: 1, Global: fmt.Sprint(p.name, " ", p.txs), Branch: "b"}}
			for range 1 + p.rnd.IntN(3) {
				b.sends = append(b.sends, p.make())
			}
			p.w.mu.Lock()
			p.branch = b
			p.w.mu.Unlock()
			tx := broker.DistributedTx(uint64(p.txs))
			ok := s.submit(func(r broker.Ref) broker.Event { return &broker.XABegin{Conn: s.conn.ID(), Tx: tx, XID: b.xid} }, nil)
			for _, x := range b.sends {
				ok = ok && s.send(x, tx, false, nil)
			}
			if ok = ok && s.submit(func(r broker.Ref) broker.Event { return &broker.XAEnd{Conn: s.conn.ID(), XID: b.xid} }, nil); ok {
				err, answered := ask(func(r broker.Ref) broker.Event { return &broker.XAPrepare{Conn: s.conn.ID(), Ref: r, XID: b.xid} })
				b.prepared = answered && err == nil
			}
		}
		if !b.prepared {
			p.w.mu.Lock()
			for _, x := range b.sends {
				x.never = true
			}
			p.w.mu.Unlock()
			if _, answered := ask(func(r broker.Ref) broker.Event { return &broker.XARollback{Conn: s.conn.ID(), Ref: r, XID: b.xid} }); !answered {
				return
			}
			settled()
			continue
		}
		time.Sleep(time.Duration(p.rnd.Int64N(int64(8 * p.pace))))
		err, answered := ask(func(r broker.Ref) broker.Event {
			return &broker.XACommit{Conn: s.conn.ID(), Ref: r, XID: b.xid, Tracked: true}
		})
		if !answered || err != nil { // one that was overtaken knows nothing of it
			return
		}
		p.w.mu.Lock()
		for _, x := range b.sends {
			p.w.acknowledge(s, x)
		}
		p.w.mu.Unlock()
		settled()
	}
}

// acknowledge notes that a producer was told that its message is safe. It is called with mu held.
func (w *world) acknowledge(s *session, x *sent) {
	epoch, logged := w.audit.logged[x.id]
	switch {
	case !logged && !w.forgetful:
		w.fail("%s acknowledged %s in epoch %d, and it is not in the log", s.inst, x.id, s.epoch)
	case epoch > s.epoch && !w.forgetful:
		w.fail("%s acknowledged %s in epoch %d, and the log has it in epoch %d: both count", s.inst, x.id, s.epoch, epoch)
	}
	x.acked = true
	w.result.Acknowledged++
}

// consumer takes what is in one queue, and acknowledges it.
type consumer struct {
	w     *world
	name  string
	queue string
	rnd   *rand.Rand
	slow  time.Duration
}

type given struct {
	x        *sent
	sequence uint64
}

func (c *consumer) run() {
	for {
		c.w.mu.Lock()
		over := c.w.over
		c.w.mu.Unlock()
		if over {
			return
		}
		var has []given
		s := c.w.dial(c.name, c.rnd, func(s *session, e *broker.Effect) {
			if x := c.w.deliver(s, c.queue, e); x != nil {
				has = append(has, given{x, e.Sequence})
			}
		})
		if s != nil {
			c.consume(s, &has)
			s.leave()
		}
		time.Sleep(time.Duration(10+c.rnd.IntN(90)) * time.Millisecond)
	}
}

func (c *consumer) consume(s *session, has *[]given) {
	if !s.submit(func(r broker.Ref) broker.Event {
		return &broker.Subscribe{Conn: s.conn.ID(), Ref: r, Consumer: 1, Destination: message.Destination{Kind: message.Queue, Name: c.queue}, Prefetch: 5, MayCreate: true}
	}, nil) {
		return
	}
	for n := 0; !s.over(); n++ {
		s.await(200*time.Millisecond, func() bool { return len(*has) > 0 || c.w.over })
		c.w.mu.Lock()
		var next given
		some := len(*has) > 0
		over := c.w.over
		if some {
			next = (*has)[0]
			*has = (*has)[1:]
		}
		flushing := c.w.flushing
		c.w.mu.Unlock()
		if over || !flushing && c.rnd.IntN(300) == 0 {
			return
		}
		if !some {
			if !s.reach() {
				return
			}
			continue
		}
		if c.slow > 0 && !flushing {
			time.Sleep(time.Duration(c.rnd.Int64N(int64(c.slow))))
		}
		c.w.mu.Lock()
		next.x.tried = true
		c.w.mu.Unlock()
		if !s.submit(func(r broker.Ref) broker.Event {
			return &broker.Ack{Conn: s.conn.ID(), Ref: r, Consumer: 1, Kind: broker.Consumed, Single: true, Last: next.sequence}
		}, func(e *broker.Effect) {
			if e.Err == nil {
				c.w.result.Settled++
				next.x.settled = max(next.x.settled, s.epoch)
			}
		}) {
			return
		}
	}
}

// deliver notes a delivery, and judges it. It is called with mu held.
func (w *world) deliver(s *session, queue string, e *broker.Effect) *sent {
	x := w.sent[e.Message.ID]
	flagged := e.Redeliveries > 0
	what := fmt.Sprintf("%s of epoch %d delivers %s, flagged %v,", s.inst, s.epoch, e.Message.ID, flagged)
	w.result.Delivered++
	switch {
	case x == nil:
		w.fail("%s which nobody has sent", what)
		return nil
	case w.forgetful:
	case x.never:
		w.fail("%s whose transaction was not committed", what)
	case x.queue != queue:
		w.fail("%s of %s from %s", what, x.queue, queue)
	case w.audit.logged[x.id] == 0:
		w.fail("%s which is not in the log", what)
	case x.settled != 0 && x.settled <= s.epoch:
		w.fail("%s which was settled in epoch %d", what, x.settled)
	}
	if !flagged && !w.forgetful {
		for _, was := range x.seen {
			if was.epoch <= s.epoch {
				w.fail("%s which was delivered in epoch %d, flagged %v", what, was.epoch, was.flagged)
			}
		}
		key := order{s.epoch, queue, x.id.Producer}
		if last := w.order[key]; x.id.Sequence <= last {
			w.fail("%s after number %d", what, last)
		}
		w.order[key] = x.id.Sequence
	}
	x.seen = append(x.seen, sight{s.epoch, flagged})
	return x
}

// order names what must be in order.
type order struct {
	epoch           uint64
	queue, producer string
}
