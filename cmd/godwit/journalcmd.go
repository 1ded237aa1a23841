package main

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/godwitmq/godwit/journal/segment"
	"github.com/godwitmq/godwit/vfs"
)

func (c *cli) journal() *cobra.Command {
	root := &cobra.Command{Use: "journal", Short: "Look at, verify and repair the journal of a stopped broker",
		Args: exactly(1, "inspect, verify or repair"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return &usageError{fmt.Errorf("%q is not known; expected inspect, verify or repair", args[0])}
		}}
	var f journalFlags
	root.PersistentFlags().StringVarP(&f.config, "config", "c", "", "configuration file that names the data folder")
	root.PersistentFlags().StringVar(&f.data, "data", "", "the broker's data folder (default godwit-data)")
	root.PersistentFlags().BoolVar(&f.service, "service", false, "the log of the service for several brokers, instead of the broker's own journal")
	root.AddCommand(
		&cobra.Command{Use: "inspect", Short: "List the journal's files and what they hold", Args: exactly(0, "no arguments"),
			RunE: func(cmd *cobra.Command, args []string) error {
				return c.withJournal(&f, func(dir string) error { return segment.Inspect(dir, quiet, c.out) })
			}},
		&cobra.Command{Use: "verify", Short: "Read all of the journal, and report damage", Args: exactly(0, "no arguments"),
			RunE: func(cmd *cobra.Command, args []string) error {
				return c.withJournal(&f, func(dir string) error {
					report, err := segment.Verify(dir, quiet)
					if err != nil {
						return err
					}
					return c.printReport(report)
				})
			}},
		c.journalRepair(&f))
	return root
}

// journalFlags say which journal is meant.
type journalFlags struct {
	usersFlags // for --config and --data
	service    bool
}

// quiet are options for tools, which say themselves what is to be said.
var quiet = segment.Options{Logger: slog.New(slog.DiscardHandler)}

// withJournal finds the journal's folder.
func (c *cli) withJournal(f *journalFlags, do func(dir string) error) error {
	serve := serveFlags{file: f.config, values: map[string]*string{}}
	for _, k := range serveKeys {
		serve.values[k.flag] = new(string)
	}
	*serve.values["data"] = f.data
	cfg, err := serve.load()
	if err != nil {
		return err
	}
	dir := cfg.JournalPath()
	if f.service {
		dir = filepath.Join(cfg.ControlPath(), controlJournal)
	}
	err = do(dir)
	var locked *vfs.LockedError
	if errors.As(err, &locked) {
		return fmt.Errorf("%w\nThe broker is running: stop it first", err)
	}
	return err
}

// printReport says what was found; damage is an error.
func (c *cli) printReport(r segment.Report) error {
	fmt.Fprintf(c.out, "%s: %d files, %d batches, %d records, positions %d to %d\n", r.Dir, len(r.Segments), r.Batches, r.Records, r.Head, r.Tail)
	for _, g := range r.Gaps {
		fmt.Fprintf(c.out, "given up by an earlier repair: %v\n", g)
	}
	for _, d := range r.Damages {
		fmt.Fprintf(c.out, "damaged: %v\n", d)
	}
	if len(r.Damages) > 0 {
		return fmt.Errorf("the journal is damaged in %d places; `godwit journal repair` says what giving them up would cost", len(r.Damages))
	}
	fmt.Fprintln(c.out, "no damage")
	return nil
}

func (c *cli) journalRepair(f *journalFlags) *cobra.Command {
	var apply bool
	cmd := &cobra.Command{
		Use: "repair", Short: "Give up what is damaged, so that the broker can start",
		Long: "List what would be given up to make a damaged journal readable again. Nothing is changed without --apply. With it, the damaged bytes\n" +
			"are copied beside the journal's files first.",
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.service {
				return &usageError{errors.New("the service's log is not repaired, because its state would be another one then: put it back from a backup (godwit restore)")}
			}
			return c.withJournal(f, func(dir string) error { return c.repair(dir, apply) })
		},
	}
	cmd.Flags().BoolVar(&apply, "apply", false, "do it")
	return cmd
}

func (c *cli) repair(dir string, apply bool) error {
	lost := 0
	report, err := segment.Repair(dir, quiet, apply, func(l segment.Lost) {
		lost++
		readable := "unreadable"
		if l.Data != nil {
			readable = fmt.Sprintf("%d bytes", len(l.Data))
		}
		fmt.Fprintf(c.out, "lost: record at position %d, %s\n", l.Position, readable)
	})
	if err != nil {
		return err
	}
	for _, d := range report.Damages {
		fmt.Fprintf(c.out, "damaged: %v\n", d)
		if d.Saved != "" {
			fmt.Fprintf(c.out, "  its bytes were copied to %s\n", d.Saved)
		}
	}
	switch {
	case len(report.Damages) == 0:
		fmt.Fprintln(c.out, "no damage; nothing to repair")
	case apply:
		fmt.Fprintf(c.out, "repaired: %d damaged places with %d records known were given up\n", len(report.Damages), lost)
	default:
		fmt.Fprintf(c.out, "nothing was changed; --apply gives up %d damaged places with %d records known\n", len(report.Damages), lost)
	}
	return nil
}
