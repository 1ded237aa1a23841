package broker

// Code is what a client can act on; each protocol maps it to its own form.
type Code uint8

// The codes.
const (
	Internal Code = iota
	Malformed
	Denied
	NotFound
	InUse
	Full
	InvalidSelector
	InvalidDestination
	InvalidClientID
	TransactionRolledBack
	IllegalState
	Stopping
)

var codeNames = [...]string{"internal", "malformed", "denied", "not found", "in use", "full", "invalid selector", "invalid destination",
	"invalid client id", "transaction rolled back", "illegal state", "stopping"}

// String is the code's name in lower case.
func (c Code) String() string { return codeNames[c] }

// Error is a refusal with a code for programs and words for people.
type Error struct {
	Code   Code
	Op     string // what was tried: "send to queue://ORDERS"
	Detail string // shown to the client: no paths, no stack
	Err    error  // the cause, for the log only; may be nil
}

// Error is Op and Detail.
func (e *Error) Error() string {
	if e.Op == "" {
		return e.Detail
	}
	return e.Op + ": " + e.Detail
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }
