package sim

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/message"
)

// What of a run's rules is about subscribers that come late or do not keep up.

// keptOf is how the core calls what a topic keeps for those who come late.
const keptOf = "kept of "

// limitSubscribers sets them.
func (w *world) limitSubscribers() {
	p := &w.opt.Policies.Default
	if w.chance(2) {
		p.Subscribers.Recovery, p.Subscribers.RecoveryCount = broker.RecoverLast, 1
		if w.chance(2) {
			p.Subscribers.Recovery, p.Subscribers.RecoveryCount = broker.RecoverCount, 2+w.rnd.IntN(3)
		}
	}
	if w.limit == 0 && p.Limit.Messages == 0 && w.chance(2) {
		p.Subscribers.Limited, p.Subscribers.PendingLimit = true, w.rnd.IntN(4)
		p.Subscribers.Eviction = []broker.Eviction{broker.EvictOldest, broker.EvictLowestPriority}[w.rnd.IntN(2)]
	}
	if w.chance(2) {
		p.Slow = broker.SlowPolicy{MaxSinceAck: time.Second, CheckPeriod: 300 * time.Millisecond}
	}
}

// isSlow says whether a client is one that acknowledges nothing, if there is a rule for such.
func (c *client) isSlow() bool { return c.index == 2 && c.w.opt.Policies.Default.Slow.MaxSinceAck > 0 }

// oneByOne says whether a topic gets one message at a time, so that it is known which one a subscriber has lost.
func (w *world) oneByOne() bool { return w.opt.Policies.Default.Subscribers.Limited }

// keeps is how many messages a topic keeps for those who come late.
func (w *world) keeps() int { return w.opt.Policies.Default.Subscribers.RecoveryCount }

// keptTarget is where a topic keeps a message, if it does.
func (w *world) keptTarget(part message.Destination) []target {
	if w.keeps() == 0 {
		return nil
	}
	return []target{{backlog: keptOf + part.String()}}
}

// hears says whether a topic is among those of the consumer.
func (c *consumer) hears(topic message.Destination) bool {
	d := c.about.Destination
	return d == topic || d.IsPattern() && message.MatchName(d.Name, topic.Name)
}

// expectPast has a retroactive consumer get what its topics keep, or, where the bodies may have to be read first for it, allows it to later.
func (w *world) expectPast(c *consumer, d *due) {
	if !c.about.Retroactive {
		return
	}
	keys := sorted(w.places)
	slices.SortStableFunc(keys, func(x, y key) int { return cmp.Compare(x.sequence, y.sequence) })
	for _, k := range keys {
		m := w.places[k].msg
		topic, kept := strings.CutPrefix(k.backlog, keptOf)
		switch {
		case !kept || !c.hears(named(topic)) || !c.selects(m.n):
		case c.about.Selector == "" && !c.about.Shared && !(c.sub.durable() && m.persistent):
			d.arrivals = append(d.arrivals, arrival{c.sub.backlog, m, k.sequence})
		default:
			w.past[key{c.sub.backlog, k.sequence}] = m // it has the same number wherever it is
		}
	}
}

// cameOfPast says whether a message may have come to a subscription because its consumer asked for the past, and which one it is.
func (w *world) cameOfPast(k key) *sent {
	m := w.past[k]
	delete(w.past, k)
	return m
}

// ofPast says whether a record is of a message that came earlier than others that are in the log: it is given to a retroactive consumer.
func (w *world) ofPast(r *broker.Record) bool {
	if r.Head[0] != 5 {
		return false
	}
	n := sequenceOf(r)
	newer := n > w.newestSent
	w.newestSent = max(w.newestSent, n)
	return !newer
}

// checkPast looks, when nothing is being read any more, that no durable subscription still waits for what its topic keeps. In a log that may be full it may
// have been left out.
func (w *world) checkPast() {
	if w.limit > 0 || w.faulty {
		return
	}
	for _, k := range sorted(w.past) {
		if s := w.sub(k.backlog); s == nil || !s.durable() {
			continue
		}
		for _, p := range w.places {
			if p.Sequence == k.sequence && strings.HasPrefix(p.Backlog, keptOf) && (p.Expiration == 0 || p.Expiration > w.now) {
				w.fail("message %s is kept in %s and was never given to %s", p.msg.id, p.Backlog, k.backlog)
			}
		}
	}
}

// checkLogged looks that what must survive a crash is in the log.
func (w *world) checkLogged(p *place) {
	if s := w.sub(p.Backlog); s != nil && p.Logged != (s.durable() && p.msg.persistent) {
		w.fail("message %s (persistent %v) has come to %s: in the log is %v", p.msg.id, p.msg.persistent, p.Backlog, p.Logged)
	}
}

// shorten leaves of a step's arrivals those that a topic goes on keeping: the newest.
func (w *world) shorten(d *due) {
	newer := map[string]int{}
	var left []arrival
	for _, a := range slices.Backward(d.arrivals) {
		if strings.HasPrefix(a.backlog, keptOf) {
			if a.msg.expiration != 0 && a.msg.expiration <= w.now {
				continue
			}
			if newer[a.backlog]++; newer[a.backlog] > w.keeps() {
				continue
			}
		}
		left = append(left, a)
	}
	slices.Reverse(left)
	d.arrivals = left
}

// keptNoLonger says whether a topic was right to let go of a message that it kept.
func (w *world) keptNoLonger(p *place, now map[key]*place) bool {
	if !strings.HasPrefix(p.Backlog, keptOf) {
		return false
	}
	newer := 0
	for k := range now {
		if k.backlog == p.Backlog && k.sequence > p.Sequence {
			newer++
		}
	}
	return newer == w.keeps() || p.Expiration != 0 && p.Expiration <= w.now
}

// pendingLimit is how many messages may wait in a backlog for its subscriber; -1: any number.
func (w *world) pendingLimit(backlog string) int {
	s := w.sub(backlog)
	if s == nil || s.durable() || !w.oneByOne() {
		return -1
	}
	limit := w.opt.Policies.Default.Subscribers.PendingLimit
	if own := s.about.MaxPending; own > 0 {
		limit = min(limit, own)
	}
	return limit
}

// waiting are those in a backlog that wait, in no order.
func waiting(now map[key]*place, backlog string) (all []*place) {
	for k, p := range now {
		if k.backlog == backlog && p.Ready {
			all = append(all, p)
		}
	}
	return all
}

// evicted says whether it was right to take a message from a subscriber that does not keep up: no more wait than may, and none of those should have gone
// before it. One that has just come is newer than all.
func (w *world) evicted(backlog string, sequence uint64, priority uint8, now map[key]*place) bool {
	limit := w.pendingLimit(backlog)
	left := waiting(now, backlog)
	if limit < 0 || len(left) != limit {
		return false
	}
	byPriority := w.opt.Policies.Default.Subscribers.Eviction == broker.EvictLowestPriority
	for _, x := range left {
		switch {
		case byPriority && x.Priority < priority, (!byPriority || x.Priority == priority) && x.Sequence < sequence:
			return false
		}
	}
	w.result.Evicted++
	return true
}

// checkPending looks that nobody has more waiting than may.
func (w *world) checkPending(now map[key]*place) {
	for _, s := range w.subs {
		if limit, n := w.pendingLimit(s.backlog), len(waiting(now, s.backlog)); limit >= 0 && n > limit {
			w.fail("%d messages wait in %s, at most %d may", n, s.backlog, limit)
		}
	}
}

// expectAborts ends the consumers that the core has ended because they acknowledge nothing, if that is so.
func (w *world) expectAborts(effects []broker.Effect, d *due) {
	clear(w.aborted)
	for _, e := range effects {
		if e.Kind != broker.ConsumerClosed {
			continue
		}
		c := w.consumer(e.Conn, e.Consumer)
		limit := w.opt.Policies.Default.Slow.MaxSinceAck.Milliseconds()
		if c == nil || limit == 0 || c.window() == 0 || w.now-c.ackedAt < limit {
			w.fail("consumer %d/%d was ended for being slow, and is not", e.Conn, e.Consumer)
		}
		w.result.Aborted++
		w.aborted[c.about.Consumer] = e.Conn
		w.expectConsumerClosed(c, broker.Unknown, d)
	}
}

// slowPatience is how much longer than a policy says the core may take to end a consumer, ms: until the patrol comes, until the check after it, and
// what the time of a delivery is not known to; and one step of the clock.
const slowPatience = 1000 + 300 + 1024 + 200

// checkSlow looks that a consumer that acknowledges nothing is ended.
func (w *world) checkSlow() {
	limit := w.opt.Policies.Default.Slow.MaxSinceAck.Milliseconds()
	if limit == 0 {
		return
	}
	for _, client := range w.clients {
		for _, c := range client.consumers {
			for _, x := range c.has {
				if !c.about.Browser && !x.seen && !x.inTx && w.now-max(c.ackedAt, x.at) > limit+slowPatience {
					w.fail("consumer %d/%d has acknowledged nothing since %d, has %s since %d, and is still there at %d", client.conn, c.id, c.ackedAt, x.msg.id, x.at, w.now)
				}
			}
		}
	}
}
