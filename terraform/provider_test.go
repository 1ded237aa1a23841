package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// tofu is the command line to test with: what GODWIT_TOFU names, or tofu or terraform in PATH.
func tofu(t *testing.T) string {
	for _, name := range []string{os.Getenv("GODWIT_TOFU"), "tofu", "terraform"} {
		if path, err := exec.LookPath(name); name != "" && err == nil {
			return path
		}
	}
	t.Skip("there is neither tofu nor terraform; README.md says how OpenTofu is built, and GODWIT_TOFU names it")
	return ""
}

// endInstances ends what a test that failed has left: instances go on without their service.
func endInstances(t *testing.T, dir string) {
	files, _ := filepath.Glob(filepath.Join(dir, "godwit-data", "instances", "*", "pid"))
	for _, f := range files {
		var note struct{ PID int }
		content, err := os.ReadFile(f)
		if err != nil || json.Unmarshal(content, &note) != nil || note.PID <= 0 {
			continue
		}
		if folder, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", note.PID)); err == nil && folder == filepath.Dir(f) { // else the number is somebody else's by now
			t.Logf("instance %s is still there: killed", filepath.Base(folder))
			_ = syscall.Kill(note.PID, syscall.SIGKILL)
		}
	}
}

// TestLife runs the life of a pair by the real command line against a running service: made, changed in place in every attribute that can be, each plan right after it empty, imported, removed.
func TestLife(t *testing.T) {
	cli := tofu(t)
	dir := t.TempDir()
	build := func(name, from, what string) {
		cmd := exec.Command("go", "build", "-o", filepath.Join(dir, name), what)
		cmd.Dir = from
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	build("godwit", "..", "./cmd/godwit")
	build("terraform-provider-godwit", ".", ".")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("godwit.yaml", fmt.Sprintf("http: {address: %q}\nlisteners: [{protocol: stomp, url: 'tcp://127.0.0.1:0'}]\nservice: {enabled: true, addresses: 127.%d.%d.0/24, subnets: [subnet-a, subnet-b, subnet-c]}\n",
		address, 32+rand.IntN(200), rand.IntN(256)))
	serve := exec.Command(filepath.Join(dir, "godwit"), "serve")
	serve.Dir = dir
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = serve.Process.Signal(os.Interrupt)
		_ = serve.Wait()
		endInstances(t, dir)
	}()
	for begun := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		if r, err := http.Get("http://" + address + "/readyz"); err == nil {
			r.Body.Close()
			if r.StatusCode == http.StatusOK {
				break
			}
		}
		if time.Since(begun) > 30*time.Second {
			t.Fatal("the service is not ready")
		}
	}
	write("tofurc", fmt.Sprintf("provider_installation {\n  dev_overrides { %q = %q }\n  direct {}\n}\n", Address, dir))
	work := filepath.Join(dir, "work")
	if err := os.Mkdir(work, 0o700); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) (string, int) {
		t.Helper()
		cmd := exec.Command(cli, append([]string{"-chdir=" + work}, args...)...)
		cmd.Env = append(os.Environ(), "TF_CLI_CONFIG_FILE="+filepath.Join(dir, "tofurc"), "GODWIT_API=http://"+address, "CHECKPOINT_DISABLE=1", "TF_IN_AUTOMATION=1")
		out, err := cmd.CombinedOutput()
		if err != nil && cmd.ProcessState == nil {
			t.Fatal(err)
		}
		return string(out), cmd.ProcessState.ExitCode()
	}
	must := func(want string, args ...string) {
		t.Helper()
		if out, code := run(args...); code != 0 || !strings.Contains(out, want) {
			t.Fatalf("%v: %d; want %q in:\n%s", args, code, want, out)
		}
	}
	unchanged := func() {
		t.Helper()
		if out, code := run("plan", "-no-color", "-detailed-exitcode"); code != 0 {
			t.Fatalf("a plan right after apply is not empty:\n%s", out)
		}
	}
	apply := func(text, want string) {
		t.Helper()
		write("work/main.tf", text)
		must(want, "apply", "-no-color", "-auto-approve")
		unchanged()
	}

	before, err := os.ReadFile("testdata/before.tf")
	if err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile("testdata/after.tf")
	if err != nil {
		t.Fatal(err)
	}
	apply(string(before), "Apply complete! Resources: 4 added, 0 changed, 0 destroyed.")
	apply(string(after), "Apply complete! Resources: 0 added, 4 changed, 0 destroyed.")

	out, code := run("show", "-json")
	if code != 0 {
		t.Fatal(out)
	}
	var shown struct {
		Values struct {
			Outputs map[string]struct{ Value any } `json:"outputs"`
		} `json:"values"`
	}
	if err := json.Unmarshal([]byte(out[strings.IndexByte(out, '{'):]), &shown); err != nil {
		t.Fatal(err)
	}
	id, _ := shown.Values.Outputs["id"].Value.(string)
	if endpoints, _ := shown.Values.Outputs["endpoints"].Value.([]any); len(endpoints) != 4 || !strings.HasPrefix(id, "b-") {
		t.Errorf("outputs %+v", shown.Values.Outputs)
	}

	must("", "state", "rm", "godwit_broker.payroll", "godwit_user.bob")
	must("Import successful", "import", "-no-color", "godwit_broker.payroll", id)
	must("Import successful", "import", "-no-color", "godwit_user.bob", id+"/bob")
	must("0 added, 2 changed, 0 destroyed", "apply", "-no-color", "-auto-approve") // the passwords, which cannot be read
	unchanged()

	// What a service refuses is said in its words.
	write("work/main.tf", strings.Replace(string(after), "mq.m5.medium", "mq.none", 1))
	if out, code := run("apply", "-no-color", "-auto-approve"); code == 0 || !strings.Contains(strings.Join(strings.Fields(out), " "), "hostInstanceType must be one of") {
		t.Errorf("a type that is not there: %d\n%s", code, out)
	}
	write("work/main.tf", string(after))
	must("Destroy complete! Resources: 4 destroyed.", "destroy", "-no-color", "-auto-approve")
}
