package interop

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/godwitmq/godwit/control/api"
)

// TestService runs the whole of a service: godwit serve with Amazon MQ's API, boto3 that makes brokers, clients of these brokers, and the operator's command line. The service is killed, and
// stopped, while clients are connected to its brokers: they do not notice.
func TestService(t *testing.T) {
	needSomething(t)
	python := filepath.Join(awsPython(t), "bin", "python")
	// A range that no other run has, nor anything else that is usual.
	b := startOwn(t, fmt.Sprintf("service: {enabled: true, addresses: 127.%d.%d.0/24}\n", 32+rand.IntN(200), rand.IntN(256)), brokerOptions{})
	s := &managedService{broker: b, binary: b.cmd.Path, api: strings.TrimSuffix(b.readyURL, "/readyz")}
	t.Cleanup(func() { s.endInstances(t) })

	var key api.CreatedKey
	s.run(t, &key, "keys", "create", "--note", "interop", "-o", "json")
	life := func(part string) {
		ctx, cancel := context.WithTimeout(t.Context(), programWithin)
		defer cancel()
		cmd := exec.CommandContext(ctx, python, "aws/service.py", part)
		none := filepath.Join(t.TempDir(), "none")
		cmd.Env = append(os.Environ(), "INTEROP_MQ="+s.api, "INTEROP_CA="+filepath.Join(b.dataDir(), "control", "ca.pem"), "AWS_ACCESS_KEY_ID="+key.ID, "AWS_SECRET_ACCESS_KEY="+key.Secret,
			"AWS_DEFAULT_REGION="+key.Region, "AWS_EC2_METADATA_DISABLED=true", "AWS_CONFIG_FILE="+none, "AWS_SHARED_CREDENTIALS_FILE="+none, "PYTHONDONTWRITEBYTECODE=1", "PYTHONUTF8=1")
		cmd.WaitDelay = time.Second
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		finish := startProgram(t, cmd)
		report(t, stdout, nil)
		finish()
	}
	life("begin")
	if t.Failed() {
		return
	}

	t.Run("goes-on-without-the-service", func(t *testing.T) {
		before := s.describe(t, "payroll")
		c := s.login(t, before, 0, "through")
		c.must(t, "SEND", "before", "destination", "/queue/through")
		b.kill(t)
		c.must(t, "SEND", "killed", "destination", "/queue/through")
		b.start(t)
		s.runs(t, "payroll")
		b.stop(t)
		c.must(t, "SEND", "stopped", "destination", "/queue/through")
		b.start(t)
		s.runs(t, "payroll")
		c.must(t, "SUBSCRIBE", "", "destination", "/queue/through", "id", "1")
		for _, want := range []string{"before", "killed", "stopped"} {
			if got := string(c.message(t).Body); got != want {
				t.Errorf("received %q, want %q", got, want)
			}
		}
		if after := s.describe(t, "payroll"); after.Active != before.Active || !after.ActiveSince.Equal(before.ActiveSince) {
			t.Errorf("active is %s since %v, was %s since %v", after.Active, after.ActiveSince, before.Active, before.ActiveSince)
		}
	})
	t.Run("switchover", func(t *testing.T) {
		before := s.describe(t, "orders")
		first, _ := strconv.Atoi(before.Active[len(before.Active)-1:])
		c := s.login(t, before, first-1, "over")
		c.must(t, "SEND", "kept", "destination", "/queue/over")
		var plan api.BrokerSwitchedOver
		s.run(t, &plan, "brokers", "switchover", "orders", "--plan", "-o", "json")
		if want := fmt.Sprintf("restart: no, failover: %d to %d", first, 3-first); plan.Cost != want || len(plan.Clients) != 1 || len(plan.Clients[0].Reasons) == 0 {
			t.Errorf("plan %+v, want cost %q and one client of which it is not known", plan, want)
		}
		s.run(t, nil, "brokers", "switchover", "orders")
		eventuallyWithin(t, time.Minute, "the other instance is not active", func() bool {
			now := s.describe(t, "orders")
			return now.Active == fmt.Sprintf("%s-%d", now.ID, 3-first) && now.State == "RUNNING" && now.Operation == nil
		})
		series := string(s.get(t, "/metrics"))
		for i := 1; i <= 2; i++ {
			if want := fmt.Sprintf("godwit_broker_active{broker=\"orders\",instance=\"%s-%d\",node=\"local\"} %d\n", before.ID, i, min(1, max(i, first)-min(i, first))); !strings.Contains(series, want) {
				t.Errorf("/metrics has no %q", want)
			}
		}
		again := s.login(t, s.describe(t, "orders"), first-1, "again") // the standby's endpoint takes clients, too
		again.must(t, "SUBSCRIBE", "", "destination", "/queue/over", "id", "1")
		if got := string(again.message(t).Body); got != "kept" {
			t.Errorf("received %q", got)
		}
	})
	t.Run("console", func(t *testing.T) {
		b := s.describe(t, "orders")
		_, page, _ := strings.Cut(string(s.get(t, "/console/b/"+b.ID+"/")), "Active instance")
		page, _, _ = strings.Cut(page, "</section>")
		for _, i := range b.Instances {
			if len(i.Endpoints) > 0 && strings.Contains(page, i.Endpoints[0]) != i.Active {
				t.Errorf("active %v, and the broker's page says of the active instance: %s", i.Active, page)
			}
		}
	})
	t.Run("keys", func(t *testing.T) {
		s.run(t, nil, "keys", "disable", key.ID)
		cmd := exec.Command(python, "-c", "import boto3, sys; boto3.client('mq', endpoint_url=sys.argv[1]).list_brokers()", s.api)
		cmd.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID="+key.ID, "AWS_SECRET_ACCESS_KEY="+key.Secret, "AWS_DEFAULT_REGION="+key.Region, "AWS_EC2_METADATA_DISABLED=true")
		if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "is disabled") {
			t.Errorf("a disabled key: %v\n%s", err, out)
		}
		s.run(t, nil, "keys", "enable", key.ID)
	})
	life("end")
	if left, _ := filepath.Glob(filepath.Join(b.dataDir(), "instances", "*")); len(left) > 0 {
		t.Errorf("the deleted brokers have left %v", left)
	}
}

// managedService is a service under test.
type managedService struct {
	broker      *broker
	binary, api string
}

// run runs the command line, and reads what it prints as JSON if something is to be read.
func (s *managedService) run(t *testing.T, into any, args ...string) {
	t.Helper()
	cmd := exec.Command(s.binary, append(args, "--api", s.api)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err == nil && into != nil {
		err = json.Unmarshal(out, into)
	}
	if err != nil {
		t.Fatalf("godwit %v: %v\n%s%s", args, err, out, stderr.String())
	}
}

func (s *managedService) get(t *testing.T, path string) []byte {
	t.Helper()
	r, err := http.Get(s.api + path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s, %v", path, r.Status, err)
	}
	return body
}

func (s *managedService) describe(t *testing.T, name string) *api.Broker {
	t.Helper()
	b := &api.Broker{}
	s.run(t, b, "brokers", "describe", name, "-o", "json")
	return b
}

// runs waits until a broker is well.
func (s *managedService) runs(t *testing.T, name string) {
	t.Helper()
	eventuallyWithin(t, time.Minute, name+" does not run", func() bool { return s.describe(t, name).State == "RUNNING" })
}

// login connects a client to the n-th instance.
func (s *managedService) login(t *testing.T, b *api.Broker, n int, clientID string) *stompClient {
	t.Helper()
	address := strings.TrimPrefix(b.Instances[n].Endpoints[1], "stomp+ssl://")
	c, err := connectStompOver(dial(t, address, true), "login", "ann", "passcode", "correct horse 7", "client-id", clientID)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// endInstances ends what a test that failed has left.
func (s *managedService) endInstances(t *testing.T) {
	for _, folder := range endInstances(s.broker.dataDir()) {
		t.Logf("instance %s is still there: killed", filepath.Base(folder))
	}
}

// endInstances kills the instances of a node's data folder, and gives their folders.
func endInstances(data string) (killed []string) {
	files, _ := filepath.Glob(filepath.Join(data, "instances", "*", "pid"))
	for _, f := range files {
		var note struct{ PID int }
		content, err := os.ReadFile(f)
		if err != nil || json.Unmarshal(content, &note) != nil || note.PID <= 0 {
			continue
		}
		folder, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", note.PID))
		if err == nil && folder == filepath.Dir(f) { // else the number is somebody else's by now
			_ = syscall.Kill(note.PID, syscall.SIGKILL)
			killed = append(killed, folder)
		}
	}
	return killed
}

// eventuallyWithin is eventually for what takes its time.
func eventuallyWithin(t *testing.T, limit time.Duration, complaint string, yes func() bool) {
	t.Helper()
	deadline, tick := time.After(limit), time.NewTicker(200*time.Millisecond)
	defer tick.Stop()
	for !yes() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal(complaint)
		}
	}
}
