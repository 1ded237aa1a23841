package agent

import (
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/godwitmq/godwit/control/plane"
)

// TestPair makes a pair of three processes, switches over, and takes all of it away.
func TestPair(t *testing.T) {
	t.Parallel()
	r := newRig(t, "a", "b", "c")
	r.begin()
	id := r.create("orders", plane.Pair, xml)
	b := r.running(id)
	var pids []int
	var addresses []string
	for _, i := range b.Instances {
		pids = append(pids, r.pid(id, i.Number))
		addresses = append(addresses, r.address(id, i.Number, apiPort), r.address(id, i.Number, func(p plane.Ports) int { return p.Log }))
	}
	if len(pids) != 3 {
		t.Fatalf("the pair has %d instances", len(pids))
	}
	active := b.Active
	if err := r.dial(id, active).send("/queue/ORDERS", "first"); err != nil {
		t.Fatal(err)
	}
	r.do(plane.Switchover{ID: id, To: 3 - active})
	r.running(id)
	if now := r.broker(id).Active; now != 3-active {
		t.Fatalf("after the switchover from %d the active instance is %d", active, now)
	}
	// Also by the standby, which carries clients.
	if err := r.dial(id, active).send("/queue/ORDERS", "second"); err != nil {
		t.Fatal(err)
	}
	if got, err := r.dial(id, 3-active).drain("/queue/ORDERS", 2*time.Second); err != nil || !slices.Equal(got, []string{"first", "second"}) {
		t.Fatalf("the pair has %q, %v", got, err)
	}
	r.do(plane.DeleteBroker{ID: id})
	r.until("deleted", func() bool { return r.broker(id) == nil })
	r.nothingLeft(pids, addresses)
}

// TestConvert makes a pair of a single instance and a single instance of the pair, while a client sends, and keeps books.
func TestConvert(t *testing.T) {
	t.Parallel()
	r := newRig(t, "a", "b", "c")
	r.begin()
	id := r.create("ledger", plane.Single, xml)
	r.running(id)
	trust := r.trust()
	var mu sync.Mutex
	var sent, reconnects int
	stop, stopped := make(chan struct{}), make(chan struct{})
	addresses := []string{r.address(id, 1, stompPort)}
	go func() {
		defer close(stopped)
		var s *stomp
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
			for s == nil || s.send("/queue/LEDGER", fmt.Sprint(n)) != nil { // what is not confirmed is sent again
				select {
				case <-stop:
					return
				default:
				}
				mu.Lock()
				reconnects++
				at := addresses[reconnects%len(addresses)]
				mu.Unlock()
				if s != nil {
					s.conn.Close()
				}
				var err error
				if s, err = dialStomp(at, user, password, trust); err != nil {
					s = nil
					time.Sleep(50 * time.Millisecond)
				}
			}
			mu.Lock()
			sent = n + 1
			mu.Unlock()
		}
	}()
	more := func() {
		mu.Lock()
		from := sent
		mu.Unlock()
		r.until("50 more messages", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return sent >= from+50
		})
	}
	more()
	pair, single := plane.Pair, plane.Single
	for range 2 {
		r.do(plane.UpdateBroker{ID: id, Mode: &pair})
		b := r.running(id)
		mu.Lock()
		addresses = []string{r.address(id, 1, stompPort), r.address(id, 2, stompPort)}
		mu.Unlock()
		if len(b.Instances) != 3 || b.Log != plane.NodesLog {
			t.Fatalf("after the conversion to a pair: %d instances, the messages in %q", len(b.Instances), b.Log)
		}
		more()
		r.do(plane.UpdateBroker{ID: id, Mode: &single})
		b = r.running(id)
		mu.Lock()
		addresses = []string{r.address(id, b.Active, stompPort)}
		mu.Unlock()
		if len(b.Instances) != 1 || b.Log != plane.FileLog {
			t.Fatalf("after the conversion to a single instance: %d instances, the messages in %q", len(b.Instances), b.Log)
		}
		more()
	}
	close(stop)
	<-stopped
	got, err := r.dial(id, r.broker(id).Active).drain("/queue/LEDGER", 3*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	times := map[string]int{}
	for _, body := range got {
		times[body]++
	}
	for n := range sent {
		if times[fmt.Sprint(n)] == 0 {
			t.Errorf("message %d was confirmed and is lost", n)
		}
	}
	t.Logf("%d messages confirmed, %d came, %d dials", sent, len(got), reconnects)
	for _, name := range []string{nodesLogDir, "data/journal.moved-*"} {
		if exists(r.folder(id, r.broker(id).Active) + "/" + name) {
			t.Errorf("%s is left", name)
		}
	}
}

// TestMove moves both instances of a pair, one after the other, to other nodes, and restarts all of it.
func TestMove(t *testing.T) {
	t.Parallel()
	r := newRig(t, "a", "b", "c", "a", "b")
	r.begin()
	id := r.create("orders", plane.Pair, xml)
	b := r.running(id)
	if err := r.dial(id, b.Active).send("/queue/ORDERS", "first"); err != nil {
		t.Fatal(err)
	}
	active := b.Active
	standby, first := b.Instance(3-active).Node, b.Instance(active).Node
	r.do(plane.DrainNode{Name: standby, Drain: true})
	b = r.running(id)
	if b.Instance(3-active).Node == standby || b.Active != active {
		t.Fatalf("the standby is to move from %s: %+v, %d is active", standby, b.Instances, b.Active)
	}
	// The standby that has moved carries clients to the active instance.
	if err := r.dial(id, 3-active).send("/queue/ORDERS", "second"); err != nil {
		t.Fatal(err)
	}
	r.do(plane.DrainNode{Name: first, Drain: true})
	b = r.running(id)
	if b.Instance(active).Node == first || b.Active != 3-active {
		t.Fatalf("the active instance is to move from %s: %+v, %d is active", first, b.Instances, b.Active)
	}
	if err := r.dial(id, active).send("/queue/ORDERS", "third"); err != nil {
		t.Fatal(err)
	}
	r.do(plane.RebootBroker{ID: id})
	b = r.running(id)
	if got, err := r.dial(id, b.Active).drain("/queue/ORDERS", 2*time.Second); err != nil || !slices.Equal(got, []string{"first", "second", "third"}) {
		t.Fatalf("the pair has %q, %v", got, err)
	}
	r.do(plane.DeleteBroker{ID: id})
	r.until("deleted", func() bool { return r.broker(id) == nil })
	r.nothingLeft(nil, nil)
}

// TestMoveSingle moves a single instance to another node, by way of a pair.
func TestMoveSingle(t *testing.T) {
	t.Parallel()
	r := newRig(t, "a", "b", "c")
	r.begin()
	id := r.create("orders", plane.Single, xml)
	b := r.running(id)
	from, folder := b.Instance(b.Active).Node, r.folder(id, b.Active)
	if err := r.dial(id, b.Active).send("/queue/ORDERS", "first"); err != nil {
		t.Fatal(err)
	}
	r.do(plane.DrainNode{Name: from, Drain: true})
	b = r.running(id)
	if len(b.Instances) != 1 || b.Instance(b.Active) == nil || b.Instance(b.Active).Node == from {
		t.Fatalf("the instance is to move from %s: %+v, %d is active", from, b.Instances, b.Active)
	}
	if got, err := r.dial(id, b.Active).drain("/queue/ORDERS", 2*time.Second); err != nil || !slices.Equal(got, []string{"first"}) {
		t.Fatalf("the instance that has moved has %q, %v", got, err)
	}
	if exists(folder) {
		t.Error("the folder of before is left")
	}
	if exists(filepath.Join(r.folder(id, b.Active), pairFile)) {
		t.Error("the configuration of a pair is left")
	}
}

// TestConvertAgentKilled kills the agents and the control plane while they convert, both ways.
func TestConvertAgentKilled(t *testing.T) {
	t.Parallel()
	r := newRig(t, "a", "b", "c")
	r.begin()
	id := r.create("ledger", plane.Single, xml)
	r.running(id)
	var want []string
	s := r.dial(id, 1)
	for n := range 500 {
		want = append(want, fmt.Sprint(n))
		if err := s.send("/queue/LEDGER", want[n]); err != nil {
			t.Fatal(err)
		}
	}
	s.conn.Close()
	for round, mode := range []plane.Mode{plane.Pair, plane.Single} {
		r.do(plane.UpdateBroker{ID: id, Mode: &mode})
		r.stop()
		r.stop = nil
		for n := range 6 {
			kill := r.remote()
			time.Sleep(time.Duration(150+200*n) * time.Millisecond)
			kill()
		}
		r.begin()
		b := r.running(id)
		if instances := len(b.Instances); instances != []int{3, 1}[round] {
			t.Fatalf("%s has %d instances", mode, instances)
		}
		if b.Last.Error != "" {
			t.Fatalf("to %s: %s", mode, b.Last.Error)
		}
	}
	got, err := r.dial(id, r.broker(id).Active).drain("/queue/LEDGER", 2*time.Second)
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("%d messages of %d are there, %v", len(got), len(want), err)
	}
}
