package plane

import (
	"slices"
	"strings"
	"time"
)

// User is one who may use a broker. The broker's spec carries it, so a change is in force at once.
type User struct {
	Hash        string    `json:"hash"` // of the password, in the security package's form
	PasswordSet time.Time `json:"passwordSet"`
	Groups      []string  `json:"groups,omitempty"`
	Console     bool      `json:"console,omitempty"`     // may use the console
	Replication bool      `json:"replication,omitempty"` // as Amazon MQ's replicationUser
}

// NewUser is a user as commands bring it. The wire layer checks the password and makes the hash.
type NewUser struct {
	Name, Hash  string
	Groups      []string
	Console     bool
	Replication bool
}

// CreateUser adds a user to a broker.
type CreateUser struct {
	Broker string
	User   NewUser
}

func (c CreateUser) do(tx *tx) error {
	b, err := tx.edit(c.Broker)
	if err != nil {
		return err
	}
	if err := tx.addUser(b, c.User); err != nil {
		return err
	}
	tx.save(b)
	return nil
}

func (tx *tx) addUser(b *Broker, u NewUser) error {
	switch {
	case !between(len(u.Name), 2, 100) || !only(u.Name, "-._~"):
		return bad("username", "[%s] is no user name: 2 to 100 letters, digits, -, ., _ and ~", u.Name)
	case b.has(u.Name):
		return conflict("username", "user [%s] exists already", u.Name)
	case len(b.Users) >= tx.limits().Users:
		return bad("username", "a broker has at most %d users", tx.limits().Users)
	}
	if err := tx.checkUser(u.Hash, u.Groups); err != nil {
		return err
	}
	if b.Users == nil {
		b.Users = map[string]User{}
	}
	b.Users[u.Name] = User{Hash: u.Hash, PasswordSet: tx.now, Groups: u.Groups, Console: u.Console, Replication: u.Replication}
	return nil
}

func (b *Broker) has(user string) bool { _, ok := b.Users[user]; return ok }

func (tx *tx) checkUser(hash string, groups []string) error {
	if !strings.HasPrefix(hash, "$argon2id$") && !strings.HasPrefix(hash, "$2") || len(hash) > 512 {
		return bad("password", "the password comes as a hash, argon2id or bcrypt") // and never in clear into the log
	}
	if len(groups) > tx.limits().GroupsPerUser {
		return bad("groups", "a user is in at most %d groups", tx.limits().GroupsPerUser)
	}
	for _, g := range groups {
		if !between(len(g), 2, 100) || !only(g, "-._~") {
			return bad("groups", "[%s] is no name of a group: 2 to 100 letters, digits, -, ., _ and ~", g)
		}
	}
	return nil
}

// UpdateUser changes a user. What is nil stays.
type UpdateUser struct {
	Broker, Name string
	Hash         *string
	Groups       *[]string
	Console      *bool
	Replication  *bool
}

func (c UpdateUser) do(tx *tx) error {
	b, err := tx.edit(c.Broker)
	if err != nil {
		return err
	}
	u, ok := b.Users[c.Name]
	if !ok {
		return missing("username", "user", c.Name)
	}
	if c.Hash != nil {
		u.Hash, u.PasswordSet = *c.Hash, tx.now
	}
	u.Groups, u.Console, u.Replication = slices.Clone(or(c.Groups, u.Groups)), or(c.Console, u.Console), or(c.Replication, u.Replication)
	if err := tx.checkUser(u.Hash, u.Groups); err != nil {
		return err
	}
	b.Users[c.Name] = u
	tx.save(b)
	return nil
}

// DeleteUser removes a user.
type DeleteUser struct{ Broker, Name string }

func (c DeleteUser) do(tx *tx) error {
	b, err := tx.edit(c.Broker)
	if err != nil {
		return err
	}
	if !b.has(c.Name) {
		return missing("username", "user", c.Name)
	}
	delete(b.Users, c.Name)
	tx.save(b)
	return nil
}
