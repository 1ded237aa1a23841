package openwire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"

	"github.com/godwitmq/godwit/codec/mutf8"
)

// MaxDepth is how deeply objects may be nested in a frame; real frames need 4.
const MaxDepth = 16

// What can be wrong with a frame. A DecodeError wraps one of these, or mutf8.ErrInvalid.
var (
	ErrTruncated  = errors.New("frame ends too early")
	ErrTrailing   = errors.New("bytes after the end")
	ErrCode       = errors.New("unknown type code")
	ErrType       = errors.New("object of the wrong type")
	ErrDepth      = errors.New("nested too deeply")
	ErrMagic      = errors.New("wrong magic: not OpenWire")
	ErrNotCommand = errors.New("not a command")
)

// DecodeError says where decoding stopped. All of them are fatal for a connection.
type DecodeError struct {
	Type   string // of the frame: "MessageAck"
	Field  string // path in it: "firstMessageId.producerId.value", or "first..last" of neighbours; "" if it is the frame as a whole
	Offset int    // bytes from the type code of the frame
	Err    error
}

func (e *DecodeError) Error() string {
	at := e.Type
	if e.Field != "" {
		at += "." + e.Field
	}
	return fmt.Sprintf("openwire: decode %s at byte %d: %v", at, e.Offset, e.Err)
}

func (e *DecodeError) Unwrap() error { return e.Err }

// Decoder turns frames of one direction of a connection into commands. It is not safe for concurrent use. The zero value decodes
// version 1; Version must be set once it is negotiated. It keeps up to 64 short strings that it saw, because ids and destination names come
// with every message.
type Decoder struct {
	Version     int  // negotiated version, 1 to 12. 0 means 1; the first frame is the same in all
	StackTraces bool // both sides enabled stack traces
	// Reuse makes Decode return the same Message and the same MessageAck each time, for callers that are done with one command
	// before they decode the next. Strings and values copied out of it stay valid.
	Reuse bool

	r       reader
	message *Message
	ack     *MessageAck
}

// Decode decodes a frame: type code and body, without the size. Byte slices of the command (Content, MarshalledProperties, Token and
// the like) alias frame; strings do not. Errors are of type *DecodeError.
func (d *Decoder) Decode(frame []byte) (Command, error) {
	v, err := d.decode(frame)
	if err != nil {
		return nil, err
	}
	c, ok := v.(Command)
	if !ok {
		return nil, &DecodeError{Type: TypeName(v.Code()), Err: ErrNotCommand}
	}
	return c, nil
}

// decode takes frames of any data structure, which also stores and tests have.
func (d *Decoder) decode(frame []byte) (DataStructure, error) {
	r := &d.r
	r.b, r.off, r.version, r.stackTraces, r.depth, r.err = frame, 0, d.Version, d.StackTraces, 0, nil
	if len(frame) == 0 {
		return nil, &DecodeError{Type: "frame", Err: ErrTruncated}
	}
	code := frame[0]
	r.off = 1
	var v DataStructure
	switch {
	case code == CodeNull:
		v = new(NullCommand)
	case d.Reuse && code >= CodeMessage && code < CodeBlobMessage:
		if d.message == nil {
			d.message = new(Message)
		}
		*d.message = Message{Type: code}
		d.message.decode(r)
		v = d.message
	case d.Reuse && code == CodeMessageAck:
		if d.ack == nil {
			d.ack = new(MessageAck)
		}
		*d.ack = MessageAck{}
		d.ack.decode(r)
		v = d.ack
	default:
		v = r.decode(code)
	}
	r.b = nil // the frame is the caller's
	if r.err != nil {
		r.err.Type = TypeName(code)
		return nil, r.err
	}
	if v == nil {
		return nil, &DecodeError{Type: TypeName(code), Err: fmt.Errorf("%w %d in version %d", ErrCode, code, max(d.Version, 1))}
	}
	if rest := len(frame) - r.off; rest != 0 {
		return nil, &DecodeError{Type: TypeName(code), Offset: r.off, Err: fmt.Errorf("%d %w", rest, ErrTrailing)}
	}
	return v, nil
}

// reader walks a frame. After the first error it has nothing left to read, so that generated code need not look at each step.
type reader struct {
	b           []byte
	off         int
	version     int
	stackTraces bool
	present     bool // what text and intern read last was not null
	depth       int
	err         *DecodeError
	strings     *internTable
}

func (r *reader) fail(field string, err error) {
	if r.err == nil {
		r.err = &DecodeError{Field: field, Offset: r.off, Err: err}
	}
	r.b, r.off = nil, 0
}

// within puts the name of the field around the object in which reading failed before the error's path.
func (r *reader) within(field string) { r.err.Field = field + "." + r.err.Field }

// take returns the next n bytes, or nil and the error is set.
func (r *reader) take(field string, n int) []byte {
	if len(r.b)-r.off < n {
		r.fail(field, ErrTruncated)
		return nil
	}
	p := r.b[r.off : r.off+n]
	r.off += n
	return p
}

// flag reads the boolean before a nullable value.
func (r *reader) flag(field string) bool {
	if r.off >= len(r.b) {
		r.fail(field, ErrTruncated)
		return false
	}
	r.off++
	return r.b[r.off-1] != 0
}

func (r *reader) magic(field string) {
	if p := r.take(field, len(magic)); p != nil && string(p) != magic {
		r.fail(field, ErrMagic)
	}
}

// textBytes reads a nullable string as it stands on the wire, and sets present.
func (r *reader) textBytes(field string) []byte {
	r.present = false
	if !r.flag(field) {
		return nil
	}
	if len(r.b)-r.off < 2 {
		r.fail(field, ErrTruncated)
		return nil
	}
	n := int(binary.BigEndian.Uint16(r.b[r.off:]))
	r.off += 2
	if len(r.b)-r.off < n {
		r.fail(field, ErrTruncated)
		return nil
	}
	r.present = true
	r.off += n
	return r.b[r.off-n : r.off]
}

func (r *reader) text(field string) string {
	p := r.textBytes(field)
	if len(p) == 0 {
		return ""
	}
	s, err := mutf8.DecodeValid(p)
	if err != nil {
		r.fail(field, err)
	}
	return s
}

// internTable remembers strings by a hash: 16 sets of 4, the newest first, so that the few that come with every message never drive
// each other out. Only plain strings are kept: for those the bytes on the wire can be compared.
type internTable struct {
	seed maphash.Seed
	sets [16][4]string
}

// maxIntern is the longest string worth keeping, in bytes.
const maxIntern = 255

// intern reads a string that probably came before.
func (r *reader) intern(field string) string {
	p := r.textBytes(field)
	if len(p) == 0 {
		return ""
	}
	if r.strings == nil {
		r.strings = &internTable{seed: maphash.MakeSeed()}
	}
	set := &r.strings.sets[maphash.Bytes(r.strings.seed, p)%uint64(len(r.strings.sets))]
	for i := range set {
		if set[i] == string(p) {
			return set[i]
		}
	}
	s, err := mutf8.DecodeValid(p)
	if err != nil {
		r.fail(field, err)
		return ""
	}
	if len(p) <= maxIntern && isPlain(p) {
		copy(set[1:], set[:])
		set[0] = s
	}
	return s
}

// bytes reads a nullable byte sequence, which aliases the frame.
func (r *reader) bytes(field string) []byte {
	if !r.flag(field) {
		return nil
	}
	p := r.take(field, 4)
	if len(p) != 4 {
		return nil
	}
	n := int32(binary.BigEndian.Uint32(p))
	if n < 0 || int(n) > len(r.b)-r.off {
		r.fail(field, ErrTruncated)
		return nil
	}
	r.off += int(n)
	return r.b[r.off-int(n) : r.off : r.off]
}

// nestedCode reads presence and type code of a nullable object; 0 is null.
func (r *reader) nestedCode(field string) byte {
	if !r.flag(field) {
		return 0
	}
	p := r.take(field, 1)
	if len(p) != 1 {
		return 0
	}
	if p[0] == 0 {
		r.fail(field, fmt.Errorf("%w 0", ErrCode))
	}
	return p[0]
}

func (r *reader) wrongType(field string, code byte) {
	r.fail(field, fmt.Errorf("%w: %s (code %d)", ErrType, TypeName(code), code))
}

// nested says that an object of the one type allowed follows.
func (r *reader) nested(field string, want byte) bool {
	code := r.nestedCode(field)
	if code != want && code != 0 {
		r.wrongType(field, code)
	}
	return code == want
}

func (r *reader) destination(v *Destination, field string) {
	code := r.nestedCode(field)
	if code == 0 {
		return
	}
	if !isDestination(code) {
		r.wrongType(field, code)
		return
	}
	v.Type = code
	v.decode(r)
	if r.err != nil {
		r.within(field)
	}
}

func (r *reader) transactionID(v *TransactionID, field string) {
	code := r.nestedCode(field)
	if code == 0 {
		return
	}
	if code != CodeLocalTransactionID && code != CodeXATransactionID {
		r.wrongType(field, code)
		return
	}
	v.Type = code
	v.decode(r)
	if r.err != nil {
		r.within(field)
	}
}

// enter counts a level of nesting that a peer could deepen at will; the caller must count it down.
func (r *reader) enter(field string) bool {
	if r.depth >= MaxDepth {
		r.fail(field, ErrDepth)
		return false
	}
	r.depth++
	return true
}

func (r *reader) leave(field string) {
	r.depth--
	if r.err != nil {
		r.within(field)
	}
}

func (r *reader) message(field string) *Message {
	code := r.nestedCode(field)
	if code == 0 {
		return nil
	}
	if code < CodeMessage || code > CodeBlobMessage || code == CodeBlobMessage && r.version < 3 {
		r.wrongType(field, code)
		return nil
	}
	if !r.enter(field) {
		return nil
	}
	v := &Message{Type: code}
	v.decode(r)
	r.leave(field)
	return v
}

// structure reads a nullable object of any type.
func (r *reader) structure(field string) DataStructure {
	code := r.nestedCode(field)
	if code == 0 || !r.enter(field) {
		return nil
	}
	v := r.decode(code)
	if v == nil && r.err == nil {
		r.depth--
		r.fail(field, fmt.Errorf("%w %d in version %d", ErrCode, code, max(r.version, 1)))
		return nil
	}
	r.leave(field)
	return v
}

// count reads presence and length of an array; -1 is null. Each element takes a byte at least.
func (r *reader) count(field string) int {
	if !r.flag(field) {
		return -1
	}
	p := r.take(field, 2)
	if len(p) != 2 {
		return -1
	}
	n := int(int16(binary.BigEndian.Uint16(p)))
	if n < 0 || n > len(r.b)-r.off {
		r.fail(field, ErrTruncated)
		return -1
	}
	return n
}

func (r *reader) structures(field string) []DataStructure {
	n := r.count(field)
	if n < 0 {
		return nil
	}
	list := make([]DataStructure, 0, n)
	for range n {
		v := r.structure(field)
		if r.err != nil {
			return nil
		}
		list = append(list, v)
	}
	return list
}

// pointer is a *T that reads and appends itself: the generated structs.
type pointer[T any] interface {
	*T
	decode(*reader)
	append([]byte, *Encoder) []byte
}

func decodeNested[T any, P pointer[T]](r *reader, field string, code byte) *T {
	if !r.nested(field, code) || !r.enter(field) {
		return nil
	}
	v := P(new(T))
	v.decode(r)
	r.leave(field)
	return v
}

func decodeArray[T any, P pointer[T]](r *reader, field string, code byte) []*T {
	n := r.count(field)
	if n < 0 {
		return nil
	}
	list := make([]*T, 0, n)
	for range n {
		v := decodeNested[T, P](r, field, code)
		if r.err != nil {
			return nil
		}
		list = append(list, v)
	}
	return list
}

func decodeIDs[T any, P pointer[T]](r *reader, field string, code byte) []T {
	n := r.count(field)
	if n < 0 {
		return nil
	}
	list := make([]T, n)
	for i := range list {
		if r.nested(field, code) {
			P(&list[i]).decode(r)
			if r.err != nil {
				r.within(field)
			}
		}
		if r.err != nil {
			return nil
		}
	}
	return list
}

func (r *reader) throwable(field string) *Throwable {
	if !r.flag(field) || !r.enter(field) {
		return nil
	}
	v := &Throwable{Class: r.text("class")}
	v.Message = r.text("message")
	v.nullMessage = !r.present
	if r.stackTraces {
		r.stackTrace(v)
	}
	r.leave(field)
	return v
}

func (r *reader) stackTrace(v *Throwable) {
	const smallest = 3 + 4 // three null strings and a number
	if p := r.take("stackTrace", 2); len(p) == 2 {
		n := int(int16(binary.BigEndian.Uint16(p)))
		if n < 0 || n*smallest > len(r.b)-r.off {
			r.fail("stackTrace", ErrTruncated)
			return
		}
		v.StackTrace = make([]StackTraceElement, 0, n)
		for range n {
			e := StackTraceElement{Class: r.text("stackTrace.class"), Method: r.text("stackTrace.method"), File: r.text("stackTrace.file")}
			if p := r.take("stackTrace.line", 4); len(p) == 4 {
				e.Line = int32(binary.BigEndian.Uint32(p))
			}
			if r.err != nil {
				return
			}
			v.StackTrace = append(v.StackTrace, e)
		}
	}
	v.Cause = r.throwable("cause")
}
