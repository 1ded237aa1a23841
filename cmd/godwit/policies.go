package main

import (
	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/config"
	"github.com/godwitmq/godwit/message"
)

// brokerPolicies gives the core what the configuration says of destinations.
func brokerPolicies(cfg *config.Config) broker.Policies {
	p := broker.Policies{Default: brokerPolicy(config.Policy{Redelivery: cfg.Redelivery, DeadLetter: cfg.DeadLetter, Expiry: cfg.Expiry,
		Consumers: cfg.Consumers, Subscribers: cfg.Subscribers, Slow: cfg.Slow, Flow: cfg.Flow, Inactive: cfg.Inactive, Advisories: cfg.Advisories})}
	p.NoAdvisories, p.NoStatistics = !cfg.Broker.Advisories, !cfg.Broker.Statistics
	p.Scheduler = broker.SchedulerPolicy{Off: !cfg.Scheduler.Enabled, MaxRepeat: cfg.Scheduler.MaxRepeat, MaxJobs: cfg.Scheduler.MaxJobs}
	for _, entry := range cfg.Policies {
		p.Destinations = append(p.Destinations, brokerPolicy(entry))
	}
	addRoutes(&p, cfg)
	return p
}

func brokerPolicy(p config.Policy) broker.Policy {
	name, _ := message.ParseDestination(p.Destination, message.NoDestination) // Validate has seen to it
	return broker.Policy{
		Destination: name,
		DeadLetter:  deadLetterPolicy(p),
		Redelivery: broker.RedeliveryPolicy{Maximum: p.Redelivery.Maximum, InitialDelay: p.Redelivery.InitialDelay, Delay: p.Redelivery.Delay, Multiplier: p.Redelivery.Multiplier,
			MaximumDelay: p.Redelivery.MaximumDelay, CollisionAvoidance: p.Redelivery.CollisionAvoidance, Drop: p.Redelivery.Then == "drop"},
		Expiry:      expiryPolicy(p.Expiry),
		Consumers:   consumerPolicy(p.Consumers),
		Subscribers: subscriberPolicy(p.Subscribers),
		Slow:        slowPolicy(p.Slow),
		Advisories:  broker.AdvisoryPolicy(p.Advisories),
		Limit:       limitPolicy(p.Flow),

		Keep:            broker.KeepPolicy{LastValueKey: p.Keep.LastValueKey, MaxKeys: p.Keep.MaximumKeys, Ring: p.Keep.Ring},
		Inactive:        broker.InactivePolicy{Remove: p.Inactive.Remove, After: p.Inactive.After},
		MaxDestinations: p.MaximumDestinations,
	}
}

func deadLetterPolicy(p config.Policy) broker.DeadLetterPolicy {
	d := p.DeadLetter
	policy := broker.DeadLetterPolicy{Queue: d.Queue, Discard: d.Strategy == "discard", Drop: d.Dropped(), DropExpired: p.Expiry.To == "drop",
		KeepNonPersistent: d.NonPersistent, Expiration: d.Expiration}
	if d.Strategy == "individual" {
		policy.Individual = &broker.IndividualDeadLetters{QueuePrefix: d.QueuePrefix, QueueSuffix: d.QueueSuffix, TopicPrefix: d.TopicPrefix, TopicSuffix: d.TopicSuffix,
			TopicForQueues: d.QueueMessagesTo == "topic", TopicForTopics: d.TopicMessagesTo == "topic", PerSubscription: d.PerSubscription}
	}
	return policy
}

// expiryPolicy is nil where messages live as long as they say.
func expiryPolicy(e config.Expiry) *broker.ExpiryPolicy {
	if e.Default == 0 && e.Ceiling == 0 && !e.BrokerTime {
		return nil
	}
	return &broker.ExpiryPolicy{Default: e.Default, Ceiling: e.Ceiling, BrokerTime: e.BrokerTime, FutureOnly: e.FutureOnly}
}

func limitPolicy(f config.Flow) broker.LimitPolicy {
	l := broker.LimitPolicy{Messages: f.Messages, Bytes: int64(f.Size), Wait: f.Wait}
	if f.Wait == 0 {
		l.Wait = -1 // to the core 0 is its default
	}
	return l
}
