// Package token issues, finds and revokes API tokens, browser sessions and edge tokens, and publishes what edges need
// to verify and refuse them. It decides nothing about rights.
//
// Invariants: a secret is stored only as its SHA-256, which is also its key, so finding one costs the same whatever
// their number. Whatever ends a token or a session writes its revocation in the same transaction, or, for all sessions at
// once, begins a new epoch. Nothing that edges can read helps to sign in.
package token

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"math/big"
	"strconv"
	"time"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
	"github.com/edgehub/edgehub/routes"
)

// revokedFor is how long a revocation is kept: no edge token that it ends can still be valid afterwards.
const revokedFor = (routes.TokenLife + 2*routes.Leeway) * time.Second

// lastUseEvery is how often the last use of a token is written at most.
const lastUseEvery = time.Minute

// Service is the token service of one hub. It is safe for concurrent use and keeps no state.
type Service struct {
	store    *store.Store
	tokens   store.Table[hub.Token]
	owners   store.Table[index]
	sessions store.Table[hub.Session]
	byUser   store.Table[index]
	visits   store.Table[Visit]
	codes    store.Table[Code]
	used     store.Table[usedCode]
	issued   store.Table[issued]
	signing  *Signing
}

// index points from an owner's list to the record.
type index struct {
	Schema int    `json:"v"`
	Hash   string `json:"hash"`
	// Session, Client, Issuer and Expires are those of an OAuth token, so that finding its like needs no other read.
	Session string    `json:"session,omitempty"`
	Client  string    `json:"client,omitempty"`
	Issuer  string    `json:"issuer,omitempty"`
	Expires time.Time `json:"expires,omitzero"`
}

// New returns the service over s that signs with signing.
func New(s *store.Store, signing *Signing) *Service {
	return &Service{
		store:    s,
		tokens:   store.NewTable[hub.Token](s, store.Tokens, "token"),
		owners:   store.NewTable[index](s, store.TokenOwners, "token"),
		sessions: store.NewTable[hub.Session](s, store.Sessions, "session"),
		byUser:   store.NewTable[index](s, store.UserSession, "session"),
		visits:   store.NewTable[Visit](s, store.Visits, "sign-in"),
		codes:    store.NewTable[Code](s, store.OAuthCodes, "code"),
		used:     store.NewTable[usedCode](s, store.OAuthUsed, "code"),
		issued:   store.NewTable[issued](s, store.OAuthIssued, "token"),
		signing:  signing,
	}
}

// Issue stores a new API token and returns it with its secret (32 hex digits, JupyterHub's form). The caller sets owner,
// scopes, note and expiry; Issue sets the rest. ops are performed in the same transaction.
func (s *Service) Issue(ctx context.Context, t hub.Token, ops ...store.Op) (hub.Token, string, error) {
	secret := newSecret()
	t, err := s.put(ctx, t, secret, ops...)
	return t, secret, err
}

// AdoptForService makes secret, which somebody else chose, the one API token of a service. A token that the service had
// before and that differs is deleted.
func (s *Service) AdoptForService(ctx context.Context, t hub.Token, secret string) error {
	entries, err := s.owners.All(ctx, ownerID(t)+"/")
	if err != nil {
		return err
	}
	h, adopted := hash(secret), false
	for _, e := range entries {
		if e.Value.Hash == h {
			adopted = true
			continue
		}
		if err := s.deleteEntry(ctx, e); err != nil && hub.KindOf(err) != hub.NotFound {
			return err
		}
	}
	if adopted {
		return nil
	}
	_, err = s.put(ctx, t, secret)
	if hub.KindOf(err) != hub.Conflict {
		return err
	}
	// Another replica that starts with the same secret was first, unless the token is somebody else's.
	if r, getErr := s.tokens.Get(ctx, h); getErr != nil || r.Value.Service != t.Service {
		return err
	}
	return nil
}

func (s *Service) put(ctx context.Context, t hub.Token, secret string, ops ...store.Op) (hub.Token, error) {
	t.Schema, t.ID, t.Created = hub.Schema, newTokenID(), time.Now().UTC()
	h := hash(secret)
	ops = append(ops[:len(ops):len(ops)], store.Put(s.owners.Key(ownerID(t)+"/"+store.ID(t.ID)), index{Schema: hub.Schema, Hash: h}))
	return t, s.tokens.Create(ctx, h, t, ops...)
}

// ownerID is where the list of a token's owner is kept. Users are listed by id, so that a new user of an old name does not
// inherit tokens.
func ownerID(t hub.Token) string {
	if t.Service != "" {
		return store.ID("service", t.Service)
	}
	return store.ID("user", t.UserID)
}

// Find returns the unexpired API token with this secret, or an Unauthenticated error. It records the use, at most once a
// minute.
func (s *Service) Find(ctx context.Context, secret string) (hub.Token, error) {
	r, err := s.tokens.Get(ctx, hash(secret))
	if hub.KindOf(err) == hub.NotFound || err == nil && expired(r.Value.Expires) {
		return hub.Token{}, hub.Errorf(hub.Unauthenticated, "Missing or invalid credentials.")
	}
	if err == nil && r.Value.Session != "" {
		err = s.sessionLives(ctx, r.Value)
	}
	if err != nil {
		return hub.Token{}, err
	}
	if now := time.Now().UTC(); now.Sub(r.Value.LastActivity) > lastUseEvery {
		// Only a hint: a token that was deleted meanwhile, or an etcd that is slow to write, must not fail the request.
		_, _ = s.tokens.Update(ctx, r.ID, func(t *hub.Token) ([]store.Op, error) {
			if now.Sub(t.LastActivity) <= lastUseEvery {
				return nil, store.ErrUnchanged // another request was first
			}
			t.LastActivity = now
			return nil, nil
		})
	}
	return r.Value, nil
}

// OfUser lists a user's unexpired API tokens in the order of their ids. Expired ones are removed on the way.
func (s *Service) OfUser(ctx context.Context, userID string) ([]hub.Token, error) {
	entries, err := s.owners.All(ctx, store.ID("user", userID)+"/")
	if err != nil {
		return nil, err
	}
	var all []hub.Token
	for _, e := range entries {
		r, err := s.tokens.Get(ctx, e.Value.Hash)
		if err != nil {
			if hub.KindOf(err) == hub.NotFound {
				continue
			}
			return nil, err
		}
		if !expired(r.Value.Expires) {
			all = append(all, r.Value)
			continue
		}
		if err := s.deleteEntry(ctx, e); err != nil && hub.KindOf(err) != hub.NotFound {
			return nil, err
		}
	}
	return all, nil
}

// Delete ends the API token id of a user: NotFound if the user has no such token.
func (s *Service) Delete(ctx context.Context, userID, id string) error {
	entry, err := s.owners.Get(ctx, store.ID("user", userID, id))
	if hub.KindOf(err) == hub.NotFound {
		return errors.Join(err, s.deleteIssued(ctx, id)) // an earlier try may have come no further
	}
	if err != nil {
		return err
	}
	return s.deleteEntry(ctx, entry)
}

// deleteEntry ends the token that an entry of an owner's list points to.
func (s *Service) deleteEntry(ctx context.Context, entry store.Record[index]) error {
	parts, ok := store.Parts(entry.ID)
	if !ok {
		return hub.Errorf(hub.Internal, "A token's key cannot be read.")
	}
	id := parts[len(parts)-1]
	// Before the token, because whoever tries again after a failure looks for the token; and after it, because until then its
	// client may get more.
	if err := s.deleteIssued(ctx, id); err != nil {
		return err
	}
	ops := []store.Op{store.Delete(s.owners.Key(entry.ID)), s.revoke(routes.RevokedToken, id, 0)}
	if entry.Value.Issuer != "" {
		ops = append(ops, store.Delete(s.issued.Key(store.ID(entry.Value.Issuer, id))))
	}
	if err := s.tokens.Delete(ctx, entry.Value.Hash, 0, ops...); err != nil {
		return err
	}
	return s.deleteIssued(ctx, id)
}

// revoke is the write that makes edges refuse the edge tokens of id.
func (s *Service) revoke(what, id string, before int64) store.Op {
	return store.PutFor(routes.RevokedKey(s.store.Prefix(), what, id), routes.Revocation{Schema: routes.Schema, Before: before}, revokedFor)
}

// RevokeUser makes edges refuse every edge token of the user that was issued at or before the given Unix time. Sessions and
// API tokens stay; they get new edge tokens, which say what is true then.
func (s *Service) RevokeUser(userID string, before int64) store.Op {
	return s.revoke(routes.RevokedUser, userID, before)
}

// RevokeShared makes edges refuse every edge token that depends on a role (by its mark) or a group, or is of a service, as what
// says, and was issued with an earlier revision of all roles: one write, however many have the role. It belongs in the
// transaction that changes hub.RoleChanges, whose revision is then the revocation's own.
func (s *Service) RevokeShared(what, id string) store.Op { return s.revoke(what, id, 0) }

// DeleteAll ends all API tokens and sessions of a user, and with them every edge token, for good.
func (s *Service) DeleteAll(ctx context.Context, userID string) error {
	if err := s.store.Apply(ctx, s.revoke(routes.RevokedUser, userID, 0)); err != nil {
		return err
	}
	entries, err := s.owners.All(ctx, store.ID("user", userID)+"/")
	if err != nil {
		return err
	}
	for _, e := range entries { // expired ones too
		if err := s.deleteEntry(ctx, e); err != nil && hub.KindOf(err) != hub.NotFound {
			return err
		}
	}
	return s.EndSessions(ctx, userID)
}

func expired(t time.Time) bool { return !t.IsZero() && time.Now().After(t) }

func hash(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

func newSecret() string { return randomHex(16) }

func randomHex(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails since Go 1.24
	return hex.EncodeToString(b)
}

// newTokenID is "a" and a number that a JavaScript client can hold exactly.
func newTokenID() string {
	n, err := rand.Int(rand.Reader, big.NewInt(1<<53-1))
	if err != nil {
		panic(err) // crypto/rand does not fail since Go 1.24
	}
	return "a" + strconv.FormatInt(n.Int64()+1, 10)
}
