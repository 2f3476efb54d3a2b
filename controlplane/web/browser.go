package web

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"

	"github.com/edgehub/edgehub/controlplane/hub"
)

// Names of cookies without TLS. With TLS they get the prefix "__Host-", which browsers only take over TLS, for the whole
// host, and from the host itself.
const (
	EdgeCookie    = "edgehub"
	SessionCookie = "edgehub-session"
	xsrfCookie    = "_xsrf"
	hostPrefix    = "__Host-"
)

// Secure reports whether the visitor's browser came over TLS, as the edge says.
func Secure(r *http.Request) bool {
	return r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https")
}

// CookieName is the name of one of our cookies for this request. Hubs on one host have different ones.
func CookieName(r *http.Request, name string) string {
	name += Base(r).CookieSuffix()
	if Secure(r) {
		return hostPrefix + name
	}
	return name
}

// Cookie returns the value of one of our cookies. More than one of that name means that somebody planted one: that is an
// Invalid error, because nobody can tell which is ours.
func Cookie(r *http.Request, name string) (string, error) {
	found := r.CookiesNamed(CookieName(r, name))
	switch len(found) {
	case 0:
		return "", nil
	case 1:
		return found[0].Value, nil
	}
	return "", hub.Errorf(hub.Invalid, "Your browser sent two cookies named %s. Clear the cookies of this site and sign in again.", CookieName(r, name))
}

// SetCookie sets one of our cookies for maxAge seconds; a negative one deletes it.
func SetCookie(w http.ResponseWriter, r *http.Request, name, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{Name: CookieName(r, name), Value: value, Path: "/", MaxAge: maxAge,
		HttpOnly: true, Secure: Secure(r), SameSite: http.SameSiteLaxMode})
}

// XSRF makes and checks XSRF tokens: a random part and its authenticator for one session. They need no storage, and every
// replica accepts them.
type XSRF struct {
	// MAC authenticates data with a key that only the hub's replicas have.
	MAC func(purpose, data string) []byte
}

// Token returns the XSRF token for the page that answers r, and sets its cookie. session is the id of the visitor's
// session, empty for a visitor who has not signed in. A good token that the browser has is used again, so that two open
// pages both work.
func (x XSRF) Token(w http.ResponseWriter, r *http.Request, session string) string {
	for _, c := range r.CookiesNamed(xsrfCookie) {
		if x.valid(c.Value, session) {
			return c.Value
		}
	}
	nonce := make([]byte, 16)
	_, _ = rand.Read(nonce) // never fails since Go 1.24
	enc := base64.RawURLEncoding.EncodeToString
	token := enc(nonce)
	token += "." + enc(x.MAC("xsrf", session+"|"+token))
	http.SetCookie(w, xsrfCookieOf(r, token))
	return token
}

// Forget deletes the cookie of the XSRF token, if the browser has one.
func (x XSRF) Forget(w http.ResponseWriter, r *http.Request) {
	if len(r.CookiesNamed(xsrfCookie)) == 0 {
		return
	}
	c := xsrfCookieOf(r, "")
	c.MaxAge = -1
	http.SetCookie(w, c)
}

// xsrfCookieOf is the cookie with an XSRF token. Its name is JupyterHub's, so its path keeps the hubs on one host apart.
func xsrfCookieOf(r *http.Request, token string) *http.Cookie {
	return &http.Cookie{Name: xsrfCookie, Value: token, Path: Base(r).Path("/hub/"), Secure: Secure(r), SameSite: http.SameSiteLaxMode}
}

func (x XSRF) valid(token, session string) bool {
	nonce, mac, ok := strings.Cut(token, ".")
	if !ok || len(token) > 200 {
		return false
	}
	got, err := base64.RawURLEncoding.DecodeString(mac)
	return err == nil && subtle.ConstantTimeCompare(got, x.MAC("xsrf", session+"|"+nonce)) == 1
}

// Check refuses a request that a cookie authenticates unless it carries the token of a page of ours: in the form field or
// query parameter _xsrf or in a header X-XSRFToken or X-CSRFToken, equal to a _xsrf cookie and made for this session
// (JupyterHub's form, section 4.3 of its reference).
func (x XSRF) Check(r *http.Request, session string) error {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
	default:
		return hub.Errorf(hub.Forbidden, "This request came from another site and was refused.")
	}
	sent := r.Header.Get("X-XSRFToken")
	if sent == "" {
		sent = r.Header.Get("X-CSRFToken")
	}
	if sent == "" {
		if r.Body != nil {
			r.Body = http.MaxBytesReader(nil, r.Body, MaxBody) // a form's files would go to disk, however large
		}
		sent = r.FormValue("_xsrf")
	}
	if sent == "" {
		return hub.Errorf(hub.Forbidden, "'_xsrf' argument missing from %s", r.Method)
	}
	for _, c := range r.CookiesNamed(xsrfCookie) {
		if subtle.ConstantTimeCompare([]byte(c.Value), []byte(sent)) == 1 && x.valid(sent, session) {
			return nil
		}
	}
	return hub.Errorf(hub.Forbidden, "XSRF cookie does not match %s argument", r.Method)
}

// SafeNext returns next if it is a path on this host, made again from its parts, else "". It accepts one leading slash, and
// nothing that a browser could read as another host or scheme (CVE-2019-10255, CVE-2026-33709).
func SafeNext(next string) string {
	if len(next) == 0 || len(next) > 2048 || next[0] != '/' || len(next) > 1 && (next[1] == '/' || next[1] == '\\') {
		return ""
	}
	for i := 0; i < len(next); i++ {
		if c := next[i]; c < 0x20 || c == 0x7f || c == '\\' {
			return ""
		}
	}
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || u.Opaque != "" {
		return ""
	}
	path := u.EscapedPath()
	if strings.HasPrefix(path, "//") || !strings.HasPrefix(path, "/") {
		return ""
	}
	out := path
	if u.RawQuery != "" {
		out += "?" + u.RawQuery
	}
	if u.Fragment != "" {
		out += "#" + u.EscapedFragment()
	}
	return out
}
