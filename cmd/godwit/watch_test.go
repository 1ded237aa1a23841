package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/readiness"
)

func TestPicture(t *testing.T) {
	at := time.Now()
	pair := []api.Instance{
		{Name: "a", Role: "standby", Since: at, Epoch: 4, Lag: 7},
		{Name: "b", Role: "active", Since: at, Epoch: 4, TakenOver: &api.TakeOver{At: at, From: "a", Reason: "switchover", Millis: 12}},
		{Name: "w", Role: "witness"},
	}
	clients := func(services ...readiness.Service) *api.Clients { return &api.Clients{Services: services} }
	tests := map[string]struct {
		sight      sight
		line       []string // in the line
		page       []string // in the picture
		not        string
		wasOf      int // connections that orders had before
		wasService bool
	}{
		"a pair": {sight: sight{instances: pair, in: 10, out: 9.6, clients: clients(readiness.Service{Name: "orders", Connections: 3, Nodes: map[string]int{"a": 1, "b": 2}, Verdict: readiness.Ready})},
			line: []string{" a=standby,lag=7 b=active w=witness epoch=4 in=10/s out=10/s orders[a:1 b:2]\n"},
			page: []string{"in 10/s  out 10/s  b took over from a", "(switchover, 12 ms)", "orders   3 of 3       ●·· 1  ●●· 2  ready"}, not: "NO INSTANCE"},
		"crossing over": {sight: sight{instances: pair, in: -1, out: -1, clients: clients(readiness.Service{Name: "orders", Connections: 1, Nodes: map[string]int{"b": 1}, Verdict: readiness.Ready})}, wasOf: 3, wasService: true,
			line: []string{"in=- out=- orders[b:1]\n"}, page: []string{"orders   1 of 3       ··· 0  ●·· 1  ready"}},
		"a service that is gone": {sight: sight{instances: pair, clients: clients()}, wasOf: 3, wasService: true, page: []string{"orders   0 of 3       ··· 0  ··· 0  gone"}},
		"nobody is active":       {sight: sight{instances: pair[:1], why: "no instance is active"}, line: []string{"a=standby,lag=7 in="}, page: []string{"NO INSTANCE IS ACTIVE", "The clients are not known: no instance is active"}},
		"nobody answers":         {sight: sight{why: "connection refused"}, line: []string{"no answer: connection refused\n"}, page: []string{"THE API DOES NOT ANSWER", "connection refused"}, not: "INSTANCE  "},
		"a broker alone": {sight: sight{alone: true, clients: clients(readiness.Service{Name: "orders", Connections: 2, Nodes: map[string]int{"": 2}, Verdict: readiness.Warning})},
			line: []string{"orders[2]\n"}, page: []string{"orders   2 of 2       ●● 2  warning"}, not: "INSTANCE"},
		"a name that would colour the terminal": {sight: sight{alone: true, clients: clients(readiness.Service{Name: "\x1b[31m", Connections: 1, Nodes: map[string]int{"": 1}})}, not: "\x1b"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := &watcher{most: map[string]int{}}
			if tt.wasService {
				w.names, w.most["orders"] = []string{"orders"}, tt.wasOf
			}
			tt.sight.at = at
			line, page := w.line(tt.sight), w.picture(tt.sight)
			for _, want := range tt.line {
				if !strings.Contains(line, want) {
					t.Errorf("line %q; want %q in it", line, want)
				}
			}
			for _, want := range tt.page {
				if !strings.Contains(page, want) {
					t.Errorf("no %q in:\n%s", want, page)
				}
			}
			if tt.not != "" && strings.Contains(line+page, tt.not) {
				t.Errorf("%q in:\n%s%s", tt.not, line, page)
			}
		})
	}
}

func TestBar(t *testing.T) {
	for _, tt := range []struct {
		n, most int
		want    string
	}{
		{0, 0, " 0"}, {0, 2, "·· 0"}, {2, 2, "●● 2"}, {1, 240, "●" + strings.Repeat("·", 23) + " 1"}, {120, 240, strings.Repeat("●", 12) + strings.Repeat("·", 12) + " 120"},
		{240, 240, strings.Repeat("●", 24) + " 240"},
	} {
		if got := bar(tt.n, tt.most); got != tt.want {
			t.Errorf("bar(%d, %d) = %q, want %q", tt.n, tt.most, got, tt.want)
		}
	}
}

func TestRate(t *testing.T) {
	for _, tt := range []struct {
		before, now uint64
		seconds     float64
		want        float64
	}{{10, 30, 2, 10}, {30, 10, 2, 0}, {10, 30, 0, 0}} {
		if got := rate(tt.before, tt.now, tt.seconds); got != tt.want {
			t.Errorf("rate(%d, %d, %v) = %v, want %v", tt.before, tt.now, tt.seconds, got, tt.want)
		}
	}
}

// A reboot begins only where one node may go away.
func TestWhole(t *testing.T) {
	well := func() []api.Instance {
		return []api.Instance{{Name: "a", Role: "active"}, {Name: "b", Role: "standby"}, {Name: "w", Role: "witness"}}
	}
	tests := map[string]struct {
		change func([]api.Instance)
		want   string // in the error; "" is none
	}{
		"well":             {func([]api.Instance) {}, ""},
		"witness away":     {func(all []api.Instance) { all[2].Role, all[2].Reason = "unreachable", "connection refused" }, "w is unreachable connection refused"},
		"standby begins":   {func(all []api.Instance) { all[1].Role = "starting" }, "b is starting; no instance stands by"},
		"two actives":      {func(all []api.Instance) { all[1].Role = "active" }, "2 instances are active; no instance stands by"},
		"nobody active":    {func(all []api.Instance) { all[0].Role = "standby" }, "0 instances are active"},
		"a copy is behind": {func(all []api.Instance) { all[0].Behind = []string{"b", "w"} }, "the log's copy of b and w is away or behind"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			all := well()
			tt.change(all)
			err := whole(all)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("whole = %v; want %q", err, tt.want)
			}
		})
	}
}

// Whoever has to go on after a reboot that ended early is told what is left.
func TestUnfinished(t *testing.T) {
	why := errors.New("b is not back")
	err := (&rebooter{left: []string{"b", "a"}}).unfinished(t.Context(), why)
	if !errors.Is(err, why) || !strings.Contains(err.Error(), "not seen to be back: b, a.") || !strings.Contains(err.Error(), "godwit reboot --node NAME") {
		t.Errorf("unfinished = %v", err)
	}
}
