package interop

import (
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestServiceCommands lives a broker's whole life by the command line alone: made, made a pair while a client is connected, changed, compared, removed.
func TestServiceCommands(t *testing.T) {
	needSomething(t)
	b := startOwn(t, fmt.Sprintf("service: {enabled: true, addresses: 127.%d.%d.0/24}\n", 32+rand.IntN(200), rand.IntN(256)), brokerOptions{})
	s := &managedService{broker: b, binary: b.cmd.Path, api: strings.TrimSuffix(b.readyURL, "/readyz")}
	t.Cleanup(func() { s.endInstances(t) })
	say := func(input string, want string, args ...string) string {
		t.Helper()
		cmd := exec.Command(s.binary, append(args, "--api", s.api)...)
		cmd.Stdin = strings.NewReader(input)
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			t.Fatalf("godwit %s: %v; want %q in:\n%s", strings.Join(args, " "), err, want, out)
		}
		return string(out)
	}
	refused := func(want string, args ...string) {
		t.Helper()
		out, err := exec.Command(s.binary, append(args, "--api", s.api)...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), want) {
			t.Errorf("godwit %s: %v; want a refusal with %q in:\n%s", strings.Join(args, " "), err, want, out)
		}
	}
	say("", "mq.m5.medium", "instance-types")
	say("correct horse 7\n", "it runs; active: 1", "brokers", "create", "orders", "--first-user", "ann", "--type", "mq.t3.micro", "--wait")
	refused("ConflictException: brokerName", "brokers", "create", "orders")
	refused("hostInstanceType must be one of", "brokers", "update", "orders", "--type", "mq.none")
	refused("there is no broker of that name or id", "brokers", "update", "nobody", "--mode", "pair")

	c := s.login(t, s.describe(t, "orders"), 0, "through")
	say("", "it would cost: restart: no, failover: no", "brokers", "update", "orders", "--type", "mq.m5.medium", "--window", "sunday 03:00 Europe/Berlin", "--plan")
	if is := s.describe(t, "orders").Type; is != "mq.t3.micro" {
		t.Errorf("the plan has changed the type to %s", is)
	}
	say("", "it costs: restart: no, failover: no", "brokers", "update", "orders", "--type", "mq.m5.medium", "--window", "sunday 03:00 Europe/Berlin", "--wait")
	c.must(t, "SEND", "here", "destination", "/queue/through") // the same connection
	if is := s.describe(t, "orders").Type; is != "mq.m5.medium" {
		t.Errorf("the type is %s", is)
	}

	// Only who is not allowed any more is sent away.
	other := func() (*stompClient, error) {
		conn, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9)}}).Dial("tcp", strings.TrimPrefix(s.describe(t, "orders").Instances[0].Endpoints[1], "stomp+ssl://"))
		if err != nil {
			return nil, err
		}
		t.Cleanup(func() { conn.Close() })
		return connectStompOver(tls.Client(conn, &tls.Config{InsecureSkipVerify: true}), "login", "ann", "passcode", "correct horse 7")
	}
	away, err := other()
	if err != nil {
		t.Fatal(err)
	}
	say("", "ours is made: sg-", "security-groups", "create", "ours", "--rule", "127.0.0.0/8", "--rule", "10.1.0.0/16:61617")
	say("", "it would cost: restart: no, failover: no", "brokers", "update", "orders", "--security-group", "ours", "--plan")
	say("", "it costs: restart: no, failover: no", "brokers", "update", "orders", "--security-group", "ours")
	away.must(t, "SEND", "allowed", "destination", "/queue/away")
	say("", "brokers that have it: 1", "security-groups", "update", "ours", "--add", "127.0.0.1", "--remove", "127.0.0.0/8")
	if _, err := away.next(); err == nil {
		_, err = away.next() // an ERROR came first
		if err == nil {
			t.Error("who is not allowed any more was not sent away")
		}
	}
	if _, err := other(); err == nil {
		t.Error("who is not allowed was let in")
	}
	c.must(t, "SEND", "feels nothing", "destination", "/queue/away")
	refused("has security group", "security-groups", "delete", "ours")
	say("", "it costs: restart: no, failover: no", "brokers", "update", "orders", "--security-group", "")
	say("", "ours is removed", "security-groups", "delete", "ours")
	eventuallyWithin(t, time.Minute, "without security groups not all are let in", func() bool { _, err := other(); return err == nil })

	say("", "brokers can have mq.own.tiny", "instance-types", "put", "mq.own.tiny", "--memory", "256MiB", "--connections", "50", "--storage", "5")
	say("", "it costs: restart: no, failover: no", "brokers", "update", "orders", "--type", "mq.own.tiny")
	c.must(t, "SEND", "in a small house", "destination", "/queue/away")
	refused("has instance type", "instance-types", "delete", "mq.own.tiny")
	say("", "it costs: restart: no, failover: no", "brokers", "update", "orders", "--type", "mq.m5.medium")
	say("", "is removed", "instance-types", "delete", "mq.own.tiny")

	say("bobs-example-pass\n", "bob can log in to orders", "brokers", "users", "create", "orders", "bob", "--group", "staff")
	say("", "bob is changed", "brokers", "users", "update", "orders", "bob", "--group", "staff,night")
	if list := say("", "bob", "brokers", "users", "list", "orders", "-o", "json"); !strings.Contains(list, `"night"`) {
		t.Errorf("users: %s", list)
	}
	say("", "bob is removed", "brokers", "users", "delete", "orders", "bob")

	first, second := filepath.Join(t.TempDir(), "first.xml"), filepath.Join(t.TempDir(), "second.xml")
	for file, limit := range map[string]string{first: "1mb", second: "2mb"} {
		xml := `<broker xmlns="http://activemq.apache.org/schema/core"><destinationPolicy><policyMap><policyEntries><policyEntry queue="through" memoryLimit="` + limit + `"/></policyEntries></policyMap></destinationPolicy></broker>`
		if err := os.WriteFile(file, []byte(xml), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	made := say("", "is made: c-", "configurations", "create", "ours", "--file", first)
	id := "c-" + strings.Fields(made[strings.Index(made, "c-")+2:])[0]
	say("", id+" has revision 3", "configurations", "update", id, "--file", second, "--description", "more room")
	say("", "more room", "configurations", "revisions", id)
	if shown := say("", "-", "configurations", "diff", id); !strings.Contains(shown, `memoryLimit="2mb"`) || !strings.Contains(shown, `memoryLimit="1mb"`) {
		t.Errorf("the difference: %s", shown)
	}
	say("", `memoryLimit="1mb"`, "configurations", "show", id, "--revision", "2")
	say("", "it costs: restart: no, failover: no", "brokers", "update", "orders", "--configuration", id+":3")
	c.must(t, "SEND", "still", "destination", "/queue/through")

	say("", "it runs; active: 1", "brokers", "update", "orders", "--mode", "pair", "--wait")
	if is := s.describe(t, "orders"); is.Mode != "ACTIVE_STANDBY_MULTI_AZ" || len(is.Instances) != 3 {
		t.Errorf("as a pair it is %+v", is)
	}
	c = s.login(t, s.describe(t, "orders"), 1, "behind") // at the standby
	c.must(t, "SUBSCRIBE", "", "destination", "/queue/through", "id", "1")
	for _, want := range []string{"here", "still"} {
		if got := string(c.message(t).Body); got != want {
			t.Errorf("received %q, want %q", got, want)
		}
	}
	say("", "it runs; active: 2", "brokers", "switchover", "orders", "--wait")
	refused("say --yes", "brokers", "delete", "orders")
	say("", "it is gone", "brokers", "delete", "orders", "--yes", "--wait")
	say("", "AWS_DATA_PATH=", "aws-extras", t.TempDir())
}
