package activemq

import (
	"fmt"
	"slices"
	"strings"

	"github.com/godwitmq/godwit/config"
	"github.com/godwitmq/godwit/security"
)

// nobody is a group that no user is in: where ActiveMQ gives nobody a right, an entry must say so, because without any entry everybody may do
// everything.
const nobody = "nobody"

// anonymous is the group of those that are admitted without credentials.
const anonymous = "anonymous"

// access is who may connect and do what, read so far.
type access struct {
	authenticates *Item // the plugin
	authorizes    *Item
	optional      *Item // who admits clients without credentials
	guests        []string
	users         []*user
	rights        []config.Right
	realms        []string // read already
	consoles      []*Item  // where the web console names its realms
	realmFiles    []string // the web console's own files of users
	ldap          *ldapMap // nil: there is none
	console       bool     // the users being read are the console's alone
}

type user struct {
	config.User
	plain string // to compare
}

func (a *access) find(name string) *user {
	for _, u := range a.users {
		if u.Name == name {
			return u
		}
	}
	u := &user{User: config.User{Name: name}}
	a.users = append(a.users, u)
	return u
}

func (a *access) has(name string) *user {
	for _, u := range a.users {
		if u.Name == name {
			return u
		}
	}
	return nil
}

// groups is a list of group names as ActiveMQ writes it.
func groups(text string) []string {
	var list []string
	for g := range strings.SplitSeq(text, ",") {
		if g = strings.TrimSpace(g); g != "" && !slices.Contains(list, g) {
			list = append(list, g)
		}
	}
	return list
}

func (u *user) join(list []string) {
	for _, g := range list {
		if !slices.Contains(u.Groups, g) {
			u.Groups = append(u.Groups, g)
		}
	}
}

// addUser takes a user with a password over. item says what became of it.
func (im *importer) addUser(name, password string, in []string, item *Item) {
	a := &im.access
	item.Verdict, item.Key = Mapped, "credentials.users"
	if a.console {
		in = consoleGroups(in)
		if u := a.has(name); u != nil && u.plain != password {
			item.lack("%s has another password for the broker already; put that user into the group %s if it should use the API", name, in[0])
			return
		}
	}
	password, err := im.properties.expand(password)
	switch {
	case im.alone:
		item.fail("users of a configuration are not taken over here: make the user %s with the service's own commands", name)
	case err != nil:
		item.fail("the password %v; or set it with godwit users passwd %s", err, name)
	case name == "" || strings.ContainsAny(name, ":\r\n"):
		item.fail("%q cannot be a user's name here", name)
	default:
		var hash string
		if hash, err = security.HashPassword(password); err != nil {
			item.fail("%v; set another with godwit users passwd %s", err, name)
		}
		u := a.find(name)
		if u.Password != "" && u.plain != password {
			u.Groups = nil // as in Java's maps, the last one counts
		}
		u.Password, u.plain = hash, password
		u.join(in)
		if err == nil {
			item.Words = "the password as an argon2id hash"
		}
		if slices.Contains([]string{"admin", "manager", "password", "user", name}, password) {
			item.Words += "; it is one that everybody knows: change it"
		}
	}
}

func enterAuthentication(im *importer, _ *node, item *Item) { im.access.authenticates = item }

// leaveUser takes over one of simpleAuthenticationPlugin.
func leaveUser(im *importer, n *node, item *Item) {
	in, err := im.properties.expand(n.value("groups"))
	if err != nil {
		item.fail("its groups: %v", err)
		return
	}
	im.addUser(im.properties.try(n.value("username")), n.value("password"), groups(in), item)
}

func anonymousAccess(im *importer, value string, item *Item) {
	if yes, err := parseBool(value); err != nil {
		item.fail("%v", err)
	} else if yes {
		im.access.optional = item
	}
}

// leaveSimple makes guests of the group that the plugin names for them.
func leaveSimple(im *importer, n *node, _ *Item) {
	group := anonymous
	if g := im.properties.try(n.value("anonymousGroup")); g != "" {
		group = g
	}
	im.access.guests = append(im.access.guests, group)
}

// groupPrincipal is Java's class of groups, to which rights are given unless something else is said.
const groupPrincipal = "org.apache.activemq.jaas.GroupPrincipal"

// leaveRight takes over an authorizationEntry, whose attributes belong together.
func leaveRight(im *importer, n *node, item *Item) {
	var names []string
	temporary := false
	for _, a := range n.attrs {
		value, err := im.properties.expand(a.value)
		if err != nil {
			item.fail("%s: %v", a.name, err)
			return
		}
		switch a.name {
		case "groupClass":
			if value != groupPrincipal {
				item.fail("rights are given to groups only, and these may be others; write the entry in credentials.rights by hand")
				return
			}
		case "queue", "topic":
			for name := range strings.SplitSeq(value, ",") {
				names = append(names, a.name+"://"+strings.TrimSpace(name))
			}
		case "tempQueue", "tempTopic":
			temporary = true
		}
	}
	switch {
	case n.name == "tempDestinationAuthorizationEntry":
		names = []string{"temp://>"}
	case temporary && len(names) == 0: // tried: users without the right may use temporary queues all the same
		item.Verdict, item.Key, item.Words = NotNeeded, "", "ActiveMQ does not heed it: only a tempDestinationAuthorizationEntry speaks for temporary destinations"
		return
	}
	if len(names) == 0 {
		item.fail("names no destinations; expected queue, topic, tempQueue or tempTopic")
	}
	list := func(name string) []string { return groups(im.properties.try(n.value(name))) }
	for _, name := range names {
		im.addRight(config.Right{Destination: name, Read: list("read"), Write: list("write"), Admin: list("admin")}, item)
	}
}

func (im *importer) addRight(r config.Right, item *Item) {
	if len(r.Read)+len(r.Write)+len(r.Admin) == 0 {
		if !strings.HasPrefix(r.Destination, "temp") {
			item.Verdict, item.Key, item.Words = NotNeeded, "", "gives nobody a right"
			return
		}
		// For temporary destinations it takes rights away: without an entry everybody has them.
		r.Admin = []string{nobody}
		item.Words = "gives nobody a right: the group " + nobody + " stands for that"
	}
	_, err := security.New(security.Policy{Rights: []security.Entry{{Destination: r.Destination, Read: r.Read, Write: r.Write, Admin: r.Admin}}}, security.Options{})
	if err != nil {
		item.fail("%v", err)
		return
	}
	im.access.rights = append(im.access.rights, r)
}

// finishConsole takes over who may use the console, after all users of the broker are known. Its users are not let into the broker's groups, nor the
// broker's users into its own, unless both are of one realm.
func (im *importer) finishConsole() {
	a, h := &im.access, &im.config.HTTP
	for _, path := range a.realmFiles {
		im.consoleUsers(path)
	}
	for _, item := range a.consoles {
		if slices.Contains(a.realms, item.Value) {
			h.Admins, h.Operators, h.Readers = []string{"admins"}, nil, nil
			item.Words = "users of this realm who are in the group admins may use the API"
			continue
		}
		a.console = true
		im.realm(item.Value, item)
		a.console = false
		h.Admins, h.Operators, h.Readers = []string{consoleAdmins}, nil, nil
		if item.Verdict == Mapped {
			item.Words = "users of this realm who are in the group admins are in " + consoleAdmins + ", which may use the API; they can log in to the broker as well"
		}
	}
}

// The groups of those who may use the API. They have names of their own: users of the broker may be in groups admins or users, and were not let into the
// console for that.
const (
	consoleAdmins  = "console-admins"
	consoleReaders = "console-readers"
)

// consoleGroups are the groups for somebody who is in these groups of the console's realm.
func consoleGroups(in []string) []string {
	for _, g := range in {
		if g == "admin" || g == "admins" {
			return []string{consoleAdmins}
		}
	}
	return []string{consoleReaders}
}

// finishAccess decides on the mode and writes users and rights.
func (im *importer) finishAccess() {
	im.finishConsole()
	im.finishLDAP()
	a, c := &im.access, &im.config.Credentials
	slices.Sort(a.guests)
	for _, r := range a.rights {
		if a.optional != nil {
			r.Read, r.Write, r.Admin = a.openToGuests(r.Read), a.openToGuests(r.Write), a.openToGuests(r.Admin)
		}
		c.Rights = append(c.Rights, r)
	}
	for _, u := range a.users {
		if u.Password != "" || len(u.Certificates) > 0 {
			c.Users = append(c.Users, u.User)
		}
	}
	switch {
	case a.authenticates == nil && a.authorizes == nil:
		c.AllowInsecure = !im.onlyLoopback()
		im.note(nil, Mapped, false, "credentials.mode, credentials.allowInsecure", "there is no authentication plugin: everybody who reaches a listener may do everything, as with ActiveMQ. Mode observe shows who would be refused")
		return
	case a.optional != nil && a.authenticates != nil:
		c.Mode, c.AllowInsecure = "optional", !im.onlyLoopback()
	default:
		c.Mode = "mandatory"
	}
	if a.authenticates == nil {
		im.note(a.authorizes, NotSupported, true, "", "there are rights, but no authentication plugin that was understood: nobody can log in until users are added (godwit users add)")
	} else if len(c.Users) == 0 && !c.LDAP.On() && c.Mode == "mandatory" {
		im.note(a.authenticates, NotSupported, true, "", "no user could be taken over: nobody can log in until users are added (godwit users add)")
	}
	if a.authorizes != nil && len(c.Rights) == 0 && !c.LDAP.Rights.Bases().On() {
		c.Rights = []config.Right{{Destination: ">", Admin: []string{nobody}}}
		im.note(a.authorizes, NotSupported, true, "", "no right could be taken over: an entry for the group %s stands in credentials.rights, so that nobody may do anything until there are others", nobody)
	}
}

// openToGuests gives the group of those without credentials what the guests' group has.
func (a *access) openToGuests(list []string) []string {
	if slices.Contains(list, anonymous) || !slices.ContainsFunc(list, func(g string) bool { return g == "*" || slices.Contains(a.guests, g) }) {
		return list
	}
	return append(slices.Clone(list), anonymous)
}

func (im *importer) onlyLoopback() bool {
	return !slices.ContainsFunc(im.config.Listeners, func(l config.Listener) bool { return !l.Loopback() })
}

// entry tells of a line of another file.
func (im *importer) entry(file string, line int, path, value string) *Item {
	return im.add(Item{Kind: Entry, File: file, Line: line, Path: path, Value: value, Verdict: Mapped})
}

func countWord(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}
