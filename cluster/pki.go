package cluster

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Authority issues the certificates that nodes show each other, and no others: whoever has one is a node. It lies in two files of a folder.
type Authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// The files of an authority.
const (
	AuthorityFile    = "ca.pem"
	AuthorityKeyFile = "ca-key.pem"
)

const (
	authorityLife = 20 * 365 * 24 * time.Hour
	nodeLife      = 5 * 365 * 24 * time.Hour
)

// OpenAuthority reads the authority in a folder, or makes one (ECDSA P-256, 20 years). Its key belongs on no node: it is only needed to issue.
func OpenAuthority(dir string) (*Authority, error) {
	a := &Authority{dir: dir}
	data, err := os.ReadFile(filepath.Join(dir, AuthorityFile))
	if errors.Is(err, fs.ErrNotExist) {
		return a, a.make()
	}
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, fmt.Errorf("%s has no certificate", filepath.Join(dir, AuthorityFile))
	}
	if a.cert, err = x509.ParseCertificate(block.Bytes); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, AuthorityFile), err)
	}
	if data, err = os.ReadFile(filepath.Join(dir, AuthorityKeyFile)); err != nil {
		return nil, fmt.Errorf("the authority's key is needed to issue certificates: %w", err)
	}
	if block, _ = pem.Decode(data); block == nil {
		return nil, fmt.Errorf("%s has no key", filepath.Join(dir, AuthorityKeyFile))
	}
	if a.key, err = x509.ParseECPrivateKey(block.Bytes); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, AuthorityKeyFile), err)
	}
	return a, nil
}

func (a *Authority) make() error {
	if err := os.MkdirAll(a.dir, 0o700); err != nil {
		return err
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "Godwit nodes"}, NotAfter: time.Now().Add(authorityLife),
		KeyUsage: x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true,
	}
	return a.issue(template, AuthorityFile, AuthorityKeyFile)
}

// Issue makes a certificate and key for a node, NAME.pem and NAME-key.pem, for the hosts (names or addresses) at which the others reach it. Files that are there are
// replaced.
func (a *Authority) Issue(node string, hosts []string) error {
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: node}, NotAfter: time.Now().Add(nodeLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, h)
		}
	}
	return a.issue(template, node+".pem", node+"-key.pem")
}

// issue signs a certificate with a new key; the authority's own with itself.
func (a *Authority) issue(template *x509.Certificate, certFile, keyFile string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)); err != nil {
		return err
	}
	template.NotBefore = time.Now().Add(-time.Hour) // clocks differ
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		return err
	}
	if a.cert == nil {
		if a.cert, err = x509.ParseCertificate(der); err != nil {
			return err
		}
		a.key = key
	}
	secret, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(a.dir, keyFile), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: secret}), 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(a.dir, certFile), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644)
}
