package jetstream

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/godwitmq/godwit/journal"
)

// TestProcess is what TestProcesses runs in processes of their own: a node, and a role on it, given by the environment.
func TestProcess(t *testing.T) {
	role := os.Getenv("GODWIT_TEST_ROLE")
	if role == "" {
		t.Skip("only run by TestProcesses")
	}
	node, err := StartNode(NodeOptions{
		Name: os.Getenv("GODWIT_TEST_NAME"), Dir: os.Getenv("GODWIT_TEST_DIR"), Logger: quiet(),
		Listen: os.Getenv("GODWIT_TEST_LISTEN"), Peers: strings.Split(os.Getenv("GODWIT_TEST_PEERS"), ","),
	})
	if err != nil {
		t.Fatal(err)
	}
	opt := Options{Name: "processes", Logger: quiet()}
	switch role {
	case "active": // appends as fast as it is answered, and tells what is durable
		told := make(chan journal.Position, 1)
		log, err := Open(context.Background(), node, opt, journal.Notify{Durable: func(p journal.Position) { told <- p }})
		if err != nil {
			t.Fatal(err)
		}
		commands := bufio.NewScanner(os.Stdin)
		fmt.Println("ready")
		for commands.Scan() {
			b := new(journal.Batch)
			b.Add([]byte(commands.Text()))
			if err := log.Append(b, false); err != nil {
				t.Fatal(err)
			}
			<-told
			fmt.Println("durable", b.Position(0))
		}
	case "witness":
		fmt.Println("ready")
		time.Sleep(time.Minute)
	}
}

// process is a node of its own.
type process struct {
	cmd *exec.Cmd
	in  *os.File
	out *bufio.Scanner
}

func startProcess(t *testing.T, role, name, dir, listen string, peers []string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(os.Args[0], "-test.run=^TestProcess$", "-test.timeout=90s")}
	p.cmd.Env = append(os.Environ(), "GODWIT_TEST_ROLE="+role, "GODWIT_TEST_NAME="+name, "GODWIT_TEST_DIR="+dir, "GODWIT_TEST_LISTEN="+listen,
		"GODWIT_TEST_PEERS="+strings.Join(peers, ","))
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stdin, p.in = r, w
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.out = bufio.NewScanner(out)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r.Close()
	t.Cleanup(func() {
		w.Close()
		p.cmd.Process.Kill()
		p.cmd.Wait()
	})
	return p
}

func (p *process) line(t *testing.T) string {
	t.Helper()
	if !p.out.Scan() {
		t.Fatalf("process %d has ended: %v", p.cmd.Process.Pid, p.out.Err())
	}
	return p.out.Text()
}

// lines is a log that can be looked through.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) have(what string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.text.String(), what)
}

// usage is the process's resident memory in KiB and the processor time it has used.
func (p *process) usage(t *testing.T) (kib int, used time.Duration) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Skip(err)
	}
	for line := range strings.Lines(string(status)) {
		if f := strings.Fields(line); f[0] == "VmRSS:" {
			kib, _ = strconv.Atoi(f[1])
		}
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		t.Skip(err)
	}
	f := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	user, _ := strconv.Atoi(f[11])
	system, _ := strconv.Atoi(f[12])
	return kib, time.Duration(user+system) * 10 * time.Millisecond
}

// TestProcesses kills the process of an active writer with SIGKILL. What it was told is durable is there, and the follower here goes on within the time. On the way it measures
// what an idle node takes.
func TestProcesses(t *testing.T) {
	dir, peers := t.TempDir(), freeAddresses(t, 3)
	active := startProcess(t, "active", "a", dir+"/a", peers[0], peers)
	witness := startProcess(t, "witness", "c", dir+"/c", peers[2], peers)
	var said lines
	node, err := StartNode(NodeOptions{Name: "b", Dir: dir + "/b", Listen: peers[1], Peers: peers, Logger: slog.New(slog.NewTextHandler(&said, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer node.Close()
	opt := Options{Name: "processes", Logger: quiet()}
	active.line(t)
	witness.line(t)
	f := follower(t, node, opt)
	var seen []kept
	eventually(t, "the stream is led by another node", func() bool {
		if _, err := f.Next(patience(t), collect(&seen)); err != nil {
			t.Fatal(err)
		}
		info, err := f.s.Info(patience(t))
		return err == nil && info.Cluster.Leader != "" && info.Cluster.Leader != "a"
	})
	var durable []string
	var each []time.Duration
	for i := range 50 {
		begun := time.Now()
		fmt.Fprintf(active.in, "record %d\n", i)
		durable = append(durable, strings.TrimPrefix(active.line(t), "durable "))
		each = append(each, time.Since(begun))
	}
	slices.Sort(each)
	t.Logf("append of one record: median %v", each[len(each)/2])

	if os.Getenv("GODWIT_MEASURE") != "" {
		for _, p := range []*process{active, witness} {
			_, before := p.usage(t)
			begun := time.Now()
			for time.Since(begun) < 5*time.Second {
				if _, err := f.Next(patience(t), collect(&seen)); err != nil {
					t.Fatal(err)
				}
			}
			kib, after := p.usage(t)
			t.Logf("idle process %d: %d MiB resident, %.1f %% of a processor, heartbeats every 50 ms", p.cmd.Process.Pid, kib>>10,
				100*(after-before).Seconds()/time.Since(begun).Seconds())
		}
	}

	// The node with the stream's leader dies: the writer goes on once the others have elected another. That is begun by the follower's node, not by a timer.
	current := func() bool {
		info, err := f.s.Info(patience(t))
		if err != nil || info.Cluster == nil || len(info.Cluster.Replicas) != 2 {
			return false
		}
		for _, r := range info.Cluster.Replicas {
			if !r.Current || r.Offline {
				return false
			}
		}
		return true
	}
	eventually(t, "the stream is led by c", func() bool {
		info, err := f.s.Info(patience(t))
		if err == nil && info.Cluster.Leader != "c" {
			f.s.StepDown(patience(t), "c")
		}
		return err == nil && info.Cluster.Leader == "c" && current()
	})
	begun := time.Now()
	if err := witness.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(active.in, "record %d\n", len(durable))
	for len(seen) <= len(durable) {
		if news, err := f.Next(patience(t), collect(&seen)); err != nil || news == Silent {
			t.Fatalf("next while the stream has no leader: %v, %v; the writer is there and only waits for one", news, err)
		}
	}
	durable = append(durable, strings.TrimPrefix(active.line(t), "durable "))
	t.Logf("kill -9 of the node with the stream's leader to the next append by the same writer: %v", time.Since(begun))
	if !said.have("node that led a part of the log is gone") {
		t.Error("the follower's node has not begun the election")
	}
	startProcess(t, "witness", "c", dir+"/c", peers[2], peers).line(t)
	eventually(t, "all nodes are up to date, and the writer's does not lead", func() bool {
		info, err := f.s.Info(patience(t))
		return err == nil && info.Cluster.Leader != "a" && current()
	})
	eventually(t, "the follower has read all", func() bool {
		_, err := f.Next(patience(t), collect(&seen))
		return err != nil || len(seen) == len(durable)
	})

	if err := active.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	killed := time.Now()
	for {
		news, err := f.Next(patience(t), collect(&seen))
		if err != nil {
			t.Fatal(err)
		}
		if news == Silent {
			break
		}
	}
	o := newOwner(t)
	if o.log, err = f.Lead(patience(t), o.notify()); err != nil {
		t.Fatal(err)
	}
	defer o.log.Close()
	o.must(1)
	took := time.Since(killed)
	t.Logf("kill -9 of the active to the first append of the next: %v", took)
	if took > 3*time.Second {
		t.Errorf("that is too long, also on a busy machine")
	}
	for i, position := range durable {
		if i >= len(seen) || fmt.Sprint(seen[i].at) != position || seen[i].data != fmt.Sprintf("record %d", i) {
			t.Fatalf("record %d, durable at %s, was followed as %v", i, position, at(seen, i))
		}
	}
}

// TestStoppedReplica reads while one of three replicas hangs with its sockets open. The server sends one request in three to it.
func TestStoppedReplica(t *testing.T) {
	dir, peers := t.TempDir(), freeAddresses(t, 3)
	first := startProcess(t, "witness", "a", dir+"/a", peers[0], peers)
	second := startProcess(t, "witness", "c", dir+"/c", peers[2], peers)
	node, err := StartNode(NodeOptions{Name: "b", Dir: dir + "/b", Listen: peers[1], Peers: peers, Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer node.Close()
	first.line(t)
	second.line(t)
	o := open(t, node, Options{Name: "processes", Logger: quiet()})
	o.must(10)
	eventually(t, "all replicas answer", func() bool {
		info, err := o.log.s.Info(patience(t))
		return err == nil && len(info.Cluster.Replicas) == 2 && info.Cluster.Replicas[0].Current && info.Cluster.Replicas[1].Current
	})
	time.Sleep(3 * time.Second) // only now and then does a replica look whether it may answer
	if err := second.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer second.cmd.Process.Signal(syscall.SIGCONT)
	const reads = 20
	answered := 0
	for range reads {
		if _, err := o.log.s.LocalGet(patience(t), 1); err == nil {
			answered++
		}
	}
	if answered < reads-2 {
		t.Errorf("%d of %d reads were answered while one replica hangs", answered, reads)
	}
}
