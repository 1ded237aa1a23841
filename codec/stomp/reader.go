package stomp

import (
	"bytes"
	"io"
	"math"
	"strings"
	"sync/atomic"
)

// What the wire may ask for, as ActiveMQ limits it.
const (
	MaxCommandBytes     = 1024
	MaxHeaderBytes      = 10240 // of one header line
	MaxHeaders          = 1000
	DefaultMaxFrameSize = 100 << 20
)

const (
	minBuffer  = 4 << 10  // what an idle connection holds
	keepBuffer = 32 << 10 // what a busy one keeps; one larger frame borrows more
	freeMemory = 64 << 10 // that a reader takes without asking Options.Memory

	// A line that was already there in the frame before, at the same place, is not turned into strings again. So few
	// lines, and none from a frame with more text than this, that what they hold on to stays below 16 KiB.
	recentLines    = 16
	maxRecentBytes = 1 << 10
)

// Options of a Reader; the zero value works.
type Options struct {
	// MaxFrameSize is how many bytes a frame's body may have, and how many its command and header lines together.
	// 0 means DefaultMaxFrameSize; more than 2 GiB - 1 is cut to that.
	MaxFrameSize int
	// Memory is asked for what a frame of more than 64 KiB needs beyond those, as it comes. nil means that there is always enough.
	Memory Memory
}

// Memory is what many readers take of one bound for frames that are not whole yet.
type Memory interface {
	// Grow takes more bytes; missing is what the frame needs in all beyond what it has, these included, as far as that is known. It may wait, and holds up
	// this reader alone. After an error nothing was taken, and the reader's Next returns the error.
	Grow(more, missing int) error
	// Shrink gives bytes back.
	Shrink(less int)
}

// Reader reads frames from one connection. One goroutine may use it at a time, except for Received and Beats.
type Reader struct {
	src     io.Reader
	maxSize int
	version Version

	// buf[start:end] has arrived and is not consumed. Between frames start is where the next one begins; all other
	// positions count from there, so that the bytes can be moved.
	buf        []byte
	start, end int
	crowded    bool  // the last read filled the whole buffer
	readErr    error // came together with bytes, is due after them

	// How far the frame at start is understood.
	part    part
	pos     int // the bytes before are searched
	line    int // where the line at hand begins
	command string
	lines   []line
	bodyAt  int
	length  int    // of the body; -1 if it ends at the first NUL
	large   []byte // a body that is too large for the buffer, as far as it has arrived; nil otherwise
	err     error  // an Error, after which nothing can be understood

	memory Memory
	held   int // bytes of memory

	headers Headers
	text    []byte
	recent  [recentLines]Header

	received, beats atomic.Uint64
}

type part uint8

const (
	inCommand part = iota
	inHeaders
	inBody
)

// line is a header line, without its line feed. colon is at the end if there is none.
type line struct {
	from, colon, to int32
}

// NewReader returns a Reader in version 1.0, which every connection starts with.
func NewReader(src io.Reader, options Options) *Reader {
	r := &Reader{src: src, memory: options.Memory}
	r.SetMaxFrameSize(options.MaxFrameSize)
	return r
}

// SetMaxFrameSize changes the limit of Options for the frames that Next has not returned yet, except a large body that
// is half read: who has not logged in may be allowed less.
func (r *Reader) SetMaxFrameSize(size int) {
	if size <= 0 {
		size = DefaultMaxFrameSize
	}
	r.maxSize = min(size, math.MaxInt32)
	r.rewind()
}

// SetVersion says how the next frames are written, also those that are already buffered.
func (r *Reader) SetVersion(version Version) {
	r.version = version
	clear(r.recent[:])
	r.rewind()
}

// rewind forgets what a look ahead found out under other terms.
func (r *Reader) rewind() {
	if r.large == nil {
		r.reset()
		r.err = nil
	}
}

func (r *Reader) reset() {
	r.part, r.pos, r.line, r.bodyAt, r.length, r.command, r.large = inCommand, 0, 0, 0, 0, "", nil
	if r.lines = r.lines[:0]; cap(r.lines) > 4*recentLines {
		r.lines = nil
	}
}

// Received is the number of bytes that have come in so far. A half-read frame counts, so a peer that is slow can be
// told from one that is dead. It may be called from any goroutine.
func (r *Reader) Received() uint64 { return r.received.Load() }

// Beats is the number of empty lines between frames so far: heart-beats, and the line feeds that many peers put after a
// frame. It may be called from any goroutine.
func (r *Reader) Beats() uint64 { return r.beats.Load() }

// HasFrame says whether Next would return at once, with a frame or an Error, from what is already buffered.
func (r *Reader) HasFrame() bool { return r.scan() || r.err != nil }

// Next waits for a whole frame. Its Headers are valid until the next call of Next; all strings and the Body belong to
// the caller for good, and nobody writes to them again.
//
// The error is an Error if the peer broke the protocol; every later call then returns it again. It is io.EOF at the end
// of the stream and io.ErrUnexpectedEOF at its end within a frame. Any other is the source's: after a passing one, such
// as a deadline, Next may be called again and goes on where it stopped.
func (r *Reader) Next() (Frame, error) {
	r.forget()
	for !r.scan() {
		if r.err != nil {
			return Frame{}, r.err
		}
		if err := r.fill(); err != nil {
			return Frame{}, err
		}
	}
	return r.take(), nil
}

// forget lets go of the frame before, which a connection that falls idle must not keep in memory.
func (r *Reader) forget() {
	clear(r.headers)
	if r.headers = r.headers[:0]; cap(r.headers) > 4*recentLines {
		r.headers = nil
	}
	if r.text = r.text[:0]; cap(r.text) > keepBuffer {
		r.text = nil
	}
}

// scan goes on to understand the frame at start and says whether it is there as a whole. It looks at each byte once,
// however slowly they come.
func (r *Reader) scan() bool {
	for r.err == nil && r.part != inBody {
		if !r.scanLine() {
			return false
		}
	}
	return r.err == nil && r.scanBody()
}

// scanLine takes one line of command or headers; false if it has not arrived.
func (r *Reader) scanLine() bool {
	limit, tooLong := MaxCommandBytes, ErrCommandLength
	if r.part == inHeaders {
		limit, tooLong = MaxHeaderBytes, ErrHeaderLength
	}
	arrived := r.buf[r.start:r.end]
	to := bytes.IndexByte(arrived[r.pos:], '\n') + r.pos
	whole := to >= r.pos
	if !whole {
		to = len(arrived)
	}
	r.pos = to
	if to-r.line > limit {
		return r.fail(tooLong)
	}
	if !whole {
		return false
	}
	text := arrived[r.line:to]
	r.pos = to + 1
	if r.part == inCommand {
		r.scanCommand(text)
		return true
	}
	from := r.line
	r.line = r.pos
	if len(text) == 0 || len(text) == 1 && text[0] == '\r' {
		r.part, r.bodyAt = inBody, r.pos
		return r.scanLength()
	}
	if len(r.lines) == MaxHeaders {
		return r.fail(ErrHeaderCount)
	}
	if r.pos > r.maxSize {
		return r.fail(ErrFrameSize)
	}
	colon := bytes.IndexByte(text, ':')
	if colon < 0 {
		colon = len(text)
	}
	r.lines = append(r.lines, line{int32(from), int32(from + colon), int32(to)})
	return true
}

// scanCommand begins a frame, or passes over an empty line between frames.
func (r *Reader) scanCommand(text []byte) {
	text = trim(text)
	if len(text) == 0 {
		r.beats.Add(1)
		r.start += r.pos
		r.pos = 0
		return
	}
	r.part, r.line, r.command = inHeaders, r.pos, commandText(text)
}

// scanLength finds out where the body will end.
func (r *Reader) scanLength() bool {
	r.length = -1
	if !hasLength(r.command) {
		return true
	}
	frame := r.buf[r.start:]
	for _, l := range r.lines {
		name := frame[l.from:l.colon]
		if r.version == V10 {
			name = trim(name)
		}
		if string(name) != contentLength {
			continue
		}
		length, err := parseLength(trim(frame[min(l.colon+1, l.to):l.to]), r.maxSize)
		if err != nil {
			return r.fail(err)
		}
		r.length = length
		return true
	}
	return true
}

func (r *Reader) scanBody() bool {
	arrived := r.buf[r.start:r.end]
	if r.length < 0 {
		end := bytes.IndexByte(arrived[r.pos:], 0) + r.pos
		whole := end >= r.pos
		if !whole {
			end = len(arrived)
		}
		r.pos = end
		if end-r.bodyAt > r.maxSize {
			return r.fail(ErrFrameSize)
		}
		return whole
	}
	if len(r.large) < r.length && r.large != nil {
		return false
	}
	r.pos = r.bodyAt + r.length - len(r.large)
	if r.pos >= len(arrived) {
		return false
	}
	if arrived[r.pos] != 0 {
		return r.fail(ErrNoTrailingNull)
	}
	return true
}

func (r *Reader) fail(err error) bool {
	r.err = err
	return false
}

// fill waits for more bytes. What it allocates follows what has arrived, at most four times that, never what the peer
// has announced.
func (r *Reader) fill() error {
	if r.readErr != nil {
		err := r.readErr
		r.readErr = nil
		return err
	}
	isLarge := r.part == inBody && r.length > len(r.large) && r.bodyAt+r.length >= keepBuffer
	var room []byte
	var err error
	if isLarge {
		room, err = r.roomForBody()
	} else {
		room, err = r.room()
	}
	if err != nil {
		return err
	}
	for range 100 {
		n, err := r.src.Read(room)
		if n == 0 && err == nil {
			continue
		}
		r.received.Add(uint64(n))
		if isLarge {
			r.large = r.large[:len(r.large)+n]
		} else {
			r.end += n
			r.crowded = n == len(room)
		}
		switch {
		case n > 0 && err != io.EOF: // an end is found again by the next Read, when these bytes are understood
			r.readErr = err
			return nil
		case n > 0:
			return nil
		case err == io.EOF && r.end > r.start:
			return io.ErrUnexpectedEOF
		}
		return err
	}
	return io.ErrNoProgress
}

// room returns free space in the buffer. It moves a begun frame to the front, doubles the buffer for a frame that fills
// it or a peer that does, and gives back what one large frame needed.
func (r *Reader) room() ([]byte, error) {
	begun := r.buf[r.start:r.end]
	size := max(len(r.buf), minBuffer)
	switch {
	case len(begun) == len(r.buf):
		if len(begun) > 0 {
			size *= 2
		}
	case size > keepBuffer && len(begun) < keepBuffer:
		size = keepBuffer
	case r.crowded && size < keepBuffer:
		size *= 2
	}
	if size == len(r.buf) {
		copy(r.buf, begun)
	} else {
		if err := r.account(size, 0, size); err != nil {
			return nil, err
		}
		buf := make([]byte, size)
		copy(buf, begun)
		r.buf = buf
	}
	r.start, r.end = 0, len(begun)
	return r.buf[r.end:], nil
}

// roomForBody returns free space in r.large, into which the body is read without passing through the buffer.
func (r *Reader) roomForBody() ([]byte, error) {
	if r.large == nil {
		arrived := r.buf[r.start+r.bodyAt : r.end]
		size := min(r.length, max(4*len(arrived), keepBuffer))
		if err := r.account(len(r.buf), size, len(r.buf)+r.length); err != nil {
			return nil, err
		}
		r.large = make([]byte, len(arrived), size)
		copy(r.large, arrived)
		r.end = r.start + r.bodyAt
	} else if len(r.large) == cap(r.large) {
		size := min(r.length, 4*len(r.large))
		if err := r.account(len(r.buf), size, len(r.buf)+r.length); err != nil {
			return nil, err
		}
		larger := make([]byte, len(r.large), size)
		copy(larger, r.large)
		r.large = larger
	}
	return r.large[len(r.large):min(r.length, cap(r.large))], nil
}

// account takes or gives back memory for a buffer and a large body of so many bytes, which are to become so many in all.
func (r *Reader) account(buffer, large, inAll int) error {
	if r.memory == nil {
		return nil
	}
	held := max(0, buffer+large-freeMemory)
	switch {
	case held > r.held:
		if err := r.memory.Grow(held-r.held, max(held, inAll-freeMemory)-r.held); err != nil {
			return err
		}
	case held < r.held:
		r.memory.Shrink(r.held - held)
	}
	r.held = held
	return nil
}

// Release gives the memory back at the end. The reader must not be used after it.
func (r *Reader) Release() {
	r.buf, r.start, r.end, r.large = nil, 0, 0, nil
	if r.held > 0 {
		r.memory.Shrink(r.held)
		r.held = 0
	}
}

// take makes a Frame of the bytes that scan found, and consumes them.
func (r *Reader) take() Frame {
	arrived := r.buf[r.start:r.end]
	frame := Frame{Command: r.command, Headers: r.takeHeaders(arrived), Body: r.large}
	if body := arrived[r.bodyAt:r.pos]; r.large == nil && len(body) > 0 {
		frame.Body = make([]byte, len(body))
		copy(frame.Body, body)
	}
	r.start += r.pos + 1
	if r.large != nil && r.held > 0 {
		_ = r.account(len(r.buf), 0, 0) // the body is the caller's now; giving back does not fail
	}
	r.reset()
	return frame
}

// takeHeaders makes one string of all the text that was not in the frame before, and cuts the headers out of it.
func (r *Reader) takeHeaders(frame []byte) Headers {
	version, handshake, padded := r.version, false, r.version == V10
	if isConnect(r.command) {
		version, handshake, padded = V10, true, !r.announcesVersion(frame)
	}
	for i, l := range r.lines {
		raw := frame[l.from:l.to]
		if i < recentLines && !handshake && r.recent[i].reads(raw) {
			r.headers = append(r.headers, r.recent[i])
			r.lines[i].from = -1
			continue
		}
		if version != V11 && len(raw) > 0 && raw[len(raw)-1] == '\r' {
			raw = raw[:len(raw)-1] // in 1.1 it is part of the value
		}
		colon := min(int(l.colon-l.from), len(raw))
		name, value := raw[:colon], raw[min(colon+1, len(raw)):]
		if padded {
			name, value = trim(name), trim(value)
		}
		known := knownName(name)
		r.headers = append(r.headers, Header{Name: known})
		l.from = int32(len(r.text))
		if known == "" {
			r.text = append(r.text, name...)
		}
		l.colon = int32(len(r.text))
		r.text = appendUnescaped(r.text, version, value)
		l.to = int32(len(r.text))
		r.lines[i] = l
	}
	text := string(r.text)
	for i, l := range r.lines {
		if l.from < 0 {
			continue
		}
		header := &r.headers[i]
		if header.Name == "" {
			header.Name = text[l.from:l.colon]
		}
		header.Value = text[l.colon:l.to]
		// A passcode is not kept. A value that would be read differently if it came as it is now, neither.
		if i < recentLines && !handshake && len(text) <= maxRecentBytes && isPlain(header.Value) {
			r.recent[i] = *header
		}
	}
	return r.headers
}

// announcesVersion says whether a frame of the handshake is from a client newer than 1.0. Those of 1.0 may put spaces
// around a header's parts (its specification does), later ones must not and mean them.
func (r *Reader) announcesVersion(frame []byte) bool {
	for _, l := range r.lines {
		switch string(frame[l.from:l.colon]) {
		case "accept-version", "version":
			return true
		}
	}
	return false
}

// reads says whether line is h as it is written without an escape.
func (h *Header) reads(line []byte) bool {
	name := len(h.Name)
	return len(line) == name+1+len(h.Value) && line[name] == ':' &&
		string(line[:name]) == h.Name && string(line[name+1:]) == h.Value
}

// isPlain says whether value decodes to itself in every version.
func isPlain(value string) bool {
	return strings.IndexByte(value, '\\') < 0 && !strings.HasSuffix(value, "\r")
}

// trim leaves out the white space and control characters at both ends.
func trim(text []byte) []byte {
	for len(text) > 0 && text[0] <= ' ' {
		text = text[1:]
	}
	for len(text) > 0 && text[len(text)-1] <= ' ' {
		text = text[:len(text)-1]
	}
	return text
}

// parseLength reads the value of a content-length header.
func parseLength(text []byte, limit int) (int, error) {
	digits := text
	if len(digits) > 0 && (digits[0] == '-' || digits[0] == '+') {
		digits = digits[1:]
	}
	if len(digits) == 0 {
		return 0, ErrUnreadableLength
	}
	length, over := 0, false
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, ErrUnreadableLength
		}
		if length = length*10 + int(c-'0'); length > limit {
			length, over = limit, true
		}
	}
	switch {
	case text[0] == '-' && length > 0:
		return 0, ErrNegativeLength
	case over:
		return 0, ErrFrameSize
	}
	return length, nil
}
