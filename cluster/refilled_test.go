package cluster

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/engine"
	"github.com/godwitmq/godwit/journal"
	"github.com/godwitmq/godwit/journal/segment"
)

// A checkpoint of before a broker left the nodes' log says nothing of the log as it is filled anew: an instance that has one reads all, and has what the broker has now.
func TestCheckpointOfBefore(t *testing.T) {
	for name, sees := range map[string]bool{"who saw nothing of it": false, "who was told that the log was left": true} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t)
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			opt := p.options(0, nil)
			opt.Left = func(uint64, string) bool { return true }
			a := p.runWith(opt)
			c := dial(t, a.current())
			b := p.run(1)
			b.is(Standby)
			c.send(0, 300)
			b.wait("it has a checkpoint", func() bool { return p.hasCheckpoint(1) })
			if !sees {
				b.stop()
			}

			copying := CopyOptions{Rate: -1}
			files := filepath.Join(t.TempDir(), "files")
			target := openFiles(t, files, journal.Notify{})
			out, err := a.Leave(ctx, 99, target, copying)
			if err != nil {
				t.Fatal(err)
			}
			defer out.Close()
			if err := out.CatchUp(ctx); err != nil {
				t.Fatal(err)
			}
			core, err := out.Finish(ctx, 30*time.Second, func(Copied) error { return target.Close() })
			if err != nil {
				t.Fatal(err)
			}
			a.ended = true // with ErrLeft
			if sees {
				b.is(Waiting)
			}
			alone, err := engine.Continue(core, func(n journal.Notify) (journal.Log, error) {
				return segment.Open(files, segment.Options{Logger: quiet()}, n)
			}, engine.Options{})
			if err != nil {
				t.Fatal(err)
			}
			dial(t, alone).consume(0, 300)
			dial(t, alone).send(300, 310)

			j, err := Join(ctx, p.nodes[0], opt.Log, alone.Log(), broker.Options{}, copying)
			if err != nil {
				t.Fatal(err)
			}
			defer j.Close()
			if err := j.CatchUp(ctx); err != nil {
				t.Fatal(err)
			}
			if err := alone.Close(); err != nil {
				t.Fatal(err)
			}
			rest := openFiles(t, files, journal.Notify{})
			joined, err := j.Finish(ctx, rest)
			if err != nil {
				t.Fatal(err)
			}
			if err := rest.Close(); err != nil {
				t.Fatal(err)
			}
			opt.Adopt, opt.Joined = &joined.Copied, joined
			a = p.runWith(opt)
			a.is(Active)
			if !sees {
				b = p.run(1)
			}
			b.is(Standby)
			b.wait("it is not behind", func() bool { return b.Status().Active == "a" && b.Status().Lag <= nearlyAll })
			if err := a.SwitchOver(ctx, "b"); err != nil {
				t.Fatal(err)
			}
			dial(t, b.current()).consume(300, 310)
		})
	}
}
