package interop

import "testing"

// TestConsumers has Java applications share queues and topics: who gets which message, and who loses its place.
func TestConsumers(t *testing.T) {
	needSomething(t)
	b := startBroker(t, brokerOptions{})
	for _, module := range []string{"jakarta", "javax"} {
		t.Run(module, func(t *testing.T) {
			java(module)(t).run(t, b, run{suite: "consumers"})
		})
	}
	own := startOwn(t, `policies:
  - {destination: "topic://recent.>", subscribers: {recovery: fixedCount, recoveryCount: 3}}
  - {destination: "topic://limited.>", subscribers: {pendingLimit: 3}}
  - {destination: "queue://slow.>", slowConsumers: {maxTime: 1s, checkPeriod: 200ms}}
`, brokerOptions{})
	t.Run("policies", func(t *testing.T) {
		java("jakarta")(t).run(t, own, run{suite: "consumer-policies"})
	})
}
