package api

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/edgehub/edgehub/controlplane/access"
	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/web"
)

const (
	pageDefault = 50
	pageMax     = 200
	pageType    = "application/jupyterhub-pagination+json"
)

// listUsers answers with the users that the caller may list, in the order of names, as a bare list or, if the client
// accepts it, in pages.
func (a *API) listUsers(w http.ResponseWriter, r *http.Request, c *account.Caller) error {
	offset, limit, paged, err := window(r)
	if err != nil {
		return err
	}
	users, err := a.Accounts.All(r.Context())
	if err != nil {
		return err
	}
	byUser, err := a.serversByUser(r)
	if err != nil {
		return err
	}
	models := []map[string]any{}
	for _, u := range users {
		if !c.Scopes.Allows("list:users", access.Resource{User: string(u.Name), UserGroups: u.Groups}) || !matches(r, u, byUser[u.Name]) {
			continue
		}
		if m := a.userModel(u, byUser[u.Name], c.Scopes, withStopped(r)); m != nil {
			models = append(models, m)
		}
	}
	total := len(models)
	models = models[min(offset, total):min(offset+limit, total)]
	if !paged {
		return web.JSON(w, http.StatusOK, models)
	}
	return web.JSON(w, http.StatusOK, map[string]any{"items": models, "_pagination": pageInfo(r, offset, limit, total)})
}

func (a *API) serversByUser(r *http.Request) (map[hub.UserName][]hub.Server, error) {
	byUser := map[hub.UserName][]hub.Server{}
	err := a.Servers.All(r.Context(), func(s hub.Server) bool {
		byUser[s.User] = append(byUser[s.User], s)
		return true
	})
	return byUser, err
}

// matches applies the query's name_filter.
func matches(r *http.Request, u hub.User, servers []hub.Server) bool {
	q := r.URL.Query()
	if !strings.Contains(string(u.Name), strings.ToLower(q.Get("name_filter"))) {
		return false
	}
	active, ready := false, false
	for i := range servers {
		active = active || servers[i].Active()
		ready = ready || servers[i].State == hub.Running
	}
	switch q.Get("state") {
	case "active":
		return active
	case "ready":
		return ready
	case "inactive":
		return !active
	}
	return true
}

func withStopped(r *http.Request) bool {
	q := r.URL.Query()
	v := q.Get("include_stopped_servers")
	return q.Has("include_stopped_servers") && v != "0" && v != "false"
}

// window reads offset and limit. paged says that the client accepts JupyterHub's envelope.
func window(r *http.Request) (offset, limit int, paged bool, err error) {
	for _, accept := range strings.Split(r.Header.Get("Accept"), ",") {
		paged = paged || strings.EqualFold(strings.TrimSpace(accept), pageType)
	}
	limit = pageMax
	if paged {
		limit = pageDefault
	}
	q := r.URL.Query()
	switch q.Get("state") {
	case "", "active", "ready", "inactive":
	default:
		return 0, 0, false, hub.Errorf(hub.Invalid, "Unrecognized state filter: '%s'", hub.Clip(q.Get("state")))
	}
	for name, value := range map[string]*int{"offset": &offset, "limit": &limit} {
		if !q.Has(name) {
			continue
		}
		n, err := strconv.Atoi(q.Get(name))
		if err != nil {
			return 0, 0, false, hub.Errorf(hub.Invalid, "Invalid argument type, offset and limit must be integers")
		}
		*value = min(max(n, -n, 0), math.MaxInt32) // no more users than that, and no overflow
	}
	return offset, min(max(limit, 1), pageMax), paged, nil
}

// pageInfo is the envelope's _pagination, whose next.url clients follow as it is.
func pageInfo(r *http.Request, offset, limit, total int) map[string]any {
	info := map[string]any{"offset": offset, "limit": limit, "total": total, "next": nil}
	if offset+limit >= total {
		return info
	}
	q := r.URL.Query()
	q.Set("offset", strconv.Itoa(offset+limit))
	q.Set("limit", strconv.Itoa(limit))
	scheme := "http"
	if web.Secure(r) {
		scheme = "https"
	}
	info["next"] = map[string]any{"offset": offset + limit, "limit": limit, "url": fmt.Sprintf("%s://%s%s?%s", scheme, r.Host, web.Base(r).Path(r.URL.Path), q.Encode())}
	return info
}

// maxCreate is how many users one request may create.
const maxCreate = 1000

// createUsers makes several users and answers with those that did not exist.
func (a *API) createUsers(w http.ResponseWriter, r *http.Request, c *account.Caller) error {
	var body struct {
		Usernames []string `json:"usernames"`
		Admin     bool     `json:"admin"`
	}
	if err := web.ReadJSON(w, r, &body); err != nil {
		return err
	}
	if len(body.Usernames) == 0 {
		return hub.Errorf(hub.Invalid, "Must specify at least one user to create")
	}
	if len(body.Usernames) > maxCreate {
		return hub.Errorf(hub.Invalid, "At most %d users can be created at once", maxCreate)
	}
	if err := a.mayGrantAdmin(r, c, body.Admin); err != nil {
		return err
	}
	names, err := parseNames(body.Usernames)
	if err != nil {
		return err
	}
	created := []map[string]any{}
	for _, name := range names {
		u, err := a.Accounts.Create(r.Context(), account.NewUser{Name: name, Admin: body.Admin})
		if hub.KindOf(err) == hub.Conflict {
			continue
		}
		if err != nil {
			return err
		}
		created = append(created, a.userModel(u, nil, c.Scopes, false))
	}
	if len(created) == 0 {
		return hub.Errorf(hub.Conflict, "All %d users already exist", len(names))
	}
	return web.JSON(w, http.StatusCreated, created)
}

func parseNames(raw []string) ([]hub.UserName, error) {
	var names []hub.UserName
	var bad []string
	for _, s := range raw {
		name, err := hub.ParseUserName(s)
		if err != nil {
			bad = append(bad, hub.Clip(s))
			continue
		}
		names = append(names, name)
	}
	switch len(bad) {
	case 0:
		return names, nil
	case 1:
		return nil, hub.Errorf(hub.Invalid, "Invalid username: %s", bad[0])
	}
	return nil, hub.Errorf(hub.Invalid, "Invalid usernames: %s", strings.Join(bad[:min(len(bad), 10)], ", "))
}

// mayGrantAdmin refuses to make or change an administrator to all but administrators, and to their tokens that may do less:
// nobody grants what they do not hold (threat T78).
func (a *API) mayGrantAdmin(r *http.Request, c *account.Caller, grant bool) error {
	if !grant {
		return nil
	}
	all, err := a.holdsAll(r, c, hub.User{Name: "admin", Admin: true})
	if err == nil && !(all && c.Admin()) {
		err = hub.Errorf(hub.Forbidden, "Only admins can grant admin permissions")
	}
	return err
}

// holdsAll reports whether the caller may do all that u may.
func (a *API) holdsAll(r *http.Request, c *account.Caller, u hub.User) (bool, error) {
	scopes, err := a.Accounts.UserScopes(r.Context(), u)
	return len(a.Accounts.Excess(r.Context(), scopes, c.Scopes)) == 0, err
}

// createUser makes one user. Besides JupyterHub's admin, the body may have a password.
func (a *API) createUser(w http.ResponseWriter, r *http.Request, c *account.Caller) error {
	var body struct {
		Admin    bool   `json:"admin"`
		Password string `json:"password"`
	}
	if err := web.ReadJSON(w, r, &body); err != nil {
		return err
	}
	if err := a.mayGrantAdmin(r, c, body.Admin); err != nil {
		return err
	}
	name, err := hub.ParseUserName(r.PathValue("user"))
	if err != nil {
		return err
	}
	u, err := a.Accounts.Create(r.Context(), account.NewUser{Name: name, Admin: body.Admin, Password: body.Password})
	if err != nil {
		return err
	}
	return web.JSON(w, http.StatusCreated, a.userModel(u, nil, c.Scopes, false))
}

// getUser answers with one user.
func (a *API) getUser(w http.ResponseWriter, r *http.Request, c *account.Caller) error {
	u, err := a.target(r)
	if err != nil {
		return err
	}
	return a.writeUser(w, r, c, u)
}

func (a *API) writeUser(w http.ResponseWriter, r *http.Request, c *account.Caller, u hub.User) error {
	servers, err := a.Servers.OfUser(r.Context(), u.Name)
	if err != nil {
		return err
	}
	return web.JSON(w, http.StatusOK, a.userModel(u, servers, c.Scopes, withStopped(r)))
}

// patchUser changes admin, groups or password. Names cannot be changed yet.
func (a *API) patchUser(w http.ResponseWriter, r *http.Request, c *account.Caller) error {
	u, err := a.target(r)
	if err != nil {
		return err
	}
	var body map[string]json.RawMessage
	if err := web.ReadJSON(w, r, &body); err != nil {
		return err
	}
	change, err := parseChange(body)
	if err != nil {
		return err
	}
	if err := a.mayChange(r, c, u, change); err != nil {
		return err
	}
	if u, err = a.Accounts.Update(r.Context(), u.Name, change); err != nil {
		return err
	}
	if change.Groups != nil {
		a.Servers.Regroup(r.Context(), u.Name)
	}
	return a.writeUser(w, r, c, u)
}

// mayChange refuses changes by which the caller would get more than it has: who sets a password can sign in with it, and
// groups and roles give rights.
func (a *API) mayChange(r *http.Request, c *account.Caller, u hub.User, change account.Change) error {
	if err := a.mayGrantAdmin(r, c, u.Admin || change.Admin != nil && *change.Admin); err != nil {
		return err
	}
	if err := a.Accounts.MayGive(r.Context(), c, u, change); err != nil || change.Password == nil {
		return err
	}
	all, err := a.holdsAll(r, c, u)
	if err == nil && !all {
		err = hub.Errorf(hub.Forbidden, "You cannot set the password of a user who may do more than you")
	}
	return err
}

func parseChange(body map[string]json.RawMessage) (account.Change, error) {
	var change account.Change
	for key, raw := range body {
		var err error
		switch key {
		case "admin":
			err = json.Unmarshal(raw, &change.Admin)
		case "groups":
			err = json.Unmarshal(raw, &change.Groups)
		case "roles":
			err = json.Unmarshal(raw, &change.Roles)
		case "password":
			err = json.Unmarshal(raw, &change.Password)
		default:
			return change, hub.Errorf(hub.Invalid, "Invalid JSON keys: %s can not be changed here", hub.Clip(key))
		}
		if err != nil {
			return change, hub.Errorf(hub.Invalid, "%s has the wrong type", key)
		}
	}
	return change, nil
}
