package openwire

import "encoding/binary"

// CodeNull is the type code of the null command: a frame with nothing in it.
const CodeNull byte = 0

// Kinds of acknowledgement, MessageAck.AckType.
const (
	AckDelivered   int8 = 0 // seen, not acknowledged: the prefetch window moves
	AckPoison      int8 = 1 // to the dead-letter queue
	AckStandard    int8 = 2 // consumed, with a transaction at its commit
	AckRedelivered int8 = 3 // the client delivers again by itself
	AckIndividual  int8 = 4 // only LastMessageID is consumed
	AckUnmatched   int8 = 5 // made inside a broker
	AckExpired     int8 = 6 // expired at the client
)

// What a TransactionInfo asks for, its Type.
const (
	TransactionBegin          int8 = 0
	TransactionPrepare        int8 = 1
	TransactionCommitOnePhase int8 = 2
	TransactionCommitTwoPhase int8 = 3
	TransactionRollback       int8 = 4
	TransactionRecover        int8 = 5
	TransactionForget         int8 = 6
	TransactionEnd            int8 = 7
)

// What a DestinationInfo asks for, its OperationType.
const (
	OperationAdd    int8 = 0
	OperationRemove int8 = 1
)

// DataStructure is anything that has a type code. Ids, Destination and TransactionID are values, all others pointers.
type DataStructure interface {
	Code() byte
}

// Command is a data structure that may be a frame of its own on a connection.
type Command interface {
	DataStructure
	// ID is the sender's number for the command, 0 if it has none.
	ID() int32
	// NeedsResponse says that the receiver must answer once with a Response whose CorrelationID is ID.
	NeedsResponse() bool
}

// BaseCommand is what all commands but WireFormatInfo begin with.
type BaseCommand struct {
	CommandID        int32
	ResponseRequired bool
}

// SetID numbers the command, and says whether it is to be answered.
func (c *BaseCommand) SetID(id int32, respond bool) { c.CommandID, c.ResponseRequired = id, respond }

// ID is CommandID.
func (c *BaseCommand) ID() int32 { return c.CommandID }

// NeedsResponse is ResponseRequired.
func (c *BaseCommand) NeedsResponse() bool { return c.ResponseRequired }

// ID is 0: the first frame has no number.
func (*WireFormatInfo) ID() int32 { return 0 }

// NeedsResponse is false.
func (*WireFormatInfo) NeedsResponse() bool { return false }

// NullCommand is a frame with type code 0 and no body. Receivers ignore it.
type NullCommand struct{}

// Code is CodeNull.
func (*NullCommand) Code() byte { return CodeNull }

// ID is 0.
func (*NullCommand) ID() int32 { return 0 }

// NeedsResponse is false.
func (*NullCommand) NeedsResponse() bool { return false }

// Destination is a queue, a topic or a temporary one of either. The zero value is null.
type Destination struct {
	Type byte   // CodeQueue, CodeTopic, CodeTempQueue, CodeTempTopic; 0 for null
	Name string // physical name; may be composite or hold wildcards
}

// Code is Type.
func (v Destination) Code() byte { return v.Type }

func isDestination(code byte) bool { return code >= CodeQueue && code <= CodeTempTopic }

func (v *Destination) decode(r *reader) { v.Name = r.intern("physicalName") }

func (v *Destination) append(b []byte, e *Encoder) []byte {
	return e.text(b, "physicalName", v.Name, false)
}

// TransactionID names a local or an XA transaction. It is comparable. The zero value is null.
type TransactionID struct {
	Type            byte   // CodeLocalTransactionID or CodeXATransactionID; 0 for null
	nulls           uint8  // 1: no GlobalID, 2: no BranchQualifier (neither is sent by clients)
	FormatID        int32  // XA
	Value           int64  // local: number within the connection
	ConnectionID    string // local
	GlobalID        string // XA: up to 64 arbitrary bytes
	BranchQualifier string // XA: up to 64 arbitrary bytes
}

// Code is Type.
func (v TransactionID) Code() byte { return v.Type }

func (v *TransactionID) decode(r *reader) {
	if v.Type == CodeLocalTransactionID {
		if p := r.take("value", 8); len(p) == 8 {
			v.Value = int64(binary.BigEndian.Uint64(p))
		}
		if r.nested("connectionId", CodeConnectionID) {
			v.ConnectionID = r.intern("connectionId")
		}
		return
	}
	if p := r.take("formatId", 4); len(p) == 4 {
		v.FormatID = int32(binary.BigEndian.Uint32(p))
	}
	global := r.bytes("globalTransactionId")
	branch := r.bytes("branchQualifier")
	v.GlobalID, v.BranchQualifier = string(global), string(branch)
	if global == nil {
		v.nulls |= 1
	}
	if branch == nil {
		v.nulls |= 2
	}
}

func (v *TransactionID) append(b []byte, e *Encoder) []byte {
	if v.Type == CodeLocalTransactionID {
		b = binary.BigEndian.AppendUint64(b, uint64(v.Value))
		if v.ConnectionID == "" {
			return append(b, 0)
		}
		b = append(b, 1, CodeConnectionID)
		return e.text(b, "connectionId", v.ConnectionID, false)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(v.FormatID))
	b = appendBinary(b, v.GlobalID, v.nulls&1 != 0)
	return appendBinary(b, v.BranchQualifier, v.nulls&2 != 0)
}

func appendBinary(b []byte, s string, null bool) []byte {
	if s == "" && null {
		return append(b, 0)
	}
	b = append(b, 1)
	b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
	return append(b, s...)
}

// Throwable is an exception as text. A class name from the wire names nothing here: it is shown or compared, never resolved.
type Throwable struct {
	Class   string // as sent, unchecked; see SafeClass
	Message string // sent even if empty: some peers fail on a null one
	// StackTrace and Cause are on the wire only if both sides enabled stack traces.
	StackTrace []StackTraceElement
	Cause      *Throwable

	nullMessage bool
}

// StackTraceElement is one line of a stack trace.
type StackTraceElement struct {
	Class, Method string
	File          string // "" is null
	Line          int32  // -2 native
}

// SafeClass is Class if it is a path of Java identifiers of at most 256 ASCII letters, digits, '_', '$' and '.', and "java.lang.Throwable"
// otherwise: fit for a log or for sending on.
func (t *Throwable) SafeClass() string {
	const fallback = "java.lang.Throwable"
	if len(t.Class) > 256 {
		return fallback
	}
	start := true
	for i := range len(t.Class) {
		switch c := t.Class[i]; {
		case c == '.' && !start:
			start = true
			continue
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '_', c == '$', c >= '0' && c <= '9' && !start:
			start = false
		default:
			return fallback
		}
	}
	if start {
		return fallback
	}
	return t.Class
}
