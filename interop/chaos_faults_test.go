package interop

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// fault is one way to break a fleet, and what mends it again where nothing mends itself. It tells what it did.
type fault struct {
	kind string
	do   func(t *testing.T, f *fleet, s state, r *rand.Rand) string
}

// faults are all kinds. What may be chosen in each is chosen by r.
var faults = []fault{
	{"kill the active", func(t *testing.T, f *fleet, s state, r *rand.Rand) string { return f.killed(t, r, s.with("active")) }},
	{"kill the standby", func(t *testing.T, f *fleet, s state, r *rand.Rand) string { return f.killed(t, r, s.with("standby")) }},
	{"kill the witness", func(t *testing.T, f *fleet, s state, r *rand.Rand) string { return f.killed(t, r, "w") }},
	{"kill the log's leader", func(t *testing.T, f *fleet, s state, r *rand.Rand) string { return f.killed(t, r, s.leader) }},
	{"kill two", func(t *testing.T, f *fleet, s state, r *rand.Rand) string {
		two := choose(r, f.names, 2)
		return f.killed(t, r, two...)
	}},
	{"kill all", func(t *testing.T, f *fleet, s state, r *rand.Rand) string {
		return f.killed(t, r, choose(r, f.names, 3)...)
	}},
	{"stop the active for a while", func(t *testing.T, f *fleet, s state, r *rand.Rand) string { return f.stopped(t, r, s.with("active")) }},
	{"stop the standby for a while", func(t *testing.T, f *fleet, s state, r *rand.Rand) string { return f.stopped(t, r, s.with("standby")) }},
	{"stop another node for a while", func(t *testing.T, f *fleet, s state, r *rand.Rand) string {
		return f.stopped(t, r, choose(r, []string{"w", s.leader}, 1)[0])
	}},
	{"cut the active off from the nodes", func(t *testing.T, f *fleet, s state, r *rand.Rand) string {
		return f.apart(t, r, bothWays(s.with("active"), f.others(s.with("active")))...)
	}},
	{"cut the active off from all", func(t *testing.T, f *fleet, s state, r *rand.Rand) string {
		active := s.with("active")
		return f.apart(t, r, bothWays(active, append(f.others(active), theClients))...)
	}},
	{"cut the standby off from the nodes", func(t *testing.T, f *fleet, s state, r *rand.Rand) string {
		return f.apart(t, r, bothWays(s.with("standby"), f.others(s.with("standby")))...)
	}},
	{"cut the witness off from the nodes", func(t *testing.T, f *fleet, s state, r *rand.Rand) string {
		return f.apart(t, r, bothWays("w", f.others("w"))...)
	}},
	{"cut what one node sends", func(t *testing.T, f *fleet, s state, r *rand.Rand) string {
		name := choose(r, f.names, 1)[0]
		var cuts [][2]string
		for _, other := range f.others(name) {
			cuts = append(cuts, [2]string{name, other})
		}
		return f.apart(t, r, cuts...)
	}},
	{"cut what one node hears", func(t *testing.T, f *fleet, s state, r *rand.Rand) string {
		name := choose(r, f.names, 1)[0]
		var cuts [][2]string
		for _, other := range f.others(name) {
			cuts = append(cuts, [2]string{other, name})
		}
		return f.apart(t, r, cuts...)
	}},
	{"cut two nodes apart", func(t *testing.T, f *fleet, s state, r *rand.Rand) string {
		two := choose(r, f.names, 2)
		return f.apart(t, r, bothWays(two[0], two[1:])...)
	}},
	{"cut two nodes apart one way", func(t *testing.T, f *fleet, s state, r *rand.Rand) string {
		two := choose(r, f.names, 2)
		return f.apart(t, r, [2]string{two[0], two[1]})
	}},
	{"fill a disk", func(t *testing.T, f *fleet, s state, r *rand.Rand) string {
		name := choose(r, f.names, 1)[0]
		return s.called(name) + f.filled(t, r, name)
	}},
	{"slow a disk down", func(t *testing.T, f *fleet, s state, r *rand.Rand) string {
		name := choose(r, f.names, 1)[0]
		return s.called(name) + f.slowed(t, r, name)
	}},
	{"damage a file", func(t *testing.T, f *fleet, s state, r *rand.Rand) string {
		name := choose(r, f.names, 1)[0]
		return s.called(name) + f.damaged(t, r, name, "/streams/GODWIT_")
	}},
	{"damage a file of the engine", func(t *testing.T, f *fleet, s state, r *rand.Rand) string {
		name := choose(r, f.names, 1)[0]
		return s.called(name) + f.damaged(t, r, name, "/$SYS/_js_/") // the logs by which the replicas agree
	}},
	{"restart one after the other", func(t *testing.T, f *fleet, s state, r *rand.Rand) string {
		all := choose(r, f.names, 3)
		for _, name := range all {
			f.nodes[name].stop(t)
			f.restart(t, name)
			f.whole(t)
		}
		return strings.Join(all, ", ")
	}},
	{"replace a node by an empty one", func(t *testing.T, f *fleet, s state, r *rand.Rand) string {
		name := choose(r, f.names, 1)[0]
		f.nodes[name].kill(t)
		f.wipe(t, name)
		f.restart(t, name)
		return s.called(name)
	}},
	{"switch over", func(t *testing.T, f *fleet, s state, r *rand.Rand) string {
		f.switchOver(t, s.with("active"))
		return s.called(s.with("active"))
	}},
}

// choose takes n of a list, in an order of their own.
func choose(r *rand.Rand, list []string, n int) []string {
	list = slices.Clone(list)
	r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list[:n]
}

// between is a duration of any order of magnitude between two, or up to the longest that is wanted of a fault.
func (f *fleet) between(r *rand.Rand, low, high time.Duration) time.Duration {
	high = min(high, f.longest)
	return time.Duration(float64(low) * math.Pow(float64(high)/float64(low), r.Float64())).Round(time.Millisecond)
}

// called is a node with its role.
func (s state) called(name string) string {
	what := s.role[name]
	if name == s.leader {
		what += ", leads the log"
	}
	return name + " (" + what + ") "
}

func (f *fleet) others(name string) []string {
	return slices.DeleteFunc(slices.Clone(f.names), func(other string) bool { return other == name })
}

func bothWays(name string, others []string) (cuts [][2]string) {
	for _, other := range others {
		cuts = append(cuts, [2]string{name, other}, [2]string{other, name})
	}
	return cuts
}

// killed ends nodes as a crash would, and starts them again after a while, one after the other.
func (f *fleet) killed(t *testing.T, r *rand.Rand, names ...string) string {
	for _, name := range names {
		f.nodes[name].kill(t)
	}
	down := f.between(r, 100*time.Millisecond, 8*time.Second)
	time.Sleep(down)
	for i, name := range names {
		if i > 0 {
			time.Sleep(f.between(r, 10*time.Millisecond, 3*time.Second))
		}
		f.restart(t, name)
	}
	return fmt.Sprintf("%s, down for %v", strings.Join(names, ", "), down)
}

func (f *fleet) stopped(t *testing.T, r *rand.Rand, name string) string {
	long := f.between(r, 100*time.Millisecond, 30*time.Second)
	process := f.nodes[name].cmd.Process
	if err := process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	time.Sleep(long)
	if err := process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s for %v", name, long)
}

// apart cuts cables, each in one direction, and mends them after a while.
func (f *fleet) apart(t *testing.T, r *rand.Rand, cuts ...[2]string) string {
	long := f.between(r, 200*time.Millisecond, 20*time.Second)
	var what []string
	for _, c := range cuts {
		f.cable(t, c[0], c[1], true)
		what = append(what, c[0]+">"+c[1])
	}
	time.Sleep(long)
	for _, c := range cuts {
		f.cable(t, c[0], c[1], false)
	}
	return fmt.Sprintf("%s for %v", strings.Join(what, " "), long)
}

// filled leaves a node no space on its disk for a while.
func (f *fleet) filled(t *testing.T, r *rand.Rand, name string) string {
	long := f.between(r, time.Second, 15*time.Second)
	fill := filepath.Join(f.data(name), "fill")
	for end := time.Now().Add(long); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		// Most of it at once and without writing, which would slow the other nodes' disks down too; then to the last byte, what the node frees meanwhile included.
		_ = exec.Command("sh", "-c", `fallocate -l $(($(stat -f -c '%a * %S' "$2") + $(stat -c %s "$1" 2>/dev/null || echo 0) - 1048576)) "$1" 2>/dev/null
for bs in 64K 1K; do dd if=/dev/zero of="$1" bs=$bs oflag=append conv=notrunc status=none 2>/dev/null; done`, "sh", fill, f.data(name)).Run()
	}
	if err := os.Remove(fill); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("for %v", long)
}

// slowed lets a node's disk do a few writes a second, for a while.
func (f *fleet) slowed(t *testing.T, r *rand.Rand, name string) string {
	long, writes := f.between(r, 2*time.Second, 15*time.Second), 5+r.IntN(60)
	if f.loop[name] == "" {
		t.Fatal("the disk cannot be slowed down")
	}
	limit := func(n int) {
		if err := os.WriteFile(throttle, fmt.Appendf(nil, "%s %d", f.loop[name], n), 0); err != nil {
			t.Fatal(err)
		}
	}
	limit(writes)
	time.Sleep(long)
	limit(0)
	return fmt.Sprintf("to %d writes a second for %v", writes, long)
}

// damaged kills a node and flips bits in a file of its copy of the log before it starts again.
func (f *fleet) damaged(t *testing.T, r *rand.Rand, name, where string) string {
	f.nodes[name].kill(t)
	var files []string
	err := filepath.WalkDir(filepath.Join(f.data(name), "log"), func(path string, entry os.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".blk") && strings.Contains(path, where) {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	what := "nothing to damage"
	if len(files) > 0 {
		file := files[r.IntN(len(files))]
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		flips := 1 + r.IntN(8)
		for range flips {
			if len(content) > 0 {
				content[r.IntN(len(content))] ^= 1 << r.IntN(8)
			}
		}
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		what = fmt.Sprintf("%d bits of %s, %d bytes", flips, strings.TrimPrefix(file, f.data(name)), len(content))
	}
	f.restart(t, name)
	return what
}

// wipe leaves a node nothing but its configuration.
func (f *fleet) wipe(t *testing.T, name string) {
	entries, err := os.ReadDir(f.data(name))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(f.data(name), e.Name())); err != nil {
			t.Fatal(err)
		}
	}
}
