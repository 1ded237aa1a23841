package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"
)

// column is one of a table of Ts. Its value is a string, an int64 or a time.Duration, by which rows are sorted too.
type column[T any] struct {
	name  string
	value func(T) any
}

// listing is a command that lists Ts.
type listing[T any] struct {
	columns []column[T]
	sort    string // column, with - before it for the largest first
}

// flags adds -o and --sort.
func (l *listing[T]) flags(cmd *cobra.Command, output *string) {
	names := make([]string, len(l.columns))
	for i, col := range l.columns {
		names[i] = keyword(col.name)
	}
	outputFlag(cmd, output)
	cmd.Flags().StringVar(&l.sort, "sort", l.sort, "column to sort by, with - before it for the largest first: "+strings.Join(names, ", "))
	_ = cmd.RegisterFlagCompletionFunc("sort", cobra.FixedCompletions(names, cobra.ShellCompDirectiveNoFileComp)) // fails only for a flag that is not there
}

func outputFlag(cmd *cobra.Command, output *string) {
	cmd.Flags().StringVarP(output, "output", "o", "table", "table for people, json for programs")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"table", "json"}, cobra.ShellCompDirectiveNoFileComp)) // as above
}

// keyword is a column's name as one types it.
func keyword(name string) string { return strings.ReplaceAll(strings.ToLower(name), " ", "-") }

// print writes the rows, sorted.
func (l *listing[T]) print(w io.Writer, rows []T, output string) error {
	if err := l.order(rows); err != nil {
		return err
	}
	switch output {
	case "json":
		if rows == nil {
			rows = []T{}
		}
		return printJSON(w, rows)
	case "table":
		l.table(w, rows)
		return nil
	}
	return &usageError{fmt.Errorf("output %q is not known; expected table or json", output)}
}

func printJSON(w io.Writer, value any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(value)
}

func (l *listing[T]) order(rows []T) error {
	name, down := strings.CutPrefix(l.sort, "-")
	i := slices.IndexFunc(l.columns, func(c column[T]) bool { return keyword(c.name) == keyword(name) })
	if i < 0 {
		return &usageError{fmt.Errorf("there is no column %q to sort by", name)}
	}
	value := l.columns[i].value
	slices.SortStableFunc(rows, func(a, b T) int {
		if down {
			a, b = b, a
		}
		return compare(value(a), value(b))
	})
	return nil
}

// compare orders values of a column.
func compare(a, b any) int {
	switch x := a.(type) {
	case int64:
		return cmp.Compare(x, b.(int64))
	case time.Duration:
		return cmp.Compare(x, b.(time.Duration))
	case string:
		return strings.Compare(x, b.(string))
	}
	return 0
}

func (l *listing[T]) table(w io.Writer, rows []T) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for i, col := range l.columns {
		if i > 0 {
			fmt.Fprint(t, "\t")
		}
		fmt.Fprint(t, strings.ToUpper(col.name))
	}
	fmt.Fprintln(t)
	for _, row := range rows {
		for i, col := range l.columns {
			if i > 0 {
				fmt.Fprint(t, "\t")
			}
			fmt.Fprint(t, cell(col.value(row)))
		}
		fmt.Fprintln(t)
	}
	t.Flush()
}

func cell(value any) string {
	switch x := value.(type) {
	case string:
		if x == "" {
			return "-"
		}
		return printable(x)
	case time.Duration:
		return x.Round(time.Second).String()
	}
	return fmt.Sprint(value)
}

// printable replaces what would move a terminal's cursor or colours: names come from clients.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '\uFFFD'
	}, s)
}
