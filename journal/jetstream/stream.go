package jetstream

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/godwitmq/godwit/journal"
)

// stream is the one stream of a log, and what is asked of its servers. Whatever they answer is only believed as far as the batches prove it.
type stream struct {
	Remote
	node     *Node
	name     string // of the stream
	subject  string
	replicas int

	rescues atomic.Int32 // at work: the leader is not moved meanwhile for other reasons
}

const (
	askTimeout    = 500 * time.Millisecond // for one answer; then it is asked again
	firstAnswer   = 50 * time.Millisecond  // for a replica's first answer; then perhaps another is asked
	staleTime     = 2 * time.Second        // in which a leader that was overtaken finds out
	rescueTimeout = 10 * time.Second       // for one message that a replica does not have
	makeTimeout   = 30 * time.Second       // for a stream to be made, which needs most of the nodes
	fetchCount    = 512                    // messages asked for at once, at most
	fetchBytes    = 2 << 20
)

func streamName(log string, shard int) string { return fmt.Sprintf("GODWIT_%s_%d", log, shard) }

func newStream(node *Node, name string, shard, replicas int) *stream {
	_, servers := node.now()
	s := &stream{
		node:     node,
		name:     streamName(name, shard),
		subject:  fmt.Sprintf("godwit.log.%s.%d", name, shard),
		replicas: replicas,
	}
	s.Remote = servers.Remote(s.name, s.subject)
	return s
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
		info, err := s.Info(ctx)
		if err == nil {
			return s.check(&info.Config)
		}
		var refused *server.ApiError
		if errors.As(err, &refused) && refused.ErrCode == uint16(server.JSStreamNotFoundErr) {
			err = s.Create(ctx, s.config())
			if err == nil {
				continue // it is looked at as if others had made it
			}
		}
		if errors.As(err, &refused) && refused.ErrCode == uint16(server.JSStreamInvalidConfigF) {
			return err // else it will become better when enough nodes are there
		}
		if s.Closed() {
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

// get reads one message from where it can be had.
func (s *stream) get(ctx context.Context, seq uint64) ([]byte, error) {
	data, err := s.LocalGet(ctx, seq)
	if err != nil {
		data, err = s.LeaderGet(ctx, seq)
	}
	return data, err
}

// rescue reads a message that must be there, but that the stream's leader does not have: from the other replicas, each of which is made the leader for it. Errors: ErrNoMessage if
// none has it, journal.ErrTrimmed if it was purged meanwhile.
func (s *stream) rescue(ctx context.Context, seq uint64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, rescueTimeout)
	defer cancel()
	s.rescues.Add(1)
	defer s.rescues.Add(-1)
	tried, again := map[string]bool{}, false
	for ctx.Err() == nil {
		info, err := s.Info(ctx)
		if err != nil {
			time.Sleep(poll)
			continue
		}
		if seq < info.State.FirstSeq {
			return nil, fmt.Errorf("read stream %s at message %d, its first is %d: %w", s.name, seq, info.State.FirstSeq, journal.ErrTrimmed)
		}
		if info.Cluster == nil {
			return nil, ErrNoMessage
		}
		if leader := info.Cluster.Leader; !tried[leader] {
			data, err := s.LeaderGet(ctx, seq)
			if err == nil {
				return data, nil
			}
			if !errors.Is(err, ErrNoMessage) {
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
		if !left && again {
			return nil, ErrNoMessage
		}
		if !left { // a leader that was overtaken may have answered for all of them: until it knows, it counts as one that has not been asked
			again = true
			clear(tried)
			select {
			case <-time.After(staleTime):
			case <-ctx.Done():
			}
			continue
		}
		if next == "" { // one that is away, or not up to date, may have it
			time.Sleep(poll)
			continue
		}
		if err := s.StepDown(ctx, next); err == nil {
			s.node.log.Warn("a replica of the log has lost a message; another is asked, and leads the stream for it", "stream", s.name, "message", seq,
				"replica", info.Cluster.Leader, "asked", next)
		}
		time.Sleep(poll)
	}
	return nil, fmt.Errorf("no replica that can be asked now has message %d of stream %s: %w", seq, s.name, ctx.Err())
}

// passed says whether the stream has forgotten a message. For one that was to be appended that means another writer: none trims what it has no answer for.
func (s *stream) passed(ctx context.Context, seq uint64) bool {
	info, err := s.Info(ctx)
	return err == nil && seq < info.State.FirstSeq
}

// find reads a message that must be there, and asks until it is answered or ctx ends.
func (s *stream) find(ctx context.Context, seq uint64) ([]byte, error) {
	for {
		data, err := s.get(ctx, seq)
		if errors.Is(err, ErrNoMessage) {
			if data, err = s.rescue(ctx, seq); errors.Is(err, ErrNoMessage) {
				return nil, &journal.CorruptError{File: s.name, Sequence: seq, Reason: "the message is missing"}
			}
			return data, err
		}
		if err == nil || s.Closed() {
			return data, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("read message %d of stream %s: %w: %w", seq, s.name, ctx.Err(), err)
		case <-time.After(poll):
		}
	}
}
