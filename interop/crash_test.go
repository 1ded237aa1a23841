package interop

import (
	"context"
	"io"
	"math/rand/v2"
	"os/exec"
	"testing"
	"time"
)

const (
	kills       = 10
	crashWithin = 3 * time.Minute
	// loadedWithin is how long the clients may take to get going.
	loadedWithin = time.Minute
	// Between a start and the next kill there is time for reconnecting and for some thousand messages.
	minUptime = time.Second
	maxUptime = 5 * time.Second
)

// TestCrash kills the broker under load, again and again, and has the clients compare their books at the end: see
// java/src/interop/Crash.java.
func TestCrash(t *testing.T) {
	needSomething(t)
	program := java("jakarta")(t)
	b := startBroker(t, brokerOptions{crash: true})
	ctx, cancel := context.WithTimeout(t.Context(), crashWithin)
	defer cancel()
	cmd := program.command(ctx, b, run{suite: "crash"})
	underLoad(t, cmd, cancel, func(gaveUp <-chan struct{}) { killRepeatedly(t, b, gaveUp) })
}

// underLoad runs the clients of Crash.java, does to their broker what is to be done once they are at work, and lets them judge. gaveUp is closed when they have ended
// by themselves; cancel ends them.
func underLoad(t *testing.T, cmd *exec.Cmd, cancel func(), do func(gaveUp <-chan struct{})) {
	t.Helper()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	finish := startProgram(t, cmd)
	loaded := make(chan struct{})
	reported := make(chan struct{})
	go func() {
		defer close(reported)
		report(t, stdout, func(text string) {
			if text == "loaded" {
				close(loaded)
			}
		})
	}()
	told := false
	defer func() {
		if !told { // the broker did not come back, so the clients would wait for ever
			cancel()
		}
		<-reported
		finish()
	}()
	select {
	case <-loaded:
		do(reported)
	case <-reported:
	case <-time.After(loadedWithin):
		t.Errorf("no load after %v", loadedWithin)
	}
	told = true
	if _, err := io.WriteString(stdin, "stop\n"); err != nil {
		t.Errorf("tell the clients to stop: %v", err)
	}
}

// killRepeatedly stops early when the clients have given up.
func killRepeatedly(t *testing.T, b *broker, gaveUp <-chan struct{}) {
	t.Helper()
	var down time.Duration
	for i := range kills {
		select {
		case <-time.After(minUptime + rand.N(maxUptime-minUptime)):
		case <-gaveUp:
			t.Errorf("the clients ended after %d kills", i)
			return
		}
		killed := time.Now()
		b.kill(t)
		b.start(t)
		down += time.Since(killed)
	}
	t.Logf("killed and restarted %d times; from kill to ready %v on average", kills, (down / kills).Round(time.Millisecond))
}
