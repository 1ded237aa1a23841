// Package pair runs a whole active/standby pair and its witness in one process, under a seed: the real members, engines, cores and replicated logs, on simulated
// servers and a simulated network, in virtual time.
//
// What is simulated is what NATS and its servers do below journal/jetstream's Remote (servers.go): one sequence of messages with a leader, replicas that lag, links that fail in one
// direction or both, processes that stop and go on or are killed, requests and answers that are late or lost, leaders that do not know yet that they are none. Producers and consumers
// keep books (client.go); an audit reads all that the servers agree on and judges it by itself (audit.go). Checkpoints are written to simulated disks, of which much may become (disk.go), and the
// broker may leave the log and come back to it (convert.go). What happens to the pair is a list made from the seed
// (schedule.go), and the fate of each call depends on the seed, the process and the number of the call alone. Goroutines are real, in a bubble of testing/synctest, so that the same seed
// tells nearly the same story each time but not always the very same: a failure names its seed and prints what happened. A single goroutine, as in the package sim, would repeat
// every run exactly, but then members and logs, which are goroutines with timers, would have to be written a second time, and it is them that are to be tried.
package pair

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/cluster"
	"github.com/godwitmq/godwit/engine"
	"github.com/godwitmq/godwit/journal"
	"github.com/godwitmq/godwit/journal/checkpoint"
	"github.com/godwitmq/godwit/journal/jetstream"
	"github.com/godwitmq/godwit/message"
)

// Config is one run.
type Config struct {
	Seed uint64
	For  time.Duration // how long things happen, in virtual time; 0 means 15 s
}

// Result is what a run did.
type Result struct {
	Acknowledged, Delivered, Settled int
	Epochs, Kills, Pauses, Cuts      int
	Switchovers, Compared            int
	Written, Restored, Refused       int // checkpoints; Restored are starts from one, Refused those for which there was none that could be used
	Tampered, Converted              int
	Purged                           uint64
	Messages                         int // of the stream
}

const queues = 3

// world is all there is in a run. mu guards it; nobody waits for anything while holding it.
type world struct {
	cfg       Config
	mu        sync.Mutex
	rnd       *rand.Rand // for what is settled before anything runs
	began     time.Time
	servers   servers
	weather   weather
	audit     audit
	instances [2]*instance
	runs      [nodes]uint64
	skew      [2]time.Duration // of the instances' clocks
	disks     [2]disk
	every     int64 // by how much the log grows between two checkpoints
	adopt     [2]*cluster.Copied
	packFrom  int   // broker.Options.PackFrom
	segment   int64 // broker.Options.SegmentBytes
	logs      [2]jetstream.Options
	result    Result

	sent       map[message.ID]*sent
	doubts     []*transaction
	order      map[order]int64
	producers  []*producer
	clients    sync.WaitGroup
	flushing   bool // nothing new is sent
	over       bool
	converting bool
	forgetful  bool // the servers have lost what they had agreed on: then only damage must be noticed
	forgot     time.Time
	compare    int // how rarely a standby's core is compared

	violation string
	notes     []string
}

// instance is one process with an instance, from its start to its end.
type instance struct {
	w           *world
	at          int
	handle      *handle
	member      *cluster.Member
	cancel      context.CancelFunc
	done        chan struct{}
	err         error
	engine      *engine.Engine // while it takes itself for the active one
	dead        bool
	unreachable bool            // for clients
	hurry       context.Context // ends when it becomes active: then another checkpoint may be written, and would wait for one that is being written slowly
	rush        context.CancelFunc
	gave        time.Time // when it handed over last
	gaveEpoch   uint64
	late        bool             // that core was made after the servers had forgotten something
	was         journal.Position // up to where it had read when the servers had just forgotten something
	core        *broker.Broker   // that it follows the log with
	restored    bool             // that core began with a checkpoint
	begins      bool             // so will the next
	compared    bool             // that core was compared with the log
	whole       journal.Position // up to where that must have read: what was cleaned stands again further on
}

func (in *instance) String() string { return fmt.Sprintf("%s (run %d)", names[in.at], in.handle.run) }

// fail notes what was violated; the first counts. It is called with mu held.
func (w *world) fail(format string, args ...any) {
	w.note("VIOLATION: "+format, args...)
	if w.violation == "" {
		w.violation = fmt.Sprintf(format, args...)
	}
}

const noted = 150

// note keeps what happened lately.
func (w *world) note(format string, args ...any) {
	if w.violation != "" {
		return
	}
	if len(w.notes) > noted {
		w.notes = append(w.notes[:0], w.notes[len(w.notes)-noted:]...)
	}
	w.notes = append(w.notes, fmt.Sprintf("%8.3f ", time.Since(w.began).Seconds())+fmt.Sprintf(format, args...))
}

// Run plays one seed. The error says what was violated, and what happened.
func Run(t *testing.T, cfg Config) (result Result, err error) {
	synctest.Test(t, func(t *testing.T) {
		if cfg.For == 0 {
			cfg.For = 15 * time.Second
		}
		w := &world{cfg: cfg, rnd: rand.New(rand.NewPCG(cfg.Seed, 0x9a14)), began: time.Now(), sent: map[message.ID]*sent{}, order: map[order]int64{}}
		w.servers = servers{w: w, rnd: w.random(), leader: -1, first: 1}
		w.audit = audit{w: w, logged: map[message.ID]uint64{}, newest: map[string]message.ID{}, opened: map[uint64]string{}}
		plan := w.plan()
		w.play(plan)
		result = w.result
		if w.violation != "" {
			var b strings.Builder
			fmt.Fprintf(&b, "seed %d: %s\nwhat was to happen:\n", cfg.Seed, w.violation)
			for _, h := range plan {
				fmt.Fprintf(&b, "  %8.3f %s\n", h.at.Seconds(), h.what)
			}
			fmt.Fprintf(&b, "what happened last:\n  %s", strings.Join(w.notes, "\n  "))
			err = fmt.Errorf("%s", b.String())
		}
	})
	return result, err
}

func (w *world) broker() broker.Options {
	return broker.Options{SegmentBytes: w.segment, CacheBytes: 1, MemoryBytes: 2 << 10, PackFrom: w.packFrom}
}

// start starts the process of a node.
func (w *world) start(at int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := &w.servers.node[at]
	if n.up {
		return
	}
	n.up, n.believes, n.visible = true, false, min(n.stored, uint64(len(w.servers.log)))
	w.runs[at]++
	w.note("node %s starts", names[at])
	if at >= len(w.instances) {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	in := &instance{w: w, at: at, handle: &handle{w: w, at: at, gone: make(chan struct{}), calls: map[string]uint64{}, run: w.runs[at]}, cancel: cancel, done: make(chan struct{})}
	in.hurry, in.rush = context.WithCancel(context.Background())
	quiet := slog.New(noteHandler{in})
	opt := w.logs[at]
	opt.Logger = quiet
	in.member = cluster.New(cluster.Options{
		Node: jetstream.NodeOver(names[at], in.handle, quiet), Log: opt, Broker: w.broker, Logger: quiet,
		Engine:   engine.Options{Logger: quiet, Now: func() time.Time { return in.now() }},
		Changed:  in.changed,
		Followed: in.followed, Adopt: w.adopt[at],
		Checkpoints: &checkpoint.Store{FS: &files{w.disks[at].mem, in}, Dir: "."}, CheckpointEvery: w.every,
	})
	w.instances[at] = in
	go func() {
		defer close(in.done)
		err := in.member.Run(ctx)
		w.mu.Lock()
		defer w.mu.Unlock()
		in.err, in.engine = err, nil
		if err != nil && !in.dead {
			w.note("%s has ended: %v", in, err)
			if !w.forgetful {
				w.fail("%s has ended: %v", in, err)
			}
		}
	}()
}

func (in *instance) now() time.Time {
	in.w.mu.Lock()
	defer in.w.mu.Unlock()
	return time.Now().Add(in.w.skew[in.at])
}

// changed is Options.Changed.
func (in *instance) changed(s cluster.Status, e *engine.Engine) {
	w := in.w
	w.mu.Lock()
	defer w.mu.Unlock()
	if in.dead {
		return
	}
	w.note("%s is %s, epoch %d of %s: %s", in, s.Role, s.Epoch, s.Active, s.Reason)
	if in.engine = e; s.Role != cluster.Active {
		if in.hurry.Err() != nil {
			in.hurry, in.rush = context.WithCancel(context.Background())
		}
		return
	}
	in.rush()
	w.result.Epochs++
	if since := time.Since(in.gave); !in.gave.IsZero() && since < yields && s.Epoch == in.gaveEpoch+1 {
		w.fail("%s takes the log back %v after it has handed it over", in, since)
	}
	if who := w.audit.opened[s.Epoch]; who != names[in.at] && !w.forgetful {
		w.fail("%s is active in epoch %d, which the log says is that of %q", in, s.Epoch, who)
	}
}

// followed is Options.Followed.
func (in *instance) followed(core *broker.Broker, tail journal.Position) {
	w := in.w
	w.mu.Lock()
	defer w.mu.Unlock()
	if core != in.core {
		in.core, in.whole, in.late = core, w.audit.end, w.forgetful
		in.restored, in.begins, in.compared = in.begins, false, false
	}
	if !w.forgetful || time.Since(w.forgot) < 2*time.Second {
		in.was = tail // it need not have met anything yet that tells it
	}
	switch {
	case in.dead || tail < in.whole:
		return
	case w.forgetful && (in.late || tail == in.was): // what one that begins now can see is whole
		return
	case !w.forgetful && w.servers.rnd.IntN(w.compare) != 0 && (in.compared || !in.restored):
		return
	}
	w.result.Compared++
	in.compared = true
	if in.restored {
		w.audit.alike(in.String(), core, tail)
	} else {
		w.audit.same(in.String(), core, tail)
	}
}

// kill ends a node's process at once.
func (w *world) kill(at int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := &w.servers.node[at]
	if !n.up {
		return
	}
	w.note("node %s is killed", names[at])
	w.result.Kills++
	n.up, n.believes = false, false
	w.resume(at)
	if at < len(w.instances) {
		in := w.instances[at]
		in.dead, in.engine = true, nil
		if in.member.Status().Damaged && !w.forgetful {
			w.fail("%s takes the log for damaged", in)
		}
		in.handle.close()
		in.cancel()
		w.disks[at].crash()
	}
}

func (w *world) pause(at int) {
	n := &w.servers.node[at]
	if n.up && n.paused == nil {
		w.note("node %s is stopped", names[at])
		w.result.Pauses++
		n.paused = make(chan struct{})
	}
}

func (w *world) resume(at int) {
	if n := &w.servers.node[at]; n.paused != nil {
		w.note("node %s goes on", names[at])
		close(n.paused)
		n.paused = nil
	}
}

// play lets the pair live.
func (w *world) play(plan []happening) {
	for i := range nodes {
		w.start(i)
	}
	ended := make(chan struct{})
	ticked := make(chan struct{})
	go func() {
		defer close(ticked)
		for {
			w.mu.Lock()
			w.servers.tick()
			w.mu.Unlock()
			select {
			case <-ended:
				return
			case <-time.After(tickEvery):
			}
		}
	}()
	for i := range 3 {
		p := &producer{w: w, name: fmt.Sprintf("p%d", i), rnd: w.random(), inTx: i == 2, pace: time.Duration(20+w.rnd.IntN(150)) * time.Millisecond, patient: time.Duration(1+w.rnd.IntN(8)) * time.Second}
		w.producers = append(w.producers, p)
		w.clients.Go(p.run)
	}
	for i := range queues {
		c := &consumer{w: w, name: fmt.Sprintf("c%d", i), queue: fmt.Sprintf("q.%d", i), rnd: w.random(), slow: time.Duration(w.rnd.IntN(3)*100) * time.Millisecond}
		w.clients.Go(c.run)
	}
	p := &producer{w: w, name: "p3", rnd: w.random(), inXA: true, pace: time.Duration(20+w.rnd.IntN(150)) * time.Millisecond, patient: time.Duration(1+w.rnd.IntN(8)) * time.Second}
	w.producers = append(w.producers, p)
	w.clients.Go(p.run)
	for _, h := range plan {
		if !w.until(w.began.Add(h.at), func() bool { return false }) && w.violated() {
			break
		}
		h.do()
	}
	if !w.violated() {
		w.end()
	}
	w.mu.Lock()
	w.over = true
	w.result.Purged, w.result.Messages = w.servers.first-1, len(w.servers.log)
	w.mu.Unlock()
	w.heal()
	if !w.violated() {
		w.stop()
	}
	for i := range nodes {
		w.kill(i)
	}
	for _, in := range w.instances {
		<-in.done
	}
	w.clients.Wait()
	close(ended)
	<-ticked
	w.leaks()
}

func (w *world) random() *rand.Rand { return rand.New(rand.NewPCG(w.rnd.Uint64(), 1)) }

func (w *world) violated() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.violation != ""
}

// until waits for a condition, which is asked with mu held, or a time, or a violation.
func (w *world) until(limit time.Time, what func() bool) bool {
	for {
		w.mu.Lock()
		ok, broken := what(), w.violation != ""
		w.mu.Unlock()
		left := time.Until(limit)
		if ok || broken || left <= 0 {
			return ok && !broken
		}
		time.Sleep(min(left, 20*time.Millisecond))
	}
}

// within fails unless a condition comes true in time.
func (w *world) within(d time.Duration, name string, what func() bool) bool {
	if w.until(time.Now().Add(d), what) {
		return true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.violation == "" {
		for _, in := range w.instances {
			s := in.member.Status()
			w.note("%s is %s in epoch %d of %s: %s", in, s.Role, s.Epoch, s.Active, s.Reason)
		}
		for i, n := range w.servers.node {
			w.note("node %s: up %v, has %d of %d messages, shows %d, takes itself for the leader %v", names[i], n.up, n.stored, len(w.servers.log), n.visible, n.believes)
		}
		w.fail("%v after all was whole again, still not: %s", d, name)
	}
	return false
}

// active is the one instance that is, if the others are standbys. mu is held.
func (w *world) active() *instance {
	var found *instance
	for _, in := range w.instances {
		switch s := in.member.Status(); {
		case s.Role == cluster.Active && found == nil:
			found = in
		case s.Role != cluster.Standby:
			return nil
		}
	}
	return found
}

// yields is for how long at least who has handed over leaves the log alone.
const yields = 4900 * time.Millisecond

// settleWithin is how long after all is whole again the pair may take to serve as usual.
const settleWithin = 20 * time.Second

// end makes everything whole and looks whether all is there that must be.
func (w *world) end() {
	w.heal()
	if w.forgetful {
		w.mu.Lock()
		w.flushing = true
		w.mu.Unlock()
		w.until(time.Now().Add(settleWithin), func() bool { return false })
		return
	}
	if !w.within(3*settleWithin, "a conversion has ended", func() bool { return !w.converting }) {
		return
	}
	if !w.within(settleWithin, "one active instance, one standby", func() bool { return w.active() != nil }) {
		return
	}
	w.mu.Lock()
	w.flushing, w.compare = true, 10
	w.mu.Unlock()
	if !w.within(settleWithin, "all producers have their answers", func() bool {
		for _, p := range w.producers {
			if !p.done {
				return false
			}
		}
		return true
	}) {
		return
	}
	var missing *sent
	if !w.within(3*settleWithin, "what was acknowledged has come to a consumer", func() bool {
		missing = nil
		for _, x := range w.sent {
			if x.acked && x.settled == 0 && !x.tried {
				missing = x
			}
		}
		return missing == nil
	}) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if missing != nil {
			w.violation += fmt.Sprintf(": %s was acknowledged and has come %d times", missing.id, len(missing.seen))
		}
		return
	}
	time.Sleep(2 * time.Second) // what else there is, of transactions in doubt
	w.mu.Lock()
	for _, tx := range w.doubts {
		some, all := false, true
		for _, x := range tx.sends {
			some, all = some || len(x.seen) > 0, all && len(x.seen) > 0
		}
		if some && !all {
			w.fail("of the transaction with %s some messages have come and others have not", tx.sends[0].id)
		}
	}
	w.mu.Unlock()
	w.empty()
	w.switchToEach()
	w.calm()
	w.comeAgain()
}

// empty asks the active instance what it has: all has come and was settled, so nothing may wait any more.
func (w *world) empty() {
	s := w.dial("visitor", w.random(), func(*session, *broker.Effect) {})
	var view *broker.View
	if s != nil {
		defer s.leave()
		s.submit(func(r broker.Ref) broker.Event { return &broker.List{Conn: s.conn.ID(), Ref: r} }, func(e *broker.Effect) { view, _ = e.Value.(*broker.View) })
		s.await(5*time.Second, func() bool { return view != nil })
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if view == nil {
		w.fail("all is whole, and the active instance does not say what it has")
		return
	}
	for _, d := range view.Destinations {
		if d.Size != 0 && d.Kind == "queue" {
			w.fail("%d messages wait in %s although all was settled, %d of them at consumers", d.Size, d.Name, d.InFlight)
		}
	}
}

// switchToEach makes each instance the active one in turn, by plan.
func (w *world) switchToEach() {
	for range w.instances {
		w.mu.Lock()
		from := w.active()
		w.mu.Unlock()
		if from == nil {
			return
		}
		to := names[1-from.at]
		if err := w.switchOver(from, to); err != nil {
			w.mu.Lock()
			w.fail("all is whole, and %s cannot hand over: %v", from, err)
			w.mu.Unlock()
			return
		}
		begun := time.Now()
		if !w.within(settleWithin, "the instance that was handed the log is active", func() bool { a := w.active(); return a != nil && names[a.at] == to }) {
			return
		}
		if took := time.Since(begun); took > time.Second {
			w.mu.Lock()
			w.fail("%s was active only %v after it was handed the log", to, took)
			w.mu.Unlock()
		}
	}
}

// switchOver asks for a switchover. If it succeeds, the log must say so.
func (w *world) switchOver(from *instance, to string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	epoch := from.member.Status().Epoch
	err := from.member.SwitchOver(ctx, to)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.note("switchover from %s to %s: %v", from, to, err)
	if err != nil || from.dead {
		return err
	}
	w.result.Switchovers++
	from.gave, from.gaveEpoch = time.Now(), epoch
	if w.audit.link.Epoch == epoch && (w.audit.control != controlHandOver || w.audit.name != to) && !w.forgetful {
		w.fail("%s has handed over to %s, and the log does not say so: its last control is %d of %s", from, to, w.audit.control, w.audit.name)
	}
	return nil
}

// calm sees to it that nobody takes over without need: not because the standby was stopped for a while.
func (w *world) calm() {
	w.mu.Lock()
	a := w.active()
	if a == nil {
		w.mu.Unlock()
		return
	}
	epoch := w.audit.link.Epoch
	w.servers.moveLeader(w.servers.leader, nodes-1) // what is sent to a leader that is stopped is lost here, which stops the active one, too
	w.pause(1 - a.at)
	w.mu.Unlock()
	time.Sleep(time.Second)
	w.mu.Lock()
	w.resume(1 - a.at)
	w.mu.Unlock()
	time.Sleep(time.Second)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.audit.link.Epoch != epoch {
		w.fail("epoch %d has begun although the active instance of epoch %d was well: only the standby was stopped for a second", w.audit.link.Epoch, epoch)
	}
}

// comeAgain kills and starts each instance: what it knows then of a checkpoint must be what the log says.
func (w *world) comeAgain() {
	for at := range w.instances {
		w.kill(at)
		w.start(at)
		if !w.within(settleWithin, names[at]+" stands by again, with what the log says", func() bool {
			in := w.instances[at]
			return w.active() != nil && (in.compared || in.engine != nil)
		}) {
			return
		}
	}
}

// stop ends all in good order.
func (w *world) stop() {
	for _, in := range w.instances {
		in.cancel()
	}
	for _, in := range w.instances {
		select {
		case <-in.done:
		case <-time.After(30 * time.Second):
			w.mu.Lock()
			w.fail("%s does not end 30 s after it was asked to", in)
			w.mu.Unlock()
		}
	}
}

// leaks looks for goroutines of this run that are still there.
func (w *world) leaks() {
	time.Sleep(time.Minute)
	synctest.Wait()
	buf := make([]byte, 1<<20)
	for _, g := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		head, _, _ := strings.Cut(g, "\n")
		if strings.Contains(head, "synctest bubble") && !strings.Contains(g, "(*world).leaks") && !strings.Contains(g, "synctest.Run(") && !strings.Contains(g, "testingSynctestTest(") {
			w.mu.Lock()
			w.fail("a goroutine is left over:\n%s", g)
			w.mu.Unlock()
			return
		}
	}
}

// noteHandler puts what the product logs into the notes.
type noteHandler struct{ in *instance }

// Enabled implements slog.Handler.
func (noteHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelInfo }

// Handle implements slog.Handler.
func (h noteHandler) Handle(_ context.Context, r slog.Record) error {
	h.in.w.mu.Lock()
	defer h.in.w.mu.Unlock()
	text := r.Message
	if strings.HasPrefix(text, "the log's stream is led by another node") {
		return nil // the servers' own note says so
	}
	switch r.Message {
	case "the log is read from the checkpoint on":
		h.in.begins = true
		h.in.w.result.Restored++
	case "all of the log is read, which takes longer":
		h.in.begins = false
		h.in.w.result.Refused++
	}
	r.Attrs(func(a slog.Attr) bool { text += " " + a.String(); return true })
	h.in.w.note("%s logs: %s", h.in, text)
	return nil
}

// WithAttrs implements slog.Handler.
func (h noteHandler) WithAttrs([]slog.Attr) slog.Handler { return h }

// WithGroup implements slog.Handler.
func (h noteHandler) WithGroup(string) slog.Handler { return h }
