package cluster

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// Admission answers hosts that join by a token at a server that stays, and keeps its invites itself; an Inviter is for one that ends when all have joined. What it is asked, and what
// it answers, is the same.
type Admission struct {
	// Admit gives a host what it needs. A *Refused is what the host is told; of another error it hears only that there was one. It is asked one at a time.
	Admit func(ctx context.Context, ask Asked) (*Given, error)

	mu    sync.Mutex
	wrong wrongSecrets
}

// Asked is what a host has asked, and has proved to have the key of.
type Asked struct {
	Node    string
	Secret  [sha256.Size]byte // hash of the secret that it has shown
	Key     *ecdsa.PublicKey
	KeyHash [sha256.Size]byte // of its PKIX form, DER
	From    netip.Addr
}

// Refuse makes a *Refused. Status is of HTTP: 403 counts as a secret that was wrong, of which an address has only a few.
func Refuse(status int, text string) error { return &Refused{text, status} }

// ServeHTTP answers one request of a host.
func (a *Admission) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	given, err := a.take(w, r)
	answerJoin(w, given, err)
}

func (a *Admission) take(w http.ResponseWriter, r *http.Request) (*Given, error) {
	ask, err := readJoin(w, r)
	if err != nil {
		return nil, err
	}
	asked := Asked{Node: ask.Node, Secret: sha256.Sum256(ask.Secret), From: addressOf(r.RemoteAddr)}
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	if a.wrong.full(asked.From, now) {
		return nil, errSlower
	}
	key, encoded, err := keyOf(ask.Request)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "the certificate request: %v", err)
	}
	asked.Key, asked.KeyHash = key, sha256.Sum256(encoded)
	given, err := a.Admit(r.Context(), asked)
	if refused := (*Refused)(nil); errors.As(err, &refused) && refused.status == http.StatusForbidden {
		a.wrong.count(asked.From, now)
	}
	return given, err
}

// ServerTLS is for a server that hosts join at, and that those who have joined speak to. Who has no certificate of the authority's can only join.
func (a *Authority) ServerTLS() (*tls.Config, error) {
	certificate, err := a.inviterCertificate(time.Now().Add(nodeLife)) // made anew at each start
	if err != nil {
		return nil, err
	}
	nodes := x509.NewCertPool()
	nodes.AddCert(a.cert)
	return &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS13, ClientCAs: nodes, ClientAuth: tls.VerifyClientCertIfGiven}, nil
}

// NodeOf says who a host is that has shown a certificate of the authority's: its name, and the hash of its key. "": it has shown none.
func NodeOf(s *tls.ConnectionState) (name string, key [sha256.Size]byte) {
	if s == nil || len(s.VerifiedChains) == 0 {
		return "", key
	}
	c := s.VerifiedChains[0][0]
	return c.Subject.CommonName, sha256.Sum256(c.RawSubjectPublicKeyInfo)
}

// ClientTLS is for a host that has joined: it shows the certificate that it was given, and takes no other server than one of the authority's. The host is to be addressed as Controller.
func ClientTLS(certificate tls.Certificate, authority []byte) (*tls.Config, error) {
	servers := x509.NewCertPool()
	if !servers.AppendCertsFromPEM(authority) {
		return nil, errors.New("the authority's certificate cannot be read")
	}
	return &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS13, RootCAs: servers, ServerName: inviterName}, nil
}

// Controller is the name of a server of ServerTLS, whatever its address is.
const Controller = inviterName

// Bounded is a listener with a bound for the connections that are open at a time.
func Bounded(l net.Listener, connections int) net.Listener {
	return &bounded{l, make(chan struct{}, connections)}
}

// Fingerprint is the SHA-256 of the authority's certificate (DER), as tokens have it.
func (a *Authority) Fingerprint() [sha256.Size]byte { return sha256.Sum256(a.cert.Raw) }
