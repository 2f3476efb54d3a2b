package account

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
)

// maxGroups bounds the names of a user's groups, as JSON, in bytes: edge tokens carry them and have a longest length.
const maxGroups = 2000

// Group returns a group, or a NotFound error.
func (a *Accounts) Group(ctx context.Context, name string) (hub.Group, error) {
	r, err := a.groups.Get(ctx, store.ID(name))
	if hub.KindOf(err) == hub.NotFound {
		err = noSuchGroup(name)
	}
	return r.Value, err
}

func noSuchGroup(name string) error {
	return hub.Errorf(hub.NotFound, "No such group: %s", hub.Clip(name))
}

// CreateGroups makes groups that all have the same members. It returns a Conflict error if there is one of these names, and
// Invalid if a user does not exist; then nothing is made. Members are added a part at a time: if that fails the groups are
// there, and AddMembers goes on.
func (a *Accounts) CreateGroups(ctx context.Context, names []string, members []hub.UserName) ([]hub.Group, error) {
	names = unique(names)
	if len(names) > store.MaxOps-membersAtOnce {
		return nil, hub.Errorf(hub.Invalid, "groups: at most %d can be made at once.", store.MaxOps-membersAtOnce)
	}
	if err := a.mustExist(ctx, members); err != nil {
		return nil, err
	}
	groups := make([]hub.Group, len(names))
	err := a.store.Transact(ctx, func(tx *store.Txn) error {
		for i, name := range names {
			if _, taken, err := a.groups.Read(tx, store.ID(name)); taken || err != nil {
				return cmp.Or(err, hub.Errorf(hub.Conflict, "Group %s already exists", hub.Clip(name)))
			}
			groups[i] = hub.Group{Schema: hub.Schema, Name: name, Created: time.Now().UTC()}
			if err := a.groups.Write(tx, store.ID(name), groups[i]); err != nil {
				return err
			}
		}
		return nil
	})
	for i := 0; i < len(groups) && err == nil; i++ {
		if err = a.AddMembers(ctx, names[i], members); err != nil {
			err = fmt.Errorf("add members to the new group %s: %w", hub.Clip(names[i]), err)
		}
	}
	return groups, err
}

// SetGroupProperties replaces all properties of a group with a JSON object.
func (a *Accounts) SetGroupProperties(ctx context.Context, name string, properties json.RawMessage) (hub.Group, error) {
	r, err := a.groups.Update(ctx, store.ID(name), func(g *hub.Group) ([]store.Op, error) {
		g.Properties = properties
		return nil, nil
	})
	if hub.KindOf(err) == hub.NotFound {
		err = noSuchGroup(name)
	}
	return r.Value, err
}

// Members are the names of a group's members, in order.
func (a *Accounts) Members(ctx context.Context, group string) ([]hub.UserName, error) {
	var names []hub.UserName
	err := a.index.members.List(ctx, store.ID(group)+"/", func(r store.Record[hub.UserName]) bool {
		names = append(names, r.Value)
		return true
	})
	return names, err
}

// membersAtOnce is how many memberships one transaction changes. Each takes up to six of its operations.
const membersAtOnce = 16

// AddMembers adds users to a group. It is Invalid if one of them does not exist, and then nothing is changed. Many users are
// added a part at a time; adding them again is not an error, so a call that failed can be repeated.
func (a *Accounts) AddMembers(ctx context.Context, group string, users []hub.UserName) error {
	if err := a.mustExist(ctx, users); err != nil {
		return err
	}
	return a.changeMembers(ctx, group, users, func(groups []string) []string {
		if slices.Contains(groups, group) {
			return groups
		}
		return append(slices.Clone(groups), group)
	})
}

// RemoveMembers is the opposite of AddMembers. Users who are no members stay so.
func (a *Accounts) RemoveMembers(ctx context.Context, group string, users []hub.UserName) error {
	if err := a.mustExist(ctx, users); err != nil {
		return err
	}
	return a.changeMembers(ctx, group, users, without(group))
}

func without(group string) func([]string) []string {
	return func(groups []string) []string {
		return slices.DeleteFunc(slices.Clone(groups), func(g string) bool { return g == group })
	}
}

// mustExist is an Invalid error that names users who are not there.
func (a *Accounts) mustExist(ctx context.Context, users []hub.UserName) error {
	found, err := a.GetMany(ctx, users)
	if err != nil {
		return err
	}
	for _, name := range users {
		if _, ok := found[name]; !ok {
			return hub.Errorf(hub.Invalid, "No such user: %s", name)
		}
	}
	return nil
}

// GetMany returns those users of these names that exist.
func (a *Accounts) GetMany(ctx context.Context, names []hub.UserName) (map[hub.UserName]hub.User, error) {
	ids := make([]string, len(names))
	for i, name := range names {
		ids[i] = store.ID(string(name))
	}
	records, err := a.users.GetMany(ctx, ids)
	if err != nil {
		return nil, err
	}
	users := make(map[hub.UserName]hub.User, len(records))
	for _, r := range records {
		users[r.Value.Name] = r.Value
	}
	return users, nil
}

// changeMembers gives users the groups that change makes of those they have. Who is gone by now is left out.
func (a *Accounts) changeMembers(ctx context.Context, group string, users []hub.UserName, change func([]string) []string) error {
	users = slices.Compact(slices.Sorted(slices.Values(users)))
	for part := range slices.Chunk(users, membersAtOnce) {
		err := a.store.Transact(ctx, func(tx *store.Txn) error {
			if _, err := a.readGroup(tx, group); err != nil {
				return err
			}
			return a.changePart(tx, part, change)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (a *Accounts) readGroup(tx *store.Txn, name string) (hub.Group, error) {
	g, found, err := a.groups.Read(tx, store.ID(name))
	if err == nil && !found {
		err = noSuchGroup(name)
	}
	return g, err
}

func (a *Accounts) changePart(tx *store.Txn, users []hub.UserName, change func([]string) []string) error {
	keys := make([]string, len(users))
	for i, name := range users {
		keys[i] = a.users.Key(store.ID(string(name)))
	}
	if err := tx.Fetch(keys...); err != nil {
		return err
	}
	for _, name := range users {
		_, err := a.edit(tx, name, func(tx *store.Txn, u *hub.User) error {
			groups := change(u.Groups)
			if slices.Equal(groups, u.Groups) {
				return store.ErrUnchanged
			}
			if err := a.setGroups(tx, u, groups); err != nil {
				return err
			}
			return a.rightsChanged(tx, u)
		})
		if err != nil && !errors.Is(err, store.ErrUnchanged) && hub.KindOf(err) != hub.NotFound {
			return err
		}
	}
	return nil
}

// setGroups makes groups those of u, and makes those of them that do not exist. A transaction that adds a member reads the
// group's record, so that nobody joins a group while it is being deleted.
func (a *Accounts) setGroups(tx *store.Txn, u *hub.User, groups []string) error {
	if err := mayHave(u, groups); err != nil {
		return err
	}
	for _, name := range groups {
		if slices.Contains(u.Groups, name) {
			continue
		}
		if err := a.joinable(tx, name); err != nil {
			return err
		}
	}
	u.Groups = groups
	return nil
}

// approach is setGroups for any number of them: one transaction has room for a part. It reports whether there is more to do.
func (a *Accounts) approach(tx *store.Txn, u *hub.User, groups []string) (bool, error) {
	groups = unique(groups)
	if err := mayHave(u, groups); err != nil {
		return false, err
	}
	var next []string
	changes, more := 0, false
	room := func() bool {
		changes++
		more = more || changes > groupsAtOnce
		return changes <= groupsAtOnce
	}
	for _, name := range u.Groups {
		if slices.Contains(groups, name) || !room() {
			next = append(next, name)
		}
	}
	for _, name := range groups {
		if !slices.Contains(next, name) && room() {
			next = append(next, name)
		}
	}
	if !more {
		next = groups
	}
	return more, a.setGroups(tx, u, next)
}

// groupsAtOnce is how many groups of one user a transaction changes. Each takes up to two of its operations.
const groupsAtOnce = 50

// mayHave refuses more groups than an edge token can carry.
func mayHave(u *hub.User, groups []string) error {
	if data, err := json.Marshal(groups); err != nil || len(data) > maxGroups {
		return hub.Errorf(hub.Invalid, "These are too many groups for the user %s.", u.Name)
	}
	return nil
}

func unique(names []string) []string {
	var out []string
	for _, name := range names {
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// joinable makes sure that there is a group.
func (a *Accounts) joinable(tx *store.Txn, name string) error {
	g, found, err := a.groups.Read(tx, store.ID(name))
	switch {
	case err != nil:
		return err
	case g.Deleting:
		return hub.Errorf(hub.Conflict, "The group %s is being deleted.", hub.Clip(name))
	case found:
		return nil
	}
	return a.groups.Write(tx, store.ID(name), hub.Group{Schema: hub.Schema, Name: name, Created: time.Now().UTC()})
}

// DeleteGroup removes a group with its memberships. From its first step on nobody can join; if a later one fails, deleting
// the group again goes on.
func (a *Accounts) DeleteGroup(ctx context.Context, name string) error {
	err := a.store.Transact(ctx, func(tx *store.Txn) error {
		g, err := a.readGroup(tx, name)
		if err != nil {
			return err
		}
		g.Deleting = true
		return a.groups.Write(tx, store.ID(name), g)
	})
	if err != nil {
		return err
	}
	if err := a.forgetGroup(ctx, name); err != nil {
		return err
	}
	members, err := a.Members(ctx, name)
	if err != nil {
		return err
	}
	if err := a.changeMembers(ctx, name, members, without(name)); err != nil {
		return err
	}
	if err := a.dropGroupShares(ctx, name); err != nil {
		return err
	}
	err = a.store.Transact(ctx, func(tx *store.Txn) error {
		g, err := a.readGroup(tx, name)
		if err == nil && !g.Deleting {
			err = noSuchGroup(name) // somebody else deleted it as well, and this is a new one
		}
		if err != nil {
			return err
		}
		return a.groups.Remove(tx, store.ID(name))
	})
	if err != nil {
		return err
	}
	return a.dropGroupShares(ctx, name) // those of the meantime
}
