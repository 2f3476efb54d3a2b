package routes

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/url"
	"strings"
)

// ErrBase says that a text cannot be the path that a hub is below.
var ErrBase = errors.New("not a base URL")

// Base is the path that everything of a hub is below, JupyterHub's base_url: "/", or "/teaching/" for a hub that shares its
// host with others. ParseBase makes it; the empty Base is "/".
//
// Only the borders know it. Routes, handlers and patterns have the paths of a hub at "/": Cut takes the base off the address
// of a request, and Path puts it in front of everything that a browser, a server or a program is told.
type Base string

// ParseBase reads what an operator writes: a path with or without slashes at its ends, each segment plain or escaped. A
// segment is what CleanSegment accepts, and not "api", by which the edge knows the addresses of programs.
func ParseBase(raw string) (Base, error) {
	trimmed := strings.TrimSuffix(strings.TrimPrefix(raw, "/"), "/")
	if trimmed == "" {
		if len(raw) > 1 {
			return "", ErrBase
		}
		return "/", nil
	}
	base := "/"
	for _, segment := range strings.Split(trimmed, "/") {
		if strings.Contains(segment, "%") {
			plain, err := url.PathUnescape(segment)
			if err != nil {
				return "", ErrBase
			}
			segment = plain
		}
		if !CleanSegment(segment) || segment == "api" {
			return "", ErrBase
		}
		base += EscapeSegment(segment) + "/"
	}
	return Base(base), nil
}

// Path is where a path of the hub is found: "/teaching/hub/login" for "/hub/login". What is no path stays what it is.
func (b Base) Path(path string) string {
	if len(b) <= 1 || !strings.HasPrefix(path, "/") {
		return path
	}
	return string(b) + path[1:]
}

// Cut takes the base off an escaped path: "/hub/login" for "/teaching/hub/login". It reports false for a path that is not below
// the base, whole segments compared, in any spelling that Split reads as one.
func (b Base) Cut(escaped string) (string, bool) {
	if len(b) <= 1 {
		return escaped, true
	}
	start := len(b) - 1 // with the slash
	if !strings.HasPrefix(escaped, string(b)) {
		start = b.spelt(escaped)
	}
	if start < 0 {
		return "", false
	}
	rest := escaped[start:]
	return rest, true
}

// spelt is where the rest of a path begins that spells the base in another way, with %40 for @ perhaps; -1 if it does not.
func (b Base) spelt(escaped string) int {
	if !strings.Contains(escaped, "%") && !strings.Contains(escaped, "@") {
		return -1
	}
	segments := strings.Split(string(b), "/")
	at := 0
	for _, want := range segments[1 : len(segments)-1] {
		if at >= len(escaped) || escaped[at] != '/' {
			return -1
		}
		length := strings.IndexByte(escaped[at+1:], '/')
		if length < 0 {
			return -1
		}
		plain, err := decodeSegment(escaped[at+1 : at+1+length])
		if err != nil || EscapeSegment(plain) != want {
			return -1
		}
		at += 1 + length
	}
	return at
}

// Bare reports whether an escaped path is the base without its last slash.
func (b Base) Bare(escaped string) bool {
	return len(b) > 1 && escaped+"/" == string(b)
}

// CookieSuffix is what the names of a hub's cookies end with, so that hubs on one host do not take each other's: nothing at "/",
// else a hash of the base. The cookies are good for the whole host, as browsers demand of names with "__Host-".
func (b Base) CookieSuffix() string {
	if len(b) <= 1 {
		return ""
	}
	sum := sha256.Sum256([]byte(b))
	return "-" + hex.EncodeToString(sum[:4])
}
