package plugin

import (
	"context"
	"net/http"
	"strings"
	"time"
	"unicode"

	"github.com/edgehub/edgehub/routes"
)

// What was decided about a request. The reasons are words of this package and of routes.Why; nothing that a visitor sends
// becomes one.
const (
	decidedAllow   = "allow"   // the user's server answers
	decidedHub     = "hub"     // the control plane answers
	decidedSignIn  = "signin"  // nobody is known: the login page, or 403
	decidedRefuse  = "refuse"  // somebody is known and may not, or nobody may ask so
	decidedStopped = "stopped" // the server does not run
	decidedEdge    = "edge"    // the edge's own pages: its status, and visitor tickets
	decidedError   = "error"   // something is away or broken
)

// decisions are all of them.
var decisions = []string{decidedAllow, decidedHub, decidedSignIn, decidedRefuse, decidedStopped, decidedEdge, decidedError}

// note is what the edge has to say about one request, for the access log and the metrics. It travels in the context of the
// request, and only where an option asks for it: everywhere else noteOf is nil.
type note struct {
	counts   *counts
	began    time.Time
	decision string
	reason   string
	user     string
	server   string
	counted  bool
}

type noteKey struct{}

// logFields are the headers that tell an access log about a request.
var logFields = []string{"X-Edgehub-User", "X-Edgehub-Server", "X-Edgehub-Decision", "X-Edgehub-Reason"}

// serveNoted is ServeHTTP where somebody wants to know.
//
// An access log reads the headers of the very request that it has passed on. So that neither a server nor the control plane sees
// our fields, and nobody writes into a map that a transport still reads, what is forwarded has a header of its own.
func serveNoted(s *shared, w http.ResponseWriter, r *http.Request) {
	n := &note{counts: s.counts, began: time.Now()}
	inner := r.WithContext(context.WithValue(r.Context(), noteKey{}, n))
	s.counts.enter()
	defer s.counts.leave()
	if s.set.logFields {
		inner.Header = r.Header.Clone()
		defer n.writeTo(r.Header)
	}
	if serveStatus(s, w, inner) {
		return
	}
	if s.set.logFields && !noteKnown(s, inner, n) {
		serve(s, w, inner, true)
		return
	}
	status := serveFast(s, w, inner)
	if status == 0 {
		serve(s, w, inner, true)
		return
	}
	noteSent(inner, status)
}

// noteKnown notes whose request it is if the edge remembers: the short way does not ask.
func noteKnown(s *shared, r *http.Request, n *note) bool {
	f, err := find(s.state, r.URL.EscapedPath())
	if err != nil || f.route == nil {
		return false
	}
	p, ok := lookup(s.passes, passKey(r, f.route.Prefix), n.began.Unix()).(*pass)
	if !ok || p.route != f.route {
		return false
	}
	n.visit(p.route, p.who.claims)
	return true
}

func noteOf(r *http.Request) *note {
	n, _ := r.Context().Value(noteKey{}).(*note)
	return n
}

// noted remembers what was decided about a request. The last word counts.
func noted(r *http.Request, decision, reason string) {
	n := noteOf(r)
	if n != nil {
		n.decision = decision
		n.reason = reason
	}
}

// noteVisit notes a visitor who may, or may not, visit a route.
func noteVisit(r *http.Request, route *routes.Route, c *routes.Claims) {
	n := noteOf(r)
	if n != nil {
		n.visit(route, c)
	}
}

func (n *note) visit(route *routes.Route, c *routes.Claims) {
	n.server = clean(route.Prefix)
	n.reason = routes.Why(route, c)
	n.decision = decidedAllow
	if n.reason == "stranger" || n.reason == "scope" {
		n.decision = decidedRefuse
	}
	if c != nil {
		n.user = clean(c.Subject)
	}
}

// noteAdmission notes why identify has found nobody, or somebody who may not.
func noteAdmission(s *shared, r *http.Request, f *found, who *identity, problem int, secure bool, now int64) {
	n := noteOf(r)
	if n == nil {
		return
	}
	n.server = clean(f.route.Prefix)
	switch problem {
	case somebody:
		n.visit(f.route, who.claims)
	case ambiguous:
		noted(r, decidedRefuse, "credentials")
	case unavailable:
		noted(r, decidedError, "unchecked_token")
	case flooded:
		noted(r, decidedRefuse, "flooded")
	default:
		n.stranger(s, r, f, secure, now)
	}
}

// stranger notes why a request counts as nobody's.
func (n *note) stranger(s *shared, r *http.Request, f *found, secure bool, now int64) {
	n.decision = decidedSignIn
	n.reason = "no_credential"
	name := plainCookie
	if secure {
		name = secureCookie
	}
	header, _ := headerToken(r)
	cookie, _ := cookieValue(r.Header["Cookie"], name)
	for _, token := range []string{header, cookie} {
		if token == "" || n.reason == "revoked" {
			continue
		}
		n.reason = "credential"
		// Its signature is good and it has not ended, and yet it was not taken.
		if c := s.verdicts.check(token, f.keys, f.keyGen, now); c != nil {
			n.reason = "revoked"
			n.user = clean(c.Subject)
		}
	}
}

// noteSent counts a request when the header of its answer is sent.
func noteSent(r *http.Request, status int) {
	n := noteOf(r)
	if n == nil || n.counted {
		return
	}
	if n.decision == "" {
		n.decision = decidedAllow
	}
	n.counted = true
	n.counts.answered(n.decision, status, time.Since(n.began))
}

// noteOwn is noteSent for an error that the edge itself answers: that is never "allow", whatever was decided before.
func noteOwn(r *http.Request, status int, kind string) {
	n := noteOf(r)
	if n == nil {
		return
	}
	if n.decision == "" || n.decision == decidedAllow || n.decision == decidedHub {
		n.decision = decidedRefuse
		n.reason = kind
		if status >= http.StatusInternalServerError {
			n.decision = decidedError
		}
	}
	noteSent(r, status)
}

// writeTo puts the fields in place of whatever a visitor sent under their names.
func (n *note) writeTo(h http.Header) {
	for i, value := range []string{n.user, n.server, n.decision, n.reason} {
		delete(h, logFields[i])
		if value != "" {
			h[logFields[i]] = []string{value}
		}
	}
}

// clean makes a name fit for a log field: short, and without anything that ends a line or a quotation.
func clean(name string) string {
	const max = 64
	if len(name) > max {
		name = name[:max]
	}
	return strings.Map(func(c rune) rune {
		if c == '"' || c == '\\' || c == unicode.ReplacementChar || !unicode.IsPrint(c) {
			return '?'
		}
		return c
	}, name)
}
