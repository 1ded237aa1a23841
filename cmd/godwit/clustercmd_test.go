package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

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
			if err := writeCluster(dir, all, all, nil); err != nil {
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
						transport, address := l.Transport()
						taken = append(taken, address)
						if l.Protocol == "openwire" {
							scheme := map[string]string{"tcp": "tcp", "tls": "ssl"}[transport]
							if got := cfg.Cluster.ClientURLs(n.name, transport == "tls"); len(got) != 2 || got[0] != scheme+"://"+address {
								t.Errorf("%s.yaml tells clients of %q; its own address is %s", n.name, got, address)
							}
						}
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
	t.Run("from a broker alone", func(t *testing.T) {
		dir := t.TempDir()
		file := filepath.Join(dir, "single.yaml")
		text := "data: d\nbroker: {name: orders}\nhttp: {address: '127.0.0.1:9000'}\ncredentials: {mode: mandatory}\nlimits: {cache: 5MiB}\n" +
			"listeners:\n  - {name: plain, protocol: stomp, url: 'tcp://127.0.0.1:9001'}\n  - {protocol: openwire, url: 'tls://0.0.0.0:9002'}\ncluster: {silence: 2s}\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		single, err := config.Load(file, nil)
		if err != nil {
			t.Fatal(err)
		}
		all, err := parseNodes([]string{"a=127.0.0.1", "b=127.0.0.1", "w=10.0.3.5"})
		if err != nil {
			t.Fatal(err)
		}
		pair := filepath.Join(dir, "pair")
		if err := writeCluster(pair, all, all, single); err != nil {
			t.Fatal(err)
		}
		of := map[string]*config.Config{}
		for _, n := range all {
			cfg, err := config.Load(filepath.Join(pair, n.name+".yaml"), nil)
			if err != nil {
				t.Fatalf("%s.yaml: %v", n.name, err)
			}
			if c := cfg.Cluster; !c.Await || c.Silence != 2*time.Second || c.Witness() != n.witness || cfg.Broker.Name != "orders" || cfg.UsersPath() != filepath.Join(dir, "d", "users") {
				t.Errorf("%s.yaml has %+v, broker %s, users %s", n.name, c, cfg.Broker.Name, cfg.UsersPath())
			}
			of[n.name] = cfg
		}
		if differs := differences(single, of["a"]); len(differs) > 0 {
			t.Errorf("a.yaml differs from single.yaml in %v", differs)
		}
		if differs := differences(single, of["b"]); len(differs) == 0 {
			t.Error("b.yaml does not differ from single.yaml")
		}
		b := of["b"]
		if b.Data == single.Data || b.HTTP.Address != "127.0.0.1:9010" || b.Listeners[0].URL != "tcp://127.0.0.1:9011" || b.Listeners[1].URL != "tls://0.0.0.0:9012" || b.Limits.Cache != 5<<20 {
			t.Errorf("b.yaml has data %s, http %s, listeners %v, cache %s", b.Data, b.HTTP.Address, b.Listeners, b.Limits.Cache)
		}
		for i, want := range []string{"http://127.0.0.1:9000", "http://127.0.0.1:9010", "http://10.0.3.5:9000"} {
			if got := b.Cluster.Nodes[i].API; got != want {
				t.Errorf("node %d is asked at %s, want %s", i, got, want)
			}
		}
	})
	for _, bad := range [][]string{{"a=h"}, {"a=h", "a=h", "w=h"}, {"a", "b=h", "w=h"}, {"../a=h", "b=h", "w=h"}, {"ca=h", "b=h", "w=h"}, {"b-key=h", "b=h", "w=h"}, {"a.1=h", "b=h", "w=h"}} {
		if _, err := parseNodes(bad); err == nil {
			t.Errorf("parseNodes(%q) gives no error", bad)
		}
	}
}
