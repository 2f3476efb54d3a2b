package hub

import "regexp"

// Role is a named list of scopes. Its key in the store is its name.
//
// A user has the roles that User.Roles names, those of which Users names the user, and those that one of the user's groups
// has. There is no list of everybody who was given a role: a RoleHolder for each is the index.
type Role struct {
	Schema int `json:"v"`
	// ID is random and never used again: who had a role that was deleted does not have a later one of its name.
	ID          string `json:"id"`
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	// Scopes are raw: what they are worth is computed at each use (package access).
	Scopes []string `json:"scopes"`
	// Users come from the configuration file, which may name users before there are any.
	Users []UserName `json:"users,omitempty"`
	// Groups and Services have the role by name.
	Groups   []string `json:"groups,omitempty"`
	Services []string `json:"services,omitempty"`
	// Config says that the configuration file has this role: nobody else may change its scopes. FromConfig lists which of
	// users, groups and services it lists, so that nobody else may change these either.
	Config     bool     `json:"config,omitempty"`
	FromConfig []string `json:"from_config,omitempty"`
	// Ending says that the role was deleted and grants nothing. It stays until the records of its holders are tidied up.
	Ending bool `json:"ending,omitempty"`
}

// RoleHolder says that User.Roles of this user names a role. Its key in the store is the role and the user's id.
type RoleHolder struct {
	Schema int      `json:"v"`
	Role   string   `json:"role"` // the role's id
	User   UserName `json:"user"`
}

// RoleChanges is the one record that every change of a Role writes too. Its revision says whether what a replica knows of all
// roles is still true, and whether an edge token was issued before or after a change.
type RoleChanges struct {
	Schema int `json:"v"`
	// Shares says that there is a Share, or was one.
	Shares bool `json:"shares,omitempty"`
}

// Regroup says that a user's groups or shares have changed and that the routes of the user's servers may not say so yet. Its key in
// the store is the user's name, and it goes with the write of the change; or a server's, and it goes with the write of its route.
type Regroup struct {
	Schema int      `json:"v"`
	User   UserName `json:"user"`
}

// defaultRoles are those that every hub has. They cannot be deleted.
var defaultRoles = map[string]bool{"user": true, "admin": true, "server": true, "token": true}

// IsDefaultRole reports whether every hub has the role.
func IsDefaultRole(name string) bool { return defaultRoles[name] }

// CheckRoleName refuses what cannot be the name of a role, by JupyterHub's rule.
func CheckRoleName(name string) error {
	if !roleName.MatchString(name) {
		return Errorf(Invalid, "Invalid role name: %s. It has 3 to 255 of a-z, 0-9 and -_~. and begins with a letter and ends with a letter or digit.", Clip(name))
	}
	return nil
}

var roleName = regexp.MustCompile(`^[a-z][a-z0-9\-_~.]{1,253}[a-z0-9]$`)
