package main

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
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
	log     *slog.Logger

	mu      sync.Mutex      // orders changes of what follows
	policy  security.Policy // of the configuration, without what the directories add
	servers servers
	changed chan struct{} // has room for one: servers are others than before
}

// roles are the groups that may use the API.
type roles struct {
	admins, operators, readers []string
	passwords                  int  // how many users have one
	administrators             int  // how many of those are in a group of admins
	elsewhere                  bool // there may be others, in directories
}

func newGuards(cfg *config.Config, log *slog.Logger) (*guards, error) {
	policy, err := policyOf(cfg)
	if err != nil {
		return nil, err
	}
	g := &guards{log: log, changed: make(chan struct{}, 1)}
	// Nobody is let in by these: apply gives them the policy.
	if g.clients, err = security.New(security.Policy{Mode: security.Mandatory}, security.Options{Log: log}); err != nil {
		return nil, err
	}
	if g.callers, err = security.New(security.Policy{Mode: security.Mandatory}, security.Options{Log: log}); err != nil {
		return nil, err
	}
	return g, g.take(cfg, policy)
}

// update takes over a changed configuration, or fails and changes nothing.
func (g *guards) update(cfg *config.Config) error {
	policy, err := policyOf(cfg)
	if err != nil {
		return err
	}
	return g.take(cfg, policy)
}

// take puts a configuration in force, with the directories that it names.
func (g *guards) take(cfg *config.Config, policy security.Policy) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	fresh, err := g.servers.next(cfg, g.log)
	if err != nil {
		return err
	}
	old, before := g.servers, g.policy
	g.servers, g.policy = fresh, policy
	if err := g.apply(); err != nil {
		g.servers, g.policy = old, before
		fresh.closeBut(old)
		return err
	}
	old.closeBut(fresh)
	g.setRoles(cfg, policy)
	select {
	case g.changed <- struct{}{}:
	default:
	}
	return nil
}

// apply gives policy, and what the directories add to it, to both authorities. The caller holds g.mu.
func (g *guards) apply() error {
	policy := g.policy
	policy.Directories = g.servers.directories()
	policy.Rights = append(slices.Clone(policy.Rights), g.servers.rights()...)
	if err := g.clients.Update(policy); err != nil {
		return err
	}
	policy.Mode = security.Mandatory
	return g.callers.Update(policy)
}

func (g *guards) setRoles(cfg *config.Config, policy security.Policy) {
	r := &roles{admins: cfg.HTTP.Admins, operators: cfg.HTTP.Operators, readers: cfg.HTTP.Readers, elsewhere: len(g.servers.directories()) > 0}
	for _, u := range policy.Users {
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
	case r.elsewhere:
		return ""
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
	for _, r := range cfg.Credentials.Certificates {
		policy.Certificates = append(policy.Certificates, security.CertificateRule(r))
	}
	return policy, nil
}

// actions are those of the API in the words of security.
var actions = map[control.Action]security.Action{control.Read: security.Read, control.Write: security.Write, control.Remove: security.Remove}

// errMayNotCreate is for the API alone: what callers and the log are told is the core's refusal.
var errMayNotCreate = errors.New("not authorized to create")

// login checks a caller of the API.
func (g *guards) login(ctx context.Context, user, password string, from netip.AddrPort) (control.Caller, error) {
	who, err := g.callers.Login(ctx, security.Credentials{User: user, Password: password, Address: from, Protocol: "http", Again: control.Again(ctx)})
	if err != nil {
		return control.Caller{}, err
	}
	r, own := g.roles.Load(), who.Groups()
	in := func(groups []string) bool {
		return slices.ContainsFunc(own, func(g string) bool { return slices.Contains(groups, g) })
	}
	return control.Caller{User: who.Name(), Admin: in(r.admins), Operator: in(r.operators), Reader: in(r.readers), May: func(a control.Action, d message.Destination) error {
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
