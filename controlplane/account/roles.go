package account

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/edgehub/edgehub/controlplane/access"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
	"github.com/edgehub/edgehub/routes"
)

// Bounds of one role.
const (
	maxRoleScopes  = 500
	maxRoleMembers = 2000 // groups, services, and users of the configuration
	maxRoleText    = 500
)

// Roles returns all roles of the hub, also the default ones, in the order of names.
func (a *Accounts) Roles(ctx context.Context) ([]hub.Role, error) {
	b, err := a.readBook(ctx)
	if err != nil {
		return nil, err
	}
	names := slices.Collect(maps.Keys(b.roles))
	for _, d := range access.DefaultRoles() {
		names = append(names, d.Name)
	}
	var all []hub.Role
	for _, name := range tidy(names) {
		if r, ok := b.role(name); ok {
			all = append(all, r)
		}
	}
	return all, nil
}

// Role returns one role, or a NotFound error.
func (a *Accounts) Role(ctx context.Context, name string) (hub.Role, error) {
	b, err := a.readBook(ctx)
	if err != nil {
		return hub.Role{}, err
	}
	r, ok := b.role(name)
	if !ok {
		return r, hub.Errorf(hub.NotFound, "No such role: %s", hub.Clip(name))
	}
	return r, nil
}

// CreateRole stores a new role. It is a Conflict if there is one of the name.
func (a *Accounts) CreateRole(ctx context.Context, r hub.Role) (hub.Role, error) {
	if err := a.checkRole(r); err != nil {
		return r, err
	}
	r.Schema, r.ID = hub.Schema, newRoleID()
	return r, a.changeRoles(ctx, func(b *book, rv *revocations) error {
		if old, stored := b.roles[r.Name]; stored && old.Ending {
			return hub.Errorf(hub.Conflict, "The role %s was deleted a moment ago. Try again shortly.", r.Name)
		}
		if _, exists := b.role(r.Name); exists {
			return hub.Errorf(hub.Conflict, "Role %s already exists", r.Name)
		}
		if len(b.roles) >= maxRoles {
			return hub.Errorf(hub.Invalid, "There are %d roles, and there can be no more.", maxRoles)
		}
		rv.put(hub.Role{}, r)
		return nil
	})
}

// UpdateRole changes a role: its description, scopes, groups or services. change may run several times. Default roles, and what
// the configuration says of a role, cannot be changed.
func (a *Accounts) UpdateRole(ctx context.Context, name string, change func(*hub.Role) error) (hub.Role, error) {
	var r hub.Role
	err := a.changeRoles(ctx, func(b *book, rv *revocations) error {
		old, ok := b.role(name)
		if !ok {
			return hub.Errorf(hub.NotFound, "No such role: %s", hub.Clip(name))
		}
		r = old
		r.Scopes, r.Groups, r.Services = slices.Clone(old.Scopes), slices.Clone(old.Groups), slices.Clone(old.Services)
		if err := change(&r); err != nil {
			return err
		}
		if err := errors.Join(a.checkRole(r), mayUpdate(old, r)); err != nil {
			return err
		}
		if r.Schema = hub.Schema; r.ID == "" {
			r.ID = newRoleID()
		}
		rv.put(old, r)
		return nil
	})
	return r, err
}

// mayUpdate keeps the configuration authoritative for what it says, and the default roles what they are.
func mayUpdate(old, r hub.Role) error {
	same := slices.Equal(old.Scopes, r.Scopes) && old.Description == r.Description
	switch {
	case hub.IsDefaultRole(old.Name) && !same:
		return hub.Errorf(hub.Conflict, "The default role %s can only be changed in the configuration file.", old.Name)
	case old.Config && !same:
		return hub.Errorf(hub.Conflict, "The role %s is in the configuration file. Change it there.", old.Name)
	case slices.Contains(old.FromConfig, "groups") && !slices.Equal(old.Groups, r.Groups):
		return hub.Errorf(hub.Conflict, "The groups of role %s are in the configuration file. Change them there.", old.Name)
	case slices.Contains(old.FromConfig, "services") && !slices.Equal(old.Services, r.Services):
		return hub.Errorf(hub.Conflict, "The services of role %s are in the configuration file. Change them there.", old.Name)
	}
	return nil
}

// DeleteRole takes a role from everybody who has it, at once, and removes it.
func (a *Accounts) DeleteRole(ctx context.Context, name string) error {
	err := a.changeRoles(ctx, func(b *book, rv *revocations) error {
		r, ok := b.role(name)
		switch {
		case !ok:
			return hub.Errorf(hub.NotFound, "No such role: %s", hub.Clip(name))
		case hub.IsDefaultRole(name):
			return hub.Errorf(hub.Conflict, "The default role %s cannot be deleted.", name)
		case r.Config:
			return hub.Errorf(hub.Conflict, "The role %s is in the configuration file. Remove it there.", name)
		}
		rv.end(r)
		return nil
	})
	if err == nil {
		// Most roles have few users: then the name is free again before the answer. If this fails, Tend goes on.
		_ = a.tidyRole(ctx, name, tidyBatch)
	}
	return err
}

// forgetGroup takes a group that goes out of all roles but those in which the configuration file lists it: a later group of the
// name does not have them.
func (a *Accounts) forgetGroup(ctx context.Context, group string) error {
	return a.changeRoles(ctx, func(b *book, rv *revocations) error {
		for _, name := range b.ofGroup[group] {
			old := b.roles[name]
			if slices.Contains(old.FromConfig, "groups") {
				continue
			}
			r := old
			r.Groups = slices.DeleteFunc(slices.Clone(old.Groups), func(g string) bool { return g == group })
			rv.put(old, r)
		}
		if len(rv.ops) == 0 {
			return store.ErrUnchanged
		}
		if len(rv.ops) > store.MaxOps-5 {
			return hub.Errorf(hub.Invalid, "The group %s has too many roles to be deleted at once. Take roles from it first.", hub.Clip(group))
		}
		return nil
	})
}

// checkRole refuses what cannot be stored.
func (a *Accounts) checkRole(r hub.Role) error {
	if err := hub.CheckRoleName(r.Name); err != nil {
		return err
	}
	if err := a.catalog.CheckRole(r.Scopes); err != nil {
		return hub.Errorf(hub.Invalid, "%s", err)
	}
	if slices.Contains(r.Scopes, access.Inherit) && r.Name != "token" {
		return hub.Errorf(hub.Invalid, "scope \"inherit\" is only for the role token")
	}
	for what, n := range map[string]int{"groups": len(r.Groups), "services": len(r.Services), "users": len(r.Users)} {
		if n > maxRoleMembers {
			return hub.Errorf(hub.Invalid, "A role can have at most %d %s.", maxRoleMembers, what)
		}
	}
	for _, name := range r.Groups {
		if _, err := hub.ParseGroupName(name); err != nil {
			return err
		}
	}
	for _, name := range r.Services {
		if _, err := hub.ParseServiceName(name); err != nil {
			return err
		}
	}
	if len(r.Scopes) > maxRoleScopes || len(r.Description) > maxRoleText || len(strings.Join(r.Scopes, "")) > 100*maxRoleText {
		return hub.Errorf(hub.Invalid, "A role can have at most %d scopes and a description of %d bytes.", maxRoleScopes, maxRoleText)
	}
	return nil
}

// changeRoles changes roles together with hub.RoleChanges, so that every replica sees it with its next request. change may run
// several times.
func (a *Accounts) changeRoles(ctx context.Context, change func(*book, *revocations) error) error {
	err := a.changes.Create(ctx, changesID, hub.RoleChanges{Schema: hub.Schema})
	if err != nil && hub.KindOf(err) != hub.Conflict {
		return err
	}
	_, err = a.changes.Update(ctx, changesID, func(*hub.RoleChanges) ([]store.Op, error) {
		b, err := a.readBook(ctx)
		if err != nil {
			return nil, err
		}
		rv := &revocations{a: a, done: map[string]bool{}}
		if err := change(b, rv); err != nil {
			return nil, err
		}
		return rv.ops, nil
	})
	return err
}

// revocations are the writes of one change of roles.
type revocations struct {
	a    *Accounts
	done map[string]bool // what is revoked in this change already
	ops  []store.Op
}

// put writes a role and revokes the edge tokens of those for whom it changes where they may go. What else a role gives is asked
// of the hub with every request, so that edges need not know.
func (v *revocations) put(old, r hub.Role) {
	v.ops = append(v.ops, store.Put(v.a.roles.Key(store.ID(r.Name)), asStored(r)))
	before, now := v.a.visits(old), v.a.visits(r)
	// Nobody's edge token depends on a role that there was not.
	known := old.ID != "" || hub.IsDefaultRole(r.Name)
	if known && (!slices.Equal(before, now) || len(now) > 0 && !slices.Equal(old.Users, r.Users)) {
		v.revoke(routes.RevokedRole, mark(r.Name))
	}
	if len(before)+len(now) > 0 {
		v.members(old, r)
	}
}

// maxAlone is how many groups and services have a revocation of their own in one change.
const maxAlone = 40

// members revokes for the groups and services that get or lose a role. If they are very many, only those who lose it are
// concerned, and with them all others who have it: those who get it see that with their next edge token.
func (v *revocations) members(old, r hub.Role) {
	groups, services := difference(old.Groups, r.Groups), difference(old.Services, r.Services)
	if len(groups)+len(services) > maxAlone {
		v.revoke(routes.RevokedRole, mark(r.Name))
		return
	}
	for _, g := range groups {
		v.revoke(routes.RevokedGroup, g)
	}
	for _, s := range services {
		v.revoke(routes.RevokedService, s)
	}
}

// end takes a role from everybody.
func (v *revocations) end(r hub.Role) {
	ended := r
	ended.Ending, ended.Scopes = true, []string{}
	v.put(r, ended)
}

// revoke ends the edge tokens of before this change that depend on a role or group, or are of a service, once per change.
func (v *revocations) revoke(what, id string) {
	if key := what + "/" + id; !v.done[key] {
		v.done[key] = true
		v.ops = append(v.ops, v.a.tokens.RevokeShared(what, id))
	}
}

// visits are the scopes of a role that matter at edges, sorted.
func (a *Accounts) visits(r hub.Role) []string {
	var scopes []string
	for _, s := range filled(r).Scopes {
		if a.catalog.Reaches(s, routes.ScopeAccess) || a.catalog.Reaches(s, routes.ScopeServices) {
			scopes = append(scopes, s)
		}
	}
	return tidy(scopes)
}

// asStored is a role as its record has it: of the default roles only what the configuration says differs.
func asStored(r hub.Role) hub.Role {
	if hub.IsDefaultRole(r.Name) && !r.Config {
		r.Scopes, r.Description = nil, ""
	}
	return r
}

// filled is a role as its record means it: what a default role does not say is the default.
func filled(r hub.Role) hub.Role {
	for _, d := range access.DefaultRoles() {
		if d.Name != r.Name {
			continue
		}
		if r.Scopes == nil {
			r.Scopes = d.Scopes
		}
		if r.Description == "" {
			r.Description = d.Description
		}
	}
	return r
}

// difference are the names that only one of two lists has.
func difference(a, b []string) []string {
	var out []string
	for _, pair := range [][2][]string{{a, b}, {b, a}} {
		for _, name := range pair[0] {
			if !slices.Contains(pair[1], name) {
				out = append(out, name)
			}
		}
	}
	return tidy(out)
}

func newRoleID() string {
	b := make([]byte, 8)
	_, _ = rand.Read(b) // never fails since Go 1.24
	return hex.EncodeToString(b)
}
