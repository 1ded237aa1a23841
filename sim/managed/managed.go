// Package managed runs the control plane under a seed, in one goroutine and virtual time: the real state machine on the real log (control/plane/durable on
// journal/segment), on a disk that loses power.
//
// What is simulated is what is around it: users who give commands, and give them again when no answer comes; nodes with agents that run instances; and the way between, on which
// effects and reports are late, lost, doubled and out of order. Nodes fall ill, are cut off, are given up for lost and come back with what they had. The plane dies at any moment,
// before what it has written is durable or just behind. The world (world.go) knows what really runs and where the messages are, and judges each deed; books are kept of what was promised to users.
package managed

import (
	"container/heap"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/godwitmq/godwit/control/plane"
	"github.com/godwitmq/godwit/control/plane/durable"
	"github.com/godwitmq/godwit/journal"
	"github.com/godwitmq/godwit/journal/segment"
	"github.com/godwitmq/godwit/vfs"
)

// Config is one run.
type Config struct {
	Seed uint64
	For  time.Duration // how long things happen, in virtual time; 0 means one minute
}

// Result is what a run did.
type Result struct {
	Commands, Refused, Crashes, Operations, RolledBack, Brokers int
	Steps, Failed, Stale, Switchovers, Lost                     int
}

// sim is a run. Everything that happens is an event of its queue.
type sim struct {
	cfg     Config
	rnd     *rand.Rand
	now     time.Time
	skew    time.Duration // the plane's clock is so much ahead: maintenance windows come sooner
	events  events
	seq     int
	err     error
	result  Result
	calm    bool // nothing goes wrong any more
	story   []string
	mem     *vfs.Mem
	log     *segment.Log
	plane   *durable.Plane
	life    int                     // of the plane: what was begun in an earlier one is over
	states  map[uint64]*plane.State // shown since the last crash, by serial
	proven  uint64                  // serial of the newest state that was shown to somebody
	world   world
	users   users
	base    plane.Options
	flushes bool
}

type event struct {
	at  time.Time
	seq int
	do  func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	if !e[i].at.Equal(e[j].at) {
		return e[i].at.Before(e[j].at)
	}
	return e[i].seq < e[j].seq
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	old := *e
	last := old[len(old)-1]
	*e = old[:len(old)-1]
	return last
}

// after lets something happen later.
func (s *sim) after(d time.Duration, do func()) {
	s.seq++
	heap.Push(&s.events, event{s.now.Add(d), s.seq, do})
}

// upTo is a random time.
func (s *sim) upTo(d time.Duration) time.Duration { return time.Duration(s.rnd.Int64N(int64(d))) + 1 }

func (s *sim) chance(percent float64) bool { return s.rnd.Float64()*100 < percent }

func (s *sim) fail(format string, args ...any) {
	if s.err == nil {
		s.err = fmt.Errorf(format, args...)
	}
}

func (s *sim) tell(format string, args ...any) {
	s.story = append(s.story, s.now.Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
	if len(s.story) > 1500 {
		s.story = s.story[100:]
	}
}

// Run plays one seed. The error says what should never happen, and what came before it.
func Run(cfg Config) (Result, error) {
	if cfg.For == 0 {
		cfg.For = time.Minute
	}
	s := &sim{cfg: cfg, rnd: rand.New(rand.NewPCG(cfg.Seed, 1)), now: time.Date(2026, 3, 27, 20, 0, 0, 0, time.UTC), mem: vfs.NewMem(), states: map[uint64]*plane.State{}}
	s.base = plane.Options{Zone: time.LoadLocation, Limits: plane.Limits{Brokers: 4 + s.rnd.IntN(4), Users: 3, SecurityGroups: 4, Revisions: 6, Keys: 5, Audit: 50, Attempts: 2 + s.rnd.IntN(3),
		BackoffFrom: 20 * time.Millisecond, BackoffTo: time.Second}}
	s.open()
	s.world.begin(s)
	s.users.begin(s)
	s.after(s.upTo(10*time.Second), s.crash)
	s.resync()
	end := s.now.Add(cfg.For)
	s.play(end)
	s.settle()
	if s.err != nil {
		from := max(0, len(s.story)-60)
		text := ""
		for _, line := range s.story[from:] {
			text += "\n  " + line
		}
		return s.result, fmt.Errorf("seed %d: %w%s", cfg.Seed, s.err, text)
	}
	return s.result, nil
}

func (s *sim) play(end time.Time) {
	for s.err == nil && len(s.events) > 0 && s.events[0].at.Before(end) {
		e := heap.Pop(&s.events).(event)
		if e.at.After(s.now) {
			s.now = e.at
		}
		e.do()
	}
	s.now = end
}

// settle ends all that goes wrong, and sees that everything then comes to rest as it should; and that nothing is left when all is deleted.
func (s *sim) settle() {
	if s.err != nil {
		return
	}
	s.calm = true
	s.world.heal()
	s.play(s.now.Add(10 * time.Minute))
	if s.err != nil {
		return
	}
	state := s.plane.State()
	for _, b := range state.Brokers(plane.Scope{}) {
		if b.Operation != nil {
			s.fail("broker %s: operation %s has not ended: at step %s, %d attempts, %s", b.ID, b.Operation.Kind, b.Operation.Current(), b.Operation.Attempts, b.Operation.Error)
		}
		if is, why := b.State(); is != plane.Running && is != plane.CreationFailed && b.Blocked == "" {
			s.fail("broker %s is %s at rest: %s", b.ID, is, why)
		}
		s.result.Brokers++
	}
	s.world.same(state)
	s.users.audit(state)
	for _, b := range state.Brokers(plane.Scope{}) {
		s.give(operator, plane.DeleteBroker{ID: b.ID}, func(*plane.Change, error) {})
	}
	s.users.over = true
	s.play(s.now.Add(10 * time.Minute))
	if s.err != nil {
		return
	}
	if left := s.plane.State().Brokers(plane.Scope{}); len(left) > 0 {
		s.fail("broker %s is still there: %+v", left[0].ID, left[0].Operation)
	}
	s.world.empty()
}

// open opens the plane on the disk as it is.
func (s *sim) open() {
	s.life++
	p, err := durable.Open(func(n journal.Notify) (journal.Log, error) {
		log, err := segment.Open("control", segment.Options{FS: s.mem, SegmentSize: 64 << 10, Inline: true, Logger: slog.New(slog.DiscardHandler)}, n)
		s.log = log
		return log, err
	}, durable.Options{Plane: s.base, TickEvery: -1, SnapshotBytes: 64 << 10, Now: func() time.Time { return s.now.Add(s.skew) }, Logger: slog.New(slog.DiscardHandler),
		OnEffects: func(list []plane.Effect) {
			for _, e := range list {
				s.send(e)
			}
		}})
	if err != nil {
		s.fail("open: %v", err)
		return
	}
	s.plane = p
	s.shown()
}

// crash lets the plane die now and then.
func (s *sim) crash() {
	s.die()
	s.after(s.upTo(20*time.Second), s.crash)
}

// die ends the plane, with the power of its disk, and opens it again.
func (s *sim) die() {
	if s.calm {
		return
	}
	s.result.Crashes++
	s.mem = s.mem.Crash(s.rnd.Uint64())
	s.tell("the plane crashes behind %d", s.plane.State().Serial())
	s.open()
	if s.err != nil {
		return
	}
	for serial := range s.states {
		if serial < s.proven {
			delete(s.states, serial)
		}
	}
	for _, e := range s.plane.State().Work() {
		s.send(e)
	}
}

// shown judges a state that somebody may see. It is kept: if the plane comes up again as of the same serial, it must be the same.
func (s *sim) shown() {
	state := s.plane.State()
	serial := state.Serial()
	if serial < s.proven {
		s.fail("the state is as of %d, and as of %d was shown already", serial, s.proven)
	}
	s.proven = serial
	s.keep(state)
	s.judge(state)
}

func (s *sim) keep(state *plane.State) {
	if known := s.states[state.Serial()]; known != nil && known != state && known.Digest() != state.Digest() {
		s.fail("the state as of %d differs from what it was", state.Serial())
	}
	s.states[state.Serial()] = state
}

// give gives a command to the plane. The answer comes later, or never if the plane crashes before.
func (s *sim) give(by plane.Origin, c plane.Command, answer func(*plane.Change, error)) {
	life := s.life
	s.result.Commands++
	s.plane.Submit(by, c, func(change *plane.Change, err error) {
		s.after(0, func() {
			if life != s.life || s.err != nil {
				return
			}
			if err != nil {
				s.result.Refused++
				if plane.KindOf(err) == "" {
					s.fail("%T: %v", c, err)
				}
			} else if len(change.Records) > 0 {
				s.keep(change.State)
				s.shown()
			}
			answer(change, err)
		})
	})
	if !s.flushes {
		s.flushes = true
		s.after(s.upTo(5*time.Millisecond), func() {
			s.flushes = false
			if err := s.log.Flush(); err != nil && !errors.Is(err, journal.ErrClosed) {
				s.fail("flush: %v", err)
			}
		})
	}
}

// resync does what a reconciler does now and then: it asks for all that is to be done. Time passes for the state, too.
func (s *sim) resync() {
	for _, e := range s.plane.State().Work() {
		s.send(e)
	}
	s.give(plane.Origin{}, plane.Tick{}, func(*plane.Change, error) {})
	s.after(time.Second+s.upTo(2*time.Second), s.resync)
}
