package broker

import (
	"slices"
	"sort"
)

// place is where an entry stands in its backlog: by priority, then by sequence.
type place struct {
	priority uint8
	sequence uint64
}

func placeOf(e *entry) place { return place{e.stored.priority, e.stored.sequence} }

// before says whether p is dispatched before x.
func (p place) before(x place) bool {
	return p.priority > x.priority || p.priority == x.priority && p.sequence < x.sequence
}

// readyList holds the ready entries of a group in their order. Entries that are not ready any more stay in it until they are met, so that taking
// one out costs nothing; one that comes back finds its own pointer.
type readyList struct {
	buf  []*entry
	head int
	left int // how many in it are not ready, about
}

func (l *readyList) all() []*entry { return l.buf[l.head:] }

// from gives the index in all of the first entry at or behind a place.
func (l *readyList) from(p place) int {
	all := l.all()
	return sort.Search(len(all), func(i int) bool { return !placeOf(all[i]).before(p) })
}

func (l *readyList) add(e *entry) {
	all := l.all()
	p := placeOf(e)
	if len(all) == 0 || placeOf(all[len(all)-1]).before(p) {
		if l.head > 64 && l.head*2 > len(l.buf) {
			n := copy(l.buf, all)
			clear(l.buf[n:])
			l.buf, l.head = l.buf[:n], 0
		}
		l.buf = append(l.buf, e)
		return
	}
	i := l.from(p)
	switch {
	case i < len(all) && all[i] == e:
		l.left--
	case i == 0:
		if l.head == 0 { // a whole window may come back, from its last to its first
			room := len(all)/2 + 16
			l.buf = append(make([]*entry, room, room+len(all)+room), all...)
			l.head = room
		}
		l.head--
		l.buf[l.head] = e
	default:
		l.buf = slices.Insert(l.buf, l.head+i, e)
	}
}

// removed says that an entry is not ready any more.
func (l *readyList) removed() {
	if l.left++; l.left > 64 && l.left*2 > len(l.buf)-l.head {
		n := 0
		for _, e := range l.all() {
			if e.state == ready {
				l.buf[n] = e
				n++
			}
		}
		clear(l.buf[n:])
		l.buf, l.head, l.left = l.buf[:n], 0, 0
	}
}

// first is the first ready entry, or nil.
func (l *readyList) first() *entry {
	for l.head < len(l.buf) {
		if e := l.buf[l.head]; e.state == ready {
			return e
		}
		l.buf[l.head] = nil
		l.head++
		l.left--
	}
	l.buf, l.head, l.left = l.buf[:0], 0, 0
	return nil
}
