package interop

import "testing"

// TestLimits has Java applications send to full queues: the sender hears of it in time, and what its connection consumes goes on.
func TestLimits(t *testing.T) {
	needSomething(t)
	b := startOwn(t, "policies:\n  - {destination: \"queue://full.>\", flow: {messages: 3, wait: 2s}}\n", brokerOptions{})
	for _, module := range []string{"jakarta", "javax"} {
		t.Run(module, func(t *testing.T) { java(module)(t).run(t, b, run{suite: "limits"}) })
	}
}
