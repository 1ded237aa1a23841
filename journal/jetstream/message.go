package jetstream

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/godwitmq/godwit/journal"
	"github.com/godwitmq/godwit/journal/layout"
)

// A stream's message is either batches, whole and one after the other, or a part of one batch that is too long for one message. A part begins with
// a header of its own, little-endian:
//
//	 0  magic "GWF1"
//	 4  which part, from 0 on
//	 8  number of parts
//	12  length of the whole batch in bytes
//	16  base: the batch's position
//	24  length of this part's data
//	28  CRC32C of bytes 0..27 and the data
//
// All parts but the last have partSize bytes of data. A batch in parts is in the log when its last part is.
const (
	partMagic  = 0x31465747 // "GWF1"
	partHeader = 32
	partSize   = 512 << 10
	// wholeSize is up to what size a batch, or several together, are one message: the engine's batches with one large record at their end.
	wholeSize = 768 << 10
	// groupSize is up to what size batches that wait are put together.
	groupSize = 512 << 10
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// part is one part of a long batch.
type part struct {
	index, parts uint32
	length       uint32 // of the batch
	base         journal.Position
	data         []byte
}

func (p *part) encode() []byte {
	b := make([]byte, partHeader, partHeader+len(p.data))
	binary.LittleEndian.PutUint32(b[0:], partMagic)
	binary.LittleEndian.PutUint32(b[4:], p.index)
	binary.LittleEndian.PutUint32(b[8:], p.parts)
	binary.LittleEndian.PutUint32(b[12:], p.length)
	binary.LittleEndian.PutUint64(b[16:], uint64(p.base))
	binary.LittleEndian.PutUint32(b[24:], uint32(len(p.data)))
	b = append(b, p.data...)
	binary.LittleEndian.PutUint32(b[28:], partSum(b))
	return b
}

func partSum(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[:28], castagnoli), castagnoli, b[partHeader:])
}

func isPart(b []byte) bool { return len(b) >= 4 && binary.LittleEndian.Uint32(b) == partMagic }

// partsOf is the number of parts of a batch.
func partsOf(length uint32) uint32 { return uint32((uint64(length) + partSize - 1) / partSize) }

// decode reads a part and verifies it. The data lies in b.
func (p *part) decode(b []byte) (wrong string) {
	if len(b) < partHeader {
		return "a part of a batch is cut off"
	}
	p.index = binary.LittleEndian.Uint32(b[4:])
	p.parts = binary.LittleEndian.Uint32(b[8:])
	p.length = binary.LittleEndian.Uint32(b[12:])
	p.base = journal.Position(binary.LittleEndian.Uint64(b[16:]))
	p.data = b[partHeader:]
	if n := binary.LittleEndian.Uint32(b[24:]); uint64(n) != uint64(len(p.data)) {
		return fmt.Sprintf("a part of %d bytes has %d", n, len(p.data))
	}
	if got, want := binary.LittleEndian.Uint32(b[28:]), partSum(b); got != want {
		return fmt.Sprintf("checksum of part %d of the batch at position %d is %08x, computed %08x", p.index, p.base, got, want)
	}
	size := uint64(partSize)
	if p.index+1 == p.parts {
		size = uint64(p.length) - uint64(p.index)*partSize
	}
	if p.parts != partsOf(p.length) || p.index >= p.parts || uint64(len(p.data)) != size {
		return fmt.Sprintf("part %d of %d of a batch of %d bytes has %d bytes, which cannot be", p.index, p.parts, p.length, len(p.data))
	}
	return ""
}

// The kinds of control. Those that the file engine has as well have its numbers.
const (
	controlOpen      = 2 // a new epoch
	controlTrim      = 3 // the head has moved
	controlClose     = 4 // the writer has ended in good order
	controlHeartbeat = 5 // the writer is there
	controlHandOver  = 6 // the writer has ended for the benefit of the instance named
)

// control is the content of a batch of the log's own: 1 byte kind, 1 byte state, 6 zero, 8 bytes head, 8 bytes nonce, 8 zero, then a name. Each names the head and the
// state, so that they are found without reading the log from its beginning.
type control struct {
	kind  byte
	state State
	head  journal.Position
	nonce uint64 // open: makes two openings differ that know no better; of a log that is being filled or was left: which copy
	name  string // the writer's instance; handOver: who is to be next
}

const (
	controlBytes = 32
	maxName      = 255
)

func (c control) encode() []byte {
	b := make([]byte, layout.HeaderSize+controlBytes, layout.HeaderSize+controlBytes+len(c.name))
	p := b[layout.HeaderSize:]
	p[0], p[1] = c.kind, byte(c.state)
	binary.LittleEndian.PutUint64(p[8:], uint64(c.head))
	binary.LittleEndian.PutUint64(p[16:], c.nonce)
	return append(b, c.name...)
}

// decodeControl reads the content of a verified control. Kinds that this program does not know are of no consequence to it.
func decodeControl(batch []byte) (c control, ok bool) {
	p := batch[layout.HeaderSize:]
	if len(p) < controlBytes || len(p) > controlBytes+maxName {
		return c, false
	}
	return control{
		kind:  p[0],
		state: State(p[1]),
		head:  journal.Position(binary.LittleEndian.Uint64(p[8:])),
		nonce: binary.LittleEndian.Uint64(p[16:]),
		name:  string(p[controlBytes:]),
	}, true
}

// eachBatch calls fn for the batches of a message, each verified in itself, with the hash that the next must have.
func eachBatch(data []byte, fn func(h *layout.Header, batch []byte, hash layout.Digest) error) (wrong string, err error) {
	var h layout.Header
	for len(data) > 0 {
		if wrong := h.Parse(data); wrong != "" {
			return wrong, nil
		}
		if h.Length < layout.HeaderSize || uint64(h.Length) > uint64(len(data)) {
			return fmt.Sprintf("length of batch %d is %d, its message has %d more", h.Number, h.Length, len(data)), nil
		}
		batch := data[:h.Length]
		if h.Flags&layout.FlagGap != 0 {
			return fmt.Sprintf("batch %d is a gap, which a stream does not have", h.Number), nil
		}
		hash, wrong := h.Verify(batch)
		if wrong != "" {
			return wrong, nil
		}
		if err := fn(&h, batch, hash); err != nil {
			return "", err
		}
		data = data[h.Length:]
	}
	return "", nil
}
