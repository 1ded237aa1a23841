package interop

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	wire "github.com/godwitmq/godwit/codec/openwire"
	"github.com/godwitmq/godwit/codec/stomp"
)

// These clients speak with the codecs alone, so that they can also say what no client would. Tests with them need nothing but Go.

// patience is how long an answer may take before a test gives up.
const patience = 15 * time.Second

// startOwn starts Godwit with lines of configuration, whatever broker the suites run against.
func startOwn(t *testing.T, yaml string, options brokerOptions) *broker {
	t.Helper()
	if os.Getenv("GODWIT_INTEROP_BROKER") != "" {
		t.Skip("this is about Godwit itself")
	}
	b := &broker{}
	b.useGodwit(t, options)
	if options.disk != "" {
		b.useDisk(t, options.disk)
	}
	file := filepath.Join(t.TempDir(), "godwit.yaml")
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	plain := b.command
	b.command = func() *exec.Cmd {
		cmd := plain()
		cmd.Args = append(cmd.Args, "--config", file)
		return cmd
	}
	b.launch(t)
	return b
}

// dataDir is where the journal is.
func (b *broker) dataDir() string { return filepath.Dir(b.tlsDir) }

func (b *broker) openwireAddress() string    { return strings.TrimPrefix(b.openwire, "tcp://") }
func (b *broker) openwireTLSAddress() string { return strings.TrimPrefix(b.openwireTLS, "ssl://") }

// memory reads a line of /proc/PID/status in bytes: VmRSS is what is held, VmHWM the most since resetPeak.
func (b *broker) memory(t *testing.T, key string) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", b.cmd.Process.Pid))
	if err != nil {
		t.Skipf("no /proc: %v", err)
	}
	for line := range strings.Lines(string(status)) {
		if name, value, _ := strings.Cut(line, ":"); name == key {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatalf("%s is not in /proc/PID/status", key)
	return 0
}

func (b *broker) resetPeak(t *testing.T) {
	t.Helper()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", b.cmd.Process.Pid), []byte("5"), 0); err != nil {
		t.Skipf("the peak of memory cannot be reset: %v", err)
	}
}

// logged waits until the broker's log has a line with all the words.
func (b *broker) logged(t *testing.T, words ...string) {
	t.Helper()
	eventually(t, fmt.Sprintf("no log line with %q", words), func() bool { return b.hasLogged(words...) })
}

func (b *broker) hasLogged(words ...string) bool {
	content, err := os.ReadFile(b.log.Name())
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(content)) {
		all := true
		for _, w := range words {
			all = all && strings.Contains(line, w)
		}
		if all {
			return true
		}
	}
	return false
}

// eventually asks again and again until the answer is yes.
func eventually(t *testing.T, complaint string, yes func() bool) {
	t.Helper()
	deadline, tick := time.After(patience), time.NewTicker(2*time.Millisecond)
	defer tick.Stop()
	for !yes() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal(complaint)
		}
	}
}

// dial opens a socket that ends with the test.
func dial(t *testing.T, address string, secure bool) net.Conn {
	t.Helper()
	conn, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		t.Fatal(err)
	}
	if secure {
		conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// stompClient is one connection. Reading and writing may be done by a goroutine each.
type stompClient struct {
	conn   net.Conn
	frames *stomp.Reader
	number int
}

// connectStomp logs in; headers are name, value, ...
func connectStomp(address string, headers ...string) (*stompClient, error) {
	conn, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		return nil, err
	}
	return connectStompOver(conn, headers...)
}

// connectStompOver is connectStomp by a socket that is there.
func connectStompOver(conn net.Conn, headers ...string) (*stompClient, error) {
	var err error
	c := &stompClient{conn: conn, frames: stomp.NewReader(conn, stomp.Options{})}
	headers = append([]string{"accept-version", "1.2", "host", "localhost"}, headers...)
	if err = c.write(stomp.Connect, "", headers...); err == nil {
		var f stomp.Frame
		if f, err = c.next(); err == nil && f.Command != stomp.Connected {
			err = fmt.Errorf("CONNECT was answered by %s %q", f.Command, f.Headers.Value("message"))
		}
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	c.frames.SetVersion(stomp.V12)
	return c, nil
}

// loginStomp is connectStomp for a test that cannot go on without it.
func loginStomp(t *testing.T, b *broker, headers ...string) *stompClient {
	t.Helper()
	c, err := connectStomp(b.stomp, headers...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.conn.Close() })
	return c
}

func appendStomp(dst []byte, command, body string, headers ...string) []byte {
	dst = stomp.AppendCommand(dst, command)
	version := stomp.V12
	if command == stomp.Connect {
		version = stomp.V10
	}
	for i := 0; i+1 < len(headers); i += 2 {
		dst = stomp.AppendHeader(dst, version, headers[i], headers[i+1])
	}
	return stomp.AppendBody(dst, []byte(body))
}

func (c *stompClient) write(command, body string, headers ...string) error {
	return c.writeBytes(appendStomp(nil, command, body, headers...))
}

func (c *stompClient) writeBytes(b []byte) error {
	if err := c.conn.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	_, err := c.conn.Write(b)
	return err
}

func (c *stompClient) next() (stomp.Frame, error) {
	if err := c.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return stomp.Frame{}, err
	}
	return c.frames.Next()
}

// ask sends a frame with a receipt and waits for the answer to it; deliveries on the way are passed over.
func (c *stompClient) ask(command, body string, headers ...string) error {
	c.number++
	receipt := strconv.Itoa(c.number)
	if err := c.write(command, body, append(headers, "receipt", receipt)...); err != nil {
		return err
	}
	return c.receipt(receipt)
}

func (c *stompClient) receipt(id string) error {
	for {
		f, err := c.next()
		switch {
		case err != nil:
			return err
		case f.Command == stomp.ErrorFrame:
			return fmt.Errorf("ERROR %s: %s", f.Headers.Value("message"), f.Body)
		case f.Command == stomp.Receipt && f.Headers.Value("receipt-id") == id:
			return nil
		}
	}
}

// must is ask for a test that cannot go on without it.
func (c *stompClient) must(t *testing.T, command, body string, headers ...string) {
	t.Helper()
	if err := c.ask(command, body, headers...); err != nil {
		t.Fatalf("%s %s: %v", command, headers, err)
	}
}

// message reads the next MESSAGE.
func (c *stompClient) message(t *testing.T) stomp.Frame {
	t.Helper()
	f, err := c.next()
	if err != nil {
		t.Fatalf("a MESSAGE: %v", err)
	}
	if f.Command != stomp.Message {
		t.Fatalf("got %s %v %s, want a MESSAGE", f.Command, f.Headers, f.Body)
	}
	return f
}

// wireClient is an OpenWire connection.
type wireClient struct {
	conn    net.Conn
	frames  *wire.Framer
	encoder wire.Encoder
	decoder wire.Decoder
	name    string
}

// dialWire opens a socket and reads the broker's WireFormatInfo.
func dialWire(t *testing.T, address string, secure bool) *wireClient {
	t.Helper()
	c := &wireClient{conn: dial(t, address, secure), name: "ID:abuse-" + rand.Text()}
	c.frames = wire.NewFramer(c.conn, 0)
	if _, err := c.next(); err != nil {
		t.Fatalf("the broker's WireFormatInfo: %v", err)
	}
	return c
}

// hello agrees on version 12 and reads the BrokerInfo.
func (c *wireClient) hello(t *testing.T) {
	t.Helper()
	c.must(t, wire.WireFormat{Version: wire.MaxVersion, MaxFrameSize: 1 << 40, ProviderName: "ActiveMQ", ProviderVersion: "6.3.1"}.Info())
	c.encoder, c.decoder = wire.Encoder{Version: wire.MaxVersion}, wire.Decoder{Version: wire.MaxVersion}
	if got, err := c.next(); err != nil || got.Code() != wire.CodeBrokerInfo {
		t.Fatalf("got %T, %v; want a BrokerInfo", got, err)
	}
}

// login makes a connection with session 1 and its producer 1.
func (c *wireClient) login(t *testing.T) {
	t.Helper()
	c.hello(t)
	c.must(t, &wire.ConnectionInfo{BaseCommand: wire.BaseCommand{CommandID: 1, ResponseRequired: true}, ConnectionID: wire.ConnectionID{Value: c.name}, ClientID: c.name})
	if got, err := c.next(); err != nil || got.Code() != wire.CodeResponse {
		t.Fatalf("got %T, %v; want the login's Response", got, err)
	}
	c.must(t, &wire.SessionInfo{SessionID: wire.SessionID{ConnectionID: c.name, Value: 1}}, &wire.ProducerInfo{ProducerID: c.producer()})
}

func loginWire(t *testing.T, b *broker) *wireClient {
	t.Helper()
	c := dialWire(t, b.openwireAddress(), false)
	c.login(t)
	return c
}

func (c *wireClient) producer() wire.ProducerID {
	return wire.ProducerID{ConnectionID: c.name, SessionID: 1, Value: 1}
}

func (c *wireClient) consumer(n int64) wire.ConsumerID {
	return wire.ConsumerID{ConnectionID: c.name, SessionID: 1, Value: n}
}

func (c *wireClient) encode(commands ...wire.Command) ([]byte, error) {
	var b []byte
	for _, command := range commands {
		var err error
		if b, err = c.encoder.Append(b, command); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func (c *wireClient) must(t *testing.T, commands ...wire.Command) {
	t.Helper()
	b, err := c.encode(commands...)
	if err == nil {
		c.conn.SetWriteDeadline(time.Now().Add(patience))
		_, err = c.conn.Write(b)
	}
	if err != nil {
		t.Fatalf("write %T: %v", commands[0], err)
	}
}

func (c *wireClient) next() (wire.Command, error) {
	c.conn.SetReadDeadline(time.Now().Add(patience))
	frame, err := c.frames.Next()
	if err != nil {
		return nil, err
	}
	return c.decoder.Decode(bytes.Clone(frame))
}

// answer reads until a Response, and gives the exception if it is one.
func (c *wireClient) answer(t *testing.T) *wire.Throwable {
	t.Helper()
	for {
		got, err := c.next()
		if err != nil {
			t.Fatalf("an answer: %v", err)
		}
		switch v := got.(type) {
		case *wire.Response:
			return nil
		case *wire.ExceptionResponse:
			return v.Exception
		case *wire.ConnectionError:
			return v.Exception
		}
	}
}

// witness is a client that does nothing wrong: it sends persistent messages to a queue of its own, waits for each receipt, and consumes
// them. What others do must not make it wait long nor lose anything.
type witness struct {
	stop    chan struct{}
	running sync.WaitGroup
	sent    int
	mu      sync.Mutex
	err     error
	slowest time.Duration // since the last look
	begun   atomic.Int64  // UnixNano of the send that waits for its receipt or its delivery; 0: none
}

// startWitness begins; the test fails at its end if anything was lost, doubled or out of order.
func startWitness(t *testing.T, b *broker, credentials ...string) *witness {
	t.Helper()
	c := loginStomp(t, b, credentials...)
	c.must(t, stomp.Subscribe, "", "id", "1", "destination", "/queue/witness", "ack", "auto")
	w := &witness{stop: make(chan struct{})}
	w.running.Go(func() { w.run(c) })
	t.Cleanup(func() {
		close(w.stop)
		w.running.Wait()
		if w.err != nil {
			t.Errorf("the client that does nothing wrong, after %d messages: %v", w.sent, w.err)
		}
	})
	return w
}

func (w *witness) run(c *stompClient) {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-w.stop:
			return
		case <-tick.C:
		}
		began := time.Now()
		w.begun.Store(began.UnixNano())
		err := w.exchange(c)
		w.begun.Store(0)
		w.mu.Lock()
		w.slowest = max(w.slowest, time.Since(began))
		w.err = err
		w.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// exchange sends one message and waits for its receipt and for itself.
func (w *witness) exchange(c *stompClient) error {
	w.sent++
	body := strconv.Itoa(w.sent)
	if err := c.write(stomp.Send, body, "destination", "/queue/witness", "persistent", "true", "receipt", "r"+body); err != nil {
		return err
	}
	for range 2 {
		f, err := c.next()
		switch {
		case err != nil:
			return err
		case f.Command == stomp.Receipt && f.Headers.Value("receipt-id") == "r"+body:
		case f.Command == stomp.Message && string(f.Body) == body:
		default:
			return fmt.Errorf("sent message %s and got %s %v %q", body, f.Command, f.Headers, f.Body)
		}
	}
	return nil
}

// look gives the longest exchange since the last look, one that is not over included.
func (w *witness) look(t *testing.T) time.Duration {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		t.Fatalf("the client that does nothing wrong: %v", w.err)
	}
	slowest := w.slowest
	if begun := w.begun.Load(); begun != 0 {
		slowest = max(slowest, time.Since(time.Unix(0, begun)))
	}
	w.slowest = 0
	return slowest
}

// undisturbed runs an abuse and holds it against the limits: growth of the broker's memory in bytes, and the witness's patience.
func undisturbed(t *testing.T, b *broker, w *witness, growth int64, slowest time.Duration, abuse func()) {
	t.Helper()
	w.look(t)
	b.resetPeak(t)
	before := b.memory(t, "VmRSS")
	began := time.Now()
	abuse()
	peak, waited := b.memory(t, "VmHWM"), w.look(t)
	t.Logf("%v; memory %d MiB, at most %d MiB; the witness waited %v at most", time.Since(began).Round(time.Millisecond), before>>20, peak>>20, waited.Round(time.Millisecond))
	if peak-before > growth {
		t.Errorf("the broker's memory grew by %d MiB, from %d MiB; the limit is %d MiB", (peak-before)>>20, before>>20, growth>>20)
	}
	if waited > slowest {
		t.Errorf("others had to wait for %v; the limit is %v", waited, slowest)
	}
}

// isClosed says whether err is that of a connection that the other side has closed.
func isClosed(err error) bool {
	var timeout net.Error
	return err != nil && !(errors.As(err, &timeout) && timeout.Timeout())
}
