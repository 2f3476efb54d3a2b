package token

import (
	"context"
	"time"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
)

// visitLife is how long a browser has to get from the hub to a user's host.
const visitLife = time.Minute

// Visit is what the code of a sign-in on a user's host stands for. It is no credential: it says which session goes where.
type Visit struct {
	Schema int `json:"v"`
	// Host is the only one where the code is good, and State the hash of what the browser has there in a cookie.
	Host  string `json:"host"`
	State string `json:"state"`
	// Session and UserID are the session that signs in, Next is where it wants to go.
	Session string    `json:"session"`
	UserID  string    `json:"user_id"`
	Next    string    `json:"next"`
	Expires time.Time `json:"expires"`
}

// StartVisit returns the code with which a browser of the session signs in on host, once and within a minute.
func (s *Service) StartVisit(ctx context.Context, session hub.Session, host, state, next string) (string, error) {
	code := randomHex(32)
	v := Visit{Schema: hub.Schema, Host: host, State: hash(state), Session: session.ID, UserID: session.UserID, Next: next,
		Expires: time.Now().UTC().Add(visitLife)}
	return code, s.store.Apply(ctx, store.PutFor(s.visits.Key(hash(code)), v, visitLife))
}

// RedeemVisit returns what code stands for if it is used on its host by the browser that has the state, else an
// Unauthenticated error. It is the end of the code either way: of many who use it at once, one at most succeeds.
func (s *Service) RedeemVisit(ctx context.Context, code, host, state string) (Visit, error) {
	refused := hub.Errorf(hub.Unauthenticated, "This code is not valid.")
	r, err := s.visits.Get(ctx, hash(code))
	if err == nil {
		err = s.visits.Delete(ctx, r.ID, r.Revision)
	}
	if kind := hub.KindOf(err); err != nil && (kind == hub.NotFound || kind == hub.Conflict) {
		return Visit{}, refused
	}
	if err != nil {
		return Visit{}, err
	}
	if r.Value.Host != host || r.Value.State != hash(state) || expired(r.Value.Expires) {
		return Visit{}, refused
	}
	return r.Value, nil
}
