package main

import (
	"path/filepath"
	"testing"

	"github.com/godwitmq/godwit/config"
)

// What cluster init writes is a configuration that serve takes, on one machine and on three.
func TestClusterInit(t *testing.T) {
	tests := map[string]struct {
		nodes       []string
		credentials string
	}{
		"one machine":    {[]string{"a=127.0.0.1", "b=127.0.0.1", "w=127.0.0.1"}, "ignore"},
		"three machines": {[]string{"a=10.0.1.5", "b=10.0.2.5", "w=10.0.3.5"}, "mandatory"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			all, err := parseNodes(tt.nodes)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			if err := writeCluster(dir, all, nil); err != nil {
				t.Fatal(err)
			}
			addresses := map[string]string{}
			for _, n := range all {
				cfg, err := config.Load(filepath.Join(dir, n.name+".yaml"), nil)
				if err != nil {
					t.Fatalf("%s.yaml: %v", n.name, err)
				}
				if cfg.Cluster.Name != n.name || cfg.Cluster.Witness() != n.witness || cfg.Credentials.Mode != tt.credentials {
					t.Errorf("%s.yaml is of %q, witness %v, credentials %s; want witness %v, %s", n.name, cfg.Cluster.Name, cfg.Cluster.Witness(), cfg.Credentials.Mode, n.witness, tt.credentials)
				}
				if _, err := nodesTLS(&cfg.Cluster); err != nil {
					t.Errorf("%s.yaml: %v", n.name, err)
				}
				taken := []string{cfg.Cluster.Listen, cfg.HTTP.Address}
				if !n.witness {
					taken = append(taken, cfg.Cluster.Node(n.name).Relay)
					for _, l := range cfg.Listeners {
						_, address := l.Transport()
						taken = append(taken, address)
					}
				}
				for _, a := range taken {
					if addresses[a] != "" {
						t.Errorf("%s is the address of %s and of %s", a, addresses[a], n.name)
					}
					addresses[a] = n.name
				}
			}
		})
	}
	for _, bad := range [][]string{{"a=h"}, {"a=h", "a=h", "w=h"}, {"a", "b=h", "w=h"}, {"../a=h", "b=h", "w=h"}} {
		if _, err := parseNodes(bad); err == nil {
			t.Errorf("parseNodes(%q) gives no error", bad)
		}
	}
}
