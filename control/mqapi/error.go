package mqapi

import (
	"fmt"
	"net/http"
	"slices"
)

// Kind is the name of an error on the wire, by which clients tell errors apart.
type Kind string

// The kinds of errors that no operation declares, and every one may have. AWS's clients know them: they retry TooManyRequests, and correct
// their clock after InvalidSignature if the answer's Date differs much from it.
//
// Whoever cannot be believed gets one of these and not Forbidden, as from AWS. Terraform takes Forbidden for the absence of a broker and drops it from
// its state: a mistyped secret must not do that.
const (
	TooManyRequests            Kind = "TooManyRequestsException"
	MissingAuthenticationToken Kind = "MissingAuthenticationTokenException"
	IncompleteSignature        Kind = "IncompleteSignatureException"
	InvalidSignature           Kind = "InvalidSignatureException"
	UnrecognizedClient         Kind = "UnrecognizedClientException"
	ExpiredToken               Kind = "ExpiredTokenException"
)

// Status is the HTTP status that goes with it.
func (k Kind) Status() int {
	switch k {
	case TooManyRequests:
		return http.StatusTooManyRequests
	case IncompleteSignature:
		return http.StatusBadRequest
	case MissingAuthenticationToken, InvalidSignature, UnrecognizedClient, ExpiredToken:
		return http.StatusForbidden
	}
	if status, ok := declaredStatus[k]; ok {
		return status
	}
	return http.StatusInternalServerError
}

// Error is an answer that is not a success.
type Error struct {
	Kind      Kind
	Attribute string // the member of the request that is at fault, by its name on the wire; "" if none is
	Message   string // for people
}

// Error is the kind, the attribute and the message.
func (e *Error) Error() string {
	if e.Attribute == "" {
		return string(e.Kind) + ": " + e.Message
	}
	return string(e.Kind) + ": " + e.Attribute + ": " + e.Message
}

// Errorf makes an error. The attribute may be empty.
func Errorf(kind Kind, attribute, format string, args ...any) *Error {
	return &Error{Kind: kind, Attribute: attribute, Message: fmt.Sprintf(format, args...)}
}

// declared is the error as the operation may have it: clients have types for what an operation declares and for nothing else. Only
// CreateBroker declares Unauthorized; DeleteBroker, for example, declares no Conflict.
func (op *Operation) declared(e *Error) *Error {
	if _, of := declaredStatus[e.Kind]; !of || slices.Contains(op.Errors, e.Kind) {
		return e
	}
	as := *e
	as.Kind = BadRequest
	if e.Kind == Unauthorized {
		as.Kind = Forbidden
	}
	return &as
}
