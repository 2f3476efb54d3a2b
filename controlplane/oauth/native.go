package oauth

import (
	"net"
	"net/url"
	"strconv"

	"github.com/edgehub/edgehub/controlplane/access"
	"github.com/edgehub/edgehub/controlplane/hub"
)

// commandLine is `edgehub login` as a client: a program on somebody's own machine (RFC 8252). It is known to every hub, has no
// secret, must use PKCE, is never let through without the consent page, and gets what its person may do.
//
// Its redirect URI is the one of the request if that is good: any port of the loopback interface, because nobody knows before
// which one is free. errClient follows from an empty one.
func commandLine(redirect string) *client {
	c := &client{id: hub.CommandLineClientID, what: "the hub by command line", name: "The command line of edgehub", allowed: []string{access.Inherit}, public: true}
	if loopback(redirect) {
		c.redirect = redirect
	}
	return c
}

// loopback reports whether redirect is http://127.0.0.1:PORT/callback, or the same of [::1], and nothing else. The name localhost
// is not among them: it may lead to another host (RFC 8252, 8.3).
func loopback(redirect string) bool {
	u, err := url.Parse(redirect)
	if err != nil {
		return false
	}
	host, port, err := net.SplitHostPort(u.Host)
	if err != nil || host != "127.0.0.1" && host != "::1" {
		return false
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0 && redirect == "http://"+net.JoinHostPort(host, strconv.FormatUint(n, 10))+"/callback"
}
