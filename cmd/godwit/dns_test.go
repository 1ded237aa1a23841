package main

import (
	"bytes"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/godwitmq/godwit/cluster"
	"github.com/godwitmq/godwit/config"
	"github.com/godwitmq/godwit/journal/jetstream"
)

// TestNameOfOneThatIsNotActive: what is wrong is told once, and an instance that has no name any more, or is no instance any more, lets it be.
// How it is with real servers and instances, interop has.
func TestNameOfOneThatIsNotActive(t *testing.T) {
	var said bytes.Buffer
	n := &node{log: slog.New(slog.NewTextHandler(&said, nil))}
	in := newInstance(n)
	in.member.Store(cluster.New(cluster.Options{Log: jetstream.Options{Instance: "a"}}))
	set := func(change func(*config.Config)) {
		cfg := config.Default()
		cfg.Cluster.Name, cfg.Cluster.Nodes = "a", []config.ClusterNode{{Name: "a", Addresses: []string{"192.0.2.1"}}}
		cfg.Cluster.DNS.Name, cfg.Cluster.DNS.Servers, cfg.Cluster.DNS.Key = "broker.example.com", []string{"127.0.0.1:1"}, filepath.Join(t.TempDir(), "missing.key")
		change(cfg)
		n.current.Store(cfg)
	}

	set(func(*config.Config) {})
	for range 3 {
		if in.name.look(t.Context()) {
			t.Error("without a key all is well")
		}
	}
	is := in.name.now()
	if is == nil || is.Current || is.Since.IsZero() || !strings.Contains(is.Reason, "cluster.dns.key: ") || !strings.Contains(is.Reason, "missing.key") {
		t.Errorf("without a key: %+v", is)
	}
	if lines := strings.Count(said.String(), "could not follow this instance"); lines != 1 || in.name.failures.Load() != 3 {
		t.Errorf("3 failures (counted: %d) are told %d times, want once:\n%s", in.name.failures.Load(), lines, &said)
	}
	in.name.roleChanged()
	if now := in.name.now(); now.Current || !strings.Contains(now.Reason, "has changed") || now.Since != is.Since {
		t.Errorf("after a change of role: %+v, before %+v", now, is)
	}

	for what, change := range map[string]func(*config.Config){
		"no name any more":     func(c *config.Config) { c.Cluster.DNS.Name = "" },
		"no instance any more": func(c *config.Config) { c.Cluster.Name, c.Cluster.Nodes = "", nil },
	} {
		set(change)
		if !in.name.look(t.Context()) || in.name.now() != nil {
			t.Errorf("%s: %+v", what, in.name.now())
		}
	}
}
