package account

import (
	"context"
	"slices"

	"github.com/edgehub/edgehub/controlplane/access"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
)

// rights are what an owner of credentials may do now.
type rights struct {
	owner access.Owner
	// roles are all that the owner has, directly and by groups.
	roles []string
	// byRole is what the roles give, all that and what shares give.
	byRole, all access.Set
	shared      bool // there is such
	book        *book
}

// UserScopes are what a user may do now: by the own roles, those of the groups, and shares.
func (a *Accounts) UserScopes(ctx context.Context, u hub.User) (access.Set, error) {
	r, err := a.userRights(ctx, u)
	return r.all, err
}

func (a *Accounts) userRights(ctx context.Context, u hub.User) (rights, error) {
	b, err := a.readBook(ctx)
	if err != nil {
		return rights{}, err
	}
	r := rights{owner: access.Owner{User: string(u.Name), Groups: u.Groups}, roles: b.held(u), book: b}
	raw := b.scopes(r.roles)
	r.byRole = a.catalog.ExpandKnown(r.owner, raw...)
	shared, err := a.shareScopes(ctx, b, u)
	if err != nil {
		return rights{}, err
	}
	r.all = r.byRole
	if r.shared = len(shared) > 0; r.shared {
		r.all = a.catalog.ExpandKnown(r.owner, append(raw, shared...)...)
	}
	return r, nil
}

func (a *Accounts) serviceRights(ctx context.Context, name string) (rights, error) {
	s, err := a.services.Get(ctx, store.ID(name))
	if hub.KindOf(err) == hub.NotFound {
		return rights{}, hub.Errorf(hub.Unauthenticated, "Missing or invalid credentials.")
	}
	if err != nil {
		return rights{}, err
	}
	b, err := a.readBook(ctx)
	if err != nil {
		return rights{}, err
	}
	r := rights{owner: access.Owner{Service: name}, roles: b.heldBy(s.Value), book: b}
	r.all = a.catalog.ExpandKnown(r.owner, append(b.scopes(r.roles), s.Value.Scopes...)...)
	r.byRole = r.all
	return r, nil
}

// TokenScopes are what each of a user's tokens may do now.
func (a *Accounts) TokenScopes(ctx context.Context, u hub.User, tokens ...hub.Token) ([]access.Set, error) {
	r, err := a.userRights(ctx, u)
	if err != nil {
		return nil, err
	}
	sets := make([]access.Set, len(tokens))
	for i, t := range tokens {
		sets[i] = a.limited(ctx, r, r.all, t)
	}
	return sets, nil
}

// limited is the part of held, which is one of the sets of r, that a token of the owner has. One whose scopes cannot be read,
// because a custom scope is gone, may do nothing.
func (a *Accounts) limited(ctx context.Context, r rights, held access.Set, t hub.Token) access.Set {
	owner := r.owner
	owner.Server = t.Server
	set, err := a.catalog.TokenScopes(t.Scopes, owner, held, a.groupsOf(ctx))
	if err != nil {
		return access.Set{}
	}
	return set
}

// RolesOf are the roles that a user has directly, sorted. The caller's rights have just been read, and the roles with them.
func (a *Accounts) RolesOf(u hub.User) []string { return a.lastBook().direct(u) }

// RolesOfGroup is RolesOf for a group.
func (a *Accounts) RolesOfGroup(name string) []string {
	return tidy(slices.Clone(a.lastBook().ofGroup[name]))
}

func (a *Accounts) lastBook() *book {
	if b := a.book.Load(); b != nil {
		return b
	}
	return newBook(store.Record[hub.RoleChanges]{})
}

// RoleScopes are the raw scopes of the named roles. One that does not exist is Invalid.
func (a *Accounts) RoleScopes(ctx context.Context, names ...string) ([]string, error) {
	b, err := a.readBook(ctx)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if _, ok := b.role(name); !ok {
			return nil, hub.Errorf(hub.Invalid, "No such role: %s", hub.Clip(name))
		}
	}
	return b.scopes(names), nil
}

// Excess lists the scopes of wanted that held lacks, with the membership of now.
func (a *Accounts) Excess(ctx context.Context, wanted, held access.Set) []string {
	return access.Excess(wanted, held, a.groupsOf(ctx))
}

// Common is what both sets hold, with the membership of now.
func (a *Accounts) Common(ctx context.Context, x, y access.Set) access.Set {
	return access.Intersect(x, y, a.groupsOf(ctx))
}

// Catalog knows the scopes of this hub.
func (a *Accounts) Catalog() *access.Catalog { return a.catalog }
