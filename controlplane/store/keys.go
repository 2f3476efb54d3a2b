package store

import (
	"strings"

	"github.com/edgehub/edgehub/routes"
)

// Trees of the hub's own records, relative to its prefix. Edges cannot read them. The trees that edges read are in
// package routes; keys are built nowhere else.
const (
	Users       = "users/"
	Services    = "services/"
	Servers     = "servers/"
	Tokens      = "tokens/"
	TokenOwners = "token-owners/"
	Sessions    = "sessions/"
	UserSession = "user-sessions/"
	Visits      = "visits/"
	Secrets     = "secrets/"
	SpentLogins = "spent-logins/"
	Members     = "members/"
	HandRoutes  = "hand-routes/"
	Holds       = "holds/"
	Shares      = "shares/"
	SharedWith  = "shared-with/"
	ShareCodes  = "share-codes/"
	ServerCodes = "server-codes/"
	Roles       = "roles/"
	RoleHolders = "role-holders/"
	RoleChanges = "role-changes/"
	Regroups    = "regroups/"
	Audit       = "audit/"
	OAuthCodes  = "oauth/codes/"
	OAuthUsed   = "oauth/used/"
	OAuthIssued = "oauth/issued/"

	Groups       = "groups/"
	GroupMembers = "group-members/"
	UserActivity = "user-activity/"
	UserBlocks   = "user-blocks/"
	UserCounts   = "user-counts/"
	UserNumbers  = "user-numbers/"
	ActiveUsers  = "active-users/"
	ReadyUsers   = "ready-users/"
)

// ID joins the parts of a record's identity into one string, so that different parts never give the same one.
func ID(parts ...string) string {
	escaped := make([]string, len(parts))
	for i, p := range parts {
		escaped[i] = routes.EscapeKey(p)
	}
	return strings.Join(escaped, "/")
}

// Parts reverses ID. It reports false for a string that ID cannot have made.
func Parts(id string) ([]string, bool) {
	parts := strings.Split(id, "/")
	for i, p := range parts {
		s, ok := routes.UnescapeKey(p)
		if !ok {
			return nil, false
		}
		parts[i] = s
	}
	return parts, true
}

// Key is the absolute key of record id in tree.
func (s *Store) Key(tree, id string) string { return s.prefix + tree + id }
