package plugin

import (
	"net/http"
	"net/url"
	"strings"
)

// unwelcome are the response headers with which one user's server could reach beyond its own prefix: into the whole
// origin, its other pages, or its cookies.
var unwelcome = map[string]bool{
	"Service-Worker-Allowed": true, "Clear-Site-Data": true, "Strict-Transport-Security": true, "Alt-Svc": true,
	"Public-Key-Pins": true, "Public-Key-Pins-Report-Only": true, "Refresh": true, "Access-Control-Allow-Credentials": true,
	"Cross-Origin-Opener-Policy": true, "Cross-Origin-Opener-Policy-Report-Only": true,
}

// filterAnswer takes out of a server's answer, 101 included, what would reach beyond the route's prefix, and adds the
// visitor's newer edge token if there is one. Answers with other 1xx codes, and trailers, do not get this far.
func filterAnswer(h http.Header, v *visit) {
	for name := range h {
		if unwelcome[name] {
			delete(h, name)
		}
	}
	if len(h["Set-Cookie"]) > 0 || v.refresh != "" {
		filterCookies(h, v)
	}
}

func filterCookies(h http.Header, v *visit) {
	kept := make([]string, 0, 4)
	for _, line := range h["Set-Cookie"] {
		if ownCookie(line, v) {
			kept = append(kept, line)
		}
	}
	// A shared cache may keep an answer that says "public", with the cookie in it.
	if v.refresh != "" && !strings.Contains(strings.ToLower(strings.Join(h["Cache-Control"], ",")), "public") {
		kept = append(kept, v.refresh)
	}
	delete(h, "Set-Cookie")
	if len(kept) > 0 {
		h["Set-Cookie"] = kept
	}
}

// controlChars are the characters at which browsers differ: some drop the cookie, others only what follows in its line.
const controlChars = "\x00\x01\x02\x03\x04\x05\x06\x07\x08\x0a\x0b\x0c\x0d\x0e\x0f" +
	"\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f\x7f"

// ownCookie reports whether a Set-Cookie line stays within the route: not a name of the hub, no domain, and a path below
// the prefix.
func ownCookie(line string, v *visit) bool {
	pair, attributes, _ := strings.Cut(line, ";")
	name, _, ok := strings.Cut(pair, "=")
	name = strings.Trim(name, " \t")
	if !ok || !tokenChars(name) || hubCookie(name) || strings.ContainsAny(line, controlChars) {
		return false
	}
	hasPath := false
	for _, attribute := range strings.Split(attributes, ";") {
		key, value, _ := strings.Cut(attribute, "=")
		switch strings.ToLower(strings.TrimSpace(key)) {
		case "domain":
			return false
		case "path":
			if !pathBelow(strings.TrimSpace(value), v.pass.prefix) {
				return false
			}
			hasPath = true
		}
	}
	// Without a path the browser takes the directory of the page, which for "/user/alice" is "/user".
	return hasPath || v.slash
}

// pathBelow reports whether a cookie path is the prefix or below it, in the prefix's own spelling or decoded.
func pathBelow(path, prefix string) bool {
	if path+"/" == prefix || strings.HasPrefix(path, prefix) {
		return true
	}
	plainPath, err1 := url.PathUnescape(path)
	plainPrefix, err2 := url.PathUnescape(prefix)
	return err1 == nil && err2 == nil && (plainPath+"/" == plainPrefix || strings.HasPrefix(plainPath, plainPrefix))
}

// tokenChars reports whether name is a cookie name without characters that some reader might trim or decode.
func tokenChars(name string) bool {
	return name != "" && strings.Trim(name,
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~") == ""
}
