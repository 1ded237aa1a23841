package engine

import (
	"runtime"
	"runtime/metrics"
	"time"

	"github.com/godwitmq/godwit/broker"
)

// Of the memory that the process may take, so much is for what is needed at a time: above shortAbove nothing more is taken in, until it is
// below enoughBelow again. The rest is for what the collector has not found yet, and for the program itself.
const (
	shortAbove  = 0.75
	enoughBelow = 0.65
	goPart      = 0.92 // of it the runtime is to stay below
	memoryPulse = 20 * time.Millisecond
	collectIdle = 2 * time.Second // while nothing is taken in there may be nobody who makes the collector run
)

// used is what of the process's memory is in use: what the last collection found live, stacks, and what the runtime keeps for itself; not what
// waits to be collected or to be given back.
func used() int64 {
	samples := []metrics.Sample{
		{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}, {Name: "/memory/classes/heap/free:bytes"},
		{Name: "/memory/classes/heap/unused:bytes"}, {Name: "/memory/classes/heap/objects:bytes"}, {Name: "/gc/heap/live:bytes"},
	}
	metrics.Read(samples)
	v := func(i int) int64 { return int64(samples[i].Value.Uint64()) }
	return v(0) - v(1) - v(2) - v(3) - max(0, v(4)-v(5))
}

// watchMemory tells the core when memory is short and when it is not any more, until the engine has ended.
func (e *Engine) watchMemory(limit int64, used func() int64) {
	ticker := time.NewTicker(memoryPulse)
	defer ticker.Stop()
	short, collected := false, time.Now()
	for {
		select {
		case <-e.done:
			if short && e.opt.OnShort != nil { // who listens may outlive us
				e.opt.OnShort(false)
			}
			return
		case <-ticker.C:
		}
		if short && time.Since(collected) > collectIdle {
			runtime.GC()
			collected = time.Now()
		}
		n := used()
		switch share := float64(n) / float64(limit); {
		case !short && share > shortAbove:
			short = true
			e.opt.Logger.Warn("the process has used its memory; nothing more is taken in until there is some again", "used", n, "limit", limit)
		case short && share < enoughBelow:
			short = false
			e.opt.Logger.Info("there is memory again", "used", n, "limit", limit)
		default:
			continue
		}
		if e.opt.OnShort != nil {
			e.opt.OnShort(short)
		}
		e.post(&broker.Pressure{Short: short, Used: n, Limit: limit})
	}
}
