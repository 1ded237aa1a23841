package interop

import (
	"context"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"
)

const (
	movingSwitchovers = 5
	movingWithin      = 8 * time.Minute
)

// TestMoving switches a pair over again and again under Java clients that use failover, with both addresses or with one: java/src/interop/Moving.java. No call of
// theirs may fail, no message be lost, dead or counted as delivered in vain. The longest gap between two confirmed sends is told for each switchover.
func TestMoving(t *testing.T) {
	needSomething(t)
	program := java("jakarta")(t)
	p := startPair(t)
	both := &broker{endpoints: endpoints{openwire: p.nodes["a"].openwire + "," + p.nodes["b"].openwire}}
	ctx, cancel := context.WithTimeout(t.Context(), movingWithin)
	defer cancel()
	cmd := program.command(ctx, both, run{suite: "moving"})
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	finish := startProgram(t, cmd)
	notes := make(chan string, 100)
	reported := make(chan struct{})
	go func() {
		defer close(reported)
		report(t, stdout, func(text string) { notes <- text })
	}()
	gap := func() (millis int, ok bool) {
		for {
			select {
			case text := <-notes:
				if _, err := fmt.Sscanf(text, "gap %d", &millis); err == nil {
					return millis, true
				}
			case <-reported:
				t.Error("the clients ended early")
				return 0, false
			}
		}
	}
	ask := func() (int, bool) {
		if _, err := io.WriteString(stdin, "gap\n"); err != nil {
			t.Errorf("ask the clients: %v", err)
			return 0, false
		}
		return gap()
	}
	loaded := func() bool {
		for {
			select {
			case text := <-notes:
				if text == "loaded" {
					return true
				}
			case <-reported:
				return false
			case <-time.After(loadedWithin):
				t.Errorf("no load after %v", loadedWithin)
				cancel()
				return false
			}
		}
	}
	if loaded() {
		var quiet, gaps []int
		for range movingSwitchovers {
			time.Sleep(time.Second)
			usual, ok := ask()
			if !ok {
				break
			}
			quiet = append(quiet, usual)
			active := p.await(t, "active")
			p.switchOver(t, active)
			time.Sleep(time.Second)
			millis, ok := ask()
			if !ok {
				break
			}
			gaps = append(gaps, millis)
			p.await(t, "standby")
		}
		slices.Sort(gaps)
		slices.Sort(quiet)
		if len(gaps) > 0 {
			t.Logf("longest gap between confirmed sends at a switchover: median %d ms, %d at most (%v); without one %v", gaps[len(gaps)/2], gaps[len(gaps)-1], gaps, quiet)
		}
		if _, err := io.WriteString(stdin, "stop\n"); err != nil {
			t.Errorf("tell the clients to stop: %v", err)
		}
	}
	<-reported
	finish()
}
