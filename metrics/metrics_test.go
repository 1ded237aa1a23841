package metrics

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/godwitmq/godwit/broker"
)

// maxFixed is the budget of series that do not depend on the destinations.
const maxFixed = 120

func queue(name string, size int64, enqueued uint64) broker.DestinationView {
	return broker.DestinationView{Kind: "queue", Name: name, Size: size, Enqueued: enqueued}
}

func exposed(e *Exposition) string {
	var b strings.Builder
	e.WriteTo(&b)
	return b.String()
}

var line = regexp.MustCompile(`^(# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\{([a-z]+="([^"\\\n]|\\["\\n])*",?)+\})? [-+0-9.eE]+)$`)

func TestFormatAndBudget(t *testing.T) {
	v := &broker.View{Destinations: []broker.DestinationView{queue("a\"b\\c\nd\xff", 1, 2), queue("plain", 3, 4)}, Connections: []broker.ConnectionView{{Protocol: "stomp"}}}
	for i := range 200 {
		v.Destinations = append(v.Destinations, queue(fmt.Sprint("q", i), int64(i), 0))
	}
	var e Exposition
	b := Broker{Top: 3}
	b.Write(&e, v)
	Process(&e, "v1", time.Now(), time.Now())
	text := exposed(&e)
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
	if fixed := e.Series() - 3*10; fixed > maxFixed {
		t.Errorf("%d fixed series; the budget is %d", fixed, maxFixed)
	}
	for _, want := range []string{"godwit_destination_messages{kind=\"queue\",name=\"q199\"} 199\n", "godwit_destinations_without_series 199\n", "godwit_connections{protocol=\"stomp\"} 1\n", "process_resident_memory_bytes "} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
}

func TestLabelsAreEscaped(t *testing.T) {
	var e Exposition
	(&Broker{}).Write(&e, &broker.View{Destinations: []broker.DestinationView{queue("a\"b\\c\nd\xff", 1, 2)}})
	if want := `godwit_destination_messages{kind="queue",name="a\"b\\c\nd` + "\uFFFD" + `"} 1`; !strings.Contains(exposed(&e), want) {
		t.Errorf("no %s in:\n%s", want, exposed(&e))
	}
}

// TestTotalsNeverShrink removes and makes anew a destination, whose counters vanish with it.
func TestTotalsNeverShrink(t *testing.T) {
	views := []struct {
		destinations []broker.DestinationView
		want         string
	}{
		{[]broker.DestinationView{queue("a", 0, 5), queue("b", 0, 7)}, "12"},
		{[]broker.DestinationView{queue("a", 0, 6)}, "13"},
		{[]broker.DestinationView{queue("a", 0, 2), queue("b", 0, 1)}, "16"},
		{nil, "16"},
	}
	var b Broker
	for i, v := range views {
		var e Exposition
		b.Write(&e, &broker.View{Destinations: v.destinations})
		if want := "godwit_messages_enqueued_total " + v.want + "\n"; !strings.Contains(exposed(&e), want) {
			t.Errorf("view %d: no %q in:\n%s", i, want, exposed(&e))
		}
	}
}
