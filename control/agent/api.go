package agent

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"strconv"

	"github.com/godwitmq/godwit/control/client"
	"github.com/godwitmq/godwit/control/plane"
)

// API is a client of an instance's API, for whoever has the control plane. It demands nothing of the instance by itself.
func (l *Local) API(ctx context.Context, spec plane.Spec) (*client.Client, error) {
	password, err := l.Password(ctx, spec.Broker)
	if err != nil {
		return nil, err
	}
	return apiAt(apiURL(spec.Address, spec.Ports), password, nil)
}

// apiURL is where an instance's API is.
func apiURL(address netip.Addr, ports plane.Ports) string {
	return "http://" + net.JoinHostPort(address.String(), strconv.Itoa(ports.API))
}

// apiAt is a client of the API there, as the agent; transport nil is the default one.
func apiAt(url, password string, transport http.RoundTripper) (*client.Client, error) {
	return client.New(url, client.Options{User: agentUser, Password: password, Transport: transport})
}
