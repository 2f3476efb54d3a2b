package pages

import (
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/edgehub/edgehub/controlplane/access"
	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/audit"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/metrics"
	"github.com/edgehub/edgehub/controlplane/spawn"
	"github.com/edgehub/edgehub/controlplane/store"
	"github.com/edgehub/edgehub/controlplane/token"
	"github.com/edgehub/edgehub/controlplane/web"
	"github.com/edgehub/edgehub/routes"
)

// Options are what the pages work with.
type Options struct {
	Store    *store.Store
	Accounts *account.Accounts
	Tokens   *token.Service
	Servers  *spawn.Manager
	XSRF     web.XSRF
	Log      *slog.Logger
	// Audit keeps who did what, unless it is nil.
	Audit *audit.Log
	// Version is edgehub's, for the footer.
	Version string
	// Hosts are the hub's hosts if every user has one, else nil.
	Hosts *routes.Hosts
	// Base is what the hub is below. The handlers are mounted with web.Below.
	Base routes.Base
	// API is the hub's API, for those pages that act through it, see call. MaxTokenLife is the longest life of a token that it makes.
	API          http.Handler
	MaxTokenLife time.Duration
	// Logins are the login providers, nil for none. NoPasswords leaves them as the only way to sign in.
	Logins      Logins
	NoPasswords bool
	// Metrics hears of sign-ins and sign-outs. It may be nil.
	Metrics *metrics.Metrics
}

// Pages are the handlers of the hub's pages.
type Pages struct {
	Options
	render  *Renderer
	handler http.Handler
	limits  limits
}

// New returns the pages, which are the handler of everything that is not the API: the pages below /hub, and what edges pass on because no route
// has it.
func New(opts Options) (*Pages, error) {
	renderer, err := NewRenderer(opts.Base, opts.Hosts)
	if err != nil {
		return nil, err
	}
	p := &Pages{Options: opts, render: renderer, limits: newLimits()}
	adapter := web.Adapter{Log: opts.Log, WriteError: p.writeError}
	mux := http.NewServeMux()
	static := Static()
	mux.Handle("GET "+staticPrefix, static)
	mux.Handle("GET "+logoPath, static)
	mux.Handle("GET "+faviconPath, static)
	mux.Handle("POST /hub/security/csp-report", adapter.Handle(p.cspReport))
	mux.Handle("GET /hub/health", adapter.Handle(p.health))
	for pattern, h := range map[string]web.Handler{
		"GET /hub":                               p.toHub,
		"GET /hub/{$}":                           p.index,
		"GET /hub/login":                         p.loginForm,
		"POST /hub/login":                        p.timedSignIn(p.login),
		"GET /hub/logout":                        p.logoutForm,
		"POST /hub/logout":                       p.timedSignOut(p.logout),
		"GET /hub/oauth_login":                   p.oauthLogin,
		"GET /hub/oauth_login/{provider}":        p.oauthLogin,
		"GET /hub/oauth_callback":                p.timedSignIn(p.oauthCallback),
		"GET /hub/oauth_callback/{provider}":     p.timedSignIn(p.oauthCallback),
		"GET /hub/home":                          p.signedIn(p.home),
		"GET /hub/spawn":                         p.signedIn(p.spawnForm),
		"GET /hub/spawn/{user}":                  p.signedIn(p.spawnForm),
		"GET /hub/spawn/{user}/{server}":         p.signedIn(p.spawnForm),
		"POST /hub/spawn":                        p.signedIn(p.spawn),
		"POST /hub/spawn/{user}":                 p.signedIn(p.spawn),
		"POST /hub/spawn/{user}/{server}":        p.signedIn(p.spawn),
		"POST /hub/stop/{user}":                  p.signedIn(p.stop),
		"POST /hub/stop/{user}/{server}":         p.signedIn(p.stop),
		"GET /hub/spawn-pending/{user}":          p.signedIn(p.pending),
		"GET /hub/spawn-pending/{user}/{server}": p.signedIn(p.pending),
		"GET /hub/accept-share":                  p.signedIn(p.acceptShareForm),
		"POST /hub/accept-share":                 p.signedIn(p.acceptShare),
		"GET /hub/token":                         p.signedIn(p.tokenPage),
		"POST /hub/token":                        p.acting(p.createToken),
		"POST /hub/token/revoke":                 p.acting(p.revokeToken),
		"POST /hub/token/sign-out":               p.acting(p.signOutSession),
		"POST /hub/token/sign-out-others":        p.acting(p.signOutOthers),
		"GET /hub/admin":                         p.signedIn(p.admin(p.adminPage)),
		"GET /hub/admin/add":                     p.signedIn(p.admin(p.addUsersForm)),
		"POST /hub/admin/add":                    p.acting(p.admin(p.addUsers)),
		"GET /hub/admin/user/{user}":             p.signedIn(p.admin(p.userForm)),
		"POST /hub/admin/user/{user}":            p.acting(p.admin(p.changeUser)),
		"POST /hub/admin/delete/{user}":          p.acting(p.admin(p.deleteUser)),
		"POST /hub/admin/start/{user}":           p.signedIn(p.admin(p.startForUser)),
		"POST /hub/admin/start/{user}/{server}":  p.signedIn(p.admin(p.startForUser)),
		"POST /hub/admin/stop/{user}":            p.signedIn(p.admin(p.stopForUser)),
		"POST /hub/admin/stop/{user}/{server}":   p.signedIn(p.admin(p.stopForUser)),
		"GET /hub/admin/groups":                  p.signedIn(p.admin(p.groupsPage)),
		"POST /hub/admin/groups":                 p.acting(p.admin(p.createGroup)),
		"GET /hub/admin/group/{group}":           p.signedIn(p.admin(p.groupPage)),
		"POST /hub/admin/group/{group}/add":      p.acting(p.admin(p.addMembers)),
		"POST /hub/admin/group/{group}/remove":   p.acting(p.admin(p.removeMember)),
		"POST /hub/admin/group/{group}/delete":   p.acting(p.admin(p.deleteGroup)),
		"GET /hub/user-redirect/{rest...}":       p.signedIn(p.userRedirect),
		"GET /hub/edge/visit":                    p.signedIn(p.edgeVisit),
		"GET /hub/error/{code}":                  p.errorPage,
		"/hub/user/{user}/{rest...}":             p.notRunning,
		"/hub/user/{user}":                       p.notRunning,
		"GET /hub/user-redirect":                 noSuchPage,
		"/hub":                                   p.unknown(mux),
		"/hub/":                                  p.unknown(mux),
		"/":                                      p.outside,
	} {
		mux.Handle(pattern, adapter.Handle(topLevelOnly(h)))
	}
	p.handler = web.Headers(mux) // pages allow themselves more
	return p, nil
}

// topLevelOnly refuses hub pages to scripts and frames: on one origin a user's page could otherwise read them (threat T54).
func topLevelOnly(next web.Handler) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if dest := r.Header.Get("Sec-Fetch-Dest"); strings.HasPrefix(r.URL.Path, "/hub") && dest != "" && dest != "document" {
			return hub.Errorf(hub.Forbidden, "This page can only be opened in a window of its own.")
		}
		return next(w, r)
	}
}

// health says that this replica can serve: it reaches its database.
func (p *Pages) health(w http.ResponseWriter, r *http.Request) error {
	if err := p.Store.Ping(r.Context()); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html")
	w.WriteHeader(http.StatusOK)
	return nil
}

// visit is one visit of a signed-in person.
type visit struct {
	*account.Caller
	w http.ResponseWriter
	r *http.Request
}

// caller is who visits: nil if nobody is signed in.
func (p *Pages) caller(r *http.Request) (*account.Caller, error) {
	secret, err := web.Cookie(r, web.SessionCookie)
	if secret == "" || err != nil {
		return nil, err
	}
	c, err := p.Accounts.BySession(r.Context(), secret)
	if hub.KindOf(err) == hub.Unauthenticated {
		return nil, nil
	}
	if err == nil {
		p.Tokens.UseSession(r.Context(), *c.Session, r.UserAgent(), web.ClientAddress(r))
	}
	return c, err
}

// signedIn makes a handler for signed-in people: others go to the sign-in page and come back. Whatever changes something
// needs an XSRF token, and is recorded.
func (p *Pages) signedIn(next func(visit) error) web.Handler {
	return p.acting(func(v visit) error {
		return p.Audit.Around(v.w, v.r, audit.Of(v.Caller, v.r.Pattern, v.r.URL.EscapedPath()), func(w http.ResponseWriter) error {
			return next(visit{Caller: v.Caller, w: w, r: v.r})
		})
	})
}

// acting is signedIn for a handler that acts through the API, which keeps the record.
func (p *Pages) acting(next func(visit) error) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		c, err := p.caller(r)
		if err != nil {
			return err
		}
		if c == nil {
			return p.toLogin(w, r)
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			if err := p.XSRF.Check(r, c.Session.ID); err != nil {
				return err
			}
		}
		return next(visit{Caller: c, w: w, r: r})
	}
}

func (p *Pages) toLogin(w http.ResponseWriter, r *http.Request) error {
	reads := r.Method == http.MethodGet || r.Method == http.MethodHead
	if !reads && p.auto() {
		// A browser does not follow a form from here to the provider: our Content-Security-Policy forbids that.
		return hub.Errorf(hub.Unauthenticated, "You are not signed in any more. Sign in and try again.")
	}
	next := withQuery(r.URL.EscapedPath(), r)
	if !reads {
		next = "/hub/home"
	}
	return redirect(w, withNext(r, "/hub/login", next))
}

// withNext is a path of the hub that leads to next afterwards.
func withNext(r *http.Request, path, next string) string {
	return web.WithNext(web.Base(r), path, next)
}

func redirect(w http.ResponseWriter, to string) error { return redirectAs(w, http.StatusFound, to) }

func redirectAs(w http.ResponseWriter, status int, to string) error {
	w.Header().Set("Location", to)
	w.Header().Set("Content-Type", "text/html")
	w.WriteHeader(status)
	return nil
}

// page is what every view embeds.
func (p *Pages) page(w http.ResponseWriter, r *http.Request, c *account.Caller) Page {
	page := Page{HubVersion: p.Version}
	session := ""
	if c != nil {
		page.User, page.Admin, session = string(c.User.Name), c.User.Admin, c.Session.ID
		page.ShowTokens, page.ShowAdmin = c.Scopes.Allows("read:tokens", self(c)), c.Scopes.Has("admin-ui")
	}
	page.XSRF = p.XSRF.Token(w, r, session)
	return page
}

// writeError answers people with a page and programs with JSON.
func (p *Pages) writeError(w http.ResponseWriter, r *http.Request, status int, err error) {
	if !web.WantsHTML(r) {
		web.JSONError(w, r, status, err)
		return
	}
	web.SetRetryAfter(w, status)
	view := ErrorView{Page: p.errorView(w, r, err), Status: status, Message: web.Message(err), RequestID: web.RequestID(r), Retry: retryOf(r, err)}
	switch {
	case view.Retry != "":
		view.Title = "Signing in did not work"
	case hub.KindOf(err) == hub.Unauthenticated:
		view.Title = "Please sign in"
	}
	if renderErr := p.render.Render(w, status, ErrorPage, view); renderErr != nil {
		p.Log.Error("cannot render the error page", "err", renderErr)
		http.Error(w, http.StatusText(status), status)
	}
}

// errorView is what an error's page embeds. While the database is away nobody is asked who visits: the page would wait for it once
// more, and a new XSRF token for nobody would make the forms that are open elsewhere useless.
func (p *Pages) errorView(w http.ResponseWriter, r *http.Request, err error) Page {
	if hub.KindOf(err) == hub.Unavailable {
		return Page{HubVersion: p.Version}
	}
	c, callerErr := p.caller(r)
	if callerErr != nil {
		c = nil
	}
	return p.page(w, r, c)
}

// errorPage shows the page of a status code, as proxies that have an error target ask for it.
func (p *Pages) errorPage(w http.ResponseWriter, r *http.Request) error {
	code, err := strconv.Atoi(r.PathValue("code"))
	if err != nil || code < 400 || code > 599 {
		return hub.Errorf(hub.NotFound, "There is no such page.")
	}
	c, err := p.caller(r)
	if err != nil {
		return err
	}
	message := http.StatusText(code)
	if code == http.StatusServiceUnavailable {
		message = "Your server appears to be down. Try restarting it from the home page."
	}
	return p.render.Render(w, http.StatusOK, ErrorPage, ErrorView{Page: p.page(w, r, c), Status: code, Message: message})
}

// toHub adds the slash.
func (p *Pages) toHub(w http.ResponseWriter, _ *http.Request) error {
	return redirectAs(w, http.StatusMovedPermanently, "/hub/")
}

// index sends people to their server if it runs, else home.
func (p *Pages) index(w http.ResponseWriter, r *http.Request) error {
	return p.signedIn(func(v visit) error {
		s, err := p.Servers.Get(v.r.Context(), v.User.Name, "")
		if err != nil {
			return err
		}
		if s.State == hub.Running {
			return redirect(v.w, p.address(routes.UserPrefix(string(v.User.Name), "")))
		}
		return redirect(v.w, "/hub/home")
	})(w, r)
}

// outside answers what is neither the hub's nor any route's: a stopped server's address, or a path that people typed. As in
// JupyterHub, /x goes to /hub/x.
func (p *Pages) outside(w http.ResponseWriter, r *http.Request) error {
	path := r.URL.EscapedPath()
	if strings.HasPrefix(path, "/user/") && (!web.WantsHTML(r) || r.Method != http.MethodGet) {
		return serverNotRunning(w, r, path)
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return hub.Errorf(hub.Forbidden, "'_xsrf' argument missing from %s", r.Method)
	}
	if missesSlash(path) {
		return redirectAs(w, http.StatusMovedPermanently, withQuery(path+"/", r))
	}
	return redirect(w, withQuery("/hub"+path, r))
}

// serverNotRunning is JupyterHub's answer to programs, whatever they accept: JupyterLab shows "Server unavailable" on 424.
func serverNotRunning(w http.ResponseWriter, r *http.Request, path string) error {
	user, _, _ := strings.Cut(strings.TrimPrefix(path, "/user/"), "/")
	scheme := "http"
	if web.Secure(r) {
		scheme = "https"
	}
	web.JSONError(w, r, http.StatusFailedDependency, &web.StatusError{Code: http.StatusFailedDependency,
		Message: "JupyterHub server no longer running at " + web.Base(r).Path(path) + ". Restart the server at " + scheme + "://" + r.Host +
			web.Base(r).Path("/hub/spawn/"+user)})
	return nil
}

// resource is one server for a question of access.
func resource(u hub.User, name hub.ServerName) access.Resource {
	server := string(name)
	return access.Resource{User: string(u.Name), UserGroups: u.Groups, Server: &server}
}

// server is the server that a page's path names, if the visitor has scope on it: their own default one if it names none.
func (p *Pages) server(v visit, scope string) (hub.User, hub.ServerName, error) {
	u := *v.User
	if name := v.r.PathValue("user"); name != "" && name != string(u.Name) {
		var err error
		if u, err = p.Accounts.Get(v.r.Context(), hub.UserName(name)); err != nil {
			if hub.KindOf(err) != hub.NotFound {
				return u, "", err
			}
			u = hub.User{Name: hub.UserName(name)} // the same answer as for one that exists
		}
	}
	server, err := hub.ParseServerName(v.r.PathValue("server"))
	if err != nil {
		return u, "", err
	}
	if u.ID == "" || !v.Scopes.Allows(scope, resource(u, server)) {
		return u, "", hub.Errorf(hub.NotFound, "No access to resources or resources not found")
	}
	return u, server, nil
}

// record is the owner and the record of the server that a page's path names; see server.
func (p *Pages) record(v visit, scope string) (hub.User, hub.Server, error) {
	u, name, err := p.server(v, scope)
	if err != nil {
		return u, hub.Server{}, err
	}
	s, err := p.Servers.Get(v.r.Context(), u.Name, name)
	return u, s, err
}
