// Package durable keeps a control plane's state on a log: it serialises commands, appends the records of each as one batch, and answers when they are
// durable. What it hands out, states, effects, answers and refusals, depends on nothing that a crash can undo.
package durable

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
	_ "time/tzdata" // maintenance windows have time zones, whatever the machine knows

	"github.com/godwitmq/godwit/control/plane"
	"github.com/godwitmq/godwit/journal"
	"github.com/godwitmq/godwit/journal/segment"
)

// Options of a Plane. The zero value works.
type Options struct {
	Plane plane.Options // Zone nil means time.LoadLocation
	// OnEffects is given, in their order, the effects of each command when it is durable. It must not wait, nor give
	// commands itself. What was to be done before Open is in State().Work().
	OnEffects func([]plane.Effect)
	// OnBroken is told, once, that the log has failed: the Plane takes no more commands, and is to be closed and opened again.
	OnBroken func(error)
	// SnapshotBytes is how much is appended before the state is written anew and what stood before is forgotten, if it is also four times what the state takes. 0 means 1 MiB.
	SnapshotBytes int64
	// TickEvery is how often time is made to pass for the state. 0 means 30 seconds, less than 0 not at all.
	TickEvery time.Duration
	// Now is the clock. nil means time.Now.
	Now func() time.Time
	// Logger gets what an operator should know. nil means slog.Default.
	Logger *slog.Logger
}

// ErrUnknown means that it is not known whether a command was carried out, because the log has failed, or the caller does not wait any longer. It may be given again.
var ErrUnknown = errors.New("it is not known whether the command was carried out")

// Plane is a control plane's state on a log. Its methods may be called concurrently.
type Plane struct {
	opt     Options
	log     journal.Log
	current atomic.Pointer[plane.State] // durable

	mu        sync.Mutex // one command at a time; before out
	tip       *plane.State
	last      journal.Position // of the newest record
	appended  int64            // bytes since the newest snapshot
	size      int64            // of that
	trim      journal.Position // to be trimmed up to here when `trimAfter` is durable; 0: nothing is
	trimAfter journal.Position

	out       sync.Mutex
	queue     []answer
	durable   journal.Position // all records before it are
	releasing bool
	broken    error
	changed   chan struct{} // closed when current changes

	seen sightings
	stop func()
	done sync.WaitGroup
}

// answer waits until the record at need is durable.
type answer struct {
	need   journal.Position // 0: nothing is needed
	change *plane.Change
	err    error
	to     func(*plane.Change, error)
}

// OpenDir opens the plane whose log is in files of a directory, which only their owner can read, or makes one.
func OpenDir(dir string, opt Options) (*Plane, error) {
	return Open(func(n journal.Notify) (journal.Log, error) {
		return segment.Open(dir, segment.Options{SegmentSize: 4 << 20, Logger: opt.Logger}, n)
	}, opt)
}

// Open opens a log and reads the state from it. Errors are those of open and of the log's Read, and plane.ErrRecord.
func Open(open func(journal.Notify) (journal.Log, error), opt Options) (*Plane, error) {
	if opt.Plane.Zone == nil {
		opt.Plane.Zone = time.LoadLocation
	}
	if opt.SnapshotBytes == 0 {
		opt.SnapshotBytes = 1 << 20
	}
	if opt.TickEvery == 0 {
		opt.TickEvery = 30 * time.Second
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.Logger == nil {
		opt.Logger = slog.Default()
	}
	p := &Plane{opt: opt, changed: make(chan struct{}), stop: func() {}}
	log, err := open(journal.Notify{Durable: p.onDurable, Broken: p.onBroken})
	if err != nil {
		return nil, fmt.Errorf("open the control plane: %w", err)
	}
	p.log = log
	r := plane.NewReplay(opt.Plane)
	err = log.Read(0, func(rec journal.Record) error {
		if err := r.Record(rec.Data); err != nil {
			return fmt.Errorf("at position %d: %w", rec.Position, err)
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the control plane: %w", err), log.Close())
	}
	p.tip = r.State()
	p.current.Store(p.tip)
	p.appended = int64(log.Tail() - log.Head())
	p.out.Lock()
	p.durable = max(p.durable, log.Tail())
	p.out.Unlock()
	if opt.TickEvery > 0 {
		ctx, cancel := context.WithCancel(context.Background())
		p.stop = cancel
		p.done.Go(func() { p.tick(ctx) })
	}
	return p, nil
}

func (p *Plane) tick(ctx context.Context) {
	t := time.NewTicker(p.opt.TickEvery)
	defer t.Stop()
	for {
		if _, err := p.Do(ctx, plane.Origin{}, plane.Tick{}); err != nil && ctx.Err() == nil {
			p.opt.Logger.Warn("the control plane cannot write", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// State is the newest state that is durable.
func (p *Plane) State() *plane.State { return p.current.Load() }

// Changed is a channel that is closed when State gives another state than now. Ask for it before State, and no change is missed.
func (p *Plane) Changed() <-chan struct{} {
	p.out.Lock()
	defer p.out.Unlock()
	return p.changed
}

// Plan is a dry run: what a command would mean for which broker, now. The error is why it would be refused.
func (p *Plane) Plan(by plane.Origin, c plane.Command) ([]plane.Plan, error) {
	change, err := p.State().Step(p.opt.Now(), by, c)
	if err != nil {
		return nil, err
	}
	return change.Plan, nil
}

// Do carries out a command and waits until it is durable. Errors: *plane.Error if it was refused; journal.ErrFull if there is no room for it and nothing has
// changed; ErrUnknown (with the cause) if the log has failed or ctx is done.
func (p *Plane) Do(ctx context.Context, by plane.Origin, c plane.Command) (*plane.Change, error) {
	type result struct {
		change *plane.Change
		err    error
	}
	answered := make(chan result, 1)
	p.Submit(by, c, func(change *plane.Change, err error) { answered <- result{change, err} })
	select {
	case r := <-answered:
		return r.change, r.err
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", ErrUnknown, ctx.Err())
	}
}

// Submit is Do for callers that do not wait: done is called with the answer, once, by any goroutine, before Submit returns or later. It must not wait, nor
// call Submit: it may be the log's own goroutine that waits then.
func (p *Plane) Submit(by plane.Origin, c plane.Command, done func(*plane.Change, error)) {
	p.mu.Lock()
	a := answer{to: done}
	a.change, a.err = p.step(by, c)
	// A refusal, too, may rest on something that is not durable yet. So answers leave in order.
	a.need = p.last
	p.out.Lock()
	if p.broken != nil {
		a.change, a.err, a.need = nil, p.broken, 0
	}
	p.queue = append(p.queue, a)
	p.out.Unlock()
	p.mu.Unlock()
	p.release()
}

// step makes the command's records part of the log. Nothing has changed if it fails.
func (p *Plane) step(by plane.Origin, c plane.Command) (*plane.Change, error) {
	change, err := p.tip.Step(p.opt.Now(), by, c)
	if err != nil || len(change.Records) == 0 {
		return change, err
	}
	if _, err := p.append(change.Records, plane.Urgent(c)); err != nil {
		return nil, fmt.Errorf("the control plane's log: %w", err)
	}
	p.tip = change.State
	p.tidy()
	return change, nil
}

// append gives the position of the first record.
func (p *Plane) append(records [][]byte, urgent bool) (journal.Position, error) {
	var b journal.Batch
	for _, r := range records {
		b.Add(r)
	}
	if err := p.log.Append(&b, urgent); err != nil {
		return 0, err
	}
	p.last = b.Position(b.Len() - 1)
	p.appended += int64(b.Size())
	return b.Position(0), nil
}

// tidy writes the whole state when much was appended, and has the log forget what stands before it when it is durable. What fails here is tried again with the next command.
func (p *Plane) tidy() {
	p.out.Lock()
	durable := p.durable
	p.out.Unlock()
	if p.trim != 0 && p.trimAfter < durable {
		if err := p.log.Trim(p.trim); err != nil {
			p.opt.Logger.Warn("the control plane's log cannot be trimmed", "error", err)
		}
		p.trim = 0
	}
	if p.trim != 0 || p.appended < max(p.opt.SnapshotBytes, 4*p.size) {
		return
	}
	at, err := p.append(p.tip.Snapshot(), true)
	if err != nil {
		p.opt.Logger.Warn("the control plane's state cannot be written anew", "error", err)
		return
	}
	p.trim, p.trimAfter = at, p.last
	p.size, p.appended = int64(p.last-at), 0
}

// ReadBatches gives the log as it is stored, for a backup: begin is told from where and up to where it is durable and consistent, and the epoch of its writer, then fn is given the batches, at
// least those up to there. If the log forgets its beginning meanwhile it is all done once more. Errors are those of fn and of the log's ReadBatches.
func (p *Plane) ReadBatches(begin func(head, position journal.Position, epoch uint64), fn func(batch []byte) error) error {
	for try := 0; ; try++ {
		head := p.log.Head()
		begin(head, p.log.Tail(), p.log.Epoch())
		err := p.log.ReadBatches(head, fn)
		if try < readTries && errors.Is(err, journal.ErrTrimmed) {
			continue
		}
		return err
	}
}

// readTries is how often the log may be overtaken while it is read.
const readTries = 5

func (p *Plane) onDurable(before journal.Position) {
	p.out.Lock()
	p.durable = max(p.durable, before)
	p.out.Unlock()
	p.release()
}

// release hands out, in their order, the answers that wait for nothing any more. One goroutine at a time does it, for all.
func (p *Plane) release() {
	p.out.Lock()
	defer p.out.Unlock()
	if p.releasing {
		return
	}
	p.releasing = true
	for len(p.queue) > 0 && (p.queue[0].need == 0 || p.queue[0].need < p.durable) {
		a := p.queue[0]
		p.queue = p.queue[1:]
		changed := a.err == nil && len(a.change.Records) > 0
		if changed {
			p.current.Store(a.change.State)
			close(p.changed)
			p.changed = make(chan struct{})
		}
		p.out.Unlock()
		if changed && p.opt.OnEffects != nil && len(a.change.Effects) > 0 {
			p.opt.OnEffects(a.change.Effects)
		}
		a.to(a.change, a.err)
		p.out.Lock()
	}
	p.releasing = false
}

func (p *Plane) onBroken(err error) {
	p.out.Lock()
	p.broken = fmt.Errorf("%w: %w", ErrUnknown, err)
	queue := p.queue
	p.queue = nil
	p.out.Unlock()
	for _, a := range queue {
		a.to(nil, p.broken)
	}
	if p.opt.OnBroken != nil {
		p.opt.OnBroken(err)
	}
}

// Close makes what was appended durable, and releases the log. Commands after it fail.
func (p *Plane) Close() error {
	p.stop()
	p.done.Wait()
	p.mu.Lock()
	err := p.log.Close()
	p.mu.Unlock()
	return err
}

// NewID makes a random id of a kind of thing: "b" for brokers, "c" for configurations, "sg" for security groups.
func NewID(kind string) string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80 // a UUID of version 4
	return fmt.Sprintf("%s-%x-%x-%x-%x-%x", kind, b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// NewKey makes a random access key: its id, and its secret of 40 characters.
func NewKey() (id, secret string) {
	return "GWIA" + rand.Text()[:16], (rand.Text() + rand.Text())[:40]
}
