package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/control/client"
	"github.com/godwitmq/godwit/message"
)

// sweepFlags are those of move, copy, remove and purge.
type sweepFlags struct {
	request api.SweepRequest
}

func (f *sweepFlags) add(cmd *cobra.Command, limit bool) {
	flags := cmd.Flags()
	flags.StringVar(&f.request.Selector, "selector", "", "only messages that this JMS selector fits, for example \"region = 'EU'\"")
	if limit {
		flags.IntVar(&f.request.Limit, "limit", 0, "how many messages at most; 0 is all")
	}
	flags.BoolVar(&f.request.DryRun, "dry-run", false, "change nothing: say how many messages are meant, and show the first")
	flags.IntVar(&f.request.First, "first", 10, "how many messages --dry-run shows")
}

// words of what was done, and would be done.
type sweepWords struct{ done, would string }

func (c *cli) move() *cobra.Command {
	return c.transfer(client.Move, sweepWords{"moved", "would move"}, "Move messages to another queue",
		"Move messages that wait in a queue to another one. Each is in exactly one of the two at any time, a crash included. Messages at consumers stay,\n"+
			"and so do those that come in while it works. Interrupt it at any time: what was moved stays moved.",
		"  godwit move ActiveMQ.DLQ orders --selector \"region = 'EU'\" --dry-run\n  godwit move old-orders orders --limit 1000")
}

func (c *cli) copy() *cobra.Command {
	return c.transfer(client.Copy, sweepWords{"copied", "would copy"}, "Copy messages to another queue or a topic",
		"Send a copy of each message that waits in a queue to another queue or to a topic. Interrupt it at any time.",
		"  godwit copy orders orders-test --limit 10\n  godwit copy orders topic://replay")
}

// transfer is move or copy.
func (c *cli) transfer(verb client.Sweep, words sweepWords, short, long, example string) *cobra.Command {
	var f sweepFlags
	cmd := &cobra.Command{
		Use: string(verb) + " FROM TO [MESSAGE...]", Short: short, Long: long + "\nMessages are named by their JMSMessageIDs, as `godwit browse` shows them.", Example: example,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 2 {
				return exactly(2, "a queue and a destination, for example: godwit "+string(verb)+" ActiveMQ.DLQ orders")(cmd, nil)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			from, err := destination(args[0])
			if err != nil {
				return err
			}
			to, err := destination(args[1])
			if err != nil {
				return err
			}
			f.request.To, f.request.IDs = to.String(), args[2:]
			return c.runSweep(cmd.Context(), &f, words, " to "+to.String(), ofDestination(verb, from))
		},
	}
	f.add(cmd, true)
	return cmd
}

func (c *cli) remove() *cobra.Command {
	var f sweepFlags
	cmd := &cobra.Command{
		Use: "remove QUEUE [MESSAGE...]", Short: "Remove some messages from a queue",
		Long: "Remove messages that wait in a queue, for ever: those of the given JMSMessageIDs (`godwit browse` shows them), or those that --selector fits.\n" +
			"`godwit purge` removes all.",
		Example: "  godwit remove orders ID:host-1234-1795418127049-5:2:1:1:1\n  godwit remove orders --selector \"region = 'EU'\" --dry-run",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 1 {
				return exactly(1, "a queue and messages, or --selector, for example: godwit remove orders --selector \"region = 'EU'\"")(cmd, nil)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			from, err := destination(args[0])
			if err != nil {
				return err
			}
			if f.request.IDs = args[1:]; len(f.request.IDs) == 0 && strings.TrimSpace(f.request.Selector) == "" {
				return &usageError{errors.New("name the messages by their ids or by --selector; `godwit purge` removes all")}
			}
			return c.runSweep(cmd.Context(), &f, sweepWords{"removed", "would remove"}, " from "+from.String(), ofDestination(client.Remove, from))
		},
	}
	f.add(cmd, true)
	return cmd
}

func (c *cli) purge() *cobra.Command {
	var f sweepFlags
	var yes bool
	cmd := &cobra.Command{
		Use: "purge QUEUE", Short: "Remove all messages that wait in a queue",
		Long: "Remove all messages that wait in a queue and are not at a consumer, for ever. In a terminal it asks before it does.",
		Args: exactly(1, "a queue, for example: godwit purge queue://orders"),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := destination(args[0])
			if err != nil {
				return err
			}
			what := "all messages"
			if f.request.Selector != "" {
				what = "all messages that fit"
			}
			if !yes && !f.request.DryRun && terminal(c.in) && !c.agrees("Remove "+what+" of "+d.String()+"? [y/N] ") {
				return errSilent
			}
			return c.runSweep(cmd.Context(), &f, sweepWords{"removed", "would remove"}, " from "+d.String(), ofDestination(client.Remove, d))
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	f.add(cmd, false)
	return cmd
}

// sweeper asks for a sweep of one place.
type sweeper func(context.Context, *client.Client, api.SweepRequest, func(api.Swept)) (*api.Swept, error)

func ofDestination(verb client.Sweep, d message.Destination) sweeper {
	return func(ctx context.Context, remote *client.Client, request api.SweepRequest, progress func(api.Swept)) (*api.Swept, error) {
		return remote.Sweep(ctx, verb, d, request, progress)
	}
}

func (c *cli) runSweep(ctx context.Context, f *sweepFlags, words sweepWords, where string, sweep sweeper) error {
	remote, err := c.remote()
	if err != nil {
		return err
	}
	progress := c.progress(words.done)
	f.request.Progress = progress.w != nil
	done, err := sweep(ctx, remote, f.request, func(s api.Swept) { progress.to(s.Affected) })
	progress.end()
	if err != nil {
		if done != nil && done.Affected > 0 {
			return fmt.Errorf("after %d messages were %s: %w", done.Affected, words.done, err)
		}
		return err
	}
	word := words.done
	if f.request.DryRun {
		word = words.would
	}
	fmt.Fprintf(c.out, "%s %d messages%s\n", word, done.Affected, where)
	if done.Batch != 0 {
		fmt.Fprintf(c.out, "godwit dead-letters undo %d undoes it\n", done.Batch)
	}
	if f.request.DryRun {
		for i := range done.First {
			m := &done.First[i]
			fmt.Fprintf(c.out, "  %s  %s  %s, %d bytes\n", m.ID, when(m.Timestamp), m.Type, m.Size)
		}
	}
	return nil
}

// pause is pause, or resume.
func (c *cli) pause(on bool) *cobra.Command {
	word, done, short, long := "pause", "paused", "Hold a queue's messages back from its consumers",
		"Hold back what waits in a queue from its consumers until `godwit resume`, also after a restart. Sends and acknowledgements go on as before,\nand browsers see what waits."
	if !on {
		word, done, short, long = "resume", "resumed", "Let a paused queue's messages go to its consumers again", "Undo `godwit pause`."
	}
	return &cobra.Command{
		Use: word + " QUEUE", Short: short, Long: long, Args: exactly(1, "a queue, for example: godwit "+word+" queue://orders"),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := destination(args[0])
			if err != nil {
				return err
			}
			remote, err := c.remote()
			if err != nil {
				return err
			}
			if err := remote.Pause(cmd.Context(), d, on); err != nil {
				return err
			}
			fmt.Fprintf(c.out, "%s %v\n", done, d)
			return nil
		},
	}
}

// createDestination is the command below queues and topics.
func (c *cli) createDestination(kind message.Kind) *cobra.Command {
	word := kind.String()
	return &cobra.Command{
		Use: "create NAME", Short: "Make a " + word + "; one that is there already is left as it is", Args: exactly(1, "the name of a "+word),
		RunE: func(cmd *cobra.Command, args []string) error {
			remote, err := c.remote()
			if err != nil {
				return err
			}
			d := message.Destination{Kind: kind, Name: strings.TrimPrefix(args[0], word+"://")}
			if err := remote.Create(cmd.Context(), d); err != nil {
				return err
			}
			fmt.Fprintf(c.out, "there is %v\n", d)
			return nil
		},
	}
}
