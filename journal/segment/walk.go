package segment

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/godwitmq/godwit/journal"
	"github.com/godwitmq/godwit/journal/layout"
)

// chunkSize is how much is read from a file at once.
const chunkSize = 1 << 20

// walker reads the batches of one segment in order and verifies them.
type walker struct {
	seg  *segment
	at   journal.Position // of the next batch
	end  journal.Position // where the segment's content ends at most
	link layout.Link
	head layout.Header // of the batch that next returned

	buf  []byte
	r, n int // buf[r:n] was read and not yet verified
	// turn, if set, takes the verified part of the buffer over and returns another buffer, or nil to stop.
	turn func(verified []byte) []byte
}

func (w *walker) begin(s *segment, from, end journal.Position) {
	w.seg, w.at, w.end = s, from, end
	w.r, w.n = 0, 0
}

var errStopped = errors.New("stopped")

// fill makes at least need bytes unread, need <= end-at.
func (w *walker) fill(need int) error {
	if w.n-w.r >= need {
		return nil
	}
	rest := w.buf[w.r:w.n]
	if w.turn != nil {
		done := w.buf[:w.r]
		buf := w.turn(done)
		if buf == nil {
			return errStopped
		}
		w.buf = buf
	}
	if len(w.buf) < need {
		w.buf = make([]byte, max(int64(need), min(chunkSize, int64(w.end-w.at))))
	}
	have := copy(w.buf, rest)
	w.r = 0
	want := min(int64(len(w.buf)), int64(w.end-w.at))
	if !w.seg.enter() {
		return fmt.Errorf("read %s: %w", w.seg.name, journal.ErrTrimmed)
	}
	n, err := w.seg.file.ReadAt(w.buf[have:want], w.seg.offset(w.at)+int64(have))
	w.seg.leave()
	w.n = have + n
	if w.n < need {
		if err == nil || err == io.EOF {
			return w.seg.corrupt(w.at, "the file ends within a batch")
		}
		return fmt.Errorf("read %s at offset %d: %w", w.seg.name, w.seg.offset(w.at)+int64(w.n), err)
	}
	return nil
}

// next returns the next batch, valid until the call after. At the end it returns nil. A batch that is not the next one
// is a *journal.CorruptError and leaves the walker before it.
func (w *walker) next() ([]byte, error) {
	left := w.end - w.at
	if left == 0 {
		return nil, nil
	}
	if left < headerSize {
		return nil, w.seg.corrupt(w.at, "no room for a batch header")
	}
	if err := w.fill(headerSize); err != nil {
		return nil, err
	}
	h := &w.head
	if wrong := h.Parse(w.buf[w.r:]); wrong != "" {
		return nil, w.seg.corrupt(w.at, wrong)
	}
	switch {
	case h.Base != w.at:
		return nil, w.seg.corrupt(w.at, fmt.Sprintf("batch %d of position %d stands at position %d", h.Number, h.Base, w.at))
	case h.Length < minBatch || h.Stored() > int64(left):
		return nil, w.seg.corrupt(w.at, fmt.Sprintf("length of batch %d is %d, %d are left", h.Number, h.Length, left))
	case uint64(h.Unsynced) > uint64(h.Base):
		return nil, w.seg.corrupt(w.at, fmt.Sprintf("batch %d claims %d unsynced bytes before it", h.Number, h.Unsynced))
	}
	stored := int(h.Stored())
	if err := w.fill(stored); err != nil {
		return nil, err
	}
	batch := w.buf[w.r : w.r+stored]
	hash, wrong := h.Verify(batch)
	if wrong == "" {
		wrong = w.link.Check(h)
	}
	if wrong != "" {
		return nil, w.seg.corrupt(w.at, wrong)
	}
	w.link.Advance(h, hash)
	w.at = h.End()
	w.r += stored
	if h.Flags&layout.FlagGap != 0 {
		w.end = max(w.end, w.at)
		w.n = w.r // what was read of the gap is skipped
	}
	return batch, nil
}

// evidence looks in a file, from an offset on, for a whole batch that satisfies ok, and returns its header and offset.
// It is how damage is told from a torn tail, and how Verify finds the log again behind damage.
func evidence(s *segment, from int64, ok func(h *layout.Header, off int64) bool) (h layout.Header, off int64, found bool, err error) {
	mark := binary.LittleEndian.AppendUint32(nil, layout.Magic)
	buf := make([]byte, min(chunkSize, max(0, s.size-from)))
	var whole []byte
	for from+headerSize <= s.size {
		n, err := s.file.ReadAt(buf[:min(int64(len(buf)), s.size-from)], from)
		if err != nil && err != io.EOF {
			return h, 0, false, fmt.Errorf("read %s at offset %d: %w", s.name, from, err)
		}
		if n < headerSize {
			break
		}
		for i := 0; ; i++ {
			j := bytes.Index(buf[i:n], mark)
			if j < 0 || i+j+headerSize > n {
				break
			}
			i += j
			off := from + int64(i)
			if h.Parse(buf[i:n]) != "" || h.Length < minBatch || off+h.Stored() > s.size || uint64(h.Unsynced) > uint64(h.Base) || !ok(&h, off) {
				continue
			}
			batch := buf[i:n]
			if int64(len(batch)) < h.Stored() {
				if int64(len(whole)) < h.Stored() {
					whole = make([]byte, h.Stored())
				}
				batch = whole
				if _, err := s.file.ReadAt(batch[:h.Stored()], off); err != nil {
					return h, 0, false, fmt.Errorf("read %s at offset %d: %w", s.name, off, err)
				}
			}
			if _, wrong := h.Verify(batch[:h.Stored()]); wrong == "" {
				return h, off, true, nil
			}
		}
		from += int64(n - headerSize + 1) // a header may lie across the border
	}
	return h, 0, false, nil
}
