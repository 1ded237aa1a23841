package interop

import "testing"

// TestXA has the clients' own XA resource play all verbs, in right and in wrong orders: see java/src/interop/XA.java. GODWIT_INTEROP_BROKER=activemq shows
// what a real one answers.
func TestXA(t *testing.T) {
	needSomething(t)
	b := startBroker(t, brokerOptions{})
	for _, module := range []string{"jakarta", "javax"} {
		t.Run(module, func(t *testing.T) { java(module)(t).run(t, b, run{suite: "xa"}) })
	}
}
