package jetstream

import (
	"context"
	"errors"
	"slices"
	"time"

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
		to, over, doubtful := l.purgeTo, l.err != nil, l.recovering
		l.mu.Unlock()
		if over {
			continue // what is to be done is for the next writer to do
		}
		if to >= head+purgeStep || to > head && to == l.Head() && l.idle() {
			l.purge(to)
			head = to
		}
		if doubtful {
			continue // the writer may be another, and would move the leader back
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
	if l.s.replicas == 1 || l.s.rescues.Load() > 0 || !l.s.LedHere() {
		return nil
	}
	info, err := l.s.Info(l.ctx)
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
	if err := l.moveLeader(to); err != nil {
		return err
	}
	l.log.Info("the log's stream is led by another node now", "stream", l.s.name, "node", to)
	return nil
}

const (
	// drainTime is how long what is on its way is waited for before the leader is moved.
	drainTime = 100 * time.Millisecond
	// moveTime is how long nothing is sent while it is: less than followers take for silence.
	moveTime = 150 * time.Millisecond
	moveLook = 2 * time.Millisecond
	moveAsk  = 15 * time.Millisecond
)

// moveLeader makes another node the stream's leader while nothing is on its way: what reached neither the leader before nor the next would be missed only when its
// answer is overdue.
func (l *Log) moveLeader(to string) error {
	l.mu.Lock()
	l.holding = true
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		l.holding = false
		l.mu.Unlock()
		l.pump()
	}()
	for begun := time.Now(); !l.nothingSent(); time.Sleep(moveLook) {
		if time.Since(begun) > drainTime || l.ctx.Err() != nil {
			return errors.New("an append has no answer yet")
		}
	}
	if err := l.s.StepDown(l.ctx, to); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(l.ctx, moveTime)
	defer cancel()
	for ctx.Err() == nil {
		short, done := context.WithTimeout(ctx, moveAsk) // a question that comes between two leaders has no answer
		info, err := l.s.Info(short)
		done()
		if err == nil && info.Cluster != nil && info.Cluster.Leader != "" && info.Cluster.Leader != l.s.node.name {
			break
		}
		time.Sleep(moveLook)
	}
	return nil
}

func (l *Log) nothingSent() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.inflight) == 0
}
