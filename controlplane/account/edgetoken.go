package account

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"time"

	"github.com/edgehub/edgehub/controlplane/access"
	"github.com/edgehub/edgehub/routes"
)

// claimRoom is how many bytes groups, scopes and roles may take of an edge token, which has a longest length. Of what does not
// fit the last is left out: less is granted, never more.
const claimRoom = 2100

// EdgeToken signs the edge token of a caller and says for how long it is good: never longer than the session or API token
// behind it. On a user's host only a token for that host is good, on the hub's only one for no host.
func (a *Accounts) EdgeToken(ctx context.Context, c *Caller, host string) (string, time.Duration, error) {
	claims := routes.Claims{Host: host, Subject: c.Name(), Admin: c.Admin(), UserID: routes.ServiceID + c.Service,
		Revision: c.rights.book.revision}
	room := claimRoom
	if c.User != nil {
		claims.UserID, claims.Groups, claims.UserRevision = c.User.ID, c.User.Groups, c.revision
		if c.User.TokensAfter > 0 {
			claims.IssuedAt = c.User.TokensAfter + 1
		}
		_, room = fit(c.User.Groups, room)
	}
	claims.Roles, room = fitMarks(c.rights.roles, room)
	claims.Scopes, room = fit(accessScopes(c), room)
	claims.Grants, _ = fit(grants(c), room)
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
	var scopes []string
	whole := c.Token == nil || len(c.Token.Scopes) == 1 && c.Token.Scopes[0] == routes.ScopeInherit
	if whole && (c.User == nil || c.Scopes.Allows(routes.ScopeAccess, access.Resource{User: string(c.User.Name), UserGroups: c.User.Groups})) {
		scopes = append(scopes, routes.ScopeInherit)
	}
	if c.Scopes.Has(routes.ScopeAccess) {
		scopes = append(scopes, routes.ScopeAccess)
	}
	if len(scopes) == 0 {
		scopes = filtered(c.Scopes, routes.ScopeAccess)
	}
	// The list of a service need not have those whom a scope admits, so these are always there.
	return append(scopes, filtered(c.Scopes, routes.ScopeServices)...)
}

// grants are the access scopes by which roles let the caller visit servers of others.
func grants(c *Caller) []string {
	if c.byRole.Has(routes.ScopeAccess) {
		return nil
	}
	own := ""
	if c.User != nil {
		own = routes.ScopeAccess + "!user=" + string(c.User.Name)
	}
	var scopes []string
	for _, s := range filtered(c.byRole, routes.ScopeAccess) {
		if s != own {
			scopes = append(scopes, s)
		}
	}
	return scopes
}

// filtered are the scopes of a set with this name, each with its filter if it has one.
func filtered(set access.Set, name string) []string {
	var scopes []string
	for _, s := range set.Strings() {
		if p, err := access.Parse(s); err == nil && p.Name == name {
			scopes = append(scopes, s)
		}
	}
	return scopes
}

// mark is by what edges know a role: short, because tokens carry it. Two roles of one mark are revoked together.
func mark(role string) string {
	sum := sha256.Sum256([]byte(role))
	return base64.RawURLEncoding.EncodeToString(sum[:6])
}

// fitMarks are the marks of roles, or AnyRole if they do not fit.
func fitMarks(roles []string, room int) ([]string, int) {
	marks := make([]string, len(roles))
	for i, name := range roles {
		marks[i] = mark(name)
	}
	if fitting, left := fit(marks, room); len(fitting) == len(marks) {
		return fitting, left
	}
	return []string{routes.AnyRole}, room - len(routes.AnyRole) - quotes
}

// quotes is what a short string costs in JSON besides itself.
const quotes = 3

// fit returns as much of the list as has room, and the room that is left.
func fit(list []string, room int) ([]string, int) {
	for i, s := range list {
		if len(s)+quotes > room {
			return list[:i], room
		}
		room -= len(s) + quotes
	}
	return list, room
}
