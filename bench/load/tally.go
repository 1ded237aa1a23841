package load

import "sync"

// tally is what must come once each: the deliveries of a queue, or of one subscriber of a topic.
type tally struct {
	mu    sync.Mutex
	seen  [][]uint64 // by producer, a bit a message
	count int64      // of different messages
	twice int64      // deliveries of one that was there
}

func newTally(producers int) *tally { return &tally{seen: make([][]uint64, producers)} }

// mark notes a delivery and says whether it is the first of that message.
func (t *tally) mark(producer int, sequence int64, redelivered bool) (first bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	word, bit := int(sequence/64), uint64(1)<<(sequence%64)
	for len(t.seen[producer]) <= word {
		t.seen[producer] = append(t.seen[producer], 0)
	}
	if t.seen[producer][word]&bit != 0 {
		if !redelivered {
			t.twice++
		}
		return false
	}
	t.seen[producer][word] |= bit
	t.count++
	return true
}
