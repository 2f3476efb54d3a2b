package spawn

import (
	"context"
	"crypto/rand"
	"encoding/hex"

	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
)

// maxNamed is how many named servers a user can have, running or not.
const maxNamed = 100

// Settings are what users choose of a server.
type Settings struct {
	// DisplayName is left as it is if it is empty.
	DisplayName string
	// Options are the user_options, nil for those that there are.
	Options map[string]any
}

func (c Settings) apply(s *hub.Server) {
	if c.DisplayName != "" {
		s.DisplayName = c.DisplayName
	}
	if c.Options != nil {
		s.Options = c.Options
	}
}

// newServer is the record of a server that there was none of.
func (m *Manager) newServer(ctx context.Context, u hub.User, name hub.ServerName) (hub.Server, error) {
	b := make([]byte, 12)
	_, _ = rand.Read(b) // never fails since Go 1.24
	s := hub.Server{Schema: hub.Schema, ID: hex.EncodeToString(b), User: u.Name, UserID: u.ID, Name: name, State: hub.Stopped}
	return s, m.roomFor(ctx, u.Name, name)
}

// roomFor refuses a named server to a user who has very many.
func (m *Manager) roomFor(ctx context.Context, user hub.UserName, name hub.ServerName) error {
	if name == "" {
		return nil
	}
	from := store.ID(string(user), "")                                                                     // the default server's, which is the first
	n, err := m.servers.Count(ctx, store.Range{From: store.After(from), To: store.ID(string(user)) + "0"}) // "0" comes after "/"
	if err == nil && n >= maxNamed {
		err = hub.Errorf(hub.Invalid, "User %s already has the maximum of %d named servers. One must be deleted before a new server can be created", user, maxNamed)
	}
	return err
}

// Create makes the record of a named server, and does not start it. It returns a Conflict error if there is one.
func (m *Manager) Create(ctx context.Context, u hub.User, name hub.ServerName, settings Settings) (hub.Server, error) {
	var s hub.Server
	err := m.opts.Store.Transact(ctx, func(tx *store.Txn) error {
		if err := m.free(tx, u, name); err != nil {
			return err
		}
		var err error
		if s, err = m.newServer(ctx, u, name); err != nil {
			return err
		}
		settings.apply(&s)
		return m.servers.Write(tx, serverID(u.Name, name), s)
	})
	return s, err
}

// free refuses a name that another server of the user has, and a user who is gone.
func (m *Manager) free(tx *store.Txn, u hub.User, name hub.ServerName) error {
	if name == "" {
		return hub.Errorf(hub.Conflict, "User %s already has a default server", u.Name)
	}
	if err := m.presence.There(tx, u); err != nil {
		return err
	}
	_, taken, err := m.servers.Read(tx, serverID(u.Name, name))
	if err == nil && taken {
		err = hub.Errorf(hub.Conflict, "User %s already has server '%s'", u.Name, name)
	}
	return err
}

// Configure changes the settings of a stopped server, and its name if to is not nil. Shares and share codes go with the name. A
// server that is not stopped gives an Invalid error with JupyterHub's words.
func (m *Manager) Configure(ctx context.Context, u hub.User, name hub.ServerName, settings Settings, to *hub.ServerName) (hub.Server, error) {
	var s hub.Server
	err := m.opts.Store.Transact(ctx, func(tx *store.Txn) error {
		var err error
		if s, err = m.stoppedServer(ctx, tx, u, name); err != nil {
			return err
		}
		if to != nil {
			if err := m.rename(ctx, tx, u, &s, *to); err != nil {
				return err
			}
		}
		settings.apply(&s)
		return m.servers.Write(tx, serverID(u.Name, s.Name), s)
	})
	return s, err
}

// stoppedServer is the record of a server that can be changed. A user's default server is there even if it never ran.
func (m *Manager) stoppedServer(ctx context.Context, tx *store.Txn, u hub.User, name hub.ServerName) (hub.Server, error) {
	s, found, err := m.servers.Read(tx, serverID(u.Name, name))
	if err == nil && !found && name != "" {
		err = hub.Errorf(hub.NotFound, "%s has no server named '%s'", u.Name, name)
	}
	if err == nil && (s.Active() || s.Remove) {
		err = hub.Errorf(hub.Invalid, "%s is active. Please stop it before modifying it.", displayName(&s))
	}
	if err == nil && !found {
		err = m.presence.There(tx, u)
	}
	if err != nil || found {
		return s, err
	}
	return m.newServer(ctx, u, name)
}

// rename gives a stopped server another name, in the transaction of the change.
func (m *Manager) rename(ctx context.Context, tx *store.Txn, u hub.User, s *hub.Server, to hub.ServerName) error {
	err := m.free(tx, u, to)
	if err == nil && s.Name == "" {
		err = m.roomFor(ctx, u.Name, to) // the default server stays, as a new one
	}
	if err != nil {
		return err
	}
	room, err := m.sharing.Move(ctx, tx, u, &s.Name, func(of account.SharedServer) account.SharedServer {
		return account.SharedServer{Owner: of.Owner, Name: to}
	})
	if err == nil && room+roomOfRename > store.MaxOps {
		err = hub.Errorf(hub.Invalid, "%s has too many shares and share codes to change its name, which is done in one step: end some.", displayName(s))
	}
	if err != nil {
		return err
	}
	from := serverID(u.Name, s.Name)
	s.Name, s.Events = to, nil // which have the old address
	return m.servers.Move(tx, from, serverID(u.Name, to))
}

// roomOfRename is what the rest of a transaction takes that changes the name of a server.
const roomOfRename = 8
