package spawn

import (
	"context"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
)

// OfUsers lists the servers of several users that are not stopped, or all of them. It reads the servers of those who have
// some, many at a time.
func (m *Manager) OfUsers(ctx context.Context, users []hub.User, withStopped bool) (map[hub.UserName][]hub.Server, error) {
	if withStopped {
		return m.allOfUsers(ctx, users)
	}
	var ids []string
	for i := range users {
		for name := range users[i].Servers {
			ids = append(ids, serverID(users[i].Name, name))
		}
	}
	records, err := m.servers.GetMany(ctx, ids)
	if err != nil {
		return nil, err
	}
	found := map[hub.UserName][]hub.Server{}
	for _, id := range ids {
		if r, ok := records[id]; ok {
			found[r.Value.User] = append(found[r.Value.User], r.Value)
		}
	}
	return found, nil
}

func (m *Manager) allOfUsers(ctx context.Context, users []hub.User) (map[hub.UserName][]hub.Server, error) {
	prefixes := make([]string, len(users))
	for i := range users {
		prefixes[i] = store.ID(string(users[i].Name)) + "/"
	}
	found := map[hub.UserName][]hub.Server{}
	err := m.servers.EachBelow(ctx, prefixes, func(r store.Record[hub.Server]) {
		found[r.Value.User] = append(found[r.Value.User], r.Value)
	})
	return found, err
}
