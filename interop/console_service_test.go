package interop

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// TestConsoleOfService makes a broker by a form, looks at it, gives it a user, makes a security group and changes it, looks at the machines and at who did all that.
func TestConsoleOfService(t *testing.T) {
	needSomething(t)
	godwit := startOwn(t, fmt.Sprintf("service: {enabled: true, addresses: 127.%d.%d.0/24}\n", 32+rand.IntN(200), rand.IntN(256)), brokerOptions{})
	s := &managedService{broker: godwit, binary: godwit.cmd.Path, api: godwit.http()}
	t.Cleanup(func() { s.endInstances(t) })
	b := openBrowser(t, godwit.http())

	b.open("brokers")
	b.sees("#brokers", "of this process")
	b.fill("#name", "payroll")
	b.fill("#user", "ann")
	b.fill("#password", "short")
	b.press("Create")
	b.sees("#said", "users[0].password")
	b.forgive()
	b.fill("#password", "correct horse 7")
	b.press("Create")
	b.sees("#said", "Broker payroll is being made")
	b.sees("#brokers", "payroll ● running")
	b.sees("#brokers", "ssl://127.")
	b.shoot("service-brokers")

	b.press("payroll")
	b.sees("#hero-h", "active")
	b.open("b/payroll/users")
	b.sees("h2", "ann")
	b.fill("#name", "bob")
	b.fill("#password", "another horse 8")
	b.fill("#groups", "staff, night")
	b.press("Create")
	b.sees("#said", "bob can log in")
	b.sees("h2", "bob")
	b.fill("#groups-bob", "staff")
	b.shoot("service-users")
	b.press("Remove") // ann's, the first
	b.press("Do it")
	b.sees("#said", "ann is removed")
	if is := strings.Join(s.describe(t, "payroll").Users, " "); is != "bob" {
		t.Errorf("the users are %s; expected bob", is)
	}

	b.open("groups")
	b.sees("main", "There is none")
	b.fill("#name", "offices")
	b.fill("#rules", "10.1.0.1/16")
	b.press("Create")
	b.sees("#said", "expected 10.1.0.0/16")
	b.forgive()
	b.fill("#rules", "10.1.0.0/16\n127.0.0.0/8:61614-61617")
	b.press("Create")
	b.sees("#said", "offices is made")
	b.sees("h2", "offices")
	b.waits(`() => document.querySelector("textarea").value.trim() === "10.1.0.0/16\n127.0.0.0/8:61614-61617"`)
	b.shoot("service-groups")

	b.open("nodes")
	b.sees("#list", "local this one ● up")
	b.shoot("service-nodes")

	b.open("audit")
	b.sees("#list", "CreateBroker")
	b.sees("#list", "users[0].password")
	b.sees("#list", "CreateUser")
	b.sees("#list", "DeleteUser")
	b.sees("#list", "POST security-groups")
	if text := value[string](b, "document.body.innerText"); strings.Contains(text, "horse") {
		t.Errorf("the audit shows a password:\n%s", text)
	}
	b.shoot("service-audit")
	b.clean()
	s.run(t, nil, "brokers", "delete", "payroll", "--yes", "--wait")
}
