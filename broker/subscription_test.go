package broker

import (
	"fmt"
	"testing"
)

func shared(name string) func(*Subscribe) {
	return func(s *Subscribe) { s.Name, s.Shared, s.NonDurable = name, true, true }
}

func sharedDurable(name string) func(*Subscribe) {
	return func(s *Subscribe) { s.Name, s.Shared = name, true }
}

func selectedBy(text string) func(*Subscribe) { return func(s *Subscribe) { s.Selector = text } }

func (r *rig) subscription(clientID, name string) *SubscriptionView {
	r.t.Helper()
	for _, x := range r.do(&List{Ref: 9}) {
		for _, v := range x.Value.(*View).Subscriptions {
			if v.ClientID == clientID && v.Name == name {
				return &v
			}
		}
	}
	return nil
}

func TestSharedSubscription(t *testing.T) {
	r := newRig(t, Options{})
	a, b, p := r.connect("a", ""), r.connect("b", ""), r.connect("p", "")
	r.consume(a, 1, tt("T"), 9, shared("s"))
	r.consume(b, 1, tt("T"), 9, shared("s"))
	var all []Effect
	for i := range 4 {
		all = append(all, r.send(p, r.msg(tt("T"), fmt.Sprint(i)))...)
	}
	r.want(deliveries(all, a, 1), "0 2")
	got := r.want(deliveries(all, b, 1), "1 3")
	if v := r.subscription("", "s"); v == nil || v.Consumers != 2 || v.Size != 4 || v.Durable || !v.Shared {
		t.Errorf("the subscription is shown as %+v", v)
	}
	if v := r.look(tt("T")); v.Consumers != 2 {
		t.Errorf("the topic counts %d consumers, want 2", v.Consumers)
	}
	r.ack(b, 1, Consumed, got[0])
	// What one leaves behind goes to the others, the last one takes the subscription along.
	r.want(r.do(&Disconnect{Conn: b}), "3+1")
	r.do(&Unsubscribe{Conn: a, Consumer: 1})
	if v := r.subscription("", "s"); v != nil {
		t.Errorf("the subscription is still there: %+v", v)
	}
	r.want(r.send(p, r.msg(tt("T"), "lost")), "")
	r.want(r.consume(a, 1, tt("T"), 9, shared("s")), "")
	if v := r.look(tt("T")); v.Consumers != 1 || v.Size != 0 {
		t.Errorf("the topic has %d consumers and %d messages, want 1 and 0", v.Consumers, v.Size)
	}
}

func TestSharedDurableSubscription(t *testing.T) {
	r := newRig(t, Options{})
	a, p := r.connect("a", "me"), r.connect("p", "")
	r.consume(a, 1, tt("T"), 1, sharedDurable("s"))
	r.consume(a, 2, tt("T"), 1, sharedDurable("s"))
	var all []Effect
	for i := range 4 {
		all = append(all, r.send(p, r.msg(tt("T"), fmt.Sprint(i)))...)
	}
	got := r.want(all, "0 1")
	r.refused(InUse, &RemoveSubscription{Conn: a, Ref: 4, ClientID: "me", Name: "s"}, 4)
	r.ack(a, 2, Consumed, got[1])
	r.do(&Disconnect{Conn: a})
	r.crash()
	if v := r.subscription("me", "s"); v == nil || v.Consumers != 0 || v.Size != 3 || !v.Durable || !v.Shared || v.IdleSince != r.now {
		t.Fatalf("the subscription is shown as %+v", v)
	}
	a = r.connect("a", "me")
	r.refused(InUse, &Subscribe{Conn: a, Ref: 3, Consumer: 1, Destination: tt("T"), Name: "s", MayCreate: true}, 3)
	r.want(r.consume(a, 1, tt("T"), 2, sharedDurable("s")), "0+1 2+1")
	r.want(r.consume(a, 2, tt("T"), 9, sharedDurable("s")), "3+1")
}

// Rules of JMS 2.0, Session.createSharedConsumer and createSharedDurableConsumer.
func TestSharedConflicts(t *testing.T) {
	tests := map[string]struct {
		first, second func(*Subscribe)
		leaves        bool // the first goes before the second comes
		clientID      string
		want          Code // of the second; Internal: none
		size          int64
	}{
		"another selector while in use":            {first: shared("s"), second: both(shared("s"), selectedBy("a = 1")), want: InUse},
		"another selector of durable while in use": {first: sharedDurable("s"), second: both(sharedDurable("s"), selectedBy("a = 1")), want: InUse},
		"another selector of durable later":        {first: sharedDurable("s"), second: both(sharedDurable("s"), selectedBy("a = 1")), leaves: true},
		"the same later":                           {first: sharedDurable("s"), second: sharedDurable("s"), leaves: true, size: 1},
		"shared then not":                          {first: sharedDurable("s"), second: durable("s"), leaves: true, want: InUse, clientID: "me", size: 1},
		"not shared then shared":                   {first: durable("s"), second: sharedDurable("s"), leaves: true, want: InUse, clientID: "me", size: 1},
		"durable and not durable are different":    {first: sharedDurable("s"), second: both(shared("s"), selectedBy("a = 1"))},
		"a durable that is not shared needs an id": {first: sharedDurable("s"), second: durable("s"), want: InvalidClientID},
		"noLocal":                                    {first: shared("x"), second: both(shared("s"), func(s *Subscribe) { s.NoLocal = true }), want: IllegalState},
		"a name alone":                               {first: shared("x"), second: func(s *Subscribe) { s.Name, s.NonDurable = "s", true }, want: IllegalState},
		"another topic while in use":                 {first: shared("s"), second: both(shared("s"), func(s *Subscribe) { s.Destination = tt("U") }), want: InUse},
		"another topic of durable later":             {first: sharedDurable("s"), second: both(sharedDurable("s"), func(s *Subscribe) { s.Destination = tt("U") }), leaves: true},
		"another subscription":                       {first: sharedDurable("s"), second: sharedDurable("t")},
		"not durable: gone with the last, then anew": {first: shared("s"), second: both(shared("s"), selectedBy("a = 1")), leaves: true},
	}
	for name, tt2 := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Options{})
			c, p := r.connect("c", tt2.clientID), r.connect("p", "")
			r.consume(c, 1, tt("T"), 0, tt2.first)
			if tt2.leaves {
				r.do(&Unsubscribe{Conn: c, Consumer: 1})
				r.send(p, r.msg(tt("T"), "m"))
			}
			ev := &Subscribe{Conn: c, Ref: 7, Consumer: 2, Destination: tt("T"), MayCreate: true}
			tt2.second(ev)
			if tt2.want != Internal {
				r.refused(tt2.want, ev, 7)
			} else {
				r.ok(ev, 7)
			}
			if v := r.subscription(tt2.clientID, "s"); tt2.leaves && v != nil && v.Size != tt2.size {
				t.Errorf("%d messages wait in the subscription, want %d", v.Size, tt2.size)
			}
		})
	}
}

func both(x, y func(*Subscribe)) func(*Subscribe) { return func(s *Subscribe) { x(s); y(s) } }

func TestPurgeSubscription(t *testing.T) {
	r := newRig(t, Options{})
	c, p := r.connect("a", "me"), r.connect("p", "")
	r.consume(c, 1, tt("T"), 1, durable("s"))
	for i := range 3 {
		r.send(p, r.msg(tt("T"), fmt.Sprint(i)))
	}
	for _, e := range r.do(&PurgeSubscription{Ref: 5, ClientID: "me", Name: "s"}) {
		if e.Ref == 5 && e.Value != 2 {
			t.Errorf("purged %v, want 2: one is at the consumer", e.Value)
		}
	}
	r.refused(InvalidDestination, &PurgeSubscription{Ref: 6, ClientID: "me", Name: "x"}, 6)
	r.crash()
	c = r.connect("a", "me")
	r.want(r.consume(c, 1, tt("T"), 9, durable("s")), "0+1")
}

// What a topic's subscribers do is counted for the topic, whatever kind of subscription it is.
func TestTopicCounts(t *testing.T) {
	for name, change := range map[string]func(*Subscribe){"plain": func(*Subscribe) {}, "durable": durable("s"), "shared": shared("s"), "pattern": func(s *Subscribe) { s.Destination = tt("*") }} {
		var opt Options
		opt.Policies.Destinations = []Policy{{Destination: tt("T"), DeadLetter: DeadLetterPolicy{Queue: "of T"}}}
		r := newRig(t, opt)
		c := r.connect("c", "me")
		r.do(&CreateDestination{Destination: tt("T")})
		r.consume(c, 1, tt("T"), 9, change)
		r.ack(c, 1, Consumed, deliveries(r.send(c, r.msg(tt("T"), "a")), c, 1)[0])
		r.ack(c, 1, Poison, deliveries(r.send(c, r.msg(tt("T"), "b")), c, 1)[0])
		v := r.look(tt("T"))
		if got := fmt.Sprint(v.Enqueued, v.Dispatched, v.Dequeued, v.DeadLetters); got != "2 2 2 1" {
			t.Errorf("%s: the topic counts %s enqueued, dispatched, dequeued and dead letters; want 2 2 2 1", name, got)
		}
		if n := r.look(tq("of T")).Size; n != 1 {
			t.Errorf("%s: the topic's own dead-letter queue has %d messages, want 1", name, n)
		}
	}
}

func TestConsumersAreShown(t *testing.T) {
	r := newRig(t, Options{})
	c := r.connect("c", "")
	r.consume(c, 1, tq("Q"), 9, func(s *Subscribe) { s.Exclusive = true })
	d := deliveries(r.send(c, r.msg(tq("Q"), "a", inGroup("A"))), c, 1)
	r.now += 100_000
	d = append(d, deliveries(r.send(c, r.msg(tq("Q"), "b")), c, 1)...)
	r.now += 50_000
	show := func() ConsumerView { return r.do(&List{Ref: 9})[0].Value.(*View).Consumers[0] }
	if v := show(); v.OldestAge/2048 != 150_000/2048 || v.SinceAck != 150_000 || v.Groups != 1 || !v.Exclusive || v.Window != 9 {
		t.Errorf("the consumer is shown as %+v", v)
	}
	r.ack(c, 1, Consumed, d[0])
	if v := show(); v.OldestAge/2048 != 50_000/2048 || v.SinceAck != 0 {
		t.Errorf("after an acknowledgement the consumer is shown as %+v", v)
	}
}

func TestMaxBrowse(t *testing.T) {
	r := newRig(t, Options{Policies: Policies{Default: Policy{Consumers: ConsumerPolicy{MaxBrowse: 3}}}})
	c := r.connect("c", "")
	for i := range 5 {
		r.send(c, r.msg(tq("Q"), fmt.Sprint(i)))
	}
	r.want(r.consume(c, 1, tq("Q"), 9, func(s *Subscribe) { s.Browser = true }), "0 1 2")
}

// A browser sees what was there when it began, whatever comes and goes meanwhile; what is gone it does not see.
func TestBrowserSnapshot(t *testing.T) {
	r := newRig(t, Options{CacheBytes: 1})
	c := r.connect("c", "")
	for i := range 5 {
		r.send(c, r.msg(tq("Q"), fmt.Sprint(i)))
	}
	browse := r.want(r.consume(c, 1, tq("Q"), 2, func(s *Subscribe) { s.Browser = true }), "0 1")
	d := r.want(r.consume(c, 2, tq("Q"), 4), "0 1 2 3")
	r.ack(c, 2, Consumed, d[3])
	r.send(c, r.msg(tq("Q"), "late", prio(9)))
	got := r.ack(c, 1, Consumed, browse[1], upTo)
	r.want(deliveries(got, c, 1), "2 4")
}
