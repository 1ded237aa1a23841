// Package security knows who a client is and what it may do: users and their groups, password hashes, rights by
// destination pattern, and the texts with which ActiveMQ refuses. It opens no socket and imports nothing of ours: who asks other
// servers is a [Directory], as those of ldap and oidc below it are.
//
// An [Authority] holds the current [Policy] and answers logins with an [Identity]; the identity answers, from memory,
// whether it may read, write, create or remove. [Authority.Update] replaces the policy at any time: identities that
// exist follow the new one from their next check on.
package security

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"
)

// Mode says what credentials are for.
type Mode uint8

const (
	// Ignore admits everybody under the name given and checks no rights, as an ActiveMQ without plugins does.
	Ignore Mode = iota
	// Observe verifies and checks like Mandatory but admits and allows anyway; [Authority.Observed] tells who would
	// have been refused and why.
	Observe
	// Optional admits who gives no credentials as anonymous; credentials that are given must be right.
	Optional
	// Mandatory admits only right credentials.
	Mandatory
)

var modeNames = [...]string{"ignore", "observe", "optional", "mandatory"}

// String is the mode's name in the configuration.
func (m Mode) String() string {
	if int(m) < len(modeNames) {
		return modeNames[m]
	}
	return fmt.Sprintf("Mode(%d)", uint8(m))
}

// MarshalText is String.
func (m Mode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads ignore, observe, optional or mandatory, in lower case.
func (m *Mode) UnmarshalText(text []byte) error {
	for i, name := range modeNames {
		if string(text) == name {
			*m = Mode(i)
			return nil
		}
	}
	return fmt.Errorf("credentials mode %q is unknown; expected one of %s", text, strings.Join(modeNames[:], ", "))
}

// User is one who can log in.
type User struct {
	Name string
	// PasswordHash is an argon2id PHC string or a bcrypt hash. Empty: no login by password.
	PasswordHash string
	Groups       []string
	// CertificateSubjects are distinguished names of client certificates that log this user in, in Java's text form
	// ("CN=client1, O=T") or that of RFC 4514 ("CN=client1,O=T").
	CertificateSubjects []string
}

// Policy is all that an Authority decides by. The Authority copies what it keeps.
type Policy struct {
	Mode  Mode
	Users []User
	// Rights of destinations. None at all: every admitted client may do everything.
	Rights []Entry
	// Directories answer for users that are not among Users, each if those before it do not know the credentials.
	Directories []Directory
	// Certificates make users of client certificates whose subjects are no user's; the first that fits counts.
	Certificates []CertificateRule
}

// Options of an Authority. The zero value works.
type Options struct {
	// Log receives logins, refusals and their reasons (the audit log); passwords never. Nil: nothing is logged.
	Log *slog.Logger
	// Workers is how many password hashes are computed at once; each takes a core, and with the default parameters of
	// argon2id 19 MiB. 0 means half the cores, at least 1 and at most 4.
	Workers int
	// MaxWaiting is how many different credentials may wait for a worker before logins are refused as busy. 0 means 1,024.
	MaxWaiting int
	// RememberFor is how long a verified pair of user and password needs no new hash. 0 means 5 minutes.
	RememberFor time.Duration
	// Remember is how many verified pairs are kept, and how many wrong ones. 0 means 4,096.
	Remember int
	// MaxObserved is how many different refusals Observed keeps. 0 means 1,000.
	MaxObserved int
	// Addresses is how many addresses with failed logins are kept. 0 means 8,192.
	Addresses int
}

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Workers <= 0 {
		o.Workers = min(max(runtime.GOMAXPROCS(0)/2, 1), 4)
	}
	if o.MaxWaiting <= 0 {
		o.MaxWaiting = 1024
	}
	if o.RememberFor <= 0 {
		o.RememberFor = 5 * time.Minute
	}
	if o.Remember <= 0 {
		o.Remember = 4096
	}
	if o.MaxObserved <= 0 {
		o.MaxObserved = 1000
	}
	if o.Addresses <= 0 {
		o.Addresses = 8192
	}
	return o
}

// Authority admits clients by the current Policy. All its methods may be called concurrently.
type Authority struct {
	log      *slog.Logger
	current  atomic.Pointer[snapshot]
	update   sync.Mutex // orders Updates
	verifier *verifier
	throttle *throttle
	observed *observations
	watchers watchers
}

// New makes an Authority. It fails only if the policy does.
func New(policy Policy, options Options) (*Authority, error) {
	options = options.withDefaults()
	a := &Authority{
		log:      options.Log,
		verifier: newVerifier(options),
		throttle: newThrottle(options.Addresses),
		observed: newObservations(options.MaxObserved),
	}
	if err := a.Update(policy); err != nil {
		return nil, err
	}
	return a, nil
}

// Update replaces the policy. Logins and checks that begin afterwards see the new one; a user who was removed, or a
// client that the new mode would not admit, is refused everything from then on (see [Identity.Valid]), and is told by [Identity.Watch]. A changed
// password does not touch those who are logged in. If the policy is wrong, all its mistakes are returned as one error
// and the old policy stays.
func (a *Authority) Update(policy Policy) error {
	a.update.Lock()
	defer a.update.Unlock()
	s, err := compile(policy)
	if err != nil {
		return err
	}
	a.current.Store(s)
	a.sendAway()
	return nil
}

// Mode is the mode in force.
func (a *Authority) Mode() Mode { return a.current.Load().mode }

// Observed lists who would have been refused, the most recent first.
func (a *Authority) Observed() []Refusal { return a.observed.list() }

// ForgetObserved empties the list of Observed.
func (a *Authority) ForgetObserved() { a.observed.forget() }

// snapshot is a compiled Policy; it never changes.
type snapshot struct {
	mode     Mode
	users    map[string]*account
	accounts []*account          // those with a password, for the dummy of an unknown user
	subjects map[string]*account // by normalised distinguished name
	rights   *rights             // nil: none configured

	directories  []Directory
	certificates []certificateRule
}

type account struct {
	name   string
	hash   passwordHash // nil: no password
	groups []string
}

func compile(p Policy) (*snapshot, error) {
	s := &snapshot{mode: p.Mode, users: make(map[string]*account, len(p.Users)), subjects: make(map[string]*account)}
	var mistakes []error
	if int(p.Mode) >= len(modeNames) {
		mistakes = append(mistakes, fmt.Errorf("credentials mode %d is unknown", p.Mode))
	}
	for _, u := range p.Users {
		if err := s.add(u); err != nil {
			mistakes = append(mistakes, fmt.Errorf("user %q: %w", u.Name, err))
		}
	}
	if len(p.Rights) > 0 {
		r, err := compileRights(p.Rights)
		if err != nil {
			mistakes = append(mistakes, err)
		}
		s.rights = r
	}
	s.directories = slices.Clone(p.Directories)
	for i, d := range p.Directories {
		if slices.ContainsFunc(p.Directories[:i], func(other Directory) bool { return other.Name() == d.Name() }) {
			mistakes = append(mistakes, fmt.Errorf("directory %s is there twice", d.Name()))
		}
	}
	for i, r := range p.Certificates {
		compiled, err := compileCertificateRule(r)
		if err != nil {
			mistakes = append(mistakes, fmt.Errorf("certificate rule %d: %w", i+1, err))
		}
		s.certificates = append(s.certificates, compiled)
	}
	if err := errors.Join(mistakes...); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *snapshot) add(u User) error {
	if err := checkName(u.Name); err != nil {
		return err
	}
	if _, ok := s.users[u.Name]; ok {
		return errors.New("is there twice")
	}
	acc := &account{name: u.Name, groups: append([]string(nil), u.Groups...)}
	for _, g := range u.Groups {
		if err := checkGroup(g); err != nil {
			return err
		}
	}
	if u.PasswordHash == "" && len(u.CertificateSubjects) == 0 {
		return errors.New("has neither a password hash nor a certificate subject")
	}
	if u.PasswordHash != "" {
		h, err := parseHash(u.PasswordHash)
		if err != nil {
			return err
		}
		acc.hash = h
		s.accounts = append(s.accounts, acc)
	}
	for _, subject := range u.CertificateSubjects {
		name, err := parseName(subject)
		if err != nil {
			return fmt.Errorf("certificate subject %q: %w", subject, err)
		}
		if other, ok := s.subjects[name]; ok {
			return fmt.Errorf("certificate subject %q belongs to user %q already", subject, other.name)
		}
		s.subjects[name] = acc
	}
	s.users[u.Name] = acc
	return nil
}

// maxNameBytes bounds names of users and groups, in the configuration and from the wire.
const maxNameBytes = 1024

func checkName(name string) error {
	switch {
	case name == "":
		return errors.New("a user needs a name")
	case len(name) > maxNameBytes:
		return fmt.Errorf("a user's name has at most %d bytes", maxNameBytes)
	case strings.ContainsFunc(name, unicode.IsControl):
		return errors.New("a user's name has no control characters")
	}
	return nil
}

func checkGroup(name string) error {
	switch {
	case name == "":
		return errors.New("a group needs a name")
	case name == everyone:
		return errors.New("a user cannot be in the group *: in rights it stands for all who are logged in")
	case len(name) > maxNameBytes:
		return fmt.Errorf("a group's name has at most %d bytes", maxNameBytes)
	case strings.ContainsAny(name, ",:") || strings.ContainsFunc(name, unicode.IsControl):
		return fmt.Errorf("group %q: a group's name has no comma, colon or control character", name)
	}
	return nil
}

// randomKey is a key that dies with the process.
func randomKey() []byte {
	key := make([]byte, 32)
	rand.Read(key) // never fails: it would end the process
	return key
}
