package access

import "slices"

// TokenScopes is [Catalog.TokenScopes] with the built-in scopes.
func TokenScopes(stored []string, owner Owner, ownerScopes Set, groupsOf func(string) []string) (Set, error) {
	return builtin.TokenScopes(stored, owner, ownerScopes, groupsOf)
}

// TokenScopes computes what a token may do now: the scopes stored with it and
// those that identify its owner, cut to what the owner holds at this moment.
// If the stored scopes include inherit, that is all the owner holds. Losing a
// role therefore takes effect at once on all tokens.
//
// The stored scopes of an OAuth token include the [AccessScopes] of the client
// that issued it. If groupsOf is nil, membership of the owner is taken from
// owner.Groups and nobody else is in any group. Errors are those of Expand; a
// token whose scopes cannot be read may do nothing.
func (c *Catalog) TokenScopes(
	stored []string, owner Owner, ownerScopes Set, groupsOf func(string) []string,
) (Set, error) {
	if slices.Contains(stored, Inherit) {
		return ownerScopes, nil
	}
	token, err := c.Expand(owner, slices.Concat(stored, IdentifyScopes(owner))...)
	if err != nil {
		return Set{}, err
	}
	return Intersect(token, ownerScopes, owner.membership(groupsOf)), nil
}

// IdentifyScopes returns the scopes that let a token learn who its owner is.
// Every token asks for them; it has them as far as its owner has.
func IdentifyScopes(owner Owner) []string {
	switch {
	case owner.User != "":
		return []string{
			Parsed{"read:users:groups", FilterUser, owner.User}.String(),
			Parsed{"read:users:name", FilterUser, owner.User}.String(),
		}
	case owner.Service != "":
		return []string{Parsed{"read:services:name", FilterService, owner.Service}.String()}
	}
	return nil
}

// AccessScopes returns the scope needed to reach the server or service that
// issued an OAuth token, as named by owner.Server or owner.Service.
func AccessScopes(owner Owner) []string {
	switch {
	case owner.Server != "":
		return []string{Parsed{"access:servers", FilterServer, owner.Server}.String()}
	case owner.Service != "":
		return []string{Parsed{"access:services", FilterService, owner.Service}.String()}
	}
	return nil
}

func (o Owner) membership(groupsOf func(string) []string) func(string) []string {
	if groupsOf != nil {
		return groupsOf
	}
	return func(user string) []string {
		if user == o.User {
			return o.Groups
		}
		return nil
	}
}

// CheckClientScopes refuses scopes that no OAuth client can be allowed to ask for, with an [*Error].
func (c *Catalog) CheckClientScopes(scopes []string) error {
	for _, scope := range scopes {
		if scope == Inherit {
			continue
		}
		if _, err := c.Expand(Owner{}, scope); err != nil {
			return err
		}
	}
	return nil
}
