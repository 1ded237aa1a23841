package agent

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godwitmq/godwit/control/plane"
)

// TestUpgrade puts another build in the place of the program that a pair runs, while a client sends. The broker says what is pending, and a reboot brings it to all instances with one failover.
func TestUpgrade(t *testing.T) {
	if testing.Short() {
		t.Skip("builds two programs")
	}
	t.Parallel()
	dir := t.TempDir()
	for _, version := range []string{"v1.0.0", "v1.1.0"} {
		if out, err := exec.Command("go", "build", "-ldflags", "-X main.version="+version, "-o", filepath.Join(dir, version), "../../cmd/godwit").CombinedOutput(); err != nil {
			t.Fatalf("go build: %v\n%s", err, out)
		}
	}
	program := filepath.Join(dir, "godwit")
	if err := os.Rename(filepath.Join(dir, "v1.0.0"), program); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, "a", "b", "c")
	r.program = func() (string, error) { return program, nil }
	r.begin()
	id := r.create("orders", plane.Pair, xml)
	r.running(id)
	runs := func(version string) func() bool {
		return func() bool {
			b := r.broker(id)
			for _, i := range b.Instances {
				if !strings.HasPrefix(i.Program, version) {
					return false
				}
			}
			return b.Operation == nil && b.Epoch > 0
		}
	}
	r.until("all run v1.0.0", runs("v1.0.0"))
	before := r.broker(id)
	if newer := before.Newer(); newer != "" {
		t.Errorf("%s is pending though nothing was changed", newer)
	}
	if change := r.do(plane.RebootBroker{ID: id, IfPending: true}); r.broker(id).Operation != nil {
		t.Errorf("a reboot although nothing is pending: %+v", change.Plan)
	}

	// It sends all the time, and goes wherever it is let in.
	addresses, trust := []string{r.address(id, 1, stompPort), r.address(id, 2, stompPort)}, r.trust()
	dial := func() (c *stomp) {
		for _, a := range addresses {
			if c, err := dialStomp(a, user, password, trust); err == nil {
				return c
			}
		}
		time.Sleep(20 * time.Millisecond)
		return nil
	}
	var sent []string
	stop := make(chan struct{})
	var sending sync.WaitGroup
	sending.Go(func() {
		c := dial()
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			text := strings.Repeat("m", 1+n%7) + time.Now().Format(time.RFC3339Nano)
			if c == nil || c.send("/queue/ORDERS", text) != nil {
				if c != nil {
					c.conn.Close()
				}
				c = dial()
				continue
			}
			sent = append(sent, text)
			time.Sleep(5 * time.Millisecond)
		}
	})
	if err := os.Rename(filepath.Join(dir, "v1.1.0"), program); err != nil {
		t.Fatal(err)
	}
	r.until("v1.1.0 is pending", func() bool { return strings.HasPrefix(r.broker(id).Newer(), "v1.1.0") })
	r.do(plane.RebootBroker{ID: id, IfPending: true})
	r.until("all run v1.1.0", runs("v1.1.0"))
	r.running(id)
	close(stop)
	sending.Wait()
	after := r.broker(id)
	if after.Active != 3-before.Active || after.Epoch != before.Epoch+1 {
		t.Errorf("instance %d is active in epoch %d, before %d in epoch %d; want one failover", after.Active, after.Epoch, before.Active, before.Epoch)
	}
	if newer := after.Newer(); newer != "" {
		t.Errorf("%s is pending still", newer)
	}
	got, err := r.dial(id, after.Active).drain("/queue/ORDERS", 2*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	for _, text := range got {
		there[text] = true
	}
	for _, text := range sent {
		if !there[text] {
			t.Errorf("%s was acknowledged, and is missing", text)
		}
	}
	if len(sent) < 50 {
		t.Errorf("only %d messages were sent", len(sent))
	}
}
