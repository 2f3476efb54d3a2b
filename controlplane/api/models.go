package api

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/edgehub/edgehub/controlplane/access"
	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/spawn"
	"github.com/edgehub/edgehub/routes"
)

// timestamp is a time in JupyterHub's form: UTC, Z, six digits of microseconds unless all are zero (older Pythons read no other
// number of digits), null when unknown.
func timestamp(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	if t = t.UTC().Truncate(time.Microsecond); t.Nanosecond() == 0 {
		return t.Format("2006-01-02T15:04:05Z")
	}
	return t.Format("2006-01-02T15:04:05.000000Z")
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// null is JSON's null in a field that is left out when it is nil.
var null any = (*struct{})(nil)

// known is v, or null.
func known(v any) any {
	if v == nil {
		return null
	}
	return v
}

// userDoc is a user in JupyterHub's form. Fields that the reader may not see are nil.
type userDoc struct {
	Kind         string       `json:"kind"`
	Name         hub.UserName `json:"name"`
	Info         any          `json:"user_info,omitempty"`
	Admin        any          `json:"admin,omitempty"`
	Roles        any          `json:"roles,omitempty"`
	Groups       any          `json:"groups,omitempty"`
	Server       any          `json:"server,omitempty"`
	Pending      any          `json:"pending,omitempty"`
	Created      any          `json:"created,omitempty"`
	LastActivity any          `json:"last_activity,omitempty"`
	AuthState    any          `json:"auth_state,omitempty"`
	Servers      any          `json:"servers,omitempty"`
	*presented
}

// userModel is a user as the holder of scopes may see it. It is nil if no field is left.
func (a *API) userModel(u hub.User, servers []hub.Server, scopes access.Set, withStopped bool) *userDoc {
	res := access.Resource{User: string(u.Name), UserGroups: u.Groups}
	fields := scopes.UserFields(res)
	if withStopped && !slices.ContainsFunc(servers, func(s hub.Server) bool { return s.Name == "" }) {
		servers = append(servers, hub.Server{User: u.Name, State: hub.Stopped}) // everybody has a default server
	}
	visible := map[string]any{}
	for i := range servers {
		s := &servers[i]
		sres := serverOf(u, s.Name)
		if (s.Active() || withStopped) && scopes.Allows("read:servers", sres) {
			visible[string(s.Name)] = a.serverModel(s, scopes.Allows("admin:server_state", sres))
		}
	}
	if fields.Empty() && len(visible) == 0 {
		return nil
	}
	m := &userDoc{Kind: "user", Name: u.Name}
	show := func(field string, to *any, value func() any) {
		if fields.Has(field) {
			*to = known(value())
		}
	}
	show("user_info", &m.Info, func() any { return nil })
	show("admin", &m.Admin, func() any { return u.Admin })
	show("roles", &m.Roles, func() any { return a.Accounts.RolesOf(u) })
	show("groups", &m.Groups, func() any { return orEmpty(u.Groups) })
	show("server", &m.Server, func() any { return a.defaultURL(servers) })
	show("pending", &m.Pending, func() any { return defaultPending(servers) })
	show("created", &m.Created, func() any { return timestamp(u.Created) })
	show("last_activity", &m.LastActivity, func() any { return timestamp(u.LastActivity) })
	show("auth_state", &m.AuthState, func() any { return nil })
	if len(visible) > 0 || fields.Has("servers") {
		m.Servers = visible
	}
	return m
}

// defaultURL is where the default server is, nil if it does not run.
func (a *API) defaultURL(servers []hub.Server) any {
	for i := range servers {
		if s := &servers[i]; s.Name == "" && s.State == hub.Running {
			return a.url(s)
		}
	}
	return nil
}

// defaultPending is what is under way with the default server.
func defaultPending(servers []hub.Server) any {
	for i := range servers {
		if servers[i].Name == "" {
			return pending(&servers[i])
		}
	}
	return nil
}

func pending(s *hub.Server) any {
	switch s.State {
	case hub.Starting:
		return "spawn"
	case hub.Stopping:
		return "stop"
	case hub.Running, hub.Stopped:
	}
	return nil
}

// url is where browsers find a server: its path, or on the host of its user the whole address.
func (a *API) url(s *hub.Server) string {
	prefix := routes.UserPrefix(string(s.User), string(s.Name))
	if a.Hosts != nil {
		return a.Hosts.Address(prefix)
	}
	return a.Base.Path(prefix)
}

// serverModel is a server in JupyterHub's form. Only holders of admin:server_state see the state of its spawner.
func (a *API) serverModel(s *hub.Server, withState bool) map[string]any {
	options := s.Options
	if options == nil {
		options = map[string]any{}
	}
	m := map[string]any{
		"name": s.Name, "display_name": cmp.Or(s.DisplayName, string(s.Name)), "full_name": s.FullName(), "last_activity": timestamp(s.LastActivity), "started": timestamp(s.Started),
		"pending": pending(s), "ready": s.State == hub.Running, "stopped": !s.Active(), "url": a.url(s), "user_options": options,
		"progress_url": a.Base.Path(spawn.ProgressURL(s)), "full_url": nil, "full_progress_url": nil,
	}
	if a.Hosts != nil {
		m["full_url"], m["full_progress_url"] = a.url(s), a.Hosts.Address(spawn.ProgressURL(s))
	}
	if withState {
		m["state"] = spawnerState(s)
	}
	return m
}

// spawnerState is what the spawner knows of an instance, {} if there is none.
func spawnerState(s *hub.Server) json.RawMessage {
	if s.Instance == nil {
		return json.RawMessage("{}")
	}
	return s.Instance.State
}

// tokenModel is an API token; its scopes are what they are worth now.
func tokenModel(t hub.Token, now []string) map[string]any {
	m := map[string]any{
		"id": t.ID, "kind": "api_token", "roles": []string{}, "scopes": orEmpty(now), "created": timestamp(t.Created),
		"last_activity": timestamp(t.LastActivity), "expires_at": timestamp(t.Expires), "note": t.Note, "session_id": nil,
		"oauth_client": cmp.Or(t.OAuthClient, "JupyterHub"),
	}
	if t.Service != "" {
		m["service"] = t.Service
	} else {
		m["user"] = t.User
	}
	if t.Session != "" {
		m["session_id"] = t.Session
	}
	return m
}

// presented is the part of a caller's model about what it presented.
type presented struct {
	TokenID   any      `json:"token_id"`
	SessionID any      `json:"session_id"`
	Scopes    []string `json:"scopes"`
}

func presentedBy(c *account.Caller) *presented {
	p := &presented{Scopes: orEmpty(c.Scopes.Strings())}
	if c.Token != nil {
		p.TokenID = c.Token.ID
		if c.Token.Session != "" {
			p.SessionID = c.Token.Session
		}
	}
	if c.Session != nil {
		p.SessionID = c.Session.ID
	}
	return p
}

// callerModel is the model of a user who calls, as far as callers may always know who they are.
func (a *API) callerModel(c *account.Caller, servers []hub.Server) *userDoc {
	scopes, self := c.Scopes, access.Resource{User: string(c.User.Name)}
	if !scopes.Allows("read:users:name", self) || !scopes.Allows("read:users:groups", self) {
		scopes = a.identifying(c, access.Owner{User: self.User})
	}
	return a.userModel(*c.User, servers, scopes, false)
}

// callerService is callerModel for a service.
func (a *API) callerService(ctx context.Context, c *account.Caller) (map[string]any, error) {
	s, err := a.Accounts.Service(ctx, c.Service)
	return a.serviceModel(&s, a.identifying(c, access.Owner{Service: c.Service})), err
}

// identifying are a caller's scopes with those that let everybody see who they are.
func (a *API) identifying(c *account.Caller, owner access.Owner) access.Set {
	return a.Accounts.Catalog().ExpandKnown(owner, append(access.IdentifyScopes(owner), c.Scopes.Strings()...)...)
}
