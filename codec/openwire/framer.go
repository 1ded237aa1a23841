package openwire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
)

// DefaultMaxFrameSize is the limit of a framer that is given none, in bytes: that of ActiveMQ's stock configuration.
const DefaultMaxFrameSize = 100 << 20

// ErrFrameSize is an announced size that is negative, zero or above the limit. It is fatal: what follows cannot be found.
var ErrFrameSize = errors.New("bad frame size")

const (
	firstBuffer = 4 << 10  // what an idle connection holds
	burstBuffer = 64 << 10 // what a busy one grows to without a large frame, and all that is taken because a frame was announced
	calmFrames  = 32       // ordinary frames after which the buffer of a large one is given back
	smallRead   = 1 << 10  // what an idle or a synchronous client sends at once, at most
	smallReads  = 8        // of those in a row, after which firstBuffer is enough again
)

// Memory is what the buffers of many framers take of one bound. A framer asks it for what a frame of more than 64 KiB needs beyond those, as the frame comes.
type Memory interface {
	// Grow takes more bytes; missing is what the frame needs in all beyond what it has, these included. It may wait, and holds up this framer alone. After
	// an error nothing was taken, and the framer's Next returns the error.
	Grow(more, missing int) error
	// Shrink gives bytes back.
	Shrink(less int)
	// Spare says whether there is so much that nobody would miss size bytes more.
	Spare(size int) bool
}

// Framer cuts a stream into frames, in a buffer of its own that grows with what arrives. It is not safe for concurrent use.
type Framer struct {
	src        io.Reader
	max        int
	buf        []byte
	start, end int  // buf[start:end] is read and not returned yet
	full       bool // the last read filled the buffer
	calm       int  // frames since one that needed more than burstBuffer
	small      int  // reads since one of more than smallRead
	err        error
	memory     Memory // nil: as much as it needs
	held       int    // bytes that it has from there
}

// NewFramer returns a framer that refuses frames of more than maxFrameSize bytes, the size field not counted. 0 means DefaultMaxFrameSize.
func NewFramer(src io.Reader, maxFrameSize int) *Framer {
	f := &Framer{src: src}
	f.SetMaxFrameSize(maxFrameSize)
	return f
}

// SetMaxFrameSize changes the limit for the frames after the last one returned, as when a client has logged in. 0 means DefaultMaxFrameSize.
func (f *Framer) SetMaxFrameSize(n int) {
	if n <= 0 {
		n = DefaultMaxFrameSize
	}
	f.max = n
}

// SetMemory makes the framer ask for the memory that large frames need. At its end Release gives back what it has.
func (f *Framer) SetMemory(m Memory) { f.memory = m }

// Release gives the memory back. The framer must not be used after it.
func (f *Framer) Release() {
	f.buf, f.start, f.end = nil, 0, 0
	if f.held > 0 {
		f.memory.Shrink(f.held)
		f.held = 0
	}
}

// Next waits for a whole frame and returns it without its size: type code and body. The bytes belong to the framer and are valid
// until the next call of Next. At the end of the stream the error is io.EOF between frames and io.ErrUnexpectedEOF within one. After an
// error of the reader that passes, as a deadline does, Next may be called again and nothing is lost; ErrFrameSize stays.
func (f *Framer) Next() ([]byte, error) {
	for {
		need := 4
		if f.end-f.start >= 4 {
			size := int32(binary.BigEndian.Uint32(f.buf[f.start:]))
			if size <= 0 || int64(size) > int64(f.max) {
				return nil, fmt.Errorf("openwire: %w: %d bytes, limit %d", ErrFrameSize, size, f.max)
			}
			need += int(size)
			if f.end-f.start >= need {
				frame := f.buf[f.start+4 : f.start+need : f.start+need]
				f.start += need
				f.calm++
				if need > burstBuffer {
					f.calm = 0
				}
				return frame, nil
			}
		}
		if err := f.fill(need); err != nil {
			return nil, err
		}
	}
}

// HasFrame says that Next would return at once, with a frame or with ErrFrameSize.
func (f *Framer) HasFrame() bool {
	if f.end-f.start < 4 {
		return false
	}
	size := int32(binary.BigEndian.Uint32(f.buf[f.start:]))
	return size <= 0 || int64(size) > int64(f.max) || int64(f.end-f.start) >= 4+int64(size)
}

// fill reads once, after it has made room for a frame of need bytes or for a part of it.
func (f *Framer) fill(need int) error {
	if f.err != nil {
		return f.failed(f.err)
	}
	if err := f.room(need); err != nil {
		return err
	}
	for range 100 {
		n, err := f.src.Read(f.buf[f.end:])
		f.end += n
		f.full = f.end == len(f.buf)
		if f.small++; n > smallRead {
			f.small = 0
		}
		if n > 0 {
			f.err = err // told when what came with it is used up
			return nil
		}
		if err != nil {
			return f.failed(err)
		}
	}
	return io.ErrNoProgress
}

func (f *Framer) failed(err error) error {
	f.err = nil
	if err == io.EOF && f.end > f.start {
		return io.ErrUnexpectedEOF
	}
	return err
}

// room makes room for a frame of need bytes, or for as much more of it as there is already.
func (f *Framer) room(need int) error {
	size := len(f.buf)
	switch {
	case need <= burstBuffer && size > burstBuffer && (f.calm >= calmFrames || f.memory != nil && !f.memory.Spare(f.max)):
		size = burstBuffer
	case f.start == f.end && size > firstBuffer && f.small >= smallReads:
		size = firstBuffer
	case f.full && size < burstBuffer && f.start > 0:
		size *= 2 // a burst: fewer reads
	}
	if want := min(need, burstBuffer); size < want {
		size = max(firstBuffer, 1<<bits.Len(uint(want-1)))
	}
	if have := f.end - f.start; have == size {
		grow := 2
		if size < 1<<20 {
			grow = 4
		}
		size = min(grow*size, need)
	}
	if size != len(f.buf) {
		if err := f.account(size, need); err != nil {
			return err
		}
		buf := make([]byte, size)
		f.end = copy(buf, f.buf[f.start:f.end])
		f.buf, f.start = buf, 0
		return nil
	}
	if f.start == f.end || f.start+min(need, size) > size {
		f.end = copy(f.buf, f.buf[f.start:f.end])
		f.start = 0
	}
	return nil
}

// account takes or gives back memory for a buffer of size bytes, which is to become one of need.
func (f *Framer) account(size, need int) error {
	if f.memory == nil {
		return nil
	}
	held := max(0, size-burstBuffer)
	switch {
	case held > f.held:
		if err := f.memory.Grow(held-f.held, max(size, need)-burstBuffer-f.held); err != nil {
			return err
		}
	case held < f.held:
		f.memory.Shrink(f.held - held)
	}
	f.held = held
	return nil
}
