package broker

import (
	"fmt"
	"strings"
	"testing"

	"github.com/godwitmq/godwit/message"
)

// routed shows messages as "text@destination<original".
func routed(effects []Effect) string {
	var all []string
	for _, x := range deliveries(effects, 0, 0) {
		s := string(x.Message.Content) + "@" + x.Message.Destination.Name
		if o := x.Message.Original; !o.IsZero() {
			s += "<" + o.Name
		}
		all = append(all, s)
	}
	return strings.Join(all, " ")
}

func virtualRig(t *testing.T, v ...VirtualTopic) *rig {
	return newRig(t, Options{Policies: Policies{VirtualTopics: v}})
}

func TestVirtualTopicNames(t *testing.T) {
	tests := map[string]struct {
		rule  VirtualTopic
		queue string
		want  string // the topic; "" is none
	}{
		"built in":             {builtInVirtualTopics[0], "Consumer.A.VirtualTopic.T", "VirtualTopic.T"},
		"nothing after":        {builtInVirtualTopics[0], "Consumer.A.VirtualTopic", "VirtualTopic"},
		"more segments":        {builtInVirtualTopics[0], "Consumer.A.VirtualTopic.T.U", "VirtualTopic.T.U"},
		"two for one":          {builtInVirtualTopics[0], "Consumer.A.B.VirtualTopic.T", ""},
		"other prefix":         {builtInVirtualTopics[0], "Customer.A.VirtualTopic.T", ""},
		"other topic":          {builtInVirtualTopics[0], "Consumer.A.Virtual.T", ""},
		"prefix alone":         {builtInVirtualTopics[0], "Consumer.A.", ""},
		"no dot":               {builtInVirtualTopics[0], "Consumer", ""},
		"pattern":              {builtInVirtualTopics[0], "Consumer.A.VirtualTopic.>", "VirtualTopic.>"},
		"pattern above":        {builtInVirtualTopics[0], "Consumer.A.>", ">"},
		"pattern of others":    {builtInVirtualTopics[0], "Consumer.A.Orders.>", ""},
		"all topics":           {VirtualTopic{Topic: ">", Prefix: "q.*.*."}, "q.1.2.any.thing", "any.thing"},
		"part of a segment":    {VirtualTopic{Topic: ">", Prefix: "q-"}, "q-any", "any"},
		"postfix":              {VirtualTopic{Topic: "a.>", Postfix: ".copy"}, "a.b.copy", "a.b"},
		"postfix with a star":  {VirtualTopic{Topic: "a.>", Postfix: ".*.copy"}, "a.b.x.copy", "a.b"},
		"postfix is missing":   {VirtualTopic{Topic: "a.>", Postfix: ".copy"}, "a.b", ""},
		"nothing but postfix":  {VirtualTopic{Topic: ">", Postfix: "copy"}, "copy", ""},
		"a longer pattern":     {VirtualTopic{Topic: "a.*.c", Prefix: "q."}, "q.*.b.*", "*.b.*"},
		"patterns that differ": {VirtualTopic{Topic: "a.*.c", Prefix: "q."}, "q.*.b", ""},
	}
	for name, tt := range tests {
		if got, _ := tt.rule.topicOf(tt.queue); got != tt.want {
			t.Errorf("%s: topicOf(%q) = %q, want %q", name, tt.queue, got, tt.want)
		}
	}
}

func TestVirtualTopic(t *testing.T) {
	tests := map[string]struct {
		rules []VirtualTopic
		topic string
		want  string
	}{
		"by default": {nil, "VirtualTopic.T", "x@Consumer.A.VirtualTopic.T<VirtualTopic.T x@Consumer.B.VirtualTopic.T<VirtualTopic.T x@VirtualTopic.T"},
		"none":       {[]VirtualTopic{}, "VirtualTopic.T", "x@VirtualTopic.T"},
		"another":    {[]VirtualTopic{{Topic: "T.>", Prefix: "Consumer.*."}}, "VirtualTopic.T", "x@VirtualTopic.T"},
		"two that fit make one copy": {[]VirtualTopic{{Topic: "VirtualTopic.>", Prefix: "Consumer.A."}, {Topic: "VirtualTopic.*", Prefix: "Consumer.*."}}, "VirtualTopic.T",
			"x@Consumer.A.VirtualTopic.T<VirtualTopic.T x@Consumer.B.VirtualTopic.T<VirtualTopic.T x@VirtualTopic.T"},
		"hidden": {[]VirtualTopic{{Topic: "VirtualTopic.>", Prefix: "Consumer.*.", HidesTopic: true}}, "VirtualTopic.T", "x@Consumer.A.VirtualTopic.T x@Consumer.B.VirtualTopic.T x@VirtualTopic.T"},
	}
	for name, tt := range tests {
		for _, persistent := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, persistent %v", name, persistent), func(t *testing.T) {
				r := virtualRig(t, tt.rules...)
				r.opt.Policies.VirtualTopics = tt.rules
				r.do(&Configure{Policies: Policies{VirtualTopics: tt.rules}})
				c := r.connect("a", "")
				r.consume(c, 1, tq("Consumer.B.VirtualTopic.T"), 10)
				r.consume(c, 2, aTopic(tt.topic), 10)
				r.consume(c, 3, tq("Consumer.A.VirtualTopic.T"), 10)
				r.consume(c, 4, tq("Consumer.A.VirtualTopic.Other"), 10)
				got := r.send(c, r.msg(aTopic(tt.topic), "x", func(m *message.Message) { m.Persistent = persistent }))
				if s := sorted(routed(got)); s != tt.want {
					t.Errorf("got %q, want %q", s, tt.want)
				}
			})
		}
	}
}

func aTopic(name string) message.Destination {
	return message.Destination{Kind: message.Topic, Name: name}
}

func sorted(s string) string {
	all := strings.Fields(s)
	for i := range all {
		for j := range i {
			if all[i] < all[j] {
				all[i], all[j] = all[j], all[i]
			}
		}
	}
	return strings.Join(all, " ")
}

// A copy for each queue is one record, and comes back after a crash, also when the topic was never heard of in the log.
func TestVirtualTopicRecovered(t *testing.T) {
	r := newRig(t, Options{})
	c := r.connect("a", "id")
	for _, q := range []string{"Consumer.A.VirtualTopic.T", "Consumer.B.VirtualTopic.T", "Consumer.C.VirtualTopic.>"} {
		if strings.HasSuffix(q, ">") {
			r.consume(c, 9, tq(q), 0)
			continue
		}
		r.do(&CreateDestination{Destination: tq(q)})
	}
	r.consume(c, 1, aTopic("VirtualTopic.T"), 0, func(s *Subscribe) { s.Name = "durable" })
	before := len(r.log)
	r.send(c, r.msg(aTopic("VirtualTopic.T"), "x"))
	if n := len(r.log) - before; n != 1 {
		t.Errorf("the message is in %d records, want 1", n)
	}
	r.sendTx(c, 1, r.msg(aTopic("VirtualTopic.T"), "y"))
	r.commit(c, 1)
	r.sendTx(c, 2, r.msg(aTopic("VirtualTopic.T"), "z"))
	r.crash()
	c = r.connect("a", "id")
	for _, q := range []string{"Consumer.A.VirtualTopic.T", "Consumer.B.VirtualTopic.T", "Consumer.C.VirtualTopic.>"} {
		want := fmt.Sprintf("x@%s<VirtualTopic.T y@%s<VirtualTopic.T", q, q)
		if got := routed(r.consume(c, 1, tq(q), 10)); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		r.do(&Unsubscribe{Conn: c, Consumer: 1})
	}
	if got, want := routed(r.consume(c, 2, aTopic("VirtualTopic.T"), 10, func(s *Subscribe) { s.Name = "durable" })), "x@VirtualTopic.T y@VirtualTopic.T"; got != want {
		t.Errorf("the subscription got %q, want %q", got, want)
	}
	if got, want := routed(r.send(c, r.msg(aTopic("VirtualTopic.T"), "w"))), "w@VirtualTopic.T"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if v := r.look(tq("Consumer.C.VirtualTopic.>")); v.Size != 3 {
		t.Errorf("the queue of the pattern has %d messages, want 3", v.Size)
	}
	if got := fmt.Sprint(r.look(aTopic("VirtualTopic.T")).Routes); got != "[queue://Consumer.A.VirtualTopic.T queue://Consumer.B.VirtualTopic.T queue://Consumer.C.VirtualTopic.>]" {
		t.Errorf("the topic's routes are %s", got)
	}
	r.do(&RemoveDestination{Destination: tq("Consumer.A.VirtualTopic.T")}, &RemoveDestination{Destination: tq("Consumer.C.VirtualTopic.>")})
	r.send(c, r.msg(aTopic("VirtualTopic.T"), "v"))
	if v := r.look(tq("Consumer.B.VirtualTopic.T")); v.Size != 4 {
		t.Errorf("queue B has %d messages, want 4", v.Size)
	}
	if n := len(r.b.routing.fans); n != 1 {
		t.Errorf("%d fans are known, want 1", n)
	}
}

// What a virtual topic has copied comes from its queue when it is dead.
func TestVirtualTopicDeadLetter(t *testing.T) {
	r := newRig(t, Options{})
	c := r.connect("a", "")
	r.consume(c, 1, tq("Consumer.A.VirtualTopic.T"), 10)
	d := r.send(c, r.msg(aTopic("VirtualTopic.T"), "x"))
	r.ack(c, 1, Poison, d[0])
	if got, want := routed(r.consume(c, 2, tq("ActiveMQ.DLQ"), 10)), "x@ActiveMQ.DLQ<Consumer.A.VirtualTopic.T"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSelectorAwareVirtualTopic(t *testing.T) {
	for _, remember := range []bool{false, true} {
		r := virtualRig(t, VirtualTopic{Topic: "V.>", Prefix: "C.*.", SelectorAware: true, RememberSelectors: remember})
		c := r.connect("a", "")
		for i, s := range []string{"n = 1", "n = 2", ""} {
			r.consume(c, ConsumerID(i+1), tq(fmt.Sprintf("C.%d.V.T", i+1)), 0, func(x *Subscribe) { x.Selector = s })
		}
		sizes := func() (s string) {
			for i := range 3 {
				s += fmt.Sprint(r.look(tq(fmt.Sprintf("C.%d.V.T", i+1))).Size)
			}
			return s
		}
		send := func() {
			for n := range 3 {
				r.send(c, r.msg(aTopic("V.T"), "x", prop("n", int32(n))))
			}
		}
		send()
		if got := sizes(); got != "113" {
			t.Errorf("with consumers the queues have %s messages, want 113", got)
		}
		for i := range 3 {
			r.do(&Unsubscribe{Conn: c, Consumer: ConsumerID(i + 1)})
		}
		send()
		want := map[bool]string{false: "113", true: "226"}[remember]
		if got := sizes(); got != want {
			t.Errorf("remember %v: without consumers the queues have %s messages, want %s", remember, got, want)
		}
		r.crash()
		c = r.connect("a", "")
		send()
		want = map[bool]string{false: "113", true: "339"}[remember]
		if got := sizes(); got != want {
			t.Errorf("remember %v: after a crash the queues have %s messages, want %s", remember, got, want)
		}
	}
}

// A queue without room for its copy makes the send fail, or goes without.
func TestDropWhenFull(t *testing.T) {
	for _, drop := range []bool{false, true} {
		r := newRig(t, Options{Policies: Policies{
			VirtualTopics: []VirtualTopic{{Topic: "V.>", Prefix: "C.*.", DropWhenFull: drop}},
			Destinations:  []Policy{{Destination: tq("C.full.>"), Keep: KeepPolicy{LastValueKey: "n", MaxKeys: 1}}},
		}})
		c := r.connect("a", "")
		for _, q := range []string{"C.full.V.T", "C.wide.V.T"} {
			r.do(&CreateDestination{Destination: tq(q)})
		}
		r.send(c, r.msg(aTopic("V.T"), "x", prop("n", int32(1))))
		second := &Send{Conn: c, Ref: 7, Message: r.msg(aTopic("V.T"), "y", prop("n", int32(2))), MayCreate: true}
		want := int64(1)
		if drop {
			r.ok(second, 7)
			want = 2
		} else {
			r.refused(Full, second, 7)
		}
		if full, wide := r.look(tq("C.full.V.T")).Size, r.look(tq("C.wide.V.T")).Size; full != 1 || wide != want {
			t.Errorf("drop %v: the queues have %d and %d messages, want 1 and %d", drop, full, wide, want)
		}
	}
}

func TestRememberedSelectorsAreBounded(t *testing.T) {
	r := virtualRig(t, VirtualTopic{Topic: "V.>", Prefix: "C.*.", SelectorAware: true, RememberSelectors: true})
	c := r.connect("a", "")
	for i := range maxRemembered + 1 {
		r.consume(c, 1, tq("C.1.V.T"), 0, func(x *Subscribe) { x.Selector = fmt.Sprintf("n = %d", i+1) })
		r.do(&Unsubscribe{Conn: c, Consumer: 1})
		r.send(c, r.msg(aTopic("V.T"), "x", prop("n", int32(0))))
		if v, want := r.look(tq("C.1.V.T")), int64(i/maxRemembered); v.Size != want {
			t.Fatalf("with %d selectors the queue has %d messages, want %d", i+1, v.Size, want)
		}
	}
	if n := len(r.b.destinations[tq("C.1.V.T")].remembered.texts); n != 1 {
		t.Errorf("%d selectors are remembered, want 1 that takes all", n)
	}
}

func TestComposite(t *testing.T) {
	forward := func(to string, selector string) Forward {
		d, _ := message.ParseDestination(to, message.Queue)
		return Forward{Destination: d, Selector: selector}
	}
	policies := Policies{
		Composites: []Composite{
			{Destination: tq("only"), ForwardTo: []Forward{forward("a", ""), forward("topic://t", "")}},
			{Destination: tq("also"), AlsoHere: true, ForwardTo: []Forward{forward("a", "")}},
			{Destination: tq("pick"), WhenNotMatched: true, AlsoHere: true, ForwardTo: []Forward{forward("a", "n = 1"), forward("b", "n > 0")}},
			{Destination: tq("drop"), ForwardTo: []Forward{forward("a", "n = 1")}},
			{Destination: tq("wild.>"), ForwardTo: []Forward{forward("a", "")}},
			{Destination: tq("chain"), ForwardTo: []Forward{forward("only", ""), forward("topic://VirtualTopic.V", "")}},
			{Destination: aTopic("top"), AlsoHere: true, ForwardTo: []Forward{forward("a", "")}},
			{Destination: tq("loop"), ForwardTo: []Forward{forward("pool", "")}},
			{Destination: tq("pool"), ForwardTo: []Forward{forward("loop", "")}},
			{Destination: tq("twice"), ForwardTo: []Forward{forward("twice", ""), forward("twice", "")}},
		},
		Mirrors: []Mirror{{Queues: tq("m.>"), Prefix: "VirtualTopic.Mirror."}},
	}
	tests := map[string]struct {
		to   message.Destination
		n    int
		want string // sorted; "!" is refused
	}{
		"forward only":          {tq("only"), 0, "x@a<only x@t<only"},
		"here too":              {tq("also"), 0, "x@a<also x@also"},
		"one fits":              {tq("pick"), 2, "x@b<pick"},
		"two fit":               {tq("pick"), 1, "x@a<pick x@b<pick"},
		"none fits":             {tq("pick"), 0, "x@pick"},
		"none fits and gone":    {tq("drop"), 0, ""},
		"by a pattern":          {tq("wild.a"), 0, "x@a<wild.a"},
		"onward":                {tq("chain"), 0, "x@Consumer.C.VirtualTopic.V<VirtualTopic.V x@a<only x@t<only"},
		"a topic":               {aTopic("top"), 0, "x@a<top x@top"},
		"a circle":              {tq("loop"), 0, "!"},
		"a circle that doubles": {tq("twice"), 0, "!"},
		"mirror":                {tq("m.1"), 0, "x@VirtualTopic.Mirror.m.1 x@m.1"},
		"names":                 {tq("a,m.1,only"), 0, "x@VirtualTopic.Mirror.m.1<a,m.1,only x@a<a,m.1,only x@a<only x@m.1<a,m.1,only x@t<only"},
	}
	for name, tt := range tests {
		for _, tx := range []TxID{0, 1} {
			t.Run(fmt.Sprintf("%s, tx %d", name, tx), func(t *testing.T) {
				r := newRig(t, Options{Policies: policies})
				c := r.connect("a", "")
				for i, d := range []message.Destination{tq("a"), tq("b"), tq("only"), tq("also"), tq("pick"), tq("drop"), tq("wild.a"), tq("chain"), tq("loop"), tq("pool"), tq("twice"), tq("m.1"),
					aTopic("t"), aTopic("top"), aTopic("VirtualTopic.Mirror.m.1"), tq("Consumer.C.VirtualTopic.V")} {
					r.consume(c, ConsumerID(i+1), d, 10)
				}
				m := r.msg(tt.to, "x", prop("n", int32(tt.n)))
				ev := &Send{Conn: c, Ref: 77, Tx: tx, Message: m, MayCreate: true}
				if tt.want == "!" {
					if err := r.refused(IllegalState, ev, 77); !strings.Contains(err.Detail, "configuration") && !strings.Contains(err.Detail, "more than") {
						t.Errorf("got error %v", err)
					}
					return
				}
				got := r.ok(ev, 77)
				if tx != 0 {
					r.want(got, "")
					got = r.commit(c, tx)
				}
				if s := sorted(routed(got)); s != tt.want {
					t.Errorf("got %q, want %q", s, tt.want)
				}
			})
		}
	}
}

func TestSendToPatternIsRefused(t *testing.T) {
	r := newRig(t, Options{})
	c := r.connect("a", "")
	r.consume(c, 1, tq("Consumer.A.VirtualTopic.>"), 0)
	for _, to := range []message.Destination{tq("a.*"), tq("a.>"), aTopic(">"), tq("b,a.*"), tq("Consumer.A.VirtualTopic.>")} {
		if err := r.refused(InvalidDestination, &Send{Conn: c, Ref: 5, Message: r.msg(to, "x"), MayCreate: true}, 5); !strings.Contains(err.Detail, "pattern") {
			t.Errorf("%s: got error %v", to, err)
		}
	}
	r.send(c, r.msg(tq("a*b"), "x")) // which is no pattern
}
