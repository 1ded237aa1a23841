package config

import (
	"strings"
	"testing"
)

func TestRoutes(t *testing.T) {
	composite := func(pairs ...string) string {
		s := "compositeDestinations:\n"
		for i := 0; i < len(pairs); i += 2 {
			s += "  - {destination: '" + pairs[i] + "', forwardTo: [{destination: '" + pairs[i+1] + "'}]}\n"
		}
		return s
	}
	tests := map[string]struct {
		file string
		err  string // "" is none
	}{
		"all": {file: "destinations: ['queue://a', 'topic://b']\nvirtualTopics:\n  - {topic: 'V.>', prefix: 'C.*.', postfix: .x, selectorAware: true, rememberSelectors: true, dropWhenFull: true, hideTopic: true}\n" +
			"mirroredQueues: [{queues: '>'}]\nsweep: {every: 1m, maximum: 5}\ninactive: {remove: true, after: 10m}\n" +
			"policies: [{destination: 'queue://k', keep: {lastValueKey: k, maximumKeys: 5, ring: 7}, maximumDestinations: 3, inactive: {after: 1m}}]\n" + composite("queue://c.>", "topic://d")},
		"no virtual topics":          {file: "virtualTopics: []"},
		"a pattern as a destination": {"destinations: ['queue://a.>']", `g.yaml:1:16: destinations[0]: "queue://a.>" is not a queue or a topic; expected for example queue://ORDERS`},
		"a destination twice":        {"destinations: ['queue://a', 'queue://a']", "g.yaml:1:29: destinations[1]: queue://a is there twice"},
		"too many destinations":      {"limits: {destinations: 1}\ndestinations: ['queue://a', 'queue://b']", "g.yaml:2:1: destinations: 2 destinations are more than limits.destinations, 1"},
		"a star in a segment":        {"virtualTopics: [{topic: 'V.>', prefix: 'C*'}]", `g.yaml:1:32: virtualTopics[0].prefix: "C*" cannot begin a queue's name; expected for example Consumer.*. with * as whole segments only`},
		"a star in a postfix":        {"virtualTopics: [{topic: 'V.>', postfix: '*.x'}]", `g.yaml:1:32: virtualTopics[0].postfix: "*.x" cannot end a queue's name; expected for example .copy, with * as whole segments only`},
		"no topic":                   {"virtualTopics: [{prefix: 'C.'}]", `g.yaml:1:18: virtualTopics[0].topic: "" names no topics; expected for example VirtualTopic.>`},
		"remember without selectors": {"virtualTopics: [{topic: V, rememberSelectors: true}]", "g.yaml:1:28: virtualTopics[0].rememberSelectors: means nothing without selectorAware: true"},
		"mirror to a pattern":        {"mirroredQueues: [{queues: '>', prefix: 'M.*.'}]", `g.yaml:1:32: mirroredQueues[0].prefix: "M.*." and "" cannot make a topic's name`},
		"a composite without kind":   {composite("c", "queue://a"), `g.yaml:2:6: compositeDestinations[0].destination: "c" is not a queue or a topic; expected for example queue://ORDERS`},
		"forward to nobody":          {"compositeDestinations: [{destination: 'queue://a'}]", "g.yaml:1:26: compositeDestinations[0].forwardTo: names 0 destinations; expected 1 to 500"},
		"a bad selector":             {"compositeDestinations: [{destination: 'queue://a', forwardTo: [{destination: 'queue://b', selector: 'n ='}]}]", "compositeDestinations[0].forwardTo[0].selector: "},
		"keys of a topic":            {"policies: [{destination: 'topic://a', keep: {ring: 1}}]", "g.yaml:1:39: policies[0].keep: is for queues"},
		"a negative ring":            {"policies: [{destination: 'queue://a', keep: {ring: -1}}]", "g.yaml:1:46: policies[0].keep.ring: -1 is negative; expected 0 for no bound, or more"},
		"a negative maximum":         {"policies: [{destination: 'queue://a', maximumDestinations: -1}]", "g.yaml:1:39: policies[0].maximumDestinations: -1 is negative; expected 0 for no bound, or more"},
		"a busy sweep":               {"sweep: {every: 1ms}", "g.yaml:1:9: sweep.every: 1ms is too often; expected 1s or more"},
		"to itself":                  {composite("queue://a", "queue://a"), "messages would go round in a circle: queue://a -> queue://a"},
		"two steps":                  {composite("queue://x", "queue://a", "queue://a", "topic://b", "topic://b", "queue://a"), "messages would go round in a circle: queue://a -> topic://b -> queue://a"},
		"a pattern":                  {composite("queue://a.>", "queue://a.b"), "messages would go round in a circle: queue://a.> -> queue://a.>"},
		"other kind":                 {file: composite("queue://a", "topic://a")},
		"a chain":                    {file: composite("queue://a", "queue://b", "queue://b", "queue://c", "queue://a", "queue://c")},
		"over a virtual topic":       {composite("queue://Consumer.A.VirtualTopic.T", "topic://VirtualTopic.T"), "messages would go round in a circle"},
		"over a mirror":              {"mirroredQueues: [{queues: 'a'}]\n" + composite("topic://VirtualTopic.Mirror.a", "queue://a"), "messages would go round in a circle"},
	}
	for name, tt := range tests {
		_, err := Parse("g.yaml", []byte(tt.file))
		if err == nil && tt.err != "" || err != nil && (tt.err == "" || !strings.Contains(err.Error(), tt.err)) {
			t.Errorf("%s: got error %v, want %q", name, err, tt.err)
		}
	}
}

// A long chain of alternatives is looked through in a moment.
func TestCirclesAreFoundInTime(t *testing.T) {
	var b strings.Builder
	b.WriteString("compositeDestinations:\n")
	for _, layer := range "abcdefghijklmnopqrstuvwxy" {
		next := string(layer + 1)
		for _, n := range "123" {
			b.WriteString("  - {destination: 'queue://" + string(layer) + "." + string(n) + "', forwardTo: [{destination: 'queue://" + next + ".1'}, {destination: 'queue://" + next + ".2'}, {destination: 'queue://" + next + ".3'}]}\n")
		}
	}
	if _, err := Parse("g.yaml", []byte(b.String())); err != nil {
		t.Error(err)
	}
}
