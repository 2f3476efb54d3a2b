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

// Signing holds what all replicas of one hub share and edges must never see: the key of its edge tokens and the key of
// its XSRF tokens.
type Signing struct {
	hubID string
	kid   string
	key   ed25519.PrivateKey
	xsrf  []byte
}

// signingRecord is Signing in the store.
type signingRecord struct {
	Schema  int       `json:"v"`
	HubID   string    `json:"hub"`
	KeyID   string    `json:"kid"`
	Seed    []byte    `json:"seed"`
	XSRF    []byte    `json:"xsrf"`
	Created time.Time `json:"created"`
}

const signingID = "signing"

// OpenSigning loads the hub's keys, or makes them when the hub is new. Two replicas that start at once get the same.
func OpenSigning(ctx context.Context, s *store.Store) (*Signing, error) {
	table := store.NewTable[signingRecord](s, store.Secrets, "signing key")
	r, err := table.Get(ctx, signingID)
	if hub.KindOf(err) == hub.NotFound {
		if err = createSigning(ctx, s, table); err != nil {
			return nil, err
		}
		r, err = table.Get(ctx, signingID)
	}
	if err != nil {
		return nil, fmt.Errorf("load the signing key: %w", err)
	}
	if len(r.Value.Seed) != ed25519.SeedSize || len(r.Value.XSRF) < 32 {
		return nil, hub.Errorf(hub.Internal, "The signing key in the database is damaged.")
	}
	return &Signing{hubID: r.Value.HubID, kid: r.Value.KeyID, key: ed25519.NewKeyFromSeed(r.Value.Seed), xsrf: r.Value.XSRF}, nil
}

func createSigning(ctx context.Context, s *store.Store, table store.Table[signingRecord]) error {
	seed, xsrf := make([]byte, ed25519.SeedSize), make([]byte, 32)
	_, _ = rand.Read(seed)
	_, _ = rand.Read(xsrf)
	now := time.Now().UTC()
	rec := signingRecord{Schema: hub.Schema, HubID: "hub-" + randomHex(8), KeyID: randomHex(8), Seed: seed, XSRF: xsrf, Created: now}
	public, _ := ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)
	err := table.Create(ctx, signingID, rec, store.Put(routes.SigningKeyKey(s.Prefix(), rec.KeyID),
		routes.Key{Schema: routes.Schema, ID: rec.KeyID, Hub: rec.HubID, Public: public, NotBefore: now.Unix()}))
	if hub.KindOf(err) == hub.Conflict {
		return nil // another replica was first
	}
	return err
}

// HubID is the hub's random identity, the issuer of its edge tokens.
func (s *Signing) HubID() string { return s.hubID }

// MAC authenticates data for purpose, for use by one hub's replicas among themselves (XSRF tokens).
func (s *Signing) MAC(purpose, data string) []byte {
	h := hmac.New(sha256.New, s.xsrf)
	fmt.Fprintf(h, "%d:%s:%s", len(purpose), purpose, data)
	return h.Sum(nil)
}

// EdgeToken signs an edge token with c's subject, rights and session; issuer and times are set here. A given c.IssuedAt is
// the earliest time of issue, see hub.User.TokensAfter; a given c.Expires is the latest end, that of the credential behind it.
func (s *Service) EdgeToken(c routes.Claims) (string, error) {
	now := time.Now().Unix()
	c.Issuer, c.IssuedAt = s.signing.hubID, max(now, c.IssuedAt)
	if limit := c.IssuedAt + routes.TokenLife; c.Expires == 0 || c.Expires > limit {
		c.Expires = limit
	}
	token, err := routes.SignToken(s.signing.kid, s.signing.key, c)
	if err != nil {
		return "", fmt.Errorf("sign edge token for %s: %w", c.Subject, err)
	}
	return token, nil
}

// OpenEdgeToken verifies an edge token of this hub (for renewal) and returns its claims, or an Unauthenticated error.
func (s *Service) OpenEdgeToken(token string) (*routes.Claims, error) {
	public, _ := s.signing.key.Public().(ed25519.PublicKey)
	keys := map[string]*routes.Key{s.signing.kid: {ID: s.signing.kid, Hub: s.signing.hubID, Public: public}}
	c, err := routes.VerifyToken(token, keys, time.Now().Unix())
	if err != nil {
		return nil, hub.WithCause(hub.Errorf(hub.Unauthenticated, "The edge token is not valid."), err)
	}
	return c, nil
}
