package agent

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/godwitmq/godwit/client/openwire"
	"github.com/godwitmq/godwit/control/plane"
	"github.com/godwitmq/godwit/control/plane/durable"
	"github.com/godwitmq/godwit/security"
)

const xml = `<broker xmlns="http://activemq.apache.org/schema/core">
  <destinationPolicy><policyMap><policyEntries>
    <policyEntry queue="SHORT.&gt;"><deadLetterStrategy><individualDeadLetterStrategy queuePrefix="DEAD."/></deadLetterStrategy></policyEntry>
  </policyEntries></policyMap></destinationPolicy>
</broker>`

// TestSingle makes a broker, kills it, and deletes it.
func TestSingle(t *testing.T) {
	t.Parallel()
	r := newRig(t, "a")
	r.begin()
	id := r.create("payroll", plane.Single, xml)
	r.running(id)
	s := r.dial(id, 1)
	var want []string
	for n := range 10 {
		want = append(want, fmt.Sprint("order ", n))
		if err := s.send("/queue/ORDERS", want[n]); err != nil {
			t.Fatal(err)
		}
	}
	pid := r.pid(id, 1)
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r.until("it is told that it is down", func() bool { return r.broker(id).Instance(1).Down })
	b := r.running(id)
	if r.pid(id, 1) == pid {
		t.Fatal("the process is the one that was killed")
	}
	if detail := b.Instance(1).Detail; !strings.Contains(detail, "started 2 times") || !strings.Contains(detail, "killed") {
		t.Errorf("of the restart the control plane is told %q", detail)
	}
	if got, err := r.dial(id, 1).drain("/queue/ORDERS", 2*time.Second); err != nil || !slices.Equal(got, want) {
		t.Fatalf("after the kill: %q, %v; want %q", got, err, want)
	}
	byName := r.trust() // the certificate has the instance's name as well as its address
	byName.ServerName = id + "-1.mq.godwit.internal"
	c, err := openwire.Dial(t.Context(), "ssl://"+r.address(id, 1, openwirePort), openwire.Options{User: user, Password: password, TLS: byName})
	if err != nil {
		t.Fatalf("an OpenWire client: %v", err)
	}
	c.Close()
	for who, password := range map[string]string{user: "wrong", agentUser: "wrong", "nobody": password} {
		if _, err := dialStomp(r.address(id, 1, stompPort), who, password, r.trust()); err == nil {
			t.Errorf("%s may log in with password %q", who, password)
		}
	}
	pids, addresses := []int{r.pid(id, 1)}, []string{r.address(id, 1, stompPort), r.address(id, 1, openwirePort), r.address(id, 1, apiPort)}
	r.do(plane.DeleteBroker{ID: id})
	r.until("deleted", func() bool { return r.broker(id) == nil })
	r.nothingLeft(pids, addresses)
}

// remoteAgents is what the process is told that TestAgentKilled kills.
type remoteAgents struct {
	Limits plane.Limits
	Nodes  []plane.RegisterNode
}

const remoteFile = "remote.json"

// serveAgent is that process: a control plane with its agents.
func serveAgent(dir string) int {
	var r remoteAgents
	data, err := os.ReadFile(filepath.Join(dir, remoteFile))
	if err == nil {
		err = json.Unmarshal(data, &r)
	}
	if err == nil {
		_, _, err = beginAgents(dir, r.Limits, r.Nodes, testProgram, slog.New(slog.NewTextHandler(os.Stderr, nil)))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	time.Sleep(10 * time.Minute) // it is killed long before
	return 1
}

// remote runs the control plane and its agents in another process, until kill.
func (r *rig) remote() (kill func()) {
	r.t.Helper()
	if err := writeJSON(filepath.Join(r.dir, remoteFile), remoteAgents{r.limits, r.nodes}); err != nil {
		r.t.Fatal(err)
	}
	program, _ := binary()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "AGENT_TEST_DIR="+r.dir, "AGENT_TEST_PROGRAM="+program)
	log, err := os.OpenFile(filepath.Join(r.dir, "agent.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		r.t.Fatal(err)
	}
	defer log.Close()
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	killed := false
	kill = func() {
		if !killed {
			killed = true
			_ = cmd.Process.Kill()
			_ = cmd.Wait() // it was killed
		}
	}
	r.t.Cleanup(kill)
	return kill
}

// TestAgentKilled kills the agent and the control plane with it, whatever they are at. The instance goes on, and the next agent adopts it, or finishes what was begun.
func TestAgentKilled(t *testing.T) {
	t.Parallel()
	r := newRig(t, "a")
	r.begin()
	id := r.create("payroll", plane.Single, xml)
	r.running(id)
	r.stop()
	r.stop = nil
	pid := r.pid(id, 1)
	s := r.dial(id, 1)
	files := r.written(id, 1)
	for n := range 3 {
		kill := r.remote()
		time.Sleep(time.Duration(n) * 500 * time.Millisecond)
		kill()
		if err := s.send("/queue/ORDERS", fmt.Sprint("order ", n)); err != nil {
			t.Fatalf("while no agent runs: %v", err)
		}
	}
	r.begin()
	r.running(id)
	if now := r.pid(id, 1); now != pid {
		t.Fatalf("process %d took the place of %d", now, pid)
	}
	if err := s.send("/queue/ORDERS", "order 3"); err != nil {
		t.Fatalf("the connection of before: %v", err)
	}
	if now := r.written(id, 1); !maps.Equal(files, now) {
		t.Errorf("files of the same spec were written again: %v, and before %v", now, files)
	}
	r.stop()
	r.stop = nil
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r.begin()
	r.until("another process", func() bool {
		all := processesOf(r.folder(id, 1))
		return len(all) == 1 && all[0] != pid
	})
	r.until("it serves", func() bool {
		s, err := dialStomp(r.address(id, 1, stompPort), user, password, r.trust())
		if err == nil {
			s.conn.Close()
		}
		return err == nil
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := New(&Local{Plane: r.plane, Dir: t.TempDir()}, Options{Node: "node-1", Data: filepath.Join(r.dir, "node-1")}).Run(ctx); err == nil || !strings.Contains(err.Error(), "another agent") {
		t.Errorf("a second agent in the folder says %v", err)
	}
	if got, err := r.dial(id, 1).drain("/queue/ORDERS", 2*time.Second); err != nil || len(got) != 4 {
		t.Fatalf("after all that: %q, %v", got, err)
	}
}

// written says when the files of an instance were written that are made of its spec.
func (r *rig) written(id string, number int) map[string]time.Time {
	r.t.Helper()
	at := map[string]time.Time{}
	for _, pattern := range []string{"*.yaml", "*.pem", usersFile, loginFile} {
		files, _ := filepath.Glob(filepath.Join(r.folder(id, number), pattern))
		for _, f := range files {
			info, err := os.Stat(f)
			if err != nil {
				r.t.Fatal(err)
			}
			if info.Mode().Perm() != 0o600 {
				r.t.Errorf("%s has mode %v", f, info.Mode())
			}
			at[filepath.Base(f)] = info.ModTime()
		}
	}
	if len(at) < 5 {
		r.t.Fatalf("an instance has only the files %v", at)
	}
	return at
}

// late is a control plane that at first gives orders of long ago.
type late struct {
	Plane
	orders Orders
	asked  atomic.Int64
}

func (l *late) Orders(ctx context.Context, node string, after uint64) (Orders, error) {
	if l.asked.Add(1) == 1 {
		return l.orders, nil
	}
	<-ctx.Done()
	return Orders{}, ctx.Err()
}

// TestOrdersOfBefore gives a new agent the orders that had an instance run which was ended since.
func TestOrdersOfBefore(t *testing.T) {
	t.Parallel()
	r := newRig(t, "a")
	r.begin()
	id := r.create("payroll", plane.Single, xml)
	r.running(id)
	local := &Local{Plane: r.plane, Dir: filepath.Join(r.dir, "control")}
	orders, err := local.Orders(t.Context(), "node-1", 0)
	if err != nil || len(orders.Effects) != 1 || orders.Effects[0].Kind != plane.Run {
		t.Fatalf("orders: %+v, %v", orders, err)
	}
	r.do(plane.DeleteBroker{ID: id})
	r.until("deleted", func() bool { return r.broker(id) == nil })
	r.stop()
	r.stop = nil
	log := &strings.Builder{}
	var mu sync.Mutex
	write := writer(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return log.Write(p)
	})
	if err := os.Remove(filepath.Join(r.dir, "node-1", followedFile)); err != nil { // it alone would do
		t.Fatal(err)
	}
	a := New(&late{Plane: local, orders: orders}, Options{Node: "node-1", Data: filepath.Join(r.dir, "node-1"), LookEvery: 50 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(write, nil))})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- a.Run(ctx) }()
	for begun := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		mu.Lock()
		text := log.String()
		mu.Unlock()
		if strings.Contains(text, "was ended already") {
			break
		}
		if time.Since(begun) > patience {
			t.Fatalf("the agent says %s", text)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	r.nothingLeftOn("node-1")
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

// TestAgentKilledAtWork kills the agent in the middle of the creation of a pair and of its deletion, again and again.
func TestAgentKilledAtWork(t *testing.T) {
	t.Parallel()
	r := newRig(t, "a", "b", "c")
	r.begin()
	id := r.create("payroll", plane.Pair, xml)
	r.stop()
	r.stop = nil
	for n := range 6 {
		kill := r.remote()
		time.Sleep(time.Duration(100+150*n) * time.Millisecond)
		kill()
	}
	r.begin()
	b := r.running(id)
	var pids []int
	for _, i := range b.Instances {
		pids = append(pids, r.pid(id, i.Number))
		folder := r.folder(id, i.Number)
		if all := processesOf(folder); len(all) != 1 {
			t.Errorf("instance %d has processes %v", i.Number, all)
		}
	}
	if err := r.dial(id, b.Active).send("/queue/ORDERS", "order"); err != nil {
		t.Fatal(err)
	}
	r.do(plane.DeleteBroker{ID: id})
	r.stop()
	r.stop = nil
	for n := range 4 {
		kill := r.remote()
		time.Sleep(time.Duration(100+150*n) * time.Millisecond)
		kill()
	}
	r.begin()
	r.until("deleted", func() bool { return r.broker(id) == nil })
	r.nothingLeft(pids, nil)
}

// processesOf are all that were started for a folder.
func processesOf(folder string) (pids []int) {
	all, _ := filepath.Glob("/proc/[0-9]*")
	for _, p := range all {
		var pid int
		fmt.Sscan(filepath.Base(p), &pid)
		if environment, err := os.ReadFile(p + "/environ"); err == nil && strings.Contains(string(environment), markVariable+"="+folder+"@") {
			pids = append(pids, pid)
		}
	}
	return pids
}

// TestLive changes whatever can change while a client is connected, which notices nothing.
func TestLive(t *testing.T) {
	t.Parallel()
	r := newRig(t, "a")
	r.begin()
	id := r.create("payroll", plane.Single, xml)
	r.running(id)
	pid, s := r.pid(id, 1), r.dial(id, 1)
	stays := func(what string) {
		t.Helper()
		r.running(id)
		if err := s.send("/queue/ORDERS", what); err != nil {
			t.Fatalf("%s: the connection of before: %v", what, err)
		}
		if now := r.pid(id, 1); now != pid {
			t.Fatalf("%s: process %d took the place of %d", what, now, pid)
		}
	}
	hash, err := security.HashPassword("a-password-of-bob")
	if err != nil {
		t.Fatal(err)
	}
	bob := func() error {
		c, err := dialStomp(r.address(id, 1, stompPort), "bob", "a-password-of-bob", r.trust())
		if err == nil {
			c.conn.Close()
		}
		return err
	}
	r.do(plane.CreateUser{Broker: id, User: plane.NewUser{Name: "bob", Hash: hash}})
	stays("a new user")
	if err := bob(); err != nil {
		t.Errorf("the new user: %v", err)
	}
	r.do(plane.DeleteUser{Broker: id, Name: "bob"})
	stays("a user less")
	if bob() == nil {
		t.Error("the user that is gone may log in")
	}

	// Security groups: s comes from 127.0.0.1.
	from := func(address string) *net.TCPConn {
		t.Helper()
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
		c, err := d.Dial("tcp", r.address(id, 1, stompPort))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(patience))
		return c.(*net.TCPConn)
	}
	closed := func(what string, c net.Conn) {
		t.Helper()
		var timeout net.Error
		if _, err := c.Read(make([]byte, 1)); errors.As(err, &timeout) && timeout.Timeout() {
			t.Errorf("%s is not closed", what)
		}
	}
	group := durable.NewID("sg")
	mine, all := plane.Rule{Network: netip.MustParsePrefix("127.0.0.1/32"), From: 61614, To: 61614}, plane.Rule{Network: netip.MustParsePrefix("127.0.0.0/30"), From: 0, To: 65535}
	stranger := from("127.0.0.2")
	r.do(plane.CreateSecurityGroup{ID: group, Name: "mine", Rules: []plane.Rule{mine}})
	r.do(plane.UpdateBroker{ID: id, SecurityGroups: &[]string{group}})
	stays("a security group")
	closed("a connection that no rule lets in", stranger)
	r.do(plane.UpdateSecurityGroup{ID: group, Rules: &[]plane.Rule{all}})
	stays("another rule")
	tlsTo := r.trust()
	tlsTo.ServerName = r.broker(id).Instance(1).Address.String()
	guest := tls.Client(from("127.0.0.2"), tlsTo)
	if err := guest.Handshake(); err != nil {
		t.Errorf("a connection that a rule lets in: %v", err)
	}
	r.do(plane.UpdateSecurityGroup{ID: group, Rules: &[]plane.Rule{mine}})
	stays("the rule of before")
	closed("a connection that a rule let in before", guest)

	// The instance's type, and its storage.
	r.do(plane.PutInstanceType{Type: plane.InstanceType{Name: "mq.tiny", MemoryBytes: 256 << 20, Connections: 2, StorageGB: 1}})
	tiny, gigabytes, usual := "mq.tiny", 1, ownType
	r.do(plane.UpdateBroker{ID: id, Type: &tiny, StorageGB: &gigabytes})
	stays("a smaller type")
	r.dial(id, 1)
	if c, err := dialStomp(r.address(id, 1, stompPort), user, password, r.trust()); err == nil {
		c.conn.Close()
		t.Error("a third connection is there where there may be two")
	}
	r.do(plane.UpdateBroker{ID: id, Type: &usual})
	stays("the type of before")
	for range 3 {
		r.dial(id, 1)
	}

	// A revision of the configuration.
	ref := r.broker(id).Configuration
	r.do(plane.UpdateConfiguration{ID: ref.ID, Data: []byte(strings.ReplaceAll(xml, "DEAD.", "LATE."))})
	r.do(plane.UpdateBroker{ID: id, Configuration: &plane.ConfigurationRef{ID: ref.ID, Revision: 2}})
	stays("a revision")
	text, err := os.ReadFile(filepath.Join(r.folder(id, 1), singleFile))
	if err != nil || !strings.Contains(string(text), "LATE.") {
		t.Errorf("the revision is not in the file: %v", err)
	}
}

// TestFaults gives agents what they cannot work with.
func TestFaults(t *testing.T) {
	t.Parallel()
	t.Run("a port in use", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, "a")
		var taken []net.Listener
		for a := r.nodes[0].Range.Addr(); r.nodes[0].Range.Contains(a); a = a.Next() {
			l, err := net.Listen("tcp", net.JoinHostPort(a.String(), "61614"))
			if err != nil {
				t.Fatal(err)
			}
			taken = append(taken, l)
		}
		r.begin()
		id := r.create("payroll", plane.Single, xml)
		r.until("the creation has failed", func() bool { return r.broker(id).Last != nil && r.broker(id).Operation == nil })
		why := r.broker(id).Failed + r.broker(id).Last.Error
		if !strings.Contains(why, "61614") || !strings.Contains(why, "in use") {
			t.Errorf("of the port in use the control plane is told %q", why)
		}
		for _, l := range taken {
			l.Close()
		}
		r.do(plane.DeleteBroker{ID: id})
		r.until("deleted", func() bool { return r.broker(id) == nil })
		r.nothingLeft(nil, nil)
	})
	t.Run("a configuration that is none", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, "a")
		r.begin()
		id := r.create("payroll", plane.Single, "<broker><unclosed></broker>")
		r.until("the creation has failed", func() bool { return r.broker(id).Last != nil && r.broker(id).Operation == nil })
		if why := r.broker(id).Last.Error; !strings.Contains(why, "configuration") {
			t.Errorf("of the configuration the control plane is told %q", why)
		}
	})
	t.Run("garbage in the folder", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, "a")
		r.begin()
		id := r.create("payroll", plane.Single, xml)
		r.running(id)
		if err := r.dial(id, 1).send("/queue/ORDERS", "order"); err != nil {
			t.Fatal(err)
		}
		folder := r.folder(id, 1)
		r.stop()
		r.stop = nil
		for _, name := range []string{noteFile, pidFile, loginFile, usersFile, singleFile, "server.pem", "server-key.pem"} {
			if err := os.WriteFile(filepath.Join(folder, name), []byte("\x00garbage"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		strange := filepath.Join(r.dir, "node-1", "instances", "somebody-elses")
		if err := os.Mkdir(strange, 0o700); err != nil {
			t.Fatal(err)
		}
		// Of an instance that no control plane knows, half made.
		if err := os.MkdirAll(filepath.Join(r.dir, "node-1", "instances", "b-0000-1", "data"), 0o700); err != nil {
			t.Fatal(err)
		}
		pid := processesOf(folder)
		r.begin()
		r.running(id)
		if now := processesOf(folder); !slices.Equal(now, pid) || len(pid) != 1 {
			t.Errorf("process %v took the place of %v", now, pid)
		}
		if got, err := r.dial(id, 1).drain("/queue/ORDERS", time.Second); err != nil || len(got) != 1 {
			t.Errorf("with the files made anew: %q, %v", got, err)
		}
		r.until("what nobody knows is gone", func() bool { return !exists(filepath.Join(r.dir, "node-1", "instances", "b-0000-1")) })
		if left, _ := filepath.Glob(filepath.Join(r.dir, "node-1", leftDir, "b-0000-1@*")); len(left) != 1 {
			t.Errorf("of what nobody knows %v is kept", left)
		}
		if !exists(strange) {
			t.Error("a folder that is no instance's was removed")
		}
	})
	t.Run("an empty control plane", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, "a")
		r.begin()
		id := r.create("payroll", plane.Single, xml)
		r.running(id)
		folder := r.folder(id, 1)
		pid := processesOf(folder)
		r.stop()
		r.stop = nil
		if err := os.Rename(filepath.Join(r.dir, "control", "plane"), filepath.Join(r.dir, "mislaid")); err != nil {
			t.Fatal(err)
		}
		r.begin()
		time.Sleep(time.Second)
		if now := processesOf(folder); !slices.Equal(now, pid) || !exists(filepath.Join(folder, dataDir)) {
			t.Errorf("a control plane that knows nothing has had process %v ended; there is now %v", pid, now)
		}
		r.stop()
		r.stop = nil
		if err := os.RemoveAll(filepath.Join(r.dir, "control", "plane")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(r.dir, "mislaid"), filepath.Join(r.dir, "control", "plane")); err != nil {
			t.Fatal(err)
		}
		r.begin()
		r.running(id)
		if now := processesOf(folder); !slices.Equal(now, pid) {
			t.Errorf("process %v took the place of %v", now, pid)
		}
	})
}
