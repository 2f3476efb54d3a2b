package api

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/web"
)

func hubToken(u hub.User, server string, scopes ...string) hub.Token {
	return hub.Token{User: u.Name, UserID: u.ID, Server: server, Scopes: scopes}
}

func TestSpellingsOfATokenHeader(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	secret := h.token(h.user("alice", false))
	expired := hubToken(h.user("bob", false), "", "inherit")
	expired.Expires = time.Now().Add(-time.Second)
	_, late, err := h.tokens.Issue(t.Context(), expired)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		header string
		status int
	}{
		{"token " + secret, 200}, {"Token " + secret, 200}, {"TOKEN " + secret, 200},
		{"bearer " + secret, 200}, {"Bearer " + secret, 200}, {"BEARER " + secret, 200}, {"token   " + secret, 200},
		{secret, 403}, {"Basic " + secret, 403}, {"token", 403}, {"token ", 403}, {"token " + secret + " x", 403},
		{"token " + secret[1:], 403}, {"token " + strings.ToUpper(secret), 403}, {"token " + late, 403}, {"", 403},
	} {
		a := h.do("GET", "/hub/api/user", "", header("Authorization", test.header))
		if a.status != test.status {
			t.Errorf("Authorization %q = %d %s, want %d", test.header, a.status, a.body, test.status)
		}
		if a.status == 403 {
			a.wantError(403, noCredentials)
		}
	}
	h.do("GET", "/hub/api/user?token="+secret, "").wantError(403, noCredentials)
}

// browser is a signed-in browser: its session and the XSRF token of a page.
type browser struct {
	session with
	xsrf    string
	page    with // the cookie that goes with xsrf
}

func (h *testHub) browser(u hub.User) browser {
	h.t.Helper()
	session, secret, err := h.tokens.StartSession(h.t.Context(), u)
	if err != nil {
		h.t.Fatal(err)
	}
	xsrf := h.opts.XSRF.Token(httptest.NewRecorder(), httptest.NewRequest("GET", "/hub/home", nil), session.ID)
	return browser{session: cookie(web.SessionCookie, secret), xsrf: xsrf, page: cookie("_xsrf", xsrf)}
}

func TestCookiesNeedAnXSRFToken(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	alice := h.user("alice", false)
	b, other := h.browser(alice), h.browser(h.user("bob", false))
	token := h.token(alice)
	const (
		missing  = "'_xsrf' argument missing from "
		mismatch = "XSRF cookie does not match "
		foreign  = "This request came from another site and was refused."
	)
	mode := func(m string) with { return header("Sec-Fetch-Mode", m) }
	site := func(s string) with { return header("Sec-Fetch-Site", s) }
	sent := header("X-XSRFToken", b.xsrf)
	for _, test := range []struct {
		what    string
		method  string
		changes []with
		status  int
		message string
	}{
		// Reads.
		{"a navigation", "GET", []with{b.session, mode("navigate")}, 200, ""},
		{"a program that does not say how it fetches", "GET", []with{b.session}, 200, ""},
		{"a script without a token", "GET", []with{b.session, mode("cors")}, 403, missing + "GET"},
		{"a script of the same origin without a token", "GET", []with{b.session, mode("same-origin")}, 403, missing + "GET"},
		{"an image", "GET", []with{b.session, mode("no-cors")}, 403, missing + "GET"},
		{"a script with a token", "GET", []with{b.session, b.page, sent, mode("cors"), site("same-origin")}, 200, ""},
		{"a script of another site with a token", "GET", []with{b.session, b.page, sent, mode("cors"), site("cross-site")}, 403, foreign},
		{"a script of a sibling host with a token", "GET", []with{b.session, b.page, sent, mode("cors"), site("same-site")}, 403, foreign},
		// Writes.
		{"no token", "POST", []with{b.session}, 403, missing + "POST"},
		{"no token, no metadata but a navigation", "POST", []with{b.session, mode("navigate")}, 403, missing + "POST"},
		{"token in X-XSRFToken", "POST", []with{b.session, b.page, sent}, 200, ""},
		{"token in X-CSRFToken", "POST", []with{b.session, b.page, header("X-CSRFToken", b.xsrf)}, 200, ""},
		{"token without its cookie", "POST", []with{b.session, sent}, 403, mismatch + "POST argument"},
		{"token of another session", "POST", []with{b.session, other.page, header("X-XSRFToken", other.xsrf)}, 403, mismatch + "POST argument"},
		{"cookie of another session", "POST", []with{b.session, other.page, sent}, 403, mismatch + "POST argument"},
		{"a planted cookie in front", "POST", []with{b.session, other.page, b.page, sent}, 200, ""},
		{"made-up token", "POST", []with{b.session, cookie("_xsrf", "x.y"), header("X-XSRFToken", "x.y")}, 403, mismatch + "POST argument"},
		{"another site", "POST", []with{b.session, b.page, sent, site("cross-site")}, 403, foreign},
		{"the same origin", "POST", []with{b.session, b.page, sent, site("same-origin")}, 200, ""},
		// Forms are nobody's.
		{"a form", "POST", []with{b.session, b.page, sent, header("Content-Type", "application/x-www-form-urlencoded")}, 403, noCredentials},
		{"text", "POST", []with{b.session, b.page, sent, header("Content-Type", "text/plain")}, 403, noCredentials},
		{"an upload", "POST", []with{b.session, b.page, sent, header("Content-Type", "multipart/form-data; boundary=x")}, 403, noCredentials},
		{"no type", "POST", []with{b.session, b.page, sent, header("Content-Type", "")}, 403, noCredentials},
		// Tokens need none of it.
		{"an API token", "POST", []with{as(token)}, 200, ""},
		{"an API token from a script", "POST", []with{as(token), mode("cors"), site("cross-site")}, 200, ""},
		{"an API token with text", "POST", []with{as(token), header("Content-Type", "text/plain")}, 200, ""},
		{"an API token beside a cookie", "POST", []with{as(token), b.session}, 200, ""},
		{"a bad API token beside a cookie", "POST", []with{as("nope"), b.session}, 403, missing + "POST"},
		{"a bad API token beside a good page", "POST", []with{as("nope"), b.session, b.page, sent}, 200, ""},
		// Cookies that are not one.
		{"no such session", "GET", []with{cookie(web.SessionCookie, "nope")}, 403, noCredentials},
		{"two session cookies", "GET", []with{b.session, other.session}, 400,
			"Your browser sent two cookies named edgehub-session. Clear the cookies of this site and sign in again."},
		{"the plain cookie over TLS", "GET", []with{b.session, header("X-Forwarded-Proto", "https")}, 403, noCredentials},
	} {
		t.Run(test.what, func(t *testing.T) {
			path, body := "/hub/api/users/alice", ""
			if test.method == "POST" {
				path, body = path+"/activity", `{"last_activity":"2020-01-01T00:00:00Z"}`
			}
			a := h.do(test.method, path, body, test.changes...)
			if test.message == "" {
				a.want(test.status)
				return
			}
			a.wantError(test.status, test.message)
		})
	}
	h.do("GET", "/hub/api/users/alice?_xsrf="+b.xsrf, "", b.session, b.page, mode("cors")).want(200)
	h.do("DELETE", "/hub/api/users/alice/server", "", b.session).wantError(403, missing+"DELETE")
	h.do("DELETE", "/hub/api/users/alice/server?_xsrf="+b.xsrf, "", b.session, b.page).want(204)
}

func TestEndedSessionsAreNobodys(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	alice := h.user("alice", false)
	session, secret, err := h.tokens.StartSession(t.Context(), alice)
	if err != nil {
		t.Fatal(err)
	}
	c := cookie(web.SessionCookie, secret)
	h.do("GET", "/hub/api/user", "", c).want(http.StatusOK)
	if err := h.tokens.EndSession(t.Context(), alice.ID, session.ID); err != nil {
		t.Fatal(err)
	}
	h.do("GET", "/hub/api/user", "", c).wantError(403, noCredentials)
}
