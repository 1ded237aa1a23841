package listen

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Certificates are the server's certificate and key, and the CA of its clients, from PEM files that may change while
// connections are open: new handshakes take the new ones.
type Certificates struct {
	certificate, key, clientCA string
	log                        *slog.Logger
	current                    atomic.Pointer[loaded]
	mu                         sync.Mutex // of Reload
	seen                       [3]stamp
}

// loaded is what one reading of the files gave.
type loaded struct {
	leaf    *x509.Certificate
	clients bool
	configs [RequiredClientAuth + 1]*tls.Config
}

// stamp tells whether a file changed.
type stamp struct {
	modified time.Time
	size     int64
	info     fs.FileInfo
}

// safeSuites are for TLS 1.2: forward secrecy and authenticated encryption only. Java 8 has them. Those of TLS 1.3 are
// all safe and not to be chosen.
var safeSuites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// LoadCertificates reads a certificate chain and its key, and, unless clientCA is empty, the CA certificates by which
// clients' certificates are verified. log may be nil.
func LoadCertificates(certificate, key, clientCA string, log *slog.Logger) (*Certificates, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	c := &Certificates{certificate: certificate, key: key, clientCA: clientCA, log: log}
	c.seen = c.stamps()
	l, err := c.load()
	if err != nil {
		return nil, err
	}
	c.current.Store(l)
	return c, nil
}

// Leaf is the server's certificate in use.
func (c *Certificates) Leaf() *x509.Certificate { return c.current.Load().leaf }

// VerifiesClients says whether there is a CA for clients' certificates.
func (c *Certificates) VerifiesClients() bool { return c.current.Load().clients }

// Reload reads the files if they changed since they were read last, and says whether they are now in use. If they are
// broken, or do not fit each other since only one was written so far, the old ones stay in use.
func (c *Certificates) Reload() (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.stamps()
	if sameStamps(now, c.seen) {
		return false, nil
	}
	c.seen = now
	l, err := c.load()
	if err != nil {
		return false, err
	}
	if c.clientCA != "" && !l.clients {
		return false, errors.New("the CA for clients is gone")
	}
	c.current.Store(l)
	return true, nil
}

// Watch calls Reload every so often, a second if every is 0, until ctx ends, and logs what came of it.
func (c *Certificates) Watch(ctx context.Context, every time.Duration) {
	if every <= 0 {
		every = time.Second
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		switch changed, err := c.Reload(); {
		case err != nil:
			c.log.Error("new TLS certificate is not usable; the old one stays in use", slog.Any("error", err),
				slog.Time("expires", c.Leaf().NotAfter))
		case changed:
			c.log.Info("new TLS certificate in use", slog.String("subject", c.Leaf().Subject.String()),
				slog.Time("expires", c.Leaf().NotAfter))
		}
	}
}

func (c *Certificates) stamps() [3]stamp {
	var s [3]stamp
	for i, path := range [...]string{c.certificate, c.key, c.clientCA} {
		if path == "" {
			continue
		}
		// One that is not there differs from any other, and from none before.
		if info, err := os.Stat(path); err == nil {
			s[i] = stamp{info.ModTime(), info.Size(), info}
		}
	}
	return s
}

func sameStamps(a, b [3]stamp) bool {
	for i := range a {
		if (a[i].info == nil) != (b[i].info == nil) {
			return false
		}
		if a[i].info != nil && (!a[i].modified.Equal(b[i].modified) || a[i].size != b[i].size || !os.SameFile(a[i].info, b[i].info)) {
			return false
		}
	}
	return true
}

func (c *Certificates) load() (*loaded, error) {
	pair, err := tls.LoadX509KeyPair(c.certificate, c.key)
	if err != nil {
		return nil, fmt.Errorf("load TLS certificate %s with key %s: %w", c.certificate, c.key, err)
	}
	l := &loaded{leaf: pair.Leaf}
	var clients *x509.CertPool
	if c.clientCA != "" {
		pem, err := os.ReadFile(c.clientCA)
		if err != nil {
			return nil, fmt.Errorf("load CA for clients: %w", err)
		}
		clients = x509.NewCertPool()
		if !clients.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("load CA for clients: %s has no certificate in PEM form", c.clientCA)
		}
		l.clients = true
	}
	for auth := range l.configs {
		config := &tls.Config{MinVersion: tls.VersionTLS12, CipherSuites: safeSuites, Certificates: []tls.Certificate{pair}, ClientCAs: clients}
		switch ClientAuth(auth) {
		case OptionalClientAuth:
			config.ClientAuth = tls.VerifyClientCertIfGiven
		case RequiredClientAuth:
			config.ClientAuth = tls.RequireAndVerifyClientCert
		}
		l.configs[auth] = config
	}
	return l, nil
}

// serverConfig is a configuration that follows the files.
func (c *Certificates) serverConfig(auth ClientAuth) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return c.current.Load().configs[auth], nil
		},
	}
}

// ServerConfig is a TLS configuration for another server of the same process, such as that of HTTP, which follows the
// files, too.
func (c *Certificates) ServerConfig() *tls.Config { return c.serverConfig(NoClientAuth) }
