package jetstream

import (
	"errors"
	"log/slog"
	"testing"

	"github.com/godwitmq/godwit/journal"
)

// Who knows the log up to a batch reads what follows it; what was passed over is verified behind, and read from another node where this one's copy is damaged.
func TestResume(t *testing.T) {
	c := newCluster(t, nil)
	opt := options()
	warned := &counter{}
	opt.Logger = slog.New(warned)
	o := open(t, c.nodes[0], opt)
	for range 20 {
		o.must(20)
	}
	f := follower(t, c.nodes[1], opt)
	for f.Tail() < o.appended[200].at {
		if _, err := f.Next(patience(t), nil); err != nil {
			t.Fatal(err)
		}
	}
	end := f.Last()
	o.must(40)
	if err := o.log.Close(); err != nil {
		t.Fatal(err)
	}
	for i := range c.nodes {
		c.stop(i)
	}
	if n := damage(t, c.opts[1].Dir, ".blk", 900); n == 0 {
		t.Fatal("nothing was damaged")
	}
	for i := range c.nodes {
		c.start(i)
	}
	r, err := Resume(patience(t), c.nodes[1], opt, func(p *Past) journal.Position {
		for _, at := range []journal.Position{end.Batch + 1, p.Tail()} {
			if _, err := p.Header(at); err == nil {
				t.Errorf("there is a header at position %d, where no batch begins", at)
			}
		}
		head, err := p.Header(end.Batch)
		if err != nil || head != end.Header {
			t.Errorf("the header at %d is %x, %v; the follower saw %x", end.Batch, head, err, end.Header)
		}
		return end.Tail
	})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var before, after []kept
	until(t, r, Vacant, collect(&after))
	if err := r.Scrub(patience(t), collect(&before)); err != nil {
		t.Fatalf("scrub: %v", err)
	}
	if len(after) < 40 || len(before) < 200 {
		t.Errorf("%d records were read behind position %d and %d before it, of %d", len(after), end.Tail, len(before), len(o.appended))
	}
	same(t, "read in two parts", append(before, after...), o.appended)
	t.Logf("%d warnings", warned.n.Load()) // none if the damaged node had its copy again from the others in time
}

// Reading goes on behind the batch only if it is the one that was asked for.
func TestResumeBehindAnotherBatch(t *testing.T) {
	c := shared(t)
	opt := options()
	o := open(t, c.nodes[0], opt)
	o.must(20)
	at := o.appended[10].at - journal.HeaderSize
	r, err := Resume(patience(t), c.nodes[1], opt, func(p *Past) journal.Position {
		if _, err := p.Header(at); err != nil {
			t.Fatal(err)
		}
		p.f.tie.Header[20] ^= 1 // as if one replica had another batch there than the one that answered
		return p.f.tie.Tail
	})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := r.Next(patience(t), nil); !errors.Is(err, journal.ErrCorrupt) {
		t.Errorf("reading behind another batch: %v, want damage", err)
	}
}
