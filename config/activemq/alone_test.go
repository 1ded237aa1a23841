package activemq

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What comes from elsewhere reads nothing of this machine, and makes no users.
func TestImportAloneReadsNothing(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret.properties")
	if err := os.WriteFile(secret, []byte("name = taken-from-a-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	data := `<beans xmlns="http://www.springframework.org/schema/beans">
<bean class="org.springframework.beans.factory.config.PropertyPlaceholderConfigurer"><property name="locations"><value>file:` + secret + `</value></property></bean>
<broker xmlns="http://activemq.apache.org/schema/core" brokerName="${name}" persistent="false">
<plugins><simpleAuthenticationPlugin><users><authenticationUser username="ann" password="kept secret" groups="staff"/></users></simpleAuthenticationPlugin></plugins>
<sslContext><sslContext keyStore="` + secret + `" keyStorePassword="x"/></sslContext>
</broker>
<import resource="` + secret + `"/>
</beans>`
	r, err := ImportAlone("revision", []byte(data), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Config.Broker.Name; strings.Contains(got, "taken") {
		t.Errorf("the broker's name is %q, from a file of this machine", got)
	}
	if len(r.Config.Credentials.Users) != 0 || len(r.Files) != 0 {
		t.Errorf("users %v, files %v; want none", r.Config.Credentials.Users, r.Files)
	}
	var refused []string
	for _, item := range r.Items {
		if item.File != "revision" && item.File != "" {
			t.Errorf("an item of the file %s", item.File)
		}
		if item.Verdict == NotSupported {
			refused = append(refused, item.Path+" "+item.Words)
		}
	}
	for _, want := range []string{"no other file is read", "users of a configuration are not taken over", "brokerName"} {
		if !strings.Contains(strings.Join(refused, "\n"), want) {
			t.Errorf("no item says %q:\n%s", want, strings.Join(refused, "\n"))
		}
	}
	if _, err := ImportAlone("revision", []byte("<beans/>"), Options{}); err == nil || !strings.Contains(err.Error(), "revision: there is no <broker>") {
		t.Errorf("without a broker: %v", err)
	}
}

// A configuration of a service says which rights are in LDAP, and not where that is.
func TestImportAloneLDAP(t *testing.T) {
	data := `<broker xmlns="http://activemq.apache.org/schema/core"><plugins><authorizationPlugin><map>
<cachedLDAPAuthorizationMap queueSearchBase="ou=Queue,dc=x" refreshInterval="1000" legacyGroupMapping="false"/></map></authorizationPlugin></plugins></broker>`
	r, err := ImportAlone("revision", []byte(data), Options{})
	if err != nil {
		t.Fatal(err)
	}
	c := r.Config.Credentials
	if c.LDAP.Rights.QueueBase != "ou=Queue,dc=x" || c.LDAP.On() || len(c.Rights) != 0 {
		t.Errorf("got %+v", c)
	}
	matters := r.Matters()
	if !slices.ContainsFunc(matters, func(i *Item) bool { return strings.HasSuffix(i.Path, "@legacyGroupMapping") }) {
		t.Errorf("nothing is said of legacyGroupMapping: %v", matters)
	}
}
