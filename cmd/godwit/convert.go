package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/cluster"
	"github.com/godwitmq/godwit/config"
	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/engine"
	"github.com/godwitmq/godwit/journal"
	"github.com/godwitmq/godwit/journal/checkpoint"
	"github.com/godwitmq/godwit/journal/jetstream"
	"github.com/godwitmq/godwit/journal/segment"
	"github.com/godwitmq/godwit/vfs"
)

// What a conversion is to.
const (
	toPair   = "active-standby"
	toSingle = "single"
)

const (
	// handOverWithin is how long the rest of a copy may take while nobody is served. If it takes longer, all stays as it was.
	handOverWithin = 10 * time.Second
	// spareDisk is what must be free beside a copy.
	spareDisk = 64 << 20
	// copyTries is how often a copy is begun that the source's head has overtaken.
	copyTries = 3
)

// conversion is one at work.
type conversion struct {
	n    *node
	ask  api.Convert
	as   http.Header
	tell func(api.Converting)
	cfg  *config.Config // that holds afterwards
	load func() (*config.Config, error)

	stopped, copied time.Duration // how long the engine took to stop, and what followed until the copy was whole
}

func (c *conversion) refuse(format string, args ...any) error {
	return &api.Error{Status: http.StatusConflict, Code: broker.InUse.String(), Op: "convert", Detail: fmt.Sprintf(format, args...)}
}

// convert makes an instance of several of a broker alone, or the other way round, while it serves (docs/adr/0008).
func (n *node) convert(ctx context.Context, ask api.Convert, as http.Header, tell func(api.Converting)) error {
	c := &conversion{n: n, ask: ask, as: as}
	if ask.To != toPair && ask.To != toSingle {
		return &api.Error{Status: http.StatusBadRequest, Code: broker.Malformed.String(), Op: "convert", Detail: fmt.Sprintf("to is %q; expected %s or %s", ask.To, toPair, toSingle)}
	}
	if !n.converting.TryLock() {
		return c.refuse("a conversion is at work already")
	}
	over := sync.OnceFunc(n.converting.Unlock)
	defer over()
	c.tell = func(line api.Converting) {
		if line.Done { // who hears that may ask for the next at once
			over()
		}
		tell(line)
	}
	checks := c.check(ctx)
	fine := true
	for _, k := range checks {
		fine = fine && k.Fine
	}
	c.tell(api.Converting{Phase: "checked", Checks: checks, Done: ask.Plan && fine})
	switch {
	case !fine:
		return c.refuse("it cannot be done yet; nothing was changed")
	case ask.Plan:
		return nil
	}
	do := c.toSingle
	if ask.To == toPair {
		do = c.toPair
	}
	err := do(ctx)
	var known *api.Error
	if err != nil && !errors.As(err, &known) {
		n.log.Warn("a conversion was given up", "to", ask.To, "error", err)
		err = c.refuse("%v", err) // an administrator may know all
	}
	return err
}

// at tells tests of a step.
func (c *conversion) at(step string) {
	if c.n.steps != nil {
		c.n.steps(c.ask.To + " " + step)
	}
}

// check says what must hold, and whether it does. The first that does not may be the last that is looked at.
func (c *conversion) check(ctx context.Context) (checks []api.Check) {
	n := c.n
	add := func(what string, fine bool, detail string, args ...any) bool {
		checks = append(checks, api.Check{What: what, Fine: fine, Detail: fmt.Sprintf(detail, args...)})
		return fine
	}
	e, health := n.core.now()
	in := n.instance.Load()
	alone := c.ask.To == toPair
	if !add("the broker serves", e != nil, "it is %s %s", health.Status, health.Detail) {
		return checks
	}
	if alone && !add("it runs alone", in == nil, "") || !alone && !add("it is an instance of a cluster", in != nil, "") {
		return checks
	}
	c.load = func() (*config.Config, error) { return config.Load(c.ask.Config, os.Environ()) }
	var err error
	if c.cfg, err = c.load(); err != nil {
		add("the new configuration can be used", false, "%v", err)
		return checks
	}
	add("the new configuration can be used", true, "%s", c.ask.Config)
	is := c.cfg.Cluster.On() && !c.cfg.Cluster.Witness()
	if alone && !add("it is that of an instance of a cluster", is, "cluster.name and cluster.role say") ||
		!alone && !add("it is that of a broker alone", !c.cfg.Cluster.On(), "cluster.name says") {
		return checks
	}
	differs := differences(n.config(), c.cfg)
	add("all else in it is as now", len(differs) == 0, "%s", strings.Join(differs, "; "))

	used := e.Log().Space().Used
	free, err := (vfs.OS{}).DiskFree(c.cfg.Data)
	add("there is room for a copy here", err == nil && free >= used+used/10+spareDisk, "%s are free, the log has %s", config.Size(free), config.Size(used))
	if alone {
		c.checkNodes(ctx, used, add)
	} else {
		path := c.cfg.JournalPath()
		add("there is no journal of before in its place", !exists(path), "%s", path)
	}
	return checks
}

// checkNodes looks at the nodes that the broker is to join.
func (c *conversion) checkNodes(ctx context.Context, used int64, add func(what string, fine bool, detail string, args ...any) bool) {
	cl := &c.cfg.Cluster
	if _, err := nodesTLS(cl); err != nil {
		add("the node's certificate can be used", false, "%v", err)
	}
	for what, address := range map[string]string{"cluster.listen": cl.Listen, "the relay": cl.Node(cl.Name).Relay} {
		if address == "" {
			continue
		}
		l, err := net.Listen("tcp", address)
		if err != nil {
			add(what+" is free", false, "%v", err)
			continue
		}
		l.Close()
	}
	in := &instance{node: c.n}
	for _, other := range cl.Nodes {
		if other.Name == cl.Name {
			continue
		}
		var is api.Instance
		what := "the node " + other.Name
		if err := in.ask(ctx, other, http.MethodGet, "instance", c.as, nil, &is); err != nil {
			add(what+" answers", false, "%v", err)
			continue
		}
		// Two of three nodes do not begin a log, and so cannot tell that it is empty.
		idle := is.Role == string(cluster.Waiting) || is.Role == "witness" || is.Role == string(cluster.Starting) && is.Epoch == 0
		add(what+" waits", is.Name == other.Name && idle, "it is %s, %s; %s", is.Name, is.Role, is.Reason)
		add(what+" has the same version", is.Version == build().Version, "%s, this is %s", is.Version, build().Version)
		add(what+" has room for a copy", is.Free >= used+used/10+spareDisk, "%s are free", config.Size(is.Free))
	}
}

// differences are the settings that a conversion may not change.
func differences(now, then *config.Config) (keys []string) {
	live, restart := config.Diff(now, then)
	for _, c := range append(restart, live...) {
		if strings.HasPrefix(c.Key, "cluster.") || c.Old != "" && c.New != "" && absolute(c.Old) == absolute(c.New) {
			continue
		}
		keys = append(keys, c.String())
	}
	return keys
}

// progress tells of a copy.
func (c *conversion) progress(p cluster.CopyProgress) {
	c.tell(api.Converting{Phase: "copying", Records: p.Records, Bytes: p.Bytes, Rest: p.Rest})
}

func (c *conversion) copyOptions(try int) cluster.CopyOptions {
	o := cluster.CopyOptions{Rate: c.ask.Rate, Progress: c.progress}
	if try > 0 {
		o.Rate = -1 // slower, it was overtaken
	}
	return o
}

// toPair brings what a broker alone has into the nodes' log. That the data folder is noted to be an instance's is what decides: before, nothing has changed; after, the
// nodes' log is the broker's.
func (c *conversion) toPair(ctx context.Context) error {
	n := c.n
	in := newInstance(n)
	if err := in.open(c.cfg); err != nil {
		return err
	}
	done := false
	defer func() {
		if !done {
			if in.relayed != "" {
				n.listeners.Load().Unlisten(in.relayed)
			}
			in.log.Load().Close()
		}
	}()
	if err := in.listen(c.cfg); err != nil {
		return err
	}
	e, health := n.core.now()
	if e == nil {
		return c.refuse("the broker is %s: %s", health.Status, health.Detail)
	}
	joining, err := c.join(ctx, in, e)
	if err != nil {
		return err
	}
	defer joining.Close()
	c.at("copied")
	c.tell(api.Converting{Phase: "handing over"})
	result := make(chan error, 1)
	hand := func(now *engine.Engine) *engine.Engine {
		if now != e {
			result <- c.refuse("the journal has failed meanwhile; nothing was changed")
			return now
		}
		now, err := c.handOver(in, now, joining)
		done = err == nil
		result <- err
		return now
	}
	begun := time.Now()
	select {
	case n.handing <- hand:
	case <-ctx.Done():
		return ctx.Err()
	case <-n.background.Done():
		return errStopping
	}
	if err := <-result; err != nil {
		return err
	}
	if err := c.serves(); err != nil {
		return err
	}
	took := time.Since(begun)
	n.log.Info("this broker is an instance of a cluster now", "instance", c.cfg.Cluster.Name, "records", joining.Copied().Records, "took", took, "stopped", c.stopped, "copied", c.copied)
	c.tell(c.last(joining.Copied(), took, fmt.Sprintf("the broker is the active instance %s; start it with --config %s from now on. The journal of before is kept as %s",
		c.cfg.Cluster.Name, absolute(c.ask.Config), filepath.Join(c.cfg.Data, asideName(n.since)))))
	return nil
}

func (c *conversion) last(copied cluster.Copied, took time.Duration, note string) api.Converting {
	return api.Converting{Phase: "done", Done: true, Records: copied.Records, Bytes: copied.Bytes, Hash: copied.Hash, Millis: took.Milliseconds(), Note: note}
}

var errStopping = &api.Error{Status: http.StatusServiceUnavailable, Code: api.Unavailable, Op: "convert", Detail: "the broker is stopping"}

// join copies nearly all.
func (c *conversion) join(ctx context.Context, in *instance, e *engine.Engine) (*cluster.Joining, error) {
	for try := 0; ; try++ {
		joining, err := cluster.Join(ctx, in.log.Load(), in.logOptions(c.cfg), e.Log(), c.n.brokerOptions(), c.copyOptions(try))
		if errors.Is(err, jetstream.ErrInUse) {
			return nil, c.refuse("the nodes' log is a broker's already; set cluster.await on them, and remove what is in their data folders if nobody needs it")
		}
		if err != nil {
			return nil, err
		}
		c.at("begun")
		if err = joining.CatchUp(ctx); err == nil {
			return joining, nil
		}
		joining.Close()
		if !errors.Is(err, journal.ErrTrimmed) || try+1 == copyTries {
			return nil, err
		}
	}
}

// serves waits until the broker serves again.
func (c *conversion) serves() error {
	ctx, cancel := context.WithTimeout(c.n.background, time.Minute)
	defer cancel()
	if c.n.core.wait(ctx) == nil {
		_, health := c.n.core.now()
		return fmt.Errorf("the broker is converted, and is not served yet: it is %s, %s", health.Status, health.Detail)
	}
	return nil
}

// handOver ends the engine, and begins the instance. It is called by the goroutine that owns the engine, and returns the engine to be owned then; nil and no error: the
// instance goes on.
func (c *conversion) handOver(in *instance, e *engine.Engine, joining *cluster.Joining) (*engine.Engine, error) {
	n := c.n
	n.core.set(nil, nil, "converting", "the broker becomes an instance of a cluster")
	begun := time.Now()
	err := e.Close()
	c.stopped = time.Since(begun)
	c.at("stopped")
	var joined *cluster.Joined
	if err == nil {
		joined, err = c.finish(joining)
		c.copied = time.Since(begun) - c.stopped
	}
	own := &belongs{}
	if err == nil {
		c.at("verified")
		n.since = time.Now().UTC()
		own = &belongs{Instance: c.cfg.Cluster.Name, Config: absolute(c.ask.Config), Since: n.since, Copy: &joined.Copied, Aside: asideName(n.since)}
		err = c.decide(own)
	}
	if err != nil {
		n.log.Warn("the broker stays alone", "error", err)
		if e = n.reopen(); e != nil {
			n.core.set(e, n.deps(e), "ok", "")
		}
		return e, fmt.Errorf("the broker stays alone: %w", err)
	}
	c.at("decided")
	if err := putAside(c.cfg, own); err != nil {
		n.log.Error("the journal of before cannot be renamed; it is not served any more", "error", err)
	}
	c.at("put aside")
	c.take()
	n.instance.Store(in)
	n.core.set(nil, nil, "standby", "the log is being taken over")
	in.run(c.cfg, own.Copy, joined)
	return nil, nil
}

// asideName is the name of the journal that an instance does not need any more.
func asideName(since time.Time) string { return "journal.moved-" + since.Format("20060102T150405Z") }

// take makes the new configuration the one that holds.
func (c *conversion) take() {
	c.n.reading.Lock()
	defer c.n.reading.Unlock()
	c.n.current.Store(c.cfg)
	c.n.load = c.load
}

// decide writes the note that decides. If it cannot be made sure that it is not there either, the broker ends: the next start reads what is.
func (c *conversion) decide(own *belongs) error {
	err := writeNote(c.cfg.Data, belongsFile, own)
	if err == nil {
		return nil
	}
	if undo := removeNote(c.cfg.Data, belongsFile); undo != nil {
		c.n.failed <- fmt.Errorf("whether the data folder %s belongs to a cluster now is not known: %w (%w); start the broker again", c.cfg.Data, err, undo)
	}
	return err
}

// finish copies the rest from a journal that is closed.
func (c *conversion) finish(joining *cluster.Joining) (*cluster.Joined, error) {
	n := c.n
	ctx, cancel := context.WithTimeout(n.background, handOverWithin)
	defer cancel()
	rest, err := segment.Open(n.config().JournalPath(), n.journalOptions(n.config()), journal.Notify{})
	if err != nil {
		return nil, err
	}
	joined, err := joining.Finish(ctx, rest)
	if cerr := rest.Close(); err == nil {
		err = cerr
	}
	return joined, err
}

// toSingle makes files of the nodes' log. That the log says that it was left is what decides.
func (c *conversion) toSingle(ctx context.Context) error {
	n := c.n
	in := n.instance.Load()
	member := in.member.Load()
	made := c.cfg.JournalPath() + leavingDir
	clean := func() error {
		if err := removeNote(c.cfg.Data, leavingFile); err != nil { // first: it says that the folder is whole
			return err
		}
		return os.RemoveAll(made)
	}
	id := rand.Uint64()
	var target *segment.Log
	var out *cluster.Leaving
	for try := 0; out == nil; try++ {
		if err := clean(); err != nil {
			return err
		}
		var err error
		if target, err = segment.Open(made, n.journalOptions(c.cfg), journal.Notify{}); err != nil {
			return err
		}
		if out, err = member.Leave(ctx, id, target, c.copyOptions(try)); err == nil {
			c.at("begun")
			err = out.CatchUp(ctx)
		}
		if err == nil {
			break
		}
		if out != nil {
			out.Close()
			out = nil
		}
		target.Close()
		_ = clean() // the next one does it, too
		if !errors.Is(err, journal.ErrTrimmed) || try+1 == copyTries {
			return err
		}
	}
	defer out.Close()
	c.at("copied")
	c.tell(api.Converting{Phase: "handing over"})
	in.leaving.Store(id)
	begun := time.Now()
	closed := false
	var copied cluster.Copied
	resume := c.suspend(in)
	core, err := out.Finish(n.background, handOverWithin, func(made cluster.Copied) error {
		c.at("verified")
		closed, copied = true, made
		if err := target.Close(); err != nil {
			return err
		}
		err := writeNote(c.cfg.Data, leavingFile, leaving{Config: absolute(c.ask.Config), Copy: made})
		c.at("ready")
		return err
	})
	if err != nil {
		in.leaving.Store(0)
		resume()
		if !closed {
			target.Close()
		}
		if n.background.Err() == nil { // else it is not known whether it was left: the next start asks
			_ = clean()
		}
		return fmt.Errorf("the broker stays an instance of its cluster: %w", err)
	}
	c.at("left")
	c.goAlone(in, core)
	if err := c.serves(); err != nil {
		return err
	}
	took := time.Since(begun)
	<-in.ended
	n.log.Info("this broker runs alone now", "records", copied.Records, "took", took)
	c.tell(c.last(copied, took, fmt.Sprintf("the broker runs alone; start it with --config %s from now on. The other nodes serve nobody any more and can be stopped", absolute(c.ask.Config))))
	return nil
}

// suspend lets nobody in any more while the engine ends. resume is for when it does not.
func (c *conversion) suspend(in *instance) (resume func()) {
	in.changing.Lock()
	defer in.changing.Unlock()
	const status = "converting"
	e, was := c.n.core.now()
	c.n.core.set(nil, nil, status, "the broker leaves its cluster")
	return func() {
		in.changing.Lock()
		defer in.changing.Unlock()
		if _, health := c.n.core.now(); health.Status != status || e == nil {
			return // it has a new role
		}
		select {
		case <-e.Done(): // it will have one
		default:
			c.n.core.set(e, c.n.deps(e), was.Status, was.Detail)
		}
	}
}

// goAlone serves from the files that were made of the nodes' log, which was left.
func (c *conversion) goAlone(in *instance, core *broker.Broker) {
	n := c.n
	in.changing.Lock()
	in.gone = true
	in.changing.Unlock()
	n.core.set(nil, nil, "converting", "the broker goes on alone")
	if err := finishLeaving(c.cfg); err != nil {
		n.failed <- fmt.Errorf("the broker has left its cluster: %w; start it again with --config %s", err, absolute(c.ask.Config))
		return
	}
	c.at("in place")
	c.take()
	n.instance.Store(nil)
	if in.relayed != "" {
		n.listeners.Load().Unlisten(in.relayed)
	}
	e, err := engine.Continue(core, func(notify journal.Notify) (journal.Log, error) {
		l, err := segment.Open(c.cfg.JournalPath(), n.journalOptions(c.cfg), notify)
		if err != nil {
			return nil, err // not a nil *Log in an interface
		}
		return l, nil
	}, n.engineOptions(c.cfg))
	if err != nil {
		n.log.Error("the journal cannot be opened; trying again", "error", err)
		if e = n.reopen(); e == nil {
			return
		}
	}
	n.core.set(e, n.deps(e), "ok", "")
	n.running.Go(func() { n.supervise(e) })
}

// left is told that the nodes' log was left, and says whether it was this process, or one before it, that has gone on with a copy.
func (in *instance) left(id uint64, by string) bool {
	n := in.node
	cfg := n.config()
	if in.leaving.Load() == id {
		return true
	}
	note, err := readNote[leaving](cfg.Data, leavingFile)
	if err == nil && (note == nil || note.Copy.ID != id || by != cfg.Cluster.Name) {
		return false // another instance has
	}
	if err == nil {
		if err = finishLeaving(cfg); err == nil {
			err = fmt.Errorf("the broker has left its cluster and runs alone: start it with --config %s", note.Config)
		}
	}
	n.failed <- err
	return true
}

// journalOptions are those of the journal in files, engineOptions those of an engine on it.
func (n *node) journalOptions(cfg *config.Config) segment.Options {
	return segment.Options{FS: n.fs, SegmentSize: int64(cfg.Journal.SegmentSize), MaxBytes: int64(cfg.Journal.MaxSize), Reserve: int64(cfg.Journal.Reserve), Logger: n.log}
}

func (n *node) engineOptions(cfg *config.Config) engine.Options {
	return engine.Options{
		Broker: n.brokerOptions(), MemoryLimit: int64(cfg.Limits.Process), OnShort: n.frames.Shut, Logger: n.log,
		Checkpoints: &checkpoint.Store{FS: n.fs, Dir: cfg.JournalPath()},
	}
}
