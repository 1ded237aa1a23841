// Package checkpoint keeps one summary of a log in a file beside it, so that a start need not read all of the log.
//
// A checkpoint is a cache: what it says can always be had again from the log, and when in doubt it is. It is tied to the log by the header of the last
// batch that it sums up, which carries number, epoch, checksum and the chained hash of all before it: a log that has the same header at the same
// place has the same records before it. docs/journal.md has the bytes.
package checkpoint

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"path"
	"sync"

	"github.com/godwitmq/godwit/journal"
	"github.com/godwitmq/godwit/vfs"
)

// Name is the file's. While it is being written it has Unfinished behind it.
const (
	Name       = "checkpoint"
	Unfinished = ".tmp"
)

const (
	magic     = 0x31435747 // "GWC1"
	begin     = 4 + 8 + 8 + journal.HeaderSize + 4
	frameSize = 8 // length and CRC32C before each item
	maxItem   = 64 << 20
	piece     = 1 << 20 // written at a time
	syncEvery = 4 << 20 // so that the log's own syncs do not wait for much
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrNone means that there is no checkpoint that could be used, and why in words. The log is then read from its head.
var ErrNone = errors.New("no checkpoint")

// Store is the place of a log's checkpoint. Saves wait for each other.
type Store struct {
	FS  vfs.FS
	Dir string // the log's; whoever has the log's lock has this, too

	saving sync.Mutex
}

// Log is what is asked of the log that a checkpoint may belong to, as journal.Log has it.
type Log interface {
	Header(at journal.Position) ([journal.HeaderSize]byte, error)
	Head() journal.Position
	Tail() journal.Position
}

// Factor is by how many times its own size the log must at least grow between two checkpoints: so writing them costs a fixed share of what the log itself writes.
const Factor = 4

// Mark says up to where a checkpoint tells.
type Mark struct {
	Batch journal.Position // of the last batch that it sums up
	Tail  journal.Position // the end of that batch
}

// Save replaces the checkpoint by what write puts. The mark's batch must be durable, and header gives its header, as the log does. It returns when the new one is durable, and
// its size in bytes. After an error the old one is still there.
func (s *Store) Save(header func(at journal.Position) ([journal.HeaderSize]byte, error), mark Mark, write func(put func(item []byte) error) error) (size int64, err error) {
	s.saving.Lock()
	defer s.saving.Unlock()
	name := path.Join(s.Dir, Name)
	defer func() {
		if err != nil {
			err = fmt.Errorf("write checkpoint %s: %w", name, err)
		}
	}()
	head, err := header(mark.Batch)
	if err != nil {
		return 0, err
	}
	file, err := s.FS.Create(name + Unfinished)
	if err != nil {
		return 0, err
	}
	defer func() {
		if file != nil {
			file.Close()
			s.FS.Remove(name + Unfinished)
		}
	}()
	w := &writer{file: file}
	b := binary.LittleEndian.AppendUint32(nil, magic)
	b = binary.LittleEndian.AppendUint64(b, uint64(mark.Batch))
	b = binary.LittleEndian.AppendUint64(b, uint64(mark.Tail))
	b = append(b, head[:]...)
	w.buf = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	if err := write(w.put); err != nil {
		return 0, err
	}
	if err := w.write(0); err != nil {
		return 0, err
	}
	if err := file.Datasync(); err != nil {
		return 0, err
	}
	err = file.Close()
	if file = nil; err != nil {
		return 0, err
	}
	if err := s.FS.Rename(name+Unfinished, name); err != nil {
		return 0, err
	}
	return w.at, s.FS.SyncDir(s.Dir)
}

// writer writes items in larger pieces.
type writer struct {
	file     vfs.File
	buf      []byte
	at       int64
	unsynced int64
}

func (w *writer) put(item []byte) error {
	if len(item) > maxItem {
		return fmt.Errorf("an item has %d bytes, the most is %d", len(item), maxItem)
	}
	w.buf = binary.LittleEndian.AppendUint32(w.buf, uint32(len(item)))
	w.buf = binary.LittleEndian.AppendUint32(w.buf, crc32.Checksum(item, castagnoli))
	w.buf = append(w.buf, item...)
	return w.write(piece)
}

// write writes what is buffered if it is at least so much.
func (w *writer) write(least int) error {
	if len(w.buf) < least {
		return nil
	}
	n, err := w.file.WriteAt(w.buf, w.at)
	if err != nil {
		return err
	}
	w.at += int64(n)
	w.unsynced += int64(n)
	w.buf = w.buf[:0]
	if w.unsynced < syncEvery {
		return nil
	}
	w.unsynced = 0
	return w.file.Datasync()
}

// Load gives the items of the checkpoint to take, in order, if it belongs to the log, and says up to where it tells. Errors: ErrNone, also for one that is
// damaged, and those of take: whatever was taken then must be thrown away.
func (s *Store) Load(log Log, take func(item []byte) error) (mark Mark, err error) {
	file, err := s.FS.Open(path.Join(s.Dir, Name))
	if errors.Is(err, fs.ErrNotExist) {
		return mark, fmt.Errorf("%w: none was written yet", ErrNone)
	}
	if err != nil {
		return mark, fmt.Errorf("%w: %w", ErrNone, err)
	}
	defer file.Close()
	size, err := file.Size()
	if err != nil {
		return mark, fmt.Errorf("%w: %w", ErrNone, err)
	}
	r := &reader{file: file, size: size}
	b, err := r.next(begin)
	if err != nil {
		return mark, err
	}
	if binary.LittleEndian.Uint32(b) != magic || crc32.Checksum(b[:begin-4], castagnoli) != binary.LittleEndian.Uint32(b[begin-4:]) {
		return mark, fmt.Errorf("%w: it is damaged at its beginning", ErrNone)
	}
	mark.Batch, mark.Tail = journal.Position(binary.LittleEndian.Uint64(b[4:])), journal.Position(binary.LittleEndian.Uint64(b[12:]))
	head, err := log.Header(mark.Batch)
	if err != nil {
		return mark, fmt.Errorf("%w: the log has not the batch at position %d that it ends with: %w", ErrNone, mark.Batch, err)
	}
	if !bytes.Equal(head[:], b[20:20+journal.HeaderSize]) || mark.Tail > log.Tail() {
		return mark, fmt.Errorf("%w: it is of another log, or of a part of it that was lost", ErrNone)
	}
	if mark.Tail < log.Head() {
		return mark, fmt.Errorf("%w: it tells up to position %d, and the log begins at %d", ErrNone, mark.Tail, log.Head())
	}
	for r.at < size {
		b, err := r.next(frameSize)
		if err != nil {
			return mark, err
		}
		length, sum, at := int64(binary.LittleEndian.Uint32(b)), binary.LittleEndian.Uint32(b[4:]), r.at
		item, err := r.next(length)
		if err != nil {
			return mark, err
		}
		if crc32.Checksum(item, castagnoli) != sum {
			return mark, fmt.Errorf("%w: it is damaged at offset %d", ErrNone, at)
		}
		if err := take(item); err != nil {
			return mark, err
		}
	}
	return mark, nil
}

// reader reads ahead in larger pieces.
type reader struct {
	file     vfs.File
	size, at int64
	buf      []byte // from at on
	room     []byte
}

// next gives so many bytes, which are valid until the next call.
func (r *reader) next(n int64) ([]byte, error) {
	if n > maxItem || n > r.size-r.at {
		return nil, fmt.Errorf("%w: it ends within an item, at offset %d", ErrNone, r.at)
	}
	if int64(len(r.buf)) < n {
		want := min(max(n, piece), r.size-r.at)
		if int64(cap(r.room)) < want {
			r.room = make([]byte, want)
		}
		if m, err := r.file.ReadAt(r.room[:want], r.at); int64(m) < want {
			if err == nil {
				err = io.ErrUnexpectedEOF
			}
			return nil, fmt.Errorf("%w: %w", ErrNone, err)
		}
		r.buf = r.room[:want]
	}
	b := r.buf[:n]
	r.buf = r.buf[n:]
	r.at += n
	return b, nil
}

// Remove forgets the checkpoint, for a log that was changed other than by appending.
func (s *Store) Remove() error {
	err := s.FS.Remove(path.Join(s.Dir, Name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove checkpoint: %w", err)
	}
	return s.FS.SyncDir(s.Dir)
}
