package cluster

import (
	"bytes"
	"crypto/elliptic"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
)

// FuzzToken: a text is refused, or is the one and only text of its token, which names files and addresses that can be believed.
func FuzzToken(f *testing.F) {
	f.Add(sampleToken.String())
	f.Add("godwit2_AAAA")
	f.Add(tokenPrefix)
	f.Fuzz(func(t *testing.T, text string) {
		token, err := ParseToken(text)
		if err != nil {
			return
		}
		if token.String() != text || CheckName(token.Node) != nil || len(token.Addresses) == 0 || len(text) > maxToken {
			t.Fatalf("%q is taken for %+v, which is %q", text, token, token)
		}
	})
}

// FuzzJoinRequest: whatever the body is, only one with the secret of a token learns anything, and gets a certificate for the key that it has proved, with the names of the
// configuration.
func FuzzJoinRequest(f *testing.F) {
	ca, err := OpenAuthority(f.TempDir())
	if err != nil {
		f.Fatal(err)
	}
	key := newKey(f, elliptic.P256())
	for _, ask := range []joinRequest{
		{Node: "b", Request: requestOf(f, key)}, {Node: "w", Request: requestOf(f, key), Written: true}, {Node: "b", Request: requestOf(f, newKey(f, elliptic.P384()))}, {}} {
		f.Add(bodyOf(f, ask), true, 0)
		ask.Secret = make([]byte, secretSize)
		f.Add(bodyOf(f, ask), false, 1)
	}
	f.Add([]byte(`{"node": "b", "node": "w", "secret": 1}`), true, 1)
	silent := func(t *testing.T, status int, text string) {
		for _, secret := range []string{"configuration", "alice", "10.0.2.5", "w.example", "CERTIFICATE"} {
			if strings.Contains(text, secret) {
				t.Fatalf("%d %s", status, text)
			}
		}
	}
	f.Fuzz(func(t *testing.T, body []byte, proven bool, node int) {
		i, tokens, err := ca.Invite([]string{"h:1"}, time.Now().Add(time.Hour), invited, func(JoinEvent) {})
		if err != nil {
			t.Fatal(err)
		}
		if status, _, text := post(i, "10.9.9.9", body); status == 200 { // it cannot know the secret
			t.Fatalf("%d %s", status, text)
		} else {
			silent(t, status, text)
		}
		var ask joinRequest
		if json.Unmarshal(body, &ask) != nil || !proven {
			return
		}
		n := ((node % 2) + 2) % 2
		ask.Secret = tokens[n].secret[:]
		status, answer, text := post(i, "10.0.2.5", bodyOf(t, ask))
		if status != 200 {
			silent(t, status, text)
			return
		}
		proved, _, err := keyOf(ask.Request)
		if err != nil || ask.Node != invited[n].Node {
			t.Fatalf("%+v is obeyed: %v", ask, err)
		}
		cert, err := parseCertificate(answer.Given.Certificate)
		if err != nil || !proved.Equal(cert.PublicKey) || cert.Subject.CommonName != invited[n].Node || cert.IsCA || !bytes.Equal(answer.Given.Config, invited[n].Config) {
			t.Fatalf("%+v got %+v, %v", ask, cert, err)
		}
		if joined := !slices.Contains(i.Missing(), ask.Node); joined != ask.Written {
			t.Fatalf("%+v has joined: %v", ask, joined)
		}
	})
}
