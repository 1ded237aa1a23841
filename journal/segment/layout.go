package segment

import (
	"encoding/binary"

	"github.com/godwitmq/godwit/journal"
	"github.com/godwitmq/godwit/journal/layout"
)

// What the file engine adds to the form of a batch (see the package layout): controls, and where batches may stand.
const (
	headerSize  = layout.HeaderSize
	minBatch    = headerSize
	payloadSize = 32
	controlSize = headerSize + payloadSize
	// controlRoom at the end of each segment is left to controls, so that trimming and closing work in a full log.
	controlRoom = 4096
	block       = 4096
)

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
