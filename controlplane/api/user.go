package api

import (
	"net/http"
	"time"

	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/web"
	"github.com/edgehub/edgehub/routes"
)

// visitor is who a visitor ticket is from, nil if the caller presents none. Single-user servers ask that of edges, which
// answer it themselves; this is for servers that reach the hub directly.
func (a *API) visitor(r *http.Request) (*routes.Visitor, error) {
	ticket := web.BearerToken(r)
	if !routes.IsTicket(ticket) {
		return nil, nil
	}
	var route *routes.Route
	t, err := routes.OpenTicket(ticket, func(prefix string) *routes.Route {
		rec, err := a.routes.Get(r.Context(), routes.EscapeKey(prefix))
		if err != nil {
			return nil
		}
		route = &rec.Value
		return route
	}, time.Now().Unix())
	if err != nil {
		return nil, hub.WithCause(hub.Errorf(hub.Unauthenticated, "Missing or invalid credentials."), err)
	}
	v := routes.VisitorOf(t, route)
	return &v, nil
}

// whoami answers GET /user to any valid credential: the caller's model with token_id, session_id and scopes.
func (a *API) whoami(w http.ResponseWriter, r *http.Request, _ *account.Caller) error {
	v, err := a.visitor(r)
	if err != nil {
		return err
	}
	if v != nil {
		return web.JSON(w, http.StatusOK, v)
	}
	c, err := a.caller(r)
	if err != nil {
		return err
	}
	if c.User == nil {
		m := serviceModel(c)
		m.presented = presentedBy(c)
		return web.JSON(w, http.StatusOK, m)
	}
	servers, err := a.Servers.OfUser(r.Context(), c.User.Name)
	if err != nil {
		return err
	}
	m := a.callerModel(c, servers)
	m.presented = presentedBy(c)
	return web.JSON(w, http.StatusOK, m)
}

// deleteUser stops the user's servers first.
func (a *API) deleteUser(w http.ResponseWriter, r *http.Request, c *account.Caller) error {
	u, err := a.target(r)
	if err != nil {
		return err
	}
	if c.User != nil && c.User.ID == u.ID {
		return hub.Errorf(hub.Invalid, "Cannot delete yourself!")
	}
	servers, err := a.Servers.OfUser(r.Context(), u.Name)
	if err != nil {
		return err
	}
	for _, s := range servers {
		if _, err := a.Servers.Stop(r.Context(), s.User, s.Name); err != nil {
			return err
		}
	}
	for _, s := range servers {
		if _, err := a.Servers.Await(r.Context(), s.User, s.Name, slowStop, stopped); err != nil {
			return err
		}
	}
	if err := a.Servers.Forget(r.Context(), u.Name); err != nil {
		return err
	}
	if err := a.Accounts.Delete(r.Context(), u); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// activityBody is what servers report.
type activityBody struct {
	LastActivity string `json:"last_activity"`
	Servers      map[string]struct {
		LastActivity string `json:"last_activity"`
	} `json:"servers"`
}

// activity is a report that was understood: nothing of one that was not is stored.
type activity struct {
	user    time.Time
	servers map[hub.ServerName]time.Time
}

func (b *activityBody) parse() (activity, error) {
	times := activity{servers: map[hub.ServerName]time.Time{}}
	var err error
	if b.LastActivity != "" {
		if times.user, err = parseActivity(b.LastActivity); err != nil {
			return times, err
		}
	}
	for name, report := range b.Servers {
		if times.servers[hub.ServerName(name)], err = parseActivity(report.LastActivity); err != nil {
			return times, err
		}
	}
	return times, nil
}

// postActivity takes a server's report of activity. Times only move forward. A server's own token speaks for that server and
// its user, and for no other server of theirs (threat T81).
func (a *API) postActivity(w http.ResponseWriter, r *http.Request, c *account.Caller) error {
	u, err := a.target(r)
	if err != nil {
		return err
	}
	var body activityBody
	if err := web.ReadJSON(w, r, &body); err != nil {
		return err
	}
	if body.LastActivity == "" && body.Servers == nil {
		return hub.Errorf(hub.Invalid, "body must contain at least one of `last_activity` or `servers`")
	}
	times, err := body.parse()
	if err != nil {
		return err
	}
	for name := range times.servers {
		if s := (hub.Server{User: u.Name, Name: name}); c.Token != nil && c.Token.Server != "" && c.Token.Server != s.FullName() {
			return hub.Errorf(hub.NotFound, "No access to resources or resources not found")
		}
	}
	if !times.user.IsZero() {
		if err := a.Accounts.ActiveAt(r.Context(), u.Name, times.user); err != nil {
			return err
		}
	}
	for name, at := range times.servers {
		err := a.Servers.Active(r.Context(), u.Name, name, at)
		if hub.KindOf(err) == hub.NotFound {
			err = hub.Errorf(hub.Invalid, "No such server '%s' for user %s", hub.Clip(string(name)), u.Name)
		}
		if err != nil {
			return err
		}
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// parseActivity reads an ISO 8601 time; one without an offset is UTC. More than 59 minutes in the future is refused, less is
// taken for now.
func parseActivity(s string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02T15:04:05.999999999Z0700"} {
		t, err := time.Parse(layout, s)
		if err != nil {
			continue
		}
		now := time.Now().UTC()
		if t.After(now.Add(59 * time.Minute)) {
			return t, hub.Errorf(hub.Invalid, "Activity %s is in the future.", hub.Clip(s))
		}
		if t.After(now) {
			t = now
		}
		return t.UTC(), nil
	}
	return time.Time{}, hub.Errorf(hub.Invalid, "Not a time: %s", hub.Clip(s))
}
