package activemq

func accessRules() []rule {
	const ldap = "use cachedLDAPAuthorizationMap, whose rights are read; or write them as authorizationEntries, or in credentials.rights"
	list := []rule{
		{on: "plugins", verdict: Mapped},
		{on: "simpleAuthenticationPlugin", verdict: Mapped, key: "credentials.mode", enter: enterAuthentication, leave: leaveSimple},
		{on: "simpleAuthenticationPlugin@anonymousAccessAllowed", verdict: Mapped, key: "credentials.mode", words: "optional", usual: "false", attribute: anonymousAccess},
		{on: "simpleAuthenticationPlugin@anonymousGroup", verdict: Mapped, key: "credentials.rights", words: "what it may do, the group anonymous may do, in which those without credentials are"},
		{on: "simpleAuthenticationPlugin@anonymousUser", verdict: NotSupported, harmless: true, usual: "anonymous", words: "the name of those without credentials is anonymous"},
		{on: "simpleAuthenticationPlugin@userPasswords", verdict: NotSupported, words: "write the users as authenticationUser, or add them with godwit users add"},
		{on: "simpleAuthenticationPlugin@userGroups", verdict: NotSupported, words: "write the users as authenticationUser, or add them with godwit users add"},
		{on: "simpleAuthenticationPlugin/userPasswords", verdict: NotSupported, whole: true, words: "write the users as authenticationUser, or add them with godwit users add"},
		{on: "simpleAuthenticationPlugin/userGroups", verdict: NotSupported, whole: true, words: "write the users as authenticationUser, or add them with godwit users add"},
		{on: "simpleAuthenticationPlugin/users", verdict: Mapped, key: "credentials.users"},
		{on: "authenticationUser", verdict: Mapped, key: "credentials.users[]", words: "the password as an argon2id hash", leave: leaveUser},
		{on: "authenticationUser@username", verdict: Mapped, key: "credentials.users[].name"},
		{on: "authenticationUser@password", verdict: Mapped, key: "credentials.users[].password"},
		{on: "authenticationUser@groups", verdict: Mapped, key: "credentials.users[].groups"},
		{on: "authorizationPlugin", verdict: Mapped, key: "credentials.rights", enter: func(im *importer, _ *node, item *Item) { im.access.authorizes = item }},
		{on: "authorizationPlugin@map", verdict: NotSupported, words: "refers to a bean; write the map where it is used"},
		{on: "authorizationPlugin/map", verdict: Mapped, key: "credentials.rights"},
		{on: "authorizationMap", verdict: Mapped, key: "credentials.rights"},
		{on: "authorizationMap@groupClass", verdict: NotSupported, usual: groupPrincipal, words: "rights are given to groups only"},
		{on: "authorizationMap@defaultEntry", verdict: NotSupported, words: "rights for what no other entry fits cannot be given; write an entry for those destinations"},
		{on: "authorizationMap@tempDestinationAuthorizationEntry", verdict: NotSupported, words: "refers to a bean; write the entry where it is used"},
		{on: "authorizationMap/defaultEntry", verdict: NotSupported, whole: true, words: "rights for what no other entry fits cannot be given; write an entry for those destinations"},
		{on: "authorizationEntries", verdict: Mapped, key: "credentials.rights"},
		{on: "authorizationMap/entries", verdict: Mapped, key: "credentials.rights"},
		{on: "authorizationMap/tempDestinationAuthorizationEntry", verdict: Mapped, key: "credentials.rights"},
		{on: "tempDestinationAuthorizationEntry/tempDestinationAuthorizationEntry", verdict: Mapped, key: "credentials.rights[]", words: "temp://>", leave: leaveRight},
		{on: "simpleAuthorizationMap", verdict: NotSupported, whole: true, words: "write the map as authorizationEntries"},
		{on: "lDAPAuthorizationMap", verdict: NotSupported, whole: true, words: ldap},
		{on: "messageAuthorizationPolicy", verdict: NotSupported, whole: true, words: "rights by message are not there; use credentials.rights"},
		{on: "shiroPlugin", verdict: NotSupported, whole: true, enter: enterAuthentication, words: "Shiro's users and rights are not read; add users and rights by hand"},
	}
	list = append(list, ldapRules()...)
	for _, plugin := range []string{"jaasAuthenticationPlugin", "jaasCertificateAuthenticationPlugin", "jaasDualAuthenticationPlugin"} {
		list = append(list,
			rule{on: plugin, verdict: Mapped, key: "credentials.users", words: "login.config beside activemq.xml is read: PropertiesLoginModule, TextFileCertificateLoginModule, GuestLoginModule, LDAPLoginModule", enter: enterAuthentication, leave: leaveJAAS},
			rule{on: plugin + "@configuration", verdict: Mapped, key: "credentials.users", words: "the realm in login.config"},
			rule{on: plugin + "@discoverLoginConfig", verdict: NotNeeded, words: "login.config is looked for beside activemq.xml"})
	}
	list = append(list, rule{on: "jaasDualAuthenticationPlugin@sslConfiguration", verdict: Mapped, key: "credentials.users[].certificates", words: "the realm in login.config"})
	for _, entry := range []string{"authorizationEntry", "tempDestinationAuthorizationEntry"} {
		if entry == "authorizationEntry" {
			list = append(list, rule{on: entry, verdict: Mapped, key: "credentials.rights[]", words: "rights of all entries that fit are joined, as in ActiveMQ", leave: leaveRight})
		}
		for _, name := range []string{"queue", "topic"} {
			list = append(list, rule{on: entry + "@" + name, verdict: Mapped, key: "credentials.rights[].destination"})
		}
		for _, name := range []string{"tempQueue", "tempTopic"} {
			list = append(list, rule{on: entry + "@" + name, verdict: NotNeeded, words: "ActiveMQ does not heed it: only a tempDestinationAuthorizationEntry speaks for temporary destinations, for all of them"})
		}
		for _, name := range []string{"read", "write", "admin"} {
			list = append(list,
				rule{on: entry + "@" + name, verdict: Mapped, key: "credentials.rights[]." + name},
				rule{on: entry + "/" + name + "ACLs", verdict: NotSupported, whole: true, words: "write it as the attribute " + name})
		}
		list = append(list,
			rule{on: entry + "@groupClass", verdict: NotSupported, usual: groupPrincipal, words: "rights are given to groups only"},
			rule{on: entry + "@destination", verdict: NotSupported, words: "write it as queue or topic"},
			rule{on: entry + "/destination", verdict: NotSupported, whole: true, words: "write it as the attribute queue or topic"})
	}
	return list
}
