package api

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/edgehub/edgehub/controlplane/access"
	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/web"
)

// sharedServer is the server that a request's path names. The owner is there; a named server must be, the default one always is.
func (a *API) sharedServer(r *http.Request, ownerPart string) (account.SharedServer, error) {
	none := hub.Errorf(hub.NotFound, "No such server: %s/%s", hub.Clip(r.PathValue(ownerPart)), hub.Clip(r.PathValue("server")))
	name, err := hub.ParseServerName(r.PathValue("server"))
	if err != nil {
		return account.SharedServer{}, none
	}
	owner, err := a.Accounts.Get(r.Context(), hub.UserName(r.PathValue(ownerPart)))
	if err != nil {
		return account.SharedServer{}, err
	}
	if name != "" {
		s, err := a.Servers.Get(r.Context(), owner.Name, name)
		if err == nil && (s.UserID != owner.ID || s.Remove) {
			err = none
		}
		if err != nil {
			return account.SharedServer{}, err
		}
	}
	return account.SharedServer{Owner: owner, Name: name}, nil
}

// onServer is a handler for the server that a request's path names.
func (a *API) onServer(next func(http.ResponseWriter, *http.Request, *account.Caller, account.SharedServer) error) handler {
	return func(w http.ResponseWriter, r *http.Request, c *account.Caller) error {
		s, err := a.sharedServer(r, "user")
		if err != nil {
			return err
		}
		return next(w, r, c, s)
	}
}

// sharedBy says what a list is about: all servers of a user, or the one that the path names.
func (a *API) sharedBy(r *http.Request) (hub.User, *hub.ServerName, error) {
	if strings.HasSuffix(r.Pattern, "/{user}") {
		owner, err := a.target(r)
		return owner, nil, err
	}
	s, err := a.sharedServer(r, "user")
	return s.Owner, &s.Name, err
}

// listShares answers with the shares of a user's servers, or of one of them.
func (a *API) listShares(w http.ResponseWriter, r *http.Request, _ *account.Caller) error {
	owner, server, err := a.sharedBy(r)
	if err != nil {
		return err
	}
	shares, err := a.Accounts.Shares(r.Context(), owner, server)
	if err != nil {
		return err
	}
	return a.writeShares(w, r, shares)
}

// shareBody says with whom to share, and what.
type shareBody struct {
	User   *string  `json:"user"`
	Group  *string  `json:"group"`
	Scopes []string `json:"scopes"`
}

// createShare lets a user or group do something with a server. Nobody gives what they do not have.
func (a *API) createShare(w http.ResponseWriter, r *http.Request, c *account.Caller, s account.SharedServer) error {
	with, scopes, err := a.readShare(w, r, c, s)
	if hub.KindOf(err) == hub.NotFound {
		err = hub.Errorf(hub.Invalid, "%s", hub.MessageOf(err)) // not a 404, which would be about the server
	}
	if err != nil {
		return err
	}
	if scopes, err = a.sharedScopes(c, s, scopes); err != nil {
		return err
	}
	share, err := a.Accounts.Share(r.Context(), s, with, scopes)
	if err != nil {
		return err
	}
	a.Servers.Reshare(r.Context(), s.Owner.Name)
	return a.writeShare(w, r, &share)
}

// patchShare takes scopes of a share away, all if it names none. What is open by them is cut.
func (a *API) patchShare(w http.ResponseWriter, r *http.Request, c *account.Caller, s account.SharedServer) error {
	with, scopes, err := a.readShare(w, r, c, s)
	if hub.KindOf(err) == hub.NotFound {
		return web.JSON(w, http.StatusOK, map[string]any{}) // nothing is shared with who is gone
	}
	if err != nil {
		return err
	}
	if len(scopes) > 0 {
		if scopes, err = a.Accounts.ShareScopes(s, scopes); err != nil {
			return err
		}
	}
	left, err := a.Accounts.Unshare(r.Context(), s, with, scopes)
	if err != nil && hub.KindOf(err) != hub.NotFound {
		return err
	}
	a.Servers.Reshare(r.Context(), s.Owner.Name)
	if left == nil {
		return web.JSON(w, http.StatusOK, map[string]any{})
	}
	return a.writeShare(w, r, left)
}

// deleteShares ends all shares of a server.
func (a *API) deleteShares(w http.ResponseWriter, r *http.Request, _ *account.Caller, s account.SharedServer) error {
	if err := a.Accounts.UnshareAll(r.Context(), s.Owner, &s.Name); err != nil {
		return err
	}
	a.Servers.Reshare(r.Context(), s.Owner.Name)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// readShare reads whom a request is about. Whether a user or group exists is only for those to learn who may read its name.
func (a *API) readShare(w http.ResponseWriter, r *http.Request, c *account.Caller, s account.SharedServer) (account.With, []string, error) {
	var body shareBody
	if err := readKnown(w, r, &body, "user", "group", "scopes"); err != nil {
		return account.With{}, nil, err
	}
	if (body.User == nil) == (body.Group == nil) {
		return account.With{}, nil, hub.Errorf(hub.Invalid, "Name exactly one of user and group to share with.")
	}
	if body.Group != nil {
		return a.withGroup(r, c, *body.Group, body.Scopes)
	}
	name, err := hub.ParseUserName(*body.User)
	if err != nil {
		return account.With{}, nil, err
	}
	u, err := a.Accounts.Get(r.Context(), name)
	if err != nil && hub.KindOf(err) != hub.NotFound {
		return account.With{}, nil, err
	}
	if !c.Scopes.Allows("read:users:name", access.Resource{User: string(name), UserGroups: u.Groups}) {
		return account.With{}, nil, hub.Errorf(hub.Forbidden, "To share with user %s you need read:users:name on them.", name)
	}
	switch {
	case err != nil:
		return account.With{}, nil, err
	case u.ID == s.Owner.ID:
		return account.With{}, nil, hub.Errorf(hub.Invalid, "The server is %s's own.", name)
	}
	return account.With{User: &u}, body.Scopes, nil
}

func (a *API) withGroup(r *http.Request, c *account.Caller, group string, scopes []string) (account.With, []string, error) {
	if _, err := hub.ParseGroupName(group); err != nil {
		return account.With{}, nil, err
	}
	if !c.Scopes.Allows("read:groups:name", access.Resource{Group: group}) {
		return account.With{}, nil, hub.Errorf(hub.Forbidden, "To share with group %s you need read:groups:name on it.", hub.Clip(group))
	}
	_, err := a.Accounts.Group(r.Context(), group)
	return account.With{Group: group}, scopes, err
}

// sharedScopes are the scopes that the caller shares. Nobody shares what they do not have on the server.
func (a *API) sharedScopes(c *account.Caller, s account.SharedServer, raw []string) ([]string, error) {
	scopes, err := a.Accounts.ShareScopes(s, raw)
	for _, scope := range scopes {
		if p, err := access.Parse(scope); err != nil || !c.Scopes.Allows(p.Name, serverOf(s.Owner, s.Name)) {
			return nil, hub.Errorf(hub.Forbidden, "You cannot share the scope %s, which you do not have.", scope)
		}
	}
	return scopes, err
}

// sharedWithUser answers with what is shared with a user, also by groups.
func (a *API) sharedWithUser(w http.ResponseWriter, r *http.Request, _ *account.Caller) error {
	u, err := a.target(r)
	if err != nil {
		return err
	}
	shares, err := a.Accounts.SharedWith(r.Context(), account.With{User: &u}, u.Groups...)
	if err != nil {
		return err
	}
	return a.writeShares(w, r, shares)
}

func (a *API) sharedWithGroup(w http.ResponseWriter, r *http.Request, _ *account.Caller) error {
	shares, err := a.Accounts.SharedWith(r.Context(), account.With{Group: r.PathValue("group")})
	if err != nil {
		return err
	}
	return a.writeShares(w, r, shares)
}

// withOfPath is the user or group that a request's path begins with.
func (a *API) withOfPath(r *http.Request) (account.With, error) {
	if group := r.PathValue("group"); group != "" {
		return account.With{Group: group}, nil
	}
	u, err := a.target(r)
	return account.With{User: &u}, err
}

// shared is the server that a request's path names as shared with the user or group that the path begins with.
func (a *API) shared(r *http.Request) (account.With, account.SharedServer, error) {
	with, err := a.withOfPath(r)
	if err != nil {
		return with, account.SharedServer{}, err
	}
	s, err := a.sharedServer(r, "owner")
	return with, s, err
}

// getShared answers with the share of one server with a user or group.
func (a *API) getShared(w http.ResponseWriter, r *http.Request, _ *account.Caller) error {
	with, s, err := a.shared(r)
	if err != nil {
		return err
	}
	shares, err := a.Accounts.SharedWith(r.Context(), with)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(shares, func(sh hub.Share) bool { return sh.OwnerID == s.Owner.ID && sh.Server == s.Name })
	if i < 0 {
		return hub.Errorf(hub.NotFound, "No such share.")
	}
	return a.writeShare(w, r, &shares[i])
}

// leaveShare ends the share of one server with a user or group.
func (a *API) leaveShare(w http.ResponseWriter, r *http.Request, _ *account.Caller) error {
	with, s, err := a.shared(r)
	if err == nil {
		_, err = a.Accounts.Unshare(r.Context(), s, with, nil)
	}
	if err != nil {
		return err
	}
	a.Servers.Reshare(r.Context(), s.Owner.Name)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (a *API) writeShare(w http.ResponseWriter, r *http.Request, sh *hub.Share) error {
	m, err := a.shareModel(r, sh)
	if err != nil {
		return err
	}
	return web.JSON(w, http.StatusOK, m)
}

// writeShares answers with a page of shares, the oldest first, which is always in JupyterHub's envelope.
func (a *API) writeShares(w http.ResponseWriter, r *http.Request, shares []hub.Share) error {
	slices.SortStableFunc(shares, func(x, y hub.Share) int { return x.Created.Compare(y.Created) })
	return writeEnvelope(w, r, shares, func(sh hub.Share) (map[string]any, error) { return a.shareModel(r, &sh) })
}

// writeEnvelope answers with a page of a list that is always in JupyterHub's envelope.
func writeEnvelope[T any](w http.ResponseWriter, r *http.Request, all []T, model func(T) (map[string]any, error)) error {
	offset, limit, _, err := window(r)
	if err != nil {
		return err
	}
	items := []map[string]any{}
	for i := offset; i < len(all) && i < offset+limit; i++ {
		m, err := model(all[i])
		if err != nil {
			return err
		}
		items = append(items, m)
	}
	return web.JSON(w, http.StatusOK, map[string]any{"items": items, "_pagination": pageInfo(r, offset, limit, len(all))})
}

func (a *API) shareModel(r *http.Request, sh *hub.Share) (map[string]any, error) {
	server, err := a.sharedModel(r, sh.Owner, sh.Server)
	m := map[string]any{"server": server, "scopes": sh.Scopes, "user": nil, "group": nil, "kind": "user", "created_at": timestamp(sh.Created)}
	if sh.Group != "" {
		m["kind"], m["group"] = "group", map[string]any{"name": sh.Group}
	} else {
		m["user"] = map[string]any{"name": sh.User}
	}
	return m, err
}

// sharedModel is the server of a share.
func (a *API) sharedModel(r *http.Request, owner hub.UserName, name hub.ServerName) (map[string]any, error) {
	s, err := a.Servers.Get(r.Context(), owner, name)
	m := map[string]any{"user": map[string]any{"name": owner}, "name": name, "url": a.url(&s), "full_url": nil, "ready": s.State == hub.Running}
	if a.Hosts != nil {
		m["full_url"] = a.url(&s)
	}
	return m, err
}

// expiry is when a share code ends: a day from now unless the client wants something else.
func expiry(seconds *int64) (time.Duration, error) {
	const shortest, usual, longest = 60, 86400, 31536000
	if seconds == nil {
		return usual * time.Second, nil
	}
	if *seconds < shortest || *seconds > longest {
		return 0, hub.Errorf(hub.Invalid, "expires_in must be a number of seconds from %d to %d.", shortest, longest)
	}
	return time.Duration(*seconds) * time.Second, nil
}
