package jetstream

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// authority signs certificates of nodes.
type authority struct {
	tb   testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(tb testing.TB) *authority {
	tb.Helper()
	a := &authority{tb: tb}
	a.cert, a.key = a.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: "CA"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
	return a
}

func (a *authority) sign(c *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.tb.Fatal(err)
	}
	c.SerialNumber = big.NewInt(time.Now().UnixNano())
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		a.tb.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.tb.Fatal(err)
	}
	return cert, key
}

// config is the TLS of one node.
func (a *authority) config(name string) *tls.Config {
	cert, key := a.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}},
		RootCAs:      pool, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS13,
	}
}

// said is what a port says to somebody who says hello first, with TLS or without, within a moment.
func said(t *testing.T, address, hello string, config *tls.Config) string {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Second))
	if config != nil {
		conn = tls.Client(conn, config)
	}
	io.WriteString(conn, hello)
	answer, _ := io.ReadAll(conn)
	return string(answer)
}

func TestStrangers(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	c := newCluster(t, func(o *NodeOptions) { o.TLS = ours.config(o.Name) })
	opt := options()
	o := open(t, c.nodes[0], opt)
	o.must(10)

	connect := "CONNECT {\"verbose\":true,\"server_id\":\"x\",\"cluster\":\"godwit\"}\r\nPING\r\n"
	open := &tls.Config{InsecureSkipVerify: true}
	foreign := theirs.config("a")
	foreign.InsecureSkipVerify = true
	ports := map[string]string{"the nodes' port": c.opts[1].Listen, "the clients' port": c.nodes[1].server.Addr().String()}
	for name, address := range ports {
		for kind, config := range map[string]*tls.Config{"no TLS": nil, "TLS without a certificate": open, "TLS with a certificate of another CA": foreign} {
			answer := said(t, address, connect, config)
			for _, word := range []string{"INFO", "PONG", "+OK", "-ERR", "nats", c.nodes[1].server.ID()} {
				if strings.Contains(answer, word) {
					t.Errorf("%s says %q to a stranger with %s", name, answer, kind)
				}
			}
		}
	}
	// One whom our CA has signed is a node: the test would see an answer if there was one.
	if answer := said(t, c.opts[1].Listen, connect, func() *tls.Config { c := ours.config("d"); c.ServerName = "127.0.0.1"; return c }()); !strings.Contains(answer, "INFO") {
		t.Errorf("the nodes' port says %q to one with a certificate of the cluster's CA; want its INFO", answer)
	}
	// The clients' port serves nobody at all.
	if answer := said(t, ports["the clients' port"], connect, func() *tls.Config { c := ours.config("d"); c.ServerName = "127.0.0.1"; return c }()); answer != "" {
		t.Errorf("the clients' port says %q to one with a certificate of the cluster's CA", answer)
	}

	stranger := NodeOptions{Name: "x", Dir: t.TempDir(), Listen: freeAddresses(t, 1)[0], Peers: c.opts[0].Peers, TLS: theirs.config("x"), Logger: quiet()}
	x, err := StartNode(stranger)
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	o.must(10)
	if n := x.Connected(); n != 0 {
		t.Errorf("a node with a certificate of another CA is connected to %d nodes", n)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if _, err := Follow(ctx, x, opt, 0); err == nil {
		t.Error("a stranger's node follows the log")
	}
	o.expectAll(o.appended)
}

func TestNodeOptions(t *testing.T) {
	good := newAuthority(t).config("a")
	change := func(f func(*tls.Config)) *tls.Config {
		c := good.Clone()
		f(c)
		return c
	}
	tests := map[string]struct {
		opt  NodeOptions
		want string // part of the error; "" means none
	}{
		"alone":                      {NodeOptions{Name: "a", Dir: "d"}, ""},
		"no name":                    {NodeOptions{Dir: "d"}, "needs a name"},
		"no directory":               {NodeOptions{Name: "a"}, "needs a name and a directory"},
		"loopback without TLS":       {NodeOptions{Name: "a", Dir: "d", Listen: "127.0.0.1:7000"}, ""},
		"all addresses without TLS":  {NodeOptions{Name: "a", Dir: "d", Listen: ":7000"}, "need TLS"},
		"an address without TLS":     {NodeOptions{Name: "a", Dir: "d", Listen: "10.0.0.1:7000"}, "need TLS"},
		"a name without TLS":         {NodeOptions{Name: "a", Dir: "d", Listen: "localhost:7000"}, "need TLS"},
		"TLS":                        {NodeOptions{Name: "a", Dir: "d", Listen: ":7000", TLS: good}, ""},
		"TLS without certificate":    {NodeOptions{Name: "a", Dir: "d", Listen: ":7000", TLS: change(func(c *tls.Config) { c.Certificates = nil })}, "no certificate"},
		"TLS that lets anybody in":   {NodeOptions{Name: "a", Dir: "d", Listen: ":7000", TLS: change(func(c *tls.Config) { c.ClientAuth = tls.RequestClientCert })}, "who connects"},
		"TLS without clients' CA":    {NodeOptions{Name: "a", Dir: "d", Listen: ":7000", TLS: change(func(c *tls.Config) { c.ClientCAs = nil })}, "who connects"},
		"TLS without servers' CA":    {NodeOptions{Name: "a", Dir: "d", Listen: ":7000", TLS: change(func(c *tls.Config) { c.RootCAs = nil })}, "who is connected to"},
		"TLS that trusts any server": {NodeOptions{Name: "a", Dir: "d", Listen: ":7000", TLS: change(func(c *tls.Config) { c.InsecureSkipVerify = true })}, "who is connected to"},
		"no port":                    {NodeOptions{Name: "a", Dir: "d", Listen: "127.0.0.1"}, "address of a node"},
		"a wrong peer":               {NodeOptions{Name: "a", Dir: "d", Listen: "127.0.0.1:7000", Peers: []string{"b:x"}}, "address of a node"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			so, err := serverOptions(tt.opt)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("options of %+v: %v; want %q", tt.opt, err, tt.want)
			}
			if err == nil && !so.SyncAlways {
				t.Error("the server would acknowledge before it syncs")
			}
		})
	}
}

// TestTimers fails when a new version of the server has other names for its timers.
func TestTimers(t *testing.T) {
	if !shortenTimers() {
		t.Fatalf("the server's election timers are %v to %v, its heartbeat %v: not those that this program knows; see timers.go",
			minElectionTimeout, maxElectionTimeout, hbInterval)
	}
}

// TestExternal uses a server that others run, and refuses it unless it syncs.
func TestExternal(t *testing.T) {
	start := func(sync string) string {
		dir := t.TempDir()
		file := filepath.Join(dir, "nats.conf")
		config := `listen: 127.0.0.1:-1, server_name: out
			jetstream: {store_dir: "` + dir + `"` + sync + `}
			accounts: {
				APP: {jetstream: enabled, users: [{user: app, password: app}]}
				SYS: {users: [{user: sys, password: sys}]}
			}, system_account: SYS`
		if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		so, err := server.ProcessConfigFile(file)
		if err != nil {
			t.Fatal(err)
		}
		so.NoLog, so.NoSigs = true, true
		srv, err := server.NewServer(so)
		if err != nil {
			t.Fatal(err)
		}
		srv.Start()
		t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
		if !srv.ReadyForConnections(10 * time.Second) {
			t.Fatal("the server does not start")
		}
		return srv.ClientURL()
	}
	app := []nats.Option{nats.UserInfo("app", "app")}
	system := []nats.Option{nats.UserInfo("sys", "sys")}
	lazy, always := start(""), start(", sync_interval: always")
	tests := map[string]struct {
		external External
		want     string // part of the error; "" means none
	}{
		"syncs always":                     {External{URL: always, Options: app, System: system}, ""},
		"syncs now and then":               {External{URL: lazy, Options: app, System: system}, "acknowledges before it syncs"},
		"nobody says whether it syncs":     {External{URL: always, Options: app}, "cannot be known"},
		"trusted":                          {External{URL: always, Options: app, TrustSync: true}, ""},
		"not trusted once it is known":     {External{URL: lazy, Options: app, System: system, TrustSync: true}, "acknowledges before it syncs"},
		"no access to the system account":  {External{URL: always, Options: app, System: app}, "no server of it has told"},
		"no access":                        {External{URL: always, TrustSync: true}, "uthorization"},
		"nobody there":                     {External{URL: "nats://127.0.0.1:1", TrustSync: true}, "connect"},
		"nobody there to ask for the sync": {External{URL: "nats://127.0.0.1:1", System: system}, "system account"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tt.external.Logger = quiet()
			node, err := Dial(patience(t), tt.external)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("dial: %v; want %q", err, tt.want)
			}
			if err != nil {
				return
			}
			defer node.Close()
			opt := options()
			opt.Replicas, opt.Instance = 1, "me"
			o := open(t, node, opt)
			o.must(100)
			o.expectAll(o.appended)
		})
	}
}

// TestUnfitStream refuses a stream of the log's name that would forget what the log needs.
func TestUnfitStream(t *testing.T) {
	node, err := StartNode(NodeOptions{Name: "single", Dir: t.TempDir(), Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer node.Close()
	tests := map[string]struct {
		change func(*server.StreamConfig)
		want   string
	}{
		"in memory":     {func(c *server.StreamConfig) { c.Storage = server.MemoryStorage }, "storage"},
		"ages":          {func(c *server.StreamConfig) { c.MaxAge = time.Hour }, "limit"},
		"has a limit":   {func(c *server.StreamConfig) { c.MaxBytes = 1 << 20 }, "limit"},
		"a work queue":  {func(c *server.StreamConfig) { c.Retention = server.WorkQueuePolicy }, "retention"},
		"other subject": {func(c *server.StreamConfig) { c.Subjects = []string{"other"} }, "subjects"},
		"slow reads":    {func(c *server.StreamConfig) { c.AllowDirect = false }, "allow_direct"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			opt := options()
			s := newStream(node, opt.Name, 0, 1)
			config := s.config()
			tt.change(config)
			if err := s.Create(patience(t), config); err != nil {
				t.Fatal(err)
			}
			if _, err := Follow(patience(t), node, opt, 0); err == nil || !strings.Contains(err.Error(), "not fit for a log: the "+tt.want) && !strings.Contains(err.Error(), "not fit for a log: "+tt.want) {
				t.Errorf("follow: %v; want it refused for its %s", err, tt.want)
			}
		})
	}
}
