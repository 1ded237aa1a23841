// Command godwit is the broker and everything around it: serve runs it, the other commands talk to a running one through its HTTP API,
// or work on the files of a stopped one. This package only wires the others together.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() { os.Exit(run()) }

// run is main with an exit code: 0 is success, 1 an error, 2 a command line that makes no sense, 130 an interruption.
func run() int {
	// serve looks after its signals itself: the first one only begins its end.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	c := &cli{in: os.Stdin, out: os.Stdout, err: os.Stderr}
	released := false
	err := c.root(func() { released = true; stop() }).ExecuteContext(ctx)
	var usage *usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &usage):
		fmt.Fprintf(os.Stderr, "godwit: %v\n", err)
		return 2
	case !released && ctx.Err() != nil:
		return 130
	case errors.Is(err, errSilent):
		return 1
	}
	fmt.Fprintf(os.Stderr, "godwit: %v\n", err)
	return 1
}

// errSilent ends with exit code 1 after all has been said.
var errSilent = errors.New("failed")

// usageError is a command line that makes no sense.
type usageError struct{ error }

// cli is what all commands share.
type cli struct {
	in       *os.File
	out, err io.Writer

	api, user string
	broker    string // of a service; "": the one at api itself
	output    string
	password  string // that was asked for, once for all calls of a command
}

// root is the command tree. release gives the signals back to the system, for serve.
func (c *cli) root(release func()) *cobra.Command {
	root := &cobra.Command{
		Use:           "godwit",
		Short:         "A message broker for ActiveMQ's clients that moves without stopping",
		Long:          "A message broker for ActiveMQ's clients that moves without stopping.\n\n`godwit serve` starts one; most other commands talk to it.",
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       versionText(),
	}
	root.SetOut(c.out)
	root.SetErr(c.err)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &usageError{fmt.Errorf("%w\nSee `%s --help`", err, cmd.CommandPath())}
	})
	root.PersistentFlags().StringVar(&c.api, "api", "", "address of the broker's HTTP API (GODWIT_API; default http://127.0.0.1:8161)")
	root.PersistentFlags().StringVar(&c.user, "user", "", "user name for the API, where it demands credentials (GODWIT_USER; the password is in GODWIT_PASSWORD, or asked for)")
	root.PersistentFlags().StringVar(&c.broker, "broker", os.Getenv("GODWIT_BROKER"), "name or id of a broker of the service at that address, for which the command is meant (GODWIT_BROKER)")
	root.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		return &usageError{fmt.Errorf("there is no command %q\nSee `godwit --help`", args[0])}
	}
	root.RunE = func(cmd *cobra.Command, args []string) error { return cmd.Help() }
	root.AddGroup(&cobra.Group{ID: "broker", Title: "The broker:"}, &cobra.Group{ID: "messages", Title: "Messages:"},
		&cobra.Group{ID: "look", Title: "What is going on:"}, &cobra.Group{ID: "cluster", Title: "Several instances of one broker:"}, &cobra.Group{ID: "service", Title: "A service for several brokers:"}, &cobra.Group{ID: "files", Title: "Files:"})
	group := func(id string, commands ...*cobra.Command) {
		for _, cmd := range commands {
			cmd.GroupID = id
			root.AddCommand(cmd)
		}
	}
	group("broker", c.serve(release), c.reload(), c.ready(), c.backup(), c.version())
	group("messages", c.send(), c.receive(), c.browse(), c.move(), c.copy(), c.remove(), c.purge(), c.deadLetters(), c.schedules(), c.pause(true), c.pause(false), c.bench())
	group("look", c.queues(), c.topics(), c.clients(), c.connections(), c.consumers(), c.subscriptions(), c.transactions(), c.refusals(), c.audit())
	group("cluster", c.instances(), c.watch(), c.switchover(), c.reboot(), c.convert(), c.cluster())
	group("service", c.brokers(), c.configurations(), c.securityGroups(), c.instanceTypes(), c.nodes(), c.keys(), c.awsExtras())
	group("files", c.config(), c.importing(), c.users(), c.journal(), c.restore())
	return root
}

// exactly wants n arguments, and says which.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return &usageError{fmt.Errorf("%s wants %s\nSee `%s --help`", cmd.CommandPath(), what, cmd.CommandPath())}
		}
		return nil
	}
}
