package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/godwitmq/godwit/cluster"
	"github.com/godwitmq/godwit/config"
	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/dns"
	"github.com/godwitmq/godwit/metrics"
)

const (
	// nameEvery is how often the name is looked at that follows the active instance.
	nameEvery = 30 * time.Second
	// nameRetry is the first pause after it was found wrong; each further one is twice as long.
	nameRetry = time.Second
)

// follower has the name cluster.dns.name follow the active instance, behind everything else: no change of role waits for it. The active instance writes; a standby looks whether
// the name says who is active, so that what is wrong shows before it is needed. An instance that ends leaves the name as it is.
type follower struct {
	in   *instance
	wake chan struct{}

	updates, failures atomic.Int64

	mu     sync.Mutex
	is     api.DNS            // Name "": there is none
	told   string             // what is wrong, as the log says; "" is nothing
	cancel context.CancelFunc // of the look that is at work; nil: none is
}

func newFollower(in *instance) *follower { return &follower{in: in, wake: make(chan struct{}, 1)} }

// run looks at the name until ctx ends.
func (f *follower) run(ctx context.Context) {
	for pause := nameRetry; ; {
		wait := nameEvery
		if !f.look(ctx) {
			wait, pause = pause, min(2*pause, nameEvery)
		} else {
			pause = nameRetry
		}
		select {
		case <-ctx.Done():
			return
		case <-f.wake:
			pause = nameRetry
		case <-time.After(wait):
		}
	}
}

// changed has it look at once, because the configuration is another.
func (f *follower) changed() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.restart()
}

// roleChanged has it look at once, because another instance is active. It does not wait.
func (f *follower) roleChanged() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.is.Name != "" {
		f.set(false, "the active instance has changed, and the name has not been looked at since")
	}
	f.restart()
}

func (f *follower) restart() {
	if f.cancel != nil {
		f.cancel()
	}
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// look does what this instance has to do about the name once, and says whether it is as it should be.
func (f *follower) look(ctx context.Context) bool {
	n := f.in.node
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	f.mu.Lock()
	f.cancel = cancel
	cfg, s := n.config(), f.in.member.Load().Status() // as of after the last change that restart has told of
	f.mu.Unlock()
	d, own := &cfg.Cluster.DNS, cfg.Cluster.Node(s.Instance)
	if !d.On() || own == nil { // no node: the broker is about to run alone
		f.note(ctx, func() { f.is, f.told = api.DNS{}, "" })
		return true
	}
	active := s.Role == cluster.Active
	said, written, err := f.ask(ctx, cfg, own, s)
	current := err == nil && said == ""
	f.note(ctx, func() {
		if f.is.Name != d.Name {
			f.is, f.told = api.DNS{Name: d.Name}, ""
		}
		if err != nil {
			f.failures.Add(1)
			said = err.Error()
		}
		f.set(current, said)
		log := n.log.With("name", d.Name)
		problem := ""
		switch {
		case err != nil && active:
			problem = "the name does not follow this instance, which is active"
		case err != nil:
			problem = "the name could not follow this instance if it were active"
		}
		switch {
		case written:
			f.updates.Add(1)
			f.is.Updated = time.Now()
			log.Info("the name has this instance's addresses now", "addresses", own.PublishedAddresses(), "epoch", s.Epoch)
		case err == nil && f.told != "" && active:
			log.Info("the name has this instance's addresses again")
		case err == nil && f.told != "":
			log.Info("the name can be looked at again")
		case err != nil && f.told != problem+said:
			log.Warn(problem, "error", err)
		}
		f.told = ""
		if err != nil {
			f.told = problem + said
		}
	})
	return current
}

// note changes what is known, unless what ctx was for is over.
func (f *follower) note(ctx context.Context, change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cancel = nil
	if ctx.Err() == nil {
		change()
	}
}

// set says how the name is. f.mu must be held.
func (f *follower) set(current bool, reason string) {
	if f.is.Since.IsZero() || f.is.Current != current {
		f.is.Since = time.Now()
	}
	f.is.Current, f.is.Reason = current, reason
}

// ask has the name say that this instance is active, or, of another, looks what it says: something is what is not as it should be.
func (f *follower) ask(ctx context.Context, cfg *config.Config, own *config.ClusterNode, s cluster.Status) (something string, written bool, err error) {
	d := &cfg.Cluster.DNS
	key, err := dns.ReadKey(d.Key)
	if err != nil {
		return "", false, fmt.Errorf("cluster.dns.key: %w", err)
	}
	name := dns.Name{Name: d.Name, Zone: d.Zone, Servers: d.Servers, TTL: d.TTL, Key: key, TakeOver: d.TakeOver}
	if s.Role == cluster.Active {
		written, err = name.Update(ctx, dns.Claim{
			Owner:     dns.Owner{Broker: cfg.Broker.Name, Instance: s.Instance, Epoch: s.Epoch},
			Addresses: own.PublishedAddresses(),
		})
		return "", written, err
	}
	is, err := name.Look(ctx)
	switch {
	case err != nil:
		return "", false, err
	case is.Owner == nil:
		return "no broker has written it", false, nil
	case *is.Owner != dns.Owner{Broker: cfg.Broker.Name, Instance: s.Active, Epoch: s.Epoch}:
		return fmt.Sprintf("it says %s; active is %s, epoch %d", is.Owner, s.Active, s.Epoch), false, nil
	}
	return "", false, nil
}

// now is how the name is; nil: there is none.
func (f *follower) now() *api.DNS {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.is.Name == "" {
		return nil
	}
	is := f.is
	return &is
}

func (f *follower) writeMetrics(e *metrics.Exposition) {
	is := f.now()
	if is == nil {
		return
	}
	current := 0.0
	if is.Current {
		current = 1
	}
	e.One("godwit_dns_current", metrics.Gauge, "1 while cluster.dns.name says that the active instance is the active one, as this instance last saw.", current)
	e.One("godwit_dns_updates_total", metrics.Counter, "Times that this instance wrote the name.", float64(f.updates.Load()))
	e.One("godwit_dns_failures_total", metrics.Counter, "Times that the name could not be looked at or written.", float64(f.failures.Load()))
	if !is.Updated.IsZero() {
		e.One("godwit_dns_update_time_seconds", metrics.Gauge, "When this instance last wrote the name, in seconds since 1970.", float64(is.Updated.UnixMilli())/1000)
	}
}
