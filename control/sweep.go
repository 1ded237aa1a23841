package control

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/message"
)

const (
	// progressEvery is the least time between two lines of progress.
	progressEvery = 250 * time.Millisecond
	maxIDs        = 10_000 // in one request
)

// sweepFrom begins the event of a sweep: it names what is swept, which the caller must have the right to.
type sweepFrom func(r *http.Request, do broker.SweepKind) (*broker.Sweep, error)

func ofDestination(kind message.Kind) sweepFrom {
	return func(r *http.Request, do broker.SweepKind) (*broker.Sweep, error) {
		from, err := named(r, kind)
		if err != nil {
			return nil, err
		}
		right := Remove
		if do == broker.SweepCopy {
			right = Read
		}
		return &broker.Sweep{Kind: do, From: from}, allowed(r, right, from)
	}
}

// ofSubscription is for administrators, which the path sees to.
func ofSubscription(r *http.Request, do broker.SweepKind) (*broker.Sweep, error) {
	clientID, name := subscriptionOf(r)
	if name == "" {
		return nil, malformed(r, "name the subscription")
	}
	return &broker.Sweep{Kind: do, ClientID: clientID, Subscription: name}, nil
}

// sweep moves, copies or removes messages that wait in a queue or a durable subscription. It ends when the client goes away; what was done stays done.
func (s *Server) sweep(from sweepFrom, do broker.SweepKind) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ev, progress, err := sweepEvent(r, from, do)
		var l *link
		if err == nil {
			l, err = s.dial(r)
		}
		if err != nil {
			s.failed(w, r, err)
			return
		}
		defer l.close()
		if err := s.swept(w, l, ev, progress); err != nil {
			s.failed(w, r, err)
		}
	}
}

// sweepEvent reads and checks a request.
func sweepEvent(r *http.Request, from sweepFrom, do broker.SweepKind) (ev *broker.Sweep, progress bool, err error) {
	if ev, err = from(r, do); err != nil {
		return nil, false, err
	}
	var request api.SweepRequest
	if err := decode(r, &request); err != nil {
		return nil, false, err
	}
	if request.Limit < 0 || request.First < 0 || len(request.IDs) > maxIDs {
		return nil, false, malformed(r, "limit and first are not negative, and ids are at most %d", maxIDs)
	}
	ev.Selector, ev.IDs, ev.Limit, ev.First = request.Selector, request.IDs, request.Limit, request.First
	if do == broker.SweepRetry {
		if err := retryOf(r, &request, ev); err != nil {
			return nil, false, err
		}
	}
	if do == broker.SweepMove || do == broker.SweepCopy {
		if ev.To, err = message.ParseDestination(request.To, message.Queue); err != nil {
			return nil, false, malformed(r, "to: %v", err)
		}
		if err := allowed(r, Write, ev.To); err != nil {
			return nil, false, err
		}
		ev.MayCreate = allowed(r, Create, ev.To) == nil
	}
	if request.DryRun {
		ev.Kind, ev.MayCreate = broker.SweepShow, false
	}
	return ev, request.Progress, nil
}

// swept runs a sweep and writes its progress, a line of JSON each, the last of which is its end. An error is one that came before the first.
func (s *Server) swept(w http.ResponseWriter, l *link, ev *broker.Sweep, progress bool) error {
	ev.Conn, ev.Ref = l.id(), l.ref()
	var next broker.Event = ev
	ref := ev.Ref
	var shown time.Time
	for {
		e, err := l.ask(ref, next)
		var state *broker.Swept
		if err == nil {
			state, _ = e.Value.(*broker.Swept)
		}
		switch {
		case state == nil && err == nil:
			err = fmt.Errorf("sweep: answer is a %T", e.Value)
			fallthrough
		case err != nil:
			if shown.IsZero() {
				return err
			}
			_ = writeLine(w, api.Swept{Done: true, Error: problem(err)})
			return nil
		case state.Done && state.Err != nil && state.Affected == 0 && shown.IsZero():
			return state.Err
		case state.Done || progress && time.Since(shown) >= progressEvery:
			shown = time.Now()
			if writeLine(w, sweptOf(state)) != nil || state.Done {
				return nil
			}
		}
		ref = l.ref()
		next = &broker.SweepOn{Conn: l.id(), Ref: ref}
	}
}

func sweptOf(state *broker.Swept) api.Swept {
	line := api.Swept{Total: state.Total, Examined: state.Examined, Affected: state.Affected, Done: state.Done, Batch: state.Batch}
	if state.Err != nil {
		line.Error = problem(state.Err)
	}
	for _, f := range state.First {
		line.First = append(line.First, show(broker.Effect{Message: f.Message, Sequence: f.Sequence, Redeliveries: f.Redeliveries}, false))
	}
	return line
}

// writeLine writes one of several answers to a request.
func writeLine(w http.ResponseWriter, body any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("write answer: %w", err)
	}
	h := w.Header()
	h.Set("Content-Type", "application/x-ndjson")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	control := http.NewResponseController(w)
	_ = control.SetWriteDeadline(time.Now().Add(writeTime)) // where it cannot be set, as in tests, there is none
	if _, err := w.Write(append(data, '\n')); err != nil {
		return fmt.Errorf("write answer: %w", err)
	}
	_ = control.Flush()
	return nil
}

// purge removes what waits in a queue.
func (s *Server) purge(kind message.Kind) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ev, _, err := sweepEvent(r, ofDestination(kind), broker.SweepRemove)
		var l *link
		if err == nil {
			l, err = s.dial(r)
		}
		if err != nil {
			s.failed(w, r, err)
			return
		}
		defer l.close()
		removed, err := purged(l, ev)
		if err != nil {
			s.failed(w, r, err)
			return
		}
		respond(w, api.Purged{Removed: removed})
	}
}

func purged(l *link, ev *broker.Sweep) (removed int, err error) {
	ev.Conn, ev.Ref = l.id(), l.ref()
	var next broker.Event = ev
	for ref := ev.Ref; ; {
		e, err := l.ask(ref, next)
		if err != nil {
			return removed, err
		}
		state, ok := e.Value.(*broker.Swept)
		if !ok {
			return removed, fmt.Errorf("purge: answer is a %T", e.Value)
		}
		if removed = state.Affected; state.Done {
			if state.Err != nil {
				return removed, state.Err
			}
			return removed, nil
		}
		ref = l.ref()
		next = &broker.SweepOn{Conn: l.id(), Ref: ref}
	}
}

// pause holds a queue's messages back from their consumers, or lets them go again.
func (s *Server) pause(kind message.Kind, on bool) http.HandlerFunc {
	return s.change(kind, Remove,
		func(c broker.ConnID, ref broker.Ref, d message.Destination) broker.Event {
			return &broker.Pause{Conn: c, Ref: ref, Destination: d, On: on}
		},
		func(any) any { return struct{}{} })
}

// create makes a destination; one that is there already is left as it is.
func (s *Server) create(kind message.Kind) http.HandlerFunc {
	return s.change(kind, Create,
		func(c broker.ConnID, ref broker.Ref, d message.Destination) broker.Event {
			return &broker.CreateDestination{Conn: c, Ref: ref, Destination: d}
		},
		func(any) any { return struct{}{} })
}
