package broker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sort"

	"github.com/godwitmq/godwit/message"
)

// replay is what is only needed while the log is read back.
type replay struct {
	backlogs     map[uint64]*replayBacklog
	transactions map[uint64]*replayTx
	jobs         map[uint64]replayJob
	group        string // of the message whose entries are being added
	clean        bool   // the last record was recordStop
	any          bool
	restoring    *restoring                             // nil: no checkpoint was given
	carried      []*carriedEntry                        // by a stop, and no start has been since
	temporaries  map[message.Destination]*replayBacklog // that have such messages
}

// replayBacklog finds the entries of a backlog by their sequence. They come in its order, but for those that were moved.
type replayBacklog struct {
	backlog    *backlog
	ordered    []*entry
	last       uint64 // sequence of the newest that came in order
	gone       int
	moved      map[uint64]*entry
	near       *entry // the last that was put among others
	remembered *remembered
	keys       map[uint64]replayedKey // of last values, by sequence
}

type replayTx struct {
	sends    map[uint64]*replaySend
	acks     map[replayAck]bool
	acksFrom uint64  // position of the first record of acks
	begun    int64   // of a prepared one
	branch   *branch // of a prepared one
}

type replaySend struct {
	stored   *stored
	targets  []uint64
	producer string
	last     int64
	group    string
	keys     map[uint64]string // by backlog
}

type replayAck struct{ backlog, sequence uint64 }

func newReplay() *replay {
	return &replay{backlogs: map[uint64]*replayBacklog{}, transactions: map[uint64]*replayTx{}, jobs: map[uint64]replayJob{}}
}

// errRecord is the cause of every failure to understand a record.
var errRecord = errors.New("record is malformed")

// fields takes numbers and texts off a record's head.
type fields struct {
	rest   []byte
	failed bool
}

func (f *fields) number() uint64 {
	v, n := binary.Uvarint(f.rest)
	if n <= 0 {
		f.failed = true
		f.rest = nil
		return 0
	}
	f.rest = f.rest[n:]
	return v
}

func (f *fields) text() string { return string(f.bytes()) }

func (f *fields) bytes() []byte {
	n := f.number()
	if n > uint64(len(f.rest)) {
		f.failed = true
		f.rest = nil
		return nil
	}
	t := f.rest[:n]
	f.rest = f.rest[n:]
	return t
}

// head is what recordMessage and recordTxMessage share.
type head struct {
	tracked    bool
	sequence   uint64
	expiration int64
	priority   uint8
	targets    int
}

func (f *fields) head() head {
	h := head{tracked: f.number() == 1, sequence: f.number(), expiration: int64(f.number()), priority: uint8(min(f.number(), 9))}
	h.targets = f.count()
	return h
}

// count reads the length of a list, whose items take at least a byte each.
func (f *fields) count() int {
	n := f.number()
	if n > uint64(len(f.rest)) {
		f.failed = true
		return 0
	}
	return int(n)
}

// Body gives the stored form of the message in a record's data.
func Body(data []byte) ([]byte, error) {
	if len(data) == 0 {
		return nil, errRecord
	}
	f := fields{rest: data[1:]}
	perTarget := 1
	switch recordKind(data[0]) {
	case recordSpill:
		return f.rest, nil
	case recordCarried:
		f.carried()
		if f.failed {
			return nil, errRecord
		}
		return f.rest, nil
	case recordTxMessage:
		f.number()
		f.number()
		fallthrough
	case recordMessage:
		f.number()
	case recordMoved:
		perTarget = 2
	default:
		return nil, fmt.Errorf("record of kind %d carries no message", data[0])
	}
	f.number()
	f.number()
	f.number()
	for range f.count() * perTarget {
		f.number()
	}
	if f.failed {
		return nil, errRecord
	}
	return f.rest, nil
}

// Replay applies one record as it was read back, in the order of the log. The data may be reused after the call. An
// error means that the log was written by something else, or by a newer version.
func (b *Broker) Replay(position uint64, data []byte) error {
	if len(data) == 0 {
		return errRecord
	}
	l := &b.log
	if !b.replay.any {
		b.replay.any = true
		l.head = position
	}
	l.tail = max(l.tail, position+uint64(len(data)))
	f := fields{rest: data[1:]}
	kind := recordKind(data[0])
	b.replay.clean = kind == recordStop
	switch kind {
	case recordMessage:
		b.replayMessage(position, &f)
	case recordAck:
		b.replayAck(&f)
	case recordMoved:
		b.replayMoved(position, &f)
	case recordTxMessage:
		b.replayTxMessage(position, &f)
	case recordTxKey:
		b.replayTxKey(&f)
	case recordTxAck:
		b.replayTxAck(position, &f)
	case recordCommit:
		b.replayCommit(position, &f)
	case recordRollback:
		b.replayRollback(f.number())
	case recordRedelivered:
		q := b.replay.backlogs[f.number()]
		for len(f.rest) > 0 {
			sequence, count := f.number(), f.number()
			if e := q.find(sequence); e != nil {
				e.redeliveries = uint16(count)
			}
		}
	case recordMark:
		q, mark := b.replayTarget(f.number()).backlog, f.number()
		q.mark, q.markHome = mark, position
		b.sequence = max(b.sequence, mark)
	case recordPaused:
		b.replayPaused(position, &f)
	case recordProducer:
		id, last := f.text(), f.number()
		b.replayProducer([]byte(id), int64(last), position)
	case recordDestination:
		b.replayDestination(position, &f)
	case recordSubscription:
		if err := b.replaySubscription(position, &f); err != nil {
			return err
		}
	case recordRetained:
		b.replayRetained(position, &f)
	case recordRemoved:
		b.replayRemoved(f.number())
	case recordStart:
		// Transactions of before are over unless they are prepared, which may be said behind this record, where cleaning has put it: Recovered looks.
		b.replay.carried = nil // that start has taken it
	case recordLastValue:
		b.replayLastValue(position, &f)
	case recordSelectors:
		if err := b.replaySelectors(position, &f); err != nil {
			return err
		}
	case recordPrepare:
		b.replayPrepare(position, &f)
	case recordOutcome:
		b.replayOutcome(position, &f)
	case recordCompleted:
		b.replayCompleted(position, &f)
	case recordJobs:
		q := b.replayTarget(f.number()).backlog
		q.home = position
		if q.destination == nil {
			b.schedule.backlog = newJobBacklog(q)
		}
	case recordRetry:
		b.replayRetry(position, &f)
	case recordJob:
		if err := b.replayJob(&f); err != nil {
			return err
		}
	case recordCarried:
		b.replayCarried(position, &f)
	case recordStop, recordSpill:
	default:
		return fmt.Errorf("record of unknown kind %d: the journal was written by a newer version", kind)
	}
	if f.failed {
		return fmt.Errorf("record of kind %d: %w", kind, errRecord)
	}
	return nil
}

func (q *replayBacklog) find(sequence uint64) *entry {
	if q == nil {
		return nil
	}
	if e := q.moved[sequence]; e != nil && e.state != gone { // else it is in a pack
		return e
	}
	i := sort.Search(len(q.ordered), func(i int) bool { return q.ordered[i].stored.sequence >= sequence })
	if i < len(q.ordered) && q.ordered[i].stored.sequence == sequence && q.ordered[i].state != gone {
		return q.ordered[i]
	}
	if q.backlog.unpackSequence(sequence) {
		return q.moved[sequence]
	}
	return nil
}

// move makes an entry findable that is not in the order of ordered.
func (q *replayBacklog) move(e *entry) {
	if q.moved == nil {
		q.moved = map[uint64]*entry{}
	}
	q.moved[e.stored.sequence] = e
}

// replayAdd makes an entry ready and findable.
func (b *Broker) replayAdd(q *replayBacklog, e *entry) {
	if b.replay.group != "" {
		q.backlog.joinGroup(e, b.replay.group)
	}
	if q.last < e.stored.sequence {
		q.last = e.stored.sequence
		q.ordered = append(q.ordered, e)
		q.backlog.pushBack(e)
	} else {
		q.move(e)
		if q.near != nil && q.near.state != ready {
			q.near = nil
		}
		q.backlog.insert(e, q.near)
		q.near = e
	}
	q.backlog.size++
	q.backlog.bytes += int64(e.stored.size)
	b.watchExpiry(e)
	if b.isLong(q.backlog) {
		b.pack(q.backlog)
		q.gone = len(q.ordered) // most are in packs now
		q.compact()
	}
}

func (b *Broker) replayGone(q *replayBacklog, e *entry) {
	delete(q.moved, e.stored.sequence)
	delete(q.keys, e.stored.sequence)
	if q.backlog == b.schedule.backlog {
		delete(b.replay.jobs, e.stored.sequence)
	}
	b.discard(e)
	q.backlog.dequeued = 0
	q.gone++
	q.compact()
}

// compact takes out of ordered what is not ready any more, if that is much.
func (q *replayBacklog) compact() {
	if q.gone > 1024 && q.gone*2 > len(q.ordered) {
		q.ordered = slices.DeleteFunc(q.ordered, func(e *entry) bool { return e.state == gone })
		q.gone = 0
	}
}

// replayStored makes a stored with an entry for each target that still exists; nil if none does.
func (b *Broker) replayStored(position uint64, h head, size int, targets []*replayBacklog) *stored {
	var s *stored
	if len(targets) == 1 {
		both := &single{}
		s = &both.stored
		both.entry = entry{stored: s, backlog: targets[0].backlog}
		s.first = &both.entry
	} else {
		s = &stored{}
		entries := make([]entry, len(targets))
		for i := range targets {
			entries[i] = entry{stored: s, backlog: targets[i].backlog}
			if i > 0 {
				entries[i-1].sibling = &entries[i]
			}
		}
		if len(entries) > 0 {
			s.first = &entries[0]
		}
	}
	s.position, s.sequence, s.expiration, s.priority, s.size = position, h.sequence, h.expiration, h.priority, uint32(size)
	s.flags = persistent | logged
	b.sequence = max(b.sequence, h.sequence)
	return s
}

func (b *Broker) replayMessage(position uint64, f *fields) {
	h := f.head()
	var room [4]*replayBacklog
	targets := room[:0]
	for range h.targets {
		targets = append(targets, b.replayTarget(f.number()))
	}
	if f.failed {
		return
	}
	b.sequence = max(b.sequence, h.sequence)
	if h.tracked {
		if producer, last, ok := message.PeekID(f.rest); ok {
			b.replayProducer(producer, last, position)
		}
	}
	if len(targets) == 0 {
		return
	}
	b.replayEnter(b.replayStored(position, h, len(f.rest), targets), targets, message.PeekGroup(f.rest))
}

// replayEnter makes a message's entries wait in their backlogs.
func (b *Broker) replayEnter(s *stored, targets []*replayBacklog, group string) {
	b.replay.group = group
	b.log.link(s)
	e := s.first
	for _, q := range targets {
		b.replayAdd(q, e)
		e = e.sibling
	}
}

func (b *Broker) replayProducer(id []byte, last int64, position uint64) {
	p := b.producers.byID[string(id)]
	if p == nil {
		p = b.producers.add(string(id), b.opt.MaxProducers)
	} else if p.at != b.producers.recent.Front() {
		b.producers.recent.MoveToFront(p.at)
	}
	if last >= p.last { // else an older record tells it
		p.last, p.home = last, position
	}
}

func (b *Broker) replayAck(f *fields) {
	q := b.replay.backlogs[f.number()]
	for len(f.rest) > 0 {
		if e := q.find(f.number()); e != nil {
			b.replayGone(q, e)
		}
	}
}

// replayMoved takes in a message that was written again: it is known already unless its older record was trimmed.
func (b *Broker) replayMoved(position uint64, f *fields) {
	h := head{sequence: f.number(), expiration: int64(f.number()), priority: uint8(min(f.number(), 9))}
	var targets []*replayBacklog
	var counts []uint16
	var known *stored
	for range f.count() {
		q, count := b.replayTarget(f.number()), uint16(f.number())
		if e := q.find(h.sequence); e != nil {
			known = e.stored
			e.redeliveries = count
		}
		targets, counts = append(targets, q), append(counts, count)
	}
	switch {
	case f.failed:
	case known != nil:
		b.log.unlink(known)
		known.position = position
		b.log.link(known)
	case len(targets) > 0:
		s := b.replayStored(position, h, len(f.rest), targets)
		s.counted(counts)
		b.replayEnter(s, targets, message.PeekGroup(f.rest))
	}
}

// counted gives the entries their redelivery counts.
func (s *stored) counted(counts []uint16) {
	e := s.first
	for _, n := range counts {
		e.redeliveries = n
		e = e.sibling
	}
}

func (b *Broker) replayTx(serial uint64) *replayTx {
	tx := b.replay.transactions[serial]
	if tx == nil {
		tx = &replayTx{}
		b.replay.transactions[serial] = tx
		b.nextTx = max(b.nextTx, serial)
	}
	return tx
}

func (b *Broker) replayTxAck(position uint64, f *fields) {
	tx := b.replayTx(f.number())
	id := f.number()
	if tx.acks == nil {
		tx.acks, tx.acksFrom = map[replayAck]bool{}, position
	}
	for len(f.rest) > 0 {
		tx.acks[replayAck{id, f.number()}] = true
	}
}

func (b *Broker) replayTxMessage(position uint64, f *fields) {
	tx, index, h, send := b.replayTxHead(f)
	if f.failed {
		return
	}
	if h.tracked {
		if producer, last, ok := message.PeekID(f.rest); ok {
			send.producer, send.last = string(producer), last
		}
	}
	send.group = message.PeekGroup(f.rest)
	b.replaySend(tx, index, send, b.replayStored(position, h, len(f.rest), nil))
}

// replayTxHead reads what recordTxMessage says before the message.
func (b *Broker) replayTxHead(f *fields) (tx *replayTx, index uint64, h head, send *replaySend) {
	tx, index = b.replayTx(f.number()), f.number()
	h, send = f.head(), &replaySend{}
	for range h.targets {
		send.targets = append(send.targets, b.replayTarget(f.number()).backlog.id)
	}
	return tx, index, h, send
}

// replaySend keeps a message of a transaction for its commit.
func (b *Broker) replaySend(tx *replayTx, index uint64, send *replaySend, s *stored) {
	if tx.sends == nil {
		tx.sends = map[uint64]*replaySend{}
	}
	if old := tx.sends[index]; old != nil {
		b.log.unlink(old.stored)
	}
	send.stored = s
	b.log.link(s)
	tx.sends[index] = send
}

// replayTxKey takes in a key of a message whose record is right before it.
func (b *Broker) replayTxKey(f *fields) {
	serial, index, id, key := f.number(), f.number(), f.number(), f.text()
	tx := b.replay.transactions[serial]
	if f.failed || tx == nil {
		return
	}
	if send := tx.sends[index]; send != nil {
		if send.keys == nil {
			send.keys = map[uint64]string{}
		}
		send.keys[id] = key
	}
}

func (b *Broker) replayCommit(position uint64, f *fields) {
	serial, first := f.number(), f.number()
	tx := b.replay.transactions[serial]
	delete(b.replay.transactions, serial)
	b.sequence = max(b.sequence, first)
	if tx == nil {
		return
	}
	if tx.branch != nil {
		b.outcomes.settle(tx.branch.xid, true, false, tx.branch.home)
	}
	for a := range tx.acks {
		q := b.replay.backlogs[a.backlog]
		if e := q.find(a.sequence); e != nil {
			b.replayGone(q, e)
		}
	}
	for _, index := range sortedKeys(tx.sends) {
		send := tx.sends[index]
		if send.producer != "" {
			b.replayProducer([]byte(send.producer), send.last, send.stored.position)
		}
		b.log.unlink(send.stored)
		var targets []*replayBacklog
		for _, id := range send.targets {
			if q := b.replay.backlogs[id]; q != nil {
				targets = append(targets, q)
			}
		}
		b.sequence = max(b.sequence, first+index)
		if len(targets) == 0 {
			continue
		}
		old := send.stored
		h := head{sequence: first + index, expiration: old.expiration, priority: old.priority}
		b.replayEnter(b.replayStored(old.position, h, int(old.size), targets), targets, send.group)
	}
}

func (b *Broker) replayRollback(serial uint64) {
	tx := b.replay.transactions[serial]
	if tx == nil {
		return
	}
	delete(b.replay.transactions, serial)
	for _, send := range tx.sends {
		b.log.unlink(send.stored)
	}
}

func (b *Broker) replayDestination(position uint64, f *fields) {
	id, kind, name := f.number(), message.Kind(f.number()), f.text()
	if f.failed {
		return
	}
	q := b.replayTarget(id).backlog
	q.home = position
	if q.destination != nil {
		return
	}
	q.shares = true
	d := &destination{name: message.Destination{Kind: kind, Name: name}, queue: q}
	b.applyPolicy(d)
	q.destination = d
	b.destinations[d.name] = d
}

// replayTarget gives a backlog by its id. It may be met before the record that defines it: that record is written again at the tail when
// the head passes it, behind messages that stay where they are.
func (b *Broker) replayTarget(id uint64) *replayBacklog {
	q := b.replay.backlogs[id]
	if q == nil {
		q = &replayBacklog{backlog: &backlog{id: id}}
		b.backlogs[id] = q.backlog
		b.replay.backlogs[id] = q
		b.nextID = max(b.nextID, id)
	}
	return q
}

func (b *Broker) replaySubscription(position uint64, f *fields) error {
	id := f.number()
	s := &subscription{clientID: f.text(), name: f.text(), topic: message.Destination{Kind: message.Topic, Name: f.text()}, selectorText: f.text()}
	flags := f.number()
	s.lasting, s.noLocal, s.shared = true, flags&subscriptionNoLocal != 0, flags&subscriptionShared != 0
	if f.failed {
		return nil
	}
	q := b.replayTarget(id).backlog
	q.home = position
	if q.sub != nil {
		return nil
	}
	var err error
	if s.parts, err = s.topic.Parts(); err != nil {
		return fmt.Errorf("durable subscription %s of client %s: %w", s.name, s.clientID, err)
	}
	sel, serr := parseSelector(s.selectorText)
	if serr != nil {
		return fmt.Errorf("durable subscription %s of client %s: %w", s.name, s.clientID, serr)
	}
	s.selector = sel
	s.backlog, q.sub, q.shares = q, s, s.shared
	s.policy = b.policyOf(s.parts[0])
	b.durables[s.key()] = s
	for _, p := range s.parts {
		if p.IsPattern() {
			b.wild = append(b.wild, s)
			continue
		}
		d := b.destinations[p]
		if d == nil {
			d = &destination{name: p}
			b.applyPolicy(d)
			b.destinations[p] = d
		}
		s.join(d)
		s.backlog.destination = d
	}
	if s.backlog.destination == nil {
		s.backlog.destination = &destination{name: s.topic, policy: s.policy}
	}
	return nil
}

func (b *Broker) replayRemoved(id uint64) {
	q := b.replay.backlogs[id]
	if q == nil {
		return
	}
	delete(b.replay.backlogs, id)
	delete(b.backlogs, id)
	q.backlog.removed = true
	b.dropPacks(q.backlog)
	b.forgetPacking(q.backlog)
	for e := q.backlog.front(); e != nil; e = q.backlog.front() {
		b.discard(e)
	}
	if s := q.backlog.durable(); s != nil {
		delete(b.durables, s.key())
		for _, d := range slices.Clone(s.topics) {
			s.leave(d)
		}
		b.wild = slices.DeleteFunc(b.wild, func(x *subscription) bool { return x == s })
		return
	}
	if r := q.backlog.recent; r != nil {
		r.topic.recent = nil
		b.keepRecent(r.topic)
		return
	}
	if d := q.backlog.destination; d != nil && b.destinations[d.name] == d {
		delete(b.destinations, d.name)
	}
}

// Recovered ends the replay: transactions that were open and not prepared are rolled back, what may have been dispatched before a crash is flagged as
// redelivered, and the start is written to the log.
//
// Messages of a backlog that the log does not define come to a queue of their own, Godwit.Recovered.N; these are returned. That happens only after
// a repair has given up the record that names a queue.
func (b *Broker) Recovered(now int64, out *Effects) (orphans []message.Destination) {
	b.now, b.out = now, out
	b.log.committed = b.sequence // what was read back is on the disk
	wanted := b.recoverTransactions()
	for _, id := range sortedKeys(b.backlogs) {
		q := b.backlogs[id]
		if q.destination != nil {
			continue
		}
		if q.size == 0 && !wanted[q] {
			delete(b.backlogs, id)
			continue
		}
		d := &destination{name: message.Destination{Kind: message.Queue, Name: fmt.Sprintf("Godwit.Recovered.%d", id)}, queue: q}
		b.applyPolicy(d)
		q.destination, q.shares = d, true
		b.destinations[d.name] = d
		b.emitDestination(q)
		orphans = append(orphans, d.name)
	}
	for _, s := range b.durables {
		s.idleSince = now
	}
	b.recoverDestinations()
	if b.replay.any {
		b.awaitUntil = now + b.opt.TemporaryGrace.Milliseconds()
	}
	carried := b.recoverCarried()
	b.recoverJobs()
	b.wheel.start(now, b.entryTime)
	for _, s := range b.wild {
		for _, d := range b.sortedDestinations() {
			if d.name.Kind.IsTopic() && s.wants(d.name) {
				s.join(d)
			}
		}
	}
	start := b.begin(recordStart)
	b.emit(start, Record{Lazy: !carried}) // what was carried must not come twice
	for _, id := range sortedKeys(b.backlogs) {
		q := b.backlogs[id]
		q.counters = counters{}
		q.tidyGroups()
		if q.mark == 0 {
			continue
		}
		var seen []*entry
		for p := range q.lists {
			for e := q.lists[p].head; e != nil && e.stored.sequence <= q.mark; e = q.after(e) {
				if e.redeliveries == 0 {
					e.redeliveries = 1
					seen = append(seen, e)
				}
			}
		}
		for len(seen) > 0 {
			n := min(len(seen), maxSequences)
			b.emitRedelivered(q, seen[:n])
			seen = seen[n:]
		}
	}
	b.recentRecovered()
	if b.policies.watched() {
		b.patrolBy(now + patrolPeriod)
	}
	b.replay = nil
	b.out = nil
	return orphans
}
