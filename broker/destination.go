package broker

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/godwitmq/godwit/message"
)

// destination is a queue or a topic.
type destination struct {
	name          message.Destination
	owner         *connection // of a temporary one; nil while it waits for one
	awaitedUntil  int64       // of a temporary one without owner, ms since 1970
	creator       string      // name of the connection that made it, if that was since the start; for advisories
	policy        *Policy
	routes        *routes         // where else its messages go; nil: nowhere
	dlq           bool            // some policy sends dead letters here
	queue         *backlog        // of a queue
	subscriptions []*subscription // of a topic
	recent        *recent         // of a topic; nil: it keeps nothing
	consumers     int
	producers     int
	counted       *Policy // whose destinations it is counted among
	use           use
	wild          bool        // the name is a pattern: a virtual topic's queue for all topics that fit
	dropsCopies   bool        // as VirtualTopic.DropWhenFull says of a queue
	copied        bool        // topics that fit a virtual topic are copied to it
	hidesTopic    bool        // as VirtualTopic.HidesTopic says of a queue
	remembers     bool        // as VirtualTopic.RememberSelectors says of a queue
	remembered    *remembered // with it, the selectors of the queue's consumers
	room          *room       // if sends wait for room here
	sendsRefused  uint64
	counters      // of a topic; a queue counts in its backlog
}

// connection is one client.
type connection struct {
	id           ConnID
	about        Connect
	since        int64
	consumers    map[ConsumerID]*consumer
	producers    map[uint64]*sender
	transactions map[TxID]*transaction
	temporaries  []*destination
	throttled    bool // by Throttle
	returns      bool // it is being ended for the broker's sake
	sweep        *sweep

	// What waits for room; see flow.
	line         []*waitingSend // in the order in which they came
	waitingBytes int64
	held         bool  // its reader is stopped
	barriers     []Ref // to be answered when nothing waits
}

func (b *Broker) connect(ev *Connect) {
	if ev.Name != "" {
		if old := b.names[ev.Name]; old != nil {
			b.close(old, true, &Error{Code: InUse, Op: "connect", Detail: "connection " + ev.Name + " has come back from " + ev.Remote})
		}
	}
	if ev.ClientID != "" {
		if old := b.clients[ev.ClientID]; old != nil {
			if !ev.Steal {
				b.answer(ev.Conn, ev.Ref, &Error{Code: InvalidClientID, Detail: fmt.Sprintf("Broker: %s - Client: %s already connected from %s", b.opt.Name, ev.ClientID, old.about.Remote)})
				return
			}
			b.close(old, false, &Error{Code: InUse, Op: "connect", Detail: "client id " + ev.ClientID + " was taken over by " + ev.Remote})
		}
	}
	c := &connection{id: ev.Conn, about: *ev, since: b.now, consumers: map[ConsumerID]*consumer{}, producers: map[uint64]*sender{}, transactions: map[TxID]*transaction{}}
	b.connections[ev.Conn] = c
	if ev.Name != "" {
		b.names[ev.Name] = c
	}
	if ev.ClientID != "" {
		b.clients[ev.ClientID] = c
	}
	b.tell(Effect{Conn: ev.Conn, Ref: ev.Ref})
	b.adviseConnection(c, false)
}

// close ends a connection from the broker's side; returns is as in Disconnect.
func (b *Broker) close(c *connection, returns bool, why *Error) {
	b.tell(Effect{Conn: c.id, Kind: Closed, Err: why})
	b.disconnect(c.id, returns)
}

func (b *Broker) disconnect(id ConnID, returns bool) {
	c := b.connections[id]
	if c == nil {
		return
	}
	c.returns = returns
	delete(b.connections, id)
	b.endSweep(c)
	if b.names[c.about.Name] == c {
		delete(b.names, c.about.Name)
	}
	if b.clients[c.about.ClientID] == c {
		delete(b.clients, c.about.ClientID)
	}
	// The order of ids, not of the map: the same events must give the same records.
	for _, tx := range sortedKeys(c.transactions) {
		b.withdraw(c, tx)
	}
	for _, consumer := range sortedKeys(c.consumers) {
		b.removeConsumer(c.consumers[consumer], Unknown)
	}
	b.leaveWaiting(c)
	for _, id := range sortedKeys(c.producers) {
		b.endProducer(c, id)
	}
	for _, d := range c.temporaries {
		if !returns || !b.orphan(d) {
			b.drop(d)
		}
	}
	b.adviseConnection(c, true)
}

func sortedKeys[K ~uint64, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// lookup gives a destination, making it if that is allowed. It fails for a temporary one that is gone, for an
// empty or wildcard name, and beyond Options.MaxDestinations.
func (b *Broker) lookup(name message.Destination, op string, mayCreate bool, user string) (*destination, *Error) {
	if d := b.destinations[name]; d != nil {
		return d, nil
	}
	switch {
	case name.Kind == message.NoDestination || name.Name == "":
		return nil, &Error{Code: InvalidDestination, Op: op, Detail: "no destination was given"}
	case name.Kind.IsTemporary():
		return nil, &Error{Code: InvalidDestination, Op: op, Detail: fmt.Sprintf("The destination %s does not exist.", name)}
	case !mayCreate:
		return nil, &Error{Code: Denied, Detail: fmt.Sprintf("User %s is not authorized to create: %s", user, name)}
	}
	if err := b.admitDestination(name, op); err != nil {
		return nil, err
	}
	return b.create(name, nil), nil
}

// create makes a destination that is not there. A temporary one has an owner, or the caller awaits one.
func (b *Broker) create(name message.Destination, owner *connection) *destination {
	d := &destination{name: name, owner: owner, producers: b.producing[name], wild: name.IsPattern()}
	b.destinations[name] = d
	if c := b.connections[b.actor]; c != nil && !c.internal() {
		d.creator = c.about.Name
	}
	if name.Kind.IsTemporary() && owner == nil {
		d.creator = ownerName(name)
	}
	if !name.Kind.IsTopic() {
		d.queue = &backlog{destination: d, shares: true}
		if !name.Kind.IsTemporary() {
			b.nextID++
			d.queue.id = b.nextID
			b.backlogs[d.queue.id] = d.queue
			b.emitDestination(d.queue)
		}
	}
	b.takePolicy(d)
	if name.Kind.IsTemporary() {
		b.temporaries++
	}
	if owner != nil {
		owner.temporaries = append(owner.temporaries, d)
	}
	b.addRoutes(d)
	b.joinPatterns(d)
	b.adviseDestination(d, false)
	return d
}

// joinPatterns attaches consumers whose pattern fits a new destination.
func (b *Broker) joinPatterns(d *destination) {
	if d.name.Kind.IsTopic() {
		for _, s := range b.wild {
			if s.wants(d.name) {
				s.join(d)
			}
		}
		return
	}
	for _, c := range b.wildConsumers {
		if c.wants(d.name) && c.mayTake(d) && !slices.Contains(c.backlogs, d.queue) {
			d.queue.attach(c)
			d.consumers++
			if d.remembers {
				b.rememberSelector(d, c)
			}
			b.gate(d.queue)
			b.touch(d.queue)
		}
	}
}

// fits says whether a destination is one of the parts, or fits one that is a pattern.
func fits(parts []message.Destination, name message.Destination) bool {
	for _, p := range parts {
		if p == name || p.Kind == name.Kind && p.IsPattern() && message.MatchName(p.Name, name.Name) {
			return true
		}
	}
	return false
}

func (b *Broker) createDestination(ev *CreateDestination) {
	b.actor = ev.Conn
	op := "create " + ev.Destination.String()
	if d := b.destinations[ev.Destination]; d != nil && d.awaitedUntil != 0 {
		if c := b.connections[ev.Conn]; c != nil && !b.adopt(d, c) {
			b.answer(ev.Conn, ev.Ref, &Error{Code: Denied, Op: op, Detail: "it belongs to another connection"})
			return
		}
	}
	if b.destinations[ev.Destination] == nil {
		if strings.ContainsAny(ev.Destination.Name, ",?") || ev.Destination.IsPattern() {
			b.answer(ev.Conn, ev.Ref, &Error{Code: InvalidDestination, Op: op, Detail: "a composite name or a pattern cannot be created"})
			return
		}
		if ev.Destination.Kind.IsTemporary() {
			c := b.connections[ev.Conn]
			if c == nil {
				return
			}
			if err := b.admitDestination(ev.Destination, op); err != nil {
				b.answer(ev.Conn, ev.Ref, err)
				return
			}
			b.create(ev.Destination, c)
		} else if _, err := b.lookup(ev.Destination, op, true, ""); err != nil {
			b.answer(ev.Conn, ev.Ref, err)
			return
		}
	}
	b.answer(ev.Conn, ev.Ref, nil)
}

func (b *Broker) removeDestination(ev *RemoveDestination) {
	d := b.destinations[ev.Destination]
	if d == nil {
		b.answer(ev.Conn, ev.Ref, nil)
		return
	}
	op := "remove " + ev.Destination.String()
	if d.name.Kind.IsTemporary() && (d.owner == nil || d.owner.id != ev.Conn) && ev.Conn != 0 {
		b.answer(ev.Conn, ev.Ref, &Error{Code: Denied, Op: op, Detail: "it belongs to another connection"})
		return
	}
	if d.consumers > 0 {
		b.answer(ev.Conn, ev.Ref, &Error{Code: InUse, Op: op, Detail: fmt.Sprintf("Destination still has an active subscription: %s", ev.Destination)})
		return
	}
	for _, s := range d.subscriptions {
		if s.durable() {
			b.answer(ev.Conn, ev.Ref, &Error{Code: InUse, Op: op, Detail: fmt.Sprintf("durable subscription %s of client %s still exists", s.name, s.clientID)})
			return
		}
	}
	if d.owner != nil {
		d.owner.temporaries = slices.DeleteFunc(d.owner.temporaries, func(t *destination) bool { return t == d })
	}
	b.drop(d)
	b.answer(ev.Conn, ev.Ref, nil)
}

// drop removes a destination with all that waits and all who consume.
func (b *Broker) drop(d *destination) {
	delete(b.destinations, d.name)
	if d.name.Kind.IsTemporary() {
		b.temporaries--
		b.awaitNoMore(d)
		b.expectNoMore(d.name)
	}
	if q := d.queue; q != nil {
		for len(q.attached) > 0 {
			c := q.attached[0].consumer
			q.detach(c)
			c.backlogs = slices.DeleteFunc(c.backlogs, func(x *backlog) bool { return x == q })
		}
		b.abandon(q)
	}
	b.removeRoutes(d)
	b.uncount(d)
	if d.recent != nil {
		b.abandon(d.recent.backlog)
	}
	for _, s := range slices.Clone(d.subscriptions) {
		s.leave(d)
	}
	b.adviseDestination(d, true)
}

// abandon forgets a backlog and all its entries, in the log too. Of those that wait, memory may know until later.
func (b *Broker) abandon(q *backlog) {
	q.removed = true
	b.dropPacks(q)
	b.forgetPacking(q)
	if q.size > q.ready {
		for _, e := range b.entriesElsewhere(nil, q) {
			if e.consumer != nil {
				e.consumer.forget(e)
			}
			b.discard(e)
		}
	}
	b.drain(&drain{backlog: q})
	if q.id != 0 {
		delete(b.backlogs, q.id)
		b.emitID(recordRemoved, q.id, false)
	}
}

// entriesOf lists all entries of a backlog, those at consumers and in transactions included.
func (b *Broker) entriesOf(q *backlog) []*entry {
	entries := make([]*entry, 0, q.size)
	for e := q.following(nil); e != nil; e = q.following(e) {
		entries = append(entries, e)
	}
	if len(entries) == q.size {
		return entries
	}
	return b.entriesElsewhere(entries, q)
}

// entriesElsewhere appends those entries of a backlog that are not ready.
func (b *Broker) entriesElsewhere(entries []*entry, q *backlog) []*entry {
	for _, conn := range sortedKeys(b.connections) {
		c := b.connections[conn]
		for _, id := range sortedKeys(c.consumers) {
			for _, e := range c.consumers[id].dispatched.all() {
				if e.backlog == q && e.state != gone { // what a browser has is gone
					entries = append(entries, e)
				}
			}
		}
		for _, id := range sortedKeys(c.transactions) {
			if tx := c.transactions[id]; tx.conn == c && !tx.prepared() {
				entries = tx.withoutConsumer(entries, q)
			}
		}
	}
	for at := b.branches.prepared.Front(); at != nil; at = at.Next() {
		entries = at.Value.(*transaction).withoutConsumer(entries, q)
	}
	n := len(entries)
	for e := range b.delayed {
		if e.backlog == q {
			entries = append(entries, e)
		}
	}
	slices.SortFunc(entries[n:], func(x, y *entry) int { return cmp.Compare(x.stored.sequence, y.stored.sequence) })
	for _, token := range sortedKeys(b.loads) {
		if e := b.loads[token].dying; e != nil && e.backlog == q && e.state == dying {
			entries = append(entries, e)
		}
	}
	return entries
}

func (b *Broker) sortedDestinations() []*destination {
	all := make([]*destination, 0, len(b.destinations))
	for _, d := range b.destinations {
		all = append(all, d)
	}
	slices.SortFunc(all, func(x, y *destination) int { return strings.Compare(x.name.String(), y.name.String()) })
	return all
}

// sender is one of a connection's producers.
type sender struct {
	about AddProducer
	parts []message.Destination
}

func (b *Broker) addProducer(ev *AddProducer) {
	c := b.connections[ev.Conn]
	if c == nil || c.producers[ev.Producer] != nil {
		return
	}
	p := &sender{about: *ev}
	if !ev.Destination.IsZero() {
		p.parts, _ = ev.Destination.Parts() // one that is none is refused when something is sent
	}
	c.producers[ev.Producer] = p
	for _, part := range p.parts {
		b.countProducer(part, 1)
	}
	b.adviseProducer(c, p, false)
}

func (b *Broker) removeProducer(ev *RemoveProducer) {
	if c := b.connections[ev.Conn]; c != nil && c.producers[ev.Producer] != nil {
		b.endProducer(c, ev.Producer)
	}
}

// countProducer counts the producers of a destination, which need not be there yet.
func (b *Broker) countProducer(name message.Destination, n int) {
	if b.producing[name] += n; b.producing[name] == 0 {
		delete(b.producing, name)
	}
	if d := b.destinations[name]; d != nil {
		d.producers = b.producing[name]
	}
}

func (b *Broker) endProducer(c *connection, id uint64) {
	p := c.producers[id]
	delete(c.producers, id)
	for _, part := range p.parts {
		b.countProducer(part, -1)
	}
	b.adviseProducer(c, p, true)
}

func (b *Broker) purge(ev *Purge) {
	d := b.destinations[ev.Destination]
	if d == nil || d.queue == nil {
		b.answer(ev.Conn, ev.Ref, &Error{Code: NotFound, Op: "purge " + ev.Destination.String(), Detail: "there is no such queue"})
		return
	}
	b.purgeBacklog(d.queue, ev.Conn, ev.Ref)
}
