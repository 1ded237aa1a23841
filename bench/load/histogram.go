package load

import (
	"math/bits"
	"time"
)

// histogram counts durations with an error of at most a 64th.
type histogram struct {
	of    [64 * 64]int64
	count int64
	max   int64
}

// slot is the index of v: 64 of them for each doubling.
func slot(v int64) int {
	if v < 64 {
		return int(max(v, 0))
	}
	shift := bits.Len64(uint64(v)) - 7
	return (shift+1)*64 + int(v>>shift) - 64
}

// bound is the largest duration of a slot.
func bound(i int) int64 {
	if i < 64 {
		return int64(i)
	}
	shift := i/64 - 1
	return (int64(i%64)+65)<<shift - 1
}

func (h *histogram) add(v int64) {
	h.of[slot(v)]++
	h.count++
	h.max = max(h.max, v)
}

func (h *histogram) merge(other *histogram) {
	for i, n := range other.of {
		h.of[i] += n
	}
	h.count += other.count
	h.max = max(h.max, other.max)
}

// quantile is the duration that the part q of all does not exceed.
func (h *histogram) quantile(q float64) time.Duration {
	want, sum := int64(q*float64(h.count)+0.5), int64(0)
	for i, n := range h.of {
		if sum += n; n > 0 && sum >= want {
			return time.Duration(min(bound(i), h.max))
		}
	}
	return time.Duration(h.max)
}

func (h *histogram) summary() Latencies {
	return Latencies{Count: h.count, P50: h.quantile(0.5), P99: h.quantile(0.99), P999: h.quantile(0.999), Max: time.Duration(h.max)}
}
