package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
)

// Exit codes, which scripts may rely on (docs/cli.md).
const (
	exitOK          = 0
	exitFailed      = 1   // it was refused, or failed
	exitUsage       = 2   // the command line is wrong; nothing was tried
	exitNotFound    = 3   // the hub has no such thing, or does not show it to this token
	exitInterrupted = 130 // Ctrl-C; what the hub was asked to do before, it does
)

// usageError is a command line that is wrong.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func misused(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

func exitCode(ctx context.Context, err error) int {
	var usage usageError
	var refused *refusal
	switch {
	case err == nil:
		return exitOK
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &refused) && refused.status == http.StatusNotFound:
		return exitNotFound
	}
	return exitFailed
}
