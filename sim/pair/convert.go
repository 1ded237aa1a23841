package pair

import (
	"context"
	"log/slog"
	"time"

	"github.com/godwitmq/godwit/cluster"
	"github.com/godwitmq/godwit/engine"
	"github.com/godwitmq/godwit/journal"
	"github.com/godwitmq/godwit/journal/jetstream"
	"github.com/godwitmq/godwit/journal/segment"
	"github.com/godwitmq/godwit/vfs"
)

// convertPatience is how long one step of a conversion may take until it is given up.
const convertPatience = 5 * time.Second

// alone is the log of the broker when it has left that of the nodes.
func alone(files vfs.FS, n journal.Notify) (journal.Log, error) {
	return segment.Open("alone", segment.Options{FS: files, Logger: slog.New(slog.DiscardHandler)}, n)
}

// convert lets the broker leave the nodes' log for one of its own, start there, and come back, whatever happens to the nodes meanwhile: what was known of their log before says nothing of it as it is
// filled then. Nothing happens if no instance is active, or it does not come to leaving.
func (w *world) convert(id uint64) {
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.converting = false
	}()
	var in *instance
	if !w.until(time.Now().Add(convertPatience), func() bool {
		for _, one := range w.instances {
			if one != nil && one.engine != nil && !one.dead {
				in = one
			}
		}
		w.converting = in != nil
		return w.converting
	}) {
		return
	}
	files := vfs.NewMem()
	if err := w.leave(in, id, files); err != nil {
		w.mu.Lock()
		w.note("%s does not leave the log: %v", in, err)
		w.mu.Unlock()
		return
	}
	e, err := engine.Open(func(n journal.Notify) (journal.Log, error) { return alone(files, n) }, engine.Options{Broker: w.broker()})
	if err == nil {
		err = e.Close()
	}
	if err != nil {
		w.mu.Lock()
		w.fail("the broker cannot start alone where it has left the nodes' log: %v", err)
		w.mu.Unlock()
		return
	}
	for !w.ended() {
		copied, err := w.join(in.at, files)
		w.mu.Lock()
		w.note("the broker comes back to the nodes' log: %v", err)
		w.adopt[in.at] = copied
		w.mu.Unlock()
		if err == nil {
			w.kill(in.at)
			w.start(in.at)
			w.mu.Lock()
			w.result.Converted++
			w.mu.Unlock()
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
}

func (w *world) ended() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.over || w.violation != ""
}

// leave returns nil if the log was left and the files have a copy of it.
func (w *world) leave(in *instance, id uint64, files vfs.FS) error {
	ctx, cancel := context.WithTimeout(context.Background(), convertPatience)
	defer cancel()
	epoch := in.member.Status().Epoch
	target, err := alone(files, journal.Notify{})
	if err != nil {
		return err
	}
	whole := false
	defer func() {
		if !whole {
			target.Close()
		}
	}()
	out, err := in.member.Leave(ctx, id, target, cluster.CopyOptions{Rate: -1})
	if err != nil {
		return err
	}
	defer out.Close()
	if err := out.CatchUp(ctx); err != nil {
		return err
	}
	_, err = out.Finish(ctx, convertPatience, func(cluster.Copied) error {
		whole = true
		return target.Close()
	})
	// It may have been left although that is not known: its instance may have been killed.
	for err != nil && whole && !w.ended() {
		w.mu.Lock()
		h := w.instances[in.at].handle
		w.mu.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), convertPatience)
		state, which, werr := cluster.Whose(ctx, jetstream.NodeOver(names[in.at], h, slog.New(slog.DiscardHandler)), w.logs[in.at])
		cancel()
		if werr == nil && state == jetstream.Left && which == id {
			return nil
		}
		w.mu.Lock()
		decided := w.audit.link.Epoch > epoch
		w.mu.Unlock()
		if decided {
			return err
		}
		time.Sleep(200 * time.Millisecond)
	}
	return err
}

// join brings the broker back.
func (w *world) join(at int, files vfs.FS) (*cluster.Copied, error) {
	w.mu.Lock()
	h := w.instances[at].handle
	w.mu.Unlock()
	if h.Closed() {
		return nil, errGone
	}
	ctx, cancel := context.WithTimeout(context.Background(), convertPatience)
	defer cancel()
	source, err := alone(files, journal.Notify{})
	if err != nil {
		return nil, err
	}
	defer source.Close()
	opt := w.logs[at]
	opt.Logger = slog.New(slog.DiscardHandler)
	j, err := cluster.Join(ctx, jetstream.NodeOver(names[at], h, opt.Logger), opt, source, w.broker(), cluster.CopyOptions{Rate: -1})
	if err != nil {
		return nil, err
	}
	defer j.Close()
	if err := j.CatchUp(ctx); err != nil {
		return nil, err
	}
	joined, err := j.Finish(ctx, source)
	if err != nil {
		return nil, err
	}
	return &joined.Copied, nil
}
