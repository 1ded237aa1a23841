package main

import (
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/config"
)

// TestBrokerPolicies sees that what the configuration says reaches the core.
func TestBrokerPolicies(t *testing.T) {
	tests := map[string]struct {
		file string
		want func(*broker.Policy)
	}{
		"nothing": {"", func(*broker.Policy) {}},
		"redelivery": {"redelivery: {maximum: -1, initialDelay: 1s, delay: 2s, multiplier: 3, maximumDelay: 4s, collisionAvoidance: 0.15, then: drop}", func(p *broker.Policy) {
			p.Redelivery = broker.RedeliveryPolicy{Maximum: -1, InitialDelay: time.Second, Delay: 2 * time.Second, Multiplier: 3, MaximumDelay: 4 * time.Second, CollisionAvoidance: 0.15, Drop: true}
		}},
		"dead letter": {"deadLetter: {queue: dead, nonPersistent: true, expiration: 1h}", func(p *broker.Policy) {
			p.DeadLetter.Queue, p.DeadLetter.KeepNonPersistent, p.DeadLetter.Expiration = "dead", true, time.Hour
		}},
		"discard": {"deadLetter: {strategy: discard}", func(p *broker.Policy) { p.DeadLetter.Discard = true }},
		"individual": {"deadLetter: {strategy: individual, queueSuffix: .d, queueMessagesTo: topic, perSubscription: true}", func(p *broker.Policy) {
			p.DeadLetter.Individual = &broker.IndividualDeadLetters{QueuePrefix: "ActiveMQ.DLQ.Queue.", QueueSuffix: ".d", TopicPrefix: "ActiveMQ.DLQ.Topic.", TopicForQueues: true, PerSubscription: true}
		}},
		"drop":    {"deadLetter: {drop: ['a.*']}", func(p *broker.Policy) { p.DeadLetter.Drop = config.DeadLetter{Drop: []string{"a.*"}}.Dropped() }},
		"expired": {"expiry: {to: drop}", func(p *broker.Policy) { p.DeadLetter.DropExpired = true }},
		"expiry": {"expiry: {default: 1m, ceiling: 2m, futureOnly: true}", func(p *broker.Policy) {
			p.Expiry = &broker.ExpiryPolicy{Default: time.Minute, Ceiling: 2 * time.Minute, FutureOnly: true}
		}},
		"time": {"expiry: {brokerTime: true}", func(p *broker.Policy) { p.Expiry = &broker.ExpiryPolicy{BrokerTime: true} }},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			cfg, err := config.Parse("g.yaml", []byte(tt.file+"\npolicies: [{destination: 'queue://a'}]"))
			if err != nil {
				t.Fatal(err)
			}
			want := broker.Policy{DeadLetter: broker.DeadLetterPolicy{Queue: "ActiveMQ.DLQ"}, Redelivery: broker.RedeliveryPolicy{Multiplier: 1}}
			tt.want(&want)
			got := brokerPolicies(cfg)
			for _, p := range append(got.Destinations, got.Default) {
				if p = (broker.Policy{DeadLetter: p.DeadLetter, Redelivery: p.Redelivery, Expiry: p.Expiry}); !reflect.DeepEqual(p, want) {
					t.Errorf("%s gives %+v, want %+v", tt.file, p, want)
				}
			}
		})
	}
}

// notOfTheCore are the settings that something other than the core is given.
var notOfTheCore = regexp.MustCompile(`^(data|listeners|tls|http|metrics|access|service|cluster|credentials|services|shutdown|log)\b|^broker\.userID$|^journal\.(maxSize|reserve)$|` +
	`^limits\.(frameSize|frames|connections|connectionsPerAddress|connectionsPerListener|loginTimeout|loginBytes|process)$`)

// TestEverySettingReachesTheCore: whatever the configuration says of destinations, consumers and messages makes the core's rules different, each value of it in
// another way. What each rule does is broker's TestEveryPolicy.
func TestEverySettingReachesTheCore(t *testing.T) {
	for _, f := range config.Fields() {
		if f.Type == "section" || f.Type == "list" || notOfTheCore.MatchString(f.Key) {
			continue
		}
		seen := []broker.Options{brokerOptions(configWithAll())}
		values := 0
		for _, value := range otherValues(f) {
			cfg := configWithAll()
			v := fieldOf(reflect.ValueOf(cfg).Elem(), f.Key)
			before := v.Interface()
			if v.Set(reflect.ValueOf(value).Convert(v.Type())); reflect.DeepEqual(before, v.Interface()) {
				continue
			}
			values++
			got := brokerOptions(cfg)
			if slices.ContainsFunc(seen, func(o broker.Options) bool { return reflect.DeepEqual(o, got) }) {
				t.Errorf("%s: %v is the same to the core as another value", f.Key, value)
			}
			seen = append(seen, got)
		}
		if values == 0 {
			t.Errorf("%s: no other value was tried", f.Key)
		}
	}
}

// configWithAll is a configuration with one entry in each list, in which no setting is without meaning for the want of another.
func configWithAll() *config.Config {
	cfg := config.Default()
	cfg.DeadLetter.Strategy = "individual"
	cfg.Expiry.Default = time.Minute
	cfg.Subscribers.PendingLimit = 7
	cfg.Policies = []config.Policy{cfg.NewPolicy("queue://a")}
	cfg.VirtualTopics = []config.VirtualTopic{{Topic: "a", Prefix: "b.", Postfix: ".c"}}
	cfg.CompositeDestinations = []config.CompositeDestination{{Destination: "queue://a", ForwardTo: []config.Forward{{Destination: "queue://b"}}}}
	cfg.MirroredQueues = []config.MirroredQueues{{Queues: "a", Prefix: "b.", Postfix: ".c"}}
	return cfg
}

// otherValues are some that a setting may have.
func otherValues(f config.Field) (values []any) {
	switch f.Type {
	case "yes/no":
		return []any{true, false}
	case "number", "size":
		return []any{3, 5}
	case "decimal":
		return []any{0.25, 2.5}
	case "duration":
		return []any{3 * time.Second, 5 * time.Second}
	case "list of text":
		return []any{[]string{"queue://x"}, []string{"queue://x", "queue://y"}}
	}
	for _, x := range f.Allowed {
		values = append(values, x)
	}
	switch {
	case f.Allowed != nil:
	case strings.HasSuffix(f.Key, ".destination"):
		values = append(values, "queue://x", "topic://x")
	case f.Key == "scheduler.timeZone":
		values = append(values, "Europe/Berlin", "Asia/Tokyo")
	default:
		values = append(values, "x.", "y.")
	}
	return values
}

// fieldOf finds the field of a key; [] stands for the only entry of a list.
func fieldOf(v reflect.Value, key string) reflect.Value {
	for step := range strings.SplitSeq(key, ".") {
		name, list := strings.CutSuffix(step, "[]")
		for i := range v.NumField() {
			if v.Type().Field(i).Tag.Get("yaml") == name {
				v = v.Field(i)
				break
			}
		}
		if list {
			v = v.Index(0)
		}
	}
	return v
}
