package stomp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/codec/stomp"
	"github.com/godwitmq/godwit/message"
	"github.com/godwitmq/godwit/security"
)

// connect reads the first frame and logs the client in. What it refuses it tells the client itself: nobody else writes yet.
func (c *connection) connect(ctx context.Context) error {
	frame, err := c.frames.Next()
	if err == nil {
		err = c.logIn(ctx, frame.Headers, frame.Command)
	}
	var broken stomp.Error
	if r, ok := err.(*refusal); ok || errors.As(err, &broken) {
		if !ok {
			r = &refusal{text: string(broken)}
		}
		c.conn.SetDeadline(time.Now().Add(c.opt.Linger))
		if _, werr := c.conn.Write(appendError(nil, c.version, r.text, r.text, frame.Headers.Value("receipt"))); werr == nil {
			closeWrite(c.conn)
		}
	}
	return err
}

// minBeat is the shortest period of our heart-beats: a client that asks for more of them gets these, which the protocol leaves to both sides
// (STOMP 1.2, Heart-beating), and thousands of clients cannot keep the broker busy with line feeds.
const minBeat = 100 * time.Millisecond

// logIn handles CONNECT. It waits for the check of the password.
func (c *connection) logIn(ctx context.Context, h stomp.Headers, command string) error {
	if isServer(command) || !strings.HasPrefix(command, stomp.Connect) && !strings.HasPrefix(command, stomp.Stomp) {
		return &refusal{text: "Not connected: the first frame must be CONNECT or STOMP, got " + command, fatal: true}
	}
	version, err := stomp.Negotiate(h.Value("accept-version"))
	if err != nil {
		return &refusal{text: err.Error(), fatal: true}
	}
	beat, ok := h.Lookup("heart-beat")
	if !ok {
		beat = c.opt.HeartBeat
	}
	send, want, err := stomp.ParseHeartBeat(beat)
	if err != nil {
		return &refusal{text: err.Error(), fatal: true}
	}
	if want > 0 {
		want = max(want, minBeat)
	}
	c.identity, err = c.deps.Authority.Login(ctx, c.peer.Credentials("stomp", h.Value("login"), h.Value("passcode")))
	if err != nil {
		if denied, ok := errors.AsType[*security.LoginError](err); ok {
			return &refusal{text: denied.Error(), fatal: true}
		}
		return err
	}
	if !c.peer.Admitted() {
		return errors.New("logged in too late")
	}
	c.version = version
	c.frames.SetVersion(version)
	c.clientID = h.Value("client-id")
	c.names = map[string]name{}
	c.transactions = map[string]broker.TxID{}
	c.subscriptions = map[broker.ConsumerID]*subscription{}
	c.byName = map[string]*subscription{}
	c.temporaries = map[string]message.Destination{}
	c.temporaryText = map[message.Destination]string{}
	c.silence = time.Duration(2 * c.opt.HeartBeatGrace * float64(send))
	c.period = want / 2

	c.mu.Lock()
	c.core = c.deps.Engine.Connect()
	c.mu.Unlock()
	c.about = c.peer.Facts("stomp", c.core.ID(), c.clientID, c.identity)
	c.about.Version, c.about.Host, c.about.KeepAlive = version.String(), h.Value("host"), c.silence.Milliseconds()
	if err := c.deps.Roster.Admits(&c.about); err != nil {
		c.core.Close()
		return err
	}
	c.id = connectionID(c.deps.Broker.ID, c.core.ID())
	c.producer = c.id + ":-1:1"
	c.event(&broker.Connect{Conn: c.core.ID(), Ref: c.expect(answer{kind: welcome, receipt: connectReceipt(h), text: stomp.FormatHeartBeat(want, send)}),
		Name: c.id, ClientID: c.clientID, User: c.identity.Name(), Protocol: "stomp", Remote: "tcp://" + c.peer.Remote.String(), Listener: c.peer.Listener})
	c.submit()
	if c.down.Load() {
		c.shutDown() // it came before there was anything to tell
	}
	return nil
}

func connectReceipt(h stomp.Headers) string {
	if id, ok := h.Lookup("request-id"); ok {
		return id
	}
	return h.Value("receipt")
}

// appendConnected adds the CONNECTED frame. Its values are not escaped in any version.
func (c *connection) appendConnected(receipt, heartBeat string) {
	b := stomp.AppendCommand(c.out, stomp.Connected)
	b = stomp.AppendHeader(b, stomp.V10, "server", c.opt.Server)
	b = stomp.AppendHeader(b, stomp.V10, "heart-beat", heartBeat)
	session := c.clientID
	if session == "" {
		session = c.id
	}
	b = stomp.AppendHeader(b, stomp.V10, "session", session)
	if receipt != "" {
		b = stomp.AppendHeader(b, stomp.V10, "response-id", receipt)
		b = stomp.AppendHeader(b, stomp.V10, "receipt-id", receipt)
	}
	b = stomp.AppendHeader(b, stomp.V10, "version", c.version.String())
	c.out = stomp.AppendBody(b, nil)
}

// startBeats begins to send heart-beats. A timer of the runtime writes them, and no goroutine waits in between.
// The caller holds mu.
func (c *connection) startBeats() {
	if c.period > 0 {
		c.beats = time.AfterFunc(c.period, c.beat)
	}
}

// beat writes a heart-beat; the connection itself keeps it from falling into the middle of a frame that is being written.
func (c *connection) beat() {
	if _, err := c.conn.Write([]byte(stomp.HeartBeat)); err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ended {
		c.beats.Reset(c.period)
	}
}

// isServer says whether only servers may send the frame.
func isServer(command string) bool {
	switch command {
	case stomp.Connected, stomp.Message, stomp.Receipt, stomp.ErrorFrame:
		return true
	}
	return false
}

func unknownCommand(command string) error {
	return &refusal{text: fmt.Sprintf("Unknown STOMP action: %s", command), fatal: true}
}

// closeWrite tells the client that nothing follows, and leaves it the time to read what went before.
func closeWrite(conn net.Conn) {
	if c, ok := conn.(interface{ CloseWrite() error }); ok {
		c.CloseWrite()
		return
	}
	conn.Close()
}
