package hub

import "time"

// Route is a route that an administrator made by hand: a prefix of this site that leads to a program the hub does not run.
// Its key in the store is its prefix. What edges read of it is a record of its own, written in the same transaction.
type Route struct {
	Schema int `json:"v"`
	// Prefix and Target are those of routes.Route, Auth is one of routes.AuthNone, AuthPass, AuthSecret and AuthHeaders.
	Prefix string `json:"prefix"`
	Target string `json:"target"`
	Auth   string `json:"auth"`
	// Secret is what the edge presents, or signs identity headers with.
	Secret string `json:"secret,omitempty"`
	// Users and Groups may visit, and administrators.
	Users   []UserRef `json:"users,omitempty"`
	Groups  []string  `json:"groups,omitempty"`
	Created time.Time `json:"created"`
}

// UserRef is a user as a list names one: the id counts, the name is for people. A later user of the name is somebody else.
type UserRef struct {
	ID   string   `json:"id"`
	Name UserName `json:"name"`
}
