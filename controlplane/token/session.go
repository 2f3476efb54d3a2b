package token

import (
	"context"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

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

// OfUserSessions lists a user's sessions, the newest last. Those that are over are removed on the way.
func (s *Service) OfUserSessions(ctx context.Context, userID string) ([]hub.Session, error) {
	entries, err := s.byUser.All(ctx, store.ID(userID)+"/")
	if err != nil {
		return nil, err
	}
	rec, err := s.signing.read(ctx)
	if err != nil {
		return nil, err
	}
	var all []hub.Session
	for _, e := range entries {
		r, err := s.sessions.Get(ctx, e.Value.Hash)
		if err == nil && !expired(r.Value.Expires) && r.Value.Epoch == rec.Epoch {
			all = append(all, r.Value)
			continue
		}
		if err == nil {
			err = s.dropSession(ctx, e)
		}
		if err != nil && hub.KindOf(err) != hub.NotFound {
			return nil, err
		}
	}
	slices.SortFunc(all, func(a, b hub.Session) int { return a.Created.Compare(b.Created) })
	return all, nil
}

// maxAgent is how much of what a browser says of itself is kept, in bytes.
const maxAgent = 200

// UseSession records that a browser used its session, at most once a minute. agent and address may be empty. It is only a
// hint: it must not fail the request.
func (s *Service) UseSession(ctx context.Context, session hub.Session, agent, address string) {
	now := time.Now().UTC()
	if now.Sub(session.LastActivity) <= lastUseEvery {
		return
	}
	entry, err := s.byUser.Get(ctx, store.ID(session.UserID, session.ID))
	if err != nil {
		return
	}
	_, _ = s.sessions.Update(ctx, entry.Value.Hash, func(rec *hub.Session) ([]store.Op, error) {
		if now.Sub(rec.LastActivity) <= lastUseEvery {
			return nil, store.ErrUnchanged // another request was first
		}
		rec.LastActivity = now
		if agent != "" {
			rec.Agent = clip(agent)
		}
		if address != "" {
			rec.Address = clip(address)
		}
		return nil, nil
	})
}

// clip makes what a browser sent printable and short.
func clip(text string) string {
	text = strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return '?'
		}
		return c
	}, strings.ToValidUTF8(text, "?"))
	for len(text) > maxAgent {
		_, size := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-size]
	}
	return text
}

// EndSession signs one browser out: its session and the API tokens that it caused are gone, and edges refuse its edge tokens.
// Ending one that is gone already is not an error.
func (s *Service) EndSession(ctx context.Context, userID, id string) error {
	caused := func(session string) bool { return session == id }
	// First, because nobody signs out again who is not signed in: if this fails, the session goes on.
	if err := s.endCaused(ctx, userID, caused); err != nil {
		return err
	}
	entry, err := s.byUser.Get(ctx, store.ID(userID, id))
	if err == nil {
		err = s.dropSession(ctx, entry)
	}
	if err != nil && hub.KindOf(err) != hub.NotFound {
		return err
	}
	return s.endCaused(ctx, userID, caused) // those of the meantime: nobody gets one for a session that is gone
}

// dropSession ends the session that an entry of a user's list points to.
func (s *Service) dropSession(ctx context.Context, entry store.Record[index]) error {
	parts, ok := store.Parts(entry.ID)
	if !ok || len(parts) != 2 {
		return hub.Errorf(hub.Internal, "A session's key cannot be read.")
	}
	return s.sessions.Delete(ctx, entry.Value.Hash, 0,
		store.Delete(s.byUser.Key(entry.ID)), s.revoke(routes.RevokedSession, parts[1], 0))
}

// endCaused ends the API tokens of a user that a session caused, of those sessions that match.
func (s *Service) endCaused(ctx context.Context, userID string, match func(session string) bool) error {
	entries, err := s.owners.All(ctx, store.ID("user", userID)+"/")
	if err != nil {
		return err
	}
	for _, e := range entries {
		r, err := s.tokens.Get(ctx, e.Value.Hash)
		if err == nil && r.Value.Session != "" && match(r.Value.Session) {
			err = s.deleteEntry(ctx, e)
		}
		if err != nil && hub.KindOf(err) != hub.NotFound {
			return err
		}
	}
	return nil
}

// EndSessions signs all of a user's browsers out, as EndSession does with one.
func (s *Service) EndSessions(ctx context.Context, userID string) error {
	all := func(string) bool { return true }
	if err := s.endCaused(ctx, userID, all); err != nil {
		return err
	}
	entries, err := s.byUser.All(ctx, store.ID(userID)+"/")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := s.dropSession(ctx, e); err != nil && hub.KindOf(err) != hub.NotFound {
			return err
		}
	}
	return s.endCaused(ctx, userID, all)
}
