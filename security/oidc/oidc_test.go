package oidc

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/godwitmq/godwit/security"
)

// issuer answers as a provider does, or otherwise.
type issuer struct {
	*httptest.Server
	mu    sync.Mutex
	keys  any // what is at jwks_uri
	asked atomic.Int64
	other http.HandlerFunc // answers instead
}

func newIssuer(t *testing.T) *issuer {
	i := &issuer{}
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.mu.Lock()
		keys, other := i.keys, i.other
		i.mu.Unlock()
		switch {
		case r.URL.Path == "/.well-known/openid-configuration":
			fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q,"authorization_endpoint":%q,"token_endpoint":%q}`, i.URL, i.URL+"/keys", i.URL+"/auth", i.URL+"/token")
		case other != nil:
			i.asked.Add(1)
			other(w, r)
		default:
			i.asked.Add(1)
			_ = json.NewEncoder(w).Encode(keys)
		}
	}))
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) serve(keys ...jose.JSONWebKey) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = jose.JSONWebKeySet{Keys: keys}
}

func (i *issuer) instead(h http.HandlerFunc) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.other = h
}

type keyPair struct {
	private any
	public  jose.JSONWebKey
}

func rsaPair(t *testing.T, id string, bits int) keyPair {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return keyPair{k, jose.JSONWebKey{Key: &k.PublicKey, KeyID: id, Use: "sig"}}
}

func ecPair(t *testing.T, id string) keyPair {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return keyPair{k, jose.JSONWebKey{Key: &k.PublicKey, KeyID: id, Use: "sig", Algorithm: "ES256"}}
}

// sign makes a token; without an id in the header if id is "".
func sign(t *testing.T, algorithm string, key any, id string, claims map[string]any) string {
	t.Helper()
	options := (&jose.SignerOptions{}).WithType("JWT")
	if id != "" {
		options = options.WithHeader("kid", id)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(algorithm), Key: key}, options)
	if err != nil {
		t.Fatal(err)
	}
	text, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func unsigned(header string, claims map[string]any) string {
	body, _ := json.Marshal(claims)
	return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString(body) + "."
}

func open(t *testing.T, i *issuer, change func(*Options)) *Provider {
	t.Helper()
	o := Options{Issuer: i.URL, Audiences: []string{"godwit", "other-name"}, GroupsClaim: "realm.roles", Leeway: 10 * time.Second, Timeout: 2 * time.Second}
	if change != nil {
		change(&o)
	}
	p, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestTokens(t *testing.T) {
	i := newIssuer(t)
	key, second, weak, stranger := ecPair(t, "k1"), rsaPair(t, "k2", 2048), rsaPair(t, "weak", 1024), ecPair(t, "k1")
	secret := []byte(strings.Repeat("s", 32))
	i.serve(key.public, second.public, weak.public, jose.JSONWebKey{Key: secret, KeyID: "shared", Use: "sig"})
	der, err := x509.MarshalPKIXPublicKey(second.public.Key)
	if err != nil {
		t.Fatal(err)
	}
	good := func(change func(map[string]any)) map[string]any {
		now := time.Now()
		c := map[string]any{"iss": i.URL, "aud": "godwit", "sub": "anna", "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(), "realm": map[string]any{"roles": []string{"writers", "readers"}}}
		if change != nil {
			change(c)
		}
		return c
	}
	set := func(name string, value any) map[string]any { return good(func(c map[string]any) { c[name] = value }) }
	without := func(name string) map[string]any { return good(func(c map[string]any) { delete(c, name) }) }
	es := func(c map[string]any) string { return sign(t, "ES256", key.private, "k1", c) }
	in := func(d time.Duration) int64 { return time.Now().Add(d).Unix() }
	right := es(good(nil))
	tests := map[string]struct {
		change  func(*Options)
		user    string
		token   string
		name    string // "": refused
		groups  []string
		because string
		err     error // instead of ErrWrongPassword
	}{
		"right":                   {token: right, name: "anna", groups: []string{"writers", "readers"}},
		"with its user":           {user: "anna", token: right, name: "anna", groups: []string{"writers", "readers"}},
		"with the token's user":   {user: AnyUser, token: right, name: "anna", groups: []string{"writers", "readers"}},
		"with another user":       {user: "ben", token: right, because: "another user"},
		"RS256":                   {token: sign(t, "RS256", second.private, "k2", good(nil)), name: "anna", groups: []string{"writers", "readers"}},
		"no key id":               {token: sign(t, "RS256", second.private, "", good(nil)), name: "anna", groups: []string{"writers", "readers"}},
		"several audiences":       {token: es(set("aud", []string{"x", "other-name"})), name: "anna", groups: []string{"writers", "readers"}},
		"another claim":           {change: func(o *Options) { o.UserClaim = "email" }, token: es(set("email", "anna@example.test")), name: "anna@example.test", groups: []string{"writers", "readers"}},
		"one group":               {change: func(o *Options) { o.GroupsClaim = "group" }, token: es(set("group", "g")), name: "anna", groups: []string{"g"}},
		"a claim with dots":       {change: func(o *Options) { o.GroupsClaim = "https://a.b/groups" }, token: es(set("https://a.b/groups", []any{"g", 7})), name: "anna", groups: []string{"g"}},
		"no groups":               {token: es(without("realm")), name: "anna"},
		"expired within leeway":   {token: es(set("exp", in(-5*time.Second))), name: "anna", groups: []string{"writers", "readers"}},
		"a password":              {token: "secret", err: security.ErrElsewhere},
		"a password with dots":    {token: "a.b.c", err: security.ErrElsewhere},
		"expired":                 {token: es(set("exp", in(-time.Minute))), because: "exp"},
		"no end":                  {token: es(without("exp")), because: "no exp"},
		"end is text":             {token: es(set("exp", "never")), because: ""},
		"not yet":                 {token: es(set("nbf", in(time.Hour))), because: "nbf"},
		"issued in future":        {token: es(set("iat", in(time.Hour))), because: "iat"},
		"wrong audience":          {token: es(set("aud", "somebody")), because: "aud"},
		"no audience":             {token: es(without("aud")), because: "aud"},
		"wrong issuer":            {token: es(set("iss", "https://other.test")), because: "iss"},
		"no issuer":               {token: es(without("iss")), because: "iss"},
		"no user":                 {token: es(without("sub")), because: "no user"},
		"empty user":              {token: es(set("sub", "")), because: "no user"},
		"user is a number":        {token: es(set("sub", 7)), because: ""},
		"reserved user":           {token: es(set("sub", AnyUser)), because: "no user"},
		"alg none":                {token: unsigned(`{"alg":"none"}`, good(nil)), because: "no token with a signature"},
		"alg None":                {token: unsigned(`{"alg":"None","kid":"k1"}`, good(nil)), because: "no token with a signature"},
		"no signature":            {token: right[:strings.LastIndexByte(right, '.')+1], because: ""},
		"other body":              {token: strings.Split(right, ".")[0] + "." + strings.Split(es(set("sub", "root")), ".")[1] + "." + strings.Split(right, ".")[2], because: "signature"},
		"public key as secret":    {token: sign(t, "HS256", der, "k2", good(nil)), because: "no token with a signature"},
		"shared secret":           {token: sign(t, "HS256", secret, "shared", good(nil)), because: "no token with a signature"},
		"another key of that id":  {token: sign(t, "ES256", stranger.private, "k1", good(nil)), because: "signature"},
		"unknown key":             {token: sign(t, "ES256", stranger.private, "k9", good(nil)), because: "no key"},
		"weak key":                {token: sign(t, "RS256", weak.private, "weak", good(nil)), because: "no key"},
		"key for another alg":     {token: sign(t, "RS256", second.private, "k1", good(nil)), because: "no key"},
		"algorithm not listed":    {token: sign(t, "PS256", second.private, "k2", good(nil)), because: "no token with a signature"},
		"its own key":             {token: embedded(t, stranger, good(nil)), because: ""},
		"huge":                    {token: es(set("x", strings.Repeat("x", security.MaxSecretBytes))), because: "bytes"},
		"rubbish":                 {token: "ey" + strings.Repeat("!", 20) + ".x.y", because: "no token"},
		"deep nesting":            {token: "ey" + base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat("[", 5000))) + ".e.y", because: "no token"},
		"audience is an object":   {token: es(set("aud", map[string]any{"godwit": true})), because: ""},
		"groups inside something": {change: func(o *Options) { o.GroupsClaim = "sub.roles" }, token: right, name: "anna"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := open(t, i, tt.change)
			account, err := p.Verify(t.Context(), tt.user, tt.token)
			want := tt.err
			if tt.name == "" && want == nil {
				want = security.ErrWrongPassword
			}
			switch {
			case !errors.Is(err, want) || (err == nil) != (want == nil):
				t.Fatalf("Verify = %+v, %v; want error %v", account, err, want)
			case err != nil && !strings.Contains(err.Error(), tt.because):
				t.Errorf("Verify = %v, want %q", err, tt.because)
			case err != nil && len(tt.token) > 100 && strings.Contains(err.Error(), tt.token[:100]):
				t.Errorf("the token is in the error: %v", err)
			case err == nil && (account.Name != tt.name || !slices.Equal(account.Groups, tt.groups)):
				t.Errorf("Verify = %+v, want %s in %v", account, tt.name, tt.groups)
			case err == nil && account.Until.Before(time.Now()):
				t.Errorf("the account ends at %v", account.Until)
			}
		})
	}
}

// embedded brings its own key in its header.
func embedded(t *testing.T, k keyPair, claims map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: k.private}, &jose.SignerOptions{EmbedJWK: true})
	if err != nil {
		t.Fatal(err)
	}
	text, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestRotation: a new key is fetched when the first token names it, and a flood of unknown ones makes no flood of questions.
func TestRotation(t *testing.T) {
	i := newIssuer(t)
	old, fresh := ecPair(t, "old"), ecPair(t, "new")
	i.serve(old.public)
	p := open(t, i, nil)
	claims := map[string]any{"iss": i.URL, "aud": "godwit", "sub": "anna", "exp": time.Now().Add(time.Hour).Unix()}
	if _, err := p.Verify(t.Context(), "", sign(t, "ES256", old.private, "old", claims)); err != nil {
		t.Fatal(err)
	}
	p.age(pause)
	i.serve(fresh.public)
	if _, err := p.Verify(t.Context(), "", sign(t, "ES256", fresh.private, "new", claims)); err != nil {
		t.Errorf("a token of the new key: %v", err)
	}
	if _, err := p.Verify(t.Context(), "", sign(t, "ES256", old.private, "old", claims)); !errors.Is(err, security.ErrWrongPassword) {
		t.Errorf("a token of the key that was taken back: %v", err)
	}
	p.age(pause)
	nameless := rsaPair(t, "", 2048)
	i.serve(fresh.public, nameless.public)
	if _, err := p.Verify(t.Context(), "", sign(t, "RS256", nameless.private, "", claims)); err != nil {
		t.Errorf("a token of a key without a name: %v", err)
	}
	p.age(pause)
	other := rsaPair(t, "", 2048)
	i.serve(fresh.public, other.public)
	if _, err := p.Verify(t.Context(), "", sign(t, "RS256", other.private, "", claims)); err != nil {
		t.Errorf("a token of another key without a name: %v", err)
	}
	before := i.asked.Load()
	var wait sync.WaitGroup
	for n := range 50 {
		token := sign(t, "ES256", fresh.private, fmt.Sprint("unknown ", n), claims)
		wait.Go(func() {
			if _, err := p.Verify(t.Context(), "", token); !errors.Is(err, security.ErrWrongPassword) {
				t.Errorf("an unknown key: %v", err)
			}
		})
	}
	wait.Wait()
	if asked := i.asked.Load() - before; asked != 0 {
		t.Errorf("50 unknown keys within the pause made %d questions", asked)
	}
	p.age(pause)
	for n := range 5 {
		_, _ = p.Verify(t.Context(), "", sign(t, "ES256", fresh.private, fmt.Sprint("unknown ", n), claims))
	}
	if asked := i.asked.Load() - before; asked != 1 {
		t.Errorf("unknown keys after the pause made %d questions, want 1", asked)
	}
}

// age makes the keys older.
func (p *Provider) age(by time.Duration) {
	p.keys.mu.Lock()
	defer p.keys.mu.Unlock()
	p.keys.tried, p.keys.fetched = p.keys.tried.Add(-by), p.keys.fetched.Add(-by)
}

// TestProviderFaults: keys that are known hold for a while, whatever the provider does; without any it is said that it does not answer.
func TestProviderFaults(t *testing.T) {
	faults := map[string]http.HandlerFunc{
		"down":    func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) },
		"error":   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"slow":    func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"no JSON": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") },
		"no keys": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"keys":[]}`) },
		"huge":    func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(bytes.Repeat([]byte(" "), 4*maxAnswer)) },
		"many": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, `{"keys":[%s{}]}`, strings.Repeat("{},", maxKeys))
		},
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
		},
	}
	key := ecPair(t, "k")
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			i := newIssuer(t)
			i.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
			i.serve(key.public)
			p := open(t, i, func(o *Options) { o.Timeout = 500 * time.Millisecond })
			token := sign(t, "ES256", key.private, "k", map[string]any{"iss": i.URL, "aud": "godwit", "sub": "anna", "exp": time.Now().Add(24 * time.Hour).Unix()})
			if _, err := p.Verify(t.Context(), "", token); err != nil {
				t.Fatal(err)
			}
			i.instead(fault)
			p.age(p.o.KeysFor + pause) // so that they are fetched beside
			if _, err := p.Verify(t.Context(), "", token); err != nil {
				t.Errorf("with known keys: %v", err)
			}
			p.age(p.o.HoldFor)
			var gone *security.Unavailable
			if _, err := p.Verify(t.Context(), "", token); !errors.As(err, &gone) || gone.Text != "the identity provider does not answer" {
				t.Errorf("with keys that are too old: %v", err)
			}
			fresh := open(t, i, func(o *Options) { o.Timeout = 500 * time.Millisecond })
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			defer cancel()
			<-ctx.Done()
			if _, err := fresh.Verify(ctx, "", token); !errors.Is(err, context.DeadlineExceeded) && !errors.As(err, &gone) {
				t.Errorf("a caller who does not wait: %v", err)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	tests := map[string]struct {
		change func(*Options)
		want   string
	}{
		"good":           {func(*Options) {}, ""},
		"loopback":       {func(o *Options) { o.Issuer = "http://127.0.0.1:9400" }, ""},
		"plain":          {func(o *Options) { o.Issuer = "http://idp.example.test" }, "issuer: "},
		"no issuer":      {func(o *Options) { o.Issuer = "" }, "issuer: "},
		"plain keys":     {func(o *Options) { o.KeysURL = "http://idp.example.test/keys" }, "keys: "},
		"a file":         {func(o *Options) { o.KeysURL = "file:///etc/passwd" }, "keys: "},
		"no audience":    {func(o *Options) { o.Audiences = nil }, "audiences: "},
		"shared secret":  {func(o *Options) { o.Algorithms = []string{"RS256", "HS256"} }, `algorithms: "HS256" is not accepted`},
		"no signature":   {func(o *Options) { o.Algorithms = []string{"none"} }, `algorithms: "none" is not accepted`},
		"with a user":    {func(o *Options) { o.Issuer = "https://a:b@idp.example.test" }, "issuer: "},
		"with fragments": {func(o *Options) { o.Issuer = "https://idp.example.test#x" }, "issuer: "},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			o := Options{Issuer: "https://idp.example.test/realm", Audiences: []string{"godwit"}}
			tt.change(&o)
			if err := o.Check(); (err == nil) != (tt.want == "") || err != nil && !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("Check = %v, want %q", err, tt.want)
			}
		})
	}
}
