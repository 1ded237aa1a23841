package service

import (
	"strings"

	"github.com/godwitmq/godwit/control/mqapi"
	"github.com/godwitmq/godwit/control/plane"
	"github.com/godwitmq/godwit/security/ldap"
)

// directory is the plane's form of a request's LDAP; nil without any.
func directory(m *mqapi.LDAPServerMetadataInput) (*plane.LDAP, error) {
	if m == nil {
		return nil, nil
	}
	l := &plane.LDAP{Hosts: m.Hosts, AccountName: m.ServiceAccountUsername, AccountPassword: m.ServiceAccountPassword,
		UserBase: m.UserBase, UserSearchMatching: m.UserSearchMatching, UserSearchSubtree: or(m.UserSearchSubtree, false), UserRoleName: text(m.UserRoleName),
		RoleBase: m.RoleBase, RoleName: text(m.RoleName), RoleSearchMatching: m.RoleSearchMatching, RoleSearchSubtree: or(m.RoleSearchSubtree, false)}
	// What instances will do with it: a filter or a name that is none is told now, and not by them.
	o := ldap.Options{Hosts: l.Hosts, ServiceAccountUsername: l.AccountName, ServiceAccountPassword: l.AccountPassword, UserBase: l.UserBase, UserSearchMatching: l.UserSearchMatching,
		UserRoleName: l.UserRoleName, RoleBase: l.RoleBase, RoleName: l.RoleName, RoleSearchMatching: l.RoleSearchMatching}
	if err := o.Check(); err != nil {
		field, what, _ := strings.Cut(err.Error(), ": ")
		return nil, mqapi.Errorf(mqapi.BadRequest, "ldapServerMetadata."+field, "ldapServerMetadata.%s: %s", field, what)
	}
	return l, nil
}

// directoryShown is what answers tell of LDAP: all but the password.
func directoryShown(l *plane.LDAP) *mqapi.LDAPServerMetadataOutput {
	if l == nil {
		return nil
	}
	given := func(s string) *string {
		if s == "" {
			return nil
		}
		return &s
	}
	return &mqapi.LDAPServerMetadataOutput{Hosts: l.Hosts, ServiceAccountUsername: l.AccountName, UserBase: l.UserBase, UserSearchMatching: l.UserSearchMatching, UserSearchSubtree: &l.UserSearchSubtree,
		UserRoleName: given(l.UserRoleName), RoleBase: l.RoleBase, RoleName: given(l.RoleName), RoleSearchMatching: l.RoleSearchMatching, RoleSearchSubtree: &l.RoleSearchSubtree}
}

// strategy is how a broker knows its users.
func strategy(l *plane.LDAP) *mqapi.AuthenticationStrategy {
	if l == nil {
		return new(mqapi.AuthenticationStrategySimple)
	}
	return new(mqapi.AuthenticationStrategyLDAP)
}

// updateDirectory puts into a command what a request says of LDAP.
func updateDirectory(command *plane.UpdateBroker, b *plane.Broker, r *mqapi.UpdateBrokerRequest) (err error) {
	to := or(r.AuthenticationStrategy, *strategy(b.LDAP))
	switch {
	case to == mqapi.AuthenticationStrategyLDAP && r.LDAPServerMetadata == nil && b.LDAP == nil:
		return mqapi.Errorf(mqapi.BadRequest, "ldapServerMetadata", "ldapServerMetadata is required when authenticationStrategy becomes LDAP")
	case to != mqapi.AuthenticationStrategyLDAP && r.LDAPServerMetadata != nil:
		return mqapi.Errorf(mqapi.BadRequest, "ldapServerMetadata", "ldapServerMetadata goes with authenticationStrategy LDAP only, and the broker would be SIMPLE: say authenticationStrategy LDAP, or leave it out")
	case to != mqapi.AuthenticationStrategyLDAP && b.LDAP != nil && len(b.Users) == 0:
		return mqapi.Errorf(mqapi.BadRequest, "authenticationStrategy", "authenticationStrategy SIMPLE would leave the broker without users: create one first")
	}
	command.NoLDAP = to != mqapi.AuthenticationStrategyLDAP
	command.LDAP, err = directory(r.LDAPServerMetadata)
	return err
}
