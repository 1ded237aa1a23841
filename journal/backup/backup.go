// Package backup is the form of a backup: one file with a stretch of a log, from its head to a position, and the few files that belong to it. The batches are in it as the
// log's engine had them, each with its checksum and the hash of the one before; a manifest says what the file is, and its last section proves that nothing is
// missing. Whoever writes one need not be able to go back in it, and whoever reads one knows at each byte whether it is whole so far. docs/journal.md has the bytes.
package backup

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"time"

	"github.com/godwitmq/godwit/journal"
	"github.com/godwitmq/godwit/journal/layout"
)

// The kinds of log that a backup may have.
const (
	Broker  = "broker"
	Service = "service" // the control plane's
)

// Manifest says what a backup is.
type Manifest struct {
	Format   int              `json:"format"` // of the file: Format
	Kind     string           `json:"kind"`   // Broker or Service
	Name     string           `json:"name"`   // of the broker
	Instance string           `json:"instance,omitempty"`
	Made     time.Time        `json:"made"`     // what was acknowledged before is in it
	Version  string           `json:"version"`  // of the program that made it
	Head     journal.Position `json:"head"`     // of its first record
	Position journal.Position `json:"position"` // behind its last batch
	Epoch    uint64           `json:"epoch"`    // of whoever wrote the log when it was made
	Config   string           `json:"config,omitempty"`
}

// Format is the version of the form that is written here, and the only one that can be read.
const Format = 1

// End proves that a backup is whole.
type End struct {
	Batches uint64 `json:"batches"`
	Records uint64 `json:"records"`
	Bytes   uint64 `json:"bytes"`  // of the file before this section
	SHA256  string `json:"sha256"` // of these
}

// A section of the file that is no batch: 4 bytes magic, 1 byte kind, 3 zero, 4 bytes length of the data, 4 bytes CRC32C of the twelve before and the data; the data.
const (
	magic         = 0x31425747 // "GWB1"
	sectionHeader = 16

	kindManifest = 1
	kindFile     = 2 // length of its name (1 byte), name, content
	kindEnd      = 3
	kindFailed   = 4 // why no end follows, in words

	maxManifest = 1 << 20
	maxFile     = 64 << 20
	maxBatch    = 1 << 30
	maxName     = 255
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Errors that callers tell apart. They are wrapped with where and why.
var (
	// ErrForeign means that it is no backup, or one that this program does not know.
	ErrForeign = errors.New("this is not a backup that can be read")
	// ErrCut means that the file ends too early: whoever wrote it was interrupted, or the file was cut.
	ErrCut = errors.New("the backup is cut off")
	// ErrDamaged means that what is in the file is not what was written.
	ErrDamaged = errors.New("the backup is damaged")
	// ErrFailed means that whoever made it has given it up, and says why.
	ErrFailed = errors.New("the backup was given up")
)

// Writer writes a backup.
type Writer struct {
	to   io.Writer
	sum  hash.Hash
	head journal.Position
	end  End
}

// NewWriter begins a backup.
func NewWriter(to io.Writer, m Manifest) (*Writer, error) {
	m.Format = Format
	w := &Writer{to: to, sum: sha256.New(), head: m.Head}
	data, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	return w, w.section(kindManifest, data)
}

func (w *Writer) write(b []byte) error {
	w.sum.Write(b)
	w.end.Bytes += uint64(len(b))
	_, err := w.to.Write(b)
	return err
}

func (w *Writer) section(kind byte, data []byte) error {
	if len(data) > maxFile {
		return fmt.Errorf("a section of a backup may have %d bytes, this one has %d", maxFile, len(data))
	}
	b := make([]byte, sectionHeader, sectionHeader+len(data))
	binary.LittleEndian.PutUint32(b, magic)
	b[4] = kind
	binary.LittleEndian.PutUint32(b[8:], uint32(len(data)))
	binary.LittleEndian.PutUint32(b[12:], sectionSum(b, data))
	return w.write(append(b, data...))
}

func sectionSum(header, data []byte) uint32 {
	return crc32.Update(crc32.Checksum(header[:12], castagnoli), castagnoli, data)
}

// File adds a file that belongs to the log. Files come before the batches.
func (w *Writer) File(name string, content []byte) error {
	if name == "" || len(name) > maxName {
		return fmt.Errorf("a file's name has 1 to %d bytes", maxName)
	}
	return w.section(kindFile, append(append([]byte{byte(len(name))}, name...), content...))
}

// Batch adds a batch as journal.Log.ReadBatches gives it.
func (w *Writer) Batch(b []byte) error {
	var h layout.Header
	if wrong := h.Parse(b); wrong != "" {
		return fmt.Errorf("add a batch to a backup: %s", wrong)
	}
	w.end.Batches++
	if err := layout.Records(&h, b, w.head, func(journal.Record) error { w.end.Records++; return nil }); err != nil {
		return err
	}
	return w.write(b)
}

// End completes the backup.
func (w *Writer) End() (End, error) {
	w.end.SHA256 = fmt.Sprintf("%x", w.sum.Sum(nil))
	end := w.end
	data, err := json.Marshal(end)
	if err != nil {
		return end, err
	}
	return end, w.section(kindEnd, data)
}

// Fail says why the backup is not completed.
func (w *Writer) Fail(why string) error { return w.section(kindFailed, []byte(why)) }

// Reader reads a backup. It believes nothing that it has not verified.
type Reader struct {
	Manifest Manifest

	from io.Reader
	sum  hash.Hash
	at   uint64 // bytes read and summed up
	mark uint64 // where the piece that is being read begins
	buf  []byte
}

// NewReader reads the manifest. Errors: ErrForeign, ErrCut, ErrDamaged, ErrFailed, and those of from.
func NewReader(from io.Reader) (*Reader, error) {
	r := &Reader{from: from, sum: sha256.New()}
	var head [sectionHeader]byte
	err := r.fill(head[:4])
	if err != nil && !errors.Is(err, ErrCut) {
		return nil, err
	}
	if err != nil || binary.LittleEndian.Uint32(head[:]) != magic {
		return nil, fmt.Errorf("%w: it does not begin as one", ErrForeign)
	}
	kind, data, err := r.section(&head, maxManifest)
	switch {
	case err != nil:
		return nil, err
	case kind == kindFailed:
		return nil, fmt.Errorf("%w: %s", ErrFailed, data)
	case kind != kindManifest:
		return nil, r.damaged("a section of kind %d stands where the manifest belongs", kind)
	}
	if err := json.Unmarshal(data, &r.Manifest); err != nil {
		return nil, r.damaged("its manifest: %v", err)
	}
	m := &r.Manifest
	if m.Format != Format {
		return nil, fmt.Errorf("%w: its format is %d, made by version %s; this program knows %d", ErrForeign, m.Format, m.Version, Format)
	}
	if m.Kind != Broker && m.Kind != Service || m.Head > m.Position {
		return nil, r.damaged("its manifest speaks of a %q from position %d to %d", m.Kind, m.Head, m.Position)
	}
	return r, nil
}

// Read reads the rest. file is told of each file, record of each record, in order; what they are given is valid until they return, and an error of theirs is returned as
// it is. What they were told counts only if Read returns no error. Errors: ErrCut, ErrDamaged, ErrFailed, and those of the source.
func (r *Reader) Read(file func(name string, content []byte) error, record func(journal.Record) error) (End, error) {
	var seen End
	var link layout.Link
	var h layout.Header
	m := &r.Manifest
	at := m.Head // where the next batch begins
	for {
		var head [layout.HeaderSize]byte
		r.mark = r.at
		if err := r.next(head[:4]); err != nil {
			return seen, err
		}
		if binary.LittleEndian.Uint32(head[:]) == magic {
			before := r.sum.Sum(nil)
			r.take(head[:4])
			kind, data, err := r.section((*[sectionHeader]byte)(head[:]), maxFile)
			if err != nil {
				return seen, err
			}
			switch kind {
			case kindFile:
				n := 0
				if len(data) > 0 {
					n = int(data[0])
				}
				if n == 0 || len(data) < 1+n || seen.Batches > 0 {
					return seen, r.damaged("a file is out of place")
				}
				if err := file(string(data[1:1+n]), data[1+n:]); err != nil {
					return seen, err
				}
			case kindFailed:
				return seen, fmt.Errorf("%w: %s", ErrFailed, data)
			case kindEnd:
				seen.Bytes, seen.SHA256 = r.mark, fmt.Sprintf("%x", before)
				return seen, r.finish(data, seen, at)
			default:
				return seen, r.damaged("there is no section of kind %d", kind)
			}
			continue
		}
		r.take(head[:4])
		if err := r.fill(head[4:]); err != nil {
			return seen, err
		}
		if wrong := h.Parse(head[:]); wrong != "" {
			return seen, r.damaged("%s", wrong)
		}
		switch first := seen.Batches == 0; {
		case first && (h.Base > at || h.End() <= at) || !first && h.Base != at:
			return seen, r.damaged("batch %d is of positions %d to %d, and %d is wanted", h.Number, h.Base, h.End(), at)
		case h.Length < layout.HeaderSize || h.Stored() > maxBatch || h.End() > m.Position:
			return seen, r.damaged("length of batch %d is %d", h.Number, h.Length)
		}
		batch, err := r.bytes(head[:], int(h.Stored()))
		if err != nil {
			return seen, err
		}
		hash, wrong := h.Verify(batch)
		if wrong == "" {
			wrong = link.Check(&h)
		}
		if wrong != "" {
			return seen, r.damaged("%s", wrong)
		}
		link.Advance(&h, hash)
		at = h.End()
		seen.Batches++
		err = layout.Records(&h, batch, m.Head, func(x journal.Record) error {
			seen.Records++
			return record(x)
		})
		if err != nil {
			return seen, err
		}
	}
}

// finish compares what was read with what the last section says.
func (r *Reader) finish(data []byte, seen End, at journal.Position) error {
	var end End
	if err := json.Unmarshal(data, &end); err != nil {
		return r.damaged("its end: %v", err)
	}
	if end != seen || at != r.Manifest.Position {
		return r.damaged("it ends with %d batches, %d records and the SHA-256 %s, and has %d, %d and %s; its log ends at position %d, and should at %d",
			end.Batches, end.Records, end.SHA256, seen.Batches, seen.Records, seen.SHA256, at, r.Manifest.Position)
	}
	var more [1]byte
	if n, err := io.ReadFull(r.from, more[:]); n > 0 {
		return r.damaged("something follows its end")
	} else if !ended(err) {
		return err
	}
	return nil
}

// section reads the rest of a section whose magic was read.
func (r *Reader) section(head *[sectionHeader]byte, limit uint32) (kind byte, data []byte, err error) {
	if err := r.fill(head[4:]); err != nil {
		return 0, nil, err
	}
	n := binary.LittleEndian.Uint32(head[8:])
	if n > limit {
		return 0, nil, r.damaged("a section has %d bytes", n)
	}
	if data, err = r.bytes(nil, int(n)); err != nil {
		return 0, nil, err
	}
	if got, want := binary.LittleEndian.Uint32(head[12:]), sectionSum(head[:], data); got != want {
		return 0, nil, r.damaged("checksum of a section is %08x, computed %08x", got, want)
	}
	return head[4], data, nil
}

// bytes gives n bytes, of which the first were read. They are valid until the next call. No more memory is taken than the source has bytes, about.
func (r *Reader) bytes(begin []byte, n int) ([]byte, error) {
	const piece = 1 << 20
	b := append(r.buf[:0], begin...)
	for len(b) < n {
		more := min(n-len(b), piece)
		have := len(b)
		b = append(b, make([]byte, more)...)
		if err := r.fill(b[have:]); err != nil {
			return nil, err
		}
	}
	r.buf = b
	return b, nil
}

// next reads without summing up, fill does both.
func (r *Reader) next(b []byte) error {
	n, err := io.ReadFull(r.from, b)
	if err != nil && ended(err) {
		return fmt.Errorf("%w at offset %d: whoever wrote it was interrupted, or not all of it was copied", ErrCut, r.at+uint64(n))
	}
	return err
}

func (r *Reader) fill(b []byte) error {
	if err := r.next(b); err != nil {
		return err
	}
	r.take(b)
	return nil
}

func (r *Reader) take(b []byte) {
	r.sum.Write(b)
	r.at += uint64(len(b))
}

func (r *Reader) damaged(format string, args ...any) error {
	return fmt.Errorf("%w at offset %d: %s", ErrDamaged, r.mark, fmt.Sprintf(format, args...))
}

func ended(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }
