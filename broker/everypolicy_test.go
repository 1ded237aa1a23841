package broker

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/godwitmq/godwit/message"
)

// policyCase shows what one field of the operator's rules does: the same life is led with the rules as they are without it, and with it.
type policyCase struct {
	// field is its path in Policy, after "Policies." in Policies, after "Options." in Options. "[]" is the first of a list. What stands behind "=" names one of
	// several values that mean something else each.
	field  string
	value  any
	beside func(*Options) // rules that hold in both lives, those of Policy as Policies.Default
	life   func(*rig) string
	lasts  bool // what it has brought about stays when it is taken back
	// What the life comes to.
	without, with string
}

// policyCases has each field of Policy, Policies and Options: TestEveryPolicyHasACase sees to that. What the lives do is in policylives_test.go. They are lived
// at the queue Q and the topic T.
var policyCases = []policyCase{
	{field: "DeadLetter.Queue", value: "dead", life: diesInQueue, without: "queue://ActiveMQ.DLQ", with: "queue://dead"},
	{field: "DeadLetter.Individual.QueuePrefix", value: "D.", life: diesInQueue, without: "queue://ActiveMQ.DLQ", with: "queue://D.Q"},
	{field: "DeadLetter.Individual.QueueSuffix", value: ".D", life: diesInQueue, without: "queue://ActiveMQ.DLQ", with: "queue://Q.D"},
	{field: "DeadLetter.Individual.TopicPrefix", value: "D.", life: diesInTopic, without: "queue://ActiveMQ.DLQ", with: "queue://D.T"},
	{field: "DeadLetter.Individual.TopicSuffix", value: ".D", life: diesInTopic, without: "queue://ActiveMQ.DLQ", with: "queue://T.D"},
	{field: "DeadLetter.Individual.TopicForQueues", value: true, beside: individual, life: diesInQueue, without: "queue://D.Q", with: "topic://D.Q"},
	{field: "DeadLetter.Individual.TopicForTopics", value: true, beside: individual, life: diesInTopic, without: "queue://D.T", with: "topic://D.T"},
	{field: "DeadLetter.Individual.PerSubscription", value: true, beside: individual, life: diesInTopic, without: "queue://D.T", with: "queue://D.T.me:s"},
	{field: "DeadLetter.Discard", value: true, life: diesInQueue, without: "queue://ActiveMQ.DLQ"},
	{field: "DeadLetter.Drop", value: []*regexp.Regexp{regexp.MustCompile("^Q$")}, life: diesInQueue, without: "queue://ActiveMQ.DLQ"},
	{field: "DeadLetter.DropExpired", value: true, life: expiresInQueue, without: "queue://ActiveMQ.DLQ"},
	{field: "DeadLetter.KeepNonPersistent", value: true, life: diesTransient, with: "queue://ActiveMQ.DLQ"},
	{field: "DeadLetter.Expiration", value: time.Minute, life: diesLongAgo, without: "queue://ActiveMQ.DLQ"},

	{field: "Redelivery.Maximum", value: 2, life: attempts, without: "0 dead", with: "0 0 0 dead"},
	{field: "Redelivery.Maximum=-1", value: -1, life: attempts, without: "0 dead", with: "0 0 0 0 0 and on"},
	{field: "Redelivery.InitialDelay", value: time.Second, beside: redelivers(2, 0, 0), life: attempts, without: "0 0 0 dead", with: "0 1000 0 dead"},
	{field: "Redelivery.Delay", value: time.Second, beside: redelivers(2, 0, 0), life: attempts, without: "0 0 0 dead", with: "0 1000 1000 dead"},
	{field: "Redelivery.Multiplier", value: 3.0, beside: redelivers(3, 100, 0), life: attempts, without: "0 100 100 100 dead", with: "0 100 300 900 dead"},
	{field: "Redelivery.MaximumDelay", value: 250 * time.Millisecond, beside: redelivers(3, 100, 3), life: attempts, without: "0 100 300 900 dead", with: "0 100 250 250 dead"},
	{field: "Redelivery.CollisionAvoidance", value: 0.5, beside: redelivers(3, 1000, 0), life: evenAttempts, without: "even", with: "uneven"},
	{field: "Redelivery.Drop", value: true, life: attempts, without: "0 dead", with: "0 gone"},

	{field: "Consumers.Exclusive", value: true, life: atThree, without: "03 13 22 32 41 51", with: "03 13"},
	{field: "Consumers.StartConsumers", value: 2, life: secondComes, without: "4 then 0", with: "0 then 4"},
	{field: "Consumers.StartAfter", value: 2 * time.Second, life: secondComes, without: "4 then 0", with: "0 then 4"},
	{field: "Consumers.StrictOrder", value: true, life: atTwo, without: "01 12 21 32", with: "01 11 22 32"},
	{field: "Consumers.IgnorePriority", value: true, life: atThree, without: "03 13 22 32 41 51", with: "01 12 23 31 42 53"},
	{field: "Consumers.MaxBrowse", value: 2, life: browses, without: "0 1 2 3", with: "0 1"},
	{field: "Consumers.ShrinkIdleWindow", value: time.Second, life: window, without: "20", with: "8"},
	{field: "Consumers.GroupLease", value: 10 * time.Second, life: groupOfAFullOwner, with: "a2!"},
	{field: "Consumers.StickyGroups", value: true, life: groupsAreShared, without: "A2! B2! C1 D1", with: "A1 B1 C1 D1"},

	{field: "Subscribers.Limited", value: true, beside: pendingOf(2, 0), life: falls(0), without: "0 1 2 3 4 5 6 7 8 9", with: "0 8 9"},
	{field: "Subscribers.PendingLimit", value: 2, beside: limitedSubscribers, life: falls(0), without: "0", with: "0 8 9"},
	{field: "Subscribers.PendingRate", value: 3.0, beside: limitedSubscribers, life: falls(0), without: "0", with: "0 7 8 9"},
	{field: "Subscribers.Eviction=1", value: EvictLowestPriority, beside: limitedTo(2), life: falls(3), without: "0 8 9", with: "0 3 9"},
	{field: "Subscribers.Eviction=2", value: EvictByProperty, beside: alsoWith(limitedTo(2), func(p *Policy) { p.Subscribers.EvictionProperty = "third" }), life: falls(2), without: "0 8 9", with: "0 2 9"},
	{field: "Subscribers.EvictionProperty", value: "third", beside: alsoWith(limitedTo(2), func(p *Policy) { p.Subscribers.Eviction = EvictByProperty }), life: falls(2), without: "0 8 9", with: "0 2 9"},
	{field: "Subscribers.Recovery=1", value: RecoverLast, life: comesLate(retroactive), with: "9"},
	{field: "Subscribers.Recovery=2", value: RecoverCount, life: comesLate(retroactive), with: "0 1 2 3 4 5 6 7 8 9"},
	{field: "Subscribers.Recovery=3", value: RecoverSize, life: comesLate(retroactive), with: "0 1 2 3 4 5 6 7 8 9"},
	{field: "Subscribers.Recovery=4", value: RecoverTime, life: comesLate(retroactive), with: "0 1 2 3 4 5 6 7 8 9"},
	{field: "Subscribers.Recovery=5", value: RecoverRetained, life: comesLate(retroactive), with: "3"},
	{field: "Subscribers.RecoveryCount", value: 3, beside: recovers(RecoverCount), life: comesLate(retroactive), without: "0 1 2 3 4 5 6 7 8 9", with: "7 8 9"},
	{field: "Subscribers.RecoverySize", value: int64(1), beside: recovers(RecoverSize), life: comesLate(retroactive), without: "0 1 2 3 4 5 6 7 8 9", with: "9"},
	{field: "Subscribers.RecoveryTime", value: 3500 * time.Millisecond, beside: recovers(RecoverTime), life: comesLate(retroactive), without: "0 1 2 3 4 5 6 7 8 9", with: "7 8 9"},
	{field: "Subscribers.AlwaysRetroactive", value: true, beside: recovers(RecoverLast), life: comesLate(func(*Subscribe) {}), with: "9"},
	{field: "Subscribers.OfflineTimeout", value: time.Minute, life: staysAway, without: "there", with: "gone"},

	{field: "Slow.MaxTime", value: 10 * time.Second, beside: checksOften, life: isSlow, without: "there", with: "ended"},
	{field: "Slow.MaxCount", value: 2, beside: checksOften, life: becomesSlow, without: "there", with: "ended"},
	{field: "Slow.MaxSinceAck", value: 10 * time.Second, beside: checksOften, life: isSlow, without: "there", with: "ended"},
	{field: "Slow.CountIdle", value: true, beside: alsoWith(checksOften, func(p *Policy) { p.Slow.MaxSinceAck = 10 * time.Second }), life: isIdle, without: "there", with: "ended"},
	{field: "Slow.AbortConnection", value: true, beside: alsoWith(checksOften, func(p *Policy) { p.Slow.MaxTime = 10 * time.Second }), life: isSlow, without: "ended", with: "disconnected"},
	{field: "Slow.CheckPeriod", value: time.Second, beside: policy(func(p *Policy) { p.Slow.MaxTime = 10 * time.Second }), life: isSlow, without: "there", with: "ended"},

	{field: "Expiry.Default", value: time.Minute, life: waitsFor(2 * time.Minute), without: "there", with: "gone"},
	{field: "Expiry.Ceiling", value: time.Minute, life: waitsFor(2*time.Minute, livesFor(time.Hour)), without: "there", with: "gone"},
	{field: "Expiry.BrokerTime", value: true, life: waitsFor(time.Second, sentLongAgo), without: "gone", with: "there"},
	{field: "Expiry.FutureOnly", value: true, beside: policy(func(p *Policy) { p.Expiry = &ExpiryPolicy{Ceiling: time.Minute} }), life: waitsFor(2*time.Minute, livesFor(time.Hour)), without: "gone", with: "there"},

	{field: "Keep.LastValueKey", value: "key", life: keeps, without: "a1 b1 a2 c1", with: "b1 a2 c1"},
	{field: "Keep.MaxKeys", value: 2, beside: policy(func(p *Policy) { p.Keep.LastValueKey = "key" }), life: keeps, without: "b1 a2 c1", with: "b1 a2, c1 refused"},
	{field: "Keep.Ring", value: 2, life: keeps, without: "a1 b1 a2 c1", with: "a2 c1"},

	{field: "Inactive.Remove", value: true, life: unused, without: "A B", with: ""},
	{field: "Inactive.After", value: time.Hour, beside: removesInactive, life: unused, without: "", with: "A B"},
	{field: "MaxDestinations", value: 5, life: manyQueues, without: "ok", with: "full"},

	{field: "Advisories.Delivered", value: true, beside: allHappens, life: advised, with: "MessageDelivered"},
	{field: "Advisories.Dispatched", value: true, beside: allHappens, life: advised, with: "MessageDispatched"},
	{field: "Advisories.Consumed", value: true, beside: allHappens, life: advised, with: "MessageConsumed"},
	{field: "Advisories.Discarded", value: true, beside: allHappens, life: advised, with: "MessageDiscarded"},
	{field: "Advisories.NoConsumer", value: true, beside: allHappens, life: advised, with: "NoConsumer"},
	{field: "Advisories.SlowConsumer", value: true, beside: allHappens, life: advised, with: "SlowConsumer"},
	{field: "Advisories.FastProducer", value: true, beside: allHappens, life: advised, with: "FastProducer"},
	{field: "Advisories.Full", value: true, beside: allHappens, life: advised, with: "FULL"},
	{field: "Advisories.Bodies", value: true, beside: policy(func(p *Policy) { p.Advisories.Delivered = true }), life: advisedOf, with: "text"},

	{field: "Limit.Messages", value: 2, life: fills, without: "taken", with: "refused after 30000"},
	{field: "Limit.Bytes", value: int64(2000), life: fills, without: "taken", with: "refused after 30000"},
	{field: "Limit.Wait", value: time.Second, beside: policy(func(p *Policy) { p.Limit.Messages = 2 }), life: fills, without: "refused after 30000", with: "refused after 1000"},
	{field: "Limit.Wait=-1", value: time.Duration(-1), beside: policy(func(p *Policy) { p.Limit.Messages = 2 }), life: fills, without: "refused after 30000", with: "refused after 0"},

	{field: "Policies.Scheduler.Off", value: true, life: delayedBySchedule, without: "x@1000", with: "x@0"},
	{field: "Policies.Scheduler.MaxRepeat", value: 1, life: repeats, without: "x@10 x@20 x@30", with: "refused"},
	{field: "Policies.Scheduler.MaxJobs", value: 1, life: schedulesTwo, without: "ok", with: "refused"},
	{field: "Policies.VirtualTopics[].Topic", value: "T", beside: virtual(VirtualTopic{Prefix: "C.*."}), life: copied, with: "C.A.T"},
	{field: "Policies.VirtualTopics[].Prefix", value: "C.*.", beside: virtual(VirtualTopic{Topic: "T"}), life: copied, with: "C.A.T"},
	{field: "Policies.VirtualTopics[].Postfix", value: ".C", beside: virtual(VirtualTopic{Topic: "T", Prefix: "C.*."}), life: copied, without: "C.A.T", with: "C.A.T.C"},
	{field: "Policies.VirtualTopics[].SelectorAware", value: true, beside: virtual(VirtualTopic{Topic: "T", Prefix: "C.*."}), life: copied, without: "C.A.T"},
	{field: "Policies.VirtualTopics[].RememberSelectors", value: true, beside: virtual(VirtualTopic{Topic: "T", Prefix: "C.*.", SelectorAware: true}), life: copiesLater, with: "1"},
	{field: "Policies.VirtualTopics[].DropWhenFull", value: true, beside: alsoWith(virtual(VirtualTopic{Topic: "T", Prefix: "C.*."}), func(p *Policy) { p.Limit = LimitPolicy{Messages: 1, Wait: -1} }), life: copiesTwo, without: "ok full", with: "ok ok"},
	{field: "Policies.VirtualTopics[].HidesTopic", value: true, beside: virtual(VirtualTopic{Topic: "T", Prefix: "C.*."}), life: originOfCopy, without: "x@C.A.T<T", with: "x@C.A.T"},
	{field: "Policies.Composites[].Destination", value: tq("Q"), beside: composed(Composite{ForwardTo: []Forward{{Destination: tq("F")}}}), life: forwarded, without: "Q", with: "F"},
	{field: "Policies.Composites[].ForwardTo[].Destination", value: tq("F"), beside: composed(Composite{Destination: tq("Q"), ForwardTo: []Forward{{Destination: tq("G")}}}), life: forwarded, without: "G", with: "F"},
	{field: "Policies.Composites[].ForwardTo[].Selector", value: "n = 2", beside: composed(Composite{Destination: tq("Q"), ForwardTo: []Forward{{Destination: tq("F")}}}), life: forwarded, without: "F"},
	{field: "Policies.Composites[].AlsoHere", value: true, beside: composed(Composite{Destination: tq("Q"), ForwardTo: []Forward{{Destination: tq("F")}}}), life: forwarded, without: "F", with: "F Q"},
	{field: "Policies.Composites[].WhenNotMatched", value: true, beside: composed(Composite{Destination: tq("Q"), ForwardTo: []Forward{{Destination: tq("F"), Selector: "n = 2"}}}), life: forwarded, with: "Q"},
	{field: "Policies.Mirrors[].Queues", value: tq("Q"), beside: mirrored(Mirror{Prefix: "M."}), life: mirrors, with: "topic://M.Q"},
	{field: "Policies.Mirrors[].Prefix", value: "M.", beside: mirrored(Mirror{Queues: tq("Q")}), life: mirrors, without: "topic://Q", with: "topic://M.Q"},
	{field: "Policies.Mirrors[].Postfix", value: ".M", beside: mirrored(Mirror{Queues: tq("Q")}), life: mirrors, without: "topic://Q", with: "topic://Q.M"},
	{field: "Policies.Create", value: []message.Destination{tq("C")}, life: isThere("C"), lasts: true, without: "false", with: "true"},
	{field: "Policies.Sweep.Every", value: time.Hour, beside: removesInactive, life: unused, without: "", with: "A B"},
	{field: "Policies.Sweep.Maximum", value: 1, beside: removesInactive, life: unusedBriefly, without: "", with: "B"},
	{field: "Policies.NoAdvisories", value: true, life: newcomer, without: "Queue new"},
	{field: "Policies.NoStatistics", value: true, life: asksStatistics, without: "answered", with: "not answered"},

	{field: "Options.CacheBytes", value: int64(1), life: bodiesInMemory, without: "in memory", with: "in the log"},
	{field: "Options.MemoryBytes", value: int64(1), life: transientInMemory, without: "in memory", with: "in the log"},
	{field: "Options.SegmentBytes", value: int64(4 << 10), life: churns, without: "all there", with: "trimmed"},
	{field: "Options.PackFrom", value: 4, life: longBacklog, without: "entries", with: "packs"},
	{field: "Options.TemporaryGrace", value: 30 * time.Second, life: repliesAfterStop, without: "invalid destination", with: "reply"},
	{field: "Options.CarryBytes", value: int64(1 << 20), life: transientAcrossStop, without: "", with: "x"},
	{field: "Options.DrainAtOnce", value: 4, life: purgesInPieces, without: "0", with: "6"},
	{field: "Options.MaxDestinations", value: 5, life: manyQueues, without: "ok", with: "full"},
	{field: "Options.MaxProducers", value: 1, life: sendsAgain, without: "1 1", with: "2 1"},
	{field: "Options.MaxTransaction", value: 2, life: largeTransaction, without: "ok", with: "full"},
	{field: "Options.MaxPrepared", value: 1, life: preparesTwo, without: "ok ok", with: "ok 100"},
	{field: "Options.MaxOutcomes", value: 1, life: asksForOldOutcome, without: "ok ok", with: "transaction rolled back ok"},
	{field: "Options.Location", value: time.FixedZone("east", 3600), life: cronAtNoon, without: "12:00", with: "11:00"},
	{field: "Options.Name", value: "b", life: saysItsName, without: "Broker: godwit", with: "Broker: b"},
	{field: "Options.ID", value: "x", life: statistic("brokerId"), without: "", with: "x"},
	{field: "Options.Directory", value: "x", life: statistic("dataDirectory"), without: "", with: "x"},
	{field: "Options.Connectors", value: map[string]string{"openwire": "x"}, life: statistic("openwire"), without: "", with: "x"},
}

// noCases are fields that say for what the rest of a rule holds, which each way of TestEveryPolicy shows.
var noCases = []string{"Destination", "Policies.Default", "Policies.Destinations", "Options.Policies"}

// TestEveryPolicyHasACase keeps policyCases complete: a field that is added needs one.
func TestEveryPolicyHasACase(t *testing.T) {
	fields := append(leaves(reflect.TypeFor[Policy](), ""), leaves(reflect.TypeFor[Policies](), "Policies.")...)
	fields = append(fields, leaves(reflect.TypeFor[Options](), "Options.")...)
	fields = slices.DeleteFunc(fields, func(f string) bool {
		return slices.ContainsFunc(noCases, func(x string) bool { return f == x || strings.HasPrefix(f, x+".") || strings.HasPrefix(f, x+"[]") })
	})
	has := map[string]int{}
	for _, c := range policyCases {
		name, _, _ := strings.Cut(c.field, "=")
		has[name]++
		if !slices.Contains(fields, name) {
			t.Errorf("there is a case for %s, which is no field", name)
		}
		if c.without == c.with {
			t.Errorf("the case of %s could not fail: it wants %q both ways", c.field, c.with)
		}
	}
	for _, f := range fields {
		if has[f] == 0 {
			t.Errorf("no case shows what %s does", f)
		}
	}
	for f, n := range map[string]int{"Subscribers.Recovery": int(recoveries) - 1, "Subscribers.Eviction": int(EvictByProperty)} {
		if has[f] != n {
			t.Errorf("%d cases show what %s does, it has %d values", has[f], f, n)
		}
	}
}

// leaves lists the fields of a struct, and of those in it.
func leaves(s reflect.Type, path string) (all []string) {
	for i := range s.NumField() {
		f := s.Field(i)
		at, of := path+f.Name, f.Type
		if of.Kind() == reflect.Slice && of.Elem().Kind() == reflect.Struct && of.Elem() != reflect.TypeFor[message.Destination]() {
			at, of = at+"[]", of.Elem()
		}
		if of.Kind() == reflect.Pointer {
			of = of.Elem()
		}
		if of.Kind() == reflect.Struct && of != reflect.TypeFor[message.Destination]() && of != reflect.TypeFor[time.Location]() {
			all = append(all, leaves(of, at+".")...)
			continue
		}
		all = append(all, at)
	}
	return all
}

// set gives the field its value.
func (c *policyCase) set(o *Options) {
	name, _, _ := strings.Cut(c.field, "=")
	v := reflect.ValueOf(o).Elem()
	switch path, rest, _ := strings.Cut(name, "."); path {
	case "Options":
		name = rest
	case "Policies":
	default:
		name = "Policies.Default." + name
	}
	for name != "" {
		var step string
		step, name, _ = strings.Cut(name, ".")
		step, list := strings.CutSuffix(step, "[]")
		v = v.FieldByName(step)
		switch {
		case list:
			if v.Len() == 0 {
				v.Set(reflect.MakeSlice(v.Type(), 1, 1))
			}
			v = v.Index(0)
		case v.Kind() == reflect.Pointer && name != "":
			whole := reflect.New(v.Type().Elem())
			if !v.IsNil() {
				whole.Elem().Set(v.Elem())
			}
			v.Set(whole)
			v = whole.Elem()
		}
	}
	v.Set(reflect.ValueOf(c.value))
}

// options makes the rules without the field, or with it.
func (c *policyCase) options(with bool) (o Options) {
	if c.beside != nil {
		c.beside(&o)
	}
	if with {
		c.set(&o)
	}
	return o
}

// TestEveryPolicy leads each life without the policy and with it: as what holds for all destinations, as that of some, brought by a reload to destinations that
// are there, and taken back by one.
func TestEveryPolicy(t *testing.T) {
	for _, c := range policyCases {
		lead := func(how string, start Options, later *Options, want string) {
			t.Run(fmt.Sprint(c.field, "/", how), func(t *testing.T) {
				r := newRig(t, start)
				for _, d := range []message.Destination{tq("Q"), tt("T")} {
					r.do(&CreateDestination{Destination: d})
				}
				if later != nil {
					r.opt = *later
					r.do(&Configure{Policies: later.Policies})
				}
				if got := c.life(r); got != want {
					t.Errorf("it came to %q, want %q", got, want)
				}
			})
		}
		with, without := c.options(true), c.options(false)
		lead("without", without, nil, c.without)
		lead("with", with, nil, c.with)
		if strings.HasPrefix(c.field, "Options.") {
			continue
		}
		lead("by a reload", without, &with, c.with)
		if !c.lasts {
			lead("taken back", with, &without, c.without)
		}
		if !strings.HasPrefix(c.field, "Policies.") {
			some := forSome(with)
			lead("for some", some, nil, c.with)
			lead("for some by a reload", without, &some, c.with)
		}
	}
}

// forSome makes what holds for all destinations a policy of queues and one of topics.
func forSome(o Options) Options {
	p := &o.Policies
	for _, d := range []message.Destination{tq(">"), tt(">")} {
		x := p.Default
		x.Destination = d
		p.Destinations = append(p.Destinations, x)
	}
	p.Default = Policy{}
	return o
}
