package hub

import (
	"errors"
	"fmt"
)

// Kind says what sort of thing went wrong; package web maps it to an HTTP status.
type Kind int

// The kinds. Internal is the zero value: an error nobody classified is ours.
const (
	Internal Kind = iota
	Invalid
	Unauthenticated
	Forbidden
	NotFound
	Conflict
	Exhausted
	Unavailable
)

var kindNames = [...]string{"internal", "invalid", "unauthenticated", "forbidden", "not_found", "conflict", "exhausted", "unavailable"}

// String is the kind's name in API answers.
func (k Kind) String() string {
	if k < 0 || int(k) >= len(kindNames) {
		return kindNames[Internal]
	}
	return kindNames[k]
}

// Error is an error with a message for the client (a complete sentence, no internals) and a cause for the log.
type Error struct {
	Kind    Kind
	Message string
	Err     error
}

// Error gives message and cause; it is for logs, not for clients.
func (e *Error) Error() string {
	if e.Err != nil {
		return e.Message + ": " + e.Err.Error()
	}
	return e.Message
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an Error whose message is for the client.
func Errorf(kind Kind, format string, args ...any) error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// WithCause adds the cause, for the log, to an Error made by Errorf.
func WithCause(err, cause error) error {
	var e *Error
	if errors.As(err, &e) {
		return &Error{Kind: e.Kind, Message: e.Message, Err: cause}
	}
	return err
}

// KindOf is the kind of the first Error in err's chain, Internal if there is none.
func KindOf(err error) Kind {
	if err == nil {
		return Internal // the usual case, without the cost of looking
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

// MessageOf is the client's message of the first Error in err's chain, or "" if there is none.
func MessageOf(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Message
	}
	return ""
}
