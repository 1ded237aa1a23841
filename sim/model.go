package sim

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/message"
)

const deadLetters = "queue://ActiveMQ.DLQ"

// sent is a message as a client sent it.
type sent struct {
	id         message.ID
	group      string
	n          int // the property that selectors look at
	persistent bool
	priority   uint8
	expiration int64
	rolledBack bool
}

// key names a message in a backlog, place says what is known of it.
type key struct {
	backlog  string
	sequence uint64
}

type place struct {
	broker.Held
	msg     *sent
	batch   int  // in which its record is
	doomed  bool // refused for good: may become a dead letter
	expired bool // so said a client
}

func (p *place) key() key { return key{p.Backlog, p.Sequence} }

// state is what must be there when the log ends with a batch.
type state struct {
	end    uint64
	batch  int
	places map[key]place
	lasts  map[string]last
	subs   []*sub
	queues map[string]bool
	paused map[string]bool
	settlements
}

func (s *state) at(end uint64, batch int) *state {
	c := *s
	c.end, c.batch = end, batch
	return &c
}

type last struct {
	sequence int64
	batch    int
}

// sub is a topic subscription.
type sub struct {
	backlog   string
	about     broker.Subscribe
	clientID  string
	conn      broker.ConnID // of its consumer; 0 is none
	consumers int
	selects   func(n int) bool
	removed   bool
}

func (s *sub) durable() bool { return s.about.Name != "" && !s.about.NonDurable }

// target is where a message goes, if it is still there by then.
type target struct {
	backlog    string
	generation int
	sub        *sub
}

// shown is what a client has been shown.
type shown struct {
	key
	id message.ID
}

// model is what the simulation knows by itself.
type model struct {
	places      map[key]*place
	messages    map[message.ID]*sent
	shown       map[shown]bool
	subs        []*sub
	lasts       map[string]last
	generations map[string]int // of queues: how often each was removed
	paused      map[string]bool
	queues      map[string]bool // of the virtual topic, as far as they are there
	newest      map[int]uint64  // of the messages to the last-value queue, by key: sequence
	fresh       map[int]*sent   // of those that the step at work brings
	batches     int             // number of the batch being filled
	told        int             // the newest batch that a client relies on
	states      []*state
	before      *state              // of the step at work
	need        int                 // the batch that the answer of the step at work needs
	needOf      map[broker.Ref]int  // of answers of the step to what had waited
	late        map[message.ID]bool // came in the step after others were given out: what had waited
	inLine      []*waitingEvent     // in the order in which they came
	lastRef     broker.Ref
	past        map[key]*sent                       // what may come to a retroactive consumer when its body was read
	newestSent  uint64                              // sequence in the records of messages
	aborted     map[broker.ConsumerID]broker.ConnID // in the step, for being slow
	settlements
}

func (m *model) init() {
	m.places, m.messages, m.shown = map[key]*place{}, map[message.ID]*sent{}, map[shown]bool{}
	m.lasts, m.generations = map[string]last{}, map[string]int{}
	m.queues, m.newest, m.fresh = map[string]bool{}, map[int]uint64{}, map[int]*sent{}
	m.paused = map[string]bool{}
	m.past, m.aborted = map[key]*sent{}, map[broker.ConsumerID]broker.ConnID{}
	m.batches = 1
	m.settlements = newSettlements()
}

// state gives the state as the log would tell it.
func (m *model) state() *state {
	s := &state{places: map[key]place{}, lasts: map[string]last{}, paused: maps.Clone(m.paused)}
	for k, p := range m.places {
		if p.Logged {
			s.places[k] = *p
		}
	}
	for k, v := range m.lasts {
		s.lasts[k] = v
	}
	s.queues = maps.Clone(m.queues)
	s.settlements = m.durableSettlements()
	for _, x := range m.subs {
		if x.durable() {
			s.subs = append(s.subs, x)
		}
	}
	return s
}

// keepState remembers what must be there if the log ends here.
func (w *world) keepState(end uint64) {
	w.states = append(w.states, w.state().at(end, w.batches))
	w.batches++
}

// due is what an event must bring about.
type due struct {
	arrivals []arrival
	gone     map[key]bool
	removed  map[string]bool // backlogs
	mayGo    map[key]bool
	replaced []*sent // by others of the same step
}

type arrival struct {
	backlog  string
	msg      *sent
	sequence uint64 // 0: it is not known yet
}

// judge looks at what a step did before anybody is told.
func (w *world) judge(ev broker.Event, effects []broker.Effect) {
	if w.cfg.Bug == SplitStep {
		w.before = w.state()
	}
	w.need = 0
	d := &due{gone: map[key]bool{}, removed: map[string]bool{}, mayGo: map[key]bool{}}
	w.expect(ev, effects, d)
	w.expectAborts(effects, d)
	w.expectPurged(effects, d)
	w.learnQueues(ev, effects)
	w.expectAnswers(ev, effects, d)
	w.keepNewest(d)
	w.shorten(d)
	w.compare(d, w.observe())
	w.sweepAnswered(effects)
	w.judgeWaiting()
	w.checkSlow()
	for i := range effects {
		switch e := &effects[i]; e.Kind {
		case broker.Delivery:
			w.judgeDelivery(e)
		case broker.PullEmpty:
			if c := w.consumer(e.Conn, e.Consumer); c != nil {
				c.pulls = 0
			}
		}
		w.note("-> %s", describe(&effects[i]))
	}
}

func describe(e *broker.Effect) string {
	s := fmt.Sprintf("%d: kind %d ref %d consumer %d held %v", e.Conn, e.Kind, e.Ref, e.Consumer, e.Held())
	if e.Err != nil {
		s += " error " + e.Err.Error()
	}
	if e.Kind == broker.Delivery {
		s += fmt.Sprintf(" message %s as %d, redelivered %d", e.Message.ID, e.Sequence, e.Redeliveries)
	}
	return s
}

// observe asks the core what it has.
func (w *world) observe() map[key]*place {
	now := map[key]*place{}
	if err := w.core.Audit(func(h broker.Held) {
		p := &place{Held: h}
		if now[p.key()] != nil {
			w.fail("%s has message %d twice", h.Backlog, h.Sequence)
		}
		now[p.key()] = p
	}); err != nil {
		w.fail("%v", err)
	}
	return now
}

// written gives the ids of the messages in the step's records, by their sequence.
func (w *world) written() map[uint64]message.ID {
	ids := map[uint64]message.ID{}
	for i := range w.out.Records {
		r := &w.out.Records[i]
		if r.Head[0] != 5 {
			continue
		}
		sequence := sequenceOf(r)
		m, err := message.Decode(slices.Clone(r.Body))
		if err != nil {
			w.fail("a record's message cannot be read: %v", err)
		}
		ids[sequence] = m.ID
	}
	return ids
}

// sequenceOf gives the sequence in a record of a message.
func sequenceOf(r *broker.Record) uint64 {
	_, n := binary.Uvarint(r.Head[1:])
	sequence, _ := binary.Uvarint(r.Head[1+n:])
	return sequence
}

// compare finds a reason for every message that came or went.
func (w *world) compare(d *due, now map[key]*place) {
	dead := map[message.ID]int{}
	moved := map[message.ID]int{} // by sweeps
	maybe := map[message.ID]int{} // late and refused at once: which of the two came first says whether it is dropped
	// What comes after its time goes on at once, or waits for its body or for room in the dead-letter queue.
	var postponed []arrival
	for _, x := range d.replaced {
		maybe[x.id]++ // if its time was over
		if x.expiration != 0 && x.expiration <= w.now {
			postponed = append(postponed, arrival{backlog: lastValues, msg: x})
		}
	}
	d.arrivals = slices.DeleteFunc(d.arrivals, func(a arrival) bool {
		late := a.msg.expiration != 0 && a.msg.expiration <= w.now
		if late && a.backlog != deadLetters && !w.opt.Policies.Default.DeadLetter.DropExpired && (a.msg.persistent || w.opt.Policies.Default.DeadLetter.KeepNonPersistent) {
			dead[a.msg.id]++
			postponed = append(postponed, a)
		}
		return late
	})
	for _, k := range sorted(w.places) {
		old, new := w.places[k], now[k]
		if new != nil && !d.removed[k.backlog] { // a subscription made anew may be given the same of the past
			if d.gone[k] {
				w.fail("message %s was settled in %s and is still there", old.msg.id, k.backlog)
			}
			if new.Redeliveries < old.Redeliveries {
				w.fail("message %s in %s was redelivered %d times, now it says %d", old.msg.id, k.backlog, old.Redeliveries, new.Redeliveries)
			}
			new.msg, new.batch, new.expired = old.msg, old.batch, old.expired
			over := w.opt.Policies.Default.Redelivery.Maximum > 0 && old.Dispatched && new.Redeliveries > w.opt.Policies.Default.Redelivery.Maximum
			new.doomed = (old.doomed || over) && !new.Ready && !new.Dispatched
			if new.Priority != old.Priority || new.Expiration != old.Expiration || new.Size != old.Size || new.Logged != old.Logged {
				w.fail("message %s in %s has changed from %+v to %+v", old.msg.id, k.backlog, old.Held, new.Held)
			}
			continue
		}
		w.result.Settled++
		if w.letGo(old, now) {
			w.result.LetGo++
			maybe[old.msg.id]++ // its time may have been over, or it was refused for good, before it was replaced
			continue
		}
		if w.keptNoLonger(old, now) {
			continue
		}
		over := old.Expiration != 0 && old.Expiration <= w.now
		late := over || old.expired
		if d.gone[k] || d.removed[k.backlog] || d.mayGo[k] {
			if d.removed[k.backlog] && (late || !old.Ready) || d.mayGo[k] && (late || old.doomed) {
				maybe[old.msg.id]++ // it may have become a dead letter just before its backlog went with its consumer or connection, or while it was being purged
			}
			continue
		}
		delayed := !old.Ready && !old.Dispatched // it may have come back just before its time was over
		if (!late || delayed) && w.evicted(k.backlog, k.sequence, old.Priority, now) {
			maybe[old.msg.id]++ // it may have been refused for good before
			continue
		}
		limit := w.opt.Policies.Default.Redelivery.Maximum
		beyond := limit > 0 && old.Dispatched && old.Redeliveries+1 > limit
		if w.sweptAway(old, over, beyond || old.doomed || old.expired, moved, maybe) {
			continue
		}
		if !late && !beyond && !old.doomed {
			w.fail("message %s has vanished from %s", old.msg.id, k.backlog)
		}
		if k.backlog == deadLetters {
			if !late {
				w.fail("dead letter %s has vanished", old.msg.id)
			}
			continue
		}
		if !old.msg.persistent && !w.opt.Policies.Default.DeadLetter.KeepNonPersistent {
			continue
		}
		switch {
		case !late || !w.opt.Policies.Default.DeadLetter.DropExpired:
			dead[old.msg.id]++
		case old.doomed || beyond:
			maybe[old.msg.id]++
		}
	}
	ids := w.written()
	for _, k := range sorted(now) {
		p := now[k]
		if p.msg != nil {
			continue
		}
		p.batch = w.batches
		written, known := ids[k.sequence] // what had waited for room may come together with a sweep's
		here := func(a arrival) bool {
			return a.backlog == k.backlog && a.msg.expiration == p.Expiration && (!known || a.msg.id == written) && (a.sequence == 0 || a.sequence == k.sequence)
		}
		if i := slices.IndexFunc(postponed, here); i >= 0 && !p.Ready && !p.Dispatched {
			p.msg = postponed[i].msg
			if id := p.msg.id; dead[id] > 0 {
				dead[id]--
			} else {
				maybe[id]--
			}
			postponed = slices.Delete(postponed, i, i+1)
			continue
		}
		if m := w.cameOfPast(k); m != nil {
			p.msg = m
			w.checkLogged(p)
			w.result.Past++
			continue
		}
		if i := slices.IndexFunc(d.arrivals, here); i >= 0 {
			p.msg = d.arrivals[i].msg
			d.arrivals = slices.Delete(d.arrivals, i, i+1)
			continue
		}
		id := ids[k.sequence]
		if dies := k.backlog == deadLetters && dead[id] > 0; !dies && w.sweptHere(k.backlog, id, moved) {
			p.msg = w.messages[id]
			continue
		}
		from := dead
		if dead[id] == 0 {
			from = maybe
		}
		if k.backlog != deadLetters || from[id] == 0 {
			w.fail("message %d (%s) has come to %s without reason", k.sequence, id, k.backlog)
		}
		from[id]--
		w.result.DeadLetters++
		p.msg = w.messages[id]
	}
	for _, a := range d.arrivals {
		if w.evicted(a.backlog, cmp.Or(a.sequence, ^uint64(0)), a.msg.priority, now) {
			continue
		}
		w.fail("message %s was sent to %s and is not there", a.msg.id, a.backlog)
	}
	for id, n := range moved {
		if n > 0 {
			w.fail("message %s was moved and is nowhere", id)
		}
	}
	for id, n := range dead {
		if n > 0 {
			w.fail("message %s is a dead letter and not in its queue", id)
		}
	}
	w.checkKept(now)
	w.checkPending(now)
	w.noteNewest(now)
	w.places = now
}

// sorted gives the keys in an order that does not depend on the map.
func sorted[V any](m map[key]V) []key {
	keys := make([]key, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b key) int {
		if a.backlog != b.backlog {
			return strings.Compare(a.backlog, b.backlog)
		}
		return int(int64(a.sequence) - int64(b.sequence))
	})
	return keys
}

// judgeDelivery checks one message that the core gives to a consumer.
func (w *world) judgeDelivery(e *broker.Effect) {
	c := w.consumer(e.Conn, e.Consumer)
	if c == nil && w.aborted[e.Consumer] == e.Conn {
		return // just before it was ended
	}
	if c == nil {
		w.fail("message %s was given to consumer %d/%d, which is gone", e.Message.ID, e.Conn, e.Consumer)
	}
	p := w.delivered(c, e)
	if p == nil {
		w.fail("message %s was given to consumer %d/%d and is not there", e.Message.ID, e.Conn, e.Consumer)
	}
	if p.msg.id != e.Message.ID {
		w.fail("message %s was given as %s", p.msg.id, e.Message.ID)
	}
	w.judgeAddress(p, e.Message)
	if w.paused[p.Backlog] && !c.about.Browser {
		w.fail("message %s was given out of %s, which is paused", p.msg.id, p.Backlog)
	}
	if w.isPrepared(p.key()) && !c.about.Browser {
		w.fail("message %s is acknowledged in a prepared transaction and is given", p.msg.id)
	}
	if p.msg.rolledBack {
		w.fail("message %s was rolled back and is shown", p.msg.id)
	}
	if p.Expiration != 0 && p.Expiration <= w.now {
		w.fail("message %s was given after its time", p.msg.id)
	}
	if w.shown[shown{p.key(), p.msg.id}] && e.Redeliveries == 0 && !c.about.Browser {
		w.fail("message %s in %s was shown before and is not flagged as redelivered", p.msg.id, p.Backlog)
	}
	if !c.about.Browser {
		w.judgeOrder(c, p)
		w.judgeGroup(c, p)
	}
	if c.about.Browser && c.prefetch == 0 {
		return
	}
	for _, x := range c.has {
		if x.place == p.key() && !c.about.Browser {
			w.fail("message %s was given twice to consumer %d/%d", p.msg.id, e.Conn, e.Consumer)
		}
	}
	c.has = append(c.has, &delivery{place: p.key(), msg: p.msg, sequence: e.Sequence, at: w.now})
	if c.prefetch == 0 {
		if c.pulls--; c.pulls < 0 {
			w.fail("message %s was given to consumer %d/%d, which did not pull", p.msg.id, e.Conn, e.Consumer)
		}
		return
	}
	c.pulls = max(0, c.pulls-1)
	if n := c.window(); n > c.prefetch {
		w.fail("consumer %d/%d has %d messages, its prefetch is %d", e.Conn, e.Consumer, n, c.prefetch)
	}
}

// delivered finds the place that a delivery is of.
func (w *world) delivered(c *consumer, e *broker.Effect) *place {
	for _, p := range w.places {
		if p.Sequence != e.Sequence {
			continue
		}
		if c.about.Browser && c.browses(p.Backlog) || p.Conn == e.Conn && p.Consumer == e.Consumer && p.Dispatched {
			return p
		}
	}
	return nil
}

// browses says whether a browser looks at a backlog.
func (c *consumer) browses(backlog string) bool {
	to := c.about.Destination
	queue, ok := strings.CutPrefix(backlog, to.Kind.String()+"://")
	parts, err := to.Parts()
	return ok && err == nil && slices.ContainsFunc(parts, func(d message.Destination) bool { return message.MatchName(d.Name, queue) })
}

// judgeOrder checks that the consumer was not given this message before another that it would have taken and that still waits.
func (w *world) judgeOrder(c *consumer, p *place) {
	for _, x := range w.places {
		if x.Backlog != p.Backlog || !x.Ready || x.Priority < p.Priority || x.Priority == p.Priority && x.Sequence > p.Sequence {
			continue
		}
		if !w.late[x.msg.id] && w.together(p.Backlog, x.msg, p.msg) && (c.sub != nil || c.selects(x.msg.n)) {
			w.fail("message %s was given to consumer %d/%d before %s", p.msg.id, c.client.conn, c.id, x.msg.id)
		}
	}
}

// needs is the batch without which a client must not be told.
func (w *world) needs(e *broker.Effect) int {
	switch e.Kind {
	case broker.Answer:
		if need, waited := w.needOf[e.Ref]; waited && e.Err == nil {
			return need
		}
		if e.Err == nil {
			return w.need
		}
	case broker.Delivery:
		for _, p := range w.places {
			if p.Sequence == e.Sequence && p.Conn == e.Conn && p.Consumer == e.Consumer && p.Logged {
				return p.batch
			}
		}
	}
	return 0
}

// recovered compares what the log told the core with what it must be. newest is the position of the newest record.
func (w *world) recovered(newest uint64) {
	base := &state{lasts: map[string]last{}, paused: map[string]bool{}, settlements: newSettlements()}
	if newest != 0 {
		i := slices.IndexFunc(w.states, func(s *state) bool { return s.end > newest })
		if i < 0 {
			w.fail("the log has a record at %d, after all that was appended", newest)
		}
		base = w.states[i]
	}
	if base.batch < w.told {
		w.fail("a client was told what batch %d makes safe, and the log ends with batch %d", w.told, base.batch)
	}
	now := w.observe()
	for _, k := range sorted(base.places) {
		want, got := base.places[k], now[k]
		if got == nil {
			w.fail("message %s in %s was lost in the crash", want.msg.id, k.backlog)
		}
		if got.Redeliveries != want.Redeliveries || got.Priority != want.Priority || got.Expiration != want.Expiration || got.Size != want.Size {
			w.fail("message %s in %s was %+v and is read back as %+v", want.msg.id, k.backlog, want.Held, got.Held)
		}
		m, err := w.read(got.Position)
		if err != nil {
			w.fail("message %s in %s cannot be read at %d: %v", want.msg.id, k.backlog, got.Position, err)
		}
		if m.ID != want.msg.id {
			w.fail("message %s in %s is read back as %s", want.msg.id, k.backlog, m.ID)
		}
		got.msg, got.batch = want.msg, want.batch
	}
	for _, k := range sorted(now) {
		if _, known := base.places[k]; !known {
			w.fail("message %d has come back to %s", k.sequence, k.backlog)
		}
	}
	// What is not there any more was never logged. A copy that is sent again is another message, although it may get the same number.
	maps.DeleteFunc(w.shown, func(x shown, _ bool) bool { return now[x.key] == nil })
	w.places = now
	w.queues = map[string]bool{}
	maps.Copy(w.queues, base.queues)
	clear(w.newest)
	clear(w.fresh)
	w.noteNewest(now)
	w.lasts = map[string]last{}
	for k, v := range base.lasts {
		w.lasts[k] = v
	}
	w.paused = maps.Clone(base.paused)
	clear(w.past)
	w.newestSent = 0
	w.subs = nil
	for _, s := range base.subs {
		kept := *s
		kept.conn, kept.consumers, kept.removed = 0, 0, false
		w.subs = append(w.subs, &kept)
	}
	w.recoverSettlements(base.settlements)
	w.purges = nil // what a crash has interrupted is not taken up again
	w.states = []*state{base}
	w.told = base.batch
	w.note("recovered %d messages of batch %d", len(now), base.batch)
}

// checkFlags looks that all that was ever shown is flagged.
func (w *world) checkFlags() {
	now := w.observe()
	for _, k := range sorted(now) {
		p := now[k]
		p.msg, p.batch = w.places[k].msg, w.places[k].batch
		if p.Redeliveries == 0 && w.shown[shown{k, p.msg.id}] && !w.isPrepared(k) { // that will be when it is rolled back
			w.fail("message %s in %s was shown before the crash and is not flagged as redelivered", p.msg.id, k.backlog)
		}
	}
	for _, k := range sorted(w.places) {
		if now[k] == nil && !w.letGo(w.places[k], now) {
			w.fail("message %s has vanished from %s at the start", w.places[k].msg.id, k.backlog)
		}
	}
	w.checkKept(now)
	w.places = now
	w.checkPaused()
}

// checkSpace looks that the log at rest is not larger than it may be.
func (w *world) checkSpace() {
	for len(w.states) > 1 && w.states[1].end <= w.durable {
		w.states = w.states[1:]
	}
	for _, e := range w.step(&broker.List{Ref: 1}) {
		v, ok := e.Value.(*broker.View)
		if !ok {
			continue
		}
		const small = 6 << 10 // for queues, subscriptions, producers and keys
		if limit := v.LiveBytes*3/2 + w.opt.SegmentBytes + small; v.LogBytes > limit {
			w.fail("the log has %d bytes, %d of them live; %d are allowed", v.LogBytes, v.LiveBytes, limit)
		}
		// Two files of a log with little in it; and the reserve, which is a quarter of a segment. The end of a segment stays empty where a batch has
		// no room, which is much with segments as small as these.
		if used, limit := w.log.Space().Used, v.LiveBytes*3/2*w.segmentBytes/(w.segmentBytes-batchBytes)+2*w.segmentBytes+w.segmentBytes/4+small; used > limit {
			w.fail("the log's files take %d bytes for %d live bytes; %d are allowed", used, v.LiveBytes, limit)
		}
	}
}
