package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/message"
)

// client is one application: a connection at a time, with a producer that sends again what was not confirmed.
type client struct {
	w         *world
	index     int
	conn      broker.ConnID // 0: not connected
	clientID  string
	stolen    bool // the broker has closed the connection
	group     *group
	consumers []*consumer
	next      broker.ConsumerID
	temp      string
	tx        *tx
	lastTx    broker.TxID
	numbers   [3]int64 // of the last message: of the plain producer, of that in local and of that in distributed transactions
	waiting   []*pending
	inDoubt   []*broker.Send // sends of a transaction whose commit was not answered
	sweeping  *sweeping
	inDoubtTx broker.TxID // its number; 0: it was begun again since
}

// pending is what the client waits for.
type pending struct {
	ref    broker.Ref
	send   *broker.Send
	commit []*broker.Send // the sends of a transaction
	tx     broker.TxID    // of commit
}

type consumer struct {
	client   *client
	id       broker.ConsumerID
	about    broker.Subscribe
	prefetch int
	pulls    int
	has      []*delivery
	sub      *sub
	selects  func(n int) bool
	ackedAt  int64 // when it last acknowledged something, or came
}

// delivery is a message at a consumer.
type delivery struct {
	place    key
	msg      *sent
	sequence uint64
	at       int64 // when it was given
	heard    bool  // the client has got it
	seen     bool  // said to be delivered
	inTx     bool
}

// window is how many deliveries count against the prefetch.
func (c *consumer) window() (n int) {
	for _, x := range c.has {
		if !x.seen && !x.inTx {
			n++
		}
	}
	return n
}

type tx struct {
	id     broker.TxID
	xid    broker.XID // of a distributed one
	sends  []txSend
	acks   []*delivery
	failed bool
	again  bool // of sends that were sent before
	ending bool // its commit waits
	events []*broker.Send
}

type txSend struct {
	id      message.ID
	to      []target
	tracked bool
}

func (w *world) consumer(conn broker.ConnID, id broker.ConsumerID) *consumer {
	if c := w.connected(conn); c != nil {
		for _, x := range c.consumers {
			if x.id == id {
				return x
			}
		}
	}
	return nil
}

func (c *client) name() string { return fmt.Sprintf("client-%d", c.index) }

// ref is unique among all clients.
func (c *client) ref() broker.Ref { c.w.lastRef++; return c.w.lastRef }

// hear is called when the broker tells the client something.
func (c *client) hear(e broker.Effect) {
	w := c.w
	switch e.Kind {
	case broker.Answer:
		if state, ok := e.Value.(*broker.Swept); ok && c.sweeping != nil && !state.Done {
			c.sweeping.ready = true
		}
		i := slices.IndexFunc(c.waiting, func(p *pending) bool { return p.ref == e.Ref })
		if i >= 0 {
			c.waiting = slices.Delete(c.waiting, i, i+1)
		}
	case broker.Delivery:
		w.result.Delivered++
		x := w.consumer(e.Conn, e.Consumer)
		if x == nil {
			return
		}
		if x.about.Browser {
			w.result.Browsed++
		}
		for _, d := range x.has {
			if d.sequence == e.Sequence && !d.heard {
				d.heard = true
				if !x.about.Browser {
					w.shown[shown{d.place, d.msg.id}] = true
				}
			}
		}
	}
}

// cutOff is a crash as the client sees it.
func (c *client) cutOff() {
	for _, p := range c.waiting {
		if p.commit != nil {
			c.inDoubt, c.inDoubtTx = p.commit, p.tx
		}
	}
	c.waiting = slices.DeleteFunc(c.waiting, func(p *pending) bool { return p.send == nil || !p.send.Tracked })
	if c.tx != nil && c.tx.again {
		c.inDoubt, c.inDoubtTx = c.tx.events, 0
	}
	c.w.expectRollback(c)
	c.sweeping = nil
	c.consumers, c.temp, c.conn, c.group = nil, "", 0, nil
}

// act lets a client do something.
func (w *world) act() {
	c := w.clients[w.rnd.IntN(len(w.clients))]
	if w.broken {
		w.recoverFromFailure()
		return
	}
	if c.conn == 0 {
		if w.chance(3) {
			c.connect()
		}
		return
	}
	if len(c.consumers) == 0 && w.chance(3) {
		c.subscribe()
		return
	}
	if c.tx != nil && w.chance(6) {
		c.transact()
		return
	}
	if c.sweeping != nil && c.sweeping.ready && w.chance(4) {
		c.sweepStep()
		return
	}
	if w.chance(33) {
		c.settle()
		return
	}
	x := w.rnd.IntN(1000)
	if x >= 982 && c.isSlow() { // it is for the broker to end what it has
		x = 0
	}
	switch {
	case x < 300:
		c.send(0)
	case x < 400:
		c.transact()
	case x < 460:
		c.subscribe()
	case x < 485:
		c.unsubscribe()
	case x < 850:
		c.ack()
	case x < 930:
		c.pull()
	case x < 950:
		c.changePrefetch()
	case x < 956:
		if len(w.purges) > 0 || slices.ContainsFunc(w.clients, func(c *client) bool { return c.sweeping != nil }) { // which of them takes a message nobody can say
			return
		}
		w.note("client %d purges", c.index)
		w.step(&broker.Purge{Conn: c.conn, Ref: c.ref(), Destination: w.queue()})
	case x < 962:
		d := w.queue()
		w.note("client %d removes %s", c.index, d)
		w.step(&broker.RemoveDestination{Conn: c.conn, Ref: c.ref(), Destination: d})
	case x < 968:
		w.note("client %d removes a subscription", c.index)
		w.step(&broker.RemoveSubscription{Conn: c.conn, Ref: c.ref(), ClientID: c.clientID, Name: "s0"})
	case x < 976:
		if c.temp == "" {
			c.temp = fmt.Sprintf("ID:%d:1", c.conn)
			w.note("client %d makes %s", c.index, c.temp)
			w.step(&broker.CreateDestination{Conn: c.conn, Ref: c.ref(), Destination: message.Destination{Kind: message.TempQueue, Name: c.temp}})
		}
	case x < 980:
		c.sweepStep()
	case x < 982:
		c.pauseStep()
	case x < 985:
		c.leave()
	case x < 995:
		c.pull()
	default:
		c.connect() // from another socket, before the broker knows of the first one's end
	}
}

func (c *client) connect() {
	w := c.w
	w.lastConn++
	ev := &broker.Connect{Conn: w.lastConn, Ref: c.ref(), Name: c.name(), ClientID: fmt.Sprintf("id%d", c.index%3), Steal: w.chance(6)}
	w.note("client %d connects as %d, steal %v", c.index, ev.Conn, ev.Steal)
	old := c.conn
	effects := w.step(ev)
	for _, x := range w.clients {
		if x.stolen {
			x.stolen = false
			x.cutOff()
		}
	}
	if old != 0 && c.conn != 0 {
		w.fail("connection %d was not closed by the one after it", old)
	}
	if !answered(effects, ev.Ref) {
		return
	}
	c.conn, c.clientID, c.group = ev.Conn, ev.ClientID, nil
	again := c.waiting
	c.waiting = nil
	for _, p := range again {
		send := *p.send
		send.Conn, send.Ref, send.Resent = c.conn, c.ref(), true
		c.waiting = append(c.waiting, &pending{ref: send.Ref, send: &send})
		w.note("client %d sends %s again", c.index, send.Message.ID)
		w.step(&send)
	}
	if c.inDoubt != nil && c.inDoubtTx != 0 && w.chance(2) && c.askAgain() {
		c.inDoubt = nil
	}
	if sends := c.inDoubt; sends != nil {
		c.inDoubt = nil
		c.begin()
		c.tx.again = true
		c.tx.events = sends
		for _, s := range sends {
			send := *s
			send.Conn, send.Ref, send.Tx, send.Resent = c.conn, c.ref(), c.tx.id, true
			w.note("client %d sends %s in transaction %d again", c.index, send.Message.ID, c.tx.id)
			w.step(&send)
		}
		c.commit(sends)
	}
}

func (c *client) leave() {
	c.w.note("client %d leaves", c.index)
	c.w.step(&broker.Disconnect{Conn: c.conn})
	c.cutOff()
}

func (w *world) queue() message.Destination {
	if w.chance(12) {
		return message.Destination{Kind: message.Queue, Name: "ActiveMQ.DLQ"}
	}
	if w.chance(4) {
		return w.special()
	}
	return message.Destination{Kind: message.Queue, Name: fmt.Sprintf("q.%d", w.rnd.IntN(3))}
}

// destination is where a message may be sent. What comes to the queues of a virtual topic comes by the topic, and a ring gets one message at a time.
func (w *world) destination(inTx bool) message.Destination {
	for {
		d := w.anywhere()
		if slices.Contains(copies, d.String()) {
			d = named(virtualTopic)
		}
		if inTx && w.oneByOne() && strings.Contains(d.String(), "topic:") {
			continue
		}
		if !inTx && w.limit == 0 || d.String() != ring { // where the journal may be full, several may have waited for it
			return d
		}
	}
}

func (w *world) anywhere() message.Destination {
	switch x := w.rnd.IntN(20); {
	case x < 6:
		return message.Destination{Kind: message.Topic, Name: fmt.Sprintf("t.%d", w.rnd.IntN(2))}
	case x < 8:
		return message.Destination{Kind: message.Queue, Name: []string{"q.0,q.1", "q.2,topic://t.0", "q.1,q.9,topic://t.1"}[w.rnd.IntN(3)]}
	case x < 10:
		for _, c := range w.clients {
			if c.temp != "" {
				return message.Destination{Kind: message.TempQueue, Name: c.temp}
			}
		}
	}
	return w.queue()
}

func (c *client) send(in broker.TxID) *broker.Send {
	w := c.w
	producer := 0
	switch {
	case in.IsDistributed():
		producer = 2
	case in != 0:
		producer = 1
	}
	c.numbers[producer]++
	x := &sent{
		id:         message.ID{Producer: fmt.Sprintf("p%d.%d", c.index, producer), Sequence: c.numbers[producer]},
		n:          w.rnd.IntN(4),
		persistent: !w.chance(4),
	}
	if w.chance(8) {
		x.expiration = w.now + 1 + int64(w.rnd.IntN(300))
	}
	size := w.rnd.IntN(200)
	switch {
	case w.limit > 0 && w.chance(2):
		size = w.rnd.IntN(12_000)
	case w.chance(20):
		size = w.rnd.IntN(6000)
	}
	to := w.destination(in != 0)
	if in.IsDistributed() && to.String() == lastValues { // after a start nothing is known of the key of what is prepared
		to = named("queue://q.0")
	}
	x.priority = []uint8{4, 4, 4, 0, 9}[w.rnd.IntN(5)]
	m := &message.Message{ID: x.id, Destination: to, Priority: x.priority, Persistent: x.persistent, Expiration: x.expiration,
		Timestamp: w.now, Type: message.Text, Content: []byte(strings.Repeat("x", size))}
	m.Properties = m.Properties.With("n", int32(x.n))
	w.joinGroup(x, m)
	if m.Persistent {
		m.Encode()
	}
	w.messages[x.id] = x
	ev := &broker.Send{Conn: c.conn, Ref: c.ref(), Tx: in, Message: m, Tracked: producer == 1 || producer == 0 && w.chance(2), MayCreate: true}
	if in == 0 {
		c.waiting = append(c.waiting, &pending{ref: ev.Ref, send: ev})
	}
	w.note("client %d sends %s to %s, priority %d, persistent %v, expiration %d, tracked %v, tx %d", c.index, x.id, m.Destination, m.Priority, m.Persistent, m.Expiration, ev.Tracked, in)
	for _, e := range w.step(ev) {
		if e.Kind == broker.Answer && e.Ref == ev.Ref && e.Err != nil {
			c.waiting = slices.DeleteFunc(c.waiting, func(p *pending) bool { return p.ref == ev.Ref })
		}
	}
	return ev
}

func (c *client) begin() {
	c.lastTx++
	c.tx = &tx{id: c.lastTx}
	c.w.step(&broker.Begin{Conn: c.conn, Ref: c.ref(), Tx: c.tx.id})
}

// transact does something in a transaction, or ends it.
func (c *client) transact() {
	w := c.w
	if c.tx == nil {
		if w.chance(2) {
			c.beginDistributed()
			return
		}
		c.begin()
		return
	}
	if c.tx.ending && !w.chance(10) {
		return
	}
	if c.tx.id.IsDistributed() && w.inLineOf(c.conn) {
		return
	}
	switch x := w.rnd.IntN(5); {
	case x < 2 && c.tx.id.IsDistributed():
		c.endDistributed(x == 0 || w.chance(2))
	case c.tx.ending || x == 1:
		w.note("client %d rolls back %d", c.index, c.tx.id)
		w.step(&broker.Rollback{Conn: c.conn, Ref: c.ref(), Tx: c.tx.id})
	case x == 0:
		c.commit(c.tx.events)
	default:
		c.tx.events = append(c.tx.events, c.send(c.tx.id))
	}
}

func (c *client) commit(sends []*broker.Send) {
	ref := c.ref()
	failed := c.tx.failed
	if !failed && len(sends) > 0 {
		c.waiting = append(c.waiting, &pending{ref: ref, commit: sends, tx: c.tx.id})
	}
	c.w.note("client %d commits %d", c.index, c.tx.id)
	c.w.step(&broker.Commit{Conn: c.conn, Ref: ref, Tx: c.tx.id, Tracked: true})
}

var selectors = []struct {
	text  string
	match func(n int) bool
}{
	{"", func(int) bool { return true }},
	{"n = 1", func(n int) bool { return n == 1 }},
	{"n > 1", func(n int) bool { return n > 1 }},
	{"n < 3 AND n <> 0", func(n int) bool { return n < 3 && n != 0 }},
}

func selectorOf(text string) func(int) bool {
	for _, s := range selectors {
		if s.text == text {
			return s.match
		}
	}
	return nil
}

func (c *client) subscribe() {
	w := c.w
	if len(c.consumers) >= 4 {
		c.unsubscribe()
		return
	}
	c.next++
	ev := &broker.Subscribe{Conn: c.conn, Ref: c.ref(), Consumer: c.next, Prefetch: []int{0, 1, 2, 5, 20, 20}[w.rnd.IntN(6)], MayCreate: true}
	if w.chance(3) {
		ev.Selector = selectors[w.rnd.IntN(len(selectors))].text
	}
	switch x := w.rnd.IntN(12); {
	case x < 5:
		ev.Destination = w.queue()
	case x == 5:
		ev.Destination = message.Destination{Kind: message.Queue, Name: "q.*"}
	case x == 6:
		ev.Destination = message.Destination{Kind: message.Queue, Name: "q.0,q.2"}
	case x == 7 && c.temp != "":
		ev.Destination = message.Destination{Kind: message.TempQueue, Name: c.temp}
	case x < 10:
		ev.Destination = message.Destination{Kind: message.Topic, Name: fmt.Sprintf("t.%d", w.rnd.IntN(2))}
	default:
		ev.Destination = message.Destination{Kind: message.Topic, Name: "t.>"}
	}
	if ev.Destination.Kind.IsTopic() {
		ev.NoLocal = w.chance(4)
		if w.chance(2) {
			ev.Name = fmt.Sprintf("s%d", w.rnd.IntN(2))
		}
		w.share(ev)
		ev.Retroactive = w.chance(2)
		if w.oneByOne() && !ev.Shared && w.chance(3) {
			ev.MaxPending = 1 + w.rnd.IntN(3)
		}
	} else {
		ev.Browser = w.chance(6)
		ev.Exclusive = w.chance(10)
		ev.Priority = w.rnd.IntN(2) * 5
	}
	w.note("client %d subscribes %d to %s, selector %q, prefetch %d, name %q, shared %v, browser %v", c.index, ev.Consumer, ev.Destination, ev.Selector, ev.Prefetch, ev.Name, ev.Shared, ev.Browser)
	w.step(ev)
}

func (c *client) some() *consumer {
	if len(c.consumers) == 0 {
		return nil
	}
	return c.consumers[c.w.rnd.IntN(len(c.consumers))]
}

func (c *client) unsubscribe() {
	x := c.some()
	if x == nil || c.isSlow() && !c.w.chance(8) { // the broker is to end it
		return
	}
	ev := &broker.Unsubscribe{Conn: c.conn, Ref: c.ref(), Consumer: x.id}
	heard := x.heard()
	switch {
	case c.w.chance(3):
		ev.LastDelivered = broker.Unknown
	case len(heard) > 0:
		ev.LastDelivered = heard[c.w.rnd.IntN(len(heard))].sequence
	}
	c.w.note("client %d unsubscribes %d, last delivered %d", c.index, x.id, ev.LastDelivered)
	c.w.step(ev)
}

// heard gives what the client has got and not acknowledged.
func (c *consumer) heard() []*delivery {
	var got []*delivery
	for _, x := range c.has {
		if x.heard && !x.inTx {
			got = append(got, x)
		}
	}
	return got
}

func (c *client) ack() {
	x := c.some()
	if x == nil || c.isSlow() {
		return
	}
	heard := x.heard()
	if len(heard) == 0 {
		return
	}
	w := c.w
	i := w.rnd.IntN(len(heard))
	ev := &broker.Ack{Conn: c.conn, Consumer: x.id, Kind: broker.Consumed, Last: heard[i].sequence}
	if w.chance(2) {
		ev.Ref = c.ref()
	}
	switch w.rnd.IntN(3) {
	case 0:
		ev.Single = true
	case 1:
		ev.First = heard[w.rnd.IntN(i+1)].sequence
		ev.Count = 2 // a range, even of one
	}
	switch k := w.rnd.IntN(20); {
	case k < 2:
		ev.Kind = broker.Delivered
	case k < 4:
		ev.Kind, ev.Single, ev.Cause = broker.Poison, true, "poison"
	case k == 4:
		ev.Kind = broker.Released
	case k == 5:
		ev.Kind = broker.Expired
	case k < 12 && c.tx != nil && !c.tx.ending && !x.about.Browser:
		ev.Tx = c.tx.id
	}
	if ev.First == ev.Last { // that would be all so far
		ev.Single = true
	}
	w.note("client %d acknowledges at %d: kind %d, %d to %d, single %v, tx %d", c.index, x.id, ev.Kind, ev.First, ev.Last, ev.Single, ev.Tx)
	w.step(ev)
}

func (c *client) pull() {
	x := c.some()
	if x == nil || x.prefetch != 0 || x.about.Browser {
		return
	}
	wait := []time.Duration{-1, 0, 50 * time.Millisecond}[c.w.rnd.IntN(3)]
	c.w.note("client %d pulls at %d, wait %v", c.index, x.id, wait)
	c.w.step(&broker.Pull{Conn: c.conn, Consumer: x.id, Wait: wait})
}

func (c *client) changePrefetch() {
	x := c.some()
	if x == nil || x.about.Browser {
		return
	}
	n := c.w.rnd.IntN(6)
	c.w.note("client %d sets the prefetch of %d to %d", c.index, x.id, n)
	c.w.step(&broker.SetPrefetch{Conn: c.conn, Consumer: x.id, Prefetch: n})
}
