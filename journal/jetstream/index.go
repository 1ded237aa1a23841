package jetstream

import (
	"cmp"
	"encoding/binary"
	"slices"
	"sync"

	"github.com/godwitmq/godwit/journal"
)

// index says in which message a position lies. It knows runs of messages: those that were read or written. Each takes two or three bytes, in blocks of 64.
type index struct {
	mu   sync.RWMutex
	runs []*run // by sequence; they do not overlap or touch
}

// run is what is known of messages whose sequences follow one another.
type run struct {
	blocks []block
	next   uint64           // the sequence after the last
	end    journal.Position // where that begins
}

const blockMessages = 64

type block struct {
	seq  uint64
	base journal.Position
	lens []byte // varints: how many bytes of positions each message covers
	n    int
}

// add notes that a message begins at a position and covers so many bytes.
func (x *index) add(seq uint64, base journal.Position, covers uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	i, found := slices.BinarySearchFunc(x.runs, seq, func(r *run, seq uint64) int { return cmp.Compare(r.next, seq) })
	if !found {
		if i < len(x.runs) && x.runs[i].blocks[0].seq <= seq {
			return // known
		}
		x.runs = slices.Insert(x.runs, i, &run{next: seq, end: base})
	}
	r := x.runs[i]
	if n := len(r.blocks); n == 0 || r.blocks[n-1].n == blockMessages {
		if n > 0 {
			r.blocks[n-1].lens = slices.Clip(r.blocks[n-1].lens)
		}
		r.blocks = append(r.blocks, block{seq: seq, base: base})
	}
	b := &r.blocks[len(r.blocks)-1]
	b.lens = binary.AppendUvarint(b.lens, covers)
	b.n++
	r.next, r.end = seq+1, base+journal.Position(covers)
	if i+1 < len(x.runs) && x.runs[i+1].blocks[0].seq == r.next {
		after := x.runs[i+1]
		r.blocks = append(r.blocks, after.blocks...)
		r.next, r.end = after.next, after.end
		x.runs = slices.Delete(x.runs, i+1, i+2)
	}
}

// find returns the message that covers a position and where it begins. If it is not known, low and high are the sequences between which it lies
// by what is known: low begins at or before the position, high after it; 0 if there is none.
func (x *index) find(at journal.Position) (seq uint64, base journal.Position, low, high uint64) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	i, _ := slices.BinarySearchFunc(x.runs, at, func(r *run, at journal.Position) int {
		if r.end <= at {
			return -1
		}
		return 1
	})
	if i < len(x.runs) && x.runs[i].blocks[0].base <= at {
		seq, base = x.runs[i].find(at)
		return seq, base, 0, 0
	}
	if i > 0 {
		low = x.runs[i-1].next - 1
	}
	if i < len(x.runs) {
		high = x.runs[i].blocks[0].seq
	}
	return 0, 0, low, high
}

func (r *run) find(at journal.Position) (seq uint64, base journal.Position) {
	i, found := slices.BinarySearchFunc(r.blocks, at, func(b block, at journal.Position) int { return cmp.Compare(b.base, at) })
	if !found {
		i--
	} else {
		for i+1 < len(r.blocks) && r.blocks[i+1].base == at { // messages that cover nothing
			i++
		}
	}
	b := &r.blocks[i]
	seq, base = b.seq, b.base
	lens := b.lens
	for {
		covers, n := binary.Uvarint(lens)
		if n <= 0 || base+journal.Position(covers) > at {
			return seq, base
		}
		lens = lens[n:]
		base += journal.Position(covers)
		seq++
	}
}

// forget drops what lies wholly before a sequence.
func (x *index) forget(before uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for len(x.runs) > 0 && x.runs[0].next <= before {
		x.runs = x.runs[1:]
	}
	if len(x.runs) == 0 {
		return
	}
	r := x.runs[0]
	n := 0
	for n+1 < len(r.blocks) && r.blocks[n+1].seq <= before {
		n++
	}
	r.blocks = slices.Delete(r.blocks, 0, n)
}
