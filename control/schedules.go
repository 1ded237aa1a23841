package control

import (
	"net/http"
	"strconv"
	"time"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/message"
)

// schedules lists messages that wait for their time. Query: from, to (RFC 3339), after (an id), limit.
func (s *Server) schedules(w http.ResponseWriter, r *http.Request) {
	from, to, err := scheduleSpan(r)
	limit := 0
	if text := r.URL.Query().Get("limit"); err == nil && text != "" {
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > 1000 {
			err = malformed(r, "limit %q is not a number from 1 to 1000", text)
		}
	}
	var value any
	if err == nil {
		value, err = s.asked(r, func(c broker.ConnID, ref broker.Ref) broker.Event {
			return &broker.ListSchedules{Conn: c, Ref: ref, From: from, To: to, After: r.URL.Query().Get("after"), Limit: limit}
		})
	}
	if err != nil {
		s.failed(w, r, err)
		return
	}
	respond(w, value)
}

// scheduleSpan reads from and to of a query.
func scheduleSpan(r *http.Request) (from, to int64, err error) {
	for _, x := range []struct {
		name string
		to   *int64
	}{{"from", &from}, {"to", &to}} {
		text := r.URL.Query().Get(x.name)
		if text == "" {
			continue
		}
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return 0, 0, malformed(r, "%s %q is not a time; expected for example 2026-11-23T15:04:05Z", x.name, text)
		}
		*x.to = at.UnixMilli()
	}
	return from, to, nil
}

// editSchedule sets when a scheduled message is due next.
func (s *Server) editSchedule(w http.ResponseWriter, r *http.Request) {
	var request api.ScheduleEdit
	err := decode(r, &request)
	if err == nil && request.Next.IsZero() {
		err = malformed(r, "next is missing")
	}
	if err == nil {
		_, err = s.asked(r, func(c broker.ConnID, ref broker.Ref) broker.Event {
			return &broker.EditSchedule{Conn: c, Ref: ref, ID: r.PathValue("id"), At: request.Next.UnixMilli()}
		})
	}
	if err != nil {
		s.failed(w, r, err)
		return
	}
	respond(w, struct{}{})
}

// removeSchedules removes the scheduled message of the path's id, or those that are due in the query's span.
func (s *Server) removeSchedules(w http.ResponseWriter, r *http.Request) {
	from, to, err := scheduleSpan(r)
	var value any
	if err == nil {
		value, err = s.asked(r, func(c broker.ConnID, ref broker.Ref) broker.Event {
			return &broker.RemoveSchedules{Conn: c, Ref: ref, ID: r.PathValue("id"), From: from, To: to}
		})
	}
	if err != nil {
		s.failed(w, r, err)
		return
	}
	removed, _ := value.(int)
	respond(w, api.Purged{Removed: removed})
}

// retries lists which retries of dead letters can be undone.
func (s *Server) retries(w http.ResponseWriter, r *http.Request) {
	value, err := s.asked(r, func(c broker.ConnID, ref broker.Ref) broker.Event { return &broker.Retries{Conn: c, Ref: ref} })
	if err != nil {
		s.failed(w, r, err)
		return
	}
	views, _ := value.([]broker.RetryView)
	respond(w, api.Retries{Retries: list(views)})
}

// undoRetry makes dead letters again of what a retry has taken back and nobody has had.
func (s *Server) undoRetry(w http.ResponseWriter, r *http.Request) {
	batch, err := strconv.ParseUint(r.PathValue("batch"), 10, 64)
	if err != nil {
		s.failed(w, r, malformed(r, "%q is not the number of a retry", r.PathValue("batch")))
		return
	}
	value, err := s.asked(r, func(c broker.ConnID, ref broker.Ref) broker.Event {
		return &broker.UndoRetry{Conn: c, Ref: ref, Batch: batch}
	})
	if err != nil {
		s.failed(w, r, err)
		return
	}
	n, _ := value.(int)
	respond(w, api.Undone{Messages: n})
}

// retryOf fills in what a request says of a retry.
func retryOf(r *http.Request, request *api.SweepRequest, ev *broker.Sweep) error {
	if request.Rate < 0 {
		return malformed(r, "rate %d is negative", request.Rate)
	}
	ev.DeadLetters, ev.Cause, ev.Rate = true, request.Cause, request.Rate
	if request.Origin == "" {
		return nil
	}
	var err error
	if ev.Origin, err = message.ParseDestination(request.Origin, message.Queue); err != nil {
		return malformed(r, "origin: %v", err)
	}
	return nil
}
