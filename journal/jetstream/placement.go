package jetstream

import (
	"errors"
	"slices"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/godwitmq/godwit/journal"
)

// tendEvery is how often it is looked where the stream's leader is. That asks only this process.
const tendEvery = 100 * time.Millisecond

// tend is the goroutine that trims the stream, and keeps its leader on another node: when the node of the log's writer dies, another can write at once,
// without waiting for an election.
func (l *Log) tend() {
	defer l.done.Done()
	ticker := time.NewTicker(tendEvery)
	defer ticker.Stop()
	var head journal.Position
	var failed error
	for {
		select {
		case <-l.ctx.Done():
			return
		case <-ticker.C:
		}
		l.mu.Lock()
		to, over := l.purgeTo, l.err != nil
		l.mu.Unlock()
		if over {
			continue // what is to be done is for the next writer to do
		}
		if to >= head+purgeStep || to > head && to == l.Head() && l.idle() {
			l.purge(to)
			head = to
		}
		if err := l.yieldLeader(); err != nil && (failed == nil || failed.Error() != err.Error()) {
			l.log.Warn("the log's stream is led by the node of its writer, and cannot be moved just now", "stream", l.s.name, "error", err)
			failed = err
		} else if err == nil {
			failed = nil
		}
	}
}

func (l *Log) idle() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.pending == 0
}

// yieldLeader moves the stream's leader away from this node, if it is here.
func (l *Log) yieldLeader() error {
	srv := l.s.server
	if srv == nil || l.s.replicas == 1 || l.s.rescues.Load() > 0 || !srv.JetStreamIsStreamLeader(server.DEFAULT_GLOBAL_ACCOUNT, l.s.name) {
		return nil
	}
	info, err := l.s.info(l.ctx)
	if err != nil || l.ctx.Err() != nil {
		return err
	}
	if info.Cluster == nil {
		return nil
	}
	to := ""
	rank := func(name string) int {
		if i := slices.Index(l.opt.LeaderOn, name); i >= 0 {
			return i
		}
		return len(l.opt.LeaderOn)
	}
	for _, r := range info.Cluster.Replicas {
		if r.Name != l.s.node.name && r.Current && !r.Offline && (to == "" || rank(r.Name) < rank(to)) {
			to = r.Name
		}
	}
	if to == "" {
		return errors.New("no other replica is up to date")
	}
	if err := l.s.stepDown(l.ctx, to); err != nil {
		return err
	}
	l.log.Info("the log's stream is led by another node now", "stream", l.s.name, "node", to)
	return nil
}
