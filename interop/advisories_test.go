package interop

import "testing"

// TestAdvisories has Java applications watch what others do, and ask for statistics.
func TestAdvisories(t *testing.T) {
	needSomething(t)
	b := startOwn(t, `advisories: {noConsumer: true}
policies:
  - {destination: "queue://full.>", flow: {messages: 2, wait: 1s}, advisories: {full: true, fastProducer: true, slowConsumer: true}}
  - {destination: "queue://told.>", advisories: {delivered: true, dispatched: true, consumed: true, bodies: true}}
  - {destination: "topic://told.>", subscribers: {pendingLimit: 0}, advisories: {discarded: true}}
`, brokerOptions{})
	for _, module := range []string{"jakarta", "javax"} {
		t.Run(module, func(t *testing.T) {
			java(module)(t).run(t, b, run{suite: "advisories"})
		})
	}
}
