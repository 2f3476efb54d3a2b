package plugin

import (
	"net"
	"net/http"
	"net/url"
	"strings"
)

// What the edge sends on. The header of a request is changed in place: nobody behind this middleware sees it, and a copy
// would be most of an interpreter's work.

// ownNamespace is how the headers begin that only the edge may set toward servers and the control plane.
const ownNamespace = "x-edgehub-"

// forwardedHeader says where a request came from.
func forwardedHeader(scheme, host string) http.Header {
	return http.Header{
		"X-Forwarded-Host":  []string{host},
		"X-Forwarded-Proto": []string{scheme},
		"X-Forwarded-Port":  []string{portOf(scheme, host)},
	}
}

// noAgent keeps Go's own User-Agent out of the request of a client that names none.
var noAgent = []string{""}

// forward makes out a request to the address to: the path byte for byte as it came, the header without what concerns this
// one connection or speaks in the name of a proxy, and with what is to be told. The chain of addresses that the request came
// through is kept.
func forward(out *http.Request, to *address, query string, told http.Header) {
	u := out.URL
	out.URL = &url.URL{Scheme: to.scheme, Host: to.host, Path: u.Path, RawPath: u.RawPath, RawQuery: query, ForceQuery: u.ForceQuery}
	out.Close = false
	out.Trailer = nil
	if out.ContentLength == 0 {
		out.Body = nil // then the transport may try again over a fresh connection
	}
	h := out.Header
	cleanHeader(h)
	addClient(h, out.RemoteAddr)
	for name, lines := range told {
		h[name] = lines
	}
	if len(h["User-Agent"]) == 0 {
		h["User-Agent"] = noAgent
	}
}

// addClient puts the address that the request came from at the end of X-Forwarded-For.
func addClient(h http.Header, remote string) {
	ip, _, err := net.SplitHostPort(remote)
	if err != nil {
		return // a unix socket has no address
	}
	if prior := h["X-Forwarded-For"]; len(prior) > 0 {
		ip = strings.Join(prior, ", ") + ", " + ip
	}
	h["X-Forwarded-For"] = []string{ip}
}

func portOf(scheme, host string) string {
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		return host[i+1:]
	}
	if scheme == "https" {
		return "443"
	}
	return "80"
}

// usual are the headers that cleanHeader need not look at: harmless ones, and those that forward replaces.
var usual = map[string]bool{
	"Accept": true, "Accept-Encoding": true, "Accept-Language": true, "Authorization": true, "Cache-Control": true,
	"Content-Length": true, "Content-Type": true, "Cookie": true, "Dnt": true, "If-Modified-Since": true, "If-None-Match": true,
	"Origin": true, "Pragma": true, "Priority": true, "Range": true, "Referer": true, "User-Agent": true,
	"Sec-Ch-Ua": true, "Sec-Ch-Ua-Mobile": true, "Sec-Ch-Ua-Platform": true, "Sec-Fetch-Dest": true, "Sec-Fetch-Mode": true,
	"Sec-Fetch-Site": true, "Sec-Fetch-User": true, "Upgrade-Insecure-Requests": true, "X-Requested-With": true, "X-Xsrftoken": true,
	"X-Real-Ip": true, "X-Forwarded-For": true, "X-Forwarded-Host": true, "X-Forwarded-Proto": true, "X-Forwarded-Port": true,
	"X-Forwarded-Server": true,
}

// hopByHop are the headers that concern one connection only (RFC 9110, 7.6.1).
var hopByHop = map[string]bool{
	"Connection": true, "Keep-Alive": true, "Proxy-Connection": true, "Proxy-Authenticate": true, "Proxy-Authorization": true,
	"Te": true, "Trailer": true, "Transfer-Encoding": true, "Upgrade": true,
}

// cleanHeader removes what concerns the visitor's connection only, and what is forged.
func cleanHeader(h http.Header) {
	if named := h["Connection"]; len(named) > 0 && named[0] != "keep-alive" {
		dropNamed(h, named)
	}
	for name := range h {
		if usual[name] {
			continue
		}
		if hopByHop[name] || forged(name) {
			delete(h, name)
		}
	}
}

// dropNamed removes the headers that the lines of a Connection header name. It runs before the edge sets its own, so a
// visitor cannot take those away.
func dropNamed(h http.Header, lines []string) {
	for _, line := range lines {
		for _, name := range strings.Split(line, ",") {
			delete(h, http.CanonicalHeaderKey(strings.Trim(name, " \t")))
		}
	}
}

// forged reports a header through which a visitor could speak in the name of a proxy: our own namespace, the identity
// headers of other proxies, and rewrites of the address. "_" counts as "-", as many servers read it.
func forged(name string) bool {
	if first := name[0]; first != 'X' && first != 'R' && first != 'F' && first != 'P' {
		return false // net/http has made the first letter a capital
	}
	folded := strings.ReplaceAll(strings.ToLower(name), "_", "-")
	switch folded {
	case "remote-user", "remote-groups", "remote-name", "remote-email", "forwarded", "proxy-authorization",
		"x-original-url", "x-rewrite-url", "x-remote-user", "x-auth-request-user", "x-webauth-user", "x-user", "x-real-ip":
		return true
	}
	// The five of X-Forwarded-* that may pass are among the usual ones, or set anew afterwards.
	return strings.HasPrefix(folded, ownNamespace) || strings.HasPrefix(folded, "x-forwarded-") ||
		strings.HasPrefix(folded, "x-auth-request-")
}

// withoutHubCookies removes the hub's cookies and leaves the others byte for byte and in order.
func withoutHubCookies(lines []string) []string {
	kept := make([]string, 0, len(lines))
	for _, line := range lines {
		if line = stripLine(line); line != "" {
			kept = append(kept, line)
		}
	}
	return kept
}

func stripLine(line string) string {
	if !strings.Contains(strings.ToLower(line), plainCookie) {
		return line
	}
	kept := make([]string, 0, 8)
	for _, pair := range strings.Split(line, ";") {
		name, _, _ := strings.Cut(pair, "=")
		if !hubCookie(strings.Trim(name, " \t")) {
			kept = append(kept, pair)
		}
	}
	return strings.TrimLeft(strings.Join(kept, ";"), " \t")
}

// hubCookie reports a name that belongs to the hub: edgehub and edgehub-anything, also behind the prefixes that browsers
// know, in any case.
func hubCookie(name string) bool {
	name = strings.ToLower(name)
	name = strings.TrimPrefix(strings.TrimPrefix(name, "__host-"), "__secure-")
	return name == plainCookie || strings.HasPrefix(name, plainCookie+"-")
}
