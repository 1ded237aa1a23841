package config

import (
	"slices"
	"testing"
)

func TestClientURL(t *testing.T) {
	for text, want := range map[string]bool{
		"tcp://broker-a.example.com:61616": true, "ssl://10.0.1.5:61617": true, "ssl://[fd00::1]:61617": true,
		"tls://a:1": false, "tcp://a": false, "tcp://:61616": false, "tcp://0.0.0.0:61616": false, "tcp://[::]:61616": false, "a:61616": false,
		"tcp://a:1,tcp://b:1": false, "tcp://user@a:1": false,
	} {
		if err := checkClientURL(text); (err == nil) != want {
			t.Errorf("checkClientURL(%q) = %v, want it allowed: %v", text, err, want)
		}
	}
}

// TestClientURLs: clients hear of addresses of their own kind, that of the active instance first.
func TestClientURLs(t *testing.T) {
	c := Cluster{Nodes: []ClusterNode{
		{Name: "a", Clients: []string{"tcp://a:1", "ssl://a:2"}}, {Name: "b", Clients: []string{"ssl://b:2", "tcp://b:1"}}, {Name: "w"},
	}}
	for _, tt := range []struct {
		first  string
		secure bool
		want   []string
	}{
		{"a", false, []string{"tcp://a:1", "tcp://b:1"}},
		{"b", false, []string{"tcp://b:1", "tcp://a:1"}},
		{"b", true, []string{"ssl://b:2", "ssl://a:2"}},
	} {
		if got := c.ClientURLs(tt.first, tt.secure); !slices.Equal(got, tt.want) {
			t.Errorf("ClientURLs(%s, %v) = %q, want %q", tt.first, tt.secure, got, tt.want)
		}
	}
	if got := (&Cluster{Nodes: []ClusterNode{{Name: "a"}, {Name: "b"}}}).ClientURLs("a", false); len(got) != 0 {
		t.Errorf("with no addresses for clients: %q", got)
	}
}
