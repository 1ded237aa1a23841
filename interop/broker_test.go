package interop

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/godwitmq/godwit/listen/listentest"
)

const (
	// user and password are the one account of a broker that demands credentials.
	user     = "alice"
	password = "s3cret of alice"
	// storePassword opens the truststore that serve makes.
	storePassword = "changeit"

	readyWithin = 30 * time.Second
	stopWithin  = 10 * time.Second
)

// endpoints are the addresses of a broker: URLs for OpenWire clients, host:port for STOMP clients.
type endpoints struct {
	openwire, openwireTLS string
	stomp, stompTLS       string
	// tlsDir holds ca.pem and truststore.p12.
	tlsDir string
	// readyURL answers 200 when the broker serves; empty if it has none.
	readyURL string
}

// broker is a process under test. It can be killed and started again on the same data and ports.
type broker struct {
	endpoints
	command func() *exec.Cmd
	log     *os.File
	cmd     *exec.Cmd
	exited  chan error
	enter   []string // the command before another that lets it see the disk; nil: it has none of its own
}

// brokerOptions are what the runs differ in.
type brokerOptions struct {
	mandatory bool // demand credentials: user and password
	optional  bool // check them if they are sent
	crash     bool // will be killed
	// disk is the size of a file system of its own for the data; "" is none.
	disk    string
	shipped bool // ActiveMQ as it is without configuration, not as Godwit behaves
	routes  bool // have the destinations that routes_test.go is about
}

// startBroker starts the broker that GODWIT_INTEROP_BROKER names, Godwit by default, and stops it when the test ends.
// For a broker that is not ours to start only its endpoints are filled in.
func startBroker(t *testing.T, options brokerOptions) *broker {
	t.Helper()
	b := &broker{}
	switch which := os.Getenv("GODWIT_INTEROP_BROKER"); {
	case which == "":
		b.useGodwit(t, options)
	case which == "activemq":
		b.useActiveMQ(t, options)
	default:
		if options.mandatory || options.optional || options.crash {
			t.Skip("GODWIT_INTEROP_BROKER is a broker that the test cannot start")
		}
		e, err := parseEndpoints(which)
		if err != nil {
			t.Fatal(err)
		}
		b.endpoints = e
		return b
	}
	b.launch(t)
	return b
}

// launch starts the broker with a log, and stops it when the test ends.
func (b *broker) launch(t *testing.T) {
	t.Helper()
	var err error
	if b.log, err = os.Create(filepath.Join(t.TempDir(), "broker.log")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.stop(t)
		if t.Failed() {
			t.Logf("the broker's log ends:\n%s", tail(b.log.Name(), 4000))
		}
		b.log.Close()
	})
	b.start(t)
}

// parseEndpoints reads "openwire=tcp://h:p,openwire=tls://h:p,stomp=tcp://h:p,stomp=tls://h:p,tls=DIR".
func parseEndpoints(text string) (endpoints, error) {
	var e endpoints
	for _, part := range strings.Split(text, ",") {
		name, value, _ := strings.Cut(part, "=")
		scheme, address, _ := strings.Cut(value, "://")
		switch name + " " + scheme {
		case "openwire tcp":
			e.openwire = value
		case "openwire tls":
			e.openwireTLS = "ssl://" + address
		case "stomp tcp":
			e.stomp = address
		case "stomp tls":
			e.stompTLS = address
		default:
			if name != "tls" {
				return e, fmt.Errorf("GODWIT_INTEROP_BROKER: %q is none of openwire=, stomp= with tcp:// or tls://, tls=DIR", part)
			}
			e.tlsDir = value
		}
	}
	return e, nil
}

// binaryDir is removed by TestMain.
var binaryDir string

// godwitBinary builds the command once for all tests.
var godwitBinary = sync.OnceValues(func() (string, error) {
	binary := filepath.Join(binaryDir, "godwit")
	out, err := exec.Command("go", "build", "-o", binary, "../cmd/godwit").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build ../cmd/godwit: %w\n%s", err, out)
	}
	return binary, nil
})

func (b *broker) useGodwit(t *testing.T, options brokerOptions) {
	t.Helper()
	binary, err := godwitBinary()
	if err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(t.TempDir(), "data")
	ports := freePorts(t, 5)
	b.onPorts(ports, filepath.Join(data, "tls"))
	b.readyURL = fmt.Sprintf("http://127.0.0.1:%d/readyz", ports[4])
	args := []string{"serve", "--data", data, "--http", fmt.Sprintf("127.0.0.1:%d", ports[4])}
	for i, listener := range []string{"openwire=tcp", "openwire=tls", "stomp=tcp", "stomp=tls"} {
		args = append(args, "--listen", fmt.Sprintf("%s://127.0.0.1:%d", listener, ports[i]))
	}
	if options.mandatory || options.optional {
		users := filepath.Join(t.TempDir(), "users")
		add := exec.Command(binary, "users", "add", "--file", users, "--group", "services", user)
		add.Stdin = strings.NewReader(password + "\n")
		if out, err := add.CombinedOutput(); err != nil {
			t.Fatalf("godwit users add: %v\n%s", err, out)
		}
		mode := "mandatory"
		if options.optional {
			mode = "optional"
		}
		args = append(args, "--credentials", mode, "--users", users)
	}
	b.command = commandOf(binary, args...)
}

// commandOf makes the same command again and again.
func commandOf(binary string, args ...string) func() *exec.Cmd {
	return func() *exec.Cmd { return exec.Command(binary, args...) }
}

// useActiveMQ runs a real ActiveMQ Classic with the connectors that Godwit would have.
func (b *broker) useActiveMQ(t *testing.T, options brokerOptions) {
	t.Helper()
	dir := buildJava(t, "-Pactivemq")
	tlsDir := makeTLS(t)
	ports := freePorts(t, 4)
	b.onPorts(ports, tlsDir)
	account := "-"
	switch {
	case options.mandatory:
		account = user + ":" + password
	case options.optional:
		account = "?" + user + ":" + password
	}
	classes := classPath(dir, "activemq")
	if home := os.Getenv("ACTIVEMQ_HOME"); home != "" { // its jars come first
		lib := filepath.Join(home, "lib")
		classes = strings.Join([]string{filepath.Join(lib, "*"), filepath.Join(lib, "optional", "*"), classes}, string(os.PathListSeparator))
	}
	args := []string{
		"-Xmx512m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
		"-Djavax.net.ssl.keyStore=" + filepath.Join(tlsDir, "broker.p12"), "-Djavax.net.ssl.keyStorePassword=" + storePassword,
		fmt.Sprintf("-DpersistRedelivered=%t", options.crash), fmt.Sprintf("-Dshipped=%t", options.shipped), fmt.Sprintf("-Droutes=%t", options.routes),
		"-cp", classes, "ActiveMQ", t.TempDir(), account,
	}
	for i, connector := range []string{"openwire=tcp", "openwires=ssl", "stomp=stomp", "stomps=stomp+ssl"} {
		args = append(args, fmt.Sprintf("%s://127.0.0.1:%d", connector, ports[i]))
	}
	b.command = func() *exec.Cmd { return exec.Command("java", args...) }
}

func (b *broker) onPorts(ports []int, tlsDir string) {
	b.endpoints = endpoints{
		openwire:    fmt.Sprintf("tcp://127.0.0.1:%d", ports[0]),
		openwireTLS: fmt.Sprintf("ssl://127.0.0.1:%d", ports[1]),
		stomp:       fmt.Sprintf("127.0.0.1:%d", ports[2]),
		stompTLS:    fmt.Sprintf("127.0.0.1:%d", ports[3]),
		tlsDir:      tlsDir,
	}
}

// makeTLS makes what serve would make, by the JDK's keytool.
func makeTLS(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	broker, ca, trust := filepath.Join(dir, "broker.p12"), filepath.Join(dir, "ca.pem"), filepath.Join(dir, "truststore.p12")
	for _, args := range [][]string{
		{"-genkeypair", "-alias", "broker", "-keyalg", "RSA", "-keystore", broker, "-dname", "CN=localhost", "-ext", "san=dns:localhost,ip:127.0.0.1"},
		{"-exportcert", "-rfc", "-alias", "broker", "-keystore", broker, "-file", ca},
		{"-importcert", "-noprompt", "-alias", "ca", "-file", ca, "-keystore", trust},
	} {
		args = append(args, "-storetype", "PKCS12", "-storepass", storePassword)
		if out, err := exec.Command("keytool", args...).CombinedOutput(); err != nil {
			t.Fatalf("keytool %s: %v\n%s", args[0], err, out)
		}
	}
	return dir
}

// freePorts returns loopback ports that nobody listens on. Another process could take one before the broker does;
// the broker then fails to start and says so.
func freePorts(t *testing.T, count int) []int {
	t.Helper()
	ports := make([]int, count)
	for i := range ports {
		listener, err := listentest.Listen()
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		ports[i] = listener.Addr().(*net.TCPAddr).Port
	}
	return ports
}

// start runs the command and waits until the broker is ready.
func (b *broker) start(t *testing.T) {
	t.Helper()
	b.cmd = b.command()
	b.cmd.Stdout, b.cmd.Stderr = b.log, b.log
	if err := b.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	cmd, exited := b.cmd, make(chan error, 1)
	b.exited = exited
	go func() { exited <- cmd.Wait() }()
	ctx, cancel := context.WithTimeout(t.Context(), readyWithin)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !b.ready(ctx) {
		select {
		case err := <-b.exited:
			b.exited = nil
			t.Fatalf("the broker ended before it was ready: %v\n%s", err, tail(b.log.Name(), 4000))
		case <-ctx.Done():
			t.Fatalf("the broker is not ready after %v\n%s", readyWithin, tail(b.log.Name(), 4000))
		case <-tick.C:
		}
	}
}

// ready asks the broker, or, if it cannot be asked, sees whether its last listener is open.
func (b *broker) ready(ctx context.Context) bool {
	if b.readyURL == "" {
		conn, err := net.DialTimeout("tcp", b.stompTLS, time.Second)
		if err != nil {
			return false
		}
		conn.Close()
		return b.greets()
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, b.readyURL, nil)
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// greets says whether the broker sends its WireFormatInfo to a new connection: an ActiveMQ that has just opened its ports may leave those who
// come first without.
func (b *broker) greets() bool {
	conn, err := net.DialTimeout("tcp", b.openwireAddress(), time.Second)
	if err != nil {
		return false
	}
	defer conn.Close()
	if err := conn.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
		return false
	}
	_, err = conn.Read(make([]byte, 1))
	return err == nil
}

// kill ends the process as a crash would.
func (b *broker) kill(t *testing.T) {
	t.Helper()
	if err := b.cmd.Process.Kill(); err != nil {
		t.Fatalf("kill -9 of the broker: %v", err)
	}
	<-b.exited
	b.exited = nil
}

// stop asks the process to end, and sees that it does.
func (b *broker) stop(t *testing.T) {
	t.Helper()
	if b.exited == nil {
		return
	}
	if err := b.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("stop the broker: %v", err)
	}
	select {
	case err := <-b.exited:
		var code *exec.ExitError
		if errors.As(err, &code) && b.readyURL != "" { // a JVM ends with 143
			t.Errorf("the broker ended with %v on SIGTERM", err)
		}
	case <-time.After(stopWithin):
		t.Errorf("the broker has not ended %v after SIGTERM", stopWithin)
		_ = b.cmd.Process.Kill()
		<-b.exited
	}
	b.exited = nil
}

// tail returns the last bytes of a file, for a failure's message.
func tail(name string, limit int) string {
	content, err := os.ReadFile(name)
	if err != nil {
		return err.Error()
	}
	if len(content) > limit {
		content = append([]byte("..."), content[len(content)-limit:]...)
	}
	return string(bytes.TrimSpace(content))
}
