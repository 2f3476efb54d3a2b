package plugin

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// A browser signs in on a user's host like this, without anything that could be used elsewhere or by somebody else:
//
//  1. The edge sends it to the hub with the host and a random state, which it also keeps in a cookie of that host.
//  2. The hub, where the browser is signed in or signs in now, sends it back with a code for this session, host and state.
//  3. The edge compares the state, redeems the code at the hub for an edge token that is good on this host only, and sets
//     the cookie.

const (
	visitPath   = "/.edgehub/visit"
	stateCookie = "-state" // behind the name of the edge's cookie
	stateLife   = "600"
	stateLen    = 32
	codeLen     = 64
)

// startVisit sends a person without a valid cookie to the hub. A state that the browser has already is used again, so that
// several tabs may sign in at once.
func startVisit(s *shared, w http.ResponseWriter, r *http.Request, host, next string) {
	name := cookieName(s.set, s.set.publicScheme == "https")
	state := stateOf(r, name)
	if state == "" {
		random := make([]byte, stateLen/2)
		if _, err := rand.Read(random); err != nil {
			answer(s, w, r, http.StatusInternalServerError, "internal", "The edge has no random numbers.")
			return
		}
		state = hex.EncodeToString(random)
	}
	w.Header().Add("Set-Cookie", cookieLine(name+stateCookie, name, state, stateLife))
	sendTo(w, r, s.set.hosts.Origin()+s.set.base.Path("/hub/edge/visit")+"?"+url.Values{"host": {host}, "next": {next}, "state": {state}}.Encode())
}

// stateOf is the state that the browser has, or "".
func stateOf(r *http.Request, name string) string {
	state, problem := cookieValue(r.Header["Cookie"], name+stateCookie)
	if problem != nobody || !isHex(state, stateLen) {
		return ""
	}
	return state
}

func isHex(text string, length int) bool {
	return len(text) == length && strings.Trim(text, "0123456789abcdef") == ""
}

// endVisit redeems the code that the hub sent a browser with, and leads to where it wanted to go. The pages of this host are
// those of the user's server, and could read the code out of the address of a page that is shown. So nothing is: whatever is
// wrong leads to the bare address.
func endVisit(s *shared, w http.ResponseWriter, r *http.Request, host string) {
	if r.URL.RawQuery == "" || r.Method != http.MethodGet {
		answer(s, w, r, http.StatusBadRequest, "invalid", "Signing in on this host took too long, or the browser keeps no cookies. Please open the page again.")
		return
	}
	name := cookieName(s.set, s.set.publicScheme == "https")
	query := r.URL.Query()
	code, state := query.Get("code"), query.Get("state")
	if !isHex(code, codeLen) || !isHex(state, stateLen) || stateOf(r, name) != state {
		sendTo(w, r, s.set.base.Path(visitPath))
		return
	}
	token, next := s.control.redeem(code, host, state)
	keys, keyGen := s.state.keyring()
	claims := s.verdicts.check(token, keys, keyGen, time.Now().Unix())
	if claims == nil || claims.Host != host {
		sendTo(w, r, s.set.base.Path(visitPath))
		return
	}
	w.Header().Add("Set-Cookie", setCookie(name, token))
	next = ownPath(next)
	if _, below := s.set.base.Cut(next); !below {
		next = s.set.base.Path("/")
	}
	sendTo(w, r, next)
}

// ownPath is next if browsers read it as a path of the host that they are on, else "/".
func ownPath(next string) string {
	if next == "" || next[0] != '/' || strings.ContainsAny(next, "\\ \t\r\n\x00\x7f") || strings.HasPrefix(next, "//") {
		return "/"
	}
	u, err := url.Parse(next) // refuses other control characters
	if err != nil || u.Scheme != "" || u.Host != "" || u.Opaque != "" || strings.HasPrefix(u.EscapedPath(), "//") {
		return "/"
	}
	return next
}
