package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/control/plane"
)

// health asks the instance how it is. The zero value: it does not answer.
func (i *instance) health(ctx context.Context) (h api.Health) {
	if i.process == nil || i.apiURL == "" {
		return h
	}
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, i.apiURL+"/readyz", nil)
	if err != nil {
		return h
	}
	answer, err := (&http.Client{Transport: i.agent.transport}).Do(r)
	if err != nil {
		return h
	}
	defer answer.Body.Close()
	if data, err := io.ReadAll(io.LimitReader(answer.Body, 64<<10)); err != nil || json.Unmarshal(data, &h) != nil {
		return api.Health{}
	}
	if h.Ready {
		i.ready = time.Now()
	}
	switch {
	case h.Role != "active":
		i.epoch = 0
	case i.epoch == 0 || time.Since(i.epochAt) > i.agent.opt.ObserveEvery:
		if is, err := i.api.Instance(ctx); err != nil || is.Role != "active" {
			i.epoch = 0 // the next look tells
		} else {
			i.epoch, i.epochAt = is.Epoch, time.Now()
		}
	}
	if h.Ready && i.healthy.IsZero() {
		i.healthy, i.other = time.Now(), false
	} else if !h.Ready {
		i.healthy = time.Time{}
	}
	if !i.healthy.IsZero() && time.Since(i.healthy) > healthyFor {
		i.starts, i.pause, i.ending = 1, 0, ""
	}
	return h
}

// observe reports how the instance is, when that has changed and now and then.
func (i *instance) observe(ctx context.Context, spec *plane.Spec, h api.Health) {
	now := plane.Observed{Broker: spec.Broker, Number: spec.Number, Generation: spec.Generation, Up: i.process != nil && h.Ready, Epoch: i.epoch, Applied: i.note.Applied}
	if i.process != nil && i.told.Up && time.Since(i.ready) < blink {
		now.Up = true
	}
	now.Program, now.Newer = i.programs(ctx, spec)
	var detail []string
	add := func(format string, args ...any) { detail = append(detail, fmt.Sprintf(format, args...)) }
	switch {
	case i.trouble != "":
		add("%s", i.trouble)
	case i.process == nil:
		add("it does not run")
	case now.Up:
	case h.Status == "":
		add("it does not answer")
	case !h.Ready:
		add("it is %s: %s", h.Status, h.Detail)
	}
	if i.starts > 1 {
		add("it was started %d times in short; the last time it ended so: %s", i.starts, i.ending)
	}
	if i.note.Pending != "" {
		now.Applied = 0 // the highest that was ever reported stays
		add("these settings need a restart to be in force: %s", i.note.Pending)
	}
	now.Detail = strings.Join(detail, "; ")
	if now == i.told && time.Since(i.toldAt) < i.agent.opt.ObserveEvery {
		return
	}
	if i.agent.report(ctx, now) {
		i.told, i.toldAt = now, time.Now()
	}
}
