package spawn

import (
	"context"
	"time"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
)

// Active notes activity of a server, to hub.ActivityResolution. The time only moves forward.
func (m *Manager) Active(ctx context.Context, user hub.UserName, name hub.ServerName, at time.Time) error {
	_, err := m.servers.Update(ctx, serverID(user, name), func(s *hub.Server) ([]store.Op, error) {
		if !hub.ActivityMoves(s.LastActivity, at) {
			return nil, store.ErrUnchanged
		}
		s.LastActivity = at
		return nil, nil
	})
	return err
}

// Activity is when one start of a server was last used.
type Activity struct {
	User hub.UserName
	Name hub.ServerName
	Gen  int64
	At   time.Time
}

// moves reports whether a is worth a write to s: another start's activity is not this one's.
func (a *Activity) moves(s *hub.Server) bool {
	return s.State == hub.Running && s.Gen == a.Gen && hub.ActivityMoves(s.LastActivity, a.At)
}

// DueActivity returns those of many activities that are worth a write. Most are not, and cost a part of one read.
func (m *Manager) DueActivity(ctx context.Context, all []Activity) ([]Activity, error) {
	ids := make([]string, len(all))
	for i := range all {
		ids[i] = serverID(all[i].User, all[i].Name)
	}
	records, err := m.servers.GetMany(ctx, ids)
	if err != nil {
		return nil, err
	}
	var due []Activity
	for i := range all {
		if r, ok := records[ids[i]]; ok && all[i].moves(&r.Value) {
			due = append(due, all[i])
		}
	}
	return due, nil
}

// NoteActivity writes one that is due. The server may have been stopped or removed meanwhile: then there is nothing to note.
func (m *Manager) NoteActivity(ctx context.Context, a Activity) error {
	_, err := m.servers.Update(ctx, serverID(a.User, a.Name), func(s *hub.Server) ([]store.Op, error) {
		if !a.moves(s) {
			return nil, store.ErrUnchanged
		}
		s.LastActivity = a.At
		return nil, nil
	})
	if hub.KindOf(err) == hub.NotFound {
		return nil
	}
	return err
}
