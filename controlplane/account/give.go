package account

import (
	"context"
	"slices"
	"strings"

	"github.com/edgehub/edgehub/controlplane/access"
	"github.com/edgehub/edgehub/controlplane/hub"
)

// MayGive refuses, as Forbidden, a change of a user's groups, roles or admin flag by which the user gains what the caller does
// not hold: nobody gives what they do not have.
func (a *Accounts) MayGive(ctx context.Context, c *Caller, u hub.User, change Change) error {
	if change.Groups == nil && change.Roles == nil && change.Admin == nil {
		return nil
	}
	before, err := a.UserScopes(ctx, u)
	if err != nil {
		return err
	}
	b, err := a.readBook(ctx)
	if err != nil {
		return err
	}
	if change.Groups != nil {
		u.Groups = *change.Groups
	}
	if _, _, err := a.hand(&u, b, change); err != nil {
		return err
	}
	after, err := a.UserScopes(ctx, u)
	if err != nil {
		return err
	}
	return a.mayHandOut(ctx, c, after, before)
}

// MayManage refuses, as Forbidden, that the caller changes a role, or who has it, unless the caller may do all that the role
// gives, to anybody who may get it.
func (a *Accounts) MayManage(ctx context.Context, c *Caller, r hub.Role) error {
	wanted, err := a.catalog.Demand(filled(r).Scopes)
	if err != nil {
		return hub.Errorf(hub.Invalid, "%s", err)
	}
	return a.mayHandOut(ctx, c, wanted, access.Set{})
}

// MayFill refuses, as Forbidden, that the caller puts users into groups whose roles give what the caller does not hold.
func (a *Accounts) MayFill(ctx context.Context, c *Caller, groups ...string) error {
	b, err := a.readBook(ctx)
	if err != nil {
		return err
	}
	for _, g := range groups {
		for _, name := range b.ofGroup[g] {
			if err := a.MayManage(ctx, c, b.roles[name]); err != nil {
				return err
			}
		}
	}
	return nil
}

// mayHandOut refuses wanted, except for what is in free.
func (a *Accounts) mayHandOut(ctx context.Context, c *Caller, wanted, free access.Set) error {
	gained := a.Excess(ctx, wanted, free)
	missing := slices.DeleteFunc(a.Excess(ctx, wanted, c.Scopes), func(s string) bool { return !slices.Contains(gained, s) })
	if len(missing) > 0 {
		return hub.Errorf(hub.Forbidden, "You cannot give scopes that you do not hold: %s", strings.Join(missing[:min(len(missing), 5)], ", "))
	}
	return nil
}
