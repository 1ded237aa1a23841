package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"github.com/miekg/dns"
)

const (
	// udpSize is what an answer by UDP may have, in bytes, without being cut into fragments on the way.
	udpSize = 1232
	// clocks is by how many seconds the clocks may differ (RFC 8945, 10).
	clocks = 300
)

// exchange signs a message, sends it, and gives the answer, which is signed, too. What does not fit into a datagram is asked for by TCP.
func (s *session) exchange(m *dns.Msg) (*dns.Msg, error) {
	answer, err := s.once("udp", m)
	if answer != nil && answer.Truncated {
		answer, err = s.once("tcp", m)
	}
	switch {
	case answer != nil && answer.Rcode == dns.RcodeNotAuth && (err == nil || errors.Is(err, dns.ErrAuth)):
		return nil, s.notAuth(answer)
	case err == nil && answer.IsTsig() == nil:
		return nil, fmt.Errorf("its answer, %s, is not signed with the key %s", codeName(answer.Rcode), s.Key.Name)
	case err == nil && answer.Truncated:
		return nil, errors.New("its answer is cut off, by TCP as well")
	case err != nil:
		return nil, s.explain(err)
	}
	return answer, nil
}

// notAuth explains the answer NOTAUTH, whose signature is not looked at: some come without, and nothing follows from it but that it did not work.
func (s *session) notAuth(answer *dns.Msg) error {
	var code uint16
	if t := answer.IsTsig(); t != nil {
		code = t.Error
	}
	switch code {
	case dns.RcodeSuccess:
		return errors.New("it answers NOTAUTH: it is not authoritative for the zone")
	case dns.RcodeBadTime:
		return errClocks
	}
	return fmt.Errorf("it answers %s: it does not know the key %s, or has another secret or algorithm for it", codeName(int(code)), s.Key.Name)
}

var errClocks = fmt.Errorf("the clocks of this machine and the server differ by more than %d s", clocks)

// once sends a message, and waits for the answer as long as Within says, connecting included. An answer comes with an error if its signature is not right.
func (s *session) once(network string, m *dns.Msg) (*dns.Msg, error) {
	within := s.Within
	if within == 0 {
		within = answerWithin
	}
	ctx, cancel := context.WithTimeout(s.ctx, within)
	defer cancel()
	client := dns.Client{Net: network, UDPSize: udpSize, Timeout: within, TsigProvider: &s.Key}
	conn, err := client.DialContext(ctx, s.server)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	m = m.Copy() // what signs takes it apart
	m.Id = dns.Id()
	m.SetTsig(s.Key.Name, s.Key.Algorithm, clocks, time.Now().Unix())
	answer, _, err := client.ExchangeWithConnContext(ctx, m, conn)
	if err != nil {
		if ctx.Err() != nil && !errors.Is(err, errKey) {
			err = ctx.Err()
		}
		return answer, err
	}
	if !answer.Response || answer.Opcode != m.Opcode {
		return nil, errors.New("it answers with something that is no answer")
	}
	return answer, nil
}

// explain says what happened in words that are the same each time: no ports of this side.
func (s *session) explain(err error) error {
	var timeout net.Error
	switch {
	case s.ctx.Err() != nil:
		return s.ctx.Err()
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return errors.New("it does not answer")
	case errors.Is(err, syscall.ECONNREFUSED):
		return errors.New("nothing listens there")
	case errors.Is(err, dns.ErrTime):
		return errClocks
	case errors.Is(err, errKey):
		return fmt.Errorf("its answer is not signed with the key %s: %w", s.Key.Name, err)
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}
