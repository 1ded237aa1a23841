package main

import (
	"testing"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/config"
)

// TestAdvisoryPolicies sees that what the configuration says reaches the core.
func TestAdvisoryPolicies(t *testing.T) {
	tests := map[string]struct {
		file         string
		top, queue   broker.AdvisoryPolicy
		off, silence bool
	}{
		"nothing": {file: ""},
		"all": {file: "advisories: {delivered: true, dispatched: true, consumed: true, discarded: true, noConsumer: true, slowConsumer: true, fastProducer: true, full: true, bodies: true}\npolicies: [{destination: 'queue://a'}]",
			top:   broker.AdvisoryPolicy{Delivered: true, Dispatched: true, Consumed: true, Discarded: true, NoConsumer: true, SlowConsumer: true, FastProducer: true, Full: true, Bodies: true},
			queue: broker.AdvisoryPolicy{Delivered: true, Dispatched: true, Consumed: true, Discarded: true, NoConsumer: true, SlowConsumer: true, FastProducer: true, Full: true, Bodies: true}},
		"one queue's": {file: "advisories: {consumed: true}\npolicies: [{destination: 'queue://a', advisories: {consumed: false, full: true}}]",
			top: broker.AdvisoryPolicy{Consumed: true}, queue: broker.AdvisoryPolicy{Full: true}},
		"off": {file: "broker: {advisories: false, statistics: false}", off: true, silence: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			cfg, err := config.Parse("g.yaml", []byte(tt.file))
			if err != nil {
				t.Fatal(err)
			}
			got := brokerPolicies(cfg)
			if got.Default.Advisories != tt.top || got.NoAdvisories != tt.off || got.NoStatistics != tt.silence {
				t.Errorf("got %+v, off %v, no statistics %v; want %+v, %v, %v", got.Default.Advisories, got.NoAdvisories, got.NoStatistics, tt.top, tt.off, tt.silence)
			}
			for _, p := range got.Destinations {
				if p.Advisories != tt.queue {
					t.Errorf("of %s got %+v, want %+v", p.Destination, p.Advisories, tt.queue)
				}
			}
		})
	}
}
