package control

import (
	"context"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/message"
)

const (
	historyEvery  = 10 * time.Second
	historyPoints = 360 // an hour
	// historyBusiest is how many destinations are remembered one by one.
	historyBusiest = 100
	// historyGap is how long nothing may be heard of the core before counters are not compared with those of before.
	historyGap = 3 * historyEvery
)

// history remembers how the destinations were, for charts: one point in historyEvery, of all together and of the fullest and busiest. Its memory is bounded by the constants
// above: about a megabyte.
type history struct {
	mu     sync.Mutex
	points []point // the oldest first
	last   map[string]counts
	lastAt time.Time
}

// counts are a destination's counters at one time.
type counts struct{ in, out uint64 }

// point is one moment.
type point struct {
	at  time.Time
	all figures
	of  map[string]figures
}

type figures struct {
	size, in, out float64 // in and out a second; NaN: not known
	consumers     int
}

// Remember looks at the core now and then until ctx ends, where there is one.
func (s *Server) Remember(ctx context.Context) {
	tick := time.NewTicker(historyEvery)
	defer tick.Stop()
	for {
		if v, err := s.glance(ctx); err == nil { // else the points of this time are missing
			s.history.add(time.Now(), v)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// add takes a look at the core.
func (h *history) add(at time.Time, v *broker.View) {
	h.mu.Lock()
	defer h.mu.Unlock()
	passed := at.Sub(h.lastAt)
	known := h.last != nil && passed > 0 && passed < historyGap
	p := point{at: at, of: map[string]figures{}, all: figures{in: math.NaN(), out: math.NaN(), consumers: len(v.Consumers)}}
	if known {
		p.all.in, p.all.out = 0, 0
	}
	now := make(map[string]counts, len(v.Destinations))
	type one struct {
		name string
		figures
	}
	all := make([]one, 0, len(v.Destinations))
	for i := range v.Destinations {
		d := &v.Destinations[i]
		if isAdvisory(d.Destination) {
			continue
		}
		name := d.Destination.String()
		now[name] = counts{d.Enqueued, d.Dequeued}
		f := figures{size: float64(d.Size), in: math.NaN(), out: math.NaN(), consumers: d.Consumers}
		if before, there := h.last[name]; known && (there || d.Enqueued > 0) {
			f.in, f.out = perSecond(before.in, d.Enqueued, passed), perSecond(before.out, d.Dequeued, passed)
			p.all.in += f.in
			p.all.out += f.out
		}
		p.all.size += f.size
		all = append(all, one{name, f})
	}
	score := func(f one) float64 {
		rate := f.in + f.out
		if math.IsNaN(rate) {
			rate = 0
		}
		return f.size + rate*historyEvery.Seconds()
	}
	slices.SortFunc(all, func(a, b one) int {
		switch x, y := score(a), score(b); {
		case x > y:
			return -1
		case x < y:
			return 1
		}
		return strings.Compare(a.name, b.name)
	})
	for _, f := range all[:min(len(all), historyBusiest)] {
		p.of[f.name] = f.figures
	}
	if len(h.points) == historyPoints {
		h.points = slices.Delete(h.points, 0, 1)
	}
	h.points = append(h.points, p)
	h.last, h.lastAt = now, at
}

// isAdvisory says whether a destination is the broker's own, of which clients see the events of others.
func isAdvisory(d message.Destination) bool {
	return d.Kind == message.Topic && strings.HasPrefix(d.Name, "ActiveMQ.Advisory.")
}

// perSecond is a counter's growth. One that is smaller than before began anew.
func perSecond(before, now uint64, passed time.Duration) float64 {
	if now < before {
		before = 0
	}
	return float64(now-before) / passed.Seconds()
}

// of gives what is remembered of a destination, or of all with "".
func (h *history) of(name string) api.History {
	h.mu.Lock()
	defer h.mu.Unlock()
	answer := api.History{Every: historyEvery.Milliseconds(), At: []int64{}, Size: []*float64{}, In: []*float64{}, Out: []*float64{}, Consumers: []*float64{}}
	for i := range h.points {
		p := &h.points[i]
		f, known := p.all, true
		if name != "" {
			f, known = p.of[name]
		}
		show := func(x float64) *float64 {
			if !known || math.IsNaN(x) {
				return nil
			}
			return &x
		}
		answer.At = append(answer.At, p.at.UnixMilli())
		answer.Size = append(answer.Size, show(f.size))
		answer.In = append(answer.In, show(f.in))
		answer.Out = append(answer.Out, show(f.out))
		answer.Consumers = append(answer.Consumers, show(float64(f.consumers)))
	}
	return answer
}

// historyOf answers GET history. Query: destination, as queue://NAME; absent: all together.
func (s *Server) historyOf(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Query().Get("destination")
	if name != "" {
		d, err := message.ParseDestination(name, message.Queue)
		if err != nil {
			s.failed(w, r, malformed(r, "destination: %v", err))
			return
		}
		name = d.String()
	}
	respond(w, s.history.of(name))
}
