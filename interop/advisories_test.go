package interop

import "testing"

// TestAdvisories has Java applications watch what others do, and ask for statistics.
func TestAdvisories(t *testing.T) {
	needSomething(t)
	t.Setenv("GODWIT_ADVISORIES_NO_CONSUMER", "true")
	b := startBroker(t, brokerOptions{})
	for _, module := range []string{"jakarta", "javax"} {
		t.Run(module, func(t *testing.T) {
			java(module)(t).run(t, b, run{suite: "advisories"})
		})
	}
}
