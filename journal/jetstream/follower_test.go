package jetstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/godwitmq/godwit/journal"
)

// owner is what a broker does with a log: it remembers what it appended and what is durable.
type owner struct {
	tb  testing.TB
	log *Log

	mu       sync.Mutex
	cond     sync.Cond
	durable  journal.Position
	broken   error
	appended []kept
}

// kept is a record as its owner knows it.
type kept struct {
	at    journal.Position
	epoch uint64
	data  string
}

func newOwner(tb testing.TB) *owner {
	o := &owner{tb: tb}
	o.cond.L = &o.mu
	return o
}

func (o *owner) notify() journal.Notify {
	return journal.Notify{
		Durable: func(before journal.Position) {
			o.mu.Lock()
			defer o.mu.Unlock()
			if o.broken != nil {
				o.tb.Errorf("Durable(%d) after Broken(%v)", before, o.broken)
			}
			o.durable = before
			o.cond.Broadcast()
		},
		Broken: func(err error) {
			o.mu.Lock()
			defer o.mu.Unlock()
			o.broken = err
			o.cond.Broadcast()
		},
	}
}

func open(tb testing.TB, node *Node, opt Options) *owner {
	tb.Helper()
	o := newOwner(tb)
	log, err := Open(patience(tb), node, opt, o.notify())
	if err != nil {
		tb.Fatal(err)
	}
	o.log = log
	tb.Cleanup(func() { log.Close() })
	return o
}

// append appends batches of one record each. It does not wait.
func (o *owner) append(n int) error {
	for range n {
		b := new(journal.Batch)
		data := fmt.Sprintf("record %d of epoch %d", len(o.appended), o.log.Epoch())
		b.Add([]byte(data))
		if err := o.log.Append(b, false); err != nil {
			return err
		}
		o.appended = append(o.appended, kept{b.Position(0), o.log.Epoch(), data})
	}
	return nil
}

// flush waits until all that was appended is durable.
func (o *owner) flush() error {
	last := o.appended[len(o.appended)-1].at
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.durable <= last && o.broken == nil {
		o.cond.Wait()
	}
	return o.broken
}

func (o *owner) must(n int) {
	o.tb.Helper()
	if err := o.append(n); err != nil {
		o.tb.Fatal(err)
	}
	if err := o.flush(); err != nil {
		o.tb.Fatal(err)
	}
}

// waitBroken waits until the log has told that it is over.
func (o *owner) waitBroken() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.broken == nil {
		o.cond.Wait()
	}
	return o.broken
}

// same compares what was read with what was appended.
func same(tb testing.TB, what string, got, want []kept) {
	tb.Helper()
	for i := range want {
		if i >= len(got) || got[i] != want[i] {
			tb.Fatalf("%s: record %d of %d is %+v; want %+v, %d were read", what, i, len(want), at(got, i), want[i], len(got))
		}
	}
	if len(got) > len(want) {
		tb.Fatalf("%s: %d records, want %d; the first too many is %+v", what, len(got), len(want), got[len(want)])
	}
}

func at(list []kept, i int) any {
	if i < len(list) {
		return list[i]
	}
	return "missing"
}

func (o *owner) expectAll(want []kept) {
	o.tb.Helper()
	var got []kept
	if err := o.log.Read(0, collect(&got)); err != nil {
		o.tb.Fatal(err)
	}
	same(o.tb, "read of the log", got, want)
}

func collect(into *[]kept) func(journal.Record) error {
	return func(r journal.Record) error {
		*into = append(*into, kept{r.Position, r.Epoch, string(r.Data)})
		return nil
	}
}

func follower(tb testing.TB, node *Node, opt Options) *Follower {
	tb.Helper()
	f, err := Follow(patience(tb), node, opt, 0)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(f.Close)
	return f
}

// until goes on following until there is some news, and gives up on anything but an advance before it.
func until(tb testing.TB, f *Follower, want News, fn func(journal.Record) error) {
	tb.Helper()
	for {
		switch news, err := f.Next(patience(tb), fn); {
		case err != nil:
			tb.Fatalf("next: %v; want %v", err, want)
		case news == want:
			return
		case news != Advanced:
			tb.Fatalf("next: %v; want %v", news, want)
		}
	}
}

func TestFollowerSeesAllAndTakesOver(t *testing.T) {
	c := newCluster(t, nil)
	opt := options()
	active := open(t, c.nodes[0], opt)
	eventually(t, "the stream is led by another node", func() bool { return c.leader(opt) > 0 })
	f := follower(t, c.nodes[1], opt)
	var seen []kept
	stop := make(chan error)
	go func() {
		for range 50 {
			if err := active.append(20); err != nil {
				stop <- err
				return
			}
			active.flush()
		}
		stop <- nil
	}()
	for len(seen) < 1000 {
		if _, err := f.Next(patience(t), collect(&seen)); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-stop; err != nil {
		t.Fatal(err)
	}
	same(t, "followed", seen, active.appended)
	if who, epoch := f.Leader(); who != "a" || epoch != active.log.Epoch() {
		t.Errorf("leader is %q in epoch %d; want a in %d", who, epoch, active.log.Epoch())
	}

	killed := time.Now()
	c.stop(0)
	until(t, f, Silent, collect(&seen))
	noticed := time.Since(killed)
	next := newOwner(t)
	var err error
	if next.log, err = f.Lead(patience(t), next.notify()); err != nil {
		t.Fatal(err)
	}
	defer next.log.Close()
	next.must(1)
	took := time.Since(killed)
	t.Logf("silence noticed %v after the kill, first append durable after %v", noticed, took)
	if took > 3*time.Second {
		t.Errorf("first append durable %v after the kill; want well below 3 s also on a busy machine", took)
	}
	if next.log.Epoch() != active.log.Epoch()+1 {
		t.Errorf("epoch is %d after %d", next.log.Epoch(), active.log.Epoch())
	}
	next.expectAll(append(active.appended, next.appended...))
	for _, k := range append(active.appended[:3], next.appended...) {
		if data, err := next.log.ReadAt(k.at, nil); err != nil || string(data) != k.data {
			t.Errorf("ReadAt(%d) = %q, %v; want %q", k.at, data, err, k.data)
		}
	}
}

func TestStaleWriterIsRefused(t *testing.T) {
	c := shared(t)
	opt := options()
	first := open(t, c.nodes[0], opt)
	first.must(10)
	second := open(t, c.nodes[1], opt)
	err := first.append(1)
	if err == nil {
		err = first.flush()
	}
	if !errors.Is(err, journal.ErrDeposed) {
		t.Fatalf("append after epoch %d has begun: %v; want ErrDeposed", second.log.Epoch(), err)
	}
	if err := first.waitBroken(); !errors.Is(err, journal.ErrDeposed) {
		t.Errorf("Broken(%v); want ErrDeposed", err)
	}
	if err := first.append(1); !errors.Is(err, journal.ErrDeposed) {
		t.Errorf("another append: %v; want ErrDeposed", err)
	}
	if err := first.log.Trim(first.log.Tail()); !errors.Is(err, journal.ErrDeposed) {
		t.Errorf("trim by a deposed writer: %v; want ErrDeposed", err)
	}
	second.must(10)
	second.expectAll(append(first.appended[:10:10], second.appended...))
}

// TestTrimmedAway lets another writer go on and trim all that a deposed one, and a follower that was away, have in mind: each is told so, and no damage is reported.
func TestTrimmedAway(t *testing.T) {
	c := shared(t)
	opt := options()
	opt.Heartbeat = -1 // by which they would learn before
	first := open(t, c.nodes[0], opt)
	first.must(3)
	f := follower(t, c.nodes[2], opt)
	for {
		if news, err := f.Next(patience(t), nil); err != nil {
			t.Fatal(err)
		} else if news != Advanced {
			break
		}
	}
	second := open(t, c.nodes[1], opt)
	second.must(10)
	if err := second.log.Trim(second.log.Tail()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the stream has forgotten what they had", func() bool {
		info, err := second.log.s.Info(patience(t))
		return err == nil && info.State.FirstSeq > f.chain.seq && info.State.FirstSeq > 6
	})
	if _, err := f.Lead(patience(t), journal.Notify{}); !errors.Is(err, journal.ErrDeposed) {
		t.Errorf("lead from where the log is trimmed: %v; want ErrDeposed", err)
	}
	if _, err := first.log.ReadAt(first.appended[0].at, nil); !errors.Is(err, journal.ErrDeposed) || errors.Is(err, journal.ErrCorrupt) {
		t.Errorf("read of what another has trimmed: %v; want ErrDeposed", err)
	}
	err := first.append(1)
	if err == nil {
		err = first.flush()
	}
	if !errors.Is(err, journal.ErrDeposed) {
		t.Errorf("append where the log is trimmed: %v; want ErrDeposed", err)
	}
}

// TestIdleWriterLearns proves that a writer that has nothing to append hears of its end by its own heartbeat.
func TestIdleWriterLearns(t *testing.T) {
	c := shared(t)
	opt := options()
	first := open(t, c.nodes[0], opt)
	open(t, c.nodes[1], opt)
	if err := first.waitBroken(); !errors.Is(err, journal.ErrDeposed) {
		t.Errorf("Broken(%v); want ErrDeposed", err)
	}
}

func TestRace(t *testing.T) {
	c := shared(t)
	rounds := 60
	if testing.Short() {
		rounds = 10
	}
	opt := options()
	opt.Heartbeat = -1
	before := open(t, c.nodes[2], opt)
	before.must(1)
	all := before.appended
	followers := [2]*Follower{}
	wins := [2]int{}
	for round := range rounds {
		for i := range followers {
			if followers[i] == nil {
				o := opt
				o.Instance = fmt.Sprintf("instance %d", i)
				followers[i] = follower(t, c.nodes[i], o)
			}
			for tail := before.log.Tail(); followers[i].Tail() < tail; {
				if _, err := followers[i].Next(patience(t), nil); err != nil {
					t.Fatal(err)
				}
			}
		}
		var logs [2]*Log
		var errs [2]error
		owners := [2]*owner{newOwner(t), newOwner(t)}
		var wg sync.WaitGroup
		for i, f := range followers {
			wg.Add(1)
			go func() {
				defer wg.Done()
				logs[i], errs[i] = f.Lead(patience(t), owners[i].notify())
			}()
		}
		wg.Wait()
		winner := 0
		if errs[0] != nil {
			winner = 1
		}
		if errs[winner] != nil || !errors.Is(errs[1-winner], journal.ErrDeposed) {
			t.Fatalf("round %d: %v and %v; want one to lead and the other ErrDeposed", round, errs[0], errs[1])
		}
		wins[winner]++
		before.log.Close()
		before = owners[winner]
		before.log = logs[winner]
		defer before.log.Close()
		before.must(2)
		all = append(all, before.appended...)
		for { // the loser goes on following, and hears who has won
			if _, err := followers[1-winner].Next(patience(t), nil); err != nil {
				t.Fatalf("round %d: the loser follows: %v", round, err)
			}
			if who, epoch := followers[1-winner].Leader(); epoch == before.log.Epoch() {
				if want := fmt.Sprintf("instance %d", winner); who != want {
					t.Fatalf("round %d: epoch %d is of %q; want %q", round, epoch, who, want)
				}
				break
			}
		}
		followers[winner] = nil
	}
	t.Logf("%d rounds, won by %v", rounds, wins)
	before.expectAll(all)
}

func TestHandOver(t *testing.T) {
	c := shared(t)
	opt := options()
	active := open(t, c.nodes[0], opt)
	active.must(100)
	var seen, other []kept
	successor := follower(t, c.nodes[1], opt)
	bystander := follower(t, c.nodes[2], opt)
	for len(seen) < 100 {
		if _, err := successor.Next(patience(t), collect(&seen)); err != nil {
			t.Fatal(err)
		}
	}
	if err := active.append(50); err != nil { // still on their way when it is handed over
		t.Fatal(err)
	}
	begun := time.Now()
	if err := active.log.HandOver(patience(t), "b"); err != nil {
		t.Fatal(err)
	}
	until(t, successor, Vacant, collect(&seen))
	if giver := successor.Giver(); giver != "a" {
		t.Errorf("the successor was given the log by %q, want a", giver)
	}
	same(t, "followed up to the hand-over", seen, active.appended)
	next := newOwner(t)
	var err error
	if next.log, err = successor.Lead(patience(t), next.notify()); err != nil {
		t.Fatal(err)
	}
	defer next.log.Close()
	next.must(1)
	t.Logf("handed over in %v", time.Since(begun))
	if err := active.append(1); !errors.Is(err, journal.ErrDeposed) {
		t.Errorf("append after the hand-over: %v; want ErrDeposed", err)
	}
	if err := active.log.Close(); err != nil {
		t.Errorf("close after the hand-over: %v", err)
	}
	for len(other) < 151 {
		news, err := bystander.Next(patience(t), collect(&other))
		if err != nil || news == Vacant {
			t.Fatalf("next of one who is not the successor: %v, %v", news, err)
		}
	}
	if giver := bystander.Giver(); giver != "" {
		t.Errorf("a bystander was given the log by %q", giver)
	}
	for behind := []string{""}; len(behind) > 0; { // they are the same soon
		var err error
		if behind, err = next.log.Behind(patience(t)); err != nil {
			t.Fatal(err)
		}
	}
	same(t, "followed by a bystander", other, append(active.appended, next.appended...))
}

func TestClosedLogIsVacant(t *testing.T) {
	c := shared(t)
	opt := options()
	f := follower(t, c.nodes[1], opt)
	until(t, f, Vacant, nil) // new
	active := open(t, c.nodes[0], opt)
	active.must(1)
	if err := active.log.Close(); err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := f.Next(patience(t), nil); err != nil {
			t.Fatal(err)
		}
		if f.Tail() == active.log.Tail() {
			break
		}
	}
	until(t, f, Vacant, nil)
}

// TestHeartbeats proves that an idle writer is heard, and that a follower does not call it silent.
func TestHeartbeats(t *testing.T) {
	c := shared(t)
	opt := options()
	opt.Silence = 2 * time.Second // the machine may be busy
	active := open(t, c.nodes[0], opt)
	f := follower(t, c.nodes[1], opt)
	begun := f.Tail()
	for range 10 {
		until(t, f, Advanced, func(journal.Record) error { return errors.New("a record of nobody") })
	}
	if lag, err := f.Lag(patience(t)); err != nil || lag > 10 {
		t.Errorf("lag of a follower that has just read: %d, %v", lag, err)
	}
	if f.Tail() == begun || active.log.Stalled() > time.Second {
		t.Errorf("tail went from %d to %d, stalled for %v", begun, f.Tail(), active.log.Stalled())
	}
}

func TestFollowFrom(t *testing.T) {
	c := shared(t)
	opt := options()
	opt.Heartbeat = -1
	active := open(t, c.nodes[0], opt)
	for range 20 {
		active.must(5)
	}
	large := new(journal.Batch)
	large.Add([]byte("small"))
	large.Add(bytes.Repeat([]byte("large "), 300_000))
	if err := active.log.Append(large, false); err != nil {
		t.Fatal(err)
	}
	for i, data := range []string{"small", string(bytes.Repeat([]byte("large "), 300_000))} {
		active.appended = append(active.appended, kept{large.Position(i), active.log.Epoch(), data})
	}
	active.must(5)
	for _, i := range []int{0, 1, 50, 99, 100, 101, 102, len(active.appended) - 1} {
		from := active.appended[i].at
		f, err := Follow(patience(t), c.nodes[i%3], opt, from)
		if err != nil {
			t.Fatalf("follow from record %d: %v", i, err)
		}
		var seen []kept
		for f.Tail() < active.log.Tail() {
			if _, err := f.Next(patience(t), collect(&seen)); err != nil {
				t.Fatalf("follow from record %d: %v", i, err)
			}
		}
		f.Close()
		same(t, fmt.Sprintf("followed from record %d", i), seen, active.appended[i:])
		if _, err := f.Next(patience(t), nil); !errors.Is(err, journal.ErrClosed) {
			t.Errorf("next after close: %v; want ErrClosed", err)
		}
	}
	// An opening reads nothing but the end; what lies before is found when it is asked for.
	again := open(t, c.nodes[1], opt)
	for i := len(active.appended) - 1; i >= 0; i -= 7 {
		if data, err := again.log.ReadAt(active.appended[i].at, nil); err != nil || string(data) != active.appended[i].data {
			t.Fatalf("ReadAt of record %d after opening again: %d bytes, %v", i, len(data), err)
		}
	}
	enough := errors.New("enough")
	f := follower(t, c.nodes[0], opt)
	var err error
	for err == nil {
		_, err = f.Next(patience(t), func(journal.Record) error { return enough })
	}
	if err != enough {
		t.Errorf("next with a failing owner: %v; want its own error", err)
	}
	if _, err := f.Lead(context.Background(), journal.Notify{}); !errors.Is(err, journal.ErrClosed) {
		t.Errorf("lead after the owner failed: %v; want ErrClosed", err)
	}
}
