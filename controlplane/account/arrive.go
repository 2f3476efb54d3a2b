package account

import (
	"context"
	"slices"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
)

// Arrival is a person whom a login provider has identified, with the rights that follow from that; nil leaves what is stored.
type Arrival struct {
	Name     hub.UserName
	Identity hub.Identity
	// Adopt gives the identity a user of that name whom nobody has signed in as: made by an administrator, or imported.
	Adopt  bool
	Admin  *bool
	Groups *[]string
}

// Arrive returns the user of an identity, who is created if there is none of that name. It is a Conflict if the name
// belongs to somebody else: to another identity, or to a user with a password.
func (a *Accounts) Arrive(ctx context.Context, n Arrival) (hub.User, error) {
	for {
		u, err := a.Get(ctx, n.Name)
		if hub.KindOf(err) == hub.NotFound {
			u, err = a.Create(ctx, n.newUser())
			if hub.KindOf(err) == hub.Conflict {
				continue // another replica was first
			}
			return u, err
		}
		if err != nil {
			return u, err
		}
		if u.Identity == nil && !n.Adopt {
			return u, hub.Errorf(hub.Conflict, "The user name %s belongs to somebody else here.", u.Name)
		}
		return a.Update(ctx, n.Name, n.changes(u))
	}
}

func (n *Arrival) newUser() NewUser {
	user := NewUser{Name: n.Name, Identity: &n.Identity}
	if n.Admin != nil {
		user.Admin = *n.Admin
	}
	if n.Groups != nil {
		user.Groups = *n.Groups
	}
	return user
}

// changes are only those that u needs: a change of rights ends edge tokens.
func (n *Arrival) changes(u hub.User) Change {
	c := Change{Identity: &n.Identity}
	if n.Admin != nil && *n.Admin != u.Admin {
		c.Admin = n.Admin
	}
	if n.Groups != nil && !slices.Equal(*n.Groups, u.Groups) {
		c.Groups = n.Groups
	}
	return c
}

// Unbind forgets the identity of a user, so that the next one who signs in by this name becomes the user, and signs the
// user out.
func (a *Accounts) Unbind(ctx context.Context, name hub.UserName) error {
	u, err := a.update(ctx, name, func(_ *store.Txn, u *hub.User) error {
		u.Identity = nil
		return nil
	})
	if err != nil {
		return err
	}
	return a.tokens.EndSessions(ctx, u.ID)
}
