package activemq

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pavlo-v-chernykh/keystore-go/v4"
	"software.sslmate.com/src/go-pkcs12"
)

// stores makes key stores and trust stores of both forms in a folder.
func stores(t *testing.T) (folder string) {
	t.Helper()
	folder = t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "broker"}, NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"broker"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, data []byte, err error) {
		if err == nil {
			err = os.WriteFile(filepath.Join(folder, name), data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	data, err := pkcs12.Modern.Encode(key, certificate, nil, "secret-p12")
	write("keys.p12", data, err)
	data, err = pkcs12.Modern.EncodeTrustStore([]*x509.Certificate{certificate}, "secret-p12")
	write("trust.p12", data, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	content := keystore.Certificate{Type: "X509", Content: der}
	jks := func(name string, keys ...string) {
		store := keystore.New()
		for _, alias := range keys {
			if err := store.SetPrivateKeyEntry(alias, keystore.PrivateKeyEntry{CreationTime: time.Now(), PrivateKey: private, CertificateChain: []keystore.Certificate{content}}, []byte("secret-jks")); err != nil {
				t.Fatal(err)
			}
		}
		if len(keys) == 0 {
			if err := store.SetTrustedCertificateEntry("ca", keystore.TrustedCertificateEntry{CreationTime: time.Now(), Certificate: content}); err != nil {
				t.Fatal(err)
			}
		}
		var b bytes.Buffer
		err := store.Store(&b, []byte("secret-jks"))
		write(name, b.Bytes(), err)
	}
	jks("keys.jks", "broker")
	jks("two.jks", "a", "b")
	jks("trust.jks")
	return folder
}

func TestStores(t *testing.T) {
	folder := stores(t)
	tests := map[string]struct {
		keys, password, trust, trustPassword string
		wrong                                []string // what items say
	}{
		"PKCS12":         {keys: "keys.p12", password: "secret-p12", trust: "trust.p12", trustPassword: "secret-p12"},
		"JKS":            {keys: "file:keys.jks", password: "secret-jks", trust: "trust.jks", trustPassword: "secret-jks"},
		"both":           {keys: "keys.jks", password: "secret-jks", trust: "trust.p12", trustPassword: "secret-p12"},
		"wrong password": {keys: "keys.p12", password: "x", trust: "trust.jks", trustPassword: "x", wrong: []string{"keys.p12: is no PKCS12 or JKS key store", "trust.jks: is no JKS store"}},
		"swapped":        {keys: "trust.jks", password: "secret-jks", trust: "keys.jks", trustPassword: "secret-jks", wrong: []string{"there is no private key in it", "there is no certificate of an authority in it"}},
		"two keys":       {keys: "two.jks", password: "secret-jks", trust: "trust.jks", trustPassword: "secret-jks", wrong: []string{"there is more than one key in it"}},
		"encrypted":      {keys: "keys.jks", password: "ENC(x)", trust: "trust.jks", trustPassword: "secret-jks", wrong: []string{"keyStorePassword: is encrypted", "keys.jks: is no JKS store"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			text := `<broker xmlns="http://activemq.apache.org/schema/core"><sslContext><sslContext keyStore="` + tt.keys + `" keyStorePassword="` + tt.password +
				`" trustStore="` + tt.trust + `" trustStorePassword="` + tt.trustPassword + `"/></sslContext>
				<transportConnectors><transportConnector uri="ssl://127.0.0.1:61617?needClientAuth=true"/></transportConnectors></broker>`
			path := filepath.Join(folder, "activemq.xml")
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			r, err := Import(path, Options{Name: "new"})
			if err != nil {
				t.Fatal(err)
			}
			var said []string
			for _, item := range r.Items {
				if item.Verdict == NotSupported {
					said = append(said, item.Words)
				}
			}
			for _, want := range tt.wrong {
				if !strings.Contains(strings.Join(said, "\n"), want) {
					t.Errorf("said %q, want %q", said, want)
				}
			}
			if len(tt.wrong) > 0 {
				return
			}
			files := map[string][]byte{}
			for _, f := range r.Files {
				files[f.Name] = f.Data
			}
			if len(said) > 0 || r.Config.TLS.Certificate != "new-cert.pem" || r.Config.TLS.ClientCA != "new-ca.pem" || r.Config.Listeners[0].ClientAuth != "required" {
				t.Errorf("got %+v %+v, said %q", r.Config.TLS, r.Config.Listeners, said)
			}
			if pair, err := tls.X509KeyPair(files["new-cert.pem"], files["new-key.pem"]); err != nil || pair.Leaf.Subject.CommonName != "broker" {
				t.Errorf("certificate and key cannot be used: %v", err)
			}
			if !x509.NewCertPool().AppendCertsFromPEM(files["new-ca.pem"]) {
				t.Error("the authorities cannot be read")
			}
		})
	}
}
