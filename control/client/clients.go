package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/readiness"
)

// Clients lists the services of all that are connected, with their connections if those are asked for.
func (c *Client) Clients(ctx context.Context, connections bool) (*api.Clients, error) {
	query := url.Values{}
	if connections {
		query.Set("connections", "true")
	}
	answer := &api.Clients{}
	return answer, c.get(ctx, answer, query, "clients")
}

// Service shows one service with its connections.
func (c *Client) Service(ctx context.Context, name string) (*readiness.Service, error) {
	answer := &readiness.Service{}
	return answer, c.get(ctx, answer, nil, "clients", name)
}

// Probe tests the failover of one of a service's clients, and returns when it is back or was waited for in vain.
func (c *Client) Probe(ctx context.Context, service string, ask api.Probe) (*readiness.Probed, error) {
	answer := &readiness.Probed{}
	return answer, c.post(ctx, answer, ask, "clients", service, "probe")
}

// Restart has the broker that is asked restart; RestartInstance an instance of several. They do not wait for it.
func (c *Client) Restart(ctx context.Context) error { return c.post(ctx, nil, nil, "restart") }

// RestartInstance has one of several instances restart.
func (c *Client) RestartInstance(ctx context.Context, name string) error {
	return c.post(ctx, nil, nil, "instances", name, "restart")
}

// Ready says whether clients that come to the broker that is asked are served.
func (c *Client) Ready(ctx context.Context) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base.String()+"/readyz", nil)
	if err != nil {
		return false
	}
	response, err := c.http.Do(request)
	if err != nil {
		return false
	}
	response.Body.Close()
	return response.StatusCode == http.StatusOK
}
