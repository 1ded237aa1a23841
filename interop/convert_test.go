package interop

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const convertCycles = 2

// convertible is a broker alone, a, and two nodes that wait for it, b and w.
type convertible struct {
	pair
	single, paired string // configurations of a
	binary         string
}

func startConvertible(t *testing.T) *convertible {
	t.Helper()
	if os.Getenv("GODWIT_INTEROP_BROKER") != "" {
		t.Skip("GODWIT_INTEROP_BROKER is not ours to convert")
	}
	binary, err := godwitBinary()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	c := &convertible{binary: binary, single: filepath.Join(dir, "single.yaml"), paired: filepath.Join(dir, "a.yaml"), pair: pair{nodes: map[string]*broker{}, apis: map[string]string{}}}
	names := []string{"a", "b", "w"}
	ports := freePorts(t, 15)
	var nodes strings.Builder
	for i, name := range names {
		at := ports[5*i:]
		relay := fmt.Sprintf("127.0.0.1:%d", at[1])
		if name == "w" {
			relay = ""
		}
		c.apis[name] = fmt.Sprintf("http://127.0.0.1:%d", at[2])
		fmt.Fprintf(&nodes, "    - {name: %s, log: '127.0.0.1:%d', relay: %q, api: %q}\n", name, at[0], relay, c.apis[name])
	}
	write := func(file, text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for i, name := range names {
		at := ports[5*i:]
		text := fmt.Sprintf("data: %s\nhttp: {address: '127.0.0.1:%d'}\n", filepath.Join(dir, name), at[2])
		role := "witness"
		b := &broker{}
		if name != "w" {
			role = "broker"
			text += fmt.Sprintf("listeners:\n  - {protocol: openwire, url: 'tcp://127.0.0.1:%d'}\n  - {protocol: stomp, url: 'tcp://127.0.0.1:%d'}\n", at[3], at[4])
			b.openwire, b.stomp = fmt.Sprintf("tcp://127.0.0.1:%d", at[3]), fmt.Sprintf("127.0.0.1:%d", at[4])
		}
		file := filepath.Join(dir, name+".yaml")
		// As in startPair, a busy machine's pauses are no sign of death.
		write(file, text+fmt.Sprintf("cluster:\n  name: %s\n  role: %s\n  await: true\n  silence: 1s\n  listen: '127.0.0.1:%d'\n  nodes:\n%s", name, role, at[0], &nodes))
		if name == "a" {
			file = c.single
			write(file, text)
		}
		b.command = commandOf(binary, "serve", "--config", file)
		b.readyURL = c.apis[name] + "/healthz"
		c.nodes[name] = b
	}
	for _, name := range names {
		c.nodes[name].launch(t)
	}
	return c
}

// convert asks a for it, and returns for how long nobody was served.
func (c *convertible) convert(ctx context.Context, t *testing.T, to, file string) time.Duration {
	t.Helper()
	body, err := json.Marshal(map[string]any{"to": to, "config": file})
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.apis["a"]+"/api/v1/convert", strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var line struct {
		Phase   string
		Records uint64
		Millis  int64
		Done    bool
		Error   any
		Checks  any
	}
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		line.Error = nil
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatalf("convert to %s: %s: %v", to, lines.Bytes(), err)
		}
		if line.Done || line.Error != nil {
			break
		}
	}
	if line.Phase != "done" || line.Error != nil {
		t.Fatalf("convert to %s ended with %+v, %v", to, line, lines.Err())
	}
	t.Logf("convert to %s: %d records, nobody was served for %d ms", to, line.Records, line.Millis)
	return time.Duration(line.Millis) * time.Millisecond
}

// TestConvert makes a pair of a broker alone under load, kills its active instance, and makes a broker alone of it again, twice. The clients, who know both addresses, compare their
// books.
func TestConvert(t *testing.T) {
	needSomething(t)
	program := java("jakarta")(t)
	c := startConvertible(t)
	both := &broker{endpoints: endpoints{openwire: c.nodes["a"].openwire + "," + c.nodes["b"].openwire}}
	ctx, cancel := context.WithTimeout(t.Context(), pairWithin)
	defer cancel()
	cmd := program.command(ctx, both, run{suite: "crash"})
	underLoad(t, cancel, func(gaveUp <-chan struct{}) {
		a := c.nodes["a"]
		pause := func() bool {
			select {
			case <-time.After(minUptime + rand.N(maxUptime-minUptime)/2):
				return true
			case <-gaveUp:
				t.Error("the clients ended too early")
				return false
			}
		}
		for range convertCycles {
			if !pause() {
				return
			}
			c.convert(ctx, t, "active-standby", c.paired)
			c.await(t, "standby")
			if !pause() {
				return
			}
			a.kill(t)
			if active := c.await(t, "active"); active != "b" {
				t.Errorf("%s is active after a was killed", active)
			}
			a.command = commandOf(c.binary, "serve", "--config", c.paired)
			a.start(t)
			c.await(t, "standby")
			if !pause() {
				return
			}
			c.switchOver(t, "b")
			if !pause() {
				return
			}
			c.convert(ctx, t, "single", c.single)
			if !pause() {
				return
			}
			a.kill(t)
			a.command = commandOf(c.binary, "serve", "--config", c.single)
			a.start(t)
		}
	}, cmd)
}
