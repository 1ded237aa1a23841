package segment

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/godwitmq/godwit/journal"
	"github.com/godwitmq/godwit/journal/layout"
)

// state is what the files say.
type state struct {
	live  []*segment  // in the order of the log; the last holds the tail
	free  []*segment  // hold nothing of the log
	link  layout.Link // for the next batch
	head  journal.Position
	tail  journal.Position
	redo  journal.Position // redo..tail may never have been synced: the last group of writes
	clean bool             // the last writer closed the log
}

// first reads the batch at the start of a file: a control, or a gap made by Repair. Anything else is not of a log, or not any more.
func first(s *segment) (h layout.Header, c control, ok bool, err error) {
	var buf [controlSize]byte
	n, err := s.file.ReadAt(buf[:], 0)
	if err != nil && err != io.EOF {
		return h, c, false, fmt.Errorf("read %s: %w", s.name, err)
	}
	if h.Parse(buf[:n]) != "" {
		return h, c, false, nil
	}
	if h.Flags&layout.FlagGap != 0 {
		_, wrong := h.Verify(buf[:headerSize])
		return h, c, wrong == "", nil
	}
	if h.Flags&layout.FlagControl == 0 || h.Length != controlSize || n < controlSize {
		return h, c, false, nil
	}
	if _, wrong := h.Verify(buf[:]); wrong != "" {
		return h, c, false, nil
	}
	c, ok = decodeControl(buf[:])
	return h, c, ok, nil
}

// examine sorts the files into those of the log and the others, and finds the tail. Only the last segment is read whole: the
// owner reads the rest anyway, and Read verifies.
func examine(dir string, files []*segment) (*state, error) {
	type candidate struct {
		*segment
		number uint64
	}
	var known []candidate
	st := &state{}
	for _, s := range files {
		h, _, ok, err := first(s)
		if err != nil {
			return nil, err
		}
		if !ok {
			st.free = append(st.free, s)
			continue
		}
		s.base = h.Base
		known = append(known, candidate{s, h.Number})
	}
	// Files that were trimmed away come before the head, in any state; those after it are in the order of both numbers.
	slices.SortFunc(known, func(a, b candidate) int { return cmp.Or(cmp.Compare(a.number, b.number), cmp.Compare(a.base, b.base)) })
	for _, k := range known {
		st.live = append(st.live, k.segment)
	}

	var last layout.Header
	for i := len(st.live) - 1; i >= 0; i-- {
		headKnown, err := st.readTail(st.live[i], i == len(st.live)-1, &last)
		if err != nil {
			return nil, err
		}
		if headKnown {
			break
		}
	}
	if len(st.live) > 0 {
		i := len(st.live) - 1
		for i > 0 && st.live[i].base > st.head {
			i--
		}
		if st.live[i].base > st.head {
			return nil, &journal.CorruptError{File: dir, At: st.head, Reason: fmt.Sprintf("the segment with the head, position %d, is missing", st.head)}
		}
		st.free = append(st.free, st.live[:i]...)
		st.live = st.live[i:]
		for i, s := range st.live[1:] {
			if s.base <= st.live[i].base {
				return nil, &journal.CorruptError{File: s.name, At: s.base, Reason: "its position is not after that of the segment before"}
			}
		}
	}
	return st, st.lookBeyond()
}

// readTail walks a segment for the newest control and, in the last segment, for the tail.
func (st *state) readTail(s *segment, isLast bool, last *layout.Header) (headKnown bool, err error) {
	w := &walker{}
	w.begin(s, s.base, s.base+journal.Position(s.size))
	for {
		batch, err := w.next()
		if err != nil {
			var damage *journal.CorruptError
			if !errors.As(err, &damage) {
				return false, err
			}
			break
		}
		if batch == nil {
			break
		}
		*last = w.head
		closed := false
		if w.head.Flags&layout.FlagControl != 0 {
			if c, ok := decodeControl(batch); ok {
				st.head, headKnown = c.head, true
				closed = c.kind == controlClose
			}
		}
		if isLast {
			st.clean = closed
		}
	}
	if isLast {
		st.link, st.tail = w.link, w.at
		st.redo = max(s.base, last.Durable())
	}
	return headKnown, nil
}

// lookBeyond decides whether the tail was torn by a crash or damaged. Each batch says up to where the log was durable when it
// was written. So a batch anywhere that names a position behind the tail proves that durable batches are gone. Others are what a
// crash left of writes that were never acknowledged, or what a reused file held before.
func (st *state) lookBeyond() error {
	proof := func(h *layout.Header) bool { return h.Durable() > st.tail }
	damage := func(s *segment, at int64, by *layout.Header, in *segment, off int64) error {
		return &journal.CorruptError{File: s.name, Offset: at, At: st.tail,
			Reason: fmt.Sprintf("batch %d is not readable, but batch %d is (%s at offset %d)", st.link.Number, by.Number, in.name, off)}
	}
	if n := len(st.live); n > 0 {
		s := st.live[n-1]
		from := s.offset(st.tail)
		h, off, found, err := evidence(s, from, func(h *layout.Header, off int64) bool {
			return h.Base == s.base+journal.Position(off) && proof(h)
		})
		if err != nil {
			return err
		}
		if found {
			return damage(s, from, &h, s, off)
		}
		// A whole batch just here that does not follow is another history, unless it is of an earlier epoch.
		if h.Parse(readHeader(s, from)) == "" && h.Base == st.tail && h.Number == st.link.Number && h.Epoch >= st.link.Epoch &&
			h.Length >= minBatch && from+h.Stored() <= s.size {
			batch := make([]byte, h.Stored())
			if _, err := s.file.ReadAt(batch, from); err == nil {
				if _, wrong := h.Verify(batch); wrong == "" {
					return s.corrupt(st.tail, st.link.Check(&h))
				}
			}
		}
	}
	for _, s := range st.free {
		h, off, found, err := evidence(s, 0, func(h *layout.Header, off int64) bool {
			return uint64(h.Base) >= uint64(off) && proof(h)
		})
		if err != nil {
			return err
		}
		if found {
			return damage(s, 0, &h, s, off)
		}
	}
	return nil
}

func readHeader(s *segment, off int64) []byte {
	buf := make([]byte, headerSize)
	n, _ := s.file.ReadAt(buf, off)
	return buf[:n]
}

// rewrite writes redo..tail once more, as it is, and syncs it. After a failed sync the system may show bytes that never reached
// the disk and are not dirty any more; only what has been written again is certain to be synced.
func (st *state) rewrite() error {
	if len(st.live) == 0 {
		return nil
	}
	s := st.live[len(st.live)-1]
	buf := make([]byte, min(chunkSize, int64(st.tail-st.redo)))
	for at := st.redo; at < st.tail; {
		b := buf[:min(int64(len(buf)), int64(st.tail-at))]
		if _, err := s.file.ReadAt(b, s.offset(at)); err != nil {
			return fmt.Errorf("read %s at offset %d: %w", s.name, s.offset(at), err)
		}
		if _, err := s.file.WriteAt(b, s.offset(at)); err != nil {
			return fmt.Errorf("write %s at offset %d again: %w", s.name, s.offset(at), err)
		}
		at += journal.Position(len(b))
	}
	if err := s.file.Datasync(); err != nil {
		return fmt.Errorf("sync %s: %w", s.name, err)
	}
	return nil
}
