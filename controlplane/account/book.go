package account

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
)

// book is all roles of the hub at one moment. What it says never changes after it was made.
type book struct {
	// revision is that of the hub.RoleChanges before which nothing is missing, 0 if no role was ever stored.
	revision int64
	shares   bool // see hub.RoleChanges
	roles    map[string]hub.Role
	// ofUser, ofGroup and ofService say who has which roles by name.
	ofUser    map[hub.UserName][]string
	ofGroup   map[string][]string
	ofService map[string][]string
	// combined remembers what scopes gives: many have the same few roles.
	combined sync.Map
}

// changesID is the key of the one hub.RoleChanges.
const changesID = "all"

// maxRoles bounds what every replica has in memory of them.
const maxRoles = 5000

// readBook returns all roles as they are now. It reads one small record, and all of them only after a change.
func (a *Accounts) readBook(ctx context.Context) (*book, error) {
	changes, err := a.changes.Get(ctx, changesID)
	if err != nil && hub.KindOf(err) != hub.NotFound {
		return nil, err
	}
	if known := a.book.Load(); known != nil && known.revision == changes.Revision {
		return known, nil
	}
	b := newBook(changes)
	err = a.roles.List(ctx, "", func(r store.Record[hub.Role]) bool {
		b.add(r.Value)
		return true
	})
	if err != nil {
		return nil, err
	}
	a.book.Store(b)
	return b, nil
}

func newBook(changes store.Record[hub.RoleChanges]) *book {
	return &book{revision: changes.Revision, shares: changes.Value.Shares, roles: map[string]hub.Role{},
		ofUser: map[hub.UserName][]string{}, ofGroup: map[string][]string{}, ofService: map[string][]string{}}
}

func (b *book) add(r hub.Role) {
	b.roles[r.Name] = r
	if r.Ending {
		return
	}
	for _, u := range r.Users {
		b.ofUser[u] = append(b.ofUser[u], r.Name)
	}
	for _, g := range r.Groups {
		b.ofGroup[g] = append(b.ofGroup[g], r.Name)
	}
	for _, s := range r.Services {
		b.ofService[s] = append(b.ofService[s], r.Name)
	}
}

// role is the role of a name, stored or default.
func (b *book) role(name string) (hub.Role, bool) {
	if r, ok := b.roles[name]; ok && !r.Ending {
		return filled(r), true
	}
	return filled(hub.Role{Name: name}), hub.IsDefaultRole(name)
}

// direct are the roles that a user has without a group's help, sorted.
func (b *book) direct(u hub.User) []string {
	names := []string{"user"}
	if u.Admin {
		names = append(names, "admin")
	}
	for name, id := range u.Roles {
		if r, ok := b.roles[name]; ok && !r.Ending && r.ID == id {
			names = append(names, name)
		}
	}
	return tidy(append(names, b.ofUser[u.Name]...))
}

// held are all roles of a user, sorted.
func (b *book) held(u hub.User) []string {
	names := b.direct(u)
	for _, g := range u.Groups {
		names = append(names, b.ofGroup[g]...)
	}
	return tidy(names)
}

// heldBy are all roles of a service, sorted.
func (b *book) heldBy(s hub.Service) []string {
	names := slices.Clone(b.ofService[s.Name])
	if s.Admin {
		names = append(names, "admin")
	}
	return tidy(names)
}

func tidy(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}

// scopes are the raw scopes of the named roles.
func (b *book) scopes(names []string) []string {
	key := strings.Join(names, "\x00")
	if known, ok := b.combined.Load(key); ok {
		return known.([]string)
	}
	var raw []string
	for _, name := range names {
		if r, ok := b.role(name); ok {
			raw = append(raw, r.Scopes...)
		}
	}
	raw = slices.Clip(tidy(raw))
	if len(names) <= fewRoles {
		b.combined.Store(key, raw)
	}
	return raw
}

// fewRoles bounds what a book remembers: combinations of so many roles, of which operators make only so many.
const fewRoles = 3
