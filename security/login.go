package security

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
)

// Credentials are what a client says of itself.
type Credentials struct {
	User     string
	Password string
	// Address of the client, behind any proxy. Failed logins are slowed by it, and the audit log names it.
	Address netip.AddrPort
	// Certificate of the client, nil if it has none. It must have been verified: here only its subject counts.
	Certificate *x509.Certificate
	// Protocol is for the audit log.
	Protocol string
	// Again says that a session which has logged in with them brings them once more: if they are right, only the debugging log hears of it.
	Again bool
}

// Reason says why a login was refused: for the audit log, and never for the client, which must not learn which users
// there are.
type Reason string

// The reasons of a refused login.
const (
	NoCredentials Reason = "no credentials given"
	UnknownUser   Reason = "unknown user"
	WrongPassword Reason = "wrong password"
	Throttled     Reason = "too many failed logins"
	Busy          Reason = "too many logins at once"
	Unverified    Reason = "credentials were not verified when the client connected"
	Unanswered    Reason = "the directory does not answer"
	Expired       Reason = "the token has expired"
)

// LoginError is a refused login. Its text is for the client; the Reason is not.
type LoginError struct {
	User   string
	Reason Reason
	Detail string // for the client, with the reason Unanswered: who does not answer
}

// Error is ActiveMQ's text, the same for an unknown user and a wrong password. Only where the password was not looked at,
// the text says so.
func (e *LoginError) Error() string {
	switch e.Reason {
	case Throttled:
		return "Too many failed logins from this address. Try again later."
	case Busy:
		return "Too many logins at once. Try again later."
	case Unanswered:
		return e.Detail + ". Try again later."
	case Expired:
		return "The token of user [" + e.User + "] has expired."
	}
	user := e.User
	if user == "" {
		user = "null" // what Java prints where there is none
	}
	return "User name [" + user + "] or password is invalid."
}

// Login admits a client or fails with a *LoginError, or with ctx's error if that ended first. It blocks for as long as a
// password hash takes, waits for a free worker before that, and for up to some seconds where the address or the user has
// failed a lot: not a call for a goroutine that others wait for.
func (a *Authority) Login(ctx context.Context, c Credentials) (*Identity, error) {
	s := a.current.Load()
	given := c.User != "" || c.Password != ""
	if len(c.User) > maxNameBytes {
		c.User = c.User[:maxNameBytes] // such a user does not exist
	}
	if s.mode == Ignore {
		return a.admit(c, c.User, c.User, noneOr(given)), nil
	}
	if c.Certificate != nil {
		if acc, shown := s.byCertificate(c.Certificate); acc != nil {
			i := a.admit(c, acc.name, shown, possessed)
			i.certificate = c.Certificate
			return i, nil
		}
	}
	if !given {
		switch s.mode {
		case Optional:
			return a.admit(c, anonymous, anonymous, nobody).doubted(NoCredentials), nil
		case Observe:
			a.observed.record("", c.Address, string(NoCredentials))
			return a.admit(c, "", "", nobody).doubted(NoCredentials), nil
		}
		// No guess, but a client that knows no better tries for ever: slow it like the others.
		switch err := a.throttle.wait(ctx, c.Address.Addr(), "", false); {
		case err == errThrottled:
			return nil, a.refuse(c, Throttled)
		case err != nil:
			return nil, fmt.Errorf("login without credentials: %w", err)
		}
		a.throttle.fail(c.Address.Addr(), "")
		return nil, a.refuse(c, NoCredentials)
	}
	out, reason, err := a.verify(ctx, s, c)
	var gone *Unavailable
	switch {
	case err != nil && !errors.As(err, &gone):
		return nil, fmt.Errorf("login of %q: %w", c.User, err)
	case reason == "" && out != nil:
		i := a.admit(c, out.acc.name, out.acc.name, password)
		i.outside = out
		return i, nil
	case reason == "":
		return a.admit(c, c.User, c.User, password), nil
	case s.mode == Observe:
		a.observed.record(c.User, c.Address, string(reason))
		return a.admit(c, c.User, c.User, noProof).doubted(reason), nil
	}
	refused := a.refuse(c, reason)
	if gone != nil {
		refused.Detail = gone.Text
	}
	return nil, refused
}

func noneOr(given bool) proof {
	if given {
		return noProof
	}
	return nobody
}

// verify returns "" if user and password are right, and the account if it is a directory's. A user of the policy is verified by the policy alone. Where
// there is no directory, an unknown user costs the same work as a known one. The reason Unanswered comes with an *Unavailable.
func (a *Authority) verify(ctx context.Context, s *snapshot, c Credentials) (*outside, Reason, error) {
	acc := s.users[c.User]
	ask := acc == nil && len(s.directories) > 0
	if limit := maxPasswordBytes; len(c.Password) > limit && (!ask || len(c.Password) > MaxSecretBytes) {
		c.Password = "" // always wrong
	}
	hash := a.verifier.dummy(s, c.User)
	if acc != nil && acc.hash != nil {
		hash = acc.hash
	}
	basis := hash.text()
	if ask {
		basis = "directory"
	}
	key := a.verifier.key(c.User, c.Password, basis)
	address := c.Address.Addr()
	slowed := s.mode != Observe // which refuses nobody, so there is nothing to guess
	if slowed {
		if err := a.throttle.wait(ctx, address, c.User, a.verifier.proven(address, key)); err != nil {
			if err == errThrottled {
				return nil, Throttled, nil
			}
			return nil, "", err
		}
	}
	reason := WrongPassword
	if ask && c.Password != "" { // an empty one binds to many an LDAP server as nobody, which it takes for success
		out, why, err := a.ask(ctx, s, c)
		switch {
		case why == "" && err == nil:
			a.verifier.prove(address, key)
			return out, "", nil
		case err != nil || why == Busy:
			return nil, why, err
		}
		reason = why
	} else {
		right, err := a.verifier.verify(ctx, key, hash, c.Password)
		switch {
		case err == errBusy:
			return nil, Busy, nil
		case err != nil:
			return nil, "", err
		case right && acc != nil && acc.hash != nil && c.Password != "":
			a.verifier.prove(address, key)
			return nil, "", nil
		}
		if acc == nil {
			reason = UnknownUser
		}
	}
	if slowed {
		a.throttle.fail(address, c.User)
	}
	return nil, reason, nil
}

func (a *Authority) admit(c Credentials, name, shown string, by proof) *Identity {
	level := slog.LevelInfo
	if c.Again {
		level = slog.LevelDebug
	}
	a.log.Log(context.Background(), level, "login", slog.String("user", shown), slog.Any("address", c.Address), slog.String("protocol", c.Protocol),
		slog.Bool("verified", by == password || by == possessed))
	return &Identity{authority: a, name: name, shown: shown, address: c.Address, proof: by}
}

func (i *Identity) doubted(why Reason) *Identity {
	i.doubt = why
	return i
}

func (a *Authority) refuse(c Credentials, reason Reason) *LoginError {
	// Who is throttled may try thousands of times a second: that must not become as many lines.
	if reason != Throttled || a.throttle.mention(c.Address.Addr()) {
		attributes := []any{slog.String("user", c.User), slog.Any("address", c.Address), slog.String("protocol", c.Protocol),
			slog.String("reason", string(reason))}
		if c.Certificate != nil {
			attributes = append(attributes, slog.String("certificate", subjectText(c.Certificate)))
		}
		a.log.Warn("login refused", attributes...)
	}
	return &LoginError{User: c.User, Reason: reason}
}
