package broker

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/godwitmq/godwit/message"
)

// What stands beside the field of a policyCase.

func policy(change func(*Policy)) func(*Options) {
	return func(o *Options) { change(&o.Policies.Default) }
}

func alsoWith(beside func(*Options), change func(*Policy)) func(*Options) {
	return func(o *Options) {
		beside(o)
		change(&o.Policies.Default)
	}
}

func individual(o *Options) {
	o.Policies.Default.DeadLetter.Individual = &IndividualDeadLetters{QueuePrefix: "D.", TopicPrefix: "D."}
}

func redelivers(maximum, delayMillis int, multiplier float64) func(*Options) {
	return policy(func(p *Policy) {
		p.Redelivery = RedeliveryPolicy{Maximum: maximum, Delay: time.Duration(delayMillis) * time.Millisecond, Multiplier: multiplier}
	})
}

func pendingOf(limit int, rate float64) func(*Options) {
	return policy(func(p *Policy) { p.Subscribers.PendingLimit, p.Subscribers.PendingRate = limit, rate })
}

func limitedTo(n int) func(*Options) {
	return alsoWith(pendingOf(n, 0), func(p *Policy) { p.Subscribers.Limited = true })
}

func limitedSubscribers(o *Options) { limitedTo(0)(o) }

func recovers(kind Recovery) func(*Options) {
	return policy(func(p *Policy) { p.Subscribers.Recovery = kind })
}

func checksOften(o *Options) { o.Policies.Default.Slow.CheckPeriod = time.Second }

func removesInactive(o *Options) { o.Policies.Default.Inactive.Remove = true }

// allHappens has advised come to all that there are advisories of.
func allHappens(o *Options) {
	o.Policies.Default.Limit = LimitPolicy{Messages: 2, Wait: -1}
	limitedTo(0)(o)
}

func virtual(v VirtualTopic) func(*Options) {
	return func(o *Options) { o.Policies.VirtualTopics = []VirtualTopic{v} }
}

func composed(c Composite) func(*Options) {
	return func(o *Options) {
		c := c
		c.ForwardTo = slices.Clone(c.ForwardTo)
		o.Policies.Composites = []Composite{c}
	}
}

func mirrored(m Mirror) func(*Options) {
	return func(o *Options) { o.Policies.Mirrors = []Mirror{m} }
}

// The lives, and what they look at.

// elsewhere lists the destinations but Q and T that have messages, or, a topic, have had one.
func (r *rig) elsewhere() string {
	var all []string
	for _, x := range r.do(&List{Ref: 9}) {
		for _, v := range x.Value.(*View).Destinations {
			if d := v.Destination; d != tq("Q") && d != tt("T") && !isAdvisory(d) && (v.Size > 0 || d.Kind.IsTopic() && v.Enqueued > 0) {
				all = append(all, d.String())
			}
		}
	}
	return strings.Join(all, " ")
}

func diesInQueue(r *rig) string {
	c := r.connect("c", "me")
	r.consume(c, 1, tq("Q"), 1)
	r.ack(c, 1, Poison, deliveries(r.send(c, r.msg(tq("Q"), "x")), c, 1)[0])
	return r.elsewhere()
}

func diesInTopic(r *rig) string {
	c := r.connect("c", "me")
	r.consume(c, 1, tt("T"), 1, durable("s"))
	r.ack(c, 1, Poison, deliveries(r.send(c, r.msg(tt("T"), "x")), c, 1)[0])
	return r.elsewhere()
}

func diesTransient(r *rig) string {
	c := r.connect("c", "me")
	r.consume(c, 1, tq("Q"), 1)
	r.ack(c, 1, Poison, deliveries(r.send(c, r.msg(tq("Q"), "x", transient)), c, 1)[0])
	return r.elsewhere()
}

func diesLongAgo(r *rig) string {
	diesInQueue(r)
	r.pass(2 * time.Minute)
	return r.elsewhere()
}

func expiresInQueue(r *rig) string {
	r.send(r.connect("c", "me"), r.msg(tq("Q"), "x", expires(r.now+1000)))
	r.pass(2 * time.Second)
	return r.elsewhere()
}

// attempts has a consumer refuse what it gets, and tells how long each time is after the one before, ms, and what becomes of the message.
func attempts(r *rig) string {
	c := r.connect("c", "me")
	r.consume(c, 1, tq("Q"), 1)
	got := deliveries(r.send(c, r.msg(tq("Q"), "x")), c, 1)
	last, text := r.now, ""
	for n := 0; n < 5 && len(got) > 0; n++ {
		text += fmt.Sprint(r.now-last, " ")
		last = r.now
		got = deliveries(r.ack(c, 1, Poison, got[0]), c, 1)
		for at := r.b.Deadline(); len(got) == 0 && at != 0 && at < last+60_000; at = r.b.Deadline() {
			r.now = max(r.now, at)
			got = deliveries(r.do(Tick{}), c, 1)
		}
	}
	switch {
	case len(got) > 0:
		return text + "and on"
	case r.elsewhere() != "":
		return text + "dead"
	}
	return text + "gone"
}

func evenAttempts(r *rig) string {
	waits := strings.Fields(attempts(r))[1:4]
	if waits[0] == waits[1] && waits[1] == waits[2] {
		return "even"
	}
	return "uneven"
}

// atThree tells who of three consumers gets which of six messages: that with the highest number has the highest priority.
func atThree(r *rig) string {
	c := r.connect("c", "")
	for i := range 3 {
		r.consume(c, ConsumerID(i+1), tq("Q"), 2, func(s *Subscribe) { s.Priority = i })
	}
	return at(r.sendNumbers(c, 6))
}

func atTwo(r *rig) string {
	c := r.connect("c", "")
	r.consume(c, 1, tq("Q"), 2)
	r.consume(c, 2, tq("Q"), 2)
	return at(r.sendNumbers(c, 4))
}

func (r *rig) sendNumbers(c ConnID, n int) (all []Effect) {
	for i := range n {
		all = append(all, r.send(c, r.msg(tq("Q"), fmt.Sprint(i)))...)
	}
	return all
}

// secondComes tells how many of four messages are given out when a consumer comes, and how many five seconds later, when there are two.
func secondComes(r *rig) string {
	c := r.connect("c", "")
	r.sendNumbers(c, 4)
	first := len(deliveries(r.consume(c, 1, tq("Q"), 9), 0, 0))
	second := len(deliveries(r.consume(c, 2, tq("Q"), 9), 0, 0)) + len(deliveries(r.pass(5*time.Second), 0, 0))
	return fmt.Sprint(first, " then ", second)
}

func browses(r *rig) string {
	c := r.connect("c", "")
	r.sendNumbers(c, 4)
	return texts(r.consume(c, 1, tq("Q"), 9, func(s *Subscribe) { s.Browser = true }))
}

func window(r *rig) string {
	c := r.connect("c", "")
	r.consume(c, 1, tq("Q"), 100)
	return fmt.Sprint(len(deliveries(r.sendNumbers(c, 20), c, 1)))
}

// groupOfAFullOwner tells who gets a message of a group whose owner has no room for a while.
func groupOfAFullOwner(r *rig) string {
	c := r.connect("c", "")
	r.consume(c, 1, tq("Q"), 1)
	r.consume(c, 2, tq("Q"), 9)
	r.ack(c, 1, Consumed, deliveries(r.sendGroup(c, "A", "a"), c, 1)[0])
	r.sendGroup(c, "B", "b")
	r.sendGroup(c, "C", "c") // by turns: the owner of A is full
	r.sendGroup(c, "A", "a")
	return at(r.pass(20 * time.Second))
}

func groupsAreShared(r *rig) string {
	c := r.connect("c", "")
	r.consume(c, 1, tq("Q"), 9)
	var got []Effect
	groups := []string{"A", "B", "C", "D"}
	for _, g := range groups {
		got = append(got, r.sendGroup(c, g, g)...)
	}
	for _, d := range deliveries(got, c, 1)[:3] {
		r.ack(c, 1, Consumed, d)
	}
	r.consume(c, 2, tq("Q"), 9)
	got = nil
	for _, g := range groups {
		got = append(got, r.sendGroup(c, g, g)...)
	}
	return at(got)
}

// falls tells which of ten messages a subscriber gets, in their order, that takes one at a time and acknowledges when all were sent. The message lucky has
// a higher priority than the rest, and a property that no other has.
func falls(lucky int) func(*rig) string {
	return func(r *rig) string {
		c, other := r.connect("c", "me"), r.connect("p", "")
		r.consume(c, 1, tt("T"), 1)
		var got []Effect
		for i := range 10 {
			m := r.msg(tt("T"), fmt.Sprint(i), transient, prop("third", int32(0)))
			if i == lucky {
				m.Properties = m.Properties.With("third", int32(1))
				if lucky == 3 {
					m.Priority = 5
				}
			}
			got = append(got, deliveries(r.send(other, m), c, 1)...)
		}
		for i := 0; i < len(got); i++ {
			got = append(got, deliveries(r.ack(c, 1, Consumed, got[i]), c, 1)...)
		}
		return sorted(texts(got))
	}
}

// comesLate tells what a subscriber is given that comes after ten messages, one a second, the fourth of which is to be retained.
func comesLate(change func(*Subscribe)) func(*rig) string {
	return func(r *rig) string {
		c := r.connect("c", "me")
		for i := range 10 {
			r.send(c, r.msg(tt("T"), fmt.Sprint(i), retain(i == 3)))
			r.pass(time.Second)
		}
		return texts(r.consume(c, 1, tt("T"), 99, change))
	}
}

func staysAway(r *rig) string {
	c := r.connect("c", "me")
	r.consume(c, 1, tt("T"), 9, durable("s"))
	r.do(&Disconnect{Conn: c})
	r.pass(2 * time.Minute)
	if r.subscription("me", "s") == nil {
		return "gone"
	}
	return "there"
}

// consumerAfter tells what has become of a connection's consumer 1 after a time.
func (r *rig) consumerAfter(c ConnID, d time.Duration) string {
	r.pass(d)
	switch {
	case r.b.connections[c] == nil:
		return "disconnected"
	case r.b.connections[c].consumers[1] == nil:
		return "ended"
	}
	return "there"
}

func isSlow(r *rig) string {
	c := r.connect("c", "")
	r.consume(c, 1, tq("Q"), 1)
	r.sendNumbers(c, 3)
	return r.consumerAfter(c, 20*time.Second)
}

func isIdle(r *rig) string {
	c := r.connect("c", "")
	r.consume(c, 1, tq("Q"), 1)
	return r.consumerAfter(c, 20*time.Second)
}

// becomesSlow lets a consumer be slow three times, each for two seconds.
func becomesSlow(r *rig) string {
	c := r.connect("c", "")
	r.consume(c, 1, tq("Q"), 1)
	for range 3 {
		d := deliveries(r.sendNumbers(c, 2), c, 1)
		if r.consumerAfter(c, 2*time.Second) != "there" {
			break
		}
		d = append(d, deliveries(r.ack(c, 1, Consumed, d[0]), c, 1)...)
		r.ack(c, 1, Consumed, d[1])
		r.pass(2 * time.Second)
	}
	return r.consumerAfter(c, time.Second)
}

func livesFor(d time.Duration) func(*rig, *message.Message) {
	return func(r *rig, m *message.Message) { m.Expiration = r.now + d.Milliseconds() }
}

// sentLongAgo is what a client sends whose clock is an hour behind.
func sentLongAgo(r *rig, m *message.Message) {
	m.Timestamp = r.now - time.Hour.Milliseconds()
	m.Expiration = m.Timestamp + 300_000
}

// waitsFor tells whether a message is in the queue after a time.
func waitsFor(d time.Duration, change ...func(*rig, *message.Message)) func(*rig) string {
	return func(r *rig) string {
		m := r.msg(tq("Q"), "x", func(m *message.Message) {
			for _, c := range change {
				c(r, m)
			}
		})
		r.send(r.connect("c", ""), m)
		r.pass(d)
		if r.look(tq("Q")).Size == 0 {
			return "gone"
		}
		return "there"
	}
}

// keeps tells which of four messages of three keys wait in the end.
func keeps(r *rig) string {
	c := r.connect("c", "")
	refused := ""
	for _, text := range []string{"a1", "b1", "a2", "c1"} {
		if r.try(r.sending(c, r.msg(tq("Q"), text, prop("key", text[:1])))) != "ok" {
			refused += ", " + text + " refused"
		}
	}
	return texts(r.consume(c, 1, tq("Q"), 9)) + refused
}

// unused tells which of two queues are left that nobody has used for a minute.
func unused(r *rig) string { return r.leftAfter(time.Minute) }

// unusedBriefly is unused at the first time that it is looked for them.
func unusedBriefly(r *rig) string {
	r.do(&RemoveDestination{Destination: tq("Q")}, &RemoveDestination{Destination: tt("T")})
	return r.leftAfter(11 * time.Second)
}

func (r *rig) leftAfter(d time.Duration) string {
	r.do(&CreateDestination{Destination: tq("A")}, &CreateDestination{Destination: tq("B")})
	r.pass(d)
	var left []string
	for _, name := range []string{"A", "B"} {
		if r.b.destinations[tq(name)] != nil {
			left = append(left, name)
		}
	}
	return strings.Join(left, " ")
}

func manyQueues(r *rig) string {
	for i := range 9 {
		if err, _ := r.ask(&CreateDestination{Ref: 3, Destination: tq(fmt.Sprint(i))}, 3); err != nil {
			return err.Code.String()
		}
	}
	return "ok"
}

// advised tells which advisories there are of a life in which all happens that there may be one of.
func advised(r *rig) string {
	w := r.watch(">")
	c, p := r.connect("c", "C"), r.connect("p", "P")
	var got []string
	r.heard = func(e Effect) {
		for _, x := range deliveries([]Effect{e}, w, 0) {
			kind, _, _ := strings.Cut(strings.TrimPrefix(x.Message.Destination.Name, advisoryPrefix), ".")
			if _, byPolicy := map[string]bool{"Queue": true, "Topic": true, "Connection": true, "Consumer": true}[kind]; !byPolicy && !slices.Contains(got, kind) {
				got = append(got, kind)
			}
		}
	}
	r.send(p, r.msg(tq("Q"), "x", transient))
	d := r.consume(c, 1, tq("Q"), 1)
	r.send(p, r.msg(tq("Q"), "x"))
	r.refused(Full, &Send{Conn: p, Ref: 5, Message: r.msg(tq("Q"), "one too many")}, 5)
	r.ack(c, 1, Consumed, deliveries(d, c, 1)[0])
	r.consume(c, 2, tt("T"), 1)
	r.send(p, r.msg(tt("T"), "x"))
	r.send(p, r.msg(tt("T"), "discarded"))
	r.heard = nil
	return strings.Join(got, " ")
}

// advisedOf tells the body of a message in an advisory.
func advisedOf(r *rig) string {
	w := r.watch("MessageDelivered.>")
	d := deliveries(r.send(r.connect("c", ""), r.msg(tq("Q"), "text")), w, 1)
	return string(d[0].Message.Advisory.Message.Content)
}

// fills tells what becomes of the third message of 1,000 bytes that nobody consumes, and after how many ms.
func fills(r *rig) string {
	c := r.connect("c", "")
	for range 2 {
		r.send(c, r.msg(tq("Q"), strings.Repeat("x", 1000)))
	}
	third, start := r.sending(c, r.msg(tq("Q"), "x")), r.now
	for got := r.try(third); ; got = said(r.do(Tick{}), third) {
		switch at := r.b.Deadline(); {
		case got == "ok":
			return "taken"
		case got != "":
			return fmt.Sprint("refused after ", r.now-start)
		case at == 0:
			return "waits for ever"
		default:
			r.now = max(r.now, at)
		}
	}
}

func delayedBySchedule(r *rig) string {
	c := r.connect("c", "")
	r.consume(c, 1, tq("Q"), 9)
	start := r.now
	got := texts(r.later(c, 0, r.msg(tq("Q"), "x", delay(int64(1000)))))
	if got != "" {
		return got + "@0"
	}
	return r.runs(start, 2000)
}

func repeats(r *rig) string {
	c := r.connect("c", "")
	r.consume(c, 1, tq("Q"), 9)
	m := r.msg(tq("Q"), "x", repeat(int32(2)), period(int64(10)))
	s, err := ScheduleOf(m.Properties)
	if err != nil {
		r.t.Fatal(err)
	}
	effects := r.do(&Send{Conn: c, Ref: 5, Message: m, Schedule: s})
	if slices.ContainsFunc(effects, func(e Effect) bool { return e.Err != nil }) {
		return "refused"
	}
	text, start := "", r.now
	for _, d := range deliveries(effects, c, 1) {
		text += string(d.Message.Content) + "@0 "
	}
	return text + r.runs(start, 1000)
}

func schedulesTwo(r *rig) string {
	c := r.connect("c", "")
	for range 2 {
		m := r.msg(tq("Q"), "x", delay(int64(1000)))
		s, _ := ScheduleOf(m.Properties)
		if err, _ := r.ask(&Send{Conn: c, Ref: 5, Message: m, Schedule: s}, 5); err != nil {
			return "refused"
		}
	}
	return "ok"
}

// copied tells which queues get a copy of what is sent to T while a consumer of the first selects something else.
func copied(r *rig) string {
	c := r.connect("c", "")
	r.consume(c, 1, tq("C.A.T"), 0, selectedBy("n = 2"))
	r.do(&CreateDestination{Destination: tq("C.A.T.C")})
	r.send(c, r.msg(tt("T"), "x", prop("n", int32(1))))
	return strings.ReplaceAll(r.elsewhere(), "queue://", "")
}

// copiesLater tells how many copies a queue gets whose only consumer, which selected them, has gone.
func copiesLater(r *rig) string {
	c := r.connect("c", "")
	r.consume(c, 1, tq("C.A.T"), 0, selectedBy("n = 1"))
	r.do(&Unsubscribe{Conn: c, Consumer: 1})
	r.send(c, r.msg(tt("T"), "x", prop("n", int32(1))))
	if n := r.look(tq("C.A.T")).Size; n > 0 {
		return fmt.Sprint(n)
	}
	return ""
}

func copiesTwo(r *rig) string {
	c := r.connect("c", "")
	r.do(&CreateDestination{Destination: tq("C.A.T")})
	var all []string
	for range 2 {
		got, _, _ := strings.Cut(r.try(r.sending(c, r.msg(tt("T"), "x"))), ":")
		all = append(all, got)
	}
	return strings.Join(all, " ")
}

func originOfCopy(r *rig) string {
	c := r.connect("c", "")
	r.consume(c, 1, tq("C.A.T"), 9)
	return routed(r.send(c, r.msg(tt("T"), "x")))
}

// forwarded tells where a message to Q is then.
func forwarded(r *rig) string {
	r.send(r.connect("c", ""), r.msg(tq("Q"), "x", prop("n", int32(1))))
	at := strings.Fields(strings.ReplaceAll(r.elsewhere(), "queue://", ""))
	if r.look(tq("Q")).Size > 0 {
		at = append(at, "Q")
	}
	return strings.Join(at, " ")
}

func mirrors(r *rig) string {
	r.send(r.connect("c", ""), r.msg(tq("Q"), "x"))
	return r.elsewhere()
}

func isThere(name string) func(*rig) string {
	return func(r *rig) string { return fmt.Sprint(r.b.destinations[tq(name)] != nil) }
}

func newcomer(r *rig) string {
	w := r.watch("Queue")
	return advisories(r.do(&CreateDestination{Destination: tq("new")}), w)
}

// statistics asks about the broker.
func (r *rig) statistics() []map[string]any {
	c := r.connect("c", "")
	reply := message.Destination{Kind: message.TempQueue, Name: "reply"}
	r.do(&CreateDestination{Conn: c, Destination: reply})
	r.consume(c, 99, reply, 100)
	return r.question(c, tq(statisticsBroker))
}

func asksStatistics(r *rig) string {
	if len(r.statistics()) == 0 {
		return "not answered"
	}
	return "answered"
}

func statistic(name string) func(*rig) string {
	return func(r *rig) string {
		if v := r.statistics()[0][name]; v != nil {
			return fmt.Sprint(v)
		}
		return ""
	}
}

func bodiesInMemory(r *rig) string {
	r.sendNumbers(r.connect("c", ""), 3)
	if r.b.cached == 0 {
		return "in the log"
	}
	return "in memory"
}

func transientInMemory(r *rig) string {
	r.send(r.connect("c", ""), r.msg(tq("Q"), "x", transient))
	if r.b.transient == 0 {
		return "in the log"
	}
	return "in memory"
}

func churns(r *rig) string {
	c := r.connect("c", "")
	for range 100 {
		r.churn(c)
	}
	if r.head == 0 {
		return "all there"
	}
	return "trimmed"
}

func longBacklog(r *rig) string {
	r.sendNumbers(r.connect("c", ""), 300)
	if len(r.b.packs) == 0 {
		return "entries"
	}
	return "packs"
}

// sendsAgain has two producers send a message each, and the first one twice; it tells how many there are of each.
func sendsAgain(r *rig) string {
	c := r.connect("c", "")
	count := map[string]int{}
	first := r.msg(tq("Q"), "x")
	second := r.msg(tq("Q"), "x", func(m *message.Message) { m.ID.Producer = "q" })
	for i, m := range []*message.Message{first, second, first} {
		r.ok(&Send{Conn: c, Ref: 5, Message: m, Tracked: true, Resent: i == 2}, 5)
	}
	for _, d := range deliveries(r.consume(c, 1, tq("Q"), 9), c, 1) {
		count[d.Message.ID.Producer]++
	}
	return fmt.Sprint(count["p"], " ", count["q"])
}

func largeTransaction(r *rig) string {
	c := r.connect("c", "")
	for range 3 {
		if err, _ := r.ask(&Send{Conn: c, Ref: 5, Tx: 1, Message: r.msg(tq("Q"), "x")}, 5); err != nil {
			return err.Code.String()
		}
	}
	return "ok"
}

func preparesTwo(r *rig) string {
	c := r.connect("c", "")
	var all []string
	for i := range 2 {
		r.xa(&XABegin{Conn: c, Tx: dtx + TxID(i), XID: xid(i)})
		r.sendTx(c, dtx+TxID(i), r.msg(tq("Q"), "a"))
		all = append(all, r.xa(&XAPrepare{Conn: c, XID: xid(i)}))
	}
	return strings.Join(all, " ")
}

// asksForOldOutcome has two connections commit and then ask whether they have.
func asksForOldOutcome(r *rig) string {
	var conns []ConnID
	for _, name := range []string{"a", "b"} {
		c := r.connect(name, "")
		conns = append(conns, c)
		r.sendTx(c, 1, r.msg(tq("Q"), "x"))
		r.ok(&Commit{Conn: c, Ref: 5, Tx: 1, Tracked: true}, 5)
	}
	var all []string
	for _, c := range conns {
		answer := "ok"
		if err, _ := r.ask(&Commit{Conn: c, Ref: 5, Tx: 1, Resent: true}, 5); err != nil {
			answer = err.Code.String()
		}
		all = append(all, answer)
	}
	return strings.Join(all, " ")
}

// cronAtNoon tells at what time of the day, in UTC, it is noon to the broker.
func cronAtNoon(r *rig) string {
	r.later(r.connect("c", ""), 0, r.msg(tq("Q"), "x", cronAt("0 12 * * *")))
	for _, e := range r.do(&ListSchedules{Conn: r.conns, Ref: 5}) {
		if v, ok := e.Value.(*SchedulesView); ok {
			return time.UnixMilli(v.Schedules[0].Next).UTC().Format("15:04")
		}
	}
	return "not scheduled"
}

func saysItsName(r *rig) string {
	r.connect("a", "same")
	err, _ := r.ask(&Connect{Conn: 77, Ref: 5, ClientID: "same"}, 5)
	name, _, _ := strings.Cut(err.Detail, " - ")
	return name
}

// purgesInPieces tells how many of ten messages one Step of a purge leaves.
func purgesInPieces(r *rig) string {
	c := r.connect("c", "c")
	for i := range 10 {
		r.send(c, r.msg(tq("Q"), fmt.Sprint(i)))
	}
	r.do(&Purge{Conn: c, Ref: r.ref(), Destination: tq("Q")})
	return fmt.Sprint(r.b.destinations[tq("Q")].queue.size)
}

func repliesAfterStop(r *rig) string {
	r.send(r.connect("c", ""), r.msg(tq("Q"), "the log must have something"))
	r.stop()
	if err, _ := r.ask(&Send{Conn: r.connect("answers", ""), Ref: 1, Message: r.msg(tempQueue("asks"), "reply")}, 1); err != nil {
		return err.Code.String()
	}
	asks := r.connect("asks", "")
	r.ok(&CreateDestination{Conn: asks, Ref: 1, Destination: tempQueue("asks")}, 1)
	return texts(r.consume(asks, 1, tempQueue("asks"), 9))
}

func transientAcrossStop(r *rig) string {
	r.send(r.connect("c", ""), r.msg(tq("Q"), "x", transient))
	r.stop()
	return texts(r.consume(r.connect("c", ""), 1, tq("Q"), 9))
}
