package sim

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/message"
)

// waitingEvent is a send that the core has not answered because there is no room for it, or a commit behind such sends.
type waitingEvent struct {
	conn  broker.ConnID
	ref   broker.Ref
	event broker.Event
	since int64
}

// limitMessages sets the run's limits for what waits.
func (w *world) limitMessages() {
	limit := &w.opt.Policies.Default.Limit
	limit.Wait = -1
	if w.chance(2) {
		*limit = broker.LimitPolicy{Messages: 2 + w.rnd.IntN(6), Wait: 300 * time.Millisecond}
	}
}

// coreOptions are what the core is told, under a planted bug something else than what the model knows.
func (w *world) coreOptions() broker.Options {
	opt := w.opt
	if limit := &opt.Policies.Default.Limit; limit.Messages > 0 {
		switch w.cfg.Bug {
		case BeyondLimit:
			limit.Messages++
		case BelowLimit:
			limit.Messages--
		case WaitLonger:
			limit.Wait *= 4
		}
	}
	subscribers := &opt.Policies.Default.Subscribers
	switch w.cfg.Bug {
	case WidePending:
		subscribers.PendingLimit++
	case ShortMemory:
		if subscribers.RecoveryCount > 1 {
			subscribers.RecoveryCount--
		}
	case Impatient:
		opt.Policies.Default.Slow.MaxSinceAck /= 4
	case Patient:
		opt.Policies.Default.Slow = broker.SlowPolicy{}
	}
	return opt
}

// lineUp notes a send or a commit as one that waits for its answer, which it may get in this very step.
func (w *world) lineUp(conn broker.ConnID, ref broker.Ref, ev broker.Event) {
	if w.connected(conn) != nil {
		w.inLine = append(w.inLine, &waitingEvent{conn, ref, ev, w.now})
	}
}

// expectAnswers says what the answers bring about that sends and commits got, that of the step among them, in their order.
func (w *world) expectAnswers(now broker.Event, effects []broker.Effect, d *due) {
	w.needOf, w.late = map[broker.Ref]int{}, map[message.ID]bool{}
	need := w.need
	for _, e := range effects {
		i := slices.IndexFunc(w.inLine, func(x *waitingEvent) bool { return x.ref == e.Ref })
		if e.Kind != broker.Answer || i < 0 {
			continue
		}
		x := w.inLine[i]
		before := slices.Clone(w.inLine[:i])
		w.inLine = slices.Delete(w.inLine, i, i+1)
		w.need = 0
		switch ev := x.event.(type) {
		case *broker.Send:
			if e.Err == nil && !(ev.Resent && w.known(ev.Message.ID)) {
				w.judgeTurn(ev, before)
				if x.event == now && len(w.late) == 0 && !w.makesRoom(ev.Message) {
					w.fail("message %s was taken in although %s is full", ev.Message.ID, ev.Message.Destination)
				}
			}
			w.late[ev.Message.ID] = x.event != now
			w.expectSend(ev, effects, d)
		case *broker.Commit:
			if c := w.connected(ev.Conn); c != nil && c.tx != nil {
				for _, s := range c.tx.sends {
					w.late[s.id] = x.event != now
				}
			}
			w.expectCommit(ev, effects, d)
		}
		w.needOf[e.Ref] = w.need
	}
	w.need = need
	if n := len(w.inLine); n > 0 && w.inLine[n-1].event == now {
		w.result.Waited++
		if c := w.connected(w.inLine[n-1].conn); c != nil && c.tx != nil {
			if _, ends := now.(*broker.Commit); ends {
				c.tx.ending = true
			}
		}
	}
}

// forgetWaiting is what a connection's end does to what waits of it; a rollback does so to what is of its transaction.
func (w *world) forgetWaiting(conn broker.ConnID, inTx bool) {
	w.inLine = slices.DeleteFunc(w.inLine, func(x *waitingEvent) bool {
		if send, ok := x.event.(*broker.Send); ok && inTx && send.Tx == 0 {
			return false
		}
		return x.conn == conn
	})
}

// held counts the messages of a backlog.
func held[P any](places map[key]P, backlog string) (n int) {
	for k := range places {
		if k.backlog == backlog {
			n++
		}
	}
	return n
}

// toCome counts the messages that open transactions will put into a backlog: the places for them are taken already.
func (w *world) toCome(backlog string) (n int) {
	count := func(sends []txSend) {
		for _, s := range sends {
			for _, t := range s.to {
				if t.backlog == backlog && w.stillThere(t) {
					n++
				}
			}
		}
	}
	for _, c := range w.clients {
		if c.conn != 0 && c.tx != nil {
			count(c.tx.sends)
		}
	}
	for _, p := range w.prepared {
		count(p.sends)
	}
	return n
}

// full says whether a backlog has as many messages as it may, with those to come.
func (w *world) full(backlog string, limit int) bool {
	return held(w.places, backlog)+w.toCome(backlog) >= limit
}

// hasRoom says whether a message may come to all that it is for.
func (w *world) hasRoom(m *message.Message) bool {
	limit := w.opt.Policies.Default.Limit.Messages
	parts, err := m.Destination.Parts()
	if err != nil {
		w.fail("%v", err)
	}
	for _, part := range parts {
		if limit == 0 {
			break
		}
		if name := part.String(); !part.Kind.IsTopic() && name != lastValues && name != ring && w.full(name, limit) {
			return false
		}
		for _, t := range w.copiesOf(part) {
			if w.full(t.backlog, limit) {
				return false
			}
		}
		for _, s := range w.subs {
			fits := s.about.Destination == part || s.about.Destination.IsPattern() && message.MatchName(s.about.Destination.Name, part.Name)
			if part.Kind.IsTopic() && fits && w.full(s.backlog, limit) {
				return false
			}
		}
	}
	return true
}

// makesRoom is hasRoom for the end of a step, in which what waits and whose time is over goes before a message is taken in that found no room.
func (w *world) makesRoom(m *message.Message) bool {
	before := w.places
	defer func() { w.places = before }()
	w.places = maps.Clone(before)
	maps.DeleteFunc(w.places, func(_ key, p *place) bool {
		return !p.Dispatched && p.Expiration != 0 && p.Expiration <= w.now
	})
	return w.hasRoom(m)
}

// judgeTurn looks that a message did not overtake another of its producer.
func (w *world) judgeTurn(ev *broker.Send, before []*waitingEvent) {
	for _, x := range before {
		earlier, ok := x.event.(*broker.Send)
		if ok && x.conn == ev.Conn && earlier.Message.ID.Producer == ev.Message.ID.Producer && earlier.Message.Persistent == ev.Message.Persistent && ev.Tx == 0 {
			w.fail("message %s was taken in before %s, which waits for the same", ev.Message.ID, earlier.Message.ID)
		}
	}
}

// judgeWaiting looks that nobody waits for nothing, or for longer than it should.
func (w *world) judgeWaiting() {
	if at := w.core.Deadline(); at != 0 && at <= w.now+1 { // a step takes in only so much
		return
	}
	for _, x := range w.inLine {
		if _, ok := x.event.(*broker.Send); ok && x.since+w.opt.Policies.Default.Limit.Wait.Milliseconds() <= w.now {
			w.fail("a send of connection %d has waited for room since %d, it is %d", x.conn, x.since, w.now)
		}
	}
	if len(w.inLine) == 0 || w.limit > 0 || w.faulty || w.log.Space().Free == 0 { // a full journal is another reason, or one that cannot grow
		return
	}
	ev, ok := w.inLine[0].event.(*broker.Send)
	if !ok || w.hasRoom(ev.Message) {
		w.fail("%T of connection %d waits, and there is room: %s", w.inLine[0].event, w.inLine[0].conn, sendOf(w.inLine[0].event))
	}
}

// sendOf names the message of a send.
func sendOf(ev broker.Event) string {
	if send, ok := ev.(*broker.Send); ok {
		return fmt.Sprintf("%s to %s", send.Message.ID, send.Message.Destination)
	}
	return ""
}
