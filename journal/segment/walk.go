package segment

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/godwitmq/godwit/journal"
)

// chunkSize is how much is read from a file at once.
const chunkSize = 1 << 20

// link is what the next batch must follow. The zero value follows anything.
type link struct {
	known  bool
	epoch  uint64 // of the last batch
	number uint64 // of the next
	hash   digest // of the last batch
}

// check says why a batch, valid in itself, is not the next one.
func (l *link) check(h *header) (wrong string) {
	gap := h.flags&flagGap != 0
	switch {
	case !l.known:
	case h.epoch < l.epoch:
		return fmt.Sprintf("batch %d is of epoch %d, older than %d before it", h.number, h.epoch, l.epoch)
	case gap && h.number+1 < l.number:
		return fmt.Sprintf("a gap up to batch %d follows batch %d", h.number, l.number-1)
	case gap:
	case h.number != l.number:
		return fmt.Sprintf("batch %d stands where %d belongs", h.number, l.number)
	case h.prev != l.hash:
		return fmt.Sprintf("batch %d does not follow the batch before it: its chain hash is %x, computed %x", h.number, h.prev, l.hash)
	}
	return ""
}

func (l *link) advance(h *header, hash digest) {
	*l = link{known: true, epoch: h.epoch, number: h.number + 1, hash: hash}
}

// walker reads the batches of one segment in order and verifies them.
type walker struct {
	seg  *segment
	at   journal.Position // of the next batch
	end  journal.Position // where the segment's content ends at most
	link link
	head header // of the batch that next returned

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
	if wrong := h.parse(w.buf[w.r:]); wrong != "" {
		return nil, w.seg.corrupt(w.at, wrong)
	}
	switch {
	case h.base != w.at:
		return nil, w.seg.corrupt(w.at, fmt.Sprintf("batch %d of position %d stands at position %d", h.number, h.base, w.at))
	case h.length < minBatch || h.stored() > int64(left):
		return nil, w.seg.corrupt(w.at, fmt.Sprintf("length of batch %d is %d, %d are left", h.number, h.length, left))
	case uint64(h.unsynced) > uint64(h.base):
		return nil, w.seg.corrupt(w.at, fmt.Sprintf("batch %d claims %d unsynced bytes before it", h.number, h.unsynced))
	}
	stored := int(h.stored())
	if err := w.fill(stored); err != nil {
		return nil, err
	}
	batch := w.buf[w.r : w.r+stored]
	hash, wrong := h.verify(batch)
	if wrong == "" {
		wrong = w.link.check(h)
	}
	if wrong != "" {
		return nil, w.seg.corrupt(w.at, wrong)
	}
	w.link.advance(h, hash)
	w.at = h.end()
	w.r += stored
	if h.flags&flagGap != 0 {
		w.end = max(w.end, w.at)
		w.n = w.r // what was read of the gap is skipped
	}
	return batch, nil
}

// evidence looks in a file, from an offset on, for a whole batch that satisfies ok, and returns its header and offset.
// It is how damage is told from a torn tail, and how Verify finds the log again behind damage.
func evidence(s *segment, from int64, ok func(h *header, off int64) bool) (h header, off int64, found bool, err error) {
	mark := binary.LittleEndian.AppendUint32(nil, magic)
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
			if h.parse(buf[i:n]) != "" || h.length < minBatch || off+h.stored() > s.size || uint64(h.unsynced) > uint64(h.base) || !ok(&h, off) {
				continue
			}
			batch := buf[i:n]
			if int64(len(batch)) < h.stored() {
				if int64(len(whole)) < h.stored() {
					whole = make([]byte, h.stored())
				}
				batch = whole
				if _, err := s.file.ReadAt(batch[:h.stored()], off); err != nil {
					return h, 0, false, fmt.Errorf("read %s at offset %d: %w", s.name, off, err)
				}
			}
			if _, wrong := h.verify(batch[:h.stored()]); wrong == "" {
				return h, off, true, nil
			}
		}
		from += int64(n - headerSize + 1) // a header may lie across the border
	}
	return h, 0, false, nil
}
