// Package dnstest runs real DNS servers, BIND's named and Knot's knotd, for tests: on loopback, with a zone that takes signed updates.
package dnstest

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// Zone is the zone that each server has.
const Zone = "example.test."

// Names are those in it that the key may write.
var Names = []string{"broker.example.test.", "mq.example.test."}

// upWithin bounds how long a server may take to answer.
const upWithin = 30 * time.Second

// Server is one that is running, or that can be started again with what it had.
type Server struct {
	Kind    string // "bind" or "knot"
	Address string // HOST:PORT, for UDP and TCP
	Key     string // file of a key that may do for Names what docs/operations.md says
	Other   string // file of a key with the same name and another secret

	operator string // secret of a key that may do everything

	dir     string
	command func() *exec.Cmd
	cmd     *exec.Cmd
	exited  chan struct{}
}

// Kinds are those that there are.
var Kinds = []string{"bind", "knot"}

// Start starts a server whose zone has these records ("old 60 IN A 192.0.2.1") beside its own. It ends with the test. Where the server is not installed the test is left out; with CI=true it fails.
func Start(t testing.TB, kind string, records ...string) *Server {
	t.Helper()
	binary := map[string]string{"bind": "named", "knot": "knotd"}[kind]
	path, err := exec.LookPath(binary)
	if err != nil {
		if path = filepath.Join("/usr/sbin", binary); !exists(path) { // which is not in everybody's path
			if os.Getenv("CI") == "true" {
				t.Fatalf("no %s here", binary)
			}
			t.Skipf("no %s here", binary)
		}
	}
	s := &Server{Kind: kind, dir: t.TempDir()}
	port := freePort(t)
	s.Address = fmt.Sprintf("127.0.0.1:%d", port)
	s.Key, s.Other = filepath.Join(s.dir, "good.key"), filepath.Join(s.dir, "other.key")
	secret := secretText()
	s.operator = secretText()
	clause := func(name, secret string) string {
		return fmt.Sprintf("key %q {\n\talgorithm hmac-sha256;\n\tsecret %q;\n};\n", name, secret)
	}
	write(t, s.Key, clause("godwit", secret))
	write(t, s.Other, clause("godwit", secretText()))
	zone := filepath.Join(s.dir, "zone")
	write(t, zone, "$ORIGIN "+Zone+"\n$TTL 60\n@ IN SOA ns hostmaster 1 3600 600 86400 5\n@ IN NS ns\nns IN A 127.0.0.1\n"+strings.Join(records, "\n")+"\n")
	conf := filepath.Join(s.dir, "conf")
	if kind == "bind" {
		var policy strings.Builder
		for _, name := range Names {
			fmt.Fprintf(&policy, "\t\tgrant godwit name %s A AAAA CNAME;\n\t\tgrant godwit name _godwit.%s TXT;\n", name, name)
		}
		write(t, conf, fmt.Sprintf(`options {
	directory %q; listen-on port %d { 127.0.0.1; }; listen-on-v6 { none; };
	pid-file none; session-keyfile none; recursion no; dnssec-validation no; notify no;
};
controls { };
include %q;
%s
zone %q {
	type primary; file "zone";
	update-policy {
		grant operator zonesub ANY;
%s	};
};
`, s.dir, port, s.Key, clause("operator", s.operator), strings.TrimSuffix(Zone, "."), &policy))
		s.command = func() *exec.Cmd { return exec.Command(path, "-g", "-4", "-n", "1", "-c", conf) }
	} else {
		var owners []string
		for _, name := range Names {
			owners = append(owners, name, "_godwit."+name)
		}
		write(t, conf, fmt.Sprintf(`server:
  rundir: %q
  listen: 127.0.0.1@%d
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
log:
  - target: stderr
    any: info
database:
  storage: %q
key:
  - id: godwit
    algorithm: hmac-sha256
    secret: %s
  - id: operator
    algorithm: hmac-sha256
    secret: %s
acl:
  - id: godwit
    key: godwit
    action: [query, update]
    update-owner: name
    update-owner-name: [%s]
    update-type: [A, AAAA, CNAME, TXT]
  - id: operator
    key: operator
    action: [query, update]
zone:
  - domain: %s
    storage: %q
    file: zone
    acl: [godwit, operator]
    zonefile-sync: -1
    zonefile-load: difference
    journal-content: all
`, s.dir, port, s.dir, secret, s.operator, strings.Join(owners, ", "), Zone, s.dir))
		s.command = func() *exec.Cmd { return exec.Command(path, "-c", conf) }
	}
	s.Up(t)
	t.Cleanup(func() {
		s.Down(t)
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
			t.Logf("the log of %s ends:\n%s", s.Kind, log[max(0, len(log)-4000):])
		}
	})
	return s
}

// Up starts the server again, with the zone as it was.
func (s *Server) Up(t testing.TB) {
	t.Helper()
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	s.cmd = s.command()
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	cmd, exited := s.cmd, make(chan struct{})
	s.exited = exited
	go func() {
		_ = cmd.Wait() // it is ended by a signal
		close(exited)
	}()
	for deadline := time.Now().Add(upWithin); ; time.Sleep(20 * time.Millisecond) {
		m := new(dns.Msg)
		m.SetQuestion(Zone, dns.TypeSOA)
		if answer, err := dns.Exchange(m, s.Address); err == nil && answer.Authoritative && answer.Rcode == dns.RcodeSuccess {
			return
		}
		select {
		case <-exited:
		default:
			if time.Now().Before(deadline) {
				continue
			}
		}
		text, _ := os.ReadFile(log.Name())
		t.Fatalf("%s does not answer:\n%s", s.Kind, text)
	}
}

// Down ends the server in good order.
func (s *Server) Down(t testing.TB) {
	t.Helper()
	if s.exited == nil {
		return
	}
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.exited:
	case <-time.After(upWithin):
		t.Errorf("%s has not ended %v after SIGTERM", s.Kind, upWithin)
		_ = s.cmd.Process.Kill()
		<-s.exited
	}
	s.exited = nil
}

// Records are the data of a name's records of a kind (dns.TypeA), sorted, as a client without a key is told.
func (s *Server) Records(t testing.TB, name string, kind uint16) []string {
	t.Helper()
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(name), kind)
	client := dns.Client{Net: "tcp", Timeout: upWithin}
	answer, _, err := client.Exchange(m, s.Address)
	if err != nil {
		t.Fatalf("ask %s for %s: %v", s.Kind, name, err)
	}
	var all []string
	for _, rr := range answer.Answer {
		if rr.Header().Rrtype == kind {
			all = append(all, strings.TrimPrefix(rr.String(), rr.Header().String()))
		}
	}
	slices.Sort(all)
	return all
}

// Change changes the zone by hand, as an operator would: del are names whose records are all removed, add are records.
func (s *Server) Change(t testing.TB, del []string, add ...string) {
	t.Helper()
	m := new(dns.Msg)
	m.SetUpdate(Zone)
	for _, name := range del {
		m.Ns = append(m.Ns, &dns.ANY{Hdr: dns.RR_Header{Name: dns.Fqdn(name), Rrtype: dns.TypeANY, Class: dns.ClassANY}})
	}
	for _, record := range add {
		rr, err := dns.NewRR(record)
		if err != nil {
			t.Fatal(err)
		}
		m.Insert([]dns.RR{rr})
	}
	m.SetTsig("operator.", dns.HmacSHA256, 300, time.Now().Unix())
	client := dns.Client{Timeout: upWithin, TsigSecret: map[string]string{"operator.": s.operator}}
	answer, _, err := client.Exchange(m, s.Address)
	if err != nil || answer.Rcode != dns.RcodeSuccess {
		t.Fatalf("change the zone: %v %v", answer, err)
	}
}

func secretText() string { return base64.StdEncoding.EncodeToString([]byte(rand.Text())) }

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func write(t testing.TB, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// freePort is one that nobody has, neither of TCP nor of UDP.
func freePort(t testing.TB) int {
	t.Helper()
	for range 20 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		u, err := net.ListenPacket("udp", l.Addr().String())
		l.Close()
		if err == nil {
			u.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}
