package service

import (
	"context"

	"github.com/godwitmq/godwit/control/mqapi"
	"github.com/godwitmq/godwit/control/plane"
)

// CreateUser adds a user, who can log in at once.
func (s *Service) CreateUser(ctx context.Context, c mqapi.Caller, r *mqapi.CreateUserRequest) error {
	hash, err := s.hash(ctx, r.Password)
	if err != nil {
		return err
	}
	_, err = s.do(ctx, c, plane.CreateUser{Broker: r.BrokerID, User: plane.NewUser{Name: r.Username, Hash: hash, Groups: r.Groups, Console: or(r.ConsoleAccess, false), Replication: or(r.ReplicationUser, false)}})
	return err
}

// UpdateUser changes what was given, at once. Groups that are given take the place of those of before.
func (s *Service) UpdateUser(ctx context.Context, c mqapi.Caller, r *mqapi.UpdateUserRequest) error {
	command := plane.UpdateUser{Broker: r.BrokerID, Name: r.Username, Console: r.ConsoleAccess, Replication: r.ReplicationUser}
	if r.Groups != nil {
		command.Groups = &r.Groups
	}
	if r.Password != nil {
		hash, err := s.hash(ctx, *r.Password)
		if err != nil {
			return err
		}
		command.Hash = &hash
	}
	_, err := s.do(ctx, c, command)
	return err
}

// DeleteUser removes a user, at once.
func (s *Service) DeleteUser(ctx context.Context, c mqapi.Caller, r *mqapi.DeleteUserRequest) error {
	_, err := s.do(ctx, c, plane.DeleteUser{Broker: r.BrokerID, Name: r.Username})
	return err
}

// DescribeUser tells all of a user but the password. Nothing is ever pending.
func (s *Service) DescribeUser(_ context.Context, c mqapi.Caller, r *mqapi.DescribeUserRequest) (*mqapi.DescribeUserResponse, error) {
	_, b, err := s.broker(c, r.BrokerID)
	if err != nil {
		return nil, err
	}
	u, ok := b.Users[r.Username]
	if !ok {
		return nil, mqapi.Errorf(mqapi.NotFound, "username", "Can't find requested user [%s]. Make sure your user exists.", r.Username)
	}
	return &mqapi.DescribeUserResponse{BrokerID: &b.ID, ConsoleAccess: &u.Console, Groups: append([]string{}, u.Groups...), Username: &r.Username, ReplicationUser: &u.Replication}, nil
}

// ListUsers lists users by name.
func (s *Service) ListUsers(_ context.Context, c mqapi.Caller, r *mqapi.ListUsersRequest) (*mqapi.ListUsersResponse, error) {
	_, b, err := s.broker(c, r.BrokerID)
	if err != nil {
		return nil, err
	}
	page, next := mqapi.Page(sorted(b.Users), func(name string) string { return name }, r.NextToken, r.MaxResults)
	answer := &mqapi.ListUsersResponse{BrokerID: &b.ID, MaxResults: r.MaxResults, NextToken: next, Users: []mqapi.UserSummary{}}
	for _, name := range page {
		answer.Users = append(answer.Users, mqapi.UserSummary{Username: name})
	}
	return answer, nil
}
