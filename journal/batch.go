package journal

import (
	"encoding/binary"
	"hash/crc32"
)

// HeaderSize is the room in bytes that a Batch leaves before its first record for the engine's own header.
const HeaderSize = 64

// FrameSize is what each record takes beside its data: a 4-byte length and a 4-byte Checksum, little-endian.
const FrameSize = 8

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksumSeed makes a frame of zeros, as a lost write leaves it, differ from an empty record.
const checksumSeed = 0x676f6477

// Checksum is the CRC32C that guards each record's data, begun with the length so that this is guarded too.
func Checksum(data []byte) uint32 {
	return crc32.Update(checksumSeed+uint32(len(data)), castagnoli, data)
}

// Batch collects the records of one atomic append, laid out as an engine writes them, so that nothing is copied twice. The zero
// value is an empty batch.
type Batch struct {
	buf    []byte   // HeaderSize bytes, then frames
	starts []uint32 // offset in buf of each record's frame
	base   Position // position of buf[0], given by Append
}

// Reset empties the batch and keeps its memory.
func (b *Batch) Reset() {
	b.buf = append(b.buf[:0], make([]byte, HeaderSize)...)
	b.starts = b.starts[:0]
	b.base = 0
}

// Add appends one record whose data is the parts, one after the other. The parts are copied.
func (b *Batch) Add(parts ...[]byte) {
	if len(b.buf) == 0 {
		b.Reset()
	}
	start := len(b.buf)
	b.starts = append(b.starts, uint32(start))
	b.buf = append(b.buf, 0, 0, 0, 0, 0, 0, 0, 0)
	for _, p := range parts {
		b.buf = append(b.buf, p...)
	}
	data := b.buf[start+FrameSize:]
	binary.LittleEndian.PutUint32(b.buf[start:], uint32(len(data)))
	binary.LittleEndian.PutUint32(b.buf[start+4:], Checksum(data))
}

// Len is the number of records.
func (b *Batch) Len() int { return len(b.starts) }

// Size is the number of bytes with header and frames.
func (b *Batch) Size() int { return len(b.buf) }

// Position is the position of record i. It is known once Append has returned.
func (b *Batch) Position(i int) Position { return b.base + Position(b.starts[i]) }

// Bytes is the batch as laid out: HeaderSize bytes for the engine to fill, then the frames. For engines.
func (b *Batch) Bytes() []byte { return b.buf }

// Place gives the batch its position. For engines.
func (b *Batch) Place(base Position) { b.base = base }
