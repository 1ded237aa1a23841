package interop

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// fleet is a pair and its witness as `godwit cluster init` sets them up, each with a network namespace and a disk of its own. The test's process and the clients are
// in a fourth namespace, on the bridge between them. All of it, processes included, ends with the test's process, which is the first one of a process namespace.
type fleet struct {
	*pair
	names   []string
	host    map[string]string // a node's address
	dir     string
	holders map[string]int    // the process whose network namespace is the node's
	loop    map[string]string // major:minor of the node's disk; "" if it cannot be slowed
	lives   []life
	longest time.Duration // of what is done to a node on purpose
}

// life is one process of a node.
type life struct {
	node string
	pid  int
}

const (
	// diskSize of a node.
	diskSize = 1 << 30
	// nowhere is the hardware address of nobody.
	nowhere = "02:00:00:00:00:ff"
	// theClients is where the clients are, beside the nodes' names.
	theClients = "clients"
	// wholeWithin bounds how long the nodes may take to be as before a fault, without an operator.
	wholeWithin = 2 * time.Minute
)

// must runs a command that prepares something.
func must(t *testing.T, argv ...string) {
	t.Helper()
	if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
	}
}

func startFleet(t *testing.T) *fleet {
	t.Helper()
	binary, err := godwitBinary()
	if err != nil {
		t.Fatal(err)
	}
	f := &fleet{
		pair:  &pair{nodes: map[string]*broker{}, apis: map[string]string{}, login: true},
		names: []string{"a", "b", "w"}, host: map[string]string{}, holders: map[string]int{}, loop: map[string]string{}, dir: filepath.Join(t.TempDir(), "pair"),
	}
	must(t, "ip", "link", "set", "lo", "up")
	must(t, "ip", "link", "add", "br0", "type", "bridge")
	must(t, "ip", "addr", "add", "10.77.0.254/24", "dev", "br0")
	must(t, "ip", "link", "set", "br0", "up")
	init := []string{binary, "cluster", "init", "--dir", f.dir}
	for i, name := range f.names {
		f.host[name] = fmt.Sprintf("10.77.0.%d", i+1)
		f.plug(t, name)
		flag := "--node"
		if name == "w" {
			flag = "--witness"
		}
		init = append(init, flag, name+"="+f.host[name])
	}
	must(t, init...)
	add := exec.Command(binary, "users", "add", "--file", filepath.Join(f.dir, "users"), "--group", "admins", user)
	add.Stdin = strings.NewReader(password + "\n")
	if out, err := add.CombinedOutput(); err != nil {
		t.Fatalf("godwit users add: %v\n%s", err, out)
	}
	for _, name := range f.names {
		f.mount(t, name)
		f.apis[name] = "http://" + f.host[name] + ":8161"
		b := &broker{endpoints: endpoints{openwire: "tcp://" + f.host[name] + ":61616", stomp: f.host[name] + ":61614", readyURL: f.apis[name] + "/healthz"}}
		b.command = commandOf("nsenter", f.net(name), binary, "serve", "--config", filepath.Join(f.dir, name+".yaml"))
		f.nodes[name] = b
	}
	for _, name := range f.names {
		f.nodes[name].launch(t)
		f.lives = append(f.lives, life{name, f.nodes[name].cmd.Process.Pid})
	}
	t.Cleanup(func() {
		if t.Failed() || os.Getenv("GODWIT_CHAOS_KEEP") != "" {
			f.keep(t)
		}
	})
	f.whole(t)
	return f
}

// keep copies the nodes' logs to where they outlive the test.
func (f *fleet) keep(t *testing.T) {
	to, err := os.MkdirTemp("", "godwit-chaos-")
	if err != nil {
		t.Error(err)
		return
	}
	for name, b := range f.nodes {
		content, _ := os.ReadFile(b.log.Name())
		_ = os.WriteFile(filepath.Join(to, name+".log"), content, 0o600)
	}
	t.Logf("the nodes' logs are kept in %s", to)
}

// plug makes a node's network namespace and its cable.
func (f *fleet) plug(t *testing.T, name string) {
	t.Helper()
	holder := exec.Command("unshare", "--net", "sh", "-c", "echo ready; exec cat")
	stdin, err := holder.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		_ = holder.Wait()
	})
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "ready\n" {
		t.Fatalf("no network namespace: %q, %v", line, err)
	}
	f.holders[name] = holder.Process.Pid
	must(t, "ip", "link", "add", "to-"+name, "type", "veth", "peer", "name", "eth0", "netns", fmt.Sprint(holder.Process.Pid))
	must(t, "ip", "link", "set", "to-"+name, "master", "br0", "up")
	for _, command := range []string{"ip link set lo up", "ip addr add " + f.host[name] + "/24 dev eth0", "ip link set eth0 up"} {
		must(t, append([]string{"nsenter", f.net(name)}, strings.Fields(command)...)...)
	}
}

func (f *fleet) net(name string) string { return fmt.Sprintf("--net=/proc/%d/ns/net", f.holders[name]) }

func (f *fleet) data(name string) string { return filepath.Join(f.dir, name+"-data") }

// mount gives a node a disk: a file system in a file, which is as slow as the disk that it is on and can be made slower, or, where that is not allowed, a
// tmpfs.
func (f *fleet) mount(t *testing.T, name string) {
	t.Helper()
	data := f.data(name)
	if err := os.MkdirAll(data, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = exec.Command("umount", data).Run() })
	image := data + ".img"
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, diskSize); err != nil {
		t.Fatal(err)
	}
	if exec.Command("mkfs.ext4", "-q", "-m", "0", image).Run() == nil && exec.Command("mount", "-o", "loop", image, data).Run() == nil {
		number, err := exec.Command("mountpoint", "-d", data).Output()
		if _, serr := os.Stat(throttle); err == nil && serr == nil {
			f.loop[name] = strings.TrimSpace(string(number))
		}
		_ = os.Remove(filepath.Join(data, "lost+found"))
		return
	}
	t.Logf("no file system in a file can be mounted here; node %s has a tmpfs", name)
	must(t, "mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%d", diskSize), "tmpfs", data)
}

// throttle is where the kernel takes how many writes a second a disk may do: cgroup v1, for all processes.
const throttle = "/sys/fs/cgroup/blkio/blkio.throttle.write_iops_device"

func (f *fleet) restart(t *testing.T, name string) {
	t.Helper()
	f.nodes[name].start(t)
	f.lives = append(f.lives, life{name, f.nodes[name].cmd.Process.Pid})
}

// cable says whether packets of one node, or of the clients, reach another. A cut one is not noticed by who sends.
func (f *fleet) cable(t *testing.T, from, to string, cut bool) {
	t.Helper()
	host := f.host[to]
	argv := []string{"ip", "neigh", "replace", host, "lladdr", nowhere, "dev", "br0", "nud", "permanent"}
	if !cut {
		argv = []string{"ip", "neigh", "del", host, "dev", "br0"}
	}
	if to == theClients {
		host = "10.77.0.254"
		argv[3] = host
	}
	if from != theClients {
		for i, word := range argv {
			if word == "br0" {
				argv[i] = "eth0"
			}
		}
		argv = append([]string{"nsenter", f.net(from)}, argv...)
	}
	must(t, argv...)
}

// state is what the nodes say of themselves.
type state struct {
	role    map[string]string
	lag     map[string]uint64
	epoch   map[string]uint64
	current map[string]bool
	leader  string // the node that leads the log's stream
	leaders int    // how many take themselves for it, as one that was cut off may
}

func (f *fleet) look() state {
	s := state{role: map[string]string{}, lag: map[string]uint64{}, epoch: map[string]uint64{}, current: map[string]bool{}}
	for _, name := range f.names {
		var is struct {
			Role       string
			Lag, Epoch uint64
		}
		if _, answer, err := f.ask(time.Second, name, http.MethodGet, "/api/v1/instance", ""); err != nil || json.Unmarshal(answer, &is) != nil {
			continue
		}
		s.role[name], s.lag[name], s.epoch[name] = is.Role, is.Lag, is.Epoch
		if _, answer, err := f.ask(time.Second, name, http.MethodGet, "/metrics", ""); err == nil {
			s.current[name] = bytes.Contains(answer, []byte("\ngodwit_log_current 1"))
			if bytes.Contains(answer, []byte("\ngodwit_log_leader 1")) {
				s.leader, s.leaders = name, s.leaders+1
			}
		}
	}
	return s
}

// with names the broker with a role; "" is none.
func (s state) with(role string) string {
	for name, is := range s.role {
		if is == role {
			return name
		}
	}
	return ""
}

func (s state) whole() bool {
	active, standby := s.with("active"), s.with("standby")
	return active != "" && standby != "" && s.epoch[active] == s.epoch[standby] && s.lag[standby] <= 8 && s.leaders == 1 && s.current["a"] && s.current["b"] && s.current["w"]
}

// whole waits until all nodes are as they should be, and fails the test if they are not in time, or if a process has ended by itself.
func (f *fleet) whole(t *testing.T) state {
	t.Helper()
	var s state
	for deadline := time.Now().Add(wholeWithin); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if s = f.look(); s.whole() {
			return s
		}
		for _, name := range f.names {
			select {
			case err := <-f.nodes[name].exited:
				f.nodes[name].exited = nil
				t.Fatalf("node %s has ended by itself: %v\n%s", name, err, tail(f.nodes[name].log.Name(), 4000))
			default:
			}
		}
	}
	t.Fatalf("the nodes are not whole again after %v: %+v", wholeWithin, s)
	return s
}
