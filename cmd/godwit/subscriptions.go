package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/godwitmq/godwit/broker"
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
	named := exactly(2, `a client id ("" for none) and a subscription's name`)
	cmd.AddCommand(&cobra.Command{
		Use: "remove CLIENT-ID NAME", Short: "Remove a durable subscription without consumers, with its messages", Args: named,
		RunE: func(cmd *cobra.Command, args []string) error {
			remote, err := c.remote()
			if err != nil {
				return err
			}
			return remote.RemoveSubscription(cmd.Context(), args[0], args[1])
		},
	}, c.purgeSubscription(named))
	return cmd
}

func (c *cli) purgeSubscription(named cobra.PositionalArgs) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "purge CLIENT-ID NAME", Short: "Remove all messages that wait in a durable subscription", Args: named,
		Long: "Remove all messages that wait in a durable subscription, for ever. Those at its consumers stay there. In a terminal it asks before it does.",
		RunE: func(cmd *cobra.Command, args []string) error {
			remote, err := c.remote()
			if err != nil {
				return err
			}
			if !yes && terminal(c.in) && !c.agrees("Remove all messages of "+args[1]+"? [y/N] ") {
				return errSilent
			}
			n, err := remote.PurgeSubscription(cmd.Context(), args[0], args[1])
			if err != nil {
				return err
			}
			fmt.Fprintf(c.out, "removed %d messages\n", n)
			return nil
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
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
