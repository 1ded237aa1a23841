package cluster_test

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/godwitmq/godwit/cluster"
)

// nodeTLS is what a node with a certificate in a folder shows and demands.
func nodeTLS(t *testing.T, dir, node string) *tls.Config {
	t.Helper()
	own, err := tls.LoadX509KeyPair(filepath.Join(dir, node+".pem"), filepath.Join(dir, node+"-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(filepath.Join(dir, cluster.AuthorityFile))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	return &tls.Config{Certificates: []tls.Certificate{own}, RootCAs: pool, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, ServerName: "127.0.0.1"}
}

// Nodes of one authority trust each other, and nobody of another, in either direction.
func TestAuthority(t *testing.T) {
	one, two := t.TempDir(), t.TempDir()
	for _, dir := range []string{one, two} {
		for _, node := range []string{"a", "b"} {
			a, err := cluster.OpenAuthority(dir) // the second time it is read
			if err != nil {
				t.Fatal(err)
			}
			if err := a.Issue(node, []string{"127.0.0.1", "node.example"}); err != nil {
				t.Fatal(err)
			}
		}
	}
	tests := map[string]struct {
		server, client string // folders
		want           string // in the error of either; "" is none
	}{
		"the same authority":    {one, one, ""},
		"a client of another":   {one, two, "unknown authority"},
		"a server of another":   {two, one, "unknown authority"},
		"another two of theirs": {two, two, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c, s := net.Pipe()
			defer c.Close()
			defer s.Close()
			server := tls.Server(s, nodeTLS(t, tt.server, "a"))
			said := make(chan error, 1)
			go func() {
				err := server.Handshake()
				if err == nil {
					_, err = server.Write([]byte("x"))
				}
				s.Close()
				said <- err
			}()
			client := tls.Client(c, nodeTLS(t, tt.client, "b"))
			_, err := client.Read(make([]byte, 1)) // what the server thinks of the client comes after the client's own handshake
			c.Close()
			text := ""
			for _, e := range []error{err, <-said} {
				if e != nil {
					text += e.Error() + "; "
				}
			}
			if (text == "") != (tt.want == "") || !strings.Contains(text, tt.want) {
				t.Errorf("the handshake says %q, want %q", text, tt.want)
			}
		})
	}
	for _, name := range []string{cluster.AuthorityKeyFile, "a-key.pem"} {
		if info, err := os.Stat(filepath.Join(one, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v; want only its owner to read it", name, info.Mode(), err)
		}
	}
}
