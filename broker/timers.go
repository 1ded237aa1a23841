package broker

import "container/heap"

// timer is something due at a time: an entry's expiry or redelivery, or the end of a consumer's pull.
type timer struct {
	at       int64 // ms since 1970
	entry    *entry
	consumer *consumer
}

// timers is a heap by time. Each item knows its index, so that it can be taken out early.
type timers []timer

func (t timers) Len() int           { return len(t) }
func (t timers) Less(i, j int) bool { return t[i].at < t[j].at }
func (t timers) Swap(i, j int) {
	t[i], t[j] = t[j], t[i]
	t.tell(i)
	t.tell(j)
}

func (t timers) tell(i int) {
	if e := t[i].entry; e != nil {
		e.timer = int32(i + 1)
	} else {
		t[i].consumer.timer = int32(i + 1)
	}
}

// Push and Pop are heap.Interface's.
func (t *timers) Push(x any) {
	*t = append(*t, x.(timer))
	t.tell(len(*t) - 1)
}

// Pop is heap.Interface's.
func (t *timers) Pop() any {
	last := len(*t) - 1
	x := (*t)[last]
	(*t)[last] = timer{}
	*t = (*t)[:last]
	if x.entry != nil {
		x.entry.timer = 0
	} else {
		x.consumer.timer = 0
	}
	return x
}

func (b *Broker) setEntryTimer(e *entry, at int64) {
	b.clearEntryTimer(e)
	heap.Push(&b.timers, timer{at: at, entry: e})
}

func (b *Broker) clearEntryTimer(e *entry) {
	if e.timer != 0 {
		heap.Remove(&b.timers, int(e.timer-1))
	}
}

func (b *Broker) setPullTimer(c *consumer, at int64) {
	b.clearPullTimer(c)
	heap.Push(&b.timers, timer{at: at, consumer: c})
}

func (b *Broker) clearPullTimer(c *consumer) {
	if c.timer != 0 {
		heap.Remove(&b.timers, int(c.timer-1))
	}
}

// Deadline is when the next Tick has work, in ms since 1970; 0 if there is nothing to wait for.
func (b *Broker) Deadline() int64 {
	if len(b.timers) == 0 {
		return 0
	}
	return b.timers[0].at
}

// maxPerTick bounds how many timers one Step serves, so that a mass expiry does not hold up everybody else.
const maxPerTick = 1000

// tick serves what is due.
func (b *Broker) tick() {
	for n := 0; n < maxPerTick && len(b.timers) > 0 && b.timers[0].at <= b.now; n++ {
		due := heap.Pop(&b.timers).(timer)
		switch {
		case due.consumer != nil:
			due.consumer.pulls = 0
			b.tell(Effect{Conn: due.consumer.conn.id, Kind: PullEmpty, Consumer: due.consumer.id})
		case due.entry.state == delayed:
			e := due.entry
			b.returnEntry(e, nil)
		case due.entry.state == ready:
			b.expire(due.entry)
		}
	}
}

// watchExpiry sets the timer of an entry that can expire.
func (b *Broker) watchExpiry(e *entry) {
	if e.stored.expiration != 0 {
		b.setEntryTimer(e, e.stored.expiration)
	}
}
