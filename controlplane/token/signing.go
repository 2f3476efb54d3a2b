package token

import (
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
	"github.com/edgehub/edgehub/routes"
)

// Signing holds what all replicas of one hub share and edges must never see: the keys of its edge tokens and the key of its
// XSRF tokens. The keys of edge tokens are read at each use, so that no replica signs with one that another has withdrawn.
type Signing struct {
	table store.Table[signingRecord]
	hubID string
	xsrf  []byte
}

// signingRecord is Signing in the store.
type signingRecord struct {
	Schema  int       `json:"v"`
	HubID   string    `json:"hub"`
	XSRF    []byte    `json:"xsrf"`
	Created time.Time `json:"created"`
	// Epoch counts the emergency rotations. Sessions of an earlier epoch are over.
	Epoch int64 `json:"epoch,omitempty"`
	// Keys are in the order of NotBefore.
	Keys []signingKey `json:"keys,omitempty"`

	// The one key of the first version of this record, which is only read.
	FirstKey  string `json:"kid,omitempty"`
	FirstSeed []byte `json:"seed,omitempty"`
}

// signingKey is one private key with the time of its use, in Unix seconds. No NotAfter means no end yet.
type signingKey struct {
	ID        string `json:"kid"`
	Seed      []byte `json:"seed"`
	NotBefore int64  `json:"not_before"`
	NotAfter  int64  `json:"not_after,omitempty"`
}

const signingID = "signing"

// OpenSigning loads the hub's keys, or makes them when the hub is new. Two replicas that start at once get the same.
func OpenSigning(ctx context.Context, s *store.Store) (*Signing, error) {
	signing := &Signing{table: store.NewTable[signingRecord](s, store.Secrets, "signing key")}
	rec, err := signing.read(ctx)
	if hub.KindOf(err) == hub.NotFound {
		if err = signing.create(ctx, s); err != nil {
			return nil, err
		}
		rec, err = signing.read(ctx)
	}
	if err != nil {
		return nil, err
	}
	signing.hubID, signing.xsrf = rec.HubID, rec.XSRF
	return signing, nil
}

func (s *Signing) create(ctx context.Context, st *store.Store) error {
	xsrf := make([]byte, 32)
	_, _ = rand.Read(xsrf) // never fails since Go 1.24
	now := time.Now().UTC()
	rec := signingRecord{Schema: hub.Schema, HubID: "hub-" + randomHex(8), XSRF: xsrf, Created: now, Keys: []signingKey{newSigningKey(now.Unix())}}
	err := s.table.Create(ctx, signingID, rec, publish(st, &rec, &rec.Keys[0]))
	if hub.KindOf(err) == hub.Conflict {
		return nil // another replica was first
	}
	return err
}

// read returns the record as it is now. It does not hand out a damaged one.
func (s *Signing) read(ctx context.Context) (signingRecord, error) {
	r, err := s.table.Get(ctx, signingID)
	if err == nil {
		err = r.Value.check()
	}
	if err != nil {
		return r.Value, fmt.Errorf("load the signing key: %w", err)
	}
	return r.Value, nil
}

// check refuses a record that nothing can be signed with, and brings one of the first version into today's form.
func (r *signingRecord) check() error {
	if len(r.Keys) == 0 {
		r.Keys = []signingKey{{ID: r.FirstKey, Seed: r.FirstSeed, NotBefore: r.Created.Unix()}}
	}
	r.FirstKey, r.FirstSeed = "", nil
	damaged := len(r.XSRF) < 32
	for _, k := range r.Keys {
		damaged = damaged || len(k.Seed) != ed25519.SeedSize
	}
	if damaged {
		return hub.Errorf(hub.Internal, "The signing key in the database is damaged.")
	}
	return nil
}

// active is the key to sign with: the newest whose time has come. If there is none, which is after an emergency rotation by
// a replica whose clock is ahead, it is the first.
func (r *signingRecord) active(now int64) *signingKey {
	active := &r.Keys[0]
	for i := range r.Keys {
		if r.Keys[i].NotBefore <= now {
			active = &r.Keys[i]
		}
	}
	return active
}

func newSigningKey(notBefore int64) signingKey {
	seed := make([]byte, ed25519.SeedSize)
	_, _ = rand.Read(seed) // never fails since Go 1.24
	return signingKey{ID: randomHex(8), Seed: seed, NotBefore: notBefore}
}

func (k *signingKey) private() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(k.Seed) }

// public is what edges may know of k.
func (r *signingRecord) public(k *signingKey) *routes.Key {
	public, _ := k.private().Public().(ed25519.PublicKey)
	return &routes.Key{Schema: routes.Schema, ID: k.ID, Hub: r.HubID, Public: public,
		NotBefore: k.NotBefore, NotAfter: k.NotAfter, Epoch: r.Epoch}
}

// HubID is the hub's random identity, the issuer of its edge tokens.
func (s *Signing) HubID() string { return s.hubID }

// MAC authenticates data for purpose, for use by one hub's replicas among themselves (XSRF tokens). Its key outlives an
// emergency rotation: what it makes is bound to a session, and sessions end then.
func (s *Signing) MAC(purpose, data string) []byte {
	h := hmac.New(sha256.New, s.xsrf)
	fmt.Fprintf(h, "%d:%s:%s", len(purpose), purpose, data)
	return h.Sum(nil)
}

// EdgeToken signs an edge token with c's subject, rights and session; issuer and times are set here. A given c.IssuedAt is
// the earliest time of issue, see hub.User.TokensAfter; a given c.Expires is the latest end, that of the credential behind it.
// c.Epoch is the session's: it is Unauthenticated if an emergency rotation has ended the session, however lately, because
// the key and the epoch are of one read.
func (s *Service) EdgeToken(ctx context.Context, c routes.Claims) (string, error) {
	rec, err := s.signing.read(ctx)
	if err != nil {
		return "", err
	}
	if c.Session != "" && c.Epoch != rec.Epoch {
		return "", notSignedIn()
	}
	now := time.Now().Unix()
	c.Issuer, c.IssuedAt = rec.HubID, max(now, c.IssuedAt)
	if limit := c.IssuedAt + routes.TokenLife; c.Expires == 0 || c.Expires > limit {
		c.Expires = limit
	}
	key := rec.active(now)
	token, err := routes.SignToken(key.ID, key.private(), c)
	if err != nil {
		return "", fmt.Errorf("sign edge token for %s: %w", c.Subject, err)
	}
	return token, nil
}

// OpenEdgeToken verifies an edge token of this hub (for renewal) and returns its claims, or an Unauthenticated error.
func (s *Service) OpenEdgeToken(ctx context.Context, token string) (*routes.Claims, error) {
	rec, err := s.signing.read(ctx)
	if err != nil {
		return nil, err
	}
	keys := make(map[string]*routes.Key, len(rec.Keys))
	for i := range rec.Keys {
		keys[rec.Keys[i].ID] = rec.public(&rec.Keys[i])
	}
	c, err := routes.VerifyToken(token, keys, time.Now().Unix())
	if err != nil {
		return nil, hub.WithCause(hub.Errorf(hub.Unauthenticated, "The edge token is not valid."), err)
	}
	return c, nil
}
