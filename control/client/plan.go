package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/godwitmq/godwit/readiness"
)

// Plan is who would follow a switchover.
type Plan struct {
	From     string              `json:"from"`
	To       string              `json:"to"`
	Lag      uint64              `json:"lag"`         // of To
	All      int                 `json:"connections"` // of all clients
	Services []readiness.Service `json:"services"`    // of which some would not follow, or nobody knows; with those findings alone
}

// PlanSwitchOver asks who would follow a switchover; an error says that there can be none.
func (c *Client) PlanSwitchOver(ctx context.Context, to string) (*Plan, error) {
	instances, err := c.Instances(ctx)
	if err != nil {
		return nil, err
	}
	p := &Plan{To: to, Services: []readiness.Service{}}
	for _, i := range instances {
		switch {
		case i.Role == "active":
			p.From = i.Name
		case i.Role == "standby" && (to == "" || to == i.Name):
			p.To, p.Lag, to = i.Name, i.Lag, i.Name
		case i.Name == to:
			return nil, fmt.Errorf("%s cannot take over: it is %s", to, i.Role)
		}
	}
	switch {
	case p.From == "":
		return nil, errors.New("no instance is active; `godwit instances` shows how they are")
	case p.To == "":
		return nil, errors.New("no standby is ready to take over; `godwit instances` shows how they are")
	case p.To == p.From:
		return nil, fmt.Errorf("%s is the active instance already", p.To)
	}
	answer, err := c.Clients(ctx, false)
	if err != nil {
		return nil, err
	}
	for _, s := range answer.Services {
		p.All += s.Connections
		if s.Findings = s.Stays(); len(s.Findings) > 0 {
			p.Services = append(p.Services, s)
		}
	}
	return p, nil
}
