package interop

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestPairAPI asks each of the three nodes, and the command line through each: all answer as the active instance does. It needs no client but the command itself.
func TestPairAPI(t *testing.T) {
	p := startPair(t)
	binary, err := godwitBinary()
	if err != nil {
		t.Fatal(err)
	}
	godwit := func(node string, args ...string) (string, error) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, binary, append(args, "--api", p.apis[node])...)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		err := cmd.Run()
		return out.String(), err
	}
	must := func(node string, args ...string) string {
		t.Helper()
		out, err := godwit(node, args...)
		if err != nil {
			t.Fatalf("godwit %s, asked of %s: %v\n%s", strings.Join(args, " "), node, err, out)
		}
		return out
	}
	sent := 0
	everywhere := func() {
		t.Helper()
		for node := range p.apis {
			must(node, "send", "orders", fmt.Sprintf("by %s", node))
			sent++
			if out := must(node, "queues"); !strings.Contains(out, "orders") {
				t.Errorf("the queues, asked of %s, are\n%s", node, out)
			}
			if out := must(node, "browse", "orders"); strings.Count(out, "by ") != sent {
				t.Errorf("browse, asked of %s, shows\n%s\nwant %d messages", node, out, sent)
			}
		}
	}
	everywhere()

	// A standby whose configuration differs says so, until it does not any more.
	standby, active := p.await(t, "standby"), p.await(t, "active")
	file := ""
	for i, arg := range p.nodes[standby].command().Args {
		if arg == "--config" {
			file = p.nodes[standby].command().Args[i+1]
		}
	}
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	differs := func() bool {
		var all struct {
			Instances []struct{ Name, Reason, Config string }
		}
		if err := json.Unmarshal([]byte(must(active, "instances", "--output", "json")), &all.Instances); err != nil {
			t.Fatal(err)
		}
		for _, i := range all.Instances {
			if i.Name == standby {
				return strings.Contains(i.Reason, "its configuration is not that of "+active)
			}
		}
		t.Fatalf("%s is not among the instances", standby)
		return false
	}
	if differs() {
		t.Errorf("the configurations are equal, and are said to differ")
	}
	for _, text := range []string{string(good) + "redelivery: {maximum: 3}\n", string(good)} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		must(standby, "reload")
		if got, want := differs(), text != string(good); got != want {
			t.Errorf("the standby's configuration differs: %v, want %v", got, want)
		}
		want := "configuration is the active's again"
		if text != string(good) {
			want = "configuration differs from the active's"
		}
		for deadline := time.Now().Add(30 * time.Second); !strings.Contains(tail(p.nodes[standby].log.Name(), 20_000), want); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("the standby's log does not say that its %s:\n%s", want, tail(p.nodes[standby].log.Name(), 4000))
			}
		}
	}

	// While nobody is active, the answer says who does not answer; soon the other is.
	p.nodes[active].kill(t)
	if out, err := godwit("w", "queues"); err != nil && !strings.Contains(out, active) {
		t.Errorf("the witness says %q, which does not name %s", out, active)
	}
	p.await(t, "active")
	delete(p.apis, active)
	everywhere()
}
