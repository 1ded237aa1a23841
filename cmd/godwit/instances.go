package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/control/client"
)

func (c *cli) instances() *cobra.Command {
	type row = api.Instance
	l := &listing[row]{sort: "name", columns: []column[row]{
		{"name", func(v row) any { return v.Name }},
		{"role", func(v row) any { return v.Role }},
		{"for", func(v row) any {
			if v.Since.IsZero() {
				return time.Duration(0)
			}
			return time.Since(v.Since)
		}},
		{"epoch", func(v row) any { return int64(v.Epoch) }},
		{"lag", func(v row) any { return int64(v.Lag) }},
		{"connections", func(v row) any { return int64(v.Connections) }},
		{"config", func(v row) any { return v.Config }},
		{"endpoints", func(v row) any { return strings.Join(v.Endpoints, " ") }},
		{"dns", func(v row) any {
			switch {
			case v.DNS == nil:
				return ""
			case v.DNS.Current:
				return "current"
			}
			return "not for " + time.Since(v.DNS.Since).Round(time.Second).String()
		}},
		{"reason", func(v row) any {
			if v.DNS != nil && !v.DNS.Current {
				return join(v.Reason, v.DNS.Name+": "+v.DNS.Reason)
			}
			return v.Reason
		}},
	}}
	return lister(c, &cobra.Command{
		Use: "instances", Short: "List the nodes that run this broker: who is active, who stands by",
		Long: "List the nodes of the cluster that runs this broker: who is active and since when, how far behind the others are (lag, in entries of the log), where clients reach\n" +
			"each, whether the name that follows the active one does (cluster.dns). Any node may be asked; it asks the others.",
	}, l, func(ctx context.Context, r *client.Client) ([]row, error) { return r.Instances(ctx) })
}

func (c *cli) switchover() *cobra.Command {
	to, planned, ifActive, output := "", false, false, ""
	cmd := &cobra.Command{
		Use: "switchover", Example: "  godwit switchover --plan\n  godwit switchover --to b\n  godwit switchover --if-active     # before this node is stopped", Short: "Make another instance the active one, for good", Args: exactly(0, "no arguments"),
		Long: "Make another instance the active one. The active one settles what is at its clients, gives the log to the other, and closes its connections; clients come back to the\n" +
			"new one, by their failover URL or because their endpoint relays them. It stays so: nothing switches back by itself.",
		RunE: func(cmd *cobra.Command, args []string) error {
			remote, err := c.remote()
			if err != nil {
				return err
			}
			if ifActive {
				if is, err := remote.Instance(cmd.Context()); err != nil {
					return err
				} else if is.Role != "active" {
					fmt.Fprintf(c.out, "%s is %s, not active: there is nothing to hand over\n", is.Name, is.Role)
					return nil
				}
			}
			p, err := remote.PlanSwitchOver(cmd.Context(), to)
			switch {
			case planned && err != nil:
				return err
			case planned && output == "json":
				return printJSON(c.out, p)
			case planned:
				printPlan(c.out, p)
				return nil
			case err == nil: // else whoever switches over says what is wrong
				warnOf(c.err, p)
			}
			done, err := remote.SwitchOver(cmd.Context(), to)
			if err != nil {
				return err
			}
			if output == "json" {
				return printJSON(c.out, done)
			}
			fmt.Fprintf(c.out, "%s has handed over to %s in %d ms\n", done.From, done.To, done.Millis)
			return nil
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "name of the instance (default: the standby)")
	cmd.Flags().BoolVar(&ifActive, "if-active", false, "do nothing unless the node that is asked is the active one: for what is done before a node is stopped")
	cmd.Flags().BoolVar(&planned, "plan", false, "change nothing: list the clients that would not follow, and why")
	outputFlag(cmd, &output)
	return cmd
}
