package main

import (
	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/config"
	"github.com/godwitmq/godwit/message"
)

// brokerPolicies gives the core what the configuration says of destinations.
func brokerPolicies(cfg *config.Config) broker.Policies {
	p := broker.Policies{Default: brokerPolicy(config.Policy{Redelivery: cfg.Redelivery, DeadLetter: cfg.DeadLetter, Expiry: cfg.Expiry,
		Consumers: cfg.Consumers, Subscribers: cfg.Subscribers, Slow: cfg.Slow})}
	for _, entry := range cfg.Policies {
		p.Destinations = append(p.Destinations, brokerPolicy(entry))
	}
	return p
}

func brokerPolicy(p config.Policy) broker.Policy {
	name, _ := message.ParseDestination(p.Destination, message.NoDestination) // Validate has seen to it
	return broker.Policy{
		Destination: name,
		DeadLetter:  broker.DeadLetterPolicy{Queue: p.DeadLetter.Queue, DropExpired: p.Expiry.To == "drop", KeepNonPersistent: p.DeadLetter.NonPersistent},
		Redelivery:  broker.RedeliveryPolicy{Maximum: p.Redelivery.Maximum, Delay: p.Redelivery.Delay, Multiplier: p.Redelivery.Multiplier, MaximumDelay: p.Redelivery.MaximumDelay},
		Consumers:   consumerPolicy(p.Consumers),
		Subscribers: subscriberPolicy(p.Subscribers),
		Slow:        slowPolicy(p.Slow),
	}
}
