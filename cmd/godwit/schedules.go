package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/control/client"
)

func (c *cli) schedules() *cobra.Command {
	type row = broker.ScheduleView
	var span spanFlags
	limit := 100
	l := &listing[row]{sort: "next", columns: []column[row]{
		{"id", func(v row) any { return v.ID }},
		{"destination", func(v row) any { return v.Destination }},
		{"next", func(v row) any { return time.UnixMilli(v.Next).Format("2006-01-02 15:04:05.000") }},
		{"period", func(v row) any { return time.Duration(v.Period) * time.Millisecond }},
		{"repeats", func(v row) any { return int64(v.Repeat) }},
		{"cron", func(v row) any { return v.Cron }},
		{"bytes", func(v row) any { return int64(v.Size) }},
		{"message", func(v row) any { return v.MessageID }},
	}}
	cmd := lister(c, &cobra.Command{Use: "schedules", Short: "List the messages that are to be delivered later",
		Long: "List the messages that are to be delivered later, in the order of their times. --from and --to take a time (2026-11-23T15:04:05Z) or a\nduration from now (90m)."}, l,
		func(ctx context.Context, r *client.Client) ([]row, error) {
			between, err := span.read()
			if err != nil {
				return nil, err
			}
			var rows []row
			for after := ""; ; {
				found, err := r.Schedules(ctx, between, after, min(limit-len(rows), 1000))
				if err != nil {
					return nil, err
				}
				rows = append(rows, found.Schedules...)
				if len(rows) >= limit || !found.More || len(found.Schedules) == 0 {
					if found.More {
						fmt.Fprintf(c.err, "There are more, %d in all; --limit shows them.\n", found.Total)
					}
					return rows, nil
				}
				after = found.Schedules[len(found.Schedules)-1].ID
			}
		})
	cmd.Flags().IntVar(&limit, "limit", limit, "how many at most")
	span.add(cmd)
	cmd.AddCommand(c.editSchedule(), c.removeSchedules())
	return cmd
}

// spanFlags are --from and --to.
type spanFlags struct{ from, to string }

func (f *spanFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.from, "from", "", "only those that are due at this time or later")
	cmd.Flags().StringVar(&f.to, "to", "", "only those that are due at this time or before")
}

func (f *spanFlags) read() (s client.Span, err error) {
	if s.From, err = moment(f.from); err != nil {
		return s, err
	}
	s.To, err = moment(f.to)
	return s, err
}

// moment reads a time, or a duration from now; "" is the zero time.
func moment(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(text); err == nil {
		return time.Now().Add(d), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, &usageError{fmt.Errorf("%q is no time; expected for example 2026-11-23T15:04:05Z, or 90m for so long from now", text)}
	}
	return t, nil
}

func (c *cli) editSchedule() *cobra.Command {
	return &cobra.Command{
		Use: "edit ID TIME", Short: "Set when a scheduled message is due next", Example: "  godwit schedules edit ID:godwit-job:42 2h",
		Args: exactly(2, "the id of a scheduled message and a time, for example: godwit schedules edit ID:godwit-job:42 2h"),
		RunE: func(cmd *cobra.Command, args []string) error {
			next, err := moment(args[1])
			if err != nil {
				return err
			}
			remote, err := c.remote()
			if err != nil {
				return err
			}
			if err := remote.EditSchedule(cmd.Context(), args[0], next); err != nil {
				return err
			}
			fmt.Fprintf(c.out, "%s is due at %s\n", args[0], next.Format(time.RFC3339))
			return nil
		},
	}
}

func (c *cli) removeSchedules() *cobra.Command {
	var span spanFlags
	var all bool
	cmd := &cobra.Command{
		Use: "remove [ID...]", Short: "Remove scheduled messages: they are never delivered",
		Long: "Remove scheduled messages by their ids, those that are due between --from and --to, or all.",
		RunE: func(cmd *cobra.Command, args []string) error {
			between, err := span.read()
			if err != nil {
				return err
			}
			bounded := span != spanFlags{}
			if (len(args) > 0) == (bounded || all) {
				return &usageError{errors.New("say which: ids as `godwit schedules` shows them, or --from and --to, or --all")}
			}
			remote, err := c.remote()
			if err != nil {
				return err
			}
			n := len(args)
			for i, id := range args {
				if err := remote.RemoveSchedule(cmd.Context(), id); err != nil {
					return fmt.Errorf("after %d of %d: %w", i, n, err)
				}
			}
			if n == 0 {
				if n, err = remote.RemoveSchedules(cmd.Context(), between); err != nil {
					return err
				}
			}
			fmt.Fprintf(c.out, "removed %d scheduled messages\n", n)
			return nil
		},
	}
	span.add(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "all scheduled messages")
	return cmd
}
