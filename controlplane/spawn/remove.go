package spawn

import (
	"context"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
)

// Remove asks for the end of a named server, as Stop does, and for that of its record with all shares and share codes. A server
// that is stopped is gone when Remove returns; Await tells of others. If the replica dies, another one goes on.
func (m *Manager) Remove(ctx context.Context, user hub.UserName, name hub.ServerName) (hub.Server, error) {
	s, err := m.end(ctx, user, name, true)
	if err == nil && s.Remove && !s.Active() {
		err = m.forget(ctx, s)
	}
	return s, err
}

// finish removes a server that is stopped. What it cannot do now the reconciler does.
func (m *Manager) finish(ctx context.Context, s hub.Server) {
	if err := m.forget(ctx, s); err != nil && ctx.Err() == nil {
		m.log.Warn("cannot remove a server's record yet", "user", s.User, "server", s.Name, "err", err)
	}
}

// forget removes the record of a stopped server, and before it what is shared of the server: a later one of its name is another
// server. Nothing is shared of a server that is marked, so nothing comes in between. Several replicas may be at it.
func (m *Manager) forget(ctx context.Context, s hub.Server) error {
	if err := m.sharing.End(ctx, hub.User{Name: s.User, ID: s.UserID}, &s.Name); err != nil {
		return err
	}
	id := serverID(s.User, s.Name)
	return m.opts.Store.Transact(ctx, func(tx *store.Txn) error {
		now, found, err := m.servers.Read(tx, id)
		if err != nil {
			return err
		}
		if !found || now.ID != s.ID || now.Active() || !now.Remove {
			return store.ErrUnchanged
		}
		return m.servers.Remove(tx, id)
	})
}
