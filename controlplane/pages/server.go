package pages

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/spawn"
	"github.com/edgehub/edgehub/controlplane/web"
	"github.com/edgehub/edgehub/routes"
)

// home shows the visitor's server.
func (p *Pages) home(v visit) error {
	s, err := p.Servers.Get(v.r.Context(), v.User.Name, "")
	if err != nil {
		return err
	}
	return p.render.Render(v.w, http.StatusOK, HomePage, HomeView{Page: p.page(v.w, v.r, v.Caller), Server: ServerView{
		ServerRef: ServerRef{Owner: string(v.User.Name)}, URL: p.address(routes.UserPrefix(string(v.User.Name), "")),
		State: s.State, Failure: s.Failure, LastActivity: s.LastActivity,
	}})
}

// spawnForm leads to a running or starting server, and offers to start one that is stopped. Unlike JupyterHub's it starts
// nothing by itself: a link of another site can open it.
func (p *Pages) spawnForm(v visit) error {
	_, s, err := p.record(v, "start:servers")
	if err != nil {
		return err
	}
	if s.State == hub.Running {
		return redirect(v.w, p.destination(v.r, &s))
	}
	if s.Active() {
		return redirect(v.w, withNext(v.r, ref(&s).PendingURL(), web.Next(v.r)))
	}
	return p.offer(v, http.StatusOK, &s)
}

// spawn starts a server and leads to its progress.
func (p *Pages) spawn(v visit) error {
	u, s, err := p.record(v, "start:servers")
	if err != nil {
		return err
	}
	if !s.Active() {
		if s, err = p.Servers.Start(v.r.Context(), u, s.Name, nil); err != nil {
			return err
		}
	}
	if s.State == hub.Running {
		return redirect(v.w, p.destination(v.r, &s))
	}
	return redirect(v.w, withNext(v.r, ref(&s).PendingURL(), web.Next(v.r)))
}

// stop stops a server and leads home, where its end can be watched.
func (p *Pages) stop(v visit) error {
	u, name, err := p.server(v, "delete:servers")
	if err != nil {
		return err
	}
	if _, err := p.Servers.Stop(v.r.Context(), u.Name, name); err != nil {
		return err
	}
	return redirect(v.w, "/hub/home")
}

// pending follows a start or a stop.
func (p *Pages) pending(v visit) error {
	_, s, err := p.record(v, "read:servers")
	if err != nil {
		return err
	}
	switch s.State {
	case hub.Running:
		return redirect(v.w, p.destination(v.r, &s))
	case hub.Stopping:
		return p.render.Render(v.w, http.StatusOK, StopPendingPage, StopPendingView{Page: p.page(v.w, v.r, v.Caller), ServerRef: ref(&s)})
	case hub.Starting:
	case hub.Stopped:
		status := http.StatusOK
		if s.Failure != "" {
			status = http.StatusInternalServerError
		}
		return p.offer(v, status, &s)
	}
	view := PendingView{Page: p.page(v.w, v.r, v.Caller), ServerRef: ref(&s), Next: web.Next(v.r),
		ServerURL: p.address(routes.UserPrefix(string(s.User), string(s.Name))), ProgressURL: spawn.ProgressURL(&s)}
	for _, e := range s.Events {
		view.Events = append(view.Events, EventView{Progress: e.Progress, Message: e.Message})
	}
	return p.render.Render(v.w, http.StatusOK, PendingPage, view)
}

// offer shows that a server is not running, with a button to start it for those who may.
func (p *Pages) offer(v visit, status int, s *hub.Server) error {
	return p.render.Render(v.w, status, NotRunningPage, NotRunningView{
		Page: p.page(v.w, v.r, v.Caller), ServerRef: ref(s), Next: web.Next(v.r), Failure: s.Failure,
		CanStart: v.Scopes.Allows("start:servers", resource(hub.User{Name: s.User}, s.Name)),
	})
}

func ref(s *hub.Server) ServerRef {
	return ServerRef{Owner: string(s.User), ServerName: string(s.Name)}
}

// destination is where a visitor of a running server goes.
func (p *Pages) destination(r *http.Request, s *hub.Server) string {
	if n := web.Next(r); n != "" {
		return p.address(n)
	}
	return p.address(routes.UserPrefix(string(s.User), string(s.Name)))
}

// userRedirect sends a link that works for everybody (/hub/user-redirect/lab/tree/x) to the visitor's own server.
func (p *Pages) userRedirect(v visit) error {
	rest := strings.TrimPrefix(v.r.URL.EscapedPath(), "/hub/user-redirect/")
	to := withQuery(routes.UserPrefix(string(v.User.Name), "")+rest, v.r)
	return redirect(v.w, withNext(v.r, "/hub/spawn/"+routes.EscapeSegment(string(v.User.Name)), to))
}

// maxRedirects is JupyterHub's user_redirect_limit: how often a running server's page may come back here.
const maxRedirects = 4

// notRunning answers for /user/NAME/... when no edge has a route: the server is not running, or became so this moment. It
// never starts one. The order of the cases is JupyterHub's (reference 1.5).
func (p *Pages) notRunning(w http.ResponseWriter, r *http.Request) error {
	c, err := p.visitor(r)
	if err != nil {
		return err
	}
	page := "/user/" + strings.TrimPrefix(r.URL.EscapedPath(), "/hub/user/")
	if c == nil {
		if !web.WantsHTML(r) {
			return hub.Errorf(hub.Unauthenticated, "Missing or invalid credentials.")
		}
		return p.toLogin(w, r)
	}
	v := visit{Caller: c, w: w, r: r}
	s, err := p.stoppedServer(v)
	if err != nil {
		return err
	}
	if s.State == hub.Running {
		return backToServer(w, r, p.address(page))
	}
	if !web.WantsHTML(r) || strings.Contains(page+"/", "/api/") || r.Method != http.MethodGet || c.Session == nil {
		return serverNotRunning(w, r, page)
	}
	if s.Active() {
		return redirectAs(w, http.StatusSeeOther, withNext(r, ref(s).PendingURL(), page))
	}
	return p.render.Render(w, http.StatusFailedDependency, NotRunningPage, NotRunningView{
		Page: p.page(w, r, c), ServerRef: ref(s), Next: page, Failure: s.Failure,
		CanStart: v.Scopes.Allows("start:servers", resource(hub.User{Name: s.User}, s.Name)),
	})
}

// visitor is who asks for a server's page, by session or by API token.
func (p *Pages) visitor(r *http.Request) (*account.Caller, error) {
	c, err := p.caller(r)
	if c != nil || err != nil {
		return c, err
	}
	secret := web.BearerToken(r)
	if secret == "" {
		return nil, nil
	}
	c, err = p.Accounts.ByToken(r.Context(), secret)
	if hub.KindOf(err) == hub.Unauthenticated {
		return nil, nil
	}
	return c, err
}

// stoppedServer is the record of the server that a /hub/user/ path names, if the visitor may reach it. The first part of the
// rest is a named server's name if there is one.
func (p *Pages) stoppedServer(v visit) (*hub.Server, error) {
	denied := hub.Errorf(hub.NotFound, "No access to resources or resources not found")
	u, err := p.Accounts.Get(v.r.Context(), hub.UserName(v.r.PathValue("user")))
	if hub.KindOf(err) == hub.NotFound {
		return nil, denied
	}
	if err != nil {
		return nil, err
	}
	servers, err := p.Servers.OfUser(v.r.Context(), u.Name)
	if err != nil {
		return nil, err
	}
	found := &hub.Server{User: u.Name, State: hub.Stopped}
	first, _, _ := strings.Cut(v.r.PathValue("rest"), "/")
	for i := range servers {
		if s := &servers[i]; s.Name == "" && found.Name == "" || s.Name != "" && string(s.Name) == first {
			found = s
		}
	}
	if !v.Scopes.Allows("access:servers", resource(u, found.Name)) {
		return nil, denied
	}
	return found, nil
}

// backToServer sends the visitor to a server that runs by now. Edges see a new route within milliseconds; one that does not
// must not make the browser go round for ever.
func backToServer(w http.ResponseWriter, r *http.Request, page string) error {
	q := r.URL.Query()
	n, _ := strconv.Atoi(q.Get("redirects"))
	if n >= maxRedirects {
		return hub.WithCause(hub.Errorf(hub.Internal, "Redirect loop detected. The hub's front door does not know this server yet."),
			fmt.Errorf("%d redirects to %s", n, hub.Clip(page)))
	}
	if n > 0 {
		select {
		case <-r.Context().Done():
			return r.Context().Err()
		case <-time.After(time.Duration(1<<n) * 100 * time.Millisecond):
		}
	}
	q.Set("redirects", strconv.Itoa(n+1))
	return redirect(w, page+"?"+q.Encode())
}
