package pair

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/godwitmq/godwit/journal/jetstream"
	"github.com/godwitmq/godwit/vfs"
)

// happening is one thing that is done to the pair.
type happening struct {
	at   time.Duration
	what string
	do   func()
}

// plan draws from the seed what is to happen, and what the pair is like.
func (w *world) plan() (list []happening) {
	w.compare = []int{20, 100}[w.rnd.IntN(2)]
	for i := range w.logs {
		// Timers that run faster or slower than the other's are a clock that drifts.
		drift := []float64{1, 1, 0.7, 1.5}[w.rnd.IntN(4)]
		w.logs[i] = jetstream.Options{
			Instance: names[i], Replicas: nodes,
			Heartbeat: time.Duration(drift * float64(50*time.Millisecond)), Silence: time.Duration(drift * float64(300*time.Millisecond)),
			GiveUp:   []time.Duration{2 * time.Second, 5 * time.Second, 30 * time.Second}[w.rnd.IntN(3)],
			LeaderOn: []string{names[1-i], names[2]},
		}
	}
	for i := range w.disks {
		w.disks[i] = disk{mem: vfs.NewMem(), rnd: rand.New(rand.NewPCG(w.cfg.Seed, uint64(i)))}
	}
	w.every = []int64{1 << 10, 4 << 10, 16 << 10}[w.cfg.Seed%3]
	w.packFrom = []int{0, 8}[w.cfg.Seed/3%2]
	w.segment = []int64{32 << 10, 256 << 10}[w.cfg.Seed/6%2]
	busy := []time.Duration{300 * time.Millisecond, time.Second, 3 * time.Second}[w.rnd.IntN(3)]
	begin := 3 * time.Second
	add := func(at time.Duration, do func(), format string, args ...any) {
		list = append(list, happening{at, fmt.Sprintf(format, args...), do})
	}
	locked := func(do func()) func() {
		return func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			do()
		}
	}
	s := &w.servers
	for at := begin; at < begin+w.cfg.For; at += time.Duration(w.rnd.Int64N(int64(2 * busy))) {
		i := w.rnd.IntN(nodes)
		j := (i + 1 + w.rnd.IntN(nodes-1)) % nodes
		short := time.Duration(w.rnd.Int64N(int64(time.Second)))
		long := time.Duration(w.rnd.Int64N(int64(8 * time.Second)))
		span := short
		if w.rnd.IntN(3) == 0 {
			span = long
		}
		cut := func(is bool, pairs ...[2]int) func() {
			return locked(func() {
				w.result.Cuts++
				for _, p := range pairs {
					s.cut[p[0]][p[1]] = is
				}
				w.note("links %v are cut: %v", pairs, is)
			})
		}
		switch x := w.rnd.IntN(100); {
		case x < 14:
			add(at, func() { w.kill(i) }, "kill %s", names[i])
			add(at+span, func() { w.start(i) }, "start %s", names[i])
		case x < 30:
			add(at, locked(func() { w.pause(i) }), "stop %s", names[i])
			add(at+span, locked(func() { w.resume(i) }), "let %s go on", names[i])
		case x < 42:
			all := [][2]int{{i, j}, {j, i}, {i, 3 - i - j}, {3 - i - j, i}}
			add(at, cut(true, all...), "cut %s off", names[i])
			add(at+span, cut(false, all...), "%s is back", names[i])
		case x < 52:
			out := [][2]int{{i, j}, {i, 3 - i - j}}
			add(at, cut(true, out...), "nobody hears %s", names[i])
			add(at+span, cut(false, out...), "%s is heard", names[i])
		case x < 60:
			into := [][2]int{{j, i}, {3 - i - j, i}}
			add(at, cut(true, into...), "%s hears nobody", names[i])
			add(at+span, cut(false, into...), "%s hears", names[i])
		case x < 68:
			one := [][2]int{{i, j}}
			add(at, cut(true, one...), "%s does not hear %s", names[j], names[i])
			add(at+span, cut(false, one...), "%s hears %s", names[j], names[i])
		case x < 76:
			worse := weather{w.rnd.IntN(2) * 200, w.rnd.IntN(4) * 250, w.rnd.IntN(2) * 200}
			add(at, locked(func() { w.weather = worse }), "of 1000: %+v", worse)
			add(at+span, locked(func() { w.weather = weather{} }), "nothing is lost")
		case x < 82:
			slow, lag := time.Duration(w.rnd.Int64N(int64(400*time.Millisecond))), time.Duration(w.rnd.Int64N(int64(time.Second)))
			add(at, locked(func() { s.node[i].slow, s.node[i].lag = slow, lag }), "%s is slow: %v, %v", names[i], slow, lag)
			add(at+span, locked(func() { s.node[i].slow, s.node[i].lag = 0, 0 }), "%s is fast", names[i])
		case x < 88:
			add(at, locked(func() { s.moveLeader(s.leader, i) }), "%s is to lead the stream", names[i])
		case x < 94:
			add(at, func() { w.switchOverNow() }, "switchover")
		case x < 97:
			k, by := w.rnd.IntN(2), time.Duration(w.rnd.Int64N(int64(2*time.Hour)))-time.Hour
			add(at, locked(func() { w.skew[k] = by }), "the clock of %s jumps by %v", names[k], by)
		default:
			k := w.rnd.IntN(2)
			reach := func(is bool) func() {
				return locked(func() {
					if in := w.instances[k]; in != nil {
						in.unreachable = !is
					}
				})
			}
			add(at, reach(false), "clients cannot reach %s", names[k])
			add(at+span, reach(true), "clients can reach %s", names[k])
		}
	}
	if w.cfg.Seed%10 == 9 { // what the servers must not do
		at := begin + time.Duration(w.rnd.Int64N(int64(w.cfg.For)))
		n := 1 + w.rnd.IntN(6)
		add(at, locked(func() { s.forget(n) }), "the servers forget %d messages", n)
	}
	w.diskTrouble(begin, add)
	if w.cfg.Seed%5 == 2 {
		rnd := rand.New(rand.NewPCG(w.cfg.Seed, 0xc0))
		add(begin+time.Duration(rnd.Int64N(int64(w.cfg.For*3/4))), func() { w.clients.Go(func() { w.convert(1) }) }, "the broker leaves the nodes' log and comes back")
	}
	slices.SortStableFunc(list, func(a, b happening) int { return int(a.at - b.at) })
	return list
}

// switchOverNow asks the active instance for a switchover, if there is one, and does not wait.
func (w *world) switchOverNow() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, in := range w.instances {
		if in != nil && in.engine != nil && !in.dead {
			to := names[1-in.at]
			w.clients.Go(func() { _ = w.switchOver(in, to) }) // its outcome is judged there
			return
		}
	}
}

// heal makes all whole.
func (w *world) heal() {
	w.mu.Lock()
	w.weather = weather{}
	w.servers.cut = [nodes][nodes]bool{}
	for i := range nodes {
		w.servers.node[i].slow, w.servers.node[i].lag = 0, 0
		w.resume(i)
	}
	for i := range w.disks {
		w.disks[i].killAt = 0
		w.mendDisk(i)
	}
	for _, in := range w.instances {
		in.unreachable = false
	}
	w.note("all is whole")
	w.mu.Unlock()
	for i := range nodes {
		w.start(i)
	}
}
