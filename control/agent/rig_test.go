package agent

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/godwitmq/godwit/control/plane"
	"github.com/godwitmq/godwit/control/plane/durable"
	"github.com/godwitmq/godwit/security"
)

// patience is for what is to happen soon, on a busy machine.
const patience = 90 * time.Second

var (
	binaryDir string
	// binary is godwit, built once for all tests.
	binary = sync.OnceValues(func() (string, error) {
		path := filepath.Join(binaryDir, "godwit")
		if out, err := exec.Command("go", "build", "-o", path, "../../cmd/godwit").CombinedOutput(); err != nil {
			return "", fmt.Errorf("go build: %w\n%s", err, out)
		}
		return path, nil
	})
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("AGENT_TEST_DIR"); dir != "" {
		os.Exit(serveAgent(dir))
	}
	var err error
	if binaryDir, err = os.MkdirTemp("", "agent"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(binaryDir)
	os.Exit(code)
}

// rig is a control plane with an agent for each node, in this process or another.
type rig struct {
	t      *testing.T
	dir    string
	origin plane.Origin
	limits plane.Limits
	plane  *durable.Plane
	stop   func()
	nodes  []plane.RegisterNode
	// program is what instances run.
	program func() (string, error)
}

const (
	user, password = "alice", "wonderland-of-alice"
	ownType        = "mq.test"
)

// newRig has a node for each zone, with addresses of its own.
func newRig(t *testing.T, zones ...string) *rig {
	t.Helper()
	if _, err := binary(); err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, dir: t.TempDir(), program: testProgram, origin: plane.Origin{Scope: plane.Scope{Account: "111122223333", Region: "eu-central-1"}, Who: "tester"}}
	r.limits = plane.Limits{Attempts: 3, BackoffFrom: 200 * time.Millisecond, BackoffTo: time.Second}
	for n, zone := range zones {
		r.nodes = append(r.nodes, plane.RegisterNode{Name: fmt.Sprintf("node-%d", n+1), Zone: zone, Range: freeRange(t)})
	}
	t.Cleanup(r.killAll)
	t.Cleanup(func() {
		if r.stop != nil {
			r.stop()
		}
	})
	return r
}

var (
	rangesMu sync.Mutex
	ranges   = os.Getpid() % 4000
)

// freeRange is a range of 14 loopback addresses where nobody listens on a port of ours.
func freeRange(t *testing.T) netip.Prefix {
	t.Helper()
	rangesMu.Lock()
	defer rangesMu.Unlock()
	for range 100 {
		ranges++
		n := ranges % 4000
		prefix := netip.PrefixFrom(netip.AddrFrom4([4]byte{127, 7, byte(n / 16), byte(n % 16 * 16)}), 28)
		free := true
		for a := prefix.Addr(); free && prefix.Contains(a); a = a.Next() {
			for _, port := range []int{8161, 61617, 61614, 4222, 61620} {
				l, err := net.Listen("tcp", net.JoinHostPort(a.String(), strconv.Itoa(port)))
				if err != nil {
					free = false
					break
				}
				l.Close()
			}
		}
		if free {
			return prefix
		}
	}
	t.Fatal("no range of loopback addresses is free")
	return netip.Prefix{}
}

// begin starts the control plane and the agents in this process.
func (r *rig) begin() {
	r.t.Helper()
	stop, p, err := beginAgents(r.dir, r.limits, r.nodes, r.program, testLogger(r.t))
	if err != nil {
		r.t.Fatal(err)
	}
	r.plane, r.stop = p, stop
}

func testLogger(t *testing.T) *slog.Logger {
	out := io.Discard
	if testing.Verbose() {
		out = t.Output()
	}
	return slog.New(slog.NewTextHandler(out, nil))
}

// beginAgents starts a control plane and agents, which end with stop.
func beginAgents(dir string, limits plane.Limits, nodes []plane.RegisterNode, program func() (string, error), log *slog.Logger) (stop func(), p *durable.Plane, err error) {
	p, err = durable.OpenDir(filepath.Join(dir, "control", "plane"), durable.Options{Plane: plane.Options{Limits: limits}, Logger: log, TickEvery: time.Second})
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	local := &Local{Plane: p, Dir: filepath.Join(dir, "control")}
	for _, n := range nodes {
		if _, err := p.Do(ctx, plane.Origin{Who: n.Name}, n); err != nil {
			cancel()
			return nil, nil, err
		}
		ca := filepath.Join(dir, "ldap-ca.pem") // of tests about LDAP
		if !exists(ca) {
			ca = ""
		}
		a := New(local, Options{LDAPCA: ca, Node: n.Name, Data: filepath.Join(dir, n.Name), Logger: log.With("node", n.Name), LookEvery: 100 * time.Millisecond, ObserveEvery: time.Second,
			Silence: 2 * time.Second, Program: func(string) (string, error) { return program() }})
		running.Go(func() {
			if err := a.Run(ctx); err != nil {
				log.Error("the agent has ended", "error", err)
			}
		})
	}
	return func() {
		cancel()
		running.Wait()
		if err := p.Close(); err != nil {
			log.Error("close the control plane", "error", err)
		}
	}, p, nil
}

// killAll ends what the agents have started and is still there.
func (r *rig) killAll() {
	folders, _ := filepath.Glob(filepath.Join(r.dir, "node-*", "instances", "b-*"))
	for _, f := range folders {
		if p := findProcess(f); p != nil {
			if p.signal(syscall.SIGKILL) == nil {
				<-p.done
			}
		}
	}
}

func (r *rig) do(c plane.Command) *plane.Change {
	r.t.Helper()
	change, err := r.plane.Do(context.Background(), r.origin, c)
	if err != nil {
		r.t.Fatalf("%T: %v", c, err)
	}
	return change
}

// create makes a broker, and returns its id.
func (r *rig) create(name string, mode plane.Mode, xml string) string {
	r.t.Helper()
	hash, err := security.HashPassword(password)
	if err != nil {
		r.t.Fatal(err)
	}
	if r.plane.State().InstanceType(ownType) == nil {
		r.do(plane.PutInstanceType{Type: plane.InstanceType{Name: ownType, MemoryBytes: 512 << 20, Connections: 50, StorageGB: 2}})
	}
	id := durable.NewID("b")
	r.do(plane.CreateBroker{ID: id, Name: name, Mode: mode, Engine: plane.ActiveMQ, Type: ownType, Users: []plane.NewUser{{Name: user, Hash: hash, Groups: []string{"workers"}}},
		Default: &plane.CreateConfiguration{ID: durable.NewID("c"), Name: name + "-configuration", Engine: plane.ActiveMQ, Data: []byte(xml)}})
	return id
}

func (r *rig) broker(id string) *plane.Broker { return r.plane.State().Broker(plane.Scope{}, id) }

// until waits for a state of the control plane.
func (r *rig) until(what string, is func() bool) {
	r.t.Helper()
	deadline := time.After(patience)
	for !is() {
		changed := r.plane.Changed()
		if is() {
			return
		}
		select {
		case <-changed:
		case <-time.After(100 * time.Millisecond):
		case <-deadline:
			for _, b := range r.plane.State().Brokers(plane.Scope{}) {
				state, why := b.State()
				r.t.Logf("%s: %s %s; operation %+v; last %+v; instances %+v", b.Name, state, why, b.Operation, b.Last, b.Instances)
			}
			r.dump()
			r.t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

// dump logs the ends of the instances' logs.
func (r *rig) dump() {
	logs, _ := filepath.Glob(filepath.Join(r.dir, "node-*", "instances", "b-*", logFile))
	for _, l := range logs {
		data, _ := os.ReadFile(l)
		r.t.Logf("%s:\n%s", l, data[max(0, len(data)-3000):])
	}
}

// running waits until a broker is at rest, RUNNING, and its instances have the newest spec.
func (r *rig) running(id string) *plane.Broker {
	r.t.Helper()
	r.until("RUNNING", func() bool {
		b := r.broker(id)
		if b == nil || b.Operation != nil {
			return false
		}
		for _, i := range b.Instances {
			if !i.Up || i.Down || i.Applied != b.Version {
				return false
			}
		}
		state, _ := b.State()
		return state == plane.Running
	})
	return r.broker(id)
}

// address is one of an instance.
func (r *rig) address(id string, number int, port func(plane.Ports) int) string {
	r.t.Helper()
	i := r.broker(id).Instance(number)
	if i == nil {
		r.t.Fatalf("there is no instance %d", number)
	}
	return net.JoinHostPort(i.Address.String(), strconv.Itoa(port(plane.PortsOf(i.Slot))))
}

func stompPort(p plane.Ports) int    { return p.STOMPTLS }
func openwirePort(p plane.Ports) int { return p.OpenWireTLS }
func apiPort(p plane.Ports) int      { return p.API }

// folder is that of an instance, pid its process.
func (r *rig) folder(id string, number int) string {
	return filepath.Join(r.dir, r.broker(id).Instance(number).Node, "instances", fmt.Sprintf("%s-%d", id, number))
}

func (r *rig) pid(id string, number int) int {
	r.t.Helper()
	var n pidNote
	if err := readJSON(filepath.Join(r.folder(id, number), pidFile), &n); err != nil {
		r.t.Fatal(err)
	}
	return n.PID
}

// trust is what clients trust: the service's authority, and nothing else.
func (r *rig) trust() *tls.Config {
	r.t.Helper()
	pem, err := os.ReadFile(filepath.Join(r.dir, "control", "ca.pem"))
	if err != nil {
		r.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	return &tls.Config{RootCAs: pool}
}

// stomp is a client over TLS.
type stomp struct {
	conn net.Conn
	in   *bufio.Reader
	n    int
}

func dialStomp(address, user, password string, trust *tls.Config) (*stomp, error) {
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", address, trust)
	if err != nil {
		return nil, err
	}
	s := &stomp{conn: conn, in: bufio.NewReader(conn)}
	if err := s.write("CONNECT", map[string]string{"accept-version": "1.2", "host": "x", "login": user, "passcode": password}, ""); err != nil {
		return nil, err
	}
	if command, _, body, err := s.read(10 * time.Second); err != nil || command != "CONNECTED" {
		conn.Close()
		return nil, errors.Join(err, fmt.Errorf("%s %s", command, body))
	}
	return s, nil
}

func (s *stomp) write(command string, headers map[string]string, body string) error {
	var b strings.Builder
	b.WriteString(command + "\n")
	for k, v := range headers {
		b.WriteString(k + ":" + v + "\n")
	}
	b.WriteString("\n" + body + "\x00")
	_, err := io.WriteString(s.conn, b.String())
	return err
}

func (s *stomp) read(within time.Duration) (command string, headers map[string]string, body string, err error) {
	s.conn.SetReadDeadline(time.Now().Add(within))
	frame, err := s.in.ReadString(0)
	if err != nil {
		return "", nil, "", err
	}
	head, body, _ := strings.Cut(strings.TrimLeft(strings.TrimSuffix(frame, "\x00"), "\r\n"), "\n\n")
	headers = map[string]string{}
	for n, line := range strings.Split(head, "\n") {
		if n == 0 {
			command = line
			continue
		}
		k, v, _ := strings.Cut(line, ":")
		headers[k] = v
	}
	return command, headers, body, nil
}

// send sends a persistent message and waits until it is safe.
func (s *stomp) send(destination, body string) error {
	s.n++
	receipt := strconv.Itoa(s.n)
	if err := s.write("SEND", map[string]string{"destination": destination, "persistent": "true", "receipt": receipt}, body); err != nil {
		return err
	}
	command, headers, text, err := s.read(20 * time.Second)
	if err != nil || command != "RECEIPT" || headers["receipt-id"] != receipt {
		return errors.Join(err, fmt.Errorf("%s %v %s", command, headers, text))
	}
	return nil
}

// drain takes what waits in a queue, until nothing has come for a while.
func (s *stomp) drain(destination string, quiet time.Duration) (bodies []string, err error) {
	if err := s.write("SUBSCRIBE", map[string]string{"id": "0", "destination": destination, "ack": "auto"}, ""); err != nil {
		return nil, err
	}
	for {
		command, _, body, err := s.read(quiet)
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			return bodies, nil
		}
		if err != nil || command != "MESSAGE" {
			return bodies, errors.Join(err, fmt.Errorf("%s %s", command, body))
		}
		bodies = append(bodies, body)
	}
}

func (r *rig) dial(id string, number int) *stomp {
	r.t.Helper()
	s, err := dialStomp(r.address(id, number, stompPort), user, password, r.trust())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { s.conn.Close() })
	return s
}

func (r *rig) nothingLeftOn(node string) {
	r.t.Helper()
	left, err := os.ReadDir(filepath.Join(r.dir, node, "instances"))
	if err != nil || len(left) > 0 {
		r.t.Errorf("left of the folders of %s: %v, %v", node, left, err)
	}
}

// nothingLeft sees that no process, folder or port of an instance is left.
func (r *rig) nothingLeft(pids []int, addresses []string) {
	r.t.Helper()
	for _, pid := range pids {
		if _, running := startOf(pid); running {
			r.t.Errorf("process %d still runs", pid)
		}
	}
	for _, n := range r.nodes {
		r.nothingLeftOn(n.Name)
	}
	r.until("no authority is left", func() bool { // which goes with the next orders
		left, _ := os.ReadDir(filepath.Join(r.dir, "control", nodesDir))
		return len(left) == 0
	})
	for _, a := range addresses {
		l, err := net.Listen("tcp", a)
		if err != nil {
			r.t.Errorf("port %s is still taken: %v", a, err)
			continue
		}
		l.Close()
	}
}

// testProgram is godwit, also in a process that a test has started.
func testProgram() (string, error) {
	if path := os.Getenv("AGENT_TEST_PROGRAM"); path != "" {
		return path, nil
	}
	return binary()
}
