package oidc

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/godwitmq/godwit/security"
)

// FuzzToken: nothing that was not signed is taken, and nothing makes the decoders fall.
func FuzzToken(f *testing.F) {
	for _, seed := range []string{"", "ey.a.b", unsigned(`{"alg":"none"}`, map[string]any{"sub": "x"}), unsigned(`{"alg":"ES256","kid":"k"}`, map[string]any{"sub": "x", "exp": 1e99}), "eyJhbGciOiJFUzI1NiJ9..", "ey..", "eyJhbGciOlsx.e30.AA"} {
		f.Add(seed)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {}))
	defer server.Close()
	p, err := New(Options{Issuer: server.URL, KeysURL: server.URL, Audiences: []string{"a"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		account, err := p.Verify(t.Context(), "", text)
		var gone *security.Unavailable
		if !errors.Is(err, security.ErrElsewhere) && !errors.Is(err, security.ErrWrongPassword) && !errors.As(err, &gone) {
			t.Fatalf("Verify(%q) = %v, %v", text, account, err)
		}
	})
}

// FuzzKeys: whatever a provider says its keys are, only public ones of ours to use remain.
func FuzzKeys(f *testing.F) {
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"AAAA"}]}`))
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}`))
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-256","x":"","y":""},null,7]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(data) }))
		defer server.Close()
		p, err := New(Options{Issuer: server.URL, KeysURL: server.URL, Audiences: []string{"a"}})
		if err != nil {
			t.Fatal(err)
		}
		set, err := p.keys.fetch(t.Context())
		if (len(set) == 0) != (err != nil) {
			t.Fatalf("%q gives %d keys and %v", data, len(set), err)
		}
		for _, k := range set {
			if _, shared := k.Key.([]byte); shared || !k.IsPublic() {
				t.Fatalf("%q gives a key that is not public", data)
			}
		}
	})
}
