package broker

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// XID names one branch of a distributed transaction, broker-wide (X/Open XA, section 4.2; javax.transaction.xa.Xid).
type XID struct {
	Format int32
	Global string // the transaction's bytes, 1 to MaxXIDBytes
	Branch string // the branch's bytes, at most MaxXIDBytes
}

// MaxXIDBytes bounds either part of an XID.
const MaxXIDBytes = 64

// check refuses what is no XID.
func (x XID) check() *Error {
	if n, m := len(x.Global), len(x.Branch); n == 0 || n > MaxXIDBytes || m > MaxXIDBytes {
		return xaFailed(XAInvalid, fmt.Sprintf("an XA id has 1 to %d bytes for the transaction and at most %d for the branch, this one has %d and %d", MaxXIDBytes, MaxXIDBytes, n, m))
	}
	return nil
}

// String is the form that people and the HTTP API use: format, transaction and branch, the bytes in hexadecimal: 4660:67747801:6201.
func (x XID) String() string { return fmt.Sprintf("%d:%x:%x", x.Format, x.Global, x.Branch) }

// ParseXID reads what String writes, and the form in which ActiveMQ shows an id: XID:[4660,globalId=67747801,branchId=6201].
func ParseXID(text string) (XID, error) {
	parts := strings.Split(text, ":")
	if inner, ok := strings.CutPrefix(text, "XID:["); ok {
		inner = strings.TrimSuffix(inner, "]")
		parts = strings.Split(inner, ",")
		if len(parts) == 3 {
			parts[1], parts[2] = strings.TrimPrefix(parts[1], "globalId="), strings.TrimPrefix(parts[2], "branchId=")
		}
	}
	bad := fmt.Errorf("%q is no XA id: it has the form FORMAT:TRANSACTION:BRANCH, a number and two rows of hexadecimal digits", text)
	if len(parts) != 3 {
		return XID{}, bad
	}
	format, err := strconv.ParseInt(parts[0], 10, 32)
	global, gerr := hex.DecodeString(parts[1])
	branch, berr := hex.DecodeString(parts[2])
	x := XID{Format: int32(format), Global: string(global), Branch: string(branch)}
	if err != nil || gerr != nil || berr != nil || x.check() != nil {
		return XID{}, bad
	}
	return x, nil
}

// XACode is an error code of XA, as javax.transaction.xa.XAException has it.
type XACode int

// The codes that the core answers (X/Open XA, section 4.3).
const (
	XARolledBack        XACode = 100 // XA_RBROLLBACK: the branch was rolled back, for what the detail says
	XAHeuristicCommit   XACode = 7   // XA_HEURCOM: an operator has committed the branch
	XAHeuristicRollback XACode = 6   // XA_HEURRB: an operator has rolled the branch back
	XAResourceFailed    XACode = -3  // XAER_RMERR
	XANotKnown          XACode = -4  // XAER_NOTA: no such branch
	XAInvalid           XACode = -5  // XAER_INVAL
	XAProtocol          XACode = -6  // XAER_PROTO: the branch is not in the state for that
	XADuplicate         XACode = -8  // XAER_DUPID: the id is in use
)

// Error makes the code the cause of an *Error: errors.As finds it there.
func (c XACode) Error() string { return "xaErrorCode:" + strconv.Itoa(int(c)) }

func xaFailed(code XACode, detail string) *Error {
	kind := IllegalState
	switch code {
	case XANotKnown:
		kind = NotFound
	case XARolledBack:
		kind = TransactionRolledBack
	case XAInvalid:
		kind = Malformed
	}
	return &Error{Code: kind, Detail: detail, Err: code}
}

// told is the form in which ActiveMQ's clients write an id into their logs.
func (x XID) told() string {
	return fmt.Sprintf("'XID:[%d,globalId=%x,branchId=%x]'", x.Format, x.Global, x.Branch)
}
