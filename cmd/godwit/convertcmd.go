package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/godwitmq/godwit/config"
	"github.com/godwitmq/godwit/control/api"
)

func (c *cli) convert() *cobra.Command {
	var ask api.Convert
	rate := "32MiB"
	cmd := &cobra.Command{
		Use: "convert --to active-standby|single --config FILE", Short: "Make a pair of a broker alone, or the other way round, while it serves", Args: exactly(0, "no arguments"),
		Long: "Make the active instance of a pair of a broker that runs alone, or a broker alone of the active instance, while it serves. What it has is copied first, which may take\n" +
			"long and can be interrupted; then clients are sent away once, for as long as the rest takes, and reconnect as after a switchover. The process goes on. --config\n" +
			"names, on the broker's machine, the configuration that holds from then on; it differs from the one before in the section cluster alone. docs/operations.md says more.",
		Example: "  godwit cluster init --dir pair --from single.yaml    # then start the other two nodes\n" +
			"  godwit convert --to active-standby --config pair/a.yaml --plan\n  godwit convert --to active-standby --config pair/a.yaml\n  godwit convert --to single --config single.yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			if ask.To == "" || ask.Config == "" {
				return &usageError{fmt.Errorf("say what to become and by which configuration: --to %s or %s, and --config FILE", toPair, toSingle)}
			}
			size, err := config.ParseSize(rate)
			if err != nil {
				return &usageError{fmt.Errorf("--rate: %w", err)}
			}
			if ask.Rate = int64(size); ask.Rate == 0 {
				ask.Rate = -1
			}
			ask.Config = absolute(ask.Config)
			remote, err := c.remote()
			if err != nil {
				return err
			}
			p := converting{out: c.out, live: terminal(c.out), plan: ask.Plan}
			return remote.Convert(cmd.Context(), ask, p.show)
		},
	}
	cmd.Flags().StringVar(&ask.To, "to", "", "active-standby or single")
	cmd.Flags().StringVarP(&ask.Config, "config", "c", "", "configuration that holds afterwards, as the broker finds it")
	cmd.Flags().BoolVar(&ask.Plan, "plan", false, "only say what would be done and whether it can be")
	cmd.Flags().StringVar(&rate, "rate", rate, "how much is copied a second at most, so that clients have the disk as well; 0 is no limit")
	return cmd
}

// converting shows how far a conversion is.
type converting struct {
	out        io.Writer
	live, plan bool // live: a terminal, where a line replaces the one before
	begun      time.Time
	from       uint64
	shown      time.Time
}

func (p *converting) show(line api.Converting) {
	switch line.Phase {
	case "checked":
		for _, k := range line.Checks {
			word := "ok  "
			if !k.Fine {
				word = "NO  "
			}
			detail := ""
			if k.Detail != "" {
				detail = ": " + k.Detail
			}
			fmt.Fprintf(p.out, "%s%s%s\n", word, k.What, detail)
		}
		if line.Done {
			fmt.Fprintln(p.out, "All that there is would be copied while clients are served, then they would be sent away once, to reconnect. Nothing was changed")
		}
	case "copying":
		if p.begun.IsZero() {
			p.begun, p.from = time.Now(), line.Bytes
		}
		if !p.live && time.Since(p.shown) < 5*time.Second && line.Rest > 0 {
			return
		}
		p.shown = time.Now()
		rate := config.Size(0)
		if took := time.Since(p.begun).Seconds(); took > 0 {
			rate = config.Size(float64(line.Bytes-p.from) / took)
		}
		end := "\n"
		if p.live {
			end = "\033[K\r"
		}
		fmt.Fprintf(p.out, "copied %d records, %s at %s a second; %s to go%s", line.Records, rounded(line.Bytes), rounded(uint64(rate)), rounded(line.Rest), end)
	case "handing over":
		if p.live {
			fmt.Fprintln(p.out)
		}
		fmt.Fprintln(p.out, "handing over: clients are sent away, to reconnect")
	case "done":
		fmt.Fprintf(p.out, "done: %d records, %s, the same on both sides (SHA-256 %s); nobody was served for %d ms\n%s\n", line.Records, rounded(line.Bytes), line.Hash, line.Millis, line.Note)
	}
}

// rounded is a number of bytes for people.
func rounded(n uint64) string {
	switch {
	case n >= 10<<30:
		return fmt.Sprintf("%d GiB", n>>30)
	case n >= 10<<20:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 10<<10:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d bytes", n)
}
