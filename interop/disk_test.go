package interop

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// useDisk puts the broker's data folder on a file system of its own, of a size as mount -o size takes it. It is a tmpfs in a mount namespace, for
// which nobody need be root; the namespace and all in it ends with the process that holds it.
func (b *broker) useDisk(t *testing.T, size string) {
	t.Helper()
	data := b.dataDir()
	if err := os.MkdirAll(data, 0o700); err != nil {
		t.Fatal(err)
	}
	holder := exec.Command("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", `mount -t tmpfs -o size="$1" tmpfs "$2" && echo ready && exec cat`, "sh", size, data)
	stdin, err := holder.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Skipf("no file system of its own can be made: %v", err)
	}
	t.Cleanup(func() {
		stdin.Close()
		_ = holder.Wait()
	})
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "ready\n" {
		t.Skipf("no file system of its own can be made: %q, %v", line, err)
	}
	plain := b.command
	b.enter = []string{"nsenter", "--target", fmt.Sprint(holder.Process.Pid), "--user", "--mount", "--preserve-credentials"}
	b.command = func() *exec.Cmd {
		cmd := plain()
		return exec.Command(b.enter[0], append(b.enter[1:len(b.enter):len(b.enter)], cmd.Args...)...)
	}
}

// onDisk runs a shell command in the data folder, as the broker sees it.
func (b *broker) onDisk(t *testing.T, command string) {
	t.Helper()
	if out, err := exec.Command(b.enter[0], append(b.enter[1:len(b.enter):len(b.enter)], "sh", "-c", "cd \"$1\" && "+command, "sh", b.dataDir())...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
}
