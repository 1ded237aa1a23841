package stomp

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/codec/stomp"
	"github.com/godwitmq/godwit/engine"
	"github.com/godwitmq/godwit/journal"
	"github.com/godwitmq/godwit/journal/segment"
	"github.com/godwitmq/godwit/message"
	"github.com/godwitmq/godwit/security"
	"github.com/godwitmq/godwit/session"
)

// openDeps starts an engine on an empty journal.
func openDeps(t testing.TB, policy security.Policy, options ...engine.Options) *session.Deps {
	t.Helper()
	dir := t.TempDir()
	options = append(options, engine.Options{})
	e, err := engine.Open(func(n journal.Notify) (journal.Log, error) {
		return segment.Open(dir, segment.Options{SegmentSize: 1 << 20}, n)
	}, options[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	authority, err := security.New(policy, security.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return &session.Deps{Engine: e, Authority: authority, Broker: session.Broker{ID: "ID:host-61613-1795382540159-0:1", Name: "godwit"}}
}

// client is the other end of a connection.
type client struct {
	net.Conn
	t      testing.TB
	reader *stomp.Reader
	stop   context.CancelFunc
	served chan error
}

// dial serves one end of a pipe and gives the other.
func dial(t testing.TB, deps *session.Deps, opt Options) *client {
	return serve(t, deps, opt, func(testing.TB) (near, far net.Conn) { return net.Pipe() })
}

// serve is dial over a connection of that sort.
func serve(t testing.TB, deps *session.Deps, opt Options, connect func(testing.TB) (near, far net.Conn)) *client {
	near, far := connect(t)
	ctx, stop := context.WithCancel(t.Context())
	c := &client{Conn: near, t: t, reader: stomp.NewReader(near, stomp.Options{}), stop: stop, served: make(chan error, 1)}
	go func() {
		c.served <- Serve(ctx, far, sessionPeer, deps, opt)
	}()
	return c
}

// wire makes a frame of its short form, in which | is a line's end.
func wire(short string) []byte {
	text := strings.ReplaceAll(short, "|", "\n")
	if !strings.Contains(text, "\n\n") {
		text += "\n\n"
	}
	return append([]byte(text), 0)
}

func (c *client) send(short string) {
	c.t.Helper()
	if _, err := c.Write(wire(short)); err != nil {
		c.t.Fatalf("send %s: %v", short, err)
	}
}

// short is the form in which frames are compared: only the headers asked for.
func short(f stomp.Frame) string {
	var b strings.Builder
	b.WriteString(f.Command)
	for _, h := range f.Headers {
		b.WriteString("|" + h.Name + ":" + h.Value)
	}
	if len(f.Body) > 0 {
		b.WriteString("||" + string(f.Body))
	}
	return b.String()
}

// script plays steps with several clients. A step is "a> FRAME" to send, "a< FRAME" to expect one, "a<EOF" to expect the end. An
// expected frame names headers that must be there, with !name those that must not; what follows || is the
// body, and must be the same. $name in an expected value takes the value, elsewhere stands for it. "a> CONNECT" makes the connection.
func script(t *testing.T, deps *session.Deps, opt Options, steps ...string) {
	t.Helper()
	clients := map[string]*client{}
	taken := map[string]string{}
	defer func() {
		for _, c := range clients {
			c.Close()
			<-c.served
			c.stop()
		}
	}()
	fill := func(text string) string {
		for name, value := range taken {
			text = strings.ReplaceAll(text, "$"+name, value)
		}
		return text
	}
	for n, step := range steps {
		who := step[:1]
		c := clients[who]
		if c == nil {
			c = dial(t, deps, opt)
			clients[who] = c
		}
		rest := strings.TrimSpace(step[2:])
		if step[1] == '>' {
			if strings.HasPrefix(rest, stomp.Connect) {
				version, _ := stomp.Negotiate(header(rest, "accept-version"))
				c.send(rest)
				c.reader.SetVersion(version)
				continue
			}
			c.send(fill(rest))
			continue
		}
		f, err := c.reader.Next()
		if rest == "EOF" {
			if err == nil || !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrClosedPipe) {
				t.Fatalf("step %d, %s: got %s, %v; want the end", n, step, short(f), err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("step %d, %s: %v", n, step, err)
		}
		if problem := differs(f, rest, fill, taken); problem != "" {
			t.Fatalf("step %d, %s: %s; got %s", n, step, problem, short(f))
		}
	}
}

func header(short, name string) string {
	for _, line := range strings.Split(short, "|")[1:] {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return value
		}
	}
	return ""
}

// differs says in what a frame is not what was expected; "" if it is.
func differs(f stomp.Frame, want string, fill func(string) string, taken map[string]string) string {
	head, body, hasBody := strings.Cut(want, "||")
	lines := strings.Split(head, "|")
	if f.Command != lines[0] {
		return "want " + lines[0]
	}
	for _, line := range lines[1:] {
		if name, ok := strings.CutPrefix(line, "!"); ok {
			if _, ok := f.Headers.Lookup(name); ok {
				return "want no header " + name
			}
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		got, ok := f.Headers.Lookup(name)
		if !ok {
			return "want a header " + name
		}
		if variable, ok := strings.CutPrefix(value, "$"); ok && taken[variable] == "" {
			taken[variable] = got
			continue
		}
		if value = fill(value); strings.HasSuffix(value, "...") && strings.HasPrefix(got, strings.TrimSuffix(value, "...")) {
			continue
		}
		if got != value {
			return "want " + name + ":" + value
		}
	}
	if hasBody && string(f.Body) != fill(body) {
		return "want body " + fill(body)
	}
	return ""
}

// jms is a client of the core, as one of another protocol would be.
type jms struct {
	*engine.Conn
	t    testing.TB
	rest []broker.Effect
}

func connectJMS(t testing.TB, deps *session.Deps) *jms {
	t.Helper()
	j := &jms{Conn: deps.Engine.Connect(), t: t}
	j.Submit(&broker.Connect{Conn: j.ID(), Ref: 1, Name: "jms"})
	j.answer()
	t.Cleanup(j.Close)
	return j
}

func (j *jms) next() broker.Effect {
	j.t.Helper()
	for len(j.rest) == 0 {
		got, err := j.Wait(nil)
		if err != nil {
			j.t.Fatal(err)
		}
		j.rest = got
	}
	e := j.rest[0]
	j.rest = j.rest[1:]
	return e
}

func (j *jms) answer() {
	j.t.Helper()
	if e := j.next(); e.Kind != broker.Answer || e.Err != nil {
		j.t.Fatalf("got %+v, want an answer", e)
	}
}

// receive gives the next message of a queue.
func (j *jms) receive(queue string) *message.Message {
	j.t.Helper()
	j.Submit(&broker.Subscribe{Conn: j.ID(), Ref: 2, Consumer: 1, Destination: message.Destination{Kind: message.Queue, Name: queue}, Prefetch: 1, MayCreate: true})
	j.answer()
	e := j.next()
	if e.Kind != broker.Delivery {
		j.t.Fatalf("got %+v, want a delivery", e)
	}
	j.Submit(&broker.Ack{Conn: j.ID(), Ref: 3, Consumer: 1, Kind: broker.Consumed, Last: e.Sequence}, &broker.Unsubscribe{Conn: j.ID(), Ref: 4, Consumer: 1})
	j.answer()
	j.answer()
	return e.Message
}

func (j *jms) send(m *message.Message) {
	j.t.Helper()
	if m.Persistent {
		m.Encode()
	}
	j.Submit(&broker.Send{Conn: j.ID(), Ref: 5, Message: m, MayCreate: true})
	j.answer()
}

var sessionPeer = session.Peer{Listener: "test", Remote: netip.MustParseAddrPort("192.0.2.1:4711")}

// tcp is dial with a socket, for a client that ends with the test.
func tcp(t testing.TB) *client {
	t.Helper()
	c := serve(t, openDeps(t, security.Policy{}), Options{}, socket)
	t.Cleanup(func() {
		c.Close()
		<-c.served
	})
	return c
}

// socket gives the ends of a real connection, which can be closed in one direction.
func socket(t testing.TB) (near, far net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if near, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if far, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return near, far
}
