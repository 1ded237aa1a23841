package cluster

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	// joinTries of an inviter's addresses, with joinPause between them. An answer may be lost; the same key may ask again.
	joinTries = 3
	joinPause = time.Second
	dialTime  = 5 * time.Second
)

// Join asks the inviter of a token for what the host needs to be the token's node, and has checked that the certificate is for this key and node and of the token's
// authority. The key stays here. Join may be called again with the same key as long as the inviter is there. The error is a *Refused if the inviter was reached.
func (t Token) Join(ctx context.Context, key *ecdsa.PrivateKey) (*Given, error) {
	given, err := t.ask(ctx, key, false)
	if err != nil {
		return nil, err
	}
	if err := t.verify(given, key); err != nil {
		return nil, fmt.Errorf("the inviter's answer is of no use: %w", err)
	}
	return given, nil
}

// Confirm tells the inviter that what Join has returned is on this host's disk. If that fails the host is a node all the same, and the inviter goes on waiting for it.
func (t Token) Confirm(ctx context.Context, key *ecdsa.PrivateKey) error {
	_, err := t.ask(ctx, key, true)
	return err
}

func (t Token) ask(ctx context.Context, key *ecdsa.PrivateKey, written bool) (*Given, error) {
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(joinRequest{Node: t.Node, Secret: t.secret[:], Request: request, Written: written})
	if err != nil {
		return nil, err
	}
	var failed []string
	for try := range joinTries {
		if try > 0 {
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-time.After(joinPause):
			}
		}
		failed = failed[:0]
		for _, address := range t.Addresses {
			given, err := t.askAt(ctx, address, body)
			if refused := (*Refused)(nil); err == nil || errors.As(err, &refused) || ctx.Err() != nil {
				return given, err
			}
			failed = append(failed, err.Error())
		}
	}
	return nil, fmt.Errorf("the inviter was not reached: %s. Who has made the token must be there: `godwit cluster invite` must still be waiting there, or the service of `godwit nodes invite` run", strings.Join(failed, "; "))
}

// askAt asks at one address.
func (t Token) askAt(ctx context.Context, address string, body []byte) (*Given, error) {
	dialer := &net.Dialer{Timeout: dialTime}
	client := &http.Client{
		Timeout: answerTime,
		Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return dialer.DialContext(ctx, "tcp", address)
			},
			TLSClientConfig: &tls.Config{
				MinVersion: tls.VersionTLS13,
				// No authority that the system trusts may vouch for an inviter, only the token's, whose certificate the inviter sends along.
				InsecureSkipVerify: true,
				VerifyConnection:   func(s tls.ConnectionState) error { return t.recognise(s.PeerCertificates) },
			},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+inviterName+JoinPath, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		// Without the URL, which has a name that means nothing to people, and the address once.
		if outer := (*url.Error)(nil); errors.As(err, &outer) {
			err = outer.Err
		}
		if outer := (*net.OpError)(nil); errors.As(err, &outer) {
			err = outer.Err
		}
		return nil, fmt.Errorf("%s: %w", address, err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("%s: read the answer: %w", address, err)
	}
	var answer joinAnswer
	if err := json.Unmarshal(text, &answer); err != nil {
		return nil, fmt.Errorf("%s: read the answer: %w", address, err)
	}
	if response.StatusCode != http.StatusOK || answer.Given == nil {
		return nil, &Refused{answer.Error, response.StatusCode}
	}
	return answer.Given, nil
}

// recognise says whether certificates are those of an inviter of the token's cluster.
func (t Token) recognise(chain []*x509.Certificate) error {
	for _, c := range chain {
		if sha256.Sum256(c.Raw) == t.Authority {
			return verifyBy(c, chain[0], x509.VerifyOptions{DNSName: inviterName, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
		}
	}
	return errors.New("who answers there is not of this token's cluster: it is the inviter of another one, or somebody in between. Nothing was told")
}

// verify checks what was given.
func (t Token) verify(given *Given, key *ecdsa.PrivateKey) error {
	authority, err := parseCertificate(given.Authority)
	if err != nil {
		return fmt.Errorf("the authority's certificate: %w", err)
	}
	if sha256.Sum256(authority.Raw) != t.Authority {
		return errors.New("the authority is not the token's")
	}
	own, err := parseCertificate(given.Certificate)
	if err != nil {
		return fmt.Errorf("the certificate: %w", err)
	}
	if !key.PublicKey.Equal(own.PublicKey) || own.Subject.CommonName != t.Node {
		return fmt.Errorf("the certificate is for %s and another key", own.Subject.CommonName)
	}
	return verifyBy(authority, own, x509.VerifyOptions{KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
}

func verifyBy(authority, c *x509.Certificate, options x509.VerifyOptions) error {
	options.Roots = x509.NewCertPool()
	options.Roots.AddCert(authority)
	if _, err := c.Verify(options); err != nil {
		if invalid := (x509.CertificateInvalidError{}); errors.As(err, &invalid) && invalid.Reason == x509.Expired {
			return fmt.Errorf("%w: compare the clocks of the two machines", err)
		}
		return err
	}
	return nil
}
