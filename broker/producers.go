package broker

import (
	"container/list"

	"github.com/godwitmq/godwit/message"
)

// producer is one message producer's last stored sequence, by which a second copy after a failover is recognised.
type producer struct {
	id   string
	last int64
	home uint64 // not after the newest record that tells last
	at   *list.Element
}

// producers remembers those used most recently.
type producers struct {
	byID   map[string]*producer
	recent list.List // of *producer, the most recent in front
}

// seen says whether a message of this or a later sequence is stored already.
func (ps *producers) seen(id message.ID) bool {
	p := ps.byID[id.Producer]
	return p != nil && id.Sequence >= 0 && id.Sequence <= p.last
}

// set remembers the sequence of a message, which a record at home or later tells.
func (ps *producers) set(id message.ID, limit int, home uint64) {
	if id.Sequence < 0 {
		return
	}
	p := ps.byID[id.Producer]
	if p == nil {
		p = ps.add(id.Producer, limit)
	} else if p.at != ps.recent.Front() {
		ps.recent.MoveToFront(p.at)
	}
	if id.Sequence >= p.last {
		p.last, p.home = id.Sequence, home
	}
}

func (ps *producers) add(id string, limit int) *producer {
	for ps.recent.Len() >= limit {
		oldest := ps.recent.Back()
		delete(ps.byID, oldest.Value.(*producer).id)
		ps.recent.Remove(oldest)
	}
	p := &producer{id: id, last: -1}
	p.at = ps.recent.PushFront(p)
	ps.byID[id] = p
	return p
}
