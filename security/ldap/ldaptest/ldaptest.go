// Package ldaptest runs a real LDAP server, OpenLDAP's slapd, for tests: on loopback, with TLS and a small directory.
package ldaptest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What the directory has. Passwords are "NAME's password".
const (
	Suffix          = "dc=example,dc=test"
	Users           = "ou=users," + Suffix // uid=anna, uid=ben, uid=carl and uid=dora\, *(x); anna's and dora's entries are one level below ou=users
	Groups          = "ou=groups," + Suffix
	Account         = "cn=service," + Suffix
	AccountPassword = "the service's password"
	Queues          = "ou=Queue,ou=Destination,ou=ActiveMQ," + Suffix
	Topics          = "ou=Topic,ou=Destination,ou=ActiveMQ," + Suffix
	Temps           = "ou=Temp,ou=Destination,ou=ActiveMQ," + Suffix
)

const content = `dn: dc=example,dc=test
objectClass: dcObject
objectClass: organization
dc: example
o: example

dn: cn=service,dc=example,dc=test
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: service
userPassword: the service's password

dn: ou=users,dc=example,dc=test
objectClass: organizationalUnit
ou: users

dn: ou=deep,ou=users,dc=example,dc=test
objectClass: organizationalUnit
ou: deep

dn: ou=groups,dc=example,dc=test
objectClass: organizationalUnit
ou: groups

dn: uid=anna,ou=users,dc=example,dc=test
objectClass: inetOrgPerson
uid: anna
cn: Anna
sn: A
employeeType: clerk
userPassword: anna's password

dn: uid=dora\, *(x),ou=users,dc=example,dc=test
objectClass: inetOrgPerson
uid: dora, *(x)
cn: Dora
sn: D
userPassword: dora's password

dn: uid=ben,ou=deep,ou=users,dc=example,dc=test
objectClass: inetOrgPerson
uid: ben
cn: Ben
sn: B
userPassword: ben's password

dn: uid=carl,ou=deep,ou=users,dc=example,dc=test
objectClass: inetOrgPerson
uid: carl
cn: Carl
sn: C
userPassword: carl's password

dn: cn=writers,ou=groups,dc=example,dc=test
objectClass: groupOfNames
cn: writers
member: uid=anna,ou=users,dc=example,dc=test
member: uid=dora\, *(x),ou=users,dc=example,dc=test

dn: cn=readers,ou=groups,dc=example,dc=test
objectClass: groupOfNames
cn: readers
member: uid=anna,ou=users,dc=example,dc=test
member: uid=ben,ou=deep,ou=users,dc=example,dc=test

dn: cn=admins,ou=groups,dc=example,dc=test
objectClass: groupOfNames
cn: admins
member: uid=carl,ou=deep,ou=users,dc=example,dc=test

dn: ou=ActiveMQ,dc=example,dc=test
objectClass: organizationalUnit
ou: ActiveMQ

dn: ou=Destination,ou=ActiveMQ,dc=example,dc=test
objectClass: organizationalUnit
ou: Destination

dn: ou=Queue,ou=Destination,ou=ActiveMQ,dc=example,dc=test
objectClass: organizationalUnit
ou: Queue

dn: ou=Topic,ou=Destination,ou=ActiveMQ,dc=example,dc=test
objectClass: organizationalUnit
ou: Topic

dn: ou=Temp,ou=Destination,ou=ActiveMQ,dc=example,dc=test
objectClass: organizationalUnit
ou: Temp

dn: cn=ORDERS.$,ou=Queue,ou=Destination,ou=ActiveMQ,dc=example,dc=test
objectClass: applicationProcess
cn: ORDERS.$

dn: cn=read,cn=ORDERS.$,ou=Queue,ou=Destination,ou=ActiveMQ,dc=example,dc=test
objectClass: groupOfNames
cn: read
member: cn=readers,ou=groups,dc=example,dc=test

dn: cn=write,cn=ORDERS.$,ou=Queue,ou=Destination,ou=ActiveMQ,dc=example,dc=test
objectClass: groupOfNames
cn: write
member: cn=writers,ou=groups,dc=example,dc=test

dn: cn=admin,cn=ORDERS.$,ou=Queue,ou=Destination,ou=ActiveMQ,dc=example,dc=test
objectClass: groupOfNames
cn: admin
member: cn=writers,ou=groups,dc=example,dc=test
member: uid=carl,ou=deep,ou=users,dc=example,dc=test

dn: cn=read,ou=Temp,ou=Destination,ou=ActiveMQ,dc=example,dc=test
objectClass: groupOfNames
cn: read
member: cn=readers,ou=groups,dc=example,dc=test
`

// upWithin bounds how long a server may take to answer.
const upWithin = 30 * time.Second

// Server is one that runs, or that can be started again with what it had.
type Server struct {
	Plain  string // HOST:PORT, for StartTLS as well
	TLS    string // localhost:PORT
	CAFile string // PEM
	CA     *x509.CertPool

	dir, slapd string
	cmd        *exec.Cmd
	exited     chan struct{}
}

// Start starts a server, which ends with the test. Where slapd is not installed the test is left out; with CI=true it fails.
func Start(t testing.TB) *Server {
	t.Helper()
	slapd := find(t, "slapd")
	s := &Server{dir: t.TempDir(), slapd: slapd}
	s.Plain, s.TLS = fmt.Sprintf("127.0.0.1:%d", freePort(t)), fmt.Sprintf("localhost:%d", freePort(t))
	s.CAFile = filepath.Join(s.dir, "ca.pem")
	s.certificates(t)
	if err := os.Mkdir(filepath.Join(s.dir, "db"), 0o700); err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(s.dir, "slapd.conf")
	write(t, conf, fmt.Sprintf(`include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
pidfile %[1]s/slapd.pid
modulepath /usr/lib/ldap
moduleload back_mdb
TLSCACertificateFile %[1]s/ca.pem
TLSCertificateFile %[1]s/server.pem
TLSCertificateKeyFile %[1]s/server-key.pem
database mdb
suffix "%[2]s"
rootdn "cn=root,%[2]s"
rootpw rootsecret
directory %[1]s/db
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="%[3]s" read by * none
`, s.dir, Suffix, Account))
	ldif := filepath.Join(s.dir, "content.ldif")
	write(t, ldif, content)
	if out, err := exec.Command(find(t, "slapadd"), "-f", conf, "-l", ldif).CombinedOutput(); err != nil {
		t.Fatalf("slapadd: %v\n%s", err, out)
	}
	t.Cleanup(s.Kill)
	s.Restart(t)
	return s
}

// Restart starts the server after Kill.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	log, err := os.Create(filepath.Join(s.dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(s.slapd, "-d", "0", "-f", filepath.Join(s.dir, "slapd.conf"), "-h", "ldap://"+s.Plain+"/ ldaps://"+s.TLS+"/")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait() // it is killed in the end
		close(exited)
	}()
	s.cmd, s.exited = cmd, exited
	for end := time.Now().Add(upWithin); ; time.Sleep(20 * time.Millisecond) {
		if c, err := net.Dial("tcp", s.TLS); err == nil {
			c.Close()
			return
		}
		select {
		case <-exited:
			said, _ := os.ReadFile(log.Name())
			t.Fatalf("slapd ended: %s", said)
		default:
		}
		if time.Now().After(end) {
			t.Fatal("slapd does not answer")
		}
	}
}

// Kill ends the server at once.
func (s *Server) Kill() { s.signal(syscall.SIGKILL, true) }

// Freeze stops the server without ending it: connections stay, and nothing answers. Thaw lets it go on.
func (s *Server) Freeze() { s.signal(syscall.SIGSTOP, false) }

// Thaw lets a frozen server go on.
func (s *Server) Thaw() { s.signal(syscall.SIGCONT, false) }

func (s *Server) signal(sig syscall.Signal, wait bool) {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Signal(sig) // it may have ended
	if wait {
		<-s.exited
		s.cmd = nil
	}
}

// Modify changes the directory as its root; ldif is what ldapmodify reads.
func (s *Server) Modify(t testing.TB, ldif string) {
	t.Helper()
	cmd := exec.Command("ldapmodify", "-x", "-H", "ldap://"+s.Plain, "-D", "cn=root,"+Suffix, "-w", "rootsecret")
	cmd.Stdin = strings.NewReader(ldif)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ldapmodify: %v\n%s", err, out)
	}
}

func (s *Server) certificates(t testing.TB) {
	t.Helper()
	key := func() *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	sign := func(c, parent *x509.Certificate, public *ecdsa.PublicKey, by *ecdsa.PrivateKey) []byte {
		c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
		der, err := x509.CreateCertificate(rand.Reader, c, parent, public, by)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	caKey, serverKey := key(), key()
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	caDER := sign(ca, ca, &caKey.PublicKey, caKey)
	server := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	serverDER := sign(server, ca, &serverKey.PublicKey, caKey)
	keyDER, err := x509.MarshalPKCS8PrivateKey(serverKey)
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	write(t, s.CAFile, block("CERTIFICATE", caDER))
	write(t, filepath.Join(s.dir, "server.pem"), block("CERTIFICATE", serverDER))
	write(t, filepath.Join(s.dir, "server-key.pem"), block("PRIVATE KEY", keyDER))
	s.CA = x509.NewCertPool()
	if !s.CA.AppendCertsFromPEM([]byte(block("CERTIFICATE", caDER))) {
		t.Fatal("the CA is not read back")
	}
}

// find looks in /usr/sbin, too, which is not in everybody's path.
func find(t testing.TB, name string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	path := filepath.Join("/usr/sbin", name)
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("no %s here", name)
		}
		t.Skipf("no %s here", name)
	}
	return path
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
