package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/godwitmq/godwit/journal"
)

// stream is the one stream of a log, and what is asked of its servers. Whatever they answer is only believed as far as the batches prove it.
type stream struct {
	node     *Node
	server   *server.Server // the node's; nil: none is embedded
	conn     *nats.Conn     // closed for good when the node ends or starts its server again; then a new stream is to be made
	name     string         // of the stream
	subject  string
	replicas int

	getSubject, directSubject string

	rescues atomic.Int32 // at work: the leader is not moved meanwhile for other reasons
}

const (
	askTimeout  = 500 * time.Millisecond // for one answer; then it is asked again
	firstAnswer = 50 * time.Millisecond  // for a replica's first answer; then perhaps another is asked
	makeTimeout = 30 * time.Second       // for a stream to be made, which needs most of the nodes
	fetchCount  = 512                    // messages asked for at once, at most
	fetchBytes  = 2 << 20
)

// errNoMessage means that there is no message with the sequence, or none that the server can read.
var errNoMessage = errors.New("no such message")

func streamName(log string, shard int) string { return fmt.Sprintf("GODWIT_%s_%d", log, shard) }

func newStream(node *Node, name string, shard, replicas int) *stream {
	srv, conn := node.now()
	s := &stream{
		node:     node,
		server:   srv,
		conn:     conn,
		name:     streamName(name, shard),
		subject:  fmt.Sprintf("godwit.log.%s.%d", name, shard),
		replicas: replicas,
	}
	s.getSubject = fmt.Sprintf(server.JSApiMsgGetT, s.name)
	s.directSubject = fmt.Sprintf(server.JSDirectMsgGetT, s.name)
	return s
}

// ask sends a request and decodes the answer. An error that the server names is a *server.ApiError.
func (s *stream) ask(ctx context.Context, subject string, request, answer any) error {
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

func (s *stream) config() *server.StreamConfig {
	return &server.StreamConfig{
		Name:        s.name,
		Description: "Godwit's journal: written and trimmed by Godwit only",
		Subjects:    []string{s.subject},
		Retention:   server.LimitsPolicy,
		Storage:     server.FileStorage,
		Replicas:    s.replicas,
		Discard:     server.DiscardNew,
		MaxMsgs:     -1,
		MaxBytes:    -1,
		MaxMsgsPer:  -1,
		MaxMsgSize:  -1,
		AllowDirect: true,
		DenyDelete:  true,
	}
}

// ensure makes the stream unless it is there, and checks that it is what a log needs. It asks until it is answered or ctx ends.
func (s *stream) ensure(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, makeTimeout)
	defer cancel()
	for {
		info, err := s.info(ctx)
		if err == nil {
			return s.check(&info.Config)
		}
		var refused *server.ApiError
		if errors.As(err, &refused) && refused.ErrCode == uint16(server.JSStreamNotFoundErr) {
			err = s.ask(ctx, fmt.Sprintf(server.JSApiStreamCreateT, s.name), s.config(), nil)
			if err == nil {
				continue // it is looked at as if others had made it
			}
		}
		if errors.As(err, &refused) && refused.ErrCode == uint16(server.JSStreamInvalidConfigF) {
			return err // else it will become better when enough nodes are there
		}
		if s.conn.IsClosed() {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the log's stream %s cannot be had: %w (last answer: %w)", s.name, ctx.Err(), err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// check refuses a stream that could lose or drop what a log relies on.
func (s *stream) check(c *server.StreamConfig) error {
	wrong := func(what string, is, want any) error {
		return fmt.Errorf("stream %s is not fit for a log: %s is %v, must be %v", s.name, what, is, want)
	}
	switch {
	case c.Storage != server.FileStorage:
		return wrong("storage", c.Storage, server.FileStorage)
	case c.Replicas != s.replicas:
		return wrong("number of replicas", c.Replicas, s.replicas)
	case c.Retention != server.LimitsPolicy:
		return wrong("retention", c.Retention, server.LimitsPolicy)
	case c.MaxAge != 0 || c.MaxMsgs > 0 || c.MaxBytes > 0 || c.MaxMsgsPer > 0:
		return wrong("the limit of age, messages or bytes", "set", "none: the log trims itself")
	case !c.AllowDirect:
		return wrong("allow_direct", false, true)
	case c.PersistMode != server.DefaultPersistMode:
		return wrong("persist_mode", c.PersistMode, server.DefaultPersistMode)
	case len(c.Subjects) != 1 || c.Subjects[0] != s.subject:
		return wrong("subjects", c.Subjects, s.subject)
	}
	return nil
}

// info is what the stream's leader says of it.
func (s *stream) info(ctx context.Context) (*server.StreamInfo, error) {
	var answer struct{ server.StreamInfo }
	if err := s.ask(ctx, fmt.Sprintf(server.JSApiStreamInfoT, s.name), nil, &answer); err != nil {
		return nil, err
	}
	return &answer.StreamInfo, nil
}

// purge forgets the messages before a sequence.
func (s *stream) purge(ctx context.Context, before uint64) error {
	return s.ask(ctx, fmt.Sprintf(server.JSApiStreamPurgeT, s.name), server.JSApiStreamPurgeRequest{Sequence: before}, nil)
}

// stepDown makes another node the stream's leader.
func (s *stream) stepDown(ctx context.Context, preferred string) error {
	return s.ask(ctx, fmt.Sprintf(server.JSApiStreamLeaderStepDownT, s.name), server.JSApiLeaderStepdownRequest{Placement: &server.Placement{Preferred: preferred}}, nil)
}

// leaderGet reads one message from the stream's leader: what it does not have is not in the log, unless that leader is deposed and does not know it.
func (s *stream) leaderGet(ctx context.Context, seq uint64) ([]byte, error) {
	var answer server.JSApiMsgGetResponse
	err := s.ask(ctx, s.getSubject, server.JSApiMsgGetRequest{Seq: seq}, &answer)
	var refused *server.ApiError
	if errors.As(err, &refused) && refused.ErrCode == uint16(server.JSNoMessageFoundErr) {
		return nil, errNoMessage
	}
	if err != nil {
		return nil, err
	}
	if answer.Message == nil || answer.Message.Sequence != seq {
		return nil, fmt.Errorf("stream %s: message %d was asked for, another came", s.name, seq)
	}
	return answer.Message.Data, nil
}

// localGet reads one message from some replica, which may not have all of the log yet. The server picks the replica, this node's no more often than another, and may pick one
// that hangs; so another try is begun soon.
func (s *stream) localGet(ctx context.Context, seq uint64) ([]byte, error) {
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
				return nil, errNoMessage
			}
			return nil, fmt.Errorf("read message %d of stream %s: %s %s", seq, s.name, status, m.Header.Get("Description"))
		}
		if got := m.Header.Get(server.JSSequence); got != strconv.FormatUint(seq, 10) {
			return nil, fmt.Errorf("stream %s: message %d was asked for, %s came", s.name, seq, got)
		}
		return m.Data, nil
	}
}

// get reads one message from where it can be had.
func (s *stream) get(ctx context.Context, seq uint64) ([]byte, error) {
	data, err := s.localGet(ctx, seq)
	if err != nil {
		data, err = s.leaderGet(ctx, seq)
	}
	return data, err
}

// rescue reads a message that must be there, but that the stream's leader does not have: from the other replicas, each of which is made the leader for it. Errors: errNoMessage if
// none has it, journal.ErrTrimmed if it was purged meanwhile.
func (s *stream) rescue(ctx context.Context, seq uint64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*askTimeout)
	defer cancel()
	s.rescues.Add(1)
	defer s.rescues.Add(-1)
	tried := map[string]bool{}
	for ctx.Err() == nil {
		info, err := s.info(ctx)
		if err != nil {
			time.Sleep(poll)
			continue
		}
		if seq < info.State.FirstSeq {
			return nil, fmt.Errorf("read stream %s at message %d, its first is %d: %w", s.name, seq, info.State.FirstSeq, journal.ErrTrimmed)
		}
		if info.Cluster == nil {
			return nil, errNoMessage
		}
		if leader := info.Cluster.Leader; !tried[leader] {
			data, err := s.leaderGet(ctx, seq)
			if err == nil {
				return data, nil
			}
			if !errors.Is(err, errNoMessage) {
				time.Sleep(poll)
				continue
			}
			tried[leader] = true
		}
		next, left := "", false
		for _, r := range info.Cluster.Replicas {
			if !tried[r.Name] {
				left = true
				if r.Current && !r.Offline {
					next = r.Name
				}
			}
		}
		if !left {
			return nil, errNoMessage
		}
		if next == "" { // one that is away, or not up to date, may have it
			time.Sleep(poll)
			continue
		}
		if err := s.stepDown(ctx, next); err == nil {
			s.node.log.Warn("a replica of the log has lost a message; another is asked, and leads the stream for it", "stream", s.name, "message", seq,
				"replica", info.Cluster.Leader, "asked", next)
		}
		time.Sleep(poll)
	}
	return nil, fmt.Errorf("no replica that can be asked now has message %d of stream %s: %w", seq, s.name, ctx.Err())
}

// find reads a message that must be there, and asks until it is answered or ctx ends.
func (s *stream) find(ctx context.Context, seq uint64) ([]byte, error) {
	for {
		data, err := s.get(ctx, seq)
		if errors.Is(err, errNoMessage) {
			if data, err = s.rescue(ctx, seq); errors.Is(err, errNoMessage) {
				return nil, &journal.CorruptError{File: s.name, Sequence: seq, Reason: "the message is missing"}
			}
			return data, err
		}
		if err == nil || s.conn.IsClosed() {
			return data, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("read message %d of stream %s: %w: %w", seq, s.name, ctx.Err(), err)
		case <-time.After(poll):
		}
	}
}

// fetcher reads runs of messages. It has one inbox for all its requests; one goroutine uses it.
type fetcher struct {
	s     *stream
	sub   *nats.Subscription
	inbox string
	asked uint64
}

func (s *stream) fetcher() (*fetcher, error) {
	f := &fetcher{s: s, inbox: nats.NewInbox()}
	var err error
	if f.sub, err = s.conn.SubscribeSync(f.inbox + ".*"); err != nil {
		return nil, fmt.Errorf("read stream %s: %w", s.name, err)
	}
	return f, f.sub.SetPendingLimits(-1, -1)
}

func (f *fetcher) close() { f.sub.Unsubscribe() }

// fetch gives fn what some replica has from a sequence on, up to a limit, and returns how many messages that were and how many more the replica has.
// After an error of fn nothing is given any more. As for localGet, a replica that does not answer soon is given up for another.
func (f *fetcher) fetch(ctx context.Context, from uint64, fn func(seq uint64, data []byte) error) (n int, more uint64, err error) {
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

// publisher sends messages whose answers come to a function.
type publisher struct {
	s     *stream
	sub   *nats.Subscription
	inbox string
}

// verdict is the answer to one append. Exactly one of seq and err is set.
type verdict struct {
	seq  uint64 // under which it is stored
	err  *server.ApiError
	lost bool // nobody was there to take it
}

// publisher calls answered from one goroutine, with the token that publish was given.
func (s *stream) publisher(answered func(token uint64, v verdict)) (*publisher, error) {
	p := &publisher{s: s, inbox: nats.NewInbox() + "."}
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

func decodeVerdict(stream string, m *nats.Msg) (v verdict) {
	var answer struct {
		Error     *server.ApiError `json:"error"`
		Stream    string           `json:"stream"`
		Sequence  uint64           `json:"seq"`
		Duplicate bool             `json:"duplicate"`
	}
	if len(m.Data) == 0 || json.Unmarshal(m.Data, &answer) != nil {
		v.lost = true
		return v
	}
	if answer.Error == nil && (answer.Stream != stream || answer.Sequence == 0 || answer.Duplicate) {
		v.lost = true // it proves nothing; what is stored will be read back
		return v
	}
	v.seq, v.err = answer.Sequence, answer.Error
	return v
}

var messages = sync.Pool{New: func() any { return &nats.Msg{Header: nats.Header{server.JSExpectedLastSeq: []string{""}}} }}

// publish appends data on the condition that the stream's last sequence is `last`. The data may be changed when it returns.
func (p *publisher) publish(token, last uint64, data []byte) error {
	m := messages.Get().(*nats.Msg)
	m.Subject, m.Reply, m.Data = p.s.subject, p.inbox+strconv.FormatUint(token, 10), data
	m.Header[server.JSExpectedLastSeq][0] = strconv.FormatUint(last, 10)
	err := p.s.conn.PublishMsg(m)
	m.Data = nil
	messages.Put(m)
	return err
}

func (p *publisher) close() { p.sub.Unsubscribe() }
