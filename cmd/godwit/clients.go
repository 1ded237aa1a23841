package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/control/client"
	"github.com/godwitmq/godwit/readiness"
)

func (c *cli) clients() *cobra.Command {
	services := &listing[readiness.Service]{sort: "service", columns: serviceColumns()}
	connections := &listing[readiness.Client]{sort: "id", columns: clientColumns()}
	cmd := &cobra.Command{
		Use: "clients [SERVICE]", Short: "Show who is connected, and who would follow a failover",
		Long: "Show the services whose clients are connected, to which instance they came, and whether they would follow if another instance became active; with the name of a service\n" +
			"its connections, one by one. What makes a service is said by `services` in the configuration; other clients are grouped by user, else by client id, else by address.\n" +
			"Verdicts: ready; warning (something to improve, or not known); will not follow (it stands still until somebody restarts it).",
		Example: "  godwit clients\n  godwit clients orders\n  godwit clients probe orders",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return &usageError{fmt.Errorf("%s wants one service or none\nSee `%s --help`", cmd.CommandPath(), cmd.CommandPath())}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			remote, err := c.remote()
			if err != nil {
				return err
			}
			if len(args) == 0 {
				answer, err := remote.Clients(cmd.Context(), false)
				if err != nil {
					return err
				}
				return services.print(c.out, answer.Services, c.output)
			}
			s, err := remote.Service(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if c.output == "json" {
				return printJSON(c.out, s)
			}
			if cmd.Flags().Changed("sort") {
				connections.sort = services.sort
			}
			c.printService(s)
			return connections.print(c.out, s.Clients, c.output)
		},
	}
	services.flags(cmd, &c.output)
	cmd.AddCommand(c.probe())
	return cmd
}

func serviceColumns() []column[readiness.Service] {
	type row = readiness.Service
	return []column[row]{
		{"service", func(s row) any { return s.Name }},
		{"by", func(s row) any { return s.By }},
		{"connections", func(s row) any { return int64(s.Connections) }},
		{"at", func(s row) any { return places(s.Nodes) }},
		{"verdict", func(s row) any { return string(s.Verdict) }},
		{"to do", func(s row) any {
			switch n := len(s.Findings); {
			case n == 0:
				return ""
			case n == 1:
				return s.Findings[0].Text
			default:
				return fmt.Sprintf("%s (and %d more)", s.Findings[0].Text, n-1)
			}
		}},
	}
}

// places is how many connections came to which instance.
func places(nodes map[string]int) string {
	var parts []string
	for name, n := range nodes {
		if name != "" {
			parts = append(parts, fmt.Sprintf("%s:%d", name, n))
		}
	}
	slices.Sort(parts)
	return strings.Join(parts, " ")
}

func clientColumns() []column[readiness.Client] {
	type row = readiness.Client
	return []column[row]{
		{"id", func(v row) any { return int64(v.ID) }},
		{"client id", func(v row) any { return v.ClientID }},
		{"user", func(v row) any { return v.User }},
		{"protocol", func(v row) any { return strings.TrimSpace(v.Protocol + " " + v.Version) }},
		{"library", func(v row) any { return v.Library }},
		{"remote", func(v row) any { return v.Remote.String() }},
		{"at", func(v row) any { return v.Node }},
		{"endpoint", func(v row) any { return v.Endpoint }},
		{"dialled", func(v row) any { return cmp.Or(v.ServerName, v.Host, v.Local) }},
		{"tls", func(v row) any { return cmp.Or(v.TLS, "plain") }},
		{"failover", func(v row) any { return string(v.Failover) }},
		{"credentials", func(v row) any { return v.Credentials }},
		{"keep-alive", func(v row) any {
			if v.KeepAlive == 0 {
				return "off"
			}
			return (time.Duration(v.KeepAlive) * time.Millisecond).String()
		}},
		{"prefetch", func(v row) any { return prefetches(v.Consumers) }},
		{"age", func(v row) any { return time.Since(v.Since) }},
		{"reconnects", func(v row) any { return int64(v.Reconnects) }},
		{"verdict", func(v row) any { return string(v.Verdict) }},
	}
}

// prefetches are those of a client's consumers, each value once.
func prefetches(consumers []readiness.Consumer) string {
	var values []int
	for _, x := range consumers {
		values = append(values, x.Prefetch)
	}
	slices.Sort(values)
	var parts []string
	for _, v := range slices.Compact(values) {
		parts = append(parts, fmt.Sprint(v))
	}
	return strings.Join(parts, ",")
}

func (c *cli) printService(s *readiness.Service) {
	fmt.Fprintf(c.out, "%s (by %s): %d connections, %s\n", printable(s.Name), s.By, s.Connections, s.Verdict)
	for _, f := range s.Findings {
		fmt.Fprintf(c.out, "  %s (%d of %d): %s\n", f.Level, f.Connections, s.Connections, printable(f.Text))
	}
	fmt.Fprintln(c.out)
}

func (c *cli) probe() *cobra.Command {
	var refuse, wait time.Duration
	var connection uint64
	var yes bool
	output := ""
	cmd := &cobra.Command{
		Use: "probe SERVICE", Short: "Test the failover of one of a service's clients for real", Args: exactly(1, "the name of a service, as `godwit clients` shows it"),
		Long: "Close one connection of a service, have the instance to which it came refuse that client for some seconds, and see whether and where it comes back. Nobody else is touched;\n" +
			"the client must bear it as it would bear a failover. Of a broker alone, it can only come back to the same. Exit code 1: it did not come back.",
		RunE: func(cmd *cobra.Command, args []string) error {
			remote, err := c.remote()
			if err != nil {
				return err
			}
			s, err := remote.Service(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			x := s.Candidate(connection)
			if x == nil {
				return fmt.Errorf("connection %d is none of service %s; `godwit clients %s` shows them", connection, args[0], args[0])
			}
			what := fmt.Sprintf("connection %d (%s, %s, from %s)", x.ID, printable(cmp.Or(x.ClientID, x.User, "without client id")), x.Protocol, x.Remote)
			at := ""
			if x.Node != "" {
				at = " at " + x.Node
			}
			if !yes {
				if !terminal(c.in) {
					return &usageError{errors.New("a probe closes a client's connection: say --yes where nobody can be asked")}
				}
				if !c.agrees(fmt.Sprintf("Close %s and refuse that client%s for %v? [y/N] ", what, at, refuse)) {
					return errSilent
				}
			}
			if output != "json" {
				fmt.Fprintf(c.out, "%s  closing %s, refusing it%s for %v, waiting for it for at most %v\n", clock(time.Now()), what, at, refuse, wait)
			}
			done, err := remote.Probe(cmd.Context(), args[0], api.Probe{Connection: x.ID, Refuse: refuse.String(), Wait: wait.String()})
			if err != nil {
				return err
			}
			if output == "json" {
				err = printJSON(c.out, done)
			} else {
				printProbed(c.out, done)
			}
			if err == nil && !done.Back {
				return errSilent
			}
			return err
		},
	}
	outputFlag(cmd, &output)
	cmd.Flags().Uint64Var(&connection, "connection", 0, "number of the connection (default: one of which it is not known whether its client comes back)")
	cmd.Flags().DurationVar(&refuse, "refuse", 5*time.Second, "for how long the instance to which it came refuses it; at most 1m")
	cmd.Flags().DurationVar(&wait, "wait", 30*time.Second, "for how long it is waited for; at most 4m")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

func clock(t time.Time) string { return t.Local().Format("15:04:05.000") }

func printProbed(w io.Writer, p *readiness.Probed) {
	after := func(ms int64) string { return clock(p.At.Add(time.Duration(ms) * time.Millisecond)) }
	if p.First >= 0 && p.Tries > 0 {
		fmt.Fprintf(w, "%s  its first try, refused\n", after(p.First))
	}
	verdict := "follows"
	if !p.Back {
		verdict = "did not follow"
	}
	fmt.Fprintf(w, "%s  it %s\n%s\n", after(p.After), p.Text, verdict)
}

func printPlan(w io.Writer, p *client.Plan) {
	fmt.Fprintf(w, "%s would hand over to %s, which is %d entries of the log behind.\n", p.From, p.To, p.Lag)
	if len(p.Services) == 0 {
		fmt.Fprintf(w, "All %d connections would follow.\n", p.All)
		return
	}
	fmt.Fprintf(w, "Of %d connections these would not follow, or it is not known:\n\n", p.All)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SERVICE\tCONNECTIONS\tVERDICT\tWHY")
	for _, s := range p.Services {
		for _, f := range s.Findings {
			fmt.Fprintf(t, "%s\t%d of %d\t%s\t%s\n", printable(s.Name), f.Connections, s.Connections, f.Level, printable(f.Text))
		}
	}
	t.Flush()
}

// warnOf tells on standard error who would not follow what is about to happen.
func warnOf(w io.Writer, p *client.Plan) {
	for _, s := range p.Services {
		for _, f := range s.Findings {
			fmt.Fprintf(w, "warning: %s, %d of %d connections: %s\n", printable(s.Name), f.Connections, s.Connections, printable(f.Text))
		}
	}
}
