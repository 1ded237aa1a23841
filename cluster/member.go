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
	Waiting  Role = "waiting" // the log is no broker's: it is empty and to be filled, being filled, or left
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
	// TakenOver is how this instance became active, the last time that it did; zero if it never has.
	TakenOver TakeOver
	Damaged   bool // something that it has not read is damaged in all replicas of the log
	// Deaf means that a standby has heard nothing of the log for deafAfter, or four times Options.Log.Silence, and could not take over: it is cut off, or most nodes are. Whether there is an active instance it
	// cannot know.
	Deaf bool
}

// TakeOver is a change of the active instance.
type TakeOver struct {
	From string // the one before; "" is none that is known
	Why  Why
	Took time.Duration // from its last sign in the log until this one had the engine; 0 if the log was new
}

// Why an instance took over.
type Why string

// The reasons.
const (
	Silence    Why = "silence"    // the one before said nothing any more
	Stop       Why = "stop"       // it had stopped, or there was none
	Switchover Why = "switchover" // it has handed over
)

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
	// Followed, if not nil, is shown the core of a standby each time it has followed the log up to a position, by the member's goroutine: for tests that look into it.
	Followed func(core *broker.Broker, tail journal.Position)
	// Leaving is called when a switchover begins, by the goroutine that asks for it: from then on no new clients are to be let in here. Changed follows. nil: nobody wants to know.
	Leaving func()
	// Await leaves an empty log to a broker alone that will bring its own (Join).
	Await bool
	// Adopt is a copy that fills the log and is whole: this instance makes it the broker's log. nil: none is.
	Adopt *Copied
	// Joined is what this process has of that copy already; nil: it is read.
	Joined *Joined
	// Deaf is called when a standby becomes deaf (Status.Deaf), by a goroutine of its own. When it hears again, Changed is called. nil: nobody wants to know.
	Deaf func()
	// Left is told that the broker has left the log for a copy with that number, which the named instance has made; true ends Run with ErrLeft. nil: an instance waits.
	Left func(id uint64, by string) bool
	// Logger gets what an operator should know. nil means slog.Default.
	Logger *slog.Logger
}

// Member is one instance.
type Member struct {
	opt Options
	log *slog.Logger

	mu       sync.Mutex
	status   Status
	engine   *engine.Engine   // of an active one
	handing  string           // to whom the engine is being handed over
	yielding time.Time        // until when it does not try to lead, after it handed over
	read     journal.Position // how far the log was read, by whichever core: what is read again is no news
	leaving  *Leaving         // on its way out of the log

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
	// lookLeft is how often an instance whose log was left looks whether it is filled anew.
	lookLeft = time.Second
	// lookEvery is how often an instance looks that may not lead.
	lookEvery = 20 * time.Millisecond
	// startEvery is how often one asks that has not read all yet.
	startEvery = 100 * time.Millisecond
	// deafAfter is how long a standby without news waits until it says that it is cut off. Nothing depends on it but what it tells and does to clients: much longer than a
	// takeover takes, much shorter than clients wait for a broker.
	deafAfter = 2 * time.Second
	// nearlyAll is how far behind the log, in its messages, one is that has read all and sees it grow.
	nearlyAll = 8
)

// Run follows the log, and leads it when nobody else does, until ctx ends. Only damage to the log (journal.ErrCorrupt), a record that this program
// does not understand, or Options.Left ends it before.
func (m *Member) Run(ctx context.Context) error {
	defer m.summary.saves.Wait()
	for pause := firstPause; ; {
		begun := time.Now()
		err := m.life(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, journal.ErrCorrupt) || errors.Is(err, errReplay) || errors.Is(err, ErrLeft):
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
	core, f, known, records, err := m.begin(ctx)
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
	read := false
	replay := func(r journal.Record) error {
		records++
		if err := core.Replay(uint64(r.Position), r.Data); err != nil {
			return fmt.Errorf("%w: at position %d: %w", errReplay, r.Position, err)
		}
		return nil
	}
	making := making{replay: replay}
	defer making.abandon()
	var looked, heard time.Time
	patience := max(deafAfter, 4*m.opt.Log.Silence)
	deaf := time.AfterFunc(patience, m.becomeDeaf)
	defer deaf.Stop()
	ready := func() {
		if !read {
			read = true
			m.log.Info("the log is read", "instance", m.opt.Log.Instance, "records", records, "from", uint64(max(known, f.Head())), "to", uint64(f.Tail()), "took", time.Since(begun))
		}
		m.become(Standby, "the log is read", nil)
	}
	for {
		if state, _ := f.State(); state == jetstream.Left {
			return m.awaitFill(ctx, f)
		}
		news, err := f.Next(ctx, making.take)
		if err == nil {
			err = m.summary.progress(&making, news == jetstream.Advanced)
		}
		if errors.Is(err, jetstream.ErrRefilled) {
			m.summary.refilled()
		}
		if err != nil {
			return err
		}
		m.learn(f)
		if m.opt.Followed != nil && making.made == nil {
			m.opt.Followed(core, f.Tail())
		}
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
			heard = time.Now()
			deaf.Reset(patience)
			m.hears()
			if state, _ := f.State(); state == jetstream.Live {
				m.summary.begin(&making, core, f)
			}
		}
		switch may, err := m.belongs(f, news, records); {
		case err != nil:
			return err
		case !may && news == jetstream.Advanced:
			continue
		case !may: // what waits for others looks now and then
			select {
			case <-time.After(lookEvery):
			case <-ctx.Done():
				return ctx.Err()
			}
			continue
		}
		ready()
		if m.yields() {
			continue
		}
		over := TakeOver{Why: Silence}
		over.From, _ = f.Leader()
		switch giver := f.Giver(); {
		case giver != "":
			over.From, over.Why = giver, Switchover
		case news == jetstream.Vacant:
			over.Why = Stop
		}
		opt := m.opt.Engine
		opt.Broker = m.opt.Broker()
		core.SetPolicies(opt.Broker.Policies) // they may have changed since the core was made
		e, err := engine.Continue(core, func(n journal.Notify) (journal.Log, error) {
			lead := f.Lead
			if state, _ := f.State(); state == jetstream.Filling {
				lead = f.Adopt
			}
			l, err := lead(ctx, n)
			if err != nil {
				return nil, err // not a nil *Log in an interface
			}
			core.Restored(uint64(l.Head()))
			return l, nil
		}, opt)
		switch {
		case err == nil:
			if !heard.IsZero() {
				over.Took = time.Since(heard)
			}
			f = nil // used up
			deaf.Stop()
			return m.lead(ctx, e, over)
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, journal.ErrDeposed), errors.Is(err, journal.ErrBroken):
			m.log.Info("another instance leads the log, or nobody can yet", "error", err)
		default:
			return err
		}
	}
}

// belongs says whether all of the log is read and this instance may lead it, or try to.
func (m *Member) belongs(f *jetstream.Follower, news jetstream.News, records uint64) (bool, error) {
	state, id := f.State()
	switch {
	case state == jetstream.Filling && (m.opt.Adopt == nil || m.opt.Adopt.ID != id):
		if news != jetstream.Advanced {
			m.waitFilled(f)
		}
	case news == jetstream.Advanced:
	case state == jetstream.Filling && m.opt.Adopt.Records != records:
		return false, &journal.CorruptError{File: m.opt.Log.Name, At: f.Tail(), Reason: fmt.Sprintf("the copy has %d records, it was made with %d", records, m.opt.Adopt.Records)}
	case m.opt.Await && f.Empty():
		m.become(Waiting, "the log is empty; it waits for the broker that will be converted (godwit convert)", nil)
	default:
		return true, nil
	}
	return false, nil
}

func (m *Member) waitFilled(f *jetstream.Follower) {
	by, _ := f.Leader()
	m.become(Waiting, "the log is to be filled with what "+by+" has (godwit convert)", nil)
}

// awaitFill is the life of an instance whose log was left: nothing of it is read, and now and then it is looked whether it is filled anew.
func (m *Member) awaitFill(ctx context.Context, f *jetstream.Follower) error {
	_, id := f.State()
	by, _ := f.Leader()
	m.left(id)
	m.summary.refilled() // it will be, or never followed again
	m.become(Waiting, "the broker has left this log and runs alone where "+by+" was (godwit convert)", nil)
	if m.opt.Left != nil && m.opt.Left(id, by) {
		return ErrLeft
	}
	select {
	case <-time.After(lookLeft):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// learn takes over what the log says of its writers.
func (m *Member) learn(f *jetstream.Follower) {
	active, epoch := f.Leader()
	m.mu.Lock()
	if epoch < m.status.Epoch || f.Tail() < m.read { // read once more
		m.mu.Unlock()
		return
	}
	m.read = f.Tail()
	known := epoch == m.status.Epoch && active == m.status.Active
	if epoch > m.status.Epoch {
		m.yielding = time.Time{} // the other has it
	}
	m.status.Active, m.status.Epoch = active, epoch
	if state, _ := f.State(); state == jetstream.Live && m.leaving != nil && epoch > m.leaving.epoch {
		m.leaving.decide(false)
		m.leaving = nil
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
	switch state, id := f.State(); {
	case lag > nearlyAll || f.Empty():
	case state == jetstream.Live:
		return true
	case state == jetstream.Filling && (m.opt.Adopt == nil || m.opt.Adopt.ID != id):
		m.waitFilled(f)
	}
	return false
}

// yields says whether this instance leaves a log without a sign of life to another: the one that it has just handed it to.
func (m *Member) yields() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return time.Now().Before(m.yielding)
}

// becomeDeaf notes that a standby has heard nothing for too long.
func (m *Member) becomeDeaf() {
	m.mu.Lock()
	if m.status.Role != Standby || m.status.Deaf {
		m.mu.Unlock()
		return
	}
	m.status.Deaf = true
	m.mu.Unlock()
	m.log.Warn("this standby has heard nothing of the log and cannot take over: it is cut off, or most of the nodes are", "instance", m.opt.Log.Instance)
	if m.opt.Deaf != nil {
		m.opt.Deaf()
	}
}

// hears ends that.
func (m *Member) hears() {
	m.mu.Lock()
	was := m.status.Deaf
	m.status.Deaf = false
	s := m.status
	m.mu.Unlock()
	if was && s.Role == Standby {
		m.log.Info("this standby hears of the log again", "instance", s.Instance)
		m.opt.Changed(s, nil)
	}
}

// become tells of a change of role.
func (m *Member) become(r Role, reason string, e *engine.Engine) {
	m.mu.Lock()
	if m.status.Role == r {
		if r == Waiting {
			m.status.Reason = reason
		}
		m.mu.Unlock()
		return
	}
	m.status.Role, m.status.Since, m.status.Reason, m.status.Deaf = r, time.Now(), reason, false
	if m.engine = e; r == Active {
		m.status.Active, m.status.Lag = m.status.Instance, 0
		m.status.Epoch = e.Log().Epoch()
		if m.leaving != nil { // it goes on with an epoch of its own
			m.leaving.decide(false)
			m.leaving = nil
		}
	}
	s := m.status
	m.mu.Unlock()
	m.log.Info("this instance is "+string(r), "instance", s.Instance, "epoch", s.Epoch, "reason", reason)
	m.opt.Changed(s, e)
}

// lead serves until the log has another writer, or ctx ends.
func (m *Member) lead(ctx context.Context, e *engine.Engine, over TakeOver) error {
	reason := map[Why]string{
		Silence: "the instance that was active has been silent", Stop: "no instance was active", Switchover: over.From + " has handed over",
	}[over.Why]
	m.mu.Lock()
	m.status.TakenOver = over
	m.mu.Unlock()
	m.become(Active, reason, e)
	select {
	case <-e.Done():
	case <-ctx.Done():
		m.close(e)
	}
	err := e.Err()
	reason = "its log has failed"
	m.mu.Lock()
	m.read = max(m.read, e.Log().Tail())
	switch {
	case errors.Is(err, journal.ErrDeposed):
		reason = "another instance has taken over"
	case err == nil && m.handing == leavingTo:
		reason = "it was to leave the log"
	case err == nil && m.handing != "":
		reason, err = "it has handed over to "+m.handing, nil
		m.status.Active = m.handing // its log will say so, but clients wait
		m.yielding = time.Now().Add(yieldFor)
	case ctx.Err() != nil:
		reason = "it is stopping"
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

// leaveWithin is how long clients that come back by themselves have to leave at a switchover: one that always waits for something leaves with the others, after the log
// has been given away.
const leaveWithin = 200 * time.Millisecond

// SwitchOver makes another instance the active one, for good. Clients that come back by themselves leave first, each at a moment when it waits for nothing; what was
// begun here is settled as at a clean stop, the log is given to the other, which need not wait, and the remaining clients are sent away to find it. It returns when the
// other has the log, or ErrNotActive.
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
	if m.opt.Leaving != nil {
		m.opt.Leaving()
	}
	e.Leave(leaveWithin)
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
		s := m.status
		m.mu.Unlock()
		if s.Role != Active { // and Changed may have been called before Leaving
			m.opt.Changed(s, nil)
		}
		return fmt.Errorf("switch over to %s: %w", to, err)
	}
	return nil
}
