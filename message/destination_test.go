package message

import (
	"slices"
	"strings"
	"testing"
)

func TestParseDestination(t *testing.T) {
	tests := map[string]struct {
		text    string
		without Kind
		want    Destination
		fails   bool
	}{
		"queue":             {text: "queue://a.b", want: Destination{Queue, "a.b"}},
		"topic":             {text: "topic://a", without: Queue, want: Destination{Topic, "a"}},
		"temp queue":        {text: "temp-queue://ID:h-1:2", want: Destination{TempQueue, "ID:h-1:2"}},
		"temp topic":        {text: "temp-topic://x", want: Destination{TempTopic, "x"}},
		"no scheme":         {text: "a", without: Topic, want: Destination{Topic, "a"}},
		"spaces":            {text: "  queue:// a b ", want: Destination{Queue, "a b"}},
		"options stay":      {text: "queue://a?consumer.exclusive=true", want: Destination{Queue, "a?consumer.exclusive=true"}},
		"unknown scheme":    {text: "quue://a", without: Queue, want: Destination{Queue, "quue://a"}},
		"no kind":           {text: "a", fails: true},
		"impossible kind":   {text: "a", without: 77, fails: true},
		"no name":           {text: "queue:// ", fails: true},
		"nothing":           {text: "", without: Queue, fails: true},
		"longest name":      {text: strings.Repeat("a", MaxNameBytes), without: Queue, want: Destination{Queue, strings.Repeat("a", MaxNameBytes)}},
		"one byte too long": {text: strings.Repeat("a", MaxNameBytes+1), without: Queue, fails: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := ParseDestination(tt.text, tt.without)
			if got != tt.want || (err != nil) != tt.fails {
				t.Fatalf("ParseDestination(%q, %v) = %v, %v; want %v, failure %t", tt.text, tt.without, got, err, tt.want, tt.fails)
			}
			if err != nil {
				return
			}
			if again, err := ParseDestination(got.String(), NoDestination); again != got || err != nil {
				t.Errorf("ParseDestination(%q) = %v, %v; want it back", got, again, err)
			}
		})
	}
}

func TestDestinationString(t *testing.T) {
	tests := map[string]struct {
		destination Destination
		want        string
	}{
		"zero":            {Destination{}, ""},
		"queue":           {Destination{Queue, "a"}, "queue://a"},
		"impossible kind": {Destination{200, "a"}, "kind 200://a"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := tt.destination.String(); got != tt.want {
				t.Errorf("%#v.String() = %q, want %q", tt.destination, got, tt.want)
			}
		})
	}
}

func TestParts(t *testing.T) {
	tests := map[string]struct {
		destination Destination
		want        []Destination
		fails       bool
	}{
		"simple":            {destination: Destination{Queue, "a"}, want: []Destination{{Queue, "a"}}},
		"two kinds":         {destination: Destination{Queue, "a, topic://b"}, want: []Destination{{Queue, "a"}, {Topic, "b"}}},
		"options":           {destination: Destination{Topic, "a?consumer.x=1"}, want: []Destination{{Topic, "a"}}},
		"comma in options":  {destination: Destination{Queue, "a,b?consumer.selector=x IN ('1','2')"}, want: []Destination{{Queue, "a"}, {Queue, "b"}}},
		"empty and doubled": {destination: Destination{Queue, "a,,a,queue://a, "}, want: []Destination{{Queue, "a"}}},
		"only options":      {destination: Destination{Queue, "?x=y"}, fails: true},
		"only commas":       {destination: Destination{Queue, ", ,"}, fails: true},
		"part without name": {destination: Destination{Queue, "a,topic://"}, fails: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := tt.destination.Parts()
			if !slices.Equal(got, tt.want) || (err != nil) != tt.fails {
				t.Errorf("%v.Parts() = %v, %v; want %v, failure %t", tt.destination, got, err, tt.want, tt.fails)
			}
		})
	}
}

func TestIsPattern(t *testing.T) {
	tests := map[string]bool{
		"*": true, ">": true, "a.*": true, "*.a": true, "a.*.b": true, "a.>": true, "*.>": true, "a.>.*": true,
		"a": false, "a*": false, "*a.b": false, "a.b>": false, "a.>.b": false, ">.a": false, "a,b.*": false, "a.*,b": false, "**": false, "": false,
	}
	for name, want := range tests {
		if got := (Destination{Queue, name}).IsPattern(); got != want {
			t.Errorf("IsPattern of %q = %t, want %t", name, got, want)
		}
	}
}

func TestMatchName(t *testing.T) {
	tests := []struct {
		pattern, name string
		want          bool
	}{
		{"a", "a", true},
		{"a", "b", false},
		{"a", "a.b", false},
		{"a.b", "a", false},
		{">", "a", true},
		{">", "a.b.c", true},
		{"a.>", "a", true},
		{"a.>", "a.b", true},
		{"a.>", "a.b.c", true},
		{"a.>", "ab", false},
		{"a.>", "b.a", false},
		{"*", "a", true},
		{"*", "a.b", false},
		{"a.*", "a", false},
		{"a.*", "a.b", true},
		{"a.*", "a.b.c", false},
		{"*.b", "a.b", true},
		{"a.*.c", "a.b.c", true},
		{"a.*.c", "a.b.d", false},
		{"a.*.>", "a.b", true},
		{"a.*.>", "a", false},
		{"a.*.>", "a.b.c.d", true},
		{"a.>.c", "a.b.c", false},
		{"a.>.c", "a.>.c", true},
		{"a*", "ab", false},
		{"a.*", "a.", true},
		{"PRICE.*.*.NYSE", "PRICE.STOCK.X.NYSE", true},
	}
	for _, tt := range tests {
		if got := MatchName(tt.pattern, tt.name); got != tt.want {
			t.Errorf("MatchName(%q, %q) = %t, want %t", tt.pattern, tt.name, got, tt.want)
		}
	}
}

func BenchmarkMatchName(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		MatchName("PRICE.STOCK.*.IBM.>", "PRICE.STOCK.NYSE.IBM.NEW")
	}
}
