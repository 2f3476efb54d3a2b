package routes

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// ErrPath says that a path can be read in more than one way and is therefore refused (400) before anything is decided.
var ErrPath = errors.New("ambiguous path")

// maxDepth is the longest prefix in segments: user, name, server.
const maxDepth = 3

// Split reads the routing segments of an escaped path (URL.EscapedPath): up to three leading segments, decoded once.
// The rest of the path is opaque and belongs to the program behind the route.
//
// It refuses what two parsers could read differently: a path that does not start with one slash, empty segments among
// the routing ones, and segments that after one decoding are not UTF-8 or hold a slash, backslash, percent sign,
// semicolon, NUL or another control character. Dot segments ("." and "..", encoded or not) are refused everywhere, since
// every client resolves them before it sends. Encoded separators behind the routing segments are the program's own.
//
// A trailing slash is not a segment: "/user/alice/" and "/user/alice" both give [user alice]; slash tells them apart and
// says whether the last returned segment was followed by a slash.
func Split(escaped string) (segments []string, slash bool, err error) {
	if escaped == "" || escaped[0] != '/' || hasDotSegment(escaped) {
		return nil, false, ErrPath
	}
	if strings.ContainsAny(escaped, uncommon) || strings.Contains(escaped, "//") || !utf8.ValidString(escaped) {
		return splitAny(escaped)
	}
	// Most paths need no decoding and have no empty segment.
	segments = strings.SplitN(escaped[1:], "/", maxDepth+1)
	if last := len(segments) - 1; last == maxDepth || segments[last] == "" {
		return segments[:last], true, nil
	}
	return segments, false, nil
}

// splitAny is Split for any path without a dot segment.
func splitAny(escaped string) (segments []string, slash bool, err error) {
	segments = make([]string, 0, maxDepth)
	// The last part is what follows the routing segments, or empty behind a trailing slash, or the last segment itself.
	parts := strings.SplitN(escaped[1:], "/", maxDepth+1)
	for i, raw := range parts {
		last := i == len(parts)-1
		if i == maxDepth || last && raw == "" {
			return segments, true, nil
		}
		seg, err := decodeSegment(raw)
		if err != nil {
			if len(segments) >= 2 {
				// Not a server's name, so it belongs to the program: /user/alice/a;b/ or /user/alice//x.
				return segments, true, nil
			}
			return nil, false, err
		}
		segments = append(segments, seg)
	}
	return segments, false, nil
}

// decodeSegment decodes one routing segment once and refuses what is ambiguous.
func decodeSegment(raw string) (string, error) {
	if raw == "" {
		return "", ErrPath
	}
	out := raw
	if strings.IndexByte(raw, '%') >= 0 {
		buf := make([]byte, 0, len(raw))
		for i := 0; i < len(raw); i++ {
			c := raw[i]
			if c == '%' {
				d, ok := unhexPair(raw, i)
				if !ok || plain(d) {
					return "", ErrPath // %61 for a: a second spelling that nobody needs
				}
				c = d
				i += 2
			}
			buf = append(buf, c)
		}
		out = string(buf)
	}
	if !CleanSegment(out) {
		return "", ErrPath
	}
	return out, nil
}

// CleanSegment reports whether a decoded segment can be a routing segment: not empty, not a dot segment, valid UTF-8,
// and free of slash, backslash, percent sign, semicolon, question mark, hash and control characters.
func CleanSegment(s string) bool {
	return s != "" && s != "." && s != ".." && utf8.ValidString(s) && !strings.ContainsAny(s, unclean)
}

// unclean are the characters that no routing segment holds. A list, because one call of a library function costs an
// interpreter much less than a loop over the characters.
const unclean = "/" + uncommon

const uncommon = `\%;?#` +
	"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f" +
	"\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f\x7f" +
	"\u0080\u0081\u0082\u0083\u0084\u0085\u0086\u0087\u0088\u0089\u008a\u008b\u008c\u008d\u008e\u008f" +
	"\u0090\u0091\u0092\u0093\u0094\u0095\u0096\u0097\u0098\u0099\u009a\u009b\u009c\u009d\u009e\u009f"

// hasDotSegment reports a "." or ".." segment, also one whose dots are encoded.
func hasDotSegment(escaped string) bool {
	return (strings.Contains(escaped, "/.") || strings.Contains(escaped, "/%2")) && findDotSegment(escaped)
}

func findDotSegment(escaped string) bool {
	start := 0
	for i := 0; i <= len(escaped); i++ {
		if i < len(escaped) && escaped[i] != '/' {
			continue
		}
		if isDots(escaped[start:i]) {
			return true
		}
		start = i + 1
	}
	return false
}

// isDots reports whether raw is one or two dots, each written as "." or "%2e".
func isDots(raw string) bool {
	n := 0
	for raw != "" {
		switch {
		case raw[0] == '.':
			raw = raw[1:]
		case len(raw) >= 3 && raw[0] == '%' && raw[1] == '2' && (raw[2] == 'e' || raw[2] == 'E'):
			raw = raw[3:]
		default:
			return false
		}
		n++
	}
	return n == 1 || n == 2
}

// plain reports the bytes that EscapeSegment leaves alone. '@' is not among them here because clients write it both ways.
func plain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '.' || c == '-' || c == '~'
}

// EscapeSegment escapes a user or server name for a path as JupyterHub does: UTF-8, everything percent-encoded except
// A-Z a-z 0-9 _ . - ~ @.
func EscapeSegment(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if plain(c) || c == '@' {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(upperHex[c>>4])
		b.WriteByte(upperHex[c&15])
	}
	return b.String()
}

// usersTree is how the prefixes of users' servers begin.
const usersTree = "/user/"

// UserPrefix is the URL prefix of a user's server: "/user/alice/", or "/user/alice/lab2/" for a named one.
func UserPrefix(user, server string) string {
	p := usersTree + EscapeSegment(user) + "/"
	if server != "" {
		p += EscapeSegment(server) + "/"
	}
	return p
}

// CheckPrefix refuses a route prefix that Lookup could not find: it must have one to three clean segments in canonical
// escaping, and a slash at both ends. "/" and "/hub/" belong to the control plane and are refused.
func CheckPrefix(prefix string) error {
	if len(prefix) < 3 || prefix[len(prefix)-1] != '/' {
		return ErrPath
	}
	if strings.Count(prefix, "/") > maxDepth+1 {
		return ErrPath
	}
	segments, _, err := Split(prefix)
	if err != nil || segments[0] == "hub" || joinPrefix(segments) != prefix {
		return ErrPath
	}
	return nil
}

// joinPrefix is the canonical prefix of decoded segments.
func joinPrefix(segments []string) string {
	p := "/"
	for _, s := range segments {
		p += EscapeSegment(s) + "/"
	}
	return p
}
