package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/control/client"
	"github.com/godwitmq/godwit/message"
)

func (c *cli) deadLetters() *cobra.Command {
	cmd := &cobra.Command{Use: "dead-letters", Short: "Look at messages that nobody could process, and take them back to where they died"}
	cmd.AddCommand(c.listDeadLetters(), c.retry(), c.listRetries(), c.undoRetry())
	return cmd
}

// listDeadLetters lists the queues of dead letters, or what is in one.
func (c *cli) listDeadLetters() *cobra.Command {
	queues := &listing[broker.DestinationView]{columns: destinationColumns(), sort: "name"}
	type row = api.Message
	text := func(name string) func(row) any {
		return func(m row) any { s, _ := m.Properties[name].(string); return s }
	}
	at := func(name string) func(row) any {
		return func(m row) any {
			ms, _ := m.Properties[name].(float64)
			if ms == 0 {
				return ""
			}
			return time.UnixMilli(int64(ms)).Format("2006-01-02 15:04:05")
		}
	}
	letters := &listing[row]{columns: []column[row]{
		{"id", func(m row) any { return m.ID }},
		{"origin", func(m row) any {
			if origin, _ := m.Properties[message.DeadLetterOrigin].(string); origin != "" {
				return origin
			}
			return m.Original
		}},
		{"subscription", text(message.DeadLetterSubscription)},
		{"redeliveries", func(m row) any { n, _ := m.Properties[message.DeadLetterRedeliveries].(float64); return int64(n) }},
		{"arrived", at(message.DeadLetterArrival)},
		{"died", at(message.DeadLetterTime)},
		{"cause", func(m row) any {
			cause, _ := m.Properties[message.DeadLetterCause].(string)
			return shorten(strings.TrimPrefix(cause, "java.lang.Throwable: "), 80)
		}},
	}, sort: "died"}
	limit, selector := 100, ""
	cmd := &cobra.Command{
		Use: "list [QUEUE]", Short: "List the queues of dead letters, or where the dead letters of one died, and why",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			remote, err := c.remote()
			if err != nil {
				return err
			}
			if len(args) == 0 {
				all, err := remote.Queues(cmd.Context(), false)
				if err != nil {
					return err
				}
				var dead []broker.DestinationView
				for _, q := range all {
					if q.DeadLetterQueue {
						dead = append(dead, q)
					}
				}
				return queues.print(c.out, dead, c.output)
			}
			d, err := destination(args[0])
			if err != nil {
				return err
			}
			found, err := remote.Browse(cmd.Context(), d, selector, limit, false)
			if err != nil {
				return err
			}
			if err := letters.print(c.out, found.Messages, c.output); err != nil {
				return err
			}
			if found.More {
				fmt.Fprintf(c.err, "There are more; --limit shows them.\n")
			}
			return nil
		},
	}
	cmd.Flags().IntVar(&limit, "limit", limit, "how many dead letters at most")
	cmd.Flags().StringVar(&selector, "selector", "", "only those that this JMS selector fits, for example \"dlqOrigin = 'queue://orders'\"")
	outputFlag(cmd, &c.output)
	return cmd
}

func (c *cli) retry() *cobra.Command {
	var f sweepFlags
	cmd := &cobra.Command{
		Use: "retry QUEUE [MESSAGE...]", Short: "Take dead letters back to where they died",
		Long: "Take dead letters back to the queue, or the durable subscription, where they died, with their redeliveries forgotten and their expiry renewed. Each is in exactly\n" +
			"one place at any time, a crash included. Those whose origin is gone stay. Interrupt it at any time: what was taken back stays so; `undo` makes dead letters again of\nwhat nobody has had.",
		Example: "  godwit dead-letters retry ActiveMQ.DLQ --origin orders --cause timeout --dry-run\n  godwit dead-letters retry ActiveMQ.DLQ --rate 50",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 1 {
				return exactly(1, "a queue of dead letters, for example: godwit dead-letters retry ActiveMQ.DLQ")(cmd, nil)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			from, err := destination(args[0])
			if err != nil {
				return err
			}
			f.request.IDs = args[1:]
			return c.runSweep(cmd.Context(), &f, sweepWords{"took back", "would take back"}, " from "+from.String(), ofDestination(client.Retry, from))
		},
	}
	f.add(cmd, true)
	cmd.Flags().StringVar(&f.request.Origin, "origin", "", "only those that died there; * and > stand for parts of names")
	cmd.Flags().StringVar(&f.request.Cause, "cause", "", "only those whose cause contains this text")
	cmd.Flags().IntVar(&f.request.Rate, "rate", 0, "how many messages a second at most; 0 is as fast as it goes")
	return cmd
}

func (c *cli) listRetries() *cobra.Command {
	type row = broker.RetryView
	l := &listing[row]{sort: "-retry", columns: []column[row]{
		{"retry", func(v row) any { return int64(v.Batch) }},
		{"queue", func(v row) any { return v.Queue }},
		{"at", func(v row) any { return time.UnixMilli(v.At).Format("2006-01-02 15:04:05") }},
		{"messages", func(v row) any { return int64(v.Messages) }},
	}}
	return lister(c, &cobra.Command{Use: "retries", Short: "List the retries that can be undone"}, l,
		func(ctx context.Context, r *client.Client) ([]row, error) { return r.Retries(ctx) })
}

func (c *cli) undoRetry() *cobra.Command {
	return &cobra.Command{
		Use: "undo RETRY", Short: "Make dead letters again of what a retry took back and nobody has had", Args: exactly(1, "the number of a retry, as `godwit dead-letters retries` shows it"),
		RunE: func(cmd *cobra.Command, args []string) error {
			batch, err := strconv.ParseUint(args[0], 10, 64)
			if err != nil {
				return &usageError{fmt.Errorf("%q is not the number of a retry; `godwit dead-letters retries` shows them", args[0])}
			}
			remote, err := c.remote()
			if err != nil {
				return err
			}
			n, err := remote.UndoRetry(cmd.Context(), batch)
			if err != nil {
				return err
			}
			fmt.Fprintf(c.out, "%d messages are dead letters again\n", n)
			return nil
		},
	}
}
