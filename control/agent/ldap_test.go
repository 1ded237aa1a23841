package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/godwitmq/godwit/control/plane"
	"github.com/godwitmq/godwit/control/plane/durable"
	"github.com/godwitmq/godwit/security/ldap/ldaptest"
)

const ldapXML = `<broker xmlns="http://activemq.apache.org/schema/core"><plugins><authorizationPlugin><map>
<cachedLDAPAuthorizationMap queueSearchBase="` + ldaptest.Queues + `" refreshInterval="1000"/>
</map></authorizationPlugin></plugins></broker>`

// TestLDAP: the users of a real slapd get into a broker's instance, with rights from there, at once and without a restart; and out again.
func TestLDAP(t *testing.T) {
	t.Parallel()
	s := ldaptest.Start(t)
	r := newRig(t, "a")
	ca, err := os.ReadFile(s.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(r.dir, "ldap-ca.pem"), ca, 0o600); err != nil {
		t.Fatal(err)
	}
	r.begin()
	id := r.create("payroll", plane.Single, xml)
	r.running(id)
	pid := r.pid(id, 1)
	login := func(name string) (*stomp, error) {
		return dialStomp(r.address(id, 1, stompPort), name, name+"'s password", r.trust())
	}
	if _, err := login("anna"); err == nil {
		t.Fatal("a user of LDAP is let in before there is any")
	}
	r.do(plane.UpdateBroker{ID: id, LDAP: &plane.LDAP{Hosts: []string{s.TLS}, AccountName: ldaptest.Account, AccountPassword: ldaptest.AccountPassword,
		UserBase: ldaptest.Users, UserSearchMatching: "(uid={0})", UserSearchSubtree: true, RoleBase: ldaptest.Groups, RoleSearchMatching: "(member={0})"}})
	r.running(id)
	anna, err := login("anna")
	if err != nil {
		t.Fatal(err)
	}
	if err := anna.send("/queue/ORDERS.a", "x"); err != nil {
		t.Fatal(err)
	}
	ref := plane.ConfigurationRef{ID: durable.NewID("c"), Revision: 1}
	r.do(plane.CreateConfiguration{ID: ref.ID, Name: "ldap", Engine: plane.ActiveMQ, Version: r.broker(id).Goal.Version, Authentication: "ldap", Data: []byte(ldapXML)})
	r.do(plane.UpdateBroker{ID: id, Configuration: &ref})
	r.running(id)
	if err := anna.send("/queue/ORDERS.a", "x"); err != nil {
		t.Errorf("who may write: %v", err)
	}
	ben, err := login("ben")
	if err != nil {
		t.Fatal(err)
	}
	if err := ben.send("/queue/ORDERS.a", "x"); err == nil || !strings.Contains(err.Error(), "not authorized") {
		t.Errorf("who may only read: %v", err)
	}
	own, err := dialStomp(r.address(id, 1, stompPort), user, password, r.trust())
	if err != nil {
		t.Fatalf("a user of the broker's own: %v", err)
	}
	if err := own.send("/queue/ORDERS.a", "x"); err == nil || !strings.Contains(err.Error(), "not authorized") {
		t.Errorf("a user in no group of LDAP: %v", err)
	}
	r.do(plane.UpdateBroker{ID: id, NoLDAP: true})
	r.running(id)
	if _, err := login("anna"); err == nil {
		t.Error("a user of LDAP is let in after there is none any more")
	}
	if own, err = dialStomp(r.address(id, 1, stompPort), user, password, r.trust()); err != nil {
		t.Fatal(err)
	}
	if err := own.send("/queue/ORDERS.a", "x"); err == nil || !strings.Contains(err.Error(), "not authorized") {
		t.Errorf("without LDAP, rights that are there are everybody's: %v", err)
	}
	if now := r.pid(id, 1); now != pid {
		t.Errorf("process %d took the place of %d", now, pid)
	}
}
