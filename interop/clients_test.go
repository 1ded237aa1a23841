package interop

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/readiness"
)

const (
	clientsWithin = 8 * time.Minute
	commandWithin = 4 * time.Minute
)

// godwit runs a command of the built binary against an API, and gives what it wrote.
func godwit(t *testing.T, apiURL string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	binary, err := godwitBinary()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), commandWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = append(os.Environ(), "GODWIT_API="+apiURL)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}

// godwitJSON is godwit for a command that must succeed and answer with JSON.
func godwitJSON(t *testing.T, apiURL string, answer any, args ...string) (stderr string) {
	t.Helper()
	out, stderr, err := godwit(t, apiURL, append(args, "-o", "json")...)
	if err == nil {
		err = json.Unmarshal([]byte(out), answer)
	}
	if err != nil {
		t.Fatalf("godwit %s: %v\n%s%s", strings.Join(args, " "), err, out, stderr)
	}
	return stderr
}

// returning is a STOMP client with one address that comes back whenever its connection ends.
func returning(t *testing.T, address, login string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	t.Cleanup(func() { cancel(); running.Wait() })
	connected := make(chan struct{})
	first := sync.OnceFunc(func() { close(connected) })
	running.Go(func() {
		for ctx.Err() == nil {
			c, err := connectStomp(address, "login", login)
			if err != nil {
				time.Sleep(50 * time.Millisecond)
				continue
			}
			first()
			stop := context.AfterFunc(ctx, func() { c.conn.Close() })
			for err == nil {
				_, err = c.next()
				if errors.Is(err, os.ErrDeadlineExceeded) { // the broker was silent
					err = nil
				}
			}
			stop()
			c.conn.Close()
		}
	})
	select {
	case <-connected:
	case <-time.After(loadedWithin):
		t.Fatal("the STOMP client does not get in")
	}
}

// services are those that `godwit clients` shows, by their names.
func services(t *testing.T, apiURL string) map[string]readiness.Service {
	t.Helper()
	var list []readiness.Service
	godwitJSON(t, apiURL, &list, "clients")
	found := map[string]readiness.Service{}
	for _, s := range list {
		found[s.Name] = s
	}
	return found
}

// awaitServices looks until the services are as wanted; complaint is "" then.
func awaitServices(t *testing.T, apiURL string, complaint func(map[string]readiness.Service) string) {
	t.Helper()
	var last string
	for deadline := time.Now().Add(becomesWithin); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		if last = complaint(services(t, apiURL)); last == "" {
			return
		}
	}
	t.Errorf("after %v: %s", becomesWithin, last)
}

// stays gives the codes of a service's findings that are about its failover.
func stays(s readiness.Service) (codes []string) {
	for _, f := range s.Stays() {
		codes = append(codes, f.Code)
	}
	return codes
}

// TestClients looks at clients of a pair from the broker's side, and has the operator's commands do to them what they are for.
func TestClients(t *testing.T) {
	needSomething(t)
	program := java("jakarta")(t)
	p := startPair(t)
	both := &broker{endpoints: endpoints{openwire: p.nodes["a"].openwire + "," + p.nodes["b"].openwire}}
	ctx, cancel := context.WithTimeout(t.Context(), clientsWithin)
	defer cancel()
	returning(t, p.nodes["a"].stomp, "web")
	underLoad(t, cancel, func(<-chan struct{}) {
		active, standby := p.await(t, "active"), p.await(t, "standby")
		t.Run("list", func(t *testing.T) { listClients(t, p, both, active, standby) })
		t.Run("nodes", func(t *testing.T) { lookAtNodes(t, p, active, standby) })
		t.Run("plan", func(t *testing.T) { planSwitchover(t, p, active, standby) })
		t.Run("probe", func(t *testing.T) { probeClients(t, p, standby) })
		t.Run("watch", func(t *testing.T) { watchClients(t, p, active) })
		t.Run("switchover", func(t *testing.T) { switchWithClients(t, p, active, standby) })
		t.Run("reboot", func(t *testing.T) { rebootPair(t, p, standby) })
		t.Run("reboot one", func(t *testing.T) { rebootActive(t, p, active) })
		t.Run("reboot interrupted", func(t *testing.T) { rebootInterrupted(t, p) })
		t.Run("reboot while not well", func(t *testing.T) { rebootUnwell(t, p) })
	}, program.command(ctx, both, run{suite: "followers"}))
}

func listClients(t *testing.T, p *pair, both *broker, active, standby string) {
	for _, node := range []string{active, standby, "w"} { // whoever is asked, the answer is the same
		found := services(t, p.apis[node])
		orders, single, legacy, web := found["orders"], found["single"], found["legacy"], found["web"]
		if orders.Connections != 2 || orders.Nodes["a"] != 1 || orders.Nodes["b"] != 1 || orders.Verdict != readiness.Ready || orders.By != readiness.ByClientID {
			t.Errorf("%s says of orders %+v; want 2 connections, one at each instance, ready", node, orders)
		}
		if single.Connections != 1 || single.Nodes["a"] != 1 || single.Verdict != readiness.Ready {
			t.Errorf("%s says of single %+v; want one at a, ready", node, single)
		}
		urls := strings.Split(both.openwire, ",")
		url, other := "failover:("+urls[0]+","+urls[1]+")", "failover:("+urls[1]+","+urls[0]+")"
		if legacy.Connections != 1 || legacy.Verdict != readiness.WillNotFollow || legacy.Findings[0].Code != "no-failover" ||
			!strings.Contains(legacy.Findings[0].Text, url) && !strings.Contains(legacy.Findings[0].Text, other) {
			t.Errorf("%s says of legacy %+v; want that it will not follow, and to use %s", node, legacy, url)
		}
		if web.Connections != 1 || web.By != readiness.ByUser || !slices.Equal(stays(web), []string{"reconnect-unknown"}) {
			t.Errorf("%s says of web %+v; want one connection of which nothing is known", node, web)
		}
	}
	var orders readiness.Service
	godwitJSON(t, p.apis[standby], &orders, "clients", "orders")
	for _, c := range orders.Clients {
		if c.Protocol != "openwire" || !strings.HasPrefix(c.Library, "ActiveMQ 6.") || c.Platform == "" || c.Failover != readiness.Yes || c.KeepAlive != 30_000 ||
			c.TLS != "" || c.Relayed != (c.Node == standby) || len(c.Consumers) != 1 || c.Consumers[0].Prefetch != 5 || c.Credentials != "not checked" {
			t.Errorf("a connection is shown as %+v", c)
		}
	}
	var legacy readiness.Service
	godwitJSON(t, p.apis[standby], &legacy, "clients", "legacy")
	if c := legacy.Clients[0]; c.Host != "127.0.0.1" || c.Failover != readiness.No || c.Node != "b" { // the failover transport does not tell the host
		t.Errorf("the connection without failover is shown as %+v", c)
	}
	if out, _, err := godwit(t, p.apis[active], "clients", "orders"); err != nil || !strings.Contains(out, "orders (by client id): 2 connections, ready") {
		t.Errorf("godwit clients orders: %v\n%s", err, out)
	}
}

// lookAtNodes asks the nodes themselves.
func lookAtNodes(t *testing.T, p *pair, active, standby string) {
	for name, want := range map[string]string{active: `"status":"ok","role":"active","ready":true`, standby: `"status":"standby","role":"standby","ready":true`, "w": `"role":"witness","ready":true`} {
		if status, text := fetch(t, p.apis[name]+"/readyz"); status != http.StatusOK || !strings.Contains(text, want) {
			t.Errorf("readyz of %s: %d %s; want %s", name, status, text, want)
		}
	}
	_, text := fetch(t, p.apis[standby]+"/metrics")
	for _, want := range []string{`godwit_endpoint_connections{endpoint="openwire-`, "godwit_instance_standby 1\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in the metrics of the standby:\n%s", want, text)
		}
	}
	if _, text := fetch(t, p.apis[active]+"/metrics"); !strings.Contains(text, `godwit_instance_takeover_seconds{reason="`) || !strings.Contains(text, "godwit_instance_takeover_time_seconds ") {
		t.Errorf("the metrics of the active instance tell of no takeover:\n%s", text)
	} else if series := strings.Count(text, "\n") - strings.Count(text, "# ") - strings.Count(text, "godwit_destination_"); series > 120 {
		t.Errorf("%d series do not depend on destinations; docs/http.md says 120", series)
	}
}

func fetch(t *testing.T, url string) (status int, text string) {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(data)
}

func planSwitchover(t *testing.T, p *pair, active, standby string) {
	var plan struct {
		From, To    string
		Connections int
		Services    []readiness.Service
	}
	godwitJSON(t, p.apis["w"], &plan, "switchover", "--plan")
	var names []string
	for _, s := range plan.Services {
		names = append(names, s.Name)
	}
	if plan.From != active || plan.To != standby || plan.Connections != 5 || !slices.Equal(names, []string{"legacy", "web"}) {
		t.Errorf("the plan is %+v; want %s to %s, and legacy and web of 5 connections", plan, active, standby)
	}
	if out, _, err := godwit(t, p.apis[active], "switchover", "--plan"); err != nil || !strings.Contains(out, "Of 5 connections these would not follow") {
		t.Errorf("godwit switchover --plan: %v\n%s", err, out)
	}
	if now := p.await(t, "active"); now != active {
		t.Errorf("after a plan %s is active, not %s", now, active)
	}
}

func probeClients(t *testing.T, p *pair, standby string) {
	var orders, web readiness.Probed
	godwitJSON(t, p.apis[standby], &orders, "clients", "probe", "orders", "--yes", "--refuse", "5s", "--wait", "60s")
	t.Logf("orders %s", orders.Text)
	if !orders.Back || orders.To == orders.From {
		t.Errorf("a client that knows both addresses was probed: %+v; want it at the other instance", orders)
	}
	godwitJSON(t, p.apis[standby], &web, "clients", "probe", "web", "--yes", "--refuse", "1s", "--wait", "60s")
	t.Logf("web %s", web.Text)
	if !web.Back || web.To != "a" || web.From != "a" || web.Tries == 0 || web.After < 900 {
		t.Errorf("a client that knows one address was probed: %+v; want it refused at first, and back at a", web)
	}
	if found := services(t, p.apis[standby])["web"]; len(stays(found)) > 0 {
		t.Errorf("after a probe it is said of web %+v; want no doubt about its failover", found)
	}
	if out, stderr, err := godwit(t, p.apis[standby], "clients", "probe", "orders"); err == nil || !strings.Contains(stderr, "say --yes") {
		t.Errorf("a probe without --yes: %v\n%s%s", err, out, stderr)
	}
	// The client without a failover transport does not come back: that is what a probe is to find out.
	out, stderr, err := godwit(t, p.apis[standby], "clients", "probe", "legacy", "--yes", "--refuse", "1s", "--wait", "2s")
	if err == nil || !strings.Contains(out, "did not try to come back") || !strings.Contains(out, "did not follow") {
		t.Errorf("the probe of a client without failover: %v\n%s%s", err, out, stderr)
	}
	if found, there := services(t, p.apis[standby])["legacy"]; there {
		t.Errorf("after its probe legacy is %+v; want it gone", found)
	}
}

func watchClients(t *testing.T, p *pair, active string) {
	out, stderr, err := godwit(t, p.apis["b"], "watch", "--once")
	if err != nil || !strings.Contains(out, "orders") || !strings.Contains(out, active+" ") || !strings.Contains(out, "INSTANCE") || strings.Contains(out, "\x1b") {
		t.Errorf("godwit watch --once: %v\n%s%s", err, out, stderr)
	}
}

func switchWithClients(t *testing.T, p *pair, active, standby string) {
	c, err := connectStomp(p.nodes["b"].stomp, "login", "batch") // of which nothing is known
	if err != nil {
		t.Fatal(err)
	}
	defer c.conn.Close()
	var done api.SwitchedOver
	stderr := godwitJSON(t, p.apis[active], &done, "switchover")
	if done.From != active || done.To != standby || !strings.Contains(stderr, "warning: batch, 1 of 1 connections: STOMP does not tell") || strings.Contains(stderr, "orders") {
		t.Errorf("the switchover gave %+v and said %q; want %s to %s with a warning of batch", done, stderr, active, standby)
	}
	awaitServices(t, p.apis[active], func(found map[string]readiness.Service) string {
		if found["orders"].Connections != 2 || found["single"].Connections != 1 || found["web"].Connections != 1 || len(stays(found["web"])) > 0 {
			data, _ := json.Marshal(found)
			return "not all are back and known to follow: " + string(data)
		}
		return ""
	})
	var web readiness.Service
	godwitJSON(t, p.apis[standby], &web, "clients", "web")
	if c := web.Clients[0]; c.Returned == nil || c.Node != "a" || c.Reconnects < 2 {
		t.Errorf("web is shown as %+v; want that it has come back after the switchover and after the probe", c)
	}
	var instances []api.Instance
	godwitJSON(t, p.apis["w"], &instances, "instances")
	for _, i := range instances {
		if i.Name == standby && (i.TakenOver == nil || i.TakenOver.Reason != "switchover" || i.TakenOver.From != active) {
			t.Errorf("the active instance says of its takeover %+v; want a switchover from %s", i.TakenOver, active)
		}
	}
}

// rebootActive restarts the active instance alone, as after an interrupted reboot.
func rebootActive(t *testing.T, p *pair, active string) {
	out, stderr, err := godwit(t, p.apis["w"], "reboot", "--node", active)
	if err != nil || !strings.Contains(out, active+" is back as standby") || !strings.Contains(out, "failovers: 1") || strings.Contains(out, "w (witness)") {
		t.Errorf("godwit reboot --node %s: %v\n%s%s", active, err, out, stderr)
	}
	if out, stderr, err := godwit(t, p.apis["w"], "reboot", "--node", "nobody"); err == nil || !strings.Contains(stderr, `there is no node "nobody"`) {
		t.Errorf("godwit reboot --node nobody: %v\n%s%s", err, out, stderr)
	}
}

// rebootInterrupted ends a reboot while the standby is away: no failover has happened then, and none does.
func rebootInterrupted(t *testing.T, p *pair) {
	active := p.await(t, "active")
	binary, err := godwitBinary()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), commandWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, "reboot")
	cmd.Env = append(os.Environ(), "GODWIT_API="+p.apis["w"])
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() || !strings.Contains(lines.Text(), "(standby) stops in good order") {
		t.Errorf("the reboot begins with %q", lines.Text())
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Error(err)
	}
	for lines.Scan() {
		t.Logf("after the interruption: %s", lines.Text())
	}
	err = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 130 || !strings.Contains(stderr.String(), "not seen to be back: ") {
		t.Errorf("the interrupted reboot: %v, exit code %d\n%s", err, code, &stderr)
	}
	p.await(t, "standby")
	if now := p.await(t, "active"); now != active {
		t.Errorf("%s is active, it was %s", now, active)
	}
}

// rebootUnwell asks for a reboot while the witness is away, which must not begin.
func rebootUnwell(t *testing.T, p *pair) {
	p.nodes["w"].kill(t)
	active := p.await(t, "active")
	out, stderr, err := godwit(t, p.apis[active], "reboot")
	if err == nil || out != "" || !strings.Contains(stderr, "nothing was begun") || !strings.Contains(stderr, "w is unreachable") {
		t.Errorf("godwit reboot without the witness: %v\n%s%s", err, out, stderr)
	}
	p.nodes["w"].start(t)
	if now := p.await(t, "active"); now != active {
		t.Errorf("%s is active, it was %s", now, active)
	}
}

// rebootPair restarts all three nodes. active is who is active before.
func rebootPair(t *testing.T, p *pair, active string) {
	started := func() map[string]api.Instance {
		var list []api.Instance
		godwitJSON(t, p.apis["w"], &list, "instances")
		found := map[string]api.Instance{}
		for _, i := range list {
			found[i.Name] = i
		}
		return found
	}
	p.await(t, "standby")
	before := started()
	for deadline := time.Now().Add(becomesWithin); before["a"].Epoch != before["b"].Epoch && time.Now().Before(deadline); before = started() { // the one before has not read it yet
		time.Sleep(20 * time.Millisecond)
	}
	out, stderr, err := godwit(t, p.apis[active], "reboot", "--witness") // by the node that restarts last
	t.Logf("godwit reboot --witness:\n%s%s", out, stderr)
	if err != nil {
		t.Fatalf("godwit reboot: %v", err)
	}
	after := started()
	for name := range before {
		if !after[name].Started.After(before[name].Started) {
			t.Errorf("%s has not restarted: it runs since %v, before since %v", name, after[name].Started, before[name].Started)
		}
		if failovers := after[name].Epoch - before[name].Epoch; name != "w" && failovers != 1 {
			t.Errorf("%s has seen %d changes of the active instance, want 1", name, failovers)
		}
	}
	if after[active].Role != "standby" || !strings.Contains(out, "failovers: 1") {
		t.Errorf("%s was active and is %s; want standby, after one failover", active, after[active].Role)
	}
	awaitServices(t, p.apis["w"], func(found map[string]readiness.Service) string {
		if found["orders"].Connections != 2 || found["single"].Connections != 1 || found["web"].Connections != 1 {
			data, _ := json.Marshal(found)
			return "not all are back: " + string(data)
		}
		return ""
	})
}
