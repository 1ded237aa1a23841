package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/control/client"
)

func (c *cli) subscriptions() *cobra.Command {
	type row = broker.SubscriptionView
	l := &listing[row]{sort: "client-id", columns: []column[row]{
		{"client id", func(v row) any { return v.ClientID }},
		{"name", func(v row) any { return v.Name }},
		{"topic", func(v row) any { return v.Topic }},
		{"selector", func(v row) any { return v.Selector }},
		{"kind", func(v row) any { return subscriptionKind(v) }},
		{"active", func(v row) any {
			if v.Active {
				return "yes"
			}
			return "no"
		}},
		{"consumers", func(v row) any { return int64(v.Consumers) }},
		{"messages", func(v row) any { return v.Size }},
		{"in flight", func(v row) any { return v.InFlight }},
		{"bytes", func(v row) any { return v.Bytes }},
		{"offline", func(v row) any {
			if v.Active || v.IdleSince == 0 {
				return time.Duration(0)
			}
			return time.Since(time.UnixMilli(v.IdleSince))
		}},
	}}
	cmd := lister(c, &cobra.Command{Use: "subscriptions", Short: "List the durable and the shared subscriptions"}, l,
		func(ctx context.Context, r *client.Client) ([]row, error) { return r.Subscriptions(ctx) })
	cmd.AddCommand(&cobra.Command{
		Use: "remove CLIENT-ID NAME", Short: "Remove a durable subscription without consumers, with its messages", Args: exactly(2, subscriptionArgs),
		RunE: func(cmd *cobra.Command, args []string) error {
			remote, err := c.remote()
			if err != nil {
				return err
			}
			return remote.RemoveSubscription(cmd.Context(), args[0], args[1])
		},
	}, c.purgeSubscription(),
		c.transferSubscription(client.Move, sweepWords{"moved", "would move"}, "Move messages that wait in a durable subscription to a queue",
			"Move messages that wait in a durable subscription to a queue. Each is in exactly one of the two at any time, a crash included. Messages at consumers stay."),
		c.transferSubscription(client.Copy, sweepWords{"copied", "would copy"}, "Copy messages that wait in a durable subscription to a queue or a topic",
			"Send a copy of each message that waits in a durable subscription to a queue or to a topic."))
	return cmd
}

func (c *cli) purgeSubscription() *cobra.Command {
	var f sweepFlags
	var yes bool
	cmd := &cobra.Command{
		Use: "purge CLIENT-ID NAME [MESSAGE...]", Short: "Remove messages that wait in a durable subscription",
		Long: "Remove messages that wait in a durable subscription, for ever: all, those of the given JMSMessageIDs, or those that --selector fits. Those at its\n" +
			"consumers stay there. In a terminal it asks before it does.",
		Example: "  godwit subscriptions purge billing audit --selector \"region = 'EU'\" --dry-run",
		Args:    atLeast(2, subscriptionArgs),
		RunE: func(cmd *cobra.Command, args []string) error {
			what := "all messages"
			if f.request.IDs = args[2:]; len(f.request.IDs) > 0 || f.request.Selector != "" {
				what = "all messages that fit"
			}
			if !yes && !f.request.DryRun && terminal(c.in) && !c.agrees("Remove "+what+" of "+args[1]+"? [y/N] ") {
				return errSilent
			}
			return c.runSweep(cmd.Context(), &f, sweepWords{"removed", "would remove"}, "", ofSubscription(client.Remove, args))
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	f.add(cmd, true)
	return cmd
}

// transferSubscription is move or copy.
func (c *cli) transferSubscription(verb client.Sweep, words sweepWords, short, long string) *cobra.Command {
	var f sweepFlags
	cmd := &cobra.Command{
		Use: string(verb) + " CLIENT-ID NAME TO [MESSAGE...]", Short: short, Long: long, Args: atLeast(3, subscriptionArgs+", and a destination"),
		RunE: func(cmd *cobra.Command, args []string) error {
			to, err := destination(args[2])
			if err != nil {
				return err
			}
			f.request.To, f.request.IDs = to.String(), args[3:]
			return c.runSweep(cmd.Context(), &f, words, " to "+to.String(), ofSubscription(verb, args))
		},
	}
	f.add(cmd, true)
	return cmd
}

// subscriptionArgs are the first two of commands about a subscription.
const subscriptionArgs = `a client id ("" for none) and a subscription's name`

// atLeast wants so many arguments or more.
func atLeast(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < n {
			return exactly(n, what)(cmd, nil)
		}
		return nil
	}
}

func ofSubscription(verb client.Sweep, named []string) sweeper {
	return func(ctx context.Context, remote *client.Client, request api.SweepRequest, progress func(api.Swept)) (*api.Swept, error) {
		return remote.SweepSubscription(ctx, verb, named[0], named[1], request, progress)
	}
}

func subscriptionKind(v broker.SubscriptionView) string {
	switch {
	case v.Shared && v.Durable:
		return "shared durable"
	case v.Shared:
		return "shared"
	}
	return "durable"
}
