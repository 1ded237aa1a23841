package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/control/api"
)

// Span is a time in which scheduled messages are due. A zero time is no bound.
type Span struct{ From, To time.Time }

func (s Span) query() url.Values {
	query := url.Values{}
	if !s.From.IsZero() {
		query.Set("from", s.From.Format(time.RFC3339))
	}
	if !s.To.IsZero() {
		query.Set("to", s.To.Format(time.RFC3339))
	}
	return query
}

// Schedules lists messages that wait for their time, from behind the one of the id after ("": from the first).
func (c *Client) Schedules(ctx context.Context, span Span, after string, limit int) (*broker.SchedulesView, error) {
	query := span.query()
	query.Set("after", after)
	query.Set("limit", strconv.Itoa(limit))
	answer := &broker.SchedulesView{}
	return answer, c.get(ctx, answer, query, "schedules")
}

// EditSchedule sets when a scheduled message is due next.
func (c *Client) EditSchedule(ctx context.Context, id string, next time.Time) error {
	return c.post(ctx, nil, api.ScheduleEdit{Next: next}, "schedules", id)
}

// RemoveSchedule removes a scheduled message, RemoveSchedules all that are due in a span; it says how many.
func (c *Client) RemoveSchedule(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, nil, nil, nil, "schedules", id)
}

// RemoveSchedules removes the scheduled messages that are due in a span, and says how many.
func (c *Client) RemoveSchedules(ctx context.Context, span Span) (int, error) {
	var answer api.Purged
	err := c.call(ctx, http.MethodDelete, &answer, nil, span.query(), "schedules")
	return answer.Removed, err
}

// Retries lists which retries of dead letters can be undone.
func (c *Client) Retries(ctx context.Context) ([]broker.RetryView, error) {
	var answer api.Retries
	err := c.get(ctx, &answer, nil, "retries")
	return answer.Retries, err
}

// UndoRetry makes dead letters again of what a retry has taken back and nobody has had, and says of how many messages.
func (c *Client) UndoRetry(ctx context.Context, batch uint64) (int, error) {
	var answer api.Undone
	err := c.post(ctx, &answer, nil, "retries", strconv.FormatUint(batch, 10), "undo")
	return answer.Messages, err
}
