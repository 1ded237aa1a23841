package security

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// table is a directory of users in memory, whose passwords are "right". Real ones are tested in ldap and oidc.
type table struct {
	name  string
	users map[string]Account
	fails error // instead of an answer
	asked int
}

func (d *table) Name() string { return d.name }

func (d *table) Verify(_ context.Context, user, password string) (Account, error) {
	d.asked++
	switch a, ok := d.users[user]; {
	case d.fails != nil:
		return Account{}, d.fails
	case !ok:
		return Account{}, ErrElsewhere
	case password != "right":
		return Account{}, ErrWrongPassword
	default:
		return a, nil
	}
}

// TestDirectories: which one is asked, what its answers become, and that a user of the policy is the policy's alone.
func TestDirectories(t *testing.T) {
	first := &table{name: "first", users: map[string]Account{"anna": {Name: "anna", Groups: []string{"g", "*", "", "g"}}, "other": {Name: "local"}, "odd": {Name: "a\nb"}}}
	second := &table{name: "second", users: map[string]Account{"anna": {Name: "anna"}, "ben": {Name: "ben", Groups: []string{"h"}}}}
	policy := Policy{Users: []User{{Name: "local", PasswordHash: cheapHash("p")}}, Directories: []Directory{first, second}, Rights: []Entry{{Destination: "queue://A", Read: []string{"g"}}}}
	tests := map[string]struct {
		mode           Mode
		user, password string
		fails          error
		groups         []string
		reason         Reason
		text           string // of the error
		doubt          Reason
		asked          int // directories
	}{
		"first":               {mode: Mandatory, user: "anna", password: "right", groups: []string{"g"}, asked: 1},
		"second":              {mode: Mandatory, user: "ben", password: "right", groups: []string{"h"}, asked: 2},
		"wrong in the first":  {mode: Mandatory, user: "anna", password: "wrong", reason: WrongPassword, asked: 1},
		"nowhere":             {mode: Mandatory, user: "eve", password: "right", reason: UnknownUser, asked: 2},
		"no password":         {mode: Mandatory, user: "anna", reason: UnknownUser},
		"long password":       {mode: Mandatory, user: "anna", password: strings.Repeat("x", MaxSecretBytes+1), reason: UnknownUser},
		"local":               {mode: Mandatory, user: "local", password: "p", groups: nil},
		"local, wrong":        {mode: Mandatory, user: "local", password: "right", reason: WrongPassword},
		"takes a local name":  {mode: Mandatory, user: "other", password: "right", reason: UnknownUser, asked: 1},
		"no answer":           {mode: Mandatory, user: "anna", password: "right", fails: &Unavailable{Text: "it does not answer"}, reason: Unanswered, text: "it does not answer. Try again later.", asked: 1},
		"busy":                {mode: Mandatory, user: "anna", password: "right", fails: ErrBusy, reason: Busy, text: "Too many logins at once. Try again later.", asked: 1},
		"observe, right":      {mode: Observe, user: "anna", password: "right", groups: []string{"g"}, asked: 1},
		"observe, wrong":      {mode: Observe, user: "anna", password: "wrong", doubt: WrongPassword, asked: 1},
		"observe, no answer":  {mode: Observe, user: "anna", password: "right", fails: &Unavailable{Text: "x"}, doubt: Unanswered, asked: 1},
		"optional, no answer": {mode: Optional, user: "anna", password: "right", fails: &Unavailable{Text: "x"}, reason: Unanswered, asked: 1},
		"ignore":              {mode: Ignore, user: "anna", password: "wrong"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			policy.Mode = tt.mode
			a := newAuthority(t, policy, Options{})
			first.fails, first.asked, second.asked = tt.fails, 0, 0
			i, err := a.Login(t.Context(), Credentials{User: tt.user, Password: tt.password, Address: here})
			if asked := first.asked + second.asked; asked != tt.asked {
				t.Errorf("%d directories were asked, want %d", asked, tt.asked)
			}
			var refused *LoginError
			switch {
			case tt.reason == "" && err != nil, tt.reason != "" && (!errors.As(err, &refused) || refused.Reason != tt.reason):
				t.Fatalf("Login = %v, want reason %q", err, tt.reason)
			case refused != nil && tt.text != "" && err.Error() != tt.text, refused != nil && tt.text == "" && err.Error() != "User name ["+tt.user+"] or password is invalid." && tt.reason != Unanswered:
				t.Errorf("the client is told %q", err)
			case err == nil && (i.Name() != tt.user || !slices.Equal(i.Groups(), tt.groups) || i.Doubt() != tt.doubt):
				t.Errorf("%s in %v, doubt %q; want %s in %v, doubt %q", i.Name(), i.Groups(), i.Doubt(), tt.user, tt.groups, tt.doubt)
			}
		})
	}
	first.fails, policy.Mode = nil, Mandatory
	first.users["odd name"] = Account{Name: "a\nb"}
	if _, err := newAuthority(t, policy, Options{}).Login(t.Context(), Credentials{User: "odd name", Password: "right", Address: here}); err == nil || strings.Contains(err.Error(), "odd name] or password") {
		t.Errorf("a name with a line end: %v", err)
	}
	policy.Directories = []Directory{first, first}
	if _, err := New(policy, Options{}); err == nil {
		t.Error("a directory may be there twice")
	}
}

// TestDirectoryAccountEnds: by its time, by the directory's going, and by a user of the policy with its name.
func TestDirectoryAccountEnds(t *testing.T) {
	d := &table{name: "d", users: map[string]Account{"anna": {Name: "anna", Groups: []string{"g"}}, "short": {Name: "short", Groups: []string{"g"}, Until: time.Now().Add(200 * time.Millisecond)}}}
	policy := Policy{Mode: Mandatory, Directories: []Directory{d}, Rights: []Entry{{Destination: ">", Read: []string{"g"}}}}
	a := newAuthority(t, policy, Options{})
	login := func(user string) (*Identity, chan error) {
		t.Helper()
		i, err := a.Login(t.Context(), Credentials{User: user, Password: "right", Address: here})
		if err != nil {
			t.Fatal(err)
		}
		if err := i.MayRead(Queue, "A"); err != nil {
			t.Error(err)
		}
		gone := make(chan error, 1)
		t.Cleanup(i.Watch(func(err error) { gone <- err }))
		return i, gone
	}
	short, gone := login("short")
	select {
	case err := <-gone:
		if want := "The token of user [short] has expired."; err.Error() != want || short.Valid() == nil {
			t.Errorf("told %q, valid %v; want %q", err, short.Valid(), want)
		}
	case <-time.After(30 * time.Second):
		t.Error("an account whose time is over is not told")
	}
	for name, change := range map[string]func(*Policy){
		"the directory is gone": func(p *Policy) { p.Directories = nil },
		"a user of that name":   func(p *Policy) { p.Users = []User{{Name: "anna", PasswordHash: cheapHash("p"), Groups: []string{"g"}}} },
	} {
		t.Run(name, func(t *testing.T) {
			if err := a.Update(policy); err != nil {
				t.Fatal(err)
			}
			i, gone := login("anna")
			if err := a.Update(policy); err != nil || len(gone) > 0 {
				t.Fatalf("the same policy: %v", err)
			}
			changed := policy
			change(&changed)
			if err := a.Update(changed); err != nil {
				t.Fatal(err)
			}
			if len(gone) != 1 || i.MayRead(Queue, "A") == nil || len(i.Groups()) != 0 {
				t.Error("the client is as before")
			}
		})
	}
}

// TestDirectoryGuesses: those who guess are slowed before a directory is asked.
func TestDirectoryGuesses(t *testing.T) {
	d := &table{name: "d", users: map[string]Account{"anna": {Name: "anna"}}}
	a := newAuthority(t, Policy{Mode: Mandatory, Directories: []Directory{d}}, Options{})
	for range 100 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		_, _ = a.Login(ctx, Credentials{User: "anna", Password: "wrong", Address: here})
		cancel()
	}
	if d.asked < 5 || d.asked > 20 {
		t.Errorf("100 guesses at once made %d questions", d.asked)
	}
}

func certificate(t *testing.T, template *x509.Certificate) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(1)
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestCertificateRules: what fits whole makes a user, of those of the policy or with groups of its own.
func TestCertificateRules(t *testing.T) {
	id, err := url.Parse("spiffe://x.test/sa/pay")
	if err != nil {
		t.Fatal(err)
	}
	subject := func(cn string) *x509.Certificate {
		return &x509.Certificate{Subject: pkix.Name{CommonName: cn, Organization: []string{"T"}}}
	}
	rule := func(from, matching, user string, groups ...string) CertificateRule {
		return CertificateRule{From: from, Matching: matching, User: user, Groups: groups}
	}
	tests := map[string]struct {
		certificate *x509.Certificate
		rules       []CertificateRule
		user        string // "": refused
		groups      []string
	}{
		"common name":          {subject("a.svc"), []CertificateRule{rule("cn", `(.+)\.svc`, "$1", "g")}, "a", []string{"g"}},
		"named group":          {subject("a.svc"), []CertificateRule{rule("cn", `(?P<who>.+)\.svc`, "sa-${who}", "g")}, "sa-a", []string{"g"}},
		"only whole":           {subject("a.svc.evil"), []CertificateRule{rule("cn", `(.+)\.svc`, "$1", "g")}, "", nil},
		"alternatives whole":   {subject("xadmin"), []CertificateRule{rule("cn", `root|admin`, "admin", "g")}, "", nil},
		"line end":             {subject("a.svc\nx"), []CertificateRule{rule("cn", `(.+)\.svc`, "$1", "g")}, "", nil},
		"of the policy":        {subject("ann"), []CertificateRule{rule("cn", `.+`, "$0")}, "ann", []string{"own"}},
		"not of the policy":    {subject("bob"), []CertificateRule{rule("cn", `.+`, "$0")}, "", nil},
		"second rule":          {subject("bob"), []CertificateRule{rule("cn", `.+`, "$0"), rule("dn", `CN=bob, O=T`, "robert", "h")}, "robert", []string{"h"}},
		"DN in disguise":       {subject("x, O=T"), []CertificateRule{rule("dn", `CN=x, O=T.*`, "x", "g")}, "", nil},
		"uri":                  {&x509.Certificate{Subject: pkix.Name{CommonName: "x"}, URIs: []*url.URL{id}}, []CertificateRule{rule("uri", `spiffe://x\.test/sa/(.+)`, "$1", "g")}, "pay", []string{"g"}},
		"dns":                  {&x509.Certificate{Subject: pkix.Name{CommonName: "x"}, DNSNames: []string{"other", "a.svc"}}, []CertificateRule{rule("dns", `(.+)\.svc`, "$1", "g")}, "a", []string{"g"}},
		"email":                {&x509.Certificate{Subject: pkix.Name{CommonName: "x"}, EmailAddresses: []string{"a@x.test"}}, []CertificateRule{rule("email", `(.+)@x\.test`, "$1", "g")}, "a", []string{"g"}},
		"a subject goes first": {subject("sub"), []CertificateRule{rule("cn", `.+`, "else", "g")}, "ann", []string{"own"}},
		"empty name":           {subject("x"), []CertificateRule{rule("cn", `x(y?)`, "$1", "g")}, "", nil},
		"control characters":   {subject("a\tb"), []CertificateRule{rule("cn", `(?s).+`, "$0", "g")}, "", nil},
	}
	users := []User{{Name: "ann", PasswordHash: cheapHash("p"), Groups: []string{"own"}, CertificateSubjects: []string{"CN=sub, O=T"}}}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			policy := Policy{Mode: Mandatory, Users: users, Certificates: tt.rules}
			a := newAuthority(t, policy, Options{})
			i, err := a.Login(t.Context(), Credentials{Address: here, Certificate: certificate(t, tt.certificate)})
			if tt.user == "" {
				if err == nil {
					t.Errorf("it is let in as %s", i.Name())
				}
				return
			}
			if err != nil || i.Name() != tt.user || !slices.Equal(i.Groups(), tt.groups) {
				t.Fatalf("Login = %v, %v; want %s in %v", i, err, tt.user, tt.groups)
			}
			policy.Users, policy.Certificates = nil, nil
			told := false
			defer i.Watch(func(error) { told = true })()
			if err := a.Update(policy); err != nil || !told {
				t.Errorf("without its rule it stays: %v", err)
			}
		})
	}
	for want, r := range map[string]CertificateRule{
		"is no part":      rule("sn", ".+", "$0"),
		"no regular":      rule("cn", "(", "$0"),
		"says no user":    rule("cn", ".+", ""),
		"matches nothing": rule("cn", "", "x"),
		"in the group *":  rule("cn", ".+", "x", "*"),
		"no regular ":     rule("cn", `a)|(b`, "x"),
	} {
		if err := CheckCertificateRule(r); err == nil || !strings.Contains(err.Error(), strings.TrimSpace(want)) {
			t.Errorf("%+v: %v, want %q", r, err, want)
		}
	}
}
