// Package oidc knows who somebody is by a token that an OpenID Connect provider has signed (a JWT), verified here with the provider's keys; and it sends
// people to the provider to log in, by the authorization code flow with PKCE. A [Provider] is a directory for package security: a token stands where a
// password would.
package oidc

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/godwitmq/godwit/security"
)

// Algorithms are those of signatures that can be verified with a public key; there are no others here: none and those with a shared secret (HS256) are refused
// whatever is configured.
var Algorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

// AnyUser is the user name of a client that leaves it to the token, as an empty one does.
const AnyUser = "$jwt"

// Options say which tokens are taken.
type Options struct {
	// Issuer is the provider, as tokens name it: an https URL, or http on loopback.
	Issuer string
	// KeysURL is where its keys are. Empty: where its openid-configuration says.
	KeysURL string
	// Roots are the authorities that may have signed the provider's certificate; nil: those of the system.
	Roots *x509.CertPool
	// Audiences are those that a token may be for: it must name one of them.
	Audiences []string
	// Algorithms of signatures; empty: RS256 and ES256.
	Algorithms []string
	// UserClaim is the claim that is the user's name. Empty: sub.
	UserClaim string
	// GroupsClaim is the claim with the groups, a text or a list of them; dots lead into objects. Empty: no groups.
	GroupsClaim string
	// Leeway is how far clocks may differ. 0 means none.
	Leeway time.Duration
	// Keep says that connections stay when the token's time is over.
	Keep bool
	// Timeout bounds each question to the provider. 0 means 5 seconds.
	Timeout time.Duration
	// KeysFor is how old keys may be before they are fetched again, beside the work; HoldFor, how old they may be if that fails. 0 mean 10 minutes and an hour.
	KeysFor, HoldFor time.Duration
	// Log is for what goes wrong; nil: nothing is logged.
	Log *slog.Logger
}

// Check completes the options and says what is wrong with them; the error's text begins with the field's name in the configuration.
func (o *Options) Check() error {
	if len(o.Algorithms) == 0 {
		o.Algorithms = []string{"RS256", "ES256"}
	}
	if o.UserClaim == "" {
		o.UserClaim = "sub"
	}
	if o.Timeout <= 0 {
		o.Timeout = 5 * time.Second
	}
	if o.KeysFor <= 0 {
		o.KeysFor = 10 * time.Minute
	}
	if o.HoldFor <= 0 {
		o.HoldFor = time.Hour
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if err := checkURL(o.Issuer); err != nil {
		return fmt.Errorf("issuer: %w", err)
	}
	if o.KeysURL != "" {
		if err := checkURL(o.KeysURL); err != nil {
			return fmt.Errorf("keys: %w", err)
		}
	}
	if len(o.Audiences) == 0 || slices.Contains(o.Audiences, "") {
		return errors.New("audiences: are missing: without them a token that was made for somebody else would do")
	}
	for _, a := range o.Algorithms {
		if !slices.Contains(Algorithms, a) {
			return fmt.Errorf("algorithms: %q is not accepted; expected some of %s", a, strings.Join(Algorithms, ", "))
		}
	}
	return nil
}

func checkURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Fragment != "":
		return fmt.Errorf("%q is no URL of a provider; expected https://HOST/PATH", text)
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http" && isLoopback(u.Hostname()):
		return nil
	}
	return fmt.Errorf("%q is not safe: whoever is in between could give other keys; expected https://", text)
}

func isLoopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && a.IsLoopback()
}

// Provider takes tokens. All its methods may be called concurrently.
type Provider struct {
	o          Options
	algorithms []jose.SignatureAlgorithm
	metadata   metadata
	keys       keys
}

// New makes a Provider. It fails only if the options do; the provider need not answer yet.
func New(o Options) (*Provider, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	p := &Provider{o: o}
	for _, a := range o.Algorithms {
		p.algorithms = append(p.algorithms, jose.SignatureAlgorithm(a))
	}
	p.metadata = metadata{o: &p.o, client: newClient(&p.o)}
	p.keys = keys{o: &p.o, metadata: &p.metadata}
	return p, nil
}

// Name is "oidc".
func (p *Provider) Name() string { return "oidc" }

// Verify is that of [security.Directory]. What does not look like a token is elsewhere; what does and is not right is refused here, so that no other
// directory is shown it. The user is the token's, and the name given must be that, AnyUser or empty.
func (p *Provider) Verify(ctx context.Context, user, password string) (security.Account, error) {
	if !looksLikeToken(password) {
		return security.Account{}, security.ErrElsewhere
	}
	c, err := p.claims(ctx, password, p.o.Audiences)
	if err != nil {
		return security.Account{}, err
	}
	account, err := p.account(c)
	if err == nil && user != "" && user != AnyUser && user != account.Name {
		return security.Account{}, refused("the token is of another user than the name given")
	}
	return account, err
}

// looksLikeToken: three parts, of which the first is an object in JSON by its first bytes.
func looksLikeToken(text string) bool {
	return strings.HasPrefix(text, "ey") && strings.Count(text, ".") == 2
}

// refused says for the log why a token is not taken.
func refused(format string, args ...any) error {
	return fmt.Errorf("%w: %s", security.ErrWrongPassword, fmt.Sprintf(format, args...))
}

// claims are those of a token that is right.
type claims struct {
	jwt.Claims
	all map[string]any
}

// claims verifies a token. The error is ErrWrongPassword with the reason, *Unavailable, or ctx's.
func (p *Provider) claims(ctx context.Context, text string, audiences []string) (*claims, error) {
	if len(text) > security.MaxSecretBytes {
		return nil, refused("the token has more than %d bytes", security.MaxSecretBytes)
	}
	token, err := jwt.ParseSigned(text, p.algorithms)
	if err != nil {
		return nil, refused("it is no token with a signature of %s: %v", strings.Join(p.o.Algorithms, ", "), err)
	}
	if len(token.Headers) != 1 {
		return nil, refused("the token has %d signatures", len(token.Headers))
	}
	header := token.Headers[0] // of which only kid and alg count: keys that come with a token are whoever's
	c, err := p.verified(ctx, token, header)
	if err != nil {
		return nil, err
	}
	if c.Expiry == nil {
		return nil, refused("the token never ends: it has no exp")
	}
	if err := c.ValidateWithLeeway(jwt.Expected{Issuer: p.o.Issuer, AnyAudience: audiences, Time: time.Now()}, p.o.Leeway); err != nil {
		return nil, refused("%v", err)
	}
	return c, nil
}

// verified checks the signature. If none of the keys fits that might, they may be of before a change, and are fetched: not every provider gives them names.
func (p *Provider) verified(ctx context.Context, token *jwt.JSONWebToken, header jose.Header) (*claims, error) {
	candidates, of, err := p.keys.find(ctx, header.KeyID, header.Algorithm, time.Time{})
	for first := true; err == nil; first = false {
		why := errors.New("no key fits")
		for _, key := range candidates {
			c := &claims{all: map[string]any{}}
			if why = token.Claims(key, &c.Claims, &c.all); why == nil {
				return c, nil
			}
		}
		if !first || !errors.Is(why, jose.ErrCryptoFailure) {
			return nil, refused("the signature does not fit: %v", why)
		}
		candidates, of, err = p.keys.find(ctx, header.KeyID, header.Algorithm, of)
	}
	return nil, err
}

// account is the user of a token.
func (p *Provider) account(c *claims) (security.Account, error) {
	name, ok := c.all[p.o.UserClaim].(string)
	if !ok || name == "" || name == AnyUser {
		return security.Account{}, refused("the token has no user in the claim %s", p.o.UserClaim)
	}
	a := security.Account{Name: name, Groups: texts(lookUp(c.all, p.o.GroupsClaim))}
	if !p.o.Keep {
		a.Until = c.Expiry.Time().Add(p.o.Leeway)
	}
	return a, nil
}

// lookUp finds a claim by its whole name, else by a path of names.
func lookUp(claims map[string]any, path string) any {
	if path == "" {
		return nil
	}
	if v, ok := claims[path]; ok {
		return v
	}
	name, rest, ok := strings.Cut(path, ".")
	inner, is := claims[name].(map[string]any)
	if !ok || !is {
		return nil
	}
	return lookUp(inner, rest)
}

func texts(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		var list []string
		for _, e := range v {
			if s, ok := e.(string); ok {
				list = append(list, s)
			}
		}
		return list
	}
	return nil
}
