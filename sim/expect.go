package sim

import (
	"fmt"
	"maps"
	"slices"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/message"
)

// expect says what an event must bring about, and keeps what the model knows of clients, consumers and transactions.
func (w *world) expect(ev broker.Event, effects []broker.Effect, d *due) {
	switch ev := ev.(type) {
	case *broker.Connect:
		w.expectConnect(ev, effects, d)
	case *broker.Disconnect:
		if c := w.connected(ev.Conn); c != nil {
			w.expectClosed(c, d)
		}
	case *broker.Subscribe:
		w.expectSubscribe(ev, effects, d)
	case *broker.Unsubscribe:
		if c := w.consumer(ev.Conn, ev.Consumer); c != nil {
			w.expectConsumerClosed(c, ev.LastDelivered, d)
		}
	case *broker.SetPrefetch:
		if c := w.consumer(ev.Conn, ev.Consumer); c != nil {
			c.prefetch = ev.Prefetch
		}
	case *broker.Pull:
		if c := w.consumer(ev.Conn, ev.Consumer); c != nil {
			c.pulls++
		}
	case *broker.Ack:
		w.expectAck(ev, effects, d)
	case *broker.Send:
		w.lineUp(ev.Conn, ev.Ref, ev)
	case *broker.Commit:
		if c := w.connected(ev.Conn); c != nil && ev.Resent {
			w.expectAgain(c, ev, effects)
			return
		}
		w.lineUp(ev.Conn, ev.Ref, ev)
	case *broker.XAPrepare, *broker.XACommit, *broker.XARollback, *broker.XAForget, *broker.SettleTransaction:
		w.expectDistributed(ev, effects, d)
	case *broker.Rollback:
		w.forgetWaiting(ev.Conn, true)
		if c := w.connected(ev.Conn); c != nil && c.tx != nil {
			c.tx.ending = false
		}
		w.expectRollback(w.connected(ev.Conn))
	case *broker.RemoveDestination:
		if answered(effects, ev.Ref) {
			w.remove(ev.Destination.String(), d)
			if len(w.out.Records) > 0 { // else it was not there
				w.need = w.batches
			}
		}
	case *broker.RemoveSubscription:
		if answered(effects, ev.Ref) {
			w.removeSub(w.sub("subscription "+ev.ClientID+"/"+ev.Name), d)
			w.need = w.batches
		}
	case *broker.Pause:
		w.expectPause(ev, effects)
	case *broker.Purge:
		w.expectPurge(ev, effects)
	}
}

// purging is a purge that has not been answered.
type purging struct {
	ref  broker.Ref
	keys map[key]bool // what was there; true: it waits since then, and must go. What comes back from a consumer meanwhile may
}

// expectPurge notes what waits when a purge is asked for.
func (w *world) expectPurge(ev *broker.Purge, effects []broker.Effect) {
	if slices.ContainsFunc(effects, func(e broker.Effect) bool { return e.Ref == ev.Ref && e.Err != nil }) {
		return
	}
	x := &purging{ref: ev.Ref, keys: map[key]bool{}}
	for k, p := range w.places {
		if k.backlog == ev.Destination.String() {
			x.keys[k] = p.Ready // one that waits for its redelivery may come back behind where the purge is
		}
	}
	w.purges = append(w.purges, x)
}

// expectPurged says what goes because of purges: some in each step, and all that waits with the answer.
func (w *world) expectPurged(effects []broker.Effect, d *due) {
	w.purges = slices.DeleteFunc(w.purges, func(x *purging) bool {
		done := answered(effects, x.ref)
		for k := range x.keys {
			p := w.places[k]
			if p == nil {
				delete(x.keys, k)
				continue
			}
			if p.Dispatched {
				x.keys[k] = false
				continue
			}
			d.mayGo[k] = true
			if done && x.keys[k] && p.Ready {
				d.gone[k] = true
				if p.Logged {
					w.need = w.batches
				}
			}
		}
		return done
	})
}

// answered says whether the event was answered without an error.
func answered(effects []broker.Effect, ref broker.Ref) bool {
	return slices.ContainsFunc(effects, func(e broker.Effect) bool { return e.Kind == broker.Answer && e.Ref == ref && e.Err == nil })
}

func (w *world) remove(backlog string, d *due) {
	d.removed[backlog] = true
	w.generations[backlog]++
	delete(w.paused, backlog)
}

func (w *world) sub(backlog string) *sub {
	for _, s := range w.subs {
		if s.backlog == backlog {
			return s
		}
	}
	return nil
}

func (w *world) removeSub(s *sub, d *due) {
	if s == nil {
		w.fail("a subscription was removed that nobody has made")
	}
	s.removed = true
	d.removed[s.backlog] = true
	// A new one of that name may be given the same messages of the past, and has not seen them.
	maps.DeleteFunc(w.shown, func(x shown, _ bool) bool { return x.backlog == s.backlog })
	maps.DeleteFunc(w.past, func(k key, _ *sent) bool { return k.backlog == s.backlog })
	w.subs = slices.DeleteFunc(w.subs, func(x *sub) bool { return x == s })
	// And what transactions have acknowledged of the old one is not what the new one has by the same number.
	for _, c := range w.clients {
		if c.tx != nil {
			forgetAcks(c.tx.acks, s.backlog)
		}
	}
	for _, p := range w.prepared {
		forgetAcks(p.acks, s.backlog)
	}
}

// forgetAcks leaves of acknowledgements in a backlog that is gone that there were some.
func forgetAcks(acks []*delivery, backlog string) {
	for i, x := range acks {
		if x.place.backlog == backlog {
			acks[i] = &delivery{msg: x.msg}
		}
	}
}

func (w *world) expectConnect(ev *broker.Connect, effects []broker.Effect, d *due) {
	for _, c := range w.clients {
		closed := slices.ContainsFunc(effects, func(e broker.Effect) bool { return e.Kind == broker.Closed && e.Conn == c.conn && c.conn != 0 })
		same := c.conn != 0 && c.conn != ev.Conn && (c.name() == ev.Name || ev.Steal && c.clientID == ev.ClientID)
		if closed != same {
			w.fail("connection %d of client %d: closed is %v, it has the name or the client id of the new one: %v", c.conn, c.index, closed, same)
		}
		if closed {
			w.expectClosed(c, d)
			c.stolen = true
		}
	}
}

// expectClosed ends all that a connection had.
func (w *world) expectClosed(c *client, d *due) {
	w.forgetWaiting(c.conn, false)
	w.expectRollback(c)
	for len(c.consumers) > 0 {
		w.expectConsumerClosed(c.consumers[0], broker.Unknown, d)
	}
	if c.temp != "" {
		w.remove("temp-queue://"+c.temp, d)
		c.temp = ""
	}
}

func (w *world) expectConsumerClosed(c *consumer, lastDelivered uint64, d *due) {
	c.client.consumers = slices.DeleteFunc(c.client.consumers, func(x *consumer) bool { return x == c })
	if c.about.Browser {
		return
	}
	seen := len(c.has)
	if lastDelivered != broker.Unknown {
		seen = slices.IndexFunc(c.has, func(x *delivery) bool { return x.sequence == lastDelivered }) + 1
	}
	for i, x := range c.has {
		if i >= seen && !x.inTx {
			delete(w.shown, shown{x.place, x.msg.id}) // the application has not seen it
		}
	}
	if s := c.sub; s != nil {
		if s.left() && !s.durable() {
			w.removeSub(s, d)
		}
	}
}

func (w *world) expectSubscribe(ev *broker.Subscribe, effects []broker.Effect, d *due) {
	client := w.connected(ev.Conn)
	if client == nil || !answered(effects, ev.Ref) {
		return
	}
	c := &consumer{client: client, id: ev.Consumer, about: *ev, prefetch: ev.Prefetch, selects: selectorOf(ev.Selector), ackedAt: w.now}
	client.consumers = append(client.consumers, c)
	if !ev.Destination.Kind.IsTopic() {
		return
	}
	s := &sub{about: *ev, clientID: client.clientID, selects: c.selects}
	fresh := s
	if ev.Shared {
		s = w.expectShared(s, d)
	} else if ev.Name == "" {
		s.backlog = fmt.Sprintf("consumer %d/%d", ev.Conn, ev.Consumer)
		w.subs = append(w.subs, s)
	} else {
		s.backlog = "subscription " + client.clientID + "/" + ev.Name
		old := w.sub(s.backlog)
		if old != nil && (old.conn != 0 || old.about.Shared) {
			w.fail("%s has two consumers", s.backlog)
		}
		switch {
		case old != nil && old.about.Destination == ev.Destination && old.about.Selector == ev.Selector && old.about.NoLocal == ev.NoLocal:
			s = old
		default:
			if old != nil {
				w.removeSub(old, d)
			}
			w.subs = append(w.subs, s)
			w.need = w.batches
		}
	}
	s.joined(ev.Conn)
	c.sub = s
	if s == fresh {
		w.expectPast(c, d)
	}
}

// span finds what an acknowledgement is about.
func (c *consumer) span(ev *broker.Ack) (from, to int) {
	if ev.Kind == broker.Delivered && ev.Last == 0 {
		return 0, min(ev.Count, len(c.has))
	}
	at := func(sequence uint64) int {
		return slices.IndexFunc(c.has, func(x *delivery) bool { return x.sequence == sequence })
	}
	to = at(ev.Last)
	switch {
	case ev.Single:
		from = to
	case ev.First != 0:
		from = at(ev.First)
	}
	return from, to + 1
}

func (w *world) expectAck(ev *broker.Ack, effects []broker.Effect, d *due) {
	c := w.consumer(ev.Conn, ev.Consumer)
	if c == nil {
		return
	}
	for _, e := range effects {
		if e.Kind == broker.Answer && e.Err != nil && e.Ref == ev.Ref {
			w.fail("acknowledgement %+v of deliveries that the consumer has: %v", *ev, e.Err)
		}
	}
	c.ackedAt = w.now
	from, to := c.span(ev)
	var rest []*delivery
	for i, x := range c.has {
		if i < from || i >= to {
			rest = append(rest, x)
			continue
		}
		if ev.Kind == broker.Delivered {
			x.seen = true
			rest = append(rest, x)
			continue
		}
		if c.about.Browser {
			continue
		}
		if x.inTx {
			rest = append(rest, x)
			continue
		}
		p := w.places[x.place]
		if p == nil {
			w.fail("message %s, at consumer %d/%d, is not in %s", x.msg.id, ev.Conn, ev.Consumer, x.place.backlog)
		}
		switch {
		case ev.Kind == broker.Consumed && ev.Tx != 0:
			x.inTx = true
			c.client.tx.acks = append(c.client.tx.acks, x)
			rest = append(rest, x)
		case ev.Kind == broker.Consumed:
			d.gone[x.place] = true
			if p.Logged {
				w.need = w.batches
			}
		case ev.Kind == broker.Poison:
			p.doomed = true
		case ev.Kind == broker.Expired:
			p.expired = true
		}
	}
	c.has = rest
}

// targets finds where a message goes.
func (w *world) targets(c *client, m *message.Message, part message.Destination) []target {
	name := part.String()
	if !part.Kind.IsTopic() {
		return []target{{backlog: name, generation: w.generations[name]}}
	}
	to := append(w.copiesOf(part), w.keptTarget(part)...)
	for _, s := range w.subs {
		fits := s.about.Destination == part || s.about.Destination.IsPattern() && message.MatchName(s.about.Destination.Name, part.Name)
		local := s.about.NoLocal && (s.conn == c.conn || s.durable() && s.clientID == c.clientID)
		if fits && !local && s.selects(w.messages[m.ID].n) {
			to = append(to, target{backlog: s.backlog, sub: s})
		}
	}
	return to
}

// stillThere says whether a target has not been removed.
func (m *model) stillThere(t target) bool {
	if t.sub != nil {
		return !t.sub.removed
	}
	return m.generations[t.backlog] == t.generation
}

// isLogged says whether the backlog survives a crash.
func (t target) isLogged() bool {
	if t.sub != nil {
		return t.sub.durable()
	}
	return t.backlog[:6] == "queue:"
}

// known says whether a copy of a message is in the log already.
func (w *world) known(id message.ID) bool {
	l, known := w.lasts[id.Producer]
	return known && id.Sequence <= l.sequence
}

func (w *world) expectSend(ev *broker.Send, effects []broker.Effect, d *due) {
	c := w.connected(ev.Conn)
	if c == nil {
		return
	}
	if !answered(effects, ev.Ref) {
		w.result.Refused++
		if ev.Tx != 0 {
			c.tx.failed = true
		}
		return
	}
	m := ev.Message
	w.result.Sent++
	if l, known := w.lasts[m.ID.Producer]; ev.Resent && known && m.ID.Sequence <= l.sequence {
		w.result.Resent++
		w.need = l.batch
		return
	}
	parts, err := m.Destination.Parts()
	if err != nil {
		w.fail("%v", err)
	}
	logged := false
	for _, part := range parts {
		to := w.targets(c, m, part)
		anyLogged := m.Persistent && slices.ContainsFunc(to, target.isLogged)
		logged = logged || anyLogged
		if ev.Tx != 0 {
			w.messages[m.ID].rolledBack = false // if it was, its client sends it once more
			c.tx.sends = append(c.tx.sends, txSend{m.ID, to, anyLogged && ev.Tracked})
			continue
		}
		for _, t := range to {
			d.arrivals = append(d.arrivals, arrival{backlog: t.backlog, msg: w.messages[m.ID]})
		}
	}
	if logged && ev.Tx == 0 {
		w.need = w.batches
		if ev.Tracked {
			w.lasts[m.ID.Producer] = last{m.ID.Sequence, w.batches}
		}
	}
}

func (w *world) expectCommit(ev *broker.Commit, effects []broker.Effect, d *due) {
	c := w.connected(ev.Conn)
	if c == nil || c.tx == nil {
		return
	}
	tx := c.tx
	if !answered(effects, ev.Ref) {
		if !tx.failed {
			w.fail("a commit was refused: %+v", effects)
		}
		w.expectRollback(c)
		return
	}
	if tx.failed {
		w.fail("a transaction was committed although one of its sends had failed")
	}
	w.result.Commits++
	c.tx = nil
	for _, x := range tx.acks {
		if p := w.places[x.place]; p != nil { // else its backlog was removed
			d.gone[x.place] = true
			if p.Logged {
				w.need = w.batches
			}
		}
	}
	for _, k := range c.consumers {
		k.has = slices.DeleteFunc(k.has, func(x *delivery) bool { return slices.Contains(tx.acks, x) })
	}
	for _, s := range tx.sends {
		for _, t := range s.to {
			if w.stillThere(t) {
				d.arrivals = append(d.arrivals, arrival{backlog: t.backlog, msg: w.messages[s.id]})
			}
		}
		if s.tracked {
			// Those that had waited for room stand behind later ones.
			w.lasts[s.id.Producer] = last{max(s.id.Sequence, w.lasts[s.id.Producer].sequence), w.batches}
			w.need = w.batches
		}
	}
	if ev.Tracked {
		done := completion{kept: inMemory}
		if w.need == w.batches {
			done = completion{inLog, w.batches}
		}
		w.completed[doubt{c.name(), ev.Tx}] = done
	}
}

// expectRollback ends the transaction of a client. What it acknowledged is at its consumer again.
func (w *world) expectRollback(c *client) {
	if c == nil || c.tx == nil {
		return
	}
	for _, s := range c.tx.sends {
		if !c.tx.again && !c.tx.ending { // what is sent again may have been committed before, or will be
			w.messages[s.id].rolledBack = true
		}
	}
	for _, x := range c.tx.acks {
		x.inTx, x.seen = false, false
	}
	c.tx = nil
}
