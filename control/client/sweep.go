package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/message"
)

// Sweep is what is done to messages that wait in a queue, as paths have it.
type Sweep string

// The sweeps.
const (
	Move   Sweep = "move"
	Copy   Sweep = "copy"
	Remove Sweep = "remove"
	Retry  Sweep = "retry" // of dead letters
)

// maxLine bounds one line of progress.
const maxLine = 64 << 20

// Sweep moves, copies or removes messages, and tells progress, which may be nil, how far it is. The state returned beside an error says what had been done by
// then; it is nil if nothing is known. When ctx ends the broker stops, and what was done stays done.
func (c *Client) Sweep(ctx context.Context, do Sweep, from message.Destination, request api.SweepRequest, progress func(api.Swept)) (*api.Swept, error) {
	return c.sweep(ctx, request, progress, nil, at(from, string(do)))
}

// SweepSubscription is Sweep for what waits in a durable subscription. clientID may be "" of a shared one.
func (c *Client) SweepSubscription(ctx context.Context, do Sweep, clientID, name string, request api.SweepRequest, progress func(api.Swept)) (*api.Swept, error) {
	return c.sweep(ctx, request, progress, url.Values{"client": {clientID}, "name": {name}}, []string{"subscription", string(do)})
}

func (c *Client) sweep(ctx context.Context, request api.SweepRequest, progress func(api.Swept), query url.Values, path []string) (*api.Swept, error) {
	body, err := c.lines(ctx, request, query, path)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return c.sweepLines(ctx, body, progress)
}

// lines begins a request that is answered with a stream, as of lines of JSON. The body is to be closed.
func (c *Client) lines(ctx context.Context, request any, query url.Values, path []string) (io.ReadCloser, error) {
	call, err := c.request(ctx, http.MethodPost, request, query, path)
	if err != nil {
		return nil, err
	}
	response, err := c.Do(call)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		defer response.Body.Close()
		data, err := io.ReadAll(io.LimitReader(response.Body, maxLine))
		if err != nil {
			return nil, fmt.Errorf("read the answer of %s: %w", c.URL(), err)
		}
		return nil, refusal(c.URL(), response, data)
	}
	return response.Body, nil
}

func (c *Client) sweepLines(ctx context.Context, body io.Reader, progress func(api.Swept)) (*api.Swept, error) {
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, maxLine)
	var last *api.Swept
	for lines.Scan() {
		var state api.Swept
		if err := json.Unmarshal(lines.Bytes(), &state); err != nil {
			return last, fmt.Errorf("the answer of %s is not Godwit's: %w", c.URL(), err)
		}
		if state.Error != nil {
			if state.Affected > 0 || last == nil {
				last = &state
			}
			return last, state.Error
		}
		last = &state
		if progress != nil {
			progress(state)
		}
		if state.Done {
			return last, nil
		}
	}
	if ctx.Err() != nil {
		return last, context.Cause(ctx)
	}
	err := lines.Err()
	if err == nil {
		err = errors.New("it ends too early")
	}
	return last, fmt.Errorf("read the answer of %s: %w", c.URL(), err)
}

// Pause holds a queue's messages back from their consumers, or lets them go again.
func (c *Client) Pause(ctx context.Context, d message.Destination, on bool) error {
	if on {
		return c.post(ctx, nil, nil, at(d, "pause")...)
	}
	return c.post(ctx, nil, nil, at(d, "resume")...)
}

// Create makes a destination.
func (c *Client) Create(ctx context.Context, d message.Destination) error {
	return c.call(ctx, http.MethodPut, nil, nil, nil, at(d)...)
}
