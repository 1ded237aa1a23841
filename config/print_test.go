package config

import (
	"strings"
	"testing"
)

// TestBrief writes what differs and reads it back: what was read is what was written.
func TestBrief(t *testing.T) {
	tests := map[string]struct {
		in   string
		want string // nothing else is there
	}{
		"nothing":           {"", ""},
		"the default":       {"limits: {memory: 64 MiB}\nlog: {level: info}\n", ""},
		"one key":           {"log: {level: debug}\n", "log:\n  level: debug\n"},
		"a list of text":    {"http: {admins: []}\n", "http:\n  admins: []\n"},
		"no":                {"consumers: {priority: false}\n", "consumers:\n  priority: false\n"},
		"no in a policy":    {"policies: [{destination: \"queue://a\", consumers: {priority: false}}]\n", "policies:\n  - destination: queue://a\n    consumers:\n      priority: false\n"},
		"yes in a policy":   {"consumers: {priority: false}\npolicies: [{destination: \"queue://a\", consumers: {priority: true}}]\n", "consumers:\n  priority: false\npolicies:\n  - destination: queue://a\n    consumers:\n      priority: true\n"},
		"policy as the top": {"expiry: {default: 1h}\npolicies: [{destination: \"queue://a\", expiry: {default: 1h}}]\n", "expiry:\n  default: 1h\npolicies:\n  - destination: queue://a\n"},
		"a secret":          {"credentials: {users: [{name: a, certificates: [\"CN=a, O=T\"]}]}\n", "credentials:\n  users:\n    - name: a\n      certificates: [\"CN=a, O=T\"]\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c, err := Parse("g.yaml", []byte(tt.in))
			if err != nil {
				t.Fatal(err)
			}
			got := string(c.Brief())
			if got != tt.want {
				t.Errorf("Brief of\n%s\ngot\n%s\nwant\n%s", tt.in, got, tt.want)
			}
			again, err := Parse("g.yaml", []byte(got))
			if err != nil {
				t.Fatalf("what was written cannot be read: %v", err)
			}
			if live, restart := Diff(c, again); len(live)+len(restart) > 0 {
				t.Errorf("what was written reads as something else: %v %v", live, restart)
			}
			if full, err := Parse("g.yaml", c.YAML(false, true)); err != nil {
				t.Errorf("the whole cannot be read: %v", err)
			} else if live, restart := Diff(c, full); len(live)+len(restart) > 0 {
				t.Errorf("the whole reads as something else: %v %v", live, restart)
			}
		})
	}
}

func TestSet(t *testing.T) {
	tests := map[string]struct{ key, value, err string }{
		"time":     {"redelivery.delay", "5s", ""},
		"no key":   {"redelivery.dely", "5s", "there is no key"},
		"section":  {"redelivery", "5s", "there is no key"},
		"no time":  {"redelivery.delay", "5", "not a duration"},
		"not one":  {"deadLetter.strategy", "none", "not allowed"},
		"fraction": {"redelivery.multiplier", "1.5", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := Default().NewPolicy("queue://a")
			if err := p.Set(tt.key, tt.value); (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("Set(%q, %q) = %v, want %q", tt.key, tt.value, err, tt.err)
			}
		})
	}
	p := Default().NewPolicy("queue://a")
	if _ = p.Set("redelivery.delay", "5s"); p.Redelivery.Delay.Seconds() != 5 || p.DeadLetter.Queue != "ActiveMQ.DLQ" || p.Destination != "queue://a" {
		t.Errorf("policy is %+v", p)
	}
}
