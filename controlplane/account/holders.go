package account

import (
	"context"
	"maps"
	"slices"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
)

// maxUserRoles bounds how many roles one user is given one by one.
const maxUserRoles = 50

// GiveRole gives a role to a user.
func (a *Accounts) GiveRole(ctx context.Context, role string, name hub.UserName) error {
	return a.changeHeld(ctx, role, name, func(r hub.Role, held map[string]string) bool {
		had := held[role] == r.ID
		held[role] = r.ID
		return !had
	})
}

// TakeRole takes a role from a user who was given it.
func (a *Accounts) TakeRole(ctx context.Context, role string, name hub.UserName) error {
	return a.changeHeld(ctx, role, name, func(_ hub.Role, held map[string]string) bool {
		_, had := held[role]
		delete(held, role)
		return had
	})
}

func (a *Accounts) changeHeld(ctx context.Context, role string, name hub.UserName, change func(hub.Role, map[string]string) bool) error {
	b, err := a.readBook(ctx)
	if err != nil {
		return err
	}
	r, err := b.assignable(role)
	if err != nil {
		return err
	}
	_, err = a.update(ctx, name, func(tx *store.Txn, u *hub.User) error {
		held := maps.Clone(u.Roles)
		if held == nil {
			held = map[string]string{}
		}
		if !change(r, held) {
			return store.ErrUnchanged
		}
		ops, visits, err := a.setHeld(u, b, held)
		tx.Do(ops...)
		if err != nil || !visits {
			return err
		}
		return a.rightsChanged(tx, u)
	})
	return err
}

// assignable is a role that users can be given one by one.
func (b *book) assignable(name string) (hub.Role, error) {
	r, ok := b.role(name)
	switch {
	case !ok:
		return r, hub.Errorf(hub.NotFound, "No such role: %s", hub.Clip(name))
	case name == "admin":
		return r, hub.Errorf(hub.Invalid, "Make a user an administrator with the field admin, not with the role.")
	case hub.IsDefaultRole(name):
		return r, hub.Errorf(hub.Invalid, "The role %s is not for users to be given.", name)
	case slices.Contains(r.FromConfig, "users"):
		return r, hub.Errorf(hub.Conflict, "The users of role %s are in the configuration file. Change them there.", name)
	}
	return r, nil
}

// heldAs are the roles of the names as User.Roles has them. What the user has otherwise, as user or administrator, by the
// configuration or by a group, stays that way and may be named.
func (b *book) heldAs(u *hub.User, names []string) (map[string]string, error) {
	held := map[string]string{}
	for _, name := range names {
		if _, given := u.Roles[name]; !given && slices.Contains(b.direct(*u), name) {
			continue
		}
		r, err := b.assignable(name)
		if hub.KindOf(err) == hub.NotFound {
			err = hub.Errorf(hub.Invalid, "No such role: %s", hub.Clip(name))
		}
		if err != nil {
			return nil, err
		}
		held[name] = r.ID
	}
	return held, nil
}

// setHeld makes held the roles of u, and returns the writes that go with that of u. visits says that it changes where u may go.
func (a *Accounts) setHeld(u *hub.User, b *book, held map[string]string) (ops []store.Op, visits bool, err error) {
	if len(held) > maxUserRoles {
		return nil, false, hub.Errorf(hub.Invalid, "A user can be given at most %d roles. Use a group.", maxUserRoles)
	}
	for _, name := range tidy(slices.Concat(slices.Collect(maps.Keys(held)), slices.Collect(maps.Keys(u.Roles)))) {
		id, holds := held[name]
		if was, had := u.Roles[name]; had && holds && was == id {
			continue
		}
		key := a.holderKey(name, *u)
		if holds {
			ops = append(ops, store.Put(key, hub.RoleHolder{Schema: hub.Schema, Role: id, User: u.Name}))
		} else {
			ops = append(ops, store.Delete(key))
		}
		r, _ := b.role(name)
		visits = visits || len(a.visits(r)) > 0
	}
	u.Roles = held
	return ops, visits, nil
}

func (a *Accounts) holderKey(role string, u hub.User) string {
	return a.holders.Key(store.ID(role, u.ID))
}

// dropHolder are the writes that go with the removal of u.
func (a *Accounts) dropHolder(u hub.User) []store.Op {
	var ops []store.Op
	for name := range u.Roles {
		ops = append(ops, store.Delete(a.holderKey(name, u)))
	}
	return ops
}

// renameHolder are the writes that go with a new name of u.
func (a *Accounts) renameHolder(u *hub.User) []store.Op {
	var ops []store.Op
	for name, id := range u.Roles {
		ops = append(ops, store.Put(a.holderKey(name, *u), hub.RoleHolder{Schema: hub.Schema, Role: id, User: u.Name}))
	}
	return ops
}

// RoleUsers are the users who have a role without a group's help, in no particular order, the implicit ones of the roles user
// and admin left out.
func (a *Accounts) RoleUsers(ctx context.Context, r hub.Role) ([]hub.UserName, error) {
	users := slices.Clone(r.Users)
	err := a.holders.List(ctx, store.ID(r.Name)+"/", func(h store.Record[hub.RoleHolder]) bool {
		if h.Value.Role == r.ID {
			users = append(users, h.Value.User)
		}
		return true
	})
	return users, err
}
