package plugin

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/edgehub/edgehub/routes"
)

// hubVersion is the JupyterHub version whose API an unmodified jupyterhub-singleuser finds here.
const hubVersion = "6.1.1"

// Edge is one handler of the middleware. All handlers of one configuration share one watcher.
type Edge struct {
	shared *shared // nil if an option is wrong: then every request is answered with 503
	quick  *shared // the same, but nil also if somebody wants to know of each request: see note
	wrong  string
	once   sync.Once
}

// New returns the handler of one router. It never fails: an error would make Traefik drop the router and let the request
// fall through to the next one that matches. With a wrong option it logs one line and answers 503. next is not used,
// since this middleware is its own proxy. When ctx ends the handler keeps serving; the shared watcher stops ten seconds
// after the last handler's context.
func New(ctx context.Context, _ http.Handler, config *Config, name string) (http.Handler, error) {
	set, err := config.check()
	if err != nil {
		newLogger().printf("config", "middleware %s is closed, every request gets 503: %s", clip(name), err.Error())
		return &Edge{wrong: "wrong configuration, see the log"}, nil
	}
	e := &Edge{shared: registry.acquire(config, set)}
	if !e.shared.noting {
		e.quick = e.shared
	}
	context.AfterFunc(ctx, func() {
		defer e.shared.recovered("release")
		e.once.Do(func() { registry.release(e.shared, linger) })
	})
	return e, nil
}

// Ready reports whether the edge has read all routes once. Before that it answers every request with 503.
func (e *Edge) Ready() bool {
	if e.shared == nil {
		return false
	}
	return e.shared.state.whyNotReady() == ""
}

// Close gives up the shared watcher at once, without lingering; the last Close of a configuration ends its open
// connections and waits for its goroutines. It is for compiled users, which have no reloads.
func (e *Edge) Close() {
	if e.shared != nil {
		e.once.Do(func() { registry.release(e.shared, 0) })
	}
}

// ServeHTTP answers one request.
func (e *Edge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s := e.quick
	if s == nil {
		e.serveSlow(w, r)
		return
	}
	if serveFast(s, w, r) == 0 {
		serve(s, w, r, true)
	}
}

// serveSlow is ServeHTTP for what is not to cost the others a thought.
func (e *Edge) serveSlow(w http.ResponseWriter, r *http.Request) {
	if e.shared == nil {
		notReady(nil, w, r, e.wrong)
		return
	}
	serveNoted(e.shared, w, r)
}

// serve answers one request with the state as it is now. again says whether it may start over, because what was known of
// the visitor turned out to be old.
func serve(s *shared, w http.ResponseWriter, r *http.Request, again bool) {
	version := s.fast.at()
	path := r.URL.EscapedPath()
	if len(s.set.base) > 1 {
		rest, ok := s.set.base.Cut(path)
		if !ok {
			serveOutside(s, w, r, path)
			return
		}
		path = rest
	}
	f, err := find(s.state, path)
	if s.set.publicHost != "" && (s.set.hosts != nil || r.Host != s.set.publicHost) && f.ready && err == nil && r.Host != "" &&
		misplaced(s, w, r, path, f) {
		return
	}
	if err != nil || f.route == nil || r.Host == "" || r.Method == http.MethodConnect || r.Method == http.MethodTrace {
		serveOther(s, w, r, path, f, err)
		return
	}
	serveRoute(s, w, r, path, f, version, again)
}

// serveOutside answers for a path that is not below the hub's base: it is none of this hub's.
func serveOutside(s *shared, w http.ResponseWriter, r *http.Request, path string) {
	if s.set.base.Bare(path) && navigates(r) {
		noted(r, decidedEdge, "base")
		sendTo(w, r, withQuery(s.set.base.Path("/"), withoutToken(r.URL.RawQuery)))
		return
	}
	noted(r, decidedRefuse, "outside_base")
	answer(s, w, r, http.StatusNotFound, "not_found", "There is nothing at this address.")
}

// serveOther answers what has no route: what cannot be served at all, the edge's own, and the control plane's.
func serveOther(s *shared, w http.ResponseWriter, r *http.Request, path string, f *found, err error) {
	switch {
	case !f.ready:
		notReady(s, w, r, s.state.whyNotReady())
	case r.Method == http.MethodConnect || r.Method == http.MethodTrace:
		noted(r, decidedRefuse, "method")
		w.Header().Set("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
		answer(s, w, r, http.StatusMethodNotAllowed, "invalid", "This method is not allowed.")
	case r.Host == "":
		noted(r, decidedRefuse, "no_host")
		answer(s, w, r, http.StatusBadRequest, "invalid", "The request has no host.")
	case err != nil:
		noted(r, decidedRefuse, "ambiguous_path")
		answer(s, w, r, http.StatusBadRequest, "invalid", "This address can be read in more than one way.")
	case path == "/hub/api/user" && r.Method == http.MethodGet && s.serveVisitor(w, r):
	case belowUserTree(path):
		serveStopped(s, w, r, path, f)
	default:
		dropOtherUpgrade(r)
		s.serveHub(w, r)
	}
}

// serveRoute serves a path that has a route: who is it, may they, and on to the server.
//
// What runs for many requests is functions, not methods, and what is rare in them is in functions of its own, for the
// interpreter's sake (see fast).
func serveRoute(s *shared, w http.ResponseWriter, r *http.Request, path string, f *found, version int64, again bool) {
	upgrade := false
	if len(r.Header["Upgrade"]) > 0 {
		dropOtherUpgrade(r)
		upgrade = upgrades(r)
	}
	withToken := false
	if s.set.queryTokens && r.URL.RawQuery != "" && !f.route.Open() {
		ok := true
		if withToken, ok = takeToken(r, f.route); !ok {
			noted(r, decidedRefuse, "credentials")
			answerAmbiguous(s, w, r)
			return
		}
	}
	now := time.Now().Unix()
	p := passOf(s, w, r, f, now)
	if p == nil {
		return
	}
	if s.noting {
		noteVisit(r, p)
	}
	plainGet := r.Method == http.MethodGet && !upgrade
	if p.who.cookie != "" && (!plainGet && !sameOrigin(r, p.scheme, p.host) || intrudes(s.set, r)) {
		noted(r, decidedRefuse, "other_site")
		answer(s, w, r, http.StatusForbidden, "forbidden", "This request comes from another site.")
		return
	}
	query := r.URL.RawQuery
	if query != "" {
		query = withoutToken(query)
	}
	if withToken && r.Method == http.MethodGet && navigates(r) && stillGood(s.state, p) {
		enterWithToken(s, w, r, f, p, withQuery(s.set.base.Path(path), query))
		return
	}
	if !f.slash && (plainGet || r.Method == http.MethodHead) && stillGood(s.state, p) {
		noteSent(r, http.StatusMovedPermanently)
		addSlash(w, s.set.base.Path(path), query)
		return
	}
	if !plainGet || strings.Contains(r.Header.Get("Accept"), "text/html") { // not the reads of scripts, which are most requests
		noteUse(s, r, f, now)
	}
	v := &visit{pass: p, route: f.route, claims: p.who.claims, slash: f.slash, query: query}
	if p.due <= now {
		v.refresh = s.renewal.refresh(p.who, now)
	}
	ctx, cancel := context.WithCancel(r.Context())
	v.cancel = cancel
	addLive(s.live, v)
	defer removeLive(s.live, v)
	// A revocation before the line above has not seen this visit, and the pass may be older: look again.
	if !stillGood(s.state, p) {
		decideAnew(s, w, r, f, again)
		return
	}
	if upgrade {
		relay(ctx, s, w, r, v)
		return
	}
	// A page may be opened from outside where a picture may not, and fast does not tell them apart.
	if f.slash && !fromOutside(s.set, r) {
		s.fast.learn(version, r, p)
	}
	carryToServer(ctx, s, w, r, v)
}

// decideAnew serves a request whose pass does not hold any more: the answer may be the login page, the server may have been
// started again, or an API token that outlives its user's sessions is exchanged once more.
func decideAnew(s *shared, w http.ResponseWriter, r *http.Request, f *found, again bool) {
	s.passes.remove(passKey(r, f.route.Prefix))
	if again {
		serve(s, w, r, false)
		return
	}
	noted(r, decidedRefuse, "permission_ended")
	answer(s, w, r, http.StatusForbidden, "forbidden", "You do not have access to this server any more.")
}

// addSlash sends a visitor from "/user/alice" to "/user/alice/".
func addSlash(w http.ResponseWriter, path, query string) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Location", withQuery(path+"/", query))
	w.WriteHeader(http.StatusMovedPermanently)
}

// serveVisitor answers /hub/api/user to the bearer of a visitor ticket, which only a user's server holds, so that the
// server knows its visitors while the control plane is away. Any other credential is the control plane's to judge.
func (s *shared) serveVisitor(w http.ResponseWriter, r *http.Request) bool {
	token, problem := headerToken(r)
	if problem != nobody || !routes.IsTicket(token) {
		return false
	}
	noted(r, decidedEdge, "ticket")
	w.Header().Set("X-JupyterHub-Version", hubVersion)
	t, err := routes.OpenTicket(token, func(prefix string) *routes.Route { return s.state.routeOf(prefix) }, time.Now().Unix())
	if err != nil {
		noteSent(r, http.StatusForbidden)
		answerJSON(w, http.StatusForbidden, problemBody(http.StatusForbidden, "unauthenticated", "Missing or invalid credentials."))
		return true
	}
	route := s.state.routeOf(t.Prefix)
	if route == nil {
		noteSent(r, http.StatusForbidden)
		answerJSON(w, http.StatusForbidden, problemBody(http.StatusForbidden, "unauthenticated", "Missing or invalid credentials."))
		return true
	}
	noteSent(r, http.StatusOK)
	answerJSON(w, http.StatusOK, routes.VisitorOf(t, route))
	return true
}

// signIn answers a request without a valid credential: a person is sent to the login page, from a user's host in the way
// that comes back there, and a program gets JSON.
func signIn(s *shared, w http.ResponseWriter, r *http.Request, host, next string) {
	if !navigates(r) {
		noteSent(r, http.StatusForbidden)
		answerJSON(w, http.StatusForbidden, problemBody(http.StatusForbidden, "unauthenticated", "Missing or invalid credentials."))
		return
	}
	if boundTo(s.set, host) != "" {
		startVisit(s, w, r, host, next)
		return
	}
	sendTo(w, r, s.set.base.Path("/hub/login")+"?next="+url.QueryEscape(next))
}

func withQuery(path, query string) string {
	if query == "" {
		return path
	}
	return path + "?" + query
}

// withoutToken takes the parameter "token" out of a raw query and leaves the rest byte for byte. Tokens in addresses end
// up in logs and histories, so the edge never forwards them, and reads them only by option (see takeToken).
func withoutToken(query string) string {
	if query == "" || !strings.Contains(query, "tok") && !strings.Contains(query, "%") {
		return query
	}
	return dropToken(query)
}

func dropToken(query string) string {
	kept := make([]string, 0, 8)
	for _, pair := range strings.Split(query, "&") {
		if isToken(pair) {
			continue
		}
		kept = append(kept, pair)
	}
	return strings.Join(kept, "&")
}

// isToken reports whether a parameter of a raw query is named "token".
func isToken(pair string) bool {
	name, _, _ := strings.Cut(pair, "=")
	plain, err := url.QueryUnescape(name)
	return err == nil && plain == "token"
}
