package service

import (
	"fmt"
	"strings"
	"testing"

	"github.com/godwitmq/godwit/control/mqapi"
	"github.com/godwitmq/godwit/control/plane"
)

func metadata(change func(*mqapi.LDAPServerMetadataInput)) *mqapi.LDAPServerMetadataInput {
	m := &mqapi.LDAPServerMetadataInput{Hosts: []string{"ldap.example.test"}, ServiceAccountUsername: "cn=mq,dc=x", ServiceAccountPassword: "secret-1", UserBase: "ou=u,dc=x", UserSearchMatching: "(uid={0})",
		RoleBase: "ou=g,dc=x", RoleName: new("cn"), RoleSearchMatching: "(member={0})", RoleSearchSubtree: new(true)}
	if change != nil {
		change(m)
	}
	return m
}

// TestLDAP: a broker's LDAP goes into its instances' specs, changes at once, and its password is shown nowhere.
func TestLDAP(t *testing.T) {
	w := newWorld(t)
	byLDAP := mqapi.AuthenticationStrategyLDAP
	ask := request("payroll", single)
	ask.AuthenticationStrategy, ask.LDAPServerMetadata, ask.Users = &byLDAP, metadata(nil), nil
	made, err := w.CreateBroker(t.Context(), w.me, ask)
	if err != nil {
		t.Fatal(err)
	}
	w.work()
	id := *made.BrokerID
	spec := func() plane.Spec {
		return w.plane.State().OnNode(w.plane.State().Broker(plane.Scope{}, id).Instance(1).Node)[0]
	}
	if l := spec().LDAP; l == nil || l.AccountPassword != "secret-1" || l.UserBase != "ou=u,dc=x" || !l.RoleSearchSubtree {
		t.Errorf("the instance is told %+v", l)
	}
	d := w.describe(id)
	if *d.AuthenticationStrategy != "ldap" || d.LDAPServerMetadata == nil || d.LDAPServerMetadata.ServiceAccountUsername != "cn=mq,dc=x" || d.PendingLDAPServerMetadata != nil {
		t.Errorf("described as %v %+v", *d.AuthenticationStrategy, d.LDAPServerMetadata)
	}
	version := spec().Version
	answer, err := w.UpdateBroker(t.Context(), w.me, &mqapi.UpdateBrokerRequest{BrokerID: id, LDAPServerMetadata: metadata(func(m *mqapi.LDAPServerMetadataInput) { m.ServiceAccountPassword, m.UserBase = "secret-2", "ou=v,dc=x" })})
	if err != nil || answer.LDAPServerMetadata.UserBase != "ou=v,dc=x" || *answer.Cost != "restart: no, failover: no" {
		t.Errorf("the update answers %+v, %v", answer, err)
	}
	if s := spec(); s.Version == version || s.LDAP.AccountPassword != "secret-2" {
		t.Errorf("the spec is of version %d with %+v", s.Version, s.LDAP)
	}
	tests := map[string]struct {
		ask       *mqapi.UpdateBrokerRequest
		attribute string
	}{
		"no filter":      {&mqapi.UpdateBrokerRequest{LDAPServerMetadata: metadata(func(m *mqapi.LDAPServerMetadataInput) { m.UserSearchMatching = "(uid={0}" })}, "ldapServerMetadata.userSearchMatching"},
		"no name":        {&mqapi.UpdateBrokerRequest{LDAPServerMetadata: metadata(func(m *mqapi.LDAPServerMetadataInput) { m.RoleBase = "groups" })}, "ldapServerMetadata.roleBase"},
		"no host":        {&mqapi.UpdateBrokerRequest{LDAPServerMetadata: metadata(func(m *mqapi.LDAPServerMetadataInput) { m.Hosts = []string{"a:b:c"} })}, "ldapServerMetadata.hosts"},
		"would be alone": {&mqapi.UpdateBrokerRequest{AuthenticationStrategy: new(mqapi.AuthenticationStrategySimple)}, "authenticationStrategy"},
		"both":           {&mqapi.UpdateBrokerRequest{AuthenticationStrategy: new(mqapi.AuthenticationStrategySimple), LDAPServerMetadata: metadata(nil)}, "ldapServerMetadata"},
	}
	for name, tt := range tests {
		tt.ask.BrokerID = id
		_, err := w.UpdateBroker(t.Context(), w.me, tt.ask)
		w.refused(name, err, mqapi.BadRequest, tt.attribute)
	}
	if err := w.CreateUser(t.Context(), w.me, &mqapi.CreateUserRequest{BrokerID: id, Username: "ann", Password: "correct horse"}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.UpdateBroker(t.Context(), w.me, &mqapi.UpdateBrokerRequest{BrokerID: id, AuthenticationStrategy: new(mqapi.AuthenticationStrategySimple)}); err != nil {
		t.Fatal(err)
	}
	if d := w.describe(id); spec().LDAP != nil || *d.AuthenticationStrategy != "simple" || d.LDAPServerMetadata != nil {
		t.Errorf("without LDAP it is described as %v %+v", *d.AuthenticationStrategy, d.LDAPServerMetadata)
	}
	_, err = w.UpdateBroker(t.Context(), w.me, &mqapi.UpdateBrokerRequest{BrokerID: id, AuthenticationStrategy: &byLDAP})
	w.refused("LDAP without saying where", err, mqapi.BadRequest, "ldapServerMetadata")
	entries := w.plane.State().Audit(plane.Scope{}, id, 0)
	seen := fmt.Sprintf("%v", entries)
	for _, e := range entries {
		seen += string(e.Before) + string(e.After)
	}
	if strings.Contains(seen, "secret-") || !strings.Contains(seen, "ou=v,dc=x") {
		t.Errorf("the audit shows %s", seen)
	}
}
