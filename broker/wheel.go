package broker

import "math/bits"

// wheel holds the entries that something happens to at a time: their expiry, the end of their redelivery delay, their schedule. It is a
// hierarchical timer wheel of milliseconds: level 0 has a slot for each of 64 ms, level 1 for each of 64 times as much, and so on. An entry lies in the
// level of the highest digit (of 6 bits) in which its time differs from the wheel's, and goes down a level when the wheel's time reaches its slot.
//
// Putting in and taking out cost the same however many there are. An entry costs 8 bytes and a bit: slots are lists of chunks of entries, of
// which only the first is not full, and an entry knows its place (entry.timer).
type wheel struct {
	now    int64 // all before it has been served
	size   int
	used   [wheelLevels]uint64            // bit i: slots[level][i] has entries
	slots  [wheelLevels][wheelSlots]int32 // the first chunk; 0 is none
	chunks []*wheelChunk                  // chunk n is at n-1
	free   []int32
}

const (
	wheelBits   = 6
	wheelSlots  = 1 << wheelBits
	wheelLevels = 8
	// wheelSpan is how far ahead the wheel reaches, in ms, some 8,900 years; what is later lies in its last slot and is looked at again then.
	wheelSpan  = 1 << (wheelBits * wheelLevels)
	chunkBits  = 6
	chunkItems = 1<<chunkBits - 2
)

// wheelChunk takes 512 bytes.
type wheelChunk struct {
	entries     [chunkItems]*entry
	next        int32 // chunk of the same slot; 0 is none
	level, slot uint8
	n           uint8
}

// place says where a time belongs.
func (w *wheel) place(at int64) (level, slot int) {
	at = min(max(at, w.now), w.now|(wheelSpan-1))
	if differ := uint64(at ^ w.now); differ != 0 {
		level = (bits.Len64(differ) - 1) / wheelBits
	}
	return level, int(at>>(level*wheelBits)) & (wheelSlots - 1)
}

// put adds an entry that is due at a time.
func (w *wheel) put(e *entry, at int64) {
	level, slot := w.place(at)
	id := w.slots[level][slot]
	var c *wheelChunk
	if id != 0 {
		c = w.chunks[id-1]
	}
	if c == nil || c.n == chunkItems {
		id = w.take()
		c = w.chunks[id-1]
		c.level, c.slot, c.next = uint8(level), uint8(slot), w.slots[level][slot]
		w.slots[level][slot] = id
		w.used[level] |= 1 << slot
	}
	c.entries[c.n] = e
	e.timer = id<<chunkBits | int32(c.n)
	c.n++
	w.size++
}

// take gives an empty chunk.
func (w *wheel) take() int32 {
	if n := len(w.free); n > 0 {
		id := w.free[n-1]
		w.free = w.free[:n-1]
		return id
	}
	w.chunks = append(w.chunks, &wheelChunk{})
	return int32(len(w.chunks))
}

// remove takes an entry out. The last of its slot's first chunk takes its place.
func (w *wheel) remove(e *entry) {
	c := w.chunks[e.timer>>chunkBits-1]
	id := w.slots[c.level][c.slot]
	first := w.chunks[id-1]
	first.n--
	if last := first.entries[first.n]; last != e {
		c.entries[e.timer&(1<<chunkBits-1)] = last
		last.timer = e.timer
	}
	first.entries[first.n] = nil
	e.timer = 0
	w.size--
	if first.n == 0 {
		w.drop(id, first)
	}
}

// drop gives back the first chunk of a slot, which is empty.
func (w *wheel) drop(id int32, c *wheelChunk) {
	w.slots[c.level][c.slot] = c.next
	if c.next == 0 {
		w.used[c.level] &^= 1 << c.slot
	}
	c.next = 0
	w.free = append(w.free, id)
	if w.size == 0 { // after a flood nothing of it stays
		w.chunks, w.free = nil, nil
	}
}

// next is the time at which the wheel has work, at the latest when the earliest entry is due; 0 if it is empty.
func (w *wheel) next() int64 {
	if w.size == 0 {
		return 0
	}
	if w.unsorted() >= 0 {
		return w.now
	}
	for level := range wheelLevels {
		shift := level * wheelBits
		if ahead := w.used[level] >> w.digit(level) << w.digit(level); ahead != 0 {
			slot := int64(bits.TrailingZeros64(ahead))
			return max(w.now, w.now>>shift>>wheelBits<<wheelBits<<shift|slot<<shift)
		}
	}
	panic("broker: the timer wheel has lost entries")
}

func (w *wheel) digit(level int) int { return int(w.now>>(level*wheelBits)) & (wheelSlots - 1) }

// unsorted gives a level whose slot the wheel's time has reached while entries are left there, which belong further down; -1 if there is none.
func (w *wheel) unsorted() int {
	for level := wheelLevels - 1; level > 0; level-- {
		if w.used[level]>>w.digit(level)&1 == 1 {
			return level
		}
	}
	return -1
}

// What due may do costs.
const (
	sinkCost = 1
	fireCost = 16
)

// due takes an entry out whose time has come; nil if there is none. at gives an entry's time. budget is how much may be done, in the costs above.
func (w *wheel) due(now int64, budget *int, at func(*entry) int64) *entry {
	for w.size > 0 && *budget > 0 {
		level := w.unsorted()
		if level < 0 {
			if level = 0; w.used[0]>>w.digit(0)&1 == 0 {
				next := w.next()
				if next > now {
					break
				}
				w.now = next
				continue
			}
		}
		c := w.chunks[w.slots[level][w.digit(level)]-1]
		e := c.entries[c.n-1]
		w.remove(e)
		if when := at(e); when > w.now {
			w.put(e, when)
			*budget -= sinkCost
			continue
		}
		*budget -= fireCost
		return e
	}
	if w.size == 0 || w.next() > now {
		w.now = max(w.now, now)
	}
	return nil
}

// start tells the time to a wheel that was filled without knowing it: entries go where they belong at once, instead of down all levels.
func (w *wheel) start(now int64, at func(*entry) int64) {
	old := *w
	*w = wheel{now: now}
	for i, c := range old.chunks {
		for _, e := range c.entries[:c.n] {
			w.put(e, at(e))
		}
		old.chunks[i] = nil
	}
}
