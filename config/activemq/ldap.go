package activemq

import (
	"errors"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/godwitmq/godwit/config"
)

// ldapMap is a cachedLDAPAuthorizationMap as far as it was read.
type ldapMap struct {
	item  *Item
	urls  string
	every time.Duration
	bases config.LDAPRights
}

// ldapUsual are the attributes of cachedLDAPAuthorizationMap that have one value here.
var ldapUsual = map[string]string{
	"authentication": "simple", "legacyGroupMapping": "true", "groupNameAttribute": "cn", "userNameAttribute": "uid", "permissionGroupMemberAttribute": "member", "groupClass": groupPrincipal,
	"adminPermissionGroupSearchFilter": "(cn=Admin)", "readPermissionGroupSearchFilter": "(cn=Read)", "writePermissionGroupSearchFilter": "(cn=Write)",
}

func ldapRules() []rule {
	const e = "cachedLDAPAuthorizationMap"
	list := []rule{
		{on: e, verdict: Mapped, key: "credentials.ldap.rights", words: "with the servers of LDAPLoginModule; in a configuration of a service, with the broker's ldapServerMetadata", enter: enterLDAPMap},
		{on: e + "@queueSearchBase", verdict: Mapped, key: "credentials.ldap.rights.queueBase", attribute: func(im *importer, v string, _ *Item) { im.access.ldap.bases.QueueBase = v }},
		{on: e + "@topicSearchBase", verdict: Mapped, key: "credentials.ldap.rights.topicBase", attribute: func(im *importer, v string, _ *Item) { im.access.ldap.bases.TopicBase = v }},
		{on: e + "@tempSearchBase", verdict: Mapped, key: "credentials.ldap.rights.tempBase", attribute: func(im *importer, v string, _ *Item) { im.access.ldap.bases.TempBase = v }},
		{on: e + "@refreshInterval", verdict: Mapped, key: "credentials.ldap.rights.every", attribute: ldapRefresh},
		{on: e + "@refreshDisabled", verdict: NotNeeded, words: "rights are always read again, credentials.ldap.rights.every says how often"},
		{on: e + "@connectionURL", verdict: Mapped, key: "credentials.ldap.hosts", words: "must be those of LDAPLoginModule", attribute: func(im *importer, v string, _ *Item) { im.access.ldap.urls = v }},
		{on: e + "@connectionUsername", verdict: NotNeeded, words: "rights are read with the service account of LDAPLoginModule, which must see them"},
		{on: e + "@connectionPassword", verdict: NotNeeded, words: "rights are read with the service account of LDAPLoginModule"},
		{on: e + "@connectionProtocol", verdict: NotNeeded, words: "as LDAPLoginModule has it"},
		{on: e + "@groupObjectClass", verdict: NotNeeded, words: "a member is a group by its name, cn=..."},
		{on: e + "@userObjectClass", verdict: NotNeeded, words: "a member is a user by its name, uid=..."},
	}
	for name, usual := range ldapUsual {
		list = append(list, rule{on: e + "@" + name, verdict: NotSupported, usual: usual, words: "this is always " + usual})
	}
	slices.SortFunc(list[12:], func(a, b rule) int { return strings.Compare(a.on, b.on) })
	return list
}

func enterLDAPMap(im *importer, _ *node, item *Item) { im.access.ldap = &ldapMap{item: item} }

func ldapRefresh(im *importer, value string, item *Item) {
	millis, err := strconv.Atoi(value)
	switch {
	case err != nil:
		item.fail("%q is no number of milliseconds", value)
	case millis <= 0:
		item.Verdict, item.Key, item.Words = NotNeeded, "", "rights are always read again, credentials.ldap.rights.every says how often"
	default:
		im.access.ldap.every = min(max(time.Duration(millis)*time.Millisecond, time.Second), 24*time.Hour)
	}
}

// finishLDAP takes rights in LDAP over, when it is known where the users are.
func (im *importer) finishLDAP() {
	m, l := im.access.ldap, &im.config.Credentials.LDAP
	if m == nil {
		return
	}
	if m.every == 0 {
		m.every = l.Rights.Every
	}
	m.bases.Every = m.every
	var hosts []string
	if m.urls != "" {
		var err error
		if hosts, _, err = ldapHosts(m.urls); err != nil && !im.alone {
			m.item.fail("%v", err)
			return
		}
	}
	bases := m.bases.Bases()
	switch err := bases.Check(); {
	case err != nil:
		m.item.fail("%v", err)
	case !bases.On():
		m.item.fail("names no queueSearchBase, topicSearchBase or tempSearchBase: say where rights are")
	case im.alone: // the broker's ldapServerMetadata says where
		l.Rights = m.bases
	case !l.On():
		m.item.fail("no LDAPLoginModule was taken over, which says where the servers are: fill in credentials.ldap, with rights, by hand, or write the rights as authorizationEntries")
	case hosts != nil && !slices.Equal(hosts, l.Hosts):
		m.item.fail("its connectionURL %v is not that of LDAPLoginModule %v: users and rights must be in the same servers", hosts, l.Hosts)
	default:
		l.Rights = m.bases
	}
}

// ldapHosts reads a connectionURL, which may hold several, and says whether it is ldaps.
func ldapHosts(text string) (hosts []string, secure bool, err error) {
	for i, one := range strings.Fields(text) {
		u, err := url.Parse(one)
		if err != nil || u.Host == "" || u.Scheme != "ldap" && u.Scheme != "ldaps" || i > 0 && secure != (u.Scheme == "ldaps") {
			return nil, false, errors.New("connectionURL: expected ldap://HOST:PORT or ldaps://HOST:PORT, several with blanks between them, all of one kind")
		}
		secure = u.Scheme == "ldaps"
		hosts = append(hosts, u.Host)
	}
	return hosts, secure, nil
}

// ldapOptions are those of LDAPLoginModule, with the reason why one is not needed.
var ldapOptions = map[string]string{
	"connectionURL": "", "connectionUsername": "", "connectionPassword": "", "connectionProtocol": "", "authentication": "", "userBase": "", "userSearchMatching": "", "userSearchSubtree": "", "userRoleName": "",
	"roleBase": "", "roleName": "", "roleSearchMatching": "", "roleSearchSubtree": "",
	"expandRoles": "groups in groups are not followed, and were not", "expandRolesMatching": "groups in groups are not followed, and were not", "debug": "the broker's log tells of logins",
	"initialContextFactory": "it is Java's", "referral": "referrals are not followed: name a server that has it all", "connectionTimeout": "credentials.ldap.timeout bounds each answer", "readTimeout": "credentials.ldap.timeout bounds each answer",
}

// shown is an option's value for people: what is not known may be a secret.
func shown(name, value string, known bool) string {
	if !known {
		return "(hidden)"
	}
	return hide(&node{}, name, value)
}

// ldapUsers takes the options of an LDAPLoginModule over.
func (im *importer) ldapUsers(m loginModule, item *Item) {
	option := func(name string) string { return im.properties.try(m.options[name]) }
	l := config.Default().Credentials.LDAP
	item.Key = "credentials.ldap"
	hosts, secure, err := ldapHosts(option("connectionURL"))
	switch {
	case im.config.Credentials.LDAP.On():
		item.fail("there is one LDAP directory: the first module's")
		return
	case err != nil || len(hosts) == 0:
		item.fail("its connectionURL must be ldap://HOST:PORT or ldaps://HOST:PORT")
		return
	case strings.HasPrefix(m.options["connectionPassword"], "ENC("):
		item.fail("its password is encrypted: fill in credentials.ldap by hand, with the password in GODWIT_CREDENTIALS_LDAP_SERVICE_ACCOUNT_PASSWORD")
		return
	case option("expandRoles") == "true":
		item.fail("groups in groups (expandRoles) are not followed: have the server do it (memberOf, or Active Directory's member:1.2.840.113556.1.4.1941:={0} as roleSearchMatching), and fill in credentials.ldap by hand")
		return
	}
	l.Hosts, l.Transport = hosts, "plain"
	if protocol := option("connectionProtocol"); secure || protocol == "s" || protocol == "ssl" {
		l.Transport = "ldaps"
	}
	l.ServiceAccountUsername, l.ServiceAccountPassword = option("connectionUsername"), option("connectionPassword")
	l.UserBase, l.UserSearchMatching, l.UserSearchSubtree, l.UserRoleName = option("userBase"), option("userSearchMatching"), option("userSearchSubtree") == "true", option("userRoleName")
	if option("roleName") != "" { // without it ActiveMQ finds no group either
		l.RoleBase, l.RoleName, l.RoleSearchMatching, l.RoleSearchSubtree = option("roleBase"), option("roleName"), option("roleSearchMatching"), option("roleSearchSubtree") == "true"
	}
	o := l.Options()
	if err := o.Check(); err != nil {
		item.fail("%v", err)
		return
	}
	names := slices.Sorted(maps.Keys(m.options))
	for _, name := range names {
		why, known := ldapOptions[name]
		if e := im.entry(loginConfig, m.line, m.realm+"/"+name, shown(name, m.options[name], known)); !known {
			e.fail("the option is not known; see credentials.ldap in docs/configuration.md")
		} else if why != "" {
			e.Verdict, e.Words = NotNeeded, why
		} else {
			e.Key = "credentials.ldap"
		}
	}
	if a := option("authentication"); a != "" && a != "simple" {
		item.fail("authentication %q is not there: users log in with name and password (simple)", a)
		return
	}
	item.Words = "users, passwords and groups are asked for in LDAP"
	if l.ServiceAccountPassword != "" {
		l.ServiceAccountFile = im.file("ldap-password", []byte(l.ServiceAccountPassword+"\n"))
		l.ServiceAccountPassword = ""
		item.Words += "; the service account's password is in " + l.ServiceAccountFile
	}
	im.config.Credentials.LDAP = l
	if l.Transport == "plain" {
		item.Words += "; passwords cross the network in clear, as before: transport starttls or ldaps would protect them"
	}
}
