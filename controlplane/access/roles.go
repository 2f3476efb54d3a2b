package access

import (
	"fmt"
	"slices"
)

// Role is a named list of raw scopes.
type Role struct {
	// Name is how assignments refer to the role.
	Name string
	// Description is shown to people.
	Description string
	// Scopes are raw: not expanded, short forms not filled in.
	Scopes []string
}

// DefaultRoles returns the roles every hub has: user for every user, admin for
// administrators, server for the token of a server, token for new API tokens.
// The caller may change the result.
func DefaultRoles() []Role {
	return []Role{
		{"user", "Standard user privileges", []string{Self}},
		{"admin", "Elevated privileges (can do anything)", []string{
			"admin-ui", "admin:users", "admin:servers", "admin:services", "tokens", "admin:groups",
			"list:services", "read:services", "read:hub", "proxy", "shutdown",
			"access:services", "access:servers", "read:roles", "read:metrics", "shares",
		}},
		{"server", "Post activity only", []string{"users:activity!user", "access:servers!server"}},
		{"token", "Token with same permissions as its owner", []string{Inherit}},
	}
}

// RoleScopes returns the raw scopes of the named roles, each once, in the order
// of the roles named. A name that is not among the roles is an error.
func RoleScopes(roles []Role, names ...string) ([]string, error) {
	var scopes []string
	for _, name := range names {
		i := slices.IndexFunc(roles, func(r Role) bool { return r.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("role %q does not exist", name)
		}
		for _, scope := range roles[i].Scopes {
			if !slices.Contains(scopes, scope) {
				scopes = append(scopes, scope)
			}
		}
	}
	return scopes, nil
}
