package main

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net/netip"
	"slices"
	"sync/atomic"

	"github.com/godwitmq/godwit/config"
	"github.com/godwitmq/godwit/control"
	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/message"
	"github.com/godwitmq/godwit/security"
)

// guards decide who may do what: clients by the mode in force, callers of the API always by their passwords.
type guards struct {
	clients *security.Authority
	callers *security.Authority
	roles   atomic.Pointer[roles]
}

// roles are the groups of users, and what they may do with the API.
type roles struct {
	groups          map[string][]string
	admins, readers []string
	passwords       int // how many users have one
	administrators  int // how many of those are in a group of admins
}

func newGuards(cfg *config.Config, log *slog.Logger) (*guards, error) {
	policy, err := policyOf(cfg)
	if err != nil {
		return nil, err
	}
	g := &guards{}
	if g.clients, err = security.New(policy, security.Options{Log: log}); err != nil {
		return nil, err
	}
	g.setRoles(cfg, policy)
	policy.Mode = security.Mandatory
	g.callers, err = security.New(policy, security.Options{Log: log})
	return g, err
}

// update takes over a changed configuration, or fails and changes nothing.
func (g *guards) update(cfg *config.Config) error {
	policy, err := policyOf(cfg)
	if err != nil {
		return err
	}
	if err := g.clients.Update(policy); err != nil {
		return err
	}
	g.setRoles(cfg, policy)
	policy.Mode = security.Mandatory
	return g.callers.Update(policy)
}

func (g *guards) setRoles(cfg *config.Config, policy security.Policy) {
	r := &roles{groups: map[string][]string{}, admins: cfg.HTTP.Admins, readers: cfg.HTTP.Readers}
	for _, u := range policy.Users {
		r.groups[u.Name] = u.Groups
		if u.PasswordHash != "" {
			r.passwords++
			if slices.ContainsFunc(u.Groups, func(g string) bool { return slices.Contains(r.admins, g) }) {
				r.administrators++
			}
		}
	}
	g.roles.Store(r)
}

// lockedOut says why the API, where it demands credentials, is of little use; "" if it is not.
func (g *guards) lockedOut() string {
	switch r := g.roles.Load(); {
	case r.passwords == 0:
		return "nobody can log in to the HTTP API: no user has a password"
	case r.administrators == 0:
		return "nobody may administer the broker through the HTTP API: no user with a password is in a group of http.admins"
	}
	return ""
}

// policyOf joins the users of the configuration and of the users' file, which may be missing unless it was named.
func policyOf(cfg *config.Config) (security.Policy, error) {
	var policy security.Policy
	if err := policy.Mode.UnmarshalText([]byte(cfg.Credentials.Mode)); err != nil {
		return policy, err
	}
	users, err := security.LoadUsers(cfg.UsersPath())
	if err != nil && (!errors.Is(err, fs.ErrNotExist) || cfg.Credentials.UsersFile != "") {
		return policy, err
	}
	policy.Users = users
	for _, u := range cfg.Credentials.Users {
		policy.Users = append(policy.Users, security.User{Name: u.Name, PasswordHash: u.Password, Groups: u.Groups, CertificateSubjects: u.Certificates})
	}
	for _, r := range cfg.Credentials.Rights {
		policy.Rights = append(policy.Rights, security.Entry{Destination: r.Destination, Read: r.Read, Write: r.Write, Admin: r.Admin})
	}
	return policy, nil
}

// actions are those of the API in the words of security.
var actions = map[control.Action]security.Action{control.Read: security.Read, control.Write: security.Write, control.Remove: security.Remove}

// errMayNotCreate is for the API alone: what callers and the log are told is the core's refusal.
var errMayNotCreate = errors.New("not authorized to create")

// login checks a caller of the API.
func (g *guards) login(ctx context.Context, user, password string, from netip.AddrPort) (control.Caller, error) {
	who, err := g.callers.Login(ctx, security.Credentials{User: user, Password: password, Address: from, Protocol: "http"})
	if err != nil {
		return control.Caller{}, err
	}
	r := g.roles.Load()
	in := func(groups []string) bool {
		return slices.ContainsFunc(r.groups[who.Name()], func(g string) bool { return slices.Contains(groups, g) })
	}
	admin := in(r.admins)
	return control.Caller{User: who.Name(), Admin: admin, Reader: admin || in(r.readers), May: func(a control.Action, d message.Destination) error {
		kind := security.Kind(d.Kind)
		if a == control.Create { // only the core knows whether there is anything to make
			if who.CanCreate(kind, d.Name) {
				return nil
			}
			return errMayNotCreate
		}
		return who.May(actions[a], kind, d.Name)
	}}, nil
}

// refusals lists what mode observe saw.
func (g *guards) refusals() api.Refusals {
	answer := api.Refusals{Mode: g.clients.Mode().String(), Refusals: []api.Refusal{}}
	for _, r := range g.clients.Observed() {
		answer.Refusals = append(answer.Refusals, api.Refusal{User: r.User, Address: r.Address.String(), Reason: r.Reason, Count: r.Count, First: r.First, Last: r.Last})
	}
	return answer
}
