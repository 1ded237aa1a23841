package interop

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// inviteWithin bounds how long an invite may last on a busy machine.
const inviteWithin = 2 * time.Minute

// aToken is the line of an invite that has one.
var aToken = regexp.MustCompile(`^ +(godwit cluster join godwit1_\S+)$`)

// joining is `godwit cluster invite`, waiting.
type joining struct {
	cmd    *exec.Cmd
	out    *bufio.Scanner
	said   bytes.Buffer
	tokens map[string]string
}

// inviteNodes starts an invite and reads the tokens off it.
func inviteNodes(t *testing.T, ctx context.Context, count int, binary string, args ...string) *joining {
	t.Helper()
	j := &joining{cmd: exec.CommandContext(ctx, binary, append([]string{"cluster", "invite"}, args...)...), tokens: map[string]string{}}
	stdout, err := j.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	j.cmd.Stderr = j.cmd.Stdout
	if err := j.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	j.out = bufio.NewScanner(stdout)
	node := ""
	for len(j.tokens) < count && j.out.Scan() {
		fmt.Fprintln(&j.said, j.out.Text())
		if name, _, ok := strings.Cut(j.out.Text(), ", at "); ok {
			node = name
		}
		if m := aToken.FindStringSubmatch(j.out.Text()); m != nil {
			j.tokens[node] = strings.Fields(m[1])[3]
		}
	}
	if len(j.tokens) < count {
		t.Fatalf("the invite ends with %v:\n%s", j.cmd.Wait(), &j.said)
	}
	return j
}

// wait waits for its end.
func (j *joining) wait(t *testing.T) string {
	t.Helper()
	for j.out.Scan() {
		fmt.Fprintln(&j.said, j.out.Text())
	}
	if err := j.cmd.Wait(); err != nil {
		t.Fatalf("the invite ends with %v:\n%s", err, &j.said)
	}
	return j.said.String()
}

// TestInvite sets a cluster up as its documentation says, with a folder for each host: two nodes join by tokens, with keys of their own, and serve as a pair; then one of
// them loses all that it had, is invited again, and stands by.
func TestInvite(t *testing.T) {
	if os.Getenv("GODWIT_INTEROP_BROKER") != "" {
		t.Skip("this is about Godwit itself")
	}
	binary, err := godwitBinary()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), inviteWithin)
	defer cancel()
	base := t.TempDir()
	dirs := map[string]string{"a": filepath.Join(base, "pair"), "b": filepath.Join(base, "host-b"), "w": filepath.Join(base, "host-w")}
	p := &pair{nodes: map[string]*broker{}, apis: map[string]string{}, login: true}
	godwit := func(dir, stdin string, args ...string) (string, error) {
		cmd := exec.CommandContext(ctx, binary, args...)
		cmd.Dir, cmd.Stdin, cmd.Env = dir, strings.NewReader(stdin), append(os.Environ(), "GODWIT_USER="+user, "GODWIT_PASSWORD="+password)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	must := func(dir, stdin string, args ...string) string {
		t.Helper()
		out, err := godwit(dir, stdin, args...)
		if err != nil {
			t.Fatalf("godwit %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return out
	}

	// Each host has an address of its own, as real ones have, and ports that are free here.
	host := map[string]string{}
	for i, name := range []string{"a", "b", "w"} {
		host[name] = fmt.Sprintf("127.%d.%d.%d", 64+os.Getpid()>>8&63, os.Getpid()&255, i+1)
	}
	must(base, "", "cluster", "init", "--dir", "pair", "--invite", "--node", "a="+host["a"], "--node", "b="+host["b"], "--witness", "w="+host["w"])
	var moved []string
	usual := []string{"7410", "7420", "8161", "61614", "61615", "61616", "61617"}
	ports := freePorts(t, len(usual))
	for i, port := range usual {
		moved = append(moved, ":"+port, fmt.Sprintf(":%d", ports[i]))
	}
	for name := range dirs {
		file := filepath.Join(dirs["a"], name+".yaml")
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text = []byte(strings.NewReplacer(moved...).Replace(string(text)) + "credentials: {mode: mandatory, usersFile: users}\n")
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		p.apis[name] = fmt.Sprintf("http://%s:%d", host[name], ports[2])
	}
	must(base, password+"\n", "users", "add", "--file", filepath.Join("pair", "users"), "--group", "admins", user)

	join := func(j *joining, names ...string) {
		t.Helper()
		for _, name := range names {
			if err := os.MkdirAll(dirs[name], 0o755); err != nil {
				t.Fatal(err)
			}
			if out := must(dirs[name], "", "cluster", "join", j.tokens[name]); !strings.Contains(out, "godwit serve --config "+name+".yaml") {
				t.Errorf("%s has joined, and is told\n%s", name, out)
			}
			if out, err := godwit(dirs[name], "", "cluster", "join", j.tokens[name]); err == nil || !strings.Contains(out, name+".pem is there already") {
				t.Errorf("%s joins again where it has joined: %v\n%s", name, err, out)
			}
			for _, file := range []string{name + ".yaml", "users", "ca.pem"} {
				theirs, err := os.ReadFile(filepath.Join(dirs[name], file))
				if ours, oerr := os.ReadFile(filepath.Join(dirs["a"], file)); err != nil || oerr != nil || !bytes.Equal(ours, theirs) {
					t.Errorf("%s of %s differs from what the operator has: %v, %v", file, name, err, oerr)
				}
			}
			if info, err := os.Stat(filepath.Join(dirs[name], name+"-key.pem")); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("the key of %s: %v, %v; want only its owner to read it", name, info, err)
			}
			if _, err := os.Stat(filepath.Join(dirs["a"], name+"-key.pem")); err == nil {
				t.Errorf("the operator's folder has the key of %s", name)
			}
		}
	}
	invite := []string{"--dir", dirs["a"], "--listen", host["a"] + ":0", "--for", inviteWithin.String()}
	both := inviteNodes(t, ctx, 2, binary, invite...)
	join(both, "b")
	thief := t.TempDir()
	if out, err := godwit(thief, "", "cluster", "join", both.tokens["b"]); err == nil || !strings.Contains(out, "used already") {
		t.Errorf("the token works on a second host: %v\n%s", err, out)
	}
	if left, _ := filepath.Glob(filepath.Join(thief, "*")); len(left) != 1 || filepath.Base(left[0]) != "b-key.pem" {
		t.Errorf("who was refused has %v; want only the key that it made", left)
	}
	join(both, "w")
	if said := both.wait(t); !strings.Contains(said, "b has joined, from 127.") || !strings.Contains(said, "w has joined, from 127.") {
		t.Errorf("the invite has said\n%s", said)
	}

	for name, dir := range dirs {
		b := &broker{endpoints: endpoints{readyURL: p.apis[name] + "/healthz"}}
		b.command = func() *exec.Cmd {
			cmd := exec.Command(binary, "serve", "--config", name+".yaml")
			cmd.Dir = dir
			return cmd
		}
		p.nodes[name] = b
		b.launch(t)
	}
	instances := func() string { return must(base, "", "instances", "--api", p.apis["w"]) }
	p.await(t, "active")
	p.await(t, "standby")
	if out := instances(); !strings.Contains(out, "active") || !strings.Contains(out, "standby") || !strings.Contains(out, "witness") {
		t.Errorf("the instances are\n%s", out)
	}
	must(base, "", "send", "orders", "a message", "--api", p.apis["a"])

	// The machine of b is replaced.
	p.nodes["b"].kill(t)
	p.await(t, "active") // a, whoever was it before
	if err := os.RemoveAll(dirs["b"]); err != nil {
		t.Fatal(err)
	}
	again := inviteNodes(t, ctx, 1, binary, append(invite, "--node", "b")...)
	join(again, "b")
	again.wait(t)
	p.nodes["b"].start(t)
	if name := p.await(t, "standby"); name != "b" {
		t.Errorf("%s stands by, want b", name)
	}
	if name := p.await(t, "active"); name != "a" {
		t.Errorf("%s is active, want a", name)
	}
	p.switchOver(t, "a")
	if out := must(base, "", "browse", "orders", "--api", p.apis["b"]); !strings.Contains(out, "a message") {
		t.Errorf("the node that was replaced has\n%s", out)
	}
}
