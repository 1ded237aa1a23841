// Package metrics writes what Godwit measures in the Prometheus text format (version 0.0.4), and sends it to those who cannot ask. The number of series is bounded:
// those of the broker and the process are FixedSeries at most, the fullest and busiest destinations have series of their own within the budget, and one more, other, has the sum of the rest.
//
// The format is written here and not by Prometheus' own client library: each answer is made of one look at the core, there are no counters to register, and the budget must see each series before it is kept.
package metrics

import (
	"io"
	"strconv"
	"strings"
)

// FixedSeries is how many series at most do not depend on the destinations.
const FixedSeries = 120

// Exposition is one answer to a scrape. The zero value is empty.
type Exposition struct {
	// Limit is how many series it keeps; what comes when it is full is counted and dropped. 0 means no limit.
	Limit int

	families []Family
	series   int
	dropped  int
}

// Family is a metric with all its series.
type Family struct {
	Name    string
	Kind    Kind
	Help    string
	Samples []Sample
}

// Sample is the value of one series. Labels are name, value, name, value.
type Sample struct {
	Value  float64
	Labels []string
}

// Kind is a metric's type.
type Kind string

// The kinds that are used here.
const (
	Counter Kind = "counter"
	Gauge   Kind = "gauge"
)

// Family begins a metric. Its samples follow.
func (e *Exposition) Family(name string, kind Kind, help string) {
	e.families = append(e.families, Family{Name: name, Kind: kind, Help: help})
}

var (
	escapeHelp  = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
	escapeValue = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
)

// Sample adds a value to the family that was begun last. labels are name, value, name, value.
func (e *Exposition) Sample(value float64, labels ...string) {
	if e.Limit > 0 && e.series >= e.Limit {
		e.dropped++
		return
	}
	e.series++
	last := &e.families[len(e.families)-1]
	last.Samples = append(last.Samples, Sample{value, labels})
}

// One writes a family of one sample without labels.
func (e *Exposition) One(name string, kind Kind, help string, value float64) {
	e.Family(name, kind, help)
	e.Sample(value)
}

// Series is the number of samples so far.
func (e *Exposition) Series() int { return e.series }

// Dropped is the number of samples that there was no room for.
func (e *Exposition) Dropped() int { return e.dropped }

// Families are the metrics so far, those without a sample left out. They stay the Exposition's.
func (e *Exposition) Families() []Family {
	kept := make([]Family, 0, len(e.families))
	for _, f := range e.families {
		if len(f.Samples) > 0 {
			kept = append(kept, f)
		}
	}
	return kept
}

// WriteTo writes all of it.
func (e *Exposition) WriteTo(w io.Writer) (int64, error) {
	var b strings.Builder
	for _, f := range e.Families() {
		b.WriteString("# HELP " + f.Name + " " + escapeHelp.Replace(f.Help) + "\n# TYPE " + f.Name + " " + string(f.Kind) + "\n")
		for _, s := range f.Samples {
			f.write(&b, s)
		}
	}
	n, err := io.WriteString(w, b.String())
	return int64(n), err
}

func (f *Family) write(b *strings.Builder, s Sample) {
	b.WriteString(f.Name)
	for i := 0; i+1 < len(s.Labels); i += 2 {
		if i == 0 {
			b.WriteByte('{')
		} else {
			b.WriteByte(',')
		}
		b.WriteString(s.Labels[i])
		b.WriteString(`="`)
		b.WriteString(escapeValue.Replace(strings.ToValidUTF8(s.Labels[i+1], "\uFFFD")))
		b.WriteByte('"')
	}
	if len(s.Labels) > 1 {
		b.WriteByte('}')
	}
	b.WriteByte(' ')
	b.WriteString(strconv.FormatFloat(s.Value, 'g', -1, 64))
	b.WriteByte('\n')
}
