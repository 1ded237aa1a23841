package cluster

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/godwitmq/godwit/journal"
)

// A standby of an older version meets a record that only a newer one writes, as in the middle of an upgrade. It ends, says so, and never leads the log, neither now nor after a restart; the log stays as it is.
func TestRecordOfNewerVersion(t *testing.T) {
	p := newPair(t)
	a := p.run(0)
	e := a.current()
	dial(t, e).send(0, 100)
	run := func(m *Member) error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		return m.Run(ctx)
	}
	old := func() error { return run(New(p.options(1, slog.New(slog.DiscardHandler)))) }
	standby := New(p.options(1, slog.New(slog.DiscardHandler)))
	ended := make(chan error, 1)
	go func() { ended <- run(standby) }()
	a.wait("the other stands by", func() bool { return standby.Status().Role == Standby })
	b := &journal.Batch{}
	b.Add([]byte{250, 1, 2, 3})
	if err := e.Log().Append(b, true); err != nil { // the engine has nothing to say now
		t.Fatal(err)
	}
	refused := func(err error) {
		t.Helper()
		if !errors.Is(err, errReplay) || !strings.Contains(err.Error(), "record of unknown kind 250: the journal was written by a newer version") {
			t.Errorf("the older version ends with %v; want that it does not understand a record", err)
		}
	}
	refused(<-ended)
	refused(old())
	dial(t, e).send(100, 200)
	if s := a.Status(); s.Role != Active {
		t.Errorf("the newer version is %s: %s", s.Role, s.Reason)
	}
	a.stop()
	refused(old()) // now that nobody leads
}
