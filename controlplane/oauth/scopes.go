package oauth

import (
	"context"
	"slices"

	"github.com/edgehub/edgehub/controlplane/access"
	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/hub"
)

// required are the scopes of every access token: who its person is, and that the client is open to them. They are granted
// without being asked for.
func (c *client) required(u hub.User) []string {
	return append([]string{"read:users:groups!user", "read:users:name!user"}, access.AccessScopes(c.owner(u))...)
}

// admits reports whether the caller may use the client at all.
func (p *provider) admits(ctx context.Context, caller *account.Caller, c *client) (bool, error) {
	if c.public {
		return true, nil
	}
	if c.server == nil {
		return caller.Scopes.Allows("access:services", access.Resource{Service: c.service}), nil
	}
	owner, err := p.Accounts.Get(ctx, c.server.User)
	if err != nil && hub.KindOf(err) != hub.NotFound {
		return false, err
	}
	if err != nil || owner.ID != c.server.UserID {
		return false, nil
	}
	name := string(c.server.Name)
	return caller.Scopes.Allows("access:servers", access.Resource{User: string(owner.Name), UserGroups: owner.Groups, Server: &name}), nil
}

// grantable are the scopes that a client gets if the caller agrees: of those that it asks for, or else of all that it may
// ask for, what the caller holds. A scope that the client may not ask for is a protocolError.
func (p *provider) grantable(ctx context.Context, caller *account.Caller, req *request) ([]string, error) {
	c, u := req.client, *caller.User
	asked := req.scopes
	if !req.asked {
		asked = c.allowed
	}
	if slices.Contains(asked, access.Inherit) && slices.Contains(c.allowed, access.Inherit) {
		return []string{access.Inherit}, nil
	}
	if err := p.mayAsk(ctx, c, asked, u); err != nil {
		return nil, err
	}
	granted := c.required(u)
	for _, scope := range asked {
		held, err := p.holds(ctx, scope, c.owner(u), caller.Scopes)
		if err != nil {
			return nil, err
		}
		granted = append(granted, held...)
	}
	slices.Sort(granted)
	return slices.Compact(granted), nil
}

// mayAsk refuses scopes that are beyond what the client is allowed.
func (p *provider) mayAsk(ctx context.Context, c *client, asked []string, u hub.User) error {
	wanted, err := p.Accounts.Catalog().Expand(c.owner(u), asked...)
	if err != nil {
		return wrong("invalid_scope", err.Error())
	}
	if slices.Contains(c.allowed, access.Inherit) {
		return nil
	}
	allowed, err := p.Accounts.Catalog().Expand(c.owner(u), append(c.required(u), c.allowed...)...)
	if err != nil {
		return err
	}
	if excess := p.Accounts.Excess(ctx, wanted, allowed); len(excess) > 0 {
		return wrong("invalid_scope", "The client may not ask for "+hub.Clip(excess[0])+".")
	}
	return nil
}

// holds is scope if it is held as a whole, else the parts of it that are. The short forms are filled in, so that a token means
// the same for ever.
func (p *provider) holds(ctx context.Context, scope string, owner access.Owner, held access.Set) ([]string, error) {
	wanted, err := p.Accounts.Catalog().Expand(owner, scope)
	if err != nil {
		return nil, wrong("invalid_scope", err.Error())
	}
	if len(p.Accounts.Excess(ctx, wanted, held)) > 0 || len(access.Unresolved(owner, scope)) > 0 {
		return p.Accounts.Common(ctx, wanted, held).Strings(), nil
	}
	return []string{resolved(scope, owner)}, nil
}

// resolved is scope with a short form filled in. Those of the token's own user stay as they are.
func resolved(scope string, owner access.Owner) string {
	p, err := access.Parse(scope)
	if err != nil || !p.Short() {
		return scope
	}
	switch p.FilterKind {
	case access.FilterServer:
		p.FilterValue = owner.Server
	case access.FilterService:
		p.FilterValue = owner.Service
	}
	return p.String()
}

// needsConsent reports whether the caller must be asked: not for their own servers, not for clients that the operator trusts,
// and not for what they granted this client before and it still has.
func (p *provider) needsConsent(ctx context.Context, caller *account.Caller, c *client, scopes []string) (bool, error) {
	if c.public {
		return true, nil // anybody can say that they are it (RFC 8252, 8.6)
	}
	if c.ofUser(*caller.User) || c.noConfirm {
		return false, nil
	}
	tokens, err := p.Tokens.OfClient(ctx, caller.User.ID, c.id)
	if err != nil {
		return false, err
	}
	for _, scope := range scopes {
		if !slices.ContainsFunc(tokens, func(t hub.Token) bool { return slices.Contains(t.Scopes, scope) }) {
			return true, nil
		}
	}
	return false, nil
}
