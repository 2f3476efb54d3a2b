package login

import (
	"context"
	"slices"

	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/hub"
)

// admit decides whether a person may sign in, and returns their user as it is now.
func (l *Login) admit(ctx context.Context, c *client, person claims) (hub.User, error) {
	name, err := c.userName(person)
	if err != nil {
		return hub.User{}, err
	}
	a := account.Arrival{Name: name, Identity: hub.Identity{Issuer: c.Issuer, Subject: person.text("sub")}, Adopt: c.adopt}
	if c.GroupsClaim != "" {
		groups, err := c.groups(person)
		if err != nil {
			return hub.User{}, err
		}
		a.Groups = &groups
	}
	a.Admin = c.admin(&a)
	if err := l.allowed(ctx, c, &a); err != nil {
		l.opts.Log.Info("sign-in refused", "provider", c.Name, "user", name, "err", hub.MessageOf(err))
		return hub.User{}, err
	}
	u, err := l.opts.Accounts.Arrive(ctx, a)
	if hub.KindOf(err) == hub.Conflict {
		l.opts.Log.Warn("sign-in refused: the name belongs to another identity", "provider", c.Name, "user", name)
		err = refused("The user name %s belongs to somebody else here. If that is you, ask your administrator.", name)
	}
	return u, err
}

// admin is whether somebody is an administrator, nil to leave it as it is. Rules about groups also take the rights away.
func (c *client) admin(a *account.Arrival) *bool {
	yes := slices.Contains(c.admins, a.Name)
	if !yes && len(c.AdminGroups) == 0 {
		return nil
	}
	yes = yes || a.Groups != nil && common(*a.Groups, c.AdminGroups)
	return &yes
}

// allowed are JupyterHub's rules: block wins, administrators may, all others need one rule that lets them.
func (l *Login) allowed(ctx context.Context, c *client, a *account.Arrival) error {
	if slices.Contains(c.blocked, a.Name) {
		return refused("You are not allowed to sign in here, %s.", a.Name)
	}
	if c.AllowAll || a.Admin != nil && *a.Admin || slices.Contains(c.allow, a.Name) || a.Groups != nil && common(*a.Groups, c.AllowedGroups) {
		return nil
	}
	if c.AllowExistingUsers {
		_, err := l.opts.Accounts.Get(ctx, a.Name)
		if hub.KindOf(err) != hub.NotFound {
			return err
		}
	}
	return refused("You are not allowed to sign in here, %s. Ask your administrator to let you in.", a.Name)
}

func common(a, b []string) bool {
	return slices.ContainsFunc(a, func(s string) bool { return slices.Contains(b, s) })
}
