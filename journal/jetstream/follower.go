package jetstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/godwitmq/godwit/journal"
	"github.com/godwitmq/godwit/journal/layout"
)

// Options of a log. The zero value works.
type Options struct {
	// Name of the log: letters, digits, - and _. "" means "broker".
	Name string
	// Shard is the number of the part of the broker whose log it is.
	Shard int
	// Replicas is how many nodes have the log: 1 or 3. 0 means 3 on a node with peers and on an external cluster, else 1.
	Replicas int
	// Instance is who this is in the log, at most 255 bytes. "" means the node's name.
	Instance string
	// MaxBytes limits what the log takes on each node. 0 means that the disk is the limit; for an external cluster: none.
	MaxBytes int64
	// Reserve is what only urgent appends may use, in bytes. 0 means 4 MiB.
	Reserve int64
	// MaxPending is how many bytes may wait to become durable before Append blocks. 0 means 64 MiB.
	MaxPending int64
	// Heartbeat is how often a writer says in the log that it is there if it has nothing else to say. 0 means 50 ms with more than one replica, and never with
	// one; negative means never.
	Heartbeat time.Duration
	// Silence is how long a follower hears nothing before it says so. 0 means 300 ms.
	Silence time.Duration
	// GiveUp is how long an append that is not answered is tried before the log breaks. 0 means 30 s: longer than the nodes need to agree on a new leader.
	GiveUp time.Duration
	// LeaderOn names nodes that are to lead the stream, the best first, if they can. Others are taken if they cannot; the node of the log's writer never.
	LeaderOn []string
	// Logger gets what an operator should know. nil means slog.Default.
	Logger *slog.Logger
}

func (o *Options) complete(node *Node) error {
	if o.Name == "" {
		o.Name = "broker"
	}
	for _, r := range o.Name {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_') {
			return fmt.Errorf("name of a log is %q: must be letters, digits, - and _", o.Name)
		}
	}
	if o.Replicas == 0 {
		o.Replicas = 3
		if srv, _ := node.now(); srv != nil && srv.ClusterName() == "" {
			o.Replicas = 1
		}
	}
	if o.Instance == "" {
		o.Instance = node.name
	}
	if len(o.Instance) > maxName {
		return fmt.Errorf("name of an instance has %d bytes, at most %d are allowed", len(o.Instance), maxName)
	}
	if o.Reserve == 0 {
		o.Reserve = 4 << 20
	}
	if o.MaxPending == 0 {
		o.MaxPending = 64 << 20
	}
	if o.Heartbeat == 0 && o.Replicas > 1 {
		o.Heartbeat = 50 * time.Millisecond
	}
	if o.Silence == 0 {
		o.Silence = 300 * time.Millisecond
	}
	if o.GiveUp == 0 {
		o.GiveUp = 30 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return nil
}

// poll is how often a follower looks for what is new, once it has read all there is.
const poll = 20 * time.Millisecond

// News is what a follower has learned.
type News int

// What Next returns.
const (
	// Advanced: the log has grown.
	Advanced News = iota + 1
	// Silent: all is read, and for Options.Silence nothing came, although the stream has a leader and so could be written.
	Silent
	// Vacant: all is read, and the log has no writer: it is new, its writer has closed it, or handed it over to this instance.
	Vacant
)

func (n News) String() string {
	return [...]string{"nothing", "advanced", "silent", "vacant"}[n]
}

// Follower reads a log as it grows, without being its writer, and becomes its writer by Lead. One goroutine uses it.
type Follower struct {
	s     *stream
	opt   Options
	fetch Fetcher
	index *index
	chain chain
	head  journal.Position
	from  journal.Position // records before it are not wanted
	last  Mark             // the last batch that was read
	tie   Mark             // a batch that was believed before it was read, if any

	leader  string // the instance whose epoch it is
	giver   string // who has handed over to this instance, and it has not begun yet
	state   State
	copy    uint64 // which one the log is being filled with, or was left for
	given   bool   // a record was given to Next's function
	vacant  bool
	first   uint64        // the stream's first message when following began
	known   uint64        // the stream has this message
	quiet   time.Duration // for how long nothing has come; a pause of this process does not count
	polled  time.Time
	enquiry bool // the stream's leader has said in this quiet that there is nothing more
	over    bool // Lead has succeeded, or Close was called
}

// Follow begins to follow a log, which is made if it is not there. Records come from the first at or after `from`; 0 means the head. It waits until most of the
// nodes are there. Errors: journal.ErrTrimmed, journal.ErrCorrupt, what ctx says, and what the stream's servers say.
func Follow(ctx context.Context, node *Node, opt Options, from journal.Position) (*Follower, error) {
	f, err := follow(ctx, node, opt, func(f *Follower) (seq uint64, err error) {
		if from == 0 {
			from = f.head
		}
		f.from = from
		if from < f.head {
			return 0, f.s.trimmed(from, f.head)
		}
		if seq, err = f.s.locate(ctx, f.index, from); err != nil {
			return 0, err
		}
		return f.s.firstPart(ctx, seq)
	})
	if err != nil {
		return nil, fmt.Errorf("follow log %s: %w", opt.Name, err)
	}
	return f, nil
}

// Mark is a batch of a log, with the header that ties whoever has it to this log: it carries a hash over all before it.
type Mark struct {
	Batch  journal.Position // where it begins
	Tail   journal.Position // where the next one does
	Header [journal.HeaderSize]byte
}

// Past is the log as it was when following began, for one who knows it up to some batch and would not read all of it again. It is used by Resume's function only.
type Past struct {
	ctx context.Context
	f   *Follower
	end journal.Position
}

// Head is the position of the oldest record kept, Tail the one after the newest.
func (p *Past) Head() journal.Position { return p.f.head }

// Tail is the position after the newest record.
func (p *Past) Tail() journal.Position { return p.end }

// Header is as that of a journal.Log. Reading goes on behind the batch that was asked for last only if it is found to have this header.
func (p *Past) Header(at journal.Position) (head [journal.HeaderSize]byte, err error) {
	f := p.f
	switch {
	case at < f.head:
		return head, f.s.trimmed(at, f.head)
	case at+layout.HeaderSize > p.end:
		return head, fmt.Errorf("read stream %s at position %d: the log ends at %d", f.s.name, at, p.end)
	}
	m, err := f.s.load(p.ctx, f.index, at, f.opt.GiveUp, f.opt.Logger)
	if err != nil {
		return head, err
	}
	batch, h, err := m.batch(f.s.name, at)
	if err != nil {
		return head, err
	}
	if h.Base != at {
		return head, &journal.CorruptError{File: f.s.name, At: at, Reason: "no batch begins here"}
	}
	copy(head[:], batch)
	f.tie = Mark{Batch: at, Tail: h.End(), Header: head}
	return head, nil
}

// Resume is Follow for one who may know the log up to the end of some batch. since looks at the log, and says from where records are wanted: from the end of the batch whose
// Header it has asked for last, or 0 for all of them. An empty log is not shown to it.
func Resume(ctx context.Context, node *Node, opt Options, since func(*Past) journal.Position) (*Follower, error) {
	f, err := follow(ctx, node, opt, func(f *Follower) (seq uint64, err error) {
		last, err := f.s.find(ctx, f.known)
		if err != nil {
			return 0, err
		}
		p := &Past{ctx: ctx, f: f}
		if p.end, err = f.s.ending(f.known, last); err != nil {
			return 0, err
		}
		at := f.head
		if f.from = since(p); f.from != 0 {
			at = f.tie.Batch // it is read again, so that what follows is proved to follow it
			f.given = true   // whoever knows the log up to there has its records
		} else {
			f.from, f.tie = f.head, Mark{}
		}
		if seq, err = f.s.locate(ctx, f.index, at); err != nil {
			return 0, err
		}
		return f.s.firstPart(ctx, seq)
	})
	if err != nil {
		return nil, fmt.Errorf("follow log %s: %w", opt.Name, err)
	}
	return f, nil
}

// ending is the position up to which a stream's last message makes the log whole.
func (s *stream) ending(seq uint64, data []byte) (end journal.Position, err error) {
	wrong := ""
	if isPart(data) {
		var p part
		if wrong = p.decode(data); wrong == "" {
			if end = p.base; p.index+1 == p.parts {
				end += journal.Position(p.length)
			}
		}
	} else {
		wrong, _ = eachBatch(data, func(h *layout.Header, _ []byte, _ layout.Digest) error {
			end = h.End()
			return nil
		})
	}
	if wrong != "" {
		return 0, &journal.CorruptError{File: s.name, Sequence: seq, Reason: wrong}
	}
	return end, nil
}

// follow begins at the message that start says.
func follow(ctx context.Context, node *Node, opt Options, start func(f *Follower) (seq uint64, err error)) (*Follower, error) {
	if err := opt.complete(node); err != nil {
		return nil, err
	}
	s := newStream(node, opt.Name, opt.Shard, opt.Replicas)
	if err := s.ensure(ctx); err != nil {
		return nil, err
	}
	f := &Follower{s: s, opt: opt, index: &index{}, polled: time.Now(), first: 1}
	f.chain = chain{stream: s.name, seq: 1}
	var err error
	if f.fetch, err = s.Fetcher(); err != nil {
		return nil, err
	}
	begin := func() error {
		state, err := s.state(ctx)
		if err != nil {
			return err
		}
		if state.LastSeq == 0 {
			f.vacant = true
			return nil
		}
		if state.Msgs == 0 {
			return &journal.CorruptError{File: s.name, Sequence: state.LastSeq, Reason: "the stream has lost all its messages"}
		}
		f.first, f.known = state.FirstSeq, state.LastSeq
		last, err := s.lastControl(ctx, state.FirstSeq, state.LastSeq)
		if err != nil {
			return err
		}
		f.head, f.leader, f.state, f.copy = last.head, last.name, last.state, last.nonce
		f.chain.seq, err = start(f)
		return err
	}
	if err := begin(); err != nil {
		f.fetch.Close()
		return nil, err
	}
	return f, nil
}

// state asks for the stream's first and last sequence until it is answered.
func (s *stream) state(ctx context.Context) (*server.StreamState, error) {
	for {
		info, err := s.Info(ctx)
		if err == nil {
			return &info.State, nil
		}
		if s.Closed() {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", ctx.Err(), err)
		case <-time.After(poll):
		}
	}
}

// lastControl looks from the end for a control, each of which names the head and the writer.
func (s *stream) lastControl(ctx context.Context, first, last uint64) (found control, err error) {
	for seq := last; seq >= first; seq-- {
		data, err := s.find(ctx, seq)
		if err != nil {
			return found, err
		}
		if isPart(data) {
			var p part
			if wrong := p.decode(data); wrong != "" {
				return found, &journal.CorruptError{File: s.name, Sequence: seq, Reason: wrong}
			}
			seq -= min(uint64(p.index), seq-1) // the parts before it have no control either
			continue
		}
		ok := false
		wrong, _ := eachBatch(data, func(h *layout.Header, batch []byte, _ layout.Digest) error {
			if h.Flags == layout.FlagControl {
				if c, known := decodeControl(batch); known {
					found, ok = c, true
				}
			}
			return nil
		})
		if wrong != "" {
			return found, &journal.CorruptError{File: s.name, Sequence: seq, Reason: wrong}
		}
		if ok {
			return found, nil
		}
	}
	return found, &journal.CorruptError{File: s.name, Sequence: first, Reason: fmt.Sprintf("messages %d to %d do not say where the log begins", first, last)}
}

// Next gives fn the records that have come, in order, each proved to continue those before. It waits until something has come, for Options.Silence at most, and
// then says what there is to know. An error of fn is returned as it is, and ends the follower's use. Other errors: journal.ErrCorrupt, journal.ErrTrimmed (the head
// has passed this follower), journal.ErrClosed, what ctx says.
func (f *Follower) Next(ctx context.Context, fn func(journal.Record) error) (News, error) {
	if f.over {
		return 0, fmt.Errorf("follow log %s: %w", f.opt.Name, journal.ErrClosed)
	}
	for {
		n, err := f.read(ctx, fn)
		now := time.Now()
		passed := now.Sub(f.polled)
		f.polled = now
		if n > 0 {
			f.quiet, f.enquiry = 0, false
		}
		var owner ownerError
		switch {
		case errors.As(err, &owner):
			f.Close()
			return 0, owner.error
		case err != nil && ctx.Err() != nil:
			return 0, ctx.Err()
		case err != nil && (isFinal(err) || f.s.Closed()):
			return 0, err
		case err != nil:
			f.opt.Logger.Debug("the log could not be read just now", "log", f.opt.Name, "error", err)
		case n > 0:
			return Advanced, nil
		case f.vacant:
			return Vacant, nil
		}
		// A process that was stopped, or a poll that took long, proves nothing about the writer.
		f.quiet += min(passed, 2*poll)
		if f.quiet >= f.opt.Silence && f.enquiry {
			return Silent, nil
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(poll):
		}
	}
}

// ownerError is an error of the function that records are given to.
type ownerError struct{ error }

// isFinal says whether reading again cannot help.
func isFinal(err error) bool {
	var owner ownerError
	return errors.As(err, &owner) || errors.Is(err, journal.ErrCorrupt) || errors.Is(err, journal.ErrTrimmed)
}

// read reads what there is now.
func (f *Follower) read(ctx context.Context, fn func(journal.Record) error) (n int, err error) {
	take := func(h *layout.Header, batch []byte) error { return f.take(h, batch, fn) }
	n, _, err = f.s.advance(ctx, f.fetch, &f.chain, f.index, take, f.opt.Logger)
	if n > 0 || err != nil {
		return n, err
	}
	// What the replica that was asked does not have, or cannot read, the stream's leader may have.
	if f.chain.seq <= f.known {
		if err = f.s.takeLeaders(ctx, &f.chain, f.index, take); err == nil {
			n = 1
		}
	} else if f.quiet >= f.opt.Silence/2 && !f.enquiry {
		short, cancel := context.WithTimeout(ctx, askTimeout/4)
		defer cancel()
		switch data, gerr := f.s.LeaderGet(short, f.chain.seq); {
		case gerr == nil:
			n, err = 1, f.s.pass(&f.chain, f.index, f.chain.seq, data, take)
		case errors.Is(gerr, ErrNoMessage):
			f.enquiry = true
		default:
			// While the stream has no leader, no writer can be heard. When it has one again, the writer is given time to come through.
			f.quiet = -f.opt.Silence / 2
		}
	}
	return n, err
}

// take looks at one batch of the log.
func (f *Follower) take(h *layout.Header, batch []byte, fn func(journal.Record) error) error {
	f.last.Batch, f.last.Tail = h.Base, h.End()
	copy(f.last.Header[:], batch)
	if f.tie.Batch == f.last.Batch && f.tie != (Mark{}) && f.tie != f.last {
		return &journal.CorruptError{File: f.s.name, At: h.Base, Reason: "one replica has another batch here than the one that was asked at first"}
	}
	if h.Flags == layout.FlagControl {
		c, ok := decodeControl(batch)
		if !ok {
			return nil
		}
		if c.kind == controlOpen && c.state == Filling && f.given {
			return ownerError{fmt.Errorf("follow log %s: %w at position %d", f.opt.Name, ErrRefilled, h.Base)}
		}
		f.head = max(f.head, c.head)
		f.giver = ""
		if c.kind == controlHandOver && c.name == f.opt.Instance {
			f.giver = f.leader
		}
		f.leader, f.state, f.copy = c.name, c.state, c.nonce
		f.vacant = c.kind == controlClose || c.kind == controlHandOver && c.name == f.opt.Instance
		return nil
	}
	f.vacant = false
	if fn == nil {
		return nil
	}
	f.given = true
	if err := layout.Records(h, batch, f.from, fn); err != nil {
		return ownerError{err}
	}
	return nil
}

// Leader is the instance whose epoch it is, as far as the log was read, and the epoch; "" and 0 if there was none.
func (f *Follower) Leader() (instance string, epoch uint64) { return f.leader, f.chain.link.Epoch }

// Giver is the instance that has handed the log over to this one, which has not begun to write yet; "" if there is none.
func (f *Follower) Giver() string { return f.giver }

// Head is the position of the oldest record kept, Tail the one after the newest that was read.
func (f *Follower) Head() journal.Position { return f.head }

// Last is the last batch that was read, one of the log's own or of its owner's. The zero value: none was.
func (f *Follower) Last() Mark { return f.last }

// Tail is the position up to which the log was read.
func (f *Follower) Tail() journal.Position { return f.chain.at }

// Lag is by how many of the stream's messages the follower is behind, as the stream's leader counts.
func (f *Follower) Lag(ctx context.Context) (uint64, error) {
	info, err := f.s.Info(ctx)
	if err != nil {
		return 0, err
	}
	return info.State.LastSeq + 1 - min(f.chain.seq, info.State.LastSeq+1), nil
}

// Scrub reads, from the nearest replica, what was passed over when following began, and verifies it; what that replica has damaged or lost is read from another, with a warning. fn is told
// of each record and may wait. It may be called by another goroutine, and goes on when the follower is closed or has become the log's writer. Errors: journal.ErrCorrupt if
// no replica has it whole, that of fn, what ctx says.
func (f *Follower) Scrub(ctx context.Context, fn func(journal.Record) error) error {
	var owner ownerError
	for {
		state, err := f.s.state(ctx)
		if err != nil {
			return err
		}
		err = f.s.readFrom(ctx, f.index, state.FirstSeq, f.from, func(h *layout.Header, batch []byte) error { return layout.Records(h, batch, 0, fn) }, f.opt.GiveUp, f.opt.Logger)
		switch {
		case errors.As(err, &owner):
			return owner.error
		case !errors.Is(err, journal.ErrTrimmed): // else the stream begins later now
			return err
		}
	}
}

// Close ends the follower. Nothing is to be done after Lead has succeeded.
func (f *Follower) Close() {
	if !f.over {
		f.over = true
		f.fetch.Close()
	}
}

// Lead becomes the log's writer by appending the next epoch just behind what was read. If that is not the end of the log, somebody else has written: then it
// returns journal.ErrDeposed, and following goes on. Once it has succeeded, the follower is used up, and all before the new epoch has been given to Next's function. While most of
// the nodes cannot be reached, it tries until ctx ends; then whether this epoch will begin is unknown (journal.ErrBroken), and following goes on and tells. A log that is being
// filled, or was left, is not led: ErrVoid.
func (f *Follower) Lead(ctx context.Context, notify journal.Notify) (*Log, error) {
	if f.state != Live {
		return nil, fmt.Errorf("lead log %s: %w", f.opt.Name, ErrVoid)
	}
	return f.begin(ctx, notify, Live)
}

// begin appends the first batch of the next epoch.
func (f *Follower) begin(ctx context.Context, notify journal.Notify, state State) (*Log, error) {
	if f.over {
		return nil, fmt.Errorf("lead log %s: %w", f.opt.Name, journal.ErrClosed)
	}
	c := control{kind: controlOpen, state: state, head: f.head, nonce: rand.Uint64(), name: f.opt.Instance}
	switch {
	case !f.chain.link.Known:
		c.head = f.chain.at + journal.Position(len(c.encode()))
	case state == Filling: // what was before is not of this log any more; this control stays, because it says so
		c.head = f.chain.at
	}
	data := c.encode()
	h := layout.Header{
		Flags:  layout.FlagControl,
		Epoch:  f.chain.link.Epoch + 1,
		Number: max(1, f.chain.link.Number),
		Base:   f.chain.at,
		Length: uint32(len(data)),
		Prev:   f.chain.link.Hash,
	}
	hash := h.Seal(data)
	f.quiet, f.enquiry = 0, false
	if last, err := f.s.append(ctx, f.chain.seq, data); err != nil {
		f.known = max(f.known, last)
		return nil, fmt.Errorf("lead log %s at position %d in epoch %d: %w", f.opt.Name, h.Base, h.Epoch, err)
	}
	f.index.add(f.chain.seq, h.Base, uint64(h.Length))
	f.chain.link.Advance(&h, hash)
	f.chain.seq++
	f.chain.at = h.End()
	f.chain.long = nil
	f.head, f.state, f.copy = c.head, c.state, c.nonce
	f.over = true
	f.fetch.Close()
	return newLog(f, notify)
}

// append stores one message as the given sequence, and reads back what is there when no answer says whether it was. Errors: journal.ErrDeposed if another has that sequence (with
// the last known one), journal.ErrBroken if it is unknown when ctx ends.
func (s *stream) append(ctx context.Context, seq uint64, data []byte) (last uint64, err error) {
	answers := make(chan Verdict, 16)
	p, err := s.Publisher(func(_ uint64, v Verdict) {
		select {
		case answers <- v:
		default:
		}
	})
	if err != nil {
		return 0, err
	}
	defer p.Close()
	var reason error
	for {
		var v Verdict
		if reason = p.Publish(seq, seq-1, data); reason == nil {
			select {
			case v = <-answers:
				if v.Err != nil {
					reason = v.Err
				}
			case <-time.After(askTimeout):
				reason = errors.New("no answer")
			case <-ctx.Done():
			}
		}
		if v.Seq == seq {
			return seq, nil
		}
		stored, gerr := s.get(ctx, seq)
		switch {
		case gerr == nil && bytes.Equal(stored, data):
			return seq, nil
		case gerr == nil:
			return seq, fmt.Errorf("%w: message %d of stream %s is another's", journal.ErrDeposed, seq, s.name)
		case errors.Is(gerr, ErrNoMessage) && s.passed(ctx, seq):
			return seq, fmt.Errorf("%w: message %d of stream %s was another's, and is trimmed", journal.ErrDeposed, seq, s.name)
		case s.Closed():
			return 0, fmt.Errorf("%w: message %d of stream %s: whether it is stored is unknown: %w (%v)", journal.ErrBroken, seq, s.name, gerr, reason)
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("%w: message %d of stream %s: whether it is stored is unknown: %w (%w, %w)", journal.ErrBroken, seq, s.name, ctx.Err(), reason, gerr)
		case <-time.After(poll):
		}
	}
}
