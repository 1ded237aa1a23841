package oidc

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/godwitmq/godwit/security"
	"golang.org/x/oauth2"
)

// LoginOptions say how people are sent to the provider.
type LoginOptions struct {
	ClientID     string
	ClientSecret string // empty: a public client, which PKCE alone protects
	// RedirectURL is where the provider sends people back to: where Finish is served. https, or http on loopback.
	RedirectURL string
	Scopes      []string // beside openid
}

// Login is the authorization code flow with PKCE (RFC 7636): Begin sends a person to the provider, and Finish knows who comes back. What Finish needs is in a
// cookie, sealed with a key that dies with the process; nothing is kept here. It may be used concurrently.
type Login struct {
	p      *Provider
	o      LoginOptions
	seal   cipher.AEAD
	cookie http.Cookie
}

// loginWithin is how long a person may take at the provider.
const loginWithin = 10 * time.Minute

const cookieName = "godwit-login"

// NewLogin makes a Login for tokens of p. It fails only if the options do.
func (p *Provider) NewLogin(o LoginOptions) (*Login, error) {
	if o.ClientID == "" {
		return nil, errors.New("clientID: is missing; expected what the provider calls this application")
	}
	if err := checkURL(o.RedirectURL); err != nil {
		return nil, fmt.Errorf("redirectURL: %w", err)
	}
	u, err := url.Parse(o.RedirectURL)
	if err != nil {
		return nil, err
	}
	key := make([]byte, 32)
	rand.Read(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	l := &Login{p: p, o: o, cookie: http.Cookie{Name: cookieName, Path: u.Path, HttpOnly: true, Secure: u.Scheme == "https", SameSite: http.SameSiteLaxMode}}
	l.seal, err = cipher.NewGCM(block)
	return l, err
}

// journey is what the cookie holds of a person who is on the way.
type journey struct {
	State, Nonce, Verifier string
	Back                   string // for the caller of Finish
	Until                  time.Time
}

func (l *Login) config(ctx context.Context) (*oauth2.Config, error) {
	d, err := l.p.metadata.document(ctx)
	if err != nil {
		return nil, &security.Unavailable{Text: "the identity provider does not answer", Err: err}
	}
	return &oauth2.Config{ClientID: l.o.ClientID, ClientSecret: l.o.ClientSecret, RedirectURL: l.o.RedirectURL, Scopes: append([]string{"openid"}, l.o.Scopes...),
		Endpoint: oauth2.Endpoint{AuthURL: d.Authorization, TokenURL: d.Token}}, nil
}

// Begin answers with a redirect to the provider. back comes out of Finish again: where the person wanted to go. An error means that nothing was answered.
func (l *Login) Begin(w http.ResponseWriter, r *http.Request, back string) error {
	ctx, cancel := context.WithTimeout(r.Context(), l.p.o.Timeout)
	defer cancel()
	config, err := l.config(ctx)
	if err != nil {
		return err
	}
	if len(back) > 1024 {
		back = ""
	}
	j := journey{State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(), Back: back, Until: time.Now().Add(loginWithin)}
	plain, err := json.Marshal(j)
	if err != nil {
		return err
	}
	nonce := make([]byte, l.seal.NonceSize())
	rand.Read(nonce)
	cookie := l.cookie
	cookie.Value, cookie.MaxAge = base64.RawURLEncoding.EncodeToString(l.seal.Seal(nonce, nonce, plain, nil)), int(loginWithin.Seconds())
	http.SetCookie(w, &cookie)
	http.Redirect(w, r, config.AuthCodeURL(j.State, oauth2.S256ChallengeOption(j.Verifier), oauth2.SetAuthURLParam("nonce", j.Nonce)), http.StatusFound)
	return nil
}

// Finish says who has come back from the provider, with what Begin was given, and takes the cookie away. It answers nothing. The error is a *security.LoginError
// whose text is for the person, ctx's, or a *security.Unavailable.
func (l *Login) Finish(w http.ResponseWriter, r *http.Request) (account security.Account, back string, err error) {
	gone := l.cookie
	gone.MaxAge = -1
	http.SetCookie(w, &gone)
	fail := func(why string, args ...any) (security.Account, string, error) {
		l.p.o.Log.Warn("a login by the identity provider is refused", "remote", r.RemoteAddr, "why", fmt.Sprintf(why, args...))
		return security.Account{}, "", &security.LoginError{Reason: security.WrongPassword}
	}
	j, err := l.open(r)
	if err != nil {
		return fail("%v", err)
	}
	// RFC 9700, 4.7: the answer must be to this browser's own question.
	if subtle.ConstantTimeCompare([]byte(r.FormValue("state")), []byte(j.State)) != 1 {
		return fail("the state is not the one of this browser's login")
	}
	if e := r.FormValue("error"); e != "" {
		return fail("the provider says %.100q", e)
	}
	ctx, cancel := context.WithTimeout(r.Context(), 2*l.p.o.Timeout)
	defer cancel()
	config, err := l.config(ctx)
	if err != nil {
		return security.Account{}, "", err
	}
	token, err := config.Exchange(context.WithValue(ctx, oauth2.HTTPClient, l.p.metadata.client), r.FormValue("code"), oauth2.VerifierOption(j.Verifier))
	if err != nil {
		return fail("the code is not taken: %v", err)
	}
	id, _ := token.Extra("id_token").(string)
	c, err := l.p.claims(ctx, id, []string{l.o.ClientID})
	switch {
	case errors.Is(err, security.ErrWrongPassword):
		return fail("%v", err)
	case err != nil:
		return security.Account{}, "", err
	}
	if nonce, _ := c.all["nonce"].(string); subtle.ConstantTimeCompare([]byte(nonce), []byte(j.Nonce)) != 1 {
		return fail("the token is not the answer to this login")
	}
	if party, ok := c.all["azp"].(string); ok && party != l.o.ClientID || len(c.Audience) > 1 && !ok { // OpenID Connect Core 1.0, 3.1.3.7
		return fail("the token was made for another application")
	}
	if account, err = l.p.account(c); err != nil {
		return fail("%v", err)
	}
	return account, j.Back, nil
}

func (l *Login) open(r *http.Request) (*journey, error) {
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return nil, errors.New("no login was begun in this browser")
	}
	sealed, err := base64.RawURLEncoding.DecodeString(cookie.Value)
	if err != nil || len(sealed) < l.seal.NonceSize() {
		return nil, errors.New("the cookie of the login is damaged")
	}
	plain, err := l.seal.Open(nil, sealed[:l.seal.NonceSize()], sealed[l.seal.NonceSize():], nil)
	if err != nil {
		return nil, errors.New("the cookie of the login is not ours, or of before a restart")
	}
	var j journey
	if err := json.Unmarshal(plain, &j); err != nil {
		return nil, err
	}
	if time.Now().After(j.Until) {
		return nil, errors.New("the login took too long")
	}
	return &j, nil
}
