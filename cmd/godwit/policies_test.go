package main

import (
	"reflect"
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
