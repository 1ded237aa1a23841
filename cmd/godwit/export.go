package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/config"
	"github.com/godwitmq/godwit/control"
	"github.com/godwitmq/godwit/metrics/export"
)

// exports counts batches.
type exports struct{ sent, dropped, series atomic.Int64 }

// exportMetrics sends metrics to whom the configuration names, until the node stops. What cannot be delivered within an interval is dropped and counted: nothing waits for it.
func (n *node) exportMetrics() {
	type target struct {
		amazon export.Amazon
		next   time.Time
		busy   atomic.Bool
	}
	targets := map[config.Export]*target{}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-n.background.Done():
			return
		case now := <-tick.C:
			wanted := map[config.Export]*target{}
			for _, to := range n.config().Metrics.Export {
				t := targets[to]
				if t == nil {
					t = &target{next: now}
				}
				wanted[to] = t
				if now.Before(t.next) {
					continue
				}
				t.next = now.Add(to.Interval())
				if !t.busy.CompareAndSwap(false, true) {
					n.exports.dropped.Add(1)
					continue
				}
				n.running.Go(func() {
					defer t.busy.Store(false)
					ctx, cancel := context.WithTimeout(n.background, to.Interval())
					defer cancel()
					if err := n.exportTo(ctx, to, &t.amazon); err != nil && n.background.Err() == nil {
						n.exports.dropped.Add(1)
						n.log.Warn("metrics could not be delivered, and are dropped", "to", to.To, "url", to.URL, "error", err)
					} else if err == nil {
						n.exports.sent.Add(1)
					}
				})
			}
			targets = wanted
		}
	}
}

// exportTo sends what there is now.
func (n *node) exportTo(ctx context.Context, to config.Export, amazon *export.Amazon) error {
	cfg := n.config()
	t := export.Target{To: to.To, URL: to.URL, Region: to.Region, Namespace: to.Namespace}
	if to.To == "cloudwatch" {
		data, err := os.ReadFile(to.KeyFile)
		if err != nil {
			return fmt.Errorf("read the access key: %w", err)
		}
		words := strings.Fields(string(data))
		if len(words) != 2 {
			return fmt.Errorf("%s has %d words; expected an access key's id and its secret", to.KeyFile, len(words))
		}
		t.KeyID, t.Secret = words[0], words[1]
	}
	v, err := control.Look(ctx, n.connect, broker.Connect{User: "metrics"})
	if err != nil {
		v = nil // this node has no core now; of itself it tells
	}
	b := export.Batch{Broker: cfg.Broker.Name + "-1", Instance: cfg.Cluster.Name, Begun: n.begun, At: time.Now()}
	if cfg.Cluster.On() {
		number := 0
		for _, node := range cfg.Cluster.Nodes {
			number++
			if node.Name == cfg.Cluster.Name {
				b.Broker = fmt.Sprintf("%s-%d", cfg.Broker.Name, number)
			}
		}
	}
	e, look := n.measure(v)
	b.Families = e.Families()
	if to.Names == "cloudwatch" {
		f := n.facts()
		engine, _ := n.core.now()
		var dropped int
		b.Families, dropped = amazon.Families(v, look, export.Facts{Established: f.Connections, StoreUsed: f.StoreUsed, StoreLimit: f.StoreLimit, MemoryUsed: f.MemoryUsed, MemoryLimit: f.MemoryLimit}, engine, cfg.Metrics.Budget)
		n.exports.series.Store(int64(dropped))
	}
	return t.Send(ctx, b)
}
