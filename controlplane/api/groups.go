package api

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"

	"github.com/edgehub/edgehub/controlplane/access"
	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/web"
)

// maxGroupMembers is how many users one request may put into groups or take out of them.
const maxGroupMembers = 1000

// maxProperties is how large the properties of a group may be, in bytes.
const maxProperties = 64 << 10

// group is the group that a request's path names, or a NotFound error.
func (a *API) group(r *http.Request) (hub.Group, error) {
	return a.Accounts.Group(r.Context(), r.PathValue("group"))
}

// groupModel is a group as the holder of scopes may see it. It is nil if nothing of it is visible.
func (a *API) groupModel(r *http.Request, g hub.Group, scopes access.Set) (map[string]any, error) {
	res := access.Resource{Group: g.Name}
	m := map[string]any{"kind": "group", "name": g.Name}
	if scopes.Allows("read:groups", res) {
		users, err := a.Accounts.Members(r.Context(), g.Name)
		if err != nil {
			return nil, err
		}
		m["users"], m["properties"] = orEmpty(users), properties(g)
	}
	if scopes.Allows("read:roles:groups", res) {
		m["roles"] = orEmpty(a.Accounts.RolesOfGroup(g.Name))
	}
	if len(m) == 2 && !scopes.Allows("read:groups:name", res) {
		return nil, nil
	}
	return m, nil
}

func properties(g hub.Group) json.RawMessage {
	if g.Properties == nil {
		return json.RawMessage("{}")
	}
	return g.Properties
}

func (a *API) writeGroup(w http.ResponseWriter, r *http.Request, c *account.Caller, status int, g hub.Group) error {
	m, err := a.groupModel(r, g, c.Scopes)
	if err != nil {
		return err
	}
	return web.JSON(w, status, m)
}

// getGroup answers with one group.
func (a *API) getGroup(w http.ResponseWriter, r *http.Request, c *account.Caller) error {
	g, err := a.group(r)
	if err != nil {
		return err
	}
	return a.writeGroup(w, r, c, http.StatusOK, g)
}

// createGroups makes several groups, all with the same members.
func (a *API) createGroups(w http.ResponseWriter, r *http.Request, c *account.Caller) error {
	var body struct {
		Groups []string `json:"groups"`
		Users  []string `json:"users"`
	}
	if err := readKnown(w, r, &body, "groups", "users"); err != nil {
		return err
	}
	if len(body.Groups) == 0 {
		return hub.Errorf(hub.Invalid, "Must specify at least one group to create")
	}
	if len(body.Groups)*max(len(body.Users), 1) > maxGroupMembers {
		return hub.Errorf(hub.Invalid, "groups and users: at most %d memberships can be made at once.", maxGroupMembers)
	}
	groups, err := a.makeGroups(r, c, body.Groups, body.Users)
	if err != nil {
		return err
	}
	models := make([]map[string]any, len(groups))
	for i, g := range groups {
		if models[i], err = a.groupModel(r, g, c.Scopes); err != nil {
			return err
		}
	}
	return web.JSON(w, http.StatusCreated, models)
}

// createGroup makes one group, with members if the body names them.
func (a *API) createGroup(w http.ResponseWriter, r *http.Request, c *account.Caller) error {
	var body struct {
		Users      []string        `json:"users"`
		Properties json.RawMessage `json:"properties"`
	}
	if err := readKnown(w, r, &body, "users", "properties"); err != nil {
		return err
	}
	if body.Properties != nil {
		if err := checkProperties(body.Properties); err != nil {
			return err
		}
	}
	if len(body.Users) > maxGroupMembers {
		return tooManyMembers()
	}
	groups, err := a.makeGroups(r, c, []string{r.PathValue("group")}, body.Users)
	if err == nil && body.Properties != nil {
		groups[0], err = a.Accounts.SetGroupProperties(r.Context(), groups[0].Name, body.Properties)
	}
	if err != nil {
		return err
	}
	return a.writeGroup(w, r, c, http.StatusCreated, groups[0])
}

// makeGroups checks everything first, so that what it refuses leaves nothing behind.
func (a *API) makeGroups(r *http.Request, c *account.Caller, groups, users []string) ([]hub.Group, error) {
	for _, name := range groups {
		if _, err := hub.ParseGroupName(name); err != nil {
			return nil, err
		}
	}
	members, err := memberNames(users)
	if err != nil {
		return nil, err
	}
	if err := a.Accounts.MayFill(r.Context(), c, groups...); len(members) > 0 && err != nil {
		return nil, err
	}
	made, err := a.Accounts.CreateGroups(r.Context(), groups, members)
	a.Servers.Regroup()
	return made, err
}

// memberNames are names of users in a body. One that nobody can have is answered as one that nobody has.
func memberNames(raw []string) ([]hub.UserName, error) {
	names := make([]hub.UserName, len(raw))
	for i, s := range raw {
		name, err := hub.ParseUserName(s)
		if err != nil || string(name) != s {
			return nil, hub.Errorf(hub.Invalid, "No such user: %s", hub.Clip(s))
		}
		names[i] = name
	}
	return names, nil
}

func tooManyMembers() error {
	return hub.Errorf(hub.Invalid, "users: at most %d at once.", maxGroupMembers)
}

// deleteGroup removes a group; its members stay.
func (a *API) deleteGroup(w http.ResponseWriter, r *http.Request, _ *account.Caller) error {
	err := a.Accounts.DeleteGroup(r.Context(), r.PathValue("group"))
	a.Servers.Regroup()
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// addMembers and removeMembers change who is in a group. Both can be repeated.
func (a *API) addMembers(w http.ResponseWriter, r *http.Request, c *account.Caller) error {
	return a.changeMembers(w, r, c, "add", a.Accounts.AddMembers)
}

func (a *API) removeMembers(w http.ResponseWriter, r *http.Request, c *account.Caller) error {
	return a.changeMembers(w, r, c, "remove", a.Accounts.RemoveMembers)
}

// memberChange is account.Accounts' AddMembers or RemoveMembers.
type memberChange func(ctx context.Context, group string, users []hub.UserName) error

func (a *API) changeMembers(w http.ResponseWriter, r *http.Request, c *account.Caller, verb string, change memberChange) error {
	g, err := a.group(r)
	if err != nil {
		return err
	}
	var body struct {
		Users []string `json:"users"`
	}
	if err := readKnown(w, r, &body, "users"); err != nil {
		return err
	}
	if body.Users == nil {
		return hub.Errorf(hub.Invalid, "Must specify users to %s", verb)
	}
	if len(body.Users) > maxGroupMembers {
		return tooManyMembers()
	}
	users, err := memberNames(body.Users)
	if err != nil {
		return err
	}
	if verb == "add" {
		if err := a.Accounts.MayFill(r.Context(), c, g.Name); err != nil {
			return err
		}
	}
	err = change(r.Context(), g.Name, users)
	a.Servers.Regroup()
	if err != nil {
		return err
	}
	return a.writeGroup(w, r, c, http.StatusOK, g)
}

// putProperties replaces the properties of a group with the body, which is any JSON object.
func (a *API) putProperties(w http.ResponseWriter, r *http.Request, c *account.Caller) error {
	var body json.RawMessage
	if err := web.ReadJSON(w, r, &body); err != nil {
		return err
	}
	if err := checkProperties(body); err != nil {
		return err
	}
	g, err := a.Accounts.SetGroupProperties(r.Context(), r.PathValue("group"), body)
	if err != nil {
		return err
	}
	return a.writeGroup(w, r, c, http.StatusOK, g)
}

func checkProperties(raw json.RawMessage) error {
	if !bytes.HasPrefix(bytes.TrimSpace(raw), []byte("{")) {
		return hub.Errorf(hub.Invalid, "Must specify properties as a JSON object")
	}
	if len(raw) > maxProperties {
		return hub.Errorf(hub.Invalid, "properties are too large: at most %d KiB", maxProperties>>10)
	}
	return nil
}

// listGroups answers with the groups that the caller may list, in the order of names.
func (a *API) listGroups(w http.ResponseWriter, r *http.Request, c *account.Caller) error {
	sp, err := readSpan(r)
	if err != nil {
		return err
	}
	list, err := a.findGroups(r, c, sp.Window)
	if err != nil {
		return err
	}
	models := []map[string]any{}
	for _, g := range list.Items {
		m, err := a.groupModel(r, g, c.Scopes)
		if err != nil {
			return err
		}
		models = append(models, m)
	}
	return writePage(w, r, sp, models, list.Total, list.Next)
}

// findGroups is one page of groups: of all, or of those that the scope list:groups names.
func (a *API) findGroups(r *http.Request, c *account.Caller, win account.Window) (account.Page[hub.Group], error) {
	if c.Scopes.Has("list:groups") {
		return a.Accounts.ListGroups(r.Context(), win)
	}
	return a.Accounts.ListGroupsOf(r.Context(), c.Scopes.FilteredTo("list:groups", access.FilterGroup), win)
}
