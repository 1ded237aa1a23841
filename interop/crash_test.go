package interop

import (
	"context"
	"io"
	"math/rand/v2"
	"os/exec"
	"sync"
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
	underLoad(t, cancel, func(gaveUp <-chan struct{}) { killRepeatedly(t, b, gaveUp) }, cmd)
}

// underLoad runs client programs such as Crash.java, does to their broker what is to be done once all are at work, and lets them judge. gaveUp is closed when one has
// ended by itself; cancel ends them.
func underLoad(t *testing.T, cancel func(), do func(gaveUp <-chan struct{}), programs ...*exec.Cmd) {
	t.Helper()
	var loaded, reported sync.WaitGroup
	var orders []io.Writer
	gaveUp := make(chan struct{})
	endGaveUp := sync.OnceFunc(func() { close(gaveUp) })
	for _, cmd := range programs {
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		stdin, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		orders = append(orders, stdin)
		defer startProgram(t, cmd)()
		loaded.Add(1)
		is := sync.OnceFunc(loaded.Done)
		reported.Go(func() {
			defer endGaveUp()
			defer is()
			report(t, stdout, func(text string) {
				if text == "loaded" {
					is()
				}
			})
		})
	}
	told := false
	defer func() {
		if !told { // the broker did not come back, so the clients would wait for ever
			cancel()
		}
		reported.Wait()
	}()
	all := make(chan struct{})
	go func() {
		loaded.Wait()
		close(all)
	}()
	select {
	case <-all:
		do(gaveUp)
	case <-time.After(loadedWithin):
		t.Errorf("no load after %v", loadedWithin)
	}
	told = true
	for _, stdin := range orders {
		if _, err := io.WriteString(stdin, "stop\n"); err != nil {
			t.Errorf("tell the clients to stop: %v", err)
		}
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
