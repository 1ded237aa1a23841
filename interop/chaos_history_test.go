package interop

import (
	"bufio"
	"cmp"
	"fmt"
	"math"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// acknowledged is a send, or a commit, that was answered.
type acknowledged struct {
	producer        string
	begun, answered int64  // microseconds since 1970
	broker          string // the broker's id, as it told the client; "?" is unknown
	connected       int64  // when it told
}

// mishap is something that must not happen.
type mishap struct {
	kind string // lost, unflagged
	key  string
	at   int64
}

// history is what the clients of one load saw.
type history struct {
	acks    []acknowledged
	mishaps []mishap
}

// read adds what one program wrote; see History.java.
func (h *history) read(t *testing.T, file string) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Error(err)
		return
	}
	defer f.Close()
	number := func(text string) int64 {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
		return n
	}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		switch words := strings.Fields(lines.Text()); {
		case len(words) == 6 && words[0] == "ack":
			h.acks = append(h.acks, acknowledged{words[1], number(words[2]), number(words[3]), words[4], number(words[5])})
		case len(words) == 3 && (words[0] == "lost" || words[0] == "unflagged"):
			h.mishaps = append(h.mishaps, mishap{words[0], words[1], number(words[2])})
		default:
			t.Errorf("%s: %q is not understood", file, lines.Text())
		}
	}
	if err := lines.Err(); err != nil {
		t.Error(err)
	}
}

// stall is the longest time between two acknowledged sends of a producer that touches a span, and whose it is. Only those count for whom ok.
func (h *history) stall(from, to time.Time, ok func(producer string) bool) (longest time.Duration, whose string) {
	last := map[string]int64{}
	for _, a := range h.acks { // of each producer in order
		before, known := last[a.producer]
		last[a.producer] = a.answered
		if !known || !ok(a.producer) {
			continue
		}
		if a.producer == requester {
			before = a.begun // it has waited for a reply before
		}
		if gap := time.Duration(a.answered-before) * time.Microsecond; a.answered >= from.UnixMicro() && before <= to.UnixMicro() && gap > longest {
			longest, whose = gap, a.producer
		}
	}
	return longest, whose
}

// The producers of Crash.java and chaos.py that are not like the others.
const (
	requester  = "f1"
	oneAddress = "stomp1"
)

// term is a time in which an instance took itself for the active one.
type term struct {
	node  string
	epoch uint64
	begun int64 // microseconds since 1970, as the instance logged it: a millisecond later at most
}

var termLine = regexp.MustCompile(`^time=(\S+) level=INFO msg="this instance is active" instance=(\S+) epoch=(\d+) `)

// terms reads the nodes' logs.
func (f *fleet) terms(t *testing.T) []term {
	t.Helper()
	var terms []term
	for _, b := range f.nodes {
		content, err := os.ReadFile(b.log.Name())
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(content)) {
			m := termLine.FindStringSubmatch(line)
			if m == nil {
				continue
			}
			at, err := time.Parse(time.RFC3339, m[1])
			if err != nil {
				t.Fatal(err)
			}
			epoch, _ := strconv.ParseUint(m[3], 10, 64)
			terms = append(terms, term{m[2], epoch, at.UnixMicro()})
		}
	}
	slices.SortFunc(terms, func(a, b term) int { return cmp.Compare(a.begun, b.begun) })
	return terms
}

var brokerProcess = regexp.MustCompile(`-(\d+)-\d+-0:1$`)

// epochOf says in which epoch a send was answered: that of the last term of the client's broker process that had begun when the client connected. A term ends with
// all of its connections, so the answer cannot be of a later one.
func (f *fleet) epochOf(terms []term, a acknowledged) (uint64, error) {
	m := brokerProcess.FindStringSubmatch(a.broker)
	if m == nil {
		return 0, fmt.Errorf("%q is no id of a broker", a.broker)
	}
	epoch := uint64(0)
	for _, l := range f.lives {
		for _, term := range terms {
			if strconv.Itoa(l.pid) == m[1] && term.node == l.node && term.begun <= a.connected {
				epoch = term.epoch
			}
		}
	}
	if epoch == 0 {
		return 0, fmt.Errorf("the broker %s has no term that had begun at %d", a.broker, a.connected)
	}
	return epoch, nil
}

// span is something that happened between two moments, microseconds since 1970, in an epoch.
type span struct {
	begun, ended int64
	epoch        uint64
	what         string
}

// backwards finds a span that began after one of a higher epoch had ended. If there is none, all are operations of one register that only grows: ordered by epoch, and within it
// by beginning, they respect which ended before another began.
func backwards(spans []span) (late, before span, found bool) {
	ended := slices.Clone(spans)
	slices.SortFunc(ended, func(a, b span) int { return cmp.Compare(a.ended, b.ended) })
	begun := slices.Clone(spans)
	slices.SortFunc(begun, func(a, b span) int { return cmp.Compare(a.begun, b.begun) })
	for _, s := range begun {
		for len(ended) > 0 && ended[0].ended < s.begun {
			if ended[0].epoch > before.epoch {
				before = ended[0]
			}
			ended = ended[1:]
		}
		if before.epoch > s.epoch {
			return s, before, true
		}
	}
	return span{}, span{}, false
}

// oneRegister checks that never two instances were active whose answers both counted.
func (f *fleet) oneRegister(t *testing.T, acks []acknowledged) {
	t.Helper()
	terms := f.terms(t)
	var spans []span
	begun := map[uint64]term{}
	for _, term := range terms {
		if other, ok := begun[term.epoch]; ok {
			t.Errorf("epoch %d began twice: %+v and %+v", term.epoch, other, term)
		}
		begun[term.epoch] = term
		// It began before it was logged, nobody knows when.
		spans = append(spans, span{math.MinInt64, term.begun + 1000, term.epoch, fmt.Sprintf("the beginning of epoch %d on %s", term.epoch, term.node)})
	}
	known := 0
	for _, a := range acks {
		if a.broker == "?" {
			continue
		}
		epoch, err := f.epochOf(terms, a)
		if err != nil {
			t.Errorf("producer %s: %v", a.producer, err)
			return
		}
		known++
		spans = append(spans, span{a.begun, a.answered, epoch, fmt.Sprintf("a send of %s in epoch %d", a.producer, epoch)})
	}
	if late, before, found := backwards(spans); found {
		t.Errorf("two actives: %s, from %d to %d, after %s, which ended at %d", late.what, late.begun, late.ended, before.what, before.ended)
	}
	t.Logf("one register: %d answered sends in %d epochs", known, len(terms))
}

func TestBackwards(t *testing.T) {
	tests := map[string]struct {
		spans []span
		want  bool
	}{
		"nothing":                       {nil, false},
		"one after the other":           {[]span{{1, 2, 1, ""}, {3, 4, 2, ""}, {5, 6, 2, ""}}, false},
		"back":                          {[]span{{1, 2, 1, ""}, {3, 4, 2, ""}, {5, 6, 1, ""}}, true},
		"begun before, answered after":  {[]span{{1, 9, 1, ""}, {3, 4, 2, ""}, {5, 6, 2, ""}}, false},
		"two that overlap":              {[]span{{1, 3, 2, ""}, {2, 4, 1, ""}}, false},
		"back after a long one":         {[]span{{1, 20, 2, ""}, {2, 4, 3, ""}, {5, 6, 2, ""}}, true},
		"an epoch that was logged late": {[]span{{math.MinInt64, 10, 2, ""}, {5, 9, 1, ""}}, false},
		"after it was logged":           {[]span{{math.MinInt64, 10, 2, ""}, {11, 12, 1, ""}}, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if late, before, found := backwards(tt.spans); found != tt.want {
				t.Errorf("backwards(%v) = %v after %v, %v; want %v", tt.spans, late, before, found, tt.want)
			}
		})
	}
}
