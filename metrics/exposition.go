// Package metrics writes what Godwit measures in the Prometheus text format (version 0.0.4). The number of series is bounded: those of the
// broker and the process are fixed, and of the destinations only the busiest have series of their own.
package metrics

import (
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Exposition is one answer to a scrape. The zero value is empty.
type Exposition struct {
	b      strings.Builder
	family string
	series int
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
	e.family = name
	fmt.Fprintf(&e.b, "# HELP %s %s\n# TYPE %s %s\n", name, escapeHelp.Replace(help), name, kind)
}

var (
	escapeHelp  = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
	escapeValue = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
)

// Sample adds a value to the family that was begun last. labels are name, value, name, value.
func (e *Exposition) Sample(value float64, labels ...string) {
	e.series++
	e.b.WriteString(e.family)
	for i := 0; i+1 < len(labels); i += 2 {
		if i == 0 {
			e.b.WriteByte('{')
		} else {
			e.b.WriteByte(',')
		}
		e.b.WriteString(labels[i])
		e.b.WriteString(`="`)
		e.b.WriteString(escapeValue.Replace(strings.ToValidUTF8(labels[i+1], "\uFFFD")))
		e.b.WriteByte('"')
	}
	if len(labels) > 1 {
		e.b.WriteByte('}')
	}
	e.b.WriteByte(' ')
	e.b.WriteString(strconv.FormatFloat(value, 'g', -1, 64))
	e.b.WriteByte('\n')
}

// One writes a family of one sample without labels.
func (e *Exposition) One(name string, kind Kind, help string, value float64) {
	e.Family(name, kind, help)
	e.Sample(value)
}

// Series is the number of samples so far.
func (e *Exposition) Series() int { return e.series }

// WriteTo writes all of it.
func (e *Exposition) WriteTo(w io.Writer) (int64, error) {
	n, err := io.WriteString(w, e.b.String())
	return int64(n), err
}
