package openwire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/godwitmq/godwit/codec/mutf8"
)

// What can be wrong with a command that is to be sent.
var (
	ErrTooLong = errors.New("too long for the wire")
	ErrVersion = errors.New("does not exist in this version")
)

// EncodeError says which field cannot be sent.
type EncodeError struct {
	Type  string
	Field string // "" if it is the command as a whole
	Err   error
}

func (e *EncodeError) Error() string {
	at := e.Type
	if e.Field != "" {
		at += ": " + e.Field
	}
	return fmt.Sprintf("openwire: encode %s: %v", at, e.Err)
}

func (e *EncodeError) Unwrap() error { return e.Err }

// Encoder turns commands into frames for one direction of a connection. It is not safe for concurrent use. The zero value encodes
// version 1; Version must be set once it is negotiated.
type Encoder struct {
	Version     int  // negotiated version, 1 to 12. 0 means 1; the first frame is the same in all
	StackTraces bool // both sides enabled stack traces

	err   error
	field string // where err is
}

// Append appends a frame, size included, and returns the longer slice. If the command cannot be sent (a string of more than 65535
// encoded bytes, more than 32767 elements, a type that the version has not) it returns dst as it was and an *EncodeError.
func (e *Encoder) Append(dst []byte, d DataStructure) ([]byte, error) {
	b := dst
	switch v := d.(type) {
	case *Message:
		b = slices.Grow(b, messageSize(v)+16)
	case *MessageDispatch:
		b = slices.Grow(b, messageSize(v.Message)+256)
	}
	start := len(b)
	b = append(b, 0, 0, 0, 0)
	b = e.object(b, d)
	return e.finish(dst, b, start, d.Code())
}

// AppendMessage appends a message as AppendDispatch wants it: type code and fields. The same bytes serve every dispatch of the message
// to connections of the same Version and StackTraces.
func (e *Encoder) AppendMessage(dst []byte, m *Message) ([]byte, error) {
	b := slices.Grow(dst, messageSize(m))
	b = e.object(b, m)
	if e.err != nil {
		return dst, e.take(m.Type)
	}
	return b, nil
}

// AppendDispatch appends the frame of a dispatch whose message was encoded by AppendMessage; d.Message is not looked at. An empty
// message means null.
func (e *Encoder) AppendDispatch(dst []byte, d *MessageDispatch, message []byte) ([]byte, error) {
	b := slices.Grow(dst, len(message)+len(d.ConsumerID.ConnectionID)+len(d.Destination.Name)+64)
	start := len(b)
	b = append(b, 0, 0, 0, 0, CodeMessageDispatch)
	head := *d
	head.Message = nil
	b = head.append(b, e)
	if len(message) > 0 {
		// The fields end with the message, null so far, and the counter: put the message between.
		b = append(b[:len(b)-5], 1)
		b = append(b, message...)
		b = binary.BigEndian.AppendUint32(b, uint32(d.RedeliveryCounter))
	}
	return e.finish(dst, b, start, CodeMessageDispatch)
}

// messageSize is what a message takes at most unless its strings are not ASCII or it has a long broker path: a hint.
func messageSize(m *Message) int {
	if m == nil {
		return 0
	}
	return 512 + len(m.Content) + len(m.MarshalledProperties) + len(m.CorrelationID) + len(m.GroupID) + len(m.JMSType) + len(m.UserID) +
		2*len(m.ProducerID.ConnectionID) + len(m.Destination.Name) + len(m.ReplyTo.Name)
}

func (e *Encoder) finish(dst, b []byte, start int, code byte) ([]byte, error) {
	size := len(b) - start - 4
	if size > math.MaxInt32 {
		e.fail("", ErrTooLong)
	}
	if e.err != nil {
		return dst, e.take(code)
	}
	binary.BigEndian.PutUint32(b[start:], uint32(size))
	return b, nil
}

// take returns the error that waits, and forgets it.
func (e *Encoder) take(code byte) error {
	err := &EncodeError{Type: TypeName(code), Field: e.field, Err: e.err}
	e.err, e.field = nil, ""
	return err
}

func (e *Encoder) fail(field string, err error) {
	if e.err == nil {
		e.err, e.field = err, field
	}
}

// object appends type code and fields.
func (e *Encoder) object(b []byte, d DataStructure) []byte {
	code := d.Code()
	b = append(b, code)
	switch v := d.(type) {
	case *NullCommand:
		return b
	case *Message: // its type is up to whoever made it
		if code < CodeMessage || code > CodeBlobMessage {
			e.fail("", fmt.Errorf("%w: message of type %d", ErrType, v.Type))
			return b
		}
	case Destination:
		if !isDestination(code) {
			e.fail("", fmt.Errorf("%w: destination of type %d", ErrType, code))
			return b
		}
	case TransactionID:
		if code != CodeLocalTransactionID && code != CodeXATransactionID {
			e.fail("", fmt.Errorf("%w: transaction id of type %d", ErrType, code))
			return b
		}
	}
	if firstVersion(code) > max(e.Version, 1) {
		e.fail("", ErrVersion)
		return b
	}
	b, ok := e.fields(b, d)
	if !ok {
		e.fail("", ErrType)
	}
	return b
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

func appendBytes(b, v []byte) []byte {
	if v == nil {
		return append(b, 0)
	}
	b = append(b, 1)
	b = binary.BigEndian.AppendUint32(b, uint32(len(v)))
	return append(b, v...)
}

// text appends a string; "" is null unless blank says otherwise.
func (e *Encoder) text(b []byte, field, s string, blank bool) []byte {
	if s == "" {
		if blank {
			return append(b, 1, 0, 0)
		}
		return append(b, 0)
	}
	b = append(b, 1, 0, 0)
	start := len(b)
	b = mutf8.Append(b, s)
	n := len(b) - start
	if n > math.MaxUint16 {
		e.fail(field, fmt.Errorf("%w: %d bytes of text", ErrTooLong, n))
		n = 0
	}
	binary.BigEndian.PutUint16(b[start-2:], uint16(n))
	return b
}

func (e *Encoder) destination(b []byte, field string, v *Destination) []byte {
	if v.Type == 0 {
		return append(b, 0)
	}
	if !isDestination(v.Type) {
		e.fail(field, ErrType)
	}
	return v.append(append(b, 1, v.Type), e)
}

func (e *Encoder) transactionID(b []byte, field string, v *TransactionID) []byte {
	if v.Type == 0 {
		return append(b, 0)
	}
	if v.Type != CodeLocalTransactionID && v.Type != CodeXATransactionID {
		e.fail(field, ErrType)
	}
	return v.append(append(b, 1, v.Type), e)
}

func (e *Encoder) message(b []byte, field string, v *Message) []byte {
	if v == nil {
		return append(b, 0)
	}
	b = e.object(append(b, 1), v)
	e.within(field)
	return b
}

func (e *Encoder) structure(b []byte, field string, v DataStructure) []byte {
	switch d := v.(type) {
	case nil, *NullCommand:
		return append(b, 0)
	case Destination:
		return e.destination(b, field, &d)
	case TransactionID:
		return e.transactionID(b, field, &d)
	}
	b = e.object(append(b, 1), v)
	e.within(field)
	return b
}

// within gives an error without a name the field's.
func (e *Encoder) within(field string) {
	if e.err != nil && e.field == "" {
		e.field = field
	}
}

// count appends presence and length of an array, and says whether there are elements to append.
func (e *Encoder) count(b []byte, field string, null bool, n int) ([]byte, bool) {
	if null {
		return append(b, 0), false
	}
	if n > math.MaxInt16 {
		e.fail(field, fmt.Errorf("%w: %d elements", ErrTooLong, n))
		return b, false
	}
	b = append(b, 1)
	return binary.BigEndian.AppendUint16(b, uint16(n)), true
}

func (e *Encoder) structures(b []byte, field string, list []DataStructure) []byte {
	b, ok := e.count(b, field, list == nil, len(list))
	for i := 0; ok && i < len(list); i++ {
		b = e.structure(b, field, list[i])
	}
	return b
}

func appendNested[T any, P pointer[T]](b []byte, e *Encoder, field string, v *T, code byte) []byte {
	if v == nil {
		return append(b, 0)
	}
	b = P(v).append(append(b, 1, code), e)
	e.within(field)
	return b
}

func appendArray[T any, P pointer[T]](b []byte, e *Encoder, field string, list []*T, code byte) []byte {
	b, ok := e.count(b, field, list == nil, len(list))
	for i := 0; ok && i < len(list); i++ {
		b = appendNested[T, P](b, e, field, list[i], code)
	}
	return b
}

func appendIDs[T comparable, P pointer[T]](b []byte, e *Encoder, field string, list []T, code byte) []byte {
	b, ok := e.count(b, field, list == nil, len(list))
	var null T
	for i := 0; ok && i < len(list); i++ {
		if list[i] == null {
			b = append(b, 0)
			continue
		}
		b = P(&list[i]).append(append(b, 1, code), e)
	}
	return b
}

// throwable appends an exception. Causes beyond MaxDepth are left out, which also ends a circle.
func (e *Encoder) throwable(b []byte, field string, v *Throwable, depth int) []byte {
	if v == nil || depth >= MaxDepth {
		return append(b, 0)
	}
	b = append(b, 1)
	b = e.text(b, field+".class", v.Class, true)
	b = e.text(b, field+".message", v.Message, !v.nullMessage)
	if !e.StackTraces {
		return b
	}
	if len(v.StackTrace) > math.MaxInt16 {
		e.fail(field+".stackTrace", ErrTooLong)
		return b
	}
	b = binary.BigEndian.AppendUint16(b, uint16(len(v.StackTrace)))
	for i := range v.StackTrace {
		s := &v.StackTrace[i]
		b = e.text(b, field+".stackTrace", s.Class, true)
		b = e.text(b, field+".stackTrace", s.Method, true)
		b = e.text(b, field+".stackTrace", s.File, false)
		b = binary.BigEndian.AppendUint32(b, uint32(s.Line))
	}
	return e.throwable(b, field, v.Cause, depth+1)
}
