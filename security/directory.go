package security

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"
)

// Directory answers for users that the policy does not list: an LDAP server, or an identity provider by the tokens it signs. Its methods may be
// called concurrently.
type Directory interface {
	// Name is what logs call it, and what it is recognised by when a policy is replaced.
	Name() string
	// Verify says who has these credentials. It fails with ErrElsewhere if they are none of the directory's, so that the next one is asked; with
	// ErrWrongPassword; with ErrBusy; with an *Unavailable if it cannot be known now; or with ctx's error. The password has 1 to MaxSecretBytes bytes. It may
	// block, for as long as ctx allows and no longer than its own limits say.
	Verify(ctx context.Context, user, password string) (Account, error)
}

// Account is a user of a Directory.
type Account struct {
	Name   string
	Groups []string
	// Until is when the client must log in anew; zero: never.
	Until time.Time
}

// What a Directory fails with.
var (
	ErrElsewhere     = errors.New("not in this directory")
	ErrWrongPassword = errors.New("wrong password")
	ErrBusy          = errors.New("too many logins at once")
)

// Unavailable says that nobody could say whether credentials are right. Text is for the client, Err for the log.
type Unavailable struct {
	Text string
	Err  error
}

// Error is Text with what lies behind it.
func (u *Unavailable) Error() string {
	if u.Err == nil {
		return u.Text
	}
	return u.Text + ": " + u.Err.Error()
}

// Unwrap is the cause.
func (u *Unavailable) Unwrap() error { return u.Err }

// MaxSecretBytes bounds what is given to a Directory as a password: tokens are longer than passwords.
const MaxSecretBytes = 16 << 10

// maxGroups bounds the groups that a directory may say a user is in.
const maxGroups = 1024

// outside is an account of a directory, as an identity keeps it: its groups are those of the login.
type outside struct {
	directory string
	acc       account
	until     time.Time
	ended     atomic.Bool // the time of until has come, whatever the clock was put to since
}

// ask asks the directories in turn.
func (a *Authority) ask(ctx context.Context, s *snapshot, c Credentials) (*outside, Reason, error) {
	for _, d := range s.directories {
		found, err := d.Verify(ctx, c.User, c.Password)
		var gone *Unavailable
		switch {
		case errors.Is(err, ErrElsewhere):
			continue
		case errors.Is(err, ErrWrongPassword):
			if err != ErrWrongPassword {
				a.log.Warn("a directory refuses credentials", "directory", d.Name(), "user", c.User, "error", err)
			}
			return nil, WrongPassword, nil
		case errors.Is(err, ErrBusy):
			return nil, Busy, nil
		case errors.As(err, &gone):
			a.log.Error("a login cannot be verified", "directory", d.Name(), "user", c.User, "error", err)
			return nil, Unanswered, gone
		case err != nil:
			return nil, "", err
		case checkName(found.Name) != nil:
			return nil, "", fmt.Errorf("%s gives a user a name that cannot be one: %w", d.Name(), checkName(found.Name))
		case s.users[found.Name] != nil: // a name belongs to one: the policy's own users come first
			a.log.Warn("a user of a directory has the name of a user of the configuration, who comes first", "directory", d.Name(), "user", found.Name)
			return nil, UnknownUser, nil
		}
		groups := slices.DeleteFunc(slices.Clone(found.Groups), func(g string) bool { return g == "" || g == everyone || len(g) > maxNameBytes })
		slices.Sort(groups)
		groups = slices.Compact(groups)
		if len(groups) > maxGroups {
			a.log.Warn("a user is in too many groups; the rest does not count", "directory", d.Name(), "user", found.Name, "groups", len(groups), "most", maxGroups)
			groups = groups[:maxGroups]
		}
		return &outside{directory: d.Name(), acc: account{name: found.Name, groups: groups}, until: found.Until}, "", nil
	}
	return nil, UnknownUser, nil
}

// account is who an authenticated identity is under s; nil and the reason if nobody any more.
func (i *Identity) account(s *snapshot) (*account, Reason) {
	switch {
	case i.outside != nil:
		switch {
		case s.users[i.name] != nil, !slices.ContainsFunc(s.directories, func(d Directory) bool { return d.Name() == i.outside.directory }):
			return nil, UnknownUser
		case i.expired(time.Now()):
			return nil, Expired
		}
		return &i.outside.acc, ""
	case i.proof == possessed:
		if acc, _ := s.byCertificate(i.certificate); acc != nil && acc.name == i.name {
			return acc, ""
		}
		return nil, UnknownUser
	}
	if acc := s.users[i.name]; acc != nil {
		return acc, ""
	}
	return nil, UnknownUser
}

func (i *Identity) expired(now time.Time) bool {
	o := i.outside
	return o != nil && (o.ended.Load() || !o.until.IsZero() && !now.Before(o.until))
}

// Groups are those of the user under the policy in force: none of one who is not authenticated.
func (i *Identity) Groups() []string {
	if !i.Authenticated() {
		return nil
	}
	acc, _ := i.account(i.authority.current.Load())
	if acc == nil {
		return nil
	}
	return slices.Clone(acc.groups)
}
