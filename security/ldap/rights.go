package ldap

import (
	"fmt"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"
	"github.com/godwitmq/godwit/security"
)

// RightsOptions say where rights are, as ActiveMQ's cachedLDAPAuthorizationMap has them: below a base, an entry for each destination, whose name is the
// destination's ($ stands for >), with entries cn=read, cn=write and cn=admin below it, whose members are the groups.
type RightsOptions struct {
	QueueBase, TopicBase string // empty: none
	TempBase             string // cn=read, cn=write and cn=admin stand right below it
}

// On says whether there is anything to read.
func (o RightsOptions) On() bool { return o != RightsOptions{} }

// Check says what is wrong with the options.
func (o RightsOptions) Check() error {
	for name, dn := range map[string]string{"queueBase": o.QueueBase, "topicBase": o.TopicBase, "tempBase": o.TempBase} {
		if _, err := ldap.ParseDN(dn); err != nil {
			return fmt.Errorf("%s: %q is not a distinguished name: %w", name, dn, err)
		}
	}
	return nil
}

// maxRights bounds the entries below one base.
const maxRights = 20_000

// Rights reads the rights, and says in words what of them does not count. It blocks for as long as a login may.
func (d *Directory) Rights(o RightsOptions) (rights []security.Entry, notes []string, err error) {
	err = d.pool.with(func(c *connection) error {
		rights, notes = nil, nil
		if err := c.serve(); err != nil {
			return err
		}
		for _, b := range []struct{ scheme, dn string }{{"queue://", o.QueueBase}, {"topic://", o.TopicBase}, {"temp://", o.TempBase}} {
			if b.dn == "" {
				continue
			}
			base, err := ldap.ParseDN(b.dn)
			if err != nil {
				return err
			}
			found, err := c.search(b.dn, true, "(|(cn=admin)(cn=read)(cn=write))", maxRights, "member", "uniqueMember")
			if err != nil {
				return err
			}
			if len(found) == maxRights {
				return fmt.Errorf("%s has more than %d entries", b.dn, maxRights-1)
			}
			entries, more := readRights(b.scheme, base, found)
			rights, notes = append(rights, entries...), append(notes, more...)
		}
		return nil
	})
	return rights, notes, err
}

// readRights makes rights of what was found below a base.
func readRights(scheme string, base *ldap.DN, found []*ldap.Entry) (rights []security.Entry, notes []string) {
	note := func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }
	of := map[string]*security.Entry{}
	for _, e := range found {
		dn, err := ldap.ParseDN(e.DN)
		depth := 2 // the permission, the destination, the base
		if scheme == "temp://" {
			depth = 1
		}
		if err != nil || len(dn.RDNs) != len(base.RDNs)+depth || len(dn.RDNs[0].Attributes) != 1 {
			note("%s is not where rights are expected", e.DN)
			continue
		}
		name := ">"
		if depth == 2 {
			if len(dn.RDNs[1].Attributes) != 1 {
				note("%s: its destination has two names", e.DN)
				continue
			}
			name = strings.ReplaceAll(dn.RDNs[1].Attributes[0].Value, "$", ">")
		}
		entry := of[name]
		if entry == nil {
			entry = &security.Entry{Destination: scheme + name}
			if _, err := security.New(security.Policy{Rights: []security.Entry{*entry}}, security.Options{}); err != nil {
				note("%s: %v", e.DN, err)
				continue
			}
			of[name] = entry
		}
		var groups []string
		for _, member := range append(e.GetEqualFoldAttributeValues("member"), e.GetEqualFoldAttributeValues("uniqueMember")...) {
			m, err := ldap.ParseDN(member)
			if err != nil || len(m.RDNs) == 0 || len(m.RDNs[0].Attributes) != 1 || !strings.EqualFold(m.RDNs[0].Attributes[0].Type, "cn") {
				note("%s: its member %q is no group (cn=...): rights are given to groups only", e.DN, member)
				continue
			}
			if group := m.RDNs[0].Attributes[0].Value; group != "" && group != "*" {
				groups = append(groups, group)
			}
		}
		switch strings.ToLower(dn.RDNs[0].Attributes[0].Value) {
		case "read":
			entry.Read = append(entry.Read, groups...)
		case "write":
			entry.Write = append(entry.Write, groups...)
		case "admin":
			entry.Admin = append(entry.Admin, groups...)
		}
	}
	names := make([]string, 0, len(of))
	for name := range of {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if e := of[name]; len(e.Read)+len(e.Write)+len(e.Admin) > 0 || scheme == "temp://" {
			rights = append(rights, *e)
		}
	}
	return rights, notes
}
