package agent

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/control/plane"
)

// ensure sees that the files are those of the spec, and that a process of its generation runs with them, which it starts if it may.
func (i *instance) ensure(ctx context.Context, spec *plane.Spec, mayStart bool) error {
	if up := i.agent.ended.up(i.key); spec.Generation <= up {
		return fmt.Errorf("generation %d was ended already: all up to %d were", spec.Generation, up)
	}
	if i.note.Generation > spec.Generation {
		return fmt.Errorf("generation %d is older than %d, which runs here", spec.Generation, i.note.Generation)
	}
	if i.note.Generation < spec.Generation {
		if i.note.Generation > 0 || i.process != nil {
			if err := i.end(ctx, "a newer one starts"); err != nil {
				return err
			}
		}
		i.note = note{Generation: spec.Generation}
		i.starts, i.pause, i.notBefore, i.other = 0, 0, time.Time{}, false
	}
	if spec.Version > i.note.Written || i.password == "" || time.Since(i.provisioned) > renewEvery {
		if err := i.write(ctx, spec); err != nil {
			return err
		}
	}
	if i.process == nil {
		if !mayStart || time.Now().Before(i.notBefore) {
			if mayStart && i.ending != "" {
				return errors.New(i.ending)
			}
			return nil
		}
		return i.start(spec)
	}
	if i.note.Applied < i.note.Written {
		return i.reload(ctx)
	}
	return nil
}

// write makes the files of a spec.
func (i *instance) write(ctx context.Context, spec *plane.Spec) error {
	if err := i.provision(ctx, spec); err != nil {
		return err
	}
	i.provisioned = time.Now()
	if url := apiURL(spec.Address, spec.Ports); i.api == nil || i.apiURL != url {
		var err error
		if i.api, err = apiAt(url, i.password, i.agent.transport); err != nil {
			return err
		}
		i.apiURL = url
	}
	// That nothing has changed does not say that it is in force: an agent may have ended between the two.
	was := i.note
	if i.note.Written = max(i.note.Written, spec.Version); i.note == was && exists(filepath.Join(i.folder, noteFile)) {
		return nil
	}
	return writeJSON(filepath.Join(i.folder, noteFile), i.note)
}

// start starts the process.
func (i *instance) start(spec *plane.Spec) error {
	program, err := i.agent.opt.Program(spec.EngineVersion)
	if err != nil {
		return err
	}
	file := i.configuration(spec)
	p, err := startProcess(program, i.folder, filepath.Join(i.folder, file), spec.Generation)
	if p == nil {
		i.pause = min(max(firstPause, 2*i.pause), longPause)
		i.notBefore = time.Now().Add(i.pause)
		return fmt.Errorf("start %s: %w", program, err)
	}
	if err != nil {
		i.log.Warn("the process cannot be noted", "error", err)
	}
	i.process, i.starts = p, i.starts+1
	i.note.Applied, i.note.Pending = i.note.Written, ""
	i.log.Info("started", "pid", p.pid, "generation", spec.Generation, "version", i.note.Written, "config", file, "start", i.starts)
	return writeJSON(filepath.Join(i.folder, noteFile), i.note)
}

// configuration is the file to start with: the data folder decides, if there is one already.
func (i *instance) configuration(spec *plane.Spec) string {
	if spec.Witness {
		return pairFile
	}
	pair := spec.Cluster
	switch path := func(name string) string { return filepath.Join(i.folder, name) }; {
	case exists(path(leavingFile)): // whether it has left, only a start can find out
		pair = i.other
	case exists(path(belongsFile)):
		pair = true
	case exists(path(dataDir + "/journal")):
		pair = false
	}
	if pair && exists(filepath.Join(i.folder, pairFile)) {
		return pairFile
	}
	return singleFile
}

// reload has the process take over what the files say now.
func (i *instance) reload(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	done, err := i.api.Reload(ctx)
	var refused *api.Error
	switch {
	case errors.As(err, &refused) && refused.Code != api.Unavailable && refused.Code != broker.InUse.String():
		return fmt.Errorf("the changes are refused: %w", err)
	case err != nil:
		return nil // it is starting, is being converted, or has just ended: the next look tells
	}
	var keys []string
	for _, c := range done.Restart {
		keys = append(keys, c.Key)
	}
	if i.note.Pending = strings.Join(keys, ", "); i.note.Pending != "" {
		i.log.Warn("changes need a restart of the instance", "settings", i.note.Pending)
	} else {
		i.log.Info("changes are in force", "version", i.note.Written, "settings", len(done.Live))
	}
	i.note.Applied = i.note.Written
	return writeJSON(filepath.Join(i.folder, noteFile), i.note)
}
