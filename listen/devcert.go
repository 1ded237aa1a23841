package listen

import (
	"bytes"
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
	"slices"
	"time"

	"software.sslmate.com/src/go-pkcs12"
)

// Files are a development CA and a certificate that it issued.
type Files struct {
	CA          string // ca.pem: what clients must trust
	CAKey       string // ca-key.pem
	Certificate string // server.pem
	Key         string // server-key.pem
	TrustStore  string // truststore.p12: the CA for Java, with TrustStorePassword
}

// TrustStorePassword opens the trust store, which holds no secret. It is the one that Java people expect.
const TrustStorePassword = "changeit"

const (
	caLife     = 10 * 365 * 24 * time.Hour
	serverLife = 825 * 24 * time.Hour // clients of Apple accept no more
	renewAt    = 30 * 24 * time.Hour
)

// EnsureDevCertificate makes, where they are missing, a CA (ECDSA P-256, 10 years) and a server certificate for
// localhost, this host's name, the loopback addresses, and hosts (names or addresses), in dir. The certificate is
// renewed, by the same CA, when less than 30 days are left or when it lacks one of the names; the CA, which clients had
// to be told to trust, only when it is about to end itself. A server.pem that another CA issued is left alone. Keys are
// readable by their owner only. It takes some milliseconds the first time.
func EnsureDevCertificate(dir string, hosts []string) (Files, error) {
	return ensureDevCertificate(dir, hosts, time.Now())
}

func ensureDevCertificate(dir string, hosts []string, now time.Time) (Files, error) {
	f := Files{
		CA: filepath.Join(dir, "ca.pem"), CAKey: filepath.Join(dir, "ca-key.pem"),
		Certificate: filepath.Join(dir, "server.pem"), Key: filepath.Join(dir, "server-key.pem"),
		TrustStore: filepath.Join(dir, "truststore.p12"),
	}
	if err := f.ensure(dir, hosts, now); err != nil {
		return f, fmt.Errorf("development certificate: %w", err)
	}
	return f, nil
}

func (f Files) ensure(dir string, hosts []string, now time.Time) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	names, addresses := subjectNames(hosts)
	ca, err := readCertificate(f.CA)
	if err != nil {
		return err
	}
	leaf, err := readCertificate(f.Certificate)
	if err != nil {
		return err
	}
	if leaf != nil && (ca == nil || leaf.CheckSignatureFrom(ca) != nil) && leaf.Issuer.CommonName != caName {
		return nil // somebody put another certificate here
	}
	var caKey *ecdsa.PrivateKey
	if ca == nil || now.After(ca.NotAfter.Add(-renewAt)) {
		if ca, caKey, err = f.makeCA(now); err != nil {
			return err
		}
		leaf = nil
	}
	if !exists(f.TrustStore) {
		// Java before 8u301 reads only the old encryption; every later one reads it, too, and there is nothing to hide.
		store, err := pkcs12.LegacyDES.EncodeTrustStoreEntries([]pkcs12.TrustStoreEntry{{Cert: ca, FriendlyName: "godwit-development-ca"}}, TrustStorePassword)
		if err != nil {
			return err
		}
		if err := writeFile(f.TrustStore, store, 0o644); err != nil {
			return err
		}
	}
	if leaf != nil && exists(f.Key) && leaf.CheckSignatureFrom(ca) == nil && now.Before(leaf.NotAfter.Add(-renewAt)) && hasNames(leaf, names, addresses) {
		return nil
	}
	if caKey == nil {
		if caKey, err = readKey(f.CAKey); err != nil {
			return fmt.Errorf("a new server certificate is needed, but the CA's key cannot be used (remove %s to begin anew): %w", f.CA, err)
		}
	}
	return f.makeServer(ca, caKey, names, addresses, now)
}

// caName is the common name of the CA.
const caName = "Godwit development CA"

func (f Files) makeCA(now time.Time) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	host, _ := os.Hostname()
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: caName, Organization: []string{"Godwit on " + host}},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(caLife),
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, nil, err
	}
	ca, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, err
	}
	// The trust store first: it must not outlive the CA that it is of.
	if err := os.Remove(f.TrustStore); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	if err := writeKey(f.CAKey, key); err != nil {
		return nil, nil, err
	}
	return ca, key, writeFile(f.CA, certificatePEM(ca), 0o644)
}

func (f Files) makeServer(ca *x509.Certificate, caKey *ecdsa.PrivateKey, names []string, addresses []net.IP, now time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: names[0], Organization: []string{"Godwit development"}},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(serverLife - time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true, DNSNames: names, IPAddresses: addresses,
	}
	if template.NotAfter.After(ca.NotAfter) {
		template.NotAfter = ca.NotAfter
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca, key.Public(), caKey)
	if err != nil {
		return err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return err
	}
	if err := writeKey(f.Key, key); err != nil {
		return err
	}
	return writeFile(f.Certificate, append(certificatePEM(leaf), certificatePEM(ca)...), 0o644)
}

// subjectNames are the names and addresses that a server certificate is for.
func subjectNames(hosts []string) (names []string, addresses []net.IP) {
	names = []string{"localhost"}
	addresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	if host, err := os.Hostname(); err == nil {
		hosts = append(slices.Clip(hosts), host)
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			if !ip.IsUnspecified() && !slices.ContainsFunc(addresses, ip.Equal) {
				addresses = append(addresses, ip)
			}
		} else if h != "" && !slices.Contains(names, h) {
			names = append(names, h)
		}
	}
	return names, addresses
}

func hasNames(c *x509.Certificate, names []string, addresses []net.IP) bool {
	for _, n := range names {
		if !slices.Contains(c.DNSNames, n) {
			return false
		}
	}
	for _, a := range addresses {
		if !slices.ContainsFunc(c.IPAddresses, a.Equal) {
			return false
		}
	}
	return true
}

func serial() *big.Int {
	b := make([]byte, 16)
	rand.Read(b)
	b[0] = b[0]&0x7f | 0x40 // positive, and always 16 bytes
	return new(big.Int).SetBytes(b)
}

// readCertificate reads the first certificate of a file; nil if there is no file, or an empty one, as a crash of the
// machine may leave.
func readCertificate(path string) (*x509.Certificate, error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(content) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(content)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, fmt.Errorf("%s has no certificate in PEM form", path)
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

func readKey(path string) (*ecdsa.PrivateKey, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(content)
	if block == nil {
		return nil, fmt.Errorf("%s has no key in PEM form", path)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	ec, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s has no ECDSA key", path)
	}
	return ec, nil
}

func certificatePEM(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

func writeKey(path string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return writeFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
}

func exists(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Size() > 0
}

// writeFile replaces a file in one step. It does not wait for the disk: all this can be made again, and the first start
// is to be quick.
func writeFile(path string, content []byte, mode fs.FileMode) error {
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, content) {
		return os.Chmod(path, mode)
	}
	temp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = temp.Write(content)
	err = errors.Join(err, temp.Chmod(mode), temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		os.Remove(temp.Name())
	}
	return err
}
