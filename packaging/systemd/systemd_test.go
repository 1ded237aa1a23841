// Package systemd holds the tests of the units beside it.
package systemd

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// patience is how long a unit may take to become something, on a busy machine.
const patience = 60 * time.Second

// build makes the binary.
func build(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "godwit")
	if out, err := exec.Command("go", "build", "-o", path, "../../cmd/godwit").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}

func analyze(t *testing.T, args ...string) string {
	t.Helper()
	path, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("there is no systemd-analyze here")
	}
	out, err := exec.Command(path, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("systemd-analyze %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// TestUnits has systemd look at the units: nothing in them is unknown to it, and the broker may do little beside its work.
func TestUnits(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "godwit") // that it is where they say would be looked for
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob("godwit*.*")
	if err != nil {
		t.Fatal(err)
	}
	var units []string
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, bytes.ReplaceAll(text, []byte("/usr/local/bin/godwit"), []byte(program)), 0o600); err != nil {
			t.Fatal(err)
		}
		units = append(units, path)
	}
	if len(units) < 3 {
		t.Fatalf("there are only %v", names)
	}
	if said := analyze(t, append([]string{"verify", "--man=no"}, units...)...); said != "" {
		t.Errorf("systemd-analyze verify: %s", said)
	}
	for _, unit := range units {
		if filepath.Ext(unit) != ".service" {
			continue
		}
		analyze(t, "security", "--offline=true", "--threshold=30", unit) // of 100; an error if it is more
	}
}

// machine is systemd as the first process of namespaces of its own, with these units and little else.
type machine struct {
	t   *testing.T
	pid int
}

// The folders that are written to are its own, and what an ordinary machine starts is left out.
const begin = `set -e
mount --make-rprivate /
mount -t proc proc /proc
mount -t tmpfs -o mode=755 tmpfs /mnt
cp "$PROGRAM" /mnt/godwit
mkdir /mnt/units; cp "$UNITS"/godwit* /mnt/units/
cp -a /etc /mnt/etc
for dir in /run /tmp /var/lib /var/backups /usr/local/bin; do mount -t tmpfs -o mode=755 tmpfs $dir; done
mount --bind /mnt/etc /etc
mount -t tmpfs -o mode=755 tmpfs /etc/systemd/system
install -m 755 /mnt/godwit /usr/local/bin/godwit
cp /mnt/units/*.service /mnt/units/*.timer /etc/systemd/system/
echo 'godwit:x:64321:64321::/nonexistent:/usr/sbin/nologin' >> /etc/passwd
echo 'godwit:x:64321:' >> /etc/group
install -d -o 64321 -g 64321 -m 700 /var/backups/godwit
install -d /etc/godwit; echo 'broker: {name: orders}' > /etc/godwit/godwit.yaml
for unit in sysinit basic network-online timers shutdown; do printf '[Unit]\nDescription=%s\nDefaultDependencies=no\n' $unit > /etc/systemd/system/$unit.target; done
for unit in systemd-journald.socket systemd-journald-dev-log.socket systemd-journald.service systemd-udevd.service dbus.service dbus.socket; do ln -s /dev/null /etc/systemd/system/$unit; done
printf '[Unit]\nDefaultDependencies=no\nWants=godwit.service\n' > /etc/systemd/system/try.target
mkdir /etc/systemd/system/godwit.service.d /etc/systemd/system/godwit-backup.service.d
for unit in godwit godwit-backup; do printf '[Service]\nStandardOutput=append:/run/%s.log\nStandardError=inherit\n' $unit > /etc/systemd/system/$unit.service.d/log.conf; done
umount -R /sys/fs/cgroup 2>/dev/null || true
mount -t cgroup2 none /sys/fs/cgroup
ip link set lo up
export container=other
exec /lib/systemd/systemd --system --unit=try.target --log-target=null
`

func boot(t *testing.T, program string) *machine {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can start systemd in namespaces of its own")
	}
	if _, err := os.Stat("/lib/systemd/systemd"); err != nil {
		t.Skip("there is no systemd here")
	}
	units, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("unshare", "--pid", "--mount", "--cgroup", "--ipc", "--net", "--uts", "--fork", "--kill-child", "bash", "-c", begin)
	cmd.Env = append(os.Environ(), "PROGRAM="+program, "UNITS="+units)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // and with it all of them
		<-ended
	})
	m := &machine{t: t}
	for begun := time.Now(); time.Since(begun) < patience; time.Sleep(50 * time.Millisecond) {
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("systemd does not start: %v\n%s", err, &said)
		default:
		}
		children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", cmd.Process.Pid, cmd.Process.Pid))
		if err != nil {
			continue
		}
		if m.pid, _ = strconv.Atoi(strings.TrimSpace(string(children))); m.pid == 0 {
			continue
		}
		if name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", m.pid)); strings.TrimSpace(string(name)) == "systemd" {
			if _, err := m.run("systemctl", "list-units"); err == nil {
				return m
			}
		}
	}
	t.Fatalf("systemd does not answer\n%s", &said)
	return nil
}

// run runs a command there.
func (m *machine) run(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "nsenter", append([]string{"-t", fmt.Sprint(m.pid), "-p", "-m", "-C", "-i", "-n"}, args...)...)
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func (m *machine) must(args ...string) string {
	m.t.Helper()
	out, err := m.run(args...)
	if err != nil {
		m.t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// await waits until a command says something.
func (m *machine) await(want string, args ...string) {
	m.t.Helper()
	var out string
	for begun := time.Now(); time.Since(begun) < patience; time.Sleep(100 * time.Millisecond) {
		if out, _ = m.run(args...); regexp.MustCompile(want).MatchString(out) {
			return
		}
	}
	status, _ := m.run("sh", "-c", "systemctl --no-pager status godwit; cat /run/godwit*.log")
	m.t.Fatalf("%s says %q; want %s\n%s", strings.Join(args, " "), out, want, status)
}

// TestService runs the broker as a service: it is active when it serves, is restarted when it is killed, keeps what it has, reloads, makes a backup, and stops in good order.
func TestService(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the binary")
	}
	m := boot(t, build(t, t.TempDir()))
	m.await("^active$", "systemctl", "is-active", "godwit")
	m.must("godwit", "ready")
	m.must("godwit", "send", "q", "kept")
	if user := m.must("stat", "-c", "%U %a", "/var/lib/godwit"); user != "godwit 700" {
		t.Errorf("the data folder is %s; want godwit 700", user)
	}
	before := m.must("systemctl", "show", "-P", "MainPID", "godwit")
	m.must("systemctl", "kill", "-s", "KILL", "godwit")
	m.await(`^[1-9]\d*$`, "sh", "-c", "systemctl show -P MainPID godwit | grep -vx "+before)
	m.await("^active$", "systemctl", "is-active", "godwit")
	if restarts := m.must("systemctl", "show", "-P", "NRestarts", "godwit"); restarts != "1" {
		t.Errorf("it was restarted %s times; want once", restarts)
	}
	if out := m.must("godwit", "browse", "q"); !strings.Contains(out, "kept") {
		t.Errorf("after a kill there is %s", out)
	}
	m.must("systemctl", "reload", "godwit")
	m.await(`godwit_reloads_total\{result="done"\} 1`, "bash", "-c", `exec 3<>/dev/tcp/127.0.0.1/8161; printf 'GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n' >&3; cat <&3`)
	m.must("systemctl", "start", "godwit-backup.service")
	if out := m.must("sh", "-c", "godwit restore --verify --from /var/backups/godwit/*.backup"); !regexp.MustCompile(`queue +q +1 `).MatchString(out) {
		t.Errorf("in the backup there is\n%s", out)
	}
	m.must("godwit", "reboot", "--yes")
	m.await("^active$", "systemctl", "is-active", "godwit")
	m.must("systemctl", "stop", "godwit")
	if how := m.must("systemctl", "show", "-P", "Result", "godwit"); how != "success" {
		t.Errorf("it has stopped with %s", how)
	}
}
