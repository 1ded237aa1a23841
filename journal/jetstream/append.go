package jetstream

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/godwitmq/godwit/journal"
	"github.com/godwitmq/godwit/journal/layout"
)

// Append implements journal.Log. If nothing is on its way, the caller's goroutine sends the batch.
func (l *Log) Append(b *journal.Batch, urgent bool) error {
	size := int64(b.Size())
	if b.Len() == 0 || size > maxBatch {
		return fmt.Errorf("append a batch of %d records, %d bytes: must be 1 record and at most %d bytes", b.Len(), size, maxBatch)
	}
	disk := l.diskFree()
	l.mu.Lock()
	for l.usable() == nil && l.pending > l.opt.MaxPending {
		l.room.Wait()
	}
	err := l.usable()
	if err == nil {
		sp := l.space(disk)
		if !urgent && size > sp.Free || urgent && size > sp.Free+sp.Reserve {
			err = fmt.Errorf("append %d bytes to stream %s: %w", size, l.s.name, journal.ErrFull)
		}
	}
	if err != nil {
		l.mu.Unlock()
		return err
	}
	b.Place(l.next)
	l.push(item{buf: b.Bytes(), count: uint32(b.Len())})
	l.busy = true
	l.sinceOwn++
	if l.sinceBytes += size; l.sinceOwn >= controlEvery || l.sinceBytes >= controlEveryBytes {
		l.pushControl(control{kind: controlHeartbeat, head: l.Head()})
	}
	l.mu.Unlock()
	l.pump()
	return nil
}

// pushControl and push are called with the lock held.
func (l *Log) pushControl(c control) {
	if c.name == "" {
		c.name = l.opt.Instance
	}
	if l.state == Filling {
		c.state, c.nonce = Filling, l.copy
	}
	it := item{buf: c.encode(), own: true}
	if c.kind == controlTrim {
		it.head = c.head
	}
	l.push(it)
	l.busy = true
	l.sinceOwn, l.sinceBytes = 0, 0
}

func (l *Log) push(it item) {
	l.next += journal.Position(len(it.buf))
	l.pending += int64(len(it.buf))
	l.waiting = append(l.waiting, it)
}

// pump sends what waits, as far as the window is open. One goroutine does so at a time: whoever appended, or has brought an answer.
func (l *Log) pump() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for !l.pumping && !l.holding && !l.recovering && l.err == nil && len(l.inflight) < window && len(l.waiting)+len(l.parts) > 0 {
		l.pumping = true
		if len(l.parts) == 0 {
			n := l.gather()
			items := l.waiting[:n:n]
			l.waiting = l.waiting[n:]
			durable := l.Tail()
			l.mu.Unlock()
			made := l.compose(items, durable)
			l.mu.Lock()
			l.parts = made
		}
		m := l.parts[0]
		l.parts = l.parts[1:]
		m.sent, m.sending = time.Now(), true
		l.inflight = append(l.inflight, &m)
		l.overhead++
		l.mu.Unlock()
		err := l.pub.Publish(m.seq, m.seq-1, m.data)
		l.mu.Lock()
		m.sending = false
		if err != nil {
			l.suspect(err)
		}
		if l.pumping = false; m.stored { // as can be if it was sent twice
			l.mu.Unlock()
			l.settle()
			l.mu.Lock()
		}
	}
}

// gather is how many of the batches that wait go into one message.
func (l *Log) gather() int {
	total := 0
	for i := range l.waiting {
		total += len(l.waiting[i].buf)
		if i > 0 && total > groupSize {
			return i
		}
	}
	return len(l.waiting)
}

// compose seals batches and makes a message of them, or several of one that is long.
func (l *Log) compose(items []item, durable journal.Position) []message {
	m := message{base: l.sentTo, seq: l.seq}
	at := m.base
	for i := range items {
		it := &items[i]
		h := layout.Header{
			Epoch:    l.epoch,
			Number:   l.link.Number,
			Base:     at,
			Length:   uint32(len(it.buf)),
			Unsynced: uint32(at - durable),
			Prev:     l.link.Hash,
			Count:    it.count,
		}
		if it.own {
			h.Flags = layout.FlagControl
		}
		l.link.Advance(&h, h.Seal(it.buf))
		at = h.End()
		m.report = m.report || !it.own
		m.head = max(m.head, it.head)
		m.size += int64(len(it.buf))
	}
	m.covers = uint64(m.size)
	l.sentTo = at
	if len(items) == 1 {
		if buf := items[0].buf; len(buf) > wholeSize {
			return l.split(m, buf)
		}
		m.data = items[0].buf
	} else {
		m.data = make([]byte, 0, m.size)
		for i := range items {
			m.data = append(m.data, items[i].buf...)
		}
	}
	l.seq++
	return []message{m}
}

func (l *Log) split(m message, buf []byte) (made []message) {
	p := part{parts: partsOf(uint32(len(buf))), length: uint32(len(buf)), base: m.base}
	for ; p.index < p.parts; p.index++ {
		at := int(p.index) * partSize
		p.data = buf[at:min(at+partSize, len(buf))]
		one := message{seq: l.seq, data: p.encode(), base: m.base}
		if p.index+1 == p.parts {
			one = m
			one.seq, one.data = l.seq, p.encode()
		}
		made = append(made, one)
		l.seq++
	}
	return made
}

// suspect notes that something was not taken, and lets keep find out what. The lock is held.
func (l *Log) suspect(why error) {
	l.refusal = why
	l.recovering = true
	select {
	case l.trouble <- struct{}{}:
	default:
	}
}

// answered takes the answer to one message.
func (l *Log) answered(seq uint64, v Verdict) {
	l.mu.Lock()
	if m := l.find(seq); m != nil && !m.stored {
		switch {
		case v.Seq == seq:
			m.stored = true
		case v.Err != nil:
			l.suspect(v.Err)
		default:
			l.suspect(errors.New("nobody has taken it, or the answer cannot be read"))
		}
	}
	l.mu.Unlock()
	l.settle()
	select {
	case l.answer <- struct{}{}:
	default:
	}
	l.pump()
}

func (l *Log) find(seq uint64) *message {
	if len(l.inflight) == 0 || seq < l.inflight[0].seq || seq-l.inflight[0].seq >= uint64(len(l.inflight)) {
		return nil
	}
	return l.inflight[seq-l.inflight[0].seq]
}

// settle reports what is stored, in order. From then on the memory of a batch is its owner's again.
func (l *Log) settle() {
	l.notifying.Lock()
	defer l.notifying.Unlock()
	l.mu.Lock()
	var end journal.Position
	report := false
	n := 0
	for n < len(l.inflight) && l.inflight[n].stored && !l.inflight[n].sending && l.err == nil {
		m := l.inflight[n]
		l.index.add(m.seq, m.base, m.covers)
		if m.covers > 0 {
			end = m.base + journal.Position(m.covers)
			l.pending -= m.size
		}
		if m.head != 0 {
			l.purgeTo = m.head
		}
		report = report || m.report
		n++
	}
	if n > 0 {
		l.inflight = append(l.inflight[:0], l.inflight[n:]...)
		clear(l.inflight[len(l.inflight):cap(l.inflight)])
		l.room.Broadcast()
	}
	if end != 0 {
		l.durable.Store(uint64(end))
	}
	l.mu.Unlock()
	if report && end != 0 && l.notify.Durable != nil {
		l.notify.Durable(end)
	}
}

var errLost = errors.New("the node that led the stream is gone")

// keep is the goroutine that lets the log be heard, and finds out what has become of messages without an answer.
func (l *Log) keep() {
	defer l.done.Done()
	every := l.opt.Heartbeat
	beats := every > 0
	if !beats {
		every = answerWithin
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	loss := l.s.node.losses()
	for {
		lost := false
		select {
		case <-l.ctx.Done():
			return
		case <-l.trouble:
		case <-ticker.C:
		case <-loss: // what was on its way may not have arrived, or its answer
			lost, loss = true, l.s.node.losses()
		}
		l.mu.Lock()
		if lost && len(l.inflight) > 0 {
			l.refusal, l.recovering = errLost, true
		}
		if len(l.inflight) > 0 && time.Since(l.inflight[0].sent) > answerWithin {
			l.recovering = true
		}
		recovering := l.recovering
		if beats && !l.busy && l.usable() == nil && l.pending == 0 {
			l.pushControl(control{kind: controlHeartbeat, head: l.Head()})
		}
		l.busy = false
		l.mu.Unlock()
		if recovering {
			l.recover()
		}
		l.pump()
	}
}

// recover finds out which of the messages on their way are stored, sends the others again, and goes on until there are none or it is clear that there is
// another writer. Sending again is harmless: a message is stored under its own sequence or not at all.
func (l *Log) recover() {
	begun := time.Now()
	var why error
	patience := retryAfter
	for {
		l.settle()
		l.mu.Lock()
		if len(l.inflight) == 0 || l.err != nil {
			l.recovering = false
			l.mu.Unlock()
			return
		}
		oldest := l.inflight[0]
		l.mu.Unlock()
		stored, err := l.s.LocalGet(l.ctx, oldest.seq)
		passed := false
		if err != nil && l.refused() {
			// Something stands there that the replica that was asked does not have yet. Without a refusal the leader is not asked: there may be none.
			stored, err = l.s.LeaderGet(l.ctx, oldest.seq)
			passed = errors.Is(err, ErrNoMessage) && l.s.passed(l.ctx, oldest.seq)
		}
		if l.ctx.Err() != nil {
			return
		}
		l.mu.Lock()
		answered := oldest.stored
		same := !answered && err == nil && bytes.Equal(stored, oldest.data)
		oldest.stored = answered || same
		if l.refusal != nil {
			why = l.refusal
		}
		l.mu.Unlock()
		switch {
		case answered || same:
			begun, patience = time.Now(), retryAfter
			continue
		case err == nil:
			l.fail(l.judge(oldest, stored))
			continue
		case passed:
			l.fail(fmt.Errorf("stream %s: %w: the log has been trimmed beyond position %d, where epoch %d was to go on", l.s.name, journal.ErrDeposed, oldest.base, l.epoch))
			continue
		case time.Since(begun) > l.opt.GiveUp || l.s.Closed():
			l.fail(fmt.Errorf("stream %s: %w: whether message %d is stored is unknown since %v (%w; last refusal: %v)",
				l.s.name, journal.ErrBroken, oldest.seq, time.Since(begun).Round(time.Millisecond), err, why))
			continue
		}
		l.again()
		l.await(oldest, patience)
		patience = min(2*patience, retryMost)
	}
}

// refused says whether the stream has refused a message since that was looked at last.
func (l *Log) refused() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	var refused *server.ApiError
	return errors.As(l.refusal, &refused)
}

// again sends all that has no answer once more. While it does, nothing is settled, so that the memory of the batches stays as it is.
func (l *Log) again() {
	l.notifying.Lock()
	defer l.notifying.Unlock()
	l.mu.Lock()
	l.refusal = nil
	var list []*message
	for _, m := range l.inflight {
		if !m.stored {
			list = append(list, m)
		}
	}
	l.mu.Unlock()
	for _, m := range list {
		if l.pub.Publish(m.seq, m.seq-1, m.data) != nil {
			return
		}
	}
}

// await waits until a message is stored, or its answer takes too long, or is that it was not taken, for a moment at least.
func (l *Log) await(m *message, patience time.Duration) {
	limit := time.NewTimer(patience)
	defer limit.Stop()
	moment := time.After(poll)
	for {
		select {
		case <-l.answer:
		case <-moment:
			moment = nil
		case <-limit.C:
			return
		case <-l.ctx.Done():
			return
		}
		l.mu.Lock()
		stored, refused := m.stored, l.refusal != nil
		l.mu.Unlock()
		if stored || refused && moment == nil {
			return
		}
	}
}

// judge says what it means that another message stands where one of ours belongs.
func (l *Log) judge(m *message, stored []byte) error {
	var h layout.Header
	if h.Parse(stored) == "" && h.Epoch > l.epoch {
		who := "?"
		if int(h.Length) <= len(stored) {
			if c, ok := decodeControl(stored[:h.Length]); ok && h.Flags == layout.FlagControl {
				who = c.name
			}
		}
		return fmt.Errorf("stream %s: %w: epoch %d of %s has begun at position %d, ours was %d", l.s.name, journal.ErrDeposed, h.Epoch, who, h.Base, l.epoch)
	}
	damage := &journal.CorruptError{File: l.s.name, Sequence: m.seq, At: m.base, Reason: "it is neither what was appended nor the beginning of a later epoch"}
	return fmt.Errorf("stream %s: %w: %w", l.s.name, journal.ErrBroken, damage)
}
