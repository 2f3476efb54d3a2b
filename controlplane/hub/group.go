package hub

import (
	"encoding/json"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Group is a set of users with rights and properties in common. Its key in the store is its name. Who belongs to it is in the
// users' own records, and in an index that changes with them.
type Group struct {
	Schema int    `json:"v"`
	Name   string `json:"name"`
	// Properties are the operator's: a JSON object that means nothing to the hub.
	Properties json.RawMessage `json:"properties,omitempty"`
	Created    time.Time       `json:"created"`
	// Deleting says that its members are being removed, and nobody may join.
	Deleting bool `json:"deleting,omitempty"`
}

// ParseGroupName checks the name of a group: 1 to 128 bytes of printable characters, without what could confuse a path or a
// scope, without spaces at the ends, and without combining marks and the character that stands for what could not be read, so that
// two names that look alike are not made of one.
func ParseGroupName(s string) (string, error) {
	bad := s == "" || len(s) > 128 || !utf8.ValidString(s) || strings.Trim(s, ".") == "" || strings.TrimSpace(s) != s ||
		strings.ContainsAny(s, `/\%!?#`) || strings.ContainsFunc(s, func(c rune) bool { return !unicode.IsPrint(c) || unicode.IsMark(c) || c == utf8.RuneError })
	if bad {
		return "", Errorf(Invalid, "Invalid group name: '%s'. It has 1 to 128 bytes that can be printed, none of them one of / \\ %% ! ? #.", Clip(s))
	}
	return s, nil
}
