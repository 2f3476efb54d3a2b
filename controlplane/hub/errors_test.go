package hub_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/edgehub/edgehub/controlplane/hub"
)

func TestKindAndMessageOfErrors(t *testing.T) {
	t.Parallel()
	made := hub.Errorf(hub.NotFound, "No such user: %s", "alice")
	caused := hub.WithCause(made, context.DeadlineExceeded)
	for what, c := range map[string]struct {
		err     error
		kind    hub.Kind
		message string
		text    string
	}{
		"an error of ours":      {made, hub.NotFound, "No such user: alice", "No such user: alice"},
		"one with context":      {fmt.Errorf("start: %w", made), hub.NotFound, "No such user: alice", "start: No such user: alice"},
		"one with a cause":      {caused, hub.NotFound, "No such user: alice", "No such user: alice: context deadline exceeded"},
		"the first of two":      {hub.WithCause(made, hub.Errorf(hub.Conflict, "inner")), hub.NotFound, "No such user: alice", "No such user: alice: inner"},
		"one of several":        {errors.Join(errors.New("x"), made), hub.NotFound, "No such user: alice", "x\nNo such user: alice"},
		"somebody else's":       {errors.New("dial 10.0.0.7"), hub.Internal, "", "dial 10.0.0.7"},
		"cause of another kind": {hub.WithCause(errors.New("plain"), made), hub.Internal, "", "plain"},
	} {
		if got := hub.KindOf(c.err); got != c.kind {
			t.Errorf("KindOf of %s: got %s, want %s", what, got, c.kind)
		}
		if got := hub.MessageOf(c.err); got != c.message {
			t.Errorf("MessageOf of %s: got %q, want %q", what, got, c.message)
		}
		if got := c.err.Error(); got != c.text {
			t.Errorf("text of %s: got %q, want %q", what, got, c.text)
		}
	}
	if !errors.Is(caused, context.DeadlineExceeded) {
		t.Error("the cause of an error cannot be found")
	}
	if errors.Is(made, context.DeadlineExceeded) {
		t.Error("WithCause changed the error that it was given")
	}
	if hub.KindOf(nil) != hub.Internal || hub.MessageOf(nil) != "" {
		t.Error("nil has a kind or a message")
	}
}

func TestKindNames(t *testing.T) {
	t.Parallel()
	for kind, want := range map[hub.Kind]string{
		hub.Internal: "internal", hub.Invalid: "invalid", hub.Unauthenticated: "unauthenticated", hub.Forbidden: "forbidden",
		hub.NotFound: "not_found", hub.Conflict: "conflict", hub.Exhausted: "exhausted", hub.Unavailable: "unavailable",
		-1: "internal", 99: "internal",
	} {
		if got := kind.String(); got != want {
			t.Errorf("Kind(%d): got %q, want %q", kind, got, want)
		}
	}
}

func TestServerNamesAndStates(t *testing.T) {
	t.Parallel()
	for state, want := range map[hub.State]bool{"": false, hub.Stopped: false, hub.Starting: true, hub.Running: true, hub.Stopping: true} {
		if got := (&hub.Server{State: state}).Active(); got != want {
			t.Errorf("Active in state %q: got %t, want %t", state, got, want)
		}
	}
	for want, s := range map[string]hub.Server{"alice/": {User: "alice"}, "alice/lab2": {User: "alice", Name: "lab2"}} {
		if got := s.FullName(); got != want {
			t.Errorf("FullName: got %q, want %q", got, want)
		}
	}
}
