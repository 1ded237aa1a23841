package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/godwitmq/godwit/config"
	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/control/client"
)

func (c *cli) nodes() *cobra.Command {
	type row = api.Node
	columns := []column[row]{
		{"name", func(v row) any { return v.Name }},
		{"state", func(v row) any { return v.State }},
		{"zone", func(v row) any { return v.Zone }},
		{"subnets", func(v row) any { return strings.Join(v.Subnets, " ") }},
		{"range", func(v row) any { return v.Range }},
		{"instances", func(v row) any { return int64(v.Instances) }},
		{"memory", func(v row) any { return config.Size(v.MemoryBytes).String() }},
		{"heard of", func(v row) any {
			switch {
			case v.Local:
				return "here"
			case !v.Expires.IsZero():
				return "token good until " + v.Expires.Local().Format("2006-01-02 15:04:05")
			case v.Seen.IsZero():
				return "-"
			}
			return time.Since(v.Seen).Round(time.Second).String() + " ago"
		}},
	}
	fetch := func(ctx context.Context, r *client.Client) ([]row, error) { return r.Nodes(ctx) }
	cmd := lister(c, &cobra.Command{
		Use: "nodes", Short: "List the machines of the service",
		Long: "List the machines that run instances of the service's brokers, and those that are invited to: zone, subnets, what they run, when they were heard of. A node that was silent for\n" +
			"service.nodes.timeout is shown as lost. docs/nodes.md says how several machines are one service.",
	}, &listing[row]{sort: "name", columns: columns}, fetch)
	cmd.AddCommand(lister(c, &cobra.Command{Use: "list", Short: "List the machines of the service"}, &listing[row]{sort: "name", columns: columns}, fetch), c.inviteNode(), c.drainNode(), c.removeNode())
	return cmd
}

func (c *cli) inviteNode() *cobra.Command {
	var ask api.InviteNode
	var memory string
	lasts := time.Hour
	output := ""
	cmd := &cobra.Command{
		Use: "invite NAME", Short: "Make a token with which a machine joins the service, once", Args: exactly(1, "the name of the node"),
		Long: "Make a token, and print the command to type on the machine that is to be the node. Who has the token can become the node, once, until it expires. The machine makes its key itself; it gets a\n" +
			"certificate, and recognises this controller by the fingerprint in the token. An invite of the same name that was not used is void then. Needs service.nodes.listen.",
		Example: "  godwit nodes invite b --zone eu-west-1b --range 10.0.2.0/27\n  godwit nodes invite c --zone eu-west-1c --range 10.0.3.7 --subnet subnet-c --memory 24GiB --for 10m",
		RunE: func(cmd *cobra.Command, args []string) error {
			ask.Name = args[0]
			if lasts < time.Second || lasts > maxInvite {
				return &usageError{fmt.Errorf("--for %s: expected a second to %s", lasts, maxInvite)}
			}
			ask.Seconds = int64(lasts / time.Second)
			if memory != "" {
				size, err := config.ParseSize(memory)
				if err != nil {
					return &usageError{fmt.Errorf("--memory: %w", err)}
				}
				ask.MemoryBytes = int64(size)
			}
			remote, err := c.remote()
			if err != nil {
				return err
			}
			invited, err := remote.InviteNode(cmd.Context(), ask)
			if err != nil {
				return err
			}
			if output == "json" {
				return printJSON(c.out, invited)
			}
			fmt.Fprintf(c.out, "Type on the machine that is to be node %s, until %s:\n\n    godwit serve --data DIR --join %s\n\n", invited.Name, invited.Expires.Local().Format(time.DateTime), invited.Token)
			fmt.Fprintf(c.out, "It reaches this controller at %s, and takes no other: its authority's SHA-256 is\n%s. The token is not shown again; show it to nobody else.\n", strings.Join(invited.Addresses, ", "), invited.Fingerprint)
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&ask.Zone, "zone", "", "zone that the machine is in; instances of a pair go to different ones")
	flags.StringVar(&ask.Range, "range", "", "range of the addresses that instances get there, such as 10.0.2.0/27, or one address for all, with ports from 20000 on; the machine must have them")
	flags.StringArrayVar(&ask.Subnets, "subnet", nil, "subnet that the machine is in, as subnetIds of a broker names it; may be repeated")
	flags.StringArrayVar(&ask.Addresses, "address", nil, "HOST:PORT at which the machine reaches this controller, if not as service.nodes.listen says; up to four times")
	flags.StringVar(&memory, "memory", "", "memory that all instances there may be given together (default: no limit)")
	flags.IntVar(&ask.MaxInstances, "instances", 0, "how many instances may be there, witnesses included; 0 is no limit")
	flags.DurationVar(&lasts, "for", lasts, "how long the token is good; at most "+maxInvite.String())
	_ = cmd.MarkFlagRequired("zone") // fails only for a flag that is not there
	_ = cmd.MarkFlagRequired("range")
	outputFlag(cmd, &output)
	return cmd
}

func (c *cli) drainNode() *cobra.Command {
	undo := false
	cmd := &cobra.Command{
		Use: "drain NAME", Short: "Move all instances of a node to others, and give it no more", Args: exactly(1, "the name of a node"),
		Long: "Move all instances of a node to others, one at a time, each active one behind a switchover, and give it no more. What has no place elsewhere stays, and godwit brokers says why.",
		RunE: func(cmd *cobra.Command, args []string) error {
			remote, err := c.remote()
			if err != nil {
				return err
			}
			if err := remote.DrainNode(cmd.Context(), args[0], !undo); err != nil {
				return err
			}
			if undo {
				fmt.Fprintf(c.out, "node %s takes instances again\n", args[0])
			} else {
				fmt.Fprintf(c.out, "node %s is draining; godwit nodes shows how many instances it still has\n", args[0])
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&undo, "undo", false, "give the node instances again")
	return cmd
}

func (c *cli) removeNode() *cobra.Command {
	lost := false
	cmd := &cobra.Command{
		Use: "remove NAME", Short: "Send a node away that runs nothing, or void its invite", Args: exactly(1, "the name of a node"),
		Long: "Send a node away, whose certificate is worth nothing from then on, and void its invite. It is refused while the node runs instances: drain it first. With --lost they are replaced on other\n" +
			"nodes without waiting: for a machine that does not come back as it was. That is refused for the last copies of a broker's messages. A machine that comes back all the same starts nothing,\n" +
			"and ends what runs elsewhere by then.",
		RunE: func(cmd *cobra.Command, args []string) error {
			remote, err := c.remote()
			if err != nil {
				return err
			}
			if err := remote.RemoveNode(cmd.Context(), args[0], lost); err != nil {
				return err
			}
			fmt.Fprintf(c.out, "removed %s\n", args[0])
			return nil
		},
	}
	cmd.Flags().BoolVar(&lost, "lost", false, "it is lost: replace what runs there")
	return cmd
}
