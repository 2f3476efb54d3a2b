package routes

import "strings"

// DefaultPrefix is where a hub keeps its records in etcd unless it is told otherwise.
const DefaultPrefix = "/edgehub/"

// Sub-trees of the edge's part of etcd, relative to the hub's prefix. An edge reads EdgeTree and nothing else.
const (
	EdgeTree    = "edge/"
	RoutesTree  = EdgeTree + "routes/"
	KeysTree    = EdgeTree + "keys/"
	RevokedTree = EdgeTree + "revoked/"
	HubsTree    = EdgeTree + "hubs/"
	// StartingTree has the servers that are being started and that requests may wait for.
	StartingTree = EdgeTree + "starting/"
)

// NormalPrefix returns prefix with exactly one slash at each end, DefaultPrefix for the empty string.
func NormalPrefix(prefix string) string {
	p := strings.Trim(prefix, "/")
	if p == "" {
		return DefaultPrefix
	}
	return "/" + p + "/"
}

// RouteKey is the etcd key of the route that serves the URL prefix pathPrefix ("/user/alice/").
func RouteKey(hubPrefix, pathPrefix string) string {
	return hubPrefix + RoutesTree + EscapeKey(pathPrefix)
}

// SigningKeyKey is the etcd key of the public key kid.
func SigningKeyKey(hubPrefix, kid string) string { return hubPrefix + KeysTree + EscapeKey(kid) }

// RevokedKey is the etcd key of the revocation of id, which is a session, a token or a user (see Revoked*).
func RevokedKey(hubPrefix, what, id string) string {
	return hubPrefix + RevokedTree + what + "/" + EscapeKey(id)
}

// HubKey is the etcd key under which the control-plane replica id says where it listens.
func HubKey(hubPrefix, id string) string { return hubPrefix + HubsTree + EscapeKey(id) }

// StartingKey is the etcd key that says that the server at the URL prefix pathPrefix is being started.
func StartingKey(hubPrefix, pathPrefix string) string {
	return hubPrefix + StartingTree + EscapeKey(pathPrefix)
}

const upperHex = "0123456789ABCDEF"

// EscapeKey turns any string into one that has no slash, percent sign, NUL or control character, so that it can be one
// segment of an etcd key. UnescapeKey reverses it; two different strings never give the same segment.
func EscapeKey(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '/' || c == '%' || c < 0x20 || c == 0x7f {
			b.WriteByte('%')
			b.WriteByte(upperHex[c>>4])
			b.WriteByte(upperHex[c&15])
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}

// UnescapeKey reverses EscapeKey. It reports false for a string that EscapeKey cannot have made.
func UnescapeKey(s string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		c, ok := unhexPair(s, i)
		if !ok {
			return "", false
		}
		b.WriteByte(c)
		i += 2
	}
	out := b.String()
	return out, EscapeKey(out) == s
}

// unhexPair decodes the %XY at s[i].
func unhexPair(s string, i int) (byte, bool) {
	if i+2 >= len(s) {
		return 0, false
	}
	hi, ok1 := unhex(s[i+1])
	lo, ok2 := unhex(s[i+2])
	return hi<<4 | lo, ok1 && ok2
}

func unhex(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}
