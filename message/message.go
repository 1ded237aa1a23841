// Package message is the neutral form of what the broker carries: messages, their properties and bodies, and the names of
// destinations. It knows no protocol, socket or disk.
//
// A body stays in the encoding in which it came (Encoding) and is converted only when somebody asks. Properties are kept
// as one encoded map (Properties), whose form is that of OpenWire, because it holds every type that JMS knows.
package message

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ID identifies a message: its producer, and its number among the producer's messages. A producer that sends
// again after a failover uses the same ID, which is how a second copy is recognised.
type ID struct {
	Producer string // "ID:host-35023-1795382540159-1:1:1:1", or a whole foreign id if Sequence < 0
	Sequence int64
}

// String is the text of JMSMessageID, "" of the zero ID.
func (id ID) String() string {
	if id.Sequence < 0 || id.Producer == "" {
		return id.Producer
	}
	return id.Producer + ":" + strconv.FormatInt(id.Sequence, 10)
}

// ParseID reads the text of String back. A text without a trailing number, written as String writes numbers, is a foreign id.
// Whatever the text, String gives it again.
func ParseID(text string) ID {
	if i := strings.LastIndexByte(text, ':'); i > 0 {
		digits := text[i+1:]
		n, err := strconv.ParseInt(digits, 10, 64)
		if err == nil && n >= 0 && digits[0] != '+' && digits[0] != '-' && (digits[0] != '0' || len(digits) == 1) {
			return ID{Producer: text[:i], Sequence: n}
		}
	}
	return ID{Producer: text, Sequence: -1}
}

// Type is the JMS type of a message's body.
type Type uint8

// The body types. Plain has none.
const (
	Plain Type = iota
	Bytes
	Map
	Object
	Stream
	Text
	Blob
)

var typeNames = [...]string{"plain", "bytes", "map", "object", "stream", "text", "blob"}

// String is the type's name in lower case.
func (t Type) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return "type " + strconv.Itoa(int(t))
}

// Encoding says how Content holds the body.
type Encoding uint8

// The encodings.
const (
	// Raw: text as UTF-8, bytes as they are. Other types have no raw form.
	Raw Encoding = iota
	// OpenWire: as the content of an OpenWire message (typed values and primitive maps, see properties.go and body.go), not compressed.
	OpenWire
	// OpenWireCompressed: the same, compressed with zlib.
	OpenWireCompressed
)

// Message is one message as its producer sent it. It is never changed once the broker core has it: a rerouted message is a
// changed Copy. How often it was delivered is not the message's but the delivery's.
type Message struct {
	ID            ID
	Destination   Destination
	Original      Destination // where it was sent at first, if rerouted
	ReplyTo       Destination
	CorrelationID string
	JMSType       string
	GroupID       string
	GroupSequence int32
	UserID        string // as authenticated by the broker, if it is told to fill it in
	Timestamp     int64  // ms since 1970, by the producer
	Expiration    int64  // ms since 1970; 0 is never
	Received      int64  // ms since 1970, by the broker
	Priority      uint8  // 0..9
	Persistent    bool

	Type       Type
	Encoding   Encoding
	Properties Properties // nil: none
	Content    []byte     // nil: null body

	// Advisory is set in advisory messages only, which are never stored: the event itself, for sessions to translate.
	Advisory *Advisory

	encoded []byte
}

// Copy is a shallow copy for the caller to change. It shares Properties and Content, which are never written to, and unlike
// a copy made by assignment it is encoded anew.
func (m *Message) Copy() *Message {
	c := *m
	c.encoded = nil
	return &c
}

// Size is about the memory in bytes that the message's variable parts take. It is the same before and after Encode and Decode, so
// that what was counted in can be counted out.
func (m *Message) Size() int {
	return maxFixed + len(m.ID.Producer) + len(m.Destination.Name) + len(m.Original.Name) + len(m.ReplyTo.Name) + len(m.CorrelationID) +
		len(m.JMSType) + len(m.GroupID) + len(m.UserID) + len(m.Properties) + len(m.Content)
}

const formatVersion = 1

// maxFixed is the most that the stored form takes besides texts, properties and content: the first five bytes, five numbers, three
// kinds, nine lengths.
const maxFixed = 5 + 5*binary.MaxVarintLen64 + 3 + 9*binary.MaxVarintLen32

const maxPriority = 9

const (
	flagPersistent = 1 << iota
	flagContent    // Content is not nil
	flagProperties // Properties is not nil
	flagGroup
	flagUser
	flagOriginal
	flagReply
	flagJMSType
)

// Encode gives the form in which the message is stored: version, flags, header, properties, content. It is made once; Properties and
// Content are made to point into it, so that what they pointed to before may be reused by the caller. The first call writes to the
// message: it belongs before the message is shared between goroutines. Format: docs/journal.md.
func (m *Message) Encode() []byte {
	if m.encoded != nil {
		return m.encoded
	}
	b := make([]byte, 0, m.Size()) // never grows: Properties would be left pointing to the old array
	var flags byte
	set := func(on bool, f byte) {
		if on {
			flags |= f
		}
	}
	set(m.Persistent, flagPersistent)
	set(m.Content != nil, flagContent)
	set(m.Properties != nil, flagProperties)
	set(m.GroupID != "" || m.GroupSequence != 0, flagGroup)
	set(m.UserID != "", flagUser)
	set(!m.Original.IsZero(), flagOriginal)
	set(!m.ReplyTo.IsZero(), flagReply)
	set(m.JMSType != "", flagJMSType)
	b = append(b, formatVersion, flags, byte(m.Type), byte(m.Encoding), min(m.Priority, maxPriority))
	b = appendString(b, m.ID.Producer)
	b = binary.AppendVarint(b, m.ID.Sequence)
	b = appendDestination(b, m.Destination)
	b = binary.AppendVarint(b, m.Timestamp)
	b = binary.AppendVarint(b, m.Expiration)
	b = binary.AppendVarint(b, m.Received)
	b = appendString(b, m.CorrelationID)
	if flags&flagOriginal != 0 {
		b = appendDestination(b, m.Original)
	}
	if flags&flagReply != 0 {
		b = appendDestination(b, m.ReplyTo)
	}
	if flags&flagJMSType != 0 {
		b = appendString(b, m.JMSType)
	}
	if flags&flagGroup != 0 {
		b = appendString(b, m.GroupID)
		b = binary.AppendVarint(b, int64(m.GroupSequence))
	}
	if flags&flagUser != 0 {
		b = appendString(b, m.UserID)
	}
	if flags&flagProperties != 0 {
		b = binary.AppendUvarint(b, uint64(len(m.Properties)))
		start := len(b)
		b = append(b, m.Properties...)
		m.Properties = Properties(b[start:len(b):len(b)])
	}
	if flags&flagContent != 0 {
		start := len(b)
		b = append(b, m.Content...)
		m.Content = b[start:len(b):len(b)]
	}
	m.encoded = b
	return b
}

func appendString(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func appendDestination(b []byte, d Destination) []byte {
	return appendString(append(b, byte(d.Kind)), d.Name)
}

// The causes of decoding errors that no field can say more about.
var (
	errShort     = errors.New("ends too early")
	errMalformed = errors.New("ends too early, or a number or a destination's kind is not valid")
)

// Decode reads the form that Encode makes. The message keeps data, which must not be changed after.
func Decode(data []byte) (*Message, error) {
	m := &Message{encoded: data}
	if err := m.decode(data); err != nil {
		return nil, fmt.Errorf("decode stored message of %d bytes: %w", len(data), err)
	}
	return m, nil
}

func (m *Message) decode(data []byte) error {
	if len(data) < 5 {
		return errShort
	}
	if data[0] != formatVersion {
		return fmt.Errorf("format version is %d, expected %d", data[0], formatVersion)
	}
	flags := data[1]
	m.Type, m.Encoding, m.Priority = Type(data[2]), Encoding(data[3]), data[4]
	switch {
	case m.Type > Blob:
		return fmt.Errorf("unknown body type %d", m.Type)
	case m.Encoding > OpenWireCompressed:
		return fmt.Errorf("unknown body encoding %d", m.Encoding)
	case m.Priority > maxPriority:
		return fmt.Errorf("priority is %d, expected at most %d", m.Priority, maxPriority)
	}
	m.Persistent = flags&flagPersistent != 0
	r := reader{rest: data[5:]}
	m.ID.Producer = r.string()
	m.ID.Sequence = r.varint()
	m.Destination = r.destination()
	m.Timestamp = r.varint()
	m.Expiration = r.varint()
	m.Received = r.varint()
	m.CorrelationID = r.string()
	if flags&flagOriginal != 0 {
		m.Original = r.destination()
	}
	if flags&flagReply != 0 {
		m.ReplyTo = r.destination()
	}
	if flags&flagJMSType != 0 {
		m.JMSType = r.string()
	}
	if flags&flagGroup != 0 {
		m.GroupID = r.string()
		n := r.varint()
		if n != int64(int32(n)) {
			return fmt.Errorf("group sequence %d is no int32", n)
		}
		m.GroupSequence = int32(n)
	}
	if flags&flagUser != 0 {
		m.UserID = r.string()
	}
	if flags&flagProperties != 0 {
		m.Properties = Properties(r.bytes(r.uvarint()))
	}
	if r.failed {
		return errMalformed
	}
	if flags&flagContent != 0 {
		m.Content = r.rest[:len(r.rest):len(r.rest)]
	} else if len(r.rest) != 0 {
		return fmt.Errorf("%d bytes too many", len(r.rest))
	}
	return nil
}

// reader takes fields off the front of rest; after a failure it yields zero values.
type reader struct {
	rest   []byte
	failed bool
}

func (r *reader) fail() { r.failed, r.rest = true, nil }

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.rest)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) bytes(n uint64) []byte {
	if n > uint64(len(r.rest)) {
		r.fail()
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) string() string { return string(r.bytes(r.uvarint())) }

func (r *reader) destination() Destination {
	k := r.bytes(1)
	if len(k) == 0 || Kind(k[0]) > TempTopic {
		r.fail()
		return Destination{}
	}
	d := Destination{Kind: Kind(k[0]), Name: r.string()}
	if d.Kind == NoDestination && d.Name != "" {
		r.fail()
	}
	return d
}
