package plugin

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/edgehub/edgehub/routes"
)

// takeToken makes the token of an address one of the Authorization header, and reports whether there was one. It reports
// false for ok if there are two credentials: several tokens in the address, or another one in the header. A token of the
// server's own, which JupyterLab adds to the addresses of its WebSockets, says nothing about the visitor.
func takeToken(r *http.Request, route *routes.Route) (found, ok bool) {
	token, n := queryToken(r.URL.RawQuery)
	if n == 0 || n == 1 && (token == "" || ofServer(token, route)) {
		return false, true
	}
	if n > 1 {
		return true, false
	}
	given := r.Header["Authorization"]
	if len(given) == 0 {
		r.Header.Set("Authorization", "token "+token)
		return true, true
	}
	inHeader, problem := headerToken(r)
	same := problem == nobody && inHeader == token
	return true, same
}

// queryToken is the last token in a raw query, and how many there are.
func queryToken(query string) (token string, n int) {
	for _, pair := range strings.Split(query, "&") {
		if !isToken(pair) {
			continue
		}
		n++
		_, raw, _ := strings.Cut(pair, "=")
		if plain, err := url.QueryUnescape(raw); err == nil {
			token = plain
		}
	}
	return token, n
}

// enterWithToken is for a person who opened a page with a token in its address: the browser gets the edge's cookie in its
// place, and the address without it. Who is signed in stays so: a link must not turn somebody into somebody else.
func enterWithToken(s *shared, w http.ResponseWriter, r *http.Request, f *found, p *pass, next string) {
	name, bound := cookieName(s.set, p.scheme == "https"), boundTo(s.set, p.host)
	now := time.Now().Unix()
	cookie, problem := cookieValue(r.Header["Cookie"], name)
	if problem != nobody || cookie == "" || verify(s, cookie, f, bound, now) == nil {
		token, _ := headerToken(r)
		if !routes.IsEdgeToken(token) {
			token = s.exchange.forCookie(token, bound)
		}
		if token == "" {
			w.Header().Set("Retry-After", "5")
			answer(s, w, r, http.StatusServiceUnavailable, "unavailable", "This token cannot be checked at the moment. Try again soon.")
			return
		}
		w.Header().Add("Set-Cookie", setCookie(name, token))
	}
	sendTo(w, r, next)
}

// forCookie asks the control plane for the edge token of an API token that is known to be good, bound to a host. It is empty
// if there is none now.
func (x *exchange) forCookie(token, bound string) string {
	x.mu.Lock()
	allowed := x.allowed()
	x.mu.Unlock()
	if !allowed {
		return ""
	}
	answer, _ := x.shared.control.call("/hub/api/edge/exchange", map[string]string{"token": token, "host": bound})
	return answer.EdgeToken
}
