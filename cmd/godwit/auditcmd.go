package main

import (
	"cmp"
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/godwitmq/godwit/audit"
	"github.com/godwitmq/godwit/control/client"
)

func (c *cli) audit() *cobra.Command {
	type row = audit.Entry
	var f audit.Filter
	var since time.Duration
	l := &listing[row]{sort: "-time", columns: []column[row]{
		{"time", func(v row) any { return v.Time.Local().Format("2006-01-02 15:04:05.000") }},
		{"who", func(v row) any { return v.Who }},
		{"proof", func(v row) any { return v.Proof }},
		{"from", func(v row) any { return v.From }},
		{"via", func(v row) any { return v.Via }},
		{"operation", func(v row) any { return v.Operation }},
		{"on", func(v row) any { return v.On }},
		{"outcome", func(v row) any { return string(v.Outcome) }},
		{"detail", func(v row) any {
			words := []string{}
			for _, x := range v.Changes {
				words = append(words, x.Key+": "+cmp.Or(x.Old, "-")+" -> "+cmp.Or(x.New, "-"))
			}
			if len(v.Asked) > 0 {
				words = append(words, string(v.Asked))
			}
			if v.Detail != "" {
				words = append(words, v.Detail)
			}
			return strings.Join(words, "; ")
		}},
	}}
	cmd := lister(c, &cobra.Command{
		Use: "audit", Short: "List what was done to the broker, and by whom",
		Long: "List what was done to the broker and by whom: each change by the HTTP API and Amazon MQ's, callers who were refused, reloads with what they changed, starts, stops, changes of the active\n" +
			"instance. Messages that are sent and received are not in it. Each node of a pair tells of itself. log.audit keeps it in a file.",
		Example: "  godwit audit --since 1h\n  godwit audit --who alice --operation purge -o json",
	}, l, func(ctx context.Context, r *client.Client) ([]row, error) {
		if since > 0 {
			f.Since = time.Now().Add(-since)
		}
		return r.Audit(ctx, f)
	})
	cmd.Flags().DurationVar(&since, "since", 0, "no older than this")
	cmd.Flags().StringVar(&f.Who, "who", "", "only what this user, or access key, did")
	cmd.Flags().StringVar(&f.Operation, "operation", "", "only operations with this in their names")
	cmd.Flags().IntVar(&f.Limit, "limit", 100, "at most so many")
	return cmd
}
