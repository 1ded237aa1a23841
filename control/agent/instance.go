package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"time"

	"github.com/godwitmq/godwit/control/client"
	"github.com/godwitmq/godwit/control/plane"
)

// order is what is to be done for one instance. No effects: it is not to be there.
type order struct {
	serial  uint64
	effects []plane.Effect
}

// note is what an instance's folder says of itself.
type note struct {
	Generation uint64 `json:"generation"`
	Written    uint64 `json:"written"`           // version of the spec whose files are there
	Applied    uint64 `json:"applied"`           // version that is in force in the process
	Pending    string `json:"pending,omitempty"` // settings of it that need a restart to be in force
}

const noteFile = "note.json"

// The pauses between starts of a process that ends by itself.
const (
	firstPause = time.Second
	longPause  = 30 * time.Second
	// healthyFor is how long a process runs before its end is the first one again.
	healthyFor = time.Minute
	// renewEvery is how often the files are looked at for certificates that end.
	renewEvery = time.Hour
	askWithin  = 5 * time.Second
	// blink is how long an instance may serve nobody before that is worth a word: a switchover or a conversion is no trouble.
	blink = 3 * time.Second
)

// instance works for one instance: one goroutine, which compares orders with what there is, and does what comes next.
type instance struct {
	agent  *Agent
	key    string // <broker id>-<number>, the folder's name
	broker string
	number int
	folder string
	log    *slog.Logger
	wake   chan struct{}

	mu      sync.Mutex
	given   order
	calling context.CancelFunc // ends the call that step is at; nil: none is
	step    stepKey

	// The rest is the goroutine's own.
	note        note
	process     *process
	password    string
	api         *client.Client
	apiURL      string
	provisioned time.Time
	trouble     string // why the newest spec is not in force, or the process cannot be started
	pause       time.Duration
	notBefore   time.Time // for the next start
	starts      int       // since the last that was healthy
	ending      string    // how the last process has ended
	other       bool      // the last start was refused: try the other configuration
	healthy     time.Time // since when; zero: it is not
	ready       time.Time // when it last was
	epoch       uint64    // of the log in which it is the active one; 0: it is not, or that is not known
	epochAt     time.Time
	answered    stepKey // the newest attempt that has its answer
	answer      plane.Command
	arrived     bool      // the answer
	begun       time.Time // of the attempt at work
	attempt     stepKey
	runs, lies  program // what the process runs, and what a start would
	told        plane.Observed
	toldAt      time.Time
}

// stepKey names an attempt at a step.
type stepKey struct {
	step    uint64
	attempt int
}

func keyOfStep(e *plane.Effect) stepKey { return stepKey{e.Step, e.Attempt} }

func (i *instance) orders() order {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.given
}

// tell gives newer orders. A call for a step that is not in them any more is given up.
func (i *instance) tell(o order) {
	i.mu.Lock()
	news := len(o.effects) == 0 || !reflect.DeepEqual(o.effects, i.given.effects)
	i.given = o
	if i.calling != nil {
		there := false
		for _, e := range o.effects {
			there = there || e.Step != 0 && keyOfStep(&e) == i.step
		}
		if !there {
			i.calling()
		}
	}
	i.mu.Unlock()
	if news {
		i.poke()
	}
}

func (i *instance) poke() {
	select {
	case i.wake <- struct{}{}:
	default:
	}
}

// call is a context for what may take long for a step.
func (i *instance) call(ctx context.Context, e *plane.Effect, within time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, within)
	i.mu.Lock()
	i.calling, i.step = cancel, keyOfStep(e)
	i.mu.Unlock()
	return ctx, func() {
		i.mu.Lock()
		i.calling = nil
		i.mu.Unlock()
		cancel()
	}
}

// run works until ctx ends, or nothing is left of the instance.
func (i *instance) run(ctx context.Context) {
	if err := readJSON(filepath.Join(i.folder, noteFile), &i.note); err != nil {
		i.log.Warn("what the folder says of itself cannot be read; its files are made anew", "error", err)
	}
	if i.process = findProcess(i.folder); i.process != nil {
		i.log.Info("the process of before goes on", "pid", i.process.pid, "generation", i.process.generation)
		i.note.Generation = max(i.note.Generation, i.process.generation)
	}
	for {
		if err := i.work(ctx); err != nil && ctx.Err() == nil {
			i.log.Warn("not done yet; trying again", "error", err)
		}
		if len(i.orders().effects) == 0 && !exists(i.folder) && i.process == nil && i.agent.over(i) {
			return
		}
		var ended <-chan struct{}
		if i.process != nil {
			ended = i.process.done
		}
		select {
		case <-ctx.Done():
			return
		case <-i.wake:
		case <-ended:
		case <-time.After(i.agent.opt.LookEvery):
		}
	}
}

// work looks at everything once, and does what can be done now.
func (i *instance) work(ctx context.Context) error {
	i.bury()
	o := i.orders()
	if len(o.effects) == 0 {
		return i.retire(ctx, o.serial)
	}
	var newest *plane.Effect // of what is to run
	for n := range o.effects {
		e := &o.effects[n]
		if e.Kind == plane.Stop {
			if err := i.stopStep(ctx, e); err != nil {
				return err
			}
		} else if newest == nil || e.Spec.Generation > newest.Spec.Generation {
			newest = e
		}
	}
	if newest == nil {
		return nil
	}
	spec := &newest.Spec
	var step *plane.Effect
	for n := range o.effects {
		if e := &o.effects[n]; e.Step != 0 && e.Kind != plane.Stop && e.Spec.Generation == spec.Generation {
			step = e
		}
	}
	if step != nil && !i.turn(ctx, step) {
		step = nil
	}
	if step != nil {
		i.begin(step)
	}
	if step != nil && step.Kind == plane.Start && i.note.Generation != 0 && i.note.Generation < spec.Generation {
		if why := i.needed(ctx, step); why != "" {
			i.late(ctx, step, needWithin, why)
			return nil
		}
	}
	err := i.ensure(ctx, spec, step != nil || newest.Kind == plane.Run)
	if err == nil {
		i.trouble = ""
	} else if ctx.Err() == nil {
		if i.trouble != err.Error() {
			i.log.Warn("the instance is not as it is to be", "why", err)
		}
		i.trouble = err.Error() // what runs goes on as it is
		if step != nil {
			i.fail(ctx, step, "%v", err)
			step = nil
		}
	}
	health := i.health(ctx)
	if step != nil {
		i.carryOut(ctx, step, health)
	}
	i.observe(ctx, spec, health)
	if err := cutLog(filepath.Join(i.folder, logFile)); err != nil {
		i.log.Warn("the instance's log cannot be cut", "error", err)
	}
	return nil
}

// begin notes that an attempt begins, if it has not.
func (i *instance) begin(e *plane.Effect) {
	if keyOfStep(e) != i.attempt {
		i.attempt, i.begun, i.notBefore, i.ending = keyOfStep(e), time.Now(), time.Time{}, ""
	}
}

// late has an attempt fail that has waited too long.
func (i *instance) late(ctx context.Context, e *plane.Effect, within time.Duration, why string) {
	if time.Since(i.begun) > within {
		i.fail(ctx, e, "not within %v: %s", within, why)
	}
}

// turn says whether it is time to work at an attempt: it has no answer yet. An answer that did not arrive is given again.
func (i *instance) turn(ctx context.Context, e *plane.Effect) bool {
	if k := keyOfStep(e); k == i.answered {
		if !i.arrived {
			i.arrived = i.agent.report(ctx, i.answer)
		}
		return false
	}
	return !time.Now().Before(e.NotBefore)
}

func (i *instance) reply(ctx context.Context, e *plane.Effect, c plane.Command) {
	i.answered, i.answer = keyOfStep(e), c
	i.arrived = i.agent.report(ctx, c)
}

func (i *instance) done(ctx context.Context, e *plane.Effect) {
	i.log.Info("done", "step", e.Kind, "generation", e.Spec.Generation)
	i.reply(ctx, e, plane.StepDone{Broker: e.Spec.Broker, Step: e.Step, Epoch: max(1, i.epoch)})
}

func (i *instance) fail(ctx context.Context, e *plane.Effect, format string, args ...any) {
	if ctx.Err() != nil { // it was the agent's end
		return
	}
	why := fmt.Sprintf(format, args...)
	i.log.Warn("a step has failed", "step", e.Kind, "generation", e.Spec.Generation, "attempt", e.Attempt, "why", why)
	i.reply(ctx, e, plane.StepFailed{Broker: e.Spec.Broker, Step: e.Step, Attempt: e.Attempt, Error: why})
}

// bury notices that the process has ended.
func (i *instance) bury() {
	if i.process == nil {
		return
	}
	select {
	case <-i.process.done:
	default:
		return
	}
	p := i.process
	i.process, i.healthy, i.epoch = nil, time.Time{}, 0
	_ = os.Remove(filepath.Join(i.folder, pidFile)) // what it names is not there
	i.ending = "it has ended"
	if p.err != nil {
		i.ending = p.err.Error()
	}
	if words := lastWords(filepath.Join(i.folder, logFile), p.from); words != "" {
		i.ending += ": " + words
	}
	if time.Since(p.began) >= healthyFor {
		i.pause, i.starts = 0, 0
	}
	i.other = time.Since(p.began) < healthyFor && !i.other
	i.pause = min(max(firstPause, 2*i.pause), longPause)
	i.notBefore = time.Now().Add(i.pause)
	i.log.Warn("the process has ended", "pid", p.pid, "generation", p.generation, "how", i.ending, "next start in", i.pause)
}

// end ends the process, and notes that durably, before anything follows from it.
func (i *instance) end(ctx context.Context, why string) error {
	if i.process != nil {
		i.log.Info("the process is ended", "pid", i.process.pid, "generation", i.process.generation, "why", why)
		if err := i.process.stop(ctx, i.agent.opt.StopWithin); err != nil {
			return err
		}
		i.process, i.healthy, i.ending, i.epoch = nil, time.Time{}, "", 0
		_ = os.Remove(filepath.Join(i.folder, pidFile)) // what it names is not there
	}
	return i.agent.ended.note(i.key, i.note.Generation)
}

// remove removes all that an instance has. It must have been ended.
func (i *instance) remove() error {
	// First a name that nobody takes for an instance's: what is half removed is not started.
	aside := filepath.Join(i.agent.dir, removedPrefix+i.key)
	if err := os.RemoveAll(aside); err != nil {
		return err
	}
	if err := i.rename(aside); err != nil {
		return err
	}
	return os.RemoveAll(aside)
}

// rename takes the folder away, and forgets what was known of it.
func (i *instance) rename(to string) error {
	if err := os.Rename(i.folder, to); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	i.note, i.password, i.api, i.apiURL, i.provisioned = note{}, "", nil, "", time.Time{}
	i.trouble, i.starts, i.pause, i.notBefore, i.told = "", 0, 0, time.Time{}, plane.Observed{}
	return nil
}

// retire ends what is not to be there. No step has said that its data is to go, so it is put aside for a while: who had it run may be another control plane than the one that does not know it, or the
// node was given up for lost and has come back.
func (i *instance) retire(ctx context.Context, serial uint64) error {
	if i.process == nil && !exists(i.folder) {
		return nil
	}
	if i.note.Generation > serial {
		return fmt.Errorf("generation %d is not to run, as a control plane says that has given only %d numbers: it is not the one that has started it; nothing is ended", i.note.Generation, serial)
	}
	generation := i.note.Generation
	if err := i.end(ctx, "it is not to run"); err != nil {
		return err
	}
	to := filepath.Join(i.agent.opt.Data, leftDir, fmt.Sprintf("%s@%d-%s", i.key, generation, time.Now().UTC().Format("20060102T150405Z")))
	if err := i.rename(to); err != nil {
		return err
	}
	now := time.Now()
	_ = os.Chtimes(to, now, now) // else it goes sooner
	i.log.Warn("the instance is not known to the control plane; its data is kept for a while", "folder", to, "for", keepLeft)
	return nil
}

// stopStep ends a generation for good, and removes its data.
func (i *instance) stopStep(ctx context.Context, e *plane.Effect) error {
	if !i.turn(ctx, e) {
		return nil
	}
	i.begin(e)
	if i.note.Generation != 0 && i.note.Generation <= e.Spec.Generation && i.agent.ended.up(i.key) < e.Spec.Generation {
		if why := i.needed(ctx, e); why != "" {
			i.late(ctx, e, needWithin, why)
			return nil
		}
	}
	err := i.agent.ended.note(i.key, e.Spec.Generation)
	if err == nil && i.note.Generation <= e.Spec.Generation {
		if err = i.end(ctx, "it is to go"); err == nil {
			err = i.remove()
		}
	}
	if err != nil {
		i.fail(ctx, e, "%v", err)
		return nil
	}
	i.done(ctx, e)
	return nil
}
