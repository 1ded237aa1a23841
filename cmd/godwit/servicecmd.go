package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/control/client"
)

func (c *cli) keys() *cobra.Command {
	type row = api.Key
	l := &listing[row]{sort: "created", columns: []column[row]{
		{"id", func(v row) any { return v.ID }},
		{"account", func(v row) any { return v.Account }},
		{"state", func(v row) any {
			if v.Disabled {
				return "disabled"
			}
			return "enabled"
		}},
		{"created", func(v row) any { return v.Created.Local().Format("2006-01-02 15:04:05") }},
		{"note", func(v row) any { return v.Note }},
	}}
	fetch := func(ctx context.Context, r *client.Client) ([]row, error) { return r.Keys(ctx) }
	cmd := lister(c, &cobra.Command{
		Use: "keys", Short: "List the access keys of Amazon MQ's API",
		Long: "List the access keys with which callers of Amazon MQ's API sign their requests. A key belongs to an account, which sees its own brokers and no others.",
	}, l, fetch)
	list := &listing[row]{sort: l.sort, columns: l.columns}
	cmd.AddCommand(c.createKey(), lister(c, &cobra.Command{Use: "list", Short: "List the access keys"}, list, fetch),
		c.changeKey("disable", "Refuse what an access key has signed, until it is enabled again", "disabled", func(ctx context.Context, r *client.Client, id string) error { return r.EnableKey(ctx, id, false) }),
		c.changeKey("enable", "Accept what an access key has signed again", "enabled", func(ctx context.Context, r *client.Client, id string) error { return r.EnableKey(ctx, id, true) }),
		c.changeKey("delete", "Remove an access key for good", "deleted", func(ctx context.Context, r *client.Client, id string) error { return r.DeleteKey(ctx, id) }))
	return cmd
}

func (c *cli) createKey() *cobra.Command {
	var ask api.NewKey
	output := ""
	cmd := &cobra.Command{
		Use: "create", Short: "Make an access key, and print its secret, once", Args: exactly(0, "no arguments"),
		Long: "Make an access key for an account of Amazon MQ's API, and print it as the environment that AWS's tools read. The secret is shown this once: the service keeps it, because\n" +
			"signatures are checked with it, but gives it to nobody.",
		Example: "  godwit keys create --note 'terraform of the payroll team'\n  eval \"$(godwit keys create)\" && aws mq list-brokers",
		RunE: func(cmd *cobra.Command, args []string) error {
			if output != "env" && output != "json" { // before there is a key whose secret nobody has seen
				return &usageError{fmt.Errorf("output %q is not known; expected env or json", output)}
			}
			remote, err := c.remote()
			if err != nil {
				return err
			}
			key, err := remote.CreateKey(cmd.Context(), ask)
			if err != nil {
				return err
			}
			if output == "json" {
				return printJSON(c.out, key)
			}
			fmt.Fprintf(c.out, "export AWS_ACCESS_KEY_ID=%s\nexport AWS_SECRET_ACCESS_KEY=%s\nexport AWS_DEFAULT_REGION=%s\nexport AWS_ENDPOINT_URL_MQ=%s\n", key.ID, key.Secret, key.Region, remote.URL())
			fmt.Fprintf(c.err, "The secret of this key, of account %s, is not shown again.\n", key.Account)
			return nil
		},
	}
	cmd.Flags().StringVar(&ask.Account, "account", "", "account that it belongs to, twelve digits (default: service.account of the configuration)")
	cmd.Flags().StringVar(&ask.Note, "note", "", "for people: whose it is")
	cmd.Flags().StringVarP(&output, "output", "o", "env", "env for a shell, json for programs")
	return cmd
}

func (c *cli) changeKey(word, short, done string, change func(context.Context, *client.Client, string) error) *cobra.Command {
	return &cobra.Command{
		Use: word + " ID", Short: short, Args: exactly(1, "the id of an access key, as `godwit keys` shows it"),
		RunE: func(cmd *cobra.Command, args []string) error {
			remote, err := c.remote()
			if err != nil {
				return err
			}
			if err := change(cmd.Context(), remote, args[0]); err != nil {
				return err
			}
			fmt.Fprintf(c.out, "%s %s\n", done, args[0])
			return nil
		},
	}
}

func (c *cli) brokers() *cobra.Command {
	type row = api.Broker
	l := &listing[row]{sort: "name", columns: []column[row]{
		{"name", func(v row) any { return v.Name }},
		{"id", func(v row) any { return v.ID }},
		{"account", func(v row) any { return v.Account }},
		{"region", func(v row) any { return v.Region }},
		{"state", func(v row) any { return v.State }},
		{"mode", func(v row) any { return v.Mode }},
		{"active", func(v row) any { return strings.TrimPrefix(v.Active, v.ID+"-") }},
		{"for", func(v row) any {
			if v.ActiveSince.IsZero() {
				return time.Duration(0)
			}
			return time.Since(v.ActiveSince)
		}},
		{"endpoints", func(v row) any { return strings.Join(activeEndpoints(v), " ") }},
	}}
	cmd := lister(c, &cobra.Command{
		Use: "brokers", Short: "List the brokers of the service: how they are, which instance is active, where clients connect",
		Long: "List the brokers that were made through Amazon MQ's API, of all accounts and regions: how they are, which of their instances is active and for how long, and its endpoints.\n" +
			"The broker that `godwit serve` runs in its own process is the one with the id own: it is as its configuration says, and nothing else.",
	}, l, func(ctx context.Context, r *client.Client) ([]row, error) { return r.Brokers(ctx) })
	cmd.AddCommand(c.describeBroker(), c.createBroker(), c.updateBroker(), c.switchOverBroker(), c.rebootBroker(), c.deleteBroker(), c.brokerUsers())
	return cmd
}

// activeEndpoints are those of the active instance.
func activeEndpoints(b api.Broker) []string {
	for _, i := range b.Instances {
		if i.Active {
			return i.Endpoints
		}
	}
	return nil
}

func (c *cli) describeBroker() *cobra.Command {
	output := ""
	cmd := &cobra.Command{
		Use: "describe NAME", Short: "Show a broker: its instances, what is at work, what is wrong", Args: exactly(1, "the name or the id of a broker"),
		RunE: func(cmd *cobra.Command, args []string) error {
			remote, err := c.remote()
			if err != nil {
				return err
			}
			b, err := remote.Broker(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if output == "json" {
				return printJSON(c.out, b)
			}
			printBroker(c.out, b)
			return nil
		},
	}
	outputFlag(cmd, &output)
	return cmd
}

func printBroker(w io.Writer, b *api.Broker) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(t, "%s\t%s\n", name, printable(value))
		}
	}
	row("name", b.Name)
	row("id", b.ID)
	row("account, region", b.Account+", "+b.Region)
	row("state", b.State)
	row("problem", b.Problem)
	row("mode", b.Mode)
	row("type", b.Type)
	row("engine version", b.Version)
	row("pending version", b.Pending)
	row("pending program", b.Newer)
	row("created", b.Created.Local().Format("2006-01-02 15:04:05"))
	if b.Active != "" {
		row("active", fmt.Sprintf("%s, since %s", b.Active, b.ActiveSince.Local().Format("2006-01-02 15:04:05")))
	}
	row("placement", b.Placement)
	row("users", strings.Join(b.Users, " "))
	if op := b.Operation; op != nil {
		row("operation", fmt.Sprintf("%s, since %s, step %d of %d", op.Kind, op.Began.Local().Format("15:04:05"), op.At+1, len(op.Steps)))
		row("rolled back", op.Rollback)
		row("failed", op.Error)
	}
	if b.Last != nil && b.Last.Error != "" {
		row("last operation", fmt.Sprintf("%s, rolled back at %s: %s", b.Last.Operation, b.Last.Ended.Local().Format("2006-01-02 15:04:05"), b.Last.Error))
	}
	t.Flush()
	fmt.Fprintln(w, "\ninstances")
	t = tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, i := range b.Instances {
		role := "standby"
		switch {
		case i.Witness:
			role = "witness"
		case i.Active:
			role = "active"
		case b.Active == "":
			role = "-"
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s/%s\t%s\t%s\t%s\n", i.Name, role, i.State, printable(i.Zone), printable(i.Node), printable(i.Program), strings.Join(i.Endpoints, " "), printable(i.Detail))
	}
	t.Flush()
	if op := b.Operation; op != nil {
		fmt.Fprintln(w, "\nsteps")
		for n, s := range op.Steps {
			mark := " "
			switch {
			case n < op.At:
				mark = "done"
			case n == op.At:
				mark = "now"
			}
			fmt.Fprintf(w, "  %-5s %s\n", mark, printable(s))
		}
	}
}

func (c *cli) switchOverBroker() *cobra.Command {
	var ask api.BrokerSwitchover
	output, wait := "", false
	cmd := &cobra.Command{
		Use: "switchover NAME", Short: "Make the other instance of a broker the active one, for good", Args: exactly(1, "the name or the id of a broker"),
		Long: "Make the other instance of a pair the active one. It stays so: nothing switches back by itself. The command returns when the switchover has begun, with --wait when it is done;\n" +
			"godwit brokers describe shows it. With --plan nothing changes: it says what it would cost, and which clients would not follow.",
		Example: "  godwit brokers switchover payroll --plan\n  godwit brokers switchover payroll",
		RunE: func(cmd *cobra.Command, args []string) error {
			remote, err := c.remote()
			if err != nil {
				return err
			}
			before, err := remote.Broker(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			done, err := remote.SwitchOverBroker(cmd.Context(), args[0], ask)
			if err != nil {
				return err
			}
			if output == "json" {
				return printJSON(c.out, done)
			}
			if !ask.Plan {
				if len(done.Steps) == 0 {
					fmt.Fprintf(c.out, "%s is the active instance already\n", done.To)
					return nil
				}
				fmt.Fprintf(c.out, "%s hands over to %s\n", done.From, done.To)
				if wait {
					return c.awaitBroker(cmd.Context(), args[0], before.Last)
				}
				return nil
			}
			fmt.Fprintf(c.out, "%s would hand over to %s (%s).\n", done.From, done.To, done.Cost)
			c.printStranded(done.Clients)
			return nil
		},
	}
	cmd.Flags().IntVar(&ask.To, "to", 0, "number of the instance, 1 or 2 (default: the standby)")
	cmd.Flags().BoolVar(&ask.Plan, "plan", false, "change nothing: list the clients that would not follow, and why")
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until it is done")
	outputFlag(cmd, &output)
	return cmd
}

func (c *cli) rebootBroker() *cobra.Command {
	var ask api.BrokerReboot
	output, wait := "", false
	cmd := &cobra.Command{
		Use: "reboot NAME", Short: "Restart the instances of a broker, with one failover; a pending upgrade is done", Args: exactly(1, "the name or the id of a broker"),
		Long: "Restart the instances of a broker: the witness, the standby, then one switchover, then the one that was active. They take over a pending engine version, and the program that\n" +
			"lies on their nodes by now: so a new Godwit comes to the brokers of a service. The command returns when it has begun, with --wait when it is done.",
		Example: "  godwit brokers reboot payroll --plan\n  godwit brokers reboot payroll --if-pending",
		RunE: func(cmd *cobra.Command, args []string) error {
			remote, err := c.remote()
			if err != nil {
				return err
			}
			before, err := remote.Broker(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			done, err := remote.RebootBroker(cmd.Context(), args[0], ask)
			if err != nil {
				return err
			}
			switch {
			case output == "json":
				return printJSON(c.out, done)
			case len(done.Steps) == 0:
				fmt.Fprintln(c.out, "nothing is pending")
			case ask.Plan:
				fmt.Fprintf(c.out, "it would cost: %s\n", done.Cost)
			default:
				fmt.Fprintf(c.out, "it has begun; it costs: %s\n", done.Cost)
				if wait {
					return c.awaitBroker(cmd.Context(), args[0], before.Last)
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until it is done, and show each step")
	cmd.Flags().BoolVar(&ask.IfPending, "if-pending", false, "do nothing unless an engine version or a newer program is pending")
	cmd.Flags().BoolVar(&ask.Plan, "plan", false, "change nothing: say what it would cost")
	outputFlag(cmd, &output)
	return cmd
}

func (c *cli) printStranded(clients []api.StrandedClient) {
	switch {
	case clients == nil:
		fmt.Fprintln(c.out, "It is not known which clients would follow.")
	case len(clients) == 0:
		fmt.Fprintln(c.out, "All clients would follow.")
	default:
		fmt.Fprint(c.out, "These would not follow, or it is not known:\n\n")
		t := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "SERVICE\tCLIENT\tREMOTE\tWHY")
		for _, s := range clients {
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", cell(s.Service), cell(s.Client), cell(s.Remote), printable(strings.Join(s.Reasons, "; ")))
		}
		t.Flush()
	}
}
