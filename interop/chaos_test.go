package interop

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	// insideChaos is set in the process that has namespaces of its own.
	insideChaos = "GODWIT_CHAOS_INSIDE"
	// faultsALoad is after how many faults the clients compare their books and others begin.
	faultsALoad = 6
	// briefly is what make interop runs of it.
	briefly = "cut what one node hears,stop the active for a while,kill the log's leader,damage a file"
	// chaosALoad bounds one load with its faults.
	chaosALoad = faultsALoad * (wholeWithin + time.Minute)
)

// TestChaos breaks a pair and its witness in every way that is known here, under the load of clients with books: see chaos_faults_test.go. GODWIT_CHAOS is the number of
// faults, of which each kind comes once before any comes again; without it there are four, of three seconds at most. GODWIT_CHAOS_SEED repeats a run in kind: the order of faults, their moments, lengths
// and victims. GODWIT_CHAOS_KINDS names kinds, comma-separated, for others not to come.
func TestChaos(t *testing.T) {
	needSomething(t)
	if os.Getenv("GODWIT_INTEROP_BROKER") != "" {
		t.Skip("GODWIT_INTEROP_BROKER is not ours to break")
	}
	jms, stompy := java("jakarta")(t), python(t)
	if os.Getenv(insideChaos) == "" {
		enterChaos(t)
		return
	}
	rounds, kinds, longest := 4, briefly, 3*time.Second
	if text := os.Getenv("GODWIT_CHAOS"); text != "" {
		var err error
		if rounds, err = strconv.Atoi(text); err != nil || rounds < 1 {
			t.Fatalf("GODWIT_CHAOS is %q; expected a number of faults", text)
		}
		kinds, longest = os.Getenv("GODWIT_CHAOS_KINDS"), time.Minute
	}
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("GODWIT_CHAOS_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("GODWIT_CHAOS_SEED: %v", err)
		}
	}
	c := &chaos{rounds: rounds, random: rand.New(rand.NewPCG(seed, 0)), fleet: startFleet(t)}
	c.fleet.longest = longest
	for _, one := range faults {
		if (kinds == "" || slices.Contains(strings.Split(kinds, ","), one.kind)) && (one.kind != "slow a disk down" || c.fleet.loop["a"] != "") {
			c.kinds = append(c.kinds, one)
		}
	}
	if len(c.kinds) == 0 {
		t.Fatalf("GODWIT_CHAOS_KINDS: %q is no kind of fault", kinds)
	}
	t.Logf("seed %d: %d faults of %d kinds", seed, rounds, len(c.kinds))
	for len(c.done) < rounds && !t.Failed() {
		c.load(t, jms, stompy)
	}
	t.Logf("seed %d\n%s", seed, c.table())
}

// enterChaos runs this test again, as the first process of namespaces of its own, with which all that it has started ends.
func enterChaos(t *testing.T) {
	t.Helper()
	space := []string{"--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"}
	if os.Geteuid() != 0 {
		space = append([]string{"--user", "--map-root-user"}, space...)
	}
	if out, err := exec.Command("unshare", append(space, "ip", "link", "set", "lo", "up")...).CombinedOutput(); err != nil {
		leaveOut(t, "chaos: no namespaces here: %v %s", err, out)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	args := append(space, self, "-test.run=^TestChaos$", "-test.v", "-test.timeout=0")
	cmd := exec.CommandContext(t.Context(), "unshare", args...)
	cmd.Env = append(os.Environ(), insideChaos+"=1")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		t.Errorf("the test in namespaces of its own: %v", err)
	}
}

// chaos is one run.
type chaos struct {
	fleet  *fleet
	kinds  []fault
	deck   []fault // those that have not come yet
	random *rand.Rand
	rounds int
	done   []happened
}

// happened is a fault that was.
type happened struct {
	kind            string
	begun, whole    time.Time
	stall, one      time.Duration // longest time between acknowledged sends of clients with two addresses, and of one with one
	lost, unflagged int
}

// next takes each kind once before any comes again.
func (c *chaos) next() fault {
	if len(c.deck) == 0 {
		c.deck = slices.Clone(c.kinds)
		c.random.Shuffle(len(c.deck), func(i, j int) { c.deck[i], c.deck[j] = c.deck[j], c.deck[i] })
	}
	one := c.deck[0]
	c.deck = c.deck[1:]
	return one
}

// load has new clients work through some faults and judge.
func (c *chaos) load(t *testing.T, jms, stompy program) {
	f := c.fleet
	ctx, cancel := context.WithTimeout(t.Context(), chaosALoad)
	defer cancel()
	dir := t.TempDir()
	var files []string
	start := func(p program, where endpoints) *exec.Cmd {
		file := filepath.Join(dir, fmt.Sprint(len(files)))
		files = append(files, file)
		return p.command(ctx, &broker{endpoints: where}, run{suite: "chaos", user: user, password: password, env: []string{"INTEROP_HISTORY=" + file}})
	}
	a, b := f.nodes["a"], f.nodes["b"]
	one := []*broker{a, b}[c.random.IntN(2)]
	programs := []*exec.Cmd{
		start(jms, endpoints{openwire: a.openwire + "," + b.openwire}),
		start(stompy, endpoints{stomp: one.stomp}),
		start(stompy, endpoints{stomp: a.stomp + "," + b.stomp}),
	}
	first := len(c.done)
	underLoad(t, cancel, func(gaveUp <-chan struct{}) {
		for range min(faultsALoad, c.rounds-first) {
			select {
			case <-time.After(f.between(c.random, 500*time.Millisecond, 4*time.Second)):
			case <-gaveUp:
				t.Errorf("clients ended after %d faults", len(c.done))
				return
			}
			fault := c.next()
			before := f.whole(t)
			begun := time.Now()
			what := fault.do(t, f, before, c.random)
			mended := time.Now()
			f.whole(t)
			c.done = append(c.done, happened{kind: fault.kind, begun: begun, whole: time.Now()})
			t.Logf("%d. %s: %s; whole again %v later", len(c.done), fault.kind, what, time.Since(mended).Round(time.Millisecond))
		}
	}, programs...)
	var h history
	for _, file := range files {
		h.read(t, file)
	}
	recent := c.done[first:]
	for i := range recent {
		var whose string
		recent[i].stall, whose = h.stall(recent[i].begun, recent[i].whole, func(producer string) bool { return producer != oneAddress })
		recent[i].one, _ = h.stall(recent[i].begun, recent[i].whole, func(producer string) bool { return producer == oneAddress })
		t.Logf("%s: stall %v of %s, %v of the client with one address", recent[i].kind, recent[i].stall.Round(time.Millisecond), whose, recent[i].one.Round(time.Millisecond))
	}
	for _, m := range h.mishaps {
		t.Errorf("%s: %s at %v", m.kind, m.key, time.UnixMicro(m.at).Format(time.TimeOnly+".000"))
		for i := len(recent) - 1; i >= 0; i-- {
			if i == 0 || m.at >= recent[i].begun.UnixMicro() {
				if m.kind == "lost" {
					recent[i].lost++
				} else {
					recent[i].unflagged++
				}
				break
			}
		}
	}
	f.oneRegister(t, h.acks)
}

// table is what there is to print at the end.
func (c *chaos) table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-36s %5s  %-24s  %-24s  %-24s  %4s  %s\n", "fault", "times", "stall: median, max", "with one address", "whole after: median, max", "lost", "unflagged")
	for _, kind := range c.kinds {
		var stalls, ones, wholes []time.Duration
		lost, unflagged := 0, 0
		for _, d := range c.done {
			if d.kind == kind.kind {
				stalls, ones, wholes = append(stalls, d.stall), append(ones, d.one), append(wholes, d.whole.Sub(d.begun))
				lost, unflagged = lost+d.lost, unflagged+d.unflagged
			}
		}
		if len(stalls) == 0 {
			continue
		}
		fmt.Fprintf(&b, "%-36s %5d  %-24s  %-24s  %-24s  %4d  %d\n", kind.kind, len(stalls), middle(stalls), middle(ones), middle(wholes), lost, unflagged)
	}
	return b.String()
}

func middle(list []time.Duration) string {
	slices.Sort(list)
	round := func(d time.Duration) time.Duration { return d.Round(10 * time.Millisecond) }
	return fmt.Sprintf("%v, %v", round(list[len(list)/2]), round(list[len(list)-1]))
}
