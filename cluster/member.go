// Package cluster runs one instance of a broker that several nodes can run: of all of them one is active at a time and serves, the others are standbys, whose core is
// as warm as the log that they follow.
//
// Who is active is decided by the log alone: who gets the next epoch appended just behind all that was written. Heartbeats in the log only say when it is worth
// trying. A member that finds itself deposed throws its core away and follows.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/engine"
	"github.com/godwitmq/godwit/journal"
	"github.com/godwitmq/godwit/journal/checkpoint"
	"github.com/godwitmq/godwit/journal/jetstream"
)

// Role is what an instance does.
type Role string

// The roles.
const (
	Starting Role = "starting" // it has not read the log yet
	Standby  Role = "standby"
	Active   Role = "active"
)

// Status says how an instance is, and what it knows of the others.
type Status struct {
	Instance string
	Role     Role
	Since    time.Time // in this role
	Active   string    // the instance whose epoch it is, as far as the log was read; "" is none
	Epoch    uint64
	Lag      uint64 // of a standby: by how many of the log's messages it was behind when it last looked
	Reason   string // of the last change of role
	Damaged  bool   // something that it has not read is damaged in all replicas of the log
}

// ErrNotActive means that what was asked for can only be done where the active instance is.
var ErrNotActive = errors.New("this instance is not the active one")

// Options of a member.
type Options struct {
	Node *jetstream.Node
	Log  jetstream.Options // Instance must be set
	// Broker gives what the core is made with. It is asked again before the instance becomes active, for the policies that are in force then.
	Broker func() broker.Options
	Engine engine.Options // but for Broker
	// Checkpoints is where this instance keeps summaries of the log, as a standby and as the active one. nil: it reads all of the log at each start.
	Checkpoints *checkpoint.Store
	// CheckpointEvery is by how many bytes the log grows at least between two of them. 0 means 64 MiB.
	CheckpointEvery int64
	// Changed is called, by the member's goroutine, when the engine that serves is there (Active), when it is not any more, and when a standby learns of another active
	// instance. It must not wait for long: while it does, a new active does not serve, and a standby does not follow.
	Changed func(s Status, e *engine.Engine)
	// Logger gets what an operator should know. nil means slog.Default.
	Logger *slog.Logger
}

// Member is one instance.
type Member struct {
	opt Options
	log *slog.Logger

	mu       sync.Mutex
	status   Status
	engine   *engine.Engine // of an active one
	handing  string         // to whom the engine is being handed over
	yielding time.Time      // until when it does not try to lead, after it handed over

	summary  summary
	verified sync.WaitGroup // reads behind a start
}

// New makes a member. It does nothing before Run.
func New(opt Options) *Member {
	if opt.Logger == nil {
		opt.Logger = slog.Default()
	}
	if opt.CheckpointEvery == 0 {
		opt.CheckpointEvery = 64 << 20
	}
	opt.Engine.Checkpoints, opt.Engine.CheckpointEvery = opt.Checkpoints, opt.CheckpointEvery
	m := &Member{opt: opt, log: opt.Logger, status: Status{Instance: opt.Log.Instance, Role: Starting, Since: time.Now()}}
	m.summary = summary{store: opt.Checkpoints, every: opt.CheckpointEvery, log: m.log}
	return m
}

// Status is how the instance is now.
func (m *Member) Status() Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.status
}

// pauses between attempts when the log cannot be followed.
const (
	firstPause = 100 * time.Millisecond
	longPause  = 2 * time.Second
	// yieldFor is for how long an instance that has handed over leaves the log to the other one.
	yieldFor = 5 * time.Second
	// lagEvery is how often a standby asks how far behind it is.
	lagEvery = time.Second
	// startEvery is how often one asks that has not read all yet.
	startEvery = 100 * time.Millisecond
	// nearlyAll is how far behind the log, in its messages, one is that has read all and sees it grow.
	nearlyAll = 8
)

// Run follows the log, and leads it when nobody else does, until ctx ends. Only damage to the log (journal.ErrCorrupt), or a record that this program
// does not understand, ends it before.
func (m *Member) Run(ctx context.Context) error {
	defer m.summary.saves.Wait()
	for pause := firstPause; ; {
		begun := time.Now()
		err := m.life(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, journal.ErrCorrupt) || errors.Is(err, errReplay):
			return err
		case time.Since(begun) > 10*longPause:
			pause = firstPause
		}
		if err != nil {
			m.log.Warn("the log cannot be followed; trying again", "error", err, "in", pause)
		} else {
			pause = firstPause
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
		pause = min(2*pause, longPause)
	}
}

var errReplay = errors.New("a record of the log is not understood")

// life is that of one core: it follows the log, and may lead it at its end. nil means that it led.
func (m *Member) life(ctx context.Context) error {
	begun := time.Now()
	core, f, known, err := m.begin(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer m.verified.Wait()
	defer cancel()
	defer func() {
		if f != nil {
			f.Close()
		}
	}()
	m.verify(ctx, f, known)
	records, read := 0, false
	replay := func(r journal.Record) error {
		records++
		if err := core.Replay(uint64(r.Position), r.Data); err != nil {
			return fmt.Errorf("%w: at position %d: %w", errReplay, r.Position, err)
		}
		return nil
	}
	making := making{replay: replay}
	defer making.abandon()
	var looked time.Time
	ready := func() {
		if !read {
			read = true
			m.log.Info("the log is read", "instance", m.opt.Log.Instance, "records", records, "from", uint64(max(known, f.Head())), "to", uint64(f.Tail()), "took", time.Since(begun))
		}
		m.become(Standby, "the log is read", nil)
	}
	for {
		news, err := f.Next(ctx, making.take)
		if err == nil {
			err = m.summary.progress(&making, news == jetstream.Advanced)
		}
		if err != nil {
			return err
		}
		m.learn(f)
		every := lagEvery
		if !read { // somebody waits for a standby
			every = startEvery
		}
		if time.Since(looked) > every {
			looked = time.Now()
			if m.measure(ctx, f) {
				ready()
			}
		}
		if news == jetstream.Advanced {
			m.summary.begin(&making, core, f)
			continue
		}
		ready()
		if m.yields() {
			continue
		}
		opt := m.opt.Engine
		opt.Broker = m.opt.Broker()
		core.Restored(uint64(f.Head()))
		core.SetPolicies(opt.Broker.Policies) // they may have changed since the core was made
		e, err := engine.Continue(core, func(n journal.Notify) (journal.Log, error) {
			l, err := f.Lead(ctx, n)
			if err != nil {
				return nil, err // not a nil *Log in an interface
			}
			return l, nil
		}, opt)
		switch {
		case err == nil:
			f = nil // used up
			return m.lead(ctx, e, news)
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, journal.ErrDeposed), errors.Is(err, journal.ErrBroken):
			m.log.Info("another instance leads the log, or nobody can yet", "error", err)
		default:
			return err
		}
	}
}

// learn takes over what the log says of its writers.
func (m *Member) learn(f *jetstream.Follower) {
	active, epoch := f.Leader()
	m.mu.Lock()
	known := epoch == m.status.Epoch && active == m.status.Active
	if !known {
		m.status.Active, m.status.Epoch = active, epoch
		m.yielding = time.Time{}
	}
	s := m.status
	m.mu.Unlock()
	if !known && s.Role == Standby {
		m.opt.Changed(s, nil)
	}
}

// measure looks how far behind a follower is, and says whether it has nearly all.
func (m *Member) measure(ctx context.Context, f *jetstream.Follower) (ready bool) {
	ctx, cancel := context.WithTimeout(ctx, lagEvery)
	defer cancel()
	lag, err := f.Lag(ctx)
	if err != nil {
		return false // it shows in the follower's own errors
	}
	m.mu.Lock()
	m.status.Lag = lag
	m.mu.Unlock()
	return lag <= nearlyAll
}

// yields says whether this instance leaves a log without a sign of life to another: the one that it has just handed it to.
func (m *Member) yields() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return time.Now().Before(m.yielding)
}

// become tells of a change of role.
func (m *Member) become(r Role, reason string, e *engine.Engine) {
	m.mu.Lock()
	if m.status.Role == r {
		m.mu.Unlock()
		return
	}
	m.status.Role, m.status.Since, m.status.Reason = r, time.Now(), reason
	if m.engine = e; r == Active {
		m.status.Active, m.status.Lag = m.status.Instance, 0
		m.status.Epoch = e.Log().Epoch()
	}
	s := m.status
	m.mu.Unlock()
	m.log.Info("this instance is "+string(r), "instance", s.Instance, "epoch", s.Epoch, "reason", reason)
	m.opt.Changed(s, e)
}

// lead serves until the log has another writer, or ctx ends.
func (m *Member) lead(ctx context.Context, e *engine.Engine, why jetstream.News) error {
	reason := "the instance that was active has been silent"
	if why == jetstream.Vacant {
		reason = "no instance was active"
	}
	m.become(Active, reason, e)
	select {
	case <-e.Done():
	case <-ctx.Done():
		m.close(e)
	}
	err := e.Err()
	reason = "its log has failed"
	m.mu.Lock()
	switch {
	case errors.Is(err, journal.ErrDeposed):
		reason = "another instance has taken over"
	case err == nil && m.handing != "":
		reason, err = "it has handed over to "+m.handing, nil
		m.yielding = time.Now().Add(yieldFor)
	}
	m.handing = ""
	m.mu.Unlock()
	m.become(Standby, reason, nil)
	if errors.Is(err, journal.ErrDeposed) {
		return nil
	}
	return err
}

// closeWithin is how long the other nodes are waited for at a stop.
const closeWithin = 5 * time.Second

// close ends the engine at a stop. The log is vacant then, and a standby need not wait. If most of the nodes are gone the end cannot be written: then it is as after a
// crash, and nothing that was acknowledged is lost.
func (m *Member) close(e *engine.Engine) {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		_ = e.Close() // its error is the engine's
	}()
	select {
	case <-closed:
	case <-time.After(closeWithin):
		m.log.Warn("the other nodes do not answer; this instance stops without them", "after", closeWithin)
		m.opt.Node.Close()
		<-closed
	}
}

// SwitchOver makes another instance the active one, for good: what was begun here is settled as at a clean stop, the log is given to the other, which need not
// wait, and clients are sent away to find it. It returns when the other has it, or ErrNotActive.
func (m *Member) SwitchOver(ctx context.Context, to string) error {
	m.mu.Lock()
	e := m.engine
	if e == nil || to == m.status.Instance {
		m.mu.Unlock()
		if to == m.status.Instance {
			return fmt.Errorf("switch over to %s: it is the active instance already", to)
		}
		return ErrNotActive
	}
	if other := m.handing; other != "" {
		m.mu.Unlock()
		return fmt.Errorf("switch over to %s: a switchover to %s is at work", to, other)
	}
	m.handing = to
	m.mu.Unlock()
	given := ErrNotActive // if the engine has ended for another reason before
	err := e.HandOver(func(l journal.Log) error {
		given = l.(*jetstream.Log).HandOver(ctx, to)
		return given
	})
	if err == nil {
		err = given
	}
	if err != nil {
		m.mu.Lock()
		m.handing = "" // the engine may have ended before it was asked, and nobody else would forget it
		m.mu.Unlock()
		return fmt.Errorf("switch over to %s: %w", to, err)
	}
	return nil
}
