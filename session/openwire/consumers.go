package openwire

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/godwitmq/godwit/broker"
	wire "github.com/godwitmq/godwit/codec/openwire"
	"github.com/godwitmq/godwit/message"
)

// objectKey names a producer or consumer within its connection.
type objectKey struct{ session, value int64 }

func consumerKey(id *wire.ConsumerID) objectKey { return objectKey{id.SessionID, id.Value} }
func producerKey(id *wire.ProducerID) objectKey { return objectKey{id.SessionID, id.Value} }

// consumer is one of a connection's.
type consumer struct {
	id      broker.ConsumerID
	wire    wire.ConsumerID
	known   bool // to the core
	durable bool
	begun   atomic.Bool // something was dispatched to it

	sent []sent // guarded by consumers.mu
}

// sent is a dispatch whose acknowledgement may come without the sequence.
type sent struct {
	id       message.ID
	sequence uint64
}

// consumers are those of a connection: the reader makes them, the writer looks them up.
type consumers struct {
	mu    sync.Mutex
	byID  map[broker.ConsumerID]*consumer
	byKey map[objectKey]*consumer
	made  broker.ConsumerID
	// sequences says whether the client's acknowledgements hold the brokerSequenceId of the dispatch. All known clients do;
	// until the first one shows it, dispatches are remembered by their message ids.
	sequences atomic.Int32
}

// What is known of the client's acknowledgements.
const (
	notSeen int32 = iota
	returned
	missing
)

// maxSent bounds the memory for clients that return no sequences: dispatches of a consumer, beyond which the oldest are forgotten.
const maxSent = 1 << 16

func (s *consumers) of(key objectKey) *consumer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byKey[key]
}

func (s *consumers) get(id broker.ConsumerID) *consumer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byID[id]
}

// add gives the consumer of that id, a new one if there is none and fewer than limit.
func (s *consumers) add(id wire.ConsumerID, limit int) *consumer {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := consumerKey(&id)
	if c := s.byKey[key]; c != nil {
		return c
	}
	if len(s.byKey) >= limit || s.made >= maxIndex {
		return nil
	}
	if s.byKey == nil {
		s.byKey, s.byID = map[objectKey]*consumer{}, map[broker.ConsumerID]*consumer{}
	}
	s.made++
	c := &consumer{id: s.made, wire: id}
	s.byKey[key], s.byID[c.id] = c, c
	return c
}

func (s *consumers) remove(id broker.ConsumerID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.byID[id]; c != nil {
		delete(s.byID, id)
		delete(s.byKey, consumerKey(&c.wire))
	}
}

// ofSession lists a session's consumers in the order in which they were made.
func (s *consumers) ofSession(session int64) []*consumer {
	return s.list(func(key objectKey) bool { return key.session == session })
}

// all lists the connection's consumers in that order.
func (s *consumers) all() []*consumer { return s.list(func(objectKey) bool { return true }) }

func (s *consumers) list(wanted func(objectKey) bool) []*consumer {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []*consumer
	for key, c := range s.byKey {
		if wanted(key) {
			list = append(list, c)
		}
	}
	slices.SortFunc(list, func(x, y *consumer) int { return int(int64(x.id) - int64(y.id)) })
	return list
}

// remember keeps a dispatch for an acknowledgement without sequence, unless the client is known to return it.
func (s *consumers) remember(c *consumer, id message.ID, sequence uint64) {
	if s.sequences.Load() == returned {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(c.sent) >= maxSent {
		c.sent = slices.Delete(c.sent, 0, maxSent/2)
	}
	c.sent = append(c.sent, sent{id, sequence})
}

// sequence finds the sequence of an acknowledged dispatch; 0 if the id is null or unknown.
func (s *consumers) sequence(c *consumer, id *wire.MessageID) uint64 {
	switch {
	case *id == wire.MessageID{}:
		return 0
	case id.BrokerSequenceID > 0:
		if s.sequences.Load() == notSeen && s.sequences.CompareAndSwap(notSeen, returned) {
			s.mu.Lock()
			for _, x := range s.byID {
				x.sent = nil
			}
			s.mu.Unlock()
		}
		return uint64(id.BrokerSequenceID)
	}
	s.sequences.CompareAndSwap(notSeen, missing)
	want := messageID(id, nil)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range c.sent {
		if x.id == want {
			return x.sequence
		}
	}
	return 0
}

// settled forgets the dispatches from first to last, of which first may be 0 for the oldest.
func (s *consumers) settled(c *consumer, first, last uint64) {
	if s.sequences.Load() == returned {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	from := max(0, slices.IndexFunc(c.sent, func(x sent) bool { return x.sequence == first }))
	to := slices.IndexFunc(c.sent, func(x sent) bool { return x.sequence == last })
	if to >= from {
		c.sent = slices.Delete(c.sent, from, to+1)
	}
}
