package plugin

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/edgehub/edgehub/routes"
)

// originOf is the scheme and host of the request as the browser sees them. Without a configured public URL they come from
// the request; Traefik sets X-Forwarded-Proto itself and removes a visitor's own. A client that lies about it only
// chooses the other cookie name for itself.
func originOf(set *settings, r *http.Request) (scheme, host string) {
	if set.publicScheme != "" {
		scheme = set.publicScheme
		if set.hosts != nil {
			host = routes.NormalHost(scheme, r.Host)
		}
		if host == "" || !set.hosts.IsUsers(host) {
			host = set.publicHost
		}
		return scheme, host
	}
	scheme = "http"
	if forwarded := r.Header["X-Forwarded-Proto"]; len(forwarded) > 0 {
		if forwarded[0] == "https" || forwarded[0] == "wss" {
			scheme = "https"
		}
	} else if r.TLS != nil {
		scheme = "https"
	}
	host = routes.NormalHost(scheme, r.Host)
	return scheme, host
}

// sameOrigin decides whether a request that a cookie authenticates was sent by a page of this origin. Programs behind the
// edge see a token instead of the cookie and check nothing themselves, so this is the only place where it is decided.
func sameOrigin(r *http.Request, scheme, host string) bool {
	origins := r.Header["Origin"]
	if upgrades(r) {
		return len(origins) == 1 && origins[0] == scheme+"://"+host
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return true
	}
	if len(origins) > 0 && (len(origins) > 1 || origins[0] != scheme+"://"+host) {
		return false
	}
	sites := r.Header["Sec-Fetch-Site"]
	for _, site := range sites {
		if site != "same-origin" && site != "none" {
			return false
		}
	}
	if len(origins) > 0 || len(sites) > 0 {
		return true
	}
	// A client that sends neither: no browser of today. A header that a form cannot set, or a referrer, will do.
	return r.Header.Get("X-XSRFToken") != "" || refererIs(r.Header.Get("Referer"), scheme, host)
}

func refererIs(referer, scheme, host string) bool {
	u, err := url.Parse(referer)
	return err == nil && u.Scheme == scheme && routes.NormalHost(scheme, u.Host) == host
}

// upgrades reports whether the request asks for a WebSocket.
func upgrades(r *http.Request) bool { return len(r.Header["Upgrade"]) > 0 }

// dropOtherUpgrade removes any request to switch the protocol except to a WebSocket: h2c would open a tunnel behind all
// checks. A browser opens a WebSocket with GET, HTTP/1.1, and one Upgrade header.
func dropOtherUpgrade(r *http.Request) {
	values := r.Header["Upgrade"]
	if len(values) == 0 {
		return
	}
	if len(values) == 1 && strings.EqualFold(values[0], "websocket") && r.Method == http.MethodGet &&
		strings.Contains(strings.ToLower(strings.Join(r.Header["Connection"], ",")), "upgrade") {
		return
	}
	r.Header.Del("Upgrade")
}

// navigates reports whether a person's browser opens a page, so that a login page is a useful answer.
func navigates(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead || upgrades(r) {
		return false
	}
	if mode := r.Header.Get("Sec-Fetch-Mode"); mode != "" && mode != "navigate" {
		return false
	}
	return wantsHTML(r)
}

// wantsHTML reports whether an answer of the edge itself should be a page.
func wantsHTML(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), "text/html") && !strings.Contains(r.URL.Path+"/", "/api/")
}
