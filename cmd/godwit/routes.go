package main

import (
	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/config"
	"github.com/godwitmq/godwit/message"
)

// addRoutes gives the core what the configuration says of messages' ways, and of destinations as a whole. Validate has seen to the names.
func addRoutes(p *broker.Policies, cfg *config.Config) {
	name := func(text string) message.Destination {
		d, _ := message.ParseDestination(text, message.NoDestination)
		return d
	}
	p.Sweep = broker.SweepPolicy{Every: cfg.Sweep.Every, Maximum: cfg.Sweep.Maximum}
	for _, text := range cfg.Destinations {
		p.Create = append(p.Create, name(text))
	}
	p.VirtualTopics = []broker.VirtualTopic{} // which is none; nil would be the built-in ones
	for _, v := range cfg.VirtualTopics {
		prefix, postfix := v.Affixes()
		p.VirtualTopics = append(p.VirtualTopics, broker.VirtualTopic{Topic: v.Topic, Prefix: prefix, Postfix: postfix, SelectorAware: v.SelectorAware,
			RememberSelectors: v.RememberSelectors, DropWhenFull: v.DropWhenFull, HidesTopic: v.HideTopic})
	}
	for _, x := range cfg.CompositeDestinations {
		c := broker.Composite{Destination: name(x.Destination), AlsoHere: x.AlsoHere, WhenNotMatched: x.WhenNotMatched}
		for _, f := range x.ForwardTo {
			c.ForwardTo = append(c.ForwardTo, broker.Forward{Destination: name(f.Destination), Selector: f.Selector})
		}
		p.Composites = append(p.Composites, c)
	}
	for _, m := range cfg.MirroredQueues {
		prefix, postfix := m.Affixes()
		p.Mirrors = append(p.Mirrors, broker.Mirror{Queues: message.Destination{Kind: message.Queue, Name: m.Queues}, Prefix: prefix, Postfix: postfix})
	}
}
