// Package sim runs the broker's core and its journal in one goroutine, on a disk that crashes and fails, under a clock that it turns itself,
// with clients that do whatever chance says. All chance comes from one seed, so that whatever goes wrong can be repeated.
//
// It takes the engine's place (driver.go), plays the clients (client.go), and knows independently of the core what must be where (model.go):
// after each step every message that came or went must have a reason, and after each crash the broker must be what it was at the end of a batch that
// is not older than anything a client was told.
package sim

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"runtime/debug"
	"strings"
)

// Config is one run.
type Config struct {
	Seed  uint64
	Steps int // how many things happen; 0 means 3000
	Bug   Bug // planted by the driver, to see that it is found
}

// Bug is a mistake that the driver makes on purpose.
type Bug int

// The planted bugs.
const (
	NoBug           Bug = iota
	ConfirmEarly        // what waits for the disk is told at once
	StaleCheckpoint     // a checkpoint says that it sums up more than it does
	DropPlace           // the core is not told where some messages are in the log
	ForgetAck           // acknowledgements are not written
	ForgetTxAck         // acknowledgements in transactions are not written
	ForgetTxMessage     // some messages of transactions are not written
	ForgetRemoval       // that a queue or subscription was removed is not written
	NoMark              // how far a queue was dispatched is not written
	SkipRedelivered     // the redelivered flag is not shown
	BeyondCredit        // the core thinks that prefetches are larger by one
	SplitStep           // the records of one step go into two batches
	EarlyTrim           // the log forgets more than the core said
	IgnoreResent        // the second copy of a message is taken for a first
	ReuseLoadedBody     // a message that is read back is the one read before
	WrongKey            // the key of a last value is written wrongly
	NoCopies            // the core copies no virtual topic
	WideRing            // the core thinks that a ring is larger by one
	ForgetMoved         // that a message has left the queue from which it was moved is not written
	ForgetPause         // that a queue is paused is not written
	LoseGroup           // the core is not told of the group of some messages
	BeyondLimit         // a destination is full one message too late
	BelowLimit          // it is one too early
	WaitLonger          // what waits for room does so for too long
	ForgetPrepare       // that a transaction is prepared is not written
	ForgetOutcome       // what operators decided, and which commits took place, is not written
	WidePending         // the core thinks that one more message may wait for a subscriber
	ShortMemory         // a topic keeps one message less for those who come late
	Impatient           // slow consumers are ended too early
	Patient             // they are never ended
	ForgetPast          // what a retroactive durable subscription is given is not written
	bugs
)

var bugNames = [...]string{"none", "confirm early", "stale checkpoint", "drop place", "forget ack", "forget tx ack", "forget tx message", "forget removal", "no mark", "skip redelivered",
	"beyond credit", "split step", "early trim", "ignore resent", "reuse loaded body", "wrong key", "no copies", "wide ring",
	"forget moved", "forget pause", "lose group", "beyond limit", "below limit", "wait longer", "forget prepare", "forget outcome", "wide pending", "short memory", "impatient", "patient", "forget past"}

// String is the bug's name.
func (b Bug) String() string { return bugNames[b] }

// Result is what a run did. Two runs of the same Config have the same Result.
type Result struct {
	Trace                                                 uint64 // hash of all that happened
	Sent, Delivered, Settled, Commits, Crashes, Trims     int
	DeadLetters, Loads, Resent, Browsed, Refused, Grouped int
	Copied, LetGo                                         int // of a virtual topic; by queues that do not keep all
	Sweeps                                                int
	Waited                                                int // sends and commits
	Prepared, Repeated                                    int
	Restored                                              int // starts from a checkpoint
	Past, Evicted, Aborted                                int // given to retroactive consumers; lost by subscribers, and consumers ended, for being slow
}

// failure carries a violation up through the run.
type failure struct{ text string }

// Run plays one seed. The error says what was violated, at which step, and what happened shortly before.
func Run(cfg Config) (result Result, err error) {
	if cfg.Steps == 0 {
		cfg.Steps = 3000
	}
	w := &world{cfg: cfg, rnd: rand.New(rand.NewPCG(cfg.Seed, 0x60d317)), trace: fnv.New64a(), now: 1_800_000_000_000}
	defer func() {
		r := recover()
		result = w.result
		result.Trace = w.trace.Sum64()
		if r == nil {
			return
		}
		f, ok := r.(failure)
		if !ok {
			f = failure{fmt.Sprintf("panic: %v\n%s", r, debug.Stack())}
		}
		err = fmt.Errorf("seed %d, step %d: %s\nbefore that:\n  %s", cfg.Seed, w.steps, f.text, strings.Join(w.recent, "\n  "))
	}()
	w.start()
	for w.steps = 1; w.steps <= cfg.Steps; w.steps++ {
		w.guarded(w.turn)
	}
	w.guarded(w.rest)
	w.crash(powerCut)
	w.guarded(w.rest)
	return w.result, nil
}

// guarded lets a planted crash cut a turn short.
func (w *world) guarded(turn func()) {
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(restarted); !ok {
				panic(r)
			}
		}
	}()
	turn()
}

// fail ends the run with a violation.
func (w *world) fail(format string, args ...any) { panic(failure{fmt.Sprintf(format, args...)}) }

// note puts a line into the trace.
func (w *world) note(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	fmt.Fprintln(w.trace, line)
	if len(w.recent) >= 40 {
		w.recent = append(w.recent[:0], w.recent[1:]...)
	}
	w.recent = append(w.recent, fmt.Sprintf("%d: %s", w.steps, line))
}

// chance is true once in n times.
func (w *world) chance(n int) bool { return w.rnd.IntN(n) == 0 }

// turn lets one thing happen.
func (w *world) turn() {
	switch x := w.rnd.IntN(1000); {
	case x < 600:
		w.act()
	case x < 700:
		w.append()
	case x < 790:
		w.flush()
	case x < 880:
		w.notice()
	case x < 930:
		w.answerLoad()
	case x < 975:
		w.now += int64(w.rnd.IntN(200))
		w.tick()
	case x < 982:
		w.rest()
	case !w.chance(w.calm):
		w.act()
	case x < 986:
		w.cleanStop()
	case x < 992:
		w.breakSoon()
	case x < 996:
		w.crash(powerCut)
	default:
		w.crash(kill)
	}
}
