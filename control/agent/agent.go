package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"time"

	"github.com/godwitmq/godwit/control/plane"
	"github.com/godwitmq/godwit/vfs"
)

// Options of an agent. Node and Data must be given.
type Options struct {
	Node string // its name, as it was registered
	Data string // folder of the instances; one agent at a time works in it
	// Program is the file of a version of Godwit, by an engine version of plane.Options. nil: the one that runs now, for all.
	Program func(version string) (string, error)
	// Domain is behind the names of instances in their certificates: <broker id>-<number>.<Domain>. "" means mq.godwit.internal.
	Domain string
	// LookEvery is how often an instance is asked how it is. 0 means a second.
	LookEvery time.Duration
	// ObserveEvery is how often that is reported if nothing has changed. 0 means 5 seconds.
	ObserveEvery time.Duration
	// StopWithin is how long an instance may take to end in good order. 0 means 20 seconds.
	StopWithin time.Duration
	// StartWithin is how long one may take to serve, or to catch up, before the attempt counts as failed; it goes on all the same. 0 means 5 minutes.
	StartWithin time.Duration
	// ConvertWithin is how long a conversion may take. 0 means 6 hours: all messages are copied.
	ConvertWithin time.Duration
	// Silence is cluster.silence of pairs, after which a standby takes over. 0 means what is usual.
	Silence time.Duration
	// LDAPTransport and LDAPCA are how instances speak to their brokers' LDAP servers: credentials.ldap.transport and ca.
	LDAPTransport, LDAPCA string
	Logger                *slog.Logger // nil means slog.Default
}

// domain is that of instances' names where nobody says another.
const domain = "mq.godwit.internal"

func (o Options) filled() Options {
	for _, f := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&o.LookEvery, time.Second}, {&o.ObserveEvery, 5 * time.Second}, {&o.StopWithin, 20 * time.Second}, {&o.StartWithin, 5 * time.Minute}, {&o.ConvertWithin, 6 * time.Hour},
	} {
		if *f.field == 0 {
			*f.field = f.value
		}
	}
	if o.Program == nil {
		o.Program = func(string) (string, error) { return os.Executable() }
	}
	if o.Domain == "" {
		o.Domain = domain
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

// Agent works for one node.
type Agent struct {
	opt       Options
	plane     Plane
	log       *slog.Logger
	dir       string // of the instances' folders
	ended     *ended
	transport *http.Transport // to instances

	mu        sync.Mutex
	instances map[string]*instance
	serial    uint64 // of the newest orders
	again     bool   // they are to be asked for at once, because a report was stale
	wake      context.CancelFunc
	running   sync.WaitGroup
}

// New makes an agent. It does nothing before Run.
func New(p Plane, opt Options) *Agent {
	opt = opt.filled()
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil
	return &Agent{opt: opt, plane: p, log: opt.Logger, dir: filepath.Join(opt.Data, "instances"), instances: map[string]*instance{}, transport: transport}
}

// followed says which orders were followed last: older ones are not any more, whoever gives them.
type followed struct {
	Serial uint64 `json:"serial"`
}

const followedFile = "followed.json"

// folderName is that of an instance's folder, and its key.
var folderName = regexp.MustCompile(`^(b-[A-Za-z0-9-]+)-([123])$`)

func keyOf(spec *plane.Spec) string { return fmt.Sprintf("%s-%d", spec.Broker, spec.Number) }

// retryOrders is how long a control plane that does not answer is left alone.
const retryOrders = time.Second

// Run works until ctx ends. Instances go on then. An error says that nothing can be done: another agent works in the folder, or it cannot be read.
func (a *Agent) Run(ctx context.Context) error {
	dir, err := filepath.Abs(a.dir)
	if err != nil {
		return err
	}
	a.dir = dir
	for _, dir := range []string{a.dir, filepath.Join(a.opt.Data, leftDir)} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("the agent's folder: %w", err)
		}
	}
	lock, err := vfs.OS{}.Lock(filepath.Join(a.opt.Data, "agent.lock"))
	if err != nil {
		return fmt.Errorf("another agent works in %s: %w", a.opt.Data, err)
	}
	defer lock.Close()
	var followed followed
	if err := readJSON(filepath.Join(a.opt.Data, followedFile), &followed); err != nil {
		return err
	}
	a.serial, a.again = followed.Serial, true
	if a.ended, err = openEnded(filepath.Join(a.opt.Data, "ended.json")); err != nil {
		return err
	}
	if err := a.sweep(); err != nil {
		a.log.Warn("what is left of instances cannot be removed", "error", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer a.transport.CloseIdleConnections()
	defer a.running.Wait()
	defer cancel()
	for ctx.Err() == nil {
		orders, err := a.next(ctx)
		if err != nil {
			if ctx.Err() == nil && !errors.Is(err, context.Canceled) {
				a.log.Warn("the control plane does not say what is to be done; trying again", "error", err)
				sleep(ctx, retryOrders)
			}
			continue
		}
		if err := a.give(ctx, orders); err != nil {
			a.log.Error("orders cannot be followed; trying again", "error", err)
			sleep(ctx, retryOrders)
			a.lookAgain()
		}
		if orders.Removed != "" {
			sleep(ctx, removedPause)
		}
	}
	return nil
}

// removedPause is how often a machine that is no node any more asks whether its instances run elsewhere by now.
const removedPause = 5 * time.Second

const (
	removedPrefix = ".removed-" // of a folder that is on its way out
	leftDir       = "left"      // for data of instances that no control plane knows any more
	keepLeft      = 30 * 24 * time.Hour
)

// sweep removes what agents before this one have begun to remove, and what was kept long enough.
func (a *Agent) sweep() error {
	removed, err := filepath.Glob(filepath.Join(a.dir, removedPrefix+"*"))
	if err != nil {
		return err
	}
	left, err := filepath.Glob(filepath.Join(a.opt.Data, leftDir, "*"))
	for _, path := range left {
		if info, serr := os.Stat(path); serr == nil && time.Since(info.ModTime()) > keepLeft {
			removed = append(removed, path)
		}
	}
	for _, path := range removed {
		err = errors.Join(err, os.RemoveAll(path))
	}
	return err
}

// next waits for orders that are newer than those before, or gives the present ones if a report was stale.
func (a *Agent) next(ctx context.Context) (Orders, error) {
	a.mu.Lock()
	after := a.serial
	if a.again {
		after, a.again = 0, false
	}
	ctx, a.wake = context.WithCancel(ctx)
	wake := a.wake
	a.mu.Unlock()
	defer wake()
	return a.plane.Orders(ctx, a.opt.Node, after)
}

// lookAgain has the present orders asked for, whether they are new or not.
func (a *Agent) lookAgain() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.again = true
	if a.wake != nil {
		a.wake()
	}
}

// give hands orders to the instances. Those that have a folder and no orders are to go.
func (a *Agent) give(ctx context.Context, orders Orders) error {
	of := map[string][]plane.Effect{}
	for _, e := range orders.Effects {
		of[keyOf(&e.Spec)] = append(of[keyOf(&e.Spec)], e)
	}
	folders, err := os.ReadDir(a.dir)
	if err != nil {
		return fmt.Errorf("read the instances' folders: %w", err)
	}
	for _, f := range folders {
		if _, ok := of[f.Name()]; !ok && f.IsDir() && folderName.MatchString(f.Name()) {
			of[f.Name()] = nil
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if orders.Removed != "" {
		a.log.Error("nothing is started or changed here, and what runs goes on, but for what runs elsewhere", "why", orders.Removed)
		a.again = true
		for key := range of {
			if generation := orders.Elsewhere[key]; generation > 0 {
				a.instance(ctx, key).tell(order{serial: generation - 1})
			}
		}
		return nil
	}
	switch {
	case orders.Serial < a.serial:
		a.log.Error("the control plane's orders are older than those that were followed, so they are not; if it was restored from a backup and is right all the same, end the agent, remove the file, and start it again",
			"serial", orders.Serial, "followed", a.serial, "file", filepath.Join(a.opt.Data, followedFile))
		return nil
	case orders.Serial > a.serial:
		if err := writeJSON(filepath.Join(a.opt.Data, followedFile), followed{orders.Serial}); err != nil {
			return err
		}
		a.serial = orders.Serial
	}
	for key := range a.instances {
		if _, ok := of[key]; !ok {
			of[key] = nil
		}
	}
	for key, effects := range of {
		a.instance(ctx, key).tell(order{serial: orders.Serial, effects: effects})
	}
	return nil
}

// instance is what works for one instance, which it begins to if it does not. The caller holds mu.
func (a *Agent) instance(ctx context.Context, key string) *instance {
	i := a.instances[key]
	if i == nil {
		i = a.open(key)
		a.instances[key] = i
		a.running.Go(func() { i.run(ctx) })
	}
	return i
}

// open makes what works for one instance.
func (a *Agent) open(key string) *instance {
	m := folderName.FindStringSubmatch(key)
	i := &instance{agent: a, key: key, folder: filepath.Join(a.dir, key), wake: make(chan struct{}, 1), log: a.log.With("instance", key)}
	if m != nil {
		i.broker = m[1]
		i.number, _ = strconv.Atoi(m[2])
	}
	return i
}

// over forgets an instance of which nothing is left, if nothing new has come for it.
func (a *Agent) over(i *instance) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(i.orders().effects) > 0 {
		return false
	}
	delete(a.instances, i.key)
	return true
}

// staleWait is how long newer orders may be on their way before they are asked for.
const staleWait = 100 * time.Millisecond

// reportWithin is how long a report may take.
const reportWithin = 30 * time.Second

// report gives a report, and says whether the control plane has taken it.
func (a *Agent) report(ctx context.Context, c plane.Command) bool {
	ctx, cancel := context.WithTimeout(ctx, reportWithin)
	defer cancel()
	err := a.plane.Report(ctx, a.opt.Node, c)
	switch {
	case err == nil:
		return true
	case plane.KindOf(err) == plane.Stale:
		a.log.Debug("a report was about what is over", "report", fmt.Sprintf("%T", c), "error", err)
		sleep(ctx, staleWait)
		a.lookAgain()
	case ctx.Err() == nil:
		a.log.Warn("a report did not arrive; it is made again", "report", fmt.Sprintf("%T", c), "error", err)
	}
	return false
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
