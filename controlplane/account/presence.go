package account

import (
	"maps"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
)

// Presence keeps in users' records, and so in the index, which of their servers are not stopped. It is for package spawn,
// whose transactions it takes part in: no server starts for a user who is being deleted or renamed, and the other way round.
type Presence struct {
	users store.Table[hub.User]
	index index
}

// NewPresence returns that of the users in s.
func NewPresence(s *store.Store) Presence {
	return Presence{users: store.NewTable[hub.User](s, store.Users, "user"), index: newIndex(s)}
}

// Note says in the user's record what a server's record says. It is NotFound if a server shall start whose user is not there
// any more; otherwise nobody's servers are nobody's concern.
func (p Presence) Note(tx *store.Txn, s *hub.Server) error {
	id := store.ID(string(s.User))
	before, found, err := p.users.Read(tx, id)
	if err != nil {
		return err
	}
	if !found || before.ID != s.UserID {
		if s.State == hub.Starting {
			return hub.Errorf(hub.NotFound, "No such user: %s", s.User)
		}
		return nil
	}
	after := before
	after.Servers = maps.Clone(before.Servers)
	switch {
	case before.Servers[s.Name] == s.State || !s.Active() && before.Servers[s.Name] == "":
		return nil
	case !s.Active():
		delete(after.Servers, s.Name)
	case after.Servers == nil:
		after.Servers = map[hub.ServerName]hub.State{s.Name: s.State}
	default:
		after.Servers[s.Name] = s.State
	}
	if err := p.index.change(tx, &before, &after); err != nil {
		return err
	}
	return p.users.Write(tx, id, after)
}

// There is NotFound if a user is not there any more, for a transaction that makes something of theirs.
func (p Presence) There(tx *store.Txn, u hub.User) error {
	now, _, err := p.users.Read(tx, store.ID(string(u.Name)))
	if err == nil && now.ID != u.ID {
		err = hub.Errorf(hub.NotFound, "No such user: %s", u.Name)
	}
	return err
}
