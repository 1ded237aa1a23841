package jetstream

import (
	"errors"
	"fmt"
	"testing"

	"github.com/godwitmq/godwit/journal"
)

// appendAll appends records, one a batch, and waits until they are durable.
func appendAll(t *testing.T, l *Log, texts ...string) {
	t.Helper()
	for _, text := range texts {
		var b journal.Batch
		b.Add([]byte(text))
		if err := l.Append(&b, false); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Flush(patience(t)); err != nil {
		t.Fatal(err)
	}
}

// follows reads a log from its head until it says something else than that it has grown.
func follows(t *testing.T, n *Node, opt Options) (f *Follower, texts []string, news News) {
	t.Helper()
	f = follower(t, n, opt)
	for news = Advanced; news == Advanced; {
		var err error
		if news, err = f.Next(patience(t), func(r journal.Record) error { texts = append(texts, string(r.Data)); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	return f, texts, news
}

// A log that is being filled is led by nobody before it is adopted; a copy that was given up is forgotten by the next, which whoever had read it learns; a log that was left stays so, and can
// be filled again.
func TestFilled(t *testing.T) {
	c, opt := shared(t), options()
	first, id, err := Fill(patience(t), c.nodes[0], opt, journal.Notify{})
	if err != nil {
		t.Fatal(err)
	}
	appendAll(t, first, "given", "up")
	old := follower(t, c.nodes[1], opt)
	var seen []kept
	for len(seen) < 2 {
		if _, err := old.Next(patience(t), collect(&seen)); err != nil {
			t.Fatal(err)
		}
	}
	if state, is := old.State(); state != Filling || is != id || old.Empty() {
		t.Errorf("the log is %v with copy %d, empty %v; want being filled with %d", state, is, old.Empty(), id)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	until(t, old, Vacant, collect(&seen))
	end := old.Last()
	resumed, err := Resume(patience(t), c.nodes[1], opt, func(p *Past) journal.Position { // one who knows the two already, up to the control behind them
		if _, err := p.Header(end.Batch); err != nil {
			t.Fatal(err)
		}
		return end.Tail
	})
	if err != nil {
		t.Fatal(err)
	}
	defer resumed.Close()
	f, _, news := follows(t, c.nodes[1], opt)
	if _, err := f.Lead(patience(t), journal.Notify{}); !errors.Is(err, ErrVoid) || news != Vacant {
		t.Errorf("a log that is being filled is %v, and leading it gives %v; want vacant and ErrVoid", news, err)
	}
	if _, err := Open(patience(t), c.nodes[1], opt, journal.Notify{}); !errors.Is(err, ErrVoid) {
		t.Errorf("opening a log that is being filled gives %v, want ErrVoid", err)
	}

	second, again, err := Fill(patience(t), c.nodes[2], opt, journal.Notify{})
	if err != nil || again == id {
		t.Fatalf("filling anew: copy %d after %d, %v", again, id, err)
	}
	for err = nil; err == nil; {
		_, err = old.Next(patience(t), collect(&seen))
	}
	if !errors.Is(err, ErrRefilled) || len(seen) != 2 {
		t.Errorf("who has read a copy that was given up gets %v and %d records, want ErrRefilled and the 2 of before", err, len(seen))
	}
	ctx := patience(t)
	for err = nil; err == nil; {
		_, err = resumed.Next(ctx, collect(&seen))
	}
	if !errors.Is(err, ErrRefilled) || len(seen) != 2 {
		t.Errorf("who knew a copy that was given up gets %v and %d records, want ErrRefilled and none more than 2", err, len(seen))
	}
	// Many batches come before the next control, and what was before is purged: the state is found nevertheless.
	var texts []string
	for i := range controlEvery - 1 {
		texts = append(texts, fmt.Sprint("record ", i))
	}
	appendAll(t, second, texts...)
	eventually(t, "what was given up is purged", func() bool {
		state, err := second.s.state(patience(t))
		return err == nil && state.FirstSeq > 1
	})
	if f := follower(t, c.nodes[1], opt); true {
		if state, is := f.State(); state != Filling || is != again {
			t.Errorf("the log is %v with copy %d; want being filled with %d", state, is, again)
		}
	}
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	f, got, _ := follows(t, c.nodes[1], opt)
	if fmt.Sprint(got) != fmt.Sprint(texts) {
		t.Errorf("the copy has %v, want %v", got, texts)
	}
	l, err := f.Adopt(patience(t), journal.Notify{})
	if err != nil {
		t.Fatal(err)
	}
	appendAll(t, l, "its own")
	if _, _, err := Fill(patience(t), c.nodes[0], opt, journal.Notify{}); !errors.Is(err, ErrInUse) {
		t.Errorf("filling a broker's log gives %v, want ErrInUse", err)
	}
	if err := l.Leave(patience(t), 17); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Errorf("close after leaving: %v", err)
	}
	f, got, news = follows(t, c.nodes[0], opt)
	state, is := f.State()
	if by, _ := f.Leader(); state != Left || is != 17 || by != "b" || news != Vacant || len(got) != len(texts)+1 {
		t.Errorf("after leaving the log is %v for copy %d by %s, %v with %d records; want left for 17 by b, vacant, with %d", state, is, by, news, len(got), len(texts)+1)
	}
	if _, err := f.Lead(patience(t), journal.Notify{}); !errors.Is(err, ErrVoid) {
		t.Errorf("leading a log that was left gives %v, want ErrVoid", err)
	}
	if _, err := f.Adopt(patience(t), journal.Notify{}); err == nil {
		t.Error("a log that was left is adopted")
	}
	third, _, err := Fill(patience(t), c.nodes[0], opt, journal.Notify{})
	if err != nil {
		t.Fatalf("filling a log that was left: %v", err)
	}
	if err := third.Close(); err != nil {
		t.Fatal(err)
	}
}
