package broker

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/godwitmq/godwit/message"
)

func retroactive(s *Subscribe) { s.Retroactive = true }

func TestRetroactive(t *testing.T) {
	tests := map[string]struct {
		policy SubscriberPolicy
		change func(*Subscribe)
		want   string
	}{
		"no policy":           {change: retroactive},
		"none":                {policy: SubscriberPolicy{Recovery: RecoverNone}, change: retroactive},
		"not retroactive":     {policy: SubscriberPolicy{Recovery: RecoverLast}, change: func(*Subscribe) {}},
		"last":                {policy: SubscriberPolicy{Recovery: RecoverLast}, change: retroactive, want: "9"},
		"count":               {policy: SubscriberPolicy{Recovery: RecoverCount, RecoveryCount: 3}, change: retroactive, want: "7 8 9"},
		"count, selector":     {policy: SubscriberPolicy{Recovery: RecoverCount, RecoveryCount: 6}, change: both(retroactive, selectedBy("odd = TRUE")), want: "5 7 9"},
		"count by default":    {policy: SubscriberPolicy{Recovery: RecoverCount}, change: retroactive, want: "0 1 2 3 4 5 6 7 8 9"},
		"size":                {policy: SubscriberPolicy{Recovery: RecoverSize, RecoverySize: 250}, change: retroactive, want: "8 9"},
		"size, one too large": {policy: SubscriberPolicy{Recovery: RecoverSize, RecoverySize: 1}, change: retroactive, want: "9"},
		"time":                {policy: SubscriberPolicy{Recovery: RecoverTime, RecoveryTime: 4500 * time.Millisecond}, change: retroactive, want: "6 7 8 9"},
		"retained":            {policy: SubscriberPolicy{Recovery: RecoverRetained}, change: retroactive, want: "6"},
		"always":              {policy: SubscriberPolicy{Recovery: RecoverCount, RecoveryCount: 2, AlwaysRetroactive: true}, change: func(*Subscribe) {}, want: "8 9"},
		"pattern":             {policy: SubscriberPolicy{Recovery: RecoverCount, RecoveryCount: 2}, change: both(retroactive, func(s *Subscribe) { s.Destination = tt("*") }), want: "8 9"},
		"durable":             {policy: SubscriberPolicy{Recovery: RecoverLast}, change: both(retroactive, durable("s")), want: "9"},
		"shared":              {policy: SubscriberPolicy{Recovery: RecoverLast}, change: both(retroactive, shared("s")), want: "9"},
	}
	for name, tt2 := range tests {
		for _, how := range []string{"", " in memory that is scarce", " after the policy came", " in transactions"} {
			t.Run(name+how, func(t *testing.T) {
				p := Policies{Destinations: []Policy{{Destination: tt(">"), Subscribers: tt2.policy}}}
				opt := Options{Policies: p}
				switch how {
				case " after the policy came":
					opt = Options{}
				case " in memory that is scarce":
					opt.CacheBytes, opt.MemoryBytes = 1, 1
				}
				r := newRig(t, opt)
				c, other := r.connect("c", "me"), r.connect("other", "")
				if how == " after the policy came" {
					r.consume(other, 1, tt("T"), 0)
					r.do(&Configure{Policies: p})
				}
				for i := range 10 {
					m := r.msg(tt("T"), fmt.Sprint(i), prop("odd", i%2 == 1), func(m *message.Message) { m.Persistent = i%3 == 0; m.Priority = uint8(i % 2) }, retain(i == 3 || i == 6))
					if how == " in transactions" {
						r.sendTx(other, TxID(i+1), m)
						r.commit(other, TxID(i+1))
					} else {
						r.send(other, m)
					}
					r.now += 1000
					r.do(Tick{})
				}
				got := r.consume(c, 5, tt("T"), 99, tt2.change)
				// By priority, then in order: those of priority 1 are the odd ones.
				var even, odd []string
				for s := range strings.FieldsSeq(tt2.want) {
					if (s[0]-'0')%2 == 1 {
						odd = append(odd, s)
					} else {
						even = append(even, s)
					}
				}
				r.want(got, strings.Join(append(odd, even...), " "))
				r.want(r.send(other, r.msg(tt("T"), "new", prop("odd", true), retain(true))), "new")
				// The second one of a durable or shared subscription gets nothing twice.
				r.do(&Disconnect{Conn: c})
			})
		}
	}
}

// What a durable subscription was given of the past survives a crash, as all that is in it does.
func TestRetroactiveDurableSurvives(t *testing.T) {
	tests := map[string]struct {
		change func(*Subscribe)
		want   string
	}{
		"durable":  {change: both(retroactive, durable("s")), want: "0 1 2 3 4 5"},
		"selector": {change: both(retroactive, both(durable("s"), selectedBy("odd = TRUE"))), want: "1 3 5"},
		"shared":   {change: both(retroactive, sharedDurable("s")), want: "0 1 2 3 4 5"},
		"pattern":  {change: both(retroactive, both(durable("s"), func(s *Subscribe) { s.Destination = tt("*") })), want: "0 1 2 3 4 5"},
	}
	for name, tt2 := range tests {
		for _, logged := range []bool{false, true} {
			for _, scarce := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, in the log %v, memory scarce %v", name, logged, scarce), func(t *testing.T) {
					opt := Options{SegmentBytes: 16 << 10, Policies: Policies{Destinations: []Policy{{Destination: tt("T"), Subscribers: SubscriberPolicy{Recovery: RecoverCount}}}}}
					if scarce {
						opt.CacheBytes, opt.MemoryBytes = 1, 1
					}
					r := newRig(t, opt)
					c, other := r.connect("c", "me"), r.connect("other", "you")
					if logged { // for another one, which has them in its turn
						r.consume(other, 1, tt("T"), 0, durable("o"))
					}
					for i := range 6 {
						r.send(other, r.msg(tt("T"), fmt.Sprint(i), prop("odd", i%2 == 1), func(m *message.Message) { m.GroupID = "g" }))
					}
					r.send(other, r.msg(tt("T"), "transient", transient, prop("odd", true)))
					r.consume(c, 5, tt("T"), 0, tt2.change)
					r.do(&Disconnect{Conn: c})
					r.crash()
					c = r.connect("c", "me")
					got := r.want(r.consume(c, 5, tt("T"), 99, tt2.change), tt2.want)
					r.ack(c, 5, Consumed, got[0])
					for range 300 { // until the log's head has passed them
						r.churn(c)
					}
					if r.head == 0 {
						t.Error("the log was not trimmed")
					}
					r.crash()
					c, other = r.connect("c", "me"), r.connect("other", "you")
					var again []string
					for _, x := range strings.Fields(tt2.want)[1:] {
						again = append(again, x+"+1")
					}
					r.want(r.consume(c, 5, tt("T"), 99, tt2.change), strings.Join(again, " "))
					if logged {
						r.want(r.consume(other, 1, tt("T"), 99, durable("o")), "0 1 2 3 4 5")
					}
				})
			}
		}
	}
}

// Bodies are read in pieces; what comes meanwhile stands behind them, and nothing is lost when the backlogs are so long that they are packed.
func TestRecallInPieces(t *testing.T) {
	const count = 3*loadMessages + 10
	policy := SubscriberPolicy{Recovery: RecoverCount, RecoveryCount: count}
	r := newRig(t, Options{CacheBytes: 1, MemoryBytes: 1, PackFrom: 64, Policies: Policies{Destinations: []Policy{{Destination: tt("T"), Subscribers: policy}}}})
	c := r.connect("c", "me")
	for i := range count {
		r.send(c, r.msg(tt("T"), fmt.Sprint(i)))
	}
	r.lazy = true
	r.consume(c, 1, tt("T"), 0, both(retroactive, durable("s")))
	pieces := 0
	for len(r.loads) > 0 {
		l := r.loads[0]
		r.loads = r.loads[1:]
		if n := len(l.Positions); n > loadMessages {
			t.Errorf("a load brings %d messages, at most %d may", n, loadMessages)
		}
		if pieces++; pieces == 2 {
			r.send(c, r.msg(tt("T"), "meanwhile"))
		}
		r.do(r.bring(l))
	}
	r.lazy = false
	if pieces != 4 {
		t.Errorf("there were %d loads, want 4", pieces)
	}
	r.crash()
	c = r.connect("c", "me")
	got := deliveries(r.consume(c, 1, tt("T"), 2*count, durable("s")), c, 1)
	if len(got) != count+1 {
		t.Fatalf("got %d messages, want %d", len(got), count+1)
	}
	for i, x := range got[:count] {
		if string(x.Message.Content) != fmt.Sprint(i) {
			t.Fatalf("message %d is %s", i, x.Message.Content)
		}
	}
	r.want(got[count:], "meanwhile")
}

// A log without room takes nothing of the past.
func TestRecallWithoutRoom(t *testing.T) {
	r := newRig(t, Options{Policies: Policies{Destinations: []Policy{{Destination: tt("T"), Subscribers: SubscriberPolicy{Recovery: RecoverLast}}}}})
	c := r.connect("c", "me")
	r.send(c, r.msg(tt("T"), "old"))
	r.room = 0
	r.want(r.consume(c, 1, tt("T"), 9, both(retroactive, durable("s"))), "")
	r.want(r.consume(c, 2, tt("T"), 9, retroactive), "old")
}

func retain(on bool) func(*message.Message) {
	return func(m *message.Message) {
		if on {
			m.Properties = m.Properties.With("ActiveMQ.Retain", true)
		}
	}
}

func TestRetainedMessageSurvives(t *testing.T) {
	p := Policies{Destinations: []Policy{{Destination: tt(">"), Subscribers: SubscriberPolicy{Recovery: RecoverRetained}}}}
	r := newRig(t, Options{Policies: p, SegmentBytes: 16 << 10})
	c := r.connect("c", "")
	r.send(c, r.msg(tt("T"), "old", retain(true)))
	r.send(c, r.msg(tt("T"), "kept", retain(true), prop("n", int32(1))))
	r.send(c, r.msg(tt("T"), "not kept"))
	r.send(c, r.msg(tt("U"), "transient", retain(true), transient))
	r.send(c, r.msg(tt("V"), "cleared", retain(true)))
	r.send(c, r.msg(tt("V"), "", retain(true)))
	for range 300 { // until the log's head has passed it
		r.churn(c)
	}
	if r.head == 0 {
		t.Error("the log was not trimmed")
	}
	r.crash()
	c = r.connect("c", "")
	r.want(r.consume(c, 1, tt("T"), 9, retroactive), "kept")
	r.want(r.consume(c, 2, tt("T"), 9, retroactive, selectedBy("n = 1")), "kept")
	r.want(r.consume(c, 3, tt("T"), 9, retroactive, selectedBy("n = 2")), "")
	r.want(r.consume(c, 4, tt("U"), 9, retroactive), "")
	r.want(r.consume(c, 5, tt("V"), 9, retroactive), "")
	// Without the policy it is forgotten.
	r.opt.Policies = Policies{}
	r.crash()
	c = r.connect("c", "")
	r.want(r.consume(c, 1, tt("T"), 9, retroactive), "")
	r.crash()
	if n := len(r.b.backlogs); n != 1 { // that of churn
		t.Errorf("%d backlogs are in the log, want 1", n)
	}
}

func TestPendingLimit(t *testing.T) {
	tests := map[string]struct {
		policy    SubscriberPolicy
		change    func(*Subscribe)
		want      string // what a consumer with a prefetch of 2 has of 10 when it acknowledges at last
		discarded int
	}{
		"no limit":             {want: "0 1 2 3 4 5 6 7 8 9"},
		"3":                    {policy: SubscriberPolicy{Limited: true, PendingLimit: 3}, want: "0 1 7 8 9", discarded: 5},
		"none may wait":        {policy: SubscriberPolicy{Limited: true}, want: "0 1", discarded: 8},
		"twice the prefetch":   {policy: SubscriberPolicy{Limited: true, PendingRate: 2}, want: "0 1 6 7 8 9", discarded: 4},
		"consumer's own":       {change: func(s *Subscribe) { s.MaxPending = 1 }, want: "0 1 9", discarded: 7},
		"consumer's own, more": {policy: SubscriberPolicy{Limited: true, PendingLimit: 3}, change: func(s *Subscribe) { s.MaxPending = 5 }, want: "0 1 7 8 9", discarded: 5},
		"lowest priority":      {policy: SubscriberPolicy{Limited: true, PendingLimit: 3, Eviction: EvictLowestPriority}, want: "0 1 5 7 9", discarded: 5},
		"property":             {policy: SubscriberPolicy{Limited: true, PendingLimit: 4, Eviction: EvictByProperty, EvictionProperty: "third"}, want: "0 1 6 7 8 9", discarded: 4},
		"property, all differ": {policy: SubscriberPolicy{Limited: true, PendingLimit: 4, Eviction: EvictByProperty, EvictionProperty: "n"}, want: "0 1 6 7 8 9", discarded: 4},
		"property, few values": {policy: SubscriberPolicy{Limited: true, PendingLimit: 4, Eviction: EvictByProperty, EvictionProperty: "first"}, want: "0 1 2 7 8 9", discarded: 4},
		"durable":              {policy: SubscriberPolicy{Limited: true, PendingLimit: 3}, change: durable("s"), want: "0 1 2 3 4 5 6 7 8 9"},
	}
	for name, tt2 := range tests {
		for _, live := range []bool{false, true} {
			t.Run(fmt.Sprint(name, live), func(t *testing.T) {
				p := Policies{Destinations: []Policy{{Destination: tt("T"), Subscribers: tt2.policy}}}
				opt := Options{}
				if !live {
					opt.Policies = p
				}
				r := newRig(t, opt)
				c, other := r.connect("c", "me"), r.connect("p", "")
				if tt2.change == nil {
					tt2.change = func(*Subscribe) {}
				}
				r.consume(c, 1, tt("T"), 2, tt2.change)
				r.consume(other, 2, tt("T"), 99)
				if live {
					r.do(&Configure{Policies: p})
				}
				var got []Effect
				all := 0
				for i := range 10 {
					out := r.send(other, r.msg(tt("T"), fmt.Sprint(i), transient, prio(uint8(i%2)), prop("n", int32(i)), prop("third", int32(i%3)), prop("first", i == 2)))
					all += len(deliveries(out, other, 2))
					got = append(got, deliveries(out, c, 1)...)
				}
				if all != 10 {
					t.Errorf("the subscriber that keeps up got %d messages of 10", all)
				}
				if n := r.b.connections[c].consumers[1].discarded; n != tt2.discarded {
					t.Errorf("%d were discarded, want %d", n, tt2.discarded)
				}
				for i := 0; i < len(got); i++ {
					got = append(got, deliveries(r.ack(c, 1, Consumed, got[i]), c, 1)...)
				}
				var numbers [10]bool
				for _, d := range got {
					numbers[d.Message.Content[0]-'0'] = true
				}
				s := ""
				for i, on := range numbers {
					if on {
						s += fmt.Sprint(" ", i)
					}
				}
				if s[1:] != tt2.want {
					t.Errorf("got%s, want %s", s, tt2.want)
				}
			})
		}
	}
}
