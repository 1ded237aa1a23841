package broker

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/godwitmq/godwit/message"
)

// advisories shows the advisories among effects: topic, what it is about, + or - and the properties.
func advisories(effects []Effect, conn ConnID) string {
	var all []string
	for _, x := range deliveries(effects, conn, 0) {
		text := strings.TrimPrefix(x.Message.Destination.Name, advisoryPrefix)
		a := x.Message.Advisory
		if a == nil {
			all = append(all, text+" itself "+string(x.Message.Content))
			continue
		}
		if a.Removed {
			text += " gone"
		}
		switch a.Kind {
		case message.AboutConnection:
			text += " " + a.ClientID
		case message.AboutMessage:
			text += " " + a.Message.Destination.Name + " " + a.Message.ID.String()
			if a.Message.Content != nil {
				text += " " + string(a.Message.Content)
			}
		case message.AboutDestination:
			text += " " + a.Destination.Name
		case message.AboutSubscription:
			text += " " + a.ClientID + "/" + a.Subscription
		default:
			text += " " + a.ID
		}
		_ = x.Message.Properties.Range(func(name string, value any) bool {
			text += fmt.Sprintf(" %s=%v", name, value)
			return true
		})
		all = append(all, text)
	}
	return strings.Join(all, "\n")
}

func (r *rig) watch(name string) ConnID {
	r.t.Helper()
	w := r.connect("watcher", "w")
	r.consume(w, 1, tt(advisoryPrefix+name), 1000)
	return w
}

func advise(p AdvisoryPolicy) Options {
	return Options{Policies: Policies{Default: Policy{Advisories: p}}}
}

// What a subscriber of an advisory topic sees while something is done.
func TestAdvisories(t *testing.T) {
	label := func(s *Subscribe) { s.Label = "C" }
	tests := map[string]struct {
		opt  Options
		on   string
		do   func(r *rig, c ConnID)
		want string
	}{
		"connection": {Options{}, "Connection", func(r *rig, c ConnID) {
			x := r.connect("b", "B")
			r.do(&Disconnect{Conn: x})
		}, "Connection B\nConnection gone B"},
		"its own API is no client": {Options{}, "Connection", func(r *rig, c ConnID) {
			r.ok(&Connect{Conn: 50, Ref: 1, Protocol: "http"}, 1)
			r.do(&Disconnect{Conn: 50})
		}, ""},
		"queue": {Options{}, ">", func(r *rig, c ConnID) {
			r.do(&CreateDestination{Destination: tq("Q")})
			r.do(&RemoveDestination{Destination: tq("Q")})
		}, "Queue Q\nQueue gone Q"},
		"producer": {Options{}, "Producer.Queue.Q", func(r *rig, c ConnID) {
			r.do(&CreateDestination{Destination: tq("Q")}, &AddProducer{Conn: c, Producer: 1, Destination: tq("Q"), Label: "P"}, &AddProducer{Conn: c, Producer: 2}, &RemoveProducer{Conn: c, Producer: 1})
		}, "Producer.Queue.Q P producerCount=1\nProducer.Queue.Q gone P producerCount=0"},
		"composite producer": {Options{}, "Producer.>", func(r *rig, c ConnID) {
			r.do(&AddProducer{Conn: c, Producer: 1, Destination: tq("A,topic://B"), Label: "P"}, &Disconnect{Conn: c})
		}, "Producer.Queue.A P producerCount=1\nProducer.Topic.B P producerCount=1\nProducer.Queue.A gone P producerCount=0\nProducer.Topic.B gone P producerCount=0"},
		"consumer": {Options{}, "Consumer.Queue.Q", func(r *rig, c ConnID) {
			r.consume(c, 1, tq("Q"), 1, label)
			r.do(&Unsubscribe{Conn: c, Consumer: 1})
		}, "Consumer.Queue.Q C consumerCount=1\nConsumer.Queue.Q gone C consumerCount=0"},
		"consumers of several": {Options{}, "Consumer.>", func(r *rig, c ConnID) {
			r.consume(c, 1, tq("A,B"), 1, label)
			r.consume(c, 2, tq("W.>"), 1, label)
		}, "Consumer.Queue.A&sbquo;B C consumerCount=0\nConsumer.Queue.W.> C consumerCount=0"},
		"durable subscription": {Options{}, "Consumer.Topic.T", func(r *rig, c ConnID) {
			r.consume(c, 1, tt("T"), 1, label, func(s *Subscribe) { s.Name = "s" })
			r.do(&Unsubscribe{Conn: c, Consumer: 1})
			r.do(&RemoveSubscription{Conn: c, Ref: 5, ClientID: "A", Name: "s"})
		}, "Consumer.Topic.T C consumerCount=1\nConsumer.Topic.T gone C consumerCount=1\nConsumer.Topic.T gone A/s consumerCount=0"},
		"expired": {Options{}, ">", func(r *rig, c ConnID) {
			r.send(c, r.msg(tq("Q"), "x", expires(r.now+5)))
			r.now += 10
			r.do(Tick{})
		}, "Queue Q\nQueue ActiveMQ.DLQ\nMessageDLQd.Queue.Q Q p:1\nExpired.Queue.Q Q p:1 orignalMessageId=p:1"},
		"expired and dropped, only in the log": {Options{CacheBytes: 1, Policies: Policies{Default: Policy{DeadLetter: DeadLetterPolicy{DropExpired: true}}}}, "Expired.>", func(r *rig, c ConnID) {
			r.send(c, r.msg(tq("Q"), "x", expires(r.now+5)))
			r.now += 10
			r.do(Tick{})
		}, "Expired.Queue.Q Q p:1 orignalMessageId=p:1"},
		"dead letter": {Options{}, "MessageDLQd.Queue.Q", func(r *rig, c ConnID) {
			r.send(c, r.msg(tq("Q"), "x"))
			r.ack(c, 1, Poison, r.consume(c, 1, tq("Q"), 1)[0])
		}, "MessageDLQd.Queue.Q Q p:1"},
		"none of these by default": {Options{}, ">", func(r *rig, c ConnID) {
			r.send(c, r.msg(tt("T"), "x", transient))
		}, "Topic T"},
		"delivered": {advise(AdvisoryPolicy{Delivered: true}), "MessageDelivered.>", func(r *rig, c ConnID) {
			r.send(c, r.msg(tq("Q"), "x"))
			r.send(c, r.msg(tt("T"), "y"))
		}, "MessageDelivered.Queue.Q Q p:1 orignalDestination=queue://Q orignalMessageId=p:1\nMessageDelivered.Topic.T T p:2 orignalDestination=topic://T orignalMessageId=p:2"},
		"delivered with its body, at the commit": {advise(AdvisoryPolicy{Delivered: true, Bodies: true}), "MessageDelivered.>", func(r *rig, c ConnID) {
			r.sendTx(c, 1, r.msg(tq("Q"), "x"))
			r.commit(c, 1)
		}, "MessageDelivered.Queue.Q Q p:1 x orignalDestination=queue://Q orignalMessageId=p:1"},
		"dispatched": {advise(AdvisoryPolicy{Dispatched: true}), "MessageDispatched.>", func(r *rig, c ConnID) {
			r.consume(c, 1, tq("Q"), 1, label)
			r.send(c, r.msg(tq("Q"), "x"))
		}, "MessageDispatched.Queue.Q Q p:1 consumerId=C orignalDestination=queue://Q orignalMessageId=p:1"},
		"consumed, only in the log": {advise(AdvisoryPolicy{Consumed: true}), "MessageConsumed.>", func(r *rig, c ConnID) {
			for range 2 {
				r.send(c, r.msg(tq("Q"), "x"))
			}
			d := r.consume(c, 1, tq("Q"), 5)
			r.ack(c, 1, Consumed, d[0])
			r.ack(c, 1, Consumed, d[1], inTx(1))
			r.commit(c, 1)
		}, "MessageConsumed.Queue.Q Q p:1 orignalDestination=queue://Q orignalMessageId=p:1\nMessageConsumed.Queue.Q Q p:2 orignalDestination=queue://Q orignalMessageId=p:2"},
		"no consumer": {advise(AdvisoryPolicy{NoConsumer: true}), "NoConsumer.>", func(r *rig, c ConnID) {
			r.send(c, r.msg(tq("Q"), "persistent"))
			r.send(c, r.msg(tq("Q"), "np", transient))
			r.send(c, r.msg(tt("T"), "np", transient))
			r.consume(c, 1, tq("Q"), 1)
			r.send(c, r.msg(tq("Q"), "taken", transient))
		}, "NoConsumer.Queue.Q itself np\nNoConsumer.Topic.T itself np"},
		"slow consumer": {advise(AdvisoryPolicy{SlowConsumer: true}), "SlowConsumer.>", func(r *rig, c ConnID) {
			d := r.consume(c, 1, tq("Q"), 1, label)
			for range 3 {
				d = append(d, deliveries(r.send(c, r.msg(tq("Q"), "x")), c, 1)...)
			}
			r.do(&SetPrefetch{Conn: c, Consumer: 1, Prefetch: 9})
			r.do(&SetPrefetch{Conn: c, Consumer: 1, Prefetch: 1})
			r.send(c, r.msg(tq("Q"), "x"))
		}, "SlowConsumer.Queue.Q C consumerId=C\nSlowConsumer.Queue.Q C consumerId=C"},
		"discarded": {discards(Options{}), "MessageDiscarded.>", func(r *rig, c ConnID) {
			r.consume(c, 1, tt("T"), 1, label)
			for range 4 {
				r.send(c, r.msg(tt("T"), "x"))
			}
		}, "MessageDiscarded.Topic.T T p:2 discardedCount=1 consumerId=C orignalDestination=topic://T orignalMessageId=p:2\n" +
			"MessageDiscarded.Topic.T T p:3 discardedCount=2 consumerId=C orignalDestination=topic://T orignalMessageId=p:3"},
		"discarded, only in the log": {discards(Options{CacheBytes: 1, MemoryBytes: 1}), "MessageDiscarded.>", func(r *rig, c ConnID) {
			r.consume(c, 1, tt("T"), 1, label)
			for range 3 {
				r.send(c, r.msg(tt("T"), "x", transient))
			}
		}, "MessageDiscarded.Topic.T T p:2 discardedCount=1 consumerId=C orignalDestination=topic://T orignalMessageId=p:2"},
		"full, and who is held up": {fullOfTwo(LimitPolicy{Messages: 2, Wait: -1}), ">", func(r *rig, c ConnID) {
			for range 2 {
				r.send(c, r.msg(tq("Q"), "x"))
			}
			r.refused(Full, &Send{Conn: c, Ref: 5, Message: r.msg(tq("Q"), "one too many")}, 5)
		}, "Queue Q\nFULL.Queue.Q  usageName=room usageCount=BYTES\nFastProducer.Queue.Q p producerId=p"},
		"full for who waits, and again": {fullOfTwo(LimitPolicy{Messages: 2}), "FULL.>,ActiveMQ.Advisory.FastProducer.>", func(r *rig, c ConnID) {
			for range 2 {
				r.send(c, r.msg(tq("Q"), "x"))
			}
			r.do(r.sending(c, r.msg(tq("Q"), "waits")))
			r.do(&Purge{Conn: c, Destination: tq("Q")}) // it has room
			r.send(c, r.msg(tq("Q"), "x"))
			r.do(r.sending(c, r.msg(tq("Q"), "waits")))
		}, "FULL.Queue.Q  usageName=room usageCount=BYTES\nFastProducer.Queue.Q p producerId=p\nFULL.Queue.Q  usageName=room usageCount=BYTES\nFastProducer.Queue.Q p producerId=p"},
		"full topic, of nobody's": {fullOfTwo(LimitPolicy{Messages: 2}), "FULL.>", func(r *rig, c ConnID) {
			for range 4 {
				r.send(c, r.msg(tt("T"), "x"))
			}
		}, ""},
		"all off": {Options{Policies: Policies{NoAdvisories: true}}, ">", func(r *rig, c ConnID) {
			r.send(c, r.msg(tq("Q"), "x"))
			r.connect("b", "B")
		}, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, tt.opt)
			c := r.connect("a", "A")
			w := r.watch(tt.on)
			var got []string
			r.heard = func(e Effect) {
				if text := advisories([]Effect{e}, w); text != "" {
					got = append(got, text)
				}
			}
			tt.do(r, c)
			text := regexp.MustCompile("usageCount=[1-9][0-9]+").ReplaceAllString(strings.Join(got, "\n"), "usageCount=BYTES")
			if text != tt.want {
				t.Errorf("got\n%s\nwant\n%s", text, tt.want)
			}
		})
	}
}

// discards has a topic's subscriber lose all but one of the messages that wait for it.
func discards(opt Options) Options {
	opt.Policies.Default = Policy{Advisories: AdvisoryPolicy{Discarded: true}, Subscribers: SubscriberPolicy{Limited: true, PendingLimit: 1}}
	return opt
}

func fullOfTwo(l LimitPolicy) Options {
	return Options{Policies: Policies{Default: Policy{Advisories: AdvisoryPolicy{Full: true, FastProducer: true}, Limit: l}}}
}

// Of a flood of messages whose bodies only the log has, so many are told that memory stays bounded; then all is as before.
func TestAdvisoriesOfAFlood(t *testing.T) {
	opt := advise(AdvisoryPolicy{Consumed: true})
	opt.CacheBytes = 1
	r := newRig(t, opt)
	r.lazy = true // bodies come when the flood is over
	c := r.connect("a", "A")
	w := r.watch("MessageConsumed.>")
	const flood = (maxLateLoads + 4) * loadMessages
	r.consume(c, 1, tq("Q"), flood)
	var last Effect
	for i := range flood {
		ev := &Send{Conn: c, Message: r.msg(tq("Q"), fmt.Sprint(i)), MayCreate: true}
		r.b.Progress(r.durable, r.room)
		r.b.Step(r.now, ev, &r.out)
		r.write()
		for _, e := range deliveries(r.out.List, c, 1) {
			last = e
		}
		r.out.Reset()
	}
	r.ack(c, 1, Consumed, last, upTo)
	told := 0
	r.lazy = false
	for len(r.loads) > 0 {
		l := r.loads[0]
		r.loads = r.loads[1:]
		told += len(deliveries(r.do(r.bring(l)), w, 1))
	}
	// The watcher has a window of 1000; the rest waits for it.
	waits := r.b.connections[w].consumers[1].subscription.backlog.size
	if told != 1000 || waits != maxLateLoads*loadMessages || r.b.lateLoads != 0 {
		t.Errorf("of %d messages %d were told at once, %d advisories are there, %d loads on their way; want 1000, %d, 0", flood, told, waits, r.b.lateLoads, maxLateLoads*loadMessages)
	}
	r.ack(c, 1, Consumed, deliveries(r.send(c, r.msg(tq("Q"), "after")), c, 1)[0])
	if now := r.b.connections[w].consumers[1].subscription.backlog.size; now != waits+1 {
		t.Errorf("after the flood %d advisories are there, want %d", now, waits+1)
	}
}

// Who comes later gets what is there.
func TestAdvisoryNewcomer(t *testing.T) {
	r := newRig(t, Options{})
	c := r.connect("ID:a", "A")
	r.consume(c, 1, tq("Q"), 1, func(s *Subscribe) { s.Label = "C" })
	r.consume(c, 2, tt("T"), 1)
	r.do(&AddProducer{Conn: c, Producer: 1, Destination: tq("Q"), Label: "P"})
	r.do(&CreateDestination{Conn: c, Destination: message.Destination{Kind: message.TempQueue, Name: "tmp"}})
	tests := map[string]string{
		"Connection":                            "Connection A\nConnection w",
		"Queue":                                 "Queue Q",
		"Topic":                                 "Topic T",
		"TempQueue":                             "TempQueue tmp",
		"Producer.Queue.>":                      "Producer.Queue.Q P producerCount=1",
		"Consumer.Queue.Q":                      "Consumer.Queue.Q C consumerCount=1",
		"Consumer.Topic.>":                      "Consumer.Topic.T ID:a:-1:2 consumerCount=1",
		"Consumer.>":                            "Consumer.Queue.Q C consumerCount=1\nConsumer.Topic.T ID:a:-1:2 consumerCount=1",
		"MasterBroker":                          "MasterBroker ",
		"Expired.Queue.Q":                       "",
		"TempQueue,ActiveMQ.Advisory.TempTopic": "TempQueue tmp",
	}
	for name, want := range tests {
		t.Run(name, func(t *testing.T) {
			w := r.connect("watcher", "w")
			if got := advisories(r.consume(w, 1, tt(advisoryPrefix+name), 1000), w); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			r.do(&Disconnect{Conn: w})
		})
	}
}

// A subscriber that does not read loses the oldest, and the broker's memory stays as it is.
func TestAdvisoriesAreBounded(t *testing.T) {
	r := newRig(t, Options{})
	w := r.connect("watcher", "w")
	r.consume(w, 1, tt(advisoryPrefix+"Queue"), 1)
	b := r.b
	for i := range maxAdvisories + 100 {
		b.Step(r.now, &CreateDestination{Destination: tq(fmt.Sprint("q", i))}, &r.out)
		r.write()
		r.out.Reset()
	}
	q := b.connections[w].consumers[1].subscription.backlog
	if q.ready != maxAdvisories || q.front().stored.message.Advisory.Destination.Name != "q100" {
		t.Errorf("%d advisories wait, the first about %v; want %d from q100 on", q.ready, q.front().stored.message.Advisory.Destination, maxAdvisories)
	}
}
