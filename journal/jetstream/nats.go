package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// natsServers is Servers by NATS.
type natsServers struct {
	conn   *nats.Conn
	server *server.Server // embedded, or nil
}

// Close implements Servers.
func (n *natsServers) Close() {
	if n.conn != nil {
		n.conn.Close()
	}
	if n.server != nil {
		n.server.Shutdown()
		n.server.WaitForShutdown()
	}
}

// Remote implements Servers.
func (n *natsServers) Remote(stream, subject string) Remote {
	return &natsStream{
		natsServers: n, name: stream, subject: subject,
		getSubject: fmt.Sprintf(server.JSApiMsgGetT, stream), directSubject: fmt.Sprintf(server.JSDirectMsgGetT, stream),
	}
}

// natsStream is Remote by NATS.
type natsStream struct {
	*natsServers
	name, subject             string
	getSubject, directSubject string
}

// LedHere implements Remote.
func (s *natsStream) LedHere() bool {
	return s.server != nil && s.server.JetStreamIsStreamLeader(server.DEFAULT_GLOBAL_ACCOUNT, s.name)
}

// Closed implements Remote.
func (s *natsStream) Closed() bool { return s.conn.IsClosed() }

// Create implements Remote.
func (s *natsStream) Create(ctx context.Context, c *server.StreamConfig) error {
	return s.ask(ctx, fmt.Sprintf(server.JSApiStreamCreateT, s.name), c, nil)
}

// ask sends a request and decodes the answer. An error that the server names is a *server.ApiError.
func (s *natsStream) ask(ctx context.Context, subject string, request, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var body []byte
	if request != nil {
		var err error
		if body, err = json.Marshal(request); err != nil {
			return err
		}
	}
	m, err := s.conn.RequestWithContext(ctx, subject, body)
	if err != nil {
		return fmt.Errorf("ask %s: %w", subject, err)
	}
	var failed server.ApiResponse
	if err := json.Unmarshal(m.Data, &failed); err != nil {
		return fmt.Errorf("ask %s: %w", subject, err)
	}
	if failed.Error != nil {
		return fmt.Errorf("ask %s: %w", subject, failed.Error)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(m.Data, answer)
}

// Info implements Remote.
func (s *natsStream) Info(ctx context.Context) (*server.StreamInfo, error) {
	var answer struct{ server.StreamInfo }
	if err := s.ask(ctx, fmt.Sprintf(server.JSApiStreamInfoT, s.name), nil, &answer); err != nil {
		return nil, err
	}
	return &answer.StreamInfo, nil
}

// Purge implements Remote.
func (s *natsStream) Purge(ctx context.Context, before uint64) error {
	return s.ask(ctx, fmt.Sprintf(server.JSApiStreamPurgeT, s.name), server.JSApiStreamPurgeRequest{Sequence: before}, nil)
}

// StepDown implements Remote.
func (s *natsStream) StepDown(ctx context.Context, preferred string) error {
	return s.ask(ctx, fmt.Sprintf(server.JSApiStreamLeaderStepDownT, s.name), server.JSApiLeaderStepdownRequest{Placement: &server.Placement{Preferred: preferred}}, nil)
}

// LeaderGet implements Remote.
func (s *natsStream) LeaderGet(ctx context.Context, seq uint64) ([]byte, error) {
	var answer server.JSApiMsgGetResponse
	err := s.ask(ctx, s.getSubject, server.JSApiMsgGetRequest{Seq: seq}, &answer)
	var refused *server.ApiError
	if errors.As(err, &refused) && refused.ErrCode == uint16(server.JSNoMessageFoundErr) {
		return nil, ErrNoMessage
	}
	if err != nil {
		return nil, err
	}
	if answer.Message == nil || answer.Message.Sequence != seq {
		return nil, fmt.Errorf("stream %s: message %d was asked for, another came", s.name, seq)
	}
	return answer.Message.Data, nil
}

// LocalGet implements Remote. The server picks the replica, this node's no more often than another, and may pick one that hangs; so another try is begun soon.
func (s *natsStream) LocalGet(ctx context.Context, seq uint64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	for {
		short, cancel := context.WithTimeout(ctx, firstAnswer)
		m, err := s.conn.RequestWithContext(short, s.directSubject, []byte(`{"seq":`+strconv.FormatUint(seq, 10)+`}`))
		cancel()
		switch {
		case err != nil && errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
			continue
		case err != nil:
			return nil, fmt.Errorf("read message %d of stream %s: %w", seq, s.name, err)
		}
		if status := m.Header.Get("Status"); status != "" {
			if status == "404" {
				return nil, ErrNoMessage
			}
			return nil, fmt.Errorf("read message %d of stream %s: %s %s", seq, s.name, status, m.Header.Get("Description"))
		}
		if got := m.Header.Get(server.JSSequence); got != strconv.FormatUint(seq, 10) {
			return nil, fmt.Errorf("stream %s: message %d was asked for, %s came", s.name, seq, got)
		}
		return m.Data, nil
	}
}

// natsFetcher has one inbox for all its requests.
type natsFetcher struct {
	s     *natsStream
	sub   *nats.Subscription
	inbox string
	asked uint64
}

// Fetcher implements Remote.
func (s *natsStream) Fetcher() (Fetcher, error) {
	f := &natsFetcher{s: s, inbox: nats.NewInbox()}
	var err error
	if f.sub, err = s.conn.SubscribeSync(f.inbox + ".*"); err != nil {
		return nil, fmt.Errorf("read stream %s: %w", s.name, err)
	}
	return f, f.sub.SetPendingLimits(-1, -1)
}

// Close implements Fetcher.
func (f *natsFetcher) Close() { f.sub.Unsubscribe() }

// Fetch implements Fetcher. As for LocalGet, a replica that does not answer soon is given up for another.
func (f *natsFetcher) Fetch(ctx context.Context, from uint64, fn func(seq uint64, data []byte) error) (n int, more uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*askTimeout)
	defer cancel()
	var inbox string
	for patience := firstAnswer; ; {
		if inbox == "" {
			f.asked++
			inbox = f.inbox + "." + strconv.FormatUint(f.asked, 10)
			request := fmt.Appendf(nil, `{"seq":%d,"batch":%d,"max_bytes":%d}`, from, fetchCount, fetchBytes)
			if err := f.s.conn.PublishRequest(f.s.directSubject, inbox, request); err != nil {
				return 0, 0, fmt.Errorf("read stream %s from message %d: %w", f.s.name, from, err)
			}
		}
		short, cancel := context.WithTimeout(ctx, patience)
		m, err := f.sub.NextMsgWithContext(short)
		cancel()
		switch {
		case err == nil:
		case ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded):
			return n, 0, fmt.Errorf("read stream %s from message %d: %w", f.s.name, from, err)
		case n > 0: // it has come to a stop; the rest can be asked for again
			return n, 0, nil
		default:
			inbox, patience = "", 2*patience
			continue
		}
		if m.Subject != inbox {
			continue // of a request that was given up
		}
		switch status := m.Header.Get("Status"); status {
		case "":
		case "204": // the end of what was asked for
			more, _ = strconv.ParseUint(m.Header.Get(server.JSNumPending), 10, 64)
			return n, more, nil
		case "404":
			return n, 0, nil
		default:
			return n, 0, fmt.Errorf("read stream %s from message %d: %s %s", f.s.name, from, status, m.Header.Get("Description"))
		}
		seq, err := strconv.ParseUint(m.Header.Get(server.JSSequence), 10, 64)
		if err != nil {
			return n, 0, fmt.Errorf("read stream %s from message %d: a message without sequence", f.s.name, from)
		}
		n, patience = n+1, askTimeout
		if err := fn(seq, m.Data); err != nil {
			return n, 0, err
		}
	}
}

// natsPublisher gets the answers in an inbox, with the token at its end.
type natsPublisher struct {
	s     *natsStream
	sub   *nats.Subscription
	inbox string
}

// Publisher implements Remote.
func (s *natsStream) Publisher(answered func(token uint64, v Verdict)) (Publisher, error) {
	p := &natsPublisher{s: s, inbox: nats.NewInbox() + "."}
	var err error
	p.sub, err = s.conn.Subscribe(p.inbox+"*", func(m *nats.Msg) {
		token, err := strconv.ParseUint(m.Subject[len(p.inbox):], 10, 64)
		if err != nil {
			return
		}
		answered(token, decodeVerdict(s.name, m))
	})
	if err != nil {
		return nil, fmt.Errorf("write stream %s: %w", s.name, err)
	}
	return p, p.sub.SetPendingLimits(-1, -1)
}

func decodeVerdict(stream string, m *nats.Msg) (v Verdict) {
	var answer struct {
		Error     *server.ApiError `json:"error"`
		Stream    string           `json:"stream"`
		Sequence  uint64           `json:"seq"`
		Duplicate bool             `json:"duplicate"`
	}
	if len(m.Data) == 0 || json.Unmarshal(m.Data, &answer) != nil {
		v.Lost = true
		return v
	}
	if answer.Error == nil && (answer.Stream != stream || answer.Sequence == 0 || answer.Duplicate) {
		v.Lost = true // it proves nothing; what is stored will be read back
		return v
	}
	v.Seq, v.Err = answer.Sequence, answer.Error
	return v
}

var messages = sync.Pool{New: func() any { return &nats.Msg{Header: nats.Header{server.JSExpectedLastSeq: []string{""}}} }}

// Publish implements Publisher.
func (p *natsPublisher) Publish(token, last uint64, data []byte) error {
	m := messages.Get().(*nats.Msg)
	m.Subject, m.Reply, m.Data = p.s.subject, p.inbox+strconv.FormatUint(token, 10), data
	m.Header[server.JSExpectedLastSeq][0] = strconv.FormatUint(last, 10)
	err := p.s.conn.PublishMsg(m)
	m.Data = nil
	messages.Put(m)
	return err
}

// Close implements Publisher.
func (p *natsPublisher) Close() { p.sub.Unsubscribe() }
