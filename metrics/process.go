package metrics

import (
	"bytes"
	"os"
	"runtime"
	"runtime/metrics"
	"strconv"
	"time"
)

// Process adds the metrics of this process, under the names that Prometheus' own libraries use, where there are such.
func Process(e *Exposition, version string, started, now time.Time) {
	e.Family("godwit_build_info", Gauge, "Constant 1, with what is running.")
	e.Sample(1, "version", version, "go", runtime.Version())
	e.One("process_start_time_seconds", Gauge, "Start of the process, seconds since 1970.", float64(started.UnixMilli())/1000)
	e.One("godwit_uptime_seconds", Gauge, "Time since the start.", now.Sub(started).Seconds())

	samples := []metrics.Sample{{Name: "/sched/goroutines:goroutines"}, {Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/total:bytes"},
		{Name: "/gc/cycles/total:gc-cycles"}, {Name: "/gc/heap/allocs:bytes"}, {Name: "/cpu/classes/gc/total:cpu-seconds"}}
	metrics.Read(samples)
	for i, m := range []struct {
		name string
		kind Kind
		help string
	}{
		{"go_goroutines", Gauge, "Goroutines."},
		{"go_memstats_heap_alloc_bytes", Gauge, "Bytes of objects on the heap."},
		{"go_memstats_sys_bytes", Gauge, "Bytes that the runtime has from the system."},
		{"godwit_gc_cycles_total", Counter, "Garbage collections."},
		{"go_memstats_alloc_bytes_total", Counter, "Bytes ever allocated."},
		{"godwit_gc_cpu_seconds_total", Counter, "CPU time of garbage collection."},
	} {
		switch v := samples[i].Value; v.Kind() {
		case metrics.KindUint64:
			e.One(m.name, m.kind, m.help, float64(v.Uint64()))
		case metrics.KindFloat64:
			e.One(m.name, m.kind, m.help, v.Float64())
		}
	}
	fromProc(e)
}

// clockTicks is the unit of CPU times in /proc, a second's part; it is 100 on every Linux that Go runs on.
const clockTicks = 100

// fromProc adds what only Linux tells; elsewhere nothing.
func fromProc(e *Exposition) {
	if rss, cpu, ok := readStat(); ok {
		e.One("process_resident_memory_bytes", Gauge, "Resident memory.", rss)
		e.One("process_cpu_seconds_total", Counter, "CPU time, user and system.", cpu)
	}
	if fds, err := os.ReadDir("/proc/self/fd"); err == nil {
		e.One("process_open_fds", Gauge, "Open file descriptors.", float64(len(fds)-1)) // one is the directory's own
	}
}

// readStat reads /proc/self/stat (proc(5)): fields 14 and 15 are CPU time, 24 the resident pages.
func readStat() (rss, cpu float64, ok bool) {
	data, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return 0, 0, false
	}
	// The command's name, field 2, is in parentheses and may hold anything.
	fields := bytes.Fields(data[bytes.LastIndexByte(data, ')')+1:])
	if len(fields) < 22 {
		return 0, 0, false
	}
	number := func(field int) float64 {
		n, _ := strconv.ParseFloat(string(fields[field-3]), 64)
		return n
	}
	return number(24) * float64(os.Getpagesize()), (number(14) + number(15)) / clockTicks, true
}
