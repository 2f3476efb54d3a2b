// Package api serves JupyterHub's REST API below /hub/api: users, tokens, servers with progress, who the caller is, routes by
// hand, signing keys, and the calls that edges make. One file per resource; the routes are the list in this file.
//
// Invariant: every route states the scopes that open it, and no handler runs before they are checked. A caller who lacks a
// scope altogether gets 403; one who holds it, but not for this object, gets 404, whether or not the object exists.
package api

import (
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/edgehub/edgehub/controlplane/access"
	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/audit"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/spawn"
	"github.com/edgehub/edgehub/controlplane/store"
	"github.com/edgehub/edgehub/controlplane/token"
	"github.com/edgehub/edgehub/controlplane/web"
	"github.com/edgehub/edgehub/routes"
)

// Options are what the API works with.
type Options struct {
	Store    *store.Store
	Accounts *account.Accounts
	Tokens   *token.Service
	Servers  *spawn.Manager
	XSRF     web.XSRF
	Log      *slog.Logger
	// Audit keeps who did what, unless it is nil.
	Audit *audit.Log
	// MaxTokenLife is the longest life of a token made by API, and the default. Zero is for ever.
	MaxTokenLife time.Duration
	// Base is what the hub is below. The handler is mounted with web.Below.
	Base routes.Base
	// Hosts are the hub's hosts if every user has one, else nil.
	Hosts *routes.Hosts
}

// API is the REST API. Make one with New.
type API struct {
	Options
	routes  store.Table[routes.Route]
	byHand  store.Table[hub.Route]
	reports chan struct{} // has a place for each report of an edge that is being read
}

// New returns the API's handler, for the paths below /hub/api.
func New(opts Options) http.Handler {
	a := &API{Options: opts, routes: store.NewTable[routes.Route](opts.Store, routes.RoutesTree, "route"),
		reports: make(chan struct{}, maxReports),
		byHand:  store.NewTable[hub.Route](opts.Store, store.HandRoutes, "route")}
	mux := http.NewServeMux()
	adapter := web.Adapter{Log: opts.Log, WriteError: web.JSONError}
	for _, rt := range a.table() {
		mux.Handle(rt.pattern, adapter.Handle(a.guard(rt)))
	}
	mux.Handle("/hub/api", adapter.Handle(unknown(mux)))
	mux.Handle("/hub/api/", adapter.Handle(unknown(mux)))
	return headers(mux)
}

// route is one line of the API.
type route struct {
	pattern string
	// scopes open the route, any one of them.
	scopes  []string
	handler handler
}

type handler func(w http.ResponseWriter, r *http.Request, c *account.Caller) error

// public in place of a scope marks a route that checks credentials itself, or needs none.
const public = "(public)"

func (a *API) table() []route {
	readUser := []string{"read:users", "read:users:name", "read:servers", "read:users:groups", "read:users:activity", "read:roles:users"}
	only := func(scopes ...string) []string { return scopes }
	return []route{
		{"GET /hub/api", only(public), a.version},
		{"GET /hub/api/{$}", only(public), a.version},
		{"GET /hub/api/health", only(public), a.health},
		{"GET /hub/api/openapi.json", only(public), a.openapi},
		{"GET /hub/api/docs", only(public), a.docs},
		{"GET /hub/api/info", only("read:hub"), a.info},
		{"GET /hub/api/user", only(public), a.whoami},
		{"GET /hub/api/authorizations/token/{secret}", only(public), a.tokenOwner},
		{"POST /hub/api/authorizations/token", only(public), a.noTokenForPassword},

		{"GET /hub/api/users", only("list:users"), a.listUsers},
		{"POST /hub/api/users", only("admin:users"), a.createUsers},
		{"GET /hub/api/users/{user}", readUser, a.getUser},
		{"POST /hub/api/users/{user}", only("admin:users"), a.createUser},
		{"PATCH /hub/api/users/{user}", only("admin:users"), a.patchUser},
		{"DELETE /hub/api/users/{user}", only("delete:users"), a.deleteUser},
		{"DELETE /hub/api/users/{user}/identity", only("admin:users"), a.unbindUser},
		{"POST /hub/api/users/{user}/activity", only("users:activity"), a.postActivity},

		{"GET /hub/api/groups", only("list:groups"), a.listGroups},
		{"POST /hub/api/groups", only("admin:groups"), a.createGroups},
		{"GET /hub/api/groups/{group}", only("read:groups", "read:groups:name", "read:roles:groups"), a.getGroup},
		{"POST /hub/api/groups/{group}", only("admin:groups"), a.createGroup},
		{"DELETE /hub/api/groups/{group}", only("delete:groups"), a.deleteGroup},
		{"POST /hub/api/groups/{group}/users", only("groups"), a.addMembers},
		{"DELETE /hub/api/groups/{group}/users", only("groups"), a.removeMembers},
		{"PUT /hub/api/groups/{group}/properties", only("groups"), a.putProperties},

		{"GET /hub/api/users/{user}/tokens", only("read:tokens"), a.listTokens},
		{"POST /hub/api/users/{user}/tokens", only(public), a.createToken},
		{"GET /hub/api/users/{user}/tokens/{token}", only("read:tokens"), a.getToken},
		{"DELETE /hub/api/users/{user}/tokens/{token}", only("tokens"), a.deleteToken},

		{"GET /hub/api/users/{user}/sessions", only("read:tokens"), a.listSessions},
		{"DELETE /hub/api/users/{user}/sessions", only("tokens"), a.endSessions},
		{"DELETE /hub/api/users/{user}/sessions/{session}", only("tokens"), a.endSession},

		{"GET /hub/api/roles", only("read:roles"), a.listRoles},
		{"GET /hub/api/roles/{role}", only("read:roles"), a.getRole},
		{"POST /hub/api/roles/{role}", only("admin:users"), a.createRole},
		{"PUT /hub/api/roles/{role}", only("admin:users"), a.putRole},
		{"DELETE /hub/api/roles/{role}", only("admin:users"), a.deleteRole},
		{"GET /hub/api/roles/{role}/users", only("read:roles"), a.roleUsers},
		{"POST /hub/api/roles/{role}/users", only("admin:users"), a.changeRoleUsers(giveRole)},
		{"DELETE /hub/api/roles/{role}/users", only("admin:users"), a.changeRoleUsers(takeRole)},
		{"POST /hub/api/roles/{role}/groups", only("admin:groups"), a.changeRoleMembers("groups", true)},
		{"DELETE /hub/api/roles/{role}/groups", only("admin:groups"), a.changeRoleMembers("groups", false)},
		{"POST /hub/api/roles/{role}/services", only("admin:services"), a.changeRoleMembers("services", true)},
		{"DELETE /hub/api/roles/{role}/services", only("admin:services"), a.changeRoleMembers("services", false)},

		{"GET /hub/api/audit", only("admin:users"), a.listAudit},

		{"GET /hub/api/users/{user}/server", only("read:servers"), a.getServer},
		{"POST /hub/api/users/{user}/server", only("start:servers"), a.startServer},
		{"DELETE /hub/api/users/{user}/server", only("delete:servers"), a.stopServer},
		{"GET /hub/api/users/{user}/server/progress", only("read:servers"), a.progress},
		{"GET /hub/api/users/{user}/servers/{server}", only("read:servers"), a.getServer},
		{"POST /hub/api/users/{user}/servers/{server}", only("start:servers"), a.startServer},
		{"DELETE /hub/api/users/{user}/servers/{server}", only("delete:servers"), a.stopServer},
		{"GET /hub/api/users/{user}/servers/{server}/progress", only("read:servers"), a.progress},

		{"GET /hub/api/shares/{user}", only("read:shares"), a.listShares},
		{"GET /hub/api/shares/{user}/{server}", only("read:shares"), a.listServerShares},
		{"GET /hub/api/shares/{user}/{$}", only("read:shares"), a.listServerShares},
		{"POST /hub/api/shares/{user}/{server}", only("shares"), a.createShare},
		{"POST /hub/api/shares/{user}/{$}", only("shares"), a.createShare},
		{"PATCH /hub/api/shares/{user}/{server}", only("shares"), a.patchShare},
		{"PATCH /hub/api/shares/{user}/{$}", only("shares"), a.patchShare},
		{"DELETE /hub/api/shares/{user}/{server}", only("shares"), a.deleteShares},
		{"DELETE /hub/api/shares/{user}/{$}", only("shares"), a.deleteShares},
		{"GET /hub/api/users/{user}/shared", only("read:users:shares"), a.sharedWithUser},
		{"GET /hub/api/users/{user}/shared/{owner}/{server}", only("read:users:shares"), a.getShared},
		{"GET /hub/api/users/{user}/shared/{owner}/{$}", only("read:users:shares"), a.getShared},
		{"DELETE /hub/api/users/{user}/shared/{owner}/{server}", only("users:shares"), a.leaveShare},
		{"DELETE /hub/api/users/{user}/shared/{owner}/{$}", only("users:shares"), a.leaveShare},
		{"GET /hub/api/groups/{group}/shared", only("read:groups:shares"), a.sharedWithGroup},
		{"GET /hub/api/groups/{group}/shared/{owner}/{server}", only("read:groups:shares"), a.getShared},
		{"GET /hub/api/groups/{group}/shared/{owner}/{$}", only("read:groups:shares"), a.getShared},
		{"DELETE /hub/api/groups/{group}/shared/{owner}/{server}", only("groups:shares"), a.leaveShare},
		{"DELETE /hub/api/groups/{group}/shared/{owner}/{$}", only("groups:shares"), a.leaveShare},
		{"GET /hub/api/share-codes/{user}", only("read:shares"), a.listShareCodes},
		{"GET /hub/api/share-codes/{user}/{server}", only("read:shares"), a.listServerCodes},
		{"GET /hub/api/share-codes/{user}/{$}", only("read:shares"), a.listServerCodes},
		{"POST /hub/api/share-codes/{user}/{server}", only("shares"), a.createShareCode},
		{"POST /hub/api/share-codes/{user}/{$}", only("shares"), a.createShareCode},
		{"DELETE /hub/api/share-codes/{user}/{server}", only("shares"), a.deleteShareCodes},
		{"DELETE /hub/api/share-codes/{user}/{$}", only("shares"), a.deleteShareCodes},

		{"GET /hub/api/services", only("list:services"), a.listServices},
		{"GET /hub/api/services/{service}", only("read:services", "read:services:name", "read:roles:services"), a.getService},
		{"POST /hub/api/services/{service}", only("admin:services"), a.createService},
		{"DELETE /hub/api/services/{service}", only("admin:services"), a.deleteService},

		{"GET /hub/api/routes", only("proxy"), a.listRoutes},
		{"GET /hub/api/routes/{prefix...}", only("proxy"), a.getRoute},
		{"PUT /hub/api/routes/{prefix...}", only("proxy"), a.putRoute},
		{"DELETE /hub/api/routes/{prefix...}", only("proxy"), a.deleteRoute},
		{"GET /hub/api/proxy", only("proxy"), a.proxyTable},
		{"POST /hub/api/proxy", only("proxy"), a.syncProxy},

		{"GET /hub/api/keys", only("read:hub"), a.listKeys},
		{"POST /hub/api/keys/rotate", only("admin:users"), a.rotateKeys},

		{"POST /hub/api/edge/exchange", only(public), a.exchange},
		{"POST /hub/api/edge/renew", only(public), a.renew},
		{"POST /hub/api/edge/redeem", only(public), a.redeem},
		{"POST /hub/api/edge/activity", only(public), a.edgeActivity},
	}
}

// guard checks who calls and what they may do before it calls the handler.
func (a *API) guard(rt route) web.Handler {
	reads := strings.HasPrefix(rt.pattern, "GET ") && !strings.HasSuffix(rt.pattern, "/progress")
	return func(w http.ResponseWriter, r *http.Request) error {
		if reads {
			r = r.WithContext(store.AtOnce(r.Context()))
		}
		if rt.scopes[0] == public {
			return rt.handler(w, r, nil)
		}
		c, err := a.caller(r)
		if err != nil {
			return err
		}
		return a.audited(w, r, c, func(w http.ResponseWriter) error {
			if err := a.authorise(r, c, rt.scopes); err != nil {
				return err
			}
			return rt.handler(w, r, c)
		})
	}
}

// caller finds out who makes a request: by token, else by the session cookie of a browser with an XSRF token.
func (a *API) caller(r *http.Request) (*account.Caller, error) {
	if secret := web.BearerToken(r); secret != "" {
		c, err := a.Accounts.ByToken(r.Context(), secret)
		if hub.KindOf(err) != hub.Unauthenticated {
			return c, err
		}
	}
	refused := hub.Errorf(hub.Unauthenticated, "Missing or invalid credentials.")
	secret, err := web.Cookie(r, web.SessionCookie)
	if err != nil {
		return nil, err
	}
	if secret == "" || r.Method == http.MethodPost && !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		return nil, refused // a form of another site cannot send JSON
	}
	c, err := a.Accounts.BySession(r.Context(), secret)
	if err != nil {
		if hub.KindOf(err) == hub.Unauthenticated {
			return nil, refused
		}
		return nil, err
	}
	a.Tokens.UseSession(r.Context(), *c.Session, r.UserAgent(), web.ClientAddress(r))
	if needsXSRF(r) {
		return c, a.XSRF.Check(r, c.Session.ID)
	}
	return c, nil
}

// needsXSRF is JupyterHub's rule: everything but navigations and programs that do not say how they fetch.
func needsXSRF(r *http.Request) bool {
	mode := r.Header.Get("Sec-Fetch-Mode")
	reads := r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions
	return !reads || mode != "" && mode != "navigate"
}

// lists reports whether a route without a user, group or service in its path applies filters by itself. All others need their
// scope on everything: a route that cannot apply a filter refuses it (threat T77).
func lists(pattern string) bool {
	return pattern == "GET /hub/api/users" || pattern == "GET /hub/api/groups" || pattern == "GET /hub/api/services"
}

// authorise checks the scopes of a route against the user and server that its path names.
func (a *API) authorise(r *http.Request, c *account.Caller, scopes []string) error {
	filtered := r.PathValue("user") != "" || r.PathValue("group") != "" || r.PathValue("service") != "" || lists(r.Pattern)
	held := false
	for _, s := range scopes {
		held = held || c.Scopes.Has(s) || filtered && c.Scopes.HasAny(s)
	}
	if !held {
		return hub.Errorf(hub.Forbidden, "Action is not authorized with current scopes; requires any of [%s]", strings.Join(scopes, ", "))
	}
	res, err := a.resource(r)
	if err != nil {
		return err
	}
	for _, s := range scopes {
		if res.User == "" && res.Group == "" && res.Service == "" || c.Scopes.Allows(s, res) {
			return nil
		}
	}
	return hub.Errorf(hub.NotFound, "No access to resources or resources not found")
}

// resource is what a request's path names.
func (a *API) resource(r *http.Request) (access.Resource, error) {
	name := r.PathValue("user")
	if name == "" {
		return access.Resource{Group: r.PathValue("group"), Service: r.PathValue("service")}, nil
	}
	res := access.Resource{User: name}
	if aboutServer(r.Pattern) {
		server := r.PathValue("server")
		res.Server = &server
	}
	u, err := a.Accounts.Get(r.Context(), hub.UserName(name))
	if err != nil && hub.KindOf(err) != hub.NotFound {
		return res, err
	}
	res.UserGroups = u.Groups
	return res, nil
}

// aboutServer reports whether a route is about one server of the user in its path. The server of what is shared with a user
// belongs to somebody else.
func aboutServer(pattern string) bool {
	_, path, _ := strings.Cut(pattern, " /hub/api/")
	tree, rest, _ := strings.Cut(path, "/")
	_, server, _ := strings.Cut(rest, "/")
	return strings.HasPrefix(server, "server") || server != "" && (tree == "shares" || tree == "share-codes")
}

// target is the user that a request's path names, or a NotFound error.
func (a *API) target(r *http.Request) (hub.User, error) {
	name, err := hub.ParseUserName(r.PathValue("user"))
	if err != nil || string(name) != r.PathValue("user") {
		return hub.User{}, hub.Errorf(hub.NotFound, "No such user: %s", hub.Clip(r.PathValue("user")))
	}
	return a.Accounts.Get(r.Context(), name)
}

// headers sets what every answer of the API carries.
func headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-JupyterHub-Version", hub.Version)
		h.Set("Access-Control-Allow-Headers", "accept, content-type, authorization")
		h.Set("Content-Security-Policy", "frame-ancestors 'none'; default-src 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// unknown answers what no route has: for a known path 405, or 200 to OPTIONS as JupyterHub does, else 404.
func unknown(mux *http.ServeMux) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
			probe := r.Clone(r.Context())
			probe.Method = method
			if _, pattern := mux.Handler(probe); pattern == "/hub/api/" || pattern == "/hub/api" {
				continue
			}
			if r.Method == http.MethodOptions {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(http.StatusOK)
				return nil
			}
			return &web.StatusError{Code: http.StatusMethodNotAllowed, Message: "Method Not Allowed"}
		}
		return hub.Errorf(hub.NotFound, "Not Found")
	}
}

func (a *API) version(w http.ResponseWriter, _ *http.Request, _ *account.Caller) error {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	return web.JSON(w, http.StatusOK, map[string]string{"version": hub.Version})
}

func (a *API) health(w http.ResponseWriter, _ *http.Request, _ *account.Caller) error {
	w.Header().Set("Content-Type", "text/html")
	w.WriteHeader(http.StatusOK)
	return nil
}

func (a *API) info(w http.ResponseWriter, _ *http.Request, _ *account.Caller) error {
	component := map[string]string{"class": "edgehub", "version": hub.Version}
	return web.JSON(w, http.StatusOK, map[string]any{
		"version": hub.Version, "python": "", "sys_executable": "", "spawner": component, "authenticator": component,
	})
}
