package plugin

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/edgehub/edgehub/routes"
)

// What is in this file says again, slowly and without the code of routes, which server an address names and which tokens are
// good. It is written from the rules in docs/security.md.

// slowDecide is the prefix that an escaped path leads to, "" for none. more says whether there is anything behind the prefix,
// ok whether the path can be read in one way only.
func slowDecide(prefixes []string, path string) (best string, more, ok bool) {
	if path == "" || path[0] != '/' {
		return "", false, false
	}
	segments := strings.Split(path[1:], "/")
	for _, s := range segments {
		if s = strings.NewReplacer("%2e", ".", "%2E", ".").Replace(s); s == "." || s == ".." {
			return "", false, false
		}
	}
	names := []string{}
	for i, raw := range segments {
		if i == 3 || raw == "" && i == len(segments)-1 {
			break
		}
		name, clean := slowName(raw)
		if !clean && i < 2 {
			return "", false, false
		}
		if !clean {
			break
		}
		names = append(names, name)
	}
	for _, prefix := range prefixes {
		of := strings.Split(strings.Trim(prefix, "/"), "/")
		match := len(of) <= len(names)
		for i := 0; match && i < len(of); i++ {
			plain, err := url.PathUnescape(of[i])
			match = err == nil && plain == names[i]
		}
		if match && len(of) > strings.Count(best, "/")-1 {
			best, more = prefix, len(segments) > len(of)
		}
	}
	return best, more, true
}

// slowName decodes a name once, byte by byte, and reports whether it has no other spelling and no character that means something
// to somebody.
func slowName(raw string) (name string, clean bool) {
	out := []byte{}
	for i := 0; i < len(raw); i++ {
		if raw[i] != '%' {
			out = append(out, raw[i])
			continue
		}
		high, low := -1, -1
		if i+2 < len(raw) {
			high, low = strings.IndexByte("0123456789abcdef", raw[i+1]|0x20), strings.IndexByte("0123456789abcdef", raw[i+2]|0x20)
		}
		if high < 0 || low < 0 || raw[i+1] < '0' || raw[i+2] < '0' {
			return "", false
		}
		c := byte(high<<4 | low)
		if strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~", c) >= 0 {
			return "", false
		}
		out = append(out, c)
		i += 2
	}
	for _, r := range string(out) {
		if r < 0x20 || r >= 0x7f && r <= 0x9f || strings.ContainsRune(`/\%;?#`, r) {
			return "", false
		}
	}
	return string(out), len(out) > 0 && utf8.Valid(out)
}

// slowQuery is a query without its tokens.
func slowQuery(query string) string {
	kept := []string{}
	for _, pair := range strings.Split(query, "&") {
		name, err := url.QueryUnescape(strings.SplitN(pair, "=", 2)[0])
		if err != nil || name != "token" {
			kept = append(kept, pair)
		}
	}
	return strings.Join(kept, "&")
}

// slowVerify reports whether a token is good: three parts in their only spelling, the one header, a signature of the key that
// it names, and claims that each appear once and hold.
func slowVerify(token string, keys map[string]*routes.Key, now int64) bool {
	parts := strings.Split(token, ".")
	if len(token) > routes.MaxTokenLen || len(parts) != 3 {
		return false
	}
	header, ok1 := slowBase64(parts[0])
	payload, ok2 := slowBase64(parts[1])
	signature, ok3 := slowBase64(parts[2])
	if !ok1 || !ok2 || !ok3 || len(signature) != 64 {
		return false
	}
	var key *routes.Key
	for id, k := range keys {
		if string(header) == `{"alg":"EdDSA","typ":"edgehub-edge+jwt","kid":"`+id+`"}` {
			key = k
		}
	}
	if key == nil || len(key.Public) != 32 || !ed25519.Verify(key.Public, []byte(parts[0]+"."+parts[1]), signature) {
		return false
	}
	claims, ok := slowObject(payload)
	return ok && slowClaims(claims, key, now)
}

// slowBase64 decodes without padding, line breaks or loose bits.
func slowBase64(s string) ([]byte, bool) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	out, bits, n := []byte{}, 0, 0
	for i := range len(s) {
		v := strings.IndexByte(alphabet, s[i])
		if v < 0 {
			return nil, false
		}
		bits, n = bits<<6|v, n+6
		if n >= 8 {
			n -= 8
			out = append(out, byte(bits>>n))
			bits &= 1<<n - 1
		}
	}
	return out, n < 6 && bits == 0
}

// slowObject reads a JSON object whose names appear once each, and none in another case.
func slowObject(text []byte) (map[string]json.RawMessage, bool) {
	all := map[string]json.RawMessage{}
	if !json.Valid(text) || !bytes.HasPrefix(bytes.TrimLeft(text, " \t\r\n"), []byte("{")) {
		return nil, false
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	_, _ = dec.Token()
	for dec.More() {
		t, err := dec.Token()
		name, isName := t.(string)
		var value json.RawMessage
		if err != nil || !isName || dec.Decode(&value) != nil {
			return nil, false
		}
		for other := range all {
			if strings.EqualFold(other, name) {
				return nil, false
			}
		}
		for _, known := range []string{"iss", "aud", "sub", "uid", "sid", "tid", "adm", "groups", "scopes", "iat", "nbf", "exp"} {
			if strings.EqualFold(known, name) && known != name {
				return nil, false
			}
		}
		all[name] = value
	}
	return all, true
}

func slowClaims(claims map[string]json.RawMessage, key *routes.Key, now int64) bool {
	broken := false
	text := func(name string) (s string) {
		broken = broken || claims[name] != nil && json.Unmarshal(claims[name], &s) != nil
		return s
	}
	number := func(name string) (n int64) {
		broken = broken || claims[name] != nil && json.Unmarshal(claims[name], &n) != nil
		return n
	}
	list := func(name string) (l []string) {
		broken = broken || claims[name] != nil && json.Unmarshal(claims[name], &l) != nil
		return l
	}
	var admin bool
	broken = claims["adm"] != nil && json.Unmarshal(claims["adm"], &admin) != nil
	list("groups")
	list("scopes")
	iat, nbf, exp := number("iat"), number("nbf"), number("exp")
	who := text("sub") != "" && text("uid") != "" && text("sid")+text("tid") != ""
	return who && text("iss") == key.Hub && text("aud") == "edge" && !broken &&
		iat > 0 && exp > iat && exp-iat <= routes.TokenLife && iat <= now+30 && nbf <= now+30 && exp > now-30 &&
		key.NotBefore <= now+30 && (key.NotAfter == 0 || key.NotAfter > now-30)
}
