package plugin

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
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
	log      http.Header // where an access log looks; nil if nobody asks for the fields
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
	if s.set.logFields {
		inner.Header = r.Header.Clone()
		n.log = r.Header
	}
	atomic.AddInt64(&s.counts.open, 1)
	defer endNote(n)
	if s.set.statusPath != "" && serveStatus(s, w, inner) {
		return
	}
	if s.set.logFields {
		noteKnown(s.fast, inner, n)
	}
	status := serveFast(s, w, inner)
	if status == 0 {
		serve(s, w, inner, true)
		return
	}
	noteSent(inner, status)
}

// endNote closes the note of a request that has ended, by a panic maybe.
func endNote(n *note) {
	atomic.AddInt64(&n.counts.open, -1)
	if n.log != nil {
		n.write()
	}
}

// noteKnown notes whose request it is if the short way knows, which itself has no time to tell. If the two disagree,
// because of a change just now, the long way has the last word.
func noteKnown(f *fast, r *http.Request, n *note) {
	key := visitorKey(r)
	f.mu.Lock()
	defer f.mu.Unlock()
	who := f.visitors[key]
	if who == nil {
		return
	}
	if p := who.paths[r.URL.Path]; p != nil {
		n.admitted(p)
	}
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

// noteVisit notes a visitor who may visit a route.
func noteVisit(r *http.Request, p *pass) {
	n := noteOf(r)
	if n != nil {
		n.admitted(p)
	}
}

func (n *note) admitted(p *pass) {
	n.decision = decidedAllow
	n.reason = p.reason
	n.user = p.user
	n.server = p.server
}

// describe works out what the access log is told of the bearer of a pass.
func describe(p *pass) {
	p.server = clean(p.route.Prefix)
	p.reason = routes.Why(p.route, p.who.claims)
	if p.who.claims != nil {
		p.user = clean(p.who.claims.Subject)
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
		n.user = clean(who.claims.Subject)
		noted(r, decidedRefuse, routes.Why(f.route, who.claims))
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
	name := cookieName(s.set, secure)
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
	answered(n.counts, n.decision, status, time.Since(n.began))
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

// write puts the fields in place of whatever a visitor sent under their names.
func (n *note) write() {
	for i, value := range []string{n.user, n.server, n.decision, n.reason} {
		delete(n.log, logFields[i])
		if value != "" {
			n.log[logFields[i]] = []string{value}
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
