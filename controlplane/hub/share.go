package hub

import (
	"slices"
	"strings"
	"time"
)

// Share lets a user, or the members of a group, do something with one server of somebody else. Its key in the store is the
// server and who it is shared with; a copy is kept under who that is.
type Share struct {
	Schema int `json:"v"`
	// Owner, OwnerID and Server name the server. A later user of the owner's name shares nothing.
	Owner   UserName   `json:"owner"`
	OwnerID string     `json:"owner_id"`
	Server  ServerName `json:"server"`
	// Exactly one of User and Group is who it is shared with. UserID is the user's id, the name is for people.
	User   UserName `json:"user,omitempty"`
	UserID string   `json:"user_id,omitempty"`
	Group  string   `json:"group,omitempty"`
	// Scopes are raw, each with a filter that names this server.
	Scopes  []string  `json:"scopes"`
	Created time.Time `json:"created"`
}

// ShareCode is what its holder can make a share of a server with. Its key in the store is a hash of the code.
type ShareCode struct {
	Schema int `json:"v"`
	// ID is "sc_" and a random number.
	ID      string     `json:"id"`
	Owner   UserName   `json:"owner"`
	OwnerID string     `json:"owner_id"`
	Server  ServerName `json:"server"`
	Scopes  []string   `json:"scopes"`
	Created time.Time  `json:"created"`
	Expires time.Time  `json:"expires"`
	// Exchanged counts the shares that were made with it.
	Exchanged     int       `json:"exchanged,omitempty"`
	LastExchanged time.Time `json:"last_exchanged,omitzero"`
}

// Admits are the ids of the users and the groups that shares let visit a server of this owner. Edges have them in its route.
func Admits(shares []Share, ownerID string) (users, groups []string) {
	for _, sh := range shares {
		visits := func(scope string) bool { return strings.HasPrefix(scope, "access:servers!") }
		switch {
		case sh.OwnerID != ownerID || !slices.ContainsFunc(sh.Scopes, visits):
		case sh.Group != "":
			groups = append(groups, sh.Group)
		default:
			users = append(users, sh.UserID)
		}
	}
	return users, groups
}
