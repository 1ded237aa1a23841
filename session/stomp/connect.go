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
func (s *session) connect(ctx context.Context) error {
	frame, err := s.frames.Next()
	if err == nil {
		err = s.logIn(ctx, frame.Headers, frame.Command)
	}
	var broken stomp.Error
	if r, ok := err.(*refusal); ok || errors.As(err, &broken) {
		if !ok {
			r = &refusal{text: string(broken)}
		}
		s.conn.SetDeadline(time.Now().Add(s.opt.Linger))
		if _, werr := s.conn.Write(appendError(nil, s.version, r.text, r.text, frame.Headers.Value("receipt"))); werr == nil {
			closeWrite(s.conn)
		}
	}
	return err
}

// logIn handles CONNECT. It waits for the check of the password.
func (s *session) logIn(ctx context.Context, h stomp.Headers, command string) error {
	if isServer(command) || !strings.HasPrefix(command, stomp.Connect) && !strings.HasPrefix(command, stomp.Stomp) {
		return &refusal{text: "Not connected: the first frame must be CONNECT or STOMP, got " + command, fatal: true}
	}
	version, err := stomp.Negotiate(h.Value("accept-version"))
	if err != nil {
		return &refusal{text: err.Error(), fatal: true}
	}
	beat, ok := h.Lookup("heart-beat")
	if !ok {
		beat = s.opt.HeartBeat
	}
	send, want, err := stomp.ParseHeartBeat(beat)
	if err != nil {
		return &refusal{text: err.Error(), fatal: true}
	}
	s.identity, err = s.deps.Authority.Login(ctx, security.Credentials{User: h.Value("login"), Password: h.Value("passcode"),
		Address: s.deps.Remote, Certificate: s.deps.Certificate, Protocol: "stomp"})
	if err != nil {
		if denied, ok := errors.AsType[*security.LoginError](err); ok {
			return &refusal{text: denied.Error(), fatal: true}
		}
		return err
	}
	if s.deps.LoggedIn != nil && !s.deps.LoggedIn() {
		return errors.New("logged in too late")
	}
	s.version = version
	s.frames.SetVersion(version)
	s.id = s.deps.IDs.Next()
	s.clientID = h.Value("client-id")
	s.producer = s.id + ":-1:1"
	s.names = map[string]name{}
	s.transactions = map[string]broker.TxID{}
	s.subscriptions = map[broker.ConsumerID]*subscription{}
	s.byName = map[string]*subscription{}
	s.temporaries = map[string]message.Destination{}
	s.temporaryText = map[message.Destination]string{}
	s.silence = time.Duration(2 * s.opt.HeartBeatGrace * float64(send))
	s.period = want / 2

	s.mu.Lock()
	s.core = s.deps.Engine.Connect()
	s.mu.Unlock()
	s.event(&broker.Connect{Conn: s.core.ID(), Ref: s.expect(answer{kind: welcome, receipt: connectReceipt(h), text: stomp.FormatHeartBeat(want, send)}),
		Name: s.id, ClientID: s.clientID, User: s.identity.Name(), Protocol: "stomp", Remote: "tcp://" + s.deps.Remote.String(), Listener: s.deps.Listener})
	s.submit()
	if s.down.Load() {
		s.shutDown() // it came before there was anything to tell
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
func (s *session) appendConnected(receipt, heartBeat string) {
	b := stomp.AppendCommand(s.out, stomp.Connected)
	b = stomp.AppendHeader(b, stomp.V10, "server", s.opt.Server)
	b = stomp.AppendHeader(b, stomp.V10, "heart-beat", heartBeat)
	session := s.clientID
	if session == "" {
		session = s.id
	}
	b = stomp.AppendHeader(b, stomp.V10, "session", session)
	if receipt != "" {
		b = stomp.AppendHeader(b, stomp.V10, "response-id", receipt)
		b = stomp.AppendHeader(b, stomp.V10, "receipt-id", receipt)
	}
	b = stomp.AppendHeader(b, stomp.V10, "version", s.version.String())
	s.out = stomp.AppendBody(b, nil)
}

// startBeats begins to send heart-beats. A timer of the runtime writes them, and no goroutine waits in between.
// The caller holds mu.
func (s *session) startBeats() {
	if s.period > 0 {
		s.beats = time.AfterFunc(s.period, s.beat)
	}
}

// beat writes a heart-beat; the connection itself keeps it from falling into the middle of a frame that is being written.
func (s *session) beat() {
	if _, err := s.conn.Write([]byte(stomp.HeartBeat)); err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended {
		s.beats.Reset(s.period)
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
