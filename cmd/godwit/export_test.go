package main

import (
	"slices"
	"testing"

	"github.com/godwitmq/godwit/config"
	"github.com/godwitmq/godwit/control/jolokia"
	"github.com/godwitmq/godwit/metrics"
)

// TestWordsAreKnown: what the configuration may name is what there is.
func TestWordsAreKnown(t *testing.T) {
	if !slices.Equal(config.DestinationMetrics, metrics.EachOf()) {
		t.Errorf("metrics.destination may name %v; there are %v", config.DestinationMetrics, metrics.EachOf())
	}
	if !slices.Equal(config.JolokiaOperations, jolokia.Operations()) {
		t.Errorf("http.jolokia.allow may name %v; there are %v", config.JolokiaOperations, jolokia.Operations())
	}
}
