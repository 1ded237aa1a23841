package config

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml"
)

// secret stands for what is not shown.
const secret = "(hidden)"

// YAML writes the configuration as a file that could be read again, but for secrets, which are hidden unless told
// otherwise. With comments every key has its explanation above it.
func (c *Config) YAML(comments, secrets bool) []byte {
	p := printer{comments: comments, secrets: secrets}
	p.section(reflect.ValueOf(*c), c.base(), 0)
	return []byte(p.b.String())
}

// Brief writes, with secrets, only what differs from the defaults, and of policies what differs from the sections at the top. An empty list is
// one of the differences where the default has entries.
func (c *Config) Brief() []byte {
	p := printer{secrets: true, terse: true}
	p.section(reflect.ValueOf(*c), c.base(), 0)
	return []byte(p.b.String())
}

// base is what holds without a word in the file; its one policy is what holds in c where a policy says nothing.
func (c *Config) base() reflect.Value {
	base := *Default()
	base.Policies = []Policy{c.NewPolicy("")}
	return reflect.ValueOf(base)
}

// Redacted is the configuration as maps and lists for JSON, without secrets.
func (c *Config) Redacted() map[string]any {
	return plain(reflect.ValueOf(*c)).(map[string]any)
}

func plain(v reflect.Value) any {
	switch kind := typeName(v.Type()); kind {
	case "section":
		m := map[string]any{}
		for i := range v.NumField() {
			f := v.Type().Field(i)
			switch {
			case !f.IsExported():
			case f.Tag.Get("secret") == "yes":
				m[f.Tag.Get("yaml")] = secret
			default:
				m[f.Tag.Get("yaml")] = plain(v.Field(i))
			}
		}
		return m
	case "list", "list of text":
		list := make([]any, v.Len())
		for i := range list {
			list[i] = plain(v.Index(i))
		}
		return list
	case "size", "duration":
		return text(v)
	default:
		return v.Interface()
	}
}

type printer struct {
	b                 strings.Builder
	comments, secrets bool
	terse             bool // leave out what is as in the base
}

// section writes what is in v. base is what holds where nothing is written.
func (p *printer) section(v, base reflect.Value, indent int) {
	first := true
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if !f.IsExported() || p.terse && same(v.Field(i), base.Field(i)) {
			continue
		}
		p.comment(f, indent, first)
		first = false
		p.pad(indent)
		p.b.WriteString(f.Tag.Get("yaml") + ":")
		p.value(v.Field(i), base.Field(i), f, indent)
	}
}

// same says whether nothing need be written of v.
func same(v, base reflect.Value) bool {
	if v.Kind() == reflect.Slice && v.Type().Elem() == reflect.TypeFor[Policy]() {
		return v.Len() == 0 // the one in the base is for comparison
	}
	if v.Kind() == reflect.Slice && v.Len() == 0 {
		return base.Len() == 0
	}
	return reflect.DeepEqual(v.Interface(), base.Interface())
}

func (p *printer) value(v, base reflect.Value, f reflect.StructField, indent int) {
	switch typeName(f.Type) {
	case "section":
		p.b.WriteByte('\n')
		p.section(v, base, indent+1)
	case "list":
		if v.Len() == 0 {
			p.b.WriteString(" []\n")
			return
		}
		p.b.WriteByte('\n')
		usual := reflect.Zero(f.Type.Elem())
		if base.Len() == 1 && f.Type.Elem() == reflect.TypeFor[Policy]() {
			usual = base.Index(0)
		}
		for i := range v.Len() {
			p.item(v.Index(i), usual, indent+1)
		}
	case "list of text":
		quoted := make([]string, v.Len())
		for i := range quoted {
			quoted[i] = quote(v.Index(i).String())
		}
		p.b.WriteString(" [" + strings.Join(quoted, ", ") + "]\n")
	case "text":
		value := v.String()
		if f.Tag.Get("secret") == "yes" && !p.secrets && value != "" { // that there is none is no secret
			value = secret
		}
		p.b.WriteString(" " + quote(value) + "\n")
	default:
		p.b.WriteString(" " + text(v) + "\n")
	}
}

// item writes an entry of a list; what it does not say, or says as usual, is left out.
func (p *printer) item(v, usual reflect.Value, indent int) {
	inner := printer{secrets: p.secrets, terse: true}
	inner.section(v, usual, 0)
	for i, line := range strings.Split(strings.TrimRight(inner.b.String(), "\n"), "\n") {
		p.pad(indent)
		lead := "  "
		if i == 0 {
			lead = "- "
		}
		p.b.WriteString(lead + line + "\n")
	}
}

func (p *printer) comment(f reflect.StructField, indent int, first bool) {
	if !p.comments {
		return
	}
	if indent == 0 && !first {
		p.b.WriteByte('\n')
	}
	p.pad(indent)
	fmt.Fprintf(&p.b, "# %s", f.Tag.Get("doc"))
	if allowed := f.Tag.Get("allowed"); allowed != "" {
		fmt.Fprintf(&p.b, " One of: %s.", strings.ReplaceAll(allowed, "|", ", "))
	}
	p.b.WriteByte('\n')
}

func (p *printer) pad(indent int) { p.b.WriteString(strings.Repeat("  ", indent)) }

// quote writes text so that YAML reads it back as text.
func quote(s string) string {
	out, err := yaml.Marshal(s)
	line := strings.TrimSuffix(string(out), "\n")
	if err != nil || strings.ContainsAny(line, "\t\n,[]{}") || strings.HasPrefix(line, "|") {
		return fmt.Sprintf("%q", s)
	}
	return line
}
