package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/control/plane"
)

// What a conversion is to, as the API has it.
const (
	toPair   = "active-standby"
	toSingle = "single"
)

const (
	// caughtUp is how many entries of the log a standby may not have read yet: some are always on their way.
	caughtUp = 64
	// switchWithin is how long a switchover is tried before the attempt counts as failed: standbys may be about to be ready.
	switchWithin = 30 * time.Second
	// convertChecks is how long the other instances may take to be ready for a conversion.
	convertChecks = time.Minute
	// needWithin is how long the other copies of a log may take to be whole before one is taken away.
	needWithin = 30 * time.Second
)

// carryOut works at a step, whose process runs or is about to. It answers when the step is done or the attempt has failed, and else is called again.
func (i *instance) carryOut(ctx context.Context, e *plane.Effect, h api.Health) {
	within, do := i.agent.opt.StartWithin, i.started
	switch e.Kind {
	case plane.ConvertPair:
		within, do = convertChecks, i.paired
	case plane.ConvertSingle:
		within, do = convertChecks, i.alone
	case plane.SwitchoverTo:
		within, do = switchWithin, i.active
	case plane.Start:
	default:
		i.fail(ctx, e, "this agent does not know the step %q: it is older than the control plane", e.Kind)
		return
	}
	why, err := do(ctx, e, h)
	switch {
	case ctx.Err() != nil:
	case err == nil && why == "":
		i.done(ctx, e)
	case err != nil:
		i.fail(ctx, e, "%v", err)
	default:
		i.late(ctx, e, within, why)
	}
}

// errors of these functions end the attempt; words say what is still waited for; neither: the step is done.

// started waits until the instance serves, or stands by and has caught up, or, of a witness, has the log.
func (i *instance) started(ctx context.Context, e *plane.Effect, h api.Health) (wait string, err error) {
	spec := &e.Spec
	if h.Status == "" {
		return "the instance does not answer yet", nil
	}
	if !spec.Cluster {
		if !h.Ready {
			return fmt.Sprintf("the instance is %s: %s", h.Status, h.Detail), nil
		}
		return "", nil
	}
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	if spec.Log != plane.NodesLog {
		return i.startedEmpty(ctx, spec, h)
	}
	all, err := i.api.Instances(ctx)
	if err != nil {
		return err.Error(), nil
	}
	own, active := instanceName(spec.Number), find(all, "", "active")
	is := find(all, own, "")
	switch {
	case is == nil:
		return "the instance does not know itself", nil
	case is.Role == "active":
		return "", nil
	case active == nil:
		return "no instance is active: " + describe(all), nil
	case slices.Contains(active.Behind, own):
		return "its copy of the log is not whole yet", nil
	case spec.Witness:
		return "", nil
	case is.Role != "standby" || is.Lag > caughtUp:
		return fmt.Sprintf("it is %s, with %d entries of the log to read: %s", is.Role, is.Lag, is.Reason), nil
	}
	return "", nil
}

// startedEmpty is started while there is nothing in the nodes' log yet. Then the first instances have nobody to agree with, and only the last one can tell that all is well.
func (i *instance) startedEmpty(ctx context.Context, spec *plane.Spec, h api.Health) (wait string, err error) {
	if spec.Witness {
		if !h.Ready {
			return fmt.Sprintf("the instance is %s: %s", h.Status, h.Detail), nil
		}
		return "", nil
	}
	is, err := i.api.Instance(ctx)
	if err != nil {
		return err.Error(), nil
	}
	switch {
	case is.Role == "active", is.Role == "standby" && is.Lag <= caughtUp:
		return "", nil
	case spec.Log == plane.FileLog && (is.Role == "waiting" || is.Role == "starting" && is.Epoch == 0): // it waits for who has the messages
		return "", nil
	case spec.Log == plane.NoLog && is.Role == "starting" && !i.last(spec):
		return "", nil
	}
	return fmt.Sprintf("it is %s: %s", is.Role, is.Reason), nil
}

// last says whether all other instances were started before this one.
func (i *instance) last(spec *plane.Spec) bool {
	for _, p := range spec.Peers {
		if p.Number != plane.Witness && p.Number > spec.Number {
			return false
		}
	}
	return true
}

// find is the first of a name and role that is not "", nil if there is none.
func find(all []api.Instance, name, role string) *api.Instance {
	n := slices.IndexFunc(all, func(is api.Instance) bool { return (name == "" || is.Name == name) && (role == "" || is.Role == role) })
	if n < 0 {
		return nil
	}
	return &all[n]
}

func describe(all []api.Instance) string {
	var words []string
	for _, is := range all {
		words = append(words, strings.TrimSuffix(is.Name+" is "+is.Role+", "+is.Reason, ", "))
	}
	return strings.Join(words, "; ")
}

// needed says why an instance cannot be ended for a step just now: only while both others of a pair run and have caught up, the log can do without it. Nobody else looks at that moment.
func (i *instance) needed(ctx context.Context, e *plane.Effect) (why string) {
	spec := &e.Spec
	if !spec.Cluster || spec.Log != plane.NodesLog || e.Operation == plane.OpDelete {
		return ""
	}
	password, err := i.agent.plane.Password(ctx, spec.Broker)
	if err != nil {
		return err.Error()
	}
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	var all []api.Instance
	for _, p := range spec.Peers {
		url := apiURL(p.Address, p.Ports)
		peer, err := apiAt(url, password, i.agent.transport)
		var is *api.Instance
		if err == nil {
			is, err = peer.Instance(ctx)
		}
		switch {
		case err == nil:
			all = append(all, *is)
		case p.Number != spec.Number:
			return fmt.Sprintf("instance %d is needed: instance %d does not answer (%v)", spec.Number, p.Number, err)
		}
	}
	active := find(all, "", "active")
	if active == nil {
		return "no instance is active: " + describe(all)
	}
	for _, p := range spec.Peers {
		name := instanceName(p.Number)
		if is := find(all, name, ""); p.Number != spec.Number && (is == nil || slices.Contains(active.Behind, name) || is.Role != "witness" && is.Role != "active" && (is.Role != "standby" || is.Lag > caughtUp)) {
			return fmt.Sprintf("instance %d is needed: instance %d has not caught up: %s", spec.Number, p.Number, describe(all))
		}
	}
	return ""
}

// isAlone says whether the instance runs alone now.
func (i *instance) isAlone(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	_, err := i.api.Instance(ctx)
	var refused *api.Error
	if errors.As(err, &refused) && refused.Code == broker.NotFound.String() {
		return true, nil
	}
	return false, err
}

// paired brings the messages of an instance that is alone into the nodes' log.
func (i *instance) paired(ctx context.Context, e *plane.Effect, h api.Health) (wait string, err error) {
	alone, err := i.isAlone(ctx)
	if err != nil {
		return err.Error(), nil
	}
	if !alone {
		if !h.Ready {
			return fmt.Sprintf("the instance is %s: %s", h.Status, h.Detail), nil
		}
		return "", i.removeAside(journalAside + "*")
	}
	return i.convert(ctx, e, toPair, pairFile)
}

// alone brings the messages of the nodes' log into files of the instance.
func (i *instance) alone(ctx context.Context, e *plane.Effect, h api.Health) (wait string, err error) {
	alone, err := i.isAlone(ctx)
	if err != nil {
		return err.Error(), nil
	}
	if alone {
		if !h.Ready {
			return fmt.Sprintf("the instance is %s: %s", h.Status, h.Detail), nil
		}
		return "", i.removeAside(nodesLogDir)
	}
	if h.Role != "active" {
		return "", fmt.Errorf("instance %d is %s, and only the active one can be converted", e.Spec.Number, h.Role)
	}
	return i.convert(ctx, e, toSingle, singleFile)
}

// convert asks for a conversion, waits for its end, and has the next look see what has come of it. A refusal before anything was done is tried again for a while: others may not be ready yet.
func (i *instance) convert(ctx context.Context, e *plane.Effect, to, file string) (wait string, err error) {
	ctx, done := i.call(ctx, e, i.agent.opt.ConvertWithin)
	defer done()
	i.log.Info("a conversion begins", "to", to)
	said, copying := false, false
	var missing []string
	err = i.api.Convert(ctx, api.Convert{To: to, Config: filepath.Join(i.folder, file)}, func(line api.Converting) {
		said, copying = true, copying || line.Phase != "checked"
		for _, c := range line.Checks {
			if !c.Fine {
				missing = append(missing, strings.TrimSuffix(c.What+": "+c.Detail, ": "))
			}
		}
		if line.Done {
			i.log.Info("converted", "to", to, "records", line.Records, "bytes", line.Bytes, "nobody was served for", time.Duration(line.Millis)*time.Millisecond)
		}
	})
	var refused *api.Error
	switch {
	case err == nil:
		i.poke()
		return "the instance is about to serve", nil
	case !said && errors.As(err, &refused) && refused.Code == broker.InUse.String(): // of an agent before this one
		return "a conversion is at work already", nil
	case copying || len(missing) == 0:
		if now, aerr := i.isAlone(ctx); aerr != nil || now == (to == toSingle) { // it was done all the same, or that is not known
			return err.Error(), nil
		}
		var more *api.Error
		if perr := i.api.Convert(ctx, api.Convert{To: to, Config: filepath.Join(i.folder, file), Plan: true}, func(api.Converting) {}); errors.As(perr, &more) && strings.Contains(more.Detail, "at work already") {
			return "a conversion is at work still", nil
		}
		return "", fmt.Errorf("the conversion: %w", err)
	}
	return "not yet so: " + strings.Join(missing, "; "), nil
}

// removeAside removes what a conversion has left behind that nobody needs any more.
func (i *instance) removeAside(pattern string) error {
	left, err := filepath.Glob(filepath.Join(i.folder, pattern))
	for _, path := range left {
		if rerr := os.RemoveAll(path); err == nil {
			err = rerr
		}
	}
	return err
}

// active makes the instance the active one.
func (i *instance) active(ctx context.Context, e *plane.Effect, h api.Health) (wait string, err error) {
	switch {
	case h.Status == "":
		return "the instance does not answer", nil
	case h.Role == "active" && h.Ready && i.epoch > 0, h.Role == "" && h.Ready: // the only one is the active one
		return "", nil
	case h.Role == "active":
		return "it is active, and not ready yet", nil
	}
	if time.Since(i.begun) > switchWithin { // what was asked last may have come to be: that was looked at
		return fmt.Sprintf("it is %s: %s", h.Status, h.Detail), nil
	}
	ctx, done := i.call(ctx, e, switchWithin)
	defer done()
	if _, err := i.api.SwitchOver(ctx, instanceName(e.Spec.Number)); err != nil {
		return err.Error(), nil // another may be active by now, or the standby not ready yet: the next look tells
	}
	i.poke()
	return "the instance is about to be active", nil
}
