package cluster

import (
	"bytes"
	"context"
	"crypto/elliptic"
	"crypto/sha256"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A server that stays tells a host what its keeper of invites says, lets nobody guess, and shows no inner error.
func TestAdmission(t *testing.T) {
	key := newKey(t, elliptic.P256())
	var asked []Asked
	answer := func(Asked) (*Given, error) { return &Given{Certificate: []byte("c")}, nil }
	a := &Admission{Admit: func(_ context.Context, ask Asked) (*Given, error) {
		asked = append(asked, ask)
		return answer(ask)
	}}
	send := func(body []byte, from string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodPost, JoinPath, bytes.NewReader(body))
		r.RemoteAddr = from + ":5"
		w := httptest.NewRecorder()
		a.ServeHTTP(w, r)
		return w
	}
	right := bodyOf(t, joinRequest{Node: "east", Secret: []byte("secret"), Request: requestOf(t, key)})
	if w := send(right, "10.0.0.1"); w.Code != http.StatusOK || len(asked) != 1 || asked[0].Node != "east" || asked[0].Secret != sha256.Sum256([]byte("secret")) || !key.PublicKey.Equal(asked[0].Key) {
		t.Fatalf("a right request: %d %s, asked %+v", w.Code, w.Body, asked)
	}
	for name, body := range map[string][]byte{"no JSON": []byte("{"), "no key": bodyOf(t, joinRequest{Node: "east", Secret: []byte("secret"), Request: []byte("x")}), "unknown member": []byte(`{"nodes": 1}`)} {
		if w := send(body, "10.0.0.1"); w.Code != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	answer = func(Asked) (*Given, error) { return nil, errors.New("disk /secret/path") }
	if w := send(right, "10.0.0.1"); w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "path") {
		t.Errorf("an inner error: %d %s", w.Code, w.Body)
	}
	answer = func(Asked) (*Given, error) { return nil, Refuse(http.StatusForbidden, "of no invite") }
	asked = nil
	for n := range maxWrong + 3 {
		want := http.StatusForbidden
		if n >= maxWrong {
			want = http.StatusTooManyRequests
		}
		if w := send(right, "10.0.0.2"); w.Code != want {
			t.Errorf("wrong secret %d: %d %s", n, w.Code, w.Body)
		}
	}
	if len(asked) != maxWrong {
		t.Errorf("%d wrong secrets were looked at, want %d", len(asked), maxWrong)
	}
	answer = func(Asked) (*Given, error) { return &Given{}, nil }
	if w := send(right, "10.0.0.1"); w.Code != http.StatusOK {
		t.Errorf("from elsewhere meanwhile: %d %s", w.Code, w.Body)
	}
}
