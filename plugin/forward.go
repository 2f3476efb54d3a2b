package plugin

import (
	"net/http"
	"net/http/httputil"
	"strings"
)

// What the edge sends on. ReverseProxy has removed the hop-by-hop headers, and those that "Connection" names, before
// these functions run, so nothing that they set can be taken away by the visitor.

// ownNamespace is how the headers begin that only the edge may set toward servers and the control plane.
const ownNamespace = "x-edgehub-"

// rewriteForServer makes the request that a user's server gets: the hub's cookies and every credential of the visitor are
// gone, and the server's own credential is there.
func rewriteForServer(pr *httputil.ProxyRequest, v *visit) {
	scheme, host, _ := strings.Cut(v.route.Target, "://")
	pr.Out.URL.Scheme = scheme
	pr.Out.URL.Host = strings.TrimSuffix(host, "/")
	delete(pr.Out.Header, "Cookie")
	delete(pr.Out.Header, "Authorization")
	rewrite(pr, v)
}

// rewriteForHub makes the request that the control plane gets: as it came, cookies and credentials included.
func rewriteForHub(pr *httputil.ProxyRequest, v *visit) {
	pr.Out.URL.Scheme = "http"
	pr.Out.URL.Host = "hub"
	rewrite(pr, v)
}

// rewrite does what both have in common. The chain of addresses that a request came through is kept.
func rewrite(pr *httputil.ProxyRequest, v *visit) {
	pr.Out.URL.RawQuery = v.query // ReverseProxy has dropped what it could not parse
	pr.Out.Trailer = nil
	h := pr.Out.Header
	dropForged(h)
	if prior := pr.In.Header["X-Forwarded-For"]; len(prior) > 0 {
		h["X-Forwarded-For"] = prior
	}
	pr.SetXForwarded()
	for name, lines := range v.headers {
		h[name] = lines
	}
}

// forwardedHeaders say where a request came from.
func forwardedHeaders(scheme, host string) http.Header {
	return http.Header{
		"X-Forwarded-Host":  []string{host},
		"X-Forwarded-Proto": []string{scheme},
		"X-Forwarded-Port":  []string{portOf(scheme, host)},
	}
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

// usual are headers that dropForged need not look at: harmless ones, and those that rewrite replaces.
var usual = map[string]bool{
	"Referer": true, "Range": true, "Pragma": true, "Priority": true, "X-Xsrftoken": true, "X-Requested-With": true, "X-Real-Ip": true,
	"X-Forwarded-For": true, "X-Forwarded-Host": true, "X-Forwarded-Proto": true, "X-Forwarded-Port": true, "X-Forwarded-Server": true,
}

// dropForged removes the headers through which a visitor could speak in the name of a proxy: our own namespace,
// the identity headers of other proxies, and rewrites of the address. "_" counts as "-", as many servers read it.
func dropForged(h http.Header) {
	for name := range h {
		if first := name[0]; first != 'X' && first != 'R' && first != 'P' && first != 'F' || usual[name] {
			continue // net/http has made the first letter a capital
		}
		if forged(strings.ReplaceAll(strings.ToLower(name), "_", "-"), name) {
			delete(h, name)
		}
	}
}

// forged decides by the folded name; name is how it was spelled.
func forged(folded, name string) bool {
	switch folded {
	case "remote-user", "remote-groups", "remote-name", "remote-email", "proxy-authorization", "forwarded",
		"x-original-url", "x-rewrite-url", "x-remote-user", "x-auth-request-user", "x-webauth-user", "x-user":
		return true
	case "x-real-ip", "x-forwarded-server":
		return strings.Contains(name, "_")
	}
	// The four of X-Forwarded-* that mean something here are set anew afterwards.
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
