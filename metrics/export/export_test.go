package export

import (
	"fmt"
	"testing"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/metrics"
)

// TestAmazonStaysInBudget shows more destinations than there is room for, and counts of the time between two batches.
func TestAmazonStaysInBudget(t *testing.T) {
	var a Amazon
	for i, want := range []float64{-1, 4, 9} { // none the first time; since the batch before; of another core from its beginning
		look := &metrics.Look{}
		v := &broker.View{}
		for j := range 200 {
			v.Destinations = append(v.Destinations, broker.DestinationView{Kind: "queue", Name: fmt.Sprint("q", j), Enqueued: []uint64{5, 9, 9}[i]})
		}
		look.Other = broker.DestinationView{Kind: "other", Name: "other"}
		for j := range v.Destinations {
			look.Shown = append(look.Shown, &v.Destinations[j])
		}
		if i == 2 { // the core that took over is looked at twice
			before := *v
			before.Destinations = append([]broker.DestinationView{}, v.Destinations...)
			for j := range before.Destinations {
				before.Destinations[j].Enqueued = 0
			}
			empty := &metrics.Look{Other: look.Other}
			a.Families(&before, empty, Facts{}, 2, 350)
		}
		families, dropped := a.Families(v, look, Facts{MemoryUsed: 1, MemoryLimit: 4}, i/2+1, 350)
		series, got := 0, -1.0
		for _, f := range families {
			series += len(f.Samples)
			for _, s := range f.Samples {
				if f.Name == "EnqueueCount" && s.Labels[1] == "q3" {
					got = s.Value
				}
			}
			if Unit(f.Name) == "None" {
				t.Errorf("%s has no unit", f.Name)
			}
		}
		if series > 350 || dropped == 0 || got != want {
			t.Errorf("batch %d: %d series, %d dropped, EnqueueCount %v; want at most 350, some, %v", i, series, dropped, got, want)
		}
	}
}
