package segment

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
	magic   = 0x314a5747 // "GWJ1"
	version = 1

	flagControl = 1 // no records: the content is a control, see control
	flagGap     = 2 // stands for a range that was given up by Repair: no content, base+length is where the log goes on

	headerSize  = journal.HeaderSize
	crcOffset   = headerSize - 4
	minBatch    = headerSize
	payloadSize = 32
	controlSize = headerSize + payloadSize
	// controlRoom at the end of each segment is left to controls, so that trimming and closing work in a full log.
	controlRoom = 4096
	block       = 4096
	maxPosition = 1 << 62 // so that no sum of a position and a length overflows
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

type digest [16]byte

func sum(data []byte) (d digest) {
	h := xxh3.Hash128(data)
	binary.LittleEndian.PutUint64(d[:], h.Lo)
	binary.LittleEndian.PutUint64(d[8:], h.Hi)
	return d
}

type header struct {
	flags    uint16
	epoch    uint64
	number   uint64
	base     journal.Position
	length   uint32
	count    uint32
	unsynced uint32
	prev     digest
	scratch  [headerSize + 16]byte // for sums over header and digest; here, as it would be allocated each time elsewhere
}

func (h *header) end() journal.Position { return h.base + journal.Position(h.length) }

// durable is the position up to which the log was durable when the batch was written.
func (h *header) durable() journal.Position { return h.base - journal.Position(h.unsynced) }

// seal writes the header into the first bytes of a batch whose content is in place, and returns the hash for the next batch.
func (h *header) seal(batch []byte) digest {
	b := batch[:headerSize]
	binary.LittleEndian.PutUint32(b[0:], magic)
	binary.LittleEndian.PutUint16(b[4:], version)
	binary.LittleEndian.PutUint16(b[6:], h.flags)
	binary.LittleEndian.PutUint64(b[8:], h.epoch)
	binary.LittleEndian.PutUint64(b[16:], h.number)
	binary.LittleEndian.PutUint64(b[24:], uint64(h.base))
	binary.LittleEndian.PutUint32(b[32:], h.length)
	binary.LittleEndian.PutUint32(b[36:], h.count)
	binary.LittleEndian.PutUint32(b[40:], h.unsynced)
	copy(b[44:], h.prev[:])
	var content digest
	if h.flags&flagGap == 0 {
		content = sum(batch[headerSize:])
	}
	binary.LittleEndian.PutUint32(b[crcOffset:], h.checksum(b, content))
	return h.hash(b, content)
}

// hash is what the next batch carries as prev. After a gap the chain goes on with the hash that the gap names.
func (h *header) hash(head []byte, content digest) digest {
	if h.flags&flagGap != 0 {
		return h.prev
	}
	copy(h.scratch[:], head[:headerSize])
	copy(h.scratch[headerSize:], content[:])
	return sum(h.scratch[:])
}

func (h *header) checksum(head []byte, content digest) uint32 {
	both := h.scratch[:crcOffset+16]
	copy(both, head[:crcOffset])
	copy(both[crcOffset:], content[:])
	return crc32.Checksum(both, castagnoli)
}

// parse reads a header without judging it beyond magic and version. A wrong reason means it is none.
func (h *header) parse(b []byte) (wrong string) {
	if len(b) < headerSize {
		return "no room for a batch header"
	}
	if m := binary.LittleEndian.Uint32(b); m != magic {
		return fmt.Sprintf("no batch begins here (found %08x)", m)
	}
	if v := binary.LittleEndian.Uint16(b[4:]); v != version {
		return fmt.Sprintf("format version is %d, this program knows %d", v, version)
	}
	h.flags = binary.LittleEndian.Uint16(b[6:])
	h.epoch = binary.LittleEndian.Uint64(b[8:])
	h.number = binary.LittleEndian.Uint64(b[16:])
	h.base = journal.Position(binary.LittleEndian.Uint64(b[24:]))
	h.length = binary.LittleEndian.Uint32(b[32:])
	if h.base > maxPosition {
		return fmt.Sprintf("position %d is beyond all that can be", h.base)
	}
	h.count = binary.LittleEndian.Uint32(b[36:])
	h.unsynced = binary.LittleEndian.Uint32(b[40:])
	copy(h.prev[:], b[44:])
	return ""
}

// stored is the number of bytes that the batch takes in the file.
func (h *header) stored() int64 {
	if h.flags&flagGap != 0 {
		return headerSize
	}
	return int64(h.length)
}

// verify checks a whole batch (stored bytes) whose header was parsed from it, and returns the hash for the next one.
func (h *header) verify(batch []byte) (hash digest, wrong string) {
	var content digest
	if h.flags&flagGap == 0 {
		content = sum(batch[headerSize:])
	}
	got, want := binary.LittleEndian.Uint32(batch[crcOffset:]), h.checksum(batch, content)
	if got != want {
		return hash, fmt.Sprintf("checksum of batch %d is %08x, computed %08x", h.number, got, want)
	}
	if h.flags != 0 && (h.flags != flagControl && h.flags != flagGap || h.count != 0) {
		return hash, fmt.Sprintf("batch %d has the flags %x and %d records, which cannot be", h.number, h.flags, h.count)
	}
	if h.flags == 0 {
		if wrong := checkFrames(batch, h.count); wrong != "" {
			return hash, fmt.Sprintf("batch %d: %s", h.number, wrong)
		}
	}
	return h.hash(batch, content), ""
}

// checkFrames verifies each record of a batch: the hash above proves that the bytes are those that were written, this that they were
// whole when they were handed over.
func checkFrames(batch []byte, count uint32) (wrong string) {
	at, n := headerSize, uint32(0)
	for at < len(batch) {
		data, wrong := frame(batch, at)
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

// frame returns the data of the record whose frame begins at an offset of b, verified.
func frame(b []byte, at int) (data []byte, wrong string) {
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

// The kinds of control.
const (
	controlSegment = 1 // the first batch of a segment
	controlOpen    = 2 // a new epoch; also the first batch of a segment if it stands there
	controlTrim    = 3 // the head has moved
	controlClose   = 4 // all before is durable, nothing was left open
)

// control is the content of a batch of the engine's own: 1 byte kind, 7 zero, 8 bytes head, 8 bytes file number, 8 zero.
type control struct {
	kind byte
	head journal.Position
	file uint64
}

func (c control) encode() []byte {
	b := make([]byte, controlSize)
	p := b[headerSize:]
	p[0] = c.kind
	binary.LittleEndian.PutUint64(p[8:], uint64(c.head))
	binary.LittleEndian.PutUint64(p[16:], c.file)
	return b
}

func decodeControl(batch []byte) (c control, ok bool) {
	if len(batch) != controlSize {
		return c, false
	}
	p := batch[headerSize:]
	return control{
		kind: p[0],
		head: journal.Position(binary.LittleEndian.Uint64(p[8:])),
		file: binary.LittleEndian.Uint64(p[16:]),
	}, p[0] >= controlSegment && p[0] <= controlClose
}

func frameLength(b []byte) uint64 { return uint64(binary.LittleEndian.Uint32(b)) }
