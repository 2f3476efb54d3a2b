package api

import (
	"net/http"
	"slices"

	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/web"
)

// Roles by API are ours; JupyterHub has them in its configuration only (jupyterhub#3858). Whoever changes a role, or who has it,
// must hold all that it gives.

// roleModel is a role as clients see it. Its users are a list of their own, because there may be very many.
func roleModel(r hub.Role) map[string]any {
	managed := "api"
	switch {
	case r.Config:
		managed = "config"
	case hub.IsDefaultRole(r.Name):
		managed = "default"
	}
	return map[string]any{"kind": "role", "name": r.Name, "description": r.Description, "scopes": orEmpty(r.Scopes),
		"groups": orEmpty(r.Groups), "services": orEmpty(r.Services), "managed_by": managed}
}

func (a *API) listRoles(w http.ResponseWriter, r *http.Request, _ *account.Caller) error {
	roles, err := a.Accounts.Roles(r.Context())
	if err != nil {
		return err
	}
	models := []map[string]any{}
	for _, role := range roles {
		models = append(models, roleModel(role))
	}
	return web.JSON(w, http.StatusOK, models)
}

func (a *API) getRole(w http.ResponseWriter, r *http.Request, _ *account.Caller) error {
	role, err := a.Accounts.Role(r.Context(), r.PathValue("role"))
	if err != nil {
		return err
	}
	return web.JSON(w, http.StatusOK, roleModel(role))
}

// roleBody is what a client says of a role. What is missing stays, or is empty in a new role.
type roleBody struct {
	Description *string   `json:"description"`
	Scopes      *[]string `json:"scopes"`
	Groups      *[]string `json:"groups"`
	Services    *[]string `json:"services"`
}

func (b roleBody) apply(r *hub.Role) {
	if b.Description != nil {
		r.Description = *b.Description
	}
	if b.Scopes != nil {
		r.Scopes = append([]string{}, *b.Scopes...)
	}
	if b.Groups != nil {
		r.Groups = sorted(*b.Groups)
	}
	if b.Services != nil {
		r.Services = sorted(*b.Services)
	}
}

func sorted(names []string) []string {
	names = slices.Clone(names)
	slices.Sort(names)
	return slices.Compact(names)
}

func readRole(w http.ResponseWriter, r *http.Request) (roleBody, error) {
	var body roleBody
	return body, readKnown(w, r, &body, "description", "scopes", "groups", "services")
}

// createRole makes a role that does not exist.
func (a *API) createRole(w http.ResponseWriter, r *http.Request, c *account.Caller) error {
	body, err := readRole(w, r)
	if err != nil {
		return err
	}
	return a.makeRole(w, r, c, body)
}

func (a *API) makeRole(w http.ResponseWriter, r *http.Request, c *account.Caller, body roleBody) error {
	role := hub.Role{Name: r.PathValue("role"), Scopes: []string{}}
	body.apply(&role)
	if err := a.Accounts.MayManage(r.Context(), c, role); err != nil {
		return err
	}
	role, err := a.Accounts.CreateRole(r.Context(), role)
	if err != nil {
		return err
	}
	return web.JSON(w, http.StatusCreated, roleModel(role))
}

// putRole makes a role, or changes what the body says of one.
func (a *API) putRole(w http.ResponseWriter, r *http.Request, c *account.Caller) error {
	body, err := readRole(w, r)
	if err != nil {
		return err
	}
	_, err = a.Accounts.Role(r.Context(), r.PathValue("role"))
	if hub.KindOf(err) == hub.NotFound {
		return a.makeRole(w, r, c, body)
	}
	if err != nil {
		return err
	}
	return a.changeRole(w, r, c, func(role *hub.Role) error { body.apply(role); return nil })
}

// changeRole changes a role and answers with it.
func (a *API) changeRole(w http.ResponseWriter, r *http.Request, c *account.Caller, change func(*hub.Role) error) error {
	role, err := a.Accounts.UpdateRole(r.Context(), r.PathValue("role"), func(role *hub.Role) error {
		if err := a.Accounts.MayManage(r.Context(), c, *role); err != nil {
			return err
		}
		if err := change(role); err != nil {
			return err
		}
		return a.Accounts.MayManage(r.Context(), c, *role)
	})
	if err != nil {
		return err
	}
	return web.JSON(w, http.StatusOK, roleModel(role))
}

// deleteRole takes a role from all who have it.
func (a *API) deleteRole(w http.ResponseWriter, r *http.Request, c *account.Caller) error {
	role, err := a.Accounts.Role(r.Context(), r.PathValue("role"))
	if err == nil {
		err = a.Accounts.MayManage(r.Context(), c, role)
	}
	if err == nil {
		err = a.Accounts.DeleteRole(r.Context(), role.Name)
	}
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}

// roleUsers lists the users who have a role without a group's help, in pages of names.
func (a *API) roleUsers(w http.ResponseWriter, r *http.Request, _ *account.Caller) error {
	offset, limit, paged, err := window(r)
	if err != nil {
		return err
	}
	role, err := a.Accounts.Role(r.Context(), r.PathValue("role"))
	if err != nil {
		return err
	}
	users, err := a.Accounts.RoleUsers(r.Context(), role)
	if err != nil {
		return err
	}
	slices.Sort(users)
	users = orEmpty(slices.Compact(users))
	total := len(users)
	users = users[min(offset, total):min(offset+limit, total)]
	if !paged {
		return web.JSON(w, http.StatusOK, users)
	}
	return web.JSON(w, http.StatusOK, map[string]any{"items": users, "_pagination": pageInfo(r, offset, limit, total)})
}

// maxHolders is how many members one request may add or remove.
const maxHolders = 1000

// members are the names in a request's body, under their kind: {"users": ["alice"]}.
func members(w http.ResponseWriter, r *http.Request, kind string) ([]string, error) {
	var body map[string][]string
	if err := web.ReadJSON(w, r, &body); err != nil {
		return nil, err
	}
	names := body[kind]
	if len(names) == 0 || len(body) > 1 {
		return nil, hub.Errorf(hub.Invalid, "Must specify %s to add or remove, and nothing else", kind)
	}
	if len(names) > maxHolders {
		return nil, hub.Errorf(hub.Invalid, "At most %d %s can be added or removed at once", maxHolders, kind)
	}
	return sorted(names), nil
}

// changeRoleUsers gives a role to users, or takes it, one after the other: if one of them cannot be changed, those before it are.
func (a *API) changeRoleUsers(change func(*account.Accounts, *http.Request, string, hub.UserName) error) handler {
	return func(w http.ResponseWriter, r *http.Request, c *account.Caller) error {
		raw, err := members(w, r, "users")
		if err != nil {
			return err
		}
		names, err := parseNames(raw)
		if err != nil {
			return err
		}
		role, err := a.Accounts.Role(r.Context(), r.PathValue("role"))
		if err == nil {
			err = a.Accounts.MayManage(r.Context(), c, role)
		}
		if err != nil {
			return err
		}
		for _, name := range names {
			if _, err := a.Accounts.Get(r.Context(), name); err != nil {
				return noSuchMember(err)
			}
		}
		for _, name := range names {
			if err := change(a.Accounts, r, role.Name, name); err != nil {
				return noSuchMember(err)
			}
		}
		return web.JSON(w, http.StatusOK, roleModel(role))
	}
}

// noSuchMember is 400, as with groups: the path was right.
func noSuchMember(err error) error {
	if hub.KindOf(err) == hub.NotFound {
		return hub.Errorf(hub.Invalid, "%s", hub.MessageOf(err))
	}
	return err
}

func giveRole(a *account.Accounts, r *http.Request, role string, name hub.UserName) error {
	return a.GiveRole(r.Context(), role, name)
}

func takeRole(a *account.Accounts, r *http.Request, role string, name hub.UserName) error {
	return a.TakeRole(r.Context(), role, name)
}

// changeRoleMembers adds groups or services to a role, or removes them.
func (a *API) changeRoleMembers(kind string, add bool) handler {
	return func(w http.ResponseWriter, r *http.Request, c *account.Caller) error {
		names, err := members(w, r, kind)
		if err != nil {
			return err
		}
		return a.changeRole(w, r, c, func(role *hub.Role) error {
			list := &role.Groups
			if kind == "services" {
				list = &role.Services
			}
			if add {
				*list = sorted(slices.Concat(*list, names))
			} else {
				*list = slices.DeleteFunc(*list, func(name string) bool { return slices.Contains(names, name) })
			}
			return nil
		})
	}
}
