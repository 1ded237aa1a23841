package jetstream

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/godwitmq/godwit/journal"
)

// TestNodesDie stops nodes other than the writer's while it appends: the stream's leader, the other one, both.
func TestNodesDie(t *testing.T) {
	c := newCluster(t, nil)
	opt := options()
	o := open(t, c.nodes[0], opt)
	eventually(t, "the stream is led by another node", func() bool { return c.leader(opt) > 0 })
	o.must(100)

	lead := c.leader(opt)
	other := 3 - lead
	done := make(chan time.Duration)
	begun := time.Now()
	go func() {
		longest := time.Duration(0)
		for time.Since(begun) < 1500*time.Millisecond {
			at := time.Now()
			if err := o.append(1); err != nil {
				t.Errorf("append while the stream's leader dies: %v", err)
				break
			}
			if err := o.flush(); err != nil {
				t.Errorf("append while the stream's leader dies: %v", err)
				break
			}
			longest = max(longest, time.Since(at))
		}
		done <- longest
	}()
	c.stop(lead)
	t.Logf("the stream's leader was stopped; longest append: %v", <-done)
	o.must(100)

	// Without most of the nodes nothing is acknowledged, and nothing fails either.
	c.start(lead)
	o.must(100)
	c.stop(other)
	o.must(100)
	c.stop(lead)
	if err := o.append(50); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the log says that it is stalled", func() bool { return o.log.Stalled() > 500*time.Millisecond })
	if o.log.Tail() > o.appended[len(o.appended)-50].at {
		t.Errorf("tail is %d with one node of three, the first append since then is at %d", o.log.Tail(), o.appended[len(o.appended)-50].at)
	}
	c.start(lead)
	if err := o.flush(); err != nil {
		t.Fatalf("append that waited for another node: %v", err)
	}
	c.start(other)
	o.must(100)
	o.expectAll(o.appended)
	f := follower(t, c.nodes[other], opt)
	var seen []kept
	for f.Tail() < o.appended[len(o.appended)-1].at {
		if _, err := f.Next(patience(t), collect(&seen)); err != nil {
			t.Fatal(err)
		}
	}
	same(t, "followed on the node that was away", seen, o.appended)
}

func TestGivesUp(t *testing.T) {
	c := newCluster(t, nil)
	opt := options()
	opt.GiveUp = time.Second
	o := open(t, c.nodes[0], opt)
	o.must(10)
	c.stop(1)
	c.stop(2)
	if err := o.append(1); err != nil {
		t.Fatal(err)
	}
	if err := o.waitBroken(); !errors.Is(err, journal.ErrBroken) {
		t.Errorf("Broken(%v); want ErrBroken", err)
	}
	if err := o.append(1); !errors.Is(err, journal.ErrBroken) {
		t.Errorf("append to a broken log: %v; want ErrBroken", err)
	}
	if err := o.log.Close(); !errors.Is(err, journal.ErrBroken) {
		t.Errorf("close of a broken log: %v; want ErrBroken", err)
	}
}

func TestRestartOfAll(t *testing.T) {
	c := newCluster(t, nil)
	opt := options()
	o := open(t, c.nodes[0], opt)
	o.must(500)
	f := follower(t, c.nodes[1], opt)
	_ = f
	for i := range c.nodes {
		c.stop(i)
	}
	if err := o.waitBroken(); !errors.Is(err, journal.ErrBroken) {
		t.Errorf("Broken(%v); want ErrBroken", err)
	}
	for i := range c.nodes {
		c.start(i)
	}
	again := open(t, c.nodes[2], opt)
	if again.log.Epoch() <= o.log.Epoch() {
		t.Errorf("epoch %d after %d", again.log.Epoch(), o.log.Epoch())
	}
	again.expectAll(o.appended)
	again.must(10)
	again.expectAll(append(o.appended, again.appended...))
}

// TestLostAnswers takes all answers away: what is appended is durable all the same, by reading back.
func TestLostAnswers(t *testing.T) {
	c := shared(t)
	opt := options()
	o := open(t, c.nodes[0], opt)
	o.must(5)
	if err := o.log.pub.(*natsPublisher).sub.Unsubscribe(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		o.must(3)
	}
	o.expectAll(o.appended)
	other := open(t, c.nodes[1], opt)
	err := o.append(1)
	if err == nil {
		err = o.flush()
	}
	if !errors.Is(err, journal.ErrDeposed) {
		t.Errorf("append after epoch %d has begun, answers lost: %v; want ErrDeposed", other.log.Epoch(), err)
	}
}

// TestRepeatedSends sends everything several times: each message is there once.
func TestRepeatedSends(t *testing.T) {
	c := shared(t)
	opt := options()
	o := open(t, c.nodes[0], opt)
	stop := make(chan struct{})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				o.log.again()
				o.log.mu.Lock()
				o.log.suspect(errors.New("made up"))
				o.log.mu.Unlock()
				time.Sleep(poll)
			}
		}
	}()
	for range 20 {
		if err := o.append(10); err != nil {
			t.Fatal(err)
		}
	}
	o.must(1)
	close(stop)
	<-stopped
	o.must(10)
	o.expectAll(o.appended)
}

// damage turns bytes over in all files of one node's store whose names end so. The last KiB of each stays whole: a log whose end no node has cannot be opened.
func damage(t *testing.T, dir, suffix string, every int) (files int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, suffix) || strings.Contains(path, "$SYS") {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for i := every / 2; i < len(content)-1<<10; i += every {
			content[i] ^= 0x10
		}
		files++
		return os.WriteFile(path, content, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestDamagedReplicas damages what nodes have stored. As long as one node has it whole, all is read, through any node; else there is an error that names what is
// missing. Nothing else is served.
func TestDamagedReplicas(t *testing.T) {
	for name, damaged := range map[string][]int{"one": {1}, "two": {1, 2}, "all": {0, 1, 2}} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, nil)
			opt := options()
			warned := &counter{}
			opt.Logger = slog.New(warned)
			o := open(t, c.nodes[0], opt)
			for range 20 {
				o.must(20)
			}
			if err := o.log.Close(); err != nil {
				t.Fatal(err)
			}
			for i := range c.nodes {
				c.stop(i)
			}
			for _, i := range damaged {
				if n := damage(t, c.opts[i].Dir, ".blk", 900); n == 0 {
					t.Fatal("nothing was damaged")
				}
			}
			for i := range c.nodes {
				c.start(i)
			}
			through := open(t, c.nodes[1], opt)
			var seen []kept
			err := through.log.Read(0, collect(&seen))
			t.Logf("%d of %d records were read through a damaged node, %d warnings: %v", len(seen), len(o.appended), warned.n.Load(), err)
			if name == "all" {
				var report *journal.CorruptError
				if !errors.As(err, &report) || report.File != through.log.s.name || report.Sequence == 0 {
					t.Fatalf("read of a log that is damaged on all nodes: %v; want a CorruptError with stream and message", err)
				}
				same(t, "read before the damage", seen, o.appended[:len(seen)])
			} else {
				if err != nil {
					t.Fatal(err)
				}
				same(t, "read through a damaged node", seen, o.appended)
			}
			for i, k := range o.appended {
				if name == "all" && i%150 != 0 {
					continue // each takes a while, as all nodes are asked
				}
				data, err := through.log.ReadAt(k.at, nil)
				if err == nil && string(data) != k.data || err != nil && (name != "all" || !errors.Is(err, journal.ErrCorrupt)) {
					t.Fatalf("ReadAt(%d) = %q, %v; want %q", k.at, data, err, k.data)
				}
			}
			through.must(10)
		})
	}
}

// counter counts warnings.
type counter struct{ n atomic.Int64 }

func (c *counter) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }
func (c *counter) Handle(context.Context, slog.Record) error        { c.n.Add(1); return nil }
func (c *counter) WithAttrs([]slog.Attr) slog.Handler               { return c }
func (c *counter) WithGroup(string) slog.Handler                    { return c }

func TestLeaderIsKeptAway(t *testing.T) {
	c := shared(t)
	opt := options()
	opt.LeaderOn = []string{"c"}
	o := open(t, c.nodes[0], opt)
	// Where it leads to begin with is chance, and so is whether a request to move it is granted; but here it must not stay.
	for range 5 {
		eventually(t, "the stream is led by another node than the writer's", func() bool { return c.leader(opt) > 0 })
		if err := o.log.s.StepDown(patience(t), "a"); err != nil {
			t.Logf("step down: %v", err)
		}
		o.must(1)
	}
	eventually(t, "the stream is led by another node than the writer's", func() bool { return c.leader(opt) > 0 })
}

func TestTrimPurges(t *testing.T) {
	c := shared(t)
	opt := options()
	o := open(t, c.nodes[0], opt)
	for range 64 {
		b := new(journal.Batch)
		b.Add(make([]byte, 100<<10))
		if err := o.log.Append(b, false); err != nil {
			t.Fatal(err)
		}
		o.appended = append(o.appended, kept{b.Position(0), o.log.Epoch(), string(make([]byte, 100<<10))})
	}
	if err := o.flush(); err != nil {
		t.Fatal(err)
	}
	used := o.log.Space().Used
	before := o.appended[40].at
	if err := o.log.Trim(before); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the stream has forgotten its first messages", func() bool {
		info, err := o.log.s.Info(patience(t))
		return err == nil && info.State.FirstSeq > 5
	})
	if now := o.log.Space().Used; now > used-39*100<<10 {
		t.Errorf("%d bytes are used after the trim, %d before", now, used)
	}
	o.expectAll(o.appended[40:])
	if err := o.log.Close(); err != nil {
		t.Fatal(err)
	}
	again := open(t, c.nodes[1], opt)
	if head := again.log.Head(); head != before {
		t.Errorf("head is %d after opening again; want %d", head, before)
	}
	again.expectAll(o.appended[40:])
	if _, err := Follow(patience(t), c.nodes[0], opt, o.appended[39].at); !errors.Is(err, journal.ErrTrimmed) {
		t.Errorf("follow from before the head: %v; want ErrTrimmed", err)
	}
	if err := again.log.Trim(again.log.Tail()); err != nil {
		t.Fatal(err)
	}
	again.must(1)
	again.expectAll(again.appended)
}

func TestFull(t *testing.T) {
	c := shared(t)
	opt := options()
	opt.MaxBytes, opt.Reserve = 4<<20, 1<<20
	o := open(t, c.nodes[0], opt)
	fill := func(urgent bool) (n int) {
		for {
			b := new(journal.Batch)
			b.Add(make([]byte, 50<<10))
			err := o.log.Append(b, urgent)
			if errors.Is(err, journal.ErrFull) {
				return n
			}
			if err != nil {
				t.Fatal(err)
			}
			o.appended = append(o.appended, kept{at: b.Position(0)})
			n++
		}
	}
	if n := fill(false); n < 50 || n > 61 {
		t.Errorf("%d batches of 50 KiB fit into 4 MiB less 1 MiB of reserve", n)
	}
	if sp := o.log.Space(); sp.Free > 51<<10 || sp.Reserve != 1<<20 {
		t.Errorf("space of a full log: %+v; want nearly nothing free, 1 MiB of reserve", sp)
	}
	if n := fill(true); n < 18 || n > 21 {
		t.Errorf("%d urgent batches of 50 KiB fit into 1 MiB of reserve", n)
	}
	o.log.Limit(5 << 20)
	if n := fill(true); n < 18 || n > 21 {
		t.Errorf("%d batches of 50 KiB fit into 1 MiB more", n)
	}
	o.log.Limit(opt.MaxBytes)
	if err := o.flush(); err != nil {
		t.Fatal(err)
	}
	if err := o.log.Trim(o.appended[80].at); err != nil {
		t.Fatal(err)
	}
	eventually(t, "there is room again", func() bool { return o.log.Space().Free > 1<<20 })
	o.must(1)
}

// TestStoreGivenUp has a server switch its store off, as it does when the disk is full. The writer on that node ends, and the node opens its copy again by itself.
func TestStoreGivenUp(t *testing.T) {
	c := newCluster(t, nil)
	opt := options()
	o := open(t, c.nodes[0], opt)
	o.must(100)
	was, _ := c.nodes[0].now()
	if err := was.ShutdownJetStream(); err != nil {
		t.Fatal(err)
	}
	if err := o.waitBroken(); !errors.Is(err, journal.ErrBroken) {
		t.Errorf("the writer whose node has no store any more ends with %v, want ErrBroken", err)
	}
	second := open(t, c.nodes[1], opt)
	second.must(100)
	eventually(t, "the node's copy is in use and has all again", func() bool {
		_, current := c.nodes[0].Replica(opt.Name, 0)
		return current
	})
	var seen []kept
	f := follower(t, c.nodes[0], opt)
	for f.Tail() < second.log.Tail() {
		if _, err := f.Next(patience(t), collect(&seen)); err != nil {
			t.Fatal(err)
		}
	}
	same(t, "read on the node that opened its copy again", seen, append(o.appended, second.appended...))
}
