package token

import (
	"context"
	"time"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
	"github.com/edgehub/edgehub/routes"
)

// SessionLife is how long a browser stays signed in, JupyterHub's cookie_max_age_days.
const SessionLife = 14 * 24 * time.Hour

// StartSession stores a new browser session of u and returns it with the secret for its cookie.
func (s *Service) StartSession(ctx context.Context, u hub.User) (hub.Session, string, error) {
	rec, err := s.signing.read(ctx)
	if err != nil {
		return hub.Session{}, "", err
	}
	secret := randomHex(32)
	now := time.Now().UTC()
	session := hub.Session{Schema: hub.Schema, ID: randomHex(16), User: u.Name, UserID: u.ID, Created: now, Expires: now.Add(SessionLife), Epoch: rec.Epoch}
	h := hash(secret)
	err = s.sessions.Create(ctx, h, session, store.Put(s.byUser.Key(store.ID(u.ID, session.ID)), index{Schema: hub.Schema, Hash: h}))
	return session, secret, err
}

// FindSession returns the unexpired session with this cookie secret, or an Unauthenticated error.
func (s *Service) FindSession(ctx context.Context, secret string) (hub.Session, error) {
	return s.sessionByHash(ctx, hash(secret))
}

func (s *Service) sessionByHash(ctx context.Context, h string) (hub.Session, error) {
	r, err := s.sessions.Get(ctx, h)
	if err != nil && hub.KindOf(err) != hub.NotFound {
		return hub.Session{}, err
	}
	if err != nil || expired(r.Value.Expires) {
		return hub.Session{}, notSignedIn()
	}
	// An emergency rotation ends all sessions in one write, without touching them: their epoch is over. Read after the
	// session, the epoch is not older than it.
	rec, err := s.signing.read(ctx)
	if err == nil && rec.Epoch != r.Value.Epoch {
		err = notSignedIn()
	}
	return r.Value, err
}

func notSignedIn() error { return hub.Errorf(hub.Unauthenticated, "You are not signed in.") }

// SessionByID returns the unexpired session id of a user, or an Unauthenticated error.
func (s *Service) SessionByID(ctx context.Context, userID, id string) (hub.Session, error) {
	entry, err := s.byUser.Get(ctx, store.ID(userID, id))
	if err != nil {
		if hub.KindOf(err) == hub.NotFound {
			err = notSignedIn()
		}
		return hub.Session{}, err
	}
	return s.sessionByHash(ctx, entry.Value.Hash)
}

// EndSession signs one browser out: its session is gone with its OAuth tokens, and edges refuse its edge tokens. Ending one
// that is gone already is not an error.
func (s *Service) EndSession(ctx context.Context, userID, id string) error {
	// Before the session, so that whoever tries again after a failure ends those that are left.
	if err := s.endOAuth(ctx, userID, func(e index) bool { return e.Session == id }); err != nil {
		return err
	}
	entry, err := s.byUser.Get(ctx, store.ID(userID, id))
	if err != nil {
		if hub.KindOf(err) == hub.NotFound {
			return nil
		}
		return err
	}
	err = s.sessions.Delete(ctx, entry.Value.Hash, 0,
		store.Delete(s.byUser.Key(entry.ID)), s.revoke(routes.RevokedSession, id, 0))
	if hub.KindOf(err) == hub.NotFound {
		return nil
	}
	return err
}

// EndSessions signs all of a user's browsers out.
func (s *Service) EndSessions(ctx context.Context, userID string) error {
	entries, err := s.byUser.All(ctx, store.ID(userID)+"/")
	if err != nil {
		return err
	}
	for _, e := range entries {
		parts, ok := store.Parts(e.ID)
		if !ok || len(parts) != 2 {
			continue
		}
		if err := s.EndSession(ctx, userID, parts[1]); err != nil {
			return err
		}
	}
	return nil
}
