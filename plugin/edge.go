package plugin

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/edgehub/edgehub/routes"
)

// hubVersion is the JupyterHub version whose API an unmodified jupyterhub-singleuser finds here.
const hubVersion = "6.1.1"

// Edge is one handler of the middleware. All handlers of one configuration share one watcher.
type Edge struct {
	shared *shared // nil if an option is wrong: then every request is answered with 503
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
	ready, _ := e.shared.state.ready()
	return ready
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
	s := e.shared
	if s == nil {
		notReady(w, r, e.wrong)
		return
	}
	if ready, why := s.state.ready(); !ready {
		notReady(w, r, why)
		return
	}
	if !acceptable(w, r) {
		return
	}
	path := r.URL.EscapedPath()
	f, err := s.state.find(path)
	switch {
	case err != nil:
		answer(w, r, http.StatusBadRequest, "invalid", "This address can be read in more than one way.")
	case f.route != nil:
		s.serveRoute(w, r, path, f)
	case path == "/hub/api/user" && r.Method == http.MethodGet && s.serveVisitor(w, r):
	default:
		dropOtherUpgrade(r)
		s.serveHub(w, r)
	}
}

// acceptable answers what no path can make right, and reports whether there is anything left to do.
func acceptable(w http.ResponseWriter, r *http.Request) bool {
	switch {
	case r.Method == http.MethodConnect || r.Method == http.MethodTrace:
		w.Header().Set("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
		answer(w, r, http.StatusMethodNotAllowed, "invalid", "This method is not allowed.")
	case r.Host == "":
		answer(w, r, http.StatusBadRequest, "invalid", "The request has no host.")
	case r.URL.Path == "*":
		answer(w, r, http.StatusBadRequest, "invalid", "The request has no path.")
	default:
		return true
	}
	return false
}

// serveRoute serves a path that has a route: who is it, may they, and on to the server.
func (s *shared) serveRoute(w http.ResponseWriter, r *http.Request, path string, f *found) {
	dropOtherUpgrade(r)
	v := &visit{route: f.route, slash: f.slash, base: r.Context()}
	v.scheme, v.host = s.origin(r)
	v.query = withoutToken(r.URL.RawQuery)
	if f.route.Auth != routes.AuthNone && !s.admit(w, r, path, f, v) {
		return
	}
	if !f.slash && (r.Method == http.MethodGet || r.Method == http.MethodHead) && !upgrades(r) {
		header := w.Header()
		header.Set("Cache-Control", "no-store")
		header.Set("Location", withQuery(path+"/", v.query))
		w.WriteHeader(http.StatusMovedPermanently)
		return
	}
	s.forward(w, r, f, v)
}

// admit decides whether the bearer of the request may visit the route, and answers if not.
func (s *shared) admit(w http.ResponseWriter, r *http.Request, path string, f *found, v *visit) bool {
	who, problem := s.identify(r, f, v.scheme == "https")
	switch problem {
	case nobody:
		s.signIn(w, r, withQuery(path, v.query))
		return false
	case ambiguous:
		answer(w, r, http.StatusBadRequest, "invalid", "The request carries more than one credential of the same kind. Deleting this site's cookies helps.")
		return false
	case unavailable:
		w.Header().Set("Retry-After", "5")
		answer(w, r, http.StatusServiceUnavailable, "unavailable", "This token cannot be checked at the moment. Try again soon.")
		return false
	case flooded:
		w.Header().Set("Retry-After", "2")
		answer(w, r, http.StatusTooManyRequests, "exhausted", "Too many unknown tokens. Try again soon.")
		return false
	}
	v.claims = who.claims
	if !routes.Allows(f.route, who.claims) {
		answer(w, r, http.StatusForbidden, "forbidden", "You do not have access to this server.")
		return false
	}
	if who.cookie != "" {
		if !sameOrigin(r, v.scheme, v.host) {
			answer(w, r, http.StatusForbidden, "forbidden", "This request comes from another site.")
			return false
		}
		v.refresh = s.renewal.refresh(who)
	}
	return true
}

// forward proxies the request, and keeps it among the live ones while it lasts.
func (s *shared) forward(w http.ResponseWriter, r *http.Request, f *found, v *visit) {
	bearer, err := s.bearer(v)
	if err != nil {
		s.log.printf("ticket", "cannot make a visitor ticket for %s: %s", clip(f.route.Prefix), err.Error())
		answer(w, r, http.StatusInternalServerError, "internal", "The edge cannot sign a ticket for this server.")
		return
	}
	v.bearer = bearer
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	v.base = ctx
	v.cancel = cancel
	s.live.add(v)
	defer s.live.remove(v)
	// A revocation between the decision and the line above has not seen this visit: look again.
	if !s.state.unchangedSince(f.changes) && !s.state.admits(v.route, v.claims) {
		answer(w, r, http.StatusForbidden, "forbidden", "You do not have access to this server any more.")
		return
	}
	s.servers.ServeHTTP(w, r.WithContext(context.WithValue(ctx, visitKey, v)))
}

// serveVisitor answers /hub/api/user to the bearer of a visitor ticket, which only a user's server holds, so that the
// server knows its visitors while the control plane is away. Any other credential is the control plane's to judge.
func (s *shared) serveVisitor(w http.ResponseWriter, r *http.Request) bool {
	token, problem := headerToken(r)
	if problem != nobody || !routes.IsTicket(token) {
		return false
	}
	w.Header().Set("X-JupyterHub-Version", hubVersion)
	t, err := routes.OpenTicket(token, func(prefix string) *routes.Route { return s.state.routeOf(prefix) }, s.now())
	if err != nil {
		answerJSON(w, http.StatusForbidden, problemBody(http.StatusForbidden, "unauthenticated", "Missing or invalid credentials."))
		return true
	}
	route := s.state.routeOf(t.Prefix)
	if route == nil {
		answerJSON(w, http.StatusForbidden, problemBody(http.StatusForbidden, "unauthenticated", "Missing or invalid credentials."))
		return true
	}
	answerJSON(w, http.StatusOK, routes.VisitorOf(t, route))
	return true
}

// signIn answers a request without a valid credential: a person is sent to the login page, a program gets JSON.
func (s *shared) signIn(w http.ResponseWriter, r *http.Request, next string) {
	if !navigates(r) {
		answerJSON(w, http.StatusForbidden, problemBody(http.StatusForbidden, "unauthenticated", "Missing or invalid credentials."))
		return
	}
	ownHeaders(w.Header())
	w.Header().Set("Location", "/hub/login?next="+url.QueryEscape(next))
	w.WriteHeader(http.StatusFound)
}

func withQuery(path, query string) string {
	if query == "" {
		return path
	}
	return path + "?" + query
}

// withoutToken takes the parameter "token" out of a raw query and leaves the rest byte for byte. Tokens in addresses end
// up in logs and histories, so the edge neither reads nor forwards them.
func withoutToken(query string) string {
	if !strings.Contains(query, "tok") && !strings.Contains(query, "%") {
		return query
	}
	kept := make([]string, 0, 8)
	for _, pair := range strings.Split(query, "&") {
		name, _, _ := strings.Cut(pair, "=")
		if plain, err := url.QueryUnescape(name); err == nil && plain == "token" {
			continue
		}
		kept = append(kept, pair)
	}
	return strings.Join(kept, "&")
}
