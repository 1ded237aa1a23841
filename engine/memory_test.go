package engine

import (
	"sync/atomic"
	"testing"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/journal"
	"github.com/godwitmq/godwit/journal/segment"
)

// The core hears when memory is short, and when it is not any more; in between nothing changes.
func TestMemoryWatch(t *testing.T) {
	var told atomic.Bool
	e, err := Open(func(n journal.Notify) (journal.Log, error) { return segment.Open(t.TempDir(), segment.Options{}, n) }, Options{OnShort: told.Store})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	var now atomic.Int64
	e.memoryLimit.Store(100)
	e.watching.Do(func() { go e.watchMemory(now.Load) })
	c := e.Connect()
	c.Submit(&broker.Connect{Conn: c.ID()})
	short := func() bool {
		c.Submit(&broker.List{Conn: c.ID(), Ref: 2})
		for {
			effects, err := c.Wait(nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, x := range effects {
				if v, ok := x.Value.(*broker.View); ok {
					return v.MemoryShort
				}
			}
		}
	}
	for _, step := range []struct {
		used int64
		want bool
	}{{76, true}, {70, true}, {64, false}, {74, false}, {100, true}} {
		now.Store(step.used)
		for deadline := t.Context(); short() != step.want; {
			if deadline.Err() != nil {
				t.Fatalf("with %d of 100 used, memory is short: %v", step.used, !step.want)
			}
		}
		if told.Load() != step.want {
			t.Errorf("with %d of 100 used, OnShort was told %v", step.used, !step.want)
		}
	}
	e.memoryLimit.Store(1000)
	for short() {
		if t.Context().Err() != nil {
			t.Fatal("with 100 of 1,000 used, memory is short")
		}
	}
	if n := MemoryInUse(); n < 1<<20 || n > 1<<40 {
		t.Errorf("the process uses %d bytes", n)
	}
}
