package jetstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/godwitmq/godwit/journal"
	"github.com/godwitmq/godwit/journal/layout"
)

func (s *stream) trimmed(at, head journal.Position) error {
	return fmt.Errorf("read stream %s at position %d, the log's head is %d: %w", s.name, at, head, journal.ErrTrimmed)
}

// pass takes one message into the chain and the index.
func (s *stream) pass(c *chain, x *index, seq uint64, data []byte, take func(*layout.Header, []byte) error) error {
	begun := c.at
	known := c.link.Known
	covers, err := c.next(seq, data, take)
	if err != nil {
		return err
	}
	if !known && covers > 0 {
		begun = c.at - journal.Position(covers)
	}
	if known || covers > 0 {
		x.add(seq, begun, covers)
	}
	return nil
}

// advance takes what some replica has from the chain's next message on, up to a limit. What that replica has lost or damaged is read from the stream's
// leader. It returns how many messages were taken and how many more there are.
func (s *stream) advance(ctx context.Context, f Fetcher, c *chain, x *index, take func(*layout.Header, []byte) error, log *slog.Logger) (n int, more uint64, err error) {
	_, more, err = f.Fetch(ctx, c.seq, func(seq uint64, data []byte) error {
		for c.seq < seq {
			lost := c.seq
			if err := s.takeLeaders(ctx, c, x, take); err != nil {
				return err
			}
			log.Warn("a message is missing in a replica of the log; another had it", "stream", s.name, "message", lost)
			n++
		}
		err := s.pass(c, x, seq, data, take)
		var damage *journal.CorruptError
		if errors.As(err, &damage) {
			other, gerr := s.LeaderGet(ctx, seq)
			if gerr != nil || s.pass(c, x, seq, other, take) != nil {
				return err
			}
			log.Warn("a message is damaged in a replica of the log; another had it whole", "stream", s.name, "message", seq, "error", err)
			err = nil
		}
		if err == nil {
			n++
		}
		return err
	})
	return n, more, err
}

// takeLeaders takes the chain's next message, which the replica that was asked does not give, from the stream's leader, or from whichever replica has it.
func (s *stream) takeLeaders(ctx context.Context, c *chain, x *index, take func(*layout.Header, []byte) error) error {
	data, err := s.LeaderGet(ctx, c.seq)
	if errors.Is(err, ErrNoMessage) {
		data, err = s.rescue(ctx, c.seq)
	}
	if errors.Is(err, ErrNoMessage) {
		return c.corrupt("message %d is missing", c.seq)
	}
	if err != nil {
		return err
	}
	return s.pass(c, x, c.seq, data, take)
}

// locate returns the message that covers a position: of a batch in parts the last, unless it had to be searched for. For the tail it is the last message.
func (s *stream) locate(ctx context.Context, x *index, at journal.Position) (uint64, error) {
	seq, _, low, high := x.find(at)
	if seq != 0 {
		return seq, nil
	}
	state, err := s.state(ctx)
	if err != nil {
		return 0, err
	}
	low = max(low, state.FirstSeq)
	if high == 0 || high > state.LastSeq {
		high = state.LastSeq + 1
	}
	return s.search(ctx, x, at, low, high-1)
}

// firstPart returns the first part of the batch of which a message is a part, and the message itself if it is none.
func (s *stream) firstPart(ctx context.Context, seq uint64) (uint64, error) {
	data, err := s.find(ctx, seq)
	if err != nil {
		return 0, err
	}
	if isPart(data) {
		var p part
		if wrong := p.decode(data); wrong != "" {
			return 0, &journal.CorruptError{File: s.name, Sequence: seq, Reason: wrong}
		}
		seq -= min(uint64(p.index), seq-1)
	}
	return seq, nil
}

// search finds the last of the messages low..high that begins at or before a position, by reading some of them.
func (s *stream) search(ctx context.Context, x *index, at journal.Position, low, high uint64) (uint64, error) {
	for low < high {
		middle := low + (high-low+1)/2
		data, err := s.find(ctx, middle)
		if err != nil {
			return 0, err
		}
		base, wrong := beginning(data)
		if wrong != "" {
			return 0, &journal.CorruptError{File: s.name, Sequence: middle, At: at, Reason: wrong}
		}
		if !isPart(data) {
			x.add(middle, base, uint64(len(data)))
		}
		if base <= at {
			low = middle
		} else {
			high = middle - 1
		}
	}
	return low, nil
}

// beginning is the position at which a message's first batch begins, or the batch of which it is a part.
func beginning(data []byte) (base journal.Position, wrong string) {
	if isPart(data) {
		var p part
		wrong = p.decode(data)
		return p.base, wrong
	}
	var h layout.Header
	wrong = h.Parse(data)
	return h.Base, wrong
}

// Read implements journal.Log. It reads from some replica, and verifies.
func (l *Log) Read(from journal.Position, fn func(journal.Record) error) error {
	return l.read(from, func(from journal.Position, h *layout.Header, batch []byte) error {
		return layout.Records(h, batch, from, fn)
	})
}

// ReadBatches implements journal.Log. It reads as Read does.
func (l *Log) ReadBatches(from journal.Position, fn func(batch []byte) error) error {
	return l.read(from, func(from journal.Position, h *layout.Header, batch []byte) error {
		if h.End() <= from {
			return nil
		}
		return fn(batch)
	})
}

// read gives verified batches, from the message with a position on or an earlier one up to the durable tail, and the position: the head's for 0. An error of give is returned as it is.
func (l *Log) read(from journal.Position, give func(from journal.Position, h *layout.Header, batch []byte) error) error {
	tail, head := l.Tail(), l.Head()
	if from == 0 {
		from = head
	}
	if from < head {
		return l.s.trimmed(from, head)
	}
	if from >= tail {
		return nil
	}
	if err := l.readable(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(l.ctx)
	defer cancel()
	seq, err := l.s.locate(ctx, l.index, from)
	if err == nil {
		err = l.s.readFrom(ctx, l.index, seq, tail, func(h *layout.Header, batch []byte) error { return give(from, h, batch) }, l.opt.GiveUp, l.log)
	}
	var owner ownerError
	switch {
	case errors.As(err, &owner):
		return owner.error
	case err != nil:
		return l.readError(from, err)
	}
	return nil
}

// readFrom gives the batches of a message, and of all that follow it up to a position. An error of give is an ownerError.
// A message that cannot be had is asked for until patience is over.
func (s *stream) readFrom(ctx context.Context, x *index, seq uint64, tail journal.Position, give func(*layout.Header, []byte) error, patience time.Duration, log *slog.Logger) error {
	c := chain{stream: s.name}
	var err error
	if c.seq, err = s.firstPart(ctx, seq); err != nil {
		return err
	}
	f, err := s.Fetcher()
	if err != nil {
		return err
	}
	defer f.Close()
	end := errors.New("end")
	take := func(h *layout.Header, batch []byte) error {
		if h.Base >= tail {
			return end
		}
		if err := give(h, batch); err != nil {
			return ownerError{err}
		}
		return nil
	}
	begun := time.Now()
	for c.at < tail {
		n, _, err := s.advance(ctx, f, &c, x, take, log)
		if n > 0 {
			begun = time.Now()
		}
		if n == 0 && err == nil {
			// The replica that was asked is behind, or cannot read what it has.
			err = s.takeLeaders(ctx, &c, x, take)
		}
		switch {
		case err == end:
			return nil
		case err != nil && (isFinal(err) || ctx.Err() != nil || time.Since(begun) > patience):
			return err
		case err != nil:
			time.Sleep(poll) // a node has gone; another will answer
		}
	}
	return nil
}

// readError makes of what went wrong what the owner can act on: what was trimmed meanwhile is not damage, and who has not trimmed it himself is deposed.
func (l *Log) readError(at journal.Position, err error) error {
	if cerr := l.readable(); cerr != nil {
		return cerr
	}
	if head := l.Head(); at < head {
		return l.s.trimmed(at, head)
	}
	if errors.Is(err, journal.ErrTrimmed) {
		return fmt.Errorf("%w: another has trimmed what this writer still has: %w", journal.ErrDeposed, err)
	}
	return err
}

// recent keeps the messages that were read last by position: a broker reads neighbours one after the other.
type recent struct {
	mu   sync.Mutex
	list [recentMessages]loaded // the newest first
}

const recentMessages = 4

// loaded is a verified message, or a batch put together from its parts.
type loaded struct {
	base journal.Position
	data []byte
}

func (r *recent) get(at journal.Position) (loaded, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.list {
		if m.data != nil && m.base <= at && at < m.base+journal.Position(len(m.data)) {
			return m, true
		}
	}
	return loaded{}, false
}

func (r *recent) put(m loaded) {
	if len(m.data) > 2*wholeSize {
		return // its memory is worth more
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	copy(r.list[1:], r.list[:])
	r.list[0] = m
}

// ReadAt implements journal.Log. The message in which the record lies is read from some replica, or from the stream's leader if that one does not have it whole.
func (l *Log) ReadAt(at journal.Position, dst []byte) ([]byte, error) {
	if tail := l.Tail(); at+journal.FrameSize > tail {
		return nil, fmt.Errorf("read stream %s at position %d: the durable tail is %d", l.s.name, at, tail)
	}
	batch, h, err := l.batchAt(at)
	if err != nil {
		return nil, err
	}
	if at < h.Base+layout.HeaderSize || h.Flags != 0 {
		return nil, &journal.CorruptError{File: l.s.name, At: at, Reason: "no record begins here"}
	}
	record, wrong := layout.Frame(batch, int(at-h.Base))
	if wrong != "" {
		return nil, &journal.CorruptError{File: l.s.name, At: at, Reason: wrong}
	}
	return append(dst[:0], record...), nil
}

// Header implements journal.Log.
func (l *Log) Header(at journal.Position) (head [journal.HeaderSize]byte, err error) {
	if tail := l.Tail(); at+layout.HeaderSize > tail {
		return head, fmt.Errorf("read stream %s at position %d: the durable tail is %d", l.s.name, at, tail)
	}
	batch, h, err := l.batchAt(at)
	if err != nil {
		return head, err
	}
	if h.Base != at {
		return head, &journal.CorruptError{File: l.s.name, At: at, Reason: "no batch begins here"}
	}
	copy(head[:], batch)
	return head, nil
}

// batchAt gives the durable batch in which a position lies.
func (l *Log) batchAt(at journal.Position) ([]byte, *layout.Header, error) {
	if head := l.Head(); at < head {
		return nil, nil, l.s.trimmed(at, head)
	}
	if err := l.readable(); err != nil {
		return nil, nil, err
	}
	m, ok := l.recent.get(at)
	if !ok {
		var err error
		if m, err = l.s.load(l.ctx, l.index, at, l.opt.GiveUp, l.log); err != nil {
			return nil, nil, l.readError(at, err)
		}
		l.recent.put(m)
	}
	return m.batch(l.s.name, at)
}

// load reads the message that covers a position, or the whole batch of which that is a part, and verifies it in itself. While nobody can be asked it tries again, until
// patience is over.
func (s *stream) load(ctx context.Context, x *index, at journal.Position, patience time.Duration, log *slog.Logger) (loaded, error) {
	for begun := time.Now(); ; {
		m, err := s.loadNow(ctx, x, at, log)
		if err == nil || isFinal(err) || ctx.Err() != nil || time.Since(begun) > patience {
			return m, err
		}
		select {
		case <-ctx.Done():
		case <-time.After(poll):
		}
	}
}

// loadNow says that a message is missing or damaged only if no replica has it whole; while one cannot be asked, that is the error.
func (s *stream) loadNow(ctx context.Context, x *index, at journal.Position, log *slog.Logger) (loaded, error) {
	seq, err := s.locate(ctx, x, at)
	if err != nil {
		return loaded{}, err
	}
	var damage, last error
	for _, get := range []func(context.Context, uint64) ([]byte, error){s.LocalGet, s.LeaderGet, s.rescue} {
		m, err := s.loadFrom(ctx, seq, at, get)
		if err == nil {
			if damage != nil {
				log.Warn("a message is damaged in a replica of the log; another had it whole", "stream", s.name, "message", seq, "error", damage)
			}
			return m, nil
		}
		if errors.Is(err, journal.ErrCorrupt) {
			damage = err
		}
		last = err
	}
	switch {
	case !errors.Is(last, ErrNoMessage):
		return loaded{}, last
	case damage != nil:
		return loaded{}, damage
	}
	return loaded{}, &journal.CorruptError{File: s.name, Sequence: seq, At: at, Reason: "the message is missing"}
}

// batch gives the batch in which a position lies.
func (m *loaded) batch(stream string, at journal.Position) ([]byte, *layout.Header, error) {
	data := m.data // of one batch or several
	var h layout.Header
	for {
		if wrong := h.Parse(data); wrong != "" {
			return nil, nil, &journal.CorruptError{File: stream, At: at, Reason: wrong}
		}
		if at < h.End() {
			return data[:h.Length], &h, nil
		}
		data = data[h.Length:]
	}
}

func (s *stream) loadFrom(ctx context.Context, seq uint64, at journal.Position, get func(context.Context, uint64) ([]byte, error)) (loaded, error) {
	corrupt := func(reason string) (loaded, error) {
		return loaded{}, &journal.CorruptError{File: s.name, Sequence: seq, At: at, Reason: reason}
	}
	data, err := get(ctx, seq)
	if err != nil {
		return loaded{}, err
	}
	if isPart(data) {
		var p part
		if wrong := p.decode(data); wrong != "" {
			return corrupt(wrong)
		}
		parts, base := p.parts, p.base
		if p.index != 0 {
			seq -= min(uint64(p.index), seq-1)
			if data, err = get(ctx, seq); err != nil {
				return loaded{}, err
			}
			if !isPart(data) {
				return corrupt("the parts before it are missing")
			}
			if wrong := p.decode(data); wrong != "" {
				return corrupt(wrong)
			}
		}
		whole := make([]byte, 0, p.length)
		for i := uint32(0); ; {
			if p.index != i || p.base != base {
				return corrupt(fmt.Sprintf("part %d of position %d stands where part %d of position %d belongs", p.index, p.base, i, base))
			}
			whole = append(whole, p.data...)
			if i++; i == parts {
				break
			}
			seq++
			if data, err = get(ctx, seq); err != nil {
				return loaded{}, err
			}
			if !isPart(data) {
				return corrupt(fmt.Sprintf("part %d of the batch at position %d is missing", i, base))
			}
			if wrong := p.decode(data); wrong != "" {
				return corrupt(wrong)
			}
		}
		data = whole
	}
	m := loaded{data: data}
	end := journal.Position(0)
	wrong, err := eachBatch(data, func(h *layout.Header, _ []byte, _ layout.Digest) error {
		if end == 0 {
			m.base, end = h.Base, h.Base
		}
		if h.Base != end {
			return fmt.Errorf("batch %d of position %d stands at position %d", h.Number, h.Base, end)
		}
		end = h.End()
		return nil
	})
	if err != nil {
		return corrupt(err.Error())
	}
	if wrong != "" {
		return corrupt(wrong)
	}
	if at < m.base || at >= end {
		return corrupt(fmt.Sprintf("the message is of positions %d to %d", m.base, end))
	}
	return m, nil
}
