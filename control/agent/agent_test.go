package agent

import (
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"github.com/godwitmq/godwit/control/plane"
)

// serveAgent is the process that TestAgentKilled kills.
func serveAgent(dir string) int {
	return 1
}

const xml = `<broker xmlns="http://activemq.apache.org/schema/core">
  <destinationPolicy><policyMap><policyEntries>
    <policyEntry queue="SHORT.&gt;"><deadLetterStrategy><individualDeadLetterStrategy queuePrefix="DEAD."/></deadLetterStrategy></policyEntry>
  </policyEntries></policyMap></destinationPolicy>
</broker>`

func TestSingle(t *testing.T) {
	t.Parallel()
	r := newRig(t, "a")
	r.begin()
	id := r.create("payroll", plane.Single, xml)
	r.running(id)
	s := r.dial(id, 1)
	for n := range 10 {
		if err := s.send("/queue/ORDERS", fmt.Sprint("order ", n)); err != nil {
			t.Fatal(err)
		}
	}
	pid := r.pid(id, 1)
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r.until("down is told", func() bool { return r.broker(id).Instance(1).Down })
	b := r.running(id)
	if r.pid(id, 1) == pid {
		t.Fatal("the process is the one that was killed")
	}
	t.Log(b.Instance(1).Detail)
	got, err := r.dial(id, 1).drain("/queue/ORDERS", 2e9)
	if err != nil || len(got) != 10 || got[9] != "order 9" {
		t.Fatalf("after the kill: %v, %v", got, err)
	}
	pids, addresses := []int{r.pid(id, 1)}, []string{r.address(id, 1, stompPort), r.address(id, 1, openwirePort), r.address(id, 1, apiPort)}
	r.do(plane.DeleteBroker{ID: id})
	r.until("deleted", func() bool { return r.broker(id) == nil })
	r.nothingLeft(pids, addresses)
}

var _ = slog.Default
var _ = os.Args
var _ = signal.Notify
