package spawn

import (
	"context"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
)

// update changes a server's record like store.Table.Update, and with it what the user's record says of the server.
func (m *Manager) update(ctx context.Context, id string, change func(*hub.Server) ([]store.Op, error)) (hub.Server, error) {
	var s hub.Server
	err := m.opts.Store.Transact(ctx, func(tx *store.Txn) error {
		var found bool
		var err error
		if s, found, err = m.servers.Read(tx, id); err != nil {
			return err
		}
		if !found {
			return hub.Errorf(hub.NotFound, "No such server.")
		}
		ops, err := change(&s)
		if err != nil {
			return err
		}
		return m.write(tx, &s, ops)
	})
	return s, err
}

// write is the one place that writes a server's state. ops belong to the change.
func (m *Manager) write(tx *store.Txn, s *hub.Server, ops []store.Op) error {
	if err := m.presence.Note(tx, s); err != nil {
		return err
	}
	tx.Do(ops...)
	return m.servers.Write(tx, serverID(s.User, s.Name), *s)
}
