package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/control/client"
)

func (c *cli) transactions() *cobra.Command {
	type row = broker.TransactionView
	since := func(at int64) any {
		if at == 0 {
			return time.Duration(0)
		}
		return time.Since(time.UnixMilli(at))
	}
	l := &listing[row]{sort: "-prepared", columns: []column[row]{
		{"xid", func(v row) any { return v.XID }},
		{"state", func(v row) any { return v.State }},
		{"prepared", func(v row) any { return since(v.Prepared) }},
		{"age", func(v row) any { return since(v.Begun) }},
		{"user", func(v row) any { return v.User }},
		{"client id", func(v row) any { return v.ClientID }},
		{"connection", func(v row) any { return int64(v.Connection) }},
		{"sent", func(v row) any { return int64(v.Sent) }},
		{"acknowledged", func(v row) any { return int64(v.Acknowledged) }},
		{"destinations", func(v row) any { return strings.Join(v.Destinations, ",") }},
	}}
	limit := 0
	cmd := lister(c, &cobra.Command{
		Use: "transactions", Short: "List the open and the prepared transactions",
		Long: "List the transactions that are open or prepared, and for how long. A prepared one (XA) waits for its transaction manager, whatever happens; until it is\n" +
			"settled its acknowledged messages stay invisible, and what it sent unseen. The commands below settle one whose transaction manager does not come back.",
	}, l, func(ctx context.Context, r *client.Client) ([]row, error) {
		v, err := r.Transactions(ctx, limit)
		if err != nil {
			return nil, err
		}
		if all := v.Open + v.Prepared; len(v.Transactions) < all {
			fmt.Fprintf(c.err, "%d of %d transactions; --limit gives more\n", len(v.Transactions), all)
		}
		return v.Transactions, nil
	})
	cmd.Flags().IntVar(&limit, "limit", 0, "how many at most, those prepared the longest first (default 1000)")
	cmd.AddCommand(c.settleTransaction(true), c.settleTransaction(false))
	return cmd
}

func (c *cli) settleTransaction(commit bool) *cobra.Command {
	verb, done, short := "rollback", "rolled back", "Roll back a prepared transaction"
	if commit {
		verb, done, short = "commit", "committed", "Commit a prepared transaction"
	}
	yes := false
	cmd := &cobra.Command{
		Use: verb + " XID", Short: short, Args: exactly(1, "the xid of a prepared transaction, as `godwit transactions` shows it"),
		Long: short + " whose transaction manager does not come back. If that has decided otherwise, its other participants and this broker disagree from then on;\n" +
			"it is told so when it asks (XA_HEURCOM, XA_HEURRB). In a terminal it asks before it does.",
		RunE: func(cmd *cobra.Command, args []string) error {
			xid, err := broker.ParseXID(args[0])
			if err != nil {
				return &usageError{err}
			}
			remote, err := c.remote()
			if err != nil {
				return err
			}
			if !yes && terminal(c.in) && !c.agrees("Is it certain that "+xid.String()+" is to be "+done+"? [y/N] ") {
				return errSilent
			}
			if err := remote.SettleTransaction(cmd.Context(), xid.String(), commit); err != nil {
				return err
			}
			fmt.Fprintf(c.out, "%s %s\n", done, xid)
			return nil
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}
