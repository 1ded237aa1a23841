package engine_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/engine"
	"github.com/godwitmq/godwit/journal"
	"github.com/godwitmq/godwit/journal/segment"
)

// openSmall opens an engine on a log of small segments that may have so many bytes; 0: as many as there are.
func openSmall(t *testing.T, maxBytes int64) *engine.Engine {
	t.Helper()
	dir := t.TempDir()
	e, err := engine.Open(func(n journal.Notify) (journal.Log, error) {
		return segment.Open(dir, segment.Options{SegmentSize: 64 << 10, MaxBytes: maxBytes, Logger: slog.New(slog.DiscardHandler)}, n)
	}, engine.Options{Broker: broker.Options{SegmentBytes: 64 << 10}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// churn sends and purges so many megabytes.
func churn(c *client, first int64, megabytes int) {
	body := strings.Repeat("x", 4000)
	for i := range int64(megabytes) * 256 {
		c.Submit(&broker.Send{Conn: c.ID(), Ref: 2, Message: persistent(queue("CHURN"), first+i, body), MayCreate: true})
		c.answer(2)
		if i%16 == 15 {
			c.Submit(&broker.Purge{Conn: c.ID(), Ref: 3, Destination: queue("CHURN")})
			c.answer(3)
		}
	}
}

// What is held is there to be read however much is written meanwhile, and goes when it is released.
func TestHoldsLog(t *testing.T) {
	e := openSmall(t, 0)
	c := connect(t, e)
	churn(c, 1, 1)
	ctx := t.Context()
	h, err := e.Hold(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if h.To != e.Log().Tail() || h.From != e.Log().Head() {
		t.Errorf("held from %d to %d; the log has %d to %d", h.From, h.To, e.Log().Head(), e.Log().Tail())
	}
	if _, err := e.Hold(ctx); !errors.Is(err, engine.ErrHeld) {
		t.Errorf("a second hold: %v; want ErrHeld", err)
	}
	churn(c, 10_000, 3)
	if head := e.Log().Head(); head != h.From || h.Lost() {
		t.Errorf("the head is %d although %d is held, lost is %t", head, h.From, h.Lost())
	}
	records := 0
	if err := e.Log().Read(h.From, func(journal.Record) error { records++; return nil }); err != nil || records == 0 {
		t.Errorf("what is held gives %d records and %v", records, err)
	}
	h.Release()
	h.Release()
	if head := e.Log().Head(); head <= h.To {
		t.Errorf("the head is %d after the release; want it behind %d, which nobody needs", head, h.To)
	}
	again, err := e.Hold(ctx)
	if err != nil {
		t.Fatalf("hold after the release: %v", err)
	}
	again.Release()
}

// A hold costs nobody a message: before the log has no room, what is held is given up.
func TestHoldsLogGivenUp(t *testing.T) {
	e := openSmall(t, 2<<20)
	c := connect(t, e)
	churn(c, 1, 1)
	h, err := e.Hold(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer h.Release()
	churn(c, 10_000, 8) // each answer is checked
	if !h.Lost() {
		t.Errorf("8 MiB were written to a log of 2, and what is held is not lost; head %d, held from %d", e.Log().Head(), h.From)
	}
	if err := e.Log().Read(h.From, func(journal.Record) error { return nil }); !errors.Is(err, journal.ErrTrimmed) {
		t.Errorf("what is lost gives %v; want ErrTrimmed", err)
	}
}

// Nothing waits for an engine that has ended.
func TestHoldsLogOfClosed(t *testing.T) {
	e := openSmall(t, 0)
	h, err := e.Hold(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	h.Release()
	if _, err := e.Hold(context.Background()); !errors.Is(err, journal.ErrClosed) {
		t.Errorf("hold of a closed engine: %v; want ErrClosed", err)
	}
}
