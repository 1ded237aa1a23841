package interop

import (
	"bufio"
	"context"
	"crypto/rand"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// programWithin bounds one run of a client program; its scenarios have their own, shorter limits.
const programWithin = 4 * time.Minute

// clients are the programs, each prepared when it is first needed.
var clients = []struct {
	name    string
	prepare func(t *testing.T) program
}{
	{"java-jakarta", java("jakarta")},
	{"java-javax", java("javax")},
	{"python", python},
	{"node", node},
	{"perl", perl},
	{"ruby", ruby},
	{"php", php},
	{"cpp", cpp},
}

// run says how a program reaches the broker.
type run struct {
	suite          string
	tls            bool
	user, password string
	env            []string
}

func TestPlain(t *testing.T) {
	needSomething(t)
	b := startBroker(t, brokerOptions{})
	for _, client := range clients {
		t.Run(client.name, func(t *testing.T) {
			t.Parallel()
			client.prepare(t).run(t, b, run{suite: "full"})
		})
	}
}

// A broker that ignores credentials, as the old one did, takes any.
func TestTLSCredentialsIgnored(t *testing.T) {
	needSomething(t)
	b := startBroker(t, brokerOptions{})
	for _, client := range clients {
		t.Run(client.name, func(t *testing.T) {
			t.Parallel()
			program := client.prepare(t)
			program.run(t, b, run{suite: "short", tls: !program.plain, user: "somebody", password: "anything"})
		})
	}
}

func TestCredentialsMandatory(t *testing.T) {
	needSomething(t)
	b := startBroker(t, brokerOptions{mandatory: true})
	for _, client := range clients {
		t.Run(client.name, func(t *testing.T) {
			t.Parallel()
			program := client.prepare(t)
			program.run(t, b, run{suite: "short", user: user, password: password, tls: !program.openwire && !program.plain})
			program.run(t, b, run{suite: "refused", user: user, password: password})
		})
	}
}

// TestRing sends the same two messages from library to library, every other one over TLS.
func TestRing(t *testing.T) {
	needSomething(t)
	b := startBroker(t, brokerOptions{})
	steps := []struct {
		name, suite string
		prepare     func(t *testing.T) program
	}{
		{"java-javax", "ring-first", java("javax")},
		{"python", "ring", python},
		{"node", "ring", node},
		{"perl", "ring", perl},
		{"java-jakarta", "ring-last", java("jakarta")},
	}
	from := "ring.none"
	for i, step := range steps {
		to, ran := "ring."+rand.Text(), false
		passed := t.Run(step.name, func(t *testing.T) {
			program := step.prepare(t)
			program.run(t, b, run{suite: step.suite, tls: i%2 == 1, env: []string{"INTEROP_FROM=" + from, "INTEROP_TO=" + to}})
			ran = true
		})
		if !passed {
			t.Fatalf("the ring is broken at %s", step.name)
		}
		if ran { // else its runtime is missing here, and the next takes its place
			from = to
		}
	}
}

// needSomething leaves a test out before a broker is started for nothing.
func needSomething(t *testing.T) {
	t.Helper()
	need(t, "all", "go")
}

// run starts the program and makes a subtest of each of its scenarios.
func (p program) run(t *testing.T, b *broker, r run) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), programWithin)
	defer cancel()
	cmd := p.command(ctx, b, r)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	finish := startProgram(t, cmd)
	report(t, stdout, nil)
	finish()
}

// command is the process for a run; what it must know is in its environment (see the README).
func (p program) command(ctx context.Context, b *broker, r run) *exec.Cmd {
	argv := append(append([]string{}, p.argv...), r.suite)
	openwire, stomp := b.openwire, b.stomp
	env := append(os.Environ(), p.env...)
	if r.tls {
		openwire, stomp = b.openwireTLS, b.stompTLS
		env = append(env, "INTEROP_TLS=1", "INTEROP_CA="+filepath.Join(b.tlsDir, "ca.pem"))
		if p.argv[0] == "java" {
			trust := []string{
				"-Djavax.net.ssl.trustStore=" + filepath.Join(b.tlsDir, "truststore.p12"),
				"-Djavax.net.ssl.trustStorePassword=" + storePassword,
			}
			argv = append(argv[:1:1], append(trust, argv[1:]...)...)
		}
	}
	env = append(env, "INTEROP_OPENWIRE="+openwire, "INTEROP_STOMP="+stomp, "INTEROP_RUN=interop."+p.name+"."+rand.Text()[:8])
	if r.user != "" {
		env = append(env, "INTEROP_USER="+r.user, "INTEROP_PASSWORD="+r.password)
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(env, r.env...)
	cmd.WaitDelay = time.Second
	return cmd
}

// startProgram starts it with its standard error in a file. The function that it returns waits for the end and shows
// that file if the test has failed.
func startProgram(t *testing.T, cmd *exec.Cmd) (finish func()) {
	t.Helper()
	stderr, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v", cmd.Path, err)
		}
		stderr.Close()
		if t.Failed() {
			t.Logf("its standard error ends:\n%s", tail(stderr.Name(), 8000))
		}
	}
}

// report reads a program's lines to the end. A program that stops before it says "done" has failed, as has one with no
// scenario. noted, if not nil, gets the text of each line that begins with "note".
func report(t *testing.T, stdout io.Reader, noted func(text string)) {
	t.Helper()
	scenarios, done := 0, false
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		verdict, rest, _ := strings.Cut(lines.Text(), " ")
		name, detail, _ := strings.Cut(rest, " ")
		switch verdict {
		case "ok", "FAIL":
			scenarios++
			t.Run(name, func(t *testing.T) {
				if verdict == "FAIL" {
					t.Error(detail)
				}
			})
		case "done":
			done = true
		case "note":
			t.Log(rest)
			if noted != nil {
				noted(rest)
			}
		default:
			t.Logf("the program said: %s", lines.Text())
		}
	}
	if !done || scenarios == 0 {
		t.Errorf("the program ended after %d scenarios; done: %t; %v", scenarios, done, lines.Err())
	}
}
