package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/control/client"
	"github.com/godwitmq/godwit/message"
)

// lister makes a command that fetches a list and prints it.
func lister[T any](c *cli, cmd *cobra.Command, l *listing[T], fetch func(context.Context, *client.Client) ([]T, error)) *cobra.Command {
	cmd.Args = exactly(0, "no arguments")
	l.flags(cmd, &c.output)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		remote, err := c.remote()
		if err != nil {
			return err
		}
		rows, err := fetch(cmd.Context(), remote)
		if err != nil {
			return err
		}
		return l.print(c.out, rows, c.output)
	}
	return cmd
}

func destinationColumns() []column[broker.DestinationView] {
	type row = broker.DestinationView
	return []column[row]{
		{"name", func(d row) any { return d.Name }},
		{"kind", func(d row) any { return d.Kind }},
		{"messages", func(d row) any { return d.Size }},
		{"in flight", func(d row) any { return d.InFlight }},
		{"bytes", func(d row) any { return d.Bytes }},
		{"enqueued", func(d row) any { return int64(d.Enqueued) }},
		{"dequeued", func(d row) any { return int64(d.Dequeued) }},
		{"expired", func(d row) any { return int64(d.Expired) }},
		{"dead", func(d row) any { return int64(d.DeadLetters) }},
		{"consumers", func(d row) any { return int64(d.Consumers) }},
		{"producers", func(d row) any { return int64(d.Producers) }},
		{"waiting sends", func(d row) any { return int64(d.SendsWaiting) }},
		{"paused", func(d row) any {
			if d.Paused {
				return "paused"
			}
			return ""
		}},
	}
}

func (c *cli) queues() *cobra.Command {
	all := false
	cmd := &cobra.Command{Use: "queues", Short: "List the queues"}
	cmd.Flags().BoolVar(&all, "all", false, "temporary queues too")
	cmd.AddCommand(c.createDestination(message.Queue), c.removeDestination(message.Queue))
	return lister(c, cmd, &listing[broker.DestinationView]{columns: destinationColumns(), sort: "name"},
		func(ctx context.Context, r *client.Client) ([]broker.DestinationView, error) {
			return r.Queues(ctx, all)
		})
}

func (c *cli) topics() *cobra.Command {
	all := false
	cmd := &cobra.Command{Use: "topics", Short: "List the topics"}
	cmd.Flags().BoolVar(&all, "all", false, "temporary topics too")
	cmd.AddCommand(c.createDestination(message.Topic), c.removeDestination(message.Topic))
	return lister(c, cmd, &listing[broker.DestinationView]{columns: destinationColumns(), sort: "name"},
		func(ctx context.Context, r *client.Client) ([]broker.DestinationView, error) {
			return r.Topics(ctx, all)
		})
}

// removeDestination is the command below queues and topics.
func (c *cli) removeDestination(kind message.Kind) *cobra.Command {
	word := kind.String()
	return &cobra.Command{
		Use: "remove NAME", Short: "Remove a " + word + " without consumers, with all messages that wait there", Args: exactly(1, "the name of a "+word),
		RunE: func(cmd *cobra.Command, args []string) error {
			remote, err := c.remote()
			if err != nil {
				return err
			}
			d := message.Destination{Kind: kind, Name: strings.TrimPrefix(args[0], word+"://")}
			before, err := remote.Destination(cmd.Context(), d)
			var refused *api.Error
			if errors.As(err, &refused) && refused.Status == http.StatusNotFound {
				return err // the API itself takes the removal of nothing for done
			}
			if err := remote.Remove(cmd.Context(), d); err != nil {
				return err
			}
			if before.Size > 0 {
				fmt.Fprintf(c.out, "removed %v with %d messages\n", d, before.Size)
				return nil
			}
			fmt.Fprintf(c.out, "removed %v\n", d)
			return nil
		},
	}
}

func (c *cli) connections() *cobra.Command {
	type row = broker.ConnectionView
	l := &listing[row]{sort: "id", columns: []column[row]{
		{"id", func(v row) any { return int64(v.Conn) }},
		{"client id", func(v row) any { return v.ClientID }},
		{"user", func(v row) any { return v.User }},
		{"protocol", func(v row) any { return v.Protocol }},
		{"listener", func(v row) any { return v.Listener }},
		{"remote", func(v row) any { return v.Remote }},
		{"consumers", func(v row) any { return int64(v.Consumers) }},
		{"producers", func(v row) any { return int64(v.Producers) }},
		{"transactions", func(v row) any { return int64(v.Transactions) }},
		{"age", func(v row) any { return time.Since(time.UnixMilli(v.Since)) }},
	}}
	cmd := lister(c, &cobra.Command{Use: "connections", Short: "List the clients' connections"}, l,
		func(ctx context.Context, r *client.Client) ([]row, error) { return r.Connections(ctx) })
	cmd.AddCommand(&cobra.Command{
		Use: "close ID", Short: "End a client's connection; a client that reconnects by itself comes back", Args: exactly(1, "the id of a connection, as `godwit connections` shows it"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := strconv.ParseUint(args[0], 10, 64)
			if err != nil {
				return &usageError{fmt.Errorf("%q is not the id of a connection; `godwit connections` shows them", args[0])}
			}
			remote, err := c.remote()
			if err != nil {
				return err
			}
			return remote.CloseConnection(cmd.Context(), broker.ConnID(id))
		},
	})
	return cmd
}

func (c *cli) consumers() *cobra.Command {
	type row = broker.ConsumerView
	l := &listing[row]{sort: "destination", columns: []column[row]{
		{"destination", func(v row) any { return v.Destination }},
		{"connection", func(v row) any { return int64(v.Conn) }},
		{"client id", func(v row) any { return v.ClientID }},
		{"subscription", func(v row) any { return v.Name }},
		{"selector", func(v row) any { return v.Selector }},
		{"prefetch", func(v row) any { return int64(v.Prefetch) }},
		{"window", func(v row) any { return int64(v.Window) }},
		{"in flight", func(v row) any { return int64(v.InFlight) }},
		{"oldest", func(v row) any { return time.Duration(v.OldestAge) * time.Millisecond }},
		{"last ack", func(v row) any { return time.Duration(v.SinceAck) * time.Millisecond }},
		{"groups", func(v row) any { return int64(v.Groups) }},
		{"discarded", func(v row) any { return int64(v.Discarded) }},
		{"dispatched", func(v row) any { return int64(v.Dispatched) }},
		{"acknowledged", func(v row) any { return int64(v.Acked) }},
		{"priority", func(v row) any { return int64(v.Priority) }},
	}}
	return lister(c, &cobra.Command{Use: "consumers", Short: "List the consumers"}, l,
		func(ctx context.Context, r *client.Client) ([]row, error) { return r.Consumers(ctx) })
}

func (c *cli) refusals() *cobra.Command {
	l := &listing[api.Refusal]{sort: "-last", columns: []column[api.Refusal]{
		{"user", func(v api.Refusal) any { return v.User }},
		{"address", func(v api.Refusal) any { return v.Address }},
		{"count", func(v api.Refusal) any { return v.Count }},
		{"last", func(v api.Refusal) any { return v.Last.Local().Format("2006-01-02 15:04:05") }},
		{"reason", func(v api.Refusal) any { return v.Reason }},
	}}
	return lister(c, &cobra.Command{Use: "refusals", Short: "List whom credentials mode observe admitted though mode mandatory would not"}, l,
		func(ctx context.Context, r *client.Client) ([]api.Refusal, error) {
			answer, err := r.Refusals(ctx)
			if err != nil {
				return nil, err
			}
			if answer.Mode != "observe" {
				fmt.Fprintf(c.err, "The credentials mode is %s; only observe collects refusals.\n", answer.Mode)
			}
			return answer.Refusals, nil
		})
}

func (c *cli) reload() *cobra.Command {
	return &cobra.Command{
		Use: "reload", Short: "Have a running broker read its configuration again", Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, args []string) error {
			remote, err := c.remote()
			if err != nil {
				return err
			}
			done, err := remote.Reload(cmd.Context())
			if err != nil {
				return err
			}
			printReloaded(c.out, done)
			return nil
		},
	}
}
