package interop

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/godwitmq/godwit/control/api"
)

// TestMachines makes one service of three processes as three machines would be: a controller, and two nodes that join by tokens. A pair that is made through Amazon's API has its instances on two
// nodes in two zones; one of the nodes dies with all that it runs, and no message that was confirmed is lost; it comes back and is whole again.
func TestMachines(t *testing.T) {
	port := freePorts(t, 1)[0]
	net2 := fmt.Sprintf("127.%d.%d", 32+rand.IntN(200), rand.IntN(256)) // that no other run has
	b := startOwn(t, fmt.Sprintf("service:\n  {enabled: true, region: eu-west-1, node: z-local, addresses: %s.0/27, nodes: {listen: '127.0.0.1:%v', timeout: 10s}}\n", net2, port), brokerOptions{})
	s := &managedService{broker: b, binary: b.cmd.Path, api: strings.TrimSuffix(b.readyURL, "/readyz")}
	t.Cleanup(func() { s.endInstances(t) })

	nodes := map[string]*joinedNode{}
	for i, name := range []string{"east", "west"} {
		var invited api.InvitedNode
		s.run(t, &invited, "nodes", "invite", name, "--zone", "eu-west-1"+string("bc"[i]), "--range", fmt.Sprintf("%s.%d/27", net2, 32*(i+1)), "-o", "json")
		n := &joinedNode{name: name, data: filepath.Join(t.TempDir(), name), binary: s.binary}
		nodes[name] = n
		t.Cleanup(func() { n.kill(t) })
		n.start(t, "--join", invited.Token)
	}
	state := func(name, want string) {
		t.Helper()
		eventuallyWithin(t, 2*time.Minute, name+" is not "+want, func() bool {
			var all []api.Node
			s.run(t, &all, "nodes", "-o", "json")
			return slices.ContainsFunc(all, func(n api.Node) bool {
				return n.Name == name && n.State == want && (want != "up" || n.Local || !n.Seen.IsZero())
			})
		})
	}
	state("east", "up")
	state("west", "up")

	var key api.CreatedKey
	s.run(t, &key, "keys", "create", "-o", "json")
	amazon(t, s.api, key, "/v1/brokers", `{"brokerName": "payroll", "deploymentMode": "ACTIVE_STANDBY_MULTI_AZ", "engineType": "ACTIVEMQ", "engineVersion": "5.19", "hostInstanceType": "mq.m5.large",
		"autoMinorVersionUpgrade": false, "publiclyAccessible": false, "users": [{"username": "ann", "password": "correct horse 7"}]}`)
	runs := func() *api.Broker {
		t.Helper()
		var now *api.Broker
		eventuallyWithin(t, 3*time.Minute, "payroll does not run", func() bool {
			now = s.describe(t, "payroll")
			return now.State == "RUNNING" && now.Operation == nil && now.Active != "" && !slices.ContainsFunc(now.Instances, func(i api.BrokerInstance) bool { return i.State != "up" })
		})
		return now
	}
	pair := runs()
	zones := map[string]bool{}
	var active, standby api.BrokerInstance
	for _, i := range pair.Instances {
		zones[i.Zone] = true
		switch {
		case i.Active:
			active = i
		case !i.Witness:
			standby = i
		}
	}
	if len(zones) != 3 || nodes[active.Node] == nil || nodes[standby.Node] == nil || active.Zone == standby.Zone {
		t.Fatalf("instances are not apart: %+v", pair.Instances)
	}

	const each = 20
	c := loginAt(t, active)
	for n := range each {
		c.must(t, "SEND", fmt.Sprintf("before-%d", n), "destination", "/queue/orders", "persistent", "true")
	}
	// The machine dies: its agent, and what that has started.
	dead := nodes[active.Node]
	dead.kill(t)
	c = loginAt(t, standby)
	for n := range each {
		c.must(t, "SEND", fmt.Sprintf("after-%d", n), "destination", "/queue/orders", "persistent", "true")
	}
	state(dead.name, "lost")

	if out, err := exec.Command(s.binary, "nodes", "remove", dead.name, "--api", s.api).CombinedOutput(); err == nil || !strings.Contains(string(out), "runs instances of 1 brokers") {
		t.Errorf("a node that has instances is removed: %v\n%s", err, out)
	}
	dead.start(t) // what it has joined with is in its folder
	state(dead.name, "up")
	pair = runs()
	if pair.Active == active.Name {
		t.Errorf("%s is active again, and nobody has asked for that", pair.Active)
	}

	got := loginAt(t, active) // which brings its clients to the other one
	got.must(t, "SUBSCRIBE", "", "destination", "/queue/orders", "id", "1", "ack", "auto")
	seen := map[string]int{}
	for len(seen) < 2*each {
		seen[string(got.message(t).Body)]++
	}
	for body, times := range seen {
		if times != 1 {
			t.Errorf("%s came %d times", body, times)
		}
	}
	got.must(t, "SEND", "kept", "destination", "/queue/kept", "persistent", "true")

	// The other machine dies for good: what ran there is replaced on those that are left, and a machine that comes back all the same is nobody.
	gone := nodes[standby.Node]
	gone.kill(t)
	s.run(t, nil, "nodes", "remove", gone.name, "--lost")
	pair = runs()
	if slices.ContainsFunc(pair.Instances, func(i api.BrokerInstance) bool { return i.Node == gone.name }) || pair.Active != active.Name {
		t.Errorf("after the loss of %s: %+v", gone.name, pair)
	}
	gone.start(t)
	eventuallyWithin(t, time.Minute, "a removed node is not refused", func() bool { return strings.Contains(gone.said(t), "not node ["+gone.name+"] any more") })
	last := loginAt(t, active)
	last.must(t, "SUBSCRIBE", "", "destination", "/queue/kept", "id", "1", "ack", "auto")
	if body := string(last.message(t).Body); body != "kept" {
		t.Errorf("received %q", body)
	}
}

// loginAt connects a client to an instance, which may not be ready yet.
func loginAt(t *testing.T, i api.BrokerInstance) (c *stompClient) {
	t.Helper()
	eventuallyWithin(t, 2*time.Minute, i.Name+" takes no client", func() bool {
		conn, err := net.DialTimeout("tcp", strings.TrimPrefix(i.Endpoints[1], "stomp+ssl://"), patience)
		if err == nil {
			c, err = connectStompOver(tls.Client(conn, &tls.Config{InsecureSkipVerify: true}), "login", "ann", "passcode", "correct horse 7")
		}
		return err == nil
	})
	t.Cleanup(func() { c.conn.Close() })
	return c
}

// amazon makes a request of Amazon's API, signed.
func amazon(t *testing.T, url string, key api.CreatedKey, path, body string) {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	hash := sha256.Sum256([]byte(body))
	if err := v4.NewSigner().SignHTTP(t.Context(), aws.Credentials{AccessKeyID: key.ID, SecretAccessKey: key.Secret}, r, hex.EncodeToString(hash[:]), "mq", key.Region, time.Now()); err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if said, _ := io.ReadAll(answer.Body); answer.StatusCode != http.StatusOK || !json.Valid(said) {
		t.Fatalf("%s: %s\n%s", path, answer.Status, said)
	}
}

// joinedNode is a process that is a node of a service.
type joinedNode struct {
	name, data, binary string
	cmd                *exec.Cmd
}

func (n *joinedNode) start(t *testing.T, args ...string) {
	t.Helper()
	n.cmd = exec.Command(n.binary, append([]string{"serve", "--data", n.data}, args...)...)
	n.cmd.Dir = t.TempDir() // where no configuration is
	log, err := os.OpenFile(n.data+".log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	n.cmd.Stdout, n.cmd.Stderr = log, log
	for _, pair := range os.Environ() {
		if !strings.HasPrefix(pair, "GODWIT_") {
			n.cmd.Env = append(n.cmd.Env, pair)
		}
	}
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
}

// kill ends the node and its instances at once.
func (n *joinedNode) kill(t *testing.T) {
	t.Helper()
	if n.cmd != nil {
		_ = n.cmd.Process.Signal(syscall.SIGKILL)
		_ = n.cmd.Wait() // it was killed
		n.cmd = nil
	}
	endInstances(n.data)
	if t.Failed() {
		t.Logf("node %s said:\n%s", n.name, n.said(t))
	}
}

// said is what the node has written, in all its lives.
func (n *joinedNode) said(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(n.data + ".log")
	if err != nil {
		t.Error(err)
	}
	return string(text)
}
