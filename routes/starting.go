package routes

import "encoding/json"

// MaxHold is the longest time in seconds that a request may wait for a server to start.
const MaxHold = 300

// Starting says that a server is being started and that requests of those who may visit it are worth keeping until it
// answers. It is the value of one key below StartingTree. It is there while the server starts, and it goes in the very
// transaction that puts the server's route, or that ends the start otherwise.
type Starting struct {
	Schema int `json:"v"`
	// Prefix is the one that the server's route is going to have.
	Prefix string `json:"prefix"`
	// Owner, OwnerID and Server are those of the route, since they decide who may wait.
	Owner   string `json:"owner"`
	OwnerID string `json:"owner_id"`
	Server  string `json:"server,omitempty"`
	// Gen is the generation of the start.
	Gen int64 `json:"gen"`
	// Hold is how long a request may wait, in seconds.
	Hold int64 `json:"hold"`
}

// ParseStarting reads and checks a record of a start. key is the last segment of its etcd key and must name the same
// prefix.
func ParseStarting(key string, value []byte) (*Starting, error) {
	s := &Starting{}
	if err := json.Unmarshal(value, s); err != nil {
		return nil, ErrRecord
	}
	prefix, ok := UnescapeKey(key)
	if !ok || prefix != s.Prefix || CheckPrefix(s.Prefix) != nil || s.Schema < 1 || s.Schema > Schema+1 {
		return nil, ErrRecord
	}
	if s.Owner == "" || s.OwnerID == "" || s.Hold < 0 || s.Hold > MaxHold {
		return nil, ErrRecord
	}
	return s, nil
}

// AllowsWaiting decides whether the bearer of c may wait for s: the owner, and who may visit all servers. Those with whom
// the server is shared are known when it has a route.
func AllowsWaiting(s *Starting, c *Claims) bool {
	return Allows(&Route{Prefix: s.Prefix, Auth: AuthTicket, Owner: s.Owner, OwnerID: s.OwnerID, Server: s.Server}, c)
}
