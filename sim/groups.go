package sim

import (
	"fmt"
	"strings"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/message"
)

// joinGroup puts some messages in message groups.
func (w *world) joinGroup(x *sent, m *message.Message) {
	if w.chance(3) {
		x.group = fmt.Sprintf("g%d", w.rnd.IntN(4))
		m.GroupID, m.GroupSequence = x.group, []int32{0, 0, 0, 1, -1}[w.rnd.IntN(5)]
	}
}

// share has some subscribers share their subscription.
func (w *world) share(ev *broker.Subscribe) {
	if ev.Name == "" || !w.chance(2) {
		return
	}
	ev.Shared, ev.NoLocal, ev.NonDurable = true, false, w.chance(2)
}

// grouping says whether message groups count in a backlog: where several consumers may have it.
func (w *world) grouping(backlog string) bool {
	if s := w.sub(backlog); s != nil {
		return s.about.Shared
	}
	return strings.Contains(strings.SplitAfter(backlog, ":")[0], "queue:")
}

// together says whether of two messages in a backlog the first must be given first.
func (w *world) together(backlog string, x, y *sent) bool {
	return x.group == y.group || !w.grouping(backlog)
}

// judgeGroup checks that nobody else has a message of the group of one that is given to c.
func (w *world) judgeGroup(c *consumer, p *place) {
	if p.msg.group == "" || !w.grouping(p.Backlog) {
		return
	}
	of := func(x *delivery) bool { return x.place.backlog == p.Backlog && x.msg.group == p.msg.group }
	there := map[*delivery]bool{}
	for _, client := range w.clients {
		for _, other := range client.consumers {
			for _, x := range other.has {
				there[x] = true
				if other != c && !other.about.Browser && of(x) {
					w.fail("message %s of group %s was given to consumer %d/%d while consumer %d/%d has %s", p.msg.id, p.msg.group, c.client.conn, c.id, other.client.conn, other.id, x.msg.id)
				}
			}
		}
	}
	for _, client := range w.clients {
		if client.tx == nil {
			continue
		}
		for _, x := range client.tx.acks {
			if held := w.places[x.place]; !there[x] && of(x) && held != nil && held.Dispatched {
				w.fail("message %s of group %s was given to consumer %d/%d while a transaction holds %s", p.msg.id, p.msg.group, c.client.conn, c.id, x.msg.id)
			}
		}
	}
	w.result.Grouped++
}

// expectShared keeps what is known of a subscription that consumers share, and gives the one that c joins.
func (w *world) expectShared(s *sub, d *due) *sub {
	s.backlog = map[bool]string{true: "shared subscription ", false: "subscription "}[s.about.NonDurable] + s.clientID + "/" + s.about.Name
	old := w.sub(s.backlog)
	same := old != nil && old.about.Shared && old.about.Destination == s.about.Destination && old.about.Selector == s.about.Selector
	switch {
	case old != nil && old.consumers > 0 && !same:
		w.fail("%s is another one's, and was given to a second consumer", s.backlog)
	case same:
		return old
	case old != nil:
		if !old.about.Shared {
			w.fail("%s is not shared, and was given to a sharing consumer", s.backlog)
		}
		w.removeSub(old, d)
	}
	w.subs = append(w.subs, s)
	if s.durable() {
		w.need = w.batches
	}
	return s
}

// loseGroup is the planted bug of groups.
func (w *world) loseGroup(ev *broker.Send) broker.Event {
	if ev.Message.GroupID == "" || !w.chance(3) {
		return ev
	}
	alone := *ev
	alone.Message = ev.Message.Copy()
	alone.Message.GroupID = ""
	return &alone
}

// left counts a consumer out, and says whether it was the subscription's last.
func (s *sub) left() bool {
	if s.consumers--; s.consumers > 0 {
		return false
	}
	s.conn = 0
	return true
}

func (s *sub) joined(conn broker.ConnID) {
	s.conn = conn
	s.consumers++
}
