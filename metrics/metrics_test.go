package metrics

import (
	"fmt"
	"maps"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/message"
)

func queue(name string, size int64, enqueued uint64) broker.DestinationView {
	return broker.DestinationView{Kind: "queue", Name: name, Size: size, Enqueued: enqueued}
}

func exposed(e *Exposition) string {
	var b strings.Builder
	e.WriteTo(&b)
	return b.String()
}

// answer is a whole answer to a scrape.
func answer(b *Broker, v *broker.View, budget Budget, term any, at time.Time) *Exposition {
	e := budget.Fixed()
	l := b.Look(v, budget, term, at)
	l.Write(e)
	Process(e, "v1", at, at)
	budget.Close(e, l)
	return e
}

// values are the series of a text.
func values(text string) map[string]string {
	all := map[string]string{}
	for l := range strings.Lines(text) {
		if l = strings.TrimSuffix(l, "\n"); !strings.HasPrefix(l, "#") {
			at := strings.LastIndexByte(l, ' ')
			all[l[:at]] = l[at+1:]
		}
	}
	return all
}

var (
	line  = regexp.MustCompile(`^(# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\{([a-z]+="([^"\\\n]|\\["\\n])*",?)+\})? [-+0-9.eE]+)$`)
	start = time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
)

func TestFormat(t *testing.T) {
	v := &broker.View{Destinations: []broker.DestinationView{queue("a\"b\\c\nd\xff", 1, 2), queue("plain", 3, 4)}, Connections: []broker.ConnectionView{{Protocol: "stomp"}}}
	text := exposed(answer(&Broker{}, v, Budget{Each: EachOf()}, nil, start))
	names := map[string]bool{}
	for l := range strings.Lines(text) {
		l = strings.TrimSuffix(l, "\n")
		if !line.MatchString(l) {
			t.Errorf("not a line of the format: %q", l)
		}
		if rest, ok := strings.CutPrefix(l, "# TYPE "); ok {
			if names[rest] {
				t.Errorf("family twice: %s", rest)
			}
			names[rest] = true
		}
	}
	for _, want := range []string{"godwit_destination_messages{kind=\"queue\",name=\"plain\"} 3\n", "godwit_connections{protocol=\"stomp\"} 1\n", "process_resident_memory_bytes ",
		`godwit_destination_messages{kind="queue",name="a\"b\\c\nd` + "\uFFFD" + `"} 1`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
}

// many are n queues; the higher its number, the fuller a queue.
func many(n int) *broker.View {
	v := &broker.View{}
	for i := range n {
		d := queue(fmt.Sprintf("q%04d", i), int64(i), uint64(2*i))
		d.Bytes, d.Consumers = 10, 1
		v.Destinations = append(v.Destinations, d)
	}
	return v
}

func TestBudget(t *testing.T) {
	always, err := ParseAlways([]string{"queue://q0001", "queue://q000.>"})
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		n      int
		budget Budget
		shown  int
	}{
		"none":            {0, Budget{Each: EachOf()}, 0},
		"all fit":         {10, Budget{Each: EachOf()}, 10},
		"5,000 queues":    {5000, Budget{Each: EachOf()}, 19},
		"four metrics":    {5000, Budget{Each: EachOf()[:4]}, 56},
		"a larger budget": {5000, Budget{Series: 1000, Each: EachOf()}, 79},
		"no destinations": {5000, Budget{}, 0},
		"only other":      {5000, Budget{Series: FixedSeries + 11, Each: EachOf()}, 0},
		"pinned":          {5000, Budget{Each: EachOf(), Always: always}, 19},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			v := many(tt.n)
			e := answer(&Broker{}, v, tt.budget, nil, start)
			most := tt.budget.Series
			if most == 0 {
				most = DefaultBudget
			}
			if e.Series() > most {
				t.Errorf("%d series; the budget is %d", e.Series(), most)
			}
			got := values(exposed(e))
			if len(got) != e.Series() {
				t.Errorf("%d series are written, %d counted", len(got), e.Series())
			}
			shown, sum := 0, 0.0
			for series, value := range got {
				if strings.HasPrefix(series, `godwit_destination_messages{`) {
					var x float64
					fmt.Sscan(value, &x)
					sum += x
					if !strings.Contains(series, "other") {
						shown++
					}
				}
			}
			if shown != tt.shown {
				t.Errorf("%d destinations have series of their own, want %d", shown, tt.shown)
			}
			if want := float64(tt.n * (tt.n - 1) / 2); len(tt.budget.Each) > 0 && sum != want {
				t.Errorf("all destinations and other have %v messages, want %v", sum, want)
			}
			if want := fmt.Sprint((tt.n - tt.shown) * len(tt.budget.Each)); got["godwit_metrics_dropped_series"] != want {
				t.Errorf("dropped series: %s, want %s", got["godwit_metrics_dropped_series"], want)
			}
			if tt.budget.Always != nil && got[`godwit_destination_messages{kind="queue",name="q0001"}`] != "1" {
				t.Error("a destination that is always to be shown is not")
			}
		})
	}
}

// TestFixedSeriesAreBounded adds more endpoints than there is room for.
func TestFixedSeriesAreBounded(t *testing.T) {
	b := Budget{Each: EachOf()}
	e := b.Fixed()
	e.Family("godwit_endpoint_connections", Gauge, "Help.")
	for i := range 200 {
		e.Sample(1, "endpoint", fmt.Sprint(i))
	}
	b.Close(e, (&Broker{}).Look(many(100), b, nil, start))
	if got := values(exposed(e)); len(got) > DefaultBudget || got["godwit_metrics_dropped_series"] != fmt.Sprint(200-117+(100-19)*11) {
		t.Errorf("%d series, dropped %s; want at most %d and %d", len(got), got["godwit_metrics_dropped_series"], DefaultBudget, 200-117+(100-19)*11)
	}
}

// TestTheShownDoNotFlap has queues that are nearly alike change places.
func TestTheShownDoNotFlap(t *testing.T) {
	b, budget := &Broker{}, Budget{Each: EachOf()}
	names := func(l *Look) map[string]bool {
		all := map[string]bool{}
		for _, d := range l.Shown {
			all[d.Name] = true
		}
		return all
	}
	v := many(0)
	for i := range 100 {
		v.Destinations = append(v.Destinations, queue(fmt.Sprintf("q%02d", i), 1000, 0))
	}
	first := names(b.Look(v, budget, nil, start))
	for i := range 50 {
		for j := range v.Destinations {
			v.Destinations[j].Size = int64(1000 + (j*37+i*61)%400)
		}
		if now := names(b.Look(v, budget, nil, start.Add(time.Duration(i)*15*time.Second))); !maps.Equal(now, first) {
			t.Fatalf("look %d shows %v, the first showed %v", i, now, first)
		}
	}
	v.Destinations[99].Size = 5000
	if now := names(b.Look(v, budget, nil, start.Add(time.Hour))); !now["q99"] || len(now) != len(first) {
		t.Errorf("a queue that is four times as full as the others is not shown: %v", now)
	}
}

// TestOtherNeverShrinks moves a destination from other to those that are shown and back, and removes one.
func TestOtherNeverShrinks(t *testing.T) {
	b := &Broker{}
	budget := Budget{Series: FixedSeries + 2*11, Each: EachOf()} // one is shown
	for i, step := range []struct {
		a, c  broker.DestinationView
		shown string
		other uint64
	}{
		{queue("a", 100, 10), queue("c", 0, 5), "a", 5},
		{queue("a", 100, 20), queue("c", 0, 7), "a", 7},
		{queue("a", 100, 21), queue("c", 900, 17), "c", 7 + 10 + 1}, // both were in other at one of the two looks
		{queue("a", 100, 24), queue("c", 900, 30), "c", 18 + 3},
		{queue("a", 100, 2), queue("c", 900, 31), "c", 21 + 2}, // a was made anew
		{queue("a", 5000, 2), queue("c", 0, 35), "a", 23 + 4},
	} {
		l := b.Look(&broker.View{Destinations: []broker.DestinationView{step.a, step.c}}, budget, nil, start.Add(time.Duration(i)*time.Hour))
		if len(l.Shown) != 1 || l.Shown[0].Name != step.shown || l.Other.Enqueued != step.other {
			t.Errorf("look %d: shown %s, other %d; want %s, %d", i, l.Shown[0].Name, l.Other.Enqueued, step.shown, step.other)
		}
	}
}

// TestTotalsNeverShrink removes and makes anew a destination, whose counters vanish with it, and has another core take over whose counters are larger by chance.
func TestTotalsNeverShrink(t *testing.T) {
	var b Broker
	for i, step := range []struct {
		term         int
		destinations []broker.DestinationView
		want         string
	}{
		{1, []broker.DestinationView{queue("a", 0, 5), queue("b", 0, 7)}, "12"},
		{1, []broker.DestinationView{queue("a", 0, 6)}, "13"},
		{1, []broker.DestinationView{queue("a", 0, 2), queue("b", 0, 1)}, "16"},
		{1, nil, "16"},
		{1, []broker.DestinationView{queue("a", 0, 4)}, "20"},
		{2, []broker.DestinationView{queue("a", 0, 9)}, "29"},
	} {
		e := answer(&b, &broker.View{Destinations: step.destinations}, Budget{Each: EachOf()}, step.term, start.Add(time.Duration(i)*time.Minute))
		if got := values(exposed(e))["godwit_messages_enqueued_total"]; got != step.want {
			t.Errorf("look %d: %s messages enqueued, want %s", i, got, step.want)
		}
	}
}

func TestParseAlwaysRefuses(t *testing.T) {
	if all, err := ParseAlways([]string{"ORDERS"}); err == nil {
		t.Errorf("ORDERS, without a kind, is taken for %v", all)
	}
	all, err := ParseAlways([]string{"topic://A.>"})
	if err != nil || all[0] != (message.Destination{Kind: message.Topic, Name: "A.>"}) {
		t.Errorf("topic://A.> = %v, %v", all, err)
	}
}

// BenchmarkLook is an answer to a scrape of 5,000 queues, without the core's part.
func BenchmarkLook(b *testing.B) {
	v := many(5000)
	var m Broker
	for i := range b.N {
		exposed(answer(&m, v, Budget{Each: EachOf()}, nil, start.Add(time.Duration(i)*time.Second)))
	}
}
