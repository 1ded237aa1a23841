package pair

import (
	"log/slog"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/godwitmq/godwit/journal"
	"github.com/godwitmq/godwit/journal/jetstream"
	"github.com/godwitmq/godwit/message"
)

// TestOvertakenLeader: a message that a node's own replica does not show yet is not missing, although a leader that was overtaken, and is asked as well, does not know it. Each seed is another
// order in which the two leaders answer.
func TestOvertakenLeader(t *testing.T) {
	for seed := range uint64(200) {
		synctest.Test(t, func(t *testing.T) { overtaken(t, seed) })
	}
}

func overtaken(t *testing.T, seed uint64) {
	w := &world{cfg: Config{Seed: seed}, rnd: rand.New(rand.NewPCG(seed, 1)), began: time.Now()}
	w.servers = servers{w: w, rnd: w.random(), leader: 2, first: 1}
	w.audit = audit{w: w, logged: map[message.ID]uint64{}, newest: map[string]message.ID{}, opened: map[uint64]string{}}
	s := &w.servers
	for i := range s.node {
		s.node[i].up = true
	}
	s.node[2].believes = true
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		for {
			w.mu.Lock()
			s.tick()
			w.mu.Unlock()
			select {
			case <-ended:
				return
			case <-time.After(20 * tickEvery): // so long a leader may take to hear of another
			}
		}
	}()
	cut := func(is bool, pairs ...[2]int) {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, p := range pairs {
			s.cut[p[0]][p[1]], s.cut[p[1]][p[0]] = is, is
		}
	}
	node := func(at int) (*jetstream.Node, *handle) {
		h := &handle{w: w, at: at, gone: make(chan struct{}), calls: map[string]uint64{}}
		return jetstream.NodeOver(names[at], h, slog.New(slog.DiscardHandler)), h
	}
	opt := jetstream.Options{Instance: "b", Replicas: nodes, Heartbeat: -1, Logger: slog.New(slog.DiscardHandler)}
	b, of := node(1)
	defer of.Close()
	log, err := jetstream.Open(t.Context(), b, opt, journal.Notify{})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	write := func() {
		t.Helper()
		var batch journal.Batch
		batch.Add([]byte{0})
		if err := log.Append(&batch, false); err != nil {
			t.Fatal(err)
		}
		if err := log.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	write()
	cut(true, [2]int{2, 0}, [2]int{2, 1}) // c is overtaken, and does not hear of it when a and c hear each other again
	time.Sleep(4 * time.Second)
	w.mu.Lock()
	s.node[0].lag = 10 * time.Second
	w.mu.Unlock()
	write()
	w.mu.Lock()
	s.node[2].believes = true
	w.mu.Unlock()
	cut(false, [2]int{2, 0})
	heal := time.AfterFunc(1500*time.Millisecond, func() { cut(false, [2]int{2, 1}) })
	defer heal.Stop()
	a, from := node(0)
	defer from.Close()
	opt.Instance = "a"
	f, err := jetstream.Follow(t.Context(), a, opt, 0)
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	f.Close()
}
