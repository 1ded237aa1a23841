package broker

import (
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/godwitmq/godwit/message"
)

// KeepPolicy says which messages wait in a queue. The zero value is all. What it lets go of is settled, no dead letter.
type KeepPolicy struct {
	// LastValueKey names the property, or the JMS header, of which a queue keeps one waiting message for each value: a newer one replaces
	// the older. Messages without it are kept. "" is off.
	LastValueKey string
	// MaxKeys bounds the values; messages with one more are refused. 0 means 10,000.
	MaxKeys int
	// Ring is how many messages may wait; for one more the oldest goes. 0 is no bound.
	Ring int
}

func (p KeepPolicy) all() bool { return p.LastValueKey == "" && p.Ring == 0 }

func (p KeepPolicy) maxKeys() int {
	if p.MaxKeys == 0 {
		return 10_000
	}
	return p.MaxKeys
}

// keeping is what a queue knows that does not keep all messages.
type keeping struct {
	newest   map[string]*lastValue // by key
	of       map[*entry]*lastValue // of those that were replaced while they are at a consumer, too: after a crash they wait
	replaced []*entry              // to be settled before the next dispatch, if they wait
}

// lastValue is a message with its key.
type lastValue struct {
	key   string
	entry *entry
	home  uint64
}

// applyKeep makes a queue keep what its policy says.
func (b *Broker) applyKeep(d *destination) {
	q := d.queue
	switch {
	case q == nil:
	case d.policy.Keep.all():
		q.keeping = nil
	case q.keeping == nil:
		q.unpackAll()
		q.keeping = &keeping{newest: map[string]*lastValue{}, of: map[*entry]*lastValue{}}
		b.touch(q)
	default:
		b.touch(q)
	}
}

// maxPlainKey is the longest key that is kept as it is; of a longer one its hash stands for it.
const maxPlainKey = 64

// lastValueKey gives a message's key, the name of the property with it; "" is none.
func lastValueKey(m *message.Message, name string) string {
	if m == nil || name == "" {
		return ""
	}
	value := m.Value(name)
	if value == nil {
		return ""
	}
	key := fmt.Sprintf("%s=%v", name, value)
	if len(key) > maxPlainKey {
		sum := sha256.Sum256([]byte(key))
		return string(sum[:])
	}
	return key
}

// admitKey refuses a message to a last-value queue that has all the keys it may have.
func (b *Broker) admitKey(d *destination, m *message.Message, op string) *Error {
	k, p := d.queue.keeping, d.policy.Keep
	if len(k.newest) < p.maxKeys() {
		return nil
	}
	if key := lastValueKey(m, p.LastValueKey); key == "" || k.newest[key] != nil {
		return nil
	}
	return &Error{Code: Full, Op: op, Detail: fmt.Sprintf("%s has last values of %d keys (%s), its limit", d.name, len(k.newest), p.LastValueKey)}
}

// keep notes that a message has come to a queue that does not keep all.
func (b *Broker) keep(q *backlog, e *entry) {
	k, key := q.keeping, ""
	if m := e.stored.message; m != nil {
		key = lastValueKey(m, b.policy(q).Keep.LastValueKey)
	} else if i := slices.IndexFunc(b.keys, func(x txKey) bool { return x.backlog == q }); i >= 0 {
		key = b.keys[i].key
	}
	v := k.newest[key]
	switch {
	case key == "" || v == nil && len(k.newest) >= b.policy(q).Keep.maxKeys():
		return
	case v != nil:
		v.entry.marks |= replaced
		k.replaced = append(k.replaced, v.entry)
	}
	v = &lastValue{key: key, entry: e}
	k.newest[key], k.of[e] = v, v
	if q.id != 0 && e.stored.flags&logged != 0 {
		b.emitLastValue(q, v)
	}
}

// keysOf gives the keys of a message of a transaction in those targets that keep last values. Its body may be in the log only when it enters them.
func (b *Broker) keysOf(m *message.Message, targets []*backlog) (keys []txKey) {
	for _, q := range targets {
		if q.keeping == nil {
			continue
		}
		if key := lastValueKey(m, b.policy(q).Keep.LastValueKey); key != "" {
			keys = append(keys, txKey{q, key})
		}
	}
	return keys
}

// forget is told that an entry is settled.
func (k *keeping) forget(e *entry) {
	if v := k.of[e]; v != nil {
		delete(k.of, e)
		if k.newest[v.key] == v {
			delete(k.newest, v.key)
		}
	}
}

// settleReplaced ends what newer messages have replaced, as far as it waits: what is at a consumer is replaced when it comes back.
func (b *Broker) settleReplaced(q *backlog) {
	k := q.keeping
	waiting := slices.DeleteFunc(k.replaced, func(e *entry) bool { return e.state != ready && e.state != delayed })
	k.replaced = nil
	q.replaced += uint64(len(waiting))
	b.settleAll(waiting)
}

// settleOldest ends what is too much for a ring.
func (b *Broker) settleOldest(q *backlog) {
	n := b.policy(q).Keep.Ring
	if n == 0 || q.ready <= n {
		return
	}
	oldest := q.oldest(q.ready - n)
	q.replaced += uint64(len(oldest))
	b.settleAll(oldest)
}

// oldest lists the n ready entries that came first, whatever their priority.
func (q *backlog) oldest(n int) []*entry {
	list := make([]*entry, 0, n)
	var next [len(q.lists)]*entry
	for p := range next {
		next[p] = q.lists[p].head
	}
	for len(list) < n {
		first := -1
		for p, e := range next {
			if e != nil && (first < 0 || e.stored.sequence < next[first].stored.sequence) {
				first = p
			}
		}
		list = append(list, next[first])
		next[first] = next[first].next
	}
	return list
}

func (b *Broker) writeLastValue(q *backlog, sequence uint64, key string) int {
	start := b.begin(recordLastValue)
	b.number(q.id)
	b.number(sequence)
	b.text(key)
	return start
}

func (b *Broker) emitLastValue(q *backlog, v *lastValue) {
	r := b.emit(b.writeLastValue(q, v.entry.stored.sequence, v.key), Record{Lazy: true, home: &v.home})
	b.log.room -= int64(r.Size)
}

// carryLastValues writes again what keys the messages have whose records are before the position, and gives about the size of all.
func (b *Broker) carryLastValues(q *backlog, before uint64) (size int64) {
	for _, v := range q.keeping.loggedValues() {
		size += int64(len(v.key)) + recordBytes
		if v.home < before {
			b.emitLastValue(q, v)
		}
	}
	return size
}

// loggedValues gives those that have a record, in the order of their messages.
func (k *keeping) loggedValues() []*lastValue {
	all := make([]*lastValue, 0, len(k.of))
	for _, v := range k.of {
		if v.entry.stored.flags&logged != 0 {
			all = append(all, v)
		}
	}
	slices.SortFunc(all, func(x, y *lastValue) int { return int(int64(x.entry.stored.sequence) - int64(y.entry.stored.sequence)) })
	return all
}

// replayedKey is what the log says of a message's key. The message may come later: it is moved to the tail by itself.
type replayedKey struct {
	key  string
	home uint64
}

func (b *Broker) replayLastValue(position uint64, f *fields) {
	q, sequence, key := b.replayTarget(f.number()), f.number(), f.text()
	if f.failed {
		return
	}
	if q.keys == nil {
		q.keys = map[uint64]replayedKey{}
	}
	q.keys[sequence] = replayedKey{key, position}
}

// recoverKeep brings a queue that was read back to what its policy keeps.
func (b *Broker) recoverKeep(q *replayBacklog) {
	d := q.backlog.destination
	b.applyKeep(d)
	k := q.backlog.keeping
	if k == nil {
		return
	}
	for _, sequence := range sortedKeys(q.keys) {
		e, key := q.find(sequence), q.keys[sequence]
		if e == nil || d.policy.Keep.LastValueKey == "" {
			continue
		}
		if old := k.newest[key.key]; old != nil {
			old.entry.marks |= replaced // it may be acknowledged in a prepared transaction, and come back
			k.replaced = append(k.replaced, old.entry)
		}
		v := &lastValue{key: key.key, entry: e, home: key.home}
		k.newest[key.key], k.of[e] = v, v
	}
	b.settleReplaced(q.backlog)
	b.settleOldest(q.backlog)
}
