package main

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestServiceManager starts the broker as systemd does, and hears what it says: that it is ready when it serves, that it lives, again that it is ready when it has restarted itself, and
// that it stops.
func TestServiceManager(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "godwit")
	if err := os.Symlink(os.Args[0], program); err != nil {
		t.Fatal(err)
	}
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	l, err := listenAnywhere()
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	cmd := exec.Command(program, "serve", "--data", filepath.Join(dir, "data"), "--http", address, "--listen", "stomp=tcp://127.0.0.1:0")
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+socket.LocalAddr().String(), "WATCHDOG_USEC=40000", "GODWIT_API=")
	cmd.Dir = dir
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	defer cmd.Process.Kill()
	said := make(chan string, 4096) // as systemd does, it is always read
	go func() {
		defer close(said)
		buf := make([]byte, 4096)
		for {
			n, err := socket.Read(buf)
			if err != nil {
				return // the test is over
			}
			said <- string(buf[:n])
		}
	}()
	hear := func(want string) {
		t.Helper()
		for late := time.After(patience); ; {
			select {
			case state := <-said:
				if state == want {
					return
				} else if state != notifyAlive {
					t.Fatalf("it says %q; want %s", state, want)
				}
			case <-late:
				t.Fatalf("it has not said %s", want)
			}
		}
	}
	hear(notifyReady)
	if _, err := askHealth(t.Context(), "http://"+address+"/readyz"); err != nil {
		t.Errorf("it says that it is ready, and: %v", err)
	}
	hear(notifyAlive)
	hear(notifyAlive)
	out, err := exec.Command(program, "--api", address, "reboot", "--yes").CombinedOutput()
	if err != nil {
		t.Fatalf("reboot: %v\n%s", err, out)
	}
	hear(notifyReady)
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	hear(notifyStopping)
	if err := <-ended; err != nil {
		t.Errorf("it has ended: %v", err)
	}
}

// A service manager that does not listen holds nobody up.
func TestServiceManagerHangs(t *testing.T) {
	name := filepath.Join(t.TempDir(), "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	t.Setenv("NOTIFY_SOCKET", name)
	full := false
	for begun := time.Now(); !full && time.Since(begun) < patience; {
		full = errors.Is(notify(notifyAlive), os.ErrDeadlineExceeded)
	}
	if !full {
		t.Error("the socket never was full, or telling it waited for ever")
	}
}
