package agent

import (
	"context"
	"net"
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
	return client.New("http://"+net.JoinHostPort(spec.Address.String(), strconv.Itoa(spec.Ports.API)), client.Options{User: agentUser, Password: password})
}
