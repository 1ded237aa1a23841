// Package ldap asks LDAP servers who somebody is and which groups he is in, as ActiveMQ's LDAPLoginModule and Amazon MQ do, and takes rights from there as
// cachedLDAPAuthorizationMap does. A [Directory] is for package security.
//
// A login is: bind as the service account, search the user, bind as the user with the password, bind as the service account again, search the groups. What
// came out is remembered for a short time, under a key that dies with the process and without the password.
package ldap

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/go-ldap/ldap/v3"
	"github.com/godwitmq/godwit/security"
)

// Transport is how servers are spoken to.
type Transport string

// The transports.
const (
	LDAPS    Transport = "ldaps"    // TLS from the first byte; port 636
	StartTLS Transport = "starttls" // TLS before anything is said; port 389
	Plain    Transport = "plain"    // passwords cross the network as they are; port 389
)

// Options say where the servers are and how users and groups are found. The words are those of Amazon MQ's ldapServerMetadata.
type Options struct {
	// Hosts are HOST or HOST:PORT, all with the same content; the first that answers is asked.
	Hosts     []string
	Transport Transport // "" means LDAPS
	// Roots are the authorities that may have signed the servers' certificates; nil: those of the system. Certificates must be for the names in Hosts.
	Roots *x509.CertPool

	ServiceAccountUsername string // a distinguished name; empty: searches are made by nobody in particular
	ServiceAccountPassword string

	UserBase           string // where users are searched
	UserSearchMatching string // a filter; {0} stands for the user's name, for example (uid={0})
	UserSearchSubtree  bool   // below UserBase at any depth, and not only one level
	UserRoleName       string // an attribute of the user whose values are groups; empty: none

	RoleBase           string // where groups are searched; empty: nowhere
	RoleName           string // the attribute of a group that is its name; "" means cn
	RoleSearchMatching string // a filter; {0} stands for the user's distinguished name, {1} for the name
	RoleSearchSubtree  bool

	// Timeout bounds each exchange with a server. 0 means 5 seconds.
	Timeout time.Duration
	// Connections is how many there are to servers at a time. 0 means 4.
	Connections int
	// MaxWaiting is how many different credentials may wait for an answer before logins are refused as busy. 0 means 1,024.
	MaxWaiting int
	// CacheFor is how long right credentials are taken for right without a question. 0 means not at all.
	CacheFor time.Duration
	// HoldFor is how long right credentials hold while no server answers. 0 means not at all.
	HoldFor time.Duration
	// CacheSize is how many verdicts are kept. 0 means 4,096.
	CacheSize int
	// Log is for what goes wrong; nil: nothing is logged.
	Log *slog.Logger
}

const (
	wrongFor = 5 * time.Second // how long wrong credentials are taken for wrong without a question
	restFor  = 2 * time.Second // how long a server that did not answer is left alone
	idleFor  = time.Minute     // how long a connection is kept that nobody uses
	maxRoles = 1024            // groups of one user
)

// Check completes the options and says what is wrong with them; the error's text begins with the field's name as in ldapServerMetadata.
func (o *Options) Check() error {
	if o.Transport == "" {
		o.Transport = LDAPS
	}
	if o.RoleName == "" {
		o.RoleName = "cn"
	}
	if o.Timeout <= 0 {
		o.Timeout = 5 * time.Second
	}
	if o.Connections <= 0 {
		o.Connections = 4
	}
	if o.MaxWaiting <= 0 {
		o.MaxWaiting = 1024
	}
	if o.CacheSize <= 0 {
		o.CacheSize = 4096
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	switch {
	case o.Transport != LDAPS && o.Transport != StartTLS && o.Transport != Plain:
		return fmt.Errorf("transport: %q is unknown; expected ldaps, starttls or plain", o.Transport)
	case len(o.Hosts) == 0:
		return errors.New("hosts: are missing; expected HOST or HOST:PORT of at least one server")
	case (o.ServiceAccountUsername == "") != (o.ServiceAccountPassword == ""):
		return errors.New("serviceAccountPassword: the service account needs both a name and a password, or neither")
	}
	for _, h := range o.Hosts {
		if _, err := o.address(h); err != nil {
			return fmt.Errorf("hosts: %w", err)
		}
	}
	for _, dn := range []struct{ name, value string }{{"serviceAccountUsername", o.ServiceAccountUsername}, {"userBase", o.UserBase}, {"roleBase", o.RoleBase}} {
		if dn.value == "" && dn.name == "userBase" {
			return errors.New("userBase: is missing; expected where users are, for example ou=users,dc=example,dc=com")
		}
		// Active Directory takes other names for a service account, too.
		if _, err := ldap.ParseDN(dn.value); err != nil && dn.name != "serviceAccountUsername" {
			return fmt.Errorf("%s: %q is not a distinguished name: %w", dn.name, dn.value, err)
		}
	}
	if err := checkFilter("userSearchMatching", o.UserSearchMatching, "{0}"); err != nil {
		return err
	}
	if o.RoleBase != "" {
		return checkFilter("roleSearchMatching", o.RoleSearchMatching, "{0}", "{1}")
	}
	return nil
}

func checkFilter(name, filter string, places ...string) error {
	found := false
	for _, p := range places {
		found = found || strings.Contains(filter, p)
	}
	if !found {
		return fmt.Errorf("%s: %q has no place for the user; expected for example (uid={0})", name, filter)
	}
	if _, err := ldap.CompileFilter(fill(filter, "x", "x")); err != nil {
		return fmt.Errorf("%s: %q is not a filter: %w", name, filter, err)
	}
	return nil
}

// fill puts values into the places {0}, {1} of a filter, so that nothing in them can be taken for a piece of it.
func fill(filter string, values ...string) string {
	var pairs []string
	for i, v := range values {
		pairs = append(pairs, fmt.Sprintf("{%d}", i), ldap.EscapeFilter(v))
	}
	return strings.NewReplacer(pairs...).Replace(filter)
}

// address completes a host by the transport's port.
func (o *Options) address(host string) (string, error) {
	if strings.Contains(host, "/") || strings.TrimSpace(host) != host || host == "" {
		return "", fmt.Errorf("%q is no server; expected HOST or HOST:PORT", host)
	}
	port := "389"
	if o.Transport == LDAPS {
		port = "636"
	}
	if name, given, err := net.SplitHostPort(host); err == nil {
		if _, err := net.LookupPort("tcp", given); err != nil || name == "" {
			return "", fmt.Errorf("%q is no server; expected HOST or HOST:PORT", host)
		}
		return host, nil
	}
	host = strings.Trim(host, "[]")
	if a, err := netip.ParseAddr(host); strings.Contains(host, ":") && (err != nil || !a.Is6()) {
		return "", fmt.Errorf("%q is no server; expected HOST or HOST:PORT", host)
	}
	return net.JoinHostPort(host, port), nil
}

// Directory is LDAP as a [security.Directory]. Close ends it.
type Directory struct {
	o      Options
	secret []byte
	pool   *pool

	mu      sync.Mutex
	flights map[key]*flight
	known   map[key]*verdict
	held    time.Time // when it was last said that verdicts hold because no server answers
}

// key stands for a user and a password.
type key [sha256.Size]byte

// verdict is what came out for a key.
type verdict struct {
	account security.Account
	wrong   error // nil: right
	at      time.Time
}

// flight is a question under way; all that ask the same wait for it.
type flight struct {
	done    chan struct{} // closed when account and err are set
	account security.Account
	err     error
}

// New makes a Directory. It fails only if the options do; a server need not be there yet.
func New(o Options) (*Directory, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	d := &Directory{o: o, secret: make([]byte, 32), flights: map[key]*flight{}, known: map[key]*verdict{}}
	rand.Read(d.secret)
	d.pool = newPool(&d.o)
	return d, nil
}

// Close closes connections that nobody uses; those in use are closed after their question.
func (d *Directory) Close() { d.pool.close() }

// Name is "ldap".
func (d *Directory) Name() string { return "ldap" }

func (d *Directory) key(user, password string) (k key) {
	mac := hmac.New(sha256.New, d.secret)
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(len(user))))
	mac.Write([]byte(user))
	mac.Write([]byte(password))
	mac.Sum(k[:0])
	return k
}

// maxBytes bounds a name and a password before a server is asked.
const maxBytes = 1024

// Verify is that of [security.Directory]. Right credentials are remembered for Options.CacheFor, and for Options.HoldFor where no server answers.
func (d *Directory) Verify(ctx context.Context, user, password string) (security.Account, error) {
	// LDAP takes "anna " and "ANNA\x00" for anna: names that look alike must not be of use to anybody.
	if user == "" || len(user) > maxBytes || strings.TrimSpace(user) != user || strings.ContainsFunc(user, unicode.IsControl) {
		return security.Account{}, security.ErrElsewhere
	}
	if password == "" || len(password) > maxBytes { // an empty one is an unauthenticated bind, which succeeds for anybody (RFC 4513, 5.1.2)
		return security.Account{}, security.ErrWrongPassword
	}
	k := d.key(user, password)
	d.mu.Lock()
	if v := d.known[k]; v != nil {
		keep := d.o.CacheFor
		if v.wrong != nil {
			keep = wrongFor
		}
		if time.Since(v.at) < keep {
			d.mu.Unlock()
			return v.account, v.wrong
		}
	}
	f := d.flights[k]
	if f == nil {
		if len(d.flights) >= d.o.MaxWaiting {
			d.mu.Unlock()
			return security.Account{}, security.ErrBusy
		}
		f = &flight{done: make(chan struct{})}
		d.flights[k] = f
		go d.fly(k, f, user, password) // not with the caller's context: others may come to wait for the same; every step of it is bounded
	}
	d.mu.Unlock()
	select {
	case <-f.done:
		return f.account, f.err
	case <-ctx.Done():
		return security.Account{}, ctx.Err()
	}
}

func (d *Directory) fly(k key, f *flight, user, password string) {
	f.account, f.err = d.ask(user, password)
	now := time.Now()
	d.mu.Lock()
	switch {
	case f.err == nil, errors.Is(f.err, security.ErrWrongPassword), errors.Is(f.err, security.ErrElsewhere):
		d.keep(k, &verdict{account: f.account, wrong: f.err, at: now})
	default:
		if v := d.known[k]; v != nil && v.wrong == nil && now.Sub(v.at) < d.o.HoldFor {
			if now.Sub(d.held) > time.Minute {
				d.held = now
				d.o.Log.Warn("no LDAP server answers: who logged in not long ago is admitted as then", "hold", d.o.HoldFor, "error", f.err)
			}
			f.account, f.err = v.account, nil
		}
	}
	delete(d.flights, k)
	d.mu.Unlock()
	close(f.done)
}

// keep remembers a verdict. If there are too many, one of a few random ones goes: a wrong one, else the oldest. The caller holds d.mu.
func (d *Directory) keep(k key, v *verdict) {
	if d.known[k] == nil && len(d.known) >= d.o.CacheSize {
		var gone key
		var worst *verdict
		looked := 0
		for other, o := range d.known {
			if worst == nil || (o.wrong != nil) && worst.wrong == nil || (o.wrong != nil) == (worst.wrong != nil) && o.at.Before(worst.at) {
				gone, worst = other, o
			}
			if looked++; looked == 8 {
				break
			}
		}
		delete(d.known, gone)
	}
	d.known[k] = v
}

// ask asks a server, and once more if a connection turned out to be gone.
func (d *Directory) ask(user, password string) (security.Account, error) {
	var account security.Account
	err := d.pool.with(func(c *connection) (err error) {
		account, err = d.login(c, user, password)
		return err
	})
	return account, err
}

// login is the whole conversation of one login.
func (d *Directory) login(c *connection, user, password string) (security.Account, error) {
	none := security.Account{}
	if err := c.serve(); err != nil {
		return none, err
	}
	attributes := []string{"1.1"} // none (RFC 4511, 4.5.1.8)
	if d.o.UserRoleName != "" {
		attributes = []string{d.o.UserRoleName}
	}
	users, err := c.search(d.o.UserBase, d.o.UserSearchSubtree, fill(d.o.UserSearchMatching, user), 2, attributes...)
	switch {
	case err != nil:
		return none, err
	case len(users) == 0:
		return none, security.ErrElsewhere
	case len(users) > 1:
		d.o.Log.Error("several LDAP entries are the user; none is admitted", "user", user, "userSearchMatching", d.o.UserSearchMatching)
		return none, security.ErrElsewhere
	}
	dn := users[0].DN
	if dn == "" { // a bind without a name is one of nobody
		return none, security.ErrElsewhere
	}
	switch err := c.bind(dn, password); {
	case refusedBind(err):
		return none, security.ErrWrongPassword
	case err != nil:
		return none, err
	}
	account := security.Account{Name: user}
	if d.o.UserRoleName != "" {
		account.Groups = append(account.Groups, users[0].GetEqualFoldAttributeValues(d.o.UserRoleName)...)
	}
	if d.o.RoleBase == "" {
		return account, nil
	}
	if err := c.serve(); err != nil { // the user may see less, or more
		return none, err
	}
	roles, err := c.search(d.o.RoleBase, d.o.RoleSearchSubtree, fill(d.o.RoleSearchMatching, dn, user), maxRoles, d.o.RoleName)
	if err != nil {
		return none, err
	}
	for _, r := range roles {
		account.Groups = append(account.Groups, r.GetEqualFoldAttributeValues(d.o.RoleName)...)
	}
	return account, nil
}

// refusedBind says whether an error of a bind means that the password is wrong or the account may not be used: anything else says nothing about it.
func refusedBind(err error) bool {
	return ldap.IsErrorAnyOf(err, ldap.LDAPResultInvalidCredentials, ldap.LDAPResultInappropriateAuthentication, ldap.LDAPResultNoSuchObject,
		ldap.LDAPResultInsufficientAccessRights, ldap.LDAPResultUnwillingToPerform, ldap.LDAPResultInvalidDNSyntax, ldap.LDAPResultConstraintViolation)
}
