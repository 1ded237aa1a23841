package config

import (
	"net/netip"
	"strings"
	"testing"
)

func TestAccess(t *testing.T) {
	const file = "access:\n  restricted: true\n  rules:\n    - {network: 10.1.0.0/16, from: 61614, to: 61617}\n    - {network: '2001:db8::/32', from: 61617}\n"
	c, err := Parse("g.yaml", []byte(file))
	if err != nil {
		t.Fatal(err)
	}
	admits := c.Access.Admits()
	for _, tt := range []struct {
		client string
		port   int
		want   bool
	}{
		{"10.1.2.3", 61617, true}, {"10.1.2.3", 61614, true}, {"::ffff:10.1.2.3", 61616, true}, {"10.1.2.3", 61613, false}, {"10.1.2.3", 61618, false}, {"10.2.0.1", 61617, false},
		{"2001:db8::7", 61617, true}, {"2001:db8::7", 61614, false}, {"2001:db9::7", 61617, false},
	} {
		if got := admits(netip.MustParseAddr(tt.client), tt.port); got != tt.want {
			t.Errorf("%s to port %d is let in: %v, want %v", tt.client, tt.port, got, tt.want)
		}
	}
	if c.Access.Restricted = false; c.Access.Admits() != nil {
		t.Error("without restricted the rules count")
	}
	nobody := Access{Restricted: true}
	if nobody.Admits()(netip.MustParseAddr("127.0.0.1"), 61616) {
		t.Error("restricted without rules lets somebody in")
	}
	for text, want := range map[string]string{
		"{network: 10.1.2.3/16, from: 1}":       `access.rules[0].network: "10.1.2.3/16" is not a network`,
		"{network: here, from: 1}":              `access.rules[0].network: "here" is not a network`,
		"{network: 10.0.0.0/8, from: 70000}":    "access.rules[0].from: 70000 is not a port",
		"{network: 10.0.0.0/8, from: 7, to: 6}": "access.rules[0].to: 6 is not a last port; expected 7 to 65535",
	} {
		if _, err := Parse("g.yaml", []byte("access: {rules: ["+text+"]}")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", text, err, want)
		}
	}
}
