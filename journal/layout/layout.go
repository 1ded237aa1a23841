// Package layout is the form of a batch, the same in every engine: a header of 64 bytes that names its place in the log and chains it to the batch
// before, then the frames of its records. Engines differ in where they put batches, not in what proves them.
package layout

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/zeebo/xxh3"

	"github.com/godwitmq/godwit/journal"
)

// A batch on disk: a header of 64 bytes, then record frames (length, CRC32C, data). All numbers are little-endian.
//
//	 0  magic "GWJ1"
//	 4  format version
//	 6  flags
//	 8  epoch of the writer
//	16  number, one more than that of the batch before
//	24  base: the position of the header's first byte
//	32  length in bytes, header included
//	36  number of records
//	40  unsynced: base minus the position up to which the log was durable when this batch was written
//	44  128-bit hash of the batch before (its header and the hash of its content)
//	60  CRC32C of bytes 0..59 and of the 128-bit hash of the content
const (
	Magic   = 0x314a5747 // "GWJ1"
	Version = 1

	FlagControl = 1 // no records: the content is a control, see control
	FlagGap     = 2 // stands for a range that was given up by Repair: no content, base+length is where the log goes on

	// HeaderSize is what comes before the content.
	HeaderSize = journal.HeaderSize

	crcOffset   = HeaderSize - 4
	maxPosition = 1 << 62 // so that no sum of a position and a length overflows
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Digest is a 128-bit hash.
type Digest [16]byte

func sum(data []byte) (d Digest) {
	h := xxh3.Hash128(data)
	binary.LittleEndian.PutUint64(d[:], h.Lo)
	binary.LittleEndian.PutUint64(d[8:], h.Hi)
	return d
}

// Header is the header of one batch.
type Header struct {
	Flags    uint16
	Epoch    uint64 // of the writer
	Number   uint64
	Base     journal.Position
	Length   uint32 // bytes, header included; of a gap: what it stands for
	Count    uint32 // of records
	Unsynced uint32
	Prev     Digest
	scratch  [HeaderSize + 16]byte // for sums over header and digest; here, as it would be allocated each time elsewhere
}

// End is the position after the batch.
func (h *Header) End() journal.Position { return h.Base + journal.Position(h.Length) }

// Durable is the position up to which the log was durable when the batch was written.
func (h *Header) Durable() journal.Position { return h.Base - journal.Position(h.Unsynced) }

// Seal writes the header into the first bytes of a batch whose content is in place, and returns the hash for the next batch.
func (h *Header) Seal(batch []byte) Digest {
	b := batch[:HeaderSize]
	binary.LittleEndian.PutUint32(b[0:], Magic)
	binary.LittleEndian.PutUint16(b[4:], Version)
	binary.LittleEndian.PutUint16(b[6:], h.Flags)
	binary.LittleEndian.PutUint64(b[8:], h.Epoch)
	binary.LittleEndian.PutUint64(b[16:], h.Number)
	binary.LittleEndian.PutUint64(b[24:], uint64(h.Base))
	binary.LittleEndian.PutUint32(b[32:], h.Length)
	binary.LittleEndian.PutUint32(b[36:], h.Count)
	binary.LittleEndian.PutUint32(b[40:], h.Unsynced)
	copy(b[44:], h.Prev[:])
	var content Digest
	if h.Flags&FlagGap == 0 {
		content = sum(batch[HeaderSize:])
	}
	binary.LittleEndian.PutUint32(b[crcOffset:], h.checksum(b, content))
	return h.Hash(b, content)
}

// Hash is what the next batch carries as prev. After a gap the chain goes on with the hash that the gap names.
func (h *Header) Hash(head []byte, content Digest) Digest {
	if h.Flags&FlagGap != 0 {
		return h.Prev
	}
	copy(h.scratch[:], head[:HeaderSize])
	copy(h.scratch[HeaderSize:], content[:])
	return sum(h.scratch[:])
}

func (h *Header) checksum(head []byte, content Digest) uint32 {
	both := h.scratch[:crcOffset+16]
	copy(both, head[:crcOffset])
	copy(both[crcOffset:], content[:])
	return crc32.Checksum(both, castagnoli)
}

// Parse reads a header without judging it beyond magic and version. A wrong reason means it is none.
func (h *Header) Parse(b []byte) (wrong string) {
	if len(b) < HeaderSize {
		return "no room for a batch header"
	}
	if m := binary.LittleEndian.Uint32(b); m != Magic {
		return fmt.Sprintf("no batch begins here (found %08x)", m)
	}
	if v := binary.LittleEndian.Uint16(b[4:]); v != Version {
		return fmt.Sprintf("format version is %d, this program knows %d", v, Version)
	}
	h.Flags = binary.LittleEndian.Uint16(b[6:])
	h.Epoch = binary.LittleEndian.Uint64(b[8:])
	h.Number = binary.LittleEndian.Uint64(b[16:])
	h.Base = journal.Position(binary.LittleEndian.Uint64(b[24:]))
	h.Length = binary.LittleEndian.Uint32(b[32:])
	if h.Base > maxPosition {
		return fmt.Sprintf("position %d is beyond all that can be", h.Base)
	}
	h.Count = binary.LittleEndian.Uint32(b[36:])
	h.Unsynced = binary.LittleEndian.Uint32(b[40:])
	copy(h.Prev[:], b[44:])
	return ""
}

// Stored is the number of bytes that the batch takes in the file.
func (h *Header) Stored() int64 {
	if h.Flags&FlagGap != 0 {
		return HeaderSize
	}
	return int64(h.Length)
}

// Verify checks a whole batch (stored bytes) whose header was parsed from it, and returns the hash for the next one.
func (h *Header) Verify(batch []byte) (hash Digest, wrong string) {
	var content Digest
	if h.Flags&FlagGap == 0 {
		content = sum(batch[HeaderSize:])
	}
	got, want := binary.LittleEndian.Uint32(batch[crcOffset:]), h.checksum(batch, content)
	if got != want {
		return hash, fmt.Sprintf("checksum of batch %d is %08x, computed %08x", h.Number, got, want)
	}
	if h.Flags != 0 && (h.Flags != FlagControl && h.Flags != FlagGap || h.Count != 0) {
		return hash, fmt.Sprintf("batch %d has the flags %x and %d records, which cannot be", h.Number, h.Flags, h.Count)
	}
	if h.Flags == 0 {
		if wrong := checkFrames(batch, h.Count); wrong != "" {
			return hash, fmt.Sprintf("batch %d: %s", h.Number, wrong)
		}
	}
	return h.Hash(batch, content), ""
}

// checkFrames verifies each record of a batch: the hash above proves that the bytes are those that were written, this that they were
// whole when they were handed over.
func checkFrames(batch []byte, count uint32) (wrong string) {
	at, n := HeaderSize, uint32(0)
	for at < len(batch) {
		data, wrong := Frame(batch, at)
		if wrong != "" {
			return wrong
		}
		at += journal.FrameSize + len(data)
		n++
	}
	if n != count {
		return fmt.Sprintf("%d records announced, %d found", count, n)
	}
	return ""
}

// Frame returns the data of the record whose frame begins at an offset of b, verified.
func Frame(b []byte, at int) (data []byte, wrong string) {
	if len(b)-at < journal.FrameSize {
		return nil, "a record's frame is cut off"
	}
	length := binary.LittleEndian.Uint32(b[at:])
	if uint64(length) > uint64(len(b)-at-journal.FrameSize) {
		return nil, fmt.Sprintf("a record's length is %d, more than its batch holds", length)
	}
	data = b[at+journal.FrameSize:][:length:length]
	got, want := binary.LittleEndian.Uint32(b[at+4:]), journal.Checksum(data)
	if got != want {
		return nil, fmt.Sprintf("checksum of a record is %08x, computed %08x", got, want)
	}
	return data, ""
}

// Link is what the next batch must follow. The zero value follows anything.
type Link struct {
	Known  bool
	Epoch  uint64 // of the last batch
	Number uint64 // of the next
	Hash   Digest // of the last batch
}

// Check says why a batch, valid in itself, is not the next one.
func (l *Link) Check(h *Header) (wrong string) {
	gap := h.Flags&FlagGap != 0
	switch {
	case !l.Known:
	case h.Epoch < l.Epoch:
		return fmt.Sprintf("batch %d is of epoch %d, older than %d before it", h.Number, h.Epoch, l.Epoch)
	case gap && h.Number+1 < l.Number:
		return fmt.Sprintf("a gap up to batch %d follows batch %d", h.Number, l.Number-1)
	case gap:
	case h.Number != l.Number:
		return fmt.Sprintf("batch %d stands where %d belongs", h.Number, l.Number)
	case h.Prev != l.Hash:
		return fmt.Sprintf("batch %d does not follow the batch before it: its chain hash is %x, computed %x", h.Number, h.Prev, l.Hash)
	}
	return ""
}

// Advance takes a batch that Check has passed, with its hash.
func (l *Link) Advance(h *Header, hash Digest) {
	*l = Link{Known: true, Epoch: h.Epoch, Number: h.Number + 1, Hash: hash}
}

// FrameLength is the length of the data of the record whose frame begins at b, unverified.
func FrameLength(b []byte) uint64 { return uint64(binary.LittleEndian.Uint32(b)) }

// Records calls fn for the records of a verified batch at or after a position, and returns its error as it is. Batches of an engine's own have none.
func Records(h *Header, batch []byte, from journal.Position, fn func(journal.Record) error) error {
	if h.Count == 0 || h.End() <= from {
		return nil
	}
	for at := HeaderSize; at < len(batch); {
		length := int(FrameLength(batch[at:]))
		r := journal.Record{
			Position: h.Base + journal.Position(at),
			Epoch:    h.Epoch,
			Data:     batch[at+journal.FrameSize:][:length:length],
		}
		at += journal.FrameSize + length
		if r.Position < from {
			continue
		}
		if err := fn(r); err != nil {
			return err
		}
	}
	return nil
}
