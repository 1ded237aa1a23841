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
	// clocksDiffer by less than this.
	clocksDiffer = time.Hour
)

// OpenAuthority reads the authority in a folder, or makes one (ECDSA P-256, 20 years). Its key belongs on no node: it is only needed to issue.
func OpenAuthority(dir string) (*Authority, error) { return OpenAuthorityNamed(dir, "Godwit nodes") }

// OpenAuthorityNamed is OpenAuthority for certificates of something else than nodes: the name says what of, and is in the authority's own certificate.
func OpenAuthorityNamed(dir, name string) (*Authority, error) {
	if _, err := os.Stat(filepath.Join(dir, AuthorityFile)); errors.Is(err, fs.ErrNotExist) {
		a := &Authority{dir: dir}
		return a, a.make(name)
	}
	return ReadAuthority(dir)
}

// ReadAuthority reads the authority in a folder.
func ReadAuthority(dir string) (*Authority, error) {
	a := &Authority{dir: dir}
	data, err := os.ReadFile(filepath.Join(dir, AuthorityFile))
	if err != nil {
		return nil, err
	}
	if a.cert, err = parseCertificate(data); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, AuthorityFile), err)
	}
	if data, err = os.ReadFile(filepath.Join(dir, AuthorityKeyFile)); err != nil {
		return nil, fmt.Errorf("the authority's key is needed to issue certificates: %w", err)
	}
	if a.key, err = ParseKey(data); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, AuthorityKeyFile), err)
	}
	return a, nil
}

func (a *Authority) make(name string) error {
	if err := os.MkdirAll(a.dir, 0o700); err != nil {
		return err
	}
	key, err := NewKey()
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(authorityLife),
		KeyUsage: x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true,
	}
	a.cert, a.key = template, key // which signs itself
	if a.cert, err = a.sign(template, &key.PublicKey); err != nil {
		return err
	}
	return a.write(AuthorityFile, encodeCertificate(a.cert), AuthorityKeyFile, key)
}

// Issue makes a certificate and key for a node, NAME.pem and NAME-key.pem, for the hosts (names or addresses) at which the others reach it. Files that are there are
// replaced.
func (a *Authority) Issue(node string, hosts []string) error {
	key, err := NewKey()
	if err != nil {
		return err
	}
	certificate, err := a.Certify(node, hosts, &key.PublicKey)
	if err != nil {
		return err
	}
	return a.write(node+".pem", certificate, node+"-key.pem", key)
}

// PEM is the authority's own certificate.
func (a *Authority) PEM() []byte { return encodeCertificate(a.cert) }

// Certify makes a certificate, in PEM, for a node that has made its key itself, and for the hosts (names or addresses) at which others reach it.
func (a *Authority) Certify(node string, hosts []string, key *ecdsa.PublicKey) ([]byte, error) {
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
	certificate, err := a.sign(template, key)
	if err != nil {
		return nil, err
	}
	return encodeCertificate(certificate), nil
}

// sign completes a certificate for a key.
func (a *Authority) sign(template *x509.Certificate, key *ecdsa.PublicKey) (*x509.Certificate, error) {
	var err error
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)); err != nil {
		return nil, err
	}
	template.NotBefore = time.Now().Add(-clocksDiffer)
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key, a.key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func (a *Authority) write(certificateFile string, certificate []byte, keyFile string, key *ecdsa.PrivateKey) error {
	secret, err := EncodeKey(key)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(a.dir, keyFile), secret, 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(a.dir, certificateFile), certificate, 0o644)
}

// NewKey makes the private key of a node: ECDSA P-256.
func NewKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

// EncodeKey is a private key in PEM.
func EncodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), nil
}

// ParseKey reads what EncodeKey has made.
func ParseKey(data []byte) (*ecdsa.PrivateKey, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("has no key")
	}
	return x509.ParseECPrivateKey(block.Bytes)
}

func encodeCertificate(certificate *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw})
}

func parseCertificate(data []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("has no certificate")
	}
	return x509.ParseCertificate(block.Bytes)
}
