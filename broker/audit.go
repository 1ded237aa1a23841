package broker

import (
	"fmt"
	"slices"
	"strings"
)

// Held is one message in one backlog, as Audit shows it.
type Held struct {
	Backlog      string // "queue://A", "subscription client/name" of a durable one, "shared subscription client/name", "consumer 1/2" of another (its connection and id)
	Sequence     uint64
	Position     uint64 // of its record; 0: none, or not placed yet
	Expiration   int64  // ms since 1970; 0 is never
	Size         int    // bytes
	Priority     uint8
	Redeliveries int
	Logged       bool // would be recovered after a crash
	Ready        bool // waits to be dispatched
	Dispatched   bool // is at a consumer, or acknowledged in an open transaction
	Conn         ConnID
	Consumer     ConsumerID // who has it, with Conn; 0 is nobody
}

// Audit recomputes what the core keeps incrementally (counters, lists, byte counts, what is live in the log) and says what
// does not agree. fn, if not nil, is given each message in each backlog, in the order of the backlogs' names and of their dispatch.
// It takes time in proportion to all that the broker holds: it is for tests and for the simulator.
func (b *Broker) Audit(fn func(Held)) error {
	a := &audit{b: b, stored: map[*stored]int{}, inFlight: map[*backlog]int{}}
	for _, d := range b.sortedDestinations() {
		if d.queue != nil {
			a.queue(d)
		}
	}
	for _, d := range b.sortedDestinations() {
		if d.recent != nil {
			a.backlog(d.recent.backlog, "kept of "+d.name.String())
		}
	}
	for _, s := range a.subscriptions() {
		a.backlog(s.backlog, fmt.Sprintf("subscription %s/%s to %s", s.clientID, s.name, s.topic))
	}
	held := a.held
	for _, d := range b.drains {
		if d.purge == nil {
			a.backlog(d.backlog, "removed of "+d.backlog.destination.name.String())
		}
	}
	a.held = held // for everybody else they are gone
	a.jobs()
	a.consumers()
	a.memory()
	a.space()
	a.due()
	a.awaiting()
	if len(a.wrong) > 0 {
		return fmt.Errorf("audit: %s", strings.Join(a.wrong, "; "))
	}
	if fn != nil {
		for _, h := range a.held {
			fn(h)
		}
	}
	return nil
}

type audit struct {
	b        *Broker
	wrong    []string
	held     []Held
	stored   map[*stored]int // how many entries were found
	inFlight map[*backlog]int
	backlogs []*backlog
	// packedBytes are those of messages in packs, as they count in the log.
	packedBytes int64
}

func (a *audit) check(ok bool, format string, args ...any) {
	if !ok && len(a.wrong) < 20 {
		a.wrong = append(a.wrong, fmt.Sprintf(format, args...))
	}
}

// subscriptions lists the durable ones by name, then the others by consumer.
func (a *audit) subscriptions() []*subscription {
	var all []*subscription
	for _, s := range a.b.durables {
		all = append(all, s)
	}
	slices.SortFunc(all, func(x, y *subscription) int { return int(int64(x.backlog.id) - int64(y.backlog.id)) })
	for _, conn := range sortedKeys(a.b.connections) {
		c := a.b.connections[conn]
		for _, id := range sortedKeys(c.consumers) {
			if s := c.consumers[id].subscription; s != nil && !s.durable() && s.consumers()[0].consumer == c.consumers[id] {
				all = append(all, s)
			}
		}
	}
	return all
}

func (a *audit) queue(d *destination) {
	a.backlog(d.queue, d.name.String())
	a.check(d.consumers == len(d.queue.attached), "%s counts %d consumers, has %d", d.name, d.consumers, len(d.queue.attached))
}

// backlog checks the lists and counters of one backlog and collects its entries.
func (a *audit) backlog(q *backlog, name string) {
	b := a.b
	a.backlogs = append(a.backlogs, q)
	shown := name
	if q.durable() != nil {
		shown = "subscription " + q.durable().clientID + "/" + q.durable().name
	} else if q.destination.queue != q && len(q.attached) > 0 {
		c := q.attached[0].consumer
		if s := c.subscription; s.shared {
			shown = "shared subscription " + s.clientID + "/" + s.name
		} else {
			shown = fmt.Sprintf("consumer %d/%d", c.conn.id, c.id)
		}
	}
	for _, w := range q.sweeps {
		a.check(!w.ended && w.queue == q, "%s has a sweep that has ended or is another queue's", name)
		a.check(w.next == nil || w.next.state == ready && w.next.backlog == q && int(w.next.stored.priority) == w.priority, "%s: a sweep stands on an entry that is not ready there", name)
	}
	a.check(q.id == 0 || q.removed || b.backlogs[q.id] == q, "%s: backlog %d is not known by its id", name, q.id)
	waiting, before := 0, len(a.held)
	var loose []*entry
	for p := len(q.lists) - 1; p >= 0; p-- {
		l := &q.lists[p]
		a.check((l.head != nil) == (q.mask>>p&1 == 1), "%s: mask %b, but list %d disagrees", name, q.mask, p)
		var prev *entry
		for e := l.head; e != nil; prev, e = e, e.next {
			if e.state == inPack {
				waiting += a.pack(q, shown, e)
				continue
			}
			waiting++
			loose = append(loose, e)
			a.check(e.prev == prev, "%s: entry %d is not linked back", name, e.stored.sequence)
			a.check(e.state == ready, "%s: entry %d is in the ready list in state %d", name, e.stored.sequence, e.state)
			a.check(e.consumer == nil, "%s: ready entry %d has a consumer", name, e.stored.sequence)
			a.check(int(e.stored.priority) == p, "%s: entry %d of priority %d is in list %d", name, e.stored.sequence, e.stored.priority, p)
			a.check(prev == nil || prev.stored.sequence < e.stored.sequence, "%s: entries out of order", name)
			a.check(e.backlog == q, "%s: entry %d is of another backlog", name, e.stored.sequence)
			a.check(e.stored.expiration == 0 || e.timer != 0, "%s: ready entry %d has no timer for its expiry", name, e.stored.sequence)
		}
		a.check(l.tail == prev, "%s: tail of list %d is wrong", name, p)
		for _, t := range q.attached {
			if s := t.scanned[p]; s != nil {
				found := false
				for e := l.head; e != nil && !found; e = e.next {
					found = e == s
				}
				a.check(found, "%s: the cursor of consumer %d stands on an entry that is not ready", name, t.consumer.id)
			}
		}
	}
	for _, w := range q.browsed {
		a.check(w.next == nil || w.next.backlog == q && w.next.state == ready, "%s: a browser stands on an entry that is not ready", name)
		a.check(slices.IsSortedFunc(w.aside, inOrder), "%s: what a browser is still to be shown is out of order", name)
	}
	a.keeping(q, name)
	a.check(waiting == q.ready, "%s: ready counts %d, has %d", name, q.ready, waiting)
	selective, exclusive := 0, 0
	for _, t := range q.attached {
		if t.consumer.exclusive {
			exclusive++
		}
		if t.consumer.selector != nil {
			selective++
		}
	}
	a.check(selective == q.selective, "%s: selective counts %d, has %d", name, q.selective, selective)
	a.check(exclusive == q.exclusive, "%s: exclusive counts %d, has %d", name, q.exclusive, exclusive)
	a.choosers(q, name)
	all := b.entriesElsewhere(loose, q)
	size, bytes, inFlight := len(all), int64(0), 0
	for _, h := range a.held[before:] {
		size++
		bytes += int64(h.Size)
	}
	for _, e := range all {
		s := e.stored
		bytes += int64(s.size)
		a.stored[s]++
		h := Held{Backlog: shown, Sequence: s.sequence, Position: s.position, Expiration: s.expiration, Size: int(s.size), Priority: s.priority,
			Redeliveries: int(e.redeliveries), Logged: s.flags&logged != 0 && q.id != 0, Ready: e.state == ready, Dispatched: e.state == dispatched || e.state == settling}
		if c := e.consumer; c != nil {
			inFlight++
			h.Conn, h.Consumer = c.conn.id, c.id
			a.check(e.state == dispatched || e.state == settling, "%s: entry %d has a consumer in state %d", name, s.sequence, e.state)
			a.check(c.conn.consumers[c.id] == c, "%s: entry %d is at a consumer that is gone", name, s.sequence)
		}
		found := false
		for x := s.first; x != nil; x = x.sibling {
			found = found || x == e
		}
		a.check(found, "%s: message %d does not know its entry", name, s.sequence)
		a.check(s.message != nil || s.flags&(logged|spilled) != 0, "%s: the body of message %d is nowhere", name, s.sequence)
		a.held = append(a.held, h)
	}
	a.groups(q, all, name)
	a.check(size == q.size, "%s: size counts %d, has %d", name, q.size, size)
	a.check(bytes == q.bytes, "%s: bytes counts %d, has %d", name, q.bytes, bytes)
	a.check(inFlight == q.inFlight, "%s: inFlight counts %d, has %d", name, q.inFlight, inFlight)
}

// pack checks one pack of a backlog, collects its messages, and says how many they are.
func (a *audit) pack(q *backlog, shown string, place *entry) int {
	ps, p := q.packing, place.stored.priority
	i := ps.find(p, place.stored.sequence)
	a.check(i >= 0 && &ps.packs[p][i].place == place, "%s: a pack that begins with message %d is not known", shown, place.stored.sequence)
	if i < 0 {
		return 0
	}
	x := ps.packs[p][i]
	a.check(place.prev != nil && place.next != nil, "%s: a pack is the first or the last", shown)
	a.check(place.next == nil || x.last() < place.next.stored.sequence, "%s: a pack ends with message %d, before message %d", shown, x.last(), place.next.stored.sequence)
	for i := range x.items {
		m := &x.items[i]
		at := x.position + uint64(m.position)
		a.check(at >= a.b.log.head, "message %d at %d is in a pack before the log's head %d", x.sequence(i), at, a.b.log.head)
		s := stored{size: m.size}
		a.packedBytes += s.logBytes()
		a.held = append(a.held, Held{Backlog: shown, Sequence: x.sequence(i), Position: at, Size: int(m.size), Priority: p, Logged: x.stored.flags&logged != 0 && q.id != 0, Ready: true})
	}
	return len(x.items)
}

// choosers checks who chooses what in a backlog some of whose consumers have selectors.
func (a *audit) choosers(q *backlog, name string) {
	a.check((q.choosers != nil) == (q.selective > 0), "%s: has %d consumers with selectors, and choosers: %v", name, q.selective, q.choosers != nil)
	if q.choosers == nil {
		return
	}
	n := 0
	for _, x := range q.choosers.all {
		n += len(x.members)
		if x.index != nil {
			n += x.index.members
			a.index(q, x.index, name)
		}
	}
	a.check(n == len(q.attached), "%s: %d consumers, %d of them choose", name, len(q.attached), n)
}

func (a *audit) index(q *backlog, ix *selectorIndex, name string) {
	members, kept := 0, 0
	for _, g := range ix.bySource {
		members += len(g.members)
		for p := range g.found {
			f := &g.found[p]
			kept += f.len()
			waits := slices.ContainsFunc(f.list[f.head:], func(e *entry) bool { return e.state == ready })
			credit := slices.ContainsFunc(g.members, func(t *attachment) bool { return t.consumer.credit() > 0 })
			a.check(!waits || !credit || g.serving>>p&1 == 1, "%s: a message is found for %q, and nobody serves it", name, g.source)
			a.check(g.serving>>p&1 == 0 || slices.Contains(ix.served[p], g), "%s: %q is served and not in the list", name, g.source)
			a.check(slices.IsSortedFunc(f.list[f.head:], func(x, y *entry) int { return int(int64(x.stored.sequence) - int64(y.stored.sequence)) }), "%s: what was found for %q is out of order", name, g.source)
		}
		for _, t := range g.members {
			a.check(t.consumer.credit() <= 0 || t.hungry, "%s: consumer %d has credit and is not looked at", name, t.consumer.id)
			a.check(!t.hungry || slices.Contains(ix.hungry, t), "%s: consumer %d is hungry and not in the list", name, t.consumer.id)
		}
	}
	a.check(members == ix.members && kept == ix.kept, "%s: index counts %d members, %d found; has %d, %d", name, ix.members, ix.kept, members, kept)
	for p, s := range ix.scanned {
		a.check(s == nil || s.state == ready && s.backlog == q && int(s.stored.priority) == p, "%s: the index of %s stands on an entry that is not ready", name, ix.name)
	}
}

// jobs checks the scheduled messages and collects them.
func (a *audit) jobs() {
	c := &a.b.schedule
	if c.backlog == nil {
		a.check(len(c.jobs) == 0, "%d messages are scheduled nowhere", len(c.jobs))
		return
	}
	due := map[*entry]bool{}
	for _, e := range c.due {
		due[e] = true
	}
	for _, l := range a.b.loads {
		for _, e := range l.jobs {
			due[e] = true
		}
	}
	bytes := int64(0)
	for _, sequence := range sortedKeys(c.jobs) {
		e := c.jobs[sequence].entry
		s := e.stored
		bytes += int64(s.size)
		a.stored[s]++
		a.check(s.sequence == sequence && e.state == scheduled && e.backlog == c.backlog, "scheduled message %d is message %d in state %d", sequence, s.sequence, e.state)
		a.check(e.timer != 0 || due[e], "scheduled message %d waits for nothing", sequence)
		a.check(s.inLog() && s.flags&logged != 0, "scheduled message %d is not in the log", sequence)
		a.held = append(a.held, Held{Backlog: "schedule", Sequence: s.sequence, Position: s.position, Expiration: s.expiration, Size: int(s.size), Priority: s.priority, Logged: true})
	}
	a.check(len(c.jobs) == c.backlog.size && bytes == c.backlog.bytes, "scheduled: size counts %d with %d bytes, has %d with %d", c.backlog.size, c.backlog.bytes, len(c.jobs), bytes)
}

// keeping checks what a queue knows that does not keep all.
func (a *audit) keeping(q *backlog, name string) {
	k := q.keeping
	if k == nil {
		return
	}
	for key, v := range k.newest {
		a.check(v.key == key && k.of[v.entry] == v, "%s: the last value of %q is not known by its message", name, key)
		a.check(v.entry.state != gone && v.entry.backlog == q && !v.entry.is(replaced), "%s: the last value of %q is of a message in state %d", name, key, v.entry.state)
	}
	newest := 0
	for e, v := range k.of {
		if k.newest[v.key] == v {
			newest++
			continue
		}
		a.check(v.entry == e && e.state != gone && e.is(replaced), "%s: message %d has a key, and is neither the newest with it nor replaced", name, e.stored.sequence)
	}
	a.check(len(k.newest) == newest, "%s: %d keys, %d messages that are the newest with one", name, len(k.newest), newest)
	for e := q.front(); e != nil; e = q.following(e) {
		a.check(!e.is(replaced), "%s: message %d was replaced and waits", name, e.stored.sequence)
	}
	if n := a.b.policy(q).Keep.Ring; n > 0 {
		a.check(q.ready <= n, "%s: %d messages wait in a ring of %d", name, q.ready, n)
	}
}

// consumers checks their windows.
func (a *audit) consumers() {
	for _, conn := range sortedKeys(a.b.connections) {
		c := a.b.connections[conn]
		for _, id := range sortedKeys(c.consumers) {
			x := c.consumers[id]
			seen := 0
			met := map[*entry]bool{}
			for _, e := range x.dispatched.all() {
				if e.seen {
					seen++
				}
				a.check(!met[e], "consumer %d/%d has message %d twice", conn, id, e.stored.sequence)
				met[e] = true
				if !x.about.Browser {
					a.check(e.consumer == x && (e.state == dispatched || e.state == settling), "consumer %d/%d has message %d in state %d", conn, id, e.stored.sequence, e.state)
					a.check(e.state != settling || e.seen, "consumer %d/%d: message %d is acknowledged in a transaction and counts in the window", conn, id, e.stored.sequence)
				}
			}
			a.check(seen == x.seen, "consumer %d/%d: seen counts %d, has %d", conn, id, x.seen, seen)
		}
	}
}

// memory checks what counts as cached.
func (a *audit) memory() {
	var cachedBytes, transientBytes, awayBytes int64
	for s, n := range a.stored {
		if s.flags&away != 0 {
			awayBytes += int64(s.size)
			a.check(s.flags&cached == 0 && s.message != nil, "message %d counts as away and is cached or not in memory", s.sequence)
		}
		if s.flags&cached != 0 {
			cachedBytes += int64(s.size)
			if s.flags&logged == 0 {
				transientBytes += int64(s.size)
			}
			a.check(s.message != nil, "message %d counts as cached and is not in memory", s.sequence)
		}
		entries := 0
		for e := s.first; e != nil; e = e.sibling {
			entries++
		}
		a.check(entries == n, "message %d has %d entries, %d are in backlogs", s.sequence, entries, n)
	}
	a.check(transientBytes == a.b.transient, "transient counts %d bytes, has %d", a.b.transient, transientBytes)
	var pending, unlogged int64
	reserved := map[*backlog]int{}
	count := func(tx *transaction) {
		for i := range tx.sends {
			send := &tx.sends[i]
			if send.message != nil {
				pending += int64(send.stored.size)
				if !send.stored.inLog() {
					unlogged += int64(send.stored.size)
				}
			}
			for _, q := range send.targets {
				reserved[q]++
			}
		}
	}
	for _, c := range a.b.connections {
		for _, tx := range c.transactions {
			if tx.conn == c && !tx.prepared() {
				count(tx)
			}
		}
	}
	for at := a.b.branches.prepared.Front(); at != nil; at = at.Next() {
		count(at.Value.(*transaction))
	}
	a.check(pending == a.b.pending, "open transactions count %d bytes, have %d", a.b.pending, pending)
	a.check(unlogged == a.b.unlogged, "open transactions count %d bytes that are not in the log, have %d", a.b.unlogged, unlogged)
	for _, q := range a.backlogs {
		a.check(q.reserved == reserved[q] && (q.reserved > 0) == (q.toCome > 0), "%s counts %d messages of open transactions, %d bytes; they have %d", q.destination.name, q.reserved, q.toCome, reserved[q])
	}
	a.check(awayBytes == a.b.away, "away counts %d bytes, has %d", a.b.away, awayBytes)
	a.check(cachedBytes == a.b.cached, "cached counts %d bytes, has %d", a.b.cached, cachedBytes)
}

// space checks what is known of the log.
func (a *audit) space() {
	l := &a.b.log
	live := int64(0)
	linked := map[*stored]bool{}
	for n, x := range l.extents {
		a.check(x.first != nil, "extent %d is empty", n)
		var prev *stored
		for s := x.first; s != nil; prev, s = s, s.next {
			live += s.logBytes()
			linked[s] = true
			a.check(s.prev == prev, "message %d is not linked back in its extent", s.sequence)
			a.check(s.position/l.extentBytes == n, "message %d at %d is in extent %d", s.sequence, s.position, n)
			// What a checkpoint says of transactions that a later start has ended goes with Recovered.
			a.check(s.position >= l.head || a.b.replay != nil && s.first == nil, "message %d at %d is live before the log's head %d", s.sequence, s.position, l.head)
		}
	}
	live += a.packedBytes
	a.check(live == l.live, "live counts %d bytes, has %d", l.live, live)
	for s := range a.stored {
		if s.inLog() && s.position != 0 && s.flags&(moving|dead) == 0 {
			a.check(linked[s], "message %d at %d is in no extent", s.sequence, s.position)
		}
	}
}

// due checks the timers.
func (a *audit) due() {
	for i, t := range a.b.timers {
		a.check(int(*t.place()) == i+1, "timer %d: its owner says %d", i, *t.place())
		if i > 0 {
			a.check(a.b.timers[(i-1)/2].at <= t.at, "timer %d is out of order", i)
		}
	}
	a.wheel()
}

// wheel checks that every entry in the wheel is where its time says, and that what waits for a time is there.
func (a *audit) wheel() {
	w := &a.b.wheel
	size := 0
	for level := range w.slots {
		for slot, id := range w.slots[level] {
			a.check((id != 0) == (w.used[level]>>slot&1 == 1), "wheel: level %d slot %d disagrees with its mark", level, slot)
			for first := true; id != 0; first = false {
				c := w.chunks[id-1]
				a.check(first || c.n == chunkItems, "wheel: a chunk of %d entries is not the first of its slot", c.n)
				a.check(int(c.level) == level && int(c.slot) == slot, "wheel: a chunk of level %d slot %d says %d, %d", level, slot, c.level, c.slot)
				for i, e := range c.entries[:c.n] {
					size++
					a.check(e.timer == id<<chunkBits|int32(i), "wheel: the entry of message %d says it is elsewhere", e.stored.sequence)
					a.check(e.state == ready || e.state == delayed || e.state == scheduled, "wheel: the entry of message %d is in state %d", e.stored.sequence, e.state)
					at := a.b.entryTime(e)
					l, s := w.place(at)
					a.check(l == level && s == slot || w.digit(level) == slot, "wheel: message %d, due at %d, is in level %d slot %d at %d", e.stored.sequence, at, level, slot, w.now)
				}
				id = c.next
			}
		}
	}
	a.check(size == w.size, "wheel: size counts %d, has %d", w.size, size)
	for e := range a.b.delayed {
		a.check(e.state == delayed && e.timer != 0, "message %d is remembered as delayed and is in state %d", e.stored.sequence, e.state)
	}
}
