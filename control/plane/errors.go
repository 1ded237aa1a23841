package plane

import (
	"errors"
	"fmt"
)

// Kind says what a client can do about an Error.
type Kind string

// The kinds.
const (
	NotFound   Kind = "not found"
	Conflict   Kind = "conflict"    // with what there is, or is at work: it may be possible later
	BadRequest Kind = "bad request" // it will never be possible
	Denied     Kind = "denied"      // not for who asks
	Stale      Kind = "stale"       // a report about what is over; the agent asks anew what it is to do
)

// Error is why a command was refused. The state has not changed.
type Error struct {
	Kind      Kind
	Attribute string // what is wrong, by the name that Amazon MQ's API has for it: "brokerName"; may be empty
	Detail    string // words for people, no secrets
}

// Error is the detail with the kind.
func (e *Error) Error() string { return string(e.Kind) + ": " + e.Detail }

// KindOf is the kind of an Error, "" of any other.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return ""
}

func refuse(kind Kind, attribute, format string, args ...any) error {
	return &Error{Kind: kind, Attribute: attribute, Detail: fmt.Sprintf(format, args...)}
}

func bad(attribute, format string, args ...any) error {
	return refuse(BadRequest, attribute, format, args...)
}

func conflict(attribute, format string, args ...any) error {
	return refuse(Conflict, attribute, format, args...)
}

func missing(attribute, what, id string) error {
	return refuse(NotFound, attribute, "Can't find requested %s [%s]. Make sure your %s exists.", what, id, what)
}
