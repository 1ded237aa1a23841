package cluster

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/godwitmq/godwit/listen/listentest"
)

// invited are two nodes that wait for their hosts.
var invited = []Invited{
	{Node: "b", Hosts: []string{"10.0.2.5"}, Config: []byte("the configuration of b"), Users: []byte("alice:hash:admins\n")},
	{Node: "w", Hosts: []string{"w.example"}, Config: []byte("the configuration of w")},
}

func newKey(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func requestOf(t testing.TB, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	// The names are not for the host to choose.
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{"a"}, IPAddresses: []net.IP{net.IPv4(10, 0, 1, 5)}}, key)
	if err != nil {
		t.Fatal(err)
	}
	return csr
}

func newInviter(t testing.TB, until time.Time, tell func(JoinEvent)) (*Inviter, []Token) {
	t.Helper()
	ca, err := OpenAuthority(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if tell == nil {
		tell = func(JoinEvent) {}
	}
	i, tokens, err := ca.Invite([]string{"10.0.1.5:7430"}, until, invited, tell)
	if err != nil {
		t.Fatal(err)
	}
	return i, tokens
}

// post sends an inviter a body, from an address.
func post(i *Inviter, from string, body []byte) (int, joinAnswer, string) {
	r := httptest.NewRequest(http.MethodPost, JoinPath, bytes.NewReader(body))
	r.RemoteAddr = from + ":4711"
	w := httptest.NewRecorder()
	i.ServeHTTP(w, r)
	var answer joinAnswer
	_ = json.Unmarshal(w.Body.Bytes(), &answer)
	return w.Code, answer, w.Body.String()
}

func bodyOf(t testing.TB, ask joinRequest) []byte {
	t.Helper()
	body, err := json.Marshal(ask)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// Each refusal says what is wrong and what to do, and before a secret was shown nothing of the cluster is in it.
func TestInviteRefuses(t *testing.T) {
	key, stranger := newKey(t, elliptic.P256()), newKey(t, elliptic.P256())
	spoilt := requestOf(t, key)
	spoilt[len(spoilt)-1] ^= 1
	tests := map[string]struct {
		change func(ask *joinRequest, tokens []Token)
		used   bool // by key, before
		over   bool
		status int
		want   string
	}{
		"nothing is wrong":      {func(*joinRequest, []Token) {}, false, false, 200, ""},
		"the same key again":    {func(*joinRequest, []Token) {}, true, false, 200, ""},
		"another key":           {func(a *joinRequest, _ []Token) { a.Request = requestOf(t, stranger) }, true, false, 409, "used already, at .* from 10.0.2.5, with another key"},
		"another key, written":  {func(a *joinRequest, _ []Token) { a.Request, a.Written = requestOf(t, stranger), true }, true, false, 409, "used already"},
		"the time is over":      {func(*joinRequest, []Token) {}, false, true, 410, "is over; invite it again: `godwit cluster invite --node b`"},
		"over for the same key": {func(*joinRequest, []Token) {}, true, true, 410, "is over"},
		"another node's token":  {func(a *joinRequest, tokens []Token) { a.Secret = tokens[1].secret[:] }, false, false, 403, "that of node w's token"},
		"a wrong secret":        {func(a *joinRequest, _ []Token) { a.Secret = bytes.Repeat([]byte{7}, secretSize) }, false, false, 403, "none of this invite"},
		"no secret":             {func(a *joinRequest, _ []Token) { a.Secret = nil }, false, false, 403, "none of this invite"},
		"another curve":         {func(a *joinRequest, _ []Token) { a.Request = requestOf(t, newKey(t, elliptic.P384())) }, false, false, 400, "not ECDSA P-256"},
		"not signed":            {func(a *joinRequest, _ []Token) { a.Request = spoilt }, false, false, 400, "not signed with its own key"},
		"no request":            {func(a *joinRequest, _ []Token) { a.Request = []byte("x") }, false, false, 400, "cannot be read"},
		"too large":             {func(a *joinRequest, _ []Token) { a.Request = make([]byte, maxRequest) }, false, false, 400, "no request of `godwit cluster join`"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			i, tokens := newInviter(t, time.Now().Add(time.Hour), nil)
			good := joinRequest{Node: "b", Secret: tokens[0].secret[:], Request: requestOf(t, key)}
			var before joinAnswer
			if tt.used {
				if _, before, _ = post(i, "10.0.2.5", bodyOf(t, good)); before.Given == nil {
					t.Fatalf("the first request is refused: %s", before.Error)
				}
			}
			if tt.over {
				i.until = time.Now().Add(-time.Second)
			}
			ask := good
			ask.Request = requestOf(t, key) // another signature
			tt.change(&ask, tokens)
			status, answer, text := post(i, "10.0.2.5", bodyOf(t, ask))
			if status != tt.status || !matches(tt.want, answer.Error) || (answer.Given != nil) != (status == 200) {
				t.Fatalf("the answer is %d %s; want %d %q", status, text, tt.status, tt.want)
			}
			if tt.used && status == 200 && !bytes.Equal(answer.Given.Certificate, before.Given.Certificate) {
				t.Error("the same key got another certificate the second time")
			}
			if status != 200 && strings.Contains(text, "configuration of") {
				t.Errorf("a refusal tells of the cluster: %s", text)
			}
		})
	}
	t.Run("no request of ours", func(t *testing.T) {
		i, tokens := newInviter(t, time.Now().Add(time.Hour), nil)
		for _, r := range []*http.Request{
			httptest.NewRequest(http.MethodGet, JoinPath, nil), httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(bodyOf(t, joinRequest{Node: "b", Secret: tokens[0].secret[:], Request: requestOf(t, key)}))),
			httptest.NewRequest(http.MethodPost, JoinPath, strings.NewReader("{}{")), httptest.NewRequest(http.MethodPost, JoinPath, strings.NewReader(`{"nodes": 1}`)),
		} {
			w := httptest.NewRecorder()
			if i.ServeHTTP(w, r); w.Code < 400 {
				t.Errorf("%s %s is answered %d %s", r.Method, r.URL, w.Code, w.Body)
			}
		}
	})
}

func matches(pattern, text string) bool {
	if pattern == "" {
		return text == ""
	}
	before, after, _ := strings.Cut(pattern, ".*")
	at := strings.Index(text, before)
	return at >= 0 && strings.Contains(text[at:], strings.TrimPrefix(after, ".*"))
}

// A certificate has the names of the configuration, whatever the host asks for.
func TestInviteNames(t *testing.T) {
	i, tokens := newInviter(t, time.Now().Add(time.Hour), nil)
	key := newKey(t, elliptic.P256())
	_, answer, text := post(i, "10.0.2.5", bodyOf(t, joinRequest{Node: "b", Secret: tokens[0].secret[:], Request: requestOf(t, key)}))
	if answer.Given == nil {
		t.Fatal(text)
	}
	cert, err := parseCertificate(answer.Given.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	if cert.Subject.CommonName != "b" || len(cert.DNSNames) != 0 || len(cert.IPAddresses) != 1 || cert.IPAddresses[0].String() != "10.0.2.5" || cert.IsCA {
		t.Errorf("the certificate is for %s, %v, %v; want b, 10.0.2.5", cert.Subject, cert.DNSNames, cert.IPAddresses)
	}
	if string(answer.Given.Config) != "the configuration of b" || string(answer.Given.Users) != string(invited[0].Users) {
		t.Errorf("b got %s, %s", answer.Given.Config, answer.Given.Users)
	}
}

// Wrong secrets from an address make the inviter deaf to it for a while, and to no other.
func TestInviteSlowsGuessing(t *testing.T) {
	told := 0
	i, tokens := newInviter(t, time.Now().Add(time.Hour), func(JoinEvent) { told++ })
	request := requestOf(t, newKey(t, elliptic.P256()))
	good := bodyOf(t, joinRequest{Node: "b", Secret: tokens[0].secret[:], Request: request})
	wrong := bodyOf(t, joinRequest{Node: "b", Secret: []byte("guess"), Request: request})
	for n := range 3 * maxWrong {
		status, _, _ := post(i, "10.9.9.9", wrong)
		if want := map[bool]int{true: 403, false: 429}[n < maxWrong]; status != want {
			t.Errorf("wrong secret %d is answered %d, want %d", n, status, want)
		}
	}
	if status, answer, _ := post(i, "10.9.9.9", good); status != 429 || answer.Given != nil {
		t.Errorf("the right secret after too many wrong ones is answered %d", status)
	}
	if told != maxWrong {
		t.Errorf("the operator was told %d times, want %d", told, maxWrong)
	}
	if status, _, text := post(i, "10.0.2.5", good); status != 200 {
		t.Errorf("another address is answered %d %s", status, text)
	}

	var w wrongSecrets
	now := time.Now()
	for n := range maxWrong {
		w.count(netip.MustParseAddr(fmt.Sprintf("2001:db8::%d", n+1)), now)
	}
	for address, want := range map[string]bool{"2001:db8::ffff": true, "2001:db8:0:1::1": false, "10.0.0.1": false} {
		if got := w.full(netip.MustParseAddr(address), now); got != want {
			t.Errorf("after %d wrong secrets from 2001:db8::/64, %s is refused: %v, want %v", maxWrong, address, got, want)
		}
	}
	if w.full(netip.MustParseAddr("2001:db8::1"), now.Add(wrongTime)) {
		t.Error("an address is refused after the time is over")
	}
	for n := range 3 * maxSuspects {
		w.count(netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}), now)
		if len(w) > maxSuspects {
			t.Fatalf("%d addresses are remembered", len(w))
		}
	}
}

// serve runs an inviter on a port of its own, and gives tokens with its address.
func serve(t *testing.T, i *Inviter, tokens []Token) (at []Token, ended <-chan error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	done := make(chan error, 1)
	go func() { done <- i.Serve(ctx, l) }()
	for _, token := range tokens {
		token.Addresses = []string{l.Addr().String()}
		at = append(at, token)
	}
	return at, done
}

func TestJoin(t *testing.T) {
	var events []JoinEvent // the inviter has ended before it is read
	i, tokens := newInviter(t, time.Now().Add(time.Hour), func(e JoinEvent) { events = append(events, e) })
	tokens, ended := serve(t, i, tokens)
	wait := func() error {
		select {
		case err := <-ended:
			return err
		case <-time.After(time.Minute):
			t.Fatal("the inviter does not end")
			return nil
		}
	}
	for n, token := range tokens {
		if n == 0 { // an address at which nobody answers is no harm if another is right
			token.Addresses = append([]string{deadAddress(t)}, token.Addresses...)
		}
		token, err := ParseToken(token.String())
		if err != nil {
			t.Fatal(err)
		}
		key := newKey(t, elliptic.P256())
		given, err := token.Join(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := token.Join(t.Context(), key); err != nil || !bytes.Equal(again.Certificate, given.Certificate) { // as if the answer had been lost
			t.Errorf("the second time: %v; want the same certificate", err)
		}
		var refused *Refused
		if _, err := token.Join(t.Context(), newKey(t, elliptic.P256())); !errors.As(err, &refused) || !strings.Contains(err.Error(), "used already") {
			t.Errorf("another key: %v", err)
		}
		if !slices.Contains(i.Missing(), token.Node) {
			t.Errorf("%s has joined before its host has said that all is written", token.Node)
		}
		if err := token.Confirm(t.Context(), key); err != nil {
			t.Errorf("%s: %v", token.Node, err)
		}
	}
	if err := wait(); err != nil || len(i.Missing()) != 0 {
		t.Errorf("the inviter ends with %v, without %v", err, i.Missing())
	}
	var got []string
	for _, e := range events {
		got = append(got, fmt.Sprintf("%s %s %v %v", e.Node, e.From, e.Joined, e.Refused != nil))
	}
	var want []string
	for _, n := range []string{"b", "w"} {
		want = append(want, n+" 127.0.0.1 false false", n+" 127.0.0.1 false false", n+" 127.0.0.1 false true", n+" 127.0.0.1 true false")
	}
	if !slices.Equal(got, want) {
		t.Errorf("the operator was told %v, want %v", got, want)
	}
	if _, err := tokens[0].Join(t.Context(), newKey(t, elliptic.P256())); err == nil || !strings.Contains(err.Error(), "must still be waiting") {
		t.Errorf("after the end: %v", err)
	}
}

// deadAddress is one at which nobody listens.
func deadAddress(t *testing.T) string {
	t.Helper()
	l, err := listentest.Listen()
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	return l.Addr().String()
}

// An inviter that waits in vain ends in time, and says who is missing.
func TestInviteEnds(t *testing.T) {
	i, tokens := newInviter(t, time.Now().Add(50*time.Millisecond), nil)
	_, ended := serve(t, i, tokens)
	select {
	case err := <-ended:
		if missing := i.Missing(); err != nil || !slices.Equal(missing, []string{"b", "w"}) {
			t.Errorf("it ends with %v, without %v", err, missing)
		}
	case <-time.After(time.Minute):
		t.Fatal("it does not end")
	}
}

// Who answers without the inviter's own certificate is told nothing: not another cluster's inviter, and not a node of the same cluster, which has a certificate of the
// same authority.
func TestJoinKnowsTheInviter(t *testing.T) {
	i, tokens := newInviter(t, time.Now().Add(time.Hour), nil)
	other, _ := newInviter(t, time.Now().Add(time.Hour), nil)
	nodeKey := newKey(t, elliptic.P256())
	pem, err := i.authority.Certify("a", []string{"127.0.0.1", "10.0.1.5"}, &nodeKey.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	node, err := parseCertificate(pem)
	if err != nil {
		t.Fatal(err)
	}
	otherCertificate, err := other.certificate()
	if err != nil {
		t.Fatal(err)
	}
	own, err := i.certificate()
	if err != nil {
		t.Fatal(err)
	}
	i.until = time.Now().Add(-2 * clocksDiffer)
	old, err := i.certificate()
	if err != nil {
		t.Fatal(err)
	}
	withOurs := func(c tls.Certificate) tls.Certificate { // somebody who knows our authority's certificate, which is no secret
		c.Certificate = [][]byte{c.Certificate[0], i.authority.cert.Raw}
		return c
	}
	tests := map[string]struct {
		shows tls.Certificate
		want  string // "" is taken
	}{
		"the inviter":                    {own, ""},
		"another cluster's":              {otherCertificate, "not of this token's cluster"},
		"another cluster's, with our CA": {withOurs(otherCertificate), "unknown authority"},
		"a node of ours":                 {tls.Certificate{Certificate: [][]byte{node.Raw, i.authority.cert.Raw}, PrivateKey: nodeKey}, inviterName},
		"an invite of long ago":          {old, "compare the clocks"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			heard := false
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				heard = true
				w.WriteHeader(http.StatusTeapot)
				fmt.Fprint(w, `{"error": "enough"}`)
			}))
			server.TLS = &tls.Config{Certificates: []tls.Certificate{tt.shows}}
			server.Config.ErrorLog = newQuietLog()
			server.StartTLS()
			defer server.Close()
			_, err := tokens[0].askAt(t.Context(), server.Listener.Addr().String(), []byte("the secret"))
			if err == nil || heard != (tt.want == "") || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("it says %v, and the server has heard something: %v; want %q", err, heard, tt.want)
			}
		})
	}
}

// What comes back is checked against the token before it is believed.
func TestJoinChecksTheAnswer(t *testing.T) {
	i, tokens := newInviter(t, time.Now().Add(time.Hour), nil)
	other, otherTokens := newInviter(t, time.Now().Add(time.Hour), nil)
	key := newKey(t, elliptic.P256())
	given := func(i *Inviter, n int, token Token, key *ecdsa.PrivateKey) Given {
		t.Helper()
		_, answer, text := post(i, "10.0.2.5", bodyOf(t, joinRequest{Node: invited[n].Node, Secret: token.secret[:], Request: requestOf(t, key)}))
		if answer.Given == nil {
			t.Fatal(text)
		}
		return *answer.Given
	}
	good, foreign := given(i, 0, tokens[0], key), given(other, 0, otherTokens[0], key)
	asW := given(i, 1, tokens[1], key)
	mixed := good
	mixed.Certificate = foreign.Certificate
	tests := map[string]struct {
		given Given
		key   *ecdsa.PrivateKey
		want  string
	}{
		"good":                        {good, key, ""},
		"another cluster":             {foreign, key, "authority is not the token's"},
		"another cluster's signature": {mixed, key, "unknown authority"},
		"another key":                 {good, newKey(t, elliptic.P256()), "another key"},
		"another node":                {asW, key, "is for w"},
		"nothing":                     {Given{}, key, "has no certificate"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := tokens[0].verify(&tt.given, tt.key)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("verify says %v, want %q", err, tt.want)
			}
		})
	}
}

func TestInviteBounds(t *testing.T) {
	i, _ := newInviter(t, time.Now().Add(time.Hour), nil)
	for name, tt := range map[string]struct {
		addresses []string
		node      Invited
		want      string
	}{
		"too much":     {[]string{"h:1"}, Invited{Node: "b", Config: make([]byte, maxAnswer/2+1)}, "at most"},
		"no address":   {nil, Invited{Node: "b"}, "expected 1 to 4"},
		"bad address":  {[]string{"h"}, Invited{Node: "b"}, "no HOST:PORT"},
		"a path":       {[]string{"h:1"}, Invited{Node: "../b"}, "cannot be the name of a node"},
		"the CA":       {[]string{"h:1"}, Invited{Node: "ca"}, "is another file"},
		"another file": {[]string{"h:1"}, Invited{Node: "b-key"}, "is another file"},
	} {
		if _, _, err := i.authority.Invite(tt.addresses, i.until, []Invited{tt.node}, nil); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}

	// While all connections that may be open are, nothing else is accepted.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	b := &bounded{l, make(chan struct{}, 1)}
	accepted := make(chan net.Conn)
	go func() {
		for {
			conn, err := b.Accept()
			if err != nil {
				close(accepted)
				return
			}
			accepted <- conn
		}
	}()
	for range 2 {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	first := <-accepted
	select {
	case <-accepted:
		t.Error("two connections are open where one is allowed")
	case <-time.After(50 * time.Millisecond):
	}
	first.Close()
	first.Close() // counts once
	second := <-accepted
	if len(b.places) != 1 {
		t.Errorf("%d connections count, want 1", len(b.places))
	}
	second.Close()
}

// An answer that is lost on its way, or of which a part is, is asked for again without anybody's doing, and is the same.
func TestJoinLostAnswer(t *testing.T) {
	i, tokens := newInviter(t, time.Now().Add(time.Hour), nil)
	certificate, err := i.certificate()
	if err != nil {
		t.Fatal(err)
	}
	var lost joinAnswer
	asked := 0
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked++; asked >= joinTries {
			i.ServeHTTP(w, r)
			return
		}
		answer := httptest.NewRecorder()
		i.ServeHTTP(answer, r)
		if err := json.Unmarshal(answer.Body.Bytes(), &lost); err != nil {
			t.Error(err)
		}
		conn, out, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		if asked == 2 {
			fmt.Fprintf(out, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", answer.Body.Len(), answer.Body.Bytes()[:100])
			out.Flush()
		}
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	server.StartTLS()
	defer server.Close()
	token := tokens[0]
	token.Addresses = []string{server.Listener.Addr().String()}
	given, err := token.Join(t.Context(), newKey(t, elliptic.P256()))
	if err != nil || asked != joinTries {
		t.Fatalf("after %d answers of which two were lost: %v", asked, err)
	}
	if lost.Given == nil || !bytes.Equal(given.Certificate, lost.Given.Certificate) {
		t.Error("the certificate is another than the one that was lost")
	}
}

// Who connects and says nothing, or begins to and stops, is cut off after requestTime.
func TestInviteHurries(t *testing.T) {
	t.Parallel()
	i, tokens := newInviter(t, time.Now().Add(time.Hour), nil)
	tokens, _ = serve(t, i, tokens)
	address := tokens[0].Addresses[0]
	mute, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	slow, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	fmt.Fprintf(slow, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{", JoinPath)
	for name, conn := range map[string]net.Conn{"mute": mute, "slow": slow} {
		if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(conn); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the %s one is still connected, and has heard %q", name, text)
		}
	}
}
