package ldap

import (
	"testing"

	"github.com/go-ldap/ldap/v3"
)

// FuzzFill: whatever a name is, the filter is the one that was configured, with the name as a value.
func FuzzFill(f *testing.F) {
	for _, seed := range []string{"anna", "*", "a)(uid=*", "{0}", "{1}", `\2a`, "\x00", "ä", ")(&", "uid=a,dc=x"} {
		f.Add(seed)
	}
	want, err := ldap.CompileFilter(`(&(uid=x)(|(cn=x)(member=uid=x,dc=y)))`)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, name string) {
		text := fill(`(&(uid={0})(|(cn={1})(member=uid={0},dc=y)))`, name, name)
		got, err := ldap.CompileFilter(text)
		if err != nil {
			if name == "" { // an empty value is a filter of another kind; such a name is never asked for
				return
			}
			t.Fatalf("%q makes %q: %v", name, text, err)
		}
		if len(got.Children) != len(want.Children) || len(got.Children[1].Children) != 2 || got.Children[0].Tag != want.Children[0].Tag && name != "" {
			t.Fatalf("%q makes another filter: %q", name, text)
		}
		if value := got.Children[0].Children[1].Value; name != "" && value != name && string(got.Children[0].Children[1].ByteValue) != name && got.Children[0].Children[1].Data.String() != name {
			t.Fatalf("%q is asked for as %q", name, value)
		}
	})
}

// FuzzReadRights: whatever names and members a server sends, what comes out are rights that can be used.
func FuzzReadRights(f *testing.F) {
	f.Add("cn=read,cn=ORDERS.$,ou=Queue,dc=x", "cn=readers,dc=x")
	f.Add("cn=read,ou=Queue,dc=x", "uid=anna")
	f.Add(`cn=admin,cn=a\,b,ou=Queue,dc=x`, "cn=*")
	base, err := ldap.ParseDN("ou=Queue,dc=x")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, dn, member string) {
		entry := ldap.NewEntry(dn, map[string][]string{"member": {member}})
		for _, scheme := range []string{"queue://", "temp://"} {
			rights, notes := readRights(scheme, base, []*ldap.Entry{entry, entry})
			if len(rights) > 1 || len(rights) == 0 && len(notes) == 0 && member != "" && len(dn) > 100 {
				t.Fatalf("%q with %q: %v, %q", dn, member, rights, notes)
			}
			for _, r := range rights {
				if len(r.Read)+len(r.Write)+len(r.Admin) == 0 && scheme != "temp://" {
					t.Fatalf("%q gives nobody a right: %+v", dn, r)
				}
			}
		}
	})
}
