package account

import (
	"context"
	"slices"

	"github.com/edgehub/edgehub/controlplane/access"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
	"github.com/edgehub/edgehub/routes"
)

// Caller is who makes a request, with what they may do now.
type Caller struct {
	// User is set for people and their tokens, Service for services. Exactly one of them is.
	User    *hub.User
	Service string
	// Token or Session is what they presented.
	Token   *hub.Token
	Session *hub.Session
	Scopes  access.Set

	// rights are the owner's, and byRole is the part of Scopes that no share gives.
	rights rights
	byRole access.Set
}

// Name is the caller's name for messages and logs.
func (c *Caller) Name() string {
	if c.User != nil {
		return string(c.User.Name)
	}
	return c.Service
}

// Admin reports whether the caller has the role admin; scopes say what it may do.
func (c *Caller) Admin() bool {
	return c.User != nil && c.User.Admin || slices.Contains(c.rights.roles, "admin")
}

// ByToken returns the caller behind an API token, or an Unauthenticated error.
func (a *Accounts) ByToken(ctx context.Context, secret string) (*Caller, error) {
	t, err := a.tokens.Find(ctx, secret)
	if err != nil {
		return nil, err
	}
	c := &Caller{Token: &t, Service: t.Service}
	if t.Service != "" {
		c.rights, err = a.serviceRights(ctx, t.Service)
	} else {
		if c.User, err = a.owner(ctx, t.User, t.UserID); err != nil {
			return nil, err
		}
		c.rights, err = a.userRights(ctx, *c.User)
	}
	if err != nil {
		return nil, err
	}
	c.Scopes = a.limited(ctx, c.rights, c.rights.all, t)
	if c.byRole = c.Scopes; c.rights.shared {
		c.byRole = a.limited(ctx, c.rights, c.rights.byRole, t)
	}
	return c, nil
}

// BySession returns the caller behind a session cookie, or an Unauthenticated error.
func (a *Accounts) BySession(ctx context.Context, secret string) (*Caller, error) {
	s, err := a.tokens.FindSession(ctx, secret)
	if err != nil {
		return nil, err
	}
	return a.ofSession(ctx, s)
}

// Renew returns the caller whose edge token the claims are from, if the session or API token behind it still is. It is how
// an edge gets a fresh edge token before the old one expires.
func (a *Accounts) Renew(ctx context.Context, claims *routes.Claims) (*Caller, error) {
	s, err := a.tokens.SessionByID(ctx, claims.UserID, claims.Session)
	if err != nil {
		return nil, err
	}
	a.tokens.UseSession(ctx, s, "", "")
	return a.ofSession(ctx, s)
}

func (a *Accounts) ofSession(ctx context.Context, s hub.Session) (*Caller, error) {
	u, err := a.owner(ctx, s.User, s.UserID)
	if err != nil {
		return nil, err
	}
	return a.OfSession(ctx, *u, s)
}

// ByPassword returns the caller who knows the password of a user, or an Unauthenticated error.
func (a *Accounts) ByPassword(ctx context.Context, name, password string) (*Caller, error) {
	u, err := a.Authenticate(ctx, name, password)
	if err != nil {
		return nil, err
	}
	r, err := a.userRights(ctx, u)
	return &Caller{User: &u, Scopes: r.all, rights: r, byRole: r.byRole}, err
}

// OfSession returns the caller behind a session of u that has just begun.
func (a *Accounts) OfSession(ctx context.Context, u hub.User, s hub.Session) (*Caller, error) {
	r, err := a.userRights(ctx, u)
	return &Caller{User: &u, Session: &s, Scopes: r.all, rights: r, byRole: r.byRole}, err
}

// owner returns the user of a credential, unless the name belongs to somebody else by now.
func (a *Accounts) owner(ctx context.Context, name hub.UserName, id string) (*hub.User, error) {
	u, err := a.Get(ctx, name)
	if err != nil && hub.KindOf(err) != hub.NotFound {
		return nil, err
	}
	if err != nil || u.ID != id {
		return nil, hub.Errorf(hub.Unauthenticated, "Missing or invalid credentials.")
	}
	return &u, nil
}

// groupsOf tells access the groups of a user. A user who cannot be read has none: fail closed.
func (a *Accounts) groupsOf(ctx context.Context) func(string) []string {
	return func(user string) []string {
		u, err := a.Get(ctx, hub.UserName(user))
		if err != nil {
			return nil
		}
		return u.Groups
	}
}

// PutAdminService makes sure that the service exists, has the role admin, and that secret is its one token.
func (a *Accounts) PutAdminService(ctx context.Context, name, secret string) error {
	err := a.services.Create(ctx, store.ID(name), hub.Service{Schema: hub.Schema, Name: name, Admin: true})
	if hub.KindOf(err) == hub.Conflict {
		_, err = a.services.Update(ctx, store.ID(name), func(s *hub.Service) ([]store.Op, error) {
			if s.Admin {
				return nil, store.ErrUnchanged
			}
			s.Admin = true
			return nil, nil
		})
	}
	if err != nil {
		return err
	}
	return a.tokens.AdoptForService(ctx, hub.Token{Service: name, Note: "bootstrap token file", Scopes: []string{"inherit"}}, secret)
}
