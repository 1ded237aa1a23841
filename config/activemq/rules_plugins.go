package activemq

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

func pluginRules() []rule {
	const inside = "a matter of how ActiveMQ works inside"
	list := []rule{
		{on: "redeliveryPlugin", verdict: Mapped, key: "redelivery, policies[].redelivery", leave: leaveRedeliveryPlugin},
		{on: "redeliveryPlugin@sendToDlqIfMaxRetriesExceeded", verdict: Mapped, key: "redelivery.then, policies[].redelivery.then", usual: "true", words: "drop"},
		{on: "redeliveryPlugin@fallbackToDeadLetter", verdict: NotSupported, usual: "true", words: "what has no redelivery policy becomes a dead letter; say then: drop for those destinations"},
		{on: "redeliveryPlugin@redeliveryPolicyMap", verdict: NotSupported, words: "refers to a bean; write the map where it is used"},
		{on: "redeliveryPlugin/redeliveryPolicyMap", verdict: Mapped, key: "policies[].redelivery"},
		{on: "redeliveryPolicyMap", verdict: Mapped, key: "policies[].redelivery"},
		{on: "redeliveryPolicyMap@defaultEntry", verdict: NotSupported, words: "refers to a bean; write the entry where it is used"},
		{on: "redeliveryPolicyMap/defaultEntry", verdict: Mapped, key: "redelivery"},
		{on: "redeliveryPolicyMap/entries", verdict: Mapped, key: "policies[].redelivery"},
		{on: "redeliveryPolicyEntries", verdict: Mapped, key: "policies[].redelivery"},
		{on: "redeliveryPolicy", verdict: Mapped, key: "policies[].redelivery", enter: enterRedelivery, leave: leaveRedelivery},
		{on: "redeliveryPolicy@destination", verdict: NotSupported, words: "write it as queue or topic"},
		{on: "redeliveryPolicy/destination", verdict: NotSupported, whole: true, words: "write it as the attribute queue or topic"},
		{on: "redeliveryPolicy@preDispatchCheck", verdict: NotNeeded, words: "a client's setting"},

		{on: "timeStampingBrokerPlugin", verdict: Mapped, key: "expiry.brokerTime", enter: func(im *importer, _ *node, item *Item) { im.put("expiry.brokerTime", "true", item) }},
		{on: "timeStampingBrokerPlugin@zeroExpirationOverride", verdict: Mapped, key: "expiry.default", as: asMillis},
		{on: "timeStampingBrokerPlugin@ttlCeiling", verdict: Mapped, key: "expiry.ceiling", as: asMillis},
		{on: "timeStampingBrokerPlugin@futureOnly", verdict: Mapped, key: "expiry.futureOnly", as: asYes},
		{on: "timeStampingBrokerPlugin@processNetworkMessages", verdict: NotNeeded, words: "there are no networks of brokers yet"},

		{on: "discardingDLQBrokerPlugin", verdict: Mapped, key: "deadLetter", leave: leaveDiscarding},
		{on: "discardingDLQBrokerPlugin@dropAll", verdict: Mapped, key: "deadLetter.strategy"},
		{on: "discardingDLQBrokerPlugin@dropOnly", verdict: Mapped, key: "deadLetter.drop", words: "if dropAll is false"},
		{on: "discardingDLQBrokerPlugin@dropTemporaryQueues", verdict: Mapped, key: "policies[].deadLetter.strategy", words: "if dropAll is false"},
		{on: "discardingDLQBrokerPlugin@dropTemporaryTopics", verdict: Mapped, key: "policies[].deadLetter.strategy", words: "if dropAll is false"},
		{on: "discardingDLQBrokerPlugin@reportInterval", verdict: NotNeeded, words: "dropped dead letters are counted in the metrics"},

		{on: "forcePersistencyModeBrokerPlugin", verdict: NotSupported, words: "messages are as persistent as their senders say; set it in the senders"},
		{on: "forcePersistencyModeBrokerPlugin@persistenceFlag", verdict: NotSupported, words: "messages are as persistent as their senders say; set it in the senders"},
		{on: "forcePersistencyModeBroker", verdict: NotSupported, whole: true, words: "messages are as persistent as their senders say; set it in the senders"},
		{on: "statisticsBrokerPlugin", verdict: Same, key: "broker.statistics", words: "queries to ActiveMQ.Statistics.* are answered"},
		{on: "destinationPathSeparatorPlugin", verdict: NotSupported, whole: true, words: "names are not translated: clients must write a.b, not a/b"},
		{on: "destinationsPlugin", verdict: NotNeeded, whole: true, words: "destinations survive a restart by themselves"},
		{on: "runtimeConfigurationPlugin", verdict: NotNeeded, whole: true, words: "godwit reload takes a changed godwit.yaml over while the broker runs"},
		{on: "loggingBrokerPlugin", verdict: NotNeeded, whole: true, words: "log.level says what is logged; logins and refusals always are"},
	}
	for _, name := range []string{"traceBrokerPathPlugin", "udpTraceBrokerPlugin", "multicastTraceBrokerPlugin", "connectionDotFilePlugin", "destinationDotFilePlugin"} {
		list = append(list, rule{on: name, verdict: NotNeeded, whole: true, words: "a means of looking for errors; the HTTP API lists connections and destinations"})
	}
	for _, plugin := range []string{"redeliveryPlugin", "timeStampingBrokerPlugin"} {
		for _, name := range []string{"adminConnectionContext", "next"} {
			list = append(list, rule{on: plugin + "@" + name, verdict: NotNeeded, words: inside})
		}
	}
	return append(list, redeliveryRules()...)
}

func redeliveryRules() []rule {
	to := func(scheme string) func(*redeliveryDraft, string) error {
		return func(r *redeliveryDraft, value string) error {
			names, err := destinations(scheme, value)
			r.destinations = append(r.destinations, names...)
			return err
		}
	}
	millis := func(field func(*redeliveryDraft) *time.Duration) func(*redeliveryDraft, string) error {
		return func(r *redeliveryDraft, value string) (err error) {
			*field(r), err = parseMillis(value)
			return err
		}
	}
	yes := func(field func(*redeliveryDraft) *bool) func(*redeliveryDraft, string) error {
		return func(r *redeliveryDraft, value string) (err error) {
			*field(r), err = parseBool(value)
			return err
		}
	}
	changes := []struct {
		name, key string
		change    func(*redeliveryDraft, string) error
	}{
		{"queue", "destination", to("queue://")},
		{"topic", "destination", to("topic://")},
		{"tempQueue", "destination", to("temp-queue://")},
		{"tempTopic", "destination", to("temp-topic://")},
		{"maximumRedeliveries", "redelivery.maximum", func(r *redeliveryDraft, value string) error {
			n, err := parseNumber(value)
			r.Maximum = int(max(n, -1))
			if n > 1<<30 {
				return fmt.Errorf("%d redeliveries are out of range", n)
			}
			return err
		}},
		{"initialRedeliveryDelay", "redelivery.initialDelay", millis(func(r *redeliveryDraft) *time.Duration { return &r.InitialDelay })},
		{"redeliveryDelay", "redelivery.delay", millis(func(r *redeliveryDraft) *time.Duration { return &r.Delay })},
		{"maximumRedeliveryDelay", "redelivery.maximumDelay", millis(func(r *redeliveryDraft) *time.Duration { return &r.MaximumDelay })},
		{"useExponentialBackOff", "redelivery.multiplier", yes(func(r *redeliveryDraft) *bool { return &r.exponential })},
		{"backOffMultiplier", "redelivery.multiplier", func(r *redeliveryDraft, value string) (err error) {
			r.backOff, err = strconv.ParseFloat(strings.TrimSpace(value), 64)
			return err
		}},
		{"useCollisionAvoidance", "redelivery.collisionAvoidance", yes(func(r *redeliveryDraft) *bool { return &r.collision })},
		{"collisionAvoidancePercent", "redelivery.collisionAvoidance", func(r *redeliveryDraft, value string) error {
			n, err := parseNumber(value)
			r.part = float64(n) / 100
			return err
		}},
	}
	var list []rule
	for _, c := range changes {
		list = append(list, rule{on: "redeliveryPolicy@" + c.name, verdict: Mapped, key: "policies[]." + c.key, attribute: redeliveryOf(c.change)})
	}
	return list
}
