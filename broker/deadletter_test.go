package broker

import (
	"cmp"
	"fmt"
	"regexp"
	"testing"
	"time"

	"github.com/godwitmq/godwit/message"
)

func TestDeadLetterStrategies(t *testing.T) {
	individual := func(change ...func(*IndividualDeadLetters)) DeadLetterPolicy {
		in := &IndividualDeadLetters{QueuePrefix: "DLQ.Queue.", TopicPrefix: "DLQ.Topic."}
		for _, c := range change {
			c(in)
		}
		return DeadLetterPolicy{Individual: in}
	}
	tests := map[string]struct {
		policy       DeadLetterPolicy
		to           message.Destination
		at           message.Destination // where the dead letter is; zero: nowhere
		subscription string
		expiration   int64
	}{
		"shared":            {to: tq("a.b"), at: tq("ActiveMQ.DLQ")},
		"shared, topic":     {to: tt("a.b"), at: tq("ActiveMQ.DLQ"), subscription: "id/s"},
		"named":             {policy: DeadLetterPolicy{Queue: "dead"}, to: tq("a.b"), at: tq("dead")},
		"individual":        {policy: individual(), to: tq("a.b"), at: tq("DLQ.Queue.a.b")},
		"individual, topic": {policy: individual(), to: tt("a.b"), at: tq("DLQ.Topic.a.b"), subscription: "id/s"},
		"suffix":            {policy: individual(func(i *IndividualDeadLetters) { i.QueuePrefix, i.QueueSuffix = "", ".dead" }), to: tq("a.b"), at: tq("a.b.dead")},
		"per subscription":  {policy: individual(func(i *IndividualDeadLetters) { i.PerSubscription, i.TopicSuffix = true, ".S" }), to: tt("a.b"), at: tq("DLQ.Topic.a.b.id:s.S"), subscription: "id/s"},
		"to a topic":        {policy: individual(func(i *IndividualDeadLetters) { i.TopicForTopics = true }), to: tt("a.b"), at: tt("DLQ.Topic.a.b"), subscription: "id/s"},
		"queues to a topic": {policy: individual(func(i *IndividualDeadLetters) { i.TopicForQueues = true }), to: tq("a.b"), at: tt("DLQ.Queue.a.b")},
		"discard":           {policy: DeadLetterPolicy{Discard: true}, to: tq("a.b")},
		"drop by name":      {policy: DeadLetterPolicy{Drop: []*regexp.Regexp{regexp.MustCompile(`^(?:x|a\..*)$`)}}, to: tq("a.b")},
		"drop other names":  {policy: DeadLetterPolicy{Drop: []*regexp.Regexp{regexp.MustCompile(`^(?:x|b\..*)$`)}}, to: tq("a.b"), at: tq("ActiveMQ.DLQ")},
		"of limited life":   {policy: DeadLetterPolicy{Expiration: time.Minute}, to: tq("a.b"), at: tq("ActiveMQ.DLQ"), expiration: 1_060_000},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Options{Policies: Policies{Default: Policy{DeadLetter: tt.policy}}})
			c := r.connect("a", "id")
			watch := r.connect("b", "watch")
			if tt.at.Kind.IsTopic() {
				r.consume(watch, 1, tt.at, 9)
			}
			r.consume(c, 1, tt.to, 9, func(s *Subscribe) {
				if tt.to.Kind.IsTopic() {
					s.Name = "s"
				}
			})
			d := r.want(r.send(c, r.msg(tt.to, "x", func(m *message.Message) { m.Received = 5 })), "x")
			got := r.ack(c, 1, Poison, d[0], because("no"))
			if tt.at.IsZero() {
				if v := r.look(tt.to); v.Size != 0 || v.DeadLetters != 0 {
					t.Errorf("%s has %d messages and counts %d dead letters, want none", tt.to, v.Size, v.DeadLetters)
				}
				return
			}
			if !tt.at.Kind.IsTopic() {
				got = r.consume(watch, 1, tt.at, 9)
			}
			dead := r.want(got, "x")[0]
			origin, subscription := dead.Message.Origin()
			arrival, _ := dead.Message.Properties.Get(message.DeadLetterArrival)
			died, _ := dead.Message.Properties.Get(message.DeadLetterTime)
			want := fmt.Sprint(tt.to, tt.subscription, "no", 5, r.now, tt.expiration)
			if found := fmt.Sprint(origin, subscription, dead.Message.Cause(), arrival, died, dead.Message.Expiration); found != want {
				t.Errorf("origin, subscription, cause, arrival, time of death, expiration are %s, want %s", found, want)
			}
			if tt.at.Kind.IsTopic() {
				return
			}
			// Whatever happens to it there, it stays there: after a restart too.
			for range 2 {
				r.want(r.ack(watch, 1, Poison, dead), "x+"+fmt.Sprint(dead.Redeliveries+1))
				r.crash()
				watch = r.connect("b", "watch")
				dead = r.want(r.consume(watch, 1, tt.at, 9), "x+"+fmt.Sprint(dead.Redeliveries+1))[0]
			}
			r.now += time.Minute.Milliseconds()
			r.do(&Disconnect{Conn: watch})
			left := int64(1)
			if tt.expiration != 0 {
				left = 0
			}
			if v := r.look(tt.at); v.Size != left {
				t.Errorf("after a minute %s has %d messages, want %d", tt.at, v.Size, left)
			}
		})
	}
}

func TestRedeliveryWait(t *testing.T) {
	s := time.Second
	tests := map[string]struct {
		policy RedeliveryPolicy
		want   []int64 // ms
	}{
		"fixed":          {RedeliveryPolicy{Delay: s}, []int64{1000, 1000, 1000}},
		"initial":        {RedeliveryPolicy{InitialDelay: 2 * s, Delay: s}, []int64{2000, 1000, 1000}},
		"growing":        {RedeliveryPolicy{Delay: s, Multiplier: 3}, []int64{1000, 3000, 9000}},
		"from initial":   {RedeliveryPolicy{InitialDelay: 2 * s, Delay: s, Multiplier: 2}, []int64{2000, 4000, 8000}},
		"bounded":        {RedeliveryPolicy{Delay: s, Multiplier: 3, MaximumDelay: 5 * s}, []int64{1000, 3000, 5000}},
		"bounded anyway": {RedeliveryPolicy{Delay: s, Multiplier: 1e200}, []int64{1000, maxDelay, maxDelay}},
	}
	for name, tt := range tests {
		for n, want := range tt.want {
			if got := tt.policy.wait(n, 7); got != want {
				t.Errorf("%s: redelivery %d waits %d ms, want %d", name, n+1, got, want)
			}
		}
	}
	p := RedeliveryPolicy{Delay: s, CollisionAvoidance: 0.2}
	seen := map[int64]bool{}
	for sequence := range uint64(1000) {
		w := p.wait(0, sequence)
		if w < 800 || w > 1200 || w != p.wait(0, sequence) {
			t.Fatalf("with collision avoidance message %d waits %d ms, want always the same from 800 to 1200", sequence, w)
		}
		seen[w] = true
	}
	if len(seen) < 300 {
		t.Errorf("1000 messages have %d different waits, want at least 300", len(seen))
	}
}

func TestRedeliveriesEnd(t *testing.T) {
	tests := map[string]struct {
		policy   RedeliveryPolicy
		rejects  int
		queue    int64
		dead     int64
		released bool
	}{
		"dead letter":         {policy: RedeliveryPolicy{Maximum: 2}, rejects: 3, dead: 1},
		"dropped":             {policy: RedeliveryPolicy{Maximum: 2, Drop: true}, rejects: 3},
		"dropped, given back": {policy: RedeliveryPolicy{Maximum: 2, Drop: true}, rejects: 3, released: true},
		"without end":         {policy: RedeliveryPolicy{Maximum: -1}, rejects: 30, queue: 1},
		"given back":          {policy: RedeliveryPolicy{Maximum: -1}, rejects: 30, queue: 1, released: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Options{Policies: Policies{Default: Policy{Redelivery: tt.policy}}})
			c := r.connect("a", "")
			r.do(&CreateDestination{Destination: tq("ActiveMQ.DLQ")})
			r.consume(c, 1, tq("Q"), 9)
			got := r.want(r.send(c, r.msg(tq("Q"), "x")), "x")
			kind := Poison
			if tt.released {
				kind = Released
			}
			for i := range tt.rejects {
				if len(got) != 1 || got[0].Redeliveries != i {
					t.Fatalf("delivery %d is %v, want one redelivered %d times", i+1, texts(got), i)
				}
				// Clients of ActiveMQ take what the broker redelivers for that by this property, and else refuse it unseen.
				if _, told := got[0].Message.Properties.Get("redeliveryDelay"); told != (i > 0) {
					t.Errorf("delivery %d says that the broker redelivers: %v", i+1, told)
				}
				got = deliveries(r.ack(c, 1, kind, got[0]), 0, 0)
			}
			if q, dead := r.look(tq("Q")).Size, r.look(tq("ActiveMQ.DLQ")).Size; q != tt.queue || dead != tt.dead {
				t.Errorf("the queue has %d messages, the dead-letter queue %d; want %d and %d", q, dead, tt.queue, tt.dead)
			}
		})
	}
}

func TestExpiryPolicy(t *testing.T) {
	s := time.Second
	const now = 1_000_000
	tests := map[string]struct {
		policy                *ExpiryPolicy
		timestamp, expiration int64
		wantTime, want        int64
	}{
		"none":                {nil, now - 10, 0, now - 10, 0},
		"default":             {&ExpiryPolicy{Default: s}, now - 10, 0, now - 10, now + 1000},
		"said":                {&ExpiryPolicy{Default: s}, now - 10, now + 5000, now - 10, now + 5000},
		"ceiling":             {&ExpiryPolicy{Ceiling: s}, now - 10, now + 5000, now - 10, now + 1000},
		"below the ceiling":   {&ExpiryPolicy{Ceiling: s}, now - 10, now + 500, now - 10, now + 500},
		"ceiling, says none":  {&ExpiryPolicy{Ceiling: s}, now - 10, 0, now - 10, 0},
		"both":                {&ExpiryPolicy{Default: 2 * s, Ceiling: s}, now - 10, 0, now - 10, now + 1000},
		"broker's time":       {&ExpiryPolicy{BrokerTime: true}, now - 7000, now - 2000, now, now + 5000},
		"broker's time, none": {&ExpiryPolicy{BrokerTime: true}, now - 7000, 0, now, 0},
		"future only":         {&ExpiryPolicy{BrokerTime: true, FutureOnly: true}, now + 7000, now + 9000, now + 7000, now + 9000},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Options{Policies: Policies{Destinations: []Policy{{Destination: tq("Q"), Expiry: tt.policy}}}})
			r.now = now
			c := r.connect("a", "")
			for _, change := range []func(*message.Message){func(*message.Message) {}, transient} {
				sent := r.msg(tq("Q"), "x", expires(tt.expiration), func(m *message.Message) { m.Timestamp = tt.timestamp }, change)
				r.send(c, sent)
				r.consume(c, 1, tq("Q"), 9)
				r.do(&Disconnect{Conn: c})
				c = r.connect("a", "")
				m := r.want(r.consume(c, 1, tq("Q"), 9), "x+1")[0]
				if m.Message.Timestamp != tt.wantTime || m.Message.Expiration != tt.want {
					t.Errorf("timestamp is %d, expiration %d; want %d, %d", m.Message.Timestamp, m.Message.Expiration, tt.wantTime, tt.want)
				}
				if sent.Expiration != tt.expiration || sent.Timestamp != tt.timestamp {
					t.Error("the message that was sent was changed")
				}
				r.ack(c, 1, Consumed, m)
				r.do(&Unsubscribe{Conn: c, Consumer: 1})
			}
		})
	}
}

// A subscription to several topics treats each message as the policy of its own topic says, wherever its body is.
func TestDeadLettersObeyTheirOwnTopic(t *testing.T) {
	policies := Policies{Destinations: []Policy{
		{Destination: tt("a.kept"), DeadLetter: DeadLetterPolicy{Queue: "dead.kept"}},
		{Destination: tt("a.other"), DeadLetter: DeadLetterPolicy{Queue: "dead.other", DropExpired: true}, Redelivery: RedeliveryPolicy{Maximum: 1}},
		{Destination: tt("a.away"), DeadLetter: DeadLetterPolicy{Discard: true}, Redelivery: RedeliveryPolicy{Maximum: 2, Drop: true}},
		{Destination: tt("a.named"), DeadLetter: DeadLetterPolicy{Drop: []*regexp.Regexp{regexp.MustCompile(`^a\.named$`)}}},
	}}
	topics := []string{"a.kept", "a.other", "a.away", "a.named", "a.plain"}
	// What each topic's message has come to.
	tests := map[string]struct {
		end    func(r *rig, c ConnID, got []Effect)
		expiry int64
		want   string
	}{
		"refused": {end: func(r *rig, c ConnID, got []Effect) {
			for _, x := range got {
				r.ack(c, 1, Poison, x, because("no"))
			}
		}, want: "a.kept:dead.kept a.other:waits+1 a.away:waits+1 a.named:gone a.plain:ActiveMQ.DLQ"},
		"refused again": {end: func(r *rig, c ConnID, got []Effect) {
			for _, x := range got {
				for range 2 {
					if again := deliveries(r.ack(c, 1, Poison, x, because("no")), c, 1); len(again) > 0 {
						x = again[0]
						continue
					}
					break
				}
			}
		}, want: "a.kept:dead.kept a.other:dead.other a.away:waits+2 a.named:gone a.plain:ActiveMQ.DLQ"},
		"given back": {end: func(r *rig, c ConnID, got []Effect) {
			for range 2 {
				r.do(&Unsubscribe{Conn: c, Consumer: 1, LastDelivered: Unknown})
				r.consume(c, 1, tt("a.>"), 99, durable("s"))
			}
			r.do(&Unsubscribe{Conn: c, Consumer: 1, LastDelivered: Unknown})
		}, want: "a.kept:waits+3 a.other:dead.other a.away:gone a.named:waits+3 a.plain:waits+3"},
		"expired while they wait": {end: func(r *rig, c ConnID, got []Effect) {
			r.do(&Unsubscribe{Conn: c, Consumer: 1, LastDelivered: 0})
			r.now += 2000
			r.do(Tick{})
		}, expiry: 1000, want: "a.kept:dead.kept a.other:gone a.away:gone a.named:gone a.plain:ActiveMQ.DLQ"},
		"expired at the consumer": {end: func(r *rig, c ConnID, got []Effect) {
			r.now += 2000
			for _, x := range got {
				r.ack(c, 1, Expired, x)
			}
		}, expiry: 1000, want: "a.kept:dead.kept a.other:gone a.away:gone a.named:gone a.plain:ActiveMQ.DLQ"},
	}
	for name, tt2 := range tests {
		for _, how := range []string{"", ", memory scarce", ", after the policies came"} {
			t.Run(name+how, func(t *testing.T) {
				opt := Options{Policies: policies}
				switch how {
				case ", memory scarce":
					opt.CacheBytes = 1
				case ", after the policies came":
					opt = Options{CacheBytes: 1}
				}
				r := newRig(t, opt)
				c := r.connect("c", "me")
				r.consume(c, 1, tt("a.>"), 99, durable("s"))
				var got []Effect
				for _, topic := range topics {
					m := r.msg(tt(topic), topic)
					if tt2.expiry != 0 {
						m = r.msg(tt(topic), topic, expires(r.now+tt2.expiry))
					}
					got = append(got, deliveries(r.send(c, m), c, 1)...)
				}
				if len(got) != len(topics) {
					t.Fatalf("got %d messages, want %d", len(got), len(topics))
				}
				if how == ", after the policies came" {
					r.opt.Policies = policies
					r.do(&Configure{Policies: policies})
				}
				tt2.end(r, c, got)
				if n := len(r.b.loads); n > 0 {
					t.Errorf("%d loads are never answered", n)
				}
				at := map[string]string{}
				for _, q := range []string{"dead.kept", "dead.other", "ActiveMQ.DLQ"} {
					for _, x := range deliveries(r.consume(c, 9, tq(q), 99), c, 9) {
						at[string(x.Message.Content)] += q
					}
					r.do(&Unsubscribe{Conn: c, Consumer: 9, LastDelivered: 0})
				}
				r.do(&Unsubscribe{Conn: c, Consumer: 1, LastDelivered: 0})
				r.crash()
				c = r.connect("c", "me")
				for _, x := range deliveries(r.consume(c, 1, tt("a.>"), 99, durable("s")), c, 1) {
					at[string(x.Message.Content)] += fmt.Sprintf("waits+%d", x.Redeliveries)
				}
				s := ""
				for _, topic := range topics {
					s += " " + topic + ":" + cmp.Or(at[topic], "gone")
				}
				if s[1:] != tt2.want {
					t.Errorf("got %s, want %s", s[1:], tt2.want)
				}
			})
		}
	}
}
