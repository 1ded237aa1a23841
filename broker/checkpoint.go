package broker

import (
	"cmp"
	"container/list"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// A checkpoint is a summary of the log up to a position: what Replay would have made of all records before it, without the bodies. It lets a start read
// the rest of the log only. It holds the same records that cleaning would write if the head passed all of the log (carry, move), each with the position
// of the record that it stands for; of messages it holds place and size. What it does not say, it must not need: a checkpoint is never the only copy of anything.

// Checkpoint is the summary that Broker.Checkpoint makes. It does not change with the core and may be written by another goroutine.
type Checkpoint struct {
	items    [][]byte
	packs    []packsOf
	messages uint64
}

// packsOf are the packs of a backlog. They are shared with the core, which never changes one.
type packsOf struct {
	backlog  uint64
	priority uint8
	packs    []*pack
}

// checkpointVersion is the form of the items. An other one is not read; the log is then.
const checkpointVersion = 1

// The first byte of an item. What follows is a list of what the name says, but for the first and the last item.
const (
	itemBegin      = 1
	itemRecords    = 2 // position, length, record
	itemMessages   = 3 // position, size, group, hash of a group of several names plus 1, length, recordMoved without body
	itemTxMessages = 4 // position, size, group, producer, its last sequence, length, recordTxMessage without body
	itemPack       = 5
	itemEnd        = 6
)

// checkpointItem is about how long an item is, in bytes.
const checkpointItem = 256 << 10

// errCheckpoint is the cause of every failure to understand a checkpoint.
var errCheckpoint = errors.New("checkpoint is malformed")

// Checkpoint summarises the log up to its tail: of a core at work, or of a standby's, which is given the log as it grows (Replay). All records must have their positions
// (Place), so it is called between Steps when nothing waits to be appended; else it returns nil. stop, if not nil, is asked now and then whether to give up: nil is returned then, too.
// The core may not be used meanwhile, but by stop's answer it is free at once. It takes time in proportion to the messages that are not in packs: about 0.16 microseconds each (BenchmarkCheckpoint).
func (b *Broker) Checkpoint(stop func() bool) *Checkpoint {
	if b.log.emitted != b.log.placed {
		return nil
	}
	var scratch Effects
	b.out = &scratch
	defer func() { b.out = nil }()
	w := checkpointer{broker: b, made: &Checkpoint{}, stop: stop}
	w.begin()
	w.definitions()
	if b.replay == nil {
		w.transactions()
	} else {
		w.replayed()
	}
	w.stored()
	w.flush()
	if w.stopped {
		return nil
	}
	return w.made
}

// checkpointer fills a checkpoint. b.out's arena is where records are written before they are taken over.
type checkpointer struct {
	broker *Broker
	made   *Checkpoint
	item   []byte
	stop   func() bool
	// stopped says that the rest need not be made.
	stopped bool
}

// askEvery is after how many things of a kind it is asked whether to stop: some ten microseconds.
const askEvery = 128

// ask asks whether to stop, given how many things were done.
func (w *checkpointer) ask(done int) (stopped bool) {
	if w.stop != nil && done%askEvery == 0 {
		w.stopped = w.stopped || w.stop()
	}
	return w.stopped
}

func (w *checkpointer) flush() {
	if len(w.item) > 0 {
		w.made.items = append(w.made.items, w.item)
		w.item = nil
	}
}

// in makes an item of a kind the one that is being filled.
func (w *checkpointer) in(kind byte) {
	if len(w.item) > 0 && w.item[0] == kind && len(w.item) < checkpointItem {
		return
	}
	w.flush()
	w.item = append(make([]byte, 0, 1<<10), kind)
}

func (w *checkpointer) number(v uint64) { w.item = binary.AppendUvarint(w.item, v) }

func (w *checkpointer) text(s string) {
	w.number(uint64(len(s)))
	w.item = append(w.item, s...)
}

// take moves what was written from start on out of the arena.
func (w *checkpointer) take(start int) {
	out := w.broker.out
	w.number(uint64(len(out.arena) - start))
	w.item = append(w.item, out.arena[start:]...)
	out.arena = out.arena[:0]
}

// record adds a record that stands, or is said again, at a position.
func (w *checkpointer) record(home uint64, start int) {
	w.in(itemRecords)
	w.number(home)
	w.take(start)
}

func (w *checkpointer) begin() {
	b := w.broker
	w.in(itemBegin)
	for _, v := range []uint64{checkpointVersion, b.log.head, b.log.tail, b.sequence, b.nextID, b.nextTx, b.retries.next} {
		w.number(v)
	}
	w.flush()
}

// definitions are what carry writes again, in its order.
func (w *checkpointer) definitions() {
	b := w.broker
	for i, id := range sortedKeys(b.backlogs) {
		if w.ask(i) {
			return
		}
		q := b.backlogs[id]
		switch {
		case q == b.schedule.backlog:
			w.record(q.home, b.writeID(recordJobs, q.id))
		case q.durable() != nil:
			w.record(q.home, b.writeSubscription(q.durable()))
		case q.recent != nil:
			w.record(q.home, b.writeRetained(q))
		case q.destination != nil:
			w.record(q.home, b.writeDestination(q))
		default: // of a standby: the log has not come to the record that defines it
		}
		w.known(q)
		if q.mark != 0 {
			w.record(q.markHome, b.writeMark(q))
		}
		if q.paused {
			w.record(q.pausedHome, b.writePaused(q))
		}
	}
	n := 0
	for at := b.producers.recent.Back(); at != nil; at = at.Prev() {
		if n++; w.ask(n) {
			return
		}
		p := at.Value.(*producer)
		w.record(p.home, b.writeProducer(p))
	}
	o := &b.outcomes
	for at := o.names.Back(); at != nil; at = at.Prev() {
		c := at.Value.(*completed)
		for _, x := range c.commits {
			if x.home != notLogged {
				w.record(x.home, b.writeCompleted(c.name, x))
			}
		}
	}
	for _, l := range []*list.List{&o.recent, &o.decided} {
		for at := l.Back(); at != nil; at = at.Prev() {
			if e := at.Value.(*outcome); e.home != notLogged {
				w.record(e.home, b.writeOutcome(e.xid, e.says()))
			}
		}
	}
	carried := b.carried
	if b.replay != nil {
		carried = b.replay.carried
	}
	for _, c := range carried {
		w.record(c.home, b.writeCarried(c))
	}
	for _, t := range b.retries.batches {
		for from := 0; from < len(t.items); {
			start, n := b.writeRetry(t, from)
			w.record(t.home, start)
			from += n
		}
	}
}

// known is what is remembered of a queue's consumers' selectors and of its messages' keys.
func (w *checkpointer) known(q *backlog) {
	b := w.broker
	if b.replay != nil {
		r := b.replay.backlogs[q.id]
		if r.remembered != nil {
			w.record(r.remembered.home, b.writeSelectors(q.id, r.remembered))
		}
		for _, sequence := range sortedKeys(r.keys) {
			k := r.keys[sequence]
			w.record(k.home, b.writeLastValue(q, sequence, k.key))
		}
		return
	}
	if d := q.destination; d.queue == q && d.remembered != nil {
		w.record(d.remembered.home, b.writeSelectors(q.id, d.remembered))
	}
	if q.keeping != nil {
		for _, v := range q.keeping.loggedValues() {
			w.record(v.home, b.writeLastValue(q, v.entry.stored.sequence, v.key))
		}
	}
}

// transactions are the open and the prepared ones, with what of them is in the log.
func (w *checkpointer) transactions() {
	b := w.broker
	done := map[uint64]bool{}
	add := func(tx *transaction) {
		if done[tx.serial] {
			return
		}
		done[tx.serial] = true
		if tx.prepared() {
			w.record(tx.branch.home, b.writePrepare(tx.serial, tx.begun, tx.branch))
		}
		for run := range settlingRuns(tx.acks) {
			w.record(tx.acksFrom, b.writeSequences(recordTxAck, tx, run[0].backlog, run))
		}
		for i := range tx.sends {
			w.txMessage(tx, &tx.sends[i])
		}
	}
	for at := b.branches.prepared.Front(); at != nil; at = at.Next() {
		add(at.Value.(*transaction))
	}
	for _, conn := range sortedKeys(b.connections) {
		c := b.connections[conn]
		for _, id := range sortedKeys(c.transactions) {
			add(c.transactions[id])
		}
	}
}

func (w *checkpointer) txMessage(tx *transaction, send *txSend) {
	s := send.stored
	if s.flags&logged == 0 || s.flags&dead != 0 || s.position == 0 {
		return
	}
	group := send.group
	if send.message != nil {
		group = send.message.GroupID
	}
	w.in(itemTxMessages)
	w.number(s.position)
	w.number(uint64(s.size))
	w.text(group)
	w.text(send.id.Producer)
	w.number(uint64(send.id.Sequence))
	w.take(w.broker.writeTxMessage(tx, send))
	for _, k := range send.loggedKeys(tx) {
		w.record(s.position, w.broker.writeTxKey(tx.serial, send.index, k.backlog.id, k.key))
	}
}

// replayed is what a standby's core knows of transactions that are not over, and of scheduled messages.
func (w *checkpointer) replayed() {
	b := w.broker
	for i, serial := range sortedKeys(b.replay.transactions) {
		if w.ask(i) {
			return
		}
		tx := b.replay.transactions[serial]
		if tx.branch != nil {
			w.record(tx.branch.home, b.writePrepare(serial, tx.begun, tx.branch))
		}
		for rest := sortedAcks(tx.acks); len(rest) > 0; {
			start := b.writeID(recordTxAck, serial)
			id := rest[0].backlog
			b.number(id)
			for n := 0; n < maxSequences && len(rest) > 0 && rest[0].backlog == id; n++ {
				b.number(rest[0].sequence)
				rest = rest[1:]
			}
			w.record(tx.acksFrom, start)
		}
		for _, index := range sortedKeys(tx.sends) {
			w.replayedSend(serial, index, tx.sends[index])
		}
	}
	for i, sequence := range sortedKeys(b.replay.jobs) {
		if w.ask(i) {
			return
		}
		j := b.replay.jobs[sequence]
		w.record(0, b.writeReplayedJob(sequence, j))
	}
}

func (w *checkpointer) replayedSend(serial, index uint64, send *replaySend) {
	b := w.broker
	w.in(itemTxMessages)
	w.number(send.stored.position)
	w.number(uint64(send.stored.size))
	w.text(send.group)
	w.text(send.producer)
	w.number(uint64(send.last))
	targets := make([]*backlog, 0, len(send.targets))
	for _, id := range send.targets {
		if q := b.replay.backlogs[id]; q != nil {
			targets = append(targets, q.backlog)
		}
	}
	start := b.begin(recordTxMessage)
	b.number(serial)
	b.number(index)
	b.messageHead(send.stored, 0, send.producer != "", targets)
	w.take(start)
	for _, id := range sortedKeys(send.keys) {
		if b.replay.backlogs[id] != nil {
			w.record(send.stored.position, b.writeTxKey(serial, index, id, send.keys[id]))
		}
	}
}

// stored are the messages, those of scheduled ones with what is known of them.
func (w *checkpointer) stored() {
	b := w.broker
	var jobs []*job
	var run []*stored
	done := 0
	for _, n := range sortedKeys(b.log.extents) {
		run = run[:0]
		for s := b.log.extents[n].first; s != nil; s = s.next {
			run = append(run, s)
		}
		slices.Reverse(run) // the newest is the first of its extent
		for _, s := range run {
			if done++; w.ask(done) {
				return
			}
			if s.first == nil || s.flags&logged == 0 {
				continue
			}
			if s.first.backlog == b.schedule.backlog && b.replay == nil {
				jobs = append(jobs, b.schedule.jobs[s.sequence])
			}
			w.message(s)
		}
	}
	for _, j := range jobs {
		if j != nil && !j.unread {
			w.record(j.entry.stored.position, b.writeJob(j))
		}
	}
	w.flush()
	for _, q := range b.packs {
		for p := range q.packing.packs {
			if packs := q.packing.packs[p]; len(packs) > 0 && q.id != 0 && !q.removed {
				w.made.packs = append(w.made.packs, packsOf{backlog: q.id, priority: uint8(p), packs: slices.Clone(packs)})
			}
		}
	}
}

func (w *checkpointer) message(s *stored) {
	var name string
	var hashed uint64
	for e := s.first; e != nil; e = e.sibling {
		if e.group == 0 {
			continue
		}
		if g := e.backlog.groups.group(e); g.name != "" {
			name = g.name
		} else {
			hashed = g.hash + 1
		}
	}
	start, n := w.broker.writeMoved(s)
	if n == 0 { // only subscriptions that do not outlive the broker have it
		w.broker.out.arena = w.broker.out.arena[:start]
		return
	}
	w.made.messages++
	w.in(itemMessages)
	w.number(s.position)
	w.number(uint64(s.size))
	w.text(name)
	w.number(hashed)
	w.take(start)
}

// Write gives the checkpoint in pieces to put, in order; each is put's until it returns. Errors: those of put.
func (c *Checkpoint) Write(put func(item []byte) error) error {
	for _, item := range c.items {
		if err := put(item); err != nil {
			return err
		}
	}
	var item []byte
	messages := c.messages
	for _, of := range c.packs {
		for _, x := range of.packs {
			if x.stored.flags&logged == 0 {
				continue
			}
			messages += uint64(len(x.items))
			if err := put(x.encode(append(item[:0], itemPack), of)); err != nil {
				return err
			}
		}
	}
	item = binary.AppendUvarint(append(item[:0], itemEnd), messages)
	return put(item)
}

// encode writes what differs between the messages: mostly a byte for the sequence, one or two for the place and for the size.
func (x *pack) encode(item []byte, of packsOf) []byte {
	for _, v := range []uint64{of.backlog, uint64(of.priority), x.stored.sequence, x.position, uint64(len(x.items))} {
		item = binary.AppendUvarint(item, v)
	}
	var sequence uint32
	var end int64
	for _, m := range x.items {
		item = binary.AppendUvarint(item, uint64(m.sequence-sequence))
		item = binary.AppendVarint(item, int64(m.position)-end)
		item = binary.AppendUvarint(item, uint64(m.size))
		sequence, end = m.sequence, int64(m.position)+int64(m.size)
	}
	return item
}

// restoring is what a checkpoint has said so far.
type restoring struct {
	begun    bool
	messages []restored
	packs    []*pack // their place says whose they are
	count    uint64
}

// restored is a message with its backlogs.
type restored struct {
	stored  *stored
	targets []*replayBacklog
	group   string
	hashed  uint64 // of a group of several names, plus 1; 0: none
}

// Restore takes one item of a checkpoint into an empty core, in the order of Write. After the last, the records behind what it
// sums up are given to Replay. An error means that the checkpoint is of no use: the core is to be thrown away, and another one made from the whole log.
func (b *Broker) Restore(item []byte) error {
	if len(item) == 0 || b.replay == nil || b.restored() || (b.replay.restoring == nil) != (item[0] == itemBegin) || item[0] == itemBegin && b.replay.any {
		return errCheckpoint
	}
	f := fields{rest: item[1:]}
	var err error
	switch item[0] {
	case itemBegin:
		err = b.restoreBegin(&f)
	case itemRecords:
		for len(f.rest) > 0 && err == nil {
			if home, record := f.number(), f.bytes(); !f.failed {
				err = b.Replay(home, record)
			}
		}
	case itemMessages:
		for len(f.rest) > 0 && !f.failed {
			b.restoreMessage(&f)
		}
	case itemTxMessages:
		for len(f.rest) > 0 && !f.failed {
			b.restoreTxMessage(&f)
		}
	case itemPack:
		b.restorePack(&f)
	case itemEnd:
		if n, r := f.number(), b.replay.restoring; n != r.count {
			return fmt.Errorf("it has %d messages and says that it has %d: %w", r.count, n, errCheckpoint)
		}
		err = b.restoreEnd()
	default:
		f.failed = true
	}
	if err == nil && f.failed {
		err = errCheckpoint
	}
	return err
}

// Restored says whether a checkpoint was taken in as a whole, and hears where the log begins now.
func (b *Broker) Restored(head uint64) bool {
	b.log.head = max(b.log.head, head)
	return b.restored()
}

func (b *Broker) restored() bool {
	return b.replay != nil && b.replay.restoring != nil && !b.replay.restoring.begun
}

func (b *Broker) restoreBegin(f *fields) error {
	if v := f.number(); v != checkpointVersion {
		return fmt.Errorf("its version is %d, this program reads %d: %w", v, checkpointVersion, errCheckpoint)
	}
	b.replay.any, b.replay.restoring = true, &restoring{begun: true}
	for _, v := range []*uint64{&b.log.head, &b.log.tail, &b.sequence, &b.nextID, &b.nextTx, &b.retries.next} {
		*v = f.number()
	}
	return nil
}

// place reads what messages begin with.
func (f *fields) place() (position uint64, size int, group string) {
	position, size, group = f.number(), int(f.number()), f.text()
	return position, size, group
}

// record reads a record of a kind, whose rest is given.
func (f *fields) record(kind recordKind) fields {
	data := f.bytes()
	if len(data) == 0 || recordKind(data[0]) != kind {
		f.failed = true
		return fields{failed: true}
	}
	return fields{rest: data[1:]}
}

func (b *Broker) restoreMessage(f *fields) {
	position, size, group := f.place()
	hashed := f.number()
	m := f.record(recordMoved)
	h := head{sequence: m.number(), expiration: int64(m.number()), priority: uint8(min(m.number(), 9))}
	x := restored{group: group, hashed: hashed}
	var counts []uint16
	for range m.count() {
		x.targets, counts = append(x.targets, b.replayTarget(m.number())), append(counts, uint16(m.number()))
	}
	if f.failed = f.failed || m.failed || len(x.targets) == 0; f.failed {
		return
	}
	x.stored = b.replayStored(position, h, size, x.targets)
	x.stored.counted(counts)
	r := b.replay.restoring
	r.messages = append(r.messages, x)
	r.count++
}

func (b *Broker) restoreTxMessage(f *fields) {
	position, size, group := f.place()
	producer, last := f.text(), int64(f.number())
	m := f.record(recordTxMessage)
	if f.failed {
		return
	}
	tx, index, h, send := b.replayTxHead(&m)
	if f.failed = m.failed; f.failed {
		return
	}
	if h.tracked {
		send.producer, send.last = producer, last
	}
	send.group = group
	b.replaySend(tx, index, send, b.replayStored(position, h, size, nil))
}

func (b *Broker) restorePack(f *fields) {
	id, p, first, position, n := f.number(), uint8(min(f.number(), 9)), f.number(), f.number(), f.count()
	if f.failed || n == 0 {
		f.failed = true
		return
	}
	x := &pack{position: position, items: make([]packed, n)}
	x.stored = stored{sequence: first, priority: p, flags: persistent | logged}
	x.place = entry{stored: &x.stored, backlog: b.replayTarget(id).backlog, state: inPack}
	var sequence uint32
	var end int64
	rest := f.rest
	for i := range x.items {
		ds, a := binary.Uvarint(rest)
		dp, c := binary.Varint(rest[max(a, 0):])
		size, d := binary.Uvarint(rest[max(a, 0)+max(c, 0):])
		if a <= 0 || c <= 0 || d <= 0 {
			f.failed = true
			return
		}
		rest = rest[a+c+d:]
		sequence += uint32(ds)
		x.items[i] = packed{sequence: sequence, position: uint32(end + dp), size: uint32(size)}
		end += dp + int64(size)
	}
	f.rest = rest
	r := b.replay.restoring
	r.packs = append(r.packs, x)
	r.count += uint64(n)
	b.sequence = max(b.sequence, x.last())
}

// restoreEnd puts all messages where they wait, in the order of their sequence.
func (b *Broker) restoreEnd() error {
	r := b.replay.restoring
	slices.SortFunc(r.messages, func(x, y restored) int { return cmp.Compare(x.stored.sequence, y.stored.sequence) })
	slices.SortFunc(r.packs, func(x, y *pack) int { return cmp.Compare(x.stored.sequence, y.stored.sequence) })
	packs := r.packs
	for _, m := range r.messages {
		for len(packs) > 0 && packs[0].stored.sequence < m.stored.sequence {
			b.restorePlace(packs[0])
			packs = packs[1:]
		}
		e := m.stored.first
		for _, q := range m.targets {
			if m.group == "" && m.hashed != 0 {
				q.backlog.joinShared(e, m.hashed-1)
			}
			e = e.sibling
			// One that was not in the backlog when the pack was made: it was at a consumer.
			if last := q.backlog.lists[m.stored.priority].tail; last != nil && last.state == inPack && q.backlog.packing.ends(last) > m.stored.sequence {
				q.backlog.unpack(last)
			}
		}
		b.replayEnter(m.stored, m.targets, m.group)
	}
	for _, x := range packs {
		b.restorePlace(x)
	}
	for _, q := range b.packs {
		for p := range q.lists {
			for e := q.lists[p].head; e != nil && e.state == inPack; e = q.lists[p].head {
				q.unpack(e)
			}
			if e := q.lists[p].tail; e != nil && e.state == inPack {
				q.unpack(e)
			}
		}
	}
	*r = restoring{}
	return nil
}

// restorePlace puts a pack behind what its backlog has of its priority.
func (b *Broker) restorePlace(x *pack) {
	q, p := x.place.backlog, x.stored.priority
	if q.packing == nil {
		q.packing = &packing{broker: b}
		b.packs = append(b.packs, q)
	}
	ps := q.packing
	ps.packs[p] = append(ps.packs[p], x)
	ps.count += len(x.items)
	ps.next = b.opt.PackFrom
	l := &q.lists[p]
	if x.place.prev = l.tail; l.tail != nil {
		l.tail.next = &x.place
	} else {
		l.head = &x.place
		q.mask |= 1 << p
	}
	l.tail = &x.place
	bytes := int64(0)
	for i := range x.items {
		bytes += int64(x.items[i].size)
	}
	q.ready += len(x.items)
	q.size += len(x.items)
	q.bytes += bytes
	b.log.live += bytes + int64(len(x.items))*recordBytes
	r := b.replay.backlogs[q.id]
	r.last = max(r.last, x.last())
}
