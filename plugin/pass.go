package plugin

import (
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/edgehub/edgehub/routes"
)

// pass is what the edge worked out for the bearer of one set of credentials at one route. The same credentials, byte for
// byte, get it again for a while, which spares an interpreter most of the work of a request. It holds only for the very
// record of the route and the very set of keys that it was made with, and stillGood is asked on every use.
type pass struct {
	route   *routes.Route
	prefix  string // of the route, as browsers see it
	keyGen  int64
	checked int64  // the version of the state that admitted it last; atomic
	scheme  string // of the origin as the browser sees it
	host    string
	who     *identity
	due     int64 // when the token should be renewed, in Unix seconds
	until   int64 // when it ends
	calm    int64 // until when nothing has to be done for it: its end, or the renewal
	old     int32 // 1 when it has been forgotten by fast; atomic

	// For the access log, if it asks.
	user   string
	server string
	reason string

	target *address
	told   http.Header // what the server is told in place of what the visitor said; nil lines for a header to leave out
}

// Bounds of passes.
const (
	passLife    = 60   // seconds
	passKeySize = 4096 // longer credentials are worked out every time
)

// passOf returns the pass of a request, or answers it and returns nil.
func passOf(s *shared, w http.ResponseWriter, r *http.Request, f *found, now int64) *pass {
	key := passKey(r, f.route.Prefix)
	p, ok := lookup(s.passes, key, now).(*pass)
	if ok && p.route == f.route && p.keyGen == f.keyGen {
		return p
	}
	return newPass(s, w, r, f, key, now)
}

// passKey is the prefix of the route, the origin, and all credentials; empty if that is too much to keep, or more than the
// usual one header of a kind. No header holds a line break.
func passKey(r *http.Request, prefix string) string {
	h := r.Header
	cookies, authorizations, protos := h["Cookie"], h["Authorization"], h["X-Forwarded-Proto"]
	if len(cookies) > 1 || len(authorizations) > 1 || len(protos) > 1 {
		return ""
	}
	key := prefix + "\n" + r.Host
	if r.TLS != nil {
		key += "\ns"
	}
	if len(protos) == 1 {
		key += "\np" + protos[0]
	}
	if len(cookies) == 1 {
		key += "\nc" + cookies[0]
	}
	if len(authorizations) == 1 {
		key += "\na" + authorizations[0]
	}
	if len(key) > passKeySize {
		return ""
	}
	return key
}

// newPass works a pass out and keeps it under key, if there is one.
func newPass(s *shared, w http.ResponseWriter, r *http.Request, f *found, key string, now int64) *pass {
	p := &pass{route: f.route, prefix: s.set.base.Path(f.route.Prefix), keyGen: f.keyGen, who: &identity{}}
	p.scheme, p.host = originOf(s.set, r)
	if !f.route.Open() {
		p.who = admit(s, w, r, f, p, now)
		if p.who == nil {
			return nil
		}
	}
	bearer, err := bearerFor(s, f.route, p.who.claims, now)
	if err != nil {
		noted(r, decidedError, "no_ticket")
		s.log.printf("ticket", "cannot make a visitor ticket for %s: %s", clip(f.route.Prefix), err.Error())
		answer(s, w, r, http.StatusInternalServerError, "internal", "The edge cannot sign a ticket for this server.")
		return nil
	}
	if p.target, err = parseAddress(f.route.Target); err != nil {
		noted(r, decidedError, "bad_target")
		answer(s, w, r, http.StatusBadGateway, "unavailable", "The server has no usable address.")
		return nil
	}
	s.instances.note(f.route, now)
	p.told = forwardedHeader(p.scheme, p.host)
	p.told["Connection"] = nil
	p.told["Cookie"] = withoutHubCookies(r.Header["Cookie"])
	p.told["Authorization"] = nil
	if f.route.Auth == routes.AuthPass {
		p.told["Authorization"] = ownToken(r)
	}
	if bearer != "" {
		present(p.told, f.route, p.who.claims, bearer)
	}
	p.until = now + passLife
	if c := p.who.claims; c != nil && c.Expires+routes.Leeway < p.until {
		p.until = c.Expires + routes.Leeway
	}
	p.due = renewalDue(p.who)
	p.calm = p.until
	if p.due < p.calm {
		p.calm = p.due
	}
	if s.noting {
		describe(p)
	}
	if key != "" {
		s.passes.put(key, p, p.until, now)
	}
	return p
}

// stillGood reports whether the bearer of p is admitted by the state as it is now. Mostly nothing has changed since the
// last time it was asked.
func stillGood(s *state, p *pass) bool {
	s.mu.RLock()
	changes := s.changes
	s.mu.RUnlock()
	return atomic.LoadInt64(&p.checked) == changes || recheck(s, p)
}

func recheck(s *state, p *pass) bool {
	changes, ok := s.admits(p.route, p.who.claims)
	if ok {
		atomic.StoreInt64(&p.checked, changes)
	}
	return ok
}

// admit decides who the bearer of a request is and whether they may visit the route, and answers and returns nil if not.
func admit(s *shared, w http.ResponseWriter, r *http.Request, f *found, p *pass, now int64) *identity {
	secure, bound := p.scheme == "https", boundTo(s.set, p.host)
	who, problem := identify(s, r, f, secure, bound, now)
	if problem == somebody && routes.Allows(f.route, who.claims) {
		return who
	}
	noteAdmission(s, r, f, who, problem, secure, now)
	switch problem {
	case somebody:
		answer(s, w, r, http.StatusForbidden, "forbidden", "You do not have access to this server.")
	case ambiguous:
		answerAmbiguous(s, w, r)
	case unavailable:
		w.Header().Set("Retry-After", "5")
		answer(s, w, r, http.StatusServiceUnavailable, "unavailable", "This token cannot be checked at the moment. Try again soon.")
	case flooded:
		w.Header().Set("Retry-After", "2")
		answer(s, w, r, http.StatusTooManyRequests, "exhausted", "Too many unknown tokens. Try again soon.")
	default:
		signIn(s, w, r, p.host, withQuery(r.URL.EscapedPath(), withoutToken(r.URL.RawQuery)))
	}
	return nil
}

// bearerFor is the credential that a route's server gets for a visitor, empty for none.
func bearerFor(s *shared, route *routes.Route, c *routes.Claims, now int64) (string, error) {
	switch route.Auth {
	case routes.AuthSecret:
		return route.Secret, nil
	case routes.AuthTicket, routes.AuthHeaders:
		return ticketFor(s, route, c, now)
	}
	return "", nil
}

// ticketFor returns the visitor ticket for a route. One is used for half of its life, because a single-user server asks
// once for each that it sees.
func ticketFor(s *shared, route *routes.Route, c *routes.Claims, now int64) (string, error) {
	key := strings.Join([]string{c.UserID, c.Session, c.Token, route.Prefix, route.Secret}, "\n")
	if known, ok := lookup(s.tickets, key, now).(string); ok {
		return known, nil
	}
	ticket, err := routes.SignTicket(route, c, now+routes.TicketLife)
	if err == nil {
		s.tickets.put(key, ticket, now+routes.TicketLife/2, now)
	}
	return ticket, err
}

// ownToken is the Authorization header of a visitor for a program that asks the hub itself who that is: one API token. What
// only edges accept stays with them.
func ownToken(r *http.Request) []string {
	token, problem := headerToken(r)
	if problem != nobody || token == "" || routes.IsEdgeToken(token) || routes.IsTicket(token) {
		return nil
	}
	return r.Header["Authorization"]
}
