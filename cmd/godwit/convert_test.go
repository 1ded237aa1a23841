package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
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

	"github.com/godwitmq/godwit/config"
	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/control/client"
	"github.com/godwitmq/godwit/message"
)

// convertPatience is how long a node may take to become what it is to be, on a busy machine.
const convertPatience = 60 * time.Second

// TestConvertProcess is not a test but the broker that TestConvertKilled kills: it runs the configuration that the environment names, and dies at the step that it names.
func TestConvertProcess(t *testing.T) {
	file, step := os.Getenv("GODWIT_TEST_CONFIG"), os.Getenv("GODWIT_TEST_STEP")
	if file == "" {
		t.Skip("run by TestConvertKilled")
	}
	load := func() (*config.Config, error) { return config.Load(file, nil) }
	cfg, err := load()
	if err != nil {
		t.Fatal(err)
	}
	level := &slog.LevelVar{}
	n, err := start(cfg, load, newLog(os.Stderr, "text", level), level, time.Now())
	if err != nil {
		fmt.Println("refused:", strings.ReplaceAll(err.Error(), "\n", " "))
		os.Exit(1)
	}
	n.steps = func(at string) {
		if at == step {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	fmt.Println("started")
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(io.Discard, os.Stdin)
	}()
	select {
	case err := <-n.failed:
		_ = n.stop()
		fmt.Println("refused:", strings.ReplaceAll(err.Error(), "\n", " "))
		os.Exit(1)
	case <-ended:
	}
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}
}

// convertRig is a broker alone that may become a, with b and w in this process.
type convertRig struct {
	t            *testing.T
	dir          string
	single, pair string
	remote       map[string]*client.Client
	others       map[string]*node // b and w, by their files
	a            *exec.Cmd
	lines        *bufio.Scanner
	stdin        io.Closer

	mu       sync.Mutex
	sent     int
	answered map[string]bool
}

func newConvertRig(t *testing.T) *convertRig {
	t.Helper()
	r := &convertRig{t: t, dir: t.TempDir(), remote: map[string]*client.Client{}, answered: map[string]bool{}}
	names := []string{"a", "b", "w"}
	at := map[string][]string{}
	var nodes strings.Builder
	var held []net.Listener // until all have a port of their own
	for _, name := range names {
		for range 4 {
			l, err := listenAnywhere()
			if err != nil {
				t.Fatal(err)
			}
			held = append(held, l)
			at[name] = append(at[name], l.Addr().String())
		}
		relay := at[name][1]
		if name == "w" {
			relay = ""
		}
		fmt.Fprintf(&nodes, "    - {name: %s, log: %q, relay: %q, api: 'http://%s'}\n", name, at[name][0], relay, at[name][2])
		var err error
		if r.remote[name], err = client.New(at[name][2], client.Options{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, l := range held {
		l.Close()
	}
	write := func(file, name, role string, cluster bool) string {
		text := fmt.Sprintf("data: %s\nhttp: {address: %q}\n", name+"-data", at[name][2])
		if role == "broker" {
			text += fmt.Sprintf("listeners:\n  - {protocol: stomp, url: 'tcp://%s'}\n", at[name][3])
		}
		if cluster {
			// Two busy cores hold up heartbeats.
			text += fmt.Sprintf("cluster:\n  name: %s\n  role: %s\n  await: true\n  silence: 1s\n  listen: %q\n  nodes:\n%s", name, role, at[name][0], &nodes)
		}
		path := filepath.Join(r.dir, file)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	r.single = write("single.yaml", "a", "broker", false)
	r.pair = write("a.yaml", "a", "broker", true)
	others := []string{write("b.yaml", "b", "broker", true), write("w.yaml", "w", "witness", true)}
	t.Cleanup(func() { r.end() })
	r.others = map[string]*node{}
	for _, file := range others {
		r.others[file] = r.here(file)
	}
	t.Cleanup(func() {
		for _, n := range r.others {
			if err := n.stop(); err != nil {
				t.Error(err)
			}
		}
	})
	return r
}

// here starts a node in this process.
func (r *convertRig) here(file string) *node {
	r.t.Helper()
	load := func() (*config.Config, error) { return config.Load(file, nil) }
	cfg, err := load()
	if err != nil {
		r.t.Fatal(err)
	}
	n, err := start(cfg, load, slog.New(slog.DiscardHandler), &slog.LevelVar{}, time.Now())
	if err != nil {
		r.t.Fatal(err)
	}
	return n
}

// begin starts a with a configuration, to die at a step. refused says why it does not run.
func (r *convertRig) begin(file, step string) (refused string) {
	r.t.Helper()
	r.end()
	cmd := exec.Command(os.Args[0], "-test.run=^TestConvertProcess$", "-test.timeout=5m")
	cmd.Env = append(os.Environ(), "GODWIT_TEST_CONFIG="+file, "GODWIT_TEST_STEP="+step)
	log, err := os.OpenFile(filepath.Join(r.dir, "a.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		r.t.Fatal(err)
	}
	defer log.Close()
	cmd.Stderr = log
	stdin, err := cmd.StdinPipe()
	if err != nil {
		r.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		r.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.a, r.stdin, r.lines = cmd, stdin, bufio.NewScanner(out)
	return r.line()
}

// line is the next that a says: "" if it runs, else why not.
func (r *convertRig) line() string {
	r.t.Helper()
	for r.lines.Scan() {
		if text := r.lines.Text(); text == "started" {
			return ""
		} else if why, ok := strings.CutPrefix(text, "refused: "); ok {
			return why
		}
	}
	return "it has ended"
}

// end stops a in good order, if it runs.
func (r *convertRig) end() {
	if r.a == nil {
		return
	}
	r.stdin.Close()
	_ = r.a.Wait() // it may have been killed
	r.a = nil
}

func (r *convertRig) role(name string) (is api.Instance) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	all, err := r.remote[name].Instances(ctx)
	if err != nil {
		is.Reason = err.Error()
		return is
	}
	for _, i := range all {
		if i.Name == name {
			is = i
		}
	}
	return is
}

func (r *convertRig) await(name, role string) {
	r.t.Helper()
	var is api.Instance
	for begun := time.Now(); time.Since(begun) < convertPatience; time.Sleep(20 * time.Millisecond) {
		if is = r.role(name); is.Role == role {
			return
		}
	}
	r.t.Fatalf("%s is %s (%s), not %s", name, is.Role, is.Reason, role)
}

func (r *convertRig) convert(to, file string) (last api.Converting, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), convertPatience)
	defer cancel()
	var refused []string
	err = r.remote["a"].Convert(ctx, api.Convert{To: to, Config: file}, func(line api.Converting) {
		last = line
		for _, k := range line.Checks {
			if !k.Fine {
				refused = append(refused, k.What+": "+k.Detail)
			}
		}
	})
	if refused != nil {
		err = fmt.Errorf("%w (%s)", err, strings.Join(refused, "; "))
	}
	return last, err
}

func (r *convertRig) mustConvert(to, file string) {
	r.t.Helper()
	last, err := r.insist(to, file)
	if err != nil || last.Phase != "done" || last.Records == 0 {
		r.t.Fatalf("convert to %s: %+v, %v", to, last, err)
	}
}

// insist converts, and does so again while a refuses and lives: on a machine with too much to do not all nodes are well at any moment.
func (r *convertRig) insist(to, file string) (last api.Converting, err error) {
	r.t.Helper()
	for begun := time.Now(); ; time.Sleep(200 * time.Millisecond) {
		if last, err = r.convert(to, file); err == nil || time.Since(begun) > convertPatience {
			return last, err
		}
		ctx, cancel := context.WithTimeout(context.Background(), convertPatience)
		_, dead := r.remote["a"].Version(ctx)
		cancel()
		if dead != nil {
			return last, err
		}
		r.t.Logf("convert to %s: %+v, %v", to, last, err)
	}
}

// load sends messages to a until the test's function returns.
func (r *convertRig) load(while func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			r.send(ctx)
		}
	}()
	while()
	cancel()
	<-done
}

func (r *convertRig) send(ctx context.Context) {
	r.mu.Lock()
	text := fmt.Sprint("message ", r.sent)
	r.sent++
	r.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_, err := r.remote["a"].Send(ctx, convertQueue, api.Send{Text: &text})
	time.Sleep(2 * time.Millisecond) // else there are more than can be looked at
	if err != nil {
		return
	}
	r.mu.Lock()
	r.answered[text] = true
	r.mu.Unlock()
}

var convertQueue = message.Destination{Kind: message.Queue, Name: "q"}

// verify sees that a node has each message that was answered once, and each other once at most.
func (r *convertRig) verify(name string) {
	r.t.Helper()
	var found *api.Browsed
	var err error
	for begun := time.Now(); time.Since(begun) < convertPatience; time.Sleep(50 * time.Millisecond) {
		if found, err = r.remote[name].Browse(context.Background(), convertQueue, "", 10_000, true); err == nil {
			break
		}
	}
	if err != nil {
		r.t.Fatal(err)
	}
	if found.More {
		r.t.Fatal("there are more messages than can be looked at")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.answered) == 0 {
		r.t.Fatal("no message was sent")
	}
	times := map[string]int{}
	for _, m := range found.Messages {
		times[string(m.Body)]++
	}
	for text := range r.answered {
		if n := times[fmt.Sprintf(`{"text":%q}`, text)]; n != 1 {
			r.t.Errorf("%q was acknowledged and is there %d times", text, n)
		}
	}
	for body, n := range times {
		if n > 1 {
			r.t.Errorf("%s is there %d times", body, n)
		}
	}
}

// clear begins anew.
func (r *convertRig) clear() {
	r.t.Helper()
	if _, err := r.remote["a"].Purge(context.Background(), convertQueue); err != nil {
		r.t.Fatal(err)
	}
	clear(r.answered)
}

// idle sees that b does not become active, for longer than it would need to.
func (r *convertRig) idle() {
	r.t.Helper()
	for begun := time.Now(); time.Since(begun) < 2500*time.Millisecond; time.Sleep(100 * time.Millisecond) {
		if is := r.role("b"); is.Role == "active" {
			r.t.Fatalf("b is active (%s) while the log is no broker's", is.Reason)
		}
	}
	r.await("b", "waiting")
}

// TestConvertKilled kills a broker at each step of becoming an instance of a pair, and of leaving it, under load. Before the step that decides all is as it was, from it on the other
// side has all; the side that does not count is never served.
func TestConvertKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("starts many processes")
	}
	t.Parallel() // it waits most of the time
	r := newConvertRig(t)
	start := func(file, step string) {
		r.t.Helper()
		if why := r.begin(file, step); why != "" {
			r.t.Fatalf("a does not start with %s: %s", file, why)
		}
	}
	refused := func(file string, words ...string) {
		r.t.Helper()
		why := r.begin(file, "")
		if why == "" { // it runs, and may find out yet
			why = r.line()
		}
		for _, w := range words {
			if !strings.Contains(why, w) {
				r.t.Errorf("start with %s is refused with %q; want %q in it", filepath.Base(file), why, w)
			}
		}
		r.end()
	}
	killed := func(to, file string) {
		r.t.Helper()
		r.load(func() {
			if last, err := r.insist(to, file); err == nil {
				r.t.Fatalf("the conversion was to be killed, and says %+v", last)
			}
		})
		if err := r.a.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
			r.t.Fatalf("a has ended: %v", err)
		}
		r.a = nil
	}
	for _, tt := range []struct {
		step    string
		decided bool
	}{{"begun", false}, {"copied", false}, {"stopped", false}, {"verified", false}, {"decided", true}, {"put aside", true}} {
		t.Run("to a pair, "+tt.step, func(t *testing.T) {
			r.t = t
			start(r.single, toPair+" "+tt.step)
			r.send(t.Context())
			killed(toPair, r.pair)
			r.idle()
			if tt.decided {
				refused(r.single, "belongs to the instance a", r.pair, "journal.moved-", "stale")
				r.idle()
				start(r.pair, "")
			} else {
				refused(r.pair, "has the journal of a broker alone", "godwit convert")
				start(r.single, "")
				r.verify("a")
				r.load(func() { r.mustConvert(toPair, r.pair) })
			}
			r.await("a", "active")
			r.await("b", "standby")
			r.verify("a")
			refused(r.single, "belongs to the instance a")
			r.await("b", "active") // it was a clean stop
			r.verify("b")
			start(r.pair, "")
			r.await("a", "standby")
			r.switchTo("a")
			r.load(func() { r.mustConvert(toSingle, r.single) })
			r.verify("a")
			r.idle()
			r.clear()
		})
	}
	for _, tt := range []struct {
		step    string
		decided bool
	}{{"begun", false}, {"copied", false}, {"verified", false}, {"ready", false}, {"left", true}, {"in place", true}} {
		t.Run("to a broker alone, "+tt.step, func(t *testing.T) {
			r.t = t
			start(r.single, toSingle+" "+tt.step)
			r.send(t.Context())
			r.mustConvert(toPair, r.pair)
			r.await("b", "standby")
			killed(toSingle, r.single)
			if tt.decided {
				r.idle()
				if tt.step == "left" {
					refused(r.pair, "has left its cluster", r.single)
				} else {
					refused(r.pair, "has the journal of a broker alone")
				}
			} else {
				r.await("b", "active")
				r.verify("b")
				refused(r.single, "belongs to the instance a", r.pair)
				start(r.pair, "")
				r.await("a", "standby")
				r.switchTo("a")
				r.load(func() { r.mustConvert(toSingle, r.single) })
				r.verify("a")
				r.idle()
			}
			start(r.single, "")
			r.verify("a")
			r.clear()
		})
	}
	t.Run("to a broker alone, left, and started so", func(t *testing.T) {
		r.t = t
		start(r.single, toSingle+" left")
		r.send(t.Context())
		r.mustConvert(toPair, r.pair)
		r.await("b", "standby")
		killed(toSingle, r.single)
		start(r.single, "")
		r.verify("a")
		r.idle()
	})
}

// switchTo makes an instance the active one.
func (r *convertRig) switchTo(name string) {
	r.t.Helper()
	var err error
	for begun := time.Now(); time.Since(begun) < convertPatience; time.Sleep(50 * time.Millisecond) {
		if r.role(name).Role == "active" {
			return
		}
		_, err = r.remote["b"].SwitchOver(context.Background(), name)
	}
	r.t.Fatalf("%s does not become active: %v", name, err)
}

// TestConvertPlan looks at what stands in the way of a conversion, and sees that nothing is changed.
func TestConvertPlan(t *testing.T) {
	r := newConvertRig(t)
	if why := r.begin(r.single, ""); why != "" {
		t.Fatal(why)
	}
	r.send(t.Context())
	text, err := os.ReadFile(r.pair)
	if err != nil {
		t.Fatal(err)
	}
	variant := func(name string, changes ...string) string {
		path := filepath.Join(r.dir, name+".yaml")
		if err := os.WriteFile(path, []byte(strings.NewReplacer(changes...).Replace(string(text))), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	taken := r.remote["a"].URL()
	for name, tt := range map[string]struct{ to, file, want string }{
		"no such file":        {toPair, filepath.Join(r.dir, "none.yaml"), "the new configuration can be used"},
		"of a broker alone":   {toPair, r.single, "it is that of an instance of a cluster"},
		"already alone":       {toSingle, r.single, "it is an instance of a cluster"},
		"other data folder":   {toPair, variant("data", "a-data", "other-data"), "all else in it is as now"},
		"other credentials":   {toPair, variant("credentials", "cluster:\n", "credentials: {mode: mandatory}\ncluster:\n"), "all else in it is as now"},
		"a port that is used": {toPair, variant("port", "  listen: \"", "  listen: \""+strings.TrimPrefix(taken, "http://")+"\" # \""), "cluster.listen is free"},
		"a node that is not":  {toPair, variant("node", r.remote["b"].URL(), "http://127.0.0.1:1"), "the node b answers"},
		"a node's wrong name": {toPair, variant("name", r.remote["b"].URL(), r.remote["w"].URL()), "the node b waits"},
	} {
		t.Run(name, func(t *testing.T) {
			last, err := r.convert(tt.to, tt.file)
			if err == nil || !strings.Contains(err.Error(), tt.want) || last.Phase != "checked" || last.Done {
				t.Errorf("convert is answered with %+v, %v; want it refused because not: %s", last, err, tt.want)
			}
		})
	}
	if _, err := r.convert("triple", r.pair); err == nil || !strings.Contains(err.Error(), toPair) {
		t.Errorf("convert to triple is answered with %v", err)
	}
	done := false
	if err := r.remote["a"].Convert(t.Context(), api.Convert{To: toPair, Config: r.pair, Plan: true}, func(line api.Converting) { done = line.Done && line.Phase == "checked" && len(line.Checks) > 8 }); err != nil || !done {
		t.Errorf("the plan is answered with %v, and is done: %v", err, done)
	}
	if exists(filepath.Join(r.dir, "a-data", "log")) || exists(filepath.Join(r.dir, "a-data", belongsFile)) {
		t.Error("a plan has changed the data folder")
	}
	r.verify("a")
	r.mustConvert(toPair, r.pair)
	r.verify("a")
}

// stopOthers stops b and w, and returns what starts them again.
func (r *convertRig) stopOthers() (again func()) {
	files := slices.Collect(maps.Keys(r.others))
	for file, n := range r.others {
		if err := n.stop(); err != nil {
			r.t.Error(err)
		}
		delete(r.others, file)
	}
	return func() {
		for _, file := range files {
			r.others[file] = r.here(file)
		}
	}
}

// TestConvertWithoutNodes takes the other nodes away at the last moment. To a pair: the broker stays alone, and serves. To a broker alone: it is not known whether the log was left, so nobody
// serves until the others are back, and then one side does.
func TestConvertWithoutNodes(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for what does not come")
	}
	t.Parallel()
	r := newConvertRig(t)
	a := r.here(r.single)
	stopped := false
	defer func() {
		if !stopped {
			_ = a.stop()
		}
	}()
	var at atomic.Value // the step at which the others go
	at.Store("")
	gone := make(chan func(), 1)
	a.steps = func(step string) {
		if _, err := a.reload(); err == nil {
			t.Errorf("%s: the configuration was read again although another is to hold", step)
		}
		if step == at.Load() {
			gone <- r.stopOthers()
		}
	}
	r.send(t.Context())
	at.Store(toPair + " stopped")
	r.load(func() {
		if last, err := r.convert(toPair, r.pair); err == nil || !strings.Contains(err.Error(), "stays alone") {
			t.Errorf("without the other nodes the conversion says %+v, %v", last, err)
		}
	})
	r.verify("a")
	if exists(filepath.Join(r.dir, "a-data", belongsFile)) {
		t.Error("the data folder belongs to a pair that does not serve")
	}
	at.Store("")
	(<-gone)()
	for begun := time.Now(); ; time.Sleep(time.Second) { // the nodes need a moment to find each other
		last, err := r.convert(toPair, r.pair)
		if err == nil {
			break
		}
		if time.Since(begun) > convertPatience {
			t.Fatalf("with the other nodes back the conversion says %+v, %v", last, err)
		}
	}
	r.verify("a")
	r.await("b", "standby")

	at.Store(toSingle + " ready")
	ended := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 4*convertPatience)
		defer cancel()
		ended <- r.remote["a"].Convert(ctx, api.Convert{To: toSingle, Config: r.single}, func(api.Converting) {})
	}()
	again := <-gone
	select {
	case err := <-ended:
		t.Fatalf("it cannot be known whether the log was left, and the conversion says %v", err)
	case <-time.After(handOverWithin + 2*time.Second):
	}
	if e, health := a.core.now(); e != nil {
		t.Errorf("a serves (%v) although it is not known whether it may", health)
	}
	again()
	err := <-ended
	t.Logf("with the other nodes back the conversion has ended with: %v", err)
	stopped = true
	serving := "a"
	if err != nil { // an instance has gone on
		if !strings.Contains(err.Error(), "stays an instance") {
			t.Fatal(err)
		}
		if r.role("b").Role == "active" {
			serving = "b"
		}
	}
	r.verify(serving)
	if err := a.stop(); err != nil {
		t.Error(err)
	}
	if err == nil {
		r.idle()
	}
}
