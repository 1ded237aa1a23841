package broker

import (
	"cmp"
	"container/heap"
	"slices"
)

// timer is the end of a consumer's pull, or the time at which a sweep goes on. What entries wait for is in the wheel.
type timer struct {
	at       int64 // ms since 1970
	consumer *consumer
	sweep    *sweep
}

// place is where its owner keeps its index plus 1.
func (t *timer) place() *int32 {
	if t.sweep != nil {
		return &t.sweep.timer
	}
	return &t.consumer.timer
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

func (t timers) tell(i int) { *t[i].place() = int32(i + 1) }

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
	*x.place() = 0
	return x
}

// delay has a delayed entry wait until a time. Others wait for their expiry.
func (b *Broker) delay(e *entry, at int64) {
	b.clearEntryTimer(e)
	b.delayed[e] = at
	if e.group != 0 {
		e.backlog.groups.parked(e)
	}
	b.wheel.put(e, at)
}

func (b *Broker) clearEntryTimer(e *entry) {
	if e.timer == 0 {
		return
	}
	b.wheel.remove(e)
	if e.state == delayed {
		delete(b.delayed, e)
	}
}

// entryTime is when something happens to an entry that is in the wheel.
func (b *Broker) entryTime(e *entry) int64 {
	if e.state == delayed {
		return b.delayed[e]
	}
	return e.stored.expiration
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

func (b *Broker) setSweepTimer(w *sweep, at int64) {
	b.clearSweepTimer(w)
	heap.Push(&b.timers, timer{at: at, sweep: w})
}

func (b *Broker) clearSweepTimer(w *sweep) {
	if w.timer != 0 {
		heap.Remove(&b.timers, int(w.timer-1))
	}
}

// Deadline is when the next Tick has work, in ms since 1970, or a little earlier; 0 if there is nothing to wait for.
func (b *Broker) Deadline() int64 {
	if len(b.drains) > 0 {
		return b.now
	}
	at := b.wheel.next()
	if len(b.timers) > 0 && (at == 0 || b.timers[0].at < at) {
		at = b.timers[0].at
	}
	if b.sweepAt != 0 && (at == 0 || b.sweepAt < at) {
		at = b.sweepAt
	}
	if b.patrolAt != 0 && (at == 0 || b.patrolAt < at) {
		at = b.patrolAt
	}
	if len(b.awaited) > 0 && (at == 0 || b.awaited[0].awaitedUntil < at) {
		at = b.awaited[0].awaitedUntil
	}
	if b.flow.waiting > 0 {
		if due := b.flow.deadline(b.now); at == 0 || due < at {
			at = due
		}
	}
	return at
}

// maxPerTick bounds how many timers one Step serves, so that a mass expiry does not hold up everybody else.
const maxPerTick = 1000

// tick serves what is due.
func (b *Broker) tick() {
	for n := 0; n < maxPerTick && len(b.timers) > 0 && b.timers[0].at <= b.now; n++ {
		t := heap.Pop(&b.timers).(timer)
		if t.sweep != nil {
			b.sweepPiece(t.sweep.conn, t.sweep.ref)
			continue
		}
		c := t.consumer
		c.pulls = 0
		b.tell(Effect{Conn: c.conn.id, Kind: PullEmpty, Consumer: c.id})
	}
	budget := maxPerTick * fireCost
	due := b.scratch.due[:0]
	for e := b.wheel.due(b.now, &budget, b.entryTime); e != nil; e = b.wheel.due(b.now, &budget, b.entryTime) {
		due = append(due, e)
	}
	if len(due) == 0 {
		return
	}
	// The wheel knows no order within a millisecond, and what has waited for this Step came in a certain one.
	slices.SortFunc(due, func(x, y *entry) int {
		return cmp.Or(cmp.Compare(b.entryTime(x), b.entryTime(y)), cmp.Compare(x.stored.sequence, y.stored.sequence))
	})
	for _, e := range due {
		switch {
		case e.backlog.removed:
			b.discard(e)
		case e.state == delayed:
			delete(b.delayed, e)
			b.returnEntry(e, nil)
		case e.state == ready:
			b.expire(e)
		case e.state == scheduled:
			b.schedule.due = append(b.schedule.due, e)
		}
	}
	clear(due)
	b.scratch.due = due[:0]
	b.loadDue()
}

// watchExpiry sees to it that an entry that can expire does.
func (b *Broker) watchExpiry(e *entry) {
	if e.stored.expiration != 0 {
		b.clearEntryTimer(e)
		b.wheel.put(e, e.stored.expiration)
	}
}
