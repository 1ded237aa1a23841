package service

import (
	"cmp"
	"context"
	"math"

	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/control/plane"
	"github.com/godwitmq/godwit/control/plane/durable"
)

// SecurityGroups lists the security groups of all accounts and regions by id.
func (s *Service) SecurityGroups() ([]api.SecurityGroup, error) {
	state, err := s.state()
	if err != nil {
		return nil, plain("security-groups", err)
	}
	list := []api.SecurityGroup{}
	for _, g := range state.SecurityGroups(plane.Scope{}) {
		list = append(list, apiGroup(state, g))
	}
	return list, nil
}

func apiGroup(state *plane.State, g *plane.SecurityGroup) api.SecurityGroup {
	v := api.SecurityGroup{ID: g.ID, Name: g.Name, Account: g.Account, Region: g.Region, Description: g.Description, Rules: []api.NetworkRule{}, Brokers: []string{}, Created: g.Created}
	for _, r := range g.Rules {
		rule := api.NetworkRule{Network: r.Network, From: r.From, To: r.To, Description: r.Description}
		if r.From == 0 && r.To == math.MaxUint16 {
			rule.To = 0
		}
		v.Rules = append(v.Rules, rule)
	}
	for _, b := range state.Brokers(plane.Scope{}) {
		for _, id := range b.SecurityGroups {
			if id == g.ID {
				v.Brokers = append(v.Brokers, b.ID)
			}
		}
	}
	return v
}

// rules are the plane's: no port is all of them, no last port the first one.
func rules(given []api.NetworkRule) []plane.Rule {
	list := []plane.Rule{}
	for _, r := range given {
		rule := plane.Rule{Network: r.Network, From: r.From, To: cmp.Or(r.To, r.From), Description: r.Description}
		if rule.To == 0 {
			rule.To = math.MaxUint16
		}
		list = append(list, rule)
	}
	return list
}

// CreateSecurityGroup makes a security group.
func (s *Service) CreateSecurityGroup(ctx context.Context, who, from string, ask api.NewSecurityGroup) (*api.SecurityGroup, error) {
	scope := plane.Scope{Account: cmp.Or(ask.Account, s.options.Account), Region: cmp.Or(ask.Region, s.options.Region)}
	change, err := s.operate(ctx, plane.Origin{Scope: scope, Who: who, From: from}, "security-groups create",
		plane.CreateSecurityGroup{ID: durable.NewID("sg"), Name: ask.Name, Description: ask.Description, Rules: rules(ask.Rules)})
	return groupOf(change, err)
}

// groupOf is the group that a change was about.
func groupOf(change *plane.Change, err error) (*api.SecurityGroup, error) {
	if err != nil {
		return nil, err
	}
	v := apiGroup(change.State, change.State.SecurityGroup(plane.Scope{}, change.ID))
	return &v, nil
}

// UpdateSecurityGroup changes a security group, at once for all brokers that have it: connections that are not allowed any more are closed, others feel nothing.
func (s *Service) UpdateSecurityGroup(ctx context.Context, who, from, id string, ask api.ChangeSecurityGroup) (*api.SecurityGroup, error) {
	command := plane.UpdateSecurityGroup{ID: id, Name: ask.Name, Description: ask.Description}
	if ask.Rules != nil {
		command.Rules = new(rules(*ask.Rules))
	}
	return groupOf(s.operate(ctx, plane.Origin{Who: who, From: from}, "security-groups "+id, command))
}

// DeleteSecurityGroup removes a security group that no broker has.
func (s *Service) DeleteSecurityGroup(ctx context.Context, who, from, id string) error {
	_, err := s.operate(ctx, plane.Origin{Who: who, From: from}, "security-groups "+id, plane.DeleteSecurityGroup{ID: id})
	return err
}

// InstanceTypes lists the instance types, the smallest first, then the operator's own by name.
func (s *Service) InstanceTypes() ([]api.InstanceType, error) {
	state, err := s.state()
	if err != nil {
		return nil, plain("instance-types", err)
	}
	list := []api.InstanceType{}
	for _, t := range state.InstanceTypes() {
		list = append(list, api.InstanceType(*t))
	}
	return list, nil
}

// PutInstanceType makes an instance type of the operator's own, or changes one, at once for the brokers that have it.
func (s *Service) PutInstanceType(ctx context.Context, who, from, name string, ask api.InstanceType) error {
	ask.Name = name
	_, err := s.operate(ctx, plane.Origin{Who: who, From: from}, "instance-types "+name, plane.PutInstanceType{Type: plane.InstanceType(ask)})
	return err
}

// DeleteInstanceType removes an instance type of the operator's own that no broker has.
func (s *Service) DeleteInstanceType(ctx context.Context, who, from, name string) error {
	_, err := s.operate(ctx, plane.Origin{Who: who, From: from}, "instance-types "+name, plane.DeleteInstanceType{Name: name})
	return err
}
