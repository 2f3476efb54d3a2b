// Package pages is the hub in the browser: sign-in, home, spawn-pending, error pages and their handlers. Templates and
// assets are embedded; every page works without scripts, and scripts only make it nicer.
//
// It decides nothing about servers (package spawn does) and has no JSON API (package api does). What people change of users, groups
// and tokens goes through that API, so that the same is allowed and recorded for them and for programs.
//
// Invariant: no page holds inline script, inline style or an event attribute, so that the Content-Security-Policy allows
// none; text reaches a page only through html/template, and reaches the scripts' output only as text nodes.
package pages

import (
	"bytes"
	"fmt"
	"html/template"
	"net/http"
	"strconv"

	"github.com/edgehub/edgehub/controlplane/web"
	"github.com/edgehub/edgehub/routes"
)

// Names of the pages for Render, each with the type of its view.
const (
	LoginPage       = "login"        // LoginView
	LogoutPage      = "logout"       // LogoutView
	HomePage        = "home"         // HomeView
	PendingPage     = "pending"      // PendingView
	StopPendingPage = "stop_pending" // StopPendingView
	NotRunningPage  = "not_running"  // NotRunningView
	ErrorPage       = "error"        // ErrorView
	ConsentPage     = "consent"      // ConsentView
	AcceptSharePage = "accept_share" // AcceptShareView
	TokenPage       = "token"        // TokenView
	AdminPage       = "admin"        // AdminView
	AddUsersPage    = "admin_add"    // AddUsersView
	AdminUserPage   = "admin_user"   // AdminUserView
	GroupsPage      = "admin_groups" // GroupsView
	GroupPage       = "admin_group"  // GroupView
)

var pageNames = []string{LoginPage, LogoutPage, HomePage, PendingPage, StopPendingPage, NotRunningPage, ErrorPage, ConsentPage, AcceptSharePage,
	TokenPage, AdminPage, AddUsersPage, AdminUserPage, GroupsPage, GroupPage}

// contentSecurityPolicy allows our own files and nothing inline. Data blocks (script type="application/json") are not
// executed and so not its business. Forms may lead to users' hosts, if there are any, which come at its end: browsers look at
// every redirect after a form.
const contentSecurityPolicy = "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
	"connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; object-src 'none'; form-action 'self'"

// Renderer holds the parsed templates. It is safe for concurrent use.
type Renderer struct {
	pages map[string]*template.Template
	csp   string
}

// NewRenderer parses the embedded templates for a hub below base. hosts is nil if users have none.
func NewRenderer(base routes.Base, hosts *routes.Hosts) (*Renderer, error) {
	assets, err := loadAssets()
	if err != nil {
		return nil, err
	}
	layout, err := template.New("layout").
		Funcs(template.FuncMap{
			"base":   func() routes.Base { return base },
			"link":   linker(base),
			"row":    newServerRow,
			"static": func(name string) (string, error) { return staticURL(base, assets, name) },
		}).
		ParseFS(templateFiles, "templates/base.html", "templates/parts.html")
	if err != nil {
		return nil, fmt.Errorf("parse the page layout: %w", err)
	}
	pages := make(map[string]*template.Template, len(pageNames))
	for _, name := range pageNames {
		page, err := layout.Clone()
		if err == nil {
			page, err = page.ParseFS(templateFiles, "templates/"+name+".html")
		}
		if err != nil {
			return nil, fmt.Errorf("parse page %s: %w", name, err)
		}
		pages[name] = page
	}
	csp := contentSecurityPolicy
	if hosts != nil {
		csp += " " + hosts.UsersPattern()
	}
	return &Renderer{pages: pages, csp: csp}, nil
}

// linker makes the function of templates through which every link goes: {{link "/hub/home"}} is where browsers find a path of
// the hub, and {{link "/hub/login" .Next}} leads to another one afterwards, unless that is empty.
func linker(base routes.Base) func(path string, next ...string) string {
	return func(path string, next ...string) string {
		if len(next) > 0 {
			path = web.WithNext(base, path, next[0])
		}
		return base.Path(path)
	}
}

// Render answers with a page. v is the page's view. After an error nothing has been written, so the caller can still
// answer with another status; a client that has gone away is not an error.
func (r *Renderer) Render(w http.ResponseWriter, status int, page string, v any) error {
	return r.render(w, status, page, v, "")
}

// render is Render for a page whose forms may lead to formTargets, too.
func (r *Renderer) render(w http.ResponseWriter, status int, page string, v any, formTargets string) error {
	t, ok := r.pages[page]
	if !ok {
		return fmt.Errorf("no page %q", page)
	}
	var body bytes.Buffer
	if err := t.ExecuteTemplate(&body, "base", v); err != nil {
		return fmt.Errorf("render page %s: %w", page, err)
	}
	r.setHeaders(w.Header(), formTargets)
	w.Header().Set("Content-Length", strconv.Itoa(body.Len()))
	w.WriteHeader(status)
	_, _ = body.WriteTo(w)
	return nil
}

func (r *Renderer) setHeaders(h http.Header, formTargets string) {
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", r.csp+formTargets)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	// Not no-referrer: under it browsers post our own forms with "Origin: null", which looks like another site.
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}
