package access

import (
	"fmt"
	"strings"
)

// The filter kinds a scope may carry, as in "read:users!user=alice".
const (
	FilterUser    = "user"
	FilterGroup   = "group"
	FilterServer  = "server"
	FilterService = "service"
)

// Scope is one scope string, for example "read:users!user=alice".
type Scope string

// Parse takes the scope apart; see [Parse].
func (s Scope) Parse() (Parsed, error) { return Parse(string(s)) }

// String returns the scope as it is written on the wire.
func (s Scope) String() string { return string(s) }

// Parsed is a scope taken apart.
type Parsed struct {
	// Name is the scope without its filter, "read:users". Parse checks only its
	// letters; whether it exists is decided by Expand.
	Name string
	// FilterKind is one of the Filter constants, or empty for an unfiltered scope.
	FilterKind string
	// FilterValue is the name the scope is limited to, "USER/SERVER" for a
	// server. It is empty for an unfiltered scope and for the short forms
	// "!user", "!server" and "!service".
	FilterValue string
}

// String returns the scope as it is written on the wire.
func (p Parsed) String() string {
	switch {
	case p.FilterKind == "":
		return p.Name
	case p.FilterValue == "":
		return p.Name + "!" + p.FilterKind
	default:
		return p.Name + "!" + p.FilterKind + "=" + p.FilterValue
	}
}

// Short reports whether the scope is a short form, whose value comes from the
// owner of the token or role.
func (p Parsed) Short() bool { return p.FilterKind != "" && p.FilterValue == "" }

// Error says which scope is wrong and why. All errors about scopes that this
// package returns are of this type, and their text is fit for a client.
type Error struct {
	// Scope is the scope as it was given.
	Scope string
	// Reason continues the sentence, for example "does not exist".
	Reason string
}

// Error returns the scope and what is wrong with it.
func (e *Error) Error() string { return fmt.Sprintf("scope %.100q %s", e.Scope, e.Reason) }

// Parse takes a scope string apart. The result's String is the input again.
// It refuses, with an [*Error], a name no scope can have, an unknown filter
// kind, an empty filter, a second filter, and a server filter that is not
// USER/SERVER.
func Parse(s string) (Parsed, error) {
	name, filter, filtered := strings.Cut(s, "!")
	if !validName(name) {
		return Parsed{}, &Error{s, "is not a scope name"}
	}
	if !filtered {
		return Parsed{Name: name}, nil
	}
	kind, value, valued := strings.Cut(filter, "=")
	if reason := filterFault(kind, value, valued); reason != "" {
		return Parsed{}, &Error{s, reason}
	}
	return Parsed{Name: name, FilterKind: kind, FilterValue: value}, nil
}

// filterFault says what is wrong with a filter, or nothing.
func filterFault(kind, value string, valued bool) string {
	switch kind {
	case FilterUser, FilterGroup, FilterServer, FilterService:
	default:
		return fmt.Sprintf("has an unknown filter %q", "!"+kind)
	}
	switch {
	case !valued && kind == FilterGroup:
		return "has a group filter without a name"
	case !valued:
		return ""
	case value == "":
		return "has an empty filter"
	case hasFilter(value):
		return "has more than one filter"
	case kind == FilterServer && strings.Index(value, "/") < 1:
		return "has a server filter that is not USER/SERVER (the default server is USER/)"
	}
	return ""
}

// hasFilter finds a second filter inside the value of the first. A bare "!" is
// allowed there, because a user name may hold one.
func hasFilter(value string) bool {
	for _, kind := range []string{FilterUser, FilterGroup, FilterServer, FilterService} {
		if strings.Contains(value, "!"+kind+"=") {
			return true
		}
	}
	return false
}

func validName(name string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789:_-*()"
	return name != "" && strings.Trim(name, letters) == ""
}
