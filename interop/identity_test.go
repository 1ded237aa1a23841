package interop

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/godwitmq/godwit/security/ldap/ldaptest"
	"github.com/godwitmq/godwit/security/oidc"
	"software.sslmate.com/src/go-pkcs12"
)

// asker is a client that logs in as it is told: java/src/interop/Identity.java or python/identity.py.
type asker struct {
	name string
	in   io.Writer
	out  *bufio.Reader
}

// startAsker starts one; more are arguments of the JVM, env is for either.
func startAsker(t *testing.T, language string, b *broker, tls bool, more, env []string) *asker {
	t.Helper()
	var p program
	if language == "java" {
		p = java("jakarta")(t)
		p.argv = append(append([]string{"java"}, more...), p.argv[1:len(p.argv)-1]...)
		p.argv = append(p.argv, "interop.Identity")
	} else {
		p = python(t)
		p.argv[1] = "python/identity.py"
	}
	ctx, cancel := context.WithTimeout(context.Background(), programWithin) // not the test's, which has ended when it is told to end
	t.Cleanup(cancel)
	cmd := p.command(ctx, b, run{tls: tls, env: env})
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	finish := startProgram(t, cmd)
	t.Cleanup(func() {
		in.Close()
		finish()
	})
	return &asker{name: language, in: in, out: bufio.NewReader(out)}
}

func (a *asker) begin(t *testing.T, action, user, password, queue string) {
	t.Helper()
	if _, err := fmt.Fprintf(a.in, "%s\t%s\t%s\t%s\n", action, user, password, queue); err != nil {
		t.Fatalf("%s: %v", a.name, err)
	}
}

func (a *asker) answer(t *testing.T) string {
	t.Helper()
	line, err := a.out.ReadString('\n')
	if err != nil {
		t.Fatalf("%s: %v", a.name, err)
	}
	return strings.TrimSuffix(line, "\n")
}

// ask has the client do something, whose answer must hold want.
func (a *asker) ask(t *testing.T, want, action, user, password, queue string) {
	t.Helper()
	a.begin(t, action, user, password, queue)
	shown := password
	if len(shown) > 30 {
		shown = shown[:30] + "..."
	}
	if got := a.answer(t); !strings.Contains(got, want) {
		t.Errorf("%s: %s %s as %q with %q: %q, want %q", a.name, action, queue, user, shown, got, want)
	}
}

var askers = []string{"java", "python"}

// TestLDAP: users, groups and rights of a real slapd, by TLS, with a local user beside; and what happens when it is gone.
func TestLDAP(t *testing.T) {
	needSomething(t)
	s := ldaptest.Start(t)
	secret := filepath.Join(t.TempDir(), "ldap-password")
	if err := os.WriteFile(secret, []byte(ldaptest.AccountPassword+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b := startOwn(t, fmt.Sprintf(`credentials:
  mode: mandatory
  rights:
    - {destination: '>', read: [local], write: [local], admin: [local]}
  ldap:
    hosts: [%q]
    ca: %s
    serviceAccountUsername: %s
    serviceAccountPasswordFile: %s
    userBase: %s
    userSearchSubtree: true
    roleBase: %s
    timeout: 2s
    cacheFor: 1s
    holdFor: 1h
    rights: {queueBase: '%s', topicBase: '%s', tempBase: '%s', every: 1s}
http: {admins: [admins]}
`, s.TLS, s.CAFile, ldaptest.Account, secret, ldaptest.Users, ldaptest.Groups, ldaptest.Queues, ldaptest.Topics, ldaptest.Temps), brokerOptions{})
	file := filepath.Join(b.dataDir(), "users")
	add := exec.Command(filepath.Join(binaryDir, "godwit"), "users", "add", "--file", file, "--group", "local", user)
	add.Stdin = strings.NewReader(password + "\n")
	if out, err := add.CombinedOutput(); err != nil {
		t.Fatalf("godwit users add: %v\n%s", err, out)
	}
	api := strings.TrimSuffix(b.readyURL, "/readyz")
	t.Setenv("GODWIT_USER", "carl")
	t.Setenv("GODWIT_PASSWORD", "carl's password")
	if _, stderr, err := godwit(t, api, "reload"); err != nil { // carl is an administrator by his group in LDAP
		t.Fatalf("godwit reload: %v\n%s", err, stderr)
	}
	const invalid, denied = "or password is invalid", "is not authorized to"
	var all []*asker
	for _, language := range askers {
		a := startAsker(t, language, b, false, nil, nil)
		all = append(all, a)
		queue := "ORDERS." + language
		a.ask(t, "ok", "send", "anna", "anna's password", queue)
		a.ask(t, "ok", "receive", "ben", "ben's password", queue)
		a.ask(t, denied, "send", "ben", "ben's password", queue)
		a.ask(t, denied, "send", "anna", "anna's password", "PRIVATE")
		a.ask(t, "ok", "send", user, password, "PRIVATE")
		a.ask(t, invalid, "login", "anna", "ben's password", "")
		a.ask(t, invalid, "login", "anna", "", "")
		a.ask(t, invalid, "login", "*", "anna's password", "")
		a.ask(t, invalid, "login", "nobody)(uid=anna", "anna's password", "")
		a.ask(t, invalid, "login", user, "anna's password", "")
	}

	t.Log("a right is taken away in LDAP")
	s.Modify(t, "dn: cn=write,cn=ORDERS.$,"+ldaptest.Queues+"\nchangetype: modify\nadd: member\nmember: cn=readers,"+ldaptest.Groups+"\n-\ndelete: member\nmember: cn=writers,"+ldaptest.Groups+"\n")
	eventually(t, "the new rights are not in force", func() bool {
		all[0].begin(t, "send", "ben", "ben's password", "ORDERS.java")
		return all[0].answer(t) == "ok"
	})
	all[1].ask(t, denied, "send", "dora, *(x)", "dora's password", "ORDERS.java")

	t.Log("the LDAP server is killed while clients work")
	w := startWitness(t, b, "login", user, "passcode", password)
	s.Kill()
	time.Sleep(1500 * time.Millisecond) // longer than cacheFor: it is asked, and does not answer
	for _, a := range all {
		a.ask(t, "ok", "send", "ben", "ben's password", "ORDERS."+a.name)
		a.ask(t, "ok", "send", user, password, "PRIVATE")
		a.ask(t, "LDAP server "+s.TLS+" does not answer", "login", "ben", "wrong", "")
		a.ask(t, "LDAP server "+s.TLS+" does not answer", "login", "carl", "carl's other password", "")
	}
	s.Restart(t)
	eventually(t, "LDAP is not asked again", func() bool {
		all[1].begin(t, "login", "ben", "wrong", "")
		return strings.Contains(all[1].answer(t), invalid)
	})
	if slowest := w.look(t); slowest > 5*time.Second {
		t.Errorf("a client that was logged in waited %v", slowest)
	}
}

// provider is a real OpenID Connect provider of a package registry, with users anna (writers) and ben (readers).
type provider struct {
	port int
	argv []string
	cmd  *exec.Cmd
}

func startProvider(t *testing.T) *provider {
	t.Helper()
	need(t, "Python", "python3")
	dir := venv(t, "oidc", "oidc/requirements.txt")
	p := &provider{port: freePorts(t, 1)[0]}
	p.argv = []string{filepath.Join(dir, "bin", "oidc-provider-mock"), "--port", fmt.Sprint(p.port), "--host", "127.0.0.1",
		"--user-claims", `{"sub":"anna","realm_access":{"roles":["writers"]}}`, "--user-claims", `{"sub":"ben","realm_access":{"roles":["readers","admins"]}}`}
	t.Cleanup(p.stop)
	return p
}

func (p *provider) issuer() string { return fmt.Sprintf("http://127.0.0.1:%d", p.port) }

// start starts it with new keys; tokens are good for so many seconds.
func (p *provider) start(t *testing.T, seconds int) {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "provider"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	p.cmd = exec.Command(p.argv[0], append(p.argv[1:], "--token-max-age", fmt.Sprint(seconds))...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the identity provider does not answer", func() bool {
		answer, err := http.Get(p.issuer() + "/.well-known/openid-configuration")
		if err == nil {
			answer.Body.Close()
		}
		return err == nil
	})
}

func (p *provider) stop() {
	if p.cmd != nil {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
		p.cmd = nil
	}
}

// token logs a user in as a browser and an application do, and gives the ID token for that application.
func (p *provider) token(t *testing.T, user, application string) string {
	t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	const back = "http://127.0.0.1:1/back"
	answer, err := client.PostForm(p.issuer()+"/oauth2/authorize?"+url.Values{"client_id": {application}, "redirect_uri": {back}, "response_type": {"code"}, "scope": {"openid"}}.Encode(), url.Values{"sub": {user}})
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	at, err := answer.Location()
	if err != nil {
		t.Fatal(err)
	}
	if answer, err = client.PostForm(p.issuer()+"/oauth2/token", url.Values{"grant_type": {"authorization_code"}, "code": {at.Query().Get("code")}, "redirect_uri": {back}, "client_id": {application}, "client_secret": {"x"}}); err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var got struct {
		Token string `json:"id_token"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&got); err != nil || got.Token == "" {
		t.Fatalf("the provider gives no token: %v", err)
	}
	return got.Token
}

// TestTokens: tokens of a real provider as passwords, its keys change, it goes away, and a token's time ends.
func TestTokens(t *testing.T) {
	needSomething(t)
	p := startProvider(t)
	p.start(t, 3600)
	b := startOwn(t, fmt.Sprintf(`credentials:
  mode: mandatory
  rights:
    - {destination: 'queue://T.>', read: [readers], write: [writers], admin: [writers]}
  oidc: {issuer: '%s', audiences: [godwit], groupsClaim: realm_access.roles, leeway: 1s}
http: {admins: [admins]}
`, p.issuer()), brokerOptions{})
	anna, ben, foreign := p.token(t, "anna", "godwit"), p.token(t, "ben", "godwit"), p.token(t, "anna", "another")
	const invalid, denied = "or password is invalid", "is not authorized to"
	var all []*asker
	for _, language := range askers {
		a := startAsker(t, language, b, false, nil, nil)
		all = append(all, a)
		queue := "T." + language
		a.ask(t, "ok", "send", "anna", anna, queue)
		a.ask(t, "ok", "receive", "$jwt", ben, queue)
		a.ask(t, denied, "send", "ben", ben, queue)
		a.ask(t, invalid, "login", "ben", anna, "")
		a.ask(t, invalid, "login", "anna", foreign, "")
		a.ask(t, invalid, "login", "anna", anna[:len(anna)-5]+"AAAAA", "")
		a.ask(t, invalid, "login", "anna", "secret", "")
	}
	all[0].ask(t, "ok", "login", "", anna, "") // stomp.py sends no passcode without a login

	t.Log("the HTTP API")
	api := strings.TrimSuffix(b.readyURL, "/readyz")
	call := func(token string) int {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, api+"/api/v1/config", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		return answer.StatusCode
	}
	for token, want := range map[string]int{ben: http.StatusOK, anna: http.StatusForbidden, foreign: http.StatusUnauthorized, "": http.StatusUnauthorized} {
		if got := call(token); got != want {
			t.Errorf("a call with a token answers %d, want %d", got, want)
		}
	}

	t.Log("the provider is gone, and comes back with other keys")
	p.stop()
	for _, a := range all {
		a.ask(t, "ok", "login", "anna", anna, "")
	}
	p.start(t, 15)
	short := ""
	eventually(t, "a token with a new key is not taken", func() bool { // keys are not fetched more often than every ten seconds
		short = p.token(t, "anna", "godwit")
		all[1].begin(t, "login", "anna", short, "")
		return all[1].answer(t) == "ok"
	})
	all[0].ask(t, invalid, "login", "anna", anna, "") // signed with a key that is none any more

	t.Log("the time of a token ends")
	short = p.token(t, "anna", "godwit")
	for _, a := range all {
		a.begin(t, "hold", "anna", short, "")
	}
	for _, a := range all {
		if got := a.answer(t); got != "closed" {
			t.Errorf("%s: with a token whose time is over: %q, want closed", a.name, got)
		}
		a.ask(t, invalid, "login", "anna", short, "")
	}
}

// TestLoginByProvider: the way a person takes in a browser, to a real provider and back.
func TestLoginByProvider(t *testing.T) {
	needSomething(t)
	idp := startProvider(t)
	idp.start(t, 3600)
	p, err := oidc.New(oidc.Options{Issuer: idp.issuer(), Audiences: []string{"godwit"}, GroupsClaim: "realm_access.roles"})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	site := httptest.NewServer(mux)
	defer site.Close()
	login, err := p.NewLogin(oidc.LoginOptions{ClientID: "console", ClientSecret: "secret", RedirectURL: site.URL + "/login/back"})
	if err != nil {
		t.Fatal(err)
	}
	mux.HandleFunc("/login", func(w http.ResponseWriter, r *http.Request) {
		if err := login.Begin(w, r, "/queues"); err != nil {
			t.Error(err)
		}
	})
	mux.HandleFunc("/login/back", func(w http.ResponseWriter, r *http.Request) {
		who, back, err := login.Finish(w, r)
		fmt.Fprintf(w, "%s %v %s %v", who.Name, who.Groups, back, err)
	})
	// browse goes to the provider, which asks who one is, and gives the URL that it sends one back to.
	browse := func(t *testing.T) (*http.Client, string) {
		jar, err := cookiejar.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		browser := &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error { return http.ErrUseLastResponse }}
		answer, err := browser.Get(site.URL + "/login")
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		at, err := answer.Location()
		if err != nil {
			t.Fatal(err)
		}
		if q := at.Query(); q.Get("code_challenge_method") != "S256" || q.Get("code_challenge") == "" || q.Get("nonce") == "" || q.Get("state") == "" {
			t.Errorf("the provider is asked with %v", q)
		}
		if answer, err = browser.PostForm(at.String(), url.Values{"sub": {"ben"}}); err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if at, err = answer.Location(); err != nil {
			t.Fatal(err)
		}
		return browser, at.String()
	}
	come := func(t *testing.T, browser *http.Client, at, want string) {
		t.Helper()
		answer, err := browser.Get(at)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		if text, _ := io.ReadAll(answer.Body); !strings.Contains(string(text), want) {
			t.Errorf("%s, want %q", text, want)
		}
	}
	const refused = "or password is invalid"
	browser, at := browse(t)
	come(t, browser, at, "ben [readers admins] /queues <nil>")
	come(t, browser, at, refused) // the cookie is gone, and the code was taken
	_, stolen := browse(t)
	victim, _ := browse(t)
	come(t, victim, stolen, refused) // somebody else's answer: another state
	victim, own := browse(t)
	mixed, _ := url.Parse(own)
	q := mixed.Query()
	s, _ := url.Parse(stolen)
	q.Set("code", s.Query().Get("code"))
	mixed.RawQuery = q.Encode()
	come(t, victim, mixed.String(), refused) // somebody else's code: another verifier
	come(t, &http.Client{}, own, refused)    // another browser
	browser, at = browse(t)
	come(t, browser, strings.Replace(at, "code=", "error=access_denied&x=", 1), refused)
}

// clientCertificates makes an authority and, for each name, NAME.pem, NAME-key.pem and NAME.p12.
func clientCertificates(t *testing.T, templates map[string]*x509.Certificate) (dir string) {
	t.Helper()
	dir = t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	write := func(name, kind string, der []byte) {
		t.Helper()
		must(os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "clients' authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	must(err)
	write("ca.pem", "CERTIFICATE", caDER)
	serial := int64(1)
	for name, c := range templates {
		serial++
		c.SerialNumber, c.NotBefore, c.NotAfter, c.ExtKeyUsage = big.NewInt(serial), ca.NotBefore, ca.NotAfter, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		must(err)
		der, err := x509.CreateCertificate(rand.Reader, c, ca, &key.PublicKey, caKey)
		must(err)
		keyDER, err := x509.MarshalPKCS8PrivateKey(key)
		must(err)
		write(name+".pem", "CERTIFICATE", der)
		write(name+"-key.pem", "PRIVATE KEY", keyDER)
		parsed, err := x509.ParseCertificate(der)
		must(err)
		store, err := pkcs12.Modern.Encode(key, parsed, nil, storePassword)
		must(err)
		must(os.WriteFile(filepath.Join(dir, name+".p12"), store, 0o600))
	}
	return dir
}

// TestCertificateUsers: client certificates instead of passwords, by subject, common name and names in subjectAltName.
func TestCertificateUsers(t *testing.T) {
	needSomething(t)
	id, err := url.Parse("spiffe://example.test/ns/shop/sa/billing")
	if err != nil {
		t.Fatal(err)
	}
	dir := clientCertificates(t, map[string]*x509.Certificate{
		"subject": {Subject: pkix.Name{CommonName: "client1", Organization: []string{"T"}}},
		"cn":      {Subject: pkix.Name{CommonName: "orders.svc", Organization: []string{"Acme"}}},
		"uri":     {Subject: pkix.Name{CommonName: "x"}, URIs: []*url.URL{id}},
		"nobody":  {Subject: pkix.Name{CommonName: "orders.svc.evil"}},
	})
	b := startOwn(t, fmt.Sprintf(`tls: {clientAuth: optional, clientCA: %s}
credentials:
  mode: mandatory
  users: [{name: first, certificates: ['CN=client1, O=T'], groups: [writers]}]
  certificates:
    - {from: cn, matching: '([a-z]+)\.svc', user: '$1', groups: [writers]}
    - {from: uri, matching: 'spiffe://example\.test/ns/[^/]+/sa/(.+)', user: 'sa-$1', groups: [readers]}
  rights:
    - {destination: queue://C.>, read: [readers], write: [writers], admin: [writers]}
`, filepath.Join(dir, "ca.pem")), brokerOptions{})
	for _, language := range askers {
		t.Run(language, func(t *testing.T) {
			with := func(name string) *asker {
				file := func(end string) string { return filepath.Join(dir, name+end) }
				return startAsker(t, language, b, true, []string{"-Djavax.net.ssl.keyStore=" + file(".p12"), "-Djavax.net.ssl.keyStorePassword=" + storePassword},
					[]string{"INTEROP_CERT=" + file(".pem"), "INTEROP_KEY=" + file("-key.pem")})
			}
			queue := "C." + language
			with("subject").ask(t, "ok", "send", "", "", queue)
			with("cn").ask(t, "ok", "send", "", "", queue)
			reader := with("uri")
			reader.ask(t, "ok", "receive", "", "", queue)
			reader.ask(t, "is not authorized to write to: queue://"+queue, "send", "", "", queue)
			with("nobody").ask(t, "or password is invalid", "login", "", "", "")
		})
	}
}
