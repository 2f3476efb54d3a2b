package account

import (
	"context"
	"time"

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
}

// Name is the caller's name for messages and logs.
func (c *Caller) Name() string {
	if c.User != nil {
		return string(c.User.Name)
	}
	return c.Service
}

// Admin reports whether the caller has the admin flag itself; scopes say what it may do.
func (c *Caller) Admin() bool {
	return c.User != nil && c.User.Admin || c.Service != "" && c.Scopes.Has("admin:users")
}

// ByToken returns the caller behind an API token, or an Unauthenticated error.
func (a *Accounts) ByToken(ctx context.Context, secret string) (*Caller, error) {
	t, err := a.tokens.Find(ctx, secret)
	if err != nil {
		return nil, err
	}
	c := &Caller{Token: &t, Service: t.Service}
	var scopes access.Set
	owner := access.Owner{Service: t.Service, Server: t.Server}
	if t.Service != "" {
		scopes, err = a.serviceScopes(ctx, t.Service)
	} else {
		if c.User, err = a.owner(ctx, t.User, t.UserID); err != nil {
			return nil, err
		}
		owner.User, owner.Groups = string(c.User.Name), c.User.Groups
		scopes, err = UserScopes(*c.User)
	}
	if err != nil {
		return nil, err
	}
	c.Scopes, err = access.TokenScopes(t.Scopes, owner, scopes, a.groupsOf(ctx))
	return c, err
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
	return a.ofSession(ctx, s)
}

func (a *Accounts) ofSession(ctx context.Context, s hub.Session) (*Caller, error) {
	u, err := a.owner(ctx, s.User, s.UserID)
	if err != nil {
		return nil, err
	}
	scopes, err := UserScopes(*u)
	return &Caller{User: u, Session: &s, Scopes: scopes}, err
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

// UserScopes are what a user may do now.
func UserScopes(u hub.User) (access.Set, error) {
	roles := []string{"user"}
	if u.Admin {
		roles = append(roles, "admin")
	}
	raw, err := access.RoleScopes(access.DefaultRoles(), roles...)
	if err != nil {
		return access.Set{}, err
	}
	return access.Expand(access.Owner{User: string(u.Name), Groups: u.Groups}, raw...)
}

func (a *Accounts) serviceScopes(ctx context.Context, name string) (access.Set, error) {
	r, err := a.services.Get(ctx, store.ID(name))
	if hub.KindOf(err) == hub.NotFound {
		return access.Set{}, hub.Errorf(hub.Unauthenticated, "Missing or invalid credentials.")
	}
	if err != nil {
		return access.Set{}, err
	}
	raw := r.Value.Scopes
	if r.Value.Admin {
		admin, err := access.RoleScopes(access.DefaultRoles(), "admin")
		if err != nil {
			return access.Set{}, err
		}
		raw = append(admin, raw...)
	}
	return access.Expand(access.Owner{Service: name}, raw...)
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

// EdgeToken signs the edge token of a caller and says for how long it is good: never longer than the session or API token
// behind it. On a user's host only a token for that host is good, on the hub's only one for no host.
func (a *Accounts) EdgeToken(ctx context.Context, c *Caller, host string) (string, time.Duration, error) {
	claims := routes.Claims{Host: host, Subject: c.Name(), Admin: c.Admin(), Scopes: accessScopes(c)}
	if c.User != nil {
		claims.UserID, claims.Groups, claims.IssuedAt = c.User.ID, c.User.Groups, 0
		if c.User.TokensAfter > 0 {
			claims.IssuedAt = c.User.TokensAfter + 1
		}
	} else {
		claims.UserID = routes.ServiceID + c.Service
	}
	var end time.Time
	if c.Session != nil {
		claims.Session, claims.Epoch, end = c.Session.ID, c.Session.Epoch, c.Session.Expires
	} else {
		claims.Token, end = c.Token.ID, c.Token.Expires
	}
	life := routes.TokenLife * time.Second
	if !end.IsZero() {
		claims.Expires = end.Unix()
		life = min(life, time.Until(end))
	}
	token, err := a.tokens.EdgeToken(ctx, claims)
	return token, life, err
}

// accessScopes are the scopes that matter at an edge. A credential that may do all that its owner may carries
// routes.ScopeInherit, so that the route's own list decides; any other carries its access scopes one by one.
func accessScopes(c *Caller) []string {
	// A service's own list need not have those whom a scope admits, so these scopes are always there.
	services := scopesNamed(c.Scopes, routes.ScopeServices)
	var scopes []string
	if c.Token == nil || len(c.Token.Scopes) == 1 && c.Token.Scopes[0] == routes.ScopeInherit {
		scopes = append(scopes, routes.ScopeInherit)
	}
	if c.Scopes.Has(routes.ScopeAccess) {
		scopes = append(scopes, routes.ScopeAccess)
	}
	if len(scopes) > 0 {
		return append(scopes, services...)
	}
	return append(scopesNamed(c.Scopes, routes.ScopeAccess), services...)
}

// scopesNamed are the scopes of a set with this name, with any filter and without.
func scopesNamed(set access.Set, name string) []string {
	var scopes []string
	for _, s := range set.Strings() {
		if p, err := access.Parse(s); err == nil && p.Name == name {
			scopes = append(scopes, s)
		}
	}
	return scopes
}
