package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"

	"github.com/godwitmq/godwit/audit"
	"github.com/godwitmq/godwit/config"
	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/engine"
	"github.com/godwitmq/godwit/listen"
)

// reload reads the configuration, the users and the certificates again. If anything is wrong, nothing changes.
func (n *node) reload() (done api.Reloaded, err error) {
	n.reading.Lock()
	defer n.reading.Unlock()
	defer func() {
		e := audit.Entry{Via: "process", Operation: "reload", On: n.config().Broker.Name, Outcome: audit.Done}
		if err != nil {
			n.reloads.refused.Add(1)
			e.Outcome, e.Detail = audit.Failed, err.Error()
		} else {
			n.reloads.done.Add(1)
		}
		for _, c := range append(slices.Clone(done.Live), done.Restart...) {
			e.Changes = append(e.Changes, audit.Change(c))
		}
		n.trail.Note(e)
	}()
	if !n.converting.TryLock() {
		return api.Reloaded{}, &api.Error{Status: 409, Code: "in use", Op: "reload", Detail: "a conversion is at work, which ends with another configuration; nothing was changed"}
	}
	defer n.converting.Unlock()
	fresh, err := n.load()
	if err != nil {
		return api.Reloaded{}, err
	}
	old := n.config()
	live, restart := config.Diff(old, fresh)
	merged := old.Live(fresh)
	if err := merged.Validate(); err != nil {
		return api.Reloaded{}, err
	}
	if err := n.guards.update(merged); err != nil {
		return api.Reloaded{}, &api.Error{Status: 409, Code: "malformed", Op: "reload", Detail: "nothing was changed: " + err.Error()}
	}
	n.current.Store(merged)
	if e, _ := n.core.now(); e != nil {
		e.Configure(brokerPolicies(merged))
		e.Limit(engineLimits(merged))
	}
	if in := n.instance.Load(); in != nil { // a standby's core takes the policies that are in force when it becomes active
		in.compareSoon()
		in.moved()
		in.name.changed()
	}
	n.frames.Limit(merged.Limits.FrameMemory())
	n.configureAPI(merged)
	if l := n.listeners.Load(); l != nil { // a witness has none
		n.limitListeners(l, merged)
		l.Admit(merged.Access.Admits())
	}
	setLevel(n.level, merged.Log.Level)
	if err := n.audited.Reopen(merged.Log.Audit, int64(merged.Log.Rotate), merged.Log.Kept); err != nil {
		n.log.Error("the audit log cannot be opened: entries are in memory only", "error", err)
	}
	done = api.Reloaded{Live: changes(live), Restart: changes(restart), Notes: []string{"users were read again"}}
	if n.certs != nil {
		switch changed, err := n.certs.Reload(); {
		case err != nil:
			done.Notes = append(done.Notes, "the new certificate is not usable, the old one stays: "+err.Error())
		case changed:
			done.Notes = append(done.Notes, "a new certificate is in use")
		}
	}
	return done, nil
}

// engineLimits are those of an engine that can change while it runs.
func engineLimits(cfg *config.Config) engine.Limits {
	return engine.Limits{Process: int64(cfg.Limits.Process), Cache: int64(cfg.Limits.Cache), Memory: int64(cfg.Limits.Memory), Log: int64(cfg.Journal.MaxSize)}
}

// limitListeners puts the limits of connections in force.
func (n *node) limitListeners(l *listen.Server, cfg *config.Config) {
	each := map[string]int{}
	for _, at := range cfg.Listeners {
		each[at.Name] = cmp.Or(at.MaxConnections, cfg.Limits.ConnectionsPerListener, cfg.Limits.Connections)
	}
	if in := n.instance.Load(); in != nil && in.relayed != "" {
		each[in.relayed] = cfg.Limits.Connections
	}
	l.Limit(cfg.Limits.Connections, each)
}

func changes(from []config.Change) []api.Change {
	to := make([]api.Change, len(from))
	for i, c := range from {
		to[i] = api.Change{Key: c.Key, Old: c.Old, New: c.New}
	}
	return to
}

// reloadAndLog is reload by SIGHUP.
func (n *node) reloadAndLog() {
	done, err := n.reload()
	if err != nil {
		n.log.Error("reload: nothing was changed", "error", err)
		return
	}
	for _, c := range done.Live {
		n.log.Info("reload: changed", "key", c.Key, "old", c.Old, "new", c.New)
	}
	for _, c := range done.Restart {
		n.log.Warn("reload: needs a restart", "key", c.Key, "old", c.Old, "new", c.New)
	}
	for _, note := range done.Notes {
		n.log.Info("reload: " + note)
	}
}

func printReloaded(w io.Writer, done *api.Reloaded) {
	show := func(word string, c api.Change) {
		if c.Old == "" && c.New == "" {
			fmt.Fprintf(w, "%s: %s\n", word, c.Key)
			return
		}
		fmt.Fprintf(w, "%s: %s: %s -> %s\n", word, c.Key, c.Old, c.New)
	}
	for _, c := range done.Live {
		show("changed", c)
	}
	for _, c := range done.Restart {
		show("needs a restart", c)
	}
	for _, note := range done.Notes {
		fmt.Fprintln(w, note)
	}
}
