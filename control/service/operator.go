package service

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/control/client"
	"github.com/godwitmq/godwit/control/mqapi"
	"github.com/godwitmq/godwit/control/plane"
	"github.com/godwitmq/godwit/control/plane/durable"
	"github.com/godwitmq/godwit/journal"
)

// What follows is for the operator, who makes access keys and sees the brokers of all accounts and regions. Errors are *api.Error where the operator can do something about them.

// plain makes an error of the operator's API of one of the plane.
func plain(op string, err error) error {
	var refused *plane.Error
	e := &api.Error{Op: op}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errNoPlane):
		e.Status, e.Code, e.Detail = http.StatusServiceUnavailable, api.Unavailable, errNoPlane.Message
	case errors.Is(err, journal.ErrFull):
		e.Status, e.Code, e.Detail = http.StatusInsufficientStorage, "full", "the control plane's disk is full, and nothing was changed"
	case errors.As(err, &refused):
		e.Detail = refused.Detail
		switch refused.Kind {
		case plane.NotFound:
			e.Status, e.Code = http.StatusNotFound, "not found"
		case plane.Conflict:
			e.Status, e.Code = http.StatusConflict, "in use"
		default:
			e.Status, e.Code = http.StatusBadRequest, "malformed"
		}
	default:
		return err
	}
	return e
}

// operate carries out an operator's command.
func (s *Service) operate(ctx context.Context, by plane.Origin, op string, command plane.Command) (*plane.Change, error) {
	p := s.options.Plane()
	if p == nil {
		return nil, plain(op, errNoPlane)
	}
	change, err := p.Do(ctx, by, command)
	return change, plain(op, err)
}

// Keys lists the access keys, without their secrets.
func (s *Service) Keys() ([]api.Key, error) {
	state, err := s.state()
	if err != nil {
		return nil, plain("keys", err)
	}
	list := []api.Key{}
	for _, k := range state.Keys() {
		list = append(list, apiKey(k))
	}
	return list, nil
}

func apiKey(k *plane.Key) api.Key {
	return api.Key{ID: k.ID, Account: k.Account, Note: k.Note, Created: k.Created, Disabled: k.Disabled}
}

// CreateKey makes an access key. Who and from are of the operator's request.
func (s *Service) CreateKey(ctx context.Context, who, from string, ask api.NewKey) (*api.CreatedKey, error) {
	id, secret := durable.NewKey()
	if ask.Account == "" {
		ask.Account = s.options.Account
	}
	change, err := s.operate(ctx, plane.Origin{Who: who, From: from}, "keys create", plane.CreateKey{ID: id, Secret: secret, Account: ask.Account, Note: ask.Note})
	if err != nil {
		return nil, err
	}
	return &api.CreatedKey{Key: apiKey(change.State.Key(id)), Secret: secret, Region: s.options.Region}, nil
}

// EnableKey enables an access key, or disables it.
func (s *Service) EnableKey(ctx context.Context, who, from, id string, enabled bool) error {
	_, err := s.operate(ctx, plane.Origin{Who: who, From: from}, "keys", plane.EnableKey{ID: id, Enabled: enabled})
	return err
}

// DeleteKey removes an access key.
func (s *Service) DeleteKey(ctx context.Context, who, from, id string) error {
	_, err := s.operate(ctx, plane.Origin{Who: who, From: from}, "keys delete", plane.DeleteKey{ID: id})
	return err
}

// OwnID is the id of the broker that the service's process runs itself.
const OwnID = "own"

// own is that broker, nil if there is none.
func (s *Service) own() *api.Broker {
	if s.options.Own == nil {
		return nil
	}
	b := s.options.Own()
	if b != nil {
		b.ID, b.Own = OwnID, true
	}
	return b
}

// Brokers lists the process' own broker, then those of all accounts and regions by id.
func (s *Service) Brokers() ([]api.Broker, error) {
	state, err := s.state()
	if err != nil {
		return nil, plain("brokers", err)
	}
	list := []api.Broker{}
	if b := s.own(); b != nil {
		list = append(list, *b)
	}
	for _, b := range state.Brokers(plane.Scope{}) {
		list = append(list, describe(b))
	}
	return list, nil
}

// Broker shows the broker of a name, or of an id.
func (s *Service) Broker(name string) (*api.Broker, error) {
	_, b, err := s.named(name)
	if err != nil {
		if own := s.own(); own != nil && name == OwnID { // unless a broker of the service has that name
			return own, nil
		}
		return nil, err
	}
	view := describe(b)
	return &view, nil
}

// Active is the active instance of the broker of a name, or of an id.
func (s *Service) Active(name string) (plane.Spec, error) {
	state, b, err := s.named(name)
	if err != nil {
		return plane.Spec{}, err
	}
	spec, found := activeSpec(state, b)
	if !found {
		return spec, &api.Error{Status: http.StatusServiceUnavailable, Code: api.Unavailable, Op: "brokers " + name, Detail: "no instance of it is active now"}
	}
	return spec, nil
}

// named finds a broker by its name or its id. Accounts and regions may have the same names; then the id is needed.
func (s *Service) named(name string) (*plane.State, *plane.Broker, error) {
	state, err := s.state()
	if err != nil {
		return nil, nil, plain("brokers", err)
	}
	if b := state.Broker(plane.Scope{}, name); b != nil {
		return state, b, nil
	}
	found := slices.DeleteFunc(state.Brokers(plane.Scope{}), func(b *plane.Broker) bool { return b.Name != name })
	switch len(found) {
	case 0:
		if name == OwnID {
			return nil, nil, &api.Error{Status: http.StatusConflict, Code: "illegal state", Op: "brokers " + name, Detail: "this is the broker that the service's process runs by its own configuration: use the commands without `brokers`, such as godwit reboot"}
		}
		return nil, nil, &api.Error{Status: http.StatusNotFound, Code: "not found", Op: "brokers " + name, Detail: "there is no broker of that name or id; godwit brokers lists them"}
	case 1:
		return state, found[0], nil
	}
	return nil, nil, &api.Error{Status: http.StatusConflict, Code: "in use", Op: "brokers " + name, Detail: "several accounts or regions have a broker of that name: give its id, as godwit brokers shows it"}
}

// describe is a broker as the operator sees it.
func describe(b *plane.Broker) api.Broker {
	state, problem := b.State()
	v := api.Broker{ID: b.ID, Name: b.Name, Account: b.Account, Region: b.Region, State: string(state), Problem: problem, Mode: string(b.Goal.Mode), Version: b.Goal.Version, Pending: b.PendingVersion, Newer: b.Newer(),
		Type: b.Goal.Type, Created: b.Created, Instances: []api.BrokerInstance{}, Placement: b.Placement, Users: sorted(b.Users)}
	if b.Active != 0 {
		v.Active, v.ActiveSince = instanceName(b.ID, b.Active), b.ActiveSince
	}
	for n := range b.Instances {
		i := &b.Instances[n]
		view := api.BrokerInstance{Name: instanceName(b.ID, i.Number), Witness: i.Number == plane.Witness, Active: i.Number == b.Active && !i.Leaving, Node: i.Node, Zone: i.Zone, Subnet: i.Subnet,
			Address: i.Address.String(), Detail: i.Detail, Version: i.Version, Program: i.Program}
		switch {
		case i.Leaving:
			view.State = "ending"
		case !i.Wanted:
			view.State = "planned"
		case !i.Up:
			view.State = "starting"
		case i.Down:
			view.State = "down"
		default:
			view.State = "up"
		}
		if !view.Witness {
			view.Endpoints = Endpoints(i)
		}
		v.Instances = append(v.Instances, view)
	}
	slices.SortFunc(v.Instances, func(a, b api.BrokerInstance) int { return strings.Compare(a.Name, b.Name) })
	if op := b.Operation; op != nil {
		v.Operation = &api.BrokerOperation{Kind: string(op.Kind), Who: op.Who, Began: op.Began, Steps: words(op.Steps), At: op.At, Attempts: op.Attempts, Error: op.Error, Rollback: op.Rollback}
	}
	if b.Last != nil {
		v.Last = &api.BrokerOutcome{Operation: string(b.Last.Operation), Ended: b.Last.Ended, Error: b.Last.Error}
	}
	return v
}

func words(steps []plane.Step) []string {
	list := []string{}
	for _, s := range steps {
		list = append(list, s.String())
	}
	return list
}

// Reboot restarts the instances of a broker, or says what that would do.
func (s *Service) Reboot(ctx context.Context, who, from, name string, ask api.BrokerReboot) (*api.BrokerRebooted, error) {
	_, b, err := s.named(name)
	if err != nil {
		return nil, err
	}
	op := "reboot of " + b.Name
	command := plane.RebootBroker{ID: b.ID, IfPending: ask.IfPending}
	by := plane.Origin{Who: who, From: from}
	if ask.Plan {
		plan, err := s.dryRun(by, b.ID, command)
		if err != nil {
			return nil, plain(op, err)
		}
		return &api.BrokerRebooted{Cost: plan.Cost.String(), Steps: words(plan.Steps)}, nil
	}
	change, err := s.operate(ctx, by, op, command)
	if err != nil {
		return nil, err
	}
	plan := planOf(b.ID, change.Plan)
	return &api.BrokerRebooted{Cost: plan.Cost.String(), Steps: words(plan.Steps)}, nil
}

// Reach is a client of a broker's own API: that of its active instance, or if none is, of one that is up.
func (s *Service) Reach(ctx context.Context, name string) (*client.Client, error) {
	state, b, err := s.named(name)
	if err != nil {
		return nil, err
	}
	op := "reach broker " + b.Name
	at := b.Instance(b.Active)
	for n := range b.Instances {
		if i := &b.Instances[n]; at == nil && i.Up && !i.Down && !i.Leaving {
			at = i
		}
	}
	if at == nil {
		return nil, &api.Error{Status: http.StatusServiceUnavailable, Code: api.Unavailable, Op: op, Detail: "no instance of it is up"}
	}
	for _, spec := range state.OnNode(at.Node) {
		if spec.Broker == b.ID && spec.Number == at.Number {
			remote, err := s.options.Reach(ctx, spec)
			if err != nil {
				return nil, &api.Error{Status: http.StatusServiceUnavailable, Code: api.Unavailable, Op: op, Detail: err.Error()}
			}
			return remote, nil
		}
	}
	return nil, &api.Error{Status: http.StatusServiceUnavailable, Code: api.Unavailable, Op: op, Detail: "its instance is not wanted on any node"}
}

// SwitchOver makes another instance of a broker the active one, or says what that would do.
func (s *Service) SwitchOver(ctx context.Context, who, from, name string, ask api.BrokerSwitchover) (*api.BrokerSwitchedOver, error) {
	state, b, err := s.named(name)
	if err != nil {
		return nil, err
	}
	op := "switchover of " + b.Name
	command := plane.Switchover{ID: b.ID, To: ask.To}
	by := plane.Origin{Who: who, From: from}
	to := ask.To
	if to == 0 {
		to = 3 - b.Active
	}
	answer := &api.BrokerSwitchedOver{From: instanceName(b.ID, b.Active), To: instanceName(b.ID, to)}
	if !ask.Plan {
		change, err := s.operate(ctx, by, op, command)
		if err != nil {
			return nil, err
		}
		plan := planOf(b.ID, change.Plan)
		answer.Cost, answer.Steps = plan.Cost.String(), words(plan.Steps)
		return answer, nil
	}
	plan, err := s.dryRun(by, b.ID, command)
	if err != nil {
		return nil, plain(op, err)
	}
	answer.Cost, answer.Steps = plan.Cost.String(), words(plan.Steps)
	clients, err := s.stranded(ctx, state, b)
	if err != nil {
		return nil, &api.Error{Status: http.StatusBadGateway, Code: api.Unavailable, Op: op, Detail: "it is possible, but the active instance does not tell who its clients are: " + err.Error()}
	}
	if clients != nil {
		answer.Clients = []api.StrandedClient{}
	}
	for _, c := range clients {
		answer.Clients = append(answer.Clients, stranded(c))
	}
	return answer, nil
}

func stranded(c mqapi.SwitchoverClient) api.StrandedClient {
	return api.StrandedClient{Service: text(c.Service), Client: text(c.ClientID), Remote: text(c.RemoteAddress), Reasons: c.Reasons}
}
