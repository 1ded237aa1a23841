package config

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/godwitmq/godwit/message"
	"github.com/godwitmq/godwit/selector"
)

// Keep says which messages wait in a queue.
type Keep struct {
	LastValueKey string `yaml:"lastValueKey" doc:"A property, or a JMS header such as JMSCorrelationID: of the waiting messages with the same value only the newest is kept. Messages without it are all kept. Empty is off. For messages that come from then on."`
	MaximumKeys  int    `yaml:"maximumKeys" doc:"Values of lastValueKey at a time, beyond which messages with another one are refused. 0 is 10000."`
	Ring         int    `yaml:"ring" doc:"How many messages may wait; for one more the oldest goes. 0 is no bound."`
}

// Inactive says what happens to destinations that nobody uses.
type Inactive struct {
	Remove bool          `yaml:"remove" doc:"Whether a destination without messages, consumers, subscriptions and producers is removed."`
	After  time.Duration `yaml:"after" doc:"How long it must have been so."`
}

// Sweep says how inactive destinations are looked for.
type Sweep struct {
	Every   time.Duration `yaml:"every" doc:"How often."`
	Maximum int           `yaml:"maximum" doc:"How many are removed at a time. 0 is no bound."`
}

// VirtualTopic copies topics' messages into queues.
type VirtualTopic struct {
	Topic             string `yaml:"topic" doc:"Name or pattern of topics."`
	Prefix            string `yaml:"prefix" doc:"What a queue's name has before the topic's. Whole segments may be *, which stands for any one. With an empty postfix, empty is Consumer.*."`
	Postfix           string `yaml:"postfix" doc:"What a queue's name has after the topic's."`
	SelectorAware     bool   `yaml:"selectorAware" doc:"Whether a queue gets only what one of its consumers selects. Without consumers it gets nothing."`
	RememberSelectors bool   `yaml:"rememberSelectors" doc:"With selectorAware, whether the selectors of earlier consumers count as well, up to 100 for a queue; one without a selector, or one more, and it gets everything."`
	DropWhenFull      bool   `yaml:"dropWhenFull" doc:"Whether a queue that has no room goes without its copy, instead of the message being refused."`
	HideTopic         bool   `yaml:"hideTopic" doc:"Whether copies do not name the topic as their original destination."`
}

// CompositeDestination forwards messages.
type CompositeDestination struct {
	Destination    string    `yaml:"destination" doc:"queue://NAME or topic://NAME; * stands for one segment, > for the rest."`
	ForwardTo      []Forward `yaml:"forwardTo" doc:"Where its messages go."`
	AlsoHere       bool      `yaml:"alsoHere" doc:"Whether they stay here as well."`
	WhenNotMatched bool      `yaml:"whenNotMatched" doc:"Whether they stay here if no selector fits, and only then."`
}

// Forward is one place that messages are forwarded to.
type Forward struct {
	Destination string `yaml:"destination" doc:"queue://NAME or topic://NAME."`
	Selector    string `yaml:"selector" doc:"Which messages. Empty is all."`
}

// MirroredQueues copies queues' messages to topics.
type MirroredQueues struct {
	Queues  string `yaml:"queues" doc:"Name or pattern of queues."`
	Prefix  string `yaml:"prefix" doc:"What the topic's name has before the queue's. With an empty postfix, empty is VirtualTopic.Mirror."`
	Postfix string `yaml:"postfix" doc:"What the topic's name has after the queue's."`
}

// The prefixes of ActiveMQ.
const (
	virtualPrefix = "Consumer.*."
	mirrorPrefix  = "VirtualTopic.Mirror."
)

// Affixes gives the prefix and postfix of the topics' queues.
func (v VirtualTopic) Affixes() (prefix, postfix string) {
	if v.Prefix+v.Postfix == "" {
		return virtualPrefix, ""
	}
	return v.Prefix, v.Postfix
}

// Affixes gives the prefix and postfix of the queues' topics.
func (m MirroredQueues) Affixes() (prefix, postfix string) {
	if m.Prefix+m.Postfix == "" {
		return mirrorPrefix, ""
	}
	return m.Prefix, m.Postfix
}

func (k checker) routes() {
	c := k.config
	k.inactive(c.Inactive, "inactive")
	k.check(c.Sweep.Every >= time.Second, "sweep.every", "%s is too often; expected 1s or more", c.Sweep.Every)
	k.check(c.Sweep.Maximum >= 0, "sweep.maximum", "%d is negative; expected 0 for no bound, or more", c.Sweep.Maximum)
	k.check(len(c.Destinations) <= c.Limits.Destinations, "destinations", "%d destinations are more than limits.destinations, %d", len(c.Destinations), c.Limits.Destinations)
	seen := map[message.Destination]bool{}
	for i, text := range c.Destinations {
		key := fmt.Sprintf("destinations[%d]", i)
		if d, ok := k.place(text, key, false); ok {
			k.check(!seen[d], key, "%s is there twice", d)
			seen[d] = true
		}
	}
	for i, v := range c.VirtualTopics {
		key := fmt.Sprintf("virtualTopics[%d]", i)
		k.check(plainName(v.Topic), key+".topic", "%q names no topics; expected for example VirtualTopic.>", v.Topic)
		last := v.Prefix[strings.LastIndexByte(v.Prefix, '.')+1:]
		k.check(!strings.ContainsAny(v.Prefix, ",?>") && !strings.Contains(last, "*"), key+".prefix", "%q cannot begin a queue's name; expected for example Consumer.*. with * as whole segments only", v.Prefix)
		first, _, _ := strings.Cut(v.Postfix, ".")
		k.check(!strings.ContainsAny(v.Postfix, ",?>") && !strings.Contains(first, "*"), key+".postfix", "%q cannot end a queue's name; expected for example .copy, with * as whole segments only", v.Postfix)
		k.check(v.SelectorAware || !v.RememberSelectors, key+".rememberSelectors", "means nothing without selectorAware: true")
	}
	for i, m := range c.MirroredQueues {
		key := fmt.Sprintf("mirroredQueues[%d]", i)
		k.check(plainName(m.Queues), key+".queues", "%q names no queues; expected for example ORDERS.>", m.Queues)
		k.check(!strings.ContainsAny(m.Prefix+m.Postfix, ",?*>"), key+".prefix", "%q and %q cannot make a topic's name", m.Prefix, m.Postfix)
	}
	sound := true
	for i, x := range c.CompositeDestinations {
		sound = k.composite(x, fmt.Sprintf("compositeDestinations[%d]", i)) && sound
	}
	if sound {
		k.circles()
	}
}

// maxForward bounds the places of one composite destination.
const maxForward = 500

func (k checker) composite(x CompositeDestination, key string) bool {
	_, sound := k.place(x.Destination, key+".destination", true)
	k.check(len(x.ForwardTo) > 0 && len(x.ForwardTo) <= maxForward, key+".forwardTo", "names %d destinations; expected 1 to %d", len(x.ForwardTo), maxForward)
	for i, f := range x.ForwardTo {
		at := fmt.Sprintf("%s.forwardTo[%d]", key, i)
		_, ok := k.place(f.Destination, at+".destination", false)
		sound = sound && ok
		if strings.TrimSpace(f.Selector) != "" {
			_, err := selector.Parse(f.Selector)
			k.check(err == nil, at+".selector", "%v", err)
		}
	}
	return sound
}

// place reads a queue or topic, or where it is allowed a pattern of them.
func (k checker) place(text, key string, pattern bool) (message.Destination, bool) {
	d, err := message.ParseDestination(text, message.NoDestination)
	ok := err == nil && !d.Kind.IsTemporary() && plainName(d.Name) && (pattern || !d.IsPattern())
	k.check(ok, key, "%q is not a queue or a topic; expected for example queue://ORDERS", text)
	return d, ok
}

func plainName(name string) bool {
	return strings.TrimSpace(name) == name && name != "" && len(name) <= message.MaxNameBytes && !strings.ContainsAny(name, ",?")
}

func (k checker) keep(p Keep, topics bool, key string) {
	k.check(!topics || p == Keep{}, key, "is for queues")
	k.check(p.MaximumKeys >= 0, key+".maximumKeys", "%d is negative; expected 0 for 10000, or more", p.MaximumKeys)
	k.check(p.Ring >= 0, key+".ring", "%d is negative; expected 0 for no bound, or more", p.Ring)
}

func (k checker) inactive(p Inactive, key string) {
	k.check(p.After <= 365*24*time.Hour, key+".after", "%s is out of range; expected up to a year", p.After)
}

// circles looks for messages that would be forwarded for ever.
func (k checker) circles() {
	done := map[int]bool{}
	for i := range k.config.CompositeDestinations {
		if way := k.circle(i, nil, done); way != nil {
			k.check(false, fmt.Sprintf("compositeDestinations[%d].forwardTo", i), "messages would go round in a circle: %s", strings.Join(way, " -> "))
			return
		}
	}
}

// circle follows the i-th composite destination, reached over others, and gives the way back to one of them, or nil. done are those from which there is
// none.
func (k checker) circle(i int, over []int, done map[int]bool) []string {
	all := k.config.CompositeDestinations
	if at := slices.Index(over, i); at >= 0 {
		var way []string
		for _, j := range append(over[at:], i) {
			way = append(way, all[j].Destination)
		}
		return way
	}
	if done[i] {
		return nil
	}
	over = append(slices.Clone(over), i)
	for _, f := range all[i].ForwardTo {
		to, _ := message.ParseDestination(f.Destination, message.NoDestination)
		for _, next := range k.beyond(to) {
			for j := range all {
				if from, _ := message.ParseDestination(all[j].Destination, message.NoDestination); from.Kind == next.Kind && message.Overlap(from.Name, next.Name) {
					if way := k.circle(j, over, done); way != nil {
						return way
					}
				}
			}
		}
	}
	done[i] = true
	return nil
}

// beyond gives a destination with those to which its messages go by mirrored queues and virtual topics; these as patterns.
func (k checker) beyond(d message.Destination) []message.Destination {
	all := []message.Destination{d}
	if d.Kind == message.Queue {
		for _, m := range k.config.MirroredQueues {
			if message.Overlap(m.Queues, d.Name) {
				prefix, postfix := m.Affixes()
				all = append(all, message.Destination{Kind: message.Topic, Name: prefix + d.Name + postfix})
			}
		}
	}
	for _, t := range slices.Clone(all) {
		for _, v := range k.config.VirtualTopics {
			if t.Kind == message.Topic && message.Overlap(v.Topic, t.Name) {
				prefix, postfix := v.Affixes()
				all = append(all, message.Destination{Kind: message.Queue, Name: prefix + t.Name + postfix})
			}
		}
	}
	return all
}
