package activemq

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"github.com/godwitmq/godwit/security"
)

const loginConfig = "login.config"

// loginModule is one entry of a realm in login.config.
type loginModule struct {
	realm   string
	class   string
	line    int
	options map[string]string
}

// parseLogin reads Java's login configuration (javax.security.auth.login.Configuration):
// REALM { CLASS FLAG NAME="VALUE" ... ; ... };
func parseLogin(data []byte) ([]loginModule, error) {
	tokens, err := loginTokens(string(data))
	if err != nil {
		return nil, err
	}
	var list []loginModule
	for i := 0; i < len(tokens); {
		if i+1 >= len(tokens) || tokens[i+1].text != "{" {
			return nil, fmt.Errorf("line %d: expected a realm's name and {", tokens[i].line)
		}
		realm := tokens[i].text
		for i += 2; ; i++ {
			if i >= len(tokens) {
				return nil, fmt.Errorf("the realm %s is not closed", realm)
			}
			if tokens[i].text == "}" {
				break
			}
			m := loginModule{realm: realm, class: tokens[i].text, line: tokens[i].line, options: map[string]string{}}
			for i++; i < len(tokens) && tokens[i].text != ";" && tokens[i].text != "}"; i++ {
				if i+2 < len(tokens) && tokens[i+1].text == "=" {
					m.options[tokens[i].text] = tokens[i+2].text
					i += 2
				}
			}
			list = append(list, m)
		}
		if i++; i < len(tokens) && tokens[i].text == ";" {
			i++
		}
	}
	return list, nil
}

type loginToken struct {
	text string
	line int
}

func loginTokens(text string) ([]loginToken, error) {
	var list []loginToken
	line := 1
	for i := 0; i < len(text); {
		c := text[i]
		end := i + 1
		switch {
		case c == '\n':
			line++
		case unicode.IsSpace(rune(c)):
		case strings.HasPrefix(text[i:], "//"), c == '#':
			end = i + strings.IndexByte(text[i:]+"\n", '\n')
		case strings.HasPrefix(text[i:], "/*"):
			n := strings.Index(text[i+2:], "*/")
			if n < 0 {
				return nil, fmt.Errorf("line %d: a comment is not closed", line)
			}
			end = i + n + 4
		case c == '"' || c == '\'':
			n := strings.IndexByte(text[i+1:], c)
			if n < 0 {
				return nil, fmt.Errorf("line %d: a quote is not closed", line)
			}
			end = i + n + 2
			list = append(list, loginToken{text[i+1 : end-1], line})
		case strings.ContainsRune("{};=", rune(c)):
			list = append(list, loginToken{string(c), line})
		default:
			for end < len(text) && !strings.ContainsRune("{};=\"' \t\r\n", rune(text[end])) {
				end++
			}
			list = append(list, loginToken{text[i:end], line})
		}
		if end > i+1 {
			line += strings.Count(text[i:end], "\n")
		}
		i = end
	}
	return list, nil
}

// leaveJAAS reads the realms that a plugin names.
func leaveJAAS(im *importer, n *node, item *Item) {
	realms := []string{"activemq-domain"}
	if name := im.properties.try(n.value("configuration")); name != "" {
		realms[0] = name
	}
	if n.name == "jaasDualAuthenticationPlugin" {
		ssl := "activemq-ssl-domain"
		if name := im.properties.try(n.value("sslConfiguration")); name != "" {
			ssl = name
		}
		realms = append(realms, ssl)
	}
	for _, realm := range realms {
		im.realm(realm, item)
	}
}

// realm takes over the users of one realm of login.config.
func (im *importer) realm(name string, item *Item) {
	if slices.Contains(im.access.realms, name) {
		return
	}
	im.access.realms = append(im.access.realms, name)
	data, err := im.read(im.path(loginConfig))
	if err != nil {
		item.fail("%s cannot be read beside it (%v): copy it there, or add the users with godwit users add", loginConfig, plainError(err))
		return
	}
	modules, err := parseLogin(data)
	if err != nil {
		item.fail("%s: %v", loginConfig, err)
		return
	}
	found := false
	for _, m := range modules {
		if m.realm == name {
			found = true
			im.module(m)
		}
	}
	if !found {
		item.fail("%s has no realm %s", loginConfig, name)
	}
}

func (im *importer) module(m loginModule) {
	class := m.class[strings.LastIndexByte(m.class, '.')+1:]
	item := im.entry(loginConfig, m.line, m.realm, class)
	option := func(name string) string { return m.options["org.apache.activemq.jaas."+name] }
	folder := im.properties.try(m.options["baseDir"])
	item.Key = "credentials.users"
	switch class {
	case "PropertiesLoginModule":
		im.passwordUsers(filepath.Join(folder, option("properties.user")), filepath.Join(folder, option("properties.group")), item)
	case "TextFileCertificateLoginModule":
		im.certificateUsers(filepath.Join(folder, option("textfiledn.user")), filepath.Join(folder, option("textfiledn.group")), item)
	case "GuestLoginModule":
		im.guest(option("guest.user"), option("guest.group"), m.options["credentialsInvalidate"], item)
	case "LDAPLoginModule", "EncryptableLDAPLoginModule":
		im.ldapUsers(m, item)
	default:
		item.fail("this login module is not known; add its users with godwit users add")
	}
}

// passwordUsers reads users.properties (USER=PASSWORD) and groups.properties (GROUP=USER,USER).
func (im *importer) passwordUsers(users, in string, item *Item) {
	lines, members := im.userFile(users, item), im.groupFile(in, item)
	for _, l := range lines {
		im.addUser(l.key, l.value, members[l.key], im.entry(filepath.Base(users), l.line, l.key, "(hidden)"))
	}
	if item.Verdict == Mapped {
		item.Words = countWord(len(lines), "user")
	}
}

// certificateUsers reads a file of USER=SUBJECT.
func (im *importer) certificateUsers(users, in string, item *Item) {
	lines, members := im.userFile(users, item), im.groupFile(in, item)
	for _, l := range lines {
		e := im.entry(filepath.Base(users), l.line, l.key, l.value)
		if strings.ContainsAny(l.key, ":\r\n") || l.key == "" {
			e.fail("%q cannot be a user's name here", l.key)
			continue
		}
		probe := security.User{Name: l.key, CertificateSubjects: []string{l.value}}
		if _, err := security.New(security.Policy{Mode: security.Mandatory, Users: []security.User{probe}}, security.Options{}); err != nil {
			e.fail("%v", err)
			continue
		}
		u := im.access.find(l.key)
		if u.Password != "" && !slices.Equal(slices.Sorted(slices.Values(u.Groups)), slices.Sorted(slices.Values(members[l.key]))) {
			e.Words = "is in the groups of both its entries, with password and with certificate"
		}
		u.Certificates = append(u.Certificates, l.value)
		u.join(members[l.key])
		e.Key = "credentials.users[].certificates"
	}
	if item.Verdict == Mapped {
		item.Words = countWord(len(lines), "user")
	}
}

func (im *importer) userFile(name string, item *Item) []property {
	data, err := im.read(im.path(name))
	if err != nil {
		item.fail("its file %s cannot be read (%v): copy it beside activemq.xml, or add the users with godwit users add", name, plainError(err))
		return nil
	}
	return parseProperties(data)
}

// groupFile gives each user's groups.
func (im *importer) groupFile(name string, item *Item) map[string][]string {
	members := map[string][]string{}
	data, err := im.read(im.path(name))
	if err != nil {
		item.fail("its file %s cannot be read (%v): copy it beside activemq.xml; without it the users are in no group", name, plainError(err))
		return members
	}
	for _, l := range parseProperties(data) {
		im.entry(filepath.Base(name), l.line, l.key, l.value).Key = "credentials.users[].groups"
		for _, user := range groups(l.value) {
			members[user] = append(members[user], l.key)
		}
	}
	return members
}

// guest admits those without credentials.
func (im *importer) guest(user, group, invalidate string, item *Item) {
	if group == "" {
		group = "guests"
	}
	im.access.optional = item
	im.access.guests = append(im.access.guests, group)
	item.Key = "credentials.mode"
	item.Words = fmt.Sprintf("optional: who sends no credentials is in the group %s, which has the rights of %s", anonymous, group)
	if invalidate != "true" {
		item.Words += "; who sends wrong ones is refused, not made a guest"
	}
	if user != "" && user != anonymous {
		item.Words += "; and its name is " + anonymous
	}
}

// consoleUsers reads jetty-realm.properties (USER: PASSWORD, ROLE, ...). All of them may look; the role admin may change.
func (im *importer) consoleUsers(path string) {
	data, err := im.read(path)
	if err != nil {
		return // the bean that names it tells
	}
	im.access.console = true
	defer func() { im.access.console = false }()
	for _, l := range parseProperties(data) {
		item := im.entry(filepath.Base(path), l.line, l.key, "(hidden)")
		password, roles, _ := strings.Cut(l.value, ",")
		password = strings.TrimSpace(password)
		if strings.HasPrefix(password, "MD5:") || strings.HasPrefix(password, "CRYPT:") || strings.HasPrefix(password, "OBF:") {
			item.lack("its password is encoded; set it with godwit users add %s, in the group %s", l.key, consoleGroups(groups(roles))[0])
			continue
		}
		im.addUser(l.key, password, groups(roles), item)
		if item.Verdict == Mapped {
			item.Words += "; can log in to the broker as well"
		}
	}
	im.config.HTTP.Admins, im.config.HTTP.Operators, im.config.HTTP.Readers = []string{consoleAdmins}, nil, []string{consoleReaders}
}
