package api

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/edgehub/edgehub/controlplane/access"
	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/web"
)

// listUsers answers with the users that the caller may list, as a bare list or, if the client accepts it, in pages.
func (a *API) listUsers(w http.ResponseWriter, r *http.Request, c *account.Caller) error {
	sp, err := readSpan(r)
	if err != nil {
		return err
	}
	q, err := a.userQuery(r, c, sp.Window)
	if err != nil {
		return err
	}
	list, err := a.Accounts.ListUsers(r.Context(), q)
	if err != nil {
		return err
	}
	servers, err := a.Servers.OfUsers(r.Context(), list.Items, withStopped(r))
	if err != nil {
		return err
	}
	models := make([]*userDoc, 0, len(list.Items))
	for _, u := range list.Items {
		if m := a.userModel(u, servers[u.Name], c.Scopes, withStopped(r)); m != nil {
			models = append(models, m)
		}
	}
	return writePage(w, r, sp, models, list.Total, list.Next)
}

// userQuery reads which users a request asks for.
func (a *API) userQuery(r *http.Request, c *account.Caller, win account.Window) (account.Query, error) {
	q := r.URL.Query()
	query := account.Query{Window: win, Sort: account.ByID, State: q.Get("state"), Name: strings.ToLower(q.Get("name_filter"))}
	switch query.State {
	case "", account.StateActive, account.StateReady, account.StateInactive:
	default:
		return query, hub.Errorf(hub.Invalid, "Unrecognized state filter: '%s'", hub.Clip(query.State))
	}
	if sort := q.Get("sort"); sort != "" {
		query.Sort, query.Reverse = strings.CutPrefix(sort, "-")
	}
	switch query.Sort {
	case account.ByID, account.ByName, account.ByActivity:
	default:
		return query, hub.Errorf(hub.Invalid, "Unrecognized sort: '%s'; it is one of id, name, last_activity, and may begin with a -", hub.Clip(q.Get("sort")))
	}
	if c.Scopes.Has("list:users") {
		return query, nil
	}
	var err error
	query.Limited = true
	query.Only, err = a.listable(r, c)
	return query, err
}

// listable are the users whom a caller may list whose scope list:users has filters.
func (a *API) listable(r *http.Request, c *account.Caller) ([]hub.UserName, error) {
	names := []hub.UserName{}
	for _, name := range c.Scopes.FilteredTo("list:users", access.FilterUser) {
		names = append(names, hub.UserName(name))
	}
	for _, group := range c.Scopes.FilteredTo("list:users", access.FilterGroup) {
		members, err := a.Accounts.Members(r.Context(), group)
		if err != nil {
			return nil, err
		}
		names = append(names, members...)
	}
	return names, nil
}

func withStopped(r *http.Request) bool {
	q := r.URL.Query()
	v := strings.ToLower(q.Get("include_stopped_servers")) // Python says False
	return q.Has("include_stopped_servers") && v != "0" && v != "false"
}

// maxCreate is how many users one request may create.
const maxCreate = 10_000

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
		return hub.Errorf(hub.Invalid, "usernames: at most %d users can be created at once.", maxCreate)
	}
	if err := a.mayGrantAdmin(r, c, body.Admin); err != nil {
		return err
	}
	names, err := parseNames(body.Usernames)
	if err != nil {
		return err
	}
	users, err := a.Accounts.CreateMany(r.Context(), names, body.Admin)
	if err != nil {
		return notAll(err, len(users), len(names))
	}
	if len(users) == 0 {
		return hub.Errorf(hub.Conflict, "All %d users already exist", len(names))
	}
	created := make([]*userDoc, len(users))
	for i, u := range users {
		created[i] = a.userModel(u, nil, c.Scopes, false)
	}
	return web.JSON(w, http.StatusCreated, created)
}

// notAll is the answer to a request that was done in part. It can be sent again: what exists is left as it is.
func notAll(err error, done, all int) error {
	if done == 0 || hub.MessageOf(err) == "" {
		return err
	}
	return hub.WithCause(hub.Errorf(hub.KindOf(err), "%s %d of %d users were created; send the request again for the others.", hub.MessageOf(err), done, all), err)
}

func parseNames(raw []string) ([]hub.UserName, error) {
	var names []hub.UserName
	var bad []string
	seen := map[hub.UserName]bool{}
	for _, s := range raw {
		name, err := hub.ParseUserName(s)
		if err != nil {
			bad = append(bad, hub.Clip(s))
			continue
		}
		if !seen[name] {
			names = append(names, name)
		}
		seen[name] = true
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
	if err := readKnown(w, r, &body, "admin", "password"); err != nil {
		return err
	}
	if err := a.mayGrantAdmin(r, c, body.Admin); err != nil {
		return err
	}
	name, err := hub.ParseUserName(r.PathValue("user"))
	if err == nil && string(name) != r.PathValue("user") { // the address would not be the new user's
		err = hub.Errorf(hub.Invalid, "Invalid username: %s. Names of users are in lower case: %s", r.PathValue("user"), name)
	}
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

// patchUser changes name, admin, groups or password.
func (a *API) patchUser(w http.ResponseWriter, r *http.Request, c *account.Caller) error {
	u, err := a.target(r)
	if err != nil {
		return err
	}
	var body map[string]json.RawMessage
	if err := web.ReadJSON(w, r, &body); err != nil {
		return err
	}
	if body == nil {
		return hub.Errorf(hub.Invalid, "The body must be a JSON object that says what to change.")
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
		a.Servers.Regroup()
	}
	return a.writeUser(w, r, c, u)
}

// mayChange refuses changes by which the caller would get more than it has: who sets a password can sign in with it, and
// groups and roles give rights.
func (a *API) mayChange(r *http.Request, c *account.Caller, u hub.User, change account.Change) error {
	if err := a.mayGrantAdmin(r, c, u.Admin || change.Admin != nil && *change.Admin); err != nil {
		return err
	}
	if change.Name != nil && !c.Scopes.Allows("admin:users", access.Resource{User: string(*change.Name), UserGroups: u.Groups}) {
		return hub.Errorf(hub.Forbidden, "name: the user would be outside of what you may administer")
	}
	if change.Groups != nil {
		if err := a.mayRegroup(r, c, u.Groups, *change.Groups); err != nil {
			return err
		}
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

// mayRegroup asks for the scope groups on each group that a user joins or leaves, and for admin:groups where there is none yet.
func (a *API) mayRegroup(r *http.Request, c *account.Caller, before, after []string) error {
	for _, name := range slices.Concat(before, after) {
		if slices.Contains(before, name) && slices.Contains(after, name) {
			continue
		}
		res := access.Resource{Group: name}
		if !c.Scopes.Allows("groups", res) {
			return hub.Errorf(hub.Forbidden, "groups: you may not change the members of %s", hub.Clip(name))
		}
		_, err := a.Accounts.Group(r.Context(), name)
		if hub.KindOf(err) == hub.NotFound && c.Scopes.Allows("admin:groups", res) {
			continue // it is made
		}
		if hub.KindOf(err) == hub.NotFound {
			return hub.Errorf(hub.Invalid, "groups: %s", hub.MessageOf(err))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// parseChange reads the body of a PATCH. null leaves a thing as it is.
func parseChange(body map[string]json.RawMessage) (account.Change, error) {
	var change account.Change
	for key, raw := range body {
		var err error
		switch key {
		case "name":
			change.Name, err = parseNewName(raw)
		case "admin":
			err = wrongType(key, json.Unmarshal(raw, &change.Admin))
		case "groups":
			change.Groups, err = parseGroupNames(raw)
		case "roles":
			err = wrongType(key, json.Unmarshal(raw, &change.Roles))
		case "password":
			err = wrongType(key, json.Unmarshal(raw, &change.Password))
		default:
			err = hub.Errorf(hub.Invalid, "Invalid JSON keys: %s can not be changed here", hub.Clip(key))
		}
		if err != nil {
			return change, err
		}
	}
	return change, nil
}

func wrongType(key string, err error) error {
	if err == nil {
		return nil
	}
	return hub.Errorf(hub.Invalid, "%s has the wrong type", key)
}

func parseNewName(raw json.RawMessage) (*hub.UserName, error) {
	var text *string
	if err := json.Unmarshal(raw, &text); err != nil || text == nil {
		return nil, wrongType("name", err)
	}
	name, err := hub.ParseUserName(*text)
	return &name, err
}

// maxUserGroups is more groups than an edge token has room for, however short their names are.
const maxUserGroups = 500

func parseGroupNames(raw json.RawMessage) (*[]string, error) {
	var names *[]string
	if err := json.Unmarshal(raw, &names); err != nil || names == nil {
		return nil, wrongType("groups", err)
	}
	if len(*names) > maxUserGroups { // before any of them is looked for
		return nil, hub.Errorf(hub.Invalid, "groups: a user can be in at most %d.", maxUserGroups)
	}
	for _, name := range *names {
		if _, err := hub.ParseGroupName(name); err != nil {
			return nil, err
		}
	}
	return names, nil
}
