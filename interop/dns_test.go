package interop

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/godwitmq/godwit/codec/stomp"
	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/dns/dnstest"
)

// named is a pair with a name that follows its active instance, on a real server.
type named struct {
	*pair
	server *dnstest.Server
	name   string
	hosts  map[string]string
}

// TestName: a name follows the active instance through all that makes another one active, and never goes back to one that was replaced.
func TestName(t *testing.T) {
	needSomething(t)
	for _, kind := range dnstest.Kinds {
		t.Run(kind, func(t *testing.T) { testName(t, kind) })
	}
}

func testName(t *testing.T, kind string) {
	server := dnstest.Start(t, kind)
	n := &named{server: server, name: "broker.example.test", hosts: map[string]string{"a": "127.0.0.2", "b": "127.0.0.3"}}
	n.pair = startPairWith(t, pairOptions{
		hosts:   n.hosts,
		cluster: fmt.Sprintf("  dns: {name: %s, servers: ['%s'], key: %s}\n", n.name, server.Address, server.Key),
	})
	active := n.await(t, "active")
	n.follows(t, active)
	n.served(t)
	n.shown(t, active)

	t.Log("kill -9 of the active instance")
	n.nodes[active].kill(t)
	was, active := active, n.await(t, "active")
	n.follows(t, active)
	n.served(t)
	n.nodes[was].start(t)
	n.await(t, "standby")

	t.Log("a switchover")
	n.switchOver(t, active)
	active = n.await(t, "active")
	n.follows(t, active)
	n.served(t)
	n.await(t, "standby")

	t.Log("somebody changes the name by hand")
	server.Change(t, []string{n.name + "."}, n.name+". 60 IN A 192.0.2.66")
	n.follows(t, active)

	t.Log("a switchover while the server is down")
	n.away(t, active)
	active = n.await(t, "active")
	n.served(t)
	server.Up(t)
	n.follows(t, active)
	n.awaitDNS(t, active, "the name is not current again", func(d api.DNS) bool { return d.Current })
	n.await(t, "standby")

	t.Log("an instance that was replaced while it stood still, and has not noticed")
	stopped, active := n.standsStill(t, active)

	n.standbyTells(t, stopped)
	n.reloadName(t, active)
	for _, node := range []string{stopped, active} {
		n.nodes[node].stop(t)
	}
	if got := n.says(t); got != n.owned(active) {
		t.Errorf("both have stopped, and the name says %s; want it as it was", got)
	}
}

// shown: API, metrics and command line tell of the name.
func (n *named) shown(t *testing.T, active string) {
	t.Helper()
	for node := range n.hosts {
		n.awaitDNS(t, node, "the name is not seen to be current", func(d api.DNS) bool { return d.Current && d.Name == n.name && d.Reason == "" })
	}
	if status, text := fetch(t, n.apis[active]+"/metrics"); status != http.StatusOK || !strings.Contains(text, "\ngodwit_dns_current 1\n") || !strings.Contains(text, "\ngodwit_dns_updates_total 1\n") || !strings.Contains(text, "\ngodwit_dns_update_time_seconds ") {
		t.Errorf("the metrics of the active instance do not tell of one update: %d", status)
	}
	if out, _, err := godwit(t, n.apis["w"], "instances"); err != nil || strings.Count(out, " current ") != 2 {
		t.Errorf("godwit instances shows\n%s%v; want that two see the name as current", out, err)
	}
}

// standsStill has an instance that is active and could not write the name stand still while another takes over and writes it. When it goes on it takes itself for active for a moment, and its next
// attempt is due.
func (n *named) standsStill(t *testing.T, from string) (stopped, active string) {
	t.Helper()
	n.away(t, from)
	stopped = n.await(t, "active")
	process := n.nodes[stopped].cmd.Process
	if err := process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	goOn := func() { _ = process.Signal(syscall.SIGCONT) }
	defer goOn()
	for active = n.await(t, "active"); active == stopped; active = n.await(t, "active") { // its answer was on the way
	}
	n.server.Up(t)
	n.awaitDNS(t, active, "the name is not current again", func(d api.DNS) bool { return d.Current })
	n.follows(t, active)
	goOn()
	saw := false
	for deadline := time.Now().Add(becomesWithin); ; time.Sleep(20 * time.Millisecond) {
		if got := n.says(t); got != n.owned(active) {
			t.Fatalf("the name says %s; want that it stays with %s, which is active", got, active)
		}
		if d := n.dns(stopped); d != nil && d.Current {
			saw = true // it stands by, and has seen whose the name is
			break
		}
		if time.Now().After(deadline) {
			break
		}
	}
	t.Logf("it has tried to write the name: %t", n.nodes[stopped].hasLogged("the name is a newer instance's"))
	if !saw {
		t.Errorf("%s, which went on, does not see that the name is %s's: %+v", stopped, active, n.dns(stopped))
	}
	n.await(t, "standby")
	return stopped, active
}

// away ends the server and switches over: the new active instance says that the name does not follow, once, and serves.
func (n *named) away(t *testing.T, from string) {
	t.Helper()
	n.server.Down(t)
	before := map[string]int{}
	for node := range n.hosts {
		before[node] = n.nodes[node].count(t, "the name does not follow this instance, which is active")
	}
	n.switchOver(t, from)
	active := n.await(t, "active")
	n.awaitDNS(t, active, "the name is not seen to be out of date", func(d api.DNS) bool {
		return !d.Current && strings.Contains(d.Reason, n.server.Address+": nothing listens there") && !d.Since.IsZero()
	})
	failures := n.failures(t, active)
	eventually(t, "it does not try again", func() bool { return n.failures(t, active) >= failures+2 })
	if told := n.nodes[active].count(t, "the name does not follow this instance, which is active") - before[active]; told != 1 {
		t.Errorf("%s says %d times that the name does not follow it; want once", active, told)
	}
	if out, _, err := godwit(t, n.apis[active], "instances"); err != nil || !strings.Contains(out, "nothing listens there") {
		t.Errorf("godwit instances shows\n%s%v; want why the name does not follow", out, err)
	}
	n.await(t, "standby")
}

// failures is how often a node could not look at the name or write it.
func (n *named) failures(t *testing.T, node string) (count float64) {
	t.Helper()
	_, text := fetch(t, n.apis[node]+"/metrics")
	_, rest, ok := strings.Cut(text, "\ngodwit_dns_failures_total ")
	if _, err := fmt.Sscan(rest, &count); !ok || err != nil {
		t.Fatalf("the metrics of %s do not tell of failures: %v", node, err)
	}
	return count
}

// count is how many lines of the broker's log have a text.
func (b *broker) count(t *testing.T, text string) int {
	t.Helper()
	content, err := os.ReadFile(b.log.Name())
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(content), text)
}

// standbyTells: what would be wrong after a failover shows before it.
func (n *named) standbyTells(t *testing.T, standby string) {
	t.Helper()
	n.edit(t, standby, n.server.Key, n.server.Other)
	n.awaitDNS(t, standby, "the standby does not tell of the wrong key", func(d api.DNS) bool {
		return !d.Current && strings.Contains(d.Reason, "BADSIG")
	})
	n.nodes[standby].logged(t, "the name could not follow this instance if it were active", "BADSIG")
	n.edit(t, standby, n.server.Other, n.server.Key)
	n.awaitDNS(t, standby, "the standby does not see the name with the right key", func(d api.DNS) bool { return d.Current })
}

// reloadName: another name is followed without a restart, once that is allowed to be replaced that somebody else has put there; the old one stays as it is.
func (n *named) reloadName(t *testing.T, active string) {
	t.Helper()
	before, old := n.says(t), n.name
	n.name = "mq.example.test"
	n.server.Change(t, nil, n.name+". 60 IN A 192.0.2.66")
	n.edit(t, active, "dns: {name: broker.", "dns: {name: mq.")
	n.awaitDNS(t, active, "it does not tell of what is there", func(d api.DNS) bool {
		return !d.Current && d.Name == n.name && strings.Contains(d.Reason, "192.0.2.66") && strings.Contains(d.Reason, "takeOver")
	})
	if got := n.says(t); got != "192.0.2.66 of nobody" {
		t.Errorf("the name that is somebody else's says %s", got)
	}
	n.edit(t, active, "dns: {", "dns: {takeOver: true, ")
	n.follows(t, active)
	n.name = old
	if got := n.says(t); got != before {
		t.Errorf("the name that is not followed any more says %s; want %s", got, before)
	}
}

// edit replaces a text in a node's configuration, and has it read again.
func (n *named) edit(t *testing.T, node, from, to string) {
	t.Helper()
	args := n.nodes[node].command().Args
	file := args[len(args)-1]
	text, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(text), from) {
		t.Fatalf("%s has no %q: %v", file, from, err)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(text), from, to, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, answer, err := n.ask(becomesWithin, node, http.MethodPost, "/api/v1/reload", "{}"); err != nil || status != http.StatusOK || !strings.Contains(string(answer), "cluster.dns.") {
		t.Fatalf("reload %s: %d %s %v; want that cluster.dns was changed", node, status, answer, err)
	}
}

// owned is what the name says when it is an instance's.
func (n *named) owned(instance string) string { return n.hosts[instance] + " of " + instance }

// says is whose addresses the name has, and who the text beside it names.
func (n *named) says(t *testing.T) string {
	t.Helper()
	who := "nobody"
	for _, text := range n.server.Records(t, "_godwit."+n.name, dns.TypeTXT) {
		fields := strings.Fields(strings.Trim(text, `"`))
		if len(fields) == 3 {
			who = strings.TrimPrefix(fields[1], "instance=")
		}
	}
	return strings.Join(n.server.Records(t, n.name, dns.TypeA), " ") + " of " + who
}

func (n *named) follows(t *testing.T, active string) {
	t.Helper()
	begun, got := time.Now(), ""
	for time.Since(begun) < becomesWithin {
		if got = n.says(t); got == n.owned(active) {
			t.Logf("the name is %s's after %v", active, time.Since(begun).Round(time.Millisecond))
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("the name says %s after %v; want %s", got, becomesWithin, n.owned(active))
}

// dns is how a node says that the name is; nil: it does not.
func (n *named) dns(node string) *api.DNS {
	var is api.Instance
	if _, answer, err := n.ask(2*time.Second, node, http.MethodGet, "/api/v1/instance", ""); err != nil || json.Unmarshal(answer, &is) != nil {
		return nil
	}
	return is.DNS
}

func (n *named) awaitDNS(t *testing.T, node, complaint string, fine func(api.DNS) bool) {
	t.Helper()
	for deadline := time.Now().Add(becomesWithin); ; time.Sleep(20 * time.Millisecond) {
		d := n.dns(node)
		if d != nil && fine(*d) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %s: %+v", node, complaint, d)
		}
	}
}

// served: a client that knows the name alone, and asks that server for it, sends a message and gets it. When the server is down, it uses the address that it knows.
func (n *named) served(t *testing.T) {
	t.Helper()
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, n.server.Address)
	}}
	host := n.hosts["a"]
	if found, err := resolver.LookupHost(t.Context(), n.name+"."); err == nil {
		host = found[0]
	} else {
		t.Logf("the name is not resolved: %v", err)
	}
	_, port, _ := net.SplitHostPort(n.nodes["a"].stomp)
	c, err := connectStomp(net.JoinHostPort(host, port))
	if err != nil {
		t.Fatal(err)
	}
	defer c.conn.Close()
	c.must(t, stomp.Send, "hello", "destination", "/queue/named", "persistent", "true")
	c.must(t, stomp.Subscribe, "", "id", "1", "destination", "/queue/named")
	if f := c.message(t); string(f.Body) != "hello" {
		t.Errorf("got %q", f.Body)
	}
}
