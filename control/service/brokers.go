package service

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/godwitmq/godwit/control/mqapi"
	"github.com/godwitmq/godwit/control/plane"
	"github.com/godwitmq/godwit/control/plane/durable"
)

// CreateBroker begins to make a broker. The answer comes at once, the broker is CREATION_IN_PROGRESS then.
func (s *Service) CreateBroker(ctx context.Context, c mqapi.Caller, r *mqapi.CreateBrokerRequest) (*mqapi.CreateBrokerResponse, error) {
	state, err := s.state()
	if err != nil {
		return nil, err
	}
	command := plane.CreateBroker{ID: durable.NewID("b"), Name: r.BrokerName, Mode: plane.Mode(r.DeploymentMode), Engine: engine(r.EngineType), Version: text(r.EngineVersion), Type: r.HostInstanceType,
		StorageGB: number(r.StorageSize), StorageType: string(or(r.StorageType, "")), Subnets: r.SubnetIDs, SecurityGroups: r.SecurityGroups, Logs: logs(r.Logs, plane.Logs{}),
		MaintenanceWindow: window(r.MaintenanceWindowStartTime), AutoMinor: or(r.AutoMinorVersionUpgrade, false), Public: r.PubliclyAccessible, Tags: r.Tags}
	if r.Configuration != nil {
		command.Configuration = *reference(r.Configuration)
	} else {
		version := command.Version
		if version == "" {
			version = state.Versions()[0]
		}
		command.Default = s.defaultConfiguration(state, c, r.BrokerName, version)
	}
	if command.LDAP, err = directory(r.LDAPServerMetadata); err != nil {
		return nil, err
	}
	if r.CreatorRequestID != nil {
		command.Token = *r.CreatorRequestID
		if command.RequestDigest, err = s.digest(ctx, r); err != nil {
			return nil, err
		}
	}
	for i, u := range r.Users {
		hash, err := s.hash(ctx, u.Password)
		if err != nil {
			return nil, under(fmt.Sprintf("users[%d]", i), err)
		}
		command.Users = append(command.Users, plane.NewUser{Name: u.Username, Hash: hash, Groups: u.Groups, Console: or(u.ConsoleAccess, false), Replication: or(u.ReplicationUser, false)})
	}
	change, err := s.do(ctx, c, command)
	if err != nil {
		return nil, err
	}
	return &mqapi.CreateBrokerResponse{BrokerARN: new(c.BrokerARN(r.BrokerName, change.ID)), BrokerID: &change.ID}, nil
}

// ListBrokers lists brokers by id.
func (s *Service) ListBrokers(_ context.Context, c mqapi.Caller, r *mqapi.ListBrokersRequest) (*mqapi.ListBrokersResponse, error) {
	state, err := s.state()
	if err != nil {
		return nil, err
	}
	page, next := mqapi.Page(state.Brokers(scope(c)), func(b *plane.Broker) string { return b.ID }, r.NextToken, r.MaxResults)
	answer := &mqapi.ListBrokersResponse{BrokerSummaries: []mqapi.BrokerSummary{}, NextToken: next}
	for _, b := range page {
		how, _ := b.State()
		answer.BrokerSummaries = append(answer.BrokerSummaries, mqapi.BrokerSummary{BrokerARN: new(c.BrokerARN(b.Name, b.ID)), BrokerID: &b.ID, BrokerName: &b.Name, BrokerState: new(mqapi.BrokerState(how)),
			Created: &mqapi.Timestamp{Time: b.Created}, DeploymentMode: mqapi.DeploymentMode(b.Goal.Mode), EngineType: mqapi.EngineTypeActiveMQ, HostInstanceType: &b.Goal.Type})
	}
	return answer, nil
}

// UpdateBroker changes what was given: at once where no restart is needed. With plan it only says what that would cost.
func (s *Service) UpdateBroker(ctx context.Context, c mqapi.Caller, r *mqapi.UpdateBrokerRequest) (*mqapi.UpdateBrokerResponse, error) {
	s.updating.Lock() // logs are given in parts
	defer s.updating.Unlock()
	_, b, err := s.broker(c, r.BrokerID)
	if err != nil {
		return nil, err
	}
	command := plane.UpdateBroker{ID: b.ID, Version: r.EngineVersion, Type: r.HostInstanceType, AutoMinor: r.AutoMinorVersionUpgrade}
	if r.DeploymentMode != nil {
		command.Mode = new(plane.Mode(*r.DeploymentMode))
	}
	if r.StorageSize != nil {
		command.StorageGB = new(int(*r.StorageSize))
	}
	if r.SubnetIDs != nil {
		command.Subnets = &r.SubnetIDs
	}
	if r.SecurityGroups != nil {
		command.SecurityGroups = &r.SecurityGroups
	}
	if r.Configuration != nil {
		command.Configuration = reference(r.Configuration)
	}
	if r.Logs != nil {
		command.Logs = new(logs(r.Logs, b.Logs))
	}
	if r.MaintenanceWindowStartTime != nil {
		command.Window = new(window(r.MaintenanceWindowStartTime))
	}
	if err := updateDirectory(&command, b, r); err != nil {
		return nil, err
	}
	answer := &mqapi.UpdateBrokerResponse{LDAPServerMetadata: directoryShown(command.LDAP), AuthenticationStrategy: r.AuthenticationStrategy, AutoMinorVersionUpgrade: r.AutoMinorVersionUpgrade, BrokerID: &b.ID, Configuration: r.Configuration, EngineVersion: r.EngineVersion,
		HostInstanceType: r.HostInstanceType, Logs: r.Logs, MaintenanceWindowStartTime: r.MaintenanceWindowStartTime, SecurityGroups: r.SecurityGroups, StorageSize: r.StorageSize,
		DeploymentMode: r.DeploymentMode, SubnetIDs: r.SubnetIDs, DataReplicationMode: r.DataReplicationMode}
	if or(r.Plan, false) {
		cost, err := s.plan(c, b.ID, command)
		answer.Cost = &cost
		return answer, err
	}
	change, err := s.do(ctx, c, command)
	if err != nil {
		return nil, err
	}
	answer.Cost = new(change.Cost(b.ID).String())
	if r.Configuration != nil {
		if now := change.State.Broker(scope(c), b.ID); now != nil {
			answer.Configuration = configurationID(now.Configuration)
		}
	}
	return answer, nil
}

// plan says what a command of the caller's would cost a broker.
func (s *Service) plan(c mqapi.Caller, id string, command plane.Command) (string, error) {
	plan, err := s.dryRun(origin(c), id, command)
	return plan.Cost.String(), wire(err)
}

// dryRun is what a command would mean for a broker.
func (s *Service) dryRun(by plane.Origin, id string, command plane.Command) (plane.Plan, error) {
	p := s.options.Plane()
	if p == nil {
		return plane.Plan{}, errNoPlane
	}
	all, err := p.Plan(by, command)
	return planOf(id, all), err
}

// planOf is that of a broker; nothing is to be done if there is none.
func planOf(id string, all []plane.Plan) plane.Plan {
	for _, plan := range all {
		if plan.Broker == id {
			return plan
		}
	}
	return plane.Plan{Broker: id}
}

// RebootBroker restarts the broker's instances, of a pair with one switchover, and brings a version that is pending into force.
func (s *Service) RebootBroker(ctx context.Context, c mqapi.Caller, r *mqapi.RebootBrokerRequest) error {
	_, err := s.do(ctx, c, plane.RebootBroker{ID: r.BrokerID})
	return err
}

// DeleteBroker begins to remove a broker with all its messages. Its configurations stay.
func (s *Service) DeleteBroker(ctx context.Context, c mqapi.Caller, r *mqapi.DeleteBrokerRequest) (*mqapi.DeleteBrokerResponse, error) {
	if _, err := s.do(ctx, c, plane.DeleteBroker{ID: r.BrokerID}); err != nil {
		return nil, err
	}
	return &mqapi.DeleteBrokerResponse{BrokerID: &r.BrokerID}, nil
}

// SwitchoverBroker makes the other instance of a pair the active one. With plan it changes nothing, and lists who would not follow: no list means that nobody can tell.
func (s *Service) SwitchoverBroker(ctx context.Context, c mqapi.Caller, r *mqapi.SwitchoverBrokerRequest) (*mqapi.SwitchoverBrokerResponse, error) {
	state, b, err := s.broker(c, r.BrokerID)
	if err != nil {
		return nil, err
	}
	command := plane.Switchover{ID: b.ID}
	if r.Instance != nil {
		command.To = int((*r.Instance)[len(*r.Instance)-1] - '0') // the rules have seen to its form
	}
	to := command.To
	if to == 0 {
		to = 3 - b.Active
	}
	answer := &mqapi.SwitchoverBrokerResponse{BrokerID: &b.ID, From: new(instanceName(b.ID, b.Active)), Instance: new(instanceName(b.ID, to))}
	if or(r.Plan, false) {
		if _, err := s.plan(c, b.ID, command); err != nil {
			return nil, err
		}
		if answer.Clients, err = s.stranded(ctx, state, b); err != nil {
			return nil, mqapi.Errorf(mqapi.Conflict, "", "the switchover is possible, but the active instance does not tell who its clients are: %v", err)
		}
		return answer, nil
	}
	_, err = s.do(ctx, c, command)
	return answer, err
}

// stranded asks the active instance who would not follow; nil: nobody can tell.
func (s *Service) stranded(ctx context.Context, state *plane.State, b *plane.Broker) ([]mqapi.SwitchoverClient, error) {
	active, found := activeSpec(state, b)
	if s.options.Stranded == nil || !found {
		return nil, nil
	}
	clients, err := s.options.Stranded(ctx, active)
	if err == nil && clients == nil {
		clients = []mqapi.SwitchoverClient{} // it is known, and nobody is
	}
	return clients, err
}

// activeSpec is a broker's active instance, if there is one.
func activeSpec(state *plane.State, b *plane.Broker) (plane.Spec, bool) {
	active := b.Instance(b.Active)
	if active == nil {
		return plane.Spec{}, false
	}
	for _, spec := range state.OnNode(active.Node) {
		if spec.Broker == b.ID && spec.Number == b.Active {
			return spec, true
		}
	}
	return plane.Spec{}, false
}

// under says in which member of the request the attribute at fault is.
func under(member string, err error) error {
	if e, ok := err.(*mqapi.Error); ok {
		e.Attribute = member + "." + e.Attribute
	}
	return err
}

func engine(t mqapi.EngineType) string { return strings.ToUpper(string(t)) }

func or[T any](p *T, value T) T {
	if p != nil {
		return *p
	}
	return value
}

func text(p *string) string { return or(p, "") }

func number(p *int32) int { return int(or(p, 0)) }

// logs are those of before with what is given.
func logs(l *mqapi.Logs, before plane.Logs) plane.Logs {
	if l == nil {
		return before
	}
	return plane.Logs{General: or(l.General, before.General), Audit: or(l.Audit, before.Audit)}
}

// window is the plane's; without one, zero: the plane chooses.
func window(w *mqapi.WeeklyStartTime) plane.Window {
	if w == nil {
		return plane.Window{}
	}
	return plane.Window{Day: string(w.DayOfWeek), Time: w.TimeOfDay, Zone: or(w.TimeZone, "UTC")}
}

func reference(id *mqapi.ConfigurationID) *plane.ConfigurationRef {
	return &plane.ConfigurationRef{ID: id.ID, Revision: number(id.Revision)}
}

func configurationID(ref plane.ConfigurationRef) *mqapi.ConfigurationID {
	return &mqapi.ConfigurationID{ID: ref.ID, Revision: new(int32(ref.Revision))}
}

// sorted gives the keys of a map in their order.
func sorted[T any](m map[string]T) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
