package listen

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"software.sslmate.com/src/go-pkcs12"
)

// replace writes a file anew so that its stamp differs whatever the clock's grain.
func replace(t *testing.T, path string, content []byte) {
	t.Helper()
	temp := path + ".new"
	if err := os.WriteFile(temp, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(temp, path); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestReload(t *testing.T) {
	one, err := EnsureDevCertificate(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	two, err := EnsureDevCertificate(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := LoadCertificates(one.Certificate, one.Key, one.CA, nil)
	if err != nil {
		t.Fatal(err)
	}
	trustOne := trusting(t, one)
	f := newFixture(t, c, 0, STOMP)
	address := f.listen(Endpoint{Protocol: STOMP, TLS: TLSRequired})
	handshake := func(config *tls.Config) (net.Conn, error) {
		client := tls.Client(f.dial(address), config)
		return client, client.Handshake()
	}
	first, err := handshake(trustOne)
	if err != nil {
		t.Fatal(err)
	}
	s := f.next()
	steps := []struct {
		what    string
		do      func()
		changed bool
		err     string
		serial  string // of the certificate in use afterwards
	}{
		{"nothing", func() {}, false, "", "one"},
		{"a certificate without its key", func() { replace(t, one.Certificate, read(t, two.Certificate)) }, false, "private key does not match", "one"},
		{"nothing again", func() {}, false, "", "one"},
		{"the key, too", func() { replace(t, one.Key, read(t, two.Key)) }, true, "", "two"},
		{"garbage", func() { replace(t, one.Certificate, []byte("garbage")) }, false, "failed to find any PEM data", "two"},
		{"no file", func() { os.Remove(one.Certificate) }, false, "no such file", "two"},
		{"the file again", func() { replace(t, one.Certificate, read(t, two.Certificate)) }, true, "", "two"},
		{"a broken CA", func() { replace(t, one.CA, []byte("garbage")) }, false, "no certificate in PEM form", "two"},
		{"another CA", func() { replace(t, one.CA, read(t, two.CA)) }, true, "", "two"},
	}
	for _, step := range steps {
		step.do()
		changed, err := c.Reload()
		if changed != step.changed || (err == nil) != (step.err == "") || err != nil && !strings.Contains(err.Error(), step.err) {
			t.Errorf("%s: Reload = %v, %v; want %v, %q", step.what, changed, err, step.changed, step.err)
		}
		trust := trustOne
		if step.serial == "two" {
			trust = trusting(t, two)
		}
		client, err := handshake(trust)
		if err != nil {
			t.Errorf("%s: handshake = %v", step.what, err)
			continue
		}
		close(f.next().end)
		client.Close()
	}
	f.write(first, "x")
	f.wantRead(s.conn, "x")
}

func TestWatch(t *testing.T) {
	one, err := EnsureDevCertificate(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	two, err := EnsureDevCertificate(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		c, err := LoadCertificates(one.Certificate, one.Key, "", slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			c.Watch(ctx, 0)
		}()
		replace(t, one.Certificate, read(t, two.Certificate))
		time.Sleep(10 * time.Second) // of the bubble
		replace(t, one.Key, read(t, two.Key))
		time.Sleep(10 * time.Second)
		cancel()
		<-done
		if broken, used := strings.Count(log.String(), "old one stays"), strings.Count(log.String(), "new TLS certificate in use"); broken != 1 || used != 1 {
			t.Errorf("log = %q, want one line of each", log.String())
		}
	})
}

func TestLoadMistakes(t *testing.T) {
	files, _ := testCertificates(t)
	for name, paths := range map[string][3]string{
		"no certificate": {"none.pem", files.Key, ""},
		"no key":         {files.Certificate, "none.pem", ""},
		"other key":      {files.Certificate, files.CAKey, ""},
		"no CA":          {files.Certificate, files.Key, "none.pem"},
		"CA is a key":    {files.Certificate, files.Key, files.CAKey},
	} {
		if _, err := LoadCertificates(paths[0], paths[1], paths[2], nil); err == nil {
			t.Errorf("%s: loaded", name)
		}
	}
}

// clientCertificate is one that the CA of files issued.
func clientCertificate(t *testing.T, files Files, name string) tls.Certificate {
	t.Helper()
	ca, err := readCertificate(files.CA)
	if err != nil {
		t.Fatal(err)
	}
	caKey, err := readKey(files.CAKey)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: serial(), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, ca, key.Public(), caKey)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestClientCertificates(t *testing.T) {
	files, certificates := testCertificates(t)
	others, _ := testCertificates(t)
	own, foreign := clientCertificate(t, files, "client1"), clientCertificate(t, others, "client1")
	tests := map[string]struct {
		auth  ClientAuth
		shown *tls.Certificate
		admit bool
		name  string
	}{
		"none, own":          {NoClientAuth, &own, true, ""},
		"optional, none":     {OptionalClientAuth, nil, true, ""},
		"optional, own":      {OptionalClientAuth, &own, true, "client1"},
		"optional, foreign":  {OptionalClientAuth, &foreign, false, ""},
		"required, none":     {RequiredClientAuth, nil, false, ""},
		"required, own":      {RequiredClientAuth, &own, true, "client1"},
		"required, foreign":  {RequiredClientAuth, &foreign, false, ""},
		"required, self-CA?": {RequiredClientAuth, &tls.Certificate{}, false, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, certificates, 0, STOMP)
			config := trusting(t, files)
			config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				if tt.shown == nil {
					return &tls.Certificate{}, nil
				}
				return tt.shown, nil
			}
			client := tls.Client(f.dial(f.listen(Endpoint{Protocol: STOMP, TLS: TLSRequired, ClientAuth: tt.auth})), config)
			if !tt.admit {
				client.Handshake() // with TLS 1.3 the client learns only later
				f.wantClosed(client)
				f.awaitCurrent(0) // the client is told before it is counted
				if n := f.Stats().RefusedTLS.Load(); n != 1 {
					t.Errorf("refused = %d, want 1", n)
				}
				return
			}
			if err := client.Handshake(); err != nil {
				t.Fatal(err)
			}
			got := ""
			if peer := f.next().info.TLS.Peer; len(peer) > 0 {
				got = peer[0].Subject.CommonName
			}
			if got != tt.name {
				t.Errorf("peer = %q, want %q", got, tt.name)
			}
		})
	}
}

func TestTLSVersionsAndSuites(t *testing.T) {
	files, certificates := testCertificates(t)
	tests := map[string]struct {
		version uint16
		suites  []uint16
		admit   bool
	}{
		"1.3":                {tls.VersionTLS13, nil, true},
		"1.2":                {tls.VersionTLS12, nil, true},
		"1.2, Java's choice": {tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384}, true},
		"1.2, CBC only":      {tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}, false},
		"1.1":                {tls.VersionTLS11, nil, false},
		"1.0":                {tls.VersionTLS10, nil, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, certificates, 0, STOMP)
			config := trusting(t, files)
			config.MinVersion, config.MaxVersion, config.CipherSuites = tt.version, tt.version, tt.suites
			client := tls.Client(f.dial(f.listen(Endpoint{Protocol: STOMP, TLS: TLSRequired})), config)
			if err := client.Handshake(); (err == nil) != tt.admit {
				t.Fatalf("handshake = %v, want admitted %v", err, tt.admit)
			}
			if tt.admit {
				if got := f.next().info.TLS.Version; got != tt.version {
					t.Errorf("version = %x, want %x", got, tt.version)
				}
			}
		})
	}
}

func TestDevCertificate(t *testing.T) {
	now := time.Now()
	day := 24 * time.Hour
	tests := map[string]struct {
		change       func(t *testing.T, f Files)
		later        time.Duration
		hosts        []string
		newCA, newEE bool
		err          string
	}{
		"nothing":                {},
		"hosts that it has":      {hosts: []string{"localhost", "127.0.0.1"}},
		"another host":           {hosts: []string{"broker.example", "192.0.2.1"}, newEE: true},
		"all interfaces":         {hosts: []string{"0.0.0.0", "", "::"}},
		"31 days left":           {later: 825*day - 31*day},
		"29 days left":           {later: 825*day - 29*day, newEE: true},
		"CA ends":                {later: 3650*day - 29*day, newCA: true, newEE: true},
		"no server certificate":  {change: func(t *testing.T, f Files) { os.Remove(f.Certificate) }, newEE: true},
		"no server key":          {change: func(t *testing.T, f Files) { os.Remove(f.Key) }, newEE: true},
		"empty after a crash":    {change: func(t *testing.T, f Files) { replace(t, f.Certificate, nil) }, newEE: true},
		"no trust store":         {change: func(t *testing.T, f Files) { os.Remove(f.TrustStore) }},
		"no CA":                  {change: func(t *testing.T, f Files) { os.Remove(f.CA) }, newCA: true, newEE: true},
		"no CA key":              {change: func(t *testing.T, f Files) { os.Remove(f.CAKey) }},
		"no CA key, needed":      {change: func(t *testing.T, f Files) { os.Remove(f.CAKey) }, later: 825 * day, err: "to begin anew"},
		"damaged CA":             {change: func(t *testing.T, f Files) { replace(t, f.CA, []byte("garbage")) }, err: "ca.pem has no certificate"},
		"another's certificate":  {change: putForeign},
		"another's, ending soon": {change: putForeign, later: 800 * day},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			f, err := ensureDevCertificate(dir, nil, now)
			if err != nil {
				t.Fatal(err)
			}
			oldCA := read(t, f.CA)
			if tt.change != nil {
				tt.change(t, f)
			}
			oldEE, _ := os.ReadFile(f.Certificate)
			_, err = ensureDevCertificate(dir, tt.hosts, now.Add(tt.later))
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("error = %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := !bytes.Equal(read(t, f.CA), oldCA); got != tt.newCA {
				t.Errorf("new CA: %v, want %v", got, tt.newCA)
			}
			if got := !bytes.Equal(read(t, f.Certificate), oldEE); got != tt.newEE {
				t.Errorf("new server certificate: %v, want %v", got, tt.newEE)
			}
			if name == "another's certificate" || name == "another's, ending soon" {
				return
			}
			verifyDev(t, f, append(tt.hosts, "localhost", "127.0.0.1", "::1"), now.Add(tt.later))
			if left, err := filepath.Glob(filepath.Join(dir, ".*")); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// putForeign replaces the server's certificate by one of another CA.
func putForeign(t *testing.T, f Files) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: serial(), Subject: pkix.Name{CommonName: "own"}, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	replace(t, f.Certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// verifyDev checks the files as a client would.
func verifyDev(t *testing.T, f Files, hosts []string, now time.Time) {
	t.Helper()
	if _, err := tls.LoadX509KeyPair(f.Certificate, f.Key); err != nil {
		t.Error(err)
	}
	ca, err := readCertificate(f.CA)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := readCertificate(f.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	if life := leaf.NotAfter.Sub(leaf.NotBefore); life > serverLife {
		t.Errorf("the server certificate lives %v", life)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	for _, h := range hosts {
		if h == "" || h == "::" || h == "0.0.0.0" {
			continue
		}
		if _, err := leaf.Verify(x509.VerifyOptions{DNSName: h, Roots: roots, CurrentTime: now}); err != nil {
			t.Errorf("for %s: %v", h, err)
		}
	}
	stored, err := pkcs12.DecodeTrustStore(read(t, f.TrustStore), TrustStorePassword)
	if err != nil || len(stored) != 1 || !stored[0].Equal(ca) {
		t.Errorf("trust store holds %d certificates, %v; want the CA", len(stored), err)
	}
}

func TestTrustStoreInJava(t *testing.T) {
	keytool, err := exec.LookPath("keytool")
	if err != nil {
		t.Skip("keytool is not installed: whether Java reads truststore.p12 was not tested")
	}
	f, err := EnsureDevCertificate(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(keytool, "-J-Duser.language=en", "-list", "-keystore", f.TrustStore, "-storepass", TrustStorePassword).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "1 entry") || !strings.Contains(string(out), "trustedCertEntry") {
		t.Errorf("keytool -list: %v\n%s", err, out)
	}
}

func BenchmarkEnsureDevCertificate(b *testing.B) {
	for _, again := range []bool{false, true} {
		b.Run(map[bool]string{false: "first", true: "again"}[again], func(b *testing.B) {
			dir := b.TempDir()
			for b.Loop() {
				if !again {
					dir = b.TempDir()
				}
				if _, err := EnsureDevCertificate(dir, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
