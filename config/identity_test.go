package config

import (
	"os"
	"strings"
	"testing"
)

func TestIdentity(t *testing.T) {
	const ldap, oidc = "credentials: {ldap: {hosts: [a], userBase: 'ou=u,dc=x', ", "credentials: {oidc: {issuer: 'https://a', audiences: [g], "
	tests := map[string]struct{ text, want string }{
		"ldap":                      {ldap + "roleBase: 'ou=g,dc=x'}}", ""},
		"ldap, password in a file":  {ldap + "serviceAccountUsername: 'cn=a,dc=x', serviceAccountPasswordFile: p}}", ""},
		"ldap, both passwords":      {ldap + "serviceAccountUsername: 'cn=a,dc=x', serviceAccountPassword: p, serviceAccountPasswordFile: p}}", "credentials.ldap.serviceAccountPasswordFile: does not go together"},
		"ldap without hosts":        {"credentials: {ldap: {userBase: 'ou=u,dc=x'}}", "credentials.ldap.hosts: are missing"},
		"ldap rights alone":         {"credentials: {ldap: {rights: {queueBase: 'ou=q,dc=x'}}}", "credentials.ldap.hosts: are missing"},
		"ldap, no base":             {"credentials: {ldap: {hosts: [a]}}", "credentials.ldap.userBase: is missing"},
		"ldap, filter":              {ldap + "userSearchMatching: '(uid={0}'}}", "credentials.ldap.userSearchMatching: "},
		"ldap, rights":              {ldap + "rights: {queueBase: x}}}", `credentials.ldap.rights.queueBase: "x" is not`},
		"ldap, transport":           {ldap + "transport: ssl}}", `credentials.ldap.transport: "ssl" is not allowed`},
		"ldap, timeout":             {ldap + "timeout: 1h}}", "credentials.ldap.timeout: 1h"},
		"ldap, cache":               {ldap + "cacheFor: 2h}}", "credentials.ldap.cacheFor: 2h"},
		"ldap, hold":                {ldap + "holdFor: 25h}}", "credentials.ldap.holdFor: 25h"},
		"ldap, connections":         {ldap + "connections: 0}}", "credentials.ldap.connections: 0"},
		"ldap, a word unknown":      {ldap + "expandRoles: true}}", `unknown key "expandRoles"`},
		"oidc":                      {oidc + "groupsClaim: ''}}", ""},
		"oidc without issuer":       {"credentials: {oidc: {audiences: [g]}}", "credentials.oidc.issuer: is missing"},
		"oidc, any audience":        {"credentials: {oidc: {issuer: 'https://a'}}", "credentials.oidc.audiences: are missing"},
		"oidc, plain":               {"credentials: {oidc: {issuer: 'http://a', audiences: [g]}}", "credentials.oidc.issuer: "},
		"oidc, algorithm":           {oidc + "algorithms: [HS256]}}", `credentials.oidc.algorithms: "HS256"`},
		"oidc, expiry":              {oidc + "atExpiry: ignore}}", `credentials.oidc.atExpiry: "ignore"`},
		"oidc, leeway":              {oidc + "leeway: 1h}}", "credentials.oidc.leeway: 1h"},
		"oidc, hold":                {oidc + "holdFor: 1m}}", "credentials.oidc.holdFor: 1m"},
		"certificates":              {"tls: {clientAuth: optional, clientCA: x}\ncredentials: {certificates: [{from: cn, matching: '(.+)', user: '$1', groups: [g]}]}", ""},
		"certificates nobody shows": {"credentials: {certificates: [{from: cn, matching: '(.+)', user: '$1'}]}", "credentials.certificates: no client shows a certificate"},
		"certificates, expression":  {"tls: {clientAuth: optional, clientCA: x}\ncredentials: {certificates: [{from: cn, matching: '(', user: a}]}", "credentials.certificates[0]: matching is no regular expression"},
		"service's ldap is off":     {"service: {ldap: {ca: x}}", "service.ldap.enabled: is false"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("g.yaml", []byte(tt.text))
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: %v, want %q", tt.text, err, tt.want)
			}
		})
	}
	c, err := Parse("g.yaml", []byte(ldap+"serviceAccountUsername: 'cn=a,dc=x', serviceAccountPassword: secret-1}}"))
	if err != nil {
		t.Fatal(err)
	}
	other := *c
	other.Credentials.LDAP.ServiceAccountPassword = "secret-2"
	live, restart := Diff(c, &other)
	if len(live) != 1 || len(restart) != 0 || strings.Contains(live[0].String(), "secret") || strings.Contains(string(c.YAML(true, false)), "secret-1") || c.Digest() != other.Digest() {
		t.Errorf("a changed password: live %v, restart %v; or it is shown", live, restart)
	}
	other.Credentials.LDAP.CA = "/elsewhere"
	if c.Digest() != other.Digest() {
		t.Error("the file of the CA makes another digest")
	}
}

// TestIdentityRecipes: what docs/identity.md says to write is right.
func TestIdentityRecipes(t *testing.T) {
	text, err := os.ReadFile("../docs/identity.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(text), "```yaml\n")[1:]
	if len(blocks) < 4 {
		t.Fatalf("there are only %d recipes", len(blocks))
	}
	for _, block := range blocks {
		recipe, _, _ := strings.Cut(block, "```")
		if _, err := Parse("g.yaml", []byte(recipe)); err != nil {
			t.Errorf("%v\n%s", err, recipe)
		}
	}
}
