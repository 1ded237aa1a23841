package segment

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"

	"github.com/godwitmq/godwit/journal"
	"github.com/godwitmq/godwit/journal/layout"
)

const (
	readAhead  = 3       // buffers of chunkSize between the verifying goroutine and the callback
	probeBytes = 2 << 10 // ReadAt reads this much at once if dst is smaller
)

// piece is a run of verified batches.
type piece struct {
	batches []byte
	buf     []byte // to be given back
	err     error
}

// Read implements journal.Log. One goroutine reads and verifies ahead of the callback. Whole segments are verified, also what lies before from.
func (l *Log) Read(from journal.Position, fn func(journal.Record) error) error {
	return l.read(from, func(from journal.Position, batches []byte) error { return deliver(batches, from, fn) })
}

// ReadBatches implements journal.Log. It reads as Read does.
func (l *Log) ReadBatches(from journal.Position, fn func(batch []byte) error) error {
	return l.read(from, func(from journal.Position, batches []byte) error {
		var h layout.Header
		for len(batches) > 0 {
			h.Parse(batches)
			batch := batches[:h.Stored()]
			batches = batches[h.Stored():]
			if h.End() <= from {
				continue
			}
			if err := fn(batch); err != nil {
				return err
			}
		}
		return nil
	})
}

// read gives runs of verified batches, from the segment with a position on up to the durable tail, and the position: the head's for 0.
func (l *Log) read(from journal.Position, give func(from journal.Position, batches []byte) error) error {
	tail := l.Tail()
	head := l.Head()
	if from == 0 {
		from = head
	}
	if from < head {
		return l.trimmed(from)
	}
	segs := *l.segs.Load()
	if i := find(segs, from); i >= 0 {
		segs = segs[i:]
	}
	if from >= tail {
		return nil
	}
	if l.opt.Inline {
		return readInline(segs, from, tail, give)
	}

	pieces := make(chan piece, readAhead)
	free := make(chan []byte, readAhead)
	stop := make(chan struct{})
	for range readAhead {
		free <- nil // made when needed
	}
	go func() {
		defer close(pieces)
		err := verifyAhead(segs, tail, func(done, buf []byte) []byte {
			if len(done) > 0 {
				select {
				case pieces <- piece{batches: done, buf: buf}:
				case <-stop:
					return nil
				}
			} else if buf != nil {
				return buf
			}
			select {
			case buf := <-free:
				if buf == nil {
					buf = make([]byte, chunkSize)
				}
				return buf
			case <-stop:
				return nil
			}
		})
		if err != nil && err != errStopped {
			select {
			case pieces <- piece{err: err}:
			case <-stop:
			}
		}
	}()
	var err error
	for p := range pieces {
		if err = p.err; err == nil {
			err = give(from, p.batches)
		}
		if err != nil {
			break
		}
		free <- p.buf // never full: each buffer came from there
	}
	close(stop)
	for range pieces {
	}
	return err
}

func readInline(segs []*segment, from, tail journal.Position, give func(from journal.Position, batches []byte) error) error {
	var failed error
	var size int64
	for _, s := range segs {
		size = max(size, s.size)
	}
	buf := make([]byte, min(size, chunkSize))
	err := verifyAhead(segs, tail, func(done, _ []byte) []byte {
		if failed = give(from, done); failed != nil {
			return nil
		}
		return buf
	})
	if failed != nil {
		return failed
	}
	return err
}

// verifyAhead walks the segments up to the tail. turn is given each run of verified batches with the buffer they lie in, and returns another
// buffer, or nil to stop.
func verifyAhead(segs []*segment, tail journal.Position, turn func(done, buf []byte) []byte) error {
	w := &walker{}
	var stopped bool
	w.turn = func(done []byte) []byte {
		buf := turn(done, w.buf)
		stopped = buf == nil
		return buf
	}
	for i, s := range segs {
		end := tail
		if i+1 < len(segs) {
			end = min(end, segs[i+1].base)
		}
		if s.base >= end {
			break
		}
		if err := w.segmentTo(s, end); err != nil {
			return err
		}
		// What is left of this segment goes out before the buffer gets the next.
		if w.r > 0 {
			w.buf = w.turn(w.buf[:w.r])
			w.r, w.n = 0, 0
			if stopped {
				return errStopped
			}
		}
	}
	return nil
}

func (w *walker) segmentTo(s *segment, end journal.Position) error {
	w.begin(s, s.base, end)
	for {
		batch, err := w.next()
		if err != nil {
			return err
		}
		if batch == nil {
			return nil
		}
		if w.head.Flags&layout.FlagGap != 0 && w.at > end {
			return s.corrupt(w.head.Base, "the gap reaches into the next segment")
		}
	}
}

// deliver calls fn for the records at or after from in verified batches.
func deliver(batches []byte, from journal.Position, fn func(journal.Record) error) error {
	var h layout.Header
	for len(batches) > 0 {
		h.Parse(batches)
		stored := int(h.Stored())
		if err := layout.Records(&h, batches[:stored], from, fn); err != nil {
			return err
		}
		batches = batches[stored:]
	}
	return nil
}

func (l *Log) trimmed(at journal.Position) error {
	return fmt.Errorf("read journal %s at position %d, its head is %d: %w", l.dir, at, l.Head(), journal.ErrTrimmed)
}

// left says why a segment cannot be entered any more.
func (l *Log) left(at journal.Position) error {
	l.mu.Lock()
	err := l.usable()
	l.mu.Unlock()
	if err != nil {
		return err
	}
	return l.trimmed(at)
}

// ReadAt implements journal.Log. A record that is not durable yet is an error of its own, neither ErrTrimmed nor ErrCorrupt. It allocates
// nothing, and asks the system once, if dst has room for the record and 8 bytes more.
func (l *Log) ReadAt(at journal.Position, dst []byte) ([]byte, error) {
	if at < l.Head() {
		return nil, l.trimmed(at)
	}
	end := l.Tail()
	if at+journal.FrameSize > end {
		return nil, fmt.Errorf("read journal %s at position %d: the durable tail is %d", l.dir, at, end)
	}
	segs := *l.segs.Load()
	i := find(segs, at)
	if i < 0 {
		return nil, l.trimmed(at)
	}
	s := segs[i]
	if i+1 < len(segs) {
		end = min(end, segs[i+1].base)
	}
	if !s.enter() {
		return nil, l.left(at)
	}
	defer s.leave()
	left := int64(end - at)
	if left < journal.FrameSize {
		return nil, s.corrupt(at, "no record begins here")
	}
	buf := dst[:cap(dst)]
	if len(buf) < probeBytes && int64(len(buf)) < left {
		buf = make([]byte, probeBytes)
	}
	have := min(left, int64(len(buf)))
	if n, err := s.file.ReadAt(buf[:have], s.offset(at)); int64(n) < have {
		return nil, l.readFailed(s, at, err)
	}
	length := int64(binary.LittleEndian.Uint32(buf))
	if length > left-journal.FrameSize {
		return nil, s.corrupt(at, fmt.Sprintf("a record's length is %d, %d bytes are left", length, left-journal.FrameSize))
	}
	if whole := journal.FrameSize + length; whole > have {
		if int64(len(buf)) < whole {
			buf = slices.Grow(buf[:have], int(whole-have))
		}
		buf = buf[:whole]
		if n, err := s.file.ReadAt(buf[have:], s.offset(at)+have); int64(n) < whole-have {
			return nil, l.readFailed(s, at, err)
		}
	}
	data := buf[journal.FrameSize:][:length]
	if got, want := binary.LittleEndian.Uint32(buf[4:]), journal.Checksum(data); got != want {
		return nil, s.corrupt(at, fmt.Sprintf("checksum of the record is %08x, computed %08x", got, want))
	}
	return buf[:copy(buf, data)], nil
}

// Header implements journal.Log.
func (l *Log) Header(at journal.Position) (head [journal.HeaderSize]byte, err error) {
	if at+headerSize > l.Tail() {
		return head, fmt.Errorf("read journal %s at position %d: the durable tail is %d", l.dir, at, l.Tail())
	}
	segs := *l.segs.Load()
	i := find(segs, at)
	if i < 0 {
		return head, l.trimmed(at)
	}
	s := segs[i]
	if !s.enter() {
		return head, l.left(at)
	}
	defer s.leave()
	if n, err := s.file.ReadAt(head[:], s.offset(at)); n < headerSize {
		return head, l.readFailed(s, at, err)
	}
	var h layout.Header
	if wrong := h.Parse(head[:]); wrong != "" || h.Base != at {
		return head, s.corrupt(at, "no batch begins here")
	}
	return head, nil
}

func (l *Log) readFailed(s *segment, at journal.Position, err error) error {
	if err == nil || err == io.EOF {
		return s.corrupt(at, "the file ends within a record")
	}
	return fmt.Errorf("read %s at offset %d: %w", s.name, s.offset(at), err)
}
