package api

import (
	"cmp"
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

// userModel is a user as the holder of scopes may see it. Fields that it may not see are absent. It is nil if none is left.
func (a *API) userModel(u hub.User, servers []hub.Server, scopes access.Set, withStopped bool) map[string]any {
	res := access.Resource{User: string(u.Name), UserGroups: u.Groups}
	fields := scopes.UserFields(res)
	roles := a.Accounts.RolesOf(u)
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
	all := map[string]any{
		"kind": "user", "name": u.Name, "user_info": nil, "admin": u.Admin, "roles": roles, "groups": orEmpty(u.Groups),
		"server": nil, "pending": nil, "created": timestamp(u.Created), "last_activity": timestamp(u.LastActivity), "auth_state": nil,
	}
	for i := range servers {
		if s := &servers[i]; s.Name == "" {
			all["pending"] = pending(s)
			if s.State == hub.Running {
				all["server"] = a.url(s)
			}
		}
	}
	model := map[string]any{}
	for name, value := range all {
		if fields[name] {
			model[name] = value
		}
	}
	if len(model) == 0 && len(visible) == 0 {
		return nil
	}
	if len(visible) > 0 || fields["servers"] {
		model["servers"] = visible
	}
	model["kind"], model["name"] = "user", u.Name
	return model
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

// spawnerState is what the spawner knows of an instance, null if there is none.
func spawnerState(s *hub.Server) json.RawMessage {
	if s.Instance == nil {
		return nil
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

// whoamiModel is the caller's own model with what it presented.
func (a *API) whoamiModel(c *account.Caller, servers []hub.Server) map[string]any {
	var m map[string]any
	if c.User != nil {
		owner := access.Owner{User: string(c.User.Name)}
		identify := a.Accounts.Catalog().ExpandKnown(owner, append(access.IdentifyScopes(owner), c.Scopes.Strings()...)...)
		m = a.userModel(*c.User, servers, identify, false)
	} else {
		m = map[string]any{"kind": "service", "name": c.Service, "admin": c.Admin(), "roles": orEmpty(c.Roles())}
	}
	m["token_id"], m["session_id"], m["scopes"] = nil, nil, orEmpty(c.Scopes.Strings())
	if c.Token != nil {
		m["token_id"] = c.Token.ID
		if c.Token.Session != "" {
			m["session_id"] = c.Token.Session
		}
	}
	if c.Session != nil {
		m["session_id"] = c.Session.ID
	}
	return m
}
