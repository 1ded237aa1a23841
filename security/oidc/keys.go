package oidc

import (
	"context"
	"crypto/rsa"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/godwitmq/godwit/security"
)

const (
	maxAnswer = 1 << 20          // bytes of an answer of the provider
	maxKeys   = 100              // in a set
	pause     = 10 * time.Second // between two questions for keys, however many tokens name unknown ones
	leastRSA  = 2048             // bits
)

func newClient(o *Options) *http.Client {
	return &http.Client{
		Timeout:       o.Timeout,
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{RootCAs: o.Roots, MinVersion: tls.VersionTLS12}, MaxIdleConns: 2, IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: 64 << 10},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // an answer from elsewhere is not the provider's
	}
}

// fetch reads JSON of a bounded size.
func fetch(ctx context.Context, client *http.Client, url string, into any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	answer, err := client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", url, answer.Status)
	}
	data, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	switch {
	case err != nil:
		return fmt.Errorf("GET %s: %w", url, err)
	case len(data) > maxAnswer:
		return fmt.Errorf("GET %s: the answer has more than %d bytes", url, maxAnswer)
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("GET %s: %w", url, err)
	}
	return nil
}

// metadata is what the provider says of itself. It is read when it is needed first.
type metadata struct {
	o      *Options
	client *http.Client

	mu   sync.Mutex
	read *document
}

type document struct {
	Issuer        string `json:"issuer"`
	Authorization string `json:"authorization_endpoint"`
	Token         string `json:"token_endpoint"`
	Keys          string `json:"jwks_uri"`
}

func (m *metadata) document(ctx context.Context) (*document, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.read != nil {
		return m.read, nil
	}
	var d document
	// OpenID Connect Discovery 1.0, 4.1
	if err := fetch(ctx, m.client, strings.TrimSuffix(m.o.Issuer, "/")+"/.well-known/openid-configuration", &d); err != nil {
		return nil, err
	}
	if d.Issuer != m.o.Issuer { // 4.3
		return nil, fmt.Errorf("the provider calls itself %q; credentials.oidc.issuer must be the same", d.Issuer)
	}
	for name, u := range map[string]string{"jwks_uri": d.Keys, "authorization_endpoint": d.Authorization, "token_endpoint": d.Token} {
		if err := checkURL(u); err != nil {
			return nil, fmt.Errorf("the provider's %s: %w", name, err)
		}
	}
	m.read = &d
	return m.read, nil
}

// keys are the provider's.
type keys struct {
	o        *Options
	metadata *metadata

	mu      sync.Mutex
	set     []jose.JSONWebKey
	fetched time.Time     // when set was; zero: never
	tried   time.Time     // when the last attempt began
	failed  error         // of the last attempt
	flight  chan struct{} // closed when the attempt under way has ended; nil: there is none
}

// find gives the keys that may have signed a token: those of that id, or, of a token that names none, all; and of when they are. They are fetched if there is
// none, or none that is newer than after, but not all the time.
func (k *keys) find(ctx context.Context, id, algorithm string, after time.Time) ([]jose.JSONWebKey, time.Time, error) {
	for asked := false; ; asked = true {
		k.mu.Lock()
		age := time.Since(k.fetched)
		fresh := age < k.o.HoldFor
		found := k.fitting(id, algorithm)
		switch {
		case fresh && len(found) > 0 && k.fetched.After(after):
			if age > k.o.KeysFor {
				k.refresh()
			}
			of := k.fetched
			k.mu.Unlock()
			return found, of, nil
		case asked || k.flight == nil && time.Since(k.tried) < pause:
			err := k.failed
			k.mu.Unlock()
			if err == nil && fresh {
				return nil, time.Time{}, refused("the provider has no key %q for %s that fits the signature", id, algorithm)
			}
			return nil, time.Time{}, &security.Unavailable{Text: "the identity provider does not answer", Err: err}
		}
		flight := k.refresh()
		k.mu.Unlock()
		select {
		case <-flight:
		case <-ctx.Done():
			return nil, time.Time{}, ctx.Err()
		}
	}
}

// fitting are the keys that fit. The caller holds k.mu.
func (k *keys) fitting(id, algorithm string) (list []jose.JSONWebKey) {
	for _, key := range k.set {
		if (id == "" || key.KeyID == id) && (key.Algorithm == "" || key.Algorithm == algorithm) {
			list = append(list, key)
		}
	}
	return list
}

// refresh has the keys fetched, unless that has just been done, and says when it is done. The caller holds k.mu.
func (k *keys) refresh() <-chan struct{} {
	if k.flight != nil {
		return k.flight
	}
	done := make(chan struct{})
	if time.Since(k.tried) < pause {
		close(done)
		return done
	}
	k.tried, k.flight = time.Now(), done
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*k.o.Timeout) // not the caller's: others wait for it, too
		defer cancel()
		set, err := k.fetch(ctx)
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.failed = err; err == nil {
			k.set, k.fetched = set, time.Now()
		} else {
			k.o.Log.Error("the identity provider's keys cannot be fetched", "issuer", k.o.Issuer, "keys of", k.fetched, "error", err)
		}
		k.flight = nil
		close(done)
	}()
	return done
}

func (k *keys) fetch(ctx context.Context) ([]jose.JSONWebKey, error) {
	url := k.o.KeysURL
	if url == "" {
		d, err := k.metadata.document(ctx)
		if err != nil {
			return nil, err
		}
		url = d.Keys
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := fetch(ctx, k.metadata.client, url, &set); err != nil {
		return nil, err
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("the provider has more than %d keys", maxKeys)
	}
	var usable []jose.JSONWebKey
	for _, text := range set.Keys {
		var key jose.JSONWebKey
		if json.Unmarshal(text, &key) != nil || !key.Valid() || key.Use != "" && key.Use != "sig" {
			continue // of a kind that is not known here, or for something else
		}
		key = key.Public() // empty for a shared secret, with which whoever verifies could sign
		if r, ok := key.Key.(*rsa.PublicKey); !key.Valid() || ok && r.N.BitLen() < leastRSA {
			continue
		}
		usable = append(usable, key)
	}
	if len(usable) == 0 {
		return nil, errors.New("the provider has no key for signatures that is usable here")
	}
	return usable, nil
}
