package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestUpgrade puts another build in the place of the program of a pair that runs, under load, and has godwit reboot bring it to all three nodes: one failover, and nothing is lost.
func TestUpgrade(t *testing.T) {
	if testing.Short() {
		t.Skip("builds two programs")
	}
	t.Parallel()
	r := newConvertRig(t)
	r.stopOthers() // only the configurations are wanted
	program := filepath.Join(r.dir, "godwit")
	build := func(version, path string) {
		t.Helper()
		if out, err := exec.Command("go", "build", "-ldflags", "-X main.version="+version, "-o", path, ".").CombinedOutput(); err != nil {
			t.Fatalf("go build: %v\n%s", err, out)
		}
	}
	build("v1.0.0", program)
	var nodes []*exec.Cmd
	for _, name := range []string{"a", "b", "w"} {
		file := filepath.Join(r.dir, name+".yaml")
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, bytes.ReplaceAll(text, []byte("await: true"), []byte("await: false")), 0o600); err != nil {
			t.Fatal(err)
		}
		log, err := os.Create(filepath.Join(r.dir, name+".log"))
		if err != nil {
			t.Fatal(err)
		}
		defer log.Close()
		cmd := exec.Command(program, "serve", "--config", file)
		cmd.Dir, cmd.Stdout, cmd.Stderr = r.dir, log, log
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, cmd)
	}
	defer func() {
		for _, cmd := range nodes {
			_ = cmd.Process.Signal(syscall.SIGTERM)
		}
		for _, cmd := range nodes {
			_ = cmd.Wait() // how it ends is no matter here
		}
		if t.Failed() {
			for _, name := range []string{"a", "b", "w"} {
				text, _ := os.ReadFile(filepath.Join(r.dir, name+".log"))
				t.Logf("%s:\n%s", name, text[max(0, len(text)-4000):])
			}
		}
	}()
	active, standby := "a", "b"
	for begun := time.Now(); r.role(active).Role != "active" || r.role(standby).Role != "standby"; time.Sleep(50 * time.Millisecond) {
		if active, standby = standby, active; time.Since(begun) > convertPatience {
			t.Fatalf("the nodes are no pair: %+v, %+v", r.role("a"), r.role("b"))
		}
	}
	before := map[string]uint64{}
	for _, name := range []string{"a", "b", "w"} {
		is := r.role(name)
		if is.Version != "v1.0.0" {
			t.Errorf("%s runs %s", name, is.Version)
		}
		before[name] = is.Epoch
	}
	build("v1.1.0", program+".new")
	var said []byte
	r.load(func() {
		time.Sleep(200 * time.Millisecond)
		if err := os.Rename(program+".new", program); err != nil {
			t.Fatal(err)
		}
		var err error
		cmd := exec.Command(program, "--api", r.remote["w"].URL(), "reboot", "--witness")
		if said, err = cmd.CombinedOutput(); err != nil {
			t.Fatalf("reboot: %v\n%s", err, said)
		}
		time.Sleep(200 * time.Millisecond)
	})
	if !strings.Contains(string(said), "failovers: 1") || strings.Count(string(said), "version v1.1.0") != 3 {
		t.Errorf("the reboot says\n%s", said)
	}
	r.await(standby, "active")
	r.await(active, "standby")
	for name, epoch := range before {
		is := r.role(name)
		if is.Version != "v1.1.0" || name != "w" && is.Epoch != epoch+1 {
			t.Errorf("%s runs %s and has seen %d changes of the active instance; want v1.1.0 and 1", name, is.Version, is.Epoch-epoch)
		}
	}
	r.verify(standby)
}
