package pair

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/godwitmq/godwit/journal/jetstream"
)

// nodes is how many there are. The first two have an instance, the third is a witness.
const nodes = 3

// servers are the log's servers as a client can tell them from the real ones: one sequence of messages, on which most of the nodes agree, and a leader that most of them
// can hear. They promise no more than that: what a node has comes late, a leader that was overtaken goes on answering from what it knows until it hears of the other, and
// what was handed to one that is cut off may still be taken, or not. world.mu guards them.
type servers struct {
	w       *world
	rnd     *rand.Rand
	node    [nodes]node
	cut     [nodes][nodes]bool // messages from the first to the second do not arrive
	made    *server.StreamConfig
	leader  int // -1: none
	log     [][]byte
	first   uint64      // sequence of the first message that was not purged; what was is kept, for nodes that have not heard of that
	pending []*proposal // with the leader, not agreed on yet
	lost    time.Time   // since when the leader has not been heard by most nodes; zero: it is
	patient time.Duration
	elected int
}

// node is one process: a server and, but for the witness, an instance.
type node struct {
	up       bool
	paused   chan struct{} // closed when it goes on; nil: it runs
	stored   uint64        // up to which message it has the log
	first    uint64        // from which on
	visible  uint64        // up to which it shows it
	believes bool          // that it is the leader
	slow     time.Duration // each of its messages may take so much longer
	lag      time.Duration // what it stores may be shown so much later
}

// proposal is an append that the leader has taken, and its answer not given yet.
type proposal struct {
	last    uint64
	data    []byte
	from    int
	holders [nodes]bool
	answer  func(jetstream.Verdict)
}

const (
	tickEvery = 25 * time.Millisecond
	// electMin and electMost are for how long a leader must be missed until another is elected.
	electMin  = 600 * time.Millisecond
	electMost = 1200 * time.Millisecond
	// giveUp is after what time a leader without the others knows that it is none.
	giveUp     = 3 * time.Second
	askTimeout = 500 * time.Millisecond
)

var names = [nodes]string{"a", "b", "c"}

func (s *servers) runs(i int) bool { return s.node[i].up && s.node[i].paused == nil }

// mutual says whether two nodes hear each other.
func (s *servers) mutual(a, b int) bool {
	return s.runs(a) && s.runs(b) && !s.cut[a][b] && !s.cut[b][a]
}

func (s *servers) majority(i int) bool {
	n := 0
	for j := range nodes {
		if s.mutual(i, j) {
			n++
		}
	}
	return n > nodes/2
}

// tick lets the nodes notice what has changed.
func (s *servers) tick() {
	now := time.Now()
	if s.leader >= 0 && s.node[s.leader].believes && s.majority(s.leader) {
		s.lost = time.Time{}
		s.agree()
		for j := range nodes {
			if j != s.leader && s.mutual(s.leader, j) {
				s.node[j].believes = false
				s.store(j)
			}
		}
		return
	}
	if s.lost.IsZero() {
		s.lost, s.patient = now, electMin+time.Duration(s.rnd.Int64N(int64(electMost-electMin)))
	}
	if s.leader >= 0 && now.Sub(s.lost) > giveUp {
		s.node[s.leader].believes = false
	}
	if now.Sub(s.lost) < s.patient {
		return
	}
	var able []int
	for i := range nodes {
		if i == s.leader && s.node[i].believes || !s.majority(i) {
			continue
		}
		best := true
		for j := range nodes {
			best = best && (!s.mutual(i, j) || s.node[j].stored <= s.node[i].stored)
		}
		if best {
			able = append(able, i)
		}
	}
	if len(able) > 0 {
		s.elect(able[s.rnd.IntN(len(able))])
	}
}

// elect makes a node the leader. What was with the one before is agreed on as far as this one was told of it.
func (s *servers) elect(i int) {
	if s.node[i].stored < uint64(len(s.log)) {
		panic(fmt.Sprintf("the simulated servers are wrong: node %s is elected with %d of %d messages", names[i], s.node[i].stored, len(s.log)))
	}
	for n, p := range s.pending {
		if !p.holders[i] {
			s.pending = s.pending[:n]
			break
		}
	}
	if s.elected++; s.elected < 50 {
		s.w.note("node %s leads the stream instead of %d, with %d appends of the one before", names[i], s.leader, len(s.pending))
	}
	s.leader, s.lost = i, time.Time{}
	s.node[i].believes = true
	s.agree()
}

// replace makes a node that is down an empty one, if another leads and both others have all of the log. It copies the log from them when it hears the leader.
func (s *servers) replace(i int) {
	if i == s.leader {
		return
	}
	for j := range nodes {
		if j != i && s.end(j) < uint64(len(s.log)) {
			return
		}
	}
	for _, p := range s.pending {
		p.holders[i] = false
	}
	s.w.note("node %s is a new one", names[i])
	s.node[i].stored, s.node[i].visible, s.node[i].first = 0, 0, 0
}

// store brings a node what it does not have yet.
func (s *servers) store(j int) {
	n := &s.node[j]
	n.stored, n.first = uint64(len(s.log)), s.first
	if n.visible == n.stored {
		return
	}
	upTo := n.stored
	late := time.Duration(s.rnd.Int64N(int64(2*time.Millisecond + n.lag)))
	time.AfterFunc(late, func() {
		s.w.mu.Lock()
		defer s.w.mu.Unlock()
		n.visible = max(n.visible, min(upTo, uint64(len(s.log))))
	})
}

// agree takes what the leader has been given into the log, if most nodes hear of it.
func (s *servers) agree() {
	if s.leader < 0 || len(s.pending) == 0 || !s.node[s.leader].believes || !s.majority(s.leader) {
		return
	}
	for _, p := range s.pending {
		s.log = append(s.log, p.data)
		s.w.audit.take(uint64(len(s.log)), p.data)
		if p.answer != nil && s.runs(p.from) && !s.cut[s.leader][p.from] {
			p.answer(jetstream.Verdict{Seq: uint64(len(s.log))})
		}
	}
	s.pending = nil
	for j := range nodes {
		if s.mutual(s.leader, j) {
			s.store(j)
		}
	}
}

// believer is the node that answers another for the stream: the leader, or one that takes itself for that. -1: none can be reached.
func (s *servers) believer(from int) int {
	found := -1
	for i := range nodes {
		if s.node[i].believes && s.runs(i) && !s.cut[from][i] && (found < 0 || i == from || s.rnd.IntN(2) == 0) {
			found = i
		}
	}
	return found
}

// end is the last sequence as a node knows it.
func (s *servers) end(i int) uint64 {
	if i == s.leader {
		return uint64(len(s.log))
	}
	return min(s.node[i].stored, uint64(len(s.log)))
}

// begin is the sequence of the first message as a node knows it.
func (s *servers) begin(i int) uint64 {
	if i == s.leader {
		return s.first
	}
	return max(1, s.node[i].first)
}

// propose takes an append that has arrived.
func (s *servers) propose(p *proposal) {
	at := s.believer(p.from)
	if at < 0 {
		if s.rnd.IntN(2) == 0 {
			p.answer(jetstream.Verdict{Lost: true})
		}
		return
	}
	end := s.end(at)
	if at == s.leader {
		end += uint64(len(s.pending))
	}
	if p.last != end {
		if !s.cut[at][p.from] {
			p.answer(jetstream.Verdict{Err: &server.ApiError{Code: 400, ErrCode: uint16(server.JSStreamWrongLastSequenceErrF), Description: fmt.Sprintf("wrong last sequence: %d", end)}})
		}
		return
	}
	if at != s.leader {
		return // it will never be agreed on
	}
	for j := range nodes {
		p.holders[j] = j == at || s.runs(j) && !s.cut[at][j]
	}
	s.pending = append(s.pending, p)
	s.agree()
}

// forget is what must not happen: the servers lose what they had agreed on last.
func (s *servers) forget(n int) {
	if len(s.log) == 0 || s.first > uint64(len(s.log)) {
		return
	}
	n = min(n, len(s.log)-int(s.first))
	s.w.note("the servers forget %d messages", n)
	s.w.forgetful, s.w.forgot = true, time.Now()
	s.log = s.log[:len(s.log)-n]
	end := uint64(len(s.log))
	for i := range s.node {
		s.node[i].stored, s.node[i].visible = min(s.node[i].stored, end), min(s.node[i].visible, end)
	}
	s.w.audit.back(end)
}

// weather is how badly messages fare.
type weather struct {
	requests, answers int // so many of a thousand are lost
	late              int // so many appends of a thousand arrive seconds later
}

// fate is what becomes of one request.
type fate struct {
	there, back          time.Duration
	lost, unheard, later bool
}

// handle is one process's way to the servers: from its start until it is killed.
type handle struct {
	w     *world
	at    int
	gone  chan struct{} // closed when the process is killed, or has closed it
	calls map[string]uint64
	run   uint64 // which of the node's processes it is
}

var (
	errGone   = errors.New("connection closed")
	errSilent = errors.New("no answer")
)

// fate is drawn from the seed, the process and the number of the call alone, so that it does not depend on the order in which goroutines run.
func (h *handle) fate(kind string) fate {
	h.calls[kind]++
	f := fnv.New64a()
	fmt.Fprintf(f, "%s %d %d %d", kind, h.at, h.run, h.calls[kind])
	rnd := rand.New(rand.NewPCG(h.w.cfg.Seed, f.Sum64()))
	n := &h.w.servers.node[h.at]
	long := func() time.Duration {
		return 20*time.Microsecond + time.Duration(rnd.Int64N(int64(400*time.Microsecond+n.slow)))
	}
	got := fate{there: long(), back: long()}
	sky := h.w.weather
	got.lost, got.unheard, got.later = rnd.IntN(1000) < sky.requests, rnd.IntN(1000) < sky.answers, rnd.IntN(1000) < sky.late
	return got
}

// awake waits until the process runs. It returns false if it was killed.
func (h *handle) awake() bool {
	for {
		h.w.mu.Lock()
		paused := h.w.servers.node[h.at].paused
		h.w.mu.Unlock()
		if h.Closed() {
			return false
		}
		if paused == nil {
			return true
		}
		select {
		case <-paused:
		case <-h.gone:
		}
	}
}

// Closed implements jetstream.Remote.
func (h *handle) Closed() bool {
	select {
	case <-h.gone:
		return true
	default:
		return false
	}
}

// Close implements jetstream.Servers.
func (h *handle) Close() {
	h.w.mu.Lock()
	defer h.w.mu.Unlock()
	h.close()
}

func (h *handle) close() {
	if !h.Closed() {
		close(h.gone)
	}
}

// Remote implements jetstream.Servers.
func (h *handle) Remote(string, string) jetstream.Remote { return h }

// call lets a request travel to a node, which is -1 if there is none to answer, and its answer back.
func (h *handle) call(ctx context.Context, limit time.Duration, kind string, local bool, do func(at int) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if !h.awake() {
		return errGone
	}
	s := &h.w.servers
	h.w.mu.Lock()
	f := h.fate(kind)
	h.w.mu.Unlock()
	if local {
		f.lost, f.unheard = false, false
	}
	answered := false
	var err error
	if h.wait(ctx, f.there) && h.awake() {
		h.w.mu.Lock()
		at := h.at
		if !local {
			at = s.believer(h.at)
		}
		if at >= 0 && !f.lost {
			err = do(at)
			answered = err != errSilent && !f.unheard && (local || !s.cut[at][h.at])
		}
		h.w.mu.Unlock()
	}
	if !answered || !h.wait(ctx, f.back) {
		h.wait(ctx, time.Hour)
		err = errSilent
	}
	if !h.awake() {
		return errGone
	}
	if err == errSilent && ctx.Err() != nil {
		return fmt.Errorf("%s: %w", kind, ctx.Err())
	}
	return err
}

// wait returns false if the context, or the process, ends before.
func (h *handle) wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-h.gone:
	}
	return false
}

func missing(code server.ErrorIdentifier) error {
	return fmt.Errorf("refused: %w", &server.ApiError{Code: 404, ErrCode: uint16(code), Description: "not found"})
}

// Info implements jetstream.Remote.
func (h *handle) Info(ctx context.Context) (info *server.StreamInfo, err error) {
	s := &h.w.servers
	err = h.call(ctx, askTimeout, "info", false, func(at int) error {
		if s.made == nil {
			return missing(server.JSStreamNotFoundErr)
		}
		end := s.end(at)
		info = &server.StreamInfo{Config: *s.made, State: server.StreamState{FirstSeq: s.begin(at), LastSeq: end}, Cluster: &server.ClusterInfo{Leader: names[at]}}
		if end > 0 {
			info.State.Msgs = end + 1 - info.State.FirstSeq
		}
		for j := range nodes {
			if j != at {
				info.Cluster.Replicas = append(info.Cluster.Replicas, &server.PeerInfo{Name: names[j], Current: s.end(j) >= end, Offline: !s.mutual(at, j)})
			}
		}
		return nil
	})
	return info, err
}

// Create implements jetstream.Remote.
func (h *handle) Create(ctx context.Context, c *server.StreamConfig) error {
	s := &h.w.servers
	return h.call(ctx, askTimeout, "create", false, func(at int) error {
		if at != s.leader || !s.majority(at) {
			return errSilent
		}
		if s.made == nil {
			s.made = c
		}
		return nil
	})
}

// Purge implements jetstream.Remote.
func (h *handle) Purge(ctx context.Context, before uint64) error {
	s := &h.w.servers
	return h.call(ctx, askTimeout, "purge", false, func(at int) error {
		if at != s.leader || !s.majority(at) {
			return errSilent
		}
		s.first = max(s.first, min(before, uint64(len(s.log))+1))
		for j := range nodes {
			if s.mutual(at, j) {
				s.store(j)
			}
		}
		return nil
	})
}

// StepDown implements jetstream.Remote.
func (h *handle) StepDown(ctx context.Context, preferred string) error {
	s := &h.w.servers
	return h.call(ctx, askTimeout, "step down", false, func(at int) error {
		for j := range nodes {
			if names[j] == preferred {
				s.moveLeader(at, j)
			}
		}
		return nil
	})
}

// moveLeader makes another node the leader, if it can be.
func (s *servers) moveLeader(from, to int) {
	if from != s.leader || !s.majority(from) || !s.majority(to) || !s.mutual(from, to) || s.end(to) < s.end(from) {
		return
	}
	s.node[from].believes = false
	s.elect(to)
}

// LeaderGet implements jetstream.Remote.
func (h *handle) LeaderGet(ctx context.Context, seq uint64) (data []byte, err error) {
	s := &h.w.servers
	err = h.call(ctx, askTimeout, "leader get", false, func(at int) error {
		data, err = s.read(seq, s.begin(at), s.end(at))
		return err
	})
	return data, err
}

// LocalGet implements jetstream.Remote.
func (h *handle) LocalGet(ctx context.Context, seq uint64) (data []byte, err error) {
	s := &h.w.servers
	err = h.call(ctx, askTimeout, "local get", true, func(at int) error {
		data, err = s.read(seq, s.begin(at), s.node[at].visible)
		return err
	})
	return data, err
}

func (s *servers) read(seq, first, end uint64) ([]byte, error) {
	if seq < first || seq > end {
		return nil, jetstream.ErrNoMessage
	}
	return bytes.Clone(s.log[seq-1]), nil
}

// LedHere implements jetstream.Remote.
func (h *handle) LedHere() bool {
	h.w.mu.Lock()
	defer h.w.mu.Unlock()
	return h.w.servers.node[h.at].believes
}

// Fetcher implements jetstream.Remote.
func (h *handle) Fetcher() (jetstream.Fetcher, error) {
	if h.Closed() {
		return nil, errGone
	}
	return fetcher{h}, nil
}

type fetcher struct{ h *handle }

// fetchCount is how many messages are given at once.
const fetchCount = 64

// Fetch implements jetstream.Fetcher.
func (f fetcher) Fetch(ctx context.Context, from uint64, fn func(seq uint64, data []byte) error) (n int, more uint64, err error) {
	s := &f.h.w.servers
	var got [][]byte
	err = f.h.call(ctx, 2*askTimeout, "fetch", true, func(at int) error {
		from = max(from, s.begin(at))
		end := s.node[at].visible
		for seq := from; seq <= end && len(got) < fetchCount; seq++ {
			got = append(got, bytes.Clone(s.log[seq-1]))
		}
		more = end + 1 - min(end+1, from+uint64(len(got)))
		return nil
	})
	if err != nil {
		return 0, 0, err
	}
	for i, data := range got {
		n++
		if err := fn(from+uint64(i), data); err != nil {
			return n, 0, err
		}
	}
	return n, more, nil
}

// Close implements jetstream.Fetcher.
func (fetcher) Close() {}

// publisher has a goroutine that sends and one that hears the answers, because nobody may be held up by either.
type publisher struct {
	h       *handle
	queue   chan *proposal
	answers chan answer
	closed  chan struct{}
}

type answer struct {
	token uint64
	jetstream.Verdict
}

// Publisher implements jetstream.Remote.
func (h *handle) Publisher(answered func(token uint64, v jetstream.Verdict)) (jetstream.Publisher, error) {
	if h.Closed() {
		return nil, errGone
	}
	p := &publisher{h: h, queue: make(chan *proposal, 1024), answers: make(chan answer, 1024), closed: make(chan struct{})}
	go p.send()
	go func() {
		for {
			select {
			case a := <-p.answers:
				if h.awake() {
					answered(a.token, a.Verdict)
				}
			case <-p.closed:
				return
			}
		}
	}()
	return p, nil
}

// Publish implements jetstream.Publisher.
func (p *publisher) Publish(token, last uint64, data []byte) error {
	if p.h.Closed() {
		return errGone
	}
	w := p.h.w
	w.mu.Lock()
	f := p.h.fate("publish")
	w.mu.Unlock()
	one := &proposal{last: last, data: bytes.Clone(data), from: p.h.at}
	one.answer = func(v jetstream.Verdict) {
		if f.unheard {
			return
		}
		time.AfterFunc(f.back, func() {
			select {
			case p.answers <- answer{token, v}:
			default:
			}
		})
	}
	arrive := func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.servers.propose(one)
	}
	switch {
	case f.lost:
	case f.later:
		time.AfterFunc(time.Duration(last%7)*500*time.Millisecond, arrive)
	default:
		one.holders = [nodes]bool{}
		select {
		case p.queue <- one:
		default:
		}
	}
	return nil
}

// send lets appends arrive one after the other.
func (p *publisher) send() {
	for {
		select {
		case one := <-p.queue:
			if !p.h.awake() {
				return
			}
			w := p.h.w
			w.mu.Lock()
			f := p.h.fate("way")
			w.mu.Unlock()
			if !p.h.wait(context.Background(), f.there) || !p.h.awake() {
				return
			}
			w.mu.Lock()
			w.servers.propose(one)
			w.mu.Unlock()
		case <-p.closed:
			return
		case <-p.h.gone:
			return
		}
	}
}

// Close implements jetstream.Publisher.
func (p *publisher) Close() { close(p.closed) }
