package broker

import (
	"testing"

	"github.com/godwitmq/godwit/message"
)

func TestMostSpecificPolicyHolds(t *testing.T) {
	var all Policies
	for i, pattern := range []string{">", "a.>", "a.*", "a.b", "*.b", "*.b.>", "a.*.c", "a.b.>"} {
		all.Destinations = append(all.Destinations, Policy{Destination: message.Destination{Kind: message.Queue, Name: pattern}, Redelivery: RedeliveryPolicy{Maximum: i + 1}})
	}
	tests := map[string]string{
		"queue://a": "a.>", "queue://x": ">", "queue://a.b": "a.b", "queue://a.x": "a.*", "queue://x.b": "*.b", "queue://x.b.c": "*.b.>",
		"queue://a.b.c": "a.b.>", "queue://a.x.c": "a.*.c", "queue://a.x.y": "a.>", "topic://a.b": "", "topic://c": "",
	}
	for _, late := range []bool{false, true} {
		var opt Options
		if !late {
			opt.Policies = all
		}
		r := newRig(t, opt)
		for name := range tests {
			d, _ := message.ParseDestination(name, message.NoDestination)
			r.do(&CreateDestination{Destination: d})
		}
		if late { // as by a reload: destinations that are there follow
			r.do(&Configure{Policies: all})
		}
		for name, want := range tests {
			d, _ := message.ParseDestination(name, message.NoDestination)
			if got := r.b.destinations[d].policy.Destination.Name; got != want {
				t.Errorf("late %v: the policy of %s is that of %q, want %q", late, name, got, want)
			}
		}
	}
}
