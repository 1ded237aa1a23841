package interop

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	pairKills       = 3
	pairSwitchovers = 2
	pairWithin      = 5 * time.Minute
	// becomesWithin bounds how long the pair may take to have an active instance, or a standby, on a busy machine.
	becomesWithin = 60 * time.Second
)

// pair is two instances and a witness, three processes of the built binary.
type pair struct {
	nodes map[string]*broker // a, b, w
	apis  map[string]string
	login bool // the API demands credentials: user and password
}

// pairOptions are what a pair has beside the usual.
type pairOptions struct {
	cluster string            // more lines of the section cluster
	hosts   map[string]string // name -> loopback address of its listeners for clients, which have the same ports then, and are what cluster.dns.name gets
}

// startPair starts the three and waits until one is active and the other stands by.
func startPair(t *testing.T) *pair {
	t.Helper()
	return startPairWith(t, pairOptions{})
}

func startPairWith(t *testing.T, options pairOptions) *pair {
	t.Helper()
	if os.Getenv("GODWIT_INTEROP_BROKER") != "" {
		t.Skip("GODWIT_INTEROP_BROKER is not ours to make a pair of")
	}
	binary, err := godwitBinary()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	names := []string{"a", "b", "w"}
	ports := freePorts(t, 18)
	var nodes strings.Builder
	p := &pair{nodes: map[string]*broker{}, apis: map[string]string{}}
	for i, name := range names {
		at := ports[6*i:]
		relay := fmt.Sprintf("127.0.0.1:%d", at[1])
		if name == "w" {
			relay = ""
		}
		p.apis[name] = fmt.Sprintf("http://127.0.0.1:%d", at[2])
		addresses := ""
		if host := options.hosts[name]; host != "" {
			addresses = ", addresses: [" + host + "]"
		}
		fmt.Fprintf(&nodes, "    - {name: %s, log: '127.0.0.1:%d', relay: %q, api: %q%s}\n", name, at[0], relay, p.apis[name], addresses)
	}
	for i, name := range names {
		at := ports[6*i:]
		text := fmt.Sprintf("data: %s\nhttp: {address: '127.0.0.1:%d'}\n", filepath.Join(dir, name), at[2])
		role := "witness"
		b := &broker{}
		if name != "w" {
			role = "broker"
			host, port := "127.0.0.1", at[3:]
			if options.hosts != nil {
				host, port = options.hosts[name], ports[3:]
			}
			b.openwire, b.stomp = fmt.Sprintf("tcp://%s:%d", host, port[0]), fmt.Sprintf("%s:%d", host, port[1])
			text += fmt.Sprintf("listeners:\n  - {protocol: openwire, url: '%s'}\n  - {protocol: stomp, url: 'tcp://%s'}\n", b.openwire, b.stomp)
		}
		// Two busy cores hold up heartbeats: half a second more than the default is no sign of death here.
		text += fmt.Sprintf("cluster:\n  name: %s\n  role: %s\n  silence: 1s\n  listen: '127.0.0.1:%d'\n%s  nodes:\n%s", name, role, at[0], options.cluster, &nodes)
		file := filepath.Join(dir, name+".yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		b.command = commandOf(binary, "serve", "--config", file)
		b.readyURL = p.apis[name] + "/healthz"
		p.nodes[name] = b
	}
	for _, name := range names {
		p.nodes[name].launch(t)
	}
	p.await(t, "active")
	p.await(t, "standby")
	return p
}

// ask calls a node's API.
func (p *pair) ask(within time.Duration, name, method, path, body string) (status int, answer []byte, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, p.apis[name]+path, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	if p.login {
		request.SetBasicAuth(user, password)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	answer, err = io.ReadAll(response.Body)
	return response.StatusCode, answer, err
}

// roles asks the nodes how they are; those that do not answer are left out.
func (p *pair) roles() map[string]string {
	roles := map[string]string{}
	for name := range p.apis {
		var is struct{ Role string }
		if _, answer, err := p.ask(2*time.Second, name, http.MethodGet, "/api/v1/instance", ""); err == nil && json.Unmarshal(answer, &is) == nil {
			roles[name] = is.Role
		}
	}
	return roles
}

// await waits until an instance has a role, and names it.
func (p *pair) await(t *testing.T, role string) string {
	t.Helper()
	var roles map[string]string
	for deadline := time.Now().Add(becomesWithin); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		roles = p.roles()
		for name, is := range roles {
			if is == role {
				return name
			}
		}
	}
	t.Fatalf("no instance is %s after %v: %v", role, becomesWithin, roles)
	return ""
}

// TestPairCrash kills the active instance of a pair under load, again and again, and then switches over; the clients, who know both addresses, compare their books.
func TestPairCrash(t *testing.T) {
	needSomething(t)
	program := java("jakarta")(t)
	p := startPair(t)
	both := &broker{endpoints: endpoints{openwire: p.nodes["a"].openwire + "," + p.nodes["b"].openwire}}
	ctx, cancel := context.WithTimeout(t.Context(), pairWithin)
	defer cancel()
	cmd := program.command(ctx, both, run{suite: "crash"})
	underLoad(t, cancel, func(gaveUp <-chan struct{}) {
		var gaps, moves time.Duration
		for i := range pairKills + pairSwitchovers {
			select {
			case <-time.After(minUptime + rand.N(maxUptime-minUptime)):
			case <-gaveUp:
				t.Errorf("the clients ended after %d failures", i)
				return
			}
			active := p.await(t, "active")
			begun := time.Now()
			if i < pairKills {
				p.nodes[active].kill(t)
				p.await(t, "active")
				gaps += time.Since(begun)
				p.nodes[active].start(t)
			} else {
				p.switchOver(t, active)
				moves += time.Since(begun)
			}
			p.await(t, "standby")
		}
		t.Logf("killed %d times, %v on average until another was active (1s of that is silence); switched over %d times, %v on average",
			pairKills, (gaps / pairKills).Round(time.Millisecond), pairSwitchovers, (moves / pairSwitchovers).Round(time.Millisecond))
	}, cmd)
}

// switchOver asks any node for it, and sees that it is so.
func (p *pair) switchOver(t *testing.T, from string) {
	t.Helper()
	status, answer, err := p.ask(becomesWithin, from, http.MethodPost, "/api/v1/switchover", "{}")
	if err != nil {
		t.Fatal(err)
	}
	if status != http.StatusOK {
		t.Fatalf("switchover from %s: %d %s", from, status, answer)
	}
	if active := p.await(t, "active"); active == from {
		t.Errorf("after a switchover from %s it is active", from)
	}
}

// TestDeafStandby stops the active instance and the witness, so that the standby hears nothing and cannot take over: it sends away the clients that it brought to the
// active, which have other addresses to try, and says that it is not ready. When the others go on, so does it.
func TestDeafStandby(t *testing.T) {
	needSomething(t)
	p := startPair(t)
	active, standby := p.await(t, "active"), p.await(t, "standby")
	conn, err := net.Dial("tcp", p.nodes[standby].stomp)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	frames := bufio.NewReader(conn)
	if _, err := io.WriteString(conn, "CONNECT\naccept-version:1.2\nhost:x\n\n\x00"); err != nil {
		t.Fatal(err)
	}
	conn.SetReadDeadline(time.Now().Add(becomesWithin))
	if answer, err := frames.ReadString(0); err != nil || !strings.HasPrefix(answer, "CONNECTED") {
		t.Fatalf("the standby's client was answered %q, %v", answer, err)
	}
	var stopped []*os.Process
	goOn := func() {
		for _, process := range stopped {
			process.Signal(syscall.SIGCONT)
		}
	}
	defer goOn()
	for _, name := range []string{active, "w"} {
		process := p.nodes[name].cmd.Process
		if err := process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		stopped = append(stopped, process)
	}
	conn.SetReadDeadline(time.Now().Add(becomesWithin))
	if _, err := frames.ReadString(0); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the client of a standby that is cut off was not sent away: %v", err)
	}
	ready := func() int {
		status, _, err := p.ask(5*time.Second, standby, http.MethodGet, "/readyz", "")
		if err != nil {
			t.Fatal(err)
		}
		return status
	}
	if status := ready(); status != http.StatusServiceUnavailable {
		t.Errorf("/readyz of a standby that is cut off answers %d", status)
	}
	goOn()
	p.await(t, "active")
	standby = p.await(t, "standby")
	for deadline := time.Now().Add(becomesWithin); ready() != http.StatusOK; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the standby is not ready again")
		}
	}
}
