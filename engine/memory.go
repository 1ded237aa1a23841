package engine

import (
	"math"
	"runtime"
	"runtime/debug"
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

// MemoryInUse is what of the process's memory is in use: what the last collection found live, stacks, and what the runtime keeps for itself; not what
// waits to be collected or to be given back.
func MemoryInUse() int64 {
	samples := []metrics.Sample{
		{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}, {Name: "/memory/classes/heap/free:bytes"},
		{Name: "/memory/classes/heap/unused:bytes"}, {Name: "/memory/classes/heap/objects:bytes"}, {Name: "/gc/heap/live:bytes"},
	}
	metrics.Read(samples)
	v := func(i int) int64 { return int64(samples[i].Value.Uint64()) }
	return v(0) - v(1) - v(2) - v(3) - max(0, v(4)-v(5))
}

// Limits are what an engine may take, as far as that can change while it runs, in bytes.
type Limits struct {
	Process       int64 // Options.MemoryLimit; 0 means no limit
	Cache, Memory int64 // broker.Options.CacheBytes and MemoryBytes; 0 means the usual
	Log           int64 // of the journal: the MaxBytes of its options; 0 means what the disk has
}

// Limit puts other limits in force. It does not wait for that.
func (e *Engine) Limit(l Limits) {
	if e.memoryLimit.Load() != l.Process {
		e.limitRuntime(l.Process)
		e.watch()
	}
	if log, ok := e.log.(interface{ Limit(maxBytes int64) }); ok {
		log.Limit(l.Log)
	}
	e.post(&broker.Limit{CacheBytes: l.Cache, MemoryBytes: l.Memory})
}

// limitRuntime sets the limit, and tells the Go runtime.
func (e *Engine) limitRuntime(limit int64) {
	before := e.memoryLimit.Swap(limit)
	switch {
	case limit > 0:
		debug.SetMemoryLimit(int64(float64(limit) * goPart))
	case before > 0:
		debug.SetMemoryLimit(math.MaxInt64)
	}
}

// watch begins to watch the memory when there is a limit for the first time.
func (e *Engine) watch() {
	if e.memoryLimit.Load() > 0 {
		e.watching.Do(func() { go e.watchMemory(MemoryInUse) })
	}
}

// watchMemory tells the core when memory is short and when it is not any more, until the engine has ended.
func (e *Engine) watchMemory(used func() int64) {
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
		share, limit := 0.0, e.memoryLimit.Load()
		if limit > 0 {
			share = float64(n) / float64(limit)
		}
		switch {
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
