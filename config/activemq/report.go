package activemq

import (
	"fmt"
	"io"
	"strings"
	"unicode"
)

// Report writes the items for people: by verdict, the most important first, each with its place. What only shares the verdict of the
// element around it is counted, not listed.
func (r *Result) Report(w io.Writer) error {
	var b strings.Builder
	inside := map[*Item]int{}
	for _, item := range r.Items {
		if item.around != nil {
			inside[item.around]++
		}
	}
	for _, group := range groupsOf(r.Items) {
		if len(group.items) == 0 {
			continue
		}
		fmt.Fprintf(&b, "%s (%d)\n", strings.ToUpper(group.title), len(group.items))
		frames := 0
		for _, item := range group.items {
			if item.frame {
				frames++
				continue
			}
			b.WriteString(line(item, inside[item]))
		}
		if frames > 0 {
			fmt.Fprintf(&b, "  and %d elements and attributes that only hold others\n", frames)
		}
		b.WriteByte('\n')
	}
	b.WriteString(r.Summary())
	_, err := io.WriteString(w, b.String())
	return err
}

// Summary is one line of numbers.
func (r *Result) Summary() string {
	counts := map[Verdict]int{}
	elements, attributes := 0, 0
	for _, item := range r.Items {
		counts[item.Verdict]++
		switch item.Kind {
		case Element:
			elements++
		case Attribute:
			attributes++
		}
	}
	var parts []string
	for _, v := range Verdicts {
		parts = append(parts, fmt.Sprintf("%d %s", counts[v], v))
	}
	return fmt.Sprintf("%d elements, %d attributes: %s; %d of them matter\n", elements, attributes, strings.Join(parts, ", "), len(r.Matters()))
}

type itemGroup struct {
	title string
	items []*Item
}

func groupsOf(items []*Item) []itemGroup {
	var groups []itemGroup
	for _, v := range Verdicts {
		for _, matters := range []bool{true, false} {
			if matters && v != NotSupported {
				continue
			}
			title := string(v)
			if v == NotSupported {
				title += map[bool]string{true: ", and it matters", false: ", without harm to messages or rights"}[matters]
			}
			g := itemGroup{title: title}
			for _, item := range items {
				if item.Verdict == v && item.Matters == matters && item.Within == "" {
					g.items = append(g.items, item)
				}
			}
			groups = append(groups, g)
		}
	}
	return groups
}

func line(item *Item, inside int) string {
	what := item.Path
	if item.Kind != Entry {
		what = item.Path[strings.LastIndexByte(item.Path, '/')+1:]
	}
	if item.Value != "" {
		what += "=" + quoted(item.Value)
	}
	var tail []string
	if item.Key != "" {
		tail = append(tail, item.Key)
	}
	if item.Words != "" {
		tail = append(tail, item.Words)
	}
	within := ""
	if inside > 0 {
		within = fmt.Sprintf(" (and %d in it)", inside)
	}
	if what != "" {
		what = "  " + what
	}
	text := fmt.Sprintf("  %s:%d%s", item.File, item.Line, what)
	switch {
	case len(tail) == 1 && item.Key != "":
		text += " -> " + item.Key
	case len(tail) > 0:
		text += "\n      " + strings.Join(tail, ": ")
	}
	return printable(text+within) + "\n"
}

func quoted(value string) string {
	const longest = 120
	if r := []rune(value); len(r) > longest {
		value = string(r[:longest]) + "..."
	}
	return `"` + value + `"`
}

// printable replaces what would move a terminal's cursor: the file may come from anywhere.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || unicode.IsPrint(r) {
			return r
		}
		return '\uFFFD'
	}, s)
}

// YAML is godwit.yaml: what differs from the defaults, below a list of what was not taken over.
func (r *Result) YAML(source string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "# Made by godwit import from %s.\n", comment(source))
	for _, group := range groupsOf(r.Items)[:2] {
		if len(group.items) == 0 {
			continue
		}
		fmt.Fprintf(&b, "#\n# %s:\n", strings.ToUpper(group.title[:1])+group.title[1:])
		for _, item := range group.items {
			fmt.Fprintf(&b, "# - %s\n", comment(strings.TrimSpace(line(item, 0))))
		}
	}
	b.WriteByte('\n')
	b.Write(r.Config.Brief())
	return []byte(b.String())
}

// comment makes one line of a text.
func comment(s string) string { return strings.Join(strings.Fields(printable(s)), " ") }
