package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/control/client"
)

func (c *cli) reboot() *cobra.Command {
	var only string
	var witness, yes bool
	var patience time.Duration
	cmd := &cobra.Command{
		Use: "reboot", Short: "Restart the broker; of a pair with one failover only", Args: exactly(0, "no arguments"),
		Long: "Restart the instances of a pair: first the standby, then, when it has caught up, one switchover to it, which stays, then the one that was active. Each node stops in good\n" +
			"order and starts the same program with the same arguments again: if another version has taken its place, this is the upgrade.\n" +
			"Nothing begins while a node is away or behind, and no step before the one before is done. If it is interrupted it says what is left, and `--node` does that.\n" +
			"A broker alone asks, and restarts: its clients are away for that time.",
		Example: "  godwit reboot\n  godwit reboot --witness\n  godwit reboot --node a",
		RunE: func(cmd *cobra.Command, args []string) error {
			remote, err := c.remote()
			if err != nil {
				return err
			}
			r := &rebooter{cli: c, remote: remote, patience: patience, begun: time.Now()}
			_, err = remote.Instances(cmd.Context())
			var refused *api.Error
			if errors.As(err, &refused) && refused.Status == http.StatusConflict && only == "" {
				return r.alone(cmd.Context(), yes)
			}
			if err != nil {
				return err
			}
			return r.pair(cmd.Context(), only, witness)
		},
	}
	cmd.Flags().StringVar(&only, "node", "", "restart this node alone; if it is active, after a switchover")
	cmd.Flags().BoolVar(&witness, "witness", false, "restart the witness, too, before the others")
	cmd.Flags().DurationVar(&patience, "patience", 5*time.Minute, "for how long a node may take to be back and up to date")
	cmd.Flags().BoolVar(&yes, "yes", false, "of a broker alone: do not ask")
	return cmd
}

// rebooter restarts instances one after the other.
type rebooter struct {
	cli      *cli
	remote   *client.Client
	patience time.Duration
	begun    time.Time
	left     []string // nodes that are to be restarted still
}

// lookEvery is how often a reboot looks how far it is.
const lookEvery = 200 * time.Millisecond

func (r *rebooter) say(format string, args ...any) {
	fmt.Fprintf(r.cli.out, "%6.1fs  %s\n", time.Since(r.begun).Seconds(), fmt.Sprintf(format, args...))
}

// await looks until done says that there is nothing to wait for, and fails with what it says if that takes too long.
func (r *rebooter) await(ctx context.Context, patience time.Duration, done func() error) error {
	deadline := time.Now().Add(patience)
	for {
		err := done()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("after %v: %w", patience, err)
		}
		select {
		case <-time.After(lookEvery):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (r *rebooter) alone(ctx context.Context, yes bool) error {
	before, err := r.remote.Version(ctx)
	if err != nil {
		return err
	}
	if !yes {
		if !terminal(r.cli.in) {
			return &usageError{errors.New("this broker runs alone, so its clients are away while it restarts: say --yes where nobody can be asked")}
		}
		if !r.cli.agrees(fmt.Sprintf("Broker %s runs alone: its clients are away while it restarts. Restart it? [y/N] ", before.Broker)) {
			return errSilent
		}
	}
	if err := r.remote.Restart(ctx); err != nil {
		return err
	}
	r.say("%s stops in good order and starts again", before.Broker)
	var now *api.Version
	err = r.await(ctx, r.patience, func() (err error) {
		if now, err = r.remote.Version(ctx); err != nil {
			return err
		}
		if !now.Started.After(before.Started) {
			return errors.New("it has not stopped yet")
		}
		if !r.remote.Ready(ctx) {
			return errors.New("it does not serve clients yet")
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("the broker is not back: %w", err)
	}
	r.say("%s serves clients again, version %s", now.Broker, now.Version)
	return nil
}

// whole says whether all nodes are there and up to date, so that one may go away.
func whole(all []api.Instance) error {
	var wrong []string
	active, standby := 0, 0
	for _, i := range all {
		switch i.Role {
		case "active":
			active++
		case "standby":
			standby++
		case "witness":
		default:
			wrong = append(wrong, strings.TrimSpace(fmt.Sprintf("%s is %s %s", i.Name, i.Role, i.Reason)))
		}
		if len(i.Behind) > 0 {
			wrong = append(wrong, fmt.Sprintf("%s finds that the log's copy of %s is away or behind", i.Name, strings.Join(i.Behind, " and ")))
		}
	}
	if active != 1 {
		wrong = append(wrong, fmt.Sprintf("%d instances are active", active))
	}
	if standby == 0 {
		wrong = append(wrong, "no instance stands by")
	}
	if wrong != nil {
		return errors.New(strings.Join(wrong, "; "))
	}
	return nil
}

// healthyWithin is how long a pair may take to be seen healthy: a standby's lag and its copy of the log come and go under load.
const healthyWithin = 10 * time.Second

// healthy gives the nodes when all of them are well.
func (r *rebooter) healthy(ctx context.Context, patience time.Duration) (all []api.Instance, err error) {
	err = r.await(ctx, patience, func() (err error) {
		if all, err = r.remote.Instances(ctx); err != nil {
			return err
		}
		return whole(all)
	})
	return all, err
}

func roleOf(all []api.Instance, name string) string {
	for _, i := range all {
		if i.Name == name {
			return i.Role
		}
	}
	return ""
}

func (r *rebooter) pair(ctx context.Context, only string, witness bool) error {
	all, err := r.healthy(ctx, healthyWithin)
	if err != nil {
		return fmt.Errorf("nothing was begun, because not all is well: %w", err)
	}
	for _, role := range []string{"witness", "standby", "active"} { // the order of restarts
		for _, i := range all {
			if i.Role == role && (only == i.Name || only == "" && (role != "witness" || witness)) {
				r.left = append(r.left, i.Name)
			}
		}
	}
	if r.left == nil {
		return &usageError{fmt.Errorf("there is no node %q; `godwit instances` lists them", only)}
	}
	failovers := 0
	for len(r.left) > 0 {
		name := r.left[0]
		if roleOf(all, name) == "active" {
			if err := r.switchOver(ctx, name); err != nil {
				return r.unfinished(ctx, err)
			}
			failovers++
		}
		if err := r.restart(ctx, name); err != nil {
			return r.unfinished(ctx, err)
		}
		r.left = r.left[1:]
		if all, err = r.healthy(ctx, r.patience); err != nil {
			return r.unfinished(ctx, fmt.Errorf("not all is well: %w", err))
		}
	}
	for _, i := range all {
		if i.Role == "active" {
			r.say("done: %s is active and stays so; failovers: %d", i.Name, failovers)
		}
	}
	return nil
}

// switchOver makes another instance the active one.
func (r *rebooter) switchOver(ctx context.Context, from string) error {
	p, err := r.remote.PlanSwitchOver(ctx, "")
	if err != nil {
		return err
	}
	warnOf(r.cli.err, p)
	r.say("%s hands over to %s", from, p.To)
	done, err := r.remote.SwitchOver(ctx, p.To)
	if err != nil {
		return err
	}
	r.say("%s has the log, after %d ms", done.To, done.Millis)
	all, err := r.healthy(ctx, r.patience)
	if err == nil && roleOf(all, from) == "active" {
		err = fmt.Errorf("%s is active again", from)
	}
	if err == nil {
		r.say("%s is active, %s stands by", done.To, from)
	}
	return err
}

// restart has a node restart, and waits until it is what it was.
func (r *rebooter) restart(ctx context.Context, name string) error {
	of := func() (api.Instance, error) {
		all, err := r.remote.Instances(ctx)
		if err != nil {
			return api.Instance{}, err
		}
		i := slices.IndexFunc(all, func(i api.Instance) bool { return i.Name == name })
		if i < 0 {
			return api.Instance{}, fmt.Errorf("%s is no node any more", name)
		}
		return all[i], nil
	}
	before, err := of()
	if err != nil {
		return err
	}
	if err := r.remote.RestartInstance(ctx, name); err != nil {
		return err
	}
	r.say("%s (%s) stops in good order and starts again", name, before.Role)
	now := before
	err = r.await(ctx, r.patience, func() (err error) {
		if now, err = of(); err != nil { // it may be the one that is asked
			return err
		}
		switch {
		case !now.Started.After(before.Started):
			return errors.New("it has not stopped yet")
		case now.Role != before.Role:
			return fmt.Errorf("it is %s still", now.Role)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%s is not back: %w", name, err)
	}
	r.say("%s is back as %s, version %s", name, now.Role, now.Version)
	return nil
}

// unfinished says what is left, so that somebody can go on from there.
func (r *rebooter) unfinished(ctx context.Context, err error) error {
	err = fmt.Errorf("%w\nWhat is done is done. Not restarted, or not seen to be back: %s. When `godwit instances` shows that all is well, `godwit reboot --node NAME` does one",
		err, strings.Join(r.left, ", "))
	if ctx.Err() != nil { // of an interruption nobody else says a word
		fmt.Fprintf(r.cli.err, "godwit: %v\n", err)
	}
	return err
}
