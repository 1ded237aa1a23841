package interop

import "testing"

// TestScheduled runs Java's table of deliveries at their time, of the broker's own redeliveries and of dead letters.
func TestScheduled(t *testing.T) {
	b := startOwn(t, `policies:
  - {destination: 'queue://interop.*.*.redelivered', redelivery: {maximum: 2, initialDelay: 200ms, multiplier: 2}}
  - {destination: 'queue://interop.*.*.individual', deadLetter: {strategy: individual}}
  - {destination: 'queue://interop.*.*.discard', deadLetter: {strategy: discard}}
`, brokerOptions{})
	for _, module := range []string{"jakarta", "javax"} {
		t.Run(module, func(t *testing.T) {
			java(module)(t).run(t, b, run{suite: "scheduled"})
		})
	}
}
