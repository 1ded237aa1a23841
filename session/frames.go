package session

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/godwitmq/godwit/broker"
)

// FrameMemory is what frames may take that have begun to come and are not whole, of all connections together, beyond the 64 KiB that each connection has
// for its own. A client that announces a large frame and sends it slowly costs what it has sent, and all of them together no more than this.
type FrameMemory struct {
	limit    int64
	patience time.Duration

	mu   sync.Mutex
	used int64
	shut bool    // the process is short of memory: nothing more is granted
	line []*wish // that could not be granted, in the order in which they came
}

// wish is that of one connection for more memory.
type wish struct {
	more, missing int64
	granted       chan struct{}
}

// DefaultFrameMemory is the limit where nothing else is said, in bytes.
const DefaultFrameMemory = 256 << 20

// framePatience is how long a frame waits for memory before its connection is sent away.
const framePatience = 30 * time.Second

// NewFrameMemory gives a bound of so many bytes; 0 means DefaultFrameMemory.
func NewFrameMemory(limit int64) *FrameMemory {
	if limit <= 0 {
		limit = DefaultFrameMemory
	}
	return &FrameMemory{limit: limit, patience: framePatience}
}

// Limit changes the bound; 0 means DefaultFrameMemory. Who waits and has room now goes on.
func (m *FrameMemory) Limit(limit int64) {
	if limit <= 0 {
		limit = DefaultFrameMemory
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.limit = limit
	m.grant()
}

// Used is how many bytes are taken.
func (m *FrameMemory) Used() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.used
}

// Share gives a connection its share. gone is closed when the connection ends, so that it waits for nothing any more. Nil gives nil, a share without a bound.
func (m *FrameMemory) Share(gone <-chan struct{}) *FrameShare {
	if m == nil {
		return nil
	}
	return &FrameShare{memory: m, gone: gone}
}

// FrameShare is one connection's share of a FrameMemory, for its codec. One goroutine uses it.
type FrameShare struct {
	memory *FrameMemory
	gone   <-chan struct{}
	busy   func(bool) // is told when waiting begins and ends; may be nil
	failed *broker.Error
}

// OnWait makes the share tell when it begins and ends to wait: the client is not read meanwhile, so that its silence means nothing.
func (s *FrameShare) OnWait(busy func(bool)) { s.busy = busy }

// Grow takes more bytes for a frame that needs missing in all beyond what it has. It gets them when all of missing is free, so that whoever has begun can come
// to an end whatever the others do; others with smaller wishes go before. It waits for half a minute at most, or until the connection is gone. The error is a
// *broker.Error with Full, the same from then on.
func (s *FrameShare) Grow(more, missing int) error {
	if s.failed != nil {
		return s.failed
	}
	m, w := s.memory, &wish{more: int64(more), missing: int64(max(more, missing))}
	m.mu.Lock()
	if m.fits(w) {
		m.used += w.more
		m.mu.Unlock()
		return nil
	}
	possible := w.missing <= m.limit
	if possible {
		w.granted = make(chan struct{})
		m.line = append(m.line, w)
	}
	m.mu.Unlock()
	if possible && s.wait(w) {
		return nil
	}
	s.failed = m.full(w, possible)
	return s.failed
}

// wait waits for a wish and says whether it was granted.
func (s *FrameShare) wait(w *wish) bool {
	if s.busy != nil {
		s.busy(true)
		defer s.busy(false)
	}
	m := s.memory
	timer := time.NewTimer(m.patience)
	defer timer.Stop()
	select {
	case <-w.granted:
		return true
	case <-s.gone:
	case <-timer.C:
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	i := slices.Index(m.line, w)
	if i < 0 { // granted in this moment
		return true
	}
	m.line = slices.Delete(m.line, i, i+1)
	return false
}

func (m *FrameMemory) fits(w *wish) bool { return !m.shut && m.used+w.missing <= m.limit }

// Shut has all that wants more wait while the process is short of memory, until it is not any more. Ordinary frames, as acknowledgements are, need nothing from here.
func (m *FrameMemory) Shut(on bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.shut = on
	m.grant()
}

// grant gives those that wait what fits now, in the order in which they came. The caller holds mu.
func (m *FrameMemory) grant() {
	m.line = slices.DeleteFunc(m.line, func(w *wish) bool {
		if !m.fits(w) {
			return false
		}
		m.used += w.more
		close(w.granted)
		return true
	})
}

// full says why a wish was not granted.
func (m *FrameMemory) full(w *wish, possible bool) *broker.Error {
	e := &broker.Error{Code: broker.Full, Op: "read a frame"}
	m.mu.Lock()
	limit, used, shut := m.limit, m.used, m.shut
	m.mu.Unlock()
	if !possible {
		e.Detail = fmt.Sprintf("the frame needs %d bytes, and frames that are on their way may take %d together (limits.frames)", w.missing, limit)
		return e
	}
	if shut {
		e.Detail = fmt.Sprintf("the process is short of memory (limits.process), and a frame that needs %d bytes more has waited for %v", w.missing, m.patience)
		return e
	}
	e.Detail = fmt.Sprintf("%d bytes were not free within %v: frames of other connections that are on their way take %d of the %d that they may take together (limits.frames)",
		w.missing, m.patience, used, limit)
	return e
}

// Shrink gives bytes back, to those that wait.
func (s *FrameShare) Shrink(less int) {
	m := s.memory
	m.mu.Lock()
	defer m.mu.Unlock()
	m.used -= int64(less)
	m.grant()
}

// Spare says whether size bytes are free for others while somebody keeps what he does not need just now.
func (s *FrameShare) Spare(size int) bool {
	m := s.memory
	m.mu.Lock()
	defer m.mu.Unlock()
	return !m.shut && len(m.line) == 0 && m.limit-m.used >= min(int64(size), m.limit)
}
