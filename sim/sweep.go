package sim

import (
	"fmt"
	"slices"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/message"
)

// sweeping is a sweep that a client has begun, and what it has done so far.
type sweeping struct {
	about    broker.Sweep
	ready    bool                // the last piece was answered: the next may be asked for
	affected int                 // moved, copied or removed, as seen
	copies   map[message.ID]bool // of SweepCopy
	unsure   bool                // something went that may have gone for another reason
}

// sweepStep begins a sweep, or goes on with the one at work.
func (c *client) sweepStep() {
	w := c.w
	if c.sweeping != nil && c.sweeping.ready {
		c.sweeping.ready = false
		w.step(&broker.SweepOn{Conn: c.conn, Ref: c.ref()})
		return
	}
	if len(w.purges) > 0 { // which of them takes a message nobody can say
		return
	}
	ev := &broker.Sweep{Conn: c.conn, Ref: c.ref(), Kind: broker.SweepKind(w.rnd.IntN(4)), From: w.plainQueue(), To: w.plainQueue(), Limit: w.rnd.IntN(4), First: w.rnd.IntN(3), MayCreate: true}
	ev.Selector = []string{"", "n > 1"}[w.rnd.IntN(2)]
	if ev.Kind == broker.SweepMove || ev.Kind == broker.SweepCopy {
		// Of persistent messages the log tells which is which.
		ev.Selector = []string{"JMSDeliveryMode = 'PERSISTENT'", "JMSDeliveryMode = 'PERSISTENT' AND n > 1"}[w.rnd.IntN(2)]
	}
	w.note("client %d sweeps %s to %s, %q, %s", c.index, ev.From, ev.To, ev.Selector, ev.Kind)
	c.sweeping = &sweeping{about: *ev, copies: map[message.ID]bool{}}
	w.step(ev)
}

// plainQueue is one that keeps all that comes, from nowhere else.
func (w *world) plainQueue() message.Destination {
	if w.chance(8) {
		return message.Destination{Kind: message.Queue, Name: "ActiveMQ.DLQ"}
	}
	return message.Destination{Kind: message.Queue, Name: fmt.Sprintf("q.%d", w.rnd.IntN(3))}
}

// pauseStep pauses a queue, or lets it go on.
func (c *client) pauseStep() {
	w := c.w
	ev := &broker.Pause{Conn: c.conn, Ref: c.ref(), Destination: w.queue(), On: w.chance(3)}
	w.note("client %d pauses %s: %v", c.index, ev.Destination, ev.On)
	w.step(ev)
}

func (w *world) expectPause(ev *broker.Pause, effects []broker.Effect) {
	name := ev.Destination.String()
	if !answered(effects, ev.Ref) || w.paused[name] == ev.On {
		return
	}
	w.need = w.batches
	if delete(w.paused, name); ev.On {
		w.paused[name] = true
	}
}

// sweepAnswered looks at the answers to pieces of sweeps.
func (w *world) sweepAnswered(effects []broker.Effect) {
	for _, e := range effects {
		c := w.connected(e.Conn)
		state, ok := e.Value.(*broker.Swept)
		if c == nil || c.sweeping == nil {
			continue
		}
		s := c.sweeping
		switch {
		case e.Kind == broker.Answer && e.Ref == s.about.Ref && e.Err != nil: // it was not begun
			c.sweeping = nil
		case ok && s.about.Kind != broker.SweepShow && !s.unsure && state.Affected != s.affected:
			w.fail("a sweep says that it has affected %d messages, and %d were", state.Affected, s.affected)
		case ok && s.about.Limit > 0 && state.Affected > s.about.Limit:
			w.fail("a sweep with the limit %d has affected %d messages", s.about.Limit, state.Affected)
		case ok && state.Done:
			c.sweeping = nil
			w.result.Sweeps++
		}
	}
}

// sweepsFrom gives the sweeps at work that may take a message out of a backlog.
func (w *world) sweepsFrom(p *place) (found []*sweeping) {
	for _, c := range w.clients {
		if s := c.sweeping; s != nil && (s.about.Kind == broker.SweepMove || s.about.Kind == broker.SweepRemove) && s.about.From.String() == p.Backlog && !p.Dispatched &&
			selects(s.about.Selector, p) {
			found = append(found, s)
		}
	}
	return found
}

// selects says whether one of the selectors of sweeps fits a message in a queue. A dead letter is persistent, whatever it was before.
func selects(text string, p *place) bool {
	m, persistent := p.msg, p.Logged
	switch text {
	case "n > 1":
		return m.n > 1
	case "JMSDeliveryMode = 'PERSISTENT'":
		return persistent
	case "JMSDeliveryMode = 'PERSISTENT' AND n > 1":
		return persistent && m.n > 1
	}
	return true
}

// sweptAway says whether a sweep is the reason that a message has gone, and remembers what has to come for it.
func (w *world) sweptAway(old *place, late, mayDie bool, moved, maybe map[message.ID]int) bool {
	sweeps := w.sweepsFrom(old)
	if len(sweeps) == 0 || late {
		return false
	}
	if old.Logged {
		w.need = w.batches
	}
	if mayDie || len(sweeps) > 1 { // one of several reasons
		for _, s := range sweeps {
			s.unsure = true
			if s.about.Kind == broker.SweepMove {
				moved[old.msg.id] += 0 // it may come, and need not
			}
		}
		if mayDie {
			maybe[old.msg.id]++
		}
		return true
	}
	s := sweeps[0]
	s.affected++
	if s.about.Kind == broker.SweepMove {
		moved[old.msg.id]++
	}
	return true
}

// sweptHere says whether a sweep has brought a message to a backlog.
func (w *world) sweptHere(backlog string, id message.ID, moved map[message.ID]int) bool {
	if w.messages[id] == nil {
		return false
	}
	var copiers []*sweeping
	for _, c := range w.clients {
		s := c.sweeping
		if s == nil || s.about.To.String() != backlog {
			continue
		}
		n, may := moved[id]
		switch {
		case s.about.Kind == broker.SweepMove && may && (n > 0 || s.unsure):
			moved[id]--
			w.need = w.batches
			return true
		case s.about.Kind == broker.SweepCopy && w.isIn(s.about.From.String(), s.about.Selector, id):
			copiers = append(copiers, s)
		}
	}
	for _, s := range copiers {
		s.affected++
		s.unsure = s.unsure || len(copiers) > 1 || s.copies[id] // it may be the other one's; the queue may have it twice, for example by a copy from elsewhere
		s.copies[id] = true
		w.need = w.batches
	}
	return len(copiers) > 0
}

// isIn says whether a message waits in a backlog and a selector fits it.
func (w *world) isIn(backlog, selector string, id message.ID) bool {
	for k, p := range w.places {
		if k.backlog == backlog && p.msg != nil && p.msg.id == id && !p.Dispatched && selects(selector, p) {
			return true
		}
	}
	return false
}

// checkPaused looks that the core holds back what it must.
func (w *world) checkPaused() {
	for _, e := range w.step(&broker.List{Ref: 1}) {
		v, ok := e.Value.(*broker.View)
		if !ok {
			continue
		}
		for _, d := range v.Destinations {
			if d.Paused != w.paused[d.Destination.String()] {
				w.fail("%s is paused: %v, should be: %v", d.Destination, d.Paused, w.paused[d.Destination.String()])
			}
		}
	}
}

// sweepAtWork says whether an event may be a piece of a sweep that moves messages.
func (w *world) sweepAtWork() bool {
	return slices.ContainsFunc(w.clients, func(c *client) bool { return c.sweeping != nil && c.sweeping.about.Kind == broker.SweepMove })
}
